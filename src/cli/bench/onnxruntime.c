// ONNX Runtime's own library as a guest of the bench, through its C ABI, by path. It runs on its CPU provider; its spinning after a run
// is off, because it would take time from the others.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench.h"
#include "ort/abi.h"

typedef struct state {
  const OrtApi* api;
  OrtSession* session;
  OrtValue** inputs;  // samples * inputs
  OrtValue** outputs;
  char names[256];
} state;

// Whether a call went well; says why not.
static bool good(bench_engine* e, OrtStatus* status) {
  const state* s = e->state;
  if (!status) return true;
  snprintf(e->text, BENCH_TEXT, "ONNX Runtime: %s", s->api->GetErrorMessage(status));
  s->api->ReleaseStatus(status);
  return false;
}

static const OrtApi* find_api(bench_engine* e) {
  void* library = dlopen(e->config->guest_file, RTLD_NOW | RTLD_LOCAL);
  const OrtApiBase* (*base_of)(void) = NULL;
  void* symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;
  memcpy(&base_of, &symbol, sizeof base_of);
  const OrtApiBase* base = base_of ? base_of() : NULL;
  const char* reason = library ? NULL : dlerror();
  unsigned minor = 0;
  if (base && sscanf(base->GetVersionString(), "%*u.%u", &minor) == 1) {
    snprintf(e->text, BENCH_TEXT, "ONNX Runtime %s, CPUExecutionProvider",
             base->GetVersionString());
    return base->GetApi(minor < ORT_API_VERSION ? minor : ORT_API_VERSION);
  }
  snprintf(e->text, BENCH_TEXT, "'%s' is no library of ONNX Runtime's: %s", e->config->guest_file,
           reason ? reason : "it has no OrtGetApiBase");
  return NULL;
}

// Types of elements are numbered alike up to bfloat16.
static bool wrap(bench_engine* e, const OrtMemoryInfo* memory, kapell_value* value,
                 OrtValue** out) {
  state* s = e->state;
  const kapell_type type = kapell_value_type(value);
  if (kapell_value_kind(value) != KAPELL_KIND_TENSOR || type == KAPELL_STRING ||
      type > KAPELL_BFLOAT16)
    return snprintf(e->text, BENCH_TEXT,
                    "inputs other than tensors of numbers are not handed to ONNX Runtime"),
           false;
  return good(e, s->api->CreateTensorWithDataAsOrtValue(
                     memory, kapell_tensor_data(value), kapell_tensor_byte_count(value),
                     kapell_tensor_dims(value), (size_t)kapell_tensor_rank(value),
                     (ONNXTensorElementDataType)type, out));
}

static bool open_session(bench_engine* e) {
  state* s = calloc(1, sizeof(*s));
  if (!s) return false;
  e->state = s;
  s->api = find_api(e);
  if (!s->api) return false;
  OrtEnv* environment;
  OrtSessionOptions* options;
  OrtMemoryInfo* memory;
  const size_t count = e->data->samples * e->data->inputs;
  s->inputs = calloc(count + 1, sizeof(*s->inputs));
  s->outputs = calloc(e->data->outputs + 1, sizeof(*s->outputs));
  if (!s->inputs || !s->outputs ||
      !good(e, s->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "kapell-bench", &environment)) ||
      !good(e, s->api->CreateSessionOptions(&options)) ||
      !good(e, s->api->SetIntraOpNumThreads(options, e->config->threads)) ||
      !good(e, s->api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0")) ||
      !good(e, s->api->CreateSession(environment, e->config->model, options, &s->session)) ||
      !good(e, s->api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory)))
    return false;
  for (size_t i = 0; i < count; ++i)
    if (!wrap(e, memory, e->data->values[i], &s->inputs[i])) return false;
  return true;
}

static bool run(bench_engine* e, size_t sample) {
  state* s = e->state;
  for (size_t i = 0; i < e->data->outputs; ++i) {
    s->api->ReleaseValue(s->outputs[i]);
    s->outputs[i] = NULL;
  }
  return good(e, s->api->Run(s->session, NULL, (const char* const*)e->data->input_names,
                             (const OrtValue* const*)(s->inputs + sample * e->data->inputs),
                             e->data->inputs, (const char* const*)e->data->output_names,
                             e->data->outputs, s->outputs));
}

static kapell_value* take(bench_engine* e, OrtValue* value) {
  state* s = e->state;
  OrtTensorTypeAndShapeInfo* info = NULL;
  ONNXTensorElementDataType type;
  int64_t dims[CLI_MAX_RANK];
  size_t rank = 0;
  void* data = NULL;
  kapell_value* out = NULL;
  if (good(e, s->api->GetTensorTypeAndShape(value, &info)) &&
      good(e, s->api->GetTensorElementType(info, &type)) &&
      good(e, s->api->GetDimensionsCount(info, &rank)) && rank <= CLI_MAX_RANK &&
      good(e, s->api->GetDimensions(info, dims, rank)) &&
      type != ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING &&
      good(e, s->api->GetTensorMutableData(value, &data)))
    kapell_status_free(kapell_tensor_create((kapell_type)type, dims, (int32_t)rank, &out));
  if (out) memcpy(kapell_tensor_data(out), data, kapell_tensor_byte_count(out));
  if (info) s->api->ReleaseTensorTypeAndShapeInfo(info);
  return out;
}

static bool outputs(bench_engine* e, kapell_value** out_values) {
  const state* s = e->state;
  char text[BENCH_TEXT];
  memcpy(text, e->text, sizeof text);
  for (size_t i = 0; i < e->data->outputs; ++i) out_values[i] = take(e, s->outputs[i]);
  memcpy(e->text, text, sizeof text);
  return true;
}

const bench_engine bench_onnxruntime = {.open = open_session, .run = run, .outputs = outputs};
