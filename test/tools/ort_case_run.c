// Runs backend cases through the C API of a library that answers ONNX Runtime's ABI: ours, or ONNX Runtime's own, side by side.
// ort_case_run LIBRARY FOLDER...
//
// Folders and what is printed are those of case_run.c.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "ort/abi.h"
#include "support/backend_case.h"
#include "support/model_text.h"

#define MAX_VALUES 64

static const OrtApi* api;
static OrtEnv* env;
static OrtAllocator* heap;
static OrtMemoryInfo* memory;

#define ORT_TRY(call)                                  \
  do {                                                 \
    OrtStatus* ort_try_status = (call);                \
    if (ort_try_status) return failed(ort_try_status); \
  } while (0)

static kp_status* failed(OrtStatus* status) {
  kp_status* made = KP_ERROR(INTERNAL, "error %d: %s", (int)api->GetErrorCode(status),
                             api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  return made;
}

// The newest types have another number in the C API than in the file.
static const struct {
  kapell_type file;
  ONNXTensorElementDataType api;
} renumbered[] = {{KAPELL_UINT2, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT2},
                  {KAPELL_INT2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT2},
                  {KAPELL_FLOAT8E8M0, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0}};

static ONNXTensorElementDataType to_api_type(kapell_type type) {
  for (size_t i = 0; i < KP_COUNT_OF(renumbered); ++i)
    if (renumbered[i].file == type) return renumbered[i].api;
  return (ONNXTensorElementDataType)type;
}

static kapell_type to_file_type(ONNXTensorElementDataType type) {
  for (size_t i = 0; i < KP_COUNT_OF(renumbered); ++i)
    if (renumbered[i].api == type) return renumbered[i].file;
  return (kapell_type)type;
}

// --- values into the library -----------------------------------------------------------------------------------------------------
typedef struct value_list {
  OrtValue* items[MAX_VALUES];
  size_t count;
} value_list;

static void clear(value_list* list) {
  for (size_t i = 0; i < list->count; ++i) api->ReleaseValue(list->items[i]);
  list->count = 0;
}

static kp_status* fill(const kapell_value* from, OrtValue* to) {
  if (kapell_value_type(from) != KAPELL_STRING) {
    void* data;
    ORT_TRY(api->GetTensorMutableData(to, &data));
    memcpy(data, kapell_tensor_const_data(from), kapell_tensor_byte_count(from));
    return NULL;
  }
  for (size_t i = 0; i < kapell_tensor_count(from); ++i) {
    size_t length;
    const char* text = kapell_tensor_string(from, i, &length);
    char* room;
    ORT_TRY(api->GetResizedStringTensorElementBuffer(to, i, length, &room));
    memcpy(room, text, length);
  }
  return NULL;
}

static kp_status* to_tensor(const kapell_value* from, OrtValue** out) {
  ORT_TRY(api->CreateTensorAsOrtValue(heap, kapell_tensor_dims(from),
                                      (size_t)kapell_tensor_rank(from),
                                      to_api_type(kapell_value_type(from)), out));
  return fill(from, *out);
}

// CreateValue makes no sequence without items; a model does.
static kp_status* empty_sequence(OrtValue** out) {
  const char* name = "s";
  size_t size;
  OrtSessionOptions* options;
  OrtSession* session = NULL;
  ORT_TRY(api->CreateSessionOptions(&options));
  char* bytes = kp_test_model("s = SequenceEmpty() dtype=1\n out s seq(float[..])", 13, &size);
  OrtStatus* status = api->CreateSessionFromArray(env, bytes, size, options, &session);
  if (!status) status = api->Run(session, NULL, NULL, NULL, 0, &name, 1, out);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  free(bytes);
  return status ? failed(status) : NULL;
}

static kp_status* to_ort(const kapell_value* from, OrtValue** out);

static kp_status* to_parts(const kapell_value* from, enum ONNXType kind, OrtValue** out) {
  value_list parts = {.count = 0};
  const size_t count = kapell_value_item_count(from);
  kp_status* status = count > MAX_VALUES ? KP_ERROR(LIMIT, "%zu items", count) : NULL;
  for (; parts.count < count && !status; ++parts.count) {
    parts.items[parts.count] = NULL;
    status = to_ort(kapell_value_item(from, parts.count), &parts.items[parts.count]);
  }
  if (!status) {
    OrtStatus* made = api->CreateValue((const OrtValue* const*)parts.items, parts.count, kind, out);
    status = made ? failed(made) : NULL;
  }
  clear(&parts);
  return status;
}

// |*out| is the caller's even where this fails.
static kp_status* to_ort(const kapell_value* from, OrtValue** out) {
  *out = NULL;
  switch (kapell_value_kind(from)) {
    case KAPELL_KIND_TENSOR:
      return to_tensor(from, out);
    case KAPELL_KIND_SEQUENCE:
      return kapell_value_item_count(from) ? to_parts(from, ONNX_TYPE_SEQUENCE, out)
                                           : empty_sequence(out);
    case KAPELL_KIND_MAP:
      return to_parts(from, ONNX_TYPE_MAP, out);
    case KAPELL_KIND_OPTIONAL:  // a value with an element is that element; the C API makes none without
      if (kapell_value_item_count(from) == 1) return to_ort(kapell_value_item(from, 0), out);
      return KP_ERROR(UNSUPPORTED, "the C API makes no empty optional");
    default:
      return KP_ERROR(UNSUPPORTED, "a value of kind %d", (int)kapell_value_kind(from));
  }
}

// --- values out of the library -----------------------------------------------------------------------------------------------------
static kp_status* from_strings(const OrtValue* from, kapell_value* to) {
  for (size_t i = 0; i < kapell_tensor_count(to); ++i) {
    size_t length;
    ORT_TRY(api->GetStringTensorElementLength(from, i, &length));
    char* text = malloc(length + 1);
    if (!text) return KP_ERROR(OUT_OF_MEMORY, "a string of %zu bytes", length);
    OrtStatus* got = api->GetStringTensorElement(from, length, i, text);
    kp_status* status = got ? failed(got) : kapell_tensor_set_string(to, i, text, length);
    free(text);
    KP_PASS(status);
  }
  return NULL;
}

static kp_status* from_data(const OrtValue* from, kapell_value* to) {
  if (kapell_value_type(to) == KAPELL_STRING) return from_strings(from, to);
  const void* data;
  ORT_TRY(api->GetTensorData(from, &data));
  if (kapell_tensor_byte_count(to))
    memcpy(kapell_tensor_data(to), data, kapell_tensor_byte_count(to));
  return NULL;
}

static kp_status* read_shape(const OrtTensorTypeAndShapeInfo* info, kapell_value** out) {
  ONNXTensorElementDataType type;
  size_t rank;
  int64_t dims[32];
  ORT_TRY(api->GetTensorElementType(info, &type));
  ORT_TRY(api->GetDimensionsCount(info, &rank));
  if (rank > KP_COUNT_OF(dims)) return KP_ERROR(LIMIT, "rank %zu", rank);
  ORT_TRY(api->GetDimensions(info, dims, rank));
  return kapell_tensor_create(to_file_type(type), dims, (int32_t)rank, out);
}

static kp_status* from_tensor(const OrtValue* from, kapell_value** out) {
  OrtTensorTypeAndShapeInfo* info;
  ORT_TRY(api->GetTensorTypeAndShape(from, &info));
  kp_status* status = read_shape(info, out);
  api->ReleaseTensorTypeAndShapeInfo(info);
  return status ? status : from_data(from, *out);
}

static kp_status* from_ort(const OrtValue* from, kapell_value** out);

static kp_status* from_part(const OrtValue* from, size_t index, kapell_value** out) {
  OrtValue* part;
  ORT_TRY(api->GetValue(from, (int)index, heap, &part));
  kp_status* status = from_ort(part, out);
  api->ReleaseValue(part);
  return status;
}

static kp_status* from_parts(const OrtValue* from, enum ONNXType kind, kapell_value** out) {
  kapell_value* parts[MAX_VALUES] = {NULL};
  size_t count;
  ORT_TRY(api->GetValueCount(from, &count));
  kp_status* status = count > MAX_VALUES ? KP_ERROR(LIMIT, "%zu items", count) : NULL;
  for (size_t i = 0; i < count && !status; ++i) status = from_part(from, i, &parts[i]);
  if (!status)
    status = kind == ONNX_TYPE_MAP ? kapell_map_create(parts[0], parts[1], out)
                                   : kapell_sequence_create(parts, count, out);
  for (size_t i = 0; i < count && i < MAX_VALUES; ++i) kapell_value_release(parts[i]);
  return status;
}

// |*out| is the caller's even where this fails.
static kp_status* from_ort(const OrtValue* from, kapell_value** out) {
  enum ONNXType kind;
  *out = NULL;
  ORT_TRY(api->GetValueType(from, &kind));
  switch (kind) {
    case ONNX_TYPE_TENSOR:
      return from_tensor(from, out);
    case ONNX_TYPE_SEQUENCE:
    case ONNX_TYPE_MAP:
      return from_parts(from, kind, out);
    default:
      return KP_ERROR(UNSUPPORTED, "a value of ONNX type %d", (int)kind);
  }
}

// --- a session's inputs and outputs -------------------------------------------------------------------------------------------------
typedef struct io_list {
  char* names[MAX_VALUES];
  kapell_kind kinds[MAX_VALUES];
  size_t count;
} io_list;

static const kapell_kind kinds[] = {
    [ONNX_TYPE_TENSOR] = KAPELL_KIND_TENSOR,     [ONNX_TYPE_SEQUENCE] = KAPELL_KIND_SEQUENCE,
    [ONNX_TYPE_MAP] = KAPELL_KIND_MAP,           [ONNX_TYPE_SPARSETENSOR] = KAPELL_KIND_SPARSE,
    [ONNX_TYPE_OPTIONAL] = KAPELL_KIND_OPTIONAL,
};

static kp_status* read_io(const OrtSession* session, bool input, size_t index, io_list* list) {
  OrtTypeInfo* type;
  enum ONNXType kind;
  ORT_TRY(input ? api->SessionGetInputName(session, index, heap, &list->names[index])
                : api->SessionGetOutputName(session, index, heap, &list->names[index]));
  ++list->count;
  ORT_TRY(input ? api->SessionGetInputTypeInfo(session, index, &type)
                : api->SessionGetOutputTypeInfo(session, index, &type));
  OrtStatus* status = api->GetOnnxTypeFromTypeInfo(type, &kind);
  api->ReleaseTypeInfo(type);
  ORT_TRY(status);
  list->kinds[index] = (size_t)kind < KP_COUNT_OF(kinds) ? kinds[kind] : KAPELL_KIND_NONE;
  return NULL;
}

static kp_status* read_ios(const OrtSession* session, bool input, io_list* list) {
  size_t count;
  list->count = 0;
  ORT_TRY(input ? api->SessionGetInputCount(session, &count)
                : api->SessionGetOutputCount(session, &count));
  if (count > MAX_VALUES) return KP_ERROR(LIMIT, "%zu inputs or outputs", count);
  for (size_t i = 0; i < count; ++i) KP_PASS(read_io(session, input, i, list));
  return NULL;
}

static void free_ios(io_list* list) {
  for (size_t i = 0; i < list->count; ++i) heap->Free(heap, list->names[i]);
}

typedef struct opened {
  OrtSession* session;
  io_list inputs, outputs;
} opened;

// --- running -----------------------------------------------------------------------------------------------------------------------
static kp_status* read_inputs(const char* data, const opened* o, value_list* inputs) {
  for (; inputs->count < o->inputs.count; ++inputs->count) {
    char path[4200];
    snprintf(path, sizeof path, "%s/input_%zu.pb", data, inputs->count);
    if (!kp_case_exists(path)) break;
    kapell_value* value;
    KP_PASS(kp_case_read_value(path, o->inputs.kinds[inputs->count], &value));
    kp_status* status = to_ort(value, &inputs->items[inputs->count]);
    kapell_value_release(value);
    if (status) {
      ++inputs->count;
      return status;
    }
  }
  return NULL;
}

// What an optional holds, or the value itself; NULL for an optional without element.
static const kapell_value* held(const kapell_value* value) {
  return kapell_value_kind(value) == KAPELL_KIND_OPTIONAL ? kapell_value_item(value, 0) : value;
}

static kp_status* compare_output(const char* data, const opened* o, size_t index,
                                 const OrtValue* got, kp_case_tolerance t) {
  char path[4200];
  snprintf(path, sizeof path, "%s/output_%zu.pb", data, index);
  kapell_value *want, *have = NULL;
  int has = 0;
  KP_PASS(kp_case_read_value(path, o->outputs.kinds[index], &want));
  OrtStatus* asked = api->HasValue(got, &has);
  kp_status* status = asked ? failed(asked) : has ? from_ort(got, &have) : NULL;
  const kapell_value* inside = held(want);
  const bool empty = !inside || kapell_value_kind(inside) == KAPELL_KIND_NONE;
  if (!status && empty != !has) status = KP_ERROR(INTERNAL, "has %s value", has ? "a" : "no");
  if (!status && !empty) status = kp_case_compare(have, inside, t);
  kapell_value_release(have);
  kapell_value_release(want);
  if (status) KP_TRY(status, "output %zu", index);
  return NULL;
}

static size_t count_outputs(const char* data, size_t most) {
  size_t count = 0;
  for (char path[4200]; count < most; ++count) {
    snprintf(path, sizeof path, "%s/output_%zu.pb", data, count);
    if (!kp_case_exists(path)) break;
  }
  return count;
}

static kp_status* run_set(const char* data, const opened* o, kp_case_tolerance t) {
  value_list inputs = {.count = 0}, got = {.count = count_outputs(data, o->outputs.count)};
  for (size_t i = 0; i < got.count; ++i) got.items[i] = NULL;
  kp_status* status = read_inputs(data, o, &inputs);
  if (!status) {
    OrtStatus* ran = api->Run(o->session, NULL, (const char* const*)o->inputs.names,
                              (const OrtValue* const*)inputs.items, inputs.count,
                              (const char* const*)o->outputs.names, got.count, got.items);
    if (ran) status = failed(ran);
  }
  for (size_t i = 0; i < got.count && !status; ++i)
    status = compare_output(data, o, i, got.items[i], t);
  clear(&inputs);
  clear(&got);
  return status;
}

static kp_status* run_sets(const char* folder, const opened* o) {
  const kp_case_tolerance t = kp_case_read_tolerance(folder);
  for (int set = 0;; ++set) {
    char data[4096], path[4200];
    snprintf(data, sizeof data, "%s/test_data_set_%d", folder, set);
    snprintf(path, sizeof path, "%s/output_0.pb", data);
    if (!kp_case_exists(path)) return set ? NULL : KP_ERROR(NOT_FOUND, "no data: '%s'", path);
    KP_PASS(run_set(data, o, t));
  }
}

static kp_status* run_case(const char* folder, const OrtSessionOptions* options) {
  char path[4200];
  opened o = {.session = NULL};
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  ORT_TRY(api->CreateSession(env, path, options, &o.session));
  kp_status* status = read_ios(o.session, true, &o.inputs);
  if (!status) status = read_ios(o.session, false, &o.outputs);
  if (!status) status = run_sets(folder, &o);
  free_ios(&o.inputs);
  free_ios(&o.outputs);
  api->ReleaseSession(o.session);
  return status;
}

static kp_status* open_library(const char* path, OrtSessionOptions** options) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return KP_ERROR(NOT_FOUND, "%s", dlerror());
  const OrtApiBase* (*get_base)(void) = NULL;
  void* symbol = dlsym(library, "OrtGetApiBase");
  if (!symbol) return KP_ERROR(NOT_FOUND, "no OrtGetApiBase in '%s'", path);
  memcpy(&get_base, &symbol, sizeof get_base);
  api = get_base()->GetApi(24);
  if (!api) return KP_ERROR(NOT_FOUND, "API 24 is not granted");
  ORT_TRY(api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "cases", &env));
  ORT_TRY(api->GetAllocatorWithDefaultOptions(&heap));
  ORT_TRY(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  ORT_TRY(api->CreateSessionOptions(options));
  ORT_TRY(api->SetIntraOpNumThreads(*options, 1));
  return NULL;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  OrtSessionOptions* options;
  kp_status* status = open_library(argv[1], &options);
  if (status) {
    fprintf(stderr, "%s\n", kapell_status_text(status));
    kapell_status_free(status);
    return 2;
  }
  int bad = 0;
  for (int at = 2; at < argc; ++at) {
    status = run_case(argv[at], options);
    if (status) {
      kp_case_say_bad(argv[at], kapell_status_text(status));
      kapell_status_free(status);
      bad = 1;
    } else {
      printf("ok %s\n", argv[at]);
    }
    fflush(stdout);
  }
  api->ReleaseSessionOptions(options);
  api->ReleaseMemoryInfo(memory);
  api->ReleaseEnv(env);
  return bad;
}
