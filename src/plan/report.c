// Gathers the placement report from a plan set: every node of the user's file, with provider, partition and refusals.
#include "plan/report.h"

#include "graph/cost.h"
#include "plan/reasons.h"

static const char* source_name(kp_reason_source source) {
  switch (source) {
    case KP_SOURCE_PROVIDER:
      return "provider";
    case KP_SOURCE_LOG:
      return "log";
    case KP_SOURCE_INFERRED:
      return "kapell";
    case KP_SOURCE_NONE:
      return "none";
  }
  return "none";
}

// --- reasons ------------------------------------------------------------------------------------------------------------------
static void gather_entry_reasons(const kp_plan_set* set, uint32_t entry, kp_reasons* g) {
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_graph* graph = set->plans[p]->graph;
    for (uint32_t n = 0; n < graph->node_count; ++n) {
      const kp_node_place* place = &set->places[p][n];
      for (uint32_t r = 0; r < place->refusal_count; ++r)
        if (place->refusals[r].entry == entry)
          kp_reasons_add(g, graph->nodes[n].op, place->refusals[r].words, graph->nodes[n].name);
    }
  }
}

kp_status* kp_report_reasons(const kp_plan_set* set, uint32_t entry, size_t most, kp_strbuf* out) {
  size_t nodes = 0;
  for (uint32_t p = 0; p < set->plan_count; ++p) nodes += set->plans[p]->graph->node_count;
  kp_reasons g;
  KP_PASS(kp_reasons_init(&g, nodes));
  gather_entry_reasons(set, entry, &g);
  kp_reasons_print(&g, most, "; ", out);
  kp_reasons_free(&g);
  return NULL;
}

// --- the struct ----------------------------------------------------------------------------------------------------------------
static kp_status* place_origin(const kp_plan_set* set, const kp_graph* graph, uint32_t node_index,
                               const kp_node_place* place, kp_arena* arena,
                               kapell_placed_node* out) {
  const kp_node* node = &graph->nodes[node_index];
  const bool executor = place->entry == KP_EXECUTOR;
  out->provider = executor ? NULL : set->chain->entries[place->entry].canonical;
  out->how = executor ? "executor" : "run";
  out->partition = place->partition == KP_NONE ? -1 : (int32_t)place->partition;
  out->flops = place->flops / (node->origin_count ? node->origin_count : 1);
  if (!place->refusal_count) return NULL;
  kapell_refusal* refusals = kp_arena_new_array(arena, kapell_refusal, place->refusal_count);
  if (!refusals) return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  for (uint32_t i = 0; i < place->refusal_count; ++i)
    refusals[i] =
        (kapell_refusal){.provider = set->chain->entries[place->refusals[i].entry].canonical,
                         .reason = place->refusals[i].words,
                         .source = source_name(place->refusals[i].source)};
  out->refusals = refusals;
  out->refusal_count = place->refusal_count;
  return NULL;
}

// Nodes in the bodies of a control-flow node that a provider claimed whole.
static void place_bodies(const kp_plan_set* set, const kp_node* owner, const kp_node_place* place,
                         kapell_placed_node* nodes) {
  for (uint32_t k = 0; k < kp_node_body_count(owner); ++k) {
    const kp_graph* body = kp_node_body(owner, k);
    for (uint32_t n = 0; n < body->node_count; ++n) {
      const kp_node* node = &body->nodes[n];
      if (node->removed) continue;
      for (uint32_t i = 0; i < node->origin_count; ++i) {
        kapell_placed_node* out = &nodes[node->origins[i]];
        out->provider = set->chain->entries[place->entry].canonical;
        out->how = "run";
        out->partition = (int32_t)place->partition;
        out->flops = kp_node_flops(body, node) / node->origin_count;
      }
      place_bodies(set, node, place, nodes);
    }
  }
}

static kp_status* report_nodes(const kp_plan_set* set, kp_arena* arena,
                               kapell_placement* placement) {
  const kp_model* model = set->model;
  kapell_placed_node* nodes =
      kp_arena_new_array(arena, kapell_placed_node, (size_t)model->origin_count + 1);
  if (!nodes) return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  for (uint32_t o = 0; o < model->origin_count; ++o) {
    const kp_origin* origin = &model->origins[o];
    nodes[o] = (kapell_placed_node){.name = origin->name,
                                    .op = origin->op,
                                    .domain = origin->domain,
                                    .path = origin->path,
                                    .how = "folded",
                                    .partition = -1,
                                    .fused_with = SIZE_MAX};
  }
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_graph* graph = set->plans[p]->graph;
    for (uint32_t n = 0; n < graph->node_count; ++n) {
      if (graph->nodes[n].removed) continue;
      for (uint32_t i = 0; i < graph->nodes[n].origin_count; ++i)
        KP_PASS(place_origin(set, graph, n, &set->places[p][n], arena,
                             &nodes[graph->nodes[n].origins[i]]));
      if (set->places[p][n].entry != KP_EXECUTOR)
        place_bodies(set, &graph->nodes[n], &set->places[p][n], nodes);
    }
  }
  placement->nodes = nodes;
  placement->node_count = model->origin_count;
  return kp_report_fused(set, nodes);
}

// --- weights ---------------------------------------------------------------------------------------------------------------------
// Counts what nodes of |entry| read in the bodies of a control-flow node that it claimed whole.
static uint64_t body_weights(const kp_graph* body) {
  uint64_t bytes = 0;
  for (uint32_t v = 0; v < body->value_count; ++v)
    if (body->values[v].constant && body->values[v].use_count)
      bytes += body->values[v].constant->byte_count;
  for (uint32_t n = 0; n < body->node_count; ++n)
    for (uint32_t k = 0; !body->nodes[n].removed && k < kp_node_body_count(&body->nodes[n]); ++k)
      bytes += body_weights(kp_node_body(&body->nodes[n], k));
  return bytes;
}

// A constant counts once for each provider that reads it.
static void count_weights(const kp_plan_set* set, kapell_placed_provider* providers) {
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_graph* graph = set->plans[p]->graph;
    const kp_node_place* places = set->places[p];
    for (uint32_t v = 0; v < graph->value_count; ++v) {
      const kp_value* value = &graph->values[v];
      uint64_t seen = 0;
      for (uint32_t u = 0; value->constant && u < value->use_count; ++u) {
        const uint32_t entry = places[value->uses[u]].entry;
        if (entry >= set->chain->count || (entry < 64 && (seen >> entry & 1))) continue;
        if (entry < 64) seen |= UINT64_C(1) << entry;
        providers[entry].weight_bytes += value->constant->byte_count;
      }
    }
    for (uint32_t n = 0; n < graph->node_count; ++n)
      for (uint32_t k = 0; !graph->nodes[n].removed && places[n].entry < set->chain->count &&
                           k < kp_node_body_count(&graph->nodes[n]);
           ++k)
        providers[places[n].entry].weight_bytes += body_weights(kp_node_body(&graph->nodes[n], k));
  }
}

static uint32_t entry_partitions(const kp_plan_set* set, uint32_t entry) {
  uint32_t count = 0, last = KP_NONE;
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    for (uint32_t i = 0; i < set->plans[p]->step_count; ++i) {
      const kp_step* step = &set->plans[p]->steps[i];
      if (step->kind != KP_STEP_UNIT || step->unit.entry != entry || step->unit.partition == last)
        continue;
      last = step->unit.partition;
      ++count;
    }
  }
  return count;
}

static kp_status* report_provider(const kp_plan_set* set, uint32_t index, kp_arena* arena,
                                  const kapell_placement* placement, kapell_placed_provider* out) {
  const kp_chain_entry* entry = &set->chain->entries[index];
  *out = (kapell_placed_provider){.name = entry->canonical,
                                  .asked = entry->written,
                                  .available = entry->provider != NULL,
                                  .version = entry->version,
                                  .file = entry->file,
                                  .reason = entry->reason,
                                  .fix = entry->fix,
                                  .partitions = entry_partitions(set, index)};
  for (size_t n = 0; n < placement->node_count; ++n) {
    if (placement->nodes[n].provider != entry->canonical) continue;
    ++out->nodes;
    out->flops += placement->nodes[n].flops;
  }
  out->in_use = out->partitions > 0 || entry->consent == KP_CONSENT_FLOOR;
  if (out->in_use || out->reason) return NULL;
  kp_strbuf reasons = {0};
  kp_status* status = kp_report_reasons(set, index, 8, &reasons);
  if (!status)
    out->reason = kp_arena_printf(arena, "it claimed nothing%s%s", reasons.length ? ": " : "",
                                  reasons.length ? reasons.data : "");
  kp_strbuf_free(&reasons);
  return status;
}

kp_status* kp_report_build(const kp_plan_set* set, kp_arena* arena,
                           kapell_placement** out_placement) {
  *out_placement = NULL;
  kapell_placement* placement = kp_arena_new(arena, kapell_placement);
  kapell_placed_provider* providers =
      kp_arena_new_array(arena, kapell_placed_provider, (size_t)set->chain->count + 1);
  if (!placement || !providers) return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  KP_PASS(report_nodes(set, arena, placement));
  for (uint32_t e = 0; e < set->chain->count; ++e)
    KP_PASS(report_provider(set, e, arena, placement, &providers[e]));
  count_weights(set, providers);
  KP_PASS(kp_report_copies(set, arena, placement));
  for (size_t n = 0; n < placement->node_count; ++n) placement->flops += placement->nodes[n].flops;
  placement->providers = providers;
  placement->provider_count = set->chain->count;
  placement->partition_count = set->partition_count;
  placement->copies = set->copy_count;
  placement->list = set->chain->text;
  placement->body_copies = set->loop_copy_count;
  *out_placement = placement;
  return NULL;
}
