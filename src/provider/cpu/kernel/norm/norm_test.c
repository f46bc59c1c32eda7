// Every variant of the normalizations against double precision.
#include "provider/cpu/kernel/norm/norm.h"

#include "provider/cpu/kernel/kernel_test.h"

static const size_t kSizes[] = {1, 3, 7, 8, 9, 16, 17, 31, 33, 63, 65, 128, 769};
enum { kSizeCount = sizeof(kSizes) / sizeof(kSizes[0]), kRows = 5 };

static void moments(const float* x, size_t n, size_t step, double* out_mean, double* out_variance) {
  double mean = 0, variance = 0;
  for (size_t i = 0; i < n; ++i) mean += x[i * step];
  mean /= (double)n;
  for (size_t i = 0; i < n; ++i) variance += (x[i * step] - mean) * (x[i * step] - mean);
  *out_mean = mean;
  *out_variance = variance / (double)n;
}

// A far mean makes cancellation show: |offset| is added to all of x. Sums of n terms err by sqrt(n) half ulp of the terms.
static void check_rows(const kp_norm_ops* ops, size_t cols, bool rms, int parts, float offset) {
  const size_t stride = cols + 2;
  float* x = kt_input(kRows * stride);
  for (size_t i = 0; i < kRows * stride; ++i) x[i] += offset;
  float *skip = kt_input(kRows * stride), *bias = kt_input(cols), *gamma = kt_input(cols),
        *beta = kt_input(cols);
  float *y = kt_output(kRows * stride), *sum = kt_output(kRows * stride), mean[kRows],
        deviation[kRows];
  kp_row_norm n = {.rows = kRows,
                   .cols = cols,
                   .x = x,
                   .x_stride = stride,
                   .y = y,
                   .y_stride = stride,
                   .epsilon = 1e-5f};
  n.skip_stride = n.sum_stride = stride;
  n.mean = mean;
  n.inverse_deviation = deviation;
  if (parts & 1) n.gamma = gamma;
  if (parts & 2) n.beta = beta;
  if (parts & 4) {
    n.skip = skip;
    n.bias = bias;
  }
  if (parts & 8) n.sum = sum;
  (rms ? ops->rms : ops->layer)(&n);
  for (size_t r = 0; r < kRows; ++r) {
    float row[1024];
    for (size_t c = 0; c < cols; ++c) {
      row[c] = parts & 4 ? x[r * stride + c] + skip[r * stride + c] + bias[c] : x[r * stride + c];
      if (parts & 8) KT_NEAR(sum[r * stride + c], row[c], 0);
    }
    double m, v;
    moments(row, cols, 1, &m, &v);
    if (rms) {
      v += m * m;
      m = 0;
    }
    const double scale = 1 / sqrt(v + 1e-5);
    if (!rms) KT_NEAR(mean[r], m, (fabs(m) + 1) * FLT_EPSILON * 4);
    for (size_t c = 0; c < cols; ++c) {
      double want = (row[c] - m) * scale;
      if (parts & 1) want *= gamma[c];
      if (parts & 2) want += beta[c];
      const double bound = (fabs((double)row[c]) + fabs(m) + 1) * scale * 8 * FLT_EPSILON + 1e-6;
      KT_NEAR(y[r * stride + c], want, bound);
    }
  }
  kt_check_guards(y, kRows * stride, kRows, cols, stride);
  kt_check_guards(sum, kRows * stride, kRows, parts & 8 ? cols : 0, stride);
  free(x);
  free(skip);
  free(bias);
  free(gamma);
  free(beta);
}

static void test_rows(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(norm, ops) {
    for (size_t i = 0; i < kSizeCount; ++i) {
      for (int parts = 0; parts < 16; ++parts) {
        check_rows(ops, kSizes[i], false, parts, i % 2 ? 100.0f : 0.0f);
        check_rows(ops, kSizes[i], true, parts, 0.0f);
      }
    }
  }
}

static void test_scale_shift(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(norm, ops) {
    for (size_t i = 0; i < kSizeCount; ++i) {
      for (int kind = KP_ACT_NONE; kind <= KP_ACT_SIGMOID; ++kind) {
        const size_t cols = kSizes[i], stride = cols + i % 3;
        const kp_act act = {(kp_act_kind)kind, -0.25f, 0.5f};
        float *x = kt_input(kRows * stride), *scale = kt_input(cols + kRows),
              *shift = kt_input(cols + kRows);
        for (int by_row = 0; by_row < 2; ++by_row) {
          float* y = kt_output(kRows * stride);
          (by_row ? ops->scale_shift_rows : ops->scale_shift)(kRows, cols, x, stride, scale, shift,
                                                              y, stride, &act);
          for (size_t r = 0; r < kRows; ++r) {
            for (size_t c = 0; c < cols; ++c) {
              const size_t p = by_row ? r : c;
              const double want = kt_act(&act, (double)x[r * stride + c] * scale[p] + shift[p]);
              KT_NEAR(y[r * stride + c], want, 4 * FLT_EPSILON);
            }
          }
          kt_check_guards(y, kRows * stride, kRows, cols, stride);
        }
        free(x);
        free(scale);
        free(shift);
      }
    }
  }
}

static void test_moments(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(norm, ops) {
    for (size_t i = 0; i < kSizeCount; ++i) {
      const size_t cols = kSizes[i], rows = kSizes[kSizeCount - 1 - i];
      float* x = kt_input(rows * cols);
      float *mean = kt_output(cols), *variance = kt_output(cols);
      double m, v;
      ops->column_moments(rows, cols, x, cols, mean, variance);
      for (size_t c = 0; c < cols; ++c) {
        moments(x + c, rows, cols, &m, &v);
        KT_NEAR(mean[c], m, 1e-6);
        KT_NEAR(variance[c], v, 1e-6);
      }
      ops->row_moments(1, cols, x, cols, mean, variance);
      moments(x, cols, 1, &m, &v);
      KT_NEAR(mean[0], m, 1e-6);
      KT_NEAR(variance[0], v, 1e-6);
      float merged_mean, merged_variance;
      ops->column_moments(rows, cols, x, cols, mean, variance);
      kp_norm_merge(cols, mean, variance, &merged_mean, &merged_variance);
      moments(x, rows * cols, 1, &m, &v);
      KT_NEAR(merged_mean, m, 1e-6);
      KT_NEAR(merged_variance, v, 2e-6);
      kt_check_guards(mean, cols, 0, 0, 0);
      kt_check_guards(variance, cols, 0, 0, 0);
      free(x);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),
                                     cmocka_unit_test(test_scale_shift),
                                     cmocka_unit_test(test_moments)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
