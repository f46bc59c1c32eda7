// Every variant of pooling against a plain loop.
#include "provider/cpu/kernel/pool/pool.h"

#include "provider/cpu/kernel/kernel_test.h"

static void reference(const kp_pool_shape* s, const float* x, size_t pixel, size_t c,
                      double* out_max, double* out_average) {
  const size_t n = pixel / (s->out_h * s->out_w), oy = pixel / s->out_w % s->out_h,
               ox = pixel % s->out_w;
  double max = -INFINITY, sum = 0;
  size_t inside = 0, padded = 0;
  for (size_t kh = 0; kh < s->kernel_h; ++kh) {
    for (size_t kw = 0; kw < s->kernel_w; ++kw) {
      const ptrdiff_t h =
          (ptrdiff_t)(oy * s->stride_h + kh * s->dilation_h) - (ptrdiff_t)s->pad_top;
      const ptrdiff_t w =
          (ptrdiff_t)(ox * s->stride_w + kw * s->dilation_w) - (ptrdiff_t)s->pad_left;
      padded += h < (ptrdiff_t)(s->in_h + s->pad_bottom) && w < (ptrdiff_t)(s->in_w + s->pad_right);
      if (h < 0 || w < 0 || h >= (ptrdiff_t)s->in_h || w >= (ptrdiff_t)s->in_w) continue;
      const double v = x[((n * s->in_h + (size_t)h) * s->in_w + (size_t)w) * s->in_pixel + c];
      ++inside;
      sum += v;
      max = isnan(v) || isnan(max) ? NAN : fmax(max, v);
    }
  }
  const size_t count = s->count_padding ? padded : inside;
  *out_max = max;
  *out_average = count ? sum / (double)count : 0;
}

static void check(const kp_pool_ops* ops, const kp_pool_shape* s, bool with_nan) {
  const size_t in_size = (s->batch * s->in_h * s->in_w - 1) * s->in_pixel + s->channels;
  const size_t pixels = s->batch * s->out_h * s->out_w;
  float* x = kt_input(in_size);
  if (with_nan) x[in_size / 2] = NAN;
  for (int is_max = 0; is_max < 2; ++is_max) {
    float* y = kt_output(pixels * s->out_pixel);
    const size_t rows = s->batch * s->out_h, half = rows / 2;
    (is_max ? ops->max : ops->average)(s, half, rows - half, x, y);
    (is_max ? ops->max : ops->average)(s, 0, half, x, y);
    for (size_t p = 0; p < pixels; ++p) {
      for (size_t c = 0; c < s->channels; ++c) {
        double max, average;
        reference(s, x, p, c, &max, &average);
        // A sum of kernel_h * kernel_w values up to 1 and one division.
        KT_NEAR(y[p * s->out_pixel + c], is_max ? max : average,
                is_max ? 0 : (double)(s->kernel_h * s->kernel_w) * FLT_EPSILON);
      }
    }
    kt_check_guards(y, pixels * s->out_pixel, pixels, s->channels, s->out_pixel);
  }
  free(x);
}

static void test_windows(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(pool, ops) {
    for (size_t kernel = 1; kernel <= 4; ++kernel) {
      for (size_t stride = 1; stride <= 3; ++stride) {
        for (size_t channels = 1; channels < 40; channels = channels * 2 + 3) {
          kp_pool_shape s = {.batch = 2, .in_h = 9, .in_w = 11, .channels = channels};
          s.kernel_h = s.kernel_w = kernel;
          s.stride_h = s.stride_w = stride;
          s.dilation_h = 1;
          s.dilation_w = kernel < 4 ? stride : 1;
          s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = kernel / 2;
          s.in_pixel = channels + kernel - 1;
          s.out_pixel = channels + stride - 1;
          // One row and column more than floor: the last window reaches past the padding, as with ceil_mode.
          s.out_h = (s.in_h + 2 * s.pad_top - kernel) / stride + (stride > 1 ? 2 : 1);
          s.out_w = (s.in_w + 2 * s.pad_left - (kernel - 1) * s.dilation_w - 1) / stride + 1;
          s.count_padding = kernel % 2;
          check(ops, &s, channels % 2 == 0);
        }
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
