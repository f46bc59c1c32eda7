// FlexAttention of ai.onnx.preview as other operators. Without bodies it is an Attention; with them
//
//   scores = score_mod(Cast(Q K^T * scale));  probabilities = prob_mod(Softmax(scores));  Y = Cast(probabilities Cast(V))
//
// where the bodies' nodes take their places between the others. Heads of Q that share one of K and V are rows of one product.
#include "base/size.h"
#include "graph/expand.h"
#include "graph/simplify.h"

#define NAME "expand FlexAttention"

typedef struct flex {
  kp_emitter e;         // of the FlexAttention
  kapell_type element;  // of Q, and of the softmax
  kapell_type soft;
} flex;

// |value| as [parts..., the rest in one dim, last].
static kp_status* regroup(flex* f, kp_value_id value, kp_value_id parts, kp_value_id last,
                          kp_value_id* out) {
  const int64_t rest = -1;
  kp_value_id inputs[3] = {parts, KP_NONE, last}, shape = KP_NONE;
  const kp_attr axis = kp_emit_int(&f->e, "axis", 0);
  KP_PASS(kp_emit_constant(&f->e, KAPELL_INT64, 1, &rest, &inputs[1]));
  KP_PASS(kp_emit(&f->e, "Concat", inputs, 3, &axis, 1, &shape));
  return kp_emit_two(&f->e, "Reshape", value, shape, out);
}

// Attribute scale, or 1 / sqrt(head size), in the softmax's type.
static kp_status* emit_scale(flex* f, kp_value_id scores, kp_value_id* out) {
  const kp_attr* scale = kp_node_attr(&f->e.node, "scale");
  kp_value_id number, wide = KP_NONE, root = KP_NONE;
  if (scale) {
    KP_PASS(kp_emit_constant(&f->e, KAPELL_FLOAT, -1, &scale->f, &number));
    KP_PASS(kp_emit_cast(&f->e, number, f->soft, &wide));
    return kp_emit_two(&f->e, "Mul", scores, wide, out);
  }
  KP_PASS(kp_emit_shape(&f->e, f->e.node.inputs[0], 3, 4, &number));
  KP_PASS(kp_emit_cast(&f->e, number, f->soft, &wide));
  KP_PASS(kp_emit(&f->e, "Sqrt", &wide, 1, NULL, 0, &root));
  return kp_emit_two(&f->e, "Div", scores, root, out);
}

// The body of |name| between |*value| and what it becomes, if there is one.
static kp_status* emit_body(flex* f, const char* name, kp_value_id* value) {
  const kp_graph* body = kp_node_attr_graph(&f->e.node, name);
  kp_value_id result;
  if (!body) return NULL;
  if (body->input_count != 1 || body->output_count != 1)
    return KP_ERROR(INVALID_MODEL, "'%s' has %u inputs and %u outputs; expected one of each", name,
                    body->input_count, body->output_count);
  KP_PASS(kp_graph_add_value(f->e.graph, NULL, &result));
  kp_node place = f->e.node;
  place.inputs = value;
  place.input_count = 1;
  place.outputs = &result;
  place.output_count = 1;
  KP_PASS(kp_graph_inline_copy(f->e.graph, &place, body, NAME));
  *value = result;
  return NULL;
}

static kp_status* emit_scores(flex* f, kp_value_id kv_heads, kp_value_id* out) {
  const kp_value_id q = f->e.node.inputs[0], k = f->e.node.inputs[1];
  kp_value_id head, keys, rows, turned = KP_NONE, product, whole, wide = KP_NONE, shape = KP_NONE;
  static const int64_t perm[4] = {0, 1, 3, 2};
  const kp_attr turn = {.name = kp_intern(&f->e.graph->model->names, kp_str_of("perm")),
                        .type = KP_ONNX_ATTR_INTS,
                        .count = 4,
                        .ints = perm};
  const kp_attr axis = kp_emit_int(&f->e, "axis", 0);
  KP_PASS(kp_emit_shape(&f->e, q, 3, 4, &head));
  KP_PASS(regroup(f, q, kv_heads, head, &rows));
  KP_PASS(kp_emit(&f->e, "Transpose", &k, 1, &turn, 1, &turned));
  KP_PASS(kp_emit_two(&f->e, "MatMul", rows, turned, &product));
  KP_PASS(kp_emit_shape(&f->e, q, 0, 3, &whole));
  KP_PASS(kp_emit_shape(&f->e, k, 2, 3, &keys));
  KP_PASS(kp_emit(&f->e, "Concat", (kp_value_id[]){whole, keys}, 2, &axis, 1, &shape));
  KP_PASS(kp_emit_two(&f->e, "Reshape", product, shape, &rows));
  KP_PASS(kp_emit_cast(&f->e, rows, f->soft, &wide));
  return emit_scale(f, wide, out);
}

static kp_status* emit_result(flex* f, kp_value_id kv_heads, kp_value_id weights) {
  const kp_value_id q = f->e.node.inputs[0], v = f->e.node.inputs[2];
  kp_value_id keys, rows, wide = KP_NONE, product, whole, size, shape = KP_NONE, y;
  const kp_attr axis = kp_emit_int(&f->e, "axis", 0);
  KP_PASS(kp_emit_shape(&f->e, v, 2, 3, &keys));
  KP_PASS(regroup(f, weights, kv_heads, keys, &rows));
  KP_PASS(kp_emit_cast(&f->e, v, f->soft, &wide));
  KP_PASS(kp_emit_two(&f->e, "MatMul", rows, wide, &product));
  KP_PASS(kp_emit_shape(&f->e, q, 0, 3, &whole));
  KP_PASS(kp_emit_shape(&f->e, v, 3, 4, &size));
  KP_PASS(kp_emit(&f->e, "Concat", (kp_value_id[]){whole, size}, 2, &axis, 1, &shape));
  KP_PASS(kp_emit_two(&f->e, "Reshape", product, shape, &y));
  return kp_emit_cast(&f->e, y, f->element, &f->e.node.outputs[0]);
}

static kp_status* emit_all(flex* f) {
  kp_value_id kv_heads, value, weights = KP_NONE;
  const kp_attr axis = kp_emit_int(&f->e, "axis", -1);
  KP_PASS(kp_emit_shape(&f->e, f->e.node.inputs[1], 0, 2, &kv_heads));
  KP_PASS(emit_scores(f, kv_heads, &value));
  KP_PASS(emit_body(f, "score_mod", &value));
  KP_PASS(kp_emit(&f->e, "Softmax", &value, 1, &axis, 1, &weights));
  KP_PASS(emit_body(f, "prob_mod", &weights));
  return emit_result(f, kv_heads, weights);
}

static kp_status* emit_attention(flex* f) {
  kp_attr attrs[2];
  uint32_t count = 0;
  static const char* const kept[] = {"scale", "softmax_precision"};
  for (size_t i = 0; i < KP_COUNT_OF(kept); ++i) {
    const kp_attr* attr = kp_node_attr(&f->e.node, kept[i]);
    if (attr) attrs[count++] = *attr;
  }
  return kp_emit(&f->e, "Attention", f->e.node.inputs, 3, attrs, count, &f->e.node.outputs[0]);
}

kp_status* kp_expand_flex_attention(kp_graph* graph, kp_node_id id, bool* out_expanded) {
  flex f = {.e = {.graph = graph, .node = graph->nodes[id], .rewrite = NAME}};
  const bool whole = f.e.node.input_count == 3 && f.e.node.output_count == 1 &&
                     f.e.node.inputs[0] != KP_NONE && f.e.node.inputs[1] != KP_NONE &&
                     f.e.node.inputs[2] != KP_NONE && f.e.node.outputs[0] != KP_NONE;
  if (!whole) return NULL;
  f.element = graph->values[f.e.node.inputs[0]].type.element;
  if (f.element == KAPELL_UNDEFINED) return NULL;
  f.soft = (kapell_type)kp_node_attr_i(&f.e.node, "softmax_precision",
                                       f.element == KAPELL_DOUBLE ? KAPELL_DOUBLE : KAPELL_FLOAT);
  kp_graph_remove_node(graph, id);
  *out_expanded = true;
  return kp_node_body_count(&f.e.node) ? emit_all(&f) : emit_attention(&f);
}
