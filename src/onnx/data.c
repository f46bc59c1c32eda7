// From the messages of onnx-data.proto to values: see data.h. data_write.c goes the other way.
#include "onnx/data.h"

#include "base/alloc.h"
#include "base/size.h"
#include "onnx/data_messages.h"
#include "onnx/decode.h"

static kp_status* value_of_sequence(const kp_onnx_sequence* message, kapell_value** out_value);
static kp_status* value_of_map(const kp_onnx_map* message, kapell_value** out_value);
static kp_status* value_of_optional(const kp_onnx_optional* message, kapell_value** out_value);

// Values blame their caller; here the file is to blame.
static kp_status* blame_file(kp_status* status) {
  if (kp_status_code(status) != KAPELL_INVALID_ARGUMENT) return status;
  kp_status* const blame = KP_ERROR(INVALID_MODEL, "%s", kp_status_message(status));
  kp_status_free(status);
  return blame;
}

// --- tensors -------------------------------------------------------------------------------------------------------------
static void free_owned(void* user, void* data) {
  (void)user;
  kp_free(data);
}

static kp_status* set_strings(kapell_value* value, const kp_str* strings, size_t count) {
  for (size_t i = 0; i < count; ++i) KP_PASS(kp_value_set_string(value, i, strings[i]));
  return NULL;
}

static kp_status* value_of_strings(const kp_onnx_tensor* tensor, kapell_value** out_value) {
  *out_value = NULL;
  const kp_str* strings;
  size_t count;
  KP_PASS(kp_onnx_tensor_strings(tensor, &strings, &count));
  KP_PASS(kp_value_create_tensor(KAPELL_STRING, tensor->dims, (int32_t)tensor->rank, out_value));
  kp_status* const status = set_strings(*out_value, strings, count);
  if (!status) return NULL;
  kp_value_release(*out_value);
  *out_value = NULL;
  return status;
}

// Over the model's own bytes.
static kp_status* view_of_numbers(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                  kapell_value** out_value) {
  const void* data;
  size_t byte_count;
  void* owned;
  KP_PASS(kp_onnx_tensor_bytes(model, tensor, &data, &byte_count, &owned));
  void* const address = (void*)(uintptr_t)data;  // values of constants are never written to
  kp_status* const status =
      kp_value_wrap_tensor((kapell_type)tensor->type, tensor->dims, (int32_t)tensor->rank, address,
                           byte_count, owned ? free_owned : NULL, NULL, out_value);
  if (status) kp_free(owned);
  return status;
}

static kp_status* check_rank(const kp_onnx_tensor* tensor) {
  if (tensor->rank <= KP_MAX_RANK) return NULL;
  return KP_ERROR(INVALID_MODEL, "tensor '%.*s' has rank %zu; at most %d are possible",
                  KP_STR_ARG(tensor->name), tensor->rank, KP_MAX_RANK);
}

kp_status* kp_onnx_tensor_value(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                kapell_value** out_value) {
  *out_value = NULL;
  KP_PASS(check_rank(tensor));
  if (tensor->type == KAPELL_STRING) return blame_file(value_of_strings(tensor, out_value));
  return blame_file(view_of_numbers(model, tensor, out_value));
}

// A copy, since the bytes of a .pb file are the caller's.
static kp_status* value_of_tensor(const kp_onnx_tensor* tensor, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value* view;
  KP_PASS(kp_onnx_tensor_value(NULL, tensor, &view));
  kp_status* const status = kp_value_clone(view, out_value);
  kp_value_release(view);
  return status;
}

static kp_status* value_of_sparse(const kp_onnx_sparse* message, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value *values, *indices;
  if (message->rank > KP_MAX_RANK)
    return KP_ERROR(INVALID_MODEL, "a sparse tensor of rank %zu", message->rank);
  KP_PASS(value_of_tensor(&message->values, &values));
  kp_status* status = value_of_tensor(&message->indices, &indices);
  if (!status)
    status =
        kp_value_create_sparse(values, indices, message->dims, (int32_t)message->rank, out_value);
  kp_value_release(indices);
  kp_value_release(values);
  return blame_file(status);
}

// --- sequences -------------------------------------------------------------------------------------------------------------
static size_t item_count(const kp_onnx_sequence* message) {
  switch ((kp_onnx_data_type)message->type) {
    case KP_ONNX_DATA_TENSOR:
      return message->tensor_count;
    case KP_ONNX_DATA_SPARSE:
      return message->sparse_count;
    case KP_ONNX_DATA_SEQUENCE:
      return message->sequence_count;
    case KP_ONNX_DATA_MAP:
      return message->map_count;
    case KP_ONNX_DATA_OPTIONAL:
      return message->optional_count;
    default:
      return 0;
  }
}

static kp_status* value_of_item(const kp_onnx_sequence* message, size_t i,
                                kapell_value** out_value) {
  switch ((kp_onnx_data_type)message->type) {
    case KP_ONNX_DATA_TENSOR:
      return value_of_tensor(&message->tensors[i], out_value);
    case KP_ONNX_DATA_SPARSE:
      return value_of_sparse(&message->sparses[i], out_value);
    case KP_ONNX_DATA_SEQUENCE:
      return value_of_sequence(&message->sequences[i], out_value);
    case KP_ONNX_DATA_MAP:
      return value_of_map(&message->maps[i], out_value);
    default:
      return value_of_optional(&message->optionals[i], out_value);
  }
}

static kp_status* append_items(const kp_onnx_sequence* message, kapell_value* sequence) {
  for (size_t i = 0; i < item_count(message); ++i) {
    kapell_value* item;
    KP_TRY(value_of_item(message, i, &item), "reading item %zu of a sequence", i);
    kp_status* const status = kp_value_sequence_append(sequence, item);
    kp_value_release(item);
    KP_TRY(blame_file(status), "reading item %zu of a sequence", i);
  }
  return NULL;
}

static kp_status* value_of_sequence(const kp_onnx_sequence* message, kapell_value** out_value) {
  *out_value = NULL;
  const bool any = message->tensor_count || message->sparse_count || message->sequence_count ||
                   message->map_count || message->optional_count;
  if (message->type < 0 || message->type > KP_ONNX_DATA_OPTIONAL || (any && !item_count(message)))
    return KP_ERROR(INVALID_MODEL, "a sequence whose elem_type, %d, does not fit its items",
                    message->type);
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  kp_status* const status = append_items(message, sequence);
  if (status) {
    kp_value_release(sequence);
    return status;
  }
  *out_value = sequence;
  return NULL;
}

// --- maps ------------------------------------------------------------------------------------------------------------------
static kp_status* key_value(const kp_onnx_map* message, kapell_value** out_value) {
  *out_value = NULL;
  const kapell_type type = (kapell_type)message->key_type;
  const bool strings = type == KAPELL_STRING;
  const int64_t count = (int64_t)(strings ? message->string_key_count : message->key_count);
  if (!strings && (!kp_type_is_integer(type) || kp_type_is_packed(type)))
    return KP_ERROR(INVALID_MODEL, "keys of a map are of type %s", kp_type_onnx_name(type));
  KP_PASS(kp_value_create_tensor(type, &count, 1, out_value));
  kp_status* status = NULL;
  if (strings) status = set_strings(*out_value, message->string_keys, (size_t)count);
  const size_t width = kp_type_bits(type) / 8;
  for (size_t i = 0; !strings && i < (size_t)count; ++i)
    memcpy((char*)(*out_value)->data + i * width, &message->keys[i], width);
  if (!status) return NULL;
  kp_value_release(*out_value);
  *out_value = NULL;
  return status;
}

// True if each of |items| is a scalar of one type that a vector can have.
static bool are_scalars(const kapell_value* items) {
  const kapell_value* const first = kp_value_item(items, 0);
  if (!first || first->kind != KAPELL_KIND_TENSOR || kp_type_is_packed(first->type)) return false;
  for (size_t i = 0; i < items->item_count; ++i) {
    const kapell_value* const item = items->items[i];
    if (item->rank != 0) return false;
  }
  return true;  // a sequence sees to it that kind and type are the same
}

static kp_status* fill_vector(const kapell_value* scalars, kapell_value* vector) {
  const size_t width = kp_type_bits(vector->type) / 8;
  for (size_t i = 0; i < scalars->item_count; ++i) {
    const kapell_value* const item = scalars->items[i];
    if (vector->type == KAPELL_STRING) {
      KP_PASS(kp_value_set_string(vector, i, kp_value_string(item, 0)));
    } else {
      memcpy((char*)vector->data + i * width, item->data, width);
    }
  }
  return NULL;
}

// Replaces |*values|, a sequence of scalars, by a vector.
static kp_status* make_vector(kapell_value** values) {
  kapell_value* const scalars = *values;
  kapell_value* vector;
  const int64_t count = (int64_t)scalars->item_count;
  KP_PASS(kp_value_create_tensor(scalars->items[0]->type, &count, 1, &vector));
  kp_status* const status = fill_vector(scalars, vector);
  if (status) {
    kp_value_release(vector);
    return status;
  }
  kp_value_release(scalars);
  *values = vector;
  return NULL;
}

static kp_status* value_of_map(const kp_onnx_map* message, kapell_value** out_value) {
  *out_value = NULL;
  if (!message->values) return KP_ERROR(INVALID_MODEL, "a map without values");
  kapell_value *keys, *values = NULL;
  KP_PASS(key_value(message, &keys));
  kp_status* status = value_of_sequence(message->values, &values);
  if (!status && are_scalars(values)) status = make_vector(&values);
  if (!status) status = kp_value_create_map(keys, values, out_value);
  kp_value_release(values);
  kp_value_release(keys);
  return blame_file(status);
}

// --- optionals -------------------------------------------------------------------------------------------------------------
// The element; NULL where there is none.
static kp_status* element_of(const kp_onnx_optional* message, kapell_value** out_value) {
  *out_value = NULL;
  switch ((kp_onnx_data_type)message->type) {
    case KP_ONNX_DATA_UNDEFINED:
      return NULL;
    case KP_ONNX_DATA_TENSOR:
      return message->tensor ? value_of_tensor(message->tensor, out_value) : NULL;
    case KP_ONNX_DATA_SPARSE:
      return message->sparse ? value_of_sparse(message->sparse, out_value) : NULL;
    case KP_ONNX_DATA_SEQUENCE:
      return message->sequence ? value_of_sequence(message->sequence, out_value) : NULL;
    case KP_ONNX_DATA_MAP:
      return message->map ? value_of_map(message->map, out_value) : NULL;
    case KP_ONNX_DATA_OPTIONAL:
      return message->optional ? value_of_optional(message->optional, out_value) : NULL;
    default:
      return KP_ERROR(UNSUPPORTED_MODEL, "an optional with elem_type %d", message->type);
  }
}

static kp_status* value_of_optional(const kp_onnx_optional* message, kapell_value** out_value) {
  *out_value = NULL;
  kapell_value* element;
  KP_PASS(element_of(message, &element));
  kp_status* const status = kp_value_create_optional(element, out_value);
  kp_value_release(element);
  return status;
}

// --- files -----------------------------------------------------------------------------------------------------------------
typedef union any_message {
  kp_onnx_tensor tensor;
  kp_onnx_sparse sparse;
  kp_onnx_sequence sequence;
  kp_onnx_map map;
  kp_onnx_optional optional;
} any_message;

static kp_status* value_of(kapell_kind kind, const any_message* message, kapell_value** out_value) {
  switch (kind) {
    case KAPELL_KIND_TENSOR:
      return value_of_tensor(&message->tensor, out_value);
    case KAPELL_KIND_SPARSE:
      return value_of_sparse(&message->sparse, out_value);
    case KAPELL_KIND_SEQUENCE:
      return value_of_sequence(&message->sequence, out_value);
    case KAPELL_KIND_MAP:
      return value_of_map(&message->map, out_value);
    default:
      return value_of_optional(&message->optional, out_value);
  }
}

kp_status* kp_onnx_read_value(kapell_kind kind, const void* bytes, size_t byte_count,
                              kapell_value** out_value) {
  static const kp_onnx_message* const messages[] = {
      [KAPELL_KIND_TENSOR] = &kp_onnx_tensor_message,
      [KAPELL_KIND_SPARSE] = &kp_onnx_sparse_message,
      [KAPELL_KIND_SEQUENCE] = &kp_onnx_sequence_message,
      [KAPELL_KIND_MAP] = &kp_onnx_map_message,
      [KAPELL_KIND_OPTIONAL] = &kp_onnx_optional_message,
  };
  *out_value = NULL;
  if (kind < KAPELL_KIND_TENSOR || kind > KAPELL_KIND_OPTIONAL)
    return KP_ERROR(INVALID_ARGUMENT, "a value of kind %d", (int)kind);
  any_message message;
  memset(&message, 0, sizeof message);
  kp_arena arena = {0};
  kp_status* status = kp_onnx_decode(messages[kind], bytes, byte_count, NULL, &arena, &message);
  if (!status) status = value_of(kind, &message, out_value);
  kp_arena_free(&arena);
  return kp_status_frame(status, __FILE__, __LINE__, "reading a %s", messages[kind]->name);
}
