// Normalizations over trailing or grouped elements: LayerNormalization, RMSNormalization, InstanceNormalization,
// GroupNormalization, LpNormalization, MeanVarianceNormalization. f32 rows run on kernel/norm; elsewhere moments are summed in f64.
#include <math.h>

#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/op/copy.h"

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "planning a node"); }

static kp_status* norm_prepare(kp_op_prepare* prepare) {
  union {
    const kp_norm_ops* ops;
    void* state;
  } kernel = {kp_norm_select(prepare->features)};
  prepare->state = kernel.state;
  prepare->kernel = "norm_f32";
  return NULL;
}

// Rows of |cols| elements, each normalized by itself; element i of row r is scaled by gamma[(r % period) * gamma_row + i * step].
typedef struct kp_norm_params {
  size_t rows, cols;
  double epsilon;
  bool rms, by_channel;
  size_t
      scale_period;  // rows after which scale and shift repeat (channels, groups); 1: the same for all rows
  size_t scale_row;  // elements of scale from one row of the period to the next
  size_t scale_run;  // elements of a row that share one element of scale; 1: each has its own
  size_t expanded;   // bytes of scratch for a scale that has to be broadcast first; 0: none
} kp_norm_params;

static void norm_row(const kp_norm_params* p, size_t row, const double* x, double* y,
                     const double* scale, const double* shift, double* out_mean,
                     double* out_inverse) {
  double mean = 0, square = 0;
  for (size_t i = 0; i < p->cols && !p->rms; ++i) mean += x[i];
  mean /= (double)p->cols;
  for (size_t i = 0; i < p->cols; ++i) square += (x[i] - mean) * (x[i] - mean);
  const double inverse = 1 / sqrt(square / (double)p->cols + p->epsilon);
  const size_t at = row % p->scale_period * p->scale_row;
  for (size_t i = 0; i < p->cols; ++i) {
    const size_t s = at + i / p->scale_run;
    y[i] = (x[i] - mean) * inverse * (scale ? scale[s] : 1) + (shift ? shift[s] : 0);
  }
  *out_mean = mean;
  *out_inverse = inverse;
}

typedef struct kp_norm_job {
  const kp_norm_params* params;
  const kapell_value* x;
  kapell_value *y, *mean, *inverse;  // the last two may be NULL
  const void *scale, *shift;         // may be NULL
  size_t tasks;
  const kp_norm_ops* kernel;
} kp_norm_job;

static void store(kapell_value* value, size_t index, double number) {
  if (!value) return;
  if (value->type == KAPELL_DOUBLE)
    ((double*)value->data)[index] = number;
  else
    ((float*)value->data)[index] = (float)number;
}

static float* at_row(const kapell_value* value, size_t row) {
  return value ? (float*)value->data + row : NULL;
}

// f32, an element of the scale for each of a row.
static void kernel_rows(const kp_norm_job* job, size_t first, size_t last) {
  const kp_norm_params* p = job->params;
  if (p->scale_period > 1 && last - first > 1) {  // each row has a scale of its own
    for (size_t row = first; row < last; ++row) kernel_rows(job, row, row + 1);
    return;
  }
  const size_t at = first % p->scale_period * p->scale_row;
  const kp_row_norm norm = {.rows = last - first,
                            .cols = p->cols,
                            .x = (const float*)job->x->data + first * p->cols,
                            .x_stride = p->cols,
                            .y = (float*)job->y->data + first * p->cols,
                            .y_stride = p->cols,
                            .gamma = job->scale ? (const float*)job->scale + at : NULL,
                            .beta = job->shift ? (const float*)job->shift + at : NULL,
                            .epsilon = (float)p->epsilon,
                            .mean = at_row(job->mean, first),
                            .inverse_deviation = at_row(job->inverse, first)};
  if (p->rms)
    job->kernel->rms(&norm);
  else
    job->kernel->layer(&norm);
}

// f32, a scale for each run of a row: channels of an instance or a group.
static void kernel_channels(const kp_norm_job* job, size_t first, size_t last) {
  const kp_norm_params* p = job->params;
  const size_t runs = p->cols / p->scale_run;
  for (size_t row = first; row < last; ++row) {
    float mean, variance;
    const float* x = (const float*)job->x->data + row * p->cols;
    float* y = (float*)job->y->data + row * p->cols;
    job->kernel->row_moments(1, p->cols, x, p->cols, &mean, &variance);
    const float inverse = 1.0f / sqrtf(variance + (float)p->epsilon);
    for (size_t i = 0; i < runs; ++i) {
      const size_t s = row % p->scale_period * p->scale_row + i;
      const float scale = ((const float*)job->scale)[s] * inverse,
                  shift = ((const float*)job->shift)[s] - mean * scale;
      job->kernel->scale_shift_rows(1, p->scale_run, x + i * p->scale_run, p->scale_run, &scale,
                                    &shift, y + i * p->scale_run, p->scale_run, NULL);
    }
  }
}

static void norm_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_norm_job* job = arg;
  const kp_norm_params* p = job->params;
  size_t first, last;
  kp_share(p->rows, job->tasks, task, &first, &last);
  if (job->x->type == KAPELL_FLOAT) {
    if (p->by_channel)
      kernel_channels(job, first, last);
    else
      kernel_rows(job, first, last);
    return;
  }
  for (size_t row = first; row < last; ++row) {
    double mean, inverse;
    const size_t at = row * p->cols;
    norm_row(p, row, (const double*)job->x->data + at, (double*)job->y->data + at, job->scale,
             job->shift, &mean, &inverse);
    store(job->mean, row, mean);
    store(job->inverse, row, inverse);
  }
}

static kp_status* run_rows(const kp_op_run* run, kp_norm_job* job) {
  job->kernel = run->state;
  job->x = run->inputs[0];
  job->y = run->outputs[0];
  const size_t count = kp_value_count(job->x);
  if (!count) return NULL;
  if (job->x->type != job->y->type) {  // the result has the scale's type, and so has the arithmetic
    for (size_t i = 0; i < count; ++i) {
      const double element = kp_double_at(job->x, i);
      if (job->y->type == KAPELL_DOUBLE)
        ((double*)job->y->data)[i] = element;
      else
        ((float*)job->y->data)[i] = (float)element;
    }
    job->x = job->y;
  }
  const int threads = kp_op_width(run->width, count * 3);
  job->tasks = (size_t)threads;
  kp_parallel_for(threads, job->tasks, norm_task, job);
  return NULL;
}

// --- LayerNormalization, RMSNormalization ------------------------------------------------------------------------------------
// Sets |*each_row| where |scale| is not the same for all rows: more than the standard asks for, but exporters write it.
static kp_status* check_scale(const kapell_value* x, kapell_type result, const kapell_value* scale,
                              int32_t axis, const char* name, bool* each_row) {
  if (!scale) return NULL;
  if (scale->type != result)
    return KP_ERROR(RUN_FAILED, "%s is %s, not %s", name, kp_type_name(scale->type),
                    kp_type_name(result));
  for (int32_t d = 1; d <= scale->rank; ++d) {
    const int64_t dim = scale->dims[scale->rank - d];
    if (dim == 1) continue;
    if (d > x->rank || dim != x->dims[x->rank - d])
      return KP_ERROR(RUN_FAILED, "%s does not broadcast to the input", name);
    *each_row |= d > x->rank - axis;
  }
  return NULL;
}

static kp_status* layer_plan(kp_op_plan* plan) {
  kp_norm_params* params = kp_arena_new(plan->arena, kp_norm_params);
  if (!params) return no_memory();
  plan->params = params;
  const kapell_value *x = plan->inputs[0], *scale = plan->inputs[1],
                     *shift = kp_plan_input(plan, 2);
  const int64_t stated = kp_node_attr_i(plan->node, "axis", -1);
  int32_t axis;
  if (!kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  bool each_row = false;
  KP_PASS(check_scale(x, plan->outputs[0]->type, scale, axis, "scale", &each_row));
  KP_PASS(check_scale(x, plan->outputs[0]->type, shift, axis, "bias", &each_row));
  params->rows = kp_span(x, 0, axis);
  params->cols = kp_span(x, axis, x->rank);
  params->epsilon = (double)kp_node_attr_f(plan->node, "epsilon", 1e-5f);
  params->rms = strcmp(plan->node->op, "LayerNormalization") != 0;
  params->scale_run = 1;
  params->scale_period = each_row ? kp_max_size(params->rows, 1) : 1;
  params->scale_row = params->cols;
  const size_t span = params->scale_period * params->cols;
  const bool whole = kp_value_count(scale) == span && (!shift || kp_value_count(shift) == span);
  params->expanded =
      whole ? 0 : (span * sizeof(double) + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  plan->scratch_bytes = params->expanded * 2;
  return NULL;
}

// |value| broadcast over the dims of |x| that scales differ in, into |room| where it is not there already.
static kp_status* broadcast(const kp_op_run* run, const kapell_value* value, char* room,
                            const void** out_data) {
  const kp_norm_params* params = run->params;
  *out_data = value ? value->data : NULL;
  if (!value || !params->expanded) return NULL;
  const kapell_value* x = run->inputs[0];
  int32_t rank = 0;
  int64_t dims[KP_MAX_RANK], to[KP_MAX_RANK], from[KP_MAX_RANK], own[KP_MAX_RANK];
  const size_t whole = params->scale_period * params->cols;
  for (size_t span = 1; span < whole; ++rank) span *= (size_t)x->dims[x->rank - 1 - rank];
  if (rank < value->rank)
    rank = kp_min_i64(value->rank, x->rank) == value->rank ? value->rank : x->rank;
  kp_strides(value->rank, value->dims, own);
  for (int32_t d = 0; d < rank; ++d) {
    const int32_t mine = d - (rank - value->rank);
    const bool inner = kp_span(x, x->rank - rank + d, x->rank) <= whole;
    dims[d] = inner ? x->dims[x->rank - rank + d] : 1;
    from[d] = mine >= 0 && value->dims[mine] != 1 ? own[mine] : 0;
  }
  kp_strides(rank, dims, to);
  kp_copy copy;
  kp_copy_init(&copy, rank, dims, to, from);
  kapell_value target = {.kind = KAPELL_KIND_TENSOR, .type = value->type, .data = room};
  *out_data = room;
  return kp_copy_run(&copy, &target, 0, value, 0, 1);
}

static kp_status* layer_run(const kp_op_run* run) {
  const kp_norm_params* params = run->params;
  kp_norm_job job = {.params = params, .mean = params->rms ? NULL : kp_run_result(run, 1)};
  job.inverse = params->rms ? kp_run_result(run, 1) : kp_run_result(run, 2);
  char* room = run->scratch;
  KP_PASS(broadcast(run, run->inputs[1], room, &job.scale));
  KP_PASS(broadcast(run, kp_run_input(run, 2), room + params->expanded, &job.shift));
  return run_rows(run, &job);
}

// --- InstanceNormalization, GroupNormalization: one row a channel or a group -------------------------------------------------
static kp_status* channel_plan(kp_op_plan* plan) {
  kp_norm_params* params = kp_arena_new(plan->arena, kp_norm_params);
  if (!params) return no_memory();
  plan->params = params;
  const kapell_value *x = plan->inputs[0], *scale = plan->inputs[1];
  const bool group = strcmp(plan->node->op, "GroupNormalization") == 0;
  const size_t channels = (size_t)x->dims[1],
               groups = group ? (size_t)kp_node_attr_i(plan->node, "num_groups", 1) : channels;
  if (!groups || channels % groups)
    return KP_ERROR(RUN_FAILED, "%zu channels in %zu groups", channels, groups);
  const bool per_group = group && plan->node->version < 21;
  if (kp_value_count(scale) != (per_group ? groups : channels))
    return KP_ERROR(RUN_FAILED, "scale has %zu elements for %zu channels", kp_value_count(scale),
                    channels);
  params->by_channel = true;
  params->epsilon = (double)kp_node_attr_f(plan->node, "epsilon", 1e-5f);
  params->rows = (size_t)x->dims[0] * groups;
  params->cols = params->rows ? kp_value_count(x) / params->rows : 0;
  params->scale_period = groups ? groups : 1;
  params->scale_row = per_group ? 1 : channels / groups;
  params->scale_run =
      per_group || !params->cols ? kp_max_size(params->cols, 1) : params->cols / params->scale_row;
  return NULL;
}

static kp_status* channel_run(const kp_op_run* run) {
  kp_norm_job job = {
      .params = run->params, .scale = run->inputs[1]->data, .shift = run->inputs[2]->data};
  return run_rows(run, &job);
}

// --- LpNormalization, MeanVarianceNormalization ------------------------------------------------------------------------------
#define LP_LINE(type)                                                                        \
  static void lp_line_##type(size_t count, size_t step, int64_t p, const type* x, type* y) { \
    double sum = 0;                                                                          \
    for (size_t i = 0; i < count; ++i) {                                                     \
      const double u = (double)x[i * step];                                                  \
      sum += p == 1 ? fabs(u) : u * u;                                                       \
    }                                                                                        \
    const double norm = p == 1 ? sum : sqrt(sum);                                            \
    for (size_t i = 0; i < count; ++i)                                                       \
      y[i * step] = norm == 0 ? 0 : (type)((double)x[i * step] / norm);                      \
  }
LP_LINE(float)
LP_LINE(double)

static kp_status* lp_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  int32_t axis;
  const int64_t stated = kp_node_attr_i(run->node, "axis", -1),
                p = kp_node_attr_i(run->node, "p", 2);
  if (!kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  const size_t count = (size_t)x->dims[axis], inner = kp_span(x, axis + 1, x->rank),
               lines = kp_span(x, 0, axis) * inner;
  for (size_t line = 0; line < lines; ++line) {
    const size_t at = line / inner * count * inner + line % inner;
    if (x->type == KAPELL_FLOAT)
      lp_line_float(count, inner, p, (const float*)x->data + at,
                    (float*)run->outputs[0]->data + at);
    else
      lp_line_double(count, inner, p, (const double*)x->data + at,
                     (double*)run->outputs[0]->data + at);
  }
  return NULL;
}

static kp_reason lp_supports(const kp_op_query* query) {
  const int64_t p = kp_node_attr_i(query->node, "p", 2);
  KP_REQUIRE(query, p == 1 || p == 2, "p=%lld; ONNX allows 1 and 2", (long long)p);
  return KP_SUPPORTED;
}

// (x - mean) / (deviation + 1e-9) over the axes, as ONNX's function body has it.
#define MVN(type)                                                                              \
  static void mvn_##type(const kp_copy* kept, const kp_copy* over, bool scaled, const type* x, \
                         type* y) {                                                            \
    int64_t index[KP_MAX_RANK], at[KP_MAX_RANK];                                               \
    for (size_t k = 0; k < kept->count; ++k) {                                                 \
      int64_t base = 0;                                                                        \
      size_t rest = k;                                                                         \
      for (int32_t d = kept->rank; d-- > 0; rest /= (size_t)kept->dims[d]) {                   \
        index[d] = (int64_t)(rest % (size_t)kept->dims[d]);                                    \
        base += index[d] * kept->from[d];                                                      \
      }                                                                                        \
      double sum = 0, square = 0;                                                              \
      for (int pass = 0; pass < 3; ++pass) {                                                   \
        const double mean = sum / (double)over->count;                                         \
        const double deviation = scaled ? sqrt(square / (double)over->count) + 1e-9 : 1;       \
        for (size_t i = 0; i < over->count; ++i) {                                             \
          int64_t offset = base;                                                               \
          size_t left = i;                                                                     \
          for (int32_t d = over->rank; d-- > 0; left /= (size_t)over->dims[d]) {               \
            at[d] = (int64_t)(left % (size_t)over->dims[d]);                                   \
            offset += at[d] * over->from[d];                                                   \
          }                                                                                    \
          const double u = (double)x[offset];                                                  \
          if (pass == 0)                                                                       \
            sum += u;                                                                          \
          else if (pass == 1)                                                                  \
            square += (u - mean) * (u - mean);                                                 \
          else                                                                                 \
            y[offset] = (type)((u - mean) / deviation);                                        \
        }                                                                                      \
      }                                                                                        \
    }                                                                                          \
  }
MVN(float)
MVN(double)

static kp_status* mvn_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  uint32_t mask;
  bool given;
  KP_PASS(kp_axes_mask(run->node, "axes", NULL, x->rank, &mask, &given));
  // Before opset 9, as ONNX Runtime has it: over the batch and, if asked for, the channels.
  const bool old = run->node->version < 9,
             across = old && kp_node_attr_i(run->node, "across_channels", 0),
             scaled = !old || kp_node_attr_i(run->node, "normalize_variance", 1);
  for (int32_t d = 0; !given && d < x->rank; ++d)
    if (d != 1 || across) mask |= UINT32_C(1) << d;
  if (!kp_value_count(x)) return NULL;
  int64_t strides[KP_MAX_RANK], dims[2][KP_MAX_RANK], from[2][KP_MAX_RANK];
  int32_t rank[2] = {0, 0};
  kp_strides(x->rank, x->dims, strides);
  for (int32_t d = 0; d < x->rank; ++d) {
    const int side = mask >> d & 1;
    dims[side][rank[side]] = x->dims[d];
    from[side][rank[side]++] = strides[d];
  }
  kp_copy kept, over;
  kp_copy_init(&kept, rank[0], dims[0], from[0], from[0]);
  kp_copy_init(&over, rank[1], dims[1], from[1], from[1]);
  if (x->type == KAPELL_FLOAT)
    mvn_float(&kept, &over, scaled, x->data, run->outputs[0]->data);
  else
    mvn_double(&kept, &over, scaled, x->data, run->outputs[0]->data);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators of these names; LayerNormalization and Simplified... before 17 as exporters wrote them
    {.name = "LayerNormalization", .since = 1, .types = KP_M_REALS, .prepare = norm_prepare, .plan = layer_plan, .run = layer_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.name = "RMSNormalization", .since = 23, .types = KP_M_REALS, .prepare = norm_prepare, .plan = layer_plan, .run = layer_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.name = "SimplifiedLayerNormalization", .since = 1, .types = KP_M_REALS, .prepare = norm_prepare, .plan = layer_plan, .run = layer_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.name = "InstanceNormalization", .since = 1, .types = KP_M_REALS, .prepare = norm_prepare, .plan = channel_plan, .run = channel_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.name = "GroupNormalization", .since = 18, .types = KP_M_REALS, .prepare = norm_prepare, .plan = channel_plan, .run = channel_run, .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.name = "LpNormalization", .since = 1, .types = KP_M_REALS, .supports = lp_supports, .run = lp_run, .flags = KP_OP_WIDEN},
    {.name = "MeanVarianceNormalization", .since = 1, .types = KP_M_REALS, .run = mvn_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(norm);
