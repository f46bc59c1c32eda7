// kapell.h's values: thin calls to base/value.h with the caller's arguments checked.
#include "kapell/kapell.h"

#include "base/alloc.h"
#include "base/element.h"
#include "base/value.h"
#include "onnx/data.h"

kapell_status* kapell_tensor_create(kapell_type type, const int64_t* dims, int32_t rank,
                                    kapell_value** out_value) {
  if (!out_value) return KP_ERROR(INVALID_ARGUMENT, "out_value is NULL");
  *out_value = NULL;
  if (rank > 0 && !dims) return KP_ERROR(INVALID_ARGUMENT, "dims is NULL and rank is %d", rank);
  return kp_value_create_tensor(type, dims, rank, out_value);
}

kapell_status* kapell_tensor_wrap(kapell_type type, const int64_t* dims, int32_t rank, void* data,
                                  size_t byte_count, void (*release)(void* user, void* data),
                                  void* user, kapell_value** out_value) {
  if (!out_value) return KP_ERROR(INVALID_ARGUMENT, "out_value is NULL");
  *out_value = NULL;
  if (rank > 0 && !dims) return KP_ERROR(INVALID_ARGUMENT, "dims is NULL and rank is %d", rank);
  if (type == KAPELL_STRING)
    return KP_ERROR(
        INVALID_ARGUMENT,
        "strings cannot be wrapped; kapell_tensor_create and kapell_tensor_set_string make them");
  if (!data && byte_count)
    return KP_ERROR(INVALID_ARGUMENT, "data is NULL and byte_count is %zu", byte_count);
  return kp_value_wrap_tensor(type, dims, rank, data, byte_count, release, user, out_value);
}

kapell_value* kapell_value_retain(kapell_value* value) {
  return value ? kp_value_retain(value) : NULL;
}

void kapell_value_release(kapell_value* value) { kp_value_release(value); }

kapell_kind kapell_value_kind(const kapell_value* value) {
  return value ? value->kind : KAPELL_KIND_NONE;
}

kapell_type kapell_value_type(const kapell_value* value) {
  return value ? value->type : KAPELL_UNDEFINED;
}

int32_t kapell_tensor_rank(const kapell_value* value) { return value ? value->rank : 0; }

const int64_t* kapell_tensor_dims(const kapell_value* value) { return value ? value->dims : NULL; }

static bool is_tensor(const kapell_value* value) {
  return value && value->kind == KAPELL_KIND_TENSOR;
}

size_t kapell_tensor_count(const kapell_value* value) {
  return is_tensor(value) ? kp_value_count(value) : 0;
}

size_t kapell_tensor_byte_count(const kapell_value* value) {
  return is_tensor(value) && value->type != KAPELL_STRING ? value->byte_count : 0;
}

void* kapell_tensor_data(kapell_value* value) {
  return is_tensor(value) && value->type != KAPELL_STRING ? value->data : NULL;
}

const void* kapell_tensor_const_data(const kapell_value* value) {
  return is_tensor(value) && value->type != KAPELL_STRING ? value->data : NULL;
}

static kp_status* check_string(const kapell_value* value, size_t index) {
  if (!is_tensor(value) || value->type != KAPELL_STRING)
    return KP_ERROR(INVALID_ARGUMENT, "the value is no string tensor");
  if (index < kp_value_count(value)) return NULL;
  return KP_ERROR(INVALID_ARGUMENT, "string %zu of a tensor with %zu", index,
                  kp_value_count(value));
}

kapell_status* kapell_tensor_set_string(kapell_value* value, size_t index, const char* text,
                                        size_t length) {
  KP_PASS(check_string(value, index));
  if (!text && length) return KP_ERROR(INVALID_ARGUMENT, "text is NULL");
  return kp_value_set_string(value, index, (kp_str){text, length});
}

const char* kapell_tensor_string(const kapell_value* value, size_t index, size_t* out_length) {
  if (out_length) *out_length = 0;
  kp_status* status = check_string(value, index);
  kp_status_ignore(status);
  if (status) return "";
  const kp_str text = kp_value_string(value, index);
  if (out_length) *out_length = text.length;
  return text.data ? text.data : "";
}

kapell_status* kapell_sequence_create(kapell_value* const* items, size_t count,
                                      kapell_value** out_value) {
  if (!out_value || (count && !items)) return KP_ERROR(INVALID_ARGUMENT, "a NULL was given");
  *out_value = NULL;
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  for (size_t i = 0; i < count; ++i) {
    kp_status* status = items[i] ? kp_value_sequence_append(sequence, items[i])
                                 : KP_ERROR(INVALID_ARGUMENT, "item %zu is NULL", i);
    if (!status) continue;
    kp_value_release(sequence);
    return status;
  }
  *out_value = sequence;
  return NULL;
}

kapell_status* kapell_map_create(kapell_value* keys, kapell_value* values,
                                 kapell_value** out_value) {
  if (!out_value || !keys || !values) return KP_ERROR(INVALID_ARGUMENT, "a NULL was given");
  *out_value = NULL;
  return kp_value_create_map(keys, values, out_value);
}

kapell_status* kapell_optional_create(kapell_value* item_or_null, kapell_value** out_value) {
  if (!out_value) return KP_ERROR(INVALID_ARGUMENT, "out_value is NULL");
  *out_value = NULL;
  return kp_value_create_optional(item_or_null, out_value);
}

kapell_status* kapell_sparse_create(kapell_value* values, kapell_value* indices,
                                    const int64_t* dims, int32_t rank, kapell_value** out_value) {
  if (!out_value || !values || !indices || (rank > 0 && !dims))
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given");
  *out_value = NULL;
  return kp_value_create_sparse(values, indices, dims, rank, out_value);
}

size_t kapell_value_item_count(const kapell_value* value) { return value ? value->item_count : 0; }

kapell_value* kapell_value_item(const kapell_value* value, size_t index) {
  return value && index < value->item_count ? value->items[index] : NULL;
}

const char* kapell_type_name(kapell_type type) { return kp_type_name(type); }

size_t kapell_type_bits(kapell_type type) { return kp_type_bits(type); }

size_t kapell_type_bytes(kapell_type type, size_t count) {
  size_t bytes;
  return kp_type_bytes(type, count, &bytes) ? bytes : SIZE_MAX;
}

double kapell_tensor_get_double(const kapell_value* value, size_t index) {
  if (!is_tensor(value) || value->memory || value->type == KAPELL_STRING ||
      index >= kp_value_count(value))
    return 0;
  return kp_element_get(value->type, value->data, index);
}

void kapell_tensor_set_double(kapell_value* value, size_t index, double number) {
  if (!is_tensor(value) || value->memory || value->type == KAPELL_STRING ||
      index >= kp_value_count(value))
    return;
  kp_element_set(value->type, value->data, index, number);
}

kapell_status* kapell_value_read_pb(const void* bytes, size_t byte_count, kapell_kind kind,
                                    kapell_value** out_value) {
  if (!out_value || (!bytes && byte_count)) return KP_ERROR(INVALID_ARGUMENT, "a NULL was given");
  *out_value = NULL;
  return kp_onnx_read_value(kind, bytes, byte_count, out_value);
}

kapell_status* kapell_value_write_pb(const kapell_value* value, const char* name, char** out_bytes,
                                     size_t* out_byte_count) {
  if (!value || !out_bytes || !out_byte_count)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given");
  void* bytes = NULL;
  *out_bytes = NULL;
  KP_PASS(kp_onnx_write_value(value, name ? name : "", &bytes, out_byte_count));
  *out_bytes = bytes;
  return NULL;
}
