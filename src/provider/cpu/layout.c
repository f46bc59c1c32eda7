// Where the values of a special lie. Slots that share bytes (views, results written over an input) form a class; a class lies in
// the partition's input or output where one of its slots is one, else in the block, placed by the interval planner.
#include "base/alloc.h"
#include "base/planner.h"
#include "provider/cpu/cpu.h"

typedef struct kp_class {
  kp_cpu_place base;  // INPUT or OUTPUT by |index|; VIEW: the block
  uint32_t index;
  uint32_t first, last;  // live steps
  size_t size;
} kp_class;

typedef struct kp_layout {
  kp_cpu_spec* spec;
  kp_class* classes;
  uint32_t class_count;
  uint32_t* class_of;  // by slot; KP_NONE
  int32_t* output_of;  // by slot: first partition output, or -1
  uint32_t view_count;
} kp_layout;

static bool same_shape(const kapell_value* a, const kapell_value* b) {
  return a->type == b->type && a->rank == b->rank &&
         (!a->rank || memcmp(a->dims, b->dims, sizeof(int64_t) * (size_t)a->rank) == 0);
}

static void join(kp_layout* layout, uint32_t id, uint32_t slot) {
  kp_class* class = &layout->classes[id];
  const uint32_t last = layout->spec->last_use[slot];
  layout->class_of[slot] = id;
  if (class->last < last) class->last = last;
  if (layout->output_of[slot] >= 0) {
    class->base = KP_PLACE_OUTPUT;
    class->index = (uint32_t)layout->output_of[slot];
    layout->spec->places[slot] = KP_PLACE_OUTPUT;
  } else {
    layout->spec->places[slot] = KP_PLACE_VIEW;
    ++layout->view_count;
  }
}

static void open_class(kp_layout* layout, uint32_t slot, uint32_t step) {
  const uint32_t id = layout->class_count++;
  const size_t size = layout->spec->special->values[slot]->byte_count;
  layout->classes[id] = (kp_class){KP_PLACE_VIEW, 0, step, step, size};
  join(layout, id, slot);
}

// The class of a partition's input, made when first asked for.
static uint32_t class_of_input(kp_layout* layout, uint32_t slot) {
  if (layout->class_of[slot] != KP_NONE || layout->spec->places[slot] != KP_PLACE_INPUT)
    return layout->class_of[slot];
  const kp_cpu_compiled* compiled = layout->spec->compiled;
  uint32_t index = 0;
  while (compiled->input_slots[index] != slot) ++index;
  layout->classes[layout->class_count] =
      (kp_class){KP_PLACE_INPUT, index, 0, layout->spec->last_use[slot], 0};
  return layout->class_of[slot] = layout->class_count++;
}

// Output 0 has the bytes of input 0: true if it can simply lie there.
static bool try_view(kp_layout* layout, const kp_cpu_step* step) {
  const uint32_t in = step->inputs[0], out = step->outputs[0];
  kp_cpu_spec* spec = layout->spec;
  const kapell_value *from = spec->special->values[in], *to = spec->special->values[out];
  if (from->type == KAPELL_STRING || from->byte_count != to->byte_count) return false;
  const bool is_output = layout->output_of[out] >= 0;
  if (spec->places[in] == KP_PLACE_KNOWN) {
    if (is_output) return false;
    spec->special->values[out]->data = from->data;
    spec->places[out] = KP_PLACE_KNOWN;
    return true;
  }
  const uint32_t id = class_of_input(layout, in);
  if (id == KP_NONE || (is_output && layout->classes[id].base != KP_PLACE_VIEW)) return false;
  join(layout, id, out);
  return true;
}

// Output 0 may be written over input 0: true if nobody needs that any more.
static bool try_inplace(kp_layout* layout, const kp_cpu_step* step, uint32_t index) {
  const uint32_t in = step->inputs[0], out = step->outputs[0];
  const kp_cpu_spec* spec = layout->spec;
  const uint32_t id = layout->class_of[in];
  if (id == KP_NONE || layout->classes[id].base != KP_PLACE_VIEW ||
      layout->classes[id].last > index)
    return false;
  if (!same_shape(spec->special->values[in], spec->special->values[out])) return false;
  for (uint32_t i = 1; i < step->node->input_count; ++i)
    if (step->inputs[i] != KP_NONE && layout->class_of[step->inputs[i]] == id) return false;
  join(layout, id, out);
  return true;
}

static void place_late(kp_layout* layout, const kp_cpu_step* step) {
  for (uint32_t o = 0; o < step->node->output_count; ++o) {
    if (step->outputs[o] == KP_NONE) continue;
    layout->spec->places[step->outputs[o]] = KP_PLACE_OWNED;
    layout->spec->special->has_owned = true;
  }
}

// Places the outputs of live step |index|; true if nothing is left to run.
static bool place_step(kp_layout* layout, uint32_t index) {
  const kp_cpu_live* live = &layout->spec->special->steps[index];
  const kp_cpu_step* step = live->step;
  if (live->late) {
    place_late(layout, step);
    return false;
  }
  uint32_t first = 0;
  const bool has_pair =
      step->node->input_count && step->inputs[0] != KP_NONE && step->outputs[0] != KP_NONE;
  if (has_pair && step->op->flags & KP_OP_VIEW && try_view(layout, step)) return true;
  if (has_pair && step->op->flags & KP_OP_INPLACE && try_inplace(layout, step, index)) first = 1;
  for (uint32_t o = first; o < step->node->output_count; ++o)
    if (step->outputs[o] != KP_NONE) open_class(layout, step->outputs[o], index);
  return false;
}

// Which slot lies in which output. A slot that stands in several outputs lies in the first; the others are copies.
static void assign_outputs(kp_layout* layout) {
  const kp_cpu_compiled* compiled = layout->spec->compiled;
  kp_cpu_special* special = layout->spec->special;
  memset(layout->output_of, 0xff, sizeof(int32_t) * compiled->slot_count);
  for (uint32_t i = 0; i < compiled->graph->output_count; ++i) {
    const uint32_t slot = compiled->output_slots[i];
    if (layout->spec->places[slot] == KP_PLACE_NONE && layout->output_of[slot] < 0)
      layout->output_of[slot] = (int32_t)i;
    else
      special->copies[special->copy_count++] = (kp_cpu_copy){slot, i};
  }
}

// --- the block ---------------------------------------------------------------------------------------------------------------
static kp_status* place_block(kp_layout* layout, size_t* offsets, size_t* out_total) {
  kp_cpu_special* special = layout->spec->special;
  kp_arena* arena = layout->spec->arena;
  const uint32_t most = layout->class_count + special->step_count;
  kp_interval* intervals = kp_arena_new_array(arena, kp_interval, most + 1);
  uint32_t* owners = kp_arena_new_array(arena, uint32_t, most + 1);
  if (!intervals || !owners) return KP_ERROR(OUT_OF_MEMORY, "memory plan of a partition");
  uint32_t count = 0;
  for (uint32_t c = 0; c < layout->class_count; ++c) {
    const kp_class* class = &layout->classes[c];
    if (class->base != KP_PLACE_VIEW) continue;
    owners[count] = c;
    intervals[count++] = (kp_interval){class->size, class->first, class->last, 0};
  }
  const uint32_t class_intervals = count;
  for (uint32_t s = 0; s < special->step_count; ++s) {
    if (!special->steps[s].scratch_bytes) continue;
    owners[count] = s;
    intervals[count++] = (kp_interval){special->steps[s].scratch_bytes, s, s, 0};
  }
  KP_TRY(kp_plan_intervals(intervals, count, arena, out_total), "memory plan of a partition");
  for (uint32_t i = 0; i < count; ++i) {
    if (i < class_intervals)
      offsets[owners[i]] = intervals[i].offset;
    else
      special->steps[owners[i]].scratch = intervals[i].offset;
  }
  return NULL;
}

static void list_views(const kp_layout* layout, const size_t* offsets) {
  kp_cpu_special* special = layout->spec->special;
  for (uint32_t slot = 0; slot < layout->spec->compiled->slot_count; ++slot) {
    if (layout->spec->places[slot] != KP_PLACE_VIEW) continue;
    const uint32_t id = layout->class_of[slot];
    const kp_class* class = &layout->classes[id];
    special->views[special->view_count++] =
        (kp_cpu_view){slot, class->base, class->index, offsets[id]};
  }
}

static void list_direct(const kp_layout* layout) {
  const kp_cpu_compiled* compiled = layout->spec->compiled;
  kp_cpu_special* special = layout->spec->special;
  for (uint32_t i = 0; i < compiled->graph->input_count; ++i) {
    const uint32_t slot = compiled->input_slots[i];
    special->direct_inputs[i] =
        slot != KP_NONE && layout->spec->places[slot] == KP_PLACE_INPUT ? slot : KP_NONE;
  }
  for (uint32_t i = 0; i < compiled->graph->output_count; ++i) {
    const uint32_t slot = compiled->output_slots[i];
    const bool direct =
        layout->spec->places[slot] == KP_PLACE_OUTPUT && layout->output_of[slot] == (int32_t)i;
    special->direct_outputs[i] = direct ? slot : KP_NONE;
  }
}

// --- outputs over inputs ------------------------------------------------------------------------------------------------------
// Input |index| of |step| as an input of the partition, if its bytes are read by no step after the |last|-th; else KP_NONE.
static uint32_t input_read_last(const kp_layout* layout, const kp_cpu_step* step, uint32_t index,
                                uint32_t last) {
  const uint32_t slot = index < step->node->input_count ? step->inputs[index] : KP_NONE;
  if (slot == KP_NONE) return KP_NONE;
  const uint32_t id = layout->class_of[slot];
  if (id != KP_NONE) {
    const kp_class* class = &layout->classes[id];
    return class->base == KP_PLACE_INPUT && class->last <= last ? class->index : KP_NONE;
  }
  if (layout->spec->places[slot] != KP_PLACE_INPUT || layout->spec->last_use[slot] > last)
    return KP_NONE;
  const kp_cpu_compiled* compiled = layout->spec->compiled;
  uint32_t input = 0;
  while (compiled->input_slots[input] != slot) ++input;
  return input;
}

// Which input of its node output |output| may be written over; KP_NONE.
static uint32_t node_alias(const kp_op_def* op, uint32_t output) {
  if (output == 0) return op->flags & KP_OP_INPLACE ? 0 : KP_NONE;
  for (uint32_t i = 0; i < KP_COUNT_OF(op->aliases); ++i)
    if (op->aliases[i].output == output) return op->aliases[i].input;
  return KP_NONE;
}

// The partition's input that |class|, which lies in an output, may be written over: the step that opens it is the last to read it.
static uint32_t find_alias(const kp_layout* layout, uint32_t id) {
  const kp_class* class = &layout->classes[id];
  const kp_cpu_live* live = &layout->spec->special->steps[class->first];
  const kp_cpu_step* step = live->step;
  if (live->late || live->adapted) return KP_NONE;
  uint32_t output = 0;
  while (step->outputs[output] == KP_NONE || layout->class_of[step->outputs[output]] != id)
    ++output;
  const uint32_t index = node_alias(step->op, output);
  if (index == KP_NONE) return KP_NONE;
  const uint32_t input = input_read_last(layout, step, index, class->first);
  for (uint32_t i = 0; i < step->node->input_count && input != KP_NONE; ++i)
    if (i != index && input_read_last(layout, step, i, class->first) == input) return KP_NONE;
  return input;
}

static kp_status* list_aliases(const kp_layout* layout) {
  const kp_cpu_compiled* compiled = layout->spec->compiled;
  const uint32_t count = compiled->graph->output_count;
  uint32_t* aliases = kp_arena_new_array(layout->spec->arena, uint32_t, count + 1);
  if (!aliases) return KP_ERROR(OUT_OF_MEMORY, "memory plan of a partition");
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = compiled->output_slots[i];
    const bool direct =
        layout->spec->places[slot] == KP_PLACE_OUTPUT && layout->output_of[slot] == (int32_t)i;
    aliases[i] = direct ? find_alias(layout, layout->class_of[slot]) : KP_NONE;
  }
  layout->spec->special->base.aliases = aliases;
  return NULL;
}

// The live step that has the largest part of the block: in a value that it makes, or in its scratch.
static const kp_node* largest_node(const kp_layout* layout) {
  const kp_cpu_special* special = layout->spec->special;
  const kp_node* node = NULL;
  size_t most = 0;
  for (uint32_t c = 0; c < layout->class_count; ++c) {
    const kp_class* class = &layout->classes[c];
    if (class->base != KP_PLACE_VIEW || class->size <= most) continue;
    most = class->size;
    node = special->steps[class->first].step->node;
  }
  for (uint32_t s = 0; s < special->step_count; ++s) {
    if (special->steps[s].scratch_bytes <= most) continue;
    most = special->steps[s].scratch_bytes;
    node = special->steps[s].step->node;
  }
  return node;
}

static bool reserve(size_t* total, size_t count, size_t element, size_t* out_offset) {
  size_t bytes;
  *out_offset = *total;
  return kp_mul_size(count, element, &bytes) && kp_add_size(*total, bytes, total) &&
         kp_align_size(*total, KP_ALIGNMENT, total);
}

static kp_status* size_scratch(const kp_layout* layout, size_t block) {
  const kp_cpu_compiled* compiled = layout->spec->compiled;
  kp_cpu_special* special = layout->spec->special;
  size_t total = 0, views;
  const bool fits =
      reserve(&total, special->view_count, sizeof(kapell_value), &views) &&
      reserve(&total, compiled->slot_count, sizeof(kapell_value*), &special->slots_offset) &&
      reserve(&total, compiled->max_arity, sizeof(kapell_value*), &special->gather_offset) &&
      reserve(&total, compiled->slot_count, sizeof(bool), &special->owned_offset) &&
      reserve(&total, block, 1, &special->block_offset);
  if (!fits) return KP_ERROR(LIMIT, "the memory of a partition exceeds the address space");
  special->base.scratch_bytes = total;
  return NULL;
}

static kp_status* allocate(kp_layout* layout) {
  kp_arena* arena = layout->spec->arena;
  kp_cpu_special* special = layout->spec->special;
  const kp_graph* graph = layout->spec->compiled->graph;
  const uint32_t slots = layout->spec->compiled->slot_count;
  layout->classes = kp_arena_new_array(arena, kp_class, slots + 1);
  layout->class_of = kp_arena_new_array(arena, uint32_t, slots + 1);
  layout->output_of = kp_arena_new_array(arena, int32_t, slots + 1);
  special->direct_inputs = kp_arena_new_array(arena, uint32_t, graph->input_count + 1);
  special->direct_outputs = kp_arena_new_array(arena, uint32_t, graph->output_count + 1);
  special->copies = kp_arena_new_array(arena, kp_cpu_copy, graph->output_count + 1);
  if (!layout->classes || !layout->class_of || !layout->output_of || !special->direct_inputs ||
      !special->direct_outputs || !special->copies)
    return KP_ERROR(OUT_OF_MEMORY, "memory plan of a partition");
  memset(layout->class_of, 0xff, sizeof(uint32_t) * slots);
  special->output_of = layout->output_of;
  return NULL;
}

kp_status* kp_cpu_layout(kp_cpu_spec* spec) {
  kp_layout layout = {.spec = spec};
  kp_cpu_special* special = spec->special;
  KP_PASS(allocate(&layout));
  assign_outputs(&layout);
  uint32_t kept = 0;
  bool* nothing = kp_arena_new_array(spec->arena, bool, special->step_count + 1);
  size_t* offsets = kp_arena_new_array(spec->arena, size_t, spec->compiled->slot_count + 1);
  if (!nothing || !offsets) return KP_ERROR(OUT_OF_MEMORY, "memory plan of a partition");
  for (uint32_t s = 0; s < special->step_count; ++s) nothing[s] = place_step(&layout, s);
  size_t block;
  KP_PASS(place_block(&layout, offsets, &block));
  special->base.largest_node = largest_node(&layout);
  special->base.allocates = special->has_owned;
  KP_PASS(list_aliases(&layout));  // while classes count steps as they were
  for (uint32_t s = 0; s < special->step_count; ++s)
    if (!nothing[s]) special->steps[kept++] = special->steps[s];
  special->step_count = kept;
  special->views = kp_arena_new_array(spec->arena, kp_cpu_view, layout.view_count + 1);
  if (!special->views) return KP_ERROR(OUT_OF_MEMORY, "memory plan of a partition");
  list_views(&layout, offsets);
  list_direct(&layout);
  return size_scratch(&layout, block);
}
