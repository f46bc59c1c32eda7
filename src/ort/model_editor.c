// The model editor's objects: types, values, nodes, graphs, models. What becomes of them is in model_bytes.c.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "ort/model.h"

#define LEAST_EXTERNAL 128  // bytes of an initializer whose data stays the client's

// --- types -----------------------------------------------------------------------------------------------------------------------
static OrtStatus* tensor_type(ONNXType kind, const OrtTensorTypeAndShapeInfo* info,
                              OrtTypeInfo** type) {
  KP_ORT_NEED(info);
  KP_ORT_PASS(kp_ort_type_info_create(kind, type));
  OrtStatus* status = kp_ort_shape_info_copy(&(*type)->tensor, info);
  if (!status) return NULL;
  ort_ReleaseTypeInfo(*type);
  *type = NULL;
  return status;
}

OrtStatus* ort_editor_CreateTensorTypeInfo(const OrtTensorTypeAndShapeInfo* info,
                                           OrtTypeInfo** type) {
  KP_ORT_NEED(type);
  *type = NULL;
  return tensor_type(ONNX_TYPE_TENSOR, info, type);
}

OrtStatus* ort_editor_CreateSparseTensorTypeInfo(const OrtTensorTypeAndShapeInfo* info,
                                                 OrtTypeInfo** type) {
  KP_ORT_NEED(type);
  *type = NULL;
  return tensor_type(ONNX_TYPE_SPARSETENSOR, info, type);
}

// A type of |kind| around a copy of |inner|.
static OrtStatus* around(ONNXType kind, const OrtTypeInfo* inner, OrtTypeInfo** type) {
  OrtTypeInfo* copy;
  KP_ORT_NEED(type);
  *type = NULL;
  KP_ORT_NEED(inner);
  KP_ORT_PASS(kp_ort_type_info_clone(inner, &copy));
  OrtStatus* status = kp_ort_type_info_create(kind, type);
  if (status) {
    ort_ReleaseTypeInfo(copy);
    return status;
  }
  if (kind == ONNX_TYPE_SEQUENCE) (*type)->sequence.element = copy;
  if (kind == ONNX_TYPE_OPTIONAL) (*type)->optional.contained = copy;
  if (kind == ONNX_TYPE_MAP) (*type)->map.value = copy;
  return NULL;
}

OrtStatus* ort_editor_CreateMapTypeInfo(ONNXTensorElementDataType map_key_type,
                                        const OrtTypeInfo* map_value_type, OrtTypeInfo** type) {
  KP_ORT_PASS(around(ONNX_TYPE_MAP, map_value_type, type));
  (*type)->map.key = map_key_type;
  return NULL;
}

OrtStatus* ort_editor_CreateSequenceTypeInfo(const OrtTypeInfo* sequence_type, OrtTypeInfo** type) {
  return around(ONNX_TYPE_SEQUENCE, sequence_type, type);
}

OrtStatus* ort_editor_CreateOptionalTypeInfo(const OrtTypeInfo* contained_type,
                                             OrtTypeInfo** type) {
  return around(ONNX_TYPE_OPTIONAL, contained_type, type);
}

// --- values ----------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_editor_CreateValueInfo(const char* name, const OrtTypeInfo* type,
                                      OrtValueInfo** value) {
  KP_ORT_NEED(value);
  *value = NULL;
  KP_ORT_NEED(name);
  KP_ORT_NEED(type);
  if (!name[0]) return kp_ort_error(ORT_INVALID_ARGUMENT, "name cannot be empty");
  OrtValueInfo* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  made->name = kp_strdup(name);
  OrtStatus* status = made->name ? kp_ort_type_info_clone(type, &made->type) : kp_ort_no_memory();
  if (status) {
    ort_ReleaseValueInfo(made);
    return status;
  }
  *value = made;
  return NULL;
}

// Values of a session's graph are the graph's.
void ort_ReleaseValueInfo(OrtValueInfo* object) {
  if (!object || (object->graph && object->graph->kind != &kp_ort_made_kind)) return;
  ort_ReleaseTypeInfo(object->type);
  kp_free((void*)(uintptr_t)object->name);
  kp_free(object);
}

// --- nodes -----------------------------------------------------------------------------------------------------------------------
static const char* copy_text(kp_arena* arena, const char* text) {
  return kp_arena_strndup(arena, text ? text : "", text ? strlen(text) : 0);
}

static kp_str* copy_names(kp_arena* arena, const char* const* names, size_t count) {
  kp_str* copies = kp_arena_new_array(arena, kp_str, count + 1);
  for (size_t i = 0; copies && i < count; ++i) {
    const char* copy = copy_text(arena, names[i]);
    if (!copy) return NULL;
    copies[i] = kp_str_of(copy);
  }
  return copies;
}

// ONNX Runtime takes the attributes over and clears the caller's list, whatever its documentation says of copies.
static OrtStatus* take_attrs(kp_ort_made_node* node, OrtOpAttr** attrs, size_t count) {
  node->attrs = kp_arena_new_array(&node->arena, OrtOpAttr*, count + 1);
  if (!node->attrs) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) KP_ORT_NEED(attrs[i]);
  for (size_t i = 0; i < count; ++i) {
    node->attrs[i] = attrs[i];
    attrs[i] = NULL;
  }
  node->attr_count = node->base.attr_count = count;
  node->base.attrs = (const OrtOpAttr**)(uintptr_t)node->attrs;
  return NULL;
}

OrtStatus* ort_editor_CreateNode(const char* op, const char* domain, const char* name,
                                 const char* const* input_names, size_t input_count,
                                 const char* const* output_names, size_t output_count,
                                 OrtOpAttr** attributes, size_t attribute_count, OrtNode** node) {
  KP_ORT_NEED(node);
  *node = NULL;
  KP_ORT_NEED(op);
  KP_ORT_NEED(domain);
  KP_ORT_NEED(name);
  if (input_count) KP_ORT_NEED(input_names);
  if (output_count) KP_ORT_NEED(output_names);
  if (attribute_count) KP_ORT_NEED(attributes);
  kp_ort_made_node* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  made->base.op = copy_text(&made->arena, op);
  made->base.domain = copy_text(&made->arena, domain);
  made->base.name = copy_text(&made->arena, name);
  made->inputs = copy_names(&made->arena, input_names, input_count);
  made->outputs = copy_names(&made->arena, output_names, output_count);
  made->input_count = input_count;
  made->output_count = output_count;
  const bool whole =
      made->base.op && made->base.domain && made->base.name && made->inputs && made->outputs;
  OrtStatus* status = whole ? take_attrs(made, attributes, attribute_count) : kp_ort_no_memory();
  if (status) {
    ort_ReleaseNode(&made->base);
    return status;
  }
  *node = &made->base;
  return NULL;
}

kp_ort_made_node* kp_ort_made_node_of(const OrtNode* node) {
  const bool made = !node->graph || node->graph->kind == &kp_ort_made_kind;
  return made ? (kp_ort_made_node*)(uintptr_t)node : NULL;
}

// Nodes of a session's graph are the graph's.
void ort_ReleaseNode(OrtNode* object) {
  kp_ort_made_node* made = object ? kp_ort_made_node_of(object) : NULL;
  if (!made) return;
  for (size_t i = 0; i < made->attr_count; ++i) ort_ReleaseOpAttr(made->attrs[i]);
  kp_arena_free(&made->arena);
  kp_free(made);
}

// --- graphs ----------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_editor_CreateGraph(OrtGraph** graph) {
  KP_ORT_NEED(graph);
  *graph = NULL;
  kp_ort_made_graph* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  made->base = (OrtGraph){
      .kind = &kp_ort_made_kind, .name = "", .model_path = "", .ir_version = KP_ORT_IR_VERSION};
  *graph = &made->base;
  return NULL;
}

kp_ort_made_graph* kp_ort_made_graph_of(const OrtGraph* graph) {
  return graph->kind == &kp_ort_made_kind ? (kp_ort_made_graph*)(uintptr_t)graph : NULL;
}

// Refuses a graph that no client made.
#define NEED_MADE(made, graph)                                                                 \
  KP_ORT_NEED(graph);                                                                          \
  kp_ort_made_graph* made = kp_ort_made_graph_of(graph);                                       \
  if (!made)                                                                                   \
  return kp_ort_error(ORT_INVALID_ARGUMENT, "%s: the graph of a session is not to be changed", \
                      __func__ + sizeof "ort_editor")

static void release_infos(OrtValueInfo** infos, size_t count) {
  for (size_t i = 0; i < count; ++i) ort_ReleaseValueInfo(infos[i]);
  kp_free(infos);
}

void kp_ort_made_release(OrtGraph* object) {
  kp_ort_made_graph* graph = kp_ort_made_graph_of(object);
  release_infos(graph->inputs, graph->input_count);
  release_infos(graph->outputs, graph->output_count);
  release_infos(graph->inner, graph->inner_count);
  for (size_t i = 0; i < graph->initializer_count; ++i) {
    kp_free(graph->initializers[i].name);
    ort_ReleaseValue(graph->initializers[i].value);
  }
  for (size_t i = 0; i < graph->node_count; ++i) ort_ReleaseNode(&graph->nodes[i]->base);
  kp_free(graph->initializers);
  kp_free(graph->nodes);
  kp_arena_free(&graph->lists);
  kp_free(graph);
}

// |infos| (each taken, on success) replace those that the graph had.
static OrtStatus* set_infos(kp_ort_made_graph* graph, OrtValueInfo*** list, size_t* list_count,
                            bool* set, OrtValueInfo** infos, size_t count) {
  if (count) KP_ORT_NEED(infos);
  for (size_t i = 0; i < count; ++i) KP_ORT_NEED(infos[i]);
  OrtValueInfo** copy = kp_alloc_zero(count, sizeof(OrtValueInfo*));
  if (!copy) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) {
    copy[i] = infos[i];
    copy[i]->graph = &graph->base;
  }
  release_infos(*list, *list_count);
  *list = copy;
  *list_count = count;
  *set = true;
  return NULL;
}

OrtStatus* ort_editor_SetGraphInputs(OrtGraph* graph, OrtValueInfo** inputs, size_t count) {
  NEED_MADE(made, graph);
  kp_ort_made_changed(made);
  return set_infos(made, &made->inputs, &made->input_count, &made->has_inputs, inputs, count);
}

OrtStatus* ort_editor_SetGraphOutputs(OrtGraph* graph, OrtValueInfo** outputs, size_t count) {
  NEED_MADE(made, graph);
  kp_ort_made_changed(made);
  return set_infos(made, &made->outputs, &made->output_count, &made->has_outputs, outputs, count);
}

// External data is copied too, when the session is made: nothing is asked of the client's memory after that.
OrtStatus* ort_editor_AddInitializerToGraph(OrtGraph* graph, const char* name, OrtValue* tensor,
                                            bool data_is_external) {
  OrtStatus* status = NULL;
  NEED_MADE(made, graph);
  KP_ORT_NEED(name);
  KP_ORT_NEED(tensor);
  const kapell_value* value = kp_ort_value_tensor(tensor, &status);
  if (!value) return status;
  if (!name[0]) return kp_ort_error(ORT_INVALID_ARGUMENT, "an initializer needs a name");
  if (data_is_external && kapell_tensor_byte_count(value) < LEAST_EXTERNAL)
    return kp_ort_error(
        ORT_INVALID_ARGUMENT,
        "External initializer '%s' has %zu bytes; external data must have %d or more: "
        "use CreateTensorAsOrtValue",
        name, kapell_tensor_byte_count(value), LEAST_EXTERNAL);
  char* copy = kp_strdup(name);
  kp_ort_graph_tensor* slot =
      copy ? kp_ort_append((void**)&made->initializers, &made->initializer_count, sizeof *slot)
           : NULL;
  if (!slot) {
    kp_free(copy);
    return kp_ort_no_memory();
  }
  *slot = (kp_ort_graph_tensor){copy, tensor};
  kp_ort_made_changed(made);
  return NULL;
}

OrtStatus* ort_editor_AddNodeToGraph(OrtGraph* graph, OrtNode* node) {
  NEED_MADE(made, graph);
  KP_ORT_NEED(node);
  if (node->graph)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "node '%s' is in a graph already", node->name);
  kp_ort_made_node** slot = kp_ort_append((void**)&made->nodes, &made->node_count, sizeof *slot);
  if (!slot) return kp_ort_no_memory();
  *slot = kp_ort_made_node_of(node);
  node->graph = graph;
  node->id = made->node_count - 1;
  kp_ort_made_changed(made);
  return NULL;
}

// --- models ----------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_editor_CreateModel(const char* const* domains, const int* versions, size_t count,
                                  OrtModel** model) {
  KP_ORT_NEED(model);
  *model = NULL;
  if (count) KP_ORT_NEED(domains);
  if (count) KP_ORT_NEED(versions);
  OrtModel* made = kp_alloc_zero(1, sizeof *made);
  if (made) made->opsets = kp_alloc_zero(count, sizeof *made->opsets);
  OrtStatus* status = made && made->opsets ? NULL : kp_ort_no_memory();
  for (size_t i = 0; !status && i < count; ++i) {
    const char* domain = kp_strdup(domains[i] ? domains[i] : "");
    if (!domain) status = kp_ort_no_memory();
    made->opsets[i] = (kp_onnx_opset){domain ? kp_str_of(domain) : (kp_str){0}, versions[i]};
    made->opset_count = i + 1;
  }
  if (status) {
    ort_ReleaseModel(made);
    return status;
  }
  *model = made;
  return NULL;
}

OrtStatus* ort_editor_AddGraphToModel(OrtModel* model, OrtGraph* graph) {
  KP_ORT_NEED(model);
  NEED_MADE(made, graph);
  if (model->graph) return kp_ort_error(ORT_INVALID_ARGUMENT, "the model has a graph already");
  model->graph = made;
  made->model = model;
  kp_ort_made_changed(made);
  return NULL;
}

void ort_ReleaseModel(OrtModel* object) {
  if (!object) return;
  for (size_t i = 0; i < object->opset_count; ++i)
    kp_free((void*)(uintptr_t)object->opsets[i].domain.data);
  kp_free(object->opsets);
  ort_ReleaseGraph(object->graph ? &object->graph->base : NULL);
  kp_free(object);
}
