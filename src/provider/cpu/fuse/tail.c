#include "provider/cpu/fuse/tail.h"

kp_status* kp_positions_of(kp_pass* pass, kp_positions* out_positions) {
  const kp_graph* graph = pass->graph;
  uint32_t* rank = kp_arena_new_array(pass->scratch, uint32_t, (size_t)graph->node_count + 1);
  if (!rank) return KP_ERROR(OUT_OF_MEMORY, "a pass");
  for (uint32_t i = 0; i < graph->order_count; ++i) rank[graph->order[i]] = i;
  *out_positions = (kp_positions){rank, graph->node_count};
  return NULL;
}

bool kp_made_before(const kp_graph* graph, const kp_positions* positions, kp_value_id value,
                    kp_node_id node) {
  const kp_node_id producer = graph->values[value].producer;
  return producer == KP_NONE ||
         (producer < positions->count && positions->rank[producer] < positions->rank[node]);
}

void kp_tail_take_add(const kp_graph* graph, const kp_positions* positions, kp_node_id product,
                      kp_tail* t) {
  const kp_node_id id = kp_match_sole_user(graph, t->output);
  if (id == KP_NONE || !kp_node_is(&graph->nodes[id], "", "Add")) return;
  const kp_node* add = &graph->nodes[id];
  const kp_value_id other = add->inputs[0] == t->output ? add->inputs[1] : add->inputs[0];
  if (other == t->output || graph->values[other].constant ||
      !kp_same_shape(graph, other, t->output))
    return;
  if (!kp_same_shape(graph, add->outputs[0], t->output) ||
      !kp_made_before(graph, positions, other, product))
    return;
  t->residual = other;
  t->old[t->count++] = id;
  t->output = add->outputs[0];
}

void kp_tail_take_act(const kp_graph* graph, kp_tail* t) {
  const kp_node_id id = kp_match_sole_user(graph, t->output);
  if (id == KP_NONE || graph->nodes[id].inputs[0] != t->output ||
      !kp_match_act(graph, &graph->nodes[id], &t->act))
    return;
  t->old[t->count++] = id;
  t->output = graph->nodes[id].outputs[0];
}

kp_status* kp_tail_replace(kp_pass* pass, const char* name, const kp_tail* t, const char* op,
                           const kp_value_id* inputs, uint32_t input_count, const kp_attr* attrs,
                           uint32_t attr_count) {
  kp_graph* graph = pass->graph;
  kp_attr* all = kp_arena_new_array(&graph->arena, kp_attr, (size_t)attr_count + 3);
  if (!all) return KP_ERROR(OUT_OF_MEMORY, "fusing a node");
  if (attr_count) memcpy(all, attrs, attr_count * sizeof(*all));
  kp_make_act(graph, &t->act, all + attr_count);
  kp_value_id output = t->output;
  kp_node_spec fresh = {.name = graph->nodes[t->old[0]].name,
                        .op = op,
                        .domain = "kapell",
                        .version = 1,
                        .inputs = inputs,
                        .input_count = input_count,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = all,
                        .attr_count = attr_count + 3};
  return kp_pass_replace(pass, name, t->old, t->count, &fresh);
}
