// Strings: views into bytes that somebody else owns, a growing text buffer, and interned names.
#ifndef KP_BASE_STR_H_
#define KP_BASE_STR_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"

// A view: not NUL-terminated, may hold any byte. {NULL, 0} is empty.
typedef struct kp_str {
  const char* data;
  size_t length;
} kp_str;

static inline kp_str kp_str_of(const char* text) { return (kp_str){text, text ? strlen(text) : 0}; }
static inline bool kp_str_equal(kp_str a, kp_str b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}
static inline bool kp_str_is(kp_str a, const char* text) {
  return kp_str_equal(a, kp_str_of(text));
}
// For printf: "%.*s", KP_STR_ARG(name). Length is cut at 4096 so that hostile names cannot flood a message.
#define KP_STR_ARG(s) (int)((s).length > 4096 ? 4096 : (s).length), ((s).data ? (s).data : "")

bool kp_str_utf8_valid(kp_str text);

// A growing text. Failure is sticky: appends after out-of-memory do nothing and kp_strbuf_take gives NULL.
typedef struct kp_strbuf {
  char* data;  // owned, NUL-terminated once something was appended
  size_t length, capacity;
  bool failed;
} kp_strbuf;

void kp_strbuf_append(kp_strbuf* buf, const char* data, size_t length);
void kp_strbuf_puts(kp_strbuf* buf, const char* text);
void kp_strbuf_printf(kp_strbuf* buf, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
// Appends |text| as a JSON string with quotes; bytes that are no UTF-8 become U+FFFD.
void kp_strbuf_json(kp_strbuf* buf, kp_str text);
char* kp_strbuf_take(
    kp_strbuf*
        buf);  // the text (kp_free it), or NULL after a failure; the buffer is empty afterwards
void kp_strbuf_free(kp_strbuf* buf);

// Interned names: equal text gives the same pointer, so names compare by pointer and live as long as the table.
// Text is NUL-terminated; embedded NULs are refused (NULL is returned).
typedef struct kp_interner {
  kp_arena arena;
  const char** slots;  // open addressing, power of two
  uint32_t* hashes;
  size_t count, capacity;
  uint64_t seed;  // of the hashes
} kp_interner;

void kp_interner_init(kp_interner* table);
void kp_interner_free(kp_interner* table);
const char* kp_intern(kp_interner* table, kp_str text);  // NULL: out of memory or embedded NUL
const char* kp_intern_find(const kp_interner* table,
                           kp_str text);  // NULL if not there; never allocates

// A map from pointer (interned name or any address, never NULL) to uint32_t, open addressing.
typedef struct kp_ptr_map {
  const void** keys;
  uint32_t* values;
  size_t count, capacity;
} kp_ptr_map;

void kp_ptr_map_free(kp_ptr_map* map);
KP_MUST_USE kp_status* kp_ptr_map_put(kp_ptr_map* map, const void* key,
                                      uint32_t value);  // replaces
bool kp_ptr_map_get(const kp_ptr_map* map, const void* key, uint32_t* out_value);
void kp_ptr_map_clear(kp_ptr_map* map);  // keeps the memory

uint64_t kp_hash_bytes(const void* data, size_t byte_count, uint64_t seed);

// Parses a whole string as a number; false if anything is left over, out of range or empty.
bool kp_parse_i64(kp_str text, int64_t* out);
bool kp_parse_f64(kp_str text, double* out);  // locale-independent

#endif  // KP_BASE_STR_H_
