// Claims of nodes that a library runs by kernels, one by one.
#include "base/alloc.h"
#include "base/types.h"
#include "provider/plugin/kernels.h"

// Only dense tensors of fixed width can leave the host.
static bool can_leave(const kp_value* value) {
  return value->type.kind == KAPELL_KIND_TENSOR && kp_type_bits(value->type.element) != 0;
}

typedef struct wishes {
  const kp_plugin_provider* provider;
  const kp_graph* graph;
  uint8_t* by_value;  // bits 1 << kp_kernel_place
} wishes;

static void note(const wishes* w, const OrtKernelDef* def, const kp_node* node) {
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (node->inputs[i] != KP_NONE)
      w->by_value[node->inputs[i]] |= 1u << kp_kernel_place_of(w->provider, def, false, i);
  for (uint32_t i = 0; i < node->output_count; ++i)
    if (node->outputs[i] != KP_NONE)
      w->by_value[node->outputs[i]] |= 1u << kp_kernel_place_of(w->provider, def, true, i);
}

// Values that no kernel wants, or makes, in the library's memory stay on the host; one that both places want is copied inside.
static uint32_t list_exceptions(const wishes* w, kp_claim_io* out) {
  uint32_t count = 0;
  for (kp_value_id v = 0; v < w->graph->value_count; ++v)
    if (w->by_value[v] &&
        (!(w->by_value[v] & 1u << KP_PLACE_LIBRARY) || !can_leave(&w->graph->values[v])))
      out[count++] = (kp_claim_io){.value = v};
  return count;
}

kp_status* kp_kernels_claim(const kp_plugin_provider* provider, const kp_graph* graph,
                            const kp_node_id* nodes, uint32_t count, kp_claims* claims) {
  kp_arena arena = {0};
  wishes w = {provider, graph, kp_arena_new_array(&arena, uint8_t, (size_t)graph->value_count + 1)};
  kp_node_id* taken = kp_arena_new_array(&arena, kp_node_id, (size_t)count + 1);
  kp_claim_io* exceptions = kp_arena_new_array(&arena, kp_claim_io, (size_t)graph->value_count + 1);
  kp_status* status = NULL;
  uint32_t taken_count = 0;
  if (!w.by_value || !taken || !exceptions)
    status = KP_ERROR(OUT_OF_MEMORY, "claims of %u nodes", count);
  for (uint32_t i = 0; !status && i < count; ++i) {
    const kp_node* node = &graph->nodes[nodes[i]];
    const kp_ort_kernel* kernel = kp_claims_is_free(claims, nodes[i]) && !kp_node_body_count(node)
                                      ? kp_ort_registry_find(provider->registry, graph, node, NULL)
                                      : NULL;
    if (!kernel) continue;
    note(&w, kernel->def, node);
    taken[taken_count++] = nodes[i];
  }
  if (!status && taken_count) {
    const kp_claim claim = {
        .nodes = taken,
        .count = taken_count,
        .memory = provider->base.memory,
        .exceptions = exceptions,
        .exception_count = provider->memory ? list_exceptions(&w, exceptions) : 0};
    status = kp_claims_add(claims, &claim);
  }
  kp_arena_free(&arena);
  return status;
}

void kp_kernels_refuse(const kp_plugin_provider* provider, const kp_graph* graph,
                       kp_claims* claims) {
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    if (graph->nodes[id].removed || !kp_claims_is_free(claims, id)) continue;
    if (kp_node_body_count(&graph->nodes[id]))
      kp_claims_refuse(claims, id, KP_SOURCE_INFERRED,
                       "control flow is run around what providers run of its bodies");
    kp_strbuf why = {0};
    if (kp_ort_registry_find(provider->registry, graph, &graph->nodes[id], &why))
      kp_claims_refuse(claims, id, KP_SOURCE_INFERRED,
                       "the library has a kernel for it and leaves it");
    else if (why.data)
      kp_claims_refuse(claims, id, KP_SOURCE_INFERRED, "%s", why.data);
    kp_strbuf_free(&why);
  }
}
