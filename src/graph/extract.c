// Copies: a set of nodes as a graph of its own, whole bodies, and a body in the place of its node. The copy shares the model's names, symbols, origins and tensors of
// attributes; everything else, attribute lists included, is in its own arena, so either graph may be freed or changed first.
#include <stdlib.h>

#include "base/alloc.h"
#include "graph/rewrite.h"
#include "graph/simplify.h"

typedef struct kp_copier {
  const kp_graph* from;
  kp_graph* to;
  kp_ptr_map values;    // outer value id -> inner; keys are id + 1
  kp_value_id* inputs;  // outer ids of the inputs so far, heap
  uint32_t input_count, input_capacity;
  const char* prefix;  // put before names of values; NULL: names stay
} kp_copier;

static const void* key_of(uint32_t id) { return (const void*)((uintptr_t)id + 1); }

// --- types and attributes ----------------------------------------------------------------------------------------------
static kp_status* copy_exprs(kp_arena* arena, const kp_expr* from, size_t count,
                             const kp_expr** out) {
  *out = NULL;
  if (!from) return NULL;
  *out = kp_arena_memdup(arena, from, count * sizeof *from);
  return *out ? NULL : KP_ERROR(OUT_OF_MEMORY, "a copy of %zu dims", count);
}

// Inner types are copied level by level.
static kp_status* copy_type(kp_arena* arena, const kp_type* from, kp_type* to) {
  for (;; from = from->inner) {
    *to = *from;
    KP_PASS(copy_exprs(arena, from->dims, from->rank > 0 ? (size_t)from->rank : 0, &to->dims));
    if (!from->inner) return NULL;
    kp_type* inner = kp_arena_new(arena, kp_type);
    if (!inner) return KP_ERROR(OUT_OF_MEMORY, "a copy of a type");
    to->inner = inner;
    to = inner;
  }
}

static kp_status* copy_str(kp_arena* arena, kp_str* text) {
  const char* copy = kp_arena_strndup(arena, text->data ? text->data : "", text->length);
  if (!copy) return KP_ERROR(OUT_OF_MEMORY, "a copy of a text");
  text->data = copy;
  return NULL;
}

static kp_status* copy_strings(kp_arena* arena, kp_attr* attr) {
  kp_str* strings = kp_arena_new_array(arena, kp_str, attr->count);
  if (!strings) return KP_ERROR(OUT_OF_MEMORY, "a copy of %zu texts", attr->count);
  for (size_t i = 0; i < attr->count; ++i) {
    strings[i] = attr->strings[i];
    KP_PASS(copy_str(arena, &strings[i]));
  }
  attr->strings = strings;
  return NULL;
}

static kp_status* copy_types(kp_arena* arena, kp_attr* attr) {
  const bool one = attr->type == KP_ONNX_ATTR_TYPE_PROTO;
  const size_t count = one ? 1 : attr->count;
  const kp_type* from = one ? attr->type_proto : attr->types;
  kp_type* types = kp_arena_new_array(arena, kp_type, count);
  if (!types) return KP_ERROR(OUT_OF_MEMORY, "a copy of %zu types", count);
  for (size_t i = 0; i < count; ++i) KP_PASS(copy_type(arena, &from[i], &types[i]));
  if (one) {
    attr->type_proto = types;
  } else {
    attr->types = types;
  }
  return NULL;
}

static kp_status* copy_body(kp_graph* parent, const kp_graph* from, kp_graph** out_body);

static kp_status* copy_bodies(kp_graph* parent, kp_attr* attr) {
  if (attr->type == KP_ONNX_ATTR_GRAPH) return copy_body(parent, attr->graph, &attr->graph);
  kp_graph** bodies = kp_arena_new_array(&parent->arena, kp_graph*, attr->count);
  if (!bodies) return KP_ERROR(OUT_OF_MEMORY, "a copy of %zu bodies", attr->count);
  for (size_t i = 0; i < attr->count; ++i) KP_PASS(copy_body(parent, attr->graphs[i], &bodies[i]));
  attr->graphs = bodies;
  return NULL;
}

// Makes |attr|, a shallow copy, one that |graph| owns. Tensors stay the model's.
static kp_status* own_attr(kp_graph* graph, kp_attr* attr) {
  kp_arena* arena = &graph->arena;
  size_t element = 0;
  switch (attr->type) {
    case KP_ONNX_ATTR_GRAPH:
    case KP_ONNX_ATTR_GRAPHS:
      return copy_bodies(graph, attr);
    case KP_ONNX_ATTR_STRING:
      return copy_str(arena, &attr->s);
    case KP_ONNX_ATTR_STRINGS:
      return copy_strings(arena, attr);
    case KP_ONNX_ATTR_TYPE_PROTO:
    case KP_ONNX_ATTR_TYPE_PROTOS:
      return copy_types(arena, attr);
    case KP_ONNX_ATTR_FLOATS:
      element = sizeof *attr->floats;
      break;
    case KP_ONNX_ATTR_INTS:
      element = sizeof *attr->ints;
      break;
    case KP_ONNX_ATTR_TENSORS:
    case KP_ONNX_ATTR_SPARSE_TENSORS:
      element = sizeof *attr->tensors;
      break;
    default:
      return NULL;
  }
  if (attr->count == 0) return NULL;
  void* copy = kp_arena_memdup(arena, (const void*)attr->ints,
                               attr->count * element);  // any list: one union
  if (!copy) return KP_ERROR(OUT_OF_MEMORY, "a copy of attribute '%s'", attr->name);
  attr->ints = copy;
  return NULL;
}

// --- values and nodes --------------------------------------------------------------------------------------------------
// Copies |id| with type, known data and constant, but without producer.
static kp_status* copy_value(kp_copier* copier, kp_value_id id, kp_value_id* out_copy) {
  const kp_value* from = &copier->from->values[id];
  kp_graph* to = copier->to;
  const char* name = copier->prefix
                         ? kp_arena_printf(&to->arena, "%s/%s", copier->prefix, from->name)
                         : from->name;
  if (!name) return KP_ERROR(OUT_OF_MEMORY, "a copy of a value");
  KP_PASS(copier->prefix ? kp_graph_add_value(to, name, out_copy)
                         : kp_graph_add_named(to, name, out_copy));
  KP_PASS(kp_ptr_map_put(&copier->values, key_of(id), *out_copy));
  kp_value* copy = &to->values[*out_copy];
  KP_PASS(copy_type(&to->arena, &from->type, &copy->type));
  KP_PASS(copy_exprs(&to->arena, from->data, from->data_count, &copy->data));
  copy->data_count = from->data_count;
  if (from->constant) copy->constant = kp_value_retain(from->constant);
  return NULL;
}

static kp_status* add_input(kp_copier* copier, kp_value_id outer, kp_value_id inner) {
  if (copier->input_count == copier->input_capacity) {
    const uint32_t capacity = copier->input_capacity ? copier->input_capacity * 2 : 16;
    kp_value_id* grown = kp_realloc_array(copier->inputs, capacity, sizeof *grown);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "%u inputs of a partition", capacity);
    copier->inputs = grown;
    copier->input_capacity = capacity;
  }
  copier->inputs[copier->input_count++] = outer;
  return kp_graph_add_input(copier->to, inner);
}

// The copies of |ids|. A value met here for the first time is an input of the copy, unless it is a constant.
static kp_status* map_inputs(kp_copier* copier, const kp_value_id* ids, uint32_t count,
                             kp_value_id* out_ids) {
  for (uint32_t i = 0; i < count; ++i) {
    out_ids[i] = KP_NONE;
    if (ids[i] == KP_NONE || kp_ptr_map_get(&copier->values, key_of(ids[i]), &out_ids[i])) continue;
    KP_PASS(copy_value(copier, ids[i], &out_ids[i]));
    if (!copier->to->values[out_ids[i]].constant) KP_PASS(add_input(copier, ids[i], out_ids[i]));
  }
  return NULL;
}

static kp_status* copy_outputs(kp_copier* copier, const kp_node* node) {
  for (uint32_t i = 0; i < node->output_count; ++i) {
    kp_value_id copy;
    if (node->outputs[i] == KP_NONE ||
        kp_ptr_map_get(&copier->values, key_of(node->outputs[i]), &copy))
      continue;
    KP_PASS(copy_value(copier, node->outputs[i], &copy));
  }
  return NULL;
}

// Copies |node|, whose outputs have been copied.
static kp_status* copy_node(kp_copier* copier, const kp_node* node, kp_arena* scratch) {
  kp_graph* to = copier->to;
  const size_t id_count = (size_t)node->input_count + node->implicit_count + node->output_count;
  kp_value_id* ids = kp_arena_new_array(scratch, kp_value_id, id_count);
  kp_attr* attrs = kp_arena_new_array(scratch, kp_attr, node->attr_count);
  if (!ids || !attrs) return KP_ERROR(OUT_OF_MEMORY, "a copy of '%s'", node->name);
  kp_value_id* implicit = ids + node->input_count;
  kp_value_id* outputs = implicit + node->implicit_count;
  KP_PASS(map_inputs(copier, node->inputs, node->input_count, ids));
  KP_PASS(map_inputs(copier, node->implicit, node->implicit_count, implicit));
  for (uint32_t i = 0; i < node->output_count; ++i)
    if (!kp_ptr_map_get(&copier->values, key_of(node->outputs[i]), &outputs[i]))
      outputs[i] = KP_ABSENT;
  for (uint32_t i = 0; i < node->attr_count; ++i) {
    attrs[i] = node->attrs[i];
    KP_PASS(own_attr(to, &attrs[i]));
  }
  kp_node_spec spec = kp_node_spec_like(node);
  spec.inputs = ids;
  spec.outputs = outputs;
  spec.attrs = attrs;
  spec.implicit = implicit;
  kp_node_id unused;
  return kp_graph_add_node(to, &spec, node->origins, node->origin_count, node->rewrite, &unused);
}

// --- bodies ------------------------------------------------------------------------------------------------------------
static kp_status* list_copies(kp_copier* copier, const kp_value_id* ids, uint32_t count,
                              kp_status* (*list)(kp_graph*, kp_value_id)) {
  for (uint32_t i = 0; i < count; ++i) {
    kp_value_id copy = KP_NONE;
    if (ids[i] != KP_NONE && !kp_ptr_map_get(&copier->values, key_of(ids[i]), &copy)) {
      KP_PASS(copy_value(copier, ids[i], &copy));
    }
    KP_PASS(list(copier->to, copy));
  }
  return NULL;
}

static kp_status* fill_body(kp_copier* copier, kp_arena* scratch) {
  const kp_graph* from = copier->from;
  copier->to->name = kp_arena_strndup(&copier->to->arena, from->name, strlen(from->name));
  if (!copier->to->name) return KP_ERROR(OUT_OF_MEMORY, "a copy of a body");
  KP_PASS(list_copies(copier, from->inputs, from->input_count, kp_graph_add_input));
  KP_PASS(list_copies(copier, from->captures, from->capture_count, kp_graph_add_capture));
  for (uint32_t i = 0; i < from->overridable_count; ++i) {
    kp_value_id copy;
    KP_PASS(copy_value(copier, from->overridable[i], &copy));
    KP_PASS(kp_graph_add_overridable(copier->to, copy, kp_value_retain(from->defaults[i])));
  }
  for (kp_node_id id = 0; id < from->node_count; ++id)
    if (!from->nodes[id].removed) KP_PASS(copy_outputs(copier, &from->nodes[id]));
  for (kp_node_id id = 0; id < from->node_count; ++id) {
    if (from->nodes[id].removed) continue;
    KP_PASS(copy_node(copier, &from->nodes[id], scratch));
    kp_arena_reset(scratch);
  }
  return list_copies(copier, from->outputs, from->output_count, kp_graph_add_output);
}

// Recursion is as deep as bodies nest, which KP_GRAPH_MAX_DEPTH bounds.
static kp_status* copy_body(kp_graph* parent, const kp_graph* from, kp_graph** out_body) {
  kp_copier copier = {.from = from};
  kp_arena scratch = {0};
  KP_PASS(kp_graph_create_body(parent, &copier.to));
  kp_status* status = fill_body(&copier, &scratch);
  *out_body = copier.to;  // owned by |parent|, also on error
  kp_ptr_map_free(&copier.values);
  kp_free(copier.inputs);
  kp_arena_free(&scratch);
  return status;
}

// --- partitions --------------------------------------------------------------------------------------------------------
static int compare_ids(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}

static bool is_among(const kp_node_id* sorted, uint32_t count, kp_node_id id) {
  return bsearch(&id, sorted, count, sizeof id, compare_ids) != NULL;
}

static bool leaves(const kp_value* value, const kp_node_id* sorted, uint32_t count) {
  if (value->output_refs > 0) return true;
  for (uint32_t i = 0; i < value->use_count; ++i)
    if (!is_among(sorted, count, value->uses[i])) return true;
  return false;
}

static kp_status* add_outputs(kp_copier* copier, const kp_node_id* sorted, uint32_t count,
                              kp_value_id** out_outputs) {
  const kp_graph* from = copier->from;
  size_t most = 0;
  for (uint32_t i = 0; i < count; ++i) most += from->nodes[sorted[i]].output_count;
  kp_value_id* outer = kp_arena_new_array(&copier->to->arena, kp_value_id, most);
  if (!outer) return KP_ERROR(OUT_OF_MEMORY, "%zu outputs of a partition", most);
  *out_outputs = outer;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node* node = &from->nodes[sorted[i]];
    for (uint32_t k = 0; k < node->output_count; ++k) {
      const kp_value* value = kp_node_output(from, node, k);
      kp_value_id copy;
      if (!value || !leaves(value, sorted, count)) continue;
      if (!kp_ptr_map_get(&copier->values, key_of(node->outputs[k]), &copy)) continue;
      outer[copier->to->output_count] = node->outputs[k];
      KP_PASS(kp_graph_add_output(copier->to, copy));
    }
  }
  return NULL;
}

static kp_status* fill_partition(kp_copier* copier, const kp_node_id* sorted, uint32_t count,
                                 kp_arena* scratch, kp_value_id** out_inputs,
                                 kp_value_id** out_outputs) {
  const kp_graph* from = copier->from;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node_id id = sorted[i];
    if (id >= from->node_count || from->nodes[id].removed || (i > 0 && sorted[i - 1] == id)) {
      return KP_ERROR(INTERNAL, "node %u is gone or listed twice in a partition", id);
    }
    KP_PASS(copy_outputs(copier, &from->nodes[id]));
  }
  for (uint32_t i = 0; i < count; ++i) {
    KP_PASS(copy_node(copier, &from->nodes[sorted[i]], scratch));
    kp_arena_reset(scratch);
  }
  KP_PASS(add_outputs(copier, sorted, count, out_outputs));
  const size_t byte_count = copier->input_count * sizeof(kp_value_id);
  *out_inputs = kp_arena_alloc(&copier->to->arena, byte_count);
  if (!*out_inputs) return KP_ERROR(OUT_OF_MEMORY, "%u inputs of a partition", copier->input_count);
  if (byte_count > 0) memcpy(*out_inputs, copier->inputs, byte_count);
  return NULL;
}

kp_status* kp_graph_extract(const kp_graph* graph, const kp_node_id* nodes, uint32_t count,
                            kp_graph** out_copy, kp_value_id** out_inputs,
                            kp_value_id** out_outputs) {
  *out_copy = NULL;
  kp_copier copier = {.from = graph};
  kp_arena scratch = {0};
  kp_node_id* sorted = kp_alloc_array(count, sizeof *sorted);
  if (!sorted) return KP_ERROR(OUT_OF_MEMORY, "a partition of %u nodes", count);
  if (count > 0) memcpy(sorted, nodes, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare_ids);
  kp_status* status = kp_graph_create(graph->model, &copier.to);
  if (!status) {
    copier.to->depth = graph->depth;
    status = fill_partition(&copier, sorted, count, &scratch, out_inputs, out_outputs);
  }
  kp_ptr_map_free(&copier.values);
  kp_free(copier.inputs);
  kp_free(sorted);
  kp_arena_free(&scratch);
  if (status) {
    kp_graph_free(copier.to);
    return status;
  }
  *out_copy = copier.to;
  return NULL;
}

// --- inlining ----------------------------------------------------------------------------------------------------------
// What the body's nodes make for an output becomes the value that the node had there.
static kp_status* map_outputs(kp_copier* copier, const kp_node* node) {
  const kp_graph* body = copier->from;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    const kp_value_id inner = body->outputs[i], outer = node->outputs[i];
    kp_value_id held;
    if (outer == KP_NONE || body->values[inner].producer == KP_NONE) continue;
    if (kp_ptr_map_get(&copier->values, key_of(inner), &held)) continue;
    KP_PASS(kp_ptr_map_put(&copier->values, key_of(inner), outer));
    if (copier->to->values[outer].type.kind == KAPELL_KIND_NONE) {
      KP_PASS(copy_type(&copier->to->arena, &body->values[inner].type,
                        &copier->to->values[outer].type));
    }
  }
  return NULL;
}

// An output that the body has from outside, or that it lists twice, is copied.
static kp_status* add_identities(kp_copier* copier, const kp_node* node, const char* rewrite) {
  kp_graph* to = copier->to;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    kp_value_id from, output = node->outputs[i];
    if (output == KP_NONE || to->values[output].producer != KP_NONE) continue;
    KP_PASS(map_inputs(copier, &copier->from->outputs[i], 1, &from));
    const kp_node_spec spec = {.name = node->name,
                               .op = "Identity",
                               .domain = "",
                               .version = node->version,
                               .inputs = &from,
                               .input_count = 1,
                               .outputs = &output,
                               .output_count = 1};
    kp_node_id unused;
    KP_PASS(kp_graph_add_node(to, &spec, node->origins, node->origin_count, rewrite, &unused));
  }
  return NULL;
}

static kp_status* inline_nodes(kp_copier* copier, const kp_node* node, kp_arena* scratch,
                               const char* rewrite) {
  const kp_graph* body = copier->from;
  for (uint32_t i = 0; i < body->input_count; ++i)
    KP_PASS(kp_ptr_map_put(&copier->values, key_of(body->inputs[i]), node->inputs[i]));
  for (uint32_t i = 0; i < body->capture_count; ++i) {
    if (body->captures[i] != KP_NONE)
      KP_PASS(kp_ptr_map_put(&copier->values, key_of(body->captures[i]), node->implicit[i]));
  }
  KP_PASS(map_outputs(copier, node));
  for (kp_node_id id = 0; id < body->node_count; ++id)
    if (!body->nodes[id].removed) KP_PASS(copy_outputs(copier, &body->nodes[id]));
  for (kp_node_id id = 0; id < body->node_count; ++id) {
    if (body->nodes[id].removed) continue;
    KP_PASS(copy_node(copier, &body->nodes[id], scratch));
    kp_arena_reset(scratch);
  }
  return add_identities(copier, node, rewrite);
}

kp_status* kp_graph_inline_copy(kp_graph* graph, const kp_node* place, const kp_graph* body,
                                const char* rewrite) {
  kp_copier copier = {.from = body, .to = graph, .prefix = body->name};
  kp_arena scratch = {0};
  kp_status* status = inline_nodes(&copier, place, &scratch, rewrite);
  kp_ptr_map_free(&copier.values);
  kp_free(copier.inputs);
  kp_arena_free(&scratch);
  return status;
}

kp_status* kp_graph_inline_body(kp_graph* graph, kp_node_id id, const kp_graph* body,
                                const char* rewrite) {
  const kp_node node = graph->nodes[id];
  if (body->input_count > 0 || body->output_count < node.output_count) {
    return KP_ERROR(INTERNAL, "body '%s' does not fit in the place of '%s'", body->name, node.name);
  }
  kp_graph_remove_node(graph, id);
  return kp_graph_inline_copy(graph, &node, body, rewrite);
}
