// Consent and clauses: checks a placement against what the caller's list demands, before anything is compiled.
#include <stdio.h>

#include "base/log.h"
#include "base/types.h"
#include "graph/cost.h"
#include "plan/report.h"

kp_status* kp_clauses_unplaced(const kp_plan_set* set, const kp_graph* graph,
                               const kp_node_place* places, kp_node_id id) {
  const kp_node* node = &graph->nodes[id];
  uint32_t others = 0;
  for (uint32_t n = 0; n < graph->node_count; ++n)
    others += !graph->nodes[n].removed && places[n].entry == KP_NONE && n != id;
  kp_strbuf why = {0};
  for (uint32_t i = 0; i < places[id].refusal_count; ++i) {
    const kp_node_refusal* refusal = &places[id].refusals[i];
    kp_strbuf_printf(&why, "%s%s: %s", i ? "; " : "",
                     set->chain->entries[refusal->entry].short_name, refusal->words);
  }
  kp_status* status =
      KP_ERROR(UNSUPPORTED, "no provider takes %s '%s': %s%s", node->op, node->name,
               why.data ? why.data : "none is listed", others ? " (and other nodes)" : "");
  kp_strbuf_free(&why);
  kp_status_at(status, node->name, node->op, NULL);
  if (set->chain->floor != KP_FLOOR_ALL)
    return kp_status_hint(status, "floor=all lets the CPU take what others refuse");
  return kp_status_hint(status,
                        "check the operator's name, domain and opset version, or convert the model "
                        "to operators of ONNX");
}

typedef struct shares {
  double flops, total_flops;
  uint64_t nodes, total_nodes;
} shares;

static shares count_shares(const kp_plan_set* set, uint32_t entry) {
  shares s = {0};
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_graph* graph = set->plans[p]->graph;
    for (uint32_t n = 0; n < graph->node_count; ++n) {
      if (graph->nodes[n].removed || set->places[p][n].entry == KP_EXECUTOR) continue;
      const double flops = kp_node_flops(graph, &graph->nodes[n]);
      const bool mine = set->places[p][n].entry == entry;
      s.total_flops += flops;
      ++s.total_nodes;
      s.flops += mine ? flops : 0;
      s.nodes += mine;
    }
  }
  return s;
}

// Adds the reasons of |entry| to an error of which the message is complete.
static kp_status* with_reasons(const kp_plan_set* set, uint32_t entry, kapell_code code,
                               const char* message) {
  kp_strbuf reasons = {0};
  kp_status* failed = kp_report_reasons(set, entry, 4, &reasons);
  if (failed) {
    kp_strbuf_free(&reasons);
    return failed;
  }
  kp_status* status =
      kp_status_make(code, __FILE__, __LINE__, "%s%s%s", message, reasons.length ? ": " : "",
                     reasons.length ? reasons.data : "");
  kp_strbuf_free(&reasons);
  return status;
}

// An optional provider that is there and would run nothing: the placement stands, but not in silence.
static kp_status* warn_if_unused(const kp_plan_set* set, uint32_t index) {
  const kp_chain_entry* entry = &set->chain->entries[index];
  if (!entry->provider || entry->dropped) return NULL;  // said already
  const shares s = count_shares(set, index);
  if (s.nodes || !s.total_nodes) return NULL;
  kp_strbuf reasons = {0};
  kp_status* status = kp_report_reasons(set, index, 4, &reasons);
  if (!status)
    KP_LOG(WARNING, "%s? runs no node of this model: %s", entry->short_name,
           reasons.length ? reasons.data : "nothing was left for it");
  kp_strbuf_free(&reasons);
  return status;
}

static kp_status* check_entry(const kp_plan_set* set, uint32_t index) {
  const kp_chain_entry* entry = &set->chain->entries[index];
  if (entry->consent == KP_CONSENT_OPTIONAL) return warn_if_unused(set, index);
  if (entry->consent != KP_CONSENT_REQUIRED) return NULL;
  const shares s = count_shares(set, index);
  char message[256];
  if (s.nodes == 0 && s.total_nodes > 0 &&
      !(entry->share != KP_SHARE_NONE && entry->share_percent == 0)) {
    snprintf(message, sizeof(message), "%s is listed and would run no node of this model",
             entry->short_name);
    return kp_status_hint(with_reasons(set, index, KAPELL_PROVIDER_UNUSED, message),
                          "write '%s?' to go on without it", entry->short_name);
  }
  if (entry->share == KP_SHARE_NONE) return NULL;
  const bool by_nodes = entry->share == KP_SHARE_NODES || s.total_flops <= 0;
  const double share =
      by_nodes ? (s.total_nodes ? 100.0 * (double)s.nodes / (double)s.total_nodes : 100.0)
               : 100.0 * s.flops / s.total_flops;
  if (share + 1e-9 >= entry->share_percent) return NULL;
  snprintf(message, sizeof(message), "'%s': %s would run %.1f %% of the model's %s", entry->written,
           entry->short_name, share, by_nodes ? "nodes" : "FLOPs");
  return kp_status_hint(with_reasons(set, index, KAPELL_CLAUSE_VIOLATED, message),
                        "lower the share, or change the nodes named");
}

static kp_status* check_limit(const char* clause, int64_t limit, int64_t count, const char* what) {
  if (limit < 0 || count <= limit) return NULL;
  kp_status* status = KP_ERROR(CLAUSE_VIOLATED, "'%s<=%lld': the placement has %lld %s", clause,
                               (long long)limit, (long long)count, what);
  return kp_status_hint(status,
                        "'kapell place' shows which nodes split the graph; raise the limit or let "
                        "one provider take them");
}

kp_status* kp_clauses_check(const kp_plan_set* set) {
  const kp_chain* chain = set->chain;
  for (uint32_t e = 0; e < chain->count; ++e) KP_PASS(check_entry(set, e));
  KP_PASS(check_limit("partitions", chain->max_partitions, set->partition_count, "partitions"));
  KP_PASS(check_limit("copies", chain->max_copies, set->copy_count, "copies between devices"));
  KP_PASS(check_limit("copy-bytes", chain->max_copy_bytes, set->copy_bytes,
                      "bytes copied between devices a run"));
  if (chain->no_loop_copies)
    KP_PASS(check_limit("no-loop-copies: copies", 0, set->loop_copy_count,
                        "copies inside bodies of control flow"));
  return NULL;
}
