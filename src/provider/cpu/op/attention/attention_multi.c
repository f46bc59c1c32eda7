// The core of com.microsoft's attentions; see attention_multi.h.
#include "provider/cpu/op/attention/attention_multi.h"

#include <math.h>

// --- plan ---------------------------------------------------------------------------------------------------------------------
static kp_status* mask_form(kp_multi* m, const kapell_value* mask, size_t keys) {
  const int64_t batch = (int64_t)m->q.batch, *d = mask->dims;
  m->mask_rows = 1;
  if (mask->rank == 1) {
    m->mask = d[0] == 2 * batch ? KP_MULTI_RANGES : KP_MULTI_ENDS;
    if (d[0] == batch || d[0] == 2 * batch || d[0] == 3 * batch + 2) return NULL;
  } else if (d[0] == batch) {
    m->mask = mask->rank == 2 ? KP_MULTI_KEYS : mask->rank == 3 ? KP_MULTI_SCORES : KP_MULTI_SQUARE;
    m->mask_keys = (size_t)d[mask->rank - 1];
    if (mask->rank > 2) m->mask_rows = m->q.length;
    const bool wide = m->shared || m->mask_keys >= keys || m->mask_keys == m->k.length;
    if (mask->rank == 2 && wide) return NULL;
    if (mask->rank == 3 && d[1] == (int64_t)m->q.length && wide) return NULL;
    if (mask->rank == 4 && d[1] == 1 && d[2] == d[3] && m->mask_keys >= keys) return NULL;
  }
  return KP_ERROR(INVALID_INPUT, "a mask of rank %d whose first dim is %lld, for %zu sequences",
                  (int)mask->rank, (long long)d[0], m->q.batch);
}

static kp_status* check_past(const kp_multi* m) {
  if (!m->has_past) return NULL;
  const kp_heads *k = &m->k, *v = &m->v, *pk = &m->past, *pv = &m->v_past;
  if (pk->batch == k->batch && pk->heads == k->heads && pk->width == k->width &&
      pv->batch == v->batch && pv->heads == v->heads && pv->width == v->width &&
      pk->length == pv->length && !m->whole)
    return NULL;
  return KP_ERROR(INVALID_INPUT, "the past does not fit key and value");
}

// Where K and V are read: as they come, or from the cache.
static void join(kp_multi* m) {
  kp_attend* a = &m->attend;
  m->joined = !m->whole && (m->has_past || m->keep_k || m->keep_v || m->biased || m->turn);
  a->k = m->k;
  a->v = m->v;
  if (!m->joined) return;
  const size_t room = m->shared ? m->past.length : m->past.length + m->k.length;
  a->k = kp_heads_dense(m->k.type, m->k.batch, m->k.heads, room, m->k.width);
  a->v = kp_heads_dense(m->v.type, m->v.batch, m->v.heads, room, m->v.width);
}

static kp_status* plan_scratch(kp_multi* m, int width, size_t* total) {
  const kp_attend* a = &m->attend;
  const size_t each = kp_type_bits(m->k.type) / 8, positions = a->k.length;
  const size_t widest = kp_max_size(m->q.width, m->v.width);
  const size_t own_k = m->joined && !m->keep_k ? kp_heads_count(&a->k) : 0,
               own_v = m->joined && !m->keep_v ? kp_heads_count(&a->v) : 0;
  KP_PASS(kp_attend_room(total, m->q.batch, sizeof(int64_t), &m->starts));
  KP_PASS(kp_attend_room(total, 2 * m->turn * positions, sizeof(float), &m->angles));
  KP_PASS(kp_attend_room(total, m->moved ? kp_heads_count(&m->q) : 0, sizeof(float), &m->query));
  KP_PASS(kp_attend_room(total, m->moved ? m->q.batch * m->q.length : 0, sizeof(int64_t),
                         &m->positions));
  KP_PASS(kp_attend_room(total, own_k, each, &m->keys));
  KP_PASS(kp_attend_room(total, own_v, each, &m->values));
  KP_PASS(kp_attend_room(total, m->beams ? kp_heads_count(&a->k) : 0, each, &m->beam_keys));
  KP_PASS(kp_attend_room(total, m->beams ? kp_heads_count(&a->v) : 0, each, &m->beam_values));
  const size_t masks = m->mask ? m->q.batch * m->mask_rows * positions : 0;
  KP_PASS(kp_attend_room(total, masks, sizeof(float), &m->mask_at));
  return kp_attend_room(total, widest * (size_t)width, sizeof(float), &m->spare);
}

kp_status* kp_multi_plan(kp_multi* m, const kp_attention_ops* ops, const kapell_value* mask,
                         const kapell_value* added, int width, size_t* total) {
  kp_attend* a = &m->attend;
  KP_PASS(check_past(m));
  join(m);
  const size_t keys = a->k.length, full[4] = {m->q.batch, m->q.heads, m->q.length, keys};
  if (mask) KP_PASS(mask_form(m, mask, keys));
  m->moved = m->biased || m->turn;
  a->q = m->q;
  if (m->moved)
    a->q = kp_heads_dense(KAPELL_FLOAT, m->q.batch, m->q.heads, m->q.length, m->q.width);
  a->y = m->y;
  a->scale = m->scale != 0 ? m->scale : 1.0f / sqrtf((float)m->q.width);
  a->left = -1;
  a->right = m->causal && m->q.length > 1 ? 0 : -1;
  a->scores = m->wants_scores ? KP_SCORES_MASKED : KP_SCORES_NONE;
  a->scores_type = m->scores_type;
  a->scores_keys = kp_min_size(m->scores_keys, keys);
  uint32_t next = 0;
  if (m->mask) {
    a->masks[next++] = (kp_attend_mask){.type = KAPELL_FLOAT,
                                        .batch = m->mask_rows * keys,
                                        .row = m->mask_rows > 1 ? keys : 0,
                                        .keys = keys,
                                        .count = m->q.batch * m->mask_rows * keys};
  }
  if (added) KP_PASS(kp_attend_mask_of(added, full, &a->masks[next]));
  KP_PASS(kp_attend_plan(a, ops, width));
  KP_PASS(plan_scratch(m, width, total));
  return kp_attend_room(total, a->scratch_bytes, 1, &m->engine);
}

// --- run ----------------------------------------------------------------------------------------------------------------------
static void* scratch_at(const kp_op_run* run, size_t offset) {
  return (char*)run->scratch + offset;
}

// Is key |t| of sequence |b| seen by query |s|?
static bool is_seen(const kp_multi* m, const kapell_value* mask, size_t b, size_t s, size_t t,
                    size_t past, size_t total) {
  switch (m->mask) {
    case KP_MULTI_ENDS:
      return (int64_t)t < kp_int_at(mask, b);
    case KP_MULTI_RANGES:
      return (int64_t)t < kp_int_at(mask, b) && (int64_t)t >= kp_int_at(mask, m->q.batch + b);
    case KP_MULTI_SQUARE:
      return kp_int_at(mask, (b * m->mask_keys + past + s) * m->mask_keys + t) > 0;
    default:
      break;
  }
  // A mask of the new keys alone leaves the past as it is.
  const size_t before = m->mask_keys < total ? total - m->mask_keys : 0;
  return t < before || kp_int_at(mask, (b * m->mask_rows + s) * m->mask_keys + t - before) > 0;
}

static const float* fill_mask(const kp_multi* m, const kp_multi_data* d, const kp_op_run* run,
                              size_t past, size_t total) {
  float* to = scratch_at(run, m->mask_at);
  const size_t keys = m->attend.k.length;
  for (size_t b = 0; b < m->q.batch; ++b)
    for (size_t s = 0; s < m->mask_rows; ++s)
      for (size_t t = 0; t < keys; ++t)
        to[(b * m->mask_rows + s) * keys + t] =
            t < total && is_seen(m, d->mask, b, s, t, past, total) ? 0 : d->filter;
  return to;
}

// Angles as Su et al. 2021 have them: position / 10000^(2 i / width).
static kp_rotary fill_angles(const kp_multi* m, const kp_op_run* run) {
  const size_t positions = m->attend.k.length, half = m->turn;
  float *cos = scratch_at(run, m->angles), *sin = cos + positions * half;
  for (size_t i = 0; i < half; ++i) {
    const double rate = pow(10000, -(double)i / (double)half);
    for (size_t p = 0; p < positions; ++p) {
      cos[p * half + i] = (float)__builtin_cos((double)p * rate);
      sin[p * half + i] = (float)__builtin_sin((double)p * rate);
    }
  }
  return (kp_rotary){.type = KAPELL_FLOAT, .cos = cos, .sin = sin, .stride = half, .half = half};
}

static void set_bias(kp_rows* rows, const kapell_value* bias, size_t first) {
  if (!bias) return;
  rows->bias_type = bias->type;
  rows->bias = (const char*)bias->data + first * (kp_type_bits(bias->type) / 8);
}

// The query with its bias and rotation, or as it came.
static const void* move_query(const kp_multi* m, const kp_multi_data* d, const kp_op_run* run,
                              const kp_rotary* rotary, size_t past) {
  int64_t* positions = scratch_at(run, m->positions);
  if (!m->moved) return d->q;
  for (size_t i = 0; i < m->q.batch * m->q.length; ++i)
    positions[i] = (int64_t)(past + i % m->q.length);
  kp_rows rows = {.from = m->q, .to = m->attend.q, .source = d->q, .rotary = *rotary};
  rows.target = scratch_at(run, m->query);
  rows.positions = positions;
  set_bias(&rows, d->bias, 0);
  kp_rows_run(&rows, run->width);
  return rows.target;
}

// Keys (or values) behind the past in the cache, or as they came.
static void* move_keys(const kp_multi* m, const kp_multi_data* d, const kp_op_run* run, bool values,
                       const kp_rotary* rotary) {
  const kp_heads *to = values ? &m->attend.v : &m->attend.k, *past = values ? &m->v_past : &m->past;
  const void *source = values ? d->v : d->k, *before = values ? d->past_v : d->past_k;
  void* target = values ? d->present_v : d->present_k;
  if (!m->joined) {
    const kp_heads dense = kp_heads_dense(to->type, to->batch, to->heads, to->length, to->width);
    if (target) kp_rows_copy(to, source, &dense, target, run->width);
    return (void*)(uintptr_t)source;
  }
  if (!target) target = scratch_at(run, values ? m->values : m->keys);
  const int64_t* starts = scratch_at(run, m->starts);
  kp_rows_begin(past, before, starts, to, target, run->width);
  kp_rows rows = {.from = values ? m->v : m->k, .to = *to, .source = source, .target = target};
  rows.starts = starts;
  rows.spare = scratch_at(run, m->spare);
  if (!values) rows.rotary = *rotary;
  const size_t hidden = m->q.heads * m->q.width;
  set_bias(&rows, d->bias, values ? 2 * hidden : hidden);
  kp_rows_run(&rows, run->width);
  return target;
}

// Which beam of its group row |b| had at position |t|.
static kp_status* beam_of(const kp_multi* m, const kapell_value* indirection, size_t b, size_t t,
                          size_t* out) {
  const size_t length = (size_t)indirection->dims[2];
  const int64_t beam = kp_int_at(indirection, b * length + t);
  if (beam < 0 || beam >= (int64_t)m->beams)
    return KP_ERROR(RUN_FAILED, "cache_indirection names beam %lld of %zu", (long long)beam,
                    m->beams);
  *out = b / m->beams * m->beams + (size_t)beam;
  return NULL;
}

// A cache as each beam sees it: what came before is another beam's.
static kp_status* follow_beams(const kp_multi* m, const kapell_value* indirection,
                               const kp_heads* cache, const void* data, void* target, size_t past) {
  const size_t bytes = cache->width * (kp_type_bits(cache->type) / 8);
  for (size_t b = 0; b < cache->batch; ++b) {
    for (size_t t = 0; t < cache->length; ++t) {
      size_t from = b;
      if (t < past) KP_PASS(beam_of(m, indirection, b, t, &from));
      for (size_t h = 0; h < cache->heads; ++h)
        memcpy((char*)target + ((b * cache->heads + h) * cache->length + t) * bytes,
               (const char*)data + ((from * cache->heads + h) * cache->length + t) * bytes, bytes);
    }
  }
  return NULL;
}

static kp_status* read_past(const kp_multi* m, const kp_multi_data* d, const kp_op_run* run,
                            size_t* out_past) {
  int64_t* starts = scratch_at(run, m->starts);
  int64_t past = m->whole ? (int64_t)0 : (int64_t)m->past.length;
  if (m->shared) past = d->past_length ? kp_int_at(d->past_length, 0) : 0;
  const size_t fresh = m->whole ? 0 : m->k.length;
  if (past < 0 || (size_t)past > m->attend.k.length - kp_min_size(fresh, m->attend.k.length) ||
      fresh > m->attend.k.length)
    return KP_ERROR(RUN_FAILED, "%zu keys behind %lld in a cache of %zu", fresh, (long long)past,
                    m->attend.k.length);
  for (size_t b = 0; b < m->q.batch; ++b) starts[b] = past;
  *out_past = (size_t)past;
  return NULL;
}

kp_status* kp_multi_run(const kp_multi* m, const kp_multi_data* d, const kp_op_run* run) {
  kp_rotary rotary = {0};
  size_t past;
  KP_PASS(read_past(m, d, run, &past));
  const size_t total = m->whole ? m->k.length : past + m->k.length;
  if (m->turn) rotary = fill_angles(m, run);
  kp_attend_data data = {.q = move_query(m, d, run, &rotary, past), .y = d->y, .scores = d->scores};
  void *k = move_keys(m, d, run, false, &rotary), *v = move_keys(m, d, run, true, &rotary);
  if (m->beams) {
    void *bk = scratch_at(run, m->beam_keys), *bv = scratch_at(run, m->beam_values);
    KP_PASS(follow_beams(m, d->indirection, &m->attend.k, k, bk, past));
    KP_PASS(follow_beams(m, d->indirection, &m->attend.v, v, bv, past));
    k = bk;
    v = bv;
  }
  data.k = k;
  data.v = v;
  data.span = (kp_attention_span){total, (ptrdiff_t)past};
  uint32_t next = 0;
  if (m->mask) data.masks[next++] = fill_mask(m, d, run, past, total);
  if (d->added) data.masks[next] = d->added->data;
  kp_attend_run(&m->attend, &data, run, scratch_at(run, m->engine));
  return NULL;
}
