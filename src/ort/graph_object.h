// OrtGraph, OrtNode and OrtValueInfo: one form for graphs that are shown to provider libraries (view.h) and for those that clients make with
// the model editor (model.h). What is cheap to know is here from the start; the rest is filled when it is first asked for, by the
// functions of the kind that the graph is of. graph_slots.c, node_slots.c and value_info.c are the functions of the ABI over them.
//
// Ownership: a graph owns its nodes and values. What clients made and gave to no graph is their own.
// Threads: any, for graphs that are shown; a graph that is being made belongs to one thread.
#ifndef KP_ORT_GRAPH_OBJECT_H_
#define KP_ORT_GRAPH_OBJECT_H_

#include "ort/kernel.h"

#define KP_ORT_IR_VERSION 10  // of models that are made

// An input of a node that reads a value; -1: a body of the node does.
typedef struct kp_ort_use {
  const OrtNode* node;
  int64_t input;
} kp_ort_use;

struct OrtValueInfo {
  OrtGraph* graph;  // NULL: none yet
  const char* name;
  uint32_t id;  // within the graph, where it is shown
  bool filled;  // atomic: what follows holds
  bool is_required_input, is_optional_input, is_output, is_constant, is_outer;
  bool has_initial;
  const OrtNode* producer;  // NULL: none in this graph
  size_t producer_output;
  const kp_ort_use* uses;
  size_t use_count;
  OrtTypeInfo* type;        // owned; atomic: NULL until it is asked for
  const OrtValue* initial;  // atomic: NULL until it is asked for
};

struct OrtNode {
  OrtGraph* graph;  // NULL: none yet
  const char *op, *domain, *name;
  const char* provider;  // that it was given to; NULL: none
  size_t id;
  int since;
  bool filled;  // atomic: what follows holds
  const OrtValueInfo **inputs, **outputs,
      **implicit;  // entries of |inputs| and |outputs| may be NULL
  size_t input_count, output_count, implicit_count;
  const OrtOpAttr** attrs;
  size_t attr_count;
  const OrtGraph** bodies;
  const char** body_names;  // of the attributes, parallel
  size_t body_count;
};

// What the filling functions do not give they leave as it is.
typedef struct kp_ort_graph_kind {
  OrtStatus* (*fill_graph)(OrtGraph* graph);
  OrtStatus* (*fill_node)(OrtNode* node);
  OrtStatus* (*fill_value)(OrtValueInfo* value);
  OrtStatus* (*fill_type)(OrtValueInfo* value);
  OrtStatus* (*fill_initial)(OrtValueInfo* value);
  OrtStatus* (*parent)(const OrtGraph* graph, const OrtNode** out);
  OrtStatus* (*external)(const OrtValueInfo* value, OrtExternalInitializerInfo** out);
  OrtStatus* (*metadata)(const OrtGraph* graph, OrtModelMetadata** out);
  OrtStatus* (*part)(const OrtGraph* graph, const OrtNode* const* nodes, size_t count,
                     OrtGraph** out);
  void (*release)(OrtGraph* graph);
} kp_ort_graph_kind;

struct OrtGraph {
  const kp_ort_graph_kind* kind;
  const char *name, *model_path;
  int64_t ir_version;
  bool filled;  // atomic: what follows holds
  const OrtValueInfo **inputs, **outputs, **initializers;
  size_t input_count, output_count, initializer_count;
  const OrtNode** nodes;  // in topological order
  size_t node_count;
  const char** domains;
  const int64_t* versions;  // parallel
  size_t opset_count;
};

#endif  // KP_ORT_GRAPH_OBJECT_H_
