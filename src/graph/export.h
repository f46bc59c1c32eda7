// The other way: from a graph as passes left it to the bytes of a file, for people and programs that want to see or keep it.
#ifndef KP_GRAPH_EXPORT_H_
#define KP_GRAPH_EXPORT_H_

#include "graph/graph.h"

// The model's bytes (kp_free them). Names of inputs, outputs and metadata are those of the file; functions are expanded, all weights inside.
// Errors: UNSUPPORTED for what a file cannot hold (operators of our own, constants that are no dense tensors, operators of versions that no
// single import gives), LIMIT over 2 GiB, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_graph_export(kp_model* model, void** out_bytes, size_t* out_size);

#endif  // KP_GRAPH_EXPORT_H_
