// Tests of base/status.h: what a chain keeps, how it reads, and that making one survives every failing allocation.
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/alloc.h"

static kp_status* fail_inner(void) {
  return KP_ERROR(UNSUPPORTED, "Resize mode=%s has no kernel", "cubic");
}

static kp_status* fail_outer(void) {
  KP_TRY(fail_inner(), "assigning node '%s'", "up3");
  return NULL;
}

static kp_status* succeed(void) {
  KP_TRY((kp_status*)NULL, "never seen");
  KP_PASS((kp_status*)NULL);
  return NULL;
}

static void test_success_is_null(void** state) {
  (void)state;
  kp_status* status = succeed();
  assert_null(status);
  assert_int_equal(kp_status_code(NULL), KAPELL_OK);
  assert_string_equal(kp_status_message(NULL), "");
  assert_string_equal(kp_status_text(NULL), "");
  assert_null(kp_status_frame(NULL, "f", 1, "x"));
  assert_null(kp_status_hint(NULL, "x"));
  assert_null(kp_status_at(NULL, "n", "o", "v"));
  assert_null(kp_status_clone(NULL));
  kp_status_free(NULL);
}

static void test_chain_text(void** state) {
  (void)state;
  kp_status* status = fail_outer();
  kp_status_at(status, "up3", "Resize", NULL);
  kp_status_at(status, "other", NULL, "X");
  kp_status_hint(status, "floor=all lets the %s take it", "CPU");
  kp_status_hint(status, "a later hint");
  assert_int_equal(kp_status_code(status), KAPELL_UNSUPPORTED);
  assert_string_equal(kp_status_message(status), "Resize mode=cubic has no kernel");
  assert_string_equal(kp_status_node(status), "up3");
  assert_string_equal(kp_status_op(status), "Resize");
  assert_string_equal(kp_status_value(status), "X");
  const char* text = kp_status_text(status);
  const char* start =
      "error KAPELL-E0301 UNSUPPORTED: Resize mode=cubic has no kernel  (base/status_test.c:";
  assert_memory_equal(text, start, strlen(start));
  assert_non_null(strstr(text, "\n  at node 'up3', operator Resize, value 'X'"));
  assert_non_null(strstr(text, "\n  assigning node 'up3'  (base/status_test.c:"));
  const char* end = "\n  hint: floor=all lets the CPU take it";
  assert_string_equal(text + strlen(text) - strlen(end), end);
  kp_status_free(status);
}

static void test_text_follows_changes(void** state) {
  (void)state;
  kp_status* status = fail_inner();
  assert_null(strstr(kp_status_text(status), "later"));
  status = kp_status_frame(status, "src/x.c", 3, "later");
  assert_non_null(strstr(kp_status_text(status), "\n  later  (x.c:3)"));
  kp_status_free(status);
}

static void test_join_keeps_the_first(void** state) {
  (void)state;
  kp_status* status = kp_status_join(KP_ERROR(IO, "first"), NULL);
  status = kp_status_join(status, KP_ERROR(LIMIT, "second"));
  status = kp_status_join(status, KP_ERROR(CANCELLED, "third"));
  assert_int_equal(kp_status_code(status), KAPELL_IO);
  const char* text = kp_status_text(status);
  const char* second = strstr(text, "then, while cleaning up: KAPELL-E0007 LIMIT: second");
  assert_non_null(second);
  assert_non_null(strstr(second, "KAPELL-E0006 CANCELLED: third"));
  kp_status* copy = kp_status_clone(status);
  assert_string_equal(kp_status_text(copy), text);
  kp_status_free(copy);
  kp_status_free(status);
  status = kp_status_join(NULL, KP_ERROR(IO, "alone"));
  assert_string_equal(kp_status_message(status), "alone");
  kp_status_ignore(status);
}

static void test_control_characters_are_hidden(void** state) {
  (void)state;
  kp_status* status = KP_ERROR(INVALID_MODEL, "node '%s'", "a\x1b[2J\x07");
  assert_string_equal(kp_status_message(status), "node 'a?[2J?'");
  kp_status_at(status, "n\x1b", NULL, NULL);
  assert_string_equal(kp_status_node(status), "n?");
  kp_status_free(status);
}

static void test_many_frames_and_long_text(void** state) {
  (void)state;
  kp_status* status = KP_ERROR(INTERNAL, "%*d", 10000, 1);
  for (int i = 0; i < 100; ++i) status = kp_status_frame(status, "src/a/b.c", i, "frame %d", i);
  assert_int_equal(strlen(kp_status_message(status)), 10000);
  kp_status* copy = kp_status_clone(status);
  assert_non_null(strstr(kp_status_text(copy), "\n  frame 99  (a/b.c:99)"));
  kp_status_free(copy);
  kp_status_free(status);
}

// Everything a status can hold, with the nth allocation failing: never NULL, never a leak.
static void test_failing_allocations(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    kp_alloc_fail_at(nth);
    kp_status* status = fail_outer();
    assert_non_null(status);
    kp_status_at(status, "node", "Op", "value");
    kp_status_hint(status, "hint");
    status = kp_status_join(status, KP_ERROR(IO, "second"));
    for (int i = 0; i < 5; ++i) status = kp_status_frame(status, "src/a.c", i, "frame");
    kp_status* copy = kp_status_clone(status);
    assert_non_null(copy);
    assert_true(strlen(kp_status_text(copy)) > 0);
    assert_true(strlen(kp_status_text(status)) > 0);
    const kapell_code code = kp_status_code(status);
    assert_true(code == KAPELL_UNSUPPORTED || code == KAPELL_OUT_OF_MEMORY);
    kp_status_free(copy);
    kp_status_free(status);
    failed = kp_alloc_failed();
    assert_int_equal(kp_alloc_live(), live);
  }
  kp_alloc_fail_at(0);
}

static void test_code_names(void** state) {
  (void)state;
  assert_string_equal(kp_code_name(KAPELL_OK), "OK");
  assert_string_equal(kp_code_name(KAPELL_TIMEOUT), "TIMEOUT");
  assert_string_equal(kp_code_name((kapell_code)9999), "UNKNOWN");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_success_is_null),
      cmocka_unit_test(test_chain_text),
      cmocka_unit_test(test_text_follows_changes),
      cmocka_unit_test(test_join_keeps_the_first),
      cmocka_unit_test(test_control_characters_are_hidden),
      cmocka_unit_test(test_many_frames_and_long_text),
      cmocka_unit_test(test_failing_allocations),
      cmocka_unit_test(test_code_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
