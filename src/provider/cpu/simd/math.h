// Elementary functions over the vocabulary of f32.h, for every instruction set alike.
//
// Accuracy: largest error in ulp of the f32 result, over all floats, as math_test.c measures it; the same with and without a
//   fused multiply-add. NaN in gives NaN out; infinities give the limit.
//     exp 1.0 (denormal results included) · expm1 1.5 · log 1.2 · sigmoid 2.1 · tanh 2.4 · erf 1.1 · softplus 2.0
// Source: polynomials fitted here by Lawson's iteration, coefficients rounded one by one; ranges reduced as in Cody & Waite.
#ifndef KP_PROVIDER_CPU_SIMD_MATH_H_
#define KP_PROVIDER_CPU_SIMD_MATH_H_

#include <math.h>

#include "provider/cpu/simd/f32.h"

// x = n ln 2 + r with |r| <= ln 2 / 2; |n| is returned as a float, |out_r| is exact to the last bit of ln 2's two parts.
KP_INLINE kp_vf kp_math_reduce_exp(kp_vf x, kp_vf* out_r) {
  const kp_vf n = kp_vf_round(kp_vf_mul(x, kp_vf_set1(0x1.715476p+0f)));
  const kp_vf r = kp_vf_fnma(n, kp_vf_set1(0x1.62e400p-1f), x);
  *out_r = kp_vf_fnma(n, kp_vf_set1(0x1.7f7d1cp-20f), r);
  return n;
}

// exp(r) - 1 for |r| <= ln 2 / 2, accurate relative to itself.
KP_INLINE kp_vf kp_math_expm1_core(kp_vf r) {
  kp_vf p = kp_vf_set1(0x1.6a4b32p-10f);
  p = kp_vf_fma(p, r, kp_vf_set1(0x1.12398ep-7f));
  p = kp_vf_fma(p, r, kp_vf_set1(0x1.5558b2p-5f));
  p = kp_vf_fma(p, r, kp_vf_set1(0x1.555492p-3f));
  p = kp_vf_fma(p, r, kp_vf_set1(0x1.fffffcp-2f));
  return kp_vf_fma(kp_vf_mul(r, r), p, r);
}

// 2^n for integral n in [-126, 127].
KP_INLINE kp_vf kp_math_pow2(kp_vi n) {
  return kp_vi_bits(kp_vi_sll(kp_vi_add(n, kp_vi_set1(127)), 23));
}

KP_INLINE kp_vf kp_vf_exp(kp_vf x) {
  // Past these bounds the result is 0 or infinity; the order of operands keeps a NaN.
  const kp_vf clamped = kp_vf_min(kp_vf_set1(88.8f), kp_vf_max(kp_vf_set1(-104.0f), x));
  kp_vf r;
  const kp_vi n = kp_vf_to_vi(kp_math_reduce_exp(clamped, &r));
  const kp_vf p = kp_vf_add(kp_math_expm1_core(r), kp_vf_set1(1.0f));
  // Two factors, so that denormal results round once and large ones overflow to infinity.
  const kp_vi half = kp_vi_sra(n, 1);
  return kp_vf_mul(kp_vf_mul(p, kp_math_pow2(half)), kp_math_pow2(kp_vi_sub(n, half)));
}

KP_INLINE kp_vf kp_vf_expm1(kp_vf x) {
  const kp_vf clamped = kp_vf_min(kp_vf_set1(88.8f), kp_vf_max(kp_vf_set1(-20.0f), x));
  kp_vf r;
  const kp_vi n = kp_vf_to_vi(kp_math_reduce_exp(clamped, &r));
  const kp_vf p = kp_math_expm1_core(r);
  // 2^n (p + 1) - 1 as 2 * (s p + (s - 1/2)) with s = 2^(n-1): exact at n = 0, no overflow before the result does.
  const kp_vf s = kp_math_pow2(kp_vi_sub(n, kp_vi_set1(1)));
  const kp_vf q = kp_vf_fma(s, p, kp_vf_sub(s, kp_vf_set1(0.5f)));
  return kp_vf_add(q, q);
}

// log(m) with 2^e m = x, m in [sqrt(1/2), sqrt(2)).
KP_INLINE kp_vf kp_math_log_normal(kp_vf x, kp_vf extra_exponent) {
  const kp_vi bits = kp_vf_bits(x);
  const kp_vi e = kp_vi_sra(kp_vi_sub(bits, kp_vi_set1(0x3f3504f3)), 23);
  const kp_vf f = kp_vf_sub(kp_vi_bits(kp_vi_sub(bits, kp_vi_sll(e, 23))), kp_vf_set1(1.0f));
  const kp_vf n = kp_vf_add(kp_vi_to_vf(e), extra_exponent);
  kp_vf p = kp_vf_set1(0x1.6469e8p-4f);
  p = kp_vf_fma(p, f, kp_vf_set1(-0x1.2432b4p-3f));
  p = kp_vf_fma(p, f, kp_vf_set1(0x1.31723ap-3f));
  p = kp_vf_fma(p, f, kp_vf_set1(-0x1.538236p-3f));
  p = kp_vf_fma(p, f, kp_vf_set1(0x1.98d82ap-3f));
  p = kp_vf_fma(p, f, kp_vf_set1(-0x1.000382p-2f));
  p = kp_vf_fma(p, f, kp_vf_set1(0x1.5556d8p-2f));
  const kp_vf f2 = kp_vf_mul(f, f);
  // Small parts first: f - f^2/2 + f^3 p + n ln2.
  kp_vf low = kp_vf_fma(n, kp_vf_set1(0x1.7f7d1cp-20f), kp_vf_mul(kp_vf_mul(f2, f), p));
  low = kp_vf_fnma(f2, kp_vf_set1(0.5f), low);
  return kp_vf_fma(n, kp_vf_set1(0x1.62e400p-1f), kp_vf_add(f, low));
}

KP_INLINE kp_vf kp_vf_log(kp_vf x) {
  const kp_vm tiny = kp_vf_lt(x, kp_vf_set1(0x1p-126f));
  const kp_vf scaled = kp_vf_select(tiny, kp_vf_mul(x, kp_vf_set1(0x1p23f)), x);
  const kp_vf extra = kp_vf_select(tiny, kp_vf_set1(-23.0f), kp_vf_zero());
  kp_vf y = kp_math_log_normal(scaled, extra);
  y = kp_vf_select(kp_vf_gt(x, kp_vf_set1(0x1.fffffep127f)), x, y);
  y = kp_vf_select(kp_vf_eq(x, kp_vf_zero()), kp_vf_set1(-INFINITY), y);
  y = kp_vf_select(kp_vf_lt(x, kp_vf_zero()), kp_vf_set1(NAN), y);
  return kp_vf_select(kp_vf_isnan(x), x, y);
}

// log(1 + x) for x in [0, 1].
KP_INLINE kp_vf kp_math_log1p_unit(kp_vf x) {
  const kp_vf u = kp_vf_add(x, kp_vf_set1(1.0f));
  // What the addition rounded away, to first order.
  const kp_vf lost = kp_vf_sub(x, kp_vf_sub(u, kp_vf_set1(1.0f)));
  return kp_vf_add(kp_math_log_normal(u, kp_vf_zero()), kp_vf_div(lost, u));
}

KP_INLINE kp_vf kp_vf_sigmoid(kp_vf x) {
  const kp_vf one = kp_vf_set1(1.0f);
  return kp_vf_div(one, kp_vf_add(one, kp_vf_exp(kp_vf_neg(x))));
}

KP_INLINE kp_vf kp_vf_tanh(kp_vf x) {
  // expm1(2|x|) / (expm1(2|x|) + 2): one path for all x, accurate near zero.
  const kp_vf a = kp_vf_abs(x);
  const kp_vf e = kp_vf_expm1(kp_vf_min(kp_vf_set1(20.0f), kp_vf_add(a, a)));
  return kp_vf_copysign(kp_vf_div(e, kp_vf_add(e, kp_vf_set1(2.0f))), x);
}

KP_INLINE kp_vf kp_vf_erf(kp_vf x) {
  const kp_vf a = kp_vf_min(kp_vf_set1(4.0f), kp_vf_abs(x));
  const kp_vf a2 = kp_vf_mul(a, a);
  kp_vf small = kp_vf_set1(-0x1.36bffep-11f);
  small = kp_vf_fma(small, a2, kp_vf_set1(0x1.466fb6p-8f));
  small = kp_vf_fma(small, a2, kp_vf_set1(-0x1.b66a50p-6f));
  small = kp_vf_fma(small, a2, kp_vf_set1(0x1.ce185ep-4f));
  small = kp_vf_fma(small, a2, kp_vf_set1(-0x1.8126dcp-2f));
  small = kp_vf_fma(small, a2, kp_vf_set1(0x1.06eba6p-3f));
  small = kp_vf_fma(small, a, a);
  // 1 - exp(a q(a)), where the result is near enough to 1 that the error of exp hardly counts.
  kp_vf q = kp_vf_set1(0x1.c01108p-13f);
  q = kp_vf_fma(q, a, kp_vf_set1(-0x1.a50806p-9f));
  q = kp_vf_fma(q, a, kp_vf_set1(0x1.76e254p-6f));
  q = kp_vf_fma(q, a, kp_vf_set1(-0x1.af1874p-4f));
  q = kp_vf_fma(q, a, kp_vf_set1(-0x1.457e44p-1f));
  q = kp_vf_fma(q, a, kp_vf_set1(-0x1.20e61cp+0f));
  const kp_vf large = kp_vf_sub(kp_vf_set1(1.0f), kp_vf_exp(kp_vf_mul(a, q)));
  const kp_vf y = kp_vf_copysign(kp_vf_select(kp_vf_lt(a, kp_vf_set1(0.9375f)), small, large), x);
  return kp_vf_select(kp_vf_isnan(x), x, y);
}

// log(1 + exp(x)).
KP_INLINE kp_vf kp_vf_softplus(kp_vf x) {
  const kp_vf tail = kp_math_log1p_unit(kp_vf_exp(kp_vf_neg(kp_vf_abs(x))));
  return kp_vf_add(kp_vf_max(kp_vf_zero(), x), tail);
}

#endif  // KP_PROVIDER_CPU_SIMD_MATH_H_
