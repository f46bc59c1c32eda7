// The vocabulary of f32.h in AVX-512 (F, BW, DQ, VL), sixteen lanes.
//
// With KP_EMULATE_AVX512 defined (the preset emulate512) the intrinsics come from a plain C stand-in, so that tests run this
// variant's sources on machines without the instructions.
#ifndef KP_PROVIDER_CPU_SIMD_F32_AVX512_H_
#define KP_PROVIDER_CPU_SIMD_F32_AVX512_H_

#ifdef KP_EMULATE_AVX512
#include "provider/cpu/simd/avx512_emulated.h"
#else
#include <immintrin.h>
#endif

#define KP_VF_LANES 16

typedef __m512 kp_vf;
typedef __m512i kp_vi;
typedef __mmask16 kp_vm;

KP_INLINE __mmask16 kp_avx512_tail_mask(size_t n) {
  return (__mmask16)(n >= 16 ? 0xFFFFu : (1u << n) - 1u);
}
KP_INLINE kp_vf kp_vf_zero(void) { return _mm512_setzero_ps(); }
KP_INLINE kp_vf kp_vf_set1(float v) { return _mm512_set1_ps(v); }
KP_INLINE kp_vf kp_vf_load(const float* p) { return _mm512_loadu_ps(p); }
KP_INLINE void kp_vf_store(float* p, kp_vf v) { _mm512_storeu_ps(p, v); }
KP_INLINE kp_vf kp_vf_loadn(const float* p, size_t n) {
  return _mm512_maskz_loadu_ps(kp_avx512_tail_mask(n), p);
}
KP_INLINE kp_vf kp_vf_loadn_or(const float* p, size_t n, kp_vf rest) {
  return _mm512_mask_loadu_ps(rest, kp_avx512_tail_mask(n), p);
}
KP_INLINE void kp_vf_storen(float* p, kp_vf v, size_t n) {
  _mm512_mask_storeu_ps(p, kp_avx512_tail_mask(n), v);
}

KP_INLINE kp_vi kp_vf_bits(kp_vf a) { return _mm512_castps_si512(a); }
KP_INLINE kp_vf kp_vi_bits(kp_vi a) { return _mm512_castsi512_ps(a); }

KP_INLINE kp_vf kp_vf_add(kp_vf a, kp_vf b) { return _mm512_add_ps(a, b); }
KP_INLINE kp_vf kp_vf_sub(kp_vf a, kp_vf b) { return _mm512_sub_ps(a, b); }
KP_INLINE kp_vf kp_vf_mul(kp_vf a, kp_vf b) { return _mm512_mul_ps(a, b); }
KP_INLINE kp_vf kp_vf_div(kp_vf a, kp_vf b) { return _mm512_div_ps(a, b); }
KP_INLINE kp_vf kp_vf_fma(kp_vf a, kp_vf b, kp_vf c) { return _mm512_fmadd_ps(a, b, c); }
KP_INLINE kp_vf kp_vf_fnma(kp_vf a, kp_vf b, kp_vf c) { return _mm512_fnmadd_ps(a, b, c); }
KP_INLINE kp_vf kp_vf_min(kp_vf a, kp_vf b) { return _mm512_min_ps(a, b); }
KP_INLINE kp_vf kp_vf_max(kp_vf a, kp_vf b) { return _mm512_max_ps(a, b); }
KP_INLINE kp_vf kp_vf_sqrt(kp_vf a) { return _mm512_sqrt_ps(a); }
KP_INLINE kp_vf kp_vf_abs(kp_vf a) {
  return kp_vi_bits(_mm512_and_si512(kp_vf_bits(a), _mm512_set1_epi32(0x7FFFFFFF)));
}
KP_INLINE kp_vf kp_vf_neg(kp_vf a) {
  return kp_vi_bits(_mm512_xor_si512(kp_vf_bits(a), _mm512_set1_epi32(INT32_MIN)));
}
KP_INLINE kp_vf kp_vf_copysign(kp_vf magnitude, kp_vf sign) {
  const __m512i sign_bit = _mm512_set1_epi32(INT32_MIN);
  return kp_vi_bits(_mm512_or_si512(_mm512_andnot_si512(sign_bit, kp_vf_bits(magnitude)),
                                    _mm512_and_si512(sign_bit, kp_vf_bits(sign))));
}
// Rounding modes of vrndscale: 0 nearest even, 1 down, 2 up; 8 silences exceptions.
KP_INLINE kp_vf kp_vf_round(kp_vf a) { return _mm512_roundscale_ps(a, 8); }
KP_INLINE kp_vf kp_vf_floor(kp_vf a) { return _mm512_roundscale_ps(a, 9); }
KP_INLINE kp_vf kp_vf_ceil(kp_vf a) { return _mm512_roundscale_ps(a, 10); }

KP_INLINE kp_vm kp_vf_lt(kp_vf a, kp_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
KP_INLINE kp_vm kp_vf_le(kp_vf a, kp_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
KP_INLINE kp_vm kp_vf_gt(kp_vf a, kp_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
KP_INLINE kp_vm kp_vf_ge(kp_vf a, kp_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
KP_INLINE kp_vm kp_vf_eq(kp_vf a, kp_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
KP_INLINE kp_vm kp_vf_isnan(kp_vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
KP_INLINE kp_vm kp_vm_and(kp_vm a, kp_vm b) { return (kp_vm)(a & b); }
KP_INLINE kp_vm kp_vm_or(kp_vm a, kp_vm b) { return (kp_vm)(a | b); }
KP_INLINE bool kp_vm_any(kp_vm m) { return m != 0; }
KP_INLINE kp_vf kp_vf_select(kp_vm m, kp_vf a, kp_vf b) { return _mm512_mask_blend_ps(m, b, a); }
KP_INLINE kp_vf kp_vf_max_nan(kp_vf a, kp_vf b) {
  return kp_vf_select(kp_vf_isnan(a), a, _mm512_max_ps(a, b));
}
KP_INLINE kp_vf kp_vf_min_nan(kp_vf a, kp_vf b) {
  return kp_vf_select(kp_vf_isnan(a), a, _mm512_min_ps(a, b));
}

KP_INLINE kp_vi kp_vi_set1(int32_t v) { return _mm512_set1_epi32(v); }
KP_INLINE kp_vi kp_vi_load(const int32_t* p) { return _mm512_loadu_si512(p); }
KP_INLINE void kp_vi_store(int32_t* p, kp_vi v) { _mm512_storeu_si512(p, v); }
KP_INLINE kp_vi kp_vi_add(kp_vi a, kp_vi b) { return _mm512_add_epi32(a, b); }
KP_INLINE kp_vi kp_vi_sub(kp_vi a, kp_vi b) { return _mm512_sub_epi32(a, b); }
KP_INLINE kp_vi kp_vi_and(kp_vi a, kp_vi b) { return _mm512_and_si512(a, b); }
KP_INLINE kp_vi kp_vi_or(kp_vi a, kp_vi b) { return _mm512_or_si512(a, b); }
// Shifts by a constant; sra keeps the sign, srl fills with zeros.
#define kp_vi_sll(a, bits) _mm512_slli_epi32((a), (bits))
#define kp_vi_sra(a, bits) _mm512_srai_epi32((a), (bits))
#define kp_vi_srl(a, bits) _mm512_srli_epi32((a), (bits))

KP_INLINE kp_vi kp_vf_to_vi(kp_vf a) { return _mm512_cvtps_epi32(a); }
KP_INLINE kp_vf kp_vi_to_vf(kp_vi a) { return _mm512_cvtepi32_ps(a); }

KP_INLINE float kp_vf_hsum(kp_vf a) {
  kp_vf b = _mm512_add_ps(a, _mm512_shuffle_f32x4(a, a, 0x4E));
  b = _mm512_add_ps(b, _mm512_shuffle_f32x4(b, b, 0xB1));
  b = _mm512_add_ps(b, _mm512_permute_ps(b, 0x4E));
  b = _mm512_add_ps(b, _mm512_permute_ps(b, 0xB1));
  return _mm512_cvtss_f32(b);
}
// A NaN in any lane makes hmax and hmin NaN.
KP_INLINE float kp_vf_hmax(kp_vf a) {
  kp_vf b = kp_vf_max_nan(a, _mm512_shuffle_f32x4(a, a, 0x4E));
  b = kp_vf_max_nan(b, _mm512_shuffle_f32x4(b, b, 0xB1));
  b = kp_vf_max_nan(b, _mm512_permute_ps(b, 0x4E));
  b = kp_vf_max_nan(b, _mm512_permute_ps(b, 0xB1));
  return _mm512_cvtss_f32(b);
}
KP_INLINE float kp_vf_hmin(kp_vf a) { return -kp_vf_hmax(kp_vf_neg(a)); }

#endif  // KP_PROVIDER_CPU_SIMD_F32_AVX512_H_
