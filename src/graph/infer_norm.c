// Inference of normalizations, softmaxes, dropout and losses.
#include "graph/infer_rule.h"

// --- normalizations ---------------------------------------------------------------------------------------------------
// Inputs [first, first + count) are vectors of one entry a channel of input 0.
static kp_status* check_channels(kp_infer* infer, uint32_t first, uint32_t count) {
  const int32_t rank = kp_in_rank(infer, 0);
  for (uint32_t i = first; i < first + count; ++i) {
    KP_PASS(kp_in_check_rank(infer, i, 1, 1));
    if (rank >= 1 && kp_in_rank(infer, i) == 1)
      KP_PASS(
          kp_in_check_dim(infer, i, 0, rank > 1 ? kp_in_dim(infer, 0, 1) : 1, "the channels of X"));
  }
  return NULL;
}

static kp_expr channels(kp_infer* infer) {
  kp_expr best = kp_in_rank(infer, 0) > 1    ? kp_in_dim(infer, 0, 1)
                 : kp_in_rank(infer, 0) == 1 ? 1
                                             : KP_DIM_UNKNOWN;
  for (uint32_t i = 1; i < 5; ++i) {
    if (kp_in_rank(infer, i) == 1)
      best = best == KP_DIM_UNKNOWN ? kp_in_dim(infer, i, 0)
                                    : kp_dim_merge(best, kp_in_dim(infer, i, 0));
  }
  return best == KP_DIM_UNKNOWN ? kp_dim_fresh(infer) : best;
}

static kp_status* batch_normalization(kp_infer* infer) {
  // Opsets before 9 may have statistics that are not spatial (attribute "spatial" 0): then of any shape.
  const bool spatial = kp_node_attr_i(infer->node, "spatial", 1) != 0;
  if (spatial) KP_PASS(check_channels(infer, 1, 4));
  KP_PASS(kp_infer_same(infer));
  for (uint32_t o = 1; o < infer->node->output_count; ++o) {
    const uint32_t like = o % 2 ? 3 : 4;
    if (spatial)
      KP_PASS(kp_out_vector(infer, o, kp_in_element(infer, like), channels(infer)));
    else
      kp_out_shape_of(infer, o, kp_in_element(infer, like), like);
  }
  return NULL;
}

static kp_status* instance_normalization(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  KP_PASS(check_channels(infer, 1, 2));
  return kp_infer_same(infer);
}

// GroupNormalization: scale and bias of one entry a group (opset 18) or a channel (21).
static kp_status* group_normalization(kp_infer* infer) {
  const int64_t groups = kp_node_attr_i(infer->node, "num_groups", 1);
  if (groups < 1)
    return kp_node_error(infer, "attribute 'num_groups' is %lld; expected 1 or more",
                         (long long)groups);
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  if (kp_in_rank(infer, 0) >= 2 && kp_is_number(kp_in_dim(infer, 0, 1)) &&
      kp_in_dim(infer, 0, 1) % groups != 0)
    return kp_in_error(infer, 0,
                       "dim 1 is %lld; expected a multiple of attribute 'num_groups', %lld",
                       (long long)kp_in_dim(infer, 0, 1), (long long)groups);
  if (infer->node->version >= 21) KP_PASS(check_channels(infer, 1, 2));
  for (uint32_t i = 1; i < 3 && infer->node->version < 21; ++i) {
    KP_PASS(kp_in_check_rank(infer, i, 1, 1));
    if (kp_in_rank(infer, i) == 1)
      KP_PASS(kp_in_check_dim(infer, i, 0, groups, "attribute 'num_groups'"));
  }
  return kp_infer_same(infer);
}

// Scale and bias broadcast to the input's trailing dims, without enlarging them.
static kp_status* check_affine(kp_infer* infer, uint32_t i) {
  const int32_t rank = kp_in_rank(infer, 0), have = kp_in_rank(infer, i);
  if (rank < 0 || have < 0) return NULL;
  if (have > rank) return kp_in_error(infer, i, "rank %d; expected at most %d", have, rank);
  for (int32_t d = 1; d <= have; ++d) {
    if (kp_in_dim(infer, i, -d) != 1)
      KP_PASS(kp_in_check_dim(infer, i, have - d, kp_in_dim(infer, 0, -d), "1 or the dim of X"));
  }
  return NULL;
}

// Shape of X with 1 from |axis| on: means and deviations of layer normalizations.
static kp_status* reduced_tail(kp_infer* infer, uint32_t o, kapell_type element, int32_t axis) {
  const int32_t rank = kp_in_rank(infer, 0);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = d < axis ? kp_in_dim(infer, 0, d) : 1;
  return NULL;
}

static kp_status* layer_normalization(kp_infer* infer) {
  const kapell_type scale = kp_in_element(infer, 1);
  kp_out_shape_of(
      infer, 0,
      infer->node->version < 17 && scale != KAPELL_UNDEFINED ? scale : kp_in_element(infer, 0), 0);
  kapell_type stash;
  KP_PASS(kp_attr_element(infer, "stash_type", KAPELL_FLOAT, &stash));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 1, stash);
    kp_out_any_rank(infer, 2, stash);
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  int32_t axis;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", -1), rank,
                        &axis));
  KP_PASS(check_affine(infer, 1));
  KP_PASS(check_affine(infer, 2));
  for (uint32_t o = 1; o < 3; ++o) {
    if (kp_out_wanted(infer, o)) KP_PASS(reduced_tail(infer, o, stash, axis));
  }
  return NULL;
}

// RMSNormalization, and what ONNX Runtime writes as SimplifiedLayerNormalization: Y has the scale's type.
static kp_status* rms_normalization(kp_infer* infer) {
  const kapell_type scale = kp_in_element(infer, 1);
  kp_out_shape_of(infer, 0, scale != KAPELL_UNDEFINED ? scale : kp_in_element(infer, 0), 0);
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 1, KAPELL_FLOAT);
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  int32_t axis;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", -1), rank,
                        &axis));
  KP_PASS(check_affine(infer, 1));
  return kp_out_wanted(infer, 1) ? reduced_tail(infer, 1, KAPELL_FLOAT, axis) : NULL;
}

static kp_status* lrn(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  return kp_infer_same(infer);
}

kp_status* kp_infer_softmax(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  const int64_t fallback = infer->node->version < 13 && infer->node->domain[0] == '\0' ? 1 : -1;
  const int64_t axis = kp_node_attr_i(infer->node, "axis", fallback);
  // The default axis 1 of early opsets is also what vectors have there: it means one row of all.
  const bool whole = rank == 1 && fallback == 1 && axis == 1;
  if (rank >= 1 && !whole) {
    int32_t unused;
    KP_PASS(kp_infer_axis(infer, "attribute 'axis'", axis, rank, &unused));
  }
  return kp_infer_same(infer);
}

static kp_status* dropout(kp_infer* infer) {
  KP_PASS(kp_infer_same(infer));
  // Opsets before 10: the mask has the data's type.
  kp_out_shape_of(infer, 1, infer->node->version < 10 ? kp_in_element(infer, 0) : KAPELL_BOOL, 0);
  for (uint32_t i = 1; i < 3; ++i) {
    if (kp_in_given(infer, i)) KP_PASS(kp_in_check_rank(infer, i, 0, 0));
  }
  return NULL;
}

// --- losses -----------------------------------------------------------------------------------------------------------
// scores [N, C, d...], labels [N, d...], weights [C].
static kp_status* loss(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank >= 0 && kp_in_rank(infer, 1) >= 0) {
    KP_PASS(kp_in_check_rank(infer, 1, rank - 1, rank - 1));
    for (int32_t d = 0; d < rank - 1; ++d)
      KP_PASS(kp_in_check_dim(infer, 1, d, kp_in_dim(infer, 0, d ? d + 1 : 0),
                              "the dim of the scores"));
    if (kp_in_rank(infer, 2) == 1)
      KP_PASS(kp_in_check_dim(infer, 2, 0, kp_in_dim(infer, 0, 1), "the number of classes"));
  }
  kp_out_shape_of(infer, 1, element, 0);  // log_prob
  if (!kp_str_is(kp_node_attr_s(infer->node, "reduction", "mean"), "none")) {
    kp_out_scalar(infer, 0, element);
  } else if (kp_in_rank(infer, 1) >= 0 || rank < 0) {
    kp_out_shape_of(infer, 0, element, 1);
  } else {
    kp_expr* dims;
    KP_PASS(kp_out_dims(infer, 0, element, rank - 1, &dims));
    for (int32_t d = 0; d < rank - 1; ++d) dims[d] = kp_in_dim(infer, 0, d ? d + 1 : 0);
  }
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_norm[] = {
    {"", "BatchNormalization", 1, batch_normalization, 0, 0},
    {"", "InstanceNormalization", 1, instance_normalization, 0, 0},
    {"", "GroupNormalization", 18, group_normalization, 0, 0},
    // ONNX Runtime writes both before opset 17 and the simplified form in this domain.
    {"", "LayerNormalization", 1, layer_normalization, 0, 0},
    {"", "SimplifiedLayerNormalization", 1, rms_normalization, 0, 0},
    {"", "RMSNormalization", 23, rms_normalization, 0, 0},
    {"", "MeanVarianceNormalization", 1, kp_infer_same, 0, 0},
    {"", "LpNormalization", 1, kp_infer_softmax, 0, 0},
    {"", "LRN", 1, lrn, 0, 0},
    {"", "Softmax", 1, kp_infer_softmax, 0, 0},
    {"", "LogSoftmax", 1, kp_infer_softmax, 0, 0},
    {"", "Hardmax", 1, kp_infer_softmax, 0, 0},
    {"", "Dropout", 1, dropout, 0, 0},
    {"", "NegativeLogLikelihoodLoss", 12, loss, 0, 0},
    {"", "SoftmaxCrossEntropyLoss", 12, loss, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
