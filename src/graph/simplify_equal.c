// Merges nodes that compute the same from the same. Walks in order, so that readers of merged nodes become equal in turn.
//
// A hash table of nodes by operator, attributes and inputs; inputs that are small constants count by contents, as exporters write the
// same shape or scalar many times over.
#include "base/alloc.h"
#include "graph/rewrite.h"
#include "graph/simplify.h"

#define SMALL_BYTES 256u  // constants up to this size are compared by contents

typedef struct kp_seen {
  kp_graph* graph;
  uint32_t* nodes;   // open addressing: node id + 1
  uint32_t* values;  // likewise: value id + 1 of small constants
  // of each value that was there at the start: itself, or the equal constant met first
  kp_value_id* representative;
  uint32_t value_count;
  size_t mask;  // of both tables
} kp_seen;

// --- constants ---------------------------------------------------------------------------------------------------------
static bool is_small_constant(const kapell_value* c) {
  return c && c->kind == KAPELL_KIND_TENSOR && c->type != KAPELL_STRING && !c->memory &&
         c->byte_count <= SMALL_BYTES;
}

static uint64_t hash_constant(const kapell_value* c) {
  uint64_t hash = kp_hash_bytes(c->dims, (size_t)c->rank * sizeof *c->dims, (uint64_t)c->type);
  return kp_hash_bytes(c->data, c->byte_count, hash);
}

static void find_representatives(kp_seen* seen) {
  const kp_graph* graph = seen->graph;
  for (kp_value_id id = 0; id < seen->value_count; ++id) {
    const kapell_value* constant = graph->values[id].constant;
    seen->representative[id] = id;
    if (!is_small_constant(constant)) continue;
    size_t slot = (size_t)hash_constant(constant) & seen->mask;
    for (; seen->values[slot] != 0; slot = (slot + 1) & seen->mask) {
      const kp_value_id other = seen->values[slot] - 1;
      if (!kp_value_equal(graph->values[other].constant, constant)) continue;
      seen->representative[id] = other;
      break;
    }
    if (seen->values[slot] == 0) seen->values[slot] = id + 1;
  }
}

static kp_value_id input_key(const kp_seen* seen, const kp_node* node, uint32_t index) {
  const kp_value_id id = node->inputs[index];
  return id != KP_NONE && id < seen->value_count ? seen->representative[id] : id;
}

// --- nodes -------------------------------------------------------------------------------------------------------------
// Random operators make something else each time; of operators outside the tables nothing is known.
static bool may_merge(const kp_graph* graph, const kp_node* node) {
  static const char* const random[] = {
      "RandomNormal", "RandomNormalLike", "RandomUniform",  "RandomUniformLike", "Multinomial",
      "Bernoulli",    "Dropout",          "BitmaskDropout", "BiasDropout",       "EPContext"};
  if (node->removed || !node->schema || node->implicit_count > 0 || kp_node_body_count(node) > 0)
    return false;
  for (size_t i = 0; i < sizeof random / sizeof random[0]; ++i)
    if (strcmp(node->op, random[i]) == 0) return false;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    const kp_value* output = kp_node_output(graph, node, i);
    if (output && output->output_refs > 0) return false;  // the graph's outputs keep their names
  }
  return true;
}

static uint64_t hash_attr(const kp_attr* attr, uint64_t seed) {
  const uint64_t hash = kp_hash_bytes(attr->name, strlen(attr->name), seed);
  switch (attr->type) {
    case KP_ONNX_ATTR_FLOAT:
      return kp_hash_bytes(&attr->f, sizeof attr->f, hash);
    case KP_ONNX_ATTR_INT:
      return kp_hash_bytes(&attr->i, sizeof attr->i, hash);
    case KP_ONNX_ATTR_STRING:
      return kp_hash_bytes(attr->s.data, attr->s.length, hash);
    case KP_ONNX_ATTR_INTS:
      return kp_hash_bytes(attr->ints, attr->count * sizeof *attr->ints, hash);
    case KP_ONNX_ATTR_FLOATS:
      return kp_hash_bytes(attr->floats, attr->count * sizeof *attr->floats, hash);
    default:
      return hash;
  }
}

static bool strings_equal(const kp_attr* a, const kp_attr* b) {
  for (size_t i = 0; i < a->count; ++i)
    if (!kp_str_equal(a->strings[i], b->strings[i])) return false;
  return true;
}

static bool attr_equal(const kp_attr* a, const kp_attr* b) {
  if (a->name != b->name || a->type != b->type || a->count != b->count) return false;
  switch (a->type) {
    case KP_ONNX_ATTR_FLOAT:
      return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case KP_ONNX_ATTR_INT:
      return a->i == b->i;
    case KP_ONNX_ATTR_STRING:
      return kp_str_equal(a->s, b->s);
    case KP_ONNX_ATTR_INTS:
      return a->count == 0 || memcmp(a->ints, b->ints, a->count * sizeof *a->ints) == 0;
    case KP_ONNX_ATTR_FLOATS:
      return a->count == 0 || memcmp(a->floats, b->floats, a->count * sizeof *a->floats) == 0;
    case KP_ONNX_ATTR_STRINGS:
      return strings_equal(a, b);
    case KP_ONNX_ATTR_TENSOR:
      return a->tensor == b->tensor ||
             (is_small_constant(a->tensor) && kp_value_equal(a->tensor, b->tensor));
    default:
      return false;  // lists of tensors, types: too rare to look into
  }
}

static uint64_t hash_node(const kp_seen* seen, const kp_node* node) {
  const uintptr_t names[2] = {(uintptr_t)node->op, (uintptr_t)node->domain};
  uint64_t hash = kp_hash_bytes(names, sizeof names, (uint64_t)node->version);
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value_id key = input_key(seen, node, i);
    hash = kp_hash_bytes(&key, sizeof key, hash);
  }
  for (uint32_t i = 0; i < node->attr_count; ++i) hash = hash_attr(&node->attrs[i], hash);
  return hash;
}

static bool node_equal(const kp_seen* seen, const kp_node* a, const kp_node* b) {
  if (a->op != b->op || a->domain != b->domain || a->version != b->version ||
      a->input_count != b->input_count || a->output_count != b->output_count ||
      a->attr_count != b->attr_count) {
    return false;
  }
  for (uint32_t i = 0; i < a->input_count; ++i)
    if (input_key(seen, a, i) != input_key(seen, b, i)) return false;
  for (uint32_t i = 0; i < a->output_count; ++i)
    if ((a->outputs[i] == KP_NONE) != (b->outputs[i] == KP_NONE)) return false;
  for (uint32_t i = 0; i < a->attr_count; ++i)
    if (!attr_equal(&a->attrs[i], &b->attrs[i])) return false;
  return true;
}

// |id| computes what |kept| does: its readers read that, and |kept| stands for both.
static kp_status* merge(kp_graph* graph, kp_node_id kept, kp_node_id id) {
  for (uint32_t i = 0; i < graph->nodes[id].output_count; ++i) {
    if (graph->nodes[id].outputs[i] == KP_NONE) continue;
    KP_PASS(
        kp_graph_replace_uses(graph, graph->nodes[id].outputs[i], graph->nodes[kept].outputs[i]));
  }
  KP_PASS(kp_graph_add_origins(graph, kept, id));
  kp_graph_remove_node(graph, id);
  return NULL;
}

static kp_status* merge_nodes(kp_seen* seen, uint32_t* changes) {
  kp_graph* graph = seen->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id id = graph->order[i];
    if (!may_merge(graph, &graph->nodes[id])) continue;
    size_t slot = (size_t)hash_node(seen, &graph->nodes[id]) & seen->mask;
    while (seen->nodes[slot] != 0 &&
           !node_equal(seen, &graph->nodes[seen->nodes[slot] - 1], &graph->nodes[id])) {
      slot = (slot + 1) & seen->mask;
    }
    if (seen->nodes[slot] == 0) {
      seen->nodes[slot] = id + 1;
    } else {
      KP_PASS(merge(graph, seen->nodes[slot] - 1, id));
      ++*changes;
    }
  }
  return NULL;
}

kp_status* kp_simplify_equal(kp_graph* graph, uint32_t* changes) {
  kp_seen seen = {.graph = graph, .value_count = graph->value_count};
  const size_t most =
      graph->value_count > graph->node_count ? graph->value_count : graph->node_count;
  size_t capacity = 16;
  while (capacity < 2 * most) capacity *= 2;
  seen.mask = capacity - 1;
  seen.nodes = kp_alloc_zero(2 * capacity + graph->value_count, sizeof *seen.nodes);
  if (!seen.nodes) return KP_ERROR(OUT_OF_MEMORY, "a table of %zu nodes", most);
  seen.values = seen.nodes + capacity;
  seen.representative = seen.values + capacity;
  find_representatives(&seen);
  kp_status* status = merge_nodes(&seen, changes);
  kp_free(seen.nodes);
  return status;
}
