// Inference of sequences and optionals. Their inner types are what is common to all elements.
#include "graph/infer_rule.h"

// Type of the elements of input |i|; NULL where it is not known to be a sequence.
static const kp_type* elements_of(const kp_infer* infer, uint32_t i) {
  if (!kp_in_given(infer, i) || infer->inputs[i]->kind != KAPELL_KIND_SEQUENCE) return NULL;
  return infer->inputs[i]->inner;
}

static kp_status* check_sequence(const kp_infer* infer, uint32_t i) {
  if (!kp_in_given(infer, i) || infer->inputs[i]->kind == KAPELL_KIND_NONE ||
      infer->inputs[i]->kind == KAPELL_KIND_SEQUENCE)
    return NULL;
  return kp_in_error(infer, i, "not a sequence");
}

static kp_status* out_sequence(kp_infer* infer, uint32_t o, const kp_type* inner) {
  return kp_out_container(infer, o, KAPELL_KIND_SEQUENCE, KAPELL_UNDEFINED, inner);
}

static kp_status* sequence_construct(kp_infer* infer) {
  kp_type common = {0};
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    if (!kp_in_given(infer, i) || infer->inputs[i]->kind == KAPELL_KIND_NONE)
      return out_sequence(infer, 0, NULL);
    bool any = true;
    const kp_type before = common;
    if (i == 0)
      common = *infer->inputs[0];
    else
      KP_PASS(kp_type_union(infer, &before, infer->inputs[i], &common, &any));
    if (!any) return kp_in_error(infer, i, "its type differs from that of the inputs before");
  }
  return out_sequence(infer, 0, &common);
}

static kp_status* sequence_empty(kp_infer* infer) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "dtype", KAPELL_FLOAT, &element));
  return out_sequence(infer, 0,
                      &(kp_type){.kind = KAPELL_KIND_TENSOR, .element = element, .rank = -1});
}

static kp_status* sequence_insert(kp_infer* infer) {
  KP_PASS(check_sequence(infer, 0));
  const kp_type *inner = elements_of(infer, 0), *tensor = kp_in_tensor(infer, 1);
  if (!inner || !tensor) return out_sequence(infer, 0, NULL);
  kp_type common;
  bool any;
  KP_PASS(kp_type_union(infer, inner, tensor, &common, &any));
  if (!any)
    return kp_in_error(infer, 1, "%s; the sequence has elements of another type",
                       kp_type_name(tensor->element));
  return out_sequence(infer, 0, &common);
}

static kp_status* sequence_erase(kp_infer* infer) {
  KP_PASS(check_sequence(infer, 0));
  if (kp_in_given(infer, 0)) kp_out_type(infer, 0, infer->inputs[0]);
  return NULL;
}

static kp_status* sequence_at(kp_infer* infer) {
  KP_PASS(check_sequence(infer, 0));
  const kp_type* inner = elements_of(infer, 0);
  return inner ? kp_out_loaded(infer, 0, inner) : NULL;
}

static kp_status* sequence_length(kp_infer* infer) {
  KP_PASS(check_sequence(infer, 0));
  kp_out_scalar(infer, 0, KAPELL_INT64);
  return NULL;
}

static kp_status* concat_from_sequence(kp_infer* infer) {
  KP_PASS(check_sequence(infer, 0));
  const kp_type* inner = elements_of(infer, 0);
  const int32_t added = kp_node_attr_i(infer->node, "new_axis", 0) != 0;
  if (!inner || inner->kind != KAPELL_KIND_TENSOR || inner->rank < 0) {
    kp_out_any_rank(infer, 0, inner ? inner->element : KAPELL_UNDEFINED);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0),
                        inner->rank + added, &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, inner->element, inner->rank + added, &dims));
  for (int32_t d = 0; d < inner->rank + added; ++d) {
    const kp_expr dim = d == axis ? KP_DIM_UNKNOWN : inner->dims[added && d > axis ? d - 1 : d];
    const bool known = d != axis && (infer->symbols || kp_is_number(dim));
    dims[d] = known ? dim : kp_dim_fresh(infer);
  }
  return NULL;
}

// Size of every part along the axis, where they are all equal; else fresh.
static kp_status* part_size(kp_infer* infer, kp_expr whole, kp_expr* out) {
  kp_ints sizes;
  *out = 1;
  if (!kp_in_given(infer, 1)) return NULL;
  KP_PASS(kp_in_check_rank(infer, 1, 0, 1));
  *out = KP_DIM_UNKNOWN;
  if (kp_in_numbers(infer, 1, &sizes) && sizes.n > 0) {
    *out = sizes.v[0];
    for (uint32_t k = 0; k < sizes.n; ++k) {
      if (sizes.v[k] < 0) return kp_in_error(infer, 1, "a part of %lld", (long long)sizes.v[k]);
      if (sizes.v[k] != *out) *out = KP_DIM_UNKNOWN;
      if (*out == KP_DIM_UNKNOWN) break;
    }
    const bool chunks = kp_in_rank(infer, 1) == 0;
    if (chunks && sizes.v[0] < 1)
      return kp_in_error(infer, 1, "a part of %lld", (long long)sizes.v[0]);
    if (chunks && !(kp_is_number(whole) && whole % sizes.v[0] == 0))
      *out = KP_DIM_UNKNOWN;  // the last may be smaller
  }
  if (*out == KP_DIM_UNKNOWN) *out = kp_dim_fresh(infer);
  return NULL;
}

static kp_status* split_to_sequence(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  kp_type inner = {.kind = KAPELL_KIND_TENSOR, .element = kp_in_element(infer, 0), .rank = -1};
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  if (rank < 0) return out_sequence(infer, 0, &inner);
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                        &axis));
  kp_expr part;
  KP_PASS(part_size(infer, kp_in_dim(infer, 0, axis), &part));
  const bool keep = kp_in_given(infer, 1) || kp_node_attr_i(infer->node, "keepdims", 1) != 0;
  kp_expr* dims = kp_arena_new_array(infer->arena, kp_expr, (size_t)rank);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "type of a sequence");
  inner.rank = 0;
  inner.dims = dims;
  for (int32_t d = 0; d < rank; ++d) {
    if (d != axis || keep) dims[inner.rank++] = d == axis ? part : kp_in_dim(infer, 0, d);
  }
  return out_sequence(infer, 0, &inner);
}

// --- optionals ----------------------------------------------------------------------------------------------------------
static kp_status* optional(kp_infer* infer) {
  const kp_attr* attr = kp_node_attr(infer->node, "type");
  const kp_type* inner = kp_in_given(infer, 0) ? infer->inputs[0] : NULL;
  if (!inner && attr && attr->type == KP_ONNX_ATTR_TYPE_PROTO) inner = attr->type_proto;
  if (!inner) return kp_node_error(infer, "neither an input nor attribute 'type' is given");
  return kp_out_container(infer, 0, KAPELL_KIND_OPTIONAL, KAPELL_UNDEFINED,
                          inner->kind == KAPELL_KIND_NONE ? NULL : inner);
}

static kp_status* optional_get_element(kp_infer* infer) {
  const kp_type* type = kp_in_given(infer, 0) ? infer->inputs[0] : NULL;
  if (!type || type->kind == KAPELL_KIND_NONE) return NULL;
  if (type->kind == KAPELL_KIND_OPTIONAL)
    return type->inner ? kp_out_loaded(infer, 0, type->inner) : NULL;
  return kp_out_loaded(infer, 0, type);  // from opset 18 on plain values pass
}

static kp_status* optional_has_element(kp_infer* infer) {
  kp_out_scalar(infer, 0, KAPELL_BOOL);
  const bool absent = !kp_in_given(infer, 0);
  const bool plain = !absent && infer->inputs[0]->kind != KAPELL_KIND_OPTIONAL &&
                     infer->inputs[0]->kind != KAPELL_KIND_NONE;
  kp_expr* out = absent || plain ? kp_out_ints(infer, 0, 1) : NULL;
  if (out) out[0] = plain;
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_sequence[] = {
    {"", "SequenceConstruct", 11, sequence_construct, 0, 0},
    {"", "SequenceEmpty", 11, sequence_empty, 0, 0},
    {"", "SequenceInsert", 11, sequence_insert, 0, 0},
    {"", "SequenceErase", 11, sequence_erase, 0, 0},
    {"", "SequenceAt", 11, sequence_at, 0, KP_INFER_DYNAMIC},
    {"", "SequenceLength", 11, sequence_length, 0, 0},
    {"", "ConcatFromSequence", 11, concat_from_sequence, 0, KP_INFER_DYNAMIC},
    {"", "SplitToSequence", 11, split_to_sequence, 0, 0},
    {"", "Optional", 15, optional, 0, 0},
    {"", "OptionalGetElement", 15, optional_get_element, 0, KP_INFER_DYNAMIC},
    {"", "OptionalHasElement", 15, optional_has_element, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
