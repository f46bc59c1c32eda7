// The contract of an operator of the CPU provider. One family a file in op/ (pool.c, gather.c, ...), its table at the end.
//
//   supports  may only look (capability): says no with a reason.
//   prepare   once per node when a partition is compiled: checks, packing of constant weights, choice of kernel -> state.
//   plan      once per signature: numbers only (strides, tiles, scratch) from the special's arena -> params. Hot: ~1 us.
//   run       computes. Fails only on what the data decides. Never allocates, except outputs by kp_op_output.
// Each may be NULL where there is nothing to do; run may not. Without plan, run works from the tensors' dims alone.
// Shapes come from graph/infer.h, which also says what is dynamic and what is shape arithmetic (evaluated while specialising).
#ifndef KP_PROVIDER_CPU_OP_H_
#define KP_PROVIDER_CPU_OP_H_

#include "base/size.h"
#include "base/types.h"
#include "base/value.h"
#include "graph/graph.h"
#include "graph/infer.h"

// A refusal's words (static or in the query's arena), or NULL = supported.
typedef const char* kp_reason;
#define KP_SUPPORTED NULL

typedef struct kp_op_query {
  const kp_graph* graph;
  const kp_node* node;
  kp_arena* arena;  // for the words of a reason
} kp_op_query;

// Element type of input |index| as inferred (UNDEFINED = not known or absent); rank (-1 = not known).
kapell_type kp_query_type(const kp_op_query* query, uint32_t index);
int32_t kp_query_rank(const kp_op_query* query, uint32_t index);
kp_reason kp_query_no(const kp_op_query* query, const char* format, ...) KAPELL_PRINTF(2, 3);
#define KP_REQUIRE(query, condition, ...)                       \
  do {                                                          \
    if (!(condition)) return kp_query_no((query), __VA_ARGS__); \
  } while (0)

typedef struct kp_op_prepare {
  const kp_graph* graph;
  const kp_node* node;
  kapell_value* const* constants;  // parallel to the node's inputs; NULL where not constant
  uint64_t features;               // kp_cpu_features under the session's mask
  int width;
  kp_arena* arena;  // lives as long as the compiled partition; packed weights: kp_prepare_packed
  void* state;      // out
  bool* consumed;  // out, parallel to inputs: the constant was packed and is not needed at run time
  const char* kernel;  // out: name of the kernel chosen, for reports; NULL = the op's name
  void* owner;         // the runtime's own
} kp_op_prepare;
// KP_ALIGNMENT-aligned memory for packed weights; NULL when out of memory. Owned by the compiled partition. Filled at once, and then
// settled (packed.h).
void* kp_prepare_packed(kp_op_prepare* prepare, size_t byte_count);
// |release| is called with |object| when the compiled partition goes; also at once where this fails: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_prepare_cleanup(kp_op_prepare* prepare, void (*release)(void* object),
                                          void* object);

typedef struct kp_op_plan {
  const kp_node* node;
  const void* state;
  // Shapes as numbers; |data| set where the contents are known already. An absent optional has kind NONE.
  const kapell_value* const* inputs;
  const kapell_value* const*
      outputs;  // inferred; data NULL. Kind NONE where only the data decides, or not wanted
  int width;
  kp_arena* arena;
  void* params;          // out
  size_t scratch_bytes;  // out
} kp_op_plan;

typedef struct kp_op_run {
  const kp_node* node;
  const void* state;
  const void* params;
  kapell_value* const* inputs;  // NULL = absent
  kapell_value** outputs;       // NULL = not wanted
  void* scratch;
  int width;                   // threads to use in kp_parallel_for
  const volatile int* cancel;  // may be NULL; long loops look at it between chunks of work
  const void* host;            // runtime's own
} kp_op_run;

// True if output |index| is wanted by anybody.
bool kp_op_wants(const kp_op_run* run, uint32_t index);
// Storage for an output whose shape only the data decides (run->outputs[index] is NULL although it is wanted). Where the runtime
// knew the shape already this gives the tensor that is there.
KP_MUST_USE kp_status* kp_op_output(const kp_op_run* run, uint32_t index, kapell_type type,
                                    const int64_t* dims, int32_t rank, kapell_value** out_value);
// Hands over |value| (one reference) as output |index|: sequences, optionals, maps, sparse tensors.
KP_MUST_USE kp_status* kp_op_output_value(const kp_op_run* run, uint32_t index,
                                          kapell_value* value);

// A reference to |value| that may outlive the run (an item of a sequence): retained where it owns its data, else a copy.
KP_MUST_USE kp_status* kp_op_keep(kapell_value* value, kapell_value** out_value);

#define KP_OP_VIEW \
  1u  // output 0 has the bytes of input 0 unchanged (Reshape, Squeeze, Identity...): no work when aliased
#define KP_OP_INPLACE 2u  // output 0 may be written over input 0 when types and shapes agree
#define KP_OP_WIDEN \
  4u  // float16 and bfloat16 tensors are given as float32: the runtime converts around prepare, plan and run
#define KP_OP_UNPACK \
  8u  // tensors of 4- and 2-bit types are given as one byte an element: the runtime unpacks and packs

// An output that may lie in the very memory of an input of its type and shape, which is overwritten: caches. Output 0 over input 0 is
// what KP_OP_INPLACE says.
typedef struct kp_op_alias {
  uint8_t output;  // 0 = none
  uint8_t input;
} kp_op_alias;

typedef struct kp_op_def {
  const char* domain;  // NULL = ai.onnx; "kapell": made by a pass of fuse/
  const char* name;
  int32_t
      since;  // first opset version that this row serves; the row with the greatest since <= the node's version is used
  uint64_t
      types;  // element types (kp_type_mask bits) of input 0, or of output 0 where there is no input; 0 = any
  kp_reason (*supports)(const kp_op_query* query);
  kp_status* (*prepare)(kp_op_prepare* prepare);
  kp_status* (*plan)(kp_op_plan* plan);
  kp_status* (*run)(const kp_op_run* run);
  uint32_t flags;
  const char* kernels;  // for docs/operators.md: which types are vectorised; NULL = generic loops
  kp_infer_fn
      infer;  // shapes of nodes that passes make (symbols NULL); NULL = the rule of graph/infer.h
  kp_op_alias aliases[2];
} kp_op_def;

typedef struct kp_op_table {
  const kp_op_def* ops;
  size_t count;
} kp_op_table;
// At the end of a family's file, after its `static const kp_op_def ops[]`; the line in op/tables.inl finds it.
#define KP_OP_TABLE(family) const kp_op_table kp_ops_##family = {ops, sizeof(ops) / sizeof(ops[0])}

// The row of custom operators (custom.c).
extern const kp_op_def kp_op_custom;
// The row for a node, by domain, operator and version alone; NULL: the CPU provider does not have it.
const kp_op_def* kp_op_find(const kp_node* node);
// All rows, for docs and tests.
size_t kp_op_count(void);
const kp_op_def* kp_op_at(size_t index);  // NULL past the end
// Everything that stands between |node| and this provider, or NULL.
kp_reason kp_op_check(const kp_op_query* query);

// --- type masks for the tables ---
#define KP_M(type) (UINT64_C(1) << KAPELL_##type)
#define KP_M_FLOATS (KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(FLOAT16) | KP_M(BFLOAT16))
#define KP_M_INTS                                                                      \
  (KP_M(INT8) | KP_M(INT16) | KP_M(INT32) | KP_M(INT64) | KP_M(UINT8) | KP_M(UINT16) | \
   KP_M(UINT32) | KP_M(UINT64))

#endif  // KP_PROVIDER_CPU_OP_H_
