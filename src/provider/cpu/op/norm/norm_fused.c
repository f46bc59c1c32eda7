// kapell.LayerNorm: layer or RMS normalization of the last axis, f32, with the addition before it; made by fuse/layer_norm.c.
//
//   inputs   x [..., C], skip of the same shape or absent, gamma [C], beta [C] or absent
//   outputs  y = normalized(x + skip) * gamma + beta; x + skip, if wanted
//   attributes  epsilon; rms=1: no mean is taken off
#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/op/help.h"

typedef struct kp_norm_fused_state {
  const kp_norm_ops* ops;
  float epsilon;
  bool rms;
} kp_norm_fused_state;

static kp_status* norm_fused_infer(kp_infer* infer) {
  for (uint32_t o = 0; o < infer->node->output_count; ++o) infer->outputs[o] = *infer->inputs[0];
  const kp_type *x = infer->inputs[0], *gamma = infer->inputs[2];
  if (x->rank >= 1 && gamma && x->dims[x->rank - 1] == gamma->dims[0]) return NULL;
  return KP_ERROR(INVALID_INPUT, "rows and scale of a normalization differ in length");
}

static kp_status* norm_fused_prepare(kp_op_prepare* prepare) {
  kp_norm_fused_state* state = kp_arena_new(prepare->arena, kp_norm_fused_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  prepare->kernel = "layer_norm_f32";
  state->ops = kp_norm_select(prepare->features);
  state->epsilon = kp_node_attr_f(prepare->node, "epsilon", 1e-5f);
  state->rms = kp_node_attr_i(prepare->node, "rms", 0) != 0;
  return NULL;
}

typedef struct kp_norm_fused_job {
  const kp_op_run* run;
  size_t rows, cols, tasks;
} kp_norm_fused_job;

static float* row_of(const kapell_value* value, size_t row, size_t cols) {
  return value ? (float*)value->data + row * cols : NULL;
}

static void norm_fused_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_norm_fused_job* job = arg;
  const kp_op_run* run = job->run;
  const kp_norm_fused_state* state = run->state;
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  const kapell_value* beta = kp_run_input(run, 3);
  const kp_row_norm n = {.rows = last - first,
                         .cols = job->cols,
                         .x = row_of(run->inputs[0], first, job->cols),
                         .x_stride = job->cols,
                         .skip = row_of(kp_run_input(run, 1), first, job->cols),
                         .skip_stride = job->cols,
                         .sum = row_of(kp_run_result(run, 1), first, job->cols),
                         .sum_stride = job->cols,
                         .y = row_of(run->outputs[0], first, job->cols),
                         .y_stride = job->cols,
                         .gamma = run->inputs[2]->data,
                         .beta = beta ? beta->data : NULL,
                         .epsilon = state->epsilon};
  (state->rms ? state->ops->rms : state->ops->layer)(&n);
}

static kp_status* norm_fused_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t cols = (size_t)x->dims[x->rank - 1];
  kp_norm_fused_job job = {.run = run, .rows = cols ? kp_value_count(x) / cols : 0, .cols = cols};
  if (!job.rows) return NULL;
  const int width = kp_op_width(run->width, job.rows * cols);
  job.tasks = kp_min_size(job.rows, (size_t)width);
  kp_parallel_for(width, job.tasks, norm_fused_task, &job);
  return NULL;
}

static const kp_op_def ops[] = {
    {.domain = "kapell",
     .name = "LayerNorm",
     .since = 1,
     .types = KP_M(FLOAT),
     .prepare = norm_fused_prepare,
     .run = norm_fused_run,
     .infer = norm_fused_infer,
     .flags = KP_OP_INPLACE,
     .kernels = "f32: norm"},
};
KP_OP_TABLE(norm_fused);
