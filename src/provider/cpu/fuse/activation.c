// Finds activations that exporters write as several nodes, and makes them one:
//   x * sigmoid(x)                                  -> Swish          (SiLU)
//   x/2 * (1 + erf(x / sqrt 2)), in any order       -> Gelu
//   x * clip(x + 3, 0, 6) / 6, x * hardsigmoid(x)   -> HardSwish
//   x * tanh(softplus(x))                           -> Mish
#include <math.h>

#include "provider/cpu/fuse/match.h"

static bool is_op(const kp_graph* graph, kp_node_id id, const char* op) {
  return id != KP_NONE && kp_node_is(&graph->nodes[id], "", op);
}

static kp_status* replace(kp_pass* pass, const char* name, const kp_node_id* old,
                          uint32_t old_count, kp_value_id x, kp_value_id y, const char* op,
                          int32_t version) {
  if (!kp_same_shape(pass->graph, x, y)) return NULL;
  kp_value_id input = x, output = y;
  kp_node_spec fresh = {.op = op,
                        .domain = "",
                        .version = version,
                        .inputs = &input,
                        .input_count = 1,
                        .outputs = &output,
                        .output_count = 1};
  return kp_pass_replace(pass, name, old, old_count, &fresh);
}

// Mul(x, f(x)) where f is one node, |op|, or two, |op| over |inner|.
static bool gate(const kp_graph* graph, const kp_node* mul, const char* op, const char* inner,
                 kp_node_id* out_gate, kp_node_id* out_inner, kp_value_id* out_x) {
  for (uint32_t i = 0; i < 2 && mul->input_count == 2; ++i) {
    *out_gate = kp_match_producer(graph, mul, i);
    if (!is_op(graph, *out_gate, op)) continue;
    const kp_node* g = &graph->nodes[*out_gate];
    *out_inner = KP_NONE;
    *out_x = g->inputs[0];
    if (inner) {
      *out_inner = kp_match_producer(graph, g, 0);
      if (!is_op(graph, *out_inner, inner)) continue;
      *out_x = graph->nodes[*out_inner].inputs[0];
    }
    if (*out_x == mul->inputs[1 - i]) return true;
  }
  return false;
}

static kp_status* fuse_gates(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* mul = &graph->nodes[id];
  kp_node_id g, inner;
  kp_value_id x;
  if (gate(graph, mul, "Sigmoid", NULL, &g, &inner, &x))
    return replace(pass, "fuse SiLU", (kp_node_id[]){g, id}, 2, x, mul->outputs[0], "Swish", 24);
  if (gate(graph, mul, "Tanh", "Softplus", &g, &inner, &x))
    return replace(pass, "fuse Mish", (kp_node_id[]){inner, g, id}, 3, x, mul->outputs[0], "Mish",
                   18);
  if (gate(graph, mul, "HardSigmoid", NULL, &g, &inner, &x)) {
    const kp_node* h = &graph->nodes[g];
    const bool fits = fabsf(kp_node_attr_f(h, "alpha", 0.2f) - 1.0f / 6) < 1e-6f &&
                      fabsf(kp_node_attr_f(h, "beta", 0.5f) - 0.5f) < 1e-6f;
    if (fits)
      return replace(pass, "fuse HardSwish", (kp_node_id[]){g, id}, 2, x, mul->outputs[0],
                     "HardSwish", 14);
  }
  return NULL;
}

// Clip(x + 3, 0, 6), as the node |id|.
static bool relu6_of_plus_3(const kp_graph* graph, kp_node_id id, kp_node_id* out_add,
                            kp_value_id* out_x) {
  kp_act act;
  float three;
  uint32_t other;
  if (id == KP_NONE || !is_op(graph, id, "Clip") || !kp_match_act(graph, &graph->nodes[id], &act))
    return false;
  if (act.a != 0 || act.b != 6) return false;
  *out_add = kp_match_producer(graph, &graph->nodes[id], 0);
  if (!is_op(graph, *out_add, "Add")) return false;
  const kp_node* add = &graph->nodes[*out_add];
  if (!kp_match_binary_scalar(graph, add, &three, &other) || three != 3) return false;
  *out_x = add->inputs[other];
  return true;
}

// x * clip(x + 3, 0, 6) / 6: the division is the last node, or stands on the gate.
static kp_status* fuse_hard_swish(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* last = &graph->nodes[id];
  kp_node_id add;
  kp_value_id x;
  const bool divides =
      strcmp(last->op, "Div") == 0 && kp_match_is_number(graph, last->inputs[1], 6);
  float sixth;
  uint32_t other = 0;
  const bool scales = strcmp(last->op, "Mul") == 0 &&
                      kp_match_binary_scalar(graph, last, &sixth, &other) &&
                      fabsf(sixth - 1.0f / 6) < 1e-6f;
  if (divides || scales) {
    const kp_node_id mul_id = kp_match_producer(graph, last, divides ? 0 : other);
    if (!is_op(graph, mul_id, "Mul")) return NULL;
    const kp_node* mul = &graph->nodes[mul_id];
    for (uint32_t i = 0; i < 2; ++i) {
      const kp_node_id clip = kp_match_producer(graph, mul, i);
      if (relu6_of_plus_3(graph, clip, &add, &x) && x == mul->inputs[1 - i])
        return replace(pass, "fuse HardSwish", (kp_node_id[]){add, clip, mul_id, id}, 4, x,
                       last->outputs[0], "HardSwish", 14);
    }
    return NULL;
  }
  for (uint32_t i = 0; i < 2 && strcmp(last->op, "Mul") == 0; ++i) {
    const kp_node_id div = kp_match_producer(graph, last, i);
    if (!is_op(graph, div, "Div") || !kp_match_is_number(graph, graph->nodes[div].inputs[1], 6))
      continue;
    const kp_node_id clip = kp_match_producer(graph, &graph->nodes[div], 0);
    if (relu6_of_plus_3(graph, clip, &add, &x) && x == last->inputs[1 - i])
      return replace(pass, "fuse HardSwish", (kp_node_id[]){add, clip, div, id}, 4, x,
                     last->outputs[0], "HardSwish", 14);
  }
  return NULL;
}

// The node Erf(x / sqrt 2) or Erf(x * 0.7071): its producer chain, or false.
static bool erf_chain(const kp_graph* graph, kp_node_id erf, kp_node_id* out_scale,
                      kp_value_id* out_x) {
  if (!is_op(graph, erf, "Erf")) return false;
  *out_scale = kp_match_producer(graph, &graph->nodes[erf], 0);
  if (*out_scale == KP_NONE) return false;
  const kp_node* scale = &graph->nodes[*out_scale];
  float number;
  uint32_t other;
  if (kp_node_is(scale, "", "Div") && kp_match_is_number(graph, scale->inputs[1], 1.41421356f))
    return *out_x = scale->inputs[0], true;
  if (!kp_node_is(scale, "", "Mul") || !kp_match_binary_scalar(graph, scale, &number, &other))
    return false;
  *out_x = scale->inputs[other];
  return fabsf(number - 0.70710678f) < 1e-4f;
}

// Starts from Add(Erf, 1). What follows multiplies by x and by 1/2, in either order, or by x/2.
static kp_status* fuse_gelu(kp_pass* pass, kp_node_id add_id) {
  kp_graph* graph = pass->graph;
  const kp_node* add = &graph->nodes[add_id];
  float one, half;
  uint32_t other;
  kp_node_id scale;
  kp_value_id x;
  if (!kp_match_binary_scalar(graph, add, &one, &other) || one != 1) return NULL;
  const kp_node_id erf = kp_match_producer(graph, add, other);
  if (!erf_chain(graph, erf, &scale, &x)) return NULL;
  const kp_node_id first_id = kp_match_sole_user(graph, add->outputs[0]);
  if (!is_op(graph, first_id, "Mul")) return NULL;
  const kp_node* first = &graph->nodes[first_id];
  const uint32_t side = first->inputs[0] == add->outputs[0] ? 1 : 0;
  const kp_node_id halved = kp_match_producer(graph, first, side);
  if (is_op(graph, halved, "Mul") &&
      kp_match_binary_scalar(graph, &graph->nodes[halved], &half, &other) && half == 0.5f &&
      graph->nodes[halved].inputs[other] == x)  // (x/2) * (1 + erf)
    return replace(pass, "fuse Gelu", (kp_node_id[]){scale, erf, add_id, halved, first_id}, 5, x,
                   first->outputs[0], "Gelu", 20);
  const kp_node_id second_id = kp_match_sole_user(graph, first->outputs[0]);
  if (!is_op(graph, second_id, "Mul")) return NULL;
  const kp_node* second = &graph->nodes[second_id];
  const uint32_t rest = second->inputs[0] == first->outputs[0] ? 1 : 0;
  const bool x_then_half =
      first->inputs[side] == x && kp_match_is_number(graph, second->inputs[rest], 0.5f);
  const bool half_then_x =
      kp_match_is_number(graph, first->inputs[side], 0.5f) && second->inputs[rest] == x;
  if (!x_then_half && !half_then_x) return NULL;
  return replace(pass, "fuse Gelu", (kp_node_id[]){scale, erf, add_id, first_id, second_id}, 5, x,
                 second->outputs[0], "Gelu", 20);
}

kp_status* kp_pass_activations(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id id = graph->order[i];
    const kp_node* node = &graph->nodes[id];
    if (node->removed || node->domain[0] || node->output_count != 1 ||
        !kp_match_is_f32(graph, node->outputs[0]))
      continue;
    if (strcmp(node->op, "Mul") == 0) KP_PASS(fuse_gates(pass, id));
    if (!graph->nodes[id].removed && (strcmp(node->op, "Mul") == 0 || strcmp(node->op, "Div") == 0))
      KP_PASS(fuse_hard_swish(pass, id));
    if (!graph->nodes[id].removed && strcmp(graph->nodes[id].op, "Add") == 0)
      KP_PASS(fuse_gelu(pass, id));
  }
  return NULL;
}
