// 8-bit matrix product with exact 32-bit sums: the engine under quantized products and convolutions.
//
// Role:  S[m][n] = sum over k of (A[m][k] - a_zero) * (B[k][n] - b_zero), A and B each int8 or uint8, zero points one for all, one a
//        row of A, one a column of B. Nothing saturates on the way; sums wrap around in 32 bits. What is stored: the sums
//        themselves, floats (scaled, with a bias), or 8-bit numbers again (scaled, rounded, shifted, clipped).
// Use:
//   ops = kp_qgemm_select(features);                                                    once
//   packed = bytes[kp_qgemm_packed_b_size(ops, k, n)]; kp_qgemm_pack_b(ops, ...);       once, if B is a constant
//   kp_qgemm_plan_init(ops, &shape, workers, &plan);                                    per shape
//   for each i < plan.task_count, on any thread: kp_qgemm_run_task(&plan, &args, i, scratch of that thread);
// A convolution packs the rows of A itself, window by window, and calls kp_qgemm_run_block on them.
//
// How:   variants differ in what they multiply. *Wide* ones (AVX2, AVX-512, NEON) turn A into 16 bits with its zero point taken off
//        and widen B panel by panel: pairs of products add up exactly in 32 bits. *Raw* ones (VNNI, SDOT, the scalar reference)
//        multiply bytes, one operand unsigned where the instruction wants it so; sums of rows and columns put that right.
// Threads: pure functions; tasks write disjoint parts of C and may run at once, each with its own scratch.
// Limits: sums are exact while k * 255 * 255 fits 31 bits (k <= 33025), else they wrap as integers do.
#ifndef KP_PROVIDER_CPU_KERNEL_QGEMM_QGEMM_H_
#define KP_PROVIDER_CPU_KERNEL_QGEMM_QGEMM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provider/cpu/kernel/variant.h"

// What becomes of a sum.
typedef enum kp_qgemm_kind {
  KP_QGEMM_I32 = 0,  // c = sum + bias
  KP_QGEMM_F32,      // c = (float)(sum + bias) * scale + bias_f
  KP_QGEMM_U8,  // c = clip(round((float)(sum + bias) * scale + bias_f) + zero, low, high), ties to even
  KP_QGEMM_I8,
} kp_qgemm_kind;

// Pointers are those of the first row and column of whatever the epilogue belongs to. All optional but |scale|, which KP_QGEMM_I32
// does not look at.
typedef struct kp_qgemm_epilogue {
  kp_qgemm_kind kind;
  const int32_t* bias;  // [n]
  const float* scale;   // [n] if |scale_n|, else one
  bool scale_n;
  const float* row_scale;  // [m]: multiplies |scale|
  const float* bias_f;     // [n]; not KP_QGEMM_I32
  int32_t zero;            // U8, I8: zero point of C
  int32_t low, high;       // U8, I8: bounds of C, within the type's
} kp_qgemm_epilogue;
// Whole range of the type of |kind|.
#define KP_QGEMM_LOW(kind) ((kind) == KP_QGEMM_I8 ? -128 : 0)
#define KP_QGEMM_HIGH(kind) ((kind) == KP_QGEMM_I8 ? 127 : 255)

// Zero points of one operand, of the operand's own type. |data| NULL: zero.
typedef struct kp_qgemm_zero {
  const void* data;
  bool many;  // one a row of A, or one a column of B; else one for all
} kp_qgemm_zero;

// Columns [0, nr) of C for one variant's inner loop; kp_qgemm_run_block fills it.
struct kp_qgemm_panel;
struct kp_qgemm_store;

// One variant. Obtain with kp_qgemm_select.
typedef struct kp_qgemm_ops {
  const char* isa;
  size_t mr, nr;      // rows and columns of the largest micro-kernel
  size_t group;       // A's rows and B's panels are padded to a multiple of this along k
  size_t a_bytes;     // of one element of a packed row
  size_t wide_bytes;  // scratch of multiply
  bool raw;           // multiplies bytes: see above
  bool raw_a_signed;  // raw: what the instruction takes A as; B is always signed
  // Packs |n| elements of a row. Wide: x - zero; raw: the byte, sign bit turned over where the instruction wants the other kind.
  void (*pack_a)(size_t n, const void* x, bool is_signed, int32_t zero, void* packed);
  // Packs |n| elements that equal the zero point (padding of a convolution).
  void (*fill_a)(size_t n, bool is_signed, int32_t zero, void* packed);
  // Sum of |n| packed elements.
  int32_t (*sum_a)(size_t n, const void* packed);
  // Bytes of one panel of packed B. NULL: nr sums and the padded columns, and no more.
  size_t (*panel_bytes)(size_t k);
  // Packs one panel of up to nr columns: nr sums of columns, then bytes [ceil(k / group)][nr][group] (or the variant's own form).
  void (*pack_b)(size_t k, size_t cols, const void* b, size_t b_stride, bool transposed,
                 bool is_signed, void* panel);
  void (*multiply)(const struct kp_qgemm_panel* panel);
  void (*store)(const struct kp_qgemm_store* store);
} kp_qgemm_ops;

KP_DECLARE_FAMILY(qgemm);

// The variant for a constant B of |count| numbers. Where the CPU has no byte dot products, one that multiplies bytes in pairs is
// faster as long as few neighbours in B exceed 16 bits together, which the numbers' distribution tells.
const kp_qgemm_ops* kp_qgemm_select_for(uint64_t features, size_t count, const void* b,
                                        bool is_signed);

// ---- constant B ----

// Bytes that kp_qgemm_pack_b writes; SIZE_MAX if that does not fit.
size_t kp_qgemm_packed_b_size(const kp_qgemm_ops* ops, size_t k, size_t n);
// Packs B [k][n] with |b_stride| bytes from row to row; when |transposed| [n][k], from column to column. |packed|: 64-byte aligned.
void kp_qgemm_pack_b(const kp_qgemm_ops* ops, size_t k, size_t n, const void* b, size_t b_stride,
                     bool transposed, bool is_signed, void* packed);

// ---- products ----

typedef enum kp_qgemm_b {
  KP_QGEMM_B_PACKED = 0,  // by kp_qgemm_pack_b
  KP_QGEMM_B_PLAIN,       // [k][n]
  KP_QGEMM_B_TRANSPOSED,  // [n][k]
} kp_qgemm_b;

typedef struct kp_qgemm_shape {
  size_t batch;
  size_t m, n, k;  // all may be 0
  kp_qgemm_b b;
  bool a_signed, b_signed;
} kp_qgemm_shape;

typedef struct kp_qgemm_plan {
  const kp_qgemm_ops* ops;
  kp_qgemm_shape shape;
  size_t block_rows;            // rows of A packed at a time
  size_t task_rows, task_cols;  // of one task; the last ones may be smaller
  size_t row_tasks, col_tasks;  // per product
  size_t task_count;
  size_t scratch_bytes;  // per thread, aligned to 64 by the caller
} kp_qgemm_plan;

typedef struct kp_qgemm_args {
  const void* a;    // [m][k]
  size_t a_stride;  // in elements, as all strides here
  kp_qgemm_zero a_zero;
  const void* b;  // as kp_qgemm_shape.b says
  size_t b_stride;
  kp_qgemm_zero b_zero;
  void* c;  // [m][n]
  size_t c_stride;
  kp_qgemm_epilogue epilogue;
  // Product i of the batch: A and B begin at a_offsets[i] and b_offsets[i] (NULL: at the start), C at i * c_batch_stride. Zero
  // points that are many begin at a_zero_offsets[i] and b_zero_offsets[i] (NULL: at the start).
  const size_t *a_offsets, *b_offsets, *a_zero_offsets, *b_zero_offsets;
  size_t c_batch_stride;
} kp_qgemm_args;

// Cuts |shape| for |workers| threads (>= 1); numbers only.
void kp_qgemm_plan_init(const kp_qgemm_ops* ops, const kp_qgemm_shape* shape, size_t workers,
                        kp_qgemm_plan* out_plan);
void kp_qgemm_run_task(const kp_qgemm_plan* plan, const kp_qgemm_args* args, size_t index,
                       void* scratch);

// ---- blocks of packed rows: what convolutions use ----

typedef struct kp_qgemm_block {
  size_t rows, cols, k;
  const void* a;          // packed rows, kp_qgemm_a_stride bytes apart
  const int32_t* a_sums;  // [rows] by kp_qgemm_finish_row; NULL where kp_qgemm_wants_sums says no
  kp_qgemm_zero a_zero, b_zero;
  bool a_signed, b_signed;
  const void* b;  // packed; its first panel is that of column 0
  void* c;
  size_t c_stride;
  kp_qgemm_epilogue epilogue;
} kp_qgemm_block;

// Bytes of one packed row.
size_t kp_qgemm_a_stride(const kp_qgemm_ops* ops, size_t k);
// Bytes from a panel of packed B to the next.
size_t kp_qgemm_panel_size(const kp_qgemm_ops* ops, size_t k);
// Whether sums of A's rows are needed: B has zero points (as the variant sees them).
bool kp_qgemm_wants_sums(const kp_qgemm_ops* ops, const kp_qgemm_zero* b_zero, size_t cols,
                         bool b_signed);
// Pads a row of |k| packed elements to the group and returns its sum, less k zero points, as kp_qgemm_block.a_sums wants it.
int32_t kp_qgemm_finish_row(const kp_qgemm_ops* ops, size_t k, bool a_signed, int32_t a_zero,
                            bool wants_sum, void* packed);
// Scratch of kp_qgemm_run_block for |rows| rows.
size_t kp_qgemm_block_scratch(const kp_qgemm_ops* ops, size_t rows);
void kp_qgemm_run_block(const kp_qgemm_ops* ops, const kp_qgemm_block* block, void* scratch);

// Zero point |index| of |zero|, whose operand is int8 or uint8.
int32_t kp_qgemm_zero_at(const kp_qgemm_zero* zero, bool is_signed, size_t index);

// ---- between qgemm.c and the variants ----

typedef struct kp_qgemm_panel {
  size_t rows, k;
  const void* a;
  size_t a_stride;  // bytes
  const void* b;    // behind the sums of columns
  bool b_signed;
  void* wide;    // wide_bytes
  int32_t* acc;  // [rows][nr]
} kp_qgemm_panel;

// c[r][j] = convert(acc[r][j] + add[j] + row_sums[r] * sums_by[j] + row_zeros[r] * zeros_by[j]) for j < cols; arrays over j have nr
// entries.
typedef struct kp_qgemm_store {
  size_t rows, cols;
  const int32_t* acc;
  const int32_t* add;
  const int32_t *row_sums, *sums_by;    // both or none
  const int32_t *row_zeros, *zeros_by;  // both or none
  kp_qgemm_kind kind;
  const float* scale;
  const float* row_scale;  // or NULL
  const float* bias_f;     // or NULL
  int32_t zero, low, high;
  void* c;
  size_t c_stride;
} kp_qgemm_store;

#endif  // KP_PROVIDER_CPU_KERNEL_QGEMM_QGEMM_H_
