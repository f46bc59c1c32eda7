// 16-bit floats around operators that compute in float32 (KP_OP_WIDEN), and 4- and 2-bit elements around operators that move
// bytes (KP_OP_UNPACK): the operator is planned and run on shadows of its tensors, which live in the step's scratch.
#include "base/alloc.h"
#include "base/cpu.h"
#include "provider/cpu/cpu.h"
#include "provider/cpu/kernel/convert/convert.h"

// The type in which |op| wants a tensor of |type|; |type| itself where it takes it as it is.
static kapell_type wanted_type(const kp_op_def* op, kapell_type type) {
  if (op->flags & KP_OP_WIDEN && (type == KAPELL_FLOAT16 || type == KAPELL_BFLOAT16))
    return KAPELL_FLOAT;
  if (op->flags & KP_OP_UNPACK && kp_type_is_packed(type))
    return kp_type_is_integer(type) && kp_type_is_signed(type) ? KAPELL_INT8 : KAPELL_UINT8;
  return type;
}

static bool changes(const kp_op_def* op, const kapell_value* value) {
  return value && value->kind == KAPELL_KIND_TENSOR && wanted_type(op, value->type) != value->type;
}

bool kp_cpu_needs_adapting(const kp_cpu_step* step, const kapell_value* const* inputs,
                           const kapell_value* const* outputs) {
  if (!(step->op->flags & (KP_OP_WIDEN | KP_OP_UNPACK))) return false;
  for (uint32_t i = 0; i < step->node->input_count; ++i)
    if (changes(step->op, inputs[i])) return true;
  for (uint32_t i = 0; i < step->node->output_count; ++i)
    if (changes(step->op, outputs[i])) return true;
  return false;
}

// --- conversions -------------------------------------------------------------------------------------------------------------
static void unpack(unsigned bits, bool is_signed, size_t count, const uint8_t* from, uint8_t* to) {
  const unsigned each = 8 / bits, mask = (1u << bits) - 1, sign = 1u << (bits - 1);
  for (size_t i = 0; i < count; ++i) {
    const unsigned raw = from[i / each] >> (i % each * bits) & mask;
    to[i] = (uint8_t)(is_signed ? (raw ^ sign) - sign : raw);
  }
}

static void pack(unsigned bits, size_t count, const uint8_t* from, uint8_t* to) {
  const unsigned each = 8 / bits, mask = (1u << bits) - 1;
  memset(to, 0, (count + each - 1) / each);
  for (size_t i = 0; i < count; ++i)
    to[i / each] |= (uint8_t)((from[i] & mask) << (i % each * bits));
}

static void to_shadow(kapell_type type, size_t count, const void* from, void* to) {
  const kp_convert_ops* ops = kp_convert_select(kp_cpu_features());
  if (type == KAPELL_FLOAT16)
    ops->f16_to_f32(count, from, to);
  else if (type == KAPELL_BFLOAT16)
    ops->bf16_to_f32(count, from, to);
  else
    unpack(kp_type_bits(type), kp_type_is_integer(type) && kp_type_is_signed(type), count, from,
           to);
}

static void from_shadow(kapell_type type, size_t count, const void* from, void* to) {
  const kp_convert_ops* ops = kp_convert_select(kp_cpu_features());
  if (type == KAPELL_FLOAT16)
    ops->f32_to_f16(count, from, to);
  else if (type == KAPELL_BFLOAT16)
    ops->f32_to_bf16(count, from, to);
  else
    pack(kp_type_bits(type), count, from, to);
}

kp_status* kp_cpu_adapt_constant(const kp_op_def* op, const kapell_value* value,
                                 kapell_value** out_value) {
  *out_value = NULL;
  if (!changes(op, value)) return NULL;
  KP_PASS(
      kp_value_create_tensor(wanted_type(op, value->type), value->dims, value->rank, out_value));
  to_shadow(value->type, kp_value_count(value), value->data, (*out_value)->data);
  return NULL;
}

// --- plan --------------------------------------------------------------------------------------------------------------------
typedef struct kp_shadow {
  const kapell_value* description;   // NULL: the tensor itself is used
  bool skip;                         // packed by prepare: not converted
  size_t value_offset, data_offset;  // in the step's scratch
} kp_shadow;

typedef struct kp_adapted {
  void* params;
  uint32_t input_count, output_count;
  kp_shadow* shadows;      // inputs, then outputs
  size_t pointers_offset;  // of kapell_value*[inputs + outputs]
  size_t op_offset;        // of the operator's own scratch
} kp_adapted;

static kp_status* add_room(size_t* total, size_t byte_count, size_t* out_offset) {
  *out_offset = *total;
  if (kp_add_size(*total, byte_count, total) && kp_align_size(*total, KP_ALIGNMENT, total))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* add_shadow(const kp_op_def* op, const kapell_value* value, kp_arena* arena,
                             kp_shadow* shadow, size_t* total, const kapell_value** out_seen) {
  *out_seen = value;
  if (!changes(op, value)) return NULL;
  kapell_value* description = kp_arena_new(arena, kapell_value);
  if (!description) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  KP_PASS(
      kp_cpu_describe_tensor(description, wanted_type(op, value->type), value->dims, value->rank));
  *out_seen = shadow->description = description;
  KP_PASS(add_room(total, sizeof(kapell_value), &shadow->value_offset));
  return shadow->skip ? NULL : add_room(total, description->byte_count, &shadow->data_offset);
}

kp_status* kp_cpu_adapt_plan(kp_cpu_live* live, kp_op_plan* plan) {
  const kp_cpu_step* step = live->step;
  const uint32_t inputs = step->node->input_count, outputs = step->node->output_count;
  kp_adapted* adapted = kp_arena_new(plan->arena, kp_adapted);
  const kapell_value** seen =
      kp_arena_new_array(plan->arena, const kapell_value*, inputs + outputs + 1);
  if (adapted) adapted->shadows = kp_arena_new_array(plan->arena, kp_shadow, inputs + outputs + 1);
  if (!adapted || !seen || !adapted->shadows) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  adapted->input_count = inputs;
  adapted->output_count = outputs;
  size_t total = 0;
  for (uint32_t i = 0; i < inputs; ++i) {
    adapted->shadows[i].skip = step->consumed && step->consumed[i];
    KP_PASS(
        add_shadow(step->op, plan->inputs[i], plan->arena, &adapted->shadows[i], &total, &seen[i]));
  }
  for (uint32_t i = 0; i < outputs; ++i)
    KP_PASS(add_shadow(step->op, plan->outputs[i], plan->arena, &adapted->shadows[inputs + i],
                       &total, &seen[inputs + i]));
  KP_PASS(add_room(&total, sizeof(kapell_value*) * (inputs + outputs), &adapted->pointers_offset));
  plan->inputs = seen;
  plan->outputs = seen + inputs;
  if (step->op->plan) KP_PASS(step->op->plan(plan));
  adapted->params = plan->params;
  live->params = adapted;
  live->scratch_bytes = total;
  return add_room(&live->scratch_bytes, plan->scratch_bytes, &adapted->op_offset);
}

// --- run ---------------------------------------------------------------------------------------------------------------------
static kapell_value* make_shadow(const kp_shadow* shadow, char* scratch) {
  kapell_value* value = (kapell_value*)(void*)(scratch + shadow->value_offset);
  *value = *shadow->description;
  value->data = shadow->skip ? NULL : scratch + shadow->data_offset;
  return value;
}

kp_status* kp_cpu_adapt_run(const kp_cpu_live* live, const kp_op_run* outer) {
  const kp_adapted* adapted = live->params;
  char* scratch = outer->scratch;
  kapell_value** values = (kapell_value**)(void*)(scratch + adapted->pointers_offset);
  kapell_value** outputs = values + adapted->input_count;
  for (uint32_t i = 0; i < adapted->input_count; ++i) {
    const kp_shadow* shadow = &adapted->shadows[i];
    const kapell_value* from = values[i] = outer->inputs[i];
    if (!shadow->description) continue;
    values[i] = make_shadow(shadow, scratch);
    if (!shadow->skip) to_shadow(from->type, kp_value_count(from), from->data, values[i]->data);
  }
  for (uint32_t i = 0; i < adapted->output_count; ++i) {
    const kp_shadow* shadow = &adapted->shadows[adapted->input_count + i];
    outputs[i] = shadow->description ? make_shadow(shadow, scratch) : outer->outputs[i];
  }
  kp_op_run run = *outer;
  run.params = adapted->params;
  run.inputs = values;
  run.outputs = outputs;
  run.scratch = scratch + adapted->op_offset;
  KP_PASS(live->step->op->run(&run));
  for (uint32_t i = 0; i < adapted->output_count; ++i) {
    kapell_value* to = outer->outputs[i];
    if (adapted->shadows[adapted->input_count + i].description)
      from_shadow(to->type, kp_value_count(to), outputs[i]->data, to->data);
  }
  return NULL;
}
