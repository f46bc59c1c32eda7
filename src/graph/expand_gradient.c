// Gradient of ai.onnx.preview.training as other operators: reverse mode over the nodes that compute y from xs and zs.
//
// Where the node's own inputs are other values than xs and zs, the nodes that depend on these are copied to compute from the inputs. Then,
// from y back, each node adds what its rule (expand_gradient_rules.c) says to the derivatives by its inputs. Operators without rule
// that ONNX defines by others are replaced by these first. What turns out equal or unused simplification takes out.
#include "graph/expand_gradient.h"
#include "base/budget.h"
#include "base/size.h"
#include "graph/build.h"
#include "graph/infer.h"

#define NAME "expand Gradient"

static bool is_gradient(const kp_node* node) {
  return !node->removed && kp_node_is(node, "ai.onnx.preview.training", "Gradient");
}

// --- what is asked -----------------------------------------------------------------------------------------------------
static kp_status* find_value(const kp_diff* d, const char* what, kp_str name, kp_value_id* out) {
  const kp_graph* graph = d->e.graph;
  for (kp_value_id v = 0; v < graph->value_count; ++v) {
    *out = v;
    if (kp_str_is(name, graph->values[v].name)) return NULL;
  }
  return KP_ERROR(
      INVALID_MODEL,
      "attribute '%s' names '%.*s', which is no value of the graph (body) that the node "
      "stands in",
      what, KP_STR_ARG(name));
}

static kp_status* find_named(kp_diff* d, const kp_attr* xs, const kp_attr* zs) {
  const size_t z_count = zs ? zs->count : 0;
  if (xs->count + z_count != d->e.node.input_count || d->e.node.output_count > xs->count)
    return KP_ERROR(
        INVALID_MODEL,
        "%u inputs and %u outputs; xs and zs name %zu and %zu tensors, each of which has an "
        "input, and the first an output",
        d->e.node.input_count, d->e.node.output_count, xs->count, z_count);
  d->x_count = (uint32_t)xs->count;
  d->z_count = (uint32_t)z_count;
  d->named = kp_arena_new_array(&d->arena, kp_value_id, xs->count + z_count + 1);
  if (!d->named) return KP_ERROR(OUT_OF_MEMORY, "xs and zs");
  for (uint32_t i = 0; i < d->x_count + d->z_count; ++i) {
    const bool x = i < d->x_count;
    const kp_str name = x ? xs->strings[i] : zs->strings[i - d->x_count];
    KP_PASS(find_value(d, x ? "xs" : "zs", name, &d->named[i]));
    if (d->e.node.inputs[i] == KP_NONE)
      return KP_ERROR(INVALID_MODEL, "input %u, the value of '%.*s', is absent", i,
                      KP_STR_ARG(name));
  }
  return NULL;
}

static kp_status* read_attributes(kp_diff* d) {
  const kp_attr* xs = kp_node_attr(&d->e.node, "xs");
  const kp_attr* zs = kp_node_attr(&d->e.node, "zs");
  const bool typed = xs && xs->type == KP_ONNX_ATTR_STRINGS && (!zs || zs->type == xs->type);
  if (!typed) return KP_ERROR(INVALID_MODEL, "attributes xs and zs are no lists of names");
  KP_PASS(find_named(d, xs, zs));
  return find_value(d, "y", kp_node_attr_s(&d->e.node, "y", ""), &d->y);
}

static kp_status* check_types(const kp_diff* d) {
  for (uint32_t i = 0; i <= d->x_count; ++i) {
    const kp_value_id id = i < d->x_count ? d->e.node.inputs[i] : d->y;
    const kp_value* value = &d->e.graph->values[id];
    if (!kp_type_is_float(value->type.element))
      return KP_ERROR(UNSUPPORTED,
                      "'%s' is %s; derivatives are of floating point by floating point",
                      value->name, kp_type_name(value->type.element));
  }
  return NULL;
}

// --- what y is computed by ---------------------------------------------------------------------------------------------
// A value of a body that comes from outside may have been computed there from an x, which nobody here sees.
static kp_status* check_capture(const kp_graph* graph, kp_value_id id) {
  const char* name = graph->values[id].name;
  while (graph->values[id].is_capture) {
    const kp_graph* outer = graph->parent;
    uint32_t place = 0;
    while (graph->captures[place] != id) ++place;
    id = outer->nodes[graph->parent_node].implicit[place];
    graph = outer;
  }
  if (graph->values[id].producer == KP_NONE) return NULL;
  return KP_ERROR(
      UNSUPPORTED,
      "'%s' is computed outside the body that the Gradient stands in; name it in xs or zs", name);
}

typedef struct kp_walk {
  bool* seen;    // by value
  bool* needed;  // by node
  kp_value_id* stack;
  uint32_t count;
} kp_walk;

static void visit(kp_walk* walk, const kp_value_id* ids, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (ids[i] == KP_NONE || walk->seen[ids[i]]) continue;
    walk->seen[ids[i]] = true;
    walk->stack[walk->count++] = ids[i];
  }
}

// From y back to xs, zs and what nothing produces. *out_wait: it comes from a Gradient that is still to be expanded.
static kp_status* walk_back(kp_diff* d, kp_walk* walk, bool* out_wait) {
  const kp_graph* graph = d->e.graph;
  for (uint32_t i = 0; i < d->x_count + d->z_count; ++i) walk->seen[d->named[i]] = true;
  visit(walk, &d->y, 1);
  while (walk->count > 0) {
    const kp_value_id id = walk->stack[--walk->count];
    if (graph->values[id].is_capture) KP_PASS(check_capture(graph, id));
    const kp_node_id producer = graph->values[id].producer;
    if (producer == KP_NONE || walk->needed[producer]) continue;
    const kp_node* node = &graph->nodes[producer];
    if (is_gradient(node)) *out_wait = true;
    walk->needed[producer] = true;
    visit(walk, node->inputs, node->input_count);
    visit(walk, node->implicit, node->implicit_count);
  }
  return NULL;
}

static bool any_depends(const kp_diff* d, const kp_value_id* ids, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (ids[i] != KP_NONE && d->depends[ids[i]]) return true;
  return false;
}

// The nodes in order, and which values depend on an x.
static kp_status* list_nodes(kp_diff* d, const kp_walk* walk) {
  kp_graph* graph = d->e.graph;
  KP_PASS(kp_graph_order(graph));
  d->nodes = kp_arena_new_array(&d->arena, kp_node_id, graph->order_count + (size_t)1);
  if (!d->nodes) return KP_ERROR(OUT_OF_MEMORY, "the nodes of a derivative");
  d->node_count = 0;
  for (uint32_t i = 0; i < d->x_count; ++i) d->depends[d->named[i]] = true;
  for (uint32_t i = 0; i < graph->order_count; ++i) {
    const kp_node* node = &graph->nodes[graph->order[i]];
    if (!walk->needed[graph->order[i]]) continue;
    d->nodes[d->node_count++] = graph->order[i];
    if (!any_depends(d, node->inputs, node->input_count) &&
        !any_depends(d, node->implicit, node->implicit_count))
      continue;
    for (uint32_t o = 0; o < node->output_count; ++o)
      if (node->outputs[o] != KP_NONE) d->depends[node->outputs[o]] = true;
  }
  return NULL;
}

static kp_status* collect(kp_diff* d, bool* out_wait) {
  const kp_graph* graph = d->e.graph;
  const size_t values = graph->value_count;
  kp_walk walk = {.seen = kp_arena_new_array(&d->arena, bool, values),
                  .needed = kp_arena_new_array(&d->arena, bool, graph->node_count),
                  .stack = kp_arena_new_array(&d->arena, kp_value_id, values)};
  d->value_count = graph->value_count;
  d->depends = kp_arena_new_array(&d->arena, bool, values);
  d->is_named = kp_arena_new_array(&d->arena, bool, values);
  d->at = kp_arena_new_array(&d->arena, kp_value_id, values);
  d->grad = kp_arena_new_array(&d->arena, kp_value_id, values);
  if (!walk.seen || !walk.needed || !walk.stack || !d->depends || !d->is_named || !d->at ||
      !d->grad)
    return KP_ERROR(OUT_OF_MEMORY, "a derivative over %zu values", values);
  for (kp_value_id v = 0; v < d->value_count; ++v) {
    d->at[v] = v;
    d->grad[v] = KP_NONE;
  }
  KP_PASS(walk_back(d, &walk, out_wait));
  return *out_wait ? NULL : list_nodes(d, &walk);
}

// --- functions on the way ------------------------------------------------------------------------------------------------
static bool passes_gradient(const kp_diff* d, const kp_node* node) {
  for (uint32_t o = 0; o < node->output_count; ++o) {
    const kp_value* value = kp_node_output(d->e.graph, node, o);
    if (value && d->depends[node->outputs[o]] && kp_type_is_float(value->type.element)) return true;
  }
  return false;
}

static kp_status* expand_functions(kp_diff* d, bool* out_any) {
  for (uint32_t i = 0; i < d->node_count; ++i) {
    const kp_node* node = &d->e.graph->nodes[d->nodes[i]];
    bool expanded = false;
    if (!kp_gradient_find(node) && passes_gradient(d, node))
      KP_PASS(kp_graph_expand_function(d->e.graph, d->nodes[i], &expanded));
    *out_any = *out_any || expanded;
  }
  return NULL;
}

// --- forward ---------------------------------------------------------------------------------------------------------------
static bool moved(const kp_diff* d, const kp_value_id* ids, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (ids[i] != KP_NONE && d->at[ids[i]] != ids[i]) return true;
  return false;
}

static kp_status* copy_node(kp_diff* d, const kp_node* node) {
  const size_t count = (size_t)node->input_count + node->output_count;
  kp_value_id* inputs = kp_arena_new_array(&d->arena, kp_value_id, count + 1);
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "a copy of '%s'", node->name);
  kp_value_id* outputs = inputs + node->input_count;
  for (uint32_t i = 0; i < node->input_count; ++i)
    inputs[i] = node->inputs[i] == KP_NONE ? KP_NONE : d->at[node->inputs[i]];
  for (uint32_t i = 0; i < node->output_count; ++i)
    outputs[i] = node->outputs[i] == KP_NONE ? KP_ABSENT : KP_NONE;
  kp_node_spec spec = kp_node_spec_like(node);
  spec.inputs = inputs;
  spec.outputs = outputs;
  spec.implicit_count = 0;
  kp_node_id unused;
  const kp_node from = *node;
  KP_PASS(kp_graph_add_node(d->e.graph, &spec, d->e.node.origins, d->e.node.origin_count, NAME,
                            &unused));
  for (uint32_t i = 0; i < from.output_count; ++i)
    if (from.outputs[i] != KP_NONE && !d->is_named[from.outputs[i]])
      d->at[from.outputs[i]] = outputs[i];
  return NULL;
}

// Copies of the nodes that xs and zs lead to, computing from the node's inputs.
static kp_status* copy_forward(kp_diff* d, bool* out_any) {
  for (uint32_t i = 0; i < d->x_count + d->z_count; ++i) {
    d->at[d->named[i]] = d->e.node.inputs[i];
    d->is_named[d->named[i]] = true;
  }
  for (uint32_t i = 0; i < d->node_count; ++i) {
    const kp_node* node = &d->e.graph->nodes[d->nodes[i]];
    const bool implicit = moved(d, node->implicit, node->implicit_count);
    if (!implicit && !moved(d, node->inputs, node->input_count)) continue;
    if (kp_node_body_count(node))
      return KP_ERROR(UNSUPPORTED,
                      "%s '%s' has a body, which is not copied to compute at other values",
                      node->op, node->name);
    KP_PASS(copy_node(d, node));
    *out_any = true;
  }
  return NULL;
}

// --- backward --------------------------------------------------------------------------------------------------------------
// Whether any derivative comes to |node|; one that no rule takes is an error.
static kp_status* check_node(const kp_diff* d, const kp_node* node, bool* out_any) {
  for (uint32_t o = 0; o < node->output_count; ++o)
    *out_any = *out_any || (node->outputs[o] != KP_NONE && d->grad[node->outputs[o]] != KP_NONE);
  if (!*out_any) return NULL;
  if (!kp_gradient_find(node))
    return KP_ERROR(UNSUPPORTED,
                    "the derivative of %s '%s' is not known here; it stands between xs "
                    "and y",
                    node->op, node->name);
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value* value = kp_node_input(d->e.graph, node, i);
    if (value && d->depends[node->inputs[i]] && value->type.element == KAPELL_UNDEFINED)
      return KP_ERROR(UNSUPPORTED,
                      "the type of '%s', an input of %s '%s', is not known before a run",
                      value->name, node->op, node->name);
  }
  return NULL;
}

static kp_status* go_back(kp_diff* d) {
  if (d->depends[d->y]) d->grad[d->y] = kp_gradient_fill(d, d->at[d->y], 1.0f);
  for (uint32_t i = d->node_count; i-- > 0 && !d->status;) {
    const kp_node node = d->e.graph->nodes[d->nodes[i]];
    bool any = false;
    KP_PASS(check_node(d, &node, &any));
    if (any) kp_gradient_find (&node)(d, &node, d->grad[node.outputs[0]]);
  }
  return d->status;
}

static kp_status* set_outputs(kp_diff* d) {
  const kp_node* node = &d->e.node;
  for (uint32_t i = 0; i < node->output_count; ++i) {
    if (node->outputs[i] == KP_NONE) continue;
    kp_value_id gradient = d->grad[d->named[i]];
    if (gradient == KP_NONE) gradient = kp_gradient_fill(d, node->inputs[i], 0.0f);
    KP_PASS(d->status);
    KP_PASS(kp_emit(&d->e, "Identity", &gradient, 1, NULL, 0, &node->outputs[i]));
  }
  return NULL;
}

// --- all of it -------------------------------------------------------------------------------------------------------------
static kp_status* prepare(kp_diff* d, bool* out_wait) {
  kp_graph* graph = d->e.graph;
  KP_PASS(kp_graph_infer(graph->model->graph));
  KP_PASS(read_attributes(d));
  KP_PASS(check_types(d));
  for (int round = 0; round < 16; ++round) {  // functions may use functions
    bool any = false;
    KP_PASS(collect(d, out_wait));
    if (*out_wait) return NULL;
    KP_PASS(expand_functions(d, &any));
    if (!any) break;
    KP_PASS(kp_graph_infer(graph->model->graph));
  }
  bool any = false;
  KP_PASS(copy_forward(d, &any));
  return any ? kp_graph_infer(graph->model->graph) : NULL;
}

static kp_status* differentiate(kp_diff* d, kp_node_id id, bool* out_wait) {
  KP_PASS(prepare(d, out_wait));
  if (*out_wait) return NULL;
  KP_PASS(go_back(d));
  kp_graph_remove_node(d->e.graph, id);
  return set_outputs(d);
}

static kp_status* expand_one(kp_graph* graph, kp_node_id id, bool* out_wait) {
  kp_diff d = {.e = {.graph = graph, .node = graph->nodes[id], .rewrite = NAME}};
  kp_status* status = differentiate(&d, id, out_wait);
  if (d.status && d.status != status) kp_status_free(d.status);
  kp_arena_free(&d.arena);
  if (!status) return NULL;
  kp_status_at(status, d.e.node.name, d.e.node.op, NULL);
  return kp_status_frame(status, __FILE__, __LINE__, "node '%s' (Gradient)", d.e.node.name);
}

// One pass over the Gradients of |graph|; those whose y comes from another wait for it.
static kp_status* expand_ready(kp_graph* graph, uint64_t max_nodes, uint32_t* out_done,
                               const char** out_waiting) {
  *out_done = 0;
  *out_waiting = NULL;
  const uint32_t count = graph->node_count;
  for (kp_node_id id = 0; id < count; ++id) {
    if (!is_gradient(&graph->nodes[id])) continue;
    bool wait = false;
    if (kp_deadline_passed()) return KP_ERROR(TIMEOUT, "building derivatives took too long");
    KP_PASS(expand_one(graph, id, &wait));
    if (wait) {
      *out_waiting = graph->nodes[id].name;
    } else {
      ++*out_done;
    }
    if (graph->node_count > max_nodes)
      return KP_ERROR(LIMIT, "more than %llu nodes with derivatives",
                      (unsigned long long)max_nodes);
  }
  return NULL;
}

kp_status* kp_graph_expand_gradients(kp_graph* graph, uint64_t max_nodes) {
  const uint64_t most = max_nodes ? max_nodes : 1000000;
  const char* waiting;
  uint32_t done;
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    if (graph->nodes[id].removed) continue;
    for (uint32_t b = 0; b < kp_node_body_count(&graph->nodes[id]); ++b)
      KP_PASS(kp_graph_expand_gradients(kp_node_body(&graph->nodes[id], b), most));
  }
  do {
    KP_PASS(expand_ready(graph, most, &done, &waiting));
  } while (waiting && done > 0);
  if (waiting)
    return KP_ERROR(INVALID_MODEL,
                    "Gradient '%s' differentiates what is computed from its own result", waiting);
  return NULL;
}
