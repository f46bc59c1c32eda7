// Drops nodes that change nothing and that load-time simplification could not see: casts to the type that is there already,
// transposes and reshapes that keep every dim where it is. What they cost otherwise is a copy when their result is an output.
#include "base/size.h"
#include "provider/cpu/pass.h"

static bool same_type(const kp_graph* graph, const kp_node* node) {
  const kp_value* from = kp_node_input(graph, node, 0);
  const kp_value* to = kp_node_output(graph, node, 0);
  return from && to && from->type.kind == KAPELL_KIND_TENSOR &&
         from->type.element != KAPELL_UNDEFINED && from->type.element == to->type.element;
}

static bool is_identity_transpose(const kp_node* node) {
  size_t count;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  for (size_t i = 0; i < count; ++i)
    if (perm[i] != (int64_t)i) return false;
  return perm != NULL;
}

static bool is_nop(const kp_graph* graph, const kp_node* node) {
  if (kp_node_is(node, "", "Cast") || kp_node_is(node, "", "CastLike"))
    return same_type(graph, node);
  if (kp_node_is(node, "", "Transpose")) return is_identity_transpose(node);
  return kp_node_is(node, "", "Identity");
}

// Where the result is an output, whose name must stay, the node before gives it directly. False if there is none that could.
static kp_status* give_directly(kp_graph* graph, kp_node_id id, bool* out_done) {
  const kp_value_id from = graph->nodes[id].inputs[0], to = graph->nodes[id].outputs[0];
  const kp_node_id producer = graph->values[from].producer;
  *out_done = producer != KP_NONE && !graph->values[from].output_refs;
  if (!*out_done) return NULL;
  kp_value_id unused;
  KP_PASS(kp_graph_add_value(graph, NULL, &unused));
  const uint32_t index = graph->values[from].producer_output;
  KP_PASS(kp_graph_set_output(graph, id, 0, unused));
  KP_PASS(kp_graph_set_output(graph, producer, index, to));
  KP_PASS(kp_graph_replace_uses(graph, from, to));
  return kp_graph_add_origins(graph, producer, id);
}

static kp_status* drop(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_value_id from = graph->nodes[id].inputs[0], to = graph->nodes[id].outputs[0];
  bool dropped = to != KP_NONE && !graph->values[to].output_refs;
  if (dropped)
    KP_PASS(kp_graph_replace_uses(graph, to, from));
  else if (to != KP_NONE)
    KP_PASS(give_directly(graph, id, &dropped));
  if (!dropped) return NULL;
  const kp_rewrite rewrite = {
      .name = "drop nop", .old_nodes = &id, .old_count = 1, .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(graph, &rewrite);
}

kp_status* kp_pass_nops(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  const uint32_t count = graph->order_count;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node_id id = graph->order[i];
    if (!graph->nodes[id].removed && is_nop(graph, &graph->nodes[id])) KP_PASS(drop(pass, id));
  }
  return NULL;
}
