// Tests of ort/slots.h: no slot is NULL, versions, what a slot that nobody implements answers, and the registration of tables.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ort/slots.h"

static void no_null_in(const void* table, size_t size) {
  void (*function)(void);
  for (size_t at = 0; at < size; at += sizeof function) {
    memcpy(&function, (const char*)table + at, sizeof function);
    assert_true(function != NULL);
  }
}

static void test_no_slot_is_null(void** state) {
  (void)state;
  const kp_ort_tables* tables = kp_ort_tables_get();
  no_null_in(tables->api, sizeof *tables->api);
  no_null_in(tables->ep, sizeof *tables->ep);
  no_null_in(tables->model_editor, sizeof *tables->model_editor);
  no_null_in(tables->compile, sizeof *tables->compile);
  no_null_in(tables->interop, sizeof *tables->interop);
  no_null_in(tables->model_package, sizeof *tables->model_package);
}

static void test_versions(void** state) {
  (void)state;
  const OrtApiBase* base = kp_ort_api_base();
  assert_null(base->GetApi(0));
  assert_null(base->GetApi(ORT_API_VERSION + 1));
  for (uint32_t version = 1; version <= ORT_API_VERSION; ++version) {
    assert_ptr_equal(base->GetApi(version), kp_ort_tables_get()->api);
  }
  assert_string_equal(base->GetVersionString(), "1.32.0");
  const OrtApi* api = base->GetApi(24);
  assert_ptr_equal(api->GetEpApi(), kp_ort_tables_get()->ep);
  assert_ptr_equal(api->GetModelEditorApi(), kp_ort_tables_get()->model_editor);
  assert_null(api->GetTrainingApi(23));
  assert_null(api->GetExperimentalFunction("OrtApi_None_SinceV28"));
}

static void test_not_implemented_names_the_function(void** state) {
  (void)state;
  const OrtApi* api = kp_ort_tables_get()->api;
  OrtStatus* status = kp_none_ort_CreateEnv(ORT_LOGGING_LEVEL_ERROR, "", NULL);
  assert_int_equal(api->GetErrorCode(status), ORT_NOT_IMPLEMENTED);
  assert_non_null(strstr(api->GetErrorMessage(status), "OrtApi.CreateEnv"));
  api->ReleaseStatus(status);
  status = kp_ort_tables_get()->ep->GetOpSchema();
  assert_non_null(strstr(api->GetErrorMessage(status), "OrtEpApi.GetOpSchema"));
  api->ReleaseStatus(status);
  api->ReleaseStatus(NULL);
}

static void test_other_tables_can_be_set(void** state) {
  (void)state;
  const kp_ort_tables* before = kp_ort_tables_get();
  OrtApi other = *before->api;
  kp_ort_tables tables = *before;
  tables.api = &other;
  kp_ort_tables_set(&tables);
  assert_ptr_equal(kp_ort_api_base()->GetApi(1), &other);
  kp_ort_tables_set(before);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_slot_is_null),
                                     cmocka_unit_test(test_versions),
                                     cmocka_unit_test(test_not_implemented_names_the_function),
                                     cmocka_unit_test(test_other_tables_can_be_set)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
