// Convolutions of few output channels: the end of a net that draws a picture or a sound, a filter. A panel of the matrix engine would
// be mostly empty, so each output is a dot product along the window instead, a vector of its runs at a time. What packing and the
// kernel agree on; private to conv/.
//
// Weights are [taps][vectors of a run][out_c][lanes], zero past the end of a run: those of one step of the kernel lie together.
#ifndef KP_PROVIDER_CPU_KERNEL_CONV_NARROW_H_
#define KP_PROVIDER_CPU_KERNEL_CONV_NARROW_H_

#include <stddef.h>

enum { KP_NARROW_OUT_MAX = 4 };  // output channels; from 5 on half a panel is as good

// Vectors of one run of |depth| floats.
static inline size_t kp_narrow_vectors(size_t lanes, size_t depth) {
  return (depth + lanes - 1) / lanes;
}

#endif  // KP_PROVIDER_CPU_KERNEL_CONV_NARROW_H_
