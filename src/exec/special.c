// Specialising: from a plan and the shapes of its inputs to shapes, offsets and units' specials for everything inside.
//
// The key of the cache is the shapes of all inputs and captures, and the contents of those that decide shapes. What only the data
// decides stays unknown here; units that depend on it are late: they are specialised when their inputs are there, with
// a cache of their own.
#include "base/alloc.h"
#include "base/planner.h"
#include "base/size.h"
#include "exec/internal.h"

static kp_status* append(kp_frame* frame, const void* data, size_t size) {
  if (frame->key_size + size > frame->key_capacity) {
    const size_t capacity = (frame->key_size + size) * 2;
    uint8_t* grown = kp_realloc_array(frame->key, capacity, 1);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "a signature");
    frame->key = grown;
    frame->key_capacity = capacity;
  }
  if (size) memcpy(frame->key + frame->key_size, data, size);
  frame->key_size += size;
  return NULL;
}

static bool has_contents(const kapell_value* value, bool by_value) {
  return by_value && (value->data || !value->byte_count) && value->kind == KAPELL_KIND_TENSOR &&
         value->type != KAPELL_STRING && !value->memory;
}

static kp_status* append_value(kp_frame* frame, const kapell_value* value, bool by_value) {
  const int32_t head[4] = {value ? (int32_t)value->kind : -1, value ? (int32_t)value->type : 0,
                           value ? value->rank : 0, by_value};
  KP_PASS(append(frame, head, sizeof(head)));
  if (!value || value->kind != KAPELL_KIND_TENSOR) return NULL;
  KP_PASS(append(frame, value->dims, (size_t)value->rank * sizeof(int64_t)));
  return has_contents(value, by_value) ? append(frame, value->data, value->byte_count) : NULL;
}

// The shape of |value|, copied to |arena| with the contents if they belong to the signature.
static kp_status* info_of(const kapell_value* value, bool by_value, kp_arena* arena,
                          kp_shape_info* out) {
  *out = (kp_shape_info){.rank = -1};
  if (!value) return NULL;
  *out = (kp_shape_info){.kind = value->kind, .type = value->type, .rank = value->rank};
  if (value->kind != KAPELL_KIND_TENSOR) return NULL;
  out->dims = kp_arena_memdup(arena, value->dims, (size_t)value->rank * sizeof(int64_t));
  if (!out->dims) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  if (!has_contents(value, by_value)) return NULL;
  out->data = kp_arena_memdup(arena, value->data, value->byte_count);
  return out->data ? NULL : KP_ERROR(OUT_OF_MEMORY, "a signature");
}

// Constants need no copy: they outlive every signature.
static void info_of_constant(const kapell_value* value, kp_shape_info* out) {
  *out = (kp_shape_info){
      .kind = value->kind, .type = value->type, .rank = value->rank, .dims = value->dims};
  if (value->kind == KAPELL_KIND_TENSOR && value->type != KAPELL_STRING) out->data = value->data;
}

static bool unknown(const kp_shape_info* info) {
  return info->kind == KAPELL_KIND_NONE || (info->kind == KAPELL_KIND_TENSOR && info->rank < 0);
}

// A provider that fails here has failed in the run; shapes that do not fit are the caller's mistake.
static kp_status* call_specialise(kp_frame* frame, const kp_unit* unit,
                                  const kp_specialise_args* args, kp_special** out_special) {
  kp_status* status = unit->provider->type->specialise(unit->compiled, args, out_special);
  if (!status) return NULL;
  if (kp_status_code(status) == KAPELL_PROVIDER_FAILED)
    frame->run->args->failed_entry = unit->entry;
  return kp_status_frame(status, __FILE__, __LINE__, "computing shapes of partition %u on %s",
                         unit->partition, frame->plan->set->chain->entries[unit->entry].short_name);
}

// Specialises unit |step| over |infos| (a slot each); false in *out_known if an input is not known yet.
static kp_status* specialise_unit(kp_frame* frame, const kp_unit* unit, const kp_shape_info* infos,
                                  kp_arena* arena, kp_special** out_special) {
  *out_special = NULL;
  kp_shape_info* inputs = kp_arena_new_array(arena, kp_shape_info, (size_t)unit->input_count + 1);
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  for (uint32_t i = 0; i < unit->input_count; ++i) {
    inputs[i] = infos[unit->inputs[i]];
    const bool by_value = unit->compiled->value_inputs && unit->compiled->value_inputs[i];
    if (unknown(&inputs[i]) ||
        (by_value && inputs[i].kind == KAPELL_KIND_TENSOR && !inputs[i].data))
      return NULL;
  }
  const kp_specialise_args args = {.inputs = inputs,
                                   .input_count = unit->input_count,
                                   .width = frame->run->args->width,
                                   .arena = arena};
  return call_specialise(frame, unit, &args, out_special);
}

static kp_status* infer_slots(kp_frame* frame, kp_frame_special* special, kp_arena* arena) {
  const kp_plan* plan = frame->plan;
  for (uint32_t s = 0; s < plan->slot_count; ++s) {
    const kp_slot* slot = &plan->slots[s];
    kp_shape_info* info = &special->slots[s];
    info->rank = -1;
    if (slot->kind == KP_SLOT_CONSTANT) info_of_constant(slot->constant, info);
    if (slot->kind == KP_SLOT_INPUT)
      KP_PASS(info_of(frame->slots[s].value, plan->value_inputs[slot->index], arena, info));
    if (slot->kind == KP_SLOT_CAPTURE)
      KP_PASS(info_of(frame->slots[s].value, plan->value_captures[slot->index], arena, info));
  }
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_step* step = &plan->steps[i];
    if (step->kind == KP_STEP_COPY) special->slots[step->to] = special->slots[step->from];
    if (step->kind != KP_STEP_UNIT) continue;
    kp_special* unit = NULL;
    KP_PASS(specialise_unit(frame, &step->unit, special->slots, arena, &unit));
    special->units[i] = unit;
    for (uint32_t o = 0; unit && o < step->unit.output_count; ++o)
      special->slots[step->unit.outputs[o]] = unit->outputs[o];
  }
  return NULL;
}

// Offsets of all slots in |memory| (NULL = host) whose size is known and that nobody else gives memory to.
static kp_status* plan_memory(const kp_plan* plan, kp_frame_special* special,
                              const kp_memory* memory, kp_arena* arena, size_t* out_bytes) {
  if (memory && memory->is_opaque) return NULL;  // what its steps make is placed as they run
  kp_interval* intervals = kp_arena_new_array(arena, kp_interval, (size_t)plan->slot_count + 1);
  uint32_t* slots = kp_arena_new_array(arena, uint32_t, (size_t)plan->slot_count + 1);
  if (!intervals || !slots) return KP_ERROR(OUT_OF_MEMORY, "the memory plan");
  size_t count = 0;
  for (uint32_t s = 0; s < plan->slot_count; ++s) {
    const kp_slot* slot = &plan->slots[s];
    const kp_shape_info* info = &special->slots[s];
    if (slot->kind != KP_SLOT_COMPUTED || slot->output != KP_NONE || slot->memory != memory)
      continue;
    if (info->kind != KAPELL_KIND_TENSOR || info->rank < 0 || info->type == KAPELL_STRING) continue;
    size_t elements, bytes;
    KP_TRY(kp_value_check_dims(info->type, info->dims, info->rank, &elements, &bytes),
           "planning memory of '%s'", plan->graph->values[slot->value].name);
    intervals[count] = (kp_interval){.size = bytes, .first = slot->first, .last = slot->last};
    slots[count++] = s;
  }
  KP_PASS(kp_plan_intervals(intervals, count, arena, out_bytes));
  for (size_t i = 0; i < count; ++i) special->offsets[slots[i]] = intervals[i].offset;
  return NULL;
}

static void count_uses(uint32_t* uses, const uint32_t* slots, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (slots[i] != KP_NONE) ++uses[slots[i]];
}

// How often steps read each slot.
static kp_status* slot_uses(const kp_plan* plan, kp_arena* arena, uint32_t** out_uses) {
  uint32_t* uses = *out_uses = kp_arena_new_array(arena, uint32_t, (size_t)plan->slot_count + 1);
  if (!uses) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_step* step = &plan->steps[i];
    const bool unit = step->kind == KP_STEP_UNIT;
    if (step->kind == KP_STEP_COPY) count_uses(uses, &step->from, 1);
    count_uses(uses, unit ? step->unit.inputs : step->inputs,
               unit ? step->unit.input_count : step->input_count);
    count_uses(uses, step->implicit, step->implicit_count);
  }
  count_uses(uses, plan->outputs, plan->output_count);
  return NULL;
}

// Outputs that may be written over an input: those that a unit allows, where no other step reads that input.
static kp_status* find_aliases(const kp_plan* plan, kp_frame_special* special, kp_arena* arena) {
  uint32_t* uses;
  KP_PASS(slot_uses(plan, arena, &uses));
  special->aliases = kp_arena_new_array(arena, uint32_t, (size_t)plan->output_count + 1);
  if (!special->aliases) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  memset(special->aliases, 0xff, sizeof(uint32_t) * plan->output_count);
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_unit* unit = &plan->steps[i].unit;
    const kp_special* inner = plan->steps[i].kind == KP_STEP_UNIT ? special->units[i] : NULL;
    for (uint32_t o = 0; inner && inner->aliases && o < unit->output_count; ++o) {
      const uint32_t output = plan->slots[unit->outputs[o]].output;
      if (output == KP_NONE || inner->aliases[o] == KP_NONE) continue;
      const uint32_t from = unit->inputs[inner->aliases[o]];
      if (plan->slots[from].kind == KP_SLOT_INPUT && uses[from] == 1)
        special->aliases[output] = plan->slots[from].index;
    }
  }
  return NULL;
}

kp_status* kp_frame_make_special(kp_frame* frame, kp_arena* arena, kp_frame_special** out_special) {
  const kp_plan* plan = frame->plan;
  kp_frame_special* special = kp_arena_new(arena, kp_frame_special);
  if (!special) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  special->slots = kp_arena_new_array(arena, kp_shape_info, (size_t)plan->slot_count + 1);
  special->offsets = kp_arena_new_array(arena, size_t, (size_t)plan->slot_count + 1);
  special->units = kp_arena_new_array(arena, const kp_special*, (size_t)plan->step_count + 1);
  special->memory_bytes = kp_arena_new_array(arena, size_t, (size_t)plan->memory_count + 1);
  if (!special->slots || !special->offsets || !special->units || !special->memory_bytes)
    return KP_ERROR(OUT_OF_MEMORY, "a signature");
  for (uint32_t s = 0; s < plan->slot_count; ++s) special->offsets[s] = KP_NOT_PLANNED;
  KP_PASS(infer_slots(frame, special, arena));
  KP_PASS(find_aliases(plan, special, arena));
  KP_PASS(plan_memory(plan, special, NULL, arena, &special->host_bytes));
  for (uint32_t m = 0; m < plan->memory_count; ++m)
    KP_PASS(plan_memory(plan, special, plan->memories[m], arena, &special->memory_bytes[m]));
  *out_special = special;
  return NULL;
}

kp_status* kp_frame_specialise(kp_frame* frame) {
  const kp_plan* plan = frame->plan;
  kp_run_counters* counters = frame->run->args->counters;
  kp_cache* cache = &frame->run->executor->caches[plan->index];
  frame->key_size = 0;
  for (uint32_t i = 0; i < plan->input_count; ++i)
    KP_PASS(append_value(frame, frame->slots[plan->inputs[i]].value, plan->value_inputs[i]));
  for (uint32_t i = 0; i < plan->capture_count; ++i)
    if (plan->captures[i] != KP_NONE)
      KP_PASS(append_value(frame, frame->slots[plan->captures[i]].value, plan->value_captures[i]));
  const int32_t width = frame->run->args->width;
  KP_PASS(append(frame, &width, sizeof(width)));
  const uint64_t hash = kp_hash_bytes(frame->key, frame->key_size, 0);
  kp_cache_entry* entry = kp_cache_get(cache, frame->key, frame->key_size, hash);
  if (entry) {
    ++counters->signature_hits;
  } else {
    ++counters->signature_misses;
    KP_PASS(kp_cache_blank(cache, frame->key, frame->key_size, hash, &entry));
    kp_frame_special* special = NULL;
    kp_status* status = kp_frame_make_special(frame, &entry->arena, &special);
    if (status) {
      kp_cache_release(cache, entry);
      return status;
    }
    entry->result = special;
    kp_cache_publish(cache, entry);
  }
  frame->entry = entry;
  frame->special = entry->result;
  return NULL;
}

static const char* value_name(const kp_frame* frame, uint32_t slot) {
  return frame->plan->graph->values[frame->plan->slots[slot].value].name;
}

// Contents of a device value that a late unit needs for its shapes: a copy like any other, and counted.
static kp_status* fetch_contents(kp_frame* frame, const char* name, const kapell_value* value,
                                 kp_arena* arena, const void** out_data) {
  void* copy = kp_arena_alloc(arena, value->byte_count ? value->byte_count : 1);
  if (!copy) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  KP_PASS(kp_check_copy(frame->run, name, value->byte_count));
  KP_PASS(value->memory->copy_out(value->memory, copy, value->data, value->byte_count));
  *out_data = copy;
  ++frame->run->args->counters->copies;
  frame->run->args->counters->copied_bytes += value->byte_count;
  return NULL;
}

static kp_status* late_special(kp_frame* frame, const kp_unit* unit, kp_arena* arena,
                               kp_special** out_special) {
  kp_shape_info* inputs = kp_arena_new_array(arena, kp_shape_info, (size_t)unit->input_count + 1);
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "a signature");
  for (uint32_t i = 0; i < unit->input_count; ++i) {
    const kapell_value* value = frame->slots[unit->inputs[i]].value;
    const bool by_value = unit->compiled->value_inputs && unit->compiled->value_inputs[i];
    KP_PASS(info_of(value, by_value, arena, &inputs[i]));
    if (by_value && value && value->kind == KAPELL_KIND_TENSOR && value->memory)
      KP_PASS(
          fetch_contents(frame, value_name(frame, unit->inputs[i]), value, arena, &inputs[i].data));
  }
  const kp_specialise_args args = {.inputs = inputs,
                                   .input_count = unit->input_count,
                                   .width = frame->run->args->width,
                                   .arena = arena};
  return call_specialise(frame, unit, &args, out_special);
}

kp_status* kp_unit_specialise(kp_frame* frame, uint32_t step, const kp_special** out_special,
                              kp_cache_entry** out_entry) {
  *out_entry = NULL;
  const kp_unit* unit = &frame->plan->steps[step].unit;
  kp_cache* cache = &frame->run->executor->unit_caches[frame->plan->index][step];
  bool cacheable = true;
  frame->key_size = 0;
  for (uint32_t i = 0; i < unit->input_count; ++i) {
    const bool by_value = unit->compiled->value_inputs && unit->compiled->value_inputs[i];
    const kapell_value* value = frame->slots[unit->inputs[i]].value;
    KP_PASS(append_value(frame, value, by_value));
    cacheable = cacheable && !(by_value && value && value->memory);
  }
  const int32_t width = frame->run->args->width;
  KP_PASS(append(frame, &width, sizeof(width)));
  const uint64_t hash = kp_hash_bytes(frame->key, frame->key_size, 0);
  kp_cache_entry* entry = cacheable ? kp_cache_get(cache, frame->key, frame->key_size, hash) : NULL;
  if (!entry) {
    KP_PASS(kp_cache_blank(cache, frame->key, frame->key_size, hash, &entry));
    kp_special* special = NULL;
    kp_status* status = late_special(frame, unit, &entry->arena, &special);
    if (status) {
      kp_cache_release(cache, entry);
      return status;
    }
    entry->result = special;
    if (cacheable) kp_cache_publish(cache, entry);
  }
  *out_entry = entry;
  *out_special = entry->result;
  return NULL;
}
