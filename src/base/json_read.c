// Recursive descent over JSON, with a limit of depth; keys of an object are compared with the ones before it.
#include "base/json_read.h"

#include <string.h>

typedef struct reader {
  const char *begin, *at, *end;
  const char* counted;  // lines are counted up to here
  size_t line;
  kp_arena* arena;
  int depth;
} reader;

static size_t line_of(reader* r) {
  for (; r->counted < r->at; ++r->counted) r->line += *r->counted == '\n';
  return r->line;
}

static kp_status* wrong(reader* r, const char* what) {
  size_t column = 1;
  for (const char* c = r->at; c > r->begin && c[-1] != '\n'; --c) ++column;
  return KP_ERROR(INVALID_ARGUMENT, "no JSON: line %zu, column %zu: %s", line_of(r), column, what);
}

static void skip_space(reader* r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
    ++r->at;
}

static bool take(reader* r, char c) {
  if (r->at == r->end || *r->at != c) return false;
  ++r->at;
  return true;
}

// --- strings -----------------------------------------------------------------------------------------------------------------
static bool hex4(reader* r, uint32_t* out) {
  *out = 0;
  for (int i = 0; i < 4; ++i, ++r->at) {
    if (r->at == r->end) return false;
    const char c = *r->at;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return false;
    *out = *out * 16 + (uint32_t)digit;
  }
  return true;
}

static size_t put_utf8(uint32_t code, char* out) {
  if (code < 0x80) return out[0] = (char)code, 1;
  if (code < 0x800) {
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 63));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 63));
    out[2] = (char)(0x80 | (code & 63));
    return 3;
  }
  out[0] = (char)(0xf0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 63));
  out[2] = (char)(0x80 | (code >> 6 & 63));
  out[3] = (char)(0x80 | (code & 63));
  return 4;
}

// After "\u": one code point, of two escapes where it needs them.
static kp_status* read_code(reader* r, uint32_t* out) {
  uint32_t low;
  if (!hex4(r, out)) return wrong(r, "\\u needs four hexadecimal digits");
  if (*out == 0) return wrong(r, "\\u0000 is not allowed here");
  if (*out < 0xd800 || *out > 0xdfff) return NULL;
  if (*out > 0xdbff || !take(r, '\\') || !take(r, 'u') || !hex4(r, &low) || low < 0xdc00 ||
      low > 0xdfff)
    return wrong(r, "half of a surrogate pair");
  *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
  return NULL;
}

static kp_status* read_escape(reader* r, char* out, size_t* length) {
  static const char kFrom[] = "\"\\/bfnrt", kTo[] = "\"\\/\b\f\n\r\t";
  const char c = r->at < r->end ? *r->at++ : 0;
  const char* known = c ? strchr(kFrom, c) : NULL;
  if (known) return out[(*length)++] = kTo[known - kFrom], NULL;
  uint32_t code;
  if (c != 'u') return wrong(r, "an escape that JSON does not have");
  KP_PASS(read_code(r, &code));
  *length += put_utf8(code, out + *length);
  return NULL;
}

static kp_status* read_string(reader* r, kp_str* out) {
  if (!take(r, '"')) return wrong(r, "a string is wanted");
  const char* close = r->at;
  while (close < r->end && *close != '"') close += *close == '\\' && close + 1 < r->end ? 2 : 1;
  if (close >= r->end) return wrong(r, "a string does not end");
  char* text = kp_arena_alloc(
      r->arena, (size_t)(close - r->at) + 1);  // escapes are longer than what they mean
  size_t length = 0;
  if (!text) return KP_ERROR(OUT_OF_MEMORY, "a JSON text");
  while (r->at < close) {
    const char c = *r->at++;
    if ((unsigned char)c < 32) return wrong(r, "a control character within a string");
    if (c == '\\')
      KP_PASS(read_escape(r, text, &length));
    else
      text[length++] = c;
  }
  text[length] = 0;
  *out = (kp_str){text, length};
  if (!kp_str_utf8_valid(*out)) return wrong(r, "a string that is no UTF-8");
  r->at = close + 1;
  return NULL;
}

// --- numbers -----------------------------------------------------------------------------------------------------------------
static size_t digits(reader* r) {
  size_t count = 0;
  for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; ++r->at) ++count;
  return count;
}

static kp_status* read_number(reader* r, kp_json_value* value) {
  const char* begin = r->at;
  (void)take(r, '-');
  const bool zero = r->at < r->end && *r->at == '0';
  const size_t whole = digits(r);
  if (whole == 0 || (zero && whole > 1)) return wrong(r, "a value is wanted");
  if (take(r, '.') && digits(r) == 0) return wrong(r, "digits are wanted after the point");
  if (take(r, 'e') || take(r, 'E')) {
    if (!take(r, '+')) (void)take(r, '-');
    if (digits(r) == 0) return wrong(r, "digits are wanted in the exponent");
  }
  value->kind = KP_JSON_NUMBER;
  value->text.length = (size_t)(r->at - begin);
  value->text.data = kp_arena_strndup(r->arena, begin, value->text.length);
  return value->text.data ? NULL : KP_ERROR(OUT_OF_MEMORY, "a JSON text");
}

// --- values ------------------------------------------------------------------------------------------------------------------
static kp_status* read_value(reader* r, kp_json_value** out);

static kp_status* read_word(reader* r, const char* word, kp_json_kind kind, kp_json_value* value) {
  const size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
    return wrong(r, "a value is wanted");
  r->at += length;
  value->kind = kind;
  value->boolean = word[0] == 't';
  return NULL;
}

static kp_status* read_key(reader* r, const kp_json_value* object, kp_str* out) {
  skip_space(r);
  KP_PASS(read_string(r, out));
  if (kp_json_find(object, out->data)) return wrong(r, "a key stands twice in its object");
  skip_space(r);
  return take(r, ':') ? NULL : wrong(r, "':' is wanted after a key");
}

static kp_status* read_items(reader* r, char close, kp_json_value* value) {
  kp_json_value** last = &value->first;
  skip_space(r);
  if (take(r, close)) return NULL;
  for (;;) {
    kp_str key = {0};
    if (value->kind == KP_JSON_OBJECT) KP_PASS(read_key(r, value, &key));
    kp_json_value* item;
    KP_PASS(read_value(r, &item));
    if (!item) return KP_ERROR(INTERNAL, "a JSON value that is none");
    item->key = key.data;
    *last = item;
    last = &item->next;
    skip_space(r);
    if (take(r, close)) return NULL;
    if (!take(r, ',')) return wrong(r, "',' or the end is wanted");
  }
}

static kp_status* read_any(reader* r, kp_json_value* value) {
  const char c = r->at < r->end ? *r->at : 0;
  switch (c) {
    case '{':
    case '[':
      ++r->at;
      value->kind = c == '{' ? KP_JSON_OBJECT : KP_JSON_ARRAY;
      return read_items(r, c == '{' ? '}' : ']', value);
    case '"':
      value->kind = KP_JSON_STRING;
      return read_string(r, &value->text);
    case 't':
      return read_word(r, "true", KP_JSON_BOOL, value);
    case 'f':
      return read_word(r, "false", KP_JSON_BOOL, value);
    case 'n':
      return read_word(r, "null", KP_JSON_NULL, value);
    default:
      return read_number(r, value);
  }
}

static kp_status* read_value(reader* r, kp_json_value** out) {
  *out = NULL;
  skip_space(r);
  if (r->depth == KP_JSON_READ_DEPTH) return wrong(r, "nested too deep");
  kp_json_value* value = kp_arena_new(r->arena, kp_json_value);
  if (!value) return KP_ERROR(OUT_OF_MEMORY, "a JSON text");
  *value = (kp_json_value){.line = line_of(r)};
  ++r->depth;
  KP_PASS(read_any(r, value));
  --r->depth;
  *out = value;
  return NULL;
}

kp_status* kp_json_read(kp_str text, kp_arena* arena, kp_json_value** out_value) {
  reader r = {.begin = text.data,
              .at = text.data,
              .end = text.data + text.length,
              .counted = text.data,
              .line = 1,
              .arena = arena};

  *out_value = NULL;
  if (text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) r.at += 3;
  kp_json_value* value;
  KP_PASS(read_value(&r, &value));
  skip_space(&r);
  if (r.at != r.end) return wrong(&r, "something stands behind the value");
  *out_value = value;
  return NULL;
}

const kp_json_value* kp_json_find(const kp_json_value* object, const char* key) {
  if (object->kind != KP_JSON_OBJECT) return NULL;
  const kp_json_value* member = object->first;
  while (member && (!member->key || strcmp(member->key, key) != 0)) member = member->next;
  return member;
}

const char* kp_json_kind_name(kp_json_kind kind) {
  static const char* const names[] = {"null",     "true or false", "a number",
                                      "a string", "a list",        "an object"};
  return names[kind];
}
