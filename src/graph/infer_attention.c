// Inference of attention and its companions in ai.onnx: Attention, FlexAttention, LinearAttention, RotaryEmbedding, TensorScatter.
#include "graph/infer_rule.h"

// Sizes that the inputs of an attention give. What is not known stays KP_DIM_UNKNOWN until it is asked for.
typedef struct heads {
  kp_expr batch, q_heads, kv_heads, q_length, kv_length, head, v_head;
} heads;

static kp_status* positive_attr(const kp_infer* infer, const char* name, int64_t* out) {
  *out = kp_node_attr_i(infer->node, name, 0);
  if (*out < 1)
    return kp_node_error(infer, "attribute '%s' is %lld; expected 1 or more", name,
                         (long long)*out);
  return NULL;
}

// A packed last dim of input |i| divided among |count| heads.
static kp_status* per_head(kp_infer* infer, uint32_t i, int64_t count, kp_expr* out) {
  const kp_expr packed = kp_in_dim(infer, i, -1);
  if (kp_is_number(packed) && packed % count != 0)
    return kp_in_error(infer, i, "its last dim is %lld; expected a multiple of %lld heads",
                       (long long)packed, (long long)count);
  *out = kp_dim_div(infer, packed, count);
  return NULL;
}

static kp_expr dim_or_fresh(kp_infer* infer, uint32_t i, int32_t axis) {
  return kp_in_rank(infer, i) > axis ? kp_in_dim(infer, i, axis) : kp_dim_fresh(infer);
}

static kp_status* read_4d(kp_infer* infer, heads* out) {
  for (uint32_t i = 0; i < 3; ++i) KP_PASS(kp_in_check_rank(infer, i, 4, 4));
  *out = (heads){dim_or_fresh(infer, 0, 0), dim_or_fresh(infer, 0, 1), dim_or_fresh(infer, 1, 1),
                 dim_or_fresh(infer, 0, 2), dim_or_fresh(infer, 1, 2), dim_or_fresh(infer, 0, 3),
                 dim_or_fresh(infer, 2, 3)};
  if (kp_in_rank(infer, 1) == 4)
    KP_PASS(kp_in_check_dim(infer, 1, 3, out->head, "the head size of Q"));
  if (kp_in_rank(infer, 1) == 4)
    KP_PASS(kp_in_check_dim(infer, 1, 0, out->batch, "the batch of Q"));
  if (kp_in_rank(infer, 2) == 4) {
    KP_PASS(kp_in_check_dim(infer, 2, 0, out->batch, "the batch of Q"));
    KP_PASS(kp_in_check_dim(infer, 2, 1, out->kv_heads, "the heads of K"));
    KP_PASS(kp_in_check_dim(infer, 2, 2, out->kv_length, "the length of K"));
  }
  return NULL;
}

static kp_status* read_3d(kp_infer* infer, heads* out) {
  int64_t q_heads, kv_heads;
  for (uint32_t i = 0; i < 3; ++i) KP_PASS(kp_in_check_rank(infer, i, 3, 3));
  KP_PASS(positive_attr(infer, "q_num_heads", &q_heads));
  KP_PASS(positive_attr(infer, "kv_num_heads", &kv_heads));
  *out = (heads){dim_or_fresh(infer, 0, 0), q_heads, kv_heads, dim_or_fresh(infer, 0, 1),
                 dim_or_fresh(infer, 1, 1), 0,       0};
  kp_expr k_head = KP_DIM_UNKNOWN;
  if (kp_in_rank(infer, 0) == 3)
    KP_PASS(per_head(infer, 0, q_heads, &out->head));
  else
    out->head = kp_dim_fresh(infer);
  if (kp_in_rank(infer, 1) == 3) KP_PASS(per_head(infer, 1, kv_heads, &k_head));
  if (kp_dim_differ(k_head, out->head))
    return kp_in_error(infer, 1, "heads of size %lld; expected %lld, as Q has", (long long)k_head,
                       (long long)out->head);
  if (kp_in_rank(infer, 2) == 3) {
    KP_PASS(per_head(infer, 2, kv_heads, &out->v_head));
    KP_PASS(kp_in_check_dim(infer, 2, 1, out->kv_length, "the length of K"));
  } else {
    out->v_head = kp_dim_fresh(infer);
  }
  return NULL;
}

static kp_status* read_heads(kp_infer* infer, bool* out_packed, heads* out) {
  KP_PASS(kp_in_check_rank(infer, 0, 3, 4));
  *out_packed = kp_in_rank(infer, 0) == 3;
  if (*out_packed)
    KP_PASS(read_3d(infer, out));
  else
    KP_PASS(read_4d(infer, out));
  if (kp_is_number(out->q_heads) && kp_is_number(out->kv_heads) &&
      (out->kv_heads < 1 || out->q_heads % out->kv_heads != 0))
    return kp_node_error(infer, "%lld heads of Q; expected a multiple of the %lld heads of K and V",
                         (long long)out->q_heads, (long long)out->kv_heads);
  return NULL;
}

static kp_status* out_4d(kp_infer* infer, uint32_t o, kapell_type element, kp_expr a, kp_expr b,
                         kp_expr c, kp_expr d) {
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, element, 4, &dims));
  dims[0] = a, dims[1] = b, dims[2] = c, dims[3] = d;
  return NULL;
}

static kp_status* out_attended(kp_infer* infer, kapell_type element, bool packed, const heads* h) {
  if (!packed) return out_4d(infer, 0, element, h->batch, h->q_heads, h->q_length, h->v_head);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, 3, &dims));
  dims[0] = h->batch;
  dims[1] = h->q_length;
  dims[2] = kp_dim_mul(infer, h->q_heads, h->v_head);
  return NULL;
}

static kp_status* attention(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0), value = kp_in_element(infer, 2);
  heads h;
  bool packed;
  for (uint32_t i = 4; i < 6; ++i) KP_PASS(kp_in_check_rank(infer, i, 4, 4));
  if (kp_in_given(infer, 4) != kp_in_given(infer, 5))
    return kp_node_error(infer, "past_key and past_value go together");
  if (kp_in_rank(infer, 0) < 0) {
    kp_out_any_rank(infer, 0, element);
    for (uint32_t o = 1; o < 4; ++o) {
      if (kp_out_wanted(infer, o)) KP_PASS(kp_out_fresh(infer, o, o == 2 ? value : element, 4));
    }
    return NULL;
  }
  KP_PASS(read_heads(infer, &packed, &h));
  kp_expr total = h.kv_length;
  if (kp_in_given(infer, 4)) total = kp_dim_add(infer, h.kv_length, dim_or_fresh(infer, 4, 2));
  if (kp_in_rank(infer, 4) == 4) {
    KP_PASS(kp_in_check_dim(infer, 4, 1, h.kv_heads, "the heads of K"));
    KP_PASS(kp_in_check_dim(infer, 4, 3, h.head, "the head size of K"));
  }
  if (kp_in_rank(infer, 5) == 4) {
    KP_PASS(kp_in_check_dim(infer, 5, 1, h.kv_heads, "the heads of V"));
    KP_PASS(kp_in_check_dim(infer, 5, 3, h.v_head, "the head size of V"));
  }
  KP_PASS(out_attended(infer, element, packed, &h));
  if (kp_out_wanted(infer, 1))
    KP_PASS(out_4d(infer, 1, element, h.batch, h.kv_heads, total, h.head));
  if (kp_out_wanted(infer, 2))
    KP_PASS(out_4d(infer, 2, value, h.batch, h.kv_heads, total, h.v_head));
  return kp_out_wanted(infer, 3) ? out_4d(infer, 3, element, h.batch, h.q_heads, h.q_length, total)
                                 : NULL;
}

// The bodies see scores [batch, heads, queries, keys] in the precision of the softmax.
static kp_status* flex_bodies(kp_infer* infer, const heads* h) {
  kapell_type element;
  KP_PASS(kp_attr_element(infer, "softmax_precision",
                          kp_in_element(infer, 0) == KAPELL_DOUBLE ? KAPELL_DOUBLE : KAPELL_FLOAT,
                          &element));
  const kp_expr dims[4] = {h->batch, h->q_heads, h->q_length, h->kv_length};
  const kp_type scores = {.kind = KAPELL_KIND_TENSOR,
                          .element = element,
                          .rank = 4,
                          .dims = kp_arena_memdup(infer->arena, dims, sizeof dims)};
  if (!scores.dims) return KP_ERROR(OUT_OF_MEMORY, "type of scores");
  static const char* const names[] = {"score_mod", "prob_mod"};
  for (size_t k = 0; infer->engine && k < KP_COUNT_OF(names); ++k) {
    kp_graph* body = kp_node_attr_graph(infer->node, names[k]);
    if (body) KP_PASS(kp_infer_body(infer, body, &scores, NULL, 1));
  }
  return NULL;
}

static kp_status* flex_attention(kp_infer* infer) {
  heads h;
  KP_PASS(read_4d(infer, &h));
  KP_PASS(flex_bodies(infer, &h));
  return out_attended(infer, kp_in_element(infer, 0), false, &h);
}

static kp_status* linear_attention(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  int64_t q_heads, kv_heads;
  for (uint32_t i = 0; i < 6; ++i)
    KP_PASS(kp_in_check_rank(infer, i, i == 3 ? 4 : 3, i == 3 ? 4 : 3));
  KP_PASS(positive_attr(infer, "q_num_heads", &q_heads));
  KP_PASS(positive_attr(infer, "kv_num_heads", &kv_heads));
  if (q_heads % kv_heads != 0)
    return kp_node_error(
        infer, "attribute 'q_num_heads' is %lld; expected a multiple of 'kv_num_heads', %lld",
        (long long)q_heads, (long long)kv_heads);
  kp_expr batch = kp_in_rank(infer, 0) == 3 ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer);
  const kp_expr length = kp_in_rank(infer, 0) == 3 ? kp_in_dim(infer, 0, 1) : kp_dim_fresh(infer);
  kp_expr k_head = KP_DIM_UNKNOWN, v_head = KP_DIM_UNKNOWN;
  kp_expr q_head = KP_DIM_UNKNOWN;
  if (kp_in_rank(infer, 0) == 3) KP_PASS(per_head(infer, 0, q_heads, &q_head));
  if (kp_in_rank(infer, 1) == 3) KP_PASS(per_head(infer, 1, kv_heads, &k_head));
  if (kp_dim_differ(q_head, k_head))
    return kp_in_error(infer, 1, "heads of size %lld; expected %lld, as query has",
                       (long long)k_head, (long long)q_head);
  k_head = k_head == KP_DIM_UNKNOWN ? q_head : kp_dim_merge(k_head, q_head);
  if (kp_in_rank(infer, 2) == 3) KP_PASS(per_head(infer, 2, kv_heads, &v_head));
  if (kp_in_rank(infer, 3) == 4) {
    batch = kp_dim_merge(batch, kp_in_dim(infer, 3, 0));
    if (kp_is_symbol(k_head)) k_head = kp_in_dim(infer, 3, 2);  // a name says more than a quotient
    if (kp_is_symbol(v_head)) v_head = kp_in_dim(infer, 3, 3);
    KP_PASS(kp_in_check_dim(infer, 3, 0, batch, "the batch"));
    KP_PASS(kp_in_check_dim(infer, 3, 1, kv_heads, "attribute 'kv_num_heads'"));
    KP_PASS(kp_in_check_dim(infer, 3, 2, k_head, "the head size of key"));
    KP_PASS(kp_in_check_dim(infer, 3, 3, v_head, "the head size of value"));
  }
  if (k_head == KP_DIM_UNKNOWN) k_head = kp_dim_fresh(infer);
  if (v_head == KP_DIM_UNKNOWN) v_head = kp_dim_fresh(infer);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, 3, &dims));
  dims[0] = batch, dims[1] = length, dims[2] = kp_dim_mul(infer, q_heads, v_head);
  const kapell_type state = kp_in_element(infer, 3);
  return out_4d(infer, 1, state != KAPELL_UNDEFINED ? state : element, batch, kv_heads, k_head,
                v_head);
}

static kp_status* rotary_embedding(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 3, 4));
  KP_PASS(kp_in_check_rank(infer, 3, 2, 2));
  if (kp_in_rank(infer, 0) == 3) {
    int64_t count;
    kp_expr unused;
    KP_PASS(positive_attr(infer, "num_heads", &count));
    KP_PASS(per_head(infer, 0, count, &unused));
  }
  return kp_infer_same(infer);
}

static kp_status* tensor_scatter(kp_infer* infer) {
  KP_PASS(kp_infer_same(infer));
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) return NULL;
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", -2), rank,
                        &axis));
  if (axis == 0) return kp_node_error(infer, "attribute 'axis' is the batch's");
  KP_PASS(kp_in_check_rank(infer, 1, rank, rank));
  for (int32_t d = 0; kp_in_rank(infer, 1) >= 0 && d < rank; ++d) {
    if (d != axis)
      KP_PASS(kp_in_check_dim(infer, 1, d, kp_in_dim(infer, 0, d), "the dim of the cache"));
  }
  return kp_in_rank(infer, 2) == 1
             ? kp_in_check_dim(infer, 2, 0, kp_in_dim(infer, 0, 0), "the batch")
             : NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_attention[] = {
    {"", "Attention", 23, attention, 0, 0},
    {"ai.onnx.preview", "FlexAttention", 1, flex_attention, 0, 0},
    {"", "LinearAttention", 27, linear_attention, 0, 0},
    {"", "RotaryEmbedding", 23, rotary_embedding, 0, 0},
    {"", "TensorScatter", 24, tensor_scatter, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
