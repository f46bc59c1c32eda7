// The session behind kapell.h, between the files of api/.
#ifndef KP_API_SESSION_H_
#define KP_API_SESSION_H_

#include "api/core.h"
#include "api/limits.h"

typedef struct kp_io {
  kapell_io_info info;
  const char* name;
} kp_io;

typedef struct kp_metadata {
  const char *key, *value;
} kp_metadata;

struct kapell_session {
  kp_arena arena;                               // everything that getters lend
  kapell_options options;                       // texts copied to the arena; limits made whole
  const kapell_initializer* kept_initializers;  // options', once their values are retained
  kp_budget* budget;
  uint64_t opened_bytes,
      opening_bytes;  // of the budget: when opening was done; most while it was done
  kp_core* core;
  kp_core* shadow;       // on the CPU alone; NULL without shadow_every
  uint64_t shadow_turn;  // runs so far; atomic
  kp_core* overridable;  // made when a run first replaces an initializer
  pthread_mutex_t lock;  // guards |overridable| and |totals|
  const char* path;      // for the second core
  const void* bytes;     // likewise; kept alive by the first core's model
  size_t byte_count;
  kapell_io_info* inputs;  // inputs, then overridable initializers
  size_t input_count, overridable_count;
  kapell_io_info* outputs;
  size_t output_count;
  kp_metadata* metadata;
  size_t metadata_count;
  kapell_placement* placement;
  kp_profile* profile;
  kapell_counters totals;
  kapell_provider_counters* entries;  // parallel to the chain
};

KP_MUST_USE kp_status* kp_session_describe(
    kapell_session* session);  // describe.c: inputs, outputs, metadata
// The core whose inputs include the overridable initializers.
KP_MUST_USE kp_status* kp_session_overridable(kapell_session* session, kp_core** out_core);

#endif  // KP_API_SESSION_H_
