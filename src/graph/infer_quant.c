// Inference of quantization in ai.onnx. The com.microsoft forms use the same functions (infer_microsoft.c).
#include "graph/infer_quant.h"

// Scale (and zero point) of input 0: one for all, one along "axis", or one a block of "block_size" along it.
static kp_status* check_scale(kp_infer* infer, uint32_t i) {
  const int32_t rank = kp_in_rank(infer, 0), have = kp_in_rank(infer, i);
  const int64_t block = kp_node_attr_i(infer->node, "block_size", 0);
  if (rank < 0 || have < 0 || have == 0) return NULL;
  if (block < 0) return kp_node_error(infer, "attribute 'block_size' is %lld", (long long)block);
  if (have == 1 && block == 0) {
    if (kp_in_dim(infer, i, 0) == 1) return NULL;
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 1), rank,
                          &axis));
    return kp_in_check_dim(infer, i, 0, kp_in_dim(infer, 0, axis), "one along the axis of x");
  }
  if (block == 0)
    return kp_in_error(infer, i, "rank %d; expected 0 or 1 (attribute 'block_size' is not set)",
                       have);
  KP_PASS(kp_in_check_rank(infer, i, rank, rank));
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 1), rank,
                        &axis));
  for (int32_t d = 0; d < rank; ++d) {
    const kp_expr size = kp_in_dim(infer, 0, d);
    KP_PASS(kp_in_check_dim(infer, i, d,
                            d == axis ? kp_dim_op(infer, KP_EXPR_CEILDIV, size, block) : size,
                            d == axis ? "blocks along the axis" : "the dim of x"));
  }
  return NULL;
}

kp_status* kp_infer_quantize(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "output_dtype", KAPELL_UNDEFINED, &element));
  const kapell_type zero = kp_in_element(infer, 2);
  if (kp_in_given(infer, 2)) {
    if (element != KAPELL_UNDEFINED && zero != KAPELL_UNDEFINED && zero != element)
      return kp_in_error(infer, 2, "%s; attribute 'output_dtype' says %s", kp_type_name(zero),
                         kp_type_name(element));
    if (element == KAPELL_UNDEFINED) element = zero;
  } else if (element == KAPELL_UNDEFINED) {
    element = KAPELL_UINT8;
  }
  if (element == KAPELL_FLOAT || element == KAPELL_DOUBLE || element == KAPELL_STRING ||
      element == KAPELL_BOOL)
    return kp_node_error(infer, "%s is no type to quantize to", kp_type_name(element));
  KP_PASS(check_scale(infer, 1));
  KP_PASS(check_scale(infer, 2));
  kp_out_shape_of(infer, 0, element, 0);
  return NULL;
}

kp_status* kp_infer_dequantize(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "output_dtype", KAPELL_UNDEFINED, &element));
  if (element == KAPELL_UNDEFINED) element = kp_in_element(infer, 1);
  KP_PASS(check_scale(infer, 1));
  KP_PASS(check_scale(infer, 2));
  kp_out_shape_of(infer, 0, element, 0);
  return NULL;
}

kp_status* kp_infer_dynamic_quantize(kp_infer* infer) {
  kp_out_shape_of(infer, 0, KAPELL_UINT8, 0);
  kp_out_scalar(infer, 1, KAPELL_FLOAT);
  kp_out_scalar(infer, 2, KAPELL_UINT8);
  return NULL;
}

static kp_status* qlinear_conv(kp_infer* infer) {
  KP_PASS(kp_infer_convolution(infer, 0, 3, kp_in_element(infer, 7)));
  KP_PASS(kp_in_check_rank(infer, 8, 1, 1));
  if (kp_in_rank(infer, 8) == 1 && kp_in_rank(infer, 3) > 0)
    return kp_in_check_dim(infer, 8, 0, kp_in_dim(infer, 3, 0), "output channels");
  return NULL;
}

static kp_status* qlinear_matmul(kp_infer* infer) {
  return kp_infer_matmul(infer, 0, 3, kp_in_element(infer, 7));
}

// clang-format off
const kp_infer_rule kp_infer_rules_quant[] = {
    {"", "QuantizeLinear", 10, kp_infer_quantize, 0, 0},
    {"", "DequantizeLinear", 10, kp_infer_dequantize, 0, 0},
    {"", "DynamicQuantizeLinear", 11, kp_infer_dynamic_quantize, 0, 0},
    {"", "QLinearConv", 10, qlinear_conv, 0, 0},
    {"", "QLinearMatMul", 10, qlinear_matmul, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
