// Tests of inference: the tables, both uses of a rule, bodies and loops, contents known before a run, failing allocations, size. The rules
// themselves are compared with the onnx package by test/py/test_infer.py.
#include "graph/infer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/size.h"
#include "graph/build.h"
#include "graph/schema.h"
#include "onnx/reader.h"
#include "support/model_text.h"

static void ok(kp_status* status) {
  if (status) fail_msg("%s", kp_status_text(status));
}

static kp_model* build(const char* text, int opset) {
  size_t count;
  char* bytes = kp_test_model(text, opset, &count);
  kp_onnx_model* source;
  kp_model* model;
  ok(kp_onnx_read_bytes(bytes, count, NULL, &source));
  ok(kp_model_build(source, NULL, &model));
  free(bytes);
  return model;
}

static kp_model* inferred(const char* text, int opset) {
  kp_model* model = build(text, opset);
  ok(kp_graph_infer(model->graph));
  return model;
}

static kp_value* find(kp_graph* graph, const char* name) {
  for (uint32_t v = 0; v < graph->value_count; ++v) {
    if (strcmp(graph->values[v].name, name) == 0) return &graph->values[v];
  }
  fail_msg("no value '%s'", name);
  return NULL;
}

static void assert_type(const kp_model* model, const char* name, const char* expected) {
  kp_strbuf buf = {0};
  kp_type_describe(model, &find(model->graph, name)->type, &buf);
  assert_string_equal(buf.data, expected);
  kp_strbuf_free(&buf);
}

// --- tables ---------------------------------------------------------------------------------------------------------------
static void test_every_operator_has_a_rule(void** state) {
  (void)state;
  size_t rules = 0;
  for (size_t k = 0; k < kp_schema_count(); ++k) {
    const kp_op_schema* schema = kp_schema_at(k);
    const kp_node node = {
        .op = kp_schema_name(schema), .domain = kp_schema_domain(schema), .version = schema->since};
    const kp_infer_rule* rule = kp_infer_find(&node);
    if (!rule && strcmp(node.domain, "com.microsoft") != 0)
      fail_msg("no rule for %s.%s-%d", node.domain, node.op, (int)node.version);
    if (!rule) continue;
    ++rules;
    assert_string_equal(rule->op, node.op);
    assert_string_equal(rule->domain, node.domain);
    assert_true(rule->since <= node.version);
  }
  assert_true(rules > 650);
}

static void test_rules_by_version(void** state) {
  (void)state;
  assert_int_equal(kp_infer_find(&(kp_node){.op = "Tile", .domain = "", .version = 5})->since, 1);
  assert_int_equal(kp_infer_find(&(kp_node){.op = "Tile", .domain = "", .version = 13})->since, 6);
  assert_int_equal(kp_infer_find(&(kp_node){.op = "Scan", .domain = "", .version = 8})->since, 8);
  assert_int_equal(kp_infer_find(&(kp_node){.op = "Scan", .domain = "", .version = 21})->since, 9);
  assert_null(kp_infer_find(&(kp_node){.op = "Scan", .domain = "", .version = 7}));
  assert_null(kp_infer_find(&(kp_node){.op = "Tile", .domain = "my.domain", .version = 1}));
}

// --- over symbols -----------------------------------------------------------------------------------------------------------
static void test_symbols_flow(void** state) {
  (void)state;
  kp_model* model = inferred(
      "in x float[N,C,H,W]\n init w float[8,3,3,3] = fill 1\n init m int64[2] = 0 -1\n"
      "y = Conv(x, w) pads=[1,1,1,1]\n z = Reshape(y, m)\n t = Transpose(z)\n s = Shape(x)\n u = "
      "Reshape(y, s)\n out t float\n out u float\n",
      17);
  assert_type(model, "y", "float32[N,8,H,W]");
  assert_type(model, "z", "float32[N,8*H*W]");
  assert_type(model, "t", "float32[8*H*W,N]");
  assert_type(model, "u", "float32[N,C,H,W]");
  assert_int_equal(find(model->graph, "s")->data_count, 4);
  // Once more over its own results: nothing changes, fresh dims neither.
  const kp_type before = find(model->graph, "z")->type;
  ok(kp_graph_infer(model->graph));
  assert_memory_equal(before.dims, find(model->graph, "z")->type.dims, 2 * sizeof(kp_expr));
  kp_model_free(model);
}

static void test_far_limits_are_no_symbols(void** state) {
  (void)state;
  kp_model* model = inferred(
      "in x float[5,N]\n init a int64[2] = 9223372036854770000 -9223372036854775808\n"
      "init b int64[2] = -9223372036854775808 9223372036854770000\n init axes int64[2] = 0 1\n "
      "init steps int64[2] = -1 1\n"
      "y = Slice(x, a, b, axes, steps)\n out y float\n",
      13);
  assert_type(model, "y", "float32[5,N]");
  kp_model_free(model);
}

static void test_overridable_initializers_are_not_known(void** state) {
  (void)state;
  kp_model* model = inferred(
      "in x float[6]\n in shape int64[2]\n init shape int64[2] = 2 3\n y = Reshape(x, shape)\n out "
      "y float\n",
      13);
  const kp_type* type = &find(model->graph, "y")->type;
  assert_int_equal(type->rank, 2);
  assert_true(kp_is_symbol(type->dims[0]) && kp_is_symbol(type->dims[1]));
  kp_model_free(model);
}

// --- over numbers -------------------------------------------------------------------------------------------------------------
// Runs the rule of the producer of |name| with these types for its inputs.
static kp_status* specialise(const kp_model* model, const char* name, const kp_type* const* inputs,
                             const kp_known* known, kp_arena* arena, kp_infer* out) {
  const kp_node* node = &model->graph->nodes[find(model->graph, name)->producer];
  *out = (kp_infer){.graph = model->graph,
                    .node = node,
                    .arena = arena,
                    .inputs = inputs,
                    .known = known,
                    .outputs = kp_arena_new_array(arena, kp_type, node->output_count),
                    .out_known = kp_arena_new_array(arena, kp_known, node->output_count)};
  return kp_infer_node(out, kp_infer_find(node));
}

static kp_type tensor(kapell_type element, int32_t rank, const kp_expr* dims) {
  return (kp_type){.kind = KAPELL_KIND_TENSOR, .element = element, .rank = rank, .dims = dims};
}

static void test_numbers(void** state) {
  (void)state;
  kp_arena arena = {0};
  kp_infer infer;
  kp_model* model = inferred(
      "in x float[N,M]\n in s int64[2]\n y = Reshape(x, s)\n z = NonZero(x)\n out y float\n out z "
      "int64\n",
      13);
  const kp_type x = tensor(KAPELL_FLOAT, 2, (const kp_expr[]){4, 6}),
                s = tensor(KAPELL_INT64, 1, (const kp_expr[]){2});
  const kp_type* inputs[2] = {&x, &s};
  // Contents not known: the rank is, as far as that goes.
  ok(specialise(model, "y", inputs, NULL, &arena, &infer));
  assert_true(infer.data_dependent);
  assert_int_equal(infer.outputs[0].rank, 2);
  assert_true(kp_is_symbol(infer.outputs[0].dims[0]));
  // Known.
  const kp_known known[2] = {[1] = {.elements = (const kp_expr[]){3, -1}, .count = 2}};
  ok(specialise(model, "y", inputs, known, &arena, &infer));
  assert_false(infer.data_dependent);
  assert_int_equal(infer.outputs[0].dims[1], 8);
  // What only the data decides.
  ok(specialise(model, "z", inputs, NULL, &arena, &infer));
  assert_true(infer.data_dependent);
  assert_int_equal(infer.outputs[0].dims[0], 2);
  assert_int_equal(infer.outputs[0].dims[1], KP_DIM_UNKNOWN);
  // Shapes of a run that do not fit are the input's fault, not the model's.
  const kp_known bad[2] = {[1] = {.elements = (const kp_expr[]){5, -1}, .count = 2}};
  kp_status* status = specialise(model, "y", inputs, bad, &arena, &infer);
  assert_int_equal(kp_status_code(status), KAPELL_INVALID_INPUT);
  kp_status_free(status);
  kp_arena_free(&arena);
  kp_model_free(model);
}

static void test_known_values(void** state) {
  (void)state;
  kp_model* model = inferred(
      "in x float[N,M]\n in k int64[2]\n init two int64[1] = 2\n init big float[2000] = fill 0\n"
      "s = Shape(x)\n t = Mul(s, two)\n u = Add(k, two)\n v = Relu(x)\n z = NonZero(x)\n out t "
      "int64\n out u int64\n out v float\n out z int64\n",
      13);
  kp_graph* graph = model->graph;
  bool* known = calloc(graph->value_count, sizeof *known);
  const bool value_input[2] = {false, true};
  ok(kp_graph_known_values(graph, NULL, known));
  const struct {
    const char* name;
    bool without, with;  // contents of input k
  } expected[] = {{"s", true, true},     {"t", true, true},  {"two", true, true},
                  {"big", false, false}, {"u", false, true}, {"v", false, false},
                  {"z", false, false},   {"k", false, true}};
  for (size_t i = 0; i < KP_COUNT_OF(expected); ++i)
    assert_int_equal(known[find(graph, expected[i].name) - graph->values], expected[i].without);
  ok(kp_graph_known_values(graph, value_input, known));
  for (size_t i = 0; i < KP_COUNT_OF(expected); ++i)
    assert_int_equal(known[find(graph, expected[i].name) - graph->values], expected[i].with);
  free(known);
  kp_model_free(model);
}

// --- bodies -----------------------------------------------------------------------------------------------------------------
static void test_loop_widens(void** state) {
  (void)state;
  kp_model* model = inferred(
      "in x float[3,N]\n in m int64[]\n init go bool[] = 1\n"
      "y, k = Loop(m, go, x, x) body={ in i int64[]\n in c bool[]\n in a float\n in b float\n"
      "  d = Identity(c)\n e = Concat(a, x) axis=0\n f = Relu(b)\n out d bool[]\n out e float\n "
      "out f float }\n out y float\n out k float\n",
      13);
  assert_type(model, "y", "float32[?,N]");  // grows
  assert_type(model, "k", "float32[3,N]");  // stays
  kp_model_free(model);
}

// A loop in a loop in a loop ...: each shape changes at every level, which must not be tried in every combination.
static void test_deep_nest_is_not_exponential(void** state) {
  (void)state;
  kp_strbuf text = {0};
  kp_strbuf_puts(&text, "in x float[1]\n init m int64[] = 2\n init go bool[] = 1\n");
  enum { DEPTH = 40 };
  for (int d = 0; d < DEPTH; ++d)
    kp_strbuf_printf(
        &text, "y%d = Loop(m, go, %s%d) body={ in i%d int64[]\n in c%d bool[]\n in a%d float\n", d,
        d ? "a" : "x", d - 1, d, d, d);
  kp_strbuf_printf(&text, "z = Concat(a%d, a%d) axis=0\n", DEPTH - 1, DEPTH - 1);
  for (int d = DEPTH - 1; d >= 0; --d) {
    if (d == DEPTH - 1)
      kp_strbuf_printf(&text, "o%d = Identity(c%d)\n out o%d bool[]\n out z float }\n", d, d, d);
    else
      kp_strbuf_printf(&text, "o%d = Identity(c%d)\n out o%d bool[]\n out y%d float }\n", d, d, d,
                       d + 1);
  }
  kp_strbuf_puts(&text, "out y0 float\n");
  for (char* at = strstr(text.data, "x-1"); at; at = NULL) memcpy(at, "x  ", 3);
  const uint64_t start = kp_clock_ns();
  kp_model* model = inferred(text.data, 13);
  assert_true(kp_clock_ns() - start < UINT64_C(10000000000));
  assert_int_equal(find(model->graph, "y0")->type.element, KAPELL_FLOAT);
  kp_model_free(model);
  kp_strbuf_free(&text);
}

// --- robustness -------------------------------------------------------------------------------------------------------------
static void test_failing_allocations(void** state) {
  (void)state;
  const char* text =
      "in x float[N,3]\n in m int64[]\n init go bool[] = 1\n s = Shape(x)\n r = Reshape(x, s)\n"
      "y = Loop(m, go, r) body={ in i int64[]\n in c bool[]\n in a float\n d = Identity(c)\n e = "
      "Concat(a, x) axis=0\n"
      "  out d bool[]\n out e float }\n q = SequenceConstruct(x, y)\n p = SequenceAt(q, m)\n out p "
      "float\n";
  bool finished = false;
  for (uint64_t nth = 1; !finished && nth < 500; ++nth) {
    kp_model* model = build(text, 13);
    const int64_t live = kp_alloc_live();
    kp_alloc_fail_at(nth);
    kp_status* status = kp_graph_infer(model->graph);
    finished = !kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    assert_true(kp_alloc_live() >= live);
    kp_model_free(model);
  }
  assert_true(finished);
}

// 40,000 nodes, half of them shape arithmetic: linear, and well within the second that a session may take.
static void test_many_nodes(void** state) {
  (void)state;
  kp_strbuf text = {0};
  kp_strbuf_puts(&text,
                 "in x0 float[N,S,64]\n init zero int64[] = 0\n init one int64[] = 1\n init axis "
                 "int64[1] = 0\n init h int64[2] = 4 16\n"
                 "init back int64[1] = 64\n");
  enum { BLOCKS = 4000 };
  for (int k = 0; k < BLOCKS; ++k) {
    kp_strbuf_printf(
        &text,
        "s%d = Shape(x%d)\n n%d = Gather(s%d, zero)\n t%d = Gather(s%d, one)\n u%d = "
        "Unsqueeze(n%d, axis)\n"
        "v%d = Unsqueeze(t%d, axis)\n c%d = Concat(u%d, v%d, h) axis=0\n r%d = Reshape(x%d, c%d)\n"
        "e%d = Relu(r%d)\n b%d = Concat(u%d, v%d, back) axis=0\n x%d = Reshape(e%d, b%d)\n",
        k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k, k + 1, k, k);
  }
  kp_strbuf_printf(&text, "out x%d float\n", BLOCKS);
  kp_model* model = build(text.data, 13);
  const uint64_t start = kp_clock_ns();
  ok(kp_graph_infer(model->graph));
  const double seconds = (double)(kp_clock_ns() - start) * 1e-9;
  printf("%u nodes in %.3f s\n", model->graph->node_count, seconds);
  assert_true(seconds < 5);
  char name[32];
  snprintf(name, sizeof name, "x%d", BLOCKS);
  assert_type(model, name, "float32[N,S,64]");
  kp_model_free(model);
  kp_strbuf_free(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_operator_has_a_rule),
      cmocka_unit_test(test_rules_by_version),
      cmocka_unit_test(test_symbols_flow),
      cmocka_unit_test(test_far_limits_are_no_symbols),
      cmocka_unit_test(test_overridable_initializers_are_not_known),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_known_values),
      cmocka_unit_test(test_loop_widens),
      cmocka_unit_test(test_deep_nest_is_not_exponential),
      cmocka_unit_test(test_failing_allocations),
      cmocka_unit_test(test_many_nodes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
