// Running a special: fills in this run's pointers, then walks the list. Everything that changes lies in the run's scratch, so
// any number of runs of one special may be under way at once.
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "graph/cost.h"
#include "provider/cpu/cpu.h"

typedef struct kp_run_state {
  const kp_cpu_special* special;
  const kp_run_args* args;
  kapell_value* views;
  kapell_value** slots;   // by slot
  kapell_value** gather;  // inputs, then outputs of the step at work
  bool* owned;            // by slot: made by this run, to be released by it
  char* block;
} kp_run_state;

static void set_views(const kp_run_state* state) {
  const kp_cpu_special* special = state->special;
  for (uint32_t i = 0; i < special->view_count; ++i) {
    const kp_cpu_view* view = &special->views[i];
    const kapell_value* from = special->values[view->slot];
    kapell_value* to = &state->views[i];
    to->kind = KAPELL_KIND_TENSOR;
    to->type = from->type;
    to->rank = from->rank;
    to->refs = 1;
    to->dims = from->dims;
    to->byte_count = from->byte_count;
    to->memory = NULL;
    to->buffer = NULL;
    to->items = NULL;
    to->item_count = to->item_capacity = 0;
    to->declared = NULL;
    if (view->base == KP_PLACE_VIEW)
      to->data = state->block + view->offset;
    else
      to->data =
          (view->base == KP_PLACE_INPUT ? state->args->inputs : state->args->outputs)[view->index]
              ->data;
    state->slots[view->slot] = to;
  }
}

static void set_slots(const kp_run_state* state) {
  const kp_cpu_special* special = state->special;
  const kp_graph* graph = special->compiled->graph;
  memcpy(state->slots, special->values, sizeof(kapell_value*) * special->compiled->slot_count);
  for (uint32_t i = 0; i < graph->input_count; ++i)
    if (special->direct_inputs[i] != KP_NONE)
      state->slots[special->direct_inputs[i]] = state->args->inputs[i];
  for (uint32_t i = 0; i < graph->output_count; ++i)
    if (special->direct_outputs[i] != KP_NONE)
      state->slots[special->direct_outputs[i]] = state->args->outputs[i];
  set_views(state);
  if (special->has_owned) memset(state->owned, 0, special->compiled->slot_count);
}

static double bytes_of(kapell_value* const* values, uint32_t count) {
  double bytes = 0;
  for (uint32_t i = 0; i < count; ++i) bytes += values[i] ? (double)values[i]->byte_count : 0;
  return bytes;
}

static void profile(const kp_run_state* state, const kp_cpu_step* step, uint64_t start) {
  const kp_node* node = step->node;
  const uint64_t end = kp_clock_ns();
  const kapell_value* const* inputs = (const kapell_value* const*)state->gather;
  const kapell_value* const* outputs = inputs + node->input_count;
  const kp_profile_event event = {
      .name = node->name,
      .op = node->op,
      .provider = state->special->compiled->base.provider->type->name,
      .kernel = step->kernel,
      .origins = node->origins,
      .origin_count = node->origin_count,
      .start_ns = start,
      .end_ns = end,
      .flops = kp_node_flops_of(node, inputs, outputs),
      .bytes = bytes_of(state->gather, node->input_count + node->output_count),
      .inputs = inputs,
      .input_count = node->input_count,
      .outputs = outputs,
      .output_count = node->output_count};
  kp_profile_add(state->args->profile, &event);
}

// The outputs of a late step become slots; what is not the partition's is ours to release.
static void keep_late(const kp_run_state* state, const kp_cpu_step* step,
                      kapell_value* const* outputs) {
  for (uint32_t o = 0; o < step->node->output_count; ++o) {
    const uint32_t slot = step->outputs[o];
    if (slot == KP_NONE) continue;
    state->slots[slot] = outputs[o];
    state->owned[slot] = outputs[o] && state->special->output_of[slot] < 0;
  }
}

static kp_status* run_step(const kp_run_state* state, const kp_cpu_live* live) {
  const kp_cpu_step* step = live->step;
  const uint32_t inputs = step->node->input_count, outputs = step->node->output_count;
  kapell_value** values = state->gather;
  for (uint32_t i = 0; i < inputs; ++i)
    values[i] = step->inputs[i] == KP_NONE ? NULL : state->slots[step->inputs[i]];
  kapell_value** results = values + inputs;
  const kp_cpu_host host = {state->args, state->special->output_of, step};
  if (KP_UNLIKELY(live->late)) {
    for (uint32_t o = 0; o < outputs; ++o) results[o] = NULL;
    const kp_cpu_call call = {.graph = state->special->compiled->graph,
                              .step = step,
                              .host = &host,
                              .inputs = values,
                              .outputs = results,
                              .width = state->args->width,
                              .cancel = state->args->cancel};
    kp_status* status = kp_cpu_call_step(&call);
    keep_late(state, step, results);
    return status;
  }
  for (uint32_t o = 0; o < outputs; ++o)
    results[o] = step->outputs[o] == KP_NONE ? NULL : state->slots[step->outputs[o]];
  kp_op_run run = {.inputs = values,
                   .outputs = results,
                   .scratch = state->block + live->scratch,
                   .width = state->args->width,
                   .cancel = state->args->cancel,
                   .host = &host};
  return kp_cpu_invoke(live, &run);
}

// CANCELLED or TIMEOUT when the run is to stop before, in or after |node|.
static kp_status* check_stop(const kp_run_args* args, const kp_node* node) {
  if (kp_flag_is_set(args->cancel)) return KP_ERROR(CANCELLED, "at node '%s'", node->name);
  if (KP_LIKELY(args->deadline_ns == 0) || kp_clock_ns() <= args->deadline_ns) return NULL;
  return kp_status_at(KP_ERROR(TIMEOUT, "the run's time limit ran out at node '%s'", node->name),
                      node->name, node->op, NULL);
}

static kp_status* run_steps(const kp_run_state* state) {
  for (uint32_t s = 0; s < state->special->step_count; ++s) {
    const kp_cpu_live* live = &state->special->steps[s];
    const kp_node* node = live->step->node;
    KP_PASS(check_stop(state->args, node));
    const uint64_t start = KP_UNLIKELY(state->args->profile != NULL) ? kp_clock_ns() : 0;
    kp_status* status = run_step(state, live);
    if (KP_UNLIKELY(status != NULL)) {
      kp_status* stop =
          kp_status_code(status) == KAPELL_CANCELLED ? check_stop(state->args, node) : NULL;
      if (!stop) return kp_status_at(status, node->name, node->op, NULL);
      kp_status_ignore(status);
      return stop;
    }
    if (KP_UNLIKELY(state->args->profile != NULL)) profile(state, live->step, start);
  }
  const uint32_t count = state->special->step_count;
  return count ? check_stop(state->args, state->special->steps[count - 1].step->node) : NULL;
}

static kp_status* copy_tensor(const kapell_value* from, kapell_value* to) {
  if (from->type == KAPELL_STRING) {
    for (size_t i = 0; i < kp_value_count(from); ++i)
      KP_PASS(kp_value_set_string(to, i, kp_value_string(from, i)));
  } else if (from->byte_count) {
    memcpy(to->data, from->data, from->byte_count);
  }
  return NULL;
}

// Outputs whose slot lies elsewhere: constants, inputs handed through, a slot that stands in two outputs.
static kp_status* copy_outputs(const kp_run_state* state) {
  const kp_run_args* args = state->args;
  for (uint32_t i = 0; i < state->special->copy_count; ++i) {
    const kp_cpu_copy* copy = &state->special->copies[i];
    kapell_value* from = state->slots[copy->slot];
    if (!from) return KP_ERROR(INTERNAL, "output %u of a partition was not made", copy->output);
    if (from->kind != KAPELL_KIND_TENSOR) {
      args->outputs[copy->output] = kp_value_retain(from);
      continue;
    }
    kapell_value* to = args->outputs[copy->output];
    if (state->special->base.outputs[copy->output].rank < 0)
      KP_PASS(kp_run_output(args, copy->output, from->type, from->dims, from->rank, &to));
    KP_PASS(copy_tensor(from, to));
  }
  return NULL;
}

static void release_owned(const kp_run_state* state) {
  for (uint32_t slot = 0; slot < state->special->compiled->slot_count; ++slot)
    if (state->owned[slot]) kp_value_release(state->slots[slot]);
}

static kp_status* run_aligned(const kp_cpu_special* special, const kp_run_args* args) {
  char* scratch = args->scratch;
  const kp_run_state state = {.special = special,
                              .args = args,
                              .views = args->scratch,
                              .slots = (kapell_value**)(void*)(scratch + special->slots_offset),
                              .gather = (kapell_value**)(void*)(scratch + special->gather_offset),
                              .owned = (bool*)(scratch + special->owned_offset),
                              .block = scratch + special->block_offset};
  set_slots(&state);
  kp_status* status = run_steps(&state);
  if (!status) status = copy_outputs(&state);
  if (special->has_owned) release_owned(&state);
  return status;
}

// --- memory that is not aligned to its elements ------------------------------------------------------------------------------
// Operators may assume natural alignment. A caller's buffer that lacks it is copied, in and out: rare, so it may allocate.
static bool is_aligned(const kapell_value* value) {
  if (!value || value->kind != KAPELL_KIND_TENSOR) return true;
  const unsigned bits = kp_type_bits(value->type);
  return bits <= 8 || (uintptr_t)value->data % kp_min_size(bits / 8, 8) == 0;
}

typedef struct kp_bounce {
  kapell_value** values;  // inputs, then outputs: the caller's or copies
  uint32_t input_count, output_count;
} kp_bounce;

static kp_status* copy_in(kp_bounce* bounce, const kp_run_args* args) {
  for (uint32_t i = 0; i < bounce->input_count; ++i) {
    bounce->values[i] = args->inputs[i];
    if (!is_aligned(args->inputs[i])) KP_PASS(kp_value_clone(args->inputs[i], &bounce->values[i]));
  }
  kapell_value** outputs = bounce->values + bounce->input_count;
  for (uint32_t i = 0; i < bounce->output_count; ++i) {
    const kapell_value* given = outputs[i] = args->outputs[i];
    if (!is_aligned(given))
      KP_PASS(kp_value_create_tensor(given->type, given->dims, given->rank, &outputs[i]));
  }
  return NULL;
}

static void copy_out(const kp_bounce* bounce, const kp_run_args* args) {
  for (uint32_t i = 0; i < bounce->input_count; ++i)
    if (bounce->values[i] != args->inputs[i]) kp_value_release(bounce->values[i]);
  for (uint32_t i = 0; i < bounce->output_count; ++i) {
    kapell_value *made = bounce->values[bounce->input_count + i], *given = args->outputs[i];
    if (is_aligned(given)) {
      args->outputs[i] = made;  // the same, or what the run put there
    } else if (made) {
      if (made->byte_count) memcpy(given->data, made->data, made->byte_count);
      kp_value_release(made);
    }
  }
}

static kp_status* run_bounced(const kp_cpu_special* special, const kp_run_args* args) {
  const kp_graph* graph = special->compiled->graph;
  kp_bounce bounce = {.input_count = graph->input_count, .output_count = graph->output_count};
  bounce.values =
      kp_alloc_zero((size_t)graph->input_count + graph->output_count + 1, sizeof(kapell_value*));
  if (!bounce.values) return KP_ERROR(OUT_OF_MEMORY, "aligned copies of inputs and outputs");
  kp_status* status = copy_in(&bounce, args);
  kp_run_args inner = *args;
  inner.inputs = bounce.values;
  inner.outputs = bounce.values + bounce.input_count;
  if (!status) status = run_aligned(special, &inner);
  copy_out(&bounce, args);
  kp_free(bounce.values);
  return status;
}

kp_status* kp_cpu_run(kp_compiled* compiled, const kp_special* base, const kp_run_args* args) {
  (void)compiled;
  const kp_cpu_special* special = (const kp_cpu_special*)base;
  const kp_graph* graph = special->compiled->graph;
  bool aligned = true;
  for (uint32_t i = 0; i < graph->input_count; ++i) aligned &= is_aligned(args->inputs[i]);
  for (uint32_t i = 0; i < graph->output_count; ++i) aligned &= is_aligned(args->outputs[i]);
  return KP_LIKELY(aligned) ? run_aligned(special, args) : run_bounced(special, args);
}
