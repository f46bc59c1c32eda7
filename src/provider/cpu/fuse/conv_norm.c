// Folds BatchNormalization (inference) that follows a convolution into its weights: w' = w * s, b' = (b - mean) * s + shift with
// s = scale / sqrt(variance + epsilon). Computed in double, rounded once.
#include <math.h>

#include "provider/cpu/fuse/match.h"

typedef struct norm {
  const float *scale, *shift, *mean, *variance;
  double epsilon;
} norm;

static const float* channel_constant(const kp_graph* graph, const kp_node* node, uint32_t index,
                                     int64_t channels) {
  const kapell_value* value =
      index < node->input_count ? kp_match_f32(graph, node->inputs[index]) : NULL;
  return value && value->byte_count == (size_t)channels * sizeof(float) ? value->data : NULL;
}

static bool read_norm(const kp_graph* graph, const kp_node* node, int64_t channels, norm* out) {
  if (!kp_node_is(node, "", "BatchNormalization") || kp_node_attr_i(node, "training_mode", 0))
    return false;
  if (kp_node_attr_i(node, "is_test", 1) == 0 && node->version < 7) return false;
  for (uint32_t i = 1; i < node->output_count; ++i)
    if (node->outputs[i] != KP_NONE &&
        (graph->values[node->outputs[i]].use_count || graph->values[node->outputs[i]].output_refs))
      return false;
  *out = (norm){.scale = channel_constant(graph, node, 1, channels),
                .shift = channel_constant(graph, node, 2, channels),
                .mean = channel_constant(graph, node, 3, channels),
                .variance = channel_constant(graph, node, 4, channels),
                .epsilon = kp_node_attr_f(node, "epsilon", 1e-5f)};
  return out->scale && out->shift && out->mean && out->variance;
}

static kp_status* fold(kp_pass* pass, kp_node_id conv_id, kp_node_id norm_id,
                       const kapell_value* weights, const kapell_value* bias, const norm* n) {
  kp_graph* graph = pass->graph;
  const int64_t channels = weights->dims[0];
  const size_t each = channels ? weights->byte_count / sizeof(float) / (size_t)channels : 0;
  float *w, *b;
  kp_value_id w_value, b_value;
  KP_PASS(kp_make_f32(graph, weights->dims, weights->rank, &w, &w_value));
  KP_PASS(kp_make_f32(graph, &channels, 1, &b, &b_value));
  const float* w_old = weights->data;
  const float* b_old = bias ? bias->data : NULL;
  for (size_t c = 0; c < (size_t)channels; ++c) {
    const double s = (double)n->scale[c] / sqrt((double)n->variance[c] + n->epsilon);
    for (size_t i = 0; i < each; ++i) w[c * each + i] = (float)((double)w_old[c * each + i] * s);
    b[c] = (float)(((b_old ? (double)b_old[c] : 0) - (double)n->mean[c]) * s + (double)n->shift[c]);
  }
  const kp_node* conv = &graph->nodes[conv_id];
  const kp_value_id inputs[3] = {conv->inputs[0], w_value, b_value}, folded = conv->inputs[1];
  kp_value_id output = graph->nodes[norm_id].outputs[0];
  kp_node_spec fresh = {.name = conv->name,
                        .op = "Conv",
                        .domain = "",
                        .version = conv->version,
                        .inputs = inputs,
                        .input_count = 3,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = conv->attrs,
                        .attr_count = conv->attr_count};
  const kp_node_id old[2] = {conv_id, norm_id};
  KP_PASS(kp_pass_replace(pass, "fuse Conv+BatchNormalization", old, 2, &fresh));
  kp_drop_unused(graph, folded);
  return NULL;
}

kp_status* kp_pass_conv_norm(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node_id conv_id = graph->order[i];
    const kp_node* conv = &graph->nodes[conv_id];
    if (conv->removed || !kp_node_is(conv, "", "Conv")) continue;
    const kp_node_id norm_id = kp_match_sole_user(graph, conv->outputs[0]);
    const kapell_value* weights =
        conv->input_count > 1 ? kp_match_f32(graph, conv->inputs[1]) : NULL;
    if (norm_id == KP_NONE || !weights || weights->rank < 3) continue;
    const bool has_bias = conv->input_count > 2 && conv->inputs[2] != KP_NONE;
    const kapell_value* bias = has_bias ? kp_match_f32(graph, conv->inputs[2]) : NULL;
    if (has_bias && (!bias || bias->byte_count != (size_t)weights->dims[0] * sizeof(float)))
      continue;
    norm n;
    if (graph->nodes[norm_id].inputs[0] != conv->outputs[0] ||
        !read_norm(graph, &graph->nodes[norm_id], weights->dims[0], &n))
      continue;
    KP_PASS(fold(pass, conv_id, norm_id, weights, bias, &n));
  }
  return NULL;
}
