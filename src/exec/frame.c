// Frames: the values of a plan's slots and the memory they lie in, and the walk over the steps.
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/size.h"
#include "exec/internal.h"

kp_status* kp_run_check(const kp_run_state* run) {
  if (kp_flag_is_set(run->args->cancel)) return KP_ERROR(CANCELLED, "the run was cancelled");
  if (run->args->deadline_ns && kp_clock_ns() > run->args->deadline_ns)
    return KP_ERROR(TIMEOUT, "the run's time limit ran out");
  return NULL;
}

kp_status* kp_run_iteration(kp_run_state* run, const kp_node* node) {
  const uint64_t most = run->args->max_iterations;
  KP_PASS(kp_run_check(run));
  if (most == 0 || run->iterations++ < most) return NULL;
  kp_status* status =
      KP_ERROR(LIMIT, "the run's loops go on after %llu iterations", (unsigned long long)most);
  kp_status_hint(status, "max_iterations sets how many one run may take");
  return kp_status_at(status, node->name, node->op, NULL);
}

// --- growing memory --------------------------------------------------------------------------------------------------------
kp_status* kp_grow(kp_run_state* run, kp_grown* grown, size_t byte_count, bool keep) {
  if (byte_count <= grown->capacity && grown->data) return NULL;
  size_t capacity = byte_count > grown->capacity ? byte_count : grown->capacity;
  if (grown->data && capacity < grown->capacity + grown->capacity / 2)
    capacity = grown->capacity + grown->capacity / 2;
  if (!kp_align_size(capacity ? capacity : 1, KP_ALIGNMENT, &capacity))
    return KP_ERROR(OUT_OF_MEMORY, "memory of a run");
  const kp_memory* memory = grown->memory;
  if (memory && grown->data) KP_PASS(kp_drain_streams(run, memory));
  void* data = memory ? memory->alloc(memory, capacity, KP_ALIGNMENT)
                      : kp_alloc_aligned(capacity, KP_ALIGNMENT);
  if (!data)
    return KP_ERROR(OUT_OF_MEMORY, "%zu bytes of memory on %s for a run", capacity,
                    memory ? memory->name : "the host");
  if (keep && grown->data && !memory) memcpy(data, grown->data, grown->capacity);
  const size_t old = grown->data ? grown->capacity : 0;
  const kp_grown was = *grown;
  *grown = (kp_grown){.data = data, .capacity = capacity, .memory = memory};
  kp_grown gone = was;
  kp_grown_free(&gone);
  run->bytes += capacity - old;
  return NULL;
}

void kp_grown_free(kp_grown* grown) {
  if (grown->data && grown->memory) grown->memory->free(grown->memory, grown->data);
  if (grown->data && !grown->memory) kp_free(grown->data);
  grown->data = NULL;
  grown->capacity = 0;
}

// --- life -------------------------------------------------------------------------------------------------------------------
static uint32_t widest_step(const kp_plan* plan) {
  uint32_t widest = 0;
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_step* step = &plan->steps[i];
    const uint32_t width =
        step->kind == KP_STEP_UNIT ? step->unit.input_count + step->unit.output_count : 0;
    if (width > widest) widest = width;
  }
  return widest;
}

static uint32_t most_given(const kp_plan* plan) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < plan->step_count; ++i)
    for (int b = 0; b < 2; ++b) {
      const kp_plan* body = plan->steps[i].bodies[b];
      if (body && body->input_count + body->capture_count > most)
        most = body->input_count + body->capture_count;
    }
  return most;
}

static kp_status* fill_frame(kp_frame* frame) {
  const kp_plan* plan = frame->plan;
  frame->slots = kp_alloc_zero((size_t)plan->slot_count + 1, sizeof(*frame->slots));
  frame->blocks = kp_alloc_zero((size_t)plan->memory_count + 1, sizeof(*frame->blocks));
  frame->io = kp_alloc_zero((size_t)widest_step(plan) + 1, sizeof(*frame->io));
  frame->bodies = kp_alloc_zero((size_t)plan->step_count + 1, sizeof(*frame->bodies));
  frame->states = kp_alloc_zero((size_t)plan->step_count + 1, sizeof(*frame->states));
  frame->given = kp_alloc_zero((size_t)most_given(plan) + 1, sizeof(*frame->given));
  frame->needed = kp_alloc_zero((size_t)plan->step_count + 1, sizeof(*frame->needed));
  if (!frame->slots || !frame->blocks || !frame->io || !frame->bodies || !frame->states ||
      !frame->given || !frame->needed)
    return KP_ERROR(OUT_OF_MEMORY, "a run's frame");
  for (uint32_t m = 0; m < plan->memory_count; ++m) frame->blocks[m].memory = plan->memories[m];
  for (uint32_t s = 0; s < plan->slot_count; ++s) {
    frame->slots[s].buffer.memory = plan->slots[s].memory;
    KP_PASS(kp_value_create_shell(&frame->slots[s].shell));
    frame->slots[s].shell->memory = plan->slots[s].memory;
  }
  return NULL;
}

kp_status* kp_frame_create(kp_run_state* run, const kp_plan* plan, kp_frame** out_frame) {
  *out_frame = NULL;
  kp_frame* frame = kp_alloc_zero(1, sizeof(*frame));
  if (!frame) return KP_ERROR(OUT_OF_MEMORY, "a run's frame");
  frame->run = run;
  frame->plan = plan;
  kp_status* status = fill_frame(frame);
  if (status) {
    kp_frame_free(frame);
    return status;
  }
  *out_frame = frame;
  return NULL;
}

void kp_frame_free(kp_frame* frame) {
  if (!frame) return;
  for (uint32_t s = 0; frame->slots && s < frame->plan->slot_count; ++s) {
    kp_value_release(frame->slots[s].owned);
    kp_value_release(frame->slots[s].shell);
    kp_grown_free(&frame->slots[s].buffer);
  }
  for (uint32_t i = 0; i < frame->plan->step_count; ++i) {
    if (frame->bodies) kp_frame_free(frame->bodies[i][0]), kp_frame_free(frame->bodies[i][1]);
    if (frame->states && frame->states[i]) frame->states[i]->free(frame->states[i]);
  }
  for (uint32_t m = 0; frame->blocks && m < frame->plan->memory_count; ++m)
    kp_grown_free(&frame->blocks[m]);
  kp_grown_free(&frame->block);
  kp_grown_free(&frame->scratch);
  kp_free(frame->slots);
  kp_free(frame->blocks);
  kp_free(frame->io);
  kp_free(frame->bodies);
  kp_free(frame->states);
  kp_free(frame->given);
  kp_free(frame->needed);
  kp_free(frame->key);
  kp_free(frame);
}

// --- storage of slots ---------------------------------------------------------------------------------------------------------
static const kp_grown* block_of(const kp_frame* frame, const kp_memory* memory) {
  if (!memory) return &frame->block;
  for (uint32_t m = 0; m < frame->plan->memory_count; ++m)
    if (frame->plan->memories[m] == memory) return &frame->blocks[m];
  return &frame->block;
}

// Adds to a failure to get memory which value takes the most of it.
static kp_status* blame_largest(const kp_frame* frame, kp_status* status) {
  const kp_plan* plan = frame->plan;
  size_t most = 0;
  uint32_t largest = KP_NONE;
  for (uint32_t s = 0; status && s < plan->slot_count; ++s) {
    const kp_shape_info* info = &frame->special->slots[s];
    size_t count, bytes = 0;
    if (frame->special->offsets[s] == KP_NOT_PLANNED || plan->slots[s].memory) continue;
    kp_status_ignore(kp_value_check_dims(info->type, info->dims, info->rank, &count, &bytes));
    if (bytes <= most) continue;
    most = bytes;
    largest = s;
  }
  return largest == KP_NONE ? status
                            : kp_blame_value(plan->graph, plan->slots[largest].value, status);
}

kp_status* kp_blame_value(const kp_graph* graph, kp_value_id id, kp_status* status) {
  const kp_value* value = &graph->values[id];
  const kp_node* node = value->producer == KP_NONE ? NULL : &graph->nodes[value->producer];
  return kp_status_at(status, node ? node->name : NULL, node ? node->op : NULL, value->name);
}

static kp_status* grow_blocks(kp_frame* frame) {
  const kp_frame_special* special = frame->special;
  if (special->host_bytes) {
    kp_status* status = kp_grow(frame->run, &frame->block, special->host_bytes, false);
    KP_PASS(blame_largest(frame, status));
  }
  for (uint32_t m = 0; m < frame->plan->memory_count; ++m)
    if (special->memory_bytes[m])
      KP_PASS(kp_grow(frame->run, &frame->blocks[m], special->memory_bytes[m], false));
  return NULL;
}

// Points the shells of planned slots at their places.
static kp_status* patch_planned(kp_frame* frame) {
  KP_PASS(grow_blocks(frame));
  for (uint32_t s = 0; s < frame->plan->slot_count; ++s) {
    if (frame->special->offsets[s] == KP_NOT_PLANNED) continue;
    const kp_shape_info* info = &frame->special->slots[s];
    kp_slot_state* state = &frame->slots[s];
    char* base =
        block_of(frame, frame->plan->slots[s].memory)->data;  // NULL: nothing in it has elements
    KP_PASS(kp_value_reset_tensor(state->shell, info->type, info->dims, info->rank,
                                  base ? base + frame->special->offsets[s] : NULL));
    state->shell->memory = frame->plan->slots[s].memory;
  }
  return NULL;
}

kp_status* kp_frame_place(kp_frame* frame, uint32_t slot, kapell_type type, const int64_t* dims,
                          int32_t rank, kapell_value** out_value) {
  kp_slot_state* state = &frame->slots[slot];
  const kp_slot* s = &frame->plan->slots[slot];
  kapell_value* value = NULL;
  if (s->output != KP_NONE)
    KP_PASS(kp_blame_value(frame->plan->graph, s->value,
                           frame->sink->place(frame->sink, s->output, type, dims, rank, &value)));
  if (!value && type == KAPELL_STRING) {
    KP_PASS(kp_value_create_tensor(type, dims, rank, &value));
    kp_value_release(state->owned);
    state->owned = value;
  }
  if (!value) {
    size_t count, bytes;
    KP_TRY(kp_value_check_dims(type, dims, rank, &count, &bytes), "making room for '%s'",
           frame->plan->graph->values[s->value].name);
    kp_status* status = kp_grow(frame->run, &state->buffer, bytes, false);
    KP_PASS(kp_blame_value(frame->plan->graph, s->value, status));
    KP_PASS(kp_value_reset_tensor(state->shell, type, dims, rank, state->buffer.data));
    state->shell->memory = s->memory;
    value = state->shell;
  }
  state->value = value;
  *out_value = value;
  return NULL;
}

kp_status* kp_frame_wait(kp_frame* frame, uint32_t slot, const kp_stream* stream) {
  kp_fence* fence = &frame->slots[slot].fence;
  if (!fence->stream || fence->stream == stream) return NULL;
  kp_run_state* run = frame->run;
  const kp_chain* chain = run->executor->set->chain;
  for (uint32_t e = 0; e < chain->count; ++e) {
    if (run->streams[e] != fence->stream) continue;
    bool done = false;
    kp_status* status = chain->entries[e].provider->type->stream_wait(
        fence->stream, fence->ticket, run->args->deadline_ns, run->args->cancel, &done);
    if (status || !done) run->args->failed_entry = e;
    KP_PASS(status);
    if (!done) {
      KP_PASS(kp_run_check(run));
      return KP_ERROR(PROVIDER_FAILED, "%s stopped waiting for its own work",
                      chain->entries[e].short_name);
    }
  }
  fence->stream = NULL;
  return NULL;
}

// --- the walk --------------------------------------------------------------------------------------------------------------------
static void take_inputs(kp_frame* frame, kapell_value* const* inputs,
                        kapell_value* const* captures) {
  const kp_plan* plan = frame->plan;
  for (uint32_t s = 0; s < plan->slot_count; ++s) {
    kp_slot_state* state = &frame->slots[s];
    const kp_slot* slot = &plan->slots[s];
    state->fence.stream = NULL;
    if (slot->kind == KP_SLOT_INPUT) state->value = inputs[slot->index];
    if (slot->kind == KP_SLOT_CAPTURE) state->value = captures[slot->index];
    if (slot->kind == KP_SLOT_CONSTANT) state->value = slot->constant;
    if (slot->kind == KP_SLOT_COMPUTED) state->value = NULL;
  }
}

// Outputs that no step writes directly: an input passed through, a constant, the same value twice.
static kp_status* give_outputs(kp_frame* frame) {
  const kp_plan* plan = frame->plan;
  for (uint32_t k = 0; k < plan->output_count; ++k) {
    const uint32_t s = plan->outputs[k];
    kp_slot_state* state = &frame->slots[s];
    if (!state->value) continue;  // its step was not needed
    if (!plan->slots[s].memory) KP_PASS(kp_frame_wait(frame, s, NULL));
    if (plan->slots[s].output == k && state->value != state->owned) continue;
    KP_TRY(frame->sink->give(frame->sink, k, state->value), "giving output '%s'",
           plan->graph->values[plan->slots[s].value].name);
  }
  return NULL;
}

static kp_status* run_step(kp_frame* frame, uint32_t step) {
  switch (frame->plan->steps[step].kind) {
    case KP_STEP_UNIT:
      return kp_step_unit(frame, step);
    case KP_STEP_COPY:
      return kp_step_copy(frame, step);
    case KP_STEP_IF:
      return kp_step_if(frame, step);
    case KP_STEP_LOOP:
      return kp_step_loop(frame, step);
    case KP_STEP_SCAN:
      return kp_step_scan(frame, step);
  }
  return KP_ERROR(INTERNAL, "an unknown kind of step");
}

// Of the outputs that lie in an input's memory, those that cannot be written there are made apart.
static void settle_aliases(kp_frame* frame) {
  kp_exec_args* args = frame->run->args;
  if (!args->aliases || frame->run->root != frame) return;
  for (uint32_t k = 0; k < frame->plan->output_count; ++k) {
    if (args->aliases[k] == KP_NONE || !args->outputs[k]) continue;
    if (frame->special->aliases[k] == args->aliases[k])
      args->in_place = true;
    else
      args->outputs[k] = NULL;
  }
}

static kp_status* walk(kp_frame* frame) {
  KP_PASS(kp_frame_specialise(frame));
  settle_aliases(frame);
  KP_PASS(patch_planned(frame));
  KP_PASS(kp_settle_captures(frame));
  for (uint32_t i = 0; i < frame->plan->step_count; ++i) {
    KP_PASS(kp_run_check(frame->run));
    if (frame->run->root != frame || frame->needed[i]) KP_PASS(run_step(frame, i));
  }
  return give_outputs(frame);
}

kp_status* kp_frame_run(kp_frame* frame, kapell_value* const* inputs, kapell_value* const* captures,
                        kp_sink* sink) {
  frame->sink = sink;
  take_inputs(frame, inputs, captures);
  kp_status* status = walk(frame);
  kp_cache_release(&frame->run->executor->caches[frame->plan->index], frame->entry);
  frame->entry = NULL;
  frame->special = NULL;
  return status;
}
