// A client of the C API, written against ONNX Runtime's own header, in the language that C and C++ share: it is compiled as both.
//
// Each test is a function that returns at its first failure. The program prints "ok NAME" or "bad NAME: what" for each, then "done N".
#ifndef KAPELL_TEST_CLIENTS_C_CLIENT_H_
#define KAPELL_TEST_CLIENTS_C_CLIENT_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnxruntime_c_api.h"

extern const OrtApi* api;
extern OrtEnv* env;
extern OrtAllocator* heap;     // the default allocator
extern OrtMemoryInfo* memory;  // of the CPU

// What a test says about itself: NULL, or the first thing that was wrong. Fixed room: a test ends at its first failure.
extern char failure[4096];

void wrong(const char* what, int line);
bool succeeded(OrtStatus* status, const char* call, int line);
// Whether |status| has |code| and a message with |text| in it. Released.
bool failed(OrtStatus* status, OrtErrorCode code, const char* text, const char* call, int line);

#define OK(call)                                     \
  do {                                               \
    if (!succeeded((call), #call, __LINE__)) return; \
  } while (0)
#define FAILS(code, text, call)                               \
  do {                                                        \
    if (!failed((call), code, text, #call, __LINE__)) return; \
  } while (0)
#define CHECK(condition)           \
  do {                             \
    if (!(condition)) {            \
      wrong(#condition, __LINE__); \
      return;                      \
    }                              \
  } while (0)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// The path of the model |name|, in a buffer of its own for each of the last eight calls.
const char* model_path(const char* name);
// The bytes of a file, to be freed; NULL if it cannot be read.
void* read_file(const char* path, size_t* size);
// A session on the model |name|, with default options or with |options|; NULL after saying what was wrong.
OrtSession* open_model(const char* name, const OrtSessionOptions* options);
// A tensor over |data|, which stays the caller's.
OrtValue* tensor_over(void* data, size_t bytes, ONNXTensorElementDataType type, const int64_t* dims,
                      size_t rank);
OrtValue* floats(float* data, int64_t count);
OrtValue* strings(const char* const* items, int64_t count);
// One input, one output.
OrtStatus* run1(OrtSession* session, const char* input, const OrtValue* value, const char* output,
                OrtValue** result);
// Whether |value| is a tensor of these numbers.
bool holds(const OrtValue* value, const float* want, size_t count);

typedef struct client_test {
  const char* name;
  void (*run)(void);
} client_test;

extern const client_test session_tests[], value_tests[], option_tests[],
    graph_tests[];  // each ends with a NULL name

#endif  // KAPELL_TEST_CLIENTS_C_CLIENT_H_
