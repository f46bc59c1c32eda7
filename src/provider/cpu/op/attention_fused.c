// kapell.Attention: softmax(scale * Q K^T + mask) V, f32, made by fuse/attention.c.
//
//   inputs   Q, K, V of rank 4, mask of rank 1 to 4 that broadcasts to [batch, heads, queries, keys] or absent
//   output   rank 4
//   attributes  scale; q_rows, k_rows, v_rows, y_rows: 1 = [batch, sequence, head, i], 0 = [batch, head, sequence, i]
#include "provider/cpu/kernel/attention/attention.h"
#include "provider/cpu/op/help.h"

typedef struct kp_attention_state {
  const kp_attention_ops* ops;
  float scale;
  bool rows[4];  // q, k, v, y
} kp_attention_state;

typedef struct kp_attention_params {
  kp_attention_plan plan;
  size_t worker_bytes;
} kp_attention_params;

// A rank-4 tensor seen as batch, head, sequence, i.
typedef struct kp_heads {
  size_t batch, heads, length, width;
  size_t batch_stride, head_stride, row_stride;
} kp_heads;

static kp_heads heads_of(const int64_t* dims, bool rows) {
  kp_heads h = {.batch = (size_t)dims[0],
                .heads = (size_t)dims[rows ? 2 : 1],
                .length = (size_t)dims[rows ? 1 : 2],
                .width = (size_t)dims[3]};
  h.batch_stride = h.heads * h.length * h.width;
  h.head_stride = rows ? h.width : h.length * h.width;
  h.row_stride = rows ? h.heads * h.width : h.width;
  return h;
}

static void read_rows(const kp_node* node, bool* rows) {
  static const char* const names[4] = {"q_rows", "k_rows", "v_rows", "y_rows"};
  for (int i = 0; i < 4; ++i) rows[i] = kp_node_attr_i(node, names[i], 0) != 0;
}

static kp_status* check_shapes(const kp_heads* q, const kp_heads* k, const kp_heads* v) {
  if (q->batch == k->batch && q->batch == v->batch && q->heads == k->heads &&
      q->heads == v->heads && q->width == k->width && k->length == v->length)
    return NULL;
  return KP_ERROR(INVALID_INPUT,
                  "attention of Q [%zu,%zu,%zu,%zu], K [%zu,%zu,%zu,%zu], V [%zu,%zu,%zu,%zu]",
                  q->batch, q->heads, q->length, q->width, k->batch, k->heads, k->length, k->width,
                  v->batch, v->heads, v->length, v->width);
}

static kp_status* attention_infer(kp_infer* infer) {
  bool rows[4];
  read_rows(infer->node, rows);
  for (int i = 0; i < 3; ++i)
    if (!infer->inputs[i] || infer->inputs[i]->rank != 4)
      return KP_ERROR(INTERNAL, "a fused attention of another rank than 4");
  const kp_heads q = heads_of(infer->inputs[0]->dims, rows[0]),
                 k = heads_of(infer->inputs[1]->dims, rows[1]),
                 v = heads_of(infer->inputs[2]->dims, rows[2]);
  KP_PASS(check_shapes(&q, &k, &v));
  int64_t* dims = kp_arena_new_array(infer->arena, int64_t, 4);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "shapes");
  dims[0] = (int64_t)q.batch;
  dims[rows[3] ? 2 : 1] = (int64_t)q.heads;
  dims[rows[3] ? 1 : 2] = (int64_t)q.length;
  dims[3] = (int64_t)v.width;
  infer->outputs[0] =
      (kp_type){.kind = KAPELL_KIND_TENSOR, .element = KAPELL_FLOAT, .rank = 4, .dims = dims};
  return NULL;
}

static kp_status* attention_prepare(kp_op_prepare* prepare) {
  kp_attention_state* state = kp_arena_new(prepare->arena, kp_attention_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  prepare->kernel = "attention_f32";
  state->ops = kp_attention_select(prepare->features);
  state->scale = kp_node_attr_f(prepare->node, "scale", 1);
  read_rows(prepare->node, state->rows);
  return NULL;
}

static kp_status* attention_plan(kp_op_plan* plan) {
  const kp_attention_state* state = plan->state;
  kp_attention_params* params = kp_arena_new(plan->arena, kp_attention_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kp_heads q = heads_of(plan->inputs[0]->dims, state->rows[0]),
                 k = heads_of(plan->inputs[1]->dims, state->rows[1]);
  const kp_heads v = heads_of(plan->inputs[2]->dims, state->rows[2]);
  const kapell_value* mask = kp_plan_input(plan, 3);
  const int64_t full[4] = {(int64_t)q.batch, (int64_t)q.heads, (int64_t)q.length,
                           (int64_t)k.length};
  for (int32_t d = 0; mask && d < mask->rank; ++d) {
    const int64_t own = mask->dims[d], want = full[4 - mask->rank + d];
    if (own != want && (own != 1 || d == mask->rank - 1))
      return KP_ERROR(INVALID_INPUT,
                      "the mask of an attention has %lld on axis %d where the scores have %lld",
                      (long long)own, d, (long long)want);
  }
  const kp_attention_shape shape = {.batch = q.batch,
                                    .heads = q.heads,
                                    .kv_heads = k.heads,
                                    .q_len = q.length,
                                    .kv_len = k.length,
                                    .head_dim = q.width,
                                    .v_dim = v.width};
  const size_t work = q.batch * q.heads * q.length * k.length * (q.width + v.width);
  kp_attention_plan_init(state->ops, &shape, (size_t)kp_op_width(plan->width, work / 16),
                         &params->plan);
  params->worker_bytes =
      (params->plan.scratch_bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  plan->scratch_bytes = params->worker_bytes * (size_t)plan->width;
  return NULL;
}

typedef struct kp_attention_job {
  const kp_op_run* run;
  const kp_attention_params* params;
  kp_attention_args args;
} kp_attention_job;

static void attention_task(void* arg, size_t task, int worker) {
  const kp_attention_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_attention_run_task(&job->params->plan, &job->args, task,
                        (char*)job->run->scratch + (size_t)worker * job->params->worker_bytes);
}

static void set_mask(kp_attention_args* args, const kapell_value* mask) {
  size_t strides[4] = {0}, stride = 1;
  for (int32_t d = mask->rank; d-- > 0; stride *= (size_t)mask->dims[d])
    strides[4 - mask->rank + d] = mask->dims[d] == 1 ? 0 : stride;
  args->mask = mask->data;
  args->mask_batch = strides[0];
  args->mask_head = strides[1];
  args->mask_row = strides[2];
}

static kp_status* attention_run(const kp_op_run* run) {
  const kp_attention_state* state = run->state;
  if (!kp_value_count(run->outputs[0])) return NULL;
  const kp_heads q = heads_of(run->inputs[0]->dims, state->rows[0]),
                 k = heads_of(run->inputs[1]->dims, state->rows[1]);
  const kp_heads v = heads_of(run->inputs[2]->dims, state->rows[2]),
                 y = heads_of(run->outputs[0]->dims, state->rows[3]);
  kp_attention_job job = {.run = run, .params = run->params};
  job.args = (kp_attention_args){.q = run->inputs[0]->data,
                                 .q_batch = q.batch_stride,
                                 .q_row = q.row_stride,
                                 .q_head = q.head_stride,
                                 .k = run->inputs[1]->data,
                                 .k_batch = k.batch_stride,
                                 .k_row = k.row_stride,
                                 .k_head = k.head_stride,
                                 .v = run->inputs[2]->data,
                                 .v_batch = v.batch_stride,
                                 .v_row = v.row_stride,
                                 .v_head = v.head_stride,
                                 .out = run->outputs[0]->data,
                                 .out_batch = y.batch_stride,
                                 .out_row = y.row_stride,
                                 .out_head = y.head_stride,
                                 .scale = state->scale};
  const kapell_value* mask = kp_run_input(run, 3);
  if (mask) set_mask(&job.args, mask);
  kp_parallel_for_dynamic(run->width, job.params->plan.task_count, attention_task, &job);
  return NULL;
}

static const kp_op_def ops[] = {
    {.domain = "kapell",
     .name = "Attention",
     .since = 1,
     .types = KP_M(FLOAT),
     .prepare = attention_prepare,
     .plan = attention_plan,
     .run = attention_run,
     .infer = attention_infer,
     .kernels = "f32: attention"},
};
KP_OP_TABLE(attention_fused);
