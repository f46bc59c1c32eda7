// Turns parts into steps over slots: where each value lives, which copies are needed, how long a slot is in use.
//
// Inputs and captures of a body are put where all their readers want them, so that the copy is made once outside of the
// loop; a loop-carried value stays on a device when its readers and its producer agree on it. Everything else that crosses
// a border of the graph is on the host.
#include "plan/internal.h"

static const kp_plan* child_of(const kp_plan_builder* b, kp_node_id node, uint32_t body) {
  return b->part_of[node] == KP_NONE ? NULL : b->children[b->part_of[node]][body];
}

// Position of |value| in the node's implicit values, or KP_NONE.
static uint32_t implicit_index(const kp_node* node, kp_value_id value) {
  for (uint32_t i = 0; i < node->implicit_count; ++i)
    if (node->implicit[i] == value) return i;
  return KP_NONE;
}

// Memory in which the bodies of control node |node| want capture |i|: a device only if all bodies that use it agree.
static const kp_memory* capture_memory(const kp_plan* const* bodies, uint32_t i) {
  const kp_memory* memory = NULL;
  bool seen = false;
  for (int k = 0; k < 2; ++k) {
    if (!bodies[k] || bodies[k]->captures[i] == KP_NONE) continue;
    const kp_memory* wanted = bodies[k]->slots[bodies[k]->captures[i]].memory;
    if (seen && wanted != memory) return NULL;
    memory = wanted;
    seen = true;
  }
  return memory;
}

// Memory in which a control node wants its input |i|: Loop's carried values where the body has them, the rest on the host.
static const kp_memory* control_input_memory(const kp_node* node, const kp_plan* body, uint32_t i) {
  if (!kp_node_is(node, "", "Loop") || i < 2 || !body || i >= body->input_count) return NULL;
  return body->slots[body->inputs[i]].memory;
}

const kp_memory* kp_plan_reader_memory(const kp_plan_builder* b, kp_node_id id, kp_value_id value) {
  const kp_node* node = &b->placing.graph->nodes[id];
  if (b->placing.places[id].entry != KP_EXECUTOR) return kp_placing_memory(&b->placing, id, value);
  const kp_plan* bodies[2] = {child_of(b, id, 0), child_of(b, id, 1)};
  const uint32_t capture = implicit_index(node, value);
  if (capture != KP_NONE) return capture_memory(bodies, capture);
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (node->inputs[i] == value) return control_input_memory(node, bodies[0], i);
  return NULL;
}

// The one memory that all readers of |value| want it in; NULL where they differ, or nobody reads it.
static const kp_memory* readers_memory(const kp_plan_builder* b, kp_value_id id) {
  const kp_value* value = &b->placing.graph->values[id];
  if (value->use_count == 0 || value->output_refs) return NULL;
  const kp_memory* memory = kp_plan_reader_memory(b, value->uses[0], id);
  for (uint32_t u = 1; u < value->use_count; ++u)
    if (kp_plan_reader_memory(b, value->uses[u], id) != memory) return NULL;
  return memory;
}

static kp_status* add_slot(kp_plan_builder* b, kp_slot slot, uint32_t* out_slot) {
  kp_plan* plan = b->plan;
  if (plan->slot_count == b->slot_capacity) {
    const uint32_t capacity = b->slot_capacity ? b->slot_capacity * 2 : 64;
    kp_slot* grown = kp_arena_new_array(&b->set->arena, kp_slot, capacity);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "slots of the plan");
    if (plan->slot_count) memcpy(grown, plan->slots, plan->slot_count * sizeof(*grown));
    plan->slots = grown;
    b->slot_capacity = capacity;
  }
  slot.same_value = b->slot_of[slot.value];
  b->slot_of[slot.value] = plan->slot_count;
  plan->slots[plan->slot_count] = slot;
  *out_slot = plan->slot_count++;
  return NULL;
}

static kp_status* add_step(kp_plan_builder* b, const kp_step* step) {
  kp_plan* plan = b->plan;
  if (plan->step_count == b->step_capacity) {
    const uint32_t capacity = b->step_capacity ? b->step_capacity * 2 : 16;
    kp_step* grown = kp_arena_new_array(&b->set->arena, kp_step, capacity);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "steps of the plan");
    if (plan->step_count) memcpy(grown, plan->steps, plan->step_count * sizeof(*grown));
    plan->steps = grown;
    b->step_capacity = capacity;
  }
  plan->steps[plan->step_count++] = *step;
  return NULL;
}

static uint32_t find_slot(const kp_plan_builder* b, kp_value_id value, const kp_memory* memory) {
  uint32_t slot = b->slot_of[value];
  while (slot != KP_NONE && b->plan->slots[slot].memory != memory)
    slot = b->plan->slots[slot].same_value;
  return slot;
}

static void read_at(kp_plan_builder* b, uint32_t slot, uint32_t step) {
  if (b->plan->slots[slot].last < step) b->plan->slots[slot].last = step;
}

// A slot of |value| in |memory|, with a copy step before the next step where there is none yet.
static kp_status* want_slot(kp_plan_builder* b, kp_value_id value, const kp_memory* memory,
                            uint32_t* out_slot) {
  *out_slot = find_slot(b, value, memory);
  if (*out_slot != KP_NONE) return NULL;
  uint32_t from = b->slot_of[value];
  if (from == KP_NONE) {
    kapell_value* constant = b->placing.graph->values[value].constant;
    if (!constant)
      return KP_ERROR(INTERNAL, "value '%s' is read before it is made",
                      b->placing.graph->values[value].name);
    KP_PASS(add_slot(
        b,
        (kp_slot){
            .value = value, .kind = KP_SLOT_CONSTANT, .constant = constant, .output = KP_NONE},
        &from));
    if (!memory) return *out_slot = from, NULL;
  }
  if (memory && b->plan->slots[from].memory)
    KP_PASS(want_slot(b, value, NULL, &from));  // device to device goes over the host
  const uint32_t at = b->plan->step_count;
  KP_PASS(add_slot(b,
                   (kp_slot){.value = value,
                             .kind = KP_SLOT_COMPUTED,
                             .memory = memory,
                             .first = at,
                             .last = at,
                             .output = KP_NONE},
                   out_slot));
  const kp_step step = {.kind = KP_STEP_COPY, .from = from, .to = *out_slot, .node = KP_NONE};
  KP_PASS(add_step(b, &step));
  read_at(b, from, at);
  return NULL;
}

static kp_status* made_slot(kp_plan_builder* b, kp_value_id value, const kp_memory* memory,
                            uint32_t step, uint32_t* out_slot) {
  return add_slot(b,
                  (kp_slot){.value = value,
                            .kind = KP_SLOT_COMPUTED,
                            .memory = memory,
                            .first = step,
                            .last = step,
                            .output = KP_NONE},
                  out_slot);
}

static uint32_t* slot_array(kp_plan_builder* b, uint32_t count) {
  uint32_t* array = kp_arena_new_array(&b->set->arena, uint32_t, (size_t)count + 1);
  for (uint32_t i = 0; array && i < count; ++i) array[i] = KP_NONE;
  return array;
}

// Memory in which a unit reads |value|: what its first node that uses it stated.
static const kp_memory* unit_input_memory(const kp_plan_builder* b, const kp_part* part,
                                          const bool* in_part, kp_value_id value) {
  const kp_value* v = &b->placing.graph->values[value];
  for (uint32_t u = 0; u < v->use_count; ++u)
    if (in_part[v->uses[u]]) return kp_placing_memory(&b->placing, v->uses[u], value);
  return kp_placing_memory(&b->placing, part->nodes[0], value);
}

static kp_status* unit_step(kp_plan_builder* b, uint32_t p, bool* in_part) {
  const kp_part* part = &b->parts[p];
  const kp_part_graph* g = &b->graphs[p];
  kp_unit unit = {.entry = part->entry,
                  .partition = part->partition,
                  .node_count = part->count,
                  .nodes = part->nodes,
                  .provider = b->set->chain->entries[part->entry].provider,
                  .input_count = g->copy->input_count,
                  .output_count = g->copy->output_count,
                  .inputs = slot_array(b, g->copy->input_count),
                  .outputs = slot_array(b, g->copy->output_count)};
  if (!unit.inputs || !unit.outputs) return KP_ERROR(OUT_OF_MEMORY, "a unit of the plan");
  for (uint32_t i = 0; i < part->count; ++i) in_part[part->nodes[i]] = true;
  for (uint32_t i = 0; i < unit.input_count; ++i)
    KP_PASS(want_slot(b, g->inputs[i], unit_input_memory(b, part, in_part, g->inputs[i]),
                      &unit.inputs[i]));
  const uint32_t at = b->plan->step_count;
  for (uint32_t i = 0; i < unit.input_count; ++i) read_at(b, unit.inputs[i], at);
  for (uint32_t i = 0; i < unit.output_count; ++i) {
    const kp_node_id producer = b->placing.graph->values[g->outputs[i]].producer;
    KP_PASS(made_slot(b, g->outputs[i], kp_placing_memory(&b->placing, producer, g->outputs[i]), at,
                      &unit.outputs[i]));
  }
  for (uint32_t i = 0; i < part->count; ++i) in_part[part->nodes[i]] = false;
  const kp_step step = {.kind = KP_STEP_UNIT, .unit = unit, .node = KP_NONE};
  return add_step(b, &step);
}

// Branches that disagree about a capture get it on the host; who wants it elsewhere copies it on entry (exec's kp_settle_captures).
static void count_settled_captures(kp_plan_builder* b, const kp_step* step) {
  for (int k = 0; k < 2; ++k) {
    const kp_plan* body = step->bodies[k];
    for (uint32_t i = 0; body && i < body->capture_count; ++i) {
      const bool used = body->captures[i] != KP_NONE;
      b->set->loop_copy_count +=
          used && body->slots[body->captures[i]].memory != b->plan->slots[step->implicit[i]].memory;
    }
  }
}

static kp_status* control_step(kp_plan_builder* b, uint32_t p) {
  const kp_node_id id = b->parts[p].nodes[0];
  const kp_node* node = &b->placing.graph->nodes[id];
  kp_plan* const* bodies = b->children[p];
  const bool loop = kp_node_is(node, "", "Loop");
  kp_step made = {.kind = loop                         ? KP_STEP_LOOP
                          : kp_node_is(node, "", "If") ? KP_STEP_IF
                                                       : KP_STEP_SCAN,
                  .node = id,
                  .inputs = slot_array(b, node->input_count),
                  .implicit = slot_array(b, node->implicit_count),
                  .outputs = slot_array(b, node->output_count),
                  .input_count = node->input_count,
                  .implicit_count = node->implicit_count,
                  .output_count = node->output_count,
                  .bodies = {bodies[0], bodies[1]}};
  if (!made.inputs || !made.implicit || !made.outputs)
    return KP_ERROR(OUT_OF_MEMORY, "control flow of the plan");
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (node->inputs[i] != KP_NONE)
      KP_PASS(
          want_slot(b, node->inputs[i], control_input_memory(node, bodies[0], i), &made.inputs[i]));
  for (uint32_t i = 0; i < node->implicit_count; ++i)
    KP_PASS(want_slot(b, node->implicit[i], capture_memory((const kp_plan* const*)bodies, i),
                      &made.implicit[i]));
  count_settled_captures(b, &made);
  const uint32_t at = b->plan->step_count;
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (made.inputs[i] != KP_NONE) read_at(b, made.inputs[i], at);
  for (uint32_t i = 0; i < node->implicit_count; ++i) read_at(b, made.implicit[i], at);
  for (uint32_t i = 0; i < node->output_count; ++i) {
    if (node->outputs[i] == KP_NONE) continue;
    const bool carried = loop && i + 2 < node->input_count;
    const kp_memory* memory = carried ? control_input_memory(node, bodies[0], i + 2) : NULL;
    KP_PASS(made_slot(b, node->outputs[i], memory, at, &made.outputs[i]));
  }
  return add_step(b, &made);
}

// Does the producer of body output |k| leave it in |memory|?
static bool made_in(const kp_plan_builder* b, kp_value_id value, const kp_memory* memory) {
  const kp_node_id producer = b->placing.graph->values[value].producer;
  if (producer == KP_NONE || b->placing.places[producer].entry == KP_EXECUTOR) return false;
  return kp_placing_memory(&b->placing, producer, value) == memory;
}

// Where the inputs of this graph arrive and its outputs are left.
static kp_status* input_slots(kp_plan_builder* b) {
  kp_plan* plan = b->plan;
  const kp_graph* graph = plan->graph;
  const kp_node* owner = graph->parent ? &graph->parent->nodes[graph->parent_node] : NULL;
  const bool loop = owner && kp_node_is(owner, "", "Loop");
  plan->input_count = graph->input_count + graph->overridable_count;
  plan->capture_count = graph->capture_count;
  plan->inputs = slot_array(b, plan->input_count);
  plan->captures = slot_array(b, plan->capture_count);
  b->output_memory =
      kp_arena_new_array(&b->set->arena, const kp_memory*, (size_t)graph->output_count + 1);
  if (!plan->inputs || !plan->captures || !b->output_memory)
    return KP_ERROR(OUT_OF_MEMORY, "inputs of the plan");
  for (uint32_t i = 0; i < plan->input_count; ++i) {
    const kp_value_id value =
        i < graph->input_count ? graph->inputs[i] : graph->overridable[i - graph->input_count];
    const kp_memory* memory = NULL;
    if (loop && i >= 2 && i - 1 < graph->output_count) {
      memory = readers_memory(b, value);
      if (memory && !made_in(b, graph->outputs[i - 1], memory)) memory = NULL;
      b->output_memory[i - 1] = memory;
    }
    const kp_slot slot = {
        .value = value, .kind = KP_SLOT_INPUT, .index = i, .memory = memory, .output = KP_NONE};
    KP_PASS(add_slot(b, slot, &plan->inputs[i]));
  }
  for (uint32_t i = 0; i < plan->capture_count; ++i) {
    if (graph->captures[i] == KP_NONE) continue;
    const kp_slot slot = {.value = graph->captures[i],
                          .kind = KP_SLOT_CAPTURE,
                          .index = i,
                          .memory = readers_memory(b, graph->captures[i]),
                          .output = KP_NONE};
    KP_PASS(add_slot(b, slot, &plan->captures[i]));
  }
  return NULL;
}

static kp_status* output_slots(kp_plan_builder* b) {
  kp_plan* plan = b->plan;
  const kp_graph* graph = plan->graph;
  plan->output_count = graph->output_count;
  plan->outputs = slot_array(b, plan->output_count);
  if (!plan->outputs) return KP_ERROR(OUT_OF_MEMORY, "outputs of the plan");
  for (uint32_t k = 0; k < plan->output_count; ++k)
    KP_PASS(want_slot(b, graph->outputs[k], b->output_memory[k], &plan->outputs[k]));
  for (uint32_t k = 0; k < plan->output_count; ++k) {
    kp_slot* slot = &plan->slots[plan->outputs[k]];
    slot->last = plan->step_count;
    if (slot->kind == KP_SLOT_COMPUTED && slot->output == KP_NONE) slot->output = k;
  }
  return NULL;
}

static kp_status* list_memories(kp_plan_builder* b) {
  kp_plan* plan = b->plan;
  plan->memories =
      kp_arena_new_array(&b->set->arena, const kp_memory*, (size_t)b->set->chain->count + 1);
  if (!plan->memories) return KP_ERROR(OUT_OF_MEMORY, "memories of the plan");
  for (uint32_t s = 0; s < plan->slot_count; ++s) {
    const kp_memory* memory = plan->slots[s].memory;
    bool known = memory == NULL;
    for (uint32_t m = 0; m < plan->memory_count && !known; ++m) known = plan->memories[m] == memory;
    if (known) continue;
    if (plan->memory_count > b->set->chain->count)
      return KP_ERROR(INTERNAL, "more memories than providers");
    plan->memories[plan->memory_count++] = memory;
  }
  return NULL;
}

kp_status* kp_plan_make_slots(kp_plan_builder* b) {
  const kp_graph* graph = b->placing.graph;
  b->slot_of = slot_array(b, graph->value_count);
  bool* in_part = kp_arena_new_array(&b->set->arena, bool, (size_t)graph->node_count + 1);
  if (!b->slot_of || !in_part) return KP_ERROR(OUT_OF_MEMORY, "slots of the plan");
  KP_PASS(input_slots(b));
  for (uint32_t p = 0; p < b->part_count; ++p)
    KP_PASS(b->parts[p].entry == KP_EXECUTOR ? control_step(b, p) : unit_step(b, p, in_part));
  KP_PASS(output_slots(b));
  return list_memories(b);
}
