// Tests of base/size.h: every boundary where a size could wrap.
#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_mul(void** state) {
  (void)state;
  size_t out = 0;
  assert_true(kp_mul_size(3, 5, &out));
  assert_int_equal(out, 15);
  assert_true(kp_mul_size(0, SIZE_MAX, &out));
  assert_int_equal(out, 0);
  assert_true(kp_mul_size(SIZE_MAX, 1, &out));
  assert_false(kp_mul_size(SIZE_MAX / 2 + 1, 2, &out));
  int64_t signed_out = 0;
  assert_true(kp_mul_i64(-4, 5, &signed_out));
  assert_int_equal(signed_out, -20);
  assert_false(kp_mul_i64(INT64_MIN, -1, &signed_out));
}

static void test_add(void** state) {
  (void)state;
  size_t out = 0;
  assert_true(kp_add_size(SIZE_MAX - 1, 1, &out));
  assert_true(out == SIZE_MAX);
  assert_false(kp_add_size(SIZE_MAX, 1, &out));
  int64_t signed_out = 0;
  assert_false(kp_add_i64(INT64_MAX, 1, &signed_out));
  assert_false(kp_add_i64(INT64_MIN, -1, &signed_out));
  assert_true(kp_add_i64(INT64_MIN, INT64_MAX, &signed_out));
  assert_int_equal(signed_out, -1);
}

static void test_align(void** state) {
  (void)state;
  size_t out = 1;
  assert_true(kp_align_size(0, 64, &out));
  assert_int_equal(out, 0);
  assert_true(kp_align_size(1, 64, &out));
  assert_int_equal(out, 64);
  assert_true(kp_align_size(64, 64, &out));
  assert_int_equal(out, 64);
  assert_true(kp_align_size(SIZE_MAX - 63, 64, &out));
  assert_true(out == SIZE_MAX - 63);
  assert_false(kp_align_size(SIZE_MAX - 62, 64, &out));
}

static void test_min_max(void** state) {
  (void)state;
  assert_int_equal(kp_min_size(2, 3), 2);
  assert_int_equal(kp_max_size(2, 3), 3);
  assert_int_equal(kp_min_i64(-2, 3), -2);
  assert_int_equal(kp_max_i64(-2, 3), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mul),
      cmocka_unit_test(test_add),
      cmocka_unit_test(test_align),
      cmocka_unit_test(test_min_max),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
