// 8-bit integers in the vocabulary of f32.h: loaded into the lanes of a kp_vi, stored from their lowest bytes. Whole vectors only.
#ifndef KP_PROVIDER_CPU_SIMD_BYTES_H_
#define KP_PROVIDER_CPU_SIMD_BYTES_H_

#include "provider/cpu/simd/f32.h"

#if defined(KP_ISA_AVX512) && defined(KP_EMULATE_AVX512)
KP_INLINE kp_vi kp_vi_load_u8(const uint8_t* p) {
  kp_vi r;
  for (int n = 0; n < KP_VF_LANES; ++n) r.i[n] = p[n];
  return r;
}
KP_INLINE kp_vi kp_vi_load_i8(const int8_t* p) {
  kp_vi r;
  for (int n = 0; n < KP_VF_LANES; ++n) r.i[n] = p[n];
  return r;
}
KP_INLINE void kp_vi_store_bytes(uint8_t* p, kp_vi v) {
  for (int n = 0; n < KP_VF_LANES; ++n) p[n] = (uint8_t)v.i[n];
}
#elif defined(KP_ISA_AVX512)
KP_INLINE kp_vi kp_vi_load_u8(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(const void*)p));
}
KP_INLINE kp_vi kp_vi_load_i8(const int8_t* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)(const void*)p));
}
KP_INLINE void kp_vi_store_bytes(uint8_t* p, kp_vi v) {
  _mm_storeu_si128((__m128i*)(void*)p, _mm512_cvtepi32_epi8(v));
}
#elif defined(KP_ISA_AVX2)
KP_INLINE kp_vi kp_vi_load_u8(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(const void*)p));
}
KP_INLINE kp_vi kp_vi_load_i8(const int8_t* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)(const void*)p));
}
KP_INLINE void kp_vi_store_bytes(uint8_t* p, kp_vi v) {
  const __m256i low = _mm256_shuffle_epi8(
      v, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,  //
                          0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const __m128i both =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64((__m128i*)(void*)p, both);
}
#elif defined(KP_ISA_NEON)
KP_INLINE kp_vi kp_vi_load_u8(const uint8_t* p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  const uint16x8_t wide = vmovl_u8(vcreate_u8(four));
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
}
KP_INLINE kp_vi kp_vi_load_i8(const int8_t* p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  const int16x8_t wide = vmovl_s8(vcreate_s8(four));
  return vmovl_s16(vget_low_s16(wide));
}
KP_INLINE void kp_vi_store_bytes(uint8_t* p, kp_vi v) {
  const int16x4_t half = vmovn_s32(v);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(half, half));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
  memcpy(p, &four, sizeof four);
}
#else
KP_INLINE kp_vi kp_vi_load_u8(const uint8_t* p) { return *p; }
KP_INLINE kp_vi kp_vi_load_i8(const int8_t* p) { return *p; }
KP_INLINE void kp_vi_store_bytes(uint8_t* p, kp_vi v) { *p = (uint8_t)v; }
#endif

#endif  // KP_PROVIDER_CPU_SIMD_BYTES_H_
