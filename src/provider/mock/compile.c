// Compiling a partition (constants go to the device) and specialising it to input shapes (graph/infer.h over numbers).
// Neighbours: run.c executes what is made here.
#include "base/alloc.h"
#include "base/size.h"
#include "base/types.h"
#include "graph/infer.h"
#include "provider/mock/mock_internal.h"

// --- compile --------------------------------------------------------------------------------------------------------------
static kp_status* order_all(kp_graph* graph) {
  KP_PASS(kp_graph_order(graph));
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node* node = &graph->nodes[graph->order[i]];
    for (uint32_t a = 0; a < node->attr_count; ++a)
      if (node->attrs[a].type == KP_ONNX_ATTR_GRAPH) KP_PASS(order_all(node->attrs[a].graph));
  }
  return NULL;
}

static kp_status* upload(kp_mock_compiled* compiled, kp_value_id id) {
  const kapell_value* host = compiled->part->values[id].constant;
  const kp_memory* memory = compiled->provider->base.memory;
  void* device_data = memory->alloc(memory, host->byte_count, KP_ALIGNMENT);
  if (!device_data)
    return kp_status_hint(
        KP_ERROR(OUT_OF_MEMORY, "%s has no room for the %zu bytes of constant '%s'", memory->name,
                 host->byte_count, compiled->part->values[id].name),
        "give it more with %s.memory", compiled->provider->name);
  compiled->allocations[compiled->allocation_count++] = device_data;
  compiled->constant_bytes += host->byte_count;
  void* secret = kp_mock_device_reach(compiled->provider->device, device_data, host->byte_count);
  if (host->byte_count) memcpy(secret, host->data, host->byte_count);
  return kp_value_wrap_tensor(host->type, host->dims, host->rank, secret, host->byte_count, NULL,
                              NULL, &compiled->constants[id]);
}

static kp_status* upload_all(kp_mock_compiled* compiled, const kp_compile_args* args) {
  const kp_graph* part = compiled->part;
  compiled->constants = kp_arena_new_array(&compiled->arena, kapell_value*, part->value_count);
  compiled->allocations = kp_arena_new_array(&compiled->arena, void*, part->value_count);
  if (!compiled->constants || !compiled->allocations)
    return KP_ERROR(OUT_OF_MEMORY, "constants of %s", compiled->name);
  for (uint32_t i = 0; i < part->order_count; ++i) {
    const kp_node* node = &part->nodes[part->order[i]];
    if (kp_is_cancelled(args->cancel)) return KP_ERROR(CANCELLED, "compiling %s", compiled->name);
    for (uint32_t k = 0; k < node->input_count + node->implicit_count; ++k) {
      const kp_value_id id =
          k < node->input_count ? node->inputs[k] : node->implicit[k - node->input_count];
      if (id == KP_NONE || !part->values[id].constant || compiled->constants[id]) continue;
      KP_TRY(upload(compiled, id), "copying constants of node '%s'", node->name);
    }
    if (args->progress) args->progress(args->user, (double)(i + 1) / part->order_count);
  }
  return NULL;
}

// Which inputs' contents decide shapes, followed back through shape arithmetic. Only asked for when every shape must be
// known before a run; otherwise such outputs are simply of unknown shape.
static kp_status* mark_value_inputs(kp_mock_compiled* compiled) {
  const kp_graph* part = compiled->part;
  bool* needed = kp_arena_new_array(&compiled->arena, bool, part->value_count);
  bool* marks = kp_arena_new_array(&compiled->arena, bool, part->input_count);
  if (!needed || !marks) return KP_ERROR(OUT_OF_MEMORY, "inputs of %s", compiled->name);
  for (uint32_t i = part->order_count; i-- > 0;) {
    const kp_node* node = &part->nodes[part->order[i]];
    const kp_infer_rule* rule = kp_infer_find(node);
    bool passes_on = false;
    for (uint32_t o = 0; o < node->output_count; ++o)
      passes_on |= node->outputs[o] != KP_NONE && needed[node->outputs[o]] && rule &&
                   (rule->flags & KP_INFER_FROM_DATA);
    for (uint32_t k = 0; k < node->input_count; ++k)
      if (node->inputs[k] != KP_NONE &&
          (passes_on || (rule && k < 32 && (rule->value_inputs >> k & 1))))
        needed[node->inputs[k]] = true;
  }
  for (uint32_t i = 0; i < part->input_count; ++i) marks[i] = needed[part->inputs[i]];
  compiled->base.value_inputs = marks;
  return NULL;
}

kp_status* kp_mock_compile(kp_provider* base, const kp_compile_args* args,
                           kp_compiled** out_compiled) {
  *out_compiled = NULL;
  kp_mock_provider* provider = (kp_mock_provider*)base;
  kp_mock_compiled* compiled = kp_alloc_zero(1, sizeof *compiled);
  if (!compiled) {
    kp_graph_free(args->part);
    return KP_ERROR(OUT_OF_MEMORY, "compiling %s", args->name);
  }
  compiled->base.provider = base;
  compiled->provider = provider;
  compiled->part = args->part;
  kp_status* status = NULL;
  compiled->name = kp_arena_printf(&compiled->arena, "%s", args->name);
  if (!compiled->name) KP_GOTO(status, fail, KP_ERROR(OUT_OF_MEMORY, "compiling %s", args->name));
  KP_GOTO(status, fail, order_all(compiled->part));
  if (kp_mock_fails(provider, KP_MOCK_FAIL_COMPILE)) {
    const kp_node* node =
        compiled->part->order_count ? &compiled->part->nodes[compiled->part->order[0]] : NULL;
    status = KP_ERROR(
        PROVIDER_FAILED,
        "%s: the engine was not built: no tactic for layer '%s' in 256 MiB of workspace (code 10)",
        provider->name, node ? node->name : "");
    if (node) status = kp_status_at(status, node->name, node->op, NULL);
    goto fail;
  }
  KP_GOTO(status, fail, upload_all(compiled, args));
  if (base->flags & KP_PROVIDER_STATIC) KP_GOTO(status, fail, mark_value_inputs(compiled));
  *out_compiled = &compiled->base;
  return NULL;
fail:
  kp_mock_compiled_release(&compiled->base);
  return status;
}

void kp_mock_compiled_release(kp_compiled* base) {
  if (!base) return;
  kp_mock_compiled* compiled = (kp_mock_compiled*)base;
  const kp_memory* memory = compiled->provider->base.memory;
  for (uint32_t i = 0; compiled->constants && i < compiled->part->value_count; ++i)
    kp_value_release(compiled->constants[i]);
  for (uint32_t i = 0; i < compiled->allocation_count; ++i)
    memory->free(memory, compiled->allocations[i]);
  kp_graph_free(compiled->part);
  kp_arena_free(&compiled->arena);
  kp_free(compiled);
}

// --- specialise -------------------------------------------------------------------------------------------------------------
typedef struct specialising {
  const kp_mock_compiled* compiled;
  const kp_graph* part;
  kp_arena* arena;
  kp_type* types;  // by value id; kind NONE = not known
  kp_known* known;
  kapell_value**
      contents;  // host values with known contents: constants, and inputs that came with data
} specialising;

static kp_type type_of_value(const kapell_value* value) {
  return (kp_type){
      .kind = value->kind, .element = value->type, .rank = value->rank, .dims = value->dims};
}

static kp_status* set_input(specialising* s, kp_value_id id, const kp_shape_info* info) {
  s->types[id] = (kp_type){.kind = info->kind, .element = info->type, .rank = -1};
  if (info->kind != KAPELL_KIND_TENSOR) return NULL;
  s->types[id].rank = info->rank;
  s->types[id].dims = kp_arena_memdup(
      s->arena, info->dims, sizeof *info->dims * (size_t)info->rank);  // the caller's go away
  if (!s->types[id].dims) return KP_ERROR(OUT_OF_MEMORY, "shape of an input");
  if (!info->data || info->rank > KP_INLINE_RANK) return NULL;
  kapell_value* value = kp_arena_new(s->arena, kapell_value);
  void* data = NULL;
  size_t count, byte_count;
  KP_PASS(kp_value_check_dims(info->type, info->dims, info->rank, &count, &byte_count));
  if (value) data = kp_arena_memdup(s->arena, info->data, byte_count);
  if (!data) return KP_ERROR(OUT_OF_MEMORY, "contents of an input");
  *value = (kapell_value){.kind = KAPELL_KIND_TENSOR,
                          .type = info->type,
                          .rank = info->rank,
                          .refs = 1,
                          .data = data,
                          .byte_count = byte_count};
  value->dims = value->inline_dims;
  for (int32_t d = 0; d < info->rank; ++d) value->inline_dims[d] = info->dims[d];
  s->contents[id] = value;
  return NULL;
}

static kp_status* infer_one(specialising* s, const kp_node* node) {
  const kp_infer_rule* rule = kp_infer_find(node);
  if (!rule) return NULL;
  kp_infer infer = {.graph = s->part, .node = node, .arena = s->arena};
  const kp_type** inputs = kp_arena_new_array(s->arena, const kp_type*, node->input_count);
  kp_known* known = kp_arena_new_array(s->arena, kp_known, node->input_count);
  kapell_value** contents = kp_arena_new_array(s->arena, kapell_value*, node->input_count);
  infer.outputs = kp_arena_new_array(s->arena, kp_type, node->output_count);
  infer.out_known = kp_arena_new_array(s->arena, kp_known, node->output_count);
  if (!inputs || !known || !contents || !infer.outputs || !infer.out_known)
    return KP_ERROR(OUT_OF_MEMORY, "shapes of node '%s'", node->name);
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value_id id = node->inputs[i];
    if (id == KP_NONE) continue;
    inputs[i] = &s->types[id];
    known[i] = s->known[id];
    contents[i] = s->contents[id];
  }
  infer.inputs = inputs;
  infer.known = known;
  infer.constants = contents;
  KP_PASS(kp_infer_node(&infer, rule));
  for (uint32_t o = 0; o < node->output_count; ++o) {
    if (node->outputs[o] == KP_NONE) continue;
    s->types[node->outputs[o]] = infer.outputs[o];
    s->known[node->outputs[o]] = infer.out_known[o];
  }
  return NULL;
}

static bool all_numbers(const kp_type* type) {
  if (type->kind != KAPELL_KIND_TENSOR || type->element == KAPELL_UNDEFINED || type->rank < 0)
    return false;
  for (int32_t d = 0; d < type->rank; ++d)
    if (kp_is_symbol(type->dims[d]) || type->dims[d] < 0) return false;
  return true;
}

// Contents of a small integer output that followed from shapes, as the run will write them; NULL where not known.
static const void* known_data(specialising* s, kp_value_id id, const kp_type* type) {
  const kp_known* known = &s->known[id];
  if (!known->elements || (type->element != KAPELL_INT64 && type->element != KAPELL_INT32))
    return NULL;
  for (uint32_t i = 0; i < known->count; ++i)
    if (kp_is_symbol(known->elements[i])) return NULL;
  if (type->element == KAPELL_INT64)
    return kp_arena_memdup(s->arena, known->elements, sizeof(int64_t) * known->count);
  int32_t* narrow = kp_arena_new_array(s->arena, int32_t, known->count);
  for (uint32_t i = 0; narrow && i < known->count; ++i) narrow[i] = (int32_t)known->elements[i];
  return narrow;
}

static kp_status* describe_output(specialising* s, kp_value_id id, kp_shape_info* out) {
  const kp_type* type = &s->types[id];
  *out = (kp_shape_info){
      .kind = KAPELL_KIND_TENSOR, .type = s->part->values[id].type.element, .rank = -1};
  if (all_numbers(type)) {
    out->type = type->element;
    out->rank = type->rank;
    out->dims = type->dims;
    out->data = known_data(s, id, type);
    return NULL;
  }
  if (!(s->compiled->provider->base.flags & KP_PROVIDER_STATIC)) return NULL;
  return kp_status_at(
      KP_ERROR(PROVIDER_FAILED, "%s needs every shape before a run, and that of '%s' is not known",
               s->compiled->provider->name, s->part->values[id].name),
      NULL, NULL, s->part->values[id].name);
}

static kp_status* prepare(specialising* s, const kp_specialise_args* args) {
  const kp_graph* part = s->part;
  s->types = kp_arena_new_array(s->arena, kp_type, part->value_count);
  s->known = kp_arena_new_array(s->arena, kp_known, part->value_count);
  s->contents = kp_arena_new_array(s->arena, kapell_value*, part->value_count);
  if (!s->types || !s->known || !s->contents)
    return KP_ERROR(OUT_OF_MEMORY, "shapes of %s", s->compiled->name);
  for (uint32_t i = 0; i < part->value_count; ++i) {
    s->types[i].rank = -1;
    if (!part->values[i].constant) continue;
    s->types[i] = type_of_value(part->values[i].constant);
    s->contents[i] = part->values[i].constant;
  }
  for (uint32_t i = 0; i < part->input_count; ++i)
    KP_PASS(set_input(s, part->inputs[i], &args->inputs[i]));
  return NULL;
}

kp_status* kp_mock_specialise(kp_compiled* base, const kp_specialise_args* args,
                              kp_special** out_special) {
  *out_special = NULL;
  kp_mock_compiled* compiled = (kp_mock_compiled*)base;
  const kp_graph* part = compiled->part;
  if (kp_mock_fails(compiled->provider, KP_MOCK_FAIL_SPECIALISE))
    return KP_ERROR(
        PROVIDER_FAILED,
        "%s: no engine for these shapes: a dimension is outside the optimisation profile (code 4)",
        compiled->provider->name);
  if (args->input_count != part->input_count)
    return KP_ERROR(INTERNAL, "%u inputs for %s, which has %u", args->input_count, compiled->name,
                    part->input_count);
  specialising s = {.compiled = compiled, .part = part, .arena = args->arena};
  KP_PASS(prepare(&s, args));
  for (uint32_t i = 0; i < part->order_count; ++i) {
    kp_status* status = infer_one(&s, &part->nodes[part->order[i]]);
    // What is wrong with a node shows again, with data, when it runs; until then its outputs are of unknown shape.
    if (status && (kp_status_code(status) == KAPELL_OUT_OF_MEMORY ||
                   (base->provider->flags & KP_PROVIDER_STATIC)))
      return status;
    kp_status_ignore(status);
  }
  kp_special* special = kp_arena_new(args->arena, kp_special);
  kp_shape_info* outputs = kp_arena_new_array(args->arena, kp_shape_info, part->output_count);
  if (!special || !outputs) return KP_ERROR(OUT_OF_MEMORY, "shapes of %s", compiled->name);
  for (uint32_t o = 0; o < part->output_count; ++o)
    KP_PASS(describe_output(&s, part->outputs[o], &outputs[o]));
  special->outputs = outputs;
  special->output_count = part->output_count;
  *out_special = special;
  return NULL;
}

void kp_mock_describe(const kp_compiled* base, kp_strbuf* out) {
  const kp_mock_compiled* compiled = (const kp_mock_compiled*)base;
  kp_strbuf_printf(out,
                   "{\"engine\":\"mock\",\"precision\":\"as in the "
                   "model\",\"nodes\":%u,\"constant_bytes\":%llu,\"runs\":%llu,\"flops\":%llu,",
                   compiled->part->order_count, (unsigned long long)compiled->constant_bytes,
                   (unsigned long long)compiled->runs, (unsigned long long)compiled->flops);
  kp_mock_device_describe(compiled->provider->device, out);
  kp_strbuf_puts(out, "}");
}
