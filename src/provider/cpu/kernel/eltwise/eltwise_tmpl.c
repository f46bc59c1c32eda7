// Elementwise arithmetic, per instruction set: one loop per operation, the operation a constant inside it.
#include "provider/cpu/kernel/eltwise/eltwise.h"

#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/simd/f32.h"

#define LANES KP_VF_LANES

KP_INLINE kp_vf sign_of(kp_vf x) {
  const kp_vf one = kp_vf_copysign(kp_vf_set1(1.0f), x);
  const kp_vf value = kp_vf_select(kp_vf_eq(x, kp_vf_zero()), kp_vf_zero(), one);
  return kp_vf_select(kp_vf_isnan(x), x, value);
}

KP_INLINE kp_vf unary_vector(const kp_unary_kind kind, kp_vf x) {
  const kp_vf one = kp_vf_set1(1.0f);
  switch (kind) {
    case KP_UNARY_ABS:
      return kp_vf_abs(x);
    case KP_UNARY_NEG:
      return kp_vf_neg(x);
    case KP_UNARY_SQRT:
      return kp_vf_sqrt(x);
    case KP_UNARY_RECIPROCAL:
      return kp_vf_div(one, x);
    case KP_UNARY_RSQRT:
      return kp_vf_div(one, kp_vf_sqrt(x));
    case KP_UNARY_SQUARE:
      return kp_vf_mul(x, x);
    case KP_UNARY_EXP:
      return kp_vf_exp(x);
    case KP_UNARY_LOG:
      return kp_vf_log(x);
    case KP_UNARY_ERF:
      return kp_vf_erf(x);
    case KP_UNARY_FLOOR:
      return kp_vf_floor(x);
    case KP_UNARY_CEIL:
      return kp_vf_ceil(x);
    case KP_UNARY_ROUND:
      return kp_vf_round(x);
    case KP_UNARY_SIGN:
      return sign_of(x);
    case KP_UNARY_SOFTSIGN:
      return kp_vf_div(x, kp_vf_add(one, kp_vf_abs(x)));
    case KP_UNARY_COUNT:
      break;
  }
  return x;
}

KP_INLINE void unary_rows(const kp_unary_kind kind, size_t rows, size_t cols, const float* x,
                          size_t x_stride, float* y, size_t y_stride) {
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    size_t c = 0;
    for (; c + LANES <= cols; c += LANES) kp_vf_store(y + c, unary_vector(kind, kp_vf_load(x + c)));
    if (c < cols) kp_vf_storen(y + c, unary_vector(kind, kp_vf_loadn(x + c, cols - c)), cols - c);
  }
}

static void eltwise_unary(kp_unary_kind kind, size_t rows, size_t cols, const float* x,
                          size_t x_stride, float* y, size_t y_stride) {
#define CASE(k)                                          \
  case k:                                                \
    unary_rows(k, rows, cols, x, x_stride, y, y_stride); \
    break
  switch (kind) {
    CASE(KP_UNARY_ABS);
    CASE(KP_UNARY_NEG);
    CASE(KP_UNARY_SQRT);
    CASE(KP_UNARY_RECIPROCAL);
    CASE(KP_UNARY_RSQRT);
    CASE(KP_UNARY_SQUARE);
    CASE(KP_UNARY_EXP);
    CASE(KP_UNARY_LOG);
    CASE(KP_UNARY_ERF);
    CASE(KP_UNARY_FLOOR);
    CASE(KP_UNARY_CEIL);
    CASE(KP_UNARY_ROUND);
    CASE(KP_UNARY_SIGN);
    CASE(KP_UNARY_SOFTSIGN);
    case KP_UNARY_COUNT:
      break;
  }
#undef CASE
}

KP_INLINE kp_vf binary_vector(const int kind, kp_vf a, kp_vf b) {
  switch (kind) {
    case KP_BINARY_ADD:
      return kp_vf_add(a, b);
    case KP_BINARY_SUB:
      return kp_vf_sub(a, b);
    case KP_BINARY_MUL:
      return kp_vf_mul(a, b);
    case KP_BINARY_DIV:
      return kp_vf_div(a, b);
    case KP_BINARY_MIN:
      return kp_vf_min_nan(a, b);
    case KP_BINARY_MAX:
      return kp_vf_max_nan(a, b);
    case KP_BINARY_SQDIFF: {
      const kp_vf d = kp_vf_sub(a, b);
      return kp_vf_mul(d, d);
    }
    default:
      return a;
  }
}

// One row; |a_step| and |b_step| are constants (0 or 1) after inlining.
KP_INLINE void binary_row(const int kind, size_t cols, const float* a, const size_t a_step,
                          const float* b, const size_t b_step, float* y) {
  const kp_vf a0 = kp_vf_set1(*a), b0 = kp_vf_set1(*b);
  size_t c = 0;
  for (; c + LANES <= cols; c += LANES) {
    const kp_vf av = a_step ? kp_vf_load(a + c) : a0;
    const kp_vf bv = b_step ? kp_vf_load(b + c) : b0;
    kp_vf_store(y + c, binary_vector(kind, av, bv));
  }
  if (c < cols) {
    const kp_vf av = a_step ? kp_vf_loadn(a + c, cols - c) : a0;
    const kp_vf bv = b_step ? kp_vf_loadn(b + c, cols - c) : b0;
    kp_vf_storen(y + c, binary_vector(kind, av, bv), cols - c);
  }
}

KP_INLINE void binary_steps(const int kind, size_t cols, const float* a, size_t a_step,
                            const float* b, size_t b_step, float* y) {
  if (a_step && b_step) {
    binary_row(kind, cols, a, 1, b, 1, y);
  } else if (a_step) {
    binary_row(kind, cols, a, 1, b, 0, y);
  } else if (b_step) {
    binary_row(kind, cols, a, 0, b, 1, y);
  } else {
    binary_row(kind, cols, a, 0, b, 0, y);
  }
}

static void pow_row(size_t cols, const float* a, size_t a_step, const float* b, size_t b_step,
                    float* y) {
  const float exponent = *b;
  if (b_step == 0 && a_step == 1) {
    if (exponent == 2.0f) {
      binary_row(KP_BINARY_MUL, cols, a, 1, a, 1, y);
      return;
    }
    if (exponent == 0.5f) {
      // Unlike sqrt, pow(-infinity, 1/2) is +infinity and pow(-0, 1/2) is +0.
      for (size_t c = 0; c < cols; ++c) y[c] = a[c] == -INFINITY ? INFINITY : sqrtf(a[c] + 0.0f);
      return;
    }
    if (exponent == 3.0f) {
      for (size_t c = 0; c < cols; ++c) y[c] = a[c] * a[c] * a[c];
      return;
    }
    if (exponent == -1.0f) {
      for (size_t c = 0; c < cols; ++c) y[c] = 1.0f / a[c];
      return;
    }
  }
  for (size_t c = 0; c < cols; ++c) y[c] = powf(a[c * a_step], b[c * b_step]);
}

static void binary_part(kp_binary_kind kind, size_t cols, const float* a, size_t a_step,
                        const float* b, size_t b_step, float* y) {
#define CASE(k)                                     \
  case k:                                           \
    binary_steps(k, cols, a, a_step, b, b_step, y); \
    break
  switch (kind) {
    CASE(KP_BINARY_ADD);
    CASE(KP_BINARY_SUB);
    CASE(KP_BINARY_MUL);
    CASE(KP_BINARY_DIV);
    CASE(KP_BINARY_MIN);
    CASE(KP_BINARY_MAX);
    CASE(KP_BINARY_SQDIFF);
    case KP_BINARY_POW:
      pow_row(cols, a, a_step, b, b_step, y);
      break;
    case KP_BINARY_COUNT:
      break;
  }
#undef CASE
}

static void eltwise_binary(kp_binary_kind kind, size_t rows, size_t cols, const kp_operand* a,
                           const kp_operand* b, float* y, size_t y_stride, const kp_act* act) {
  // With an activation a row goes in pieces that stay in the first-level cache between the two.
  enum { kPiece = 2048 };
  if (cols == 0) return;
  const bool late = act && act->kind != KP_ACT_NONE;
  const size_t piece = late && cols > kPiece ? kPiece : cols;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; c += piece) {
      const size_t n = cols - c < piece ? cols - c : piece;
      float* out = y + r * y_stride + c;
      binary_part(kind, n, a->data + r * a->row + c * a->step, a->step,
                  b->data + r * b->row + c * b->step, b->step, out);
      if (late) kp_activate_rows(1, n, out, n, act);
    }
  }
}

const kp_eltwise_ops KP_ISA_NAME(kp_eltwise) = {
    .isa = KP_ISA_STRING,
    .activate = kp_activate_to,
    .unary = eltwise_unary,
    .binary = eltwise_binary,
};
