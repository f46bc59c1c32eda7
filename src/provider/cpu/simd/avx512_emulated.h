// AVX-512's intrinsics, as far as f32_avx512.h uses them, in plain C: lets a machine without the instructions run that variant's
// sources under the tests (the build option KAPELL_EMULATE_AVX512). Never in a product: it is slow.
//
// Each function does what Intel's guide says for the lane; names are redirected by macros, because <immintrin.h> declares the
// real ones even where they cannot be called.
#ifndef KP_PROVIDER_CPU_SIMD_AVX512_EMULATED_H_
#define KP_PROVIDER_CPU_SIMD_AVX512_EMULATED_H_

#include <immintrin.h>

typedef struct kp_emu_f {
  float f[16];
} kp_emu_f;
typedef struct kp_emu_i {
  int32_t i[16];
} kp_emu_i;

// Not inlined: templates unroll to hundreds of these, which would take the compiler minutes.
#define KP_EMU static __attribute__((noinline, unused))
#define KP_EMU_LANES for (int n = 0; n < 16; ++n)
#define KP_EMU_BINARY_F(name, expression)                 \
  KP_EMU kp_emu_f kp_emu_##name(kp_emu_f a, kp_emu_f b) { \
    kp_emu_f r;                                           \
    KP_EMU_LANES r.f[n] = (expression);                   \
    return r;                                             \
  }
#define KP_EMU_BINARY_I(name, expression)                 \
  KP_EMU kp_emu_i kp_emu_##name(kp_emu_i a, kp_emu_i b) { \
    kp_emu_i r;                                           \
    KP_EMU_LANES r.i[n] = (int32_t)(expression);          \
    return r;                                             \
  }

KP_EMU_BINARY_F(add_ps, a.f[n] + b.f[n])
KP_EMU_BINARY_F(sub_ps, a.f[n] - b.f[n])
KP_EMU_BINARY_F(mul_ps, a.f[n] * b.f[n])
KP_EMU_BINARY_F(div_ps, a.f[n] / b.f[n])
KP_EMU_BINARY_F(min_ps, a.f[n] < b.f[n] ? a.f[n] : b.f[n])
KP_EMU_BINARY_F(max_ps, a.f[n] > b.f[n] ? a.f[n] : b.f[n])
KP_EMU_BINARY_I(add_epi32, (uint32_t)a.i[n] + (uint32_t)b.i[n])
KP_EMU_BINARY_I(sub_epi32, (uint32_t)a.i[n] - (uint32_t)b.i[n])
KP_EMU_BINARY_I(and_si512, a.i[n] & b.i[n])
KP_EMU_BINARY_I(or_si512, a.i[n] | b.i[n])
KP_EMU_BINARY_I(xor_si512, a.i[n] ^ b.i[n])
KP_EMU_BINARY_I(andnot_si512, ~a.i[n] & b.i[n])

KP_EMU kp_emu_f kp_emu_set1_ps(float v) {
  kp_emu_f r;
  KP_EMU_LANES r.f[n] = v;
  return r;
}
KP_EMU kp_emu_i kp_emu_set1_epi32(int32_t v) {
  kp_emu_i r;
  KP_EMU_LANES r.i[n] = v;
  return r;
}
KP_EMU kp_emu_f kp_emu_loadu_ps(const float* p) {
  kp_emu_f r;
  memcpy(&r, p, sizeof(r));
  return r;
}
KP_EMU void kp_emu_storeu_ps(float* p, kp_emu_f v) { memcpy(p, &v, sizeof(v)); }
KP_EMU kp_emu_i kp_emu_loadu_si512(const void* p) {
  kp_emu_i r;
  memcpy(&r, p, sizeof(r));
  return r;
}
KP_EMU void kp_emu_storeu_si512(void* p, kp_emu_i v) { memcpy(p, &v, sizeof(v)); }
KP_EMU kp_emu_f kp_emu_mask_loadu_ps(kp_emu_f rest, uint16_t mask, const float* p) {
  KP_EMU_LANES if (mask >> n & 1) rest.f[n] = p[n];
  return rest;
}
KP_EMU void kp_emu_mask_storeu_ps(float* p, uint16_t mask, kp_emu_f v) {
  KP_EMU_LANES if (mask >> n & 1) p[n] = v.f[n];
}
KP_EMU kp_emu_f kp_emu_mask_blend_ps(uint16_t mask, kp_emu_f a, kp_emu_f b) {
  KP_EMU_LANES if (mask >> n & 1) a.f[n] = b.f[n];
  return a;
}
KP_EMU kp_emu_f kp_emu_fmadd_ps(kp_emu_f a, kp_emu_f b, kp_emu_f c) {
  KP_EMU_LANES c.f[n] = __builtin_fmaf(a.f[n], b.f[n], c.f[n]);
  return c;
}
KP_EMU kp_emu_f kp_emu_fnmadd_ps(kp_emu_f a, kp_emu_f b, kp_emu_f c) {
  KP_EMU_LANES c.f[n] = __builtin_fmaf(-a.f[n], b.f[n], c.f[n]);
  return c;
}
KP_EMU kp_emu_f kp_emu_sqrt_ps(kp_emu_f a) {
  KP_EMU_LANES a.f[n] = sqrtf(a.f[n]);
  return a;
}
KP_EMU kp_emu_f kp_emu_roundscale_ps(kp_emu_f a, int mode) {
  KP_EMU_LANES a.f[n] = (mode & 3) == 1   ? floorf(a.f[n])
                        : (mode & 3) == 2 ? ceilf(a.f[n])
                                          : nearbyintf(a.f[n]);
  return a;
}
KP_EMU uint16_t kp_emu_cmp_ps_mask(kp_emu_f a, kp_emu_f b, int relation) {
  unsigned mask = 0;
  KP_EMU_LANES {
    const float x = a.f[n], y = b.f[n];
    const int truth = relation == _CMP_LT_OQ   ? x < y
                      : relation == _CMP_LE_OQ ? x <= y
                      : relation == _CMP_GT_OQ ? x > y
                      : relation == _CMP_GE_OQ ? x >= y
                      : relation == _CMP_EQ_OQ ? x == y
                                               : x != x || y != y;
    mask |= (unsigned)truth << n;
  }
  return (uint16_t)mask;
}
KP_EMU kp_emu_i kp_emu_castps_si512(kp_emu_f a) { return kp_emu_loadu_si512(&a); }
KP_EMU kp_emu_f kp_emu_castsi512_ps(kp_emu_i a) {
  kp_emu_f r;
  memcpy(&r, &a, sizeof(r));
  return r;
}
KP_EMU kp_emu_i kp_emu_slli_epi32(kp_emu_i a, int bits) {
  KP_EMU_LANES a.i[n] = (int32_t)((uint32_t)a.i[n] << bits);
  return a;
}
KP_EMU kp_emu_i kp_emu_srai_epi32(kp_emu_i a, int bits) {
  KP_EMU_LANES a.i[n] >>= bits;
  return a;
}
KP_EMU kp_emu_i kp_emu_srli_epi32(kp_emu_i a, int bits) {
  KP_EMU_LANES a.i[n] = (int32_t)((uint32_t)a.i[n] >> bits);
  return a;
}
// Out of range gives the "integer indefinite" value, as the instruction does.
KP_EMU kp_emu_i kp_emu_cvtps_epi32(kp_emu_f a) {
  kp_emu_i r;
  KP_EMU_LANES r.i[n] = fabsf(a.f[n]) < 0x1p31f ? (int32_t)nearbyintf(a.f[n]) : INT32_MIN;
  return r;
}
KP_EMU kp_emu_f kp_emu_cvtepi32_ps(kp_emu_i a) {
  kp_emu_f r;
  KP_EMU_LANES r.f[n] = (float)a.i[n];
  return r;
}
KP_EMU kp_emu_f kp_emu_shuffle_f32x4(kp_emu_f a, kp_emu_f b, int order) {
  kp_emu_f r;
  KP_EMU_LANES r.f[n] = (n < 8 ? a : b).f[(order >> (n / 4 * 2) & 3) * 4 + n % 4];
  return r;
}
KP_EMU kp_emu_f kp_emu_permute_ps(kp_emu_f a, int order) {
  kp_emu_f r;
  KP_EMU_LANES r.f[n] = a.f[n / 4 * 4 + (order >> (n % 4 * 2) & 3)];
  return r;
}

// --- whole numbers of 8 and 16 bits, for i8.h ---
#define KP_EMU_WIDEN(name, from_type, vector)            \
  KP_EMU kp_emu_i kp_emu_##name(vector v) {              \
    from_type lanes[sizeof(vector) / sizeof(from_type)]; \
    memcpy(lanes, &v, sizeof(lanes));                    \
    kp_emu_i r;                                          \
    KP_EMU_LANES r.i[n] = lanes[n];                      \
    return r;                                            \
  }
KP_EMU_WIDEN(cvtepi8_epi32, int8_t, __m128i)
KP_EMU_WIDEN(cvtepu8_epi32, uint8_t, __m128i)
KP_EMU_WIDEN(cvtepi16_epi32, int16_t, __m256i)
KP_EMU_WIDEN(cvtepu16_epi32, uint16_t, __m256i)
#define KP_EMU_WIDEN16(name, from_type)               \
  KP_EMU kp_emu_i kp_emu_##name(__m256i v) {          \
    from_type bytes[32];                              \
    int16_t words[32];                                \
    memcpy(bytes, &v, sizeof(bytes));                 \
    for (int n = 0; n < 32; ++n) words[n] = bytes[n]; \
    kp_emu_i r;                                       \
    memcpy(&r, words, sizeof(r));                     \
    return r;                                         \
  }
KP_EMU_WIDEN16(cvtepi8_epi16, int8_t)
KP_EMU_WIDEN16(cvtepu8_epi16, uint8_t)
KP_EMU __m128i kp_emu_cvtepi32_epi8(kp_emu_i a) {
  int8_t bytes[16];
  KP_EMU_LANES bytes[n] = (int8_t)a.i[n];
  __m128i r;
  memcpy(&r, bytes, sizeof(r));
  return r;
}
KP_EMU __m256i kp_emu_cvtepi32_epi16(kp_emu_i a) {
  int16_t words[16];
  KP_EMU_LANES words[n] = (int16_t)a.i[n];
  __m256i r;
  memcpy(&r, words, sizeof(r));
  return r;
}
KP_EMU_BINARY_I(mullo_epi32, (uint32_t)a.i[n] * (uint32_t)b.i[n])
KP_EMU kp_emu_i kp_emu_madd_epi16(kp_emu_i a, kp_emu_i b) {
  kp_emu_i r;
  KP_EMU_LANES {
    const int32_t low = (int16_t)a.i[n] * (int16_t)b.i[n];
    const int32_t high = (int16_t)((uint32_t)a.i[n] >> 16) * (int16_t)((uint32_t)b.i[n] >> 16);
    r.i[n] = (int32_t)((uint32_t)low + (uint32_t)high);
  }
  return r;
}

#define __m512 kp_emu_f
#define __m512i kp_emu_i
#define _mm512_setzero_ps() kp_emu_set1_ps(0.0f)
#define _mm512_set1_ps kp_emu_set1_ps
#define _mm512_set1_epi32 kp_emu_set1_epi32
#define _mm512_loadu_ps kp_emu_loadu_ps
#define _mm512_storeu_ps kp_emu_storeu_ps
#define _mm512_loadu_si512 kp_emu_loadu_si512
#define _mm512_storeu_si512 kp_emu_storeu_si512
#define _mm512_maskz_loadu_ps(mask, p) kp_emu_mask_loadu_ps(kp_emu_set1_ps(0.0f), mask, p)
#define _mm512_mask_loadu_ps kp_emu_mask_loadu_ps
#define _mm512_mask_storeu_ps kp_emu_mask_storeu_ps
#define _mm512_mask_blend_ps kp_emu_mask_blend_ps
#define _mm512_add_ps kp_emu_add_ps
#define _mm512_sub_ps kp_emu_sub_ps
#define _mm512_mul_ps kp_emu_mul_ps
#define _mm512_div_ps kp_emu_div_ps
#define _mm512_min_ps kp_emu_min_ps
#define _mm512_max_ps kp_emu_max_ps
#define _mm512_fmadd_ps kp_emu_fmadd_ps
#define _mm512_fnmadd_ps kp_emu_fnmadd_ps
#define _mm512_sqrt_ps kp_emu_sqrt_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps kp_emu_roundscale_ps
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask kp_emu_cmp_ps_mask
#define _mm512_castps_si512 kp_emu_castps_si512
#define _mm512_castsi512_ps kp_emu_castsi512_ps
#define _mm512_add_epi32 kp_emu_add_epi32
#define _mm512_sub_epi32 kp_emu_sub_epi32
#define _mm512_and_si512 kp_emu_and_si512
#define _mm512_or_si512 kp_emu_or_si512
#define _mm512_xor_si512 kp_emu_xor_si512
#define _mm512_andnot_si512 kp_emu_andnot_si512
#undef _mm512_slli_epi32
#define _mm512_slli_epi32 kp_emu_slli_epi32
#undef _mm512_srai_epi32
#define _mm512_srai_epi32 kp_emu_srai_epi32
#undef _mm512_srli_epi32
#define _mm512_srli_epi32 kp_emu_srli_epi32
#define _mm512_cvtps_epi32 kp_emu_cvtps_epi32
#define _mm512_cvtepi32_ps kp_emu_cvtepi32_ps
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4 kp_emu_shuffle_f32x4
#undef _mm512_permute_ps
#define _mm512_permute_ps kp_emu_permute_ps
#define _mm512_cvtepi8_epi32 kp_emu_cvtepi8_epi32
#define _mm512_cvtepu8_epi32 kp_emu_cvtepu8_epi32
#define _mm512_cvtepi16_epi32 kp_emu_cvtepi16_epi32
#define _mm512_cvtepu16_epi32 kp_emu_cvtepu16_epi32
#define _mm512_cvtepi8_epi16 kp_emu_cvtepi8_epi16
#define _mm512_cvtepu8_epi16 kp_emu_cvtepu8_epi16
#define _mm512_cvtepi32_epi8 kp_emu_cvtepi32_epi8
#define _mm512_cvtepi32_epi16 kp_emu_cvtepi32_epi16
#define _mm512_mullo_epi32 kp_emu_mullo_epi32
#define _mm512_madd_epi16 kp_emu_madd_epi16
#define _mm512_cvtss_f32(a) ((a).f[0])

#endif  // KP_PROVIDER_CPU_SIMD_AVX512_EMULATED_H_
