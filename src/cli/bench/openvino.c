// OpenVINO's own library as a guest of the bench, through its C interface (libopenvino_c.so), by path. What is used of it is declared
// here in our own words; element types, whose numbers changed between versions, are asked of its own tensors.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench.h"

typedef struct ov_object ov_object;  // any of its handles
typedef struct ov_shape {
  int64_t rank;
  int64_t* dims;
} ov_shape;

typedef struct openvino {
  int (*core_create)(ov_object** core);
  int (*read_model)(const ov_object* core, const char* path, const char* weights,
                    ov_object** model);
  int (*compile_model)(const ov_object* core, const ov_object* model, const char* device,
                       size_t text_count, ov_object** compiled, ...);
  int (*create_request)(const ov_object* compiled, ov_object** request);
  int (*set_tensor)(ov_object* request, const char* name, const ov_object* tensor);
  int (*get_tensor)(const ov_object* request, const char* name, ov_object** tensor);
  int (*infer)(ov_object* request);
  int (*tensor_from_memory)(int type, ov_shape shape, void* data, ov_object** tensor);
  int (*tensor_type)(const ov_object* tensor, int* type);
  int (*tensor_shape)(const ov_object* tensor, ov_shape* shape);
  int (*tensor_data)(const ov_object* tensor, void** data);
  int (*tensor_bytes)(const ov_object* tensor, size_t* bytes);
  void (*tensor_free)(ov_object* tensor);
  const char* (*last_error)(void);
} openvino;

typedef struct state {
  openvino ov;
  ov_object* request;
  ov_object** inputs;  // samples * inputs
} state;

static bool find_functions(bench_engine* e, openvino* ov) {
  const struct {
    const char* name;
    void* slot;
    bool needed;
  } rows[] = {{"ov_core_create", &ov->core_create, true},
              {"ov_core_read_model", &ov->read_model, true},
              {"ov_core_compile_model", &ov->compile_model, true},
              {"ov_compiled_model_create_infer_request", &ov->create_request, true},
              {"ov_infer_request_set_tensor", &ov->set_tensor, true},
              {"ov_infer_request_get_tensor", &ov->get_tensor, true},
              {"ov_infer_request_infer", &ov->infer, true},
              {"ov_tensor_create_from_host_ptr", &ov->tensor_from_memory, true},
              {"ov_tensor_get_element_type", &ov->tensor_type, true},
              {"ov_tensor_get_shape", &ov->tensor_shape, true},
              {"ov_tensor_data", &ov->tensor_data, true},
              {"ov_tensor_get_byte_size", &ov->tensor_bytes, true},
              {"ov_tensor_free", &ov->tensor_free, true},
              {"ov_get_last_err_msg", &ov->last_error, false}};
  void* library = dlopen(e->config->guest_file, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return snprintf(e->text, BENCH_TEXT, "'%s' does not load: %s", e->config->guest_file,
                    dlerror()),
           false;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    void* address = dlsym(library, rows[i].name);
    memcpy(rows[i].slot, &address, sizeof address);
    if (!address && rows[i].needed)
      return snprintf(e->text, BENCH_TEXT, "'%s' is no C library of OpenVINO's: it has no %s",
                      e->config->guest_file, rows[i].name),
             false;
  }
  return true;
}

static bool good(bench_engine* e, int status, const char* what) {
  const state* s = e->state;
  if (!status) return true;
  const char* why = s->ov.last_error ? s->ov.last_error() : NULL;
  snprintf(e->text, BENCH_TEXT, "OpenVINO: %s: error %d%s%s", what, status, why ? ": " : "",
           why ? why : "");
  return false;
}

// A tensor over the input's own memory, of the type that the compiled model has for it.
static bool wrap(bench_engine* e, const char* name, kapell_value* value, ov_object** out) {
  const state* s = e->state;
  ov_object* like = NULL;
  int type = 0;
  size_t bytes = 0;
  if (kapell_value_kind(value) != KAPELL_KIND_TENSOR || kapell_value_type(value) == KAPELL_STRING)
    return snprintf(e->text, BENCH_TEXT,
                    "inputs other than tensors of numbers are not handed to OpenVINO"),
           false;
  if (!good(e, s->ov.get_tensor(s->request, name, &like), name) ||
      !good(e, s->ov.tensor_type(like, &type), name))
    return false;
  s->ov.tensor_free(like);
  int64_t dims[CLI_MAX_RANK];
  const int32_t rank = kapell_tensor_rank(value);
  memcpy(dims, kapell_tensor_dims(value), (size_t)rank * sizeof(*dims));
  const ov_shape shape = {rank, dims};
  if (!good(e, s->ov.tensor_from_memory(type, shape, kapell_tensor_data(value), out), name) ||
      !good(e, s->ov.tensor_bytes(*out, &bytes), name))
    return false;
  if (bytes == kapell_tensor_byte_count(value)) return true;
  return snprintf(e->text, BENCH_TEXT, "OpenVINO has another element type for input '%s'", name),
         false;
}

static bool open_session(bench_engine* e) {
  state* s = calloc(1, sizeof(*s));
  if (!s) return false;
  e->state = s;
  ov_object *core, *model, *compiled;
  char threads[16];
  snprintf(threads, sizeof threads, "%d", e->config->threads);
  if (!find_functions(e, &s->ov) || !good(e, s->ov.core_create(&core), "creating its core") ||
      !good(e, s->ov.read_model(core, e->config->model, NULL, &model), "reading the model") ||
      !good(e,
            s->ov.compile_model(core, model, "CPU", 6, &compiled, "INFERENCE_NUM_THREADS", threads,
                                "PERFORMANCE_HINT", "LATENCY", "INFERENCE_PRECISION_HINT", "f32"),
            "compiling the model") ||
      !good(e, s->ov.create_request(compiled, &s->request), "creating a request"))
    return false;
  const size_t count = e->data->samples * e->data->inputs;
  s->inputs = calloc(count + 1, sizeof(*s->inputs));
  for (size_t i = 0; s->inputs && i < count; ++i)
    if (!wrap(e, e->data->input_names[i], e->data->values[i], &s->inputs[i])) return false;
  snprintf(e->text, BENCH_TEXT, "OpenVINO, device CPU, float32");
  return s->inputs != NULL;
}

static bool run(bench_engine* e, size_t sample) {
  state* s = e->state;
  for (size_t i = 0; i < e->data->inputs; ++i)
    if (!good(e,
              s->ov.set_tensor(s->request, e->data->input_names[i],
                               s->inputs[sample * e->data->inputs + i]),
              "setting an input"))
      return false;
  return good(e, s->ov.infer(s->request), "running");
}

// An output of the expected one's size is taken to be of its type.
static kapell_value* take(const bench_engine* e, size_t index) {
  const state* s = e->state;
  const kapell_value* expected = e->data->expected[index];
  ov_object* tensor = NULL;
  ov_shape shape = {0, NULL};
  void* data = NULL;
  size_t bytes = 0;
  kapell_value* out = NULL;
  if (s->ov.get_tensor(s->request, e->data->output_names[index], &tensor) ||
      s->ov.tensor_shape(tensor, &shape) || s->ov.tensor_data(tensor, &data) ||
      s->ov.tensor_bytes(tensor, &bytes))
    return NULL;
  if (shape.rank >= 0 && shape.rank <= CLI_MAX_RANK && bytes == kapell_tensor_byte_count(expected))
    kapell_status_free(
        kapell_tensor_create(kapell_value_type(expected), shape.dims, (int32_t)shape.rank, &out));
  if (out) memcpy(kapell_tensor_data(out), data, bytes);
  s->ov.tensor_free(tensor);
  return out;
}

static bool outputs(bench_engine* e, kapell_value** out_values) {
  for (size_t i = 0; i < e->data->outputs; ++i)
    out_values[i] =
        kapell_value_kind(e->data->expected[i]) == KAPELL_KIND_TENSOR ? take(e, i) : NULL;
  return true;
}

const bench_engine bench_openvino = {.open = open_session, .run = run, .outputs = outputs};
