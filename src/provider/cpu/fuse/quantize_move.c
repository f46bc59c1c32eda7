// Everything in quantized models but products: what moves elements without changing them works on bytes, pairs of QuantizeLinear and
// DequantizeLinear that undo each other go, additions and products of two tensors become one step, weights that stay floats
// are made so once.
//
// A DequantizeLinear with one scale in front of an operator that only moves elements changes places with it: both orders give the same
// numbers, and bytes move four times faster. Where a QuantizeLinear with the same scale follows, the two then meet and vanish.
#include "provider/cpu/fuse/quantized.h"
#include "provider/host.h"

// --- moving --------------------------------------------------------------------------------------------------------------------
// Operators that only move (or pick, or compare) elements of input 0, or for Concat of all inputs. MaxPool: quantizing keeps order.
static bool only_moves(const kp_node* node) {
  static const char* const names[] = {
      "Reshape", "Transpose", "Flatten", "Squeeze",      "Unsqueeze",    "Slice",   "Gather",
      "Concat",  "Expand",    "Tile",    "DepthToSpace", "SpaceToDepth", "MaxPool", "Identity"};
  if (node->domain[0] || node->output_count != 1 || node->outputs[0] == KP_NONE) return false;
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i)
    if (strcmp(node->op, names[i]) == 0) return true;
  return false;
}

// Whether the schema and the operator take bytes: MaxPool does so since version 12.
static bool takes_type(const kp_node* node, kapell_type type) {
  if (strcmp(node->op, "MaxPool") == 0 && node->version < 12) return false;
  const kp_op_def* def = kp_op_find(node);
  return def && (def->types == 0 || (def->types & kp_type_mask(type)));
}

// Inputs [0, *count) of |node| hold what it moves; all come from equal DequantizeLinears of computed bytes.
static bool match_moved(const kp_graph* graph, const kp_node* node, kp_quantized* first,
                        uint32_t* count) {
  *count = strcmp(node->op, "Concat") == 0 ? node->input_count : 1;
  for (uint32_t i = 0; i < *count; ++i) {
    kp_quantized q;
    if (!kp_match_dequantize(graph, node->inputs[i], &q) || q.count != 1 || !kp_is_byte(q.type) ||
        graph->values[q.bytes].constant)
      return false;
    if (i == 0) *first = q;
    if (!kp_quantized_same(graph, first, &q)) return false;
  }
  return *count > 0 && kp_match_is_f32(graph, node->outputs[0]);
}

static kp_status* swap_move(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  kp_quantized q;
  uint32_t moved;
  if (!only_moves(node) || !match_moved(graph, node, &q, &moved) || !takes_type(node, q.type))
    return NULL;
  kp_value_id* inputs =
      kp_arena_memdup(pass->scratch, node->inputs, node->input_count * sizeof(*inputs));
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "a pass");
  for (uint32_t i = 0; i < moved; ++i) {
    kp_quantized from;
    if (kp_match_dequantize(graph, inputs[i], &from)) inputs[i] = from.bytes;
  }
  const kp_type type = graph->values[node->outputs[0]].type;
  kp_value_id bytes, real = node->outputs[0];
  KP_PASS(kp_make_value(graph, q.type, type.dims, type.rank, &bytes));
  node = &graph->nodes[id];
  const kp_node* linear = &graph->nodes[q.node];
  const kp_value_id back[3] = {bytes, q.scale, q.zero};
  kp_node_spec fresh[2] = {{.name = node->name,
                            .op = node->op,
                            .domain = node->domain,
                            .version = node->version,
                            .inputs = inputs,
                            .input_count = node->input_count,
                            .outputs = &bytes,
                            .output_count = 1,
                            .attrs = node->attrs,
                            .attr_count = node->attr_count},
                           {.op = linear->op,
                            .domain = linear->domain,
                            .version = linear->version,
                            .inputs = back,
                            .input_count = q.zero == KP_NONE ? 2 : 3,
                            .outputs = &real,
                            .output_count = 1}};
  const kp_rewrite rewrite = {.name = "move bytes",
                              .old_nodes = &id,
                              .old_count = 1,
                              .fresh = fresh,
                              .fresh_count = 2,
                              .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(graph, &rewrite);
}

// --- pairs that undo each other ------------------------------------------------------------------------------------------------
// Bytes -> floats -> the same bytes.
static kp_status* drop_pair(kp_pass* pass, kp_node_id id) {
  kp_graph* graph = pass->graph;
  kp_quantized from, to;
  if (!kp_match_quantize(graph, id, &to) || !kp_match_dequantize(graph, to.real, &from) ||
      !kp_quantized_same(graph, &from, &to) || graph->values[to.bytes].output_refs)
    return NULL;
  const kp_node_id reader =
      graph->values[to.bytes].use_count ? graph->values[to.bytes].uses[0] : KP_NONE;
  KP_PASS(kp_graph_replace_uses(graph, to.bytes, from.bytes));
  if (reader != KP_NONE) KP_PASS(kp_graph_add_origins(graph, reader, id));
  const kp_rewrite rewrite = {
      .name = "drop quantization", .old_nodes = &id, .old_count = 1, .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(graph, &rewrite);
}

// --- two tensors ---------------------------------------------------------------------------------------------------------------
static kp_status* fuse_binary(kp_pass* pass, kp_node_id id, const char* op) {
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  kp_quantized a, b;
  kp_quantized_tail tail;
  if (node->input_count != 2 || !kp_match_dequantize(graph, node->inputs[0], &a) ||
      !kp_match_dequantize(graph, node->inputs[1], &b) || a.count != 1 || b.count != 1 ||
      !kp_is_byte(a.type) || !kp_is_byte(b.type) || !kp_same_shape(graph, a.real, b.real))
    return NULL;
  kp_quantized_take_tail(graph, node->outputs[0], &tail);
  if (!tail.has_q) return NULL;
  kp_value_id in[8] = {a.bytes, a.scale, KP_NONE, b.bytes, b.scale, KP_NONE, tail.q.scale, KP_NONE};
  KP_PASS(kp_quantized_zero_input(graph, &a, &in[2]));
  KP_PASS(kp_quantized_zero_input(graph, &b, &in[5]));
  KP_PASS(kp_quantized_zero_input(graph, &tail.q, &in[7]));
  const kp_attr attrs[2] = {kp_make_int(graph, "low", tail.low),
                            kp_make_int(graph, "high", tail.high)};
  kp_node_id old[6] = {id};
  uint32_t count = 1;
  for (uint32_t i = 0; i < tail.count; ++i) old[count++] = tail.old[i];
  if (a.node != b.node) {
    kp_take_if_sole(graph, a.node, old, &count);
    kp_take_if_sole(graph, b.node, old, &count);
  }
  kp_node_spec fresh = {.name = graph->nodes[id].name,
                        .op = op,
                        .domain = "kapell",
                        .version = 1,
                        .inputs = in,
                        .input_count = 8,
                        .outputs = &tail.output,
                        .output_count = 1,
                        .attrs = attrs,
                        .attr_count = 2};
  return kp_pass_replace(pass, "fuse quantized elementwise", old, count, &fresh);
}

// --- the passes ----------------------------------------------------------------------------------------------------------------
static kp_status* for_each(kp_pass* pass, kp_status* (*visit)(kp_pass*, kp_node_id)) {
  const kp_graph* graph = pass->graph;
  const uint32_t count = graph->order_count;
  kp_node_id* order = kp_arena_memdup(pass->scratch, graph->order, count * sizeof(*order));
  if (!order) return KP_ERROR(OUT_OF_MEMORY, "a pass");
  for (uint32_t i = 0; i < count; ++i)
    if (!graph->nodes[order[i]].removed) KP_PASS(visit(pass, order[i]));
  return NULL;
}

static kp_status* visit_move(kp_pass* pass, kp_node_id id) {
  KP_PASS(swap_move(pass, id));
  return pass->graph->nodes[id].removed ? NULL : drop_pair(pass, id);
}

kp_status* kp_pass_quantized_moves(kp_pass* pass) {
  KP_PASS(for_each(pass, visit_move));
  return pass->changes ? kp_graph_prune(pass->graph) : NULL;
}

static kp_status* visit_binary(kp_pass* pass, kp_node_id id) {
  const kp_node* node = &pass->graph->nodes[id];
  if (kp_node_is(node, "", "Add")) return fuse_binary(pass, id, "QLinearAdd");
  return kp_node_is(node, "", "Mul") ? fuse_binary(pass, id, "QLinearMul") : NULL;
}

// A DequantizeLinear of constants that no product of bytes took: computed now, so that float kernels can pack the result.
static kp_status* visit_weights(kp_pass* pass, kp_node_id id) {
  enum { MOST = 3 };
  kp_graph* graph = pass->graph;
  const kp_node* node = &graph->nodes[id];
  if (strcmp(node->op, "DequantizeLinear") != 0 || node->input_count > MOST) return NULL;
  kapell_value* inputs[MOST] = {0};
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (node->inputs[i] == KP_NONE) continue;
    inputs[i] = graph->values[node->inputs[i]].constant;
    if (!inputs[i]) return NULL;
  }
  const kp_value_id output = node->outputs[0];
  if (output == KP_NONE || graph->values[output].output_refs) return NULL;
  kapell_value* result = NULL;
  kp_status* status = kp_cpu_eval_node(NULL, graph, node, inputs, &result);
  if (status) {  // it will say so itself when it runs
    kp_status_ignore(status);
    return NULL;
  }
  kp_value_id constant;
  KP_PASS(kp_graph_add_constant(graph, NULL, result, &constant));
  const kp_value* made = &graph->values[output];
  for (uint32_t i = 0; i < made->use_count; ++i)
    KP_PASS(kp_graph_add_origins(graph, made->uses[i], id));
  KP_PASS(kp_graph_replace_uses(graph, output, constant));
  const kp_rewrite rewrite = {
      .name = "dequantize weights", .old_nodes = &id, .old_count = 1, .origin_of = KP_NONE};
  ++pass->changes;
  return kp_graph_rewrite(graph, &rewrite);
}

kp_status* kp_pass_quantized_rest(kp_pass* pass) {
  KP_PASS(for_each(pass, visit_binary));
  KP_PASS(for_each(pass, visit_weights));
  return pass->changes ? kp_graph_prune(pass->graph) : NULL;
}
