// Tests of base/unicode.h.
#include "base/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"

static void test_utf8(void** state) {
  (void)state;
  static const uint32_t codes[] = {0,      'a',    0x7F,   0x80,    0x7FF,   0x800,
                                   0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};
  for (size_t i = 0; i < KP_COUNT_OF(codes); ++i) {
    char text[4];
    uint32_t code;
    const size_t length = kp_utf8_encode(codes[i], text);
    assert_true(kp_str_utf8_valid((kp_str){text, length}));
    assert_int_equal(kp_utf8_decode(text, length, &code), length);
    assert_int_equal(code, codes[i]);
    if (length > 1) {  // cut off
      assert_int_equal(kp_utf8_decode(text, length - 1, &code), 1);
      assert_int_equal(code, KP_UNICODE_NONE);
    }
  }
}

static void test_bytes_that_are_no_utf8(void** state) {
  (void)state;
  static const char* const bad[] = {
      "\x80", "\xC0\x80", "\xC1\xBF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\xE0\x80\x80"};
  for (size_t i = 0; i < KP_COUNT_OF(bad); ++i) {
    uint32_t code;
    assert_int_equal(kp_utf8_decode(bad[i], strlen(bad[i]), &code), 1);
    assert_int_equal(code, KP_UNICODE_NONE);
  }
}

static void test_case(void** state) {
  (void)state;
  static const struct {
    uint32_t code, lower, upper;
  } cases[] = {{'A', 'a', 'A'},          {'z', 'z', 'Z'},          {'5', '5', '5'},
               {0xC4, 0xE4, 0xC4},       {0xDF, 0xDF, 0xDF},       {0xFF, 0xFF, 0x178},
               {0x130, 'i', 0x130},      {0x131, 0x131, 'I'},      {0x1C5, 0x1C6, 0x1C4},
               {0x3C2, 0x3C2, 0x3A3},    {0x416, 0x436, 0x416},    {0x1E9E, 0xDF, 0x1E9E},
               {0x212A, 'k', 0x212A},    {0x10D0, 0x10D0, 0x1C90}, {0x10400, 0x10428, 0x10400},
               {0x1FB3, 0x1FB3, 0x1FBC}, {0x65E5, 0x65E5, 0x65E5}};
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    assert_int_equal(kp_unicode_lower(cases[i].code), cases[i].lower);
    assert_int_equal(kp_unicode_upper(cases[i].code), cases[i].upper);
  }
  assert_int_equal(kp_unicode_fold(0x212A), kp_unicode_fold('K'));
  assert_int_equal(kp_unicode_fold(0x3C2), kp_unicode_fold(0x3A3));
  assert_int_not_equal(kp_unicode_fold(0x131), kp_unicode_fold('I'));
}

static void count_range(void* user, uint32_t first, uint32_t last) {
  size_t* count = user;
  assert_true(first <= last);
  *count += last - first + 1;
}

static void test_classes(void** state) {
  (void)state;
  static const struct {
    const char* name;
    size_t count;  // 0: no such class
  } cases[] = {{"Any", 0x110000}, {"Nd", 660}, {"Ogham", 29}, {"Greek", 518}, {"Zl", 1},
               {"Cs", 2048},      {"Cn", 0},   {"X", 0},      {"Klingon", 0}};
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    size_t count = 0;
    assert_int_equal(kp_unicode_each_range(kp_str_of(cases[i].name), count_range, &count),
                     cases[i].count != 0);
    assert_int_equal(count, cases[i].count);
  }
  assert_true(kp_unicode_space(0x3000) && kp_unicode_space('\t') && !kp_unicode_space(0x200B));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_utf8),
      cmocka_unit_test(test_bytes_that_are_no_utf8),
      cmocka_unit_test(test_case),
      cmocka_unit_test(test_classes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
