// Custom operators: domains of OrtCustomOps, and each of those as one of Kapell's (kapell/custom_op.h).
//
// Which members an OrtCustomOp has follows from its version:
//   always  CreateKernel, GetName, GetExecutionProviderType, types and counts, KernelCompute, KernelDestroy
//   8       GetInputCharacteristic, GetOutputCharacteristic       14  variadic ones, GetInputMemoryType (here all memory is the host's)
//   16      CreateKernelV2, KernelComputeV2                        17  InferOutputShapeFn, GetStartVersion, GetEndVersion
//   18      in-place and alias maps: hints, of which nothing is made
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/size.h"
#include "graph/custom.h"
#include "graph/infer_rule.h"
#include "ort/guard.h"
#include "ort/kernel.h"

// --- domains ---------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateCustomOpDomain(const char* domain, OrtCustomOpDomain** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(domain);
  OrtCustomOpDomain* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  made->name = kp_strdup(domain);
  if (!made->name) {
    kp_free(made);
    return kp_ort_no_memory();
  }
  *out = made;
  return NULL;
}

OrtStatus* ort_CustomOpDomain_Add(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  KP_ORT_NEED(domain);
  KP_ORT_NEED(op);
  const OrtCustomOp** slot =
      kp_ort_append((void**)(void*)&domain->ops, &domain->count, sizeof(const OrtCustomOp*));
  if (!slot) return kp_ort_no_memory();
  *slot = op;
  return NULL;
}

void ort_ReleaseCustomOpDomain(OrtCustomOpDomain* object) {
  if (!object) return;
  kp_free(object->name);
  kp_free((void*)(uintptr_t)object->ops);
  kp_free(object);
}

// --- statuses --------------------------------------------------------------------------------------------------------------------
// Codes of the C API that a kp_status has no room for: the last one that came by on this thread, and the message it came with.
static _Thread_local struct {
  OrtErrorCode code;
  char message[256];
} passed;

OrtErrorCode kp_ort_passed_code(const char* message, OrtErrorCode otherwise) {
  if (passed.code == ORT_OK || strncmp(message, passed.message, sizeof passed.message - 1) != 0)
    return otherwise;
  return passed.code;
}

kp_status* kp_ort_to_status(OrtStatus* status) {
  if (!status) return NULL;
  kp_status* made;
  passed.code = status->code;
  snprintf(passed.message, sizeof passed.message, "%s", status->message);
  switch (status->code) {
    case ORT_INVALID_ARGUMENT:
      made = KP_ERROR(INVALID_ARGUMENT, "%s", status->message);
      break;
    case ORT_NOT_IMPLEMENTED:
      made = KP_ERROR(UNSUPPORTED, "%s", status->message);
      break;
    case ORT_INVALID_GRAPH:
      made = KP_ERROR(INVALID_MODEL, "%s", status->message);
      break;
    default:
      made = KP_ERROR(RUN_FAILED, "%s", status->message);
      break;
  }
  ort_ReleaseStatus(status);
  return made;
}

// --- kernels ---------------------------------------------------------------------------------------------------------------------
typedef struct entry {
  kapell_custom_op op;  // first
  const OrtCustomOp* theirs;
  const kp_ort_custom_ops* set;
} entry;

typedef struct kernel {
  const OrtCustomOp* theirs;
  void* state;
  OrtKernelInfo info;
} kernel;

static void destroy(void* object) {
  kernel* k = object;
  if (k->state && k->theirs->KernelDestroy) k->theirs->KernelDestroy(k->state);
  kp_ort_kernel_info_clear(&k->info);
  kp_free(k);
}

static OrtStatus* create_state(void* object) {
  kernel* k = object;
  const OrtCustomOp* op = k->theirs;
  const OrtApi* api = kp_ort_tables_get()->api;
  if (op->version >= 16 && op->CreateKernelV2)
    return op->CreateKernelV2(op, api, &k->info, &k->state);
  if (!op->CreateKernel)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the custom operator has no CreateKernel");
  k->state = op->CreateKernel(op, api, &k->info);
  return NULL;
}

static kp_status* create(void* user, const kapell_custom_node* node, void** out_kernel) {
  const entry* e = user;
  kernel* k = kp_alloc_zero(1, sizeof *k);
  if (!k) return KP_ERROR(OUT_OF_MEMORY, "a custom operator");
  k->theirs = e->theirs;
  k->info = (OrtKernelInfo){.graph = node->graph,
                            .node = node->node,
                            .constants = node->constants,
                            .logger = e->set->logger,
                            .config = &e->set->config};
  OrtStatus* status = kp_ort_guard(create_state, k);
  if (status) {
    destroy(k);
    return kp_ort_to_status(status);
  }
  *out_kernel = k;
  return NULL;
}

// What a context's |user| is.
typedef struct custom_call {
  const kernel* kernel;
  kapell_custom_run* run;
} custom_call;

static OrtStatus* make_output(OrtKernelContext* context, size_t index, const int64_t* dims,
                              size_t rank) {
  const custom_call* c = context->user;
  const kp_value* value =
      kp_node_output(c->kernel->info.graph, c->kernel->info.node, (uint32_t)index);
  if (!value) return NULL;  // an optional output that the node leaves out
  const kapell_type type =
      value->type.kind == KAPELL_KIND_TENSOR ? value->type.element : KAPELL_UNDEFINED;
  if (type == KAPELL_UNDEFINED)
    return kp_ort_error(ORT_INVALID_GRAPH, "the element type of output %zu is not known", index);
  OrtValue* handle = &context->outputs[index];
  if (kapell_custom_run_wants(c->run, index))
    KP_ORT_TAKE(kapell_custom_run_output(c->run, index, type, dims, (int32_t)rank, &handle->value));
  else if (!handle->value)  // nobody reads it, but the kernel may write it
    KP_ORT_TAKE(kp_value_create_tensor(type, dims, (int32_t)rank, &handle->value));
  return NULL;
}

static void run_parallel(const OrtKernelContext* context, size_t count,
                         void (*fn)(void* user, size_t index), void* user) {
  kapell_custom_run_parallel_for(((const custom_call*)context->user)->run, count, fn, user);
}

static OrtStatus* find_logger(const OrtKernelContext* context, const OrtLogger** out) {
  return ort_KernelInfo_GetLogger(&((const custom_call*)context->user)->kernel->info, out);
}

// The host gives outputs their memory when they are asked for, and has no other memory.
static const kp_ort_runner custom_runner = {
    .output = make_output, .parallel_for = run_parallel, .logger = find_logger};

// Handles that hold no references: the values belong to the run.
static kp_status* lend_inputs(OrtKernelContext* context) {
  kapell_custom_run* run = ((const custom_call*)context->user)->run;
  for (size_t i = 0; i < context->input_count; ++i) {
    OrtValue* handle = &context->inputs[i];
    handle->info = &kp_ort_cpu_info;
    handle->value = (kapell_value*)(uintptr_t)kapell_custom_run_input(run, i);
    if (handle->value && handle->value->kind == KAPELL_KIND_SPARSE)
      KP_PASS(kp_ort_to_status(kp_ort_sparse_describe(handle)));
  }
  for (size_t o = 0; o < context->output_count; ++o) context->outputs[o].info = &kp_ort_cpu_info;
  return NULL;
}

static OrtStatus* call(void* arg) {
  OrtKernelContext* context = arg;
  const kernel* k = ((const custom_call*)context->user)->kernel;
  if (k->theirs->version >= 16 && k->theirs->KernelComputeV2)
    return k->theirs->KernelComputeV2(k->state, context);
  if (!k->theirs->KernelCompute)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the custom operator has no KernelCompute");
  k->theirs->KernelCompute(k->state, context);
  return NULL;
}

#define INLINE_HANDLES 12

static kp_status* compute(void* object, kapell_custom_run* run) {
  OrtValue few[INLINE_HANDLES] = {0}, *many = NULL;
  custom_call custom = {object, run};
  OrtKernelContext context = {.runner = &custom_runner,
                              .user = &custom,
                              .input_count = kapell_custom_run_input_count(run),
                              .output_count = kapell_custom_run_output_count(run)};
  const size_t count = context.input_count + context.output_count;
  if (count > INLINE_HANDLES) {
    many = kp_alloc_zero(count, sizeof *many);
    if (!many) return KP_ERROR(OUT_OF_MEMORY, "a call of a custom operator");
  }
  context.inputs = many ? many : few;
  context.outputs = context.inputs + context.input_count;
  kp_status* status = lend_inputs(&context);
  if (!status) status = kp_ort_to_status(kp_ort_guard(call, &context));
  for (size_t i = 0; i < context.input_count; ++i)
    if (context.inputs[i].sparse) kp_ort_sparse_free(context.inputs[i].sparse);
  for (size_t o = 0; o < context.output_count; ++o)
    if (!kapell_custom_run_wants(run, o)) kp_value_release(context.outputs[o].value);
  kp_free(many);
  return status;
}

// --- shapes ----------------------------------------------------------------------------------------------------------------------
struct OrtShapeInferContext {
  kapell_custom_infer* infer;
  OrtOpAttr* attrs;                   // views of the node's
  OrtTensorTypeAndShapeInfo** infos;  // parallel to the inputs: those that were asked for
};

OrtStatus* ort_ShapeInferContext_GetInputCount(const OrtShapeInferContext* context, size_t* out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = context->infer->node.node->input_count;
  return NULL;
}

// A dimension that has a name in the model keeps it.
static OrtStatus* name_dims(const kapell_custom_node* node, const kp_type* type,
                            OrtTensorTypeAndShapeInfo* info) {
  const char* names[KP_MAX_RANK];
  kp_strbuf texts[KP_MAX_RANK] = {0};
  for (int32_t d = 0; d < type->rank; ++d) {
    names[d] = "";
    if (!kp_is_symbol(type->dims[d])) continue;
    kp_expr_describe(&node->graph->model->symbols, type->dims[d], &texts[d]);
    if (texts[d].data && strcmp(texts[d].data, "?") != 0) names[d] = texts[d].data;
  }
  OrtStatus* status = ort_SetSymbolicDimensions(info, names, (size_t)type->rank);
  for (int32_t d = 0; d < type->rank; ++d) kp_strbuf_free(&texts[d]);
  return status;
}

static OrtStatus* make_info(const kapell_custom_node* node, size_t index,
                            OrtTensorTypeAndShapeInfo** out) {
  kapell_custom_value value;
  if (!kapell_custom_node_input(node, index, &value))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "input %zu of %u", index, node->node->input_count);
  if (value.kind != KAPELL_KIND_TENSOR)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "the type of input %zu is not known, or no tensor's",
                        index);
  KP_ORT_PASS(kp_ort_shape_info_create(value.type, value.rank >= 0, value.dims,
                                       value.rank > 0 ? (size_t)value.rank : 0, out));
  if (value.rank <= 0) return NULL;
  OrtStatus* status =
      name_dims(node, &kp_node_input(node->graph, node->node, (uint32_t)index)->type, *out);
  if (!status) return NULL;
  ort_ReleaseTensorTypeAndShapeInfo(*out);
  *out = NULL;
  return status;
}

// The info is the context's, as in ONNX Runtime: the caller does not release it.
OrtStatus* ort_ShapeInferContext_GetInputTypeShape(const OrtShapeInferContext* context,
                                                   size_t index, OrtTensorTypeAndShapeInfo** info) {
  KP_ORT_NEED(info);
  *info = NULL;
  KP_ORT_NEED(context);
  const kapell_custom_node* node = &context->infer->node;
  if (index >= node->node->input_count || !context->infos[index]) {
    OrtTensorTypeAndShapeInfo* made;
    KP_ORT_PASS(make_info(node, index, &made));
    context->infos[index] = made;
  }
  *info = context->infos[index];
  return NULL;
}

OrtStatus* ort_ShapeInferContext_GetAttribute(const OrtShapeInferContext* context,
                                              const char* attr_name, const OrtOpAttr** attr) {
  KP_ORT_NEED(attr);
  *attr = NULL;
  KP_ORT_NEED(context);
  KP_ORT_NEED(attr_name);
  const kp_node* node = context->infer->node.node;
  for (uint32_t i = 0; i < node->attr_count; ++i) {
    if (strcmp(node->attrs[i].name, attr_name) != 0) continue;
    context->attrs[i].attr = node->attrs[i];
    *attr = &context->attrs[i];
    return NULL;
  }
  return kp_ort_error(ORT_INVALID_ARGUMENT, "Attribute does not exist: %s", attr_name);
}

OrtStatus* ort_ShapeInferContext_SetOutputTypeShape(const OrtShapeInferContext* context,
                                                    size_t index,
                                                    const OrtTensorTypeAndShapeInfo* info) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(info);
  kp_infer* infer = context->infer->infer;
  if (info->rank > KP_MAX_RANK || index >= infer->node->output_count)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "output %zu of %u, of rank %zu", index,
                        infer->node->output_count, info->rank);
  const int32_t rank = info->has_shape ? (int32_t)info->rank : -1;
  KP_ORT_TAKE(kapell_custom_infer_output(context->infer, index, kp_ort_type_from(info->type),
                                         info->dims, rank));
  if (!kp_out_wanted(infer, (uint32_t)index)) return NULL;
  kp_expr* dims = (kp_expr*)(uintptr_t)infer->outputs[index].dims;
  for (int32_t d = 0; d < rank; ++d) {
    if (info->dims[d] >= 0 || !info->symbols[d][0]) continue;
    const char* name = kp_intern(&infer->graph->model->names, kp_str_of(info->symbols[d]));
    if (!name) return kp_ort_no_memory();
    dims[d] = kp_symbol_named(infer->symbols, name);
  }
  return NULL;
}

typedef struct one_inference {
  const OrtCustomOp* op;
  OrtShapeInferContext* context;
} one_inference;

static OrtStatus* call_inference(void* arg) {
  const one_inference* inference = arg;
  return inference->op->InferOutputShapeFn(inference->op, inference->context);
}

static kp_status* infer_shapes(void* user, kapell_custom_infer* infer) {
  const entry* e = user;
  const kp_node* node = infer->node.node;
  kp_arena arena = {0};
  OrtShapeInferContext context = {
      infer, kp_arena_new_array(&arena, OrtOpAttr, node->attr_count + 1),
      kp_arena_new_array(&arena, OrtTensorTypeAndShapeInfo*, node->input_count + 1)};
  if (!context.attrs || !context.infos) {
    kp_arena_free(&arena);
    return KP_ERROR(OUT_OF_MEMORY, "shapes of a custom operator");
  }
  // A failure leaves the shapes unknown, as in ONNX Runtime; the run finds them.
  OrtStatus* status = kp_ort_guard(call_inference, &(one_inference){e->theirs, &context});
  if (status) KP_LOG(WARNING, "shapes of '%s': %s", node->name, status->message);
  ort_ReleaseStatus(status);
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (context.infos[i]) ort_ReleaseTensorTypeAndShapeInfo(context.infos[i]);
  kp_arena_free(&arena);
  return NULL;
}

// --- descriptions ----------------------------------------------------------------------------------------------------------------
static kapell_custom_presence presence_of(const OrtCustomOp* op, bool output, size_t index) {
  if (op->version < 8) return KAPELL_CUSTOM_REQUIRED;
  OrtCustomOpInputOutputCharacteristic (*ask)(const OrtCustomOp*, size_t) =
      output ? op->GetOutputCharacteristic : op->GetInputCharacteristic;
  if (!ask) return KAPELL_CUSTOM_REQUIRED;
  const int answer = (int)ask(op, index);
  return answer == INPUT_OUTPUT_OPTIONAL   ? KAPELL_CUSTOM_OPTIONAL
         : answer == INPUT_OUTPUT_VARIADIC ? KAPELL_CUSTOM_VARIADIC
                                           : KAPELL_CUSTOM_REQUIRED;
}

static OrtStatus* describe_variadic(const OrtCustomOp* op, bool output,
                                    kapell_custom_param* param) {
  int (*arity)(const OrtCustomOp*) =
      output ? op->GetVariadicOutputMinArity : op->GetVariadicInputMinArity;
  int (*same)(const OrtCustomOp*) =
      output ? op->GetVariadicOutputHomogeneity : op->GetVariadicInputHomogeneity;
  if (op->version < 14 || !arity || !same)
    return kp_ort_error(
        ORT_INVALID_ARGUMENT,
        "variadic inputs and outputs need OrtCustomOp version 14, with arity and homogeneity");
  const int least = arity(op);
  if (least < 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "a minimum arity of %d", least);
  param->min_count = (uint32_t)least;
  param->heterogeneous = same(op) == 0;
  if (param->heterogeneous && param->type != KAPELL_UNDEFINED)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "a heterogeneous variadic parameter with one type");
  return NULL;
}

static OrtStatus* describe_params(kp_arena* arena, const OrtCustomOp* op, bool output,
                                  const kapell_custom_param** out, size_t* out_count) {
  const size_t count = output ? op->GetOutputTypeCount(op) : op->GetInputTypeCount(op);
  if (count > 4096) return kp_ort_error(ORT_INVALID_ARGUMENT, "%zu inputs or outputs", count);
  kapell_custom_param* params = kp_arena_new_array(arena, kapell_custom_param, count + 1);
  if (!params) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) {
    const ONNXTensorElementDataType type =
        output ? op->GetOutputType(op, i) : op->GetInputType(op, i);
    params[i] = (kapell_custom_param){.type = kp_ort_type_from(type),
                                      .presence = presence_of(op, output, i)};
    if (params[i].type == KAPELL_UNDEFINED && type != ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED)
      return kp_ort_error(ORT_INVALID_ARGUMENT, "element type %d", (int)type);
    if (params[i].presence != KAPELL_CUSTOM_VARIADIC) continue;
    if (i + 1 < count)
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "Only the last %s to a custom op may be marked variadic.",
                          output ? "output" : "input");
    KP_ORT_PASS(describe_variadic(op, output, &params[i]));
  }
  *out = params;
  *out_count = count;
  return NULL;
}

static bool is_complete(const OrtCustomOp* op) {
  return op->GetName && op->GetInputTypeCount && op->GetOutputTypeCount && op->GetName(op) &&
         (op->GetInputTypeCount(op) == 0 || op->GetInputType) &&
         (op->GetOutputTypeCount(op) == 0 || op->GetOutputType);
}

static OrtStatus* describe(kp_ort_custom_ops* set, const char* domain, const OrtCustomOp* op,
                           entry* e) {
  const char* name = kp_arena_strndup(&set->arena, op->GetName(op), strlen(op->GetName(op)));
  const char* domain_copy = kp_arena_strndup(&set->arena, domain, strlen(domain));
  if (!name || !domain_copy) return kp_ort_no_memory();
  *e = (entry){.op = {.struct_size = sizeof(kapell_custom_op),
                      .domain = domain_copy,
                      .name = name,
                      .user = e,
                      .create = create,
                      .compute = compute,
                      .destroy = destroy},
               .theirs = op,
               .set = set};
  if (op->version >= 17) {
    if (op->GetStartVersion) e->op.since_version = op->GetStartVersion(op);
    if (op->GetEndVersion && op->GetEndVersion(op) < INT_MAX)
      e->op.until_version = op->GetEndVersion(op);
    if (op->InferOutputShapeFn) e->op.infer = infer_shapes;
  }
  KP_ORT_PASS(describe_params(&set->arena, op, false, &e->op.inputs, &e->op.input_count));
  return describe_params(&set->arena, op, true, &e->op.outputs, &e->op.output_count);
}

// A kernel for another provider than the CPU's is not ours to call.
static bool is_for_cpu(const OrtCustomOp* op) {
  const char* provider = op->GetExecutionProviderType ? op->GetExecutionProviderType(op) : NULL;
  return !provider || !provider[0] || strcmp(provider, "CPUExecutionProvider") == 0;
}

static OrtStatus* add_domain(kp_ort_custom_ops* set, const OrtCustomOpDomain* domain) {
  for (size_t i = 0; i < domain->count; ++i) {
    const OrtCustomOp* op = domain->ops[i];
    if (!is_complete(op))
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "custom operator %zu of domain '%s' lacks a name, counts or types", i,
                          domain->name);
    if (!is_for_cpu(op)) continue;
    entry* e = kp_arena_new(&set->arena, entry);
    if (!e) return kp_ort_no_memory();
    OrtStatus* status = describe(set, domain->name, op, e);
    if (status) {
      OrtStatus* whole =
          kp_ort_error(status->code, "custom operator '%s': %s", op->GetName(op), status->message);
      ort_ReleaseStatus(status);
      return whole;
    }
    set->list[set->count++] = &e->op;
  }
  return NULL;
}

static OrtStatus* fill(kp_ort_custom_ops* set, const OrtSessionOptions* options) {
  size_t count = 0;
  for (size_t d = 0; d < options->domain_count; ++d) count += options->domains[d]->count;
  set->list = kp_arena_new_array(&set->arena, const kapell_custom_op*, count + 1);
  if (!set->list) return kp_ort_no_memory();
  KP_ORT_TAKE(kp_ort_pairs_copy(&set->config, &options->config));
  for (size_t d = 0; d < options->domain_count; ++d)
    KP_ORT_PASS(add_domain(set, options->domains[d]));
  return NULL;
}

typedef struct registration {
  RegisterCustomOpsFn function;
  OrtSessionOptions* options;
} registration;

static OrtStatus* call_registration(void* arg) {
  const registration* r = arg;
  return r->function(r->options, kp_ort_api_base());
}

OrtStatus* kp_ort_register_custom_ops(void* symbol, OrtSessionOptions* options) {
  registration r = {.options = options};
  memcpy(&r.function, &symbol, sizeof r.function);
  return kp_ort_guard(call_registration, &r);
}

OrtStatus* kp_ort_custom_ops_create(const OrtSessionOptions* options, const OrtLogger* logger,
                                    kp_ort_custom_ops** out) {
  *out = NULL;
  if (!options->domain_count) return NULL;
  kp_ort_custom_ops* set = kp_alloc_zero(1, sizeof *set);
  if (!set) return kp_ort_no_memory();
  set->logger = logger;
  OrtStatus* status = fill(set, options);
  if (status) {
    kp_ort_custom_ops_free(set);
    return status;
  }
  *out = set;
  return NULL;
}

void kp_ort_custom_ops_free(kp_ort_custom_ops* ops) {
  if (!ops) return;
  kp_ort_pairs_clear(&ops->config);
  kp_arena_free(&ops->arena);
  kp_free(ops);
}
