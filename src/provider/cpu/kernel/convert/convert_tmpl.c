// 16-bit floats to f32 and back, per instruction set. float16 has instructions on all but the portable one; bfloat16 is the upper half of
// an f32, and plain loops over it come out as vectors.
#include "provider/cpu/kernel/convert/convert.h"

#include <string.h>

#include "base/small_float.h"
#include "provider/cpu/simd/f32.h"

#if defined(KP_ISA_AVX512) && !defined(KP_EMULATE_AVX512)
#define HALVES 16
KP_INLINE void widen(const uint16_t* x, float* y) {
  _mm512_storeu_ps(y, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(const void*)x)));
}
KP_INLINE void narrow(const float* x, uint16_t* y) {
  _mm256_storeu_si256((__m256i*)(void*)y,
                      _mm512_cvtps_ph(_mm512_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(KP_ISA_AVX2) || defined(KP_ISA_AVX512)
#define HALVES 8
KP_INLINE void widen(const uint16_t* x, float* y) {
  _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(const void*)x)));
}
KP_INLINE void narrow(const float* x, uint16_t* y) {
  _mm_storeu_si128((__m128i*)(void*)y,
                   _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(KP_ISA_NEON)
#define HALVES 4
KP_INLINE void widen(const uint16_t* x, float* y) {
  vst1q_f32(y, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))));
}
KP_INLINE void narrow(const float* x, uint16_t* y) {
  vst1_u16(y, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x))));
}
#else
#define HALVES 1
KP_INLINE void widen(const uint16_t* x, float* y) { *y = kp_f16_to_f32(*x); }
KP_INLINE void narrow(const float* x, uint16_t* y) { *y = kp_f16_from_f32(*x); }
#endif

static void f16_to_f32(size_t count, const uint16_t* x, float* y) {
  size_t i = 0;
  for (; i + HALVES <= count; i += HALVES) widen(x + i, y + i);
  if (i == count) return;
  uint16_t from[HALVES] = {0};
  float to[HALVES];
  memcpy(from, x + i, (count - i) * sizeof *x);
  widen(from, to);
  memcpy(y + i, to, (count - i) * sizeof *y);
}

static void f32_to_f16(size_t count, const float* x, uint16_t* y) {
  size_t i = 0;
  for (; i + HALVES <= count; i += HALVES) narrow(x + i, y + i);
  if (i == count) return;
  float from[HALVES] = {0};
  uint16_t to[HALVES];
  memcpy(from, x + i, (count - i) * sizeof *x);
  narrow(from, to);
  memcpy(y + i, to, (count - i) * sizeof *y);
}

static void bf16_to_f32(size_t count, const uint16_t* x, float* y) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = (uint32_t)x[i] << 16;
    memcpy(&y[i], &bits, sizeof bits);
  }
}

static void f32_to_bf16(size_t count, const float* x, uint16_t* y) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    const uint32_t nan = (bits >> 16 & 0x8000) | 0x7FC0;
    y[i] = (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded);
  }
}

const kp_convert_ops KP_ISA_NAME(kp_convert) = {
    .isa = KP_ISA_STRING,
    .f16_to_f32 = f16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
};
