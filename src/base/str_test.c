// Tests of base/str.h: views, UTF-8, the text buffer, interning, the pointer map, hashing, number parsing.
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/size.h"

static void test_views(void** state) {
  (void)state;
  assert_true(kp_str_equal((kp_str){NULL, 0}, kp_str_of("")));
  assert_true(kp_str_is((kp_str){"abcd", 3}, "abc"));
  assert_false(kp_str_is((kp_str){"abcd", 4}, "abc"));
  char text[16];
  snprintf(text, sizeof text, "%.*s|", KP_STR_ARG(((kp_str){"abcd", 2})));
  assert_string_equal(text, "ab|");
}

static void test_utf8(void** state) {
  (void)state;
  const char* const good[] = {"",
                              "abc",
                              "\xC3\xA9",
                              "\xE2\x82\xAC",
                              "\xF0\x9F\x8E\xBB",
                              "\xED\x9F\xBF",
                              "\xF4\x8F\xBF\xBF"};
  const char* const bad[] = {"\x80",
                             "\xC0\x80",
                             "\xC1\xBF",
                             "\xE0\x80\x80",
                             "\xED\xA0\x80",
                             "\xF0\x80\x80\x80",
                             "\xF4\x90\x80\x80",
                             "\xF5\x80\x80\x80",
                             "\xC3",
                             "\xE2\x82",
                             "a\xFF",
                             "\xE2\x28\xA1"};
  for (size_t i = 0; i < KP_COUNT_OF(good); ++i) assert_true(kp_str_utf8_valid(kp_str_of(good[i])));
  for (size_t i = 0; i < KP_COUNT_OF(bad); ++i) assert_false(kp_str_utf8_valid(kp_str_of(bad[i])));
}

static void test_strbuf(void** state) {
  (void)state;
  kp_strbuf buf = {0};
  for (int i = 0; i < 1000; ++i) kp_strbuf_printf(&buf, "%d,", i);
  kp_strbuf_puts(&buf, "end");
  assert_int_equal(buf.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
  char* text = kp_strbuf_take(&buf);
  assert_memory_equal(text, "0,1,2,", 6);
  assert_int_equal(strlen(text), 10 * 2 + 90 * 3 + 900 * 4 + 3);
  kp_free(text);
  text = kp_strbuf_take(&buf);
  assert_string_equal(text, "");
  kp_free(text);
  kp_strbuf_free(&buf);
}

static void test_strbuf_failure_sticks(void** state) {
  (void)state;
  kp_strbuf buf = {0};
  kp_strbuf_puts(&buf, "some");
  kp_alloc_fail_at(1);
  kp_strbuf_printf(&buf, "%200d", 1);
  kp_strbuf_puts(&buf, "more");
  assert_true(buf.failed);
  assert_string_equal(buf.data, "some");
  assert_null(kp_strbuf_take(&buf));
  assert_null(buf.data);
}

static void test_json_strings(void** state) {
  (void)state;
  kp_strbuf buf = {0};
  kp_strbuf_json(&buf, (kp_str){"a\"\\\n\t\x01\x7f\0/", 9});
  kp_strbuf_json(&buf, kp_str_of("\xE2\x82\xAC\xFFz"));
  assert_string_equal(buf.data,
                      "\"a\\\"\\\\\\n\\t\\u0001\\u007f\\u0000/\"\"\xE2\x82\xAC\xEF\xBF\xBDz\"");
  kp_strbuf_free(&buf);
}

static void test_interner(void** state) {
  (void)state;
  kp_interner table;
  kp_interner_init(&table);
  assert_null(kp_intern_find(&table, kp_str_of("x")));
  const char* names[2000];
  char text[32];
  for (int i = 0; i < 2000; ++i) {
    snprintf(text, sizeof text, "name_%d", i);
    names[i] = kp_intern(&table, kp_str_of(text));
    assert_string_equal(names[i], text);
  }
  for (int i = 0; i < 2000; ++i) {
    snprintf(text, sizeof text, "name_%d", i);
    assert_ptr_equal(kp_intern(&table, kp_str_of(text)), names[i]);
    assert_ptr_equal(kp_intern_find(&table, kp_str_of(text)), names[i]);
  }
  assert_int_equal(table.count, 2000);
  assert_ptr_equal(kp_intern(&table, (kp_str){"name_12", 6}), names[1]);
  assert_null(kp_intern_find(&table, kp_str_of("name_")));
  const char* empty = kp_intern(&table, (kp_str){NULL, 0});
  assert_string_equal(empty, "");
  assert_ptr_equal(kp_intern(&table, kp_str_of("")), empty);
  assert_null(kp_intern(&table, (kp_str){"a\0b", 3}));
  assert_null(kp_intern_find(&table, (kp_str){"a\0b", 3}));
  kp_interner_free(&table);
}

static void test_interner_out_of_memory(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  for (uint64_t nth = 1; nth <= 6; ++nth) {
    kp_interner table;
    kp_interner_init(&table);
    kp_alloc_fail_at(nth);
    int made = 0;
    char text[32];
    for (int i = 0; i < 100; ++i) {
      snprintf(text, sizeof text, "n%d", i);
      made += kp_intern(&table, kp_str_of(text)) != NULL;
    }
    kp_alloc_fail_at(0);
    assert_true(made >= 99);
    assert_int_equal(table.count, made);
    kp_interner_free(&table);
    assert_int_equal(kp_alloc_live(), live);
  }
}

static void test_ptr_map(void** state) {
  (void)state;
  static char keys[3000];
  kp_ptr_map map = {0};
  uint32_t value = 0;
  assert_false(kp_ptr_map_get(&map, keys, &value));
  for (uint32_t i = 0; i < 3000; ++i) assert_null(kp_ptr_map_put(&map, &keys[i], i));
  for (uint32_t i = 0; i < 3000; i += 2) assert_null(kp_ptr_map_put(&map, &keys[i], i + 7));
  assert_int_equal(map.count, 3000);
  for (uint32_t i = 0; i < 3000; ++i) {
    assert_true(kp_ptr_map_get(&map, &keys[i], &value));
    assert_int_equal(value, i + (i % 2 ? 0 : 7));
  }
  const uint64_t total = kp_alloc_total();
  kp_ptr_map_clear(&map);
  assert_false(kp_ptr_map_get(&map, &keys[1], &value));
  assert_null(kp_ptr_map_put(&map, &keys[1], 5));
  assert_int_equal(kp_alloc_total(), total);
  kp_ptr_map_free(&map);
  kp_alloc_fail_at(1);
  kp_status* status = kp_ptr_map_put(&map, keys, 1);
  assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
  kp_status_free(status);
  kp_ptr_map_free(&map);
}

static void test_hash(void** state) {
  (void)state;
  // Each single-bit change moves about half of the output bits.
  unsigned char bytes[40] = {0};
  for (size_t length = 1; length <= sizeof bytes; ++length) {
    const uint64_t base = kp_hash_bytes(bytes, length, 1);
    assert_true(base != kp_hash_bytes(bytes, length - 1, 1));
    assert_true(base != kp_hash_bytes(bytes, length, 2));
    for (size_t bit = 0; bit < length * 8; ++bit) {
      bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
      const int moved = __builtin_popcountll(base ^ kp_hash_bytes(bytes, length, 1));
      bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
      assert_in_range(moved, 8, 56);
    }
  }
}

static void test_parse_i64(void** state) {
  (void)state;
  int64_t value = 0;
  assert_true(kp_parse_i64(kp_str_of("9223372036854775807"), &value));
  assert_true(value == INT64_MAX);
  assert_true(kp_parse_i64(kp_str_of("-9223372036854775808"), &value));
  assert_true(value == INT64_MIN);
  assert_true(kp_parse_i64(kp_str_of("+12"), &value));
  assert_int_equal(value, 12);
  assert_true(kp_parse_i64((kp_str){"123456", 3}, &value));
  assert_int_equal(value, 123);
  const char* const bad[] = {
      "", "-", "+", "9223372036854775808", "-9223372036854775809", "1x", " 1", "1 ", "0x10", "--1"};
  for (size_t i = 0; i < KP_COUNT_OF(bad); ++i)
    assert_false(kp_parse_i64(kp_str_of(bad[i]), &value));
}

static void test_parse_f64(void** state) {
  (void)state;
  double value = 0;
  setlocale(LC_ALL, "de_DE.UTF-8");  // where it exists, a comma is the decimal point
  assert_true(kp_parse_f64(kp_str_of("1.5e3"), &value));
  assert_true(value == 1500.0);
  setlocale(LC_ALL, "C");
  assert_true(kp_parse_f64((kp_str){"-0.2599", 5}, &value));
  assert_true(value == -0.25);
  assert_true(kp_parse_f64(kp_str_of("4e-324"), &value));
  assert_true(value > 0.0);
  assert_true(kp_parse_f64(kp_str_of("inf"), &value));
  assert_true(isinf(value));
  const char* const bad[] = {"", " 1", "1 ", "1,5", "1e999", "x", "1.5f", "--1", "."};
  for (size_t i = 0; i < KP_COUNT_OF(bad); ++i)
    assert_false(kp_parse_f64(kp_str_of(bad[i]), &value));
  assert_false(kp_parse_f64((kp_str){"1\0", 2}, &value));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_views),
      cmocka_unit_test(test_utf8),
      cmocka_unit_test(test_strbuf),
      cmocka_unit_test(test_strbuf_failure_sticks),
      cmocka_unit_test(test_json_strings),
      cmocka_unit_test(test_interner),
      cmocka_unit_test(test_interner_out_of_memory),
      cmocka_unit_test(test_ptr_map),
      cmocka_unit_test(test_hash),
      cmocka_unit_test(test_parse_i64),
      cmocka_unit_test(test_parse_f64),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
