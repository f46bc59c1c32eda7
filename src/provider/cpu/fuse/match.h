// What passes share: looking at patterns, constants and activations, and making attributes, values and constants.
#ifndef KP_PROVIDER_CPU_FUSE_MATCH_H_
#define KP_PROVIDER_CPU_FUSE_MATCH_H_

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/pass.h"

// The only reader of |value|, or KP_NONE where there is none, more than one, or the value is an output of the graph.
kp_node_id kp_match_sole_user(const kp_graph* graph, kp_value_id value);
// The node that makes input |index| of |node| if that is its only use, or KP_NONE.
kp_node_id kp_match_producer(const kp_graph* graph, const kp_node* node, uint32_t index);
// The constant behind |value| if it is a dense f32 tensor, or NULL.
const kapell_value* kp_match_f32(const kp_graph* graph, kp_value_id value);
// One number: a constant of one float element (f32).
bool kp_match_scalar(const kp_graph* graph, kp_value_id value, float* out);
// Is |value| a constant scalar within 1e-4 relative of |number|?
bool kp_match_is_number(const kp_graph* graph, kp_value_id value, float number);
// For a binary node: the constant scalar among its two inputs, and the index of the other one.
bool kp_match_binary_scalar(const kp_graph* graph, const kp_node* node, float* out_scalar,
                            uint32_t* out_other);
bool kp_match_is_f32(const kp_graph* graph, kp_value_id value);  // a tensor of f32 by inference
// Element types and dims, symbols included; false where a rank is not known. Nodes that stand for one operator must keep their
// input's shape: a constant such as [[[2]]] among them adds axes.
bool kp_same_shape(const kp_graph* graph, kp_value_id a, kp_value_id b);

// An activation that kernels fuse: f32, one input that is computed, all else constants.
bool kp_match_act(const kp_graph* graph, const kp_node* node, kp_act* out_act);

// Attributes live in the graph's arena; NULL name: out of memory.
kp_attr kp_make_int(kp_graph* graph, const char* name, int64_t i);
kp_attr kp_make_float(kp_graph* graph, const char* name, float f);
kp_attr kp_make_ints(kp_graph* graph, const char* name, const int64_t* ints, size_t count);
// The activation as attributes act, act_a, act_b (three entries), and back.
void kp_make_act(kp_graph* graph, const kp_act* act, kp_attr* out_attrs);
kp_act kp_read_act(const kp_node* node);

// The activation of com.microsoft's fused operators, from attributes activation and activation_params; none where there is no such
// attribute. False: a name, or a number of parameters, that those operators do not have.
bool kp_read_fused_act(const kp_node* node, kp_act* out_act);

// A fresh value of type tensor(|element|) with |dims| (copied).
KP_MUST_USE kp_status* kp_make_value(kp_graph* graph, kapell_type element, const kp_expr* dims,
                                     int32_t rank, kp_value_id* out_value);
// Puts |fresh| in the place of |count| nodes under the rewrite's |name| and counts the change.
KP_MUST_USE kp_status* kp_pass_replace(kp_pass* pass, const char* name, const kp_node_id* old,
                                       uint32_t count, kp_node_spec* fresh);
// Lets go of the constant |value_id| if nobody reads it any more.
void kp_drop_unused(kp_graph* graph, kp_value_id value_id);
// A fresh f32 constant of |dims| whose contents are still to be written through *out_data.
KP_MUST_USE kp_status* kp_make_f32(kp_graph* graph, const int64_t* dims, int32_t rank,
                                   float** out_data, kp_value_id* out_value);

#endif  // KP_PROVIDER_CPU_FUSE_MATCH_H_
