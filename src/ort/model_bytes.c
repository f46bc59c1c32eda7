// From clients' objects to the messages of a file, and those to bytes.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "graph/schema.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "ort/model.h"
#include "ort/options.h"
#include "ort/value.h"

// --- types, tensors, attributes --------------------------------------------------------------------------------------------------
static bool put_type(kp_arena* arena, const OrtTypeInfo* from, kp_onnx_type* to);

static bool put_inner(kp_arena* arena, const OrtTypeInfo* from, kp_onnx_type* to) {
  kp_onnx_type* inner = kp_arena_new(arena, kp_onnx_type);
  to->inner = inner;
  return inner && put_type(arena, from, inner);
}

static bool put_shape(kp_arena* arena, const OrtTensorTypeAndShapeInfo* from, kp_onnx_type* to) {
  to->element = (int32_t)kp_ort_type_from(from->type);
  to->has_shape =
      from->has_shape && from->rank;  // without dims: any shape, as clients that know none say it
  to->rank = from->rank;
  kp_onnx_dim* dims = kp_arena_new_array(arena, kp_onnx_dim, from->rank + 1);
  to->dims = dims;
  for (size_t d = 0; dims && d < from->rank; ++d) {
    dims[d].value = from->dims[d] >= 0 ? from->dims[d] : -1;
    if (from->dims[d] < 0) dims[d].param = kp_str_of(from->symbols[d]);
  }
  return dims != NULL;
}

// What is in |to| points into |from|. False without memory.
static bool put_type(kp_arena* arena, const OrtTypeInfo* from, kp_onnx_type* to) {
  *to = (kp_onnx_type){0};
  switch (from ? from->type : ONNX_TYPE_UNKNOWN) {
    case ONNX_TYPE_TENSOR:
    case ONNX_TYPE_SPARSETENSOR:
      to->kind = from->type == ONNX_TYPE_TENSOR ? KP_ONNX_TYPE_TENSOR : KP_ONNX_TYPE_SPARSE;
      return put_shape(arena, &from->tensor, to);
    case ONNX_TYPE_SEQUENCE:
      to->kind = KP_ONNX_TYPE_SEQUENCE;
      return put_inner(arena, from->sequence.element, to);
    case ONNX_TYPE_OPTIONAL:
      to->kind = KP_ONNX_TYPE_OPTIONAL;
      return put_inner(arena, from->optional.contained, to);
    case ONNX_TYPE_MAP:
      to->kind = KP_ONNX_TYPE_MAP;
      to->element = (int32_t)kp_ort_type_from(from->map.key);
      return put_inner(arena, from->map.value, to);
    default:
      return true;
  }
}

static kp_status* put_tensor(kp_arena* arena, const char* name, const kapell_value* from,
                             kp_onnx_tensor* to) {
  *to = (kp_onnx_tensor){.name = kp_str_of(name), .dims = from->dims, .rank = (size_t)from->rank};
  return kp_onnx_put_elements(arena, from->type, from->data, kapell_tensor_count(from), to);
}

// Large initializers are not serialised: sessions take the values themselves (kp_ort_model_lend), whatever their size.
static bool is_lent(const kapell_value* value) {
  enum { kLeast = 64 << 10 };
  return value->kind == KAPELL_KIND_TENSOR && value->type != KAPELL_STRING && !value->memory &&
         value->byte_count >= kLeast;
}

static kp_status* put_initializer(kp_arena* arena, const char* name, const kapell_value* from,
                                  kp_onnx_tensor* to) {
  static const kp_onnx_entry nowhere = {{"location", 8}, {"in-memory", 9}};
  KP_PASS(put_tensor(arena, name, from, to));
  if (!is_lent(from)) return NULL;
  to->has_raw = false;
  to->raw = (kp_str){0};
  to->external = true;
  to->external_data = &nowhere;
  to->external_count = 1;
  return NULL;
}

static kp_status* put_attr(kp_arena* arena, const kp_attr* from, kp_onnx_attr* to) {
  *to = (kp_onnx_attr){.name = kp_str_of(from->name), .type = from->type};
  switch (from->type) {
    case KP_ONNX_ATTR_FLOAT:
      to->f = from->f;
      break;
    case KP_ONNX_ATTR_INT:
      to->i = from->i;
      break;
    case KP_ONNX_ATTR_STRING:
      to->s = from->s;
      break;
    case KP_ONNX_ATTR_FLOATS:
      to->floats = from->floats;
      break;
    case KP_ONNX_ATTR_INTS:
      to->ints = from->ints;
      break;
    case KP_ONNX_ATTR_STRINGS:
      to->strings = from->strings;
      break;
    case KP_ONNX_ATTR_TENSOR: {
      kp_onnx_tensor* tensor = kp_arena_new(arena, kp_onnx_tensor);
      if (!tensor) return KP_ERROR(OUT_OF_MEMORY, "an attribute");
      to->t = tensor;
      return put_tensor(arena, "", from->tensor, tensor);
    }
    default:
      break;
  }
  if (from->type >= KP_ONNX_ATTR_FLOATS) to->count = from->count;
  return NULL;
}

static kp_status* put_attrs(kp_arena* arena, OrtOpAttr* const* from, size_t count,
                            kp_onnx_node* to) {
  kp_onnx_attr* attrs = kp_arena_new_array(arena, kp_onnx_attr, count + 1);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "attributes");
  for (size_t i = 0; i < count; ++i) KP_PASS(put_attr(arena, &from[i]->attr, &attrs[i]));
  to->attrs = attrs;
  to->attr_count = count;
  return NULL;
}

// --- one operator ----------------------------------------------------------------------------------------------------------------
OrtStatus* kp_ort_op_exists(const char* name, const char* domain, int version) {
  if (kp_schema_find(kp_str_of(domain), kp_str_of(name), version)) return NULL;
  return kp_ort_error(ORT_NOT_IMPLEMENTED, "there is no operator %s of version %d in domain '%s'",
                      name, version, domain);
}

static kp_status* put_op_inputs(kp_arena* arena, const OrtOp* op, const OrtValue* const* inputs,
                                kp_onnx_graph* graph, kp_str* names) {
  kp_onnx_value_info* infos = kp_arena_new_array(arena, kp_onnx_value_info, op->input_count + 1);
  if (!infos) return KP_ERROR(OUT_OF_MEMORY, "an operator");
  for (size_t i = 0; i < op->input_count; ++i) {
    if (!inputs[i]) continue;
    const char* name = kp_arena_printf(arena, "i%zu", i);
    if (!name) return KP_ERROR(OUT_OF_MEMORY, "an operator");
    names[i] = kp_str_of(name);
    kp_onnx_value_info* info = &infos[graph->input_count++];
    info->name = names[i];
    if (!inputs[i]->value || inputs[i]->value->kind != KAPELL_KIND_TENSOR) continue;
    info->type =
        (kp_onnx_type){.kind = KP_ONNX_TYPE_TENSOR, .element = (int32_t)inputs[i]->value->type};
  }
  graph->inputs = infos;
  return NULL;
}

static kp_status* put_op(kp_arena* arena, const OrtOp* op, const OrtValue* const* inputs,
                         kp_onnx_model* model) {
  kp_onnx_node* node = kp_arena_new(arena, kp_onnx_node);
  kp_onnx_opset* opset = kp_arena_new(arena, kp_onnx_opset);
  kp_str* ins = kp_arena_new_array(arena, kp_str, op->input_count + 1);
  kp_str* outs = kp_arena_new_array(arena, kp_str, op->output_count + 1);
  kp_onnx_value_info* infos = kp_arena_new_array(arena, kp_onnx_value_info, op->output_count + 1);
  if (!node || !opset || !ins || !outs || !infos) return KP_ERROR(OUT_OF_MEMORY, "an operator");
  for (size_t o = 0; o < op->output_count; ++o) {
    const char* name = kp_arena_printf(arena, "o%zu", o);
    if (!name) return KP_ERROR(OUT_OF_MEMORY, "an operator");
    infos[o].name = outs[o] = kp_str_of(name);
  }
  *node = (kp_onnx_node){.name = kp_str_of(op->name),
                         .op_type = kp_str_of(op->name),
                         .domain = kp_str_of(op->domain),
                         .inputs = ins,
                         .input_count = op->input_count,
                         .outputs = outs,
                         .output_count = op->output_count};
  KP_PASS(put_op_inputs(arena, op, inputs, &model->graph, ins));
  KP_PASS(put_attrs(arena, op->attrs, op->attr_count, node));
  *opset = (kp_onnx_opset){kp_str_of(op->domain), op->version};
  model->opsets = opset;
  model->opset_count = 1;
  model->graph.name = kp_str_of(op->name);
  model->graph.nodes = node;
  model->graph.node_count = 1;
  model->graph.outputs = infos;
  model->graph.output_count = op->output_count;
  return NULL;
}

OrtStatus* kp_ort_op_model(const OrtOp* op, const OrtValue* const* inputs, void** out_bytes,
                           size_t* out_size) {
  kp_arena arena = {0};
  kp_onnx_model model = {.ir_version = KP_ORT_IR_VERSION, .has_graph = true};
  kp_status* status = put_op(&arena, op, inputs, &model);
  if (!status) status = kp_onnx_write_bytes(&model, out_bytes, out_size);
  kp_arena_free(&arena);
  return kp_ort_status(status);
}

// --- graphs ----------------------------------------------------------------------------------------------------------------------
static kp_status* put_infos(kp_arena* arena, OrtValueInfo* const* from, size_t count,
                            const kp_onnx_value_info** out) {
  kp_onnx_value_info* infos = kp_arena_new_array(arena, kp_onnx_value_info, count + 1);
  if (!infos) return KP_ERROR(OUT_OF_MEMORY, "a graph");
  for (size_t i = 0; i < count; ++i) {
    infos[i].name = kp_str_of(from[i]->name);
    if (!put_type(arena, from[i]->type, &infos[i].type)) return KP_ERROR(OUT_OF_MEMORY, "a graph");
  }
  *out = infos;
  return NULL;
}

// The nodes and initializers of |from| behind those that |graph| has.
static kp_status* add_contents(kp_arena* arena, const kp_ort_made_graph* from,
                               kp_onnx_graph* graph) {
  const size_t nodes = graph->node_count, tensors = graph->initializer_count;
  kp_onnx_node* all = kp_arena_new_array(arena, kp_onnx_node, nodes + from->node_count + 1);
  kp_onnx_tensor* initializers =
      kp_arena_new_array(arena, kp_onnx_tensor, tensors + from->initializer_count + 1);
  if (!all || !initializers) return KP_ERROR(OUT_OF_MEMORY, "a graph");
  if (nodes) memcpy(all, graph->nodes, nodes * sizeof *all);
  if (tensors) memcpy(initializers, graph->initializers, tensors * sizeof *initializers);
  for (size_t i = 0; i < from->node_count; ++i) {
    const kp_ort_made_node* node = from->nodes[i];
    all[nodes + i] = (kp_onnx_node){.name = kp_str_of(node->base.name),
                                    .op_type = kp_str_of(node->base.op),
                                    .domain = kp_str_of(node->base.domain),
                                    .inputs = node->inputs,
                                    .input_count = node->input_count,
                                    .outputs = node->outputs,
                                    .output_count = node->output_count};
    KP_PASS(put_attrs(arena, node->attrs, node->attr_count, &all[nodes + i]));
  }
  for (size_t i = 0; i < from->initializer_count; ++i)
    KP_PASS(put_initializer(arena, from->initializers[i].name, from->initializers[i].value->value,
                            &initializers[tensors + i]));
  graph->nodes = all;
  graph->node_count = nodes + from->node_count;
  graph->initializers = initializers;
  graph->initializer_count = tensors + from->initializer_count;
  return NULL;
}

static kp_status* add_graph(kp_arena* arena, const kp_ort_made_graph* from, kp_onnx_graph* graph) {
  KP_PASS(add_contents(arena, from, graph));
  if (from->has_inputs) {
    KP_PASS(put_infos(arena, from->inputs, from->input_count, &graph->inputs));
    graph->input_count = from->input_count;
  }
  if (from->has_outputs) {
    KP_PASS(put_infos(arena, from->outputs, from->output_count, &graph->outputs));
    graph->output_count = from->output_count;
  }
  return NULL;
}

OrtStatus* kp_ort_model_bytes(const OrtModel* model, void** out_bytes, size_t* out_size) {
  if (!model->graph || !model->graph->has_outputs)
    return kp_ort_error(ORT_INVALID_GRAPH, "the model has no graph, or its graph no outputs");
  kp_arena arena = {0};
  kp_onnx_model message = {.ir_version = KP_ORT_IR_VERSION,
                           .has_graph = true,
                           .opsets = model->opsets,
                           .opset_count = model->opset_count,
                           .graph = {.name = kp_str_of("graph")}};
  kp_status* status = add_graph(&arena, model->graph, &message.graph);
  if (!status) status = kp_onnx_write_bytes(&message, out_bytes, out_size);
  kp_arena_free(&arena);
  return kp_ort_status(status);
}

// A client's own replacement goes before.
static OrtStatus* lend(OrtSessionOptions* options, const char* name, const OrtValue* value) {
  for (size_t i = 0; i < options->initializer_count; ++i)
    if (strcmp(options->initializers[i].name, name) == 0) return NULL;
  return ort_AddExternalInitializers(options, &name, &value, 1);
}

OrtStatus* kp_ort_model_lend(const OrtModel* model, OrtSessionOptions* options) {
  const kp_ort_made_graph* graph = model->graph;
  for (size_t i = 0; graph && i < graph->initializer_count; ++i) {
    const kp_ort_graph_tensor* given = &graph->initializers[i];
    if (is_lent(given->value->value)) KP_ORT_PASS(lend(options, given->name, given->value));
  }
  return NULL;
}

// --- augmenting ------------------------------------------------------------------------------------------------------------------
struct kp_ort_editor {
  kp_onnx_model* model;
  OrtSessionOptions* lent;  // has the initializers of models applied that are not serialised
  char* folder;
};

void kp_ort_editor_free(kp_ort_editor* editor) {
  if (!editor) return;
  kp_onnx_model_close(editor->model);
  kp_free(editor->folder);
  ort_ReleaseSessionOptions(editor->lent);
  kp_free(editor);
}

static OrtStatus* keep_folder(kp_ort_editor* editor, const char* path) {
  const char* slash = strrchr(path, '/');
  editor->folder = kp_strdup(slash ? path : ".");
  if (!editor->folder) return kp_ort_no_memory();
  if (slash) editor->folder[slash == path ? 1 : slash - path] = 0;
  return NULL;
}

OrtStatus* kp_ort_editor_open(const char* path, const void* data, size_t size,
                              kp_ort_editor** out) {
  *out = NULL;
  kp_ort_editor* editor = kp_alloc_zero(1, sizeof *editor);
  if (!editor) return kp_ort_no_memory();
  OrtStatus* status = kp_ort_status(path ? kp_onnx_read_file(path, NULL, &editor->model)
                                         : kp_onnx_read_bytes(data, size, NULL, &editor->model));
  if (!status && path) status = keep_folder(editor, path);
  if (!status) status = ort_CreateSessionOptions(&editor->lent);
  if (status) {
    kp_ort_editor_free(editor);
    return status;
  }
  *out = editor;
  return NULL;
}

static kp_str plain_domain(kp_str domain) {
  return kp_str_is(domain, "ai.onnx") ? kp_str_of("") : domain;
}

static const kp_onnx_opset* find_opset(const kp_onnx_model* model, kp_str domain) {
  for (size_t i = 0; i < model->opset_count; ++i)
    if (kp_str_equal(plain_domain(model->opsets[i].domain), plain_domain(domain)))
      return &model->opsets[i];
  return NULL;
}

static kp_status* add_opsets(kp_arena* arena, const OrtModel* from, const kp_onnx_model* old,
                             kp_onnx_model* merged) {
  kp_onnx_opset* opsets =
      kp_arena_new_array(arena, kp_onnx_opset, old->opset_count + from->opset_count + 1);
  if (!opsets) return KP_ERROR(OUT_OF_MEMORY, "a model");
  if (old->opset_count) memcpy(opsets, old->opsets, old->opset_count * sizeof *opsets);
  size_t count = old->opset_count;
  for (size_t i = 0; i < from->opset_count; ++i) {
    const kp_onnx_opset* known = find_opset(old, from->opsets[i].domain);
    if (!known)
      opsets[count++] = from->opsets[i];
    else if (known->version != from->opsets[i].version)
      return KP_ERROR(INVALID_ARGUMENT, "the model has version %lld of domain '%.*s', not %lld",
                      (long long)known->version, KP_STR_ARG(known->domain),
                      (long long)from->opsets[i].version);
  }
  merged->opsets = opsets;
  merged->opset_count = count;
  return NULL;
}

static kp_status* merge(kp_arena* arena, const OrtModel* from, const kp_onnx_model* old,
                        kp_onnx_model* merged) {
  KP_PASS(add_opsets(arena, from, old, merged));
  return from->graph ? add_graph(arena, from->graph, &merged->graph) : NULL;
}

OrtStatus* kp_ort_editor_apply(kp_ort_editor* editor, const OrtModel* model) {
  kp_arena arena = {0};
  kp_onnx_model merged = *editor->model,
                *made = NULL;  // shares what the old one has, for writing alone
  void* bytes = NULL;
  size_t size;
  kp_status* status = merge(&arena, model, editor->model, &merged);
  if (!status) status = kp_onnx_write_bytes(&merged, &bytes, &size);
  if (!status) status = kp_onnx_read_bytes(bytes, size, NULL, &made);
  kp_free(bytes);
  kp_arena_free(&arena);
  KP_ORT_TAKE(status);
  OrtStatus* refused = kp_ort_model_lend(model, editor->lent);
  if (refused) {
    kp_onnx_model_close(made);
    return refused;
  }
  kp_onnx_model_close(editor->model);
  editor->model = made;
  return NULL;
}

OrtStatus* kp_ort_editor_lend(const kp_ort_editor* editor, OrtSessionOptions* options) {
  for (size_t i = 0; i < editor->lent->initializer_count; ++i) {
    const kp_ort_initializer* given = &editor->lent->initializers[i];
    OrtValue* value;
    KP_ORT_PASS(kp_ort_value_wrap(kp_value_retain(given->value), &value));
    OrtStatus* status = lend(options, given->name, value);
    ort_ReleaseValue(value);
    KP_ORT_PASS(status);
  }
  return NULL;
}

OrtStatus* kp_ort_editor_bytes(const kp_ort_editor* editor, void** out_bytes, size_t* out_size) {
  return kp_ort_status(kp_onnx_write_bytes(editor->model, out_bytes, out_size));
}

OrtStatus* kp_ort_editor_opset(const kp_ort_editor* editor, const char* domain, int* out_version) {
  const kp_onnx_opset* opset = find_opset(editor->model, kp_str_of(domain));
  if (!opset) return kp_ort_error(ORT_INVALID_ARGUMENT, "Domain not used by model: '%s'", domain);
  *out_version = (int)opset->version;
  return NULL;
}

OrtStatus* kp_ort_editor_metadata(const kp_ort_editor* editor, const char* key,
                                  OrtAllocator* allocator, char** out) {
  *out = NULL;
  for (size_t i = 0; i < editor->model->metadata_count; ++i) {
    const kp_onnx_entry* entry = &editor->model->metadata[i];
    if (!kp_str_is(entry->key, key)) continue;
    *out = allocator->Alloc(allocator, entry->value.length + 1);
    if (!*out) return kp_ort_no_memory();
    if (entry->value.length) memcpy(*out, entry->value.data, entry->value.length);
    (*out)[entry->value.length] = 0;
    return NULL;
  }
  return NULL;
}

const char* kp_ort_editor_folder(const kp_ort_editor* editor) { return editor->folder; }
