// Plain f32 products whose row count is known only in the run: experts of MoE, matrices that are dequantised into scratch.
#ifndef KP_PROVIDER_CPU_OP_DENSE_H_
#define KP_PROVIDER_CPU_OP_DENSE_H_

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/help.h"

// y[rows][n] = a[rows][k] * B + bias.
typedef struct kp_dense {
  const kp_gemm_ops* gemm;
  size_t rows, k, n;
  const float* a;
  const float* b;  // as |form| says; rows (or columns, where transposed) lie next to each other
  kp_gemm_b form;
  const float* bias;  // [n] or NULL
  float* y;
} kp_dense;

// Bytes of scratch for products of inner dimension up to |k| on |width| threads. Error LIMIT.
KP_MUST_USE kp_status* kp_dense_scratch(const kp_gemm_ops* gemm, size_t k, int width,
                                        size_t* out_byte_count);
void kp_dense_multiply(const kp_dense* dense, int width, void* scratch, const volatile int* cancel);

#endif  // KP_PROVIDER_CPU_OP_DENSE_H_
