// Looking at nodes: attributes with defaults, bodies, and the text of types.
#include <inttypes.h>

#include "base/types.h"
#include "graph/graph.h"

bool kp_node_is(const kp_node* node, const char* domain, const char* op) {
  return strcmp(node->op, op) == 0 && strcmp(node->domain, domain) == 0;
}

kp_node_spec kp_node_spec_like(const kp_node* node) {
  return (kp_node_spec){.name = node->name,
                        .op = node->op,
                        .domain = node->domain,
                        .version = node->version,
                        .schema = node->schema,
                        .interned = true,
                        .inputs = node->inputs,
                        .input_count = node->input_count,
                        .outputs = node->outputs,
                        .output_count = node->output_count,
                        .attrs = node->attrs,
                        .attr_count = node->attr_count,
                        .implicit = node->implicit,
                        .implicit_count = node->implicit_count};
}

const kp_attr* kp_node_attr(const kp_node* node, const char* name) {
  for (uint32_t i = 0; i < node->attr_count; ++i)
    if (strcmp(node->attrs[i].name, name) == 0) return &node->attrs[i];
  return NULL;
}

// The attribute if it has |type|, else NULL.
static const kp_attr* typed(const kp_node* node, const char* name, kp_onnx_attr_type type) {
  const kp_attr* attr = kp_node_attr(node, name);
  return attr && attr->type == type ? attr : NULL;
}

int64_t kp_node_attr_i(const kp_node* node, const char* name, int64_t fallback) {
  const kp_attr* attr = typed(node, name, KP_ONNX_ATTR_INT);
  return attr ? attr->i : fallback;
}

float kp_node_attr_f(const kp_node* node, const char* name, float fallback) {
  const kp_attr* attr = typed(node, name, KP_ONNX_ATTR_FLOAT);
  return attr ? attr->f : fallback;
}

kp_str kp_node_attr_s(const kp_node* node, const char* name, const char* fallback) {
  const kp_attr* attr = typed(node, name, KP_ONNX_ATTR_STRING);
  if (!attr) return kp_str_of(fallback);
  return attr->s.data ? attr->s : (kp_str){"", 0};  // so that callers may do arithmetic on |data|
}

const int64_t* kp_node_attr_ints(const kp_node* node, const char* name, size_t* out_count) {
  const kp_attr* attr = typed(node, name, KP_ONNX_ATTR_INTS);
  *out_count = attr ? attr->count : 0;
  return attr ? attr->ints : NULL;
}

const float* kp_node_attr_floats(const kp_node* node, const char* name, size_t* out_count) {
  const kp_attr* attr = typed(node, name, KP_ONNX_ATTR_FLOATS);
  *out_count = attr ? attr->count : 0;
  return attr ? attr->floats : NULL;
}

kp_graph* kp_node_attr_graph(const kp_node* node, const char* name) {
  const kp_attr* attr = typed(node, name, KP_ONNX_ATTR_GRAPH);
  return attr ? attr->graph : NULL;
}

static size_t bodies_in(const kp_attr* attr) {
  if (attr->type == KP_ONNX_ATTR_GRAPH) return attr->graph ? 1 : 0;
  return attr->type == KP_ONNX_ATTR_GRAPHS ? attr->count : 0;
}

uint32_t kp_node_body_count(const kp_node* node) {
  size_t count = 0;
  for (uint32_t i = 0; i < node->attr_count; ++i) count += bodies_in(&node->attrs[i]);
  return (uint32_t)count;
}

kp_graph* kp_node_body(const kp_node* node, uint32_t index) {
  size_t left = index;
  for (uint32_t i = 0; i < node->attr_count; ++i) {
    const kp_attr* attr = &node->attrs[i];
    const size_t count = bodies_in(attr);
    if (left < count) return attr->type == KP_ONNX_ATTR_GRAPH ? attr->graph : attr->graphs[left];
    left -= count;
  }
  return NULL;
}

static void describe_dims(const kp_model* model, const kp_type* type, kp_strbuf* buf) {
  kp_strbuf_puts(buf, "[");
  for (int32_t i = 0; i < type->rank; ++i) {
    if (i > 0) kp_strbuf_puts(buf, ",");
    kp_expr_describe(&model->symbols, type->dims[i], buf);
  }
  kp_strbuf_puts(buf, type->rank < 0 ? "...]" : "]");
}

// Nested types are as deep as the reader lets messages nest.
void kp_type_describe(const kp_model* model, const kp_type* type, kp_strbuf* buf) {
  const char* const element = type->element == KAPELL_UNDEFINED ? "?" : kp_type_name(type->element);
  if (type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_SPARSE) {
    if (type->kind == KAPELL_KIND_SPARSE) kp_strbuf_puts(buf, "sparse ");
    kp_strbuf_puts(buf, element);
    describe_dims(model, type, buf);
    return;
  }
  if (type->kind == KAPELL_KIND_NONE) {
    kp_strbuf_puts(buf, "?");
    return;
  }
  kp_strbuf_puts(buf, type->kind == KAPELL_KIND_SEQUENCE ? "sequence("
                      : type->kind == KAPELL_KIND_MAP    ? "map("
                                                         : "optional(");
  if (type->kind == KAPELL_KIND_MAP) kp_strbuf_printf(buf, "%s, ", element);
  if (type->inner) {
    kp_type_describe(model, type->inner, buf);
  } else {
    kp_strbuf_puts(buf, "?");
  }
  kp_strbuf_puts(buf, ")");
}
