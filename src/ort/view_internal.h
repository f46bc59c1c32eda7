// Between the files of views; nobody else includes this.
#ifndef KP_ORT_VIEW_INTERNAL_H_
#define KP_ORT_VIEW_INTERNAL_H_

#include <pthread.h>

#include "ort/graph_object.h"
#include "ort/view.h"

#define KP_HANDLES 64  // made together

// A graph of a view: its main one, a body, or the part of one that has the nodes |members|.
typedef struct kp_shown {
  OrtGraph base;  // first
  kp_ort_view* view;
  const kp_graph* graph;
  const uint64_t* members;       // bits by node; NULL: all
  const kp_node_id* list;        // the members, in order
  uint32_t list_count;           //
  OrtNode** node_handles;        // by node / KP_HANDLES
  OrtValueInfo** value_handles;  // by value / KP_HANDLES
  uint32_t* special;  // by value: place in captures or overridable ones, + 1; NULL: there are none
  const uint32_t* ranks;  // by node: place in the graph's order; NULL until wanted
  const OrtNode* parent;  // NULL: main graph, or not made yet
  struct kp_shown* next;  // of the view
} kp_shown;

// Handles and their memory. A part that a library asked for has a view of its own, whose |root| is the one it is of.
struct kp_ort_view {
  kp_arena arena;
  pthread_mutex_t lock;  // of all below, and of what is filled later
  kp_shown* graphs;      // all, the newest first
  kp_shown* main;
  kp_ort_view* root;  // itself, or the view that this is a part of
  kp_ort_view_args args;
  const char** domains;  // of operator sets, with |versions|
  int64_t* versions;
  size_t opset_count;
  kp_ptr_map externals;  // data of an initializer -> place in |external_tensors|
  const kp_onnx_tensor** external_tensors;
  size_t external_count;
  bool externals_listed;
};

extern const kp_ort_graph_kind kp_shown_kind;

static inline kp_shown* kp_shown_of(const OrtGraph* graph) { return (kp_shown*)(uintptr_t)graph; }
static inline const kp_node* kp_shown_node(const OrtNode* node) {
  return &kp_shown_of(node->graph)->graph->nodes[node->id];
}

// All of these with the view's lock held. Handles: NULL for KP_NONE and for nodes that are no members, else *out_failed is set where
// memory is out.
OrtNode* kp_shown_node_handle(kp_shown* g, kp_node_id id, bool* out_failed);
OrtValueInfo* kp_shown_value_handle(kp_shown* g, kp_value_id id, bool* out_failed);
// A graph of |view|; |members| NULL: all.
OrtStatus* kp_shown_create(kp_ort_view* view, const kp_graph* graph, const kp_node_id* members,
                           uint32_t count, kp_shown** out);
OrtStatus* kp_shown_fill_graph(kp_shown* g);
// What |id| holds before a run gives it something, here or in the graph around; NULL: it is no initializer.
kapell_value* kp_shown_initial(const kp_shown* g, kp_value_id id, bool* out_constant);

// The functions of the kind.
OrtStatus* kp_shown_node_fill(OrtNode* node);
OrtStatus* kp_shown_value_fill(OrtValueInfo* value);
OrtStatus* kp_shown_type_fill(OrtValueInfo* value);
OrtStatus* kp_shown_initial_fill(OrtValueInfo* value);
OrtStatus* kp_shown_external(const OrtValueInfo* value, OrtExternalInitializerInfo** out);

#endif  // KP_ORT_VIEW_INTERNAL_H_
