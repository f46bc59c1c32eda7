// A pass: rewrites the private graph of a partition before it is compiled (fusion, layout). Listed in fuse/passes.inl, which is
// also the order in which they run.
#ifndef KP_PROVIDER_CPU_PASS_H_
#define KP_PROVIDER_CPU_PASS_H_

#include "graph/rewrite.h"
#include "provider/cpu/op.h"

typedef struct kp_pass {
  kp_graph* graph;  // ordered and inferred when a pass starts; symbols among the dims
  uint64_t features;
  int width;
  kp_arena* scratch;  // reset after each pass
  uint32_t changes;   // out: rewrites made; more than 0 orders the graph again
} kp_pass;

// Changes the graph through kp_graph_rewrite and by giving nodes other inputs and outputs, gives new values their types, and leaves what it does not understand alone.
// O(nodes) at best, O(n log n) at worst. Errors: OUT_OF_MEMORY; anything else is a mistake of ours.
typedef kp_status* (*kp_pass_fn)(kp_pass* pass);

// Every function of passes.inl is declared here.
#define KP_GRAPH_PASS(function, what) kp_status* function(kp_pass* pass);
#include "provider/cpu/fuse/passes.inl"
#undef KP_GRAPH_PASS

// Runs all passes of passes.inl; the graph's order is valid afterwards.
KP_MUST_USE kp_status* kp_passes_run(kp_graph* graph, uint64_t features, int width,
                                     kp_arena* scratch);

#endif  // KP_PROVIDER_CPU_PASS_H_
