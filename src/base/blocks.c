// A table of blocks by size and a sample of their bytes. Neighbours: alloc.c; the CPU provider packs into it.
//
// THREAD SAFETY: |lock| guards the table and is held while blocks are compared, so that of two threads with equal blocks one finds
// the other's. References are counted outside of it.
#include "base/blocks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

#define SAMPLES 64
#define MOST_COMPARED 8  // blocks of one sample: models made to have many such must not cost more

typedef struct entry {
  struct entry* next;
  void* memory;
  size_t byte_count, users;
  uint64_t sample;
} entry;

struct kapell_shared_weights {
  _Atomic uint64_t references;
  pthread_mutex_t lock;
  entry** heads;  // |head_count| of them, a power of two
  size_t head_count, entry_count;
  uint64_t bytes, saved;
};

kp_blocks* kp_blocks_create(void) {
  kp_blocks* blocks = kp_alloc_zero(1, sizeof *blocks);
  if (!blocks) return NULL;
  blocks->head_count = 64;
  blocks->heads = kp_alloc_zero(blocks->head_count, sizeof(*blocks->heads));
  if (!blocks->heads) {
    kp_free(blocks);
    return NULL;
  }
  pthread_mutex_init(&blocks->lock, NULL);
  atomic_init(&blocks->references, 1);
  return blocks;
}

kp_blocks* kp_blocks_retain(kp_blocks* blocks) {
  if (blocks) atomic_fetch_add_explicit(&blocks->references, 1, memory_order_relaxed);
  return blocks;
}

void kp_blocks_release(kp_blocks* blocks) {
  if (!blocks || atomic_fetch_sub_explicit(&blocks->references, 1, memory_order_acq_rel) != 1)
    return;
  pthread_mutex_destroy(&blocks->lock);
  kp_free(blocks->heads);
  kp_free(blocks);
}

// Eight bytes from each of SAMPLES places, the first and the last among them. |byte_count| is at least KP_BLOCKS_LEAST.
static uint64_t sample_of(const void* memory, size_t byte_count) {
  uint64_t words[SAMPLES];
  const size_t last = byte_count - sizeof *words, step = last / (SAMPLES - 1);
  for (size_t i = 0; i < SAMPLES; ++i)
    memcpy(&words[i], (const char*)memory + (i + 1 < SAMPLES ? i * step : last), sizeof *words);
  return kp_hash_bytes(words, sizeof words, byte_count);
}

static entry** head_of(const kp_blocks* blocks, uint64_t sample) {
  return &blocks->heads[sample & (blocks->head_count - 1)];
}

static entry* find_equal(const kp_blocks* blocks, const void* memory, size_t byte_count,
                         uint64_t sample) {
  int compared = 0;
  for (entry* e = *head_of(blocks, sample); e && compared < MOST_COMPARED; e = e->next) {
    if (e->sample != sample || e->byte_count != byte_count) continue;
    if (memcmp(e->memory, memory, byte_count) == 0) return e;
    ++compared;
  }
  return NULL;
}

// Twice as many heads, if there is memory for them.
static void grow(kp_blocks* blocks) {
  entry** heads = kp_alloc_zero(blocks->head_count * 2, sizeof(*heads));
  if (!heads) return;
  entry** old = blocks->heads;
  const size_t old_count = blocks->head_count;
  blocks->heads = heads;
  blocks->head_count *= 2;
  for (size_t i = 0; i < old_count; ++i) {
    for (entry *e = old[i], *next; e; e = next) {
      next = e->next;
      entry** head = head_of(blocks, e->sample);
      e->next = *head;
      *head = e;
    }
  }
  kp_free(old);
}

static void* add(kp_blocks* blocks, void* memory, size_t byte_count, uint64_t sample) {
  entry* e = kp_alloc(sizeof *e);
  if (!e) return NULL;
  if (blocks->entry_count >= blocks->head_count) grow(blocks);
  entry** head = head_of(blocks, sample);
  *e = (entry){*head, memory, byte_count, 1, sample};
  *head = e;
  ++blocks->entry_count;
  blocks->bytes += byte_count;
  return memory;
}

void* kp_blocks_join(kp_blocks* blocks, void* memory, size_t byte_count) {
  if (byte_count < KP_BLOCKS_LEAST) return NULL;
  const uint64_t sample = sample_of(memory, byte_count);
  pthread_mutex_lock(&blocks->lock);
  entry* same = find_equal(blocks, memory, byte_count, sample);
  void* kept = same ? same->memory : add(blocks, memory, byte_count, sample);
  if (same) {
    ++same->users;
    blocks->saved += byte_count;
  }
  pthread_mutex_unlock(&blocks->lock);
  if (same) kp_free(memory);
  return kept;
}

void kp_blocks_leave(kp_blocks* blocks, void* memory, size_t byte_count) {
  entry* gone = NULL;
  pthread_mutex_lock(&blocks->lock);
  entry** at = head_of(blocks, sample_of(memory, byte_count));
  while ((*at)->memory != memory) at = &(*at)->next;
  if (--(*at)->users) {
    blocks->saved -= byte_count;
  } else {
    gone = *at;
    *at = gone->next;
    --blocks->entry_count;
    blocks->bytes -= byte_count;
  }
  pthread_mutex_unlock(&blocks->lock);
  if (!gone) return;
  kp_free(gone->memory);
  kp_free(gone);
}

static uint64_t read_number(kp_blocks* blocks, const uint64_t* number) {
  pthread_mutex_lock(&blocks->lock);
  const uint64_t now = *number;
  pthread_mutex_unlock(&blocks->lock);
  return now;
}

uint64_t kp_blocks_bytes(kp_blocks* blocks) { return read_number(blocks, &blocks->bytes); }
uint64_t kp_blocks_saved(kp_blocks* blocks) { return read_number(blocks, &blocks->saved); }
