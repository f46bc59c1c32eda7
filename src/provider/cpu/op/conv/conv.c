// Conv and com.microsoft's FusedConv, NhwcConv and NhwcFusedConv: on channels-first tensors of any rank. f32: the pixels' windows are copied side by side, a chunk of output pixels at a
// time, and multiplied by the filters on kernel/gemm; few channels in a group (depthwise above all) are summed directly. f64:
// summed directly. Partitions of pictures seldom come here: a pass of fuse/ moves them to channels-last layout and kernel/conv.
#include <math.h>

#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/conv/window.h"

#define CHUNK_FLOATS (64 * 1024)  // of copied windows: what stays in a second-level cache
#define DIRECT_CHANNELS 2         // channels of a group up to which copying does not pay

typedef struct kp_conv_state {
  const kp_gemm_ops* gemm;
  kp_act act;  // FusedConv
} kp_conv_state;

typedef struct kp_conv_params {
  kp_window window;
  size_t batch, groups, in_channels, out_channels;  // channels of one group
  bool direct, plain;       // |plain|: 1x1, stride 1, no padding: the picture itself is the matrix
  size_t chunk, chunks;     // output pixels of one task; tasks of one picture's group by pixels
  size_t rows, row_chunks;  // output channels of one task, and how many such
  kp_gemm_plan product;     // of a whole chunk; the last ones may be smaller
  size_t columns_bytes;     // scratch of one worker for copied windows
  size_t worker_bytes;
} kp_conv_params;

static kp_status* conv_prepare(kp_op_prepare* prepare) {
  kp_conv_state* state = kp_arena_new(prepare->arena, kp_conv_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  state->gemm = kp_gemm_select(prepare->features);
  prepare->state = state;
  if (!prepare->node->domain[0] || kp_read_fused_act(prepare->node, &state->act)) return NULL;
  return KP_ERROR(INVALID_MODEL, "attribute 'activation' or 'activation_params' is out of range");
}

static size_t up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

static bool is_plain(const kp_window* w) {
  for (int32_t d = 0; d < w->rank; ++d)
    if (w->kernel[d] != 1 || w->stride[d] != 1 || w->begin[d] || w->in[d] != w->out[d])
      return false;
  return true;
}

static kp_gemm_shape shape_of(const kp_conv_params* params, size_t rows, size_t pixels) {
  return (kp_gemm_shape){1, rows, pixels, params->in_channels * params->window.kernel_count,
                         KP_GEMM_B_PLAIN};
}

static void cut(kp_op_plan* plan, kp_conv_params* params) {
  const kp_window* w = &params->window;
  const size_t depth = params->in_channels * w->kernel_count;
  const size_t fit = up(kp_max_size(CHUNK_FLOATS / kp_max_size(depth, 1), 32), 32);
  params->chunk = kp_min_size(w->out_count, fit);
  params->chunks = params->chunk ? (w->out_count + params->chunk - 1) / params->chunk : 0;
  const size_t tasks = params->batch * params->groups * params->chunks;
  const size_t wanted = tasks && tasks < (size_t)plan->width * 2 ? (size_t)plan->width : 1;
  params->rows = kp_max_size(up((params->out_channels + wanted - 1) / wanted, 8), 8);
  params->row_chunks = (params->out_channels + params->rows - 1) / params->rows;
  const kp_conv_state* state = plan->state;
  const kp_gemm_shape shape =
      shape_of(params, kp_min_size(params->rows, params->out_channels), params->chunk);
  kp_gemm_plan_init(state->gemm, &shape, 1, &params->product);
  params->columns_bytes =
      params->plain ? 0 : up(depth * params->chunk * sizeof(float), KP_ALIGNMENT);
  // A smaller last chunk may be cut differently; its scratch never exceeds a packed copy of the chunk's own size.
  const size_t product = up(params->product.scratch_bytes * 2 + 4096 * sizeof(float), KP_ALIGNMENT);
  params->worker_bytes = params->columns_bytes + product;
  plan->scratch_bytes = params->worker_bytes * (size_t)plan->width;
}

static kp_status* conv_plan(kp_op_plan* plan) {
  kp_conv_params* params = kp_arena_new(plan->arena, kp_conv_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *y = plan->outputs[0];
  KP_PASS(kp_window_init(&params->window, plan->node, x, y, w->dims + 2));
  params->batch = (size_t)x->dims[0];
  params->groups = (size_t)kp_node_attr_i(plan->node, "group", 1);
  if (!params->groups || (size_t)x->dims[1] != params->groups * (size_t)w->dims[1] ||
      (size_t)w->dims[0] % params->groups)
    return KP_ERROR(RUN_FAILED, "%lld channels in %zu groups do not fit filters of %lld channels",
                    (long long)x->dims[1], params->groups, (long long)w->dims[1]);
  params->in_channels = (size_t)w->dims[1];
  params->out_channels = (size_t)w->dims[0] / params->groups;
  params->plain = is_plain(&params->window);
  params->direct = x->type == KAPELL_DOUBLE || params->in_channels <= DIRECT_CHANNELS;
  if (!params->direct) cut(plan, params);
  return NULL;
}

// --- windows side by side ----------------------------------------------------------------------------------------------------
// Where output position |o| reads the input through tap |k| of dim |d|; may lie outside.
static int64_t source(const kp_window* w, int32_t d, int64_t o, int64_t k) {
  return o * w->stride[d] - w->begin[d] + k * w->dilation[d];
}

// Output positions [from, from + run) of the last dim seen through tap |k|: |wanted| of them from line |x|, zeros outside of it and
// behind them.
static void copy_run(const kp_window* w, const float* x, int64_t k, int64_t from, int64_t wanted,
                     int64_t run, float* out) {
  const int32_t last = w->rank - 1;
  int64_t first, end;
  kp_window_reach(w, last, k, &first, &end);
  first = kp_min_i64(kp_max_i64(first - from, 0), wanted);
  end = kp_max_i64(kp_min_i64(end - from, wanted), first);
  const int64_t at = source(w, last, from, k), stride = w->stride[last];
  memset(out, 0, (size_t)first * sizeof(float));
  memset(out + end, 0, (size_t)(run - end) * sizeof(float));
  if (stride == 1) {
    if (end > first) memcpy(out + first, x + at + first, (size_t)(end - first) * sizeof(float));
  } else {
    for (int64_t i = first; i < end; ++i) out[i] = x[at + i * stride];
  }
}

// One row of the matrix: channel |x| seen through one tap, for |count| output pixels from |first| on.
static void copy_tap(const kp_window* w, const float* x, const int64_t* tap, size_t first,
                     size_t count, float* out) {
  const int32_t last = w->rank - 1;
  int64_t position[KP_MAX_WINDOW];
  kp_unflatten(first, w->rank, w->out, position);
  while (count) {
    int64_t base = 0;
    bool inside = true;
    for (int32_t d = 0; d < last; ++d) {
      const int64_t at = source(w, d, position[d], tap[d]);
      inside &= at >= 0 && at < w->in[d];
      base = base * w->in[d] + at;
    }
    base *= w->in[last];
    const int64_t from = position[last], run = kp_min_i64((int64_t)count, w->out[last] - from);
    copy_run(w, x + (inside ? base : 0), tap[last], from, inside ? run : 0, run, out);
    out += run;
    count -= (size_t)run;
    position[last] = 0;
    for (int32_t d = last - 1; d >= 0; --d) {
      if (++position[d] < w->out[d]) break;
      position[d] = 0;
    }
  }
}

static void copy_windows(const kp_conv_params* params, const float* x, size_t first, size_t count,
                         float* columns) {
  const kp_window* w = &params->window;
  int64_t tap[KP_MAX_WINDOW];
  for (size_t c = 0; c < params->in_channels; ++c) {
    for (size_t k = 0; k < w->kernel_count; ++k) {
      kp_unflatten(k, w->rank, w->kernel, tap);
      copy_tap(w, x + c * w->in_count, tap, first, count, columns);
      columns += count;
    }
  }
}

typedef struct kp_conv_job {
  const kp_op_run* run;
  const kp_conv_params* params;
} kp_conv_job;

static void product_task(void* arg, size_t task, int worker) {
  const kp_conv_job* job = arg;
  const kp_conv_params* p = job->params;
  const kp_conv_state* state = job->run->state;
  if (kp_cancelled(job->run)) return;
  const size_t row_chunk = task % p->row_chunks, chunk = task / p->row_chunks % p->chunks;
  const size_t group = task / p->row_chunks / p->chunks;  // of all pictures
  const size_t first = chunk * p->chunk, count = kp_min_size(p->chunk, p->window.out_count - first);
  const size_t row = row_chunk * p->rows, rows = kp_min_size(p->rows, p->out_channels - row);
  const size_t depth = p->in_channels * p->window.kernel_count,
               filter = group % p->groups * p->out_channels + row;
  const float* x =
      (const float*)job->run->inputs[0]->data + group * p->in_channels * p->window.in_count;
  char* scratch = (char*)job->run->scratch + (size_t)worker * p->worker_bytes;
  if (!p->plain) copy_windows(p, x, first, count, (float*)(void*)scratch);
  const kapell_value* bias = kp_run_input(job->run, 2);
  kp_gemm_args args = {.a = (const float*)job->run->inputs[1]->data + filter * depth,
                       .a_stride = depth};
  args.b = p->plain ? x + first : (const float*)(const void*)scratch;
  args.b_stride = p->plain ? p->window.in_count : count;
  args.c = (float*)job->run->outputs[0]->data +
           (group * p->out_channels + row) * p->window.out_count + first;
  args.c_stride = p->window.out_count;
  args.epilogue = (kp_epilogue)KP_EPILOGUE_NONE;
  args.epilogue.bias_m = bias ? (const float*)bias->data + filter : NULL;
  const kapell_value* residual = kp_run_input(job->run, 3);
  args.epilogue.residual =
      residual ? (const float*)residual->data + (args.c - (float*)job->run->outputs[0]->data)
               : NULL;
  args.epilogue.residual_stride = args.c_stride;
  args.epilogue.act = state->act;
  kp_gemm_plan plan = p->product;
  const kp_gemm_shape shape = shape_of(p, rows, count);
  if (count != p->chunk || rows != plan.shape.m) kp_gemm_plan_init(state->gemm, &shape, 1, &plan);
  for (size_t i = 0; i < plan.task_count; ++i)
    kp_gemm_run_task(&plan, &args, i, scratch + p->columns_bytes);
}

// --- direct sums -------------------------------------------------------------------------------------------------------------
// Adds one tap of one channel to a row of |count| outputs from |from| on (along the last dim).
#define ADD_ROW(type)                                                                              \
  static void add_row_##type(const kp_window* w, const type* x, type weight, int64_t tap,          \
                             type* y) {                                                            \
    const int32_t last = w->rank - 1;                                                              \
    const int64_t shift = tap * w->dilation[last] - w->begin[last], stride = w->stride[last];      \
    int64_t first, end;                                                                            \
    kp_window_reach(w, last, tap, &first, &end);                                                   \
    if (stride == 1) {                                                                             \
      for (; first < end; ++first) y[first] += weight * x[first + shift];                          \
    } else {                                                                                       \
      for (; first < end; ++first) y[first] += weight * x[first * stride + shift];                 \
    }                                                                                              \
  }                                                                                                \
  static void direct_##type(const kp_op_run* run, size_t plane) {                                  \
    const kp_conv_params* p = run->params;                                                         \
    const kp_window* w = &p->window;                                                               \
    const int32_t last = w->rank - 1;                                                              \
    const size_t filter = plane % (p->groups * p->out_channels),                                   \
                 picture = plane / (p->groups * p->out_channels);                                  \
    const size_t group = picture * p->groups + filter / p->out_channels,                           \
                 row = (size_t)w->out[last];                                                       \
    const type* x = (const type*)run->inputs[0]->data + group * p->in_channels * w->in_count;      \
    const type* f = (const type*)run->inputs[1]->data + filter * p->in_channels * w->kernel_count; \
    const kapell_value* bias = kp_run_input(run, 2);                                               \
    const type start = bias ? ((const type*)bias->data)[filter] : 0;                               \
    type* y = (type*)run->outputs[0]->data + plane * w->out_count;                                 \
    int64_t tap[KP_MAX_WINDOW], position[KP_MAX_WINDOW];                                           \
    for (size_t i = 0; i < w->out_count; ++i) y[i] = start;                                        \
    for (size_t r = 0; r < w->out_count / row; ++r) {                                              \
      kp_unflatten(r, last, w->out, position);                                                     \
      for (size_t c = 0; c < p->in_channels; ++c) {                                                \
        for (size_t k = 0; k < w->kernel_count; ++k) {                                             \
          kp_unflatten(k, w->rank, w->kernel, tap);                                                \
          int64_t base = 0;                                                                        \
          bool inside = true;                                                                      \
          for (int32_t d = 0; d < last; ++d) {                                                     \
            const int64_t at = source(w, d, position[d], tap[d]);                                  \
            inside &= at >= 0 && at < w->in[d];                                                    \
            base = base * w->in[d] + at;                                                           \
          }                                                                                        \
          if (!inside) continue;                                                                   \
          add_row_##type(w, x + c * w->in_count + (size_t)(base * w->in[last]),                    \
                         f[c * w->kernel_count + k], tap[last], y + r * row);                      \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
ADD_ROW(float)
ADD_ROW(double)

// What FusedConv can apply, in f64.
static double activate(const kp_act* act, double x) {
  const double a = (double)act->a, b = (double)act->b;
  switch (act->kind) {
    case KP_ACT_RELU:
      return x < 0 ? 0 : x;
    case KP_ACT_CLIP:
      return x < a ? a : x > b ? b : x;
    case KP_ACT_LEAKY_RELU:
      return x < 0 ? a * x : x;
    case KP_ACT_SIGMOID:
      return 1 / (1 + exp(-x));
    case KP_ACT_HARD_SIGMOID:
      return x != x ? x : fmax(0, fmin(1, a * x + b));
    case KP_ACT_HARD_SWISH:
      return x * fmax(0, fmin(1, x / 6 + 0.5));
    case KP_ACT_TANH:
      return tanh(x);
    default:
      return x;
  }
}

// Addition and activation of FusedConv, on plane |plane| of the output.
static void finish_plane(const kp_op_run* run, size_t plane) {
  const kp_conv_state* state = run->state;
  const size_t count = ((const kp_conv_params*)run->params)->window.out_count,
               first = plane * count;
  const kapell_value* residual = kp_run_input(run, 3);
  if (run->outputs[0]->type == KAPELL_DOUBLE) {
    double* y = (double*)run->outputs[0]->data + first;
    const double* z = residual ? (const double*)residual->data + first : NULL;
    for (size_t i = 0; i < count; ++i) y[i] = activate(&state->act, z ? y[i] + z[i] : y[i]);
  } else {
    float* y = (float*)run->outputs[0]->data + first;
    const float* z = residual ? (const float*)residual->data + first : NULL;
    for (size_t i = 0; z && i < count; ++i) y[i] += z[i];
    state->gemm->activate(1, count, y, count, &state->act);
  }
}

static void direct_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_conv_job* job = arg;
  if (kp_cancelled(job->run)) return;
  if (job->run->inputs[0]->type == KAPELL_DOUBLE)
    direct_double(job->run, task);
  else
    direct_float(job->run, task);
  if (job->run->node->domain[0]) finish_plane(job->run, task);
}

static kp_status* conv_run(const kp_op_run* run) {
  const kp_conv_params* params = run->params;
  if (!kp_value_count(run->outputs[0])) return NULL;
  kp_conv_job job = {run, params};
  const kapell_value* residual = kp_run_input(run, 3);
  if (residual && kp_value_count(residual) != kp_value_count(run->outputs[0]))
    return KP_ERROR(RUN_FAILED, "input Z is not of the output's shape");
  const size_t groups = params->batch * params->groups;
  const size_t work =
      kp_value_count(run->outputs[0]) * params->in_channels * params->window.kernel_count;
  if (params->direct)
    kp_parallel_for(kp_op_width(run->width, work), groups * params->out_channels, direct_task,
                    &job);
  else
    kp_parallel_for_dynamic(kp_op_width(run->width, work / 8),
                            groups * params->chunks * params->row_chunks, product_task, &job);
  return NULL;
}

// --- pictures that are channels-last in the file ------------------------------------------------------------------------------------
// Plain sums in f64: exporters do not write these operators, and constant filters on f32 go to kernel/conv (fuse/channels_last.c).
typedef struct kp_nhwc_params {
  kp_window window;
  size_t batch, groups, in_channels, out_channels;  // channels of one group
  size_t filters_bytes, worker_bytes;
} kp_nhwc_params;

static kp_status* nhwc_plan(kp_op_plan* plan) {
  kp_nhwc_params* p = kp_arena_new(plan->arena, kp_nhwc_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *y = plan->outputs[0];
  // Windows speak of dims behind batch and channels.
  int64_t x_dims[KP_MAX_RANK] = {0}, y_dims[KP_MAX_RANK] = {0};
  const kapell_value x_first = {.rank = x->rank, .dims = x_dims},
                     y_first = {.rank = y->rank, .dims = y_dims};
  for (int32_t d = 2; d < x->rank; ++d) {
    x_dims[d] = x->dims[d - 1];
    y_dims[d] = y->dims[d - 1];
  }
  KP_PASS(kp_window_init(&p->window, plan->node, &x_first, &y_first, w->dims + 2));
  const int64_t groups = kp_node_attr_i(plan->node, "group", 1), channels = x->dims[x->rank - 1];
  if (groups < 1 || channels != groups * w->dims[1] || w->dims[0] % groups)
    return KP_ERROR(RUN_FAILED, "%lld channels in %lld groups do not fit filters of %lld channels",
                    (long long)channels, (long long)groups, (long long)w->dims[1]);
  p->batch = (size_t)x->dims[0];
  p->groups = (size_t)groups;
  p->in_channels = (size_t)w->dims[1];
  p->out_channels = (size_t)(w->dims[0] / groups);
  p->filters_bytes = up(kp_value_count(w) * sizeof(double), KP_ALIGNMENT);
  p->worker_bytes = up(p->out_channels * sizeof(double), KP_ALIGNMENT);
  plan->scratch_bytes = p->filters_bytes + p->worker_bytes * (size_t)plan->width;
  return NULL;
}

// [group][tap][in][out] from [group][out][in][tap].
static void turn_filters(const kp_nhwc_params* p, const kapell_value* w, double* to) {
  const size_t taps = p->window.kernel_count, out = p->out_channels, in = p->in_channels;
  for (size_t g = 0; g < p->groups; ++g)
    for (size_t t = 0; t < taps; ++t)
      for (size_t c = 0; c < in; ++c)
        for (size_t m = 0; m < out; ++m)
          *to++ = kp_double_at(w, ((g * out + m) * in + c) * taps + t);
}

// Adds what one tap sees to the |sums| of group |group|.
static void add_pixel(const kp_nhwc_params* p, const kapell_value* x, size_t pixel, size_t group,
                      size_t tap, const double* filters, double* sums) {
  const double* f =
      filters + (group * p->window.kernel_count + tap) * p->in_channels * p->out_channels;
  const size_t from = (pixel * p->groups + group) * p->in_channels;
  for (size_t c = 0; c < p->in_channels; ++c, f += p->out_channels) {
    const double value = kp_double_at(x, from + c);
    for (size_t m = 0; m < p->out_channels; ++m) sums[m] += value * f[m];
  }
}

static void finish_pixel(const kp_op_run* run, size_t first, size_t channel, size_t count,
                         const double* sums) {
  const kp_conv_state* state = run->state;
  const kapell_value *bias = kp_run_input(run, 2), *residual = kp_run_input(run, 3);
  for (size_t m = 0; m < count; ++m) {
    const double added = sums[m] + (bias ? kp_double_at(bias, channel + m) : 0) +
                         (residual ? kp_double_at(residual, first + m) : 0);
    const double value = activate(&state->act, added);
    if (run->outputs[0]->type == KAPELL_DOUBLE)
      ((double*)run->outputs[0]->data)[first + m] = value;
    else
      ((float*)run->outputs[0]->data)[first + m] = (float)value;
  }
}

// One output pixel.
static void nhwc_task(void* arg, size_t task, int worker) {
  const kp_op_run* run = arg;
  const kp_nhwc_params* p = run->params;
  const kp_window* w = &p->window;
  double* sums =
      (double*)(void*)((char*)run->scratch + p->filters_bytes + (size_t)worker * p->worker_bytes);
  int64_t position[KP_MAX_WINDOW], tap[KP_MAX_WINDOW];
  if (kp_cancelled(run)) return;
  kp_unflatten(task % w->out_count, w->rank, w->out, position);
  for (size_t g = 0; g < p->groups; ++g) {
    memset(sums, 0, p->out_channels * sizeof(*sums));
    for (size_t k = 0; k < w->kernel_count; ++k) {
      kp_unflatten(k, w->rank, w->kernel, tap);
      size_t pixel = task / w->out_count;
      bool inside = true;
      for (int32_t d = 0; d < w->rank && inside; ++d) {
        const int64_t at = source(w, d, position[d], tap[d]);
        inside = at >= 0 && at < w->in[d];
        pixel = pixel * (size_t)w->in[d] + (size_t)at;
      }
      if (inside) add_pixel(p, run->inputs[0], pixel, g, k, run->scratch, sums);
    }
    finish_pixel(run, (task * p->groups + g) * p->out_channels, g * p->out_channels,
                 p->out_channels, sums);
  }
}

static kp_status* nhwc_run(const kp_op_run* run) {
  const kp_nhwc_params* p = run->params;
  const kapell_value* residual = kp_run_input(run, 3);
  kp_op_run copy = *run;
  if (!kp_value_count(run->outputs[0])) return NULL;
  if (residual && kp_value_count(residual) != kp_value_count(run->outputs[0]))
    return KP_ERROR(RUN_FAILED, "input Z is not of the output's shape");
  turn_filters(p, run->inputs[1], run->scratch);
  const size_t work = kp_value_count(run->outputs[0]) * p->in_channels * p->window.kernel_count;
  kp_parallel_for(kp_op_width(run->width, work), p->batch * p->window.out_count, nhwc_task, &copy);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator Conv-1..22, com.microsoft.FusedConv-1, NhwcConv-1, NhwcFusedConv-1
    {.name = "Conv", .since = 1, .types = KP_M_REALS, .supports = kp_window_supports, .prepare = conv_prepare, .plan = conv_plan,
     .run = conv_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
    {.domain = "com.microsoft", .name = "FusedConv", .since = 1, .types = KP_M_REALS, .supports = kp_window_supports,
     .prepare = conv_prepare, .plan = conv_plan, .run = conv_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
    {.domain = "com.microsoft", .name = "NhwcConv", .since = 1, .types = KP_M_REALS, .supports = kp_window_supports,
     .prepare = conv_prepare, .plan = nhwc_plan, .run = nhwc_run, .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft", .name = "NhwcFusedConv", .since = 1, .types = KP_M_REALS, .supports = kp_window_supports,
     .prepare = conv_prepare, .plan = nhwc_plan, .run = nhwc_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(conv);
