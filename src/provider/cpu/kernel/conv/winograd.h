// Winograd's minimal filtering for 3x3 kernels, F(2x2, 3x3) and F(4x4, 3x3): what conv.c and the templates share.
//
// An output tile of m x m pixels comes from (m + 2)^2 input pixels: Y = A^T [ (G g G^T) .* (B^T d B) ] A, summed over input
// channels between the two transforms, which makes one matrix product per point out of them. The interpolation points decide
// the rounding error: F(4) takes 0, +-5/8, +-3/2 and infinity, whose B and A are exact in f32 and which halve the error of the
// usual 0, +-1, +-2 (relative RMS on 64 channels 7e-7 instead of 1.6e-6; a plain sum has 3e-7). F(2) takes 0, +-1, infinity.
// Internal to conv/.
#ifndef KP_PROVIDER_CPU_KERNEL_CONV_WINOGRAD_H_
#define KP_PROVIDER_CPU_KERNEL_CONV_WINOGRAD_H_

#include <stddef.h>

#include "provider/cpu/kernel/conv/conv.h"

// F(4)'s points and their squares.
#define KP_WINOGRAD_P 0.625
#define KP_WINOGRAD_Q 1.5

// Rows and columns of output of one tile.
static inline size_t kp_winograd_side(kp_conv_algorithm algorithm) {
  return algorithm == KP_CONV_WINOGRAD4 ? 4 : 2;
}
// Points: products per tile and channel pair.
static inline size_t kp_winograd_points(kp_conv_algorithm algorithm) {
  return algorithm == KP_CONV_WINOGRAD4 ? 36 : 16;
}
// Output channels between the two transforms at a time.
#define KP_WINOGRAD_COLS 64
// Floats from point to point of a [tiles][channels] block: an odd number of cache lines, so that the points of one channel do
// not all fall into one set of the cache.
static inline size_t kp_winograd_point_stride(size_t tiles, size_t channels) {
  const size_t lines = (tiles * channels + 15) / 16;
  return (lines | 1) * 16;
}

#endif  // KP_PROVIDER_CPU_KERNEL_CONV_WINOGRAD_H_
