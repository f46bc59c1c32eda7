// TreeEnsemble (5), TreeEnsembleClassifier and TreeEnsembleRegressor (1 to 5) of ai.onnx.ml: blocks of samples through a forest
// (ml_forest.h), then base values, post_transform and labels.
#include <float.h>

#include "provider/cpu/op/element.h"
#include "provider/cpu/op/ml/ml_forest.h"
#include "provider/cpu/op/ml/ml_score.h"
#include "provider/cpu/op/ml/ml_tree_read.h"

#define BLOCK_ROWS 64  // samples that go through a tree while its nodes are in the cache

typedef struct trees {
  kp_forest forest;
  kp_tree_aggregate aggregate;
  kp_post post;
  const double* base;  // |base_count| of 0, 1 (for all targets), or one a target
  size_t base_count;
  bool classifier;
  kp_labels labels;
  bool binary;  // two classes, all weights are for |positive|: its score decides
  size_t positive;
} trees;

typedef struct tree_params {
  size_t rows, features, block;
  bool convert;  // samples become float64 block by block
  size_t class_bytes, sum_bytes, worker_bytes;
} tree_params;

// --- prepare -----------------------------------------------------------------------------------------------------------------
static kp_status* new_state(kp_op_prepare* prepare, trees** out_state) {
  *out_state = kp_arena_new(prepare->arena, trees);
  if (!*out_state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = *out_state;
  (*out_state)->aggregate = KP_TREE_SUM;
  return NULL;
}

// Samples of float32 and less are compared as float32; everything else, and what is not known, as float64.
static kp_status* build(kp_op_prepare* prepare, const kp_tree_source* source, trees* state) {
  const kp_value* x = kp_node_input(prepare->graph, prepare->node, 0);
  const kapell_type type = x ? x->type.element : KAPELL_UNDEFINED;
  const bool narrow = type == KAPELL_FLOAT || type == KAPELL_FLOAT16 || type == KAPELL_BFLOAT16;
  return kp_forest_build(source, !narrow, prepare->arena, &state->forest);
}

static kp_status* ensemble_prepare(kp_op_prepare* prepare) {
  trees* state;
  kp_tree_source source;
  KP_PASS(new_state(prepare, &state));
  state->aggregate = (kp_tree_aggregate)kp_node_attr_i(prepare->node, "aggregate_function", 1);
  state->post = (kp_post)kp_node_attr_i(prepare->node, "post_transform", 0);
  KP_PASS(kp_tree_read(prepare->node, prepare->arena, &source));
  return build(prepare, &source, state);
}

static const char* const aggregate_names[] = {"AVERAGE", "SUM", "MIN", "MAX"};

// The position of aggregate_function among those, or 4.
static int aggregate_of(const kp_node* node) {
  const kp_str name = kp_node_attr_s(node, "aggregate_function", "SUM");
  int i = 0;
  while (i < 4 && !kp_str_is(name, aggregate_names[i])) ++i;
  return i;
}

// The forest of an older operator, with its base values.
static kp_status* prepare_old(kp_op_prepare* prepare, const char* prefix, size_t targets,
                              kp_tree_source* source, trees* state) {
  const kp_node* node = prepare->node;
  state->post = kp_post_of(node);
  KP_PASS(kp_tree_read_old(node, prefix, targets, prepare->arena, source));
  KP_PASS(build(prepare, source, state));
  KP_PASS(
      kp_tree_read_reals(node, "base_values", prepare->arena, &state->base, &state->base_count));
  if (state->base_count > 1 && state->base_count != targets)
    return KP_ERROR(INVALID_MODEL, "attribute 'base_values' has %zu entries for %zu scores",
                    state->base_count, targets);
  return NULL;
}

static kp_status* regressor_prepare(kp_op_prepare* prepare) {
  trees* state;
  kp_tree_source source;
  KP_PASS(new_state(prepare, &state));
  state->aggregate = (kp_tree_aggregate)aggregate_of(prepare->node);
  const int64_t targets = kp_node_attr_i(prepare->node, "n_targets", 1);
  return prepare_old(prepare, "target", (size_t)kp_max_i64(targets, 0), &source, state);
}

static kp_status* classifier_prepare(kp_op_prepare* prepare) {
  trees* state;
  kp_tree_source source;
  KP_PASS(new_state(prepare, &state));
  state->classifier = true;
  state->labels = kp_labels_of(prepare->node, "classlabels_int64s");
  KP_PASS(prepare_old(prepare, "class", state->labels.count, &source, state));
  const size_t weights = source.weight_first[source.node_count];
  state->binary = state->labels.count == 2 && weights > 0;
  for (size_t i = 0; i < weights && state->binary; ++i)
    state->binary = source.targets[i] == source.targets[0];
  state->positive = state->binary ? source.targets[0] : 0;
  return NULL;
}

// --- plan --------------------------------------------------------------------------------------------------------------------
static size_t align(size_t bytes) {
  return (bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
}

// Scratch: the class of each sample; then for each worker sums of a block and, where they are converted, its samples.
static kp_status* tree_plan(kp_op_plan* plan) {
  const trees* state = plan->state;
  const kapell_value* x = plan->inputs[0];
  const size_t targets = kp_max_size(state->forest.target_count, 1);
  tree_params* params = kp_arena_new(plan->arena, tree_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  params->rows = kp_samples(x);
  params->features = kp_features(x);
  params->convert = state->forest.wide && x->type != KAPELL_DOUBLE;
  // Not so large that threads stay without work, nor that the sums leave the cache.
  const size_t share = (params->rows / (size_t)plan->width + 7) / 8 * 8;
  params->block = kp_min_size(kp_min_size(BLOCK_ROWS, share), 32768 / targets / 8 * 8);
  params->block = kp_max_size(8, params->block);
  params->class_bytes = state->classifier ? align(params->rows * sizeof(uint32_t)) : 0;
  params->sum_bytes = align(params->block * targets * sizeof(double) + 2 * sizeof(double));
  params->worker_bytes =
      params->sum_bytes +
      (params->convert ? align(params->block * params->features * sizeof(double)) : 0);
  plan->scratch_bytes = params->class_bytes + params->worker_bytes * (size_t)plan->width;
  if (params->features < state->forest.feature_count)
    return KP_ERROR(RUN_FAILED, "a node of the trees asks for feature %zu of samples with %zu",
                    state->forest.feature_count - 1, params->features);
  return NULL;
}

// --- run ---------------------------------------------------------------------------------------------------------------------
typedef struct tree_job {
  const kp_op_run* run;
  const trees* state;
  const tree_params* params;
  kapell_value* scores;  // NULL: not wanted
  uint32_t* classes;     // by sample; NULL: no classifier
  char* scratch;
} tree_job;

static void store(kapell_value* to, size_t first, const double* from, size_t count) {
  const kp_rounding plain = {0};
  kp_store_real(to->type, to->data, first, count, from, &plain);
}

static void finish_classes(const tree_job* job, size_t row, double* sums) {
  const trees* state = job->state;
  const size_t count = state->labels.count;
  double two[2];
  if (state->binary) {
    const bool share = state->post == KP_POST_NONE || state->post == KP_POST_PROBIT;
    two[1] = sums[state->positive];
    two[0] = share ? 1 - two[1] : -two[1];
    sums = two;
  }
  job->classes[row] = count == 1 ? sums[0] > 0 : (uint32_t)kp_largest(sums, count);
  kp_post_apply(state->post, sums, count);
  if (job->scores) store(job->scores, row * count, sums, count);
}

static void finish_row(const tree_job* job, size_t row, double* sums) {
  const trees* state = job->state;
  const size_t targets = state->forest.target_count, trees_count = state->forest.tree_count;
  for (size_t t = 0; t < targets; ++t) {
    if (state->aggregate == KP_TREE_AVERAGE && trees_count) sums[t] /= (double)trees_count;
    if (state->base_count) sums[t] += state->base[state->base_count > 1 ? t : 0];
  }
  if (state->classifier) {
    finish_classes(job, row, sums);
    return;
  }
  kp_post_apply(state->post, sums, targets);
  if (job->scores) store(job->scores, row * targets, sums, targets);
}

// Where sums begin: MIN and MAX at the far end of the result's type.
static double first_sum(const tree_job* job) {
  const bool wide = job->scores && job->scores->type == KAPELL_DOUBLE;
  const double far = wide ? DBL_MAX : (double)FLT_MAX;
  return job->state->aggregate == KP_TREE_MIN   ? far
         : job->state->aggregate == KP_TREE_MAX ? -far
                                                : 0;
}

static void tree_task(void* arg, size_t task, int worker) {
  const tree_job* job = arg;
  const trees* state = job->state;
  const tree_params* params = job->params;
  const kapell_value* x = job->run->inputs[0];
  const size_t first = task * params->block, targets = state->forest.target_count;
  const size_t rows = kp_min_size(params->block, params->rows - first);
  char* own = job->scratch + (size_t)worker * params->worker_bytes;
  double* sums = (double*)own;
  const void* samples =
      (const char*)x->data +
      first * params->features * (state->forest.wide ? sizeof(double) : sizeof(float));
  if (kp_cancelled(job->run)) return;
  if (params->convert) {
    double* converted = (double*)(own + params->sum_bytes);
    kp_sample_numbers(x, first * params->features, rows * params->features, converted);
    samples = converted;
  }
  const double start = first_sum(job);
  for (size_t i = 0; i < rows * targets; ++i) sums[i] = start;
  kp_forest_run(&state->forest, state->aggregate, samples, rows, params->features, sums);
  for (size_t r = 0; r < rows; ++r) finish_row(job, first + r, sums + r * targets);
}

static void run_forest(const kp_op_run* run, kapell_value* scores) {
  const trees* state = run->state;
  const tree_params* params = run->params;
  tree_job job = {.run = run, .state = state, .params = params, .scores = scores};
  job.classes = state->classifier ? run->scratch : NULL;
  job.scratch = (char*)run->scratch + params->class_bytes;
  size_t steps = 0;
  for (size_t t = 0; t < state->forest.tree_count; ++t) steps += state->forest.depths[t];
  const int threads = kp_op_width(run->width, params->rows * (steps * 3 + 20));
  kp_parallel_for_dynamic(threads, (params->rows + params->block - 1) / params->block, tree_task,
                          &job);
}

static kp_status* regressor_run(const kp_op_run* run) {
  run_forest(run, run->outputs[0]);
  return NULL;
}

static kp_status* classifier_run(const kp_op_run* run) {
  const trees* state = run->state;
  const tree_params* params = run->params;
  kapell_value* y = kp_run_result(run, 0);
  run_forest(run, kp_run_result(run, 1));
  const uint32_t* classes = run->scratch;
  for (size_t r = 0; y && r < params->rows && !kp_cancelled(run); ++r) {
    if (state->labels.count == 1)
      KP_PASS(kp_labels_put_single(&state->labels, y, r, classes[r] != 0));
    else
      KP_PASS(kp_labels_put(&state->labels, y, r, classes[r]));
  }
  return NULL;
}

// --- supports ----------------------------------------------------------------------------------------------------------------
static kp_reason ensemble_supports(const kp_op_query* query) {
  const int64_t aggregate = kp_node_attr_i(query->node, "aggregate_function", 1),
                post = kp_node_attr_i(query->node, "post_transform", 0);
  KP_REQUIRE(query, aggregate >= KP_TREE_AVERAGE && aggregate <= KP_TREE_MAX,
             "aggregate_function=%lld is unknown", (long long)aggregate);
  KP_REQUIRE(query, post >= KP_POST_NONE && post <= KP_POST_PROBIT,
             "post_transform=%lld is unknown", (long long)post);
  return KP_SUPPORTED;
}

static kp_reason regressor_supports(const kp_op_query* query) {
  KP_REQUIRE(query, aggregate_of(query->node) < 4, "aggregate_function=%.*s is unknown",
             KP_STR_ARG(kp_node_attr_s(query->node, "aggregate_function", "SUM")));
  return kp_post_check(query);
}

static kp_reason classifier_supports(const kp_op_query* query) {
  KP_REQUIRE(query, kp_labels_of(query->node, "classlabels_int64s").count,
             "attributes classlabels_int64s and classlabels_strings are both missing");
  return kp_post_check(query);
}

#define ML "ai.onnx.ml"
#define NUMBERS (KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(INT64) | KP_M(INT32))
// clang-format off
static const kp_op_def ops[] = {  // spec: ai.onnx.ml operators TreeEnsemble-5, TreeEnsembleClassifier-1..5, TreeEnsembleRegressor-1..5
    {.domain = ML, .name = "TreeEnsemble", .since = 5, .types = KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(FLOAT16), .supports = ensemble_supports,
     .prepare = ensemble_prepare, .plan = tree_plan, .run = regressor_run, .flags = KP_OP_WIDEN},
    {.domain = ML, .name = "TreeEnsembleClassifier", .since = 1, .types = NUMBERS, .supports = classifier_supports,
     .prepare = classifier_prepare, .plan = tree_plan, .run = classifier_run},
    {.domain = ML, .name = "TreeEnsembleRegressor", .since = 1, .types = NUMBERS, .supports = regressor_supports,
     .prepare = regressor_prepare, .plan = tree_plan, .run = regressor_run},
};
// clang-format on
KP_OP_TABLE(ml_tree);
