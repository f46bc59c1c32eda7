// A provider library that writes down what it is shown of graphs, for comparing hosts: one fact a line, in the file $SHOW_FILE, for
// the main graph, and for what Compile gets of the nodes whose operators stand in $SHOW_OPS. It compiles nothing.
//
// What hosts may do each in its way is left out: numbers of nodes, order, names of graphs, whether a body has a constant from
// outside or by itself.
#include "device.h"

#define MOST 64

static FILE* out;

static void check(OrtStatus* status, const char* what) {
  if (!status) return;
  fprintf(out, "error %s: %d\n", what, (int)api->GetErrorCode(status));
  api->ReleaseStatus(status);
}
#define OK(expr) check((expr), #expr)

// --- values ----------------------------------------------------------------------------------------------------------------------
static const char* value_name(const OrtValueInfo* value) {
  const char* name = "-";
  if (value) OK(api->GetValueInfoName(value, &name));
  return name;
}

static const char* node_name(const OrtNode* node) {
  const char* name = "-";
  if (node) OK(api->Node_GetName(node, &name));
  return name;
}

static void show_type(const OrtValueInfo* value) {
  const OrtTypeInfo* type = NULL;
  const OrtTensorTypeAndShapeInfo* tensor = NULL;
  ONNXType kind = ONNX_TYPE_UNKNOWN;
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  int64_t dims[8];
  const char* symbols[8];
  size_t rank = 0;
  OK(api->GetValueInfoTypeInfo(value, &type));
  OK(api->GetOnnxTypeFromTypeInfo(type, &kind));
  OK(api->CastTypeInfoToTensorInfo(type, &tensor));
  fprintf(out, " kind %d", (int)kind);
  if (!tensor) return;
  OK(api->GetTensorElementType(tensor, &element));
  OK(api->GetDimensionsCount(tensor, &rank));
  OK(api->GetDimensions(tensor, dims, rank));
  OK(api->GetSymbolicDimensions(tensor, symbols, rank));
  fprintf(out, " of %d", (int)element);
  for (size_t d = 0; d < rank; ++d) fprintf(out, " %lld%s", (long long)dims[d], symbols[d]);
}

static void show_uses(const OrtValueInfo* value, bool constant) {
  const OrtNode *producer = NULL, *users[MOST];
  int64_t inputs[MOST];
  size_t output = 0, count = 0;
  OK(api->ValueInfo_GetValueProducer(value, &producer, &output));
  if (producer) fprintf(out, " by %s:%zu", node_name(producer), output);
  OK(api->ValueInfo_GetValueNumConsumers(value, &count));
  OK(api->ValueInfo_GetValueConsumers(value, users, inputs, count));
  long sum = 0, named = 0;  // the order is the host's
  for (size_t i = 0; i < count; ++i) {
    if (constant && inputs[i] < 0) continue;
    sum += (long)inputs[i];
    for (const char* at = node_name(users[i]); *at; ++at) named += *at;
  }
  fprintf(out, " used %ld %ld", sum, named);
}

static void show_value(const char* where, const char* as, const OrtValueInfo* value) {
  fprintf(out, "%s %s %s", where, as, value_name(value));
  if (value) {
    bool required, optional, output, constant, outer;
    const OrtValue* initial = NULL;
    OrtExternalInitializerInfo* external = NULL;
    const void* data = NULL;
    OK(api->ValueInfo_IsRequiredGraphInput(value, &required));
    OK(api->ValueInfo_IsOptionalGraphInput(value, &optional));
    OK(api->ValueInfo_IsGraphOutput(value, &output));
    OK(api->ValueInfo_IsConstantInitializer(value, &constant));
    OK(api->ValueInfo_IsFromOuterScope(value, &outer));
    fprintf(out, " is%s%s%s%s%s", required ? " required" : "", optional ? " optional" : "",
            output ? " output" : "", constant ? " constant" : "",
            outer && !constant ? " outer" : "");
    show_type(value);
    show_uses(value, constant);
    OK(api->ValueInfo_GetInitializerValue(value, &initial));
    if (initial) OK(api->GetTensorData(initial, &data));
    if (data) fprintf(out, " holds %08x", *(const unsigned*)data);
    OK(api->ValueInfo_GetExternalInitializerInfo(value, &external));
    if (external)
      fprintf(out, " in %s at %lld, %zu bytes", api->ExternalInitializerInfo_GetFilePath(external),
              (long long)api->ExternalInitializerInfo_GetFileOffset(external),
              api->ExternalInitializerInfo_GetByteSize(external));
    api->ReleaseExternalInitializerInfo(external);
  }
  fputc('\n', out);
}

// --- attributes ------------------------------------------------------------------------------------------------------------------
static void show_attribute(const char* where, const OrtOpAttr* attr) {
  const char* name = "";
  OrtOpAttrType type = ORT_OP_ATTR_UNDEFINED;
  unsigned char data[256];
  size_t size = 0, asked = 0;
  OK(api->OpAttr_GetName(attr, &name));
  OK(api->OpAttr_GetType(attr, &type));
  fprintf(out, "%s attribute %s %d", where, name, (int)type);
  if (type == ORT_OP_ATTR_TENSOR) {
    OrtValue* tensor = NULL;
    OK(api->OpAttr_GetTensorAttributeAsOrtValue(attr, &tensor));
    fprintf(out, "%s", tensor ? " a tensor" : "");
    api->ReleaseValue(tensor);
  } else if (type != ORT_OP_ATTR_GRAPH) {
    OK(api->ReadOpAttr(attr, type, data, sizeof data, &size));
    OrtStatus* status = api->ReadOpAttr(attr, type, NULL, 0, &asked);
    fprintf(out, " %d %zu:", status ? (int)api->GetErrorCode(status) : 0, asked);
    api->ReleaseStatus(status);
    for (size_t i = 0; i < size; ++i) fprintf(out, "%02x", data[i]);
  }
  fputc('\n', out);
}

static void show_by_name(const char* where, const OrtNode* node, const char* name) {
  const OrtOpAttr* attr = NULL;
  OrtStatus* status = api->Node_GetAttributeByName(node, name, &attr);
  fprintf(out, "%s asked for %s: %d%s\n", where, name, status ? (int)api->GetErrorCode(status) : 0,
          attr ? " it has it" : "");
  api->ReleaseStatus(status);
}

// --- nodes and graphs ------------------------------------------------------------------------------------------------------------
static void show_graph(const char* where, const OrtGraph* graph, bool is_main);

static void show_values(const char* where, const char* as, const OrtValueInfo* const* values,
                        size_t count) {
  char place[40];
  for (size_t i = 0; i < count; ++i) {
    snprintf(place, sizeof place, "%s %zu", as, i);
    show_value(where, place, values[i]);
  }
}

// What bodies use: a set, of which constants may be part or not.
static void show_implicit(const char* where, const OrtNode* node) {
  const OrtValueInfo* values[MOST];
  size_t count = 0;
  OK(api->Node_GetNumImplicitInputs(node, &count));
  OK(api->Node_GetImplicitInputs(node, values, count));
  for (size_t i = 0; i < count; ++i) {
    bool constant = false;
    OK(api->ValueInfo_IsConstantInitializer(values[i], &constant));
    if (!constant) show_value(where, "implicit", values[i]);
  }
}

static void show_node(const char* outer, const OrtNode* node) {
  const char *op = "", *domain = "", *provider = NULL, *names[4];
  const OrtValueInfo* values[MOST];
  const OrtOpAttr* attrs[MOST];
  const OrtGraph *bodies[4], *home = NULL;
  size_t count = 0;
  int since = 0;
  char where[256];
  snprintf(where, sizeof where, "%s/%s", outer, node_name(node));
  OK(api->Node_GetOperatorType(node, &op));
  OK(api->Node_GetDomain(node, &domain));
  OK(api->Node_GetSinceVersion(node, &since));
  OK(api->Node_GetEpName(node, &provider));
  OK(api->Node_GetGraph(node, &home));
  fprintf(out, "%s is '%s' '%s' %d of '%s'%s\n", where, domain, op, since,
          provider ? provider : "NULL", home ? "" : " nowhere");
  OK(api->Node_GetNumInputs(node, &count));
  OK(api->Node_GetInputs(node, values, count));
  show_values(where, "input", values, count);
  OK(api->Node_GetNumOutputs(node, &count));
  OK(api->Node_GetOutputs(node, values, count));
  show_values(where, "output", values, count);
  show_implicit(where, node);
  OK(api->Node_GetNumAttributes(node, &count));
  OK(api->Node_GetAttributes(node, attrs, count));
  for (size_t i = 0; i < count; ++i) show_attribute(where, attrs[i]);
  show_by_name(where, node, "kernel_shape");
  show_by_name(where, node, "no such attribute");
  OK(api->Node_GetNumSubgraphs(node, &count));
  OK(api->Node_GetSubgraphs(node, bodies, count, names));
  for (size_t i = 0; i < count; ++i) {
    char inner[300];
    snprintf(inner, sizeof inner, "%s.%s", where, names[i]);
    show_graph(inner, bodies[i], false);
  }
}

static void show_opset(const char* where, const OrtGraph* graph) {
  const char* domains[MOST];
  int64_t versions[MOST];
  size_t count = 0;
  OK(api->Graph_GetNumOperatorSets(graph, &count));
  OK(api->Graph_GetOperatorSets(graph, domains, versions, count));
  for (size_t i = 0; i < count; ++i)
    if (!domains[i][0] || strcmp(domains[i], "com.microsoft") == 0)
      fprintf(out, "%s imports '%s' %lld\n", where, domains[i], (long long)versions[i]);
}

static void show_list(const char* where, const char* as, const OrtGraph* graph,
                      OrtStatus* (*count_of)(const OrtGraph*, size_t*),
                      OrtStatus* (*list)(const OrtGraph*, const OrtValueInfo**, size_t)) {
  const OrtValueInfo* values[MOST];
  size_t count = 0;
  OK(count_of(graph, &count));
  OK(list(graph, values, count));
  for (size_t i = 0; i < count; ++i) show_value(where, as, values[i]);
}

static void show_graph(const char* where, const OrtGraph* graph, bool is_main) {
  const OrtNode *nodes[MOST], *parent = NULL;
  const char* path = NULL;
  int64_t version = 0;
  size_t count = 0;
  OK(api->Graph_GetModelPath(graph, &path));
  OK(api->Graph_GetOnnxIRVersion(graph, &version));
  OK(api->Graph_GetParentNode(graph, &parent));
  fprintf(out, "%s in '%s' of IR %lld under %s\n", where, path ? path : "NULL", (long long)version,
          node_name(parent));
  show_opset(where, graph);
  show_list(where, "takes", graph, api->Graph_GetNumInputs, api->Graph_GetInputs);
  show_list(where, "gives", graph, api->Graph_GetNumOutputs, api->Graph_GetOutputs);
  if (is_main)
    show_list(where, "has", graph, api->Graph_GetNumInitializers, api->Graph_GetInitializers);
  OK(api->Graph_GetNumNodes(graph, &count));
  OK(api->Graph_GetNodes(graph, nodes, count));
  for (size_t i = 0; i < count; ++i) show_node(where, nodes[i]);
}

// --- the provider ----------------------------------------------------------------------------------------------------------------
// The nodes of $SHOW_OPS as a part, and as what is claimed.
static void claim(const OrtGraph* graph, OrtEpGraphSupportInfo* support) {
  const OrtNode *nodes[MOST], *mine[MOST];
  const char* wanted = getenv("SHOW_OPS");
  size_t count = 0, found = 0;
  OrtGraph* part = NULL;
  OK(api->Graph_GetNumNodes(graph, &count));
  OK(api->Graph_GetNodes(graph, nodes, count));
  for (size_t i = 0; wanted && i < count; ++i) {
    const char* op = "";
    OK(api->Node_GetOperatorType(nodes[i], &op));
    if (strstr(wanted, op)) mine[found++] = nodes[i];
  }
  if (!found) return;
  OK(api->Graph_GetGraphView(graph, mine, found, &part));
  show_graph("part", part, true);
  api->ReleaseGraph(part);
  const OrtNodeFusionOptions options = {.ort_version_supported = 23,
                                        .drop_constant_initializers = getenv("SHOW_DROP") != NULL};
  OK(ep_api->EpGraphSupportInfo_AddNodesToFuse(support, mine, found, &options));
}

static OrtStatus* capability(OrtEp* self, const OrtGraph* graph, OrtEpGraphSupportInfo* support) {
  const OrtNode* parent = NULL;
  (void)self;
  OK(api->Graph_GetParentNode(graph, &parent));
  if (parent) return NULL;
  show_graph("main", graph, true);
  claim(graph, support);
  fflush(out);
  return NULL;
}

static OrtStatus* compile(OrtEp* self, const OrtGraph** graphs, const OrtNode** fused, size_t count,
                          OrtNodeComputeInfo** infos, OrtNode** contexts) {
  (void)self, (void)infos, (void)contexts;
  for (size_t i = 0; i < count; ++i) {
    const OrtValueInfo* values[MOST];
    size_t inputs = 0;
    show_graph("compiled", graphs[i], true);
    OK(api->Node_GetNumInputs(fused[i], &inputs));
    OK(api->Node_GetInputs(fused[i], values, inputs));
    for (size_t k = 0; k < inputs; ++k) fprintf(out, "fused takes %s\n", value_name(values[k]));
  }
  fflush(out);
  return fail("it shows and does not compile");
}

static void release_infos(OrtEp* self, OrtNodeComputeInfo** infos, size_t count) {
  (void)self, (void)infos, (void)count;
}
static const char* provider_name(const OrtEp* self) {
  (void)self;
  return "Show";
}
static OrtEp provider = {.ort_version_supported = 23,
                         .GetName = provider_name,
                         .GetCapability = capability,
                         .Compile = compile,
                         .ReleaseNodeComputeInfos = release_infos};

// --- the factory -----------------------------------------------------------------------------------------------------------------
static const char* factory_name(const OrtEpFactory* self) {
  (void)self;
  return "Show";
}
static const char* version(const OrtEpFactory* self) {
  (void)self;
  return "1.0.0";
}
static OrtStatus* devices(OrtEpFactory* self, const OrtHardwareDevice* const* list, size_t count,
                          OrtEpDevice** found, size_t most, size_t* found_count) {
  *found_count = 0;
  for (size_t i = 0; i < count && *found_count < 1 && most; ++i)
    if (api->HardwareDevice_Type(list[i]) == OrtHardwareDeviceType_CPU)
      TRY(ep_api->CreateEpDevice(self, list[i], NULL, NULL, &found[(*found_count)++]));
  return NULL;
}
static OrtStatus* create(OrtEpFactory* self, const OrtHardwareDevice* const* list,
                         const OrtKeyValuePairs* const* metadata, size_t count,
                         const OrtSessionOptions* options, const OrtLogger* logger, OrtEp** ep) {
  (void)self, (void)list, (void)metadata, (void)count, (void)options, (void)logger;
  *ep = &provider;
  return NULL;
}
static void release(OrtEpFactory* self, OrtEp* ep) { (void)self, (void)ep; }
static OrtStatus* no_transfer(OrtEpFactory* self, OrtDataTransferImpl** transfer) {
  (void)self;
  *transfer = NULL;
  return NULL;
}
static bool no_streams(const OrtEpFactory* self) {
  (void)self;
  return false;
}
static OrtEpFactory factory = {.ort_version_supported = 23,
                               .GetName = factory_name,
                               .GetVendor = factory_name,
                               .GetVersion = version,
                               .GetSupportedDevices = devices,
                               .CreateEp = create,
                               .ReleaseEp = release,
                               .CreateDataTransfer = no_transfer,
                               .IsStreamAware = no_streams};

EXPORT OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base,
                                    const OrtLogger* logger, OrtEpFactory** factories, size_t most,
                                    size_t* count);
EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* self);

OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base, const OrtLogger* logger,
                             OrtEpFactory** factories, size_t most, size_t* count) {
  (void)name, (void)logger;
  api = base->GetApi(24);
  ep_api = api->GetEpApi();
  const char* path = getenv("SHOW_FILE");
  out = path ? fopen(path, "w") : NULL;
  if (!out || !most) return fail("SHOW_FILE says no file that can be written");
  factories[0] = &factory;
  *count = 1;
  return NULL;
}

OrtStatus* ReleaseEpFactory(OrtEpFactory* self) {
  (void)self;
  fclose(out);
  return NULL;
}
