// ai.onnx.preview.training: Adagrad, Adam, Momentum. One step of an optimizer over any number of tensors.
//
// Inputs: R (learning rate), T (steps done), then lists of tensors, each as long as there are tensors X: X G H, X G V H or X G V.
// All arithmetic is in f64, whatever the tensors hold.
#include <math.h>

#include "provider/cpu/op/help.h"

#define MOST_LISTS 4

typedef struct kp_optimizer_numbers {
  double rate;  // adjusted by T
  double norm, post, epsilon, alpha, beta;
  bool nesterov;
} kp_optimizer_numbers;

// One element: |in| is one of each list, |out| what the lists that are kept become, in their order.
typedef void (*kp_optimizer_fn)(const kp_optimizer_numbers* n, const double* in, double* out);

static void adagrad(const kp_optimizer_numbers* n, const double* in, double* out) {
  const double x = in[0], g = n->norm * x + in[1], h = in[2] + g * g;
  out[0] = x - n->rate * g / (sqrt(h) + n->epsilon);
  out[1] = h;
}

static void adam(const kp_optimizer_numbers* n, const double* in, double* out) {
  const double x = in[0], g = n->norm * x + in[1];
  const double v = n->alpha * in[2] + (1 - n->alpha) * g,
               h = n->beta * in[3] + (1 - n->beta) * g * g;
  out[0] = (1 - n->post) * (x - n->rate * v / (sqrt(h) + n->epsilon));
  out[1] = v;
  out[2] = h;
}

static void momentum(const kp_optimizer_numbers* n, const double* in, double* out) {
  const double x = in[0], g = n->norm * x + in[1], v = n->alpha * in[2] + n->beta * g;
  out[0] = x - n->rate * (n->nesterov ? g + n->alpha * v : v);
  out[1] = v;
}

typedef struct kp_optimizer {
  const char* name;
  uint32_t lists, kept;
  kp_optimizer_fn step;
} kp_optimizer;
static const kp_optimizer optimizers[] = {
    {"Adagrad", 3, 2, adagrad}, {"Adam", 4, 3, adam}, {"Momentum", 3, 2, momentum}};

static const kp_optimizer* optimizer_of(const kp_node* node) {
  for (size_t i = 0; i < KP_COUNT_OF(optimizers); ++i)
    if (strcmp(optimizers[i].name, node->op) == 0) return &optimizers[i];
  return &optimizers[0];
}

static double attr(const kp_node* node, const char* name, float fallback) {
  return (double)kp_node_attr_f(node, name, fallback);
}

static kp_optimizer_numbers numbers_of(const kp_op_run* run) {
  const kp_node* node = run->node;
  const double rate = kp_double_at(run->inputs[0], 0), step = kp_double_at(run->inputs[1], 0);
  kp_optimizer_numbers n = {.rate = rate,
                            .norm = attr(node, "norm_coefficient", 0),
                            .post = attr(node, "norm_coefficient_post", 0),
                            .epsilon = attr(node, "epsilon", 1e-6f),
                            .alpha = attr(node, "alpha", 0.9f),
                            .beta = attr(node, "beta", 0.999f)};
  n.nesterov = kp_str_is(kp_node_attr_s(node, "mode", ""), "nesterov");
  const kp_optimizer* optimizer = optimizer_of(node);
  if (optimizer->step == adagrad) n.rate = rate / (1 + step * attr(node, "decay_factor", 0));
  if (optimizer->step == adam && step > 0)
    n.rate = rate * sqrt(1 - pow(n.beta, step)) / (1 - pow(n.alpha, step));
  if (optimizer->step == momentum && !(step > 0)) n.beta = 1;
  return n;
}

static kp_status* check_inputs(const kp_op_run* run, uint32_t lists, uint32_t each) {
  for (uint32_t i = 0; i < 2; ++i)
    if (kp_value_count(run->inputs[i]) != 1)
      return KP_ERROR(RUN_FAILED, "%s has %zu elements, not one", i ? "T" : "R",
                      kp_value_count(run->inputs[i]));
  for (uint32_t list = 0; list < lists; ++list) {
    for (uint32_t t = 0; t < each; ++t) {
      const kapell_value *x = run->inputs[2 + t], *other = run->inputs[2 + list * each + t];
      if (other->type != x->type || kp_value_count(other) != kp_value_count(x))
        return KP_ERROR(RUN_FAILED, "input %u is not like the tensor that it belongs to",
                        2 + list * each + t);
    }
  }
  return NULL;
}

typedef struct kp_optimizer_job {
  const kp_optimizer* optimizer;
  kp_optimizer_numbers numbers;
  const kapell_value* in[MOST_LISTS];
  kapell_value* out[MOST_LISTS];  // NULL: not wanted
  size_t count, tasks;
} kp_optimizer_job;

static void optimizer_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_optimizer_job* job = arg;
  const kp_optimizer* optimizer = job->optimizer;
  size_t first, last;
  kp_share(job->count, job->tasks, task, &first, &last);
  for (size_t i = first; i < last; ++i) {
    double in[MOST_LISTS], out[MOST_LISTS];
    for (uint32_t list = 0; list < optimizer->lists; ++list)
      in[list] = job->in[list]->type == KAPELL_FLOAT ? (double)((float*)job->in[list]->data)[i]
                                                     : ((double*)job->in[list]->data)[i];
    optimizer->step(&job->numbers, in, out);
    for (uint32_t k = 0; k < optimizer->kept; ++k) {
      if (!job->out[k]) continue;
      if (job->out[k]->type == KAPELL_FLOAT)
        ((float*)job->out[k]->data)[i] = (float)out[k];
      else
        ((double*)job->out[k]->data)[i] = out[k];
    }
  }
}

static kp_status* optimizer_run(const kp_op_run* run) {
  kp_optimizer_job job = {.optimizer = optimizer_of(run->node), .numbers = numbers_of(run)};
  const uint32_t lists = job.optimizer->lists, each = (run->node->input_count - 2) / lists;
  KP_PASS(check_inputs(run, lists, each));
  for (uint32_t t = 0; t < each; ++t) {
    for (uint32_t list = 0; list < lists; ++list) job.in[list] = run->inputs[2 + list * each + t];
    for (uint32_t k = 0; k < job.optimizer->kept; ++k)
      job.out[k] = kp_run_result(run, k * each + t);
    job.count = kp_value_count(job.in[0]);
    const int threads = kp_op_width(run->width, job.count * 4);
    job.tasks = (size_t)threads;
    kp_parallel_for(threads, job.tasks, optimizer_task, &job);
  }
  return NULL;
}

static kp_reason optimizer_supports(const kp_op_query* query) {
  const kp_node* node = query->node;
  const kp_str mode = kp_node_attr_s(node, "mode", "standard");
  KP_REQUIRE(query, kp_str_is(mode, "standard") || kp_str_is(mode, "nesterov"),
             "mode '%.*s'; ONNX allows standard and nesterov", KP_STR_ARG(mode));
  for (uint32_t i = 0; i < node->input_count; ++i)
    KP_REQUIRE(query, node->inputs[i] != KP_NONE, "input %u is absent", i);
  return KP_SUPPORTED;
}

// clang-format off
#define TRAINING "ai.onnx.preview.training"
#define OPTIMIZER(op) \
  {.domain = TRAINING, .name = op, .since = 1, .types = KP_M(FLOAT) | KP_M(DOUBLE), .supports = optimizer_supports, .run = optimizer_run}
static const kp_op_def ops[] = {  // spec: ONNX operators Adagrad-1, Adam-1, Momentum-1 of the preview training domain
    OPTIMIZER("Adagrad"), OPTIMIZER("Adam"), OPTIMIZER("Momentum"),
};
// clang-format on
KP_OP_TABLE(training);
