// Sparse tensors. Kapell computes with COO; the form that a client gave is kept beside it, for the client to read back.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "ort/value.h"

// --- life ------------------------------------------------------------------------------------------------------------------------
void kp_ort_sparse_free(kp_ort_sparse* sparse) {
  kp_value_release(sparse->values);
  kp_value_release(sparse->first);
  kp_value_release(sparse->second);
  kp_free(sparse);
}

OrtStatus* kp_ort_sparse_describe(OrtValue* value) {
  kp_ort_sparse* sparse = value->sparse = kp_alloc_zero(1, sizeof(*sparse));
  if (!sparse) return kp_ort_no_memory();
  sparse->format = ORT_SPARSE_COO;
  sparse->values = kp_value_retain(value->value->items[0]);
  sparse->first = kp_value_retain(value->value->items[1]);
  return NULL;
}

static OrtStatus* sparse_of(const OrtValue* value, kp_ort_sparse** out) {
  KP_ORT_NEED(value);
  if (!value->sparse) return kp_ort_error(ORT_RUNTIME_EXCEPTION, "the value is no sparse tensor");
  *out = value->sparse;
  return NULL;
}

// A sparse tensor of this dense shape without any element; indices are yet to be set.
static OrtStatus* make_empty(const int64_t* dense_shape, size_t rank,
                             ONNXTensorElementDataType type, OrtValue** out) {
  const int64_t none = 0;
  const kapell_type element = kp_ort_type_from(type);
  kapell_value *values = NULL, *indices = NULL, *made = NULL;
  if (element == KAPELL_UNDEFINED)
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "Element type %d is not supported for tensors.",
                        (int)type);
  if (rank > KP_MAX_RANK) return kp_ort_error(ORT_INVALID_ARGUMENT, "a shape of rank %zu", rank);
  kp_status* status = kp_value_create_tensor(element, &none, 1, &values);
  if (!status) status = kp_value_create_tensor(KAPELL_INT64, &none, 1, &indices);
  if (!status) status = kp_value_create_sparse(values, indices, dense_shape, (int32_t)rank, &made);
  kp_value_release(values);
  kp_value_release(indices);
  if (status) return kp_ort_status(status);
  KP_ORT_PASS(kp_ort_value_wrap(made, out));
  (*out)->sparse->format = ORT_SPARSE_UNDEFINED;
  return NULL;
}

// --- elements and indices --------------------------------------------------------------------------------------------------------
// A tensor over |data|, or with a copy of it.
static OrtStatus* make_part(kapell_type type, const int64_t* dims, size_t rank, const void* data,
                            bool copy, kapell_value** out) {
  size_t bytes = 0;
  if (rank > KP_MAX_RANK) return kp_ort_error(ORT_INVALID_ARGUMENT, "a shape of rank %zu", rank);
  KP_ORT_TAKE(kp_value_check_dims(type, dims, (int32_t)rank, NULL, &bytes));
  if (bytes && !data)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "elements or indices of a sparse tensor are NULL");
  if (!copy) {
    KP_ORT_TAKE(kp_value_wrap_tensor(type, dims, (int32_t)rank, (void*)(uintptr_t)data, bytes, NULL,
                                     NULL, out));
    return NULL;
  }
  KP_ORT_TAKE(kp_value_create_tensor(type, dims, (int32_t)rank, out));
  if (type != KAPELL_STRING) {
    if (bytes) memcpy((*out)->data, data, bytes);
    return NULL;
  }
  const char* const* texts = data;  // strings come as C texts
  for (size_t i = 0; i < kp_value_count(*out); ++i) {
    kp_status* status = kp_value_set_string(*out, i, kp_str_of(texts[i]));
    if (!status) continue;
    kp_value_release(*out);
    return kp_ort_status(status);
  }
  return NULL;
}

static OrtStatus* set_values(OrtValue* value, const int64_t* shape, size_t rank, const void* data,
                             bool copy) {
  kapell_value* made;
  KP_ORT_PASS(make_part(value->value->type, shape, rank, data, copy, &made));
  kp_value_release(value->sparse->values);
  value->sparse->values = made;
  return NULL;
}

// Gives the handle its COO form: the elements at |indices| (taken), positions in the flattened shape or one row of coordinates each.
static OrtStatus* set_coo(OrtValue* value, kapell_value* indices) {
  const kapell_value* old = value->value;
  kapell_value *made = NULL, *flat = NULL;
  const int64_t count = (int64_t)kp_value_count(value->sparse->values);
  kp_status* status = kp_value_create_shell(&flat);
  if (!status) status = kp_value_share(flat, value->sparse->values);
  if (!status && flat->rank != 1) status = kp_value_reshape(flat, &count, 1);
  if (!status) status = kp_value_create_sparse(flat, indices, old->dims, old->rank, &made);
  kp_value_release(flat);
  kp_value_release(indices);
  if (status) return kp_ort_status(status);
  kp_value_release(value->value);
  value->value = made;
  return NULL;
}

static void set_indices(kp_ort_sparse* sparse, OrtSparseFormat format, kapell_value* first,
                        kapell_value* second) {
  kp_value_release(sparse->first);
  kp_value_release(sparse->second);
  sparse->format = format;
  sparse->first = first;
  sparse->second = second;
}

static OrtStatus* use_coo(OrtValue* value, const int64_t* data, size_t number, bool copy) {
  kp_ort_sparse* sparse = value->sparse;
  const int64_t count = (int64_t)kp_value_count(sparse->values);
  const int64_t dims[] = {count, value->value->rank};
  size_t all = 0;
  const bool fits = kp_mul_size((size_t)count, (size_t)dims[1], &all);
  const size_t rank = number == (size_t)count ? 1 : 2;
  if (rank == 2 && (!fits || number != all))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "%zu indices for %lld elements of a tensor of rank %lld", number,
                        (long long)count, (long long)dims[1]);
  kapell_value* indices;
  KP_ORT_PASS(make_part(KAPELL_INT64, dims, rank, data, copy, &indices));
  OrtStatus* status = set_coo(value, kp_value_retain(indices));
  if (status) {
    kp_value_release(indices);
    return status;
  }
  set_indices(sparse, ORT_SPARSE_COO, indices, NULL);
  return NULL;
}

// Positions in the flattened matrix, from column numbers and the place where each row begins.
static OrtStatus* flatten_csr(const OrtValue* value, const int64_t* inner, size_t inner_count,
                              const int64_t* outer, size_t outer_count, kapell_value** out) {
  const kapell_value* v = value->value;
  const int64_t count = (int64_t)inner_count;
  if (v->rank != 2)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "CSR is for matrices; the shape has rank %d",
                        (int)v->rank);
  if (inner_count != kp_value_count(value->sparse->values))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "%zu inner indices for %zu elements", inner_count,
                        kp_value_count(value->sparse->values));
  if (inner_count == 0 ? outer_count > (size_t)v->dims[0] + 1
                       : outer_count != (size_t)v->dims[0] + 1)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "%zu outer indices for %lld rows", outer_count,
                        (long long)v->dims[0]);
  KP_ORT_TAKE(kp_value_create_tensor(KAPELL_INT64, &count, 1, out));
  int64_t* flat = (*out)->data;
  bool good = true;
  for (size_t row = 0; row + 1 < outer_count && good; ++row) {
    good = outer[row] >= 0 && outer[row] <= outer[row + 1] && outer[row + 1] <= count;
    for (int64_t i = outer[row]; good && i < outer[row + 1]; ++i) {
      good = inner[i] >= 0 && inner[i] < v->dims[1];
      flat[i] = (int64_t)row * v->dims[1] + inner[i];
    }
  }
  if (good && inner_count) good = outer[0] == 0 && outer[outer_count - 1] == count;
  if (good) return NULL;
  kp_value_release(*out);
  return kp_ort_error(ORT_INVALID_ARGUMENT, "CSR indices that are out of range or not in order");
}

static OrtStatus* use_csr(OrtValue* value, const int64_t* inner, size_t inner_count,
                          const int64_t* outer, size_t outer_count, bool copy) {
  const int64_t inner_dims = (int64_t)inner_count, outer_dims = (int64_t)outer_count;
  kapell_value *flat, *first, *second;
  if ((inner_count && !inner) || (outer_count && !outer))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "CSR indices are NULL");
  KP_ORT_PASS(flatten_csr(value, inner, inner_count, outer, outer_count, &flat));
  KP_ORT_PASS(set_coo(value, flat));
  KP_ORT_PASS(make_part(KAPELL_INT64, &inner_dims, 1, inner, copy, &first));
  OrtStatus* status = make_part(KAPELL_INT64, &outer_dims, 1, outer, copy, &second);
  if (status) {
    kp_value_release(first);
    return status;
  }
  set_indices(value->sparse, ORT_SPARSE_CSRC, first, second);
  return NULL;
}

static OrtStatus* use_blocks(OrtValue* value, const int64_t* shape, size_t rank,
                             const int32_t* data, bool copy) {
  kapell_value* indices;
  KP_ORT_PASS(make_part(KAPELL_INT32, shape, rank, data, copy, &indices));
  set_indices(value->sparse, ORT_SPARSE_BLOCK_SPARSE, indices, NULL);
  return NULL;
}

// --- the slots: making -----------------------------------------------------------------------------------------------------------
OrtStatus* ort_IsSparseTensor(const OrtValue* value, int* out) {
  KP_ORT_NEED(value);
  KP_ORT_NEED(out);
  *out = value->sparse != NULL;
  return NULL;
}

OrtStatus* ort_CreateSparseTensorAsOrtValue(OrtAllocator* allocator, const int64_t* dense_shape,
                                            size_t dense_shape_len, ONNXTensorElementDataType type,
                                            OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(allocator);  // elements lie in Kapell's memory
  if (dense_shape_len) KP_ORT_NEED(dense_shape);
  return make_empty(dense_shape, dense_shape_len, type, out);
}

OrtStatus* ort_CreateSparseTensorWithValuesAsOrtValue(
    const OrtMemoryInfo* info, void* p_data, const int64_t* dense_shape, size_t dense_shape_len,
    const int64_t* values_shape, size_t values_shape_len, ONNXTensorElementDataType type,
    OrtValue** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(info);
  if (dense_shape_len) KP_ORT_NEED(dense_shape);
  if (values_shape_len) KP_ORT_NEED(values_shape);
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Strings can not be used in this context: FillSparseTensor* take them");
  KP_ORT_PASS(make_empty(dense_shape, dense_shape_len, type, out));
  OrtStatus* status = set_values(*out, values_shape, values_shape_len, p_data, false);
  if (!status) return NULL;
  ort_ReleaseValue(*out);
  *out = NULL;
  return status;
}

OrtStatus* ort_FillSparseTensorCoo(OrtValue* ort_value, const OrtMemoryInfo* data_mem_info,
                                   const int64_t* values_shape, size_t values_shape_len,
                                   const void* values, const int64_t* indices_data,
                                   size_t indices_num) {
  kp_ort_sparse* sparse;
  (void)data_mem_info;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  KP_ORT_PASS(set_values(ort_value, values_shape, values_shape_len, values, true));
  return use_coo(ort_value, indices_data, indices_num, true);
}

OrtStatus* ort_FillSparseTensorCsr(OrtValue* ort_value, const OrtMemoryInfo* data_mem_info,
                                   const int64_t* values_shape, size_t values_shape_len,
                                   const void* values, const int64_t* inner_indices_data,
                                   size_t inner_indices_num, const int64_t* outer_indices_data,
                                   size_t outer_indices_num) {
  kp_ort_sparse* sparse;
  (void)data_mem_info;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  KP_ORT_PASS(set_values(ort_value, values_shape, values_shape_len, values, true));
  return use_csr(ort_value, inner_indices_data, inner_indices_num, outer_indices_data,
                 outer_indices_num, true);
}

OrtStatus* ort_FillSparseTensorBlockSparse(OrtValue* ort_value, const OrtMemoryInfo* data_mem_info,
                                           const int64_t* values_shape, size_t values_shape_len,
                                           const void* values, const int64_t* indices_shape_data,
                                           size_t indices_shape_len, const int32_t* indices_data) {
  kp_ort_sparse* sparse;
  (void)data_mem_info;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  KP_ORT_PASS(set_values(ort_value, values_shape, values_shape_len, values, true));
  return use_blocks(ort_value, indices_shape_data, indices_shape_len, indices_data, true);
}

OrtStatus* ort_UseCooIndices(OrtValue* ort_value, int64_t* indices_data, size_t indices_num) {
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  return use_coo(ort_value, indices_data, indices_num, false);
}

OrtStatus* ort_UseCsrIndices(OrtValue* ort_value, int64_t* inner_data, size_t inner_num,
                             int64_t* outer_data, size_t outer_num) {
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  return use_csr(ort_value, inner_data, inner_num, outer_data, outer_num, false);
}

OrtStatus* ort_UseBlockSparseIndices(OrtValue* ort_value, const int64_t* indices_shape,
                                     size_t indices_shape_len, int32_t* indices_data) {
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  return use_blocks(ort_value, indices_shape, indices_shape_len, indices_data, false);
}

// --- the slots: reading ----------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetSparseTensorFormat(const OrtValue* ort_value, OrtSparseFormat* out) {
  KP_ORT_NEED(out);
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  *out = sparse->format;
  return NULL;
}

static OrtStatus* type_and_shape(const kapell_value* part, OrtTensorTypeAndShapeInfo** out) {
  return kp_ort_shape_info_create(part->type, true, part->dims, (size_t)part->rank, out);
}

OrtStatus* ort_GetSparseTensorValuesTypeAndShape(const OrtValue* ort_value,
                                                 OrtTensorTypeAndShapeInfo** out) {
  KP_ORT_NEED(out);
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  return type_and_shape(sparse->values, out);
}

OrtStatus* ort_GetSparseTensorValues(const OrtValue* ort_value, const void** out) {
  KP_ORT_NEED(out);
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  if (sparse->values->type == KAPELL_STRING)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Use GetStringTensor*() API to retrieve strings");
  *out = sparse->values->data;
  return NULL;
}

static OrtStatus* indices_of(const OrtValue* ort_value, OrtSparseIndicesFormat format,
                             const kapell_value** out) {
  kp_ort_sparse* sparse;
  KP_ORT_PASS(sparse_of(ort_value, &sparse));
  const OrtSparseFormat needed = format == ORT_SPARSE_COO_INDICES ? ORT_SPARSE_COO
                                 : format == ORT_SPARSE_BLOCK_SPARSE_INDICES
                                     ? ORT_SPARSE_BLOCK_SPARSE
                                     : ORT_SPARSE_CSRC;
  if (sparse->format != needed)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the sparse tensor has format %d, not %d",
                        (int)sparse->format, (int)needed);
  *out = format == ORT_SPARSE_CSR_OUTER_INDICES ? sparse->second : sparse->first;
  return NULL;
}

OrtStatus* ort_GetSparseTensorIndicesTypeShape(const OrtValue* ort_value,
                                               OrtSparseIndicesFormat indices_format,
                                               OrtTensorTypeAndShapeInfo** out) {
  KP_ORT_NEED(out);
  const kapell_value* indices;
  KP_ORT_PASS(indices_of(ort_value, indices_format, &indices));
  return type_and_shape(indices, out);
}

OrtStatus* ort_GetSparseTensorIndices(const OrtValue* ort_value,
                                      OrtSparseIndicesFormat indices_format, size_t* num_indices,
                                      const void** indices) {
  KP_ORT_NEED(num_indices);
  KP_ORT_NEED(indices);
  const kapell_value* found;
  KP_ORT_PASS(indices_of(ort_value, indices_format, &found));
  *num_indices = kp_value_count(found);
  *indices = found->data;
  return NULL;
}
