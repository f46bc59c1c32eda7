// What the mock's files share. Private to mock/.
#ifndef KP_PROVIDER_MOCK_MOCK_INTERNAL_H_
#define KP_PROVIDER_MOCK_MOCK_INTERNAL_H_

#include <pthread.h>
#include <stdatomic.h>

#include "base/cancel.h"
#include "provider/mock/device.h"
#include "provider/mock/mock.h"

// --- settings (type.c) ----------------------------------------------------------------------------------------------------
// What goes wrong. Every kind but those of probe counts its occasions: fail=run:3 is the third run of this instance alone,
// fail=run every run.
typedef enum kp_mock_failure {
  KP_MOCK_FAIL_NONE,
  KP_MOCK_FAIL_ABSENT,
  KP_MOCK_FAIL_DLERROR,
  KP_MOCK_FAIL_NO_DEVICE,
  KP_MOCK_FAIL_VERSION,  // probe
  KP_MOCK_FAIL_CREATE,
  KP_MOCK_FAIL_CAPABILITY,
  KP_MOCK_FAIL_COMPILE,
  KP_MOCK_FAIL_SPECIALISE,
  KP_MOCK_FAIL_COPY,
  KP_MOCK_FAIL_RUN,
  KP_MOCK_FAIL_WRONG,
  KP_MOCK_FAIL_HANG,
  KP_MOCK_FAIL_SLOW,  // |n| is milliseconds
  KP_MOCK_FAIL_UNUSED
} kp_mock_failure;

typedef struct kp_mock_settings {
  const char* ops;  // provider's arena
  bool atomic;
  double ns_per_flop, launch_ns;
  uint64_t delay_ns;  // real time before each run's work, to make early readers see it
  kp_mock_failure failure;
  uint64_t n;  // 0 = each time
} kp_mock_settings;

typedef struct kp_mock_provider {
  kp_provider base;
  const char* name;  // short name of the type, for messages; static
  kp_mock_settings settings;
  kp_mock_device* device;
  kp_arena arena;
  atomic_uint_fast64_t running;    // jobs under way
  atomic_uint_fast64_t occasions;  // of |settings.failure| so far
} kp_mock_provider;

// Counts an occasion of |failure|; true if it is to fail now.
bool kp_mock_fails(kp_mock_provider* provider, kp_mock_failure failure);

// --- capability (claim.c) -------------------------------------------------------------------------------------------------
kp_status* kp_mock_capability(kp_provider* provider, const kp_graph* graph, kp_claims* claims);

// --- compile and specialise (compile.c) -------------------------------------------------------------------------------------
typedef struct kp_mock_compiled {
  kp_compiled base;
  kp_mock_provider* provider;
  kp_graph* part;    // owned
  const char* name;  // arena
  kp_arena arena;
  kapell_value**
      constants;  // parallel to part->values: views into device memory of what constants the nodes read; else NULL
  void** allocations;  // of device memory behind them
  uint32_t allocation_count;
  uint64_t constant_bytes;
  atomic_uint_fast64_t runs, virtual_ns;
  atomic_uint_fast64_t flops;
} kp_mock_compiled;

kp_status* kp_mock_compile(kp_provider* provider, const kp_compile_args* args,
                           kp_compiled** out_compiled);
void kp_mock_compiled_release(kp_compiled* compiled);
kp_status* kp_mock_specialise(kp_compiled* compiled, const kp_specialise_args* args,
                              kp_special** out_special);
void kp_mock_describe(const kp_compiled* compiled, kp_strbuf* out);

// --- run (run.c, body.c) ----------------------------------------------------------------------------------------------------
// One run of a partition: what run() was given, in a form that outlives the call.
typedef struct kp_mock_job {
  struct kp_mock_job* next;  // in a stream's queue
  kp_mock_compiled* compiled;
  const kp_special* special;
  kp_run_args args;
  uint64_t ticket;
  bool poison;  // outputs are still to be made unreadable: the stream was busy when it was enqueued
  kp_arena arena;  // of a job in a queue: its own copies of arrays, values and the special
} kp_mock_job;

kp_status* kp_mock_run(kp_compiled* compiled, const kp_special* special, const kp_run_args* args);
// Does the work of |job|, on any thread. |stop| (may be NULL): the stream is being destroyed.
kp_status* kp_mock_job_run(kp_mock_job* job, const atomic_bool* stop);

// An execution of a graph's nodes over an environment: |values| is parallel to graph->values, one reference each.
typedef struct kp_mock_frame {
  const kp_graph* graph;
  kapell_value** values;
  kapell_value* const* constants;  // parallel too, borrowed; NULL: graph->values[i].constant
  const kp_mock_job* job;
  const atomic_bool* stop;
  double flops;  // out: added to
} kp_mock_frame;
// Runs every node of the frame's graph in order (kp_graph_order was called at compile).
kp_status* kp_mock_frame_run(kp_mock_frame* frame);
void kp_mock_frame_free(kp_mock_frame* frame);
kp_status* kp_mock_frame_init(kp_mock_frame* frame, const kp_graph* graph);
kapell_value* kp_mock_frame_get(const kp_mock_frame* frame,
                                kp_value_id id);  // borrowed; NULL: absent

// If and Loop of a frame (body.c).
bool kp_mock_is_control(const kp_node* node);
kp_status* kp_mock_control_run(kp_mock_frame* frame, const kp_node* node, kapell_value** outputs);

kp_status* kp_mock_evaluate(const kp_graph* graph, const kp_node* node, kapell_value* const* inputs,
                            kapell_value** outputs);

// --- streams (stream.c) -----------------------------------------------------------------------------------------------------
kp_status* kp_mock_stream_create(kp_provider* provider, kp_stream** out_stream);
void kp_mock_stream_destroy(kp_stream* stream);
kp_status* kp_mock_stream_signal(kp_stream* stream, uint64_t* out_ticket);
kp_status* kp_mock_stream_wait(kp_stream* stream, uint64_t ticket, uint64_t deadline_ns,
                               const volatile int* cancel, bool* out_done);
// Everything enqueued so far is done.
bool kp_mock_stream_idle(kp_stream* stream);
// Copies |job| into the queue.
kp_status* kp_mock_stream_enqueue(kp_stream* stream, const kp_mock_job* job);
// Waits until everything enqueued is done, and gives its failure.
kp_status* kp_mock_stream_drain(kp_stream* stream, const volatile int* cancel);

#endif  // KP_PROVIDER_MOCK_MOCK_INTERNAL_H_
