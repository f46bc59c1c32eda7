// For tests of the stand-in: the library that was built, loaded by its path as a client loads it.
#ifndef KP_TEST_DROPIN_RIG_H_
#define KP_TEST_DROPIN_RIG_H_

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sanitize.h"
#include "ort/abi.h"
#include "support/model_text.h"

#define RIG_LIBRARY KAPELL_BINARY_DIR "/lib/libonnxruntime.so.1"
#define RIG_DIGITS KAPELL_SOURCE_DIR "/examples/digits/digits.onnx"
#define RIG_FLOAT ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
#define RIG_INT64 ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
#define RIG_STRING ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING

static const OrtApi* api;
static OrtEnv* rig_env;
static OrtMemoryInfo* rig_host;
static OrtAllocator* rig_allocator;

// Ends the test with the status' text, if there is one.
static inline void rig_ok(OrtStatus* status) {
  if (!status) return;
  fprintf(stderr, "error %d: %s\n", (int)api->GetErrorCode(status), api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  fail();
}

// The status must have this code and its text hold |words|.
static inline void rig_error(OrtStatus* status, OrtErrorCode code, const char* words) {
  if (!status || api->GetErrorCode(status) != code ||
      !strstr(api->GetErrorMessage(status), words)) {
    fprintf(stderr, "wanted code %d with '%s', got %d: %s\n", (int)code, words,
            status ? (int)api->GetErrorCode(status) : 0,
            status ? api->GetErrorMessage(status) : "success");
    fail();
  }
  api->ReleaseStatus(status);
}

static inline const OrtApiBase* rig_base(void) {
  void* library = dlopen(RIG_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  const OrtApiBase* (*get)(void) = NULL;
  if (library) *(void**)&get = dlsym(library, "OrtGetApiBase");
  if (!get) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return get();
}

static inline int rig_setup(void** state) {
  (void)state;
  api = rig_base()->GetApi(ORT_API_VERSION);
  rig_ok(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "test", &rig_env));
  rig_ok(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &rig_host));
  rig_ok(api->GetAllocatorWithDefaultOptions(&rig_allocator));
  return 0;
}

static inline int rig_teardown(void** state) {
  (void)state;
  api->ReleaseMemoryInfo(rig_host);
  api->ReleaseEnv(rig_env);
  return 0;
}

// A session on |text| (model_text.h), opset 17. |options| may be NULL.
static inline OrtSession* rig_open(const char* text, const OrtSessionOptions* options) {
  size_t size;
  char* bytes = kp_test_model(text, 17, &size);
  OrtSession* session = NULL;
  rig_ok(api->CreateSessionFromArray(rig_env, bytes, size, options, &session));
  free(bytes);
  return session;
}

// A tensor over |data| of the caller's.
static inline OrtValue* rig_tensor(ONNXTensorElementDataType type, void* data, size_t size,
                                   int64_t rows, int64_t columns) {
  const int64_t shape[] = {rows, columns};
  OrtValue* value = NULL;
  rig_ok(api->CreateTensorWithDataAsOrtValue(rig_host, data, size, shape, columns ? 2 : 1, type,
                                             &value));
  return value;
}

static inline OrtSessionOptions* rig_options(void) {
  OrtSessionOptions* options = NULL;
  rig_ok(api->CreateSessionOptions(&options));
  return options;
}

static inline const float* rig_floats(OrtValue* value) {
  void* data = NULL;
  rig_ok(api->GetTensorMutableData(value, &data));
  return data;
}

#endif  // KP_TEST_DROPIN_RIG_H_
