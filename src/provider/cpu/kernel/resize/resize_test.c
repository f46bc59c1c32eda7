// Every variant of resampling against a plain loop.
#include "provider/cpu/kernel/resize/resize.h"

#include "provider/cpu/kernel/kernel_test.h"

static void check(const kp_resize_ops* ops, size_t outputs, size_t taps, size_t inner) {
  const size_t places = taps + outputs / 2 + 1;
  float *x = kt_input(places * inner), *weights = kt_input(outputs * taps),
        *y = kt_output(outputs * inner);
  size_t* index = malloc(outputs * taps * sizeof(*index));
  assert_non_null(index);
  for (size_t i = 0; i < outputs * taps; ++i) index[i] = kt_below(places);
  ops->mix(outputs, taps, inner, x, index, weights, y);
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t i = 0; i < inner; ++i) {
      double sum = 0;
      for (size_t k = 0; k < taps; ++k)
        sum += (double)weights[o * taps + k] * x[index[o * taps + k] * inner + i];
      KT_NEAR(y[o * inner + i], sum, (double)taps * FLT_EPSILON);  // |taps| products up to 1
    }
  }
  kt_check_guards(y, outputs * inner, outputs, inner, inner);
  free(index);
  free(weights);
  free(x);
}

static void test_mix(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(resize, ops) {
    for (size_t taps = 1; taps <= 9; ++taps) {
      for (size_t inner = 1; inner < 40; inner = inner * 2 + (taps & 1)) {
        check(ops, 1, taps, inner);
        check(ops, 7, taps, inner);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_mix)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
