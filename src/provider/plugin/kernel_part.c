// The kernels of a partition: one a node, the constants that they want in the library's memory, packed weights, and what dies when.
#include "base/alloc.h"
#include "provider/plugin/kernels.h"

// --- the end ----------------------------------------------------------------------------------------------------------------
static OrtStatus* release_impls(void* arg) {
  const kp_plugin_kernels* kernels = arg;
  for (uint32_t s = 0; s < kernels->step_count; ++s) {
    OrtKernelImpl* impl = kernels->steps[s].impl;
    kernels->steps[s].impl = NULL;
    ort_ep_ReleaseKernelImpl(impl);
  }
  return NULL;
}

static void drop_constant(kp_kernel_constant* constant, kp_kernel_place place) {
  kp_value_release(constant->at[place].value);
  constant->at[place].value = NULL;
}

static void free_constants(const kp_plugin_kernels* kernels, kp_value_id count) {
  for (kp_value_id v = 0; v < count; ++v)
    for (int place = 0; kernels->constants[v] && place < KP_PLACE_COUNT; ++place)
      drop_constant(kernels->constants[v], place);
}

void kp_kernels_free(kp_plugin_kernels* kernels) {
  if (!kernels) return;
  for (uint32_t s = 0; s < kernels->step_count; ++s)
    if (kernels->steps[s].impl) {
      ort_ReleaseStatus(kp_ort_guard(release_impls, kernels));
      break;
    }
  for (uint32_t s = 0; s < kernels->step_count; ++s)
    kp_ort_kernel_info_clear(&kernels->steps[s].info);
  for (kp_kernel_weights* w = kernels->weights; w; w = w->next) kp_ort_weights_clear(&w->cache);
  if (kernels->constants) free_constants(kernels, kernels->value_count);
  kp_arena_free(&kernels->arena);
  kp_free(kernels);
}

// --- constants --------------------------------------------------------------------------------------------------------------
static kp_status* place_constant(const kp_plugin_provider* provider, kapell_value* from,
                                 kp_kernel_place place, OrtValue* out) {
  const kp_memory* memory = kp_kernel_memory(provider, place);
  out->info = kp_plugin_memory_info(memory);
  if (!memory) {
    out->value = kp_value_retain(from);
    return NULL;
  }
  kapell_value* copy = NULL;
  KP_PASS(kp_value_create_on(memory, from->type, from->dims, from->rank, &copy));
  kp_status* status = kp_memory_copy(memory, copy->data, NULL, from->data, from->byte_count);
  if (status)
    kp_value_release(copy);
  else
    out->value = copy;
  return status;
}

// The constant |id| where |place| says; *out stays NULL for a value that is none.
static kp_status* want_constant(kp_plugin_compiled* compiled, kp_value_id id, kp_kernel_place place,
                                const OrtValue** out) {
  kp_plugin_kernels* kernels = compiled->kernels;
  const kp_value* value = &compiled->part->values[id];
  if (!value->constant) return NULL;
  kp_kernel_constant** constant = &kernels->constants[id];
  if (!*constant) *constant = kp_arena_new(&kernels->arena, kp_kernel_constant);
  if (!*constant) return KP_ERROR(OUT_OF_MEMORY, "constant '%s'", value->name);
  if (!(*constant)->at[place].value)
    KP_TRY(place_constant(compiled->provider, value->constant, place, &(*constant)->at[place]),
           "giving %s the constant '%s'", compiled->provider->type->type.short_name, value->name);
  *out = &(*constant)->at[place];
  return NULL;
}

// --- kernels ----------------------------------------------------------------------------------------------------------------
typedef struct creating {
  const kp_ort_kernel* kernel;
  kp_kernel_step* step;
} creating;

static OrtStatus* call_create(void* arg) {
  const creating* c = arg;
  KP_ORT_PASS(c->kernel->create(c->kernel->state, &c->step->info, &c->step->impl));
  const OrtKernelImpl* impl = c->step->impl;
  return impl && impl->Compute
             ? NULL
             : kp_ort_error(ORT_EP_FAIL, "it gave a kernel that computes nothing");
}

static kp_status* lend_constants(kp_plugin_compiled* compiled, kp_kernel_step* step) {
  const kp_node* node = step->node;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (node->inputs[i] == KP_NONE) continue;
    KP_PASS(want_constant(compiled, node->inputs[i],
                          kp_kernel_place_of(compiled->provider, step->def, false, i),
                          &step->lent[i]));
  }
  return NULL;
}

static kp_status* make_step(kp_plugin_compiled* compiled, const kp_node* node,
                            kp_kernel_step* step) {
  kp_plugin_provider* provider = compiled->provider;
  kp_arena* arena = &compiled->kernels->arena;
  kp_strbuf why = {0};
  const kp_ort_kernel* kernel =
      kp_ort_registry_find(provider->registry, compiled->part, node, &why);
  kp_status* status = kernel ? NULL
                             : KP_ERROR(PROVIDER_FAILED, "%s has no kernel: %s",
                                        provider->type->type.short_name, why.data ? why.data : "");
  kp_strbuf_free(&why);
  KP_PASS(status);
  *step = (kp_kernel_step){
      .node = node,
      .def = kernel->def,
      .lent = kp_arena_new_array(arena, const OrtValue*, (size_t)node->input_count + 1),
      .packed = kp_arena_new_array(arena, bool, (size_t)node->input_count + 1)};
  if (!step->lent || !step->packed) return KP_ERROR(OUT_OF_MEMORY, "a kernel");
  step->info = (OrtKernelInfo){.graph = compiled->part,
                               .node = node,
                               .logger = &provider->logger,
                               .config = &provider->options->config,
                               .ep = provider->ep,
                               .allocator = kp_plugin_memory_allocator(provider->memory),
                               .lent = step->lent};
  KP_PASS(lend_constants(compiled, step));
  return kp_plugin_failure(provider->type, "making a kernel",
                           kp_ort_guard(call_create, &(creating){kernel, step}));
}

static kp_status* make_steps(kp_plugin_compiled* compiled) {
  kp_plugin_kernels* kernels = compiled->kernels;
  const kp_graph* part = compiled->part;
  kernels->steps =
      kp_arena_new_array(&kernels->arena, kp_kernel_step, (size_t)part->order_count + 1);
  if (!kernels->steps) return KP_ERROR(OUT_OF_MEMORY, "%u kernels", part->order_count);
  for (uint32_t i = 0; i < part->order_count; ++i) {
    const kp_node* node = &part->nodes[part->order[i]];
    kp_kernel_step* step = &kernels->steps[kernels->step_count++];
    KP_PASS(kp_status_at(make_step(compiled, node, step), node->name, node->op, NULL));
    if (kernels->widest < node->input_count + node->output_count)
      kernels->widest = node->input_count + node->output_count;
  }
  return NULL;
}

// --- packed weights -----------------------------------------------------------------------------------------------------------
typedef struct packing {
  kp_kernel_step* step;
  uint32_t input;
  OrtAllocator* allocator;
  OrtSharedPrePackedWeightCache* cache;  // NULL: weights in the library's memory are not shared
  bool is_packed;
} packing;

// What a kernel gives to be shared it gets back at once: nobody else packs the same weight in the same way here.
static OrtStatus* call_pack(void* arg) {
  packing* p = arg;
  OrtKernelImpl* impl = p->step->impl;
  const int input = (int)p->input;
  KP_ORT_PASS(impl->PrePackWeight(impl, p->step->lent[p->input], input, p->allocator, p->cache,
                                  &p->is_packed));
  const OrtSharedPrePackedWeightCache* cache = p->cache;
  if (!p->is_packed || !cache || !cache->count) return NULL;
  if (!KP_PLUGIN_HAS(impl, SetSharedPrePackedWeight, 24))
    return kp_ort_error(ORT_EP_FAIL, "a kernel shares packed weights and does not take them");
  return impl->SetSharedPrePackedWeight(impl, (const void* const*)cache->buffers, cache->sizes,
                                        cache->count, input);
}

static kp_status* pack_input(kp_plugin_compiled* compiled, kp_kernel_step* step, uint32_t input) {
  kp_plugin_kernels* kernels = compiled->kernels;
  const kp_plugin_provider* provider = compiled->provider;
  const bool on_host = !step->lent[input]->value->memory;
  packing p = {.step = step, .input = input};
  p.allocator = on_host ? &kp_ort_cpu_allocator : kp_plugin_memory_allocator(provider->memory);
  kp_kernel_weights* weights = kp_arena_new(&kernels->arena, kp_kernel_weights);
  if (!weights) return KP_ERROR(OUT_OF_MEMORY, "packed weights");
  *weights = (kp_kernel_weights){.cache.allocator = p.allocator, .next = kernels->weights};
  kernels->weights = weights;
  if (on_host) p.cache = &weights->cache;
  KP_PASS(kp_plugin_failure(provider->type, "packing a weight", kp_ort_guard(call_pack, &p)));
  step->packed[input] = p.is_packed;
  return NULL;
}

static kp_status* pack_weights(kp_plugin_compiled* compiled) {
  const kp_plugin_kernels* kernels = compiled->kernels;
  for (uint32_t s = 0; s < kernels->step_count; ++s) {
    kp_kernel_step* step = &kernels->steps[s];
    if (!KP_PLUGIN_HAS(step->impl, PrePackWeight, 24)) continue;
    for (uint32_t i = 0; i < step->node->input_count; ++i)
      if (step->lent[i])
        KP_PASS(kp_status_at(pack_input(compiled, step, i), step->node->name, step->node->op,
                             compiled->part->values[step->node->inputs[i]].name));
  }
  return NULL;
}

// Constants that every kernel has packed are kept no longer.
static kp_status* drop_packed(kp_plugin_compiled* compiled) {
  kp_plugin_kernels* kernels = compiled->kernels;
  uint8_t* wanted = kp_alloc_zero((size_t)compiled->part->value_count + 1, 1);
  if (!wanted) return KP_ERROR(OUT_OF_MEMORY, "constants of a partition");
  for (uint32_t s = 0; s < kernels->step_count; ++s) {
    const kp_kernel_step* step = &kernels->steps[s];
    for (uint32_t i = 0; i < step->node->input_count; ++i) {
      if (!step->lent[i] || step->packed[i]) continue;
      wanted[step->node->inputs[i]] |=
          1u << kp_kernel_place_of(compiled->provider, step->def, false, i);
    }
  }
  for (uint32_t s = 0; s < kernels->step_count; ++s)
    for (uint32_t i = 0; i < kernels->steps[s].node->input_count; ++i)
      if (kernels->steps[s].packed[i]) kernels->steps[s].lent[i] = NULL;
  for (kp_value_id v = 0; v < kernels->value_count; ++v)
    for (int place = 0; kernels->constants[v] && place < KP_PLACE_COUNT; ++place)
      if (!(wanted[v] & 1u << place)) drop_constant(kernels->constants[v], place);
  kp_free(wanted);
  return NULL;
}

// --- lives --------------------------------------------------------------------------------------------------------------------
// Lists for each step the values that it reads or makes last. Outputs of the partition live to the end.
static kp_status* find_deaths(kp_plugin_compiled* compiled) {
  kp_plugin_kernels* kernels = compiled->kernels;
  const kp_graph* part = compiled->part;
  uint32_t* last = kp_arena_new_array(&kernels->arena, uint32_t, (size_t)part->value_count + 1);
  uint32_t* counts = kp_arena_new_array(&kernels->arena, uint32_t, (size_t)kernels->step_count + 1);
  kp_value_id* lists =
      kp_arena_new_array(&kernels->arena, kp_value_id, (size_t)part->value_count + 1);
  if (!last || !counts || !lists) return KP_ERROR(OUT_OF_MEMORY, "lives of values");
  for (kp_value_id v = 0; v < part->value_count; ++v) last[v] = KP_NONE;
  for (uint32_t s = 0; s < kernels->step_count; ++s) {
    const kp_node* node = kernels->steps[s].node;
    for (uint32_t i = 0; i < node->input_count; ++i)
      if (node->inputs[i] != KP_NONE) last[node->inputs[i]] = s;
    for (uint32_t i = 0; i < node->output_count; ++i)
      if (node->outputs[i] != KP_NONE) last[node->outputs[i]] = s;
  }
  for (kp_value_id v = 0; v < part->value_count; ++v) {
    if (kernels->output_of[v] != KP_NONE || part->values[v].constant) last[v] = KP_NONE;
    if (last[v] != KP_NONE) ++counts[last[v]];
  }
  for (uint32_t s = 0; s < kernels->step_count; ++s) {
    kernels->steps[s].dead = lists;
    lists += counts[s];
  }
  for (kp_value_id v = 0; v < part->value_count; ++v) {
    if (last[v] == KP_NONE) continue;
    kp_kernel_step* step = &kernels->steps[last[v]];
    ((kp_value_id*)(uintptr_t)step->dead)[step->dead_count++] = v;
  }
  return NULL;
}

static kp_status* note_outputs(kp_plugin_compiled* compiled) {
  kp_plugin_kernels* kernels = compiled->kernels;
  const kp_graph* part = compiled->part;
  const size_t count = (size_t)part->value_count + 1;
  kernels->constants = kp_arena_new_array(&kernels->arena, kp_kernel_constant*, count);
  kernels->output_of = kp_arena_new_array(&kernels->arena, uint32_t, count);
  if (!kernels->constants || !kernels->output_of)
    return KP_ERROR(OUT_OF_MEMORY, "%u values", part->value_count);
  kernels->value_count = part->value_count;
  for (kp_value_id v = 0; v < part->value_count; ++v) kernels->output_of[v] = KP_NONE;
  for (uint32_t o = 0; o < part->output_count; ++o) kernels->output_of[part->outputs[o]] = o;
  return NULL;
}

kp_status* kp_kernels_compile(kp_plugin_compiled* compiled) {
  compiled->kernels = kp_alloc_zero(1, sizeof *compiled->kernels);
  if (!compiled->kernels) return KP_ERROR(OUT_OF_MEMORY, "kernels of a partition");
  KP_PASS(note_outputs(compiled));
  KP_PASS(make_steps(compiled));
  KP_PASS(pack_weights(compiled));
  KP_PASS(drop_packed(compiled));
  return find_deaths(compiled);
}
