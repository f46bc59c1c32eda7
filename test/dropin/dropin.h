// For tests of libonnxruntime.so.1, which is loaded as clients load it. KAPELL_TEST_ORT_LIBRARY names another library to run the same
// tests on (ONNX Runtime's own).
#ifndef KP_TEST_DROPIN_DROPIN_H_
#define KP_TEST_DROPIN_DROPIN_H_

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ort/abi.h"
#include "support/model_text.h"

static const OrtApi* api;
static OrtEnv* env;

static inline bool dropin_is_ours(void) { return getenv("KAPELL_TEST_ORT_LIBRARY") == NULL; }

static inline int dropin_load(void** state) {
  (void)state;
  const char* path = dropin_is_ours() ? KAPELL_BINARY_DIR "/lib/libonnxruntime.so.1"
                                      : getenv("KAPELL_TEST_ORT_LIBRARY");
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const OrtApiBase* (*base)(void);
  void* symbol = dlsym(library, "OrtGetApiBase");
  memcpy(&base, &symbol, sizeof base);
  api = base()->GetApi(24);
  OrtStatus* status = api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "test", &env);
  return status != NULL;
}

static inline int dropin_unload(void** state) {
  (void)state;
  api->ReleaseEnv(env);
  return 0;
}

// Ends the test with the status' message, if there is one.
static inline void ok(OrtStatus* status) {
  if (!status) return;
  fprintf(stderr, "status %d: %s\n", (int)api->GetErrorCode(status), api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  fail();
}

// There must be an error that has |word| in it.
static inline void refused(OrtStatus* status, const char* word) {
  assert_non_null(status);
  if (!strstr(api->GetErrorMessage(status), word)) {
    fprintf(stderr, "no '%s' in: %s\n", word, api->GetErrorMessage(status));
    api->ReleaseStatus(status);
    fail();
  }
  api->ReleaseStatus(status);
}

static inline OrtStatus* dropin_open(const char* text, OrtSessionOptions* options,
                                     OrtSession** out) {
  size_t size;
  char* bytes = kp_test_model(text, 17, &size);
  OrtStatus* status = api->CreateSessionFromArray(env, bytes, size, options, out);
  free(bytes);
  return status;
}

static inline OrtValue* dropin_tensor(ONNXTensorElementDataType type, const int64_t* dims,
                                      size_t rank, const void* data, size_t bytes) {
  OrtAllocator* allocator;
  OrtValue* value;
  void* to;
  ok(api->GetAllocatorWithDefaultOptions(&allocator));
  ok(api->CreateTensorAsOrtValue(allocator, dims, rank, type, &value));
  ok(api->GetTensorMutableData(value, &to));
  memcpy(to, data, bytes);
  return value;
}

static inline OrtValue* dropin_floats(const float* data, int64_t count) {
  return dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &count, 1, data,
                       (size_t)count * sizeof *data);
}

// One dimension, these numbers.
static inline void dropin_expect(const OrtValue* value, const float* want, size_t count) {
  OrtTensorTypeAndShapeInfo* info;
  size_t have;
  void* data;
  ok(api->GetTensorTypeAndShape(value, &info));
  ok(api->GetTensorShapeElementCount(info, &have));
  api->ReleaseTensorTypeAndShapeInfo(info);
  assert_int_equal(have, count);
  ok(api->GetTensorMutableData((OrtValue*)(uintptr_t)value, &data));
  for (size_t i = 0; i < count; ++i) assert_true(((const float*)data)[i] == want[i]);
}

#endif  // KP_TEST_DROPIN_DROPIN_H_
