// Consent and clauses: checks a placement against what the caller's list demands, before anything is compiled.
#include <stdio.h>

#include "base/log.h"
#include "base/types.h"
#include "plan/report.h"

#define MOST_NAMES 8    // nodes that a message names
#define MOST_REASONS 4  // groups of reasons, a provider

// Names the other nodes without a provider, as "2 other nodes (Abs 'd', Neg 'e')".
static void name_others(const kp_graph* graph, const kp_node_place* places, kp_node_id id,
                        kp_strbuf* out) {
  uint32_t others = 0;
  for (uint32_t n = 0; n < graph->node_count; ++n)
    others += !graph->nodes[n].removed && places[n].entry == KP_NONE && n != id;
  if (!others) return;
  kp_strbuf_printf(out, "; and for %u other node%s: ", others, others == 1 ? "" : "s");
  uint32_t named = 0;
  for (uint32_t n = 0; n < graph->node_count && named < MOST_NAMES; ++n) {
    if (graph->nodes[n].removed || places[n].entry != KP_NONE || n == id) continue;
    kp_strbuf_printf(out, "%s%s '%.80s'", named++ ? ", " : "", graph->nodes[n].op,
                     graph->nodes[n].name);
  }
  if (others > named) kp_strbuf_puts(out, ", ...");
}

// What to try where a node's place is nowhere.
static const char* unplaced_hint(const kp_chain* chain, const kp_node* node) {
  if (strcmp(node->domain, "com.microsoft.nchwc") == 0)
    return "ONNX Runtime laid the model out for one processor: save it again at "
           "ORT_ENABLE_EXTENDED, or by onnxruntime.tools.convert_onnx_models_to_ort";
  if (chain->floor != KP_FLOOR_ALL) return "floor=all lets the CPU take what others refuse";
  return "check the operator's name, domain and opset version, or convert the model to "
         "operators of ONNX";
}

kp_status* kp_clauses_unplaced(const kp_plan_set* set, const kp_graph* graph,
                               const kp_node_place* places, kp_node_id id) {
  const kp_node* node = &graph->nodes[id];
  const kp_chain* chain = set->chain;
  kp_strbuf why = {0};
  if (!node->schema)
    kp_strbuf_printf(&why, "the operator %s:%s is not known here",
                     node->domain[0] ? node->domain : "ai.onnx", node->op);
  for (uint32_t i = 0; i < places[id].refusal_count; ++i) {
    const kp_node_refusal* refusal = &places[id].refusals[i];
    kp_strbuf_printf(&why, "%s%s: %s", why.length ? "; " : "",
                     chain->entries[refusal->entry].short_name, refusal->words);
  }
  if (chain->floor == KP_FLOOR_NONE && kp_chain_floor_index(chain) == KP_NONE)
    kp_strbuf_printf(&why, "%s'%s' keeps the CPU from it", why.length ? "; " : "",
                     chain->floor_written ? chain->floor_written : "floor=none");
  name_others(graph, places, id, &why);
  kp_status* status = KP_ERROR(UNSUPPORTED, "no provider takes %s '%s': %s", node->op, node->name,
                               why.data ? why.data : "none is listed");
  kp_strbuf_free(&why);
  kp_status_at(status, node->name, node->op, NULL);
  return kp_status_hint(status, "%s", unplaced_hint(chain, node));
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
      const double flops = set->places[p][n].flops;
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
  kp_status* failed = kp_report_reasons(set, entry, MOST_REASONS, &reasons);
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
  kp_status* status = kp_report_reasons(set, index, MOST_REASONS, &reasons);
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

// --- limits ------------------------------------------------------------------------------------------------------------------
// What each provider says of the nodes that it does not run.
static kp_status* all_reasons(const kp_plan_set* set, kp_strbuf* out) {
  for (uint32_t e = 0; e < set->chain->count; ++e) {
    kp_strbuf reasons = {0};
    kp_status* status = kp_report_reasons(set, e, MOST_REASONS, &reasons);
    if (!status && reasons.length)
      kp_strbuf_printf(out, "; not on %s: %s", set->chain->entries[e].short_name, reasons.data);
    kp_strbuf_free(&reasons);
    KP_PASS(status);
  }
  return NULL;
}

// "0 on Mock (2 nodes from 'a'), 1 on CPU (1 node from 'c')": the partitions in the order in which they run.
static void list_partitions(const kp_plan_set* set, kp_strbuf* out) {
  uint32_t listed = 0, last = KP_NONE;
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_plan* plan = set->plans[p];
    for (uint32_t i = 0; i < plan->step_count; ++i) {
      const kp_unit* unit = &plan->steps[i].unit;
      if (plan->steps[i].kind != KP_STEP_UNIT || unit->partition == last) continue;
      last = unit->partition;
      if (++listed > MOST_NAMES) continue;
      kp_strbuf_printf(out, "%s%u on %s (%u node%s from '%.80s')", listed > 1 ? ", " : "",
                       unit->partition, set->chain->entries[unit->entry].short_name,
                       unit->node_count, unit->node_count == 1 ? "" : "s",
                       plan->graph->nodes[unit->nodes[0]].name);
    }
  }
  if (listed > MOST_NAMES) kp_strbuf_puts(out, ", ...");
}

// "'b' from Mock:0 to host (24 bytes, for Abs 'c')": the copies of the main graph, or those of bodies.
static void list_copies(const kp_plan_set* set, bool in_bodies, kp_strbuf* out) {
  uint32_t listed = 0;
  for (uint32_t p = in_bodies ? 1 : 0; p < (in_bodies ? set->plan_count : 1); ++p) {
    const kp_plan* plan = set->plans[p];
    for (uint32_t i = 0; i < plan->step_count; ++i) {
      const kp_step* step = &plan->steps[i];
      if (step->kind != KP_STEP_COPY || ++listed > MOST_NAMES) continue;
      bool exact;
      const int64_t bytes = kp_plan_copy_bytes(plan, step, &exact);
      const kp_node_id reader = kp_plan_copy_reader(plan, i);
      kp_strbuf_printf(out, "%s'%.80s' from %s to %s (", listed > 1 ? ", " : "",
                       plan->graph->values[plan->slots[step->from].value].name,
                       kp_memory_name(plan->slots[step->from].memory),
                       kp_memory_name(plan->slots[step->to].memory));
      if (bytes >= 0)
        kp_strbuf_printf(out, "%lld bytes%s, ", (long long)bytes, exact ? "" : " at symbols of 1");
      if (reader == KP_NONE)
        kp_strbuf_puts(out, "an output)");
      else
        kp_strbuf_printf(out, "for %s '%.80s')", plan->graph->nodes[reader].op,
                         plan->graph->nodes[reader].name);
    }
  }
  if (listed > MOST_NAMES) kp_strbuf_puts(out, ", ...");
}

// The error for a limit that the placement breaks, with what |list| says and each provider's reasons.
static kp_status* broken_limit(const kp_plan_set* set, const char* clause, int64_t count,
                               const char* what, kp_strbuf* list) {
  kp_status* status = all_reasons(set, list);
  if (!status)
    status = kp_status_hint(KP_ERROR(CLAUSE_VIOLATED, "'%s': the placement has %lld %s: %s", clause,
                                     (long long)count, what, list->data ? list->data : ""),
                            "'kapell place' without the clause shows the whole placement; raise "
                            "the limit, or let one provider take what splits the graph");
  kp_strbuf_free(list);
  return status;
}

static kp_status* check_partitions(const kp_plan_set* set) {
  const int64_t limit = set->chain->max_partitions;
  if (limit < 0 || set->partition_count <= limit) return NULL;
  char clause[48];
  kp_strbuf list = {0};
  snprintf(clause, sizeof(clause), "partitions<=%lld", (long long)limit);
  list_partitions(set, &list);
  return broken_limit(set, clause, set->partition_count, "partitions", &list);
}

static kp_status* check_copies(const kp_plan_set* set, const char* name, int64_t limit,
                               int64_t count, bool in_bodies, const char* what) {
  if (limit < 0 || count <= limit) return NULL;
  char clause[48];
  kp_strbuf list = {0};
  snprintf(clause, sizeof(clause), in_bodies ? "%s" : "%s<=%lld", name, (long long)limit);
  list_copies(set, in_bodies, &list);
  return broken_limit(set, clause, count, what, &list);
}

kp_status* kp_clauses_check(const kp_plan_set* set) {
  const kp_chain* chain = set->chain;
  for (uint32_t e = 0; e < chain->count; ++e) KP_PASS(check_entry(set, e));
  KP_PASS(check_partitions(set));
  KP_PASS(check_copies(set, "copies", chain->max_copies, set->copy_count, false,
                       "copies between devices a run"));
  KP_PASS(check_copies(set, "copy-bytes", chain->max_copy_bytes, set->copy_bytes, false,
                       "bytes copied between devices a run"));
  return check_copies(set, "no-loop-copies", chain->no_loop_copies ? 0 : -1, set->loop_copy_count,
                      true, "copies inside bodies of control flow");
}
