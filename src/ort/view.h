// Graphs as provider libraries see them: OrtGraph, OrtNode and OrtValueInfo over a kp_graph, read-only. The same three types stand for
// what clients make with the model editor (model.h); the first member says which an object is, and every function takes both.
//
// A view owns all handles of its graph, those of bodies included; they are made at once or at first use, and each node and value has
// one handle, so that handles compare by address. The graph must outlive the view and not change meanwhile.
#ifndef KP_ORT_VIEW_H_
#define KP_ORT_VIEW_H_

#include "graph/graph.h"
#include "ort/object.h"

typedef struct kp_ort_view kp_ort_view;

typedef struct kp_ort_view_args {
  const kp_graph* graph;
  const char* model_path;  // NULL or "": the model came as bytes
  // Parallel to graph->nodes: the provider that a node was given to, NULL for none yet (Node_GetEpName). The array may be NULL.
  const char* const* owners;
} kp_ort_view_args;

OrtStatus* kp_ort_view_create(const kp_ort_view_args* args, kp_ort_view** out);
void kp_ort_view_free(kp_ort_view* view);  // NULL is fine
const OrtGraph* kp_ort_view_graph(const kp_ort_view* view);

// The node of the view's main graph that |node| is a handle of; KP_NONE for a handle of another view, of a body, or of an editor.
kp_node_id kp_ort_view_node(const kp_ort_view* view, const OrtNode* node);
const OrtNode* kp_ort_view_handle(const kp_ort_view* view, kp_node_id node);

// One node that stands for the view's whole graph, as Compile is given: inputs are the graph's inputs, then (unless |drop_constants|) its
// constant initializers in the order of Graph_GetInitializers; outputs the graph's. Owned by the view.
OrtStatus* kp_ort_view_fuse(kp_ort_view* view, const char* name, const char* provider,
                            bool drop_constants, const OrtNode** out);

#endif  // KP_ORT_VIEW_H_
