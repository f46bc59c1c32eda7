// CausalConvWithState of ai.onnx and com.microsoft: each channel convolved by itself along time, looking back only; what the next
// call has to look back at is an output. com.microsoft adds a dilation, channels in the last axes, and the states after each of
// the last |state_window| positions.
#include <math.h>

#include "provider/cpu/op/attention/attend.h"

// Strides of a tensor of lines: element (batch, channel, t).
typedef struct causal_lines {
  size_t batch, channel, time;
} causal_lines;

typedef struct causal_params {
  size_t batch, channels, length, taps, dilation;
  size_t state;   // positions looked back at
  size_t window;  // 0: the state has no such axis
  causal_lines x, s;
  bool silu;
} causal_params;

static kp_reason causal_supports(const kp_op_query* query) {
  static const char* const foreign[] = {"state_update_capacity", "state_length", "input_channels",
                                        "input_channel_offset"};
  const kp_node* node = query->node;
  const kp_str activation = kp_node_attr_s(node, "activation", "none");
  const int64_t ndim = kp_node_attr_i(node, "ndim", 1);
  KP_REQUIRE(query,
             kp_str_is(activation, "none") || kp_str_is(activation, "silu") ||
                 kp_str_is(activation, "swish"),
             "activation '%.*s'; expected none, silu or swish", KP_STR_ARG(activation));
  for (size_t i = 0; i < KP_COUNT_OF(foreign); ++i)
    KP_REQUIRE(query, kp_node_attr_i(node, foreign[i], 0) == 0, "%s: defined for CUDA only",
               foreign[i]);
  KP_REQUIRE(query, kp_node_attr_i(node, "state_channels_last", -1) == -1,
             "state_channels_last: defined for CUDA only");
  KP_REQUIRE(query, ndim == 1, "ndim %lld: the shape of its state is defined for 1 only",
             (long long)ndim);
  KP_REQUIRE(query, kp_node_attr_i(node, "dilation", 1) >= 1, "a dilation below 1");
  KP_REQUIRE(query, kp_node_attr_i(node, "state_window", 0) >= 0, "a negative state_window");
  return KP_SUPPORTED;
}

static causal_lines lines_of(size_t channels, size_t length, bool last) {
  return last ? (causal_lines){channels * length, 1, channels}
              : (causal_lines){channels * length, length, 1};
}

static kp_status* causal_plan(kp_op_plan* plan) {
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *past = kp_plan_input(plan, 3);
  const kp_node* node = plan->node;
  const bool last = kp_node_attr_i(node, "channels_last", 0) != 0;
  causal_params* p = kp_arena_new(plan->arena, causal_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  p->batch = (size_t)x->dims[0];
  p->channels = last ? kp_span(x, 2, x->rank) : (size_t)x->dims[1];
  p->length = last ? (size_t)x->dims[1] : kp_span(x, 2, x->rank);
  p->taps = (size_t)w->dims[w->rank - 1];
  p->dilation = (size_t)kp_node_attr_i(node, "dilation", 1);
  p->window = (size_t)kp_node_attr_i(node, "state_window", 0);
  p->silu = !kp_str_is(kp_node_attr_s(node, "activation", "none"), "none");
  if (p->taps < 1 || !kp_mul_size(p->taps - 1, p->dilation, &p->state) ||
      kp_value_count(w) != p->channels * p->taps)
    return KP_ERROR(INVALID_INPUT, "weights of %zu taps do not fit %zu channels", p->taps,
                    p->channels);
  p->x = lines_of(p->channels, p->length, last);
  p->s = lines_of(p->channels, p->state, last);
  const kapell_value* bias = kp_plan_input(plan, 2);
  if (bias && kp_value_count(bias) != p->channels)
    return KP_ERROR(INVALID_INPUT, "a bias of %zu numbers for %zu channels", kp_value_count(bias),
                    p->channels);
  const size_t states = kp_max_size(p->window, 1) * p->batch * p->channels * p->state;
  if (past && kp_value_count(past) != states)
    return KP_ERROR(INVALID_INPUT, "past_state has %zu numbers; expected %zu", kp_value_count(past),
                    states);
  size_t total = 0, unused, line;
  if (!kp_add_size(p->state, p->length, &line) || !kp_mul_size(line, (size_t)plan->width, &line))
    return KP_ERROR(LIMIT, "scratch memory of a convolution exceeds the address space");
  KP_PASS(kp_attend_room(&total, line, sizeof(float), &unused));
  plan->scratch_bytes = total;
  return NULL;
}

// The window's slot |slot| of the state of a line.
static float* state_at(const kapell_value* value, const causal_params* p, size_t slot, size_t b,
                       size_t c) {
  const size_t whole = p->batch * p->channels * p->state;
  return (float*)value->data + slot * whole + b * p->s.batch + c * p->s.channel;
}

// State and input of a line, one behind the other.
static void gather_line(const kp_op_run* run, size_t b, size_t c, float* line) {
  const causal_params* p = run->params;
  const kapell_value* past = kp_run_input(run, 3);
  const float* x = (const float*)run->inputs[0]->data + b * p->x.batch + c * p->x.channel;
  const float* s = past ? state_at(past, p, kp_max_size(p->window, 1) - 1, b, c) : NULL;
  for (size_t t = 0; t < p->state; ++t) line[t] = s ? s[t * p->s.time] : 0;
  for (size_t t = 0; t < p->length; ++t) line[p->state + t] = x[t * p->x.time];
}

static void convolve_line(const kp_op_run* run, size_t b, size_t c, const float* line) {
  const causal_params* p = run->params;
  const kapell_value* bias = kp_run_input(run, 2);
  const float* w = (const float*)run->inputs[1]->data + c * p->taps;
  float* y = (float*)run->outputs[0]->data + b * p->x.batch + c * p->x.channel;
  const float start = bias ? ((const float*)bias->data)[c] : 0;
  for (size_t t = 0; t < p->length; ++t) {
    float sum = start;
    for (size_t k = 0; k < p->taps; ++k) sum += w[k] * line[t + k * p->dilation];
    y[t * p->x.time] = p->silu ? sum / (1 + expf(-sum)) : sum;
  }
}

// Slot j of the window is the state after position length - window + j; before the first, that of the past's window.
static void keep_states(const kp_op_run* run, size_t b, size_t c, const float* line) {
  const causal_params* p = run->params;
  kapell_value *present = kp_run_result(run, 1), *past = kp_run_input(run, 3);
  const size_t window = kp_max_size(p->window, 1);
  for (size_t slot = 0; present && slot < window; ++slot) {
    float* to = state_at(present, p, slot, b, c);
    const size_t behind = window - 1 - slot;
    const float* from = behind < p->length || window == 1 ? line + (p->length - behind) : NULL;
    const size_t stride = from ? 1 : p->s.time;
    if (!from && past) from = state_at(past, p, slot + p->length, b, c);
    for (size_t t = 0; t < p->state; ++t) to[t * p->s.time] = from ? from[t * stride] : 0;
  }
}

static void causal_task(void* arg, size_t task, int worker) {
  const kp_op_run* run = arg;
  const causal_params* p = run->params;
  float* line = (float*)run->scratch + (size_t)worker * (p->state + p->length);
  const size_t b = task / p->channels, c = task % p->channels;
  if (kp_cancelled(run)) return;
  gather_line(run, b, c, line);
  convolve_line(run, b, c, line);
  keep_states(run, b, c, line);
}

static kp_status* causal_run(const kp_op_run* run) {
  const causal_params* p = run->params;
  const size_t lines = p->batch * p->channels;
  kp_parallel_for(kp_op_width(run->width, lines * p->length * p->taps), lines, causal_task,
                  (void*)(uintptr_t)run);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator CausalConvWithState-27; ONNX Runtime, ContribOperators.md
    {.name = "CausalConvWithState",
     .since = 27,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .supports = causal_supports,
     .plan = causal_plan,
     .run = causal_run,
     .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft",
     .name = "CausalConvWithState",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .supports = causal_supports,
     .plan = causal_plan,
     .run = causal_run,
     .flags = KP_OP_WIDEN},
};
KP_OP_TABLE(causal_conv);
