// Shape and type inference: one table of functions, used twice. At load time over symbols, with data propagation through shape
// arithmetic; when a partition is specialised over the run's numbers (then every dim is a number).
//
// An operator is a row of the tables in infer_<family>.c: {domain, op, since, fn}. A function reads types and known data of inputs and sets
// types, and where it can data, of outputs. It must be right for every input a file can contain: sizes overflow-checked, ranks
// checked, errors with the input's name.
#ifndef KP_GRAPH_INFER_H_
#define KP_GRAPH_INFER_H_

#include "graph/graph.h"

#define KP_INFER_MAX_DATA 1024  // elements of a tensor whose contents are propagated
// A dim that is not known while specialising (kp_is_symbol is true for it). It equals nothing, itself included.
#define KP_DIM_UNKNOWN INT64_MIN

// Contents of an integer (or bool) tensor known before the run, row-major; elements may be symbols. Also float32/float64 scalars or
// vectors when |floats| is set (Resize scales, Range limits): then |elements| is NULL. A float tensor may have |elements|
// instead: whole numbers, some of them symbols (a Cast of a Shape).
// While specialising (symbols NULL) every element is the plain number, also one below KP_SYMBOL_LIMIT.
typedef struct kp_known {
  const kp_expr* elements;
  const double* floats;
  uint32_t count;
} kp_known;

// Everything that is parallel to inputs or outputs has the node's count of entries.
typedef struct kp_infer {
  const kp_graph* graph;
  const kp_node* node;
  // NULL while specialising: all dims are numbers then, and what is not known is KP_DIM_UNKNOWN.
  kp_symbols* symbols;
  // Results' dims and data live here; results may also share dims and data of inputs.
  kp_arena* arena;
  const kp_type* const* inputs;  // NULL = absent
  // Parallel to inputs; count 0 and NULLs = nothing known (an empty tensor has count 0 and an array
  // that is not NULL). May be NULL. A constant's contents need not be repeated here.
  const kp_known* known;
  // Parallel to inputs; the constant, where the input is one; else NULL. May be NULL.
  kapell_value* const* constants;
  kp_type* outputs;                // zeroed (kind NONE = not known)
  kp_known* out_known;             // parallel to outputs, zeroed
  struct kp_infer_engine* engine;  // of kp_graph_infer, for bodies; NULL while specialising
  // Out, while specialising: an output's shape depends on contents that are not known. Such an
  // output has what is known of kind, element and rank; unknown dims are KP_DIM_UNKNOWN.
  bool data_dependent;
  bool overflow;  // out: a dim left the range of int64; kp_infer_node turns it into an error
} kp_infer;

// What plan/ and providers need to know of an operator before any run, to decide where a unit of known shapes must end:
// An output's shape depends on the contents of large inputs (NonZero, Unique, NonMaxSuppression).
#define KP_INFER_DYNAMIC 1u
// Contents of the outputs follow from the shapes of the inputs (Shape, Size).
#define KP_INFER_FROM_SHAPE 2u
// Shape arithmetic: cheap; contents of the outputs are known when those of all inputs are.
#define KP_INFER_FROM_DATA 4u

typedef kp_status* (*kp_infer_fn)(kp_infer* infer);
typedef struct kp_infer_rule {
  const char* domain;
  const char* op;
  int32_t since;
  kp_infer_fn fn;
  uint32_t value_inputs;  // bit i: shapes depend on the contents of (small) input i (Reshape: 1)
  uint32_t flags;         // KP_INFER_*
} kp_infer_rule;

// The rule for |node| (newest with since <= node->version), or NULL: outputs stay unknown.
const kp_infer_rule* kp_infer_find(const kp_node* node);
// Runs the rule on one node and checks what it gave (no negative dim, no product of dims beyond KP_MAX_ELEMENTS).
// |rule| NULL: nothing is set and NULL is returned. Errors carry node, op and value: INVALID_MODEL at load, INVALID_INPUT
// while specialising (the shapes of the run do not fit together), LIMIT. Threads: any, with arenas of their own.
// Cost: well under a microsecond for most operators; allocates from the arena only.
#define KP_MAX_ELEMENTS (INT64_C(1) << 59)
KP_MUST_USE kp_status* kp_infer_node(kp_infer* infer, const kp_infer_rule* rule);

// For each value of |graph| (value_count entries of |out_known|): are its contents known as soon as the shapes of the graph's inputs,
// and the contents of those inputs i with |value_input|[i] set (may be NULL), are? Constants are; so are Shape's results and what
// shape arithmetic (KP_INFER_FROM_DATA) makes of known ones, up to KP_INFER_MAX_DATA elements. Needs a valid order. O(nodes).
KP_MUST_USE kp_status* kp_graph_known_values(kp_graph* graph, const bool* value_input,
                                             bool* out_known);

// Inference over a whole graph, bodies included, in order. Types stated in the file are merged: the more specific side wins. Where
// they contradict, another kind or element type is an error (INVALID_MODEL naming both); a wrong shape, which files carry from older
// tools, is a warning and the inferred one stands. O(nodes); loops whose shapes change take a few rounds.
KP_MUST_USE kp_status* kp_graph_infer(kp_graph* graph);

#endif  // KP_GRAPH_INFER_H_
