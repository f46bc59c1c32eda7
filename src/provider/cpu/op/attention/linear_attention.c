// LinearAttention of ai.onnx and com.microsoft: a recurrent state [key size][value size] a head instead of a cache of keys.
//
//   for each token:  S *= exp(decay);  v = beta * (v - S^T k);  S += k v^T;  output = scale * S^T q
// Without decay (linear, delta) or beta (linear, gated) that part is left out. com.microsoft has two things more: more key heads than
// query heads (each then gives an output), and states after each of the last |state_window| tokens.
#include <math.h>

#include "provider/cpu/op/attention/attend.h"

typedef struct linear_form {
  bool gated, delta;
  int64_t q_heads, kv_heads, window;
  float scale;  // 0: by the head size
} linear_form;

typedef struct linear_params {
  kp_heads q, k, v, y;
  size_t decays, betas;  // of a token: of a head, of a key's number, or one for all
  size_t window;
  float scale;
  size_t worker_floats;
} linear_params;

static linear_form form_of(const kp_node* node) {
  const kp_str rule = kp_node_attr_s(node, "update_rule", "gated_delta");
  return (linear_form){.gated = kp_str_is(rule, "gated") || kp_str_is(rule, "gated_delta"),
                       .delta = kp_str_is(rule, "delta") || kp_str_is(rule, "gated_delta"),
                       .q_heads = kp_node_attr_i(node, "q_num_heads", 0),
                       .kv_heads = kp_node_attr_i(node, "kv_num_heads", 0),
                       .window = kp_node_attr_i(node, "state_window", 0),
                       .scale = kp_node_attr_f(node, "scale", 0)};
}

static kp_reason linear_supports(const kp_op_query* query) {
  const kp_str rule = kp_node_attr_s(query->node, "update_rule", "gated_delta");
  const linear_form form = form_of(query->node);
  const kp_node* node = query->node;
  KP_REQUIRE(query, form.gated || form.delta || kp_str_is(rule, "linear"),
             "update_rule '%.*s'; expected linear, gated, delta or gated_delta", KP_STR_ARG(rule));
  KP_REQUIRE(query, form.window >= 0, "state_window %lld", (long long)form.window);
  KP_REQUIRE(query, (node->input_count > 4 && node->inputs[4] != KP_NONE) == form.gated,
             "decay goes with the rules gated and gated_delta, and only with them");
  KP_REQUIRE(query, (node->input_count > 5 && node->inputs[5] != KP_NONE) == form.delta,
             "beta goes with the rules delta and gated_delta, and only with them");
  return KP_SUPPORTED;
}

static kp_status* read_heads(const kp_op_plan* plan, const linear_form* form, linear_params* p) {
  const kapell_value *q = plan->inputs[0], *k = plan->inputs[1], *v = plan->inputs[2];
  const int64_t most = kp_max_i64(form->q_heads, form->kv_heads);
  if (form->q_heads < 1 || form->kv_heads < 1 || q->rank != 3 || k->rank != 3 || v->rank != 3 ||
      most % form->q_heads || most % form->kv_heads || q->dims[2] % form->q_heads ||
      k->dims[2] % form->kv_heads || v->dims[2] % form->kv_heads)
    return KP_ERROR(INVALID_INPUT,
                    "query, key and value cannot be divided among %lld and %lld heads",
                    (long long)form->q_heads, (long long)form->kv_heads);
  p->q = kp_heads_packed(q->type, q->dims, (size_t)form->q_heads);
  p->k = kp_heads_packed(k->type, k->dims, (size_t)form->kv_heads);
  p->v = kp_heads_packed(v->type, v->dims, (size_t)form->kv_heads);
  p->y = kp_heads_packed(KAPELL_FLOAT, plan->outputs[0]->dims, (size_t)most);
  if (p->q.width == p->k.width && p->q.batch == p->k.batch && p->q.batch == p->v.batch &&
      p->q.length == p->k.length && p->q.length == p->v.length)
    return NULL;
  return KP_ERROR(INVALID_INPUT, "query, key and value differ in batch, length or head size");
}

static kp_status* check_gate(const kapell_value* gate, const linear_params* p, bool each,
                             size_t* out) {
  if (!gate) return NULL;
  const size_t tokens = p->k.batch * p->k.length;
  *out = gate->rank == 3 ? (size_t)gate->dims[2] : 0;
  if (gate->rank == 3 && kp_span(gate, 0, 2) == tokens &&
      (*out == p->k.heads || *out == (each ? p->k.heads * p->k.width : 1)))
    return NULL;
  return KP_ERROR(INVALID_INPUT, "%s: %zu numbers a token for %zu heads", each ? "decay" : "beta",
                  *out, p->k.heads);
}

static kp_status* linear_plan(kp_op_plan* plan) {
  const linear_form form = form_of(plan->node);
  linear_params* p = kp_arena_new(plan->arena, linear_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  KP_PASS(read_heads(plan, &form, p));
  KP_PASS(check_gate(kp_plan_input(plan, 4), p, true, &p->decays));
  KP_PASS(check_gate(kp_plan_input(plan, 5), p, false, &p->betas));
  p->window = (size_t)form.window;
  p->scale = form.scale != 0 ? form.scale : 1.0f / sqrtf((float)p->k.width);
  const kapell_value* past = kp_plan_input(plan, 3);
  const size_t state =
      kp_max_size(p->window, 1) * p->k.batch * p->k.heads * p->k.width * p->v.width;
  if (past && kp_value_count(past) != state)
    return KP_ERROR(INVALID_INPUT, "past_state has %zu numbers; expected %zu", kp_value_count(past),
                    state);
  size_t total = 0, unused;
  p->worker_floats = (p->k.width + 1) * p->v.width;  // the state, and v
  if (!kp_mul_size(p->worker_floats, (size_t)plan->width, &total))
    return KP_ERROR(LIMIT, "scratch memory of a linear attention exceeds the address space");
  const size_t floats = total;
  total = 0;
  KP_PASS(kp_attend_room(&total, floats, sizeof(float), &unused));
  plan->scratch_bytes = total;
  return NULL;
}

// --- run ----------------------------------------------------------------------------------------------------------------------
// One head of one batch entry at work.
typedef struct linear_head {
  const kp_op_run* run;
  const linear_params* p;
  size_t batch, head;
  float *state, *value;
} linear_head;

static const float* row_at(const kapell_value* value, const kp_heads* h, size_t batch, size_t head,
                           size_t token) {
  return (const float*)value->data + batch * h->batch_stride + head * h->head_stride +
         token * h->row_stride;
}

static void decay_state(const linear_head* w, size_t token) {
  const linear_params* p = w->p;
  const kapell_value* decay = kp_run_input(w->run, 4);
  if (!decay) return;
  const bool each = p->decays != p->k.heads;
  const float* gate = (const float*)decay->data + (w->batch * p->k.length + token) * p->decays +
                      w->head * (each ? p->k.width : 1);
  for (size_t d = 0; d < p->k.width; ++d) {
    const float factor = expf(gate[each ? d : 0]);
    for (size_t m = 0; m < p->v.width; ++m) w->state[d * p->v.width + m] *= factor;
  }
}

// What is new about the value: itself, or beta times its distance from what the state answers to the key.
static void new_value(const linear_head* w, const float* key, size_t token) {
  const linear_params* p = w->p;
  const kapell_value* beta = kp_run_input(w->run, 5);
  const float* value = row_at(w->run->inputs[2], &p->v, w->batch, w->head, token);
  const size_t n = p->v.width;
  for (size_t m = 0; m < n; ++m) w->value[m] = beta ? 0 : value[m];
  if (!beta) return;
  const float rate =
      ((const float*)
           beta->data)[(w->batch * p->k.length + token) * p->betas + (p->betas == 1 ? 0 : w->head)];
  for (size_t d = 0; d < p->k.width; ++d)
    for (size_t m = 0; m < n; ++m) w->value[m] += w->state[d * n + m] * key[d];
  for (size_t m = 0; m < n; ++m) w->value[m] = rate * (value[m] - w->value[m]);
}

static void answer(const linear_head* w, size_t token) {
  const linear_params* p = w->p;
  const size_t n = p->v.width, per_key = p->y.heads / p->k.heads,
               per_query = p->y.heads / p->q.heads;
  for (size_t g = 0; g < per_key; ++g) {
    const size_t head = w->head * per_key + g;
    const float* query = row_at(w->run->inputs[0], &p->q, w->batch, head / per_query, token);
    float* out = (float*)w->run->outputs[0]->data + w->batch * p->y.batch_stride +
                 head * p->y.head_stride + token * p->y.row_stride;
    for (size_t m = 0; m < n; ++m) out[m] = 0;
    for (size_t d = 0; d < p->k.width; ++d)
      for (size_t m = 0; m < n; ++m) out[m] += w->state[d * n + m] * query[d];
    for (size_t m = 0; m < n; ++m) out[m] *= p->scale;
  }
}

static float* slot_at(const kapell_value* states, const linear_head* w, size_t slot) {
  const size_t heads = w->p->k.batch * w->p->k.heads, size = w->p->k.width * w->p->v.width;
  return (float*)states->data + (slot * heads + w->batch * w->p->k.heads + w->head) * size;
}

// States after tokens before the first are those of the past's window.
static void keep_states(const linear_head* w, size_t token, size_t bytes) {
  kapell_value* present = kp_run_result(w->run, 1);
  const size_t window = kp_max_size(w->p->window, 1), after = w->p->k.length - 1 - token;
  if (present && after < window) memcpy(slot_at(present, w, window - 1 - after), w->state, bytes);
}

static void start_states(const linear_head* w, size_t bytes) {
  const kapell_value* past = kp_run_input(w->run, 3);
  kapell_value* present = kp_run_result(w->run, 1);
  const size_t window = kp_max_size(w->p->window, 1), tokens = w->p->k.length;
  if (past)
    memcpy(w->state, slot_at(past, w, window - 1), bytes);
  else
    memset(w->state, 0, bytes);
  for (size_t slot = 0; present && slot + tokens < window; ++slot) {
    if (past)
      memcpy(slot_at(present, w, slot), slot_at(past, w, slot + tokens), bytes);
    else
      memset(slot_at(present, w, slot), 0, bytes);
  }
}

static void linear_task(void* arg, size_t task, int worker) {
  const kp_op_run* run = arg;
  const linear_params* p = run->params;
  float* scratch = (float*)run->scratch + (size_t)worker * p->worker_floats;
  const linear_head w = {
      run, p, task / p->k.heads, task % p->k.heads, scratch, scratch + p->k.width * p->v.width};
  const size_t n = p->v.width, bytes = p->k.width * n * sizeof(float);
  start_states(&w, bytes);
  for (size_t token = 0; token < p->k.length && !kp_cancelled(run); ++token) {
    const float* key = row_at(run->inputs[1], &p->k, w.batch, w.head, token);
    decay_state(&w, token);
    new_value(&w, key, token);
    for (size_t d = 0; d < p->k.width; ++d)
      for (size_t m = 0; m < n; ++m) w.state[d * n + m] += key[d] * w.value[m];
    answer(&w, token);
    keep_states(&w, token, bytes);
  }
}

static kp_status* linear_run(const kp_op_run* run) {
  const linear_params* p = run->params;
  const size_t work = p->k.batch * p->k.heads * p->k.length * p->k.width * p->v.width;
  kp_parallel_for_dynamic(kp_op_width(run->width, work), p->k.batch * p->k.heads, linear_task,
                          (void*)(uintptr_t)run);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator LinearAttention-27; ONNX Runtime, ContribOperators.md
    {.name = "LinearAttention",
     .since = 27,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .supports = linear_supports,
     .plan = linear_plan,
     .run = linear_run,
     .flags = KP_OP_WIDEN},
    {.domain = "com.microsoft",
     .name = "LinearAttention",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .supports = linear_supports,
     .plan = linear_plan,
     .run = linear_run,
     .flags = KP_OP_WIDEN},
};
KP_OP_TABLE(linear_attention);
