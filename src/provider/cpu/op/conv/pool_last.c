// kapell.MaxPool, kapell.AveragePool, kapell.GlobalAveragePool, kapell.GlobalMaxPool, kapell.ScaleShift: channels-last f32, made by
// fuse/channels_last.c. X is [N, spatial..., C], one to three spatial dims; attributes are ONNX's. A window that is
// deep is as many pools of pictures, merged row by row.
// kapell.ScaleShift: y = act(x * scale[C] + shift[C]), inputs X, scale, shift: BatchNormalization that no convolution takes.
#include <math.h>

#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/kernel/pool/pool.h"
#include "provider/cpu/kernel/reduce/reduce.h"
#include "provider/cpu/op/conv/window.h"

typedef struct kp_pool_last_state {
  const kp_pool_ops* pool;
  const kp_reduce_ops* reduce;
  const kp_norm_ops* norm;
  kp_act act;
} kp_pool_last_state;

static kp_status* pool_last_prepare(kp_op_prepare* prepare) {
  kp_pool_last_state* state = kp_arena_new(prepare->arena, kp_pool_last_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->pool = kp_pool_select(prepare->features);
  state->reduce = kp_reduce_select(prepare->features);
  state->norm = kp_norm_select(prepare->features);
  state->act = kp_read_act(prepare->node);
  return NULL;
}

typedef struct kp_pool_last_params {
  kp_pool_shape shape;   // of one slice
  kp_window_dim depth;   // 1 where there is none
  size_t batch, slices;  // pictures; slices of one
  size_t slice_bytes;    // of scratch a worker: a slice of the output
} kp_pool_last_params;

// --- windows -------------------------------------------------------------------------------------------------------------------
static kp_status* window_shape(const kp_node* node, const int64_t* x, int32_t rank,
                               kp_pool_last_params* p) {
  const size_t spatial = (size_t)rank - 2;
  kp_window_dim d = {.kernel = 1, .stride = 1, .dilation = 1, .out = 1}, h = d, w;
  if (spatial == 3) KP_PASS(kp_window_along(node, 0, 3, x[1], &d));
  if (spatial >= 2) KP_PASS(kp_window_along(node, spatial - 2, spatial, x[rank - 3], &h));
  KP_PASS(kp_window_along(node, spatial - 1, spatial, x[rank - 2], &w));
  const size_t channels = (size_t)x[rank - 1];
  p->depth = d;
  p->slices = spatial == 3 ? (size_t)x[1] : 1;
  p->batch = (size_t)x[0];
  p->shape = (kp_pool_shape){.batch = spatial == 3 ? 1 : (size_t)x[0],
                             .in_h = spatial >= 2 ? (size_t)x[rank - 3] : 1,
                             .in_w = (size_t)x[rank - 2],
                             .out_h = (size_t)h.out,
                             .out_w = (size_t)w.out,
                             .channels = channels,
                             .kernel_h = (size_t)h.kernel,
                             .kernel_w = (size_t)w.kernel,
                             .stride_h = (size_t)h.stride,
                             .stride_w = (size_t)w.stride,
                             .dilation_h = (size_t)h.dilation,
                             .dilation_w = (size_t)w.dilation,
                             .pad_top = (size_t)h.begin,
                             .pad_left = (size_t)w.begin,
                             .pad_bottom = (size_t)h.end,
                             .pad_right = (size_t)w.end,
                             .in_pixel = channels,
                             .out_pixel = channels,
                             .count_padding = kp_node_attr_i(node, "count_include_pad", 0) != 0};
  return NULL;
}

static kp_status* set_output(kp_infer* infer, const int64_t* dims, int32_t rank) {
  int64_t* kept = kp_arena_memdup(infer->arena, dims, (size_t)rank * sizeof(*dims));
  if (!kept) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  infer->outputs[0] =
      (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_FLOAT, .rank = rank, .dims = kept};
  return NULL;
}

static kp_status* window_infer(kp_infer* infer) {
  const kp_type* x = infer->inputs[0];
  kp_pool_last_params p;
  if (!x || x->rank < 3 || x->rank > 5)
    return KP_ERROR(INTERNAL, "a channels-last pool of rank %d", x ? x->rank : -1);
  KP_PASS(window_shape(infer->node, x->dims, x->rank, &p));
  int64_t dims[5] = {x->dims[0]};
  int32_t rank = 1;
  if (x->rank == 5) dims[rank++] = p.depth.out;
  if (x->rank >= 4) dims[rank++] = (int64_t)p.shape.out_h;
  dims[rank++] = (int64_t)p.shape.out_w;
  dims[rank++] = x->dims[x->rank - 1];
  return set_output(infer, dims, rank);
}

static kp_status* window_plan(kp_op_plan* plan) {
  kp_pool_last_params* p = kp_arena_new(plan->arena, kp_pool_last_params);
  const kapell_value* x = plan->inputs[0];
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  KP_PASS(window_shape(plan->node, x->dims, x->rank, p));
  if (x->rank == 5)
    p->slice_bytes = p->shape.out_h * p->shape.out_w * p->shape.channels * sizeof(float);
  plan->scratch_bytes = p->slice_bytes * (size_t)plan->width;
  return NULL;
}

static void window_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const kp_pool_last_state* state = run->state;
  const kp_pool_shape* shape = &((const kp_pool_last_params*)run->params)->shape;
  if (kp_cancelled(run)) return;
  const bool max = run->node->op[0] == 'M';
  (max ? state->pool->max : state->pool->average)(shape, task, 1, run->inputs[0]->data,
                                                  run->outputs[0]->data);
}

// Takes a row of another slice into |y|.
static void merge_row(bool max, const float* row, size_t count, float* y) {
  if (max) {
    for (size_t i = 0; i < count; ++i) y[i] = row[i] > y[i] || row[i] != row[i] ? row[i] : y[i];
  } else {
    for (size_t i = 0; i < count; ++i) y[i] += row[i];
  }
}

// An output row under a deep window. A mean of means: each slice divides by as many pixels.
static void deep_task(void* arg, size_t task, int worker) {
  const kp_op_run* run = arg;
  const kp_pool_last_state* state = run->state;
  const kp_pool_last_params* p = run->params;
  const kp_pool_shape* s = &p->shape;
  const kp_window_dim* d = &p->depth;
  const bool max = run->node->op[0] == 'M';
  const size_t row = task % s->out_h, slice = task / s->out_h, count = s->out_w * s->channels;
  const size_t picture = slice / (size_t)d->out, in_slice = s->in_h * s->in_w * s->channels;
  const float* x = (const float*)run->inputs[0]->data + picture * p->slices * in_slice;
  float *y = (float*)run->outputs[0]->data + slice * s->out_h * count,
        *other = (float*)(void*)((char*)run->scratch + (size_t)worker * p->slice_bytes);
  const int64_t start = (int64_t)(slice % (size_t)d->out) * d->stride - d->begin;
  size_t seen = 0, divisor = 0;
  if (kp_cancelled(run)) return;
  for (int64_t k = 0; k < d->kernel; ++k) {
    const int64_t at = start + k * d->dilation;
    divisor += s->count_padding && at < (int64_t)p->slices + d->end;
    if (at < 0 || at >= (int64_t)p->slices) continue;
    (max ? state->pool->max : state->pool->average)(s, row, 1, x + (size_t)at * in_slice,
                                                    seen ? other : y);
    if (seen++) merge_row(max, other + row * count, count, y + row * count);
  }
  y += row * count;
  if (!s->count_padding) divisor = seen;
  for (size_t i = 0; !seen && i < count; ++i) y[i] = max ? -INFINITY : 0;
  for (size_t i = 0; !max && divisor > 1 && i < count; ++i) y[i] /= (float)divisor;
}

static kp_status* window_run(const kp_op_run* run) {
  const kp_pool_last_params* p = run->params;
  const kp_pool_shape* s = &p->shape;
  const size_t count = kp_value_count(run->outputs[0]);
  const bool deep = run->inputs[0]->rank == 5;
  if (!count) return NULL;
  kp_op_run copy = *run;
  const size_t taps = (size_t)p->depth.kernel * s->kernel_h * s->kernel_w;
  kp_parallel_for(kp_op_width(run->width, count * taps / 4),
                  p->batch * (size_t)p->depth.out * s->out_h, deep ? deep_task : window_task,
                  &copy);
  return NULL;
}

// --- global --------------------------------------------------------------------------------------------------------------------
static kp_status* global_infer(kp_infer* infer) {
  const kp_type* x = infer->inputs[0];
  int64_t dims[KP_MAX_RANK];
  if (!x || x->rank < 3) return KP_ERROR(INTERNAL, "a channels-last pool");
  for (int32_t d = 0; d < x->rank; ++d) dims[d] = d == 0 || d == x->rank - 1 ? x->dims[d] : 1;
  return set_output(infer, dims, x->rank);
}

#define CHANNELS_A_TASK 64

static void global_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const kp_pool_last_state* state = run->state;
  const kapell_value* x = run->inputs[0];
  const size_t channels = (size_t)x->dims[x->rank - 1], pixels = kp_span(x, 1, x->rank - 1);
  const size_t blocks = (channels + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK;
  const size_t picture = task / blocks, first = task % blocks * CHANNELS_A_TASK;
  const kp_reduce_kind kind =
      strcmp(run->node->op, "GlobalMaxPool") == 0 ? KP_REDUCE_MAX : KP_REDUCE_MEAN;
  state->reduce->columns(kind, pixels, kp_min_size(CHANNELS_A_TASK, channels - first),
                         (const float*)x->data + picture * pixels * channels + first, channels,
                         (float*)run->outputs[0]->data + picture * channels + first);
}

static kp_status* global_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t channels = (size_t)x->dims[x->rank - 1];
  kp_op_run copy = *run;
  if (!kp_value_count(run->outputs[0])) return NULL;
  kp_parallel_for(kp_op_width(run->width, kp_value_count(x) / 4),
                  (size_t)x->dims[0] * ((channels + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK),
                  global_task, &copy);
  return NULL;
}

// --- scale and shift -----------------------------------------------------------------------------------------------------------------
static kp_status* scale_infer(kp_infer* infer) {
  const kp_type* x = infer->inputs[0];
  return set_output(infer, x->dims, x->rank);
}

static void scale_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const kp_pool_last_state* state = run->state;
  const size_t channels = kp_value_count(run->inputs[1]),
               pixels = kp_value_count(run->inputs[0]) / channels;
  size_t first, last;
  kp_share(pixels, (size_t)run->width * 4, task, &first, &last);
  state->norm->scale_shift(last - first, channels,
                           (const float*)run->inputs[0]->data + first * channels, channels,
                           run->inputs[1]->data, run->inputs[2]->data,
                           (float*)run->outputs[0]->data + first * channels, channels, &state->act);
}

static kp_status* scale_run(const kp_op_run* run) {
  kp_op_run copy = *run;
  const size_t count = kp_value_count(run->outputs[0]);
  if (!count) return NULL;
  kp_parallel_for(kp_op_width(run->width, count / 4), (size_t)run->width * 4, scale_task, &copy);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {
    {.domain = "kapell", .name = "MaxPool", .since = 1, .types = KP_M(FLOAT), .prepare = pool_last_prepare, .plan = window_plan,
     .run = window_run, .infer = window_infer, .kernels = "f32: pool"},
    {.domain = "kapell", .name = "AveragePool", .since = 1, .types = KP_M(FLOAT), .prepare = pool_last_prepare, .plan = window_plan,
     .run = window_run, .infer = window_infer, .kernels = "f32: pool"},
    {.domain = "kapell", .name = "GlobalAveragePool", .since = 1, .types = KP_M(FLOAT), .prepare = pool_last_prepare,
     .run = global_run, .infer = global_infer, .kernels = "f32: reduce"},
    {.domain = "kapell", .name = "GlobalMaxPool", .since = 1, .types = KP_M(FLOAT), .prepare = pool_last_prepare,
     .run = global_run, .infer = global_infer, .kernels = "f32: reduce"},
    {.domain = "kapell", .name = "ScaleShift", .since = 1, .types = KP_M(FLOAT), .prepare = pool_last_prepare, .run = scale_run,
     .infer = scale_infer, .flags = KP_OP_INPLACE, .kernels = "f32: norm"},
};
// clang-format on
KP_OP_TABLE(pool_last);
