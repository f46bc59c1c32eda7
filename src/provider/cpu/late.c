// Steps whose shapes only the run knows, and single nodes outside of any plan: inference on actual values, then memory, plan, run.
//
// This path allocates. Plans keep it short: units of the CPU provider are cut behind nodes whose results decide shapes.
#include "base/alloc.h"
#include "base/cpu.h"
#include "provider/cpu/cpu.h"
#include "provider/host.h"

// --- outputs made while running ----------------------------------------------------------------------------------------------
static int32_t partition_output(const kp_cpu_host* host, uint32_t index) {
  return host->output_of ? host->output_of[host->step->outputs[index]] : -1;
}

bool kp_op_wants(const kp_op_run* run, uint32_t index) {
  const kp_cpu_host* host = run->host;
  return index < run->node->output_count && host->step->outputs[index] != KP_NONE;
}

static bool has_shape(const kapell_value* value, kapell_type type, const int64_t* dims,
                      int32_t rank) {
  return value->kind == KAPELL_KIND_TENSOR && value->type == type && value->rank == rank &&
         (rank == 0 || memcmp(value->dims, dims, sizeof(int64_t) * (size_t)rank) == 0);
}

kp_status* kp_op_output(const kp_op_run* run, uint32_t index, kapell_type type, const int64_t* dims,
                        int32_t rank, kapell_value** out_value) {
  *out_value = NULL;
  const kp_cpu_host* host = run->host;
  if (!kp_op_wants(run, index))
    return KP_ERROR(INTERNAL, "%s makes output %u, which nobody wants", run->node->op, index);
  kapell_value* made = run->outputs[index];
  if (made) {
    if (!has_shape(made, type, dims, rank))
      return KP_ERROR(INTERNAL, "%s: output %u is not what was inferred", run->node->op, index);
    *out_value = made;
    return NULL;
  }
  const int32_t output = partition_output(host, index);
  if (output >= 0)
    KP_PASS(kp_run_output(host->args, (uint32_t)output, type, dims, rank, out_value));
  else
    KP_PASS(kp_value_create_tensor(type, dims, rank, out_value));
  run->outputs[index] = *out_value;
  return NULL;
}

kp_status* kp_op_output_value(const kp_op_run* run, uint32_t index, kapell_value* value) {
  const kp_cpu_host* host = run->host;
  if (!kp_op_wants(run, index)) {
    kp_value_release(value);
    return NULL;
  }
  const int32_t output = partition_output(host, index);
  if (output >= 0)
    host->args->outputs[output] = value;
  else
    kp_value_release(run->outputs[index]);
  run->outputs[index] = value;
  return NULL;
}

// Tensors are copied: the value may be a view of scratch, or a shell that is patched in the next run.
kp_status* kp_op_keep(kapell_value* value, kapell_value** out_value) {
  *out_value = NULL;
  if (value->kind == KAPELL_KIND_TENSOR) return kp_value_clone(value, out_value);
  *out_value = kp_value_retain(value);
  return NULL;
}

// --- one step on actual values -----------------------------------------------------------------------------------------------
typedef struct kp_late {
  const kp_cpu_call* call;
  kp_arena arena;
  kp_type* types;
  const kp_type** type_pointers;
  kp_known* known;
  kapell_value** constants;
  kp_type* out_types;
  kp_known* out_known;
  kapell_value** descriptions;  // of the outputs, for plan
} kp_late;

static kp_status* allocate(kp_late* late) {
  const uint32_t inputs = late->call->step->node->input_count + 1,
                 outputs = late->call->step->node->output_count + 1;
  late->types = kp_arena_new_array(&late->arena, kp_type, inputs);
  late->type_pointers = kp_arena_new_array(&late->arena, const kp_type*, inputs);
  late->known = kp_arena_new_array(&late->arena, kp_known, inputs);
  late->constants = kp_arena_new_array(&late->arena, kapell_value*, inputs);
  late->out_types = kp_arena_new_array(&late->arena, kp_type, outputs);
  late->out_known = kp_arena_new_array(&late->arena, kp_known, outputs);
  late->descriptions = kp_arena_new_array(&late->arena, kapell_value*, outputs);
  const bool there = late->types && late->type_pointers && late->known && late->constants &&
                     late->out_types && late->out_known && late->descriptions;
  return there ? NULL : KP_ERROR(OUT_OF_MEMORY, "running a node of unknown shapes");
}

static kp_type type_of(const kp_cpu_call* call, uint32_t i) {
  const kapell_value* value = call->inputs[i];
  if (value->kind == KAPELL_KIND_TENSOR)
    return (kp_type){KAPELL_KIND_TENSOR, value->type, value->rank, value->dims, NULL};
  const kp_type* declared = &call->graph->values[call->step->node->inputs[i]].type;
  return declared->kind == value->kind ? *declared : (kp_type){.kind = value->kind, .rank = -1};
}

static kp_status* infer(kp_late* late) {
  const kp_cpu_call* call = late->call;
  for (uint32_t i = 0; i < call->step->node->input_count; ++i) {
    if (!call->inputs[i]) continue;
    late->types[i] = type_of(call, i);
    late->type_pointers[i] = &late->types[i];
    if (call->inputs[i]->kind == KAPELL_KIND_TENSOR) late->constants[i] = call->inputs[i];
  }
  if (!call->step->rule) return NULL;
  kp_infer infer = {.graph = call->graph,
                    .node = call->step->node,
                    .arena = &late->arena,
                    .inputs = late->type_pointers,
                    .known = late->known,
                    .constants = late->constants,
                    .outputs = late->out_types,
                    .out_known = late->out_known};
  return kp_infer_node(&infer, call->step->rule);
}

// With all contents at hand, only what the data itself decides may still be open: operators rely on the rest.
static bool must_be_known(const kp_cpu_call* call, const kp_type* type) {
  const kp_infer_rule* rule = call->step->rule;
  return rule && !(rule->flags & KP_INFER_DYNAMIC) &&
         (type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_NONE);
}

// Memory for the outputs whose shape is known now; the others are the operator's to make.
static kp_status* make_outputs(kp_late* late, const kp_op_run* run) {
  const kp_cpu_call* call = late->call;
  for (uint32_t o = 0; o < call->step->node->output_count; ++o) {
    if (!kp_op_wants(run, o)) continue;
    const kp_type* type = &late->out_types[o];
    kapell_value* made;
    if (kp_cpu_type_known(type))
      KP_PASS(kp_op_output(run, o, type->element, type->dims, type->rank, &made));
    else if (must_be_known(call, type))
      return KP_ERROR(RUN_FAILED,
                      "the shape of output %u cannot be told: an input has a wrong shape or value",
                      o);
    late->descriptions[o] = kp_arena_new(&late->arena, kapell_value);
    if (!late->descriptions[o]) return KP_ERROR(OUT_OF_MEMORY, "running a node of unknown shapes");
    if (run->outputs[o]) *late->descriptions[o] = *run->outputs[o];
  }
  return NULL;
}

static kp_status* call_in(kp_late* late) {
  const kp_cpu_call* call = late->call;
  KP_PASS(allocate(late));
  KP_PASS(infer(late));
  kp_op_run run = {.node = call->step->node,
                   .inputs = call->inputs,
                   .outputs = call->outputs,
                   .width = call->width,
                   .cancel = call->cancel,
                   .host = call->host};
  KP_PASS(make_outputs(late, &run));
  kp_cpu_live live = {.step = call->step};
  KP_PASS(kp_cpu_plan_step(&live, (const kapell_value* const*)call->inputs,
                           (const kapell_value* const*)late->descriptions, call->width,
                           &late->arena));
  run.scratch = kp_alloc_aligned(live.scratch_bytes + 1, KP_ALIGNMENT);
  if (!run.scratch) return KP_ERROR(OUT_OF_MEMORY, "%zu bytes of scratch", live.scratch_bytes);
  kp_status* status = kp_cpu_invoke(&live, &run);
  kp_free(run.scratch);
  return status;
}

static kp_status* check_made(const kp_cpu_call* call) {
  for (uint32_t o = 0; o < call->step->node->output_count; ++o)
    if (call->step->outputs[o] != KP_NONE && !call->outputs[o])
      return KP_ERROR(INTERNAL, "%s did not make output %u", call->step->node->op, o);
  return NULL;
}

kp_status* kp_cpu_call_step(const kp_cpu_call* call) {
  kp_late late = {.call = call};
  kp_status* status = call_in(&late);
  if (!status) status = check_made(call);
  kp_arena_free(&late.arena);
  return status;
}

// --- single nodes ------------------------------------------------------------------------------------------------------------
static kp_status* eval(kp_cpu_compiled* owner, const kp_graph* graph, const kp_node* node,
                       kapell_value* const* inputs, kapell_value** outputs) {
  if (node->custom) return KP_ERROR(UNSUPPORTED, "custom operators run in sessions only");
  const kp_op_query query = {graph, node, &owner->arena};
  const kp_reason reason = kp_op_check(&query);
  if (reason) return KP_ERROR(UNSUPPORTED, "CPU: %s", reason);
  kp_infer_rule own;
  kp_cpu_step step = {
      .node = node, .op = kp_op_find(node), .inputs = node->inputs, .outputs = node->outputs};
  step.rule = kp_cpu_rule(step.op, node, &own);
  kapell_value** constants =
      kp_arena_new_array(&owner->arena, kapell_value*, node->input_count + 1);
  if (!constants) return KP_ERROR(OUT_OF_MEMORY, "evaluating a node");
  KP_PASS(kp_cpu_prepare_step(graph, owner, &step, constants, 1));
  const kp_cpu_host host = {.step = &step};
  const kp_cpu_call call = {.graph = graph,
                            .step = &step,
                            .host = &host,
                            .inputs = inputs,
                            .outputs = outputs,
                            .width = 1};
  return kp_cpu_call_step(&call);
}

kp_status* kp_cpu_evaluate(const kp_graph* graph, const kp_node* node, kapell_value* const* inputs,
                           kapell_value** outputs) {
  return kp_cpu_eval_node(NULL, graph, node, inputs, outputs);
}

kp_status* kp_cpu_eval_node(void* user, const kp_graph* graph, const kp_node* node,
                            kapell_value* const* inputs, kapell_value** outputs) {
  (void)user;
  for (uint32_t o = 0; o < node->output_count; ++o) outputs[o] = NULL;
  kp_cpu_compiled owner = {.features = kp_cpu_features()};
  kp_status* status = eval(&owner, graph, node, inputs, outputs);
  for (uint32_t i = 0; i < owner.packed_count; ++i) kp_free(owner.packed[i].memory);
  kp_free(owner.packed);
  kp_arena_free(&owner.arena);
  if (!status) return NULL;
  for (uint32_t o = 0; o < node->output_count; ++o) {
    kp_value_release(outputs[o]);
    outputs[o] = NULL;
  }
  return kp_status_at(status, node->name, node->op, NULL);
}
