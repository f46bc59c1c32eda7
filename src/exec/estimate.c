// Memory of a run before it: the special that a first run would make, in an arena that is thrown away.
#include "base/budget.h"
#include "base/size.h"
#include "exec/internal.h"

static bool is_tensor(const kp_shape_info* info) {
  return info->kind == KAPELL_KIND_TENSOR && info->rank >= 0 && info->type != KAPELL_STRING;
}

// Adds outputs that the run makes; what is not known makes the estimate a lower bound.
static kp_status* add_outputs(const kp_plan* plan, const kp_frame_special* special,
                              kp_exec_memory* out) {
  for (uint32_t k = 0; k < plan->output_count; ++k) {
    const kp_shape_info* info = &special->slots[plan->outputs[k]];
    size_t count, bytes;
    if (!is_tensor(info)) {
      out->exact = false;
      continue;
    }
    KP_PASS(kp_value_check_dims(info->type, info->dims, info->rank, &count, &bytes));
    if (!kp_add_size(out->output_bytes, bytes, &out->output_bytes))
      return KP_ERROR(LIMIT, "the outputs exceed the address space");
  }
  return NULL;
}

static void add_steps(const kp_plan* plan, const kp_frame_special* special, kp_exec_memory* out) {
  for (uint32_t i = 0; i < plan->step_count; ++i) {
    const kp_step* step = &plan->steps[i];
    if (step->kind == KP_STEP_COPY) continue;
    const kp_special* unit = step->kind == KP_STEP_UNIT ? special->units[i] : NULL;
    if (unit) out->scratch_bytes = kp_max_size(out->scratch_bytes, unit->scratch_bytes);
    if (!unit || unit->allocates) out->exact = false;
    for (uint32_t o = 0; unit && o < unit->output_count; ++o)
      out->exact = out->exact && is_tensor(&unit->outputs[o]);
  }
}

static kp_status* estimate(kp_frame* frame, kp_arena* arena, kp_exec_memory* out) {
  kp_frame_special* special;
  KP_PASS(kp_frame_make_special(frame, arena, &special));
  out->exact = true;
  out->arena_bytes = special->host_bytes;
  add_steps(frame->plan, special, out);
  return add_outputs(frame->plan, special, out);
}

kp_status* kp_exec_estimate(kp_executor* executor, kapell_value* const* inputs, int width,
                            kp_exec_memory* out_memory) {
  *out_memory = (kp_exec_memory){0};
  static const volatile int never = 0;
  kp_run_counters counters = {0};
  kp_exec_args args = {.width = width, .cancel = &never, .counters = &counters};
  kp_run_state run = {.executor = executor, .args = &args};
  kp_frame* frame;
  kp_arena arena = {0};
  const kp_plan* plan = executor->set->plans[0];
  const kp_budget* budget = kp_bounds_current().budget;
  const uint64_t before = budget ? kp_budget_used(budget) : 0;
  KP_PASS(kp_frame_create(&run, plan, &frame));
  for (uint32_t i = 0; i < plan->input_count; ++i) frame->slots[plan->inputs[i]].value = inputs[i];
  kp_status* status = estimate(frame, &arena, out_memory);
  if (budget)  // the run has a few small things more
    out_memory->context_bytes =
        (size_t)(kp_budget_used(budget) - before) + 4096 + 512 * (size_t)plan->output_count;
  kp_frame_free(frame);
  kp_arena_free(&arena);
  return status;
}
