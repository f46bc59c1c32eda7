// Runs a unit on its provider, and copies between memories.
#include "base/clock.h"
#include "exec/internal.h"

// What kp_run_args.exec points to.
typedef struct unit_call {
  kp_frame* frame;
  const kp_unit* unit;
} unit_call;

kp_status* kp_run_output(const kp_run_args* args, uint32_t index, kapell_type type,
                         const int64_t* dims, int32_t rank, kapell_value** out_value) {
  const unit_call* call = args->exec;
  *out_value = NULL;
  if (index >= call->unit->output_count)
    return KP_ERROR(INTERNAL, "output %u of %u", index, call->unit->output_count);
  KP_PASS(kp_frame_place(call->frame, call->unit->outputs[index], type, dims, rank, out_value));
  args->outputs[index] = *out_value;
  return NULL;
}

static kp_status* stream_of(kp_run_state* run, const kp_unit* unit, kp_stream** out_stream) {
  *out_stream = NULL;
  if (!(unit->provider->flags & KP_PROVIDER_STREAMS)) return NULL;
  if (!run->streams[unit->entry])
    KP_PASS(unit->provider->type->stream_create(unit->provider, &run->streams[unit->entry]));
  *out_stream = run->streams[unit->entry];
  return NULL;
}

// --- a unit -----------------------------------------------------------------------------------------------------------------
static kp_status* ready_inputs(kp_frame* frame, const kp_unit* unit, const kp_stream* stream) {
  for (uint32_t i = 0; i < unit->input_count; ++i) {
    KP_PASS(kp_frame_wait(frame, unit->inputs[i], stream));
    frame->io[i] = frame->slots[unit->inputs[i]].value;
  }
  return NULL;
}

static kp_status* ready_outputs(kp_frame* frame, const kp_unit* unit, const kp_special* special) {
  for (uint32_t i = 0; i < unit->output_count; ++i) {
    kp_slot_state* state = &frame->slots[unit->outputs[i]];
    const kp_shape_info* info = &special->outputs[i];
    kapell_value* value = state->shell;
    if (frame->special->offsets[unit->outputs[i]] != KP_NOT_PLANNED) {
      state->value = value;
    } else if (info->kind == KAPELL_KIND_TENSOR && info->rank >= 0 && info->type != KAPELL_STRING) {
      KP_PASS(kp_frame_place(frame, unit->outputs[i], info->type, info->dims, info->rank, &value));
    } else {
      KP_PASS(kp_value_reset_tensor(value, KAPELL_UNDEFINED, NULL, 0, NULL));
      value->kind = KAPELL_KIND_NONE;
      state->value = NULL;
    }
    frame->io[unit->input_count + i] = value;
  }
  return NULL;
}

// Takes over what the provider handed out instead of shells.
static kp_status* take_outputs(kp_frame* frame, const kp_unit* unit, kp_fence fence) {
  for (uint32_t i = 0; i < unit->output_count; ++i) {
    kp_slot_state* state = &frame->slots[unit->outputs[i]];
    kapell_value* value = frame->io[unit->input_count + i];
    state->fence = fence;
    if (state->value == value) continue;
    if (value == state->shell && value->kind == KAPELL_KIND_NONE)
      return KP_ERROR(PROVIDER_FAILED, "output '%s' was not written",
                      frame->plan->graph->values[frame->plan->slots[unit->outputs[i]].value].name);
    kp_value_release(state->owned);
    state->owned = state->value = value;
  }
  return NULL;
}

// A run that failed may have handed values out before.
static void drop_outputs(kp_frame* frame, const kp_unit* unit) {
  for (uint32_t i = 0; i < unit->output_count; ++i) {
    const kp_slot_state* state = &frame->slots[unit->outputs[i]];
    kapell_value* value = frame->io[unit->input_count + i];
    if (value != state->value && value != state->shell) kp_value_release(value);
  }
}

static uint64_t bytes_of(kapell_value* const* values, uint32_t count) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i)
    if (values[i] && values[i]->kind == KAPELL_KIND_TENSOR) bytes += values[i]->byte_count;
  return bytes;
}

static void count_unit(kp_frame* frame, const kp_unit* unit, uint64_t start) {
  kp_entry_counters* counters = &frame->run->args->counters->entries[unit->entry];
  const uint64_t end = kp_clock_ns();
  ++counters->units;
  counters->nodes += unit->origin_count;
  counters->time_ns += end - start;
  counters->bytes += bytes_of(frame->io, unit->input_count + unit->output_count);
  kp_profile* profile = frame->run->args->profile;
  if (!profile) return;
  const kp_profile_event event = {
      .name = "partition",
      .op = "partition",
      .provider = frame->plan->set->chain->entries[unit->entry].short_name,
      .start_ns = start,
      .end_ns = end,
      .inputs = (const kapell_value* const*)frame->io,
      .input_count = unit->input_count,
      .outputs = (const kapell_value* const*)frame->io + unit->input_count,
      .output_count = unit->output_count};
  kp_profile_add(profile, &event);
}

static kp_status* call_provider(kp_frame* frame, const kp_unit* unit, const kp_special* special,
                                kp_stream* stream) {
  kp_run_state* run = frame->run;
  kp_grown* scratch = stream ? &run->stream_scratch[unit->entry] : &frame->scratch;
  if (special->scratch_bytes) {
    if (stream && scratch->capacity < special->scratch_bytes &&
        scratch->data) {  // work under way may still use the old one
      uint64_t ticket;
      bool done;
      KP_PASS(unit->provider->type->stream_signal(stream, &ticket));
      KP_PASS(unit->provider->type->stream_wait(stream, ticket, run->args->deadline_ns,
                                                run->args->cancel, &done));
      if (!done) KP_PASS(kp_run_check(run));
    }
    kp_status* status = kp_grow(run, scratch, special->scratch_bytes, false);
    const kp_node* largest = special->largest_node;
    if (largest) status = kp_status_at(status, largest->name, largest->op, NULL);
    KP_PASS(status);
  }
  unit_call call = {.frame = frame, .unit = unit};
  const kp_run_args args = {.inputs = frame->io,
                            .outputs = frame->io + unit->input_count,
                            .scratch = scratch->data,
                            .width = run->args->width,
                            .cancel = run->args->cancel,
                            .deadline_ns = run->args->deadline_ns,
                            .stream = stream,
                            .profile = run->args->profile,
                            .exec = &call};
  kp_fence fence = {.stream = stream};
  kp_status* failure = unit->provider->type->run(unit->compiled, special, &args);
  if (failure) drop_outputs(frame, unit);
  KP_PASS(failure);
  if (stream) KP_PASS(unit->provider->type->stream_signal(stream, &fence.ticket));
  return take_outputs(frame, unit, fence);
}

// Host memory that asynchronous work reads or writes could be given to the next step too early: such a unit is waited for.
static kp_status* settle_host_io(kp_frame* frame, const kp_unit* unit) {
  bool host = false;
  uint32_t any = KP_NONE;
  for (uint32_t i = 0; i < unit->input_count; ++i)
    host |= !frame->plan->slots[unit->inputs[i]].memory;
  for (uint32_t i = 0; i < unit->output_count; ++i) {
    host |= !frame->plan->slots[unit->outputs[i]].memory;
    any = unit->outputs[i];
  }
  return host && any != KP_NONE ? kp_frame_wait(frame, any, NULL) : NULL;
}

static kp_status* run_unit(kp_frame* frame, const kp_unit* unit, const kp_special* special) {
  kp_stream* stream;
  KP_PASS(stream_of(frame->run, unit, &stream));
  KP_PASS(ready_inputs(frame, unit, stream));
  KP_PASS(ready_outputs(frame, unit, special));
  const bool counts = !frame->run->executor->is_told[unit->entry];  // else the whole run does
  if (counts) KP_PASS(kp_enter_provider(frame->run, unit->entry));
  const uint64_t start = kp_clock_ns();
  kp_status* status = call_provider(frame, unit, special, stream);
  if (!status && stream) status = settle_host_io(frame, unit);
  if (counts) kp_leave_provider(frame->run, unit->entry);
  if (!status) count_unit(frame, unit, start);
  return status;
}

// A late unit on a stream is waited for at once: its special is unpinned when it returns.
static kp_status* run_late(kp_frame* frame, uint32_t step) {
  const kp_unit* unit = &frame->plan->steps[step].unit;
  const kp_special* special;
  kp_cache_entry* entry;
  for (uint32_t i = 0; i < unit->input_count; ++i)
    if (unit->compiled->value_inputs && unit->compiled->value_inputs[i])
      KP_PASS(kp_frame_wait(frame, unit->inputs[i], NULL));
  KP_PASS(kp_unit_specialise(frame, step, &special, &entry));
  kp_status* status = run_unit(frame, unit, special);
  for (uint32_t i = 0; !status && i < unit->output_count; ++i)
    status = kp_frame_wait(frame, unit->outputs[i], NULL);
  kp_cache_release(&frame->run->executor->unit_caches[frame->plan->index][step], entry);
  return status;
}

kp_status* kp_step_unit(kp_frame* frame, uint32_t step) {
  const kp_unit* unit = &frame->plan->steps[step].unit;
  const kp_special* special = frame->special->units[step];
  kp_status* status = special ? run_unit(frame, unit, special) : run_late(frame, step);
  if (!status) return NULL;
  const kapell_code code = kp_status_code(status);
  if (code != KAPELL_CANCELLED && code != KAPELL_OUT_OF_MEMORY)
    frame->run->args->failed_entry = unit->entry;
  return kp_status_frame(status, __FILE__, __LINE__, "running partition %u (%u nodes) on %s",
                         unit->partition, unit->node_count,
                         frame->plan->set->chain->entries[unit->entry].short_name);
}

// --- copies -------------------------------------------------------------------------------------------------------------------
static kp_status* copy_bytes(const kapell_value* from, kapell_value* to) {
  if (!from->memory && !to->memory) return memmove(to->data, from->data, from->byte_count), NULL;
  if (!from->memory) return to->memory->copy_in(to->memory, to->data, from->data, from->byte_count);
  if (!to->memory)
    return from->memory->copy_out(from->memory, to->data, from->data, from->byte_count);
  return KP_ERROR(INTERNAL, "a copy from device to device");
}

// The provider whose memory took part in a failed copy has failed.
static void blame_copy(kp_run_state* run, const kp_memory* memory) {
  const kp_chain* chain = run->executor->set->chain;
  for (uint32_t e = 0; e < chain->count; ++e)
    if (chain->entries[e].provider && chain->entries[e].provider->memory == memory)
      run->args->failed_entry = e;
}

kp_status* kp_copy_value(kp_run_state* run, const kapell_value* from, kapell_value* to) {
  if (from->type == KAPELL_STRING) {
    const size_t count = kp_value_count(from);
    for (size_t i = 0; i < count; ++i)
      KP_PASS(kp_value_set_string(to, i, kp_value_string(from, i)));
    return NULL;
  }
  if (from->byte_count != to->byte_count)
    return KP_ERROR(INTERNAL, "a copy of %zu bytes into %zu", from->byte_count, to->byte_count);
  if (from->byte_count == 0) return NULL;
  kp_status* status = copy_bytes(from, to);
  if (status && run) blame_copy(run, from->memory ? from->memory : to->memory);
  return status;
}

kp_status* kp_drain_streams(kp_run_state* run, const kp_memory* memory) {
  const kp_chain* chain = run->executor->set->chain;
  for (uint32_t e = 0; e < chain->count; ++e) {
    const kp_provider* provider = chain->entries[e].provider;
    if (!run->streams[e] || !provider || provider->memory != memory) continue;
    uint64_t ticket;
    bool done = false;
    kp_status* status = provider->type->stream_signal(run->streams[e], &ticket);
    if (!status)
      status = provider->type->stream_wait(run->streams[e], ticket, run->args->deadline_ns,
                                           run->args->cancel, &done);
    if (status || !done) run->args->failed_entry = e;
    KP_PASS(status);
    if (!done) KP_PASS(kp_run_check(run));
  }
  return NULL;
}

kp_status* kp_check_copy(const kp_run_state* run, const char* name, uint64_t byte_count) {
  const kp_chain* chain = run->executor->set->chain;
  // Of an empty tensor nothing moves.
  const uint64_t copies = run->args->counters->copies + (byte_count != 0);
  const uint64_t bytes = run->args->counters->copied_bytes + byte_count;
  const bool many = chain->max_copies >= 0 && copies > (uint64_t)chain->max_copies;
  const bool large = chain->max_copy_bytes >= 0 && bytes > (uint64_t)chain->max_copy_bytes;
  if (KP_LIKELY(!many && !large)) return NULL;
  return kp_status_hint(
      kp_status_at(
          KP_ERROR(CLAUSE_VIOLATED,
                   "'%s<=%lld': with the %llu bytes of '%s' this run would have copied %llu times, "
                   "%llu bytes",
                   many ? "copies" : "copy-bytes",
                   (long long)(many ? chain->max_copies : chain->max_copy_bytes),
                   (unsigned long long)byte_count, name, (unsigned long long)copies,
                   (unsigned long long)bytes),
          NULL, NULL, name),
      "raise the limit; sizes that only a run tells, and copies in bodies of control flow, are "
      "counted in the run");
}

// Copies and counts. |from| has been waited for; |to| has room.
static kp_status* copy_ready(kp_run_state* run, const char* name, const kapell_value* from,
                             kapell_value* to) {
  KP_PASS(kp_check_copy(run, name, from->byte_count));
  if (to->memory) KP_PASS(kp_drain_streams(run, to->memory));
  KP_TRY(kp_copy_value(run, from, to), "copying '%s' between %s and %s", name,
         from->memory ? from->memory->name : "the host",
         to->memory ? to->memory->name : "the host");
  run->args->counters->copies += from->byte_count != 0;
  run->args->counters->copied_bytes += from->byte_count;
  return NULL;
}

kp_status* kp_step_copy(kp_frame* frame, uint32_t index) {
  const kp_step* step = &frame->plan->steps[index];
  kp_run_state* run = frame->run;
  const char* name = frame->plan->graph->values[frame->plan->slots[step->from].value].name;
  const kapell_value* from = frame->slots[step->from].value;
  KP_TRY(kp_frame_wait(frame, step->from, NULL), "waiting for '%s'", name);
  if (!from || from->kind != KAPELL_KIND_TENSOR)
    return KP_ERROR(INTERNAL, "'%s' is to be copied and is no tensor", name);
  kp_slot_state* to = &frame->slots[step->to];
  kapell_value* value = to->shell;
  if (frame->special->offsets[step->to] != KP_NOT_PLANNED) {
    to->value = value;
  } else {
    KP_PASS(kp_frame_place(frame, step->to, from->type, from->dims, from->rank, &value));
  }
  return copy_ready(run, name, from, value);
}

kp_status* kp_settle_captures(kp_frame* frame) {
  const kp_plan* plan = frame->plan;
  for (uint32_t i = 0; i < plan->capture_count; ++i) {
    const uint32_t s = plan->captures[i];
    const kapell_value* from = s == KP_NONE ? NULL : frame->slots[s].value;
    if (!from || from->kind != KAPELL_KIND_TENSOR || from->memory == plan->slots[s].memory)
      continue;
    kapell_value* to;
    KP_PASS(kp_frame_place(frame, s, from->type, from->dims, from->rank, &to));
    KP_PASS(copy_ready(frame->run, plan->graph->values[plan->slots[s].value].name, from, to));
  }
  return NULL;
}
