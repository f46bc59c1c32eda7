// Graphs as provider libraries see them: OrtGraph, OrtNode and OrtValueInfo (graph_object.h) over a kp_graph, read-only.
//
// A view owns all handles of its graph, those of bodies included; they are made at first use, and each node and value has one handle, so
// that handles compare by address. The graph must outlive the view and not change meanwhile, but for the order of its nodes, which
// is made valid where it is not. Where the graph is the body of a node, that node stands alone in the graph around it.
//
// What libraries see is what the model says: a node that the model's operator sets do not give this meaning (a rewrite of ours, a body
// of a function that imports another version) is shown in the domain "kapell", which nobody claims.
// Threads: any, once a view is made.
#ifndef KP_ORT_VIEW_H_
#define KP_ORT_VIEW_H_

#include "graph/graph.h"
#include "ort/object.h"

typedef struct kp_ort_view kp_ort_view;

typedef struct kp_ort_view_args {
  const kp_graph* graph;
  const char* model_path;  // NULL: where the model was read from; "": it came as bytes
  // Parallel to graph->nodes: the provider that a node was given to, NULL for none yet (Node_GetEpName). The array may be NULL.
  const char* const* owners;
  const char* owner;  // of every node where |owners| is NULL, bodies included; NULL: none yet
} kp_ort_view_args;

OrtStatus* kp_ort_view_create(const kp_ort_view_args* args, kp_ort_view** out);
void kp_ort_view_free(kp_ort_view* view);  // NULL is fine
const OrtGraph* kp_ort_view_graph(const kp_ort_view* view);

// The node of the view's main graph that |node| is a handle of, in the view or in a part of it (Graph_GetGraphView); KP_NONE for a handle of
// another view, of a body, of an editor, or NULL.
kp_node_id kp_ort_view_node(const kp_ort_view* view, const OrtNode* node);
// NULL where memory is out.
const OrtNode* kp_ort_view_handle(const kp_ort_view* view, kp_node_id node);

// One node that stands for the view's whole graph, as Compile is given: inputs are the graph's inputs, then (unless |drop_constants|) its
// constant initializers in the order of Graph_GetInitializers; outputs the graph's. As in ONNX Runtime those constants are inputs of
// the graph from then on, and the graph has the node's name. |provider| is the node's owner, and its domain. The texts are copied; the
// node is the view's. At most once a view, before anybody looks at it.
OrtStatus* kp_ort_view_fuse(kp_ort_view* view, const char* name, const char* provider,
                            bool drop_constants, const OrtNode** out);

#endif  // KP_ORT_VIEW_H_
