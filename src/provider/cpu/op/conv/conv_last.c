// kapell.Conv: convolution on channels-last f32, made by fuse/channels_last.c, with everything fused that kernel/conv can fuse.
//
//   inputs   X [N, spatial..., C] (attribute first=1: X is [N, C, spatial...] as in the file), W as in ONNX (constant), bias [M] or
//            absent, residual of the output's shape or absent
//   output   act(conv(X, W) + bias + residual), [N, spatial..., M]
//   attributes  those of ONNX Conv; first; act, act_a, act_b (kernel/epilogue.h)
// One or two spatial dims; a 1-D convolution has height 1.
#include "graph/cost.h"
#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/conv/conv.h"
#include "provider/cpu/op/help.h"

typedef struct kp_conv_last_state {
  const kp_conv_ops* ops;
  kp_conv_algorithm algorithm;
  const float* packed;
  kp_conv_shape shape;  // sizes that inference knew; the rest 0
  int64_t pads[4];      // top, left, bottom, right; where auto_pad is not SAME
  kp_act act;
  bool same_upper, same_lower, first;
  int spatial;
} kp_conv_last_state;

typedef struct kp_conv_last_params {
  kp_conv_plan plan;
  size_t worker_bytes;
} kp_conv_last_params;

// --- geometry ------------------------------------------------------------------------------------------------------------------
// Attribute |name| for height and width; 1-D convolutions have height |high|.
static kp_status* read_pair(const kp_node* node, const char* name, int spatial, int64_t high,
                            int64_t* h, int64_t* w) {
  size_t count;
  const int64_t* ints = kp_node_attr_ints(node, name, &count);
  if (count && count != (size_t)spatial)
    return KP_ERROR(INVALID_MODEL, "%s has %zu entries for %d dims", name, count, spatial);
  *h = count && spatial == 2 ? ints[0] : high;
  *w = count ? ints[spatial - 1] : 1;
  return NULL;
}

static kp_status* read_pads(const kp_node* node, kp_conv_last_state* state) {
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  state->same_upper = kp_str_is(mode, "SAME_UPPER");
  state->same_lower = kp_str_is(mode, "SAME_LOWER");
  size_t count;
  const int64_t* pads = kp_node_attr_ints(node, "pads", &count);
  if (!count || !(kp_str_is(mode, "NOTSET") || kp_str_is(mode, ""))) return NULL;
  if (count != (size_t)state->spatial * 2)
    return KP_ERROR(INVALID_MODEL, "pads has %zu entries for %d dims", count, state->spatial);
  if (state->spatial == 2) {
    memcpy(state->pads, pads, sizeof(state->pads));
  } else {
    state->pads[1] = pads[0];
    state->pads[3] = pads[1];
  }
  return NULL;
}

static kp_status* read_node(const kp_node* node, const int64_t* w_dims, kp_conv_last_state* state) {
  int64_t stride_h, stride_w, dilation_h, dilation_w;
  KP_PASS(read_pair(node, "strides", state->spatial, 1, &stride_h, &stride_w));
  KP_PASS(read_pair(node, "dilations", state->spatial, 1, &dilation_h, &dilation_w));
  KP_PASS(read_pads(node, state));
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  if (stride_h < 1 || stride_w < 1 || dilation_h < 1 || dilation_w < 1 || groups < 1 ||
      w_dims[0] % groups)
    return KP_ERROR(INVALID_MODEL, "strides, dilations or group are out of range");
  state->shape = (kp_conv_shape){.in_c = (size_t)(w_dims[1] * groups),
                                 .out_c = (size_t)w_dims[0],
                                 .groups = (size_t)groups,
                                 .kernel_h = state->spatial == 2 ? (size_t)w_dims[2] : 1,
                                 .kernel_w = (size_t)w_dims[state->spatial + 1],
                                 .stride_h = (size_t)stride_h,
                                 .stride_w = (size_t)stride_w,
                                 .dilation_h = (size_t)dilation_h,
                                 .dilation_w = (size_t)dilation_w,
                                 .in_pixel = (size_t)(w_dims[1] * groups),
                                 .out_pixel = (size_t)w_dims[0],
                                 .in_layout = state->first ? KP_CONV_NCHW : KP_CONV_NHWC};
  state->first = kp_node_attr_i(node, "first", 0) != 0;
  state->shape.in_layout = state->first ? KP_CONV_NCHW : KP_CONV_NHWC;
  state->act = kp_read_act(node);
  return NULL;
}

// Output size along one dim and the padding before it; false if the window does not fit.
static bool out_size(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, bool upper,
                     bool lower, int64_t before, int64_t after, int64_t* out, int64_t* pad) {
  const int64_t window = (kernel - 1) * dilation + 1;
  if (upper || lower) {
    *out = (in + stride - 1) / stride;
    const int64_t total = kp_max_i64((*out - 1) * stride + window - in, 0);
    *pad = upper ? total / 2 : total - total / 2;
    return true;
  }
  int64_t padded;
  if (!kp_add_i64(in, before, &padded) || !kp_add_i64(padded, after, &padded) || padded < window)
    return false;
  *out = (padded - window) / stride + 1;
  *pad = before;
  return true;
}

static kp_status* set_sizes(const kp_conv_last_state* state, const int64_t* x_dims,
                            kp_conv_shape* shape) {
  const int at = state->first ? 2 : 1;  // first spatial dim of X
  const int64_t in_h = state->spatial == 2 ? x_dims[at] : 1, in_w = x_dims[at + state->spatial - 1];
  const int64_t channels = x_dims[state->first ? 1 : state->spatial + 1];
  int64_t out_h, out_w, top, left;
  if ((size_t)channels != shape->in_c)
    return KP_ERROR(INVALID_INPUT, "X has %lld channels and the filters want %zu",
                    (long long)channels, shape->in_c);
  const bool same = state->spatial == 2;
  if (!out_size(in_h, (int64_t)shape->kernel_h, (int64_t)shape->stride_h,
                (int64_t)shape->dilation_h, state->same_upper && same, state->same_lower && same,
                state->pads[0], state->pads[2], &out_h, &top) ||
      !out_size(in_w, (int64_t)shape->kernel_w, (int64_t)shape->stride_w,
                (int64_t)shape->dilation_w, state->same_upper, state->same_lower, state->pads[1],
                state->pads[3], &out_w, &left))
    return KP_ERROR(INVALID_INPUT, "the picture of %lld x %lld is smaller than the window",
                    (long long)in_h, (long long)in_w);
  shape->batch = (size_t)x_dims[0];
  shape->in_h = (size_t)in_h;
  shape->in_w = (size_t)in_w;
  shape->out_h = (size_t)out_h;
  shape->out_w = (size_t)out_w;
  shape->pad_top = (size_t)top;
  shape->pad_left = (size_t)left;
  return NULL;
}

// --- inference -----------------------------------------------------------------------------------------------------------------
static kp_status* conv_last_infer(kp_infer* infer) {
  const kp_type *x = infer->inputs[0], *w = infer->inputs[1];
  if (!x || !w || x->rank < 3 || x->rank > 4 || w->rank != x->rank)
    return KP_ERROR(INTERNAL, "a channels-last convolution of rank %d", x ? x->rank : -1);
  kp_conv_last_state state = {.spatial = x->rank - 2};
  KP_PASS(read_node(infer->node, w->dims, &state));
  KP_PASS(set_sizes(&state, x->dims, &state.shape));
  int64_t* dims = kp_arena_new_array(infer->arena, int64_t, 4);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  int32_t rank = 0;
  dims[rank++] = x->dims[0];
  if (state.spatial == 2) dims[rank++] = (int64_t)state.shape.out_h;
  dims[rank++] = (int64_t)state.shape.out_w;
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
  kp_status* status = set_sizes(state, x->type.dims, &shape);
  if (!status) state->shape = shape;
  kp_status_ignore(status);
}

static const char* algorithm_name(kp_conv_algorithm algorithm) {
  static const char* const names[] = {"conv_gemm_f32",      "conv_implicit_f32",
                                      "conv_window_f32",    "conv_depthwise_f32",
                                      "conv_winograd2_f32", "conv_winograd4_f32"};
  return names[algorithm];
}

static kp_status* conv_last_prepare(kp_op_prepare* prepare) {
  kp_conv_last_state* state = kp_arena_new(prepare->arena, kp_conv_last_state);
  const kapell_value* w = kp_prepare_constant(prepare, 1);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  if (!w || w->type != KAPELL_FLOAT || w->rank < 3 || w->rank > 4)
    return KP_ERROR(INTERNAL, "filters of a channels-last convolution");
  prepare->state = state;
  state->ops = kp_conv_select(prepare->features);
  state->spatial = w->rank - 2;
  KP_PASS(read_node(prepare->node, w->dims, state));
  known_sizes(prepare, state);
  state->algorithm = state->first ? KP_CONV_WINDOW : kp_conv_choose(state->ops, &state->shape);
  prepare->kernel = algorithm_name(state->algorithm);
  const size_t floats = kp_conv_packed_size(state->ops, state->algorithm, &state->shape);
  const size_t scratch_floats =
      kp_conv_pack_scratch_size(state->ops, state->algorithm, &state->shape);
  float* packed = kp_prepare_packed(prepare, floats * sizeof(float));
  float* scratch =
      scratch_floats ? kp_alloc_aligned(scratch_floats * sizeof(float), KP_ALIGNMENT) : NULL;
  if (!packed || (scratch_floats && !scratch)) {
    kp_free(scratch);
    return KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", floats);
  }
  kp_conv_pack(state->ops, state->algorithm, &state->shape, w->data, packed, scratch);
  kp_free(scratch);
  state->packed = packed;
  prepare->consumed[1] = true;
  return NULL;
}

static kp_status* conv_last_plan(kp_op_plan* plan) {
  const kp_conv_last_state* state = plan->state;
  kp_conv_last_params* params = kp_arena_new(plan->arena, kp_conv_last_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  kp_conv_shape shape = state->shape;
  KP_PASS(set_sizes(state, plan->inputs[0]->dims, &shape));
  const size_t work = shape.batch * shape.out_h * shape.out_w * shape.out_c *
                      (shape.in_c / shape.groups) * shape.kernel_h * shape.kernel_w;
  kp_conv_plan_init(state->ops, state->algorithm, &shape,
                    (size_t)kp_op_width(plan->width, work / 16), &params->plan);
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

static kp_status* conv_last_run(const kp_op_run* run) {
  const kp_conv_last_state* state = run->state;
  kp_conv_last_job job = {.run = run, .params = run->params};
  const kapell_value *bias = kp_run_input(run, 2), *residual = kp_run_input(run, 3);
  if (!kp_value_count(run->outputs[0])) return NULL;
  job.args.input = run->inputs[0]->data;
  job.args.packed = state->packed;
  job.args.output = run->outputs[0]->data;
  job.args.epilogue = (kp_epilogue)KP_EPILOGUE_NONE;
  job.args.epilogue.bias_n = bias ? bias->data : NULL;
  job.args.epilogue.residual = residual ? residual->data : NULL;
  job.args.epilogue.residual_stride = state->shape.out_c;
  job.args.epilogue.act = state->act;
  kp_parallel_for_dynamic(run->width, job.params->plan.task_count, conv_last_task, &job);
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
