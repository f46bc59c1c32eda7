// com.microsoft MatMulBnb4: weights of 4 bits that name one of sixteen numbers (FP4 or NF4), scaled block by block over the flattened
// [N][K] matrix. They are spread out into scratch in every run.
#include "provider/cpu/op/product/dense.h"

// Source: Dettmers et al. 2023, "QLoRA", and the library bitsandbytes that it comes with.
static const float numbers[2][16] = {
    {0.0f, 1 / 192.0f, 2 / 3.0f, 1.0f, 1 / 3.0f, 0.5f, 1 / 6.0f, 0.25f, -0.0f, -1 / 192.0f,
     -2 / 3.0f, -1.0f, -1 / 3.0f, -0.5f, -1 / 6.0f, -0.25f},
    {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
     -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
     0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
     0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
};

typedef struct bnb4_params {
  const kp_gemm_ops* gemm;
  size_t rows, columns, outer, inner;  // of the stored matrix; rows of A, what a row of A has
  size_t block, matrix_bytes;
  bool transposed;
} bnb4_params;

static kp_reason bnb4_supports(const kp_op_query* query) {
  const int64_t kind = kp_node_attr_i(query->node, "quant_type", 0);
  const int64_t block = kp_node_attr_i(query->node, "block_size", 0);
  KP_REQUIRE(query, kind == 0 || kind == 1, "quant_type = %lld; expected 0 (FP4) or 1 (NF4)",
             (long long)kind);
  KP_REQUIRE(query, block >= 1, "block_size = %lld", (long long)block);
  return KP_SUPPORTED;
}

static kp_status* bnb4_prepare(kp_op_prepare* prepare) {
  union {
    const kp_gemm_ops* ops;
    void* state;
  } kernel = {kp_gemm_select(prepare->features)};
  prepare->state = kernel.state;
  prepare->kernel = "gemm_f32";
  return NULL;
}

static kp_status* bnb4_plan(kp_op_plan* plan) {
  bnb4_params* params = kp_arena_new(plan->arena, bnb4_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value* a = plan->inputs[0];
  params->gemm = plan->state;
  params->rows = (size_t)kp_node_attr_i(plan->node, "N", 0);
  params->columns = (size_t)kp_node_attr_i(plan->node, "K", 0);
  params->block = (size_t)kp_node_attr_i(plan->node, "block_size", 0);
  params->transposed = kp_node_attr_i(plan->node, "transB", 1) != 0;
  params->outer = kp_span(a, 0, a->rank - 1);
  params->inner = params->transposed ? params->columns : params->rows;
  KP_PASS(kp_dense_scratch(params->gemm, params->inner, plan->width, &plan->scratch_bytes));
  if (kp_mul_size(params->rows, params->columns, &params->matrix_bytes) &&
      kp_mul_size(params->matrix_bytes, sizeof(float), &params->matrix_bytes) &&
      kp_align_size(params->matrix_bytes, KP_ALIGNMENT, &params->matrix_bytes) &&
      kp_add_size(params->matrix_bytes, plan->scratch_bytes, &plan->scratch_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "a matrix of %zu x %zu exceeds the address space", params->rows,
                  params->columns);
}

typedef struct spread_job {
  const kp_op_run* run;
  const bnb4_params* params;
  const float* numbers;
} spread_job;

// The first of two weights lies in the upper half of a byte.
static void spread_task(void* arg, size_t row, int worker) {
  (void)worker;
  const spread_job* job = arg;
  const bnb4_params* p = job->params;
  const uint8_t* b = job->run->inputs[1]->data;
  const float* scales = job->run->inputs[2]->data;
  float* out = (float*)job->run->scratch + row * p->columns;
  for (size_t k = 0; k < p->columns; ++k) {
    const size_t at = row * p->columns + k;
    out[k] = job->numbers[b[at / 2] >> (at % 2 ? 0 : 4) & 15] * scales[at / p->block];
  }
}

static kp_status* bnb4_run(const kp_op_run* run) {
  const bnb4_params* p = run->params;
  const size_t weights = p->rows * p->columns;
  if (kp_value_count(run->inputs[1]) < (weights + 1) / 2)
    return KP_ERROR(RUN_FAILED, "B has %zu bytes for %zu weights", kp_value_count(run->inputs[1]),
                    weights);
  if (kp_value_count(run->inputs[2]) < (weights + p->block - 1) / p->block)
    return KP_ERROR(RUN_FAILED, "absmax has %zu elements for %zu weights in blocks of %zu",
                    kp_value_count(run->inputs[2]), weights, p->block);
  spread_job job = {run, p, numbers[kp_node_attr_i(run->node, "quant_type", 0)]};
  kp_parallel_for_dynamic(kp_op_width(run->width, weights), p->rows, spread_task, &job);
  const kp_dense product = {.gemm = p->gemm,
                            .rows = p->outer,
                            .k = p->inner,
                            .n = p->transposed ? p->rows : p->columns,
                            .a = run->inputs[0]->data,
                            .b = run->scratch,
                            .form = p->transposed ? KP_GEMM_B_TRANSPOSED : KP_GEMM_B_PLAIN,
                            .y = run->outputs[0]->data};
  kp_dense_multiply(&product, run->width, (char*)run->scratch + p->matrix_bytes, run->cancel);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = "com.microsoft", .name = "MatMulBnb4", .since = 1, .types = KP_M_FLOATS, .supports = bnb4_supports,
     .prepare = bnb4_prepare, .plan = bnb4_plan, .run = bnb4_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
};
// clang-format on
KP_OP_TABLE(matmul_bnb4);
