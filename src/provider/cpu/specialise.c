// Specialising: one pass of inference over the steps with this signature's numbers. What is shape arithmetic is computed here and
// leaves the list; the rest is planned and laid out. Everything lives in the caller's arena; about a microsecond a node.
#include "base/alloc.h"
#include "base/budget.h"
#include "provider/cpu/cpu.h"

bool kp_cpu_type_known(const kp_type* type) {
  if (type->kind != KAPELL_KIND_TENSOR || type->rank < 0 || type->element == KAPELL_UNDEFINED)
    return false;
  for (int32_t i = 0; i < type->rank; ++i)
    if (kp_is_symbol(type->dims[i])) return false;
  return true;
}

kp_status* kp_cpu_describe_tensor(kapell_value* value, kapell_type type, const int64_t* dims,
                                  int32_t rank) {
  size_t count;
  KP_PASS(kp_value_check_dims(type, dims, rank, &count, &value->byte_count));
  value->kind = KAPELL_KIND_TENSOR;
  value->type = type;
  value->rank = rank;
  value->refs = 1;
  union {
    const int64_t* shared;
    int64_t* plain;
  } cast = {dims};  // nobody changes dims through a description
  value->dims = cast.plain;
  return NULL;
}

const int64_t* kp_cpu_copy_dims(kp_arena* arena, const int64_t* dims, int32_t rank) {
  int64_t* copy = kp_arena_new_array(arena, int64_t, (size_t)rank + 1);
  for (int32_t d = 0; copy && d < rank; ++d) copy[d] = dims[d];
  return copy;
}

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "specialising a partition"); }

// --- inputs and constants ----------------------------------------------------------------------------------------------------
static kp_status* set_constant(kp_cpu_spec* spec, uint32_t slot) {
  kapell_value* constant = spec->compiled->slots[slot].constant;
  spec->special->values[slot] = constant;
  spec->places[slot] = KP_PLACE_KNOWN;
  if (constant->kind == KAPELL_KIND_TENSOR)
    spec->types[slot] =
        (kp_type){KAPELL_KIND_TENSOR, constant->type, constant->rank, constant->dims, NULL};
  else
    spec->types[slot] = spec->compiled->slots[slot].declared;
  return NULL;
}

static kp_status* set_input(kp_cpu_spec* spec, uint32_t slot, const kp_shape_info* info) {
  kapell_value* value = kp_arena_new(spec->arena, kapell_value);
  if (!value) return no_memory();
  spec->special->values[slot] = value;
  spec->places[slot] = KP_PLACE_INPUT;
  if (info->kind != KAPELL_KIND_TENSOR) {
    value->kind = info->kind;
    spec->types[slot] = spec->compiled->slots[slot].declared;
    return NULL;
  }
  const int64_t* dims =
      kp_arena_memdup(spec->arena, info->dims, sizeof(int64_t) * (size_t)kp_max_i64(info->rank, 0));
  if (!dims) return no_memory();
  spec->types[slot] = (kp_type){KAPELL_KIND_TENSOR, info->type, info->rank, dims, NULL};
  if (!kp_cpu_type_known(&spec->types[slot]))
    return KP_ERROR(INTERNAL, "an input of a partition without a shape");
  KP_PASS(kp_cpu_describe_tensor(value, info->type, dims, info->rank));
  if (!info->data || !kp_type_bits(info->type)) return NULL;
  value->data = kp_arena_memdup(spec->arena, info->data, value->byte_count);
  return value->data ? NULL : no_memory();
}

static kp_status* set_slots(kp_cpu_spec* spec, const kp_specialise_args* args) {
  const kp_cpu_compiled* compiled = spec->compiled;
  if (args->input_count != compiled->graph->input_count)
    return KP_ERROR(INTERNAL, "a partition with the wrong number of inputs");
  for (uint32_t i = 0; i < compiled->slot_count; ++i)
    if (compiled->slots[i].constant) KP_PASS(set_constant(spec, i));
  for (uint32_t i = 0; i < args->input_count; ++i) {
    const uint32_t slot = compiled->input_slots[i];
    if (slot == KP_NONE) continue;
    KP_TRY(set_input(spec, slot, &args->inputs[i]), "input '%s' of %s",
           compiled->graph->values[compiled->slots[slot].value].name, compiled->name);
  }
  return NULL;
}

// --- one step ------------------------------------------------------------------------------------------------------------
typedef struct kp_step_view {  // what a step sees of the slots; arrays of the spec's scratch
  const kp_type** types;
  kp_known* known;
  kapell_value** values;  // descriptions or constants; NULL = absent
  kapell_value** constants;
  kp_type* out_types;
  kp_known* out_known;
} kp_step_view;

static bool make_view(kp_arena* arena, uint32_t arity, kp_step_view* view) {
  view->types = kp_arena_new_array(arena, const kp_type*, arity + 1);
  view->known = kp_arena_new_array(arena, kp_known, arity + 1);
  view->values = kp_arena_new_array(arena, kapell_value*, arity + 1);
  view->constants = kp_arena_new_array(arena, kapell_value*, arity + 1);
  view->out_types = kp_arena_new_array(arena, kp_type, arity + 1);
  view->out_known = kp_arena_new_array(arena, kp_known, arity + 1);
  return view->types && view->known && view->values && view->constants && view->out_types &&
         view->out_known;
}

static void look(const kp_cpu_spec* spec, const kp_cpu_step* step, kp_step_view* view) {
  for (uint32_t i = 0; i < step->node->input_count; ++i) {
    const uint32_t slot = step->inputs[i];
    view->types[i] = slot == KP_NONE ? NULL : &spec->types[slot];
    view->values[i] = slot == KP_NONE ? NULL : spec->special->values[slot];
    view->known[i] = slot == KP_NONE ? (kp_known){0} : spec->known[slot];
    view->constants[i] = view->values[i] && view->values[i]->data ? view->values[i] : NULL;
  }
  memset(view->out_types, 0, step->node->output_count * sizeof *view->out_types);
  memset(view->out_known, 0, step->node->output_count * sizeof *view->out_known);
}

static kp_status* infer(const kp_cpu_spec* spec, const kp_cpu_step* step,
                        const kp_step_view* view) {
  if (!step->rule) return NULL;
  kp_infer infer = {.graph = spec->compiled->graph,
                    .node = step->node,
                    .arena = spec->arena,
                    .inputs = view->types,
                    .known = view->known,
                    .constants = view->constants,
                    .outputs = view->out_types,
                    .out_known = view->out_known};
  return kp_infer_node(&infer, step->rule);
}

// Descriptions of the outputs. |out_late|: one of them, or an input, is not known before the run.
static kp_status* set_outputs(kp_cpu_spec* spec, const kp_cpu_step* step, const kp_step_view* view,
                              bool* out_late) {
  *out_late = !step->rule;
  for (uint32_t i = 0; i < step->node->input_count; ++i)
    *out_late |= view->types[i] && view->types[i]->kind == KAPELL_KIND_TENSOR &&
                 !kp_cpu_type_known(view->types[i]);
  for (uint32_t o = 0; o < step->node->output_count; ++o) {
    const uint32_t slot = step->outputs[o];
    if (slot == KP_NONE) continue;
    const kp_type* type = &view->out_types[o];
    spec->types[slot] =
        type->kind == KAPELL_KIND_NONE ? spec->compiled->slots[slot].declared : *type;
    spec->known[slot] = view->out_known[o];
    kapell_value* value = spec->special->values[slot] = kp_arena_new(spec->arena, kapell_value);
    if (!value) return no_memory();
    const bool known = kp_cpu_type_known(type);
    *out_late |= !known || !kp_type_bits(type->element);
    if (known)
      KP_PASS(kp_cpu_describe_tensor(value, type->element, type->dims, type->rank));
    else
      value->kind = spec->types[slot].kind;
  }
  return NULL;
}

static bool can_evaluate(const kp_cpu_spec* spec, const kp_cpu_step* step,
                         const kp_step_view* view) {
  if (!(step->rule->flags & (KP_INFER_FROM_SHAPE | KP_INFER_FROM_DATA))) return false;
  for (uint32_t i = 0; i < step->node->input_count && !(step->rule->flags & KP_INFER_FROM_SHAPE);
       ++i)
    if (view->values[i] && !view->values[i]->data) return false;
  size_t bytes = 0;
  for (uint32_t o = 0; o < step->node->output_count; ++o)
    if (step->outputs[o] != KP_NONE) bytes += spec->special->values[step->outputs[o]]->byte_count;
  return step->for_shapes || bytes <= KP_INFER_MAX_DATA * sizeof(int64_t);
}

kp_status* kp_cpu_plan_step(kp_cpu_live* live, const kapell_value* const* inputs,
                            const kapell_value* const* outputs, int width, kp_arena* arena) {
  const kp_cpu_step* step = live->step;
  kp_op_plan plan = {.node = step->node,
                     .state = step->state,
                     .inputs = inputs,
                     .outputs = outputs,
                     .width = width,
                     .arena = arena};
  live->adapted = kp_cpu_needs_adapting(step, inputs, outputs);
  if (live->adapted) return kp_cpu_adapt_plan(live, &plan);
  if (!step->op->plan) return NULL;
  KP_PASS(step->op->plan(&plan));
  live->params = plan.params;
  live->scratch_bytes = plan.scratch_bytes;
  return NULL;
}

kp_status* kp_cpu_invoke(const kp_cpu_live* live, kp_op_run* run) {
  run->node = live->step->node;
  run->state = live->step->state;
  run->params = live->params;
  return KP_UNLIKELY(live->adapted) ? kp_cpu_adapt_run(live, run) : live->step->op->run(run);
}

static const kapell_value* const* readonly(kapell_value* const* values) {
  return (const kapell_value* const*)values;
}

// Computes the step now; its results become known.
static kp_status* evaluate(kp_cpu_spec* spec, const kp_cpu_step* step, kapell_value** inputs,
                           kapell_value** outputs) {
  for (uint32_t o = 0; o < step->node->output_count; ++o) {
    outputs[o] = step->outputs[o] == KP_NONE ? NULL : spec->special->values[step->outputs[o]];
    if (!outputs[o]) continue;
    outputs[o]->data = kp_arena_alloc(spec->arena, outputs[o]->byte_count + 1);
    if (!outputs[o]->data) return no_memory();
    spec->places[step->outputs[o]] = KP_PLACE_KNOWN;
  }
  kp_cpu_live live = {.step = step};
  KP_PASS(kp_cpu_plan_step(&live, readonly(inputs), readonly(outputs), 1, spec->arena));
  const kp_arena_mark mark = kp_arena_get_mark(spec->arena);
  const kp_cpu_host host = {.step = step};
  kp_op_run run = {.inputs = inputs, .outputs = outputs, .width = 1, .host = &host};
  run.scratch = kp_arena_alloc_aligned(spec->arena, live.scratch_bytes + 1, KP_ALIGNMENT);
  if (!run.scratch) return no_memory();
  KP_PASS(kp_cpu_invoke(&live, &run));
  kp_arena_rewind(spec->arena, mark);
  return NULL;
}

// Inference of every step; evaluates what can be, and notes what is late. |outputs| is room for one step's outputs.
static kp_status* infer_all(kp_cpu_spec* spec, bool* evaluated, bool* late) {
  const kp_cpu_compiled* compiled = spec->compiled;
  kp_step_view view;
  kapell_value** outputs = kp_arena_new_array(spec->arena, kapell_value*, compiled->max_arity + 1);
  if (!outputs || !make_view(spec->arena, compiled->max_arity, &view)) return no_memory();
  for (uint32_t s = 0; s < compiled->step_count; ++s) {
    const kp_cpu_step* step = &compiled->steps[s];
    look(spec, step, &view);
    kp_status* status = infer(spec, step, &view);
    if (!status) status = set_outputs(spec, step, &view, &late[s]);
    evaluated[s] = !status && !late[s] && can_evaluate(spec, step, &view);
    if (evaluated[s]) status = evaluate(spec, step, view.values, outputs);
    if (KP_UNLIKELY(status != NULL))
      return kp_status_at(status, step->node->name, step->node->op, NULL);
  }
  return NULL;
}

// --- the list ----------------------------------------------------------------------------------------------------------------
// Keeps the steps whose results somebody needs; sets special->steps and last_use.
static kp_status* collect(kp_cpu_spec* spec, const bool* evaluated, const bool* late) {
  const kp_cpu_compiled* compiled = spec->compiled;
  bool* needed = kp_arena_new_array(spec->arena, bool, compiled->slot_count + 1);
  bool* live = kp_arena_new_array(spec->arena, bool, compiled->step_count + 1);
  kp_cpu_live* steps = kp_arena_new_array(spec->arena, kp_cpu_live, compiled->step_count + 1);
  if (!needed || !live || !steps) return no_memory();
  for (uint32_t i = 0; i < compiled->graph->output_count; ++i)
    needed[compiled->output_slots[i]] = true;
  for (uint32_t s = compiled->step_count; s-- > 0;) {
    const kp_cpu_step* step = &compiled->steps[s];
    for (uint32_t o = 0; o < step->node->output_count && !evaluated[s]; ++o)
      live[s] |= step->outputs[o] != KP_NONE && needed[step->outputs[o]];
    for (uint32_t i = 0; i < step->node->input_count && live[s]; ++i)
      if (step->inputs[i] != KP_NONE) needed[step->inputs[i]] = true;
  }
  kp_cpu_special* special = spec->special;
  for (uint32_t s = 0; s < compiled->step_count; ++s) {
    if (!live[s]) continue;
    const kp_cpu_step* step = &compiled->steps[s];
    for (uint32_t i = 0; i < step->node->input_count; ++i)
      if (step->inputs[i] != KP_NONE) spec->last_use[step->inputs[i]] = special->step_count;
    steps[special->step_count++] = (kp_cpu_live){.step = step, .late = late[s]};
  }
  for (uint32_t i = 0; i < compiled->graph->output_count; ++i)
    spec->last_use[compiled->output_slots[i]] = UINT32_MAX;
  special->steps = steps;
  return NULL;
}

static kp_status* plan_all(kp_cpu_spec* spec) {
  const kp_cpu_compiled* compiled = spec->compiled;
  kapell_value** values = kp_arena_new_array(spec->arena, kapell_value*, compiled->max_arity + 1);
  if (!values) return no_memory();
  for (uint32_t s = 0; s < spec->special->step_count; ++s) {
    kp_cpu_live* live = &spec->special->steps[s];
    if (live->late) continue;
    const kp_node* node = live->step->node;
    kapell_value** outputs = values + node->input_count;
    for (uint32_t i = 0; i < node->input_count; ++i)
      values[i] =
          live->step->inputs[i] == KP_NONE ? NULL : spec->special->values[live->step->inputs[i]];
    for (uint32_t o = 0; o < node->output_count; ++o)
      outputs[o] =
          live->step->outputs[o] == KP_NONE ? NULL : spec->special->values[live->step->outputs[o]];
    kp_status* status =
        kp_cpu_plan_step(live, readonly(values), readonly(outputs), spec->width, spec->arena);
    if (KP_UNLIKELY(status != NULL)) return kp_status_at(status, node->name, node->op, NULL);
  }
  return NULL;
}

// What the partition's outputs look like.
static kp_status* describe_outputs(kp_cpu_spec* spec) {
  const kp_cpu_compiled* compiled = spec->compiled;
  const uint32_t count = compiled->graph->output_count;
  kp_shape_info* infos = kp_arena_new_array(spec->arena, kp_shape_info, count + 1);
  if (!infos) return no_memory();
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = compiled->output_slots[i];
    const kp_type* type = &spec->types[slot];
    const kapell_value* value = spec->special->values[slot];
    infos[i] = (kp_shape_info){.kind = type->kind, .type = type->element, .rank = -1};
    if (spec->places[slot] == KP_PLACE_OWNED || !kp_cpu_type_known(type)) continue;
    infos[i].rank = type->rank;
    infos[i].dims = type->dims;
    infos[i].data = spec->places[slot] == KP_PLACE_KNOWN ? value->data : NULL;
  }
  spec->special->base.outputs = infos;
  spec->special->base.output_count = count;
  return NULL;
}

static kp_status* specialise(kp_cpu_spec* spec, const kp_specialise_args* args) {
  const uint32_t slots = spec->compiled->slot_count, steps = spec->compiled->step_count;
  spec->special->compiled = spec->compiled;
  spec->special->values = kp_arena_new_array(spec->arena, kapell_value*, slots + 1);
  spec->types = kp_arena_new_array(spec->arena, kp_type, slots + 1);
  spec->known = kp_arena_new_array(spec->arena, kp_known, slots + 1);
  spec->places = kp_arena_new_array(spec->arena, kp_cpu_place, slots + 1);
  spec->last_use = kp_arena_new_array(spec->arena, uint32_t, slots + 1);
  bool* evaluated = kp_arena_new_array(spec->arena, bool, steps + 1);
  bool* late = kp_arena_new_array(spec->arena, bool, steps + 1);
  if (!spec->special->values || !spec->types || !spec->known || !spec->places || !spec->last_use ||
      !evaluated || !late)
    return no_memory();
  KP_PASS(set_slots(spec, args));
  KP_PASS(infer_all(spec, evaluated, late));
  KP_PASS(collect(spec, evaluated, late));
  KP_PASS(plan_all(spec));
  KP_PASS(kp_cpu_layout(spec));
  return describe_outputs(spec);
}

kp_status* kp_cpu_specialise(kp_compiled* base, const kp_specialise_args* args,
                             kp_special** out_special) {
  *out_special = NULL;
  const kp_cpu_compiled* compiled = (const kp_cpu_compiled*)base;
  kp_cpu_special* special = kp_arena_new(args->arena, kp_cpu_special);
  if (!special) return no_memory();
  kp_cpu_spec spec = {
      .compiled = compiled, .special = special, .arena = args->arena, .width = args->width};
  KP_TRY(specialise(&spec, args), "specialising %s", compiled->name);
  if (kp_deadline_passed()) return KP_ERROR(TIMEOUT, "specialising %s", compiled->name);
  *out_special = &special->base;
  return NULL;
}
