// f32 matrix product: the engine under MatMul, Gemm, convolutions and attention.
//
// Role:  C[m][n] = act(alpha * A[m][k] * B[k][n] + bias + beta * residual), one pass, any strides, batched.
// Three layers, each usable alone:
//   kp_gemm_ops::multiply   one tile by one thread: rows given by a stride or by a table of pointers (implicit GEMM)
//   kp_gemm_plan            how one product is cut into tasks for a thread pool; numbers only, computed per shape
//   kp_gemm_run_task        runs one task of a plan
// Use:
//   ops = kp_gemm_select(kp_cpu_features());                                      once
//   packed = floats[kp_gemm_packed_b_size(ops, k, n)]; kp_gemm_pack_b(ops, ...);  once, if B is a constant
//   kp_gemm_plan_init(ops, &shape, workers, &plan);                               per shape
//   for each i < plan.task_count, on any thread: kp_gemm_run_task(&plan, &args, i, scratch of that thread);
//
// Accuracy: each element is a sum over k in blocks of 192 to 384, each block one chain of fused multiply-adds; the order
//   does not depend on the number of tasks or threads. Error is bounded by (k + 8) * eps/2 * sum |a||b|, in practice sqrt(k).
// Threads:  pure functions; tasks write disjoint parts of C and may run at once, each with its own scratch.
// Source:   Goto & van de Geijn 2008 and BLIS for the blocking; Dukhan 2019 for rows as a table of pointers.
#ifndef KP_PROVIDER_CPU_KERNEL_GEMM_GEMM_H_
#define KP_PROVIDER_CPU_KERNEL_GEMM_GEMM_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/kernel/variant.h"

// One rectangle of C for one thread. Pointers of the epilogue are those of the rectangle's first row and column.
typedef struct kp_gemm_tile {
  size_t rows;  // of C; any number >= 1
  size_t cols;  // of C; any number >= 1
  // The inner dimension is |taps| runs of |depth| floats: taps = 1 for a matrix, kernel height * width for a convolution.
  size_t taps;
  size_t depth;
  // A, either: row r is at a + r*a_stride (taps must be 1) ...
  const float* a;
  size_t a_stride;  // in floats
  // ... or, when |a_rows| is not NULL: tap t of row r is the |depth| floats at a_rows[t*a_tap_stride + r].
  const float* const* a_rows;
  size_t a_tap_stride;  // in pointers; >= rows
  // Rows at this address are zeros and, where all rows of a micro-kernel are, left out; NULL: there are none. Read in place only.
  const float* zeros;
  // B: row k of panel p (ops->nr columns each) is at b + p*b_panel_stride + k*b_row_stride. A packed B has b_row_stride =
  // ops->nr and b_panel_stride = taps*depth*nr, the last panel filled with zeros. All nr columns of a panel are read.
  const float* b;
  size_t b_row_stride;
  size_t b_panel_stride;
  float* c;  // rows x cols; may be the epilogue's residual itself, overlaps nothing else
  size_t c_stride;
  kp_epilogue epilogue;
  float*
      a_copy;  // rows * kp_gemm_ops::depth_max floats to copy A into block by block, or NULL: read A in place
} kp_gemm_tile;

// One variant. Obtain with kp_gemm_select.
typedef struct kp_gemm_ops {
  const char* isa;
  size_t mr;         // rows of the largest micro-kernel
  size_t nr;         // columns of a packed panel
  size_t lanes;      // floats in a vector
  size_t depth_max;  // longest run of the inner dimension kept in registers before C is touched
  // Computes one tile.
  void (*multiply)(const kp_gemm_tile* tile);
  // Packs |cols| columns of B, k rows, into ceil(cols/nr) panels [k][nr], the last one filled with zeros.
  // B is [k][n] with |b_stride| from row to row; when |transposed|, [n][k] with |b_stride| from column to column.
  void (*pack_b)(size_t k, size_t cols, const float* b, size_t b_stride, bool transposed,
                 float* packed);
  // Applies |act| in place to rows x cols floats.
  void (*activate)(size_t rows, size_t cols, float* c, size_t c_stride, const kp_act* act);
} kp_gemm_ops;

KP_DECLARE_FAMILY(gemm);

// How B comes.
typedef enum kp_gemm_b {
  KP_GEMM_B_PACKED = 0,  // by kp_gemm_pack_b, at load
  KP_GEMM_B_PLAIN,       // [k][n], known at run time only
  KP_GEMM_B_TRANSPOSED,  // [n][k], known at run time only
} kp_gemm_b;

typedef struct kp_gemm_shape {
  size_t batch;    // independent products; 1 for one
  size_t m, n, k;  // all may be 0 (then nothing, or only the epilogue, is computed)
  kp_gemm_b b;
} kp_gemm_shape;

// A product cut into tasks. Plain numbers: copy freely, keep as long as |ops|.
typedef struct kp_gemm_plan {
  const kp_gemm_ops* ops;
  kp_gemm_shape shape;
  size_t task_rows, task_cols;  // of one task; the last ones may be smaller
  size_t row_tasks, col_tasks;  // per product of the batch
  size_t task_count;            // in all
  size_t scratch_bytes;         // per thread, aligned to 64 by the caller
  bool copy_a;                  // rows of A are copied next to each other first
} kp_gemm_plan;

// Pointers of one run. Strides in floats.
typedef struct kp_gemm_args {
  const float* a;  // [m][k]
  size_t a_stride;
  const float* b;   // as kp_gemm_shape.b says; packed: panels of all n columns
  size_t b_stride;  // unused when packed
  float* c;         // [m][n]
  size_t c_stride;
  kp_epilogue epilogue;
  // Product i of the batch starts a_batch_stride * i further, and so on; or, where the table of |batch| offsets is not
  // NULL, at that offset (for broadcasting). The bias is shared; the residual moves by |residual_batch_stride|.
  size_t a_batch_stride, b_batch_stride, c_batch_stride, residual_batch_stride;
  const size_t* a_offsets;
  const size_t* b_offsets;
  const size_t* residual_offsets;
} kp_gemm_args;

// Floats that kp_gemm_pack_b writes for a [k][n] matrix.
size_t kp_gemm_packed_b_size(const kp_gemm_ops* ops, size_t k, size_t n);

// Packs a constant B. Splittable: columns [first, first + cols) are written, |first| a multiple of ops->nr.
// Alignment: none needed; 64 bytes is best for |packed|.
void kp_gemm_pack_b(const kp_gemm_ops* ops, size_t k, size_t first, size_t cols, const float* b,
                    size_t b_stride, bool transposed, float* packed);

// Cuts |shape| for |workers| threads (>= 1). Costs well under a microsecond; no memory is touched but |out_plan|.
void kp_gemm_plan_init(const kp_gemm_ops* ops, const kp_gemm_shape* shape, size_t workers,
                       kp_gemm_plan* out_plan);

// Runs task |index| < plan->task_count. |scratch| has plan->scratch_bytes, may be NULL when that is 0.
void kp_gemm_run_task(const kp_gemm_plan* plan, const kp_gemm_args* args, size_t index,
                      void* scratch);

#endif  // KP_PROVIDER_CPU_KERNEL_GEMM_GEMM_H_
