// MatMulInteger and QLinearMatMul: products of int8 and uint8 on kernel/qgemm, a constant matrix B packed once. 8-bit floats, which
// QLinearMatMul takes too, on plain loops.
//
//   kapell.QLinearMatMul   made by fuse/quantize.c: inputs of QLinearMatMul, then bias of N elements or absent: int32, in steps of the
//                          sums, or f32, added to y before rounding and in steps of y_scale where there is one. y_scale and
//                          y_zero_point absent: y is f32. Attributes transB (B is [N, K] and constant), low, high (bounds of y)
#include "provider/cpu/kernel/qgemm/qgemm.h"
#include "provider/cpu/op/element.h"
#include "provider/cpu/op/quantized/qproduct.h"

#define KP_M_BYTES (KP_M(INT8) | KP_M(UINT8))
#define KP_M_FP8 \
  (KP_M(FLOAT8E4M3FN) | KP_M(FLOAT8E4M3FNUZ) | KP_M(FLOAT8E5M2) | KP_M(FLOAT8E5M2FNUZ))

// Where an operator has its inputs; -1: it has none such.
typedef struct kp_qmatmul_form {
  int a_zero, b, b_zero, a_scale, b_scale, y_scale, y_zero, bias;
} kp_qmatmul_form;

typedef struct kp_qmatmul_state {
  const kp_qgemm_ops* ops;
  const kp_qmatmul_form* form;
  const void* packed;  // B, if it was a constant matrix
} kp_qmatmul_state;

// Zero points or scales of one factor.
typedef struct kp_qmatmul_many {
  bool many;  // one a row of A or a column of B
  bool each;  // ... and of each matrix of the batch
} kp_qmatmul_many;

typedef struct kp_qmatmul_params {
  size_t batch, m, n, k;
  const size_t *a_matrix, *b_matrix;  // which matrix of A and B each product takes
  kp_qmatmul_many a, b;
  kp_qgemm_plan plan;
  size_t worker_bytes, scale_bytes;
  bool one_by_one;  // a product at a time: scales differ from one to the next
} kp_qmatmul_params;

static const kp_qmatmul_form integer_form = {2, 1, 3, -1, -1, -1, -1, -1};
static const kp_qmatmul_form linear_form = {2, 3, 5, 1, 4, 6, 7, 8};

static const kp_qmatmul_form* form_of(const kp_node* node) {
  return strcmp(node->op, "QLinearMatMul") == 0 ? &linear_form : &integer_form;
}

static bool is_byte(kapell_type type) { return type == KAPELL_INT8 || type == KAPELL_UINT8; }

// --- prepare, plan -----------------------------------------------------------------------------------------------------------
static kp_status* qmatmul_prepare(kp_op_prepare* prepare) {
  kp_qmatmul_state* state = kp_arena_new(prepare->arena, kp_qmatmul_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->ops = kp_qgemm_select(prepare->features);
  state->form = form_of(prepare->node);
  const uint32_t at = (uint32_t)state->form->b;
  const kapell_value* b = kp_prepare_constant(prepare, at);
  if (!b || !is_byte(b->type) || b->rank != 2) return NULL;
  const bool transposed = kp_node_attr_i(prepare->node, "transB", 0) != 0;
  state->ops =
      kp_qgemm_select_for(prepare->features, kp_value_count(b), b->data, b->type == KAPELL_INT8);
  return kp_qproduct_pack(prepare, state->ops, at, transposed, &state->packed);
}

// How |many| (zero points or scales; NULL: none) covers |lines| rows or columns of |matrices| matrices.
static kp_status* cover(const kapell_value* many, size_t lines, size_t matrices, const char* what,
                        kp_qmatmul_many* out) {
  const size_t count = many ? kp_value_count(many) : 1;
  if (count == 1) return NULL;
  if (count != lines && count != lines * matrices)
    return KP_ERROR(RUN_FAILED, "%zu zero points or scales for %zu %s", count, lines, what);
  const kp_qmatmul_many found = {true, matrices > 1 && count == lines * matrices};
  if (out->many && (out->each != found.each))
    return KP_ERROR(RUN_FAILED, "scales and zero points of %s differ in shape", what);
  *out = found;
  return NULL;
}

static const kapell_value* plan_at(const kp_op_plan* plan, int index) {
  return index < 0 ? NULL : kp_plan_input(plan, (uint32_t)index);
}

static kp_status* cover_factors(kp_op_plan* plan, kp_qmatmul_params* params, size_t a_matrices,
                                size_t b_matrices) {
  const kp_qmatmul_form* form = form_of(plan->node);
  const kapell_value *y_scale = plan_at(plan, form->y_scale), *y_zero = plan_at(plan, form->y_zero);
  if ((y_scale && kp_value_count(y_scale) != 1) || (y_zero && kp_value_count(y_zero) != 1))
    return KP_ERROR(RUN_FAILED, "the scale and the zero point of y must have one element");
  KP_PASS(cover(plan_at(plan, form->a_zero), params->m, a_matrices, "rows", &params->a));
  KP_PASS(cover(plan_at(plan, form->a_scale), params->m, a_matrices, "rows", &params->a));
  KP_PASS(cover(plan_at(plan, form->b_zero), params->n, b_matrices, "columns", &params->b));
  return cover(plan_at(plan, form->b_scale), params->n, b_matrices, "columns", &params->b);
}

// Rows of all matrices of A follow each other where one B serves them all and zero points allow it.
static void fold_batch(const kp_op_plan* plan, kp_qmatmul_params* params) {
  const kapell_value *a = plan->inputs[0], *b = plan->inputs[form_of(plan->node)->b];
  if (b->rank > 2 || a->rank < 2 || (params->a.many && !params->a.each && params->batch > 1))
    return;
  params->m *= params->batch;
  params->batch = 1;
}

static void size_scratch(kp_op_plan* plan, kp_qmatmul_params* params) {
  const kp_qmatmul_state* state = plan->state;
  const kapell_value *a = plan->inputs[0], *b = plan->inputs[state->form->b];
  const kp_qgemm_shape shape = {
      .batch = params->one_by_one ? kp_min_size(params->batch, 1) : params->batch,
      .m = params->m,
      .n = params->n,
      .k = params->k,
      .b = state->packed ? KP_QGEMM_B_PACKED : KP_QGEMM_B_PLAIN,
      .a_signed = a->type == KAPELL_INT8,
      .b_signed = b->type == KAPELL_INT8};
  const size_t work = params->batch * params->m * params->n * kp_max_size(params->k, 1);
  kp_qgemm_plan_init(state->ops, &shape, (size_t)kp_op_width(plan->width, work / 32),
                     &params->plan);
  params->worker_bytes =
      (params->plan.scratch_bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  params->scale_bytes = ((params->m + params->n + 16) * sizeof(float) + KP_ALIGNMENT - 1) /
                        KP_ALIGNMENT * KP_ALIGNMENT;
  plan->scratch_bytes = params->scale_bytes + params->worker_bytes * (size_t)plan->width;
}

static kp_status* qmatmul_plan(kp_op_plan* plan) {
  kp_qmatmul_params* params = kp_arena_new(plan->arena, kp_qmatmul_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value *a = plan->inputs[0], *b = plan->inputs[form_of(plan->node)->b],
                     *y = plan->outputs[0];
  const int32_t a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
  const int32_t rank = a_batch > b_batch ? a_batch : b_batch;
  params->m = a->rank > 1 ? (size_t)a->dims[a->rank - 2] : 1;
  params->k = (size_t)a->dims[a->rank - 1];
  params->n = b->rank > 1 ? (size_t)y->dims[y->rank - 1] : 1;
  params->batch = kp_span(y, 0, rank);
  KP_PASS(cover_factors(plan, params, kp_span(a, 0, a_batch), kp_span(b, 0, b_batch)));
  params->a_matrix = kp_batch_matrices(plan->arena, a, y, rank, params->batch);
  params->b_matrix = kp_batch_matrices(plan->arena, b, y, rank, params->batch);
  if (!params->a_matrix || !params->b_matrix) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  fold_batch(plan, params);
  params->one_by_one = params->batch > 1;
  if (is_byte(a->type)) size_scratch(plan, params);
  return NULL;
}

// --- run ---------------------------------------------------------------------------------------------------------------------
typedef struct kp_qmatmul_job {
  const kp_op_run* run;
  const kp_qmatmul_params* params;
  kp_qgemm_args args;
  char* scratch;
} kp_qmatmul_job;

static void qgemm_task(void* arg, size_t task, int worker) {
  const kp_qmatmul_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_qgemm_run_task(&job->params->plan, &job->args, task,
                    job->scratch + (size_t)worker * job->params->worker_bytes);
}

static const kapell_value* run_at(const kp_op_run* run, int index) {
  return index < 0 ? NULL : kp_run_input(run, (uint32_t)index);
}

// Zero point or scale of line |line| of matrix |matrix|.
static size_t many_at(const kp_qmatmul_many* many, const kapell_value* value, size_t matrix,
                      size_t lines, size_t line) {
  if (kp_value_count(value) == 1) return 0;
  return (many->each ? matrix * lines : 0) + line;
}

static kp_qgemm_zero zero_of(const kapell_value* value, const kp_qmatmul_many* many, size_t matrix,
                             size_t lines) {
  if (!value) return (kp_qgemm_zero){NULL, false};
  if (kp_value_count(value) == 1) return (kp_qgemm_zero){value->data, false};
  return (kp_qgemm_zero){(const char*)value->data + (many->each ? matrix * lines : 0), true};
}

// What becomes of a sum, but for scales.
static void set_kind(const kp_op_run* run, kp_qgemm_epilogue* e) {
  const kp_qmatmul_form* form = form_of(run->node);
  const kapell_type type = run->outputs[0]->type;
  const kapell_value *zero = run_at(run, form->y_zero), *bias = run_at(run, form->bias);
  e->kind = type == KAPELL_FLOAT ? KP_QGEMM_F32 : type == KAPELL_INT8 ? KP_QGEMM_I8 : KP_QGEMM_U8;
  e->zero = zero ? (int32_t)kp_int_at(zero, 0) : 0;
  e->low = (int32_t)kp_node_attr_i(run->node, "low", KP_QGEMM_LOW(e->kind));
  e->high = (int32_t)kp_node_attr_i(run->node, "high", KP_QGEMM_HIGH(e->kind));
  if (bias && bias->type == KAPELL_FLOAT)
    e->bias_f = bias->data;
  else
    e->bias = bias ? bias->data : NULL;
}

// y = sums * a_scale * b_scale / y_scale + y_zero; scales of rows stay apart.
static void set_epilogue(const kp_op_run* run, size_t a_matrix, size_t b_matrix,
                         kp_qgemm_epilogue* e) {
  const kp_qmatmul_params* p = run->params;
  const kp_qmatmul_form* form = form_of(run->node);
  if (form->a_scale < 0) return;
  const kapell_value *a = run->inputs[form->a_scale], *b = run->inputs[form->b_scale],
                     *y = run_at(run, form->y_scale);
  const float y_scale = y ? (float)kp_double_at(y, 0) : 1.0f;
  float *scale = run->scratch, *rows = scale + p->n;
  const bool by_row = kp_value_count(a) != 1;
  const float all = by_row ? 1.0f : (float)kp_double_at(a, 0);
  e->scale_n = kp_value_count(b) != 1;
  for (size_t j = 0; j < (e->scale_n ? p->n : 1); ++j)
    scale[j] = all * (float)kp_double_at(b, many_at(&p->b, b, b_matrix, p->n, j)) / y_scale;
  for (size_t i = 0; by_row && i < p->m; ++i)
    rows[i] = (float)kp_double_at(a, many_at(&p->a, a, a_matrix, p->m, i));
  e->scale = scale;
  e->row_scale = by_row ? rows : NULL;
  set_kind(run, e);
}

static void run_product(const kp_op_run* run, size_t product) {
  const kp_qmatmul_params* p = run->params;
  const kp_qmatmul_state* state = run->state;
  const kp_qmatmul_form* form = state->form;
  kp_qmatmul_job job = {.run = run, .params = p, .scratch = (char*)run->scratch + p->scale_bytes};
  kp_qgemm_args* args = &job.args;
  const bool folded = p->batch == 1;
  const size_t a = folded ? 0 : p->a_matrix[product], b = folded ? 0 : p->b_matrix[product];
  const size_t a_at = folded ? p->a_matrix[0] : a, b_at = folded ? p->b_matrix[0] : b;
  args->a = (const char*)run->inputs[0]->data + a_at * p->m * p->k;
  args->a_stride = p->k;
  args->a_zero = zero_of(run_at(run, form->a_zero), &p->a, a, p->m);
  args->b =
      state->packed ? state->packed : (const char*)run->inputs[form->b]->data + b_at * p->k * p->n;
  args->b_stride = p->n;
  args->b_zero = zero_of(run_at(run, form->b_zero), &p->b, b, p->n);
  set_epilogue(run, a, b, &args->epilogue);
  const size_t width = args->epilogue.kind <= KP_QGEMM_F32 ? sizeof(int32_t) : 1;
  args->c = (char*)run->outputs[0]->data + product * p->m * p->n * width;
  args->c_stride = p->n;
  kp_parallel_for_dynamic(run->width, p->plan.task_count, qgemm_task, &job);
}

// One row of a product of 8-bit floats.
static void float_row(const kp_op_run* run, size_t row) {
  const kp_qmatmul_params* p = run->params;
  const kp_qmatmul_form* form = &linear_form;
  const size_t product = row / p->m, i = row % p->m, a_matrix = p->a_matrix[product],
               b_matrix = p->b_matrix[product];
  const kapell_value *a = run->inputs[0], *b = run->inputs[form->b];
  const kapell_value *a_zero = run->inputs[form->a_zero], *b_zero = run->inputs[form->b_zero];
  const kapell_value *a_scale = run->inputs[form->a_scale], *b_scale = run->inputs[form->b_scale];
  const double za = kp_double_at(a_zero, many_at(&p->a, a_zero, a_matrix, p->m, i));
  const double by = kp_double_at(a_scale, many_at(&p->a, a_scale, a_matrix, p->m, i)) /
                    kp_double_at(run->inputs[form->y_scale], 0);
  const kp_rounding rounding = {true, KP_E8M0_UP};
  for (size_t j = 0; j < p->n; ++j) {
    const double zb = kp_double_at(b_zero, many_at(&p->b, b_zero, b_matrix, p->n, j));
    double sum = 0;
    for (size_t q = 0; q < p->k; ++q)
      sum += (kp_double_at(a, (a_matrix * p->m + i) * p->k + q) - za) *
             (kp_double_at(b, (b_matrix * p->k + q) * p->n + j) - zb);
    sum *= by * kp_double_at(b_scale, many_at(&p->b, b_scale, b_matrix, p->n, j));
    sum += kp_double_at(run->inputs[form->y_zero], 0);
    kapell_value* y = run->outputs[0];
    if (kp_element_class_of(y->type) == KP_ELEMENT_WHOLE) {
      const double low = y->type == KAPELL_INT8 ? -128 : 0,
                   high = y->type == KAPELL_INT8 ? 127 : 255;
      sum = __builtin_nearbyint(sum);
      sum = sum > low ? sum < high ? sum : high : low;
    }
    kp_store_real(y->type, y->data, row * p->n + j, 1, &sum, &rounding);
  }
}

static void float_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  if (!kp_cancelled(run)) float_row(run, task);
}

static kp_status* qmatmul_run(const kp_op_run* run) {
  const kp_qmatmul_params* params = run->params;
  const kp_qmatmul_form* form = form_of(run->node);
  if (!kp_value_count(run->outputs[0])) return NULL;
  if (!is_byte(run->inputs[0]->type) || !is_byte(run->inputs[form->b]->type) ||
      (kp_type_mask(run->outputs[0]->type) & KP_M_FP8)) {
    kp_parallel_for(run->width, params->batch * params->m, float_task, (void*)(uintptr_t)run);
    return NULL;
  }
  for (size_t i = 0; i < params->batch && !kp_cancelled(run); ++i) run_product(run, i);
  return NULL;
}

// --- kapell.QLinearMatMul ------------------------------------------------------------------------------------------------------
// By ONNX's own rule, B turned where it has to be.
static kp_status* fused_infer(kp_infer* infer) {
  const kp_type* inputs[9] = {0};
  kp_node plain = *infer->node;
  plain.domain = "";
  plain.version = 10;
  if (plain.input_count > 9 || !infer->inputs[0] || !infer->inputs[3])
    return KP_ERROR(INTERNAL, "a fused product of %u inputs", plain.input_count);
  for (uint32_t i = 0; i < plain.input_count; ++i) inputs[i] = infer->inputs[i];
  kp_type b = *inputs[3];
  int64_t turned[2] = {0};
  if (kp_node_attr_i(infer->node, "transB", 0) && b.rank == 2) {
    turned[0] = b.dims[1];
    turned[1] = b.dims[0];
    b.dims = turned;
    inputs[3] = &b;
  }
  kp_infer inner = *infer;
  inner.node = &plain;
  inner.inputs = inputs;
  KP_PASS(kp_infer_find(&plain)->fn(&inner));
  infer->overflow |= inner.overflow;
  kp_type* y = &infer->outputs[0];
  y->kind = KAPELL_KIND_TENSOR;
  y->element = inputs[7] ? inputs[7]->element : KAPELL_FLOAT;
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators MatMulInteger-10, QLinearMatMul-10..21
    {.name = "MatMulInteger", .since = 10, .types = KP_M_BYTES, .prepare = qmatmul_prepare, .plan = qmatmul_plan,
     .run = qmatmul_run, .kernels = "8 bits: qgemm"},
    {.name = "QLinearMatMul", .since = 10, .types = KP_M_BYTES, .prepare = qmatmul_prepare, .plan = qmatmul_plan,
     .run = qmatmul_run, .kernels = "8 bits: qgemm"},
    {.name = "QLinearMatMul", .since = 21, .types = KP_M_BYTES | KP_M_FP8, .prepare = qmatmul_prepare, .plan = qmatmul_plan,
     .run = qmatmul_run, .kernels = "8 bits: qgemm"},
    {.domain = "kapell", .name = "QLinearMatMul", .since = 1, .types = KP_M_BYTES, .prepare = qmatmul_prepare, .plan = qmatmul_plan,
     .run = qmatmul_run, .infer = fused_infer, .kernels = "8 bits: qgemm"},
};
// clang-format on
KP_OP_TABLE(qmatmul);
