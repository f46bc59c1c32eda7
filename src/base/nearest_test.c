// Distances by hand, and what is near enough to suggest.
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above.
#include <cmocka.h>

static size_t distance(const char* a, const char* b) {
  return kp_str_distance(kp_str_of(a), kp_str_of(b));
}

static void test_distance(void** state) {
  (void)state;
  assert_int_equal(distance("", ""), 0);
  assert_int_equal(distance("abc", ""), 3);
  assert_int_equal(distance("kitten", "sitting"), 3);
  assert_int_equal(distance("CUDA", "cuda"), 0);
  assert_int_equal(distance("cuad", "cuda"), 1);
  assert_int_equal(distance("tensort", "TensorRT"), 1);
  assert_int_equal(distance("ab", "ba"), 1);
  char a[100], b[90];
  for (size_t i = 0; i < sizeof a; ++i) a[i] = 'x';
  for (size_t i = 0; i < sizeof b; ++i) b[i] = 'x';
  const size_t cut = kp_str_distance((kp_str){a, sizeof a}, (kp_str){b, sizeof b});
  assert_int_equal(cut, 36 + 26);  // both tails count as different
}

static void test_nearest(void** state) {
  (void)state;
  kp_nearest nearest = KP_NEAREST_INIT(kp_str_of("devise_id"));
  kp_nearest_offer(&nearest, "memory");
  assert_null(nearest.best);
  kp_nearest_offer(&nearest, "device_ids");
  kp_nearest_offer(&nearest, "device_id");
  assert_string_equal(nearest.best, "device_id");
  nearest = KP_NEAREST_INIT(kp_str_of("zz"));
  kp_nearest_offer(&nearest, "ops");
  assert_null(nearest.best);
  nearest = KP_NEAREST_INIT(((kp_str){NULL, 0}));
  kp_nearest_offer(&nearest, "ops");
  assert_null(nearest.best);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_distance),
                                     cmocka_unit_test(test_nearest)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
