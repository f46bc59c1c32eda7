// Every variant of the conversions against base/small_float, over all 16-bit patterns and random 32-bit ones.
#include "provider/cpu/kernel/convert/convert.h"

#include "base/small_float.h"
#include "provider/cpu/kernel/kernel_test.h"

#define PATTERNS 65536

typedef void (*widen_fn)(size_t count, const uint16_t* x, float* y);
typedef void (*narrow_fn)(size_t count, const float* x, uint16_t* y);

static void check_widen(widen_fn widen, float (*want)(uint16_t)) {
  uint16_t* x = malloc(PATTERNS * sizeof *x);
  float* y = malloc(PATTERNS * sizeof *y);
  assert_non_null(x);
  assert_non_null(y);
  for (size_t i = 0; i < PATTERNS; ++i) x[i] = (uint16_t)i;
  widen(PATTERNS, x, y);
  for (size_t i = 0; i < PATTERNS; ++i) {
    const float expected = want((uint16_t)i);
    assert_true(isnan(expected) ? isnan(y[i]) : memcmp(&expected, &y[i], sizeof expected) == 0);
  }
  free(x);
  free(y);
}

static void check_narrow(narrow_fn narrow, uint16_t (*want)(float), float (*back)(uint16_t)) {
  float* x = malloc(PATTERNS * sizeof *x);
  uint16_t* y = malloc(PATTERNS * sizeof *y);
  assert_non_null(x);
  assert_non_null(y);
  for (int round = 0; round < 8; ++round) {
    for (size_t i = 0; i < PATTERNS; ++i) {
      // all values there are, with what is just above, just below and half way to the next; then anything
      uint32_t bits = kt_random() ^ kt_random() << 16;
      if (round < 5) {
        const float value = back((uint16_t)i);
        memcpy(&bits, &value, sizeof bits);
        bits += (uint32_t[]){0, 1, UINT32_MAX, 0x1000, 0x8000}[round];
      }
      memcpy(&x[i], &bits, sizeof bits);
    }
    narrow(PATTERNS, x, y);
    for (size_t i = 0; i < PATTERNS; ++i) {
      if (isnan(x[i]))
        assert_true(isnan(back(y[i])));
      else
        assert_int_equal(y[i], want(x[i]));
    }
  }
  free(x);
  free(y);
}

static void test_all_patterns(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(convert, ops) {
    check_widen(ops->f16_to_f32, kp_f16_to_f32);
    check_widen(ops->bf16_to_f32, kp_bf16_to_f32);
    check_narrow(ops->f32_to_f16, kp_f16_from_f32, kp_f16_to_f32);
    check_narrow(ops->f32_to_bf16, kp_bf16_from_f32, kp_bf16_to_f32);
  }
}

// Counts that fill no vector, in memory of exactly that size.
static void test_tails(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(convert, ops) {
    for (size_t count = 0; count < 40; ++count) {
      uint16_t* halves = malloc(count * sizeof *halves + 1);
      float* floats = kt_output(count);
      assert_non_null(halves);
      for (size_t i = 0; i < count; ++i) halves[i] = (uint16_t)(0x3C00 + i);
      ops->f16_to_f32(count, halves, floats);
      for (size_t i = 0; i < count; ++i) assert_true(floats[i] == kp_f16_to_f32(halves[i]));
      ops->f32_to_f16(count, floats, halves);
      for (size_t i = 0; i < count; ++i) assert_int_equal(halves[i], 0x3C00 + i);
      kt_check_guards(floats, count, 1, count, count);
      free(halves);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_patterns),
      cmocka_unit_test(test_tails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
