// Attention in plain loops over f64: for float64, for scores that are an output, for a softmax computed in 16 bits. One row of
// scores at a time, exactly as the formula is written.
#include <math.h>

#include "base/small_float.h"
#include "provider/cpu/op/attention/attend.h"
#include "provider/cpu/op/element.h"

typedef struct plain_job {
  const kp_attend* attend;
  const kp_attend_data* data;
  const kp_op_run* run;
  char* workers;
} plain_job;

// One query of one head.
typedef struct plain_row {
  const kp_attend* a;
  const kp_attend_data* d;
  size_t batch, head, query;
  double *q, *other, *out, *scores;
  bool seen;  // some key is not hidden by range or mask
} plain_row;

static double rounded(kapell_type type, double x) {
  if (type == KAPELL_FLOAT16) return kp_f16_to_f32(kp_f16_from_f32((float)x));
  if (type == KAPELL_BFLOAT16) return kp_bf16_to_f32(kp_bf16_from_f32((float)x));
  return type == KAPELL_FLOAT ? (double)(float)x : x;
}

static void load_row(const kp_heads* h, const void* data, size_t batch, size_t head,
                     size_t position, double* out) {
  const size_t at = batch * h->batch_stride + head * h->head_stride + position * h->row_stride;
  kp_load_real(h->type, data, at, h->width, out);
}

// Score |x| of key |t| behind the masks.
static double masked(const plain_row* r, size_t t, double x) {
  for (size_t m = 0; m < KP_ATTENTION_MASKS; ++m) {
    const kp_attend_mask* mask = &r->a->masks[m];
    if (mask->type == KAPELL_UNDEFINED) continue;
    const size_t at = r->batch * mask->batch + r->head * mask->head + r->query * mask->row + t;
    if (t >= mask->keys) return -INFINITY;
    const double value = kp_attend_number(mask->type, r->d->masks[m], at);
    if (mask->type != KAPELL_BOOL)
      x = value == -INFINITY ? value : x + value;
    else if ((value != 0) == mask->inverted)
      x = mask->fill;
  }
  return x;
}

static bool in_range(const plain_row* r, size_t t) {
  const kp_attend* a = r->a;
  const kp_attention_span span = r->d->spans ? r->d->spans[r->batch] : r->d->span;
  const ptrdiff_t distance = (ptrdiff_t)t - (ptrdiff_t)r->query - span.offset;
  return t < span.keys && t < r->d->span.keys && (a->right < 0 || distance <= a->right) &&
         (a->left < 0 || -distance <= a->left);
}

static void compute_scores(plain_row* r) {
  const kp_attend* a = r->a;
  const size_t kv_head = r->head / (a->q.heads / a->k.heads);
  load_row(&a->q, r->d->q, r->batch, r->head, r->query, r->q);
  for (size_t t = 0; t < a->k.length; ++t) {
    double sum = 0;
    load_row(&a->k, r->d->k, r->batch, kv_head, t, r->other);
    for (size_t i = 0; i < a->q.width; ++i) sum += r->q[i] * r->other[i];
    r->scores[t] = sum * (double)a->scale;
  }
}

static void cap_scores(plain_row* r) {
  const double cap = r->a->softcap;
  for (size_t t = 0; cap > 0 && t < r->a->k.length; ++t)
    r->scores[t] = cap * tanh(r->scores[t] / cap);
}

static void mask_scores(plain_row* r) {
  for (size_t t = 0; t < r->a->k.length; ++t) {
    r->scores[t] = in_range(r, t) ? masked(r, t, r->scores[t]) : -INFINITY;
    r->seen |= r->scores[t] != -INFINITY;
  }
}

static void weigh(plain_row* r) {
  const kp_attend* a = r->a;
  const kapell_type soft = a->soft_type;
  const size_t keys = a->k.length;
  double max = r->d->sinks ? (double)r->d->sinks[r->head] : -INFINITY, sum;
  for (size_t t = 0; t < keys; ++t) {
    r->scores[t] = rounded(soft, r->scores[t]);
    if (r->scores[t] > max || r->scores[t] != r->scores[t]) max = r->scores[t];
  }
  const double shift = max == -INFINITY ? 0 : max;
  sum = r->d->sinks ? exp((double)r->d->sinks[r->head] - shift) : 0;
  for (size_t t = 0; t < keys; ++t) {
    r->scores[t] = rounded(soft, exp(rounded(soft, r->scores[t] - shift)));
    sum += r->scores[t];
  }
  sum = rounded(soft, sum);
  const bool zero = a->zero_hidden && (!r->seen || sum == 0);
  for (size_t t = 0; t < keys; ++t) r->scores[t] = zero ? 0 : rounded(soft, r->scores[t] / sum);
}

static void keep_scores(const plain_row* r, kp_attend_scores stage) {
  const kp_attend* a = r->a;
  if (a->scores != stage) return;
  const size_t row = (r->batch * a->q.heads + r->head) * a->q.length + r->query;
  const kp_rounding rounding = {0};
  for (size_t t = 0; t < a->scores_keys; ++t) {
    const double zero = 0, *score = &r->scores[t];
    if (a->scores_zero && !in_range(r, t)) score = &zero;
    kp_store_real(a->scores_type, r->d->scores, row * a->scores_keys + t, 1, score, &rounding);
  }
}

static void combine(plain_row* r) {
  const kp_attend* a = r->a;
  const kp_heads* y = &a->y;
  const kp_rounding rounding = {0};
  const size_t kv_head = r->head / (a->q.heads / a->k.heads);
  for (size_t i = 0; i < a->v.width; ++i) r->out[i] = 0;
  for (size_t t = 0; t < a->k.length; ++t) {
    if (r->scores[t] == 0) continue;
    load_row(&a->v, r->d->v, r->batch, kv_head, t, r->other);
    for (size_t i = 0; i < a->v.width; ++i) r->out[i] += r->scores[t] * r->other[i];
  }
  kp_store_real(y->type, r->d->y,
                r->batch * y->batch_stride + r->head * y->head_stride + r->query * y->row_stride,
                y->width, r->out, &rounding);
}

static void plain_task(void* arg, size_t task, int worker) {
  const plain_job* job = arg;
  const kp_attend* a = job->attend;
  if (kp_cancelled(job->run)) return;
  plain_row r = {.a = a, .d = job->data};
  r.query = task % a->q.length;
  r.head = task / a->q.length % a->q.heads;
  r.batch = task / a->q.length / a->q.heads;
  r.q = (double*)(void*)(job->workers + (size_t)worker * a->worker_bytes);
  r.other = r.q + a->q.width;
  r.out = r.other + kp_max_size(a->k.width, a->v.width);
  r.scores = r.out + a->v.width;
  compute_scores(&r);
  keep_scores(&r, KP_SCORES_RAW);
  cap_scores(&r);
  keep_scores(&r, KP_SCORES_CAPPED);
  mask_scores(&r);
  keep_scores(&r, KP_SCORES_MASKED);
  weigh(&r);
  keep_scores(&r, KP_SCORES_WEIGHTS);
  combine(&r);
}

void kp_attend_plain(const kp_attend* attend, const kp_attend_data* data, const kp_op_run* run,
                     char* workers) {
  plain_job job = {.attend = attend, .data = data, .run = run};
  job.workers = workers;
  kp_parallel_for_dynamic(run->width, attend->q.batch * attend->q.heads * attend->q.length,
                          plain_task, &job);
}
