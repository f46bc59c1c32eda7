// Runs: a context over the partition's values, the library's Compute, outputs where it asks for them.
#include "base/cancel.h"
#include "base/clock.h"
#include "base/pool.h"
#include "base/size.h"
#include "provider/plugin/kernels.h"

// --- specialising: what only the library knows stays unknown ----------------------------------------------------------------
kp_status* kp_plugin_specialise(kp_compiled* base, const kp_specialise_args* args,
                                kp_special** out_special) {
  const kp_plugin_compiled* compiled = (const kp_plugin_compiled*)base;
  *out_special = NULL;
  kp_special* special = kp_arena_new(args->arena, kp_special);
  if (!special) return KP_ERROR(OUT_OF_MEMORY, "shapes of a partition");
  const uint32_t count = compiled->part->output_count;
  size_t handles;
  if (compiled->kernels)
    KP_PASS(kp_kernels_scratch(compiled->kernels, compiled->part, &special->scratch_bytes));
  else if (!kp_add_size((size_t)args->input_count + compiled->constant_count, count, &handles) ||
           !kp_mul_size(handles, sizeof(OrtValue), &special->scratch_bytes))
    return KP_ERROR(LIMIT, "handles of a partition");
  special->allocates = compiled->kernels != NULL;  // values between kernels
  special->outputs = compiled->outputs;
  special->output_count = count;
  *out_special = special;
  return NULL;
}

// --- what the library may ask while it computes ---------------------------------------------------------------------------------
bool kp_plugin_has_shape(const kapell_value* value, kapell_type type, const int64_t* dims,
                         size_t rank) {
  return value && value->kind == KAPELL_KIND_TENSOR && value->type == type &&
         (size_t)value->rank == rank &&
         (rank == 0 || memcmp(value->dims, dims, rank * sizeof *dims) == 0);
}

static OrtStatus* give_output(OrtKernelContext* context, size_t index, const int64_t* dims,
                              size_t rank) {
  const kp_plugin_call* call = context->user;
  const kp_graph* part = call->compiled->part;
  const kp_type* type = &part->values[part->outputs[index]].type;
  OrtValue* handle = &context->outputs[index];
  if (type->kind != KAPELL_KIND_TENSOR || type->element == KAPELL_UNDEFINED)
    return kp_ort_error(ORT_INVALID_GRAPH, "output %zu is not known to be a tensor of some type",
                        index);
  KP_ORT_TAKE(kp_value_check_dims(type->element, dims, (int32_t)rank, NULL, NULL));
  kapell_value* value = call->args->outputs[index];
  if (!kp_plugin_has_shape(value, type->element, dims, rank))
    KP_ORT_TAKE(
        kp_run_output(call->args, (uint32_t)index, type->element, dims, (int32_t)rank, &value));
  handle->value = value;
  handle->info = kp_plugin_memory_info(value->memory);
  return NULL;
}

static void lend_output(OrtKernelContext* context, size_t index) {
  kapell_value* value = ((const kp_plugin_call*)context->user)->args->outputs[index];
  if (!value || value->kind != KAPELL_KIND_TENSOR) return;
  context->outputs[index].value = value;
  context->outputs[index].info = kp_plugin_memory_info(value->memory);
}

typedef struct indexed_tasks {
  void (*fn)(void* user, size_t index);
  void* user;
} indexed_tasks;

static void call_task(void* arg, size_t task, int worker) {
  const indexed_tasks* tasks = arg;
  (void)worker;
  tasks->fn(tasks->user, task);
}

void kp_plugin_parallel_for(const OrtKernelContext* context, size_t count,
                            void (*fn)(void* user, size_t index), void* user) {
  indexed_tasks tasks = {fn, user};
  kp_parallel_for_dynamic(((const kp_plugin_call*)context->user)->args->width, count, call_task,
                          &tasks);
}

OrtStatus* kp_plugin_find_logger(const OrtKernelContext* context, const OrtLogger** out) {
  *out = &((const kp_plugin_call*)context->user)->compiled->provider->logger;
  return NULL;
}

OrtAllocator* kp_plugin_find_allocator(const OrtKernelContext* context, const OrtMemoryInfo* info) {
  const kp_plugin_memory* memory =
      ((const kp_plugin_call*)context->user)->compiled->provider->memory;
  const kp_memory* base = kp_plugin_memory_base(memory);
  return base && kp_ort_info_equal(info, kp_plugin_memory_info(base))
             ? kp_plugin_memory_allocator(memory)
             : NULL;
}

static const kp_ort_runner runner = {.output = give_output,
                                     .preallocated = lend_output,
                                     .parallel_for = kp_plugin_parallel_for,
                                     .logger = kp_plugin_find_logger,
                                     .allocator = kp_plugin_find_allocator};

// --- a run ------------------------------------------------------------------------------------------------------------------
// Handles that hold no references: the values belong to the run, or to the partition.
static kp_status* lend_inputs(OrtKernelContext* context, const kp_plugin_call* call) {
  const uint32_t own = call->compiled->part->input_count;
  for (size_t i = 0; i < context->input_count; ++i) {
    OrtValue* handle = &context->inputs[i];
    handle->value = i < own ? call->args->inputs[i] : call->compiled->constants[i - own];
    handle->info = kp_plugin_memory_info(handle->value ? handle->value->memory : NULL);
    if (handle->value && handle->value->kind == KAPELL_KIND_SPARSE)
      KP_PASS(kp_ort_to_status(kp_ort_sparse_describe(handle)));
  }
  return NULL;
}

typedef struct one_compute {
  const kp_plugin_compiled* compiled;
  OrtKernelContext* context;
} one_compute;

static OrtStatus* call_compute(void* arg) {
  const one_compute* c = arg;
  return c->compiled->info->Compute(c->compiled->info, c->compiled->state, c->context);
}

// A planned output that the library never asked for would be whatever lay there.
static kp_status* check_outputs(const OrtKernelContext* context,
                                const kp_plugin_compiled* compiled) {
  const kp_graph* part = compiled->part;
  for (size_t o = 0; o < context->output_count; ++o)
    if (!context->outputs[o].value)
      return KP_ERROR(PROVIDER_FAILED, "%s did not make output '%s' of %s",
                      compiled->provider->type->type.short_name,
                      part->values[part->outputs[o]].name, compiled->name);
  return NULL;
}

static void report(const kp_plugin_compiled* compiled, kp_profile* profile, uint64_t start_ns) {
  const kp_profile_event event = {.name = compiled->name,
                                  .op = "fused",
                                  .provider = compiled->provider->type->type.short_name,
                                  .kernel = "compiled",
                                  .start_ns = start_ns,
                                  .end_ns = kp_clock_ns()};
  kp_profile_add(profile, &event);
}

static kp_status* run_whole(const kp_plugin_compiled* compiled, const kp_special* special,
                            const kp_run_args* args) {
  const kp_graph* part = compiled->part;
  kp_plugin_call call = {compiled, args};
  if (special->scratch_bytes) memset(args->scratch, 0, special->scratch_bytes);
  OrtKernelContext context = {.runner = &runner,
                              .user = &call,
                              .inputs = args->scratch,
                              .input_count = (size_t)part->input_count + compiled->constant_count,
                              .output_count = part->output_count,
                              .stream = kp_plugin_stream_of(&call)};
  context.outputs = context.inputs + context.input_count;
  const uint64_t start_ns = args->profile ? kp_clock_ns() : 0;
  kp_status* status = lend_inputs(&context, &call);
  if (!status)
    status = kp_plugin_failure(compiled->provider->type, "running",
                               kp_ort_guard(call_compute, &(one_compute){compiled, &context}));
  for (size_t i = 0; i < context.input_count; ++i)
    if (context.inputs[i].sparse) kp_ort_sparse_free(context.inputs[i].sparse);
  KP_PASS(status);
  KP_PASS(kp_plugin_stream_settle(&call));
  KP_PASS(check_outputs(&context, compiled));
  if (args->profile) report(compiled, args->profile, start_ns);
  return NULL;
}

kp_status* kp_plugin_run(kp_compiled* base, const kp_special* special, const kp_run_args* args) {
  const kp_plugin_compiled* compiled = (const kp_plugin_compiled*)base;
  if (kp_is_cancelled(args->cancel)) return KP_ERROR(CANCELLED, "a run was stopped");
  return compiled->kernels ? kp_kernels_run(compiled, args) : run_whole(compiled, special, args);
}
