// Tests of the graph's structure: uses from both sides, order, pruning, rewrites, copies; and that all of it stays consistent under
// thousands of random changes.
#include "graph/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "graph/rewrite.h"

static void ok(kp_status* status) {
  if (status) fail_msg("%s", kp_status_text(status));
}

static void assert_fails(kp_status* status, kapell_code code, const char* words) {
  assert_non_null(status);
  assert_int_equal(kp_status_code(status), code);
  if (!strstr(kp_status_text(status), words))
    fail_msg("no '%s' in: %s", words, kp_status_text(status));
  kp_status_free(status);
}

// Every use stands in both lists, counts agree, producers know their outputs.
static void check_consistent(const kp_graph* graph) {
  size_t use_count = 0, link_count = 0;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    const kp_node* node = &graph->nodes[id];
    for (uint32_t k = 0; !node->removed && k < node->input_count + node->implicit_count; ++k) {
      const kp_value_id value =
          k < node->input_count ? node->inputs[k] : node->implicit[k - node->input_count];
      if (value == KP_NONE) continue;
      ++link_count;
      assert_true(node->use_slots[k] < graph->values[value].use_count);
      assert_int_equal(graph->values[value].uses[node->use_slots[k]], id);
      assert_int_equal(graph->values[value].use_inputs[node->use_slots[k]], k);
    }
    for (uint32_t k = 0; !node->removed && k < node->output_count; ++k) {
      if (node->outputs[k] == KP_NONE) continue;
      assert_int_equal(graph->values[node->outputs[k]].producer, id);
      assert_int_equal(graph->values[node->outputs[k]].producer_output, k);
    }
  }
  for (kp_value_id id = 0; id < graph->value_count; ++id) use_count += graph->values[id].use_count;
  assert_int_equal(use_count, link_count);
  if (!graph->order_valid) return;
  uint32_t* place = calloc(graph->node_count + 1, sizeof *place);
  for (uint32_t i = 0; i < graph->order_count; ++i) place[graph->order[i]] = i + 1;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    const kp_node* node = &graph->nodes[id];
    assert_true((place[id] != 0) == !node->removed);
    for (uint32_t k = 0; !node->removed && k < node->input_count; ++k) {
      const kp_value* value = kp_node_input(graph, node, k);
      if (value && value->producer != KP_NONE) assert_true(place[value->producer] < place[id]);
    }
  }
  free(place);
}

static kp_model* new_model(void) {
  kp_model* model;
  ok(kp_model_create(&model));
  ok(kp_graph_create(model, &model->graph));
  return model;
}

static kp_value_id new_input(kp_graph* graph, const char* name) {
  kp_value_id id;
  ok(kp_graph_add_value(graph, name, &id));
  ok(kp_graph_add_input(graph, id));
  return id;
}

// A node with one fresh output; its origin is new.
static kp_node_id new_node(kp_graph* graph, const char* op, const kp_value_id* inputs,
                           uint32_t count, kp_value_id* out_value) {
  const kp_origin origin = {.name = "", .op = op, .domain = "", .path = ""};
  uint32_t index;
  kp_value_id output = KP_NONE;
  kp_node_id id;
  ok(kp_model_add_origin(graph->model, &origin, &index));
  const kp_node_spec spec = {.op = op,
                             .domain = "",
                             .version = 17,
                             .inputs = inputs,
                             .input_count = count,
                             .outputs = &output,
                             .output_count = 1};
  ok(kp_graph_add_node(graph, &spec, &index, 1, NULL, &id));
  if (out_value) *out_value = output;
  return id;
}

static kapell_value* new_scalar(float number) {
  kapell_value* value;
  ok(kp_value_create_tensor(KAPELL_FLOAT, NULL, 0, &value));
  memcpy(value->data, &number, sizeof number);
  return value;
}

static void nodes_and_values_know_each_other(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  const kp_value_id x = new_input(graph, "x");
  kp_value_id y, z;
  const kp_node_id add = new_node(graph, "Add", (kp_value_id[]){x, x}, 2, &y);
  const kp_node_id neg = new_node(graph, "Neg", &y, 1, &z);
  ok(kp_graph_add_output(graph, z));
  check_consistent(graph);
  assert_int_equal(graph->values[x].use_count, 2);
  assert_string_equal(graph->nodes[add].name, "Add#0");
  assert_non_null(graph->nodes[neg].schema);
  ok(kp_graph_set_input(graph, neg, 0, x));
  check_consistent(graph);
  assert_int_equal(graph->values[y].use_count, 0);
  ok(kp_graph_replace_uses(graph, x, y));  // a circle now: Add reads its own output
  check_consistent(graph);
  assert_fails(kp_graph_order(graph), KAPELL_INVALID_MODEL, "'Add#0' (Add) <- Add#0");
  kp_graph_remove_node(graph, add);
  ok(kp_graph_order(graph));
  check_consistent(graph);
  kp_model_free(model);
}

static void additions_that_make_no_sense_are_refused(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  const kp_value_id x = new_input(graph, "x");
  kp_value_id y, outputs[2];
  new_node(graph, "Neg", &x, 1, &y);
  kp_node_spec spec = {.op = "Neg",
                       .domain = "",
                       .version = 17,
                       .inputs = &x,
                       .input_count = 1,
                       .outputs = outputs,
                       .output_count = 1};
  kp_node_id id;
  outputs[0] = y;
  assert_fails(kp_graph_add_node(graph, &spec, NULL, 0, "r", &id), KAPELL_INTERNAL,
               "produced already");
  outputs[0] = x;
  assert_fails(kp_graph_add_node(graph, &spec, NULL, 0, "r", &id), KAPELL_INTERNAL,
               "produced already");
  ok(kp_graph_add_value(graph, "v", &outputs[0]));
  outputs[1] = outputs[0];
  spec.output_count = 2;
  assert_fails(kp_graph_add_node(graph, &spec, NULL, 0, "r", &id), KAPELL_INTERNAL, "two outputs");
  check_consistent(graph);
  assert_int_equal(graph->values[outputs[0]].producer, KP_NONE);
  spec.inputs = (kp_value_id[]){1000};
  spec.output_count = 1;
  assert_fails(kp_graph_add_node(graph, &spec, NULL, 0, "r", &id), KAPELL_INTERNAL, "no value");
  kp_model_free(model);
}

static void order_follows_edges_not_ids(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  enum { COUNT = 1000 };
  kp_value_id values[COUNT + 1];
  const kp_value_id x = new_input(graph, "x");
  for (int i = 0; i <= COUNT; ++i) ok(kp_graph_add_value(graph, NULL, &values[i]));
  for (int i = COUNT; i > 0; --i) {  // node i makes value i of value i-1, last first
    kp_node_spec spec = {.op = "Neg",
                         .domain = "",
                         .version = 17,
                         .inputs = &values[i - 1],
                         .input_count = 1,
                         .outputs = &values[i],
                         .output_count = 1};
    kp_node_id id;
    ok(kp_graph_add_node(graph, &spec, NULL, 0, NULL, &id));
  }
  kp_value_id first = values[0];
  const kp_node_spec spec = {.op = "Neg",
                             .domain = "",
                             .version = 17,
                             .inputs = &x,
                             .input_count = 1,
                             .outputs = &first,
                             .output_count = 1};
  kp_node_id id;
  ok(kp_graph_add_node(graph, &spec, NULL, 0, NULL, &id));
  ok(kp_graph_order(graph));
  check_consistent(graph);
  assert_int_equal(graph->order[0], COUNT);
  assert_int_equal(graph->order[COUNT], 0);
  kp_model_free(model);
}

static void pruning_takes_dead_nodes_and_constants(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  const kp_value_id x = new_input(graph, "x");
  kp_value_id used, dead, kept, unused;
  ok(kp_graph_add_constant(graph, "c", new_scalar(1), &used));
  ok(kp_graph_add_constant(graph, "d", new_scalar(2), &unused));
  new_node(graph, "Add", (kp_value_id[]){x, used}, 2, &kept);
  new_node(graph, "Add", (kp_value_id[]){x, unused}, 2, &dead);
  for (int i = 0; i < 50000; ++i)
    new_node(graph, "Neg", (kp_value_id[]){dead}, 1, &dead);  // depth costs no stack
  ok(kp_graph_add_output(graph, kept));
  ok(kp_graph_prune(graph));
  check_consistent(graph);
  ok(kp_graph_order(graph));
  assert_int_equal(graph->order_count, 1);
  assert_non_null(graph->values[used].constant);
  assert_null(graph->values[unused].constant);
  kp_model_free(model);
}

static void rewrites_keep_provenance(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  const kp_value_id x = new_input(graph, "x");
  kp_value_id y, z, w;
  const kp_node_id conv = new_node(graph, "Conv", (kp_value_id[]){x, x}, 2, &y);
  const kp_node_id relu = new_node(graph, "Relu", &y, 1, &z);
  const kp_node_id neg = new_node(graph, "Neg", &z, 1, &w);
  ok(kp_graph_add_output(graph, w));
  kp_node_spec fresh = {.op = "ConvRelu",
                        .domain = "kapell",
                        .inputs = (kp_value_id[]){x, x},
                        .input_count = 2,
                        .outputs = &z,
                        .output_count = 1};
  kp_node_id fused;
  kp_rewrite rewrite = {.name = "fuse Conv+Relu",
                        .old_nodes = (kp_node_id[]){relu, conv},
                        .old_count = 2,
                        .fresh = &fresh,
                        .fresh_count = 1,
                        .origin_of = KP_NONE,
                        .out_nodes = &fused};
  ok(kp_graph_rewrite(graph, &rewrite));
  check_consistent(graph);
  const kp_node* node = &graph->nodes[fused];
  assert_int_equal(node->origin_count, 2);
  assert_int_equal(node->origins[0], 0);
  assert_int_equal(node->origins[1], 1);
  assert_string_equal(node->rewrite, "fuse Conv+Relu");
  assert_int_equal(graph->values[z].producer, fused);
  // Nodes in a row name values between them through a shared place; origins of one more node are added.
  kp_value_id middle = KP_NONE, last = w;
  kp_node_spec row[] = {{.op = "A",
                         .domain = "kapell",
                         .inputs = &z,
                         .input_count = 1,
                         .outputs = &middle,
                         .output_count = 1},
                        {.op = "B",
                         .domain = "kapell",
                         .inputs = &middle,
                         .input_count = 1,
                         .outputs = &last,
                         .output_count = 1}};
  rewrite = (kp_rewrite){.name = "split",
                         .old_nodes = &neg,
                         .old_count = 1,
                         .fresh = row,
                         .fresh_count = 2,
                         .origin_of = fused};
  ok(kp_graph_rewrite(graph, &rewrite));
  check_consistent(graph);
  assert_int_equal(graph->nodes[graph->node_count - 1].origin_count, 3);
  // Outputs that are still used must be made again.
  rewrite = (kp_rewrite){.name = "lose", .old_nodes = &fused, .old_count = 1, .origin_of = KP_NONE};
  assert_fails(kp_graph_rewrite(graph, &rewrite), KAPELL_INTERNAL, "without producer");
  rewrite.old_count = 0;
  assert_fails(kp_graph_rewrite(graph, &rewrite), KAPELL_INTERNAL, "stands for no node");
  kp_model_free(model);
}

// A body that captures |outer| twice over: through itself and through a body within.
static kp_node_id add_nested_bodies(kp_graph* graph, kp_value_id outer, kp_value_id* out_value) {
  kp_graph *body, *inner;
  kp_value_id captured, deep, result;
  ok(kp_graph_create_body(graph, &body));
  ok(kp_graph_create_body(body, &inner));
  ok(kp_graph_add_value(inner, "deep", &deep));
  ok(kp_graph_add_capture(inner, deep));
  new_node(inner, "Neg", &deep, 1, &result);
  ok(kp_graph_add_output(inner, result));
  ok(kp_graph_add_value(body, "captured", &captured));
  ok(kp_graph_add_capture(body, captured));
  const char* name = kp_intern(&graph->model->names, kp_str_of("body"));
  kp_attr attr = {.name = name, .type = KP_ONNX_ATTR_GRAPH, .graph = inner};
  kp_value_id output = KP_NONE;
  kp_node_spec spec = {.op = "Loop",
                       .domain = "",
                       .version = 17,
                       .outputs = &output,
                       .output_count = 1,
                       .attrs = &attr,
                       .attr_count = 1,
                       .implicit = &captured,
                       .implicit_count = 1};
  kp_node_id id;
  ok(kp_graph_add_node(body, &spec, NULL, 0, NULL, &id));
  ok(kp_graph_add_output(body, output));
  attr.graph = body;
  spec.implicit = &outer;
  output = KP_NONE;
  ok(kp_graph_add_node(graph, &spec, NULL, 0, NULL, &id));
  if (out_value) *out_value = output;
  return id;
}

static void bodies_capture_explicitly(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  const kp_value_id x = new_input(graph, "x");
  kp_value_id y, result;
  new_node(graph, "Neg", &x, 1, &y);
  const kp_node_id loop = add_nested_bodies(graph, y, &result);
  ok(kp_graph_add_output(graph, result));
  check_consistent(graph);
  assert_int_equal(graph->values[y].use_count, 1);
  // When the innermost stops reading it, the capture goes all the way up and the producer dies.
  kp_graph* body = kp_node_body(&graph->nodes[loop], 0);
  kp_graph* inner = kp_node_body(&body->nodes[0], 0);
  kp_value_id constant;
  ok(kp_graph_add_constant(inner, NULL, new_scalar(3), &constant));
  ok(kp_graph_set_input(inner, 0, 0, constant));
  ok(kp_graph_prune(graph));
  check_consistent(graph);
  check_consistent(body);
  assert_int_equal(graph->nodes[loop].implicit_count, 0);
  assert_int_equal(body->capture_count, 0);
  assert_int_equal(graph->values[y].producer, KP_NONE);
  kp_model_free(model);
}

static void depth_of_bodies_is_bounded(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  for (int i = 0; i < KP_GRAPH_MAX_DEPTH; ++i) ok(kp_graph_create_body(graph, &graph));
  kp_graph* too_deep;
  assert_fails(kp_graph_create_body(graph, &too_deep), KAPELL_LIMIT, "nested more than 100 deep");
  kp_model_free(model);
}

static void a_copy_is_a_graph_of_its_own(void** state) {
  (void)state;
  kp_model* model = new_model();
  kp_graph* graph = model->graph;
  const kp_value_id x = new_input(graph, "x");
  kp_value_id c, a, b, d, e;
  ok(kp_graph_add_constant(graph, "c", new_scalar(1), &c));
  new_node(graph, "Neg", &x, 1, &a);
  const kp_node_id add = new_node(graph, "Add", (kp_value_id[]){a, c}, 2, &b);
  const kp_node_id loop = add_nested_bodies(graph, a, &d);
  new_node(graph, "Mul", (kp_value_id[]){b, d}, 2, &e);
  ok(kp_graph_add_output(graph, e));
  ok(kp_graph_add_output(graph, b));
  kp_graph* copy;
  kp_value_id *inputs, *outputs;
  ok(kp_graph_extract(graph, (kp_node_id[]){loop, add}, 2, &copy, &inputs, &outputs));
  check_consistent(copy);
  assert_int_equal(copy->node_count, 2);
  assert_int_equal(copy->input_count, 1);  // |a|, which both read; the constant is shared
  assert_int_equal(inputs[0], a);
  assert_int_equal(copy->output_count, 2);
  assert_int_equal(outputs[0], b);
  assert_int_equal(outputs[1], d);
  assert_string_equal(copy->values[copy->outputs[0]].name, graph->values[b].name);
  assert_ptr_equal(kp_node_input(copy, &copy->nodes[0], 1)->constant, graph->values[c].constant);
  assert_int_equal(copy->nodes[0].origins[0], graph->nodes[add].origins[0]);
  const kp_graph* body = kp_node_body(&copy->nodes[1], 0);
  assert_ptr_not_equal(body, kp_node_body(&graph->nodes[loop], 0));
  assert_ptr_equal(body->parent, copy);
  check_consistent(body);
  // All nodes copied: the same graph again, whichever is freed first.
  kp_graph* whole;
  ok(kp_graph_extract(graph, (kp_node_id[]){0, 1, 2, 3}, 4, &whole, &inputs, &outputs));
  assert_int_equal(whole->input_count, 1);
  assert_int_equal(whole->output_count, 2);
  kp_graph_free(graph);
  model->graph = NULL;
  kp_graph_remove_node(copy, 0);
  check_consistent(copy);
  check_consistent(whole);
  ok(kp_graph_order(whole));
  kp_graph_free(copy);
  kp_graph_free(whole);
  kp_model_free(model);
}

static kp_value_id random_value(const kp_graph* graph, kp_node_id below) {
  kp_value_id id;
  do {  // something that no node at or above |below| makes, so that no circle comes about
    id = (kp_value_id)((unsigned)rand() % graph->value_count);
  } while (graph->values[id].producer != KP_NONE
               ? graph->values[id].producer >= below
               : !graph->values[id].is_input && !graph->values[id].constant);
  return id;
}

static void random_step(kp_graph* graph) {
  const kp_node_id id = (kp_node_id)((unsigned)rand() % graph->node_count);
  const kp_node node = graph->nodes[id];
  if (node.removed) return;
  const kp_value_id value = random_value(graph, id);
  switch (rand() % 5) {
    case 0:
      ok(kp_graph_set_input(graph, id, 0, value));
      return;
    case 1:
      if (graph->values[node.outputs[0]].producer == id)
        ok(kp_graph_replace_uses(graph, node.outputs[0], value));
      kp_graph_remove_node(graph, id);
      return;
    case 2:
      ok(kp_graph_prune(graph));
      return;
    default:
      break;
  }
  kp_value_id middle = KP_NONE, output = node.outputs[0];  // one node becomes two
  kp_node_spec fresh[] = {{.op = "A",
                           .domain = "kapell",
                           .inputs = (kp_value_id[]){value, node.inputs[0], value},
                           .input_count = 3,
                           .outputs = &middle,
                           .output_count = 1},
                          {.op = "B",
                           .domain = "kapell",
                           .inputs = &middle,
                           .input_count = 1,
                           .outputs = &output,
                           .output_count = 1}};
  const kp_rewrite rewrite = {.name = "random",
                              .old_nodes = &id,
                              .old_count = 1,
                              .fresh = fresh,
                              .fresh_count = 2,
                              .origin_of = KP_NONE};
  ok(kp_graph_rewrite(graph, &rewrite));
}

static void random_changes_keep_graphs_consistent(void** state) {
  (void)state;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    srand(seed);
    kp_model* model = new_model();
    kp_graph* graph = model->graph;
    kp_value_id value = new_input(graph, "x");
    for (int i = 0; i < 100; ++i) {
      new_node(graph, "Neg", (kp_value_id[]){random_value(graph, KP_NONE)}, 1, &value);
      if (i % 7 == 0) ok(kp_graph_add_output(graph, value));
    }
    for (int i = 0; i < 400; ++i) {
      random_step(graph);
      kp_status* status = kp_graph_order(
          graph);  // rewrites may make circles, as new ids lie above those of readers
      if (status) {
        assert_int_equal(kp_status_code(status), KAPELL_INVALID_MODEL);
        kp_status_free(status);
      }
      if (i % 20 == 0) check_consistent(graph);
    }
    check_consistent(graph);
    kp_model_free(model);
  }
}

static void failing_allocations_leave_graphs_consistent(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  for (uint64_t nth = 1;; ++nth) {
    kp_model* model = new_model();
    const kp_value_id x = new_input(model->graph, "x");
    kp_alloc_fail_at(nth);
    kp_status* status = NULL;
    for (int i = 0; i < 40 && !status; ++i) {
      kp_value_id output = KP_NONE;
      kp_node_id id;
      const kp_node_spec spec = {.op = "Neg",
                                 .domain = "",
                                 .version = 17,
                                 .inputs = &x,
                                 .input_count = 1,
                                 .outputs = &output,
                                 .output_count = 1};
      status = kp_graph_add_node(model->graph, &spec, NULL, 0, NULL, &id);
      if (!status) status = kp_graph_add_output(model->graph, output);
    }
    kp_graph* copy = NULL;
    kp_value_id *inputs, *outputs;
    if (!status)
      status = kp_graph_extract(model->graph, (kp_node_id[]){0, 5, 7}, 3, &copy, &inputs, &outputs);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    assert_true(failed == (status != NULL));
    check_consistent(model->graph);
    if (copy) check_consistent(copy);
    kp_status_free(status);
    kp_graph_free(copy);
    kp_model_free(model);
    assert_int_equal(kp_alloc_live(), live);
    if (!failed) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_and_values_know_each_other),
      cmocka_unit_test(additions_that_make_no_sense_are_refused),
      cmocka_unit_test(order_follows_edges_not_ids),
      cmocka_unit_test(pruning_takes_dead_nodes_and_constants),
      cmocka_unit_test(rewrites_keep_provenance),
      cmocka_unit_test(bodies_capture_explicitly),
      cmocka_unit_test(depth_of_bodies_is_bounded),
      cmocka_unit_test(a_copy_is_a_graph_of_its_own),
      cmocka_unit_test(random_changes_keep_graphs_consistent),
      cmocka_unit_test(failing_allocations_leave_graphs_consistent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
