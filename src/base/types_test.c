// Tests of base/types.h: the table is complete, its sizes are ONNX's, unknown numbers are harmless.
#include "base/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_table_is_complete(void** state) {
  (void)state;
  for (int i = 1; i < KAPELL_TYPE_COUNT; ++i) {
    const kapell_type type = (kapell_type)i;
    assert_true(kp_type_is_valid(type));
    assert_non_null(kp_type_name(type));
    assert_int_equal(kp_type_parse(kp_str_of(kp_type_name(type))), type);
    assert_int_equal(kp_type_parse(kp_str_of(kp_type_onnx_name(type))), type);
    const int kinds = kp_type_is_float(type) + kp_type_is_complex(type) + kp_type_is_integer(type);
    assert_int_equal(kinds, type != KAPELL_BOOL && type != KAPELL_STRING);
  }
  assert_int_equal(kp_type_parse(kp_str_of("Float")), KAPELL_FLOAT);
  assert_int_equal(kp_type_parse(kp_str_of("undefined")), KAPELL_UNDEFINED);
  assert_int_equal(kp_type_parse(kp_str_of("")), KAPELL_UNDEFINED);
  assert_int_equal(kp_type_parse(kp_str_of("float3")), KAPELL_UNDEFINED);
}

static void test_unknown_numbers(void** state) {
  (void)state;
  const int unknown[] = {-1, 0, KAPELL_TYPE_COUNT, 1 << 30};
  for (int i = 0; i < 4; ++i) {
    const kapell_type type = (kapell_type)unknown[i];
    size_t bytes = 0;
    assert_false(kp_type_is_valid(type));
    assert_string_equal(kp_type_name(type), "undefined");
    assert_string_equal(kp_type_onnx_name(type), "UNDEFINED");
    assert_int_equal(kp_type_bits(type), 0);
    assert_false(kp_type_bytes(type, 1, &bytes));
    assert_false(kp_type_is_signed(type) || kp_type_is_packed(type));
  }
}

static void test_bytes(void** state) {
  (void)state;
  static const struct {
    kapell_type type;
    size_t count, bytes;
  } cases[] = {
      {KAPELL_FLOAT, 3, 12},     {KAPELL_COMPLEX128, 2, 32}, {KAPELL_BOOL, 5, 5},
      {KAPELL_INT4, 0, 0},       {KAPELL_INT4, 1, 1},        {KAPELL_INT4, 2, 1},
      {KAPELL_FLOAT4E2M1, 3, 2}, {KAPELL_UINT2, 4, 1},       {KAPELL_INT2, 5, 2},
      {KAPELL_FLOAT6E2M3, 4, 4}, {KAPELL_FLOAT8E8M0, 7, 7},  {KAPELL_BFLOAT16, 7, 14},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    size_t bytes = 99;
    assert_true(kp_type_bytes(cases[i].type, cases[i].count, &bytes));
    assert_int_equal(bytes, cases[i].bytes);
  }
  size_t bytes = 0;
  assert_false(kp_type_bytes(KAPELL_STRING, 1, &bytes));
  assert_false(kp_type_bytes(KAPELL_FLOAT, SIZE_MAX / 4 + 1, &bytes));
  assert_true(kp_type_bytes(KAPELL_UINT4, SIZE_MAX, &bytes));
  assert_true(bytes == SIZE_MAX / 2 + 1);
}

static void test_predicates(void** state) {
  (void)state;
  assert_true(kp_type_is_float(KAPELL_FLOAT6E3M2) && kp_type_is_signed(KAPELL_FLOAT6E3M2));
  assert_false(kp_type_is_signed(KAPELL_FLOAT8E8M0));
  assert_true(kp_type_is_integer(KAPELL_UINT2) && !kp_type_is_signed(KAPELL_UINT2));
  assert_true(kp_type_is_packed(KAPELL_INT2) && !kp_type_is_packed(KAPELL_FLOAT6E2M3));
  assert_false(kp_type_is_packed(KAPELL_STRING));
  assert_true(kp_type_mask(KAPELL_FLOAT6E3M2) == UINT64_C(1) << 28);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table_is_complete),
      cmocka_unit_test(test_unknown_numbers),
      cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_predicates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
