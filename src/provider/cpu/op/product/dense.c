// Products of any row count, cut by columns; see dense.h.
#include "provider/cpu/op/product/dense.h"

// Floats of B that a task packs at a time.
enum { kPackFloats = 64 * 1024 };

static size_t columns_a_task(const kp_gemm_ops* gemm, size_t k) {
  return kp_max_size(1, kPackFloats / kp_max_size(k, 1) / gemm->nr) * gemm->nr;
}

static bool thread_bytes(const kp_gemm_ops* gemm, size_t k, size_t* out) {
  return kp_mul_size(k, columns_a_task(gemm, k) * sizeof(float), out) &&
         kp_align_size(*out, KP_ALIGNMENT, out);
}

kp_status* kp_dense_scratch(const kp_gemm_ops* gemm, size_t k, int width, size_t* out_byte_count) {
  if (thread_bytes(gemm, k, out_byte_count) &&
      kp_mul_size(*out_byte_count, (size_t)width, out_byte_count))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

typedef struct dense_job {
  const kp_dense* dense;
  size_t columns, thread_bytes;
  char* scratch;
  const volatile int* cancel;
} dense_job;

static void dense_task(void* arg, size_t task, int worker) {
  const dense_job* job = arg;
  const kp_dense* d = job->dense;
  if (kp_is_cancelled(job->cancel)) return;
  const size_t first = task * job->columns, count = kp_min_size(job->columns, d->n - first);
  kp_gemm_tile tile = {.rows = d->rows,
                       .cols = count,
                       .taps = 1,
                       .depth = d->k,
                       .a = d->a,
                       .a_stride = d->k,
                       .b_row_stride = d->gemm->nr,
                       .b_panel_stride = d->gemm->nr * d->k,
                       .c = d->y + first,
                       .c_stride = d->n,
                       .epilogue = KP_EPILOGUE_NONE};
  if (d->bias) tile.epilogue.bias_n = d->bias + first;
  if (d->form == KP_GEMM_B_PACKED) {
    tile.b = d->b + first * d->k;
  } else {
    float* packed = (float*)(void*)(job->scratch + (size_t)worker * job->thread_bytes);
    const bool transposed = d->form == KP_GEMM_B_TRANSPOSED;
    d->gemm->pack_b(d->k, count, transposed ? d->b + first * d->k : d->b + first,
                    transposed ? d->k : d->n, transposed, packed);
    tile.b = packed;
  }
  d->gemm->multiply(&tile);
}

void kp_dense_multiply(const kp_dense* dense, int width, void* scratch,
                       const volatile int* cancel) {
  if (!dense->rows || !dense->n) return;
  dense_job job = {.dense = dense,
                   .columns = columns_a_task(dense->gemm, dense->k),
                   .scratch = scratch,
                   .cancel = cancel};
  if (!thread_bytes(dense->gemm, dense->k, &job.thread_bytes)) return;  // kp_dense_scratch said so
  const size_t tasks = (dense->n + job.columns - 1) / job.columns;
  kp_parallel_for_dynamic(kp_op_width(width, dense->rows * dense->n / 16 * dense->k), tasks,
                          dense_task, &job);
}
