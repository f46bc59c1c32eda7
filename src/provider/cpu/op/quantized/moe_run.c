// Mixtures of experts: routing, activations and the sum; see moe.h.
#include <math.h>

#include "provider/cpu/op/quantized/moe.h"

static const struct {
  const char* name;
  kp_act_kind kind;
} activations[] = {
    {"relu", KP_ACT_RELU},     {"gelu", KP_ACT_GELU_TANH}, {"silu", KP_ACT_SILU},
    {"identity", KP_ACT_NONE}, {"swiglu", KP_ACT_SILU},
};

static bool is_swiglu(const kp_node* node) {
  return kp_str_is(kp_node_attr_s(node, "activation_type", "relu"), "swiglu");
}

kp_reason kp_moe_supports(const kp_op_query* query) {
  const kp_str activation = kp_node_attr_s(query->node, "activation_type", "relu");
  const int64_t fusion = kp_node_attr_i(query->node, "swiglu_fusion", 0),
                k = kp_node_attr_i(query->node, "k", 1);
  bool known = false;
  for (size_t i = 0; i < KP_COUNT_OF(activations); ++i)
    known = known || kp_str_is(activation, activations[i].name);
  KP_REQUIRE(query, known, "activation_type '%.*s'; expected relu, gelu, silu, swiglu or identity",
             (int)activation.length, activation.data);
  KP_REQUIRE(query, fusion >= 0 && fusion <= 2, "swiglu_fusion = %lld", (long long)fusion);
  KP_REQUIRE(query, k >= 1, "k = %lld", (long long)k);
  KP_REQUIRE(query, k == 2 || !kp_node_attr_i(query->node, "use_sparse_mixer", 0),
             "use_sparse_mixer with k = %lld; it chooses two experts", (long long)k);
  return KP_SUPPORTED;
}

// --- shapes ------------------------------------------------------------------------------------------------------------------
static void read_attributes(kp_moe* moe, const kp_node* node) {
  const kp_str activation = kp_node_attr_s(node, "activation_type", "relu");
  size_t i = 0;
  while (i + 1 < KP_COUNT_OF(activations) && !kp_str_is(activation, activations[i].name)) ++i;
  moe->swiglu = is_swiglu(node);
  moe->act = (kp_act){.kind = activations[i].kind,
                      .a = moe->swiglu ? kp_node_attr_f(node, "activation_alpha", 1) : 1};
  moe->beta = moe->swiglu ? kp_node_attr_f(node, "activation_beta", 0) : 0;
  moe->limit =
      kp_node_attr(node, "swiglu_limit") ? kp_node_attr_f(node, "swiglu_limit", 0) : HUGE_VALF;
  moe->limit_after = kp_node_attr_i(node, "swiglu_limit_after_activation", 0) != 0;
  moe->layout =
      moe->swiglu ? (kp_moe_layout)kp_node_attr_i(node, "swiglu_fusion", 0) : KP_MOE_SPLIT;
  moe->normalize = kp_node_attr_i(node, "normalize_routing_weights", 0) != 0;
  moe->sparse_mixer = kp_node_attr_i(node, "use_sparse_mixer", 0) != 0;
  moe->k = (size_t)kp_node_attr_i(node, "k", 1);
}

static kp_status* check_shapes(kp_moe* moe, const size_t* rows) {
  const bool fused = moe->layout != KP_MOE_SPLIT;
  moe->gated = fused || rows[KP_MOE_FC3];
  if (moe->k > moe->experts)
    return KP_ERROR(RUN_FAILED, "k = %zu of %zu experts", moe->k, moe->experts);
  if (moe->swiglu && !moe->gated)
    return KP_ERROR(RUN_FAILED, "swiglu with swiglu_fusion = 0 and without fc3_experts_weights");
  if (rows[KP_MOE_FC1] != moe->inner * (fused ? 2 : 1) || rows[KP_MOE_FC2] != moe->hidden ||
      (!fused && rows[KP_MOE_FC3] && rows[KP_MOE_FC3] != moe->inner))
    return KP_ERROR(RUN_FAILED,
                    "experts' matrices have %zu, %zu and %zu rows; the hidden size is %zu, the "
                    "inner size %zu",
                    rows[0], rows[1], rows[2], moe->hidden, moe->inner);
  for (int p = 0; p < KP_MOE_PRODUCTS; ++p) {
    moe->n[p] = p == KP_MOE_FC3 && fused ? 0 : rows[p];
    moe->depth[p] = p == KP_MOE_FC2 ? moe->inner : moe->hidden;
  }
  return NULL;
}

kp_status* kp_moe_init(kp_moe* moe, const kp_op_plan* plan, const kp_gemm_ops* gemm, size_t inner,
                       const size_t* rows) {
  const kapell_value *x = plan->inputs[0], *router = plan->inputs[1];
  read_attributes(moe, plan->node);
  moe->gemm = gemm;
  moe->hidden = (size_t)x->dims[x->rank - 1];
  moe->tokens = kp_span(x, 0, x->rank - 1);
  moe->experts = router->rank ? (size_t)router->dims[router->rank - 1] : 0;
  moe->inner = inner;
  if (kp_value_count(router) != moe->tokens * moe->experts)
    return KP_ERROR(RUN_FAILED, "router_probs is not [%zu tokens][experts]", moe->tokens);
  KP_PASS(check_shapes(moe, rows));
  // A token's input and result, the first product, gate and value, its routes, and a number among those of its expert.
  size_t floats;
  if (kp_mul_size(moe->tokens, 2 * moe->hidden + moe->n[KP_MOE_FC1] + 2 * inner + 3 * moe->k + 1,
                  &floats) &&
      kp_mul_size(floats, sizeof(float), &moe->scratch_bytes) &&
      kp_align_size(moe->scratch_bytes, KP_ALIGNMENT, &moe->scratch_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

// --- routing -----------------------------------------------------------------------------------------------------------------
typedef struct moe_route {
  uint32_t token, expert;
  float weight;
} moe_route;

// The largest logit that is not taken yet.
static size_t best_of(const moe_route* taken, size_t count, const float* logits, size_t experts) {
  size_t best = SIZE_MAX;
  for (size_t e = 0; e < experts; ++e) {
    bool free_expert = true;
    for (size_t i = 0; i < count; ++i) free_expert = free_expert && taken[i].expert != e;
    if (free_expert && (best == SIZE_MAX || logits[e] > logits[best])) best = e;
  }
  return best;
}

// Sparse mixer: the softmax of expert |best| among those that are not much smaller; |first| (SIZE_MAX: none) does not take part.
static float mixer_weight(const float* logits, size_t experts, size_t best, size_t first) {
  const float threshold = 0.02f;  // twice the jitter that it was trained with
  float sum = 0;
  for (size_t e = 0; e < experts; ++e) {
    if (e == first) continue;
    const float scale = fmaxf(fabsf(logits[e]), fabsf(logits[best]));
    if ((logits[best] - logits[e]) / scale > threshold) continue;
    sum += expf(logits[e] - logits[best]);
  }
  return 1 / sum;
}

static void route_token(const kp_moe* moe, const float* logits, const float* weights, size_t token,
                        moe_route* routes) {
  for (size_t i = 0; i < moe->k; ++i) {
    const size_t e = best_of(routes, i, logits, moe->experts);
    routes[i] = (moe_route){.token = (uint32_t)token, .expert = (uint32_t)e};
  }
  if (weights) {
    for (size_t i = 0; i < moe->k; ++i) routes[i].weight = weights[routes[i].expert];
  } else if (moe->sparse_mixer) {
    routes[0].weight = mixer_weight(logits, moe->experts, routes[0].expert, SIZE_MAX);
    routes[1].weight = mixer_weight(logits, moe->experts, routes[1].expert, routes[0].expert);
    return;
  } else {
    const float most = logits[routes[0].expert];
    float sum = 0;
    for (size_t e = 0; e < moe->experts; ++e) sum += expf(logits[e] - most);
    for (size_t i = 0; i < moe->k; ++i)
      routes[i].weight = expf(logits[routes[i].expert] - most) / sum;
  }
  float sum = 0;
  for (size_t i = 0; i < moe->k; ++i) sum += routes[i].weight;
  for (size_t i = 0; moe->normalize && i < moe->k; ++i) routes[i].weight /= sum;
}

// --- one expert --------------------------------------------------------------------------------------------------------------
typedef struct expert_job {
  const kp_moe* moe;
  const kp_op_run* run;
  moe_route* routes;
  float *x, *up, *gate, *value, *y;  // rows of the tokens that the expert has
  const uint32_t* chosen;            // which routes those are
} expert_job;

static void gather_task(void* arg, size_t row, int worker) {
  (void)worker;
  const expert_job* job = arg;
  const size_t hidden = job->moe->hidden;
  memcpy(job->x + row * hidden,
         (const float*)job->run->inputs[0]->data + job->routes[job->chosen[row]].token * hidden,
         hidden * sizeof(float));
}

// Gate and value out of the fused first product.
static void split_row(const expert_job* job, const float* up, float* gate, float* value) {
  const size_t inner = job->moe->inner;
  const bool halves = job->moe->layout == KP_MOE_HALVES;
  for (size_t i = 0; i < inner; ++i) {
    gate[i] = up[halves ? i : 2 * i];
    value[i] = up[halves ? inner + i : 2 * i + 1];
  }
}

static void activate_task(void* arg, size_t row, int worker) {
  (void)worker;
  const expert_job* job = arg;
  const kp_moe* moe = job->moe;
  float *gate = job->gate + row * moe->inner, *value = job->value + row * moe->inner;
  if (moe->layout != KP_MOE_SPLIT) split_row(job, job->up + row * moe->n[KP_MOE_FC1], gate, value);
  const float limit = moe->swiglu ? moe->limit : HUGE_VALF;
  for (size_t i = 0; !moe->limit_after && i < moe->inner; ++i)
    gate[i] = gate[i] > limit ? limit : gate[i];
  moe->gemm->activate(1, moe->inner, gate, moe->inner, &moe->act);
  for (size_t i = 0; moe->limit_after && i < moe->inner; ++i)
    gate[i] = gate[i] > limit ? limit : gate[i];
  for (size_t i = 0; moe->gated && i < moe->inner; ++i) {
    const float v = value[i] > limit ? limit : value[i] < -limit ? -limit : value[i];
    gate[i] *= v + moe->beta;
  }
}

static void add_task(void* arg, size_t row, int worker) {
  (void)worker;
  const expert_job* job = arg;
  const size_t hidden = job->moe->hidden;
  const moe_route* route = &job->routes[job->chosen[row]];
  float* y = (float*)job->run->outputs[0]->data + route->token * hidden;
  const float* part = job->y + row * hidden;
  for (size_t i = 0; i < hidden; ++i) y[i] += route->weight * part[i];
}

static void run_expert(expert_job* job, size_t expert, size_t rows, kp_moe_multiply multiply,
                       void* arg) {
  const kp_moe* moe = job->moe;
  const int width = kp_op_width(job->run->width, rows * (moe->hidden + 4 * moe->inner));
  const bool fused = moe->layout != KP_MOE_SPLIT;
  kp_parallel_for(width, rows, gather_task, job);
  multiply(arg, KP_MOE_FC1, expert, rows, job->x, fused ? job->up : job->gate);
  if (moe->n[KP_MOE_FC3]) multiply(arg, KP_MOE_FC3, expert, rows, job->x, job->value);
  kp_parallel_for(width, rows, activate_task, job);
  multiply(arg, KP_MOE_FC2, expert, rows, job->gate, job->y);
  kp_parallel_for(width, rows, add_task, job);
}

void kp_moe_run(const kp_moe* moe, const kp_op_run* run, const float* weights,
                kp_moe_multiply multiply, void* arg, void* scratch) {
  const float* logits = run->inputs[1]->data;
  const size_t routes = moe->tokens * moe->k;
  expert_job job = {.moe = moe, .run = run, .routes = scratch};
  job.x = (float*)(void*)(job.routes + routes);
  job.y = job.x + moe->tokens * moe->hidden;
  job.up = job.y + moe->tokens * moe->hidden;
  job.gate = job.up + moe->tokens * moe->n[KP_MOE_FC1];
  job.value = job.gate + moe->tokens * moe->inner;
  // The tokens of one expert at a time; a token goes to an expert once, so that there are |tokens| at most.
  uint32_t* chosen = (uint32_t*)(void*)(job.value + moe->tokens * moe->inner);
  job.chosen = chosen;
  memset(run->outputs[0]->data, 0, moe->tokens * moe->hidden * sizeof(float));
  for (size_t t = 0; t < moe->tokens; ++t)
    route_token(moe, logits + t * moe->experts, weights ? weights + t * moe->experts : NULL, t,
                job.routes + t * moe->k);
  for (size_t e = 0; e < moe->experts && !kp_cancelled(run); ++e) {
    size_t rows = 0;
    for (size_t r = 0; r < routes; ++r)
      if (job.routes[r].expert == e) chosen[rows++] = (uint32_t)r;
    if (rows) run_expert(&job, e, rows, multiply, arg);
  }
}
