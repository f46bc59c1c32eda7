// Between the files of the builder; nobody else includes this.
//
// A *target* is a kp_graph being filled. A *scope* is where names are looked up: one for each graph of the file, and one for each
// call of a function that is expanded (its names are its own, its nodes go into the caller's target). A *frame* is such a
// call: what its attribute references stand for, and which opsets govern its nodes.
//
// Scopes and targets live in the scratch arena and are popped in the reverse order of their making; on an error the whole stack
// is popped at the end, so an error may return from anywhere.
#ifndef KP_GRAPH_BUILD_INTERNAL_H_
#define KP_GRAPH_BUILD_INTERNAL_H_

#include "graph/build.h"
#include "graph/schema.h"

typedef struct kp_target {
  kp_graph* graph;
  struct kp_target* parent;  // of the graph that holds this body; NULL for the main graph
  kp_ptr_map captured;       // outer value id + 1 -> inner value
  // captured values in order of first use, and what they are here; in the graph's arena
  kp_value_id* outer;
  kp_value_id* inner;
  uint32_t count, capacity;
  const char* path;  // as in kp_origin.path
} kp_target;

typedef struct kp_scope {
  kp_target* target;
  struct kp_scope* outer;  // lexically around this one; NULL for the main graph and for functions
  const struct kp_frame* frame;  // NULL outside of functions
  // interned name -> value of |target|, KP_ABSENT for an input that a call leaves out
  kp_ptr_map names;
  const char* prefix;  // put before names of values and nodes: "" or "call3/"
  const char* path;
} kp_scope;

// An attribute that a call binds, with the scope that names in its bodies are looked up in.
typedef struct kp_bound_attr {
  const kp_onnx_attr* attr;
  kp_scope* scope;
} kp_bound_attr;

typedef struct kp_frame {
  const kp_onnx_function* function;
  const struct kp_frame* caller;  // frame of the scope that the call stands in
  kp_scope* call_scope;
  const kp_onnx_node* call;
} kp_frame;

// What is popped together: see above.
typedef struct kp_open {
  struct kp_open* next;
  kp_ptr_map* map;
} kp_open;

// An operator that was looked up before: models have few different ones.
typedef struct kp_known_operator {
  const char *op, *domain;  // interned
  int64_t version;
  const kp_op_schema* schema;
} kp_known_operator;

typedef struct kp_builder {
  kp_model* model;
  // whose tensors and functions are meant; the library of bodies while ONNX's own are expanded
  kp_onnx_model* source;
  kp_build_options options;  // with defaults filled in
  kp_arena scratch;
  kp_open* open;
  uint64_t node_count;
  uint32_t call_depth;
  bool warned_deprecated;
  kp_known_operator operators[64];  // direct-mapped by the address of the name
  // kp_onnx_tensor or kp_onnx_sparse of an attribute -> index in model->constants
  kp_ptr_map tensors;
  kp_ptr_map functions;  // interned operator name -> index + 1 of the last function of that name
  // parallel to source->functions: the one before of the same name, + 1; 0 = none
  uint32_t* next_function;
  // set while one of ONNX's own functions is expanded: origins of the nodes made
  const kp_node* expanded;
  const char* rewrite;  // then: name of that rewrite
} kp_builder;

// --- build_scope.c -----------------------------------------------------------------------------------------------------
kp_status* kp_build_intern(kp_builder* b, kp_str text, const char** out_name);
kp_status* kp_build_push_target(kp_builder* b, kp_graph* graph, kp_target* parent, const char* path,
                                kp_target** out_target);
kp_status* kp_build_push_scope(kp_builder* b, const kp_scope* form, kp_scope** out_scope);
void kp_build_pop(kp_builder* b, kp_open* down_to);
// Declares |name| as |value|. Error INVALID_MODEL where the scope has it already.
kp_status* kp_build_declare(kp_builder* b, kp_scope* scope, kp_str name, kp_value_id value);
kp_status* kp_build_declare_interned(kp_scope* scope, const char* name, kp_value_id value);
// |name| (interned) behind the scope's prefix, interned.
kp_status* kp_build_prefixed(kp_builder* b, const kp_scope* scope, const char* name,
                             const char** out_name);
// The value of scope->target that |name| means, captured from outside if it must be; KP_NONE for "" and for absent inputs
// of a call. Error INVALID_MODEL with the nearest name that there is.
kp_status* kp_build_lookup(kp_builder* b, kp_scope* scope, kp_str name, kp_value_id* out_value);

// --- build_value.c -----------------------------------------------------------------------------------------------------
kp_status* kp_build_tensor(kp_onnx_model* source, const kp_onnx_tensor* tensor,
                           kapell_value** out_value);
kp_status* kp_build_sparse(kp_onnx_model* source, const kp_onnx_sparse* sparse,
                           kapell_value** out_value);
// Dims and inner types go to |arena|; symbols of a body (|path| not "") are its own.
kp_status* kp_build_type(kp_builder* b, kp_arena* arena, const char* path, const kp_onnx_type* from,
                         kp_type* out_type);

// --- build_node.c ------------------------------------------------------------------------------------------------------
kp_status* kp_build_node(kp_builder* b, kp_scope* scope, const kp_onnx_node* node,
                         uint32_t file_index);
// Name of a node for messages: its own, or its operator's.
kp_str kp_build_node_name(const kp_onnx_node* node);
// Opset version that governs |domain| in |scope|; 0 where nothing imports it.
int64_t kp_build_version(const kp_builder* b, const kp_scope* scope, kp_str domain);
kp_status* kp_build_count_node(kp_builder* b);

// --- build.c -----------------------------------------------------------------------------------------------------------
// Fills scope->target with |from|; |scope| is empty.
kp_status* kp_build_graph(kp_builder* b, kp_scope* scope, const kp_onnx_graph* from);
kp_status* kp_build_start(kp_builder* b, kp_model* model, kp_onnx_model* source,
                          const kp_build_options* options);
void kp_build_finish(kp_builder* b);

// --- build_call.c ------------------------------------------------------------------------------------------------------
const kp_onnx_function* kp_build_find_function(const kp_builder* b, const char* op, kp_str domain,
                                               kp_str overload);
kp_status* kp_build_index_functions(kp_builder* b);
// Replaces the call |node| by the body of |function|, with what |scope| knows of inputs and outputs.
kp_status* kp_build_call(kp_builder* b, kp_scope* scope, const kp_onnx_function* function,
                         const kp_onnx_node* node);
// What attribute |attr| of a node in |scope| stands for: itself, or what the call binds to its reference; |out|->attr is NULL
// where the call gives none.
kp_status* kp_build_resolve_attr(kp_scope* scope, const kp_onnx_attr* attr, kp_bound_attr* out);

#endif  // KP_GRAPH_BUILD_INTERNAL_H_
