// Every variant of arithmetic on 8-bit numbers with scales: scales are powers of two, so that results are exact, ties included.
#include "provider/cpu/kernel/qlinear/qlinear.h"

#include "provider/cpu/kernel/kernel_test.h"

static const size_t kSizes[] = {1, 3, 7, 8, 9, 16, 17, 31, 33, 100};
enum { kSizeCount = sizeof(kSizes) / sizeof(kSizes[0]), kMost = 100, kGuard = 0x5A };

static int32_t number(bool is_signed, const uint8_t* x, size_t i) {
  return is_signed ? (int8_t)x[i] : x[i];
}

static int32_t clipped(bool is_signed, double value, int32_t zero) {
  const double low = is_signed ? -128 : 0;
  return (int32_t)fmin(fmax(nearbyint(value) + zero, low), low + 255);
}

static void fill(uint8_t* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] = (uint8_t)kt_random();
}

static void check_pair(const kp_qlinear_ops* ops, bool is_signed, bool product, size_t n,
                       size_t a_step, size_t b_step) {
  uint8_t a[kMost], b[kMost], y[kMost + 1];
  fill(a, kMost);
  fill(b, kMost);
  memset(y, kGuard, sizeof y);
  const int32_t off = is_signed ? -128 : 0;
  const kp_qlinear_pair p = {.a_scale = product ? 0x1p-8f : 0.25f,
                             .b_scale = 0.5f,
                             .a_zero = (int32_t)kt_below(256) + off,
                             .b_zero = (int32_t)kt_below(256) + off,
                             .y_zero = (int32_t)kt_below(256) + off,
                             .is_signed = is_signed};
  (product ? ops->multiply : ops->add)(&p, n, a, a_step, b, b_step, y);
  for (size_t i = 0; i < n; ++i) {
    const double left = number(is_signed, a, i * a_step) - p.a_zero,
                 right = number(is_signed, b, i * b_step) - p.b_zero;
    const double value = product ? left * right * 0x1p-8 : left * 0.25 + right * 0.5;
    assert_int_equal(number(is_signed, y, i), clipped(is_signed, value, p.y_zero));
  }
  assert_int_equal(y[n], kGuard);
}

static void test_pairs(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qlinear, ops) {
    for (size_t s = 0; s < kSizeCount; ++s) {
      for (unsigned flags = 0; flags < 16; ++flags)
        check_pair(ops, flags & 1, flags & 2, kSizes[s], flags >> 2 & 1, flags >> 3);
    }
  }
}

static void check_sums(const kp_qlinear_ops* ops, bool is_signed, size_t n) {
  uint8_t x[kMost], y[kMost + 1];
  int32_t sum[kMost + 1], want[kMost], total = 0;
  fill(x, kMost);
  for (size_t i = 0; i <= n; ++i) sum[i] = (int32_t)kt_below(4000) - 2000;
  for (size_t i = 0; i < n; ++i) {
    want[i] = sum[i] + number(is_signed, x, i);
    total += number(is_signed, x, i);
  }
  const int32_t behind = sum[n];
  ops->accumulate(is_signed, n, x, sum);
  assert_int_equal(sum[n], behind);
  assert_memory_equal(sum, want, n * sizeof *sum);
  assert_int_equal(ops->total(is_signed, n, x), total);
  memset(y, kGuard, sizeof y);
  ops->requantise(is_signed, n, sum, 37, 0.125f, 5, y);
  for (size_t i = 0; i < n; ++i)
    assert_int_equal(number(is_signed, y, i), clipped(is_signed, (sum[i] - 37) * 0.125, 5));
  assert_int_equal(y[n], kGuard);
}

static void test_sums(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qlinear, ops) {
    for (size_t s = 0; s < kSizeCount; ++s) {
      check_sums(ops, true, kSizes[s]);
      check_sums(ops, false, kSizes[s]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs), cmocka_unit_test(test_sums)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
