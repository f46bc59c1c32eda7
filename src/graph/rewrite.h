// The one way to change a graph: a rewrite removes nodes and adds nodes, and the new ones remember where they came from.
#ifndef KP_GRAPH_REWRITE_H_
#define KP_GRAPH_REWRITE_H_

#include "graph/graph.h"

// Replaces |old_nodes| by |fresh| (in that order; fresh nodes may name outputs of old nodes as their own outputs: the values
// keep identity, type and uses). The new nodes' origins are the union of the old nodes'. |name| (static text) is the
// rewrite's name in reports: "fuse Conv+Relu".
// |old_count| 0 is allowed for nodes that no node of the file stands for (a transpose between layouts); give |origin_of| then.
// Errors: INTERNAL if an output of an old node is still used and has no producer afterwards; OUT_OF_MEMORY.
typedef struct kp_rewrite {
  const char* name;
  const kp_node_id* old_nodes;
  uint32_t old_count;
  kp_node_spec* fresh;
  uint32_t fresh_count;
  kp_node_id origin_of;   // further node whose origins are added; KP_NONE for none
  kp_node_id* out_nodes;  // fresh_count ids; may be NULL
} kp_rewrite;
KP_MUST_USE kp_status* kp_graph_rewrite(kp_graph* graph, const kp_rewrite* rewrite);
// Node |id| stands for what |from| stood for, too: for a node that is dropped because |id| computes the same.
KP_MUST_USE kp_status* kp_graph_add_origins(kp_graph* graph, kp_node_id id, kp_node_id from);

// Rewrites that no provider owns: Identity, inference-mode Dropout and other nodes without effect removed, Constant nodes made
// constants, double casts and transposes joined, an If with a constant condition replaced by its branch, constants outside a body
// shared with it, equal nodes merged, dead ones pruned. Names of the graph's outputs stay. |out_changes| counts. Bodies
// included. Knows more after inference. O(n). Errors: OUT_OF_MEMORY; INVALID_MODEL for a Constant without value or a circle.
KP_MUST_USE kp_status* kp_graph_simplify(kp_graph* graph, uint32_t* out_changes);

// Gives every reader of a DequantizeLinear's output one of its own, for engines that take a quantized operator together with what stands
// around it. kp_graph_simplify joins them again. Bodies included. |out_changes| counts. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_graph_part_dequantize(kp_graph* graph, uint32_t* out_changes);

// Constant folding: what inference knows the contents of becomes a constant; nodes all of whose inputs are constants are run by
// |evaluate| once and replaced by their results. Left alone: random operators, DequantizeLinear (providers compute with quantized
// weights as they are), results much larger than what they come from, custom operators. Bodies included.
typedef struct kp_fold_options {
  // of all results together; 0 = 1 GiB; a single result may not exceed a quarter of it
  uint64_t max_bytes;
  // time; 0 = 10 s. What is over budget is simply not folded (reported in *out_stopped)
  uint64_t max_ns;
  // Runs |node|; gives new values (one reference each) in |outputs|. An error means "not folded"; NULL |evaluate| folds nothing.
  kp_status* (*evaluate)(void* user, const kp_graph* graph, const kp_node* node,
                         kapell_value* const* inputs, kapell_value** outputs);
  void* user;
} kp_fold_options;
KP_MUST_USE kp_status* kp_graph_fold(kp_graph* graph, const kp_fold_options* options,
                                     uint32_t* out_folded, bool* out_stopped);

// A private, mutable copy of |nodes| (any order; ids of |graph|) as a graph of its own, in the same model: inputs are the values
// that it reads and does not make (constants are shared), outputs the values used outside or by graph outputs. Bodies are copied.
// |out_inputs|/|out_outputs| (arena of the copy): the outer value ids, parallel to copy->inputs and copy->outputs.
KP_MUST_USE kp_status* kp_graph_extract(const kp_graph* graph, const kp_node_id* nodes,
                                        uint32_t count, kp_graph** out_copy,
                                        kp_value_id** out_inputs, kp_value_id** out_outputs);

#endif  // KP_GRAPH_REWRITE_H_
