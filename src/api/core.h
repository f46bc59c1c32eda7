// The core of a session: model, chain, plans and executors. A session has one, and a second one when a run replaces initializers.
#ifndef KP_API_CORE_H_
#define KP_API_CORE_H_

#include <pthread.h>

#include "base/pool.h"
#include "exec/exec.h"
#include "kapell/kapell.h"
#include "plan/plan.h"

typedef struct kp_core_options {
  const kapell_options* user;  // complete (struct of this build's size)
  const char* path;            // or
  const void* bytes;
  size_t byte_count;
  bool borrow_bytes;
  bool reference;         // on the CPU alone, whatever the options and the environment say
  bool keep_overridable;  // initializers that are inputs stay inputs, instead of constants
} kp_core_options;

// A plan without the providers that failed, and its executor.
typedef struct kp_variant {
  uint64_t excluded;
  kp_plan_set* set;
  kp_executor* executor;
  struct kp_variant* next;
} kp_variant;

typedef struct kp_core {
  kp_model* model;
  kp_chain* chain;
  pthread_mutex_t lock;  // guards |variants| and |excluded|
  kp_variant* variants;  // the last one is the first plan
  uint64_t excluded;     // chain entries that failed in a run and are left out since
  int width;
  kp_pool* pool;      // the program's own; NULL: the process's
  kp_blocks* blocks;  // of packed weights, shared with other sessions; NULL: none
  uint32_t signature_cache;
} kp_core;

KP_MUST_USE kp_status* kp_core_open(const kp_core_options* options, kp_core** out_core);
void kp_core_close(kp_core* core);
// The model as its file has it, before any rewrite.
KP_MUST_USE kp_status* kp_core_read_pristine(const kp_core_options* options, kp_model** out_model);
// The variant in use; and the one that leaves |entry| out too, built at need.
kp_variant* kp_core_current(kp_core* core);
KP_MUST_USE kp_status* kp_core_exclude(kp_core* core, uint32_t entry, kp_variant** out_variant);

#endif  // KP_API_CORE_H_
