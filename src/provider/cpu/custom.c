// Custom operators of the program's own (kapell/custom_op.h) as one row: a node's kernel is made when its partition is compiled, and
// its outputs are made in the run, since only the run knows their shapes.
#include "graph/custom.h"

#include "base/cancel.h"
#include "base/pool.h"
#include "provider/cpu/op.h"

typedef struct kp_custom_state {
  kapell_custom_node node;
  const kapell_custom_op* op;
  void* kernel;
} kp_custom_state;

struct kapell_custom_run {
  const kp_op_run* run;
};

static kp_reason supports(const kp_op_query* query) {
  kp_strbuf why = {0};
  kp_reason reason = KP_SUPPORTED;
  if (!kp_custom_find(query->graph, query->node, &why))
    reason = kp_query_no(query, "the custom operator %s does not take the node: %s",
                         query->node->op, why.data ? why.data : "");
  kp_strbuf_free(&why);
  return reason;
}

static void destroy(void* object) {
  const kp_custom_state* state = object;
  if (state->op->destroy) state->op->destroy(state->kernel);
}

static kp_status* prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  kp_custom_state* state = kp_arena_new(prepare->arena, kp_custom_state);
  kapell_value** constants =
      kp_arena_new_array(prepare->arena, kapell_value*, node->input_count + 1);
  if (!state || !constants) return KP_ERROR(OUT_OF_MEMORY, "a custom operator");
  if (node->input_count)
    memcpy(constants, prepare->constants, node->input_count * sizeof *constants);
  state->node = (kapell_custom_node){prepare->graph, node, constants};
  state->op = kp_custom_find(prepare->graph, node, NULL);
  if (!state->op) return KP_ERROR(INTERNAL, "no custom operator for '%s'", node->name);
  state->kernel = state->op->user;
  if (state->op->create)
    KP_TRY(state->op->create(state->op->user, &state->node, &state->kernel),
           "making a kernel of the custom operator '%s'", node->op);
  prepare->state = state;
  return kp_prepare_cleanup(prepare, destroy, state);
}

static kp_status* check_made(const kp_op_run* run) {
  for (uint32_t o = 0; o < run->node->output_count; ++o)
    if (kp_op_wants(run, o) && !run->outputs[o])
      return KP_ERROR(RUN_FAILED, "the custom operator did not make output %u", o);
  return NULL;
}

static kp_status* run_custom(const kp_op_run* run) {
  const kp_custom_state* state = run->state;
  kapell_custom_run view = {run};
  KP_TRY(state->op->compute(state->kernel, &view), "in the custom operator '%s'", run->node->op);
  return check_made(run);
}

const kp_op_def kp_op_custom = {
    .name = "custom operator", .supports = supports, .prepare = prepare, .run = run_custom};

// --- what the operator may ask ---------------------------------------------------------------------------------------------
size_t kapell_custom_run_input_count(const kapell_custom_run* run) {
  return run->run->node->input_count;
}

size_t kapell_custom_run_output_count(const kapell_custom_run* run) {
  return run->run->node->output_count;
}

const kapell_value* kapell_custom_run_input(const kapell_custom_run* run, size_t index) {
  return index < run->run->node->input_count ? run->run->inputs[index] : NULL;
}

bool kapell_custom_run_wants(const kapell_custom_run* run, size_t index) {
  return index < run->run->node->output_count && kp_op_wants(run->run, (uint32_t)index);
}

static kp_status* check_output(const kp_op_run* run, size_t index) {
  if (index < run->node->output_count) return NULL;
  return KP_ERROR(INVALID_ARGUMENT, "%s has no output %zu", run->node->op, index);
}

static bool same_tensor(const kapell_value* made, kapell_type type, const int64_t* dims,
                        int32_t rank) {
  return made->kind == KAPELL_KIND_TENSOR && made->type == type && made->rank == rank &&
         (rank == 0 || memcmp(made->dims, dims, (size_t)rank * sizeof *dims) == 0);
}

kapell_status* kapell_custom_run_output(kapell_custom_run* view, size_t index, kapell_type type,
                                        const int64_t* dims, int32_t rank,
                                        kapell_value** out_value) {
  const kp_op_run* run = view->run;
  *out_value = NULL;
  KP_PASS(check_output(run, index));
  KP_PASS(kp_value_check_dims(type, dims, rank, NULL, NULL));
  if (!kp_op_wants(run, (uint32_t)index)) return NULL;
  const kapell_value* made = run->outputs[index];
  if (made && !same_tensor(made, type, dims, rank))
    return KP_ERROR(INVALID_ARGUMENT, "output %zu of %s was made with another shape or type", index,
                    run->node->op);
  return kp_op_output(run, (uint32_t)index, type, dims, rank, out_value);
}

kapell_status* kapell_custom_run_set_output(kapell_custom_run* view, size_t index,
                                            kapell_value* value) {
  const kp_op_run* run = view->run;
  kp_status* status = check_output(run, index);
  if (!status && !value) status = KP_ERROR(INVALID_ARGUMENT, "the value is NULL");
  if (!status && kp_op_wants(run, (uint32_t)index) && run->outputs[index])
    status = KP_ERROR(INVALID_ARGUMENT, "output %zu of %s was made before", index, run->node->op);
  if (status) {
    kp_value_release(value);
    return status;
  }
  return kp_op_output_value(run, (uint32_t)index, value);
}

typedef struct kp_custom_tasks {
  void (*fn)(void* user, size_t index);
  void* user;
} kp_custom_tasks;

static void call_task(void* arg, size_t task, int worker) {
  const kp_custom_tasks* tasks = arg;
  (void)worker;
  tasks->fn(tasks->user, task);
}

void kapell_custom_run_parallel_for(const kapell_custom_run* run, size_t count,
                                    void (*fn)(void* user, size_t index), void* user) {
  kp_custom_tasks tasks = {fn, user};
  kp_parallel_for_dynamic(run->run->width, count, call_task, &tasks);
}

bool kapell_custom_run_cancelled(const kapell_custom_run* run) {
  return kp_is_cancelled(run->run->cancel);
}
