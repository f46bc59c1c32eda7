// Type infos and the slots that make, change and read them.
#include "ort/type_info.h"

#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/types.h"
#include "graph/type_info.h"

#define DEPTH_LIMIT 64  // of sequences of maps of ...

// --- element types ---------------------------------------------------------------------------------------------------------------
// Up to FLOAT4E2M1 both numberings are one; the types after it came in another order.
typedef struct type_pair {
  kapell_type ours;
  ONNXTensorElementDataType theirs;
} type_pair;

static const type_pair newer_types[] = {
    {KAPELL_UINT2, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT2},
    {KAPELL_INT2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT2},
    {KAPELL_FLOAT8E8M0, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0},
};

kapell_type kp_ort_type_from(ONNXTensorElementDataType type) {
  if (type >= 0 && type <= ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT4E2M1) return (kapell_type)type;
  for (size_t i = 0; i < KP_COUNT_OF(newer_types); ++i)
    if (newer_types[i].theirs == type) return newer_types[i].ours;
  return KAPELL_UNDEFINED;
}

ONNXTensorElementDataType kp_ort_type_of(kapell_type type) {
  if (type >= 0 && type <= KAPELL_FLOAT4E2M1) return (ONNXTensorElementDataType)type;
  for (size_t i = 0; i < KP_COUNT_OF(newer_types); ++i)
    if (newer_types[i].ours == type) return newer_types[i].theirs;
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

// --- shapes ----------------------------------------------------------------------------------------------------------------------
static void clear_shape(OrtTensorTypeAndShapeInfo* info) {
  for (size_t d = 0; d < info->rank; ++d) kp_free(info->symbols[d]);
  kp_free(info->symbols);
  kp_free(info->dims);
  *info = (OrtTensorTypeAndShapeInfo){.type = info->type};
}

static OrtStatus* set_symbol(OrtTensorTypeAndShapeInfo* info, size_t at, const char* text) {
  char* copy = kp_strdup(text ? text : "");
  if (!copy) return kp_ort_no_memory();
  kp_free(info->symbols[at]);
  info->symbols[at] = copy;
  return NULL;
}

// |symbols| and its entries may be NULL.
static OrtStatus* set_shape(OrtTensorTypeAndShapeInfo* info, const int64_t* dims,
                            const char* const* symbols, size_t rank) {
  clear_shape(info);
  int64_t* new_dims = kp_alloc_array(rank, sizeof(*new_dims));
  char** new_symbols = kp_alloc_zero(rank, sizeof(*new_symbols));
  if (!new_dims || !new_symbols) {
    kp_free(new_dims);
    kp_free(new_symbols);
    return kp_ort_no_memory();
  }
  if (rank) memcpy(new_dims, dims, rank * sizeof(*new_dims));
  info->has_shape = true;
  info->rank = rank;
  info->dims = new_dims;
  info->symbols = new_symbols;
  for (size_t d = 0; d < rank; ++d) KP_ORT_PASS(set_symbol(info, d, symbols ? symbols[d] : NULL));
  return NULL;
}

OrtStatus* kp_ort_shape_info_copy(OrtTensorTypeAndShapeInfo* to,
                                  const OrtTensorTypeAndShapeInfo* from) {
  to->type = from->type;
  if (!from->has_shape) return NULL;
  OrtStatus* status = set_shape(to, from->dims, (const char* const*)from->symbols, from->rank);
  if (status) clear_shape(to);
  return status;
}

OrtStatus* kp_ort_shape_info_create(kapell_type type, bool has_shape, const int64_t* dims,
                                    size_t rank, OrtTensorTypeAndShapeInfo** out) {
  OrtTensorTypeAndShapeInfo* info;
  KP_ORT_PASS(ort_CreateTensorTypeAndShapeInfo(&info));
  info->type = kp_ort_type_of(type);
  OrtStatus* status = has_shape ? set_shape(info, dims, NULL, rank) : NULL;
  if (status) {
    ort_ReleaseTensorTypeAndShapeInfo(info);
    return status;
  }
  *out = info;
  return NULL;
}

// --- trees -----------------------------------------------------------------------------------------------------------------------
OrtStatus* kp_ort_type_info_create(ONNXType kind, OrtTypeInfo** out) {
  OrtTypeInfo* info = kp_alloc_zero(1, sizeof(*info));
  if (!info) return kp_ort_no_memory();
  info->type = kind;
  *out = info;
  return NULL;
}

OrtStatus* kp_ort_tensor_type_info(ONNXType kind, kapell_type type, const int64_t* dims,
                                   size_t rank, OrtTypeInfo** out) {
  OrtTypeInfo* info;
  KP_ORT_PASS(kp_ort_type_info_create(kind, &info));
  info->tensor.type = kp_ort_type_of(type);
  OrtStatus* status = set_shape(&info->tensor, dims, NULL, rank);
  if (status) {
    ort_ReleaseTypeInfo(info);
    return status;
  }
  *out = info;
  return NULL;
}

static const ONNXType kinds[] = {[KAPELL_KIND_NONE] = ONNX_TYPE_UNKNOWN,
                                 [KAPELL_KIND_TENSOR] = ONNX_TYPE_TENSOR,
                                 [KAPELL_KIND_SPARSE] = ONNX_TYPE_SPARSETENSOR,
                                 [KAPELL_KIND_SEQUENCE] = ONNX_TYPE_SEQUENCE,
                                 [KAPELL_KIND_MAP] = ONNX_TYPE_MAP,
                                 [KAPELL_KIND_OPTIONAL] = ONNX_TYPE_OPTIONAL};

static OrtStatus* fill(OrtTypeInfo* info, const kapell_type_info* from, int depth);

static OrtStatus* fill_inner(const kapell_type_info* inner, int depth, OrtTypeInfo** out) {
  if (!inner || depth >= DEPTH_LIMIT) return kp_ort_type_info_create(ONNX_TYPE_UNKNOWN, out);
  KP_ORT_PASS(kp_ort_type_info_create(kinds[inner->kind], out));
  return fill(*out, inner, depth);
}

static OrtStatus* fill(OrtTypeInfo* info, const kapell_type_info* from, int depth) {
  if (from->denotation && !(info->denotation = kp_strdup(from->denotation)))
    return kp_ort_no_memory();
  switch (info->type) {
    case ONNX_TYPE_TENSOR:
    case ONNX_TYPE_SPARSETENSOR:
      info->tensor.type = kp_ort_type_of(from->element);
      return from->rank < 0
                 ? NULL
                 : set_shape(&info->tensor, from->dims, from->symbols, (size_t)from->rank);
    case ONNX_TYPE_SEQUENCE:
      return fill_inner(from->inner, depth + 1, &info->sequence.element);
    case ONNX_TYPE_MAP:
      info->map.key = kp_ort_type_of(from->element);
      return fill_inner(from->inner, depth + 1, &info->map.value);
    case ONNX_TYPE_OPTIONAL:
      return fill_inner(from->inner, depth + 1, &info->optional.contained);
    default:
      return NULL;
  }
}

OrtStatus* kp_ort_type_info_from(const kapell_type_info* from, OrtTypeInfo** out) {
  OrtTypeInfo* info = NULL;
  OrtStatus* status = fill_inner(from, 0, &info);
  if (status) {
    ort_ReleaseTypeInfo(info);
    return status;
  }
  *out = info;
  return NULL;
}

OrtStatus* kp_ort_type_info_of(const kp_symbols* symbols, const kp_type* type, OrtTypeInfo** out) {
  kp_arena arena = {0};
  const kapell_type_info* info = NULL;
  OrtStatus* status = kp_ort_status(kp_type_info_of(&arena, symbols, type, &info));
  if (!status) status = kp_ort_type_info_from(info, out);
  kp_arena_free(&arena);
  return status;
}

static OrtStatus* copy_part(const OrtTypeInfo* from, OrtTypeInfo** to) {
  return from ? kp_ort_type_info_clone(from, to) : NULL;
}

static OrtStatus* copy_parts(const OrtTypeInfo* from, OrtTypeInfo* to) {
  if (from->denotation && !(to->denotation = kp_strdup(from->denotation)))
    return kp_ort_no_memory();
  to->map.key = from->map.key;
  KP_ORT_PASS(kp_ort_shape_info_copy(&to->tensor, &from->tensor));
  KP_ORT_PASS(copy_part(from->map.value, &to->map.value));
  KP_ORT_PASS(copy_part(from->sequence.element, &to->sequence.element));
  return copy_part(from->optional.contained, &to->optional.contained);
}

OrtStatus* kp_ort_type_info_clone(const OrtTypeInfo* from, OrtTypeInfo** out) {
  OrtTypeInfo* info;
  KP_ORT_PASS(kp_ort_type_info_create(from->type, &info));
  OrtStatus* status = copy_parts(from, info);
  if (status) {
    ort_ReleaseTypeInfo(info);
    return status;
  }
  *out = info;
  return NULL;
}

// --- the slots: tensors ----------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateTensorTypeAndShapeInfo(OrtTensorTypeAndShapeInfo** out) {
  KP_ORT_NEED(out);
  *out = kp_alloc_zero(1, sizeof(**out));
  if (!*out) return kp_ort_no_memory();
  (*out)->has_shape = true;  // of a scalar, until SetDimensions
  return NULL;
}

void ort_ReleaseTensorTypeAndShapeInfo(OrtTensorTypeAndShapeInfo* info) {
  if (!info) return;
  clear_shape(info);
  kp_free(info);
}

OrtStatus* ort_SetTensorElementType(OrtTensorTypeAndShapeInfo* info,
                                    ONNXTensorElementDataType type) {
  KP_ORT_NEED(info);
  info->type = type;
  return NULL;
}

OrtStatus* ort_SetDimensions(OrtTensorTypeAndShapeInfo* info, const int64_t* dim_values,
                             size_t dim_count) {
  KP_ORT_NEED(info);
  if (dim_count) KP_ORT_NEED(dim_values);
  return set_shape(info, dim_values, NULL, dim_count);
}

OrtStatus* ort_SetSymbolicDimensions(OrtTensorTypeAndShapeInfo* info, const char* dim_params[],
                                     size_t dim_params_length) {
  KP_ORT_NEED(info);
  if (dim_params_length) KP_ORT_NEED(dim_params);
  for (size_t d = 0; d < dim_params_length && d < info->rank; ++d)
    KP_ORT_PASS(set_symbol(info, d, dim_params[d]));
  return NULL;
}

OrtStatus* ort_GetTensorElementType(const OrtTensorTypeAndShapeInfo* info,
                                    ONNXTensorElementDataType* out) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  *out = info->type;
  return NULL;
}

OrtStatus* ort_GetDimensionsCount(const OrtTensorTypeAndShapeInfo* info, size_t* out) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  *out = info->rank;
  return NULL;
}

OrtStatus* ort_GetDimensions(const OrtTensorTypeAndShapeInfo* info, int64_t* dim_values,
                             size_t dim_values_length) {
  KP_ORT_NEED(info);
  const size_t count = kp_min_size(info->rank, dim_values_length);
  if (count) KP_ORT_NEED(dim_values);
  if (count) memcpy(dim_values, info->dims, count * sizeof(*dim_values));
  return NULL;
}

OrtStatus* ort_GetSymbolicDimensions(const OrtTensorTypeAndShapeInfo* info,
                                     const char* dim_params[], size_t dim_params_length) {
  KP_ORT_NEED(info);
  const size_t count = kp_min_size(info->rank, dim_params_length);
  if (count) KP_ORT_NEED(dim_params);
  for (size_t d = 0; d < count; ++d) dim_params[d] = info->symbols[d];
  return NULL;
}

OrtStatus* ort_GetTensorShapeElementCount(const OrtTensorTypeAndShapeInfo* info, size_t* out) {
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  size_t count = 1;
  bool fits = true;
  for (size_t d = 0; d < info->rank; ++d) {
    if (info->dims[d] < 0)
      return kp_ort_error(ORT_FAIL, "the shape has a dimension that is not known");
    fits = kp_mul_size(count, (size_t)info->dims[d], &count) && fits;
  }
  if (!fits) return kp_ort_error(ORT_FAIL, "the shape's element count does not fit in 64 bits");
  *out = count;
  return NULL;
}

bool ort_TensorTypeAndShape_HasShape(const OrtTensorTypeAndShapeInfo* info) {
  return info && info->has_shape;
}

// --- the slots: the other kinds --------------------------------------------------------------------------------------------------
void ort_ReleaseTypeInfo(OrtTypeInfo* info) {
  if (!info) return;
  clear_shape(&info->tensor);
  ort_ReleaseTypeInfo(info->map.value);
  ort_ReleaseTypeInfo(info->sequence.element);
  ort_ReleaseTypeInfo(info->optional.contained);
  kp_free(info->denotation);
  kp_free(info);
}

// What casts lend belongs to the type info: these two have nothing to free.
void ort_ReleaseMapTypeInfo(OrtMapTypeInfo* info) { (void)info; }
void ort_ReleaseSequenceTypeInfo(OrtSequenceTypeInfo* info) { (void)info; }

OrtStatus* ort_GetOnnxTypeFromTypeInfo(const OrtTypeInfo* type_info, ONNXType* out) {
  KP_ORT_NEED(type_info);
  KP_ORT_NEED(out);
  *out = type_info->type;
  return NULL;
}

OrtStatus* ort_GetDenotationFromTypeInfo(const OrtTypeInfo* type_info,
                                         const char** const denotation, size_t* len) {
  KP_ORT_NEED(type_info);
  KP_ORT_NEED(denotation);
  KP_ORT_NEED(len);
  *denotation = type_info->denotation ? type_info->denotation : "";
  *len = strlen(*denotation);
  return NULL;
}

OrtStatus* ort_CastTypeInfoToTensorInfo(const OrtTypeInfo* type_info,
                                        const OrtTensorTypeAndShapeInfo** out) {
  KP_ORT_NEED(type_info);
  KP_ORT_NEED(out);
  const bool is = type_info->type == ONNX_TYPE_TENSOR || type_info->type == ONNX_TYPE_SPARSETENSOR;
  *out = is ? &type_info->tensor : NULL;
  return NULL;
}

OrtStatus* ort_CastTypeInfoToMapTypeInfo(const OrtTypeInfo* type_info, const OrtMapTypeInfo** out) {
  KP_ORT_NEED(type_info);
  KP_ORT_NEED(out);
  *out = type_info->type == ONNX_TYPE_MAP ? &type_info->map : NULL;
  return NULL;
}

OrtStatus* ort_CastTypeInfoToSequenceTypeInfo(const OrtTypeInfo* type_info,
                                              const OrtSequenceTypeInfo** out) {
  KP_ORT_NEED(type_info);
  KP_ORT_NEED(out);
  *out = type_info->type == ONNX_TYPE_SEQUENCE ? &type_info->sequence : NULL;
  return NULL;
}

OrtStatus* ort_CastTypeInfoToOptionalTypeInfo(const OrtTypeInfo* type_info,
                                              const OrtOptionalTypeInfo** out) {
  KP_ORT_NEED(type_info);
  KP_ORT_NEED(out);
  *out = type_info->type == ONNX_TYPE_OPTIONAL ? &type_info->optional : NULL;
  return NULL;
}

OrtStatus* ort_GetMapKeyType(const OrtMapTypeInfo* map_type_info, ONNXTensorElementDataType* out) {
  KP_ORT_NEED(map_type_info);
  KP_ORT_NEED(out);
  *out = map_type_info->key;
  return NULL;
}

OrtStatus* ort_GetMapValueType(const OrtMapTypeInfo* map_type_info, OrtTypeInfo** type_info) {
  KP_ORT_NEED(map_type_info);
  KP_ORT_NEED(type_info);
  return kp_ort_type_info_clone(map_type_info->value, type_info);
}

OrtStatus* ort_GetSequenceElementType(const OrtSequenceTypeInfo* sequence_type_info,
                                      OrtTypeInfo** type_info) {
  KP_ORT_NEED(sequence_type_info);
  KP_ORT_NEED(type_info);
  return kp_ort_type_info_clone(sequence_type_info->element, type_info);
}

OrtStatus* ort_GetOptionalContainedTypeInfo(const OrtOptionalTypeInfo* optional_type_info,
                                            OrtTypeInfo** out) {
  KP_ORT_NEED(optional_type_info);
  KP_ORT_NEED(out);
  return kp_ort_type_info_clone(optional_type_info->contained, out);
}
