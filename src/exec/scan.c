// Scan: a body run once for each slice of its scan inputs, with state carried from one to the next.
//
// Slices along axis 0 are views into the input; along other axes they are gathered into a buffer. Results are stacked in the
// order of the iterations along axis 0 and rearranged at the end where an axis or direction asks for it.
// Source: ONNX operator Scan-9..25. Scan-8 wraps it once more: a batch of sequences, each of its own length.
#include "base/alloc.h"
#include "base/size.h"
#include "exec/control.h"

#define MAX_SCAN_IO 256

typedef struct scan_io {
  int64_t axis;
  bool reverse;
} scan_io;

typedef struct scan {
  kp_sink sink;
  kp_frame* frame;
  const kp_step* step;
  kp_frame* body;
  uint32_t state_count, input_count, output_count;  // scan inputs and outputs
  scan_io inputs[MAX_SCAN_IO], outputs[MAX_SCAN_IO];
  kapell_value* current[MAX_SCAN_IO];  // states
  kapell_value* next[MAX_SCAN_IO];
  kapell_value* slices[MAX_SCAN_IO];   // owned
  kapell_value* sources[MAX_SCAN_IO];  // scan inputs
  kp_stack stacks[MAX_SCAN_IO];
  int64_t length;
} scan;

static kp_status* scan_place(kp_sink* sink, uint32_t index, kapell_type type, const int64_t* dims,
                             int32_t rank, kapell_value** out_value) {
  scan* s = (scan*)sink;
  if (type == KAPELL_STRING) return NULL;
  if (index >= s->state_count)
    return kp_stack_next(&s->stacks[index - s->state_count], s->frame->run, type, dims, rank,
                         out_value);
  kp_value_release(s->next[index]);
  s->next[index] = NULL;
  KP_PASS(kp_value_create_tensor(type, dims, rank, &s->next[index]));
  *out_value = s->next[index];
  return NULL;
}

static kp_status* scan_give(kp_sink* sink, uint32_t index, kapell_value* value) {
  scan* s = (scan*)sink;
  if (index < s->state_count) {
    kapell_value* kept;
    KP_PASS(kp_value_clone(value, &kept));
    kp_value_release(s->next[index]);
    s->next[index] = kept;
    return NULL;
  }
  kp_stack* stack = &s->stacks[index - s->state_count];
  if (value->kind != KAPELL_KIND_TENSOR)
    return KP_ERROR(INVALID_MODEL, "Scan can stack tensors only");
  if (value->type == KAPELL_STRING) return kp_stack_strings(stack, value);
  kapell_value* to;
  KP_PASS(kp_stack_next(stack, s->frame->run, value->type, value->dims, value->rank, &to));
  return kp_copy_value(s->frame->run, value, to);
}

static kp_status* read_io(const kp_node* node, const char* axes, const char* directions,
                          uint32_t count, scan_io* out) {
  size_t axis_count, direction_count;
  const int64_t* axis = kp_node_attr_ints(node, axes, &axis_count);
  const int64_t* direction = kp_node_attr_ints(node, directions, &direction_count);
  if ((axis && axis_count != count) || (direction && direction_count != count))
    return KP_ERROR(INVALID_MODEL, "%s or %s does not have %u entries", axes, directions, count);
  for (uint32_t i = 0; i < count; ++i)
    out[i] = (scan_io){.axis = axis ? axis[i] : 0, .reverse = direction && direction[i] != 0};
  return NULL;
}

static kp_status* normal_axis(int64_t* axis, int32_t rank, const char* what, uint32_t index) {
  if (*axis < 0) *axis += rank;
  if (*axis >= 0 && *axis < rank) return NULL;
  return KP_ERROR(INVALID_INPUT, "axis of %s %u is outside of its rank %d", what, index, rank);
}

static kp_status* start_scan(scan* s) {
  const kp_node* node = s->frame->plan->graph->nodes + s->step->node;
  const int64_t scan_inputs = kp_node_attr_i(node, "num_scan_inputs", 0);
  if (scan_inputs < 1 || scan_inputs > s->step->input_count || s->step->input_count > MAX_SCAN_IO ||
      s->step->output_count > MAX_SCAN_IO)
    return KP_ERROR(INVALID_MODEL, "num_scan_inputs is %lld for %u inputs", (long long)scan_inputs,
                    s->step->input_count);
  s->input_count = (uint32_t)scan_inputs;
  s->state_count = s->step->input_count - s->input_count;
  if (s->body->plan->output_count < s->state_count || s->body->plan->output_count > MAX_SCAN_IO ||
      s->body->plan->input_count != s->step->input_count)
    return KP_ERROR(INVALID_MODEL, "the body of Scan has %u inputs and %u outputs",
                    s->body->plan->input_count, s->body->plan->output_count);
  s->output_count = s->body->plan->output_count - s->state_count;
  KP_PASS(read_io(node, "scan_input_axes", "scan_input_directions", s->input_count, s->inputs));
  KP_PASS(read_io(node, "scan_output_axes", "scan_output_directions", s->output_count, s->outputs));
  for (uint32_t i = 0; i < s->state_count; ++i) {
    kapell_value* value = kp_control_input(s->frame, s->step, i);
    if (!value) return KP_ERROR(INVALID_MODEL, "state %u of Scan is absent", i);
    s->current[i] = kp_value_retain(value);
  }
  for (uint32_t i = 0; i < s->input_count; ++i) {
    kapell_value* source = kp_control_input(s->frame, s->step, s->state_count + i);
    if (!source || source->kind != KAPELL_KIND_TENSOR || source->type == KAPELL_STRING ||
        kp_type_bits(source->type) < 8)
      return KP_ERROR(INVALID_INPUT,
                      "scan input %u must be a tensor of elements of at least a byte", i);
    KP_PASS(normal_axis(&s->inputs[i].axis, source->rank, "scan input", i));
    const int64_t length = source->dims[s->inputs[i].axis];
    if (i > 0 && length != s->length)
      return KP_ERROR(INVALID_INPUT, "scan inputs have %lld and %lld slices", (long long)s->length,
                      (long long)length);
    s->length = length;
    s->sources[i] = source;
    KP_PASS(kp_value_create_shell(&s->slices[i]));
  }
  for (uint32_t i = 0; i < s->output_count; ++i) KP_PASS(kp_stack_init(&s->stacks[i]));
  return NULL;
}

// Slice |t| of scan input |i| as a value of the body.
static kp_status* take_slice(scan* s, uint32_t i, int64_t t) {
  const kapell_value* source = s->sources[i];
  const int64_t axis = s->inputs[i].axis;
  const int64_t at = s->inputs[i].reverse ? s->length - 1 - t : t;
  int64_t dims[KP_MAX_RANK];
  size_t outer = 1, inner = kp_type_bits(source->type) / 8;
  for (int32_t d = 0, k = 0; d < source->rank; ++d) {
    if (d != axis) dims[k++] = source->dims[d];
    if (d < axis) outer *= (size_t)source->dims[d];
    if (d > axis) inner *= (size_t)source->dims[d];
  }
  const char* from = (const char*)source->data + (size_t)at * inner;
  if (axis == 0)
    return kp_value_reset_tensor(s->slices[i], source->type, dims, source->rank - 1,
                                 (void*)(uintptr_t)from);
  if (!s->slices[i]->buffer) {
    kp_value_release(s->slices[i]);
    s->slices[i] = NULL;
    KP_PASS(kp_value_create_tensor(source->type, dims, source->rank - 1, &s->slices[i]));
  }
  for (size_t o = 0; o < outer; ++o)
    if (inner)
      memcpy((char*)s->slices[i]->data + o * inner, from + o * inner * (size_t)s->length, inner);
  return NULL;
}

static kp_status* scan_iteration(scan* s, int64_t t) {
  kapell_value** inputs = s->frame->given;
  for (uint32_t i = 0; i < s->state_count; ++i) inputs[i] = s->current[i];
  for (uint32_t i = 0; i < s->input_count; ++i) {
    KP_PASS(take_slice(s, i, t));
    inputs[s->state_count + i] = s->slices[i];
  }
  KP_PASS(kp_frame_run(s->body, inputs, kp_control_captures(s->frame, s->step, s->body->plan),
                       &s->sink));
  for (uint32_t i = 0; i < s->state_count; ++i) {
    if (!s->next[i]) continue;
    kp_value_release(s->current[i]);
    s->current[i] = s->next[i];
    s->next[i] = NULL;
  }
  return NULL;
}

// Moves axis 0 of |stacked| to |axis| and turns it around if |reverse|, into |to|.
static void rearrange(const kapell_value* stacked, const scan_io* io, kapell_value* to) {
  const int64_t length = stacked->dims[0];
  size_t outer = 1, inner = kp_type_bits(stacked->type) / 8;
  for (int32_t d = 1; d < stacked->rank; ++d) {
    if (d <= io->axis) outer *= (size_t)stacked->dims[d];
    if (d > io->axis) inner *= (size_t)stacked->dims[d];
  }
  for (int64_t t = 0; t < length; ++t) {
    const int64_t at = io->reverse ? length - 1 - t : t;
    for (size_t o = 0; o < outer; ++o) {
      const char* from = (const char*)stacked->data + ((size_t)t * outer + o) * inner;
      if (inner) memcpy((char*)to->data + (o * (size_t)length + (size_t)at) * inner, from, inner);
    }
  }
}

static kp_status* finish_output(scan* s, uint32_t i, uint32_t slot) {
  const kp_type* element =
      &s->body->plan->graph->values[s->body->plan->graph->outputs[s->state_count + i]].type;
  kapell_value* stacked;
  KP_PASS(kp_stack_end(&s->stacks[i], element, &stacked));
  KP_PASS(normal_axis(&s->outputs[i].axis, stacked->rank, "scan output", i));
  kp_slot_state* state = &s->frame->slots[slot];
  kapell_value* to;
  if (stacked->type == KAPELL_STRING) {
    if (s->outputs[i].axis || s->outputs[i].reverse)
      return KP_ERROR(UNSUPPORTED, "Scan of strings along another axis than 0");
    kp_value_release(state->owned);
    state->owned = state->value = kp_value_retain(stacked);
    return NULL;
  }
  int64_t dims[KP_MAX_RANK];
  for (int32_t d = 0; d < stacked->rank; ++d)
    dims[d] = d < s->outputs[i].axis    ? stacked->dims[d + 1]
              : d == s->outputs[i].axis ? stacked->dims[0]
                                        : stacked->dims[d];
  KP_PASS(kp_frame_place(s->frame, slot, stacked->type, dims, stacked->rank, &to));
  rearrange(stacked, &s->outputs[i], to);
  return NULL;
}

static kp_status* finish_scan(scan* s) {
  for (uint32_t i = 0; i < s->step->output_count; ++i) {
    const uint32_t slot = s->step->outputs[i];
    if (slot == KP_NONE) continue;
    if (i >= s->state_count) {
      KP_PASS(finish_output(s, i - s->state_count, slot));
      continue;
    }
    kp_slot_state* state = &s->frame->slots[slot];
    const kapell_value* value = s->current[i];
    if (value->kind == KAPELL_KIND_TENSOR && value->type != KAPELL_STRING) {
      kapell_value* to;
      KP_PASS(kp_frame_place(s->frame, slot, value->type, value->dims, value->rank, &to));
      KP_PASS(kp_copy_value(s->frame->run, value, to));
    } else {
      kp_value_release(state->owned);
      state->owned = state->value = kp_value_retain(s->current[i]);
    }
  }
  return NULL;
}

static void end_scan(scan* s) {
  for (uint32_t i = 0; i < MAX_SCAN_IO; ++i) {
    kp_value_release(s->current[i]);
    kp_value_release(s->next[i]);
    kp_value_release(s->slices[i]);
    kp_stack_free(&s->stacks[i]);
  }
  kp_free(s);
}

static kp_status* run_scan(scan* s, uint32_t index) {
  KP_PASS(kp_control_ready(s->frame, s->step));
  KP_PASS(kp_body_frame(s->frame, index, 0, &s->body));
  KP_PASS(start_scan(s));
  for (int64_t t = 0; t < s->length; ++t) {
    KP_PASS(kp_run_check(s->frame->run));
    KP_TRY(scan_iteration(s, t), "in iteration %lld of Scan '%s'", (long long)t,
           s->frame->plan->graph->nodes[s->step->node].name);
  }
  return finish_scan(s);
}

kp_status* kp_step_scan(kp_frame* frame, uint32_t index) {
  scan* s = kp_alloc_zero(1, sizeof(*s));
  if (!s) return KP_ERROR(OUT_OF_MEMORY, "a scan");
  s->sink = (kp_sink){.place = scan_place, .give = scan_give};
  s->frame = frame;
  s->step = &frame->plan->steps[index];
  const kp_node* node = &frame->plan->graph->nodes[s->step->node];
  kp_status* status = run_scan(s, index);
  end_scan(s);
  return status ? kp_status_at(status, node->name, node->op, NULL) : NULL;
}
