// Hash tables of prepared nodes; see lookup.h.
#include "provider/cpu/op/lookup.h"

kp_status* kp_lookup_init(kp_lookup* lookup, kp_arena* arena, size_t most, bool texts) {
  if (most > UINT32_MAX / 2) return KP_ERROR(LIMIT, "a table of %zu keys", most);
  size_t slots = 4;
  while (slots < 2 * most) slots *= 2;
  *lookup = (kp_lookup){.mask = slots - 1, .values = kp_arena_new_array(arena, uint32_t, slots)};
  if (texts)
    lookup->texts = kp_arena_new_array(arena, const kp_str*, slots);
  else
    lookup->numbers = kp_arena_new_array(arena, int64_t, slots);
  if (!lookup->values || (!lookup->texts && !lookup->numbers))
    return KP_ERROR(OUT_OF_MEMORY, "a table of %zu keys", most);
  memset(lookup->values, 0xFF, slots * sizeof *lookup->values);
  return NULL;
}

static size_t number_slot(const kp_lookup* lookup, int64_t key) {
  uint64_t hash = (uint64_t)key * UINT64_C(0x9E3779B97F4A7C15);
  hash ^= hash >> 32;
  size_t slot = (size_t)hash & lookup->mask;
  while (lookup->values[slot] != KP_LOOKUP_NONE && lookup->numbers[slot] != key)
    slot = (slot + 1) & lookup->mask;
  return slot;
}

static size_t text_slot(const kp_lookup* lookup, kp_str key) {
  size_t slot = (size_t)kp_hash_bytes(key.data, key.length, 0) & lookup->mask;
  while (lookup->values[slot] != KP_LOOKUP_NONE && !kp_str_equal(*lookup->texts[slot], key))
    slot = (slot + 1) & lookup->mask;
  return slot;
}

uint32_t* kp_lookup_put_number(kp_lookup* lookup, int64_t key) {
  const size_t slot = number_slot(lookup, key);
  lookup->numbers[slot] = key;
  return &lookup->values[slot];
}

uint32_t* kp_lookup_put_text(kp_lookup* lookup, const kp_str* key) {
  const size_t slot = text_slot(lookup, *key);
  lookup->texts[slot] = key;
  return &lookup->values[slot];
}

uint32_t kp_lookup_number(const kp_lookup* lookup, int64_t key) {
  return lookup->numbers ? lookup->values[number_slot(lookup, key)] : KP_LOOKUP_NONE;
}

uint32_t kp_lookup_text(const kp_lookup* lookup, kp_str key) {
  return lookup->texts ? lookup->values[text_slot(lookup, key)] : KP_LOOKUP_NONE;
}
