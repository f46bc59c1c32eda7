// kapell.InstanceNormalization: InstanceNormalization on channels-last f32, made by fuse/channels_last.c.
//
//   inputs   X [N, spatial..., C], scale [C], shift [C]
//   output   act((X - mean) / sqrt(variance + epsilon) * scale + shift), moments of each channel of each picture
//   attributes  epsilon; act, act_a, act_b (kernel/epilogue.h)
// Moments of some channels of a picture are a task; then each picture's pixels are scaled and shifted.
#include <math.h>

#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/op/help.h"

#define CHANNELS_A_TASK 64

typedef struct norm_last_state {
  const kp_norm_ops* norm;
  kp_act act;
  float epsilon;
} norm_last_state;

typedef struct norm_last_params {
  size_t batch, pixels, channels, blocks;
} norm_last_params;

static kp_status* norm_last_infer(kp_infer* infer) {
  infer->outputs[0] = *infer->inputs[0];
  return NULL;
}

static kp_status* norm_last_prepare(kp_op_prepare* prepare) {
  norm_last_state* state = kp_arena_new(prepare->arena, norm_last_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  prepare->kernel = "norm_f32";
  state->norm = kp_norm_select(prepare->features);
  state->act = kp_read_act(prepare->node);
  state->epsilon = kp_node_attr_f(prepare->node, "epsilon", 1e-5f);
  return NULL;
}

static kp_status* norm_last_plan(kp_op_plan* plan) {
  norm_last_params* p = kp_arena_new(plan->arena, norm_last_params);
  const kapell_value* x = plan->inputs[0];
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  p->batch = (size_t)x->dims[0];
  p->channels = (size_t)x->dims[x->rank - 1];
  p->pixels = kp_span(x, 1, x->rank - 1);
  p->blocks = (p->channels + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK;
  for (uint32_t i = 1; i < 3; ++i)
    if (kp_value_count(plan->inputs[i]) != p->channels)
      return KP_ERROR(RUN_FAILED, "%s has %zu elements for %zu channels", i == 1 ? "scale" : "B",
                      kp_value_count(plan->inputs[i]), p->channels);
  plan->scratch_bytes = 2 * p->batch * p->channels * sizeof(float);
  return NULL;
}

// The factors and summands of some channels of a picture: in the scratch, those of all pictures behind each other.
static void moments_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const norm_last_params* p = run->params;
  const norm_last_state* state = run->state;
  const size_t first = task % p->blocks * CHANNELS_A_TASK, picture = task / p->blocks,
               count = kp_min_size(CHANNELS_A_TASK, p->channels - first);
  const float *x = (const float*)run->inputs[0]->data + picture * p->pixels * p->channels + first,
              *gamma = (const float*)run->inputs[1]->data + first,
              *beta = (const float*)run->inputs[2]->data + first;
  float *factor = (float*)run->scratch + picture * p->channels + first,
        *summand = factor + p->batch * p->channels;
  if (kp_cancelled(run)) return;
  state->norm->column_moments(p->pixels, count, x, p->channels, summand, factor);
  for (size_t c = 0; c < count; ++c) {
    factor[c] = gamma[c] / sqrtf(factor[c] + state->epsilon);
    summand[c] = beta[c] - summand[c] * factor[c];
  }
}

static void scale_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const norm_last_params* p = run->params;
  const norm_last_state* state = run->state;
  const size_t parts = (size_t)run->width * 4, picture = task / parts;
  const float *factor = (const float*)run->scratch + picture * p->channels,
              *summand = factor + p->batch * p->channels;
  size_t first, last;
  kp_share(p->pixels, parts, task % parts, &first, &last);
  const size_t at = (picture * p->pixels + first) * p->channels;
  if (kp_cancelled(run)) return;
  state->norm->scale_shift(last - first, p->channels, (const float*)run->inputs[0]->data + at,
                           p->channels, factor, summand, (float*)run->outputs[0]->data + at,
                           p->channels, &state->act);
}

static kp_status* norm_last_run(const kp_op_run* run) {
  const norm_last_params* p = run->params;
  const size_t count = kp_value_count(run->outputs[0]);
  kp_op_run copy = *run;
  if (!count) return NULL;
  const int width = kp_op_width(run->width, count / 4);
  kp_parallel_for(width, p->batch * p->blocks, moments_task, &copy);
  kp_parallel_for(width, p->batch * (size_t)run->width * 4, scale_task, &copy);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {
    {.domain = "kapell", .name = "InstanceNormalization", .since = 1, .types = KP_M(FLOAT), .prepare = norm_last_prepare,
     .plan = norm_last_plan, .run = norm_last_run, .infer = norm_last_infer, .flags = KP_OP_INPLACE, .kernels = "f32: norm"},
};
// clang-format on
KP_OP_TABLE(norm_last);
