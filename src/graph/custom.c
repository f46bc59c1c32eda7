// Finding custom operators and inferring through them; kapell/custom_op.h's view of a node.
#include "graph/custom.h"

#include "graph/infer_rule.h"

// --- which operator --------------------------------------------------------------------------------------------------------
static kp_str plain_domain(const char* domain) {
  const kp_str given = kp_str_of(domain ? domain : "");
  return kp_str_is(given, "ai.onnx") ? kp_str_of("") : given;
}

static bool is_for(const kapell_custom_op* op, kp_str domain, kp_str name, int64_t version) {
  const int32_t since = op->since_version > 0 ? op->since_version : 1;
  return since <= version && (op->until_version <= 0 || version <= op->until_version) &&
         kp_str_is(name, op->name) && kp_str_equal(domain, plain_domain(op->domain));
}

bool kp_custom_has(const kp_model* model, kp_str domain, kp_str op, int64_t version) {
  for (size_t i = 0; i < model->custom_op_count; ++i)
    if (is_for(model->custom_ops[i], domain, op, version)) return true;
  return false;
}

// The parameter that |index| belongs to; NULL past the end.
static const kapell_custom_param* param_of(const kapell_custom_param* params, size_t count,
                                           size_t index) {
  if (count == 0) return NULL;
  if (index < count) return &params[index];
  return params[count - 1].presence == KAPELL_CUSTOM_VARIADIC ? &params[count - 1] : NULL;
}

// |given| of them are there: more than the operator has, or fewer than it wants?
static bool count_fits(const kapell_custom_param* params, size_t count, size_t given) {
  if (given > count && !param_of(params, count, given - 1)) return false;
  for (size_t i = 0; i < count; ++i) {
    const size_t least = params[i].presence == KAPELL_CUSTOM_REQUIRED   ? i + 1
                         : params[i].presence == KAPELL_CUSTOM_VARIADIC ? i + params[i].min_count
                                                                        : 0;
    if (given < least) return false;
  }
  return true;
}

static kapell_type element_of(const kp_graph* graph, const kp_node* node, uint32_t index) {
  const kp_value* value = kp_node_input(graph, node, index);
  return value && value->type.kind == KAPELL_KIND_TENSOR ? value->type.element : KAPELL_UNDEFINED;
}

// Types of a homogeneous variadic parameter of any type: all the same, as far as they are known.
static bool is_homogeneous(const kp_graph* graph, const kp_node* node, uint32_t first) {
  kapell_type seen = KAPELL_UNDEFINED;
  for (uint32_t i = first; i < node->input_count; ++i) {
    const kapell_type type = element_of(graph, node, i);
    if (type != KAPELL_UNDEFINED && seen != KAPELL_UNDEFINED && type != seen) return false;
    if (type != KAPELL_UNDEFINED) seen = type;
  }
  return true;
}

static bool takes(const kapell_custom_op* op, const kp_graph* graph, const kp_node* node,
                  kp_strbuf* why) {
  if (!count_fits(op->inputs, op->input_count, node->input_count) ||
      !count_fits(op->outputs, op->output_count, node->output_count)) {
    if (why)
      kp_strbuf_printf(why, "it has %u inputs and %u outputs, which is not what the operator has",
                       node->input_count, node->output_count);
    return false;
  }
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kapell_custom_param* param = param_of(op->inputs, op->input_count, i);
    const kapell_type type = element_of(graph, node, i);
    if (node->inputs[i] == KP_NONE && param->presence == KAPELL_CUSTOM_REQUIRED) {
      if (why) kp_strbuf_printf(why, "input %u is absent", i);
      return false;
    }
    if (param->type != KAPELL_UNDEFINED && type != KAPELL_UNDEFINED && type != param->type) {
      if (why)
        kp_strbuf_printf(why, "input %u is %s, the operator takes %s", i, kp_type_name(type),
                         kp_type_name(param->type));
      return false;
    }
  }
  if (op->input_count == 0) return true;
  const kapell_custom_param* last = &op->inputs[op->input_count - 1];
  if (last->presence != KAPELL_CUSTOM_VARIADIC || last->type != KAPELL_UNDEFINED ||
      last->heterogeneous || is_homogeneous(graph, node, (uint32_t)op->input_count - 1))
    return true;
  if (why) kp_strbuf_printf(why, "its variadic inputs are not of one type");
  return false;
}

const kapell_custom_op* kp_custom_find(const kp_graph* graph, const kp_node* node, kp_strbuf* why) {
  const kp_model* model = graph->model;
  const kp_str domain = kp_str_of(node->domain), name = kp_str_of(node->op);
  const kapell_custom_op* best = NULL;
  for (size_t i = 0; i < model->custom_op_count; ++i) {
    const kapell_custom_op* op = model->custom_ops[i];
    if (!is_for(op, domain, name, node->version)) continue;
    if (why && why->length) kp_strbuf_printf(why, "; or: ");
    if (takes(op, graph, node, why) && (!best || op->since_version > best->since_version))
      best = op;
  }
  return best;
}

static bool params_are_right(const kapell_custom_param* params, size_t count) {
  if (count && !params) return false;
  for (size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    if ((unsigned)params[i].type >= KAPELL_TYPE_COUNT ||
        (params[i].presence == KAPELL_CUSTOM_VARIADIC && !last))
      return false;
  }
  return true;
}

kp_status* kp_custom_check(const kapell_custom_op* const* ops, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const kapell_custom_op* op = ops[i];
    if (!op || op->struct_size < sizeof *op || !op->name || !op->name[0])
      return KP_ERROR(INVALID_ARGUMENT, "custom operator %zu has no name or a wrong struct_size",
                      i);
    if (!op->compute)
      return KP_ERROR(INVALID_ARGUMENT, "custom operator '%s' has no function compute", op->name);
    if (!params_are_right(op->inputs, op->input_count) ||
        !params_are_right(op->outputs, op->output_count))
      return KP_ERROR(
          INVALID_ARGUMENT,
          "custom operator '%s': an input or output has an unknown type, or is variadic "
          "and not the last",
          op->name);
  }
  return NULL;
}

// --- shapes ----------------------------------------------------------------------------------------------------------------
static kapell_type declared_type(const kapell_custom_op* op, const kp_graph* graph,
                                 const kp_node* node, uint32_t output) {
  const kapell_custom_param* param = param_of(op->outputs, op->output_count, output);
  if (!param || param->type != KAPELL_UNDEFINED) return param ? param->type : KAPELL_UNDEFINED;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kapell_custom_param* input = param_of(op->inputs, op->input_count, i);
    if (input && input->type == KAPELL_UNDEFINED && element_of(graph, node, i) != KAPELL_UNDEFINED)
      return element_of(graph, node, i);
  }
  return KAPELL_UNDEFINED;
}

// In a run the operator itself tells the shape; only the element types, which loading found, are known before.
static void infer_in_run(kp_infer* infer) {
  for (uint32_t o = 0; o < infer->node->output_count; ++o) {
    const kp_value* value = infer->graph ? kp_node_output(infer->graph, infer->node, o) : NULL;
    if (value && value->type.kind == KAPELL_KIND_TENSOR)
      kp_out_any_rank(infer, o, value->type.element);
  }
}

static kp_status* infer_custom(kp_infer* infer) {
  if (!infer->symbols) {
    infer_in_run(infer);
    return NULL;
  }
  const kapell_custom_op* op = kp_custom_find(infer->graph, infer->node, NULL);
  if (!op) return NULL;  // capability says why
  for (uint32_t o = 0; o < infer->node->output_count; ++o) {
    const kapell_type type = declared_type(op, infer->graph, infer->node, o);
    if (type != KAPELL_UNDEFINED && kp_out_wanted(infer, o)) kp_out_any_rank(infer, o, type);
  }
  if (!op->infer) return NULL;
  kapell_custom_infer view = {{infer->graph, infer->node, infer->constants}, op, infer};
  kp_status* status = op->infer(op->user, &view);
  if (!status) return NULL;
  return kp_status_frame(status, __FILE__, __LINE__, "inferring shapes of the custom operator '%s'",
                         infer->node->op);
}

const kp_infer_rule kp_infer_custom_rule = {.fn = infer_custom, .flags = KP_INFER_DYNAMIC};

const kapell_custom_node* kapell_custom_infer_node(const kapell_custom_infer* infer) {
  return &infer->node;
}

kapell_status* kapell_custom_infer_output(kapell_custom_infer* view, size_t index, kapell_type type,
                                          const int64_t* dims, int32_t rank) {
  kp_infer* infer = view->infer;
  if (index >= infer->node->output_count)
    return KP_ERROR(INVALID_ARGUMENT, "%s has no output %zu", infer->node->op, index);
  if ((unsigned)type >= KAPELL_TYPE_COUNT || rank > KP_MAX_RANK || (rank > 0 && !dims))
    return KP_ERROR(INVALID_ARGUMENT, "output %zu of %s: a wrong type, or rank %d", index,
                    infer->node->op, rank);
  const uint32_t o = (uint32_t)index;
  if (!kp_out_wanted(infer, o)) return NULL;
  if (type == KAPELL_UNDEFINED) type = infer->outputs[o].element;
  if (rank < 0) {
    kp_out_any_rank(infer, o, type);
    return NULL;
  }
  kp_expr* exprs;
  KP_PASS(kp_out_dims(infer, o, type, rank, &exprs));
  for (int32_t d = 0; d < rank; ++d)
    exprs[d] = dims[d] >= 0 ? dims[d] : kp_symbol_fresh_dim(infer->symbols);
  return NULL;
}

// --- the view of a node ----------------------------------------------------------------------------------------------------
const char* kapell_custom_node_name(const kapell_custom_node* node) { return node->node->name; }
const char* kapell_custom_node_op(const kapell_custom_node* node) { return node->node->op; }
const char* kapell_custom_node_domain(const kapell_custom_node* node) { return node->node->domain; }
int32_t kapell_custom_node_version(const kapell_custom_node* node) { return node->node->version; }
size_t kapell_custom_node_input_count(const kapell_custom_node* node) {
  return node->node->input_count;
}
size_t kapell_custom_node_output_count(const kapell_custom_node* node) {
  return node->node->output_count;
}

static void describe(const kp_value* value, kapell_custom_value* out) {
  *out = (kapell_custom_value){.rank = -1};
  if (!value) return;
  out->name = value->name;
  out->kind = value->type.kind;
  out->type = value->type.element;
  out->rank = value->type.rank > KP_MAX_RANK ? -1 : value->type.rank;
  for (int32_t d = 0; d < out->rank; ++d)
    out->dims[d] = kp_is_symbol(value->type.dims[d]) ? -1 : value->type.dims[d];
}

bool kapell_custom_node_input(const kapell_custom_node* node, size_t index,
                              kapell_custom_value* out_value) {
  if (index >= node->node->input_count) return false;
  const kp_value* value = kp_node_input(node->graph, node->node, (uint32_t)index);
  describe(value, out_value);
  if (value) out_value->constant = node->constants ? node->constants[index] : value->constant;
  return true;
}

bool kapell_custom_node_output(const kapell_custom_node* node, size_t index,
                               kapell_custom_value* out_value) {
  if (index >= node->node->output_count) return false;
  describe(kp_node_output(node->graph, node->node, (uint32_t)index), out_value);
  return true;
}

size_t kapell_custom_node_attribute_count(const kapell_custom_node* node) {
  return node->node->attr_count;
}

static void describe_attr(const kp_attr* attr, kapell_attribute* out) {
  *out = (kapell_attribute){.name = attr->name, .kind = (int)attr->type};
  switch (attr->type) {
    case KP_ONNX_ATTR_FLOAT:
      out->f = attr->f;
      break;
    case KP_ONNX_ATTR_INT:
      out->i = attr->i;
      break;
    case KP_ONNX_ATTR_TENSOR:
      out->tensor = attr->tensor;
      break;
    case KP_ONNX_ATTR_STRING:
      out->strings = &attr->s;
      break;
    case KP_ONNX_ATTR_FLOATS:
      out->floats = attr->floats;
      break;
    case KP_ONNX_ATTR_INTS:
      out->ints = attr->ints;
      break;
    case KP_ONNX_ATTR_STRINGS:
      out->strings = attr->strings;
      break;
    default:
      return;
  }
  out->count = attr->type >= KP_ONNX_ATTR_FLOATS ? attr->count : 1;
}

bool kapell_custom_node_attribute(const kapell_custom_node* node, size_t index,
                                  kapell_attribute* out_attribute) {
  if (index >= node->node->attr_count) return false;
  describe_attr(&node->node->attrs[index], out_attribute);
  return true;
}

bool kapell_custom_node_find_attribute(const kapell_custom_node* node, const char* name,
                                       kapell_attribute* out_attribute) {
  const kp_attr* attr = kp_node_attr(node->node, name);
  if (attr) describe_attr(attr, out_attribute);
  return attr != NULL;
}

const char* kapell_attribute_string(const kapell_attribute* attribute, size_t index,
                                    size_t* out_length) {
  const kp_str* strings = attribute->strings;
  *out_length = 0;
  if (!strings || index >= attribute->count) return NULL;
  *out_length = strings[index].length;
  return strings[index].data ? strings[index].data : "";
}
