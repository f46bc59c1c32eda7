// The generic encoder: see encode.h. The same walk is done twice: first without a target, which measures every submessage,
// then writing; a message's length stands before its contents, so it must be known by then.
#include "onnx/encode.h"

#include "base/alloc.h"
#include "base/size.h"

#define LARGEST_MESSAGE INT32_MAX

typedef struct encoder {
  uint8_t* at;             // NULL while measuring
  size_t size;             // bytes measured or written so far
  size_t* lengths;         // of submessages, in the order of the walk; owned
  size_t count, capacity;  // of |lengths|
  size_t next;             // submessage that the walk comes to next
  bool out_of_memory, too_large;
} encoder;

static void put_message(encoder* e, const kp_onnx_message* message, const char* in);

static void put_bytes(encoder* e, const void* data, size_t size) {
  if (e->at && size) {
    memcpy(e->at, data, size);
    e->at += size;
  }
  if (!kp_add_size(e->size, size, &e->size)) e->too_large = true;
}

static void put_varint(encoder* e, uint64_t value) {
  uint8_t bytes[10];
  size_t count = 0;
  for (; value >= 0x80; value >>= 7) bytes[count++] = (uint8_t)(value | 0x80);
  bytes[count++] = (uint8_t)value;
  put_bytes(e, bytes, count);
}

static size_t varint_size(uint64_t value) {
  size_t count = 1;
  for (; value >= 0x80; value >>= 7) ++count;
  return count;
}

static void put_tag(encoder* e, uint32_t number, kp_wire_type type) {
  put_varint(e, (uint64_t)number << 3 | type);
}

// --- submessages ---------------------------------------------------------------------------------------------------------
static size_t add_length(encoder* e) {
  if (e->count == e->capacity) {
    const size_t capacity = e->capacity ? e->capacity * 2 : 64;
    size_t* const lengths = kp_realloc_array(e->lengths, capacity, sizeof *lengths);
    if (!lengths) {
      e->out_of_memory = true;
      return 0;
    }
    e->lengths = lengths;
    e->capacity = capacity;
  }
  return e->count++;
}

// Measures; |may_vanish|: a message without contents is left out.
static void measure_submessage(encoder* e, uint32_t number, const kp_onnx_message* message,
                               const char* in, bool may_vanish) {
  const size_t index = add_length(e);
  if (e->out_of_memory || e->too_large) return;
  const size_t begin = e->size;
  put_message(e, message, in);
  if (e->out_of_memory || e->too_large || !e->lengths) return;
  const size_t length = e->size - begin;
  e->lengths[index] = length;
  if (length == 0 && may_vanish) return;
  put_tag(e, number, KP_WIRE_BYTES);
  put_varint(e, length);
}

static void put_submessage(encoder* e, uint32_t number, const kp_onnx_message* message,
                           const char* in, bool may_vanish) {
  if (!e->at) {
    measure_submessage(e, number, message, in, may_vanish);
    return;
  }
  const size_t length = e->next < e->count ? e->lengths[e->next++] : 0;
  if (length || !may_vanish) {
    put_tag(e, number, KP_WIRE_BYTES);
    put_varint(e, length);
  }
  put_message(e, message, in);  // also where it is empty, to pass over its entries in |lengths|
}

// --- fields --------------------------------------------------------------------------------------------------------------
static uint64_t load_number(const kp_onnx_field* row, const char* at) {
  uint32_t low;
  int64_t wide;
  switch ((kp_field_kind)row->kind) {
    case KP_FIELD_INT64:
      memcpy(&wide, at, sizeof wide);
      return (uint64_t)wide;
    case KP_FIELD_BOOL:
      return *(const bool*)at;
    case KP_FIELD_INT32:
      memcpy(&low, at, sizeof low);
      return (uint64_t)(int64_t)(int32_t)low;
    default:
      memcpy(&low, at, sizeof low);
      return low;
  }
}

static void put_number(encoder* e, const kp_onnx_field* row, uint64_t bits) {
  if (row->wire == KP_WIRE_FIXED32) {
    const uint32_t low = (uint32_t)bits;
    put_bytes(e, &low, sizeof low);
  } else {
    put_varint(e, bits);
  }
}

static void put_packed(encoder* e, uint32_t number, const kp_onnx_field* row, const char* array,
                       size_t count) {
  const size_t width = row->kind == KP_FIELD_INT64 ? sizeof(int64_t) : sizeof(float);
  size_t size = 0;
  for (size_t i = 0; i < count; ++i)
    size += row->wire == KP_WIRE_VARINT ? varint_size(load_number(row, array + i * width)) : width;
  put_tag(e, number, KP_WIRE_BYTES);
  put_varint(e, size);
  for (size_t i = 0; i < count; ++i) put_number(e, row, load_number(row, array + i * width));
}

static void put_text(encoder* e, uint32_t number, kp_str text) {
  put_tag(e, number, KP_WIRE_BYTES);
  put_varint(e, text.length);
  put_bytes(e, text.data, text.length);
}

static void put_repeated(encoder* e, uint32_t number, const kp_onnx_field* row, const char* in) {
  const char* array;
  memcpy(&array, in + row->offset, sizeof array);
  const size_t count = *(const size_t*)(in + row->extra);
  if (row->wire != KP_WIRE_BYTES) {
    if (count) put_packed(e, number, row, array, count);
    return;
  }
  for (size_t i = 0; i < count && !e->out_of_memory && !e->too_large; ++i) {
    if (row->message) {
      put_submessage(e, number, row->message, array + i * row->message->size, false);
    } else {
      put_text(e, number, ((const kp_str*)array)[i]);
    }
  }
}

// The elements of all occurrences of a typed field, as they are encoded in the file, in one packed field.
static void put_typed(encoder* e, uint32_t number, const kp_onnx_field* row,
                      const kp_onnx_tensor* tensor) {
  if (!(tensor->typed_fields >> number & 1)) return;
  size_t size = 0;
  kp_wire_field field;
  for (kp_wire_cursor c = kp_wire_open(tensor->body); kp_wire_next(&c, &field);) {
    if (field.number == number &&
        (field.type == KP_WIRE_BYTES || field.type == (kp_wire_type)row->wire))
      size += field.size;
  }
  put_tag(e, number, KP_WIRE_BYTES);
  put_varint(e, size);
  for (kp_wire_cursor c = kp_wire_open(tensor->body); kp_wire_next(&c, &field);) {
    if (field.number == number &&
        (field.type == KP_WIRE_BYTES || field.type == (kp_wire_type)row->wire))
      put_bytes(e, field.data, field.size);
  }
}

static void put_scalar(encoder* e, uint32_t number, const kp_onnx_field* row, const char* at,
                       bool always) {
  if (row->wire == KP_WIRE_BYTES) {
    const kp_str text = *(const kp_str*)at;
    if (always || text.length) put_text(e, number, text);
    return;
  }
  const uint64_t bits = load_number(row, at);
  const bool present = row->flags & KP_FIELD_NON_NEGATIVE ? (int64_t)bits >= 0 : bits != 0;
  if (!always && !present) return;
  put_tag(e, number, (kp_wire_type)row->wire);
  put_number(e, row, bits);
}

static void put_field(encoder* e, uint32_t number, const kp_onnx_field* row, const char* in) {
  const bool has = row->flags & KP_FIELD_HAS;
  if (has && !*(const bool*)(in + row->extra)) return;
  if (row->flags & KP_FIELD_REPEATED) {
    put_repeated(e, number, row, in);
  } else if (row->kind == KP_FIELD_TYPED) {
    put_typed(e, number, row, (const kp_onnx_tensor*)in);
  } else if (row->kind == KP_FIELD_MESSAGE) {
    put_submessage(e, number, row->message, in + row->offset, !has && !row->select);
  } else if (row->kind == KP_FIELD_POINTER) {
    const char* target;
    memcpy(&target, in + row->offset, sizeof target);
    if (target) put_submessage(e, number, row->message, target, false);
  } else {
    put_scalar(e, number, row, in + row->offset, has || row->select);
  }
}

static void put_message(encoder* e, const kp_onnx_message* message, const char* in) {
  int32_t selector = 0;
  if (message->has_selector) memcpy(&selector, in + message->selector, sizeof selector);
  for (uint32_t number = 1; number < message->field_count && !e->out_of_memory && !e->too_large;
       ++number) {
    const kp_onnx_field* const row = &message->fields[number];
    if (row->kind == KP_FIELD_NONE || (row->select && row->select != selector)) continue;
    put_field(e, number, row, in);
  }
}

static kp_status* check(const encoder* e) {
  if (e->out_of_memory) return KP_ERROR(OUT_OF_MEMORY, "lengths of %zu messages", e->count);
  if (!e->too_large && e->size <= LARGEST_MESSAGE) return NULL;
  return kp_status_hint(
      KP_ERROR(LIMIT, "the message takes over 2 GiB, which protobuf readers refuse"),
      "keep the weights in external data");
}

kp_status* kp_onnx_encode(const kp_onnx_message* message, const void* in, void** out_bytes,
                          size_t* out_byte_count) {
  *out_bytes = NULL;
  *out_byte_count = 0;
  encoder e = {0};
  put_message(&e, message, in);
  kp_status* status = check(&e);
  uint8_t* const bytes = status ? NULL : kp_alloc(e.size);
  if (!status && !bytes)
    status = KP_ERROR(OUT_OF_MEMORY, "%zu bytes for a %s", e.size, message->name);
  if (!status) {
    *out_bytes = bytes;
    *out_byte_count = e.size;
    e.at = bytes;
    e.size = 0;
    put_message(&e, message, in);
  }
  kp_free(e.lengths);
  return status;
}
