// What a node costs, estimated from inferred types: for shares of FLOPs in the placement, for profiles and benches.
#ifndef KP_GRAPH_COST_H_
#define KP_GRAPH_COST_H_

#include "graph/graph.h"

// Floating-point (or integer) operations of |node|, a multiply-add counted as two; dims that are symbols count as 1. Matrix products,
// convolutions and recurrences are counted exactly, everything else as one operation an output element; data movement as 0.
double kp_node_flops(const kp_graph* graph, const kp_node* node);

// The same with concrete values (at run time).
double kp_node_flops_of(const kp_node* node, const kapell_value* const* inputs,
                        const kapell_value* const* outputs);

#endif  // KP_GRAPH_COST_H_
