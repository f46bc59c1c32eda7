// What clients may ask of the graphs that they make: values by name, who makes and reads them. All of it is filled at once when something
// is asked, and again after a change; handles stay the same.
#include <string.h>

#include "base/alloc.h"
#include "graph/schema.h"
#include "ort/model.h"
#include "ort/model_metadata.h"

void kp_ort_made_changed(kp_ort_made_graph* graph) {
  if (!graph->base.filled) return;
  graph->base.filled = false;
  for (size_t i = 0; i < graph->node_count; ++i) graph->nodes[i]->base.filled = false;
  OrtValueInfo** const lists[] = {graph->inputs, graph->outputs, graph->inner};
  const size_t counts[] = {graph->input_count, graph->output_count, graph->inner_count};
  for (size_t k = 0; k < 3; ++k)
    for (size_t i = 0; i < counts[k]; ++i) lists[k][i]->filled = false;
}

// --- values by name --------------------------------------------------------------------------------------------------------------
typedef struct filling {
  kp_ort_made_graph* graph;
  kp_interner names;
  kp_ptr_map places;      // interned name -> place in |values|
  OrtValueInfo** values;  // one of each name
  size_t count, capacity;
} filling;

// The value called |name|: the first of |offered| (NULL: a new inner one), of those that were seen.
static kp_status* place_of(filling* f, const char* name, OrtValueInfo* offered,
                           OrtValueInfo** out) {
  uint32_t place;
  const char* key = kp_intern(&f->names, kp_str_of(name));
  if (!key) return KP_ERROR(OUT_OF_MEMORY, "the values of a graph");
  if (kp_ptr_map_get(&f->places, key, &place)) {
    *out = f->values[place];
    return NULL;
  }
  if (f->count == f->capacity) {
    const size_t capacity = f->capacity ? 2 * f->capacity : 64;
    OrtValueInfo** values = kp_realloc_array(f->values, capacity, sizeof *values);
    if (!values) return KP_ERROR(OUT_OF_MEMORY, "the values of a graph");
    f->values = values;
    f->capacity = capacity;
  }
  if (!offered) {
    OrtValueInfo* made = kp_alloc_zero(1, sizeof *made);
    OrtValueInfo** slot =
        made ? kp_ort_append((void**)&f->graph->inner, &f->graph->inner_count, sizeof *slot) : NULL;
    if (slot) *slot = offered = made;
    if (!slot) kp_free(made);
    if (offered) offered->name = kp_strdup(name);
    if (!offered || !offered->name) return KP_ERROR(OUT_OF_MEMORY, "the values of a graph");
    offered->graph = &f->graph->base;
  }
  KP_PASS(kp_ptr_map_put(&f->places, key, (uint32_t)f->count));
  f->values[f->count++] = offered;
  *out = offered;
  return NULL;
}

static void forget(OrtValueInfo* value) {
  *value = (OrtValueInfo){.graph = value->graph, .name = value->name, .type = value->type};
}

static kp_status* take_list(filling* f, OrtValueInfo* const* list, size_t count) {
  OrtValueInfo* held;
  for (size_t i = 0; i < count; ++i) {
    forget(list[i]);
    KP_PASS(place_of(f, list[i]->name, list[i], &held));
  }
  return NULL;
}

static kp_status* take_initializers(filling* f) {
  kp_ort_made_graph* graph = f->graph;
  const OrtValueInfo** list =
      kp_arena_new_array(&graph->lists, const OrtValueInfo*, graph->initializer_count + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "the initializers of a graph");
  for (size_t i = 0; i < graph->initializer_count; ++i) {
    OrtValueInfo* value;
    KP_PASS(place_of(f, graph->initializers[i].name, NULL, &value));
    value->has_initial = value->is_constant = true;
    value->initial = graph->initializers[i].value;
    list[i] = value;
  }
  graph->base.initializers = list;
  graph->base.initializer_count = graph->initializer_count;
  return NULL;
}

// --- nodes -----------------------------------------------------------------------------------------------------------------------
static kp_status* name_values(filling* f, const kp_str* names, size_t count,
                              const OrtValueInfo*** out) {
  const OrtValueInfo** list = kp_arena_new_array(&f->graph->lists, const OrtValueInfo*, count + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "the values of a node");
  for (size_t i = 0; i < count; ++i) {
    OrtValueInfo* value = NULL;
    if (names[i].length) KP_PASS(place_of(f, names[i].data, NULL, &value));
    list[i] = value;
  }
  *out = list;
  return NULL;
}

// The version that governs the operator; 0 where the model does not say.
static int since(const kp_ort_made_graph* graph, const OrtNode* node) {
  const OrtModel* model = graph->model;
  const char* domain = strcmp(node->domain, "ai.onnx") == 0 ? "" : node->domain;
  for (size_t i = 0; model && i < model->opset_count; ++i) {
    const kp_str have = model->opsets[i].domain;
    if (!kp_str_is(kp_str_is(have, "ai.onnx") ? kp_str_of("") : have, domain)) continue;
    const int64_t version = model->opsets[i].version;
    const kp_op_schema* schema = kp_schema_find(kp_str_of(domain), kp_str_of(node->op), version);
    return schema ? schema->since : (int)version;
  }
  return 0;
}

static kp_status* take_nodes(filling* f) {
  kp_ort_made_graph* graph = f->graph;
  const OrtNode** list = kp_arena_new_array(&graph->lists, const OrtNode*, graph->node_count + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "the nodes of a graph");
  for (size_t n = 0; n < graph->node_count; ++n) {
    kp_ort_made_node* node = graph->nodes[n];
    OrtNode* base = &node->base;
    KP_PASS(name_values(f, node->inputs, node->input_count, &base->inputs));
    KP_PASS(name_values(f, node->outputs, node->output_count, &base->outputs));
    base->input_count = node->input_count;
    base->output_count = node->output_count;
    base->since = since(graph, base);
    for (size_t i = 0; i < node->output_count; ++i) {
      OrtValueInfo* value = (OrtValueInfo*)(uintptr_t)base->outputs[i];
      if (!value || value->producer) continue;
      value->producer = base;
      value->producer_output = i;
    }
    list[n] = base;
  }
  graph->base.nodes = list;
  graph->base.node_count = graph->node_count;
  return NULL;
}

// Counts, then room for each value's, then the uses themselves.
static kp_status* take_uses(kp_ort_made_graph* graph) {
  size_t total = 0;
  for (size_t n = 0; n < graph->node_count; ++n) total += graph->nodes[n]->input_count;
  kp_ort_use* room = kp_arena_new_array(&graph->lists, kp_ort_use, total + 1);
  if (!room) return KP_ERROR(OUT_OF_MEMORY, "the uses of values");
  for (int pass = 0; pass < 2; ++pass)
    for (size_t n = 0; n < graph->node_count; ++n) {
      const OrtNode* node = &graph->nodes[n]->base;
      for (size_t i = 0; i < node->input_count; ++i) {
        OrtValueInfo* value = (OrtValueInfo*)(uintptr_t)node->inputs[i];
        if (!value) continue;
        if (pass == 0) {
          ++value->use_count;
          continue;
        }
        if (!value->uses) {
          value->uses = room;
          room += value->use_count;
          value->use_count = 0;
        }
        ((kp_ort_use*)(uintptr_t)value->uses)[value->use_count++] = (kp_ort_use){node, (int64_t)i};
      }
    }
  return NULL;
}

// --- the graph -------------------------------------------------------------------------------------------------------------------
static kp_status* take_opsets(kp_ort_made_graph* graph) {
  const OrtModel* model = graph->model;
  const size_t count = model ? model->opset_count : 0;
  const char** domains = kp_arena_new_array(&graph->lists, const char*, count + 1);
  int64_t* versions = kp_arena_new_array(&graph->lists, int64_t, count + 1);
  if (!domains || !versions) return KP_ERROR(OUT_OF_MEMORY, "the operator sets of a graph");
  for (size_t i = 0; i < count; ++i) {
    domains[i] = model->opsets[i].domain.data;
    versions[i] = model->opsets[i].version;
  }
  graph->base.domains = domains;
  graph->base.versions = versions;
  graph->base.opset_count = count;
  return NULL;
}

// Several handles may be of one name: an input that is an output, a value that got a place in a list later.
static kp_status* copy_to_others(filling* f, OrtValueInfo* const* list, size_t count) {
  OrtValueInfo* held;
  for (size_t i = 0; i < count; ++i) {
    OrtValueInfo* value = list[i];
    KP_PASS(place_of(f, value->name, value, &held));
    if (held != value) {
      OrtTypeInfo* const type = value->type;
      const char* const name = value->name;
      *value = *held;
      value->type = type;
      value->name = name;
    }
  }
  for (size_t i = 0; i < count; ++i) list[i]->filled = true;
  return NULL;
}

static kp_status* take_all(filling* f) {
  kp_ort_made_graph* graph = f->graph;
  OrtGraph* base = &graph->base;
  OrtValueInfo* held;
  KP_PASS(take_list(f, graph->inputs, graph->input_count));
  KP_PASS(take_list(f, graph->outputs, graph->output_count));
  KP_PASS(take_list(f, graph->inner, graph->inner_count));
  KP_PASS(take_initializers(f));
  KP_PASS(take_nodes(f));
  KP_PASS(take_uses(graph));
  KP_PASS(take_opsets(graph));
  for (size_t i = 0; i < graph->input_count; ++i) {
    OrtValueInfo* value = graph->inputs[i];
    value->is_optional_input = value->has_initial;
    value->is_required_input = !value->has_initial;
    value->is_constant = false;
  }
  for (size_t i = 0; i < graph->output_count; ++i) {
    KP_PASS(place_of(f, graph->outputs[i]->name, NULL, &held));
    held->is_output = true;
  }
  KP_PASS(copy_to_others(f, graph->inputs, graph->input_count));
  KP_PASS(copy_to_others(f, graph->outputs, graph->output_count));
  KP_PASS(copy_to_others(f, graph->inner, graph->inner_count));
  base->inputs = (const OrtValueInfo**)(uintptr_t)graph->inputs;
  base->input_count = graph->input_count;
  base->outputs = (const OrtValueInfo**)(uintptr_t)graph->outputs;
  base->output_count = graph->output_count;
  return NULL;
}

static OrtStatus* fill_graph(OrtGraph* base) {
  kp_ort_made_graph* graph = kp_ort_made_graph_of(base);
  if (base->filled) return NULL;
  filling f = {.graph = graph};
  kp_arena_reset(&graph->lists);
  kp_interner_init(&f.names);
  kp_status* status = take_all(&f);
  kp_ptr_map_free(&f.places);
  kp_interner_free(&f.names);
  kp_free(f.values);
  if (status) return kp_ort_status(status);
  for (size_t i = 0; i < graph->node_count; ++i) graph->nodes[i]->base.filled = true;
  base->filled = true;
  return NULL;
}

static OrtStatus* fill_node(OrtNode* node) { return fill_graph(node->graph); }
static OrtStatus* fill_value(OrtValueInfo* value) { return fill_graph(value->graph); }

// Values that have a name alone: the type of what they hold, or an unknown one.
static OrtStatus* fill_type(OrtValueInfo* value) {
  KP_ORT_PASS(fill_graph(value->graph));
  if (value->type) return NULL;
  return value->initial ? ort_GetTypeInfo(value->initial, &value->type)
                        : kp_ort_type_info_create(ONNX_TYPE_UNKNOWN, &value->type);
}

static OrtStatus* fill_initial(OrtValueInfo* value) { return fill_graph(value->graph); }

static OrtStatus* parent(const OrtGraph* graph, const OrtNode** out) {
  (void)graph;
  *out = NULL;
  return NULL;
}

static OrtStatus* external(const OrtValueInfo* value, OrtExternalInitializerInfo** out) {
  (void)value;
  *out = NULL;
  return NULL;
}

static OrtStatus* metadata(const OrtGraph* graph, OrtModelMetadata** out) {
  (void)graph;
  return kp_ort_metadata_of(NULL, out);
}

static OrtStatus* part(const OrtGraph* graph, const OrtNode* const* nodes, size_t count,
                       OrtGraph** out) {
  (void)graph;
  (void)nodes;
  (void)out;
  return kp_ort_error(
      ORT_NOT_IMPLEMENTED,
      "a part of %zu nodes of a graph that is still being made: open a session of it", count);
}

const kp_ort_graph_kind kp_ort_made_kind = {.fill_graph = fill_graph,
                                            .fill_node = fill_node,
                                            .fill_value = fill_value,
                                            .fill_type = fill_type,
                                            .fill_initial = fill_initial,
                                            .parent = parent,
                                            .external = external,
                                            .metadata = metadata,
                                            .part = part,
                                            .release = kp_ort_made_release};
