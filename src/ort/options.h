// Session options, run options, and the small objects that only carry settings.
#ifndef KP_ORT_OPTIONS_H_
#define KP_ORT_OPTIONS_H_

#include "base/blocks.h"
#include "base/cancel.h"
#include "ort/value.h"

// A provider that was asked for, in the order of asking.
typedef struct kp_ort_provider {
  char* name;  // "CPUExecutionProvider"
  OrtKeyValuePairs options;
  bool by_device;  // of a library: where it cannot be made, the session cannot
} kp_ort_provider;

typedef struct kp_ort_initializer {
  char* name;
  kapell_value* value;  // one reference
  bool external;        // must replace one whose data lies outside the model
} kp_ort_initializer;

// A file of external data that the client has in memory, borrowed until the session is made.
typedef struct kp_ort_memory_file {
  char* name;
  const void* data;
  size_t size;
} kp_ort_memory_file;

typedef struct kp_ort_dimension {
  char* name;  // the symbol, or the denotation
  bool is_denotation;
  int64_t value;
} kp_ort_dimension;

// A shared library of custom operators, closed when the last options and session that know it are gone.
typedef struct kp_ort_library {
  int32_t refs;  // atomic
  void* handle;  // of dlopen
} kp_ort_library;

// What options and their clones have in common.
typedef struct kp_ort_flag {
  int32_t refs;      // atomic
  volatile int set;  // atomic
} kp_ort_flag;

struct OrtSessionOptions {
  ExecutionMode mode;
  bool profiling, mem_pattern, cpu_arena, global_threads, deterministic;
  char* profile_prefix;
  char* log_id;
  int log_verbosity, log_severity;  // severity -1: the environment's
  OrtLoggingFunction log_function;  // NULL: the environment's
  void* log_param;
  GraphOptimizationLevel level;
  int intra_op, inter_op;  // 0: default
  char* optimized_path;
  OrtKeyValuePairs config;
  kp_ort_provider* providers;
  size_t provider_count;
  kp_ort_initializer* initializers;
  size_t initializer_count;
  kp_ort_memory_file* files;
  size_t file_count;
  kp_ort_dimension* dimensions;
  size_t dimension_count;
  OrtCustomOpDomain** domains;  // borrowed
  size_t domain_count;
  kp_ort_library** libraries;
  size_t library_count;
  kp_ort_flag* cancel_load;               // one reference
  OrtCustomCreateThreadFn create_thread;  // NULL: the system's way
  OrtCustomJoinThreadFn join_thread;
  void* thread_options;
  bool has_policy;
  OrtExecutionProviderDevicePolicy policy;
  EpSelectionDelegate delegate;
  void* delegate_state;
};

struct OrtRunOptions {
  struct kapell_cancel terminate;
  int log_verbosity, log_severity;
  char* tag;
  OrtKeyValuePairs config;
  char* profile_prefix;             // NULL: this run is not profiled by itself
  const OrtLoraAdapter** adapters;  // borrowed, each
  size_t adapter_count;
  OrtSyncStream* stream;  // borrowed; NULL: the run's own
};

struct OrtArenaCfg {
  uint64_t max_memory;  // 0: no limit
};

// Adds a provider, its options copied. Keys and values may be NULL where |count| is 0.
OrtStatus* kp_ort_options_add_provider(OrtSessionOptions* options, const char* name,
                                       const char* const* keys, const char* const* values,
                                       size_t count);
// Value of a session's config entry, or |otherwise|.
const char* kp_ort_options_config(const OrtSessionOptions* options, const char* key,
                                  const char* otherwise);
// Hands |library| (taken) to the options.
OrtStatus* kp_ort_options_keep_library(OrtSessionOptions* options, void* handle);
kp_ort_library* kp_ort_library_retain(kp_ort_library* library);
void kp_ort_library_release(kp_ort_library* library);
void kp_ort_flag_release(kp_ort_flag* flag);
// Replaces the owned text in |field| by a copy of |text| (NULL: none).
OrtStatus* kp_ort_set_text(char** field, const char* text);
// One more element of |size| bytes at the end of the array, zeroed; NULL without memory.
void* kp_ort_append(void** array, size_t* count, size_t size);

// What sessions with |container| share; borrowed. NULL for NULL.
kp_blocks* kp_ort_prepacked_blocks(const OrtPrepackedWeightsContainer* container);

#endif  // KP_ORT_OPTIONS_H_
