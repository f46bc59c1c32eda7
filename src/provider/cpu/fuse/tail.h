// The tail of a product or convolution: what follows it and can be computed while its result is in registers: an addition of a
// tensor of the same shape (residual) and an activation, in that order.
#ifndef KP_PROVIDER_CPU_FUSE_TAIL_H_
#define KP_PROVIDER_CPU_FUSE_TAIL_H_

#include "provider/cpu/fuse/match.h"

// Positions of the nodes in the order that a pass started from, to know what is computed before what.
typedef struct kp_positions {
  const uint32_t* rank;
  uint32_t
      count;  // nodes that the pass made itself have none: passes go backwards, so they come later than what is looked at
} kp_positions;
KP_MUST_USE kp_status* kp_positions_of(kp_pass* pass, kp_positions* out_positions);
bool kp_made_before(const kp_graph* graph, const kp_positions* positions, kp_value_id value,
                    kp_node_id node);

typedef struct kp_tail {
  kp_node_id old[8];  // nodes to be replaced, the product first
  uint32_t count;
  kp_value_id residual;  // KP_NONE: none
  kp_value_id output;    // of the last node
  kp_act act;
} kp_tail;

// Looks at the only reader of tail->output; takes it if it fits.
void kp_tail_take_add(const kp_graph* graph, const kp_positions* positions, kp_node_id product,
                      kp_tail* tail);
void kp_tail_take_act(const kp_graph* graph, kp_tail* tail);

// Replaces the tail's nodes by one |op| of domain kapell: |inputs|, |attrs| and the activation's attributes.
KP_MUST_USE kp_status* kp_tail_replace(kp_pass* pass, const char* name, const kp_tail* tail,
                                       const char* op, const kp_value_id* inputs,
                                       uint32_t input_count, const kp_attr* attrs,
                                       uint32_t attr_count);

#endif  // KP_PROVIDER_CPU_FUSE_TAIL_H_
