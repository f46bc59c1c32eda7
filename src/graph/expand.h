// Between the files that expand ONNX's own functions; nobody else includes this.
#ifndef KP_GRAPH_EXPAND_H_
#define KP_GRAPH_EXPAND_H_

#include "graph/rewrite.h"

// Replaces the SequenceMap |id| by a Loop over the first of its sequences. Errors: OUT_OF_MEMORY; INVALID_MODEL for a body that does
// not fit; the graph is then not to be used any more.
KP_MUST_USE kp_status* kp_expand_sequence_map(kp_graph* graph, kp_node_id id);
// Replaces the FlexAttention |id| by an Attention, or where it has bodies by what they modify. *out_expanded stays false where the type
// of Q is not known yet. Errors as above.
KP_MUST_USE kp_status* kp_expand_flex_attention(kp_graph* graph, kp_node_id id, bool* out_expanded);

#endif  // KP_GRAPH_EXPAND_H_
