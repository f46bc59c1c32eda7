// Tests of base/json.h: layout, numbers that read back, strings, and that misuse is a failure instead of bad JSON.
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

static void write_sample(kp_json* json) {
  kp_json_begin_object(json);
  kp_json_member_int(json, "n", -3);
  kp_json_key(json, "list");
  kp_json_begin_array(json);
  kp_json_bool(json, true);
  kp_json_null(json);
  kp_json_uint(json, UINT64_MAX);
  kp_json_begin_object(json);
  kp_json_end_object(json);
  kp_json_begin_array(json);
  kp_json_end_array(json);
  kp_json_end_array(json);
  kp_json_member_string(json, "a\"b", "x\ny");
  kp_json_member_string(json, "none", NULL);
  kp_json_member_double(json, "d", 0.1);
  kp_json_member_bool(json, "b", false);
  kp_json_end_object(json);
}

static void test_compact(void** state) {
  (void)state;
  kp_strbuf buf = {0};
  kp_json json = {.buf = &buf};
  write_sample(&json);
  assert_string_equal(
      buf.data,
      "{\"n\":-3,\"list\":[true,null,18446744073709551615,{},[]],\"a\\\"b\":\"x\\ny\","
      "\"none\":null,\"d\":0.1,\"b\":false}");
  assert_false(buf.failed);
  kp_strbuf_free(&buf);
}

static void test_pretty(void** state) {
  (void)state;
  kp_strbuf buf = {0};
  kp_json json = {.buf = &buf, .pretty = true};
  kp_json_begin_object(&json);
  kp_json_member_int(&json, "a", 1);
  kp_json_key(&json, "b");
  kp_json_begin_array(&json);
  kp_json_int(&json, 2);
  kp_json_int(&json, 3);
  kp_json_end_array(&json);
  kp_json_end_object(&json);
  assert_string_equal(buf.data, "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ]\n}");
  kp_strbuf_free(&buf);
}

static void assert_double(double number, const char* expected) {
  kp_strbuf buf = {0};
  kp_json json = {.buf = &buf};
  kp_json_double(&json, number);
  if (expected) assert_string_equal(buf.data, expected);
  if (isfinite(number)) assert_true(strtod(buf.data, NULL) == number);
  kp_strbuf_free(&buf);
}

static void test_doubles(void** state) {
  (void)state;
  assert_double(0.0, "0");
  assert_double(1.0 / 3.0, "0.3333333333333333");
  assert_double(0.1 + 0.2, "0.30000000000000004");
  assert_double(-2.5, "-2.5");
  assert_double(1e300, "1e+300");
  assert_double(NAN, "null");
  assert_double(-INFINITY, "null");
  assert_double(DBL_MAX, NULL);
  assert_double(DBL_TRUE_MIN, NULL);
  uint64_t bits = 1;
  for (int i = 0; i < 20000; ++i) {
    bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double number;
    memcpy(&number, &bits, sizeof number);
    assert_double(number, NULL);
  }
}

static bool fails(void (*misuse)(kp_json*)) {
  kp_strbuf buf = {0};
  kp_json json = {.buf = &buf};
  misuse(&json);
  char* text = kp_strbuf_take(&buf);
  kp_free(text);
  return text == NULL;
}

static void end_nothing(kp_json* json) { kp_json_end_array(json); }
static void end_wrong(kp_json* json) {
  kp_json_begin_array(json);
  kp_json_end_object(json);
}
static void key_in_array(kp_json* json) {
  kp_json_begin_array(json);
  kp_json_key(json, "k");
}
static void value_without_key(kp_json* json) {
  kp_json_begin_object(json);
  kp_json_int(json, 1);
}
static void two_keys(kp_json* json) {
  kp_json_begin_object(json);
  kp_json_key(json, "a");
  kp_json_key(json, "b");
}
static void end_after_key(kp_json* json) {
  kp_json_begin_object(json);
  kp_json_key(json, "a");
  kp_json_end_object(json);
}
static void too_deep(kp_json* json) {
  for (int i = 0; i <= KP_JSON_MAX_DEPTH; ++i) kp_json_begin_array(json);
}
static void just_deep_enough(kp_json* json) {
  for (int i = 0; i < KP_JSON_MAX_DEPTH; ++i) kp_json_begin_array(json);
  for (int i = 0; i < KP_JSON_MAX_DEPTH; ++i) kp_json_end_array(json);
}

static void test_misuse_fails(void** state) {
  (void)state;
  assert_true(fails(end_nothing));
  assert_true(fails(end_wrong));
  assert_true(fails(key_in_array));
  assert_true(fails(value_without_key));
  assert_true(fails(two_keys));
  assert_true(fails(end_after_key));
  assert_true(fails(too_deep));
  assert_false(fails(just_deep_enough));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_compact),
      cmocka_unit_test(test_pretty),
      cmocka_unit_test(test_doubles),
      cmocka_unit_test(test_misuse_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
