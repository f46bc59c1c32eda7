// Control flow: If, Loop and Scan run the plans of their bodies in frames of their own.
//
// Loop: carried values lie in two buffers each (carried.c); results of all iterations (scan outputs) are stacked in one growing
// buffer (stack.c). After the loop the parent's slots take the buffers over as they are; only outputs of
// the graph are copied. The buffers stay with the loop for the next run.
// Source: ONNX operators If-1..25, Loop-1..25, Scan-8..25 in scan.c.
#include "exec/control.h"

#include "base/alloc.h"

kp_status* kp_body_frame(kp_frame* frame, uint32_t step, int body, kp_frame** out_frame) {
  kp_frame** child = &frame->bodies[step][body];
  if (!*child) KP_PASS(kp_frame_create(frame->run, frame->plan->steps[step].bodies[body], child));
  *out_frame = *child;
  return NULL;
}

kapell_value* kp_control_input(kp_frame* frame, const kp_step* step, uint32_t index) {
  if (index >= step->input_count || step->inputs[index] == KP_NONE) return NULL;
  return frame->slots[step->inputs[index]].value;
}

kp_status* kp_control_ready(kp_frame* frame, const kp_step* step) {
  for (uint32_t i = 0; i < step->input_count; ++i)
    if (step->inputs[i] != KP_NONE) KP_PASS(kp_frame_wait(frame, step->inputs[i], NULL));
  for (uint32_t i = 0; i < step->implicit_count; ++i)
    KP_PASS(kp_frame_wait(frame, step->implicit[i], NULL));
  return NULL;
}

// Values of the node's captures, after the body's inputs in frame->given.
kapell_value** kp_control_captures(kp_frame* frame, const kp_step* step, const kp_plan* body) {
  kapell_value** captures = frame->given + body->input_count;
  for (uint32_t i = 0; i < step->implicit_count && i < body->capture_count; ++i)
    captures[i] = frame->slots[step->implicit[i]].value;
  return captures;
}

kp_status* kp_read_bool(const kapell_value* value, const char* what, bool* out) {
  if (!value || value->kind != KAPELL_KIND_TENSOR || value->type != KAPELL_BOOL ||
      value->byte_count != 1)
    return KP_ERROR(INVALID_INPUT, "%s must be a bool with one element", what);
  *out = *(const uint8_t*)value->data != 0;
  return NULL;
}

// --- handing results to the parent's slots ----------------------------------------------------------------------------------
kp_status* kp_adopt(kp_frame* frame, uint32_t slot, kapell_value* value) {
  kp_slot_state* state = &frame->slots[slot];
  state->fence.stream = NULL;
  if (frame->plan->slots[slot].output == KP_NONE) {
    state->value = value;
    return NULL;
  }
  if (value->kind != KAPELL_KIND_TENSOR) {
    kp_value_release(state->owned);
    state->owned = state->value = kp_value_retain(value);
    return NULL;
  }
  kapell_value* to;
  KP_PASS(kp_frame_place(frame, slot, value->type, value->dims, value->rank, &to));
  return kp_copy_value(frame->run, value, to);
}

// --- If ------------------------------------------------------------------------------------------------------------------------
typedef struct if_sink {
  kp_sink sink;
  kp_frame* parent;
  const kp_step* step;
} if_sink;

static kp_status* if_place(kp_sink* sink, uint32_t index, kapell_type type, const int64_t* dims,
                           int32_t rank, kapell_value** out_value) {
  if_sink* s = (if_sink*)sink;
  if (index >= s->step->output_count || s->step->outputs[index] == KP_NONE) return NULL;
  return kp_frame_place(s->parent, s->step->outputs[index], type, dims, rank, out_value);
}

static kp_status* if_give(kp_sink* sink, uint32_t index, kapell_value* value) {
  if_sink* s = (if_sink*)sink;
  if (index >= s->step->output_count || s->step->outputs[index] == KP_NONE) return NULL;
  if (value->kind == KAPELL_KIND_TENSOR && value->type != KAPELL_STRING) {
    kapell_value* to;
    KP_PASS(kp_frame_place(s->parent, s->step->outputs[index], value->type, value->dims,
                           value->rank, &to));
    return kp_copy_value(s->parent->run, value, to);
  }
  kp_slot_state* state = &s->parent->slots[s->step->outputs[index]];
  kapell_value* kept = kp_value_retain(value);
  kp_value_release(state->owned);
  state->owned = state->value = kept;
  return NULL;
}

kp_status* kp_step_if(kp_frame* frame, uint32_t index) {
  const kp_step* step = &frame->plan->steps[index];
  const kp_node* node = &frame->plan->graph->nodes[step->node];
  bool condition = false;
  KP_PASS(kp_control_ready(frame, step));
  kp_status* status = kp_read_bool(kp_control_input(frame, step, 0), "the condition", &condition);
  if (status) return kp_status_at(status, node->name, node->op, "cond");
  const int branch = condition ? 0 : 1;
  kp_frame* body;
  KP_PASS(kp_body_frame(frame, index, branch, &body));
  if_sink sink = {.sink = {.place = if_place, .give = if_give}, .parent = frame, .step = step};
  KP_TRY(
      kp_frame_run(body, NULL, kp_control_captures(frame, step, step->bodies[branch]), &sink.sink),
      "in %s of If '%s'", condition ? "then_branch" : "else_branch", node->name);
  return NULL;
}

// --- Loop ----------------------------------------------------------------------------------------------------------------------
typedef struct loop_state {
  kp_step_state base;
  uint32_t carried_count, stack_count;
  kp_carried* carried;
  kp_stack* stacks;
  kapell_value *iteration, *condition;  // inputs 0 and 1 of the body
  int64_t iteration_number;
  uint8_t condition_bit, next_condition;
} loop_state;

typedef struct loop_sink {
  kp_sink sink;
  kp_frame* frame;
  loop_state* state;
  const kp_plan* body;
  kapell_value* condition_out;  // shell over next_condition
} loop_sink;

static void free_state(kp_step_state* base) {
  loop_state* state = (loop_state*)base;
  for (uint32_t i = 0; state->carried && i < state->carried_count; ++i)
    kp_carried_free(&state->carried[i]);
  for (uint32_t i = 0; state->stacks && i < state->stack_count; ++i)
    kp_stack_free(&state->stacks[i]);
  kp_value_release(state->iteration);
  kp_value_release(state->condition);
  kp_free(state->carried);
  kp_free(state->stacks);
  kp_free(state);
}

static kp_status* create_shells(loop_state* state, const kp_plan* body) {
  state->carried = kp_alloc_zero((size_t)state->carried_count + 1, sizeof(*state->carried));
  state->stacks = kp_alloc_zero((size_t)state->stack_count + 1, sizeof(*state->stacks));
  if (!state->carried || !state->stacks) return KP_ERROR(OUT_OF_MEMORY, "a loop");
  KP_PASS(kp_value_create_shell(&state->iteration));
  KP_PASS(kp_value_create_shell(&state->condition));
  for (uint32_t i = 0; i < state->stack_count; ++i) KP_PASS(kp_stack_init(&state->stacks[i]));
  for (uint32_t i = 0; i < state->carried_count; ++i)
    KP_PASS(kp_carried_init(&state->carried[i], body->slots[body->inputs[i + 2]].memory));
  return NULL;
}

static kp_status* state_of(kp_frame* frame, uint32_t index, loop_state** out_state) {
  if (!frame->states[index]) {
    const kp_step* step = &frame->plan->steps[index];
    loop_state* state = kp_alloc_zero(1, sizeof(*state));
    if (!state) return KP_ERROR(OUT_OF_MEMORY, "a loop");
    state->base.free = free_state;
    state->carried_count = step->input_count > 2 ? step->input_count - 2 : 0;
    const uint32_t outputs = step->bodies[0]->output_count;
    state->stack_count =
        outputs > 1 + state->carried_count ? outputs - 1 - state->carried_count : 0;
    kp_status* status = create_shells(state, step->bodies[0]);
    if (status) {
      free_state(&state->base);
      return status;
    }
    frame->states[index] = &state->base;
  }
  *out_state = (loop_state*)frame->states[index];
  return NULL;
}

static kp_status* loop_place(kp_sink* sink, uint32_t index, kapell_type type, const int64_t* dims,
                             int32_t rank, kapell_value** out_value) {
  loop_sink* s = (loop_sink*)sink;
  if (index == 0) return NULL;  // read from the frame by give
  if (index <= s->state->carried_count)
    return kp_carried_place(&s->state->carried[index - 1], s->frame->run, type, dims, rank,
                            out_value);
  kp_stack* stack = &s->state->stacks[index - 1 - s->state->carried_count];
  return type == KAPELL_STRING ? NULL
                               : kp_stack_next(stack, s->frame->run, type, dims, rank, out_value);
}

static kp_status* loop_give(kp_sink* sink, uint32_t index, kapell_value* value) {
  loop_sink* s = (loop_sink*)sink;
  if (index == 0) {
    bool condition = false;
    KP_PASS(kp_read_bool(value, "the body's condition", &condition));
    s->state->next_condition = condition;
    return NULL;
  }
  if (index <= s->state->carried_count)
    return kp_carried_give(&s->state->carried[index - 1], s->frame->run, value);
  return kp_stack_push(&s->state->stacks[index - 1 - s->state->carried_count], s->frame->run,
                       value);
}

static kp_status* read_trip_count(const kapell_value* value, int64_t* out_count) {
  *out_count = INT64_MAX;
  if (!value || value->kind == KAPELL_KIND_NONE) return NULL;
  if (value->kind != KAPELL_KIND_TENSOR || value->type != KAPELL_INT64 ||
      value->byte_count != sizeof(int64_t))
    return KP_ERROR(INVALID_INPUT, "the trip count must be an int64 with one element");
  memcpy(out_count, value->data, sizeof(*out_count));
  return NULL;
}

static kp_status* start_loop(kp_frame* frame, const kp_step* step, loop_state* state) {
  for (uint32_t i = 0; i < state->carried_count; ++i) {
    kapell_value* value = kp_control_input(frame, step, i + 2);
    if (!value) return KP_ERROR(INVALID_MODEL, "loop-carried value %u is absent", i);
    kp_carried_start(&state->carried[i], value);
  }
  for (uint32_t i = 0; i < state->stack_count; ++i) kp_stack_begin(&state->stacks[i]);
  state->next_condition = 1;
  const kapell_value* condition = kp_control_input(frame, step, 1);
  if (condition && condition->kind != KAPELL_KIND_NONE) {
    bool bit = false;
    KP_PASS(kp_read_bool(condition, "the condition", &bit));
    state->next_condition = bit;
  }
  return NULL;
}

static kp_status* iterate(kp_frame* frame, const kp_step* step, loop_state* state, kp_frame* body,
                          kp_sink* sink) {
  kapell_value** inputs = frame->given;
  state->condition_bit = state->next_condition;
  KP_PASS(kp_value_reset_tensor(state->iteration, KAPELL_INT64, NULL, 0, &state->iteration_number));
  KP_PASS(kp_value_reset_tensor(state->condition, KAPELL_BOOL, NULL, 0, &state->condition_bit));
  const uint32_t count = body->plan->input_count;
  if (count > 0) inputs[0] = state->iteration;
  if (count > 1) inputs[1] = state->condition;
  for (uint32_t i = 0; i + 2 < count; ++i) inputs[i + 2] = state->carried[i].current;
  KP_PASS(kp_frame_run(body, inputs, kp_control_captures(frame, step, body->plan), sink));
  const kapell_value* condition = body->slots[body->plan->outputs[0]].value;
  bool bit = false;
  KP_PASS(kp_read_bool(condition, "the body's condition", &bit));
  state->next_condition = bit;
  for (uint32_t i = 0; i < state->carried_count; ++i) kp_carried_turn(&state->carried[i]);
  return NULL;
}

static kp_status* finish_loop(kp_frame* frame, const kp_step* step, loop_state* state) {
  for (uint32_t i = 0; i < step->output_count; ++i) {
    if (step->outputs[i] == KP_NONE) continue;
    if (i < state->carried_count) {
      KP_PASS(kp_adopt(frame, step->outputs[i], state->carried[i].current));
      continue;
    }
    const uint32_t k = i - state->carried_count;
    const kp_type* element =
        &step->bodies[0]->graph->values[step->bodies[0]->graph->outputs[i + 1]].type;
    kapell_value* stacked;
    KP_PASS(kp_stack_end(&state->stacks[k], element, &stacked));
    KP_PASS(kp_adopt(frame, step->outputs[i], stacked));
  }
  return NULL;
}

kp_status* kp_step_loop(kp_frame* frame, uint32_t index) {
  const kp_step* step = &frame->plan->steps[index];
  const kp_node* node = &frame->plan->graph->nodes[step->node];
  loop_state* state = NULL;
  kp_frame* body;
  int64_t trips;
  KP_PASS(state_of(frame, index, &state));
  KP_PASS(kp_control_ready(frame, step));
  KP_PASS(kp_body_frame(frame, index, 0, &body));
  kp_status* status = read_trip_count(kp_control_input(frame, step, 0), &trips);
  if (status) return kp_status_at(status, node->name, node->op, "M");
  KP_PASS(start_loop(frame, step, state));
  loop_sink sink = {.sink = {.place = loop_place, .give = loop_give},
                    .frame = frame,
                    .state = state,
                    .body = step->bodies[0]};
  for (state->iteration_number = 0; state->iteration_number < trips && state->next_condition;
       ++state->iteration_number) {
    KP_PASS(kp_run_iteration(frame->run, node));
    KP_TRY(iterate(frame, step, state, body, &sink.sink), "in iteration %lld of Loop '%s'",
           (long long)state->iteration_number, node->name);
  }
  return finish_loop(frame, step, state);
}
