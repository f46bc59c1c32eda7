// Opens a model: read, build, simplify, infer, fold, place, compile.
#include "api/core.h"

#include <stdlib.h>

#include "api/override.h"
#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "graph/build.h"
#include "graph/custom.h"
#include "graph/export.h"
#include "graph/infer.h"
#include "graph/rewrite.h"
#include "onnx/reader.h"
#include "provider/host.h"

// Progress of opening, and the caller's wish to stop.
typedef struct opening {
  const kp_core_options* options;
  kp_core* core;
  int cancel;
  kp_bounds folding;  // what nodes run in while constants are folded
} opening;

static void tell(opening* o, double done, const char* what) {
  const kapell_options* user = o->options->user;
  if (user->progress && user->progress(user->progress_user, done, what)) o->cancel = 1;
}

static void tell_plan(void* user, double done, const char* what) {
  tell(user, 0.3 + 0.7 * done, what);
}

static kp_status* check_cancel(const opening* o) {
  if (kp_deadline_passed()) return KP_ERROR(TIMEOUT, "opening the session took too long");
  return o->cancel ? KP_ERROR(CANCELLED, "opening the session was cancelled") : NULL;
}

static kp_status* read_source(const opening* o, kp_onnx_model** out_source) {
  const kapell_options* user = o->options->user;
  const kp_onnx_read_options read = {.borrow_bytes = o->options->borrow_bytes,
                                     .external_folder = user->external_folder,
                                     .more_folders = user->link_folders,
                                     .more_folder_count = user->link_folder_count,
                                     .contain_strictly = user->untrusted};
  if (o->options->path) return kp_onnx_read_file(o->options->path, &read, out_source);
  return kp_onnx_read_bytes(o->options->bytes, o->options->byte_count, &read, out_source);
}

static kp_status* read_model(const opening* o, kp_onnx_model** out_source) {
  KP_PASS(read_source(o, out_source));
  kp_status* status = kp_override_model(*out_source, o->options->user);
  if (status) kp_onnx_model_close(*out_source);
  return status;
}

// Initializers that a run could replace are constants like the others until one does.
static kp_status* fix_overridable(kp_graph* graph) {
  for (uint32_t i = 0; i < graph->overridable_count; ++i) {
    kapell_value* value = graph->defaults[i];
    graph->defaults[i] = NULL;
    graph->values[graph->overridable[i]].is_input = false;
    KP_PASS(kp_graph_set_constant(graph, graph->overridable[i], value));
  }
  graph->overridable_count = 0;
  return NULL;
}

// Runs a node within the budget of folding. What its deadline cut short is no result.
static kp_status* evaluate(void* user, const kp_graph* graph, const kp_node* node,
                           kapell_value* const* inputs, kapell_value** outputs) {
  const opening* o = user;
  const kp_bounds before = kp_bounds_enter(o->folding);
  kp_status* status = kp_cpu_eval_node(NULL, graph, node, inputs, outputs);
  const bool late = kp_deadline_passed();
  (void)kp_bounds_enter(before);
  if (status || !late) return status;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    kp_value_release(outputs[i]);
    outputs[i] = NULL;
  }
  return KP_ERROR(TIMEOUT, "folding '%s'", node->name);
}

static kp_status* fold(opening* o, kp_graph* graph, uint32_t* out_folded) {
  const kapell_options* user = o->options->user;
  const uint64_t now = kp_clock_ns(), end = o->folding.deadline_ns;
  const kp_fold_options options = {.max_bytes = user->fold_bytes,
                                   .max_ns = end > now ? end - now : 1,
                                   .evaluate = evaluate,
                                   .user = o};
  bool stopped;
  KP_TRY(kp_graph_fold(graph, &options, out_folded, &stopped), "folding constants");
  if (stopped)
    KP_LOG(INFO, "constant folding stopped at its budget; what is left is computed in every run");
  return NULL;
}

static kp_status* optimise(opening* o, kp_model* model) {
  const kapell_options* user = o->options->user;
  uint32_t changes, folded;
  if (user->keep_values) return kp_graph_infer(model->graph);
  KP_PASS(kp_graph_simplify(model->graph, &changes));
  KP_PASS(kp_graph_infer(model->graph));
  if (user->no_optimize) return NULL;
  KP_PASS(fold(o, model->graph, &folded));
  KP_PASS(kp_graph_simplify(model->graph, &changes));
  return folded || changes ? kp_graph_infer(model->graph) : NULL;
}

// ONNX's functions that no provider takes as they are become their bodies. Providers of the list before the CPU see the whole node
// first: only what the CPU would run is expanded.
static kp_status* expand_functions(kp_graph* graph, bool* out_any) {
  const uint32_t count = graph->node_count;
  for (uint32_t n = 0; n < count; ++n) {
    if (graph->nodes[n].removed) continue;
    for (uint32_t b = 0; b < kp_node_body_count(&graph->nodes[n]); ++b)
      KP_PASS(expand_functions(kp_node_body(&graph->nodes[n], b), out_any));
    if (!kp_cpu_wants_expansion(graph, &graph->nodes[n])) continue;
    bool expanded;
    KP_TRY(kp_graph_expand_function(graph, n, &expanded), "expanding %s '%s'", graph->nodes[n].op,
           graph->nodes[n].name);
    *out_any = *out_any || expanded;
  }
  return NULL;
}

static uint64_t count_nodes(const kp_graph* graph) {
  uint64_t count = 0;
  for (uint32_t n = 0; n < graph->node_count; ++n) {
    if (graph->nodes[n].removed) continue;
    ++count;
    for (uint32_t b = 0; b < kp_node_body_count(&graph->nodes[n]); ++b)
      count += count_nodes(kp_node_body(&graph->nodes[n], b));
  }
  return count;
}

static kp_status* expand_all(opening* o, kp_model* model) {
  const uint64_t most = o->options->user->max_nodes;
  for (int round = 0; round < 16; ++round) {  // functions may use functions
    bool any = false;
    KP_PASS(expand_functions(model->graph, &any));
    if (!any) return NULL;
    if (count_nodes(model->graph) > most)
      return KP_ERROR(LIMIT, "more than %llu nodes after functions are expanded",
                      (unsigned long long)most);
    KP_PASS(check_cancel(o));
    KP_PASS(kp_graph_infer(model->graph));
    KP_PASS(optimise(o, model));
  }
  return NULL;
}

// Makes what the nodes make the outputs, in the order of execution; outputs that are inputs or constants come first.
static kp_status* keep_values(kp_graph* graph) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < graph->output_count; ++i) {
    const kp_value_id id = graph->outputs[i];
    if (graph->values[id].producer == KP_NONE)
      graph->outputs[kept++] = id;
    else
      graph->values[id].output_refs--;
  }
  graph->output_count = kept;
  KP_PASS(kp_graph_order(graph));
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node* node = &graph->nodes[graph->order[i]];
    for (uint32_t k = 0; k < node->output_count; ++k)
      if (node->outputs[k] != KP_NONE) KP_PASS(kp_graph_add_output(graph, node->outputs[k]));
  }
  return NULL;
}

static kp_status* build_pristine(opening* o, kp_model** out_model) {
  const kapell_options* user = o->options->user;
  const kp_build_options build = {.max_nodes = user->max_nodes,
                                  .custom_ops = user->custom_ops,
                                  .custom_op_count = user->custom_op_count};
  kp_onnx_model* source;
  *out_model = NULL;
  KP_PASS(read_model(o, &source));
  kp_status* status = check_cancel(o);
  if (status) {
    kp_onnx_model_close(source);
    return status;
  }
  tell(o, 0.1, "building the graph");
  return kp_model_build(source, &build, out_model);
}

kp_status* kp_core_read_pristine(const kp_core_options* options, kp_model** out_model) {
  opening o = {.options = options};
  return build_pristine(&o, out_model);
}

// Custom operators may be a library's, and what a model makes of them is theirs to withstand.
static kp_status* check_custom(const kapell_options* user) {
  if (user->custom_op_count && user->untrusted && !user->allow_libraries)
    return kp_status_hint(KP_ERROR(INVALID_ARGUMENT,
                                   "%zu custom operators are given, and untrusted models get "
                                   "built-in ones alone",
                                   user->custom_op_count),
                          "allow_libraries lets them in");
  return kp_custom_check(user->custom_ops, user->custom_op_count);
}

static kp_status* prepare_model(opening* o) {
  kp_core* core = o->core;
  const kapell_options* user = o->options->user;
  KP_PASS(check_custom(user));
  tell(o, 0.0, "reading");
  KP_PASS(build_pristine(o, &core->model));
  if (!o->options->keep_overridable) KP_PASS(fix_overridable(core->model->graph));
  KP_PASS(kp_graph_expand_gradients(core->model->graph, user->max_nodes));
  if (user->keep_values) KP_TRY(keep_values(core->model->graph), "keeping all values");
  tell(o, 0.2, "optimising");
  KP_PASS(optimise(o, core->model));
  KP_PASS(expand_all(o, core->model));
  return check_cancel(o);
}

// The model for people to look at, before providers take their parts.
static kp_status* write_optimized(const opening* o) {
  const char* path = o->options->user->optimized_path;
  const kp_onnx_model* source = o->core->model->source;
  void* bytes;
  size_t size;
  kp_status* status = kp_graph_export(o->core->model, &bytes, &size);
  if (!status) {
    status = kp_file_write(path, bytes, size);
    kp_free(bytes);
    return status;
  }
  if (kp_status_code(status) != KAPELL_UNSUPPORTED && kp_status_code(status) != KAPELL_LIMIT)
    return status;
  KP_LOG(WARNING, "'%s' gets the model as it came: %s", path, kp_status_message(status));
  kp_status_free(status);
  if (source->file) return kp_file_write(path, source->file->data, source->file->size);
  return kp_file_write(path, o->options->bytes, o->options->byte_count);
}

// The list of providers: the environment's before the caller's, and said so.
static const char* provider_list(const kapell_options* user, bool* out_replaced) {
  const char* forced = getenv("KAPELL_PROVIDERS");
  *out_replaced = forced && forced[0];
  if (!*out_replaced) return user->providers;
  KP_LOG(WARNING, "KAPELL_PROVIDERS replaces the provider list '%s' by '%s'",
         user->providers ? user->providers : "CPU", forced);
  return forced;
}

static kp_status* load_chain(opening* o) {
  const kapell_options* user = o->options->user;
  uint64_t features = kp_cpu_features();
  if (user->cpu_mask)
    KP_TRY(kp_cpu_parse_mask(kp_str_of(user->cpu_mask), features, &features), "reading cpu_mask");
  const bool alone = o->options->reference;
  bool replaced = false;
  KP_PASS(kp_chain_parse(alone ? "CPU" : provider_list(user, &replaced), &o->core->chain));
  o->core->chain->replaced = replaced;
  _Static_assert(sizeof(kp_chain_option) == sizeof(kapell_provider_option),
                 "the same pair of texts");
  o->core->chain->provider_path = user->provider_path;
  _Static_assert(sizeof(kp_option) == sizeof(kapell_config_entry), "the same pair of texts");
  const kp_chain_load_args args = {.model = o->core->model,
                                   .cpu_features = features,
                                   .options = (const kp_chain_option*)user->provider_options,
                                   .option_count = alone ? 0 : user->provider_option_count,
                                   .config = (const kp_option*)user->config_entries,
                                   .config_count = user->config_entry_count,
                                   .no_libraries = user->untrusted && !user->allow_libraries};
  return kp_chain_load(o->core->chain, &args);
}

// What libraries expect of the model that they are shown.
static kp_status* suit_libraries(const opening* o) {
  const kp_chain* chain = o->core->chain;
  bool hosted = false;
  uint32_t changes;
  for (uint32_t e = 0; e < chain->count; ++e)
    hosted |=
        chain->entries[e].provider && (chain->entries[e].provider->flags & KP_PROVIDER_HOSTED);
  return hosted ? kp_graph_part_dequantize(o->core->model->graph, &changes) : NULL;
}

static kp_status* build_variant(opening* o, uint64_t excluded) {
  kp_core* core = o->core;
  kp_variant* variant = kp_alloc_zero(1, sizeof(*variant));
  if (!variant) return KP_ERROR(OUT_OF_MEMORY, "the session");
  variant->excluded = excluded;
  const kp_plan_options options = {.width = core->width,
                                   .excluded = excluded,
                                   .cancel = &o->cancel,
                                   .progress = tell_plan,
                                   .user = o,
                                   .blocks = core->blocks};
  kp_status* status = kp_plan_build(core->model, core->chain, &options, &variant->set);
  if (!status) status = kp_executor_create(variant->set, core->signature_cache, &variant->executor);
  if (status) {
    kp_plan_set_free(variant->set);
    kp_free(variant);
    return status;
  }
  variant->next = core->variants;
  core->variants = variant;
  return NULL;
}

static kp_status* acquire_threads(kp_core* core, const kapell_options* user) {
  core->pool = kp_pool_retain(user->pool);
  if (!core->pool) return kp_pool_acquire(user->threads, &core->width);
  const int most = kp_pool_width(core->pool);
  core->width = user->threads && user->threads < most ? user->threads : most;
  return NULL;
}

static kp_status* open_core(opening* o) {
  const kapell_options* user = o->options->user;
  KP_PASS(acquire_threads(o->core, user));
  const kp_bounds now = kp_bounds_current();
  kp_budget* const folding = kp_budget_create(now.budget, user->fold_bytes);
  if (!folding) return KP_ERROR(OUT_OF_MEMORY, "the session");
  o->folding = now;
  o->folding.budget = folding;
  o->folding.deadline_ns = kp_deadline_in(user->fold_ns, now.deadline_ns);
  kp_status* status = prepare_model(o);
  kp_budget_release(folding);
  KP_PASS(status);
  if (user->optimized_path && !o->options->reference && !o->options->keep_overridable)
    KP_TRY(write_optimized(o), "writing the optimized model");
  KP_PASS(load_chain(o));
  KP_PASS(suit_libraries(o));
  KP_PASS(build_variant(o, 0));
  tell(o, 1.0, "ready");
  return check_cancel(o);
}

kp_status* kp_core_open(const kp_core_options* options, kp_core** out_core) {
  *out_core = NULL;
  kp_core* core = kp_alloc_zero(1, sizeof(*core));
  if (!core) return KP_ERROR(OUT_OF_MEMORY, "the session");
  pthread_mutex_init(&core->lock, NULL);
  core->signature_cache = options->user->signature_cache ? options->user->signature_cache : 16;
  core->blocks = kp_blocks_retain(options->user->shared_weights);
  opening o = {.options = options, .core = core};
  kp_status* status = open_core(&o);
  if (status) {
    kp_core_close(core);
    return status;
  }
  *out_core = core;
  return NULL;
}

void kp_core_close(kp_core* core) {
  if (!core) return;
  while (core->variants) {
    kp_variant* variant = core->variants;
    core->variants = variant->next;
    kp_executor_free(variant->executor);
    kp_plan_set_free(variant->set);
    kp_free(variant);
  }
  kp_blocks_release(core->blocks);
  kp_chain_free(core->chain);
  kp_model_free(core->model);
  if (core->pool)
    kp_pool_drop(core->pool);
  else if (core->width)
    kp_pool_release();
  pthread_mutex_destroy(&core->lock);
  kp_free(core);
}

static kp_variant* find_variant(const kp_core* core, uint64_t excluded) {
  kp_variant* variant = core->variants;
  while (variant && variant->excluded != excluded) variant = variant->next;
  return variant;
}

kp_variant* kp_core_current(kp_core* core) {
  pthread_mutex_lock(&core->lock);
  kp_variant* variant = find_variant(core, core->excluded);
  pthread_mutex_unlock(&core->lock);
  return variant;
}

kp_status* kp_core_exclude(kp_core* core, uint32_t entry, kp_variant** out_variant) {
  const kapell_options defaults = KAPELL_OPTIONS_INIT;
  const kp_core_options options = {.user = &defaults};
  opening o = {.options = &options, .core = core};
  kp_status* status = NULL;
  *out_variant = NULL;
  if (entry >= 64)
    return KP_ERROR(LIMIT, "provider %u of a chain cannot be left out after a failure", entry);
  pthread_mutex_lock(&core->lock);
  const uint64_t excluded = core->excluded | UINT64_C(1) << entry;
  if (!find_variant(core, excluded)) status = build_variant(&o, excluded);
  if (!status) {
    core->excluded = excluded;
    *out_variant = find_variant(core, excluded);
  }
  pthread_mutex_unlock(&core->lock);
  return status;
}
