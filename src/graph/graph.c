// Structure of graphs: making and freeing, nodes, values and the uses between them. Order and pruning are in order.c, looking
// at nodes in node.c.
//
// Nodes and values are growing heap arrays, so indices are their names; what they point to is in the graph's arena. A use
// is kept twice: the value lists (node, input), and the node keeps for each input the place in that list, so that
// adding and removing a use takes constant time however many there are.
#include "graph/graph.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/size.h"
#include "graph/custom.h"
#include "graph/schema.h"
#include "onnx/reader.h"

#define NO_SLOT UINT32_MAX

// --- models ------------------------------------------------------------------------------------------------------------
kp_status* kp_model_create(kp_model** out_model) {
  *out_model = kp_alloc_zero(1, sizeof **out_model);
  if (!*out_model) return KP_ERROR(OUT_OF_MEMORY, "a model");
  kp_interner_init(&(*out_model)->names);
  return NULL;
}

void kp_model_free(kp_model* model) {
  if (!model) return;
  kp_graph_free(model->graph);
  for (uint32_t i = 0; i < model->constant_count; ++i) kp_value_release(model->constants[i]);
  kp_free(model->constants);
  kp_free(model->origins);
  kp_symbols_free(&model->symbols);
  kp_interner_free(&model->names);
  kp_arena_free(&model->arena);
  kp_onnx_model_close(model->source);
  kp_onnx_model_close(model->library);
  kp_free(model);
}

// Makes room for one more element in a heap array; false on out of memory.
static bool grow(void** array, uint32_t count, uint32_t* capacity, size_t element_size) {
  if (count < *capacity) return true;
  if (*capacity > UINT32_MAX / 4) return false;
  const uint32_t wanted = *capacity ? *capacity * 2 : 16;
  void* grown = kp_realloc_array(*array, wanted, element_size);
  if (!grown) return false;
  *array = grown;
  *capacity = wanted;
  return true;
}

kp_status* kp_model_add_origin(kp_model* model, const kp_origin* origin, uint32_t* out_index) {
  void* array = model->origins;
  if (!grow(&array, model->origin_count, &model->origin_capacity, sizeof *model->origins)) {
    return KP_ERROR(OUT_OF_MEMORY, "origin %u", model->origin_count);
  }
  model->origins = array;
  model->origins[model->origin_count] = *origin;
  *out_index = model->origin_count++;
  return NULL;
}

kp_status* kp_model_add_constant(kp_model* model, kapell_value* tensor) {
  void* array = model->constants;
  if (!grow(&array, model->constant_count, &model->constant_capacity, sizeof *model->constants)) {
    kp_value_release(tensor);
    return KP_ERROR(OUT_OF_MEMORY, "constant %u", model->constant_count);
  }
  model->constants = array;
  model->constants[model->constant_count++] = tensor;
  return NULL;
}

// --- graphs ------------------------------------------------------------------------------------------------------------
kp_status* kp_graph_create(kp_model* model, kp_graph** out_graph) {
  kp_graph* graph = kp_alloc_zero(1, sizeof *graph);
  *out_graph = graph;
  if (!graph) return KP_ERROR(OUT_OF_MEMORY, "a graph");
  graph->model = model;
  graph->parent_node = KP_NONE;
  graph->name = "";
  return NULL;
}

// Appends to an array in the arena that doubles when its count is a power of two, so that it needs no capacity.
static bool push_id(kp_arena* arena, uint32_t** array, uint32_t* count, uint32_t id) {
  if ((*count & (*count - 1)) == 0) {
    uint32_t* grown = kp_arena_new_array(arena, uint32_t, *count ? *count * (size_t)2 : 1);
    if (!grown) return false;
    if (*count) memcpy(grown, *array, *count * sizeof *grown);
    *array = grown;
  }
  (*array)[(*count)++] = id;
  return true;
}

static bool push_body(kp_graph* parent, kp_graph* body) {
  const uint32_t count = parent->body_count;
  if ((count & (count - 1)) == 0) {
    kp_graph** grown = kp_arena_new_array(&parent->arena, kp_graph*, count ? count * (size_t)2 : 1);
    if (!grown) return false;
    if (count) memcpy(grown, parent->bodies, count * sizeof(kp_graph*));
    parent->bodies = grown;
  }
  parent->bodies[parent->body_count++] = body;
  return true;
}

kp_status* kp_graph_create_body(kp_graph* parent, kp_graph** out_body) {
  *out_body = NULL;
  if (parent->depth >= KP_GRAPH_MAX_DEPTH) {
    return KP_ERROR(LIMIT, "bodies of control flow nested more than %d deep", KP_GRAPH_MAX_DEPTH);
  }
  kp_graph* body;
  KP_PASS(kp_graph_create(parent->model, &body));
  body->parent = parent;
  body->depth = parent->depth + 1;
  if (!push_body(parent, body)) {
    kp_graph_free(body);
    return KP_ERROR(OUT_OF_MEMORY, "a body");
  }
  *out_body = body;
  return NULL;
}

void kp_graph_free(kp_graph* graph) {
  if (!graph) return;
  for (uint32_t i = 0; i < graph->body_count; ++i) kp_graph_free(graph->bodies[i]);
  for (uint32_t i = 0; i < graph->value_count; ++i) kp_value_release(graph->values[i].constant);
  for (uint32_t i = 0; i < graph->overridable_count; ++i) kp_value_release(graph->defaults[i]);
  kp_free(graph->nodes);
  kp_free(graph->values);
  kp_free(graph->order);
  kp_arena_free(&graph->arena);
  kp_free(graph);
}

// --- values ------------------------------------------------------------------------------------------------------------
// A name that no text of the model equals.
static const char* fresh_name(kp_model* model) {
  char text[32];
  kp_str name = {text, 0};
  do {
    name.length = (size_t)snprintf(text, sizeof text, "kapell:%u", model->fresh_names++);
  } while (kp_intern_find(&model->names, name));
  return kp_intern(&model->names, name);
}

kp_status* kp_graph_add_value(kp_graph* graph, const char* name, kp_value_id* out_value) {
  return kp_graph_add_named(
      graph, name ? kp_intern(&graph->model->names, kp_str_of(name)) : fresh_name(graph->model),
      out_value);
}

kp_status* kp_graph_add_named(kp_graph* graph, const char* interned, kp_value_id* out_value) {
  *out_value = KP_NONE;
  void* array = graph->values;
  if (!interned ||
      !grow(&array, graph->value_count, &graph->value_capacity, sizeof *graph->values)) {
    return KP_ERROR(OUT_OF_MEMORY, "value %u of a graph", graph->value_count);
  }
  graph->values = array;
  graph->values[graph->value_count] =
      (kp_value){.name = interned, .type.rank = -1, .producer = KP_NONE};
  *out_value = graph->value_count++;
  return NULL;
}

// The type of |constant| as far as values state it.
static kp_status* type_of_constant(kp_arena* arena, const kapell_value* constant,
                                   kp_type* out_type) {
  *out_type = (kp_type){.kind = constant->kind, .element = constant->type, .rank = -1};
  if (constant->kind != KAPELL_KIND_TENSOR && constant->kind != KAPELL_KIND_SPARSE) return NULL;
  kp_expr* dims = kp_arena_new_array(arena, kp_expr, (size_t)constant->rank);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "dims of a constant");
  for (int32_t i = 0; i < constant->rank; ++i) dims[i] = constant->dims[i];
  out_type->rank = constant->rank;
  out_type->dims = dims;
  return NULL;
}

kp_status* kp_graph_set_constant(kp_graph* graph, kp_value_id id, kapell_value* constant) {
  kp_value* value = &graph->values[id];
  kp_type type;
  kp_status* status = type_of_constant(&graph->arena, constant, &type);
  if (!status &&
      (value->producer != KP_NONE || value->is_input || value->is_capture || value->constant)) {
    status = KP_ERROR(INTERNAL, "'%s' cannot become a constant", value->name);
  }
  if (status) {
    kp_value_release(constant);
    return status;
  }
  if (type.rank >= 0 || value->type.kind == KAPELL_KIND_NONE) value->type = type;
  value->constant = constant;
  return NULL;
}

kp_status* kp_graph_add_constant(kp_graph* graph, const char* name, kapell_value* constant,
                                 kp_value_id* out_value) {
  kp_status* status = kp_graph_add_value(graph, name, out_value);
  if (!status) return kp_graph_set_constant(graph, *out_value, constant);
  kp_value_release(constant);
  return status;
}

static kp_status* list_value(kp_graph* graph, kp_value_id** array, uint32_t* count,
                             kp_value_id value) {
  if (value != KP_NONE && value >= graph->value_count)
    return KP_ERROR(INTERNAL, "no value %u", value);
  if (!push_id(&graph->arena, array, count, value))
    return KP_ERROR(OUT_OF_MEMORY, "%u values", *count);
  return NULL;
}

kp_status* kp_graph_add_input(kp_graph* graph, kp_value_id value) {
  KP_PASS(list_value(graph, &graph->inputs, &graph->input_count, value));
  graph->values[value].is_input = true;
  return NULL;
}

kp_status* kp_graph_add_overridable(kp_graph* graph, kp_value_id value, kapell_value* initial) {
  const uint32_t count = graph->overridable_count;
  if ((count & (count - 1)) == 0) {
    kapell_value** grown =
        kp_arena_new_array(&graph->arena, kapell_value*, count ? count * (size_t)2 : 1);
    if (!grown) {
      kp_value_release(initial);
      return KP_ERROR(OUT_OF_MEMORY, "%u overridable initializers", count);
    }
    if (count) memcpy(grown, graph->defaults, count * sizeof(kapell_value*));
    graph->defaults = grown;
  }
  kp_type type;
  kp_status* status = type_of_constant(&graph->arena, initial, &type);
  if (!status) status = list_value(graph, &graph->overridable, &graph->overridable_count, value);
  if (status) {
    kp_value_release(initial);
    return status;
  }
  graph->defaults[count] = initial;
  graph->values[value].is_input = true;
  if (graph->values[value].type.kind == KAPELL_KIND_NONE) graph->values[value].type = type;
  return NULL;
}

kp_status* kp_graph_add_capture(kp_graph* graph, kp_value_id value) {
  KP_PASS(list_value(graph, &graph->captures, &graph->capture_count, value));
  if (value != KP_NONE) graph->values[value].is_capture = true;
  return NULL;
}

kp_status* kp_graph_add_output(kp_graph* graph, kp_value_id value) {
  KP_PASS(list_value(graph, &graph->outputs, &graph->output_count, value));
  graph->values[value].output_refs++;
  return NULL;
}

// --- uses --------------------------------------------------------------------------------------------------------------
// The place of input |slot| of |node|, counting implicit inputs after the others.
static kp_value_id* input_place(kp_node* node, uint32_t slot) {
  return slot < node->input_count ? &node->inputs[slot] : &node->implicit[slot - node->input_count];
}

static bool reserve_uses(kp_graph* graph, kp_value* value, uint32_t more) {
  if (more <= value->use_capacity - value->use_count) return true;
  if (value->use_count > UINT32_MAX / 4 || more > UINT32_MAX / 4) return false;
  uint32_t capacity = value->use_capacity ? value->use_capacity : 1;
  while (capacity < value->use_count + more) capacity *= 2;
  uint32_t* memory = kp_arena_new_array(&graph->arena, uint32_t, 2 * (size_t)capacity);
  if (!memory) return false;
  if (value->use_count) {
    memcpy(memory, value->uses, value->use_count * sizeof *memory);
    memcpy(memory + capacity, value->use_inputs, value->use_count * sizeof *memory);
  }
  value->uses = memory;
  value->use_inputs = memory + capacity;
  value->use_capacity = capacity;
  return true;
}

// Lists input |slot| of |node_id|, which reads |value_id|, as a use; room was reserved.
static void link_use(kp_graph* graph, kp_node_id node_id, uint32_t slot, kp_value_id value_id) {
  kp_value* value = &graph->values[value_id];
  graph->nodes[node_id].use_slots[slot] = value->use_count;
  value->uses[value->use_count] = node_id;
  value->use_inputs[value->use_count++] = slot;
}

static void unlink_use(kp_graph* graph, kp_node_id node_id, uint32_t slot) {
  kp_node* node = &graph->nodes[node_id];
  const kp_value_id value_id = *input_place(node, slot);
  if (value_id == KP_NONE || node->use_slots[slot] == NO_SLOT) return;
  kp_value* value = &graph->values[value_id];
  const uint32_t hole = node->use_slots[slot], last = --value->use_count;
  node->use_slots[slot] = NO_SLOT;
  if (hole == last) return;
  value->uses[hole] = value->uses[last];
  value->use_inputs[hole] = value->use_inputs[last];
  graph->nodes[value->uses[hole]].use_slots[value->use_inputs[hole]] = hole;
}

// --- nodes -------------------------------------------------------------------------------------------------------------
static kp_status* check_spec(const kp_graph* graph, const kp_node_spec* spec) {
  for (uint32_t i = 0; i < spec->input_count; ++i)
    if (spec->inputs[i] != KP_NONE && spec->inputs[i] >= graph->value_count)
      return KP_ERROR(INTERNAL, "input %u of a new %s is no value of its graph", i, spec->op);
  for (uint32_t i = 0; i < spec->implicit_count; ++i)
    if (spec->implicit[i] >= graph->value_count)
      return KP_ERROR(INTERNAL, "implicit input %u of a new %s is no value of its graph", i,
                      spec->op);
  for (uint32_t i = 0; i < spec->output_count; ++i) {
    if (spec->outputs[i] == KP_NONE || spec->outputs[i] == KP_ABSENT) continue;
    if (spec->outputs[i] >= graph->value_count) {
      return KP_ERROR(INTERNAL, "output %u of a new %s is no value of its graph", i, spec->op);
    }
    const kp_value* value = &graph->values[spec->outputs[i]];
    if (value->producer != KP_NONE || value->is_input || value->is_capture || value->constant) {
      return KP_ERROR(INTERNAL, "output %u of a new %s, '%s', is produced already", i, spec->op,
                      value->name);
    }
  }
  return NULL;
}

// Makes the bodies among |attrs| those of node |id|.
static kp_status* adopt_bodies(const kp_graph* graph, const kp_node* node, kp_node_id id) {
  for (uint32_t i = 0; i < kp_node_body_count(node); ++i) {
    kp_graph* body = kp_node_body(node, i);
    if (body->parent != graph || body->capture_count != node->implicit_count) {
      return KP_ERROR(INTERNAL, "body %u of a new %s has %u captures for %u implicit inputs", i,
                      node->op, body->capture_count, node->implicit_count);
    }
    body->parent_node = id;
  }
  return NULL;
}

static const char* default_name(kp_graph* graph, const char* op, const uint32_t* origins,
                                uint32_t count) {
  const kp_model* model = graph->model;
  if (count == 0) return kp_arena_printf(&graph->arena, "%s", op);
  const kp_origin* origin = &model->origins[origins[0]];
  if (origin->name[0]) return origin->name;
  return kp_arena_printf(&graph->arena, "%s#%u", op, origins[0]);
}

// Copies |spec|'s arrays and names into |node|, nothing of it linked yet.
static kp_status* fill_node(kp_graph* graph, const kp_node_spec* spec, const uint32_t* origins,
                            uint32_t origin_count, kp_node* node) {
  kp_interner* names = &graph->model->names;
  kp_arena* arena = &graph->arena;
  const size_t slots = (size_t)spec->input_count + spec->implicit_count;
  uint32_t* ids =
      kp_arena_new_array(arena, uint32_t, 2 * slots + spec->output_count + origin_count);
  if (spec->attr_count)
    node->attrs = kp_arena_memdup(arena, spec->attrs, spec->attr_count * sizeof *spec->attrs);
  node->op = spec->interned ? spec->op : kp_intern(names, kp_str_of(spec->op));
  node->domain = spec->interned ? spec->domain : kp_intern(names, kp_str_of(spec->domain));
  if (!spec->name) {
    node->name = default_name(graph, spec->op, origins, origin_count);
  } else {
    node->name = spec->interned ? spec->name : kp_intern(names, kp_str_of(spec->name));
  }
  if (!ids || !node->op || !node->domain || !node->name || (spec->attr_count && !node->attrs)) {
    return KP_ERROR(OUT_OF_MEMORY, "node %u of a graph", graph->node_count);
  }
  node->inputs = ids;
  node->implicit = node->inputs + spec->input_count;
  node->outputs = node->implicit + spec->implicit_count;
  node->use_slots = node->outputs + spec->output_count;
  uint32_t* own_origins = node->use_slots + slots;
  if (spec->input_count) memcpy(node->inputs, spec->inputs, spec->input_count * sizeof *ids);
  if (spec->implicit_count)
    memcpy(node->implicit, spec->implicit, spec->implicit_count * sizeof *ids);
  if (spec->output_count) memcpy(node->outputs, spec->outputs, spec->output_count * sizeof *ids);
  if (origin_count) memcpy(own_origins, origins, origin_count * sizeof *ids);
  for (size_t i = 0; i < slots; ++i) node->use_slots[i] = NO_SLOT;
  node->origins = own_origins;
  node->origin_count = node->origin_capacity = origin_count;
  node->input_count = spec->input_count;
  node->implicit_count = spec->implicit_count;
  node->output_count = spec->output_count;
  node->attr_count = spec->attr_count;
  node->version = spec->version;
  node->schema = spec->schema;
  if (!node->schema)
    node->custom =
        kp_custom_has(graph->model, kp_str_of(node->domain), kp_str_of(node->op), node->version);
  if (!node->schema && !node->custom)
    node->schema = kp_schema_find(kp_str_of(node->domain), kp_str_of(node->op), node->version);
  return NULL;
}

// Links the outputs of the new last node, making those that are to be fresh, then its inputs.
static kp_status* link_node(kp_graph* graph, kp_node_id id, kp_value_id* spec_outputs) {
  kp_node* node = &graph->nodes[id];
  for (uint32_t i = 0; i < node->output_count; ++i) {
    if (node->outputs[i] == KP_NONE) KP_PASS(kp_graph_add_value(graph, NULL, &spec_outputs[i]));
    const kp_value_id output = spec_outputs[i] == KP_ABSENT ? KP_NONE : spec_outputs[i];
    node->outputs[i] = output;
    if (output == KP_NONE) continue;
    kp_value* value = &graph->values[output];
    if (value->producer != KP_NONE)
      return KP_ERROR(INTERNAL, "'%s' is two outputs of a new %s", value->name, node->op);
    value->producer = id;
    value->producer_output = i;
  }
  for (uint32_t i = 0; i < node->input_count + node->implicit_count; ++i) {
    const kp_value_id value = *input_place(node, i);
    if (value == KP_NONE) continue;
    if (!reserve_uses(graph, &graph->values[value], 1)) {
      return KP_ERROR(OUT_OF_MEMORY, "uses of '%s'", graph->values[value].name);
    }
    link_use(graph, id, i, value);
  }
  return NULL;
}

// Takes back what link_node linked; the node's ids that are no values yet are not looked at.
static void unlink_node(kp_graph* graph, kp_node_id id) {
  kp_node* node = &graph->nodes[id];
  for (uint32_t i = 0; i < node->input_count + node->implicit_count; ++i) unlink_use(graph, id, i);
  for (uint32_t i = 0; i < node->output_count; ++i) {
    const kp_value_id output = node->outputs[i];
    if (output < graph->value_count && graph->values[output].producer == id) {
      graph->values[output].producer = KP_NONE;
    }
  }
}

kp_status* kp_graph_add_node(kp_graph* graph, const kp_node_spec* spec, const uint32_t* origins,
                             uint32_t origin_count, const char* rewrite, kp_node_id* out_node) {
  *out_node = KP_NONE;
  KP_PASS(check_spec(graph, spec));
  const kp_node_id id = graph->node_count;
  kp_node node = {.rewrite = rewrite};
  KP_PASS(fill_node(graph, spec, origins, origin_count, &node));
  void* array = graph->nodes;
  if (!grow(&array, id, &graph->node_capacity, sizeof node))
    return KP_ERROR(OUT_OF_MEMORY, "node %u", id);
  graph->nodes = array;
  graph->nodes[id] = node;
  kp_status* status = adopt_bodies(graph, &node, id);
  if (!status) status = link_node(graph, id, spec->outputs);
  if (status) {
    unlink_node(graph, id);
    return status;
  }
  graph->node_count++;
  graph->order_valid = false;
  *out_node = id;
  return NULL;
}

void kp_graph_remove_node(kp_graph* graph, kp_node_id id) {
  kp_node* node = &graph->nodes[id];
  if (node->removed) return;
  unlink_node(graph, id);
  node->removed = true;
  graph->order_valid = false;
}

kp_status* kp_graph_set_input(kp_graph* graph, kp_node_id id, uint32_t index, kp_value_id value) {
  kp_node* node = &graph->nodes[id];
  if (node->removed || index >= node->input_count ||
      (value != KP_NONE && value >= graph->value_count)) {
    return KP_ERROR(INTERNAL, "cannot set input %u of '%s'", index, node->name);
  }
  if (value != KP_NONE && !reserve_uses(graph, &graph->values[value], 1)) {
    return KP_ERROR(OUT_OF_MEMORY, "uses of '%s'", graph->values[value].name);
  }
  unlink_use(graph, id, index);
  node->inputs[index] = value;
  if (value != KP_NONE) link_use(graph, id, index, value);
  graph->order_valid = false;
  return NULL;
}

kp_status* kp_graph_set_output(kp_graph* graph, kp_node_id id, uint32_t index, kp_value_id value) {
  kp_node* node = &graph->nodes[id];
  if (node->removed || index >= node->output_count || value >= graph->value_count ||
      graph->values[value].producer != KP_NONE || graph->values[value].constant) {
    return KP_ERROR(INTERNAL, "cannot set output %u of '%s'", index, node->name);
  }
  if (node->outputs[index] != KP_NONE) graph->values[node->outputs[index]].producer = KP_NONE;
  node->outputs[index] = value;
  graph->values[value].producer = id;
  graph->values[value].producer_output = index;
  graph->order_valid = false;
  return NULL;
}

kp_status* kp_graph_replace_uses(kp_graph* graph, kp_value_id from, kp_value_id to) {
  if (from >= graph->value_count || to >= graph->value_count)
    return KP_ERROR(INTERNAL, "no such value");
  if (from == to) return NULL;
  kp_value* source = &graph->values[from];
  kp_value* target = &graph->values[to];
  if (!reserve_uses(graph, target, source->use_count)) {
    return KP_ERROR(OUT_OF_MEMORY, "uses of '%s'", target->name);
  }
  for (uint32_t i = 0; i < source->use_count; ++i) {
    *input_place(&graph->nodes[source->uses[i]], source->use_inputs[i]) = to;
    link_use(graph, source->uses[i], source->use_inputs[i], to);
  }
  source->use_count = 0;
  for (uint32_t i = 0; source->output_refs > 0 && i < graph->output_count; ++i) {
    if (graph->outputs[i] != from) continue;
    graph->outputs[i] = to;
    source->output_refs--;
    target->output_refs++;
  }
  graph->order_valid = false;
  return NULL;
}

static bool capture_is_used(const kp_node* node, uint32_t index) {
  for (uint32_t b = 0; b < kp_node_body_count(node); ++b) {
    const kp_graph* body = kp_node_body(node, b);
    const kp_value_id inner = body->captures[index];
    if (inner != KP_NONE &&
        (body->values[inner].use_count > 0 || body->values[inner].output_refs > 0))
      return true;
  }
  return false;
}

bool kp_graph_drop_unused_captures(kp_graph* graph, kp_node_id id) {
  kp_node* node = &graph->nodes[id];
  const uint32_t first = node->input_count, old_count = node->implicit_count;
  const uint32_t body_count = kp_node_body_count(node);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < old_count; ++i) {
    if (!capture_is_used(node, i)) {
      unlink_use(graph, id, first + i);
      continue;
    }
    const uint32_t slot = node->use_slots[first + i];
    node->implicit[kept] = node->implicit[i];
    node->use_slots[first + kept] = slot;
    graph->values[node->implicit[kept]].use_inputs[slot] = first + kept;
    for (uint32_t b = 0; b < body_count; ++b) {
      kp_value_id* captures = kp_node_body(node, b)->captures;
      captures[kept] = captures[i];
    }
    ++kept;
  }
  node->implicit_count = kept;
  for (uint32_t b = 0; b < body_count; ++b) kp_node_body(node, b)->capture_count = kept;
  return kept < old_count;
}
