// See onnx_equal.h.
#include "support/onnx_equal.h"

#include "base/str.h"

static bool strings_equal(const char* a, const char* b, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!kp_str_equal(((const kp_str*)a)[i], ((const kp_str*)b)[i])) return false;
  }
  return true;
}

// The encoded elements of typed field |number|, without the tags between them.
static void collect_typed(const kp_onnx_tensor* tensor, uint32_t number, kp_wire_type wire,
                          kp_strbuf* out) {
  if (!(tensor->typed_fields >> number & 1)) return;
  kp_wire_cursor cursor = kp_wire_open(tensor->body);
  kp_wire_field field;
  while (kp_wire_next(&cursor, &field)) {
    if (field.number == number && (field.type == KP_WIRE_BYTES || field.type == wire))
      kp_strbuf_append(out, (const char*)field.data, field.size);
  }
}

static bool typed_equal(const kp_onnx_field* row, uint32_t number, const void* a, const void* b) {
  kp_strbuf x = {0}, y = {0};
  collect_typed(a, number, (kp_wire_type)row->wire, &x);
  collect_typed(b, number, (kp_wire_type)row->wire, &y);
  const bool equal = kp_str_equal((kp_str){x.data, x.length}, (kp_str){y.data, y.length});
  kp_strbuf_free(&x);
  kp_strbuf_free(&y);
  return equal;
}

static size_t width_of(const kp_onnx_field* row) {
  switch ((kp_field_kind)row->kind) {
    case KP_FIELD_INT64:
      return 8;
    case KP_FIELD_BOOL:
      return 1;
    default:
      return 4;
  }
}

static bool elements_equal(const kp_onnx_field* row, const char* a, const char* b, size_t count) {
  if (row->wire != KP_WIRE_BYTES) return count == 0 || memcmp(a, b, count * width_of(row)) == 0;
  if (!row->message) return strings_equal(a, b, count);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = i * row->message->size;
    if (!onnx_equal(row->message, a + at, b + at)) return false;
  }
  return true;
}

static bool field_equal(const kp_onnx_field* row, uint32_t number, const char* a, const char* b) {
  if (row->kind == KP_FIELD_TYPED) return typed_equal(row, number, a, b);
  if ((row->flags & KP_FIELD_HAS) && a[row->extra] != b[row->extra]) return false;
  const char *x = a + row->offset, *y = b + row->offset;
  if (row->kind == KP_FIELD_POINTER || (row->flags & KP_FIELD_REPEATED)) {
    memcpy(&x, a + row->offset, sizeof x);
    memcpy(&y, b + row->offset, sizeof y);
  }
  if (!(row->flags & KP_FIELD_REPEATED)) return x && y ? elements_equal(row, x, y, 1) : x == y;
  const size_t count = *(const size_t*)(a + row->extra);
  return count == *(const size_t*)(b + row->extra) && elements_equal(row, x, y, count);
}

bool onnx_equal(const kp_onnx_message* message, const void* a, const void* b) {
  int selector = 0;
  if (message->has_selector) {
    if (memcmp((const char*)a + message->selector, (const char*)b + message->selector,
               sizeof selector) != 0)
      return false;
    memcpy(&selector, (const char*)a + message->selector, sizeof selector);
  }
  for (uint32_t number = 1; number < message->field_count; ++number) {
    const kp_onnx_field* const row = &message->fields[number];
    if (row->kind == KP_FIELD_NONE || (row->select && row->select != selector)) continue;
    if (!field_equal(row, number, a, b)) return false;
  }
  return true;
}
