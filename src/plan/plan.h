// The plan: which provider runs which nodes, in which order, where each value lives, what is copied. Exec walks it.
//
// One kp_plan stands for one graph: the main graph, or the body of an If, Loop or Scan. A plan is a flat list of steps over
// slots. A slot is one value in one memory; a value needed in two memories has two slots and a copy step between them.
// Values inside a unit are the provider's and have no slot here.
// Threads: read-only once built. Ownership: everything is the kp_plan_set's.
#ifndef KP_PLAN_PLAN_H_
#define KP_PLAN_PLAN_H_

#include "plan/chain.h"

#define KP_EXECUTOR (UINT32_MAX - 1)  // instead of a chain entry: control flow, run by exec itself

typedef struct kp_plan kp_plan;

typedef enum kp_slot_kind {
  KP_SLOT_INPUT,     // the graph's input, given by the caller or the parent
  KP_SLOT_CAPTURE,   // a value of an outer graph
  KP_SLOT_CONSTANT,  // a constant that a control step, a copy or an output reads
  KP_SLOT_COMPUTED   // made by a step
} kp_slot_kind;

typedef struct kp_slot {
  kp_value_id value;
  kp_slot_kind kind;
  uint32_t index;           // INPUT, CAPTURE: position
  const kp_memory* memory;  // NULL = host
  kapell_value* constant;   // CONSTANT on the host: the value; borrowed from the model
  uint32_t first, last;     // steps that make and last read it; outputs: last = step_count
  uint32_t
      output;  // COMPUTED: position in the graph's outputs that it is written to directly, or KP_NONE
  uint32_t same_value;  // next slot of the same value in another memory, or KP_NONE
} kp_slot;

// A unit: what one provider runs in one go.
typedef struct kp_unit {
  uint32_t entry;      // index in the chain
  uint32_t partition;  // units cut from one partition (KP_PROVIDER_STATIC) share the number
  uint32_t node_count;
  kp_provider* provider;
  kp_graph* graph;        // the partition's private copy until it is compiled; then NULL
  kp_compiled* compiled;  // owned
  uint32_t* inputs;       // slots, parallel to the partition graph's inputs
  uint32_t* outputs;      // slots
  uint32_t input_count, output_count;
  const kp_node_id* nodes;  // of the plan's graph
  uint32_t origin_count;    // nodes of the user's file in it
} kp_unit;

typedef enum kp_step_kind {
  KP_STEP_UNIT,
  KP_STEP_COPY,
  KP_STEP_IF,
  KP_STEP_LOOP,
  KP_STEP_SCAN
} kp_step_kind;

typedef struct kp_step {
  kp_step_kind kind;
  kp_unit unit;        // KP_STEP_UNIT
  uint32_t from, to;   // KP_STEP_COPY: slots
  kp_node_id node;     // control flow: the node
  uint32_t* inputs;    // control flow: slots of its inputs; KP_NONE = absent
  uint32_t* implicit;  // slots of the values that the bodies use
  uint32_t* outputs;   // slots; KP_NONE = not wanted
  uint32_t input_count, implicit_count, output_count;
  kp_plan* bodies[2];  // If: then, else; Loop, Scan: [0]
} kp_step;

struct kp_plan {
  struct kp_plan_set* set;
  kp_graph* graph;
  kp_plan* parent;
  uint32_t index;  // in set->plans
  kp_slot* slots;
  uint32_t slot_count;
  kp_step* steps;
  uint32_t step_count;
  uint32_t* inputs;    // slots, parallel to graph->inputs, then graph->overridable
  uint32_t* captures;  // slots, parallel to graph->captures; KP_NONE = this body does not use it
  uint32_t* outputs;   // slots, parallel to graph->outputs
  uint32_t input_count, capture_count, output_count;
  bool* value_inputs;          // parallel to inputs: the contents are part of the signature
  bool* value_captures;        // parallel to captures
  const kp_memory** memories;  // every memory but the host's that slots use
  uint32_t memory_count;
};

// Why the entries before the one that runs a node do not run it.
typedef struct kp_node_refusal {
  uint32_t entry;
  kp_reason_source source;
  const char* words;
} kp_node_refusal;

typedef struct kp_node_place {
  uint32_t entry;      // chain entry, KP_EXECUTOR, or KP_NONE while not placed
  uint32_t partition;  // KP_NONE for the executor
  kp_node_refusal* refusals;
  uint32_t refusal_count;
  double flops;  // symbols counted as 1
} kp_node_place;

// Everything planned for a session: main graph and bodies, and the totals.
typedef struct kp_plan_set {
  kp_arena arena;
  const kp_chain* chain;
  kp_model* model;
  kp_plan** plans;         // [0] is the main graph's
  kp_node_place** places;  // parallel to plans: an entry a node of that plan's graph
  uint32_t plan_count, plan_capacity;
  uint32_t partition_count;
  uint32_t copy_count;          // copy steps in the main graph, once a run
  uint32_t loop_copy_count;     // copy steps inside bodies
  int64_t copy_bytes;           // of the main graph's copies, where shapes are numbers
  uint32_t unknown_copy_count;  // of the main graph's copies, where they are not
  uint32_t
      failed_entry;  // chain entry whose provider failed when asked what it can run or while compiling, or KP_NONE
} kp_plan_set;

typedef struct kp_plan_options {
  int width;
  uint64_t excluded;  // bit i: chain entry i places nothing (it failed in a run)
  const volatile int* cancel;
  void (*progress)(void* user, double done, const char* what);
  void* user;
  kp_blocks* blocks;  // of packed weights, as in kp_compile_args
} kp_plan_options;

// Places, partitions and compiles the model's graph over the chain. An optional provider that fails to compile is dropped (a
// warning) and everything is placed again without it.
// Errors: UNSUPPORTED naming the node and each provider's reason; PROVIDER_UNUSED; PROVIDER_FAILED; CLAUSE_VIOLATED; CANCELLED.
KP_MUST_USE kp_status* kp_plan_build(kp_model* model, kp_chain* chain,
                                     const kp_plan_options* options, kp_plan_set** out_set);
void kp_plan_set_free(kp_plan_set* set);  // NULL is fine

// --- between the files of plan/ ------------------------------------------------------------------------------------------
// A run of nodes for one provider, or one control-flow node.
typedef struct kp_part {
  uint32_t entry;
  uint32_t partition;
  kp_node_id* nodes;
  uint32_t count;
  bool cut;  // goes on in the next part (same partition)
} kp_part;

// place.c: asks each provider in turn; fills |places|. |claims| (chain->count entries) stay valid with the arena.
typedef struct kp_placing {
  kp_graph* graph;
  kp_node_place* places;
  uint32_t* group_of;  // atomic group of a node, or KP_NONE
  uint32_t group_count;
  struct kp_claims* claims;  // an entry a chain entry
} kp_placing;
KP_MUST_USE kp_status* kp_place_graph(kp_plan_set* set, kp_graph* graph, uint64_t excluded,
                                      kp_placing* out_placing);
// partition.c: orders the graph and cuts it into parts.
KP_MUST_USE kp_status* kp_partition_graph(kp_plan_set* set, kp_placing* placing,
                                          kp_part** out_parts, uint32_t* out_count);
// clauses.c
// Consent and clauses: every required provider runs something, shares are met, limits are kept. Errors: PROVIDER_UNUSED,
// CLAUSE_VIOLATED with the nodes and each provider's reason.
KP_MUST_USE kp_status* kp_clauses_check(const kp_plan_set* set);
// The error for a node that nobody takes, with the reason of each entry.
KP_MUST_USE kp_status* kp_clauses_unplaced(const kp_plan_set* set, const kp_graph* graph,
                                           const kp_node_place* places, kp_node_id node);
// True for If, Loop and Scan of ai.onnx.
bool kp_plan_is_control(const kp_node* node);
// Memory in which |entry|'s claim wants |value| for |node|.
const kp_memory* kp_placing_memory(const kp_placing* placing, kp_node_id node, kp_value_id value);

#endif  // KP_PLAN_PLAN_H_
