// Names: every form that a user may write, what is said of providers that are not in this build, and unknown ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "provider/provider.h"

static const char* canonical(const char* name) { return kp_provider_canonical(kp_str_of(name)); }

static void test_every_form(void** state) {
  (void)state;
  assert_string_equal(canonical("cuda"), "CUDAExecutionProvider");
  assert_string_equal(canonical("CUDAExecutionProvider"), "CUDAExecutionProvider");
  assert_string_equal(canonical("cudaexecutionprovider"), "CUDAExecutionProvider");
  assert_string_equal(canonical("trt"), "TensorrtExecutionProvider");
  assert_string_equal(canonical("TensorRT"), "TensorrtExecutionProvider");
  assert_string_equal(canonical("trt_rtx"), "NvTensorRTRTXExecutionProvider");
  assert_string_equal(canonical("DirectML"), "DmlExecutionProvider");
  assert_string_equal(canonical("openvino"), "OpenVINOExecutionProvider");
  assert_string_equal(canonical("cpu"), "CPUExecutionProvider");
  assert_null(canonical(""));
  assert_null(canonical("trt tensor_rt"));
  assert_null(canonical("ExecutionProvider"));
  assert_null(canonical("CUD"));
  assert_null(canonical("CUDAE"));
}

// ONNX Runtime 1.32's own list, and what older ones had.
static void test_all_of_onnxruntimes_names(void** state) {
  (void)state;
  static const char* const names[] = {
      "TensorrtExecutionProvider", "CUDAExecutionProvider",          "MIGraphXExecutionProvider",
      "OpenVINOExecutionProvider", "DnnlExecutionProvider",          "VitisAIExecutionProvider",
      "QNNExecutionProvider",      "NnapiExecutionProvider",         "VSINPUExecutionProvider",
      "JsExecutionProvider",       "CoreMLExecutionProvider",        "DmlExecutionProvider",
      "RknpuExecutionProvider",    "WebNNExecutionProvider",         "WebGpuExecutionProvider",
      "XnnpackExecutionProvider",  "CANNExecutionProvider",          "AzureExecutionProvider",
      "CPUExecutionProvider",      "NvTensorRTRTXExecutionProvider", "ROCMExecutionProvider",
      "ACLExecutionProvider",      "ArmNNExecutionProvider",         "SNPEExecutionProvider"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    const char* found = canonical(names[i]);
    assert_non_null(found);
    assert_string_equal(found, names[i]);
  }
}

static void test_rows_are_complete_and_unambiguous(void** state) {
  (void)state;
  for (size_t i = 0; kp_provider_known(i); ++i) {
    const char* name = kp_provider_known(i);
    const char* short_name = kp_provider_short(name);
    assert_non_null(short_name);
    assert_ptr_equal(canonical(short_name), name);  // no earlier row has the same word
    const char *reason = NULL, *fix = NULL;
    kp_provider_absence(name, &reason, &fix);
    if (kp_provider_find(name) || strcmp(short_name, "CPU") == 0) continue;
    assert_non_null(reason);
    assert_non_null(fix);
    assert_true(strlen(reason) > 20 && strlen(fix) > 10);
  }
}

static void test_built_in_ones_are_complete(void** state) {
  (void)state;
  for (size_t i = 0; kp_provider_builtin(i); ++i) {
    const kp_provider_type* type = kp_provider_builtin(i);
    assert_ptr_equal(kp_provider_find(type->name), type);
    assert_string_equal(canonical(type->name), type->name);
    assert_string_equal(canonical(type->short_name), type->name);
    assert_string_equal(kp_provider_short(type->name), type->short_name);
    assert_non_null(type->probe);
    assert_non_null(type->create);
    assert_non_null(type->capability);
    assert_non_null(type->run);
    for (size_t o = 0; o < type->option_count; ++o) {
      assert_non_null(type->options[o].key);
      assert_non_null(type->options[o].help);
    }
    const char *reason = NULL, *fix = NULL;
    kp_provider_absence(type->name, &reason, &fix);
    assert_null(reason);
    assert_null(fix);
  }
}

static void test_unknown_names(void** state) {
  (void)state;
  kp_status* status = kp_provider_unknown(kp_str_of("CUDDA"));
  assert_int_equal(kp_status_code(status), KAPELL_BAD_PROVIDER_LIST);
  assert_non_null(strstr(kp_status_message(status),
                         "no provider is called 'CUDDA'; known are: CPU, CUDA, TensorRT"));
  assert_string_equal(kp_status_hint_text(status), "did you mean CUDA?");
  assert_null(strstr(kp_status_message(status), "Mock"));
  kp_status_free(status);
  status = kp_provider_unknown(kp_str_of("OpenVinoExecutionProvder"));
  assert_null(kp_status_hint_text(status));  // nothing near enough
  kp_status_free(status);
  status = kp_provider_unknown(kp_str_of("OpnVINOExecutionProvider"));
  assert_string_equal(kp_status_hint_text(status), "did you mean OpenVINO?");
  kp_status_free(status);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_form),
      cmocka_unit_test(test_all_of_onnxruntimes_names),
      cmocka_unit_test(test_rows_are_complete_and_unambiguous),
      cmocka_unit_test(test_built_in_ones_are_complete),
      cmocka_unit_test(test_unknown_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
