// Tests of ort/guard.h: what is thrown becomes a status, at whatever depth; what is not thrown passes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <unwind.h>

#include "ort/guard.h"

static int ended;

static void end(_Unwind_Reason_Code reason, struct _Unwind_Exception* exception) {
  (void)reason, (void)exception;
  ++ended;
}

// As a language that nobody here knows would throw.
static OrtStatus* throws(void* arg) {
  static struct _Unwind_Exception exception;
  (void)arg;
  memset(&exception, 0, sizeof exception);
  exception.exception_class = UINT64_C(0x4b4150454c4c0000);
  exception.exception_cleanup = end;
  _Unwind_RaiseException(&exception);
  return ort_CreateStatus(ORT_FAIL, "nobody caught it");
}

static OrtStatus* says_no(void* arg) { return ort_CreateStatus(ORT_NOT_FOUND, arg); }
static OrtStatus* says_nothing(void* arg) {
  (void)arg;
  return NULL;
}

// The inner one is caught inside; then it throws itself.
static OrtStatus* throws_after_catching(void* arg) {
  OrtStatus* inner = kp_ort_guard(throws, arg);
  assert_int_equal(ort_GetErrorCode(inner), ORT_RUNTIME_EXCEPTION);
  ort_ReleaseStatus(inner);
  return throws(arg);
}

static void expect(OrtStatus* status, OrtErrorCode code, const char* text) {
  assert_int_equal(ort_GetErrorCode(status), code);
  assert_string_equal(ort_GetErrorMessage(status), text);
  ort_ReleaseStatus(status);
}

static void test_what_is_thrown_is_a_status(void** state) {
  (void)state;
  for (int i = 0; i < 3; ++i) {
    ended = 0;
    expect(kp_ort_guard(throws, NULL), ORT_RUNTIME_EXCEPTION, "an exception");
    assert_int_equal(ended, 1);
  }
}

static void test_guards_within_guards(void** state) {
  (void)state;
  ended = 0;
  expect(kp_ort_guard(throws_after_catching, NULL), ORT_RUNTIME_EXCEPTION, "an exception");
  assert_int_equal(ended, 2);
}

static void test_what_is_returned_passes(void** state) {
  (void)state;
  char text[] = "no";
  assert_null(kp_ort_guard(says_nothing, NULL));
  expect(kp_ort_guard(says_no, text), ORT_NOT_FOUND, "no");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_thrown_is_a_status),
                                     cmocka_unit_test(test_guards_within_guards),
                                     cmocka_unit_test(test_what_is_returned_passes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
