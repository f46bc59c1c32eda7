// What the kernels' variant tests share: random numbers, inputs of exact size, outputs with guard bytes, and the walk over
// the variants that this CPU runs. Included by *_test.c only.
#ifndef KP_PROVIDER_CPU_KERNEL_KERNEL_TEST_H_
#define KP_PROVIDER_CPU_KERNEL_KERNEL_TEST_H_

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/kernel/variant.h"

// Walks the variants of |family| that this CPU runs, with |ops| their table.
#define KT_FOR_EACH_VARIANT(family, ops)                                                         \
  for (size_t kt_count_ = 0, kt_i_ = (kp_##family##_variants(&kt_count_), 0); kt_i_ < kt_count_; \
       ++kt_i_)                                                                                  \
    for (const kp_##family##_ops* ops = kt_usable(&kp_##family##_variants(&kt_count_)[kt_i_]);   \
         ops; ops = NULL)

static inline const void* kt_usable(const kp_variant* v) {
  return (v->features & ~kp_cpu_features()) == 0 ? v->ops : NULL;
}

static uint64_t kt_state = 1;

static inline uint32_t kt_random(void) {
  kt_state ^= kt_state << 13;
  kt_state ^= kt_state >> 7;
  kt_state ^= kt_state << 17;
  return (uint32_t)(kt_state >> 16);
}
// Uniform in [-1, 1).
static inline float kt_uniform(void) {
  return (float)((int32_t)(kt_random() & 0xFFFFFF) - 0x800000) / 0x800000;
}
static inline size_t kt_below(size_t n) { return kt_random() % n; }

// |n| random floats in memory of exactly that size, so that sanitizers see a read past the end. Release with free.
static inline float* kt_input(size_t n) {
  if (n > PTRDIFF_MAX / sizeof(float)) abort();
  float* p = malloc(n ? n * sizeof(float) : 1);
  assert_non_null(p);
  for (size_t i = 0; i < n; ++i) p[i] = kt_uniform();
  return p;
}

// Floats that kernels of elementwise kind must get right: signed zeros, infinities, NaN, denormals, ties, large values.
static inline float* kt_shaped(size_t n) {
  static const float kSpecial[] = {0.0f,    -0.0f,   INFINITY, -INFINITY, NAN,   1e-40f, -1e-40f,
                                   0.5f,    1.5f,    2.5f,     -0.5f,     88.0f, -88.0f, 104.0f,
                                   -104.0f, FLT_MAX, -FLT_MAX, FLT_MIN,   1.0f,  -1.0f};
  float* p = kt_input(n);
  for (size_t i = 0; i < n; ++i) {
    if (kt_below(4) == 0)
      p[i] = kSpecial[kt_below(sizeof(kSpecial) / sizeof(kSpecial[0]))];
    else
      p[i] *= 20.0f;
  }
  return p;
}

enum { KT_GUARD = 32 };
static const float kt_guard_value = -12345.678f;

// An output of |n| floats, all set to the guard value, with guards before and after.
static inline float* kt_output(size_t n) {
  float* p = malloc((n + 2 * KT_GUARD) * sizeof(float));
  assert_non_null(p);
  for (size_t i = 0; i < n + 2 * KT_GUARD; ++i) p[i] = kt_guard_value;
  return p + KT_GUARD;
}
static inline bool kt_is_guard(float v) { return memcmp(&v, &kt_guard_value, sizeof(v)) == 0; }

// Checks the guards around |n| floats and the gaps between |rows| rows of |cols| at |stride|; then releases the buffer.
static inline void kt_check_guards(float* p, size_t n, size_t rows, size_t cols, size_t stride) {
  for (size_t i = 0; i < KT_GUARD; ++i) {
    assert_true(kt_is_guard(p[-1 - (ptrdiff_t)i]));
    assert_true(kt_is_guard(p[n + i]));
  }
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = cols; c < stride && r * stride + c < n; ++c)
      assert_true(kt_is_guard(p[r * stride + c]));
  }
  free(p - KT_GUARD);
}

static inline void* kt_scratch(size_t bytes) {
  void* p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  assert_non_null(p);
  memset(p, 0xC7, (bytes + 127) / 64 * 64);
  return p;
}

// The activation of one value in double precision: the reference for all kernels.
static inline double kt_act(const kp_act* act, double x) {
  const double a = act->a, b = act->b;
  switch (act->kind) {
    case KP_ACT_NONE:
      return x;
    case KP_ACT_RELU:
      return x < 0 ? 0 : x;
    case KP_ACT_CLIP:
      return x < a ? a : x > b ? b : x;
    case KP_ACT_LEAKY_RELU:
      return x < 0 ? a * x : x;
    case KP_ACT_SIGMOID:
      return 1 / (1 + exp(-x));
    case KP_ACT_HARD_SIGMOID:
      return isnan(x) ? x : fmax(0, fmin(1, a * x + b));
    case KP_ACT_HARD_SWISH:
      return isnan(x) ? x : x * fmax(0, fmin(1, x / 6 + 0.5));
    case KP_ACT_SILU:
      return x / (1 + exp(-a * x));
    case KP_ACT_GELU:
      return x / 2 * (1 + erf(x * 0.70710678118654752440));
    case KP_ACT_GELU_TANH:
      return x / 2 * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case KP_ACT_TANH:
      return tanh(x);
    case KP_ACT_ELU:
      return x < 0 ? a * expm1(x) : x;
    case KP_ACT_MISH:
      return x * tanh(x > 30 ? x : log1p(exp(x)));
    case KP_ACT_SOFTPLUS:
      return x > 700 ? x : log1p(exp(x));
  }
  return x;
}

// |got| against |want|, with |bound| the largest difference allowed; NaN must meet NaN, infinity its like.
#define KT_NEAR(got, want, bound) kt_near((got), (want), (bound), __FILE__, __LINE__)
static inline void kt_near(double got, double want, double bound, const char* file, int line) {
  if (isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= bound) return;
  fprintf(stderr, "got %.9g, want %.9g, bound %.3g\n", got, want, bound);
  _fail(file, line);
}

#endif  // KP_PROVIDER_CPU_KERNEL_KERNEL_TEST_H_
