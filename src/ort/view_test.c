// Graphs as provider libraries see them, and as clients see what they make.
#include "ort/view.h"

#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "graph/build.h"
#include "graph/infer.h"
#include "graph/schema.h"
#include "onnx/reader.h"
#include "ort/model.h"
#include "ort/support.h"
#include "ort/value.h"
#include "support/expect.h"
#include "support/model_text.h"
#include "support/slowed.h"

// --- helpers ---------------------------------------------------------------------------------------------------------------------
#define OK(expr) must((expr), #expr, __LINE__)
#define BAD(expr, code, words) refused((expr), (code), (words), #expr, __LINE__)

static void must(OrtStatus* status, const char* what, int line) {
  if (status) fail_msg("line %d: %s: %s", line, what, ort_GetErrorMessage(status));
}

static void refused(OrtStatus* status, OrtErrorCode code, const char* words, const char* what,
                    int line) {
  if (!status) fail_msg("line %d: %s: no error", line, what);
  if (ort_GetErrorCode(status) != code || !strstr(ort_GetErrorMessage(status), words))
    fail_msg("line %d: %s: %d %s", line, what, (int)ort_GetErrorCode(status),
             ort_GetErrorMessage(status));
  ort_ReleaseStatus(status);
}

static kp_model* build(const char* text) {
  size_t size;
  char* bytes = kp_test_model(text, 17, &size);
  kp_onnx_model* source;
  kp_model* model = NULL;
  kp_test_must(kp_onnx_read_bytes(bytes, size, NULL, &source));
  free(bytes);
  kp_test_must(kp_model_build(source, NULL, &model));
  kp_test_must(kp_graph_infer(model->graph));
  return model;
}

typedef struct shown {
  kp_model* model;
  kp_ort_view* view;
  const OrtGraph* graph;
} shown;

static shown show(const char* text) {
  shown s = {.model = build(text)};
  OK(kp_ort_view_create(&(kp_ort_view_args){.graph = s.model->graph, .model_path = "dir/m.onnx"},
                        &s.view));
  s.graph = kp_ort_view_graph(s.view);
  return s;
}

static void end(shown* s) {
  kp_ort_view_free(s->view);
  kp_model_free(s->model);
}

#define LISTER(Name, Object, Type, What)                        \
  static const Type* Name(const Object* object, size_t index) { \
    const Type* list[16];                                       \
    OK(ort_##What(object, list, 16));                           \
    return list[index];                                         \
  }
LISTER(input, OrtGraph, OrtValueInfo, Graph_GetInputs)
LISTER(output, OrtGraph, OrtValueInfo, Graph_GetOutputs)
LISTER(initializer, OrtGraph, OrtValueInfo, Graph_GetInitializers)
LISTER(node_at, OrtGraph, OrtNode, Graph_GetNodes)
LISTER(reads, OrtNode, OrtValueInfo, Node_GetInputs)
LISTER(makes, OrtNode, OrtValueInfo, Node_GetOutputs)
LISTER(implied, OrtNode, OrtValueInfo, Node_GetImplicitInputs)

#define COUNT(object, What)          \
  ({                                 \
    size_t count_;                   \
    OK(ort_##What(object, &count_)); \
    count_;                          \
  })
#define IS(value, What)                      \
  ({                                         \
    bool is_;                                \
    OK(ort_ValueInfo_Is##What(value, &is_)); \
    is_;                                     \
  })

static const char* name_of(const OrtValueInfo* value) {
  const char* name;
  OK(ort_GetValueInfoName(value, &name));
  return name;
}

static const char* op_of(const OrtNode* node) {
  const char* op;
  OK(ort_Node_GetOperatorType(node, &op));
  return op;
}

static const OrtNode* node_of(const OrtGraph* graph, const char* op) {
  const OrtNode* list[16];
  const size_t count = COUNT(graph, Graph_GetNumNodes);
  OK(ort_Graph_GetNodes(graph, list, 16));
  for (size_t i = 0; i < count; ++i)
    if (strcmp(op_of(list[i]), op) == 0) return list[i];
  fail_msg("no node %s", op);
  return NULL;
}

static const OrtGraph* body_of(const OrtNode* node, const char* attribute) {
  const OrtGraph* bodies[4];
  const char* names[4];
  const size_t count = COUNT(node, Node_GetNumSubgraphs);
  OK(ort_Node_GetSubgraphs(node, bodies, 4, names));
  for (size_t i = 0; i < count; ++i)
    if (strcmp(names[i], attribute) == 0) return bodies[i];
  fail_msg("no body %s", attribute);
  return NULL;
}

// --- plain graphs ----------------------------------------------------------------------------------------------------------------
static void a_graph_has_its_lists(void** state) {
  (void)state;
  shown s =
      show("in x float[N,3] init w float[3] = 1 2 3 y = Add(x, w) z = Relu(y) out z float[N,3]");
  const char* text;
  int64_t ir;
  assert_int_equal(COUNT(s.graph, Graph_GetNumInputs), 1);
  assert_int_equal(COUNT(s.graph, Graph_GetNumOutputs), 1);
  assert_int_equal(COUNT(s.graph, Graph_GetNumInitializers), 1);
  assert_int_equal(COUNT(s.graph, Graph_GetNumNodes), 2);
  assert_string_equal(name_of(input(s.graph, 0)), "x");
  assert_string_equal(name_of(output(s.graph, 0)), "z");
  assert_string_equal(name_of(initializer(s.graph, 0)), "w");
  OK(ort_Graph_GetModelPath(s.graph, &text));
  assert_string_equal(text, "dir/m.onnx");
  OK(ort_Graph_GetOnnxIRVersion(s.graph, &ir));
  assert_int_equal(ir, 8);
  const OrtNode *parent, *add = node_at(s.graph, 0), *relu = node_at(s.graph, 1);
  OK(ort_Graph_GetParentNode(s.graph, &parent));
  assert_null(parent);
  assert_string_equal(op_of(add), "Add");
  assert_ptr_equal(reads(add, 0), input(s.graph, 0));
  assert_ptr_equal(reads(add, 1), initializer(s.graph, 0));
  assert_ptr_equal(makes(add, 0), reads(relu, 0));
  assert_ptr_equal(makes(relu, 0), output(s.graph, 0));
  int since;
  OK(ort_Node_GetSinceVersion(add, &since));
  assert_int_equal(since, 14);
  end(&s);
}

static void opsets_are_those_of_the_model_and_the_known_ones(void** state) {
  (void)state;
  shown s = show("in x float[2] y = Neg(x) out y float[2]");
  const size_t count = COUNT(s.graph, Graph_GetNumOperatorSets);
  const char* domains[8];
  int64_t versions[8];
  assert_true(count >= 3 && count <= 8);
  OK(ort_Graph_GetOperatorSets(s.graph, domains, versions, 8));
  assert_string_equal(domains[0], "");
  assert_int_equal(versions[0], 17);
  for (size_t i = 1; i < count; ++i)
    for (size_t k = 0; k < i; ++k) assert_string_not_equal(domains[i], domains[k]);
  end(&s);
}

static void values_know_who_makes_and_reads_them(void** state) {
  (void)state;
  shown s = show("in x float[4] a, b = Split(x) c = Add(b, b) out a float[2] out c float[2]");
  const OrtNode *producer, *split = node_of(s.graph, "Split"), *add = node_of(s.graph, "Add");
  const OrtNode* consumers[2];
  int64_t inputs[2];
  size_t index = 9;
  OK(ort_ValueInfo_GetValueProducer(makes(split, 1), &producer, &index));
  assert_ptr_equal(producer, split);
  assert_int_equal(index, 1);
  OK(ort_ValueInfo_GetValueProducer(makes(split, 1), &producer, NULL));
  OK(ort_ValueInfo_GetValueProducer(input(s.graph, 0), &producer, &index));
  assert_null(producer);
  assert_int_equal(COUNT(makes(split, 1), ValueInfo_GetValueNumConsumers), 2);
  OK(ort_ValueInfo_GetValueConsumers(makes(split, 1), consumers, inputs, 2));
  assert_true(consumers[0] == add && consumers[1] == add);
  assert_int_equal(inputs[0] + inputs[1], 1);
  assert_true(IS(makes(split, 0), GraphOutput) && !IS(makes(split, 1), GraphOutput));
  assert_true(IS(input(s.graph, 0), RequiredGraphInput));
  assert_false(IS(input(s.graph, 0), OptionalGraphInput));
  end(&s);
}

static void types_have_dims_and_symbols(void** state) {
  (void)state;
  shown s = show(
      "in x float[N,3] in q seq(int64[?]) y = Relu(x) n = SequenceLength(q) "
      "out y float[N,3] out n int64[]");
  const OrtTypeInfo *type, *again;
  const OrtTensorTypeAndShapeInfo* tensor;
  const OrtSequenceTypeInfo* sequence;
  const char* symbols[2];
  int64_t dims[2];
  OK(ort_GetValueInfoTypeInfo(makes(node_of(s.graph, "Relu"), 0), &type));
  OK(ort_GetValueInfoTypeInfo(output(s.graph, 0), &again));
  assert_ptr_equal(type, again);
  OK(ort_CastTypeInfoToTensorInfo(type, &tensor));
  OK(ort_GetDimensions(tensor, dims, 2));
  OK(ort_GetSymbolicDimensions(tensor, symbols, 2));
  assert_true(dims[0] == -1 && dims[1] == 3);
  assert_string_equal(symbols[0], "N");
  assert_string_equal(symbols[1], "");
  OK(ort_GetValueInfoTypeInfo(input(s.graph, 1), &type));
  OK(ort_CastTypeInfoToSequenceTypeInfo(type, &sequence));
  assert_non_null(sequence);
  end(&s);
}

static void initializers_lend_their_data(void** state) {
  (void)state;
  shown s = show(
      "in x float[2] in o float[2] init w float[2] = 1 2 init o float[2] = 3 4 "
      "y = Add(x, w) z = Add(y, o) out z float[2]");
  const OrtValue *value, *again;
  OrtExternalInitializerInfo* external;
  OK(ort_ValueInfo_GetInitializerValue(reads(node_at(s.graph, 0), 1), &value));
  OK(ort_ValueInfo_GetInitializerValue(reads(node_at(s.graph, 0), 1), &again));
  assert_ptr_equal(value, again);
  const kp_value* w = kp_node_input(s.model->graph, &s.model->graph->nodes[0], 1);
  assert_ptr_equal(value->value->data, w->constant->data);
  assert_true(IS(reads(node_at(s.graph, 0), 1), ConstantInitializer));
  OK(ort_ValueInfo_GetExternalInitializerInfo(reads(node_at(s.graph, 0), 1), &external));
  assert_null(external);
  OK(ort_ValueInfo_GetInitializerValue(input(s.graph, 0), &value));
  assert_null(value);
  // An input with a default is an initializer that is not constant.
  assert_int_equal(COUNT(s.graph, Graph_GetNumInputs), 2);
  const OrtValueInfo* o = input(s.graph, 1);
  assert_true(IS(o, OptionalGraphInput) && !IS(o, RequiredGraphInput));
  assert_false(IS(o, ConstantInitializer));
  OK(ort_ValueInfo_GetInitializerValue(o, &value));
  assert_float_equal(((const float*)value->value->data)[1], 4, 0);
  assert_int_equal(COUNT(s.graph, Graph_GetNumInitializers), 2);
  end(&s);
}

static void absent_inputs_and_outputs_are_null(void** state) {
  (void)state;
  shown s = show(
      "in x float[2,2] init hi float[] = 1 y = Clip(x,,hi) init k int64[1] = 1 "
      ",i = TopK(y, k) out i int64[2,1]");
  const OrtNode *clip = node_of(s.graph, "Clip"), *topk = node_of(s.graph, "TopK");
  assert_int_equal(COUNT(clip, Node_GetNumInputs), 3);
  assert_null(reads(clip, 1));
  assert_non_null(reads(clip, 2));
  assert_int_equal(COUNT(topk, Node_GetNumOutputs), 2);
  assert_null(makes(topk, 0));
  end(&s);
}

// --- attributes ------------------------------------------------------------------------------------------------------------------
static void attributes_are_read_by_name(void** state) {
  (void)state;
  shown s = show(
      "in x float[1,1,4,4] init w float[1,1,3,3] = fill 1 "
      "y = Conv(x, w) auto_pad=\"SAME_UPPER\" strides=[1,2] "
      "f = ConstantOfShape(sh) value=float[1]{2.5} init sh int64[1] = 2 "
      "g = LeakyRelu(y) alpha=0.25 out g float out f float");
  const OrtNode *conv = node_of(s.graph, "Conv"), *fill = node_of(s.graph, "ConstantOfShape");
  const OrtOpAttr* attr;
  OrtOpAttrType type;
  char text[16];
  int64_t strides[2];
  float alpha;
  size_t size;
  OK(ort_Node_GetAttributeByName(conv, "strides", &attr));
  OK(ort_OpAttr_GetType(attr, &type));
  assert_int_equal(type, ORT_OP_ATTR_INTS);
  BAD(ort_ReadOpAttr(attr, type, NULL, 0, &size), ORT_INVALID_ARGUMENT, "large enough");
  assert_int_equal(size, 16);
  OK(ort_ReadOpAttr(attr, type, strides, size, &size));
  assert_true(strides[0] == 1 && strides[1] == 2);
  OK(ort_Node_GetAttributeByName(conv, "auto_pad", &attr));
  OK(ort_ReadOpAttr(attr, ORT_OP_ATTR_STRING, text, sizeof text, &size));
  assert_memory_equal(text, "SAME_UPPER", size);
  OK(ort_Node_GetAttributeByName(node_of(s.graph, "LeakyRelu"), "alpha", &attr));
  OK(ort_ReadOpAttr(attr, ORT_OP_ATTR_FLOAT, &alpha, sizeof alpha, &size));
  assert_float_equal(alpha, 0.25, 0);
  OrtValue* tensor;
  OK(ort_Node_GetAttributeByName(fill, "value", &attr));
  OK(ort_OpAttr_GetTensorAttributeAsOrtValue(attr, &tensor));
  assert_float_equal(*(const float*)tensor->value->data, 2.5, 0);
  ort_ReleaseValue(tensor);
  OK(ort_Node_GetAttributeByName(conv, "kernel_shape",
                                 &attr));  // the operator has it, the node not
  assert_null(attr);
  BAD(ort_Node_GetAttributeByName(conv, "colour", &attr), ORT_NOT_FOUND, "colour");
  // Left out, with a default: as if it were there.
  int64_t group;
  OK(ort_Node_GetAttributeByName(conv, "group", &attr));
  OK(ort_ReadOpAttr(attr, ORT_OP_ATTR_INT, &group, sizeof group, &size));
  assert_int_equal(group, 1);
  assert_int_equal(COUNT(conv, Node_GetNumAttributes), 3);
  end(&s);
}

// --- control flow ----------------------------------------------------------------------------------------------------------------
static const char kNested[] =
    "in c bool[] in x float[2] init k float[2] = 5 6 y = Neg(x) "
    "r = If(c) then_branch={ out a float[2] a = Add(y, k) } "
    "else_branch={ out b float[2] b = If(c) then_branch={ out d float[2] d = Mul(y, y) } "
    "else_branch={ out e float[2] e = Identity(k) } } out r float[2]";

static void bodies_have_parents_and_implicit_inputs(void** state) {
  (void)state;
  shown s = show(kNested);
  const OrtNode *parent, *outer = node_of(s.graph, "If"), *neg = node_of(s.graph, "Neg");
  const OrtGraph *then_graph = body_of(outer, "then_branch"),
                 *else_graph = body_of(outer, "else_branch"), *graph;
  OK(ort_Graph_GetParentNode(then_graph, &parent));
  assert_ptr_equal(parent, outer);
  OK(ort_Node_GetGraph(node_at(then_graph, 0), &graph));
  assert_ptr_equal(graph, then_graph);
  const OrtNode* inner = node_of(else_graph, "If");
  OK(ort_Graph_GetParentNode(body_of(inner, "then_branch"), &parent));
  assert_ptr_equal(parent, inner);
  // What bodies read is read by the node, at -1.
  const size_t implicit = COUNT(outer, Node_GetNumImplicitInputs);
  assert_true(implicit >= 2);
  bool found = false;
  for (size_t i = 0; i < implicit; ++i) found |= implied(outer, i) == makes(neg, 0);
  assert_true(found);
  const OrtNode* consumer;
  int64_t at;
  assert_int_equal(COUNT(makes(neg, 0), ValueInfo_GetValueNumConsumers), 1);
  OK(ort_ValueInfo_GetValueConsumers(makes(neg, 0), &consumer, &at, 1));
  assert_ptr_equal(consumer, outer);
  assert_int_equal(at, -1);
  // Inside it is of an outer scope, without a producer.
  const OrtNode* mul = node_of(body_of(inner, "then_branch"), "Mul");
  assert_true(IS(reads(mul, 0), FromOuterScope));
  assert_string_equal(name_of(reads(mul, 0)), "y");
  OK(ort_ValueInfo_GetValueProducer(reads(mul, 0), &parent, NULL));
  assert_null(parent);
  end(&s);
}

static const OrtValueInfo* deepest_k(const shown* s) {
  const OrtGraph* else_graph = body_of(node_of(s->graph, "If"), "else_branch");
  return reads(node_at(body_of(node_of(else_graph, "If"), "else_branch"), 0), 0);
}

// Constants of the graphs around are the body's own by then; what a run may replace is captured.
static void initializers_of_outer_scopes_are_seen(void** state) {
  (void)state;
  char text[sizeof kNested + 32];
  shown s = show(kNested);
  const OrtValueInfo* k = deepest_k(&s);
  const OrtValue* value;
  assert_true(IS(k, ConstantInitializer));
  OK(ort_ValueInfo_GetInitializerValue(k, &value));
  assert_float_equal(((const float*)value->value->data)[1], 6, 0);
  end(&s);
  snprintf(text, sizeof text, "in k float[2] %s", kNested);
  s = show(text);
  k = deepest_k(&s);
  assert_true(IS(k, FromOuterScope) && !IS(k, ConstantInitializer));
  OK(ort_ValueInfo_GetInitializerValue(k, &value));
  assert_float_equal(((const float*)value->value->data)[1], 6, 0);
  end(&s);
}

static void a_body_may_be_the_main_graph_of_a_view(void** state) {
  (void)state;
  kp_model* model = build(kNested);
  const kp_graph* main = model->graph;
  kp_node_id at = 0;
  while (strcmp(main->nodes[at].op, "If") != 0) ++at;
  kp_ort_view* view;
  OK(kp_ort_view_create(
      &(kp_ort_view_args){.graph = kp_node_body(&main->nodes[at], 0), .owner = "SomeProvider"},
      &view));
  const OrtNode *parent, *add = node_at(kp_ort_view_graph(view), 0);
  const char* name;
  OK(ort_Graph_GetParentNode(kp_ort_view_graph(view), &parent));
  assert_string_equal(op_of(parent), "If");
  assert_int_equal(COUNT(parent, Node_GetNumInputs), 1);
  assert_int_equal(kp_ort_view_node(view, parent), KP_NONE);
  OK(ort_Node_GetEpName(add, &name));
  assert_string_equal(name, "SomeProvider");
  assert_true(IS(reads(add, 1), ConstantInitializer));
  kp_ort_view_free(view);
  kp_model_free(model);
}

// --- parts and fused nodes -------------------------------------------------------------------------------------------------------
static void a_part_has_inputs_outputs_and_initializers(void** state) {
  (void)state;
  shown s = show(
      "in x float[2] init w float[2] = 1 2 init v float[2] = 3 4 a = Add(x, w) b = Relu(a) "
      "c = Mul(b, a) d = Sub(c, v) out d float[2]");
  const OrtNode* nodes[] = {node_of(s.graph, "Mul"), node_of(s.graph, "Relu")};
  OrtGraph *part, *smaller;
  OK(ort_Graph_GetGraphView(s.graph, nodes, 2, &part));
  assert_int_equal(COUNT(part, Graph_GetNumNodes), 2);
  assert_string_equal(op_of(node_at(part, 0)), "Relu");  // in the graph's order
  assert_int_equal(COUNT(part, Graph_GetNumInputs), 1);
  assert_string_equal(name_of(input(part, 0)), "a");
  assert_int_equal(COUNT(part, Graph_GetNumOutputs), 1);
  assert_string_equal(name_of(output(part, 0)), "c");
  assert_int_equal(COUNT(part, Graph_GetNumInitializers), 0);
  assert_true(IS(input(part, 0), RequiredGraphInput) && IS(output(part, 0), GraphOutput));
  assert_int_equal(COUNT(input(part, 0), ValueInfo_GetValueNumConsumers), 2);
  assert_int_equal(COUNT(output(part, 0), ValueInfo_GetValueNumConsumers), 0);
  // Nodes of a part are those of the graph to the host.
  assert_int_equal(kp_ort_view_node(s.view, node_at(part, 0)), kp_ort_view_node(s.view, nodes[1]));
  BAD(ort_Graph_GetGraphView(part, nodes, 2, &smaller), ORT_INVALID_ARGUMENT, "not of that graph");
  nodes[0] = node_at(part, 1);
  OK(ort_Graph_GetGraphView(part, nodes, 1, &smaller));
  assert_int_equal(COUNT(smaller, Graph_GetNumInputs), 2);
  ort_ReleaseGraph(smaller);
  ort_ReleaseGraph(part);
  ort_ReleaseGraph((OrtGraph*)(uintptr_t)s.graph);  // the view's: stays
  nodes[0] = node_of(s.graph, "Sub");
  OK(ort_Graph_GetGraphView(s.graph, nodes, 1, &part));
  assert_int_equal(COUNT(part, Graph_GetNumInitializers), 1);
  assert_int_equal(COUNT(part, Graph_GetNumInputs), 1);
  ort_ReleaseGraph(part);
  BAD(ort_Graph_GetGraphView(s.graph, nodes, 0, &part), ORT_INVALID_ARGUMENT, "no nodes");
  end(&s);
}

static void a_fused_node_stands_for_the_graph(void** state) {
  (void)state;
  shown s = show("in x float[2] init w float[2] = 1 2 y = Add(x, w) out y float[2]");
  shown dropped = show("in x float[2] init w float[2] = 1 2 y = Add(x, w) out y float[2]");
  const OrtNode *with, *without;
  const char* text;
  OK(kp_ort_view_fuse(s.view, "fused_1", "SomeProvider", false, &with));
  OK(kp_ort_view_fuse(dropped.view, "fused_2", "SomeProvider", true, &without));
  assert_int_equal(COUNT(s.graph, Graph_GetNumInputs), 2);
  assert_true(IS(input(s.graph, 1), ConstantInitializer) &&
              IS(input(s.graph, 1), OptionalGraphInput));
  assert_int_equal(COUNT(dropped.graph, Graph_GetNumInputs), 1);
  assert_false(IS(initializer(dropped.graph, 0), OptionalGraphInput));
  assert_int_equal(COUNT(with, Node_GetNumInputs), 2);
  assert_ptr_equal(reads(with, 1), initializer(s.graph, 0));
  assert_int_equal(COUNT(without, Node_GetNumInputs), 1);
  assert_ptr_equal(makes(with, 0), output(s.graph, 0));
  OK(ort_Node_GetName(with, &text));
  assert_string_equal(text, "fused_1");
  OK(ort_Node_GetEpName(with, &text));
  assert_string_equal(text, "SomeProvider");
  assert_int_equal(COUNT(with, Node_GetNumAttributes), 0);
  assert_int_equal(kp_ort_view_node(s.view, with), KP_NONE);
  end(&dropped);
  end(&s);
}

// --- what libraries answer -------------------------------------------------------------------------------------------------------
static void groups_are_collected(void** state) {
  (void)state;
  shown s = show("in x float[2] a = Neg(x) b = Relu(a) c = Abs(b) out c float[2]"),
        other = show(kNested);
  OrtEpGraphSupportInfo support = {.view = s.view};
  const OrtNodeFusionOptions options = {.ort_version_supported = 23,
                                        .drop_constant_initializers = true};
  const OrtNode* nodes[] = {node_at(s.graph, 1), node_at(s.graph, 0), node_at(s.graph, 1)};
  OK(ort_ep_EpGraphSupportInfo_AddNodesToFuse(&support, nodes, 3, &options));
  OK(ort_ep_EpGraphSupportInfo_AddSingleNode(&support, node_at(s.graph, 2)));
  BAD(ort_ep_EpGraphSupportInfo_AddNodesToFuse(&support, nodes, 0, NULL), ORT_INVALID_ARGUMENT,
      "no nodes");
  nodes[1] = node_at(other.graph, 0);
  BAD(ort_ep_EpGraphSupportInfo_AddNodesToFuse(&support, nodes, 3, NULL), ORT_INVALID_ARGUMENT,
      "not of the graph");
  nodes[1] = NULL;
  BAD(ort_ep_EpGraphSupportInfo_AddNodesToFuse(&support, nodes, 3, NULL), ORT_INVALID_ARGUMENT,
      "NULL");
  BAD(ort_ep_EpGraphSupportInfo_AddSingleNode(&support, NULL), ORT_INVALID_ARGUMENT, "NULL");
  assert_int_equal(support.count, 2);
  assert_int_equal(support.groups[0].count, 2);
  assert_int_equal(support.groups[0].nodes[1], 1);
  assert_true(support.groups[0].fuse && support.groups[0].drop_constants);
  assert_false(support.groups[1].fuse);
  kp_ort_support_clear(&support);
  end(&other);
  end(&s);
}

static void nodes_that_the_model_does_not_mean_are_hidden(void** state) {
  (void)state;
  kp_model* model = build("in x float[2,3] y = Softmax(x) axis=1 out y float[2,3]");
  kp_node* node = &model->graph->nodes[0];
  node->version = 11;  // as from a function that imports it
  node->schema = kp_schema_find(kp_str_of(""), kp_str_of("Softmax"), 11);
  kp_ort_view* view;
  const char* domain;
  OK(kp_ort_view_create(&(kp_ort_view_args){.graph = model->graph}, &view));
  OK(ort_Node_GetDomain(kp_ort_view_handle(view, 0), &domain));
  assert_string_equal(domain, "kapell");
  kp_ort_view_free(view);
  kp_model_free(model);
}

// --- misuse, memory, time --------------------------------------------------------------------------------------------------------
static void misuse_is_refused(void** state) {
  (void)state;
  shown s = show("in x float[2] y = Add(x, x) out y float[2]");
  const OrtNode *nodes[2], *add = node_at(s.graph, 0);
  const OrtValueInfo* values[2];
  int64_t at[2];
  size_t count;
  bool is;
  BAD(ort_Graph_GetNodes(s.graph, nodes, 0), ORT_INVALID_ARGUMENT, "there are 1");
  BAD(ort_Graph_GetNodes(s.graph, NULL, 1), ORT_INVALID_ARGUMENT, "NULL");
  BAD(ort_Graph_GetNodes(NULL, nodes, 1), ORT_INVALID_ARGUMENT, "graph is NULL");
  BAD(ort_Graph_GetNumNodes(s.graph, NULL), ORT_INVALID_ARGUMENT, "count is NULL");
  BAD(ort_Node_GetInputs(add, values, 1), ORT_INVALID_ARGUMENT, "there are 2");
  BAD(ort_Node_GetInputs(NULL, values, 1), ORT_INVALID_ARGUMENT, "node is NULL");
  BAD(ort_Node_GetNumInputs(add, NULL), ORT_INVALID_ARGUMENT, "count is NULL");
  BAD(ort_Node_GetName(add, NULL), ORT_INVALID_ARGUMENT, "out is NULL");
  BAD(ort_ValueInfo_GetValueConsumers(reads(add, 0), nodes, at, 1), ORT_INVALID_ARGUMENT,
      "there are 2");
  BAD(ort_ValueInfo_GetValueConsumers(reads(add, 0), nodes, NULL, 2), ORT_INVALID_ARGUMENT, "NULL");
  BAD(ort_ValueInfo_IsGraphOutput(NULL, &is), ORT_INVALID_ARGUMENT, "NULL");
  BAD(ort_ValueInfo_GetValueNumConsumers(NULL, &count), ORT_INVALID_ARGUMENT, "NULL");
  BAD(ort_GetValueInfoTypeInfo(NULL, NULL), ORT_INVALID_ARGUMENT, "NULL");
  BAD(ort_Node_GetSubgraphs(NULL, NULL, 0, NULL), ORT_INVALID_ARGUMENT, "NULL");
  OK(ort_Node_GetSubgraphs(add, NULL, 0, NULL));
  // Handles of a view are not for the model editor.
  OrtGraph* graph = (OrtGraph*)(uintptr_t)s.graph;
  BAD(ort_editor_SetGraphInputs(graph, NULL, 0), ORT_INVALID_ARGUMENT, "not to be changed");
  BAD(ort_editor_AddNodeToGraph(graph, (OrtNode*)(uintptr_t)add), ORT_INVALID_ARGUMENT,
      "not to be changed");
  ort_ReleaseNode((OrtNode*)(uintptr_t)add);
  ort_ReleaseValueInfo((OrtValueInfo*)(uintptr_t)reads(add, 0));
  end(&s);
}

// Asks everything there is of |graph| and its bodies; stops at the first error.
static OrtStatus* ask_value(const OrtValueInfo* value) {
  const OrtTypeInfo* type;
  const OrtValue* initial;
  size_t count;
  if (!value) return NULL;
  KP_ORT_PASS(ort_GetValueInfoTypeInfo(value, &type));
  KP_ORT_PASS(ort_ValueInfo_GetInitializerValue(value, &initial));
  return ort_ValueInfo_GetValueNumConsumers(value, &count);
}

static OrtStatus* ask(const OrtGraph* graph) {
  const OrtNode* nodes[8];
  const OrtValueInfo* values[8];
  const OrtGraph* bodies[2];
  size_t count, node_count;
  KP_ORT_PASS(ort_Graph_GetNumNodes(graph, &node_count));
  KP_ORT_PASS(ort_Graph_GetNodes(graph, nodes, 8));
  for (size_t n = 0; n < node_count; ++n) {
    KP_ORT_PASS(ort_Node_GetNumInputs(nodes[n], &count));
    KP_ORT_PASS(ort_Node_GetInputs(nodes[n], values, 8));
    for (size_t i = 0; i < count; ++i) KP_ORT_PASS(ask_value(values[i]));
    KP_ORT_PASS(ort_Node_GetNumSubgraphs(nodes[n], &count));
    KP_ORT_PASS(ort_Node_GetSubgraphs(nodes[n], bodies, 2, NULL));
    for (size_t i = 0; i < count; ++i) KP_ORT_PASS(ask(bodies[i]));
  }
  return NULL;
}

static void memory_that_runs_out_is_an_error(void** state) {
  (void)state;
  kp_model* model = build(kNested);
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    const int64_t live = kp_alloc_live();
    kp_ort_view* view = NULL;
    OrtGraph* part = NULL;
    kp_alloc_fail_at(nth);
    OrtStatus* status = kp_ort_view_create(&(kp_ort_view_args){.graph = model->graph}, &view);
    if (!status) status = ask(kp_ort_view_graph(view));
    const OrtNode* node = status ? NULL : kp_ort_view_handle(view, 0);
    if (node) status = ort_Graph_GetGraphView(kp_ort_view_graph(view), &node, 1, &part);
    if (part) status = ask(part);
    failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    assert_true(failed ? status != NULL : status == NULL);
    ort_ReleaseStatus(status);
    ort_ReleaseGraph(part);
    kp_ort_view_free(view);
    assert_int_equal(kp_alloc_live(), live);
  }
  kp_model_free(model);
}

static void lists_have_defaults_too(void** state) {
  (void)state;
  shown s = show(
      "in x float[1,2,3,3] m = MeanVarianceNormalization(x) in q float[2,1,3] init w float[1,4,3] "
      "= fill 1 "
      "init r float[1,4,4] = fill 1 y = RNN(q, w, r) hidden_size=4 out m float out y float");
  const OrtOpAttr* attr;
  char text[16];
  int64_t axes[3];
  size_t size;
  OK(ort_Node_GetAttributeByName(node_of(s.graph, "MeanVarianceNormalization"), "axes", &attr));
  OK(ort_ReadOpAttr(attr, ORT_OP_ATTR_INTS, axes, sizeof axes, &size));
  assert_int_equal(axes[1], 2);
  OK(ort_Node_GetAttributeByName(node_of(s.graph, "RNN"), "activations", &attr));
  OK(ort_ReadOpAttr(attr, ORT_OP_ATTR_STRINGS, text, sizeof text, &size));
  assert_memory_equal(text, "Tanh\0Tanh", 10);
  end(&s);
}

static void* ask_all(void* graph) {
  OrtStatus* status = NULL;
  for (int i = 0; i < 20 && !status; ++i) status = ask(graph);
  return status;
}

static void threads_may_ask_at_once(void** state) {
  (void)state;
  for (int round = 0; round < 20; ++round) {
    shown s = show(kNested);
    pthread_t threads[4];
    void* failures[4];
    for (int i = 0; i < 4; ++i)
      assert_int_equal(pthread_create(&threads[i], NULL, ask_all, (void*)(uintptr_t)s.graph), 0);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], &failures[i]);
    for (int i = 0; i < 4; ++i) assert_null(failures[i]);
    end(&s);
  }
}

static kp_model* build_chain(uint32_t count) {
  kp_model* model;
  kp_value_id value;
  kp_test_must(kp_model_create(&model));
  kp_test_must(kp_graph_create(model, &model->graph));
  kp_test_must(kp_graph_add_value(model->graph, "x", &value));
  kp_test_must(kp_graph_add_input(model->graph, value));
  for (uint32_t i = 0; i < count; ++i) {
    kp_value_id output = KP_NONE;
    kp_node_id id;
    const kp_node_spec spec = {.name = "n",
                               .op = "Neg",
                               .domain = "",
                               .version = 13,
                               .inputs = &value,
                               .input_count = 1,
                               .outputs = &output,
                               .output_count = 1};
    kp_test_must(kp_graph_add_node(model->graph, &spec, NULL, 0, NULL, &id));
    value = model->graph->nodes[id].outputs[0];
  }
  kp_test_must(kp_graph_add_output(model->graph, value));
  kp_test_must(kp_graph_order(model->graph));
  return model;
}

static void large_graphs_are_shown_at_once(void** state) {
  (void)state;
  enum { COUNT_OF_NODES = 40000 };
  kp_model* model = build_chain(COUNT_OF_NODES);
  const OrtNode** nodes = malloc(COUNT_OF_NODES * sizeof *nodes);
  kp_ort_view* view;
  const uint64_t start = kp_clock_ns();
  OK(kp_ort_view_create(&(kp_ort_view_args){.graph = model->graph}, &view));
  OK(ort_Graph_GetNodes(kp_ort_view_graph(view), nodes, COUNT_OF_NODES));
  const uint64_t shown_ns = kp_clock_ns() - start;
  for (size_t n = 0; n < COUNT_OF_NODES; ++n) {
    const OrtValueInfo* value;
    OK(ort_Node_GetInputs(nodes[n], &value, 1));
    OK(ask_value(value));
  }
  const uint64_t asked_ns = kp_clock_ns() - start;
  print_message("40000 nodes: shown in %.1f ms, all asked in %.1f ms\n", (double)shown_ns / 1e6,
                (double)asked_ns / 1e6);
  if (!KP_SLOWED) assert_true(shown_ns < 100000000 && asked_ns < 1000000000);
  kp_ort_view_free(view);
  free((void*)(uintptr_t)nodes);
  kp_model_free(model);
}

// --- what clients make -----------------------------------------------------------------------------------------------------------
static OrtValueInfo* made_value(const char* name) {
  OrtTensorTypeAndShapeInfo* shape;
  OrtTypeInfo* type;
  OrtValueInfo* value;
  const int64_t dims[] = {2};
  OK(ort_CreateTensorTypeAndShapeInfo(&shape));
  OK(ort_SetTensorElementType(shape, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
  OK(ort_SetDimensions(shape, dims, 1));
  OK(ort_editor_CreateTensorTypeInfo(shape, &type));
  OK(ort_editor_CreateValueInfo(name, type, &value));
  ort_ReleaseTypeInfo(type);
  ort_ReleaseTensorTypeAndShapeInfo(shape);
  return value;
}

static OrtNode* made_node(const char* op, const char* a, const char* b, const char* y) {
  const char* inputs[] = {a, b};
  OrtNode* node;
  OK(ort_editor_CreateNode(op, "", y, inputs, b ? 2 : 1, &y, 1, NULL, 0, &node));
  return node;
}

static OrtModel* made_model(OrtGraph** out_graph) {
  OrtValue* tensor;
  OrtModel* model;
  OrtGraph* graph;
  OrtValueInfo *x = made_value("x"), *z = made_value("z");
  const int64_t dims[] = {2};
  const char* domain = "";
  const int version = 17;
  OK(ort_editor_CreateGraph(&graph));
  OK(ort_editor_SetGraphInputs(graph, &x, 1));
  OK(ort_editor_SetGraphOutputs(graph, &z, 1));
  OK(ort_CreateTensorAsOrtValue(&kp_ort_cpu_allocator, dims, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                &tensor));
  OK(ort_editor_AddInitializerToGraph(graph, "w", tensor, false));
  OK(ort_editor_AddNodeToGraph(graph, made_node("Add", "x", "w", "y")));
  OK(ort_editor_AddNodeToGraph(graph, made_node("Clip", "y", "", "z")));
  OK(ort_editor_CreateModel(&domain, &version, 1, &model));
  OK(ort_editor_AddGraphToModel(model, graph));
  *out_graph = graph;
  return model;
}

static void made_graphs_answer_too(void** state) {
  (void)state;
  OrtGraph* graph;
  OrtModel* model = made_model(&graph);
  assert_int_equal(COUNT(graph, Graph_GetNumNodes), 2);
  assert_int_equal(COUNT(graph, Graph_GetNumInitializers), 1);
  assert_int_equal(COUNT(graph, Graph_GetNumOperatorSets), 1);
  const OrtNode *add = node_at(graph, 0), *clip = node_at(graph, 1), *producer, *consumer;
  const OrtValue* value;
  const OrtTypeInfo* type;
  int64_t at;
  int since;
  assert_ptr_equal(reads(add, 0), input(graph, 0));
  assert_ptr_equal(makes(clip, 0), output(graph, 0));
  assert_null(reads(clip, 1));
  const OrtValueInfo* y = makes(add, 0);
  OK(ort_ValueInfo_GetValueProducer(y, &producer, NULL));
  assert_ptr_equal(producer, add);
  OK(ort_ValueInfo_GetValueConsumers(y, &consumer, &at, 1));
  assert_ptr_equal(consumer, clip);
  assert_true(IS(input(graph, 0), RequiredGraphInput) && IS(output(graph, 0), GraphOutput));
  assert_true(IS(reads(add, 1), ConstantInitializer));
  OK(ort_ValueInfo_GetInitializerValue(reads(add, 1), &value));
  assert_non_null(value);
  OK(ort_GetValueInfoTypeInfo(reads(add, 1), &type));
  assert_int_equal(type->tensor.rank, 1);
  OK(ort_GetValueInfoTypeInfo(y, &type));
  assert_int_equal(type->type, ONNX_TYPE_UNKNOWN);
  OK(ort_Node_GetSinceVersion(clip, &since));
  assert_int_equal(since, 13);
  // A change leaves handles as they are.
  OK(ort_editor_AddNodeToGraph(graph, made_node("Neg", "y", NULL, "v")));
  assert_int_equal(COUNT(graph, Graph_GetNumNodes), 3);
  assert_ptr_equal(makes(add, 0), y);
  assert_int_equal(COUNT(y, ValueInfo_GetValueNumConsumers), 2);
  OrtValueInfo* v = made_value("v");
  OK(ort_editor_SetGraphOutputs(graph, &v, 1));
  assert_ptr_equal(makes(node_at(graph, 2), 0), v);
  assert_true(IS(v, GraphOutput));
  ort_ReleaseModel(model);
}

static void made_objects_outside_of_graphs_say_so(void** state) {
  (void)state;
  OrtNode* node = made_node("Relu", "x", NULL, "y");
  OrtValueInfo* x = made_value("x");
  const OrtGraph* graph = (const OrtGraph*)x;
  OrtGraph *empty, *part;
  size_t count;
  bool is;
  BAD(ort_Node_GetNumInputs(node, &count), ORT_INVALID_ARGUMENT, "in no graph yet");
  BAD(ort_ValueInfo_IsGraphOutput(x, &is), ORT_INVALID_ARGUMENT, "in no graph yet");
  OK(ort_Node_GetGraph(node, &graph));
  assert_null(graph);
  OK(ort_Node_GetNumAttributes(node, &count));
  assert_int_equal(count, 0);
  OK(ort_editor_CreateGraph(&empty));
  OK(ort_editor_AddNodeToGraph(empty, node));
  BAD(ort_editor_AddNodeToGraph(empty, node), ORT_INVALID_ARGUMENT, "already");
  assert_int_equal(COUNT(node, Node_GetNumInputs), 1);
  BAD(ort_Graph_GetGraphView(empty, (const OrtNode**)(uintptr_t)&node, 1, &part),
      ORT_NOT_IMPLEMENTED, "still being made");
  ort_ReleaseGraph(empty);
  ort_ReleaseValueInfo(x);
}

static void memory_devices_are_what_infos_say(void** state) {
  (void)state;
  OrtMemoryInfo *a, *b, *c;
  OK(ort_CreateMemoryInfo_V2("A", OrtMemoryInfoDeviceType_GPU, 0x10de, 1, 0, 0, 0, &a));
  OK(ort_CreateMemoryInfo_V2("B", OrtMemoryInfoDeviceType_GPU, 0x10de, 1, 0, 0, 1, &b));
  OK(ort_CreateMemoryInfo_V2("A", OrtMemoryInfoDeviceType_GPU, 0x10de, 2, 0, 0, 0, &c));
  const OrtMemoryDevice* device = ort_ep_MemoryInfo_GetMemoryDevice(a);
  assert_true(ort_ep_MemoryDevice_AreEqual(device, ort_ep_MemoryInfo_GetMemoryDevice(b)));
  assert_false(ort_ep_MemoryDevice_AreEqual(device, ort_ep_MemoryInfo_GetMemoryDevice(c)));
  assert_int_equal(ort_ep_MemoryDevice_GetDeviceType(device), OrtMemoryInfoDeviceType_GPU);
  assert_int_equal(ort_ep_MemoryDevice_GetVendorId(device), 0x10de);
  assert_int_equal(ort_ep_MemoryDevice_GetDeviceId(device), 1);
  assert_int_equal(ort_ep_MemoryDevice_GetMemoryType(device), OrtDeviceMemoryType_DEFAULT);
  assert_null(ort_ep_Value_GetMemoryDevice(NULL));
  ort_ReleaseMemoryInfo(a);
  ort_ReleaseMemoryInfo(b);
  ort_ReleaseMemoryInfo(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_graph_has_its_lists),
      cmocka_unit_test(opsets_are_those_of_the_model_and_the_known_ones),
      cmocka_unit_test(values_know_who_makes_and_reads_them),
      cmocka_unit_test(types_have_dims_and_symbols),
      cmocka_unit_test(initializers_lend_their_data),
      cmocka_unit_test(absent_inputs_and_outputs_are_null),
      cmocka_unit_test(attributes_are_read_by_name),
      cmocka_unit_test(bodies_have_parents_and_implicit_inputs),
      cmocka_unit_test(initializers_of_outer_scopes_are_seen),
      cmocka_unit_test(a_body_may_be_the_main_graph_of_a_view),
      cmocka_unit_test(a_part_has_inputs_outputs_and_initializers),
      cmocka_unit_test(a_fused_node_stands_for_the_graph),
      cmocka_unit_test(groups_are_collected),
      cmocka_unit_test(nodes_that_the_model_does_not_mean_are_hidden),
      cmocka_unit_test(misuse_is_refused),
      cmocka_unit_test(memory_that_runs_out_is_an_error),
      cmocka_unit_test(lists_have_defaults_too),
      cmocka_unit_test(threads_may_ask_at_once),
      cmocka_unit_test(large_graphs_are_shown_at_once),
      cmocka_unit_test(made_graphs_answer_too),
      cmocka_unit_test(made_objects_outside_of_graphs_say_so),
      cmocka_unit_test(memory_devices_are_what_infos_say),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
