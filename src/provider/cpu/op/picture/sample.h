// Reading a tensor between its elements: the places around a point and their weights, for any number of dims.
#ifndef KP_PROVIDER_CPU_OP_SAMPLE_H_
#define KP_PROVIDER_CPU_OP_SAMPLE_H_

#include "provider/cpu/op/help.h"

#define KP_MAX_SAMPLE 8   // dims
#define KP_SAMPLE_EACH 4  // places along one dim, at most

// Places along one dim: |count| indices, of which those outside of [0, size) are zeros and count for nothing.
typedef struct kp_sample_dim {
  int64_t size;
  int64_t index[KP_SAMPLE_EACH];
  double weight[KP_SAMPLE_EACH];
} kp_sample_dim;

typedef struct kp_tap {
  size_t offset;
  double weight;
} kp_tap;

// Two places around |x| (any number; NaN: outside), linear.
void kp_sample_linear(double x, kp_sample_dim* dim);

// The places of all dims together, |each| along every one of |rank| >= 1: flat offsets and products of weights, those of weight 0 left
// out. Returns how many, at most each^rank.
size_t kp_sample_join(int32_t rank, const kp_sample_dim* dims, size_t each, kp_tap* taps);

// Sum over the taps. |x| is the first element.
static inline float kp_sample_f32(const float* x, const kp_tap* taps, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += taps[i].weight * (double)x[taps[i].offset];
  return (float)sum;
}
static inline double kp_sample_f64(const double* x, const kp_tap* taps, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += taps[i].weight * x[taps[i].offset];
  return sum;
}

#endif  // KP_PROVIDER_CPU_OP_SAMPLE_H_
