// Keeps 16-bit floats in f32 between operators that compute them in f32 anyway (KP_OP_WIDEN): what would be rounded after each node and
// expanded before the next is converted once where it enters and once where it leaves. Constants are expanded at load. Every other
// fusion then applies to such models as it does to f32 ones. Results are rounded less often, never more: a Cast to 16 bits that the
// model writes stays one.
#include "base/cpu.h"
#include "graph/schema.h"
#include "provider/cpu/fuse/match.h"
#include "provider/cpu/kernel/convert/convert.h"

// Operators that only move elements: they follow what they move, but are no reason to expand it.
static const char* const moves[] = {
    "Concat", "DepthToSpace", "Expand", "Flatten",      "Gather", "Identity",
    "Pad",    "Reshape",      "Slice",  "SpaceToDepth", "Split",  "Squeeze",
    "Tile",   "Transpose",    "Trilu",  "Unsqueeze",    "Where",
};

// Widened operators whose result's type is an attribute's or another input's business, not that of what they compute.
static const char* const keep_types[] = {
    "Bernoulli",      "CastLike",         "DequantizeLinear",  "EyeLike",
    "QuantizeLinear", "RandomNormalLike", "RandomUniformLike",
};

typedef struct widening {
  kp_pass* pass;
  kp_value_id* wide;  // by value of the graph as it was: its f32 form, or KP_NONE
  bool* computed;     // by value: its f32 form is what a node gives, not a conversion
  uint32_t count;
} widening;

static bool is_listed(const kp_node* node, const char* const* names, size_t count) {
  for (size_t i = 0; i < count && !node->domain[0]; ++i)
    if (strcmp(node->op, names[i]) == 0) return true;
  return false;
}

static bool is_half(const kp_value* value) {
  return value && value->type.kind == KAPELL_KIND_TENSOR &&
         (value->type.element == KAPELL_FLOAT16 || value->type.element == KAPELL_BFLOAT16);
}

static bool is_computed(const widening* w, kp_value_id id) {
  return id != KP_NONE && id < w->count && w->computed[id];
}

// Is the type of output |index| that of an input which becomes f32?
static bool follows_input(const kp_graph* graph, const kp_node* node, uint32_t index) {
  kp_param_schema output, input;
  if (!node->schema || !kp_schema_output_of(node->schema, index, &output)) return false;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (is_half(kp_node_input(graph, node, i)) && kp_schema_input_of(node->schema, i, &input) &&
        strcmp(input.type, output.type) == 0)
      return true;
  }
  return false;
}

static bool outputs_follow(const kp_graph* graph, const kp_node* node) {
  for (uint32_t o = 0; o < node->output_count; ++o) {
    const kp_value* value = kp_node_output(graph, node, o);
    if (!value) continue;
    if (value->type.kind != KAPELL_KIND_TENSOR ||
        (is_half(value) && !follows_input(graph, node, o)))
      return false;
  }
  return true;
}

// A table's types are those of input 0, which is the condition of Where: it stays as it is.
static bool takes_f32(const kp_graph* graph, const kp_node* node, const kp_op_def* op) {
  return !op->types || op->types & KP_M(FLOAT) || !is_half(kp_node_input(graph, node, 0));
}

static bool becomes_wide(const widening* w, const kp_node* node) {
  const kp_graph* graph = w->pass->graph;
  const kp_op_def* op = kp_op_find(node);
  if (!op || node->implicit_count || !takes_f32(graph, node, op)) return false;
  bool any = false, any_computed = false;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value* value = kp_node_input(graph, node, i);
    if (value && value->type.kind != KAPELL_KIND_TENSOR) return false;
    any |= is_half(value);
    any_computed |= is_half(value) && is_computed(w, node->inputs[i]);
  }
  if (is_listed(node, moves, KP_COUNT_OF(moves)))
    return any_computed && outputs_follow(graph, node);
  return any && op->flags & KP_OP_WIDEN && outputs_follow(graph, node) &&
         !is_listed(node, keep_types, KP_COUNT_OF(keep_types)) && !kp_node_is(node, "", "Cast");
}

static kp_status* add_f32(kp_graph* graph, kp_value_id like, kp_value_id* out_value) {
  KP_PASS(kp_graph_add_value(graph, NULL, out_value));
  graph->values[*out_value].type = graph->values[like].type;
  graph->values[*out_value].type.element = KAPELL_FLOAT;
  return NULL;
}

static kp_status* add_constant(kp_graph* graph, const kapell_value* half, kp_value_id* out_value) {
  const kp_convert_ops* ops = kp_convert_select(kp_cpu_features());
  kapell_value* constant;
  KP_PASS(kp_value_create_tensor(KAPELL_FLOAT, half->dims, half->rank, &constant));
  (half->type == KAPELL_FLOAT16 ? ops->f16_to_f32 : ops->bf16_to_f32)(kp_value_count(half),
                                                                      half->data, constant->data);
  return kp_graph_add_constant(graph, NULL, constant, out_value);
}

static kp_status* add_cast(kp_pass* pass, kp_value_id from, kp_value_id to, kp_node_id origin) {
  const kp_attr attr =
      kp_make_int(pass->graph, "to", (int64_t)pass->graph->values[to].type.element);
  if (!attr.name) return KP_ERROR(OUT_OF_MEMORY, "a cast");
  kp_node_spec cast = {.op = "Cast",
                       .domain = "",
                       .version = 13,
                       .inputs = &from,
                       .input_count = 1,
                       .outputs = &to,
                       .output_count = 1,
                       .attrs = &attr,
                       .attr_count = 1};
  const kp_rewrite rewrite = {
      .name = "16-bit floats to f32", .fresh = &cast, .fresh_count = 1, .origin_of = origin};
  return kp_graph_rewrite(pass->graph, &rewrite);
}

// The f32 form of |id|, made at its first use.
static kp_status* wide_form(widening* w, kp_value_id id, kp_node_id user, kp_value_id* out_wide) {
  kp_graph* graph = w->pass->graph;
  if (w->wide[id] == KP_NONE) {
    if (graph->values[id].constant) {
      KP_PASS(add_constant(graph, graph->values[id].constant, &w->wide[id]));
    } else {
      KP_PASS(add_f32(graph, id, &w->wide[id]));
      KP_PASS(add_cast(w->pass, id, w->wide[id], user));
    }
  }
  *out_wide = w->wide[id];
  return NULL;
}

static kp_status* widen_inputs(widening* w, kp_node_id node) {
  kp_graph* graph = w->pass->graph;
  for (uint32_t i = 0; i < graph->nodes[node].input_count; ++i) {
    if (!is_half(kp_node_input(graph, &graph->nodes[node], i))) continue;
    kp_value_id wide;
    KP_PASS(wide_form(w, graph->nodes[node].inputs[i], node, &wide));
    KP_PASS(kp_graph_set_input(graph, node, i, wide));
  }
  return NULL;
}

static kp_status* widen_outputs(widening* w, kp_node_id node) {
  kp_graph* graph = w->pass->graph;
  for (uint32_t o = 0; o < graph->nodes[node].output_count; ++o) {
    const kp_value_id id = graph->nodes[node].outputs[o];
    if (id == KP_NONE || !is_half(&graph->values[id])) continue;
    KP_PASS(add_f32(graph, id, &w->wide[id]));
    KP_PASS(kp_graph_set_output(graph, node, o, w->wide[id]));
    w->computed[id] = true;
  }
  return NULL;
}

// Where somebody still wants the 16-bit form: an output of the partition, a node that does not compute in f32.
static kp_status* narrow_rest(widening* w) {
  kp_graph* graph = w->pass->graph;
  for (kp_value_id id = 0; id < w->count; ++id) {
    if (!w->computed[id] || (!graph->values[id].use_count && !graph->values[id].output_refs))
      continue;
    KP_PASS(add_cast(w->pass, w->wide[id], id, graph->values[w->wide[id]].producer));
  }
  return NULL;
}

kp_status* kp_pass_widen(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  widening w = {.pass = pass, .count = graph->value_count};
  w.wide = kp_arena_new_array(pass->scratch, kp_value_id, w.count + 1);
  w.computed = kp_arena_new_array(pass->scratch, bool, w.count + 1);
  if (!w.wide || !w.computed) return KP_ERROR(OUT_OF_MEMORY, "widening 16-bit floats");
  memset(w.wide, 0xff, w.count * sizeof *w.wide);
  const uint32_t count = graph->order_count;
  for (uint32_t i = 0; i < count; ++i) {
    const kp_node_id id = graph->order[i];
    const kp_node* node = &graph->nodes[id];
    const bool back = kp_node_is(node, "", "Cast") && is_computed(&w, node->inputs[0]) &&
                      graph->values[node->outputs[0]].type.element == KAPELL_FLOAT;
    if (!back && !becomes_wide(&w, node)) continue;
    KP_PASS(widen_inputs(&w, id));
    if (!back) KP_PASS(widen_outputs(&w, id));
    ++pass->changes;
  }
  return narrow_rest(&w);
}
