// One DequantizeLinear for each reader.
#include "base/alloc.h"
#include "graph/rewrite.h"

typedef struct reader {
  kp_node_id node;
  uint32_t input;
} reader;

// Another node that computes what |id| does, for |to|.
static kp_status* add_copy(kp_graph* graph, kp_node_id id, reader to, uint32_t number) {
  const kp_node node = graph->nodes[id];
  kp_value_id fresh_value;
  KP_PASS(kp_graph_add_value(graph, NULL, &fresh_value));
  graph->values[fresh_value].type = graph->values[node.outputs[0]].type;
  kp_node_spec fresh = kp_node_spec_like(&node);
  const char* name = kp_arena_printf(&graph->arena, "%s/%u", node.name, number);
  kp_value_id* inputs =
      kp_arena_memdup(&graph->arena, node.inputs, node.input_count * sizeof *inputs);
  if (!name || !inputs) return KP_ERROR(OUT_OF_MEMORY, "a copy of a node");
  fresh.name = kp_intern(&graph->model->names, kp_str_of(name));
  if (!fresh.name) return KP_ERROR(OUT_OF_MEMORY, "a copy of a node");
  fresh.inputs = inputs;
  fresh.outputs = &fresh_value;
  KP_PASS(kp_graph_rewrite(graph, &(kp_rewrite){.name = "one DequantizeLinear a reader",
                                                .fresh = &fresh,
                                                .fresh_count = 1,
                                                .origin_of = id}));
  return kp_graph_set_input(graph, to.node, to.input, fresh_value);
}

// The first reader keeps the node, unless bodies or the graph's outputs read it.
static kp_status* part(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_value* value = kp_node_output(graph, &graph->nodes[id], 0);
  if (!value || value->use_count + value->output_refs < 2) return NULL;
  const uint32_t count = value->use_count;
  reader* readers = kp_alloc_array((size_t)count + 1, sizeof *readers);
  if (!readers) return KP_ERROR(OUT_OF_MEMORY, "readers of a value");
  bool kept = value->output_refs > 0;
  uint32_t own = 0;
  for (uint32_t u = 0; u < count; ++u) {
    const reader to = {value->uses[u], value->use_inputs[u]};
    if (to.input < graph->nodes[to.node].input_count)
      readers[own++] = to;
    else
      kept = true;
  }
  kp_status* status = NULL;
  for (uint32_t r = !kept; !status && r < own; ++r, ++*changes)
    status = add_copy(graph, id, readers[r], r);
  kp_free(readers);
  return status;
}

kp_status* kp_graph_part_dequantize(kp_graph* graph, uint32_t* out_changes) {
  const uint32_t count = graph->node_count;
  *out_changes = 0;
  for (kp_node_id n = 0; n < count; ++n) {
    if (graph->nodes[n].removed) continue;
    for (uint32_t b = 0; b < kp_node_body_count(&graph->nodes[n]); ++b) {
      uint32_t changes;
      KP_PASS(kp_graph_part_dequantize(kp_node_body(&graph->nodes[n], b), &changes));
      *out_changes += changes;
    }
    if (kp_node_is(&graph->nodes[n], "", "DequantizeLinear")) KP_PASS(part(graph, n, out_changes));
  }
  return NULL;
}
