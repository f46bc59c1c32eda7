// Values: life, and the slots of dense tensors. Neighbours: value_string.c, value_kinds.c (sequences, maps, optionals, opaque
// values), value_sparse.c.
#include "ort/value.h"

#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/types.h"

// --- life ------------------------------------------------------------------------------------------------------------------------
OrtStatus* kp_ort_value_wrap(kapell_value* value, OrtValue** out) {
  if (value->kind == KAPELL_KIND_OPTIONAL && value->item_count == 1) {
    kapell_value* element = kp_value_retain(value->items[0]);
    kp_value_release(value);
    value = element;
  }
  kp_status* sorted = value->kind == KAPELL_KIND_MAP ? kp_ort_map_sort(&value) : NULL;
  OrtValue* made = sorted ? NULL : kp_alloc(sizeof(*made));
  if (!made) {
    kp_value_release(value);
    return sorted ? kp_ort_status(sorted) : kp_ort_no_memory();
  }
  *made = (OrtValue){.value = value, .info = kp_ort_info_retain(&kp_ort_cpu_info)};
  OrtStatus* status = value->kind == KAPELL_KIND_SPARSE ? kp_ort_sparse_describe(made) : NULL;
  if (status) {
    ort_ReleaseValue(made);
    return status;
  }
  *out = made;
  return NULL;
}

OrtStatus* kp_ort_value_share(const OrtValue* value, OrtValue** out) {
  if (!value->value) return kp_ort_error(ORT_NOT_IMPLEMENTED, "an opaque value cannot be bound");
  KP_ORT_PASS(kp_ort_value_wrap(kp_value_retain(value->value), out));
  kp_ort_info_retain(value->info);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)(*out)->info);
  (*out)->info = value->info;
  if (!value->declared) return NULL;
  OrtStatus* status = kp_ort_type_info_clone(value->declared, &(*out)->declared);
  if (status) ort_ReleaseValue(*out);
  return status;
}

static void free_opaque(kp_ort_opaque* opaque) {
  if (!opaque) return;
  kp_free(opaque->domain);
  kp_free(opaque->name);
  kp_free(opaque->data);
  kp_free(opaque);
}

void ort_ReleaseValue(OrtValue* value) {
  if (!value) return;
  kp_value_release(value->value);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)value->info);
  if (value->declared) ort_ReleaseTypeInfo(value->declared);
  if (value->sparse) kp_ort_sparse_free(value->sparse);
  free_opaque(value->opaque);
  kp_free(value);
}

// --- making tensors --------------------------------------------------------------------------------------------------------------
static void free_by_allocator(void* user, void* data) {
  OrtAllocator* allocator = user;
  allocator->Free(allocator, data);
}

// |negative|: the code for a shape with a negative dimension.
static OrtStatus* check_type(ONNXTensorElementDataType type, const int64_t* shape, size_t rank,
                             OrtErrorCode negative, kapell_type* out) {
  for (size_t d = 0; d < rank; ++d)
    if (shape[d] < 0)
      return kp_ort_error(negative, "tried creating tensor with negative value in shape");
  *out = kp_ort_type_from(type);
  if (*out == KAPELL_UNDEFINED)
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "tensor type %d is not supported", (int)type);
  if (rank > KP_MAX_RANK)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "a shape of rank %zu; %d dimensions are possible",
                        rank, KP_MAX_RANK);
  return NULL;
}

// Whether a tensor of this type and shape can be, and its bytes.
static OrtStatus* check_size(kapell_type type, const int64_t* shape, size_t rank, size_t* needed) {
  kp_status* status = kp_value_check_dims(type, shape, (int32_t)rank, NULL, needed);
  if (!status) return NULL;
  OrtStatus* made = kp_ort_error(ORT_FAIL, "%s", kp_status_message(status));
  kp_status_free(status);
  return made;
}

OrtStatus* kp_ort_tensor_over(const int64_t* shape, size_t rank, ONNXTensorElementDataType type,
                              void* data, size_t size, OrtAllocator* deleter, kapell_value** out) {
  kapell_type element;
  size_t needed = 0;
  KP_ORT_PASS(check_type(type, shape, rank, ORT_INVALID_ARGUMENT, &element));
  if (element == KAPELL_STRING)
    return kp_ort_error(
        ORT_INVALID_ARGUMENT,
        "string tensors own their strings: CreateTensorAsOrtValue and FillStringTensor make them");
  KP_ORT_PASS(check_size(element, shape, rank, &needed));
  if (size < needed)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "not enough space: expected %zu, got %zu", needed,
                        size);
  KP_ORT_TAKE(kp_value_wrap_tensor(element, shape, (int32_t)rank, data, size,
                                   deleter ? free_by_allocator : NULL, deleter, out));
  return NULL;
}

OrtStatus* kp_ort_tensor_from(OrtAllocator* allocator, const int64_t* shape, size_t rank,
                              ONNXTensorElementDataType type, kapell_value** out) {
  kapell_type element;
  size_t needed = 0;
  KP_ORT_PASS(check_type(type, shape, rank, ORT_FAIL, &element));
  KP_ORT_PASS(check_size(element, shape, rank, &needed));
  if (allocator == &kp_ort_cpu_allocator || element == KAPELL_STRING) {
    KP_ORT_TAKE(kp_value_create_tensor(element, shape, (int32_t)rank, out));
    return NULL;
  }
  void* data = allocator->Alloc(allocator, needed ? needed : 1);
  if (!data) return kp_ort_error(ORT_FAIL, "the allocator gave no memory for %zu bytes", needed);
  OrtStatus* status = kp_ort_status(kp_value_wrap_tensor(
      element, shape, (int32_t)rank, data, needed, free_by_allocator, allocator, out));
  if (status) allocator->Free(allocator, data);
  return status;
}

OrtStatus* kp_ort_tensor_copy(OrtAllocator* allocator, const kapell_value* from,
                              kapell_value** out) {
  if (!allocator) allocator = &kp_ort_cpu_allocator;
  const OrtMemoryInfo* info = allocator->Info ? allocator->Info(allocator) : NULL;
  if (info && !kp_ort_info_is_host(info))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "There's no data transfer registered for copying tensors to %s",
                        info->name);
  KP_ORT_PASS(kp_ort_tensor_from(allocator, from->dims, (size_t)from->rank,
                                 kp_ort_type_of(from->type), out));
  kp_status* status = NULL;
  if (from->type != KAPELL_STRING) {
    if (from->byte_count) memcpy((*out)->data, from->data, from->byte_count);
    return NULL;
  }
  for (size_t i = 0; !status && i < kp_value_count(from); ++i)
    status = kp_value_set_string(*out, i, kp_value_string(from, i));
  if (status) kp_value_release(*out);
  return kp_ort_status(status);
}

static OrtStatus* wrap_with_info(kapell_value* tensor, const OrtMemoryInfo* info, OrtValue** out) {
  KP_ORT_PASS(kp_ort_value_wrap(tensor, out));
  if (!info) return NULL;
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)(*out)->info);
  (*out)->info = kp_ort_info_retain(info);
  return NULL;
}

OrtStatus* ort_CreateTensorAsOrtValue(OrtAllocator* allocator, const int64_t* shape, size_t rank,
                                      ONNXTensorElementDataType type, OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(allocator);
  if (rank) KP_ORT_NEED(shape);
  kapell_value* tensor;
  KP_ORT_PASS(kp_ort_tensor_from(allocator, shape, rank, type, &tensor));
  return wrap_with_info(tensor, allocator->Info ? allocator->Info(allocator) : NULL, out);
}

OrtStatus* ort_CreateTensorWithDataAsOrtValue(const OrtMemoryInfo* info, void* data, size_t size,
                                              const int64_t* shape, size_t rank,
                                              ONNXTensorElementDataType type, OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(info);
  if (rank) KP_ORT_NEED(shape);
  kapell_value* tensor;
  KP_ORT_PASS(kp_ort_tensor_over(shape, rank, type, data, size, NULL, &tensor));
  return wrap_with_info(tensor, info, out);
}

OrtStatus* ort_CreateTensorWithDataAndDeleterAsOrtValue(OrtAllocator* deleter, void* data,
                                                        size_t size, const int64_t* shape,
                                                        size_t rank, ONNXTensorElementDataType type,
                                                        OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(deleter);
  if (rank) KP_ORT_NEED(shape);
  kapell_value* tensor;
  KP_ORT_PASS(kp_ort_tensor_over(shape, rank, type, data, size, deleter, &tensor));
  return wrap_with_info(tensor, deleter->Info ? deleter->Info(deleter) : NULL, out);
}

// --- reading tensors -------------------------------------------------------------------------------------------------------------
kapell_value* kp_ort_value_tensor(const OrtValue* value, OrtStatus** out_status) {
  if (KP_LIKELY(value && value->value && value->value->kind == KAPELL_KIND_TENSOR))
    return value->value;
  *out_status = value ? kp_ort_error(ORT_INVALID_ARGUMENT, "the value is no dense tensor")
                      : kp_ort_error(ORT_INVALID_ARGUMENT, "value is NULL");
  return NULL;
}

// Data of fixed-width types. A string tensor's elements are Kapell's own: what a client of ONNX Runtime's would take them for, an
// array of C++ strings, they are not.
static OrtStatus* lend_data(const OrtValue* value, void** out) {
  OrtStatus* status;
  if (value && value->value && value->value->kind != KAPELL_KIND_TENSOR)
    return kp_ort_error(ORT_RUNTIME_EXCEPTION, "the value is no dense tensor");
  kapell_value* tensor = kp_ort_value_tensor(value, &status);
  if (!tensor) return status;
  if (tensor->type == KAPELL_STRING)
    return kp_ort_error(
        ORT_NOT_IMPLEMENTED,
        "data of a string tensor: GetStringTensorContent and GetStringTensorElement read it");
  *out = tensor->data;
  return NULL;
}

OrtStatus* ort_GetTensorMutableData(OrtValue* value, void** out) {
  KP_ORT_NEED(out);
  return lend_data(value, out);
}

OrtStatus* ort_GetTensorData(const OrtValue* value, const void** out) {
  KP_ORT_NEED(out);
  void* data = NULL;
  KP_ORT_PASS(lend_data(value, &data));
  *out = data;
  return NULL;
}

OrtStatus* ort_TensorAt(OrtValue* value, const int64_t* location_values,
                        size_t location_values_count, void** out) {
  KP_ORT_NEED(out);
  OrtStatus* status;
  const kapell_value* tensor = kp_ort_value_tensor(value, &status);
  if (!tensor) return status;
  const unsigned bits = kp_type_bits(tensor->type);
  if (tensor->type == KAPELL_STRING)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "TensorAt does not support strings");
  if (bits < 8)
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "TensorAt does not support %s",
                        kp_type_name(tensor->type));
  if (location_values_count != (size_t)tensor->rank)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "location dimensions do not match shape size");
  if (location_values_count) KP_ORT_NEED(location_values);
  size_t offset = 0;
  for (int32_t d = 0; d < tensor->rank; ++d) {
    if (location_values[d] < 0 || location_values[d] >= tensor->dims[d])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "invalid location range");
    offset = offset * (size_t)tensor->dims[d] + (size_t)location_values[d];
  }
  *out = (char*)tensor->data + offset * (bits / 8);
  return NULL;
}

OrtStatus* ort_IsTensor(const OrtValue* value, int* out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  *out = value->value && value->value->kind == KAPELL_KIND_TENSOR;
  return NULL;
}

OrtStatus* ort_GetTensorTypeAndShape(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  const kapell_value* v = value->value;
  if (!v || (v->kind != KAPELL_KIND_TENSOR && v->kind != KAPELL_KIND_SPARSE))
    return kp_ort_error(ORT_FAIL, "Argument is not a tensor");
  return kp_ort_shape_info_create(v->type, true, v->dims, (size_t)v->rank, out);
}

OrtStatus* ort_GetTensorElementTypeAndShapeDataReference(const OrtValue* value,
                                                         ONNXTensorElementDataType* elem_type,
                                                         const int64_t** shape_data,
                                                         size_t* shape_data_count) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(elem_type);
  KP_ORT_NEED(shape_data);
  KP_ORT_NEED(shape_data_count);
  const kapell_value* v = value->value;
  if (!v || (v->kind != KAPELL_KIND_TENSOR && v->kind != KAPELL_KIND_SPARSE))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Input `value` must contain a constructed tensor or sparse tensor");
  *elem_type = kp_ort_type_of(v->type);
  *shape_data = v->rank ? v->dims : NULL;
  *shape_data_count = (size_t)v->rank;
  return NULL;
}

OrtStatus* ort_GetTensorSizeInBytes(const OrtValue* value, size_t* size) {
  KP_ORT_NEED(size);
  OrtStatus* status;
  const kapell_value* tensor = kp_ort_value_tensor(value, &status);
  if (!tensor) return status;
  if (tensor->type == KAPELL_STRING)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "String tensors are not supported by this API");
  *size = tensor->byte_count;
  return NULL;
}

OrtStatus* ort_GetTensorMemoryInfo(const OrtValue* value, const OrtMemoryInfo** mem_info) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(mem_info);
  const kapell_value* v = value->value;
  if (!v || (v->kind != KAPELL_KIND_TENSOR && v->kind != KAPELL_KIND_SPARSE))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the value is no tensor");
  *mem_info = value->info;
  return NULL;
}

const OrtMemoryDevice* ort_ep_Value_GetMemoryDevice(const OrtValue* value) {
  return value ? ort_ep_MemoryInfo_GetMemoryDevice(value->info) : NULL;
}
