// The functions of the ABI on nodes.
#include <string.h>

#include "graph/schema.h"
#include "ort/graph_slots.h"

static OrtStatus* fill(const OrtNode* node) {
  if (__atomic_load_n(&node->filled, __ATOMIC_ACQUIRE)) return NULL;
  if (!node->graph)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "node '%s' (%s) is in no graph yet", node->name,
                        node->op);
  return node->graph->kind->fill_node((OrtNode*)(uintptr_t)node);
}

// --- what is known from the start ------------------------------------------------------------------------------------------------
#define GETTER(What, type, member)                               \
  OrtStatus* ort_Node_Get##What(const OrtNode* node, type out) { \
    KP_ORT_NEED(node);                                           \
    KP_ORT_NEED(out);                                            \
    *out = node->member;                                         \
    return NULL;                                                 \
  }
GETTER(Id, size_t*, id)
GETTER(Name, const char**, name)
GETTER(OperatorType, const char**, op)
GETTER(Domain, const char**, domain)
GETTER(Graph, const OrtGraph**, graph)

// "" where it was given to none: libraries make a string of it.
OrtStatus* ort_Node_GetEpName(const OrtNode* node, const char** out) {
  KP_ORT_NEED(node);
  KP_ORT_NEED(out);
  *out = node->provider ? node->provider : "";
  return NULL;
}

// 0: the node is in no model that says.
OrtStatus* ort_Node_GetSinceVersion(const OrtNode* node, int* version) {
  KP_ORT_NEED(node);
  KP_ORT_NEED(version);
  if (!node->since && node->graph) KP_ORT_PASS(fill(node));
  *version = node->since;
  return NULL;
}

// --- lists -----------------------------------------------------------------------------------------------------------------------
// clang-format off
#define LIST(What, Type, list, list_count)                                                                  \
  OrtStatus* ort_Node_GetNum##What(const OrtNode* node, size_t* count) {                                    \
    KP_ORT_NEED(node);                                                                                      \
    KP_ORT_NEED(count);                                                                                     \
    KP_ORT_PASS(fill(node));                                                                                \
    *count = node->list_count;                                                                              \
    return NULL;                                                                                            \
  }                                                                                                         \
  OrtStatus* ort_Node_Get##What(const OrtNode* node, const Type** list, size_t count) {                     \
    KP_ORT_NEED(node);                                                                                      \
    KP_ORT_PASS(fill(node));                                                                                \
    return kp_ort_give_list(#list " of the node", node->list, node->list_count, list, count);               \
  }
// clang-format on
LIST(Inputs, OrtValueInfo, inputs, input_count)
LIST(Outputs, OrtValueInfo, outputs, output_count)
LIST(ImplicitInputs, OrtValueInfo, implicit, implicit_count)

// Of a node that is in no graph yet, too.
static OrtStatus* fill_attrs(const OrtNode* node) { return node->graph ? fill(node) : NULL; }

OrtStatus* ort_Node_GetNumAttributes(const OrtNode* node, size_t* count) {
  KP_ORT_NEED(node);
  KP_ORT_NEED(count);
  KP_ORT_PASS(fill_attrs(node));
  *count = node->attr_count;
  return NULL;
}

OrtStatus* ort_Node_GetAttributes(const OrtNode* node, const OrtOpAttr** attributes, size_t count) {
  KP_ORT_NEED(node);
  KP_ORT_PASS(fill_attrs(node));
  return kp_ort_give_list("attributes of the node", node->attrs, node->attr_count, attributes,
                          count);
}

OrtStatus* ort_Node_GetNumSubgraphs(const OrtNode* node, size_t* count) {
  KP_ORT_NEED(node);
  KP_ORT_NEED(count);
  KP_ORT_PASS(fill(node));
  *count = node->body_count;
  return NULL;
}

OrtStatus* ort_Node_GetSubgraphs(const OrtNode* node, const OrtGraph** subgraphs, size_t count,
                                 const char** attribute_names) {
  KP_ORT_NEED(node);
  KP_ORT_PASS(fill(node));
  KP_ORT_PASS(
      kp_ort_give_list("subgraphs of the node", node->bodies, node->body_count, subgraphs, count));
  if (attribute_names && node->body_count)
    memcpy(attribute_names, node->body_names, node->body_count * sizeof *attribute_names);
  return NULL;
}

// An attribute that the operator has and the node leaves out is no error, and NULL.
OrtStatus* ort_Node_GetAttributeByName(const OrtNode* node, const char* name,
                                       const OrtOpAttr** attribute) {
  KP_ORT_NEED(attribute);
  *attribute = NULL;
  KP_ORT_NEED(node);
  KP_ORT_NEED(name);
  KP_ORT_PASS(fill_attrs(node));
  for (size_t i = 0; i < node->attr_count; ++i) {
    if (strcmp(node->attrs[i]->attr.name, name) != 0) continue;
    *attribute = node->attrs[i];
    return NULL;
  }
  kp_attr_schema unset;
  const kp_op_schema* schema =
      kp_schema_find(kp_str_of(node->domain), kp_str_of(node->op), node->since);
  if (schema && kp_schema_find_attr(schema, kp_str_of(name), &unset) && !unset.required)
    return NULL;
  return kp_ort_error(ORT_NOT_FOUND, "node '%s' (%s) has no attribute '%s'", node->name, node->op,
                      name);
}
