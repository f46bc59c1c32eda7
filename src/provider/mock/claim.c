// What a mock provider claims: operators by the list in its options, on dense tensors of fixed width, as one splittable group or as
// atomic groups. Neighbours: type.c reads the options; plan/ asks.
#include <stdio.h>
#include <strings.h>

#include "base/types.h"
#include "graph/infer.h"
#include "provider/mock/mock_internal.h"

#define MAX_BODY_DEPTH 32

// --- the list of operators --------------------------------------------------------------------------------------------------
static bool matches(kp_str word, const char* text) {
  return word.length == strlen(text) && strncasecmp(word.data, text, word.length) == 0;
}

static bool in_list(const char* list, const kp_node* node, kp_node_id id) {
  bool taken = false;
  for (const char* at = list; *at;) {
    at += strspn(at, ",+;| ");
    kp_str word = {at, strcspn(at, ",+;| ")};
    at += word.length;
    if (matches(word, "all"))
      taken = true;
    else if (matches(word, "none"))
      taken = false;
    else if (matches(word, "half"))
      taken = (kp_hash_bytes(node->op, strlen(node->op), 0) >> 7 & 1) != 0;
    else if (matches(word, "alternate"))
      taken = id % 2 == 0;
    else if (matches(word, node->op))
      taken = true;
    else if (word.length && word.data[0] == '-' &&
             matches((kp_str){word.data + 1, word.length - 1}, node->op))
      taken = false;
  }
  return taken;
}

// --- one node -----------------------------------------------------------------------------------------------------------------
static bool good_type(const kp_mock_provider* provider, const kp_graph* graph, const char* what,
                      kp_value_id id, char* why, size_t size) {
  if (id == KP_NONE) return true;
  const kp_value* value = &graph->values[id];
  if (value->type.kind == KAPELL_KIND_NONE ||
      (value->type.kind == KAPELL_KIND_TENSOR && value->type.element == KAPELL_UNDEFINED)) {
    snprintf(why, size, "the type of %s '%s' is not known before a run", what, value->name);
    return false;
  }
  if (value->type.kind == KAPELL_KIND_TENSOR && kp_type_bits(value->type.element) != 0) return true;
  kp_strbuf type = {0};
  kp_type_describe(graph->model, &value->type, &type);
  snprintf(why, size, "%s '%s' is a %s; %s's memory holds dense tensors of fixed width alone", what,
           value->name, type.data ? type.data : "value of another kind", provider->name);
  kp_strbuf_free(&type);
  return false;
}

static bool good_types(const kp_mock_provider* provider, const kp_graph* graph, const kp_node* node,
                       char* why, size_t size) {
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (!good_type(provider, graph, "input", node->inputs[i], why, size)) return false;
  for (uint32_t i = 0; i < node->implicit_count; ++i)
    if (!good_type(provider, graph, "captured value", node->implicit[i], why, size)) return false;
  for (uint32_t i = 0; i < node->output_count; ++i)
    if (!good_type(provider, graph, "output", node->outputs[i], why, size)) return false;
  return true;
}

static bool takes(const kp_mock_provider* provider, const kp_graph* graph, kp_node_id id, int depth,
                  char* why, size_t size);

static bool takes_bodies(const kp_mock_provider* provider, const kp_node* node, int depth,
                         char* why, size_t size) {
  for (uint32_t a = 0; a < node->attr_count; ++a) {
    if (node->attrs[a].type != KP_ONNX_ATTR_GRAPH) continue;
    const kp_graph* body = node->attrs[a].graph;
    for (kp_node_id id = 0; id < body->node_count; ++id) {
      char inner[256];
      if (body->nodes[id].removed || takes(provider, body, id, depth + 1, inner, sizeof inner))
        continue;
      snprintf(why, size, "its body %s has %s '%s': %s", node->attrs[a].name, body->nodes[id].op,
               body->nodes[id].name, inner);
      return false;
    }
  }
  return true;
}

static bool takes(const kp_mock_provider* provider, const kp_graph* graph, kp_node_id id, int depth,
                  char* why, size_t size) {
  const kp_node* node = &graph->nodes[id];
  const bool has_body =
      node->implicit_count || kp_mock_is_control(node) || kp_node_is(node, "", "Scan");
  if (has_body && !(provider->base.flags & KP_PROVIDER_CONTROL))
    return snprintf(why, size, "it has no control flow (control=0)"), false;
  if (has_body && !kp_mock_is_control(node))
    return snprintf(why, size, "of control flow it has If and Loop alone"), false;
  if (depth > MAX_BODY_DEPTH)
    return snprintf(why, size, "bodies are nested more than %d deep", MAX_BODY_DEPTH), false;
  if (!in_list(provider->settings.ops, node, id))
    return snprintf(why, size, "%s is not in its list of operators (ops=%.100s)", node->op,
                    provider->settings.ops),
           false;
  if (!node->schema && !kp_mock_is_control(node))
    return snprintf(why, size, "%s%s%s is no operator that it knows", node->domain,
                    node->domain[0] ? "." : "", node->op),
           false;
  const kp_infer_rule* rule = kp_infer_find(node);
  if ((provider->base.flags & KP_PROVIDER_STATIC) && rule && (rule->flags & KP_INFER_DYNAMIC))
    return snprintf(why, size,
                    "the shape of its output depends on data, and every shape must be known before "
                    "a run (static=1)"),
           false;
  if (!good_types(provider, graph, node, why, size)) return false;
  return takes_bodies(provider, node, depth, why, size);
}

// --- groups -------------------------------------------------------------------------------------------------------------------
static kp_status* claim(kp_mock_provider* provider, kp_claims* claims, const kp_node_id* nodes,
                        uint32_t count, bool atomic) {
  const kp_claim made = {
      .nodes = nodes, .count = count, .atomic = atomic, .memory = provider->base.memory};
  return kp_claims_add(claims, &made);
}

static uint32_t root(uint32_t* parents, uint32_t node) {
  while (parents[node] != node) node = parents[node] = parents[parents[node]];
  return node;
}

// Two nodes that touch are of one group when they have the same stage: how often the longest path to them changes sides between
// mine and others'. So no path leaves a group and comes back, and groups can be ordered.
static void join_groups(const kp_graph* graph, const bool* mine, uint32_t* stages,
                        uint32_t* parents) {
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id id = graph->order[i];
    const kp_node* node = &graph->nodes[id];
    const uint32_t total = node->input_count + node->implicit_count;
    for (int pass = 0; pass < 2; ++pass) {
      for (uint32_t k = 0; k < total; ++k) {
        const kp_value_id value =
            k < node->input_count ? node->inputs[k] : node->implicit[k - node->input_count];
        const kp_node_id from = value == KP_NONE ? KP_NONE : graph->values[value].producer;
        if (from == KP_NONE) continue;
        const uint32_t stage = stages[from] + (mine[from] != mine[id]);
        if (pass == 0 && stage > stages[id]) stages[id] = stage;
        if (pass == 1 && mine[id] && mine[from] && stages[from] == stages[id])
          parents[root(parents, id)] = root(parents, from);
      }
    }
  }
}

// Sorts the nodes that are mine by group (a counting sort over roots) and claims each group.
static kp_status* claim_groups(kp_mock_provider* provider, const kp_graph* graph, const bool* mine,
                               kp_arena* arena, kp_claims* claims) {
  const uint32_t count = graph->node_count;
  uint32_t* stages = kp_arena_new_array(arena, uint32_t, count);
  uint32_t* parents = kp_arena_new_array(arena, uint32_t, count);
  uint32_t* starts = kp_arena_new_array(arena, uint32_t, (size_t)count + 1);
  kp_node_id* sorted = kp_arena_new_array(arena, kp_node_id, count);
  if (!stages || !parents || !starts || !sorted)
    return KP_ERROR(OUT_OF_MEMORY, "groups of %u nodes", count);
  for (uint32_t i = 0; i < count; ++i) parents[i] = i;
  if (graph->order_valid) join_groups(graph, mine, stages, parents);
  for (uint32_t i = 0; i < count; ++i)
    if (mine[i]) ++starts[root(parents, i) + 1];
  for (uint32_t i = 0; i < count; ++i) starts[i + 1] += starts[i];
  for (uint32_t i = 0; i < count; ++i)
    if (mine[i])
      sorted[starts[root(parents, i)]++] = i;  // afterwards starts[r] is the end of group r
  for (uint32_t r = 0, begin = 0; r < count; begin = starts[r], ++r)
    if (starts[r] > begin)
      KP_PASS(claim(provider, claims, sorted + begin, starts[r] - begin, true));
  return NULL;
}

static kp_status* claim_all(kp_mock_provider* provider, const kp_graph* graph, kp_arena* arena,
                            kp_claims* claims) {
  bool* mine = kp_arena_new_array(arena, bool, graph->node_count);
  kp_node_id* nodes = kp_arena_new_array(arena, kp_node_id, graph->node_count);
  if (!mine || !nodes) return KP_ERROR(OUT_OF_MEMORY, "claims of %s", provider->name);
  uint32_t count = 0;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    if (!kp_claims_is_free(claims, id)) continue;
    char why[512];
    if (provider->settings.failure == KP_MOCK_FAIL_UNUSED) {
      kp_claims_refuse(claims, id, KP_SOURCE_PROVIDER,
                       "its engine has no kernels for the device's generation 3");
    } else if (takes(provider, graph, id, 0, why, sizeof why)) {
      mine[id] = true;
      nodes[count++] = id;
    } else {
      kp_claims_refuse(claims, id, KP_SOURCE_PROVIDER, "%s", why);
    }
  }
  if (provider->settings.atomic) return claim_groups(provider, graph, mine, arena, claims);
  return count ? claim(provider, claims, nodes, count, false) : NULL;
}

kp_status* kp_mock_capability(kp_provider* base, const kp_graph* graph, kp_claims* claims) {
  kp_mock_provider* provider = (kp_mock_provider*)base;
  if (kp_mock_fails(provider, KP_MOCK_FAIL_CAPABILITY))
    return KP_ERROR(PROVIDER_FAILED, "%s: mockQueryOps failed: the device was lost (code 35)",
                    provider->name);
  kp_arena arena = {0};
  kp_status* status = claim_all(provider, graph, &arena, claims);
  kp_arena_free(&arena);
  return status;
}
