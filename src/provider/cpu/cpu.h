// The runtime of the CPU provider: what compiling, specialising and running share. Operators do not see this (op.h is theirs).
//
//   registry.c   finds and checks operators        adapt.c       16-bit floats and packed types around operators
//   capability.c claims                            specialise.c  numbers for one signature
//   compile.c    the list of steps                 layout.c      which values share memory, and where it lies
//   run.c        walks the list                    late.c        steps whose shapes only the run knows; single nodes
//
// A *slot* stands for one value of the partition. A *step* is one node of the compiled partition. Specialising turns the steps
// that are left (shape arithmetic is done then) into a flat list, and every slot into a place.
#ifndef KP_PROVIDER_CPU_CPU_H_
#define KP_PROVIDER_CPU_CPU_H_

#include "provider/cpu/op.h"
#include "provider/cpu/packed.h"
#include "provider/provider.h"

typedef struct kp_cpu_provider {
  kp_provider base;
  uint64_t features;  // that kernels may use
} kp_cpu_provider;

// --- compiled ------------------------------------------------------------------------------------------------------------
typedef struct kp_cpu_slot {
  kp_value_id value;
  kapell_value*
      constant;  // the graph's reference; without data where all readers packed it; NULL where it is none
  kp_type declared;  // as inferred at load; used for kinds other than tensors
} kp_cpu_slot;

typedef struct kp_cpu_step {
  const kp_node* node;
  const kp_op_def* op;
  const kp_infer_rule* rule;  // NULL: shapes are known only to the operator's run
  void* state;
  const char* kernel;       // for profiles
  const uint32_t* inputs;   // slots, KP_NONE = absent; node->input_count
  const uint32_t* outputs;  // slots, KP_NONE = not wanted; node->output_count
  const bool* consumed;     // parallel to inputs: packed by prepare; NULL = none
  bool
      for_shapes;  // a shape depends on its results: evaluated while specialising, whatever its size
} kp_cpu_step;

typedef struct kp_cpu_cleanup {
  struct kp_cpu_cleanup* next;
  void (*release)(void* object);
  void* object;
} kp_cpu_cleanup;

typedef struct kp_cpu_packed {
  void* memory;
  size_t byte_count;
  bool is_shared;  // the compiled partition's |blocks| hold it; else its own
} kp_cpu_packed;

// A packed constant that several nodes read.
typedef struct kp_cpu_shared {
  struct kp_cpu_shared* next;  // of the same constant, in another form
  kp_packed_form form;
  void* memory;  // of one of |packed|
} kp_cpu_shared;

typedef struct kp_cpu_compiled {
  kp_compiled base;
  kp_graph* graph;  // owned
  kp_arena arena;
  const char* name;
  uint64_t features;
  kp_cpu_slot* slots;
  uint32_t slot_count;
  kp_cpu_step* steps;
  uint32_t step_count;
  const uint32_t* input_slots;   // parallel to the graph's inputs; KP_NONE where nobody reads it
  const uint32_t* output_slots;  // parallel to the graph's outputs
  uint32_t max_arity;            // most inputs and outputs together of one step
  kp_cpu_packed* packed;         // packed weights
  uint32_t packed_count, packed_capacity;
  kp_blocks* blocks;                // shared with other sessions; borrowed, NULL: none
  kp_cpu_shared** shared;           // by value id, while compiling; NULL: no constant is shared yet
  kp_cpu_shared* last_shared;       // the one that was made last
  struct kp_cpu_cleanup* cleanups;  // what operators hold besides memory; in |arena|
} kp_cpu_compiled;

// --- special -------------------------------------------------------------------------------------------------------------
typedef enum kp_cpu_place {
  KP_PLACE_NONE = 0,  // not there in this special (unused, or an input nobody reads)
  KP_PLACE_KNOWN,     // constant, or computed while specialising: |values| has the data
  KP_PLACE_INPUT,     // the partition's input itself
  KP_PLACE_OUTPUT,    // the partition's output itself
  KP_PLACE_VIEW,      // a view made per run: of the block, an input or an output
  KP_PLACE_OWNED      // made by a late step while running
} kp_cpu_place;

// How a view is made. Its description (type, dims) is the slot's in |values|.
typedef struct kp_cpu_view {
  uint32_t slot;
  kp_cpu_place base;  // INPUT, OUTPUT: of the partition, by |index|; VIEW: the block
  uint32_t index;
  size_t offset;  // in the block
} kp_cpu_view;

typedef struct kp_cpu_live {  // a step that runs
  const kp_cpu_step* step;
  void* params;
  size_t scratch;  // offset in the block
  size_t scratch_bytes;
  bool adapted;  // through adapt.c
  bool late;     // shapes known only in the run: through late.c
} kp_cpu_live;

typedef struct kp_cpu_copy {  // at the end of a run: a slot to an output that it does not lie in
  uint32_t slot, output;
} kp_cpu_copy;

typedef struct kp_cpu_special {
  kp_special base;
  const kp_cpu_compiled* compiled;
  kapell_value** values;  // a slot's constant or description; entry for every slot, NULL for NONE
  kp_cpu_live* steps;
  uint32_t step_count;
  kp_cpu_view* views;
  uint32_t view_count;
  uint32_t* direct_inputs;   // slots with place INPUT, by partition input; KP_NONE elsewhere
  uint32_t* direct_outputs;  // slots with place OUTPUT, by partition output; KP_NONE elsewhere
  int32_t*
      output_of;  // by slot: the partition output that it lies in, or that a late step makes it; -1
  kp_cpu_copy* copies;
  uint32_t copy_count;
  bool has_owned;
  // Layout of the run's scratch, offsets in bytes: views, slot pointers, gathered pointers, owned flags, the block.
  size_t slots_offset, gather_offset, owned_offset, block_offset;
} kp_cpu_special;

// While specialising: what is known of every slot.
typedef struct kp_cpu_spec {
  const kp_cpu_compiled* compiled;
  kp_cpu_special* special;
  kp_arena* arena;
  int width;
  kp_type* types;        // by slot; rank -1 or a symbol among dims: known only in the run
  kp_known* known;       // by slot: what inference propagated
  kp_cpu_place* places;  // by slot
  uint32_t* last_use;  // by slot: index of the last live step that reads it; UINT32_MAX for outputs
} kp_cpu_spec;

kp_status* kp_cpu_capability(kp_provider* provider, const kp_graph* graph, kp_claims* claims);
kp_status* kp_cpu_compile(kp_provider* provider, const kp_compile_args* args,
                          kp_compiled** out_compiled);
void kp_cpu_release(kp_compiled* base);
kp_status* kp_cpu_specialise(kp_compiled* base, const kp_specialise_args* args,
                             kp_special** out_special);
kp_status* kp_cpu_run(kp_compiled* compiled, const kp_special* base, const kp_run_args* args);
kp_status* kp_cpu_evaluate(const kp_graph* graph, const kp_node* node, kapell_value* const* inputs,
                           kapell_value** outputs);
void kp_cpu_describe_compiled(const kp_compiled* base, kp_strbuf* out);
void kp_cpu_visit(const kp_compiled* base,
                  void (*node)(void* user, const kp_node* node, const char* kernel), void* user);

// Places for all slots of live steps and their scratch (layout.c).
KP_MUST_USE kp_status* kp_cpu_layout(kp_cpu_spec* spec);

// --- one step ------------------------------------------------------------------------------------------------------------
// True if shape |type| is all numbers.
bool kp_cpu_type_known(const kp_type* type);
// Fills |value| with a description of a dense tensor without data; |dims| are shared. Error LIMIT for sizes that overflow.
KP_MUST_USE kp_status* kp_cpu_describe_tensor(kapell_value* value, kapell_type type,
                                              const int64_t* dims, int32_t rank);
const int64_t* kp_cpu_copy_dims(kp_arena* arena, const int64_t* dims,
                                int32_t rank);  // NULL when out of memory
// Prepares |step| (its node and op set): state, kernel, consumed. |constants| parallel to the node's inputs.
KP_MUST_USE kp_status* kp_cpu_prepare_step(const kp_graph* graph, kp_cpu_compiled* owner,
                                           kp_cpu_step* step, kapell_value* const* constants,
                                           int width);
// The rule for a node's shapes: the operator's own or inference's. |own| is filled where the first is meant.
const kp_infer_rule* kp_cpu_rule(const kp_op_def* op, const kp_node* node, kp_infer_rule* own);

// op->plan with adapting decided: sets params, scratch_bytes and adapted of |live|.
KP_MUST_USE kp_status* kp_cpu_plan_step(kp_cpu_live* live, const kapell_value* const* inputs,
                                        const kapell_value* const* outputs, int width,
                                        kp_arena* arena);
KP_MUST_USE kp_status* kp_cpu_invoke(const kp_cpu_live* live, kp_op_run* run);

// adapt.c: the same for tensors that the operator wants in another form.
bool kp_cpu_needs_adapting(const kp_cpu_step* step, const kapell_value* const* inputs,
                           const kapell_value* const* outputs);
KP_MUST_USE kp_status* kp_cpu_adapt_plan(kp_cpu_live* live, kp_op_plan* plan);
KP_MUST_USE kp_status* kp_cpu_adapt_run(const kp_cpu_live* live, const kp_op_run* run);
// A new tensor with the contents of |value| in the form that |op| wants; NULL where it takes it as it is.
KP_MUST_USE kp_status* kp_cpu_adapt_constant(const kp_op_def* op, const kapell_value* value,
                                             kapell_value** out_value);

// What stands behind kp_op_run.host.
typedef struct kp_cpu_host {
  const kp_run_args* args;   // NULL outside of a run
  const int32_t* output_of;  // by slot; NULL outside of a run
  const kp_cpu_step* step;
} kp_cpu_host;

// Runs a step on actual values: inference, memory for outputs, plan, run (late.c). Outputs that are made are owned by the
// caller, except those that are the partition's. |declared| gives the types of inputs that are no tensors (by value id of |graph|).
typedef struct kp_cpu_call {
  const kp_graph* graph;
  const kp_cpu_step* step;
  const kp_cpu_host* host;
  kapell_value* const* inputs;
  kapell_value** outputs;  // NULL entries are made
  int width;
  const volatile int* cancel;
} kp_cpu_call;
KP_MUST_USE kp_status* kp_cpu_call_step(const kp_cpu_call* call);

#endif  // KP_PROVIDER_CPU_CPU_H_
