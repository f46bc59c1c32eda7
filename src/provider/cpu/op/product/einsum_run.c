// Running the steps of an Einsum; einsum.h.
#include "provider/cpu/op/product/einsum.h"

typedef struct kp_einsum_job {
  const kp_op_run* run;
  const kp_einsum_program* program;
  const kp_einsum_step* step;
  const void *a, *b;
  void* c;
  size_t rows, tasks;
  kp_gemm_args args;
} kp_einsum_job;

// --- any type ----------------------------------------------------------------------------------------------------------------
static void batch_offsets(const kp_einsum_step* step, size_t index, size_t* out_a, size_t* out_b) {
  *out_a = *out_b = 0;
  for (int32_t d = step->batch_rank; d-- > 0;) {
    const size_t at = d ? index % (size_t)step->batch_dims[d] : index;
    *out_a += at * (size_t)step->a_batch[d];
    *out_b += at * (size_t)step->b_batch[d];
    index /= (size_t)step->batch_dims[d];
  }
}

// Integers wrap around: the sum is kept in 64 bits and cut once.
#define ROW(type, c_type, sum_type)                                                     \
  static void product_##type(const kp_einsum_job* job, size_t row) {                    \
    const kp_einsum_step* step = job->step;                                             \
    size_t at_a, at_b;                                                                  \
    batch_offsets(step, row / step->m, &at_a, &at_b);                                   \
    const c_type* a = (const c_type*)job->a + at_a + row % step->m * step->a_side.row;  \
    c_type* c = (c_type*)job->c + row * step->n;                                        \
    for (size_t j = 0; j < step->n; ++j) {                                              \
      const c_type* b = (const c_type*)job->b + at_b + j * step->b_side.row;            \
      sum_type sum = 0;                                                                 \
      for (size_t k = 0; k < step->k; ++k)                                              \
        sum += (sum_type)a[k * step->a_side.step] * (sum_type)b[k * step->b_side.step]; \
      c[j] = (c_type)sum;                                                               \
    }                                                                                   \
  }                                                                                     \
  static void reduce_##type(const kp_einsum_job* job, size_t row) {                     \
    const c_type* a = (const c_type*)job->a + row * job->step->k;                       \
    sum_type sum = 0;                                                                   \
    for (size_t k = 0; k < job->step->k; ++k) sum += (sum_type)a[k];                    \
    ((c_type*)job->c)[row] = (c_type)sum;                                               \
  }
#define WHOLE_ROW(type, c_type) ROW(type, c_type, uint64_t)
ROW(FLOAT, float, double)
ROW(DOUBLE, double, double)
KP_EACH_INT(WHOLE_ROW)

typedef void (*row_fn)(const kp_einsum_job* job, size_t row);

static row_fn function_for(kapell_type type, kp_einsum_kind kind) {
  switch (type) {
#define CASE(type, c_type) \
  case KAPELL_##type:      \
    return kind == KP_EINSUM_PRODUCT ? product_##type : reduce_##type;
    KP_EACH_NUMBER(CASE)
#undef CASE
    default:
      return NULL;
  }
}

static void rows_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_einsum_job* job = arg;
  const row_fn fn = function_for(job->run->inputs[0]->type, job->step->kind);
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t row = first; row < last; ++row) {
    if (row % 1024 == 0 && kp_cancelled(job->run)) return;
    fn(job, row);
  }
}

static void run_rows(kp_einsum_job* job) {
  const kp_einsum_step* step = job->step;
  const bool product = step->kind == KP_EINSUM_PRODUCT;
  job->rows = product ? step->batch * step->m : step->m;
  const size_t each = product ? step->n * step->k + 8 : step->k;
  const int threads = kp_op_width(job->run->width, job->rows * each);
  job->tasks = kp_min_size(job->rows, (size_t)threads * 4);
  kp_parallel_for_dynamic(threads, job->tasks, rows_task, job);
}

// --- f32 products ------------------------------------------------------------------------------------------------------------
static void kernel_task(void* arg, size_t task, int worker) {
  const kp_einsum_job* job = arg;
  char* scratch = (char*)job->run->scratch + job->program->gemm_at;
  kp_gemm_run_task(&job->step->plan, &job->args, task,
                   scratch + (size_t)worker * job->program->thread_bytes);
}

static void run_kernel(kp_einsum_job* job) {
  const kp_einsum_step* step = job->step;
  const bool plain = step->b_side.row == 1;
  job->args = (kp_gemm_args){.a = job->a,
                             .a_stride = step->a_side.row,
                             .b = job->b,
                             .b_stride = plain ? step->b_side.step : step->b_side.row,
                             .c = job->c,
                             .c_stride = step->n,
                             .c_batch_stride = step->m * step->n,
                             .a_offsets = step->a_offsets,
                             .b_offsets = step->b_offsets,
                             .epilogue = KP_EPILOGUE_NONE};
  kp_parallel_for_dynamic(job->run->width, step->plan.task_count, kernel_task, job);
}

// --- the program -------------------------------------------------------------------------------------------------------------
static void* address(const kp_op_run* run, const kp_einsum_place* place) {
  char* base = place->input >= 0                  ? run->inputs[place->input]->data
               : place->input == KP_EINSUM_RESULT ? run->outputs[0]->data
                                                  : run->scratch;
  return base + place->offset * (kp_type_bits(run->inputs[0]->type) / 8);
}

static kp_status* permute(const kp_op_run* run, const kp_einsum_step* step) {
  const kapell_type type = run->inputs[0]->type;
  const kapell_value from = {
      .kind = KAPELL_KIND_TENSOR, .type = type, .data = address(run, &step->a)};
  kapell_value to = {.kind = KAPELL_KIND_TENSOR, .type = type, .data = address(run, &step->c)};
  return kp_copy_run(&step->copy, &to, 0, &from, 0, run->width);
}

kp_status* kp_einsum_run(const kp_op_run* run) {
  const kp_einsum_program* program = run->params;
  kapell_value* y = run->outputs[0];
  if (!program->count && y->byte_count) memset(y->data, 0, y->byte_count);
  for (size_t i = 0; i < program->count; ++i) {
    const kp_einsum_step* step = &program->steps[i];
    kp_einsum_job job = {.run = run, .program = program, .step = step};
    job.a = address(run, &step->a);
    job.c = address(run, &step->c);
    if (step->kind == KP_EINSUM_PERMUTE) {
      KP_PASS(permute(run, step));
      continue;
    }
    if (step->kind == KP_EINSUM_PRODUCT) job.b = address(run, &step->b);
    if (step->f32)
      run_kernel(&job);
    else
      run_rows(&job);
  }
  return NULL;
}
