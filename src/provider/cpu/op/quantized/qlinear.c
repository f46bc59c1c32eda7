// com.microsoft operators on 8-bit tensors with scales: QLinearAdd and QLinearMul on kernel/qlinear; QLinearSigmoid, QLinearLeakyRelu,
// QLinearWhere and QLinearConcat through tables of 256 bytes; QLinearSoftmax through a table of exponentials.
#include "provider/cpu/op/quantized/qlinear.h"

#include "provider/cpu/kernel/qlinear/qlinear.h"
#include "provider/cpu/op/map.h"

kp_status* kp_quant8_read(const kp_op_run* run, uint32_t scale, uint32_t zero, kapell_type type,
                          kp_quant8* out) {
  const kapell_value *s = kp_run_input(run, scale), *z = kp_run_input(run, zero);
  if (!s || s->type != KAPELL_FLOAT || kp_value_count(s) != 1)
    return KP_ERROR(RUN_FAILED, "input %u, a scale, is not one float32", (unsigned)scale);
  if (z && (z->type != type || kp_value_count(z) != 1))
    return KP_ERROR(RUN_FAILED, "input %u, a zero point, is not one %s", (unsigned)zero,
                    kp_type_name(type));
  *out = (kp_quant8){.scale = *(const float*)s->data,
                     .zero = z ? (int32_t)kp_int_at(z, 0) : 0,
                     .is_signed = type == KAPELL_INT8};
  return NULL;
}

void kp_quant8_table(const kp_quant8* from, const kp_quant8* to, float (*fn)(float x, float a),
                     float a, uint8_t* table) {
  for (unsigned i = 0; i < 256; ++i) {
    const float real = kp_quant8_real(from, (uint8_t)i);
    table[i] = kp_quant8_of(to, fn ? fn(real, a) : real);
  }
}

// --- QLinearAdd, QLinearMul --------------------------------------------------------------------------------------------------
static kp_status* pair_prepare(kp_op_prepare* prepare) {
  union {
    const kp_qlinear_ops* ops;
    void* state;
  } kernel = {kp_qlinear_select(prepare->features)};
  prepare->state = kernel.state;
  prepare->kernel = "qlinear";
  return NULL;
}

static kp_status* pair_plan(kp_op_plan* plan) {
  kp_map* map = kp_arena_new(plan->arena, kp_map);
  if (!map) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = map;
  const kapell_value* inputs[] = {plan->inputs[0], plan->inputs[3]};
  return kp_map_init(map, plan->arena, 2, inputs, plan->outputs[0]);
}

typedef struct pair_job {
  kp_qlinear_pair pair;
  void (*fn)(const kp_qlinear_pair* p, size_t n, const void* a, size_t a_step, const void* b,
             size_t b_step, void* y);
} pair_job;

static void pair_rows(const void* context, const kp_map_block* block) {
  const pair_job* job = context;
  for (size_t r = 0; r < block->rows; ++r)
    job->fn(&job->pair, block->cols, (const char*)block->in[0] + r * block->row[0], block->step[0],
            (const char*)block->in[1] + r * block->row[1], block->step[1],
            (char*)block->out + r * block->cols);
}

static kp_status* pair_run(const kp_op_run* run) {
  const kp_qlinear_ops* kernel = run->state;
  const kapell_type type = run->inputs[0]->type;
  const bool product = strcmp(run->node->op, "QLinearMul") == 0;
  kp_quant8 a, b, y;
  KP_PASS(kp_quant8_read(run, 1, 2, type, &a));
  KP_PASS(kp_quant8_read(run, 4, 5, type, &b));
  KP_PASS(kp_quant8_read(run, 6, 7, type, &y));
  const pair_job job = {
      .pair = {.a_scale = product ? a.scale * b.scale / y.scale : a.scale / y.scale,
               .b_scale = b.scale / y.scale,
               .a_zero = a.zero,
               .b_zero = b.zero,
               .y_zero = y.zero,
               .is_signed = a.is_signed},
      .fn = product ? kernel->multiply : kernel->add};
  const void* in[] = {run->inputs[0]->data, run->inputs[3]->data};
  kp_map_run(run->params, pair_rows, &job, in, (const size_t[]){1, 1}, run->outputs[0]->data, 1,
             run->width, 1);
  return NULL;
}

// --- tables ------------------------------------------------------------------------------------------------------------------
typedef struct table_job {
  const uint8_t* x;
  uint8_t* y;
  const uint8_t* table;
  size_t count, tasks;
} table_job;

static void map_bytes(const uint8_t* table, const uint8_t* x, size_t count, uint8_t* y) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {  // read before anything is written: |y| may be |x|
    uint8_t eight[8];
    memcpy(eight, x + i, sizeof eight);
    for (int j = 0; j < 8; ++j) eight[j] = table[eight[j]];
    memcpy(y + i, eight, sizeof eight);
  }
  for (; i < count; ++i) y[i] = table[x[i]];
}

static void table_task(void* arg, size_t task, int worker) {
  (void)worker;
  const table_job* job = arg;
  size_t first, last;
  kp_share(job->count, job->tasks, task, &first, &last);
  map_bytes(job->table, job->x + first, last - first, job->y + first);
}

static float sigmoid(float x, float a) {
  (void)a;
  return (float)(1 / (1 + exp(-(double)x)));
}
static float leaky(float x, float a) { return x >= 0 ? x : a * x; }

static kp_status* unary_run(const kp_op_run* run) {
  const kapell_type type = run->inputs[0]->type;
  kp_quant8 x, y;
  uint8_t table[256];
  KP_PASS(kp_quant8_read(run, 1, 2, type, &x));
  KP_PASS(kp_quant8_read(run, 3, 4, type, &y));
  const bool is_sigmoid = strcmp(run->node->op, "QLinearSigmoid") == 0;
  kp_quant8_table(&x, &y, is_sigmoid ? sigmoid : leaky, kp_node_attr_f(run->node, "alpha", 0.01f),
                  table);
  table_job job = {.x = run->inputs[0]->data,
                   .y = run->outputs[0]->data,
                   .table = table,
                   .count = kp_value_count(run->inputs[0])};
  const int threads = kp_op_width(run->width, job.count);
  job.tasks = (size_t)threads;
  kp_parallel_for(threads, job.tasks, table_task, &job);
  return NULL;
}

// --- QLinearWhere ------------------------------------------------------------------------------------------------------------
static kp_status* where_plan(kp_op_plan* plan) {
  kp_map* map = kp_arena_new(plan->arena, kp_map);
  if (!map) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = map;
  const kapell_value* inputs[] = {plan->inputs[0], plan->inputs[1], plan->inputs[4]};
  return kp_map_init(map, plan->arena, 3, inputs, plan->outputs[0]);
}

static void where_rows(const void* context, const kp_map_block* block) {
  const uint8_t(*tables)[256] = context;
  for (size_t r = 0; r < block->rows; ++r) {
    const uint8_t* condition = (const uint8_t*)block->in[0] + r * block->row[0];
    const uint8_t* x = (const uint8_t*)block->in[1] + r * block->row[1];
    const uint8_t* y = (const uint8_t*)block->in[2] + r * block->row[2];
    uint8_t* z = (uint8_t*)block->out + r * block->cols;
    for (size_t c = 0; c < block->cols; ++c)
      z[c] = condition[c * block->step[0]] ? tables[0][x[c * block->step[1]]]
                                           : tables[1][y[c * block->step[2]]];
  }
}

static kp_status* where_run(const kp_op_run* run) {
  const kapell_type type = run->inputs[1]->type;
  kp_quant8 x, y, z;
  uint8_t tables[2][256];
  KP_PASS(kp_quant8_read(run, 2, 3, type, &x));
  KP_PASS(kp_quant8_read(run, 5, 6, type, &y));
  KP_PASS(kp_quant8_read(run, 7, 8, type, &z));
  kp_quant8_table(&x, &z, NULL, 0, tables[0]);
  kp_quant8_table(&y, &z, NULL, 0, tables[1]);
  const void* in[] = {run->inputs[0]->data, run->inputs[1]->data, run->inputs[4]->data};
  kp_map_run(run->params, where_rows, tables, in, (const size_t[]){1, 1, 1}, run->outputs[0]->data,
             1, run->width, 2);
  return NULL;
}

// --- QLinearConcat -----------------------------------------------------------------------------------------------------------
typedef struct concat_job {
  const uint8_t* x;
  uint8_t* y;
  size_t run_bytes, y_bytes;  // of one outer index, in the input and in the output
  bool same;
  uint8_t table[256];
} concat_job;

static void concat_task(void* arg, size_t outer, int worker) {
  (void)worker;
  const concat_job* job = arg;
  const uint8_t* x = job->x + outer * job->run_bytes;
  uint8_t* y = job->y + outer * job->y_bytes;
  if (job->same)
    memcpy(y, x, job->run_bytes);
  else
    map_bytes(job->table, x, job->run_bytes, y);
}

static kp_status* concat_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  int32_t axis;
  const int64_t stated = kp_node_attr_i(run->node, "axis", 0);
  if (!kp_axis(stated, y->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)y->rank);
  kp_quant8 from, to;
  KP_PASS(kp_quant8_read(run, 0, 1, y->type, &to));
  const size_t outer = kp_span(y, 0, axis);
  size_t offset = 0;
  for (uint32_t i = 2; i + 1 < run->node->input_count; i += 3) {
    const kapell_value* x = run->inputs[i];
    if (!kp_present(x) || x->type != y->type)
      return KP_ERROR(RUN_FAILED, "input %u is not of type %s", (unsigned)i, kp_type_name(y->type));
    KP_PASS(kp_quant8_read(run, i + 1, i + 2, y->type, &from));
    concat_job job = {.x = x->data,
                      .y = (uint8_t*)y->data + offset,
                      .run_bytes = kp_span(x, axis, x->rank),
                      .y_bytes = kp_span(y, axis, y->rank),
                      .same = from.scale == to.scale && from.zero == to.zero};
    kp_quant8_table(&from, &to, NULL, 0, job.table);
    offset += job.run_bytes;
    if (!job.run_bytes) continue;
    kp_parallel_for(kp_op_width(run->width, outer * job.run_bytes / (job.same ? 8 : 1)), outer,
                    concat_task, &job);
  }
  return NULL;
}

// --- QLinearSoftmax ----------------------------------------------------------------------------------------------------------
typedef struct softmax_params {
  size_t outer, count, inner;  // [outer][count][inner], along |count|
} softmax_params;

static kp_status* softmax_plan(kp_op_plan* plan) {
  softmax_params* params = kp_arena_new(plan->arena, softmax_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value* x = plan->inputs[0];
  const bool flat = kp_node_attr_i(plan->node, "opset", 13) < 13;
  const int64_t stated = kp_node_attr_i(plan->node, "axis", flat ? 1 : -1);
  int32_t axis = 0;
  if (flat && stated == x->rank)
    axis = x->rank;
  else if (x->rank && !kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  params->outer = kp_span(x, 0, axis);
  params->count = flat ? kp_span(x, axis, x->rank) : x->rank ? (size_t)x->dims[axis] : 1;
  params->inner = flat || !x->rank ? 1 : kp_span(x, axis + 1, x->rank);
  return NULL;
}

typedef struct softmax_job {
  const kp_op_run* run;
  kp_quant8 to;
  uint8_t flip;       // turns bytes into numbers that order as unsigned
  float powers[256];  // powers[d]: exp of -d steps
  size_t lines, tasks;
} softmax_job;

static void softmax_line(const softmax_job* job, size_t line) {
  const softmax_params* p = job->run->params;
  const size_t at = line / p->inner * p->count * p->inner + line % p->inner;
  const uint8_t* x = (const uint8_t*)job->run->inputs[0]->data + at;
  uint8_t* y = (uint8_t*)job->run->outputs[0]->data + at;
  uint8_t most = 0;
  for (size_t i = 0; i < p->count; ++i) {
    const uint8_t v = x[i * p->inner] ^ job->flip;
    most = v > most ? v : most;
  }
  double sum = 0;
  for (size_t i = 0; i < p->count; ++i)
    sum += (double)job->powers[most - (x[i * p->inner] ^ job->flip)];
  uint8_t table[256];
  for (unsigned d = 0; d <= most; ++d)
    table[most - d] = kp_quant8_of(&job->to, (float)((double)job->powers[d] / sum));
  for (size_t i = 0; i < p->count; ++i) y[i * p->inner] = table[x[i * p->inner] ^ job->flip];
}

static void softmax_task(void* arg, size_t task, int worker) {
  (void)worker;
  const softmax_job* job = arg;
  size_t first, last;
  kp_share(job->lines, job->tasks, task, &first, &last);
  for (size_t line = first; line < last && !kp_cancelled(job->run); ++line) softmax_line(job, line);
}

static kp_status* softmax_run(const kp_op_run* run) {
  const softmax_params* params = run->params;
  softmax_job job = {.run = run, .lines = params->outer * params->inner};
  kp_quant8 from;
  KP_PASS(kp_quant8_read(run, 1, 2, run->inputs[0]->type, &from));
  KP_PASS(kp_quant8_read(run, 3, 4, run->inputs[0]->type, &job.to));
  if (!job.lines || !params->count) return NULL;
  job.flip = from.is_signed ? 0x80 : 0;
  for (int d = 0; d < 256; ++d) job.powers[d] = (float)exp(-(double)d * (double)from.scale);
  const int threads = kp_op_width(run->width, job.lines * (params->count * 3 + 256));
  job.tasks = (size_t)threads;
  kp_parallel_for(threads, job.tasks, softmax_task, &job);
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
#define M_BYTES (KP_M(INT8) | KP_M(UINT8))
static const kp_op_def ops[] = {  // spec: ONNX Runtime, docs/ContribOperators.md
    {.domain = MS, .name = "QLinearAdd", .since = 1, .types = M_BYTES, .prepare = pair_prepare, .plan = pair_plan, .run = pair_run,
     .kernels = "8-bit: qlinear"},
    {.domain = MS, .name = "QLinearMul", .since = 1, .types = M_BYTES, .prepare = pair_prepare, .plan = pair_plan, .run = pair_run,
     .kernels = "8-bit: qlinear"},
    {.domain = MS, .name = "QLinearSigmoid", .since = 1, .types = M_BYTES, .run = unary_run, .flags = KP_OP_INPLACE},
    {.domain = MS, .name = "QLinearLeakyRelu", .since = 1, .types = M_BYTES, .run = unary_run, .flags = KP_OP_INPLACE},
    {.domain = MS, .name = "QLinearSoftmax", .since = 1, .types = M_BYTES, .plan = softmax_plan, .run = softmax_run,
     .flags = KP_OP_INPLACE},
    {.domain = MS, .name = "QLinearWhere", .since = 1, .types = KP_M(BOOL), .plan = where_plan, .run = where_run},
    {.domain = MS, .name = "QLinearConcat", .since = 1, .run = concat_run},
};
// clang-format on
KP_OP_TABLE(qlinear);
