// Pooling over windows of a channels-last picture, f32.
//
// Layout: as conv/conv.h: [batch][h][w] pixels, |in_pixel| floats apart, |channels| of them used. 1-D has height 1.
// NaN:    a NaN in a window makes the result NaN.     Aliasing: none.     Threads: split by output rows.
// Global pooling is reduce/reduce.h over the pixels (kp_reduce_ops::columns).
#ifndef KP_PROVIDER_CPU_KERNEL_POOL_POOL_H_
#define KP_PROVIDER_CPU_KERNEL_POOL_POOL_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/variant.h"

typedef struct kp_pool_shape {
  size_t batch;
  size_t in_h, in_w, out_h, out_w, channels;
  size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  size_t pad_top, pad_left, pad_bottom, pad_right;  // the last two count only for |count_padding|
  size_t in_pixel, out_pixel;                       // floats from pixel to pixel
  bool count_padding;  // average: pixels of the padding count in the divisor (count_include_pad)
} kp_pool_shape;

typedef struct kp_pool_ops {
  const char* isa;
  // Output rows [row, row + rows) of batch * out_h. A window without any pixel gives -infinity (max) or 0 (average).
  void (*max)(const kp_pool_shape* s, size_t row, size_t rows, const float* x, float* y);
  void (*average)(const kp_pool_shape* s, size_t row, size_t rows, const float* x, float* y);
} kp_pool_ops;

KP_DECLARE_FAMILY(pool);

#endif  // KP_PROVIDER_CPU_KERNEL_POOL_POOL_H_
