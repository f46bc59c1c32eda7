// Inference of elementwise operators: shape and contents of unary, binary and variadic arithmetic, comparisons, logic, activations.
#include "graph/infer_rule.h"

// --- one input --------------------------------------------------------------------------------------------------------
kp_status* kp_infer_same(kp_infer* infer) {
  kp_out_shape_of(infer, 0, kp_in_element(infer, 0), 0);
  return NULL;
}

static kp_status* same_as_bool(kp_infer* infer) {
  kp_out_shape_of(infer, 0, KAPELL_BOOL, 0);
  return NULL;
}

static kp_status* unary(kp_infer* infer, kp_data_unary op) {
  KP_PASS(kp_infer_same(infer));
  kp_data_map(infer, op);
  return NULL;
}
static kp_status* neg(kp_infer* infer) { return unary(infer, KP_DATA_NEG); }
static kp_status* absolute(kp_infer* infer) { return unary(infer, KP_DATA_ABS); }
static kp_status* ceiling(kp_infer* infer) { return unary(infer, KP_DATA_CEIL); }
static kp_status* floor_of(kp_infer* infer) { return unary(infer, KP_DATA_FLOOR); }
static kp_status* round_of(kp_infer* infer) { return unary(infer, KP_DATA_ROUND); }
static kp_status* sqrt_of(kp_infer* infer) { return unary(infer, KP_DATA_SQRT); }
static kp_status* sign(kp_infer* infer) { return unary(infer, KP_DATA_SIGN); }
static kp_status* relu(kp_infer* infer) { return unary(infer, KP_DATA_RELU); }
static kp_status* reciprocal(kp_infer* infer) { return unary(infer, KP_DATA_RECIPROCAL); }
static kp_status* not_of(kp_infer* infer) { return unary(infer, KP_DATA_NOT); }

static kp_status* cast(kp_infer* infer) {
  // Opsets before 6 name the type by text.
  kapell_type to = KAPELL_UNDEFINED;
  const kp_attr* attr = kp_node_attr(infer->node, "to");
  if (attr && attr->type == KP_ONNX_ATTR_STRING)
    to = kp_type_parse(attr->s);
  else
    KP_PASS(kp_attr_element(infer, "to", KAPELL_UNDEFINED, &to));
  if (to == KAPELL_UNDEFINED) return kp_node_error(infer, "attribute 'to' names no element type");
  kp_out_shape_of(infer, 0, to, 0);
  kp_data_cast(infer, to);
  return NULL;
}

static kp_status* cast_like(kp_infer* infer) {
  const kapell_type to = kp_in_element(infer, 1);
  kp_out_shape_of(infer, 0, to, 0);
  kp_data_cast(infer, to);
  return NULL;
}

static kp_status* bit_cast(kp_infer* infer) {
  kapell_type to;
  KP_PASS(kp_attr_element(infer, "to", KAPELL_UNDEFINED, &to));
  const kapell_type from = kp_in_element(infer, 0);
  if (kp_type_bits(to) == 0)
    return kp_node_error(infer, "attribute 'to' is %s, which has no bits", kp_type_name(to));
  if (from != KAPELL_UNDEFINED && kp_type_bits(from) != kp_type_bits(to))
    return kp_in_error(infer, 0, "%s has %u bits; expected the %u of %s ('to')", kp_type_name(from),
                       kp_type_bits(from), kp_type_bits(to), kp_type_name(to));
  kp_out_shape_of(infer, 0, to, 0);
  return NULL;
}

static kp_status* clip(kp_infer* infer) {
  KP_PASS(kp_infer_same(infer));
  for (uint32_t i = 1; i < 3; ++i) {
    if (kp_in_given(infer, i) && kp_in_rank(infer, i) > 1)
      return kp_in_error(infer, i, "rank %d; expected a scalar", kp_in_rank(infer, i));
  }
  // Limits that are attributes (before opset 11) are floats, which shape arithmetic does not use.
  kp_data_step steps[2];
  uint32_t count = 0;
  if (kp_in_given(infer, 1)) steps[count++] = (kp_data_step){KP_DATA_MAX, 1};
  if (kp_in_given(infer, 2)) steps[count++] = (kp_data_step){KP_DATA_MIN, 2};
  if (infer->node->version >= 11) kp_data_chain(infer, steps, count);
  return NULL;
}

// CumSum, CumProd: the axis is an input, which must be a scalar, or a vector of one.
static kp_status* cumulative(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 1, 0, 1));
  kp_ints axis;
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank >= 1 && kp_in_numbers(infer, 1, &axis) && axis.n == 1) {
    int32_t unused;
    KP_PASS(kp_infer_axis(infer, "axis", axis.v[0], rank, &unused));
  }
  return kp_infer_same(infer);
}

// --- broadcasting -----------------------------------------------------------------------------------------------------
static kp_status* broadcast(kp_infer* infer, uint32_t count, kapell_type element) {
  int32_t rank;
  const kp_expr* dims;
  KP_PASS(kp_broadcast_inputs(infer, 0, count, &rank, &dims));
  if (rank < 0)
    kp_out_any_rank(infer, 0, element);
  else
    kp_out_tensor(infer, 0, element, rank, dims);
  return NULL;
}

static kapell_type element_of_any(const kp_infer* infer) {
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    if (kp_in_element(infer, i) != KAPELL_UNDEFINED) return kp_in_element(infer, i);
  }
  return KAPELL_UNDEFINED;
}

// Opsets before 7: B broadcasts to A only if attribute "broadcast" is set, at "axis". *out_at_end: B's dims are A's last ones, as
// numpy has it, which is what the propagation of contents knows.
static kp_status* legacy_shape(kp_infer* infer, kapell_type element, bool* out_at_end) {
  *out_at_end = false;
  kp_out_shape_of(infer, 0, element, 0);
  const int32_t a = kp_in_rank(infer, 0), b = kp_in_rank(infer, 1);
  if (a < 0 || b < 0) return NULL;
  const bool broadcasts = kp_node_attr_i(infer->node, "broadcast", 0) != 0;
  if (!broadcasts && a != b)
    return kp_in_error(infer, 1, "rank %d; expected %d (attribute 'broadcast' is not set)", b, a);
  if (b > a) return kp_in_error(infer, 1, "rank %d; expected at most %d", b, a);
  const bool has_axis = broadcasts && kp_node_attr(infer->node, "axis") != NULL;
  int64_t axis = has_axis ? kp_node_attr_i(infer->node, "axis", 0) : a - b;
  if (axis < 0) axis += a;
  if (axis < 0 || axis + b > a)
    return kp_node_error(infer,
                         "attribute 'axis' is %lld; B of rank %d does not fit there into rank %d",
                         (long long)axis, b, a);
  *out_at_end = axis == a - b;
  for (int32_t d = 0; d < b; ++d) {
    const kp_expr expected = kp_in_dim(infer, 0, (int32_t)axis + d);
    if (kp_in_dim(infer, 1, d) == 1 && broadcasts) continue;
    KP_PASS(kp_in_check_dim(infer, 1, d, expected, "the dim of A"));
  }
  return NULL;
}

static kp_status* binary(kp_infer* infer, kapell_type element, kp_data_op op) {
  bool at_end = true;
  if (infer->node->version < 7 && infer->node->domain[0] == '\0')
    KP_PASS(legacy_shape(infer, element, &at_end));
  else
    KP_PASS(broadcast(infer, 2, element));
  if (at_end) kp_data_binary(infer, op);
  return NULL;
}
static kp_status* arithmetic(kp_infer* infer, kp_data_op op) {
  return binary(infer, element_of_any(infer), op);
}
static kp_status* truth(kp_infer* infer, kp_data_op op) { return binary(infer, KAPELL_BOOL, op); }
static kp_status* add(kp_infer* infer) { return arithmetic(infer, KP_DATA_ADD); }
static kp_status* sub(kp_infer* infer) { return arithmetic(infer, KP_DATA_SUB); }
static kp_status* mul(kp_infer* infer) { return arithmetic(infer, KP_DATA_MUL); }
static kp_status* divide(kp_infer* infer) { return arithmetic(infer, KP_DATA_DIV); }
static kp_status* power(kp_infer* infer) {
  return binary(infer, kp_in_element(infer, 0), KP_DATA_POW);
}
static kp_status* modulo(kp_infer* infer) {
  return arithmetic(infer, kp_node_attr_i(infer->node, "fmod", 0) ? KP_DATA_FMOD : KP_DATA_MOD);
}
static kp_status* equal(kp_infer* infer) { return truth(infer, KP_DATA_EQUAL); }
static kp_status* less(kp_infer* infer) { return truth(infer, KP_DATA_LESS); }
static kp_status* less_equal(kp_infer* infer) { return truth(infer, KP_DATA_LESS_EQUAL); }
static kp_status* greater(kp_infer* infer) { return truth(infer, KP_DATA_GREATER); }
static kp_status* greater_equal(kp_infer* infer) { return truth(infer, KP_DATA_GREATER_EQUAL); }
static kp_status* and_of(kp_infer* infer) { return truth(infer, KP_DATA_AND); }
static kp_status* or_of(kp_infer* infer) { return truth(infer, KP_DATA_OR); }
static kp_status* xor_of(kp_infer* infer) { return truth(infer, KP_DATA_XOR); }
kp_status* kp_infer_broadcast2(kp_infer* infer) {
  return broadcast(infer, 2, element_of_any(infer));
}

static kp_status* variadic(kp_infer* infer) {
  const kapell_type element = element_of_any(infer);
  if (infer->node->version >= 8) return broadcast(infer, infer->node->input_count, element);
  kp_out_shape_of(infer, 0, element, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  for (uint32_t i = 1; rank >= 0 && i < infer->node->input_count; ++i) {
    KP_PASS(kp_in_check_rank(infer, i, rank, rank));
    for (int32_t d = 0; d < kp_in_rank(infer, i); ++d)
      KP_PASS(kp_in_check_dim(infer, i, d, kp_in_dim(infer, 0, d), "the first input's"));
  }
  return NULL;
}
static kp_status* variadic_with(kp_infer* infer, kp_data_op op) {
  KP_PASS(variadic(infer));
  kp_data_fold(infer, op);
  return NULL;
}
static kp_status* sum(kp_infer* infer) { return variadic_with(infer, KP_DATA_ADD); }
static kp_status* minimum(kp_infer* infer) { return variadic_with(infer, KP_DATA_MIN); }
static kp_status* maximum(kp_infer* infer) { return variadic_with(infer, KP_DATA_MAX); }

static kp_status* where(kp_infer* infer) {
  const kapell_type x = kp_in_element(infer, 1);
  KP_PASS(broadcast(infer, 3, x != KAPELL_UNDEFINED ? x : kp_in_element(infer, 2)));
  kp_data_where(infer);
  return NULL;
}

// Y has X's shape; slope broadcasts to it (before opset 7: any of one element or one per channel).
static kp_status* prelu(kp_infer* infer) {
  KP_PASS(kp_infer_same(infer));
  const kp_type *x = kp_in_tensor(infer, 0), *slope = kp_in_tensor(infer, 1);
  if (infer->node->version < 7 || !x || !slope || x->rank < 0 || slope->rank < 0) return NULL;
  if (slope->rank > x->rank)
    return kp_in_error(infer, 1, "rank %d; expected at most %d, X's", slope->rank, x->rank);
  for (int32_t d = 1; d <= slope->rank; ++d) {
    if (kp_in_dim(infer, 1, -d) != 1)
      KP_PASS(kp_in_check_dim(infer, 1, -d, kp_in_dim(infer, 0, -d), "1 or the dim of X"));
  }
  return NULL;
}

static kp_status* swiglu(kp_infer* infer) {
  KP_PASS(kp_infer_same(infer));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0 || kp_in_rank(infer, 1) < 0) return NULL;
  KP_PASS(kp_in_check_rank(infer, 1, rank, rank));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank, &dims));
  for (int32_t d = 0; d < rank; ++d) {
    KP_PASS(kp_in_check_dim(infer, 1, d, kp_in_dim(infer, 0, d), "the dim of A"));
    dims[d] = kp_dim_merge(kp_in_dim(infer, 0, d), kp_in_dim(infer, 1, d));
  }
  return NULL;
}

// clang-format off
#define SAME(op, since) {"", op, since, kp_infer_same, 0, 0}
#define RULE(op, since, fn) {"", op, since, fn, 0, 0}
#define DATA(op, since, fn) {"", op, since, fn, 0, KP_INFER_FROM_DATA}
const kp_infer_rule kp_infer_rules_math[] = {
    SAME("Acos", 7), SAME("Acosh", 9), SAME("Asin", 7), SAME("Asinh", 9), SAME("Atan", 7),
    SAME("Atanh", 9), SAME("BitwiseNot", 18), SAME("Celu", 12), SAME("Cos", 7), SAME("Cosh", 9),
    SAME("Elu", 1), SAME("Erf", 9), SAME("Exp", 1), SAME("Gelu", 20), SAME("HardSigmoid", 1),
    SAME("HardSwish", 14), SAME("LeakyRelu", 1), SAME("Log", 1), SAME("Mish", 18), SAME("Selu", 1),
    SAME("Shrink", 9), SAME("Sigmoid", 1), SAME("Sin", 7), SAME("Sinh", 9), SAME("Softplus", 1),
    SAME("Softsign", 1), SAME("Swish", 24), SAME("Tan", 7), SAME("Tanh", 1),
    SAME("Affine", 1), SAME("ImageScaler", 1), SAME("ParametricSoftplus", 1), SAME("Scale", 1), SAME("ScaledTanh", 1),
    SAME("ThresholdedRelu", 1), DATA("Reciprocal", 1, reciprocal), DATA("Abs", 1, absolute),
    DATA("Ceil", 1, ceiling), DATA("Floor", 1, floor_of), DATA("Neg", 1, neg),
    DATA("Not", 1, not_of), DATA("Relu", 1, relu), DATA("Round", 11, round_of),
    DATA("Sign", 9, sign), DATA("Sqrt", 1, sqrt_of), RULE("IsInf", 10, same_as_bool),
    RULE("IsNaN", 9, same_as_bool), DATA("Cast", 1, cast), DATA("CastLike", 15, cast_like),
    RULE("BitCast", 26, bit_cast), DATA("Clip", 1, clip), RULE("CumSum", 11, cumulative),
    RULE("CumProd", 26, cumulative), DATA("Add", 1, add), DATA("Sub", 1, sub), DATA("Mul", 1, mul),
    DATA("Div", 1, divide), DATA("Pow", 1, power), DATA("Mod", 10, modulo), DATA("And", 1, and_of),
    DATA("Or", 1, or_of), DATA("Xor", 1, xor_of), DATA("Equal", 1, equal), DATA("Less", 1, less),
    DATA("Greater", 1, greater), DATA("LessOrEqual", 12, less_equal),
    DATA("GreaterOrEqual", 12, greater_equal), RULE("BitShift", 11, kp_infer_broadcast2),
    RULE("BitwiseAnd", 18, kp_infer_broadcast2), RULE("BitwiseOr", 18, kp_infer_broadcast2),
    RULE("BitwiseXor", 18, kp_infer_broadcast2), DATA("Sum", 1, sum), RULE("Mean", 1, variadic),
    DATA("Min", 1, minimum), DATA("Max", 1, maximum), DATA("Where", 9, where),
    RULE("PRelu", 1, prelu), RULE("SwiGLU", 28, swiglu),
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
