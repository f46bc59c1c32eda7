// The graph: nodes and values as indices, in memory that passes may change. Built from a kp_onnx_model (build.h), refined by
// inference (infer.h), rewritten (rewrite.h), copied in parts for providers (extract.h).
//
// Names and operators are interned in the kp_model, so they compare by pointer within one model. A value is produced by at
// most one node output, or is a graph input, a capture, or a constant. Control flow: an attribute of type graph is a body;
// what a body uses from outside is listed explicitly in kp_node.implicit and kp_graph.captures.
// Ownership: everything lives in the graph's memory, or the model's; a constant is a reference that its value holds.
// Adding nodes or values moves the arrays: pointers to kp_node and kp_value are good until the next addition, indices forever.
// Threads: one at a time in a whole model while any of its graphs is changed; read-only use from any.
#ifndef KP_GRAPH_GRAPH_H_
#define KP_GRAPH_GRAPH_H_

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "base/value.h"
#include "graph/symbol.h"
#include "onnx/model.h"

typedef uint32_t kp_node_id;
typedef uint32_t kp_value_id;
#define KP_NONE UINT32_MAX  // no node, no value (an absent optional input or output)
// Bodies within bodies; deeper is an error LIMIT, so that walks of bodies may recurse.
#define KP_GRAPH_MAX_DEPTH 100

typedef struct kp_graph kp_graph;
typedef struct kp_op_schema kp_op_schema;  // schema.h

// --- types -----------------------------------------------------------------------------------------------------------
// Type of a value. Dims are kp_expr: >= 0, or a symbol (symbol.h).
typedef struct kp_type {
  kapell_kind kind;             // NONE = nothing is known
  kapell_type element;          // tensor, sparse: UNDEFINED = not known; map: key type
  int32_t rank;                 // tensor, sparse: -1 = not known
  const kp_expr* dims;          // rank entries
  const struct kp_type* inner;  // sequence, optional: element; map: value; else NULL
} kp_type;

// --- attributes --------------------------------------------------------------------------------------------------------
typedef struct kp_attr {
  const char* name;  // interned
  kp_onnx_attr_type type;
  size_t count;  // of the lists
  union {
    float f;
    int64_t i;
    kp_str s;
    kapell_value* tensor;  // TENSOR, SPARSE_TENSOR; owned by the model's list of constants
    kp_graph* graph;       // owned by the graph of the node (kp_graph_create_body)
    const float* floats;
    const int64_t* ints;
    const kp_str* strings;
    kapell_value** tensors;
    kp_graph** graphs;
    const kp_type* type_proto;
    const kp_type* types;
  };
} kp_attr;

// --- provenance --------------------------------------------------------------------------------------------------------
// One node of the user's file (bodies and calls of functions included). Origins are numbered in file order.
typedef struct kp_origin {
  const char* name;  // as in the file; "" where it has none
  const char* op;
  const char* domain;
  // where in the file: "" main graph, "loop1/body", "function:my.domain.F(call3)"
  const char* path;
  uint32_t file_index;  // index in its graph's or function's node list
} kp_origin;

// --- nodes and values ------------------------------------------------------------------------------------------------
typedef struct kp_node {
  // unique enough to show a user: the file's, or "Conv#12" by origin index where the file has none
  const char* name;
  const char* op;              // interned
  const char* domain;          // interned; "" = ai.onnx; "kapell" = made by a rewrite of ours
  int32_t version;             // opset version of the domain that governs this node
  const kp_op_schema* schema;  // NULL: not in the tables (custom operators)
  bool custom;                 // an operator of kp_model.custom_ops is meant (custom.h says which)
  kp_value_id* inputs;
  kp_value_id* outputs;
  // values of this graph that the bodies use; parallel to each body's captures
  kp_value_id* implicit;
  // private to graph.c: where each input, then each implicit one, stands in its value's |uses|
  uint32_t* use_slots;
  uint32_t input_count, output_count, implicit_count;
  kp_attr* attrs;
  uint32_t attr_count;
  uint32_t* origins;  // indices into kp_model.origins, ascending; never empty for nodes of a file
  uint32_t origin_count, origin_capacity;
  const char* rewrite;  // name of the rewrite that made it; NULL: as in the file
  bool removed;
} kp_node;

typedef struct kp_value {
  const char* name;  // interned; unique within the graph; made-up for new values
  kp_type type;
  // initializer, Constant output or folded value; a reference of this value's own; else NULL
  kapell_value* constant;
  kp_node_id producer;  // KP_NONE: input, capture or constant
  uint32_t producer_output;
  kp_node_id* uses;  // one entry for each input (or implicit input) that reads it; unordered
  // parallel: which input of that node; implicit ones count on after the inputs
  uint32_t* use_inputs;
  uint32_t use_count, use_capacity;
  uint32_t output_refs;  // how often it stands in the graph's outputs
  bool is_input, is_capture;
  // known elements of a small integer tensor (data propagation), row-major; else NULL
  const kp_expr* data;
  uint32_t data_count;
} kp_value;

struct kp_graph {
  struct kp_model* model;
  kp_graph* parent;        // graph whose node owns this body; NULL for the main graph
  kp_node_id parent_node;  // KP_NONE until the node is added
  uint32_t depth;          // 0 for the main graph
  const char* name;        // "" or as in the file; for bodies the path, as in kp_origin.path
  kp_graph** bodies;  // owned: graphs made by kp_graph_create_body, those of removed nodes included
  uint32_t body_count;
  kp_arena arena;
  kp_node* nodes;
  uint32_t node_count, node_capacity;  // removed ones included
  kp_value* values;
  uint32_t value_count, value_capacity;
  kp_value_id* inputs;  // real inputs: those that have a default are listed apart, below
  kp_value_id* outputs;
  // inner values, parallel to parent node's |implicit|; KP_NONE where this body does not use it
  kp_value_id* captures;
  uint32_t input_count, output_count, capture_count;
  // Initializers that the file lists as inputs too (IR >= 4): a run may replace them, so they are inputs without |constant|,
  // and what they hold when the run gives nothing is here (a reference of the graph's own).
  kp_value_id* overridable;
  kapell_value** defaults;
  uint32_t overridable_count;
  kp_node_id* order;  // topological order of the nodes that are not removed; see kp_graph_order
  uint32_t order_count, order_capacity;
  bool order_valid;
  bool inferred;  // kp_graph_infer has seen the nodes: what is wrong with one has been said
};

// The whole model: what is shared by its graphs.
typedef struct kp_model {
  kp_arena arena;
  kp_interner names;
  kp_symbols symbols;
  kp_onnx_model* source;   // owned: constants point into its bytes
  kp_onnx_model* library;  // owned: bodies of ONNX's own functions; NULL until one is expanded
  kp_origin* origins;
  uint32_t origin_count, origin_capacity;
  kapell_value** constants;  // tensors of attributes, released with the model
  uint32_t constant_count, constant_capacity;
  const kp_onnx_opset* opsets;
  size_t opset_count;
  kp_graph* graph;       // main graph; owned, bodies included
  uint32_t fresh_names;  // counts made-up names
  // Custom operators of the program's (kapell/custom_op.h); borrowed.
  const struct kapell_custom_op* const* custom_ops;
  size_t custom_op_count;
} kp_model;

// An empty model without graph, for graphs that no file stands behind (tests, tools); kp_model_build makes the others.
KP_MUST_USE kp_status* kp_model_create(kp_model** out_model);
void kp_model_free(kp_model* model);  // NULL is fine; frees graphs, constants and the source
// Appends an origin, whose strings must live as long as the model.
KP_MUST_USE kp_status* kp_model_add_origin(kp_model* model, const kp_origin* origin,
                                           uint32_t* out_index);
// Keeps |tensor| (one reference, taken even on error) for an attribute until the model is freed.
KP_MUST_USE kp_status* kp_model_add_constant(kp_model* model, kapell_value* tensor);

// --- building blocks (graph.c) -----------------------------------------------------------------------------------------
KP_MUST_USE kp_status* kp_graph_create(kp_model* model, kp_graph** out_graph);
// A body for a node of |parent| that is still to be added; owned by |parent|. Errors: LIMIT beyond KP_GRAPH_MAX_DEPTH.
KP_MUST_USE kp_status* kp_graph_create_body(kp_graph* parent, kp_graph** out_body);
void kp_graph_free(kp_graph* graph);  // bodies included; NULL is fine

// A new value; |name| NULL makes a fresh unique one. A given name is interned; that it is unique is the caller's to see to.
KP_MUST_USE kp_status* kp_graph_add_value(kp_graph* graph, const char* name,
                                          kp_value_id* out_value);
// The same for a name that is of the model's names already.
KP_MUST_USE kp_status* kp_graph_add_named(kp_graph* graph, const char* interned,
                                          kp_value_id* out_value);
// Lists |value| as input, overridable initializer (|initial| is taken even on error), capture (KP_NONE allowed) or output of
// the graph, after those it has.
KP_MUST_USE kp_status* kp_graph_add_input(kp_graph* graph, kp_value_id value);
KP_MUST_USE kp_status* kp_graph_add_overridable(kp_graph* graph, kp_value_id value,
                                                kapell_value* initial);
KP_MUST_USE kp_status* kp_graph_add_capture(kp_graph* graph, kp_value_id value);
KP_MUST_USE kp_status* kp_graph_add_output(kp_graph* graph, kp_value_id value);
// A constant; takes over |constant| (one reference) even on error. Its type is the value's.
KP_MUST_USE kp_status* kp_graph_add_constant(kp_graph* graph, const char* name,
                                             kapell_value* constant, kp_value_id* out_value);

// What a new node is to be. Arrays are copied; attributes are copied shallowly (their data must live in the model's or
// graph's arena). Outputs name existing values without producer, or KP_NONE for "make a fresh value" (out: set), or
// KP_ABSENT for an optional output that is not wanted (KP_NONE in the node).
#define KP_ABSENT (UINT32_MAX - 1)
typedef struct kp_node_spec {
  const char* name;  // NULL: derived from the first origin's
  const char* op;
  const char* domain;
  int32_t version;
  const kp_value_id* inputs;
  uint32_t input_count;
  kp_value_id* outputs;
  uint32_t output_count;
  const kp_attr* attrs;
  uint32_t attr_count;
  const kp_op_schema* schema;  // saves the look-up where the caller has it; NULL: looked up
  bool interned;               // op, domain and name are of the model's names already
  // as many as each body of |attrs| has captures; the bodies become this node's
  const kp_value_id* implicit;
  uint32_t implicit_count;
} kp_node_spec;

// The spec of one more node of |node|'s operator, name, inputs, outputs and attributes: the arrays are |node|'s own, in that
// graph's values, for the caller to replace.
kp_node_spec kp_node_spec_like(const kp_node* node);

// Makes a value that nothing produces a constant; takes over |constant| even on error.
KP_MUST_USE kp_status* kp_graph_set_constant(kp_graph* graph, kp_value_id value,
                                             kapell_value* constant);
// Nodes made by anything but build.c and rewrite.c would lose their provenance: use kp_graph_rewrite (rewrite.h).
KP_MUST_USE kp_status* kp_graph_add_node(kp_graph* graph, const kp_node_spec* spec,
                                         const uint32_t* origins, uint32_t origin_count,
                                         const char* rewrite, kp_node_id* out_node);
void kp_graph_remove_node(kp_graph* graph, kp_node_id id);  // its outputs lose their producer
KP_MUST_USE kp_status* kp_graph_set_input(kp_graph* graph, kp_node_id node, uint32_t index,
                                          kp_value_id value);
// Output |index| becomes |value|, which nothing produces; the output it was loses its producer.
KP_MUST_USE kp_status* kp_graph_set_output(kp_graph* graph, kp_node_id node, uint32_t index,
                                           kp_value_id value);
// Takes out the implicit inputs of |node| that none of its bodies uses, in node and bodies. True if there were any.
bool kp_graph_drop_unused_captures(kp_graph* graph, kp_node_id node);
// Every use of |from| (graph outputs included) reads |to| instead.
KP_MUST_USE kp_status* kp_graph_replace_uses(kp_graph* graph, kp_value_id from, kp_value_id to);
// Makes |order| valid: Kahn's algorithm, the lowest id first among those that are ready, O(nodes log nodes + edges) and linear where
// the ids are in order already. Bodies are left alone. Error INVALID_MODEL naming the nodes of a cycle.
KP_MUST_USE kp_status* kp_graph_order(kp_graph* graph);
// Lets go of the contents of constant |id| if nothing uses it and they are too large for inference to have kept a pointer into them.
bool kp_graph_release_unused(kp_graph* graph, kp_value_id id);
// Removes nodes none of whose outputs are used (repeatedly), what bodies capture without use, and unused constants. Bodies too.
KP_MUST_USE kp_status* kp_graph_prune(kp_graph* graph);

// --- looking at nodes --------------------------------------------------------------------------------------------------
static inline kp_value* kp_node_input(const kp_graph* graph, const kp_node* node, uint32_t index) {
  return index < node->input_count && node->inputs[index] != KP_NONE
             ? &graph->values[node->inputs[index]]
             : NULL;
}
static inline kp_value* kp_node_output(const kp_graph* graph, const kp_node* node, uint32_t index) {
  return index < node->output_count && node->outputs[index] != KP_NONE
             ? &graph->values[node->outputs[index]]
             : NULL;
}
bool kp_node_is(const kp_node* node, const char* domain, const char* op);  // by text
// Attribute by name, or NULL. Schema defaults are not filled in: the typed getters take the default.
const kp_attr* kp_node_attr(const kp_node* node, const char* name);
int64_t kp_node_attr_i(const kp_node* node, const char* name, int64_t fallback);
float kp_node_attr_f(const kp_node* node, const char* name, float fallback);
kp_str kp_node_attr_s(const kp_node* node, const char* name, const char* fallback);
// Integers; *out_count 0 and NULL where absent.
const int64_t* kp_node_attr_ints(const kp_node* node, const char* name, size_t* out_count);
const float* kp_node_attr_floats(const kp_node* node, const char* name, size_t* out_count);
kp_graph* kp_node_attr_graph(const kp_node* node, const char* name);  // body, or NULL
// All bodies of a node, in the order of its attributes.
uint32_t kp_node_body_count(const kp_node* node);
kp_graph* kp_node_body(const kp_node* node, uint32_t index);
// Text of a type for messages: "float32[N,3,224,224]", "sequence(int64[?])".
void kp_type_describe(const kp_model* model, const kp_type* type, kp_strbuf* buf);

#endif  // KP_GRAPH_GRAPH_H_
