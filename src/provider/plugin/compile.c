// Compiling: a partition's private copy, as a view with one fused node, through the library's Compile and CreateState.
#include "base/alloc.h"
#include "base/cancel.h"
#include "provider/plugin/kernels.h"

// --- life -------------------------------------------------------------------------------------------------------------------
static OrtStatus* release_parts(void* arg) {
  kp_plugin_compiled* compiled = arg;
  OrtEp* ep = compiled->provider->ep;
  if (compiled->state && compiled->info->ReleaseState)
    compiled->info->ReleaseState(compiled->info, compiled->state);
  if (compiled->info && KP_PLUGIN_HAS(ep, ReleaseNodeComputeInfos, 23))
    ep->ReleaseNodeComputeInfos(ep, &compiled->info, 1);
  return NULL;
}

void kp_plugin_release(kp_compiled* base) {
  kp_plugin_compiled* compiled = (kp_plugin_compiled*)base;
  if (!compiled) return;
  if (compiled->info) ort_ReleaseStatus(kp_ort_guard(release_parts, compiled));
  kp_kernels_free(compiled->kernels);
  kp_graph_free(compiled->part);
  kp_free(compiled->name);
  kp_free(compiled->constants);
  kp_free(compiled->outputs);
  kp_free(compiled);
}

// --- what is known of the partition -----------------------------------------------------------------------------------------
// What capability noted of the group that the partition was claimed as; false: its nodes were claimed one by one.
static bool is_fused(const kp_plugin_provider* provider, const kp_graph* part,
                     bool* out_drops_constants) {
  uint32_t drops = 0;
  bool fused = !provider->registry;
  for (kp_node_id n = 0; n < part->node_count; ++n) {
    const kp_node* node = &part->nodes[n];
    for (uint32_t o = 0; o < node->output_count; ++o)
      if (node->outputs[o] != KP_NONE &&
          kp_ptr_map_get(&provider->fused, part->values[node->outputs[o]].name, &drops)) {
        *out_drops_constants |= drops != 0;
        fused = true;
      }
  }
  return fused;
}

// Shapes that are numbers already let the output be planned; all others the library alone knows.
static kp_shape_info shape_of(const kp_type* type) {
  kp_shape_info info = {.kind = type->kind, .type = type->element, .rank = -1};
  if (type->kind != KAPELL_KIND_TENSOR || type->element == KAPELL_UNDEFINED || type->rank < 0)
    return info;
  for (int32_t d = 0; d < type->rank; ++d)
    if (kp_is_symbol(type->dims[d])) return info;
  info.rank = type->rank;
  info.dims = type->dims;
  return info;
}

static kp_status* note_outputs(kp_plugin_compiled* compiled) {
  const kp_graph* part = compiled->part;
  compiled->outputs = kp_alloc_zero((size_t)part->output_count + 1, sizeof *compiled->outputs);
  if (!compiled->outputs) return KP_ERROR(OUT_OF_MEMORY, "compiling %s", compiled->name);
  for (uint32_t o = 0; o < part->output_count; ++o)
    compiled->outputs[o] = shape_of(&part->values[part->outputs[o]].type);
  return NULL;
}

// The constants among the fused node's inputs, which follow those of the partition: by name, as the library sees them.
static OrtStatus* note_constants(kp_plugin_compiled* compiled, const OrtNode* fused) {
  const kp_graph* part = compiled->part;
  size_t count = 0;
  KP_ORT_PASS(ort_Node_GetNumInputs(fused, &count));
  if (count <= part->input_count) return NULL;
  const OrtValueInfo** infos = kp_alloc_zero(count, sizeof *infos);
  compiled->constants = kp_alloc_zero(count, sizeof *compiled->constants);
  OrtStatus* status =
      infos && compiled->constants ? ort_Node_GetInputs(fused, infos, count) : kp_ort_no_memory();
  kp_ptr_map by_name = {0};
  kp_status* failure = NULL;
  for (kp_value_id v = 0; !status && !failure && v < part->value_count; ++v)
    if (part->values[v].constant) failure = kp_ptr_map_put(&by_name, part->values[v].name, v);
  for (size_t i = part->input_count; !status && !failure && i < count; ++i) {
    const char* name = "";
    uint32_t value = KP_NONE;
    status = ort_GetValueInfoName(infos[i], &name);
    const char* known = status ? NULL : kp_intern_find(&part->model->names, kp_str_of(name));
    if (known && kp_ptr_map_get(&by_name, known, &value))
      compiled->constants[compiled->constant_count] = part->values[value].constant;
    ++compiled->constant_count;
  }
  kp_ptr_map_free(&by_name);
  kp_free(infos);
  return failure ? kp_ort_status(failure) : status;
}

// --- the calls --------------------------------------------------------------------------------------------------------------
typedef struct compiling {
  kp_plugin_compiled* compiled;
  bool drops_constants;
  kp_ort_view* view;
  const OrtNode* fused;
} compiling;

static OrtStatus* call_compile(void* arg) {
  const compiling* c = arg;
  OrtEp* ep = c->compiled->provider->ep;
  const OrtGraph* graph = kp_ort_view_graph(c->view);
  OrtNode* context_node = NULL;
  if (!KP_PLUGIN_HAS(ep, Compile, 23))
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "it has no function Compile");
  OrtStatus* status = ep->Compile(ep, &graph, (const OrtNode**)(uintptr_t)&c->fused, 1,
                                  &c->compiled->info, &context_node);
  ort_ReleaseNode(context_node);
  if (status) return status;
  if (!c->compiled->info || !c->compiled->info->Compute)
    return kp_ort_error(ORT_EP_FAIL, "Compile gave nothing that computes");
  return NULL;
}

static OrtStatus* call_create_state(void* arg) {
  kp_plugin_compiled* compiled = arg;
  OrtNodeComputeContext context = {.node_name = compiled->name};
  if (!compiled->info->CreateState) return NULL;
  return compiled->info->CreateState(compiled->info, &context, &compiled->state);
}

static OrtStatus* make_view(compiling* c) {
  const kp_plugin_provider* provider = c->compiled->provider;
  const kp_ort_view_args args = {.graph = c->compiled->part,
                                 .model_path = kp_plugin_model_path(c->compiled->part)};
  KP_ORT_PASS(kp_ort_view_create(&args, &c->view));
  KP_ORT_PASS(kp_ort_view_fuse(c->view, c->compiled->name, provider->type->type.name,
                               c->drops_constants, &c->fused));
  return note_constants(c->compiled, c->fused);
}

// As capability asked when it claimed the group.
static kp_status* to_channels_last(const kp_plugin_compiled* compiled) {
  bool takes = true;
  if (compiled->provider->layout != OrtEpDataLayout_NHWC) return NULL;
  KP_PASS(kp_fused_to_nhwc(compiled->provider, compiled->part, true, &takes));
  if (takes) return NULL;
  return KP_ERROR(PROVIDER_FAILED, "%s does not take %s as one in channels-last order",
                  compiled->provider->type->type.short_name, compiled->name);
}

static kp_status* compile_part(kp_plugin_compiled* compiled) {
  const kp_plugin_type* type = compiled->provider->type;
  compiling c = {.compiled = compiled};
  KP_PASS(kp_graph_order(compiled->part));
  const bool fused = is_fused(compiled->provider, compiled->part, &c.drops_constants);
  KP_PASS(fused ? to_channels_last(compiled) : kp_kernels_to_nhwc(compiled));
  KP_PASS(note_outputs(compiled));
  if (!fused) return kp_kernels_compile(compiled);
  kp_status* status = kp_plugin_failure(type, "showing it a partition", make_view(&c));
  if (!status) status = kp_plugin_failure(type, "compiling", kp_ort_guard(call_compile, &c));
  kp_ort_view_free(c.view);
  if (status) return status;
  return kp_plugin_failure(type, "making what it computes with",
                           kp_ort_guard(call_create_state, compiled));
}

kp_status* kp_plugin_compile(kp_provider* base, const kp_compile_args* args,
                             kp_compiled** out_compiled) {
  kp_plugin_provider* provider = (kp_plugin_provider*)base;
  *out_compiled = NULL;
  kp_plugin_compiled* compiled = kp_alloc_zero(1, sizeof *compiled);
  if (!compiled) {
    kp_graph_free(args->part);
    return KP_ERROR(OUT_OF_MEMORY, "compiling %s", args->name);
  }
  compiled->base.provider = base;
  compiled->provider = provider;
  compiled->part = args->part;
  kp_strbuf name = {0};
  kp_strbuf_printf(&name, "%s_%u", provider->type->type.name, provider->compiled_count++);
  compiled->name = kp_strbuf_take(&name);
  kp_status* status = NULL;
  if (!compiled->name) status = KP_ERROR(OUT_OF_MEMORY, "compiling %s", args->name);
  if (!status && kp_is_cancelled(args->cancel))
    status = KP_ERROR(CANCELLED, "compiling %s", args->name);
  if (!status) status = compile_part(compiled);
  if (status) {
    kp_plugin_release(&compiled->base);
    return status;
  }
  if (args->progress) args->progress(args->user, 1);
  *out_compiled = &compiled->base;
  return NULL;
}

void kp_plugin_visit(const kp_compiled* base,
                     void (*node)(void* user, const kp_node* node, const char* kernel),
                     void* user) {
  const kp_plugin_compiled* compiled = (const kp_plugin_compiled*)base;
  const kp_graph* part = compiled->part;
  for (kp_node_id n = 0; n < part->node_count; ++n)
    if (!part->nodes[n].removed)
      node(user, &part->nodes[n], compiled->kernels ? "kernel" : compiled->name);
}
