// kapell.MatMul: act(A * B + bias + residual) for a constant f32 matrix B, made by fuse/matmul.c.
//
//   inputs   A [..., K], B [K, N] (transB=1: [N, K]; constant), bias of N elements or absent, residual of the output's shape or absent
//   output   [..., N];  attributes  transB, act, act_a, act_b (kernel/epilogue.h)
#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/help.h"
#include "provider/cpu/packed.h"

typedef struct kp_fused_state {
  const kp_gemm_ops* gemm;
  const float* packed;
  size_t k, n;
  kp_act act;
} kp_fused_state;

typedef struct kp_fused_params {
  kp_gemm_plan plan;
  size_t worker_bytes;
} kp_fused_params;

static kp_status* fused_infer(kp_infer* infer) {
  const kp_type *a = infer->inputs[0], *b = infer->inputs[1];
  if (!a || !b || a->rank < 1 || b->rank != 2)
    return KP_ERROR(INTERNAL, "a fused product of rank %d", a ? a->rank : -1);
  const bool transposed = kp_node_attr_i(infer->node, "transB", 0) != 0;
  if (a->dims[a->rank - 1] != b->dims[transposed ? 1 : 0])
    return KP_ERROR(INVALID_INPUT, "A has rows of %lld elements and B has %lld rows",
                    (long long)a->dims[a->rank - 1], (long long)b->dims[transposed ? 1 : 0]);
  int64_t* dims = kp_arena_memdup(infer->arena, a->dims, (size_t)a->rank * sizeof(*dims));
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  dims[a->rank - 1] = b->dims[transposed ? 0 : 1];
  infer->outputs[0] =
      (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_FLOAT, .rank = a->rank, .dims = dims};
  return NULL;
}

static kp_status* fused_prepare(kp_op_prepare* prepare) {
  kp_fused_state* state = kp_arena_new(prepare->arena, kp_fused_state);
  const kapell_value* b = kp_prepare_constant(prepare, 1);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  if (!b || b->type != KAPELL_FLOAT || b->rank != 2)
    return KP_ERROR(INTERNAL, "the matrix of a fused product");
  prepare->state = state;
  prepare->kernel = "gemm_f32";
  const bool transposed = kp_node_attr_i(prepare->node, "transB", 0) != 0;
  state->gemm = kp_gemm_select(prepare->features);
  state->k = (size_t)b->dims[transposed ? 1 : 0];
  state->n = (size_t)b->dims[transposed ? 0 : 1];
  state->act = kp_read_act(prepare->node);
  const size_t floats = kp_gemm_packed_b_size(state->gemm, state->k, state->n);
  const kp_packed_form form = {.ops = state->gemm, .numbers = {transposed}};
  bool done;
  float* packed = kp_prepare_packed_once(prepare, 1, &form, floats * sizeof(float), &done);
  if (!packed) return KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", floats);
  if (!done) {
    kp_gemm_pack_b(state->gemm, state->k, 0, state->n, b->data, (size_t)b->dims[1], transposed,
                   packed);
    packed = kp_prepare_settle(prepare, packed);
  }
  state->packed = packed;
  prepare->consumed[1] = true;
  return NULL;
}

static kp_status* fused_plan(kp_op_plan* plan) {
  const kp_fused_state* state = plan->state;
  kp_fused_params* params = kp_arena_new(plan->arena, kp_fused_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value* a = plan->inputs[0];
  const size_t m = kp_span(a, 0, a->rank - 1);
  const kp_gemm_shape shape = {1, m, state->n, state->k, KP_GEMM_B_PACKED};
  kp_gemm_plan_init(state->gemm, &shape,
                    (size_t)kp_op_width(plan->width, m * state->n * state->k / 16), &params->plan);
  params->worker_bytes =
      (params->plan.scratch_bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  plan->scratch_bytes = params->worker_bytes * (size_t)plan->width;
  return NULL;
}

typedef struct kp_fused_job {
  const kp_op_run* run;
  const kp_fused_params* params;
  kp_gemm_args args;
} kp_fused_job;

static void fused_task(void* arg, size_t task, int worker) {
  const kp_fused_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_gemm_run_task(&job->params->plan, &job->args, task,
                   (char*)job->run->scratch + (size_t)worker * job->params->worker_bytes);
}

static kp_status* fused_run(const kp_op_run* run) {
  const kp_fused_state* state = run->state;
  const kapell_value *bias = kp_run_input(run, 2), *residual = kp_run_input(run, 3);
  kp_fused_job job = {.run = run, .params = run->params};
  if (!kp_value_count(run->outputs[0])) return NULL;
  job.args = (kp_gemm_args){.a = run->inputs[0]->data,
                            .a_stride = state->k,
                            .b = state->packed,
                            .c = run->outputs[0]->data,
                            .c_stride = state->n,
                            .epilogue = KP_EPILOGUE_NONE};
  job.args.epilogue.bias_n = bias ? bias->data : NULL;
  job.args.epilogue.residual = residual ? residual->data : NULL;
  job.args.epilogue.residual_stride = state->n;
  job.args.epilogue.act = state->act;
  kp_parallel_for_dynamic(run->width, job.params->plan.task_count, fused_task, &job);
  return NULL;
}

static const kp_op_def ops[] = {
    {.domain = "kapell",
     .name = "MatMul",
     .since = 1,
     .types = KP_M(FLOAT),
     .prepare = fused_prepare,
     .plan = fused_plan,
     .run = fused_run,
     .infer = fused_infer,
     .kernels = "f32: gemm"},
};
KP_OP_TABLE(matmul_fused);
