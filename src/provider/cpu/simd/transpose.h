// Transposes of small squares of 32-bit elements: the building block of layout changes and of packing transposed matrices.
//
// kp_transpose_square(x, x_stride, y, y_stride): y[c][r] = x[r][c] for KP_TRANSPOSE x KP_TRANSPOSE elements; strides in
// elements; x and y do not overlap.
#ifndef KP_PROVIDER_CPU_SIMD_TRANSPOSE_H_
#define KP_PROVIDER_CPU_SIMD_TRANSPOSE_H_

#include "provider/cpu/simd/f32.h"

#if defined(KP_ISA_AVX2) || defined(KP_ISA_AVX512)
#include <immintrin.h>
#define KP_TRANSPOSE 8

KP_INLINE void kp_transpose_square(const float* x, size_t x_stride, float* y, size_t y_stride) {
  // Halves of rows r and r+4 side by side first, so that all that follows stays within 128-bit lanes.
  __m256 a[8], b[8];
  for (size_t i = 0; i < 4; ++i) {
    a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + i * x_stride)),
                                _mm_loadu_ps(x + (i + 4) * x_stride), 1);
    a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + i * x_stride + 4)),
                                    _mm_loadu_ps(x + (i + 4) * x_stride + 4), 1);
  }
  for (size_t i = 0; i < 8; i += 4) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    b[i + 2] = _mm256_unpacklo_ps(a[i + 2], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_ps(a[i + 2], a[i + 3]);
  }
  for (size_t i = 0; i < 8; i += 4) {
    _mm256_storeu_ps(y + i * y_stride, _mm256_shuffle_ps(b[i], b[i + 2], 0x44));
    _mm256_storeu_ps(y + (i + 1) * y_stride, _mm256_shuffle_ps(b[i], b[i + 2], 0xEE));
    _mm256_storeu_ps(y + (i + 2) * y_stride, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44));
    _mm256_storeu_ps(y + (i + 3) * y_stride, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE));
  }
}

#elif defined(KP_ISA_NEON)
#define KP_TRANSPOSE 4

KP_INLINE void kp_transpose_square(const float* x, size_t x_stride, float* y, size_t y_stride) {
  const float32x4x2_t low = vtrnq_f32(vld1q_f32(x), vld1q_f32(x + x_stride));
  const float32x4x2_t high = vtrnq_f32(vld1q_f32(x + 2 * x_stride), vld1q_f32(x + 3 * x_stride));
  vst1q_f32(y, vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0])));
  vst1q_f32(y + y_stride, vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1])));
  vst1q_f32(y + 2 * y_stride, vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0])));
  vst1q_f32(y + 3 * y_stride, vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1])));
}

#else
#define KP_TRANSPOSE 4

KP_INLINE void kp_transpose_square(const float* x, size_t x_stride, float* y, size_t y_stride) {
  for (size_t r = 0; r < KP_TRANSPOSE; ++r) {
    for (size_t c = 0; c < KP_TRANSPOSE; ++c) y[c * y_stride + r] = x[r * x_stride + c];
  }
}
#endif

#endif  // KP_PROVIDER_CPU_SIMD_TRANSPOSE_H_
