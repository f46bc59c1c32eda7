#include "provider/cpu/fuse/match.h"

#include <math.h>

#include "base/size.h"

// --- looking -------------------------------------------------------------------------------------------------------------------
kp_node_id kp_match_sole_user(const kp_graph* graph, kp_value_id value) {
  if (value == KP_NONE) return KP_NONE;
  const kp_value* v = &graph->values[value];
  return v->use_count == 1 && v->output_refs == 0 ? v->uses[0] : KP_NONE;
}

kp_node_id kp_match_producer(const kp_graph* graph, const kp_node* node, uint32_t index) {
  if (index >= node->input_count || node->inputs[index] == KP_NONE) return KP_NONE;
  const kp_value* v = &graph->values[node->inputs[index]];
  return v->use_count == 1 && v->output_refs == 0 ? v->producer : KP_NONE;
}

const kapell_value* kp_match_f32(const kp_graph* graph, kp_value_id value) {
  if (value == KP_NONE) return NULL;
  const kapell_value* constant = graph->values[value].constant;
  return constant && constant->kind == KAPELL_KIND_TENSOR && constant->type == KAPELL_FLOAT
             ? constant
             : NULL;
}

bool kp_match_scalar(const kp_graph* graph, kp_value_id value, float* out) {
  const kapell_value* constant = kp_match_f32(graph, value);
  if (!constant || constant->byte_count != sizeof(float)) return false;
  memcpy(out, constant->data, sizeof(*out));
  return true;
}

bool kp_match_is_number(const kp_graph* graph, kp_value_id value, float number) {
  float found;
  return kp_match_scalar(graph, value, &found) && fabsf(found - number) <= 1e-4f * fabsf(number);
}

bool kp_match_binary_scalar(const kp_graph* graph, const kp_node* node, float* out_scalar,
                            uint32_t* out_other) {
  for (uint32_t i = 0; i < 2 && node->input_count == 2; ++i) {
    if (!kp_match_scalar(graph, node->inputs[i], out_scalar)) continue;
    *out_other = 1 - i;
    return true;
  }
  return false;
}

bool kp_match_is_f32(const kp_graph* graph, kp_value_id value) {
  if (value == KP_NONE) return false;
  const kp_type* type = &graph->values[value].type;
  return type->kind == KAPELL_KIND_TENSOR && type->element == KAPELL_FLOAT;
}

bool kp_same_shape(const kp_graph* graph, kp_value_id a, kp_value_id b) {
  const kp_type *x = &graph->values[a].type, *y = &graph->values[b].type;
  if (x->kind != KAPELL_KIND_TENSOR || y->kind != KAPELL_KIND_TENSOR || x->rank < 0 ||
      x->rank != y->rank || x->element != y->element)
    return false;
  for (int32_t d = 0; d < x->rank; ++d)
    if (x->dims[d] != y->dims[d]) return false;
  return true;
}

// Bounds of a Clip: attributes before opset 11, inputs since.
static bool clip_bounds(const kp_graph* graph, const kp_node* node, kp_act* act) {
  *act = (kp_act){KP_ACT_CLIP, -INFINITY, INFINITY};
  if (node->version < 11) {
    act->a = kp_node_attr_f(node, "min", -INFINITY);
    act->b = kp_node_attr_f(node, "max", INFINITY);
    return true;
  }
  if (node->input_count > 1 && node->inputs[1] != KP_NONE &&
      !kp_match_scalar(graph, node->inputs[1], &act->a))
    return false;
  if (node->input_count > 2 && node->inputs[2] != KP_NONE &&
      !kp_match_scalar(graph, node->inputs[2], &act->b))
    return false;
  return act->a <= act->b;
}

bool kp_match_act(const kp_graph* graph, const kp_node* node, kp_act* out_act) {
  static const struct {
    const char* op;
    kp_act_kind kind;
    const char *a, *b;  // attributes, with defaults
    float a_default, b_default;
  } kActs[] = {
      {"Relu", KP_ACT_RELU, NULL, NULL, 0, 0},
      {"LeakyRelu", KP_ACT_LEAKY_RELU, "alpha", NULL, 0.01f, 0},
      {"Sigmoid", KP_ACT_SIGMOID, NULL, NULL, 0, 0},
      {"HardSigmoid", KP_ACT_HARD_SIGMOID, "alpha", "beta", 0.2f, 0.5f},
      {"HardSwish", KP_ACT_HARD_SWISH, NULL, NULL, 0, 0},
      {"Swish", KP_ACT_SILU, "alpha", NULL, 1, 0},
      {"Tanh", KP_ACT_TANH, NULL, NULL, 0, 0},
      {"Elu", KP_ACT_ELU, "alpha", NULL, 1, 0},
      {"Mish", KP_ACT_MISH, NULL, NULL, 0, 0},
      {"Softplus", KP_ACT_SOFTPLUS, NULL, NULL, 0, 0},
  };
  if (node->domain[0] || node->input_count == 0 || node->output_count != 1 ||
      !kp_match_is_f32(graph, node->inputs[0]))
    return false;
  if (strcmp(node->op, "Clip") == 0) return clip_bounds(graph, node, out_act);
  if (strcmp(node->op, "Gelu") == 0) {
    const bool tanh_form = kp_str_is(kp_node_attr_s(node, "approximate", "none"), "tanh");
    *out_act = (kp_act){tanh_form ? KP_ACT_GELU_TANH : KP_ACT_GELU, 0, 0};
    return true;
  }
  for (size_t i = 0; i < KP_COUNT_OF(kActs); ++i) {
    if (strcmp(node->op, kActs[i].op) != 0) continue;
    *out_act = (kp_act){kActs[i].kind, kActs[i].a_default, kActs[i].b_default};
    if (kActs[i].a) out_act->a = kp_node_attr_f(node, kActs[i].a, kActs[i].a_default);
    if (kActs[i].b) out_act->b = kp_node_attr_f(node, kActs[i].b, kActs[i].b_default);
    return true;
  }
  return false;
}

// --- making ---------------------------------------------------------------------------------------------------------------------
static const char* attr_name(kp_graph* graph, const char* name) {
  return kp_intern(&graph->model->names, kp_str_of(name));
}

kp_attr kp_make_int(kp_graph* graph, const char* name, int64_t i) {
  return (kp_attr){.name = attr_name(graph, name), .type = KP_ONNX_ATTR_INT, .i = i};
}

kp_attr kp_make_float(kp_graph* graph, const char* name, float f) {
  return (kp_attr){.name = attr_name(graph, name), .type = KP_ONNX_ATTR_FLOAT, .f = f};
}

kp_attr kp_make_ints(kp_graph* graph, const char* name, const int64_t* ints, size_t count) {
  const int64_t* kept = kp_arena_memdup(&graph->arena, ints, count * sizeof(*ints));
  return (kp_attr){.name = kept ? attr_name(graph, name) : NULL,
                   .type = KP_ONNX_ATTR_INTS,
                   .count = count,
                   .ints = kept};
}

void kp_make_act(kp_graph* graph, const kp_act* act, kp_attr* out_attrs) {
  out_attrs[0] = kp_make_int(graph, "act", act->kind);
  out_attrs[1] = kp_make_float(graph, "act_a", act->a);
  out_attrs[2] = kp_make_float(graph, "act_b", act->b);
}

kp_act kp_read_act(const kp_node* node) {
  return (kp_act){(kp_act_kind)kp_node_attr_i(node, "act", KP_ACT_NONE),
                  kp_node_attr_f(node, "act_a", 0), kp_node_attr_f(node, "act_b", 0)};
}

kp_status* kp_make_value(kp_graph* graph, kapell_type element, const kp_expr* dims, int32_t rank,
                         kp_value_id* out_value) {
  KP_PASS(kp_graph_add_value(graph, NULL, out_value));
  const kp_expr* kept = kp_arena_memdup(&graph->arena, dims, (size_t)rank * sizeof(*dims));
  if (!kept) return KP_ERROR(OUT_OF_MEMORY, "a value");
  graph->values[*out_value].type =
      (kp_type){.kind = KAPELL_KIND_TENSOR, .element = element, .rank = rank, .dims = kept};
  return NULL;
}

kp_status* kp_make_f32(kp_graph* graph, const int64_t* dims, int32_t rank, float** out_data,
                       kp_value_id* out_value) {
  kapell_value* constant;
  KP_PASS(kp_value_create_tensor(KAPELL_FLOAT, dims, rank, &constant));
  *out_data = constant->data;
  return kp_graph_add_constant(graph, NULL, constant, out_value);
}

bool kp_read_fused_act(const kp_node* node, kp_act* out_act) {
  static const struct {
    const char* name;
    kp_act_kind kind;
    size_t params;
  } kActs[] = {{"Relu", KP_ACT_RELU, 0},           {"Sigmoid", KP_ACT_SIGMOID, 0},
               {"Tanh", KP_ACT_TANH, 0},           {"LeakyRelu", KP_ACT_LEAKY_RELU, 1},
               {"Clip", KP_ACT_CLIP, 2},           {"HardSigmoid", KP_ACT_HARD_SIGMOID, 2},
               {"HardSwish", KP_ACT_HARD_SWISH, 0}};
  const kp_str name = kp_node_attr_s(node, "activation", "");
  size_t count;
  const float* params = kp_node_attr_floats(node, "activation_params", &count);
  *out_act = (kp_act){KP_ACT_NONE, 0, 0};
  if (kp_str_is(name, "")) return true;
  for (size_t i = 0; i < sizeof(kActs) / sizeof(kActs[0]); ++i) {
    if (!kp_str_is(name, kActs[i].name)) continue;
    if (count < kActs[i].params) return false;
    *out_act = (kp_act){kActs[i].kind, count > 0 ? params[0] : 0, count > 1 ? params[1] : 0};
    return true;
  }
  return false;
}

kp_status* kp_pass_replace(kp_pass* pass, const char* name, const kp_node_id* old, uint32_t count,
                           kp_node_spec* fresh) {
  const kp_rewrite rewrite = {.name = name,
                              .old_nodes = old,
                              .old_count = count,
                              .fresh = fresh,
                              .fresh_count = 1,
                              .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(pass->graph, &rewrite);
}

void kp_drop_unused(kp_graph* graph, kp_value_id value_id) {
  kp_value* value = &graph->values[value_id];
  if (!value->constant || value->use_count || value->output_refs) return;
  kp_value_release(value->constant);
  value->constant = NULL;
}
