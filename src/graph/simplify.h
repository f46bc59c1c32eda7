// Between the files of simplification; nobody else includes this.
#ifndef KP_GRAPH_SIMPLIFY_H_
#define KP_GRAPH_SIMPLIFY_H_

#include "graph/graph.h"

// The rules. Each looks at node |id|, which is not removed, and counts in |changes| what it did.
// Constant -> a constant.
kp_status* kp_simplify_constant(kp_graph* graph, kp_node_id id, uint32_t* changes);
// Identity, Dropout in inference, Cast to the same type, ...
kp_status* kp_simplify_no_op(kp_graph* graph, kp_node_id id, uint32_t* changes);
// A cast of a widening cast; a transpose of a transpose.
kp_status* kp_simplify_cast(kp_graph* graph, kp_node_id id, uint32_t* changes);
kp_status* kp_simplify_transpose(kp_graph* graph, kp_node_id id, uint32_t* changes);
// If with a constant condition.
kp_status* kp_simplify_branch(kp_graph* graph, kp_node_id id, uint32_t* changes);

// Makes readers of |id|'s first output read |value| and removes the node. Where the output is one of the graph's, its name stays: the
// producer of |value| takes it over if it can, else nothing happens.
kp_status* kp_simplify_bypass(kp_graph* graph, kp_node_id id, kp_value_id value, uint32_t* changes);

// Merges nodes that compute the same (simplify_equal.c). Needs a valid order.
kp_status* kp_simplify_equal(kp_graph* graph, uint32_t* changes);

// Captured values that are constants outside become constants of the bodies of |id|.
kp_status* kp_graph_share_constants(kp_graph* graph, kp_node_id id, uint32_t* changes);
// Puts the nodes of |body| in place of node |id|, whose outputs the body's outputs become (extract.c).
kp_status* kp_graph_inline_body(kp_graph* graph, kp_node_id id, const kp_graph* body,
                                const char* rewrite);
// The same for a |place| that need not be a node of the graph: its inputs are what the body's inputs read, its outputs have no producer
// yet, its implicit values are those of the body's captures, its origins the new nodes'. At least as many inputs and implicit ones as
// the body has; no more outputs.
kp_status* kp_graph_inline_copy(kp_graph* graph, const kp_node* place, const kp_graph* body,
                                const char* rewrite);

#endif  // KP_GRAPH_SIMPLIFY_H_
