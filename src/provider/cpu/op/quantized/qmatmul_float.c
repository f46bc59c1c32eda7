// com.microsoft MatMulIntegerToFloat and DynamicQuantizeMatMul: products of bytes that are scaled to f32. The second quantizes A by its
// own range first. Scales and zero points of B: one, one a column, or one a column of each matrix of a batch.
#include "provider/cpu/op/quantized/qproduct.h"
#include "provider/cpu/op/quantized/quantize.h"

// Where an operator has its inputs; -1: it has none such.
typedef struct float_form {
  int a_scale, b_scale, a_zero, b_zero, bias;
} float_form;
static const float_form integer_form = {2, 3, 4, 5, 6};
static const float_form dynamic_form = {-1, 2, -1, 3, 4};

typedef struct float_state {
  const kp_qgemm_ops* ops;
  const kp_quantize_ops* quantize;
  const void* packed;
  bool dynamic;
} float_state;

typedef struct float_params {
  size_t batch, m, n, k;
  const size_t *a_matrix, *b_matrix;
  bool by_k;  // A has a scale or a zero point for each element of a row: plain loops
  kp_qproduct product;
  size_t scales_at, a_at,
      ranges_at;  // in the scratch: n scales, A as bytes, what quantizing it needs
} float_params;

static const float_form* form_of(const kp_node* node) {
  return node->op[0] == 'D' ? &dynamic_form : &integer_form;
}

static kp_status* float_prepare(kp_op_prepare* prepare) {
  float_state* state = kp_arena_new(prepare->arena, float_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_qgemm_select(prepare->features);
  state->quantize = kp_quantize_select(prepare->features);
  state->dynamic = form_of(prepare->node) == &dynamic_form;
  // Where A may have a scale for each k, B is read as it is.
  const int scale = form_of(prepare->node)->a_scale;
  const kapell_value* a_scale = scale < 0 ? NULL : kp_prepare_constant(prepare, (uint32_t)scale);
  if (scale >= 0 && (!a_scale || kp_value_count(a_scale) != 1)) return NULL;
  return kp_qproduct_pack(prepare, state->ops, 1, false, &state->packed);
}

// --- plan --------------------------------------------------------------------------------------------------------------------
static kp_status* check_count(const kp_op_plan* plan, int index, size_t a, size_t b,
                              const char* what) {
  const kapell_value* value = index < 0 ? NULL : kp_plan_input(plan, (uint32_t)index);
  const size_t count = value ? kp_value_count(value) : 1;
  if (count == 1 || count == a || count == b) return NULL;
  return KP_ERROR(RUN_FAILED, "%zu %s; expected 1 or %zu", count, what, a);
}

static bool is_many(const kp_op_plan* plan, int index) {
  const kapell_value* value = index < 0 ? NULL : kp_plan_input(plan, (uint32_t)index);
  return value && kp_value_count(value) != 1;
}

static kp_status* check_parameters(const kp_op_plan* plan, float_params* p, size_t b_matrices) {
  const float_form* form = form_of(plan->node);
  KP_PASS(check_count(plan, form->a_scale, p->k, p->k, "scales of A"));
  KP_PASS(check_count(plan, form->a_zero, p->k, p->k, "zero points of A"));
  KP_PASS(check_count(plan, form->b_scale, p->n, p->n * b_matrices, "scales of B"));
  KP_PASS(check_count(plan, form->b_zero, p->n, p->n * b_matrices, "zero points of B"));
  const kapell_value* bias = kp_plan_input(plan, (uint32_t)form->bias);
  if (bias && kp_value_count(bias) != p->n)
    return KP_ERROR(RUN_FAILED, "a bias of %zu elements for %zu columns", kp_value_count(bias),
                    p->n);
  p->by_k = is_many(plan, form->a_scale) || is_many(plan, form->a_zero);
  return NULL;
}

static kp_status* add_room(size_t* total, size_t bytes, size_t* out_at) {
  *out_at = *total;
  if (kp_add_size(*total, bytes, total) && kp_align_size(*total, KP_ALIGNMENT, total)) return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

static kp_status* float_plan(kp_op_plan* plan) {
  const float_state* state = plan->state;
  float_params* p = kp_arena_new(plan->arena, float_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *a = plan->inputs[0], *b = plan->inputs[1], *y = plan->outputs[0];
  const int32_t a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
  const int32_t rank = a_batch > b_batch ? a_batch : b_batch;
  p->m = a->rank > 1 ? (size_t)a->dims[a->rank - 2] : 1;
  p->k = (size_t)a->dims[a->rank - 1];
  p->n = b->rank > 1 ? (size_t)b->dims[b->rank - 1] : 1;
  p->batch = kp_span(y, 0, rank);
  KP_PASS(check_parameters(plan, p, kp_span(b, 0, b_batch)));
  if (b->rank <= 2) {  // one B: the rows of all matrices of A follow each other
    p->m *= p->batch;
    p->batch = p->batch ? 1 : 0;
  }
  p->a_matrix = kp_batch_matrices(plan->arena, a, y, rank, p->batch);
  p->b_matrix = kp_batch_matrices(plan->arena, b, y, rank, p->batch);
  if (!p->a_matrix || !p->b_matrix) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kp_qgemm_shape shape = {.batch = 1,
                                .m = p->m,
                                .n = p->n,
                                .k = p->k,
                                .b = state->packed ? KP_QGEMM_B_PACKED : KP_QGEMM_B_PLAIN,
                                .a_signed = a->type == KAPELL_INT8,
                                .b_signed = b->type == KAPELL_INT8};
  size_t total, count = kp_value_count(a);
  KP_PASS(kp_qproduct_plan(&p->product, state->ops, &shape, plan->width, &total));
  KP_PASS(add_room(&total, p->n * sizeof(float), &p->scales_at));
  KP_PASS(add_room(&total, state->dynamic ? count : 0, &p->a_at));
  KP_PASS(add_room(&total, state->dynamic ? kp_dynamic_scratch(count) : 0, &p->ranges_at));
  plan->scratch_bytes = total;
  return NULL;
}

// --- run ---------------------------------------------------------------------------------------------------------------------
// A as bytes.
typedef struct float_job {
  const kp_op_run* run;
  const uint8_t* a;
  float a_scale;  // where it is one
  kp_qgemm_zero a_zero;
  uint8_t dynamic_zero;
} float_job;

static const kapell_value* input_at(const kp_op_run* run, int index) {
  return index < 0 ? NULL : kp_run_input(run, (uint32_t)index);
}

// Column |column| of matrix |matrix| of B in |value|, scales or zero points; NULL: |fallback|.
static double column_of(const kapell_value* value, size_t matrix, size_t n, size_t column,
                        double fallback) {
  if (!value) return fallback;
  const size_t count = kp_value_count(value);
  return kp_double_at(value, count == 1 ? 0 : (count == n ? 0 : matrix * n) + column);
}

static void run_product(const float_job* job, size_t product) {
  const kp_op_run* run = job->run;
  const float_params* p = run->params;
  const float_state* state = run->state;
  const float_form* form = form_of(run->node);
  const kapell_value *b_scale = input_at(run, form->b_scale), *b_zero = input_at(run, form->b_zero),
                     *bias = input_at(run, form->bias);
  const size_t matrix = p->b_matrix[product];
  const bool each = b_zero && kp_value_count(b_zero) > p->n;
  float* scales = (float*)(void*)((char*)run->scratch + p->scales_at);
  const bool many = b_scale && kp_value_count(b_scale) != 1;
  for (size_t j = 0; j < (many ? p->n : 1); ++j)
    scales[j] = job->a_scale * (float)column_of(b_scale, matrix, p->n, j, 1);
  const kp_qgemm_args args = {
      .a = job->a + p->a_matrix[product] * p->m * p->k,
      .a_stride = p->k,
      .a_zero = job->a_zero,
      .b = state->packed ? state->packed : (const char*)run->inputs[1]->data + matrix * p->k * p->n,
      .b_stride = p->n,
      .b_zero = kp_qproduct_zero(b_zero, each ? matrix * p->n : 0),
      .c = (float*)run->outputs[0]->data + product * p->m * p->n,
      .c_stride = p->n,
      .epilogue = {.kind = KP_QGEMM_F32,
                   .scale = scales,
                   .scale_n = many,
                   .bias_f = bias ? bias->data : NULL}};
  kp_qproduct_run(&p->product, &args, run, run->scratch);
}

// A row of the result where A's parameters go along k.
static void plain_task(void* arg, size_t row, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const float_params* p = run->params;
  const kapell_value *a = run->inputs[0], *b = run->inputs[1], *a_scale = run->inputs[2],
                     *b_scale = run->inputs[3], *a_zero = kp_run_input(run, 4),
                     *b_zero = kp_run_input(run, 5), *bias = kp_run_input(run, 6);
  const size_t product = row / p->m, matrix = p->b_matrix[product];
  const size_t at = (p->a_matrix[product] * p->m + row % p->m) * p->k;
  if (kp_cancelled(run)) return;
  for (size_t j = 0; j < p->n; ++j) {
    const double zero = column_of(b_zero, matrix, p->n, j, 0);
    double sum = 0;
    for (size_t k = 0; k < p->k; ++k)
      sum += (kp_double_at(a, at + k) - column_of(a_zero, 0, p->k, k, 0)) *
             column_of(a_scale, 0, p->k, k, 1) *
             (kp_double_at(b, (matrix * p->k + k) * p->n + j) - zero);
    sum *= column_of(b_scale, matrix, p->n, j, 1);
    ((float*)run->outputs[0]->data)[row * p->n + j] =
        (float)(sum + (bias ? kp_double_at(bias, j) : 0));
  }
}

static kp_status* float_run(const kp_op_run* run) {
  const float_params* p = run->params;
  const float_state* state = run->state;
  const float_form* form = form_of(run->node);
  const kapell_value* a = run->inputs[0];
  if (!kp_value_count(run->outputs[0])) return NULL;
  if (p->by_k) {
    kp_op_run copy = *run;
    kp_parallel_for(kp_op_width(run->width, p->batch * p->m * p->n * p->k * 4), p->batch * p->m,
                    plain_task, &copy);
    return NULL;
  }
  float_job job = {.run = run, .a = a->data};
  if (state->dynamic) {
    uint8_t* bytes = (uint8_t*)run->scratch + p->a_at;
    kp_dynamic_quantize(state->quantize, a->data, kp_value_count(a), run->width,
                        (char*)run->scratch + p->ranges_at, bytes, &job.a_scale, &job.dynamic_zero);
    job.a = bytes;
    job.a_zero = (kp_qgemm_zero){&job.dynamic_zero, false};
  } else {
    job.a_scale = (float)kp_double_at(input_at(run, form->a_scale), 0);
    job.a_zero = kp_qproduct_zero(input_at(run, form->a_zero), 0);
  }
  for (size_t i = 0; i < p->batch && !kp_cancelled(run); ++i) run_product(&job, i);
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = MS, .name = "MatMulIntegerToFloat", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .prepare = float_prepare,
     .plan = float_plan, .run = float_run, .flags = KP_OP_WIDEN, .kernels = "8 bits: qgemm"},
    {.domain = MS, .name = "DynamicQuantizeMatMul", .since = 1, .types = KP_M(FLOAT), .prepare = float_prepare, .plan = float_plan,
     .run = float_run, .kernels = "8 bits: qgemm, quantize"},
};
// clang-format on
KP_OP_TABLE(qmatmul_float);
