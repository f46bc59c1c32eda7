// A recursive-descent reader of the text that writes protobuf messages as it goes. Neighbours: wire_build.h has the wire format.
#include "support/model_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "base/types.h"
#include "support/wire_build.h"

typedef struct reader {
  const char* at;
  const char* begin;
  int opset, ir;
  kp_strbuf functions, opsets;  // fields of the model
} reader;

static _Noreturn void fail(const reader* r, const char* what) {
  int line = 1;
  for (const char* c = r->begin; c < r->at; ++c) line += *c == '\n';
  fprintf(stderr, "test model, line %d: %s at: %.40s\n", line, what, r->at);
  abort();
}

static void space(reader* r) {
  for (;;) {
    while (isspace((unsigned char)*r->at)) ++r->at;
    if (*r->at != '#') return;
    while (*r->at && *r->at != '\n') ++r->at;
  }
}

static bool accept(reader* r, const char* text) {
  space(r);
  const size_t length = strlen(text);
  if (strncmp(r->at, text, length) != 0) return false;
  r->at += length;
  return true;
}

static void expect(reader* r, const char* text) {
  if (!accept(r, text)) fail(r, text);
}

static kp_str word(reader* r) {
  space(r);
  const char* begin = r->at;
  while (isalnum((unsigned char)*r->at) || (*r->at && strchr("_./:-?", *r->at))) ++r->at;
  if (r->at == begin) fail(r, "a word is missing");
  return (kp_str){begin, (size_t)(r->at - begin)};
}

static bool next_is(reader* r, const char* text) {
  space(r);
  return strncmp(r->at, text, strlen(text)) == 0;
}

static double number(reader* r) {
  space(r);
  char* end;
  const double value = strtod(r->at, &end);
  if (end == r->at) fail(r, "a number is missing");
  r->at = end;
  return value;
}

static void put(kp_strbuf* out, unsigned field, kp_str text) {
  wb_bytes(out, field, text.data, text.length);
}

// --- types ------------------------------------------------------------------------------------------------------------------
static kapell_type element(reader* r) {
  space(r);
  const char* begin = r->at;
  while (isalnum((unsigned char)*r->at) || *r->at == '_') ++r->at;
  const kp_str name = {begin, (size_t)(r->at - begin)};
  const kapell_type type = kp_type_parse(name);
  if (type == KAPELL_UNDEFINED) fail(r, "no element type before");
  return type;
}

static void shape(reader* r, kp_strbuf* out) {
  kp_strbuf dims = {0};
  while (!accept(r, "]")) {
    kp_strbuf dim = {0};
    const kp_str text = word(r);
    int64_t value;
    if (kp_parse_i64(text, &value))
      wb_varint(&dim, 1, (uint64_t)value);
    else if (!kp_str_is(text, "?"))
      put(&dim, 2, text);
    wb_part(&dims, 1, &dim);
    accept(r, ",");
  }
  wb_part(out, 2, &dims);
}

static void type(reader* r, kp_strbuf* out) {
  kp_strbuf inner = {0}, outer = {0};
  const bool sequence = accept(r, "seq(");
  if (sequence || accept(r, "optional(")) {
    type(r, &inner);
    expect(r, ")");
    wb_part(&outer, 1, &inner);
    wb_part(out, sequence ? 4 : 9, &outer);
    return;
  }
  wb_varint(&inner, 1, element(r));
  if (accept(r, "[")) shape(r, &inner);
  wb_part(out, 1, &inner);
}

static void value_info(reader* r, kp_strbuf* graph, unsigned field) {
  kp_strbuf info = {0}, text = {0};
  put(&info, 1, word(r));
  type(r, &text);
  wb_part(&info, 2, &text);
  wb_part(graph, field, &info);
}

// --- tensors ----------------------------------------------------------------------------------------------------------------
double kp_test_random(unsigned seed, size_t index) {
  uint64_t state = (uint64_t)seed * 0x9e3779b97f4a7c15u + index * 0xd1342543de82ef95u + 1;
  state ^= state >> 31;
  state *= 0xbf58476d1ce4e5b9u;
  state ^= state >> 29;
  state *= 0x94d049bb133111ebu;
  return (double)(state >> 40) / 8388608.0 - 1;
}

static void put_element(kp_strbuf* raw, kapell_type kind, double value) {
  const float f = (float)value;
  const int64_t i = (int64_t)value;
  switch (kind) {
    case KAPELL_FLOAT:
      kp_strbuf_append(raw, (const char*)&f, sizeof f);
      break;
    case KAPELL_DOUBLE:
      kp_strbuf_append(raw, (const char*)&value, sizeof value);
      break;
    default:
      kp_strbuf_append(raw, (const char*)&i, kp_type_bits(kind) / 8);
      break;  // little-endian integers of any width
  }
}

static void put_string(reader* r, kp_strbuf* out, unsigned field) {
  expect(r, "\"");
  const char* begin = r->at;
  while (*r->at && *r->at != '"') ++r->at;
  wb_bytes(out, field, begin, (size_t)(r->at - begin));
  expect(r, "\"");
}

// After the type: elements, until |count| are there.
static void elements(reader* r, kp_strbuf* tensor, kapell_type kind, size_t count) {
  kp_strbuf raw = {0};
  const bool random = accept(r, "random"), fill = !random && accept(r, "fill");
  const double value = random || fill ? number(r) : 0;
  for (size_t i = 0; i < count; ++i) {
    if (kind == KAPELL_STRING)
      put_string(r, tensor, 6);
    else
      put_element(&raw, kind,
                  random ? kp_test_random((unsigned)value, i)
                  : fill ? value
                         : number(r));
  }
  if (kind != KAPELL_STRING) wb_bytes(tensor, 9, raw.data, raw.length);
  kp_strbuf_free(&raw);
}

static void tensor(reader* r, kp_str name, const char* open, kp_strbuf* out) {
  const kapell_type kind = element(r);
  size_t count = 1;
  expect(r, "[");
  while (!accept(r, "]")) {
    const uint64_t dim = (uint64_t)number(r);
    wb_varint(out, 1, dim);
    count *= dim;
    accept(r, ",");
  }
  wb_varint(out, 2, kind);
  if (name.length) put(out, 8, name);
  expect(r, open);
  elements(r, out, kind, count);
}

static void initializer(reader* r, kp_strbuf* graph) {
  kp_strbuf part = {0};
  const kp_str name = word(r);
  tensor(r, name, "=", &part);
  wb_part(graph, 5, &part);
}

// --- attributes ---------------------------------------------------------------------------------------------------------------
static void body(reader* r, const char* name, size_t length, kp_strbuf* out);

static bool whole(double value, const char* text, const char* end) {
  return value == floor(value) && !memchr(text, '.', (size_t)(end - text)) &&
         !memchr(text, 'e', (size_t)(end - text));
}

static void number_attribute(reader* r, kp_strbuf* attr) {
  space(r);
  const char* begin = r->at;
  const double value = number(r);
  const bool is_int = whole(value, begin, r->at);
  if (is_int)
    wb_varint(attr, 3, (uint64_t)(int64_t)value);
  else
    wb_f32(attr, 2, (float)value);
  wb_varint(attr, 20, is_int ? 2 : 1);
}

static void list_attribute(reader* r, kp_strbuf* attr) {
  unsigned kind = 7;  // INTS, also when empty
  while (!accept(r, "]")) {
    if (next_is(r, "\"")) {
      put_string(r, attr, 9);
      kind = 8;
    } else {
      space(r);
      const char* begin = r->at;
      const double value = number(r);
      if (whole(value, begin, r->at)) {
        wb_varint(attr, 8, (uint64_t)(int64_t)value);
      } else {
        wb_f32(attr, 7, (float)value);
        kind = 6;
      }
    }
    accept(r, ",");
  }
  wb_varint(attr, 20, kind);
}

static void attribute(reader* r, kp_strbuf* node) {
  kp_strbuf attr = {0}, part = {0};
  const kp_str name = word(r);
  put(&attr, 1, name);
  expect(r, "=");
  if (accept(r, "@")) {
    put(&attr, 21, word(r));
  } else if (accept(r, "{")) {
    body(r, name.data, name.length, &part);
    expect(r, "}");
    wb_part(&attr, 6, &part);
    wb_varint(&attr, 20, 5);
  } else if (accept(r, "[")) {
    list_attribute(r, &attr);
  } else if (next_is(r, "\"")) {
    put_string(r, &attr, 4);
    wb_varint(&attr, 20, 3);
  } else if (isalpha((unsigned char)*r->at)) {
    tensor(r, (kp_str){NULL, 0}, "{", &part);
    expect(r, "}");
    wb_part(&attr, 5, &part);
    wb_varint(&attr, 20, 4);
  } else {
    number_attribute(r, &attr);
  }
  wb_part(node, 5, &attr);
}

// --- nodes and graphs ---------------------------------------------------------------------------------------------------------
static bool attribute_follows(
    const reader* r) {  // name '=' without ',' or '(' between, on this line
  const char* c = r->at;
  while (*c == ' ') ++c;
  if (!isalpha((unsigned char)*c)) return false;
  while (isalnum((unsigned char)*c) || *c == '_') ++c;
  return *c == '=';
}

static void operator_name(kp_strbuf* node, kp_str text) {
  size_t dot = text.length;
  while (dot > 0 && text.data[dot - 1] != '.') --dot;
  put(node, 4, (kp_str){text.data + dot, text.length - dot});
  if (dot) put(node, 7, (kp_str){text.data, dot - 1});
}

static void node(reader* r, kp_strbuf* graph) {
  kp_strbuf part = {0};
  kp_str first = {NULL, 0};
  do {
    const bool absent = next_is(r, ",") || next_is(r, "=");
    const kp_str name = absent ? (kp_str){"", 0} : word(r);
    if (!first.length) first = name;
    put(&part, 2, name);
  } while (accept(r, ","));
  expect(r, "=");
  operator_name(&part, word(r));
  expect(r, "(");
  while (!accept(r, ")")) {
    const bool absent = next_is(r, ",");
    put(&part, 1, absent ? (kp_str){"", 0} : word(r));
    if (!accept(r, ",") && !next_is(r, ")")) fail(r, "',' or ')' is missing");
  }
  put(&part, 3, first);
  while (attribute_follows(r)) attribute(r, &part);
  wb_part(graph, 1, &part);
}

static bool keyword(reader* r, const char* text) {
  const char* before = r->at;
  if (accept(r, text) && (*r->at == ' ')) return true;
  r->at = before;
  return false;
}

static void opset(kp_strbuf* out, unsigned field, kp_str domain, uint64_t version) {
  kp_strbuf part = {0};
  put(&part, 1, domain);
  wb_varint(&part, 2, version);
  wb_part(out, field, &part);
}

static void names_in_brackets(reader* r, kp_strbuf* out, unsigned field) {
  expect(r, "(");
  while (!accept(r, ")")) {
    put(out, field, word(r));
    accept(r, ",");
  }
}

static void function(reader* r) {
  kp_strbuf part = {0}, nodes = {0};
  const kp_str text = word(r);
  size_t dot = text.length;
  while (dot > 0 && text.data[dot - 1] != '.') --dot;
  put(&part, 1, (kp_str){text.data + dot, text.length - dot});
  if (dot) put(&part, 10, (kp_str){text.data, dot - 1});
  names_in_brackets(r, &part, 4);
  expect(r, "=>");
  names_in_brackets(r, &part, 5);
  while (!accept(r, "{")) {
    if (attribute_follows(r)) {
      kp_strbuf attr = {0};
      attribute(r, &attr);
      kp_str message = {attr.data, attr.length};
      message.data += 1,
          message.length -= 1;  // attribute() wrote a field of a node: tag, size, message
      while (message.data[0] & 0x80) message.data += 1, message.length -= 1;
      put(&part, 11, (kp_str){message.data + 1, message.length - 1});
      kp_strbuf_free(&attr);
    } else {
      put(&part, 6, word(r));
    }
    accept(r, ",");
  }
  for (space(r); !accept(r, "}"); space(r)) node(r, &nodes);
  // Nodes of a graph are field 1, those of a function field 7.
  for (const char *at = nodes.data, *end = nodes.data + nodes.length; at < end;) {
    size_t size = 0, shift = 0;
    do {
      ++at;
      size |= (size_t)(*at & 0x7f) << shift;
      shift += 7;
    } while (*at & 0x80);
    wb_bytes(&part, 7, ++at, size);
    at += size;
  }
  kp_strbuf_free(&nodes);
  opset(&part, 9, (kp_str){"", 0}, (uint64_t)r->opset);
  wb_part(&r->functions, 25, &part);
}

static void body(reader* r, const char* name, size_t length, kp_strbuf* out) {
  wb_bytes(out, 2, name, length);
  for (space(r); *r->at && *r->at != '}'; space(r)) {
    if (keyword(r, "in"))
      value_info(r, out, 11);
    else if (keyword(r, "out"))
      value_info(r, out, 12);
    else if (keyword(r, "init"))
      initializer(r, out);
    else if (keyword(r, "function"))
      function(r);
    else if (keyword(r, "ir"))
      r->ir = (int)number(r);
    else if (keyword(r, "opset"))
      r->opset = (int)number(r);
    else if (keyword(r, "import")) {
      const kp_str domain = word(r);
      opset(&r->opsets, 8, domain, (uint64_t)number(r));
    } else
      node(r, out);
  }
}

char* kp_test_model(const char* text, int version, size_t* out_byte_count) {
  reader r = {.at = text, .begin = text, .opset = version, .ir = 8};
  kp_strbuf graph = {0}, model = {0};
  body(&r, "test", 4, &graph);
  if (*r.at) fail(&r, "a '}' too many");
  wb_varint(&model, 1, (uint64_t)r.ir);
  wb_part(&model, 7, &graph);
  if (r.opset > 0) {
    opset(&model, 8, (kp_str){"", 0}, (uint64_t)r.opset);
    opset(&model, 8, kp_str_of("com.microsoft"), 1);
    opset(&model, 8, kp_str_of("ai.onnx.ml"), 3);
  }
  kp_strbuf_append(&model, r.opsets.data, r.opsets.length);
  kp_strbuf_append(&model, r.functions.data, r.functions.length);
  kp_strbuf_free(&r.opsets);
  kp_strbuf_free(&r.functions);
  char* bytes = malloc(model.length);
  if (!bytes) abort();
  memcpy(bytes, model.data, model.length);
  *out_byte_count = model.length;
  kp_strbuf_free(&model);
  return bytes;
}

// --- values -------------------------------------------------------------------------------------------------------------------
static void must(kp_status* status) {
  if (!status) return;
  fprintf(stderr, "test value: %s\n", kp_status_text(status));
  abort();
}

kapell_value* kp_test_value(const char* text) {
  reader r = {.at = text, .begin = text};
  const kapell_type kind = element(&r);
  int64_t dims[KP_MAX_RANK];
  int32_t rank = 0;
  expect(&r, "[");
  while (!accept(&r, "]")) {
    dims[rank++] = (int64_t)number(&r);
    accept(&r, ",");
  }
  kapell_value* value = NULL;
  must(kp_value_create_tensor(kind, dims, rank, &value));
  const size_t count = kp_value_count(value);
  if (kind == KAPELL_STRING) {
    for (size_t i = 0; i < count; ++i) {
      expect(&r, "\"");
      const size_t length = strcspn(r.at, "\"");
      must(kp_value_set_string(value, i, (kp_str){r.at, length}));
      r.at += length + 1;
    }
    return value;
  }
  const bool random = accept(&r, "random"), fill = !random && accept(&r, "fill");
  const double seed = random || fill ? number(&r) : 0;
  kp_strbuf raw = {0};
  for (size_t i = 0; i < count; ++i)
    put_element(&raw, kind, random ? kp_test_random((unsigned)seed, i) : fill ? seed : number(&r));
  if (raw.length) memcpy(value->data, raw.data, raw.length);
  kp_strbuf_free(&raw);
  return value;
}
