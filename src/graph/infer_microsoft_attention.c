// Inference of com.microsoft's transformer blocks: attention in its forms, rotary embedding, skip and embedding normalization, mixtures of
// experts. Source: ONNX Runtime, docs/ContribOperators.md.
#include "graph/infer_rule.h"

static kp_expr dim_or_fresh(kp_infer* infer, uint32_t i, int32_t axis) {
  return kp_in_rank(infer, i) > axis ? kp_in_dim(infer, i, axis) : kp_dim_fresh(infer);
}

static kp_status* out_dims(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank,
                           const kp_expr* from) {
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, element, rank, &dims));
  memcpy(dims, from, sizeof(kp_expr) * (size_t)rank);
  return NULL;
}

static kp_status* out_3d(kp_infer* infer, uint32_t o, kp_expr a, kp_expr b, kp_expr c) {
  return out_dims(infer, o, kp_in_element(infer, 0), 3, (const kp_expr[]){a, b, c});
}

static kp_status* head_count(kp_infer* infer, const char* name, int64_t* out) {
  *out = kp_node_attr_i(infer->node, name, 0);
  return *out < 1 ? kp_node_error(infer, "attribute '%s' is %lld; expected 1 or more", name,
                                  (long long)*out)
                  : NULL;
}

// --- normalization --------------------------------------------------------------------------------------------------------
static kp_status* skip_layer_normalization(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 2, 3));
  KP_PASS(kp_infer_same(infer));
  kp_out_shape_of(infer, 3, element, 0);
  for (uint32_t i = 2; rank >= 0 && i < infer->node->input_count; ++i) {
    KP_PASS(kp_in_check_rank(infer, i, 1, 1));
    if (kp_in_rank(infer, i) == 1)
      KP_PASS(kp_in_check_dim(infer, i, 0, kp_in_dim(infer, 0, rank - 1), "the hidden size"));
  }
  for (uint32_t o = 1; o < 3; ++o) {
    if (!kp_out_wanted(infer, o)) continue;
    if (rank < 0) {
      kp_out_any_rank(infer, o, KAPELL_FLOAT);
      continue;
    }
    kp_expr* dims;
    KP_PASS(kp_out_dims(infer, o, KAPELL_FLOAT, rank, &dims));
    for (int32_t d = 0; d < rank; ++d) dims[d] = d < rank - 1 ? kp_in_dim(infer, 0, d) : 1;
  }
  return NULL;
}

static kp_status* skip_group_norm(kp_infer* infer) {
  kp_out_shape_of(infer, 1, kp_in_element(infer, 0), 0);
  return kp_infer_same(infer);
}

static kp_status* embed_with(kp_infer* infer, kapell_type element) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, 2));
  KP_PASS(kp_in_check_rank(infer, 2, 2, 2));
  const kp_expr dims[3] = {dim_or_fresh(infer, 0, 0), dim_or_fresh(infer, 0, 1),
                           dim_or_fresh(infer, 2, 1)};
  KP_PASS(out_dims(infer, 0, element, 3, dims));
  KP_PASS(kp_out_vector(infer, 1, KAPELL_INT32, dims[0]));
  return kp_out_wanted(infer, 2) ? out_dims(infer, 2, element, 3, dims) : NULL;
}
static kp_status* embed_layer_normalization(kp_infer* infer) {
  return embed_with(infer, kp_in_element(infer, 2));
}
static kp_status* qembed_layer_normalization(kp_infer* infer) {
  return embed_with(infer, kp_in_element(infer, 8));
}

// --- attention on one packed input ------------------------------------------------------------------------------------------
// input [batch, length, features], weights [features, q + k + v]. |past| is the number of that input.
static kp_status* packed_attention(kp_infer* infer, uint32_t weights, uint32_t past,
                                   kapell_type element) {
  int64_t count;
  size_t sizes;
  KP_PASS(head_count(infer, "num_heads", &count));
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  KP_PASS(kp_in_check_rank(infer, weights, 2, 2));
  KP_PASS(kp_in_check_rank(infer, past, 5, 5));
  if (kp_in_rank(infer, 0) == 3 && kp_in_rank(infer, weights) == 2)
    KP_PASS(kp_in_check_dim(infer, weights, 0, kp_in_dim(infer, 0, 2), "the features of input"));
  const int64_t* parts = kp_node_attr_ints(infer->node, "qkv_hidden_sizes", &sizes);
  if (sizes != 0 && (sizes != 3 || parts[0] < 1 || parts[1] < 1 || parts[2] < 1))
    return kp_node_error(
        infer, "attribute 'qkv_hidden_sizes' has %zu entries; expected 3 positive ones", sizes);
  const kp_expr third = sizes ? parts[2] : kp_dim_div(infer, dim_or_fresh(infer, weights, 1), 3);
  const kp_expr batch = dim_or_fresh(infer, 0, 0), length = dim_or_fresh(infer, 0, 1);
  KP_PASS(out_dims(infer, 0, element, 3, (const kp_expr[]){batch, length, third}));
  if (!kp_out_wanted(infer, 1)) return NULL;
  const bool shared = kp_node_attr_i(infer->node, "past_present_share_buffer", 0) != 0,
             given = kp_in_given(infer, past);
  kp_expr total = length;
  if (given && shared) total = dim_or_fresh(infer, past, 3);
  if (given && !shared) total = kp_dim_add(infer, length, dim_or_fresh(infer, past, 3));
  if (!given && shared) total = kp_dim_fresh(infer);
  return out_dims(infer, 1, element, 5,
                  (const kp_expr[]){2, batch, count, total, kp_dim_div(infer, third, count)});
}
static kp_status* attention(kp_infer* infer) {
  return packed_attention(infer, 1, 4, kp_in_element(infer, 0));
}
static kp_status* decoder_masked_self_attention(kp_infer* infer) {
  return packed_attention(infer, 1, 4, kp_in_element(infer, 0));
}
static kp_status* qattention(kp_infer* infer) {
  return packed_attention(infer, 1, 8, kp_in_element(infer, 3));
}

// --- attention on query, key, value -----------------------------------------------------------------------------------------
// What the three inputs are, in the layouts that MultiHeadAttention knows:
//   query [B, L, H], or all three packed [B, L, heads, 3, size]
//   key [B, K, H], or key and value packed [B, K, heads, 2, size], or [B, heads, K, size] (a cross attention's cache); value likewise
typedef struct sizes {
  kp_expr batch, length, keys, head, v_head, v_hidden;
} sizes;

static kp_status* read_sizes(kp_infer* infer, int64_t count, uint32_t past, sizes* out) {
  KP_PASS(kp_in_check_rank(infer, 0, 3, 5));
  KP_PASS(kp_in_check_rank(infer, 1, 3, 5));
  KP_PASS(kp_in_check_rank(infer, 2, 3, 4));
  const int32_t q = kp_in_rank(infer, 0), k = kp_in_rank(infer, 1), v = kp_in_rank(infer, 2);
  *out = (sizes){.batch = dim_or_fresh(infer, 0, 0), .length = dim_or_fresh(infer, 0, 1)};
  out->keys = !kp_in_given(infer, 1) ? out->length : dim_or_fresh(infer, 1, k == 4 ? 2 : 1);
  out->head = q == 5   ? kp_in_dim(infer, 0, 4)
              : q == 3 ? kp_dim_div(infer, kp_in_dim(infer, 0, 2), count)
                       : kp_dim_fresh(infer);
  out->v_head = v == 4   ? kp_in_dim(infer, 2, 3)
                : v == 3 ? kp_dim_div(infer, kp_in_dim(infer, 2, 2), count)
                         : out->head;
  // Query, key and value side by side in each row.
  if (q == 3 && !kp_in_given(infer, 1)) {
    const kp_expr whole = kp_in_dim(infer, 0, 2);
    out->head = kp_in_rank(infer, past) == 4 ? kp_in_dim(infer, past, 3)
                                             : kp_dim_div(infer, whole, 3 * count);
    out->v_hidden = kp_dim_sub(infer, whole, kp_dim_mul(infer, out->head, 2 * count));
    out->v_head = kp_dim_div(infer, out->v_hidden, count);
    return NULL;
  }
  out->v_hidden = v == 3             ? kp_in_dim(infer, 2, 2)
                  : v != 4 && q == 3 ? kp_in_dim(infer, 0, 2)
                                     : kp_dim_mul(infer, out->v_head, count);
  return NULL;
}

// present_key, present_value (outputs 1 and 2) behind |past| of that many keys, and the scores (output 3).
static kp_status* out_caches(kp_infer* infer, const sizes* s, int64_t count, kp_expr total) {
  const kapell_type element = kp_in_element(infer, 0);
  if (kp_out_wanted(infer, 1))
    KP_PASS(out_dims(infer, 1, element, 4, (const kp_expr[]){s->batch, count, total, s->head}));
  if (kp_out_wanted(infer, 2))
    KP_PASS(out_dims(infer, 2, element, 4, (const kp_expr[]){s->batch, count, total, s->v_head}));
  return kp_out_wanted(infer, 3)
             ? out_dims(infer, 3, element, 4, (const kp_expr[]){s->batch, count, s->length, total})
             : NULL;
}

static kp_status* multi_head(kp_infer* infer, uint32_t past, bool shared) {
  int64_t count;
  sizes s;
  KP_PASS(head_count(infer, "num_heads", &count));
  KP_PASS(kp_in_check_rank(infer, past, 4, 4));
  KP_PASS(read_sizes(infer, count, past, &s));
  KP_PASS(out_3d(infer, 0, s.batch, s.length, s.v_hidden));
  kp_expr total = s.keys;
  if (kp_in_given(infer, past))
    total = shared ? dim_or_fresh(infer, past, 2)
                   : kp_dim_add(infer, s.keys, dim_or_fresh(infer, past, 2));
  return out_caches(infer, &s, count, total);
}
static kp_status* multi_head_attention(kp_infer* infer) {
  // With past_sequence_length the cache has room for the longest sequence already.
  return multi_head(infer, 6, kp_in_given(infer, 8));
}
static kp_status* decoder_masked_multi_head_attention(kp_infer* infer) {
  return multi_head(infer, 5, kp_node_attr_i(infer->node, "past_present_share_buffer", 0) != 0);
}

// Heads' size of a grouped attention: query alone, or query, key and value packed side by side.
static kp_status* grouped_head(kp_infer* infer, int64_t count, int64_t kv_count, kp_expr* out) {
  if (kp_in_rank(infer, 0) != 3) {
    *out = kp_dim_fresh(infer);
    return NULL;
  }
  const kp_expr hidden = kp_in_dim(infer, 0, 2);
  const int64_t parts = kp_in_given(infer, 1) ? count : count + 2 * kv_count;
  if (kp_is_number(hidden) && hidden % parts != 0)
    return kp_in_error(infer, 0, "its last dim is %lld; expected a multiple of %lld heads",
                       (long long)hidden, (long long)parts);
  *out = kp_dim_div(infer, hidden, parts);
  return NULL;
}

static kp_status* out_grouped_cache(kp_infer* infer, uint32_t o, uint32_t past, kp_expr batch,
                                    int64_t kv_count, kp_expr total, kp_expr head) {
  if (!kp_out_wanted(infer, o)) return NULL;
  const bool given = kp_in_given(infer, past);
  // A quantized cache packs its heads: the past knows how.
  const kapell_type element = given ? kp_in_element(infer, past) : kp_in_element(infer, 0);
  if (kp_in_rank(infer, past) == 4) head = kp_in_dim(infer, past, 3);
  return out_dims(infer, o, element, 4, (const kp_expr[]){batch, kv_count, total, head});
}

static kp_status* group_query_attention(kp_infer* infer) {
  int64_t count = 0, kv_count = 0;
  kp_expr head, total;
  KP_PASS(head_count(infer, "num_heads", &count));
  KP_PASS(head_count(infer, "kv_num_heads", &kv_count));
  if (count % kv_count != 0)
    return kp_node_error(
        infer, "attribute 'num_heads' is %lld; expected a multiple of 'kv_num_heads', %lld",
        (long long)count, (long long)kv_count);
  for (uint32_t i = 0; i < 3; ++i) KP_PASS(kp_in_check_rank(infer, i, 3, 3));
  for (uint32_t i = 3; i < 5; ++i) KP_PASS(kp_in_check_rank(infer, i, 4, 4));
  KP_PASS(grouped_head(infer, count, kv_count, &head));
  const kp_expr batch = dim_or_fresh(infer, 0, 0), length = dim_or_fresh(infer, 0, 1);
  KP_PASS(out_3d(infer, 0, batch, length, kp_dim_mul(infer, head, count)));
  // The cache grows to the whole sequence, or has room for it already.
  const bool known = kp_in_int(infer, 6, &total);
  if (known) KP_PASS(kp_dim_of_data(infer, 6, total, &total));
  const bool sliding = kp_node_attr_i(infer->node, "sliding_window_cache", 0) != 0;
  kp_expr room = known ? total : kp_dim_fresh(infer);
  if (kp_in_given(infer, 3))
    room = sliding ? dim_or_fresh(infer, 3, 2)
           : known ? kp_dim_op(infer, KP_EXPR_MAX, total, dim_or_fresh(infer, 3, 2))
                   : room;
  KP_PASS(out_grouped_cache(infer, 1, 3, batch, kv_count, room, head));
  KP_PASS(out_grouped_cache(infer, 2, 4, batch, kv_count, room, head));
  if (!kp_out_wanted(infer, 3)) return NULL;
  return out_dims(infer, 3, kp_in_element(infer, 0), 4,
                  (const kp_expr[]){batch, count, length, known ? total : kp_dim_fresh(infer)});
}

// The caches are written in place: present has the shape of past.
static kp_status* sparse_attention(kp_infer* infer) {
  int64_t count = 0, kv_count = 0;
  kp_expr head;
  KP_PASS(head_count(infer, "num_heads", &count));
  KP_PASS(head_count(infer, "kv_num_heads", &kv_count));
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  KP_PASS(grouped_head(infer, count, kv_count, &head));
  KP_PASS(out_3d(infer, 0, dim_or_fresh(infer, 0, 0), dim_or_fresh(infer, 0, 1),
                 kp_dim_mul(infer, head, count)));
  kp_out_shape_of(infer, 1, kp_in_element(infer, 3), 3);
  kp_out_shape_of(infer, 2, kp_in_element(infer, 4), 4);
  return NULL;
}

static kp_status* rotary_embedding(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 3, 4));
  return kp_infer_same(infer);
}

static kp_status* experts(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, 3));
  KP_PASS(kp_in_check_rank(infer, 1, 2, 2));
  return kp_infer_same(infer);
}

// --- recurrent states -------------------------------------------------------------------------------------------------------
// A state: the past's shape, or the window (where there is one) and |dims|.
static kp_status* out_state(kp_infer* infer, uint32_t past, kapell_type element, int32_t rank,
                            const kp_expr* dims) {
  const int64_t window = kp_node_attr_i(infer->node, "state_window", 0);
  const kp_type* held = kp_in_tensor(infer, past);
  if (held && held->rank >= 0) {
    kp_out_shape_of(infer, 1, element, past);
    return NULL;
  }
  kp_expr all[8] = {window};
  if (window < 1) return out_dims(infer, 1, element, rank, dims);
  memcpy(all + 1, dims, sizeof(kp_expr) * (size_t)rank);
  return out_dims(infer, 1, element, rank + 1, all);
}

static kp_status* linear_attention(kp_infer* infer) {
  int64_t q_heads, kv_heads;
  KP_PASS(head_count(infer, "q_num_heads", &q_heads));
  KP_PASS(head_count(infer, "kv_num_heads", &kv_heads));
  for (uint32_t i = 0; i < 3; ++i) KP_PASS(kp_in_check_rank(infer, i, 3, 3));
  const kp_expr batch = dim_or_fresh(infer, 0, 0), length = dim_or_fresh(infer, 0, 1),
                size = kp_dim_div(infer, dim_or_fresh(infer, 1, 2), kv_heads),
                v_size = kp_dim_div(infer, dim_or_fresh(infer, 2, 2), kv_heads);
  const kapell_type state = kp_in_element(infer, kp_in_given(infer, 3) ? 3 : 0);
  KP_PASS(out_3d(infer, 0, batch, length,
                 kp_dim_mul(infer, v_size, q_heads > kv_heads ? q_heads : kv_heads)));
  return out_state(infer, 3, state, 4, (const kp_expr[]){batch, kv_heads, size, v_size});
}

static kp_status* causal_conv_with_state(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  const bool last = kp_node_attr_i(infer->node, "channels_last", 0) != 0;
  const int64_t dilation = kp_node_attr_i(infer->node, "dilation", 1);
  KP_PASS(kp_in_check_rank(infer, 0, 3, 7));
  KP_PASS(kp_in_check_rank(infer, 1, 3, 5));
  KP_PASS(kp_infer_same(infer));
  if (rank < 0) return NULL;
  kp_expr dims[8];
  memcpy(dims, kp_in_tensor(infer, 0)->dims, sizeof(kp_expr) * (size_t)rank);
  const kp_expr taps = kp_in_rank(infer, 1) >= 3 ? kp_in_dim(infer, 1, -1) : kp_dim_fresh(infer);
  dims[last ? 1 : rank - 1] = kp_dim_mul(infer, kp_dim_sub(infer, taps, 1), dilation);
  return out_state(infer, 3, kp_in_element(infer, 0), rank, dims);
}

#define MS "com.microsoft"
// clang-format off
const kp_infer_rule kp_infer_rules_microsoft_attention[] = {
    {MS, "SkipLayerNormalization", 1, skip_layer_normalization, 0, 0},
    {MS, "SkipSimplifiedLayerNormalization", 1, skip_layer_normalization, 0, 0},
    {MS, "SkipGroupNorm", 1, skip_group_norm, 0, 0},
    {MS, "EmbedLayerNormalization", 1, embed_layer_normalization, 0, 0},
    {MS, "QEmbedLayerNormalization", 1, qembed_layer_normalization, 0, 0},
    {MS, "Attention", 1, attention, 0, 0},
    {MS, "QAttention", 1, qattention, 0, 0},
    {MS, "DecoderMaskedSelfAttention", 1, decoder_masked_self_attention, 0, 0},
    {MS, "MultiHeadAttention", 1, multi_head_attention, 0, 0},
    {MS, "DecoderMaskedMultiHeadAttention", 1, decoder_masked_multi_head_attention, 0, 0},
    {MS, "GroupQueryAttention", 1, group_query_attention, 1u << 6, 0},
    {MS, "SparseAttention", 1, sparse_attention, 0, 0},
    {MS, "RotaryEmbedding", 1, rotary_embedding, 0, 0},
    {MS, "LinearAttention", 1, linear_attention, 0, 0},
    {MS, "CausalConvWithState", 1, causal_conv_with_state, 0, 0},
    {MS, "MoE", 1, experts, 0, 0},
    {MS, "QMoE", 1, experts, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
