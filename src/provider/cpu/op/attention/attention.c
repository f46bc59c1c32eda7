// Attention of ai.onnx, all versions: options to one kp_attend, caches copied into the present outputs; op/attend.h computes.
//
//   inputs   Q, K, V [batch, heads, length, size] or [batch, length, heads * size]; attn_mask; past_key, past_value; nonpad_kv_seqlen
//   outputs  Y, present_key, present_value, qk_matmul_output
#include <math.h>

#include "provider/cpu/op/attention/attend.h"

typedef struct attention_state {
  const kp_attention_ops* ops;
  float scale;  // NaN: by the head size
  float softcap;
  int64_t q_heads, kv_heads;
  ptrdiff_t left, right;
  bool causal;
  int64_t mode;
  kapell_type soft_type;
} attention_state;

typedef struct attention_params {
  kp_attend attend;
  kp_heads new_k, new_v, past_k, past_v;
  size_t offset;              // position of the first query without nonpad_kv_seqlen
  size_t k_offset, v_offset;  // of past and new together, where there is no such output
  size_t spans_offset, engine_offset;
} attention_params;

static kp_reason attention_supports(const kp_op_query* query) {
  const kp_node* node = query->node;
  const int64_t left = kp_node_attr_i(node, "left_window_size", -1),
                right = kp_node_attr_i(node, "right_window_size", -1),
                mode = kp_node_attr_i(node, "qk_matmul_output_mode", 0);
  KP_REQUIRE(query, left >= -1 && right >= -1, "windows of %lld and %lld keys; expected -1 or more",
             (long long)left, (long long)right);
  KP_REQUIRE(query, mode >= 0 && mode <= 3, "qk_matmul_output_mode %lld; expected 0 to 3",
             (long long)mode);
  return KP_SUPPORTED;
}

static ptrdiff_t bound_of(int64_t window) {
  return (ptrdiff_t)kp_min_i64(window, INT64_C(1) << 60);
}

static kp_status* attention_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  attention_state* state = kp_arena_new(prepare->arena, attention_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  prepare->kernel = "attention_f32";
  state->ops = kp_attention_select(prepare->features);
  state->scale = kp_node_attr_f(node, "scale", NAN);
  state->softcap = kp_node_attr_f(node, "softcap", 0);
  state->q_heads = kp_node_attr_i(node, "q_num_heads", 0);
  state->kv_heads = kp_node_attr_i(node, "kv_num_heads", 0);
  state->left = bound_of(kp_node_attr_i(node, "left_window_size", -1));
  state->right = bound_of(kp_node_attr_i(node, "right_window_size", -1));
  if (kp_node_attr_i(node, "is_causal", 0)) state->right = 0;
  state->mode = kp_node_attr_i(node, "qk_matmul_output_mode", 0);
  state->soft_type = (kapell_type)kp_node_attr_i(node, "softmax_precision", 0);
  return NULL;
}

static kp_heads heads_of(const kapell_value* value, int64_t heads) {
  return value->rank == 4 ? kp_heads_4d(value->type, value->dims, false)
                          : kp_heads_packed(value->type, value->dims, (size_t)heads);
}

// K and V as the attention reads them: behind the past, dense.
static kp_status* join_past(const kp_op_plan* plan, attention_params* p, size_t* total) {
  const kapell_value *past_k = kp_plan_input(plan, 4), *past_v = kp_plan_input(plan, 5);
  kp_attend* a = &p->attend;
  a->k = p->new_k;
  a->v = p->new_v;
  if (!past_k) return NULL;
  p->past_k = heads_of(past_k, 0);
  p->past_v = heads_of(past_v, 0);
  const kp_heads *k = &p->new_k, *v = &p->new_v;
  if (p->past_k.batch != k->batch || p->past_k.heads != k->heads || p->past_k.width != k->width ||
      p->past_v.batch != v->batch || p->past_v.heads != v->heads || p->past_v.width != v->width ||
      p->past_k.length != p->past_v.length)
    return KP_ERROR(INVALID_INPUT, "past_key and past_value do not fit K and V");
  p->offset = p->past_k.length;
  a->k = kp_heads_dense(k->type, k->batch, k->heads, p->offset + k->length, k->width);
  a->v = kp_heads_dense(v->type, v->batch, v->heads, p->offset + v->length, v->width);
  const bool keep_k = plan->node->output_count > 1 && kp_present(plan->outputs[1]),
             keep_v = plan->node->output_count > 2 && kp_present(plan->outputs[2]);
  KP_PASS(kp_attend_room(total, keep_k ? 0 : kp_heads_count(&a->k), kp_type_bits(k->type) / 8,
                         &p->k_offset));
  return kp_attend_room(total, keep_v ? 0 : kp_heads_count(&a->v), kp_type_bits(v->type) / 8,
                        &p->v_offset);
}

static void set_options(const kp_op_plan* plan, kp_attend* a) {
  const attention_state* state = plan->state;
  a->scale = isnan(state->scale) ? 1.0f / sqrtf((float)a->q.width) : state->scale;
  a->softcap = state->softcap;
  a->left = state->left;
  a->right = state->right;
  a->zero_hidden = true;
  a->soft_type = state->soft_type;
  a->scores = KP_SCORES_NONE;
  if (plan->node->output_count > 3 && kp_present(plan->outputs[3])) {
    a->scores = (kp_attend_scores)state->mode;
    a->scores_type = plan->outputs[3]->type;
    a->scores_keys = a->k.length;
  }
}

static kp_status* attention_plan(kp_op_plan* plan) {
  const attention_state* state = plan->state;
  attention_params* p = kp_arena_new(plan->arena, attention_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  kp_attend* a = &p->attend;
  a->q = heads_of(plan->inputs[0], state->q_heads);
  p->new_k = heads_of(plan->inputs[1], state->kv_heads);
  p->new_v = heads_of(plan->inputs[2], state->kv_heads);
  a->y = heads_of(plan->outputs[0], state->q_heads);
  size_t total = 0;
  KP_PASS(join_past(plan, p, &total));
  set_options(plan, a);
  const kapell_value *mask = kp_plan_input(plan, 3), *lengths = kp_plan_input(plan, 6);
  const size_t full[4] = {a->q.batch, a->q.heads, a->q.length, a->k.length};
  if (mask) KP_PASS(kp_attend_mask_of(mask, full, &a->masks[0]));
  if (lengths && kp_value_count(lengths) != a->q.batch)
    return KP_ERROR(INVALID_INPUT, "nonpad_kv_seqlen has %zu entries; expected %zu, the batch",
                    kp_value_count(lengths), a->q.batch);
  KP_PASS(kp_attend_room(&total, lengths ? a->q.batch : 0, sizeof(kp_attention_span),
                         &p->spans_offset));
  KP_PASS(kp_attend_plan(a, state->ops, plan->width));
  KP_PASS(kp_attend_room(&total, a->scratch_bytes, 1, &p->engine_offset));
  plan->scratch_bytes = total;
  return NULL;
}

// Past and new keys (or values) side by side in |target|.
static void join(const kp_heads* past, const void* past_data, const kp_heads* fresh,
                 const void* fresh_data, const kp_heads* to, void* target, int width) {
  const size_t behind = past->length * to->row_stride * (kp_type_bits(to->type) / 8);
  if (past->length) kp_rows_copy(past, past_data, to, target, width);
  kp_rows_copy(fresh, fresh_data, to, (char*)target + behind, width);
}

// Where K (or V) is read: input |input|, unless a past (|past|) or a present (|output|) makes a copy of it necessary.
static const void* joined(const kp_op_run* run, uint32_t input, uint32_t past, uint32_t output,
                          size_t offset) {
  const attention_params* p = run->params;
  const bool is_k = input == 1;
  const kapell_value *fresh = run->inputs[input], *before = kp_run_input(run, past);
  kapell_value* present = kp_run_result(run, output);
  const kp_heads *to = is_k ? &p->attend.k : &p->attend.v, *from = is_k ? &p->new_k : &p->new_v;
  if (!before) {
    const kp_heads dense = kp_heads_dense(to->type, to->batch, to->heads, to->length, to->width);
    if (present) kp_rows_copy(from, fresh->data, &dense, present->data, run->width);
    return fresh->data;
  }
  void* target = present ? present->data : (char*)run->scratch + offset;
  join(is_k ? &p->past_k : &p->past_v, before->data, from, fresh->data, to, target, run->width);
  return target;
}

// nonpad_kv_seqlen: how many keys each batch entry has, its queries being the last of them.
static const kp_attention_span* read_spans(const kp_op_run* run) {
  const attention_params* p = run->params;
  const kapell_value* lengths = kp_run_input(run, 6);
  kp_attention_span* spans = (kp_attention_span*)(void*)((char*)run->scratch + p->spans_offset);
  if (!lengths) return NULL;
  for (size_t b = 0; b < p->attend.q.batch; ++b) {
    const int64_t most = (int64_t)p->attend.k.length,
                  keys = kp_max_i64(0, kp_min_i64(kp_int_at(lengths, b), most));
    spans[b] = (kp_attention_span){(size_t)keys, (ptrdiff_t)keys - (ptrdiff_t)p->attend.q.length};
  }
  return spans;
}

static kp_status* attention_run(const kp_op_run* run) {
  const attention_params* p = run->params;
  const kapell_value *mask = kp_run_input(run, 3), *scores = kp_run_result(run, 3);
  const kp_attend_data data = {.q = run->inputs[0]->data,
                               .k = joined(run, 1, 4, 1, p->k_offset),
                               .v = joined(run, 2, 5, 2, p->v_offset),
                               .y = run->outputs[0]->data,
                               .masks = {mask ? mask->data : NULL},
                               .spans = read_spans(run),
                               .span = {p->attend.k.length, (ptrdiff_t)p->offset},
                               .scores = scores ? scores->data : NULL};
  kp_attend_run(&p->attend, &data, run, (char*)run->scratch + p->engine_offset);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operators Attention-23 to 25
    {.name = "Attention",
     .since = 23,
     .types = KP_M_REALS,
     .supports = attention_supports,
     .prepare = attention_prepare,
     .plan = attention_plan,
     .run = attention_run,
     .kernels = "f32, f16, bf16: attention"},
};
KP_OP_TABLE(attention);
