// kapell.Attention: softmax(scale * Q K^T + mask) V, f32, made by fuse/attention.c.
//
//   inputs   Q, K, V of rank 4, mask of rank 1 to 4 that broadcasts to [batch, heads, queries, keys] or absent: floats that are added,
//            or bool, false = hidden
//   output   rank 4
//   attributes  scale; q_rows, k_rows, v_rows, y_rows: 1 = [batch, sequence, head, i], 0 = [batch, head, sequence, i]
// K and V may have fewer heads than Q, which are then shared by as many neighbours of Q's.
#include "provider/cpu/op/attend.h"

typedef struct fused_state {
  const kp_attention_ops* ops;
  float scale;
  bool rows[4];  // q, k, v, y
} fused_state;

static void read_rows(const kp_node* node, bool* rows) {
  static const char* const names[4] = {"q_rows", "k_rows", "v_rows", "y_rows"};
  for (int i = 0; i < 4; ++i) rows[i] = kp_node_attr_i(node, names[i], 0) != 0;
}

static kp_status* attention_infer(kp_infer* infer) {
  bool rows[4];
  read_rows(infer->node, rows);
  for (int i = 0; i < 3; ++i)
    if (!infer->inputs[i] || infer->inputs[i]->rank != 4)
      return KP_ERROR(INTERNAL, "a fused attention of another rank than 4");
  const kp_heads q = kp_heads_4d(KAPELL_FLOAT, infer->inputs[0]->dims, rows[0]),
                 v = kp_heads_4d(KAPELL_FLOAT, infer->inputs[2]->dims, rows[2]);
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
  fused_state* state = kp_arena_new(prepare->arena, fused_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  prepare->kernel = "attention_f32";
  state->ops = kp_attention_select(prepare->features);
  state->scale = kp_node_attr_f(prepare->node, "scale", 1);
  read_rows(prepare->node, state->rows);
  return NULL;
}

static kp_status* attention_plan(kp_op_plan* plan) {
  const fused_state* state = plan->state;
  kp_attend* a = kp_arena_new(plan->arena, kp_attend);
  if (!a) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = a;
  a->q = kp_heads_4d(KAPELL_FLOAT, plan->inputs[0]->dims, state->rows[0]);
  a->k = kp_heads_4d(KAPELL_FLOAT, plan->inputs[1]->dims, state->rows[1]);
  a->v = kp_heads_4d(KAPELL_FLOAT, plan->inputs[2]->dims, state->rows[2]);
  a->y = kp_heads_4d(KAPELL_FLOAT, plan->outputs[0]->dims, state->rows[3]);
  a->scale = state->scale;
  a->left = a->right = -1;
  a->scores = KP_SCORES_NONE;
  const kapell_value* mask = kp_plan_input(plan, 3);
  const size_t full[4] = {a->q.batch, a->q.heads, a->q.length, a->k.length};
  if (mask && mask->dims[mask->rank - 1] != (int64_t)a->k.length)
    return KP_ERROR(INVALID_INPUT, "the mask of an attention has %lld keys where there are %zu",
                    (long long)mask->dims[mask->rank - 1], a->k.length);
  if (mask) KP_PASS(kp_attend_mask_of(mask, full, &a->masks[0]));
  KP_PASS(kp_attend_plan(a, state->ops, plan->width));
  plan->scratch_bytes = a->scratch_bytes;
  return NULL;
}

static kp_status* attention_run(const kp_op_run* run) {
  const kp_attend* a = run->params;
  const kapell_value* mask = kp_run_input(run, 3);
  const kp_attend_data data = {.q = run->inputs[0]->data,
                               .k = run->inputs[1]->data,
                               .v = run->inputs[2]->data,
                               .y = run->outputs[0]->data,
                               .masks = {mask ? mask->data : NULL},
                               .span = {.keys = a->k.length}};
  kp_attend_run(a, &data, run, run->scratch);
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
