// Products of quantized tensors written in floats: DequantizeLinear on both factors, Conv, MatMul or Gemm, perhaps a bias and a Relu or
// Clip, and QuantizeLinear become one kapell.QLinearConv or kapell.QLinearMatMul, which multiplies bytes. Without a QuantizeLinear behind
// them their result is f32.
//
// Numbers: the sums are exact, so the result is at least as near to the model's floats as any order of float additions. A bias that is
// quantized by the product's own scale (as ONNX Runtime's quantizer writes it) is added to the sums; any other is kept as f32.
#include <math.h>

#include "provider/cpu/fuse/quantized.h"

// A fusion in the making.
typedef struct product {
  kp_node_id id;
  kp_quantized x, w;
  kp_node_id turned;  // a Transpose between w and the product, or KP_NONE
  bool transposed;    // w is [N, K]
  size_t channels;    // outputs that scales of w and a bias are one each of
  kp_value_id bias;   // as the product's input, or KP_NONE
  kp_node_id bias_add;
  kp_quantized_tail tail;
} product;

// --- bias --------------------------------------------------------------------------------------------------------------------
static float sum_scale(const product* p, size_t channel) {
  return p->x.scales[0] * p->w.scales[p->w.count == 1 ? 0 : channel];
}

// A constant of one number a channel: f32, or what a DequantizeLinear makes of int32.
static bool bias_fits(const kp_graph* graph, kp_value_id bias, size_t channels) {
  kp_quantized q;
  const kapell_value* constant = kp_match_f32(graph, bias);
  if (!constant && kp_match_dequantize(graph, bias, &q)) constant = graph->values[q.bytes].constant;
  return constant && kp_value_count(constant) == channels &&
         (constant->rank == 0 || constant->dims[constant->rank - 1] == (int64_t)channels);
}

// The int32 of a bias that is in steps of the sums, or NULL.
static const kapell_value* bias_in_sums(const kp_graph* graph, const product* p) {
  kp_quantized q;
  if (!kp_match_dequantize(graph, p->bias, &q) || q.type != KAPELL_INT32) return NULL;
  if (q.count != 1 && q.count != p->channels) return NULL;
  for (size_t j = 0; j < p->channels; ++j) {
    const float have = q.scales[q.count == 1 ? 0 : j], want = sum_scale(p, j);
    if (fabsf(have - want) > 1e-5f * want) return NULL;
  }
  for (size_t j = 0; j < q.count; ++j)
    if (kp_quantized_zero(graph, &q, j) != 0) return NULL;
  return graph->values[q.bytes].constant;
}

// Bias of |channel| as a number of the model.
static double bias_at(const kp_graph* graph, kp_value_id bias, size_t channel) {
  kp_quantized q;
  const kapell_value* plain = kp_match_f32(graph, bias);
  if (plain) return (double)((const float*)plain->data)[channel];
  if (!kp_match_dequantize(graph, bias, &q)) return 0;
  const void* data = graph->values[q.bytes].constant->data;
  const size_t at = q.count == 1 ? 0 : channel;
  const double number = q.type == KAPELL_INT32  ? ((const int32_t*)data)[channel]
                        : q.type == KAPELL_INT8 ? ((const int8_t*)data)[channel]
                                                : ((const uint8_t*)data)[channel];
  return (number - kp_quantized_zero(graph, &q, at)) * (double)q.scales[at];
}

static kp_status* make_bias(kp_graph* graph, const product* p, kp_value_id* out_bias) {
  *out_bias = KP_NONE;
  if (p->bias == KP_NONE) return NULL;
  const int64_t dims = (int64_t)p->channels;
  const kapell_value* whole = bias_in_sums(graph, p);
  if (whole) {
    kapell_value* copy;
    KP_PASS(kp_value_create_tensor(KAPELL_INT32, &dims, 1, &copy));
    memcpy(copy->data, whole->data, p->channels * sizeof(int32_t));
    return kp_graph_add_constant(graph, NULL, copy, out_bias);
  }
  float* data;
  KP_PASS(kp_make_f32(graph, &dims, 1, &data, out_bias));
  const double step = p->tail.has_q ? (double)p->tail.q.scales[0] : 1.0;
  for (size_t j = 0; j < p->channels; ++j) data[j] = (float)(bias_at(graph, p->bias, j) / step);
  return NULL;
}

// --- the fused node ------------------------------------------------------------------------------------------------------------
// Nodes that go: the product, its tail, and what only it reads.
static uint32_t old_nodes(const kp_graph* graph, const product* p, kp_node_id* old) {
  kp_quantized bias;
  uint32_t count = 0;
  old[count++] = p->id;
  if (p->bias_add != KP_NONE) old[count++] = p->bias_add;
  for (uint32_t i = 0; i < p->tail.count; ++i) old[count++] = p->tail.old[i];
  if (p->x.node != p->w.node) {
    kp_take_if_sole(graph, p->x.node, old, &count);
    const uint32_t before = count;
    if (p->turned != KP_NONE) kp_take_if_sole(graph, p->turned, old, &count);
    if (p->turned == KP_NONE || count > before) kp_take_if_sole(graph, p->w.node, old, &count);
  }
  if (p->bias != KP_NONE && kp_match_dequantize(graph, p->bias, &bias))
    kp_take_if_sole(graph, bias.node, old, &count);
  return count;
}

static kp_status* replace(kp_pass* pass, product* p, const char* op) {
  kp_graph* graph = pass->graph;
  kp_value_id in[9] = {p->x.bytes, p->x.scale, KP_NONE, p->w.bytes, p->w.scale,
                       KP_NONE,    KP_NONE,    KP_NONE, KP_NONE};
  KP_PASS(kp_quantized_zero_input(graph, &p->x, &in[2]));
  KP_PASS(kp_quantized_zero_input(graph, &p->w, &in[5]));
  if (p->tail.has_q) {
    in[6] = p->tail.q.scale;
    KP_PASS(kp_quantized_zero_input(graph, &p->tail.q, &in[7]));
  }
  KP_PASS(make_bias(graph, p, &in[8]));
  const kp_node* node = &graph->nodes[p->id];
  kp_attr* attrs = kp_arena_new_array(&graph->arena, kp_attr, (size_t)node->attr_count + 3);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "fusing a node");
  uint32_t count = 0;
  for (uint32_t i = 0; i < node->attr_count; ++i)
    if (strcmp(node->attrs[i].name, "transB") != 0) attrs[count++] = node->attrs[i];
  if (p->transposed) attrs[count++] = kp_make_int(graph, "transB", 1);
  if (p->tail.has_q) {
    attrs[count++] = kp_make_int(graph, "low", p->tail.low);
    attrs[count++] = kp_make_int(graph, "high", p->tail.high);
  }
  kp_node_id old[10];
  const uint32_t old_count = old_nodes(graph, p, old);
  kp_node_spec fresh = {.name = graph->nodes[p->id].name,
                        .op = op,
                        .domain = "kapell",
                        .version = 1,
                        .inputs = in,
                        .input_count = 9,
                        .outputs = &p->tail.output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = count};
  return kp_pass_replace(pass, "fuse quantized product", old, old_count, &fresh);
}

// --- convolutions --------------------------------------------------------------------------------------------------------------
static bool one_byte_scale(const kp_quantized* q) { return q->count == 1 && kp_is_byte(q->type); }

static kp_status* fuse_conv(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  product p = {.id = id, .turned = KP_NONE, .bias = KP_NONE, .bias_add = KP_NONE};
  if (!kp_match_dequantize(graph, node->inputs[0], &p.x) || !one_byte_scale(&p.x) ||
      !kp_match_dequantize(graph, node->inputs[1], &p.w) || !kp_is_byte(p.w.type))
    return NULL;
  const kapell_value* w = graph->values[p.w.bytes].constant;
  if (!w || w->rank < 3 || w->rank > 10 || !kp_value_count(w)) return NULL;
  p.channels = (size_t)w->dims[0];
  const bool by_channel = p.w.count == p.channels && (p.w.axis == 0 || p.w.axis == -w->rank);
  if (p.w.count != 1 && !by_channel) return NULL;
  if (node->input_count > 2) p.bias = node->inputs[2];
  if (p.bias != KP_NONE && !bias_fits(graph, p.bias, p.channels)) return NULL;
  kp_quantized_take_tail(graph, node->outputs[0], &p.tail);
  return replace(pass, &p, "QLinearConv");
}

// --- products ------------------------------------------------------------------------------------------------------------------
// The second factor: dequantized, or that transposed (as linear layers are exported).
static bool match_b(const kp_graph* graph, kp_value_id value, product* p) {
  p->turned = KP_NONE;
  const kp_node_id id = graph->values[value].producer;
  if (id != KP_NONE && kp_node_is(&graph->nodes[id], "", "Transpose") &&
      graph->values[value].type.rank == 2) {
    size_t count;
    const int64_t* perm = kp_node_attr_ints(&graph->nodes[id], "perm", &count);
    if (count && perm[0] != 1) return false;
    p->turned = id;
    p->transposed = !p->transposed;
    value = graph->nodes[id].inputs[0];
  }
  return kp_match_dequantize(graph, value, &p->w) && kp_is_byte(p->w.type);
}

// Scales of columns go with a constant matrix only, zero points with them.
static bool b_fits(const kp_graph* graph, product* p) {
  const kapell_value* b = graph->values[p->w.bytes].constant;
  const int32_t rank = graph->values[p->w.bytes].type.rank;
  if (!b) return p->w.count == 1 && !p->transposed && p->turned == KP_NONE && rank >= 2;
  if (b->rank != 2) return p->w.count == 1 && !p->transposed;
  const int64_t columns = p->transposed ? 0 : 1;
  p->channels = (size_t)b->dims[columns];
  return p->w.count == 1 ||
         (p->w.count == p->channels && (p->w.axis == columns || p->w.axis == columns - 2));
}

// MatMul -> Add of a bias along the rows.
static void take_bias(const kp_graph* graph, kp_value_id* output, product* p) {
  const kp_node_id id = kp_match_sole_user(graph, *output);
  if (id == KP_NONE || !kp_node_is(&graph->nodes[id], "", "Add") || !p->channels) return;
  const kp_node* add = &graph->nodes[id];
  const kp_value_id other = add->inputs[add->inputs[0] == *output ? 1 : 0];
  if (other == *output || !bias_fits(graph, other, p->channels) ||
      !kp_same_shape(graph, add->outputs[0], *output))
    return;
  p->bias = other;
  p->bias_add = id;
  *output = add->outputs[0];
}

static kp_status* fuse_matmul(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  const bool gemm = kp_node_is(node, "", "Gemm");
  product p = {.id = id, .turned = KP_NONE, .bias = KP_NONE, .bias_add = KP_NONE};
  p.transposed = gemm && kp_node_attr_i(node, "transB", 0) != 0;
  if (gemm && (kp_node_attr_i(node, "transA", 0) || kp_node_attr_f(node, "alpha", 1) != 1 ||
               (node->input_count > 2 && kp_node_attr_f(node, "beta", 1) != 1)))
    return NULL;
  if (!kp_match_dequantize(graph, node->inputs[0], &p.x) || !one_byte_scale(&p.x) ||
      !match_b(graph, node->inputs[1], &p) || !b_fits(graph, &p))
    return NULL;
  kp_value_id output = node->outputs[0];
  if (gemm && node->input_count > 2 && node->inputs[2] != KP_NONE) {
    p.bias = node->inputs[2];
    if (!p.channels || !bias_fits(graph, p.bias, p.channels)) return NULL;
  } else {
    take_bias(graph, &output, &p);
  }
  kp_quantized_take_tail(graph, output, &p.tail);
  return replace(pass, &p, "QLinearMatMul");
}

kp_status* kp_pass_quantized_products(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  const uint32_t count = graph->order_count;
  kp_node_id* order = kp_arena_memdup(pass->scratch, graph->order, count * sizeof(*order));
  if (!order) return KP_ERROR(OUT_OF_MEMORY, "a pass");
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node* node = &graph->nodes[order[i]];
    if (node->removed || node->input_count < 2) continue;
    if (kp_node_is(node, "", "Conv"))
      KP_PASS(fuse_conv(pass, order[i]));
    else if (kp_node_is(node, "", "MatMul") || kp_node_is(node, "", "Gemm"))
      KP_PASS(fuse_matmul(pass, order[i]));
  }
  return pass->changes ? kp_graph_prune(graph) : NULL;
}
