// The one way to change a graph after it was built: old nodes go, fresh ones come and remember where they came from.
#include "graph/rewrite.h"

#include <stdlib.h>

#include "base/alloc.h"

static int compare_ids(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}

// The union of the origins of the old nodes and |origin_of|, ascending; kp_free *out_origins.
static kp_status* gather_origins(const kp_graph* graph, const kp_rewrite* rewrite,
                                 uint32_t** out_origins, uint32_t* out_count) {
  size_t total = rewrite->origin_of == KP_NONE ? 0 : graph->nodes[rewrite->origin_of].origin_count;
  for (uint32_t i = 0; i < rewrite->old_count; ++i)
    total += graph->nodes[rewrite->old_nodes[i]].origin_count;
  uint32_t* origins = kp_alloc_array(total, sizeof *origins);
  if (!origins) return KP_ERROR(OUT_OF_MEMORY, "origins of a rewrite");
  size_t count = 0;
  for (uint32_t i = 0; i <= rewrite->old_count; ++i) {
    const kp_node_id id = i < rewrite->old_count ? rewrite->old_nodes[i] : rewrite->origin_of;
    if (id == KP_NONE) continue;
    const kp_node* node = &graph->nodes[id];
    for (uint32_t k = 0; k < node->origin_count; ++k) origins[count++] = node->origins[k];
  }
  if (count > 1) qsort(origins, count, sizeof *origins, compare_ids);
  uint32_t kept = 0;
  for (size_t i = 0; i < count; ++i)
    if (kept == 0 || origins[kept - 1] != origins[i]) origins[kept++] = origins[i];
  *out_origins = origins;
  *out_count = kept;
  return NULL;
}

static kp_status* check_rewrite(const kp_graph* graph, const kp_rewrite* rewrite) {
  if (rewrite->old_count == 0 && rewrite->origin_of == KP_NONE) {
    return KP_ERROR(INTERNAL, "rewrite '%s' stands for no node", rewrite->name);
  }
  if (rewrite->origin_of != KP_NONE && rewrite->origin_of >= graph->node_count) {
    return KP_ERROR(INTERNAL, "rewrite '%s' comes from no node", rewrite->name);
  }
  for (uint32_t i = 0; i < rewrite->old_count; ++i) {
    const kp_node_id id = rewrite->old_nodes[i];
    if (id >= graph->node_count || graph->nodes[id].removed) {
      return KP_ERROR(INTERNAL, "rewrite '%s' replaces node %u, which is gone", rewrite->name, id);
    }
  }
  return NULL;
}

static kp_status* check_outputs(const kp_graph* graph, const kp_rewrite* rewrite) {
  for (uint32_t i = 0; i < rewrite->old_count; ++i) {
    const kp_node* old = &graph->nodes[rewrite->old_nodes[i]];
    for (uint32_t k = 0; k < old->output_count; ++k) {
      const kp_value* value = kp_node_output(graph, old, k);
      if (!value || value->producer != KP_NONE || value->constant) continue;
      if (value->use_count == 0 && value->output_refs == 0) continue;
      return KP_ERROR(INTERNAL, "rewrite '%s' leaves '%s' (output %u of '%s') without producer",
                      rewrite->name, value->name, k, old->name);
    }
  }
  return NULL;
}

kp_status* kp_graph_rewrite(kp_graph* graph, const kp_rewrite* rewrite) {
  KP_PASS(check_rewrite(graph, rewrite));
  uint32_t* origins;
  uint32_t origin_count;
  KP_PASS(gather_origins(graph, rewrite, &origins, &origin_count));
  for (uint32_t i = 0; i < rewrite->old_count; ++i)
    kp_graph_remove_node(graph, rewrite->old_nodes[i]);
  kp_status* status = NULL;
  for (uint32_t i = 0; i < rewrite->fresh_count && !status; ++i) {
    kp_node_id id;
    status =
        kp_graph_add_node(graph, &rewrite->fresh[i], origins, origin_count, rewrite->name, &id);
    if (rewrite->out_nodes) rewrite->out_nodes[i] = id;
  }
  kp_free(origins);
  if (status)
    return kp_status_frame(status, __FILE__, __LINE__, "rewriting by '%s'", rewrite->name);
  return check_outputs(graph, rewrite);
}

// Room for one more origin in |node|; doubled, so that a node that stands for very many is merged with each in little time.
static kp_status* reserve_origin(kp_graph* graph, kp_node* node) {
  if (node->origin_count < node->origin_capacity) return NULL;
  const size_t capacity = node->origin_count ? node->origin_count * (size_t)2 : 1;
  uint32_t* grown = kp_arena_new_array(&graph->arena, uint32_t, capacity);
  if (!grown) return KP_ERROR(OUT_OF_MEMORY, "origins of '%s'", node->name);
  if (node->origin_count) memcpy(grown, node->origins, node->origin_count * sizeof *grown);
  node->origins = grown;
  node->origin_capacity = (uint32_t)capacity;
  return NULL;
}

kp_status* kp_graph_add_origins(kp_graph* graph, kp_node_id id, kp_node_id from) {
  kp_node* node = &graph->nodes[id];
  for (uint32_t i = 0; i < graph->nodes[from].origin_count; ++i) {
    const uint32_t origin = graph->nodes[from].origins[i];
    uint32_t place = node->origin_count;  // mostly the end: nodes are merged in order
    while (place > 0 && node->origins[place - 1] > origin) --place;
    if (place > 0 && node->origins[place - 1] == origin) continue;
    KP_PASS(reserve_origin(graph, node));
    memmove(node->origins + place + 1, node->origins + place,
            (node->origin_count - place) * sizeof origin);
    node->origins[place] = origin;
    node->origin_count++;
  }
  return NULL;
}
