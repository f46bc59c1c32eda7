// Tests of api/limits.h: the defaults of both modes, which are those of docs/untrusted.md; what the limits do: test/py/test_hostile.py.
#include "api/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static void test_untrusted_defaults(void** state) {
  (void)state;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.untrusted = true;
  kp_limits_complete(&options);
  assert_int_equal(options.max_memory, UINT64_C(1) << 30);
  assert_int_equal(options.max_nodes, 100000);
  assert_int_equal(options.max_iterations, 1000000);
  assert_int_equal(options.open_timeout_ns, 10 * SECOND);
  assert_int_equal(options.run_timeout_ns, 10 * SECOND);
  assert_int_equal(options.fold_bytes, 64 << 20);
  assert_int_equal(options.fold_ns, SECOND);
}

static void test_trusted_defaults(void** state) {
  (void)state;
  kapell_options options = KAPELL_OPTIONS_INIT;
  kp_limits_complete(&options);
  assert_int_equal(options.max_memory, 0);
  assert_int_equal(options.max_nodes, 1000000);
  assert_int_equal(options.max_iterations, 0);
  assert_int_equal(options.open_timeout_ns, 0);
  assert_int_equal(options.run_timeout_ns, 0);
  assert_int_equal(options.fold_bytes, 1 << 30);
  assert_int_equal(options.fold_ns, 10 * SECOND);
}

static void test_given_limits_stay(void** state) {
  (void)state;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.untrusted = true;
  options.max_memory = 5;
  options.max_nodes = 6;
  options.max_iterations = UINT64_MAX;
  options.run_timeout_ns = UINT64_MAX;
  kp_limits_complete(&options);
  assert_int_equal(options.max_memory, 5);
  assert_int_equal(options.max_nodes, 6);
  assert_int_equal(options.max_iterations, 0);  // none
  assert_int_equal(options.run_timeout_ns, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_untrusted_defaults),
      cmocka_unit_test(test_trusted_defaults),
      cmocka_unit_test(test_given_limits_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
