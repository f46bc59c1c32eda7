// Every variant of the reductions against double precision.
#include "provider/cpu/kernel/reduce/reduce.h"

#include "provider/cpu/kernel/kernel_test.h"

static double reference(kp_reduce_kind kind, const float* x, size_t n, size_t step,
                        double* out_magnitude) {
  double y = kind == KP_REDUCE_PROD  ? 1
             : kind == KP_REDUCE_MAX ? -INFINITY
             : kind == KP_REDUCE_MIN ? INFINITY
                                     : 0;
  double magnitude = 0;
  for (size_t i = 0; i < n; ++i) {
    const double v = x[i * step];
    magnitude += fabs(v);
    switch (kind) {
      case KP_REDUCE_SUM_SQUARE:
        y += v * v;
        break;
      case KP_REDUCE_SUM_ABS:
        y += fabs(v);
        break;
      case KP_REDUCE_MAX:
        y = isnan(y) || isnan(v) ? NAN : fmax(y, v);
        break;
      case KP_REDUCE_MIN:
        y = isnan(y) || isnan(v) ? NAN : fmin(y, v);
        break;
      case KP_REDUCE_PROD:
        y *= v;
        break;
      default:
        y += v;
        break;
    }
  }
  *out_magnitude = kind == KP_REDUCE_PROD ? fabs(y) * (double)n : magnitude;
  if (kind != KP_REDUCE_MEAN) return y;
  *out_magnitude /= (double)n;
  return y / (double)n;
}

static void test_rows_and_columns(void** state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 7, 8, 9, 16, 17, 31, 63, 64, 65, 129, 517};
  KT_FOR_EACH_VARIANT(reduce, ops) {
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
      for (int kind = 0; kind < KP_REDUCE_COUNT; ++kind) {
        const size_t cols = sizes[i], rows = sizes[(i * 5 + (size_t)kind) % 13],
                     stride = cols + i % 2;
        float* x = kt_input(rows * stride);
        if (kind >= KP_REDUCE_MAX && i % 3 == 0) x[kt_below(rows * stride)] = NAN;
        float *by_row = kt_output(rows), *by_column = kt_output(cols);
        ops->rows((kp_reduce_kind)kind, rows, cols, x, stride, by_row);
        ops->columns((kp_reduce_kind)kind, rows, cols, x, stride, by_column);
        double magnitude;
        for (size_t r = 0; r < rows; ++r) {
          const double want = reference((kp_reduce_kind)kind, x + r * stride, cols, 1, &magnitude);
          // Roundings of random sign along chains of at most cols/8 additions; tiny products may be denormal.
          KT_NEAR(by_row[r], want, magnitude * (2 + sqrt((double)cols) / 4) * FLT_EPSILON + 1e-44);
        }
        for (size_t c = 0; c < cols; ++c) {
          const double want = reference((kp_reduce_kind)kind, x + c, rows, stride, &magnitude);
          KT_NEAR(by_column[c], want,
                  magnitude * (2 + sqrt((double)rows) / 4) * FLT_EPSILON + 1e-44);
        }
        kt_check_guards(by_row, rows, 0, 0, 0);
        kt_check_guards(by_column, cols, 0, 0, 0);
        free(x);
      }
    }
  }
}

static void test_long_sum_stays_accurate(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(reduce, ops) {
    const size_t n = 100003;
    float* x = kt_input(n);
    for (size_t i = 0; i < n; ++i) x[i] = fabsf(x[i]) + 1.0f;
    float y;
    ops->rows(KP_REDUCE_SUM, 1, n, x, n, &y);
    double magnitude;
    const double want = reference(KP_REDUCE_SUM, x, n, 1, &magnitude);
    KT_NEAR(y, want, want * 4e-6);
    free(x);
  }
}

static void test_empty(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(reduce, ops) {
    float y[2];
    ops->rows(KP_REDUCE_SUM, 2, 0, NULL, 0, y);
    assert_true(y[0] == 0.0f && y[1] == 0.0f);
    ops->columns(KP_REDUCE_MAX, 0, 2, NULL, 0, y);
    assert_true(y[0] == -INFINITY && y[1] == -INFINITY);
    ops->columns(KP_REDUCE_PROD, 0, 2, NULL, 0, y);
    assert_true(y[0] == 1.0f && y[1] == 1.0f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_and_columns),
                                     cmocka_unit_test(test_long_sum_stays_accurate),
                                     cmocka_unit_test(test_empty)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
