// Every variant of elementwise arithmetic, on random and on special values, against double precision.
#include "provider/cpu/kernel/eltwise/eltwise.h"

#include "provider/cpu/kernel/kernel_test.h"

static const size_t kSizes[] = {1, 3, 7, 8, 9, 15, 16, 17, 33, 100, 2049};
enum { kSizeCount = sizeof(kSizes) / sizeof(kSizes[0]), kRows = 3 };

static double unary_reference(kp_unary_kind kind, double x) {
  switch (kind) {
    case KP_UNARY_ABS:
      return fabs(x);
    case KP_UNARY_NEG:
      return -x;
    case KP_UNARY_SQRT:
      return sqrt(x);
    case KP_UNARY_RECIPROCAL:
      return 1 / x;
    case KP_UNARY_RSQRT:
      return 1 / sqrt(x);
    case KP_UNARY_SQUARE:
      return x * x;
    case KP_UNARY_EXP:
      return exp(x);
    case KP_UNARY_LOG:
      return log(x);
    case KP_UNARY_ERF:
      return erf(x);
    case KP_UNARY_FLOOR:
      return floor(x);
    case KP_UNARY_CEIL:
      return ceil(x);
    case KP_UNARY_ROUND:
      return nearbyint(x);
    case KP_UNARY_SIGN:
      return isnan(x) ? x : (x > 0) - (x < 0);
    case KP_UNARY_SOFTSIGN:
      return x / (1 + fabs(x));
    case KP_UNARY_COUNT:
      break;
  }
  return x;
}

static double binary_reference(kp_binary_kind kind, double a, double b) {
  switch (kind) {
    case KP_BINARY_ADD:
      return a + b;
    case KP_BINARY_SUB:
      return a - b;
    case KP_BINARY_MUL:
      return a * b;
    case KP_BINARY_DIV:
      return a / b;
    case KP_BINARY_MIN:
      return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case KP_BINARY_MAX:
      return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case KP_BINARY_POW:
      return pow(a, b);
    case KP_BINARY_SQDIFF:
      return (a - b) * (a - b);
    case KP_BINARY_COUNT:
      break;
  }
  return a;
}

// Within |ulps| units in the last place of |want| as a float; past the largest float infinity is right too.
static void near_ulps(float got, double want, double ulps, const char* file, int line) {
  if (fabs(want) > FLT_MAX && (float)want == (want > 0 ? INFINITY : -INFINITY))
    want = want > 0 ? INFINITY : -INFINITY;
  kt_near(got, want, ulps * (fabs(want) * FLT_EPSILON + 1.5e-45), file, line);
}
#define NEAR_ULPS(got, want, ulps) near_ulps((got), (want), (ulps), __FILE__, __LINE__)

static void test_unary(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(eltwise, ops) {
    for (int kind = 0; kind < KP_UNARY_COUNT; ++kind) {
      for (size_t i = 0; i < kSizeCount; ++i) {
        const size_t cols = kSizes[i], stride = cols + i % 3;
        float *x = kt_shaped(kRows * stride), *y = kt_output(kRows * stride);
        ops->unary((kp_unary_kind)kind, kRows, cols, x, stride, y, stride);
        for (size_t r = 0; r < kRows; ++r) {
          for (size_t c = 0; c < cols; ++c) {
            NEAR_ULPS(y[r * stride + c], unary_reference((kp_unary_kind)kind, x[r * stride + c]),
                      2);
          }
        }
        kt_check_guards(y, kRows * stride, kRows, cols, stride);
        free(x);
      }
    }
  }
}

// What cancels inside an activation (1 + erf for a very negative x) is lost relative to x, not to the result.
static void test_activations(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(eltwise, ops) {
    for (int kind = 0; kind <= KP_ACT_SOFTPLUS; ++kind) {
      for (size_t i = 0; i < kSizeCount; ++i) {
        const size_t cols = kSizes[i], stride = cols + i % 3;
        const kp_act act = {(kp_act_kind)kind, 0.5f, 0.75f};
        float *x = kt_shaped(kRows * stride), *y = kt_output(kRows * stride);
        for (size_t k = 0; k < kRows * stride; ++k)
          x[k] = isinf(x[k]) ? 3.0f : fmaxf(-1e3f, fminf(1e3f, x[k]));
        memcpy(y, x, (kRows - 1) * stride * sizeof(float));  // rows in place
        memcpy(y + (kRows - 1) * stride, x + (kRows - 1) * stride, cols * sizeof(float));
        ops->activate(kRows, cols, y, stride, y, stride, &act);
        for (size_t r = 0; r < kRows; ++r) {
          for (size_t c = 0; c < cols; ++c) {
            const double v = x[r * stride + c], want = kt_act(&act, v);
            const double bound =
                4 * FLT_EPSILON * fabs(want) + FLT_EPSILON * fmin(fabs(v), 8) + 1.5e-45;
            KT_NEAR(y[r * stride + c], want, bound);
          }
        }
        free(y - KT_GUARD);
        free(x);
      }
    }
  }
}

static void check_binary(const kp_eltwise_ops* ops, kp_binary_kind kind, size_t cols, int form,
                         const kp_act* act) {
  const size_t stride = cols + 1;
  float *a = kt_shaped(kRows * stride), *b = kt_shaped(kRows * stride),
        *y = kt_output(kRows * stride);
  // form: bit 0 a is one value a row, bit 1 b is one value for all, bit 2 b is one row.
  const kp_operand left = {a, stride, form & 1 ? 0 : 1};
  const kp_operand right = {b, form & 6 ? 0 : stride, form & 2 ? 0 : 1};
  if (kind == KP_BINARY_POW && form & 2) {
    static const float exponents[] = {2.0f, 0.5f, 3.0f, -1.0f, 1.0f, 2.5f};
    b[0] = exponents[kt_below(6)];
  }
  ops->binary(kind, kRows, cols, &left, &right, y, stride, act);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t c = 0; c < cols; ++c) {
      const float av = a[r * left.row + c * left.step], bv = b[r * right.row + c * right.step];
      const double exact = binary_reference(kind, av, bv);
      if (act) {
        NEAR_ULPS(y[r * stride + c], kt_act(act, (float)exact), 3);
      } else if (kind == KP_BINARY_SUB || kind == KP_BINARY_SQDIFF) {
        // The difference rounds once before it is squared.
        NEAR_ULPS(y[r * stride + c], exact, 2);
      } else {
        NEAR_ULPS(y[r * stride + c], exact, 1.5);
      }
    }
  }
  kt_check_guards(y, kRows * stride, kRows, cols, stride);
  free(a);
  free(b);
}

static void test_binary(void** state) {
  (void)state;
  const kp_act relu = {KP_ACT_RELU, 0, 0};
  KT_FOR_EACH_VARIANT(eltwise, ops) {
    for (int kind = 0; kind < KP_BINARY_COUNT; ++kind) {
      for (size_t i = 0; i < kSizeCount; ++i) {
        for (int form = 0; form < 8; ++form) {
          check_binary(ops, (kp_binary_kind)kind, kSizes[i], form, NULL);
        }
        check_binary(ops, (kp_binary_kind)kind, kSizes[i], 0, &relu);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_unary),
                                     cmocka_unit_test(test_activations),
                                     cmocka_unit_test(test_binary)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
