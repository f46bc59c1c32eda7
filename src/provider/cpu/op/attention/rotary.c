// RotaryEmbedding of ai.onnx and of com.microsoft: pairs of numbers of each head turned by the angles of its position.
//
//   ai.onnx        X, cos, sin, position_ids [batch, length] or absent: then cos and sin are [batch, length, angles]
//   com.microsoft  X, position_ids [batch, length] or [1] (of the first), cos, sin [positions, angles]
#include "provider/cpu/op/attention/attend.h"

typedef struct rotary_form {
  uint32_t cos, sin, ids;  // inputs
} rotary_form;

typedef struct rotary_params {
  kp_rows rows;
  size_t table;  // positions that cos and sin have
  size_t spare_offset;
} rotary_params;

static rotary_form form_of(const kp_node* node) {
  return kp_node_is(node, "", "RotaryEmbedding") ? (rotary_form){1, 2, 3} : (rotary_form){2, 3, 1};
}

static kp_reason rotary_supports(const kp_op_query* query) {
  KP_REQUIRE(query, kp_node_attr_f(query->node, "scale", 1) == 1,
             "scale %g: no runtime gives it a meaning", kp_node_attr_f(query->node, "scale", 1));
  return KP_SUPPORTED;
}

// Heads of |x|: by its rank, by num_heads, or by the angles.
static kp_status* heads_of(const kp_op_plan* plan, const kapell_value* x, size_t angles,
                           kp_heads* out) {
  int64_t heads = kp_node_attr_i(plan->node, "num_heads", 0);
  const int64_t rotated = kp_node_attr_i(plan->node, "rotary_embedding_dim", 0);
  if (x->rank == 4) {
    *out = kp_heads_4d(x->type, x->dims, false);
  } else {
    if (heads <= 0 && rotated <= 0 && angles) heads = x->dims[2] / (2 * (int64_t)angles);
    if (heads <= 0 || x->dims[2] % heads != 0)
      return KP_ERROR(INVALID_INPUT, "%lld numbers cannot be divided among %lld heads",
                      (long long)x->dims[2], (long long)heads);
    *out = kp_heads_packed(x->type, x->dims, (size_t)heads);
  }
  const int64_t want = rotated > 0 ? rotated : (int64_t)out->width;
  if (want % 2 == 0 && (int64_t)angles == want / 2 && want <= (int64_t)out->width) return NULL;
  return KP_ERROR(INVALID_INPUT,
                  "%zu angles a position; expected %lld, half of the %lld rotated numbers", angles,
                  (long long)(want / 2), (long long)want);
}

static kp_status* check_ids(const kp_op_plan* plan, const kapell_value* ids,
                            const kapell_value* cos, const kp_heads* x) {
  const size_t positions = x->batch * x->length;
  const bool offset = form_of(plan->node).ids == 1 && ids && kp_value_count(ids) == 1;
  if (ids ? cos->rank == 2 && (offset || kp_value_count(ids) == positions)
          : cos->rank == 3 && kp_span(cos, 0, 2) == positions)
    return NULL;
  return KP_ERROR(INVALID_INPUT,
                  "position_ids and the cosines do not fit %zu sequences of %zu positions",
                  x->batch, x->length);
}

static kp_status* rotary_plan(kp_op_plan* plan) {
  const rotary_form form = form_of(plan->node);
  const kapell_value *x = plan->inputs[0], *cos = plan->inputs[form.cos],
                     *sin = plan->inputs[form.sin];
  rotary_params* p = kp_arena_new(plan->arena, rotary_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  if (cos->rank < 2 || cos->rank > 3 || kp_value_count(cos) != kp_value_count(sin) ||
      cos->dims[cos->rank - 1] != sin->dims[sin->rank - 1])
    return KP_ERROR(INVALID_INPUT, "cosines and sines differ in shape");
  const size_t angles = (size_t)cos->dims[cos->rank - 1];
  KP_PASS(heads_of(plan, x, angles, &p->rows.from));
  KP_PASS(check_ids(plan, kp_plan_input(plan, form.ids), cos, &p->rows.from));
  p->rows.to = p->rows.from;
  p->rows.rotary = (kp_rotary){.type = cos->type, .stride = angles, .half = angles};
  p->rows.rotary.interleaved = kp_node_attr_i(plan->node, "interleaved", 0) != 0;
  p->table = kp_span(cos, 0, cos->rank - 1);
  size_t unused, total = 0;
  KP_PASS(
      kp_attend_room(&total, p->rows.from.batch * p->rows.from.length, sizeof(int64_t), &unused));
  KP_PASS(kp_attend_room(&total, p->rows.from.width * (size_t)plan->width, sizeof(float),
                         &p->spare_offset));
  plan->scratch_bytes = total;
  return NULL;
}

// The position of each row, checked.
static kp_status* read_positions(const kp_op_run* run, const kapell_value* ids, int64_t* out) {
  const rotary_params* p = run->params;
  const size_t length = p->rows.from.length, count = p->rows.from.batch * length;
  const bool each = ids && kp_value_count(ids) == count;
  for (size_t i = 0; i < count; ++i) {
    int64_t at = (int64_t)i;
    if (ids && !kp_add_i64(kp_int_at(ids, each ? i : 0), each ? 0 : (int64_t)(i % length), &at))
      at = -1;
    if (at < 0 || at >= (int64_t)p->table)
      return KP_ERROR(RUN_FAILED, "position %lld; the cosines have %zu", (long long)at, p->table);
    out[i] = at;
  }
  return NULL;
}

static kp_status* rotary_run(const kp_op_run* run) {
  const rotary_params* p = run->params;
  const rotary_form form = form_of(run->node);
  int64_t* positions = run->scratch;
  if (!kp_value_count(run->inputs[0])) return NULL;
  KP_PASS(read_positions(run, kp_run_input(run, form.ids), positions));
  kp_rows rows = p->rows;
  rows.source = run->inputs[0]->data;
  rows.target = run->outputs[0]->data;
  rows.rotary.cos = run->inputs[form.cos]->data;
  rows.rotary.sin = run->inputs[form.sin]->data;
  rows.positions = positions;
  rows.spare = (float*)(void*)((char*)run->scratch + p->spare_offset);
  kp_rows_run(&rows, run->width);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator RotaryEmbedding-23; ONNX Runtime, ContribOperators.md
    {.name = "RotaryEmbedding",
     .since = 23,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .plan = rotary_plan,
     .run = rotary_run,
     .flags = KP_OP_INPLACE},
    {.domain = "com.microsoft",
     .name = "RotaryEmbedding",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .supports = rotary_supports,
     .plan = rotary_plan,
     .run = rotary_run,
     .flags = KP_OP_INPLACE},
};
KP_OP_TABLE(rotary);
