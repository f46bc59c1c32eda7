// Scan: a body run once for each slice of its scan inputs, with state carried from one to the next.
//
// Slices that lie together are views into the input; others are gathered into a buffer. Results are stacked in the
// order of the iterations along axis 0 and rearranged at the end where an axis or direction asks for it. All memory stays
// with the frame for the next run.
// Source: ONNX operators Scan-8..25. Scan-8 runs a batch of sequences, each of its own length, one after the other; results behind
// the end of a sequence, which the specification leaves open, are zeros and empty texts.
#include "base/alloc.h"
#include "base/size.h"
#include "exec/control.h"

// A part of a tensor at one position of an axis.
typedef struct scan_slice {
  kapell_value* shell;
  kp_grown buffer;  // of parts that do not lie together
} scan_slice;

typedef struct scan_input {
  kapell_value* source;  // of the run; Scan-8: of the batch, then of one sequence
  int64_t axis;
  bool reverse;
  scan_slice batch, step;
} scan_input;

typedef struct scan_output {
  int64_t axis;
  bool reverse;
  kp_stack stack;
} scan_output;

typedef struct scan_carried {
  kp_carried value;
  scan_slice batch;  // Scan-8: where the sequence starts from
  kp_stack finals;   // and where the sequences ended
} scan_carried;

typedef struct scan_state {
  kp_step_state base;
  bool batched;  // Scan-8
  uint32_t carried_count, input_count, output_count;
  scan_carried* carried;
  scan_input* inputs;
  scan_output* outputs;
  int64_t length, batch;
} scan_state;

typedef struct scan {
  kp_sink sink;
  kp_frame* frame;
  const kp_step* step;
  kp_frame* body;
  scan_state* state;
} scan;

// --- what the body makes -----------------------------------------------------------------------------------------------------
static kp_status* scan_place(kp_sink* sink, uint32_t index, kapell_type type, const int64_t* dims,
                             int32_t rank, kapell_value** out_value) {
  const scan* s = (scan*)sink;
  scan_state* state = s->state;
  if (index < state->carried_count)
    return kp_carried_place(&state->carried[index].value, s->frame->run, type, dims, rank,
                            out_value);
  if (type == KAPELL_STRING) return NULL;
  return kp_stack_next(&state->outputs[index - state->carried_count].stack, s->frame->run, type,
                       dims, rank, out_value);
}

static kp_status* scan_give(kp_sink* sink, uint32_t index, kapell_value* value) {
  const scan* s = (scan*)sink;
  scan_state* state = s->state;
  if (index < state->carried_count)
    return kp_carried_give(&state->carried[index].value, s->frame->run, value);
  return kp_stack_push(&state->outputs[index - state->carried_count].stack, s->frame->run, value);
}

// --- state kept from run to run ----------------------------------------------------------------------------------------------
static void free_slice(scan_slice* slice) {
  kp_value_release(slice->shell);
  kp_grown_free(&slice->buffer);
}

static void free_state(kp_step_state* base) {
  scan_state* state = (scan_state*)base;
  for (uint32_t i = 0; state->carried && i < state->carried_count; ++i) {
    kp_carried_free(&state->carried[i].value);
    free_slice(&state->carried[i].batch);
    kp_stack_free(&state->carried[i].finals);
  }
  for (uint32_t i = 0; state->inputs && i < state->input_count; ++i) {
    free_slice(&state->inputs[i].batch);
    free_slice(&state->inputs[i].step);
  }
  for (uint32_t i = 0; state->outputs && i < state->output_count; ++i)
    kp_stack_free(&state->outputs[i].stack);
  kp_free(state->carried);
  kp_free(state->inputs);
  kp_free(state->outputs);
  kp_free(state);
}

static kp_status* fill_state(scan_state* state) {
  state->carried = kp_alloc_zero((size_t)state->carried_count + 1, sizeof(*state->carried));
  state->inputs = kp_alloc_zero((size_t)state->input_count + 1, sizeof(*state->inputs));
  state->outputs = kp_alloc_zero((size_t)state->output_count + 1, sizeof(*state->outputs));
  if (!state->carried || !state->inputs || !state->outputs)
    return KP_ERROR(OUT_OF_MEMORY, "a scan");
  for (uint32_t i = 0; i < state->carried_count; ++i) {
    KP_PASS(kp_carried_init(&state->carried[i].value, NULL));
    KP_PASS(kp_value_create_shell(&state->carried[i].batch.shell));
    KP_PASS(kp_stack_init(&state->carried[i].finals));
  }
  for (uint32_t i = 0; i < state->input_count; ++i) {
    KP_PASS(kp_value_create_shell(&state->inputs[i].batch.shell));
    KP_PASS(kp_value_create_shell(&state->inputs[i].step.shell));
  }
  for (uint32_t i = 0; i < state->output_count; ++i)
    KP_PASS(kp_stack_init(&state->outputs[i].stack));
  return NULL;
}

static kp_status* read_axes(const kp_node* node, const char* name, uint32_t count,
                            const int64_t** out) {
  size_t given;
  *out = kp_node_attr_ints(node, name, &given);
  if (*out && given != count)
    return KP_ERROR(INVALID_MODEL, "%s has %zu entries, not %u", name, given, count);
  return NULL;
}

static kp_status* read_attributes(const kp_node* node, scan_state* state) {
  const bool old = state->batched;
  const int64_t *axes, *directions, *out_axes, *out_directions;
  KP_PASS(read_axes(node, "scan_input_axes", state->input_count, &axes));
  KP_PASS(read_axes(node, old ? "directions" : "scan_input_directions", state->input_count,
                    &directions));
  KP_PASS(read_axes(node, "scan_output_axes", state->output_count, &out_axes));
  KP_PASS(read_axes(node, "scan_output_directions", state->output_count, &out_directions));
  for (uint32_t i = 0; i < state->input_count; ++i) {
    state->inputs[i].axis = axes ? axes[i] : 0;
    state->inputs[i].reverse = directions && directions[i] != 0;
  }
  for (uint32_t i = 0; i < state->output_count; ++i) {
    state->outputs[i].axis = out_axes ? out_axes[i] : 0;
    state->outputs[i].reverse = out_directions && out_directions[i] != 0;
  }
  return NULL;
}

static kp_status* make_state(const scan* s, scan_state** out_state) {
  const kp_node* node = s->frame->plan->graph->nodes + s->step->node;
  const kp_plan* body = s->body->plan;
  const bool batched = node->version < 9;
  const uint32_t fed = s->step->input_count - (batched && s->step->input_count ? 1 : 0);
  const int64_t scanned = kp_node_attr_i(node, "num_scan_inputs", 0);
  if (scanned < 1 || scanned > fed)
    return KP_ERROR(INVALID_MODEL, "num_scan_inputs is %lld for %u inputs", (long long)scanned,
                    fed);
  const uint32_t carried = fed - (uint32_t)scanned;
  if (body->input_count != fed || body->output_count < carried)
    return KP_ERROR(INVALID_MODEL, "the body of Scan has %u inputs and %u outputs; it gets %u",
                    body->input_count, body->output_count, fed);
  scan_state* state = kp_alloc_zero(1, sizeof(*state));
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "a scan");
  state->base.free = free_state;
  state->batched = batched;
  state->carried_count = carried;
  state->input_count = (uint32_t)scanned;
  state->output_count = body->output_count - carried;
  kp_status* status = fill_state(state);
  if (status) {
    free_state(&state->base);
    return status;
  }
  *out_state = state;
  return NULL;
}

// --- slices ------------------------------------------------------------------------------------------------------------------
// Makes |slice| the part of |from| at position |at| of |axis|.
static kp_status* take_slice(kp_run_state* run, const kapell_value* from, int64_t axis, int64_t at,
                             scan_slice* slice) {
  int64_t dims[KP_MAX_RANK];
  size_t outer = 1, inner = 1, bytes;
  for (int32_t d = 0, k = 0; d < from->rank; ++d) {
    if (d != axis) dims[k++] = from->dims[d];
    if (d < axis) outer *= (size_t)from->dims[d];
    if (d > axis) inner *= (size_t)from->dims[d];
  }
  const size_t bits = kp_element_bits(from->type), length = (size_t)from->dims[axis];
  const char* data = from->data;
  if (outer == 1 && inner * bits % 8 == 0)
    return kp_value_reset_tensor(slice->shell, from->type, dims, from->rank - 1,
                                 (void*)(uintptr_t)(data + (size_t)at * inner * bits / 8));
  KP_PASS(kp_value_check_dims(from->type, dims, from->rank - 1, NULL, &bytes));
  KP_PASS(kp_grow(run, &slice->buffer, bytes, false));
  if (bytes) memset(slice->buffer.data, 0, bytes);
  for (size_t o = 0; o < outer; ++o)
    kp_copy_elements_at(bits, slice->buffer.data, o * inner, data,
                        (o * length + (size_t)at) * inner, inner);
  return kp_value_reset_tensor(slice->shell, from->type, dims, from->rank - 1, slice->buffer.data);
}

static kp_status* normal_axis(int64_t* axis, int32_t rank, const char* what, uint32_t index) {
  if (*axis < 0) *axis += rank;
  if (*axis >= 0 && *axis < rank) return NULL;
  return KP_ERROR(INVALID_INPUT, "axis of %s %u is outside of its rank %d", what, index, rank);
}

// Dim |axis| of |value|, which all scan inputs (of a batch: all inputs) have alike.
static kp_status* common_dim(const kapell_value* value, int64_t axis, bool first, const char* what,
                             int64_t* dim) {
  if (!first && value->dims[axis] != *dim)
    return KP_ERROR(INVALID_INPUT, "inputs of Scan have %lld and %lld %s", (long long)*dim,
                    (long long)value->dims[axis], what);
  *dim = value->dims[axis];
  return NULL;
}

static kp_status* start_input(scan* s, uint32_t i) {
  scan_state* state = s->state;
  scan_input* input = &state->inputs[i];
  input->source = kp_control_input(s->frame, s->step, state->batched + state->carried_count + i);
  if (!input->source || input->source->kind != KAPELL_KIND_TENSOR)
    return KP_ERROR(INVALID_INPUT, "scan input %u is no tensor", i);
  const int32_t rank = input->source->rank - state->batched;
  KP_PASS(normal_axis(&input->axis, rank, "scan input", i));
  if (state->batched) KP_PASS(common_dim(input->source, 0, i == 0, "sequences", &state->batch));
  return common_dim(input->source, input->axis + state->batched, i == 0, "slices", &state->length);
}

static kp_status* start_scan(scan* s) {
  scan_state* state = s->state;
  KP_PASS(read_attributes(s->frame->plan->graph->nodes + s->step->node, state));
  for (uint32_t i = 0; i < state->input_count; ++i) KP_PASS(start_input(s, i));
  for (uint32_t i = 0; i < state->output_count; ++i) kp_stack_begin(&state->outputs[i].stack);
  for (uint32_t i = 0; i < state->carried_count; ++i) {
    kapell_value* value = kp_control_input(s->frame, s->step, state->batched + i);
    if (!value) return KP_ERROR(INVALID_MODEL, "state %u of Scan is absent", i);
    kp_carried_start(&state->carried[i].value, value);
    kp_stack_begin(&state->carried[i].finals);
    if (!state->batched) continue;
    if (value->kind != KAPELL_KIND_TENSOR || value->rank < 1)
      return KP_ERROR(INVALID_INPUT, "state %u of Scan has no batch", i);
    KP_PASS(common_dim(value, 0, false, "sequences", &state->batch));
  }
  return NULL;
}

// --- iterations --------------------------------------------------------------------------------------------------------------
// One iteration, number |t| of |length|.
static kp_status* iterate(scan* s, int64_t t, int64_t length) {
  scan_state* state = s->state;
  kapell_value** inputs = s->frame->given;
  for (uint32_t i = 0; i < state->carried_count; ++i) inputs[i] = state->carried[i].value.current;
  for (uint32_t i = 0; i < state->input_count; ++i) {
    scan_input* input = &state->inputs[i];
    const kapell_value* from = state->batched ? input->batch.shell : input->source;
    KP_PASS(take_slice(s->frame->run, from, input->axis, input->reverse ? length - 1 - t : t,
                       &input->step));
    inputs[state->carried_count + i] = input->step.shell;
  }
  KP_PASS(kp_frame_run(s->body, inputs, kp_control_captures(s->frame, s->step, s->body->plan),
                       &s->sink));
  for (uint32_t i = 0; i < state->carried_count; ++i) kp_carried_turn(&state->carried[i].value);
  return NULL;
}

static kp_status* iterate_all(scan* s, int64_t length) {
  for (int64_t t = 0; t < length; ++t) {
    KP_PASS(kp_run_iteration(s->frame->run, &s->frame->plan->graph->nodes[s->step->node]));
    KP_TRY(iterate(s, t, length), "in iteration %lld of Scan '%s'", (long long)t,
           s->frame->plan->graph->nodes[s->step->node].name);
  }
  return NULL;
}

// --- batches (Scan-8) --------------------------------------------------------------------------------------------------------
// Lengths are at least 1, as otherwise nobody could tell the shape of the results.
static kp_status* length_of(const scan* s, int64_t b, int64_t* out_length) {
  const kapell_value* lengths = kp_control_input(s->frame, s->step, 0);
  *out_length = s->state->length;
  if (!lengths || lengths->kind == KAPELL_KIND_NONE) return NULL;
  if (lengths->type != KAPELL_INT64 || kp_value_count(lengths) != (size_t)s->state->batch)
    return KP_ERROR(INVALID_INPUT, "sequence_lens has %zu entries for %lld sequences",
                    kp_value_count(lengths), (long long)s->state->batch);
  memcpy(out_length, (const char*)lengths->data + (size_t)b * sizeof(int64_t), sizeof(int64_t));
  if (*out_length >= 1 && *out_length <= s->state->length) return NULL;
  return KP_ERROR(INVALID_INPUT, "entry %lld of sequence_lens is %lld; expected 1 to %lld",
                  (long long)b, (long long)*out_length, (long long)s->state->length);
}

// Slices of zeros behind a sequence that ended early.
static kp_status* fill_up(scan* s, int64_t count) {
  for (uint32_t i = 0; i < s->state->output_count; ++i) {
    kp_stack* stack = &s->state->outputs[i].stack;
    for (int64_t k = 0; k < count; ++k) {
      kapell_value* slice = NULL;
      if (stack->type == KAPELL_STRING) {
        KP_PASS(kp_value_create_tensor(KAPELL_STRING, stack->dims, stack->rank, &slice));
        kp_status* status = kp_stack_push(stack, s->frame->run, slice);
        kp_value_release(slice);
        KP_PASS(status);
        continue;
      }
      KP_PASS(kp_stack_next(stack, s->frame->run, stack->type, stack->dims, stack->rank, &slice));
      if (slice->byte_count) memset(slice->data, 0, slice->byte_count);
    }
  }
  return NULL;
}

static kp_status* run_sequence(scan* s, int64_t b) {
  scan_state* state = s->state;
  kp_run_state* run = s->frame->run;
  int64_t length;
  KP_PASS(length_of(s, b, &length));
  for (uint32_t i = 0; i < state->carried_count; ++i) {
    const kapell_value* from = kp_control_input(s->frame, s->step, 1 + i);
    KP_PASS(take_slice(run, from, 0, b, &state->carried[i].batch));
    kp_carried_start(&state->carried[i].value, state->carried[i].batch.shell);
  }
  for (uint32_t i = 0; i < state->input_count; ++i)
    KP_PASS(take_slice(run, state->inputs[i].source, 0, b, &state->inputs[i].batch));
  KP_PASS(iterate_all(s, length));
  for (uint32_t i = 0; i < state->carried_count; ++i)
    KP_PASS(kp_stack_push(&state->carried[i].finals, run, state->carried[i].value.current));
  return fill_up(s, state->length - length);
}

// --- results -----------------------------------------------------------------------------------------------------------------
// Axis 0 of |stacked| goes to |axis|, turned around where |reverse| says so, into |to|.
static kp_status* rearrange(const kapell_value* stacked, const scan_output* output,
                            kapell_value* to) {
  const size_t length = (size_t)stacked->dims[0], bits = kp_element_bits(stacked->type);
  size_t outer = 1, inner = 1;
  for (int32_t d = 1; d < stacked->rank; ++d) {
    if (d <= output->axis) outer *= (size_t)stacked->dims[d];
    if (d > output->axis) inner *= (size_t)stacked->dims[d];
  }
  if (bits < 8 && to->byte_count) memset(to->data, 0, to->byte_count);
  for (size_t t = 0; t < length; ++t) {
    const size_t at = output->reverse ? length - 1 - t : t;
    for (size_t o = 0; o < outer; ++o) {
      const size_t from = (t * outer + o) * inner, target = (o * length + at) * inner;
      if (stacked->type != KAPELL_STRING)
        kp_copy_elements_at(bits, to->data, target, stacked->data, from, inner);
      for (size_t i = 0; stacked->type == KAPELL_STRING && i < inner; ++i)
        KP_PASS(kp_value_set_string(to, target + i, kp_value_string(stacked, from + i)));
    }
  }
  return NULL;
}

static const kp_type* body_output(const scan* s, uint32_t index) {
  const kp_graph* graph = s->body->plan->graph;
  return &graph->values[graph->outputs[index]].type;
}

static kp_status* finish_output(scan* s, uint32_t i, uint32_t slot) {
  scan_output* output = &s->state->outputs[i];
  kapell_value* stacked;
  KP_PASS(kp_stack_end(&output->stack, body_output(s, s->state->carried_count + i), &stacked));
  KP_PASS(normal_axis(&output->axis, stacked->rank, "scan output", i));
  if (!output->axis && !output->reverse) return kp_adopt(s->frame, slot, stacked);
  int64_t dims[KP_MAX_RANK];
  for (int32_t d = 0; d < stacked->rank; ++d)
    dims[d] = d < output->axis    ? stacked->dims[d + 1]
              : d == output->axis ? stacked->dims[0]
                                  : stacked->dims[d];
  kapell_value* to;
  KP_PASS(kp_frame_place(s->frame, slot, stacked->type, dims, stacked->rank, &to));
  return rearrange(stacked, output, to);
}

// [batch * length, ...] as [batch, length, ...].
static kp_status* finish_batched(scan* s, uint32_t i, uint32_t slot) {
  const scan_state* state = s->state;
  kapell_value* stacked;
  KP_PASS(
      kp_stack_end(&state->outputs[i].stack, body_output(s, state->carried_count + i), &stacked));
  if (stacked->rank >= KP_MAX_RANK)
    return KP_ERROR(LIMIT, "a result of Scan would have rank %d", stacked->rank + 1);
  int64_t dims[KP_MAX_RANK] = {state->batch, state->length};
  for (int32_t d = 1; d < stacked->rank; ++d) dims[d + 1] = stacked->dims[d];
  KP_PASS(kp_value_reshape(stacked, dims, stacked->rank + 1));
  return kp_adopt(s->frame, slot, stacked);
}

static kp_status* finish_scan(scan* s) {
  scan_state* state = s->state;
  for (uint32_t i = 0; i < s->step->output_count; ++i) {
    const uint32_t slot = s->step->outputs[i];
    if (slot == KP_NONE) continue;
    if (i >= state->carried_count) {
      const uint32_t k = i - state->carried_count;
      KP_PASS(state->batched ? finish_batched(s, k, slot) : finish_output(s, k, slot));
      continue;
    }
    kapell_value* value = state->carried[i].value.current;
    if (state->batched) KP_PASS(kp_stack_end(&state->carried[i].finals, body_output(s, i), &value));
    KP_PASS(kp_adopt(s->frame, slot, value));
  }
  return NULL;
}

static kp_status* run_scan(scan* s, uint32_t index) {
  KP_PASS(kp_control_ready(s->frame, s->step));
  KP_PASS(kp_body_frame(s->frame, index, 0, &s->body));
  if (!s->frame->states[index]) {
    KP_PASS(make_state(s, &s->state));
    s->frame->states[index] = &s->state->base;
  }
  s->state = (scan_state*)s->frame->states[index];
  KP_PASS(start_scan(s));
  if (!s->state->batched) {
    KP_PASS(iterate_all(s, s->state->length));
    return finish_scan(s);
  }
  for (int64_t b = 0; b < s->state->batch; ++b)
    KP_TRY(run_sequence(s, b), "in sequence %lld", (long long)b);
  return finish_scan(s);
}

kp_status* kp_step_scan(kp_frame* frame, uint32_t index) {
  scan s = {.sink = {.place = scan_place, .give = scan_give},
            .frame = frame,
            .step = &frame->plan->steps[index]};
  const kp_node* node = &frame->plan->graph->nodes[s.step->node];
  kp_status* status = run_scan(&s, index);
  return status ? kp_status_at(status, node->name, node->op, NULL) : NULL;
}
