// SequenceMap as a Loop, which is how the specification defines it: the body is changed in place into one that takes the items of its
// sequences out by the number of the iteration, and appends what it makes to sequences that are carried around.
//
// Which inputs are sequences is known after inference only; the first always is.
#include "graph/expand.h"

#define NAME "expand SequenceMap"

typedef struct kp_map_expansion {
  kp_graph *graph, *body;
  kp_node node;          // a copy: adding nodes moves them
  kp_value_id* items;    // the body's inputs as it had them; parallel to the node's inputs
  kp_value_id* results;  // its outputs
  uint32_t result_count;
  kp_value_id iteration, condition;
  kp_value_id* gathered;  // the carried sequences as the body gets them; parallel to |results|
} kp_map_expansion;

// A node of one output in |graph|, which stands for the SequenceMap.
static kp_status* add_node(const kp_map_expansion* e, kp_graph* graph, const char* op,
                           const kp_value_id* inputs, uint32_t input_count, kp_value_id output) {
  kp_node_id unused;
  const kp_node_spec spec = {.name = e->node.name,
                             .op = op,
                             .domain = "",
                             .version = e->node.version,
                             .inputs = inputs,
                             .input_count = input_count,
                             .outputs = &output,
                             .output_count = 1};
  return kp_graph_add_node(graph, &spec, e->node.origins, e->node.origin_count, NAME, &unused);
}

static kp_status* add_scalar_input(kp_graph* body, kapell_type element, kp_value_id* out_value) {
  KP_PASS(kp_graph_add_value(body, NULL, out_value));
  body->values[*out_value].type = (kp_type){.kind = KAPELL_KIND_TENSOR, .element = element};
  return kp_graph_add_input(body, *out_value);
}

// The body's own lists of inputs and outputs are put aside.
static kp_status* take_lists(kp_map_expansion* e, kp_arena* arena) {
  kp_graph* body = e->body;
  e->result_count = e->node.output_count;
  e->items = kp_arena_new_array(arena, kp_value_id, e->node.input_count);
  e->results = kp_arena_new_array(arena, kp_value_id, e->result_count);
  e->gathered = kp_arena_new_array(arena, kp_value_id, e->result_count);
  if (!e->items || !e->results || !e->gathered) return KP_ERROR(OUT_OF_MEMORY, "a body");
  for (uint32_t i = 0; i < e->node.input_count; ++i) {
    e->items[i] = body->inputs[i];
    body->values[body->inputs[i]].is_input = false;
  }
  for (uint32_t o = 0; o < body->output_count; ++o) {
    if (o < e->result_count) e->results[o] = body->outputs[o];
    body->values[body->outputs[o]].output_refs--;
  }
  body->input_count = body->output_count = 0;
  body->parent_node = KP_NONE;
  return NULL;
}

static kp_status* add_inputs(kp_map_expansion* e) {
  KP_PASS(add_scalar_input(e->body, KAPELL_INT64, &e->iteration));
  KP_PASS(add_scalar_input(e->body, KAPELL_BOOL, &e->condition));
  for (uint32_t o = 0; o < e->result_count; ++o) {
    KP_PASS(kp_graph_add_value(e->body, NULL, &e->gathered[o]));
    KP_PASS(kp_graph_add_input(e->body, e->gathered[o]));
  }
  return NULL;
}

// The node's input |i| becomes a capture; the body's value is its item, or where it is no sequence, itself.
static kp_status* add_item(kp_map_expansion* e, uint32_t i) {
  const kp_type type = e->graph->values[e->node.inputs[i]].type;
  kp_value_id inputs[2] = {0, e->iteration};
  KP_PASS(kp_graph_add_value(e->body, NULL, &inputs[0]));
  e->body->values[inputs[0]].type = type;  // the outer arena outlives the body's
  KP_PASS(kp_graph_add_capture(e->body, inputs[0]));
  const bool sequence = i == 0 || type.kind == KAPELL_KIND_SEQUENCE;
  return add_node(e, e->body, sequence ? "SequenceAt" : "Identity", inputs, sequence ? 2 : 1,
                  e->items[i]);
}

static kp_status* add_outputs(kp_map_expansion* e) {
  kp_value_id output;
  KP_PASS(kp_graph_add_value(e->body, NULL, &output));
  KP_PASS(add_node(e, e->body, "Identity", &e->condition, 1, output));
  KP_PASS(kp_graph_add_output(e->body, output));
  for (uint32_t o = 0; o < e->result_count; ++o) {
    const kp_value_id inputs[2] = {e->gathered[o], e->results[o]};
    KP_PASS(kp_graph_add_value(e->body, NULL, &output));
    KP_PASS(add_node(e, e->body, "SequenceInsert", inputs, 2, output));
    KP_PASS(kp_graph_add_output(e->body, output));
  }
  return kp_graph_order(e->body);
}

// An empty sequence of what the body gives as result |index|.
static kp_status* add_empty(const kp_map_expansion* e, uint32_t index, kp_value_id output) {
  const kp_type* type = &e->body->values[e->results[index]].type;
  kp_attr* attr = kp_arena_new(&e->graph->model->arena, kp_attr);
  if (!attr) return KP_ERROR(OUT_OF_MEMORY, "an attribute");
  const bool known = type->kind == KAPELL_KIND_TENSOR && type->element != KAPELL_UNDEFINED;
  *attr = (kp_attr){
      .name = "dtype", .type = KP_ONNX_ATTR_INT, .i = known ? type->element : KAPELL_FLOAT};
  kp_node_id unused;
  const kp_node_spec spec = {.name = e->node.name,
                             .op = "SequenceEmpty",
                             .domain = "",
                             .version = e->node.version,
                             .outputs = &output,
                             .output_count = 1,
                             .attrs = attr,
                             .attr_count = 1};
  return kp_graph_add_node(e->graph, &spec, e->node.origins, e->node.origin_count, NAME, &unused);
}

// Loop(length, "", empty...) in the node's place. Its captures are those of the body, then the node's inputs.
static kp_status* add_loop(kp_map_expansion* e, kp_node_id id, kp_arena* arena) {
  const uint32_t inputs = 2 + e->result_count,
                 captures = e->node.implicit_count + e->node.input_count;
  kp_value_id* ids = kp_arena_new_array(arena, kp_value_id, inputs);
  kp_value_id* implicit = kp_arena_new_array(arena, kp_value_id, captures);
  kp_value_id* outputs = kp_arena_new_array(arena, kp_value_id, e->result_count);
  if (!ids || !implicit || !outputs) return KP_ERROR(OUT_OF_MEMORY, "a loop");
  ids[1] = KP_NONE;
  KP_PASS(kp_graph_add_value(e->graph, NULL, &ids[0]));
  KP_PASS(add_node(e, e->graph, "SequenceLength", &e->node.inputs[0], 1, ids[0]));
  for (uint32_t o = 0; o < e->result_count; ++o) {
    KP_PASS(kp_graph_add_value(e->graph, NULL, &ids[2 + o]));
    KP_PASS(add_empty(e, o, ids[2 + o]));
    outputs[o] = e->node.outputs[o] == KP_NONE ? KP_ABSENT : e->node.outputs[o];
  }
  for (uint32_t i = 0; i < captures; ++i)
    implicit[i] = i < e->node.implicit_count ? e->node.implicit[i]
                                             : e->node.inputs[i - e->node.implicit_count];
  const kp_attr body = {.name = "body", .type = KP_ONNX_ATTR_GRAPH, .graph = e->body};
  kp_node_spec spec = {.name = e->node.name,
                       .op = "Loop",
                       .domain = "",
                       .version = e->node.version,
                       .inputs = ids,
                       .input_count = inputs,
                       .outputs = outputs,
                       .output_count = e->result_count,
                       .attrs = &body,
                       .attr_count = 1,
                       .implicit = implicit,
                       .implicit_count = captures};
  return kp_graph_rewrite(e->graph, &(kp_rewrite){.name = NAME,
                                                  .old_nodes = &id,
                                                  .old_count = 1,
                                                  .fresh = &spec,
                                                  .fresh_count = 1,
                                                  .origin_of = KP_NONE});
}

static kp_status* expand(kp_map_expansion* e, kp_node_id id, kp_arena* arena) {
  KP_PASS(take_lists(e, arena));
  KP_PASS(add_inputs(e));
  for (uint32_t i = 0; i < e->node.input_count; ++i) KP_PASS(add_item(e, i));
  KP_PASS(add_outputs(e));
  return add_loop(e, id, arena);
}

kp_status* kp_expand_sequence_map(kp_graph* graph, kp_node_id id) {
  kp_map_expansion e = {.graph = graph, .node = graph->nodes[id]};
  e.body = kp_node_attr_graph(&e.node, "body");
  if (!e.body || e.body->input_count != e.node.input_count ||
      e.body->output_count < e.node.output_count)
    return KP_ERROR(INVALID_MODEL, "the body of '%s' does not fit it", e.node.name);
  for (uint32_t i = 0; i < e.node.input_count; ++i)
    if (e.node.inputs[i] == KP_NONE)
      return KP_ERROR(INVALID_MODEL, "input %u of '%s' is absent", i, e.node.name);
  kp_arena arena = {0};
  kp_status* status = expand(&e, id, &arena);
  kp_arena_free(&arena);
  return status;
}
