// Calls of functions: finding them, binding inputs, outputs and attributes, and putting their nodes in the call's place.
// expand.c does the same with ONNX's own functions.
#include "base/alloc.h"
#include "graph/build_internal.h"

#define LONGEST_NAME 64  // of a call in names made from it
#define LONGEST_PREFIX \
  256  // beyond, names start anew, so that nested calls cannot make them grow without end

static kp_str plain_domain(kp_str domain) {
  return kp_str_is(domain, "ai.onnx") ? kp_str_of("") : domain;
}

// --- finding -----------------------------------------------------------------------------------------------------------
static bool is_function(const kp_onnx_function* function, kp_str domain, kp_str overload) {
  return kp_str_equal(plain_domain(function->domain), domain) &&
         kp_str_equal(function->overload, overload);
}

const kp_onnx_function* kp_build_find_function(const kp_builder* b, const char* op, kp_str domain,
                                               kp_str overload) {
  uint32_t place = 0;
  if (!b->next_function || !kp_ptr_map_get(&b->functions, op, &place)) return NULL;
  for (; place != 0; place = b->next_function[place - 1])
    if (is_function(&b->source->functions[place - 1], plain_domain(domain), overload))
      return &b->source->functions[place - 1];
  return NULL;
}

kp_status* kp_build_index_functions(kp_builder* b) {
  const size_t count = b->source->function_count;
  if (count == 0) return NULL;
  if (count >= UINT32_MAX) return KP_ERROR(LIMIT, "%zu functions", count);
  b->next_function = kp_alloc_zero(count, sizeof *b->next_function);
  if (!b->next_function) return KP_ERROR(OUT_OF_MEMORY, "%zu functions", count);
  for (uint32_t i = 0; i < count; ++i) {
    const kp_onnx_function* function = &b->source->functions[i];
    const char* name;
    KP_PASS(kp_build_intern(b, function->name, &name));
    if (kp_build_find_function(b, name, function->domain, function->overload)) {
      return KP_ERROR(INVALID_MODEL, "function '%.*s.%s' is defined twice",
                      KP_STR_ARG(function->domain), name);
    }
    uint32_t before = 0;
    if (kp_ptr_map_get(&b->functions, name, &before)) b->next_function[i] = before;
    KP_PASS(kp_ptr_map_put(&b->functions, name, i + 1));
  }
  return NULL;
}

// --- attributes --------------------------------------------------------------------------------------------------------
static const kp_onnx_attr* attr_named(const kp_onnx_attr* attrs, size_t count, kp_str name) {
  for (size_t i = 0; i < count; ++i)
    if (kp_str_equal(attrs[i].name, name)) return &attrs[i];
  return NULL;
}

static bool declares_attr(const kp_onnx_function* function, kp_str name) {
  for (size_t i = 0; i < function->attr_name_count; ++i)
    if (kp_str_equal(function->attr_names[i], name)) return true;
  return false;
}

static kp_status* check_bound_type(const kp_onnx_attr* reference, const kp_onnx_attr* bound) {
  if (reference->type == KP_ONNX_ATTR_UNDEFINED || bound->type == reference->type) return NULL;
  return KP_ERROR(INVALID_MODEL,
                  "attribute '%.*s' refers to '%.*s' of its function, which is of another type",
                  KP_STR_ARG(reference->name), KP_STR_ARG(reference->ref_name));
}

kp_status* kp_build_resolve_attr(kp_scope* scope, const kp_onnx_attr* attr, kp_bound_attr* out) {
  const kp_onnx_attr* const reference = attr;
  // A reference may lead to a reference of the caller's, and so on outwards: as deep as calls nest.
  while (attr->ref_name.length > 0) {
    const kp_frame* frame = scope->frame;
    *out = (kp_bound_attr){NULL, scope};
    if (!frame) {
      return KP_ERROR(INVALID_MODEL,
                      "attribute '%.*s' refers to '%.*s' of a function, but stands in none",
                      KP_STR_ARG(attr->name), KP_STR_ARG(attr->ref_name));
    }
    const kp_onnx_attr* given =
        attr_named(frame->call->attrs, frame->call->attr_count, attr->ref_name);
    const kp_onnx_attr* fallback =
        attr_named(frame->function->attrs, frame->function->attr_count, attr->ref_name);
    if (!given && !fallback) {
      if (declares_attr(frame->function, attr->ref_name)) return NULL;
      return KP_ERROR(INVALID_MODEL,
                      "attribute '%.*s' refers to '%.*s', which the function does not declare",
                      KP_STR_ARG(attr->name), KP_STR_ARG(attr->ref_name));
    }
    if (!given && fallback->ref_name.length > 0) {
      return KP_ERROR(INVALID_MODEL, "the default of attribute '%.*s' is a reference",
                      KP_STR_ARG(fallback->name));
    }
    attr = given ? given : fallback;
    if (given) scope = frame->call_scope;
  }
  *out = (kp_bound_attr){attr, scope};
  return check_bound_type(reference, attr);
}

// --- calls -------------------------------------------------------------------------------------------------------------
// Functions may not call themselves, directly or not. Frames are those around the text of the call.
static kp_status* check_recursion(const kp_builder* b, const kp_scope* scope,
                                  const kp_onnx_function* function) {
  for (const kp_frame* frame = scope->frame; frame; frame = frame->caller) {
    if (frame->function != function) continue;
    return KP_ERROR(INVALID_MODEL, "function '%.*s' calls itself", KP_STR_ARG(function->name));
  }
  if (b->call_depth < b->options.max_call_depth) return NULL;
  return KP_ERROR(LIMIT, "calls of functions nested more than %u deep", b->options.max_call_depth);
}

static kp_status* check_counts(const kp_onnx_function* function, const kp_onnx_node* node) {
  if (node->input_count > function->input_count || node->output_count > function->output_count) {
    return KP_ERROR(INVALID_MODEL,
                    "the call has %zu inputs and %zu outputs, function '%.*s' has %zu and %zu",
                    node->input_count, node->output_count, KP_STR_ARG(function->name),
                    function->input_count, function->output_count);
  }
  for (size_t i = 0; i < node->attr_count; ++i) {
    const kp_str name = node->attrs[i].name;
    if (declares_attr(function, name) || attr_named(function->attrs, function->attr_count, name))
      continue;
    return KP_ERROR(INVALID_MODEL, "function '%.*s' has no attribute '%.*s'",
                    KP_STR_ARG(function->name), KP_STR_ARG(name));
  }
  return NULL;
}

static kp_status* bind_inputs(kp_builder* b, kp_scope* scope, kp_scope* inner,
                              const kp_onnx_function* function, const kp_onnx_node* node) {
  for (size_t i = 0; i < function->input_count; ++i) {
    kp_value_id value = KP_NONE;
    if (i < node->input_count) KP_PASS(kp_build_lookup(b, scope, node->inputs[i], &value));
    KP_TRY(kp_build_declare(b, inner, function->inputs[i], value == KP_NONE ? KP_ABSENT : value),
           "input %zu of the function", i);
  }
  return NULL;
}

// The value of the caller's that output |index| of the call is; KP_NONE where the call does not want it.
static kp_value_id call_output(const kp_builder* b, const kp_scope* scope, const kp_onnx_node* node,
                               size_t index) {
  kp_value_id value = KP_NONE;
  if (index >= node->output_count || node->outputs[index].length == 0) return KP_NONE;
  const char* name = kp_intern_find(&b->model->names, node->outputs[index]);
  return name && kp_ptr_map_get(&scope->names, name, &value) ? value : KP_NONE;
}

// A new value of the function's own.
static kp_status* add_inner_value(kp_builder* b, const kp_scope* inner, kp_str name,
                                  kp_value_id* out_value) {
  const char* full =
      kp_arena_printf(&b->scratch, "%s%.*s", inner->prefix,
                      name.length > LONGEST_NAME ? LONGEST_NAME : (int)name.length, name.data);
  if (!full) return KP_ERROR(OUT_OF_MEMORY, "a name");
  // Should the file have the very same name, or the function two that are cut alike, a made-up one keeps them apart.
  const bool taken = kp_intern_find(&b->model->names, kp_str_of(full)) != NULL;
  return kp_graph_add_value(inner->target->graph, taken ? NULL : full, out_value);
}

// Declares what the nodes of |function| make: outputs of the call, which |outputs| names, or values of its own.
static kp_status* declare_inner(kp_builder* b, kp_scope* inner, const kp_scope* outputs,
                                const kp_onnx_function* function) {
  for (size_t i = 0; i < function->node_count; ++i) {
    const kp_onnx_node* node = &function->nodes[i];
    for (size_t k = 0; k < node->output_count; ++k) {
      const char* name;
      kp_value_id value;
      if (node->outputs[k].length == 0) continue;
      KP_PASS(kp_build_intern(b, node->outputs[k], &name));
      if (!kp_ptr_map_get(&outputs->names, name, &value))
        KP_PASS(add_inner_value(b, inner, node->outputs[k], &value));
      KP_TRY(kp_build_declare(b, inner, node->outputs[k], value),
             "output %zu of the function's node %zu", k, i);
    }
  }
  return NULL;
}

static kp_status* declare_outputs(kp_builder* b, const kp_scope* scope, kp_scope* outputs,
                                  const kp_onnx_function* function, const kp_onnx_node* node) {
  for (size_t i = 0; i < function->output_count; ++i) {
    const kp_value_id value = call_output(b, scope, node, i);
    const char* name;
    kp_value_id held;
    if (value == KP_NONE) continue;
    KP_PASS(kp_build_intern(b, function->outputs[i], &name));
    if (kp_ptr_map_get(&outputs->names, name, &held))
      continue;  // listed twice: the second is copied
    KP_PASS(kp_ptr_map_put(&outputs->names, name, value));
  }
  return NULL;
}

// An output that no node of the function makes is one of its inputs, or another output again: copied by an Identity.
static kp_status* add_identity(kp_builder* b, kp_scope* inner, const kp_onnx_node* call,
                               kp_value_id from, kp_value_id to) {
  KP_PASS(kp_build_count_node(b));
  const int64_t version = kp_build_version(b, inner, kp_str_of(""));
  const char* name =
      kp_arena_printf(&b->scratch, "%s%.*s", inner->prefix, KP_STR_ARG(kp_build_node_name(call)));
  if (!name) return KP_ERROR(OUT_OF_MEMORY, "a name");
  const kp_node_spec spec = {.name = name,
                             .op = "Identity",
                             .domain = "",
                             .version = version > 0 ? (int32_t)version : 13,
                             .inputs = &from,
                             .input_count = 1,
                             .outputs = &to,
                             .output_count = 1};
  kp_node_id unused;
  if (b->expanded) {
    return kp_graph_add_node(inner->target->graph, &spec, b->expanded->origins,
                             b->expanded->origin_count, b->rewrite, &unused);
  }
  const kp_origin origin = {.name = "", .op = "Identity", .domain = "", .path = inner->path};
  uint32_t index;
  KP_PASS(kp_model_add_origin(b->model, &origin, &index));
  return kp_graph_add_node(inner->target->graph, &spec, &index, 1, NULL, &unused);
}

static kp_status* finish_outputs(kp_builder* b, const kp_scope* scope, kp_scope* inner,
                                 const kp_onnx_function* function, const kp_onnx_node* node) {
  for (size_t i = 0; i < function->output_count; ++i) {
    const kp_value_id value = call_output(b, scope, node, i);
    kp_value_id from;
    if (value == KP_NONE || inner->target->graph->values[value].producer != KP_NONE) continue;
    KP_TRY(kp_build_lookup(b, inner, function->outputs[i], &from), "output %zu of function '%.*s'",
           i, KP_STR_ARG(function->name));
    if (from == KP_NONE || from == value) {
      return KP_ERROR(INVALID_MODEL,
                      "output '%.*s' of function '%.*s' is an input that the call leaves out",
                      KP_STR_ARG(function->outputs[i]), KP_STR_ARG(function->name));
    }
    KP_PASS(add_identity(b, inner, node, from, value));
  }
  return NULL;
}

// "call3/" behind the prefix around it; and "function:domain.F(call3)" behind the path around it.
static kp_status* name_scope(kp_builder* b, const kp_scope* scope, const kp_onnx_function* function,
                             const kp_onnx_node* node, kp_scope* inner) {
  kp_str call = kp_build_node_name(node), name = function->name, domain = function->domain;
  if (call.length > LONGEST_NAME) call.length = LONGEST_NAME;
  if (name.length > LONGEST_NAME) name.length = LONGEST_NAME;
  if (domain.length > LONGEST_NAME) domain.length = LONGEST_NAME;
  const bool anew = strlen(scope->prefix) > LONGEST_PREFIX || strlen(scope->path) > LONGEST_PREFIX;
  const char *prefix = anew ? ".../" : scope->prefix, *path = anew ? ".../" : scope->path;
  inner->prefix = kp_arena_printf(&b->scratch, "%s%.*s/", prefix, KP_STR_ARG(call));
  inner->path = kp_arena_printf(&b->model->arena, "%s%sfunction:%.*s.%.*s(%.*s)", path,
                                path[0] && !anew ? "/" : "", KP_STR_ARG(domain), KP_STR_ARG(name),
                                KP_STR_ARG(call));
  return inner->prefix && inner->path ? NULL : KP_ERROR(OUT_OF_MEMORY, "a name");
}

static kp_status* expand(kp_builder* b, kp_scope* scope, const kp_onnx_function* function,
                         const kp_onnx_node* node) {
  const kp_frame frame = {function, scope->frame, scope, node};
  const kp_scope form = {.target = scope->target, .frame = &frame};
  kp_scope *inner, *outputs;
  KP_PASS(kp_build_push_scope(b, &form, &inner));
  KP_PASS(kp_build_push_scope(b, &form, &outputs));
  KP_PASS(name_scope(b, scope, function, node, inner));
  KP_PASS(bind_inputs(b, scope, inner, function, node));
  KP_PASS(declare_outputs(b, scope, outputs, function, node));
  KP_PASS(declare_inner(b, inner, outputs, function));
  for (size_t i = 0; i < function->node_count; ++i)
    KP_PASS(kp_build_node(b, inner, &function->nodes[i], (uint32_t)i));
  return finish_outputs(b, scope, inner, function, node);
}

kp_status* kp_build_call(kp_builder* b, kp_scope* scope, const kp_onnx_function* function,
                         const kp_onnx_node* node) {
  KP_PASS(check_recursion(b, scope, function));
  KP_PASS(check_counts(function, node));
  KP_PASS(
      kp_build_count_node(b));  // calls of functions that call nothing but functions cost time too
  kp_open* const open = b->open;
  const kp_arena_mark mark = kp_arena_get_mark(&b->scratch);
  b->call_depth++;
  kp_status* status = expand(b, scope, function, node);
  b->call_depth--;
  kp_build_pop(b, open);
  if (status) {
    return kp_status_frame(status, __FILE__, __LINE__, "expanding function '%.*s.%.*s'",
                           KP_STR_ARG(function->domain), KP_STR_ARG(function->name));
  }
  kp_arena_rewind(&b->scratch, mark);
  return NULL;
}
