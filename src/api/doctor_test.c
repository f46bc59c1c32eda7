// The doctor's report from C: what is wrong with a call, and memory that runs out at each place in turn.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/alloc.h"
#include "base/status.h"
#include "kapell/kapell.h"

static void expect_refused(const kapell_doctor_options* options, kapell_code code,
                           const char* word) {
  kapell_doctor* doctor;
  kapell_status* status = kapell_doctor_open(options, &doctor);
  assert_null(doctor);
  assert_int_equal(kapell_status_code(status), code);
  assert_non_null(strstr(kapell_status_message(status), word));
  kapell_status_free(status);
}

static void test_wrong_calls(void** state) {
  (void)state;
  kapell_doctor_options options = KAPELL_DOCTOR_OPTIONS_INIT;
  options.require = "CUDA, nonsense";
  expect_refused(&options, KAPELL_BAD_PROVIDER_LIST, "nonsense");
  options = (kapell_doctor_options)KAPELL_DOCTOR_OPTIONS_INIT;
  kapell_doctor_options* relative = &options;
  relative->library = "libx.so";
  expect_refused(&options, KAPELL_INVALID_ARGUMENT, "absolute");
  options = (kapell_doctor_options){.struct_size = 1};
  expect_refused(&options, KAPELL_INVALID_ARGUMENT, "struct_size");
  kapell_status_free(kapell_doctor_open(NULL, NULL));
  kapell_doctor_close(NULL);
}

static void test_report(void** state) {
  (void)state;
  kapell_doctor_options options = KAPELL_DOCTOR_OPTIONS_INIT;
  options.files_only = true;
  options.require = "CPUExecutionProvider";
  kapell_doctor* doctor;
  assert_null(kapell_doctor_open(&options, &doctor));
  assert_true(kapell_doctor_ready(doctor));
  assert_non_null(strstr(kapell_doctor_text(doctor), "required: CPU: ready"));
  assert_non_null(strstr(kapell_doctor_json(doctor), "\"state\": \"built-in\""));
  kapell_doctor_close(doctor);
}

static void test_no_memory(void** state) {
  (void)state;
  kapell_doctor_options options = KAPELL_DOCTOR_OPTIONS_INIT;
  options.files_only = true;
  kapell_doctor_options* one = &options;
  one->library = "/proc/self/exe";
  for (uint64_t n = 1; n < 2000; ++n) {
    kapell_doctor* doctor;
    kp_alloc_fail_at(n);
    kapell_status* status = kapell_doctor_open(&options, &doctor);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status) assert_int_equal(kapell_status_code(status), KAPELL_OUT_OF_MEMORY);
    kapell_status_free(status);
    kapell_doctor_close(doctor);
    if (!failed) return;
  }
  fail_msg("it never stopped allocating");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_wrong_calls),
                                     cmocka_unit_test(test_report),
                                     cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
