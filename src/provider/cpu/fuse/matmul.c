// Fuses products with constant f32 matrices and what follows them into kapell.MatMul: bias, residual, activation.
//
//   MatMul(x, W) [+ bias] [+ residual] [-> act];   Gemm(x, W, c) with alpha = beta = 1 and c a bias along the rows [-> act]
#include "provider/cpu/fuse/tail.h"

// A constant that is added to each row of |columns| elements: [columns], or with ones in front.
static bool is_row(const kp_graph* graph, kp_value_id value, int64_t columns) {
  const kapell_value* constant = kp_match_f32(graph, value);
  return constant && constant->rank >= 1 && constant->dims[constant->rank - 1] == columns &&
         constant->byte_count == (size_t)columns * sizeof(float);
}

static void take_bias(const kp_graph* graph, int64_t columns, kp_tail* t, kp_value_id* out_bias) {
  *out_bias = KP_NONE;
  const kp_node_id id = kp_match_sole_user(graph, t->output);
  if (id == KP_NONE || !kp_node_is(&graph->nodes[id], "", "Add")) return;
  const kp_node* add = &graph->nodes[id];
  const uint32_t other = add->inputs[0] == t->output ? 1 : 0;
  if (!is_row(graph, add->inputs[other], columns) ||
      !kp_same_shape(graph, add->outputs[0], t->output))
    return;
  *out_bias = add->inputs[other];
  t->old[t->count++] = id;
  t->output = add->outputs[0];
}

static kp_status* fuse_matmul(kp_pass* pass, const kp_positions* positions, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  const kapell_value* b = kp_match_f32(graph, node->inputs[1]);
  if (!b || b->rank != 2 || graph->values[node->inputs[0]].type.rank < 2) return NULL;
  kp_tail t = {.old = {id}, .count = 1, .residual = KP_NONE, .output = node->outputs[0]};
  kp_value_id bias;
  take_bias(graph, b->dims[1], &t, &bias);
  kp_tail_take_add(graph, positions, id, &t);
  kp_tail_take_act(graph, &t);
  const kp_value_id inputs[4] = {node->inputs[0], node->inputs[1], bias, t.residual};
  return kp_tail_replace(pass, "fuse MatMul+Add+activation", &t, "MatMul", inputs, 4, NULL, 0);
}

static kp_status* fuse_gemm(kp_pass* pass, const kp_positions* positions, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  const kapell_value* b = kp_match_f32(graph, node->inputs[1]);
  const bool transposed = kp_node_attr_i(node, "transB", 0) != 0;
  const bool has_c = node->input_count > 2 && node->inputs[2] != KP_NONE;
  if (!b || b->rank != 2 || kp_node_attr_i(node, "transA", 0) ||
      kp_node_attr_f(node, "alpha", 1) != 1)
    return NULL;
  const int64_t columns = b->dims[transposed ? 0 : 1];
  if (has_c && (kp_node_attr_f(node, "beta", 1) != 1 || !is_row(graph, node->inputs[2], columns)))
    return NULL;
  kp_tail t = {.old = {id}, .count = 1, .residual = KP_NONE, .output = node->outputs[0]};
  kp_value_id bias = has_c ? node->inputs[2] : KP_NONE;
  if (!has_c) take_bias(graph, columns, &t, &bias);
  kp_tail_take_add(graph, positions, id, &t);
  kp_tail_take_act(graph, &t);
  const kp_value_id inputs[4] = {node->inputs[0], node->inputs[1], bias, t.residual};
  const kp_attr attr = kp_make_int(graph, "transB", transposed);
  return kp_tail_replace(pass, "fuse Gemm+activation", &t, "MatMul", inputs, 4, &attr, 1);
}

kp_status* kp_pass_matmul(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  kp_positions positions;
  KP_PASS(kp_positions_of(pass, &positions));
  for (uint32_t i = graph->order_count; i-- > 0;) {
    const kp_node_id id = graph->order[i];
    const kp_node* node = &graph->nodes[id];
    if (node->removed || node->input_count < 2 || !kp_match_is_f32(graph, node->inputs[0]))
      continue;
    if (kp_node_is(node, "", "MatMul"))
      KP_PASS(fuse_matmul(pass, &positions, id));
    else if (kp_node_is(node, "", "Gemm"))
      KP_PASS(fuse_gemm(pass, &positions, id));
  }
  return NULL;
}
