// Every variant of softmax against double precision.
#include "provider/cpu/kernel/softmax/softmax.h"

#include "provider/cpu/kernel/kernel_test.h"

// y of element |i| of |count| elements |step| floats apart.
static double reference(const float* x, size_t count, size_t step, size_t i, bool log_form) {
  double max = -INFINITY, sum = 0;
  for (size_t k = 0; k < count; ++k) {
    if (isnan(x[k * step])) return NAN;
    max = fmax(max, x[k * step]);
  }
  for (size_t k = 0; k < count; ++k) sum += exp(x[k * step] - max);
  return log_form ? x[i * step] - max - log(sum) : exp(x[i * step] - max) / sum;
}

// Exponentials have 1.1 ulp, the sum of n of them log2(n) roundings along the tree and n/lanes along the lanes (all terms
// positive), the division and product one each. The argument's own rounding costs |x - max| half ulp more. Logarithms are
// measured against the largest magnitude on the way.
static double bound(double want, size_t count, double range, bool log_form) {
  const double ulps = 6 + sqrt((double)count) + range;
  return (log_form ? fabs(want) + 1 : want) * ulps * (FLT_EPSILON / 2) + (log_form ? 0 : 1e-45);
}

static void check(const kp_softmax_ops* ops, size_t count, size_t other, bool along_rows,
                  bool log_form, float scale, bool in_place) {
  const size_t rows = along_rows ? other : count, cols = along_rows ? count : other;
  const size_t stride = cols + (in_place ? 3 : 0);
  float* x = kt_input(rows * stride);
  for (size_t i = 0; i < rows * stride; ++i) x[i] *= scale;
  float* y = kt_output(rows * stride);
  if (in_place) {
    for (size_t r = 0; r < rows; ++r) memcpy(y + r * stride, x + r * stride, cols * sizeof(float));
  }
  (along_rows ? ops->rows : ops->columns)(rows, cols, in_place ? y : x, stride, y, stride,
                                          log_form);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < other; ++j) {
      const float* start = along_rows ? x + j * stride : x + j;
      const size_t at = along_rows ? j * stride + i : i * stride + j;
      const double want = reference(start, count, along_rows ? 1 : stride, i, log_form);
      KT_NEAR(y[at], want, bound(want, count, 2 * scale, log_form));
    }
  }
  kt_check_guards(y, rows * stride, rows, cols, stride);
  free(x);
}

static void test_sizes(void** state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 49, 64, 127, 1000};
  KT_FOR_EACH_VARIANT(softmax, ops) {
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
      for (int flags = 0; flags < 8; ++flags) {
        check(ops, sizes[i], 5 + i % 4 * 5, flags & 1, flags & 2, flags & 4 ? 30.0f : 1.0f, i % 2);
      }
    }
  }
}

static void test_special_values(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(softmax, ops) {
    for (size_t cols = 3; cols < 40; cols += 6) {
      float* x = kt_input(cols);
      float* y = kt_output(cols);
      x[cols - 1] = -INFINITY;
      ops->rows(1, cols, x, cols, y, cols, false);
      assert_true(y[cols - 1] == 0.0f && y[0] > 0.0f);
      x[cols - 2] = NAN;
      ops->rows(1, cols, x, cols, y, cols, false);
      for (size_t i = 0; i < cols; ++i) assert_true(isnan(y[i]));
      for (size_t i = 0; i < cols; ++i) x[i] = -INFINITY;
      ops->rows(1, cols, x, cols, y, cols, false);
      for (size_t i = 0; i < cols; ++i) assert_true(isnan(y[i]));
      kt_check_guards(y, cols, 1, cols, cols);
      free(x);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes),
                                     cmocka_unit_test(test_special_values)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
