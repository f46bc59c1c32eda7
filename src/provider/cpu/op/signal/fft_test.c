// Transforms beside their definition, at every small length and some large ones, and there and back again.
#include "provider/cpu/op/signal/fft.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/alloc.h"
#include "base/size.h"

#define PI 3.14159265358979323846

static void fill(size_t n, kp_complex* x) {
  uint64_t state = n;
  for (size_t i = 0; i < n; ++i) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    x[i].re = (double)(int32_t)(state >> 32) * 0x1p-31;
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    x[i].im = (double)(int32_t)(state >> 32) * 0x1p-31;
  }
}

static kp_complex by_definition(size_t n, const kp_complex* x, size_t k) {
  kp_complex sum = {0, 0};
  for (size_t j = 0; j < n; ++j) {
    const double angle = -2 * PI * (double)(j * k % n) / (double)n;
    sum.re += x[j].re * cos(angle) - x[j].im * sin(angle);
    sum.im += x[j].re * sin(angle) + x[j].im * cos(angle);
  }
  return sum;
}

// Checks bins 0, |step|, 2 |step|, ... and the way back.
static void check_length(size_t n, size_t step) {
  kp_arena arena = {0};
  kp_fft fft;
  assert_null(kp_fft_init(&fft, n, &arena));
  kp_complex* x = kp_alloc(n * sizeof *x);
  kp_complex* y = kp_alloc(n * sizeof *y);
  kp_complex* scratch = kp_alloc(fft.scratch_count * sizeof *scratch);
  assert_true(x && y && scratch);
  fill(n, x);
  memcpy(y, x, n * sizeof *x);
  kp_fft_run(&fft, y, scratch);
  const double tolerance = 1e-14 * sqrt((double)n) * (4 + log2((double)n));
  for (size_t k = 0; k < n; k += step) {
    const kp_complex wanted = by_definition(n, x, k);
    if (!(fabs(y[k].re - wanted.re) < tolerance * 4 && fabs(y[k].im - wanted.im) < tolerance * 4))
      fail_msg("length %zu, bin %zu: %g %g, not %g %g", n, k, y[k].re, y[k].im, wanted.re,
               wanted.im);
  }
  for (size_t k = 0; k < n; ++k) y[k].im = -y[k].im;
  kp_fft_run(&fft, y, scratch);
  for (size_t k = 0; k < n; ++k)
    assert_true(fabs(y[k].re / (double)n - x[k].re) < tolerance &&
                fabs(-y[k].im / (double)n - x[k].im) < tolerance);
  kp_free(x);
  kp_free(y);
  kp_free(scratch);
  kp_arena_free(&arena);
}

static void test_small_lengths(void** state) {
  (void)state;
  for (size_t n = 1; n <= 130; ++n) check_length(n, 1);
}

static void test_large_lengths(void** state) {
  (void)state;
  static const size_t lengths[] = {256,  400,  480,  512,  1000, 1024, 1331,
                                   2187, 2197, 4093, 4096, 9973, 65536};
  for (size_t i = 0; i < KP_COUNT_OF(lengths); ++i) check_length(lengths[i], lengths[i] / 7 + 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small_lengths),
      cmocka_unit_test(test_large_lengths),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
