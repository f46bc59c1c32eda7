// From the file's messages to a graph: the model as a whole and each graph of it. Nodes are in build_node.c, names in
// build_scope.c, calls of functions in build_call.c, tensors and types in build_value.c.
//
// Each graph is filled in two steps: first every name is declared (inputs, initializers, outputs of nodes), then the nodes are made.
// So the order of nodes in the file does not matter, a name given twice is found at once, and a circle shows when the graph is
// put in order. All is linear in the size of the expanded model.
#include "graph/build.h"

#include "base/alloc.h"
#include "base/log.h"
#include "graph/build_internal.h"
#include "onnx/reader.h"

#define DEFAULT_MAX_NODES 1000000u
#define DEFAULT_MAX_CALL_DEPTH 64u
#define FIRST_IR_WITH_OPSETS 3  // before, opset 1 is meant
#define FIRST_IR_WITH_OVERRIDES \
  4  // before, an initializer listed as input is a constant all the same

// --- one graph ---------------------------------------------------------------------------------------------------------
// A new value under |name|, behind the scope's prefix, declared.
static kp_status* declare_value(kp_builder* b, kp_scope* scope, kp_str name,
                                kp_value_id* out_value) {
  const char *plain, *full;
  KP_PASS(kp_build_intern(b, name, &plain));
  KP_PASS(kp_build_prefixed(b, scope, plain, &full));
  KP_PASS(kp_graph_add_named(scope->target->graph, full, out_value));
  return kp_build_declare_interned(scope, plain, *out_value);
}

static kp_status* set_type(kp_builder* b, kp_scope* scope, const kp_onnx_value_info* info,
                           kp_value_id id) {
  kp_graph* graph = scope->target->graph;
  if (graph->values[id].constant || info->type.kind == KP_ONNX_TYPE_NONE) return NULL;
  kp_type type;
  KP_TRY(kp_build_type(b, &graph->arena, scope->path, &info->type, &type), "type of '%.*s'",
         KP_STR_ARG(info->name));
  graph->values[id].type = type;
  return NULL;
}

// What an initializer that is listed as input too becomes.
static kp_status* add_initializer(kp_builder* b, kp_scope* scope, kp_str name, kapell_value* value,
                                  bool overridable) {
  kp_value_id id;
  kp_status* status = declare_value(b, scope, name, &id);
  if (status) {
    kp_value_release(value);
    return status;
  }
  if (overridable) return kp_graph_add_overridable(scope->target->graph, id, value);
  return kp_graph_set_constant(scope->target->graph, id, value);
}

// |inputs| holds the names of inputs. In a body every input is fed, so an initializer of the same name means nothing.
static kp_status* declare_initializer(kp_builder* b, kp_scope* scope, const kp_scope* inputs,
                                      const kp_onnx_tensor* dense, const kp_onnx_sparse* sparse) {
  const kp_str name = dense ? dense->name : sparse->values.name;
  const char* interned;
  uint32_t held;
  if (name.length == 0) return KP_ERROR(INVALID_MODEL, "an initializer has no name");
  KP_PASS(kp_build_intern(b, name, &interned));
  const bool is_input = kp_ptr_map_get(&inputs->names, interned, &held);
  if (is_input && scope->target->parent) return NULL;
  kapell_value* value;
  KP_TRY(dense ? kp_build_tensor(b->source, dense, &value)
               : kp_build_sparse(b->source, sparse, &value),
         "initializer '%s'", interned);
  const bool overridable = is_input && b->source->ir_version >= FIRST_IR_WITH_OVERRIDES;
  return add_initializer(b, scope, name, value, overridable);
}

static kp_status* declare_inputs(kp_builder* b, kp_scope* scope, const kp_onnx_graph* from) {
  for (size_t i = 0; i < from->input_count; ++i) {
    const kp_onnx_value_info* info = &from->inputs[i];
    kp_value_id id;
    const char* name;
    KP_PASS(kp_build_intern(b, info->name, &name));
    if (!kp_ptr_map_get(&scope->names, name, &id)) {
      KP_PASS(declare_value(b, scope, info->name, &id));
      KP_PASS(kp_graph_add_input(scope->target->graph, id));
    }
    KP_PASS(set_type(b, scope, info, id));
  }
  return NULL;
}

static kp_status* declare_constants_and_inputs(kp_builder* b, kp_scope* scope,
                                               const kp_onnx_graph* from) {
  const kp_scope form = {.target = scope->target, .prefix = "", .path = scope->path};
  kp_scope* inputs;
  KP_PASS(kp_build_push_scope(b, &form, &inputs));
  for (size_t i = 0; i < from->input_count; ++i) {
    if (from->inputs[i].name.length == 0)
      return KP_ERROR(INVALID_MODEL, "input %zu of the graph has no name", i);
    KP_TRY(kp_build_declare(b, inputs, from->inputs[i].name, 0), "inputs of the graph");
  }
  for (size_t i = 0; i < from->initializer_count; ++i) {
    KP_PASS(declare_initializer(b, scope, inputs, &from->initializers[i], NULL));
  }
  for (size_t i = 0; i < from->sparse_count; ++i) {
    KP_PASS(declare_initializer(b, scope, inputs, NULL, &from->sparse_initializers[i]));
  }
  return declare_inputs(b, scope, from);
}

static kp_status* declare_node_outputs(kp_builder* b, kp_scope* scope, const kp_onnx_graph* from) {
  for (size_t i = 0; i < from->node_count; ++i) {
    const kp_onnx_node* node = &from->nodes[i];
    for (size_t k = 0; k < node->output_count; ++k) {
      kp_value_id unused;
      if (node->outputs[k].length == 0) continue;
      kp_status* status = declare_value(b, scope, node->outputs[k], &unused);
      if (!status) continue;
      const kp_str name = kp_build_node_name(node);
      return kp_status_frame(status, __FILE__, __LINE__, "output %zu of node %zu '%.*s' (%.*s)", k,
                             i, KP_STR_ARG(name), KP_STR_ARG(node->op_type));
    }
  }
  return NULL;
}

// Types that the file states for values which the scope itself declares.
static kp_status* set_types(kp_builder* b, kp_scope* scope, const kp_onnx_value_info* infos,
                            size_t count) {
  for (size_t i = 0; i < count; ++i) {
    kp_value_id id;
    const char* name = kp_intern_find(&b->model->names, infos[i].name);
    if (!name || !kp_ptr_map_get(&scope->names, name, &id)) continue;
    KP_PASS(set_type(b, scope, &infos[i], id));
  }
  return NULL;
}

static kp_status* list_outputs(kp_builder* b, kp_scope* scope, const kp_onnx_graph* from) {
  for (size_t i = 0; i < from->output_count; ++i) {
    kp_value_id id;
    KP_TRY(kp_build_lookup(b, scope, from->outputs[i].name, &id), "output %zu of the graph", i);
    if (id == KP_NONE) return KP_ERROR(INVALID_MODEL, "output %zu of the graph has no name", i);
    KP_PASS(kp_graph_add_output(scope->target->graph, id));
  }
  return NULL;
}

kp_status* kp_build_graph(kp_builder* b, kp_scope* scope, const kp_onnx_graph* from) {
  KP_PASS(declare_constants_and_inputs(b, scope, from));
  KP_PASS(declare_node_outputs(b, scope, from));
  KP_PASS(set_types(b, scope, from->value_infos, from->value_info_count));
  KP_PASS(set_types(b, scope, from->outputs, from->output_count));
  for (size_t i = 0; i < from->node_count; ++i)
    KP_PASS(kp_build_node(b, scope, &from->nodes[i], (uint32_t)i));
  KP_PASS(list_outputs(b, scope, from));
  return kp_graph_order(scope->target->graph);
}

// --- the model ---------------------------------------------------------------------------------------------------------
static kp_status* check_opset(const kp_onnx_opset* opsets, size_t index) {
  const kp_onnx_opset* opset = &opsets[index];
  if (opset->version < 1) {
    return KP_ERROR(INVALID_MODEL, "version %lld of domain '%.*s'", (long long)opset->version,
                    KP_STR_ARG(opset->domain));
  }
  for (size_t i = 0; i < index; ++i) {
    if (!kp_str_equal(opsets[i].domain, opset->domain) || opsets[i].version == opset->version)
      continue;
    return KP_ERROR(INVALID_MODEL, "domain '%.*s' is imported as version %lld and as %lld",
                    KP_STR_ARG(opset->domain), (long long)opsets[i].version,
                    (long long)opset->version);
  }
  const int64_t newest = kp_schema_newest(opset->domain);
  if (newest > 0 && opset->version > newest) {
    KP_LOG(WARNING,
           "the model uses version %lld of '%.*s'; this build knows up to %lld and takes its rules "
           "for newer ones",
           (long long)opset->version, KP_STR_ARG(opset->domain), (long long)newest);
  }
  return NULL;
}

static kp_status* build_opsets(kp_model* model, const kp_onnx_model* source) {
  const bool implied = source->opset_count == 0 && source->ir_version < FIRST_IR_WITH_OPSETS;
  const size_t count = implied ? 1 : source->opset_count;
  if (count == 0) {
    return kp_status_hint(KP_ERROR(INVALID_MODEL, "the model imports no opset"),
                          "set opset_import, or export the model again");
  }
  if (count > 1000) return KP_ERROR(LIMIT, "%zu opset imports", count);
  kp_onnx_opset* opsets = kp_arena_new_array(&model->arena, kp_onnx_opset, count);
  if (!opsets) return KP_ERROR(OUT_OF_MEMORY, "%zu opset imports", count);
  for (size_t i = 0; i < count; ++i) {
    opsets[i] = implied ? (kp_onnx_opset){.version = 1} : source->opsets[i];
    if (kp_str_is(opsets[i].domain, "ai.onnx")) opsets[i].domain = kp_str_of("");
    KP_PASS(check_opset(opsets, i));
  }
  model->opsets = opsets;
  model->opset_count = count;
  return NULL;
}

kp_status* kp_build_start(kp_builder* b, kp_model* model, kp_onnx_model* source,
                          const kp_build_options* options) {
  *b = (kp_builder){.model = model, .source = source};
  if (options) b->options = *options;
  if (options && options->custom_op_count) {
    model->custom_ops = options->custom_ops;
    model->custom_op_count = options->custom_op_count;
  }
  if (b->options.max_nodes == 0) b->options.max_nodes = DEFAULT_MAX_NODES;
  if (b->options.max_call_depth == 0) b->options.max_call_depth = DEFAULT_MAX_CALL_DEPTH;
  return NULL;
}

void kp_build_finish(kp_builder* b) {
  kp_build_pop(b, NULL);
  kp_ptr_map_free(&b->tensors);
  kp_ptr_map_free(&b->functions);
  kp_free(b->next_function);
  kp_arena_free(&b->scratch);
}

static kp_status* build_main(kp_builder* b) {
  kp_model* model = b->model;
  const kp_onnx_model* source = b->source;
  if (!source->has_graph) return KP_ERROR(INVALID_MODEL, "the model has no graph");
  KP_PASS(build_opsets(model, source));
  KP_PASS(kp_build_index_functions(b));
  KP_PASS(kp_graph_create(model, &model->graph));
  KP_PASS(kp_build_intern(b, source->graph.name, &model->graph->name));
  kp_target* target;
  kp_scope* scope;
  KP_PASS(kp_build_push_target(b, model->graph, NULL, "", &target));
  const kp_scope form = {.target = target, .prefix = "", .path = ""};
  KP_PASS(kp_build_push_scope(b, &form, &scope));
  return kp_build_graph(b, scope, &source->graph);
}

kp_status* kp_model_build(kp_onnx_model* source, const kp_build_options* options,
                          kp_model** out_model) {
  *out_model = NULL;
  kp_model* model;
  kp_status* status = kp_model_create(&model);
  if (status) {
    kp_onnx_model_close(source);
    return status;
  }
  model->source = source;
  kp_builder b;
  kp_build_start(&b, model, source, options);
  status = build_main(&b);
  kp_build_finish(&b);
  if (status) {
    kp_model_free(model);
    return status;
  }
  *out_model = model;
  return NULL;
}
