// Preprocessing of ai.onnx.ml: Scaler, Normalizer, Binarizer, Imputer, FeatureVectorizer, ArrayFeatureExtractor. Rows run along the last axis.
#include <math.h>

#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/element.h"
#include "provider/cpu/op/ml/ml_score.h"

#define BLOCK 256  // elements converted at a time

typedef struct row_job {
  const kp_op_run* run;
  const void* context;
  size_t rows, columns, tasks;
  void (*row)(const struct row_job* job, size_t row);
} row_job;

static void row_task(void* arg, size_t task, int worker) {
  (void)worker;
  const row_job* job = arg;
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t r = first; r < last; ++r) job->row(job, r);
}

// Calls |row| for all rows of input 0.
static void for_rows(const kp_op_run* run, const void* context,
                     void (*row)(const row_job* job, size_t row)) {
  const kapell_value* x = run->inputs[0];
  row_job job = {.run = run, .context = context, .row = row};
  job.columns = x->rank ? (size_t)x->dims[x->rank - 1] : 1;
  job.rows = job.columns ? kp_value_count(x) / job.columns : 0;
  const int threads = kp_op_width(run->width, job.rows * job.columns * 2);
  job.tasks = kp_min_size(job.rows, (size_t)threads);
  kp_parallel_for(threads, job.tasks, row_task, &job);
}

// --- Scaler ------------------------------------------------------------------------------------------------------------------
typedef struct scaler {
  const float *offset, *scale;     // NULL: 0 and 1
  size_t offset_step, scale_step;  // 0: one for all features
} scaler;

static void scale_row(const row_job* job, size_t r) {
  const scaler* s = job->context;
  const kapell_value* x = job->run->inputs[0];
  float* y = (float*)job->run->outputs[0]->data + r * job->columns;
  double block[BLOCK];
  for (size_t first = 0; first < job->columns; first += BLOCK) {
    const size_t count = kp_min_size(BLOCK, job->columns - first);
    kp_sample_numbers(x, r * job->columns + first, count, block);
    for (size_t i = 0; i < count; ++i) {
      const double offset = s->offset ? (double)s->offset[(first + i) * s->offset_step] : 0,
                   scale = s->scale ? (double)s->scale[(first + i) * s->scale_step] : 1;
      y[first + i] = (float)((block[i] - offset) * scale);
    }
  }
}

// Attribute |name| with one entry, or one a feature.
static kp_status* by_feature(const kp_node* node, const char* name, size_t features,
                             const float** out_list, size_t* out_step) {
  size_t count;
  *out_list = kp_node_attr_floats(node, name, &count);
  *out_step = count > 1;
  if (count > 1 && count != features)
    return KP_ERROR(RUN_FAILED, "attribute '%s' has %zu entries for rows of %zu", name, count,
                    features);
  return NULL;
}

static kp_status* scaler_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t features = x->rank ? (size_t)x->dims[x->rank - 1] : 1;
  scaler s;
  KP_PASS(by_feature(run->node, "offset", features, &s.offset, &s.offset_step));
  KP_PASS(by_feature(run->node, "scale", features, &s.scale, &s.scale_step));
  for_rows(run, &s, scale_row);
  return NULL;
}

// --- Normalizer --------------------------------------------------------------------------------------------------------------
typedef double (*norm_fn)(double norm, double x);
static double norm_max(double norm, double x) {
  return norm == norm && !(fabs(x) <= norm) ? fabs(x) : norm;  // a NaN stays
}
static double norm_l1(double norm, double x) { return norm + fabs(x); }
static double norm_l2(double norm, double x) { return norm + x * x; }
static const struct {
  const char* name;
  norm_fn add;
} norms[] = {{"MAX", norm_max}, {"L1", norm_l1}, {"L2", norm_l2}};

static norm_fn norm_of(const kp_node* node) {
  const kp_str name = kp_node_attr_s(node, "norm", "MAX");
  for (size_t i = 0; i < KP_COUNT_OF(norms); ++i)
    if (kp_str_is(name, norms[i].name)) return norms[i].add;
  return NULL;
}

static kp_reason normalizer_supports(const kp_op_query* query) {
  KP_REQUIRE(query, norm_of(query->node), "norm=%.*s is none of MAX, L1, L2",
             KP_STR_ARG(kp_node_attr_s(query->node, "norm", "MAX")));
  return KP_SUPPORTED;
}

static void normalize_row(const row_job* job, size_t r) {
  const norm_fn add = *(const norm_fn*)job->context;
  const kapell_value* x = job->run->inputs[0];
  float* y = (float*)job->run->outputs[0]->data + r * job->columns;
  double block[BLOCK], norm = 0;
  for (int writing = 0; writing < 2; ++writing) {
    for (size_t first = 0; first < job->columns; first += BLOCK) {
      const size_t count = kp_min_size(BLOCK, job->columns - first);
      kp_sample_numbers(x, r * job->columns + first, count, block);
      for (size_t i = 0; !writing && i < count; ++i) norm = add(norm, block[i]);
      for (size_t i = 0; writing && i < count; ++i) y[first + i] = (float)(block[i] / norm);
    }
    if (add == norm_l2 && !writing) norm = sqrt(norm);
    if (norm < 1e-30) norm = 1e-30;  // a row of zeros stays one
  }
}

static kp_status* normalizer_run(const kp_op_run* run) {
  const norm_fn add = norm_of(run->node);
  for_rows(run, &add, normalize_row);
  return NULL;
}

// --- Binarizer ---------------------------------------------------------------------------------------------------------------
static void binarize_row(const row_job* job, size_t r) {
  const double threshold = *(const float*)job->context;
  const kapell_value *x = job->run->inputs[0], *y = job->run->outputs[0];
  const bool real = kp_element_class_of(y->type) == KP_ELEMENT_REAL;
  const kp_rounding plain = {0};
  double block[BLOCK];
  int64_t whole[BLOCK];
  for (size_t first = 0; first < job->columns; first += BLOCK) {
    const size_t count = kp_min_size(BLOCK, job->columns - first), at = r * job->columns + first;
    kp_sample_numbers(x, at, count, block);
    for (size_t i = 0; i < count; ++i) block[i] = whole[i] = block[i] > threshold;
    if (real)
      kp_store_real(y->type, y->data, at, count, block, &plain);
    else
      kp_store_whole(y->type, y->data, at, count, whole, false, &plain);
  }
}

static kp_status* binarizer_run(const kp_op_run* run) {
  const float threshold = kp_node_attr_f(run->node, "threshold", 0);
  for_rows(run, &threshold, binarize_row);
  return NULL;
}

// --- Imputer -----------------------------------------------------------------------------------------------------------------
typedef struct imputer {
  const float* floats;
  const int64_t* ints;
  size_t step;  // 0: one for all features
  float replaced_float;
  int64_t replaced_int;
} imputer;

// A NaN is equal to a NaN here.
#define IMPUTE(type, c_type, list, replaced)                                                    \
  static void impute_##type(const row_job* job, size_t r) {                                     \
    const imputer* s = job->context;                                                            \
    const c_type* x = (const c_type*)job->run->inputs[0]->data + r * job->columns;              \
    c_type* y = (c_type*)job->run->outputs[0]->data + r * job->columns;                         \
    const c_type old = (c_type)s->replaced;                                                     \
    for (size_t i = 0; i < job->columns; ++i)                                                   \
      y[i] = x[i] == old || (x[i] != x[i] && old != old) ? (c_type)s->list[i * s->step] : x[i]; \
  }
IMPUTE(FLOAT, float, floats, replaced_float)
IMPUTE(DOUBLE, double, floats, replaced_float)
IMPUTE(INT64, int64_t, ints, replaced_int)
IMPUTE(INT32, int32_t, ints, replaced_int)
#undef IMPUTE

static kp_status* imputer_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const bool real = x->type == KAPELL_FLOAT || x->type == KAPELL_DOUBLE;
  const size_t features = x->rank ? (size_t)x->dims[x->rank - 1] : 1;
  size_t floats, ints;
  imputer s = {.floats = kp_node_attr_floats(run->node, "imputed_value_floats", &floats),
               .ints = kp_node_attr_ints(run->node, "imputed_value_int64s", &ints),
               .replaced_float = kp_node_attr_f(run->node, "replaced_value_float", 0),
               .replaced_int = kp_node_attr_i(run->node, "replaced_value_int64", 0)};
  const size_t count = real ? floats : ints;
  s.step = count > 1;
  if (count != 1 && count != features)
    return KP_ERROR(RUN_FAILED, "attribute '%s' has %zu entries for rows of %zu",
                    real ? "imputed_value_floats" : "imputed_value_int64s", count, features);
  for_rows(run, &s,
           x->type == KAPELL_FLOAT    ? impute_FLOAT
           : x->type == KAPELL_DOUBLE ? impute_DOUBLE
           : x->type == KAPELL_INT64  ? impute_INT64
                                      : impute_INT32);
  return NULL;
}

// --- FeatureVectorizer -------------------------------------------------------------------------------------------------------
// The rows of |x| at column |at| of |y|, cut or filled with zeros to |width|.
static void put_features(const kapell_value* x, size_t width, kapell_value* y, size_t at) {
  const size_t rows = (size_t)y->dims[0], stride = (size_t)y->dims[1];
  const size_t own = x->rank ? (size_t)x->dims[x->rank - 1] : 1, used = kp_min_size(own, width);
  const kp_rounding plain = {0};
  double block[BLOCK];
  for (size_t r = 0; r < rows; ++r) {
    float* to = (float*)y->data + r * stride + at;
    for (size_t first = 0; first < used; first += BLOCK) {
      const size_t count = kp_min_size(BLOCK, used - first);
      kp_sample_numbers(x, r * own + first, count, block);
      kp_store_real(KAPELL_FLOAT, to, first, count, block, &plain);
    }
    for (size_t i = used; i < width; ++i) to[i] = 0;
  }
}

static kp_status* vectorizer_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  size_t count, at = 0;
  const int64_t* widths = kp_node_attr_ints(run->node, "inputdimensions", &count);
  for (uint32_t i = 0; i < run->node->input_count; ++i) {
    const kapell_value* x = run->inputs[i];
    const size_t rows = x->rank > 1 ? (size_t)x->dims[0] : 1;
    const size_t width = i < count ? (size_t)widths[i] : x->rank ? (size_t)x->dims[x->rank - 1] : 1;
    if (rows != (size_t)y->dims[0])
      return KP_ERROR(RUN_FAILED, "input %u has %zu rows, the first one %lld", i, rows,
                      (long long)y->dims[0]);
    put_features(x, width, y, at);
    at += width;
  }
  return NULL;
}

// --- ArrayFeatureExtractor ---------------------------------------------------------------------------------------------------
static kp_status* extractor_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1];
  kapell_value* y = run->outputs[0];
  const int64_t columns = x->dims[x->rank - 1];
  const int64_t* index = indices->data;
  const size_t count = kp_value_count(indices), rows = kp_span(x, 0, x->rank - 1);
  for (size_t i = 0; i < count; ++i)
    if (index[i] < -columns || index[i] >= columns)
      return KP_ERROR(RUN_FAILED, "index %lld in rows of %lld", (long long)index[i],
                      (long long)columns);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < count; ++i) {
      const int64_t at = index[i] < 0 ? index[i] + columns : index[i];
      KP_PASS(kp_copy_elements(y, r * count + i, x, r * (size_t)columns + (size_t)at, 1));
    }
  }
  return NULL;
}

#define ML "ai.onnx.ml"
#define NUMBERS (KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(INT64) | KP_M(INT32))
// clang-format off
static const kp_op_def ops[] = {  // spec: ai.onnx.ml operators of these names, version 1
    {.domain = ML, .name = "Scaler", .since = 1, .types = NUMBERS, .run = scaler_run},
    {.domain = ML, .name = "Normalizer", .since = 1, .types = NUMBERS, .supports = normalizer_supports, .run = normalizer_run},
    {.domain = ML, .name = "Binarizer", .since = 1, .types = NUMBERS, .run = binarizer_run, .flags = KP_OP_INPLACE},
    {.domain = ML, .name = "Imputer", .since = 1, .types = NUMBERS, .run = imputer_run, .flags = KP_OP_INPLACE},
    {.domain = ML, .name = "FeatureVectorizer", .since = 1, .types = NUMBERS, .run = vectorizer_run},
    {.domain = ML, .name = "ArrayFeatureExtractor", .since = 1, .types = NUMBERS | KP_M(STRING), .run = extractor_run},
};
// clang-format on
KP_OP_TABLE(ml_scale);
