// MultiHeadAttention and DecoderMaskedMultiHeadAttention of com.microsoft: query, key and value projected already, in any of their
// layouts.
//
//   query  [batch, length, hidden], or all three side by side: [batch, length, heads, 3, size]; [batch, 1, 3 * hidden] in the decoder's
//   key    [batch, keys, hidden], or key and value: [batch, keys, heads, 2, size], or a cache: [batch, heads, keys, size]
#include "provider/cpu/op/attention/attention_multi.h"

// Which input is which; -1: the operator has none.
typedef struct heads_inputs {
  int8_t bias, mask, added, past_k, past_v, past_length, beam_width, indirection;
} heads_inputs;
static const heads_inputs kMulti = {3, 4, 5, 6, 7, 8, -1, 9};
static const heads_inputs kDecoder = {10, 3, 4, 5, 6, 7, 8, 9};

typedef struct heads_state {
  const kp_attention_ops* ops;
  heads_inputs in;
  int64_t heads;
  float scale, filter;
  bool causal, shared;
} heads_state;

static kp_status* heads_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  heads_state* s = kp_arena_new(prepare->arena, heads_state);
  if (!s) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = s;
  prepare->kernel = "attention_f32";
  s->ops = kp_attention_select(prepare->features);
  s->in = kp_node_is(node, "com.microsoft", "MultiHeadAttention") ? kMulti : kDecoder;
  s->heads = kp_node_attr_i(node, "num_heads", 0);
  s->scale = kp_node_attr_f(node, "scale", 0);
  s->filter = kp_node_attr_f(node, "mask_filter_value", -10000);
  s->causal = kp_node_attr_i(node, "unidirectional", 0) != 0;
  s->shared = kp_node_attr_i(node, "past_present_share_buffer", 0) != 0;
  return NULL;
}

static const kapell_value* planned(const kp_op_plan* plan, int8_t input) {
  return input < 0 ? NULL : kp_plan_input(plan, (uint32_t)input);
}

static const kapell_value* given(const kp_op_run* run, int8_t input) {
  return input < 0 ? NULL : kp_run_input(run, (uint32_t)input);
}

// Part |part| of |parts| that lie side by side behind each head's |size| numbers: [batch, length, heads, parts, size].
static kp_heads interleaved(const kapell_value* x, size_t parts) {
  kp_heads h = kp_heads_dense(x->type, (size_t)x->dims[0], (size_t)x->dims[2], (size_t)x->dims[1],
                              (size_t)x->dims[4]);
  h.head_stride = parts * h.width;
  h.row_stride = h.heads * h.head_stride;
  h.batch_stride = h.length * h.row_stride;
  return h;
}

static kp_status* misfit(const kp_op_plan* plan) {
  const heads_state* s = plan->state;
  return KP_ERROR(INVALID_INPUT,
                  "query, key and value have none of the layouts of an attention of %lld heads",
                  (long long)s->heads);
}

static bool divides(int64_t heads, const kapell_value* x) {
  return x->rank == 3 && heads > 0 && x->dims[2] % heads == 0;
}

static kp_status* read_keys(const kp_op_plan* plan, const kapell_value* k, const kapell_value* v,
                            kp_multi* m) {
  const heads_state* s = plan->state;
  const size_t heads = (size_t)s->heads;
  if (k->rank == 5 && k->dims[3] == 2 && k->dims[2] == s->heads && !v) {
    m->k = m->v = interleaved(k, 2);
    return NULL;
  }
  if (!v || k->rank != v->rank) return misfit(plan);
  if (k->rank == 4 && k->dims[1] == s->heads && v->dims[1] == s->heads) {
    m->k = kp_heads_4d(k->type, k->dims, false);
    m->v = kp_heads_4d(v->type, v->dims, false);
    m->whole = true;
    return NULL;
  }
  if (!divides(s->heads, k) || !divides(s->heads, v)) return misfit(plan);
  m->k = kp_heads_packed(k->type, k->dims, heads);
  m->v = kp_heads_packed(v->type, v->dims, heads);
  return NULL;
}

// query, key and value side by side in each row; the width of a head is that of the past, or a third.
static kp_status* read_packed(const kp_op_plan* plan, const kapell_value* q,
                              const kapell_value* past, kp_multi* m) {
  const heads_state* s = plan->state;
  const int64_t size = past && past->rank == 4 ? past->dims[3] : q->dims[2] / (3 * s->heads),
                rest = q->dims[2] - 2 * size * s->heads;
  if (size < 0 || rest < 0 || rest % s->heads) return misfit(plan);
  kp_heads h = kp_heads_packed(q->type, q->dims, (size_t)s->heads);
  h.head_stride = h.width = (size_t)size;
  m->q = m->k = m->v = h;
  m->v.head_stride = m->v.width = (size_t)(rest / s->heads);
  return NULL;
}

static kp_status* read_layout(const kp_op_plan* plan, kp_multi* m) {
  const heads_state* s = plan->state;
  const kapell_value *q = plan->inputs[0], *k = kp_plan_input(plan, 1), *v = kp_plan_input(plan, 2);
  if (q->rank == 5 && q->dims[3] == 3 && q->dims[2] == s->heads && !k) {
    m->q = m->k = m->v = interleaved(q, 3);
    return NULL;
  }
  if (!divides(s->heads, q)) return misfit(plan);
  if (!k) return read_packed(plan, q, planned(plan, s->in.past_k), m);
  m->q = kp_heads_packed(q->type, q->dims, (size_t)s->heads);
  return read_keys(plan, k, v, m);
}

static kp_status* read_past(const kp_op_plan* plan, kp_multi* m) {
  const heads_state* s = plan->state;
  const kapell_value *past_k = planned(plan, s->in.past_k), *past_v = planned(plan, s->in.past_v),
                     *beams = planned(plan, s->in.indirection), *bias = planned(plan, s->in.bias);
  if ((past_k == NULL) != (past_v == NULL) || (past_k && (past_k->rank != 4 || past_v->rank != 4)))
    return KP_ERROR(INVALID_INPUT, "past_key and past_value go together, both of rank 4");
  m->has_past = past_k != NULL;
  if (past_k) {
    m->past = kp_heads_4d(past_k->type, past_k->dims, false);
    m->v_past = kp_heads_4d(past_v->type, past_v->dims, false);
    m->shared = s->shared || planned(plan, s->in.past_length);
  }
  m->biased = bias != NULL;
  if (bias && kp_value_count(bias) != m->q.heads * (2 * m->q.width + m->v.width))
    return KP_ERROR(INVALID_INPUT, "a bias of %zu numbers; expected %zu", kp_value_count(bias),
                    m->q.heads * (2 * m->q.width + m->v.width));
  if (!beams || m->whole) return NULL;
  m->beams = beams->rank == 3 ? (size_t)beams->dims[1] : 0;
  if (m->beams && (size_t)beams->dims[0] * m->beams == m->q.batch && m->shared &&
      beams->dims[2] >= past_k->dims[2])
    return NULL;
  return KP_ERROR(INVALID_INPUT, "cache_indirection does not fit %zu sequences with their caches",
                  m->q.batch);
}

static void read_outputs(const kp_op_plan* plan, kp_multi* m) {
  const uint32_t count = plan->node->output_count;
  m->keep_k = count > 1 && kp_present(plan->outputs[1]);
  m->keep_v = count > 2 && kp_present(plan->outputs[2]);
  m->wants_scores = count > 3 && kp_present(plan->outputs[3]);
  if (m->wants_scores) {
    m->scores_type = plan->outputs[3]->type;
    m->scores_keys = (size_t)plan->outputs[3]->dims[3];
  }
  m->y = kp_heads_packed(plan->outputs[0]->type, plan->outputs[0]->dims, m->q.heads);
}

static kp_status* heads_plan(kp_op_plan* plan) {
  const heads_state* s = plan->state;
  kp_multi* m = kp_arena_new(plan->arena, kp_multi);
  if (!m) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = m;
  KP_PASS(read_layout(plan, m));
  KP_PASS(read_past(plan, m));
  read_outputs(plan, m);
  m->scale = s->scale;
  m->causal = s->causal;
  return kp_multi_plan(m, s->ops, planned(plan, s->in.mask), planned(plan, s->in.added),
                       plan->width, &plan->scratch_bytes);
}

static kp_status* heads_run(const kp_op_run* run) {
  const heads_state* s = run->state;
  const kp_multi* m = run->params;
  const kapell_value *q = run->inputs[0], *k = kp_run_input(run, 1), *v = kp_run_input(run, 2);
  const kapell_value *past_k = given(run, s->in.past_k), *past_v = given(run, s->in.past_v);
  kapell_value *present_k = kp_run_result(run, 1), *present_v = kp_run_result(run, 2),
               *scores = kp_run_result(run, 3);
  // What lies side by side begins so many numbers further.
  const size_t each = kp_type_bits(q->type) / 8, hidden = m->q.heads * m->q.width;
  const size_t apart = q->rank == 5 || (k && k->rank == 5) ? m->q.width : hidden;
  const char *from = q->data, *keys = k ? k->data : from + apart * each;
  const kp_multi_data data = {.q = from,
                              .k = keys,
                              .v = v ? (const char*)v->data : keys + apart * each,
                              .past_k = past_k ? past_k->data : NULL,
                              .past_v = past_v ? past_v->data : NULL,
                              .present_k = present_k ? present_k->data : NULL,
                              .present_v = present_v ? present_v->data : NULL,
                              .y = run->outputs[0]->data,
                              .scores = scores ? scores->data : NULL,
                              .bias = given(run, s->in.bias),
                              .mask = given(run, s->in.mask),
                              .added = given(run, s->in.added),
                              .past_length = given(run, s->in.past_length),
                              .indirection = given(run, s->in.indirection),
                              .filter = s->filter};
  return kp_multi_run(m, &data, run);
}

static const kp_op_def ops[] = {
    // spec: ONNX Runtime, ContribOperators.md
    {.domain = "com.microsoft",
     .name = "MultiHeadAttention",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .prepare = heads_prepare,
     .plan = heads_plan,
     .run = heads_run,
     .kernels = "f32, f16, bf16: attention",
     .aliases = {{1, 6}, {2, 7}}},
    {.domain = "com.microsoft",
     .name = "DecoderMaskedMultiHeadAttention",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .prepare = heads_prepare,
     .plan = heads_plan,
     .run = heads_run,
     .kernels = "f32, f16, bf16: attention",
     .aliases = {{1, 5}, {2, 6}}},
};
KP_OP_TABLE(attention_heads);
