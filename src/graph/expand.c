// ONNX's own functions: a node whose operator the specification defines by others is replaced by these. The bodies are compiled
// in as one serialised model (function_bodies.inl), read when the first is wanted.
#include "graph/expand.h"
#include "graph/build_internal.h"
#include "onnx/reader.h"

#include "graph/function_bodies.inl"

static kp_status* read_library(kp_model* model) {
  if (model->library) return NULL;
  const kp_onnx_read_options options = {.borrow_bytes = true};
  KP_TRY(kp_onnx_read_bytes(function_bodies, sizeof function_bodies, &options, &model->library),
         "reading ONNX's functions");
  return NULL;
}

// The body of a row of the tables; its overload is the version. NULL where the specification's depends on the node.
static const kp_onnx_function* find_body(const kp_onnx_model* library, const kp_op_schema* schema) {
  for (size_t i = 0; i < library->function_count; ++i) {
    const kp_onnx_function* function = &library->functions[i];
    int64_t since;
    if (kp_str_is(function->name, kp_schema_name(schema)) &&
        kp_str_is(function->domain, kp_schema_domain(schema)) &&
        kp_parse_i64(function->overload, &since) && since == schema->since) {
      return function;
    }
  }
  return NULL;
}

// The attributes of |node| in the form that calls have in files; false for kinds that no function takes.
static bool call_attrs(kp_arena* scratch, const kp_node* node, const kp_onnx_attr** out_attrs) {
  kp_onnx_attr* attrs = kp_arena_new_array(scratch, kp_onnx_attr, node->attr_count);
  for (uint32_t i = 0; attrs && i < node->attr_count; ++i) {
    const kp_attr* from = &node->attrs[i];
    attrs[i] =
        (kp_onnx_attr){.name = kp_str_of(from->name), .type = from->type, .count = from->count};
    switch (from->type) {
      case KP_ONNX_ATTR_FLOAT:
        attrs[i].f = from->f;
        break;
      case KP_ONNX_ATTR_INT:
        attrs[i].i = from->i;
        break;
      case KP_ONNX_ATTR_STRING:
        attrs[i].s = from->s;
        break;
      case KP_ONNX_ATTR_FLOATS:
        attrs[i].floats = from->floats;
        break;
      case KP_ONNX_ATTR_INTS:
        attrs[i].ints = from->ints;
        break;
      case KP_ONNX_ATTR_STRINGS:
        attrs[i].strings = from->strings;
        break;
      default:
        return false;
    }
  }
  *out_attrs = attrs;
  return attrs != NULL;
}

// Names for the node's inputs and outputs, so that it reads like a call in a file: "0", "1", ... in |scope|.
static kp_status* name_values(kp_builder* b, kp_scope* scope, const kp_value_id* ids,
                              uint32_t count, char kind, kp_str** out_names) {
  kp_str* names = kp_arena_new_array(&b->scratch, kp_str, count);
  if (!names) return KP_ERROR(OUT_OF_MEMORY, "%u names", count);
  for (uint32_t i = 0; i < count; ++i) {
    if (ids[i] == KP_NONE) continue;
    const char* name = kp_arena_printf(&b->scratch, "%c%u", kind, i);
    if (!name) return KP_ERROR(OUT_OF_MEMORY, "a name");
    names[i] = kp_str_of(name);
    KP_PASS(kp_build_declare(b, scope, names[i], ids[i]));
  }
  *out_names = names;
  return NULL;
}

// Everything that the new nodes need of the old one was copied before it is removed.
static kp_status* replace(kp_builder* b, kp_graph* graph, kp_node_id id,
                          const kp_onnx_function* function, bool* out_expanded) {
  const kp_node node = graph->nodes[id];
  kp_target* target;
  kp_scope* scope;
  KP_PASS(kp_build_push_target(b, graph, NULL, "", &target));
  const kp_scope form = {.target = target, .prefix = "", .path = ""};
  KP_PASS(kp_build_push_scope(b, &form, &scope));
  kp_onnx_node call = {.name = kp_str_of(node.name),
                       .op_type = kp_str_of(node.op),
                       .domain = kp_str_of(node.domain),
                       .input_count = node.input_count,
                       .output_count = node.output_count,
                       .attr_count = node.attr_count};
  if (!call_attrs(&b->scratch, &node, &call.attrs)) return NULL;
  kp_str *inputs, *outputs;
  KP_PASS(name_values(b, scope, node.inputs, node.input_count, 'i', &inputs));
  KP_PASS(name_values(b, scope, node.outputs, node.output_count, 'o', &outputs));
  call.inputs = inputs;
  call.outputs = outputs;
  b->expanded = &node;
  b->rewrite = kp_arena_printf(&b->model->arena, "expand %s", node.op);
  if (!b->rewrite) return KP_ERROR(OUT_OF_MEMORY, "a name");
  kp_graph_remove_node(graph, id);
  *out_expanded = true;
  return kp_build_call(b, scope, function, &call);
}

kp_status* kp_graph_expand_function(kp_graph* graph, kp_node_id id, bool* out_expanded) {
  *out_expanded = false;
  const kp_op_schema* schema = graph->nodes[id].schema;
  if (graph->nodes[id].removed || !schema || !schema->has_function) return NULL;
  if (kp_node_is(&graph->nodes[id], "ai.onnx.preview", "FlexAttention"))
    return kp_expand_flex_attention(graph, id, out_expanded);
  kp_model* model = graph->model;
  if (kp_node_is(&graph->nodes[id], "", "SequenceMap")) {
    KP_PASS(kp_expand_sequence_map(graph, id));
    *out_expanded = true;
    return NULL;
  }
  KP_PASS(read_library(model));
  const kp_onnx_function* function = find_body(model->library, schema);
  if (!function) return NULL;
  kp_builder b;
  kp_build_start(&b, model, model->library, NULL);
  kp_status* status = replace(&b, graph, id, function, out_expanded);
  kp_build_finish(&b);
  return status;
}
