// Softmax and its logarithm, f32.
//
// y = exp(x - max) / sum, and x - max - log(sum). Aliasing: y == x with equal strides is allowed. Alignment: none.
// Special: a NaN or +infinity makes its whole row NaN; -infinity gives 0; a row of only -infinity gives NaN, as ONNX's
//   formula does. Accuracy: within 4 ulp of the f64 reference for cols <= 1024. Threads: split by rows (or by columns).
#ifndef KP_PROVIDER_CPU_KERNEL_SOFTMAX_SOFTMAX_H_
#define KP_PROVIDER_CPU_KERNEL_SOFTMAX_SOFTMAX_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/variant.h"

typedef struct kp_softmax_ops {
  const char* isa;
  // Along the last axis: each of |rows| rows of |cols| >= 1 floats; strides in floats.
  void (*rows)(size_t rows, size_t cols, const float* x, size_t x_stride, float* y, size_t y_stride,
               bool log);
  // Along the first axis of [count][cols]: each of |cols| columns over |count| >= 1 rows. To split, pass a slice of columns.
  void (*columns)(size_t count, size_t cols, const float* x, size_t x_stride, float* y,
                  size_t y_stride, bool log);
} kp_softmax_ops;

KP_DECLARE_FAMILY(softmax);

#endif  // KP_PROVIDER_CPU_KERNEL_SOFTMAX_SOFTMAX_H_
