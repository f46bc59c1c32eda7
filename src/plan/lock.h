// Placement locks: a stable text of who runs which node and what is copied, kept beside a model and compared with what a session
// does now. Format in docs/placement.md.
#ifndef KP_PLAN_LOCK_H_
#define KP_PLAN_LOCK_H_

#include "plan/report.h"

// Appends the lock of |placement|: lines by name and in file order, nothing that depends on time, machine or version.
void kp_lock_write(const kapell_placement* placement, kp_strbuf* out);

// Compares |text| with |placement|. NULL: the same. Error PLACEMENT_CHANGED: |diff| has a line for each change, with the reason; other
// errors: INVALID_ARGUMENT for what is no lock, naming the line; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_lock_check(const kapell_placement* placement, kp_str text,
                                     kp_strbuf* diff);

// --- between lock.c and lock_diff.c ---------------------------------------------------------------------------------------
typedef struct kp_lock_node {  // texts as in the file, quotes included
  kp_str provider;             // "folded" or "executor" where partition is -1
  int64_t partition;
  kp_str op, name, path;  // path empty: the main graph
  uint32_t index;         // position among the nodes of its lock
} kp_lock_node;

typedef struct kp_lock {
  kp_arena arena;
  kp_str list;
  kp_lock_node* nodes;
  size_t node_count;
  kp_str* copies;  // whole lines
  size_t copy_count;
} kp_lock;

// Views into |text|. kp_arena_free(&lock->arena) in every case.
KP_MUST_USE kp_status* kp_lock_read(kp_str text, kp_lock* lock);

#endif  // KP_PLAN_LOCK_H_
