// Between the files of the ABI's functions on graphs, nodes and values.
#ifndef KP_ORT_GRAPH_SLOTS_H_
#define KP_ORT_GRAPH_SLOTS_H_

#include "ort/graph_object.h"

// Is there room for |have| entries of |what| in the client's |list|?
OrtStatus* kp_ort_check_room(const char* what, size_t have, const void* list, size_t room);
// Copies |have| pointers into the client's |list|.
OrtStatus* kp_ort_give_list(const char* what, const void* from, size_t have, void* list,
                            size_t room);
// Has |graph|'s lists filled.
OrtStatus* kp_ort_graph_fill(const OrtGraph* graph);

#endif  // KP_ORT_GRAPH_SLOTS_H_
