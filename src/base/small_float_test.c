// Tests of base/small_float.h: every code of every kind, and f32 inputs around every code's value and every midpoint, against an
// independent reference that works on doubles and a sorted table of values.
#include "base/small_float.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum specials { SPECIALS_IEEE, SPECIALS_ONE_NAN, SPECIALS_UZ, SPECIALS_NONE } specials;

typedef struct kind {
  const char* name;
  int exponent_bits, mantissa_bits, bias;
  specials what;
  float (*to)(unsigned bits);
  unsigned (*from)(float value, bool saturate);
} kind;

#define WRAP8(name)                                                                   \
  static float to_##name(unsigned bits) { return kp_##name##_to_f32((uint8_t)bits); } \
  static unsigned from_##name(float value, bool saturate) {                           \
    return kp_##name##_from_f32(value, saturate);                                     \
  }
#define WRAP_PLAIN(name, code_type)                                                     \
  static float to_##name(unsigned bits) { return kp_##name##_to_f32((code_type)bits); } \
  static unsigned from_##name(float value, bool saturate) {                             \
    (void)saturate;                                                                     \
    return kp_##name##_from_f32(value);                                                 \
  }
WRAP_PLAIN(f16, uint16_t)
WRAP_PLAIN(bf16, uint16_t)
WRAP8(f8e4m3fn)
WRAP8(f8e4m3fnuz)
WRAP8(f8e5m2)
WRAP8(f8e5m2fnuz)
WRAP_PLAIN(f6e2m3, uint8_t)
WRAP_PLAIN(f6e3m2, uint8_t)
WRAP_PLAIN(f4e2m1, uint8_t)

static const kind kinds[] = {
    {"float16", 5, 10, 15, SPECIALS_IEEE, to_f16, from_f16},
    {"bfloat16", 8, 7, 127, SPECIALS_IEEE, to_bf16, from_bf16},
    {"float8_e4m3fn", 4, 3, 7, SPECIALS_ONE_NAN, to_f8e4m3fn, from_f8e4m3fn},
    {"float8_e4m3fnuz", 4, 3, 8, SPECIALS_UZ, to_f8e4m3fnuz, from_f8e4m3fnuz},
    {"float8_e5m2", 5, 2, 15, SPECIALS_IEEE, to_f8e5m2, from_f8e5m2},
    {"float8_e5m2fnuz", 5, 2, 16, SPECIALS_UZ, to_f8e5m2fnuz, from_f8e5m2fnuz},
    {"float6_e2m3", 2, 3, 1, SPECIALS_NONE, to_f6e2m3, from_f6e2m3},
    {"float6_e3m2", 3, 2, 3, SPECIALS_NONE, to_f6e3m2, from_f6e3m2},
    {"float4_e2m1", 2, 1, 1, SPECIALS_NONE, to_f4e2m1, from_f4e2m1},
};

static unsigned sign_bit(const kind* k) { return 1u << (k->exponent_bits + k->mantissa_bits); }

// Value of a code without sign by the definition; NAN and INFINITY for the specials.
static double reference_value(const kind* k, unsigned code) {
  const unsigned mantissa = code & ((1u << k->mantissa_bits) - 1),
                 exponent = code >> k->mantissa_bits;
  const unsigned top = (1u << k->exponent_bits) - 1;
  if (k->what == SPECIALS_IEEE && exponent == top) return mantissa ? (double)NAN : (double)INFINITY;
  if (k->what == SPECIALS_ONE_NAN && code == sign_bit(k) - 1) return (double)NAN;
  const double fraction = mantissa / (double)(1u << k->mantissa_bits);
  return exponent ? ldexp(1 + fraction, (int)exponent - k->bias) : ldexp(fraction, 1 - k->bias);
}

// Number of finite codes without sign: they are 0 .. count-1 in order of value.
static unsigned finite_count(const kind* k) {
  unsigned count = 0;
  while (count < sign_bit(k) && isfinite(reference_value(k, count))) ++count;
  return count;
}

// Code for |x| > 0, finite or not, by comparing distances to the values of the neighbouring codes.
static unsigned reference_code(const kind* k, unsigned count, double x, bool saturate) {
  unsigned low = 0,
           high = count;  // value(low) <= x < value(high); value(count) is what would come next
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    if (reference_value(k, middle) <= x)
      low = middle;
    else
      high = middle;
  }
  const double below = reference_value(k, low);
  const double step = ldexp(
      1, (int)(low >> k->mantissa_bits ? low >> k->mantissa_bits : 1) - k->bias - k->mantissa_bits);
  const double over = below + step;
  unsigned code = low;
  if (x - below > over - x || (x - below == over - x && low % 2 == 1)) code = low + 1;
  if (code < count) return code;
  if (saturate || k->what == SPECIALS_NONE) return count - 1;
  return count;  // infinity, or the NaN: the next code in every kind that has one
}

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static void test_every_code(void** state) {
  (void)state;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    const kind* k = &kinds[i];
    for (unsigned bits = 0; bits < 2 * sign_bit(k); ++bits) {
      const unsigned code = bits & (sign_bit(k) - 1);
      const bool negative = bits != code;
      double expected = reference_value(k, code);
      if (k->what == SPECIALS_UZ && bits == sign_bit(k)) expected = (double)NAN;
      const float value = k->to(bits);
      if (isnan(expected)) {
        assert_true(isnan(value));
        continue;
      }
      if ((double)value != (negative ? -expected : expected))
        fail_msg("%s code %#x gives %g", k->name, bits, (double)value);
      assert_int_equal(signbit(value) != 0, negative);
      // And back: every value is its own nearest.
      assert_int_equal(k->from(value, false), bits);
      if (isfinite(value)) assert_int_equal(k->from(value, true), bits);
    }
  }
}

static void check_input(const kind* k, unsigned count, float x, bool saturate) {
  unsigned expected = x == 0 ? 0 : reference_code(k, count, fabs((double)x), saturate);
  const bool is_uz_nan = k->what == SPECIALS_UZ && expected >= count;
  const bool keeps_sign = k->what != SPECIALS_UZ || (expected != 0 && !is_uz_nan);
  if (signbit(x) && keeps_sign) expected |= sign_bit(k);
  const unsigned code = k->from(x, saturate);
  if (code != expected)
    fail_msg("%s of %a (saturate %d) is %#x, not %#x", k->name, (double)x, saturate, code,
             expected);
}

static void check_around(const kind* k, unsigned count, double value) {
  const uint32_t bits = bits_of((float)value);
  for (int step = -2; step <= 2; ++step) {
    const uint32_t near = bits + (uint32_t)step;
    if (near > UINT32_C(0x7F7FFFFF)) continue;
    for (int saturate = 0; saturate < 2; ++saturate) {
      const bool both =
          k->what == SPECIALS_ONE_NAN || k->what == SPECIALS_UZ || k->mantissa_bits == 2;
      if (saturate && !both) continue;  // f16, bf16 and the finite kinds have one way only
      check_input(k, count, float_of(near), saturate);
      check_input(k, count, -float_of(near), saturate);
    }
  }
}

static void test_around_every_value_and_midpoint(void** state) {
  (void)state;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    const kind* k = &kinds[i];
    const unsigned count = finite_count(k);
    for (unsigned code = 0; code < count; ++code) {
      const double value = reference_value(k, code);
      const int exponent = (int)(code >> k->mantissa_bits ? code >> k->mantissa_bits : 1);
      const double step = ldexp(1, exponent - k->bias - k->mantissa_bits);
      check_around(k, count, value);
      check_around(k, count, value + step / 2);
      check_around(k, count, value + step);
    }
  }
}

// All upper halves of an f32, each with the lower halves at which rounding changes.
static void test_grid(void** state) {
  (void)state;
  static const uint32_t low[] = {0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    const kind* k = &kinds[i];
    const unsigned count = finite_count(k);
    for (uint32_t high = 0; high < 0x7F80; high += 3)
      for (size_t j = 0; j < sizeof low / sizeof low[0]; ++j)
        check_input(k, count, float_of(high << 16 | low[j]), false);
  }
}

static void test_infinity_and_nan(void** state) {
  (void)state;
  const float inf = INFINITY, nan = float_of(0x7FC00000), minus_nan = float_of(0xFFC00000);
  assert_int_equal(kp_f16_from_f32(inf), 0x7C00);
  assert_int_equal(kp_f16_from_f32(-inf), 0xFC00);
  assert_int_equal(kp_f16_from_f32(1e6f), 0x7C00);
  assert_int_equal(kp_bf16_from_f32(-inf), 0xFF80);
  assert_int_equal(kp_bf16_from_f32(3.4e38f), 0x7F80);
  assert_int_equal(kp_f8e4m3fn_from_f32(inf, true), 0x7E);
  assert_int_equal(kp_f8e4m3fn_from_f32(-inf, false), 0xFF);
  assert_int_equal(kp_f8e4m3fn_from_f32(minus_nan, true), 0xFF);
  assert_int_equal(kp_f8e4m3fnuz_from_f32(-inf, true), 0xFF);
  assert_int_equal(kp_f8e4m3fnuz_from_f32(-inf, false), 0x80);
  assert_int_equal(kp_f8e4m3fnuz_from_f32(minus_nan, true), 0x80);
  assert_int_equal(kp_f8e5m2_from_f32(-inf, true), 0xFB);
  assert_int_equal(kp_f8e5m2_from_f32(-inf, false), 0xFC);
  assert_int_equal(kp_f8e5m2_from_f32(nan, true), 0x7E);
  assert_int_equal(kp_f8e5m2fnuz_from_f32(inf, false), 0x80);
  assert_int_equal(kp_f6e2m3_from_f32(-inf), 0x3F);
  assert_int_equal(kp_f6e2m3_from_f32(nan), 0x20);
  assert_int_equal(kp_f6e3m2_from_f32(minus_nan), 0);
  assert_int_equal(kp_f4e2m1_from_f32(nan), 0x8);
  assert_int_equal(kp_f4e2m1_from_f32(-100), 0xF);
  assert_true(kp_f6e2m3_to_f32(0xC1) == kp_f6e2m3_to_f32(1));  // upper bits do not count
  assert_true(kp_f4e2m1_to_f32(0xF1) == 0.5f);
}

static void test_nan_payloads(void** state) {
  (void)state;
  assert_int_equal(kp_f16_from_f32(float_of(0x7F801000)), 0x7E00);  // the payload would vanish
  assert_int_equal(kp_f16_from_f32(float_of(0xFFABC000)), 0xFF5E);
  assert_int_equal(kp_bf16_from_f32(float_of(0x7F800001)), 0x7FC0);
  assert_int_equal(bits_of(kp_f16_to_f32(0xFC01)), 0xFFC02000);  // made quiet
}

static void test_e8m0(void** state) {
  (void)state;
  for (unsigned code = 0; code < 255; ++code) {
    const float value = kp_f8e8m0_to_f32((uint8_t)code);
    assert_true((double)value == ldexp(1, (int)code - 127));
    for (int saturate = 0; saturate < 2; ++saturate) {
      for (int mode = KP_E8M0_UP; mode <= KP_E8M0_NEAREST; ++mode)
        assert_int_equal(kp_f8e8m0_from_f32(value, saturate, (kp_e8m0_round)mode), code);
      const float more = nextafterf(value, INFINITY), half = value * 1.5f,
                  less = nextafterf(half, 0);
      const unsigned next = code < 254 ? code + 1 : saturate ? 254 : 255;
      assert_int_equal(kp_f8e8m0_from_f32(more, saturate, KP_E8M0_UP), next);
      assert_int_equal(kp_f8e8m0_from_f32(more, saturate, KP_E8M0_NEAREST), code);
      assert_int_equal(kp_f8e8m0_from_f32(less, saturate, KP_E8M0_NEAREST), code);
      assert_int_equal(kp_f8e8m0_from_f32(half, saturate, KP_E8M0_NEAREST), next);
      assert_int_equal(kp_f8e8m0_from_f32(half, saturate, KP_E8M0_DOWN), code);
      assert_int_equal(kp_f8e8m0_from_f32(-half, saturate, KP_E8M0_DOWN), code);
    }
  }
  assert_true(isnan(kp_f8e8m0_to_f32(255)));
  assert_int_equal(kp_f8e8m0_from_f32(NAN, true, KP_E8M0_UP), 255);
  assert_int_equal(kp_f8e8m0_from_f32(INFINITY, true, KP_E8M0_UP), 254);
  assert_int_equal(kp_f8e8m0_from_f32(INFINITY, false, KP_E8M0_NEAREST), 255);
  assert_int_equal(kp_f8e8m0_from_f32(0, true, KP_E8M0_UP), 0);
  assert_int_equal(kp_f8e8m0_from_f32(0, false, KP_E8M0_NEAREST), 255);
  assert_int_equal(kp_f8e8m0_from_f32(1e-40f, true, KP_E8M0_NEAREST), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_code),   cmocka_unit_test(test_around_every_value_and_midpoint),
      cmocka_unit_test(test_grid),         cmocka_unit_test(test_infinity_and_nan),
      cmocka_unit_test(test_nan_payloads), cmocka_unit_test(test_e8m0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
