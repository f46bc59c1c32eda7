// Running a partition: node by node through the evaluator of another provider, on the secret side of the device's memory.
// Neighbours: compile.c made the partition, stream.c calls kp_mock_job_run on its own thread, body.c runs control flow.
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/size.h"
#include "base/types.h"
#include "graph/cost.h"
#include "provider/mock/mock_internal.h"

#define HANG_LIMIT_NS UINT64_C(60000000000)  // without a cancel flag a hang would be for ever
#define NAP_NS 500000

// --- who computes -----------------------------------------------------------------------------------------------------------
static kp_mock_evaluator given_evaluator;

void kp_mock_set_evaluator(kp_mock_evaluator evaluator) { given_evaluator = evaluator; }

kp_status* kp_mock_evaluate(const kp_graph* graph, const kp_node* node, kapell_value* const* inputs,
                            kapell_value** outputs) {
  if (given_evaluator) return given_evaluator(graph, node, inputs, outputs);
  for (size_t i = 0; kp_provider_builtin(i); ++i)
    if (kp_provider_builtin(i)->evaluate)
      return kp_provider_builtin(i)->evaluate(graph, node, inputs, outputs);
  return KP_ERROR(UNSUPPORTED, "no provider in this build evaluates single nodes");
}

// --- frames -----------------------------------------------------------------------------------------------------------------
kp_status* kp_mock_frame_init(kp_mock_frame* frame, const kp_graph* graph) {
  *frame = (kp_mock_frame){.graph = graph,
                           .values = kp_alloc_zero(graph->value_count, sizeof *frame->values)};
  return frame->values ? NULL : KP_ERROR(OUT_OF_MEMORY, "values of %u", graph->value_count);
}

void kp_mock_frame_free(kp_mock_frame* frame) {
  for (uint32_t i = 0; frame->values && i < frame->graph->value_count; ++i)
    kp_value_release(frame->values[i]);
  kp_free(frame->values);
  frame->values = NULL;
}

kapell_value* kp_mock_frame_get(const kp_mock_frame* frame, kp_value_id id) {
  if (id == KP_NONE) return NULL;
  if (frame->values[id]) return frame->values[id];
  return frame->constants ? frame->constants[id] : frame->graph->values[id].constant;
}

static void report(const kp_mock_frame* frame, const kp_node* node, uint64_t start_ns, double flops,
                   kapell_value* const* inputs, kapell_value* const* outputs) {
  const kp_mock_provider* provider = frame->job->compiled->provider;
  const double cost = provider->settings.ns_per_flop * flops;
  const kp_profile_event event = {.name = node->name,
                                  .op = node->op,
                                  .provider = provider->base.type->name,
                                  .kernel = cost > 0 ? "mock (virtual time)" : "mock",
                                  .origins = node->origins,
                                  .origin_count = node->origin_count,
                                  .start_ns = start_ns,
                                  .end_ns = cost > 0 ? start_ns + (uint64_t)cost : kp_clock_ns(),
                                  .flops = flops,
                                  .inputs = (const kapell_value* const*)inputs,
                                  .input_count = node->input_count,
                                  .outputs = (const kapell_value* const*)outputs,
                                  .output_count = node->output_count};
  kp_profile_add(frame->job->args.profile, &event);
}

static kp_status* run_node(kp_mock_frame* frame, const kp_node* node, kapell_value** inputs,
                           kapell_value** outputs) {
  for (uint32_t i = 0; i < node->input_count; ++i)
    inputs[i] = kp_mock_frame_get(frame, node->inputs[i]);
  const uint64_t start_ns = frame->job->args.profile ? kp_clock_ns() : 0;
  const bool control = kp_mock_is_control(node);
  if (control)
    KP_PASS(kp_mock_control_run(frame, node, outputs));
  else
    KP_TRY(kp_mock_evaluate(frame->graph, node, inputs, outputs), "running node '%s' (%s) on %s",
           node->name, node->op, frame->job->compiled->provider->base.memory->name);
  kp_mock_count_node();
  const double flops = control ? 0
                               : kp_node_flops_of(node, (const kapell_value* const*)inputs,
                                                  (const kapell_value* const*)outputs);
  frame->flops += flops;
  if (frame->job->args.profile) report(frame, node, start_ns, flops, inputs, outputs);
  for (uint32_t o = 0; o < node->output_count; ++o) {
    if (node->outputs[o] == KP_NONE || !outputs[o]) continue;
    kp_value_release(frame->values[node->outputs[o]]);
    frame->values[node->outputs[o]] = kp_value_retain(outputs[o]);
  }
  return NULL;
}

static bool stopped(const kp_mock_frame* frame) {
  return kp_is_cancelled(frame->job->args.cancel) || (frame->stop && atomic_load(frame->stop));
}

kp_status* kp_mock_frame_run(kp_mock_frame* frame) {
  const kp_graph* graph = frame->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    if (stopped(frame))
      return KP_ERROR(CANCELLED, "stopped before node '%s'", graph->nodes[graph->order[i]].name);
    const kp_node* node = &graph->nodes[graph->order[i]];
    kapell_value** slots =
        kp_alloc_zero((size_t)node->input_count + node->output_count, sizeof *slots);
    if (!slots) return KP_ERROR(OUT_OF_MEMORY, "node '%s'", node->name);
    kapell_value** outputs = slots + node->input_count;
    kp_status* status = run_node(frame, node, slots, outputs);
    for (uint32_t o = 0; o < node->output_count; ++o) kp_value_release(outputs[o]);
    kp_free(slots);
    if (status) return status;
  }
  return NULL;
}

// --- inputs and outputs -------------------------------------------------------------------------------------------------------
static kp_status* reach(const kp_mock_compiled* compiled, const char* what, uint32_t index,
                        const kapell_value* value, void** out_secret) {
  const kp_memory* memory = compiled->provider->base.memory;
  *out_secret = value->memory == memory ? kp_mock_device_reach(compiled->provider->device,
                                                               value->data, value->byte_count)
                                        : NULL;
  if (*out_secret) return NULL;
  return KP_ERROR(INTERNAL, "%s %u of %s lies in %s at %p; it belongs in %s", what, index,
                  compiled->name, value->memory ? value->memory->name : "host memory", value->data,
                  memory->name);
}

static kp_status* bind_inputs(kp_mock_frame* frame) {
  const kp_mock_job* job = frame->job;
  const kp_graph* part = frame->graph;
  for (uint32_t i = 0; i < part->input_count; ++i) {
    const kapell_value* given = job->args.inputs[i];
    if (!given || given->kind == KAPELL_KIND_NONE) continue;
    if (given->kind != KAPELL_KIND_TENSOR || kp_type_bits(given->type) == 0)
      return KP_ERROR(INTERNAL, "input %u of %s is no dense tensor of fixed width", i,
                      job->compiled->name);
    void* secret;
    KP_PASS(reach(job->compiled, "input", i, given, &secret));
    kapell_value** slot = &frame->values[part->inputs[i]];
    KP_PASS(kp_value_wrap_tensor(given->type, given->dims, given->rank, secret, given->byte_count,
                                 NULL, NULL, slot));
  }
  return NULL;
}

static bool same_shape(const kp_shape_info* info, const kapell_value* value) {
  if (info->type != value->type || info->rank != value->rank) return false;
  return value->rank == 0 ||
         memcmp(info->dims, value->dims, sizeof *value->dims * (size_t)value->rank) == 0;
}

static kp_status* check_shape(const kp_mock_frame* frame, uint32_t index, const kp_shape_info* info,
                              const kapell_value* made) {
  if (same_shape(info, made)) return NULL;
  kapell_value inferred = {.kind = KAPELL_KIND_TENSOR, .type = info->type, .rank = info->rank};
  int64_t dims[KP_MAX_RANK];
  for (int32_t d = 0; d < info->rank && d < KP_MAX_RANK; ++d) dims[d] = info->dims[d];
  inferred.dims = dims;
  kp_strbuf got = {0}, wanted = {0};
  kp_value_describe(made, &got);
  kp_value_describe(&inferred, &wanted);
  const kp_value* value = &frame->graph->values[frame->graph->outputs[index]];
  kp_status* status =
      kp_status_at(KP_ERROR(INTERNAL, "'%s' came out as %s where inference says %s", value->name,
                            got.data ? got.data : "?", wanted.data ? wanted.data : "?"),
                   NULL, NULL, value->name);
  kp_strbuf_free(&got);
  kp_strbuf_free(&wanted);
  return status;
}

// Numbers that are off by one, as a bad kernel's might be.
static void spoil(kapell_type type, void* data, size_t byte_count) {
  float* floats = data;
  int64_t* longs = data;
  unsigned char* bytes = data;
  if (type == KAPELL_FLOAT)
    for (size_t i = 0; i < byte_count / sizeof *floats; ++i) floats[i] += 1;
  else if (type == KAPELL_INT64)
    for (size_t i = 0; i < byte_count / sizeof *longs; ++i) longs[i] ^= 1;
  else
    for (size_t i = 0; i < byte_count; ++i) bytes[i] ^= 1;
}

static kp_status* write_outputs(kp_mock_frame* frame, bool wrong) {
  const kp_mock_job* job = frame->job;
  const kp_graph* part = frame->graph;
  for (uint32_t o = 0; o < part->output_count; ++o) {
    const kapell_value* made = kp_mock_frame_get(frame, part->outputs[o]);
    const kp_shape_info* info = &job->special->outputs[o];
    if (!made || made->kind != KAPELL_KIND_TENSOR)
      return KP_ERROR(INTERNAL, "output %u of %s was not made", o, job->compiled->name);
    kapell_value* target = job->args.outputs[o];
    if (info->rank >= 0)
      KP_PASS(check_shape(frame, o, info, made));
    else
      KP_PASS(kp_run_output(&job->args, o, made->type, made->dims, made->rank, &target));
    void* secret;
    KP_PASS(reach(job->compiled, "output", o, target, &secret));
    if (made->byte_count) memcpy(secret, made->data, made->byte_count);
    if (wrong) spoil(made->type, secret, made->byte_count);
  }
  return NULL;
}

// --- a job --------------------------------------------------------------------------------------------------------------------
// Sleeps until |until_ns|; CANCELLED or TIMEOUT when a stop or the run's deadline comes first.
static kp_status* sleep_until(const kp_mock_frame* frame, uint64_t until_ns) {
  const uint64_t deadline_ns = frame->job->args.deadline_ns;
  const char* part = frame->job->compiled->name;
  for (;;) {
    const uint64_t now = kp_clock_ns();
    if (stopped(frame)) return KP_ERROR(CANCELLED, "%s was stopped", part);
    if (deadline_ns && now >= deadline_ns) return KP_ERROR(TIMEOUT, "%s did not end in time", part);
    if (now >= until_ns) return NULL;
    const struct timespec nap = {0, (long)kp_min_size(until_ns - now, NAP_NS)};
    nanosleep(&nap, NULL);
  }
}

// Failures that come before any work.
static kp_status* misbehave(kp_mock_frame* frame) {
  kp_mock_provider* provider = frame->job->compiled->provider;
  const char* part = frame->job->compiled->name;
  uint64_t wait_ns = provider->settings.delay_ns;
  if (provider->settings.failure == KP_MOCK_FAIL_SLOW)
    wait_ns += (provider->settings.n ? provider->settings.n : 20) * UINT64_C(1000000);
  if (wait_ns) KP_PASS(sleep_until(frame, kp_clock_ns() + wait_ns));
  if (kp_mock_fails(provider, KP_MOCK_FAIL_RUN))
    return KP_ERROR(PROVIDER_FAILED,
                    "%s: launching %s failed: an illegal memory access was encountered (code 700)",
                    provider->name, part);
  if (kp_mock_fails(provider, KP_MOCK_FAIL_HANG)) {
    KP_PASS(sleep_until(frame, kp_clock_ns() + HANG_LIMIT_NS));
    return KP_ERROR(PROVIDER_FAILED, "%s: %s did not answer for 60 s", provider->name, part);
  }
  return NULL;
}

// Outputs whose memory is there already show as never written until the work is done.
static kp_status* poison_outputs(const kp_mock_job* job) {
  for (uint32_t o = 0; o < job->special->output_count; ++o) {
    const kapell_value* target = job->args.outputs[o];
    if (job->special->outputs[o].rank < 0) continue;
    if (!target || target->kind != KAPELL_KIND_TENSOR)
      return KP_ERROR(INTERNAL, "output %u of %s has no memory", o, job->compiled->name);
    void* secret;
    KP_PASS(reach(job->compiled, "output", o, target, &secret));
    memset(secret, 0xff, target->byte_count);
  }
  return NULL;
}

kp_status* kp_mock_job_run(kp_mock_job* job, const atomic_bool* stop) {
  kp_mock_compiled* compiled = job->compiled;
  kp_mock_provider* provider = compiled->provider;
  kp_mock_frame frame = {0};
  kp_mock_count_run();
  ++compiled->runs;
  kp_mock_count_at_once(++provider->running);
  kp_status* status = kp_mock_frame_init(&frame, compiled->part);
  frame.job = job;
  frame.stop = stop;
  frame.constants = compiled->constants;
  if (!status && job->poison) status = poison_outputs(job);
  if (!status) status = misbehave(&frame);
  if (!status) status = bind_inputs(&frame);
  if (!status) status = kp_mock_frame_run(&frame);
  if (!status) status = write_outputs(&frame, kp_mock_fails(provider, KP_MOCK_FAIL_WRONG));
  compiled->flops += (uint64_t)frame.flops;
  kp_mock_device_charge(provider->device, provider->settings.launch_ns +
                                              provider->settings.ns_per_flop * frame.flops);
  kp_mock_frame_free(&frame);
  --provider->running;
  return status;
}

static bool all_shapes_known(const kp_special* special) {
  for (uint32_t o = 0; o < special->output_count; ++o)
    if (special->outputs[o].rank < 0) return false;
  return true;
}

kp_status* kp_mock_run(kp_compiled* base, const kp_special* special, const kp_run_args* args) {
  kp_mock_job job = {.compiled = (kp_mock_compiled*)base, .special = special, .args = *args};
  const bool streams = (base->provider->flags & KP_PROVIDER_STREAMS) != 0;
  if (streams != (args->stream != NULL))
    return KP_ERROR(INTERNAL, "%s has streams %s", job.compiled->name,
                    streams ? "and was given none" : "off and was given one");
  const bool enqueue = streams && all_shapes_known(special);
  if (streams && !enqueue) KP_PASS(kp_mock_stream_drain(args->stream, args->cancel));
  job.poison = enqueue && !kp_mock_stream_idle(args->stream);
  if (!job.poison) KP_PASS(poison_outputs(&job));
  return enqueue ? kp_mock_stream_enqueue(args->stream, &job) : kp_mock_job_run(&job, NULL);
}
