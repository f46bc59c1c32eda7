#include "ort/support.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "ort/kernel_registry.h"
#include "ort/view_internal.h"

void kp_ort_support_clear(OrtEpGraphSupportInfo* support) {
  for (size_t i = 0; i < support->count; ++i) kp_free(support->groups[i].nodes);
  kp_free(support->groups);
  support->groups = NULL;
  support->count = support->capacity = 0;
}

static int by_id(const void* a, const void* b) {
  const kp_node_id x = *(const kp_node_id*)a, y = *(const kp_node_id*)b;
  return (x > y) - (x < y);
}

// The ids of the nodes, ascending, each once.
static OrtStatus* collect(const kp_ort_view* view, const OrtNode* const* nodes, size_t count,
                          kp_ort_group* group) {
  group->nodes = kp_alloc_array(count, sizeof *group->nodes);
  if (!group->nodes) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) {
    group->nodes[i] = kp_ort_view_node(view, nodes[i]);
    if (group->nodes[i] == KP_NONE)
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "node %zu of %zu ('%s') is not of the graph that was given", i, count,
                          nodes[i] ? nodes[i]->name : "NULL");
  }
  qsort(group->nodes, count, sizeof *group->nodes, by_id);
  for (size_t i = 0; i < count; ++i)
    if (i == 0 || group->nodes[i] != group->nodes[i - 1])
      group->nodes[group->count++] = group->nodes[i];
  return NULL;
}

static OrtStatus* append(OrtEpGraphSupportInfo* support, const kp_ort_group* group) {
  if (support->count == support->capacity) {
    const size_t capacity = support->capacity ? 2 * support->capacity : 16;
    kp_ort_group* groups = kp_realloc_array(support->groups, capacity, sizeof *groups);
    if (!groups) return kp_ort_no_memory();
    support->groups = groups;
    support->capacity = capacity;
  }
  support->groups[support->count++] = *group;
  return NULL;
}

static OrtStatus* add(OrtEpGraphSupportInfo* support, const OrtNode* const* nodes, size_t count,
                      kp_ort_group group) {
  OrtStatus* status = collect(support->view, nodes, count, &group);
  if (!status) status = append(support, &group);
  if (status) kp_free(group.nodes);
  return status;
}

OrtStatus* ort_ep_EpGraphSupportInfo_AddNodesToFuse(
    OrtEpGraphSupportInfo* support, const OrtNode* const* nodes, size_t count,
    const OrtNodeFusionOptions* node_fusion_options) {
  KP_ORT_NEED(support);
  KP_ORT_NEED(nodes);
  if (count == 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "a group of no nodes cannot be fused");
  const bool drop = node_fusion_options && node_fusion_options->ort_version_supported >= 23 &&
                    node_fusion_options->drop_constant_initializers;
  return add(support, nodes, count, (kp_ort_group){.fuse = true, .drop_constants = drop});
}

OrtStatus* ort_ep_EpGraphSupportInfo_AddSingleNode(OrtEpGraphSupportInfo* support,
                                                   const OrtNode* node) {
  KP_ORT_NEED(support);
  KP_ORT_NEED(node);
  return add(support, &node, 1, (kp_ort_group){.fuse = false});
}

// Nodes of bodies and of parts may be asked about too.
OrtStatus* ort_ep_EpGraphSupportInfo_LookUpKernel(OrtEpGraphSupportInfo* support,
                                                  const OrtNode* node,
                                                  const OrtKernelDef** kernel_def) {
  KP_ORT_NEED(kernel_def);
  *kernel_def = NULL;
  KP_ORT_NEED(support);
  KP_ORT_NEED(node);
  if (!node->graph || node->graph->kind != &kp_shown_kind)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "'%s' is a node of no graph that was given",
                        node->name);
  const kp_ort_kernel* kernel = kp_ort_registry_find(
      support->registry, kp_shown_of(node->graph)->graph, kp_shown_node(node), NULL);
  if (kernel) *kernel_def = kernel->def;
  return NULL;
}
