// Attention of com.microsoft: the projections of query, key and value are one product inside of it.
//
//   inputs   input [batch, length, features], weights [features, q + k + v], bias, mask_index, past [2, batch, heads, length, size],
//            attention_bias, past_sequence_length
//   outputs  output [batch, length, v], present [2, batch, heads, length, size]
#include "provider/cpu/op/attention/attention_multi.h"
#include "provider/cpu/packed.h"

typedef struct packed_state {
  const kp_attention_ops* ops;
  const kp_gemm_ops* gemm;
  const float* packed;  // the weights, where they are a constant
  int64_t heads;
  float scale, filter;
  bool causal, shared, rotary;
} packed_state;

typedef struct packed_params {
  kp_multi multi;
  kp_gemm_plan gemm;
  size_t rows, features, hidden, v_hidden;
  size_t projected, worker_bytes, workers;  // in the scratch
  size_t half;                              // elements of past and of present in each of its halves
  size_t past_half;
} packed_params;

static kp_status* packed_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  packed_state* s = kp_arena_new(prepare->arena, packed_state);
  if (!s) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = s;
  prepare->kernel = "attention_f32";
  s->ops = kp_attention_select(prepare->features);
  s->gemm = kp_gemm_select(prepare->features);
  s->heads = kp_node_attr_i(node, "num_heads", 0);
  s->scale = kp_node_attr_f(node, "scale", 0);
  s->filter = kp_node_attr_f(node, "mask_filter_value", -10000);
  s->causal = kp_node_attr_i(node, "unidirectional", 0) != 0;
  s->shared = kp_node_attr_i(node, "past_present_share_buffer", 0) != 0;
  s->rotary = kp_node_attr_i(node, "do_rotary", 0) != 0;
  const kapell_value* w = kp_prepare_constant(prepare, 1);
  if (!w || w->rank != 2) return NULL;
  const size_t k = (size_t)w->dims[0], n = (size_t)w->dims[1],
               floats = kp_gemm_packed_b_size(s->gemm, k, n);
  const kp_packed_form form = {.ops = s->gemm};  // as a product that is not transposed
  bool done;
  float* packed = kp_prepare_packed_once(prepare, 1, &form, floats * sizeof(float), &done);
  if (!packed) return KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", floats);
  if (!done) {
    kp_gemm_pack_b(s->gemm, k, 0, n, w->data, n, false, packed);
    packed = kp_prepare_settle(prepare, packed);
  }
  s->packed = packed;
  prepare->consumed[1] = true;
  return NULL;
}

// Query, key and value as they lie in the rows of the product.
static kp_status* read_parts(const kp_op_plan* plan, packed_params* p) {
  const packed_state* s = plan->state;
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *bias = kp_plan_input(plan, 2);
  size_t count;
  const int64_t* sizes = kp_node_attr_ints(plan->node, "qkv_hidden_sizes", &count);
  const int64_t whole = w->dims[1], third = whole / 3;
  const int64_t q = count == 3 ? sizes[0] : third, k = count == 3 ? sizes[1] : third,
                v = count == 3 ? sizes[2] : third;
  if (x->rank != 3 || w->rank != 2 || x->dims[2] != w->dims[0] || s->heads < 1 || q < 1 || v < 1 ||
      q != k || q % s->heads || v % s->heads || q > whole || v > whole || q + k + v != whole ||
      (bias && kp_value_count(bias) != (size_t)whole))
    return KP_ERROR(INVALID_INPUT,
                    "weights of %lld columns do not hold query, key and value of %lld heads",
                    (long long)whole, (long long)s->heads);
  p->rows = kp_span(x, 0, 2);
  p->features = (size_t)x->dims[2];
  p->hidden = (size_t)q;
  p->v_hidden = (size_t)v;
  const int64_t dims[3] = {x->dims[0], x->dims[1], q};
  kp_heads h = kp_heads_packed(KAPELL_FLOAT, dims, (size_t)s->heads);
  h.row_stride = (size_t)whole;
  h.batch_stride = h.length * h.row_stride;
  p->multi.q = p->multi.k = p->multi.v = h;
  p->multi.v.head_stride = p->multi.v.width = (size_t)(v / s->heads);
  return NULL;
}

static kp_status* read_past(const kp_op_plan* plan, packed_params* p) {
  const packed_state* s = plan->state;
  const kapell_value* past = kp_plan_input(plan, 4);
  kp_multi* m = &p->multi;
  m->keep_k = m->keep_v = plan->node->output_count > 1 && kp_present(plan->outputs[1]);
  if (m->keep_k) p->half = kp_value_count(plan->outputs[1]) / 2;
  if (m->keep_k && m->q.width != m->v.width && past)
    return KP_ERROR(INVALID_INPUT, "a past needs keys and values of one size");
  m->shared = s->shared && past;
  if (!past) return NULL;
  if (past->rank != 5 || past->dims[0] != 2)
    return KP_ERROR(INVALID_INPUT, "past has rank %d; expected [2, batch, heads, length, size]",
                    (int)past->rank);
  m->has_past = true;
  m->past = m->v_past = kp_heads_4d(KAPELL_FLOAT, past->dims + 1, false);
  p->past_half = kp_value_count(past) / 2;
  return NULL;
}

static kp_status* plan_product(kp_op_plan* plan, packed_params* p, size_t* total) {
  const packed_state* s = plan->state;
  const size_t n = 2 * p->hidden + p->v_hidden;
  const kp_gemm_shape shape = {1, p->rows, n, p->features,
                               s->packed ? KP_GEMM_B_PACKED : KP_GEMM_B_PLAIN};
  const int threads = kp_op_width(plan->width, p->rows * n * p->features / 16);
  kp_gemm_plan_init(s->gemm, &shape, (size_t)threads, &p->gemm);
  size_t unused;
  KP_PASS(kp_attend_room(&p->worker_bytes, p->gemm.scratch_bytes, 1, &unused));
  KP_PASS(kp_attend_room(total, p->rows * n, sizeof(float), &p->projected));
  return kp_attend_room(total, p->worker_bytes, (size_t)plan->width, &p->workers);
}

static kp_status* packed_plan(kp_op_plan* plan) {
  const packed_state* s = plan->state;
  packed_params* p = kp_arena_new(plan->arena, packed_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  KP_PASS(read_parts(plan, p));
  KP_PASS(read_past(plan, p));
  KP_PASS(plan_product(plan, p, &plan->scratch_bytes));
  kp_multi* m = &p->multi;
  m->y = kp_heads_packed(KAPELL_FLOAT, plan->outputs[0]->dims, m->q.heads);
  m->scale = s->scale;
  m->causal = s->causal;
  const int64_t turned = kp_node_attr_i(plan->node, "rotary_embedding_dim", 0);
  if (s->rotary) m->turn = (turned > 0 ? (size_t)turned : m->q.width) / 2;
  if (2 * m->turn > m->q.width)
    return KP_ERROR(INVALID_INPUT, "rotary_embedding_dim %lld; a head has %zu numbers",
                    (long long)turned, m->q.width);
  return kp_multi_plan(m, s->ops, kp_plan_input(plan, 3), kp_plan_input(plan, 5), plan->width,
                       &plan->scratch_bytes);
}

// --- run ----------------------------------------------------------------------------------------------------------------------
typedef struct product_job {
  const kp_op_run* run;
  const packed_params* p;
  kp_gemm_args args;
} product_job;

static void product_task(void* arg, size_t task, int worker) {
  const product_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_gemm_run_task(
      &job->p->gemm, &job->args, task,
      (char*)job->run->scratch + job->p->workers + (size_t)worker * job->p->worker_bytes);
}

static const float* project(const kp_op_run* run) {
  const packed_state* s = run->state;
  const packed_params* p = run->params;
  const kapell_value* bias = kp_run_input(run, 2);
  const size_t n = 2 * p->hidden + p->v_hidden;
  product_job job = {run, p, {.a = run->inputs[0]->data, .a_stride = p->features}};
  job.args.b = s->packed ? s->packed : run->inputs[1]->data;
  job.args.b_stride = n;
  job.args.c = (float*)(void*)((char*)run->scratch + p->projected);
  job.args.c_stride = n;
  job.args.epilogue = (kp_epilogue)KP_EPILOGUE_NONE;
  if (bias) job.args.epilogue.bias_n = bias->data;
  kp_parallel_for_dynamic(run->width, p->gemm.task_count, product_task, &job);
  return job.args.c;
}

static kp_status* packed_run(const kp_op_run* run) {
  const packed_state* s = run->state;
  const packed_params* p = run->params;
  const kapell_value* past = kp_run_input(run, 4);
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
                              .mask = kp_run_input(run, 3),
                              .added = kp_run_input(run, 5),
                              .past_length = kp_run_input(run, 6),
                              .filter = s->filter};
  return kp_multi_run(&p->multi, &data, run);
}

static const kp_op_def ops[] = {
    // spec: ONNX Runtime, ContribOperators.md
    {.domain = "com.microsoft",
     .name = "Attention",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .prepare = packed_prepare,
     .plan = packed_plan,
     .run = packed_run,
     .flags = KP_OP_WIDEN,
     .kernels = "f32: gemm, attention",
     .aliases = {{1, 4}}},
};
KP_OP_TABLE(attention_packed);
