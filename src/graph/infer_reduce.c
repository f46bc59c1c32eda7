// Inference of reductions: Reduce*, ArgMax, ArgMin.
#include "graph/infer_rule.h"

static kp_status* reduced_dims(kp_infer* infer, kapell_type element, uint64_t mask, bool keep) {
  const int32_t rank = kp_in_rank(infer, 0);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, keep ? rank : rank - __builtin_popcountll(mask), &dims));
  for (int32_t d = 0, k = 0; d < rank; ++d) {
    const bool gone = mask >> d & 1;
    if (!gone || keep) dims[k++] = gone ? 1 : kp_in_dim(infer, 0, d);
  }
  return NULL;
}

// Shape of output 0; *out_mask: the axes reduced, where *out_known.
static kp_status* reduce(kp_infer* infer, int32_t axes_input, kapell_type element,
                         uint64_t* out_mask, bool* out_known) {
  const int32_t rank = kp_in_rank(infer, 0);
  const bool keep = kp_node_attr_i(infer->node, "keepdims", 1) != 0;
  *out_mask = 0;
  *out_known = false;
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  bool given;
  KP_PASS(kp_infer_axes(infer, "axes", axes_input, rank, out_mask, out_known, &given));
  if (*out_known) {
    if (*out_mask == 0 && !kp_node_attr_i(infer->node, "noop_with_empty_axes", 0))
      *out_mask = (UINT64_C(1) << rank) - 1;
    return reduced_dims(infer, element, *out_mask, keep);
  }
  if (keep) return kp_out_fresh(infer, 0, element, rank);
  const bool counted =
      kp_in_rank(infer, axes_input) == 1 && kp_is_number(kp_in_dim(infer, axes_input, 0));
  const int64_t count = counted ? kp_in_dim(infer, axes_input, 0) : 0;
  if (count > 0 && count <= rank) return kp_out_fresh(infer, 0, element, rank - (int32_t)count);
  kp_out_any_rank(infer, 0, element);
  return NULL;
}

kp_status* kp_infer_reduce(kp_infer* infer, int32_t axes_input, kapell_type element) {
  uint64_t mask;
  bool known;
  return reduce(infer, axes_input, element, &mask, &known);
}

// Contents: products, sums, extremes of shapes. Integers only: floats would need the run's order of rounding.
static void reduce_data(kp_infer* infer, kp_data_op op, kp_expr start, uint64_t mask) {
  const kp_type* in = infer->inputs[0];
  const int64_t count = infer->node->output_count ? kp_type_small_count(infer->outputs) : -1;
  kp_ints from;
  if (count < 0 || !kp_in_ints(infer, 0, &from) || kp_type_small_count(in) != (int64_t)from.n)
    return;
  if ((op == KP_DATA_MIN || op == KP_DATA_MAX) && from.n == 0) return;
  kp_expr* out = kp_out_ints(infer, 0, count);
  bool started[KP_INFER_MAX_DATA] = {false};
  for (int64_t k = 0; out && k < count; ++k) out[k] = start;
  for (uint32_t k = 0; out && k < from.n; ++k) {
    uint32_t flat = k, at = 0, stride = 1;
    for (int32_t d = in->rank - 1; d >= 0; --d) {
      const uint32_t dim = (uint32_t)in->dims[d];
      if (!(mask >> d & 1)) at += flat % dim * stride, stride *= dim;
      flat /= dim;
    }
    bool done = true;
    if (!started[at])
      out[at] = from.v[k];
    else
      done = kp_data_combine(infer, op, in->element, out[at], from.v[k], &out[at]);
    started[at] = true;
    if (!done && !kp_data_untold(infer, &out[at])) {
      kp_out_drop_data(infer, 0);
      return;
    }
  }
}

static kp_status* reduce_with(kp_infer* infer, int32_t axes_since, const kp_data_op* op,
                              kp_expr start) {
  uint64_t mask;
  bool known;
  KP_PASS(reduce(infer, infer->node->version >= axes_since ? 1 : -1, kp_in_element(infer, 0), &mask,
                 &known));
  if (op && known && kp_in_has_data(infer, 0)) reduce_data(infer, *op, start, mask);
  return NULL;
}
// ReduceSum took axes as an input from opset 13 on, the others from 18.
static kp_status* reduce_sum(kp_infer* infer) {
  return reduce_with(infer, 13, &(kp_data_op){KP_DATA_ADD}, 0);
}
static kp_status* reduce_prod(kp_infer* infer) {
  return reduce_with(infer, 18, &(kp_data_op){KP_DATA_MUL}, 1);
}
static kp_status* reduce_min(kp_infer* infer) {
  return reduce_with(infer, 18, &(kp_data_op){KP_DATA_MIN}, 0);
}
static kp_status* reduce_max(kp_infer* infer) {
  return reduce_with(infer, 18, &(kp_data_op){KP_DATA_MAX}, 0);
}
static kp_status* reduce_any(kp_infer* infer) { return reduce_with(infer, 18, NULL, 0); }

static kp_status* arg(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, KAPELL_INT64);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                        &axis));
  return reduced_dims(infer, KAPELL_INT64, UINT64_C(1) << axis,
                      kp_node_attr_i(infer->node, "keepdims", 1) != 0);
}

#define AXES (1u << 1)
// clang-format off
const kp_infer_rule kp_infer_rules_reduce[] = {
    {"", "ReduceSum", 1, reduce_sum, AXES, KP_INFER_FROM_DATA},
    {"", "ReduceProd", 1, reduce_prod, AXES, KP_INFER_FROM_DATA},
    {"", "ReduceMin", 1, reduce_min, AXES, KP_INFER_FROM_DATA},
    {"", "ReduceMax", 1, reduce_max, AXES, KP_INFER_FROM_DATA},
    {"", "ReduceMean", 1, reduce_any, AXES, 0},
    {"", "ReduceL1", 1, reduce_any, AXES, 0},
    {"", "ReduceL2", 1, reduce_any, AXES, 0},
    {"", "ReduceLogSum", 1, reduce_any, AXES, 0},
    {"", "ReduceLogSumExp", 1, reduce_any, AXES, 0},
    {"", "ReduceSumSquare", 1, reduce_any, AXES, 0},
    {"", "ArgMax", 1, arg, 0, 0},
    {"", "ArgMin", 1, arg, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
