// What a session says of its model: inputs, outputs and metadata, in memory that lives as long as the session.
#include "api/session.h"
#include "base/alloc.h"
#include "graph/schema.h"
#include "graph/type_info.h"

static kp_status* no_memory(void) {
  return KP_ERROR(OUT_OF_MEMORY, "the description of the model");
}

static kp_status* describe_value(kapell_session* session, kp_value_id id, bool optional,
                                 kapell_io_info* out) {
  const kp_value* value = &session->core->model->graph->values[id];
  *out = (kapell_io_info){.name = value->name, .optional = optional};
  return kp_type_info_of(&session->arena, &session->core->model->symbols, &value->type, &out->type);
}

// What the file says that a value is, which nothing but programs reads. Infos lie in the session's arena, and are nobody else's.
static kp_status* add_denotations(kapell_session* session, const kp_onnx_type* stated,
                                  const kapell_type_info* known) {
  for (; stated && known; stated = stated->inner, known = known->inner) {
    const kp_str text = stated->denotation;
    if (!text.length) continue;
    const char* copy = kp_arena_strndup(&session->arena, text.data, text.length);
    if (!copy) return no_memory();
    ((kapell_type_info*)(uintptr_t)known)->denotation = copy;
  }
  return NULL;
}

// |stated| are the file's, in the same order as |infos|, with others between them.
static kp_status* add_all_denotations(kapell_session* session, const kp_onnx_value_info* stated,
                                      size_t stated_count, const kapell_io_info* infos,
                                      size_t count) {
  size_t i = 0;
  for (size_t k = 0; k < stated_count && i < count; ++k) {
    if (!kp_str_is(stated[k].name, infos[i].name)) continue;
    KP_PASS(add_denotations(session, &stated[k].type, infos[i++].type));
  }
  return NULL;
}

// The dims that the file states for an input; -1 for those that are no numbers.
static kp_status* stated_dims(kapell_session* session, const kp_onnx_type* stated,
                              kapell_type_info* out) {
  int64_t* dims = kp_arena_new_array(&session->arena, int64_t, stated->rank + 1);
  const char** symbols = kp_arena_new_array(&session->arena, const char*, stated->rank + 1);
  if (!dims || !symbols) return no_memory();
  for (size_t d = 0; d < stated->rank; ++d) {
    const kp_str param = stated->dims[d].param;
    dims[d] = stated->dims[d].value;
    if (dims[d] >= 0) continue;
    dims[d] = -1;
    if (param.length) symbols[d] = kp_arena_strndup(&session->arena, param.data, param.length);
  }
  out->rank = (int32_t)stated->rank;
  out->dims = dims;
  out->symbols = symbols;
  return NULL;
}

// Initializers that the file lists as inputs are constants of the graph by now: their names are in the source. What replaces one has to be as the
// input is stated, which may leave open what the initializer fixes.
static kp_status* add_overridable(kapell_session* session, const kp_onnx_tensor* tensor,
                                  const kp_onnx_type* stated) {
  kapell_type_info* info = kp_arena_new(&session->arena, kapell_type_info);
  const char* text = kp_arena_strndup(&session->arena, tensor->name.data, tensor->name.length);
  if (!info || !text) return no_memory();
  *info = (kapell_type_info){
      .kind = KAPELL_KIND_TENSOR,
      .element = (kapell_type)tensor->type,
      .rank = (int32_t)tensor->rank,
      .dims = tensor->dims,
      .symbols = kp_arena_new_array(&session->arena, const char*, tensor->rank + 1)};
  session->inputs[session->input_count + session->overridable_count++] =
      (kapell_io_info){.name = text, .type = info, .optional = true};
  if (!info->symbols) return no_memory();
  KP_PASS(add_denotations(session, stated, info));
  return stated->kind == KP_ONNX_TYPE_TENSOR && stated->has_shape
             ? stated_dims(session, stated, info)
             : NULL;
}

// |input_of|: by interned name, the input's index.
static kp_status* list_overridable(kapell_session* session, const kp_onnx_graph* source,
                                   kp_interner* names, kp_ptr_map* input_of) {
  uint32_t input = 0;
  for (size_t k = 0; k < source->input_count; ++k) {
    const char* name = kp_intern(names, source->inputs[k].name);
    if (!name) return no_memory();
    KP_PASS(kp_ptr_map_put(input_of, name, (uint32_t)k));
  }
  for (size_t i = 0; i < source->initializer_count; ++i) {
    const kp_onnx_tensor* tensor = &source->initializers[i];
    const char* name = kp_intern_find(names, tensor->name);
    if (name && kp_ptr_map_get(input_of, name, &input))
      KP_PASS(add_overridable(session, tensor, &source->inputs[input].type));
  }
  return NULL;
}

static kp_status* describe_overridable(kapell_session* session, const kp_onnx_graph* source) {
  if (session->core->model->source->ir_version < 4) return NULL;
  kp_interner names;
  kp_ptr_map input_of = {0};
  kp_interner_init(&names);
  kp_status* status = list_overridable(session, source, &names, &input_of);
  kp_ptr_map_free(&input_of);
  kp_interner_free(&names);
  return status;
}

static kp_status* add_metadata(kapell_session* session, const char* key, kp_str value) {
  if (value.length == 0) return NULL;
  kp_metadata* m = &session->metadata[session->metadata_count++];
  m->key = key;
  m->value = kp_arena_strndup(&session->arena, value.data, value.length);
  return m->key && m->value ? NULL : no_memory();
}

static kp_status* add_number(kapell_session* session, const char* key, int64_t number) {
  const char* text = kp_arena_printf(&session->arena, "%lld", (long long)number);
  return text ? add_metadata(session, key, kp_str_of(text)) : no_memory();
}

static kp_status* describe_metadata(kapell_session* session, const kp_onnx_model* source) {
  session->metadata = kp_arena_new_array(&session->arena, kp_metadata, source->metadata_count + 10);
  if (!session->metadata) return no_memory();
  KP_PASS(add_metadata(session, "kapell:producer", source->producer_name));
  KP_PASS(add_metadata(session, "kapell:producer_version", source->producer_version));
  KP_PASS(add_metadata(session, "kapell:domain", source->domain));
  KP_PASS(add_metadata(session, "kapell:graph", source->graph.name));
  KP_PASS(add_metadata(session, "kapell:doc", source->doc));
  KP_PASS(add_metadata(session, "kapell:graph_doc", source->graph.doc));
  KP_PASS(add_number(session, "kapell:model_version", source->model_version));
  KP_PASS(add_number(session, "kapell:ir_version", source->ir_version));
  if (source->ort_format.length)
    KP_PASS(add_metadata(session, "kapell:ort_format", source->ort_format));
  for (size_t i = 0; i < source->metadata_count; ++i) {
    const kp_onnx_entry* entry = &source->metadata[i];
    kp_metadata* m = &session->metadata[session->metadata_count++];
    m->key = kp_arena_strndup(&session->arena, entry->key.data, entry->key.length);
    m->value = kp_arena_strndup(&session->arena, entry->value.data, entry->value.length);
    if (!m->key || !m->value) return no_memory();
  }
  return NULL;
}

// Dimensions of an output that the file gives names keep them, for programs that know them by these names: over an expression that says
// the same, and where nothing is optimized over a number that was inferred, since exporters open a model so to find names to replace.
static kp_status* keep_names(kapell_session* session, const kp_onnx_value_info* as_written,
                             kapell_io_info* output) {
  const kp_onnx_type* declared = &as_written->type;
  const kapell_type_info* known = output->type;
  const bool numbers = !session->options.no_optimize || session->options.dimension_count;
  if (!kp_str_is(as_written->name, output->name) || !declared->has_shape || declared->rank == 0 ||
      known->rank < 0 || (size_t)known->rank != declared->rank)
    return NULL;  // of another value, where every value is an output; or not said
  kapell_type_info* info = kp_arena_new(&session->arena, kapell_type_info);
  int64_t* dims = kp_arena_new_array(&session->arena, int64_t, declared->rank + 1);
  const char** symbols = kp_arena_new_array(&session->arena, const char*, declared->rank + 1);
  if (!info || !dims || !symbols) return no_memory();
  for (size_t d = 0; d < declared->rank; ++d) {
    const kp_onnx_dim* dim = &declared->dims[d];
    const bool named = dim->param.length && dim->value < 0 && (known->dims[d] < 0 || !numbers);
    dims[d] = named ? -1 : known->dims[d];
    symbols[d] = named ? kp_arena_strndup(&session->arena, dim->param.data, dim->param.length)
                       : known->symbols[d];
    if (named && !symbols[d]) return no_memory();
  }
  *info = *known;
  info->dims = dims;
  info->symbols = symbols;
  output->type = info;
  return NULL;
}

kp_status* kp_session_describe(kapell_session* session) {
  const kp_model* model = session->core->model;
  const kp_graph* graph = model->graph;
  session->inputs =
      kp_arena_new_array(&session->arena, kapell_io_info,
                         graph->input_count + model->source->graph.initializer_count + 1);
  session->outputs =
      kp_arena_new_array(&session->arena, kapell_io_info, (size_t)graph->output_count + 1);
  if (!session->inputs || !session->outputs) return no_memory();
  for (uint32_t i = 0; i < graph->input_count; ++i)
    KP_PASS(
        describe_value(session, graph->inputs[i], false, &session->inputs[session->input_count++]));
  for (uint32_t i = 0; i < graph->output_count; ++i) {
    kapell_io_info* output = &session->outputs[session->output_count++];
    KP_PASS(describe_value(session, graph->outputs[i], false, output));
    if (i < model->source->graph.output_count)
      KP_PASS(keep_names(session, &model->source->graph.outputs[i], output));
  }
  const kp_onnx_graph* source = &model->source->graph;
  KP_PASS(add_all_denotations(session, source->inputs, source->input_count, session->inputs,
                              session->input_count));
  KP_PASS(add_all_denotations(session, source->outputs, source->output_count, session->outputs,
                              session->output_count));
  KP_PASS(describe_overridable(session, source));
  return describe_metadata(session, model->source);
}

// --- getters ------------------------------------------------------------------------------------------------------------------
size_t kapell_session_input_count(const kapell_session* session) { return session->input_count; }

size_t kapell_session_output_count(const kapell_session* session) { return session->output_count; }

size_t kapell_session_overridable_count(const kapell_session* session) {
  return session->overridable_count;
}

const kapell_io_info* kapell_session_input(const kapell_session* session, size_t index) {
  return index < session->input_count + session->overridable_count ? &session->inputs[index] : NULL;
}

const kapell_io_info* kapell_session_output(const kapell_session* session, size_t index) {
  return index < session->output_count ? &session->outputs[index] : NULL;
}

const kapell_placed_node* kapell_session_output_node(const kapell_session* session, size_t index) {
  if (index >= session->output_count) return NULL;
  const kp_graph* graph = session->core->model->graph;
  const kp_node_id producer = graph->values[graph->outputs[index]].producer;
  if (producer == KP_NONE || graph->nodes[producer].origin_count == 0) return NULL;
  const kp_node* node = &graph->nodes[producer];
  return &session->placement->nodes[node->origins[node->origin_count - 1]];
}

int64_t kapell_session_opset(const kapell_session* session, const char* domain,
                             int64_t* out_newest) {
  const kp_onnx_model* source = session->core->model->source;
  const kp_str wanted = kp_str_of(domain && strcmp(domain, "ai.onnx") != 0 ? domain : "");
  if (out_newest) *out_newest = kp_schema_newest(wanted);
  for (size_t i = 0; i < source->opset_count; ++i) {
    const kp_str have = source->opsets[i].domain;
    if (kp_str_equal(kp_str_is(have, "ai.onnx") ? kp_str_of("") : have, wanted))
      return source->opsets[i].version;
  }
  return 0;
}

size_t kapell_session_metadata_count(const kapell_session* session) {
  return session->metadata_count;
}

void kapell_session_metadata(const kapell_session* session, size_t index, const char** out_key,
                             const char** out_value) {
  *out_key = *out_value = NULL;
  if (index >= session->metadata_count) return;
  *out_key = session->metadata[index].key;
  *out_value = session->metadata[index].value;
}

const char* kapell_session_metadata_find(const kapell_session* session, const char* key) {
  for (size_t i = 0; key && i < session->metadata_count; ++i)
    if (strcmp(session->metadata[i].key, key) == 0) return session->metadata[i].value;
  return NULL;
}
