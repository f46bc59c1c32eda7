// Sessions: how they are opened, what they say of themselves, how they run.
#include <pthread.h>
#include <unistd.h>

#include "client.h"

static const char* const add_inputs[] = {"a", "b"};
static const char* const add_output[] = {"c"};

static OrtStatus* run_add(OrtSession* session, const OrtRunOptions* options, OrtValue** out) {
  static float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {10, 20, 30, 40, 50, 60};
  static const int64_t dims[2] = {2, 3};
  OrtValue* inputs[2] = {tensor_over(a, sizeof a, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2),
                         tensor_over(b, sizeof b, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2)};
  OrtStatus* status =
      api->Run(session, options, add_inputs, (const OrtValue* const*)inputs, 2, add_output, 1, out);
  api->ReleaseValue(inputs[0]);
  api->ReleaseValue(inputs[1]);
  return status;
}

static const float sums[6] = {11, 22, 33, 44, 55, 66};

static void versions(void) {
  const OrtApiBase* base = OrtGetApiBase();
  CHECK(base == OrtGetApiBase());
  CHECK(base->GetApi(1) == api && base->GetApi(ORT_API_VERSION) == api);
  CHECK(base->GetApi(0) == NULL && base->GetApi(1000) == NULL);
  int major, minor, patch, end = 0;
  CHECK(sscanf(base->GetVersionString(), "%d.%d.%d%n", &major, &minor, &patch, &end) == 3);
  CHECK(base->GetVersionString()[end] == 0 && major == 1 && minor >= ORT_API_VERSION);
  CHECK(base->GetApi((uint32_t)minor) == api && base->GetApi((uint32_t)minor + 1) == NULL);
  CHECK(strlen(api->GetBuildInfoString()) > 0);
  CHECK(api->GetTrainingApi(ORT_API_VERSION) == NULL);
}

static void statuses(void) {
  OrtStatus* status = api->CreateStatus(ORT_EP_FAIL, "what went wrong");
  CHECK(status && api->GetErrorCode(status) == ORT_EP_FAIL);
  CHECK(strcmp(api->GetErrorMessage(status), "what went wrong") == 0);
  api->ReleaseStatus(status);
  status = api->CreateStatus(ORT_FAIL, "");
  CHECK(status && strcmp(api->GetErrorMessage(status), "") == 0);
  api->ReleaseStatus(status);
  api->ReleaseStatus(NULL);
}

static void from_file(void) {
  OrtSession* session = open_model("add.onnx", NULL);
  if (!session) return;
  OrtValue* out = NULL;
  OK(run_add(session, NULL, &out));
  CHECK(holds(out, sums, 6));
  api->ReleaseSession(session);
  CHECK(holds(out, sums, 6));  // a result outlives its session
  api->ReleaseValue(out);
  session = open_model("\xc5\xbc\xc3\xb3\xc5\x82w \xe5\xa4\xa7.onnx", NULL);
  CHECK(session != NULL);
  api->ReleaseSession(session);
}

static void from_bytes(void) {
  size_t size;
  void* bytes = read_file(model_path("add.onnx"), &size);
  CHECK(bytes);
  OrtSessionOptions* options;
  OrtSession* session;
  OK(api->CreateSessionOptions(&options));
  OK(api->CreateSessionFromArray(env, bytes, size, options, &session));
  memset(bytes, 0, size);  // the session does not need them any more
  free(bytes);
  api->ReleaseSessionOptions(options);
  OrtValue* out = NULL;
  OK(run_add(session, NULL, &out));
  CHECK(holds(out, sums, 6));
  api->ReleaseValue(out);
  api->ReleaseSession(session);
}

static void bad_files(void) {
  OrtSessionOptions* options;
  OrtSession* session = (OrtSession*)heap;
  OK(api->CreateSessionOptions(&options));
  FAILS(ORT_NO_SUCHFILE, "no_such_file.onnx",
        api->CreateSession(env, model_path("no_such_file.onnx"), options, &session));
  CHECK(session == NULL);
  FAILS(ORT_INVALID_PROTOBUF, "",
        api->CreateSession(env, model_path("garbage.onnx"), options, &session));
  FAILS(ORT_INVALID_PROTOBUF, "",
        api->CreateSession(env, model_path("cut.onnx"), options, &session));
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->CreateSession(env, model_path("empty.onnx"), options, &session));
  FAILS(ORT_INVALID_GRAPH, "NoSuchOperator",
        api->CreateSession(env, model_path("unknown.onnx"), options, &session));
  FAILS(ORT_INVALID_PROTOBUF, "",
        api->CreateSessionFromArray(env, "rubbish, not a model", 20, options, &session));
  FAILS(ORT_INVALID_ARGUMENT, "", api->CreateSessionFromArray(env, "", 0, options, &session));
  CHECK(session == NULL);
  api->ReleaseSessionOptions(options);
}

static void names(void) {
  OrtSession* session = open_model("add.onnx", NULL);
  size_t count;
  char* name;
  OK(api->SessionGetInputCount(session, &count));
  CHECK(count == 2);
  OK(api->SessionGetOutputCount(session, &count));
  CHECK(count == 1);
  OK(api->SessionGetInputName(session, 1, heap, &name));
  CHECK(strcmp(name, "b") == 0);
  OK(api->AllocatorFree(heap, name));
  OK(api->SessionGetOutputName(session, 0, heap, &name));
  CHECK(strcmp(name, "c") == 0);
  heap->Free(heap, name);
  FAILS(ORT_FAIL, "", api->SessionGetInputName(session, 2, heap, &name));
  FAILS(ORT_FAIL, "", api->SessionGetOutputName(session, 1, heap, &name));
  api->ReleaseSession(session);
}

static void overridable(void) {
  OrtSession* session = open_model("defaults.onnx", NULL);
  size_t count;
  char* name;
  OrtTypeInfo* type;
  OK(api->SessionGetInputCount(session, &count));
  CHECK(count == 1);
  OK(api->SessionGetOverridableInitializerCount(session, &count));
  CHECK(count == 1);
  OK(api->SessionGetOverridableInitializerName(session, 0, heap, &name));
  CHECK(strcmp(name, "scale") == 0);
  OK(api->AllocatorFree(heap, name));
  OK(api->SessionGetOverridableInitializerTypeInfo(session, 0, &type));
  api->ReleaseTypeInfo(type);
  float x[2] = {1, 2}, scale[1] = {3};
  const char* inputs[] = {"x", "scale"};
  const char* outputs[] = {"y"};
  OrtValue* values[2] = {floats(x, 2), floats(scale, 1)};
  OrtValue* out = NULL;
  const float doubled[2] = {12, 24}, tripled[2] = {13, 26};
  OK(api->Run(session, NULL, inputs, (const OrtValue* const*)values, 1, outputs, 1, &out));
  CHECK(holds(out, doubled, 2));
  api->ReleaseValue(out);
  out = NULL;
  OK(api->Run(session, NULL, inputs, (const OrtValue* const*)values, 2, outputs, 1, &out));
  CHECK(holds(out, tripled, 2));
  api->ReleaseValue(out);
  api->ReleaseValue(values[0]);
  api->ReleaseValue(values[1]);
  api->ReleaseSession(session);
}

static void type_info(void) {
  OrtSession* session = open_model("matmul.onnx", NULL);
  OrtTypeInfo* type;
  const OrtTensorTypeAndShapeInfo* info;
  ONNXTensorElementDataType element;
  enum ONNXType kind;
  size_t rank;
  int64_t dims[2];
  const char* symbols[2];
  OK(api->SessionGetInputTypeInfo(session, 0, &type));
  OK(api->GetOnnxTypeFromTypeInfo(type, &kind));
  CHECK(kind == ONNX_TYPE_TENSOR);
  OK(api->CastTypeInfoToTensorInfo(type, &info));
  OK(api->GetTensorElementType(info, &element));
  OK(api->GetDimensionsCount(info, &rank));
  CHECK(element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && rank == 2);
  OK(api->GetDimensions(info, dims, 2));
  CHECK(dims[0] == -1 && dims[1] == 4);
  OK(api->GetSymbolicDimensions(info, symbols, 2));
  CHECK(strcmp(symbols[0], "batch") == 0 && strcmp(symbols[1], "") == 0);
  CHECK(api->TensorTypeAndShape_HasShape(info));
  api->ReleaseTypeInfo(type);
  FAILS(ORT_FAIL, "", api->SessionGetInputTypeInfo(session, 1, &type));
  OK(api->SessionGetOutputTypeInfo(session, 0, &type));
  const OrtMapTypeInfo* map = (const OrtMapTypeInfo*)heap;
  OK(api->CastTypeInfoToMapTypeInfo(type, &map));
  CHECK(map == NULL);
  api->ReleaseTypeInfo(type);
  api->ReleaseSession(session);
}

static bool same(char* text, const char* want) {
  const bool right = text && strcmp(text, want) == 0;
  heap->Free(heap, text);
  return right;
}

static void metadata(void) {
  OrtSession* session = open_model("add.onnx", NULL);
  OrtModelMetadata* about;
  char* text;
  int64_t number;
  OK(api->SessionGetModelMetadata(session, &about));
  OK(api->ModelMetadataGetProducerName(about, heap, &text));
  CHECK(same(text, "kapell clients"));
  OK(api->ModelMetadataGetGraphName(about, heap, &text));
  CHECK(same(text, "addition"));
  OK(api->ModelMetadataGetDomain(about, heap, &text));
  CHECK(same(text, "org.example"));
  OK(api->ModelMetadataGetDescription(about, heap, &text));
  CHECK(same(text, "adds two tensors"));
  OK(api->ModelMetadataGetGraphDescription(about, heap, &text));
  CHECK(same(text, "one node"));
  OK(api->ModelMetadataGetVersion(about, &number));
  CHECK(number == 7);
  OK(api->ModelMetadataLookupCustomMetadataMap(about, heap, "umlaut", &text));
  CHECK(same(text, "gr\xc3\xbcn"));
  OK(api->ModelMetadataLookupCustomMetadataMap(about, heap, "no such key", &text));
  CHECK(text == NULL);
  char** keys;
  OK(api->ModelMetadataGetCustomMetadataMapKeys(about, heap, &keys, &number));
  CHECK(number == 3);
  int seen = 0;
  for (int64_t i = 0; i < number; ++i) {
    seen |= strcmp(keys[i], "author") == 0   ? 1
            : strcmp(keys[i], "empty") == 0  ? 2
            : strcmp(keys[i], "umlaut") == 0 ? 4
                                             : 8;
    heap->Free(heap, keys[i]);
  }
  heap->Free(heap, keys);
  CHECK(seen == 7);
  api->ReleaseModelMetadata(about);
  api->ReleaseSession(session);
  session = open_model("matmul.onnx", NULL);
  OK(api->SessionGetModelMetadata(session, &about));
  OK(api->ModelMetadataGetDomain(about, heap, &text));
  CHECK(same(text, ""));
  OK(api->ModelMetadataGetCustomMetadataMapKeys(about, heap, &keys, &number));
  CHECK(number == 0 && keys == NULL);
  api->ReleaseModelMetadata(about);
  api->ReleaseSession(session);
}

static void bad_runs(void) {
  OrtSession* session = open_model("add.onnx", NULL);
  float numbers[6] = {0};
  double wide[6] = {0};
  const int64_t dims[2] = {2, 3};
  const int64_t turned[2] = {3, 2};
  OrtValue* good =
      tensor_over(numbers, sizeof numbers, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2);
  OrtValue* other_type =
      tensor_over(wide, sizeof wide, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, dims, 2);
  OrtValue* other_dims =
      tensor_over(numbers, sizeof numbers, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, turned, 2);
  OrtValue* other_rank = floats(numbers, 6);
  const char* unknown[] = {"a", "no_such_input"};
  const char* no_output[] = {"no_such_output"};
  const OrtValue* two[] = {good, good};
  const OrtValue* bad_type[] = {good, other_type};
  const OrtValue* bad_dims[] = {good, other_dims};
  const OrtValue* bad_rank[] = {good, other_rank};
  OrtValue* out = NULL;
  FAILS(ORT_INVALID_ARGUMENT, "no_such_input",
        api->Run(session, NULL, unknown, two, 2, add_output, 1, &out));
  FAILS(ORT_FAIL, "b", api->Run(session, NULL, add_inputs, two, 1, add_output, 1, &out));
  FAILS(ORT_INVALID_ARGUMENT, "no_such_output",
        api->Run(session, NULL, add_inputs, two, 2, no_output, 1, &out));
  FAILS(ORT_INVALID_ARGUMENT, "double",
        api->Run(session, NULL, add_inputs, bad_type, 2, add_output, 1, &out));
  FAILS(ORT_INVALID_ARGUMENT, "b",
        api->Run(session, NULL, add_inputs, bad_dims, 2, add_output, 1, &out));
  FAILS(ORT_INVALID_ARGUMENT, "b",
        api->Run(session, NULL, add_inputs, bad_rank, 2, add_output, 1, &out));
  CHECK(out == NULL);
  OK(api->Run(session, NULL, add_inputs, two, 2, add_output, 1, &out));  // and it still works
  api->ReleaseValue(out);
  out = NULL;
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->Run(session, NULL, add_inputs, two, 2, add_output, 0, &out));  // no outputs wanted
  api->ReleaseValue(good);
  api->ReleaseValue(other_type);
  api->ReleaseValue(other_dims);
  api->ReleaseValue(other_rank);
  api->ReleaseSession(session);
}

static void given_output(void) {
  OrtSession* session = open_model("add.onnx", NULL);
  float mine[6] = {0};
  const int64_t dims[2] = {2, 3};
  const int64_t small[2] = {1, 3};
  OrtValue* out = tensor_over(mine, sizeof mine, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2);
  OrtValue* before = out;
  OK(run_add(session, NULL, &out));
  CHECK(out == before && memcmp(mine, sums, sizeof mine) == 0);
  api->ReleaseValue(out);
  out = tensor_over(mine, 12, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, small, 2);
  OrtStatus* status = run_add(session, NULL, &out);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
}

static void data_errors(void) {
  OrtSession* session = open_model("gather.onnx", NULL);
  float x[4] = {1, 2, 3, 4};
  int64_t at[2] = {1, 9};
  const int64_t two[1] = {2};
  const char* inputs[] = {"x", "at"};
  const char* outputs[] = {"y"};
  OrtValue* values[2] = {floats(x, 4),
                         tensor_over(at, sizeof at, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, two, 1)};
  OrtValue* out = NULL;
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->Run(session, NULL, inputs, (const OrtValue* const*)values, 2, outputs, 1, &out));
  CHECK(out == NULL);
  at[1] = -1;
  const float want[2] = {2, 4};
  OK(api->Run(session, NULL, inputs, (const OrtValue* const*)values, 2, outputs, 1, &out));
  CHECK(holds(out, want, 2));
  api->ReleaseValue(out);
  api->ReleaseValue(values[0]);
  api->ReleaseValue(values[1]);
  api->ReleaseSession(session);
}

static void dynamic_output(void) {
  OrtSession* session = open_model("nonzero.onnx", NULL);
  for (int64_t n = 0; n < 5; ++n) {
    float x[5] = {1, 1, 1, 1, 1};
    OrtValue* in = floats(x, n);
    OrtValue* out;
    OK(run1(session, "x", in, "y", &out));
    OrtTensorTypeAndShapeInfo* info;
    int64_t dims[2];
    OK(api->GetTensorTypeAndShape(out, &info));
    OK(api->GetDimensions(info, dims, 2));
    CHECK(dims[0] == 1 && dims[1] == n);
    api->ReleaseTensorTypeAndShapeInfo(info);
    api->ReleaseValue(in);
    api->ReleaseValue(out);
  }
  api->ReleaseSession(session);
}

static void run_options(void) {
  OrtRunOptions* options;
  const char* tag;
  int level;
  OK(api->CreateRunOptions(&options));
  OK(api->RunOptionsGetRunTag(options, &tag));
  CHECK(strcmp(tag, "") == 0);
  OK(api->RunOptionsSetRunTag(options, "a tag"));
  OK(api->RunOptionsGetRunTag(options, &tag));
  CHECK(strcmp(tag, "a tag") == 0);
  OK(api->RunOptionsSetRunLogSeverityLevel(options, 3));
  OK(api->RunOptionsGetRunLogSeverityLevel(options, &level));
  CHECK(level == 3);
  OK(api->RunOptionsSetRunLogVerbosityLevel(options, 1));
  OK(api->RunOptionsGetRunLogVerbosityLevel(options, &level));
  CHECK(level == 1);
  OK(api->AddRunConfigEntry(options, "some.key", "some value"));
  CHECK(strcmp(api->GetRunConfigEntry(options, "some.key"), "some value") == 0);
  CHECK(api->GetRunConfigEntry(options, "another.key") == NULL);
  OrtSession* session = open_model("add.onnx", NULL);
  OrtValue* out = NULL;
  OK(run_add(session, options, &out));
  api->ReleaseValue(out);
  OK(api->RunOptionsSetTerminate(options));
  out = NULL;
  FAILS(ORT_FAIL, "terminate", run_add(session, options, &out));
  OK(api->RunOptionsUnsetTerminate(options));
  OK(run_add(session, options, &out));
  api->ReleaseValue(out);
  api->ReleaseRunOptions(options);
  api->ReleaseSession(session);
}

static void* terminate_soon(void* options) {
  usleep(50000);
  api->ReleaseStatus(api->RunOptionsSetTerminate((OrtRunOptions*)options));
  return NULL;
}

static OrtStatus* run_slow(OrtSession* session, const OrtRunOptions* options, int64_t count,
                           OrtValue** out) {
  static float x[64 * 64];
  static const int64_t dims[2] = {64, 64};
  const char* inputs[] = {"count", "x"};
  const char* outputs[] = {"y"};
  OrtValue* values[2] = {
      tensor_over(&count, sizeof count, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, NULL, 0),
      tensor_over(x, sizeof x, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2)};
  OrtStatus* status =
      api->Run(session, options, inputs, (const OrtValue* const*)values, 2, outputs, 1, out);
  api->ReleaseValue(values[0]);
  api->ReleaseValue(values[1]);
  return status;
}

static void terminated(void) {
  OrtSession* session = open_model("slow.onnx", NULL);
  OrtRunOptions* options;
  pthread_t thread;
  OrtValue* out = NULL;
  OK(api->CreateRunOptions(&options));
  CHECK(pthread_create(&thread, NULL, terminate_soon, options) == 0);
  FAILS(ORT_FAIL, "terminate", run_slow(session, options, INT64_C(1) << 40, &out));
  CHECK(out == NULL);
  pthread_join(thread, NULL);
  OK(run_slow(session, NULL, 2, &out));
  api->ReleaseValue(out);
  api->ReleaseRunOptions(options);
  api->ReleaseSession(session);
}

static void* run_often(void* session) {
  for (int i = 0; i < 200; ++i) {
    float x[40];
    const int64_t rows = 1 + i % 10, dims[2] = {rows, 4};
    for (int j = 0; j < 40; ++j) x[j] = (float)(i % 7);
    OrtValue *out = NULL, *in = NULL;
    const char *input = "x", *output = "y";
    OrtStatus* status = api->CreateTensorWithDataAsOrtValue(
        memory, x, (size_t)rows * 16, dims, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in);
    if (!status)
      status = api->Run((OrtSession*)session, NULL, &input, (const OrtValue* const*)&in, 1, &output,
                        1, &out);
    const void* data = NULL;
    if (!status) status = api->GetTensorData(out, &data);
    const bool right = !status && ((const float*)data)[2 * rows - 1] == (float)(i % 7) * 20;
    api->ReleaseStatus(status);
    api->ReleaseValue(in);
    api->ReleaseValue(out);
    if (!right) return session;
  }
  return NULL;
}

static void threads(void) {
  OrtSession* session = open_model("matmul.onnx", NULL);
  pthread_t all[8];
  void* result;
  bool right = true;
  for (size_t i = 0; i < COUNT(all); ++i)
    CHECK(pthread_create(&all[i], NULL, run_often, session) == 0);
  for (size_t i = 0; i < COUNT(all); ++i) {
    pthread_join(all[i], &result);
    right = right && !result;
  }
  CHECK(right);
  api->ReleaseSession(session);
}

typedef struct async_result {
  pthread_mutex_t lock;
  pthread_cond_t came;
  bool done;
  OrtStatus* status;
  OrtValue** outputs;
  size_t count;
} async_result;

static void on_done(void* user, OrtValue** outputs, size_t count, OrtStatusPtr status) {
  async_result* result = (async_result*)user;
  pthread_mutex_lock(&result->lock);
  result->done = true;
  result->status = status;
  result->outputs = outputs;
  result->count = count;
  pthread_cond_signal(&result->came);
  pthread_mutex_unlock(&result->lock);
}

static void await_result(async_result* result) {
  pthread_mutex_lock(&result->lock);
  while (!result->done) pthread_cond_wait(&result->came, &result->lock);
  pthread_mutex_unlock(&result->lock);
}

static void run_async(void) {
  OrtSessionOptions* options;
  OK(api->CreateSessionOptions(&options));
  OK(api->SetIntraOpNumThreads(options, 2));
  OrtSession* session = open_model("matmul.onnx", options);
  CHECK(session);
  float x[4] = {1, 0, 0, 1};
  const int64_t dims[2] = {1, 4};
  const char* input[] = {"x"};
  const char* output[] = {"y"};
  const char* unknown[] = {"z"};
  const OrtValue* values[1] = {
      tensor_over(x, sizeof x, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2)};
  OrtValue* outputs[1] = {NULL};
  const float want[2] = {8, 10};
  async_result result;
  memset(&result, 0, sizeof result);
  pthread_mutex_init(&result.lock, NULL);
  pthread_cond_init(&result.came, NULL);
  OK(api->RunAsync(session, NULL, input, values, 1, output, 1, outputs, on_done, &result));
  await_result(&result);
  CHECK(result.status == NULL && result.count == 1 && result.outputs == outputs &&
        holds(outputs[0], want, 2));
  api->ReleaseValue(outputs[0]);
  outputs[0] = NULL;
  result.done = false;
  OK(api->RunAsync(session, NULL, input, values, 1, unknown, 1, outputs, on_done, &result));
  await_result(&result);
  CHECK(result.status != NULL);
  api->ReleaseStatus(result.status);
  api->ReleaseValue((OrtValue*)values[0]);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

static void binding(void) {
  OrtSession* session = open_model("matmul.onnx", NULL);
  OrtIoBinding* bound;
  float x[8] = {1, 0, 0, 0, 0, 1, 0, 0}, mine[4] = {0};
  const int64_t dims[2] = {2, 4}, out_dims[2] = {2, 2};
  const float want[4] = {1, 2, 3, 4};
  OrtValue* in = tensor_over(x, sizeof x, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2);
  OrtValue* out = tensor_over(mine, sizeof mine, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, out_dims, 2);
  OK(api->CreateIoBinding(session, &bound));
  OK(api->BindInput(bound, "x", in));
  OK(api->BindOutput(bound, "y", out));
  OK(api->SynchronizeBoundInputs(bound));
  OK(api->RunWithBinding(session, NULL, bound));
  OK(api->SynchronizeBoundOutputs(bound));
  CHECK(memcmp(mine, want, sizeof mine) == 0);
  char* buffer;
  size_t *lengths, count;
  OK(api->GetBoundOutputNames(bound, heap, &buffer, &lengths, &count));
  CHECK(count == 1 && lengths[0] == 1 && buffer[0] == 'y');
  heap->Free(heap, buffer);
  heap->Free(heap, lengths);
  api->ClearBoundOutputs(bound);
  OK(api->BindOutputToDevice(bound, "y", memory));
  OK(api->RunWithBinding(session, NULL, bound));
  OrtValue** outputs;
  OK(api->GetBoundOutputValues(bound, heap, &outputs, &count));
  CHECK(count == 1 && holds(outputs[0], want, 4));
  api->ReleaseValue(outputs[0]);
  heap->Free(heap, outputs);
  api->ClearBoundOutputs(bound);
  OK(api->GetBoundOutputValues(bound, heap, &outputs, &count));
  CHECK(count == 0);
  FAILS(ORT_FAIL, "no_such_input", api->BindInput(bound, "no_such_input", in));
  api->ClearBoundInputs(bound);
  OK(api->BindOutputToDevice(bound, "y", memory));
  OrtStatus* status = api->RunWithBinding(session, NULL, bound);
  CHECK(status != NULL);  // no input
  api->ReleaseStatus(status);
  api->ReleaseIoBinding(bound);
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
}

static void many(void) {
  for (int i = 0; i < 50; ++i) {
    OrtSession* session = open_model("add.onnx", NULL);
    if (!session) return;
    api->ReleaseSession(session);
  }
  api->ReleaseSession(NULL);
}

const client_test session_tests[] = {
    {"versions", versions},
    {"statuses", statuses},
    {"from_file", from_file},
    {"from_bytes", from_bytes},
    {"bad_files", bad_files},
    {"names", names},
    {"overridable", overridable},
    {"type_info", type_info},
    {"metadata", metadata},
    {"bad_runs", bad_runs},
    {"given_output", given_output},
    {"data_errors", data_errors},
    {"dynamic_output", dynamic_output},
    {"run_options", run_options},
    {"terminated", terminated},
    {"threads", threads},
    {"run_async", run_async},
    {"binding", binding},
    {"many", many},
    {NULL, NULL},
};
