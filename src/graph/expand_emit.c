// Nodes that stand for another: what the expansions in C share.
#include "base/value.h"
#include "graph/expand.h"

kp_attr kp_emit_int(kp_emitter* e, const char* name, int64_t value) {
  return (kp_attr){.name = kp_intern(&e->graph->model->names, kp_str_of(name)),
                   .type = KP_ONNX_ATTR_INT,
                   .i = value};
}

kp_status* kp_emit(kp_emitter* e, const char* op, const kp_value_id* inputs, uint32_t input_count,
                   const kp_attr* attrs, uint32_t attr_count, kp_value_id* value) {
  kp_node_id unused;
  kp_value_id output = *value;
  const kp_node_spec spec = {.name = e->node.name,
                             .op = op,
                             .domain = "",
                             .version = KP_EMIT_OPSET,
                             .inputs = inputs,
                             .input_count = input_count,
                             .outputs = &output,
                             .output_count = 1,
                             .attrs = attrs,
                             .attr_count = attr_count};
  KP_PASS(kp_graph_add_node(e->graph, &spec, e->node.origins, e->node.origin_count, e->rewrite,
                            &unused));
  *value = output;
  return NULL;
}

kp_status* kp_emit_two(kp_emitter* e, const char* op, kp_value_id a, kp_value_id b,
                       kp_value_id* out) {
  *out = KP_NONE;
  return kp_emit(e, op, (kp_value_id[]){a, b}, 2, NULL, 0, out);
}

kp_status* kp_emit_shape(kp_emitter* e, kp_value_id value, int64_t start, int64_t end,
                         kp_value_id* out) {
  const kp_attr attrs[2] = {kp_emit_int(e, "start", start), kp_emit_int(e, "end", end)};
  *out = KP_NONE;
  return kp_emit(e, "Shape", &value, 1, attrs, 2, out);
}

kp_status* kp_emit_cast(kp_emitter* e, kp_value_id value, kapell_type to, kp_value_id* out) {
  const kp_attr attr = kp_emit_int(e, "to", to);
  return kp_emit(e, "Cast", &value, 1, &attr, 1, out);
}

kp_status* kp_emit_constant(kp_emitter* e, kapell_type element, int64_t count, const void* data,
                            kp_value_id* out) {
  kapell_value* tensor;
  KP_PASS(kp_value_create_tensor(element, &count, count < 0 ? 0 : 1, &tensor));
  if (tensor->byte_count) memcpy(tensor->data, data, tensor->byte_count);
  return kp_graph_add_constant(e->graph, NULL, tensor, out);
}
