// TensorScatter: new positions written into a cache of fixed length, at an index of its own for each batch entry.
#include "provider/cpu/op/copy.h"

typedef struct scatter_params {
  size_t per_batch, prefixes;  // runs along the axis: in a batch entry, in all
  size_t most, fresh, inner;   // length of the cache, of the update, elements behind the axis
  bool circular;
} scatter_params;

static kp_status* scatter_plan(kp_op_plan* plan) {
  const kapell_value *cache = plan->inputs[0], *update = plan->inputs[1];
  scatter_params* p = kp_arena_new(plan->arena, scatter_params);
  int32_t axis;
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  if (!kp_axis(kp_node_attr_i(plan->node, "axis", -2), cache->rank, &axis) || axis == 0)
    return KP_ERROR(INVALID_INPUT, "axis of a cache of rank %d", (int)cache->rank);
  p->per_batch = kp_span(cache, 1, axis);
  p->prefixes = kp_span(cache, 0, axis);
  p->most = (size_t)cache->dims[axis];
  p->fresh = (size_t)update->dims[axis];
  p->inner = kp_span(cache, axis + 1, cache->rank);
  p->circular = kp_str_is(kp_node_attr_s(plan->node, "mode", "linear"), "circular");
  if (p->fresh > p->most)
    return KP_ERROR(INVALID_INPUT, "an update of %zu positions; the cache has %zu", p->fresh,
                    p->most);
  return NULL;
}

static kp_reason scatter_supports(const kp_op_query* query) {
  const kp_str mode = kp_node_attr_s(query->node, "mode", "linear");
  KP_REQUIRE(query, kp_str_is(mode, "linear") || kp_str_is(mode, "circular"),
             "mode '%.*s'; expected linear or circular", KP_STR_ARG(mode));
  return KP_SUPPORTED;
}

static kp_status* first_position(const scatter_params* p, const kapell_value* indices, size_t batch,
                                 size_t* out) {
  int64_t at = indices ? kp_int_at(indices, batch) : 0;
  if (p->circular && p->most) at = (at % (int64_t)p->most + (int64_t)p->most) % (int64_t)p->most;
  *out = (size_t)at;
  if (at >= 0 && (p->circular || (uint64_t)at + p->fresh <= p->most)) return NULL;
  return KP_ERROR(RUN_FAILED, "%zu positions are written at %lld of a cache of %zu", p->fresh,
                  (long long)at, p->most);
}

static kp_status* scatter_run(const kp_op_run* run) {
  const scatter_params* p = run->params;
  const kapell_value *cache = run->inputs[0], *update = run->inputs[1];
  kapell_value* out = run->outputs[0];
  if (out->data != cache->data) KP_PASS(kp_copy_elements(out, 0, cache, 0, kp_value_count(cache)));
  for (size_t i = 0; i < p->prefixes; ++i) {
    size_t first;
    KP_PASS(first_position(p, kp_run_input(run, 2), i / p->per_batch, &first));
    // What runs past the end goes on at the beginning.
    const size_t before = kp_min_size(p->fresh, p->most - first), from = i * p->fresh * p->inner,
                 to = i * p->most * p->inner;
    KP_PASS(kp_copy_elements(out, to + first * p->inner, update, from, before * p->inner));
    KP_PASS(kp_copy_elements(out, to, update, from + before * p->inner,
                             (p->fresh - before) * p->inner));
  }
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator TensorScatter-24
    {.name = "TensorScatter",
     .since = 24,
     .supports = scatter_supports,
     .plan = scatter_plan,
     .run = scatter_run,
     .flags = KP_OP_INPLACE | KP_OP_UNPACK},
};
KP_OP_TABLE(cache);
