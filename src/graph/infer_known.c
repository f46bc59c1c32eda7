// Which values' contents are known as soon as shapes are: what plan/ asks before it cuts a graph into units of known shapes.
#include "graph/infer_rule.h"

// A tensor whose contents rules can follow, small whatever the run's shapes are.
static bool can_be_known(const kp_type* type) {
  const int64_t count = kp_type_small_count(type);
  return count >= 0 && (kp_data_is_int(type->element) || kp_data_is_float(type->element));
}

static bool inputs_known(const kp_node* node, const bool* known) {
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (node->inputs[i] != KP_NONE && !known[node->inputs[i]]) return false;
  }
  return true;
}

kp_status* kp_graph_known_values(kp_graph* graph, const bool* value_input, bool* out_known) {
  for (uint32_t v = 0; v < graph->value_count; ++v)
    out_known[v] = graph->values[v].constant && can_be_known(&graph->values[v].type);
  for (uint32_t k = 0; k < graph->overridable_count; ++k) out_known[graph->overridable[k]] = false;
  for (uint32_t i = 0; value_input && i < graph->input_count; ++i) {
    const kp_value_id v = graph->inputs[i];
    out_known[v] = out_known[v] || (value_input[i] && can_be_known(&graph->values[v].type));
  }
  if (!graph->order_valid) KP_PASS(kp_graph_order(graph));
  for (uint32_t k = 0; k < graph->order_count; ++k) {
    const kp_node* node = &graph->nodes[graph->order[k]];
    const kp_infer_rule* rule = kp_infer_find(node);
    if (!rule || !(rule->flags & (KP_INFER_FROM_SHAPE | KP_INFER_FROM_DATA))) continue;
    if (!(rule->flags & KP_INFER_FROM_SHAPE) && !inputs_known(node, out_known)) continue;
    for (uint32_t o = 0; o < node->output_count; ++o) {
      const kp_value_id v = node->outputs[o];
      if (v != KP_NONE) out_known[v] = can_be_known(&graph->values[v].type);
    }
  }
  return NULL;
}
