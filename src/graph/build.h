// From the file's messages to a graph: names resolved to indices, opsets to schemas, functions expanded, captures made
// explicit, every rule of ONNX checked that later code relies on.
#ifndef KP_GRAPH_BUILD_H_
#define KP_GRAPH_BUILD_H_

#include "graph/graph.h"

typedef struct kp_build_options {
  uint64_t max_nodes;       // after expansion of functions; 0 = 1 million. Error LIMIT
  uint32_t max_call_depth;  // functions calling functions; 0 = 64; recursion is an error
  // Asked for each call of a model-local function or node whose schema has a function body: true keeps it as one node.
  // NULL: model-local functions are expanded, ONNX's own operators kept.
  bool (*keep_call)(void* user, const kp_node* node);
  void* user;
  // Operators of the program's own (kapell/custom_op.h), checked by kp_custom_check. They come before those of the tables, and
  // live as long as the model.
  const struct kapell_custom_op* const* custom_ops;
  size_t custom_op_count;
} kp_build_options;

// Builds the graph; takes over |source| (closed with the model, or here on error).
// Checks: single assignment, no cycles, known names, input and output counts and attribute types by schema, required
// attributes, opset imports. Errors: INVALID_MODEL, UNSUPPORTED_MODEL, LIMIT, OUT_OF_MEMORY, each with node and name.
// A node whose operator is in no table keeps schema NULL (a provider may know it).
KP_MUST_USE kp_status* kp_model_build(kp_onnx_model* source, const kp_build_options* options,
                                      kp_model** out_model);

// Replaces |node| by the body that ONNX gives its operator in terms of others. *out_expanded is false, and nothing is changed, where
// the tables have none: the operator is primitive, or its body depends on attributes or types (function_bodies.inl lists those).
// The new nodes carry the old one's origins. Errors: OUT_OF_MEMORY, INVALID_MODEL (more inputs than the body has).
KP_MUST_USE kp_status* kp_graph_expand_function(kp_graph* graph, kp_node_id node,
                                                bool* out_expanded);
// Replaces every Gradient of ai.onnx.preview.training, in bodies too, by nodes that compute the derivatives. For a graph as it was built,
// before anything simplifies it: attributes name its values. Runs inference. Errors: UNSUPPORTED naming the node that has no
// derivative here, and why; INVALID_MODEL; LIMIT for more than |max_nodes| (0 = 1 million); TIMEOUT; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_graph_expand_gradients(kp_graph* graph, uint64_t max_nodes);

#endif  // KP_GRAPH_BUILD_H_
