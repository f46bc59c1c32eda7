// The rules of simplification that look at one node.
#include <stdlib.h>

#include "base/types.h"
#include "graph/rewrite.h"
#include "graph/simplify.h"

static bool is_onnx(const kp_node* node, const char* op) {
  return node->domain[0] == 0 && strcmp(node->op, op) == 0;
}

// --- bypassing ---------------------------------------------------------------------------------------------------------
// Lets the producer of |value| make |output| instead, so that an output of the graph keeps its name.
static kp_status* take_over(kp_graph* graph, kp_node_id id, kp_value_id output, kp_value_id value,
                            uint32_t* changes) {
  const kp_value* from = &graph->values[value];
  const kp_node_id producer = from->producer;
  const uint32_t index = from->producer_output;
  if (producer == KP_NONE || from->output_refs > 0) return NULL;
  if (graph->values[output].type.kind == KAPELL_KIND_NONE || graph->values[output].type.rank < 0) {
    graph->values[output].type = from->type;
  }
  kp_graph_remove_node(graph, id);
  KP_PASS(kp_graph_set_output(graph, producer, index, output));
  ++*changes;
  return kp_graph_replace_uses(graph, value, output);
}

kp_status* kp_simplify_bypass(kp_graph* graph, kp_node_id id, kp_value_id value,
                              uint32_t* changes) {
  const kp_value_id output = graph->nodes[id].outputs[0];
  if (graph->values[output].output_refs > 0) return take_over(graph, id, output, value, changes);
  KP_PASS(kp_graph_replace_uses(graph, output, value));
  kp_graph_remove_node(graph, id);
  ++*changes;
  return NULL;
}

// --- Constant ----------------------------------------------------------------------------------------------------------
static kp_status* tensor_of(kapell_type type, const void* data, size_t element_size, size_t count,
                            bool scalar, kapell_value** out_value) {
  const int64_t dim = (int64_t)count;
  KP_PASS(kp_value_create_tensor(type, &dim, scalar ? 0 : 1, out_value));
  if (count > 0) memcpy((*out_value)->data, data, count * element_size);
  return NULL;
}

static kp_status* strings_of(const kp_str* strings, size_t count, bool scalar,
                             kapell_value** out_value) {
  const int64_t dim = (int64_t)count;
  KP_PASS(kp_value_create_tensor(KAPELL_STRING, &dim, scalar ? 0 : 1, out_value));
  for (size_t i = 0; i < count; ++i) {
    kp_status* status = kp_value_set_string(*out_value, i, strings[i]);
    if (!status) continue;
    kp_value_release(*out_value);
    *out_value = NULL;
    return status;
  }
  return NULL;
}

// The value that a Constant's attribute states; NULL for an attribute that is none of the forms.
static kp_status* constant_value(const kp_attr* attr, kapell_value** out_value) {
  *out_value = NULL;
  switch (attr->type) {
    case KP_ONNX_ATTR_TENSOR:
    case KP_ONNX_ATTR_SPARSE_TENSOR:
      *out_value = kp_value_retain(attr->tensor);
      return NULL;
    case KP_ONNX_ATTR_FLOAT:
      return tensor_of(KAPELL_FLOAT, &attr->f, sizeof attr->f, 1, true, out_value);
    case KP_ONNX_ATTR_INT:
      return tensor_of(KAPELL_INT64, &attr->i, sizeof attr->i, 1, true, out_value);
    case KP_ONNX_ATTR_STRING:
      return strings_of(&attr->s, 1, true, out_value);
    case KP_ONNX_ATTR_FLOATS:
      return tensor_of(KAPELL_FLOAT, attr->floats, sizeof *attr->floats, attr->count, false,
                       out_value);
    case KP_ONNX_ATTR_INTS:
      return tensor_of(KAPELL_INT64, attr->ints, sizeof *attr->ints, attr->count, false, out_value);
    case KP_ONNX_ATTR_STRINGS:
      return strings_of(attr->strings, attr->count, false, out_value);
    default:
      return NULL;
  }
}

kp_status* kp_simplify_constant(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_node* node = &graph->nodes[id];
  if (!is_onnx(node, "Constant") || node->output_count != 1 || node->outputs[0] == KP_NONE)
    return NULL;
  if (node->attr_count != 1) {
    kp_status* status = KP_ERROR(INVALID_MODEL, "a Constant with %u values; exactly one is needed",
                                 node->attr_count);
    return kp_status_at(status, node->name, node->op, NULL);
  }
  kapell_value* value;
  const kp_value_id output = node->outputs[0];
  KP_PASS(constant_value(&node->attrs[0], &value));
  if (!value) return NULL;
  kp_graph_remove_node(graph, id);
  ++*changes;
  return kp_graph_set_constant(graph, output, value);
}

// --- nodes without effect ----------------------------------------------------------------------------------------------
static bool output_is_used(const kp_graph* graph, const kp_node* node, uint32_t index) {
  const kp_value* value = kp_node_output(graph, node, index);
  return value && (value->use_count > 0 || value->output_refs > 0);
}

// Dropout in inference. Before version 7 the attribute is_test says so; from 12 on, an input that is constant or absent.
static bool is_idle_dropout(const kp_graph* graph, const kp_node* node) {
  if (!is_onnx(node, "Dropout") || output_is_used(graph, node, 1)) return false;
  if (node->version < 7) return kp_node_attr_i(node, "is_test", 0) != 0;
  if (node->version < 12) return true;
  const kp_value* training = kp_node_input(graph, node, 2);
  if (!training) return true;
  return training->constant && training->constant->type == KAPELL_BOOL &&
         training->constant->byte_count == 1 && *(const uint8_t*)training->constant->data == 0;
}

static bool same_tensor_type(const kp_type* a, const kp_type* b) {
  if (a->kind != KAPELL_KIND_TENSOR || b->kind != KAPELL_KIND_TENSOR || a->element != b->element ||
      a->element == KAPELL_UNDEFINED) {
    return false;
  }
  if (a->rank < 0 || a->rank != b->rank) return false;
  return a->rank == 0 || memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

// Operators that only give their first input another shape: nothing is left of them where the shape is the same.
static bool is_idle_reshape(const kp_graph* graph, const kp_node* node) {
  static const char* const ops[] = {"Reshape", "Flatten", "Expand", "Squeeze", "Unsqueeze"};
  bool reshapes = false;
  for (size_t i = 0; i < sizeof ops / sizeof ops[0] && !reshapes; ++i)
    reshapes = is_onnx(node, ops[i]);
  const kp_value *input = kp_node_input(graph, node, 0), *output = kp_node_output(graph, node, 0);
  return reshapes && input && output && same_tensor_type(&input->type, &output->type);
}

static bool is_idle_cast(const kp_graph* graph, const kp_node* node) {
  const kp_value* input = kp_node_input(graph, node, 0);
  if (!is_onnx(node, "Cast") || !input || input->type.kind != KAPELL_KIND_TENSOR ||
      input->type.element == KAPELL_UNDEFINED)
    return false;
  return kp_node_attr_i(node, "to", 0) == (int64_t)input->type.element;
}

static bool is_idle_transpose(const kp_node* node) {
  size_t count;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  if (!is_onnx(node, "Transpose") || !perm) return false;
  for (size_t i = 0; i < count; ++i)
    if (perm[i] != (int64_t)i) return false;
  return true;
}

kp_status* kp_simplify_no_op(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_node* node = &graph->nodes[id];
  if (node->input_count == 0 || node->inputs[0] == KP_NONE || node->output_count == 0 ||
      node->outputs[0] == KP_NONE)
    return NULL;
  const bool single = node->input_count == 1 &&
                      (is_onnx(node, "Concat") || is_onnx(node, "Sum") || is_onnx(node, "Mean") ||
                       is_onnx(node, "Max") || is_onnx(node, "Min"));
  if (!single && !is_onnx(node, "Identity") && !is_idle_dropout(graph, node) &&
      !is_idle_reshape(graph, node) && !is_idle_cast(graph, node) && !is_idle_transpose(node)) {
    return NULL;
  }
  return kp_simplify_bypass(graph, id, node->inputs[0], changes);
}

// --- chains ------------------------------------------------------------------------------------------------------------
// The node that makes input 0 of |node| if it is an ai.onnx |op|; KP_NONE otherwise.
static kp_node_id chained(const kp_graph* graph, const kp_node* node, const char* op) {
  const kp_value* input = kp_node_input(graph, node, 0);
  if (!is_onnx(node, op) || !input || input->producer == KP_NONE) return KP_NONE;
  const kp_node* before = &graph->nodes[input->producer];
  return is_onnx(before, op) && kp_node_input(graph, before, 0) ? input->producer : KP_NONE;
}

// Replaces |id| by the same operator on the input of |before|, with |attr| instead of its own.
static kp_status* join(kp_graph* graph, kp_node_id id, kp_node_id before, const kp_attr* attrs,
                       uint32_t attr_count, const char* name) {
  const kp_node* node = &graph->nodes[id];
  kp_value_id input = graph->nodes[before].inputs[0], output = node->outputs[0];
  kp_node_spec fresh = {.name = node->name,
                        .op = node->op,
                        .domain = node->domain,
                        .version = node->version,
                        .inputs = &input,
                        .input_count = 1,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = attr_count};
  const kp_rewrite rewrite = {.name = name,
                              .old_nodes = &id,
                              .old_count = 1,
                              .fresh = &fresh,
                              .fresh_count = 1,
                              .origin_of = before};
  return kp_graph_rewrite(graph, &rewrite);
}

// Bits of magnitude that an integer type holds, or of the significand of a float; 0 for types that take no part.
static int magnitude_bits(kapell_type type) {
  switch (type) {
    case KAPELL_BOOL:
      return 1;
    case KAPELL_INT8:
      return 7;
    case KAPELL_UINT8:
      return 8;
    case KAPELL_INT16:
      return 15;
    case KAPELL_UINT16:
      return 16;
    case KAPELL_INT32:
      return 31;
    case KAPELL_UINT32:
      return 32;
    case KAPELL_INT64:
      return 63;
    case KAPELL_UINT64:
      return 64;
    case KAPELL_BFLOAT16:
      return 8;
    case KAPELL_FLOAT16:
      return 11;
    case KAPELL_FLOAT:
      return 24;
    case KAPELL_DOUBLE:
      return 53;
    default:
      return 0;
  }
}

// Does every value of |from| exist in |to|?
static bool widens(kapell_type from, kapell_type to) {
  const int a = magnitude_bits(from), b = magnitude_bits(to);
  if (a == 0 || b == 0) return false;
  if (from == to) return true;
  if (kp_type_is_float(from))
    return (to == KAPELL_FLOAT && from != KAPELL_DOUBLE) || to == KAPELL_DOUBLE;
  if (kp_type_is_float(to)) return b >= a && to != KAPELL_FLOAT16;  // float16 ends at 65504
  return b >= a && (kp_type_is_signed(to) || !kp_type_is_signed(from));
}

kp_status* kp_simplify_cast(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_node* node = &graph->nodes[id];
  const kp_node_id before = chained(graph, node, "Cast");
  if (before == KP_NONE || node->outputs[0] == KP_NONE) return NULL;
  const kp_value* input = kp_node_input(graph, &graph->nodes[before], 0);
  const kapell_type middle = (kapell_type)kp_node_attr_i(&graph->nodes[before], "to", 0);
  if (input->type.kind != KAPELL_KIND_TENSOR || !widens(input->type.element, middle)) return NULL;
  const int64_t to = kp_node_attr_i(node, "to", 0);
  if (magnitude_bits((kapell_type)to) == 0) return NULL;
  if (to == (int64_t)input->type.element)
    return kp_simplify_bypass(graph, id, graph->nodes[before].inputs[0], changes);
  ++*changes;
  return join(graph, id, before, node->attrs, node->attr_count, "join Cast+Cast");
}

// The permutation of |node|, its default for |rank|; NULL where it is not one.
static const int64_t* permutation(const kp_node* node, int64_t* storage, int32_t rank) {
  size_t count;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  for (int32_t i = 0; !perm && i < rank; ++i) storage[i] = rank - 1 - i;
  if (perm && count != (size_t)rank) return NULL;
  uint64_t seen = 0;
  for (int32_t i = 0; perm && i < rank; ++i) {
    if (perm[i] < 0 || perm[i] >= rank || (seen >> perm[i]) & 1) return NULL;
    seen |= UINT64_C(1) << perm[i];
    storage[i] = perm[i];
  }
  return storage;
}

kp_status* kp_simplify_transpose(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_node* node = &graph->nodes[id];
  const kp_node_id before = chained(graph, node, "Transpose");
  if (before == KP_NONE || node->outputs[0] == KP_NONE) return NULL;
  size_t first_count, second_count;
  const bool stated = kp_node_attr_ints(&graph->nodes[before], "perm", &first_count) &&
                      kp_node_attr_ints(node, "perm", &second_count);
  const kp_value* input = kp_node_input(graph, &graph->nodes[before], 0);
  const int64_t rank = stated ? (int64_t)first_count : input->type.rank;
  int64_t first[KP_MAX_RANK], second[KP_MAX_RANK];
  if (rank < 0 || rank > KP_MAX_RANK) return NULL;
  if (!permutation(&graph->nodes[before], first, (int32_t)rank) ||
      !permutation(node, second, (int32_t)rank))
    return NULL;
  int64_t* joined = kp_arena_new_array(&graph->arena, int64_t, (size_t)rank);
  const char* name = kp_intern(&graph->model->names, kp_str_of("perm"));
  if (!joined || !name) return KP_ERROR(OUT_OF_MEMORY, "a permutation");
  bool idle = true;
  for (int64_t i = 0; i < rank; ++i) {
    joined[i] = first[second[i]];
    idle &= joined[i] == i;
  }
  if (idle) return kp_simplify_bypass(graph, id, graph->nodes[before].inputs[0], changes);
  const kp_attr perm = {
      .name = name, .type = KP_ONNX_ATTR_INTS, .count = (size_t)rank, .ints = joined};
  ++*changes;
  return join(graph, id, before, &perm, 1, "join Transpose+Transpose");
}

// --- bodies ------------------------------------------------------------------------------------------------------------
kp_status* kp_graph_share_constants(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_node* node = &graph->nodes[id];
  bool any = false;
  for (uint32_t i = 0; i < node->implicit_count; ++i) {
    kapell_value* constant = graph->values[node->implicit[i]].constant;
    if (!constant) continue;
    any = true;
    for (uint32_t b = 0; b < kp_node_body_count(node); ++b) {
      kp_graph* body = kp_node_body(node, b);
      const kp_value_id inner = body->captures[i];
      if (inner == KP_NONE) continue;
      body->captures[i] = KP_NONE;
      body->values[inner].is_capture = false;
      KP_PASS(kp_graph_set_constant(body, inner, kp_value_retain(constant)));
    }
  }
  if (any && kp_graph_drop_unused_captures(graph, id)) ++*changes;
  return NULL;
}

// --- branches ----------------------------------------------------------------------------------------------------------
kp_status* kp_simplify_branch(kp_graph* graph, kp_node_id id, uint32_t* changes) {
  const kp_node* node = &graph->nodes[id];
  const kp_value* condition = kp_node_input(graph, node, 0);
  if (!is_onnx(node, "If") || !condition || !condition->constant) return NULL;
  const kapell_value* value = condition->constant;
  if (value->kind != KAPELL_KIND_TENSOR || value->type != KAPELL_BOOL || value->byte_count != 1)
    return NULL;
  const bool holds = *(const uint8_t*)value->data != 0;
  const kp_graph* body = kp_node_attr_graph(node, holds ? "then_branch" : "else_branch");
  if (!body) return NULL;
  ++*changes;
  return kp_graph_inline_body(graph, id, body, "inline If");
}
