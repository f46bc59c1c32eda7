// Models made in memory, and operators of the client's own.
#include "client.h"

// --- the model editor --------------------------------------------------------------------------------------------------------------
static OrtValueInfo* float_info(const OrtModelEditorApi* editor, const char* name,
                                const int64_t* dims, size_t rank) {
  OrtTensorTypeAndShapeInfo* shape;
  OrtTypeInfo* type;
  OrtValueInfo* info;
  if (!succeeded(api->CreateTensorTypeAndShapeInfo(&shape), "shape", __LINE__) ||
      !succeeded(api->SetTensorElementType(shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT), "type",
                 __LINE__) ||
      !succeeded(api->SetDimensions(shape, dims, rank), "dims", __LINE__) ||
      !succeeded(editor->CreateTensorTypeInfo(shape, &type), "CreateTensorTypeInfo", __LINE__) ||
      !succeeded(editor->CreateValueInfo(name, type, &info), "CreateValueInfo", __LINE__))
    return NULL;
  api->ReleaseTensorTypeAndShapeInfo(shape);
  api->ReleaseTypeInfo(type);
  return info;
}

// y = alpha * x * w, with alpha = 2 and w = [[1, 2], [3, 4]].
static void edited_model(void) {
  const OrtModelEditorApi* editor = api->GetModelEditorApi();
  CHECK(editor && editor == api->GetModelEditorApi());
  const int64_t x_dims[2] = {-1, 2}, w_dims[2] = {2, 2}, row[2] = {1, 2};
  OrtGraph* graph;
  OrtNode* node;
  OrtModel* model;
  OrtOpAttr* alpha;
  const float two = 2;
  OK(editor->CreateGraph(&graph));
  OrtValueInfo *x = float_info(editor, "x", x_dims, 2), *y = float_info(editor, "y", x_dims, 2);
  CHECK(x && y);
  OK(editor->SetGraphInputs(graph, &x, 1));  // taken
  OK(editor->SetGraphOutputs(graph, &y, 1));
  float weights[4] = {1, 2, 3, 4};
  OrtValue* w;
  void* data;
  OK(api->CreateTensorAsOrtValue(heap, w_dims, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &w));
  OK(api->GetTensorMutableData(w, &data));
  memcpy(data, weights, sizeof weights);
  OK(editor->AddInitializerToGraph(graph, "w", w, false));
  const char *inputs[2] = {"x", "w"}, *outputs[1] = {"y"};
  OK(api->CreateOpAttr("alpha", &two, 1, ORT_OP_ATTR_FLOAT, &alpha));
  OK(editor->CreateNode("Gemm", "", "product", inputs, 2, outputs, 1, &alpha, 1, &node));
  OK(editor->AddNodeToGraph(graph, node));
  const char* domain = "";
  const int version = 21;
  OK(editor->CreateModel(&domain, &version, 1, &model));
  OK(editor->AddGraphToModel(model, graph));
  OrtSessionOptions* options;
  OrtSession* session;
  OK(api->CreateSessionOptions(&options));
  OK(editor->CreateSessionFromModel(env, model, options, &session));
  api->ReleaseModel(model);
  float numbers[2] = {1, 10};
  const float want[2] = {62, 84};
  OrtValue *in = tensor_over(numbers, sizeof numbers, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, row, 2),
           *out;
  OK(run1(session, "x", in, "y", &out));
  CHECK(holds(out, want, 2));
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

// A model from a file, to which a node is added after its end.
static void extended_model(void) {
  const OrtModelEditorApi* editor = api->GetModelEditorApi();
  OrtSessionOptions* options;
  OrtSession* session;
  OrtGraph* graph;
  OrtNode* node;
  OrtModel* model;
  int opset;
  const int64_t two[1] = {2};
  OK(api->CreateSessionOptions(&options));
  OK(editor->CreateModelEditorSession(env, model_path("defaults.onnx"), options, &session));
  OK(editor->SessionGetOpsetForDomain(session, "", &opset));
  CHECK(opset == 21);
  OK(editor->CreateGraph(&graph));
  OrtValueInfo* z = float_info(editor, "z", two, 1);
  CHECK(z);
  OK(editor->SetGraphOutputs(graph, &z, 1));
  const char *inputs[1] = {"y"}, *outputs[1] = {"z"}, *domain = "";
  OK(editor->CreateNode("Neg", "", "after", inputs, 1, outputs, 1, NULL, 0, &node));
  OK(editor->AddNodeToGraph(graph, node));
  OK(editor->CreateModel(&domain, &opset, 1, &model));
  OK(editor->AddGraphToModel(model, graph));
  OK(editor->ApplyModelToModelEditorSession(session, model));
  api->ReleaseModel(model);
  OK(editor->FinalizeModelEditorSession(session, options, NULL));
  float x[2] = {1, 2};
  const float want[2] = {-12, -24};
  OrtValue *in = floats(x, 2), *out;
  OK(run1(session, "x", in, "z", &out));
  CHECK(holds(out, want, 2));
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

// --- operators of one's own --------------------------------------------------------------------------------------------------------
// client.Scale: y = x * factor. A factor below 0 is refused when the kernel is made, an x of 99 when it runs.
typedef struct scale_kernel {
  float factor;
  OrtOp* add;  // an operator of the library's, called from the kernel
} scale_kernel;

static int live_kernels;

static OrtStatusPtr scale_create(const OrtCustomOp* op, const OrtApi* table,
                                 const OrtKernelInfo* info, void** out) {
  (void)op;
  if (table != api) return api->CreateStatus(ORT_FAIL, "another table");
  scale_kernel* made = (scale_kernel*)calloc(1, sizeof *made);
  OrtStatus* status = api->KernelInfoGetAttribute_float(info, "factor", &made->factor);
  if (!status && made->factor < 0)
    status = api->CreateStatus(ORT_INVALID_ARGUMENT, "factor is negative");
  const char* constraint = "T";
  const ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  if (!status)
    status = api->CreateOp(info, "Add", "", 14, &constraint, &type, 1, NULL, 0, 2, 1, &made->add);
  if (status) {
    free(made);
    return status;
  }
  ++live_kernels;
  *out = made;
  return NULL;
}

static OrtStatusPtr scale_compute(void* kernel, OrtKernelContext* context) {
  const scale_kernel* self = (const scale_kernel*)kernel;
  const OrtValue* in;
  OrtValue* out;
  OrtTensorTypeAndShapeInfo* shape;
  size_t rank, count, inputs;
  int64_t dims[8];
  const void* x;
  void* y;
  OrtStatus* status = api->KernelContext_GetInputCount(context, &inputs);
  if (!status && inputs != 1) status = api->CreateStatus(ORT_FAIL, "inputs");
  if (!status) status = api->KernelContext_GetInput(context, 0, &in);
  if (!status) status = api->GetTensorTypeAndShape(in, &shape);
  if (status) return status;
  status = api->GetDimensionsCount(shape, &rank);
  if (!status) status = api->GetDimensions(shape, dims, rank);
  if (!status) status = api->GetTensorShapeElementCount(shape, &count);
  if (!status) status = api->KernelContext_GetOutput(context, 0, dims, rank, &out);
  if (!status) status = api->GetTensorData(in, &x);
  if (!status) status = api->GetTensorMutableData(out, &y);
  api->ReleaseTensorTypeAndShapeInfo(shape);
  for (size_t i = 0; i < count && !status; ++i) {
    ((float*)y)[i] = ((const float*)x)[i] * (self->factor - 1);
    if (((const float*)x)[i] == 99) status = api->CreateStatus(ORT_EP_FAIL, "99 is too much");
  }
  const OrtValue* terms[2] = {in, out};
  OrtValue* sum[1] = {out};
  if (!status) status = api->InvokeOp(context, self->add, terms, 2, sum, 1);
  return status;
}

static void scale_destroy(void* kernel) {
  api->ReleaseOp(((scale_kernel*)kernel)->add);
  --live_kernels;
  free(kernel);
}

static const char* scale_name(const OrtCustomOp* op) {
  (void)op;
  return "Scale";
}
static const char* scale_provider(const OrtCustomOp* op) {
  (void)op;
  return NULL;
}
static size_t scale_one(const OrtCustomOp* op) {
  (void)op;
  return 1;
}
static ONNXTensorElementDataType scale_type(const OrtCustomOp* op, size_t index) {
  (void)op;
  (void)index;
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}
static OrtCustomOpInputOutputCharacteristic scale_required(const OrtCustomOp* op, size_t index) {
  (void)op;
  (void)index;
  return INPUT_OUTPUT_REQUIRED;
}
static OrtMemType scale_memory(const OrtCustomOp* op, size_t index) {
  (void)op;
  (void)index;
  return OrtMemTypeDefault;
}
static int scale_arity(const OrtCustomOp* op) {
  (void)op;
  return 1;
}
static int scale_first(const OrtCustomOp* op) {
  (void)op;
  return 1;
}
static int scale_last(const OrtCustomOp* op) {
  (void)op;
  return 2147483647;
}

static OrtStatusPtr scale_shape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  (void)op;
  OrtTensorTypeAndShapeInfo* info;
  size_t count;
  OrtStatus* status = api->ShapeInferContext_GetInputCount(context, &count);
  if (!status) status = api->ShapeInferContext_GetInputTypeShape(context, 0, &info);
  if (!status) status = api->ShapeInferContext_SetOutputTypeShape(context, 0, info);
  return status;
}

static OrtCustomOp scale_op(void) {
  OrtCustomOp op;
  memset(&op, 0, sizeof op);
  op.version = ORT_API_VERSION;
  op.GetName = scale_name;
  op.GetExecutionProviderType = scale_provider;
  op.GetInputType = scale_type;
  op.GetInputTypeCount = scale_one;
  op.GetOutputType = scale_type;
  op.GetOutputTypeCount = scale_one;
  op.KernelDestroy = scale_destroy;
  op.GetInputCharacteristic = scale_required;
  op.GetOutputCharacteristic = scale_required;
  op.GetInputMemoryType = scale_memory;
  op.GetVariadicInputMinArity = scale_arity;
  op.GetVariadicInputHomogeneity = scale_arity;
  op.GetVariadicOutputMinArity = scale_arity;
  op.GetVariadicOutputHomogeneity = scale_arity;
  op.CreateKernelV2 = scale_create;
  op.KernelComputeV2 = scale_compute;
  op.InferOutputShapeFn = scale_shape;
  op.GetStartVersion = scale_first;
  op.GetEndVersion = scale_last;
  return op;
}

static void own_operator(void) {
  const OrtCustomOp op = scale_op();
  OrtCustomOpDomain* domain;
  OrtSessionOptions* options;
  OK(api->CreateCustomOpDomain("client", &domain));
  OK(api->CustomOpDomain_Add(domain, &op));
  OK(api->CreateSessionOptions(&options));
  OrtSession* session = NULL;
  OrtStatus* status = api->CreateSession(env, model_path("scale.onnx"), options, &session);
  CHECK(status != NULL && strstr(api->GetErrorMessage(status), "Scale"));  // not yet known
  api->ReleaseStatus(status);
  OK(api->AddCustomOpDomain(options, domain));
  session = open_model("scale.onnx", options);
  CHECK(session && live_kernels == 1);
  float x[3] = {1, 2, 3};
  const float want[3] = {4, 8, 12};  // 4 times, and a Neg before and after
  OrtValue *in = floats(x, 3), *out;
  OK(run1(session, "x", in, "y", &out));
  CHECK(holds(out, want, 3));
  api->ReleaseValue(out);
  x[1] = -99;
  FAILS(ORT_EP_FAIL, "99 is too much", run1(session, "x", in, "y", &out));
  CHECK(out == NULL);
  api->ReleaseValue(in);
  api->ReleaseSession(session);
  CHECK(live_kernels == 0);
  FAILS(ORT_RUNTIME_EXCEPTION, "factor is negative",
        api->CreateSession(env, model_path("scale_negative.onnx"), options, &session));
  CHECK(live_kernels == 0);
  status = api->CreateSession(env, model_path("scale_none.onnx"), options, &session);
  CHECK(status != NULL);  // the attribute is not there
  api->ReleaseStatus(status);
  api->ReleaseSessionOptions(options);
  api->ReleaseCustomOpDomain(domain);
}

const client_test graph_tests[] = {{"edited_model", edited_model},
                                   {"extended_model", extended_model},
                                   {"own_operator", own_operator},
                                   {NULL, NULL}};
