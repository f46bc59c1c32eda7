// Views: what is known of a value beyond its name: where it comes from and goes, its type, what it holds.
#include "base/alloc.h"
#include "onnx/reader.h"
#include "ort/value.h"
#include "ort/view_internal.h"

// --- initial contents ------------------------------------------------------------------------------------------------------------
kapell_value* kp_shown_initial(const kp_shown* g, kp_value_id id, bool* out_constant) {
  const kp_graph* graph = g->graph;
  const uint32_t* special = g->special;
  *out_constant = true;
  if (graph->values[id].constant) return graph->values[id].constant;
  *out_constant = false;
  if (!special || !special[id]) return NULL;
  if (!graph->values[id].is_capture) return graph->defaults[special[id] - 1];
  // A capture: what the graphs around say of it. Theirs have no places listed.
  uint32_t at = special[id] - 1;
  while (graph->parent && graph->parent_node != KP_NONE) {
    const kp_node* node = &graph->parent->nodes[graph->parent_node];
    if (at >= node->implicit_count) return NULL;
    const kp_value_id outer = node->implicit[at];
    graph = graph->parent;
    const kp_value* value = &graph->values[outer];
    *out_constant = value->constant != NULL;
    if (value->constant) return value->constant;
    const kp_value_id* list = value->is_capture ? graph->captures : graph->overridable;
    const uint32_t count = value->is_capture ? graph->capture_count : graph->overridable_count;
    for (at = 0; at < count && list[at] != outer; ++at) {
    }
    if (at == count) return NULL;
    if (!value->is_capture) return graph->defaults[at];
  }
  return NULL;
}

static OrtStatus* fill_initial(kp_shown* g, OrtValueInfo* value) {
  bool constant;
  OrtValue* handle = NULL;
  if (value->initial) return NULL;
  kapell_value* held = kp_shown_initial(g, value->id, &constant);
  KP_ORT_PASS(kp_ort_value_wrap(kp_value_retain(held), &handle));
  __atomic_store_n(&value->initial, handle, __ATOMIC_RELEASE);
  return NULL;
}

OrtStatus* kp_shown_initial_fill(OrtValueInfo* value) {
  kp_shown* g = kp_shown_of(value->graph);
  pthread_mutex_lock(&g->view->lock);
  OrtStatus* status = fill_initial(g, value);
  pthread_mutex_unlock(&g->view->lock);
  return status;
}

// --- types -----------------------------------------------------------------------------------------------------------------------
OrtStatus* kp_shown_type_fill(OrtValueInfo* value) {
  kp_shown* g = kp_shown_of(value->graph);
  OrtStatus* status = NULL;
  pthread_mutex_lock(&g->view->lock);
  if (!value->type) {
    OrtTypeInfo* type = NULL;
    status =
        kp_ort_type_info_of(&g->graph->model->symbols, &g->graph->values[value->id].type, &type);
    __atomic_store_n(&value->type, type, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&g->view->lock);
  return status;
}

// --- producers and consumers -----------------------------------------------------------------------------------------------------
static OrtStatus* fill_uses(kp_shown* g, OrtValueInfo* value) {
  const kp_value* from = &g->graph->values[value->id];
  kp_ort_use* uses = kp_arena_new_array(&g->view->arena, kp_ort_use, (size_t)from->use_count + 1);
  bool failed = !uses;
  value->use_count = 0;
  for (uint32_t i = 0; i < from->use_count && !failed; ++i) {
    const OrtNode* node = kp_shown_node_handle(g, from->uses[i], &failed);
    if (!node) continue;  // outside of the part
    const uint32_t input = from->use_inputs[i];
    const bool implicit = input >= g->graph->nodes[from->uses[i]].input_count;
    uses[value->use_count++] = (kp_ort_use){node, implicit ? -1 : (int64_t)input};
  }
  value->uses = uses;
  return failed ? kp_ort_no_memory() : NULL;
}

static OrtStatus* fill(kp_shown* g, OrtValueInfo* value) {
  const kp_value* from = &g->graph->values[value->id];
  bool failed = false, constant = false;
  if (value->filled) return NULL;
  KP_ORT_PASS(kp_shown_fill_graph(g));  // says which values are its inputs and outputs
  KP_ORT_PASS(fill_uses(g, value));
  value->producer = kp_shown_node_handle(g, from->producer, &failed);
  value->producer_output = value->producer ? from->producer_output : 0;
  value->has_initial = kp_shown_initial(g, value->id, &constant) != NULL;
  value->is_constant = constant;
  value->is_outer = from->is_capture;
  if (failed) return kp_ort_no_memory();
  __atomic_store_n(&value->filled, true, __ATOMIC_RELEASE);
  return NULL;
}

OrtStatus* kp_shown_value_fill(OrtValueInfo* value) {
  kp_shown* g = kp_shown_of(value->graph);
  pthread_mutex_lock(&g->view->lock);
  OrtStatus* status = fill(g, value);
  pthread_mutex_unlock(&g->view->lock);
  return status;
}

// --- external data ---------------------------------------------------------------------------------------------------------------
// An initializer is known again by where its data lies: rewrites rename values and move them between graphs.
static kp_status* note_external(kp_ort_view* root, kp_onnx_model* source,
                                const kp_onnx_tensor* tensor) {
  const void* data;
  size_t size;
  void* owned = NULL;
  kp_status* status = kp_onnx_tensor_bytes(source, tensor, &data, &size, &owned);
  kp_free(owned);
  if (status || owned ||
      size == 0) {  // what cannot be read was told when the graph was built, if it is in use
    kp_status_free(status);
    return NULL;
  }
  root->external_tensors[root->external_count] = tensor;
  return kp_ptr_map_put(&root->externals, data, (uint32_t)root->external_count++);
}

// Files keep large weights of the main graph alone outside.
static kp_status* list_externals(kp_ort_view* root, kp_onnx_model* source) {
  const kp_onnx_graph* graph = &source->graph;
  size_t count = 0;
  for (size_t i = 0; i < graph->initializer_count; ++i) count += graph->initializers[i].external;
  root->external_tensors = kp_arena_new_array(&root->arena, const kp_onnx_tensor*, count + 1);
  if (!root->external_tensors) return KP_ERROR(OUT_OF_MEMORY, "%zu external initializers", count);
  for (size_t i = 0; i < graph->initializer_count && count; ++i)
    if (graph->initializers[i].external)
      KP_PASS(note_external(root, source, &graph->initializers[i]));
  root->externals_listed = true;
  return NULL;
}

static OrtStatus* find_external(kp_ort_view* root, kp_onnx_model* source, const void* data,
                                const kp_onnx_tensor** out) {
  uint32_t at = 0;
  pthread_mutex_lock(&root->lock);
  kp_status* status = root->externals_listed ? NULL : list_externals(root, source);
  if (!status && kp_ptr_map_get(&root->externals, data, &at)) *out = root->external_tensors[at];
  pthread_mutex_unlock(&root->lock);
  return kp_ort_status(status);
}

static kp_str entry(const kp_onnx_tensor* tensor, const char* key) {
  for (size_t i = 0; i < tensor->external_count; ++i)
    if (kp_str_is(tensor->external_data[i].key, key)) return tensor->external_data[i].value;
  return (kp_str){0};
}

OrtStatus* kp_shown_external(const OrtValueInfo* value, OrtExternalInitializerInfo** out) {
  kp_shown* g = kp_shown_of(value->graph);
  kp_onnx_model* source = g->graph->model->source;
  const kp_onnx_tensor* tensor = NULL;
  bool constant;
  const kapell_value* held = kp_shown_initial(g, value->id, &constant);
  if (!source || !held || held->kind != KAPELL_KIND_TENSOR || !held->data) return NULL;
  KP_ORT_PASS(find_external(g->view->root, source, held->data, &tensor));
  if (!tensor) return NULL;
  const kp_str path = entry(tensor, "location");
  int64_t offset = 0;
  (void)kp_parse_i64(entry(tensor, "offset"), &offset);
  char* text = kp_strndup(path.data, path.length);
  OrtStatus* status = text ? ort_CreateExternalInitializerInfo(text, offset, held->byte_count, out)
                           : kp_ort_no_memory();
  kp_free(text);
  return status;
}
