// LinearClassifier and LinearRegressor of ai.onnx.ml: X * coefficients' + intercepts, then post_transform and labels. float32 samples go
// through kernel/gemm.
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/ml/ml_score.h"

#define BLOCK 256

typedef struct linear {
  const kp_gemm_ops* gemm;
  const float *coefficients, *intercepts;
  size_t coefficient_count, intercept_count;
  kp_labels labels;
  kp_post post;
} linear;

typedef struct linear_params {
  size_t samples, features, scores;  // |scores| functions of the features
  const float* bias;                 // one a function; NULL: none
  kp_gemm_plan plan;
  size_t thread_bytes, row_bytes, score_bytes;
} linear_params;

static kp_status* linear_prepare(kp_op_prepare* prepare) {
  linear* state = kp_arena_new(prepare->arena, linear);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->gemm = kp_gemm_select(prepare->features);
  state->coefficients =
      kp_node_attr_floats(prepare->node, "coefficients", &state->coefficient_count);
  state->intercepts = kp_node_attr_floats(prepare->node, "intercepts", &state->intercept_count);
  state->labels = kp_labels_of(prepare->node, "classlabels_ints");
  state->post = kp_post_of(prepare->node);
  return NULL;
}

static kp_status* set_bias(kp_op_plan* plan, linear_params* params) {
  const linear* state = plan->state;
  if (state->intercept_count == params->scores || !state->intercept_count) {
    params->bias = state->intercept_count ? state->intercepts : NULL;
    return NULL;
  }
  if (state->intercept_count != 1)
    return KP_ERROR(RUN_FAILED, "%zu intercepts for %zu scores", state->intercept_count,
                    params->scores);
  float* bias = kp_arena_new_array(plan->arena, float, params->scores);
  if (!bias) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  for (size_t i = 0; i < params->scores; ++i) bias[i] = state->intercepts[0];
  params->bias = bias;
  return NULL;
}

static size_t align(size_t bytes) {
  return (bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
}

static kp_status* plan_scores(kp_op_plan* plan, size_t width) {
  const linear* state = plan->state;
  const kapell_value* x = plan->inputs[0];
  linear_params* params = kp_arena_new(plan->arena, linear_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  params->samples = kp_samples(x);
  params->features = kp_features(x);
  params->scores = params->features ? state->coefficient_count / params->features : width;
  const bool two = params->scores == 1 && width == 2;  // one function tells two classes apart
  if (params->scores * params->features != state->coefficient_count ||
      (params->scores != width && !two))
    return KP_ERROR(RUN_FAILED, "%zu coefficients for %zu scores of rows of %zu features",
                    state->coefficient_count, width, params->features);
  KP_PASS(set_bias(plan, params));
  const kp_gemm_shape shape = {1, params->samples, params->scores, params->features,
                               KP_GEMM_B_TRANSPOSED};
  kp_gemm_plan_init(
      state->gemm, &shape,
      (size_t)kp_op_width(plan->width, params->samples * state->coefficient_count / 16),
      &params->plan);
  params->thread_bytes = align(params->plan.scratch_bytes);
  params->row_bytes = align((width + 1) * sizeof(double));
  params->score_bytes = align(params->samples * params->scores * sizeof(float));
  plan->scratch_bytes =
      params->score_bytes + (params->thread_bytes + params->row_bytes) * (size_t)plan->width;
  return NULL;
}

static kp_status* classifier_plan(kp_op_plan* plan) {
  const linear* state = plan->state;
  // As inference has it: an intercept for each function, of which one is enough for two classes.
  const size_t given = state->intercept_count, labels = state->labels.count;
  KP_PASS(plan_scores(plan, given == 0 || (given == 1 && labels == 2) ? labels : given));
  const linear_params* params = plan->params;
  if (params->scores > 1 && state->labels.count && state->labels.count < params->scores)
    return KP_ERROR(RUN_FAILED, "%zu labels for %zu classes", state->labels.count, params->scores);
  return NULL;
}

static kp_status* regressor_plan(kp_op_plan* plan) {
  return plan_scores(plan, (size_t)kp_node_attr_i(plan->node, "targets", 1));
}

// --- scores ------------------------------------------------------------------------------------------------------------------
typedef struct linear_job {
  const kp_op_run* run;
  const linear* state;
  const linear_params* params;
  kp_gemm_args args;
  kapell_value* z;  // NULL: not wanted
  float* scores;    // [samples][scores]
  char* scratch;    // of the workers
  size_t tasks;
} linear_job;

static void gemm_task(void* arg, size_t task, int worker) {
  const linear_job* job = arg;
  kp_gemm_run_task(&job->params->plan, &job->args, task,
                   job->scratch + (size_t)worker * job->params->thread_bytes);
}

// Samples of other types are computed with in double precision.
static void plain_task(void* arg, size_t task, int worker) {
  (void)worker;
  const linear_job* job = arg;
  const linear_params* params = job->params;
  const kapell_value* x = job->run->inputs[0];
  double block[BLOCK];
  size_t first, last;
  kp_share(params->samples, job->tasks, task, &first, &last);
  for (size_t r = first; r < last; ++r) {
    for (size_t s = 0; s < params->scores; ++s) {
      double sum = params->bias ? (double)params->bias[s] : 0;
      for (size_t at = 0; at < params->features; at += BLOCK) {
        const float* w = job->state->coefficients + s * params->features + at;
        const size_t count = kp_min_size(BLOCK, params->features - at);
        kp_sample_numbers(x, r * params->features + at, count, block);
        for (size_t i = 0; i < count; ++i) sum += block[i] * (double)w[i];
      }
      job->scores[r * params->scores + s] = (float)sum;
    }
  }
}

static void compute_scores(linear_job* job) {
  const kp_op_run* run = job->run;
  const linear_params* params = job->params;
  if (run->inputs[0]->type == KAPELL_FLOAT) {
    job->args = (kp_gemm_args){.a = run->inputs[0]->data,
                               .a_stride = params->features,
                               .b = job->state->coefficients,
                               .b_stride = params->features,
                               .c = job->scores,
                               .c_stride = params->scores,
                               .epilogue = KP_EPILOGUE_NONE};
    job->args.epilogue.bias_n = params->bias;
    kp_parallel_for_dynamic(run->width, params->plan.task_count, gemm_task, job);
    return;
  }
  const int threads = kp_op_width(run->width, params->samples * job->state->coefficient_count * 2);
  job->tasks = kp_min_size(params->samples, (size_t)threads);
  kp_parallel_for(threads, job->tasks, plain_task, job);
}

// The row of |z| that belongs to a sample: post_transform of its scores. One function of two classes: its score is the second's.
static void finish_row(const linear_job* job, size_t r, double* row) {
  const size_t count = job->params->scores, width = (size_t)job->z->dims[1];
  for (size_t s = 0; s < count; ++s) row[s] = (double)job->scores[r * count + s];
  if (width > count) {
    row[1] = row[0];
    row[0] = -row[0];
  }
  kp_post_apply(job->state->post, row, width);
  for (size_t s = 0; s < width; ++s) ((float*)job->z->data)[r * width + s] = (float)row[s];
}

static void finish_task(void* arg, size_t task, int worker) {
  const linear_job* job = arg;
  size_t first, last;
  kp_share(job->params->samples, job->tasks, task, &first, &last);
  double* row = (double*)(job->scratch + (size_t)job->run->width * job->params->thread_bytes +
                          (size_t)worker * job->params->row_bytes);
  for (size_t r = first; r < last; ++r) finish_row(job, r, row);
}

static linear_job run_scores(const kp_op_run* run, kapell_value* z) {
  const linear_params* params = run->params;
  linear_job job = {.run = run, .state = run->state, .params = params, .z = z};
  job.scores = run->scratch;
  job.scratch = (char*)run->scratch + params->score_bytes;
  compute_scores(&job);
  const int threads = kp_op_width(run->width, params->samples * params->scores * 20);
  job.tasks = z ? kp_min_size(params->samples, (size_t)threads) : 0;
  kp_parallel_for(threads, job.tasks, finish_task, &job);
  return job;
}

static kp_status* regressor_run(const kp_op_run* run) {
  run_scores(run, run->outputs[0]);
  return NULL;
}

static kp_status* classifier_run(const kp_op_run* run) {
  kapell_value* y = kp_run_result(run, 0);
  const linear_job job = run_scores(run, kp_run_result(run, 1));
  const kp_labels* labels = &job.state->labels;
  const size_t count = job.params->scores;
  for (size_t r = 0; y && r < job.params->samples; ++r) {
    const float* scores = job.scores + r * count;
    size_t best = 0;
    for (size_t s = 1; s < count; ++s)
      if (scores[s] > scores[best]) best = s;
    if (count == 1 && labels->count == 2) {
      KP_PASS(kp_labels_put(labels, y, r, scores[0] > 0));
    } else if (count == 1) {
      double score = (double)scores[0];
      kp_post_apply(job.state->post, &score, 1);
      KP_PASS(kp_labels_put_single(labels, y, r, score >= (job.state->post ? 0.5 : 0)));
    } else {
      KP_PASS(kp_labels_put(labels, y, r, best));
    }
  }
  return NULL;
}

#define ML "ai.onnx.ml"
#define NUMBERS (KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(INT64) | KP_M(INT32))
// clang-format off
static const kp_op_def ops[] = {  // spec: ai.onnx.ml operators LinearClassifier-1, LinearRegressor-1
    {.domain = ML, .name = "LinearClassifier", .since = 1, .types = NUMBERS, .supports = kp_post_check, .prepare = linear_prepare,
     .plan = classifier_plan, .run = classifier_run, .kernels = "float32 by gemm"},
    {.domain = ML, .name = "LinearRegressor", .since = 1, .types = NUMBERS, .supports = kp_post_check, .prepare = linear_prepare,
     .plan = regressor_plan, .run = regressor_run, .kernels = "float32 by gemm"},
};
// clang-format on
KP_OP_TABLE(ml_linear);
