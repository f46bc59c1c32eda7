#include "provider/cpu/fuse/quantized.h"

#include <math.h>

static const kapell_value* constant_of(const kp_graph* graph, kp_value_id value) {
  return value == KP_NONE ? NULL : graph->values[value].constant;
}

static bool is_linear(const kp_node* node, const char* op) {
  return (kp_node_is(node, "", op) || kp_node_is(node, "com.microsoft", op)) &&
         node->input_count >= 2 && node->output_count == 1 && node->outputs[0] != KP_NONE &&
         kp_node_attr_i(node, "block_size", 0) == 0;
}

// Scales and zero points.
static bool read_scales(const kp_graph* graph, const kp_node* node, kp_quantized* out) {
  out->scale = node->inputs[1];
  out->zero = node->input_count > 2 ? node->inputs[2] : KP_NONE;
  const kapell_value *scale = kp_match_f32(graph, out->scale),
                     *zero = constant_of(graph, out->zero);
  if (!scale || scale->rank > 1 || (out->zero != KP_NONE && !zero)) return false;
  out->scales = scale->data;
  out->count = kp_value_count(scale);
  out->axis = kp_node_attr_i(node, "axis", 1);
  if (zero && (zero->type != out->type || kp_value_count(zero) != out->count)) return false;
  for (size_t i = 0; i < out->count; ++i)
    if (!(out->scales[i] > 0) || isinf(out->scales[i])) return false;
  return out->count > 0;
}

bool kp_match_dequantize(const kp_graph* graph, kp_value_id value, kp_quantized* out) {
  if (value == KP_NONE || graph->values[value].producer == KP_NONE) return false;
  const kp_node_id id = graph->values[value].producer;
  const kp_node* node = &graph->nodes[id];
  if (!is_linear(node, "DequantizeLinear") || !kp_match_is_f32(graph, value)) return false;
  const kp_type* type = &graph->values[node->inputs[0]].type;
  *out = (kp_quantized){.node = id, .bytes = node->inputs[0], .real = value, .type = type->element};
  if (!kp_is_byte(type->element) && type->element != KAPELL_INT32) return false;
  return read_scales(graph, node, out);
}

bool kp_match_quantize(const kp_graph* graph, kp_node_id id, kp_quantized* out) {
  if (id == KP_NONE) return false;
  const kp_node* node = &graph->nodes[id];
  if (!is_linear(node, "QuantizeLinear") || !kp_match_is_f32(graph, node->inputs[0])) return false;
  const int64_t precision = kp_node_attr_i(node, "precision", 0);
  const kp_type* type = &graph->values[node->outputs[0]].type;
  *out = (kp_quantized){
      .node = id, .bytes = node->outputs[0], .real = node->inputs[0], .type = type->element};
  return kp_is_byte(type->element) && (precision == 0 || precision == KAPELL_FLOAT) &&
         read_scales(graph, node, out) && out->count == 1;
}

int32_t kp_quantized_zero(const kp_graph* graph, const kp_quantized* q, size_t index) {
  const kapell_value* zero = constant_of(graph, q->zero);
  if (!zero) return 0;
  if (q->type == KAPELL_INT32) return ((const int32_t*)zero->data)[index];
  return q->type == KAPELL_INT8 ? ((const int8_t*)zero->data)[index]
                                : ((const uint8_t*)zero->data)[index];
}

bool kp_quantized_same(const kp_graph* graph, const kp_quantized* a, const kp_quantized* b) {
  return a->type == b->type && a->count == 1 && b->count == 1 && a->scales[0] == b->scales[0] &&
         kp_quantized_zero(graph, a, 0) == kp_quantized_zero(graph, b, 0);
}

kp_status* kp_quantized_zero_input(kp_graph* graph, const kp_quantized* q, kp_value_id* out_value) {
  *out_value = q->zero;
  if (q->zero != KP_NONE) return NULL;
  kapell_value* zero;
  KP_PASS(kp_value_create_tensor(q->type, NULL, 0, &zero));
  memset(zero->data, 0, zero->byte_count);
  return kp_graph_add_constant(graph, NULL, zero, out_value);
}

// What |x| becomes.
static int32_t quantized_bound(const kp_graph* graph, const kp_quantized* q, float x, int32_t low,
                               int32_t high) {
  const float zero = (float)kp_quantized_zero(graph, q, 0);
  const float v = nearbyintf(fminf(fmaxf(x / q->scales[0], (float)low - zero), (float)high - zero));
  return (int32_t)(v + zero);
}

void kp_quantized_take_tail(const kp_graph* graph, kp_value_id output, kp_quantized_tail* out) {
  *out = (kp_quantized_tail){.output = output};
  kp_node_id next = kp_match_sole_user(graph, output);
  kp_act act = {KP_ACT_NONE, 0, 0};
  if (next != KP_NONE && graph->nodes[next].inputs[0] == output &&
      kp_match_act(graph, &graph->nodes[next], &act)) {
    if (act.kind != KP_ACT_RELU && act.kind != KP_ACT_CLIP) return;
    out->old[out->count++] = next;
    next = kp_match_sole_user(graph, graph->nodes[next].outputs[0]);
  }
  if (!kp_match_quantize(graph, next, &out->q)) {
    out->count = 0;
    return;
  }
  out->has_q = true;
  out->old[out->count++] = next;
  out->output = out->q.bytes;
  const bool is_signed = out->q.type == KAPELL_INT8;
  out->low = is_signed ? -128 : 0;
  out->high = is_signed ? 127 : 255;
  // Quantizing keeps order: clipping after it by quantized bounds is clipping before it.
  if (act.kind == KP_ACT_NONE) return;
  const float least = act.kind == KP_ACT_RELU ? 0 : act.a;
  const float most = act.kind == KP_ACT_RELU ? INFINITY : act.b;
  const int32_t low = quantized_bound(graph, &out->q, least, out->low, out->high);
  out->high = quantized_bound(graph, &out->q, most, out->low, out->high);
  out->low = low;
}

void kp_take_if_sole(const kp_graph* graph, kp_node_id id, kp_node_id* old, uint32_t* count) {
  const kp_value* made = &graph->values[graph->nodes[id].outputs[0]];
  if (made->use_count == 1 && made->output_refs == 0) old[(*count)++] = id;
}
