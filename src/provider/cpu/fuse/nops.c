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

kp_status* kp_pass_nops(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id id = graph->order[i];
    const kp_node* node = &graph->nodes[id];
    if (node->removed || !is_nop(graph, node)) continue;
    const kp_value_id from = node->inputs[0], to = node->outputs[0];
    if (to == KP_NONE || graph->values[to].output_refs) continue;  // the output's name must stay
    KP_PASS(kp_graph_replace_uses(graph, to, from));
    const kp_rewrite rewrite = {
        .name = "drop nop", .old_nodes = &id, .old_count = 1, .origin_of = KP_NONE};
    KP_PASS(kp_graph_rewrite(graph, &rewrite));
    ++pass->changes;
  }
  return NULL;
}
