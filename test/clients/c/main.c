// client MODELS [TEST]: runs the tests whose names begin with TEST, or all.
#include <dlfcn.h>
#include <limits.h>

#include "client.h"

const OrtApi* api;
OrtEnv* env;
OrtAllocator* heap;
OrtMemoryInfo* memory;
char failure[4096];
static const char* models;

// --- saying ------------------------------------------------------------------------------------------------------------------
void wrong(const char* what, int line) {
  if (!failure[0]) snprintf(failure, sizeof failure, "line %d: %s", line, what);
}

bool succeeded(OrtStatus* status, const char* call, int line) {
  if (!status) return true;
  char text[2048];
  snprintf(text, sizeof text, "%.500s: error %d, %.1200s", call, (int)api->GetErrorCode(status),
           api->GetErrorMessage(status));
  wrong(text, line);
  api->ReleaseStatus(status);
  return false;
}

bool failed(OrtStatus* status, OrtErrorCode code, const char* text, const char* call, int line) {
  char got[2048];
  if (!status) {
    snprintf(got, sizeof got, "%.500s: no error", call);
    wrong(got, line);
    return false;
  }
  const bool right =
      api->GetErrorCode(status) == code && strstr(api->GetErrorMessage(status), text);
  if (!right) {
    snprintf(got, sizeof got, "%.500s: error %d, %.1000s; expected %d and '%s'", call,
             (int)api->GetErrorCode(status), api->GetErrorMessage(status), (int)code, text);
    wrong(got, line);
  }
  api->ReleaseStatus(status);
  return right;
}

// --- help --------------------------------------------------------------------------------------------------------------------
const char* model_path(const char* name) {
  static char paths[8][4096];
  static int at;
  at = (at + 1) % 8;
  snprintf(paths[at], sizeof paths[at], "%s/%s", models, name);
  return paths[at];
}

void* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  void* bytes = malloc(*size + 1);
  if (bytes && fread(bytes, 1, *size, file) != *size) {
    free(bytes);
    bytes = NULL;
  }
  fclose(file);
  return bytes;
}

static OrtSession* open_with(const char* name, const OrtSessionOptions* options) {
  OrtSession* session = NULL;
  return succeeded(api->CreateSession(env, model_path(name), options, &session), name, __LINE__)
             ? session
             : NULL;
}

OrtSession* open_model(const char* name, const OrtSessionOptions* options) {
  if (options) return open_with(name, options);
  OrtSessionOptions* defaults;
  if (!succeeded(api->CreateSessionOptions(&defaults), "CreateSessionOptions", __LINE__))
    return NULL;
  OrtSession* session = open_with(name, defaults);
  api->ReleaseSessionOptions(defaults);
  return session;
}

OrtValue* tensor_over(void* data, size_t bytes, ONNXTensorElementDataType type, const int64_t* dims,
                      size_t rank) {
  OrtValue* value = NULL;
  OrtStatus* status =
      api->CreateTensorWithDataAsOrtValue(memory, data, bytes, dims, rank, type, &value);
  return succeeded(status, "CreateTensorWithDataAsOrtValue", __LINE__) ? value : NULL;
}

OrtValue* floats(float* data, int64_t count) {
  return tensor_over(data, (size_t)count * sizeof *data, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                     &count, 1);
}

OrtValue* strings(const char* const* items, int64_t count) {
  OrtValue* value = NULL;
  OrtStatus* status =
      api->CreateTensorAsOrtValue(heap, &count, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value);
  if (!succeeded(status, "CreateTensorAsOrtValue", __LINE__)) return NULL;
  status = api->FillStringTensor(value, items, (size_t)count);
  return succeeded(status, "FillStringTensor", __LINE__) ? value : NULL;
}

OrtStatus* run1(OrtSession* session, const char* input, const OrtValue* value, const char* output,
                OrtValue** result) {
  *result = NULL;
  return api->Run(session, NULL, &input, &value, 1, &output, 1, result);
}

bool holds(const OrtValue* value, const float* want, size_t count) {
  OrtTensorTypeAndShapeInfo* info;
  const void* data;
  size_t have;
  if (!succeeded(api->GetTensorTypeAndShape(value, &info), "GetTensorTypeAndShape", __LINE__))
    return false;
  const bool counted = succeeded(api->GetTensorShapeElementCount(info, &have),
                                 "GetTensorShapeElementCount", __LINE__);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (!counted || have != count ||
      !succeeded(api->GetTensorData(value, &data), "GetTensorData", __LINE__))
    return false;
  for (size_t i = 0; i < count; ++i) {
    const float difference = ((const float*)data)[i] - want[i];
    if (!(difference > -1e-5f && difference < 1e-5f)) return false;
  }
  return true;
}

static void say_library(void) {
  Dl_info info;
  char path[PATH_MAX];
  if (dladdr((const void*)OrtGetApiBase()->GetVersionString, &info) &&
      realpath(info.dli_fname, path))
    printf("library %s\n", path);
}

// --- running -----------------------------------------------------------------------------------------------------------------
static int run_tests(const client_test* tests, const char* prefix, int* count) {
  int bad = 0;
  for (; tests->name; ++tests) {
    if (prefix && strncmp(tests->name, prefix, strlen(prefix)) != 0) continue;
    failure[0] = 0;
    tests->run();
    ++*count;
    if (failure[0]) {
      for (char* c = failure; *c; ++c) *c = *c == '\n' ? ' ' : *c;
      printf("bad %s: %s\n", tests->name, failure);
      bad = 1;
    } else {
      printf("ok %s\n", tests->name);
    }
    fflush(stdout);
  }
  return bad;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  models = argv[1];
  api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!api) {
    printf("bad api: version %d is not granted by %s\n", ORT_API_VERSION,
           OrtGetApiBase()->GetVersionString());
    return 1;
  }
  if (!succeeded(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "client", &env), "CreateEnv", __LINE__) ||
      !succeeded(api->GetAllocatorWithDefaultOptions(&heap), "GetAllocatorWithDefaultOptions",
                 __LINE__) ||
      !succeeded(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory),
                 "CreateCpuMemoryInfo", __LINE__)) {
    printf("bad start: %s\n", failure);
    return 1;
  }
  say_library();
  const client_test* groups[] = {session_tests, value_tests, option_tests, graph_tests};
  int bad = 0, count = 0;
  for (size_t i = 0; i < COUNT(groups); ++i)
    bad |= run_tests(groups[i], argc > 2 ? argv[2] : NULL, &count);
  api->ReleaseMemoryInfo(memory);
  api->ReleaseEnv(env);
  printf("done %d\n", count);
  return bad;
}
