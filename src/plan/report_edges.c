// The edges between the nodes of the user's file, for pictures of it.
#include "base/alloc.h"
#include "base/size.h"
#include "plan/report.h"

typedef struct edges {
  kapell_placed_edge* list;  // NULL while they are counted
  char* text;                // names, behind the list
  size_t count, text_bytes;
} edges;

// The node of the file behind node |id|, or KP_NONE. Before rewrites each node stands for one.
static uint32_t origin_of(const kp_graph* graph, kp_node_id id) {
  const kp_node* node = &graph->nodes[id];
  return node->origin_count ? node->origins[0] : KP_NONE;
}

// The node that makes |value| of |graph|, in an outer graph where it is captured; SIZE_MAX for inputs of the model. Inputs of a body
// come from the node that the body belongs to. False: a constant.
static bool source_of(const kp_graph* graph, kp_value_id id, size_t* out_source) {
  for (; id != KP_NONE; graph = graph->parent) {
    const kp_value* value = &graph->values[id];
    kp_node_id node = value->producer;
    const kp_node* owner = graph->parent ? &graph->parent->nodes[graph->parent_node] : NULL;
    if (node == KP_NONE && (value->constant || (!owner && !value->is_input))) return false;
    if (node == KP_NONE && !owner) return *out_source = SIZE_MAX, true;
    if (node != KP_NONE || !value->is_capture) {
      const uint32_t origin =
          node != KP_NONE ? origin_of(graph, node) : origin_of(graph->parent, graph->parent_node);
      *out_source = origin;
      return origin != KP_NONE;
    }
    uint32_t at = 0;
    while (at < graph->capture_count && graph->captures[at] != id) ++at;
    id = at < owner->implicit_count ? owner->implicit[at] : KP_NONE;
  }
  return false;
}

static void add_edge(edges* e, const kp_graph* graph, size_t to, kp_value_id id) {
  size_t from;
  if (id == KP_NONE || to == KP_NONE || !source_of(graph, id, &from) || from == to) return;
  const char* name = graph->values[id].name;
  const size_t bytes = strlen(name) + 1;
  if (e->list) {
    memcpy(e->text + e->text_bytes, name, bytes);
    e->list[e->count] = (kapell_placed_edge){from, to, e->text + e->text_bytes};
  }
  ++e->count;
  e->text_bytes += bytes;
}

static void walk(edges* e, const kp_graph* graph) {
  for (uint32_t n = 0; n < graph->node_count; ++n) {
    const kp_node* node = &graph->nodes[n];
    if (node->removed) continue;
    const uint32_t to = origin_of(graph, n);
    for (uint32_t i = 0; i < node->input_count; ++i) add_edge(e, graph, to, node->inputs[i]);
    for (uint32_t b = 0; b < kp_node_body_count(node); ++b) walk(e, kp_node_body(node, b));
  }
  for (uint32_t i = 0; !graph->parent && i < graph->output_count; ++i)
    add_edge(e, graph, SIZE_MAX, graph->outputs[i]);
}

kp_status* kp_report_edges(const kp_model* pristine, kapell_placed_edge** out_edges,
                           size_t* out_count) {
  edges e = {0};
  size_t bytes;
  *out_edges = NULL;
  *out_count = 0;
  walk(&e, pristine->graph);
  if (!kp_mul_size(e.count, sizeof(*e.list), &bytes) ||
      !kp_add_size(bytes, e.text_bytes + 1, &bytes))
    return KP_ERROR(LIMIT, "%zu edges", e.count);
  e.list = kp_alloc(bytes);
  if (!e.list) return KP_ERROR(OUT_OF_MEMORY, "%zu edges", e.count);
  e.text = (char*)(e.list + e.count);
  e.count = e.text_bytes = 0;
  walk(&e, pristine->graph);
  *out_edges = e.list;
  *out_count = e.count;
  return NULL;
}
