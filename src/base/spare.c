// A short list of freed blocks. Neighbour: alloc.c.
//
// THREAD SAFETY: |lock| guards the list and is only ever tried, so that a process forked while another thread held it goes on
// without spare blocks.
#include "base/spare.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/sanitize.h"

#define MOST 64  // blocks

// Sanitizers see more where each piece is new.
#define KEEPS (!KP_ASAN && !KP_MSAN)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t sizes[MOST];
static void* blocks[MOST];
static size_t block_count, kept_bytes;

// The smallest block that is large enough, unless a fifth of it would lie idle; |block_count|: none.
static size_t find(size_t byte_count) {
  size_t best = block_count, best_size = byte_count + byte_count / 4 + 1;
  for (size_t i = 0; i < block_count; ++i) {
    if (sizes[i] < byte_count || sizes[i] >= best_size) continue;
    best = i;
    best_size = sizes[i];
  }
  return best;
}

void* kp_spare_take(size_t byte_count, size_t* out_size) {
  void* block = NULL;
  if (!KEEPS || byte_count > KP_SPARE_BLOCK_BYTES || pthread_mutex_trylock(&lock) != 0) return NULL;
  const size_t i = find(byte_count);
  if (i < block_count) {
    block = blocks[i];
    *out_size = sizes[i];
    kept_bytes -= sizes[i];
    sizes[i] = sizes[--block_count];
    blocks[i] = blocks[block_count];
  }
  pthread_mutex_unlock(&lock);
  return block;
}

bool kp_spare_keep(void* block, size_t size) {
  if (!KEEPS || size > KP_SPARE_BLOCK_BYTES || pthread_mutex_trylock(&lock) != 0) return false;
  const bool keep = block_count < MOST && kept_bytes + size <= KP_SPARE_BYTES;
  if (keep) {
    sizes[block_count] = size;
    blocks[block_count++] = block;
    kept_bytes += size;
  }
  pthread_mutex_unlock(&lock);
  return keep;
}

// A library that is unloaded leaves nothing behind.
__attribute__((destructor)) static void drop_all(void) {
  while (block_count) free(blocks[--block_count]);
}
