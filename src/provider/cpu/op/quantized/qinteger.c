// com.microsoft integer arithmetic without scales: MatMulInteger16 on plain loops, MulInteger. Results wrap around in 32 bits.
#include "provider/cpu/op/map.h"

// --- MatMulInteger16 ---------------------------------------------------------------------------------------------------------
typedef struct wide_params {
  size_t batch, m, n, k;
  const size_t *a_matrix, *b_matrix;
} wide_params;

static kp_status* wide_plan(kp_op_plan* plan) {
  wide_params* p = kp_arena_new(plan->arena, wide_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *a = plan->inputs[0], *b = plan->inputs[1], *y = plan->outputs[0];
  const int32_t rank = (a->rank > b->rank ? a->rank : b->rank) - 2;
  p->m = a->rank > 1 ? (size_t)a->dims[a->rank - 2] : 1;
  p->k = (size_t)a->dims[a->rank - 1];
  p->n = b->rank > 1 ? (size_t)b->dims[b->rank - 1] : 1;
  p->batch = rank > 0 ? kp_span(y, 0, rank) : 1;
  p->a_matrix = kp_batch_matrices(plan->arena, a, y, rank > 0 ? rank : 0, p->batch);
  p->b_matrix = kp_batch_matrices(plan->arena, b, y, rank > 0 ? rank : 0, p->batch);
  return p->a_matrix && p->b_matrix ? NULL : KP_ERROR(OUT_OF_MEMORY, "planning a node");
}

static int32_t element16(kapell_type type, const void* data, size_t at) {
  return type == KAPELL_INT16 ? ((const int16_t*)data)[at] : ((const uint16_t*)data)[at];
}

static void wide_task(void* arg, size_t row, int worker) {
  (void)worker;
  const kp_op_run* run = arg;
  const wide_params* p = run->params;
  const kapell_value *a = run->inputs[0], *b = run->inputs[1];
  const size_t product = row / p->m, from = (p->a_matrix[product] * p->m + row % p->m) * p->k;
  uint32_t* y = (uint32_t*)run->outputs[0]->data + row * p->n;
  if (kp_cancelled(run)) return;
  memset(y, 0, p->n * sizeof *y);
  for (size_t k = 0; k < p->k; ++k) {
    const uint32_t left = (uint32_t)element16(a->type, a->data, from + k);
    const size_t line = (p->b_matrix[product] * p->k + k) * p->n;
    for (size_t j = 0; j < p->n; ++j)
      y[j] += left * (uint32_t)element16(b->type, b->data, line + j);
  }
}

static kp_status* wide_run(const kp_op_run* run) {
  const wide_params* p = run->params;
  kp_op_run copy = *run;
  if (!kp_value_count(run->outputs[0])) return NULL;
  kp_parallel_for(kp_op_width(run->width, p->batch * p->m * p->n * p->k), p->batch * p->m,
                  wide_task, &copy);
  return NULL;
}

// --- MulInteger --------------------------------------------------------------------------------------------------------------
static kp_status* times_plan(kp_op_plan* plan) {
  kp_map* map = kp_arena_new(plan->arena, kp_map);
  if (!map) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = map;
  const kapell_value* inputs[] = {plan->inputs[0], plan->inputs[2]};
  return kp_map_init(map, plan->arena, 2, inputs, plan->outputs[0]);
}

typedef struct times_job {
  bool is_signed;
  int32_t a_zero, b_zero;
} times_job;

static int32_t element8(bool is_signed, const void* data, size_t at) {
  return is_signed ? ((const int8_t*)data)[at] : ((const uint8_t*)data)[at];
}

static void times_rows(const void* context, const kp_map_block* block) {
  const times_job* job = context;
  for (size_t r = 0; r < block->rows; ++r) {
    int32_t* y = (int32_t*)block->out + r * block->cols;
    for (size_t c = 0; c < block->cols; ++c)
      y[c] = (element8(job->is_signed, block->in[0], r * block->row[0] + c * block->step[0]) -
              job->a_zero) *
             (element8(job->is_signed, block->in[1], r * block->row[1] + c * block->step[1]) -
              job->b_zero);
  }
}

static kp_status* zero_of(const kp_op_run* run, uint32_t index, int32_t* out) {
  const kapell_value* zero = kp_run_input(run, index);
  if (zero && kp_value_count(zero) != 1)
    return KP_ERROR(RUN_FAILED, "%zu zero points; expected one", kp_value_count(zero));
  *out = zero ? (int32_t)kp_int_at(zero, 0) : 0;
  return NULL;
}

static kp_status* times_run(const kp_op_run* run) {
  times_job job = {.is_signed = run->inputs[0]->type == KAPELL_INT8};
  KP_PASS(zero_of(run, 1, &job.a_zero));
  KP_PASS(zero_of(run, 3, &job.b_zero));
  const void* in[] = {run->inputs[0]->data, run->inputs[2]->data};
  kp_map_run(run->params, times_rows, &job, in, (const size_t[]){1, 1}, run->outputs[0]->data,
             sizeof(int32_t), run->width, 1);
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = MS, .name = "MatMulInteger16", .since = 1, .types = KP_M(INT16) | KP_M(UINT16), .plan = wide_plan, .run = wide_run},
    {.domain = MS, .name = "MulInteger", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .plan = times_plan, .run = times_run},
};
// clang-format on
KP_OP_TABLE(qinteger);
