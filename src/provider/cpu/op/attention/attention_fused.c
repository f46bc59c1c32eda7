// kapell.Attention: softmax(scale * Q K^T + mask) V, f32, made by fuse/attention.c.
//
//   inputs   Q, K, V of rank 4; two masks of rank 1 to 4 that broadcast to [batch, heads, queries, keys], or absent
//   output   rank 4
//   attributes  scale; q_rows, k_rows, v_rows, y_rows: 1 = [batch, sequence, head, i], 0 = [batch, head, sequence, i];
//            mask0, mask1: 0 = floats that are added, 1 = bool, scores are kept where true, 2 = where false; fill0, fill1: what stands
//            elsewhere; zero_nan: weights that are not numbers are 0
// K and V may have fewer heads than Q, which are then shared by as many neighbours of Q's.
#include <math.h>

#include "provider/cpu/op/attention/attend.h"

typedef struct fused_state {
  const kp_attention_ops* ops;
  float scale;
  bool rows[4];  // q, k, v, y
  int64_t masks[KP_ATTENTION_MASKS];
  float fills[KP_ATTENTION_MASKS];
  bool zero_nan;
} fused_state;

typedef struct fused_params {
  kp_attend attend;
  size_t widened
      [KP_ATTENTION_MASKS];  // elements of a mask of one number a query, for all keys; 0: it is read as it is
  size_t offsets[KP_ATTENTION_MASKS];
  size_t engine;
} fused_params;

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
  static const char* const forms[] = {"mask0", "mask1"};
  static const char* const fills[] = {"fill0", "fill1"};
  for (size_t m = 0; m < KP_ATTENTION_MASKS; ++m) {
    state->masks[m] = kp_node_attr_i(prepare->node, forms[m], 0);
    state->fills[m] = kp_node_attr_f(prepare->node, fills[m], -INFINITY);
  }
  state->zero_nan = kp_node_attr_i(prepare->node, "zero_nan", 0) != 0;
  return NULL;
}

static kp_status* plan_mask(const kp_op_plan* plan, fused_params* p, size_t m, size_t* total) {
  const fused_state* state = plan->state;
  kp_attend* a = &p->attend;
  const kapell_value* mask = kp_plan_input(plan, 3 + (uint32_t)m);
  const size_t keys = a->k.length, full[4] = {a->q.batch, a->q.heads, a->q.length, keys};
  if (!mask) return NULL;
  const int64_t own = mask->dims[mask->rank - 1];
  kapell_value seen = *mask;
  int64_t dims[4];
  if (own == 1 && keys != 1 && mask->rank <= 4) {
    memcpy(dims, mask->dims, sizeof(int64_t) * (size_t)mask->rank);
    dims[mask->rank - 1] = (int64_t)keys;
    seen.dims = dims;
    p->widened[m] = kp_value_count(mask) * keys;
    KP_PASS(kp_attend_room(total, p->widened[m], kp_type_bits(mask->type) / 8, &p->offsets[m]));
  } else if (own != (int64_t)keys) {
    return KP_ERROR(INVALID_INPUT, "the mask of an attention has %lld keys where there are %zu",
                    (long long)own, keys);
  }
  KP_PASS(kp_attend_mask_of(&seen, full, &a->masks[m]));
  a->masks[m].inverted = state->masks[m] == 2;
  a->masks[m].fill = state->fills[m];
  return NULL;
}

static kp_status* attention_plan(kp_op_plan* plan) {
  const fused_state* state = plan->state;
  fused_params* p = kp_arena_new(plan->arena, fused_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  kp_attend* a = &p->attend;
  a->q = kp_heads_4d(KAPELL_FLOAT, plan->inputs[0]->dims, state->rows[0]);
  a->k = kp_heads_4d(KAPELL_FLOAT, plan->inputs[1]->dims, state->rows[1]);
  a->v = kp_heads_4d(KAPELL_FLOAT, plan->inputs[2]->dims, state->rows[2]);
  a->y = kp_heads_4d(KAPELL_FLOAT, plan->outputs[0]->dims, state->rows[3]);
  a->scale = state->scale;
  a->left = a->right = -1;
  a->scores = KP_SCORES_NONE;
  a->zero_hidden = a->zero_nan = state->zero_nan;
  for (size_t m = 0; m < KP_ATTENTION_MASKS; ++m)
    KP_PASS(plan_mask(plan, p, m, &plan->scratch_bytes));
  KP_PASS(kp_attend_plan(a, state->ops, plan->width));
  return kp_attend_room(&plan->scratch_bytes, a->scratch_bytes, 1, &p->engine);
}

// One number a query, repeated for all keys.
static const void* widen_mask(const kp_op_run* run, const kapell_value* mask, size_t m) {
  const fused_params* p = run->params;
  const size_t keys = p->attend.k.length, each = kp_type_bits(mask->type) / 8;
  char* to = (char*)run->scratch + p->offsets[m];
  for (size_t i = 0; i < p->widened[m]; ++i)
    memcpy(to + i * each, (const char*)mask->data + i / keys * each, each);
  return to;
}

static kp_status* attention_run(const kp_op_run* run) {
  const fused_params* p = run->params;
  kp_attend_data data = {.q = run->inputs[0]->data,
                         .k = run->inputs[1]->data,
                         .v = run->inputs[2]->data,
                         .y = run->outputs[0]->data,
                         .span = {.keys = p->attend.k.length}};
  for (uint32_t m = 0; m < KP_ATTENTION_MASKS; ++m) {
    const kapell_value* mask = kp_run_input(run, 3 + m);
    if (mask) data.masks[m] = p->widened[m] ? widen_mask(run, mask, m) : mask->data;
  }
  kp_attend_run(&p->attend, &data, run, (char*)run->scratch + p->engine);
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
