// Resampling, per instruction set: vectors along what lies together behind the resampled dim, the taps summed in registers. Two and
// four taps (linear and cubic) are unrolled.
#include "provider/cpu/kernel/resize/resize.h"

#include "provider/cpu/simd/f32.h"

// |n| <= KP_VF_LANES sums at element |i| of |inner|.
KP_INLINE kp_vf sum_at(size_t taps, size_t inner, const float* x, const size_t* index,
                       const float* weights, size_t i, size_t n) {
  kp_vf sum = kp_vf_mul(kp_vf_set1(weights[0]), kp_vf_load_upto(x + index[0] * inner + i, n));
  KP_UNROLL
  for (size_t k = 1; k < taps; ++k)
    sum = kp_vf_fma(kp_vf_set1(weights[k]), kp_vf_load_upto(x + index[k] * inner + i, n), sum);
  return sum;
}

KP_INLINE void mix_taps(size_t outputs, const size_t taps, size_t inner, const float* x,
                        const size_t* index, const float* weights, float* y) {
  for (size_t o = 0; o < outputs; ++o, index += taps, weights += taps, y += inner) {
    size_t i = 0;
    for (; i + KP_VF_LANES <= inner; i += KP_VF_LANES)
      kp_vf_store(y + i, sum_at(taps, inner, x, index, weights, i, KP_VF_LANES));
    if (i < inner)
      kp_vf_storen(y + i, sum_at(taps, inner, x, index, weights, i, inner - i), inner - i);
  }
}

// Neighbouring outputs read places of their own: no vectors without gathers, which cost as much as the loads.
KP_INLINE void mix_single(size_t outputs, const size_t taps, const float* x, const size_t* index,
                          const float* weights, float* y) {
  for (size_t o = 0; o < outputs; ++o, index += taps, weights += taps) {
    float sum = weights[0] * x[index[0]];
    KP_UNROLL
    for (size_t k = 1; k < taps; ++k) sum += weights[k] * x[index[k]];
    y[o] = sum;
  }
}

static void resize_mix(size_t outputs, size_t taps, size_t inner, const float* x,
                       const size_t* index, const float* weights, float* y) {
  if (inner == 1) {
    if (taps == 2)
      mix_single(outputs, 2, x, index, weights, y);
    else if (taps == 4)
      mix_single(outputs, 4, x, index, weights, y);
    else
      mix_single(outputs, taps, x, index, weights, y);
  } else if (taps == 2) {
    mix_taps(outputs, 2, inner, x, index, weights, y);
  } else if (taps == 4) {
    mix_taps(outputs, 4, inner, x, index, weights, y);
  } else {
    mix_taps(outputs, taps, inner, x, index, weights, y);
  }
}

const kp_resize_ops KP_ISA_NAME(kp_resize) = {.isa = KP_ISA_STRING, .mix = resize_mix};
