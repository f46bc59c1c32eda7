// Reductions over one axis, f32.
//
// Alignment: none. Threads: |rows| splits by rows; |columns| by columns. NaN: one NaN makes its result NaN.
// Accuracy: sums are kept in at least 8 partial sums of vectors and added as a tree every 4096 elements at the latest, so
//   the error grows with the logarithm of the length, not with the length. Empty: sum 0, product 1, max -inf, min +inf.
#ifndef KP_PROVIDER_CPU_KERNEL_REDUCE_REDUCE_H_
#define KP_PROVIDER_CPU_KERNEL_REDUCE_REDUCE_H_

#include <stddef.h>

#include "provider/cpu/kernel/variant.h"

typedef enum kp_reduce_kind {
  KP_REDUCE_SUM = 0,
  KP_REDUCE_MEAN,
  KP_REDUCE_SUM_SQUARE,
  KP_REDUCE_SUM_ABS,
  KP_REDUCE_MAX,
  KP_REDUCE_MIN,
  KP_REDUCE_PROD,
  KP_REDUCE_COUNT,
} kp_reduce_kind;

typedef struct kp_reduce_ops {
  const char* isa;
  // y[r] over the |cols| floats of row r.
  void (*rows)(kp_reduce_kind kind, size_t rows, size_t cols, const float* x, size_t x_stride,
               float* y);
  // y[c] over the |rows| rows of column c.
  void (*columns)(kp_reduce_kind kind, size_t rows, size_t cols, const float* x, size_t x_stride,
                  float* y);
} kp_reduce_ops;

KP_DECLARE_FAMILY(reduce);

#endif  // KP_PROVIDER_CPU_KERNEL_REDUCE_REDUCE_H_
