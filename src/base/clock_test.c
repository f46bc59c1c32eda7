// Tests of base/clock.h: the clock goes forward and counts nanoseconds.
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

static void test_never_goes_back(void** state) {
  (void)state;
  uint64_t last = kp_clock_ns();
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now = kp_clock_ns();
    assert_true(now >= last);
    last = now;
  }
}

static void test_unit(void** state) {
  (void)state;
  const uint64_t start = kp_clock_ns();
  nanosleep(&(struct timespec){0, 20000000}, NULL);
  const uint64_t passed = kp_clock_ns() - start;
  assert_true(passed >= 19000000);
  assert_true(passed <
              UINT64_C(20000000000));  // a loaded machine may be late, but not by this much
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_never_goes_back),
                                     cmocka_unit_test(test_unit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
