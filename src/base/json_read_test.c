// The JSON reader: what it takes, what it refuses and where, its limits.
#include "base/json_read.h"

#include <stdio.h>

#include "base/alloc.h"
#include "support/expect.h"

static kp_json_value* read(const char* text, kp_arena* arena) {
  kp_json_value* value;
  kp_test_must(kp_json_read(kp_str_of(text), arena, &value));
  return value;
}

static void test_values(void** state) {
  (void)state;
  kp_arena arena = {0};
  const kp_json_value* v = read(
      " {\"a\": [1, -2.5e+3, true, false, null],\n \"b\\u00e9\\ud83d\\ude00\\n\": \"x\\/y\","
      "\"c\":{}, \"d\":[], \"e\":0}\n",
      &arena);
  assert_int_equal(v->kind, KP_JSON_OBJECT);
  const kp_json_value* a = kp_json_find(v, "a")->first;
  assert_true(a->kind == KP_JSON_NUMBER && strcmp(a->text.data, "1") == 0);
  assert_string_equal(a->next->text.data, "-2.5e+3");
  assert_true(a->next->next->boolean && !a->next->next->next->boolean);
  assert_int_equal(a->next->next->next->next->kind, KP_JSON_NULL);
  const kp_json_value* b = kp_json_find(v, "b\xc3\xa9\xf0\x9f\x98\x80\n");
  assert_string_equal(b->text.data, "x/y");
  assert_int_equal(b->line, 2);
  assert_null(kp_json_find(v, "c")->first);
  assert_null(kp_json_find(v, "nothing"));
  assert_null(kp_json_find(a, "a"));
  kp_arena_free(&arena);
}

static void test_mistakes(void** state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } cases[] = {
      {"", "line 1, column 1: a value is wanted"},
      {"{\"a\":1,}", "a string is wanted"},
      {"{\"a\" 1}", "':' is wanted"},
      {"[1 2]", "',' or the end is wanted"},
      {"[1,\n 2,\n x]", "line 3, column 2: a value is wanted"},
      {"{\"a\":1,\"a\":2}", "twice"},
      {"\"abc", "does not end"},
      {"\"a\\", "does not end"},
      {"\"\\x\"", "an escape"},
      {"\"\\u12\"", "four hexadecimal digits"},
      {"\"\\u0000\"", "\\u0000"},
      {"\"\\ud800\"", "half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
      {"\"\x01\"", "a control character"},
      {"\"\xff\"", "no UTF-8"},
      {"01", "a value is wanted"},
      {"1.", "after the point"},
      {"1e", "in the exponent"},
      {"-", "a value is wanted"},
      {"tru", "a value is wanted"},
      {"1 2", "behind the value"},
      {"// x\n1", "a value is wanted"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    kp_arena arena = {0};
    kp_json_value* value;
    kp_test_expect(kp_json_read(kp_str_of(cases[i].text), &arena, &value), KAPELL_INVALID_ARGUMENT,
                   cases[i].words);
    assert_null(value);
    kp_arena_free(&arena);
  }
}

static void test_depth(void** state) {
  (void)state;
  char text[2 * KP_JSON_READ_DEPTH + 3];
  for (int depth = KP_JSON_READ_DEPTH; depth <= KP_JSON_READ_DEPTH + 1; ++depth) {
    kp_arena arena = {0};
    kp_json_value* value;
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    text[2 * depth] = 0;
    kp_status* status = kp_json_read(kp_str_of(text), &arena, &value);
    if (depth == KP_JSON_READ_DEPTH)
      kp_test_must(status);
    else
      kp_test_expect(status, KAPELL_INVALID_ARGUMENT, "nested too deep");
    kp_arena_free(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_mistakes),
      cmocka_unit_test(test_depth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
