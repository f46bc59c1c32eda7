// Compiling a partition: passes over its graph, then every node prepared, in order, as a step over slots.
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/cpu.h"
#include "base/json.h"
#include "provider/cpu/cpu.h"
#include "provider/cpu/pass.h"

const kp_infer_rule* kp_cpu_rule(const kp_op_def* op, const kp_node* node, kp_infer_rule* own) {
  if (!op->infer) return kp_infer_find(node);
  *own = (kp_infer_rule){.domain = op->domain, .op = op->name, .since = op->since, .fn = op->infer};
  return own;
}

void* kp_prepare_packed(kp_op_prepare* prepare, size_t byte_count) {
  kp_cpu_compiled* owner = prepare->owner;
  if (owner->packed_count == owner->packed_capacity) {
    const uint32_t capacity = owner->packed_capacity ? owner->packed_capacity * 2 : 16;
    kp_cpu_packed* grown = kp_realloc_array(owner->packed, capacity, sizeof *grown);
    if (!grown) return NULL;
    owner->packed = grown;
    owner->packed_capacity = capacity;
  }
  void* memory = kp_alloc_block(byte_count);
  if (!memory) return NULL;
  if (owner->blocks) memset(memory, 0, byte_count);  // what packing leaves out is compared too
  owner->packed[owner->packed_count++] = (kp_cpu_packed){memory, byte_count, false};
  return memory;
}

// The value of constant input |index| if other nodes read it too; KP_NONE: it is the node's own, or none of the partition's.
static kp_value_id shared_constant(const kp_op_prepare* prepare, uint32_t index) {
  const kp_cpu_compiled* owner = prepare->owner;
  const kp_value_id id = prepare->node->inputs[index];
  if (owner->graph != prepare->graph || id == KP_NONE) return KP_NONE;
  return owner->graph->values[id].use_count > 1 ? id : KP_NONE;
}

void* kp_prepare_packed_once(kp_op_prepare* prepare, uint32_t index, const kp_packed_form* form,
                             size_t byte_count, bool* out_done) {
  kp_cpu_compiled* owner = prepare->owner;
  const kp_value_id id = shared_constant(prepare, index);
  *out_done = false;
  if (id == KP_NONE) return kp_prepare_packed(prepare, byte_count);
  if (!owner->shared)
    owner->shared = kp_arena_new_array(&owner->arena, kp_cpu_shared*, owner->graph->value_count);
  if (!owner->shared) return NULL;
  for (kp_cpu_shared* s = owner->shared[id]; s; s = s->next) {
    if (memcmp(&s->form, form, sizeof *form) != 0) continue;
    *out_done = true;
    return s->memory;
  }
  kp_cpu_shared* fresh = kp_arena_new(&owner->arena, kp_cpu_shared);
  void* memory = fresh ? kp_prepare_packed(prepare, byte_count) : NULL;
  if (!memory) return NULL;
  *fresh = (kp_cpu_shared){owner->shared[id], *form, memory};
  owner->shared[id] = owner->last_shared = fresh;
  return memory;
}

void* kp_prepare_settle(kp_op_prepare* prepare, void* memory) {
  kp_cpu_compiled* owner = prepare->owner;
  uint32_t at = owner->packed_count;
  if (!owner->blocks) return memory;
  while (at && owner->packed[at - 1].memory != memory) --at;
  if (!at || owner->packed[at - 1].is_shared) return memory;
  kp_cpu_packed* packed = &owner->packed[at - 1];
  void* kept = kp_blocks_join(owner->blocks, memory, packed->byte_count);
  if (!kept) return memory;
  if (owner->last_shared && owner->last_shared->memory == memory) owner->last_shared->memory = kept;
  packed->memory = kept;
  packed->is_shared = true;
  return kept;
}

kp_status* kp_prepare_cleanup(kp_op_prepare* prepare, void (*release)(void* object), void* object) {
  kp_cpu_compiled* owner = prepare->owner;
  kp_cpu_cleanup* cleanup = kp_arena_new(&owner->arena, kp_cpu_cleanup);
  if (!cleanup) {
    release(object);
    return KP_ERROR(OUT_OF_MEMORY, "compiling a node");
  }
  *cleanup = (kp_cpu_cleanup){owner->cleanups, release, object};
  owner->cleanups = cleanup;
  return NULL;
}

// The constants as the operator wants them: |adapted| receives new values to release, NULL where there is none.
static kp_status* adapt_constants(const kp_op_def* op, uint32_t count,
                                  kapell_value* const* constants, kapell_value** adapted,
                                  kapell_value** out) {
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = constants[i];
    if (!constants[i]) continue;
    KP_PASS(kp_cpu_adapt_constant(op, constants[i], &adapted[i]));
    if (adapted[i]) out[i] = adapted[i];
  }
  return NULL;
}

static kp_status* call_prepare(kp_cpu_compiled* owner, kp_cpu_step* step, kp_op_prepare* prepare) {
  KP_PASS(step->op->prepare(prepare));
  step->state = prepare->state;
  if (prepare->kernel) step->kernel = prepare->kernel;
  bool any = false;
  for (uint32_t i = 0; i < step->node->input_count; ++i) any |= prepare->consumed[i];
  if (any) {
    step->consumed = kp_arena_memdup(&owner->arena, prepare->consumed, step->node->input_count);
    if (!step->consumed) return KP_ERROR(OUT_OF_MEMORY, "compiling a node");
  }
  return NULL;
}

kp_status* kp_cpu_prepare_step(const kp_graph* graph, kp_cpu_compiled* owner, kp_cpu_step* step,
                               kapell_value* const* constants, int width) {
  const kp_node* node = step->node;
  step->kernel = step->op->name;
  if (!step->op->prepare) return NULL;
  kp_arena scratch = {0};
  const uint32_t count = node->input_count;
  kapell_value** adapted = kp_arena_new_array(&scratch, kapell_value*, count + 1);
  kapell_value** wanted = kp_arena_new_array(&scratch, kapell_value*, count + 1);
  bool* consumed = kp_arena_new_array(&scratch, bool, count + 1);
  kp_status* status = NULL;
  if (!adapted || !wanted || !consumed) {
    status = KP_ERROR(OUT_OF_MEMORY, "compiling a node");
    goto done;
  }
  KP_GOTO(status, done, adapt_constants(step->op, count, constants, adapted, wanted));
  kp_op_prepare prepare = {.graph = graph,
                           .node = node,
                           .constants = wanted,
                           .features = owner->features,
                           .width = width,
                           .arena = &owner->arena,
                           .consumed = consumed,
                           .owner = owner};
  status = call_prepare(owner, step, &prepare);
done:
  for (uint32_t i = 0; adapted && i < count; ++i) kp_value_release(adapted[i]);
  kp_arena_free(&scratch);
  return kp_status_at(status, node->name, node->op, NULL);
}

// --- slots -----------------------------------------------------------------------------------------------------------------
typedef struct kp_builder {
  kp_cpu_compiled* compiled;
  uint32_t* slot_of;  // by value id; KP_NONE
  kp_arena scratch;
  int width;
} kp_builder;

static uint32_t slot_for(kp_builder* builder, kp_value_id id) {
  if (id == KP_NONE) return KP_NONE;
  kp_cpu_compiled* compiled = builder->compiled;
  if (builder->slot_of[id] == KP_NONE) {
    const kp_value* value = &compiled->graph->values[id];
    compiled->slots[compiled->slot_count] = (kp_cpu_slot){id, value->constant, value->type};
    builder->slot_of[id] = compiled->slot_count++;
  }
  return builder->slot_of[id];
}

// Slots of |ids|, in the compiled arena; NULL when out of memory. |used_only| leaves results that nobody reads without a slot.
static uint32_t* slots_of(kp_builder* builder, const kp_value_id* ids, uint32_t count,
                          bool used_only) {
  uint32_t* slots = kp_arena_new_array(&builder->compiled->arena, uint32_t, count + 1);
  for (uint32_t i = 0; slots && i < count; ++i) {
    const kp_value* value = ids[i] == KP_NONE ? NULL : &builder->compiled->graph->values[ids[i]];
    const bool skip = used_only && value && !value->use_count && !value->output_refs;
    slots[i] = skip ? KP_NONE : slot_for(builder, ids[i]);
  }
  return slots;
}

static bool is_read(const kp_graph* graph, const kp_node* node) {
  for (uint32_t o = 0; o < node->output_count; ++o) {
    const kp_value* value = kp_node_output(graph, node, o);
    if (value && (value->use_count || value->output_refs)) return true;
  }
  return false;
}

// Puts a description, without data, in the place of the constant in |slot|.
static kp_status* let_go(kp_cpu_compiled* compiled, uint32_t slot) {
  const kapell_value* constant = compiled->slots[slot].constant;
  kapell_value* description = kp_arena_new(&compiled->arena, kapell_value);
  const int64_t* dims = kp_cpu_copy_dims(&compiled->arena, constant->dims, constant->rank);
  if (!description || !dims) return KP_ERROR(OUT_OF_MEMORY, "compiling a partition");
  KP_PASS(kp_cpu_describe_tensor(description, constant->type, dims, constant->rank));
  compiled->slots[slot].constant = description;
  kp_value* value = &compiled->graph->values[compiled->slots[slot].value];
  kp_value_release(value->constant);
  value->constant = NULL;
  return NULL;
}

// Lets go of what |step| has packed and nobody else reads; release_packed sees to the rest.
static kp_status* release_own(kp_cpu_compiled* compiled, const kp_cpu_step* step) {
  for (uint32_t i = 0; step->consumed && i < step->node->input_count; ++i) {
    if (!step->consumed[i] || step->inputs[i] == KP_NONE) continue;
    const kp_value* value = &compiled->graph->values[step->node->inputs[i]];
    if (value->constant && value->use_count == 1 && !value->output_refs &&
        value->constant->kind == KAPELL_KIND_TENSOR)
      KP_PASS(let_go(compiled, step->inputs[i]));
  }
  return NULL;
}

static kp_status* add_step(kp_builder* builder, const kp_node* node) {
  kp_cpu_compiled* compiled = builder->compiled;
  const kp_graph* graph = compiled->graph;
  kp_cpu_step* step = &compiled->steps[compiled->step_count];
  if (!is_read(graph, node)) return NULL;
  const kp_op_query query = {graph, node, &builder->scratch};
  const kp_reason reason = kp_op_check(&query);
  if (reason)
    return kp_status_at(KP_ERROR(UNSUPPORTED, "CPU: %s", reason), node->name, node->op, NULL);
  step->node = node;
  step->op = kp_op_find(node);
  kp_infer_rule* own = step->op->infer ? kp_arena_new(&compiled->arena, kp_infer_rule) : NULL;
  if (step->op->infer && !own) return KP_ERROR(OUT_OF_MEMORY, "compiling a node");
  step->rule = kp_cpu_rule(step->op, node, own);
  step->inputs = slots_of(builder, node->inputs, node->input_count, false);
  step->outputs = slots_of(builder, node->outputs, node->output_count, true);
  kapell_value** constants =
      kp_arena_new_array(&builder->scratch, kapell_value*, node->input_count + 1);
  if (!step->inputs || !step->outputs || !constants)
    return KP_ERROR(OUT_OF_MEMORY, "compiling a node");
  for (uint32_t i = 0; i < node->input_count; ++i)
    constants[i] = step->inputs[i] == KP_NONE ? NULL : compiled->slots[step->inputs[i]].constant;
  kp_status* status = kp_cpu_prepare_step(graph, compiled, step, constants, builder->width);
  KP_TRY(kp_status_at(status, node->name, node->op, NULL), "preparing node '%s'", node->name);
  if (node->input_count + node->output_count > compiled->max_arity)
    compiled->max_arity = node->input_count + node->output_count;
  ++compiled->step_count;
  return release_own(compiled, step);
}

// Which contents decide shapes: from the inputs that rules read, back through shape arithmetic to the partition's inputs.
static kp_status* trace_shapes(kp_builder* builder) {
  kp_cpu_compiled* compiled = builder->compiled;
  const kp_graph* graph = compiled->graph;
  bool* wanted = kp_arena_new_array(&builder->scratch, bool, compiled->slot_count + 1);
  bool* value_inputs = kp_arena_new_array(&compiled->arena, bool, graph->input_count + 1);
  if (!wanted || !value_inputs) return KP_ERROR(OUT_OF_MEMORY, "tracing shapes");
  for (uint32_t s = compiled->step_count; s-- > 0;) {
    kp_cpu_step* step = &compiled->steps[s];
    if (!step->rule) continue;
    bool result_wanted = false;
    for (uint32_t o = 0; o < step->node->output_count; ++o)
      result_wanted |= step->outputs[o] != KP_NONE && wanted[step->outputs[o]];
    step->for_shapes =
        result_wanted && step->rule->flags & (KP_INFER_FROM_DATA | KP_INFER_FROM_SHAPE);
    const bool through = step->for_shapes && !(step->rule->flags & KP_INFER_FROM_SHAPE);
    for (uint32_t i = 0; i < step->node->input_count; ++i) {
      const bool read = i < 32 && step->rule->value_inputs >> i & 1;
      if (step->inputs[i] != KP_NONE && (read || through)) wanted[step->inputs[i]] = true;
    }
  }
  bool any = false;
  for (uint32_t i = 0; i < graph->input_count; ++i) {
    const uint32_t slot = compiled->input_slots[i];
    value_inputs[i] = slot != KP_NONE && wanted[slot];
    any |= value_inputs[i];
  }
  compiled->base.value_inputs = any ? value_inputs : NULL;
  return NULL;
}

// Constants that every reader has packed are let go: a description stays, without data. Memory comes back once the caller's own
// graph lets go of them too.
static kp_status* release_packed(kp_builder* builder) {
  kp_cpu_compiled* compiled = builder->compiled;
  bool* needed = kp_arena_new_array(&builder->scratch, bool, compiled->slot_count + 1);
  if (!needed) return KP_ERROR(OUT_OF_MEMORY, "compiling a partition");
  for (uint32_t s = 0; s < compiled->step_count; ++s) {
    const kp_cpu_step* step = &compiled->steps[s];
    for (uint32_t i = 0; i < step->node->input_count; ++i)
      if (step->inputs[i] != KP_NONE)
        needed[step->inputs[i]] |= !step->consumed || !step->consumed[i];
  }
  for (uint32_t i = 0; i < compiled->graph->output_count; ++i)
    needed[compiled->output_slots[i]] = true;
  for (uint32_t slot = 0; slot < compiled->slot_count; ++slot) {
    const kapell_value* constant = compiled->slots[slot].constant;
    if (!constant || needed[slot] || constant->kind != KAPELL_KIND_TENSOR) continue;
    if (compiled->graph->values[compiled->slots[slot].value].constant)
      KP_PASS(let_go(compiled, slot));
  }
  return NULL;
}

static kp_status* build_steps(kp_builder* builder, const kp_compile_args* args) {
  kp_cpu_compiled* compiled = builder->compiled;
  const kp_graph* graph = compiled->graph;
  compiled->slots = kp_arena_new_array(&compiled->arena, kp_cpu_slot, graph->value_count + 1);
  compiled->steps = kp_arena_new_array(&compiled->arena, kp_cpu_step, graph->order_count + 1);
  builder->slot_of = kp_arena_new_array(&builder->scratch, uint32_t, graph->value_count + 1);
  if (!compiled->slots || !compiled->steps || !builder->slot_of)
    return KP_ERROR(OUT_OF_MEMORY, "a partition of %u nodes", graph->order_count);
  memset(builder->slot_of, 0xff, graph->value_count * sizeof(uint32_t));
  compiled->input_slots = slots_of(builder, graph->inputs, graph->input_count, true);
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    if (kp_is_cancelled(args->cancel))
      return KP_ERROR(CANCELLED, "while compiling %s", compiled->name);
    KP_PASS(add_step(builder, &graph->nodes[graph->order[i]]));
    if (args->progress) args->progress(args->user, (double)(i + 1) / graph->order_count);
  }
  compiled->output_slots = slots_of(builder, graph->outputs, graph->output_count, false);
  if (!compiled->input_slots || !compiled->output_slots)
    return KP_ERROR(OUT_OF_MEMORY, "compiling a partition");
  KP_PASS(trace_shapes(builder));
  return release_packed(builder);
}

void kp_cpu_release(kp_compiled* base) {
  if (!base) return;
  kp_cpu_compiled* compiled = (kp_cpu_compiled*)base;
  for (const kp_cpu_cleanup* c = compiled->cleanups; c; c = c->next) c->release(c->object);
  for (uint32_t i = 0; i < compiled->packed_count; ++i) {
    const kp_cpu_packed* packed = &compiled->packed[i];
    if (packed->is_shared)
      kp_blocks_leave(compiled->blocks, packed->memory, packed->byte_count);
    else
      kp_free(packed->memory);
  }
  kp_free(compiled->packed);
  kp_graph_free(compiled->graph);
  kp_arena_free(&compiled->arena);
  kp_free(compiled);
}

kp_status* kp_cpu_compile(kp_provider* provider, const kp_compile_args* args,
                          kp_compiled** out_compiled) {
  *out_compiled = NULL;
  kp_cpu_compiled* compiled = kp_alloc_zero(1, sizeof *compiled);
  if (!compiled) {
    kp_graph_free(args->part);
    return KP_ERROR(OUT_OF_MEMORY, "compiling %s", args->name);
  }
  compiled->base.provider = provider;
  compiled->graph = args->part;
  compiled->blocks = args->blocks;
  compiled->features = ((const kp_cpu_provider*)provider)->features;
  compiled->name = kp_arena_strndup(&compiled->arena, args->name, strlen(args->name));
  kp_builder builder = {.compiled = compiled, .width = args->width};
  kp_status* status = compiled->name ? NULL : KP_ERROR(OUT_OF_MEMORY, "compiling a partition");
  if (!status)
    status = kp_passes_run(compiled->graph, compiled->features, args->width, &builder.scratch);
  if (!status) status = build_steps(&builder, args);
  kp_arena_free(&builder.scratch);
  if (status) {
    kp_cpu_release(&compiled->base);
    return kp_status_frame(status, __FILE__, __LINE__, "compiling %s on the CPU", args->name);
  }
  *out_compiled = &compiled->base;
  return NULL;
}

void kp_cpu_visit(const kp_compiled* base,
                  void (*node)(void* user, const kp_node* node, const char* kernel), void* user) {
  const kp_cpu_compiled* compiled = (const kp_cpu_compiled*)base;
  for (uint32_t i = 0; i < compiled->step_count; ++i)
    node(user, compiled->steps[i].node, compiled->steps[i].kernel);
}

void kp_cpu_describe_compiled(const kp_compiled* base, kp_strbuf* out) {
  const kp_cpu_compiled* compiled = (const kp_cpu_compiled*)base;
  kp_json json = {.buf = out};
  kp_strbuf features = {0};
  kp_cpu_describe(compiled->features, &features);
  kp_json_begin_object(&json);
  kp_json_key(&json, "features");
  kp_json_string(&json, features.data);
  kp_json_key(&json, "steps");
  kp_json_begin_array(&json);
  for (uint32_t i = 0; i < compiled->step_count; ++i) {
    const kp_cpu_step* step = &compiled->steps[i];
    kp_json_begin_object(&json);
    kp_json_key(&json, "node");
    kp_json_string(&json, step->node->name);
    kp_json_key(&json, "op");
    kp_json_string(&json, step->node->op);
    kp_json_key(&json, "kernel");
    kp_json_string(&json, step->kernel);
    kp_json_end_object(&json);
  }
  kp_json_end_array(&json);
  kp_json_end_object(&json);
  kp_strbuf_free(&features);
}
