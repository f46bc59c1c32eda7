// Asks each provider of the chain in turn what it would run, and gives each node to the first that claims it.
#include "plan/plan.h"
#include "provider/claims.h"

bool kp_plan_is_control(const kp_node* node) {
  return kp_node_is(node, "", "If") || kp_node_is(node, "", "Loop") || kp_node_is(node, "", "Scan");
}

// Only dense tensors of fixed-width types leave the host.
static const kp_value* host_only_value(const kp_graph* graph, const kp_node* node) {
  for (uint32_t i = 0; i < node->input_count + node->output_count; ++i) {
    const kp_value* value = i < node->input_count
                                ? kp_node_input(graph, node, i)
                                : kp_node_output(graph, node, i - node->input_count);
    if (!value) continue;
    const kapell_kind kind = value->type.kind;
    if (kind != KAPELL_KIND_TENSOR && kind != KAPELL_KIND_NONE) return value;
    if (value->type.element == KAPELL_STRING) return value;
  }
  return NULL;
}

static void offer(const kp_plan_set* set, const kp_graph* graph, const kp_placing* placing,
                  uint32_t entry, bool* out_offered) {
  const kp_chain_entry* e = &set->chain->entries[entry];
  for (uint32_t n = 0; n < graph->node_count; ++n) {
    const kp_node* node = &graph->nodes[n];
    bool yes = !node->removed && placing->places[n].entry == KP_NONE;
    if (yes && kp_plan_is_control(node)) yes = (e->provider->flags & KP_PROVIDER_CONTROL) != 0;
    if (yes && e->consent == KP_CONSENT_FLOOR) yes = kp_chain_floor_takes(set->chain, node->op);
    out_offered[n] = yes;
  }
}

static kp_status* add_refusal(kp_plan_set* set, kp_node_place* place, uint32_t entry,
                              kp_reason_source source, const char* words) {
  if (!place->refusals)
    place->refusals = kp_arena_new_array(&set->arena, kp_node_refusal, set->chain->count);
  if (!place->refusals) return KP_ERROR(OUT_OF_MEMORY, "reasons of the placement");
  place->refusals[place->refusal_count++] =
      (kp_node_refusal){.entry = entry, .source = source, .words = words};
  return NULL;
}

// Why claim |c| cannot be honoured, or NULL.
static const char* claim_objection(kp_plan_set* set, const kp_graph* graph, uint32_t entry,
                                   const kp_node* node) {
  if (set->chain->entries[entry].provider->flags & KP_PROVIDER_HOST) return NULL;
  const kp_value* value = host_only_value(graph, node);
  if (!value) return NULL;
  kp_strbuf type = {0};
  kp_type_describe(graph->model, &value->type, &type);
  const char* words = kp_arena_printf(&set->arena, "'%s' is %s, which stays on the host",
                                      value->name, type.data ? type.data : "");
  kp_strbuf_free(&type);
  return words ? words : "a value of it stays on the host";
}

static kp_status* take_claim(kp_plan_set* set, kp_placing* placing, uint32_t entry,
                             const kp_claim* claim) {
  const kp_graph* graph = placing->graph;
  const char* group_objection = NULL;
  for (uint32_t i = 0; claim->atomic && i < claim->count && !group_objection; ++i) {
    const char* words = claim_objection(set, graph, entry, &graph->nodes[claim->nodes[i]]);
    if (words)
      group_objection = kp_arena_printf(&set->arena, "its atomic group contains '%s': %s",
                                        graph->nodes[claim->nodes[i]].name, words);
  }
  const uint32_t group = claim->atomic && !group_objection ? placing->group_count++ : KP_NONE;
  for (uint32_t i = 0; i < claim->count; ++i) {
    const kp_node_id n = claim->nodes[i];
    const char* words =
        group_objection ? group_objection : claim_objection(set, graph, entry, &graph->nodes[n]);
    if (words) {
      KP_PASS(add_refusal(set, &placing->places[n], entry, KP_SOURCE_INFERRED, words));
      continue;
    }
    placing->places[n].entry = entry;
    placing->group_of[n] = group;
  }
  return NULL;
}

// Why an entry of the chain is not asked at all.
static const char* absence(const kp_chain_entry* entry) {
  if (entry->reason) return entry->reason;
  return entry->dropped ? "it failed and was taken out" : "not available";
}

static kp_status* refuse_everywhere(kp_plan_set* set, kp_placing* placing, uint32_t entry,
                                    const char* words) {
  for (uint32_t n = 0; n < placing->graph->node_count; ++n) {
    if (placing->graph->nodes[n].removed || placing->places[n].entry != KP_NONE) continue;
    KP_PASS(add_refusal(set, &placing->places[n], entry, KP_SOURCE_INFERRED, words));
  }
  return NULL;
}

// Whom a question is about.
typedef struct asked {
  const kp_plan_set* set;
  const kp_placing* placing;
} asked;

// What the floor's clause says of an operator that it does not name; NULL where there is no such clause.
static kp_status* floor_refusal(kp_plan_set* set, const char** out_words) {
  if (set->chain->floor == KP_FLOOR_ALL) return NULL;
  *out_words =
      kp_arena_printf(&set->arena, "the floor clause '%s' does not let it take this operator",
                      set->chain->floor_written);
  return *out_words ? NULL : KP_ERROR(OUT_OF_MEMORY, "reasons of the placement");
}

static const char* owner_of(const void* user, kp_node_id node) {
  const asked* a = user;
  const uint32_t entry = a->placing->places[node].entry;
  if (entry == KP_NONE || entry == KP_EXECUTOR) return NULL;
  return a->set->chain->entries[entry].canonical;
}

static kp_status* ask_entry(kp_plan_set* set, kp_placing* placing, uint32_t entry, bool* offered) {
  const kp_chain_entry* e = &set->chain->entries[entry];
  const kp_graph* graph = placing->graph;
  kp_claims* claims = &placing->claims[entry];
  offer(set, graph, placing, entry, offered);
  KP_PASS(kp_claims_init(claims, graph, offered, &set->arena));
  const asked about = {set, placing};
  claims->owner = owner_of;
  claims->user = &about;
  kp_status* failure = e->provider->type->capability(e->provider, graph, claims);
  claims->owner = NULL;
  if (failure) set->failed_entry = entry;
  KP_TRY(failure, "asking %s what it can run", e->short_name);
  KP_PASS(kp_claims_close(claims, e->short_name));
  const char* floor_words = NULL;
  KP_PASS(floor_refusal(set, &floor_words));
  for (uint32_t c = 0; c < claims->claim_count; ++c)
    KP_PASS(take_claim(set, placing, entry, &claims->claims[c]));
  for (uint32_t n = 0; n < graph->node_count; ++n) {
    if (graph->nodes[n].removed || placing->places[n].entry != KP_NONE) continue;
    const uint32_t refusal = claims->refusal_of[n];
    if (refusal != KP_NONE) {
      KP_PASS(add_refusal(set, &placing->places[n], entry, claims->refusals[refusal].source,
                          claims->refusals[refusal].words));
    } else if (!offered[n] && !kp_plan_is_control(&graph->nodes[n])) {
      KP_PASS(add_refusal(set, &placing->places[n], entry, KP_SOURCE_INFERRED, floor_words));
    }
  }
  return NULL;
}

kp_status* kp_place_graph(kp_plan_set* set, kp_graph* graph, uint64_t excluded,
                          kp_placing* out_placing) {
  const uint32_t count = graph->node_count;
  const kp_chain* chain = set->chain;
  kp_placing placing = {.graph = graph,
                        .places = kp_arena_new_array(&set->arena, kp_node_place, count + 1),
                        .group_of = kp_arena_new_array(&set->arena, uint32_t, count + 1),
                        .claims = kp_arena_new_array(&set->arena, kp_claims, chain->count + 1)};
  bool* offered = kp_arena_new_array(&set->arena, bool, count + 1);
  if (!placing.places || !placing.group_of || !placing.claims || !offered)
    return KP_ERROR(OUT_OF_MEMORY, "placing %u nodes", count);
  for (uint32_t n = 0; n < count; ++n) {
    placing.places[n].entry = placing.places[n].partition = KP_NONE;
    placing.group_of[n] = KP_NONE;
  }
  for (uint32_t e = 0; e < chain->count; ++e) {
    const kp_chain_entry* entry = &chain->entries[e];
    if (!entry->provider || entry->dropped) {
      KP_PASS(refuse_everywhere(set, &placing, e, absence(entry)));
    } else if (e < 64 && (excluded >> e & 1)) {
      KP_PASS(refuse_everywhere(set, &placing, e, "it failed in a run"));
    } else {
      KP_PASS(ask_entry(set, &placing, e, offered));
    }
  }
  for (uint32_t n = 0; n < count; ++n)
    if (!graph->nodes[n].removed && placing.places[n].entry == KP_NONE &&
        kp_plan_is_control(&graph->nodes[n]))
      placing.places[n].entry = KP_EXECUTOR;
  *out_placing = placing;
  return NULL;
}

const kp_memory* kp_placing_memory(const kp_placing* placing, kp_node_id node, kp_value_id value) {
  const uint32_t entry = placing->places[node].entry;
  if (entry == KP_NONE || entry == KP_EXECUTOR) return NULL;
  const kp_claims* claims = &placing->claims[entry];
  const kp_claim* claim = &claims->claims[claims->claim_of[node]];
  for (uint32_t i = 0; i < claim->exception_count; ++i)
    if (claim->exceptions[i].value == value) return claim->exceptions[i].memory;
  return claim->memory;
}
