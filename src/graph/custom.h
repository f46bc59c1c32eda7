// Custom operators (kapell/custom_op.h) in a graph: which of them a node means, what it looks like to them, shapes.
#ifndef KP_GRAPH_CUSTOM_H_
#define KP_GRAPH_CUSTOM_H_

#include "graph/infer.h"
#include "kapell/custom_op.h"

struct kapell_custom_node {
  const kp_graph* graph;
  const kp_node* node;
  kapell_value* const* constants;  // parallel to the inputs; NULL: the graph's own
};

struct kapell_custom_infer {
  kapell_custom_node node;
  const kapell_custom_op* op;
  kp_infer* infer;
};

// The program gave an operator for these nodes.
bool kp_custom_has(const kp_model* model, kp_str domain, kp_str op, int64_t version);
// The one that |node| means, by the types of its inputs as far as they are known. NULL: none of its overloads takes it; then
// |why| (may be NULL) has the words.
const kapell_custom_op* kp_custom_find(const kp_graph* graph, const kp_node* node, kp_strbuf* why);
// Checks what a program gave: names, functions, sizes. Errors: INVALID_ARGUMENT naming the operator.
KP_MUST_USE kp_status* kp_custom_check(const kapell_custom_op* const* ops, size_t count);

// The rule of every custom node.
extern const kp_infer_rule kp_infer_custom_rule;

#endif  // KP_GRAPH_CUSTOM_H_
