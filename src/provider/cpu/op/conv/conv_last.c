// kapell.Conv: convolution on channels-last f32, made by fuse/channels_last.c, with everything fused that kernel/conv can fuse.
//
//   inputs   X [N, spatial..., C] (attribute first=1: X is [N, C, spatial...] as in the file), W as in ONNX (constant), bias [M] or
//            absent, residual of the output's shape or absent
//   output   act(conv(X, W) + bias + residual), [N, spatial..., M]
//   attributes  those of ONNX Conv; first; act, act_a, act_b (kernel/epilogue.h)
// One to three spatial dims; a 1-D convolution has height 1. kernel/conv knows pictures alone, so a third dim, the depth, is
//   a row of pictures     where windows are one slice deep: they join the batch
//   the height            where windows are one pixel high and wide: a slice's pixels are a row
//   summed up             else: a slice of the output is the sum of as many convolutions as the window is deep
#include "graph/cost.h"
#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/conv/conv.h"
#include "provider/cpu/op/help.h"
#include "provider/cpu/packed.h"

// What becomes of the depth.
typedef enum kp_conv_depth { DEPTH_NONE, DEPTH_BATCH, DEPTH_HEIGHT, DEPTH_SUM } kp_conv_depth;

// One spatial dim.
typedef struct kp_conv_dim {
  int64_t kernel, stride, dilation;
  int64_t before, after;     // padding, where auto_pad is not SAME
  int64_t in, out, padding;  // of a signature; |padding| before
} kp_conv_dim;

enum { DEPTH, HEIGHT, WIDTH, DIMS };

typedef struct kp_conv_last_state {
  const kp_conv_ops* ops;
  kp_conv_algorithm algorithm;
  const float* packed;
  size_t packed_floats;    // of one slice of the filters
  kp_conv_shape shape;     // sizes that inference knew; the rest 0
  kp_conv_dim dims[DIMS];  // those that there are not: 1 wide
  kp_conv_depth depth;
  kp_act act;
  bool same_upper, same_lower, first;
  int spatial;
} kp_conv_last_state;

typedef struct kp_conv_last_params {
  kp_conv_plan plan;  // of a slice, where slices are summed up
  kp_conv_dim depth;
  size_t worker_bytes;
} kp_conv_last_params;

// --- geometry ------------------------------------------------------------------------------------------------------------------
// Attribute |name|, |parts| numbers for each dim, the |part|-th of them: into the member at |offset| of each dim there is.
static kp_status* read_dims(const kp_node* node, const char* name, int parts, int part,
                            size_t offset, kp_conv_last_state* state) {
  size_t count;
  const int64_t* ints = kp_node_attr_ints(node, name, &count);
  if (count && count != (size_t)state->spatial * (size_t)parts)
    return KP_ERROR(INVALID_MODEL, "%s has %zu entries for %d dims", name, count, state->spatial);
  for (int i = 0; count && i < state->spatial; ++i) {
    kp_conv_dim* dim = &state->dims[DIMS - state->spatial + i];
    memcpy((char*)dim + offset, &ints[part * state->spatial + i], sizeof(*ints));
  }
  return NULL;
}

static kp_status* read_pads(const kp_node* node, kp_conv_last_state* state) {
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  state->same_upper = kp_str_is(mode, "SAME_UPPER");
  state->same_lower = kp_str_is(mode, "SAME_LOWER");
  if (!(kp_str_is(mode, "NOTSET") || kp_str_is(mode, ""))) return NULL;
  KP_PASS(read_dims(node, "pads", 2, 0, offsetof(kp_conv_dim, before), state));
  return read_dims(node, "pads", 2, 1, offsetof(kp_conv_dim, after), state);
}

// Does a window along |dim| see one place alone, its own?
static bool is_point(const kp_conv_last_state* state, int which) {
  const kp_conv_dim* d = &state->dims[which];
  return d->kernel == 1 && d->stride == 1 && !d->before && !d->after;
}

static kp_conv_depth depth_of(const kp_conv_last_state* state) {
  if (state->spatial < 3) return DEPTH_NONE;
  if (is_point(state, DEPTH)) return DEPTH_BATCH;
  return is_point(state, HEIGHT) && is_point(state, WIDTH) ? DEPTH_HEIGHT : DEPTH_SUM;
}

static kp_status* read_node(const kp_node* node, const int64_t* w_dims, kp_conv_last_state* state) {
  for (int i = 0; i < DIMS; ++i) {
    const int given = i - (DIMS - state->spatial);
    state->dims[i] =
        (kp_conv_dim){.kernel = given < 0 ? 1 : w_dims[2 + given], .stride = 1, .dilation = 1};
  }
  KP_PASS(read_dims(node, "strides", 1, 0, offsetof(kp_conv_dim, stride), state));
  KP_PASS(read_dims(node, "dilations", 1, 0, offsetof(kp_conv_dim, dilation), state));
  KP_PASS(read_pads(node, state));
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  bool fine = groups >= 1 && w_dims[0] % groups == 0;
  for (int i = 0; i < DIMS; ++i) fine &= state->dims[i].stride >= 1 && state->dims[i].dilation >= 1;
  if (!fine) return KP_ERROR(INVALID_MODEL, "strides, dilations or group are out of range");
  state->depth = depth_of(state);
  state->first = kp_node_attr_i(node, "first", 0) != 0;
  const bool high = state->depth == DEPTH_HEIGHT;
  const kp_conv_dim *h = &state->dims[high ? DEPTH : HEIGHT],
                    *w = &state->dims[high ? HEIGHT : WIDTH];
  state->shape = (kp_conv_shape){.in_c = (size_t)(w_dims[1] * groups),
                                 .out_c = (size_t)w_dims[0],
                                 .groups = (size_t)groups,
                                 .kernel_h = (size_t)h->kernel,
                                 .kernel_w = (size_t)w->kernel,
                                 .stride_h = (size_t)h->stride,
                                 .stride_w = (size_t)w->stride,
                                 .dilation_h = (size_t)h->dilation,
                                 .dilation_w = (size_t)w->dilation,
                                 .in_pixel = (size_t)(w_dims[1] * groups),
                                 .out_pixel = (size_t)w_dims[0],
                                 .in_layout = state->first ? KP_CONV_NCHW : KP_CONV_NHWC};
  state->act = kp_read_act(node);
  return NULL;
}

// Output size along one dim and the padding before it; false if the window does not fit.
static bool set_dim(const kp_conv_last_state* state, int64_t in, bool real, kp_conv_dim* d) {
  const int64_t window = (d->kernel - 1) * d->dilation + 1;
  d->in = in;
  if (real && (state->same_upper || state->same_lower)) {
    d->out = (in + d->stride - 1) / d->stride;
    const int64_t total = kp_max_i64((d->out - 1) * d->stride + window - in, 0);
    d->padding = state->same_upper ? total / 2 : total - total / 2;
    return true;
  }
  int64_t padded;
  if (!kp_add_i64(in, d->before, &padded) || !kp_add_i64(padded, d->after, &padded) ||
      padded < window)
    return false;
  d->out = (padded - window) / d->stride + 1;
  d->padding = d->before;
  return true;
}

// Sizes of the dims, and of what kernel/conv is to work on: all slices, or one that is summed up.
static kp_status* set_sizes(const kp_conv_last_state* state, const int64_t* x_dims,
                            kp_conv_dim* dims, kp_conv_shape* shape) {
  const int at = state->first ? 2 : 1;  // first spatial dim of X
  const int64_t channels = x_dims[state->first ? 1 : state->spatial + 1];
  if ((size_t)channels != shape->in_c)
    return KP_ERROR(INVALID_INPUT, "X has %lld channels and the filters want %zu",
                    (long long)channels, shape->in_c);
  memcpy(dims, state->dims, sizeof(state->dims));
  for (int i = 0; i < DIMS; ++i) {
    const int given = i - (DIMS - state->spatial);
    const int64_t in = given < 0 ? 1 : x_dims[at + given];
    if (!set_dim(state, in, given >= 0, &dims[i]))
      return KP_ERROR(INVALID_INPUT, "%lld pixels along dim %d are fewer than the window has",
                      (long long)in, given);
  }
  const kp_conv_dim *d = &dims[DEPTH], *h = &dims[HEIGHT], *w = &dims[WIDTH];
  const bool high = state->depth == DEPTH_HEIGHT;
  shape->batch = (size_t)x_dims[0] * (state->depth == DEPTH_BATCH ? (size_t)d->out : 1);
  shape->in_h = (size_t)(high ? d->in : h->in);
  shape->in_w = (size_t)(high ? h->in * w->in : w->in);
  shape->out_h = (size_t)(high ? d->out : h->out);
  shape->out_w = (size_t)(high ? h->out * w->out : w->out);
  shape->pad_top = (size_t)(high ? d->padding : h->padding);
  shape->pad_left = (size_t)(high ? 0 : w->padding);
  return NULL;
}

// --- inference -----------------------------------------------------------------------------------------------------------------
static kp_status* conv_last_infer(kp_infer* infer) {
  const kp_type *x = infer->inputs[0], *w = infer->inputs[1];
  if (!x || !w || x->rank < 3 || x->rank > 5 || w->rank != x->rank)
    return KP_ERROR(INTERNAL, "a channels-last convolution of rank %d", x ? x->rank : -1);
  kp_conv_last_state state = {.spatial = x->rank - 2};
  kp_conv_dim sizes[DIMS];
  KP_PASS(read_node(infer->node, w->dims, &state));
  KP_PASS(set_sizes(&state, x->dims, sizes, &state.shape));
  int64_t* dims = kp_arena_new_array(infer->arena, int64_t, 5);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  int32_t rank = 0;
  dims[rank++] = x->dims[0];
  for (int i = DIMS - state.spatial; i < DIMS; ++i) dims[rank++] = sizes[i].out;
  dims[rank++] = w->dims[0];
  infer->outputs[0] =
      (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_FLOAT, .rank = rank, .dims = dims};
  return NULL;
}

// --- prepare, plan, run ------------------------------------------------------------------------------------------------------------
// What inference knew of X: helps choosing the algorithm.
static void known_sizes(const kp_op_prepare* prepare, kp_conv_last_state* state) {
  const kp_value* x = kp_node_input(prepare->graph, prepare->node, 0);
  for (int32_t d = 0; d < x->type.rank; ++d)
    if (!kp_is_number(x->type.dims[d]) || x->type.dims[d] > INT32_MAX) return;
  kp_conv_shape shape = state->shape;
  kp_conv_dim dims[DIMS];
  kp_status* status = set_sizes(state, x->type.dims, dims, &shape);
  if (!status) {
    state->shape = shape;
    if (state->depth == DEPTH_SUM) state->shape.batch *= (size_t)dims[DEPTH].out;
  }
  kp_status_ignore(status);
}

static const char* algorithm_name(kp_conv_algorithm algorithm) {
  static const char* const names[] = {
      "conv_gemm_f32",    "conv_implicit_f32",  "conv_window_f32",   "conv_depthwise_f32",
      "conv_grouped_f32", "conv_winograd2_f32", "conv_winograd4_f32"};
  return names[algorithm];
}

// Slice |k| of filters that are |depth| slices deep.
static void gather_slice(const float* w, size_t filters, size_t depth, size_t pixels, size_t k,
                         float* out) {
  for (size_t f = 0; f < filters; ++f)
    memcpy(out + f * pixels, w + (f * depth + k) * pixels, pixels * sizeof(*w));
}

static kp_status* pack(kp_op_prepare* prepare, kp_conv_last_state* state, const kapell_value* w) {
  const kp_conv_shape* s = &state->shape;
  const bool sum = state->depth == DEPTH_SUM;
  const size_t slices = sum ? (size_t)state->dims[DEPTH].kernel : 1,
               pixels = s->kernel_h * s->kernel_w;
  const size_t filters = s->out_c * (s->in_c / s->groups), line = KP_ALIGNMENT / sizeof(float);
  state->packed_floats =
      (kp_conv_packed_size(state->ops, state->algorithm, s) + line - 1) / line * line;
  size_t floats, scratch_floats = kp_conv_pack_scratch_size(state->ops, state->algorithm, s);
  const size_t whole = scratch_floats + (sum ? filters * pixels : 0);
  if (!kp_mul_size(state->packed_floats, slices, &floats) || floats > SIZE_MAX / sizeof(float))
    return KP_ERROR(LIMIT, "%zu slices of filters", slices);
  const kp_packed_form form = {
      .ops = state->ops, .numbers = {state->algorithm, s->groups, s->in_layout, state->depth}};
  bool done;
  float* packed = kp_prepare_packed_once(prepare, 1, &form, floats * sizeof(float), &done);
  state->packed = packed;
  if (done) return NULL;
  float* scratch = whole ? kp_alloc_block(whole * sizeof(float)) : NULL;
  if (!packed || (whole && !scratch)) {
    kp_free(scratch);
    return KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", floats);
  }
  for (size_t k = 0; k < slices; ++k) {
    if (sum) gather_slice(w->data, filters, slices, pixels, k, scratch + scratch_floats);
    kp_conv_pack(state->ops, state->algorithm, s, sum ? scratch + scratch_floats : w->data,
                 packed + k * state->packed_floats, scratch_floats ? scratch : NULL);
  }
  kp_free(scratch);
  state->packed = kp_prepare_settle(prepare, packed);
  return NULL;
}

static kp_status* conv_last_prepare(kp_op_prepare* prepare) {
  kp_conv_last_state* state = kp_arena_new(prepare->arena, kp_conv_last_state);
  const kapell_value* w = kp_prepare_constant(prepare, 1);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  if (!w || w->type != KAPELL_FLOAT || w->rank < 3 || w->rank > 5)
    return KP_ERROR(INTERNAL, "filters of a channels-last convolution");
  prepare->state = state;
  state->ops = kp_conv_select(prepare->features);
  state->spatial = w->rank - 2;
  KP_PASS(read_node(prepare->node, w->dims, state));
  known_sizes(prepare, state);
  state->algorithm = state->first ? KP_CONV_WINDOW : kp_conv_choose(state->ops, &state->shape);
  prepare->kernel = algorithm_name(state->algorithm);
  KP_PASS(pack(prepare, state, w));
  prepare->consumed[1] = true;
  return NULL;
}

static kp_status* conv_last_plan(kp_op_plan* plan) {
  const kp_conv_last_state* state = plan->state;
  kp_conv_last_params* params = kp_arena_new(plan->arena, kp_conv_last_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  kp_conv_shape shape = state->shape;
  kp_conv_dim dims[DIMS];
  KP_PASS(set_sizes(state, plan->inputs[0]->dims, dims, &shape));
  params->depth = dims[DEPTH];
  size_t width = (size_t)plan->width;
  if (state->depth == DEPTH_SUM) {
    const size_t slices = shape.batch * (size_t)dims[DEPTH].out;
    shape.batch = 1;
    if (slices >= 4 * width) width = 1;
  }
  const size_t work = shape.batch * shape.out_h * shape.out_w * shape.out_c *
                      (shape.in_c / shape.groups) * shape.kernel_h * shape.kernel_w;
  kp_conv_plan_init(state->ops, state->algorithm, &shape,
                    (size_t)kp_op_width((int)width, work / 16), &params->plan);
  params->worker_bytes =
      (params->plan.scratch_bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  plan->scratch_bytes = params->worker_bytes * (size_t)plan->width;
  return NULL;
}

typedef struct kp_conv_last_job {
  const kp_op_run* run;
  const kp_conv_last_params* params;
  kp_conv_args args;
} kp_conv_last_job;

static void conv_last_task(void* arg, size_t task, int worker) {
  const kp_conv_last_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_conv_run_task(&job->params->plan, &job->args, task,
                   (char*)job->run->scratch + (size_t)worker * job->params->worker_bytes);
}

// A slice of the output under whose window there is padding only.
static void fill_slice(const kp_conv_last_job* job, const kp_conv_args* args) {
  const kp_conv_shape* s = &job->params->plan.shape;
  const kp_epilogue* e = &args->epilogue;
  for (size_t i = 0; i < s->out_h * s->out_w; ++i) {
    float* y = args->output + i * s->out_pixel;
    for (size_t c = 0; c < s->out_c; ++c)
      y[c] = (e->bias_n ? e->bias_n[c] : 0) +
             (e->residual ? e->residual[i * e->residual_stride + c] : 0);
    job->params->plan.ops->gemm->activate(1, s->out_c, y, s->out_pixel, &e->act);
  }
}

// A part of one slice of the output: the window's slices one after the other, onto what the former ones gave.
static void slice_task(void* arg, size_t task, int worker) {
  const kp_conv_last_job* job = arg;
  const kp_conv_last_state* state = job->run->state;
  const kp_conv_plan* plan = &job->params->plan;
  const kp_conv_shape* s = &plan->shape;
  const kp_conv_dim* d = &job->params->depth;
  const size_t slice = task / plan->task_count, part = task % plan->task_count;
  const int64_t start = (int64_t)(slice % (size_t)d->out) * d->stride - d->padding;
  const float* x =
      job->args.input + slice / (size_t)d->out * (size_t)d->in * s->in_h * s->in_w * s->in_pixel;
  kp_conv_args args = job->args;
  args.output += slice * s->out_h * s->out_w * s->out_pixel;
  if (args.epilogue.residual)
    args.epilogue.residual += slice * s->out_h * s->out_w * args.epilogue.residual_stride;
  int64_t first = start < 0 ? (-start + d->dilation - 1) / d->dilation : 0, end = first;
  while (end < d->kernel && start + end * d->dilation < d->in) ++end;
  if (kp_cancelled(job->run)) return;
  if (first == end && part == 0) fill_slice(job, &args);
  for (int64_t k = first; k < end; ++k) {
    kp_conv_args step = args;
    step.input = x + (size_t)(start + k * d->dilation) * s->in_h * s->in_w * s->in_pixel;
    step.packed = state->packed + (size_t)k * state->packed_floats;
    if (k > first) {
      step.epilogue.residual = args.output;
      step.epilogue.residual_stride = s->out_pixel;
    }
    if (k + 1 < end) {
      step.epilogue.bias_n = NULL;
      step.epilogue.act.kind = KP_ACT_NONE;
    }
    kp_conv_run_task(plan, &step, part,
                     (char*)job->run->scratch + (size_t)worker * job->params->worker_bytes);
  }
}

static kp_status* conv_last_run(const kp_op_run* run) {
  const kp_conv_last_state* state = run->state;
  kp_conv_last_job job = {.run = run, .params = run->params};
  const kapell_value *bias = kp_run_input(run, 2), *residual = kp_run_input(run, 3);
  const size_t tasks = job.params->plan.task_count;
  if (!kp_value_count(run->outputs[0])) return NULL;
  job.args.input = run->inputs[0]->data;
  job.args.packed = state->packed;
  job.args.output = run->outputs[0]->data;
  job.args.epilogue = (kp_epilogue)KP_EPILOGUE_NONE;
  job.args.epilogue.bias_n = bias ? bias->data : NULL;
  job.args.epilogue.residual = residual ? residual->data : NULL;
  job.args.epilogue.residual_stride = state->shape.out_c;
  job.args.epilogue.act = state->act;
  if (state->depth == DEPTH_SUM) {
    const size_t slices = (size_t)run->outputs[0]->dims[0] * (size_t)job.params->depth.out;
    kp_parallel_for_dynamic(run->width, slices * tasks, slice_task, &job);
  } else {
    kp_parallel_for_dynamic(run->width, tasks, conv_last_task, &job);
  }
  return NULL;
}

static const kp_op_def ops[] = {
    {.domain = "kapell",
     .name = "Conv",
     .since = 1,
     .types = KP_M(FLOAT),
     .prepare = conv_last_prepare,
     .plan = conv_last_plan,
     .run = conv_last_run,
     .infer = conv_last_infer,
     .kernels = "f32: conv"},
};
KP_OP_TABLE(conv_last);
