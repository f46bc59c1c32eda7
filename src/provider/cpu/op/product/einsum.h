// Einsum as a short program over strided views: permute, reduce, product. einsum.c writes it once a signature, einsum_run.c runs it.
#ifndef KP_PROVIDER_CPU_OP_EINSUM_H_
#define KP_PROVIDER_CPU_OP_EINSUM_H_

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/copy.h"

// Where a view lies, besides the inputs 0, 1, ...
enum { KP_EINSUM_SCRATCH = -1, KP_EINSUM_RESULT = -2 };

typedef struct kp_einsum_place {
  int32_t input;  // or KP_EINSUM_*
  size_t offset;  // in elements
} kp_einsum_place;

// A group of labels on both sides of a product, joined to one stride each.
typedef struct kp_einsum_side {
  size_t row, step;  // elements from one m (n) to the next, and from one k to the next
} kp_einsum_side;

typedef enum kp_einsum_kind {
  KP_EINSUM_PERMUTE,  // |copy| from a to c
  KP_EINSUM_REDUCE,   // c[m] = sum over k of a[m][k], dense
  KP_EINSUM_PRODUCT,  // c[batch][m][n] = sum over k of a[batch][m][k] b[batch][n][k]
} kp_einsum_kind;

typedef struct kp_einsum_step {
  kp_einsum_kind kind;
  kp_einsum_place a, b, c;
  kp_copy copy;
  size_t batch, m, n, k;
  kp_einsum_side a_side, b_side;
  // The batch in several dims, with a stride in a and in b each.
  int32_t batch_rank;
  int64_t batch_dims[KP_MAX_RANK], a_batch[KP_MAX_RANK], b_batch[KP_MAX_RANK];
  bool f32;  // on kernel/gemm, with the offsets of each product in tables
  kp_gemm_plan plan;
  const size_t *a_offsets, *b_offsets;
} kp_einsum_step;

typedef struct kp_einsum_program {
  kp_einsum_step* steps;
  size_t count;
  size_t elements;      // of scratch for views
  size_t gemm_at;       // bytes: scratch of products
  size_t thread_bytes;  // of one worker
} kp_einsum_program;

KP_MUST_USE kp_status* kp_einsum_run(const kp_op_run* run);

#endif  // KP_PROVIDER_CPU_OP_EINSUM_H_
