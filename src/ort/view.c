// Views: life, handles, lists of graphs, parts.
#include "ort/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "graph/schema.h"
#include "ort/kernel_registry.h"
#include "ort/model_metadata.h"
#include "ort/view_internal.h"

#define HIDDEN "kapell"  // domain of what no library knows

// --- handles ---------------------------------------------------------------------------------------------------------------------
// Does the model, read by its operator sets, mean by this node what the graph means?
static bool is_as_written(const kp_ort_view* view, const kp_node* node) {
  const kp_ort_view* root = view->root;
  if (!node->schema || node->custom || strcmp(node->domain, KP_ORT_NHWC_DOMAIN) == 0) return true;
  for (size_t i = 0; i < root->opset_count; ++i) {
    if (strcmp(root->domains[i], node->domain) != 0) continue;
    return node->version == root->versions[i] ||
           kp_schema_find(kp_str_of(node->domain), kp_str_of(node->op), root->versions[i]) ==
               node->schema;
  }
  return false;
}

static void init_node(kp_shown* g, kp_node_id id, OrtNode* handle) {
  const kp_node* node = &g->graph->nodes[id];
  const kp_ort_view_args* args = &g->view->root->args;
  const bool owned = args->owners && g->graph == args->graph;
  *handle = (OrtNode){.graph = &g->base,
                      .op = node->op,
                      .domain = is_as_written(g->view, node) ? node->domain : HIDDEN,
                      .name = node->name,
                      .provider = owned ? args->owners[id] : args->owner,
                      .id = id,
                      .since = node->schema ? node->schema->since : node->version};
}

OrtNode* kp_shown_node_handle(kp_shown* g, kp_node_id id, bool* out_failed) {
  if (id >= g->graph->node_count) return NULL;
  if (g->members && !(g->members[id / 64] >> id % 64 & 1)) return NULL;
  const uint32_t page = id / KP_HANDLES, first = page * KP_HANDLES;
  if (!g->node_handles[page]) {
    OrtNode* made = kp_arena_new_array(&g->view->arena, OrtNode, KP_HANDLES);
    if (!made) {
      *out_failed = true;
      return NULL;
    }
    for (uint32_t i = 0; i < KP_HANDLES && first + i < g->graph->node_count; ++i)
      if (!g->graph->nodes[first + i].removed) init_node(g, first + i, &made[i]);
    g->node_handles[page] = made;
  }
  return &g->node_handles[page][id % KP_HANDLES];
}

OrtValueInfo* kp_shown_value_handle(kp_shown* g, kp_value_id id, bool* out_failed) {
  if (id >= g->graph->value_count) return NULL;
  const uint32_t page = id / KP_HANDLES, first = page * KP_HANDLES;
  if (!g->value_handles[page]) {
    OrtValueInfo* made = kp_arena_new_array(&g->view->arena, OrtValueInfo, KP_HANDLES);
    if (!made) {
      *out_failed = true;
      return NULL;
    }
    for (uint32_t i = 0; i < KP_HANDLES && first + i < g->graph->value_count; ++i)
      made[i] = (OrtValueInfo){
          .graph = &g->base, .id = first + i, .name = g->graph->values[first + i].name};
    g->value_handles[page] = made;
  }
  return &g->value_handles[page][id % KP_HANDLES];
}

// --- graphs ----------------------------------------------------------------------------------------------------------------------
static OrtStatus* set_members(kp_shown* g, const kp_node_id* members, uint32_t count) {
  kp_arena* arena = &g->view->arena;
  uint64_t* bits = kp_arena_new_array(arena, uint64_t, g->graph->node_count / 64 + 1);
  kp_node_id* list = kp_arena_new_array(arena, kp_node_id, (size_t)count + 1);
  if (!bits || !list) return kp_ort_no_memory();
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t bit = UINT64_C(1) << members[i] % 64;
    if (bits[members[i] / 64] & bit) continue;  // given twice
    bits[members[i] / 64] |= bit;
    list[g->list_count++] = members[i];
  }
  g->members = bits;
  g->list = list;
  return NULL;
}

// Where captures and overridable initializers stand.
static OrtStatus* set_special(kp_shown* g) {
  const kp_graph* graph = g->graph;
  if (graph->capture_count + graph->overridable_count == 0) return NULL;
  g->special = kp_arena_new_array(&g->view->arena, uint32_t, (size_t)graph->value_count + 1);
  if (!g->special) return kp_ort_no_memory();
  for (uint32_t i = 0; i < graph->overridable_count; ++i) g->special[graph->overridable[i]] = i + 1;
  for (uint32_t i = 0; i < graph->capture_count; ++i)
    if (graph->captures[i] != KP_NONE) g->special[graph->captures[i]] = i + 1;
  return NULL;
}

OrtStatus* kp_shown_create(kp_ort_view* view, const kp_graph* graph, const kp_node_id* members,
                           uint32_t count, kp_shown** out) {
  kp_shown* g = kp_arena_new(&view->arena, kp_shown);
  if (!g) return kp_ort_no_memory();
  const kp_model* model = graph->model;
  const char* main_name = model->graph && model->graph->name ? model->graph->name : "";
  const char* path = view->root->args.model_path;
  if (!path && model->source) path = model->source->path;
  g->view = view;
  g->graph = graph;
  g->base = (OrtGraph){.kind = &kp_shown_kind,
                       .name = graph->name && graph->name[0] ? graph->name : main_name,
                       .model_path = path ? path : "",
                       .ir_version = model->source ? model->source->ir_version : KP_ORT_IR_VERSION,
                       .domains = view->root->domains,
                       .versions = view->root->versions,
                       .opset_count = view->root->opset_count};
  g->node_handles = kp_arena_new_array(&view->arena, OrtNode*, graph->node_count / KP_HANDLES + 1);
  g->value_handles =
      kp_arena_new_array(&view->arena, OrtValueInfo*, graph->value_count / KP_HANDLES + 1);
  if (!g->node_handles || !g->value_handles) return kp_ort_no_memory();
  KP_ORT_TAKE(kp_graph_order((kp_graph*)(uintptr_t)graph));
  KP_ORT_PASS(set_special(g));
  if (members) KP_ORT_PASS(set_members(g, members, count));
  g->next = view->graphs;
  view->graphs = g;
  *out = g;
  return NULL;
}

// --- lists of a graph ------------------------------------------------------------------------------------------------------------
// A list that grows in the view's arena.
typedef struct handles {
  kp_shown* g;
  const OrtValueInfo** items;
  size_t count, capacity;
  bool failed;
} handles;

static OrtValueInfo* append(handles* to, kp_value_id id) {
  OrtValueInfo* handle = kp_shown_value_handle(to->g, id, &to->failed);
  if (!handle) return NULL;
  if (to->count == to->capacity) {
    const size_t capacity = to->capacity ? 2 * to->capacity : 16;
    const OrtValueInfo** items =
        kp_arena_new_array(&to->g->view->arena, const OrtValueInfo*, capacity);
    if (!items) {
      to->failed = true;
      return NULL;
    }
    if (to->count) memcpy(items, to->items, to->count * sizeof *items);
    to->items = items;
    to->capacity = capacity;
  }
  to->items[to->count++] = handle;
  return handle;
}

typedef struct lists {
  handles inputs, outputs, initializers;
} lists;

static void add_input(lists* to, kp_value_id id) {
  bool constant;
  OrtValueInfo* handle = append(&to->inputs, id);
  if (!handle) return;
  handle->is_optional_input = kp_shown_initial(to->inputs.g, id, &constant) != NULL;
  handle->is_required_input = !handle->is_optional_input;
}

static void add_output(lists* to, kp_value_id id) {
  OrtValueInfo* handle = append(&to->outputs, id);
  if (handle) handle->is_output = true;
}

static void list_whole(lists* to) {
  const kp_graph* graph = to->inputs.g->graph;
  for (uint32_t i = 0; i < graph->input_count; ++i) add_input(to, graph->inputs[i]);
  for (uint32_t i = 0; i < graph->overridable_count; ++i) {
    add_input(to, graph->overridable[i]);
    (void)append(&to->initializers, graph->overridable[i]);
  }
  for (uint32_t i = 0; i < graph->output_count; ++i) add_output(to, graph->outputs[i]);
  for (kp_value_id id = 0; id < graph->value_count; ++id) {
    const kp_value* value = &graph->values[id];
    if (value->constant && (value->use_count || value->output_refs))
      (void)append(&to->initializers, id);
  }
}

static bool is_member(const kp_shown* g, kp_node_id id) {
  return id != KP_NONE && (g->members[id / 64] >> id % 64 & 1);
}

// A value that a member reads; |seen| has a bit for each that was met.
static void add_read(lists* to, kp_value_id id, uint64_t* seen) {
  const kp_shown* g = to->inputs.g;
  bool constant = false;
  if (id == KP_NONE || is_member(g, g->graph->values[id].producer)) return;
  if (seen[id / 64] >> id % 64 & 1) return;
  seen[id / 64] |= UINT64_C(1) << id % 64;
  const kapell_value* initial = kp_shown_initial(g, id, &constant);
  if (initial) (void)append(&to->initializers, id);
  if (!constant) add_input(to, id);
}

// Used outside of the part, or by the graph's outputs.
static bool leaves(const kp_shown* g, kp_value_id id) {
  const kp_value* value = &g->graph->values[id];
  for (uint32_t i = 0; i < value->use_count; ++i)
    if (!is_member(g, value->uses[i])) return true;
  return value->output_refs > 0;
}

static OrtStatus* list_part(lists* to) {
  const kp_shown* g = to->inputs.g;
  const kp_graph* graph = g->graph;
  uint64_t* seen = kp_alloc_zero((size_t)graph->value_count / 64 + 1, sizeof *seen);
  if (!seen) return kp_ort_no_memory();
  for (uint32_t n = 0; n < g->list_count; ++n) {
    const kp_node* node = &graph->nodes[g->list[n]];
    for (uint32_t i = 0; i < node->input_count; ++i) add_read(to, node->inputs[i], seen);
    for (uint32_t i = 0; i < node->implicit_count; ++i) add_read(to, node->implicit[i], seen);
    for (uint32_t i = 0; i < node->output_count; ++i)
      if (node->outputs[i] != KP_NONE && leaves(g, node->outputs[i]))
        add_output(to, node->outputs[i]);
  }
  kp_free(seen);
  return NULL;
}

static OrtStatus* list_nodes(kp_shown* g) {
  const kp_node_id* ids = g->members ? g->list : g->graph->order;
  const uint32_t count = g->members ? g->list_count : g->graph->order_count;
  g->base.nodes = kp_arena_new_array(&g->view->arena, const OrtNode*, (size_t)count + 1);
  bool failed = !g->base.nodes;
  for (uint32_t i = 0; i < count && !failed; ++i)
    g->base.nodes[i] = kp_shown_node_handle(g, ids[i], &failed);
  g->base.node_count = count;
  return failed ? kp_ort_no_memory() : NULL;
}

OrtStatus* kp_shown_fill_graph(kp_shown* g) {
  if (g->base.filled) return NULL;
  lists all = {{.g = g}, {.g = g}, {.g = g}};
  if (g->members)
    KP_ORT_PASS(list_part(&all));
  else
    list_whole(&all);
  KP_ORT_PASS(list_nodes(g));
  if (all.inputs.failed || all.outputs.failed || all.initializers.failed) return kp_ort_no_memory();
  g->base.inputs = all.inputs.items;
  g->base.input_count = all.inputs.count;
  g->base.outputs = all.outputs.items;
  g->base.output_count = all.outputs.count;
  g->base.initializers = all.initializers.items;
  g->base.initializer_count = all.initializers.count;
  __atomic_store_n(&g->base.filled, true, __ATOMIC_RELEASE);
  return NULL;
}

static OrtStatus* fill_graph(OrtGraph* graph) {
  kp_shown* g = kp_shown_of(graph);
  pthread_mutex_lock(&g->view->lock);
  OrtStatus* status = kp_shown_fill_graph(g);
  pthread_mutex_unlock(&g->view->lock);
  return status;
}

// --- around a graph --------------------------------------------------------------------------------------------------------------
// The graph around one that was not come to from there is shown with that one node alone.
static OrtStatus* make_parent(kp_shown* g) {
  const kp_graph* graph = g->graph;
  kp_shown* around;
  bool failed = false;
  KP_ORT_PASS(kp_shown_create(g->view, graph->parent, &graph->parent_node, 1, &around));
  const OrtNode* parent = kp_shown_node_handle(around, graph->parent_node, &failed);
  if (!parent) return kp_ort_no_memory();
  g->parent = parent;
  return NULL;
}

static OrtStatus* parent(const OrtGraph* graph, const OrtNode** out) {
  kp_shown* g = kp_shown_of(graph);
  const bool inner = g->graph->parent && g->graph->parent_node != KP_NONE;
  pthread_mutex_lock(&g->view->lock);
  OrtStatus* status = inner && !g->parent ? make_parent(g) : NULL;
  *out = g->parent;
  pthread_mutex_unlock(&g->view->lock);
  return status;
}

static OrtStatus* metadata(const OrtGraph* graph, OrtModelMetadata** out) {
  return kp_ort_metadata_of(kp_shown_of(graph)->graph->model->source, out);
}

// --- life of a view --------------------------------------------------------------------------------------------------------------
static void release_handles(const kp_shown* g) {
  for (uint32_t p = 0; p <= g->graph->value_count / KP_HANDLES; ++p) {
    OrtValueInfo* page = g->value_handles[p];
    for (uint32_t i = 0; page && i < KP_HANDLES; ++i) {
      ort_ReleaseTypeInfo(page[i].type);
      ort_ReleaseValue((OrtValue*)(uintptr_t)page[i].initial);
    }
  }
}

void kp_ort_view_free(kp_ort_view* view) {
  if (!view) return;
  for (const kp_shown* g = view->graphs; g; g = g->next) release_handles(g);
  kp_ptr_map_free(&view->externals);
  kp_arena_free(&view->arena);
  pthread_mutex_destroy(&view->lock);
  kp_free(view);
}

// The graphs of a view end with it; a part that a library asked for is its own.
static void release(OrtGraph* graph) {
  kp_ort_view* view = kp_shown_of(graph)->view;
  if (view->root != view && graph == &view->main->base) kp_ort_view_free(view);
}

static OrtStatus* create(kp_ort_view* root, kp_ort_view** out) {
  kp_ort_view* view = kp_alloc_zero(1, sizeof *view);
  if (!view) return kp_ort_no_memory();
  pthread_mutex_init(&view->lock, NULL);
  view->root = root ? root : view;
  *out = view;
  return NULL;
}

static int64_t imported(const kp_ort_view* view, const char* domain) {
  for (size_t i = 0; i < view->opset_count; ++i)
    if (strcmp(view->domains[i], domain) == 0) return view->versions[i];
  return 0;
}

static OrtStatus* add_opset(kp_ort_view* view, kp_str domain, int64_t version) {
  const char* copy = kp_arena_strndup(&view->arena, domain.data, domain.length);
  if (!copy) return kp_ort_no_memory();
  if (imported(view, copy)) return NULL;
  view->domains[view->opset_count] = copy;
  view->versions[view->opset_count++] = version;
  return NULL;
}

// Every domain that the model imports, then the others that we know at their newest, as ONNX Runtime has it.
static OrtStatus* list_opsets(kp_ort_view* view, const kp_model* model) {
  static const char* const known[] = {"", "ai.onnx.ml", "ai.onnx.preview",
                                      "ai.onnx.preview.training", "com.microsoft"};
  const size_t most = model->opset_count + KP_COUNT_OF(known) + 1;
  view->domains = kp_arena_new_array(&view->arena, const char*, most);
  view->versions = kp_arena_new_array(&view->arena, int64_t, most);
  if (!view->domains || !view->versions) return kp_ort_no_memory();
  for (size_t i = 0; i < model->opset_count; ++i)
    KP_ORT_PASS(add_opset(view, model->opsets[i].domain, model->opsets[i].version));
  for (size_t i = 0; i < KP_COUNT_OF(known); ++i)
    KP_ORT_PASS(add_opset(view, kp_str_of(known[i]), kp_schema_newest(kp_str_of(known[i]))));
  return add_opset(view, kp_str_of(KP_ORT_NHWC_DOMAIN), imported(view, ""));
}

OrtStatus* kp_ort_view_create(const kp_ort_view_args* args, kp_ort_view** out) {
  kp_ort_view* view;
  *out = NULL;
  KP_ORT_PASS(create(NULL, &view));
  view->args = *args;
  OrtStatus* status = list_opsets(view, args->graph->model);
  if (!status) status = kp_shown_create(view, args->graph, NULL, 0, &view->main);
  if (status) {
    kp_ort_view_free(view);
    return status;
  }
  *out = view;
  return NULL;
}

const OrtGraph* kp_ort_view_graph(const kp_ort_view* view) { return &view->main->base; }

kp_node_id kp_ort_view_node(const kp_ort_view* view, const OrtNode* node) {
  if (!node || !node->graph || node->graph->kind != &kp_shown_kind) return KP_NONE;
  const kp_shown* g = kp_shown_of(node->graph);
  if (g->view->root != view || g->graph != view->main->graph) return KP_NONE;
  return node->id < g->graph->node_count ? (kp_node_id)node->id : KP_NONE;
}

const OrtNode* kp_ort_view_handle(const kp_ort_view* view, kp_node_id node) {
  kp_ort_view* own = (kp_ort_view*)(uintptr_t)view;
  bool failed = false;
  pthread_mutex_lock(&own->lock);
  const OrtNode* handle = kp_shown_node_handle(own->main, node, &failed);
  pthread_mutex_unlock(&own->lock);
  return handle;
}

// --- parts and fused nodes -------------------------------------------------------------------------------------------------------
// Place of each node in its graph's order.
static OrtStatus* rank_nodes(kp_shown* g) {
  if (g->ranks) return NULL;
  const kp_graph* graph = g->graph;
  uint32_t* ranks = kp_arena_new_array(&g->view->arena, uint32_t, (size_t)graph->node_count + 1);
  if (!ranks) return kp_ort_no_memory();
  for (uint32_t i = 0; i < graph->order_count; ++i) ranks[graph->order[i]] = i;
  g->ranks = ranks;
  return NULL;
}

typedef struct ranked {
  uint32_t rank;
  kp_node_id id;
} ranked;

static int by_rank(const void* a, const void* b) {
  const uint32_t x = ((const ranked*)a)->rank, y = ((const ranked*)b)->rank;
  return (x > y) - (x < y);
}

// The nodes' ids in the graph's order, in |arena|.
static OrtStatus* sort_nodes(const kp_shown* g, const OrtNode* const* nodes, size_t count,
                             kp_arena* arena, kp_node_id** out) {
  ranked* sorted = kp_alloc_array(count, sizeof *sorted);
  kp_node_id* ids = kp_arena_new_array(arena, kp_node_id, count + 1);
  if (!sorted || !ids) {
    kp_free(sorted);
    return kp_ort_no_memory();
  }
  for (size_t i = 0; i < count; ++i)
    sorted[i] = (ranked){g->ranks[nodes[i]->id], (kp_node_id)nodes[i]->id};
  if (count) qsort(sorted, count, sizeof *sorted, by_rank);
  for (size_t i = 0; i < count; ++i) ids[i] = sorted[i].id;
  kp_free(sorted);
  *out = ids;
  return NULL;
}

static OrtStatus* part(const OrtGraph* graph, const OrtNode* const* nodes, size_t count,
                       OrtGraph** out) {
  kp_shown* source = kp_shown_of(graph);
  kp_ort_view* view;
  kp_node_id* ids;
  if (count > source->graph->node_count)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "%zu nodes of a graph of %u", count,
                        source->graph->node_count);
  pthread_mutex_lock(&source->view->lock);
  OrtStatus* status = rank_nodes(source);
  pthread_mutex_unlock(&source->view->lock);
  KP_ORT_PASS(status);
  KP_ORT_PASS(create(source->view->root, &view));
  status = sort_nodes(source, nodes, count, &view->arena, &ids);
  if (!status) status = kp_shown_create(view, source->graph, ids, (uint32_t)count, &view->main);
  if (status) {
    kp_ort_view_free(view);
    return status;
  }
  view->main->ranks = source->ranks;
  view->main->parent = source->parent;
  *out = &view->main->base;
  return NULL;
}

// The graph's inputs and, behind them, its constants, which become inputs that need not be given.
static OrtStatus* add_constants(kp_shown* g) {
  OrtGraph* base = &g->base;
  const size_t most = base->input_count + base->initializer_count;
  const OrtValueInfo** inputs = kp_arena_new_array(&g->view->arena, const OrtValueInfo*, most + 1);
  if (!inputs) return kp_ort_no_memory();
  size_t count = 0;
  for (; count < base->input_count; ++count) inputs[count] = base->inputs[count];
  for (size_t i = 0; i < base->initializer_count; ++i) {
    OrtValueInfo* value = (OrtValueInfo*)(uintptr_t)base->initializers[i];
    if (value->is_optional_input) continue;
    value->is_optional_input = true;
    inputs[count++] = value;
  }
  base->inputs = inputs;
  base->input_count = count;
  return NULL;
}

static OrtStatus* fuse(kp_ort_view* view, const char* name, const char* provider,
                       bool drop_constants, OrtNode** out) {
  kp_shown* g = view->main;
  KP_ORT_PASS(kp_shown_fill_graph(g));
  if (!drop_constants) KP_ORT_PASS(add_constants(g));
  OrtNode* node = kp_arena_new(&view->arena, OrtNode);
  char* own_name = kp_arena_strndup(&view->arena, name, strlen(name));
  char* own_provider = kp_arena_strndup(&view->arena, provider, strlen(provider));
  if (!node || !own_name || !own_provider) return kp_ort_no_memory();
  g->base.name = own_name;
  *node = (OrtNode){.graph = &g->base,
                    .op = own_name,
                    .domain = own_provider,
                    .name = own_name,
                    .provider = own_provider,
                    .id = g->graph->node_count,
                    .since = 1,
                    .filled = true,
                    .inputs = g->base.inputs,
                    .input_count = g->base.input_count,
                    .outputs = g->base.outputs,
                    .output_count = g->base.output_count};
  *out = node;
  return NULL;
}

OrtStatus* kp_ort_view_fuse(kp_ort_view* view, const char* name, const char* provider,
                            bool drop_constants, const OrtNode** out) {
  OrtNode* node = NULL;
  pthread_mutex_lock(&view->lock);
  OrtStatus* status = fuse(view, name, provider, drop_constants, &node);
  pthread_mutex_unlock(&view->lock);
  *out = node;
  return status;
}

const kp_ort_graph_kind kp_shown_kind = {.fill_graph = fill_graph,
                                         .fill_node = kp_shown_node_fill,
                                         .fill_value = kp_shown_value_fill,
                                         .fill_type = kp_shown_type_fill,
                                         .fill_initial = kp_shown_initial_fill,
                                         .parent = parent,
                                         .external = kp_shown_external,
                                         .metadata = metadata,
                                         .part = part,
                                         .release = release};
