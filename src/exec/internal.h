// Between the files of exec/: the executor, a run's state, frames.
//
// A frame is one plan being run: its slots' values and the memory they lie in. Frames are kept with their context, bodies' frames
// with their parent, so that the next run finds shells, blocks and buffers ready.
#ifndef KP_EXEC_INTERNAL_H_
#define KP_EXEC_INTERNAL_H_

#include <pthread.h>

#include "exec/cache.h"
#include "exec/exec.h"

#define KP_NOT_PLANNED SIZE_MAX

// A plan made concrete for one signature. Lives in a cache entry's arena.
typedef struct kp_frame_special {
  kp_shape_info* slots;  // rank -1 (kind TENSOR) or kind NONE: not known before the run
  size_t*
      offsets;  // of slots in their memory's block; KP_NOT_PLANNED: output, given, or not known yet
  const kp_special**
      units;  // parallel to steps; NULL = late: specialised when its inputs are there
  uint32_t*
      aliases;  // parallel to the plan's outputs: input that the output may be written over; KP_NONE
  size_t host_bytes;     // blocks
  size_t* memory_bytes;  // parallel to plan->memories
} kp_frame_special;

// Growing memory in one place; never shrinks while its frame lives.
typedef struct kp_grown {
  void* data;
  size_t capacity;
  const kp_memory* memory;  // NULL = host
} kp_grown;

typedef struct kp_fence {
  kp_stream* stream;  // NULL = ready
  uint64_t ticket;
} kp_fence;

typedef struct kp_slot_state {
  kapell_value* value;  // what the slot holds in this run
  kapell_value* shell;  // this frame's own, patched
  kapell_value* owned;  // a value that a provider handed over (sequences...), or NULL
  kp_fence fence;
  kp_grown buffer;  // for shapes that are known late
} kp_slot_state;

typedef struct kp_frame kp_frame;

// Where a frame's outputs go. Each returns an error or NULL.
typedef struct kp_sink kp_sink;
struct kp_sink {
  // A tensor to write output |index| into; *out_value NULL: not wanted (the frame uses memory of its own).
  kp_status* (*place)(kp_sink* sink, uint32_t index, kapell_type type, const int64_t* dims,
                      int32_t rank, kapell_value** out_value);
  // A finished value (any kind, host) that lives as long as the frame's run; the sink keeps or copies what it needs.
  kp_status* (*give)(kp_sink* sink, uint32_t index, kapell_value* value);
};

// State of one run, shared by its frames.
typedef struct kp_run_state {
  kp_executor* executor;
  kp_exec_args* args;
  kp_stream** streams;       // one a chain entry; made at first use
  void** begun;              // one a chain entry: what its run_begin gave
  kp_grown* stream_scratch;  // as streams: scratch of asynchronous units is never shared
  uint64_t bytes;            // memory held by the context
  uint64_t iterations;       // of loops, so far in this run
  kp_frame* root;
} kp_run_state;

// What a Loop or Scan keeps from one run to the next: the first field of its state.
typedef struct kp_step_state {
  void (*free)(struct kp_step_state* state);
} kp_step_state;

struct kp_frame {
  kp_run_state* run;
  const kp_plan* plan;
  kp_slot_state* slots;
  kp_frame_special* special;
  kp_cache_entry* entry;  // pinned while running
  kp_grown block;         // host
  kp_grown* blocks;       // parallel to plan->memories
  kp_grown scratch;
  kapell_value** io;       // room for the widest step's inputs and outputs
  kp_frame* (*bodies)[2];  // parallel to steps; made at first use
  kp_step_state** states;  // likewise
  uint8_t* key;            // the signature being looked up
  size_t key_size, key_capacity;
  kp_sink* sink;
  bool* needed;          // parallel to steps; NULL = all
  kapell_value** given;  // inputs and captures of the run: room for bodies
};

struct kp_executor {
  const kp_plan_set* set;
  kp_cache* caches;        // one a plan
  kp_cache** unit_caches;  // one a plan: one a step (late units)
  uint32_t cache_limit;
  pthread_mutex_t lock;  // guards |idle| and the running counts
  pthread_cond_t room;   // a provider with a limit has room again
  struct kp_run_state** idle;
  uint32_t idle_count, idle_capacity;
  uint32_t* running;  // one a chain entry: runs in progress
  bool* is_told;      // one a chain entry: has nodes, and wants to know when a run begins and ends
};

// --- special.c -----------------------------------------------------------------------------------------------------------
// Finds or makes the frame's special for its slots' inputs and captures.
KP_MUST_USE kp_status* kp_frame_specialise(kp_frame* frame);
// The special of |frame| for its slots' inputs and captures, made in |arena| and kept nowhere.
KP_MUST_USE kp_status* kp_frame_make_special(kp_frame* frame, kp_arena* arena,
                                             kp_frame_special** out_special);
// The special of a unit whose input shapes are known only now. Pinned in *out_entry.
KP_MUST_USE kp_status* kp_unit_specialise(kp_frame* frame, uint32_t step,
                                          const kp_special** out_special,
                                          kp_cache_entry** out_entry);

// --- frame.c -------------------------------------------------------------------------------------------------------------
KP_MUST_USE kp_status* kp_frame_create(kp_run_state* run, const kp_plan* plan,
                                       kp_frame** out_frame);
void kp_frame_free(kp_frame* frame);
// Runs the plan. |inputs| parallel to plan->inputs, |captures| to plan->captures (entries that a body does not use are ignored).
KP_MUST_USE kp_status* kp_frame_run(kp_frame* frame, kapell_value* const* inputs,
                                    kapell_value* const* captures, kp_sink* sink);
// Memory for a slot whose shape is known now: the sink's for outputs, else the slot's own buffer.
KP_MUST_USE kp_status* kp_frame_place(kp_frame* frame, uint32_t slot, kapell_type type,
                                      const int64_t* dims, int32_t rank, kapell_value** out_value);
// Waits until the slot may be read by the host, or by |stream|.
KP_MUST_USE kp_status* kp_frame_wait(kp_frame* frame, uint32_t slot, const kp_stream* stream);
// Names |id| and the node that makes it in |status| (taken; NULL stays NULL).
KP_MUST_USE kp_status* kp_blame_value(const kp_graph* graph, kp_value_id id, kp_status* status);
KP_MUST_USE kp_status* kp_grow(kp_run_state* run, kp_grown* grown, size_t byte_count, bool keep);
void kp_grown_free(kp_grown* grown);
// Errors CANCELLED or TIMEOUT when the run is to stop.
KP_MUST_USE kp_status* kp_run_check(const kp_run_state* run);
// The same before an iteration of |node|, which is counted. Errors also LIMIT.
KP_MUST_USE kp_status* kp_run_iteration(kp_run_state* run, const kp_node* node);

// --- tell.c ----------------------------------------------------------------------------------------------------------------
void kp_tell_prepare(kp_executor* executor);  // fills is_told
// Tells providers that the run begins, and that it is over. After an error nobody is left who was told the first and not the second.
KP_MUST_USE kp_status* kp_tell_begin(kp_run_state* run);
KP_MUST_USE kp_status* kp_tell_end(kp_run_state* run);
// Waits until the provider has room for a run. Errors CANCELLED or TIMEOUT.
KP_MUST_USE kp_status* kp_enter_provider(kp_run_state* run, uint32_t entry);
void kp_leave_provider(kp_run_state* run, uint32_t entry);

// --- step.c, control.c ----------------------------------------------------------------------------------------------------
KP_MUST_USE kp_status* kp_step_unit(kp_frame* frame, uint32_t step);
KP_MUST_USE kp_status* kp_step_copy(kp_frame* frame, uint32_t step);
// Copies captures to where this plan wants them, should the parent have them elsewhere (the branches of an If that disagree).
KP_MUST_USE kp_status* kp_settle_captures(kp_frame* frame);
KP_MUST_USE kp_status* kp_step_if(kp_frame* frame, uint32_t step);
KP_MUST_USE kp_status* kp_step_loop(kp_frame* frame, uint32_t step);
KP_MUST_USE kp_status* kp_step_scan(kp_frame* frame, uint32_t step);
// Whether the clauses allow a copy of |byte_count| bytes more. Error CLAUSE_VIOLATED naming the value.
KP_MUST_USE kp_status* kp_check_copy(const kp_run_state* run, const char* name,
                                     uint64_t byte_count);
// Waits for all work under way on |memory|'s stream: it may still use what is to be overwritten by the host, or freed.
KP_MUST_USE kp_status* kp_drain_streams(kp_run_state* run, const kp_memory* memory);
// Copies tensor bytes between values of equal size, over memories. Sources on devices are ready.
KP_MUST_USE kp_status* kp_copy_value(kp_run_state* run, const kapell_value* from, kapell_value* to);

#endif  // KP_EXEC_INTERNAL_H_
