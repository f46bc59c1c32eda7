// The vocabulary of f32.h in plain C, one lane: the reference that other instruction sets are tested against, and the
// fallback where no other variant fits.
#ifndef KP_PROVIDER_CPU_SIMD_F32_SCALAR_H_
#define KP_PROVIDER_CPU_SIMD_F32_SCALAR_H_

#define KP_VF_LANES 1

typedef float kp_vf;
typedef int32_t kp_vi;
typedef int32_t kp_vm;

KP_INLINE kp_vf kp_vf_zero(void) { return 0.0f; }
KP_INLINE kp_vf kp_vf_set1(float v) { return v; }
KP_INLINE kp_vf kp_vf_load(const float* p) { return *p; }
KP_INLINE void kp_vf_store(float* p, kp_vf v) { *p = v; }
KP_INLINE kp_vf kp_vf_loadn(const float* p, size_t n) { return n ? *p : 0.0f; }
KP_INLINE void kp_vf_storen(float* p, kp_vf v, size_t n) {
  if (n) *p = v;
}

KP_INLINE kp_vf kp_vf_loadn_or(const float* p, size_t n, kp_vf rest) { return n ? *p : rest; }

KP_INLINE kp_vf kp_vf_add(kp_vf a, kp_vf b) { return a + b; }
KP_INLINE kp_vf kp_vf_sub(kp_vf a, kp_vf b) { return a - b; }
KP_INLINE kp_vf kp_vf_mul(kp_vf a, kp_vf b) { return a * b; }
KP_INLINE kp_vf kp_vf_div(kp_vf a, kp_vf b) { return a / b; }
KP_INLINE kp_vf kp_vf_fma(kp_vf a, kp_vf b, kp_vf c) { return a * b + c; }
KP_INLINE kp_vf kp_vf_fnma(kp_vf a, kp_vf b, kp_vf c) { return c - a * b; }
KP_INLINE kp_vf kp_vf_min(kp_vf a, kp_vf b) { return a < b ? a : b; }
KP_INLINE kp_vf kp_vf_max(kp_vf a, kp_vf b) { return a > b ? a : b; }
KP_INLINE kp_vf kp_vf_sqrt(kp_vf a) { return sqrtf(a); }
KP_INLINE kp_vf kp_vf_abs(kp_vf a) { return fabsf(a); }
KP_INLINE kp_vf kp_vf_neg(kp_vf a) { return -a; }
KP_INLINE kp_vf kp_vf_copysign(kp_vf magnitude, kp_vf sign) { return copysignf(magnitude, sign); }
KP_INLINE kp_vf kp_vf_round(kp_vf a) { return nearbyintf(a); }
KP_INLINE kp_vf kp_vf_floor(kp_vf a) { return floorf(a); }
KP_INLINE kp_vf kp_vf_ceil(kp_vf a) { return ceilf(a); }

KP_INLINE kp_vm kp_vf_lt(kp_vf a, kp_vf b) { return a < b; }
KP_INLINE kp_vm kp_vf_le(kp_vf a, kp_vf b) { return a <= b; }
KP_INLINE kp_vm kp_vf_gt(kp_vf a, kp_vf b) { return a > b; }
KP_INLINE kp_vm kp_vf_ge(kp_vf a, kp_vf b) { return a >= b; }
KP_INLINE kp_vm kp_vf_eq(kp_vf a, kp_vf b) { return a == b; }
KP_INLINE kp_vm kp_vf_isnan(kp_vf a) { return a != a; }
KP_INLINE kp_vm kp_vm_and(kp_vm a, kp_vm b) { return a & b; }
KP_INLINE kp_vm kp_vm_or(kp_vm a, kp_vm b) { return a | b; }
KP_INLINE bool kp_vm_any(kp_vm m) { return m != 0; }
KP_INLINE kp_vf kp_vf_select(kp_vm m, kp_vf a, kp_vf b) { return m ? a : b; }
KP_INLINE kp_vf kp_vf_max_nan(kp_vf a, kp_vf b) { return a != a ? a : kp_vf_max(a, b); }
KP_INLINE kp_vf kp_vf_min_nan(kp_vf a, kp_vf b) { return a != a ? a : kp_vf_min(a, b); }

KP_INLINE kp_vi kp_vi_set1(int32_t v) { return v; }
KP_INLINE kp_vi kp_vi_load(const int32_t* p) { return *p; }
KP_INLINE void kp_vi_store(int32_t* p, kp_vi v) { *p = v; }
KP_INLINE kp_vi kp_vi_add(kp_vi a, kp_vi b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
KP_INLINE kp_vi kp_vi_sub(kp_vi a, kp_vi b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
KP_INLINE kp_vi kp_vi_and(kp_vi a, kp_vi b) { return a & b; }
KP_INLINE kp_vi kp_vi_or(kp_vi a, kp_vi b) { return a | b; }
// Shifts by a constant; sra keeps the sign, srl fills with zeros.
#define kp_vi_sll(a, bits) ((int32_t)((uint32_t)(a) << (bits)))
#define kp_vi_sra(a, bits) ((a) >> (bits))
#define kp_vi_srl(a, bits) ((int32_t)((uint32_t)(a) >> (bits)))

KP_INLINE kp_vi kp_vf_bits(kp_vf a) {
  kp_vi bits;
  memcpy(&bits, &a, sizeof(bits));
  return bits;
}
KP_INLINE kp_vf kp_vi_bits(kp_vi a) {
  kp_vf value;
  memcpy(&value, &a, sizeof(value));
  return value;
}
KP_INLINE kp_vi kp_vf_to_vi(kp_vf a) { return a != a ? 0 : (int32_t)nearbyintf(a); }
KP_INLINE kp_vf kp_vi_to_vf(kp_vi a) { return (float)a; }

KP_INLINE float kp_vf_hsum(kp_vf a) { return a; }
KP_INLINE float kp_vf_hmax(kp_vf a) { return a; }
KP_INLINE float kp_vf_hmin(kp_vf a) { return a; }

#endif  // KP_PROVIDER_CPU_SIMD_F32_SCALAR_H_
