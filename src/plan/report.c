// Gathers the placement report from a plan set: every node of the user's file, with provider, partition and refusals.
#include "plan/report.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "graph/cost.h"

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

// --- reasons, grouped -------------------------------------------------------------------------------------------------------
typedef struct reason_group {
  const char* op;
  const char* words;
  uint32_t count;
} reason_group;

typedef struct reason_groups {
  reason_group* groups;
  uint32_t* slots;  // hash table over groups; KP_NONE = free
  size_t count, capacity;
} reason_groups;

static void add_reason(reason_groups* g, const char* op, const char* words) {
  uint64_t hash = kp_hash_bytes(words, strlen(words), kp_hash_bytes(op, strlen(op), 0));
  for (size_t i = hash & (g->capacity - 1);; i = (i + 1) & (g->capacity - 1)) {
    if (g->slots[i] == KP_NONE) {
      g->slots[i] = (uint32_t)g->count;
      g->groups[g->count++] = (reason_group){op, words, 1};
      return;
    }
    reason_group* group = &g->groups[g->slots[i]];
    if (strcmp(group->op, op) == 0 && strcmp(group->words, words) == 0) {
      ++group->count;
      return;
    }
  }
}

static int larger_first(const void* a, const void* b) {
  const reason_group *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  const int by_op = strcmp(x->op, y->op);
  return by_op ? by_op : strcmp(x->words, y->words);
}

static kp_status* alloc_groups(reason_groups* g, size_t nodes) {
  g->capacity = 16;
  while (g->capacity < nodes * 2) g->capacity *= 2;
  g->groups = kp_alloc_array(nodes + 1, sizeof(*g->groups));
  g->slots = kp_alloc_array(g->capacity, sizeof(*g->slots));
  if (!g->groups || !g->slots) return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  memset(g->slots, 0xff, g->capacity * sizeof(*g->slots));
  return NULL;
}

static void free_groups(reason_groups* g) {
  kp_free(g->groups);
  kp_free(g->slots);
}

static void print_groups(reason_groups* g, size_t most, const char* separator, kp_strbuf* out) {
  qsort(g->groups, g->count, sizeof(*g->groups), larger_first);
  for (size_t i = 0; i < g->count && i < most; ++i)
    kp_strbuf_printf(out, "%s%u x %s: %s", i ? separator : "", g->groups[i].count, g->groups[i].op,
                     g->groups[i].words);
  if (g->count > most) kp_strbuf_printf(out, "%sand %zu more reasons", separator, g->count - most);
}

static void gather_entry_reasons(const kp_plan_set* set, uint32_t entry, reason_groups* g) {
  for (uint32_t p = 0; p < set->plan_count; ++p) {
    const kp_graph* graph = set->plans[p]->graph;
    for (uint32_t n = 0; n < graph->node_count; ++n) {
      const kp_node_place* place = &set->places[p][n];
      for (uint32_t r = 0; r < place->refusal_count; ++r)
        if (place->refusals[r].entry == entry)
          add_reason(g, graph->nodes[n].op, place->refusals[r].words);
    }
  }
}

kp_status* kp_report_reasons(const kp_plan_set* set, uint32_t entry, size_t most, kp_strbuf* out) {
  size_t nodes = 0;
  for (uint32_t p = 0; p < set->plan_count; ++p) nodes += set->plans[p]->graph->node_count;
  reason_groups g = {0};
  kp_status* status = alloc_groups(&g, nodes);
  if (!status) {
    gather_entry_reasons(set, entry, &g);
    print_groups(&g, most, "; ", out);
  }
  free_groups(&g);
  return status;
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
  out->flops = kp_node_flops(graph, node) / (node->origin_count ? node->origin_count : 1);
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
                                    .partition = -1};
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
  return NULL;
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
  placement->providers = providers;
  placement->provider_count = set->chain->count;
  placement->partition_count = set->partition_count;
  placement->copies = set->copy_count;
  placement->list = set->chain->text;
  placement->body_copies = set->loop_copy_count;
  *out_placement = placement;
  return NULL;
}

// --- text -------------------------------------------------------------------------------------------------------------------------
static void text_provider(const kapell_placement* placement, const kapell_placed_provider* p,
                          double total_flops, kp_strbuf* out) {
  kp_strbuf_printf(out, "%-10s ", p->asked);
  if (!p->available) {
    kp_strbuf_printf(out, "not available: %s\n", p->reason ? p->reason : "no reason known");
  } else if (!p->in_use) {
    kp_strbuf_printf(out, "runs nothing: %s\n", p->reason ? p->reason : "no reason known");
  } else {
    kp_strbuf_printf(out, "%zu of %zu nodes in %zu partition%s", p->nodes, placement->node_count,
                     p->partitions, p->partitions == 1 ? "" : "s");
    if (total_flops > 0)
      kp_strbuf_printf(out, ", %.1f %% of FLOPs", 100.0 * p->flops / total_flops);
    kp_strbuf_puts(out, "\n");
  }
  if (p->fix && !p->in_use) kp_strbuf_printf(out, "%-10s to fix it: %s\n", "", p->fix);
}

// Reasons why |provider| does not run nodes, grouped, one a line.
static void text_reasons(const kapell_placement* placement, const char* provider, kp_strbuf* out) {
  reason_groups g = {0};
  kp_status* status = alloc_groups(&g, placement->node_count);
  for (size_t n = 0; !status && n < placement->node_count; ++n)
    for (size_t r = 0; r < placement->nodes[n].refusal_count; ++r)
      if (strcmp(placement->nodes[n].refusals[r].provider, provider) == 0)
        add_reason(&g, placement->nodes[n].op, placement->nodes[n].refusals[r].reason);
  if (!status && g.count) {
    kp_strbuf_printf(out, "not on %s:\n  ", provider);
    print_groups(&g, 40, "\n  ", out);
    kp_strbuf_puts(out, "\n");
  }
  if (status) out->failed = true;
  kp_status_ignore(status);
  free_groups(&g);
}

void kp_report_text(const kapell_placement* placement, kp_strbuf* out) {
  double total = 0;
  size_t folded = 0, executor = 0;
  for (size_t n = 0; n < placement->node_count; ++n) {
    total += placement->nodes[n].flops;
    folded += strcmp(placement->nodes[n].how, "folded") == 0;
    executor += strcmp(placement->nodes[n].how, "executor") == 0;
  }
  for (size_t p = 0; p < placement->provider_count; ++p)
    text_provider(placement, &placement->providers[p], total, out);
  if (folded)
    kp_strbuf_printf(out, "%-10s %zu nodes: constants, or not needed for the outputs\n", "folded",
                     folded);
  if (executor)
    kp_strbuf_printf(out, "%-10s %zu nodes: control flow, its bodies are placed like the rest\n",
                     "executor", executor);
  if (placement->copies || placement->body_copies) {
    kp_strbuf_printf(out, "%-10s %zu a run, between host and devices", "copies", placement->copies);
    if (placement->body_copies)
      kp_strbuf_printf(out, ", and %zu in bodies of control flow each time they run",
                       placement->body_copies);
    kp_strbuf_puts(out, "\n");
  }
  for (size_t p = 0; p < placement->provider_count; ++p)
    if (placement->providers[p].available)
      text_reasons(placement, placement->providers[p].name, out);
}
