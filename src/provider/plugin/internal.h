// Between the files of provider/plugin/: the provider, what it compiled, and statuses of the library's.
#ifndef KP_PROVIDER_PLUGIN_INTERNAL_H_
#define KP_PROVIDER_PLUGIN_INTERNAL_H_

#include "base/arena.h"
#include "ort/guard.h"
#include "ort/kernel.h"
#include "ort/view.h"
#include "provider/plugin/memory.h"

typedef struct kp_plugin_provider {
  kp_provider base;  // first
  const kp_plugin_type* type;
  OrtEp* ep;
  OrtSessionOptions* options;         // as the library sees them
  OrtLogger logger;                   // what the library is given: its lines go to Kapell's log
  OrtEpDataLayout layout;             // that it prefers
  kp_plugin_memory* memory;           // NULL: host
  const OrtKernelRegistry* registry;  // NULL: the library has no kernels, it compiles
  // Outputs (interned names) of nodes in groups that are compiled whole: 1 where the group wants no constants, else 0.
  kp_ptr_map fused;
  uint32_t compiled_count;  // so far, for the names of fused nodes
} kp_plugin_provider;

// A partition that the library compiled.
typedef struct kp_plugin_compiled {
  kp_compiled base;  // first
  kp_plugin_provider* provider;
  kp_graph* part;  // owned
  char* name;      // of the fused node
  OrtNodeComputeInfo* info;
  void* state;               // NULL is legal: then there is nothing to release
  kapell_value** constants;  // inputs of the fused node behind those of the partition
  uint32_t constant_count;
  kp_shape_info* outputs;             // what is known of them before any run: static shapes
  struct kp_plugin_kernels* kernels;  // NULL: compiled whole; else there is no |info|
} kp_plugin_compiled;

// The file that |graph| is of, NULL where the model came as bytes: libraries look beside it for data of their own.
static inline const char* kp_plugin_model_path(const kp_graph* graph) {
  return graph->model->source ? graph->model->source->path : NULL;
}

// What the user of a context is: the first part of it, for the functions that contexts share.
typedef struct kp_plugin_call {
  const kp_plugin_compiled* compiled;
  const kp_run_args* args;
} kp_plugin_call;
void kp_plugin_parallel_for(const OrtKernelContext* context, size_t count,
                            void (*fn)(void* user, size_t index), void* user);
OrtStatus* kp_plugin_find_logger(const OrtKernelContext* context, const OrtLogger** out);
OrtAllocator* kp_plugin_find_allocator(const OrtKernelContext* context, const OrtMemoryInfo* info);
// Is |value| a tensor of this type and shape?
bool kp_plugin_has_shape(const kapell_value* value, kapell_type type, const int64_t* dims,
                         size_t rank);

// Turns a status of the library's (taken; NULL stays NULL) into PROVIDER_FAILED "NAME, <what>: <its words>"; OUT_OF_MEMORY where it passes on
// that the host had none.
KP_MUST_USE kp_status* kp_plugin_failure(const kp_plugin_type* type, const char* what,
                                         OrtStatus* status);

// --- heard.c: lines that the library logs, which may be its only reasons ---------------------------------------------------------
void kp_plugin_logger_init(kp_plugin_provider* provider);
typedef struct kp_plugin_heard {
  kp_arena arena;
  const char** lines;
  uint32_t count, capacity;
} kp_plugin_heard;
void kp_plugin_listen_begin(kp_plugin_provider* provider, kp_plugin_heard* heard);
void kp_plugin_listen_end(kp_plugin_provider* provider);
// Gives nodes that |claims| still has free the first line that names them. Ends |heard|.
KP_MUST_USE kp_status* kp_plugin_refuse_heard(kp_plugin_heard* heard, const kp_graph* graph,
                                              kp_claims* claims);

// --- stream.c ---------------------------------------------------------------------------------------------------------------------
// Flags the provider where its device memory has streams. Kernels, between which values are copied, run without.
KP_MUST_USE kp_status* kp_plugin_stream_probe(kp_plugin_provider* provider);
// The stream that a call's work goes to: the client's, else the run's; NULL: work is done when the library returns.
OrtSyncStream* kp_plugin_stream_of(const kp_plugin_call* call);
// Waits for the client's stream, of which exec knows nothing.
KP_MUST_USE kp_status* kp_plugin_stream_settle(const kp_plugin_call* call);
kp_status* kp_plugin_stream_create(kp_provider* base, kp_stream** out_stream);
void kp_plugin_stream_destroy(kp_stream* stream);
kp_status* kp_plugin_stream_signal(kp_stream* stream, uint64_t* out_ticket);
kp_status* kp_plugin_stream_wait(kp_stream* stream, uint64_t ticket, uint64_t deadline_ns,
                                 const volatile int* cancel, bool* out_done);

// --- the functions of kp_plugin_base ----------------------------------------------------------------------------------------------
kp_status* kp_plugin_capability(kp_provider* base, const kp_graph* graph, kp_claims* claims);
kp_status* kp_plugin_compile(kp_provider* base, const kp_compile_args* args,
                             kp_compiled** out_compiled);
void kp_plugin_release(kp_compiled* base);
kp_status* kp_plugin_specialise(kp_compiled* base, const kp_specialise_args* args,
                                kp_special** out_special);
kp_status* kp_plugin_run(kp_compiled* base, const kp_special* special, const kp_run_args* args);
kp_status* kp_plugin_run_begin(kp_provider* base, const kp_run_info* info, void** out_run);
kp_status* kp_plugin_run_end(kp_provider* base, void* run);
void kp_plugin_visit(const kp_compiled* base,
                     void (*node)(void* user, const kp_node* node, const char* kernel), void* user);

#endif  // KP_PROVIDER_PLUGIN_INTERNAL_H_
