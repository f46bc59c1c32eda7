// Tests of simplification and folding: each rule where it holds, where it must not be used, and what it keeps.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "graph/build.h"
#include "graph/infer.h"
#include "graph/rewrite.h"
#include "onnx/reader.h"
#include "support/model_text.h"

static void ok(kp_status* status) {
  if (status) fail_msg("%s", kp_status_text(status));
}

static kp_model* build(const char* text) {
  size_t byte_count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  kp_onnx_model* source;
  kp_model* model;
  ok(kp_onnx_read_bytes(bytes, byte_count, NULL, &source));
  free(bytes);
  ok(kp_model_build(source, NULL, &model));
  return model;
}

static kp_model* simplified(const char* text) {
  kp_model* model = build(text);
  uint32_t changes;
  ok(kp_graph_simplify(model->graph, &changes));
  ok(kp_graph_infer(model->graph));
  ok(kp_graph_simplify(model->graph, &changes));
  return model;
}

// The operators that are left, in order: "Neg Add".
static void assert_ops(kp_model* model, const char* ops) {
  kp_strbuf text = {0};
  for (uint32_t i = 0; i < model->graph->order_count; ++i)
    kp_strbuf_printf(&text, "%s%s", i ? " " : "", model->graph->nodes[model->graph->order[i]].op);
  assert_string_equal(text.data ? text.data : "", ops);
  kp_strbuf_free(&text);
}

static void assert_simplified(const char* text, const char* ops) {
  kp_model* model = simplified(text);
  assert_ops(model, ops);
  for (uint32_t i = 0; i < model->graph->output_count; ++i)
    assert_true(strchr("yz", model->graph->values[model->graph->outputs[i]].name[0]) != NULL);
  kp_model_free(model);
}

static void nodes_without_effect_go(void** state) {
  (void)state;
  assert_simplified("in x float[2] a = Neg(x) b = Identity(a) y = Abs(b) out y float[2]",
                    "Neg Abs");
  assert_simplified("in x float[2] a = Neg(x) y = Identity(a) out y float[2]",
                    "Neg");  // and the output is still called y
  assert_simplified("in x float[2] y = Identity(x) out y float[2]",
                    "Identity");  // an input cannot be renamed
  assert_simplified("in x float[2] z = Neg(x) y = Identity(z) out z float[2] out y float[2]",
                    "Neg Identity");
  assert_simplified("in x float[2] a = Neg(x) b = Dropout(a) y = Abs(b) out y float[2]", "Neg Abs");
  assert_simplified(
      "in x float[2] a,m = Dropout(x) y = Abs(a) z = Not(m) out y float[2] out z bool[2]",
      "Dropout Abs Not");
  assert_simplified(
      "in x float[2] init r float[] = 0.5 init t bool[] = 1 a = Dropout(x,r,t) y = Abs(a) out y "
      "float[2]",
      "Dropout Abs");
  assert_simplified(
      "in x float[2] init r float[] = 0.5 init t bool[] = 0 a = Dropout(x,r,t) y = Abs(a) out y "
      "float[2]",
      "Abs");
  assert_simplified("in x float[2] a = Cast(x) to=1 b = Concat(a) axis=0 y = Abs(b) out y float[2]",
                    "Abs");
  assert_simplified(
      "in x float[2,3] init s int64[2] = 2 3 a = Reshape(x,s) y = Abs(a) out y float[2,3]", "Abs");
  assert_simplified(
      "in x float[N,3] init s int64[2] = 0 3 a = Reshape(x,s) y = Abs(a) out y float[N,3]", "Abs");
  assert_simplified(
      "in x float[N,3] init s int64[2] = 3 -1 a = Reshape(x,s) y = Abs(a) out y float[3,N]",
      "Reshape Abs");
}

// What would go, but is wrong, is an error first.
static void assert_refused(const char* text) {
  kp_model* model = build(text);
  uint32_t changes;
  ok(kp_graph_simplify(model->graph, &changes));
  kp_status* status = kp_graph_infer(model->graph);
  if (!status) fail_msg("accepted: %s", text);
  kp_status_free(status);
  kp_model_free(model);
}

static void nodes_without_effect_are_checked(void** state) {
  (void)state;
  assert_refused("in x string[2] a = Sum(x) y = Identity(a) out y string[2]");
  assert_refused("in x string[2] a = Max(x) y = Identity(a) out y string[2]");
  assert_refused("in x float[2] a = Concat(x) axis=3 y = Abs(a) out y float[2]");
  assert_refused("in x int32[2] a = Dropout(x) y = Abs(a) out y int32[2]");
  assert_refused("in x float[2] a = Transpose(x) perm=[0,1,2] y = Abs(a) out y float[2]");
  assert_refused(
      "in x float[2,3] a = Transpose(x) perm=[2,1,0] b = Transpose(a) perm=[2,1,0] y = Abs(b) out "
      "y float[2,3]");
}

static void chains_are_joined(void** state) {
  (void)state;
  assert_simplified("in x int8[2] a = Cast(x) to=1 y = Cast(a) to=7 out y int64[2]", "Cast");
  assert_simplified("in x int8[2] a = Cast(x) to=6 b = Cast(a) to=3 y = Neg(b) out y int8[2]",
                    "Neg");
  assert_simplified("in x float[2] a = Cast(x) to=10 y = Cast(a) to=1 out y float[2]",
                    "Cast Cast");  // loses digits
  assert_simplified("in x int32[2] a = Cast(x) to=1 y = Cast(a) to=7 out y int64[2]",
                    "Cast Cast");  // 2^31 - 1 is no float
  assert_simplified("in x uint16[2] a = Cast(x) to=5 y = Cast(a) to=7 out y int64[2]", "Cast Cast");
  assert_simplified(
      "in x float[2,3,4] a = Transpose(x) perm=[1,2,0] b = Transpose(a) perm=[2,0,1] y = Neg(b) "
      "out y float[2,3,4]",
      "Neg");
  assert_simplified("in x float[2,3] a = Transpose(x) b = Transpose(a) y = Neg(b) out y float[2,3]",
                    "Neg");
  kp_model* model = simplified(
      "in x float[2,3,4] a = Transpose(x) perm=[1,0,2] y = Transpose(a) perm=[0,2,1] out y "
      "float[3,4,2]");
  assert_ops(model, "Transpose");
  const kp_node* node = &model->graph->nodes[model->graph->order[0]];
  size_t count;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  assert_true(count == 3 && perm[0] == 1 && perm[1] == 2 && perm[2] == 0);
  assert_int_equal(node->origin_count, 2);
  assert_string_equal(node->rewrite, "join Transpose+Transpose");
  kp_model_free(model);
}

static void constants_come_in_every_form(void** state) {
  (void)state;
  kp_model* model = simplified(
      "in x float[2] a = Constant() value_float=2.5 b = Constant() value_ints=[3,4] c = Constant() "
      "value=float[2]{1 2}\n"
      "d = Constant() value_string=\"hi\" t = Add(x, a) y = Add(t, c) z1 = Identity(b) z2 = "
      "Identity(d)\n"
      "out y float[2] out z1 int64[2] out z2 string[]");
  assert_ops(model, "Add Add Identity Identity");
  const kapell_value* a =
      kp_node_input(model->graph, &model->graph->nodes[model->graph->order[0]], 1)->constant;
  assert_true(a->rank == 0 && *(const float*)a->data == 2.5f);
  kp_model_free(model);
  size_t byte_count;
  char* bytes =
      kp_test_model("in x float[2] a = Constant() y = Add(x, a) out y float[2]", 17, &byte_count);
  kp_onnx_model* source;
  ok(kp_onnx_read_bytes(bytes, byte_count, NULL, &source));
  free(bytes);
  ok(kp_model_build(source, NULL, &model));
  uint32_t changes;
  kp_status* status = kp_graph_simplify(model->graph, &changes);
  assert_int_equal(kp_status_code(status), KAPELL_INVALID_MODEL);
  kp_status_free(status);
  kp_model_free(model);
}

static void equal_nodes_become_one(void** state) {
  (void)state;
  kp_model* model = simplified(
      "in x float[2] a = Neg(x) b = Neg(x) c = Abs(a) d = Abs(b) y = Add(c, d) out y float[2]");
  assert_ops(model, "Neg Abs Add");
  assert_int_equal(model->graph->nodes[model->graph->order[0]].origin_count, 2);
  kp_model_free(model);
  assert_simplified(
      "in x float[2] a = Elu(x) alpha=1.5 b = Elu(x) alpha=2.5 y = Add(a, b) out y float[2]",
      "Elu Elu Add");
  assert_simplified(
      "in x float[2] init c float[] = 1 init d float[] = 1 a = Add(x,c) b = Add(x,d) y = Mul(a, b) "
      "out y float[2]",
      "Add Mul");
  assert_simplified(
      "in x float[2] init c float[] = 1 init d float[1] = 1 a = Add(x,c) b = Add(x,d) y = Mul(a, "
      "b) out y float[2]",
      "Add Add Mul");
  assert_simplified(
      "in x float[2] a = RandomNormalLike(x) b = RandomNormalLike(x) y = Add(a, b) out y float[2]",
      "RandomNormalLike RandomNormalLike Add");
  assert_simplified("in x float[2] y = Neg(x) z = Neg(x) out y float[2] out z float[2]",
                    "Neg Neg");  // both names are wanted
}

static void branches_with_a_known_condition_are_inlined(void** state) {
  (void)state;
  const char* text =
      "in x float[2] in w float[2]\n"
      "y, z = If(c) then_branch={ a = Add(x, w) b = Neg(a) out a float[2] out b float[2] }"
      " else_branch={ a = Abs(x) out w float[2] out a float[2] }\n"
      "out y float[2] out z float[2]";
  char filled[512];
  snprintf(filled, sizeof filled, "init c bool[] = 1 %s", text);
  assert_simplified(filled, "Add Neg");
  snprintf(filled, sizeof filled, "init c bool[] = 0 %s", text);
  assert_simplified(filled, "Abs Identity");
  // The condition of the inner one is a constant of the outer graph; its loop keeps its body.
  assert_simplified(
      "in x float[2] in n int64[] init c bool[] = 1\n"
      "r = If(c) then_branch={ s = If(c) then_branch={ t = Loop(n,c,x) body={ in i int64[] in k "
      "bool[] in v float[2] q = Add(v, x) kk = Identity(k)"
      " out kk bool[] out q float[2] } out t float[2] } else_branch={ t = Neg(x) out t float[2] } "
      "out s float[2] }"
      " else_branch={ t = Neg(x) out t float[2] }\ny = Neg(r) out y float[2]",
      "Loop Neg");
}

// --- folding -----------------------------------------------------------------------------------------------------------
// Knows Add of two floats of one element each; counts calls.
static kp_status* evaluate(void* user, const kp_graph* graph, const kp_node* node,
                           kapell_value* const* inputs, kapell_value** outputs) {
  (void)graph;
  ++*(int*)user;
  if (strcmp(node->op, "Add") != 0) return KP_ERROR(UNSUPPORTED, "only Add");
  KP_PASS(kp_value_create_tensor(KAPELL_FLOAT, inputs[0]->dims, inputs[0]->rank, &outputs[0]));
  const size_t count = kp_value_count(inputs[0]);
  for (size_t i = 0; i < count; ++i)
    ((float*)outputs[0]->data)[i] =
        ((const float*)inputs[0]->data)[i] + ((const float*)inputs[1]->data)[0];
  return NULL;
}

// Gives a tensor of zeros as inference has it, whatever the operator.
static kp_status* evaluate_fill(void* user, const kp_graph* graph, const kp_node* node,
                                kapell_value* const* inputs, kapell_value** outputs) {
  (void)user, (void)inputs;
  const kp_type* type = &kp_node_output(graph, node, 0)->type;
  return kp_value_create_tensor(type->element, type->dims, type->rank, &outputs[0]);
}

static void constants_are_folded(void** state) {
  (void)state;
  kp_model* model = simplified(
      "in x float[1] init a float[1] = 1 init b float[1] = 2 c = Add(a, b) d = Add(c, c) e = "
      "Mul(c, c) f = Add(x, d) y = Add(f, e) out y float[1]");
  int calls = 0;
  uint32_t folded;
  bool stopped;
  const kp_fold_options options = {.evaluate = evaluate, .user = &calls};
  ok(kp_graph_fold(model->graph, &options, &folded, &stopped));
  assert_int_equal(folded, 2);
  assert_int_equal(calls, 3);  // Mul was asked for and refused
  assert_false(stopped);
  assert_ops(model, "Mul Add Add");
  const kp_node* add = &model->graph->nodes[model->graph->order[1]];
  assert_float_equal(*(const float*)kp_node_input(model->graph, add, 1)->constant->data, 6, 0);
  kp_model_free(model);
}

static void shape_arithmetic_is_folded(void** state) {
  (void)state;
  kp_model* model = simplified(
      "in x float[2,3,4] init zero int64[] = 0 init one int64[1] = -1 s = Shape(x) g = Gather(s, "
      "zero) axis=0\n"
      "u = Unsqueeze(g, zero) t = Concat(u, one) axis=0 r = Reshape(x, t) y = Neg(r) out y "
      "float[2,12]");
  uint32_t folded, changes;
  bool stopped;
  ok(kp_graph_fold(model->graph, &(kp_fold_options){0}, &folded, &stopped));
  ok(kp_graph_simplify(model->graph, &changes));
  assert_ops(model, "Reshape Neg");
  const kapell_value* shape =
      kp_node_input(model->graph, &model->graph->nodes[model->graph->order[0]], 1)->constant;
  assert_int_equal(((const int64_t*)shape->data)[0], 2);
  kp_model_free(model);
}

// What inference knows of a value may lie in the memory of another constant: it must outlive that one's last use.
static void known_contents_outlive_pruning(void** state) {
  (void)state;
  kp_model* model = simplified(
      "in x float[3,4] init k int64[] = 12 init zero int64[1] = 0 u = Unsqueeze(k, zero) r = "
      "Reshape(x, u) y = Neg(r) out y float[12]");
  uint32_t folded, changes;
  bool stopped;
  ok(kp_graph_fold(model->graph, &(kp_fold_options){0}, &folded, &stopped));
  assert_int_equal(folded, 1);
  ok(kp_graph_infer(model->graph));
  ok(kp_graph_simplify(model->graph, &changes));
  kp_graph* copy;
  kp_value_id *inputs, *outputs;
  ok(kp_graph_extract(model->graph, model->graph->order, model->graph->order_count, &copy, &inputs,
                      &outputs));
  const kp_value* shape = kp_node_input(copy, &copy->nodes[0], 1);
  assert_int_equal(shape->data ? shape->data[0] : 12, 12);
  kp_graph_free(copy);
  kp_model_free(model);
}

static void budgets_stop_folding(void** state) {
  (void)state;
  const char* text =
      "in x float[64] init a float[64] = fill 1 init b float[1] = 2 c = Add(a, b) d = Add(c, b) e "
      "= Add(d, b) y = Add(x, e) out y float[64]";
  kp_model* model = simplified(text);
  int calls = 0;
  uint32_t folded;
  bool stopped;
  kp_fold_options options = {.evaluate = evaluate,
                             .user = &calls,
                             .max_bytes = 1100};  // a result may take a quarter: 256 do
  ok(kp_graph_fold(model->graph, &options, &folded, &stopped));
  assert_int_equal(folded, 3);
  assert_false(stopped);
  kp_model_free(model);
  model = simplified(text);
  options.max_bytes = 1000;
  ok(kp_graph_fold(model->graph, &options, &folded, &stopped));
  assert_int_equal(folded, 0);
  assert_true(stopped);
  kp_model_free(model);
  model = simplified(
      "in x float[1] init s int64[1] = 100000000 c = ConstantOfShape(s) y = Add(c, x) out y "
      "float[100000000]");
  ok(kp_graph_fold(model->graph, &options, &folded,
                   &stopped));  // large from little: left to the run
  assert_int_equal(folded, 0);
  kp_model_free(model);
}

// 4 MB from little are kept, and what is computed from them too; 64 MB are left to the run. What is not used any more goes at once.
static void grown_results_are_folded(void** state) {
  (void)state;
  const kp_fold_options options = {.evaluate = evaluate_fill, .user = NULL};
  const struct {
    const char* elements;
    uint32_t folded;
  } cases[] = {{"1048576", 2}, {"16777216", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    char text[256];
    snprintf(text, sizeof text,
             "in x float[1] init s int64[1] = %s c = ConstantOfShape(s) n = Neg(c) y = Add(n, x) "
             "out y float[%s]",
             cases[i].elements, cases[i].elements);
    kp_model* model = simplified(text);
    uint32_t folded;
    bool stopped;
    ok(kp_graph_fold(model->graph, &options, &folded, &stopped));
    assert_int_equal(folded, cases[i].folded);
    size_t kept = 0;
    for (kp_value_id id = 0; id < model->graph->value_count; ++id)
      kept +=
          model->graph->values[id].constant && model->graph->values[id].constant->byte_count > 4096;
    assert_int_equal(kept, folded ? 1 : 0);
    kp_model_free(model);
  }
}

static void large_graphs_take_linear_time(void** state) {
  (void)state;
  kp_strbuf text = {0};
  kp_strbuf_puts(&text, "in x float[N,4] init k int64[] = 0 init c float[4] = fill 1\n");
  for (int i = 0; i < 5000; ++i) {
    kp_strbuf_printf(&text,
                     "s%d = Shape(x) g%d = Gather(s%d, k) axis=0 f%d = Cast(g%d) to=1 a%d = Add(x, "
                     "f%d) b%d = Identity(a%d) d%d = Neg(b%d)\n",
                     i, i, i, i, i, i, i, i, i, i, i);
    if (i > 0)
      kp_strbuf_printf(&text, "e%d = Add(d%d, e%d)\n", i, i, i - 1);
    else
      kp_strbuf_puts(&text, "e0 = Add(d0, c)\n");
  }
  kp_strbuf_puts(&text, "y = Neg(e4999) out y float[N,4]");
  kp_model* model = build(text.data);
  kp_strbuf_free(&text);
  uint32_t changes;
  const uint64_t start = kp_clock_ns();
  ok(kp_graph_simplify(model->graph, &changes));
  model->graph->inferred = true;  // what inference costs is measured elsewhere
  ok(kp_graph_simplify(model->graph, &changes));
  const double ms = (double)(kp_clock_ns() - start) / 1e6;
  print_message("simplified 35,000 nodes in %.1f ms, %u changes, %u left\n", ms, changes,
                model->graph->order_count);
  assert_int_equal(model->graph->order_count, 5 + 5000 + 1);
  assert_int_equal(model->graph->nodes[0].origin_count, 5000);
  assert_true(ms < 2000);
  kp_model_free(model);
}

static void failing_allocations_are_clean_errors(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  for (uint64_t nth = 1;; ++nth) {
    kp_model* model = build(
        "in x float[1] in w float[1] init a float[1] = 1 b = Constant() value_floats=[2.5] c = "
        "Add(a, b) t = Transpose(x) t2 = Transpose(t)\n"
        "init k bool[] = 1 r = If(k) then_branch={ p = Add(t2, c) q = Add(t2, c) s = Mul(p, q) out "
        "s float[1] } else_branch={ out w float[1] }\n"
        "y = Identity(r) out y float[1]");
    int calls = 0;
    uint32_t changes, folded;
    bool stopped;
    const kp_fold_options options = {.evaluate = evaluate, .user = &calls};
    kp_alloc_fail_at(nth);
    kp_status* status = kp_graph_simplify(model->graph, &changes);
    if (!status) status = kp_graph_fold(model->graph, &options, &folded, &stopped);
    if (!status) status = kp_graph_simplify(model->graph, &changes);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_model_free(model);
    assert_int_equal(kp_alloc_live(), live);
    if (!failed) break;
  }
}

static void every_reader_gets_a_dequantization(void** state) {
  (void)state;
  kp_model* model = build(
      "in q uint8[2] in c bool[] init s float[] = 0.5 init z uint8[] = 3 d = DequantizeLinear(q, "
      "s, "
      "z) a = Neg(d) b = Add(d, d) e = If(c) then_branch={ t = Abs(d) out t float[2] } "
      "else_branch={ u = Neg(d) out u float[2] } y = Sum(a, b, e) out y float[2]");
  uint32_t changes;
  ok(kp_graph_part_dequantize(model->graph, &changes));
  assert_int_equal(changes, 3);  // bodies keep the first
  ok(kp_graph_order(model->graph));
  ok(kp_graph_infer(model->graph));
  for (kp_node_id n = 0; n < model->graph->node_count; ++n) {
    const kp_node* node = &model->graph->nodes[n];
    if (node->removed || !kp_node_is(node, "", "DequantizeLinear")) continue;
    const kp_value* value = kp_node_output(model->graph, node, 0);
    assert_int_equal(value->use_count, 1);
    assert_int_equal(value->type.element, KAPELL_FLOAT);
    assert_int_equal(node->origin_count, 1);
  }
  ok(kp_graph_part_dequantize(model->graph, &changes));
  assert_int_equal(changes, 0);
  ok(kp_graph_simplify(model->graph, &changes));
  assert_ops(model, "DequantizeLinear Neg Add If Sum");
  kp_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_reader_gets_a_dequantization),
      cmocka_unit_test(nodes_without_effect_go),
      cmocka_unit_test(nodes_without_effect_are_checked),
      cmocka_unit_test(chains_are_joined),
      cmocka_unit_test(constants_come_in_every_form),
      cmocka_unit_test(equal_nodes_become_one),
      cmocka_unit_test(branches_with_a_known_condition_are_inlined),
      cmocka_unit_test(constants_are_folded),
      cmocka_unit_test(shape_arithmetic_is_folded),
      cmocka_unit_test(known_contents_outlive_pruning),
      cmocka_unit_test(budgets_stop_folding),
      cmocka_unit_test(grown_results_are_folded),
      cmocka_unit_test(large_graphs_take_linear_time),
      cmocka_unit_test(failing_allocations_are_clean_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
