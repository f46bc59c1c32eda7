// com.microsoft's normalizations of transformers: SkipLayerNormalization and its simplified (RMS) form, EmbedLayerNormalization.
#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/op/help.h"

typedef struct skip_state {
  const kp_norm_ops* ops;
  float epsilon;
  bool rms;
} skip_state;

static kp_status* skip_prepare(kp_op_prepare* prepare) {
  skip_state* s = kp_arena_new(prepare->arena, skip_state);
  if (!s) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = s;
  prepare->kernel = "layer_norm_f32";
  s->ops = kp_norm_select(prepare->features);
  s->epsilon = kp_node_attr_f(prepare->node, "epsilon", 1e-12f);
  s->rms = kp_node_is(prepare->node, "com.microsoft", "SkipSimplifiedLayerNormalization");
  return NULL;
}

// Rows of an input and how they are shared out among threads.
typedef struct row_job {
  const kp_op_run* run;
  size_t rows, cols, tasks;
  size_t period;  // rows after which |skip| repeats
} row_job;

static void share_rows(row_job* job, kp_task_fn task) {
  const int width = kp_op_width(job->run->width, job->rows * job->cols * 2);
  job->tasks = kp_min_size(job->rows, (size_t)width);
  kp_parallel_for(width, job->tasks, task, job);
}

static float* row_of(const kapell_value* value, size_t at) {
  return value ? (float*)value->data + at : NULL;
}

// --- SkipLayerNormalization --------------------------------------------------------------------------------------------------
static kp_status* skip_plan(kp_op_plan* plan) {
  const kapell_value *x = plan->inputs[0], *skip = plan->inputs[1];
  const int32_t rank = x->rank;
  const size_t cols = (size_t)x->dims[rank - 1], count = kp_value_count(x),
               skips = kp_value_count(skip);
  // The simplified form has no beta.
  const bool rms = kp_node_is(plan->node, "com.microsoft", "SkipSimplifiedLayerNormalization");
  for (uint32_t i = 2; i < plan->node->input_count; ++i)
    if (kp_plan_input(plan, i) && kp_value_count(plan->inputs[i]) != cols)
      return KP_ERROR(INVALID_INPUT, "%s has %zu numbers; expected %zu",
                      i == 2           ? "gamma"
                      : i == 3 && !rms ? "beta"
                                       : "bias",
                      kp_value_count(plan->inputs[i]), cols);
  const bool same = skips == count, shared = rank == 3 && skips * (size_t)x->dims[0] == count;
  if (skip->rank >= 2 && (size_t)skip->dims[skip->rank - 1] == cols && (same || shared))
    return NULL;
  return KP_ERROR(INVALID_INPUT, "skip of %zu numbers does not fit an input of %zu", skips, count);
}

static void skip_task(void* arg, size_t task, int worker) {
  (void)worker;
  const row_job* job = arg;
  const kp_op_run* run = job->run;
  const skip_state* s = run->state;
  const kapell_value *beta = s->rms ? NULL : kp_run_input(run, 3),
                     *bias = kp_run_input(run, s->rms ? 3 : 4);
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t row = first; row < last;) {
    const size_t wrapped = row % job->period, cols = job->cols, at = row * cols;
    const kp_row_norm n = {.rows = kp_min_size(last - row, job->period - wrapped),
                           .cols = cols,
                           .x = row_of(run->inputs[0], at),
                           .x_stride = cols,
                           .skip = row_of(run->inputs[1], wrapped * cols),
                           .skip_stride = cols,
                           .bias = row_of(bias, 0),
                           .sum = row_of(kp_run_result(run, 3), at),
                           .sum_stride = cols,
                           .y = row_of(run->outputs[0], at),
                           .y_stride = cols,
                           .gamma = row_of(run->inputs[2], 0),
                           .beta = row_of(beta, 0),
                           .epsilon = s->epsilon,
                           .mean = row_of(kp_run_result(run, 1), row),
                           .inverse_deviation = row_of(kp_run_result(run, 2), row)};
    (s->rms ? s->ops->rms : s->ops->layer)(&n);
    for (size_t r = 0; s->rms && n.mean && r < n.rows; ++r) n.mean[r] = 0;
    row += n.rows;
  }
}

static kp_status* skip_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t cols = (size_t)x->dims[x->rank - 1];
  if (!kp_value_count(x)) return NULL;
  row_job job = {.run = run, .rows = kp_value_count(x) / cols, .cols = cols};
  job.period = kp_value_count(run->inputs[1]) / cols;
  share_rows(&job, skip_task);
  return NULL;
}

// --- EmbedLayerNormalization -------------------------------------------------------------------------------------------------
enum { kIds, kSegments, kWords, kPositions, kSegmentTable, kGamma, kBeta, kMask, kPositionIds };

static kp_status* embed_plan(kp_op_plan* plan) {
  const kapell_value *ids = plan->inputs[kIds], *words = plan->inputs[kWords];
  const kapell_value *segments = kp_plan_input(plan, kSegments),
                     *table = kp_plan_input(plan, kSegmentTable),
                     *mask = kp_plan_input(plan, kMask),
                     *positions = kp_plan_input(plan, kPositionIds);
  const size_t cols = (size_t)words->dims[words->rank - 1], count = kp_value_count(ids);
  for (uint32_t i = kWords; i <= kSegmentTable; ++i) {
    const kapell_value* t = kp_plan_input(plan, i);
    if (t && (t->rank != 2 || (size_t)t->dims[1] != cols))
      return KP_ERROR(INVALID_INPUT, "the embeddings differ in width from the %zu of the words",
                      cols);
  }
  for (uint32_t i = kGamma; i <= kBeta; ++i)
    if (kp_value_count(plan->inputs[i]) != cols)
      return KP_ERROR(INVALID_INPUT, "gamma and beta need %zu numbers", cols);
  if (ids->rank != 2 || (segments && (!table || kp_value_count(segments) != count)) ||
      (mask && kp_value_count(mask) != count) ||
      (positions && kp_value_count(positions) != count &&
       kp_value_count(positions) != (size_t)ids->dims[1]))
    return KP_ERROR(INVALID_INPUT,
                    "ids of segments, positions and mask do not fit those of the words");
  return NULL;
}

// Row |id| of an embedding. Error RUN_FAILED where it has no such row.
static kp_status* row_at(const kapell_value* table, const char* what, int64_t id,
                         const float** out) {
  if (id < 0 || id >= table->dims[0])
    return KP_ERROR(RUN_FAILED, "%s id %lld; the embedding has %lld", what, (long long)id,
                    (long long)table->dims[0]);
  *out = (const float*)table->data + (size_t)(id * table->dims[1]);
  return NULL;
}

// All ids are looked at before threads use them.
static kp_status* check_ids(const kp_op_run* run, size_t i, size_t length, const float* rows[3]) {
  const kapell_value *segments = kp_run_input(run, kSegments),
                     *positions = kp_run_input(run, kPositionIds);
  const int64_t position =
      !positions ? (int64_t)(i % length) : kp_int_at(positions, i % kp_value_count(positions));
  rows[2] = NULL;
  KP_PASS(row_at(run->inputs[kWords], "word", kp_int_at(run->inputs[kIds], i), &rows[0]));
  KP_PASS(row_at(run->inputs[kPositions], "position", position, &rows[1]));
  return segments ? row_at(run->inputs[kSegmentTable], "segment", kp_int_at(segments, i), &rows[2])
                  : NULL;
}

static void embed_task(void* arg, size_t task, int worker) {
  (void)worker;
  const row_job* job = arg;
  const kp_op_run* run = job->run;
  const skip_state* s = run->state;
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t row = first; row < last; ++row) {
    const float* rows[3];
    kp_status* status = check_ids(run, row, job->period, rows);
    if (status) {  // every id was checked before
      kp_status_free(status);
      return;
    }
    const size_t cols = job->cols;
    const kp_row_norm n = {.rows = 1,
                           .cols = cols,
                           .x = rows[0],
                           .skip = rows[1],
                           .bias = rows[2],
                           .sum = row_of(kp_run_result(run, 2), row * cols),
                           .y = row_of(run->outputs[0], row * cols),
                           .gamma = row_of(run->inputs[kGamma], 0),
                           .beta = row_of(run->inputs[kBeta], 0),
                           .epsilon = s->epsilon};
    s->ops->layer(&n);
  }
}

static void count_mask(const kp_op_run* run, size_t batch, size_t length) {
  const kapell_value* mask = kp_run_input(run, kMask);
  kapell_value* index = kp_run_result(run, 1);
  for (size_t b = 0; index && b < batch; ++b) {
    int32_t count = 0;
    for (size_t s = 0; mask && s < length; ++s) count += kp_int_at(mask, b * length + s) == 1;
    ((int32_t*)index->data)[b] = count;
  }
}

static kp_status* embed_run(const kp_op_run* run) {
  const kapell_value* ids = run->inputs[kIds];
  const size_t batch = (size_t)ids->dims[0], length = (size_t)ids->dims[1];
  const float* rows[3];
  count_mask(run, batch, length);
  for (size_t i = 0; i < batch * length; ++i) KP_PASS(check_ids(run, i, length, rows));
  row_job job = {.run = run, .rows = batch * length, .period = length};
  job.cols = (size_t)run->inputs[kWords]->dims[1];
  if (job.rows && job.cols) share_rows(&job, embed_task);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX Runtime, ContribOperators.md
    {.domain = "com.microsoft",
     .name = "SkipLayerNormalization",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .prepare = skip_prepare,
     .plan = skip_plan,
     .run = skip_run,
     .flags = KP_OP_INPLACE | KP_OP_WIDEN,
     .kernels = "f32: norm"},
    {.domain = "com.microsoft",
     .name = "SkipSimplifiedLayerNormalization",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .prepare = skip_prepare,
     .plan = skip_plan,
     .run = skip_run,
     .flags = KP_OP_INPLACE | KP_OP_WIDEN,
     .kernels = "f32: norm"},
    {.domain = "com.microsoft",
     .name = "EmbedLayerNormalization",
     .since = 1,
     .types = KP_M(INT32),
     .prepare = skip_prepare,
     .plan = embed_plan,
     .run = embed_run,
     .flags = KP_OP_WIDEN,
     .kernels = "f32: norm"},
};
KP_OP_TABLE(skip_norm);
