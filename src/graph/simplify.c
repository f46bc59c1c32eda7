// Rewrites that no provider owns, walked once in order: what is done to a node its readers see at once, so one walk does.
// The single rules are in simplify_node.c, the merging of equal nodes in simplify_equal.c.
#include "graph/simplify.h"

#include "graph/rewrite.h"

typedef kp_status* (*kp_simplify_rule)(kp_graph* graph, kp_node_id id, uint32_t* changes);

// Those from RULES_OF_TYPED on drop nodes, and so wait until inference has looked at what they drop.
static const kp_simplify_rule rules[] = {kp_simplify_constant, kp_graph_share_constants,
                                         kp_simplify_branch,   kp_simplify_no_op,
                                         kp_simplify_cast,     kp_simplify_transpose};
#define RULES_OF_TYPED 3

// What a rule adds stands behind |count| and is left to the next call.
static kp_status* walk(kp_graph* graph, uint32_t* changes) {
  const uint32_t count = graph->order_count;
  const size_t rule_count = graph->inferred ? sizeof rules / sizeof rules[0] : RULES_OF_TYPED;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node_id id = graph->order[i];
    for (size_t r = 0; r < rule_count && !graph->nodes[id].removed; ++r) {
      KP_PASS(rules[r](graph, id, changes));
    }
  }
  return NULL;
}

// Recursion is as deep as bodies nest.
static kp_status* simplify(kp_graph* graph, uint32_t* changes) {
  KP_PASS(kp_graph_order(graph));
  KP_PASS(walk(graph, changes));
  KP_PASS(kp_graph_order(graph));
  KP_PASS(kp_simplify_equal(graph, changes));
  const uint32_t count = graph->node_count;
  for (kp_node_id id = 0; id < count; ++id) {
    const uint32_t body_count =
        graph->nodes[id].removed ? 0 : kp_node_body_count(&graph->nodes[id]);
    for (uint32_t k = 0; k < body_count; ++k)
      KP_PASS(simplify(kp_node_body(&graph->nodes[id], k), changes));
  }
  return NULL;
}

// Bodies that pruning took captures from, or nodes that a branch brought in, are in order again afterwards.
static kp_status* order_all(kp_graph* graph) {
  KP_PASS(kp_graph_order(graph));
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    const uint32_t body_count =
        graph->nodes[id].removed ? 0 : kp_node_body_count(&graph->nodes[id]);
    for (uint32_t k = 0; k < body_count; ++k)
      KP_PASS(order_all(kp_node_body(&graph->nodes[id], k)));
  }
  return NULL;
}

kp_status* kp_graph_simplify(kp_graph* graph, uint32_t* out_changes) {
  *out_changes = 0;
  KP_PASS(simplify(graph, out_changes));
  KP_PASS(kp_graph_prune(graph));
  return order_all(graph);
}
