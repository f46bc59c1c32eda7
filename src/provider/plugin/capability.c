// What a library would run: its groups become claims, what it logged of the others their refusals.
//
// A group is taken whole or not at all, since the library compiles it as it stands. Not taken are groups with nodes that are not to be
// had, and those that a path leaves and comes back to, which nothing could run in one go.
#include "base/alloc.h"
#include "base/log.h"
#include "graph/rewrite.h"
#include "ort/support.h"
#include "provider/claims.h"
#include "provider/plugin/kernels.h"

// --- groups that are not to be -----------------------------------------------------------------------------------------------
typedef struct checks {
  const kp_graph* graph;
  uint32_t* place;    // by node: in the order
  uint32_t* member;   // by node: number of the group that it is in, from 1
  uint32_t* tainted;  // by node: number of the group of which a path leads out and here
} checks;

static kp_status* checks_init(checks* c, const kp_graph* graph, kp_arena* arena) {
  const size_t count = (size_t)graph->node_count + 1;
  *c = (checks){.graph = graph,
                .place = kp_arena_new_array(arena, uint32_t, count),
                .member = kp_arena_new_array(arena, uint32_t, count),
                .tainted = kp_arena_new_array(arena, uint32_t, count)};
  if (!c->place || !c->member || !c->tainted)
    return KP_ERROR(OUT_OF_MEMORY, "groups of %u nodes", graph->node_count);
  for (uint32_t i = 0; i < graph->order_count; ++i) c->place[graph->order[i]] = i;
  return NULL;
}

// Does an input of |node| come from outside of |group| on a path that began in it?
static bool reads_tainted(const checks* c, const kp_node* node, uint32_t group, bool is_member) {
  for (uint32_t i = 0; i < node->input_count + node->implicit_count; ++i) {
    const kp_value_id value =
        i < node->input_count ? node->inputs[i] : node->implicit[i - node->input_count];
    const kp_node_id from = value == KP_NONE ? KP_NONE : c->graph->values[value].producer;
    if (from == KP_NONE) continue;
    if (c->tainted[from] == group) return true;
    if (!is_member && c->member[from] == group) return true;
  }
  return false;
}

// The first node of group |number| that a path out of the group leads back to, or KP_NONE. Only the stretch of the order that the group
// spans is looked at.
static kp_node_id find_way_back(const checks* c, const kp_node_id* nodes, uint32_t count,
                                uint32_t number) {
  uint32_t first = UINT32_MAX, last = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t place = c->place[nodes[i]];
    if (place < first) first = place;
    if (place > last) last = place;
  }
  for (uint32_t at = first; count > 1 && at <= last; ++at) {
    const kp_node_id id = c->graph->order[at];
    const bool is_member = c->member[id] == number;
    if (!reads_tainted(c, &c->graph->nodes[id], number, is_member)) continue;
    if (is_member) return id;
    c->tainted[id] = number;
  }
  return KP_NONE;
}

// --- groups -------------------------------------------------------------------------------------------------------------------
typedef struct answer {
  kp_plugin_provider* provider;
  kp_claims* claims;
  kp_ort_view* view;
  OrtEpGraphSupportInfo support;
  checks checks;
  kp_arena arena;
} answer;

// Why group |number| cannot be taken, in |words|; false: it can.
static bool has_objection(answer* a, const kp_ort_group* group, uint32_t number, kp_strbuf* words) {
  const kp_graph* graph = a->checks.graph;
  const uint32_t count = (uint32_t)group->count;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node_id id = group->nodes[i];
    if (!kp_claims_is_free(a->claims, id)) {
      kp_strbuf_printf(
          words, "its group of %u nodes has '%s', which %s", count, graph->nodes[id].name,
          a->checks.member[id] ? "is in another of its groups" : "was not offered to it");
      return true;
    }
    a->checks.member[id] = number;
  }
  const kp_node_id back = find_way_back(&a->checks, group->nodes, count, number);
  if (back == KP_NONE) return false;
  kp_strbuf_printf(words,
                   "its group of %u nodes cannot run in one go: '%s' needs what nodes outside "
                   "make of the group's own values",
                   count, graph->nodes[back].name);
  return true;
}

static kp_status* note_fused(const answer* a, const kp_ort_group* group) {
  const kp_graph* graph = a->checks.graph;
  for (size_t i = 0; i < group->count; ++i) {
    const kp_node* node = &graph->nodes[group->nodes[i]];
    for (uint32_t o = 0; o < node->output_count; ++o)
      if (node->outputs[o] != KP_NONE)
        KP_PASS(kp_ptr_map_put(&a->provider->fused, graph->values[node->outputs[o]].name,
                               group->drop_constants));
  }
  return NULL;
}

static kp_status* claim_group(const answer* a, const kp_ort_group* group) {
  const kp_claim claim = {.nodes = group->nodes,
                          .count = (uint32_t)group->count,
                          .atomic = true,
                          .memory = a->provider->base.memory};
  KP_PASS(kp_claims_add(a->claims, &claim));
  return group->drop_constants || a->provider->registry ? note_fused(a, group) : NULL;
}

// A library that compiles in channels-last order gets no other: what it does not take in that order it does not run.
static kp_status* look_again(const answer* a, const kp_ort_group* group, kp_strbuf* words) {
  kp_graph* copy;
  kp_value_id *inputs, *outputs;
  bool takes;
  if (a->provider->layout != OrtEpDataLayout_NHWC || !group->fuse) return NULL;
  KP_PASS(kp_graph_extract(a->checks.graph, group->nodes, (uint32_t)group->count, &copy, &inputs,
                           &outputs));
  kp_status* status = kp_fused_to_nhwc(a->provider, copy, false, &takes);
  kp_graph_free(copy);
  if (!status && !takes)
    kp_strbuf_printf(words, "it does not take its group of %zu nodes whole in channels-last order",
                     group->count);
  return status;
}

static kp_status* take_group(answer* a, const kp_ort_group* group, uint32_t number) {
  kp_strbuf words = {0};
  kp_status* status = NULL;
  if (!has_objection(a, group, number, &words)) status = look_again(a, group, &words);
  if (words.length) {
    const char* text = words.data ? words.data : "a group is left out";
    KP_LOG(WARNING, "%s: %s", a->provider->type->type.short_name, text);
    for (size_t i = 0; i < group->count; ++i)
      kp_claims_refuse(a->claims, group->nodes[i], KP_SOURCE_INFERRED, "%s", text);
  } else if (!status) {
    status = claim_group(a, group);
  }
  kp_strbuf_free(&words);
  return status;
}

// Nodes that were added one by one are run by kernels, in partitions of any size.
static kp_status* take_single_nodes(answer* a) {
  kp_node_id* nodes = kp_arena_new_array(&a->arena, kp_node_id, a->support.count + 1);
  uint32_t count = 0;
  if (!nodes) return KP_ERROR(OUT_OF_MEMORY, "claims of %zu nodes", a->support.count);
  for (size_t g = 0; g < a->support.count; ++g)
    if (!a->support.groups[g].fuse) nodes[count++] = a->support.groups[g].nodes[0];
  KP_PASS(kp_kernels_claim(a->provider, a->checks.graph, nodes, count, a->claims));
  kp_kernels_refuse(a->provider, a->checks.graph, a->claims);
  return NULL;
}

// --- the question -------------------------------------------------------------------------------------------------------------
static OrtStatus* call_capability(void* arg) {
  answer* a = arg;
  OrtEp* ep = a->provider->ep;
  return ep->GetCapability(ep, kp_ort_view_graph(a->view), &a->support);
}

// A library that fails here gets no nodes, which is no failure of the session's.
static kp_status* settle_failure(const answer* a, OrtStatus* status) {
  const char* name = a->provider->type->type.short_name;
  const kp_graph* graph = a->checks.graph;
  if (kp_ort_is_no_memory(status)) return kp_plugin_failure(a->provider->type, "asking", status);
  KP_LOG(WARNING, "%s runs nothing: asked what it can run it says: %s", name, status->message);
  for (kp_node_id n = 0; n < graph->node_count; ++n)
    kp_claims_refuse(a->claims, n, KP_SOURCE_PROVIDER, "asked what it can run it says: %s",
                     status->message);
  ort_ReleaseStatus(status);
  return NULL;
}

static kp_status* ask(answer* a) {
  kp_plugin_heard heard;
  kp_plugin_listen_begin(a->provider, &heard);
  OrtStatus* failure = kp_ort_guard(call_capability, a);
  kp_status* status = failure ? settle_failure(a, failure) : NULL;
  for (size_t g = 0; !status && !failure && g < a->support.count; ++g)
    if (a->support.groups[g].fuse || !a->provider->registry)
      status = take_group(a, &a->support.groups[g], (uint32_t)g + 1);
  if (!status && !failure && a->provider->registry) status = take_single_nodes(a);
  kp_plugin_listen_end(a->provider);
  return kp_status_join(status, kp_plugin_refuse_heard(&heard, a->checks.graph, a->claims));
}

static const char* owner_of(const kp_claims* claims, kp_node_id node) {
  if (kp_claims_is_free(claims, node)) return NULL;
  const char* owner = claims->owner ? claims->owner(claims->user, node) : NULL;
  return owner ? owner : "CPUExecutionProvider";  // nobody yet: the floor alone may have it
}

// Nodes that are not to be had are shown as another provider's.
static kp_status* show(answer* a, const kp_graph* graph) {
  const char** owners = kp_arena_new_array(&a->arena, const char*, (size_t)graph->node_count + 1);
  if (!owners) return KP_ERROR(OUT_OF_MEMORY, "a view of %u nodes", graph->node_count);
  for (kp_node_id n = 0; n < graph->node_count; ++n) owners[n] = owner_of(a->claims, n);
  const kp_ort_view_args args = {
      .graph = graph, .model_path = kp_plugin_model_path(graph), .owners = owners};
  KP_PASS(kp_plugin_failure(a->provider->type, "showing it the graph",
                            kp_ort_view_create(&args, &a->view)));
  a->support.view = a->view;
  a->support.registry = a->provider->registry;
  return checks_init(&a->checks, graph, &a->arena);
}

kp_status* kp_plugin_capability(kp_provider* base, const kp_graph* graph, kp_claims* claims) {
  answer a = {.provider = (kp_plugin_provider*)base, .claims = claims};
  kp_status* status = show(&a, graph);
  if (!status) status = ask(&a);
  kp_ort_support_clear(&a.support);
  kp_ort_view_free(a.view);
  kp_arena_free(&a.arena);
  return status;
}
