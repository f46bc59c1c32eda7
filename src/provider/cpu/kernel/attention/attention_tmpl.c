// Fused attention, per instruction set: for one head and a block of queries, over blocks of keys: scores by the matrix engine,
// scale, mask and exponentials with a running maximum, then the product with V added to the output.
//
// A few queries (decoding with a cache) do not pay for packing K and V: they take dot products and scaled additions.
#include "provider/cpu/kernel/attention/attention.h"

#include "provider/cpu/simd/f32.h"
#include "provider/cpu/simd/math.h"

#define LANES KP_VF_LANES
// Up to this many queries go without packing.
#define FEW_QUERIES 4

extern const kp_gemm_ops KP_ISA_NAME(kp_gemm);

// One head of one batch entry and a block of its queries.
typedef struct head_block {
  const kp_attention_plan* plan;
  const kp_attention_args* args;
  const float *q, *k, *v;
  float* out;
  const float* mask;  // of the first query, or NULL
  size_t first, count;
  float* max;     // [count], running
  float* sum;     // [count], running
  float* scores;  // [count][score_stride]
  size_t score_stride;
  float* packed_k;
  float* packed_v;
} head_block;

// Keys that query |s| (counted within the head) sees among |keys| from |first_key| on.
static size_t visible_keys(const kp_attention_args* a, size_t s, size_t first_key, size_t keys) {
  if (!a->causal) return keys;
  const size_t limit = s + a->causal_offset + 1;
  if (limit <= first_key) return 0;
  return limit - first_key < keys ? limit - first_key : keys;
}

// Scale, softcap and mask; returns the maximum.
static float finish_scores(const kp_attention_args* a, size_t keys, float* scores,
                           const float* mask) {
  const kp_vf scale = kp_vf_set1(a->scale), cap = kp_vf_set1(a->softcap);
  const kp_vf lowest = kp_vf_set1(-INFINITY);
  kp_vf max = lowest;
  for (size_t t = 0; t < keys; t += LANES) {
    const size_t n = keys - t < LANES ? keys - t : LANES;
    kp_vf v = kp_vf_mul(kp_vf_load_upto(scores + t, n), scale);
    if (a->softcap > 0.0f) v = kp_vf_mul(cap, kp_vf_tanh(kp_vf_div(v, cap)));
    if (mask) v = kp_vf_add(v, kp_vf_load_upto(mask + t, n));
    kp_vf_store_upto(scores + t, v, n);
    if (n < LANES) v = kp_vf_loadn_or(scores + t, n, lowest);
    max = kp_vf_max_nan(max, v);
  }
  return kp_vf_hmax(max);
}

// scores = exp(scores - max); returns their sum.
static float exponentials(size_t keys, float* scores, float max) {
  const kp_vf m = kp_vf_set1(max);
  kp_vf s0 = kp_vf_zero(), s1 = kp_vf_zero();
  size_t t = 0;
  for (; t + 2 * LANES <= keys; t += 2 * LANES) {
    const kp_vf e0 = kp_vf_exp(kp_vf_sub(kp_vf_load(scores + t), m));
    const kp_vf e1 = kp_vf_exp(kp_vf_sub(kp_vf_load(scores + t + LANES), m));
    s0 = kp_vf_add(s0, e0);
    s1 = kp_vf_add(s1, e1);
    kp_vf_store(scores + t, e0);
    kp_vf_store(scores + t + LANES, e1);
  }
  for (; t < keys; t += LANES) {
    const size_t n = keys - t < LANES ? keys - t : LANES;
    const kp_vf e = kp_vf_exp(kp_vf_sub(kp_vf_loadn_or(scores + t, n, kp_vf_set1(-INFINITY)), m));
    s0 = kp_vf_add(s0, e);
    kp_vf_storen(scores + t, e, n);
  }
  return kp_vf_hsum(kp_vf_add(s0, s1));
}

static void scale_row(size_t n, float* y, float factor) {
  const kp_vf f = kp_vf_set1(factor);
  for (size_t i = 0; i < n; i += LANES) {
    kp_vf_store_upto(y + i, kp_vf_mul(kp_vf_load_upto(y + i, n - i), f), n - i);
  }
}

// Turns row |r| of scores into weights, brings the running maximum and sum up to date, and scales what the output has so far.
static void softmax_step(const head_block* b, size_t r, size_t first_key, size_t keys) {
  const kp_attention_args* a = b->args;
  float* scores = b->scores + r * b->score_stride;
  const size_t seen = visible_keys(a, b->first + r, first_key, keys);
  const float* mask = b->mask ? b->mask + r * a->mask_row + first_key : NULL;
  const float block_max = finish_scores(a, seen, scores, mask);
  const float old_max = b->max[r];
  // NaN on either side stays; while every key so far is hidden the maximum is -infinity and must not be subtracted.
  const float max = block_max > old_max || block_max != block_max ? block_max : old_max;
  const float shift = max == -INFINITY ? 0.0f : max;
  const float carry = old_max == -INFINITY ? 0.0f : expf(old_max - shift);
  b->sum[r] = b->sum[r] * carry + exponentials(seen, scores, shift);
  b->max[r] = max;
  for (size_t t = seen; t < keys; ++t) scores[t] = 0.0f;
  if (first_key != 0 && carry != 1.0f)
    scale_row(b->plan->shape.v_dim, b->out + r * a->out_row, carry);
}

static void multiply_many(const head_block* b, size_t first_key, size_t keys) {
  const kp_gemm_ops* gemm = &KP_ISA_NAME(kp_gemm);
  const kp_attention_shape* s = &b->plan->shape;
  const kp_attention_args* a = b->args;
  gemm->pack_b(s->head_dim, keys, b->k + first_key * a->k_row, a->k_row, true, b->packed_k);
  kp_gemm_tile score = {.rows = b->count,
                        .cols = keys,
                        .taps = 1,
                        .depth = s->head_dim,
                        .epilogue = KP_EPILOGUE_NONE};
  score.a = b->q;
  score.a_stride = a->q_row;
  score.b = b->packed_k;
  score.b_row_stride = gemm->nr;
  score.b_panel_stride = s->head_dim * gemm->nr;
  score.c = b->scores;
  score.c_stride = b->score_stride;
  gemm->multiply(&score);
  for (size_t r = 0; r < b->count; ++r) softmax_step(b, r, first_key, keys);
  gemm->pack_b(keys, s->v_dim, b->v + first_key * a->v_row, a->v_row, false, b->packed_v);
  kp_gemm_tile sum = {
      .rows = b->count, .cols = s->v_dim, .taps = 1, .depth = keys, .epilogue = KP_EPILOGUE_NONE};
  sum.a = b->scores;
  sum.a_stride = b->score_stride;
  sum.b = b->packed_v;
  sum.b_row_stride = gemm->nr;
  sum.b_panel_stride = keys * gemm->nr;
  sum.c = b->out;
  sum.c_stride = a->out_row;
  if (first_key != 0) {
    sum.epilogue.residual = b->out;
    sum.epilogue.residual_stride = a->out_row;
  }
  gemm->multiply(&sum);
}

static float dot(size_t n, const float* x, const float* y) {
  kp_vf s0 = kp_vf_zero(), s1 = kp_vf_zero();
  size_t i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    s0 = kp_vf_fma(kp_vf_load(x + i), kp_vf_load(y + i), s0);
    s1 = kp_vf_fma(kp_vf_load(x + i + LANES), kp_vf_load(y + i + LANES), s1);
  }
  for (; i < n; i += LANES)
    s0 = kp_vf_fma(kp_vf_load_upto(x + i, n - i), kp_vf_load_upto(y + i, n - i), s0);
  return kp_vf_hsum(kp_vf_add(s0, s1));
}

// One row of the output plus the weighted rows of V, four columns of vectors at a time so that sums stay in registers.
static void add_weighted(const head_block* b, size_t r, size_t first_key, size_t keys) {
  const kp_attention_args* a = b->args;
  const size_t n = b->plan->shape.v_dim;
  const float* weights = b->scores + r * b->score_stride;
  float* out = b->out + r * a->out_row;
  for (size_t i = 0; i < n; i += 4 * LANES) {
    kp_vf sum[4];
    for (size_t v = 0; v < 4; ++v) {
      const size_t at = i + v * LANES;
      sum[v] = first_key != 0 && at < n ? kp_vf_load_upto(out + at, n - at) : kp_vf_zero();
    }
    for (size_t t = 0; t < keys; ++t) {
      const kp_vf w = kp_vf_set1(weights[t]);
      const float* row = b->v + (first_key + t) * a->v_row;
      for (size_t v = 0; v < 4; ++v) {
        const size_t at = i + v * LANES;
        if (at < n) sum[v] = kp_vf_fma(w, kp_vf_load_upto(row + at, n - at), sum[v]);
      }
    }
    for (size_t v = 0; v < 4; ++v) {
      const size_t at = i + v * LANES;
      if (at < n) kp_vf_store_upto(out + at, sum[v], n - at);
    }
  }
}

static void multiply_few(const head_block* b, size_t first_key, size_t keys) {
  const kp_attention_args* a = b->args;
  for (size_t t = 0; t < keys; ++t) {
    const float* key = b->k + (first_key + t) * a->k_row;
    for (size_t r = 0; r < b->count; ++r) {
      b->scores[r * b->score_stride + t] = dot(b->plan->shape.head_dim, b->q + r * a->q_row, key);
    }
  }
  for (size_t r = 0; r < b->count; ++r) {
    softmax_step(b, r, first_key, keys);
    add_weighted(b, r, first_key, keys);
  }
}

static void carve(head_block* b, float* scratch) {
  const kp_attention_plan* plan = b->plan;
  const size_t nr = KP_ISA_NAME(kp_gemm).nr;
  const size_t rows = (plan->task_queries + 15) / 16 * 16;
  b->score_stride = (plan->key_block + nr - 1) / nr * nr;
  b->max = scratch;
  b->sum = b->max + rows;
  b->scores = b->sum + rows;
  b->packed_k = b->scores + plan->task_queries * b->score_stride;
  b->packed_v = b->packed_k + (plan->shape.head_dim * b->score_stride + 15) / 16 * 16;
}

static void attention_block(const kp_attention_plan* plan, const kp_attention_args* a, size_t batch,
                            size_t head, size_t first, size_t count, float* scratch) {
  const kp_attention_shape* s = &plan->shape;
  const size_t kv_head = head / (s->heads / s->kv_heads);
  head_block b = {.plan = plan, .args = a, .first = first, .count = count};
  b.q = a->q + batch * a->q_batch + head * a->q_head + first * a->q_row;
  b.k = a->k + batch * a->k_batch + kv_head * a->k_head;
  b.v = a->v + batch * a->v_batch + kv_head * a->v_head;
  b.out = a->out + batch * a->out_batch + head * a->out_head + first * a->out_row;
  if (a->mask) b.mask = a->mask + batch * a->mask_batch + head * a->mask_head + first * a->mask_row;
  carve(&b, scratch);
  for (size_t r = 0; r < count; ++r) {
    b.max[r] = -INFINITY;
    b.sum[r] = 0.0f;
  }
  // The last query of the block sees the most keys; nothing beyond them is touched, but the first block always is.
  const size_t reach = visible_keys(a, first + count - 1, 0, s->kv_len);
  for (size_t key = 0; key == 0 || key < reach; key += plan->key_block) {
    const size_t left = reach - key;
    const size_t keys = left < plan->key_block ? left : plan->key_block;
    if (count <= FEW_QUERIES) {
      multiply_few(&b, key, keys);
    } else {
      multiply_many(&b, key, keys);
    }
  }
  for (size_t r = 0; r < count; ++r) scale_row(s->v_dim, b.out + r * a->out_row, 1.0f / b.sum[r]);
}

const kp_attention_ops KP_ISA_NAME(kp_attention) = {
    .isa = KP_ISA_STRING,
    .gemm = &KP_ISA_NAME(kp_gemm),
    .block = attention_block,
};
