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

// One head of one batch entry and a block of its rows: queries, or the heads of a group for a single query.
typedef struct head_block {
  const kp_attention_plan* plan;
  const kp_attention_args* args;
  const float* q;
  const char *k, *v;  // bytes, in their own types
  float* out;
  size_t q_row, out_row;                  // in floats
  const char* masks[KP_ATTENTION_MASKS];  // of row 0, or NULL
  size_t mask_row[KP_ATTENTION_MASKS];    // in elements
  ptrdiff_t position, step;               // of row 0, and from row to row
  size_t span_keys;
  size_t first_head, count;
  bool started;   // the output holds sums already
  float* max;     // [count], running
  float* sum;     // [count], running
  float* scores;  // [count][score_stride]
  size_t score_stride;
  float* packed_k;
  float* packed_v;
  float* tile;  // a block of K or V, widened
} head_block;

// --- 16-bit floats ------------------------------------------------------------------------------------------------------------
static inline float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Without branches, so that the compiler makes vectors of it: the exponent is moved by an integer addition and put right by a
// multiplication; denormals come out of the difference of two floats.
static inline float half_to_float(uint16_t half) {
  const uint32_t word = (uint32_t)half << 16, twice = word + word;
  uint32_t normal, small;
  const float normalized = from_bits((twice >> 4) + (UINT32_C(0xE0) << 23)) * 0x1p-112f,
              denormalized = from_bits((twice >> 17) | (UINT32_C(126) << 23)) - 0.5f;
  memcpy(&normal, &normalized, sizeof normal);
  memcpy(&small, &denormalized, sizeof small);
  return from_bits((word & UINT32_C(0x80000000)) | (twice < (UINT32_C(1) << 27) ? small : normal));
}

static void widen(kp_attention_type type, size_t count, const uint16_t* from, float* to) {
  if (type == KP_ATTENTION_F16) {
    for (size_t i = 0; i < count; ++i) to[i] = half_to_float(from[i]);
  } else {
    for (size_t i = 0; i < count; ++i) to[i] = from_bits((uint32_t)from[i] << 16);
  }
}

static inline uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// To the nearest, ties to even: adding a power of two whose last bit is that of the half lets the addition round; what overflows
// becomes infinite on the way.
static inline uint16_t float_to_half(float value) {
  const uint32_t word = to_bits(value), twice = word + word,
                 exponent = twice & UINT32_C(0xFF000000);
  const uint32_t least = exponent < UINT32_C(0x71000000) ? UINT32_C(0x71000000) : exponent;
  const float size = from_bits(word & UINT32_C(0x7FFFFFFF)) * 0x1p112f * 0x1p-110f;
  const uint32_t sum = to_bits(from_bits((least >> 1) + UINT32_C(0x07800000)) + size);
  const uint32_t number = ((sum >> 13) & UINT32_C(0x7C00)) + (sum & UINT32_C(0x0FFF));
  return (uint16_t)((word >> 16 & UINT32_C(0x8000)) |
                    (twice > UINT32_C(0xFF000000) ? UINT32_C(0x7E00) : number));
}

static inline uint16_t float_to_bfloat(float value) {
  const uint32_t word = to_bits(value);
  const uint32_t rounded = (word + UINT32_C(0x7FFF) + (word >> 16 & 1)) >> 16;
  return (uint16_t)(word + word > UINT32_C(0xFF000000) ? UINT32_C(0x7FC0) | word >> 16 : rounded);
}

static void narrow(kp_attention_type type, size_t count, const float* from, uint16_t* to) {
  if (type == KP_ATTENTION_F16) {
    for (size_t i = 0; i < count; ++i) to[i] = float_to_half(from[i]);
  } else {
    for (size_t i = 0; i < count; ++i) to[i] = float_to_bfloat(from[i]);
  }
}

static size_t type_size(kp_attention_type type) { return type == KP_ATTENTION_F32 ? 4 : 2; }

// |rows| rows of |cols| from |from| on as floats: where they lie, or in |tile|.
static const float* as_floats(kp_attention_type type, size_t rows, size_t cols, const char* from,
                              size_t stride, float* tile, size_t* out_stride) {
  *out_stride = stride;
  if (type == KP_ATTENTION_F32) return (const float*)(const void*)from;
  for (size_t r = 0; r < rows; ++r)
    widen(type, cols, (const uint16_t*)(const void*)from + r * stride, tile + r * cols);
  *out_stride = cols;
  return tile;
}

// --- which keys ---------------------------------------------------------------------------------------------------------------
typedef struct key_range {
  size_t first, end;
} key_range;

static size_t clamp(ptrdiff_t value, size_t most) {
  return value <= 0 ? 0 : (size_t)value < most ? (size_t)value : most;
}

// Keys that row |r| sees.
static key_range visible_keys(const head_block* b, size_t r) {
  const kp_attention_args* a = b->args;
  const ptrdiff_t position = b->position + b->step * (ptrdiff_t)r;
  key_range range = {0, b->span_keys};
  if (a->left >= 0 && position > a->left) range.first = clamp(position - a->left, b->span_keys);
  if (a->right >= 0 && position < (ptrdiff_t)b->span_keys - a->right)
    range.end = clamp(position + a->right + 1, b->span_keys);
  if (range.end < range.first) range.end = range.first;
  return range;
}

// Scores |v| of |n| keys from |t| on behind a mask.
static kp_vf apply_mask(const kp_attention_mask* mask, const char* data, size_t t, size_t n,
                        kp_vf v) {
  if (!mask->boolean) return kp_vf_add(v, kp_vf_load_upto((const float*)(const void*)data + t, n));
  float lanes[LANES];
  for (size_t i = 0; i < LANES; ++i)
    lanes[i] = i < n && (data[t + i] != 0) != mask->inverted ? 1.0f : 0.0f;
  return kp_vf_select(kp_vf_gt(kp_vf_load(lanes), kp_vf_zero()), v, kp_vf_set1(mask->fill));
}

// Scale, softcap and masks of keys |first_key|...; returns the maximum.
static float finish_scores(const head_block* b, size_t r, size_t first_key, size_t keys,
                           float* scores) {
  const kp_attention_args* a = b->args;
  const kp_vf scale = kp_vf_set1(a->scale), cap = kp_vf_set1(a->softcap);
  const kp_vf lowest = kp_vf_set1(-INFINITY);
  kp_vf max = lowest;
  for (size_t t = 0; t < keys; t += LANES) {
    const size_t n = keys - t < LANES ? keys - t : LANES;
    kp_vf v = kp_vf_mul(kp_vf_load_upto(scores + t, n), scale);
    if (a->softcap > 0.0f) v = kp_vf_mul(cap, kp_vf_tanh(kp_vf_div(v, cap)));
    for (size_t m = 0; m < KP_ATTENTION_MASKS && b->masks[m]; ++m) {
      const size_t at = r * b->mask_row[m] + first_key + t;
      v = apply_mask(&a->masks[m], b->masks[m], at, n, v);
    }
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
  float* scores = b->scores + r * b->score_stride;
  const key_range seen = visible_keys(b, r);
  const size_t from = seen.first <= first_key         ? 0
                      : seen.first - first_key < keys ? seen.first - first_key
                                                      : keys;
  const size_t to = seen.end <= first_key         ? 0
                    : seen.end - first_key < keys ? seen.end - first_key
                                                  : keys;
  for (size_t t = 0; t < from; ++t) scores[t] = 0.0f;
  for (size_t t = to > from ? to : from; t < keys; ++t) scores[t] = 0.0f;
  if (to <= from) return;
  const float block_max = finish_scores(b, r, first_key + from, to - from, scores + from);
  const float old_max = b->max[r];
  // NaN on either side stays; while every key so far is hidden the maximum is -infinity and must not be subtracted.
  const float max = block_max > old_max || block_max != block_max ? block_max : old_max;
  const float shift = max == -INFINITY ? 0.0f : max;
  const float carry = old_max == -INFINITY ? 0.0f : expf(old_max - shift);
  b->sum[r] = b->sum[r] * carry + exponentials(to - from, scores + from, shift);
  b->max[r] = max;
  if (b->started && carry != 1.0f) scale_row(b->plan->shape.v_dim, b->out + r * b->out_row, carry);
}

static const float* keys_at(const head_block* b, size_t first, size_t count, size_t* out_stride) {
  const kp_attention_shape* s = &b->plan->shape;
  const size_t row = b->args->k.row;
  return as_floats(s->k_type, count, s->head_dim, b->k + first * row * type_size(s->k_type), row,
                   b->tile, out_stride);
}

static const float* values_at(const head_block* b, size_t first, size_t count, size_t* out_stride) {
  const kp_attention_shape* s = &b->plan->shape;
  const size_t row = b->args->v.row;
  return as_floats(s->v_type, count, s->v_dim, b->v + first * row * type_size(s->v_type), row,
                   b->tile, out_stride);
}

// Rows that have seen all they may before |first_key|: the first ones of a causal block. The first block initialises all rows.
static size_t finished_rows(const head_block* b, size_t first_key) {
  size_t r = 0;
  while (b->started && r < b->count && visible_keys(b, r).end <= first_key) ++r;
  return r;
}

static void multiply_many(const head_block* b, size_t first_key, size_t keys) {
  const kp_gemm_ops* gemm = &KP_ISA_NAME(kp_gemm);
  const kp_attention_shape* s = &b->plan->shape;
  const size_t first = finished_rows(b, first_key), rows = b->count - first;
  float* scores = b->scores + first * b->score_stride;
  size_t stride;
  if (!rows) return;
  const float* k = keys_at(b, first_key, keys, &stride);
  gemm->pack_b(s->head_dim, keys, k, stride, true, b->packed_k);
  kp_gemm_tile score = {
      .rows = rows, .cols = keys, .taps = 1, .depth = s->head_dim, .epilogue = KP_EPILOGUE_NONE};
  score.a = b->q + first * b->q_row;
  score.a_stride = b->q_row;
  score.b = b->packed_k;
  score.b_row_stride = gemm->nr;
  score.b_panel_stride = s->head_dim * gemm->nr;
  score.c = scores;
  score.c_stride = b->score_stride;
  gemm->multiply(&score);
  for (size_t r = first; r < b->count; ++r) softmax_step(b, r, first_key, keys);
  const float* v = values_at(b, first_key, keys, &stride);
  gemm->pack_b(keys, s->v_dim, v, stride, false, b->packed_v);
  kp_gemm_tile sum = {
      .rows = rows, .cols = s->v_dim, .taps = 1, .depth = keys, .epilogue = KP_EPILOGUE_NONE};
  sum.a = scores;
  sum.a_stride = b->score_stride;
  sum.b = b->packed_v;
  sum.b_row_stride = gemm->nr;
  sum.b_panel_stride = keys * gemm->nr;
  sum.c = b->out + first * b->out_row;
  sum.c_stride = b->out_row;
  if (b->started) {
    sum.epilogue.residual = sum.c;
    sum.epilogue.residual_stride = b->out_row;
  }
  gemm->multiply(&sum);
}

// Products of |x| with |count| <= 4 rows of |y|: independent chains hide the latency of the additions.
static void dots(size_t n, const float* x, const float* y, size_t stride, size_t count,
                 float* out) {
  kp_vf sum[4] = {kp_vf_zero(), kp_vf_zero(), kp_vf_zero(), kp_vf_zero()};
  const float* rows[4];
  for (size_t j = 0; j < 4; ++j) rows[j] = y + (j < count ? j : 0) * stride;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const kp_vf a = kp_vf_load(x + i);
    KP_UNROLL
    for (size_t j = 0; j < 4; ++j) sum[j] = kp_vf_fma(a, kp_vf_load(rows[j] + i), sum[j]);
  }
  if (i < n) {
    const kp_vf a = kp_vf_loadn(x + i, n - i);
    KP_UNROLL
    for (size_t j = 0; j < 4; ++j) sum[j] = kp_vf_fma(a, kp_vf_loadn(rows[j] + i, n - i), sum[j]);
  }
  for (size_t j = 0; j < count; ++j) out[j] = kp_vf_hsum(sum[j]);
}

// One row of the output plus the weighted rows of V, four columns of vectors at a time so that sums stay in registers.
static void add_weighted(const head_block* b, size_t r, const float* v, size_t stride,
                         size_t keys) {
  const size_t n = b->plan->shape.v_dim;
  const float* weights = b->scores + r * b->score_stride;
  float* out = b->out + r * b->out_row;
  size_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    kp_vf sum[4];
    KP_UNROLL
    for (size_t j = 0; j < 4; ++j)
      sum[j] = b->started ? kp_vf_load(out + i + j * LANES) : kp_vf_zero();
    for (size_t t = 0; t < keys; ++t) {
      const kp_vf w = kp_vf_set1(weights[t]);
      const float* row = v + t * stride + i;
      KP_UNROLL
      for (size_t j = 0; j < 4; ++j) sum[j] = kp_vf_fma(w, kp_vf_load(row + j * LANES), sum[j]);
    }
    KP_UNROLL
    for (size_t j = 0; j < 4; ++j) kp_vf_store(out + i + j * LANES, sum[j]);
  }
  for (; i < n; i += LANES) {
    kp_vf sum = b->started ? kp_vf_load_upto(out + i, n - i) : kp_vf_zero();
    for (size_t t = 0; t < keys; ++t)
      sum = kp_vf_fma(kp_vf_set1(weights[t]), kp_vf_load_upto(v + t * stride + i, n - i), sum);
    kp_vf_store_upto(out + i, sum, n - i);
  }
}

static void multiply_few(const head_block* b, size_t first_key, size_t keys) {
  size_t stride;
  const float* k = keys_at(b, first_key, keys, &stride);
  for (size_t t = 0; t < keys; t += 4) {
    const size_t count = keys - t < 4 ? keys - t : 4;
    for (size_t r = 0; r < b->count; ++r)
      dots(b->plan->shape.head_dim, b->q + r * b->q_row, k + t * stride, stride, count,
           b->scores + r * b->score_stride + t);
  }
  for (size_t r = 0; r < b->count; ++r) softmax_step(b, r, first_key, keys);
  const float* v = values_at(b, first_key, keys, &stride);
  for (size_t r = 0; r < b->count; ++r) add_weighted(b, r, v, stride, keys);
}

// --- a block -------------------------------------------------------------------------------------------------------------------
static float* carve(head_block* b, float* scratch) {
  const kp_attention_plan* plan = b->plan;
  const size_t nr = KP_ISA_NAME(kp_gemm).nr;
  const size_t rows = (plan->task_queries + 15) / 16 * 16;
  b->score_stride = (plan->key_block + nr - 1) / nr * nr;
  b->max = scratch;
  b->sum = b->max + rows;
  b->scores = b->sum + rows;
  b->packed_k = b->scores + plan->task_queries * b->score_stride;
  b->packed_v = b->packed_k + (plan->shape.head_dim * b->score_stride + 15) / 16 * 16;
  return b->packed_v + (plan->key_block * ((plan->shape.v_dim + nr - 1) / nr * nr) + 15) / 16 * 16;
}

// Where rows lie: of a group of heads, or of one head's queries.
static void find_rows(head_block* b, size_t batch, size_t head, size_t first) {
  const kp_attention_plan* plan = b->plan;
  const kp_attention_args* a = b->args;
  const bool grouped = plan->group > 1;
  const size_t per_key_head = plan->shape.heads / plan->shape.kv_heads;
  b->first_head = grouped ? head * plan->group + first : head;
  const size_t query = grouped ? 0 : first;
  const size_t kv_head = b->first_head / per_key_head;
  b->k = (const char*)a->k.data +
         (batch * a->k.batch + kv_head * a->k.head) * type_size(plan->shape.k_type);
  b->v = (const char*)a->v.data +
         (batch * a->v.batch + kv_head * a->v.head) * type_size(plan->shape.v_type);
  for (size_t m = 0; m < KP_ATTENTION_MASKS && a->masks[m].data; ++m) {
    const kp_attention_mask* mask = &a->masks[m];
    b->masks[m] = (const char*)mask->data +
                  (batch * mask->batch + b->first_head * mask->head + query * mask->row) *
                      (mask->boolean ? 1 : sizeof(float));
    b->mask_row[m] = grouped ? mask->head : mask->row;
  }
  const kp_attention_span span = a->spans ? a->spans[batch] : a->span;
  b->span_keys = span.keys < a->span.keys ? span.keys : a->span.keys;
  if (b->span_keys > plan->shape.kv_len) b->span_keys = plan->shape.kv_len;
  b->position = (ptrdiff_t)query + span.offset;
  b->step = grouped ? 0 : 1;
}

static char* row_at(const kp_attention_tensor* t, kp_attention_type type, size_t batch, size_t head,
                    size_t query) {
  return (char*)t->data + (batch * t->batch + head * t->head + query * t->row) * type_size(type);
}

// The smallest range of keys that holds what each row sees.
static key_range reach_of(const head_block* b) {
  const key_range first = visible_keys(b, 0), last = visible_keys(b, b->count - 1);
  return (key_range){first.first, last.end};
}

static void run_blocks(head_block* b) {
  const size_t block = b->plan->key_block;
  const key_range reach = reach_of(b);
  for (size_t r = 0; r < b->count; ++r) {
    b->max[r] =
        b->args->sinks ? b->args->sinks[b->first_head + (b->plan->group > 1 ? r : 0)] : -INFINITY;
    b->sum[r] = b->args->sinks ? 1.0f : 0.0f;
  }
  for (size_t key = reach.first / block * block; key < reach.end; key += block) {
    const size_t keys = reach.end - key < block ? reach.end - key : block;
    if (b->count <= FEW_QUERIES || b->plan->shape.head_dim == 0) {
      multiply_few(b, key, keys);
    } else {
      multiply_many(b, key, keys);
    }
    b->started = true;
  }
  for (size_t r = 0; r < b->count; ++r) {
    float* out = b->out + r * b->out_row;
    const bool hidden = b->sum[r] == 0.0f && b->args->zero_hidden,
               broken = b->sum[r] != b->sum[r] && b->args->zero_nan;
    if (!b->started || hidden || broken) {
      const float value = hidden || broken || b->sum[r] != 0.0f ? 0.0f : NAN;
      for (size_t i = 0; i < b->plan->shape.v_dim; ++i) out[i] = value;
    } else {
      scale_row(b->plan->shape.v_dim, out, 1.0f / b->sum[r]);
    }
  }
}

static void attention_block(const kp_attention_plan* plan, const kp_attention_args* a, size_t batch,
                            size_t head, size_t first, size_t count, float* scratch) {
  const kp_attention_shape* s = &plan->shape;
  const bool grouped = plan->group > 1;
  head_block b = {.plan = plan, .args = a, .count = count};
  float* rest = carve(&b, scratch);
  find_rows(&b, batch, head, first);
  const size_t query = grouped ? 0 : first;
  const char* q = row_at(&a->q, s->q_type, batch, b.first_head, query);
  char* out = row_at(&a->out, s->out_type, batch, b.first_head, query);
  const size_t out_row = grouped ? a->out.head : a->out.row;
  b.q = as_floats(s->q_type, count, s->head_dim, q, grouped ? a->q.head : a->q.row, rest, &b.q_row);
  if (s->q_type != KP_ATTENTION_F32) rest += (plan->task_queries * s->head_dim + 15) / 16 * 16;
  b.out = (float*)(void*)out;
  b.out_row = out_row;
  if (s->out_type != KP_ATTENTION_F32) {
    b.out = rest;
    b.out_row = s->v_dim;
    rest += (plan->task_queries * s->v_dim + 15) / 16 * 16;
  }
  b.tile = rest;
  run_blocks(&b);
  for (size_t r = 0; s->out_type != KP_ATTENTION_F32 && r < count; ++r)
    narrow(s->out_type, s->v_dim, b.out + r * b.out_row, (uint16_t*)(void*)out + r * out_row);
}

const kp_attention_ops KP_ISA_NAME(kp_attention) = {
    .isa = KP_ISA_STRING,
    .gemm = &KP_ISA_NAME(kp_gemm),
    .block = attention_block,
};
