// com.microsoft MatMulNBits: products with matrices of 2, 4 or 8 bits a weight, scaled block by block. Constant weights are packed
// once, others in every run. accuracy_level names the least accuracy that is wanted: all levels compute in f32.
#include "provider/cpu/op/product/dense.h"
#include "provider/cpu/op/quantized/nbits.h"
#include "provider/cpu/packed.h"

enum { IN_A, IN_B, IN_SCALES, IN_ZERO_POINTS, IN_GROUPS, IN_BIAS };

typedef struct nbits_state {
  const kp_nbits_ops* ops;
  const kp_gemm_ops* gemm;
  void* packed;  // NULL: in each run
} nbits_state;

typedef struct nbits_params {
  kp_nbits_layout layout;
  size_t rows;
  bool omitted;       // B is empty: nothing but the bias
  kp_gemm_plan plan;  // with g_idx
  size_t thread_bytes, matrix_bytes;
} nbits_params;

static kp_reason nbits_supports(const kp_op_query* query) {
  const int64_t bits = kp_node_attr_i(query->node, "bits", 4);
  const int64_t block = kp_node_attr_i(query->node, "block_size", 0);
  KP_REQUIRE(query, bits == 2 || bits == 4 || bits == 8, "bits = %lld; expected 2, 4 or 8",
             (long long)bits);
  KP_REQUIRE(query, block >= 16 && block <= INT32_MAX && (block & (block - 1)) == 0,
             "block_size = %lld; expected a power of two from 16 on", (long long)block);
  KP_REQUIRE(query, kp_node_attr_i(query->node, "weight_prepacked", 0) == 0,
             "weight_prepacked: weights in the layout of a GPU's kernels");
  return KP_SUPPORTED;
}

// --- checks and layout -------------------------------------------------------------------------------------------------------
static kp_status* layout_of(const kp_node* node, const nbits_state* state, bool zeros,
                            kp_nbits_layout* layout) {
  return kp_nbits_layout_init(
      layout, state->ops, state->gemm, (unsigned)kp_node_attr_i(node, "bits", 4),
      (size_t)kp_node_attr_i(node, "K", 0), (size_t)kp_node_attr_i(node, "N", 0),
      (size_t)kp_node_attr_i(node, "block_size", 0), zeros);
}

static size_t row_bytes(const kp_node* node, const kp_nbits_layout* l) {
  return l->blocks * ((size_t)kp_node_attr_i(node, "block_size", 0) * l->bits / 8);
}

static kp_status* check_count(const kapell_value* value, const char* name, size_t wanted) {
  if (kp_value_count(value) == wanted) return NULL;
  return KP_ERROR(RUN_FAILED, "%s has %zu elements, not %zu as K, N, bits and block_size say", name,
                  kp_value_count(value), wanted);
}

// Sizes of everything but A against the attributes.
static kp_status* check_inputs(const kp_node* node, const kp_nbits_layout* l,
                               const kapell_value* const* in) {
  KP_PASS(check_count(in[IN_B], "B", l->n * row_bytes(node, l)));
  KP_PASS(check_count(in[IN_SCALES], "scales", l->n * l->blocks));
  if (in[IN_ZERO_POINTS]) {
    const bool packed = in[IN_ZERO_POINTS]->type == KAPELL_UINT8;
    const size_t bytes = (l->blocks * l->bits + 7) / 8;
    KP_PASS(check_count(in[IN_ZERO_POINTS], "zero_points", l->n * (packed ? bytes : l->blocks)));
  }
  return NULL;
}

static kp_nbits_source source_of(const kp_node* node, const kp_nbits_layout* l,
                                 const kapell_value* const* in) {
  const kapell_value* zero = in[IN_ZERO_POINTS];
  const bool packed = zero && zero->type == KAPELL_UINT8;
  return (kp_nbits_source){.data = in[IN_B]->data,
                           .row_bytes = row_bytes(node, l),
                           .scales = in[IN_SCALES]->data,
                           .zero_points = packed ? zero->data : NULL,
                           .zero_column_bits = (l->blocks * l->bits + 7) / 8 * 8,
                           .zero_floats = zero && !packed ? zero->data : NULL};
}

// --- prepare and plan --------------------------------------------------------------------------------------------------------
static bool given(const kp_node* node, uint32_t input) {
  return input < node->input_count && node->inputs[input] != KP_NONE;
}

static kp_status* nbits_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  nbits_state* state = kp_arena_new(prepare->arena, nbits_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_nbits_select(prepare->features);
  state->gemm = kp_gemm_select(prepare->features);
  prepare->kernel = "nbits_f32";
  const kapell_value* in[IN_GROUPS];
  for (uint32_t i = IN_B; i < IN_GROUPS; ++i) {
    in[i] = kp_prepare_constant(prepare, i);
    if (given(node, i) && !in[i]) return NULL;
  }
  if (given(node, IN_GROUPS) || !kp_value_count(in[IN_B])) return NULL;
  kp_nbits_layout layout;
  KP_PASS(layout_of(node, state, in[IN_ZERO_POINTS] != NULL, &layout));
  KP_PASS(check_inputs(node, &layout, in));
  const kp_packed_form form = {
      .ops = state->ops,
      .numbers = {layout.bits, layout.k, layout.n, (size_t)kp_node_attr_i(node, "block_size", 0),
                  kp_packed_input(prepare, IN_SCALES), kp_packed_input(prepare, IN_ZERO_POINTS)}};
  bool done;
  state->packed = kp_prepare_packed_once(prepare, IN_B, &form, layout.byte_count + 1, &done);
  if (!state->packed) return KP_ERROR(OUT_OF_MEMORY, "packing %zu bytes", layout.byte_count);
  if (!done) {
    const kp_nbits_source source = source_of(node, &layout, in);
    kp_nbits_pack(&layout, &source, prepare->width, state->packed);
    state->packed = kp_prepare_settle(prepare, state->packed);
  }
  for (uint32_t i = IN_B; i < IN_GROUPS; ++i)
    if (in[i]) prepare->consumed[i] = true;
  return NULL;
}

static kp_status* add_matrix(nbits_params* params, size_t byte_count, size_t* scratch_bytes) {
  if (kp_align_size(byte_count, KP_ALIGNMENT, &params->matrix_bytes) &&
      kp_add_size(params->matrix_bytes, *scratch_bytes, scratch_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* nbits_plan(kp_op_plan* plan) {
  const nbits_state* state = plan->state;
  nbits_params* params = kp_arena_new(plan->arena, nbits_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value* a = plan->inputs[IN_A];
  const bool zeros = kp_plan_input(plan, IN_ZERO_POINTS) != NULL;
  KP_PASS(layout_of(plan->node, state, zeros, &params->layout));
  const kp_nbits_layout* l = &params->layout;
  params->rows = kp_span(a, 0, a->rank - 1);
  params->omitted = !state->packed && !kp_value_count(plan->inputs[IN_B]);
  if (params->omitted) return NULL;
  if (kp_plan_input(plan, IN_GROUPS)) {
    size_t bytes;
    if (!kp_mul_size(l->n, l->k, &bytes) || !kp_mul_size(bytes, sizeof(float), &bytes))
      return KP_ERROR(LIMIT, "a matrix of %zu x %zu exceeds the address space", l->k, l->n);
    KP_PASS(kp_dense_scratch(l->gemm, l->k, plan->width, &plan->scratch_bytes));
    return add_matrix(params, bytes, &plan->scratch_bytes);
  }
  KP_PASS(kp_nbits_scratch(l, params->rows, plan->width, &plan->scratch_bytes));
  return state->packed ? NULL : add_matrix(params, l->byte_count, &plan->scratch_bytes);
}

// --- g_idx: every row of the matrix names its block ---------------------------------------------------------------------------
typedef struct groups_job {
  const nbits_params* params;
  const kp_nbits_source* source;
  const kapell_value* groups;
  float* matrix;  // [n][k]
} groups_job;

static void unpack_task(void* arg, size_t column, int worker) {
  (void)worker;
  const groups_job* job = arg;
  const kp_nbits_layout* l = &job->params->layout;
  const kp_nbits_source* s = job->source;
  const uint8_t *row = s->data + column * s->row_bytes,
                *zeros =
                    s->zero_points ? s->zero_points + column * (s->zero_column_bits / 8) : NULL;
  const size_t each = 8 / l->bits;
  const unsigned mask = (1u << l->bits) - 1;
  for (size_t k = 0; k < l->k; ++k) {
    const size_t g = (size_t)kp_int_at(job->groups, k);
    float zero = (float)(1u << (l->bits - 1));
    if (s->zero_floats) zero = s->zero_floats[column * l->blocks + g];
    if (zeros) zero = (float)(zeros[g / each] >> (g % each * l->bits) & mask);
    const float q = (float)(row[k / each] >> (k % each * l->bits) & mask);
    job->matrix[column * l->k + k] = (q - zero) * s->scales[column * l->blocks + g];
  }
}

static kp_status* run_groups(const kp_op_run* run, const kp_nbits_source* source,
                             const float* bias) {
  const nbits_params* params = run->params;
  const kp_nbits_layout* l = &params->layout;
  const kapell_value* groups = run->inputs[IN_GROUPS];
  if (kp_value_count(groups) < l->k)
    return KP_ERROR(RUN_FAILED, "g_idx has %zu elements for K = %zu", kp_value_count(groups), l->k);
  for (size_t k = 0; k < l->k; ++k)
    if (kp_int_at(groups, k) < 0 || kp_int_at(groups, k) >= (int64_t)l->blocks)
      return KP_ERROR(RUN_FAILED, "g_idx[%zu] is %lld; there are %zu blocks", k,
                      (long long)kp_int_at(groups, k), l->blocks);
  groups_job job = {.params = params, .source = source, .groups = groups, .matrix = run->scratch};
  kp_parallel_for_dynamic(kp_op_width(run->width, l->n * l->k), l->n, unpack_task, &job);
  const kp_dense product = {.gemm = l->gemm,
                            .rows = params->rows,
                            .k = l->k,
                            .n = l->n,
                            .a = run->inputs[IN_A]->data,
                            .b = job.matrix,
                            .form = KP_GEMM_B_TRANSPOSED,
                            .bias = bias,
                            .y = run->outputs[0]->data};
  kp_dense_multiply(&product, run->width, (char*)run->scratch + params->matrix_bytes, run->cancel);
  return NULL;
}

// --- run ---------------------------------------------------------------------------------------------------------------------
static kp_status* nbits_run(const kp_op_run* run) {
  const nbits_params* params = run->params;
  const nbits_state* state = run->state;
  const kapell_value* in[IN_BIAS + 1];
  for (uint32_t i = 0; i <= IN_BIAS; ++i) in[i] = kp_run_input(run, i);
  const float* bias = NULL;
  if (in[IN_BIAS]) {
    KP_PASS(check_count(in[IN_BIAS], "bias", params->layout.n));
    bias = in[IN_BIAS]->data;
  }
  if (!kp_value_count(run->outputs[0])) return NULL;
  kp_nbits_layout layout = params->layout;
  kp_nbits_args args = {.memory = state->packed,
                        .rows = params->rows,
                        .a = in[IN_A]->data,
                        .y = run->outputs[0]->data,
                        .bias = bias,
                        .width = run->width,
                        .scratch = run->scratch,
                        .cancel = run->cancel};
  if (params->omitted) layout.k = 0;
  if (!params->omitted && !state->packed) {
    KP_PASS(check_inputs(run->node, &layout, in));
    const kp_nbits_source source = source_of(run->node, &layout, in);
    if (in[IN_GROUPS]) return run_groups(run, &source, bias);
    kp_nbits_pack(&layout, &source, run->width, run->scratch);
    args.memory = run->scratch;
    args.scratch = (char*)run->scratch + params->matrix_bytes;
  }
  kp_nbits_multiply(&layout, &args);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = "com.microsoft", .name = "MatMulNBits", .since = 1, .types = KP_M_FLOATS, .supports = nbits_supports,
     .prepare = nbits_prepare, .plan = nbits_plan, .run = nbits_run, .flags = KP_OP_WIDEN, .kernels = "f32: nbits, gemm"},
};
// clang-format on
KP_OP_TABLE(matmul_nbits);
