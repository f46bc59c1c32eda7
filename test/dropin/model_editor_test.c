// The model editor through ONNX Runtime's C API: models made in memory, models augmented, and what is refused.
#include <sys/mman.h>

#include "dropin/dropin.h"

static const OrtModelEditorApi* editor;

static OrtTypeInfo* float_type(const int64_t* dims, const char** names, size_t rank) {
  OrtTensorTypeAndShapeInfo* shape;
  OrtTypeInfo* type;
  ok(api->CreateTensorTypeAndShapeInfo(&shape));
  ok(api->SetTensorElementType(shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
  ok(api->SetDimensions(shape, dims, rank));
  if (names) ok(api->SetSymbolicDimensions(shape, names, rank));
  ok(editor->CreateTensorTypeInfo(shape, &type));
  api->ReleaseTensorTypeAndShapeInfo(shape);
  return type;
}

// A vector of |size| floats, -1: of any number, "N".
static OrtValueInfo* vector(const char* name, int64_t size) {
  const char* names[] = {size < 0 ? "N" : ""};
  OrtTypeInfo* type = float_type(&size, names, 1);
  OrtValueInfo* info;
  ok(editor->CreateValueInfo(name, type, &info));
  api->ReleaseTypeInfo(type);
  return info;
}

static void add_node(OrtGraph* graph, const char* op, const char* a, const char* b, const char* y,
                     OrtOpAttr* attr) {
  OrtNode* node;
  const char* inputs[] = {a, b};
  OrtOpAttr* attrs[] = {attr};
  ok(editor->CreateNode(op, "", y, inputs, b ? 2 : 1, &y, 1, attrs, attr != NULL, &node));
  assert_null(attrs[0]);  // the node has it
  ok(editor->AddNodeToGraph(graph, node));
}

static OrtGraph* new_graph(const char* input, const char* output, int64_t size) {
  OrtGraph* graph;
  ok(editor->CreateGraph(&graph));
  OrtValueInfo *in = input ? vector(input, size) : NULL,
               *out = output ? vector(output, size) : NULL;
  if (in) ok(editor->SetGraphInputs(graph, &in, 1));
  if (out) ok(editor->SetGraphOutputs(graph, &out, 1));
  return graph;
}

static OrtModel* model_of(OrtGraph* graph) {
  const char* domains[] = {""};
  const int versions[] = {17};
  OrtModel* model;
  ok(editor->CreateModel(domains, versions, 1, &model));
  if (graph) ok(editor->AddGraphToModel(model, graph));
  return model;
}

static OrtStatus* session_of(OrtModel* model, OrtSession** out) {
  OrtSessionOptions* options;
  ok(api->CreateSessionOptions(&options));
  OrtStatus* status = editor->CreateSessionFromModel(env, model, options, out);
  api->ReleaseSessionOptions(options);
  api->ReleaseModel(model);
  return status;
}

static void run_and_expect(OrtSession* session, const char* in, const char* out, const float* x,
                           const float* want, size_t count) {
  OrtValue *input = dropin_floats(x, (int64_t)count), *output = NULL;
  ok(api->Run(session, NULL, &in, (const OrtValue* const*)&input, 1, &out, 1, &output));
  dropin_expect(output, want, count);
  api->ReleaseValue(input);
  api->ReleaseValue(output);
}

// y = LeakyRelu(x + small) * large, alpha 0.5; |large| lies in the test's memory.
static void made_in_memory(void** state) {
  static float large[64];
  (void)state;
  for (int i = 0; i < 64; ++i) large[i] = (float)(i + 1);
  OrtGraph* graph = new_graph("x", "y", 64);
  const float small = -1, alpha = 0.5f;
  const int64_t dims = 64;
  OrtMemoryInfo* memory;
  OrtValue* external;
  OrtOpAttr* attr;
  ok(editor->AddInitializerToGraph(
      graph, "small",
      dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, NULL, 0, &small, sizeof small), false));
  ok(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  ok(api->CreateTensorWithDataAsOrtValue(memory, large, sizeof large, &dims, 1,
                                         ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &external));
  api->ReleaseMemoryInfo(memory);
  ok(editor->AddInitializerToGraph(graph, "large", external, true));
  add_node(graph, "Add", "x", "small", "a", NULL);
  ok(api->CreateOpAttr("alpha", &alpha, 1, ORT_OP_ATTR_FLOAT, &attr));
  add_node(graph, "LeakyRelu", "a", NULL, "b", attr);
  add_node(graph, "Mul", "b", "large", "y", NULL);
  OrtSession* session;
  ok(session_of(model_of(graph), &session));
  float x[64], want[64];
  for (int i = 0; i < 64; ++i) {
    x[i] = i % 2 ? 3 : -1;
    want[i] = (i % 2 ? 2.0f : -1.0f) * (float)(i + 1);
  }
  run_and_expect(session, "x", "y", x, want, 64);
  api->ReleaseSession(session);
}

// What was made answers as a graph of a session's does: values by name, who makes and reads them, attributes.
static void made_may_be_asked(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;  // the other library answers some of it alone
  const float alpha = 0.5f, one = 1;
  OrtOpAttr* slope;
  OrtGraph* graph = new_graph("x", "y", 4);
  const OrtNode *nodes[2], *producer, *consumer;
  const OrtValueInfo *inputs[2], *outputs[1], *listed;
  const OrtOpAttr* attr;
  const OrtValue* value;
  int64_t at;
  size_t count, size;
  bool is;
  float read = 0;
  ok(api->CreateOpAttr("alpha", &alpha, 1, ORT_OP_ATTR_FLOAT, &slope));
  ok(editor->AddInitializerToGraph(
      graph, "one", dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, NULL, 0, &one, sizeof one),
      false));
  add_node(graph, "Add", "x", "one", "s", NULL);
  add_node(graph, "LeakyRelu", "s", NULL, "y", slope);
  ok(api->Graph_GetNumNodes(graph, &count));
  assert_int_equal(count, 2);
  refused(api->Graph_GetNodes(graph, nodes, 1), "there are 2");
  ok(api->Graph_GetNodes(graph, nodes, 2));
  ok(api->Node_GetInputs(nodes[0], inputs, 2));
  ok(api->Graph_GetInputs(graph, &listed, 1));
  assert_ptr_equal(inputs[0], listed);
  ok(api->ValueInfo_GetInitializerValue(inputs[1], &value));
  assert_non_null(value);
  ok(api->ValueInfo_IsConstantInitializer(inputs[1], &is));
  assert_true(is);
  ok(api->Node_GetOutputs(nodes[0], outputs, 1));
  ok(api->ValueInfo_GetValueProducer(outputs[0], &producer, NULL));
  assert_ptr_equal(producer, nodes[0]);
  ok(api->ValueInfo_GetValueConsumers(outputs[0], &consumer, &at, 1));
  assert_true(consumer == nodes[1] && at == 0);
  ok(api->Node_GetAttributeByName(nodes[1], "alpha", &attr));
  ok(api->ReadOpAttr(attr, ORT_OP_ATTR_FLOAT, &read, sizeof read, &size));
  assert_float_equal(read, alpha, 0);
  OrtSession* session;
  ok(session_of(model_of(graph), &session));
  const float x[] = {-3, 0, 1, 2}, want[] = {-1, 1, 2, 3};
  run_and_expect(session, "x", "y", x, want, 4);
  api->ReleaseSession(session);
}

// More weights than a file of a model can hold, of which the session makes no copy: hardly any of these pages are ever touched.
static void more_than_a_file_holds(void** state) {
  (void)state;
  const int64_t count = 600000000, two = 2;
  const size_t bytes = (size_t)count * sizeof(float);
  float* weights =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert_ptr_not_equal(weights, MAP_FAILED);
  weights[0] = 5;
  weights[count - 1] = 7;
  OrtMemoryInfo* memory;
  OrtValue* external;
  OrtSession* session;
  OrtGraph* graph = new_graph("x", "y", 2);
  ok(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  ok(api->CreateTensorWithDataAsOrtValue(memory, weights, bytes, &count, 1,
                                         ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &external));
  api->ReleaseMemoryInfo(memory);
  ok(editor->AddInitializerToGraph(graph, "weights", external, true));
  ok(editor->AddInitializerToGraph(
      graph, "places",
      dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &two, 1, (const int64_t[]){0, count - 1},
                    2 * sizeof(int64_t)),
      false));
  add_node(graph, "Gather", "weights", "places", "w", NULL);
  add_node(graph, "Mul", "x", "w", "y", NULL);
  ok(session_of(model_of(graph), &session));
  run_and_expect(session, "x", "y", (const float[]){2, 3}, (const float[]){10, 21}, 2);
  api->ReleaseSession(session);
  munmap(weights, bytes);
}

static void types_and_names(void** state) {
  (void)state;
  OrtSession* session;
  OrtGraph* graph = new_graph("x", "y", -1);
  add_node(graph, "Neg", "x", NULL, "y", NULL);
  ok(session_of(model_of(graph), &session));
  OrtTypeInfo* type;
  const OrtTensorTypeAndShapeInfo* shape;
  const char* name;
  ok(api->SessionGetInputTypeInfo(session, 0, &type));
  ok(api->CastTypeInfoToTensorInfo(type, &shape));
  ok(api->GetSymbolicDimensions(shape, &name, 1));
  assert_string_equal(name, "N");
  api->ReleaseTypeInfo(type);
  run_and_expect(session, "x", "y", (const float[]){1, 2, 3}, (const float[]){-1, -2, -3}, 3);
  api->ReleaseSession(session);

  if (!dropin_is_ours()) return;  // the other library has values of tensor type only
  OrtTypeInfo *element = float_type(NULL, NULL, 0), *sequence, *map, *optional;
  const OrtTypeInfo* lent;
  OrtValueInfo* info;
  ONNXType kind;
  ok(editor->CreateSequenceTypeInfo(element, &sequence));
  ok(editor->CreateMapTypeInfo(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, element, &map));
  ok(editor->CreateOptionalTypeInfo(sequence, &optional));
  ok(editor->CreateValueInfo("v", optional, &info));
  api->ReleaseTypeInfo(element);
  api->ReleaseTypeInfo(sequence);
  api->ReleaseTypeInfo(map);
  api->ReleaseTypeInfo(optional);
  ok(api->GetValueInfoName(info, &name));
  assert_string_equal(name, "v");
  ok(api->GetValueInfoTypeInfo(info, &lent));
  ok(api->GetOnnxTypeFromTypeInfo(lent, &kind));
  assert_int_equal(kind, ONNX_TYPE_OPTIONAL);
  api->ReleaseValueInfo(info);
}

static OrtSession* augmenting(const char* text) {
  size_t size;
  char* bytes = kp_test_model(text, 17, &size);
  OrtSessionOptions* options;
  OrtSession* session;
  ok(api->CreateSessionOptions(&options));
  ok(editor->CreateModelEditorSessionFromArray(env, bytes, size, options, &session));
  api->ReleaseSessionOptions(options);
  free(bytes);
  return session;
}

static OrtStatus* finalize(OrtSession* session) {
  OrtSessionOptions* options;
  ok(api->CreateSessionOptions(&options));
  OrtStatus* status = editor->FinalizeModelEditorSession(session, options, NULL);
  api->ReleaseSessionOptions(options);
  return status;
}

// A node before and one behind those of the model.
static void augmented(void** state) {
  (void)state;
  OrtSession* session = augmenting("in x float[N]\n y = Neg(x)\n out y float[N]\n");
  int version;
  ok(editor->SessionGetOpsetForDomain(session, "", &version));
  assert_int_equal(version, 17);
  refused(editor->SessionGetOpsetForDomain(session, "nobody", &version),
          "Domain not used by model");
  const float two = 2;
  OrtGraph* graph = new_graph("w", "z", -1);
  ok(editor->AddInitializerToGraph(
      graph, "two", dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, NULL, 0, &two, sizeof two),
      false));
  add_node(graph, "Mul", "w", "two", "x", NULL);
  add_node(graph, "Add", "y", "two", "z", NULL);
  OrtModel* model = model_of(graph);
  ok(editor->ApplyModelToModelEditorSession(session, model));
  api->ReleaseModel(model);
  ok(finalize(session));
  run_and_expect(session, "w", "z", (const float[]){1, 2}, (const float[]){0, -2}, 2);
  api->ReleaseSession(session);
}

// With an initializer that is large, and one after it in another model; the models are released before.
static void augmented_by_large_ones(void** state) {
  enum { kLarge = 20000 };
  static float ones[kLarge], x[kLarge], want[kLarge];
  (void)state;
  const int64_t dims = kLarge;
  OrtSession* session = augmenting("in x float[20000]\n y = Neg(x)\n out y float[20000]\n");
  const char *names[] = {"a", "b"}, *outputs[] = {"ya", "yb"};
  for (int i = 0; i < kLarge; ++i) {
    ones[i] = 1;
    x[i] = (float)i;
    want[i] = 2 - (float)i;
  }
  for (int i = 0; i < 2; ++i) {
    OrtGraph* graph = new_graph(NULL, outputs[i], kLarge);
    ok(editor->AddInitializerToGraph(
        graph, names[i],
        dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &dims, 1, ones, sizeof ones), false));
    add_node(graph, "Add", i ? "ya" : "y", names[i], outputs[i], NULL);
    OrtModel* model = model_of(graph);
    ok(editor->ApplyModelToModelEditorSession(session, model));
    api->ReleaseModel(model);
  }
  ok(finalize(session));
  run_and_expect(session, "x", "yb", x, want, kLarge);
  api->ReleaseSession(session);
}

static void refusals(void** state) {
  (void)state;
  OrtSession* session = NULL;
  OrtModel* model;
  OrtGraph* graph = new_graph("x", "y", 2);
  add_node(graph, "NoSuchOperator", "x", NULL, "y", NULL);
  refused(session_of(model_of(graph), &session), "NoSuchOperator");
  graph = new_graph("x", "y", 2);
  add_node(graph, "Neg", "q", NULL, "y", NULL);
  refused(session_of(model_of(graph), &session), "q");
  assert_null(session);

  static float few[4];
  const int64_t dims = 4;
  OrtMemoryInfo* memory;
  OrtValue* value;
  graph = new_graph(NULL, NULL, 0);
  ok(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  ok(api->CreateTensorWithDataAsOrtValue(memory, few, sizeof few, &dims, 1,
                                         ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  refused(editor->AddInitializerToGraph(graph, "few", value, true), "CreateTensorAsOrtValue");
  api->ReleaseValue(value);
  api->ReleaseMemoryInfo(memory);
  api->ReleaseGraph(graph);

  session = augmenting("in x float[N]\n y = Neg(x)\n out y float[N]\n");
  graph = new_graph(NULL, NULL, 0);
  add_node(graph, "Abs", "nowhere", NULL, "z", NULL);
  model = model_of(graph);
  OrtStatus* status = editor->ApplyModelToModelEditorSession(session, model);
  refused(status ? status : finalize(session), "nowhere");
  api->ReleaseModel(model);
  api->ReleaseSession(session);

  if (!dropin_is_ours()) return;
  OrtSession* none = NULL;
  refused(session_of(model_of(NULL), &none), "no graph");
  graph = new_graph("x", NULL, 2);
  add_node(graph, "Neg", "x", NULL, "y", NULL);
  refused(session_of(model_of(graph), &none), "no outputs");
  ok(dropin_open("in x float[N]\n y = Neg(x)\n out y float[N]\n", NULL, &session));
  refused(finalize(session), "CreateModelEditorSession");
  api->ReleaseSession(session);
  refused(editor->CreateSessionFromModel(env, NULL, NULL, &none), "NULL");
  refused(editor->CreateGraph(NULL), "NULL");
  graph = new_graph(NULL, NULL, 0);
  model = model_of(graph);
  refused(editor->AddGraphToModel(model, graph), "already");
  api->ReleaseModel(model);
  api->ReleaseGraph(NULL);
  api->ReleaseNode(NULL);
  api->ReleaseValueInfo(NULL);
  api->ReleaseModel(NULL);
}

static int load(void** state) {
  if (dropin_load(state)) return 1;
  editor = api->GetModelEditorApi();
  return editor == NULL;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(made_in_memory),
                                     cmocka_unit_test(made_may_be_asked),
                                     cmocka_unit_test(more_than_a_file_holds),
                                     cmocka_unit_test(augmented_by_large_ones),
                                     cmocka_unit_test(types_and_names),
                                     cmocka_unit_test(augmented),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, load, dropin_unload);
}
