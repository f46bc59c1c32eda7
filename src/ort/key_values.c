// Key-value pairs, in the order of adding. A few entries: looking one up is linear.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "ort/object.h"

static size_t find(const OrtKeyValuePairs* pairs, const char* key) {
  size_t i = 0;
  while (i < pairs->count && strcmp(pairs->keys[i], key) != 0) ++i;
  return i;
}

static kp_status* grow(OrtKeyValuePairs* pairs) {
  const size_t capacity = pairs->capacity ? pairs->capacity * 2 : 8;
  char** keys = kp_realloc_array(pairs->keys, capacity, sizeof(*keys));
  if (!keys) return KP_ERROR(OUT_OF_MEMORY, "key-value pairs");
  pairs->keys = keys;
  char** values = kp_realloc_array(pairs->values, capacity, sizeof(*values));
  if (!values) return KP_ERROR(OUT_OF_MEMORY, "key-value pairs");
  pairs->values = values;
  pairs->capacity = capacity;
  return NULL;
}

kp_status* kp_ort_pairs_set(OrtKeyValuePairs* pairs, const char* key, const char* value) {
  const size_t at = find(pairs, key);
  if (at == pairs->count && pairs->count == pairs->capacity) KP_PASS(grow(pairs));
  char* text = kp_strdup(value);
  if (!text) return KP_ERROR(OUT_OF_MEMORY, "key-value pairs");
  if (at < pairs->count) {
    kp_free(pairs->values[at]);
    pairs->values[at] = text;
    return NULL;
  }
  char* name = kp_strdup(key);
  if (!name) {
    kp_free(text);
    return KP_ERROR(OUT_OF_MEMORY, "key-value pairs");
  }
  pairs->keys[at] = name;
  pairs->values[at] = text;
  pairs->count++;
  return NULL;
}

const char* kp_ort_pairs_get(const OrtKeyValuePairs* pairs, const char* key) {
  const size_t at = find(pairs, key);
  return at < pairs->count ? pairs->values[at] : NULL;
}

kp_status* kp_ort_pairs_copy(OrtKeyValuePairs* to, const OrtKeyValuePairs* from) {
  for (size_t i = 0; i < from->count; ++i)
    KP_PASS(kp_ort_pairs_set(to, from->keys[i], from->values[i]));
  return NULL;
}

static void remove_at(OrtKeyValuePairs* pairs, size_t at) {
  kp_free(pairs->keys[at]);
  kp_free(pairs->values[at]);
  pairs->count--;
  memmove(pairs->keys + at, pairs->keys + at + 1, (pairs->count - at) * sizeof(*pairs->keys));
  memmove(pairs->values + at, pairs->values + at + 1, (pairs->count - at) * sizeof(*pairs->values));
}

void kp_ort_pairs_clear(OrtKeyValuePairs* pairs) {
  while (pairs->count) remove_at(pairs, pairs->count - 1);
  kp_free(pairs->keys);
  kp_free(pairs->values);
  *pairs = (OrtKeyValuePairs){0};
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
void ort_CreateKeyValuePairs(OrtKeyValuePairs** out) {
  if (out) *out = kp_alloc_zero(1, sizeof(**out));
}

// These return nothing: a NULL or empty key changes nothing, nor does a NULL value, and without memory nothing is added.
void ort_AddKeyValuePair(OrtKeyValuePairs* kvps, const char* key, const char* value) {
  if (kvps && key && key[0] && value) kp_status_ignore(kp_ort_pairs_set(kvps, key, value));
}

const char* ort_GetKeyValue(const OrtKeyValuePairs* kvps, const char* key) {
  return kvps && key ? kp_ort_pairs_get(kvps, key) : NULL;
}

void ort_GetKeyValuePairs(const OrtKeyValuePairs* kvps, const char* const** keys,
                          const char* const** values, size_t* num_entries) {
  if (!keys || !values || !num_entries) return;
  *keys = kvps ? (const char* const*)kvps->keys : NULL;
  *values = kvps ? (const char* const*)kvps->values : NULL;
  *num_entries = kvps ? kvps->count : 0;
}

void ort_RemoveKeyValuePair(OrtKeyValuePairs* kvps, const char* key) {
  const size_t at = kvps && key ? find(kvps, key) : 0;
  if (kvps && key && at < kvps->count) remove_at(kvps, at);
}

void ort_ReleaseKeyValuePairs(OrtKeyValuePairs* kvps) {
  if (!kvps) return;
  kp_ort_pairs_clear(kvps);
  kp_free(kvps);
}
