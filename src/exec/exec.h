// Runs a plan: walks its steps, keeps the memory of runs, caches what is computed for a set of input shapes.
//
// An executor belongs to one plan set. It is used from many threads at once: each run takes a context (memory, frames, streams)
// from a pool and gives it back. Nothing is allocated in a run whose signature is in the cache, apart from outputs that the
// run makes for the caller.
#ifndef KP_EXEC_EXEC_H_
#define KP_EXEC_EXEC_H_

#include "exec/profile.h"
#include "plan/plan.h"

typedef struct kp_executor kp_executor;

// What one provider did in a run.
typedef struct kp_entry_counters {
  uint64_t units, nodes, time_ns;
  uint64_t bytes;  // of the values that its units read and wrote
} kp_entry_counters;

typedef struct kp_run_counters {
  uint64_t copies, copied_bytes;
  uint64_t signature_hits, signature_misses;
  uint64_t peak_bytes;         // memory of the run's context: blocks, scratch, buffers
  kp_entry_counters* entries;  // one a chain entry; given by the caller
} kp_run_counters;

typedef struct kp_exec_args {
  kapell_value* const* inputs;  // parallel to the main plan's inputs; all given
  kapell_value**
      outputs;  // parallel to the plan's outputs. In: NULL = make one, else write into it. Out: filled
  const bool* wanted;  // parallel to outputs; NULL = all. Outputs that are not wanted stay NULL
  // Parallel to outputs: the input whose memory and shape the given output has, or KP_NONE; NULL = none has. Where the plan cannot
  // write it in place the output is taken for not given. In neither case may it share memory with anything else.
  const uint32_t* aliases;
  bool in_place;  // out: inputs may have been overwritten
  int width;
  const volatile int* cancel;  // never NULL
  uint64_t deadline_ns;        // 0 = none
  uint64_t max_iterations;     // of all loops together; 0 = no limit
  kp_run_info info;            // for providers
  bool free_memory;            // the context is not kept for further runs
  kp_profile* profile;         // NULL = not profiling
  kp_run_counters* counters;   // never NULL; zeroed by the caller
  uint32_t failed_entry;       // out, on error: chain entry whose provider failed, or KP_NONE
} kp_exec_args;

KP_MUST_USE kp_status* kp_executor_create(const kp_plan_set* set, uint32_t signature_cache,
                                          kp_executor** out_executor);
void kp_executor_free(kp_executor* executor);  // NULL is fine; no run may be in progress

// Runs the main plan once. On an error no value made by the run is left in |outputs|.
KP_MUST_USE kp_status* kp_exec_run(kp_executor* executor, kp_exec_args* args);

// Host memory of a run for one set of input shapes.
typedef struct kp_exec_memory {
  size_t context_bytes;  // of the run's context and the signature
  size_t arena_bytes, scratch_bytes, output_bytes;
  bool
      exact;  // false: more may be needed, for shapes that only the run tells and for bodies of control flow
} kp_exec_memory;

// |inputs| parallel to the main plan's inputs: values whose shape alone counts (data may be NULL). Keeps nothing.
KP_MUST_USE kp_status* kp_exec_estimate(kp_executor* executor, kapell_value* const* inputs,
                                        int width, kp_exec_memory* out_memory);

#endif  // KP_EXEC_EXEC_H_
