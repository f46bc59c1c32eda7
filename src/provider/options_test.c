// Options: what comes out in which form, and what a user reads when a key or value is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/size.h"
#include "provider/provider.h"

static const char* const modes[] = {"fast", "Exact", NULL};
static const kp_option_def defs[] = {
    {.key = "device_id", .kind = KP_OPTION_INT, .default_text = "0", .min = 0, .max = 3},
    {.key = "ratio", .kind = KP_OPTION_FLOAT, .default_text = "0.5", .min = 0, .max = 1},
    {.key = "cache", .kind = KP_OPTION_BOOL, .default_text = "1"},
    {.key = "mode", .kind = KP_OPTION_ENUM, .default_text = "fast", .values = modes},
    {.key = "ops", .kind = KP_OPTION_LIST, .default_text = "all"},
    {.key = "path", .kind = KP_OPTION_STRING, .default_text = NULL},
};

static kp_status* check(kp_arena* arena, const char* key, const char* value,
                        const char*** out_texts) {
  const kp_option option = {key, value};
  return kp_options_check("Test", defs, KP_COUNT_OF(defs), &option, key ? 1 : 0, arena, out_texts);
}

static void expect_text(const char* key, const char* value, size_t index, const char* text) {
  kp_arena arena = {0};
  const char** texts = NULL;
  assert_null(check(&arena, key, value, &texts));
  assert_string_equal(texts[index], text);
  kp_arena_free(&arena);
}

static void expect_error(const char* key, const char* value, const char* message,
                         const char* hint) {
  kp_arena arena = {0};
  const char** texts = NULL;
  kp_status* status = check(&arena, key, value, &texts);
  assert_int_equal(kp_status_code(status), KAPELL_BAD_PROVIDER_LIST);
  assert_string_equal(kp_status_message(status), message);
  if (hint) assert_string_equal(kp_status_hint_text(status), hint);
  assert_null(texts);
  kp_status_free(status);
  kp_arena_free(&arena);
}

static void test_defaults(void** state) {
  (void)state;
  kp_arena arena = {0};
  const char** texts = NULL;
  assert_null(check(&arena, NULL, NULL, &texts));
  assert_string_equal(texts[0], "0");
  assert_string_equal(texts[3], "fast");
  assert_null(texts[5]);
  kp_arena_free(&arena);
}

static void test_forms(void** state) {
  (void)state;
  expect_text("Device_ID", "3", 0, "3");
  expect_text("ratio", "1e-3", 1, "1e-3");
  expect_text("cache", "Off", 2, "0");
  expect_text("cache", "YES", 2, "1");
  expect_text("mode", "EXACT", 3, "Exact");
  expect_text("ops", "Conv,Relu", 4, "Conv,Relu");
  expect_text("path", NULL, 5, "");
  kp_arena arena = {0};
  const char** texts = NULL;
  const kp_option twice[] = {{"ratio", "0"}, {"ratio", "1"}};
  assert_null(kp_options_check("Test", defs, KP_COUNT_OF(defs), twice, 2, &arena, &texts));
  assert_string_equal(texts[1], "1");
  kp_arena_free(&arena);
}

static void test_errors(void** state) {
  (void)state;
  expect_error("devise_id", "0",
               "Test has no option 'devise_id'; it has: device_id, ratio, cache, mode, ops, path",
               "did you mean Test.device_id?");
  expect_error("device_id", "4", "Test.device_id is '4'; it takes a whole number from 0 to 3",
               NULL);
  expect_error("device_id", "1.5", "Test.device_id is '1.5'; it takes a whole number from 0 to 3",
               NULL);
  expect_error("device_id", "", "Test.device_id is ''; it takes a whole number from 0 to 3", NULL);
  expect_error("ratio", "nan", "Test.ratio is 'nan'; it takes a number from 0 to 1", NULL);
  expect_error("cache", "maybe",
               "Test.cache is 'maybe'; it takes 0 or 1 (false, true, off, on, no, yes)", NULL);
  expect_error("mode", "exakt", "Test.mode is 'exakt'; it takes one of: fast, Exact",
               "did you mean 'Exact'?");
  kp_arena arena = {0};
  const char** texts = NULL;
  const kp_option option = {"x", "1"};
  kp_status* status = kp_options_check("Bare", NULL, 0, &option, 1, &arena, &texts);
  assert_string_equal(kp_status_message(status), "Bare has no option 'x'; it has none");
  kp_status_free(status);
  kp_arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_forms),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
