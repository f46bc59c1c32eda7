// com.microsoft QAttention: Attention whose projections are one product of bytes, scaled to f32 before the attention itself.
//
//   inputs   input [batch, length, features], weight [features, 3 * hidden], bias, input_scale, weight_scale (one, or one a column),
//            mask_index, input_zero_point, weight_zero_point, past [2, batch, heads, length, size]
//   outputs  output [batch, length, hidden], present [2, batch, heads, length, size]
#include "provider/cpu/op/attention/attention_multi.h"
#include "provider/cpu/op/quantized/qproduct.h"

enum { IN_X, IN_W, IN_BIAS, IN_X_SCALE, IN_W_SCALE, IN_MASK, IN_X_ZERO, IN_W_ZERO, IN_PAST };

typedef struct qattention_state {
  const kp_attention_ops* ops;
  const kp_qgemm_ops* gemm;
  const void* packed;
} qattention_state;

typedef struct qattention_params {
  kp_multi multi;
  kp_qproduct product;
  size_t rows, features, hidden;
  size_t projected, scales, workers;  // in the scratch
  size_t half, past_half;             // elements of present and of past in each of its halves
} qattention_params;

static kp_status* qattention_prepare(kp_op_prepare* prepare) {
  qattention_state* state = kp_arena_new(prepare->arena, qattention_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_attention_select(prepare->features);
  state->gemm = kp_qgemm_select(prepare->features);
  return kp_qproduct_pack(prepare, state->gemm, IN_W, false, &state->packed);
}

// --- plan --------------------------------------------------------------------------------------------------------------------
static kp_status* check_count(const kapell_value* value, size_t many, const char* name) {
  if (!value || kp_value_count(value) == 1 || kp_value_count(value) == many) return NULL;
  return KP_ERROR(INVALID_INPUT, "%s has %zu elements; expected %zu", name, kp_value_count(value),
                  many);
}

static kp_status* read_parts(const kp_op_plan* plan, qattention_params* p) {
  const kapell_value *x = plan->inputs[IN_X], *w = plan->inputs[IN_W],
                     *bias = plan->inputs[IN_BIAS];
  const int64_t heads = kp_node_attr_i(plan->node, "num_heads", 0), whole = w->dims[1],
                hidden = whole / 3;
  if (x->rank != 3 || w->rank != 2 || x->dims[2] != w->dims[0] || heads < 1 || whole % 3 ||
      hidden < 1 || hidden % heads || kp_value_count(bias) != (size_t)whole)
    return KP_ERROR(INVALID_INPUT,
                    "weights of %lld columns do not hold query, key and value of %lld heads",
                    (long long)whole, (long long)heads);
  KP_PASS(check_count(plan->inputs[IN_X_SCALE], 1, "input_scale"));
  KP_PASS(check_count(plan->inputs[IN_W_SCALE], (size_t)whole, "weight_scale"));
  KP_PASS(check_count(kp_plan_input(plan, IN_X_ZERO), 1, "input_zero_point"));
  KP_PASS(check_count(kp_plan_input(plan, IN_W_ZERO), (size_t)whole, "weight_zero_point"));
  p->rows = kp_span(x, 0, 2);
  p->features = (size_t)x->dims[2];
  p->hidden = (size_t)hidden;
  const int64_t dims[3] = {x->dims[0], x->dims[1], hidden};
  kp_heads h = kp_heads_packed(KAPELL_FLOAT, dims, (size_t)heads);
  h.row_stride = (size_t)whole;
  h.batch_stride = h.length * h.row_stride;
  p->multi.q = p->multi.k = p->multi.v = h;
  return NULL;
}

static kp_status* read_past(const kp_op_plan* plan, qattention_params* p) {
  const kapell_value* past = kp_plan_input(plan, IN_PAST);
  kp_multi* m = &p->multi;
  m->keep_k = m->keep_v = plan->node->output_count > 1 && kp_present(plan->outputs[1]);
  if (m->keep_k) p->half = kp_value_count(plan->outputs[1]) / 2;
  if (!past) return NULL;
  if (past->rank != 5 || past->dims[0] != 2)
    return KP_ERROR(INVALID_INPUT, "past has rank %d; expected [2, batch, heads, length, size]",
                    (int)past->rank);
  m->has_past = true;
  m->past = m->v_past = kp_heads_4d(KAPELL_FLOAT, past->dims + 1, false);
  p->past_half = kp_value_count(past) / 2;
  return NULL;
}

static kp_status* plan_product(kp_op_plan* plan, qattention_params* p) {
  const qattention_state* state = plan->state;
  const kp_qgemm_shape shape = {.batch = 1,
                                .m = p->rows,
                                .n = 3 * p->hidden,
                                .k = p->features,
                                .b = state->packed ? KP_QGEMM_B_PACKED : KP_QGEMM_B_PLAIN,
                                .a_signed = plan->inputs[IN_X]->type == KAPELL_INT8,
                                .b_signed = plan->inputs[IN_W]->type == KAPELL_INT8};
  size_t workers, *total = &plan->scratch_bytes;
  KP_PASS(kp_qproduct_plan(&p->product, state->gemm, &shape, plan->width, &workers));
  KP_PASS(kp_attend_room(total, p->rows * shape.n, sizeof(float), &p->projected));
  KP_PASS(kp_attend_room(total, shape.n, sizeof(float), &p->scales));
  return kp_attend_room(total, workers, 1, &p->workers);
}

static kp_status* qattention_plan(kp_op_plan* plan) {
  const qattention_state* state = plan->state;
  qattention_params* p = kp_arena_new(plan->arena, qattention_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  KP_PASS(read_parts(plan, p));
  KP_PASS(read_past(plan, p));
  KP_PASS(plan_product(plan, p));
  kp_multi* m = &p->multi;
  m->y = kp_heads_packed(KAPELL_FLOAT, plan->outputs[0]->dims, m->q.heads);
  m->scale = kp_node_attr_f(plan->node, "scale", 0);
  m->causal = kp_node_attr_i(plan->node, "unidirectional", 0) != 0;
  if (kp_node_attr_i(plan->node, "do_rotary", 0)) m->turn = m->q.width / 2;
  return kp_multi_plan(m, state->ops, kp_plan_input(plan, IN_MASK), NULL, plan->width,
                       &plan->scratch_bytes);
}

// --- run ---------------------------------------------------------------------------------------------------------------------
static const float* project(const kp_op_run* run) {
  const qattention_state* state = run->state;
  const qattention_params* p = run->params;
  const kapell_value* w_scale = run->inputs[IN_W_SCALE];
  float* scales = (float*)(void*)((char*)run->scratch + p->scales);
  float* projected = (float*)(void*)((char*)run->scratch + p->projected);
  const size_t n = 3 * p->hidden;
  const bool many = kp_value_count(w_scale) != 1;
  const float x_scale = (float)kp_double_at(run->inputs[IN_X_SCALE], 0);
  for (size_t j = 0; j < (many ? n : 1); ++j) scales[j] = x_scale * (float)kp_double_at(w_scale, j);
  const kp_qgemm_args args = {.a = run->inputs[IN_X]->data,
                              .a_stride = p->features,
                              .a_zero = kp_qproduct_zero(kp_run_input(run, IN_X_ZERO), 0),
                              .b = state->packed ? state->packed : run->inputs[IN_W]->data,
                              .b_stride = n,
                              .b_zero = kp_qproduct_zero(kp_run_input(run, IN_W_ZERO), 0),
                              .c = projected,
                              .c_stride = n,
                              .epilogue = {.kind = KP_QGEMM_F32,
                                           .scale = scales,
                                           .scale_n = many,
                                           .bias_f = run->inputs[IN_BIAS]->data}};
  kp_qproduct_run(&p->product, &args, run, (char*)run->scratch + p->workers);
  return projected;
}

static kp_status* qattention_run(const kp_op_run* run) {
  const qattention_params* p = run->params;
  const kapell_value* past = kp_run_input(run, IN_PAST);
  kapell_value* present = kp_run_result(run, 1);
  const float* product = project(run);
  const kp_multi_data data = {.q = product,
                              .k = product + p->hidden,
                              .v = product + 2 * p->hidden,
                              .past_k = past ? past->data : NULL,
                              .past_v = past ? (const float*)past->data + p->past_half : NULL,
                              .present_k = present ? present->data : NULL,
                              .present_v = present ? (float*)present->data + p->half : NULL,
                              .y = run->outputs[0]->data,
                              .mask = kp_run_input(run, IN_MASK),
                              .filter = kp_node_attr_f(run->node, "mask_filter_value", -10000)};
  return kp_multi_run(&p->multi, &data, run);
}

static kp_reason qattention_supports(const kp_op_query* query) {
  KP_REQUIRE(query, !kp_node_attr_i(query->node, "past_present_share_buffer", 0),
             "past_present_share_buffer: QAttention has no input that tells the past's length");
  return KP_SUPPORTED;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = "com.microsoft", .name = "QAttention", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .supports = qattention_supports,
     .prepare = qattention_prepare, .plan = qattention_plan, .run = qattention_run, .flags = KP_OP_WIDEN,
     .kernels = "8 bits: qgemm; f32: attention"},
};
// clang-format on
KP_OP_TABLE(qattention);
