// Reductions: ReduceSum, Mean, Max, Min, Prod, SumSquare, L1, L2, LogSum, LogSumExp; axes as attribute or input. f32 sums over
// the last or the leading dims run on kernel/reduce; everything else on plain loops, real sums kept in f64.
#include <math.h>

#include "provider/cpu/kernel/reduce/reduce.h"
#include "provider/cpu/op/help.h"

typedef enum kp_fold {
  KP_FOLD_SUM,
  KP_FOLD_MEAN,
  KP_FOLD_MAX,
  KP_FOLD_MIN,
  KP_FOLD_PROD,
  KP_FOLD_SQUARES,
  KP_FOLD_L1,
  KP_FOLD_L2,
  KP_FOLD_LOG_SUM,
  KP_FOLD_LOG_SUM_EXP
} kp_fold;
static const char* const fold_names[] = {
    "ReduceSum",       "ReduceMean", "ReduceMax", "ReduceMin",    "ReduceProd",
    "ReduceSumSquare", "ReduceL1",   "ReduceL2",  "ReduceLogSum", "ReduceLogSumExp"};

// Which elements of the input meet in one of the output: dims that stay, dims that go, joined where they lie next to each other.
typedef struct kp_reduction {
  kp_fold fold;
  int32_t kept_rank, gone_rank;
  int64_t kept[KP_MAX_RANK], kept_stride[KP_MAX_RANK], gone[KP_MAX_RANK], gone_stride[KP_MAX_RANK];
  size_t kept_count, gone_count;
} kp_reduction;

static void add_dim(int64_t dim, int64_t stride, int32_t* rank, int64_t* dims, int64_t* strides) {
  if (*rank && strides[*rank - 1] == stride * dim) {
    dims[*rank - 1] *= dim;
    strides[*rank - 1] = stride;
  } else {
    dims[*rank] = dim;
    strides[(*rank)++] = stride;
  }
}

static kp_status* set_reduction(const kp_op_run* run, kp_reduction* r) {
  const kapell_value* x = run->inputs[0];
  uint32_t mask;
  bool given;
  KP_PASS(kp_axes_mask(run->node, "axes", kp_run_input(run, 1), x->rank, &mask, &given));
  memset(r, 0, sizeof *r);
  // Without axes all dims go, or, with noop_with_empty_axes, none: then each element is a set of its own.
  if (!given) mask = kp_node_attr_i(run->node, "noop_with_empty_axes", 0) ? 0 : UINT32_MAX;
  while (r->fold < KP_COUNT_OF(fold_names) - 1 && strcmp(fold_names[r->fold], run->node->op) != 0)
    ++r->fold;
  r->kept_count = r->gone_count = 1;
  int64_t strides[KP_MAX_RANK];
  kp_strides(x->rank, x->dims, strides);
  for (int32_t d = 0; d < x->rank; ++d) {
    const bool gone = mask >> d & 1;
    *(gone ? &r->gone_count : &r->kept_count) *= (size_t)x->dims[d];
    if (x->dims[d] == 1) continue;
    if (gone)
      add_dim(x->dims[d], strides[d], &r->gone_rank, r->gone, r->gone_stride);
    else
      add_dim(x->dims[d], strides[d], &r->kept_rank, r->kept, r->kept_stride);
  }
  return NULL;
}

static int64_t offset_of(size_t index, int32_t rank, const int64_t* dims, const int64_t* strides) {
  int64_t offset = 0;
  for (int32_t d = rank; d-- > 0;) {
    offset += (int64_t)(index % (size_t)dims[d]) * strides[d];
    index /= (size_t)dims[d];
  }
  return offset;
}

// Walks the elements of one output: |body| sees each as |u|.
#define WALK(c_type, body)                                                                  \
  do {                                                                                      \
    const int32_t last = r->gone_rank - 1;                                                  \
    const size_t run_length = last >= 0 ? (size_t)r->gone[last] : 1;                        \
    const int64_t step = last >= 0 ? r->gone_stride[last] : 0;                              \
    for (size_t outer = 0; run_length && outer < r->gone_count / run_length; ++outer) {     \
      const c_type* p = x + offset_of(outer, last < 0 ? 0 : last, r->gone, r->gone_stride); \
      for (size_t i = 0; i < run_length; ++i, p += step) {                                  \
        const c_type u = *p;                                                                \
        body;                                                                               \
      }                                                                                     \
    }                                                                                       \
  } while (0)

#define REAL_FOLD(type, c_type)                                                 \
  static c_type fold_##type(const kp_reduction* r, const c_type* x) {           \
    double sum = 0, most = -HUGE_VAL, least = HUGE_VAL;                         \
    switch (r->fold) {                                                          \
      case KP_FOLD_MAX:                                                         \
        WALK(c_type, if ((double)u > most || u != u || most != most) most =     \
                         most != most ? most : (double)u);                      \
        return (c_type)most;                                                    \
      case KP_FOLD_MIN:                                                         \
        WALK(c_type, if ((double)u < least || u != u || least != least) least = \
                         least != least ? least : (double)u);                   \
        return (c_type)least;                                                   \
      case KP_FOLD_PROD:                                                        \
        sum = 1;                                                                \
        WALK(c_type, sum *= (double)u);                                         \
        return (c_type)sum;                                                     \
      case KP_FOLD_SQUARES:                                                     \
        WALK(c_type, sum += (double)u * (double)u);                             \
        return (c_type)sum;                                                     \
      case KP_FOLD_L1:                                                          \
        WALK(c_type, sum += fabs((double)u));                                   \
        return (c_type)sum;                                                     \
      case KP_FOLD_L2:                                                          \
        WALK(c_type, sum += (double)u * (double)u);                             \
        return (c_type)sqrt(sum);                                               \
      case KP_FOLD_LOG_SUM_EXP:                                                 \
        WALK(c_type, if ((double)u > most || u != u) most = (double)u);         \
        if (isinf(most) || r->gone_count == 0) return (c_type)most;             \
        WALK(c_type, sum += exp((double)u - most));                             \
        return (c_type)(most + log(sum));                                       \
      default:                                                                  \
        break;                                                                  \
    }                                                                           \
    WALK(c_type, sum += (double)u);                                             \
    if (r->fold == KP_FOLD_MEAN) sum /= (double)r->gone_count;                  \
    return (c_type)(r->fold == KP_FOLD_LOG_SUM ? log(sum) : sum);               \
  }
KP_EACH_REAL(REAL_FOLD)

// Integers wrap around; means, roots and logarithms are cut towards zero, and to the limits of the type (log 0).
#define CUT(c_type, number, lowest, highest)                                                 \
  ((number) > (double)(lowest) ? (number) < (double)(highest) ? (c_type)(number) : (highest) \
                               : (lowest))
#define INT_FOLD(type, c_type, lowest, highest)                                 \
  static c_type fold_##type(const kp_reduction* r, const c_type* x) {           \
    uint64_t sum = 0;                                                           \
    double real = 0;                                                            \
    c_type most = lowest, least = highest;                                      \
    switch (r->fold) {                                                          \
      case KP_FOLD_MAX:                                                         \
        WALK(c_type, if (u > most) most = u);                                   \
        return most;                                                            \
      case KP_FOLD_MIN:                                                         \
        WALK(c_type, if (u < least) least = u);                                 \
        return least;                                                           \
      case KP_FOLD_PROD:                                                        \
        sum = 1;                                                                \
        WALK(c_type, sum *= (uint64_t)u);                                       \
        return (c_type)sum;                                                     \
      case KP_FOLD_SQUARES:                                                     \
        WALK(c_type, sum += (uint64_t)u * (uint64_t)u);                         \
        return (c_type)sum;                                                     \
      case KP_FOLD_L1:                                                          \
        WALK(c_type, sum += u > 0 ? (uint64_t)u : 0 - (uint64_t)u);             \
        return (c_type)sum;                                                     \
      case KP_FOLD_L2:                                                          \
        WALK(c_type, real += (double)u * (double)u);                            \
        return CUT(c_type, sqrt(real), lowest, highest);                        \
      case KP_FOLD_LOG_SUM_EXP:                                                 \
        WALK(c_type, real += exp((double)u));                                   \
        return CUT(c_type, log(real), lowest, highest);                         \
      default:                                                                  \
        break;                                                                  \
    }                                                                           \
    WALK(c_type, sum += (uint64_t)u);                                           \
    if (r->fold == KP_FOLD_MEAN)                                                \
      return r->gone_count ? (c_type)((c_type)sum / (c_type)r->gone_count) : 0; \
    if (r->fold != KP_FOLD_LOG_SUM) return (c_type)sum;                         \
    return CUT(c_type, log((double)(c_type)sum), lowest, highest);              \
  }
INT_FOLD(INT8, int8_t, INT8_MIN, INT8_MAX)
INT_FOLD(UINT8, uint8_t, 0, UINT8_MAX)
INT_FOLD(INT32, int32_t, INT32_MIN, INT32_MAX)
INT_FOLD(INT64, int64_t, INT64_MIN, INT64_MAX)
INT_FOLD(UINT32, uint32_t, 0, UINT32_MAX)
INT_FOLD(UINT64, uint64_t, 0, UINT64_MAX)

#define fold_BOOL fold_UINT8

typedef struct kp_reduce_job {
  const kp_op_run* run;
  const kp_reduction* reduction;
  size_t tasks;
} kp_reduce_job;

static void reduce_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_reduce_job* job = arg;
  const kp_reduction* r = job->reduction;
  const kapell_value* x = job->run->inputs[0];
  void* y = job->run->outputs[0]->data;
  size_t first, last;
  kp_share(r->kept_count, job->tasks, task, &first, &last);
  for (size_t i = first; i < last; ++i) {
    const int64_t from = offset_of(i, r->kept_rank, r->kept, r->kept_stride);
    switch (x->type) {
#define CASE(type, c_type)                                           \
  case KAPELL_##type:                                                \
    ((c_type*)y)[i] = fold_##type(r, (const c_type*)x->data + from); \
    break;
      // clang-format off
      KP_EACH_REAL(CASE)
      CASE(INT8, int8_t) CASE(UINT8, uint8_t) CASE(BOOL, uint8_t) CASE(INT32, int32_t) CASE(INT64, int64_t)
      CASE(UINT32, uint32_t) CASE(UINT64, uint64_t)
      default: break;
      // clang-format on
#undef CASE
    }
  }
}
// --- f32 on kernels ----------------------------------------------------------------------------------------------------------
static kp_status* reduce_prepare(kp_op_prepare* prepare) {
  union {
    const kp_reduce_ops* ops;
    void* state;
  } kernel = {kp_reduce_select(prepare->features)};
  prepare->state = kernel.state;
  return NULL;
}

static const struct {
  bool there;
  kp_reduce_kind kind;
} kernel_kinds[] = {
    [KP_FOLD_SUM] = {true, KP_REDUCE_SUM},    [KP_FOLD_MEAN] = {true, KP_REDUCE_MEAN},
    [KP_FOLD_MAX] = {true, KP_REDUCE_MAX},    [KP_FOLD_MIN] = {true, KP_REDUCE_MIN},
    [KP_FOLD_PROD] = {true, KP_REDUCE_PROD},  [KP_FOLD_SQUARES] = {true, KP_REDUCE_SUM_SQUARE},
    [KP_FOLD_L1] = {true, KP_REDUCE_SUM_ABS}, [KP_FOLD_LOG_SUM_EXP] = {false, KP_REDUCE_SUM}};

// [outer][count][inner], reduced along |count|: what most reductions are once dims are joined.
typedef struct kp_plain_reduction {
  size_t outer, count, inner;
} kp_plain_reduction;

static bool is_plain(const kp_op_run* run, const kp_reduction* r, kp_plain_reduction* out) {
  if (run->inputs[0]->type != KAPELL_FLOAT || !kernel_kinds[r->fold].there || r->gone_rank != 1 ||
      r->kept_rank > 2)
    return false;
  out->count = r->gone_count;
  out->inner = (size_t)r->gone_stride[0];
  out->outer = r->kept_count / kp_max_size(out->inner, 1);
  return r->gone_count && r->kept_count;
}

typedef struct kp_plain_job {
  const kp_op_run* run;
  kp_plain_reduction shape;
  kp_reduce_kind kind;
  size_t tasks;
} kp_plain_job;

static void plain_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_plain_job* job = arg;
  const kp_reduce_ops* kernel = job->run->state;
  const size_t count = job->shape.count, inner = job->shape.inner;
  const float* x = job->run->inputs[0]->data;
  float* y = job->run->outputs[0]->data;
  size_t first, last;
  kp_share(job->shape.outer * inner, job->tasks, task, &first, &last);
  if (inner == 1) {
    kernel->rows(job->kind, last - first, count, x + first * count, count, y + first);
    return;
  }
  while (first < last) {  // columns of one outer block at a time
    const size_t column = first % inner, columns = kp_min_size(last - first, inner - column);
    kernel->columns(job->kind, count, columns, x + first / inner * count * inner + column, inner,
                    y + first);
    first += columns;
  }
}

static void run_plain(const kp_op_run* run, const kp_plain_reduction* shape, kp_fold fold) {
  kp_plain_job job = {.run = run, .shape = *shape, .kind = kernel_kinds[fold].kind};
  const size_t results = shape->outer * shape->inner;
  const int threads = kp_op_width(run->width, results * shape->count / 4);
  job.tasks = kp_min_size((size_t)threads, results);
  kp_parallel_for(threads, job.tasks, plain_task, &job);
}

static kp_status* reduce_run(const kp_op_run* run) {
  kp_reduction reduction;
  KP_PASS(set_reduction(run, &reduction));
  kp_reduce_job job = {.run = run, .reduction = &reduction};
  if (!reduction.kept_count) return NULL;
  kp_plain_reduction plain;
  if (is_plain(run, &reduction, &plain)) {
    run_plain(run, &plain, reduction.fold);
    return NULL;
  }
  const int threads = kp_op_width(run->width, reduction.kept_count * reduction.gone_count);
  job.tasks = kp_min_size((size_t)threads, reduction.kept_count);
  kp_parallel_for(threads, job.tasks, reduce_task, &job);
  return NULL;
}

// clang-format off
#define KP_M_FOLD (KP_M_REALS | KP_M(INT32) | KP_M(INT64) | KP_M(UINT32) | KP_M(UINT64))
#define REDUCE(op, mask) \
  {.name = op, .since = 1, .types = mask, .prepare = reduce_prepare, .run = reduce_run, \
   .flags = KP_OP_WIDEN, .kernels = "f32: reduce, but for roots and logarithms"}
static const kp_op_def ops[] = {  // spec: ONNX operators Reduce*-1..20
    REDUCE("ReduceSum", KP_M_FOLD), REDUCE("ReduceMean", KP_M_FOLD), REDUCE("ReduceProd", KP_M_FOLD),
    REDUCE("ReduceMax", KP_M_FOLD | KP_M(INT8) | KP_M(UINT8) | KP_M(BOOL)), REDUCE("ReduceMin", KP_M_FOLD | KP_M(INT8) | KP_M(UINT8) | KP_M(BOOL)),
    REDUCE("ReduceSumSquare", KP_M_FOLD), REDUCE("ReduceL1", KP_M_FOLD), REDUCE("ReduceL2", KP_M_FOLD),
    REDUCE("ReduceLogSum", KP_M_FOLD), REDUCE("ReduceLogSumExp", KP_M_FOLD),
};
// clang-format on
KP_OP_TABLE(reduce);
