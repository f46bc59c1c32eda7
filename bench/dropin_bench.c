// What a call through ONNX Runtime's C ABI costs: runs of a model of one node, and making a session. Loads the libraries that it is given:
//
//   bench-dropin_bench MODEL_FOR_SESSIONS LIBRARY...     e.g. examples/digits/digits.onnx libonnxruntime.so.1 /path/libonnxruntime.so.1.32.0
//
// Libraries take turns, and of each the best and the median of all rounds count; one thread.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ort/abi.h"
#include "support/model_text.h"

#define ROUNDS 15
#define RUNS 2000
#define SESSIONS 20

typedef struct library {
  const char* path;
  const OrtApi* api;
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtSession* session;
  OrtValue *input, *output;
  double run[ROUNDS], bound[ROUNDS], open[ROUNDS];  // nanoseconds of one
} library;

static float input_data[4] = {1, 2, 3, 4}, output_data[4];
static const char* const input_names[] = {"x"};
static const char* const output_names[] = {"y"};

static void check(const library* lib, OrtStatus* status) {
  if (!status) return;
  fprintf(stderr, "%s: %s\n", lib->path, lib->api->GetErrorMessage(status));
  exit(1);
}

static void load(library* lib, const char* path) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const OrtApiBase* (*get)(void) = NULL;
  if (handle) *(void**)&get = dlsym(handle, "OrtGetApiBase");
  if (!get) {
    fprintf(stderr, "%s: %s\n", path, dlerror());
    exit(1);
  }
  lib->path = path;
  lib->api = get()->GetApi(22);
  const int64_t shape[] = {4};
  OrtMemoryInfo* info;
  size_t size;
  char* model = kp_test_model("in x float[4]\ny = Relu(x)\nout y float[4]\n", 17, &size);
  check(lib, lib->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "bench", &lib->env));
  check(lib, lib->api->CreateSessionOptions(&lib->options));
  check(lib, lib->api->SetIntraOpNumThreads(lib->options, 1));
  check(lib, lib->api->SetInterOpNumThreads(lib->options, 1));
  check(lib, lib->api->CreateSessionFromArray(lib->env, model, size, lib->options, &lib->session));
  check(lib, lib->api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &info));
  check(lib,
        lib->api->CreateTensorWithDataAsOrtValue(info, input_data, sizeof input_data, shape, 1,
                                                 ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &lib->input));
  check(lib, lib->api->CreateTensorWithDataAsOrtValue(info, output_data, sizeof output_data, shape,
                                                      1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                                      &lib->output));
  lib->api->ReleaseMemoryInfo(info);
  free(model);
}

static double time_runs(library* lib, bool bound) {
  const OrtValue* inputs[] = {lib->input};
  const uint64_t start = kp_clock_ns();
  for (int i = 0; i < RUNS; ++i) {
    OrtValue* output = bound ? lib->output : NULL;
    check(lib, lib->api->Run(lib->session, NULL, input_names, inputs, 1, output_names, 1, &output));
    if (!bound) lib->api->ReleaseValue(output);
  }
  return (double)(kp_clock_ns() - start) / RUNS;
}

static double time_sessions(library* lib, const char* model) {
  const uint64_t start = kp_clock_ns();
  for (int i = 0; i < SESSIONS; ++i) {
    OrtSession* session;
    check(lib, lib->api->CreateSession(lib->env, model, lib->options, &session));
    lib->api->ReleaseSession(session);
  }
  return (double)(kp_clock_ns() - start) / SESSIONS;
}

static int compare(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void print(const char* what, double* times, double unit) {
  qsort(times, ROUNDS, sizeof *times, compare);
  printf("  %-28s best %9.3f  median %9.3f\n", what, times[0] / unit, times[ROUNDS / 2] / unit);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL LIBRARY...\n", argv[0]);
    return 2;
  }
  const int count = argc - 2;
  library* libraries = calloc((size_t)count, sizeof *libraries);
  if (!libraries) return 1;
  for (int i = 0; i < count; ++i) load(&libraries[i], argv[2 + i]);
  for (int round = 0; round < ROUNDS; ++round)
    for (int i = 0; i < count; ++i) {
      libraries[i].run[round] = time_runs(&libraries[i], false);
      libraries[i].bound[round] = time_runs(&libraries[i], true);
      libraries[i].open[round] = time_sessions(&libraries[i], argv[1]);
    }
  for (int i = 0; i < count; ++i) {
    printf("%s\n", libraries[i].path);
    print("one node, output made (us)", libraries[i].run, 1e3);
    print("one node, output given (us)", libraries[i].bound, 1e3);
    print("session of the model (ms)", libraries[i].open, 1e6);
  }
  free(libraries);
  return 0;
}
