// Custom operators through ONNX Runtime's C API: every version of OrtCustomOp, what kernels may ask and do, and every way in which one may
// fail.
#include "dropin/dropin.h"

#pragma GCC diagnostic ignored "-Woverride-init"  // members that differ stand behind COMMON

static int created, destroyed;

static const char* no_provider(const OrtCustomOp* op) { return (void)op, NULL; }
static size_t one(const OrtCustomOp* op) { return (void)op, 1; }
static size_t two(const OrtCustomOp* op) { return (void)op, 2; }
static ONNXTensorElementDataType is_float(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}
static ONNXTensorElementDataType is_any(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}
static ONNXTensorElementDataType is_string(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
}
static OrtCustomOpInputOutputCharacteristic required(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, INPUT_OUTPUT_REQUIRED;
}
static OrtCustomOpInputOutputCharacteristic second_optional(const OrtCustomOp* op, size_t index) {
  return (void)op, index == 1 ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}
static OrtCustomOpInputOutputCharacteristic variadic(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, INPUT_OUTPUT_VARIADIC;
}
static OrtMemType host(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, OrtMemTypeDefault;
}
static int int_one(const OrtCustomOp* op) { return (void)op, 1; }
static int int_zero(const OrtCustomOp* op) { return (void)op, 0; }
static int int_max(const OrtCustomOp* op) { return (void)op, INT32_MAX; }
static void destroy(void* kernel) {
  ++destroyed;
  free(kernel);
}

// The members that every operator here has; |version| says how many of them count.
#define COMMON(op_version)                                                                  \
  .version = op_version, .GetExecutionProviderType = no_provider, .GetInputType = is_float, \
  .GetInputTypeCount = one, .GetOutputType = is_float, .GetOutputTypeCount = one,           \
  .KernelDestroy = destroy, .GetInputCharacteristic = required,                             \
  .GetOutputCharacteristic = required, .GetInputMemoryType = host,                          \
  .GetVariadicInputMinArity = int_one, .GetVariadicInputHomogeneity = int_one,              \
  .GetVariadicOutputMinArity = int_one, .GetVariadicOutputHomogeneity = int_one,            \
  .GetStartVersion = int_one, .GetEndVersion = int_max

static size_t float_count(const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info;
  size_t count;
  ok(api->GetTensorTypeAndShape(value, &info));
  ok(api->GetTensorShapeElementCount(info, &count));
  api->ReleaseTensorTypeAndShapeInfo(info);
  return count;
}

static const float* floats_of(const OrtValue* value) {
  void* data;
  ok(api->GetTensorMutableData((OrtValue*)(uintptr_t)value, &data));
  return data;
}

// --- version 1: y = x * factor -------------------------------------------------------------------------------------------------
static const char* scale_name(const OrtCustomOp* op) { return (void)op, "Scale"; }

static void* scale_create(const OrtCustomOp* op, const OrtApi* given, const OrtKernelInfo* info) {
  float* kernel = malloc(sizeof *kernel);
  (void)op;
  assert_non_null(given);
  ok(given->KernelInfoGetAttribute_float(info, "factor", kernel));
  ++created;
  return kernel;
}

static void scale_compute(void* kernel, OrtKernelContext* context) {
  const OrtValue* x;
  OrtValue* y;
  void* to;
  ok(api->KernelContext_GetInput(context, 0, &x));
  const int64_t count = (int64_t)float_count(x);
  ok(api->KernelContext_GetOutput(context, 0, &count, 1, &y));
  ok(api->GetTensorMutableData(y, &to));
  for (int64_t i = 0; i < count; ++i) ((float*)to)[i] = floats_of(x)[i] * *(const float*)kernel;
}

static const OrtCustomOp scale = {COMMON(1), .GetName = scale_name, .CreateKernel = scale_create,
                                  .KernelCompute = scale_compute};

// --- version 17: everything that a kernel may ask ----------------------------------------------------------------------------------
typedef struct asking {
  OrtKernelInfo* info;
  OrtOp* add;
} asking;

static const char* ask_name(const OrtCustomOp* op) { return (void)op, "Ask"; }

static OrtStatus* ask_create(const OrtCustomOp* op, const OrtApi* given, const OrtKernelInfo* info,
                             void** kernel) {
  (void)op, (void)given;
  size_t count, size = 0;
  char text[64];
  int64_t ints[4], number;
  float reals[4];
  const OrtValue* constant;
  int is_constant;
  OrtTypeInfo* type;
  const OrtLogger* logger;
  OrtLoggingLevel level;
  OrtAllocator* allocator;
  OrtValue* tensor;
  ++created;
  ok(api->KernelInfo_GetInputCount(info, &count));
  assert_int_equal(count, 2);
  ok(api->KernelInfo_GetOutputCount(info, &count));
  assert_int_equal(count, 1);
  ok(api->KernelInfo_GetInputName(info, 0, NULL, &size));
  assert_int_equal(size, 2);
  ok(api->KernelInfo_GetInputName(info, 0, text, &size));
  assert_string_equal(text, "x");
  size = 1;
  refused(api->KernelInfo_GetOutputName(info, 0, text, &size), "");
  assert_int_equal(size, 2);
  refused(api->KernelInfo_GetInputName(info, 5, NULL, &size), "out of bounds");
  size = sizeof text;
  ok(api->KernelInfoGetAttribute_string(info, "word", text, &size));
  assert_string_equal(text, "hello");
  assert_int_equal(size, 6);
  ok(api->KernelInfoGetAttribute_int64(info, "number", &number));
  assert_int_equal(number, 7);
  size = 4;
  ok(api->KernelInfoGetAttributeArray_int64(info, "list", ints, &size));
  assert_int_equal(size, 3);
  assert_int_equal(ints[2], 3);
  size = 1;
  refused(api->KernelInfoGetAttributeArray_int64(info, "list", ints, &size), "");
  assert_int_equal(size, 3);
  size = 0;
  ok(api->KernelInfoGetAttributeArray_float(info, "reals", NULL, &size));
  assert_int_equal(size, 2);
  ok(api->KernelInfoGetAttributeArray_float(info, "reals", reals, &size));
  assert_true(reals[1] == 1.5f);
  refused(api->KernelInfoGetAttribute_int64(info, "nothing", &number), "nothing");
  refused(api->KernelInfoGetAttribute_float(info, "word", reals), "");
  ok(api->GetAllocatorWithDefaultOptions(&allocator));
  ok(api->KernelInfoGetAttribute_tensor(info, "tensor", allocator, &tensor));
  assert_true(floats_of(tensor)[1] == 8);
  api->ReleaseValue(tensor);
  ok(api->KernelInfoGetConstantInput_tensor(info, 0, &is_constant, &constant));
  assert_int_equal(is_constant, 0);
  ok(api->KernelInfoGetConstantInput_tensor(info, 1, &is_constant, &constant));
  assert_int_equal(is_constant, 1);
  assert_true(floats_of(constant)[0] == 100);
  ok(api->KernelInfo_GetInputTypeInfo(info, 0, &type));
  api->ReleaseTypeInfo(type);
  ok(api->KernelInfo_GetOutputTypeInfo(info, 0, &type));
  api->ReleaseTypeInfo(type);
  size = sizeof text;
  ok(api->KernelInfo_GetNodeName(info, text, &size));
  ok(api->KernelInfo_GetLogger(info, &logger));
  ok(api->Logger_GetLoggingSeverityLevel(logger, &level));
  ok(api->KernelInfoGetAllocator(info, OrtMemTypeDefault, &allocator));
  api->ReleaseAllocator(allocator);
  asking* made = malloc(sizeof *made);
  ok(api->CopyKernelInfo(info, &made->info));
  const char* names[] = {"T"};
  const ONNXTensorElementDataType types[] = {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
  ok(api->CreateOp(made->info, "Add", "", 14, names, types, 1, NULL, 0, 2, 1, &made->add));
  *kernel = made;
  return NULL;
}

static void ask_destroy(void* kernel) {
  asking* made = kernel;
  api->ReleaseOp(made->add);
  api->ReleaseKernelInfo(made->info);
  destroy(made);
}

typedef struct adding {
  const float *a, *b;
  float* y;
} adding;

static void add_one(void* user, size_t index) {
  const adding* a = user;
  a->y[index] = a->a[index] + a->b[index];
}

static OrtStatus* ask_compute(void* kernel, OrtKernelContext* context) {
  const asking* made = kernel;
  const OrtValue *x, *w;
  OrtValue* y;
  size_t count;
  void *to, *scratch, *stream = (void*)8;
  const OrtLogger* logger;
  OrtMemoryInfo* memory;
  OrtAllocator *allocator, *default_allocator;
  ok(api->KernelContext_GetInputCount(context, &count));
  assert_int_equal(count, 2);
  ok(api->KernelContext_GetOutputCount(context, &count));
  assert_int_equal(count, 1);
  ok(api->KernelContext_GetInput(context, 0, &x));
  ok(api->KernelContext_GetInput(context, 1, &w));
  const int64_t dims = (int64_t)float_count(x);
  ok(api->KernelContext_GetOutput(context, 0, &dims, 1, &y));
  ok(api->GetTensorMutableData(y, &to));
  ok(api->KernelContext_GetLogger(context, &logger));
  ok(api->KernelContext_GetGPUComputeStream(context, &stream));
  assert_null(stream);
  ok(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  ok(api->KernelContext_GetScratchBuffer(context, memory, 64, &scratch));
  memset(scratch, 1, 64);
  ok(api->GetAllocatorWithDefaultOptions(&default_allocator));
  if (dropin_is_ours()) ok(api->AllocatorFree(default_allocator, scratch));
  ok(api->KernelContext_GetAllocator(context, memory, &allocator));
  void* more;
  ok(api->AllocatorAlloc(allocator, 32, &more));
  ok(api->AllocatorFree(allocator, more));
  api->ReleaseAllocator(allocator);
  api->ReleaseMemoryInfo(memory);
  adding a = {floats_of(x), floats_of(w), to};
  ok(api->KernelContext_ParallelFor(context, add_one, (size_t)dims, 2, &a));
  OrtValue* sum = dropin_floats((const float[]){0, 0}, 2);
  const OrtValue* ins[] = {y, y};
  OrtValue* outs[] = {sum};
  ok(api->InvokeOp(context, made->add, ins, 2, outs, 1));
  memcpy(to, floats_of(sum), (size_t)dims * sizeof(float));
  api->ReleaseValue(sum);
  return NULL;
}

static OrtStatus* ask_infer(const OrtCustomOp* op, OrtShapeInferContext* context) {
  size_t count, size, rank;
  OrtTensorTypeAndShapeInfo* info;
  const OrtOpAttr* attr;
  OrtOpAttrType type;
  int64_t number, list[3];
  char text[8] = {0};
  (void)op;
  ok(api->ShapeInferContext_GetInputCount(context, &count));
  assert_int_equal(count, 2);
  ok(api->ShapeInferContext_GetInputTypeShape(context, 0, &info));
  ok(api->GetDimensionsCount(info, &rank));
  assert_int_equal(rank, 1);
  ok(api->ShapeInferContext_GetAttribute(context, "number", &attr));
  ok(api->OpAttr_GetType(attr, &type));
  assert_int_equal(type, ORT_OP_ATTR_INT);
  ok(api->ReadOpAttr(attr, ORT_OP_ATTR_INT, &number, sizeof number, &size));
  assert_int_equal(number, 7);
  ok(api->ShapeInferContext_GetAttribute(context, "list", &attr));
  refused(api->ReadOpAttr(attr, ORT_OP_ATTR_INTS, list, 8, &size), "");
  assert_int_equal(size, sizeof list);
  ok(api->ReadOpAttr(attr, ORT_OP_ATTR_INTS, list, sizeof list, &size));
  assert_int_equal(list[1], 2);
  ok(api->ShapeInferContext_GetAttribute(context, "word", &attr));
  refused(api->ReadOpAttr(attr, ORT_OP_ATTR_STRING, text, 1, &size), "");
  assert_int_equal(size, 5);
  ok(api->ReadOpAttr(attr, ORT_OP_ATTR_STRING, text, sizeof text, &size));
  assert_string_equal(text, "hello");
  refused(api->ShapeInferContext_GetAttribute(context, "nothing", &attr),
          "Attribute does not exist");
  ok(api->ShapeInferContext_SetOutputTypeShape(context, 0, info));  // the context keeps |info|
  return NULL;
}

static const OrtCustomOp ask = {COMMON(17),
                                .GetName = ask_name,
                                .GetInputTypeCount = two,
                                .CreateKernelV2 = ask_create,
                                .KernelComputeV2 = ask_compute,
                                .KernelDestroy = ask_destroy,
                                .InferOutputShapeFn = ask_infer};

// --- counts: adds up what is there; optional, variadic of any types ------------------------------------------------------------------
static const char* count_name(const OrtCustomOp* op) { return (void)op, "Count"; }
static const char* sum_name(const OrtCustomOp* op) { return (void)op, "Sum2"; }

static OrtStatus* plain_create(const OrtCustomOp* op, const OrtApi* given,
                               const OrtKernelInfo* info, void** kernel) {
  (void)op, (void)given, (void)info;
  ++created;
  *kernel = malloc(1);
  return NULL;
}

static OrtStatus* count_compute(void* kernel, OrtKernelContext* context) {
  size_t count;
  OrtValue* y;
  void* to;
  const int64_t dims = 2;
  float sum[2] = {0, 0};
  (void)kernel;
  ok(api->KernelContext_GetInputCount(context, &count));
  for (size_t i = 0; i < count; ++i) {
    const OrtValue* x;
    ok(api->KernelContext_GetInput(context, i, &x));
    if (!x) continue;
    sum[0] += 1;
    sum[1] += (float)float_count(x);
  }
  ok(api->KernelContext_GetOutput(context, 0, &dims, 1, &y));
  ok(api->GetTensorMutableData(y, &to));
  memcpy(to, sum, sizeof sum);
  return NULL;
}

static const OrtCustomOp count_op = {COMMON(17),
                                     .GetName = count_name,
                                     .GetInputType = is_any,
                                     .GetInputCharacteristic = variadic,
                                     .GetVariadicInputHomogeneity = int_zero,
                                     .CreateKernelV2 = plain_create,
                                     .KernelComputeV2 = count_compute};
static const OrtCustomOp sum_op = {COMMON(17),
                                   .GetName = sum_name,
                                   .GetInputTypeCount = two,
                                   .GetInputCharacteristic = second_optional,
                                   .CreateKernelV2 = plain_create,
                                   .KernelComputeV2 = count_compute};

// --- strings: turns each around -------------------------------------------------------------------------------------------------------
static const char* turn_name(const OrtCustomOp* op) { return (void)op, "Turn"; }

static OrtStatus* turn_compute(void* kernel, OrtKernelContext* context) {
  const OrtValue* x;
  OrtValue* y;
  (void)kernel;
  ok(api->KernelContext_GetInput(context, 0, &x));
  const int64_t count = (int64_t)float_count(x);
  ok(api->KernelContext_GetOutput(context, 0, &count, 1, &y));
  for (size_t i = 0; i < (size_t)count; ++i) {
    size_t length;
    char text[32] = {0};
    ok(api->GetStringTensorElementLength(x, i, &length));
    ok(api->GetStringTensorElement(x, length, i, text));
    for (size_t k = 0; k < length / 2; ++k) {
      const char swapped = text[k];
      text[k] = text[length - 1 - k];
      text[length - 1 - k] = swapped;
    }
    ok(api->FillStringTensorElement(y, text, i));
  }
  return NULL;
}

static const OrtCustomOp turn = {COMMON(16),
                                 .GetName = turn_name,
                                 .GetInputType = is_string,
                                 .GetOutputType = is_string,
                                 .CreateKernelV2 = plain_create,
                                 .KernelComputeV2 = turn_compute};

// --- operators that fail --------------------------------------------------------------------------------------------------------------
static const char* dead_name(const OrtCustomOp* op) { return (void)op, "Dead"; }
static const char* cold_name(const OrtCustomOp* op) { return (void)op, "Cold"; }
static const char* idle_name(const OrtCustomOp* op) { return (void)op, "Idle"; }
static const char* wild_name(const OrtCustomOp* op) { return (void)op, "Wild"; }
static const char* unsure_name(const OrtCustomOp* op) { return (void)op, "Unsure"; }

static OrtStatus* dead_create(const OrtCustomOp* op, const OrtApi* given, const OrtKernelInfo* info,
                              void** kernel) {
  (void)op, (void)info, (void)kernel;
  return given->CreateStatus(ORT_FAIL, "the kernel was stillborn");
}
static OrtStatus* cold_compute(void* kernel, OrtKernelContext* context) {
  (void)kernel, (void)context;
  return api->CreateStatus(ORT_RUNTIME_EXCEPTION, "the sensor is cold");
}
static OrtStatus* idle_compute(void* kernel, OrtKernelContext* context) {
  return (void)kernel, (void)context, NULL;
}
static OrtStatus* wild_compute(void* kernel, OrtKernelContext* context) {
  const int64_t dims[] = {2, -3};
  OrtValue* y;
  (void)kernel;
  return api->KernelContext_GetOutput(context, 0, dims, 2, &y);
}
static OrtStatus* unsure_infer(const OrtCustomOp* op, OrtShapeInferContext* context) {
  (void)op, (void)context;
  return api->CreateStatus(ORT_INVALID_ARGUMENT, "no shape comes to mind");
}

static const OrtCustomOp dead = {COMMON(17), .GetName = dead_name, .CreateKernelV2 = dead_create,
                                 .KernelComputeV2 = idle_compute};
static const OrtCustomOp cold = {COMMON(17), .GetName = cold_name, .CreateKernelV2 = plain_create,
                                 .KernelComputeV2 = cold_compute};
static const OrtCustomOp idle = {COMMON(17), .GetName = idle_name, .CreateKernelV2 = plain_create,
                                 .KernelComputeV2 = idle_compute};
static const OrtCustomOp wild = {COMMON(17), .GetName = wild_name, .CreateKernelV2 = plain_create,
                                 .KernelComputeV2 = wild_compute};
static const OrtCustomOp unsure = {COMMON(17), .GetName = unsure_name,
                                   .CreateKernelV2 = plain_create, .KernelComputeV2 = idle_compute,
                                   .InferOutputShapeFn = unsure_infer};

static const OrtCustomOp* const all[] = {&scale, &ask,  &count_op, &sum_op, &turn,
                                         &dead,  &cold, &idle,     &wild,   &unsure};

// --- the tests ------------------------------------------------------------------------------------------------------------------------
typedef struct rig {
  OrtCustomOpDomain* domain;
  OrtSessionOptions* options;
  OrtSession* session;
} rig;

static OrtStatus* rig_open(rig* r, const char* text) {
  created = destroyed = 0;
  *r = (rig){0};
  ok(api->CreateCustomOpDomain("my", &r->domain));
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
    ok(api->CustomOpDomain_Add(r->domain, all[i]));
  ok(api->CreateSessionOptions(&r->options));
  ok(api->AddCustomOpDomain(r->options, r->domain));
  return dropin_open(text, r->options, &r->session);
}

static void rig_close(rig* r) {
  api->ReleaseSession(r->session);
  api->ReleaseSessionOptions(r->options);
  api->ReleaseCustomOpDomain(r->domain);
  assert_int_equal(created, destroyed);
}

static OrtStatus* rig_run(const rig* r, const OrtValue* x, OrtValue** y) {
  const char *ins[] = {"x"}, *outs[] = {"y"};
  return api->Run(r->session, NULL, ins, &x, 1, outs, 1, y);
}

static void expect(const char* text, const float* want, size_t count) {
  rig r;
  ok(rig_open(&r, text));
  OrtValue* x = dropin_floats((const float[]){1, 2}, 2);
  for (int i = 0; i < 2; ++i) {
    OrtValue* y = NULL;
    ok(rig_run(&r, x, &y));
    dropin_expect(y, want, count);
    api->ReleaseValue(y);
  }
  api->ReleaseValue(x);
  rig_close(&r);
}

static void first_version(void** state) {
  (void)state;
  expect("import my 1\n in x float[N]\n a = my.Scale(x) factor=0.5\n y = Neg(a)\n out y float[N]\n",
         (const float[]){-0.5f, -1}, 2);
}

static void kernels_ask(void** state) {
  (void)state;
  expect(
      "import my 1\n in x float[N]\n init w float[2] = 100 200\n"
      " y = my.Ask(x, w) word=\"hello\" number=7 list=[1,2,3] reals=[0.5,1.5] tensor=float[2]{4 "
      "8}\n out y float[N]\n",
      (const float[]){202, 404}, 2);
}

static void variadic_and_optional(void** state) {
  (void)state;
  expect(
      "import my 1\n in x float[N]\n k = Cast(x) to=7\n y = my.Count(x, k, x)\n out y float[2]\n",
      (const float[]){3, 6}, 2);
  expect("import my 1\n in x float[N]\n y = my.Sum2(x)\n out y float[2]\n", (const float[]){1, 2},
         2);
  expect("import my 1\n in x float[N]\n y = my.Sum2(x, x)\n out y float[2]\n",
         (const float[]){2, 4}, 2);
}

static void strings(void** state) {
  rig r;
  (void)state;
  ok(rig_open(&r, "import my 1\n in x string[N]\n y = my.Turn(x)\n out y string[N]\n"));
  OrtAllocator* allocator;
  OrtValue *x, *y = NULL;
  const int64_t dims = 2;
  const char* const texts[] = {"abc", ""};
  char text[8] = {0};
  size_t length;
  ok(api->GetAllocatorWithDefaultOptions(&allocator));
  ok(api->CreateTensorAsOrtValue(allocator, &dims, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &x));
  ok(api->FillStringTensor(x, texts, 2));
  ok(rig_run(&r, x, &y));
  ok(api->GetStringTensorElementLength(y, 0, &length));
  assert_int_equal(length, 3);
  ok(api->GetStringTensorElement(y, 3, 0, text));
  assert_string_equal(text, "cba");
  api->ReleaseValue(x);
  api->ReleaseValue(y);
  rig_close(&r);
}

static void open_fails(const char* text, const char* word) {
  rig r;
  refused(rig_open(&r, text), word);
  assert_null(r.session);
  rig_close(&r);
}

static void failures_while_opening(void** state) {
  (void)state;
  open_fails("import my 1\n in x float[N]\n y = my.Dead(x)\n out y float[N]\n", "stillborn");
  open_fails("import my 1\n in x float[N]\n y = my.Scale(x, x) factor=0.5\n out y float[N]\n",
             "Scale");
  open_fails("import my 1\n in x float[N]\n y = my.Nobody(x)\n out y float[N]\n", "Nobody");
  open_fails("import my 1\n in x double[N]\n y = my.Scale(x) factor=0.5\n out y double[N]\n",
             "Scale");
}

// The shapes stay unknown, and the log says why.
static void shapes_that_fail_are_no_failure(void** state) {
  (void)state;
  rig r;
  ok(rig_open(&r, "import my 1\n in x float[N]\n y = my.Unsure(x)\n out y float[N]\n"));
  rig_close(&r);
}

static void run_fails(const char* op, const char* word) {
  rig r;
  char text[128];
  snprintf(text, sizeof text, "import my 1\n in x float[N]\n y = my.%s(x)\n out y float[M]\n", op);
  ok(rig_open(&r, text));
  OrtValue *x = dropin_floats((const float[]){1, 2}, 2), *y = NULL;
  for (int i = 0; i < 2; ++i) refused(rig_run(&r, x, &y), word);
  assert_null(y);
  api->ReleaseValue(x);
  rig_close(&r);
}

static void failures_of_runs(void** state) {
  (void)state;
  run_fails("Cold", "the sensor is cold");
  run_fails("Wild", "");
  if (dropin_is_ours()) run_fails("Idle", "did not make output 0");
}

static void wrong_descriptions(void** state) {
  (void)state;
  OrtCustomOp op = count_op;
  OrtCustomOpDomain* domain;
  OrtSessionOptions* options;
  OrtSession* session = NULL;
  op.version = 8;  // variadic, but too old to say how
  ok(api->CreateCustomOpDomain("my", &domain));
  ok(api->CustomOpDomain_Add(domain, &op));
  ok(api->CreateSessionOptions(&options));
  ok(api->AddCustomOpDomain(options, domain));
  OrtStatus* status =
      dropin_open("in x float[N]\n y = Neg(x)\n out y float[N]\n", options, &session);
  refused(status, "");
  assert_null(session);
  api->ReleaseSessionOptions(options);
  api->ReleaseCustomOpDomain(domain);
  if (!dropin_is_ours()) return;
  refused(api->CreateCustomOpDomain(NULL, &domain), "NULL");
  refused(api->CustomOpDomain_Add(NULL, &op), "NULL");
  refused(api->RegisterCustomOpsLibrary_V2(NULL, "x"), "NULL");
  ok(api->CreateSessionOptions(&options));
  refused(api->RegisterCustomOpsLibrary_V2(options, "/nowhere/lib.so"), "/nowhere/lib.so");
  refused(api->RegisterCustomOpsLibrary_V2(options, "libm.so.6"), "RegisterCustomOps");
  refused(api->RegisterCustomOpsUsingFunction(options, "kp_no_such_function"),
          "kp_no_such_function");
  refused(api->EnableOrtCustomOps(options), "extensions");
  api->ReleaseSessionOptions(options);
  api->ReleaseCustomOpDomain(NULL);
}

static void attributes(void** state) {
  (void)state;
  OrtOpAttr* attr;
  const int64_t ints[] = {1, 2};
  const char* const texts[] = {"ab", "c"};
  const char* name;
  char buffer[8];
  size_t size;
  ok(api->CreateOpAttr("texts", texts, 2, ORT_OP_ATTR_STRINGS, &attr));
  ok(api->OpAttr_GetName(attr, &name));
  assert_string_equal(name, "texts");
  ok(api->ReadOpAttr(attr, ORT_OP_ATTR_STRINGS, buffer, sizeof buffer, &size));
  assert_int_equal(size, 5);
  assert_memory_equal(buffer, "ab\0c", 5);
  refused(api->ReadOpAttr(attr, ORT_OP_ATTR_INT, buffer, sizeof buffer, &size), "");
  api->ReleaseOpAttr(attr);
  ok(api->CreateOpAttr("ints", ints, 2, ORT_OP_ATTR_INTS, &attr));
  refused(api->ReadOpAttr(attr, ORT_OP_ATTR_INTS, buffer, sizeof buffer, &size), "");
  assert_int_equal(size, 16);
  api->ReleaseOpAttr(attr);
  ok(api->CreateOpAttr("text", "hello", 5, ORT_OP_ATTR_STRING, &attr));
  ok(api->ReadOpAttr(attr, ORT_OP_ATTR_STRING, buffer, sizeof buffer, &size));
  assert_int_equal(size, 5);
  api->ReleaseOpAttr(attr);
  api->ReleaseOpAttr(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(first_version),
                                     cmocka_unit_test(kernels_ask),
                                     cmocka_unit_test(variadic_and_optional),
                                     cmocka_unit_test(strings),
                                     cmocka_unit_test(failures_while_opening),
                                     cmocka_unit_test(shapes_that_fail_are_no_failure),
                                     cmocka_unit_test(failures_of_runs),
                                     cmocka_unit_test(wrong_descriptions),
                                     cmocka_unit_test(attributes)};
  return cmocka_run_group_tests(tests, dropin_load, dropin_unload);
}
