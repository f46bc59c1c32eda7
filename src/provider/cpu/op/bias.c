// com.microsoft's activations after a bias along the last dim: BiasGelu, FastGelu, BiasAdd, BiasSplitGelu; BiasSoftmax, ImageScaler.
// Rows are done one after the other in the result itself: the sum first, then the activation, on kernel/eltwise and kernel/softmax
// for f32.
#include <math.h>

#include "provider/cpu/kernel/eltwise/eltwise.h"
#include "provider/cpu/kernel/softmax/softmax.h"
#include "provider/cpu/op/map.h"
#include "provider/cpu/op/unary.h"

typedef struct kp_bias_state {
  const kp_eltwise_ops* kernel;
  const kp_softmax_ops* softmax;
  const kp_unary_row* act;  // NULL: none
  kp_act kernel_act;
  bool split;  // the result is the left half of a row times the activation of its right half
} kp_bias_state;

static kp_status* bias_prepare(kp_op_prepare* prepare) {
  static const struct {
    const char *op, *act;
  } kinds[] = {{"BiasGelu", "Gelu"}, {"FastGelu", "FastGelu"}, {"BiasSplitGelu", "Gelu"}};
  kp_bias_state* state = kp_arena_new(prepare->arena, kp_bias_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->kernel = kp_eltwise_select(prepare->features);
  state->softmax = kp_softmax_select(prepare->features);
  state->split = strcmp(prepare->node->op, "BiasSplitGelu") == 0;
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i)
    if (strcmp(kinds[i].op, prepare->node->op) == 0)
      state->act = kp_unary_named(kp_str_of(kinds[i].act));
  if (state->act) (void)kp_unary_act(state->act, NULL, NULL, &state->kernel_act);
  return NULL;
}

typedef struct kp_bias_job {
  const kp_op_run* run;
  size_t rows, cols, tasks;  // cols of the input
  const void *bias, *skip;   // may be NULL
} kp_bias_job;

// y = x + bias + skip. |skip| lies like x.
static void add_f32(const kp_bias_job* job, const float* x, const float* skip, float* y) {
  const kp_bias_state* state = job->run->state;
  kp_operand sum = {x, job->cols, 1};
  if (job->bias) {
    const kp_operand bias = {job->bias, 0, 1};
    state->kernel->binary(KP_BINARY_ADD, 1, job->cols, &sum, &bias, y, job->cols, NULL);
    sum.data = y;
  }
  if (skip) {
    const kp_operand more = {skip, job->cols, 1};
    state->kernel->binary(KP_BINARY_ADD, 1, job->cols, &sum, &more, y, job->cols, NULL);
    sum.data = y;
  }
  if (state->act)
    state->kernel->activate(1, job->cols, sum.data, job->cols, y, job->cols, &state->kernel_act);
}

static void add_f64(const kp_bias_job* job, const double* x, const double* skip, double* y) {
  const kp_bias_state* state = job->run->state;
  const double* bias = job->bias;
  for (size_t i = 0; i < job->cols; ++i) y[i] = x[i] + (bias ? bias[i] : 0) + (skip ? skip[i] : 0);
  if (state->act) kp_unary_apply(state->act, NULL, NULL, KAPELL_DOUBLE, job->cols, y, y);
}

static void split_row(const kp_bias_job* job, const float* x, float* y) {
  const float* bias = job->bias;
  const size_t half = job->cols / 2;
  for (size_t i = 0; i < half; ++i) y[i] = x[half + i] + bias[half + i];
  const kp_bias_state* state = job->run->state;
  state->kernel->activate(1, half, y, half, y, half, &state->kernel_act);
  for (size_t i = 0; i < half; ++i) y[i] *= x[i] + bias[i];
}

static void bias_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_bias_job* job = arg;
  const kapell_value* x = job->run->inputs[0];
  void* y = job->run->outputs[0]->data;
  const kp_bias_state* state = job->run->state;
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t row = first; row < last; ++row) {
    const size_t at = row * job->cols;
    if (state->split)
      split_row(job, (const float*)x->data + at, (float*)y + at / 2);
    else if (x->type == KAPELL_FLOAT)
      add_f32(job, (const float*)x->data + at, job->skip ? (const float*)job->skip + at : NULL,
              (float*)y + at);
    else
      add_f64(job, (const double*)x->data + at, job->skip ? (const double*)job->skip + at : NULL,
              (double*)y + at);
  }
}

static kp_status* bias_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *bias = kp_run_input(run, 1),
                     *skip = kp_run_input(run, 2);
  kp_bias_job job = {
      .run = run, .bias = bias ? bias->data : NULL, .skip = skip ? skip->data : NULL};
  if (x->rank < 1) return KP_ERROR(RUN_FAILED, "a scalar has no last dim to add a bias along");
  job.cols = (size_t)x->dims[x->rank - 1];
  job.rows = kp_span(x, 0, x->rank - 1);
  if (bias && (bias->type != x->type || kp_value_count(bias) != job.cols))
    return KP_ERROR(RUN_FAILED, "a bias of %zu elements for rows of %zu", kp_value_count(bias),
                    job.cols);
  if (skip && (skip->type != x->type || kp_value_count(skip) != kp_value_count(x)))
    return KP_ERROR(RUN_FAILED, "the tensor to add has another shape or type");
  if (((const kp_bias_state*)run->state)->split && job.cols % 2)
    return KP_ERROR(RUN_FAILED, "rows of %zu elements have no halves", job.cols);
  if (!kp_value_count(x)) return NULL;
  const int threads = kp_op_width(run->width, kp_value_count(x) * 6);
  job.tasks = kp_min_size((size_t)threads, job.rows);
  kp_parallel_for(threads, job.tasks, bias_task, &job);
  return NULL;
}

// --- BiasSoftmax -------------------------------------------------------------------------------------------------------------
// Rows are what lies from the axis on. The bias has as many elements from there on, and fewer rows: each stands for rows that follow
// each other (inner broadcast), or all of them are repeated.
static void soft_f64(double* y, size_t count) {
  double most = y[0], sum = 0;
  for (size_t i = 1; i < count; ++i) most = y[i] > most || y[i] != y[i] ? y[i] : most;
  for (size_t i = 0; i < count; ++i) sum += y[i] = exp(y[i] - most);
  for (size_t i = 0; i < count; ++i) y[i] /= sum;
}

static kp_status* bias_softmax_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *bias = run->inputs[1];
  const kp_bias_state* state = run->state;
  int32_t axis;
  if (!kp_axis(kp_node_attr_i(run->node, "axis", 1), x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis of a tensor of rank %d", (int)x->rank);
  const size_t cols = kp_span(x, axis, x->rank), rows = kp_span(x, 0, axis),
               count = kp_value_count(bias), biases = cols ? count / cols : 0;
  if (!cols || !rows) return NULL;
  if (bias->type != x->type || !biases || count != biases * cols || rows % biases)
    return KP_ERROR(RUN_FAILED, "a bias of %zu elements for %zu rows of %zu", count, rows, cols);
  const bool inner = kp_node_attr_i(run->node, "is_inner_broadcast", 0) != 0;
  for (size_t row = 0; row < rows; ++row) {
    const size_t from = (inner ? row / (rows / biases) : row % biases) * cols, at = row * cols;
    if (x->type == KAPELL_FLOAT) {
      float* y = (float*)run->outputs[0]->data + at;
      for (size_t i = 0; i < cols; ++i)
        y[i] = ((const float*)x->data)[at + i] + ((const float*)bias->data)[from + i];
      state->softmax->rows(1, cols, y, cols, y, cols, false);
    } else {
      double* y = (double*)run->outputs[0]->data + at;
      for (size_t i = 0; i < cols; ++i)
        y[i] = ((const double*)x->data)[at + i] + ((const double*)bias->data)[from + i];
      soft_f64(y, cols);
    }
  }
  return NULL;
}

// --- ImageScaler of the first opsets: pictures scaled, then a bias by channel ----------------------------------------------------
static kp_status* scaler_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  size_t biases;
  const float* bias = kp_node_attr_floats(run->node, "bias", &biases);
  const float scale = kp_node_attr_f(run->node, "scale", 1);
  if (x->rank < 2 || (bias && biases != (size_t)x->dims[1]))
    return KP_ERROR(RUN_FAILED, "%zu biases for a tensor of rank %d", biases, (int)x->rank);
  const size_t planes = kp_span(x, 0, 2), pixels = kp_span(x, 2, x->rank);
  for (size_t i = 0; i < planes * pixels; ++i) {
    const float shift = bias ? bias[i / pixels % biases] : 0;
    if (x->type == KAPELL_FLOAT)
      ((float*)run->outputs[0]->data)[i] = ((const float*)x->data)[i] * scale + shift;
    else
      ((double*)run->outputs[0]->data)[i] =
          ((const double*)x->data)[i] * (double)scale + (double)shift;
  }
  return NULL;
}

// clang-format off
#define BIAS(op, mask) \
  {.domain = "com.microsoft", .name = op, .since = 1, .types = mask, .prepare = bias_prepare, .run = bias_run, .flags = KP_OP_WIDEN, \
   .kernels = "f32: eltwise"}
static const kp_op_def ops[] = {  // spec: ONNX Runtime's docs/ContribOperators.md
    BIAS("BiasGelu", KP_M_REALS), BIAS("FastGelu", KP_M_REALS), BIAS("BiasAdd", KP_M_REALS),
    BIAS("BiasSplitGelu", KP_M(FLOAT) | KP_M(FLOAT16)),
    {.name = "ImageScaler", .since = 1, .types = KP_M_REALS, .run = scaler_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.domain = "com.microsoft", .name = "BiasSoftmax", .since = 1, .types = KP_M_REALS, .prepare = bias_prepare, .run = bias_softmax_run,
     .flags = KP_OP_WIDEN, .kernels = "f32: softmax"},
};
// clang-format on
KP_OP_TABLE(bias);
