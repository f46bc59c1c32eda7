// Writes JSON into a text buffer, piece by piece; commas and quotes are its business. The library reads no JSON with it.
//
//   kp_json json = {.buf = &buf};
//   kp_json_begin_object(&json);
//   kp_json_key(&json, "nodes");
//   kp_json_int(&json, 12);
//   kp_json_end_object(&json);
//
// Threads: one at a time. Errors: the buffer's sticky failure. Nesting over KP_JSON_MAX_DEPTH and a misplaced end or key are
// mistakes of the caller: they set the buffer's failure too.
#ifndef KP_BASE_JSON_H_
#define KP_BASE_JSON_H_

#include "base/str.h"

#define KP_JSON_MAX_DEPTH 64

typedef struct kp_json {
  kp_strbuf* buf;  // borrowed
  bool pretty;     // one member a line, two spaces a level; false: no white space
  int depth;       // open objects and arrays
  bool after_key;  // the next value belongs to the key just written
  bool has_members[KP_JSON_MAX_DEPTH + 1];
  bool is_object[KP_JSON_MAX_DEPTH + 1];
} kp_json;

void kp_json_begin_object(kp_json* json);
void kp_json_end_object(kp_json* json);
void kp_json_begin_array(kp_json* json);
void kp_json_end_array(kp_json* json);
void kp_json_key(kp_json* json, const char* key);
void kp_json_str(kp_json* json, kp_str text);
void kp_json_string(kp_json* json, const char* text);  // NULL writes null
void kp_json_int(kp_json* json, int64_t number);
void kp_json_uint(kp_json* json, uint64_t number);
void kp_json_double(kp_json* json,
                    double number);  // fewest digits that read back the same; null if not finite
void kp_json_bool(kp_json* json, bool value);
void kp_json_null(kp_json* json);

// Key and value in one call.
void kp_json_member_string(kp_json* json, const char* key, const char* text);
void kp_json_member_int(kp_json* json, const char* key, int64_t number);
void kp_json_member_double(kp_json* json, const char* key, double number);
void kp_json_member_bool(kp_json* json, const char* key, bool value);

#endif  // KP_BASE_JSON_H_
