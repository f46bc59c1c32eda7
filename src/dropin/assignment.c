// Which provider got which nodes, as ONNX Runtime's objects: Session_GetEpGraphAssignmentInfo.
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"

struct OrtEpAssignedNode {
  const kapell_placed_node* node;  // of the session's placement
};

struct OrtEpAssignedSubgraph {
  const char* provider;
  const OrtEpAssignedNode** nodes;
  size_t count;
};

typedef struct dropin_assignment {
  OrtEpAssignedSubgraph* subgraphs;  // one a partition that runs something
  const OrtEpAssignedSubgraph** lent;
  OrtEpAssignedNode* nodes;
  const OrtEpAssignedNode** node_pointers;  // those of each subgraph together
  size_t count;
} dropin_assignment;

void dropin_assignment_free(dropin_assignment* a) {
  if (!a) return;
  kp_free(a->subgraphs);
  kp_free(a->lent);
  kp_free(a->nodes);
  kp_free(a->node_pointers);
  kp_free(a);
}

// Nodes of one provider are one subgraph.
static void fill(dropin_assignment* a, const kapell_placement* placement) {
  size_t at = 0;
  for (size_t p = 0; p < placement->provider_count; ++p) {
    OrtEpAssignedSubgraph* subgraph = &a->subgraphs[a->count];
    *subgraph = (OrtEpAssignedSubgraph){.provider = placement->providers[p].name,
                                        .nodes = &a->node_pointers[at]};
    for (size_t n = 0; n < placement->node_count; ++n) {
      const kapell_placed_node* node = &placement->nodes[n];
      if (!node->provider || strcmp(node->provider, subgraph->provider) != 0) continue;
      a->nodes[at].node = node;
      a->node_pointers[at] = &a->nodes[at];
      ++at;
      ++subgraph->count;
    }
    if (subgraph->count) a->lent[a->count++] = subgraph;
  }
}

static dropin_assignment* make(const kapell_session* session) {
  const kapell_placement* placement = kapell_session_placement(session);
  dropin_assignment* a = kp_alloc_zero(1, sizeof(*a));
  if (!a) return NULL;
  a->subgraphs = kp_alloc_zero(placement->provider_count, sizeof(*a->subgraphs));
  a->lent = kp_alloc_zero(placement->provider_count, sizeof(*a->lent));
  a->nodes = kp_alloc_zero(placement->node_count * placement->provider_count, sizeof(*a->nodes));
  a->node_pointers =
      kp_alloc_zero(placement->node_count * placement->provider_count, sizeof(*a->node_pointers));
  if (!a->subgraphs || !a->lent || !a->nodes || !a->node_pointers) {
    dropin_assignment_free(a);
    return NULL;
  }
  fill(a, placement);
  return a;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_Session_GetEpGraphAssignmentInfo(const OrtSession* session,
                                                const OrtEpAssignedSubgraph* const** ep_subgraphs,
                                                size_t* count) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(ep_subgraphs);
  KP_ORT_NEED(count);
  if (!session->record_assignment)
    return kp_ort_error(ORT_FAIL,
                        "Session configuration entry 'session.record_ep_graph_assignment_info' "
                        "must be set to \"1\" to "
                        "retrieve EP graph assignment information.");
  OrtSession* s = (OrtSession*)(uintptr_t)session;
  pthread_mutex_lock(&s->lock);
  if (!s->assigned) s->assigned = make(s->session);
  const dropin_assignment* a = s->assigned;
  pthread_mutex_unlock(&s->lock);
  if (!a) return kp_ort_no_memory();
  *ep_subgraphs = a->lent;
  *count = a->count;
  return NULL;
}

OrtStatus* ort_EpAssignedSubgraph_GetEpName(const OrtEpAssignedSubgraph* ep_subgraph,
                                            const char** out) {
  KP_ORT_NEED(ep_subgraph);
  KP_ORT_NEED(out);
  *out = ep_subgraph->provider;
  return NULL;
}

OrtStatus* ort_EpAssignedSubgraph_GetNodes(const OrtEpAssignedSubgraph* ep_subgraph,
                                           const OrtEpAssignedNode* const** ep_nodes,
                                           size_t* count) {
  KP_ORT_NEED(ep_subgraph);
  KP_ORT_NEED(ep_nodes);
  KP_ORT_NEED(count);
  *ep_nodes = ep_subgraph->nodes;
  *count = ep_subgraph->count;
  return NULL;
}

OrtStatus* ort_EpAssignedNode_GetName(const OrtEpAssignedNode* ep_node, const char** out) {
  KP_ORT_NEED(ep_node);
  KP_ORT_NEED(out);
  *out = ep_node->node->name;
  return NULL;
}

OrtStatus* ort_EpAssignedNode_GetDomain(const OrtEpAssignedNode* ep_node, const char** out) {
  KP_ORT_NEED(ep_node);
  KP_ORT_NEED(out);
  *out = ep_node->node->domain;
  return NULL;
}

OrtStatus* ort_EpAssignedNode_GetOperatorType(const OrtEpAssignedNode* ep_node, const char** out) {
  KP_ORT_NEED(ep_node);
  KP_ORT_NEED(out);
  *out = ep_node->node->op;
  return NULL;
}
