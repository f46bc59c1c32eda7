// The variants of attention, and how the work is cut. attention.h has the contract.
#include "provider/cpu/kernel/attention/attention.h"

#include <assert.h>

#define KP_FAMILY attention
#define KP_FAMILY_LIST "provider/cpu/kernel/attention/attention_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

// Queries of one task: K and V are packed anew for each task, so few large ones are better.
enum { kQueriesMax = 192 };
// Keys at a time: the scores of one task (kQueriesMax x kKeysMax floats) stay in the second-level cache.
enum { kKeysMax = 256 };

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t div_up(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t round_up(size_t a, size_t b) { return div_up(a, b) * b; }

// Floats of the tiles that 16-bit tensors are widened to: Q and the output of a task, a block of K or V.
static size_t wide_floats(const kp_attention_shape* s, size_t queries, size_t keys) {
  size_t floats = 0;
  if (s->q_type != KP_ATTENTION_F32) floats += round_up(queries * s->head_dim, 16);
  if (s->out_type != KP_ATTENTION_F32) floats += round_up(queries * s->v_dim, 16);
  if (s->k_type != KP_ATTENTION_F32 || s->v_type != KP_ATTENTION_F32)
    floats += round_up(keys * max_size(s->head_dim, s->v_dim), 16);
  return floats;
}

void kp_attention_plan_init(const kp_attention_ops* ops, const kp_attention_shape* shape,
                            size_t workers, kp_attention_plan* out_plan) {
  kp_attention_plan plan = {.ops = ops, .shape = *shape, .group = 1};
  if (shape->batch == 0 || shape->heads == 0 || shape->q_len == 0 || shape->v_dim == 0) {
    *out_plan = plan;
    return;
  }
  if (shape->q_len == 1) plan.group = max_size(shape->heads / max_size(shape->kv_heads, 1), 1);
  plan.heads = shape->heads / plan.group;
  plan.rows = plan.group > 1 ? plan.group : shape->q_len;
  const size_t heads = shape->batch * plan.heads, mr = ops->gemm->mr;
  size_t parts = div_up(plan.rows, kQueriesMax);
  // Heads are the first thing to share out; rows of one head only when there are too few heads to balance.
  if (workers > 1) {
    const size_t wanted = div_up(3 * workers, heads);
    parts = max_size(parts, min_size(wanted, div_up(plan.rows, 8 * mr)));
  }
  plan.task_queries = min_size(round_up(div_up(plan.rows, parts), mr), plan.rows);
  plan.query_tasks = div_up(plan.rows, plan.task_queries);
  plan.task_count = heads * plan.query_tasks;
  plan.key_block = min_size(max_size(shape->kv_len, 1), kKeysMax);
  const size_t nr = ops->gemm->nr, keys = round_up(plan.key_block, nr);
  size_t floats = 2 * round_up(plan.task_queries, 16);                  // running maximum and sum
  floats += plan.task_queries * keys;                                   // scores
  floats += round_up(shape->head_dim * keys, 16);                       // K, packed
  floats += round_up(plan.key_block * round_up(shape->v_dim, nr), 16);  // V, packed
  floats += wide_floats(shape, plan.task_queries, plan.key_block);
  plan.scratch_bytes = floats * sizeof(float);
  *out_plan = plan;
}

void kp_attention_run_task(const kp_attention_plan* plan, const kp_attention_args* args,
                           size_t index, void* scratch) {
  assert(index < plan->task_count);
  const size_t first = index % plan->query_tasks * plan->task_queries;
  const size_t head = index / plan->query_tasks % plan->heads;
  const size_t batch = index / plan->query_tasks / plan->heads;
  const size_t count = min_size(plan->task_queries, plan->rows - first);
  plan->ops->block(plan, args, batch, head, first, count, scratch);
}
