// Wrong calls to a library that answers ONNX Runtime's ABI, each in a process of its own: ort_misuse LIBRARY MODELS.
//
// Prints "NAME: ok", "NAME: error CODE" or "NAME: crash" for each, so that two libraries can be compared line by line. MODELS is what
// test/py/client_models.py writes.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/size.h"
#include "ort/abi.h"

static const OrtApi* api;
static OrtEnv* env;
static OrtAllocator* heap;
static OrtMemoryInfo* memory;
static OrtSessionOptions* options;
static const char* models;
static float room[64];

#define FLOAT ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
#define PASS(call)                       \
  do {                                   \
    OrtStatus* pass_status = (call);     \
    if (pass_status) return pass_status; \
  } while (0)

// --- help ----------------------------------------------------------------------------------------------------------------------------
static const char* path_of(const char* name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s.onnx", models, name);
  return path;
}

static OrtSession* open_model(const char* name) {
  OrtSession* session = NULL;
  api->ReleaseStatus(api->CreateSession(env, path_of(name), options, &session));
  return session;
}

static OrtValue* floats(size_t rank, int64_t a, int64_t b) {
  const int64_t dims[] = {a, b};
  OrtValue* value = NULL;
  api->ReleaseStatus(
      api->CreateTensorWithDataAsOrtValue(memory, room, sizeof room, dims, rank, FLOAT, &value));
  return value;
}

static OrtValue* text_tensor(void) {
  const int64_t two = 2;
  OrtValue* value = NULL;
  api->ReleaseStatus(
      api->CreateTensorAsOrtValue(heap, &two, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value));
  return value;
}

static OrtStatus* make(ONNXTensorElementDataType type, size_t rank, int64_t a, int64_t b,
                       void* data, size_t bytes) {
  const int64_t dims[] = {a, b};
  OrtValue* value = NULL;
  return api->CreateTensorWithDataAsOrtValue(memory, data, bytes, dims, rank, type, &value);
}

static OrtStatus* run_matmul(const char* in, const OrtValue* value, size_t inputs, const char* out,
                             size_t outputs) {
  const char *ins[] = {in, in}, *outs[] = {out, out};
  const OrtValue* values[] = {value, value};
  OrtValue* results[2] = {NULL, NULL};
  return api->Run(open_model("matmul"), NULL, ins, values, inputs, outs, outputs, results);
}

static OrtValue* sequence_of(OrtValue* item) {
  OrtValue* sequence = NULL;
  api->ReleaseStatus(
      api->CreateValue((const OrtValue* const*)&item, 1, ONNX_TYPE_SEQUENCE, &sequence));
  return sequence;
}

static OrtStatus* make_pair(OrtValue* keys, OrtValue* values) {
  const OrtValue* parts[] = {keys, values};
  OrtValue* map;
  return api->CreateValue(parts, 2, ONNX_TYPE_MAP, &map);
}

// The shape information of a tensor of rank 2.
static OrtTensorTypeAndShapeInfo* shape_info(void) {
  OrtTensorTypeAndShapeInfo* info = NULL;
  api->ReleaseStatus(api->GetTensorTypeAndShape(floats(2, 1, 4), &info));
  return info;
}

// --- a custom operator whose parts can fail ---------------------------------------------------------------------------------------
static struct { bool create, compute, shape; } failing;

static OrtStatus* op_create(const OrtCustomOp* op, const OrtApi* table, const OrtKernelInfo* info,
                            void** kernel) {
  (void)op, (void)table, (void)info;
  *kernel = room;
  return failing.create ? api->CreateStatus(ORT_EP_FAIL, "create fails") : NULL;
}
static OrtStatus* op_compute(void* kernel, OrtKernelContext* context) {
  (void)kernel;
  if (failing.compute) return api->CreateStatus(ORT_EP_FAIL, "compute fails");
  const OrtValue* missing;
  OrtStatus* status = api->KernelContext_GetInput(context, 7, &missing);  // there is only one
  if (status) return status;
  const int64_t one = 1;
  OrtValue* out;
  return api->KernelContext_GetOutput(context, 0, &one, 1, &out);
}
static OrtStatus* op_shape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  (void)op, (void)context;
  return failing.shape ? api->CreateStatus(ORT_EP_FAIL, "shape fails") : NULL;
}
static void op_destroy(void* kernel) { (void)kernel; }
static const char* op_name(const OrtCustomOp* op) {
  (void)op;
  return "Scale";
}
static const char* op_no_provider(const OrtCustomOp* op) {
  (void)op;
  return NULL;
}
static size_t op_one(const OrtCustomOp* op) {
  (void)op;
  return 1;
}
static ONNXTensorElementDataType op_type(const OrtCustomOp* op, size_t index) {
  (void)op, (void)index;
  return FLOAT;
}
static OrtCustomOpInputOutputCharacteristic op_required(const OrtCustomOp* op, size_t index) {
  (void)op, (void)index;
  return INPUT_OUTPUT_REQUIRED;
}
static OrtMemType op_memory(const OrtCustomOp* op, size_t index) {
  (void)op, (void)index;
  return OrtMemTypeDefault;
}
static int op_number(const OrtCustomOp* op) {
  (void)op;
  return 1;
}

static const OrtCustomOp scale = {.version = 24,
                                  .GetName = op_name,
                                  .GetExecutionProviderType = op_no_provider,
                                  .GetInputType = op_type,
                                  .GetInputTypeCount = op_one,
                                  .GetOutputType = op_type,
                                  .GetOutputTypeCount = op_one,
                                  .KernelDestroy = op_destroy,
                                  .GetInputCharacteristic = op_required,
                                  .GetOutputCharacteristic = op_required,
                                  .GetInputMemoryType = op_memory,
                                  .GetVariadicInputMinArity = op_number,
                                  .GetVariadicInputHomogeneity = op_number,
                                  .GetVariadicOutputMinArity = op_number,
                                  .GetVariadicOutputHomogeneity = op_number,
                                  .CreateKernelV2 = op_create,
                                  .KernelComputeV2 = op_compute,
                                  .InferOutputShapeFn = op_shape,
                                  .GetStartVersion = op_number,
                                  .GetEndVersion = op_number};

static OrtCustomOpDomain* scale_domain(int times) {
  OrtCustomOpDomain* domain;
  api->ReleaseStatus(api->CreateCustomOpDomain("client", &domain));
  OrtStatus* status = NULL;
  for (int i = 0; i < times && !status; ++i) status = api->CustomOpDomain_Add(domain, &scale);
  api->ReleaseStatus(status);
  return domain;
}

static OrtStatus* run_scale(void) {
  OrtSession* session;
  PASS(api->AddCustomOpDomain(options, scale_domain(1)));
  PASS(api->CreateSession(env, path_of("scale"), options, &session));
  const char *in = "x", *out = "y";
  OrtValue *value = floats(1, 1, 0), *result = NULL;
  return api->Run(session, NULL, &in, (const OrtValue* const*)&value, 1, &out, 1, &result);
}

static OrtStatus* select_badly(const OrtEpDevice** devices, size_t count,
                               const OrtKeyValuePairs* model, const OrtKeyValuePairs* runtime,
                               const OrtEpDevice** selected, size_t most, size_t* selected_count,
                               void* state) {
  (void)devices, (void)count, (void)model, (void)runtime, (void)selected, (void)state;
  *selected_count = most + 1;
  return NULL;
}

static void on_done(void* user, OrtValue** outputs, size_t count, OrtStatus* status) {
  (void)user, (void)outputs, (void)count, (void)status;
}

// --- the wrong calls -------------------------------------------------------------------------------------------------------------------
static struct {
  const char* name;
  OrtStatus* (*run)(void);
} cases[256];
static size_t case_count;

static void add_case(const char* name, OrtStatus* (*run)(void)) {
  if (case_count == KP_COUNT_OF(cases)) abort();
  cases[case_count].name = name;
  cases[case_count++].run = run;
}

// CASE(name) { ... } gives what the wrong call gave, and enters itself into the table.
#define CASE(case_name)                                            \
  static OrtStatus* case_##case_name(void);                        \
  static __attribute__((constructor)) void add_##case_name(void) { \
    add_case(#case_name, case_##case_name);                        \
  }                                                                \
  static OrtStatus* case_##case_name(void)

#include "tools/ort_misuse_values.inl"

#include "tools/ort_misuse_sessions.inl"

// --- running -------------------------------------------------------------------------------------------------------------------------
static OrtStatus* start(void) {
  PASS(api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "misuse", &env));
  PASS(api->GetAllocatorWithDefaultOptions(&heap));
  PASS(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  return api->CreateSessionOptions(&options);
}

// In the child: the outcome as its exit status, since output may be lost in a crash.
static int outcome(OrtStatus* (*run)(void)) {
  OrtStatus* status = start();
  if (status) return 255;
  status = run();
  if (!status) return 0;
  if (getenv("MISUSE_SAY")) fprintf(stderr, "  %s\n", api->GetErrorMessage(status));
  return (int)api->GetErrorCode(status);
}

static void try_one(const char* name, OrtStatus* (*run)(void)) {
  fflush(NULL);
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    _exit(outcome(run));
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
    printf("%s: crash\n", name);
  } else if (WEXITSTATUS(status)) {
    printf("%s: error %d\n", name, WEXITSTATUS(status));
  } else {
    printf("%s: ok\n", name);
  }
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void* symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;
  if (!symbol) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  const OrtApiBase* (*get_base)(void);
  memcpy(&get_base, &symbol, sizeof get_base);
  api = get_base()->GetApi(24);
  models = argv[2];
  if (!api) return 2;
  for (size_t i = 0; i < case_count; ++i)
    if (argc == 3 || strcmp(argv[3], cases[i].name) == 0) try_one(cases[i].name, cases[i].run);
  return 0;
}
