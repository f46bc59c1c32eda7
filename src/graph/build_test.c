// Tests of the builder: names, captures, functions, opsets, initializers; and the words of its errors.
#include "graph/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "graph/rewrite.h"
#include "graph/schema.h"
#include "onnx/reader.h"
#include "support/model_text.h"

static kp_status* try_build(const char* text, int opset, const kp_build_options* options,
                            kp_model** out_model) {
  size_t byte_count;
  char* bytes = kp_test_model(text, opset, &byte_count);
  kp_onnx_model* source;
  *out_model = NULL;
  kp_status* status = kp_onnx_read_bytes(bytes, byte_count, NULL, &source);
  free(bytes);
  return status ? status : kp_model_build(source, options, out_model);
}

static kp_model* build(const char* text, int opset) {
  kp_model* model;
  kp_status* status = try_build(text, opset, NULL, &model);
  if (status) fail_msg("%s", kp_status_text(status));
  return model;
}

static void assert_refused(const char* text, int opset, kapell_code code, const char* words) {
  kp_model* model;
  kp_status* status = try_build(text, opset, NULL, &model);
  assert_null(model);
  assert_non_null(status);
  if (kp_status_code(status) != code || !strstr(kp_status_text(status), words)) {
    fail_msg("wanted %s '%s', not: %s", kp_code_name(code), words, kp_status_text(status));
  }
  kp_status_free(status);
}

static const kp_node* node_of(const kp_graph* graph, const char* op) {
  for (kp_node_id id = 0; id < graph->node_count; ++id)
    if (!graph->nodes[id].removed && strcmp(graph->nodes[id].op, op) == 0) return &graph->nodes[id];
  fail_msg("no node %s", op);
  return NULL;
}

static uint32_t count_of(const kp_graph* graph, const char* op) {
  uint32_t count = 0;
  for (kp_node_id id = 0; id < graph->node_count; ++id)
    count += !graph->nodes[id].removed && strcmp(graph->nodes[id].op, op) == 0;
  return count;
}

static void assert_type(const kp_model* model, const kp_value* value, const char* text) {
  kp_strbuf buf = {0};
  kp_type_describe(model, &value->type, &buf);
  assert_string_equal(buf.data, text);
  kp_strbuf_free(&buf);
}

static void values_have_names_types_and_constants(void** state) {
  (void)state;
  kp_model* model = build(
      "in x float[N,3] init w float[3] = 1 2 3 y = Add(x, w) z = Relu(y) out z float[N,3]", 17);
  const kp_graph* graph = model->graph;
  assert_int_equal(graph->input_count, 1);
  assert_int_equal(graph->node_count, 2);
  const kp_value* w = kp_node_input(graph, &graph->nodes[0], 1);
  assert_string_equal(w->name, "w");
  assert_float_equal(((const float*)w->constant->data)[2], 3, 0);
  assert_type(model, w, "float32[3]");
  assert_type(model, &graph->values[graph->inputs[0]], "float32[N,3]");
  assert_type(model, &graph->values[graph->outputs[0]], "float32[N,3]");
  assert_int_equal(graph->nodes[0].schema->since, 14);
  assert_string_equal(graph->nodes[1].name, "z");
  assert_string_equal(model->origins[graph->nodes[1].origins[0]].op, "Relu");
  kp_model_free(model);
}

static void nodes_may_stand_in_any_order(void** state) {
  (void)state;
  kp_model* model = build("in x float[2] z = Relu(y) y = Neg(x) out z float[2]", 17);
  assert_int_equal(model->graph->order[0], 1);
  kp_model_free(model);
}

static void absent_inputs_and_outputs_are_none(void** state) {
  (void)state;
  kp_model* model = build(
      "in x float[2] init hi float[] = 1 y = Clip(x,,hi) z = Clip(x,,) out y float[2] out z "
      "float[2]",
      17);
  const kp_node* clip = &model->graph->nodes[0];
  assert_int_equal(clip->input_count, 3);
  assert_int_equal(clip->inputs[1], KP_NONE);
  assert_int_equal(model->graph->nodes[1].input_count, 1);
  kp_model_free(model);
  model = build("in x float[2,2] init k int64[1] = 1 ,i = TopK(x, k) out i int64[2,1]", 17);
  assert_int_equal(model->graph->nodes[0].outputs[0], KP_NONE);
  assert_int_equal(model->graph->nodes[0].output_count, 2);
  kp_model_free(model);
}

static void initializers_listed_as_inputs_depend_on_the_ir_version(void** state) {
  (void)state;
  const char* text =
      "in x float[2] in w float[2] init w float[2] = 1 2 y = Add(x, w) out y float[2]";
  kp_model* model = build(text, 9);
  const kp_graph* graph = model->graph;
  assert_int_equal(graph->input_count, 1);
  assert_int_equal(graph->overridable_count, 1);
  const kp_value* w = &graph->values[graph->overridable[0]];
  assert_true(w->is_input && !w->constant);
  assert_float_equal(((const float*)graph->defaults[0]->data)[1], 2, 0);
  kp_model_free(model);
  char old[256];
  snprintf(old, sizeof old, "ir 3 %s", text);
  model = build(old, 9);
  assert_int_equal(model->graph->input_count, 1);
  assert_int_equal(model->graph->overridable_count, 0);
  assert_non_null(kp_node_input(model->graph, &model->graph->nodes[0], 1)->constant);
  kp_model_free(model);
}

static void captures_go_through_any_nesting(void** state) {
  (void)state;
  kp_model* model = build(
      "in c bool[] in x float[2] in y float[2] init w float[2] = 1 2\n"
      "r = If(c) then_branch={ a = If(c) then_branch={ b = Add(x, w) out b float[2] } "
      "else_branch={ d = Neg(y) out d float[2] } out a float[2] }"
      " else_branch={ e = Sub(y, w) out e float[2] }\n"
      "out r float[2]",
      17);
  const kp_graph* graph = model->graph;
  const kp_node* outer = node_of(graph, "If");
  assert_int_equal(outer->implicit_count, 3);  // c, x, y; the constant is shared
  const kp_graph *then_body = kp_node_attr_graph(outer, "then_branch"),
                 *else_body = kp_node_attr_graph(outer, "else_branch");
  assert_int_equal(then_body->capture_count, 3);
  assert_int_equal(else_body->capture_count, 3);
  assert_int_equal(else_body->captures[0], KP_NONE);
  assert_string_equal(then_body->name, "r/then_branch");
  const kp_node* inner = node_of(then_body, "If");
  assert_int_equal(inner->implicit_count, 2);
  const kp_graph* innermost = kp_node_attr_graph(inner, "then_branch");
  const kp_node* add = node_of(innermost, "Add");
  assert_true(kp_node_input(innermost, add, 0)->is_capture);
  assert_non_null(kp_node_input(innermost, add, 1)->constant);
  assert_string_equal(model->origins[add->origins[0]].path, "r/then_branch/a/then_branch");
  kp_model_free(model);
}

static void a_name_of_a_body_hides_the_outer_one(void** state) {
  (void)state;
  kp_model* model = build(
      "in c bool[] in x float[2]\n"
      "r = If(c) then_branch={ x = Constant() value=float[2]{1 2} y = Neg(x) out y float[2] } "
      "else_branch={ z = Neg(x) out z float[2] }\n"
      "out r float[2]",
      17);
  const kp_node* branch = node_of(model->graph, "If");
  assert_int_equal(branch->implicit_count, 1);
  assert_int_equal(kp_node_attr_graph(branch, "then_branch")->captures[0], KP_NONE);
  kp_model_free(model);
}

static const char* const function_text =
    "import my 1\n"
    "function my.Scale(a, b) => (c, d) alpha, beta=0.25 { t = Elu(a) alpha=@alpha c = LeakyRelu(t) "
    "alpha=@beta d = Add(t, b) }\n"
    "function my.Twice(a) => (c) gain { t = my.Scale(a, a) alpha=@gain c,e = my.Scale(t, a) "
    "alpha=0.5 beta=@gain }\n";

static void functions_are_expanded(void** state) {
  (void)state;
  char text[1024];
  snprintf(text, sizeof text,
           "%sin x float[2] in y float[2] y1 = my.Scale(x,y) alpha=2.5 y2 = my.Twice(y1) gain=3.5 "
           "out y2 float[2]",
           function_text);
  kp_model* model = build(text, 17);
  const kp_graph* graph = model->graph;
  assert_int_equal(count_of(graph, "Scale") + count_of(graph, "Twice"), 0);
  assert_int_equal(count_of(graph, "Elu"), 3);
  assert_int_equal(graph->node_count, 9);
  const float alphas[] = {2.5f, 3.5f, 0.5f}, betas[] = {0.25f, 0.25f, 3.5f};
  for (uint32_t i = 0; i < 3; ++i) {
    assert_float_equal(kp_node_attr_f(&graph->nodes[3 * i], "alpha", -1), alphas[i], 0);
    assert_float_equal(kp_node_attr_f(&graph->nodes[3 * i + 1], "alpha", -1), betas[i], 0);
  }
  assert_string_equal(graph->values[graph->outputs[0]].name, "y2");
  assert_string_equal(graph->nodes[0].name, "y1/t");
  assert_string_equal(graph->nodes[3].name, "y2/t/t");
  assert_string_equal(model->origins[graph->nodes[3].origins[0]].path,
                      "function:my.Twice(y2)/function:my.Scale(t)");
  kp_model_free(model);
}

static bool keep_scale(void* user, const kp_node* node) {
  (void)user;
  return strcmp(node->op, "Scale") == 0 || strcmp(node->op, "Elu") == 0;
}

static void calls_are_kept_on_request(void** state) {
  (void)state;
  char text[1024];
  snprintf(
      text, sizeof text,
      "%sin x float[2] y1 = my.Scale(x,x) alpha=2.5 y2 = Softplus(y1) y3 = Elu(y2) out y3 float[2]",
      function_text);
  kp_model* model;
  const kp_build_options options = {.keep_call = keep_scale};
  assert_null(try_build(text, 18, &options, &model));
  const kp_graph* graph = model->graph;
  assert_null(node_of(graph, "Scale")->schema);
  assert_non_null(node_of(graph, "Elu")->schema);
  assert_int_equal(count_of(graph, "Softplus"), 0);  // ONNX's own body instead
  assert_int_equal(count_of(graph, "Exp"), 1);
  assert_string_equal(node_of(graph, "Exp")->rewrite, "expand Softplus");
  assert_string_equal(model->origins[node_of(graph, "Exp")->origins[0]].op, "Softplus");
  kp_model_free(model);
}

static void functions_pass_inputs_and_leave_outputs(void** state) {
  (void)state;
  kp_model* model = build(
      "import my 1\n"
      "function my.F(a, b, m) => (a, c, e) { c = Clip(a, b, m) e = Neg(c) }\n"
      "in x float[2] init hi float[] = 1\n"
      "p,q, = my.F(x,,hi) out p float[2] out q float[2]",
      17);
  const kp_graph* graph = model->graph;
  assert_int_equal(count_of(graph, "Identity"), 1);  // a is passed on
  assert_int_equal(node_of(graph, "Clip")->inputs[1], KP_NONE);
  kp_model_free(model);
  model = build(
      "import my 1 function my.F(a) => (a, c, c) { c = Neg(a) } in x float[2] p,q,q2 = my.F(x) out "
      "p float[2] out q float[2] out q2 float[2]",
      17);
  assert_int_equal(count_of(model->graph, "Identity"), 2);
  kp_model_free(model);
}

static void bodies_given_to_functions_see_the_callers_names(void** state) {
  (void)state;
  kp_model* model = build(
      "import my 1\n"
      "function my.F(a, c) => (b) which { w = Neg(a) b = If(c) then_branch=@which else_branch={ e "
      "= Abs(w) out e float[2] } }\n"
      "in x float[2] in w float[2] in c bool[]\n"
      "r = my.F(x, c) which={ t = Add(x, w) out t float[2] } out r float[2]",
      17);
  const kp_graph* graph = model->graph;
  const kp_node* branch = node_of(graph, "If");
  assert_int_equal(branch->implicit_count, 3);
  const char* names[] = {"x", "w", "r/w"};
  for (uint32_t i = 0; i < 3; ++i)
    assert_string_equal(graph->values[branch->implicit[i]].name, names[i]);
  kp_model_free(model);
}

static void hostile_functions_are_stopped(void** state) {
  (void)state;
  assert_refused(
      "import my 1 function my.F(a) => (b) { b = my.F(a) } in x float[2] y = my.F(x) out y "
      "float[2]",
      17, KAPELL_INVALID_MODEL, "function 'F' calls itself");
  assert_refused(
      "import my 1 function my.F(a) => (b) { b = my.G(a) } function my.G(a) => (b) { b = my.F(a) } "
      "in x float[2] y = my.F(x) out y float[2]",
      17, KAPELL_INVALID_MODEL, "calls itself");
  kp_strbuf text = {0};  // each calls the next twice: 2^60 nodes
  kp_strbuf_puts(&text, "import my 1\n");
  for (int i = 0; i < 60; ++i)
    kp_strbuf_printf(&text, "function my.F%d(a) => (c) { b = my.F%d(a) c = my.F%d(b) }\n", i, i + 1,
                     i + 1);
  kp_strbuf_puts(
      &text, "function my.F60(a) => (b) { b = Neg(a) } in x float[2] y = my.F0(x) out y float[2]");
  kp_model* model;
  const kp_build_options options = {.max_nodes = 20000};
  kp_status* status = try_build(text.data, 17, &options, &model);
  assert_int_equal(kp_status_code(status), KAPELL_LIMIT);
  assert_non_null(strstr(kp_status_text(status), "more than 20000 nodes"));
  kp_status_free(status);
  kp_strbuf_free(&text);
  kp_strbuf_puts(&text, "import my 1\n");
  for (int i = 0; i < 100; ++i)
    kp_strbuf_printf(&text, "function my.F%d(a) => (b) { b = my.F%d(a) }\n", i, i + 1);
  kp_strbuf_puts(
      &text, "function my.F100(a) => (b) { b = Neg(a) } in x float[2] y = my.F0(x) out y float[2]");
  assert_refused(text.data, 17, KAPELL_LIMIT, "nested more than 64 deep");
  kp_strbuf_free(&text);
}

static void errors_name_node_value_and_what_is_near(void** state) {
  (void)state;
  const char *in = "in x float[2] ", *out = " out y float[2]";
  const struct {
    const char* nodes;
    kapell_code code;
    const char* words;
  } cases[] = {
      {"hidden = Neg(x) y = Relu(hiden)", KAPELL_INVALID_MODEL,
       "nothing produces the value 'hiden'"},
      {"hidden = Neg(x) y = Relu(hiden)", KAPELL_INVALID_MODEL,
       "the nearest name that exists is 'hidden'"},
      {"hidden = Neg(x) y = Relu(hiden)", KAPELL_INVALID_MODEL, "node 1 'y' (Relu)"},
      {"y = Neg(x) y = Relu(x)", KAPELL_INVALID_MODEL,
       "the name 'y' is given to more than one value"},
      {"x = Neg(x) y = Relu(x)", KAPELL_INVALID_MODEL, "output 0 of node 0 'x' (Neg)"},
      {"a = Neg(y) y = Relu(a)", KAPELL_INVALID_MODEL, "in a circle: 'a' (Neg) <- 'y' (Relu) <- a"},
      {"y = Relu(x, x)", KAPELL_INVALID_MODEL, "2 inputs; the operator takes 1"},
      {"y = Add(x)", KAPELL_INVALID_MODEL, "1 inputs; the operator takes 2"},
      {"y = Concat() axis=0", KAPELL_INVALID_MODEL, "takes 1 or more"},
      {"y = Add(,x)", KAPELL_INVALID_MODEL, "input 'A' is left out"},
      {"y = Elu(x) alpha=1", KAPELL_INVALID_MODEL,
       "attribute 'alpha' is an integer; Elu-6 takes a float"},
      {"y = Elu(x) alhpa=1.5", KAPELL_INVALID_MODEL, "the nearest name is 'alpha'"},
      {"y = Elu(x) alpha=1.5 alpha=1.5", KAPELL_INVALID_MODEL, "given twice"},
      {"y = Concat(x)", KAPELL_INVALID_MODEL, "attribute 'axis' is required"},
      {"y = Elu(x) alpha=@alpha", KAPELL_INVALID_MODEL, "but stands in none"},
      {"y = Gelu(x)", KAPELL_INVALID_MODEL,
       "operator Gelu exists since opset 20 of ai.onnx, the model imports 17"},
      {"y = Rleu(x)", KAPELL_UNSUPPORTED_MODEL, "the nearest name is 'Relu'"},
      {"y = nobody.Relu(x)", KAPELL_INVALID_MODEL, "domain 'nobody' is not among"},
      {"import my 1 import my 2 y = Neg(x)", KAPELL_INVALID_MODEL,
       "imported as version 1 and as 2"},
      {"import my 0 y = Neg(x)", KAPELL_INVALID_MODEL, "version 0 of domain 'my'"},
      {"import my 1 function my.F(a) => (b) { b = Neg(a) } y = my.F(x, x)", KAPELL_INVALID_MODEL,
       "the call has 2 inputs"},
      {"import my 1 function my.F(a) => (b) { b = Neg(a) } y = my.F(x) z=1", KAPELL_INVALID_MODEL,
       "has no attribute 'z'"},
      {"import my 1 function my.F(a) => (b) { c = Neg(a) } y = my.F(x)", KAPELL_INVALID_MODEL,
       "nothing produces the value 'b'"},
      {"import my 1 function my.F(a) => (b) { b = Elu(a) alpha=@q } y = my.F(x)",
       KAPELL_INVALID_MODEL, "does not declare"},
      {"import my 1 function my.F(a) => (b) { b = Neg(a) } function my.F(a) => (b) { b = Neg(a) } "
       "y = my.F(x)",
       KAPELL_INVALID_MODEL, "defined twice"},
      {"import my 1 function my.F(a) => (b) { b = Neg(x) } y = my.F(x)", KAPELL_INVALID_MODEL,
       "nothing produces the value 'x'"},
      {"init x float[2] = 1 2 init x float[2] = 1 2 y = Neg(x)", KAPELL_INVALID_MODEL,
       "'x' is given to more than one value"},
      {"init c bool[] = 1 y = If(c) then_branch={ a = Neg(x) out a float[2] } else_branch={ a = "
       "Neg(x) out a float[2] b = Neg(x) out b float[2] }",
       KAPELL_INVALID_MODEL, "then_branch has 1 outputs, else_branch 2"},
      {"init c bool[] = 1 y = If(c) then_branch={ in q float[2] a = Neg(q) out a float[2] } "
       "else_branch={ a = Neg(x) out a float[2] }",
       KAPELL_INVALID_MODEL, "then_branch has 1 inputs; the node feeds 0"},
      {"y = Scan(x) num_scan_inputs=2 body={ in q float[] a = Neg(q) out a float[] }",
       KAPELL_INVALID_MODEL, "num_scan_inputs is 2 of 1"},
      {"init n int64[] = 1 init c bool[] = 1 y = Loop(n, c, x) body={ in i int64[] in c bool[] a = "
       "Identity(c) out a bool[] }",
       KAPELL_INVALID_MODEL, "the body has 2 inputs; the node feeds 3"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    char text[1024];
    snprintf(text, sizeof text, "%s%s%s", in, cases[i].nodes, out);
    assert_refused(text, 17, cases[i].code, cases[i].words);
  }
  assert_refused("in x float[2] in x float[2] y = Neg(x) out y float[2]", 17, KAPELL_INVALID_MODEL,
                 "'x' is given to more than one value");
  assert_refused("in x float[2] y = Neg(x) out z float[2]", 17, KAPELL_INVALID_MODEL,
                 "output 0 of the graph");
  assert_refused("in x float[2] y = Neg(x) out y float[2]", 0, KAPELL_INVALID_MODEL,
                 "imports no opset");
}

static void old_and_new_opsets_are_taken(void** state) {
  (void)state;
  kp_model* model = build("ir 1 in x float[2] y = Relu(x) out y float[2]", 0);
  assert_int_equal(model->graph->nodes[0].version, 1);
  kp_model_free(model);
  model = build("in x float[2] y = com.microsoft.Anything(x) out y float[2]",
                17);  // a provider may know it
  assert_null(model->graph->nodes[0].schema);
  kp_model_free(model);
}

static void onnx_functions_expand_into_operators(void** state) {
  (void)state;
  uint32_t expanded_count = 0;
  for (size_t i = 0; i < kp_schema_count();
       ++i) {  // each that has a body gives nodes that the tables know
    const kp_op_schema* schema = kp_schema_at(i);
    if (!schema->has_function || *kp_schema_domain(schema)) continue;
    kp_strbuf text = {0};
    for (uint32_t k = 0; k < schema->min_inputs; ++k)
      kp_strbuf_printf(&text, "in x%u float[2] ", k);
    kp_strbuf_printf(&text, "y = %s(", kp_schema_name(schema));
    for (uint32_t k = 0; k < schema->min_inputs; ++k)
      kp_strbuf_printf(&text, "%sx%u", k ? "," : "", k);
    kp_strbuf_puts(&text, ") out y float");
    kp_model* model;
    kp_status* status = try_build(text.data, schema->since, NULL, &model);
    kp_strbuf_free(&text);
    if (status) {  // required attributes: not built by this loop
      kp_status_free(status);
      continue;
    }
    bool expanded;
    status = kp_graph_expand_function(model->graph, 0, &expanded);
    if (status)
      fail_msg("%s-%d: %s", kp_schema_name(schema), schema->since, kp_status_text(status));
    assert_int_equal(model->graph->nodes[0].removed, expanded);
    expanded_count += expanded;
    for (kp_node_id id = 1; id < model->graph->node_count; ++id)
      assert_non_null(model->graph->nodes[id].schema);
    assert_null(kp_graph_order(model->graph));
    kp_model_free(model);
  }
  assert_true(expanded_count >= 30);
}

static char* long_chain(int node_count, size_t* out_byte_count) {
  kp_strbuf text = {0};
  kp_strbuf_puts(&text, "in v0 float[N,16] init w float[16] = fill 1\n");
  for (int i = 0; i < node_count; ++i)
    kp_strbuf_printf(&text, "v%d = Add(v%d, %s)\n", i + 1, i, i % 3 ? "w" : "v0");
  kp_strbuf_printf(&text, "out v%d float[N,16]", node_count);
  char* bytes = kp_test_model(text.data, 17, out_byte_count);
  kp_strbuf_free(&text);
  return bytes;
}

// The time is far above what it takes (some 20 ms in a release build), so that only a step that is not linear fails it.
static void large_graphs_build_in_linear_time(void** state) {
  (void)state;
  size_t byte_count;
  char* bytes = long_chain(40000, &byte_count);
  kp_onnx_model* source;
  assert_null(kp_onnx_read_bytes(bytes, byte_count, NULL, &source));
  const uint64_t start = kp_clock_ns();
  kp_model* model;
  assert_null(kp_model_build(source, NULL, &model));
  const double ms = (double)(kp_clock_ns() - start) / 1e6;
  print_message("built 40,000 nodes in %.1f ms\n", ms);
  assert_int_equal(model->graph->order_count, 40000);
  assert_true(ms < 2000);
  kp_model_free(model);
  free(bytes);
}

static void failing_allocations_are_clean_errors(void** state) {
  (void)state;
  char text[2048];
  snprintf(
      text, sizeof text,
      "%sin x float[2] in c bool[] in w float[2] init w float[2] = 1 2 init s string[2] = \"a\" "
      "\"b\"\n"
      "y1 = my.Scale(x,w) alpha=2.5 y2 = my.Twice(y1) gain=3.5 k = Constant() value=float[1]{1}\n"
      "r = If(c) then_branch={ t = Add(y2, w) out t float[2] } else_branch={ e = Sub(x, k) out e "
      "float[2] }\n"
      "out r float[2] out s string[2]",
      function_text);
  size_t byte_count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  const int64_t live = kp_alloc_live();
  for (uint64_t nth = 1;; ++nth) {
    kp_onnx_model* source;
    kp_model* model = NULL;
    kp_alloc_fail_at(nth);
    kp_status* status = kp_onnx_read_bytes(bytes, byte_count, NULL, &source);
    if (!status) status = kp_model_build(source, NULL, &model);
    kp_graph* copy = NULL;
    kp_value_id *inputs, *outputs;
    if (!status)
      status = kp_graph_extract(model->graph, model->graph->order, model->graph->order_count, &copy,
                                &inputs, &outputs);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_graph_free(copy);
    kp_model_free(model);
    assert_int_equal(kp_alloc_live(), live);
    if (!failed) {
      assert_null(status);
      print_message("%llu allocations\n", (unsigned long long)nth - 1);
      break;
    }
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_have_names_types_and_constants),
      cmocka_unit_test(nodes_may_stand_in_any_order),
      cmocka_unit_test(absent_inputs_and_outputs_are_none),
      cmocka_unit_test(initializers_listed_as_inputs_depend_on_the_ir_version),
      cmocka_unit_test(captures_go_through_any_nesting),
      cmocka_unit_test(a_name_of_a_body_hides_the_outer_one),
      cmocka_unit_test(functions_are_expanded),
      cmocka_unit_test(calls_are_kept_on_request),
      cmocka_unit_test(functions_pass_inputs_and_leave_outputs),
      cmocka_unit_test(bodies_given_to_functions_see_the_callers_names),
      cmocka_unit_test(hostile_functions_are_stopped),
      cmocka_unit_test(errors_name_node_value_and_what_is_near),
      cmocka_unit_test(old_and_new_opsets_are_taken),
      cmocka_unit_test(onnx_functions_expand_into_operators),
      cmocka_unit_test(large_graphs_build_in_linear_time),
      cmocka_unit_test(failing_allocations_are_clean_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
