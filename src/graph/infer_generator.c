// Inference of operators that make tensors: constants, ranges, random numbers, windows.
#include <math.h>

#include "graph/infer_rule.h"

// --- Constant -----------------------------------------------------------------------------------------------------------
static kp_status* constant_tensor(kp_infer* infer, const kapell_value* value) {
  if (!value) return kp_node_error(infer, "attribute 'value' holds no tensor");
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, value->type, value->rank, &dims));
  for (int32_t d = 0; d < value->rank; ++d) dims[d] = value->dims[d];
  kp_out_data_of_value(infer, 0, value);
  if (value->kind == KAPELL_KIND_SPARSE && infer->node->output_count)
    infer->outputs[0].kind = KAPELL_KIND_SPARSE;
  return NULL;
}

static kp_status* constant_ints(kp_infer* infer, const int64_t* values, size_t count) {
  KP_PASS(kp_out_vector(infer, 0, KAPELL_INT64, (int64_t)count));
  kp_expr* out = count <= KP_INFER_MAX_DATA ? kp_out_ints(infer, 0, (int64_t)count) : NULL;
  for (size_t k = 0; out && k < count; ++k)
    out[k] = infer->symbols && kp_is_symbol(values[k]) ? KP_SYMBOL_LIMIT : values[k];
  return NULL;
}

static kp_status* constant_floats(kp_infer* infer, const float* values, size_t count) {
  KP_PASS(kp_out_vector(infer, 0, KAPELL_FLOAT, (int64_t)count));
  double* out = count <= KP_INFER_MAX_DATA ? kp_out_doubles(infer, 0, (int64_t)count) : NULL;
  for (size_t k = 0; out && k < count; ++k) out[k] = (double)values[k];
  return NULL;
}

static kp_status* constant_scalar(kp_infer* infer, kapell_type element, const kp_attr* attr) {
  kp_out_scalar(infer, 0, element);
  kp_expr* whole = element == KAPELL_INT64 ? kp_out_ints(infer, 0, 1) : NULL;
  double* real = element == KAPELL_FLOAT ? kp_out_doubles(infer, 0, 1) : NULL;
  if (whole) whole[0] = infer->symbols && kp_is_symbol(attr->i) ? KP_SYMBOL_LIMIT : attr->i;
  if (real) real[0] = (double)attr->f;
  return NULL;
}

static kp_status* constant(kp_infer* infer) {
  static const char* const names[] = {"value",        "sparse_value", "value_int",
                                      "value_ints",   "value_float",  "value_floats",
                                      "value_string", "value_strings"};
  for (size_t k = 0; k < KP_COUNT_OF(names); ++k) {
    const kp_attr* attr = kp_node_attr(infer->node, names[k]);
    switch (attr ? attr->type : KP_ONNX_ATTR_UNDEFINED) {
      case KP_ONNX_ATTR_TENSOR:
      case KP_ONNX_ATTR_SPARSE_TENSOR:
        return constant_tensor(infer, attr->tensor);
      case KP_ONNX_ATTR_INTS:
        return constant_ints(infer, attr->ints, attr->count);
      case KP_ONNX_ATTR_FLOATS:
        return constant_floats(infer, attr->floats, attr->count);
      case KP_ONNX_ATTR_STRINGS:
        return kp_out_vector(infer, 0, KAPELL_STRING, (int64_t)attr->count);
      case KP_ONNX_ATTR_INT:
        return constant_scalar(infer, KAPELL_INT64, attr);
      case KP_ONNX_ATTR_FLOAT:
        return constant_scalar(infer, KAPELL_FLOAT, attr);
      case KP_ONNX_ATTR_STRING:
        return constant_scalar(infer, KAPELL_STRING, attr);
      default:
        break;
    }
  }
  return kp_node_error(infer, "no attribute gives its value");
}

// --- ConstantOfShape ----------------------------------------------------------------------------------------------------
static void fill_data(kp_infer* infer, const kapell_value* value) {
  const int64_t count = infer->node->output_count ? kp_type_small_count(infer->outputs) : -1;
  const kapell_type element = value ? value->type : KAPELL_FLOAT;
  double real = 0;
  int64_t whole = 0;
  if (count < 0 || !(kp_data_is_int(element) || kp_data_is_float(element)) ||
      (value && !kp_value_number(value, &whole, &real)))
    return;
  if (kp_data_is_int(element) || kp_data_whole(real, &whole)) {
    kp_expr* out = kp_out_ints(infer, 0, count);
    for (int64_t k = 0; out && k < count; ++k)
      out[k] = infer->symbols && kp_is_symbol(whole) ? KP_SYMBOL_LIMIT : whole;
  } else {
    double* out = kp_out_doubles(infer, 0, count);
    for (int64_t k = 0; out && k < count; ++k) out[k] = real;
  }
}

static kp_status* constant_of_shape(kp_infer* infer) {
  const kp_attr* attr = kp_node_attr(infer->node, "value");
  const kapell_value* value = attr && attr->type == KP_ONNX_ATTR_TENSOR ? attr->tensor : NULL;
  const kapell_type element = value ? value->type : KAPELL_FLOAT;
  KP_PASS(kp_in_check_rank(infer, 0, 1, 1));
  kp_ints shape;
  if (!kp_in_ints(infer, 0, &shape)) {
    const kp_expr rank = kp_in_rank(infer, 0) == 1 ? kp_in_dim(infer, 0, 0) : KP_DIM_UNKNOWN;
    if (kp_is_number(rank) && rank <= KP_MAX_RANK)
      return kp_out_fresh(infer, 0, element, (int32_t)rank);
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (shape.n > KP_MAX_RANK)
    return kp_in_error(infer, 0, "%u entries; the largest rank is %d", shape.n, KP_MAX_RANK);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, (int32_t)shape.n, &dims));
  for (uint32_t d = 0; d < shape.n; ++d) KP_PASS(kp_dim_of_data(infer, 0, shape.v[d], &dims[d]));
  fill_data(infer, value);
  return NULL;
}

// --- Range --------------------------------------------------------------------------------------------------------------
static kp_status* range_numbers(kp_infer* infer, int64_t start, int64_t limit, int64_t delta) {
  if (delta == 0) return kp_in_error(infer, 2, "0; expected a step");
  int64_t room;
  const bool up = delta > 0;
  if (__builtin_sub_overflow(up ? limit : start, up ? start : limit, &room))
    return kp_status_at(
        KP_ERROR(LIMIT, "a range from %lld to %lld", (long long)start, (long long)limit),
        infer->node->name, infer->node->op, NULL);
  const uint64_t step = up ? (uint64_t)delta : 0 - (uint64_t)delta;
  const int64_t count = room > 0 ? (int64_t)(((uint64_t)room - 1) / step + 1) : 0;
  KP_PASS(kp_out_vector(infer, 0, kp_in_element(infer, 0), count));
  kp_expr* out = kp_out_ints(infer, 0, count);
  for (int64_t k = 0; out && k < count; ++k) out[k] = start + k * delta;
  return NULL;
}

static kp_status* range_doubles(kp_infer* infer, double start, double limit, double delta) {
  const kapell_type element = kp_in_element(infer, 0);
  if (delta == 0) return kp_in_error(infer, 2, "0; expected a step");
  const double exact = ceil((limit - start) / delta);
  if (!(exact < 1e15))
    return kp_in_error(infer, 1, "a range from %g to %g by %g", start, limit, delta);
  const int64_t count = exact > 0 ? (int64_t)exact : 0;
  KP_PASS(kp_out_vector(infer, 0, element, count));
  double* out =
      element == KAPELL_FLOAT || element == KAPELL_DOUBLE ? kp_out_doubles(infer, 0, count) : NULL;
  for (int64_t k = 0; out && k < count; ++k)
    out[k] = element == KAPELL_FLOAT ? (double)(float)(start + (double)k * delta)
                                     : start + (double)k * delta;
  return NULL;
}

kp_status* kp_infer_range(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  for (uint32_t i = 0; i < 3; ++i) KP_PASS(kp_in_check_rank(infer, i, 0, 1));
  static const double one = 1;
  const bool has_delta = kp_in_given(infer, 2);  // com.microsoft's may do without
  kp_expr start, limit, delta = 1;
  kp_doubles real[3] = {[2] = {&one, 1}};
  if (kp_in_int(infer, 0, &start) && kp_in_int(infer, 1, &limit) &&
      (!has_delta || kp_in_int(infer, 2, &delta)) && kp_data_is_number(infer, delta)) {
    if (kp_data_is_number(infer, start) && kp_data_is_number(infer, limit) &&
        kp_data_is_int(element))
      return range_numbers(infer, start, limit, delta);
    if (delta != 0 && !(kp_data_is_number(infer, start) && kp_data_is_number(infer, limit)) &&
        delta > INT32_MIN) {
      const kp_expr room = kp_dim_sub(infer, delta > 0 ? limit : start, delta > 0 ? start : limit);
      kp_expr count = kp_dim_op(infer, KP_EXPR_CEILDIV, room, delta > 0 ? delta : -delta);
      if (!kp_data_at_least(infer, count, 0)) count = kp_dim_op(infer, KP_EXPR_MAX, count, 0);
      return kp_out_vector(infer, 0, element, count);
    }
  }
  for (uint32_t i = 0; i < (has_delta ? 3u : 2u); ++i) {
    if (!kp_in_doubles(infer, i, &real[i]) || real[i].n != 1)
      return kp_out_vector(infer, 0, element, kp_dim_fresh(infer));
  }
  return range_doubles(infer, real[0].v[0], real[1].v[0], real[2].v[0]);
}

// --- random numbers, windows --------------------------------------------------------------------------------------------
static kp_status* random_shape(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "dtype", KAPELL_FLOAT, &element));
  size_t count;
  const int64_t* shape = kp_node_attr_ints(infer->node, "shape", &count);
  if (count > KP_MAX_RANK)
    return kp_node_error(infer, "attribute 'shape' has %zu entries; the largest rank is %d", count,
                         KP_MAX_RANK);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, (int32_t)count, &dims));
  for (size_t d = 0; d < count; ++d) {
    if (shape[d] < 0)
      return kp_node_error(infer, "attribute 'shape' has %lld at %zu", (long long)shape[d], d);
    dims[d] = shape[d];
  }
  return NULL;
}

// Shape of the input; element type by attribute, else the input's.
static kp_status* random_like(kp_infer* infer) {
  kapell_type element = KAPELL_UNDEFINED;
  if (kp_node_attr(infer->node, "dtype"))
    KP_PASS(kp_attr_element(infer, "dtype", KAPELL_FLOAT, &element));
  kp_out_shape_of(infer, 0, element != KAPELL_UNDEFINED ? element : kp_in_element(infer, 0), 0);
  return NULL;
}

static kp_status* eye_like(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, 2));
  return random_like(infer);
}

static kp_status* multinomial(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "dtype", KAPELL_INT32, &element));
  KP_PASS(kp_in_check_rank(infer, 0, 2, 2));
  const int64_t samples = kp_node_attr_i(infer->node, "sample_size", 1);
  if (samples < 0)
    return kp_node_error(infer, "attribute 'sample_size' is %lld", (long long)samples);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, 2, &dims));
  dims[0] = kp_in_rank(infer, 0) == 2 ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer);
  dims[1] = samples;
  return NULL;
}

static kp_status* window(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "output_datatype", KAPELL_FLOAT, &element));
  KP_PASS(kp_in_check_single(infer, 0));
  kp_expr size;
  if (!kp_in_int(infer, 0, &size)) return kp_out_vector(infer, 0, element, kp_dim_fresh(infer));
  KP_PASS(kp_dim_of_data(infer, 0, size, &size));
  return kp_out_vector(infer, 0, element, size);
}

static kp_status* mel_weight_matrix(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "output_datatype", KAPELL_FLOAT, &element));
  for (uint32_t i = 0; i < 5; ++i) KP_PASS(kp_in_check_single(infer, i));
  kp_expr bins, length, *dims;
  KP_PASS(kp_out_dims(infer, 0, element, 2, &dims));
  if (kp_in_int(infer, 1, &length)) {
    KP_PASS(kp_dim_of_data(infer, 1, length, &length));
    dims[0] = kp_dim_add(infer, kp_dim_div(infer, length, 2), 1);
  } else {
    dims[0] = kp_dim_fresh(infer);
  }
  if (kp_in_int(infer, 0, &bins)) return kp_dim_of_data(infer, 0, bins, &dims[1]);
  dims[1] = kp_dim_fresh(infer);
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_generator[] = {
    {"", "Constant", 1, constant, 0, KP_INFER_FROM_DATA},
    {"", "ConstantOfShape", 9, constant_of_shape, 1u << 0, KP_INFER_FROM_DATA},
    {"", "Range", 11, kp_infer_range, 7, KP_INFER_FROM_DATA},
    {"", "RandomNormal", 1, random_shape, 0, 0},
    {"", "RandomUniform", 1, random_shape, 0, 0},
    {"", "RandomNormalLike", 1, random_like, 0, 0},
    {"", "RandomUniformLike", 1, random_like, 0, 0},
    {"", "Bernoulli", 15, random_like, 0, 0},
    {"", "EyeLike", 9, eye_like, 0, 0},
    {"", "Multinomial", 7, multinomial, 0, 0},
    {"", "HannWindow", 17, window, 1u << 0, 0},
    {"", "HammingWindow", 17, window, 1u << 0, 0},
    {"", "BlackmanWindow", 17, window, 1u << 0, 0},
    {"", "MelWeightMatrix", 17, mel_weight_matrix, 1u << 0 | 1u << 1, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
