// Between the files that expand Gradient; nobody else includes this.
#ifndef KP_GRAPH_EXPAND_GRADIENT_H_
#define KP_GRAPH_EXPAND_GRADIENT_H_

#include "graph/expand.h"

// One Gradient being expanded. The arrays by value cover the values that the graph had before anything was added.
typedef struct kp_diff {
  kp_emitter e;  // of the Gradient
  kp_arena arena;
  // The first error of a rule: rules make nodes in expressions, which do nothing once this is set.
  kp_status* status;
  kp_value_id* named;  // attributes xs, then zs
  uint32_t x_count, z_count;
  kp_value_id y;
  uint32_t value_count;
  bool* depends;      // by value: does it depend on an x?
  bool* is_named;     // by value: is it of xs or zs?
  kp_value_id* at;    // by value: what holds it where xs and zs are the node's inputs
  kp_value_id* grad;  // by value: the derivative of y by it so far; KP_NONE = 0
  kp_node_id* nodes;  // what y is computed by, in topological order
  uint32_t node_count;
} kp_diff;

// Adds to the derivatives by the inputs of |node| what |dy|, that by its output, gives. Ids are those of the graph before.
typedef void (*kp_gradient_fn)(kp_diff* d, const kp_node* node, kp_value_id dy);
// The rule for |node|, or NULL.
kp_gradient_fn kp_gradient_find(const kp_node* node);

// A scalar of the element type of |like|, whose type is known, spread over the shape of |like|.
kp_value_id kp_gradient_fill(kp_diff* d, kp_value_id like, float number);
// a + b, where KP_NONE is 0.
kp_value_id kp_gradient_add(kp_diff* d, kp_value_id a, kp_value_id b);

#endif  // KP_GRAPH_EXPAND_GRADIENT_H_
