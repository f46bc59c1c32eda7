// From kp_graph to the messages of onnx.proto. Graphs, nodes and types are made anew in an arena; names, attributes and weights are viewed.
//
// Names: a value of the main graph has its own. What a body captures has the outer value's name, since that is how files capture; a
// body's own values are renamed where an outer or earlier one has that name.
#include "graph/export.h"

#include "base/alloc.h"
#include "graph/schema.h"
#include "onnx/writer.h"

typedef struct exporter {
  kp_model* model;
  kp_arena arena;
  kp_interner taken;  // names of values given out so far; and of nodes
  kp_interner nodes;
  kp_onnx_opset* opsets;
  size_t opset_count;
  uint32_t fresh;
} exporter;

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "the model's file"); }

#define NEW_ARRAY(e, type, count) kp_arena_new_array(&(e)->arena, type, (size_t)(count) + 1)

// --- types -------------------------------------------------------------------------------------------------------------------
static kp_status* put_dims(exporter* e, const kp_type* type, kp_onnx_type* out) {
  kp_onnx_dim* dims = NEW_ARRAY(e, kp_onnx_dim, type->rank);
  if (!dims) return no_memory();
  for (int32_t d = 0; d < type->rank; ++d) {
    dims[d].value = type->dims[d];
    if (kp_is_number(type->dims[d])) continue;
    dims[d].value = -1;
    kp_strbuf text = {0};
    kp_expr_describe(&e->model->symbols, type->dims[d], &text);
    if (text.length && !strchr(text.data, '?')) {
      dims[d].param.data = kp_arena_strndup(&e->arena, text.data, text.length);
      dims[d].param.length = text.length;
    }
    kp_strbuf_free(&text);
  }
  out->has_shape = true;
  out->dims = dims;
  out->rank = (size_t)type->rank;
  return NULL;
}

static kp_status* put_type(exporter* e, const kp_type* type, int depth, kp_onnx_type* out) {
  static const kp_onnx_type_kind kinds[] = {[KAPELL_KIND_TENSOR] = KP_ONNX_TYPE_TENSOR,
                                            [KAPELL_KIND_SPARSE] = KP_ONNX_TYPE_SPARSE,
                                            [KAPELL_KIND_SEQUENCE] = KP_ONNX_TYPE_SEQUENCE,
                                            [KAPELL_KIND_MAP] = KP_ONNX_TYPE_MAP,
                                            [KAPELL_KIND_OPTIONAL] = KP_ONNX_TYPE_OPTIONAL};
  if (type->kind == KAPELL_KIND_NONE || depth > 64) return NULL;
  out->kind = kinds[type->kind];
  out->element = (int32_t)type->element;
  if ((type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_SPARSE) && type->rank >= 0)
    KP_PASS(put_dims(e, type, out));
  if (!type->inner) return NULL;
  kp_onnx_type* inner = kp_arena_new(&e->arena, kp_onnx_type);
  if (!inner) return no_memory();
  out->inner = inner;
  return put_type(e, type->inner, depth + 1, inner);
}

static kp_status* put_infos(exporter* e, const kp_graph* graph, const kp_str* names,
                            const kp_value_id* values, uint32_t count,
                            const kp_onnx_value_info** out, size_t* out_count) {
  kp_onnx_value_info* infos = NEW_ARRAY(e, kp_onnx_value_info, count);
  if (!infos) return no_memory();
  for (uint32_t i = 0; i < count; ++i) {
    infos[i].name = names[values[i]];
    KP_PASS(put_type(e, &graph->values[values[i]].type, 0, &infos[i].type));
  }
  *out = infos;
  *out_count = count;
  return NULL;
}

// --- names -------------------------------------------------------------------------------------------------------------------
// |unique|: another name where |taken| has that one.
static kp_status* give_name(exporter* e, kp_interner* taken, const char* wanted, bool unique,
                            kp_str* out) {
  const char* name = wanted;
  while (unique && kp_intern_find(taken, kp_str_of(name))) {
    name = kp_arena_printf(&e->arena, "%s_%u", wanted, ++e->fresh);
    if (!name) return no_memory();
  }
  *out = kp_str_of(name);
  return kp_intern(taken, *out) ? NULL : no_memory();
}

// |outer|: names of the graph around a body whose node is |owner|; NULL for the main graph.
static kp_status* name_values(exporter* e, const kp_graph* graph, const kp_node* owner,
                              const kp_str* outer, kp_str* names) {
  for (uint32_t c = 0; outer && c < graph->capture_count; ++c)
    if (graph->captures[c] != KP_NONE) names[graph->captures[c]] = outer[owner->implicit[c]];
  for (kp_value_id v = 0; v < graph->value_count; ++v)
    if (!names[v].data)
      KP_PASS(give_name(e, &e->taken, graph->values[v].name, outer != NULL, &names[v]));
  return NULL;
}

// --- weights -----------------------------------------------------------------------------------------------------------------
static kp_status* put_tensor(exporter* e, const kapell_value* value, kp_onnx_tensor* out) {
  if (value->kind != KAPELL_KIND_TENSOR || value->memory)
    return KP_ERROR(UNSUPPORTED, "a constant that is no dense tensor on the host");
  out->dims = value->dims;
  out->rank = (size_t)value->rank;
  return kp_onnx_put_elements(&e->arena, value->type, value->data, kp_value_count(value), out);
}

static bool is_weight(const kp_value* value) {
  return value->constant && (value->use_count || value->output_refs);
}

static kp_status* put_weights(exporter* e, const kp_graph* graph, const kp_str* names,
                              kp_onnx_graph* out) {
  size_t count = 0;
  for (kp_value_id v = 0; v < graph->value_count; ++v) count += is_weight(&graph->values[v]);
  kp_onnx_tensor* tensors = NEW_ARRAY(e, kp_onnx_tensor, count);
  if (!tensors) return no_memory();
  for (kp_value_id v = 0; v < graph->value_count; ++v) {
    if (!is_weight(&graph->values[v])) continue;
    tensors[out->initializer_count].name = names[v];
    KP_TRY(put_tensor(e, graph->values[v].constant, &tensors[out->initializer_count++]),
           "writing '%s'", graph->values[v].name);
  }
  out->initializers = tensors;
  return NULL;
}

// --- nodes -------------------------------------------------------------------------------------------------------------------
static kp_status* put_graph(exporter* e, kp_graph* graph, const kp_node* owner, const kp_str* outer,
                            kp_onnx_graph* out);

static kp_status* put_graphs(exporter* e, const kp_node* node, kp_graph* const* bodies,
                             size_t count, const kp_str* names, const kp_onnx_graph** out) {
  kp_onnx_graph* graphs = NEW_ARRAY(e, kp_onnx_graph, count);
  if (!graphs) return no_memory();
  for (size_t i = 0; i < count; ++i) KP_PASS(put_graph(e, bodies[i], node, names, &graphs[i]));
  *out = graphs;
  return NULL;
}

static kp_status* put_tensors(exporter* e, kapell_value* const* values, size_t count,
                              const kp_onnx_tensor** out) {
  kp_onnx_tensor* tensors = NEW_ARRAY(e, kp_onnx_tensor, count);
  if (!tensors) return no_memory();
  for (size_t i = 0; i < count; ++i) KP_PASS(put_tensor(e, values[i], &tensors[i]));
  *out = tensors;
  return NULL;
}

static kp_status* put_types(exporter* e, const kp_type* types, size_t count,
                            const kp_onnx_type** out) {
  kp_onnx_type* made = NEW_ARRAY(e, kp_onnx_type, count);
  if (!made) return no_memory();
  for (size_t i = 0; i < count; ++i) KP_PASS(put_type(e, &types[i], 0, &made[i]));
  *out = made;
  return NULL;
}

static kp_status* put_attr(exporter* e, const kp_node* node, const kp_attr* attr,
                           const kp_str* names, kp_onnx_attr* out) {
  out->name = kp_str_of(attr->name);
  out->type = attr->type;
  out->count = attr->count;
  switch (attr->type) {
    case KP_ONNX_ATTR_FLOAT:
      out->f = attr->f;
      return NULL;
    case KP_ONNX_ATTR_INT:
      out->i = attr->i;
      return NULL;
    case KP_ONNX_ATTR_STRING:
      out->s = attr->s;
      return NULL;
    case KP_ONNX_ATTR_FLOATS:
      out->floats = attr->floats;
      return NULL;
    case KP_ONNX_ATTR_INTS:
      out->ints = attr->ints;
      return NULL;
    case KP_ONNX_ATTR_STRINGS:
      out->strings = attr->strings;
      return NULL;
    case KP_ONNX_ATTR_TENSOR:
      return put_tensors(e, &attr->tensor, 1, &out->t);
    case KP_ONNX_ATTR_TENSORS:
      return put_tensors(e, attr->tensors, attr->count, &out->tensors);
    case KP_ONNX_ATTR_GRAPH:
      return put_graphs(e, node, &attr->graph, 1, names, &out->g);
    case KP_ONNX_ATTR_GRAPHS:
      return put_graphs(e, node, attr->graphs, attr->count, names, &out->graphs);
    case KP_ONNX_ATTR_TYPE_PROTO:
      return put_types(e, attr->type_proto, 1, &out->tp);
    case KP_ONNX_ATTR_TYPE_PROTOS:
      return put_types(e, attr->types, attr->count, &out->tps);
    default:
      return KP_ERROR(UNSUPPORTED, "attribute '%s' of a kind that is not written", attr->name);
  }
}

static kp_status* put_names(exporter* e, const kp_str* names, const kp_value_id* values,
                            uint32_t count, const kp_str** out, size_t* out_count) {
  kp_str* list = NEW_ARRAY(e, kp_str, count);
  if (!list) return no_memory();
  for (uint32_t i = 0; i < count; ++i)
    list[i] = values[i] == KP_NONE ? kp_str_of("") : names[values[i]];
  *out = list;
  *out_count = count;
  return NULL;
}

static kp_status* put_node(exporter* e, const kp_node* node, const kp_str* names,
                           kp_onnx_node* out) {
  KP_PASS(give_name(e, &e->nodes, node->name, true, &out->name));
  out->op_type = kp_str_of(node->op);
  out->domain = kp_str_of(node->domain);
  KP_PASS(put_names(e, names, node->inputs, node->input_count, &out->inputs, &out->input_count));
  KP_PASS(
      put_names(e, names, node->outputs, node->output_count, &out->outputs, &out->output_count));
  kp_onnx_attr* attrs = NEW_ARRAY(e, kp_onnx_attr, node->attr_count);
  if (!attrs) return no_memory();
  for (uint32_t i = 0; i < node->attr_count; ++i)
    KP_PASS(put_attr(e, node, &node->attrs[i], names, &attrs[i]));
  out->attrs = attrs;
  out->attr_count = node->attr_count;
  return NULL;
}

static kp_status* put_graph(exporter* e, kp_graph* graph, const kp_node* owner, const kp_str* outer,
                            kp_onnx_graph* out) {
  KP_PASS(kp_graph_order(graph));
  kp_str* names = NEW_ARRAY(e, kp_str, graph->value_count);
  kp_onnx_node* nodes = NEW_ARRAY(e, kp_onnx_node, graph->order_count);
  if (!names || !nodes) return no_memory();
  KP_PASS(name_values(e, graph, owner, outer, names));
  out->name = kp_str_of(graph->name && graph->name[0] ? graph->name : outer ? "body" : "graph");
  KP_PASS(put_infos(e, graph, names, graph->inputs, graph->input_count, &out->inputs,
                    &out->input_count));
  KP_PASS(put_infos(e, graph, names, graph->outputs, graph->output_count, &out->outputs,
                    &out->output_count));
  KP_PASS(put_weights(e, graph, names, out));
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node* node = &graph->nodes[graph->order[i]];
    KP_TRY(put_node(e, node, names, &nodes[i]), "writing node '%s'", node->name);
  }
  out->nodes = nodes;
  out->node_count = graph->order_count;
  return NULL;
}

// --- versions ----------------------------------------------------------------------------------------------------------------
static kp_onnx_opset* find_opset(exporter* e, const char* domain) {
  for (size_t i = 0; i < e->opset_count; ++i)
    if (kp_str_is(e->opsets[i].domain, domain)) return &e->opsets[i];
  return NULL;
}

typedef kp_status* (*visit_fn)(exporter* e, const kp_node* node);

static kp_status* visit_nodes(exporter* e, const kp_graph* graph, visit_fn visit) {
  for (uint32_t n = 0; n < graph->node_count; ++n) {
    const kp_node* node = &graph->nodes[n];
    if (node->removed) continue;
    KP_PASS(visit(e, node));
    for (uint32_t b = 0; b < kp_node_body_count(node); ++b)
      KP_PASS(visit_nodes(e, kp_node_body(node, b), visit));
  }
  return NULL;
}

// Domains that the file did not import come with the first node; of versions the newest that a rewrite used.
static kp_status* raise_import(exporter* e, const kp_node* node) {
  kp_onnx_opset* opset = find_opset(e, node->domain);
  if (strcmp(node->domain, "kapell") == 0)
    return KP_ERROR(UNSUPPORTED, "%s '%s' is an operator of our own", node->op, node->name);
  if (opset && (!node->schema ||
                kp_schema_find(opset->domain, kp_str_of(node->op), opset->version) == node->schema))
    return NULL;
  if (!opset) {
    kp_onnx_opset* grown = NEW_ARRAY(e, kp_onnx_opset, e->opset_count + 1);
    if (!grown) return no_memory();
    if (e->opset_count) memcpy(grown, e->opsets, e->opset_count * sizeof *grown);
    e->opsets = grown;
    opset = &grown[e->opset_count++];
    opset->domain = kp_str_of(node->domain);
  }
  if (node->version > opset->version) opset->version = node->version;
  return NULL;
}

static kp_status* check_import(exporter* e, const kp_node* node) {
  const kp_onnx_opset* opset = find_opset(e, node->domain);
  if (!node->schema ||
      kp_schema_find(opset->domain, kp_str_of(node->op), opset->version) == node->schema)
    return NULL;
  return KP_ERROR(UNSUPPORTED, "%s '%s' of version %d does not fit among operators of version %lld",
                  node->op, node->name, (int)node->version, (long long)opset->version);
}

static kp_status* choose_imports(exporter* e) {
  const kp_onnx_model* source = e->model->source;
  e->opsets = NEW_ARRAY(e, kp_onnx_opset, source->opset_count);
  if (!e->opsets) return no_memory();
  for (size_t i = 0; i < source->opset_count; ++i) {
    e->opsets[i] = source->opsets[i];
    if (kp_str_is(e->opsets[i].domain, "ai.onnx")) e->opsets[i].domain = kp_str_of("");
  }
  e->opset_count = source->opset_count;
  KP_PASS(visit_nodes(e, e->model->graph, raise_import));
  return visit_nodes(e, e->model->graph, check_import);
}

// --- the whole ---------------------------------------------------------------------------------------------------------------
static kp_status* export_model(exporter* e, void** out_bytes, size_t* out_size) {
  const kp_onnx_model* source = e->model->source;
  KP_PASS(choose_imports(e));
  kp_onnx_model out = {.ir_version = source->ir_version < 4 ? 4 : source->ir_version,
                       .model_version = source->model_version,
                       .producer_name = source->producer_name,
                       .producer_version = source->producer_version,
                       .domain = source->domain,
                       .doc = source->doc,
                       .opsets = e->opsets,
                       .opset_count = e->opset_count,
                       .has_graph = true,
                       .metadata = source->metadata,
                       .metadata_count = source->metadata_count};
  KP_PASS(put_graph(e, e->model->graph, NULL, NULL, &out.graph));
  out.graph.name = source->graph.name;
  out.graph.doc = source->graph.doc;
  return kp_onnx_write_bytes(&out, out_bytes, out_size);
}

kp_status* kp_graph_export(kp_model* model, void** out_bytes, size_t* out_size) {
  exporter e = {.model = model};
  *out_bytes = NULL;
  kp_interner_init(&e.taken);
  kp_interner_init(&e.nodes);
  kp_status* status = export_model(&e, out_bytes, out_size);
  kp_interner_free(&e.taken);
  kp_interner_free(&e.nodes);
  kp_arena_free(&e.arena);
  return status;
}
