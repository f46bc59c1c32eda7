// Takes a Pad with zeros in front of a convolution into its padding: Keras pads so before each stride, and causal convolutions do.
//
// Only the spatial dims may be padded, none may be cut, and the convolution must state its own padding.
#include "base/size.h"
#include "provider/cpu/fuse/match.h"

// Element |i| of the constant integers |value|.
static bool read_int(const kapell_value* value, size_t i, int64_t* out) {
  if (value->type == KAPELL_INT64)
    *out = ((const int64_t*)value->data)[i];
  else if (value->type == KAPELL_INT32)
    *out = ((const int32_t*)value->data)[i];
  else
    return false;
  return true;
}

static const kapell_value* constant_input(const kp_graph* graph, const kp_node* node,
                                          uint32_t index) {
  const kp_value* value = index < node->input_count ? kp_node_input(graph, node, index) : NULL;
  const kapell_value* constant = value ? value->constant : NULL;
  return constant && constant->kind == KAPELL_KIND_TENSOR ? constant : NULL;
}

// Is there an input |index| at all?
static bool has_input(const kp_node* node, uint32_t index) {
  return index < node->input_count && node->inputs[index] != KP_NONE;
}

static bool fills_with_zeros(const kp_graph* graph, const kp_node* pad) {
  if (!kp_str_is(kp_node_attr_s(pad, "mode", "constant"), "constant")) return false;
  if (pad->version < 11) return kp_node_attr_f(pad, "value", 0) == 0;
  float number = 0;
  return !has_input(pad, 2) || (kp_match_scalar(graph, pad->inputs[2], &number) && number == 0);
}

// The pads of all |rank| dims, [begins, ends], from the input or, before version 11, the attribute.
static bool read_pads(const kp_graph* graph, const kp_node* pad, int32_t rank, int64_t* pads) {
  memset(pads, 0, 2 * (size_t)rank * sizeof(*pads));
  if (pad->version < 11) {
    size_t count;
    const int64_t* ints = kp_node_attr_ints(pad, "pads", &count);
    if (!ints || count != 2 * (size_t)rank) return false;
    memcpy(pads, ints, count * sizeof(*ints));
    return true;
  }
  const kapell_value *given = constant_input(graph, pad, 1), *axes = constant_input(graph, pad, 3);
  if (!given || (has_input(pad, 3) && !axes)) return false;
  const size_t count = axes ? kp_value_count(axes) : (size_t)rank;
  if (kp_value_count(given) != 2 * count) return false;
  for (size_t i = 0; i < count; ++i) {
    int64_t axis = (int64_t)i;
    if (axes && !read_int(axes, i, &axis)) return false;
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || !read_int(given, i, &pads[axis]) ||
        !read_int(given, count + i, &pads[rank + axis]))
      return false;
  }
  return true;
}

// |pads| of all dims onto those that the convolution has of its own: into |out|, of the spatial dims alone.
static bool join_pads(const kp_node* conv, int32_t rank, const int64_t* pads, int64_t* out) {
  const kp_str mode = kp_node_attr_s(conv, "auto_pad", "NOTSET");
  const bool stated = kp_str_is(mode, "NOTSET") || kp_str_is(mode, "");
  const size_t spatial = (size_t)rank - 2;
  size_t count;
  const int64_t* own = kp_node_attr_ints(conv, "pads", &count);
  if ((!stated && !kp_str_is(mode, "VALID")) || (count && count != 2 * spatial)) return false;
  for (int32_t d = 0; d < 2; ++d)
    if (pads[d] || pads[rank + d]) return false;
  for (size_t i = 0; i < 2 * spatial; ++i) {
    const int64_t more = pads[i < spatial ? i + 2 : i + 4];
    if (more < 0 || !kp_add_i64(more, count && stated ? own[i] : 0, &out[i])) return false;
  }
  return true;
}

static kp_status* fuse(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* conv = &graph->nodes[id];
  const kp_node_id pad_id = kp_match_producer(graph, conv, 0);
  if (pad_id == KP_NONE || !kp_node_is(&graph->nodes[pad_id], "", "Pad")) return NULL;
  const kp_node* pad = &graph->nodes[pad_id];
  const int32_t rank = graph->values[conv->inputs[0]].type.rank;
  int64_t pads[2 * KP_MAX_RANK], joined[2 * KP_MAX_RANK];
  if (pad->version < 2 || rank < 3 || rank > KP_MAX_RANK || !fills_with_zeros(graph, pad) ||
      !read_pads(graph, pad, rank, pads) || !join_pads(conv, rank, pads, joined))
    return NULL;
  kp_attr* attrs = kp_arena_new_array(&graph->arena, kp_attr, (size_t)conv->attr_count + 1);
  kp_value_id* inputs =
      kp_arena_memdup(pass->scratch, conv->inputs, (size_t)conv->input_count * sizeof(*inputs));
  if (!attrs || !inputs) return KP_ERROR(OUT_OF_MEMORY, "fusing a node");
  uint32_t kept = 0;
  for (uint32_t i = 0; i < conv->attr_count; ++i)
    if (strcmp(conv->attrs[i].name, "pads") != 0 && strcmp(conv->attrs[i].name, "auto_pad") != 0)
      attrs[kept++] = conv->attrs[i];
  attrs[kept] = kp_make_ints(graph, "pads", joined, 2 * ((size_t)rank - 2));
  if (!attrs[kept++].name) return KP_ERROR(OUT_OF_MEMORY, "fusing a node");
  inputs[0] = pad->inputs[0];
  kp_value_id output = conv->outputs[0];
  kp_node_spec fresh = {.name = conv->name,
                        .op = conv->op,
                        .domain = conv->domain,
                        .version = conv->version,
                        .inputs = inputs,
                        .input_count = conv->input_count,
                        .outputs = &output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = kept};
  const kp_node_id old[2] = {pad_id, id};
  return kp_pass_replace(pass, "fuse Pad+Conv", old, 2, &fresh);
}

kp_status* kp_pass_conv_pad(kp_pass* pass) {
  const uint32_t count = pass->graph->order_count;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node_id id = pass->graph->order[i];
    const kp_node* node = &pass->graph->nodes[id];
    if (!node->removed && node->output_count == 1 && kp_node_is(node, "", "Conv"))
      KP_PASS(fuse(pass, id));
  }
  return NULL;
}
