// The vocabulary of f32.h in AArch64's Advanced SIMD, four lanes.
#ifndef KP_PROVIDER_CPU_SIMD_F32_NEON_H_
#define KP_PROVIDER_CPU_SIMD_F32_NEON_H_

#include <arm_neon.h>

#define KP_VF_LANES 4

typedef float32x4_t kp_vf;
typedef int32x4_t kp_vi;
typedef uint32x4_t kp_vm;

KP_INLINE kp_vf kp_vf_zero(void) { return vdupq_n_f32(0.0f); }
KP_INLINE kp_vf kp_vf_set1(float v) { return vdupq_n_f32(v); }
KP_INLINE kp_vf kp_vf_load(const float* p) { return vld1q_f32(p); }
KP_INLINE void kp_vf_store(float* p, kp_vf v) { vst1q_f32(p, v); }
KP_INLINE kp_vf kp_vf_loadn(const float* p, size_t n) {
  float lanes[4] = {0};
  memcpy(lanes, p, (n < 4 ? n : 4) * sizeof(float));
  return vld1q_f32(lanes);
}
KP_INLINE kp_vf kp_vf_loadn_or(const float* p, size_t n, kp_vf rest) {
  float lanes[4];
  vst1q_f32(lanes, rest);
  memcpy(lanes, p, (n < 4 ? n : 4) * sizeof(float));
  return vld1q_f32(lanes);
}
KP_INLINE void kp_vf_storen(float* p, kp_vf v, size_t n) {
  float lanes[4];
  vst1q_f32(lanes, v);
  memcpy(p, lanes, (n < 4 ? n : 4) * sizeof(float));
}

KP_INLINE kp_vf kp_vf_add(kp_vf a, kp_vf b) { return vaddq_f32(a, b); }
KP_INLINE kp_vf kp_vf_sub(kp_vf a, kp_vf b) { return vsubq_f32(a, b); }
KP_INLINE kp_vf kp_vf_mul(kp_vf a, kp_vf b) { return vmulq_f32(a, b); }
KP_INLINE kp_vf kp_vf_div(kp_vf a, kp_vf b) { return vdivq_f32(a, b); }
KP_INLINE kp_vf kp_vf_fma(kp_vf a, kp_vf b, kp_vf c) { return vfmaq_f32(c, a, b); }
KP_INLINE kp_vf kp_vf_fnma(kp_vf a, kp_vf b, kp_vf c) { return vfmsq_f32(c, a, b); }
KP_INLINE kp_vf kp_vf_select(kp_vm m, kp_vf a, kp_vf b) { return vbslq_f32(m, a, b); }
KP_INLINE kp_vm kp_vf_lt(kp_vf a, kp_vf b) { return vcltq_f32(a, b); }
KP_INLINE kp_vm kp_vf_le(kp_vf a, kp_vf b) { return vcleq_f32(a, b); }
KP_INLINE kp_vm kp_vf_gt(kp_vf a, kp_vf b) { return vcgtq_f32(a, b); }
KP_INLINE kp_vm kp_vf_ge(kp_vf a, kp_vf b) { return vcgeq_f32(a, b); }
KP_INLINE kp_vm kp_vf_eq(kp_vf a, kp_vf b) { return vceqq_f32(a, b); }
KP_INLINE kp_vm kp_vf_isnan(kp_vf a) { return vmvnq_u32(vceqq_f32(a, a)); }
KP_INLINE kp_vm kp_vm_and(kp_vm a, kp_vm b) { return vandq_u32(a, b); }
KP_INLINE kp_vm kp_vm_or(kp_vm a, kp_vm b) { return vorrq_u32(a, b); }
KP_INLINE bool kp_vm_any(kp_vm m) { return vmaxvq_u32(m) != 0; }
// The hardware's minimum and maximum would answer NaN for either operand: f32.h says |b|.
KP_INLINE kp_vf kp_vf_min(kp_vf a, kp_vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
KP_INLINE kp_vf kp_vf_max(kp_vf a, kp_vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
KP_INLINE kp_vf kp_vf_max_nan(kp_vf a, kp_vf b) { return vmaxq_f32(a, b); }
KP_INLINE kp_vf kp_vf_min_nan(kp_vf a, kp_vf b) { return vminq_f32(a, b); }
KP_INLINE kp_vf kp_vf_sqrt(kp_vf a) { return vsqrtq_f32(a); }
KP_INLINE kp_vf kp_vf_abs(kp_vf a) { return vabsq_f32(a); }
KP_INLINE kp_vf kp_vf_neg(kp_vf a) { return vnegq_f32(a); }
KP_INLINE kp_vf kp_vf_copysign(kp_vf magnitude, kp_vf sign) {
  return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
}
KP_INLINE kp_vf kp_vf_round(kp_vf a) { return vrndnq_f32(a); }
KP_INLINE kp_vf kp_vf_floor(kp_vf a) { return vrndmq_f32(a); }
KP_INLINE kp_vf kp_vf_ceil(kp_vf a) { return vrndpq_f32(a); }

KP_INLINE kp_vi kp_vi_set1(int32_t v) { return vdupq_n_s32(v); }
KP_INLINE kp_vi kp_vi_load(const int32_t* p) { return vld1q_s32(p); }
KP_INLINE void kp_vi_store(int32_t* p, kp_vi v) { vst1q_s32(p, v); }
KP_INLINE kp_vi kp_vi_add(kp_vi a, kp_vi b) { return vaddq_s32(a, b); }
KP_INLINE kp_vi kp_vi_sub(kp_vi a, kp_vi b) { return vsubq_s32(a, b); }
KP_INLINE kp_vi kp_vi_and(kp_vi a, kp_vi b) { return vandq_s32(a, b); }
KP_INLINE kp_vi kp_vi_or(kp_vi a, kp_vi b) { return vorrq_s32(a, b); }
// Shifts by a constant; sra keeps the sign, srl fills with zeros.
#define kp_vi_sll(a, bits) vshlq_n_s32((a), (bits))
#define kp_vi_sra(a, bits) vshrq_n_s32((a), (bits))
#define kp_vi_srl(a, bits) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), (bits)))

KP_INLINE kp_vi kp_vf_bits(kp_vf a) { return vreinterpretq_s32_f32(a); }
KP_INLINE kp_vf kp_vi_bits(kp_vi a) { return vreinterpretq_f32_s32(a); }
KP_INLINE kp_vi kp_vf_to_vi(kp_vf a) { return vcvtnq_s32_f32(a); }
KP_INLINE kp_vf kp_vi_to_vf(kp_vi a) { return vcvtq_f32_s32(a); }

KP_INLINE float kp_vf_hsum(kp_vf a) { return vaddvq_f32(a); }
// A NaN in any lane makes hmax and hmin NaN.
KP_INLINE float kp_vf_hmax(kp_vf a) { return vmaxvq_f32(a); }
KP_INLINE float kp_vf_hmin(kp_vf a) { return vminvq_f32(a); }

#endif  // KP_PROVIDER_CPU_SIMD_F32_NEON_H_
