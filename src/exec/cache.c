// A small set searched in line: limits are a few dozen, and one comparison of a hash is cheaper than any structure.
#include "exec/cache.h"

#include <string.h>

#include "base/alloc.h"

kp_status* kp_cache_init(kp_cache* cache, uint32_t limit) {
  *cache = (kp_cache){.limit = limit ? limit : 1};
  if (pthread_mutex_init(&cache->lock, NULL) != 0)
    return KP_ERROR(INTERNAL, "a lock could not be made");
  return NULL;
}

void kp_cache_free(kp_cache* cache) {
  for (uint32_t i = 0; i < cache->count; ++i) {
    kp_arena_free(&cache->entries[i]->arena);
    kp_free(cache->entries[i]->key);
    kp_free(cache->entries[i]);
  }
  kp_free(cache->entries);
  if (cache->limit) pthread_mutex_destroy(&cache->lock);
  *cache = (kp_cache){0};
}

kp_cache_entry* kp_cache_get(kp_cache* cache, const void* key, size_t key_size, uint64_t hash) {
  kp_cache_entry* found = NULL;
  pthread_mutex_lock(&cache->lock);
  for (uint32_t i = 0; i < cache->count && !found; ++i) {
    kp_cache_entry* entry = cache->entries[i];
    if (entry->published && entry->hash == hash && entry->key_size == key_size &&
        memcmp(entry->key, key, key_size) == 0)
      found = entry;
  }
  if (found) {
    ++found->pins;
    found->used = ++cache->clock;
  }
  pthread_mutex_unlock(&cache->lock);
  return found;
}

// The entry to be overwritten: never one that is pinned. NULL: make a new one (below the limit, or all are pinned).
static kp_cache_entry* victim(kp_cache* cache) {
  kp_cache_entry* oldest = NULL;
  for (uint32_t i = 0; i < cache->count; ++i) {
    kp_cache_entry* entry = cache->entries[i];
    if (entry->pins) continue;
    if (!entry->published) return entry;
    if (!oldest || entry->used < oldest->used) oldest = entry;
  }
  return cache->count < cache->limit ? NULL : oldest;
}

static kp_cache_entry* add_entry(kp_cache* cache) {
  if (cache->count == cache->capacity) {
    const uint32_t capacity = cache->capacity ? cache->capacity * 2 : 8;
    kp_cache_entry** grown = kp_realloc_array(cache->entries, capacity, sizeof(*grown));
    if (!grown) return NULL;
    cache->entries = grown;
    cache->capacity = capacity;
  }
  kp_cache_entry* entry = kp_alloc_zero(1, sizeof(*entry));
  if (entry) cache->entries[cache->count++] = entry;
  return entry;
}

static kp_status* set_key(kp_cache_entry* entry, const void* key, size_t key_size, uint64_t hash) {
  if (entry->key_capacity < key_size) {
    uint8_t* grown = kp_realloc_array(entry->key, key_size * 2, 1);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "a signature of %zu bytes", key_size);
    entry->key = grown;
    entry->key_capacity = key_size * 2;
  }
  memcpy(entry->key, key, key_size);
  entry->key_size = key_size;
  entry->hash = hash;
  return NULL;
}

kp_status* kp_cache_blank(kp_cache* cache, const void* key, size_t key_size, uint64_t hash,
                          kp_cache_entry** out_entry) {
  *out_entry = NULL;
  pthread_mutex_lock(&cache->lock);
  kp_cache_entry* entry = victim(cache);
  if (!entry) entry = add_entry(cache);
  if (entry) {
    entry->pins = 1;
    entry->published = false;
  }
  pthread_mutex_unlock(&cache->lock);
  if (!entry) return KP_ERROR(OUT_OF_MEMORY, "the signature cache");
  kp_arena_reset(&entry->arena);
  entry->result = NULL;
  kp_status* status = set_key(entry, key, key_size, hash);
  if (status) {
    kp_cache_release(cache, entry);
    return status;
  }
  *out_entry = entry;
  return NULL;
}

void kp_cache_publish(kp_cache* cache, kp_cache_entry* entry) {
  pthread_mutex_lock(&cache->lock);
  entry->published = true;
  entry->used = ++cache->clock;
  pthread_mutex_unlock(&cache->lock);
}

void kp_cache_release(kp_cache* cache, kp_cache_entry* entry) {
  if (!entry) return;
  pthread_mutex_lock(&cache->lock);
  --entry->pins;
  pthread_mutex_unlock(&cache->lock);
}
