// Reads a JSON text (RFC 8259) into a tree: for configuration files, not for large data.
//
// Strict: no comments, no trailing commas, one value, UTF-8, no key twice in an object. Nesting at most KP_JSON_READ_DEPTH.
#ifndef KP_BASE_JSON_READ_H_
#define KP_BASE_JSON_READ_H_

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#define KP_JSON_READ_DEPTH 64

typedef enum kp_json_kind {
  KP_JSON_NULL,
  KP_JSON_BOOL,
  KP_JSON_NUMBER,
  KP_JSON_STRING,
  KP_JSON_ARRAY,
  KP_JSON_OBJECT
} kp_json_kind;

typedef struct kp_json_value {
  kp_json_kind kind;
  bool boolean;
  kp_str text;      // STRING: its characters, NUL-terminated; NUMBER: as written, likewise
  const char* key;  // of a member of an object; else NULL
  struct kp_json_value* first;  // ARRAY, OBJECT: elements or members, in order
  struct kp_json_value* next;
  size_t line;  // where it begins, from 1
} kp_json_value;

// The tree lies in |arena|; it points nowhere into |text|. Errors: INVALID_ARGUMENT naming line and column; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_json_read(kp_str text, kp_arena* arena, kp_json_value** out_value);
const kp_json_value* kp_json_find(const kp_json_value* object, const char* key);  // or NULL
const char* kp_json_kind_name(kp_json_kind kind);                                 // "a string"

#endif  // KP_BASE_JSON_READ_H_
