// Runs of partitions by kernels: nodes in order, each with a context over the values so far. A value is held where it was made, copied
// to the other place when a kernel wants it there, and let go after the last step that reads it.
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/size.h"
#include "provider/plugin/kernels.h"

// Contents of one value, by place. Those that are not |owned| belong to exec, or to the partition's constants.
typedef struct kp_held {
  kapell_value* at[KP_PLACE_COUNT];
  bool owned[KP_PLACE_COUNT];
} kp_held;

typedef struct kernel_run {
  kp_plugin_call call;  // first
  const kp_plugin_kernels* kernels;
  const kp_kernel_step* step;  // that runs
  kp_held* held;               // by value of the partition
} kernel_run;

static size_t value_count_of(const kp_graph* part) { return (size_t)part->value_count + 1; }

kp_status* kp_kernels_scratch(const kp_plugin_kernels* kernels, const kp_graph* part,
                              size_t* out_bytes) {
  size_t held, handles;
  if (kp_mul_size(value_count_of(part), sizeof(kp_held), &held) &&
      kp_mul_size((size_t)kernels->widest + 1, sizeof(OrtValue), &handles) &&
      kp_add_size(held, handles, out_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "handles of a partition");
}

// --- values -----------------------------------------------------------------------------------------------------------------
static void let_go(kp_held* held) {
  for (int place = 0; place < KP_PLACE_COUNT; ++place)
    if (held->owned[place]) kp_value_release(held->at[place]);
  *held = (kp_held){0};
}

static kp_status* bring(const kernel_run* run, kp_value_id id, kp_kernel_place place,
                        kapell_value** out) {
  kp_held* held = &run->held[id];
  const kapell_value* from = held->at[place] ? held->at[place] : held->at[!place];
  const kp_graph* part = run->call.compiled->part;
  if (!from) return KP_ERROR(PROVIDER_FAILED, "no kernel made '%s'", part->values[id].name);
  if (!held->at[place]) {
    const kp_memory* memory = kp_kernel_memory(run->call.compiled->provider, place);
    kapell_value* copy = NULL;
    KP_PASS(kp_value_create_on(memory, from->type, from->dims, from->rank, &copy));
    kp_status* status =
        kp_memory_copy(memory, copy->data, from->memory, from->data, from->byte_count);
    if (status) {
      kp_value_release(copy);
      return kp_status_frame(status, __FILE__, __LINE__, "copying '%s'", part->values[id].name);
    }
    held->at[place] = copy;
    held->owned[place] = true;
  }
  *out = held->at[place];
  return NULL;
}

static kp_kernel_place place_of(const kapell_value* value) {
  return value->memory ? KP_PLACE_LIBRARY : KP_PLACE_HOST;
}

static void take_inputs(const kernel_run* run) {
  const kp_graph* part = run->call.compiled->part;
  for (uint32_t i = 0; i < part->input_count; ++i) {
    kapell_value* value = run->call.args->inputs[i];
    if (value) run->held[part->inputs[i]].at[place_of(value)] = value;
  }
}

// --- outputs ----------------------------------------------------------------------------------------------------------------
// The output may be the input under another shape, which nobody writes over: partitions' outputs have memory of their own.
static kp_status* share_input(const kernel_run* run, size_t index, kp_kernel_place place,
                              kapell_type type, const int64_t* dims, int32_t rank,
                              kapell_value** out) {
  const kp_kernel_step* step = run->step;
  const int input = kp_ort_def_alias(step->def, index);
  size_t bytes;
  if (input < 0 || (uint32_t)input >= step->node->input_count ||
      step->node->inputs[input] == KP_NONE)
    return NULL;
  const kapell_value* from = run->held[step->node->inputs[input]].at[place];
  KP_PASS(kp_value_check_dims(type, dims, rank, NULL, &bytes));
  if (!from || !from->buffer || from->kind != KAPELL_KIND_TENSOR || from->type != type ||
      from->byte_count != bytes)
    return NULL;
  kapell_value* same = NULL;
  KP_PASS(kp_value_create_shell(&same));
  kp_status* status = kp_value_share(same, from);
  if (!status) status = kp_value_reshape(same, dims, rank);
  if (status)
    kp_value_release(same);
  else
    *out = same;
  return status;
}

// Room for a value that stays inside, or that lies elsewhere than the kernel makes it.
static kp_status* make_room(const kernel_run* run, size_t index, kp_kernel_place place,
                            kapell_type type, const int64_t* dims, int32_t rank) {
  const kp_value_id id = run->step->node->outputs[index];
  kp_held* held = &run->held[id];
  kapell_value* value = NULL;
  if (run->kernels->output_of[id] == KP_NONE)
    KP_PASS(share_input(run, index, place, type, dims, rank, &value));
  if (!value)
    KP_PASS(kp_value_create_on(kp_kernel_memory(run->call.compiled->provider, place), type, dims,
                               rank, &value));
  if (held->owned[place]) kp_value_release(held->at[place]);
  held->at[place] = value;
  held->owned[place] = true;
  return NULL;
}

static kp_status* place_output(const kernel_run* run, size_t index, kapell_type type,
                               const int64_t* dims, int32_t rank) {
  const kp_value_id id = run->step->node->outputs[index];
  const kp_kernel_place place =
      kp_kernel_place_of(run->call.compiled->provider, run->step->def, true, index);
  kp_held* held = &run->held[id];
  if (kp_plugin_has_shape(held->at[place], type, dims, rank)) return NULL;
  const uint32_t output = run->kernels->output_of[id];
  if (output != KP_NONE) {
    kapell_value* value = run->call.args->outputs[output];
    if (!kp_plugin_has_shape(value, type, dims, rank))
      KP_PASS(kp_run_output(run->call.args, output, type, dims, rank, &value));
    if (place_of(value) == place) {
      held->at[place] = value;
      return NULL;
    }
  }
  return make_room(run, index, place, type, dims, rank);
}

static OrtStatus* give_output(OrtKernelContext* context, size_t index, const int64_t* dims,
                              size_t rank) {
  const kernel_run* run = context->user;
  const kp_plugin_compiled* compiled = run->call.compiled;
  const kp_value_id id = run->step->node->outputs[index];
  if (id == KP_NONE) return NULL;
  const kp_type* type = &compiled->part->values[id].type;
  if (type->kind != KAPELL_KIND_TENSOR || type->element == KAPELL_UNDEFINED)
    return kp_ort_error(ORT_INVALID_GRAPH, "output %zu is not known to be a tensor of some type",
                        index);
  KP_ORT_TAKE(kp_value_check_dims(type->element, dims, (int32_t)rank, NULL, NULL));
  KP_ORT_TAKE(place_output(run, index, type->element, dims, (int32_t)rank));
  OrtValue* handle = &context->outputs[index];
  handle->value =
      run->held[id].at[kp_kernel_place_of(compiled->provider, run->step->def, true, index)];
  handle->info = kp_plugin_memory_info(handle->value->memory);
  return NULL;
}

static const kp_ort_runner runner = {.output = give_output,
                                     .parallel_for = kp_plugin_parallel_for,
                                     .logger = kp_plugin_find_logger,
                                     .allocator = kp_plugin_find_allocator};

// --- a step -----------------------------------------------------------------------------------------------------------------
static kp_status* lend_inputs(const kernel_run* run, OrtKernelContext* context) {
  const kp_kernel_step* step = run->step;
  for (uint32_t i = 0; i < step->node->input_count; ++i) {
    const kp_value_id id = step->node->inputs[i];
    OrtValue* handle = &context->inputs[i];
    if (id == KP_NONE || step->packed[i]) continue;
    if (step->lent[i]) {
      *handle = *step->lent[i];
      continue;
    }
    KP_PASS(bring(run, id, kp_kernel_place_of(run->call.compiled->provider, step->def, false, i),
                  &handle->value));
    handle->info = kp_plugin_memory_info(handle->value->memory);
  }
  return NULL;
}

typedef struct one_compute {
  OrtKernelImpl* impl;
  OrtKernelContext* context;
} one_compute;

static OrtStatus* call_compute(void* arg) {
  const one_compute* c = arg;
  return c->impl->Compute(c->impl, c->context);
}

// The step's values as the kernel saw them; without memory the event has none.
static void report(const kernel_run* run, const OrtKernelContext* context, uint64_t start_ns) {
  const kp_node* node = run->step->node;
  const size_t count = context->input_count + context->output_count;
  const kapell_value** values = kp_alloc_zero(count + 1, sizeof *values);
  for (size_t i = 0; values && i < count; ++i) values[i] = context->inputs[i].value;
  const kp_profile_event event = {.name = node->name,
                                  .op = node->op,
                                  .provider = run->call.compiled->provider->type->type.name,
                                  .kernel = "kernel",
                                  .inputs = values,
                                  .input_count = values ? (uint32_t)context->input_count : 0,
                                  .outputs = values ? values + context->input_count : NULL,
                                  .output_count = values ? (uint32_t)context->output_count : 0,
                                  .origins = node->origins,
                                  .origin_count = node->origin_count,
                                  .start_ns = start_ns,
                                  .end_ns = kp_clock_ns()};
  kp_profile_add(run->call.args->profile, &event);
  kp_free(values);
}

static kp_status* run_step(kernel_run* run, OrtValue* handles) {
  const kp_kernel_step* step = run->step;
  const kp_run_args* args = run->call.args;
  const uint64_t start_ns = args->profile ? kp_clock_ns() : 0;
  OrtKernelContext context = {.runner = &runner,
                              .user = run,
                              .inputs = handles,
                              .outputs = handles + step->node->input_count,
                              .input_count = step->node->input_count,
                              .output_count = step->node->output_count};
  memset(handles, 0, (context.input_count + context.output_count) * sizeof *handles);
  KP_PASS(lend_inputs(run, &context));
  KP_PASS(kp_plugin_failure(run->call.compiled->provider->type, "running a kernel",
                            kp_ort_guard(call_compute, &(one_compute){step->impl, &context})));
  if (args->profile) report(run, &context, start_ns);
  for (uint32_t d = 0; d < step->dead_count; ++d) let_go(&run->held[step->dead[d]]);
  return NULL;
}

// Outputs that a kernel made elsewhere than exec wants them.
static kp_status* settle_outputs(const kernel_run* run) {
  const kp_graph* part = run->call.compiled->part;
  for (uint32_t o = 0; o < part->output_count; ++o) {
    kapell_value* to = run->call.args->outputs[o];
    const kp_held* held = &run->held[part->outputs[o]];
    if (!held->at[KP_PLACE_HOST] && !held->at[KP_PLACE_LIBRARY])
      return KP_ERROR(PROVIDER_FAILED, "%s did not make output '%s'",
                      run->call.compiled->provider->type->type.short_name,
                      part->values[part->outputs[o]].name);
    const kp_kernel_place place = place_of(to);
    const kapell_value* from = held->at[!place];
    if (held->at[place] == to || !from) continue;
    KP_PASS(kp_memory_copy(to->memory, to->data, from->memory, from->data, from->byte_count));
  }
  return NULL;
}

static kp_status* check_limits(const kp_run_args* args) {
  if (kp_is_cancelled(args->cancel)) return KP_ERROR(CANCELLED, "a run was stopped");
  if (args->deadline_ns && kp_clock_ns() > args->deadline_ns)
    return KP_ERROR(TIMEOUT, "the run's time limit ran out");
  return NULL;
}

static kp_status* run_steps(kernel_run* run, OrtValue* handles) {
  for (uint32_t s = 0; s < run->kernels->step_count; ++s) {
    run->step = &run->kernels->steps[s];
    KP_PASS(check_limits(run->call.args));
    const kp_node* node = run->step->node;
    KP_PASS(kp_status_at(run_step(run, handles), node->name, node->op, NULL));
  }
  return settle_outputs(run);
}

kp_status* kp_kernels_run(const kp_plugin_compiled* compiled, const kp_run_args* args) {
  const kp_graph* part = compiled->part;
  kernel_run run = {.call = {compiled, args}, .kernels = compiled->kernels, .held = args->scratch};
  const size_t count = value_count_of(part);
  memset(run.held, 0, count * sizeof *run.held);
  take_inputs(&run);
  kp_status* status = run_steps(&run, (OrtValue*)(void*)(run.held + count));
  for (size_t v = 0; v < count; ++v) let_go(&run.held[v]);
  return status;
}
