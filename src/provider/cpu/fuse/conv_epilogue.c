// Fuses what follows a channels-last convolution into it: an activation, or an addition and perhaps an activation behind it. Into a
// normalization goes an activation alone.
//
// conv -> act; conv -> add(residual) -> act. The residual must be ready before the convolution runs, so of two convolutions that
// are added the later one takes the addition.
#include "provider/cpu/fuse/tail.h"

static kp_status* fuse(kp_pass* pass, const kp_positions* positions, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* conv = &graph->nodes[id];
  if (conv->input_count > 3 || kp_node_attr(conv, "act")) return NULL;  // was fused in the file
  kp_tail t = {.old = {id}, .count = 1, .residual = KP_NONE, .output = conv->outputs[0]};
  const bool norm = strncmp(conv->op, "Conv", 4) != 0;
  if (!norm) kp_tail_take_add(graph, positions, id, &t);
  kp_tail_take_act(graph, &t);
  if (t.count == 1) return NULL;
  const bool added = t.residual != KP_NONE;
  const kp_value_id inputs[4] = {conv->inputs[0], conv->inputs[1], conv->inputs[2], t.residual};
  const char* name = norm    ? "fuse normalization+activation"
                     : added ? "fuse Conv+Add"
                             : "fuse Conv+activation";
  return kp_tail_replace(pass, name, &t, conv->op, inputs, added ? 4 : 3, conv->attrs,
                         conv->attr_count);
}

kp_status* kp_pass_conv_epilogue(kp_pass* pass) {
  kp_positions positions;
  KP_PASS(kp_positions_of(pass, &positions));
  for (uint32_t i = pass->graph->order_count; i-- > 0;) {
    const kp_node_id id = pass->graph->order[i];
    const kp_node* node = &pass->graph->nodes[id];
    if (!node->removed &&
        (kp_node_is(node, "kapell", "Conv") || kp_node_is(node, "kapell", "ConvTranspose") ||
         kp_node_is(node, "kapell", "InstanceNormalization") ||
         kp_node_is(node, "kapell", "ScaleShift")))
      KP_PASS(fuse(pass, &positions, id));
  }
  return NULL;
}
