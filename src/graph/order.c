// Topological order and removal of what nothing uses.
#include "base/alloc.h"
#include "graph/graph.h"
#include "graph/infer.h"

// --- order -------------------------------------------------------------------------------------------------------------
static uint32_t slot_count(const kp_node* node) { return node->input_count + node->implicit_count; }

static kp_value_id slot_value(const kp_node* node, uint32_t slot) {
  return slot < node->input_count ? node->inputs[slot] : node->implicit[slot - node->input_count];
}

// The node that makes what input |slot| of |node| reads; KP_NONE for inputs, captures, constants and absent ones.
static kp_node_id slot_producer(const kp_graph* graph, const kp_node* node, uint32_t slot) {
  const kp_value_id value = slot_value(node, slot);
  return value == KP_NONE ? KP_NONE : graph->values[value].producer;
}

// Ids in order already, as in every file that follows the rules: then nothing needs sorting.
static bool ids_are_ordered(const kp_graph* graph) {
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    const kp_node* node = &graph->nodes[id];
    for (uint32_t k = 0; !node->removed && k < slot_count(node); ++k) {
      const kp_node_id producer = slot_producer(graph, node, k);
      if (producer != KP_NONE && producer >= id) return false;
    }
  }
  return true;
}

// A binary heap of node ids, lowest first.
typedef struct kp_ready {
  kp_node_id* ids;
  uint32_t count;
} kp_ready;

static void ready_push(kp_ready* ready, kp_node_id id) {
  uint32_t place = ready->count++;
  for (; place > 0 && ready->ids[(place - 1) / 2] > id; place = (place - 1) / 2)
    ready->ids[place] = ready->ids[(place - 1) / 2];
  ready->ids[place] = id;
}

static kp_node_id ready_pop(kp_ready* ready) {
  const kp_node_id lowest = ready->ids[0], last = ready->ids[--ready->count];
  uint32_t place = 0;
  for (uint32_t child; (child = 2 * place + 1) < ready->count; place = child) {
    if (child + 1 < ready->count && ready->ids[child + 1] < ready->ids[child]) ++child;
    if (ready->ids[child] >= last) break;
    ready->ids[place] = ready->ids[child];
  }
  ready->ids[place] = last;
  return lowest;
}

// Walks from a node that never became ready against the edges until one comes again, and names the cycle.
static kp_status* describe_cycle(const kp_graph* graph, const uint32_t* waiting) {
  kp_node_id id = 0;
  while (graph->nodes[id].removed || waiting[id] == 0) ++id;
  kp_node_id mark = id;
  // Two rounds through as many nodes as there are surely end on the cycle.
  for (uint64_t step = 0; step < graph->node_count; ++step) {
    const kp_node* node = &graph->nodes[mark];
    for (uint32_t k = 0; k < slot_count(node); ++k) {
      const kp_node_id producer = slot_producer(graph, node, k);
      if (producer != KP_NONE && waiting[producer] > 0) {
        mark = producer;
        break;
      }
    }
  }
  kp_strbuf text = {0};
  id = mark;
  for (int shown = 0; shown < 8; ++shown) {
    const kp_node* node = &graph->nodes[id];
    kp_strbuf_printf(&text, "'%s' (%s) <- ", node->name, node->op);
    for (uint32_t k = 0; k < slot_count(node); ++k) {
      const kp_node_id producer = slot_producer(graph, node, k);
      if (producer == KP_NONE || waiting[producer] == 0) continue;
      id = producer;
      break;
    }
    if (id == mark) break;
  }
  const kp_node* node = &graph->nodes[mark];
  kp_status* status = KP_ERROR(INVALID_MODEL, "nodes depend on one another in a circle: %s%s",
                               text.data ? text.data : "", id == mark ? node->name : "...");
  kp_strbuf_free(&text);
  return kp_status_at(status, node->name, node->op, NULL);
}

// |waiting|: node_count counters; |ready|: room for node_count ids.
static kp_status* sort_nodes(kp_graph* graph, uint32_t* waiting, kp_ready* ready) {
  uint32_t alive = 0;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    const kp_node* node = &graph->nodes[id];
    if (node->removed) continue;
    ++alive;
    for (uint32_t k = 0; k < slot_count(node); ++k)
      waiting[id] += slot_producer(graph, node, k) != KP_NONE;
    if (waiting[id] == 0) ready_push(ready, id);
  }
  while (ready->count > 0) {
    const kp_node_id id = ready_pop(ready);
    graph->order[graph->order_count++] = id;
    for (uint32_t i = 0; i < graph->nodes[id].output_count; ++i) {
      const kp_value* value = kp_node_output(graph, &graph->nodes[id], i);
      for (uint32_t u = 0; value && u < value->use_count; ++u)
        if (--waiting[value->uses[u]] == 0) ready_push(ready, value->uses[u]);
    }
  }
  return graph->order_count == alive ? NULL : describe_cycle(graph, waiting);
}

kp_status* kp_graph_order(kp_graph* graph) {
  if (graph->order_valid) return NULL;
  graph->order_count = 0;
  if (graph->order_capacity < graph->node_count) {
    kp_node_id* grown = kp_realloc_array(graph->order, graph->node_capacity, sizeof *grown);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "the order of %u nodes", graph->node_count);
    graph->order = grown;
    graph->order_capacity = graph->node_capacity;
  }
  kp_status* status = NULL;
  if (ids_are_ordered(graph)) {
    for (kp_node_id id = 0; id < graph->node_count; ++id)
      if (!graph->nodes[id].removed) graph->order[graph->order_count++] = id;
  } else {
    uint32_t* waiting = kp_alloc_zero(2 * (size_t)graph->node_count, sizeof *waiting);
    if (!waiting) return KP_ERROR(OUT_OF_MEMORY, "the order of %u nodes", graph->node_count);
    status = sort_nodes(graph, waiting, &(kp_ready){waiting + graph->node_count, 0});
    kp_free(waiting);
  }
  graph->order_valid = status == NULL;
  return status;
}

// --- pruning -----------------------------------------------------------------------------------------------------------
static bool node_is_dead(const kp_graph* graph, const kp_node* node) {
  for (uint32_t i = 0; i < node->output_count; ++i) {
    const kp_value* value = kp_node_output(graph, node, i);
    if (value && (value->use_count > 0 || value->output_refs > 0)) return false;
  }
  return true;
}

// Removes dead nodes. |work| has room for node_count ids; |queued| marks those that are or were in it.
static void remove_dead(kp_graph* graph, kp_node_id* work, bool* queued) {
  uint32_t count = 0;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    queued[id] = !graph->nodes[id].removed && node_is_dead(graph, &graph->nodes[id]);
    if (queued[id]) work[count++] = id;
  }
  while (count > 0) {
    const kp_node_id id = work[--count];
    const kp_node* node = &graph->nodes[id];
    kp_graph_remove_node(graph, id);
    for (uint32_t k = 0; k < slot_count(node); ++k) {
      const kp_node_id producer = slot_producer(graph, node, k);
      if (producer == KP_NONE || queued[producer] || !node_is_dead(graph, &graph->nodes[producer]))
        continue;
      queued[producer] = true;
      work[count++] = producer;
    }
  }
}

static bool is_unused_constant(const kp_value* value) {
  return value->constant && !value->is_input && value->use_count == 0 && value->output_refs == 0;
}

bool kp_graph_release_unused(kp_graph* graph, kp_value_id id) {
  kp_value* value = &graph->values[id];
  if (!is_unused_constant(value)) return false;
  if (value->constant->byte_count <= KP_INFER_MAX_DATA * sizeof(kp_expr)) return false;
  kp_value_release(value->constant);
  value->constant = NULL;
  return true;
}

// What inference knows of values (kp_value.data) may lie in a constant that it was found in, so small ones stay until the model goes.
static kp_status* drop_unused_constants(kp_graph* graph) {
  for (kp_value_id id = 0; id < graph->value_count; ++id) {
    kp_value* value = &graph->values[id];
    if (kp_graph_release_unused(graph, id) || !is_unused_constant(value)) continue;
    kapell_value* constant = value->constant;
    value->constant = NULL;
    KP_PASS(kp_model_add_constant(graph->model, constant));
  }
  return NULL;
}

kp_status* kp_graph_prune(kp_graph* graph) {
  kp_node_id* work = kp_alloc_array(graph->node_count, sizeof *work + sizeof(bool));
  if (!work) return KP_ERROR(OUT_OF_MEMORY, "pruning %u nodes", graph->node_count);
  bool* queued = (bool*)(work + graph->node_count);
  remove_dead(graph, work, queued);
  bool dropped = false;
  kp_status* status = NULL;
  for (kp_node_id id = 0; id < graph->node_count && !status; ++id) {
    const kp_node* node = &graph->nodes[id];
    const uint32_t body_count = node->removed ? 0 : kp_node_body_count(node);
    for (uint32_t b = 0; b < body_count && !status; ++b)
      status = kp_graph_prune(kp_node_body(node, b));
    if (body_count > 0 && !status) dropped |= kp_graph_drop_unused_captures(graph, id);
  }
  if (dropped) remove_dead(graph, work, queued);
  kp_free(work);
  return status ? status : drop_unused_constants(graph);
}
