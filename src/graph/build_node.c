// One node of the file: its schema, inputs, outputs, attributes and bodies.
#include <stdio.h>

#include "base/budget.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/size.h"
#include "graph/build_internal.h"
#include "graph/custom.h"

// --- operators ---------------------------------------------------------------------------------------------------------
kp_str kp_build_node_name(const kp_onnx_node* node) {
  return node->name.length > 0 ? node->name : node->op_type;
}

static kp_str plain_domain(kp_str domain) {
  return kp_str_is(domain, "ai.onnx") ? kp_str_of("") : domain;
}

static int64_t imported(const kp_onnx_opset* opsets, size_t count, kp_str domain) {
  for (size_t i = 0; i < count; ++i)
    if (kp_str_equal(plain_domain(opsets[i].domain), domain)) return opsets[i].version;
  return 0;
}

int64_t kp_build_version(const kp_builder* b, const kp_scope* scope, kp_str domain) {
  domain = plain_domain(domain);
  int64_t version = 0;
  if (scope->frame)
    version = imported(scope->frame->function->opsets, scope->frame->function->opset_count, domain);
  return version > 0 ? version : imported(b->model->opsets, b->model->opset_count, domain);
}

static bool is_standard(kp_str domain) {
  return domain.length == 0 || kp_str_is(domain, "ai.onnx.ml");
}

// An operator of ONNX's own domains must be in the tables; of other domains, a provider may know it.
static kp_status* unknown_operator(kp_str domain, kp_str op, int64_t version) {
  const char* const shown = domain.length > 0 ? domain.data : "ai.onnx";
  const int length = domain.length > 0 ? (int)kp_min_size(domain.length, 256) : 7;
  const kp_op_schema* any = kp_schema_any(domain, op);
  if (any) {
    kp_status* status = KP_ERROR(
        INVALID_MODEL, "operator %.*s exists since opset %d of %.*s, the model imports %lld",
        KP_STR_ARG(op), any->since, length, shown, (long long)version);
    return kp_status_hint(status, "export the model with opset %d or newer", any->since);
  }
  kp_nearest nearest = KP_NEAREST_INIT(op);
  for (size_t i = 0; i < kp_schema_count(); ++i)
    if (kp_str_is(domain, kp_schema_domain(kp_schema_at(i))))
      kp_nearest_offer(&nearest, kp_schema_name(kp_schema_at(i)));
  kp_status* status =
      KP_ERROR(UNSUPPORTED_MODEL, "%.*s has no operator '%.*s'", length, shown, KP_STR_ARG(op));
  if (nearest.best) kp_status_hint(status, "the nearest name is '%s'", nearest.best);
  return status;
}

static kp_status* find_operator(kp_builder* b, const kp_scope* scope, const kp_node_spec* spec,
                                int64_t* out_version, const kp_op_schema** out_schema) {
  const kp_str domain = kp_str_of(spec->domain), op = kp_str_of(spec->op);
  *out_version = kp_build_version(b, scope, domain);
  kp_known_operator* known = &b->operators[((uintptr_t)spec->op >> 4) % KP_COUNT_OF(b->operators)];
  if (known->op == spec->op && known->domain == spec->domain && known->version == *out_version) {
    *out_schema = known->schema;
    return NULL;
  }
  if (*out_version == 0 && kp_custom_has(b->model, domain, op, 1)) {
    KP_LOG(WARNING,
           "the model uses domain '%s' without importing it; version 1 of the program's operator "
           "%s is meant",
           spec->domain, spec->op);
    *out_version = 1;  // as ONNX Runtime has it
  }
  if (*out_version == 0) {
    kp_status* status =
        KP_ERROR(INVALID_MODEL, "domain '%s' is not among the model's opset imports", spec->domain);
    return kp_status_hint(status, "add an opset_import for it, or export the model again");
  }
  const bool custom = kp_custom_has(b->model, domain, op, *out_version);
  const kp_op_schema* schema = custom ? NULL : kp_schema_find(domain, op, *out_version);
  if (!schema && !custom && is_standard(domain)) return unknown_operator(domain, op, *out_version);
  if (schema && schema->deprecated && !b->warned_deprecated) {
    b->warned_deprecated = true;
    KP_LOG(WARNING, "operator %s is deprecated since opset %d; the rules before that are used",
           spec->op, schema->since);
  }
  *known = (kp_known_operator){spec->op, spec->domain, *out_version, schema};
  *out_schema = schema;
  return NULL;
}

kp_status* kp_build_count_node(kp_builder* b) {
  if (kp_deadline_passed())
    return KP_ERROR(CANCELLED, "the time limit ran out at node %llu",
                    (unsigned long long)b->node_count);
  if (b->node_count++ < b->options.max_nodes) return NULL;
  return KP_ERROR(LIMIT, "more than %llu nodes after functions are expanded",
                  (unsigned long long)b->options.max_nodes);
}

// --- checks against the schema -----------------------------------------------------------------------------------------
static kp_status* check_count(const char* what, uint32_t count, uint32_t least, uint32_t most) {
  if (count >= least && count <= most) return NULL;
  if (least == most)
    return KP_ERROR(INVALID_MODEL, "%u %s; the operator takes %u", count, what, least);
  if (most == KP_SCHEMA_UNBOUNDED)
    return KP_ERROR(INVALID_MODEL, "%u %s; the operator takes %u or more", count, what, least);
  return KP_ERROR(INVALID_MODEL, "%u %s; the operator takes %u to %u", count, what, least, most);
}

// Exporters leave Resize's regions and scales empty where its schema does not say that they may.
static bool may_be_absent(const kp_op_schema* schema, uint32_t index) {
  return index > 0 && schema->domain == 0 && strcmp(kp_schema_name(schema), "Resize") == 0;
}

// |written|: inputs in the file, of which spec has those up to the last that is not "".
static kp_status* check_inputs(const kp_op_schema* schema, const kp_node_spec* spec,
                               size_t written) {
  const uint32_t most = schema->max_inputs == UINT16_MAX ? UINT32_MAX : schema->max_inputs;
  const uint32_t count =
      (uint32_t)kp_max_size(spec->input_count, kp_min_size(written, schema->min_inputs));
  if (count > most || count < schema->min_inputs) {
    return check_count("inputs", count, schema->min_inputs, schema->max_inputs);
  }
  for (uint32_t i = 0; i < count; ++i) {
    kp_param_schema param;
    const bool present = i < spec->input_count && spec->inputs[i] != KP_NONE;
    if (present || !kp_schema_input_of(schema, i, &param)) continue;
    if (param.option == KP_PARAM_OPTIONAL || may_be_absent(schema, i)) continue;
    return kp_status_at(
        KP_ERROR(INVALID_MODEL, "input '%s' is left out, but is not optional", param.name), NULL,
        NULL, param.name);
  }
  const uint32_t outputs = schema->max_outputs == UINT16_MAX ? UINT32_MAX : schema->max_outputs;
  if (spec->output_count <= outputs && spec->output_count >= schema->min_outputs) return NULL;
  return check_count("outputs", spec->output_count, schema->min_outputs, schema->max_outputs);
}

static const char* attr_type_name(kp_onnx_attr_type type) {
  static const char* const names[] = {"nothing",        "a float", "an integer", "a string",
                                      "a tensor",       "a graph", "floats",     "integers",
                                      "strings",        "tensors", "graphs",     "a sparse tensor",
                                      "sparse tensors", "a type",  "types"};
  return (unsigned)type < KP_COUNT_OF(names) ? names[type] : "something unknown";
}

static kp_status* unknown_attr(const kp_op_schema* schema, kp_str name) {
  if (!is_standard(kp_str_of(kp_schema_domain(schema))) ||
      (name.length >= 2 && memcmp(name.data, "__", 2) == 0))
    return NULL;
  kp_nearest nearest = KP_NEAREST_INIT(name);
  for (uint32_t i = 0; i < schema->attr_count; ++i)
    kp_nearest_offer(&nearest, kp_schema_attr(schema, i).name);
  kp_status* status = KP_ERROR(INVALID_MODEL, "%s-%d has no attribute '%.*s'",
                               kp_schema_name(schema), schema->since, KP_STR_ARG(name));
  if (nearest.best) kp_status_hint(status, "the nearest name is '%s'", nearest.best);
  return status;
}

// |attr| has its final type; an empty list without type takes the schema's.
static kp_status* check_attr(const kp_op_schema* schema, kp_attr* attr) {
  kp_attr_schema wanted;
  if (!schema) return NULL;
  if (!kp_schema_find_attr(schema, kp_str_of(attr->name), &wanted))
    return unknown_attr(schema, kp_str_of(attr->name));
  if (attr->type == KP_ONNX_ATTR_UNDEFINED && wanted.type >= KP_ONNX_ATTR_FLOATS)
    attr->type = wanted.type;
  if (attr->type == wanted.type) return NULL;
  return KP_ERROR(INVALID_MODEL, "attribute '%s' is %s; %s-%d takes %s", attr->name,
                  attr_type_name(attr->type), kp_schema_name(schema), schema->since,
                  attr_type_name(wanted.type));
}

// Attributes whose text is one of a few words, where neither inference nor a kernel would mind another.
typedef struct kp_vocabulary {
  const char* op;
  const char* attr;
  const char* words;  // each followed by a space
} kp_vocabulary;

static const kp_vocabulary vocabularies[] = {
    {"BitShift", "direction", "LEFT RIGHT "},
    {"Cast", "round_mode", "up down nearest "},
    {"CastLike", "round_mode", "up down nearest "},
    {"DepthToSpace", "mode", "DCR CRD "},
    {"Gelu", "approximate", "none tanh "},
    {"GroupQueryAttention", "k_quant_type", "NONE PER_TENSOR PER_CHANNEL "},
    {"GroupQueryAttention", "v_quant_type", "NONE PER_TENSOR PER_CHANNEL "},
    {"Pad", "mode", "constant reflect edge wrap "},
    {"Resize", "keep_aspect_ratio_policy", "stretch not_larger not_smaller "},
    {"ScatterElements", "reduction", "none add mul max min "},
    {"ScatterND", "reduction", "none add mul max min "},
    {"SpaceToDepth", "mode", "DCR CRD "},
};

static kp_status* check_word(const kp_op_schema* schema, const kp_attr* attr) {
  for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; ++i) {
    const kp_vocabulary* v = &vocabularies[i];
    if (strcmp(v->op, kp_schema_name(schema)) != 0 || strcmp(v->attr, attr->name) != 0) continue;
    for (const char* word = v->words; *word; word = strchr(word, ' ') + 1)
      if (kp_str_equal(attr->s, (kp_str){word, (size_t)(strchr(word, ' ') - word)})) return NULL;
    return KP_ERROR(INVALID_MODEL, "attribute '%s' is '%.*s'; it can be one of: %s", attr->name,
                    KP_STR_ARG(attr->s), v->words);
  }
  return NULL;
}

static kp_status* check_attrs(const kp_op_schema* schema, const kp_attr* attrs, uint32_t count) {
  for (uint32_t i = 0; schema && i < count; ++i)
    if (attrs[i].type == KP_ONNX_ATTR_STRING) KP_PASS(check_word(schema, &attrs[i]));
  for (uint32_t i = 0; i < count;
       ++i)  // few, but for nodes made to take time: those are cut off by the reader at 10,000
    for (uint32_t k = 0; k < i; ++k)
      if (attrs[i].name == attrs[k].name)
        return KP_ERROR(INVALID_MODEL, "attribute '%s' is given twice", attrs[i].name);
  for (uint32_t i = 0; schema && i < schema->attr_count; ++i) {
    const kp_attr_schema wanted = kp_schema_attr(schema, i);
    bool given = !wanted.required;
    for (uint32_t k = 0; k < count && !given; ++k) given = strcmp(attrs[k].name, wanted.name) == 0;
    if (!given)
      return KP_ERROR(INVALID_MODEL, "attribute '%s' is required and missing", wanted.name);
  }
  return NULL;
}

// --- attributes --------------------------------------------------------------------------------------------------------
// A tensor of an attribute, made once however often its function is expanded. |key| is its address in the file's messages.
static kp_status* build_constant(kp_builder* b, const void* key, bool sparse,
                                 kapell_value** out_tensor) {
  uint32_t index;
  if (kp_ptr_map_get(&b->tensors, key, &index)) {
    *out_tensor = b->model->constants[index];
    return NULL;
  }
  KP_PASS(sparse ? kp_build_sparse(b->source, key, out_tensor)
                 : kp_build_tensor(b->source, key, out_tensor));
  KP_PASS(kp_model_add_constant(b->model, *out_tensor));
  return kp_ptr_map_put(&b->tensors, key, b->model->constant_count - 1);
}

static kp_status* build_constants(kp_builder* b, kp_scope* scope, const kp_onnx_attr* from,
                                  kp_attr* attr) {
  const bool sparse = from->type == KP_ONNX_ATTR_SPARSE_TENSORS;
  kapell_value** tensors =
      kp_arena_new_array(&scope->target->graph->arena, kapell_value*, from->count);
  if (!tensors) return KP_ERROR(OUT_OF_MEMORY, "%zu tensors", from->count);
  for (size_t i = 0; i < from->count; ++i) {
    const void* key = sparse ? (const void*)&from->sparses[i] : (const void*)&from->tensors[i];
    KP_PASS(build_constant(b, key, sparse, &tensors[i]));
  }
  attr->tensors = tensors;
  return NULL;
}

static kp_status* build_types(kp_builder* b, kp_scope* scope, const kp_onnx_attr* from,
                              kp_attr* attr) {
  const bool one = from->type == KP_ONNX_ATTR_TYPE_PROTO;
  const size_t count = one ? 1 : from->count;
  kp_type* types = kp_arena_new_array(&scope->target->graph->arena, kp_type, count);
  if (!types) return KP_ERROR(OUT_OF_MEMORY, "%zu types", count);
  for (size_t i = 0; i < count; ++i) {
    KP_PASS(kp_build_type(b, &scope->target->graph->arena, scope->path,
                          one ? from->tp : &from->tps[i], &types[i]));
  }
  if (one) {
    attr->type_proto = types;
  } else {
    attr->types = types;
  }
  return NULL;
}

// Builds the body |graph|, whose names are looked up in |lexical| around it, for a node that goes to |scope|'s target.
static kp_status* build_body(kp_builder* b, kp_scope* scope, kp_scope* lexical,
                             const kp_onnx_node* node, const char* attr_name,
                             const kp_onnx_graph* from, kp_target** out_target) {
  kp_graph* body;
  KP_PASS(kp_graph_create_body(scope->target->graph, &body));
  const kp_str name = kp_build_node_name(node);
  body->name = kp_arena_printf(&body->arena, "%s%s%.*s/%s", scope->path, scope->path[0] ? "/" : "",
                               KP_STR_ARG(name), attr_name);
  // Origins outlive bodies.
  const char* path =
      body->name ? kp_arena_strndup(&b->model->arena, body->name, strlen(body->name)) : NULL;
  if (!path) return KP_ERROR(OUT_OF_MEMORY, "a body");
  KP_PASS(kp_build_push_target(b, body, scope->target, path, out_target));
  const kp_scope form = {.target = *out_target,
                         .outer = lexical,
                         .frame = lexical->frame,
                         .prefix = lexical->prefix,
                         .path = path};
  kp_scope* inner;
  KP_PASS(kp_build_push_scope(b, &form, &inner));
  return kp_build_graph(b, inner, from);
}

// The bodies of a node under construction.
typedef struct kp_bodies {
  kp_target** targets;
  size_t count;
} kp_bodies;

static kp_status* build_bodies(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                               kp_bound_attr bound, kp_attr* attr, kp_bodies* bodies) {
  const bool one = bound.attr->type == KP_ONNX_ATTR_GRAPH;
  const size_t count = one ? 1 : bound.attr->count;
  kp_graph** graphs = kp_arena_new_array(&scope->target->graph->arena, kp_graph*, count);
  kp_target** targets = kp_arena_new_array(&b->scratch, kp_target*, bodies->count + count);
  if (!graphs || !targets) return KP_ERROR(OUT_OF_MEMORY, "%zu bodies", count);
  if (bodies->count > 0) memcpy(targets, bodies->targets, bodies->count * sizeof(kp_target*));
  bodies->targets = targets;
  for (size_t i = 0; i < count; ++i) {
    const kp_onnx_graph* from = one ? bound.attr->g : &bound.attr->graphs[i];
    KP_TRY(build_body(b, scope, bound.scope, node, attr->name, from, &targets[bodies->count]),
           "in body '%s'", attr->name);
    graphs[i] = targets[bodies->count++]->graph;
  }
  if (one) {
    attr->graph = graphs[0];
  } else {
    attr->graphs = graphs;
  }
  return NULL;
}

static kp_status* build_attr(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                             kp_bound_attr bound, kp_attr* attr, kp_bodies* bodies) {
  const kp_onnx_attr* from = bound.attr;
  attr->count = from->count;
  switch (attr->type) {
    case KP_ONNX_ATTR_UNDEFINED:
      return KP_ERROR(INVALID_MODEL, "attribute '%s' has no value", attr->name);
    case KP_ONNX_ATTR_FLOAT:
      attr->f = from->f;
      return NULL;
    case KP_ONNX_ATTR_INT:
      attr->i = from->i;
      return NULL;
    case KP_ONNX_ATTR_STRING:
      attr->s = from->s;
      return NULL;
    case KP_ONNX_ATTR_FLOATS:
      attr->floats = from->floats;
      return NULL;
    case KP_ONNX_ATTR_INTS:
      attr->ints = from->ints;
      return NULL;
    case KP_ONNX_ATTR_STRINGS:
      attr->strings = from->strings;
      return NULL;
    case KP_ONNX_ATTR_TENSOR:
      return build_constant(b, from->t, false, &attr->tensor);
    case KP_ONNX_ATTR_SPARSE_TENSOR:
      return build_constant(b, from->sparse, true, &attr->tensor);
    case KP_ONNX_ATTR_TENSORS:
    case KP_ONNX_ATTR_SPARSE_TENSORS:
      return build_constants(b, scope, from, attr);
    case KP_ONNX_ATTR_TYPE_PROTO:
    case KP_ONNX_ATTR_TYPE_PROTOS:
      return build_types(b, scope, from, attr);
    case KP_ONNX_ATTR_GRAPH:
    case KP_ONNX_ATTR_GRAPHS:
      return build_bodies(b, scope, node, bound, attr, bodies);
  }
  return KP_ERROR(UNSUPPORTED_MODEL, "attribute '%s' is of kind %d, which this build does not know",
                  attr->name, (int)attr->type);
}

static kp_status* build_attrs(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                              const kp_op_schema* schema, kp_node_spec* spec, kp_bodies* bodies) {
  kp_attr* attrs = kp_arena_new_array(&b->scratch, kp_attr, node->attr_count);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "%zu attributes", node->attr_count);
  uint32_t count = 0;
  for (size_t i = 0; i < node->attr_count; ++i) {
    kp_bound_attr bound;
    KP_PASS(kp_build_resolve_attr(scope, &node->attrs[i], &bound));
    if (!bound.attr) continue;  // refers to an attribute that the call does not give
    kp_attr* attr = &attrs[count++];
    *attr = (kp_attr){.type = bound.attr->type};
    KP_PASS(kp_build_intern(b, node->attrs[i].name, &attr->name));
    KP_PASS(check_attr(schema, attr));
    KP_PASS(build_attr(b, scope, node, bound, attr, bodies));
  }
  spec->attrs = attrs;
  spec->attr_count = count;
  return check_attrs(schema, attrs, count);
}

// --- captures ----------------------------------------------------------------------------------------------------------
// Gives all |bodies| one list of captures, the union of what each uses, and lists the outer values in |spec|.
static kp_status* join_captures(kp_builder* b, const kp_bodies* bodies, kp_node_spec* spec) {
  size_t most = 0;
  for (size_t i = 0; i < bodies->count; ++i) most += bodies->targets[i]->count;
  if (most == 0) return NULL;
  kp_value_id* outer = kp_arena_new_array(&b->scratch, kp_value_id, most);
  if (!outer) return KP_ERROR(OUT_OF_MEMORY, "%zu captures", most);
  kp_ptr_map listed = {0};
  kp_status* status = NULL;
  uint32_t count = 0, unused;
  for (size_t i = 0; i < bodies->count && !status; ++i) {
    const kp_target* target = bodies->targets[i];
    for (uint32_t k = 0; k < target->count && !status; ++k) {
      const void* key = (const void*)((uintptr_t)target->outer[k] + 1);
      if (kp_ptr_map_get(&listed, key, &unused)) continue;
      status = kp_ptr_map_put(&listed, key, count);
      outer[count++] = target->outer[k];
    }
  }
  for (size_t i = 0; i < bodies->count && !status; ++i) {
    const kp_target* target = bodies->targets[i];
    for (uint32_t k = 0; k < count && !status; ++k) {
      kp_value_id inner = KP_NONE;
      (void)kp_ptr_map_get(&target->captured, (const void*)((uintptr_t)outer[k] + 1), &inner);
      status = kp_graph_add_capture(target->graph, inner);
    }
  }
  kp_ptr_map_free(&listed);
  spec->implicit = outer;
  spec->implicit_count = count;
  return status;
}

// --- control flow ------------------------------------------------------------------------------------------------------
static kp_status* check_body(const char* what, const kp_graph* body, uint32_t inputs,
                             uint32_t least_outputs) {
  if (body->input_count != inputs) {
    return KP_ERROR(INVALID_MODEL, "%s has %u inputs; the node feeds %u", what, body->input_count,
                    inputs);
  }
  if (body->output_count >= least_outputs) return NULL;
  return KP_ERROR(INVALID_MODEL, "%s has %u outputs; the node needs %u", what, body->output_count,
                  least_outputs);
}

// Bodies fit their node, so that nobody who runs them has to ask again. A node may want fewer outputs than its bodies have.
static kp_status* check_flow(const kp_node_spec* spec, int32_t since) {
  const kp_node node = {.attrs = (kp_attr*)(uintptr_t)spec->attrs, .attr_count = spec->attr_count};
  kp_graph* body = kp_node_attr_graph(&node, "body");
  if (strcmp(spec->op, "If") == 0) {
    kp_graph *then_branch = kp_node_attr_graph(&node, "then_branch"),
             *else_branch = kp_node_attr_graph(&node, "else_branch");
    KP_PASS(check_body("then_branch", then_branch, 0, spec->output_count));
    KP_PASS(check_body("else_branch", else_branch, 0, spec->output_count));
    if (then_branch->output_count == else_branch->output_count) return NULL;
    return KP_ERROR(INVALID_MODEL, "then_branch has %u outputs, else_branch %u",
                    then_branch->output_count, else_branch->output_count);
  }
  if (strcmp(spec->op, "Loop") ==
      0) {  // trip count and condition may be left out, and the former go uncounted at the end
    const uint32_t carried = spec->input_count > 2 ? spec->input_count - 2 : 0;
    const uint32_t outputs = spec->output_count > carried ? spec->output_count : carried;
    return check_body("the body", body, 2 + carried, 1 + outputs);
  }
  if (strcmp(spec->op, "Scan") == 0) {
    const uint32_t fed = since == 8 ? spec->input_count - 1
                                    : spec->input_count;  // version 8 has sequence lengths first
    const int64_t scanned = kp_node_attr_i(&node, "num_scan_inputs", 0);
    if (scanned < 1 || scanned > (int64_t)fed) {
      return KP_ERROR(INVALID_MODEL, "num_scan_inputs is %lld of %u inputs", (long long)scanned,
                      fed);
    }
    const uint32_t carried = fed - (uint32_t)scanned;
    return check_body("the body", body, fed,
                      spec->output_count > carried ? spec->output_count : carried);
  }
  return strcmp(spec->op, "SequenceMap") == 0
             ? check_body("the body", body, spec->input_count, spec->output_count)
             : NULL;
}

// --- nodes -------------------------------------------------------------------------------------------------------------
static kp_status* build_values(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                               kp_node_spec* spec) {
  size_t input_count = node->input_count, output_count = node->output_count;
  while (input_count > 0 && node->inputs[input_count - 1].length == 0) --input_count;
  while (output_count > 0 && node->outputs[output_count - 1].length == 0) --output_count;
  kp_value_id* inputs = kp_arena_new_array(&b->scratch, kp_value_id, input_count);
  kp_value_id* outputs = kp_arena_new_array(&b->scratch, kp_value_id, output_count);
  if (!inputs || !outputs || input_count > UINT32_MAX / 4 || output_count > UINT32_MAX / 4) {
    return KP_ERROR(OUT_OF_MEMORY, "%zu inputs and %zu outputs", input_count, output_count);
  }
  size_t present = 0;
  for (size_t i = 0; i < input_count; ++i) {
    KP_PASS(kp_build_lookup(b, scope, node->inputs[i], &inputs[i]));
    if (inputs[i] != KP_NONE) present = i + 1;  // a call may leave out what the function passes on
  }
  for (size_t i = 0; i < output_count; ++i) {
    outputs[i] = KP_ABSENT;
    if (node->outputs[i].length > 0)
      KP_PASS(kp_build_lookup(b, scope, node->outputs[i], &outputs[i]));
  }
  spec->inputs = inputs;
  spec->input_count = (uint32_t)present;
  spec->outputs = outputs;
  spec->output_count = (uint32_t)output_count;
  return NULL;
}

// |name| is the file's, interned; "" where it has none.
static kp_status* add_node(kp_builder* b, kp_scope* scope, const char* name, uint32_t file_index,
                           kp_node_spec* spec, kp_node_id* out_node) {
  if (name[0]) KP_PASS(kp_build_prefixed(b, scope, name, &spec->name));
  if (b->expanded) {
    const kp_node* from = b->expanded;
    return kp_graph_add_node(scope->target->graph, spec, from->origins, from->origin_count,
                             b->rewrite, out_node);
  }
  const kp_origin origin = {.name = name,
                            .op = spec->op,
                            .domain = spec->domain,
                            .path = scope->path,
                            .file_index = file_index};
  uint32_t index;
  KP_PASS(kp_model_add_origin(b->model, &origin, &index));
  return kp_graph_add_node(scope->target->graph, spec, &index, 1, NULL, out_node);
}

static bool keep_function(const kp_builder* b, const kp_node_spec* spec, const char* name) {
  if (!b->options.keep_call) return false;
  const kp_node shown = {.name = name, .op = spec->op, .domain = spec->domain};
  return b->options.keep_call(b->options.user, &shown);
}

static kp_status* build_plain(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                              const char* name, uint32_t file_index, bool is_call,
                              kp_node_spec* spec) {
  int64_t version = 0;
  kp_bodies bodies = {0};
  kp_node_id id;
  KP_PASS(kp_build_count_node(b));
  if (!is_call) KP_PASS(find_operator(b, scope, spec, &version, &spec->schema));
  const kp_op_schema* schema = spec->schema;
  spec->version = version > INT32_MAX ? INT32_MAX : (int32_t)version;
  KP_PASS(build_values(b, scope, node, spec));
  if (schema) KP_PASS(check_inputs(schema, spec, node->input_count));
  KP_PASS(build_attrs(b, scope, node, schema, spec, &bodies));
  if (schema && bodies.count > 0 && spec->domain[0] == 0) KP_PASS(check_flow(spec, schema->since));
  KP_PASS(join_captures(b, &bodies, spec));
  KP_PASS(add_node(b, scope, name, file_index, spec, &id));
  kp_graph* graph = scope->target->graph;
  if (!schema || !schema->has_function || !b->options.keep_call ||
      b->options.keep_call(b->options.user, &graph->nodes[id])) {
    return NULL;
  }
  bool expanded;
  return kp_graph_expand_function(graph, id, &expanded);
}

static kp_status* build_node(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                             uint32_t file_index) {
  kp_node_spec spec = {.interned = true};
  const char* name;
  KP_PASS(kp_build_intern(b, node->op_type, &spec.op));
  KP_PASS(kp_build_intern(b, plain_domain(node->domain), &spec.domain));
  KP_PASS(kp_build_intern(b, node->name, &name));
  const kp_onnx_function* function =
      b->expanded ? NULL : kp_build_find_function(b, spec.op, node->domain, node->overload);
  const bool keep = function && keep_function(b, &spec, name);
  if (function && !keep) return kp_build_call(b, scope, function, node);
  return build_plain(b, scope, node, name, file_index, keep, &spec);
}

kp_status* kp_build_node(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                         uint32_t file_index) {
  kp_open* const open = b->open;
  const kp_arena_mark mark = kp_arena_get_mark(&b->scratch);
  kp_status* status = build_node(b, scope, node, file_index);
  kp_build_pop(b, open);
  if (!status) {
    kp_arena_rewind(&b->scratch, mark);
    return NULL;
  }
  kp_str name = node->name, op = node->op_type;
  if (kp_status_code(status) == KAPELL_OUT_OF_MEMORY) return status;
  char name_text[256], op_text[128];
  snprintf(name_text, sizeof name_text, "%.*s", KP_STR_ARG(name));
  snprintf(op_text, sizeof op_text, "%.*s", KP_STR_ARG(op));
  kp_status_at(status, name_text, op_text, NULL);
  return kp_status_frame(status, __FILE__, __LINE__, "node %u '%.*s' (%.*s)%s%s", file_index,
                         KP_STR_ARG(name), KP_STR_ARG(op), scope->path[0] ? " of " : "",
                         scope->path);
}
