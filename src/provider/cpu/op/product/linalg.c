// Determinants and inverses of batches of square matrices: LU with partial pivoting, in double precision.
//
// A singular matrix has a pivot of exactly 0 (LAPACK's getrf reports such): its determinant is 0; its inverse holds the infinities and
// NaNs that dividing by 0 gives, as in ONNX Runtime, because one bad matrix must not fail the others of its batch.
#include <math.h>

#include "provider/cpu/op/help.h"

typedef struct kp_square_job {
  const kp_op_run* run;
  size_t n, matrices, tasks;
  size_t doubles;  // scratch of one worker
} kp_square_job;

static void load(const kapell_value* x, size_t matrix, size_t count, double* a) {
  for (size_t i = 0; i < count; ++i) a[i] = kp_double_at(x, matrix * count + i);
}

static void put(kapell_value* y, size_t index, double value) {
  if (y->type == KAPELL_DOUBLE)
    ((double*)y->data)[index] = value;
  else
    ((float*)y->data)[index] = (float)value;
}

// Row of the largest element of column |k| from row |k| on.
static size_t pivot_row(const double* a, size_t n, size_t k) {
  size_t best = k;
  for (size_t i = k + 1; i < n; ++i)
    if (fabs(a[i * n + k]) > fabs(a[best * n + k])) best = i;
  return best;
}

static void swap_rows(double* a, size_t n, size_t i, size_t j) {
  for (size_t c = 0; i != j && c < n; ++c) {
    const double held = a[i * n + c];
    a[i * n + c] = a[j * n + c];
    a[j * n + c] = held;
  }
}

static double determinant(double* a, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; ++k) {
    const size_t p = pivot_row(a, n, k);
    swap_rows(a, n, k, p);
    if (p != k) product = -product;
    const double pivot = a[k * n + k];
    product *= pivot;
    if (pivot == 0) return 0;
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / pivot;
      for (size_t c = k + 1; c < n; ++c) a[i * n + c] -= factor * a[k * n + c];
    }
  }
  return product;
}

// Gauss and Jordan: what makes |a| the identity makes the identity |b| the inverse.
static void invert(double* a, double* b, size_t n) {
  for (size_t i = 0; i < n * n; ++i) b[i] = i % (n + 1) == 0;
  for (size_t k = 0; k < n; ++k) {
    const size_t p = pivot_row(a, n, k);
    swap_rows(a, n, k, p);
    swap_rows(b, n, k, p);
    const double by = 1 / a[k * n + k];
    for (size_t c = 0; c < n; ++c) {
      a[k * n + c] *= by;
      b[k * n + c] *= by;
    }
    for (size_t i = 0; i < n; ++i) {
      const double factor = a[i * n + k];
      for (size_t c = 0; i != k && c < n; ++c) {
        a[i * n + c] -= factor * a[k * n + c];
        b[i * n + c] -= factor * b[k * n + c];
      }
    }
  }
}

static void square_task(void* arg, size_t task, int worker) {
  const kp_square_job* job = arg;
  const bool inverse = strcmp(job->run->node->op, "Inverse") == 0;
  const size_t count = job->n * job->n;
  double* a = (double*)job->run->scratch + (size_t)worker * job->doubles;
  kapell_value* y = job->run->outputs[0];
  size_t first, last;
  kp_share(job->matrices, job->tasks, task, &first, &last);
  for (size_t m = first; m < last && !kp_cancelled(job->run); ++m) {
    load(job->run->inputs[0], m, count, a);
    if (!inverse) {
      put(y, m, determinant(a, job->n));
      continue;
    }
    invert(a, a + count, job->n);
    for (size_t i = 0; i < count; ++i) put(y, m * count + i, a[count + i]);
  }
}

static size_t side_of(const kapell_value* x) { return (size_t)x->dims[x->rank - 1]; }

static kp_status* square_plan(kp_op_plan* plan) {
  size_t bytes;
  const size_t n = side_of(plan->inputs[0]);
  if (!kp_mul_size(n, n, &bytes) || !kp_mul_size(bytes, 2 * sizeof(double), &bytes) ||
      !kp_mul_size(bytes, (size_t)plan->width, &plan->scratch_bytes))
    return KP_ERROR(LIMIT, "matrices of %zu rows", n);
  return NULL;
}

static kp_status* square_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kp_square_job job = {.run = run, .n = side_of(x), .matrices = kp_span(x, 0, x->rank - 2)};
  if (!kp_value_count(run->outputs[0])) return NULL;
  job.doubles = 2 * job.n * job.n;
  const int threads = kp_op_width(run->width, job.matrices * job.n * job.n * job.n);
  job.tasks = kp_min_size(job.matrices, (size_t)threads);
  kp_parallel_for(threads, job.tasks, square_task, &job);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator Det-11..22; ONNX Runtime's Inverse
    {.name = "Det",
     .since = 11,
     .types = KP_M_REALS,
     .plan = square_plan,
     .run = square_run,
     .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft",
     .name = "Inverse",
     .since = 1,
     .types = KP_M_REALS,
     .plan = square_plan,
     .run = square_run,
     .flags = KP_OP_WIDEN},
};
KP_OP_TABLE(linalg);
