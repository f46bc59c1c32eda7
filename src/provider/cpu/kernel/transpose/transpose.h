// Transposes of two axes, blocked.
//
// y[c][r] = x[r][c]. Aliasing: none. Alignment: none. Threads: split by rows of x (columns of y) or the other way round.
// NCHW to NHWC is, per picture, rows = channels and cols = pixels; NHWC to NCHW the reverse.
#ifndef KP_PROVIDER_CPU_KERNEL_TRANSPOSE_TRANSPOSE_H_
#define KP_PROVIDER_CPU_KERNEL_TRANSPOSE_TRANSPOSE_H_

#include <stddef.h>
#include <stdint.h>

#include "provider/cpu/kernel/variant.h"

typedef struct kp_transpose_ops {
  const char* isa;
  // Elements of 4 bytes; strides in elements, from row to row of x (>= cols) and of y (>= rows).
  void (*x32)(size_t rows, size_t cols, const uint32_t* x, size_t x_stride, uint32_t* y,
              size_t y_stride);
} kp_transpose_ops;

KP_DECLARE_FAMILY(transpose);

// The same for elements of 1, 2, 4, 8 or 16 bytes and for any number of matrices, one after the other |x_batch| and
// |y_batch| elements apart.
void kp_transpose_run(const kp_transpose_ops* ops, size_t element_bytes, size_t batch, size_t rows,
                      size_t cols, const void* x, size_t x_stride, size_t x_batch, void* y,
                      size_t y_stride, size_t y_batch);

#endif  // KP_PROVIDER_CPU_KERNEL_TRANSPOSE_TRANSPOSE_H_
