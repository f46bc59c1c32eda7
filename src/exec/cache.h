// A bounded cache of things computed for a key of bytes (a signature). Entries own an arena that is reused when they are evicted, so a
// stream of new signatures (a decode loop whose cache grows) allocates nothing once the arenas are large enough.
//
// Threads: any. An entry is pinned between get/publish and release; a pinned entry is not evicted.
#ifndef KP_EXEC_CACHE_H_
#define KP_EXEC_CACHE_H_

#include <pthread.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct kp_cache_entry {
  kp_arena arena;  // everything of |result| lives here
  void* result;
  uint8_t* key;  // owned
  size_t key_size, key_capacity;
  uint64_t hash;
  uint64_t used;  // time of last use, in look-ups
  int pins;
  bool published;
} kp_cache_entry;

typedef struct kp_cache {
  pthread_mutex_t lock;      // guards everything below; never held while computing
  kp_cache_entry** entries;  // owned
  uint32_t count, capacity, limit;
  uint64_t clock;
} kp_cache;

KP_MUST_USE kp_status* kp_cache_init(kp_cache* cache, uint32_t limit);
void kp_cache_free(kp_cache* cache);

// The entry of |key|, pinned, or NULL.
kp_cache_entry* kp_cache_get(kp_cache* cache, const void* key, size_t key_size, uint64_t hash);
// A blank, pinned entry to compute into: a new one, or the least recently used that nobody has pinned.
KP_MUST_USE kp_status* kp_cache_blank(kp_cache* cache, const void* key, size_t key_size,
                                      uint64_t hash, kp_cache_entry** out_entry);
// Makes a blank entry findable. It stays pinned.
void kp_cache_publish(kp_cache* cache, kp_cache_entry* entry);
// Unpins; one that was not published is blank again.
void kp_cache_release(kp_cache* cache, kp_cache_entry* entry);

#endif  // KP_EXEC_CACHE_H_
