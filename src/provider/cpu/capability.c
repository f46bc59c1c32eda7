// Claims every node that an operator takes, in one splittable group; says why not for the rest.
#include "graph/schema.h"
#include "provider/cpu/cpu.h"
#include "provider/host.h"

static bool is_control(const kp_node* node) {
  return kp_node_is(node, "", "If") || kp_node_is(node, "", "Loop") || kp_node_is(node, "", "Scan");
}

static void refuse(kp_claims* claims, kp_node_id id, const kp_node* node, kp_reason reason) {
  const bool expands = node->schema && node->schema->has_function;
  kp_claims_refuse(claims, id, KP_SOURCE_PROVIDER, "%s%s", reason,
                   expands ? "; its function body can be expanded" : "");
}

kp_status* kp_cpu_capability(kp_provider* provider, const kp_graph* graph, kp_claims* claims) {
  (void)provider;
  kp_arena arena = {0};
  kp_status* status = NULL;
  kp_node_id* nodes = kp_arena_new_array(&arena, kp_node_id, graph->node_count + 1);
  if (!nodes) return KP_ERROR(OUT_OF_MEMORY, "claims on %u nodes", graph->node_count);
  uint32_t count = 0;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    const kp_node* node = &graph->nodes[id];
    if (node->removed || !kp_claims_is_free(claims, id) || is_control(node)) continue;
    const kp_op_query query = {graph, node, &arena};
    const kp_reason reason = kp_op_check(&query);
    if (reason)
      refuse(claims, id, node, reason);
    else
      nodes[count++] = id;
  }
  if (count) {
    const kp_claim claim = {.nodes = nodes, .count = count};
    status = kp_claims_add(claims, &claim);
  }
  kp_arena_free(&arena);
  return status;
}
