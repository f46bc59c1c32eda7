// com.microsoft pools and means over 8-bit tensors: QLinearAveragePool and QLinearGlobalAveragePool of either layout,
// QLinearReduceMean, ReduceSumInteger, NhwcMaxPool. Sums are exact integers; one f32 scaling and rounding follows.
#include "provider/cpu/kernel/qlinear/qlinear.h"
#include "provider/cpu/op/conv/window.h"
#include "provider/cpu/op/quantized/qlinear.h"

typedef struct pool_params {
  kp_window window;
  size_t batch, channels;
  bool last;  // channels behind the pixels
  bool max;
  bool count_padding;
  size_t sum_bytes;  // scratch of one worker
} pool_params;

static kp_status* pool_prepare(kp_op_prepare* prepare) {
  union {
    const kp_qlinear_ops* ops;
    void* state;
  } kernel = {kp_qlinear_select(prepare->features)};
  prepare->state = kernel.state;
  prepare->kernel = "qlinear";
  return NULL;
}

// |value| as [batch, channels, pixels...].
static kapell_value channels_first(const kapell_value* value, int64_t* dims) {
  kapell_value view = *value;
  view.dims = dims;
  dims[0] = value->dims[0];
  dims[1] = value->dims[value->rank - 1];
  for (int32_t d = 2; d < value->rank; ++d) dims[d] = value->dims[d - 1];
  return view;
}

static kp_status* pool_plan(kp_op_plan* plan) {
  pool_params* params = kp_arena_new(plan->arena, pool_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  params->max = strcmp(plan->node->op, "NhwcMaxPool") == 0;
  params->last = params->max || kp_node_attr_i(plan->node, "channels_last", 0);
  params->count_padding = kp_node_attr_i(plan->node, "count_include_pad", 0) != 0;
  int64_t x_dims[KP_MAX_RANK], y_dims[KP_MAX_RANK];
  kapell_value x = *plan->inputs[0], y = *plan->outputs[0];
  if (params->last) {
    x = channels_first(plan->inputs[0], x_dims);
    y = channels_first(plan->outputs[0], y_dims);
  }
  KP_PASS(kp_window_init(&params->window, plan->node, &x, &y, NULL));
  if (params->window.kernel_count > 1u << 23)
    return KP_ERROR(LIMIT, "windows of %zu pixels; sums of 8-bit numbers are exact up to %u",
                    params->window.kernel_count, 1u << 23);
  params->batch = (size_t)x.dims[0];
  params->channels = (size_t)x.dims[1];
  // Sums: of all channels of a pixel, or of one row of a picture and one of the result.
  const int32_t inner = params->window.rank - 1;
  const size_t sums = params->last ? params->channels
                                   : (size_t)(params->window.in[inner] + params->window.out[inner]);
  params->sum_bytes = (sums * sizeof(int32_t) + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  if (!kp_mul_size(params->sum_bytes, (size_t)plan->width, &plan->scratch_bytes))
    return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
  return NULL;
}

// The taps of a window along dim |d| at output position |at| that lie in the picture: positions *first, *first + dilation, ...
typedef struct reach {
  int64_t first, count;
  int64_t padded;  // taps within the padded picture: what count_include_pad divides by
} reach;
static reach reach_along(const kp_window* w, int32_t d, int64_t at) {
  const int64_t start = at * w->stride[d] - w->begin[d], step = w->dilation[d];
  const int64_t skip = start >= 0 ? 0 : (-start + step - 1) / step;
  const int64_t room = w->in[d] - 1 - start, padded_room = w->in[d] + w->end[d] - 1 - start;
  const int64_t last = room < 0 ? 0 : kp_min_i64(w->kernel[d], room / step + 1);
  return (reach){.first = start + skip * step,
                 .count = kp_max_i64(last - skip, 0),
                 .padded = padded_room < 0 ? 0 : kp_min_i64(w->kernel[d], padded_room / step + 1)};
}

typedef struct pool_job {
  const kp_op_run* run;
  const pool_params* params;
  const kp_qlinear_ops* kernel;
  kp_quant8 from, to;
  bool is_signed;
} pool_job;

// What one window covers: reaches of the first |dims| dims, their product, and the divisor's part.
typedef struct cover {
  reach along[KP_MAX_WINDOW];
  size_t taps, padded;
} cover;
static cover cover_of(const kp_window* w, int32_t dims, const int64_t* position) {
  cover c = {.taps = 1, .padded = 1};
  for (int32_t d = 0; d < dims; ++d) {
    c.along[d] = reach_along(w, d, position[d]);
    c.taps *= (size_t)c.along[d].count;
    c.padded *= (size_t)c.along[d].padded;
  }
  return c;
}
// Flat index, over the first |dims| dims, of tap |n|.
static size_t tap_of(const kp_window* w, int32_t dims, const cover* c, size_t n) {
  size_t pixel = 0, unit = 1;
  for (int32_t d = dims; d-- > 0;) {
    const size_t count = (size_t)c->along[d].count;
    pixel += unit * ((size_t)c->along[d].first + n % count * (size_t)w->dilation[d]);
    unit *= (size_t)w->in[d];
    n /= count;
  }
  return pixel;
}

static void average_of(const pool_job* job, const int32_t* sums, size_t n, size_t taps,
                       size_t padded, uint8_t* y) {
  const size_t divisor = job->params->count_padding ? padded : taps;
  const float scale = job->from.scale / (job->to.scale * (float)(divisor ? divisor : 1));
  job->kernel->requantise(job->is_signed, n, sums, (int32_t)taps * job->from.zero, scale,
                          job->to.zero, y);
}

static void max_bytes(bool is_signed, size_t n, const uint8_t* x, uint8_t* y) {
  const uint8_t flip = is_signed ? 0x80 : 0;
  for (size_t i = 0; i < n; ++i) {
    const uint8_t a = x[i] ^ flip, b = y[i] ^ flip;
    y[i] = (a > b ? a : b) ^ flip;
  }
}

// One pixel of the result, all channels.
static void last_task(void* arg, size_t task, int worker) {
  const pool_job* job = arg;
  const pool_params* p = job->params;
  const kp_window* w = &p->window;
  int64_t position[KP_MAX_WINDOW];
  kp_unflatten(task % w->out_count, w->rank, w->out, position);
  const cover c = cover_of(w, w->rank, position);
  const uint8_t* x =
      (const uint8_t*)job->run->inputs[0]->data + task / w->out_count * w->in_count * p->channels;
  uint8_t* y = (uint8_t*)job->run->outputs[0]->data + task * p->channels;
  int32_t* sums = (int32_t*)(void*)((char*)job->run->scratch + (size_t)worker * p->sum_bytes);
  if (p->max)
    memset(y, job->is_signed ? 0x80 : 0, p->channels);
  else
    memset(sums, 0, p->channels * sizeof *sums);
  // Taps of the innermost dim follow each other.
  const size_t line = (size_t)c.along[w->rank - 1].count,
               step = (size_t)w->dilation[w->rank - 1] * p->channels;
  for (size_t n = 0; n < c.taps; n += line) {
    const uint8_t* from = x + tap_of(w, w->rank, &c, n) * p->channels;
    for (size_t i = 0; i < line; ++i, from += step) {
      if (p->max)
        max_bytes(job->is_signed, p->channels, from, y);
      else
        job->kernel->accumulate(job->is_signed, p->channels, from, sums);
    }
  }
  if (!p->max) average_of(job, sums, p->channels, c.taps, c.padded, y);
}

// One row of the result: the rows of the picture that its windows cover are added up first, then each window's part of that row.
static void first_task(void* arg, size_t task, int worker) {
  const pool_job* job = arg;
  const pool_params* p = job->params;
  const kp_window* w = &p->window;
  const int32_t inner = w->rank - 1;
  const size_t width = (size_t)w->in[inner], out_width = (size_t)w->out[inner],
               out_rows = w->out_count / out_width;
  int64_t position[KP_MAX_WINDOW];
  kp_unflatten(task % out_rows, inner, w->out, position);
  const cover c = cover_of(w, inner, position);
  const uint8_t* x = (const uint8_t*)job->run->inputs[0]->data + task / out_rows * w->in_count;
  uint8_t* y = (uint8_t*)job->run->outputs[0]->data + task * out_width;
  int32_t* sums = (int32_t*)(void*)((char*)job->run->scratch + (size_t)worker * p->sum_bytes);
  memset(sums, 0, width * sizeof *sums);
  for (size_t n = 0; n < c.taps; ++n)
    job->kernel->accumulate(job->is_signed, width, x + tap_of(w, inner, &c, n) * width, sums);
  // Results that divide by the same number are stored together: all but those at the borders.
  int32_t* results = sums + width;
  reach shared = {0};
  size_t first = 0;
  for (size_t o = 0; o < out_width; ++o) {
    const reach r = reach_along(w, inner, (int64_t)o);
    if (o && (r.count != shared.count || r.padded != shared.padded)) {
      average_of(job, results + first, o - first, c.taps * (size_t)shared.count,
                 c.padded * (size_t)shared.padded, y + first);
      first = o;
    }
    shared = r;
    results[o] = 0;
    for (int64_t i = 0; i < r.count; ++i) results[o] += sums[r.first + i * w->dilation[inner]];
  }
  average_of(job, results + first, out_width - first, c.taps * (size_t)shared.count,
             c.padded * (size_t)shared.padded, y + first);
}

static kp_status* pool_run(const kp_op_run* run) {
  const pool_params* p = run->params;
  const kapell_type type = run->inputs[0]->type;
  pool_job job = {.run = run, .params = p, .kernel = run->state, .is_signed = type == KAPELL_INT8};
  if (!p->max) {
    KP_PASS(kp_quant8_read(run, 1, 2, type, &job.from));
    KP_PASS(kp_quant8_read(run, 3, 4, type, &job.to));
  }
  if (!kp_value_count(run->outputs[0])) return NULL;
  const size_t work = p->batch * p->channels * p->window.out_count * p->window.kernel_count / 4;
  const size_t row = (size_t)p->window.out[p->window.rank - 1];
  const size_t tasks = p->last ? p->batch * p->window.out_count
                               : p->batch * p->channels * (p->window.out_count / row);
  kp_parallel_for(kp_op_width(run->width, work), tasks, p->last ? last_task : first_task, &job);
  return NULL;
}

// --- QLinearGlobalAveragePool --------------------------------------------------------------------------------------------------
typedef struct global_job {
  const kp_op_run* run;
  kp_quant8 from, to;
  size_t pixels, channels;
} global_job;

static float global_scale(const global_job* job) {
  return job->from.scale / (job->to.scale * (float)job->pixels);
}

static void plane_task(void* arg, size_t plane, int worker) {
  (void)worker;
  const global_job* job = arg;
  const kp_qlinear_ops* kernel = job->run->state;
  const uint8_t* x = (const uint8_t*)job->run->inputs[0]->data + plane * job->pixels;
  const int32_t sum = kernel->total(job->from.is_signed, job->pixels, x);
  kernel->requantise(job->from.is_signed, 1, &sum, (int32_t)job->pixels * job->from.zero,
                     global_scale(job), job->to.zero, (uint8_t*)job->run->outputs[0]->data + plane);
}

static void picture_task(void* arg, size_t picture, int worker) {
  (void)worker;
  const global_job* job = arg;
  const kp_qlinear_ops* kernel = job->run->state;
  const uint8_t* x =
      (const uint8_t*)job->run->inputs[0]->data + picture * job->pixels * job->channels;
  uint8_t* y = (uint8_t*)job->run->outputs[0]->data + picture * job->channels;
  int32_t sums[256];
  for (size_t c = 0; c < job->channels; c += KP_COUNT_OF(sums)) {
    const size_t count = kp_min_size(KP_COUNT_OF(sums), job->channels - c);
    memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < job->pixels; ++i)
      kernel->accumulate(job->from.is_signed, count, x + i * job->channels + c, sums);
    kernel->requantise(job->from.is_signed, count, sums, (int32_t)job->pixels * job->from.zero,
                       global_scale(job), job->to.zero, y + c);
  }
}

static kp_status* global_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  global_job job = {.run = run};
  KP_PASS(kp_quant8_read(run, 1, 2, x->type, &job.from));
  KP_PASS(kp_quant8_read(run, 3, 4, x->type, &job.to));
  const bool last = kp_node_attr_i(run->node, "channels_last", 0) != 0;
  job.channels = (size_t)x->dims[last ? x->rank - 1 : 1];
  job.pixels = last ? kp_span(x, 1, x->rank - 1) : kp_span(x, 2, x->rank);
  if (job.pixels > 1u << 23)
    return KP_ERROR(LIMIT, "%zu pixels; sums of 8-bit numbers are exact up to %u", job.pixels,
                    1u << 23);
  if (!kp_value_count(run->outputs[0])) return NULL;
  const size_t batch = (size_t)x->dims[0];
  kp_parallel_for(kp_op_width(run->width, kp_value_count(x) / 8),
                  last ? batch : batch * job.channels, last ? picture_task : plane_task, &job);
  return NULL;
}

// --- QLinearReduceMean -----------------------------------------------------------------------------------------------------------
// Adds every element of |x| to the sum of the output element that it belongs to.
static void add_up(const kapell_value* x, uint32_t mask, int64_t* sums) {
  int64_t position[KP_MAX_RANK] = {0}, strides[KP_MAX_RANK] = {0}, stride = 1;
  for (int32_t d = x->rank; d-- > 0;) {
    if (mask >> d & 1) continue;
    strides[d] = stride;
    stride *= x->dims[d];
  }
  const size_t count = kp_value_count(x);
  int64_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    sums[at] += kp_int_at(x, i);
    for (int32_t d = x->rank; d-- > 0;) {
      at += strides[d];
      if (++position[d] < x->dims[d]) break;
      at -= strides[d] * x->dims[d];
      position[d] = 0;
    }
  }
}

static kp_status* mean_plan(kp_op_plan* plan) {
  if (kp_mul_size(kp_value_count(plan->outputs[0]), sizeof(int64_t), &plan->scratch_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* mean_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kp_quant8 from, to;
  KP_PASS(kp_quant8_read(run, 1, 2, x->type, &from));
  KP_PASS(kp_quant8_read(run, 3, 4, x->type, &to));
  uint32_t mask;
  bool given;
  KP_PASS(kp_axes_mask(run->node, "axes", NULL, x->rank, &mask, &given));
  if (!given) mask = UINT32_MAX;
  const size_t results = kp_value_count(run->outputs[0]);
  int64_t* sums = run->scratch;
  memset(sums, 0, results * sizeof *sums);
  add_up(x, mask, sums);
  size_t each = 1;
  for (int32_t d = 0; d < x->rank; ++d)
    if (mask >> d & 1) each *= (size_t)x->dims[d];
  uint8_t* y = run->outputs[0]->data;
  for (size_t i = 0; i < results; ++i) {
    const double sum = (double)(sums[i] - (int64_t)each * from.zero);
    y[i] = kp_quant8_of(&to, (float)(sum * (double)from.scale / (double)each));
  }
  return NULL;
}

// --- ReduceSumInteger ------------------------------------------------------------------------------------------------------------
// Sums wrap around in 32 bits.
static kp_status* sum_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  uint32_t mask;
  bool given;
  KP_PASS(kp_axes_mask(run->node, "axes", NULL, x->rank, &mask, &given));
  const size_t results = kp_value_count(run->outputs[0]);
  int64_t* sums = run->scratch;
  memset(sums, 0, results * sizeof *sums);
  add_up(x, given ? mask : UINT32_MAX, sums);
  uint32_t* y = run->outputs[0]->data;
  for (size_t i = 0; i < results; ++i) y[i] = (uint32_t)sums[i];
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
#define M_BYTES (KP_M(INT8) | KP_M(UINT8))
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = MS, .name = "QLinearAveragePool", .since = 1, .types = M_BYTES, .supports = kp_window_supports, .prepare = pool_prepare,
     .plan = pool_plan, .run = pool_run, .kernels = "8-bit: qlinear"},
    {.domain = MS, .name = "NhwcMaxPool", .since = 1, .types = M_BYTES, .supports = kp_window_supports, .prepare = pool_prepare,
     .plan = pool_plan, .run = pool_run},
    {.domain = MS, .name = "QLinearGlobalAveragePool", .since = 1, .types = M_BYTES, .prepare = pool_prepare, .run = global_run,
     .kernels = "8-bit: qlinear"},
    {.domain = MS, .name = "QLinearReduceMean", .since = 1, .types = M_BYTES, .plan = mean_plan, .run = mean_run},
    {.domain = MS, .name = "ReduceSumInteger", .since = 1, .types = M_BYTES, .plan = mean_plan, .run = sum_run},
};
// clang-format on
KP_OP_TABLE(qlinear_pool);
