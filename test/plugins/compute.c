// A provider library for tests, made for the plug-in ABI alone: elementwise operators on float32, group by group. Registered under NAME
// it offers "NAME", which computes in host memory, and "NAMEDevice", which has memory of its own that nobody else can use.
//
// Options (session entries "ep.<name in lower case>.<key>"):
//   ops=Add,Neg     takes these only; default all that it has: Add, Sub, Mul, Relu, Neg, Abs, Identity
//   group=each|all  one node a group; all nodes in one group, whatever lies between. Default: nodes that touch
//   drop=1          constants are no inputs of the fused node
//   nhwc=1          prefers channels-last order, takes GlobalAveragePool and Transpose as well, and compiles the former in that order alone
//   fail=STEP       create, name, empty (no provider), capability, foreign (claims a node that is none), twice (claims a node twice),
//                   compile, nothing (Compile gives nothing), state, compute, silent (an output is not made), start, end
//   null_state=1    CreateState gives NULL        alone=1   one run at a time
//   talk=1          logs why it leaves nodes      sleep_ms=N  Compute takes that long
//   stream=1        results lie in their memory when the run's stream was waited for, not before (NAMEDevice)
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_DIMS 8
#define NHWC "com.ms.internal.nhwc"

// What happened so far, for tests to look at.
typedef struct compute_counters {
  atomic_int factories, providers, infos, states, allocators, transfers, blocks;  // alive
  atomic_int starts, ends, runs_now, most_runs;
  char last_tag[64];
  atomic_int streams, late;  // streams alive; results that came by one
} compute_counters;
__attribute__((visibility("default"))) compute_counters compute_count;
#define DEVICE_COUNT compute_count
#include "device.h"

// --- providers -------------------------------------------------------------------------------------------------------------------
typedef struct factory {
  OrtEpFactory table;
  char name[64];
  bool on_device;
  OrtMemoryInfo* info;  // of the device's memory
} factory;

typedef struct provider {
  OrtEp table;
  factory* from;
  const OrtLogger* logger;
  char ops[128], fail[32], group[16];
  bool drop, null_state, alone, talk, nhwc, stream;
  int sleep_ms;
} provider;

static const char* own_name(const OrtEp* self) {
  const provider* p = (const provider*)(const void*)self;
  return strcmp(p->fail, "name") == 0 ? "Somebody" : p->from->name;
}
static bool fails(const provider* p, const char* step) { return strcmp(p->fail, step) == 0; }

static OrtStatus* read_options(provider* p, const OrtSessionOptions* options) {
  char flag[16] = "";
  bool* const flags[] = {&p->drop, &p->null_state, &p->alone, &p->talk, &p->nhwc, &p->stream};
  const char* const keys[] = {"drop", "null_state", "alone", "talk", "nhwc", "stream"};
  TRY(read_option(options, p->from->name, "ops", p->ops, sizeof p->ops));
  TRY(read_option(options, p->from->name, "fail", p->fail, sizeof p->fail));
  TRY(read_option(options, p->from->name, "group", p->group, sizeof p->group));
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; ++i) {
    flag[0] = 0;
    TRY(read_option(options, p->from->name, keys[i], flag, sizeof flag));
    *flags[i] = flag[0] == '1';
  }
  flag[0] = 0;
  TRY(read_option(options, p->from->name, "sleep_ms", flag, sizeof flag));
  p->sleep_ms = atoi(flag);
  return NULL;
}

// --- what it would run -----------------------------------------------------------------------------------------------------------
static bool has_word(const char* list, const char* word) {
  const size_t length = strlen(word);
  for (const char* at = list; *at;) {
    const size_t part = strcspn(at, ",");
    if (part == length && strncmp(at, word, length) == 0) return true;
    at += part + (at[part] == ',');
  }
  return false;
}

static OrtStatus* is_float(const OrtValueInfo* value, bool* out) {
  const OrtTypeInfo* type = NULL;
  const OrtTensorTypeAndShapeInfo* tensor = NULL;
  ONNXTensorElementDataType element;
  *out = false;
  if (!value) return NULL;
  TRY(api->GetValueInfoTypeInfo(value, &type));
  TRY(api->CastTypeInfoToTensorInfo(type, &tensor));
  if (!tensor) return NULL;
  TRY(api->GetTensorElementType(tensor, &element));
  *out = element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  return NULL;
}

// NULL |*why|: it takes |node|.
static OrtStatus* refuse(const provider* p, const OrtNode* node, const char** why) {
  const char *op, *domain, *owner = NULL;
  const OrtValueInfo* input = NULL;
  size_t inputs;
  bool good = false;
  TRY(api->Node_GetOperatorType(node, &op));
  TRY(api->Node_GetDomain(node, &domain));
  TRY(api->Node_GetEpName(node, &owner));
  TRY(api->Node_GetNumInputs(node, &inputs));
  *why = "has an operator that it lacks";
  const bool is_pool = p->nhwc && strcmp(op, "GlobalAveragePool") == 0;
  if (domain[0] && strcmp(domain, "ai.onnx") != 0 && !(is_pool && strcmp(domain, NHWC) == 0))
    return NULL;
  if (!has_word(p->ops[0] ? p->ops : "Add,Sub,Mul,Relu,Neg,Abs,Identity", op) && !is_pool &&
      !(p->nhwc && strcmp(op, "Transpose") == 0))
    return NULL;
  *why = "is another provider's";
  if (owner && owner[0]) return NULL;
  *why = "has an input that is not float32";
  if (inputs == 0 || inputs > 2) return NULL;
  const OrtValueInfo* all[2];
  TRY(api->Node_GetInputs(node, all, inputs));
  input = all[0];
  TRY(is_float(input, &good));
  if (good) *why = NULL;
  return NULL;
}

static OrtStatus* say(const provider* p, const OrtNode* node, const char* why) {
  const char* name;
  char line[256];
  TRY(api->Node_GetName(node, &name));
  snprintf(line, sizeof line, "node '%s': it %s", name, why);
  return api->Logger_LogMessage(p->logger, ORT_LOGGING_LEVEL_INFO, line, __FILE__, __LINE__,
                                __func__);
}

static size_t root_of(size_t* parents, size_t i) {
  while (parents[i] != i) i = parents[i] = parents[parents[i]];
  return i;
}

static OrtStatus* producer_of(const OrtValueInfo* value, const OrtNode** out) {
  size_t index;
  *out = NULL;
  return value ? api->ValueInfo_GetValueProducer(value, out, &index) : NULL;
}

// Joins each node taken with the makers of its inputs.
static OrtStatus* join(const OrtNode* const* nodes, size_t count, size_t* parents) {
  for (size_t i = 0; i < count; ++i) {
    const OrtValueInfo* inputs[2];
    size_t input_count;
    TRY(api->Node_GetNumInputs(nodes[i], &input_count));
    TRY(api->Node_GetInputs(nodes[i], inputs, input_count));
    for (size_t k = 0; k < input_count; ++k) {
      const OrtNode* maker;
      TRY(producer_of(inputs[k], &maker));
      for (size_t j = 0; maker && j < i; ++j)
        if (nodes[j] == maker) parents[root_of(parents, i)] = root_of(parents, j);
    }
  }
  return NULL;
}

static OrtStatus* claim(const provider* p, OrtEpGraphSupportInfo* support, const OrtNode** nodes,
                        size_t count, size_t* parents, const OrtNode** group) {
  const OrtNodeFusionOptions options = {.ort_version_supported = 24,
                                        .drop_constant_initializers = p->drop};
  for (size_t i = 0; i < count; ++i) parents[i] = strcmp(p->group, "all") == 0 ? 0 : i;
  if (!p->group[0]) TRY(join(nodes, count, parents));
  for (size_t root = 0; root < count; ++root) {
    size_t size = 0;
    for (size_t i = 0; i < count; ++i)
      if (root_of(parents, i) == root) group[size++] = nodes[i];
    if (size) TRY(ep_api->EpGraphSupportInfo_AddNodesToFuse(support, group, size, &options));
    if (size && fails(p, "twice"))
      TRY(ep_api->EpGraphSupportInfo_AddNodesToFuse(support, group, 1, &options));
  }
  return NULL;
}

static OrtStatus* choose(const provider* p, const OrtGraph* graph, OrtEpGraphSupportInfo* support,
                         size_t count, const OrtNode** nodes, size_t* parents) {
  size_t taken = 0;
  TRY(api->Graph_GetNodes(graph, nodes, count));
  for (size_t i = 0; i < count; ++i) {
    const char* why;
    TRY(refuse(p, nodes[i], &why));
    if (!why)
      nodes[taken++] = nodes[i];
    else if (p->talk)
      TRY(say(p, nodes[i], why));
  }
  return claim(p, support, nodes, taken, parents, nodes + count);
}

static OrtStatus* get_capability(OrtEp* self, const OrtGraph* graph,
                                 OrtEpGraphSupportInfo* support) {
  const provider* p = (const provider*)(void*)self;
  size_t count;
  if (fails(p, "capability")) return fail("it was told to fail when asked");
  if (fails(p, "foreign")) {
    const OrtNode* none = NULL;
    return ep_api->EpGraphSupportInfo_AddNodesToFuse(support, &none, 1, NULL);
  }
  TRY(api->Graph_GetNumNodes(graph, &count));
  const OrtNode** nodes = calloc(2 * count + 1, sizeof(OrtNode*));
  size_t* parents = calloc(count + 1, sizeof *parents);
  OrtStatus* status =
      nodes && parents ? choose(p, graph, support, count, nodes, parents) : fail("no memory");
  free(parents);
  free(nodes);
  return status;
}

// --- compiling: a list of steps over numbered values -----------------------------------------------------------------------------
typedef struct tensor {
  float* data;
  int64_t dims[MOST_DIMS];
  size_t rank, count;
  bool owned;
} tensor;

typedef struct value {
  char name[128];
  tensor constant;  // data NULL: none
} value;

typedef struct step {
  char op[24];
  size_t inputs[2], input_count, output;
  int64_t perm[MOST_DIMS];  // of Transpose
} step;

typedef struct program {
  OrtNodeComputeInfo table;
  provider* from;
  value* values;
  size_t value_count;
  step* steps;
  size_t step_count;
  size_t *inputs, *outputs;  // of the fused node: values
  size_t input_count, output_count;
} program;

static void free_program(program* g) {
  for (size_t v = 0; g->values && v < g->value_count; ++v) free(g->values[v].constant.data);
  free(g->values);
  free(g->steps);
  free(g->inputs);
  free(g->outputs);
  free(g);
}

static OrtStatus* read_tensor(const OrtValue* from, bool on_device, tensor* out) {
  OrtTensorTypeAndShapeInfo* info;
  TRY(api->GetTensorTypeAndShape(from, &info));
  OrtStatus* status = api->GetDimensionsCount(info, &out->rank);
  if (!status && out->rank > MOST_DIMS) status = fail("too many dimensions");
  if (!status) status = api->GetDimensions(info, out->dims, out->rank);
  if (!status) status = api->GetTensorShapeElementCount(info, &out->count);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (status) return status;
  void* data;
  TRY(api->GetTensorMutableData((OrtValue*)(uintptr_t)from, &data));
  out->data = on_device ? mangle(data) : data;
  out->owned = false;
  return NULL;
}

static OrtStatus* number_of(program* g, const OrtValueInfo* info, size_t* out) {
  const char* name;
  TRY(api->GetValueInfoName(info, &name));
  for (*out = 0; *out < g->value_count; ++*out)
    if (strcmp(g->values[*out].name, name) == 0) return NULL;
  value* grown = realloc(g->values, (g->value_count + 1) * sizeof *grown);
  if (!grown) return fail("no memory");
  g->values = grown;
  memset(&grown[g->value_count], 0, sizeof *grown);
  snprintf(grown[g->value_count++].name, sizeof grown->name, "%s", name);
  return NULL;
}

static OrtStatus* number_all(program* g, const OrtNode* node, bool outputs, size_t** out,
                             size_t* out_count) {
  TRY((outputs ? api->Node_GetNumOutputs : api->Node_GetNumInputs)(node, out_count));
  const OrtValueInfo** infos = calloc(*out_count + 1, sizeof(OrtValueInfo*));
  *out = calloc(*out_count + 1, sizeof **out);
  OrtStatus* status = infos && *out ? (outputs ? api->Node_GetOutputs : api->Node_GetInputs)(
                                          node, infos, *out_count)
                                    : fail("no memory");
  for (size_t i = 0; !status && i < *out_count; ++i) status = number_of(g, infos[i], &(*out)[i]);
  free(infos);
  return status;
}

static OrtStatus* read_layout(const OrtNode* node, step* s) {
  const OrtOpAttr* perm;
  const char* domain;
  size_t size;
  TRY(api->Node_GetDomain(node, &domain));
  if (s->op[0] == 'G' && strcmp(domain, NHWC) != 0)
    return fail("it pools in channels-last order alone");
  if (s->op[0] != 'T') return NULL;
  TRY(api->Node_GetAttributeByName(node, "perm", &perm));
  return api->ReadOpAttr(perm, ORT_OP_ATTR_INTS, s->perm, sizeof s->perm, &size);
}

static OrtStatus* read_step(program* g, const OrtNode* node, step* s) {
  const char* op;
  size_t *inputs = NULL, *outputs = NULL, count = 0;
  TRY(api->Node_GetOperatorType(node, &op));
  snprintf(s->op, sizeof s->op, "%s", op);
  TRY(read_layout(node, s));
  OrtStatus* status = number_all(g, node, false, &inputs, &s->input_count);
  if (!status) status = number_all(g, node, true, &outputs, &count);
  for (size_t i = 0; !status && i < s->input_count && i < 2; ++i) s->inputs[i] = inputs[i];
  if (!status) s->output = outputs[0];
  free(inputs);
  free(outputs);
  return status;
}

static OrtStatus* read_constant(program* g, const OrtValueInfo* info) {
  const OrtValue* from = NULL;
  size_t number;
  tensor view = {0};
  TRY(number_of(g, info, &number));
  TRY(api->ValueInfo_GetInitializerValue(info, &from));
  if (!from) return fail("an initializer has no value");
  TRY(read_tensor(from, false, &view));
  tensor* own = &g->values[number].constant;
  *own = view;
  own->data = malloc(view.count * sizeof(float) + 1);
  if (!own->data) return fail("no memory");
  memcpy(own->data, view.data, view.count * sizeof(float));
  return NULL;
}

static OrtStatus* read_constants(program* g, const OrtGraph* graph) {
  size_t count;
  TRY(api->Graph_GetNumInitializers(graph, &count));
  const OrtValueInfo** infos = calloc(count + 1, sizeof(OrtValueInfo*));
  OrtStatus* status = infos ? api->Graph_GetInitializers(graph, infos, count) : fail("no memory");
  for (size_t i = 0; !status && i < count; ++i) status = read_constant(g, infos[i]);
  free(infos);
  return status;
}

static OrtStatus* read_program(program* g, const OrtGraph* graph, const OrtNode* fused) {
  TRY(api->Graph_GetNumNodes(graph, &g->step_count));
  const OrtNode** nodes = calloc(g->step_count + 1, sizeof(OrtNode*));
  g->steps = calloc(g->step_count + 1, sizeof *g->steps);
  OrtStatus* status =
      nodes && g->steps ? api->Graph_GetNodes(graph, nodes, g->step_count) : fail("no memory");
  for (size_t i = 0; !status && i < g->step_count; ++i)
    status = read_step(g, nodes[i], &g->steps[i]);
  free(nodes);
  if (!status) status = read_constants(g, graph);
  if (!status) status = number_all(g, fused, false, &g->inputs, &g->input_count);
  if (!status) status = number_all(g, fused, true, &g->outputs, &g->output_count);
  return status;
}

// --- computing ---------------------------------------------------------------------------------------------------------------------
static float apply(const char* op, float a, float b) {
  switch (op[0]) {
    case 'A':
      return op[1] == 'd' ? a + b : fabsf(a);
    case 'S':
      return a - b;
    case 'M':
      return a * b;
    case 'R':
      return a > 0 ? a : 0;
    case 'N':
      return -a;
    default:
      return a;
  }
}

static bool shape_of(const tensor* a, const tensor* b, tensor* out) {
  out->rank = a->rank > b->rank ? a->rank : b->rank;
  out->count = 1;
  for (size_t d = 0; d < out->rank; ++d) {
    const size_t from_end = out->rank - d;
    const int64_t x = from_end <= a->rank ? a->dims[a->rank - from_end] : 1;
    const int64_t y = from_end <= b->rank ? b->dims[b->rank - from_end] : 1;
    if (x != y && x != 1 && y != 1) return false;
    out->dims[d] = x == 1 ? y : x;
    out->count *= (size_t)out->dims[d];
  }
  return true;
}

static size_t place_in(const tensor* t, const tensor* shape, size_t index) {
  size_t place = 0, stride = 1;
  for (size_t d = shape->rank; d-- > 0;) {
    const size_t at = index % (size_t)shape->dims[d], from_end = shape->rank - d;
    index /= (size_t)shape->dims[d];
    if (from_end > t->rank) continue;
    const size_t size = (size_t)t->dims[t->rank - from_end];
    place += size == 1 ? 0 : at * stride;
    stride *= size;
  }
  return place;
}

// Tensors may have any alignment.
static float load(const tensor* t, size_t at) {
  float x;
  memcpy(&x, (const char*)t->data + at * sizeof x, sizeof x);
  return x;
}
static void store(const tensor* t, size_t at, float x) {
  memcpy((char*)t->data + at * sizeof x, &x, sizeof x);
}

// Images: N, anything, C.
static void pool(const tensor* x, const tensor* y) {
  const size_t channels = (size_t)x->dims[x->rank - 1], pixels = x->count / y->count;
  for (size_t i = 0; i < y->count; ++i) {
    const size_t first = i / channels * pixels * channels + i % channels;
    double sum = 0;
    for (size_t p = 0; p < pixels; ++p) sum += (double)load(x, first + p * channels);
    store(y, i, (float)(sum / (double)pixels));
  }
}

static void transpose(const tensor* x, const tensor* y, const int64_t* perm) {
  for (size_t i = 0; i < y->count; ++i) {
    size_t at[MOST_DIMS] = {0}, rest = i, from = 0;
    for (size_t d = y->rank; d-- > 0; rest /= (size_t)y->dims[d])
      at[perm[d]] = rest % (size_t)y->dims[d];
    for (size_t d = 0; d < x->rank; ++d) from = from * (size_t)x->dims[d] + at[d];
    store(y, i, load(x, from));
  }
}

static bool layout_shape(const step* s, const tensor* x, tensor* y) {
  y->rank = x->rank;
  y->count = 1;
  for (size_t d = 0; d < x->rank; ++d) {
    y->dims[d] = s->op[0] == 'T'              ? x->dims[s->perm[d]]
                 : d == 0 || d + 1 == x->rank ? x->dims[d]
                                              : 1;
    y->count *= (size_t)y->dims[d];
  }
  return y->count > 0;
}

static OrtStatus* run_step(const step* s, tensor* values) {
  const tensor *a = &values[s->inputs[0]], *b = s->input_count > 1 ? &values[s->inputs[1]] : a;
  tensor* out = &values[s->output];
  const bool of_layout = s->op[0] == 'T' || s->op[0] == 'G';
  if (!(of_layout ? layout_shape(s, a, out) : shape_of(a, b, out)))
    return fail("shapes do not go together");
  out->data = malloc(out->count * sizeof(float) + 1);
  out->owned = true;
  if (!out->data) return fail("no memory");
  if (s->op[0] == 'T') transpose(a, out, s->perm);
  if (s->op[0] == 'G') pool(a, out);
  for (size_t i = 0; !of_layout && i < out->count; ++i)
    store(out, i, apply(s->op, load(a, place_in(a, out, i)), load(b, place_in(b, out, i))));
  return NULL;
}

// --- streams ---------------------------------------------------------------------------------------------------------------------
typedef struct late_result {
  struct late_result* next;
  void* to;
  size_t size;
  unsigned char bytes[];
} late_result;

typedef struct stream {
  OrtSyncStreamImpl table;
  late_result* first;
} stream;

typedef struct notification {
  OrtSyncNotificationImpl table;
  stream* of;
} notification;

// All that was enqueued happens, or is forgotten.
static void empty_stream(stream* s, bool happens) {
  while (s->first) {
    late_result* result = s->first;
    s->first = result->next;
    if (happens) memcpy(result->to, result->bytes, result->size);
    compute_count.late += happens;
    free(result);
  }
}

static stream* stream_of(const OrtKernelContext* context) {
  OrtSyncStream* own = NULL;
  const OrtSyncStreamImpl* impl = NULL;
  OrtStatus* status = api->KernelContext_GetSyncStream(context, &own);
  if (own) impl = ep_api->SyncStream_GetImpl(own);
  api->ReleaseStatus(status);
  return (stream*)(uintptr_t)impl;
}

static OrtStatus* enqueue(stream* s, void* to, const void* from, size_t size) {
  late_result* result = malloc(sizeof *result + size);
  late_result** end = &s->first;
  if (!result) return fail("no memory");
  *result = (late_result){.to = to, .size = size};
  memcpy(result->bytes, from, size);
  while (*end) end = &(*end)->next;
  *end = result;
  return NULL;
}

static void release_stream(OrtSyncStreamImpl* self) {
  empty_stream((stream*)(void*)self, false);
  --compute_count.streams;
  free(self);
}
static OrtStatus* wait_on_host(OrtSyncNotificationImpl* self) {
  empty_stream(((notification*)(void*)self)->of, true);
  return NULL;
}
static void release_notification(OrtSyncNotificationImpl* self) { free(self); }

static OrtStatus* make_notification(OrtSyncStreamImpl* self, OrtSyncNotificationImpl** out) {
  notification* made = calloc(1, sizeof *made);
  if (!made) return fail("no memory");
  made->table = (OrtSyncNotificationImpl){
      .ort_version_supported = 24, .Release = release_notification, .WaitOnHost = wait_on_host};
  made->of = (stream*)(void*)self;
  *out = &made->table;
  return NULL;
}

static bool is_aware(const OrtEpFactory* self) {
  (void)self;
  return true;
}

static OrtStatus* make_stream(OrtEp* self, const OrtMemoryDevice* device, OrtSyncStreamImpl** out) {
  *out = NULL;
  if (!((const provider*)(void*)self)->stream) return NULL;
  if (!is_device(device)) return fail("a stream of the wrong device");
  stream* made = calloc(1, sizeof *made);
  if (!made) return fail("no memory");
  made->table = (OrtSyncStreamImpl){.ort_version_supported = 24,
                                    .Release = release_stream,
                                    .CreateNotification = make_notification};
  ++compute_count.streams;
  *out = &made->table;
  return NULL;
}

// --- one call --------------------------------------------------------------------------------------------------------------------
static OrtStatus* take_inputs(const program* g, const OrtKernelContext* context, tensor* values) {
  size_t count;
  TRY(api->KernelContext_GetInputCount(context, &count));
  if (count != g->input_count)
    return fail("the run has another number of inputs than the fused node");
  for (size_t i = 0; i < count; ++i) {
    const OrtValue* input;
    const OrtMemoryInfo* info;
    TRY(api->KernelContext_GetInput(context, i, &input));
    if (!input) return fail("an input is missing");
    TRY(api->GetTensorMemoryInfo(input, &info));
    TRY(read_tensor(input, is_device(ep_api->MemoryInfo_GetMemoryDevice(info)),
                    &values[g->inputs[i]]));
  }
  return NULL;
}

static OrtStatus* give_output(const program* g, OrtKernelContext* context, size_t index,
                              const tensor* from) {
  OrtValue* output;
  const OrtMemoryInfo* info;
  void* data;
  TRY(api->KernelContext_GetOutput(context, index, from->dims, from->rank, &output));
  TRY(api->GetTensorMutableData(output, &data));
  TRY(api->GetTensorMemoryInfo(output, &info));
  const bool on_device = is_device(ep_api->MemoryInfo_GetMemoryDevice(info));
  if (on_device != g->from->from->on_device) return fail("an output lies in the wrong memory");
  void* to = on_device ? mangle(data) : data;
  const size_t size = from->count * sizeof(float);
  stream* late = stream_of(context);
  if (late) return enqueue(late, to, from->data, size);
  memcpy(to, from->data, size);
  return NULL;
}

static OrtStatus* run_program(const program* g, OrtKernelContext* context, tensor* values) {
  for (size_t v = 0; v < g->value_count; ++v) values[v] = g->values[v].constant;
  stream* before = stream_of(context);
  if (before) empty_stream(before, true);  // work is done in order
  TRY(take_inputs(g, context, values));
  for (size_t s = 0; s < g->step_count; ++s) TRY(run_step(&g->steps[s], values));
  if (fails(g->from, "silent")) return NULL;
  for (size_t o = 0; o < g->output_count; ++o)
    TRY(give_output(g, context, o, &values[g->outputs[o]]));
  return NULL;
}

static void wait_ms(int ms) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
  if (ms) nanosleep(&time, NULL);
}

static OrtStatus* compute(OrtNodeComputeInfo* self, void* state, OrtKernelContext* context) {
  const program* g = (const program*)(void*)self;
  if (state && strcmp(state, "state") != 0) return fail("it got another state than it made");
  if (fails(g->from, "compute")) return fail("it was told to fail when it computes");
  const int now = ++compute_count.runs_now;
  for (int most = compute_count.most_runs; now > most;)
    if (atomic_compare_exchange_weak(&compute_count.most_runs, &most, now)) break;
  wait_ms(g->from->sleep_ms);
  tensor* values = calloc(g->value_count + 1, sizeof *values);
  OrtStatus* status = values ? run_program(g, context, values) : fail("no memory");
  for (size_t v = 0; values && v < g->value_count; ++v)
    if (values[v].owned) free(values[v].data);
  free(values);
  --compute_count.runs_now;
  return status;
}

static OrtStatus* create_state(OrtNodeComputeInfo* self, OrtNodeComputeContext* context,
                               void** state) {
  const program* g = (const program*)(void*)self;
  const char* name = ep_api->NodeComputeContext_NodeName(context);
  if (!name || !name[0]) return fail("the fused node has no name");
  if (fails(g->from, "state")) return fail("it was told to fail when it makes its state");
  *state = NULL;
  if (g->from->null_state) return NULL;
  *state = malloc(8);
  if (!*state) return fail("no memory");
  memcpy(*state, "state", 6);
  ++compute_count.states;
  return NULL;
}

static void release_state(OrtNodeComputeInfo* self, void* state) {
  (void)self;
  --compute_count.states;
  free(state);
}

static OrtStatus* compile(OrtEp* self, const OrtGraph** graphs, const OrtNode** fused, size_t count,
                          OrtNodeComputeInfo** infos, OrtNode** contexts) {
  provider* p = (provider*)(void*)self;
  (void)contexts;
  if (fails(p, "compile")) return fail("it was told to fail when it compiles");
  if (fails(p, "nothing")) return NULL;
  for (size_t i = 0; i < count; ++i) {
    program* g = calloc(1, sizeof *g);
    if (!g) return fail("no memory");
    g->table = (OrtNodeComputeInfo){.ort_version_supported = 24,
                                    .CreateState = create_state,
                                    .Compute = compute,
                                    .ReleaseState = release_state};
    g->from = p;
    OrtStatus* status = read_program(g, graphs[i], fused[i]);
    if (status) {
      free_program(g);
      return status;
    }
    infos[i] = &g->table;
    ++compute_count.infos;
  }
  return NULL;
}

static void release_infos(OrtEp* self, OrtNodeComputeInfo** infos, size_t count) {
  (void)self;
  for (size_t i = 0; i < count; ++i) {
    free_program((program*)(void*)infos[i]);
    --compute_count.infos;
  }
}

// --- runs ------------------------------------------------------------------------------------------------------------------------
static OrtStatus* run_start(OrtEp* self, const OrtRunOptions* options) {
  const char* tag = "";
  if (fails((const provider*)(void*)self, "start"))
    return fail("it was told to fail as a run starts");
  ++compute_count.starts;
  TRY(api->RunOptionsGetRunTag(options, &tag));
  if (tag && tag[0])  // of one run at a time in tests
    snprintf(compute_count.last_tag, sizeof compute_count.last_tag, "%s", tag);
  return NULL;
}
static OrtStatus* run_end(OrtEp* self, const OrtRunOptions* options, bool sync) {
  (void)options, (void)sync;
  ++compute_count.ends;
  return fails((const provider*)(void*)self, "end") ? fail("it was told to fail as a run ends")
                                                    : NULL;
}
static OrtStatus* is_concurrent(OrtEp* self, bool* out) {
  *out = !((const provider*)(void*)self)->alone;
  return NULL;
}

// --- factories -------------------------------------------------------------------------------------------------------------------
static const char* factory_name(const OrtEpFactory* self) {
  return ((const factory*)(const void*)self)->name;
}
static const char* factory_vendor(const OrtEpFactory* self) {
  (void)self;
  return "Kapell's tests";
}
static const char* factory_version(const OrtEpFactory* self) {
  (void)self;
  return "1.2.3";
}

static OrtStatus* get_devices(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                              size_t count, OrtEpDevice** out, size_t most, size_t* out_count) {
  const factory* f = (const factory*)(void*)self;
  *out_count = 0;
  for (size_t i = 0; i < count && *out_count < most; ++i) {
    if (api->HardwareDevice_Type(devices[i]) != OrtHardwareDeviceType_CPU) continue;
    TRY(ep_api->CreateEpDevice(self, devices[i], NULL, NULL, &out[*out_count]));
    if (f->on_device) TRY(ep_api->EpDevice_AddAllocatorInfo(out[*out_count], f->info));
    ++*out_count;
    break;
  }
  return NULL;
}

static OrtStatus* preferred_layout(OrtEp* self, OrtEpDataLayout* out) {
  *out = ((const provider*)(void*)self)->nhwc ? OrtEpDataLayout_NHWC : OrtEpDataLayout_NCHW;
  return NULL;
}

static OrtStatus* create_ep(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                            const OrtKeyValuePairs* const* metadata, size_t count,
                            const OrtSessionOptions* options, const OrtLogger* logger,
                            OrtEp** out) {
  (void)devices, (void)metadata, (void)count;
  provider* p = calloc(1, sizeof *p);
  if (!p) return fail("no memory");
  p->from = (factory*)(void*)self;
  p->logger = logger;
  p->table = (OrtEp){.ort_version_supported = 24,
                     .GetName = own_name,
                     .GetCapability = get_capability,
                     .Compile = compile,
                     .ReleaseNodeComputeInfos = release_infos,
                     .GetPreferredDataLayout = preferred_layout,
                     .OnRunStart = run_start,
                     .OnRunEnd = run_end,
                     .CreateSyncStreamForDevice = make_stream,
                     .IsConcurrentRunSupported = is_concurrent};
  OrtStatus* status = read_options(p, options);
  if (!status && fails(p, "create")) status = fail("it was told to fail when it is made");
  if (status || fails(p, "empty")) {
    free(p);
    return status;
  }
  ++compute_count.providers;
  *out = &p->table;
  return NULL;
}

static void release_ep(OrtEpFactory* self, OrtEp* ep) {
  (void)self;
  --compute_count.providers;
  free(ep);
}

static OrtStatus* make_factory(const char* name, bool on_device, OrtEpFactory** out) {
  factory* f = calloc(1, sizeof *f);
  if (!f) return fail("no memory");
  snprintf(f->name, sizeof f->name, "%s%s", name, on_device ? "Device" : "");
  f->on_device = on_device;
  f->table = (OrtEpFactory){.ort_version_supported = 24,
                            .GetName = factory_name,
                            .GetVendor = factory_vendor,
                            .GetVersion = factory_version,
                            .GetSupportedDevices = get_devices,
                            .CreateEp = create_ep,
                            .ReleaseEp = release_ep};
  if (on_device) {
    f->table.CreateDataTransfer = create_transfer;
    f->table.CreateAllocator = create_allocator;
    f->table.ReleaseAllocator = release_allocator;
    f->table.IsStreamAware = is_aware;
    OrtStatus* status =
        api->CreateMemoryInfo_V2("ComputeMemory", OrtMemoryInfoDeviceType_GPU, 0x1234, 0,
                                 OrtDeviceMemoryType_DEFAULT, 64, OrtDeviceAllocator, &f->info);
    if (status) {
      free(f);
      return status;
    }
  }
  ++compute_count.factories;
  *out = &f->table;
  return NULL;
}

EXPORT OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base,
                                    const OrtLogger* logger, OrtEpFactory** factories, size_t most,
                                    size_t* count);
EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* self);

OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base, const OrtLogger* logger,
                             OrtEpFactory** factories, size_t most, size_t* count) {
  (void)logger;
  api = base->GetApi(24);
  ep_api = api->GetEpApi();
  *count = 0;
  if (most < 2) return fail("it offers two providers");
  TRY(make_factory(name, false, &factories[0]));
  *count = 1;
  TRY(make_factory(name, true, &factories[1]));
  *count = 2;
  return NULL;
}

OrtStatus* ReleaseEpFactory(OrtEpFactory* self) {
  factory* f = (factory*)(void*)self;
  api->ReleaseMemoryInfo(f->info);
  --compute_count.factories;
  free(f);
  return NULL;
}
