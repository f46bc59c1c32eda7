// The bytes of a tensor, whichever form holds them: raw_data, the typed fields, external data. Neighbours: external.c finds
// files, sparse.c builds on this.
// Source: onnx.proto (TensorProto), ExternalData.md.
#include "base/alloc.h"
#include "base/size.h"
#include "base/types.h"
#include "onnx/external.h"
#include "onnx/reader.h"
#include "onnx/wire.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "onnx/ hands out views of little-endian data: big-endian machines are not supported"
#endif

enum { FLOAT_DATA = 4, INT32_DATA = 5, INT64_DATA = 7, DOUBLE_DATA = 10, UINT64_DATA = 11 };

// How a type is stored in its typed field.
typedef struct typed_form {
  uint8_t field;      // number of the field
  uint8_t per_item;   // elements in one item; 0: two items make one element (complex)
  uint8_t width;      // bytes of an item in memory
  int64_t low, high;  // range of an item; bit patterns may come with their sign extended
} typed_form;

// clang-format off
static const typed_form typed_forms[KAPELL_TYPE_COUNT] = {
  [KAPELL_FLOAT] = {FLOAT_DATA, 1, 4, 0, 0},      [KAPELL_COMPLEX64] = {FLOAT_DATA, 0, 4, 0, 0},
  [KAPELL_DOUBLE] = {DOUBLE_DATA, 1, 8, 0, 0},    [KAPELL_COMPLEX128] = {DOUBLE_DATA, 0, 8, 0, 0},
  [KAPELL_INT64] = {INT64_DATA, 1, 8, INT64_MIN, INT64_MAX},
  [KAPELL_UINT64] = {UINT64_DATA, 1, 8, INT64_MIN, INT64_MAX},
  [KAPELL_UINT32] = {UINT64_DATA, 1, 4, 0, UINT32_MAX},
  [KAPELL_INT32] = {INT32_DATA, 1, 4, INT32_MIN, INT32_MAX},
  [KAPELL_INT16] = {INT32_DATA, 1, 2, INT16_MIN, INT16_MAX},
  [KAPELL_UINT16] = {INT32_DATA, 1, 2, 0, UINT16_MAX},
  [KAPELL_INT8] = {INT32_DATA, 1, 1, INT8_MIN, INT8_MAX},
  [KAPELL_UINT8] = {INT32_DATA, 1, 1, 0, UINT8_MAX},
  [KAPELL_BOOL] = {INT32_DATA, 1, 1, 0, 1},
  [KAPELL_FLOAT16] = {INT32_DATA, 1, 2, INT16_MIN, UINT16_MAX},
  [KAPELL_BFLOAT16] = {INT32_DATA, 1, 2, INT16_MIN, UINT16_MAX},
  [KAPELL_FLOAT8E4M3FN] = {INT32_DATA, 1, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_FLOAT8E4M3FNUZ] = {INT32_DATA, 1, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_FLOAT8E5M2] = {INT32_DATA, 1, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_FLOAT8E5M2FNUZ] = {INT32_DATA, 1, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_FLOAT8E8M0] = {INT32_DATA, 1, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_FLOAT6E2M3] = {INT32_DATA, 1, 1, 0, 63},
  [KAPELL_FLOAT6E3M2] = {INT32_DATA, 1, 1, 0, 63},
  [KAPELL_UINT4] = {INT32_DATA, 2, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_INT4] = {INT32_DATA, 2, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_FLOAT4E2M1] = {INT32_DATA, 2, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_UINT2] = {INT32_DATA, 4, 1, INT8_MIN, UINT8_MAX},
  [KAPELL_INT2] = {INT32_DATA, 4, 1, INT8_MIN, UINT8_MAX},
};
// clang-format on

static bool is_six_bit(int32_t type) {
  return type == KAPELL_FLOAT6E2M3 || type == KAPELL_FLOAT6E3M2;
}

// --- sizes ---------------------------------------------------------------------------------------------------------------
// A zero anywhere makes the tensor empty, however large the other dims are.
static kp_status* count_elements(const int64_t* dims, size_t rank, size_t* out_count) {
  size_t count = 1;
  bool empty = false, overflow = false;
  for (size_t i = 0; i < rank; ++i) {
    if (dims[i] < 0) return KP_ERROR(INVALID_MODEL, "dimension %zu is %lld", i, (long long)dims[i]);
    empty |= dims[i] == 0;
    overflow |= !kp_mul_size(count, (size_t)dims[i], &count);
  }
  if (overflow && !empty)
    return KP_ERROR(INVALID_MODEL,
                    "the dimensions multiply to more elements than memory can address");
  *out_count = empty ? 0 : count;
  return NULL;
}

kp_status* kp_onnx_tensor_count(const kp_onnx_tensor* tensor, size_t* out_element_count) {
  *out_element_count = 0;
  size_t bytes;
  const kapell_type type = (kapell_type)tensor->type;
  if (tensor->type == KAPELL_UNDEFINED)
    return KP_ERROR(INVALID_MODEL, "the element type is missing");
  if (!kp_type_is_valid(type))
    return KP_ERROR(UNSUPPORTED_MODEL, "element type %d is not known to this build", tensor->type);
  KP_PASS(count_elements(tensor->dims, tensor->rank, out_element_count));
  if (type == KAPELL_STRING) return NULL;
  if (!kp_type_bytes(type, *out_element_count, &bytes))
    return KP_ERROR(INVALID_MODEL, "%zu elements of type %s are more bytes than memory can address",
                    *out_element_count, kp_type_onnx_name(type));
  return NULL;
}

// Bytes in raw_data and external files: as in memory, but 6-bit kinds are packed.
static size_t stored_size(int32_t type, size_t element_count, size_t memory_size) {
  if (!is_six_bit(type)) return memory_size;
  return element_count / 4 * 3 + (element_count % 4 * 6 + 7) / 8;
}

// --- the forms of storage --------------------------------------------------------------------------------------------------
typedef struct bytes {
  const void* data;
  size_t size;
  void* owned;  // data's memory where it is no view
} bytes;

static kp_status* own(bytes* b) {
  b->owned = kp_alloc_block(b->size);
  if (!b->owned) return KP_ERROR(OUT_OF_MEMORY, "%zu bytes for a tensor", b->size);
  return NULL;
}

static kp_status* copy_own(bytes* b) {
  const void* const view = b->data;
  KP_PASS(own(b));
  if (b->size) memcpy(b->owned, view, b->size);
  b->data = b->owned;
  return NULL;
}

// Four 6-bit codes in three bytes, least significant bits first -> one code a byte.
static kp_status* unpack_six_bit(const uint8_t* packed, size_t count, bytes* out) {
  out->size = count;
  KP_PASS(own(out));
  uint8_t* const codes = out->owned;
  for (size_t i = 0; i < count; ++i) {
    const size_t byte = i * 6 / 8;
    const unsigned shift = i * 6 % 8;
    unsigned bits = packed[byte];
    if (shift > 2) bits |= (unsigned)packed[byte + 1] << 8;
    codes[i] = (bits >> shift) & 0x3f;
  }
  out->data = codes;
  return NULL;
}

static kp_status* from_stored(const kp_onnx_tensor* tensor, const uint8_t* data, size_t count,
                              bytes* out) {
  if (is_six_bit(tensor->type)) return unpack_six_bit(data, count, out);
  out->data = data;
  return NULL;
}

static kp_status* from_raw(const kp_onnx_tensor* tensor, size_t count, bytes* out) {
  const size_t stored = stored_size(tensor->type, count, out->size);
  if (tensor->raw.length != stored)
    return KP_ERROR(INVALID_MODEL, "raw_data has %zu bytes; type and shape need %zu",
                    tensor->raw.length, stored);
  return from_stored(tensor, (const uint8_t*)tensor->raw.data, count, out);
}

static kp_status* from_external(kp_onnx_model* model, const kp_onnx_tensor* tensor, size_t count,
                                bytes* out) {
  const uint8_t* data;
  KP_PASS(
      kp_onnx_external_bytes(model, tensor, stored_size(tensor->type, count, out->size), &data));
  return from_stored(tensor, data, count, out);
}

// --- typed fields ----------------------------------------------------------------------------------------------------------
static kp_wire_type wire_of(unsigned field) {
  return field == FLOAT_DATA    ? KP_WIRE_FIXED32
         : field == DOUBLE_DATA ? KP_WIRE_FIXED64
                                : KP_WIRE_VARINT;
}

// The next occurrence of typed field |number|, packed or single; false when there is none left.
static bool next_chunk(kp_wire_cursor* cursor, unsigned number, kp_wire_field* out_chunk) {
  while (kp_wire_next(cursor, out_chunk)) {
    if (out_chunk->number == number &&
        (out_chunk->type == wire_of(number) || out_chunk->type == KP_WIRE_BYTES))
      return true;
  }
  return false;
}

typedef struct typed_survey {
  size_t items, chunks;
  const uint8_t* data;  // of the only chunk
} typed_survey;

static typed_survey survey_typed(const kp_wire_span* body, unsigned number) {
  typed_survey s = {0};
  kp_wire_cursor cursor = kp_wire_open(body);
  kp_wire_field chunk;
  while (next_chunk(&cursor, number, &chunk)) {
    size_t items = 1;
    if (chunk.type == KP_WIRE_BYTES &&
        kp_wire_count_packed(chunk.data, chunk.size, wire_of(number), &items))
      items = 0;
    s.items += items;  // cannot wrap: an item takes at least one byte
    s.data = chunk.data;
    ++s.chunks;
  }
  return s;
}

static kp_status* store_item(const typed_form* form, uint64_t bits, size_t index, uint8_t* target) {
  if (form->field == INT32_DATA) bits = (uint64_t)(int64_t)(int32_t)(uint32_t)bits;
  const int64_t value = (int64_t)bits;
  if (form->low < form->high && (value < form->low || value > form->high))
    return KP_ERROR(INVALID_MODEL, "item %zu of its typed field is %lld, out of the type's range",
                    index, (long long)value);
  memcpy(target, &bits, form->width);
  return NULL;
}

static kp_status* decode_typed(const kp_onnx_tensor* tensor, const typed_form* form,
                               uint8_t* target) {
  kp_wire_cursor cursor = kp_wire_open(tensor->body);
  kp_wire_field chunk;
  size_t index = 0;
  while (next_chunk(&cursor, form->field, &chunk)) {
    if (chunk.type != KP_WIRE_BYTES) {
      KP_PASS(store_item(form, chunk.value, index, target + index * form->width));
      ++index;
      continue;
    }
    const uint8_t* const end = chunk.data + chunk.size;
    for (const uint8_t* p = chunk.data; p < end; ++index)
      KP_PASS(store_item(form, kp_wire_packed_next(&p, end, wire_of(form->field)), index,
                         target + index * form->width));
  }
  return NULL;
}

static size_t items_of(const typed_form* form, size_t element_count) {
  if (form->per_item == 0)
    return element_count * 2;  // complex: its bytes have been counted, so this does not wrap
  return element_count / form->per_item + (element_count % form->per_item != 0);
}

static kp_status* from_typed(const kp_onnx_tensor* tensor, size_t count, bytes* out) {
  const typed_form* const form = &typed_forms[tensor->type];
  const size_t need = items_of(form, count);
  typed_survey s = {0};
  if (tensor->typed_fields >> form->field & 1) s = survey_typed(tensor->body, form->field);
  if (s.items != need)
    return KP_ERROR(INVALID_MODEL, "%zu items in its typed field%s; type and shape need %zu",
                    s.items,
                    s.items == 0 && (tensor->typed_fields || tensor->string_count)
                        ? " (there are some in the field of another type)"
                        : "",
                    need);
  if (s.chunks == 1 && wire_of(form->field) != KP_WIRE_VARINT) {  // lies there as in memory
    out->data = s.data;
    return NULL;
  }
  KP_PASS(own(out));
  if (need) KP_PASS(decode_typed(tensor, form, out->owned));
  out->data = out->owned;
  return NULL;
}

// --- together ------------------------------------------------------------------------------------------------------------
// Any byte but 0 counts as true; readers of the data may rely on 1.
static kp_status* normalize_bools(bytes* b) {
  const uint8_t* const data = b->data;
  size_t i = 0;
  while (i < b->size && data[i] <= 1) ++i;
  if (i == b->size) return NULL;
  if (!b->owned) KP_PASS(copy_own(b));
  for (uint8_t* flags = b->owned; i < b->size; ++i) flags[i] = flags[i] != 0;
  return NULL;
}

static kp_status* align(int32_t type, bytes* b) {
  const size_t width = typed_forms[type].width;  // of a component for complex
  if (b->owned || ((uintptr_t)b->data & (width - 1)) == 0) return NULL;
  return copy_own(b);
}

static kp_status* tensor_bytes(kp_onnx_model* model, const kp_onnx_tensor* tensor, bytes* b) {
  size_t count;
  KP_PASS(kp_onnx_tensor_count(tensor, &count));
  if (tensor->has_segment)
    return KP_ERROR(UNSUPPORTED_MODEL, "it is cut into segments, a form that ONNX has given up");
  if (tensor->type == KAPELL_STRING)
    return KP_ERROR(INVALID_MODEL, "a tensor of numbers is needed, this one has strings");
  (void)kp_type_bytes((kapell_type)tensor->type, count, &b->size);  // checked with the count
  if (tensor->external) {
    KP_PASS(from_external(model, tensor, count, b));
  } else if (tensor->has_raw) {
    KP_PASS(from_raw(tensor, count, b));
  } else {
    KP_PASS(from_typed(tensor, count, b));
  }
  if (tensor->type == KAPELL_BOOL) KP_PASS(normalize_bools(b));
  return align(tensor->type, b);
}

bool kp_onnx_is_mapped(const kp_onnx_model* model, const void* data) {
  return kp_file_holds(model->file, data) || kp_onnx_externals_hold(model->externals, data);
}

kp_status* kp_onnx_tensor_bytes(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                const void** out_data, size_t* out_byte_count, void** out_owned) {
  *out_data = NULL;
  *out_byte_count = 0;
  *out_owned = NULL;
  bytes b = {0};
  kp_status* const status = tensor_bytes(model, tensor, &b);
  if (status) {
    kp_free(b.owned);
    return kp_status_frame(status, __FILE__, __LINE__, "reading the data of tensor '%.*s'",
                           KP_STR_ARG(tensor->name));
  }
  if (b.owned && tensor->has_raw && model && kp_onnx_is_mapped(model, tensor->raw.data))
    kp_file_forget(tensor->raw.data, tensor->raw.length);  // the copy is what will be read
  *out_data = b.data;
  *out_byte_count = b.size;
  *out_owned = b.owned;
  return NULL;
}

static kp_status* tensor_strings(const kp_onnx_tensor* tensor, size_t* out_count) {
  KP_PASS(kp_onnx_tensor_count(tensor, out_count));
  if (tensor->type != KAPELL_STRING)
    return KP_ERROR(INVALID_MODEL, "a tensor of strings is needed, this one has type %s",
                    kp_type_onnx_name((kapell_type)tensor->type));
  if (tensor->external || tensor->has_raw)
    return KP_ERROR(INVALID_MODEL, "strings must lie in string_data");
  if (tensor->string_count != *out_count)
    return KP_ERROR(INVALID_MODEL, "string_data has %zu strings; the shape needs %zu",
                    tensor->string_count, *out_count);
  return NULL;
}

kp_status* kp_onnx_tensor_strings(const kp_onnx_tensor* tensor, const kp_str** out_strings,
                                  size_t* out_count) {
  *out_strings = NULL;
  *out_count = 0;
  size_t count = 0;
  KP_TRY(tensor_strings(tensor, &count), "reading the data of tensor '%.*s'",
         KP_STR_ARG(tensor->name));
  *out_strings = tensor->strings;
  *out_count = count;
  return NULL;
}
