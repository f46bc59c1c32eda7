// The JSON writer. Neighbours: plan/ writes the report with it, exec/ the profile, cli/ every --json.
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void new_line(kp_json* json) {
  if (!json->pretty) return;
  kp_strbuf_puts(json->buf, "\n");
  for (int i = 0; i < json->depth; ++i) kp_strbuf_puts(json->buf, "  ");
}

static void separate(kp_json* json) {
  if (json->has_members[json->depth]) kp_strbuf_puts(json->buf, ",");
  if (json->depth) new_line(json);
  json->has_members[json->depth] = true;
}

// What goes before any value: nothing after a key; in an array a comma where needed.
static void begin_value(kp_json* json) {
  if (json->after_key) {
    json->after_key = false;
    return;
  }
  if (json->is_object[json->depth]) json->buf->failed = true;  // a value without its key
  separate(json);
}

static void begin(kp_json* json, bool is_object) {
  begin_value(json);
  kp_strbuf_puts(json->buf, is_object ? "{" : "[");
  if (json->depth == KP_JSON_MAX_DEPTH) {
    json->buf->failed = true;
    return;
  }
  ++json->depth;
  json->is_object[json->depth] = is_object;
  json->has_members[json->depth] = false;
}

static void end(kp_json* json, bool is_object) {
  if (json->depth == 0 || json->after_key || json->is_object[json->depth] != is_object) {
    json->buf->failed = true;
    return;
  }
  const bool was_empty = !json->has_members[json->depth];
  --json->depth;
  if (!was_empty) new_line(json);
  kp_strbuf_puts(json->buf, is_object ? "}" : "]");
}

void kp_json_begin_object(kp_json* json) { begin(json, true); }
void kp_json_end_object(kp_json* json) { end(json, true); }
void kp_json_begin_array(kp_json* json) { begin(json, false); }
void kp_json_end_array(kp_json* json) { end(json, false); }

void kp_json_key(kp_json* json, const char* key) {
  if (!json->is_object[json->depth] || json->after_key) json->buf->failed = true;
  separate(json);
  kp_strbuf_json(json->buf, kp_str_of(key));
  kp_strbuf_puts(json->buf, json->pretty ? ": " : ":");
  json->after_key = true;
}

void kp_json_str(kp_json* json, kp_str text) {
  begin_value(json);
  kp_strbuf_json(json->buf, text);
}

void kp_json_string(kp_json* json, const char* text) {
  if (text)
    kp_json_str(json, kp_str_of(text));
  else
    kp_json_null(json);
}

void kp_json_int(kp_json* json, int64_t number) {
  begin_value(json);
  kp_strbuf_printf(json->buf, "%" PRId64, number);
}

void kp_json_uint(kp_json* json, uint64_t number) {
  begin_value(json);
  kp_strbuf_printf(json->buf, "%" PRIu64, number);
}

// 15 digits show every shorter decimal as it was written, 17 suffice for all. Printing and reading follow the locale
// alike; its decimal point, of whatever bytes, is put right afterwards.
static void print_shortest(double number, char text[40]) {
  for (int digits = 15; digits <= 17; ++digits) {
    snprintf(text, 40, "%.*g", digits, number);
    if (strtod(text, NULL) == number) break;
  }
  char* to = text;
  for (const char* from = text; *from; ++from) {
    const bool plain = strchr("0123456789+-e", *from) != NULL;
    if (plain)
      *to++ = *from;
    else if (to[-1] != '.')
      *to++ = '.';
  }
  *to = 0;
}

void kp_json_double(kp_json* json, double number) {
  begin_value(json);
  char text[40] = "null";
  if (isfinite(number)) print_shortest(number, text);
  kp_strbuf_puts(json->buf, text);
}

void kp_json_bool(kp_json* json, bool value) {
  begin_value(json);
  kp_strbuf_puts(json->buf, value ? "true" : "false");
}

void kp_json_null(kp_json* json) {
  begin_value(json);
  kp_strbuf_puts(json->buf, "null");
}

void kp_json_member_string(kp_json* json, const char* key, const char* text) {
  kp_json_key(json, key);
  kp_json_string(json, text);
}

void kp_json_member_int(kp_json* json, const char* key, int64_t number) {
  kp_json_key(json, key);
  kp_json_int(json, number);
}

void kp_json_member_double(kp_json* json, const char* key, double number) {
  kp_json_key(json, key);
  kp_json_double(json, number);
}

void kp_json_member_bool(kp_json* json, const char* key, bool value) {
  kp_json_key(json, key);
  kp_json_bool(json, value);
}
