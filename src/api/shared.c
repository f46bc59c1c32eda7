// What several sessions may have in common: packed weights, and threads of the program's own.
#include <string.h>

#include "base/blocks.h"
#include "base/pool.h"
#include "base/size.h"
#include "kapell/kapell.h"

kapell_status* kapell_shared_weights_create(kapell_shared_weights** out_weights) {
  if (!out_weights) return KP_ERROR(INVALID_ARGUMENT, "out_weights is NULL");
  *out_weights = kp_blocks_create();
  return *out_weights ? NULL : KP_ERROR(OUT_OF_MEMORY, "shared weights");
}

void kapell_shared_weights_release(kapell_shared_weights* weights) { kp_blocks_release(weights); }

void kapell_shared_weights_bytes(kapell_shared_weights* weights, uint64_t* out_held,
                                 uint64_t* out_saved) {
  if (out_held) *out_held = weights ? kp_blocks_bytes(weights) : 0;
  if (out_saved) *out_saved = weights ? kp_blocks_saved(weights) : 0;
}

kapell_status* kapell_pool_create(const kapell_pool_options* options, kapell_pool** out_pool) {
  kapell_pool_options o = KAPELL_POOL_OPTIONS_INIT;
  if (!out_pool) return KP_ERROR(INVALID_ARGUMENT, "out_pool is NULL");
  *out_pool = NULL;
  if (options && options->struct_size < sizeof(size_t))
    return kp_status_hint(
        KP_ERROR(INVALID_ARGUMENT, "options->struct_size is %zu", options->struct_size),
        "start from KAPELL_POOL_OPTIONS_INIT");
  if (options) memcpy(&o, options, kp_min_size(options->struct_size, sizeof o));
  const kp_pool_hooks hooks = {.create = o.create,
                               .join = o.join,
                               .enqueued = o.enqueued,
                               .started = o.started,
                               .stopped = o.stopped,
                               .abandoned = o.abandoned,
                               .user = o.user};
  KP_TRY(kp_pool_create(o.threads, &hooks, out_pool), "making a pool of threads");
  return NULL;
}

void kapell_pool_release(kapell_pool* pool) { kp_pool_drop(pool); }

int kapell_pool_threads(const kapell_pool* pool) { return pool ? kp_pool_width(pool) : 0; }
