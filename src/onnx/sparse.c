// Sparse tensors as dense ones: see kp_onnx_sparse_dense in reader.h.
// Source: onnx.proto (SparseTensorProto).
#include "base/alloc.h"
#include "base/size.h"
#include "base/types.h"
#include "onnx/flat.h"
#include "onnx/reader.h"

typedef struct coo {
  const kp_onnx_sparse* sparse;
  const uint8_t* values;
  const uint8_t* indices;
  size_t index_width;    // bytes of an index
  size_t nnz, width;     // stored elements; bytes of one
  size_t element_count;  // of the dense tensor
  bool linear;           // indices are [NNZ] rather than [NNZ, rank]
} coo;

// ONNX wants indices of 64 bits; ONNX Runtime reads narrower ones too and writes those that suffice into models of its own format.
static size_t width_of_index(int32_t type) {
  switch (type) {
    case KAPELL_INT8:
    case KAPELL_INT16:
    case KAPELL_INT32:
    case KAPELL_INT64:
      return kp_type_bits((kapell_type)type) / 8;
    default:
      return 0;
  }
}

static int64_t index_at(const coo* c, size_t i) {
  return kp_flat_number(c->indices + i * c->index_width, c->index_width);
}

static kp_status* check_form(const kp_onnx_sparse* sparse, coo* c) {
  const kp_onnx_tensor* const indices = &sparse->indices;
  if (sparse->values.rank != 1)
    return KP_ERROR(INVALID_MODEL, "values have rank %zu; 1 is needed", sparse->values.rank);
  c->nnz = (size_t)sparse->values.dims[0];
  c->index_width = width_of_index(indices->type);
  if (!c->index_width)
    return KP_ERROR(INVALID_MODEL, "indices are not of type INT64, nor of a narrower one");
  c->linear = indices->rank == 1;
  const bool by_axis = indices->rank == 2 && (size_t)indices->dims[1] == sparse->rank;
  if (!(c->linear || by_axis) || (size_t)indices->dims[0] != c->nnz)
    return KP_ERROR(INVALID_MODEL, "indices have a shape that is neither [%zu] nor [%zu, %zu]",
                    c->nnz, c->nnz, sparse->rank);
  return NULL;
}

static kp_status* linear_index(const coo* c, size_t i, size_t* out_index) {
  if (c->linear) {
    const int64_t index = index_at(c, i);
    if (index < 0 || (size_t)index >= c->element_count)
      return KP_ERROR(INVALID_MODEL, "index %zu is %lld, outside of %zu elements", i,
                      (long long)index, c->element_count);
    *out_index = (size_t)index;
    return NULL;
  }
  size_t sum = 0;
  for (size_t axis = 0; axis < c->sparse->rank; ++axis) {
    const int64_t index = index_at(c, i * c->sparse->rank + axis);
    if (index < 0 || index >= c->sparse->dims[axis])
      return KP_ERROR(INVALID_MODEL, "index %zu is %lld on axis %zu of %lld", i, (long long)index,
                      axis, (long long)c->sparse->dims[axis]);
    sum = sum * (size_t)c->sparse->dims[axis] + (size_t)index;  // below element_count
  }
  *out_index = sum;
  return NULL;
}

static kp_status* scatter(const coo* c, uint8_t* dense) {
  for (size_t i = 0; i < c->nnz; ++i) {
    size_t index;
    KP_PASS(linear_index(c, i, &index));
    memcpy(dense + index * c->width, c->values + i * c->width, c->width);
  }
  return NULL;
}

// The dense form's size in bytes.
static kp_status* dense_size(const kp_onnx_sparse* sparse, coo* c, size_t max_byte_count,
                             size_t* out_byte_count) {
  const kp_onnx_tensor dense = {
      .type = sparse->values.type, .dims = sparse->dims, .rank = sparse->rank};
  const kapell_type type = (kapell_type)dense.type;
  KP_PASS(kp_onnx_tensor_count(&dense, &c->element_count));
  if (kp_type_bits(type) < 8)
    return KP_ERROR(UNSUPPORTED_MODEL, "sparse tensors of type %s", kp_type_onnx_name(type));
  c->width = kp_type_bits(type) / 8;
  *out_byte_count = c->element_count * c->width;
  if (*out_byte_count > max_byte_count)
    return KP_ERROR(LIMIT, "as a dense tensor it takes %zu bytes; %zu are allowed", *out_byte_count,
                    max_byte_count);
  return NULL;
}

static kp_status* make_dense(kp_onnx_model* model, const kp_onnx_sparse* sparse,
                             size_t max_byte_count, void** out_data, size_t* out_byte_count) {
  coo c = {.sparse = sparse};
  size_t size;
  const void *values, *indices;
  void *owned_values = NULL, *owned_indices = NULL, *dense = NULL;
  kp_status* status;
  KP_GOTO(status, done, dense_size(sparse, &c, max_byte_count, &size));
  KP_GOTO(status, done,
          kp_onnx_tensor_bytes(model, &sparse->values, &values, &(size_t){0}, &owned_values));
  KP_GOTO(status, done,
          kp_onnx_tensor_bytes(model, &sparse->indices, &indices, &(size_t){0}, &owned_indices));
  KP_GOTO(status, done, check_form(sparse, &c));
  c.values = values;
  c.indices = indices;
  dense = kp_alloc_aligned(size, KP_ALIGNMENT);
  if (!dense) KP_GOTO(status, done, KP_ERROR(OUT_OF_MEMORY, "%zu bytes for a tensor", size));
  memset(dense, 0, size);
  KP_GOTO(status, done, scatter(&c, dense));
  *out_data = dense;
  *out_byte_count = size;
  dense = NULL;
done:
  kp_free(dense);
  kp_free(owned_values);
  kp_free(owned_indices);
  return status;
}

kp_status* kp_onnx_sparse_dense(kp_onnx_model* model, const kp_onnx_sparse* sparse,
                                size_t max_byte_count, void** out_data, size_t* out_byte_count) {
  *out_data = NULL;
  *out_byte_count = 0;
  KP_TRY(make_dense(model, sparse, max_byte_count, out_data, out_byte_count),
         "reading sparse tensor '%.*s'", KP_STR_ARG(sparse->values.name));
  return NULL;
}
