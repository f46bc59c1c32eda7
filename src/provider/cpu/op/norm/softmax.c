// Softmax, LogSoftmax, Hardmax. Since opset 13 along one axis; before, over all dims from the axis on taken together.
#include <math.h>

#include "provider/cpu/kernel/softmax/softmax.h"
#include "provider/cpu/op/help.h"

typedef enum kp_soft_kind { KP_SOFTMAX, KP_LOG_SOFTMAX, KP_HARDMAX } kp_soft_kind;

typedef struct kp_soft_params {
  kp_soft_kind kind;
  size_t outer, count, inner;  // [outer][count][inner], along |count|
} kp_soft_params;

static kp_status* soft_plan(kp_op_plan* plan) {
  kp_soft_params* params = kp_arena_new(plan->arena, kp_soft_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value* x = plan->inputs[0];
  const bool flat = plan->node->version < 13;
  const int64_t stated = kp_node_attr_i(plan->node, "axis", flat ? 1 : -1);
  int32_t axis = 0;
  if (!(flat && stated == x->rank) && x->rank && !kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  if (flat && stated == x->rank) axis = x->rank;
  params->kind = strcmp(plan->node->op, "Softmax") == 0   ? KP_SOFTMAX
                 : strcmp(plan->node->op, "Hardmax") == 0 ? KP_HARDMAX
                                                          : KP_LOG_SOFTMAX;
  params->outer = kp_span(x, 0, axis);
  params->count = flat ? kp_span(x, axis, x->rank) : x->rank ? (size_t)x->dims[axis] : 1;
  params->inner = flat || !x->rank ? 1 : kp_span(x, axis + 1, x->rank);
  return NULL;
}

#define SOFT(type)                                                                          \
  static void soft_##type(const kp_soft_params* p, const type* x, type* y) {                \
    const size_t step = p->inner;                                                           \
    type most = x[0];                                                                       \
    size_t at = 0;                                                                          \
    for (size_t i = 1; i < p->count; ++i) {                                                 \
      if (x[i * step] > most || x[i * step] != x[i * step]) most = x[i * step], at = i;     \
      if (most != most) break;                                                              \
    }                                                                                       \
    if (p->kind == KP_HARDMAX) {                                                            \
      for (size_t i = 0; i < p->count; ++i) y[i * step] = i == at;                          \
      return;                                                                               \
    }                                                                                       \
    double sum = 0;                                                                         \
    for (size_t i = 0; i < p->count; ++i) sum += exp((double)x[i * step] - (double)most);   \
    const double log_sum = log(sum);                                                        \
    for (size_t i = 0; i < p->count; ++i) {                                                 \
      const double shifted = (double)x[i * step] - (double)most;                            \
      y[i * step] = (type)(p->kind == KP_SOFTMAX ? exp(shifted) / sum : shifted - log_sum); \
    }                                                                                       \
  }
SOFT(float)
SOFT(double)

typedef struct kp_soft_job {
  const kp_op_run* run;
  size_t lines, tasks;
} kp_soft_job;

static kp_status* soft_prepare(kp_op_prepare* prepare) {
  union {
    const kp_softmax_ops* ops;
    void* state;
  } kernel = {kp_softmax_select(prepare->features)};
  prepare->state = kernel.state;
  prepare->kernel = "softmax_f32";
  return NULL;
}

// f32 on kernels: rows where the axis is the last, else each outer block's columns.
static void kernel_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_soft_job* job = arg;
  const kp_soft_params* p = job->run->params;
  const kp_softmax_ops* kernel = job->run->state;
  const float* x = job->run->inputs[0]->data;
  float* y = job->run->outputs[0]->data;
  const bool log = p->kind == KP_LOG_SOFTMAX;
  size_t first, last;
  kp_share(job->lines, job->tasks, task, &first, &last);
  if (p->inner == 1) {
    kernel->rows(last - first, p->count, x + first * p->count, p->count, y + first * p->count,
                 p->count, log);
    return;
  }
  while (first < last) {  // lines of one outer block at a time
    const size_t column = first % p->inner, columns = kp_min_size(last - first, p->inner - column);
    const size_t at = first / p->inner * p->count * p->inner + column;
    kernel->columns(p->count, columns, x + at, p->inner, y + at, p->inner, log);
    first += columns;
  }
}

static void soft_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_soft_job* job = arg;
  const kp_soft_params* p = job->run->params;
  const kapell_value* x = job->run->inputs[0];
  void* y = job->run->outputs[0]->data;
  size_t first, last;
  kp_share(job->lines, job->tasks, task, &first, &last);
  for (size_t line = first; line < last; ++line) {
    const size_t offset = line / p->inner * p->count * p->inner + line % p->inner;
    if (x->type == KAPELL_FLOAT)
      soft_float(p, (const float*)x->data + offset, (float*)y + offset);
    else
      soft_double(p, (const double*)x->data + offset, (double*)y + offset);
  }
}

static kp_status* soft_run(const kp_op_run* run) {
  const kp_soft_params* params = run->params;
  kp_soft_job job = {.run = run, .lines = params->outer * params->inner};
  if (!job.lines || !params->count) return NULL;
  const int threads = kp_op_width(run->width, job.lines * params->count * 2);
  job.tasks = (size_t)threads;
  const bool kernel = run->inputs[0]->type == KAPELL_FLOAT && params->kind != KP_HARDMAX;
  kp_parallel_for(threads, job.tasks, kernel ? kernel_task : soft_task, &job);
  return NULL;
}

// clang-format off
#define SOFTMAX(op) \
  {.name = op, .since = 1, .types = KP_M_REALS, .prepare = soft_prepare, .plan = soft_plan, .run = soft_run, \
   .flags = KP_OP_INPLACE | KP_OP_WIDEN, .kernels = "f32: softmax"}
static const kp_op_def ops[] = {  // spec: ONNX operators Softmax-1..13, LogSoftmax-1..13, Hardmax-1..13
    SOFTMAX("Softmax"), SOFTMAX("LogSoftmax"), SOFTMAX("Hardmax"),
};
// clang-format on
KP_OP_TABLE(softmax);
