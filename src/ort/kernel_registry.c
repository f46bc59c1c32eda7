// Definitions of kernels, their builders, and registries of them.
#include "ort/kernel_registry.h"

#include <limits.h>

#include "base/alloc.h"
#include "base/size.h"
#include "graph/schema.h"
#include "ort/options.h"

// --- types of data ---------------------------------------------------------------------------------------------------------------
struct OrtDataType {
  ONNXTensorElementDataType element;
};

#define LAST_TYPE ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0

// Callers compare and keep the addresses.
OrtStatus* ort_ep_GetTensorDataType(ONNXTensorElementDataType type, const OrtDataType** out) {
  static OrtDataType types[LAST_TYPE + 1];
  KP_ORT_NEED(out);
  *out = NULL;
  if ((int)type <= ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED || type > LAST_TYPE)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "there is no tensor element type %d", (int)type);
  __atomic_store_n(&types[type].element, type, __ATOMIC_RELAXED);
  *out = &types[type];
  return NULL;
}

// --- definitions -----------------------------------------------------------------------------------------------------------------
typedef struct memory_type {
  bool is_output;
  size_t index;
  OrtMemType type;
} memory_type;

typedef struct type_constraint {
  char* name;      // a type variable of the schema, or an input or output
  uint64_t types;  // bit: ONNXTensorElementDataType
} type_constraint;

typedef struct alias {
  int input, output;
  bool writes;  // the kernel overwrites the input; else it leaves the contents as they are
} alias;

struct OrtKernelDef {
  int32_t refs;  // atomic
  char *op, *domain, *provider;
  int since, until;  // INT_MAX: for the operator of exactly |since|
  memory_type* memories;
  size_t memory_count;
  type_constraint* constraints;
  size_t constraint_count;
  alias* aliases;
  size_t alias_count;
};

struct OrtKernelDefBuilder {
  OrtKernelDef def;
};

static void clear_def(OrtKernelDef* def) {
  for (size_t i = 0; i < def->constraint_count; ++i) kp_free(def->constraints[i].name);
  kp_free(def->constraints);
  kp_free(def->memories);
  kp_free(def->aliases);
  kp_free(def->op);
  kp_free(def->domain);
  kp_free(def->provider);
}

void ort_ep_ReleaseKernelDef(OrtKernelDef* object) {
  if (!object || __atomic_sub_fetch(&object->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
  clear_def(object);
  kp_free(object);
}

static OrtStatus* add_constraint(OrtKernelDef* def, const char* name, uint64_t types) {
  char* kept = kp_strdup(name);
  type_constraint* added =
      kept ? kp_ort_append((void**)&def->constraints, &def->constraint_count, sizeof *added) : NULL;
  if (!added) {
    kp_free(kept);
    return kp_ort_no_memory();
  }
  *added = (type_constraint){kept, types};
  return NULL;
}

static OrtStatus* add_memory(OrtKernelDef* def, memory_type memory) {
  memory_type* added = kp_ort_append((void**)&def->memories, &def->memory_count, sizeof *added);
  if (!added) return kp_ort_no_memory();
  *added = memory;
  return NULL;
}

static OrtStatus* add_alias(OrtKernelDef* def, alias pair) {
  alias* added = kp_ort_append((void**)&def->aliases, &def->alias_count, sizeof *added);
  if (!added) return kp_ort_no_memory();
  *added = pair;
  return NULL;
}

static OrtStatus* copy_def(OrtKernelDef* to, const OrtKernelDef* from) {
  KP_ORT_PASS(kp_ort_set_text(&to->op, from->op));
  KP_ORT_PASS(kp_ort_set_text(&to->domain, from->domain ? from->domain : ""));
  KP_ORT_PASS(kp_ort_set_text(&to->provider, from->provider));
  to->since = from->since;
  to->until = from->until;
  for (size_t i = 0; i < from->memory_count; ++i) KP_ORT_PASS(add_memory(to, from->memories[i]));
  for (size_t i = 0; i < from->alias_count; ++i) KP_ORT_PASS(add_alias(to, from->aliases[i]));
  for (size_t i = 0; i < from->constraint_count; ++i)
    KP_ORT_PASS(add_constraint(to, from->constraints[i].name, from->constraints[i].types));
  return NULL;
}

// --- builders --------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_ep_CreateKernelDefBuilder(OrtKernelDefBuilder** kernel_def_builder_out) {
  KP_ORT_NEED(kernel_def_builder_out);
  *kernel_def_builder_out = kp_alloc_zero(1, sizeof **kernel_def_builder_out);
  return *kernel_def_builder_out ? NULL : kp_ort_no_memory();
}

void ort_ep_ReleaseKernelDefBuilder(OrtKernelDefBuilder* object) {
  if (!object) return;
  clear_def(&object->def);
  kp_free(object);
}

OrtStatus* ort_ep_KernelDefBuilder_SetOperatorType(OrtKernelDefBuilder* builder, const char* op) {
  KP_ORT_NEED(builder);
  KP_ORT_NEED(op);
  return kp_ort_set_text(&builder->def.op, op);
}

OrtStatus* ort_ep_KernelDefBuilder_SetDomain(OrtKernelDefBuilder* builder, const char* domain) {
  KP_ORT_NEED(builder);
  KP_ORT_NEED(domain);
  return kp_ort_set_text(&builder->def.domain, strcmp(domain, "ai.onnx") == 0 ? "" : domain);
}

OrtStatus* ort_ep_KernelDefBuilder_SetSinceVersion(OrtKernelDefBuilder* builder,
                                                   int since_version_start, int since_version_end) {
  KP_ORT_NEED(builder);
  if (since_version_start < 1 || since_version_end < since_version_start)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "versions %d to %d are no range", since_version_start,
                        since_version_end);
  builder->def.since = since_version_start;
  builder->def.until = since_version_end;
  return NULL;
}

OrtStatus* ort_ep_KernelDefBuilder_SetExecutionProvider(OrtKernelDefBuilder* builder,
                                                        const char* ep_name) {
  KP_ORT_NEED(builder);
  KP_ORT_NEED(ep_name);
  return kp_ort_set_text(&builder->def.provider, ep_name);
}

// The last word on an index counts.
static OrtStatus* set_memory(OrtKernelDefBuilder* builder, memory_type memory) {
  KP_ORT_NEED(builder);
  if ((int)memory.type < OrtMemTypeCPUInput || memory.type > OrtMemTypeDefault)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "there is no memory type %d", (int)memory.type);
  for (size_t i = 0; i < builder->def.memory_count; ++i) {
    memory_type* known = &builder->def.memories[i];
    if (known->is_output != memory.is_output || known->index != memory.index) continue;
    *known = memory;
    return NULL;
  }
  return add_memory(&builder->def, memory);
}

OrtStatus* ort_ep_KernelDefBuilder_SetInputMemType(OrtKernelDefBuilder* builder, size_t input_index,
                                                   OrtMemType mem_type) {
  return set_memory(builder, (memory_type){false, input_index, mem_type});
}

OrtStatus* ort_ep_KernelDefBuilder_SetOutputMemType(OrtKernelDefBuilder* builder,
                                                    size_t output_index, OrtMemType mem_type) {
  return set_memory(builder, (memory_type){true, output_index, mem_type});
}

OrtStatus* ort_ep_KernelDefBuilder_AddTypeConstraint(OrtKernelDefBuilder* builder,
                                                     const char* arg_name,
                                                     const OrtDataType* const* types,
                                                     size_t count) {
  KP_ORT_NEED(builder);
  KP_ORT_NEED(arg_name);
  if (count) KP_ORT_NEED(types);
  uint64_t set = 0;
  for (size_t i = 0; i < count; ++i) {
    KP_ORT_NEED(types[i]);
    set |= UINT64_C(1) << types[i]->element;
  }
  for (size_t i = 0; i < builder->def.constraint_count; ++i) {
    if (strcmp(builder->def.constraints[i].name, arg_name) != 0) continue;
    builder->def.constraints[i].types = set;
    return NULL;
  }
  return add_constraint(&builder->def, arg_name, set);
}

static OrtStatus* add_aliases(OrtKernelDefBuilder* builder, const int* input_indices,
                              const int* output_indices, size_t count, bool writes) {
  KP_ORT_NEED(builder);
  if (count) KP_ORT_NEED(input_indices);
  if (count) KP_ORT_NEED(output_indices);
  for (size_t i = 0; i < count; ++i) {
    if (input_indices[i] < 0 || output_indices[i] < 0)
      return kp_ort_error(ORT_INVALID_ARGUMENT, "an alias of input %d and output %d",
                          input_indices[i], output_indices[i]);
    KP_ORT_PASS(add_alias(&builder->def, (alias){input_indices[i], output_indices[i], writes}));
  }
  return NULL;
}

OrtStatus* ort_ep_KernelDefBuilder_AddInputOutputAliases(OrtKernelDefBuilder* builder,
                                                         const int* input_indices,
                                                         const int* output_indices, size_t count) {
  return add_aliases(builder, input_indices, output_indices, count, false);
}

OrtStatus* ort_ep_KernelDefBuilder_AddInputOutputMutableAliases(OrtKernelDefBuilder* builder,
                                                                const int* input_indices,
                                                                const int* output_indices,
                                                                size_t count) {
  return add_aliases(builder, input_indices, output_indices, count, true);
}

OrtStatus* ort_ep_KernelDefBuilder_Build(OrtKernelDefBuilder* builder,
                                         OrtKernelDef** kernel_def_out) {
  KP_ORT_NEED(kernel_def_out);
  *kernel_def_out = NULL;
  KP_ORT_NEED(builder);
  const OrtKernelDef* def = &builder->def;
  if (!def->op || !def->provider || def->since == 0)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "a kernel definition%s%s without %s",
                        def->op ? " of " : "", def->op ? def->op : "",
                        !def->op         ? "an operator type"
                        : !def->provider ? "an execution provider"
                                         : "a version");
  OrtKernelDef* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  made->refs = 1;
  OrtStatus* status = copy_def(made, def);
  if (status)
    ort_ep_ReleaseKernelDef(made);
  else
    *kernel_def_out = made;
  return status;
}

// --- getters ---------------------------------------------------------------------------------------------------------------------
const char* ort_ep_KernelDef_GetOperatorType(const OrtKernelDef* def) {
  return def ? def->op : NULL;
}

const char* ort_ep_KernelDef_GetDomain(const OrtKernelDef* def) { return def ? def->domain : NULL; }

const char* ort_ep_KernelDef_GetExecutionProvider(const OrtKernelDef* def) {
  return def ? def->provider : NULL;
}

OrtStatus* ort_ep_KernelDef_GetSinceVersion(const OrtKernelDef* def, int* start_version,
                                            int* end_version) {
  KP_ORT_NEED(def);
  KP_ORT_NEED(start_version);
  KP_ORT_NEED(end_version);
  *start_version = def->since;
  *end_version = def->until;
  return NULL;
}

static OrtMemType memory_of(const OrtKernelDef* def, bool is_output, size_t index) {
  for (size_t i = 0; i < def->memory_count; ++i)
    if (def->memories[i].is_output == is_output && def->memories[i].index == index)
      return def->memories[i].type;
  return OrtMemTypeDefault;
}

OrtStatus* ort_ep_KernelDef_GetInputMemType(const OrtKernelDef* def, size_t input_index,
                                            OrtMemType* mem_type) {
  KP_ORT_NEED(def);
  KP_ORT_NEED(mem_type);
  *mem_type = memory_of(def, false, input_index);
  return NULL;
}

OrtStatus* ort_ep_KernelDef_GetOutputMemType(const OrtKernelDef* def, size_t output_index,
                                             OrtMemType* mem_type) {
  KP_ORT_NEED(def);
  KP_ORT_NEED(mem_type);
  *mem_type = memory_of(def, true, output_index);
  return NULL;
}

bool kp_ort_def_on_host(const OrtKernelDef* def, bool is_output, size_t index) {
  return memory_of(def, is_output, index) != OrtMemTypeDefault;
}

int kp_ort_def_alias(const OrtKernelDef* def, size_t index) {
  for (size_t i = 0; i < def->alias_count; ++i)
    if (!def->aliases[i].writes && (size_t)def->aliases[i].output == index)
      return def->aliases[i].input;
  return -1;
}

// --- registries ------------------------------------------------------------------------------------------------------------------
struct OrtKernelRegistry {
  kp_ort_kernel* kernels;
  size_t count;
};

OrtStatus* ort_ep_CreateKernelRegistry(OrtKernelRegistry** registry) {
  KP_ORT_NEED(registry);
  *registry = kp_alloc_zero(1, sizeof **registry);
  return *registry ? NULL : kp_ort_no_memory();
}

void ort_ep_ReleaseKernelRegistry(OrtKernelRegistry* object) {
  if (!object) return;
  for (size_t i = 0; i < object->count; ++i)
    ort_ep_ReleaseKernelDef((OrtKernelDef*)(uintptr_t)object->kernels[i].def);
  kp_free(object->kernels);
  kp_free(object);
}

static uint64_t hash_of(const char* op) { return kp_hash_bytes(op, strlen(op), 0); }

// No type of the one is a type of the other.
static bool types_differ(const OrtKernelDef* a, const OrtKernelDef* b) {
  for (size_t i = 0; i < a->constraint_count; ++i)
    for (size_t k = 0; k < b->constraint_count; ++k)
      if (strcmp(a->constraints[i].name, b->constraints[k].name) == 0 &&
          !(a->constraints[i].types & b->constraints[k].types))
        return true;
  return false;
}

// Could one node get either?
static bool conflict(const OrtKernelDef* a, const OrtKernelDef* b) {
  return strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0 &&
         strcmp(a->provider, b->provider) == 0 && a->since <= b->until && b->since <= a->until &&
         !types_differ(a, b);
}

OrtStatus* ort_ep_KernelRegistry_AddKernel(OrtKernelRegistry* registry, const OrtKernelDef* def,
                                           OrtKernelCreateFunc kernel_create_func,
                                           void* kernel_create_func_state) {
  KP_ORT_NEED(registry);
  KP_ORT_NEED(def);
  KP_ORT_NEED(kernel_create_func);
  const uint64_t hash = hash_of(def->op);
  for (size_t i = 0; i < registry->count; ++i)
    if (registry->kernels[i].hash == hash && conflict(registry->kernels[i].def, def))
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "Failed to add kernel for %s(%d-%d) in domain '%s': it conflicts with "
                          "the one for versions %d to %d",
                          def->op, def->since, def->until, def->domain,
                          registry->kernels[i].def->since, registry->kernels[i].def->until);
  kp_ort_kernel* added = kp_ort_append((void**)&registry->kernels, &registry->count, sizeof *added);
  if (!added) return kp_ort_no_memory();
  __atomic_fetch_add(&((OrtKernelDef*)(uintptr_t)def)->refs, 1, __ATOMIC_RELAXED);
  *added = (kp_ort_kernel){def, kernel_create_func, kernel_create_func_state, hash};
  return NULL;
}

// --- looking up ------------------------------------------------------------------------------------------------------------------
typedef struct subject {
  const kp_graph* graph;
  const kp_node* node;
  const kp_op_schema* schema;
  const char* domain;
} subject;

static bool is_meant(const type_constraint* constraint, const kp_param_schema* param) {
  return strcmp(constraint->name, param->type) == 0 || strcmp(constraint->name, param->name) == 0;
}

// A name that no parameter has is met by no node.
static bool is_known(const kp_op_schema* schema, const type_constraint* constraint) {
  for (uint32_t i = 0; i < schema->input_count; ++i) {
    const kp_param_schema param = kp_schema_input(schema, i);
    if (is_meant(constraint, &param)) return true;
  }
  for (uint32_t i = 0; i < schema->output_count; ++i) {
    const kp_param_schema param = kp_schema_output(schema, i);
    if (is_meant(constraint, &param)) return true;
  }
  return false;
}

static bool value_fits(const subject* s, const kp_value* value, const type_constraint* constraint,
                       kp_strbuf* why) {
  const ONNXTensorElementDataType type = value->type.kind == KAPELL_KIND_TENSOR
                                             ? kp_ort_type_of(value->type.element)
                                             : ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  if (type && constraint->types >> type & 1) return true;
  if (!why) return false;
  kp_strbuf_printf(why, "the kernel takes no %s '%s' of type ", constraint->name, value->name);
  kp_type_describe(s->graph->model, &value->type, why);
  return false;
}

// Of what a variadic parameter of several types takes only the first counts.
static bool counts(const kp_param_schema* param, uint32_t index, uint32_t list_count) {
  return param->option != KP_PARAM_VARIADIC || param->homogeneous || index < list_count;
}

static bool constraint_fits(const subject* s, const type_constraint* constraint, kp_strbuf* why) {
  kp_param_schema param;
  for (uint32_t i = 0; i < s->node->input_count; ++i) {
    const kp_value* value = kp_node_input(s->graph, s->node, i);
    if (value && kp_schema_input_of(s->schema, i, &param) && is_meant(constraint, &param) &&
        counts(&param, i, s->schema->input_count) && !value_fits(s, value, constraint, why))
      return false;
  }
  for (uint32_t i = 0; i < s->node->output_count; ++i) {
    const kp_value* value = kp_node_output(s->graph, s->node, i);
    if (value && kp_schema_output_of(s->schema, i, &param) && is_meant(constraint, &param) &&
        counts(&param, i, s->schema->output_count) && !value_fits(s, value, constraint, why))
      return false;
  }
  if (is_known(s->schema, constraint)) return true;
  if (why)
    kp_strbuf_printf(why, "the kernel knows a type '%s' that the operator has not",
                     constraint->name);
  return false;
}

// A definition without an end is for the operator of that very version: a later one may mean something else.
static bool version_fits(const OrtKernelDef* def, int since) {
  return def->since == since ||
         (def->since < since && since <= def->until && def->until != INT_MAX);
}

static bool constraints_fit(const subject* s, const OrtKernelDef* def, kp_strbuf* why) {
  for (size_t i = 0; i < def->constraint_count; ++i)
    if (!constraint_fits(s, &def->constraints[i], why)) return false;
  return true;
}

static void start_reason(kp_strbuf* why) {
  kp_strbuf_free(why);
  *why = (kp_strbuf){0};
}

static const kp_ort_kernel* find(const OrtKernelRegistry* registry, const subject* s,
                                 kp_strbuf* why) {
  const uint64_t hash = hash_of(s->node->op);
  bool right_version = false;
  if (why) kp_strbuf_puts(why, "the library registers no kernel for this operator");
  for (size_t i = 0; i < registry->count; ++i) {
    const kp_ort_kernel* kernel = &registry->kernels[i];
    const OrtKernelDef* def = kernel->def;
    if (kernel->hash != hash || strcmp(def->op, s->node->op) != 0 ||
        strcmp(def->domain, s->domain) != 0)
      continue;
    const bool fits = version_fits(def, s->schema->since);
    if (why && (fits || !right_version)) start_reason(why);
    right_version |= fits;
    if (fits && constraints_fit(s, def, why)) return kernel;
    if (why && !right_version)
      kp_strbuf_printf(why, "the library has no kernel for version %d of this operator",
                       (int)s->schema->since);
  }
  return NULL;
}

const kp_ort_kernel* kp_ort_registry_find_in(const OrtKernelRegistry* registry, const char* domain,
                                             const kp_graph* graph, const kp_node* node,
                                             kp_strbuf* why) {
  const subject s = {graph, node, node->schema, strcmp(domain, "ai.onnx") == 0 ? "" : domain};
  if (why) start_reason(why);
  const kp_ort_kernel* found = registry && s.schema ? find(registry, &s, why) : NULL;
  if (found && why) start_reason(why);
  if (!s.schema && why) kp_strbuf_puts(why, "the operator is in no table that the host knows");
  return found;
}

const kp_ort_kernel* kp_ort_registry_find(const OrtKernelRegistry* registry, const kp_graph* graph,
                                          const kp_node* node, kp_strbuf* why) {
  return kp_ort_registry_find_in(registry, node->domain, graph, node, why);
}
