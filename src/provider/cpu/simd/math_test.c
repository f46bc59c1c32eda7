// The elementary functions of math.h in the baseline instruction set, against double precision over all of their ranges.
//
// The other instruction sets go through the kernels that use them (kernel/eltwise/eltwise_test.c).
#define KP_ISA scalar
#define KP_ISA_SCALAR 1
#include "provider/cpu/simd/math.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static double error_in_ulps(float got, double want) {
  if (isnan(want)) return isnan(got) ? 0 : INFINITY;
  if ((float)want == got) return 0;
  if (isinf((float)want)) return INFINITY;
  const float near = (float)want;
  const double ulp = fmax((double)(nextafterf(fabsf(near), INFINITY) - fabsf(near)), 0x1p-149);
  return fabs(got - want) / ulp;
}

// Every 997th float of [low, high] by bit pattern, so that all magnitudes are met, and both signs when |low| is negative.
static double largest_error(float (*f)(float), double (*reference)(double), float low, float high) {
  double worst = 0;
  for (uint32_t bits = 0; bits <= 0x7F800000u; bits += 997) {
    float x;
    memcpy(&x, &bits, sizeof(x));
    for (int sign = 0; sign < 2; ++sign, x = -x) {
      if (x < low || x > high) continue;
      const double error = error_in_ulps(f(x), reference(x));
      if (error > worst) worst = error;
    }
  }
  return worst;
}

static float f_exp(float x) { return kp_vf_exp(x); }
static float f_expm1(float x) { return kp_vf_expm1(x); }
static float f_log(float x) { return kp_vf_log(x); }
static float f_tanh(float x) { return kp_vf_tanh(x); }
static float f_erf(float x) { return kp_vf_erf(x); }
static float f_sigmoid(float x) { return kp_vf_sigmoid(x); }
static float f_softplus(float x) { return kp_vf_softplus(x); }
static double d_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double d_softplus(double x) { return x > 40 ? x : log1p(exp(x)); }

static void test_errors(void** state) {
  (void)state;
  const struct {
    const char* name;
    float (*f)(float);
    double (*reference)(double);
    float low, high;
    double bound;
  } rows[] = {
      {"exp", f_exp, exp, -INFINITY, INFINITY, 1.0},
      {"expm1", f_expm1, expm1, -INFINITY, 88.0f, 1.6},
      {"log", f_log, log, 0.0f, INFINITY, 1.2},
      {"tanh", f_tanh, tanh, -INFINITY, INFINITY, 2.4},
      {"erf", f_erf, erf, -INFINITY, INFINITY, 1.1},
      {"sigmoid", f_sigmoid, d_sigmoid, -80.0f, INFINITY, 2.1},
      {"softplus", f_softplus, d_softplus, -80.0f, INFINITY, 2},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
    const double worst = largest_error(rows[i].f, rows[i].reference, rows[i].low, rows[i].high);
    print_message("%s: %.2f ulp\n", rows[i].name, worst);
    assert_true(worst <= rows[i].bound);
  }
}

static void test_special_values(void** state) {
  (void)state;
  assert_true(kp_vf_exp(-INFINITY) == 0.0f);
  assert_true(kp_vf_exp(INFINITY) == INFINITY);
  assert_true(kp_vf_log(0.0f) == -INFINITY);
  assert_true(isnan(kp_vf_log(-1.0f)));
  assert_true(kp_vf_tanh(INFINITY) == 1.0f && kp_vf_tanh(-INFINITY) == -1.0f);
  assert_true(signbit(kp_vf_tanh(-0.0f)) && signbit(kp_vf_erf(-0.0f)));
  float (*const all[])(float) = {f_exp, f_expm1, f_log, f_tanh, f_erf, f_sigmoid, f_softplus};
  for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) assert_true(isnan(all[i](NAN)));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors),
                                     cmocka_unit_test(test_special_values)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
