// The functions of the ABI on graphs.
#include "ort/graph_slots.h"

#include <string.h>

OrtStatus* kp_ort_check_room(const char* what, size_t have, const void* list, size_t room) {
  if (room < have)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "room for %zu %s; there are %zu", room, what, have);
  if (have && !list)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the list for %zu %s is NULL", have, what);
  return NULL;
}

OrtStatus* kp_ort_give_list(const char* what, const void* from, size_t have, void* list,
                            size_t room) {
  KP_ORT_PASS(kp_ort_check_room(what, have, list, room));
  if (have) memcpy(list, from, have * sizeof(void*));
  return NULL;
}

OrtStatus* kp_ort_graph_fill(const OrtGraph* graph) {
  if (__atomic_load_n(&graph->filled, __ATOMIC_ACQUIRE)) return NULL;
  return graph->kind->fill_graph((OrtGraph*)(uintptr_t)graph);
}

void ort_ReleaseGraph(OrtGraph* object) {
  if (object) object->kind->release(object);
}

// --- what is known from the start ------------------------------------------------------------------------------------------------
OrtStatus* ort_Graph_GetName(const OrtGraph* graph, const char** name) {
  KP_ORT_NEED(graph);
  KP_ORT_NEED(name);
  *name = graph->name;
  return NULL;
}

OrtStatus* ort_Graph_GetModelPath(const OrtGraph* graph, const char** path) {
  KP_ORT_NEED(graph);
  KP_ORT_NEED(path);
  *path = graph->model_path;
  return NULL;
}

OrtStatus* ort_Graph_GetOnnxIRVersion(const OrtGraph* graph, int64_t* onnx_ir_version) {
  KP_ORT_NEED(graph);
  KP_ORT_NEED(onnx_ir_version);
  *onnx_ir_version = graph->ir_version;
  return NULL;
}

// --- lists -----------------------------------------------------------------------------------------------------------------------
// clang-format off
#define LIST(What, Type, list, list_count)                                                                  \
  OrtStatus* ort_Graph_GetNum##What(const OrtGraph* graph, size_t* count) {                                 \
    KP_ORT_NEED(graph);                                                                                     \
    KP_ORT_NEED(count);                                                                                     \
    KP_ORT_PASS(kp_ort_graph_fill(graph));                                                                  \
    *count = graph->list_count;                                                                             \
    return NULL;                                                                                            \
  }                                                                                                         \
  OrtStatus* ort_Graph_Get##What(const OrtGraph* graph, const Type** list, size_t count) {                  \
    KP_ORT_NEED(graph);                                                                                     \
    KP_ORT_PASS(kp_ort_graph_fill(graph));                                                                  \
    return kp_ort_give_list(#list " of the graph", graph->list, graph->list_count, list, count);            \
  }
// clang-format on
LIST(Inputs, OrtValueInfo, inputs, input_count)
LIST(Outputs, OrtValueInfo, outputs, output_count)
LIST(Initializers, OrtValueInfo, initializers, initializer_count)
LIST(Nodes, OrtNode, nodes, node_count)

OrtStatus* ort_Graph_GetNumOperatorSets(const OrtGraph* graph, size_t* count) {
  KP_ORT_NEED(graph);
  KP_ORT_NEED(count);
  KP_ORT_PASS(kp_ort_graph_fill(graph));
  *count = graph->opset_count;
  return NULL;
}

OrtStatus* ort_Graph_GetOperatorSets(const OrtGraph* graph, const char** domains, int64_t* versions,
                                     size_t count) {
  KP_ORT_NEED(graph);
  KP_ORT_PASS(kp_ort_graph_fill(graph));
  KP_ORT_PASS(kp_ort_check_room("versions of operator sets", graph->opset_count, versions, count));
  KP_ORT_PASS(
      kp_ort_give_list("operator sets", graph->domains, graph->opset_count, domains, count));
  if (graph->opset_count) memcpy(versions, graph->versions, graph->opset_count * sizeof *versions);
  return NULL;
}

// --- around the graph ------------------------------------------------------------------------------------------------------------
OrtStatus* ort_Graph_GetParentNode(const OrtGraph* graph, const OrtNode** node) {
  KP_ORT_NEED(graph);
  KP_ORT_NEED(node);
  *node = NULL;
  return graph->kind->parent(graph, node);
}

OrtStatus* ort_Graph_GetGraphView(const OrtGraph* src_graph, const OrtNode** nodes, size_t count,
                                  OrtGraph** dst_graph) {
  KP_ORT_NEED(dst_graph);
  *dst_graph = NULL;
  KP_ORT_NEED(src_graph);
  KP_ORT_NEED(nodes);
  if (count == 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "a part of no nodes");
  for (size_t i = 0; i < count; ++i)
    if (!nodes[i] || nodes[i]->graph != src_graph)
      return kp_ort_error(ORT_INVALID_ARGUMENT, "node %zu of %zu is %s", i, count,
                          nodes[i] ? "not of that graph" : "NULL");
  return src_graph->kind->part(src_graph, nodes, count, dst_graph);
}

OrtStatus* ort_Graph_GetModelMetadata(const OrtGraph* graph, OrtModelMetadata** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(graph);
  return graph->kind->metadata(graph, out);
}
