// Activations over vectors and rows, for templates (see simd/f32.h for how those are built). epilogue.h lists the kinds.
#ifndef KP_PROVIDER_CPU_KERNEL_ACTIVATE_H_
#define KP_PROVIDER_CPU_KERNEL_ACTIVATE_H_

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/simd/f32.h"
#include "provider/cpu/simd/math.h"

KP_INLINE kp_vf kp_act_hard_sigmoid(kp_vf x, kp_vf a, kp_vf b) {
  return kp_vf_min(kp_vf_set1(1.0f), kp_vf_max(kp_vf_zero(), kp_vf_fma(a, x, b)));
}

KP_INLINE kp_vf kp_act_gelu(kp_vf x) {
  const kp_vf erf = kp_vf_erf(kp_vf_mul(x, kp_vf_set1(0.70710678118654752f)));
  return kp_vf_mul(kp_vf_mul(x, kp_vf_set1(0.5f)), kp_vf_add(erf, kp_vf_set1(1.0f)));
}

// x/2 (1 + tanh u) is x sigmoid(2u), which needs one exponential and no case for small u.
KP_INLINE kp_vf kp_act_gelu_tanh(kp_vf x) {
  const kp_vf cubic = kp_vf_fma(kp_vf_mul(x, x), kp_vf_set1(0.044715f), kp_vf_set1(1.0f));
  const kp_vf u2 = kp_vf_mul(kp_vf_mul(x, cubic), kp_vf_set1(1.5957691216057308f));
  return kp_vf_mul(x, kp_vf_sigmoid(u2));
}

// tanh(log(1 + e)) = (e^2 + 2e) / (e^2 + 2e + 2) with e = exp(x); past 20 the quotient is 1.
KP_INLINE kp_vf kp_act_mish(kp_vf x) {
  const kp_vf e = kp_vf_exp(kp_vf_min(kp_vf_set1(20.0f), x));
  const kp_vf n = kp_vf_mul(e, kp_vf_add(e, kp_vf_set1(2.0f)));
  return kp_vf_mul(x, kp_vf_div(n, kp_vf_add(n, kp_vf_set1(2.0f))));
}

// One vector; |kind| is a constant after inlining.
KP_INLINE kp_vf kp_act_vector(const kp_act_kind kind, kp_vf a, kp_vf b, kp_vf x) {
  switch (kind) {
    case KP_ACT_NONE:
      return x;
    case KP_ACT_RELU:
      return kp_vf_max(kp_vf_zero(), x);
    case KP_ACT_CLIP:
      return kp_vf_min(b, kp_vf_max(a, x));
    case KP_ACT_LEAKY_RELU:
      return kp_vf_select(kp_vf_lt(x, kp_vf_zero()), kp_vf_mul(a, x), x);
    case KP_ACT_SIGMOID:
      return kp_vf_sigmoid(x);
    case KP_ACT_HARD_SIGMOID:
      return kp_act_hard_sigmoid(x, a, b);
    case KP_ACT_HARD_SWISH:
      return kp_vf_mul(x, kp_act_hard_sigmoid(x, kp_vf_set1(1.0f / 6.0f), kp_vf_set1(0.5f)));
    case KP_ACT_SILU:
      return kp_vf_mul(x, kp_vf_sigmoid(kp_vf_mul(a, x)));
    case KP_ACT_GELU:
      return kp_act_gelu(x);
    case KP_ACT_GELU_TANH:
      return kp_act_gelu_tanh(x);
    case KP_ACT_TANH:
      return kp_vf_tanh(x);
    case KP_ACT_ELU:
      return kp_vf_select(kp_vf_lt(x, kp_vf_zero()), kp_vf_mul(a, kp_vf_expm1(x)), x);
    case KP_ACT_MISH:
      return kp_act_mish(x);
    case KP_ACT_SOFTPLUS:
      return kp_vf_softplus(x);
  }
  return x;
}

// y[rows][cols] = act(x); y == x with equal strides is allowed. Strides in floats.
static inline void kp_activate_to(size_t rows, size_t cols, const float* x, size_t x_stride,
                                  float* y, size_t y_stride, const kp_act* act) {
  const kp_vf a = kp_vf_set1(act->a);
  const kp_vf b = kp_vf_set1(act->b);
#define KP_ACT_LOOP(kind)                                                                          \
  case kind:                                                                                       \
    for (size_t r = 0; r < rows; ++r) {                                                            \
      const float* in = x + r * x_stride;                                                          \
      float* out = y + r * y_stride;                                                               \
      size_t i = 0;                                                                                \
      for (; i + KP_VF_LANES <= cols; i += KP_VF_LANES) {                                          \
        kp_vf_store(out + i, kp_act_vector(kind, a, b, kp_vf_load(in + i)));                       \
      }                                                                                            \
      if (i < cols) {                                                                              \
        kp_vf_storen(out + i, kp_act_vector(kind, a, b, kp_vf_loadn(in + i, cols - i)), cols - i); \
      }                                                                                            \
    }                                                                                              \
    break
  switch (act->kind) {
    KP_ACT_LOOP(KP_ACT_NONE);
    KP_ACT_LOOP(KP_ACT_RELU);
    KP_ACT_LOOP(KP_ACT_CLIP);
    KP_ACT_LOOP(KP_ACT_LEAKY_RELU);
    KP_ACT_LOOP(KP_ACT_SIGMOID);
    KP_ACT_LOOP(KP_ACT_HARD_SIGMOID);
    KP_ACT_LOOP(KP_ACT_HARD_SWISH);
    KP_ACT_LOOP(KP_ACT_SILU);
    KP_ACT_LOOP(KP_ACT_GELU);
    KP_ACT_LOOP(KP_ACT_GELU_TANH);
    KP_ACT_LOOP(KP_ACT_TANH);
    KP_ACT_LOOP(KP_ACT_ELU);
    KP_ACT_LOOP(KP_ACT_MISH);
    KP_ACT_LOOP(KP_ACT_SOFTPLUS);
  }
#undef KP_ACT_LOOP
}

// In place.
static inline void kp_activate_rows(size_t rows, size_t cols, float* c, size_t c_stride,
                                    const kp_act* act) {
  kp_activate_to(rows, cols, c, c_stride, c, c_stride, act);
}

#endif  // KP_PROVIDER_CPU_KERNEL_ACTIVATE_H_
