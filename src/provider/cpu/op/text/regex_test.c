// Tests of regex.h by hand: what the generated patterns of test/py/draws/strings.py do not reach. Those compare with Python's engine.
#include "provider/cpu/op/text/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/size.h"

// Whether |text| matches |pattern|; an error fails the test.
static bool matches(const char* pattern, const char* text, size_t length) {
  kp_arena arena = {0};
  kp_regex* regex;
  kp_status* status = kp_regex_compile(kp_str_of(pattern), &arena, &regex);
  if (status) fail_msg("%s", kp_status_text(status));
  void* scratch = kp_alloc(kp_regex_scratch(regex));
  kp_regex_scratch_init(regex, scratch);
  const bool first = kp_regex_full_match(regex, (kp_str){text, length}, scratch, NULL);
  const bool again = kp_regex_full_match(regex, (kp_str){text, length}, scratch, NULL);
  assert_int_equal(first, again);
  kp_free(scratch);
  kp_arena_free(&arena);
  return first;
}

typedef struct match_case {
  const char *pattern, *text;
  bool match;
} match_case;

static void test_matches(void** state) {
  (void)state;
  static const match_case cases[] = {
      {"", "", true},
      {"", "a", false},
      {"a|", "", true},
      {"(?:)", "", true},
      {"a{0}b", "b", true},
      {"a{0}b", "ab", false},
      {"a{2,}", "aaa", true},
      {"a{2,}", "a", false},
      {"a{,3}", "a{,3}", true},
      {"{", "{", true},
      {"a{1", "a{1", true},
      {"(a|b)*c{2,3}", "ababccc", true},
      {"(a|b)*c{2,3}", "ababcccc", false},
      {"(?:a*)*b", "aab", true},
      {"(a?){3}", "aa", true},
      {"\\Qa.b*\\Ec", "a.b*c", true},
      {"\\Qa.b*", "a.b*", true},
      {"\\Qab\\E+", "abbb", true},
      {"\\pL+", "aé日", true},
      {"\\p{Greek}+", "αβγ", true},
      {"\\p{^Greek}", "α", false},
      {"\\P{Lu}", "a", true},
      {"[\\p{Lu}\\d]+", "É7", true},
      {"(?i)k", "\xE2\x84\xAA", true},
      {"(?i)[^k]", "K", false},
      {"(?i)straße", "STRAẞE", true},
      {"(?i)Σ", "ς", true},
      {"(?i:a)b", "Ab", true},
      {"(?i:a)b", "AB", false},
      {"(?i)a(?-i)b", "Ab", true},
      {"(?i)a(?-i)b", "AB", false},
      {"((?i)a)b", "AB", false},
      {"a$", "a", true},
      {"a$\n", "a\n", false},
      {"(?m)a$\n^b", "a\nb", true},
      {"a^b", "ab", false},
      {"(?s).", "\n", true},
      {".", "\n", false},
      {"[^a]", "\n", true},
      {"\\Ba", "a", false},
      {"\\ba\\b", "a", true},
      {"a\\z", "a", true},
      {"\\Aa", "a", true},
      {"\\bé", "é", false},
      {"[[:^digit:]]+", "ab", true},
      {"[[:alpha:]-]+", "a-b", true},
      {"[a-]+", "a-", true},
      {"[]-]+", "]-", true},
      {"[\\]]", "]", true},
      {"\\x{1F600}", "😀", true},
      {"\\07\\x41", "\aA", true},
      {"\\C\\C", "é", true},
      {"\\C", "é", false},
      {"\\C*", "日本", true},
      {"(?P<name>a)(?<other>b)", "ab", true},
      {"(?U)a+", "aaa", true},
      {"x*?y??", "xx", true},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i)
    if (matches(cases[i].pattern, cases[i].text, strlen(cases[i].text)) != cases[i].match)
      fail_msg("\"%s\" and \"%s\" should %smatch", cases[i].pattern, cases[i].text,
               cases[i].match ? "" : "not ");
}

static void test_any_bytes(void** state) {
  (void)state;
  assert_true(matches("a.b", "a\0b", 3));
  assert_true(matches("\\0+", "\0\0", 2));
  assert_false(matches(".*", "a\xFF", 2));
  assert_false(matches("[^a]*", "\xE2\x82", 2));
  assert_true(matches(".*\\C", "a\xFF", 2));
}

static void test_time_is_linear(void** state) {
  (void)state;
  const size_t length = 20000;
  char* text = kp_alloc(length);
  memset(text, 'a', length);
  assert_false(matches("(a*)*b", text, length));
  assert_false(matches("(a|a)*(a|aa)*b", text, length));
  assert_true(matches("(?:a?){30}a*", text, length));
  kp_free(text);
}

static void test_errors(void** state) {
  (void)state;
  static const struct {
    const char *pattern, *words;
  } cases[] = {
      {"a)", ") without ( at byte 1"},
      {"x(a", "( without ) at byte 1"},
      {"[a", "[ without ] at byte 0"},
      {"*", "nothing to repeat at byte 0"},
      {"a|*", "nothing to repeat at byte 2"},
      {"(?i)*", "nothing to repeat"},
      {"a**", "repetition of a repetition at byte 2"},
      {"a{1001}", "a count of more than 1000"},
      {"a{3,2}", "ends before it begins"},
      {"(a{100}){100}", "multiply to more than 1000"},
      {"\\1", "a reference to a group"},
      {"\\8", "an unknown escape"},
      {"\\y", "an unknown escape"},
      {"a\\", "a backslash at the end"},
      {"\\x4", "\\x without two digits"},
      {"\\x{110000}", "is no character"},
      {"[b-a]", "range that ends before it begins"},
      {"\\p{Klingon}", "unknown category or script"},
      {"\\p", "\\p without a name"},
      {"[[:foo:]]", "unknown class"},
      {"(?=a)", "RE2's syntax does not have"},
      {"(?<=a)", "RE2's syntax does not have"},
      {"(?<n", "without a name"},
      {"(?P<a b>x)", "a group's name"},
      {"(?-)", "RE2's syntax does not have"},
      {"\xFF", "no UTF-8 at byte 0"},
      {"[\\b]", "an unknown escape"},
      {"[a-\\d]", "an unknown escape"},
      {"(?:[a-z0-9]{1,1000}[a-z]{1,1000}){1}\\d{1000}.{1000}"
       "(?:abcdefghijklmnopqrstuvwxyz){1000}(?:abcdefghijklmnopqrstuvwxyz){1000}(?:"
       "abcdefghijklmnopqrstuvwxyz){1000}"
       "(?:abcdefghijklmnopqrstuvwxyz){1000}",
       "needs more than 100000 steps"},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    kp_arena arena = {0};
    kp_regex* regex;
    kp_status* status = kp_regex_compile(kp_str_of(cases[i].pattern), &arena, &regex);
    if (!status) fail_msg("\"%s\" compiles", cases[i].pattern);
    if (!strstr(kp_status_text(status), cases[i].words))
      fail_msg("\"%s\" does not say \"%s\"", kp_status_text(status), cases[i].words);
    kp_status_free(status);
    kp_arena_free(&arena);
  }
}

static void test_depth(void** state) {
  (void)state;
  char pattern[4096];
  for (size_t depth = 999; depth <= 1001; depth += 2) {
    size_t length = 0;
    for (size_t i = 0; i < depth; ++i) pattern[length++] = '(';
    pattern[length++] = 'a';
    for (size_t i = 0; i < depth; ++i) pattern[length++] = ')';
    kp_arena arena = {0};
    kp_regex* regex;
    kp_status* status = kp_regex_compile((kp_str){pattern, length}, &arena, &regex);
    assert_int_equal(status != NULL, depth > 1000);
    kp_status_free(status);
    kp_arena_free(&arena);
  }
}

static void test_out_of_memory(void** state) {
  (void)state;
  for (uint64_t nth = 1;; ++nth) {
    kp_arena arena = {0};
    kp_regex* regex;
    kp_alloc_fail_at(nth);
    kp_status* status = kp_regex_compile(kp_str_of("(?i)[a-k]\\p{Lu}(x|y){3}"), &arena, &regex);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    kp_arena_free(&arena);
    assert_int_equal(status != NULL, failed);
    kp_status_free(status);
    if (!failed) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_matches),        cmocka_unit_test(test_any_bytes),
      cmocka_unit_test(test_time_is_linear), cmocka_unit_test(test_errors),
      cmocka_unit_test(test_depth),          cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
