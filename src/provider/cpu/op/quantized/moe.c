// com.microsoft MoE and QMoE: experts with f32 matrices, or with integers of 2, 3, 4 or 8 bits scaled by column or by block. Constant
// matrices are packed once an expert.
#include "provider/cpu/op/quantized/moe.h"

#include "provider/cpu/op/product/dense.h"
#include "provider/cpu/op/quantized/nbits.h"
#include "provider/cpu/packed.h"

// Where a product's weights, scales, bias and zero points are among the inputs.
typedef struct moe_inputs {
  uint32_t weights, scales, bias, zeros;
} moe_inputs;
enum { NO_INPUT = UINT32_MAX };
static const moe_inputs plain_inputs[KP_MOE_PRODUCTS] = {
    {2, NO_INPUT, 3, NO_INPUT}, {4, NO_INPUT, 5, NO_INPUT}, {6, NO_INPUT, 7, NO_INPUT}};
static const moe_inputs quantized_inputs[KP_MOE_PRODUCTS] = {
    {2, 3, 4, 11}, {5, 6, 7, 12}, {8, 9, 10, 13}};
static const char* const bit_names[KP_MOE_PRODUCTS] = {
    "fc1_expert_weight_bits", "fc2_expert_weight_bits", "fc3_expert_weight_bits"};

typedef struct moe_state {
  const kp_nbits_ops* nbits;
  const kp_gemm_ops* gemm;
  bool quantized;
  char* packed[KP_MOE_PRODUCTS];  // all experts' matrices; NULL: prepared in each run
  float* bias[KP_MOE_PRODUCTS];   // a constant one as f32: it need not be converted in each run
} moe_state;

// How one expert's matrix is stored and multiplied with.
typedef struct moe_matrix {
  unsigned bits;  // 0: f32
  size_t n, depth, blocks, row_bytes;
  kp_nbits_layout layout;  // 2, 4 and 8 bits
  size_t expert_bytes;     // of a packed one
} moe_matrix;

typedef struct moe_params {
  kp_moe moe;
  moe_matrix matrices[KP_MOE_PRODUCTS];
  size_t matrix_bytes;  // of scratch for a matrix that is prepared in the run
} moe_params;

static bool is_quantized(const kp_node* node) { return node->op[0] == 'Q'; }
static const moe_inputs* inputs_of(const kp_node* node) {
  return is_quantized(node) ? quantized_inputs : plain_inputs;
}
static unsigned bits_of(const kp_node* node, int product) {
  if (!is_quantized(node)) return 0;
  const int64_t all = kp_node_attr_i(node, "expert_weight_bits", 4);
  const int64_t own = kp_node_attr_i(node, bit_names[product], 0);
  return (unsigned)(own ? own : all);
}

static kp_reason moe_supports(const kp_op_query* query) {
  const kp_reason reason = kp_moe_supports(query);
  if (reason || !is_quantized(query->node)) return reason;
  const kp_str type = kp_node_attr_s(query->node, "quant_type", "int");
  KP_REQUIRE(query, kp_str_is(type, "int"), "quant_type '%.*s'; weights may be 'int'",
             (int)type.length, type.data);
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    const unsigned bits = bits_of(query->node, p);
    KP_REQUIRE(query, bits == 2 || bits == 3 || bits == 4 || bits == 8,
               "weights of %u bits; expected 2, 3, 4 or 8", bits);
  }
  const int64_t block = kp_node_attr_i(query->node, "block_size", 0);
  KP_REQUIRE(query, block <= 0 || (block >= 16 && (block & (block - 1)) == 0),
             "block_size = %lld; expected a power of two from 16 on", (long long)block);
  KP_REQUIRE(query, kp_node_attr_i(query->node, "weights_prepacked", -1) <= 0,
             "weights_prepacked = 1: weights in the layout of a GPU's kernels");
  return KP_SUPPORTED;
}

// --- one matrix --------------------------------------------------------------------------------------------------------------
// Its numbers from attributes, the inner dimension and the number of rows.
static kp_status* matrix_init(moe_matrix* m, const moe_state* state, const kp_node* node,
                              int product, size_t n, size_t depth, bool zeros) {
  const int64_t block = kp_node_attr_i(node, "block_size", 0);
  *m = (moe_matrix){.bits = bits_of(node, product), .n = n, .depth = depth};
  m->row_bytes = (depth * m->bits + 7) / 8;
  m->blocks = block > 0 ? (depth + (size_t)block - 1) / (size_t)block : depth ? 1 : 0;
  if (m->bits == 0) {
    const size_t floats = kp_gemm_packed_b_size(state->gemm, depth, n);
    return kp_mul_size(floats, sizeof(float), &m->expert_bytes) &&
                   kp_align_size(m->expert_bytes, KP_ALIGNMENT, &m->expert_bytes)
               ? NULL
               : KP_ERROR(LIMIT, "a matrix of %zu x %zu exceeds the address space", depth, n);
  }
  if (m->bits == 3) return NULL;
  KP_PASS(kp_nbits_layout_init(&m->layout, state->nbits, state->gemm, m->bits, depth, n,
                               block > 0 ? (size_t)block : SIZE_MAX, zeros));
  return kp_align_size(m->layout.byte_count, KP_ALIGNMENT, &m->expert_bytes)
             ? NULL
             : KP_ERROR(LIMIT, "a matrix of %zu x %zu exceeds the address space", depth, n);
}

static size_t zero_column_bits(const moe_matrix* m, const kp_node* node) {
  return kp_node_attr_i(node, "block_size", 0) > 0 ? (m->blocks * m->bits + 7) / 8 * 8 : m->bits;
}
static size_t zero_expert_bytes(const moe_matrix* m, const kp_node* node) {
  return (m->n * zero_column_bits(m, node) + 7) / 8;
}

static kp_status* check_size(const kapell_value* value, size_t wanted, const char* what) {
  if (!value || kp_value_count(value) == wanted) return NULL;
  return KP_ERROR(RUN_FAILED, "%s of %zu elements, not %zu as the other shapes say", what,
                  kp_value_count(value), wanted);
}

// |values|: weights, scales, bias, zero points of one product.
static kp_status* check_matrix(const moe_matrix* m, const kp_node* node, size_t experts,
                               const kapell_value* const* values) {
  const size_t row = m->bits ? m->row_bytes : m->depth;
  KP_PASS(check_size(values[0], experts * m->n * row, "experts' weights"));
  if (m->bits && !values[1]) return KP_ERROR(RUN_FAILED, "integer weights without scales");
  KP_PASS(check_size(values[1], experts * m->n * m->blocks, "experts' scales"));
  KP_PASS(check_size(values[2], experts * m->n, "experts' bias"));
  return check_size(values[3], experts * zero_expert_bytes(m, node), "experts' zero points");
}

// Prepares the matrix of |expert| at |memory|: packed, or with 3 bits as f32 [n][depth].
static void pack_expert(const moe_state* state, const moe_matrix* m, const kp_node* node,
                        size_t expert, const kapell_value* const* values, int width, void* memory) {
  if (!m->bits) {
    kp_gemm_pack_b(state->gemm, m->depth, 0, m->n,
                   (const float*)values[0]->data + expert * m->n * m->depth, m->depth, true,
                   memory);
    return;
  }
  const uint8_t* zeros = values[3] ? values[3]->data : NULL;
  const kp_nbits_source source = {
      .data = (const uint8_t*)values[0]->data + expert * m->n * m->row_bytes,
      .row_bytes = m->row_bytes,
      .scales = (const float*)values[1]->data + expert * m->n * m->blocks,
      .zero_points = zeros ? zeros + expert * zero_expert_bytes(m, node) : NULL,
      .zero_column_bits = zero_column_bits(m, node)};
  kp_nbits_pack(&m->layout, &source, width, memory);
}

// --- prepare -----------------------------------------------------------------------------------------------------------------
static bool given(const kp_node* node, uint32_t input) {
  return input < node->input_count && node->inputs[input] != KP_NONE;
}

static kp_status* prepare_product(kp_op_prepare* prepare, moe_state* state, int product) {
  const kp_node* node = prepare->node;
  const moe_inputs* in = &inputs_of(node)[product];
  const kapell_value *weights = kp_prepare_constant(prepare, in->weights),
                     *scales = kp_prepare_constant(prepare, in->scales),
                     *zeros = kp_prepare_constant(prepare, in->zeros);
  const unsigned bits = bits_of(node, product);
  if (!weights || weights->rank != 3 || bits == 3 || (bits && !scales) ||
      (given(node, in->zeros) && !zeros))
    return NULL;
  const size_t experts = (size_t)weights->dims[0];
  const size_t depth = (size_t)weights->dims[2] * (bits ? 8 / bits : 1);
  moe_matrix m;
  KP_PASS(matrix_init(&m, state, node, product, (size_t)weights->dims[1], depth, zeros != NULL));
  const kapell_value* values[] = {weights, scales, NULL, zeros};
  KP_PASS(check_matrix(&m, node, experts, values));
  size_t bytes;
  if (!kp_mul_size(experts, m.expert_bytes, &bytes))
    return KP_ERROR(LIMIT, "%zu experts exceed the address space", experts);
  state->packed[product] = kp_prepare_packed(prepare, bytes + 1);
  if (!state->packed[product]) return KP_ERROR(OUT_OF_MEMORY, "packing %zu bytes", bytes);
  for (size_t e = 0; e < experts; ++e)
    pack_expert(state, &m, node, e, values, prepare->width,
                state->packed[product] + e * m.expert_bytes);
  state->packed[product] = kp_prepare_settle(prepare, state->packed[product]);
  prepare->consumed[in->weights] = true;
  if (scales) prepare->consumed[in->scales] = true;
  if (zeros) prepare->consumed[in->zeros] = true;
  return NULL;
}

static kp_status* prepare_bias(kp_op_prepare* prepare, moe_state* state, int product) {
  const uint32_t at = inputs_of(prepare->node)[product].bias;
  const kapell_value* bias = kp_prepare_constant(prepare, at);
  if (!bias) return NULL;
  state->bias[product] = kp_prepare_packed(prepare, bias->byte_count + 1);
  if (!state->bias[product]) return KP_ERROR(OUT_OF_MEMORY, "packing %zu bytes", bias->byte_count);
  memcpy(state->bias[product], bias->data, bias->byte_count);
  state->bias[product] = kp_prepare_settle(prepare, state->bias[product]);
  prepare->consumed[at] = true;
  return NULL;
}

static kp_status* moe_prepare(kp_op_prepare* prepare) {
  moe_state* state = kp_arena_new(prepare->arena, moe_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->nbits = kp_nbits_select(prepare->features);
  state->gemm = kp_gemm_select(prepare->features);
  state->quantized = is_quantized(prepare->node);
  prepare->kernel = state->quantized ? "nbits_f32" : "gemm_f32";
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    KP_PASS(prepare_product(prepare, state, p));
    KP_PASS(prepare_bias(prepare, state, p));
  }
  return NULL;
}

// --- plan --------------------------------------------------------------------------------------------------------------------
// Scratch of the products: a matrix that is prepared in the run, and what multiplying needs.
static kp_status* product_scratch(const moe_state* state, moe_params* params, int width,
                                  size_t* out_byte_count) {
  size_t most = 0;
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    const moe_matrix* m = &params->matrices[p];
    size_t bytes, matrix = m->expert_bytes;
    if (!m->n) continue;
    if (m->bits == 0 || m->bits == 3)
      KP_PASS(kp_dense_scratch(state->gemm, m->depth, width, &bytes));
    else
      KP_PASS(kp_nbits_scratch(&m->layout, params->moe.tokens, width, &bytes));
    if (m->bits == 3 && (!kp_mul_size(m->n, m->depth * sizeof(float), &matrix) ||
                         !kp_align_size(matrix, KP_ALIGNMENT, &matrix)))
      return KP_ERROR(LIMIT, "a matrix of %zu x %zu exceeds the address space", m->depth, m->n);
    if (!state->packed[p] && m->bits)
      params->matrix_bytes = kp_max_size(params->matrix_bytes, matrix);
    most = kp_max_size(most, bytes);
  }
  return kp_add_size(params->matrix_bytes, most, out_byte_count)
             ? NULL
             : KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* moe_plan(kp_op_plan* plan) {
  const moe_state* state = plan->state;
  moe_params* params = kp_arena_new(plan->arena, moe_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const moe_inputs* in = inputs_of(plan->node);
  size_t rows[KP_MOE_PRODUCTS] = {0};
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    const kapell_value* weights = kp_plan_input(plan, in[p].weights);
    if (weights && weights->rank != 3)
      return KP_ERROR(RUN_FAILED, "experts' weights of rank %d, not 3", (int)weights->rank);
    if (weights) rows[p] = (size_t)weights->dims[1];
  }
  const kapell_value* down = plan->inputs[in[KP_MOE_FC2].weights];
  const bool fused = kp_str_is(kp_node_attr_s(plan->node, "activation_type", "relu"), "swiglu") &&
                     kp_node_attr_i(plan->node, "swiglu_fusion", 0);
  const size_t inner = rows[KP_MOE_FC1] / (fused ? 2 : 1);
  KP_PASS(kp_moe_init(&params->moe, plan, state->gemm, inner, rows));
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    const bool zeros = kp_plan_input(plan, in[p].zeros) != NULL;
    if (params->moe.n[p])
      KP_PASS(matrix_init(&params->matrices[p], state, plan->node, p, params->moe.n[p],
                          params->moe.depth[p], zeros));
  }
  const moe_matrix* m = &params->matrices[KP_MOE_FC2];
  if ((size_t)down->dims[2] != (m->bits ? m->row_bytes : m->depth))
    return KP_ERROR(RUN_FAILED, "rows of fc2_experts_weights do not fit an inner size of %zu",
                    inner);
  size_t products;
  KP_PASS(product_scratch(state, params, plan->width, &products));
  return kp_add_size(params->moe.scratch_bytes, products, &plan->scratch_bytes)
             ? NULL
             : KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

// --- run ---------------------------------------------------------------------------------------------------------------------
typedef struct moe_job {
  const kp_op_run* run;
  const kapell_value* values[KP_MOE_PRODUCTS][4];
  void *matrix, *scratch;
} moe_job;

typedef struct spread_job {
  const moe_job* job;
  const moe_matrix* m;
  kp_moe_product product;
  size_t expert;
} spread_job;

static unsigned bits_at(const uint8_t* data, size_t bytes, size_t bit, unsigned bits) {
  unsigned word = data[bit / 8];
  if (bit / 8 + 1 < bytes) word |= (unsigned)data[bit / 8 + 1] << 8;
  return word >> (bit % 8) & ((1u << bits) - 1);
}

// One row of an expert's matrix as f32.
static void spread_task(void* arg, size_t row, int worker) {
  (void)worker;
  const spread_job* s = arg;
  const moe_matrix* m = s->m;
  const kp_node* node = s->job->run->node;
  const kapell_value* const* values = s->job->values[s->product];
  const size_t column = s->expert * m->n + row, block = (m->depth + m->blocks - 1) / m->blocks;
  const uint8_t* data = (const uint8_t*)values[0]->data + column * m->row_bytes;
  const float* scales = (const float*)values[1]->data + column * m->blocks;
  const size_t zero_bytes = zero_expert_bytes(m, node);
  const uint8_t* zeros =
      values[3] ? (const uint8_t*)values[3]->data + s->expert * zero_bytes : NULL;
  float* out = (float*)s->job->matrix + row * m->depth;
  for (size_t k = 0; k < m->depth; ++k) {
    const size_t b = k / block;
    const unsigned zero =
        zeros ? bits_at(zeros, zero_bytes, row * zero_column_bits(m, node) + b * m->bits, m->bits)
              : 1u << (m->bits - 1);
    out[k] = ((float)bits_at(data, m->row_bytes, k * m->bits, m->bits) - (float)zero) * scales[b];
  }
}

static void multiply_dense(const moe_job* job, const moe_matrix* m, const kp_dense* product) {
  const moe_state* state = job->run->state;
  kp_dense dense = *product;
  dense.gemm = state->gemm;
  dense.k = m->depth;
  dense.n = m->n;
  kp_dense_multiply(&dense, job->run->width, job->scratch, job->run->cancel);
}

static void multiply(void* arg, kp_moe_product product, size_t expert, size_t rows, const float* a,
                     float* y) {
  const moe_job* job = arg;
  const kp_op_run* run = job->run;
  const moe_state* state = run->state;
  const moe_matrix* m = &((const moe_params*)run->params)->matrices[product];
  const kapell_value* const* values = job->values[product];
  const char* packed = state->packed[product];
  const float* biases = state->bias[product] ? state->bias[product]
                        : values[2]          ? values[2]->data
                                             : NULL;
  const float* bias = biases ? biases + expert * m->n : NULL;
  kp_dense dense = {.rows = rows, .a = a, .form = KP_GEMM_B_TRANSPOSED, .bias = bias};
  dense.y = y;
  if (m->bits == 0) {
    dense.b = packed ? (const float*)(const void*)(packed + expert * m->expert_bytes)
                     : (const float*)values[0]->data + expert * m->n * m->depth;
    if (packed) dense.form = KP_GEMM_B_PACKED;
    multiply_dense(job, m, &dense);
  } else if (m->bits == 3) {
    spread_job spread = {job, m, product, expert};
    kp_parallel_for(kp_op_width(run->width, m->n * m->depth), m->n, spread_task, &spread);
    dense.b = job->matrix;
    multiply_dense(job, m, &dense);
  } else {
    if (!packed) pack_expert(state, m, run->node, expert, values, run->width, job->matrix);
    const kp_nbits_args args = {
        .memory = packed ? packed + expert * m->expert_bytes : (const char*)job->matrix,
        .rows = rows,
        .a = a,
        .y = y,
        .bias = bias,
        .width = run->width,
        .scratch = job->scratch,
        .cancel = run->cancel};
    kp_nbits_multiply(&m->layout, &args);
  }
}

static kp_status* moe_run(const kp_op_run* run) {
  const moe_params* params = run->params;
  const moe_state* state = run->state;
  const moe_inputs* in = inputs_of(run->node);
  if (!kp_value_count(run->outputs[0])) return NULL;
  moe_job job = {.run = run};
  job.matrix = (char*)run->scratch + params->moe.scratch_bytes;
  job.scratch = (char*)job.matrix + params->matrix_bytes;
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    const uint32_t at[] = {in[p].weights, in[p].scales, in[p].bias, in[p].zeros};
    for (size_t i = 0; i < KP_COUNT_OF(at); ++i) job.values[p][i] = kp_run_input(run, at[i]);
    if (params->moe.n[p])
      KP_PASS(check_matrix(&params->matrices[p], run->node, params->moe.experts, job.values[p]));
  }
  const kapell_value* weights = state->quantized ? kp_run_input(run, 14) : NULL;
  KP_PASS(check_size(weights, params->moe.tokens * params->moe.experts, "router_weights"));
  kp_moe_run(&params->moe, run, weights ? weights->data : NULL, multiply, &job, run->scratch);
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
#define M_HALVES (KP_M(FLOAT) | KP_M(FLOAT16) | KP_M(BFLOAT16))
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = MS, .name = "MoE", .since = 1, .types = M_HALVES, .supports = moe_supports, .prepare = moe_prepare, .plan = moe_plan,
     .run = moe_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
    {.domain = MS, .name = "QMoE", .since = 1, .types = M_HALVES, .supports = moe_supports, .prepare = moe_prepare, .plan = moe_plan,
     .run = moe_run, .flags = KP_OP_WIDEN, .kernels = "f32: nbits, gemm"},
};
// clang-format on
KP_OP_TABLE(moe);
