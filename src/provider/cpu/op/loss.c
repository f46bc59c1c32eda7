// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: scores [N, C, d...] against labels [N, d...].
//
// Both are one gather of log-probabilities; the second makes them first, into its output log_prob where that is wanted, else into
// scratch. f32 logarithms of softmax run on kernel/softmax. Sums are kept in f64. A label outside [0, C) that is not ignore_index
// is an error. The mean over labels that are all ignored is NaN, as 0 / 0 is in the specification's formula.
#include <math.h>

#include "provider/cpu/kernel/softmax/softmax.h"
#include "provider/cpu/op/help.h"

typedef enum kp_reduction { KP_REDUCE_NONE, KP_REDUCE_SUM, KP_REDUCE_MEAN } kp_reduction;

typedef struct kp_loss_params {
  size_t outer, classes, inner;  // scores are [outer][classes][inner]
  bool softmax;                  // the scores are not logarithms yet
  bool has_ignored;
  int64_t ignored;
  kp_reduction reduction;
} kp_loss_params;

static kp_reason loss_supports(const kp_op_query* query) {
  const kp_str reduction = kp_node_attr_s(query->node, "reduction", "mean");
  KP_REQUIRE(
      query,
      kp_str_is(reduction, "none") || kp_str_is(reduction, "sum") || kp_str_is(reduction, "mean"),
      "reduction '%.*s'; ONNX allows none, sum and mean", KP_STR_ARG(reduction));
  return KP_SUPPORTED;
}

static kp_status* loss_prepare(kp_op_prepare* prepare) {
  union {
    const kp_softmax_ops* ops;
    void* state;
  } kernel = {kp_softmax_select(prepare->features)};
  prepare->state = kernel.state;
  return NULL;
}

// The labels' dims are those of the scores without the classes; inference has checked them where it knew both.
static kp_status* check_shapes(const kapell_value* scores, const kapell_value* labels,
                               const kapell_value* weights) {
  bool fit = labels->rank == scores->rank - 1;
  for (int32_t d = 0; fit && d < labels->rank; ++d)
    fit = labels->dims[d] == scores->dims[d ? d + 1 : 0];
  if (!fit) return KP_ERROR(RUN_FAILED, "labels do not have the scores' shape without classes");
  if (weights && kp_value_count(weights) != (size_t)scores->dims[1])
    return KP_ERROR(RUN_FAILED, "%zu weights for %lld classes", kp_value_count(weights),
                    (long long)scores->dims[1]);
  return NULL;
}

static kp_status* loss_plan(kp_op_plan* plan) {
  kp_loss_params* params = kp_arena_new(plan->arena, kp_loss_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value* scores = plan->inputs[0];
  if (scores->rank < 2)
    return KP_ERROR(RUN_FAILED, "scores have rank %d; at least 2 is needed", (int)scores->rank);
  KP_PASS(check_shapes(scores, plan->inputs[1], kp_plan_input(plan, 2)));
  params->outer = (size_t)scores->dims[0];
  params->classes = (size_t)scores->dims[1];
  params->inner = kp_span(scores, 2, scores->rank);
  params->softmax = plan->node->op[0] == 'S';
  params->has_ignored = kp_node_attr(plan->node, "ignore_index") != NULL;
  params->ignored = kp_node_attr_i(plan->node, "ignore_index", 0);
  const kp_str reduction = kp_node_attr_s(plan->node, "reduction", "mean");
  params->reduction = kp_str_is(reduction, "none")  ? KP_REDUCE_NONE
                      : kp_str_is(reduction, "sum") ? KP_REDUCE_SUM
                                                    : KP_REDUCE_MEAN;
  const bool scratch = plan->node->output_count < 2 || !kp_present(plan->outputs[1]);
  if (params->softmax && scratch)
    plan->scratch_bytes = kp_value_count(scores) * (kp_type_bits(scores->type) / 8);
  return NULL;
}

// --- logarithm of softmax ----------------------------------------------------------------------------------------------------
typedef struct kp_log_softmax_job {
  const kp_loss_params* params;
  const kp_softmax_ops* kernel;
  const kapell_value* scores;
  void* out;
} kp_log_softmax_job;

static void log_softmax_f64(size_t count, size_t step, const double* x, double* y) {
  double most = x[0], sum = 0;
  for (size_t i = 1; i < count; ++i) most = x[i * step] > most ? x[i * step] : most;
  for (size_t i = 0; i < count; ++i) sum += exp(x[i * step] - most);
  const double log_sum = log(sum);
  for (size_t i = 0; i < count; ++i) y[i * step] = x[i * step] - most - log_sum;
}

static void log_softmax_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_log_softmax_job* job = arg;
  const kp_loss_params* p = job->params;
  const size_t at = task * p->classes * p->inner;
  if (job->scores->type == KAPELL_FLOAT) {
    const float* x = (const float*)job->scores->data + at;
    float* y = (float*)job->out + at;
    if (p->inner == 1)
      job->kernel->rows(1, p->classes, x, p->classes, y, p->classes, true);
    else
      job->kernel->columns(p->classes, p->inner, x, p->inner, y, p->inner, true);
    return;
  }
  for (size_t i = 0; i < p->inner; ++i)
    log_softmax_f64(p->classes, p->inner, (const double*)job->scores->data + at + i,
                    (double*)job->out + at + i);
}

// The logarithms that labels choose from: the scores themselves, or what is made of them.
static const void* log_probabilities(const kp_op_run* run) {
  const kp_loss_params* p = run->params;
  kapell_value *scores = run->inputs[0], *wanted = kp_run_result(run, 1);
  if (!p->softmax) return scores->data;
  void* out = wanted ? wanted->data : run->scratch;
  kp_log_softmax_job job = {p, run->state, scores, out};
  const size_t count = kp_value_count(scores);
  if (count) kp_parallel_for(kp_op_width(run->width, count * 2), p->outer, log_softmax_task, &job);
  return out;
}

// --- gathering ---------------------------------------------------------------------------------------------------------------
static double number_at(kapell_type type, const void* data, size_t index) {
  return type == KAPELL_FLOAT ? (double)((const float*)data)[index] : ((const double*)data)[index];
}

static void store(kapell_value* value, size_t index, double number) {
  if (value->type == KAPELL_FLOAT)
    ((float*)value->data)[index] = (float)number;
  else
    ((double*)value->data)[index] = number;
}

// The loss of label |index|, and its weight.
static kp_status* loss_of(const kp_op_run* run, const void* logs, size_t index, double* out_loss,
                          double* out_weight) {
  const kp_loss_params* p = run->params;
  const kapell_value* weights = kp_run_input(run, 2);
  const int64_t label = kp_int_at(run->inputs[1], index);
  *out_loss = *out_weight = 0;
  if (p->has_ignored && label == p->ignored) return NULL;
  if (label < 0 || label >= (int64_t)p->classes)
    return KP_ERROR(RUN_FAILED, "label %lld at %zu is outside of [0, %zu) and is not ignore_index",
                    (long long)label, index, p->classes);
  const size_t at = (index / p->inner * p->classes + (size_t)label) * p->inner + index % p->inner;
  const kapell_type type = run->inputs[0]->type;
  *out_weight = weights ? number_at(type, weights->data, (size_t)label) : 1;
  *out_loss = -number_at(type, logs, at) * *out_weight;
  return NULL;
}

static kp_status* loss_run(const kp_op_run* run) {
  const kp_loss_params* p = run->params;
  const void* logs = log_probabilities(run);
  kapell_value* out = kp_run_result(run, 0);
  if (!out) return NULL;
  double sum = 0, weights = 0;
  const size_t count = p->outer * p->inner;
  for (size_t i = 0; i < count; ++i) {
    double loss, weight;
    KP_PASS(loss_of(run, logs, i, &loss, &weight));
    sum += loss;
    weights += weight;
    if (p->reduction == KP_REDUCE_NONE) store(out, i, loss);
  }
  if (p->reduction == KP_REDUCE_SUM) store(out, 0, sum);
  if (p->reduction == KP_REDUCE_MEAN) store(out, 0, sum / weights);
  return NULL;
}

// clang-format off
#define LOSS(op) \
  {.name = op, .since = 12, .types = KP_M_REALS, .supports = loss_supports, .prepare = loss_prepare, .plan = loss_plan, .run = loss_run, \
   .flags = KP_OP_WIDEN, .kernels = "f32: softmax"}
static const kp_op_def ops[] = {  // spec: ONNX operators NegativeLogLikelihoodLoss-12..22, SoftmaxCrossEntropyLoss-12..13
    LOSS("NegativeLogLikelihoodLoss"), LOSS("SoftmaxCrossEntropyLoss"),
};
// clang-format on
KP_OP_TABLE(loss);
