// Weighted sums of a few places of a tensor: the arithmetic of resampling, f32.
//
// y[o][i] = sum over k < taps of weights[o][k] * x[index[o][k]][i], i < inner: one dim resampled. Along the rows of a picture
// |outputs| is 1 and |inner| a whole row; along its columns |inner| is the channels (channels last) or 1 (channels first).
// Layout: x is [places][inner] and y [outputs][inner], dense.     Aliasing: none.     Threads: split by outputs.
#ifndef KP_PROVIDER_CPU_KERNEL_RESIZE_RESIZE_H_
#define KP_PROVIDER_CPU_KERNEL_RESIZE_RESIZE_H_

#include <stddef.h>

#include "provider/cpu/kernel/variant.h"

typedef struct kp_resize_ops {
  const char* isa;
  // |index| and |weights| are [outputs][taps], taps >= 1; every index is below the places of |x|.
  void (*mix)(size_t outputs, size_t taps, size_t inner, const float* x, const size_t* index,
              const float* weights, float* y);
} kp_resize_ops;

KP_DECLARE_FAMILY(resize);

#endif  // KP_PROVIDER_CPU_KERNEL_RESIZE_RESIZE_H_
