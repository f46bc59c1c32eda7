// The SIMD vocabulary of 8-bit kernels, over that of f32.h: dot products of groups of small integers, widening, narrowing.
//
// Types:   kp_qv   the operand of a dot product: KP_VF_LANES groups of KP_Q_GROUP numbers
// Forms:   KP_Q_RAW 0: numbers are int16, made from bytes by kp_q_load8.   1: numbers are bytes; B signed, A signed if KP_Q_A_SIGNED.
// Products: kp_q_dot(sums, a, b) adds to each lane the products of its group; exact, sums wrap around.
// Narrowing: kp_vi_store8/16 keep the low bytes of each lane; the caller has clipped.
#ifndef KP_PROVIDER_CPU_SIMD_I8_H_
#define KP_PROVIDER_CPU_SIMD_I8_H_

#include <stdbool.h>

#include "provider/cpu/simd/f32.h"

#if defined(KP_ISA_AVX512)

#if defined(KP_Q_VNNI)
#define KP_Q_RAW 1
#define KP_Q_A_SIGNED 0
#define KP_Q_GROUP 4
#else
#define KP_Q_RAW 0
#define KP_Q_GROUP 2
#endif
typedef __m512i kp_qv;
KP_INLINE kp_qv kp_q_dup(const void* a) {
  int32_t group;
  memcpy(&group, a, sizeof group);
  return _mm512_set1_epi32(group);
}
KP_INLINE kp_qv kp_q_load(const void* b) { return _mm512_loadu_si512(b); }
KP_INLINE void kp_q_store(void* b, kp_qv v) { _mm512_storeu_si512(b, v); }
#if KP_Q_RAW
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) { return _mm512_dpbusd_epi32(sums, a, b); }
#else
KP_INLINE kp_qv kp_q_load8(const void* b, bool is_signed) {
  const __m256i bytes = _mm256_loadu_si256(b);
  return is_signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
}
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) {
  return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b));
}
#endif
KP_INLINE kp_vi kp_vi_mul(kp_vi a, kp_vi b) { return _mm512_mullo_epi32(a, b); }
KP_INLINE void kp_vi_store8(void* p, kp_vi v) { _mm_storeu_si128(p, _mm512_cvtepi32_epi8(v)); }
KP_INLINE void kp_vi_store16(void* p, kp_vi v) { _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(v)); }
KP_INLINE kp_vi kp_vi_load8(const void* p, bool is_signed) {
  const __m128i v = _mm_loadu_si128(p);
  return is_signed ? _mm512_cvtepi8_epi32(v) : _mm512_cvtepu8_epi32(v);
}
KP_INLINE kp_vi kp_vi_load16(const void* p, bool is_signed) {
  const __m256i v = _mm256_loadu_si256(p);
  return is_signed ? _mm512_cvtepi16_epi32(v) : _mm512_cvtepu16_epi32(v);
}

#elif defined(KP_ISA_AVX2)

#if defined(KP_Q_VNNI) || defined(KP_Q_NARROW)
#define KP_Q_RAW 1
#define KP_Q_A_SIGNED 0
#define KP_Q_GROUP 4
#else
#define KP_Q_RAW 0
#define KP_Q_GROUP 2
#endif
typedef __m256i kp_qv;
KP_INLINE kp_qv kp_q_dup(const void* a) {
  int32_t group;
  memcpy(&group, a, sizeof group);
  return _mm256_set1_epi32(group);
}
KP_INLINE kp_qv kp_q_load(const void* b) { return _mm256_loadu_si256(b); }
KP_INLINE void kp_q_store(void* b, kp_qv v) { _mm256_storeu_si256(b, v); }
#if defined(KP_Q_NARROW)
// The sum of two products is kept in 16 bits, which holds it as long as B lies in [-64, 64].
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) {
  const __m256i pairs = _mm256_maddubs_epi16(a, b);
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#elif KP_Q_RAW
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) {
  return _mm256_dpbusd_avx_epi32(sums, a, b);
}
#else
KP_INLINE kp_qv kp_q_load8(const void* b, bool is_signed) {
  const __m128i bytes = _mm_loadu_si128(b);
  return is_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) {
  return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
}
#endif
KP_INLINE kp_vi kp_vi_mul(kp_vi a, kp_vi b) { return _mm256_mullo_epi32(a, b); }
KP_INLINE void kp_vi_store8(void* p, kp_vi v) {
  const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                       0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(v, low);
  _mm_storel_epi64(
      p, _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
}
KP_INLINE void kp_vi_store16(void* p, kp_vi v) {
  const __m256i low = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0,
                                       1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i words = _mm256_shuffle_epi8(v, low);
  _mm_storeu_si128(
      p, _mm_unpacklo_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
KP_INLINE kp_vi kp_vi_load8(const void* p, bool is_signed) {
  const __m128i v = _mm_loadl_epi64(p);
  return is_signed ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v);
}
KP_INLINE kp_vi kp_vi_load16(const void* p, bool is_signed) {
  const __m128i v = _mm_loadu_si128(p);
  return is_signed ? _mm256_cvtepi16_epi32(v) : _mm256_cvtepu16_epi32(v);
}

#elif defined(KP_ISA_NEON)

#if defined(KP_Q_SDOT)
#define KP_Q_RAW 1
#define KP_Q_A_SIGNED 1
#define KP_Q_GROUP 4
typedef int8x16_t kp_qv;
KP_INLINE kp_qv kp_q_dup(const void* a) {
  int32_t group;
  memcpy(&group, a, sizeof group);
  return vreinterpretq_s8_s32(vdupq_n_s32(group));
}
KP_INLINE kp_qv kp_q_load(const void* b) { return vld1q_s8(b); }
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) { return vdotq_s32(sums, b, a); }
#else
#define KP_Q_RAW 0
#define KP_Q_GROUP 1
typedef int16x4_t kp_qv;
KP_INLINE kp_qv kp_q_dup(const void* a) { return vld1_dup_s16(a); }
KP_INLINE kp_qv kp_q_load(const void* b) { return vld1_s16(b); }
KP_INLINE void kp_q_store(void* b, kp_qv v) { vst1_s16(b, v); }
KP_INLINE kp_qv kp_q_load8(const void* b, bool is_signed) {
  uint32_t bytes;
  memcpy(&bytes, b, sizeof bytes);
  const uint8x8_t v = vcreate_u8(bytes);
  return is_signed ? vget_low_s16(vmovl_s8(vreinterpret_s8_u8(v)))
                   : vget_low_s16(vreinterpretq_s16_u16(vmovl_u8(v)));
}
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) { return vmlal_s16(sums, b, a); }
#endif
KP_INLINE kp_vi kp_vi_mul(kp_vi a, kp_vi b) { return vmulq_s32(a, b); }
KP_INLINE void kp_vi_store8(void* p, kp_vi v) {
  const int16x4_t words = vmovn_s32(v);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
  memcpy(p, &four, sizeof four);
}
KP_INLINE void kp_vi_store16(void* p, kp_vi v) { vst1_s16(p, vmovn_s32(v)); }
KP_INLINE kp_vi kp_vi_load8(const void* p, bool is_signed) {
  uint32_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  const uint8x8_t v = vcreate_u8(bytes);
  return is_signed ? vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(v))))
                   : vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(v))));
}
KP_INLINE kp_vi kp_vi_load16(const void* p, bool is_signed) {
  return is_signed ? vmovl_s16(vld1_s16(p)) : vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p)));
}

#else  // scalar: the form of the byte instructions, so that the arithmetic around it is tested on every machine

#define KP_Q_RAW 1
#define KP_Q_A_SIGNED 0
#define KP_Q_GROUP 4
typedef struct kp_qv {
  uint8_t bytes[4];
} kp_qv;
KP_INLINE kp_qv kp_q_load(const void* b) {
  kp_qv v;
  memcpy(&v, b, sizeof v);
  return v;
}
KP_INLINE kp_qv kp_q_dup(const void* a) { return kp_q_load(a); }
KP_INLINE kp_vi kp_q_dot(kp_vi sums, kp_qv a, kp_qv b) {
  int32_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += a.bytes[i] * (int8_t)b.bytes[i];
  return kp_vi_add(sums, sum);
}
KP_INLINE kp_vi kp_vi_mul(kp_vi a, kp_vi b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
KP_INLINE void kp_vi_store8(void* p, kp_vi v) { *(uint8_t*)p = (uint8_t)v; }
KP_INLINE void kp_vi_store16(void* p, kp_vi v) { *(uint16_t*)p = (uint16_t)v; }
KP_INLINE kp_vi kp_vi_load8(const void* p, bool is_signed) {
  return is_signed ? *(const int8_t*)p : *(const uint8_t*)p;
}
KP_INLINE kp_vi kp_vi_load16(const void* p, bool is_signed) {
  return is_signed ? *(const int16_t*)p : *(const uint16_t*)p;
}

#endif

#endif  // KP_PROVIDER_CPU_SIMD_I8_H_
