// Kapell: runs ONNX models on whatever hardware a machine has.
//
// The order of this file is the order in which a program uses it: version, status, log, options, session, values, run,
// reports. A first program is examples/digits/digits.c.
//
// Ownership, everywhere: *_create/*_open gives one reference and *_release/*_close ends it (NULL is fine). Arguments are
// borrowed for the call unless a comment says otherwise. Outputs are named out_x, set to NULL first and written last.
// Threads: a session may be run from many threads at once; other objects belong to one thread at a time unless a comment says more.
// Errors: functions that can fail return kapell_status*, NULL on success.
#ifndef KAPELL_KAPELL_H_
#define KAPELL_KAPELL_H_

#include "kapell/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KAPELL_VERSION_MAJOR 0
#define KAPELL_VERSION_MINOR 1
#define KAPELL_VERSION_PATCH 0
#define KAPELL_VERSION_STRING "0.1.0"

// Version of the library that is loaded, "0.1.0" (compare with KAPELL_VERSION_STRING of the header). Static text.
KAPELL_API const char* kapell_version(void);

// --- status ---------------------------------------------------------------------------------------------------------

// KAPELL_OK for NULL.
KAPELL_API kapell_code kapell_status_code(const kapell_status* status);
// What happened, one line, without the code. "" for NULL. Valid until the status is freed; so are all texts below.
KAPELL_API const char* kapell_status_message(const kapell_status* status);
// What to try, or NULL.
KAPELL_API const char* kapell_status_hint(const kapell_status* status);
// The place in the model: node name, operator, value. NULL where not known.
KAPELL_API const char* kapell_status_node(const kapell_status* status);
KAPELL_API const char* kapell_status_op(const kapell_status* status);
KAPELL_API const char* kapell_status_value(const kapell_status* status);
// Everything, for people: "error KAPELL-E0301 UNSUPPORTED: ...", one indented line for each thing that was being done, the
// hint last.
KAPELL_API const char* kapell_status_text(kapell_status* status);
KAPELL_API void kapell_status_free(kapell_status* status);
// "UNSUPPORTED" for KAPELL_UNSUPPORTED.
KAPELL_API const char* kapell_code_name(kapell_code code);

// --- log --------------------------------------------------------------------------------------------------------------

// Receives every message at or above the level. Called on the thread that logs, possibly on several at once, with no lock
// of Kapell's held. |message| is valid during the call.
typedef void (*kapell_log_callback)(void* user, kapell_log_level level, const char* message);
// Process-wide. NULL restores the default: standard error, one line each.
KAPELL_API void kapell_log_set_callback(kapell_log_callback callback, void* user);
// Default WARNING, or what the environment variable KAPELL_LOG says.
KAPELL_API void kapell_log_set_level(kapell_log_level level);

// --- shadow checks -------------------------------------------------------------------------------------------------------

// How far a value is from the one that was expected.
typedef struct kapell_difference {
  size_t struct_size;   // set by the caller: sizeof(kapell_difference)
  bool comparable;      // kinds, types and shapes agree; else all below is 0
  size_t count, wrong;  // elements; those out of tolerance
  size_t worst;         // where |most| is
  double most;          // largest absolute difference; infinite where only one is NaN
  double
      relative_rms;  // root of the mean square of the differences, by that of the expected values; over finite elements
} kapell_difference;

// An output of a run beside the same on the CPU.
typedef struct kapell_shadow_output {
  const char* name;
  bool alarm;  // it is out of tolerance, or of another type or shape
  kapell_difference difference;
} kapell_shadow_output;

// What a shadow check found; valid during the callback.
typedef struct kapell_shadow_report {
  size_t struct_size;                   // sizeof(kapell_shadow_report) of the library
  uint64_t run;                         // number of the run in the session, from 1
  bool alarm;                           // of any output, or the CPU failed
  const char* failure;                  // why the CPU failed, or NULL
  const kapell_shadow_output* outputs;  // those that the run asked for
  size_t output_count;
} kapell_shadow_report;

// --- what sessions share ---------------------------------------------------------------------------------------------------

// Weights as kernels want them, held once for all sessions that are opened with one such object (kapell_options.shared_weights): those of
// equal contents are shared, be it between sessions of one model or of several. Sessions with other kernels (cpu_mask) pack others.
// Each session packs its weights before it finds them there: opening takes the same time, and a while one weight's memory more. Weights
// count for the session that packed them first (max_memory), and stay until the last session that uses them is closed.
// Threads: any, sessions may be opened and closed at once. It may be released before sessions that use it are closed.
typedef struct kapell_shared_weights kapell_shared_weights;
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_shared_weights_create(
    kapell_shared_weights** out_weights);
KAPELL_API void kapell_shared_weights_release(kapell_shared_weights* weights);
// Bytes held now, and those that sessions would hold besides without it. Each may be NULL.
KAPELL_API void kapell_shared_weights_bytes(kapell_shared_weights* weights, uint64_t* out_held,
                                            uint64_t* out_saved);

// Threads that the program makes, or has for some of its sessions alone (kapell_options.pool). Start from KAPELL_POOL_OPTIONS_INIT; every
// field's zero is its default.
typedef struct kapell_pool_options {
  size_t struct_size;
  int threads;  // that a run may use, the caller's included: one less are made. 0 (default): as in kapell_options

  // |create| starts a thread that calls work(arg) once, and gives a handle of it, NULL if it cannot; |join| waits for the end of such a
  // thread. Called by kapell_pool_create, and by whoever lets go of the pool last; after a fork |create| also in the first run of the
  // child. Default NULL: threads of the system. Both or neither.
  void* (*create)(void* user, void (*work)(void* arg), void* arg);
  void (*join)(void* user, void* handle);

  // Tell of the work that runs hand to the pool's threads; must be quick, and not run sessions. |enqueued|: something was offered to a
  // thread, called by the thread of the run; what it gives is the |token| of the others: |started| and |stopped| around the work on
  // the thread that does it, |abandoned| instead of both where no thread took it up. Default NULL.
  void* (*enqueued)(void* user);
  void (*started)(void* user, void* token);
  void (*stopped)(void* user, void* token);
  void (*abandoned)(void* user, void* token);

  void* user;  // of all of these; stays valid until the pool has ended
} kapell_pool_options;
#ifdef __cplusplus
#define KAPELL_POOL_OPTIONS_INIT \
  { sizeof(kapell_pool_options) }
#else
#define KAPELL_POOL_OPTIONS_INIT \
  { .struct_size = sizeof(kapell_pool_options) }
#endif

// All other sessions have one pool of the process together. The threads of this one are there at once; they end when it is released and
// the last session that uses it is closed, in that call, which must not be made from one of them.
// Threads: any. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY, LIMIT (|create| gave no thread; those that it made are joined).
typedef struct kapell_pool kapell_pool;
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_pool_create(const kapell_pool_options* options,
                                                             kapell_pool** out_pool);
KAPELL_API void kapell_pool_release(kapell_pool* pool);
// Threads that a run may use, the caller's included.
KAPELL_API int kapell_pool_threads(const kapell_pool* pool);

// --- options ------------------------------------------------------------------------------------------------------------

// A setting of one provider: {"CUDA.device_id", "1"}. The part before the first dot is the provider's name in any form.
typedef struct kapell_provider_option {
  const char* key;
  const char* value;
} kapell_provider_option;

// A setting for the libraries of providers: {"ep.context_enable", "1"}.
typedef struct kapell_config_entry {
  const char* key;
  const char* value;
} kapell_config_entry;

// A value in place of an initializer's own, which is then not read, external data included.
typedef struct kapell_initializer {
  const char* name;
  kapell_value*
      value;  // a dense tensor of the initializer's element type; retained. Its data must not change
  bool may_be_absent;  // a model without such an initializer is no error
} kapell_initializer;

// A number for a symbolic dimension of the model's inputs, everywhere it is used.
typedef struct kapell_dimension {
  const char* name;    // the symbol, "batch"; or the denotation, "DATA_BATCH"
  bool is_denotation;  // which of them |name| is
  int64_t value;
} kapell_dimension;

// A file of external data that is in memory.
typedef struct kapell_memory_file {
  const char* name;  // as the model calls it
  const void* data;  // valid and unchanged until the session is closed
  size_t byte_count;
} kapell_memory_file;

typedef enum kapell_on_failure {
  KAPELL_ON_FAILURE_ERROR = 0,  // a provider that fails in a run fails the run
  KAPELL_ON_FAILURE_CONTINUE =
      1  // the run is started again on a plan without that provider; counted, and a warning
} kapell_on_failure;

// Options of a session. Start from KAPELL_OPTIONS_INIT; every field's zero is its default. Texts are borrowed for the call.
typedef struct kapell_options {
  size_t struct_size;  // sizeof(kapell_options): tells the library which fields the program knows

  // Providers in order of priority, with consent and clauses: "CUDA>=90%,OpenVINO?,CPU; partitions<=3; floor=none".
  // Grammar in docs/providers.md. Default NULL: "CPU". The environment variable KAPELL_PROVIDERS overrides it, with a warning.
  const char* providers;
  const kapell_provider_option* provider_options;  // default NULL
  size_t provider_option_count;                    // default 0

  // Threads that a run may use, the caller's included. 0 (default): what affinity, cpuset and CPU quota allow. 1..256.
  int threads;
  // Takes instruction sets away, "avx2" or "-avx512f" (docs/environment.md). Default NULL: native.
  const char* cpu_mask;

  // Bytes given to kapell_session_open stay valid and unchanged until the session is closed; they are not copied. Default false.
  bool borrow_bytes;
  // Folder of external data for a model given as bytes (default NULL: no file access), or instead of the model's own folder.
  const char* external_folder;
  // Folders that symbolic links among the external data may lead to. Default none.
  const char* const* link_folders;
  size_t link_folder_count;

  // Constant folding: bytes (default 0: 1 GiB) and nanoseconds (default 0: 10 s) that it may use.
  uint64_t fold_bytes;
  uint64_t fold_ns;
  // Rewrites of the graph and fusions. Default false: on.
  bool no_optimize;

  // What happens when a provider fails in a run. Default KAPELL_ON_FAILURE_ERROR.
  kapell_on_failure on_failure;
  // Signatures (sets of input shapes) kept ready. 0 (default): 16. 1..4096.
  uint32_t signature_cache;
  // Longest run in nanoseconds, 0 (default): no limit. A provider that hangs past it fails the run with TIMEOUT.
  uint64_t run_timeout_ns;

  // Writes a profile of every run (Chrome trace JSON, opens in Perfetto) when the session is closed. Default NULL: none.
  const char* profile_path;

  // Called now and then while a session is opened, on the opening thread: |done| in 0..1. Return true to cancel. Default NULL.
  bool (*progress)(void* user, double done, const char* what);
  void* progress_user;

  // For models that may come from anyone (docs/untrusted.md): gives the limits below, and fold_bytes, fold_ns and run_timeout_ns, the
  // defaults in brackets; refuses external data with further names (hard links) or behind symbolic links (those only where no
  // link_folders are given), providers that come from libraries, and custom operators. Default false.
  bool untrusted;
  // Limits, in any mode; 0: the mode's default, UINT64_MAX: none. Past one of them: LIMIT or TIMEOUT, naming it and the node.
  // Heap bytes that the session may hold at once, its runs and results that the caller keeps included. Mapped files are not
  // counted, but neither the model's nor a tensor's external data may be larger. Default none [1 GiB].
  uint64_t max_memory;
  uint64_t max_nodes;       // after functions are expanded. Default 1 million [100,000]
  uint64_t max_iterations;  // of all loops in one run. Default none [1 million]
  uint64_t
      open_timeout_ns;  // opening the session. Default none [10 s]; fold_bytes [64 MiB], fold_ns [1 s], run_timeout_ns [10 s]
  // With |untrusted|: providers of the list may come from libraries all the same, and custom operators run. Default false.
  bool allow_libraries;

  // For looking for the node that errs: every value that nodes of the main graph make is an output of the session, in the order
  // of execution and the model's own among them; nothing is rewritten or fused away (no_optimize is implied), and the values of
  // a run are all alive at its end. Default false.
  bool keep_values;

  // Operators of the program's own (kapell/custom_op.h), kept by pointer until the session is closed. Default none.
  const struct kapell_custom_op* const* custom_ops;
  size_t custom_op_count;

  // What the model is opened with in place of its own. Default none. INVALID_ARGUMENT for a name that the model lacks (a dimension's may
  // be absent) or a value of another type.
  const kapell_initializer* initializers;
  size_t initializer_count;
  const kapell_dimension* dimensions;
  size_t dimension_count;
  const kapell_memory_file* memory_files;  // looked at before external_folder
  size_t memory_file_count;

  // Keeps a profile for kapell_session_profile_json, without a file. Default false.
  bool profile;

  // Shadow check: the first of each |shadow_every| runs is computed on the CPU as well, before it, and the outputs are compared. Takes the
  // CPU's memory and time besides. 0 (default): never. Runs that replace initializers are left out; nodes that draw random numbers
  // without a seed depart.
  uint32_t shadow_every;
  double shadow_atol,
      shadow_rtol;  // |value - CPU's| <= atol + rtol * |CPU's|. 0 (default): 1e-4, 1e-3
  // Called for each such run, within kapell_session_run and on its thread, with no lock held: possibly on several at once. Default NULL:
  // a warning in the log for each output that is out of tolerance.
  void (*shadow)(void* user, const kapell_shadow_report* report);
  void* shadow_user;

  // Libraries of providers and folders with such, by colons, looked at before KAPELL_PROVIDER_PATH (docs/doctor.md). Default NULL.
  const char* provider_path;

  // Denormal numbers (for f32 those below 1.2e-38) count as 0 while nodes are computed; processors are much slower with them. Default false.
  bool flush_denormals;
  // Threads of a run sleep as soon as they have nothing to do, instead of looking out for more for some 40 us. Default false.
  bool no_spin;
  // Writes the model to this file as it is when providers are asked for it: constants folded, functions expanded, nodes without effect gone. What
  // no file can hold is written as it came, with a warning. Default NULL: not written.
  const char* optimized_path;

  // Settings of the session as ONNX Runtime's clients write them ("session.disable_cpu_ep_fallback", "ep.context_enable"), handed on to
  // providers that come from libraries. Kapell itself reads none. Default none.
  const kapell_config_entry* config_entries;
  size_t config_entry_count;

  // Packed weights are shared with the other sessions that are given the same. Default NULL: the session's own.
  kapell_shared_weights* shared_weights;
  // Runs, and opening, use the threads of this pool instead of the process's; |threads| cuts their number. Default NULL.
  kapell_pool* pool;
} kapell_options;

#ifdef __cplusplus
#define KAPELL_OPTIONS_INIT \
  { sizeof(kapell_options) }
#else
#define KAPELL_OPTIONS_INIT \
  { .struct_size = sizeof(kapell_options) }
#endif

// --- session -------------------------------------------------------------------------------------------------------------

// A model, placed and compiled, ready to run.
typedef struct kapell_session kapell_session;

// Opens a session on the ONNX model in the file at |path|, an .onnx or one in ONNX Runtime's own format (.ort): the bytes say which.
// The file is mapped, not read: weights cost memory only where they are packed. It must not be truncated while the session is open.
//
// Owns:    nothing of the caller's. Close with kapell_session_close.
// Threads: callable from any thread.
// Errors:  NOT_FOUND, IO, NOT_A_MODEL, INVALID_MODEL, UNSUPPORTED_MODEL, EXTERNAL_DATA, UNSUPPORTED (a node that nobody takes),
//          BAD_PROVIDER_LIST, PROVIDER_UNAVAILABLE, PROVIDER_UNUSED, CLAUSE_VIOLATED, CANCELLED, LIMIT, OUT_OF_MEMORY. The message
//          names node and provider. *out_session is NULL on any error.
// Cost:    parses, plans and packs weights; expect milliseconds per MB.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_open_file(const char* path,
                                                                   const kapell_options* options,
                                                                   kapell_session** out_session);
// The same from |byte_count| bytes in memory; copies them unless options->borrow_bytes. External data needs
// options->external_folder.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_open(const void* bytes, size_t byte_count,
                                                              const kapell_options* options,
                                                              kapell_session** out_session);
// Ends the session: waits for no one; no run may be in progress.
KAPELL_API void kapell_session_close(kapell_session* session);

// Type of an input, output or element. Owned by the session.
typedef struct kapell_type_info {
  kapell_kind kind;
  kapell_type element;  // tensor, sparse: element type; map: key type; UNDEFINED = not known
  int32_t rank;         // tensor, sparse: -1 = not known
  const int64_t* dims;  // |rank| entries; -1 = not a number before the run
  const char* const*
      symbols;  // |rank| entries: "batch" for a symbolic dimension, NULL for a number or a nameless one
  const struct kapell_type_info* inner;  // sequence, optional: element; map: value; else NULL
  const char* denotation;  // what the file says that it is, "IMAGE"; NULL where it says nothing
} kapell_type_info;

typedef struct kapell_io_info {
  const char* name;
  const kapell_type_info* type;
  bool optional;  // an initializer that a run may replace
} kapell_io_info;

KAPELL_API size_t kapell_session_input_count(const kapell_session* session);
KAPELL_API size_t kapell_session_output_count(const kapell_session* session);
// NULL past the end. Inputs that a run must give come first, replaceable initializers (count below) after them.
KAPELL_API const kapell_io_info* kapell_session_input(const kapell_session* session, size_t index);
KAPELL_API const kapell_io_info* kapell_session_output(const kapell_session* session, size_t index);
KAPELL_API size_t kapell_session_overridable_count(const kapell_session* session);

// The model's metadata: properties of the file, and what it says of itself under "kapell:" names
// (kapell:producer, kapell:producer_version, kapell:domain, kapell:graph, kapell:doc, kapell:graph_doc, kapell:model_version,
// kapell:ir_version; kapell:ort_format, the version of ONNX Runtime's own format, of such a model).
KAPELL_API size_t kapell_session_metadata_count(const kapell_session* session);
KAPELL_API void kapell_session_metadata(const kapell_session* session, size_t index,
                                        const char** out_key, const char** out_value);
// Value by key, or NULL.
KAPELL_API const char* kapell_session_metadata_find(const kapell_session* session, const char* key);

// --- values ----------------------------------------------------------------------------------------------------------------

// A dense, row-major tensor in memory of its own; contents undefined, strings empty. INVALID_ARGUMENT for a bad type, rank
// (over 32), negative dimension or a size that overflows.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_tensor_create(kapell_type type,
                                                               const int64_t* dims, int32_t rank,
                                                               kapell_value** out_value);
// A tensor in the caller's memory of |byte_count| bytes (checked against type and dims; any alignment), which must stay valid
// until |release| is called with |user| and |data| (NULL: until the value is released). Not for strings.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_tensor_wrap(
    kapell_type type, const int64_t* dims, int32_t rank, void* data, size_t byte_count,
    void (*release)(void* user, void* data), void* user, kapell_value** out_value);
KAPELL_API kapell_value* kapell_value_retain(kapell_value* value);
KAPELL_API void kapell_value_release(kapell_value* value);
KAPELL_API kapell_kind kapell_value_kind(const kapell_value* value);
KAPELL_API kapell_type
kapell_value_type(const kapell_value* value);  // tensor, sparse: element type; map: key type
KAPELL_API int32_t kapell_tensor_rank(const kapell_value* value);
KAPELL_API const int64_t* kapell_tensor_dims(const kapell_value* value);
KAPELL_API size_t kapell_tensor_count(const kapell_value* value);  // elements
KAPELL_API size_t kapell_tensor_byte_count(const kapell_value* value);
KAPELL_API void* kapell_tensor_data(kapell_value* value);  // not for strings
KAPELL_API const void* kapell_tensor_const_data(const kapell_value* value);
// Strings: UTF-8, may hold NULs; the text returned has a NUL after |*out_length| bytes.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_tensor_set_string(kapell_value* value,
                                                                   size_t index, const char* text,
                                                                   size_t length);
KAPELL_API const char* kapell_tensor_string(const kapell_value* value, size_t index,
                                            size_t* out_length);
// Sequences, maps, optionals, sparse tensors. Children are retained by the parent; getters lend them.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_sequence_create(kapell_value* const* items,
                                                                 size_t count,
                                                                 kapell_value** out_value);
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_map_create(kapell_value* keys,
                                                            kapell_value* values,
                                                            kapell_value** out_value);
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_optional_create(kapell_value* item_or_null,
                                                                 kapell_value** out_value);
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_sparse_create(kapell_value* values,
                                                               kapell_value* indices,
                                                               const int64_t* dims, int32_t rank,
                                                               kapell_value** out_value);
// Sequence: elements; map: 0 = keys, 1 = values; optional: 0 = the element; sparse: 0 = values, 1 = indices. NULL past the end.
KAPELL_API size_t kapell_value_item_count(const kapell_value* value);
KAPELL_API kapell_value* kapell_value_item(const kapell_value* value, size_t index);

// Facts about types: "float32", bits of one element, bytes of |count| elements (SIZE_MAX on overflow).
KAPELL_API const char* kapell_type_name(kapell_type type);
KAPELL_API size_t kapell_type_bits(kapell_type type);
KAPELL_API size_t kapell_type_bytes(kapell_type type, size_t count);
// Element |index| of a numeric or bool tensor on the host as a double (any type, small floats included; complex: real part).
KAPELL_API double kapell_tensor_get_double(const kapell_value* value, size_t index);
KAPELL_API void kapell_tensor_set_double(kapell_value* value, size_t index, double number);

// |value - expected| <= atol + rtol * |expected|; NaN is as NaN, infinity as infinity. Strings differ or not. Values of several items:
// the elements of all of them, counted on. Both on the host.
KAPELL_API void kapell_value_difference(const kapell_value* value, const kapell_value* expected,
                                        double atol, double rtol,
                                        kapell_difference* out_difference);

// --- run --------------------------------------------------------------------------------------------------------------------

// Lets one thread stop runs on others. kapell_cancel_request may be called from any thread or a signal handler; the runs
// return CANCELLED within milliseconds. The token stays requested until reset.
typedef struct kapell_cancel kapell_cancel;
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_cancel_create(kapell_cancel** out_cancel);
KAPELL_API void kapell_cancel_request(kapell_cancel* cancel);
KAPELL_API void kapell_cancel_reset(kapell_cancel* cancel);
KAPELL_API void kapell_cancel_release(kapell_cancel* cancel);  // no run may be using it

// What the providers did, in one run or in all runs of a session.
typedef struct kapell_provider_counters {
  const char* provider;  // "CPUExecutionProvider"
  uint64_t runs;         // runs in which it took part
  uint64_t nodes;        // nodes it ran (of the user's file)
  uint64_t time_ns;
  uint64_t failures;
  uint64_t bytes;  // of the values that its partitions read and wrote
} kapell_provider_counters;

typedef struct kapell_counters {
  size_t struct_size;  // set by the caller: sizeof(kapell_counters)
  uint64_t runs;       // finished well
  uint64_t failed_runs;
  uint64_t cancelled_runs;
  uint64_t failovers;  // runs started again without a provider that failed
  uint64_t time_ns;    // of runs, added up
  uint64_t copies;     // between host and devices
  uint64_t copied_bytes;
  uint64_t signature_hits, signature_misses;
  uint64_t
      peak_bytes;  // largest memory of one run context: arena, scratch, outputs that Kapell allocated
  const kapell_provider_counters*
      providers;  // in the order of the chain; owned by the session (or the run's thread)
  size_t provider_count;
  uint64_t shadow_runs, shadow_alarms;  // runs computed on the CPU as well; those that departed
} kapell_counters;

// One thing that a run did: a node, a fused group, a copy.
typedef struct kapell_profile_event {
  const char* name;
  const char* op;
  const char* provider;
  const char* kernel;         // NULL where the provider says none
  const char* shapes;         // "float32[1,3,8,8] -> float32[1,8,8,8]"; NULL without memory
  uint64_t start_ns, end_ns;  // monotonic clock
  int64_t thread;
  double flops, bytes;
} kapell_profile_event;

// Options of one run. Start from KAPELL_RUN_OPTIONS_INIT; zero is the default.
typedef struct kapell_run_options {
  size_t struct_size;
  kapell_cancel* cancel;  // default NULL
  uint64_t timeout_ns;    // 0 (default): the session's
  int threads;            // 0 (default): the session's; at most that
  // Filled with what this run did, also where it fails; default NULL. |providers| points into memory that stays valid until this thread's next run
  // of the session.
  kapell_counters* counters;
  // The run's memory goes back to the system when it ends, instead of being kept for the next. Default false.
  bool free_memory;
  // Called for each event of this run when it is over, in the order of their ends, on its thread; the session's own profile then goes without
  // them. Default NULL.
  void (*profile)(void* user, const kapell_profile_event* event);
  void* profile_user;
  // For providers from libraries, which are told as a run begins and ends: a name for the run, and settings as ONNX Runtime's clients write them
  // ("qnn.htp_perf_mode"). Kapell itself reads none. Default none.
  const char* tag;
  const kapell_config_entry* config_entries;
  size_t config_entry_count;
} kapell_run_options;
#ifdef __cplusplus
#define KAPELL_RUN_OPTIONS_INIT \
  { sizeof(kapell_run_options) }
#else
#define KAPELL_RUN_OPTIONS_INIT \
  { .struct_size = sizeof(kapell_run_options) }
#endif

// Runs the model.
//
// |inputs| in the order of |input_names|; |input_names| NULL: in the order of kapell_session_input, |input_count| of them.
// |outputs|: for each of |output_names| (NULL: all, in order) either NULL, and the run makes the value (the caller releases
// it), or a value of the caller's that results are written into: a tensor of the right type and shape. Outputs that are not
// named are not computed where nothing else needs them. On an error no new value is left in |outputs|.
// Memory of an output may overlap an input's or another output's. An output that has exactly an input's memory, type and shape is
// written in place where the node that makes it can do so and is the last to read that input: attention caches, scatters, elementwise
// operators. A run that fails may then have overwritten the input, and is not started again without the provider that failed. Any
// other is computed apart and copied at the end (so it allocates, and of outputs that overlap each other the later one wins).
//
// Threads: any, at once. Errors: INVALID_ARGUMENT, INVALID_INPUT (names the input, what was expected and what came), RUN_FAILED,
// PROVIDER_FAILED, CANCELLED, TIMEOUT, LIMIT, OUT_OF_MEMORY.
// Cost: the first run of a new set of input shapes also computes shapes and memory (about a microsecond a node); after that
// nothing is allocated, outputs that the run makes apart.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_run(
    kapell_session* session, const kapell_run_options* options, const char* const* input_names,
    kapell_value* const* inputs, size_t input_count, const char* const* output_names,
    kapell_value** outputs, size_t output_count);

// The shape of an input, for kapell_session_estimate_memory.
typedef struct kapell_shape {
  const char* name;
  const int64_t* dims;
  int32_t rank;
} kapell_shape;

// Memory of a run, known before it.
typedef struct kapell_memory_estimate {
  size_t struct_size;
  // The model's file and its external data: the system may drop these pages at any time.
  uint64_t mapped_bytes;
  uint64_t opening_bytes;  // most that opening the session took
  uint64_t session_bytes;  // held since then: the graph, packed weights, plans; and a run's context
  uint64_t arena_bytes;    // values between partitions
  uint64_t scratch_bytes;  // inside the largest partition: intermediate values, working memory
  uint64_t output_bytes;
  // Session, arena, scratch and outputs. max_memory bounds this, and opening_bytes.
  uint64_t peak_bytes;
  // False: some shapes are known only while running, or bodies of control flow run: more may be needed.
  bool exact;
} kapell_memory_estimate;

// What one run on one thread at a time takes for inputs of these shapes; of inputs that |shapes| does not name, dimensions that are
// no numbers count as 1. |out_estimate|->struct_size must be set. Computes shapes as a first run would, and keeps nothing.
// Threads: any. Errors: INVALID_ARGUMENT, INVALID_INPUT (a name or shape that does not fit the model), LIMIT, OUT_OF_MEMORY.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_estimate_memory(
    kapell_session* session, const kapell_shape* shapes, size_t shape_count,
    kapell_memory_estimate* out_estimate);

// --- reports -----------------------------------------------------------------------------------------------------------------

// Why a provider before the one that runs the node does not.
typedef struct kapell_refusal {
  const char* provider;
  const char* reason;
  const char* source;  // "provider", "log", "kapell", "none"
} kapell_refusal;

typedef struct kapell_placed_node {
  const char* name;  // of the node in the user's file
  const char* op;
  const char* domain;
  const char* path;  // "" main graph, "loop1/body"
  const char*
      provider;  // NULL: no provider runs it: folded, removed or part of control flow ("executor")
  const char* how;    // "run", "folded", "removed", "executor"
  int32_t partition;  // index, -1 where none
  double flops;       // estimate with symbolic dimensions taken as 1; 0 = not known
  const kapell_refusal* refusals;
  size_t refusal_count;
  // Where the provider rewrote it: the node that is run instead ("FusedConv"), by which rewrite, and the first node of the file that
  // is run within the same one, as an index. NULL, NULL and SIZE_MAX: as in the file, or the provider does not say.
  const char* run_as;
  const char* rewrite;
  size_t fused_with;
} kapell_placed_node;

// A copy between memories.
typedef struct kapell_placed_copy {
  const char* value;
  const char* path;  // as in kapell_placed_node: of the graph that the copy stands in
  const char* from;  // "host", "Mock:0"
  const char* to;
  int64_t bytes;         // with symbolic dimensions taken as 1; -1 = not known
  bool exact;            // false: the shape is known only in a run
  const char* producer;  // node that makes the value; NULL: an input or a constant
  const char* consumer;  // first node that reads it there; NULL: it is an output
} kapell_placed_copy;

typedef struct kapell_placed_provider {
  const char* name;
  const char* asked;  // as written: "CUDA?"
  bool available;
  bool in_use;
  const char* version;  // NULL = not known
  const char* file;     // NULL = built in
  const char* reason;   // not available or not in use: why
  const char* fix;      // and what to do; NULL if nothing is known
  size_t nodes;
  size_t partitions;
  double flops;
  uint64_t
      weight_bytes;  // of the constants that its nodes read; one that several providers read counts for each
} kapell_placed_provider;

typedef struct kapell_placement {
  const kapell_placed_provider* providers;  // in the order of the list, the floor last
  size_t provider_count;
  const kapell_placed_node* nodes;  // every node of the user's file, in file order
  size_t node_count;
  size_t partition_count;
  size_t copies;       // between devices in one run of the main graph
  const char* list;    // the list of providers as used
  size_t body_copies;  // further ones inside bodies of control flow, each time such a body runs
  double flops;        // of all nodes
  const kapell_placed_copy* copy_list;  // those of the main graph, then those of bodies
  size_t copy_list_count;
  uint64_t
      copied_bytes;  // of the main graph's copies in one run, with symbolic dimensions taken as 1
  size_t unknown_copies;  // of the main graph's copies: those whose bytes only a run tells
} kapell_placement;

// Who runs what, and why. Owned by the session; read-only; the same at all times.
KAPELL_API const kapell_placement* kapell_session_placement(const kapell_session* session);
// The same as JSON (kapell_free_text it).
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_placement_json(
    const kapell_session* session, char** out_text);
// For people: providers, then nodes grouped by provider and reason (kapell_free_text it).
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_placement_text(
    const kapell_session* session, char** out_text);
// The placement as a lock: a stable text to keep beside the model and to compare, of nodes, partitions and copies (docs/placement.md;
// kapell_free_text it).
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_placement_lock(
    const kapell_session* session, char** out_text);
// Compares the placement with a lock of |byte_count| bytes. Error PLACEMENT_CHANGED: nodes moved, partitions are split, copies came or
// went; *out_diff (may be NULL; kapell_free_text it) then has a line for each, with the reason. INVALID_ARGUMENT: no lock.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_check_lock(const kapell_session* session,
                                                                    const char* lock,
                                                                    size_t byte_count,
                                                                    char** out_diff);
// An edge of the user's graph: the value that node |from| makes and node |to| reads (indices into the placement's nodes). SIZE_MAX:
// |from| is an input of the model, |to| an output.
typedef struct kapell_placed_edge {
  size_t from, to;
  const char* value;
} kapell_placed_edge;
// The edges between the nodes of the placement, those into bodies included; free with kapell_edges_free. Reads the model again (a
// session keeps no graph of the file): NOT_FOUND, IO, or INVALID_ARGUMENT when the file has changed since.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_placement_edges(
    const kapell_session* session, kapell_placed_edge** out_edges, size_t* out_count);
KAPELL_API void kapell_edges_free(kapell_placed_edge* edges);
// The node of kapell_session_placement that makes output |index|; NULL past the end, and for outputs that are inputs or constants.
KAPELL_API const kapell_placed_node* kapell_session_output_node(const kapell_session* session,
                                                                size_t index);
// Counters over all runs so far. |counters->struct_size| must be set. |providers| stays valid until this thread asks again.
KAPELL_API void kapell_session_counters(const kapell_session* session, kapell_counters* counters);
// The same in the text form that Prometheus reads, with what the placement gives each provider (kapell_free_text it). |name| is the value
// of the label "session"; NULL: no such label.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_metrics(const kapell_session* session,
                                                                 const char* name, char** out_text);
// The profile so far as Chrome trace JSON; "[]"-like when neither profile nor profile_path is set (kapell_free_text it).
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_profile_json(kapell_session* session,
                                                                      char** out_text);
// Calls |visit| with each event of the profile so far, in the order of their ends, on this thread and under the profile's lock: |visit|
// must not run the session. Texts are valid during the call. Does nothing when there is no profile.
KAPELL_API void kapell_session_profile_visit(kapell_session* session,
                                             void (*visit)(void* user,
                                                           const kapell_profile_event* event),
                                             void* user);
KAPELL_API void kapell_free_text(char* text);

// Opset version of |domain| ("" or "ai.onnx" for ONNX's own) that the model imports; 0 = none. *out_newest (may be NULL): the newest that this
// build knows; 0 for a domain that it does not.
KAPELL_API int64_t kapell_session_opset(const kapell_session* session, const char* domain,
                                        int64_t* out_newest);

// Every provider that this build knows, available or not.
typedef struct kapell_provider_info {
  const char* name;        // "CUDAExecutionProvider"
  const char* short_name;  // "CUDA"
  bool built_in;
  bool available;
  const char* version;
  const char* devices;  // text, "0: AMD EPYC"
  const char* reason;   // not available: why
  const char* fix;
} kapell_provider_info;
// A fresh list (probes each provider); free with kapell_providers_free.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_providers(kapell_provider_info** out_list,
                                                           size_t* out_count);
KAPELL_API void kapell_providers_free(kapell_provider_info* list);

// An option of a provider, for kapell_options.provider_options. Texts are static.
typedef struct kapell_provider_option_info {
  const char* key;            // "device_id"
  const char* kind;           // "bool", "int", "float", "text", "one of", "list of"
  const char* default_value;  // NULL: as the provider likes
  double min, max;            // of numbers
  const char* const* values;  // of "one of" and "list of", NULL at the end; NULL = any
  const char* help;
} kapell_provider_option_info;
// Option |index| of the provider (any form of its name), also of one that is not built in: the keys are ONNX Runtime's. False past
// the end, and for a name that nobody knows.
KAPELL_API bool kapell_provider_option_at(const char* provider, size_t index,
                                          kapell_provider_option_info* out_info);

// Hands settings to the providers of an open session, which may change how runs go from then on ({"ep.dynamic.workload_type",
// "Efficient"}). Those that have none to change, as Kapell's own, are passed over.
// Threads: any, also while runs are under way. Errors: INVALID_ARGUMENT; a provider's own words on keys and values that it does not take.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_session_configure(
    kapell_session* session, const kapell_config_entry* entries, size_t count);

// --- libraries of providers ----------------------------------------------------------------------------------------------------

// Loads the library of providers at |path|, made for ONNX Runtime's plug-in ABI (docs/hosting.md), into this process. Sessions that are
// opened from then on may name its providers in their lists: by the names that they have of their own, or, with libraries that take it as
// such, |name|. kapell_providers has them.
//
// Owns:    copies both texts. The library stays loaded until it is unregistered and the last session with one of its providers is
//          closed.
// Threads: any. The library's code runs in the caller's process with its rights: load only what you trust.
// Errors:  NOT_FOUND (no such file), PROVIDER_UNAVAILABLE (it does not load, and which library it lacks; it is no such library; what
//          it said itself), INVALID_ARGUMENT (|name| or the name of a provider in it is taken, or no list could carry that).
// Cost:    what the library takes to start, often a second. Since 0.1.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_provider_library_register(const char* name,
                                                                           const char* path);
// Registers the library that this machine has of |provider| (any form of its name), as a session that lists it would; nothing where it is
// built in or registered. PROVIDER_UNAVAILABLE, with what to do: none is here, or none with a device for it that has been seen to run.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_provider_library_find(const char* provider);
// Ends a registration: its providers are found no more; sessions that have one go on. Errors: NOT_FOUND, INVALID_ARGUMENT.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_provider_library_unregister(const char* name);

// --- doctor --------------------------------------------------------------------------------------------------------------------

// What is here of every provider known, what each library found needs and lacks, and the command that installs what is missing
// (docs/doctor.md). Start from KAPELL_DOCTOR_OPTIONS_INIT; every field's zero is its default.
typedef struct kapell_doctor_options {
  size_t struct_size;
  const char*
      require;  // providers that have to be usable, by commas, for kapell_doctor_ready. Default NULL: none
  const char*
      library;  // absolute path: look at this library instead of all providers. Default NULL
  const char*
      provider_path;  // as in kapell_options. Default NULL: what the configuration file says
  const char*
      root;  // look at the system in this folder (an unpacked container image) by its files. Default NULL: this one
  bool files_only;      // load nothing, not even in the helper process. Default false
  uint64_t timeout_ns;  // a library that takes longer to load is taken to hang. 0 (default): 20 s
} kapell_doctor_options;
#ifdef __cplusplus
#define KAPELL_DOCTOR_OPTIONS_INIT \
  { sizeof(kapell_doctor_options) }
#else
#define KAPELL_DOCTOR_OPTIONS_INIT \
  { .struct_size = sizeof(kapell_doctor_options) }
#endif

typedef struct kapell_doctor kapell_doctor;

// Looks at everything once. Libraries are read as files; those that look whole are loaded in the helper process kapell-probe, never in
// this one. Nothing is looked for in the working folder.
// Threads: any. Errors: BAD_PROVIDER_LIST (a name in |require| that nobody knows), INVALID_ARGUMENT, OUT_OF_MEMORY; what is broken
// or missing is no error, but part of the report. Cost: milliseconds, and about a second for each library that is loaded.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_doctor_open(const kapell_doctor_options* options,
                                                             kapell_doctor** out_doctor);
KAPELL_API void kapell_doctor_close(kapell_doctor* doctor);
// The report for people, and as JSON. Owned by the report.
KAPELL_API const char* kapell_doctor_text(const kapell_doctor* doctor);
KAPELL_API const char* kapell_doctor_json(const kapell_doctor* doctor);
// Whether sessions of this build can use each provider of |require|.
KAPELL_API bool kapell_doctor_ready(const kapell_doctor* doctor);
// Whether nothing that was found is broken.
KAPELL_API bool kapell_doctor_healthy(const kapell_doctor* doctor);

// Processor features that kernels are chosen by, as text ("avx2,fma,f16c"); static.
KAPELL_API const char* kapell_cpu_features(void);

// --- tensors in files (ONNX's TensorProto, the .pb of its test data) -------------------------------------------------------

// Reads a TensorProto, SequenceProto or OptionalProto; |kind| says which the file holds (KAPELL_KIND_TENSOR, ...).
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_value_read_pb(const void* bytes, size_t byte_count,
                                                               kapell_kind kind,
                                                               kapell_value** out_value);
// Serialises |value| named |name|; *out_bytes is freed by kapell_free_text.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_value_write_pb(const kapell_value* value,
                                                                const char* name, char** out_bytes,
                                                                size_t* out_byte_count);

// --- bug reports -------------------------------------------------------------------------------------------------------------

// What kapell_model_synthesise is to do, and what it did.
typedef struct kapell_synthesis {
  size_t struct_size;  // set by the caller: sizeof(kapell_synthesis)
  bool keep_metadata;  // doc strings and metadata stay. Default false: they are dropped
  bool untrusted;      // external data as strictly as in untrusted mode
  // Tensors, those in attributes included, and lists of numbers in attributes.
  uint64_t replaced, kept;
  uint64_t external;  // of both: were external data and lie in the model now
  uint64_t strings;   // texts that became letters
} kapell_synthesis;

// A model to hand on with a bug report: the graph in the file at |path| with weights that were drawn anew, as bytes of one ONNX file
// (kapell_free_text them). docs/bug-reports.md has the rule for what is drawn and what stays. |synthesis| may be NULL.
// Threads: any. Errors: those of kapell_session_open_file that reading has; LIMIT over 2 GiB.
KAPELL_API KAPELL_MUST_USE kapell_status* kapell_model_synthesise(const char* path,
                                                                  kapell_synthesis* synthesis,
                                                                  char** out_bytes,
                                                                  size_t* out_byte_count);

#ifdef __cplusplus
}
#endif
#endif  // KAPELL_KAPELL_H_
