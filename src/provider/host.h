// What the CPU provider, the floor of every chain, does for the rest of Kapell besides being a provider: it runs single nodes
// (constant folding, evaluation while planning) and says which of ONNX's functions it wants expanded.
#ifndef KP_PROVIDER_HOST_H_
#define KP_PROVIDER_HOST_H_

#include "provider/provider.h"

extern const kp_provider_type kp_provider_cpu;

// The CPU provider has an operator for |node|, by domain, operator and version alone. For kp_build_options.keep_call, before
// anything is known of types.
bool kp_cpu_has_kernel(const kp_node* node);

// |node| has a function body in its schema and no kernel takes it as it stands (operator, types, attributes).
bool kp_cpu_wants_expansion(const kp_graph* graph, const kp_node* node);

// Runs |node| on values, outside of any plan. |inputs| is parallel to the node's inputs (NULL = absent); |outputs| to its outputs:
// new values, one reference each, NULL for those that the node does not have. On an error all |outputs| are NULL.
// Has the shape of kp_fold_options.evaluate; |user| is not used. Not for If, Loop and Scan.
// Errors: UNSUPPORTED with the reason; what inference and the operator say. Threads: any; runs on the caller's alone.
KP_MUST_USE kp_status* kp_cpu_eval_node(void* user, const kp_graph* graph, const kp_node* node,
                                        kapell_value* const* inputs, kapell_value** outputs);

#endif  // KP_PROVIDER_HOST_H_
