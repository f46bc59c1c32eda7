// SVMClassifier and SVMRegressor of ai.onnx.ml: a kernel function of each sample and each support vector, sums of those, votes or Platt's
// probabilities.
#include <math.h>

#include "provider/cpu/op/ml/ml_score.h"

typedef enum svm_kernel { SVM_LINEAR, SVM_POLY, SVM_RBF, SVM_SIGMOID, SVM_KERNELS } svm_kernel;
static const char* const kernel_names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};

typedef struct svm {
  svm_kernel kernel;
  double gamma, coef0, degree;
  // |vector_count| vectors of |features|: the support vectors, or (without any) the coefficients of linear functions.
  const float* vectors;
  size_t vector_count, features;
  const float *coefficients, *rho, *prob_a, *prob_b;
  size_t coefficient_count, rho_count, prob_count;
  kp_post post;
  bool supported;  // there are support vectors
  bool one_class;
  kp_labels labels;
  size_t classes, scores;        // columns of the result
  const int64_t* class_vectors;  // vectors of each class
  bool all_positive;             // no coefficient is negative
} svm;

typedef struct svm_params {
  size_t samples, rows;  // rows: samples of one task
  size_t class_bytes, worker_doubles;
} svm_params;

// --- prepare -----------------------------------------------------------------------------------------------------------------
static svm_kernel kernel_of(const kp_node* node) {
  const kp_str name = kp_node_attr_s(node, "kernel_type", "LINEAR");
  int i = 0;
  while (i < SVM_KERNELS && !kp_str_is(name, kernel_names[i])) ++i;
  return (svm_kernel)i;
}

static kp_reason svm_supports(const kp_op_query* query) {
  KP_REQUIRE(query, kernel_of(query->node) != SVM_KERNELS, "kernel_type=%.*s is unknown",
             KP_STR_ARG(kp_node_attr_s(query->node, "kernel_type", "LINEAR")));
  return kp_post_check(query);
}

static kp_status* read_common(kp_op_prepare* prepare, svm** out_state) {
  const kp_node* node = prepare->node;
  svm* state = kp_arena_new(prepare->arena, svm);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  *out_state = prepare->state = state;
  size_t count;
  const float* kernel = kp_node_attr_floats(node, "kernel_params", &count);
  if (count != 0 && count != 3)
    return KP_ERROR(INVALID_MODEL, "attribute 'kernel_params' has %zu entries, not 3", count);
  state->kernel = kernel_of(node);
  state->gamma = count ? (double)kernel[0] : 0;
  state->coef0 = count ? (double)kernel[1] : 0;
  state->degree = count ? (double)kernel[2] : 0;
  state->coefficients = kp_node_attr_floats(node, "coefficients", &state->coefficient_count);
  state->rho = kp_node_attr_floats(node, "rho", &state->rho_count);
  state->post = kp_post_of(node);
  if (!state->coefficient_count || !state->rho_count)
    return KP_ERROR(INVALID_MODEL, "attribute '%s' is empty",
                    state->rho_count ? "coefficients" : "rho");
  return NULL;
}

// |count| support vectors; none: |functions| linear functions whose coefficients are the vectors.
static kp_status* read_vectors(const kp_node* node, size_t count, size_t functions, svm* state) {
  size_t floats;
  state->supported = count > 0;
  state->vectors = kp_node_attr_floats(node, "support_vectors", &floats);
  state->vector_count = count;
  if (!state->supported) {
    state->vectors = state->coefficients;
    floats = state->coefficient_count;
    state->vector_count = functions;
    state->kernel = SVM_LINEAR;
  }
  state->features = floats / state->vector_count;
  if (state->features * state->vector_count == floats && floats) return NULL;
  return KP_ERROR(INVALID_MODEL, "%zu numbers for %zu vectors", floats, state->vector_count);
}

static kp_status* regressor_prepare(kp_op_prepare* prepare) {
  svm* state;
  KP_PASS(read_common(prepare, &state));
  const int64_t count = kp_node_attr_i(prepare->node, "n_supports", 0);
  state->one_class = kp_node_attr_i(prepare->node, "one_class", 0) != 0;
  state->scores = 1;
  KP_PASS(read_vectors(prepare->node, (size_t)kp_max_i64(count, 0), 1, state));
  if (state->supported && state->coefficient_count < state->vector_count)
    return KP_ERROR(INVALID_MODEL, "%zu coefficients for %zu support vectors",
                    state->coefficient_count, state->vector_count);
  return NULL;
}

// Vectors of all classes together.
static kp_status* sum_vectors(const int64_t* counts, size_t classes, size_t* out_sum) {
  *out_sum = 0;
  for (size_t c = 0; c < classes; ++c)
    if (counts[c] < 0 || !kp_add_size(*out_sum, (size_t)counts[c], out_sum))
      return KP_ERROR(INVALID_MODEL, "attribute 'vectors_per_class' has %lld",
                      (long long)counts[c]);
  return NULL;
}

static kp_status* check_pairs(const svm* state, size_t given, size_t probs_b) {
  size_t needed, pairs = state->classes * (state->classes - 1) / 2;
  if (given != state->classes || state->classes < 2)
    return KP_ERROR(INVALID_MODEL, "vectors of %zu classes, labels of %zu", given, state->classes);
  if (!kp_mul_size(state->classes - 1, state->vector_count, &needed) ||
      state->coefficient_count < needed)
    return KP_ERROR(INVALID_MODEL, "%zu coefficients for %zu classes and %zu support vectors",
                    state->coefficient_count, state->classes, state->vector_count);
  if (state->rho_count < pairs || state->prob_count != probs_b ||
      (state->prob_count && state->prob_count < pairs))
    return KP_ERROR(INVALID_MODEL, "rho, prob_a, prob_b have %zu, %zu, %zu entries for %zu pairs",
                    state->rho_count, state->prob_count, probs_b, pairs);
  return NULL;
}

static kp_status* classifier_prepare(kp_op_prepare* prepare) {
  svm* state;
  KP_PASS(read_common(prepare, &state));
  const kp_node* node = prepare->node;
  size_t given, vectors, probs_b;
  state->labels = kp_labels_of(node, "classlabels_ints");
  state->classes = kp_max_size(state->labels.count, 1);
  if (state->classes > 65535) return KP_ERROR(LIMIT, "%zu classes", state->classes);
  state->class_vectors = kp_node_attr_ints(node, "vectors_per_class", &given);
  KP_PASS(sum_vectors(state->class_vectors, given, &vectors));
  state->prob_a = kp_node_attr_floats(node, "prob_a", &state->prob_count);
  state->prob_b = kp_node_attr_floats(node, "prob_b", &probs_b);
  KP_PASS(read_vectors(node, vectors, state->classes, state));
  if (state->supported) KP_PASS(check_pairs(state, given, probs_b));
  if (!state->supported) state->prob_count = 0;
  state->all_positive = true;
  for (size_t i = 0; i < state->coefficient_count; ++i)
    state->all_positive = state->all_positive && state->coefficients[i] >= 0;
  state->scores = !state->supported || state->prob_count ? state->classes
                  : state->classes > 2                   ? state->classes * (state->classes - 1) / 2
                                                         : 2;
  return NULL;
}

// --- plan --------------------------------------------------------------------------------------------------------------------
static size_t align(size_t bytes) {
  return (bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
}

// Scratch: the class of each sample; for each worker a sample, its kernel values, scores of pairs, and the matrices of probabilities.
static kp_status* svm_plan(kp_op_plan* plan) {
  const svm* state = plan->state;
  const kapell_value* x = plan->inputs[0];
  svm_params* params = kp_arena_new(plan->arena, svm_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  if (kp_features(x) != state->features)
    return KP_ERROR(RUN_FAILED, "samples of %zu features for vectors of %zu", kp_features(x),
                    state->features);
  params->samples = kp_samples(x);
  params->rows = 8;
  const size_t classes = kp_max_size(state->classes, 1), pairs = classes * (classes - 1) / 2 + 2;
  const size_t matrices = state->prob_count ? 2 * classes * classes + 2 * classes : classes;
  params->worker_doubles =
      align((state->features + state->vector_count + pairs + state->scores + matrices) *
            sizeof(double)) /
      sizeof(double);
  params->class_bytes = align(params->samples * sizeof(uint32_t));
  plan->scratch_bytes =
      params->class_bytes + params->worker_doubles * sizeof(double) * (size_t)plan->width;
  return NULL;
}

// --- kernel functions --------------------------------------------------------------------------------------------------------
#define LANES 8

// Sums of products, or of squared differences, in LANES sums at once.
#define SUM(name, real, term)                                       \
  static double name(const real* x, const float* v, size_t count) { \
    real sums[LANES] = {0};                                         \
    size_t i = 0;                                                   \
    for (; i + LANES <= count; i += LANES)                          \
      for (size_t l = 0; l < LANES; ++l) {                          \
        const real a = x[i + l], b = (real)v[i + l];                \
        sums[l] += (term);                                          \
      }                                                             \
    double sum = 0;                                                 \
    for (; i < count; ++i) {                                        \
      const real a = x[i], b = (real)v[i];                          \
      sum += (double)(term);                                        \
    }                                                               \
    for (size_t l = 0; l < LANES; ++l) sum += (double)sums[l];      \
    return sum;                                                     \
  }
SUM(dot_float, float, a* b)
SUM(dot_double, double, a* b)
SUM(distance_float, float, (a - b) * (a - b))
SUM(distance_double, double, (a - b) * (a - b))
#undef SUM

static double kernel_value(const svm* state, bool narrow, const void* x, const float* vector) {
  if (state->kernel == SVM_RBF)
    return exp(-state->gamma * (narrow ? distance_float(x, vector, state->features)
                                       : distance_double(x, vector, state->features)));
  const double dot =
      narrow ? dot_float(x, vector, state->features) : dot_double(x, vector, state->features);
  if (state->kernel == SVM_LINEAR) return dot;
  const double scaled = state->gamma * dot + state->coef0;
  return state->kernel == SVM_POLY ? pow(scaled, state->degree) : tanh(scaled);
}

// --- probabilities -----------------------------------------------------------------------------------------------------------
// Probabilities of |k| classes from those of pairs, |r| [k][k] (Wu, Lin and Weng 2004, second approach). In float32 and with the end that
// libsvm has, as the sequence of steps decides the last digits.
static void couple(size_t k, const float* r, float* q, float* p, float* qp) {
  const float end = 0.005f / (float)k;
  for (size_t t = 0; t < k; ++t) {
    p[t] = 1.0f / (float)k;
    q[t * k + t] = 0;
    for (size_t j = 0; j < k; ++j) {
      if (j == t) continue;
      q[t * k + t] += r[j * k + t] * r[j * k + t];
      q[t * k + j] = j < t ? q[j * k + t] : -r[j * k + t] * r[t * k + j];
    }
  }
  for (size_t step = 0; step < kp_max_size(100, k); ++step) {
    float total = 0, error = 0;
    for (size_t t = 0; t < k; ++t) {
      qp[t] = 0;
      for (size_t j = 0; j < k; ++j) qp[t] += q[t * k + j] * p[j];
      total += p[t] * qp[t];
    }
    for (size_t t = 0; t < k; ++t) error = fmaxf(error, fabsf(qp[t] - total));
    if (error < end) return;
    for (size_t t = 0; t < k; ++t) {
      const float diff = (total - qp[t]) / q[t * k + t];
      p[t] += diff;
      total = (total + diff * (diff * q[t * k + t] + 2 * qp[t])) / (1 + diff) / (1 + diff);
      for (size_t j = 0; j < k; ++j) {
        qp[j] = (qp[j] + diff * q[t * k + j]) / (1 + diff);
        p[j] /= 1 + diff;
      }
    }
  }
}

// |room|: 2 k k + 2 k floats and more.
static void probabilities(const svm* state, const double* pairs, float* room, double* scores) {
  const size_t k = state->classes;
  float *r = room, *q = r + k * k, *p = q + k * k, *qp = p + k;
  size_t pair = 0;
  for (size_t i = 0; i < k; ++i) {
    r[i * k + i] = 0;
    for (size_t j = i + 1; j < k; ++j, ++pair) {
      const double value =
          1 - kp_logistic(pairs[pair] * (double)state->prob_a[pair] + (double)state->prob_b[pair]);
      r[i * k + j] = fminf(fmaxf((float)value, 1e-7f), 1 - 1e-7f);
      r[j * k + i] = 1 - r[i * k + j];
    }
  }
  couple(k, r, q, p, qp);
  for (size_t i = 0; i < k; ++i) scores[i] = (double)p[i];
}

// --- run ---------------------------------------------------------------------------------------------------------------------
typedef struct svm_job {
  const kp_op_run* run;
  const svm* state;
  const svm_params* params;
  kapell_value* z;
  uint32_t* classes;  // NULL: a regressor
  char* scratch;
} svm_job;

static double sum_of(const float* coefficients, const double* kernels, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += (double)coefficients[i] * kernels[i];
  return sum;
}

// Scores of all pairs of classes; returns the class with most votes. |votes|: one entry a class.
static size_t score_pairs(const svm* state, const double* kernels, double* pairs, double* votes) {
  const size_t vectors = state->vector_count;
  size_t pair = 0, at_i = 0;
  for (size_t c = 0; c < state->classes; ++c) votes[c] = 0;
  for (size_t i = 0; i < state->classes; ++i) {
    const size_t count_i = (size_t)state->class_vectors[i];
    size_t at_j = at_i + count_i;
    for (size_t j = i + 1; j < state->classes; ++j, ++pair) {
      const size_t count_j = (size_t)state->class_vectors[j];
      pairs[pair] =
          (double)state->rho[pair] +
          sum_of(state->coefficients + (j - 1) * vectors + at_i, kernels + at_i, count_i) +
          sum_of(state->coefficients + i * vectors + at_j, kernels + at_j, count_j);
      ++votes[pairs[pair] > 0 ? i : j];
      at_j += count_j;
    }
    at_i += count_i;
  }
  return kp_largest(votes, state->classes);
}

// Scores and class of one sample, from its kernel values.
static uint32_t classify(const svm* state, const double* kernels, double* room, double* scores) {
  const size_t k = state->classes, pairs_count = k * (k - 1) / 2;
  if (!state->supported) {
    for (size_t c = 0; c < k; ++c) scores[c] = kernels[c] + (double)state->rho[0];
    const size_t best = kp_largest(scores, k);
    if (k == 1) return scores[0] > 0;
    return k == 2 && state->all_positive && scores[best] >= 0.5 ? 1 : (uint32_t)best;
  }
  double *pairs = room, *rest = room + pairs_count + 2;
  const size_t best = score_pairs(state, kernels, pairs, rest);
  if (state->prob_count) {
    probabilities(state, pairs, (float*)rest, scores);
    return (uint32_t)best;
  }
  for (size_t p = 0; p < pairs_count && k > 2; ++p) scores[p] = pairs[p];
  if (k > 2) return (uint32_t)best;
  scores[0] = -pairs[0];
  scores[1] = pairs[0];
  return state->all_positive ? 1 : (uint32_t)best;
}

static double regress(const svm* state, const double* kernels) {
  const double score =
      (double)state->rho[0] +
      (state->supported ? sum_of(state->coefficients, kernels, state->vector_count) : kernels[0]);
  return state->one_class ? (score > 0 ? 1 : -1) : score;
}

static void one_sample(const svm_job* job, size_t row, double* room) {
  const svm* state = job->state;
  const kapell_value* x = job->run->inputs[0];
  const bool narrow = x->type == KAPELL_FLOAT;
  double *sample = room, *kernels = sample + state->features,
         *scores = kernels + state->vector_count;
  const void* from = narrow ? (const void*)((const float*)x->data + row * state->features) : sample;
  if (!narrow) kp_sample_numbers(x, row * state->features, state->features, sample);
  for (size_t v = 0; v < state->vector_count; ++v)
    kernels[v] = kernel_value(state, narrow, from, state->vectors + v * state->features);
  if (job->classes)
    job->classes[row] = classify(state, kernels, scores + state->scores, scores);
  else
    scores[0] = regress(state, kernels);
  if (!state->one_class) kp_post_apply(state->post, scores, state->scores);
  float* z = job->z ? (float*)job->z->data + row * state->scores : NULL;
  for (size_t s = 0; z && s < state->scores; ++s) z[s] = (float)scores[s];
}

static void svm_task(void* arg, size_t task, int worker) {
  const svm_job* job = arg;
  const size_t first = task * job->params->rows,
               last = kp_min_size(first + job->params->rows, job->params->samples);
  double* room = (double*)job->scratch + (size_t)worker * job->params->worker_doubles;
  for (size_t r = first; r < last && !kp_cancelled(job->run); ++r) one_sample(job, r, room);
}

static void run_svm(const kp_op_run* run, kapell_value* z, bool classifies) {
  const svm* state = run->state;
  const svm_params* params = run->params;
  svm_job job = {.run = run, .state = state, .params = params, .z = z};
  job.classes = classifies ? run->scratch : NULL;
  job.scratch = (char*)run->scratch + params->class_bytes;
  const int threads =
      kp_op_width(run->width, params->samples * state->vector_count * (state->features / 2 + 20));
  kp_parallel_for_dynamic(threads, (params->samples + params->rows - 1) / params->rows, svm_task,
                          &job);
}

static kp_status* regressor_run(const kp_op_run* run) {
  run_svm(run, run->outputs[0], false);
  return NULL;
}

static kp_status* classifier_run(const kp_op_run* run) {
  const svm* state = run->state;
  const svm_params* params = run->params;
  kapell_value* y = kp_run_result(run, 0);
  run_svm(run, kp_run_result(run, 1), true);
  const uint32_t* classes = run->scratch;
  for (size_t r = 0; y && r < params->samples && !kp_cancelled(run); ++r) {
    if (state->classes == 1)
      KP_PASS(kp_labels_put_single(&state->labels, y, r, classes[r] != 0));
    else
      KP_PASS(kp_labels_put(&state->labels, y, r, classes[r]));
  }
  return NULL;
}

#define ML "ai.onnx.ml"
#define NUMBERS (KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(INT64) | KP_M(INT32))
// clang-format off
static const kp_op_def ops[] = {  // spec: ai.onnx.ml operators SVMClassifier-1, SVMRegressor-1
    {.domain = ML, .name = "SVMClassifier", .since = 1, .types = NUMBERS, .supports = svm_supports, .prepare = classifier_prepare,
     .plan = svm_plan, .run = classifier_run},
    {.domain = ML, .name = "SVMRegressor", .since = 1, .types = NUMBERS, .supports = svm_supports, .prepare = regressor_prepare,
     .plan = svm_plan, .run = regressor_run},
};
// clang-format on
KP_OP_TABLE(ml_svm);
