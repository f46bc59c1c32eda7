// com.microsoft QGemm: alpha * A * B + C of 8-bit matrices, stored as 8 bits or, without y_scale, as f32. C counts in steps of the sums.
#include "provider/cpu/op/quantized/qproduct.h"

enum { IN_A, IN_A_SCALE, IN_A_ZERO, IN_B, IN_B_SCALE, IN_B_ZERO, IN_C, IN_Y_SCALE, IN_Y_ZERO };

typedef struct qgemm_state {
  const kp_qgemm_ops* ops;
  const void* packed;
} qgemm_state;

typedef struct qgemm_params {
  size_t m, n, k;
  bool transpose_a, transpose_b;
  bool sums_first;  // C is not one a column: sums are kept, then stored
  size_t c_row, c_step;
  kp_qproduct product;
  size_t scales_at, a_at, sums_at;
} qgemm_params;

static kp_status* qgemm_prepare(kp_op_prepare* prepare) {
  qgemm_state* state = kp_arena_new(prepare->arena, qgemm_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_qgemm_select(prepare->features);
  return kp_qproduct_pack(prepare, state->ops, IN_B, kp_node_attr_i(prepare->node, "transB", 0),
                          &state->packed);
}

static kp_status* add_room(size_t* total, size_t count, size_t each, size_t* out_at) {
  size_t bytes;
  *out_at = *total;
  if (kp_mul_size(count, each, &bytes) && kp_add_size(*total, bytes, total) &&
      kp_align_size(*total, KP_ALIGNMENT, total))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* check_parameter(const kp_op_plan* plan, uint32_t index, size_t many,
                                  const char* name) {
  const kapell_value* value = kp_plan_input(plan, index);
  if (!value || kp_value_count(value) == 1 || kp_value_count(value) == many) return NULL;
  return KP_ERROR(RUN_FAILED, "%s has %zu elements", name, kp_value_count(value));
}

static kp_status* qgemm_plan(kp_op_plan* plan) {
  const qgemm_state* state = plan->state;
  qgemm_params* p = kp_arena_new(plan->arena, qgemm_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *a = plan->inputs[IN_A], *b = plan->inputs[IN_B], *y = plan->outputs[0],
                     *c = kp_plan_input(plan, IN_C);
  p->transpose_a = kp_node_attr_i(plan->node, "transA", 0) != 0;
  p->transpose_b = kp_node_attr_i(plan->node, "transB", 0) != 0;
  p->m = (size_t)y->dims[0];
  p->n = (size_t)y->dims[1];
  p->k = (size_t)a->dims[p->transpose_a ? 0 : 1];
  if (c) {
    p->c_step = c->rank > 0 && c->dims[c->rank - 1] != 1;
    p->c_row = c->rank > 1 && c->dims[c->rank - 2] != 1 ? (size_t)c->dims[c->rank - 1] : 0;
    p->sums_first = p->c_row || !p->c_step;
  }
  KP_PASS(check_parameter(plan, IN_A_SCALE, 1, "a_scale"));
  KP_PASS(check_parameter(plan, IN_A_ZERO, 1, "a_zero_point"));
  KP_PASS(check_parameter(plan, IN_B_SCALE, p->n, "b_scale"));
  KP_PASS(check_parameter(plan, IN_B_ZERO, p->n, "b_zero_point"));
  KP_PASS(check_parameter(plan, IN_Y_SCALE, 1, "y_scale"));
  KP_PASS(check_parameter(plan, IN_Y_ZERO, 1, "y_zero_point"));
  const kp_qgemm_shape shape = {.batch = 1,
                                .m = p->m,
                                .n = p->n,
                                .k = p->k,
                                .b = state->packed    ? KP_QGEMM_B_PACKED
                                     : p->transpose_b ? KP_QGEMM_B_TRANSPOSED
                                                      : KP_QGEMM_B_PLAIN,
                                .a_signed = a->type == KAPELL_INT8,
                                .b_signed = b->type == KAPELL_INT8};
  size_t total;
  KP_PASS(kp_qproduct_plan(&p->product, state->ops, &shape, plan->width, &total));
  KP_PASS(add_room(&total, p->n, sizeof(float), &p->scales_at));
  KP_PASS(add_room(&total, p->transpose_a ? p->m * p->k : 0, 1, &p->a_at));
  KP_PASS(add_room(&total, p->sums_first ? p->m * p->n : 0, sizeof(int32_t), &p->sums_at));
  plan->scratch_bytes = total;
  return NULL;
}

// --- run ---------------------------------------------------------------------------------------------------------------------
static const uint8_t* rows_of_a(const kp_op_run* run) {
  const qgemm_params* p = run->params;
  const uint8_t* a = run->inputs[IN_A]->data;
  if (!p->transpose_a) return a;
  uint8_t* copy = (uint8_t*)run->scratch + p->a_at;
  for (size_t k = 0; k < p->k; ++k)
    for (size_t i = 0; i < p->m; ++i) copy[i * p->k + k] = a[k * p->m + i];
  return copy;
}

static void set_epilogue(const kp_op_run* run, kp_qgemm_epilogue* e) {
  const qgemm_params* p = run->params;
  const kapell_value *b_scale = run->inputs[IN_B_SCALE], *y_scale = kp_run_input(run, IN_Y_SCALE),
                     *y_zero = kp_run_input(run, IN_Y_ZERO);
  const float all = kp_node_attr_f(run->node, "alpha", 1) *
                    (float)kp_double_at(run->inputs[IN_A_SCALE], 0) /
                    (y_scale ? (float)kp_double_at(y_scale, 0) : 1.0f);
  float* scales = (float*)(void*)((char*)run->scratch + p->scales_at);
  e->scale_n = kp_value_count(b_scale) != 1;
  for (size_t j = 0; j < (e->scale_n ? p->n : 1); ++j)
    scales[j] = all * (float)kp_double_at(b_scale, j);
  e->scale = scales;
  e->kind = run->outputs[0]->type == KAPELL_FLOAT  ? KP_QGEMM_F32
            : run->outputs[0]->type == KAPELL_INT8 ? KP_QGEMM_I8
                                                   : KP_QGEMM_U8;
  e->zero = y_zero ? (int32_t)kp_int_at(y_zero, 0) : 0;
  e->low = KP_QGEMM_LOW(e->kind);
  e->high = KP_QGEMM_HIGH(e->kind);
}

// Stores the sums of one row, with C's added.
typedef struct store_job {
  const kp_op_run* run;
  const kp_qgemm_epilogue* epilogue;
  const int32_t* sums;
} store_job;

static void store_task(void* arg, size_t row, int worker) {
  (void)worker;
  const store_job* job = arg;
  const qgemm_params* p = job->run->params;
  const kp_qgemm_epilogue* e = job->epilogue;
  const int32_t* c = (const int32_t*)job->run->inputs[IN_C]->data + row * p->c_row;
  void* y = job->run->outputs[0]->data;
  for (size_t j = 0; j < p->n; ++j) {
    const uint32_t sum = (uint32_t)job->sums[row * p->n + j] + (uint32_t)c[j * p->c_step];
    const float real = (float)(int32_t)sum * e->scale[e->scale_n ? j : 0];
    const size_t at = row * p->n + j;
    if (e->kind == KP_QGEMM_F32) {
      ((float*)y)[at] = real;
      continue;
    }
    const float low = (float)(e->low - e->zero), high = (float)(e->high - e->zero);
    const float bounded = real > low ? real < high ? real : high : low;
    ((uint8_t*)y)[at] = (uint8_t)((int32_t)__builtin_nearbyintf(bounded) + e->zero);
  }
}

static kp_status* qgemm_run(const kp_op_run* run) {
  const qgemm_params* p = run->params;
  const qgemm_state* state = run->state;
  const kapell_value* c = kp_run_input(run, IN_C);
  if (!kp_value_count(run->outputs[0])) return NULL;
  kp_qgemm_epilogue epilogue = {0};
  set_epilogue(run, &epilogue);
  int32_t* sums = (int32_t*)(void*)((char*)run->scratch + p->sums_at);
  kp_qgemm_args args = {.a = rows_of_a(run),
                        .a_stride = p->k,
                        .a_zero = kp_qproduct_zero(kp_run_input(run, IN_A_ZERO), 0),
                        .b = state->packed ? state->packed : run->inputs[IN_B]->data,
                        .b_stride = p->transpose_b ? p->k : p->n,
                        .b_zero = kp_qproduct_zero(kp_run_input(run, IN_B_ZERO), 0),
                        .c = p->sums_first ? (void*)sums : run->outputs[0]->data,
                        .c_stride = p->n};
  if (!p->sums_first) args.epilogue = epilogue;
  if (!p->sums_first && c) args.epilogue.bias = c->data;
  kp_qproduct_run(&p->product, &args, run, run->scratch);
  if (!p->sums_first || kp_cancelled(run)) return NULL;
  store_job job = {run, &epilogue, sums};
  kp_parallel_for(kp_op_width(run->width, p->m * p->n * 2), p->m, store_task, &job);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = "com.microsoft", .name = "QGemm", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .prepare = qgemm_prepare,
     .plan = qgemm_plan, .run = qgemm_run, .kernels = "8 bits: qgemm"},
};
// clang-format on
KP_OP_TABLE(qgemm);
