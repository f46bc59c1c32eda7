// The vocabulary of f32.h in AVX2 + FMA, eight lanes.
#ifndef KP_PROVIDER_CPU_SIMD_F32_AVX2_H_
#define KP_PROVIDER_CPU_SIMD_F32_AVX2_H_

#include <immintrin.h>

#define KP_VF_LANES 8

typedef __m256 kp_vf;
typedef __m256i kp_vi;
typedef __m256 kp_vm;

KP_INLINE kp_vf kp_vf_zero(void) { return _mm256_setzero_ps(); }
KP_INLINE kp_vf kp_vf_set1(float v) { return _mm256_set1_ps(v); }
KP_INLINE kp_vf kp_vf_load(const float* p) { return _mm256_loadu_ps(p); }
KP_INLINE void kp_vf_store(float* p, kp_vf v) { _mm256_storeu_ps(p, v); }

KP_INLINE __m256i kp_avx2_tail_mask(size_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}
KP_INLINE kp_vf kp_vf_loadn(const float* p, size_t n) {
  return _mm256_maskload_ps(p, kp_avx2_tail_mask(n));
}
KP_INLINE kp_vf kp_vf_loadn_or(const float* p, size_t n, kp_vf rest) {
  const __m256i mask = kp_avx2_tail_mask(n);
  return _mm256_blendv_ps(rest, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
// Masked stores are microcoded on several AMD generations; pieces of 4, 2 and 1 are quick everywhere.
KP_INLINE void kp_vf_storen(float* p, kp_vf v, size_t n) {
  __m128 part = _mm256_castps256_ps128(v);
  if (n & 8) {
    _mm256_storeu_ps(p, v);
    return;
  }
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi((__m64*)(void*)p, part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
}

KP_INLINE kp_vf kp_vf_add(kp_vf a, kp_vf b) { return _mm256_add_ps(a, b); }
KP_INLINE kp_vf kp_vf_sub(kp_vf a, kp_vf b) { return _mm256_sub_ps(a, b); }
KP_INLINE kp_vf kp_vf_mul(kp_vf a, kp_vf b) { return _mm256_mul_ps(a, b); }
KP_INLINE kp_vf kp_vf_div(kp_vf a, kp_vf b) { return _mm256_div_ps(a, b); }
KP_INLINE kp_vf kp_vf_fma(kp_vf a, kp_vf b, kp_vf c) { return _mm256_fmadd_ps(a, b, c); }
KP_INLINE kp_vf kp_vf_fnma(kp_vf a, kp_vf b, kp_vf c) { return _mm256_fnmadd_ps(a, b, c); }
KP_INLINE kp_vf kp_vf_min(kp_vf a, kp_vf b) { return _mm256_min_ps(a, b); }
KP_INLINE kp_vf kp_vf_max(kp_vf a, kp_vf b) { return _mm256_max_ps(a, b); }
KP_INLINE kp_vf kp_vf_sqrt(kp_vf a) { return _mm256_sqrt_ps(a); }
KP_INLINE kp_vf kp_vf_abs(kp_vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
KP_INLINE kp_vf kp_vf_neg(kp_vf a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
KP_INLINE kp_vf kp_vf_copysign(kp_vf magnitude, kp_vf sign) {
  const __m256 sign_bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(sign_bit, magnitude), _mm256_and_ps(sign_bit, sign));
}
KP_INLINE kp_vf kp_vf_round(kp_vf a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
KP_INLINE kp_vf kp_vf_floor(kp_vf a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
KP_INLINE kp_vf kp_vf_ceil(kp_vf a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}

KP_INLINE kp_vm kp_vf_lt(kp_vf a, kp_vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
KP_INLINE kp_vm kp_vf_le(kp_vf a, kp_vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
KP_INLINE kp_vm kp_vf_gt(kp_vf a, kp_vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
KP_INLINE kp_vm kp_vf_ge(kp_vf a, kp_vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
KP_INLINE kp_vm kp_vf_eq(kp_vf a, kp_vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
KP_INLINE kp_vm kp_vf_isnan(kp_vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
KP_INLINE kp_vm kp_vm_and(kp_vm a, kp_vm b) { return _mm256_and_ps(a, b); }
KP_INLINE kp_vm kp_vm_or(kp_vm a, kp_vm b) { return _mm256_or_ps(a, b); }
KP_INLINE bool kp_vm_any(kp_vm m) { return _mm256_movemask_ps(m) != 0; }
KP_INLINE kp_vf kp_vf_select(kp_vm m, kp_vf a, kp_vf b) { return _mm256_blendv_ps(b, a, m); }
KP_INLINE kp_vf kp_vf_max_nan(kp_vf a, kp_vf b) {
  return kp_vf_select(kp_vf_isnan(a), a, _mm256_max_ps(a, b));
}
KP_INLINE kp_vf kp_vf_min_nan(kp_vf a, kp_vf b) {
  return kp_vf_select(kp_vf_isnan(a), a, _mm256_min_ps(a, b));
}

KP_INLINE kp_vi kp_vi_set1(int32_t v) { return _mm256_set1_epi32(v); }
KP_INLINE kp_vi kp_vi_load(const int32_t* p) {
  return _mm256_loadu_si256((const __m256i*)(const void*)p);
}
KP_INLINE void kp_vi_store(int32_t* p, kp_vi v) { _mm256_storeu_si256((__m256i*)(void*)p, v); }
KP_INLINE kp_vi kp_vi_add(kp_vi a, kp_vi b) { return _mm256_add_epi32(a, b); }
KP_INLINE kp_vi kp_vi_sub(kp_vi a, kp_vi b) { return _mm256_sub_epi32(a, b); }
KP_INLINE kp_vi kp_vi_and(kp_vi a, kp_vi b) { return _mm256_and_si256(a, b); }
KP_INLINE kp_vi kp_vi_or(kp_vi a, kp_vi b) { return _mm256_or_si256(a, b); }
// Shifts by a constant; sra keeps the sign, srl fills with zeros.
#define kp_vi_sll(a, bits) _mm256_slli_epi32((a), (bits))
#define kp_vi_sra(a, bits) _mm256_srai_epi32((a), (bits))
#define kp_vi_srl(a, bits) _mm256_srli_epi32((a), (bits))

KP_INLINE kp_vi kp_vf_bits(kp_vf a) { return _mm256_castps_si256(a); }
KP_INLINE kp_vf kp_vi_bits(kp_vi a) { return _mm256_castsi256_ps(a); }
KP_INLINE kp_vi kp_vf_to_vi(kp_vf a) { return _mm256_cvtps_epi32(a); }
KP_INLINE kp_vf kp_vi_to_vf(kp_vi a) { return _mm256_cvtepi32_ps(a); }

KP_INLINE float kp_vf_hsum(kp_vf a) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
// A NaN in any lane makes hmax and hmin NaN.
KP_INLINE float kp_vf_hmax(kp_vf a) {
  kp_vf b = kp_vf_max_nan(a, _mm256_permute2f128_ps(a, a, 1));
  b = kp_vf_max_nan(b, _mm256_permute_ps(b, 0x4E));
  b = kp_vf_max_nan(b, _mm256_permute_ps(b, 0xB1));
  return _mm256_cvtss_f32(b);
}
KP_INLINE float kp_vf_hmin(kp_vf a) { return -kp_vf_hmax(kp_vf_neg(a)); }

#endif  // KP_PROVIDER_CPU_SIMD_F32_AVX2_H_
