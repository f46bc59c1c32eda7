// Views: what is known of a node beyond its name. Filled together, the first time something of it is asked for.
#include "base/size.h"
#include "graph/schema.h"
#include "ort/view_internal.h"

static const OrtValueInfo** list_values(kp_shown* g, const kp_value_id* ids, uint32_t count,
                                        bool* out_failed) {
  const OrtValueInfo** list =
      kp_arena_new_array(&g->view->arena, const OrtValueInfo*, (size_t)count + 1);
  if (!list) *out_failed = true;
  for (uint32_t i = 0; i < count && !*out_failed; ++i)
    list[i] = kp_shown_value_handle(g, ids[i], out_failed);
  return list;
}

static OrtStatus* fill_values(kp_shown* g, OrtNode* node) {
  const kp_node* from = kp_shown_node(node);
  bool failed = false;
  node->inputs = list_values(g, from->inputs, from->input_count, &failed);
  node->outputs = list_values(g, from->outputs, from->output_count, &failed);
  node->implicit = list_values(g, from->implicit, from->implicit_count, &failed);
  node->input_count = from->input_count;
  node->output_count = from->output_count;
  node->implicit_count = from->implicit_count;
  return failed ? kp_ort_no_memory() : NULL;
}

// What the node means by leaving out an attribute that has a default: libraries were built against hosts that fill these in.
static bool default_of(const kp_node* node, uint32_t index, kp_attr* out) {
  const kp_attr_schema attr = kp_schema_attr(node->schema, index);
  if (!attr.has_default || kp_node_attr(node, attr.name)) return false;
  *out = (kp_attr){.name = attr.name, .type = attr.type};
  if (attr.type == KP_ONNX_ATTR_FLOAT) out->f = attr.f;
  if (attr.type == KP_ONNX_ATTR_INT) out->i = attr.i;
  if (attr.type == KP_ONNX_ATTR_STRING) out->s = kp_str_of(attr.s);
  return true;
}

// The two defaults of ai.onnx that are lists, which the table of operators does not keep.
static bool list_default_of(const kp_node* node, kp_attr* out) {
  static const int64_t axes[] = {0, 2, 3};
  static const kp_str activations[] = {{"Tanh", 4}, {"Tanh", 4}};
  if (kp_node_is(node, "", "RNN") && !kp_node_attr(node, "activations")) {
    *out = (kp_attr){.name = "activations",
                     .type = KP_ONNX_ATTR_STRINGS,
                     .count = KP_COUNT_OF(activations),
                     .strings = activations};
    return true;
  }
  if (kp_node_is(node, "", "MeanVarianceNormalization") && node->schema->since >= 9 &&
      !kp_node_attr(node, "axes")) {
    *out = (kp_attr){
        .name = "axes", .type = KP_ONNX_ATTR_INTS, .count = KP_COUNT_OF(axes), .ints = axes};
    return true;
  }
  return false;
}

static OrtStatus* fill_attrs(kp_shown* g, OrtNode* node) {
  const kp_node* from = kp_shown_node(node);
  kp_arena* arena = &g->view->arena;
  const uint32_t known = from->schema ? from->schema->attr_count : 0;
  const size_t most = (size_t)from->attr_count + known + 1;
  OrtOpAttr* attrs = kp_arena_new_array(arena, OrtOpAttr, most + 1);
  node->attrs = kp_arena_new_array(arena, const OrtOpAttr*, most + 1);
  if (!attrs || !node->attrs) return kp_ort_no_memory();
  size_t count = 0;
  for (; count < from->attr_count; ++count) attrs[count].attr = from->attrs[count];
  for (uint32_t i = 0; i < known; ++i) count += default_of(from, i, &attrs[count].attr);
  if (from->schema) count += list_default_of(from, &attrs[count].attr);
  for (size_t i = 0; i < count; ++i) node->attrs[i] = &attrs[i];
  node->attr_count = count;
  return NULL;
}

static OrtStatus* add_body(kp_shown* g, OrtNode* node, const kp_attr* attr, const kp_graph* body) {
  kp_shown* shown;
  KP_ORT_PASS(kp_shown_create(g->view, body, NULL, 0, &shown));
  shown->parent = node;
  node->bodies[node->body_count] = &shown->base;
  node->body_names[node->body_count++] = attr->name;
  return NULL;
}

static OrtStatus* fill_bodies(kp_shown* g, OrtNode* node) {
  const kp_node* from = kp_shown_node(node);
  const uint32_t count = kp_node_body_count(from);
  if (count == 0) return NULL;
  node->body_count = 0;
  node->bodies = kp_arena_new_array(&g->view->arena, const OrtGraph*, count);
  node->body_names = kp_arena_new_array(&g->view->arena, const char*, count);
  if (!node->bodies || !node->body_names) return kp_ort_no_memory();
  for (uint32_t i = 0; i < from->attr_count; ++i) {
    const kp_attr* attr = &from->attrs[i];
    if (attr->type == KP_ONNX_ATTR_GRAPH) KP_ORT_PASS(add_body(g, node, attr, attr->graph));
    if (attr->type == KP_ONNX_ATTR_GRAPHS)
      for (size_t k = 0; k < attr->count; ++k)
        KP_ORT_PASS(add_body(g, node, attr, attr->graphs[k]));
  }
  return NULL;
}

static OrtStatus* fill(kp_shown* g, OrtNode* node) {
  if (node->filled) return NULL;
  KP_ORT_PASS(fill_values(g, node));
  KP_ORT_PASS(fill_attrs(g, node));
  KP_ORT_PASS(fill_bodies(g, node));
  __atomic_store_n(&node->filled, true, __ATOMIC_RELEASE);
  return NULL;
}

OrtStatus* kp_shown_node_fill(OrtNode* node) {
  kp_shown* g = kp_shown_of(node->graph);
  pthread_mutex_lock(&g->view->lock);
  OrtStatus* status = fill(g, node);
  pthread_mutex_unlock(&g->view->lock);
  return status;
}
