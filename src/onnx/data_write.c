// From values to the messages of onnx-data.proto: see data.h. The messages are made in an arena, over the values' own bytes.
#include "base/size.h"
#include "onnx/data.h"
#include "onnx/data_messages.h"
#include "onnx/encode.h"
#include "onnx/writer.h"

static kp_status* put_sequence(kp_arena* arena, const kapell_value* value, kp_onnx_sequence* out);
static kp_status* put_map(kp_arena* arena, const kapell_value* value, kp_onnx_map* out);
static kp_status* put_optional(kp_arena* arena, const kapell_value* value, kp_onnx_optional* out);

static kp_status* take(kp_arena* arena, size_t count, size_t size, void** out_memory) {
  *out_memory = kp_arena_array(arena, count, size);
  return *out_memory ? NULL : KP_ERROR(OUT_OF_MEMORY, "%zu parts of a message", count);
}

// --- tensors -------------------------------------------------------------------------------------------------------------
// One code a byte -> four codes in three bytes, least significant bits first.
static kp_status* pack_six_bit(kp_arena* arena, const uint8_t* codes, size_t count, kp_str* out) {
  const size_t size = count / 4 * 3 + (count % 4 * 6 + 7) / 8;
  void* memory;
  KP_PASS(take(arena, size, 1, &memory));
  uint8_t* const packed = memory;
  for (size_t i = 0; i < count; ++i) {
    const size_t byte = i * 6 / 8;
    const unsigned shift = i * 6 % 8, code = codes[i] & 0x3fu;
    packed[byte] |= (uint8_t)(code << shift);
    if (shift > 2) packed[byte + 1] |= (uint8_t)(code >> (8 - shift));
  }
  *out = (kp_str){memory, size};
  return NULL;
}

kp_status* kp_onnx_put_elements(kp_arena* arena, kapell_type type, void* data, size_t count,
                                kp_onnx_tensor* out) {
  out->type = (int32_t)type;
  if (type == KAPELL_STRING) {
    out->strings = data;
    out->string_count = count;
    return NULL;
  }
  out->has_raw = true;
  if (type == KAPELL_FLOAT6E2M3 || type == KAPELL_FLOAT6E3M2)
    return pack_six_bit(arena, data, count, &out->raw);
  out->raw.data = data;
  (void)kp_type_bytes(type, count, &out->raw.length);  // the value exists, so this cannot overflow
  return NULL;
}

static kp_status* put_tensor(kp_arena* arena, const kapell_value* value, kp_onnx_tensor* out) {
  if (value->memory)
    return KP_ERROR(INVALID_ARGUMENT, "the tensor lies on device %s", value->memory->name);
  out->dims = value->dims;
  out->rank = (size_t)value->rank;
  return kp_onnx_put_elements(arena, value->type, value->data, kp_value_count(value), out);
}

static kp_status* put_sparse(kp_arena* arena, const kapell_value* value, kp_onnx_sparse* out) {
  out->dims = value->dims;
  out->rank = (size_t)value->rank;
  KP_PASS(put_tensor(arena, value->items[0], &out->values));
  return put_tensor(arena, value->items[1], &out->indices);
}

// --- sequences -------------------------------------------------------------------------------------------------------------
// The number that onnx-data.proto has for a kind, and the size of its message.
static kp_onnx_data_type data_type(kapell_kind kind, size_t* out_size) {
  switch (kind) {
    case KAPELL_KIND_TENSOR:
      *out_size = sizeof(kp_onnx_tensor);
      return KP_ONNX_DATA_TENSOR;
    case KAPELL_KIND_SPARSE:
      *out_size = sizeof(kp_onnx_sparse);
      return KP_ONNX_DATA_SPARSE;
    case KAPELL_KIND_SEQUENCE:
      *out_size = sizeof(kp_onnx_sequence);
      return KP_ONNX_DATA_SEQUENCE;
    case KAPELL_KIND_MAP:
      *out_size = sizeof(kp_onnx_map);
      return KP_ONNX_DATA_MAP;
    case KAPELL_KIND_OPTIONAL:
      *out_size = sizeof(kp_onnx_optional);
      return KP_ONNX_DATA_OPTIONAL;
    default:
      *out_size = 0;
      return KP_ONNX_DATA_UNDEFINED;
  }
}

// |out| is a zeroed message of the kind of |value|.
static kp_status* put_any(kp_arena* arena, const kapell_value* value, void* out) {
  switch (value->kind) {
    case KAPELL_KIND_TENSOR:
      return put_tensor(arena, value, out);
    case KAPELL_KIND_SPARSE:
      return put_sparse(arena, value, out);
    case KAPELL_KIND_SEQUENCE:
      return put_sequence(arena, value, out);
    case KAPELL_KIND_MAP:
      return put_map(arena, value, out);
    case KAPELL_KIND_OPTIONAL:
      return put_optional(arena, value, out);
    default:
      return KP_ERROR(INVALID_ARGUMENT, "a value without contents");
  }
}

static void set_list(kp_onnx_sequence* out, const void* items, size_t count) {
  switch ((kp_onnx_data_type)out->type) {
    case KP_ONNX_DATA_TENSOR:
      out->tensors = items;
      out->tensor_count = count;
      break;
    case KP_ONNX_DATA_SPARSE:
      out->sparses = items;
      out->sparse_count = count;
      break;
    case KP_ONNX_DATA_SEQUENCE:
      out->sequences = items;
      out->sequence_count = count;
      break;
    case KP_ONNX_DATA_MAP:
      out->maps = items;
      out->map_count = count;
      break;
    default:
      out->optionals = items;
      out->optional_count = count;
      break;
  }
}

static kp_status* put_sequence(kp_arena* arena, const kapell_value* value, kp_onnx_sequence* out) {
  out->type = KP_ONNX_DATA_TENSOR;  // as the onnx package has it for an empty list
  if (value->item_count == 0) return NULL;
  size_t size;
  void* items;
  out->type = (int32_t)data_type(value->items[0]->kind, &size);
  KP_PASS(take(arena, value->item_count, size, &items));
  for (size_t i = 0; i < value->item_count; ++i)
    KP_TRY(put_any(arena, value->items[i], (char*)items + i * size),
           "writing item %zu of a sequence", i);
  set_list(out, items, value->item_count);
  return NULL;
}

// --- maps ------------------------------------------------------------------------------------------------------------------
static int64_t integer_at(const kapell_value* vector, size_t i) {
  const unsigned bits = kp_type_bits(vector->type);
  uint64_t low = 0;
  memcpy(&low, (const char*)vector->data + i * bits / 8, bits / 8);
  return kp_type_is_signed(vector->type) ? (int64_t)(low << (64 - bits)) >> (64 - bits)
                                         : (int64_t)low;
}

static kp_status* put_keys(kp_arena* arena, const kapell_value* keys, kp_onnx_map* out) {
  const size_t count = kp_value_count(keys);
  out->key_type = (int32_t)keys->type;
  if (keys->type == KAPELL_STRING) {
    out->string_keys = keys->data;
    out->string_key_count = count;
    return NULL;
  }
  void* memory;
  KP_PASS(take(arena, count, sizeof(int64_t), &memory));
  for (size_t i = 0; i < count; ++i) ((int64_t*)memory)[i] = integer_at(keys, i);
  out->keys = memory;
  out->key_count = count;
  return NULL;
}

// A vector as a sequence of scalars.
static kp_status* put_scalars(kp_arena* arena, const kapell_value* vector, kp_onnx_sequence* out) {
  const size_t count = kp_value_count(vector);
  const size_t width =
      vector->type == KAPELL_STRING ? sizeof(kp_str) : kp_type_bits(vector->type) / 8;
  void* memory;
  if (!width)
    return KP_ERROR(INVALID_ARGUMENT, "a map with values of type %s", kp_type_name(vector->type));
  KP_PASS(take(arena, count, sizeof(kp_onnx_tensor), &memory));
  kp_onnx_tensor* const tensors = memory;
  for (size_t i = 0; i < count; ++i)
    KP_PASS(
        kp_onnx_put_elements(arena, vector->type, (char*)vector->data + i * width, 1, &tensors[i]));
  *out = (kp_onnx_sequence){.type = KP_ONNX_DATA_TENSOR, .tensors = tensors, .tensor_count = count};
  return NULL;
}

static kp_status* put_map(kp_arena* arena, const kapell_value* value, kp_onnx_map* out) {
  const kapell_value *keys = value->items[0], *values = value->items[1];
  void* memory;
  KP_PASS(take(arena, 1, sizeof(kp_onnx_sequence), &memory));
  out->values = memory;
  KP_PASS(put_keys(arena, keys, out));
  return values->kind == KAPELL_KIND_SEQUENCE ? put_sequence(arena, values, memory)
                                              : put_scalars(arena, values, memory);
}

// --- optionals -------------------------------------------------------------------------------------------------------------
static kp_status* put_optional(kp_arena* arena, const kapell_value* value, kp_onnx_optional* out) {
  if (value->item_count == 0) return NULL;
  size_t size;
  void* element;
  const kp_onnx_data_type type = data_type(value->items[0]->kind, &size);
  KP_PASS(take(arena, 1, size, &element));
  KP_PASS(put_any(arena, value->items[0], element));
  out->type = (int32_t)type;
  switch (type) {
    case KP_ONNX_DATA_TENSOR:
      out->tensor = element;
      break;
    case KP_ONNX_DATA_SPARSE:
      out->sparse = element;
      break;
    case KP_ONNX_DATA_SEQUENCE:
      out->sequence = element;
      break;
    case KP_ONNX_DATA_MAP:
      out->map = element;
      break;
    default:
      out->optional = element;
      break;
  }
  return NULL;
}

// --- files -----------------------------------------------------------------------------------------------------------------
typedef union any_message {
  kp_onnx_tensor tensor;
  kp_onnx_sparse sparse;
  kp_onnx_sequence sequence;
  kp_onnx_map map;
  kp_onnx_optional optional;
} any_message;

static const kp_onnx_message* message_of(kapell_kind kind) {
  switch (kind) {
    case KAPELL_KIND_TENSOR:
      return &kp_onnx_tensor_message;
    case KAPELL_KIND_SPARSE:
      return &kp_onnx_sparse_message;
    case KAPELL_KIND_SEQUENCE:
      return &kp_onnx_sequence_message;
    case KAPELL_KIND_MAP:
      return &kp_onnx_map_message;
    default:
      return &kp_onnx_optional_message;
  }
}

static void set_name(kapell_kind kind, kp_str name, any_message* message) {
  switch (kind) {
    case KAPELL_KIND_TENSOR:
      message->tensor.name = name;
      break;
    case KAPELL_KIND_SPARSE:
      message->sparse.values.name = name;
      break;
    case KAPELL_KIND_SEQUENCE:
      message->sequence.name = name;
      break;
    case KAPELL_KIND_MAP:
      message->map.name = name;
      break;
    default:
      message->optional.name = name;
      break;
  }
}

kp_status* kp_onnx_write_value(const kapell_value* value, const char* name, void** out_bytes,
                               size_t* out_byte_count) {
  *out_bytes = NULL;
  *out_byte_count = 0;
  any_message message;
  memset(&message, 0, sizeof message);
  kp_arena arena = {0};
  kp_status* status = put_any(&arena, value, &message);
  if (!status) {
    set_name(value->kind, kp_str_of(name), &message);
    status = kp_onnx_encode(message_of(value->kind), &message, out_bytes, out_byte_count);
  }
  kp_arena_free(&arena);
  return status;
}
