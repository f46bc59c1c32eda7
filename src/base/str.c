// Views, the growing text buffer, interned names, the pointer map, hashing and number parsing.
// Neighbours: status.c makes its text here; json.c writes through the buffer; graph/ interns every name.
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "base/alloc.h"
#include "base/size.h"

// --- UTF-8 ---------------------------------------------------------------------------------------------------------

// Bytes of the well-formed sequence at |text|, 1..4, or 0: no overlong forms, surrogates or values over U+10FFFF
// (Unicode 15, table 3-7).
static size_t utf8_sequence(const unsigned char* text, size_t length) {
  const unsigned char lead = text[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t count = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length < count) return 0;
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (text[1] < low || text[1] > high) return 0;
  for (size_t i = 2; i < count; ++i)
    if ((text[i] & 0xC0) != 0x80) return 0;
  return count;
}

bool kp_str_utf8_valid(kp_str text) {
  const unsigned char* bytes = (const unsigned char*)text.data;
  for (size_t i = 0; i < text.length;) {
    const size_t count = utf8_sequence(bytes + i, text.length - i);
    if (count == 0) return false;
    i += count;
  }
  return true;
}

// --- text buffer ---------------------------------------------------------------------------------------------------

// Makes room for |extra| more bytes and the NUL.
static bool strbuf_reserve(kp_strbuf* buf, size_t extra) {
  size_t least;
  if (buf->failed) return false;
  if (kp_add_size(buf->length, extra, &least) && kp_add_size(least, 1, &least)) {
    if (buf->data && least <= buf->capacity) return true;
    size_t capacity;
    if (!kp_mul_size(buf->capacity, 2, &capacity)) capacity = least;
    capacity = kp_max_size(kp_max_size(capacity, least), 64);
    char* data = kp_realloc_array(buf->data, capacity, 1);
    if (data) {
      buf->data = data;
      buf->capacity = capacity;
      return true;
    }
  }
  buf->failed = true;
  return false;
}

void kp_strbuf_append(kp_strbuf* buf, const char* data, size_t length) {
  if (!strbuf_reserve(buf, length)) return;
  if (length) memcpy(buf->data + buf->length, data, length);
  buf->length += length;
  buf->data[buf->length] = 0;
}

void kp_strbuf_puts(kp_strbuf* buf, const char* text) { kp_strbuf_append(buf, text, strlen(text)); }

void kp_strbuf_printf(kp_strbuf* buf, const char* format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int length = vsnprintf(NULL, 0, format, args);
  if (length < 0) buf->failed = true;
  if (length >= 0 && strbuf_reserve(buf, (size_t)length)) {
    vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
    buf->length += (size_t)length;
  }
  va_end(again);
  va_end(args);
}

// Appends one character below U+0080 as JSON writes it inside quotes.
static void put_json_ascii(kp_strbuf* buf, unsigned char c) {
  static const char short_names[] =
      "\bb\ff\nn\rr\tt\"\"\\\\";  // pairs: character, letter after the backslash
  for (size_t i = 0; i + 1 < sizeof short_names; i += 2) {
    if ((unsigned char)short_names[i] != c) continue;
    const char pair[2] = {'\\', short_names[i + 1]};
    kp_strbuf_append(buf, pair, 2);
    return;
  }
  if (c < 0x20 || c == 0x7f)
    kp_strbuf_printf(buf, "\\u%04x", c);
  else
    kp_strbuf_append(buf, &(const char){(char)c}, 1);
}

void kp_strbuf_json(kp_strbuf* buf, kp_str text) {
  const unsigned char* bytes = (const unsigned char*)text.data;
  kp_strbuf_append(buf, "\"", 1);
  for (size_t i = 0; i < text.length;) {
    const size_t count = utf8_sequence(bytes + i, text.length - i);
    if (count == 0)
      kp_strbuf_puts(buf, "\xEF\xBF\xBD");
    else if (count == 1)
      put_json_ascii(buf, bytes[i]);
    else
      kp_strbuf_append(buf, text.data + i, count);
    i += count ? count : 1;
  }
  kp_strbuf_append(buf, "\"", 1);
}

char* kp_strbuf_take(kp_strbuf* buf) {
  if (!buf->data) kp_strbuf_append(buf, "", 0);
  char* text = buf->failed ? NULL : buf->data;
  if (!text) kp_free(buf->data);
  *buf = (kp_strbuf){0};
  return text;
}

void kp_strbuf_free(kp_strbuf* buf) {
  kp_free(buf->data);
  *buf = (kp_strbuf){0};
}

// --- hashing -------------------------------------------------------------------------------------------------------

// Multiplies to 128 bits and folds the halves: every input bit reaches every output bit.
static uint64_t fold(uint64_t a, uint64_t b) {
  const unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t kp_hash_bytes(const void* data, size_t byte_count, uint64_t seed) {
  const uint64_t odd_a = UINT64_C(0x9E3779B97F4A7C15), odd_b = UINT64_C(0xD6E8FEB86659FD93);
  const unsigned char* bytes = data;
  uint64_t hash = seed ^ fold(byte_count + odd_a, odd_b);
  for (; byte_count >= 8; byte_count -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    hash = fold(hash ^ word, odd_a);
  }
  if (byte_count) {
    uint64_t word = 0;
    memcpy(&word, bytes, byte_count);
    hash = fold(hash ^ word, odd_a);
  }
  return fold(hash ^ odd_b, odd_a);
}

// --- interned names ------------------------------------------------------------------------------------------------

// Differs by process, so that a model cannot carry names made to collide.
static uint64_t process_seed(void) {
  uint64_t seed = 0;
  const unsigned long address = getauxval(AT_RANDOM);  // 16 random bytes from the kernel
  if (address) memcpy(&seed, (const void*)address, sizeof seed);
  return seed;
}

void kp_interner_init(kp_interner* table) { *table = (kp_interner){.seed = process_seed()}; }

void kp_interner_free(kp_interner* table) {
  kp_arena_free(&table->arena);
  kp_free(table->slots);
  kp_free(table->hashes);
  kp_interner_init(table);
}

// The slot that holds |text|, or the empty one where it belongs. The table is never full.
static size_t interner_slot(const kp_interner* table, kp_str text, uint32_t hash) {
  const size_t mask = table->capacity - 1;
  size_t i = hash & mask;
  for (; table->slots[i]; i = (i + 1) & mask) {
    if (table->hashes[i] != hash || strncmp(table->slots[i], text.data, text.length) != 0) continue;
    if (table->slots[i][text.length] == 0) break;
  }
  return i;
}

static bool interner_grow(kp_interner* table) {
  const size_t capacity = table->capacity ? table->capacity * 2 : 64;
  const char** slots = kp_alloc_zero(capacity, sizeof *slots);
  uint32_t* hashes = slots ? kp_alloc_array(capacity, sizeof *hashes) : NULL;
  if (!hashes) {
    kp_free(slots);
    return false;
  }
  for (size_t i = 0; i < table->capacity; ++i) {
    if (!table->slots[i]) continue;
    size_t j = table->hashes[i] & (capacity - 1);
    while (slots[j]) j = (j + 1) & (capacity - 1);
    slots[j] = table->slots[i];
    hashes[j] = table->hashes[i];
  }
  kp_free(table->slots);
  kp_free(table->hashes);
  table->slots = slots;
  table->hashes = hashes;
  table->capacity = capacity;
  return true;
}

static uint32_t interner_hash(const kp_interner* table, kp_str text) {
  return (uint32_t)(kp_hash_bytes(text.data, text.length, table->seed) >> 32);
}

// A name without bytes still needs an address to compare with.
static kp_str with_data(kp_str text) { return text.data ? text : (kp_str){"", 0}; }

const char* kp_intern(kp_interner* table, kp_str text) {
  text = with_data(text);
  if (memchr(text.data, 0, text.length)) return NULL;
  if (table->count + 1 > table->capacity / 2 && !interner_grow(table)) return NULL;
  const uint32_t hash = interner_hash(table, text);
  const size_t slot = interner_slot(table, text, hash);
  if (table->slots[slot]) return table->slots[slot];
  const char* name = kp_arena_strndup(&table->arena, text.data, text.length);
  if (!name) return NULL;
  table->slots[slot] = name;
  table->hashes[slot] = hash;
  ++table->count;
  return name;
}

const char* kp_intern_find(const kp_interner* table, kp_str text) {
  text = with_data(text);
  if (table->count == 0 || memchr(text.data, 0, text.length)) return NULL;
  return table->slots[interner_slot(table, text, interner_hash(table, text))];
}

// --- pointer map ---------------------------------------------------------------------------------------------------

static size_t ptr_slot(const void* const* keys, size_t capacity, const void* key) {
  const uint64_t hash = fold((uint64_t)(uintptr_t)key, UINT64_C(0x9E3779B97F4A7C15));
  size_t i = (size_t)hash & (capacity - 1);
  while (keys[i] && keys[i] != key) i = (i + 1) & (capacity - 1);
  return i;
}

static bool ptr_map_grow(kp_ptr_map* map) {
  const size_t capacity = map->capacity ? map->capacity * 2 : 32;
  const void** keys = kp_alloc_zero(capacity, sizeof *keys);
  uint32_t* values = keys ? kp_alloc_array(capacity, sizeof *values) : NULL;
  if (!values) {
    kp_free(keys);
    return false;
  }
  for (size_t i = 0; i < map->capacity; ++i) {
    if (!map->keys[i]) continue;
    const size_t slot = ptr_slot(keys, capacity, map->keys[i]);
    keys[slot] = map->keys[i];
    values[slot] = map->values[i];
  }
  kp_free(map->keys);
  kp_free(map->values);
  *map = (kp_ptr_map){keys, values, map->count, capacity};
  return true;
}

void kp_ptr_map_free(kp_ptr_map* map) {
  kp_free(map->keys);
  kp_free(map->values);
  *map = (kp_ptr_map){0};
}

kp_status* kp_ptr_map_put(kp_ptr_map* map, const void* key, uint32_t value) {
  if (map->count + 1 > map->capacity / 2 && !ptr_map_grow(map))
    return KP_ERROR(OUT_OF_MEMORY, "a map of %zu entries", map->count + 1);
  const size_t slot = ptr_slot(map->keys, map->capacity, key);
  if (!map->keys[slot]) ++map->count;
  map->keys[slot] = key;
  map->values[slot] = value;
  return NULL;
}

bool kp_ptr_map_get(const kp_ptr_map* map, const void* key, uint32_t* out_value) {
  if (map->count == 0) return false;
  const size_t slot = ptr_slot(map->keys, map->capacity, key);
  if (!map->keys[slot]) return false;
  *out_value = map->values[slot];
  return true;
}

void kp_ptr_map_clear(kp_ptr_map* map) {
  if (map->capacity) memset(map->keys, 0, map->capacity * sizeof *map->keys);
  map->count = 0;
}

// --- numbers -------------------------------------------------------------------------------------------------------

bool kp_parse_i64(kp_str text, int64_t* out) {
  const bool has_sign = text.length > 0 && (text.data[0] == '-' || text.data[0] == '+');
  const bool negative = has_sign && text.data[0] == '-';
  if (text.length == (has_sign ? 1u : 0u)) return false;
  int64_t value = 0;  // kept negative: the range reaches further there
  for (size_t i = has_sign ? 1 : 0; i < text.length; ++i) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    if (!kp_mul_i64(value, 10, &value) || !kp_add_i64(value, '0' - text.data[i], &value))
      return false;
  }
  if (!negative && value == INT64_MIN) return false;
  *out = negative ? value : -value;
  return true;
}

bool kp_parse_f64(kp_str text, double* out) {
  char copy[1024];  // strtod needs a NUL; no number worth reading is longer
  if (text.length == 0 || text.length >= sizeof copy || memchr(text.data, 0, text.length))
    return false;
  if ((unsigned char)text.data[0] <= ' ') return false;  // strtod would skip white space
  memcpy(copy, text.data, text.length);
  copy[text.length] = 0;
  const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!plain) return false;
  char* end = copy;
  errno = 0;
  const double value = strtod_l(copy, &end, plain);
  const bool overflow = errno == ERANGE && fabs(value) > 1.0;
  freelocale(plain);
  if (*end || end == copy || overflow) return false;
  *out = value;
  return true;
}
