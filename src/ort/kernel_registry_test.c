// Tests of kernel definitions, registries, and of finding the kernel for a node.
#include "ort/kernel_registry.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "ort/kernel.h"

static void ok(kp_status* status) {
  if (status) fail_msg("%s", kp_status_text(status));
}

static void good(OrtStatus* status) {
  if (status) fail_msg("%s", ort_GetErrorMessage(status));
}

static void assert_refused(OrtStatus* status, OrtErrorCode code, const char* words) {
  assert_non_null(status);
  assert_int_equal(ort_GetErrorCode(status), code);
  if (!strstr(ort_GetErrorMessage(status), words))
    fail_msg("no '%s' in: %s", words, ort_GetErrorMessage(status));
  ort_ReleaseStatus(status);
}

// --- making things --------------------------------------------------------------------------------------------------------------
static const OrtEpApi* ep_api(void) { return kp_ort_tables_get()->ep; }

static OrtStatus* create_nothing(void* state, const OrtKernelInfo* info, OrtKernelImpl** kernel) {
  (void)state;
  (void)info;
  *kernel = NULL;
  return NULL;
}

typedef struct wanted {
  const char *op, *domain;
  int since, until;
  const char* argument;  // NULL: no constraint
  ONNXTensorElementDataType types[3];
} wanted;

static OrtKernelDefBuilder* build(const wanted* w) {
  const OrtEpApi* api = ep_api();
  OrtKernelDefBuilder* builder;
  good(api->CreateKernelDefBuilder(&builder));
  good(api->KernelDefBuilder_SetOperatorType(builder, w->op));
  good(api->KernelDefBuilder_SetDomain(builder, w->domain));
  good(api->KernelDefBuilder_SetSinceVersion(builder, w->since, w->until));
  good(api->KernelDefBuilder_SetExecutionProvider(builder, "TestProvider"));
  const OrtDataType* types[3];
  size_t count = 0;
  for (; count < 3 && w->types[count]; ++count)
    good(api->GetTensorDataType(w->types[count], &types[count]));
  if (w->argument)
    good(api->KernelDefBuilder_AddTypeConstraint(builder, w->argument, types, count));
  return builder;
}

static OrtStatus* add(OrtKernelRegistry* registry, const wanted* w) {
  OrtKernelDefBuilder* builder = build(w);
  OrtKernelDef* def;
  good(ep_api()->KernelDefBuilder_Build(builder, &def));
  ep_api()->ReleaseKernelDefBuilder(builder);
  OrtStatus* status = ep_api()->KernelRegistry_AddKernel(registry, def, create_nothing, NULL);
  ep_api()->ReleaseKernelDef(def);
  return status;
}

static kp_value_id tensor(kp_graph* graph, kapell_type type) {
  kp_value_id id;
  ok(kp_graph_add_value(graph, NULL, &id));
  graph->values[id].type = (kp_type){.kind = KAPELL_KIND_TENSOR, .element = type, .rank = -1};
  return id;
}

static const kp_node* node_of(kp_graph* graph, const char* op, int32_t version,
                              const kapell_type* inputs, uint32_t count, kapell_type output) {
  kp_value_id ins[8], outs[1] = {tensor(graph, output)};
  for (uint32_t i = 0; i < count; ++i)
    ins[i] = inputs[i] == KAPELL_UNDEFINED ? KP_NONE : tensor(graph, inputs[i]);
  kp_node_spec spec = {.op = op,
                       .domain = "",
                       .version = version,
                       .inputs = ins,
                       .input_count = count,
                       .outputs = outs,
                       .output_count = 1};
  kp_node_id id;
  const kp_origin origin = {.name = "", .op = op, .domain = "", .path = ""};
  uint32_t index;
  ok(kp_model_add_origin(graph->model, &origin, &index));
  ok(kp_graph_add_node(graph, &spec, &index, 1, NULL, &id));
  return &graph->nodes[id];
}

typedef struct scene {
  kp_model* model;
  OrtKernelRegistry* registry;
} scene;

static int set_up(void** state) {
  static scene s;
  ok(kp_model_create(&s.model));
  ok(kp_graph_create(s.model, &s.model->graph));
  good(ep_api()->CreateKernelRegistry(&s.registry));
  *state = &s;
  return 0;
}

static int tear_down(void** state) {
  scene* s = *state;
  ep_api()->ReleaseKernelRegistry(s->registry);
  kp_model_free(s->model);
  return 0;
}

static const kp_ort_kernel* find(const scene* s, const kp_node* node, const char* words) {
  kp_strbuf why = {0};
  const kp_ort_kernel* found = kp_ort_registry_find(s->registry, s->model->graph, node, &why);
  if (words) {
    assert_null(found);
    if (!why.data || !strstr(why.data, words))
      fail_msg("no '%s' in: %s", words, why.data ? why.data : "");
  } else if (why.data && why.data[0]) {
    fail_msg("words for a kernel that there is: %s", why.data);
  }
  kp_strbuf_free(&why);
  return found;
}

#define F32 ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
#define F16 ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
#define I64 ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64

// --- tests -----------------------------------------------------------------------------------------------------------------------
static void test_definition_tells_what_was_set(void** state) {
  (void)state;
  const OrtEpApi* api = ep_api();
  OrtKernelDefBuilder* builder = build(&(wanted){"Reshape", "ai.onnx", 5, 13, "T", {F32}});
  good(api->KernelDefBuilder_SetInputMemType(builder, 1, OrtMemTypeDefault));
  good(api->KernelDefBuilder_SetInputMemType(builder, 1, OrtMemTypeCPUInput));
  good(api->KernelDefBuilder_SetOutputMemType(builder, 0, OrtMemTypeCPUOutput));
  const int zero = 0, two = 2;
  good(api->KernelDefBuilder_AddInputOutputMutableAliases(builder, &two, &zero, 1));
  OrtKernelDef *def, *second;
  good(api->KernelDefBuilder_Build(builder, &def));
  good(api->KernelDefBuilder_AddInputOutputAliases(builder, &zero, &zero, 1));
  good(api->KernelDefBuilder_SetOperatorType(builder, "Flatten"));
  good(api->KernelDefBuilder_Build(builder, &second));
  api->ReleaseKernelDefBuilder(builder);
  assert_string_equal(api->KernelDef_GetOperatorType(def), "Reshape");
  assert_string_equal(api->KernelDef_GetOperatorType(second), "Flatten");
  assert_string_equal(api->KernelDef_GetDomain(def), "");
  assert_string_equal(api->KernelDef_GetExecutionProvider(def), "TestProvider");
  int first, last;
  good(api->KernelDef_GetSinceVersion(def, &first, &last));
  assert_int_equal(first, 5);
  assert_int_equal(last, 13);
  OrtMemType memory;
  good(api->KernelDef_GetInputMemType(def, 1, &memory));
  assert_int_equal(memory, OrtMemTypeCPUInput);
  good(api->KernelDef_GetInputMemType(def, 7, &memory));
  assert_int_equal(memory, OrtMemTypeDefault);
  good(api->KernelDef_GetOutputMemType(def, 0, &memory));
  assert_int_equal(memory, OrtMemTypeCPUOutput);
  assert_true(kp_ort_def_on_host(def, false, 1) && !kp_ort_def_on_host(def, false, 0));
  assert_int_equal(kp_ort_def_alias(def, 0), -1);  // a kernel may write over that one
  assert_int_equal(kp_ort_def_alias(second, 0), 0);
  api->ReleaseKernelDef(def);
  api->ReleaseKernelDef(second);
}

static void test_misuse_is_told(void** state) {
  const scene* s = *state;
  const OrtEpApi* api = ep_api();
  OrtKernelDefBuilder* builder;
  OrtKernelDef* def = NULL;
  const OrtDataType* type;
  const int minus = -1;
  good(api->CreateKernelDefBuilder(&builder));
  assert_refused(api->KernelDefBuilder_Build(builder, &def), ORT_INVALID_ARGUMENT, "operator type");
  good(api->KernelDefBuilder_SetOperatorType(builder, "Add"));
  assert_refused(api->KernelDefBuilder_Build(builder, &def), ORT_INVALID_ARGUMENT,
                 "execution provider");
  good(api->KernelDefBuilder_SetExecutionProvider(builder, "P"));
  assert_refused(api->KernelDefBuilder_Build(builder, &def), ORT_INVALID_ARGUMENT, "version");
  assert_null(def);
  assert_refused(api->KernelDefBuilder_SetSinceVersion(builder, 8, 7), ORT_INVALID_ARGUMENT,
                 "range");
  assert_refused(api->KernelDefBuilder_SetInputMemType(builder, 0, (OrtMemType)3),
                 ORT_INVALID_ARGUMENT, "memory type");
  assert_refused(api->KernelDefBuilder_AddInputOutputAliases(builder, &minus, &minus, 1),
                 ORT_INVALID_ARGUMENT, "alias");
  assert_refused(api->KernelDefBuilder_SetDomain(builder, NULL), ORT_INVALID_ARGUMENT, "NULL");
  assert_refused(api->GetTensorDataType(ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, &type),
                 ORT_INVALID_ARGUMENT, "element type");
  assert_refused(api->GetTensorDataType((ONNXTensorElementDataType)999, &type),
                 ORT_INVALID_ARGUMENT, "999");
  assert_refused(api->KernelRegistry_AddKernel(s->registry, NULL, create_nothing, NULL),
                 ORT_INVALID_ARGUMENT, "NULL");
  api->ReleaseKernelDefBuilder(builder);
  api->ReleaseKernelDefBuilder(NULL);
  api->ReleaseKernelDef(NULL);
  api->ReleaseKernelRegistry(NULL);
  api->ReleaseKernelImpl(NULL);
}

static void test_types_are_constant(void** state) {
  (void)state;
  const OrtDataType *a, *b, *c;
  good(ep_api()->GetTensorDataType(F32, &a));
  good(ep_api()->GetTensorDataType(F32, &b));
  good(ep_api()->GetTensorDataType(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0, &c));
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
}

static void test_version_decides(void** state) {
  const scene* s = *state;
  kp_graph* graph = s->model->graph;
  const kapell_type two[] = {KAPELL_FLOAT, KAPELL_FLOAT};
  good(add(s->registry, &(wanted){"Add", "", 7, 13, "T", {F32}}));
  good(add(s->registry, &(wanted){"Add", "", 14, INT_MAX, "T", {F32}}));
  good(add(s->registry, &(wanted){"Sub", "", 7, 12, "T", {F32}}));
  good(add(s->registry, &(wanted){"Mul", "", 6, INT_MAX, "T", {F32}}));
  const kp_ort_kernel* old = find(s, node_of(graph, "Add", 13, two, 2, KAPELL_FLOAT), NULL);
  const kp_ort_kernel* fresh = find(s, node_of(graph, "Add", 20, two, 2, KAPELL_FLOAT), NULL);
  assert_non_null(old);
  assert_non_null(fresh);
  assert_ptr_not_equal(old->def, fresh->def);
  // Sub of opset 13 is another operator than that of 12; a definition without an end is for one version of the operator.
  assert_non_null(find(s, node_of(graph, "Sub", 12, two, 2, KAPELL_FLOAT), NULL));
  find(s, node_of(graph, "Sub", 13, two, 2, KAPELL_FLOAT), "version 13");
  assert_non_null(find(s, node_of(graph, "Mul", 6, two, 2, KAPELL_FLOAT), NULL));
  find(s, node_of(graph, "Mul", 14, two, 2, KAPELL_FLOAT), "version 14");
  find(s, node_of(graph, "Div", 14, two, 2, KAPELL_FLOAT), "no kernel for this operator");
  find(s, node_of(graph, "Nonesuch", 14, two, 2, KAPELL_FLOAT), "no table");
}

static void test_types_decide(void** state) {
  const scene* s = *state;
  kp_graph* graph = s->model->graph;
  const kapell_type floats[] = {KAPELL_FLOAT}, ints[] = {KAPELL_INT64};
  good(add(s->registry, &(wanted){"Cast", "", 13, 18, "T1", {F32, F16}}));
  good(add(s->registry, &(wanted){"Abs", "", 13, INT_MAX, "X", {F32}}));
  good(add(s->registry, &(wanted){"Neg", "", 13, INT_MAX, "Tfoo", {F32}}));
  good(add(s->registry, &(wanted){"Relu", "", 14, INT_MAX, NULL, {0}}));
  assert_non_null(find(s, node_of(graph, "Cast", 13, floats, 1, KAPELL_INT64), NULL));
  find(s, node_of(graph, "Cast", 13, ints, 1, KAPELL_FLOAT), "takes no T1");
  assert_non_null(find(s, node_of(graph, "Abs", 13, floats, 1, KAPELL_FLOAT), NULL));
  find(s, node_of(graph, "Abs", 13, ints, 1, KAPELL_INT64), "takes no X");
  find(s, node_of(graph, "Neg", 13, floats, 1, KAPELL_FLOAT), "'Tfoo'");
  assert_non_null(find(s, node_of(graph, "Relu", 14, ints, 1, KAPELL_INT64), NULL));
  const kapell_type unknown[] = {KAPELL_STRING};
  find(s, node_of(graph, "Cast", 13, unknown, 1, KAPELL_FLOAT), "string");
}

static void test_absent_inputs_meet_everything(void** state) {
  const scene* s = *state;
  kp_graph* graph = s->model->graph;
  good(add(s->registry, &(wanted){"Slice", "", 13, INT_MAX, "Tind", {I64}}));
  const kapell_type all[] = {KAPELL_FLOAT, KAPELL_INT64, KAPELL_INT64, KAPELL_UNDEFINED,
                             KAPELL_INT64};
  const kapell_type narrow[] = {KAPELL_FLOAT, KAPELL_INT32, KAPELL_INT32};
  assert_non_null(find(s, node_of(graph, "Slice", 13, all, 5, KAPELL_FLOAT), NULL));
  find(s, node_of(graph, "Slice", 13, narrow, 3, KAPELL_FLOAT), "Tind");
}

static void test_overloads_by_type(void** state) {
  const scene* s = *state;
  kp_graph* graph = s->model->graph;
  const kapell_type floats[] = {KAPELL_FLOAT}, halves[] = {KAPELL_FLOAT16};
  good(add(s->registry, &(wanted){"Relu", "", 14, INT_MAX, "T", {F32}}));
  good(add(s->registry, &(wanted){"Relu", "", 14, INT_MAX, "T", {F16}}));
  good(add(s->registry, &(wanted){"Relu", KP_ORT_NHWC_DOMAIN, 14, INT_MAX, "T", {F16}}));
  assert_refused(add(s->registry, &(wanted){"Relu", "", 6, 20, "T", {F16, I64}}),
                 ORT_INVALID_ARGUMENT, "conflicts");
  const kp_ort_kernel* single = find(s, node_of(graph, "Relu", 14, floats, 1, KAPELL_FLOAT), NULL);
  const kp_node* half = node_of(graph, "Relu", 14, halves, 1, KAPELL_FLOAT16);
  const kp_ort_kernel* narrow = find(s, half, NULL);
  assert_true(single && narrow && single->def != narrow->def);
  const kp_ort_kernel* last =
      kp_ort_registry_find_in(s->registry, KP_ORT_NHWC_DOMAIN, graph, half, NULL);
  assert_true(last && last->def != narrow->def);
  assert_null(kp_ort_registry_find_in(NULL, "", graph, half, NULL));
}

static void test_kernel_infos_know_defaults(void** state) {
  const scene* s = *state;
  kp_graph* graph = s->model->graph;
  const kapell_type floats[] = {KAPELL_FLOAT};
  const OrtKernelInfo info = {.graph = graph,
                              .node = node_of(graph, "LeakyRelu", 18, floats, 1, KAPELL_FLOAT)};
  float alpha = 0;
  int64_t axis;
  int since;
  const OrtEp* ep;
  good(ort_KernelInfoGetAttribute_float(&info, "alpha", &alpha));
  assert_true(alpha > 0.0099f && alpha < 0.0101f);
  assert_refused(ort_KernelInfoGetAttribute_int64(&info, "alpha", &axis), ORT_FAIL, "match");
  assert_refused(ort_KernelInfoGetAttribute_int64(&info, "axis", &axis), ORT_FAIL, "axis");
  good(ort_KernelInfo_GetOperatorSinceVersion(&info, &since));
  assert_int_equal(since, 16);
  assert_refused(ep_api()->KernelInfo_GetEp(&info, &ep), ORT_FAIL, "no provider");
}

static void test_shared_weights_pass_to_the_cache(void** state) {
  (void)state;
  OrtSharedPrePackedWeightCache cache = {.allocator = &kp_ort_cpu_allocator};
  for (int i = 0; i < 2; ++i) {
    void* buffers[] = {cache.allocator->Alloc(cache.allocator, 16), NULL};
    size_t sizes[] = {16, 0};
    good(ep_api()->SharedPrePackedWeightCache_StoreWeightData(&cache, buffers, sizes, 2));
    assert_ptr_equal(cache.buffers[0], buffers[0]);
  }
  assert_int_equal(cache.count, 2);
  assert_refused(ep_api()->SharedPrePackedWeightCache_StoreWeightData(&cache, NULL, NULL, 1),
                 ORT_INVALID_ARGUMENT, "NULL");
  kp_ort_weights_clear(&cache);
}

static void test_without_memory(void** state) {
  (void)state;
  for (uint64_t nth = 1;; ++nth) {
    const int64_t before = kp_alloc_live();
    OrtKernelRegistry* registry = NULL;
    OrtKernelDefBuilder* builder = build(&(wanted){"Add", "", 7, 13, "T", {F32}});
    OrtKernelDef* def = NULL;
    kp_alloc_fail_at(nth);
    OrtStatus* status = ep_api()->CreateKernelRegistry(&registry);
    if (!status) status = ep_api()->KernelDefBuilder_Build(builder, &def);
    if (!status) status = ep_api()->KernelRegistry_AddKernel(registry, def, create_nothing, NULL);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    assert_true(failed == (status != NULL));
    ort_ReleaseStatus(status);
    ep_api()->ReleaseKernelDefBuilder(builder);
    ep_api()->ReleaseKernelDef(def);
    ep_api()->ReleaseKernelRegistry(registry);
    assert_int_equal(kp_alloc_live(), before);
    if (!failed) return;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_definition_tells_what_was_set),
      cmocka_unit_test_setup_teardown(test_misuse_is_told, set_up, tear_down),
      cmocka_unit_test(test_types_are_constant),
      cmocka_unit_test_setup_teardown(test_version_decides, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_types_decide, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_absent_inputs_meet_everything, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_overloads_by_type, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_kernel_infos_know_defaults, set_up, tear_down),
      cmocka_unit_test(test_shared_weights_pass_to_the_cache),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
