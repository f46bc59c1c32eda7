// Between the files that expand ONNX's own functions; nobody else includes this.
#ifndef KP_GRAPH_EXPAND_H_
#define KP_GRAPH_EXPAND_H_

#include "graph/rewrite.h"

#define KP_EMIT_OPSET 23  // version of the nodes that an emitter makes

// What makes the nodes that stand for another.
typedef struct kp_emitter {
  kp_graph* graph;
  kp_node node;         // what they stand for; a copy, since adding nodes moves them
  const char* rewrite;  // name of the rewrite, static
} kp_emitter;

// A node of ai.onnx with one output: *value, or a fresh one where it is KP_NONE. Errors of all of these: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_emit(kp_emitter* e, const char* op, const kp_value_id* inputs,
                               uint32_t input_count, const kp_attr* attrs, uint32_t attr_count,
                               kp_value_id* value);
// The same for two inputs, no attribute and a fresh output.
KP_MUST_USE kp_status* kp_emit_two(kp_emitter* e, const char* op, kp_value_id a, kp_value_id b,
                                   kp_value_id* out);
// Dims [start, end) of |value| as a vector.
KP_MUST_USE kp_status* kp_emit_shape(kp_emitter* e, kp_value_id value, int64_t start, int64_t end,
                                     kp_value_id* out);
// *out as kp_emit's |value|.
KP_MUST_USE kp_status* kp_emit_cast(kp_emitter* e, kp_value_id value, kapell_type to,
                                    kp_value_id* out);
// A vector of |count| elements, or a scalar where |count| is -1.
KP_MUST_USE kp_status* kp_emit_constant(kp_emitter* e, kapell_type element, int64_t count,
                                        const void* data, kp_value_id* out);
kp_attr kp_emit_int(kp_emitter* e, const char* name, int64_t value);

// Replaces the SequenceMap |id| by a Loop over the first of its sequences. Errors: OUT_OF_MEMORY; INVALID_MODEL for a body that does
// not fit; the graph is then not to be used any more.
KP_MUST_USE kp_status* kp_expand_sequence_map(kp_graph* graph, kp_node_id id);
// Replaces the FlexAttention |id| by an Attention, or where it has bodies by what they modify. *out_expanded stays false where the type
// of Q is not known yet. Errors as above.
KP_MUST_USE kp_status* kp_expand_flex_attention(kp_graph* graph, kp_node_id id, bool* out_expanded);

#endif  // KP_GRAPH_EXPAND_H_
