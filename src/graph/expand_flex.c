// FlexAttention of ai.onnx.preview as other operators. Without bodies it is an Attention; with them
//
//   scores = score_mod(Cast(Q K^T * scale));  probabilities = prob_mod(Softmax(scores));  Y = Cast(probabilities Cast(V))
//
// where the bodies' nodes take their places between the others. Heads of Q that share one of K and V are rows of one product.
#include "base/size.h"
#include "base/value.h"
#include "graph/expand.h"
#include "graph/simplify.h"

#define NAME "expand FlexAttention"
#define OPSET 23  // of the nodes made here

typedef struct flex {
  kp_graph* graph;
  kp_node node;         // a copy: adding nodes moves them
  kapell_type element;  // of Q, and of the softmax
  kapell_type soft;
} flex;

static kp_attr int_attr(flex* f, const char* name, int64_t value) {
  return (kp_attr){.name = kp_intern(&f->graph->model->names, kp_str_of(name)),
                   .type = KP_ONNX_ATTR_INT,
                   .i = value};
}

// A node of one output: *value, or a fresh one where it is KP_NONE.
static kp_status* emit(flex* f, const char* op, const kp_value_id* inputs, uint32_t input_count,
                       const kp_attr* attrs, uint32_t attr_count, kp_value_id* value) {
  kp_node_id unused;
  kp_value_id output = *value;
  const kp_node_spec spec = {.name = f->node.name,
                             .op = op,
                             .domain = "",
                             .version = OPSET,
                             .inputs = inputs,
                             .input_count = input_count,
                             .outputs = &output,
                             .output_count = 1,
                             .attrs = attrs,
                             .attr_count = attr_count};
  KP_PASS(kp_graph_add_node(f->graph, &spec, f->node.origins, f->node.origin_count, NAME, &unused));
  *value = output;
  return NULL;
}

static kp_status* emit_two(flex* f, const char* op, kp_value_id a, kp_value_id b,
                           kp_value_id* out) {
  *out = KP_NONE;
  return emit(f, op, (kp_value_id[]){a, b}, 2, NULL, 0, out);
}

// Dims [start, end) of |value| as a vector.
static kp_status* emit_shape(flex* f, kp_value_id value, int64_t start, int64_t end,
                             kp_value_id* out) {
  const kp_attr attrs[2] = {int_attr(f, "start", start), int_attr(f, "end", end)};
  *out = KP_NONE;
  return emit(f, "Shape", &value, 1, attrs, 2, out);
}

static kp_status* emit_cast(flex* f, kp_value_id value, kapell_type to, kp_value_id* out) {
  const kp_attr attr = int_attr(f, "to", to);
  return emit(f, "Cast", &value, 1, &attr, 1, out);
}

static kp_status* constant(flex* f, kapell_type element, int32_t rank, const void* data,
                           kp_value_id* out) {
  kapell_value* tensor;
  const int64_t one = 1;
  KP_PASS(kp_value_create_tensor(element, &one, rank, &tensor));
  memcpy(tensor->data, data, tensor->byte_count);
  return kp_graph_add_constant(f->graph, NULL, tensor, out);
}

// |value| as [parts..., the rest in one dim, last].
static kp_status* regroup(flex* f, kp_value_id value, kp_value_id parts, kp_value_id last,
                          kp_value_id* out) {
  const int64_t rest = -1;
  kp_value_id inputs[3] = {parts, KP_NONE, last}, shape = KP_NONE;
  const kp_attr axis = int_attr(f, "axis", 0);
  KP_PASS(constant(f, KAPELL_INT64, 1, &rest, &inputs[1]));
  KP_PASS(emit(f, "Concat", inputs, 3, &axis, 1, &shape));
  return emit_two(f, "Reshape", value, shape, out);
}

// Attribute scale, or 1 / sqrt(head size), in the softmax's type.
static kp_status* emit_scale(flex* f, kp_value_id scores, kp_value_id* out) {
  const kp_attr* scale = kp_node_attr(&f->node, "scale");
  kp_value_id number, wide = KP_NONE, root = KP_NONE;
  if (scale) {
    KP_PASS(constant(f, KAPELL_FLOAT, 0, &scale->f, &number));
    KP_PASS(emit_cast(f, number, f->soft, &wide));
    return emit_two(f, "Mul", scores, wide, out);
  }
  KP_PASS(emit_shape(f, f->node.inputs[0], 3, 4, &number));
  KP_PASS(emit_cast(f, number, f->soft, &wide));
  KP_PASS(emit(f, "Sqrt", &wide, 1, NULL, 0, &root));
  return emit_two(f, "Div", scores, root, out);
}

// The body of |name| between |*value| and what it becomes, if there is one.
static kp_status* emit_body(flex* f, const char* name, kp_value_id* value) {
  const kp_graph* body = kp_node_attr_graph(&f->node, name);
  kp_value_id result;
  if (!body) return NULL;
  if (body->input_count != 1 || body->output_count != 1)
    return KP_ERROR(INVALID_MODEL, "'%s' has %u inputs and %u outputs; expected one of each", name,
                    body->input_count, body->output_count);
  KP_PASS(kp_graph_add_value(f->graph, NULL, &result));
  kp_node place = f->node;
  place.inputs = value;
  place.input_count = 1;
  place.outputs = &result;
  place.output_count = 1;
  KP_PASS(kp_graph_inline_copy(f->graph, &place, body, NAME));
  *value = result;
  return NULL;
}

static kp_status* emit_scores(flex* f, kp_value_id kv_heads, kp_value_id* out) {
  const kp_value_id q = f->node.inputs[0], k = f->node.inputs[1];
  kp_value_id head, keys, rows, turned = KP_NONE, product, whole, wide = KP_NONE, shape = KP_NONE;
  static const int64_t perm[4] = {0, 1, 3, 2};
  const kp_attr turn = {.name = kp_intern(&f->graph->model->names, kp_str_of("perm")),
                        .type = KP_ONNX_ATTR_INTS,
                        .count = 4,
                        .ints = perm};
  const kp_attr axis = int_attr(f, "axis", 0);
  KP_PASS(emit_shape(f, q, 3, 4, &head));
  KP_PASS(regroup(f, q, kv_heads, head, &rows));
  KP_PASS(emit(f, "Transpose", &k, 1, &turn, 1, &turned));
  KP_PASS(emit_two(f, "MatMul", rows, turned, &product));
  KP_PASS(emit_shape(f, q, 0, 3, &whole));
  KP_PASS(emit_shape(f, k, 2, 3, &keys));
  KP_PASS(emit(f, "Concat", (kp_value_id[]){whole, keys}, 2, &axis, 1, &shape));
  KP_PASS(emit_two(f, "Reshape", product, shape, &rows));
  KP_PASS(emit_cast(f, rows, f->soft, &wide));
  return emit_scale(f, wide, out);
}

static kp_status* emit_result(flex* f, kp_value_id kv_heads, kp_value_id weights) {
  const kp_value_id q = f->node.inputs[0], v = f->node.inputs[2];
  kp_value_id keys, rows, wide = KP_NONE, product, whole, size, shape = KP_NONE, y;
  const kp_attr axis = int_attr(f, "axis", 0);
  KP_PASS(emit_shape(f, v, 2, 3, &keys));
  KP_PASS(regroup(f, weights, kv_heads, keys, &rows));
  KP_PASS(emit_cast(f, v, f->soft, &wide));
  KP_PASS(emit_two(f, "MatMul", rows, wide, &product));
  KP_PASS(emit_shape(f, q, 0, 3, &whole));
  KP_PASS(emit_shape(f, v, 3, 4, &size));
  KP_PASS(emit(f, "Concat", (kp_value_id[]){whole, size}, 2, &axis, 1, &shape));
  KP_PASS(emit_two(f, "Reshape", product, shape, &y));
  return emit_cast(f, y, f->element, &f->node.outputs[0]);
}

static kp_status* emit_all(flex* f) {
  kp_value_id kv_heads, value, weights = KP_NONE;
  const kp_attr axis = int_attr(f, "axis", -1);
  KP_PASS(emit_shape(f, f->node.inputs[1], 0, 2, &kv_heads));
  KP_PASS(emit_scores(f, kv_heads, &value));
  KP_PASS(emit_body(f, "score_mod", &value));
  KP_PASS(emit(f, "Softmax", &value, 1, &axis, 1, &weights));
  KP_PASS(emit_body(f, "prob_mod", &weights));
  return emit_result(f, kv_heads, weights);
}

static kp_status* emit_attention(flex* f) {
  kp_attr attrs[2];
  uint32_t count = 0;
  static const char* const kept[] = {"scale", "softmax_precision"};
  for (size_t i = 0; i < KP_COUNT_OF(kept); ++i) {
    const kp_attr* attr = kp_node_attr(&f->node, kept[i]);
    if (attr) attrs[count++] = *attr;
  }
  return emit(f, "Attention", f->node.inputs, 3, attrs, count, &f->node.outputs[0]);
}

kp_status* kp_expand_flex_attention(kp_graph* graph, kp_node_id id, bool* out_expanded) {
  flex f = {.graph = graph, .node = graph->nodes[id]};
  const bool whole = f.node.input_count == 3 && f.node.output_count == 1 &&
                     f.node.inputs[0] != KP_NONE && f.node.inputs[1] != KP_NONE &&
                     f.node.inputs[2] != KP_NONE && f.node.outputs[0] != KP_NONE;
  if (!whole) return NULL;
  f.element = graph->values[f.node.inputs[0]].type.element;
  if (f.element == KAPELL_UNDEFINED) return NULL;
  f.soft = (kapell_type)kp_node_attr_i(&f.node, "softmax_precision",
                                       f.element == KAPELL_DOUBLE ? KAPELL_DOUBLE : KAPELL_FLOAT);
  kp_graph_remove_node(graph, id);
  *out_expanded = true;
  return kp_node_body_count(&f.node) ? emit_all(&f) : emit_attention(&f);
}
