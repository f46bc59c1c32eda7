// Misuse that ONNX Runtime answers with a status is answered so: NULLs, wrong sizes and names, releases in any order, things done twice.
// The codes are those of ONNX Runtime's own library.
#include "dropin/rig.h"

static const char kAdd[] = "in x float[N,2]\nin y float[N,2]\nz = Add(x, y)\nout z float[N,2]\n";
static float numbers[6] = {1, 2, 3, 4, 5, 6};

static void test_versions(void** state) {
  (void)state;
  const OrtApiBase* base = rig_base();
  assert_string_equal(base->GetVersionString(), "1.32.0");
  for (uint32_t v = 1; v <= 32; ++v) assert_ptr_equal(base->GetApi(v), api);
  assert_null(base->GetApi(0));
  assert_null(base->GetApi(33));
  void (*function)(void);
  for (size_t i = 0; i < sizeof(OrtApi) / sizeof function; ++i) {
    memcpy(&function, (const char*)api + i * sizeof function, sizeof function);
    assert_true(function != NULL);
  }
}

static void test_null_releases(void** state) {
  (void)state;
  api->ReleaseEnv(NULL);
  api->ReleaseStatus(NULL);
  api->ReleaseMemoryInfo(NULL);
  api->ReleaseSession(NULL);
  api->ReleaseValue(NULL);
  api->ReleaseRunOptions(NULL);
  api->ReleaseTypeInfo(NULL);
  api->ReleaseTensorTypeAndShapeInfo(NULL);
  api->ReleaseSessionOptions(NULL);
  api->ReleaseModelMetadata(NULL);
  api->ReleaseThreadingOptions(NULL);
  api->ReleaseAllocator(NULL);
  api->ReleaseIoBinding(NULL);
  api->ReleaseArenaCfg(NULL);
  api->ReleasePrepackedWeightsContainer(NULL);
  api->ReleaseKeyValuePairs(NULL);
  api->ReleaseCUDAProviderOptions(NULL);
  api->ReleaseTensorRTProviderOptions(NULL);
  api->ReleaseDeviceEpIncompatibilityDetails(NULL);
  rig_ok(api->ReleaseAvailableProviders(NULL, 0));
}

static void test_null_arguments(void** state) {
  (void)state;
  OrtSession* session = NULL;
  OrtValue* value = NULL;
  size_t count;
  rig_error(api->CreateSession(rig_env, NULL, NULL, &session), ORT_INVALID_ARGUMENT, "path");
  rig_error(api->CreateSessionFromArray(rig_env, NULL, 5, NULL, &session), ORT_INVALID_ARGUMENT,
            "data");
  rig_error(api->CreateSession(NULL, RIG_DIGITS, NULL, &session), ORT_INVALID_ARGUMENT, "env");
  rig_error(api->SessionGetInputCount(NULL, &count), ORT_INVALID_ARGUMENT, "session");
  rig_error(api->CreateTensorAsOrtValue(NULL, NULL, 0, RIG_FLOAT, &value), ORT_INVALID_ARGUMENT,
            "allocator");
  rig_error(api->Run(NULL, NULL, NULL, NULL, 0, NULL, 0, NULL), ORT_INVALID_ARGUMENT, "session");
  assert_null(session);
  assert_null(value);
  rig_ok(api->CreateSession(rig_env, RIG_DIGITS, NULL, &session));  // NULL options are the defaults
  api->ReleaseSession(session);
}

static void test_bad_models(void** state) {
  (void)state;
  OrtSession* session = NULL;
  rig_error(api->CreateSession(rig_env, "/no/such.onnx", NULL, &session), ORT_NO_SUCHFILE,
            "File doesn't exist");
  rig_error(api->CreateSession(rig_env, RIG_LIBRARY, NULL, &session), ORT_INVALID_PROTOBUF,
            "Protobuf parsing failed");
  rig_error(api->CreateSessionFromArray(rig_env, "abc", 3, NULL, &session), ORT_INVALID_PROTOBUF,
            "");
  rig_error(api->CreateSessionFromArray(rig_env, "", 0, NULL, &session), ORT_INVALID_ARGUMENT,
            "No graph was found");
  assert_null(session);
}

static void test_bad_runs(void** state) {
  (void)state;
  OrtSession* session = rig_open(kAdd, NULL);
  OrtValue* a = rig_tensor(RIG_FLOAT, numbers, 8, 1, 2);
  OrtValue* wide = rig_tensor(RIG_FLOAT, numbers, 24, 2, 3);
  OrtValue* flat = rig_tensor(RIG_FLOAT, numbers, 8, 2, 0);
  OrtValue* ints = rig_tensor(RIG_INT64, numbers, 16, 1, 2);
  const char *names[] = {"x", "y"}, *bad[] = {"x", "q"}, *out[] = {"z"}, *bad_out[] = {"zz"},
             *empty[] = {"x", ""};
  const OrtValue *good[] = {a, a}, *of_wide[] = {a, wide}, *of_flat[] = {a, flat},
                 *of_ints[] = {a, ints}, *none[] = {a, NULL};
  OrtValue* z = NULL;
  rig_error(api->Run(session, NULL, bad, good, 2, out, 1, &z), ORT_INVALID_ARGUMENT,
            "Invalid input name: q");
  rig_error(api->Run(session, NULL, names, good, 2, bad_out, 1, &z), ORT_INVALID_ARGUMENT,
            "Invalid output name: zz");
  rig_error(api->Run(session, NULL, empty, good, 2, out, 1, &z), ORT_INVALID_ARGUMENT,
            "input name cannot be empty");
  rig_error(api->Run(session, NULL, names, good, 1, out, 1, &z), ORT_FAIL, "Missing Input: y");
  rig_error(api->Run(session, NULL, names, good, 2, out, 0, &z), ORT_INVALID_ARGUMENT,
            "At least one output");
  rig_error(api->Run(session, NULL, names, none, 2, out, 1, &z), ORT_INVALID_ARGUMENT,
            "NULL input supplied for input y");
  rig_error(api->Run(session, NULL, names, of_wide, 2, out, 1, &z), ORT_INVALID_ARGUMENT,
            "Got invalid dimensions for input: y for the following indices\n index: 1 Got: 3 "
            "Expected: 2");
  rig_error(api->Run(session, NULL, names, of_flat, 2, out, 1, &z), ORT_INVALID_ARGUMENT,
            "Invalid rank for input: y Got: 1 Expected: 2");
  rig_error(api->Run(session, NULL, names, of_ints, 2, out, 1, &z), ORT_INVALID_ARGUMENT,
            "Unexpected input data type. Actual: (tensor(int64)) , expected: (tensor(float))");
  assert_null(z);
  rig_error(api->Run(session, NULL, names, good, 2, out, 1, &wide), ORT_INVALID_ARGUMENT,
            "");  // bound, of another shape
  OrtRunOptions* options;
  rig_ok(api->CreateRunOptions(&options));
  rig_ok(api->RunOptionsSetTerminate(options));
  rig_error(api->Run(session, options, names, good, 2, out, 1, &z), ORT_FAIL, "terminate flag");
  rig_ok(api->RunOptionsUnsetTerminate(options));
  rig_ok(api->Run(session, options, names, good, 2, out, 1, &z));
  api->ReleaseRunOptions(options);
  api->ReleaseSession(session);  // values outlive their session
  assert_true(rig_floats(z)[1] == 4);
  OrtValue* values[] = {a, wide, flat, ints, z};
  for (size_t i = 0; i < 5; ++i) api->ReleaseValue(values[i]);
}

static void test_bad_tensors(void** state) {
  (void)state;
  const int64_t negative[] = {-1, 2}, square[] = {2, 2};
  OrtValue* value = NULL;
  size_t length;
  char text[8];
  rig_error(api->CreateTensorWithDataAsOrtValue(rig_host, numbers, 4, square, 2, RIG_FLOAT, &value),
            ORT_INVALID_ARGUMENT, "not enough space: expected 16, got 4");
  rig_error(
      api->CreateTensorWithDataAsOrtValue(rig_host, numbers, 16, negative, 2, RIG_FLOAT, &value),
      ORT_INVALID_ARGUMENT, "negative");
  rig_error(
      api->CreateTensorAsOrtValue(rig_allocator, square, 2, (ONNXTensorElementDataType)77, &value),
      ORT_NOT_IMPLEMENTED, "77");
  rig_ok(api->CreateTensorAsOrtValue(rig_allocator, square, 2, RIG_STRING, &value));
  const char* few[] = {"a", "b"};
  rig_error(api->FillStringTensor(value, few, 2), ORT_INVALID_ARGUMENT,
            "doesn't equal tensor size");
  rig_error(api->GetStringTensorElementLength(value, 9, &length), ORT_INVALID_ARGUMENT,
            "out of bounds");
  rig_ok(api->FillStringTensorElement(value, "abc", 3));
  rig_error(api->GetStringTensorElement(value, 2, 3, text), ORT_FAIL, "too small");
  rig_ok(api->GetStringTensorElement(value, 3, 3, text));
  assert_memory_equal(text, "abc", 3);
  api->ReleaseValue(value);
}

// Registered twice, unregistered twice; an environment made twice is the same and lives as long as the longest.
static void test_twice(void** state) {
  (void)state;
  OrtEnv* again;
  OrtSessionOptions* options = rig_options();
  rig_ok(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "again", &again));
  assert_ptr_equal(again, rig_env);
  rig_ok(api->CreateAndRegisterAllocator(again, rig_host, NULL));
  rig_ok(api->CreateAndRegisterAllocator(again, rig_host, NULL));  // one is as good as another
  rig_ok(api->UnregisterAllocator(again, rig_host));
  rig_error(api->UnregisterAllocator(again, rig_host), ORT_INVALID_ARGUMENT, "No allocator");
  api->ReleaseEnv(again);
  OrtValue* value = rig_tensor(RIG_FLOAT, numbers, 8, 2, 0);
  rig_ok(api->AddInitializer(options, "w", value));
  rig_error(api->AddInitializer(options, "w", value), ORT_INVALID_ARGUMENT, "already been added");
  api->ReleaseValue(value);
  rig_error(api->AddSessionConfigEntry(options, "", "x"), ORT_INVALID_ARGUMENT, "Config key");
  rig_error(api->SetSessionExecutionMode(options, (ExecutionMode)9), ORT_INVALID_ARGUMENT,
            "execution_mode");
  api->ReleaseSessionOptions(options);
}

// Providers that ONNX Runtime's CPU-only build refuses.
static void test_providers(void** state) {
  (void)state;
  OrtSessionOptions* options = rig_options();
  OrtCUDAProviderOptionsV2* cuda = NULL;
  const OrtCUDAProviderOptions old_cuda = {0};
  rig_error(api->SessionOptionsAppendExecutionProvider(options, "NoSuch", NULL, NULL, 0),
            ORT_INVALID_ARGUMENT, "Unknown provider");
  rig_error(api->SessionOptionsAppendExecutionProvider(options, "QNN", NULL, NULL, 0),
            ORT_INVALID_ARGUMENT, "not supported in this build");
  rig_error(api->CreateCUDAProviderOptions(&cuda), ORT_FAIL,
            "CUDA execution provider is not enabled in this build.");
  rig_error(api->SessionOptionsAppendExecutionProvider_CUDA(options, &old_cuda), ORT_FAIL, "CUDA");
  rig_error(api->RegisterExecutionProviderLibrary(rig_env, "x", "/no/such.so"), ORT_FAIL,
            "Failed to load library");
  rig_ok(api->AddSessionConfigEntry(options, "session.disable_cpu_ep_fallback", "1"));
  OrtSession* session = NULL;
  rig_error(api->CreateSession(rig_env, RIG_DIGITS, options, &session), ORT_FAIL,
            "explicitly disabled by the user");
  api->ReleaseSessionOptions(options);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_versions),       cmocka_unit_test(test_null_releases),
      cmocka_unit_test(test_null_arguments), cmocka_unit_test(test_bad_models),
      cmocka_unit_test(test_bad_runs),       cmocka_unit_test(test_bad_tensors),
      cmocka_unit_test(test_twice),          cmocka_unit_test(test_providers),
  };
  return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
