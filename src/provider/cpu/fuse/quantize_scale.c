// Batch normalization between quantized convolutions: DequantizeLinear, kapell.ScaleShift, perhaps a Relu or Clip, QuantizeLinear become
// one kapell.QLinearScaleShift, which maps bytes to bytes. Exporters leave it so where they quantize a model before folding it.
#include "provider/cpu/fuse/quantized.h"

// The scale and shift of |node| in steps of both sides' bytes.
static kp_status* join_factors(kp_graph* graph, const kp_node* node, const kp_quantized* x,
                               const kp_quantized* y, kp_value_id* inputs) {
  const kapell_value *scale = graph->values[node->inputs[1]].constant,
                     *shift = graph->values[node->inputs[2]].constant;
  const int64_t channels = (int64_t)kp_value_count(scale);
  const double step = (double)y->scales[0], zero = kp_quantized_zero(graph, x, 0);
  float *by, *add;
  KP_PASS(kp_make_f32(graph, &channels, 1, &by, &inputs[1]));
  KP_PASS(kp_make_f32(graph, &channels, 1, &add, &inputs[2]));
  for (int64_t c = 0; c < channels; ++c) {
    const double each = (double)x->scales[0] * (double)((const float*)scale->data)[c];
    by[c] = (float)(each / step);
    add[c] = (float)(((double)((const float*)shift->data)[c] - zero * each) / step);
  }
  return NULL;
}

static kp_status* fuse(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  kp_quantized x;
  kp_quantized_tail tail;
  if (!kp_match_dequantize(graph, node->inputs[0], &x) || x.count != 1 || !kp_is_byte(x.type) ||
      !kp_match_f32(graph, node->inputs[1]) || !kp_match_f32(graph, node->inputs[2]))
    return NULL;
  kp_quantized_take_tail(graph, node->outputs[0], &tail);
  if (!tail.has_q) return NULL;
  kp_node_id old[5] = {id};
  uint32_t count = 1;
  for (uint32_t i = 0; i < tail.count; ++i) old[count++] = tail.old[i];
  kp_take_if_sole(graph, x.node, old, &count);
  kp_value_id inputs[4] = {x.bytes};
  KP_PASS(join_factors(graph, node, &x, &tail.q, inputs));
  KP_PASS(kp_quantized_zero_input(graph, &tail.q, &inputs[3]));
  kp_attr attrs[2] = {kp_make_int(graph, "low", tail.low), kp_make_int(graph, "high", tail.high)};
  if (!attrs[0].name || !attrs[1].name) return KP_ERROR(OUT_OF_MEMORY, "a pass");
  kp_node_spec fresh = {.name = graph->nodes[id].name,
                        .op = "QLinearScaleShift",
                        .domain = "kapell",
                        .version = 1,
                        .inputs = inputs,
                        .input_count = 4,
                        .outputs = &tail.output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = 2};
  return kp_pass_replace(pass, "normalize bytes", old, count, &fresh);
}

kp_status* kp_pass_quantized_scale(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  const uint32_t count = graph->order_count;
  kp_node_id* order = kp_arena_memdup(pass->scratch, graph->order, count * sizeof(*order));
  if (!order) return KP_ERROR(OUT_OF_MEMORY, "a pass");
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node* node = &graph->nodes[order[i]];
    if (!node->removed && kp_node_is(node, "kapell", "ScaleShift")) KP_PASS(fuse(pass, order[i]));
  }
  return pass->changes ? kp_graph_prune(graph) : NULL;
}
