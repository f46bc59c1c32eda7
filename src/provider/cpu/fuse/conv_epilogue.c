// Fuses what follows a channels-last convolution into it: an activation, or an addition and perhaps an activation behind it.
//
// conv -> act; conv -> add(residual) -> act. The residual must be ready before the convolution runs, so the convolution that
// comes later of the two takes the addition; one that has an activation already takes no more.
#include "provider/cpu/fuse/match.h"

typedef struct tail {
  kp_node_id old[3];
  uint32_t count;
  kp_value_id residual, output;
  kp_act act;
} tail;

static bool same_shape(const kp_graph* graph, kp_value_id a, kp_value_id b) {
  const kp_type *x = &graph->values[a].type, *y = &graph->values[b].type;
  if (x->kind != KAPELL_KIND_TENSOR || y->kind != KAPELL_KIND_TENSOR || x->rank != y->rank || x->element != y->element) return false;
  for (int32_t d = 0; d < x->rank; ++d)
    if (x->dims[d] != y->dims[d]) return false;
  return true;
}

// Positions of the nodes in the order that the pass started from, to know what is computed before what.
typedef struct positions {
  const uint32_t* rank;
  uint32_t count;  // nodes that the pass made itself have none: they come later than those it still looks at
} positions;

static bool made_before(const kp_graph* graph, const positions* p, kp_value_id value, kp_node_id node) {
  const kp_node_id producer = graph->values[value].producer;
  return producer == KP_NONE || (producer < p->count && p->rank[producer] < p->rank[node]);
}

static void take_add(const kp_graph* graph, const positions* p, kp_node_id conv, tail* t) {
  const kp_node_id add_id = kp_match_sole_user(graph, t->output);
  if (add_id == KP_NONE || !kp_node_is(&graph->nodes[add_id], "", "Add")) return;
  const kp_node* add = &graph->nodes[add_id];
  const kp_value_id other = add->inputs[0] == t->output ? add->inputs[1] : add->inputs[0];
  if (other == t->output || graph->values[other].constant || !same_shape(graph, other, t->output)) return;
  if (!same_shape(graph, add->outputs[0], t->output) || !made_before(graph, p, other, conv)) return;
  t->residual = other;
  t->old[t->count++] = add_id;
  t->output = add->outputs[0];
}

static void take_act(const kp_graph* graph, tail* t) {
  const kp_node_id id = kp_match_sole_user(graph, t->output);
  if (id == KP_NONE || graph->nodes[id].inputs[0] != t->output || !kp_match_act(graph, &graph->nodes[id], &t->act)) return;
  t->old[t->count++] = id;
  t->output = graph->nodes[id].outputs[0];
}

static kp_status* replace(kp_pass* pass, kp_node_id id, const tail* t) {
  kp_graph* graph = pass->graph;
  const kp_node* conv = &graph->nodes[id];
  kp_attr* attrs = kp_arena_new_array(&graph->arena, kp_attr, (size_t)conv->attr_count + 3);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "fusing a convolution");
  if (conv->attr_count) memcpy(attrs, conv->attrs, conv->attr_count * sizeof(*attrs));
  kp_make_act(graph, &t->act, attrs + conv->attr_count);
  const kp_value_id inputs[4] = {conv->inputs[0], conv->inputs[1], conv->inputs[2], t->residual};
  kp_value_id output = t->output;
  kp_node_spec fresh = {.name = conv->name,
                        .op = conv->op,
                        .domain = conv->domain,
                        .version = conv->version,
                        .inputs = inputs,
                        .input_count = t->residual == KP_NONE ? 3 : 4,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = conv->attr_count + 3};
  const kp_rewrite rewrite = {.name = t->residual == KP_NONE ? "fuse Conv+activation" : "fuse Conv+Add",
                              .old_nodes = t->old,
                              .old_count = t->count,
                              .fresh = &fresh,
                              .fresh_count = 1,
                              .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(graph, &rewrite);
}

kp_status* kp_pass_conv_epilogue(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  uint32_t* rank = kp_arena_new_array(pass->scratch, uint32_t, (size_t)graph->node_count + 1);
  if (!rank) return KP_ERROR(OUT_OF_MEMORY, "fusing convolutions");
  const positions p = {rank, graph->node_count};
  for (uint32_t i = 0; i < graph->order_count; ++i) rank[graph->order[i]] = i;
  for (uint32_t i = graph->order_count; i-- > 0;) {  // backwards: ranks of what is looked at are still those of the order
    const kp_node_id id = graph->order[i];
    if (graph->nodes[id].removed || !kp_node_is(&graph->nodes[id], "kapell", "Conv")) continue;
    tail t = {.old = {id}, .count = 1, .residual = KP_NONE, .output = graph->nodes[id].outputs[0]};
    take_add(graph, &p, id, &t);
    take_act(graph, &t);
    if (t.count > 1) KP_PASS(replace(pass, id, &t));
  }
  return NULL;
}
