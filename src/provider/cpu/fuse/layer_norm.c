// Layer normalization over the last axis, f32, constant scale and shift, becomes kapell.LayerNorm: written as one node, or as exporters
// did before opset 17 (mean, deviation, its square's mean, root, quotient, scale, shift). An addition in front is taken in; what
// else reads the sum gets it as the second output.
#include "provider/cpu/fuse/match.h"

// What was found; |old| are the nodes to be replaced.
typedef struct norm {
  kp_value_id x, gamma, beta, y;
  float epsilon;
  kp_node_id old[12];
  uint32_t count;
  bool rms;
} norm;

static bool is_op(const kp_graph* graph, kp_node_id id, const char* op) {
  return id != KP_NONE && kp_node_is(&graph->nodes[id], "", op);
}

// A constant vector as long as the last axis of |like|.
static bool is_vector(const kp_graph* graph, kp_value_id value, kp_value_id like) {
  const kapell_value* constant = kp_match_f32(graph, value);
  const kp_type* type = &graph->values[like].type;
  return constant && constant->rank == 1 && type->rank >= 1 &&
         type->dims[type->rank - 1] == constant->dims[0];
}

static bool last_axis(const kp_graph* graph, const kp_node* node, int64_t axis) {
  const int32_t rank = graph->values[node->inputs[0]].type.rank;
  return rank > 0 && (axis == -1 || axis == rank - 1);
}

static bool plain_node(const kp_graph* graph, kp_node_id id, norm* n) {
  const kp_node* node = &graph->nodes[id];
  const bool rms = kp_node_is(node, "", "RMSNormalization") ||
                   kp_node_is(node, "", "SimplifiedLayerNormalization");
  if (!rms && !kp_node_is(node, "", "LayerNormalization")) return false;
  for (uint32_t i = 1; i < node->output_count; ++i)
    if (node->outputs[i] != KP_NONE &&
        (graph->values[node->outputs[i]].use_count || graph->values[node->outputs[i]].output_refs))
      return false;
  *n = (norm){.x = node->inputs[0],
              .gamma = node->inputs[1],
              .beta = node->input_count > 2 ? node->inputs[2] : KP_NONE,
              .y = node->outputs[0],
              .epsilon = kp_node_attr_f(node, "epsilon", 1e-5f),
              .old = {id},
              .count = 1,
              .rms = rms};
  if (kp_node_attr_i(node, "stash_type", 1) != 1) return false;
  return last_axis(graph, node, kp_node_attr_i(node, "axis", -1)) &&
         is_vector(graph, n->gamma, n->x) &&
         (n->beta == KP_NONE || is_vector(graph, n->beta, n->x));
}

// ReduceMean of the last axis, kept: gives its input.
static bool mean_of(const kp_graph* graph, kp_node_id id, kp_value_id* out_x) {
  if (!is_op(graph, id, "ReduceMean")) return false;
  const kp_node* node = &graph->nodes[id];
  size_t count = 0;
  const int64_t* axes = kp_node_attr_ints(node, "axes", &count);
  const kapell_value* given = node->input_count > 1 && node->inputs[1] != KP_NONE
                                  ? graph->values[node->inputs[1]].constant
                                  : NULL;
  if (given && given->type == KAPELL_INT64 && given->byte_count == sizeof(int64_t)) {
    axes = given->data;
    count = 1;
  }
  *out_x = node->inputs[0];
  return count == 1 && last_axis(graph, node, axes[0]) && kp_node_attr_i(node, "keepdims", 1) == 1;
}

static kp_node_id made_by(const kp_graph* graph, kp_value_id value) {
  return graph->values[value].producer;
}

// The other input of a binary node.
static kp_value_id beside(const kp_node* node, kp_value_id value) {
  return node->inputs[0] == value ? node->inputs[1] : node->inputs[0];
}

// From the quotient d / sqrt(mean(d^2) + epsilon) with d = x - mean(x); scale and shift behind it.
static bool decomposed(const kp_graph* graph, kp_node_id div_id, norm* n) {
  const kp_node* div = &graph->nodes[div_id];
  float two;
  uint32_t other;
  if (!kp_node_is(div, "", "Div")) return false;
  const kp_node_id root = kp_match_producer(graph, div, 1), sub = made_by(graph, div->inputs[0]);
  if (!is_op(graph, root, "Sqrt") || !is_op(graph, sub, "Sub")) return false;
  const kp_node_id add = kp_match_producer(graph, &graph->nodes[root], 0);
  if (!is_op(graph, add, "Add") ||
      !kp_match_binary_scalar(graph, &graph->nodes[add], &n->epsilon, &other))
    return false;
  const kp_node_id variance = kp_match_producer(graph, &graph->nodes[add], other);
  kp_value_id square_value, x;
  if (variance == KP_NONE || !mean_of(graph, variance, &square_value)) return false;
  const kp_node_id square = kp_match_producer(graph, &graph->nodes[variance], 0);
  const kp_value_id d = div->inputs[0];
  const bool by_pow = is_op(graph, square, "Pow") && graph->nodes[square].inputs[0] == d &&
                      kp_match_scalar(graph, graph->nodes[square].inputs[1], &two) && two == 2;
  const bool by_mul = is_op(graph, square, "Mul") && graph->nodes[square].inputs[0] == d &&
                      graph->nodes[square].inputs[1] == d;
  const kp_node_id mean = kp_match_producer(graph, &graph->nodes[sub], 1);
  if ((!by_pow && !by_mul) || mean == KP_NONE || !mean_of(graph, mean, &x) ||
      x != graph->nodes[sub].inputs[0])
    return false;
  if (graph->values[d].use_count != (by_mul ? 3u : 2u) || graph->values[d].output_refs)
    return false;
  const kp_node_id scale = kp_match_sole_user(graph, div->outputs[0]);
  if (!is_op(graph, scale, "Mul")) return false;
  const kp_node_id shift = kp_match_sole_user(graph, graph->nodes[scale].outputs[0]);
  if (!is_op(graph, shift, "Add")) return false;
  n->x = x;
  n->gamma = beside(&graph->nodes[scale], div->outputs[0]);
  n->beta = beside(&graph->nodes[shift], graph->nodes[scale].outputs[0]);
  n->y = graph->nodes[shift].outputs[0];
  n->rms = false;
  const kp_node_id old[] = {mean, sub, square, variance, add, root, div_id, scale, shift};
  memcpy(n->old, old, sizeof(old));
  n->count = sizeof(old) / sizeof(old[0]);
  return is_vector(graph, n->gamma, x) && is_vector(graph, n->beta, x) &&
         kp_same_shape(graph, x, n->y);
}

// Takes an addition of two equal shapes in front: x = a + b.
static kp_value_id take_sum(const kp_graph* graph, norm* n, kp_value_id* out_sum) {
  *out_sum = KP_NONE;
  const kp_node_id add_id = made_by(graph, n->x);
  if (!is_op(graph, add_id, "Add") || graph->values[n->x].output_refs) return KP_NONE;
  const kp_node* add = &graph->nodes[add_id];
  const kp_type *a = &graph->values[add->inputs[0]].type, *b = &graph->values[add->inputs[1]].type;
  if (graph->values[add->inputs[0]].constant || graph->values[add->inputs[1]].constant ||
      a->rank != b->rank)
    return KP_NONE;
  for (int32_t d = 0; d < a->rank; ++d)
    if (a->dims[d] != b->dims[d]) return KP_NONE;
  uint32_t own = 0;  // reads of the sum by the normalization itself
  for (uint32_t u = 0; u < graph->values[n->x].use_count; ++u)
    for (uint32_t o = 0; o < n->count; ++o) own += graph->values[n->x].uses[u] == n->old[o];
  if (own < graph->values[n->x].use_count) *out_sum = n->x;
  n->old[n->count++] = add_id;
  n->x = add->inputs[0];
  return add->inputs[1];
}

static kp_status* replace(kp_pass* pass, norm* n) {
  kp_graph* graph = pass->graph;
  kp_value_id sum;
  const kp_value_id skip = take_sum(graph, n, &sum);
  const kp_value_id inputs[4] = {n->x, skip, n->gamma, n->beta};
  kp_value_id outputs[2] = {n->y, sum};
  const kp_attr attrs[2] = {kp_make_float(graph, "epsilon", n->epsilon),
                            kp_make_int(graph, "rms", n->rms)};
  kp_node_spec fresh = {.op = "LayerNorm",
                        .domain = "kapell",
                        .version = 1,
                        .inputs = inputs,
                        .input_count = 4,
                        .outputs = outputs,
                        .output_count = sum == KP_NONE ? 1 : 2,
                        .attrs = attrs,
                        .attr_count = 2};
  return kp_pass_replace(pass, skip == KP_NONE ? "fuse LayerNorm" : "fuse Add+LayerNorm", n->old,
                         n->count, &fresh);
}

kp_status* kp_pass_layer_norm(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id id = graph->order[i];
    if (graph->nodes[id].removed || graph->nodes[id].domain[0] || graph->nodes[id].input_count < 2)
      continue;
    if (!kp_match_is_f32(graph, graph->nodes[id].inputs[0])) continue;
    norm n = {0};
    if (plain_node(graph, id, &n) || decomposed(graph, id, &n)) KP_PASS(replace(pass, &n));
  }
  return NULL;
}
