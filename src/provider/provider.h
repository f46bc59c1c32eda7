// The contract between Kapell and an execution provider. Internal and free to change; provider/null/ is a skeleton to copy.
//
// Life: probe (is it here?) -> create (one instance a session) -> capability (what would you run?) -> compile (each partition
// that it got) -> specialise (numbers for one signature) -> run. All strings handed out live as long as the provider type.
//
// Rules of the house:
// - capability is asked on a read-only graph, has no side effects and may be asked again (after a failed compile, for bodies).
// - A partition is a private copy: the provider may rewrite it at will; it takes it over.
// - Values at a partition's border are dense and row-major, in the memory that the claim stated.
// - specialise computes numbers only, from the given arena; nothing else may be kept by the result.
// - run gets its scratch and outputs; it allocates nothing in steady state except outputs whose size the data decides.
#ifndef KP_PROVIDER_PROVIDER_H_
#define KP_PROVIDER_PROVIDER_H_

#include "base/blocks.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/graph.h"

typedef struct kp_provider_type kp_provider_type;
typedef struct kp_provider kp_provider;
typedef struct kp_compiled kp_compiled;
typedef struct kp_special kp_special;
typedef struct kp_stream kp_stream;
typedef struct kp_claims kp_claims;
typedef struct kp_profile kp_profile;

// --- options -----------------------------------------------------------------------------------------------------------
typedef enum kp_option_kind {
  KP_OPTION_BOOL,
  KP_OPTION_INT,
  KP_OPTION_FLOAT,
  KP_OPTION_STRING,
  KP_OPTION_ENUM,
  KP_OPTION_LIST
} kp_option_kind;

typedef struct kp_option_def {
  const char* key;
  kp_option_kind kind;
  const char* default_text;
  double min, max;            // INT, FLOAT
  const char* const* values;  // ENUM: NULL-terminated list; LIST: the words allowed, NULL = any
  const char* help;
} kp_option_def;

typedef struct kp_option {  // one setting of the user's
  const char* key;
  const char* value;
} kp_option;

// Checks |options| against |defs| and fills *out_texts (one entry a def, arena; defaults filled in; a default may be NULL). Keys and
// ENUM values compare without case; texts come out in one form: BOOL "0" or "1" (true/false, on/off, yes/no are read), ENUM as in
// |values|, numbers and strings as written. The last of equal keys wins. Errors: BAD_PROVIDER_LIST naming the key, the nearest
// good one and all of them, or the value and what is allowed.
KP_MUST_USE kp_status* kp_options_check(const char* provider, const kp_option_def* defs,
                                        size_t def_count, const kp_option* options,
                                        size_t option_count, kp_arena* arena,
                                        const char*** out_texts);

// --- probe --------------------------------------------------------------------------------------------------------------
typedef struct kp_device_info {
  int id;
  const char* name;       // "AMD EPYC", "NVIDIA H200"
  uint64_t memory_bytes;  // 0 = not known
} kp_device_info;

typedef struct kp_probe {        // strings in |arena|
  const kp_provider_type* type;  // in: the type that is probed (several types may share functions)
  kp_arena* arena;               // in
  bool available;
  const char* version;  // NULL = not known
  const char* file;     // library it comes from; NULL = built in
  const kp_device_info* devices;
  size_t device_count;
  const char* reason;  // not available: what is missing
  const char* fix;     // and what to do about it
} kp_probe;

// --- capability -----------------------------------------------------------------------------------------------------------
typedef enum kp_reason_source {
  KP_SOURCE_PROVIDER,  // the provider stated it
  KP_SOURCE_LOG,       // it logged it
  KP_SOURCE_INFERRED,  // Kapell concluded it
  KP_SOURCE_NONE       // the engine gives none
} kp_reason_source;

// A group: nodes that the provider would run together.
typedef struct kp_claim_io {
  kp_value_id value;
  const kp_memory* memory;  // where this provider needs (input) or leaves (output) it; NULL = host
} kp_claim_io;

typedef struct kp_claim {
  const kp_node_id* nodes;
  uint32_t count;
  bool
      atomic;  // all or nothing; otherwise any subset may be taken, and groups that touch are joined
  const kp_memory* memory;  // inputs and outputs lie here, except those listed
  const kp_claim_io* exceptions;
  uint32_t exception_count;
} kp_claim;

// Copies |claim|'s arrays. Errors: OUT_OF_MEMORY; INVALID_ARGUMENT for a node that is not free or is claimed twice.
KP_MUST_USE kp_status* kp_claims_add(kp_claims* claims, const kp_claim* claim);
// Says why |node| is not claimed: one line of what stands in the way, with numbers ("mode=cubic has no kernel; linear has"). One
// refusal is kept a node: the best founded, then the first. Words for nodes that were not offered are ignored; out of memory
// loses the words (plan/ then says that no reason was given).
void kp_claims_refuse(kp_claims* claims, kp_node_id node, kp_reason_source source,
                      const char* format, ...) KAPELL_PRINTF(4, 5);
bool kp_claims_is_free(const kp_claims* claims,
                       kp_node_id node);  // offered, and not claimed in this answer either

// --- compile, specialise, run ------------------------------------------------------------------------------------------------
typedef struct kp_compile_args {
  kp_graph* part;                             // taken over by the provider, also on error
  const char* name;                           // "partition 3", for messages and profiles
  int width;                                  // threads of the session
  const volatile int* cancel;                 // non-zero: stop soon with CANCELLED; may be NULL
  void (*progress)(void* user, double done);  // 0..1; may be NULL
  void* user;
  kp_blocks*
      blocks;  // for packed weights, shared with other sessions; lives until the release; NULL: none
} kp_compile_args;

// An input or output at specialising time. rank -1: not known before the run (outputs only).
typedef struct kp_shape_info {
  kapell_kind kind;  // TENSOR, or another kind: then nothing below is set
  kapell_type type;
  int32_t rank;
  const int64_t* dims;  // numbers
  const void* data;     // contents when known before the run (host memory), else NULL
} kp_shape_info;

typedef struct kp_specialise_args {
  const kp_shape_info* inputs;  // parallel to the partition's inputs
  uint32_t input_count;
  int width;        // threads the run may use
  kp_arena* arena;  // everything of the result lives here
} kp_specialise_args;

struct
    kp_special {  // first member of the provider's own struct; keeps nothing of kp_specialise_args but its arena
  size_t scratch_bytes;  // host scratch wanted for a run, KP_ALIGNMENT-aligned
  const kp_shape_info*
      outputs;  // parallel to the partition's outputs; |data| set for outputs that are known already
  uint32_t output_count;
  // Parallel to outputs: the input in whose very memory the output may lie, which is then overwritten; KP_NONE. NULL = none may.
  const uint32_t* aliases;
  bool allocates;  // sizes inside that only the run tells: it takes memory besides the scratch
  // For messages: the node whose value or working memory is the largest part of the scratch; NULL = not known.
  const kp_node* largest_node;
};

typedef struct kp_run_args {
  kapell_value* const* inputs;  // where the claim wanted them
  // Outputs whose shape was known are dense tensors with memory already; the others are shells: give them contents through
  // kp_run_output (tensors) or by replacing the pointer with an owned value (other kinds; the shell is exec's to keep). Exec
  // releases what was handed out before a failure.
  kapell_value** outputs;
  void* scratch;  // special->scratch_bytes
  int width;
  const volatile int*
      cancel;  // non-zero: return CANCELLED soon (checked at least every few milliseconds of work)
  uint64_t deadline_ns;  // clock.h; past it return TIMEOUT soon, where the provider can; 0 = none
  kp_stream* stream;     // NULL for providers without streams
  kp_profile* profile;   // NULL: not profiling
  void* exec;            // for kp_run_output
} kp_run_args;

// What is told of a run as a whole.
typedef struct kp_run_info {
  const char* tag;          // NULL: none
  const kp_option* config;  // settings of the run, for every provider alike
  size_t config_count;
} kp_run_info;

// Gives output |index| its storage: memory by the claim, shape |dims|. Threads: the run's own.
KP_MUST_USE kp_status* kp_run_output(const kp_run_args* args, uint32_t index, kapell_type type,
                                     const int64_t* dims, int32_t rank, kapell_value** out_value);

// --- profile ----------------------------------------------------------------------------------------------------------------
typedef struct kp_profile_event {
  const char* name;  // node name
  const char* op;
  const char* provider;
  const char* kernel;  // variant, "gemm_f32_avx2"
  const uint32_t* origins;
  uint32_t origin_count;
  uint64_t start_ns, end_ns;
  double flops, bytes;                // 0 = not known
  const kapell_value* const* inputs;  // for shapes; read during the call only
  uint32_t input_count;
  const kapell_value* const* outputs;
  uint32_t output_count;
} kp_profile_event;
void kp_profile_add(kp_profile* profile,
                    const kp_profile_event* event);  // thread-safe; loses events when memory is out

// --- the provider itself -----------------------------------------------------------------------------------------------------
typedef struct kp_provider_args {
  const kp_provider_type* type;     // the type that is created (several types may share functions)
  const char* const* option_texts;  // parallel to type->options, checked
  int device_id;
  uint64_t cpu_features;  // mask of the session
  kp_model* model;
  // For types with KP_PROVIDER_HOSTED, which hand settings on to their library. All are borrowed for the call.
  const kp_option*
      options;  // what the user set of this provider: keys without its name, values as written
  size_t option_count;
  const kp_option*
      config;  // entries of the session, for every provider alike (kapell_options.config_entries)
  size_t config_count;
  const uint32_t*
      devices;  // which of the type's devices were chosen, by index; none: as the provider likes
  size_t device_count;
} kp_provider_args;

// Flags. Those of kp_provider_type hold for every instance; kp_provider.flags are the instance's own (options may add STATIC,
// STREAMS or CONTROL), and are what plan/ and exec/ go by once there is an instance.
#define KP_PROVIDER_HOST 1u  // runs on host memory and takes values of every kind
#define KP_PROVIDER_STATIC \
  2u  // needs every shape inside a unit at specialising time: plan cuts after data-dependent nodes
#define KP_PROVIDER_STREAMS 4u  // run only enqueues; exec waits on fences
#define KP_PROVIDER_CONTROL \
  8u  // may claim whole If/Loop/Scan nodes; otherwise these are never offered
#define KP_PROVIDER_HIDDEN 16u  // for tests: not in lists meant for users, found only by name
// Comes from a library that was registered while the program runs: options that the table does not know are handed on, and the
// type may go (kp_provider_find).
#define KP_PROVIDER_HOSTED 32u

struct kp_provider_type {
  const char* name;        // ONNX Runtime's name: "CPUExecutionProvider"
  const char* short_name;  // "CPU", for messages
  uint32_t flags;
  const kp_option_def* options;
  size_t option_count;
  // Cheap, without side effects, never crashes.
  kp_status* (*probe)(const char* const* option_texts, kp_probe* probe);
  kp_status* (*create)(const kp_provider_args* args, kp_provider** out_provider);
  void (*destroy)(kp_provider* provider);
  kp_status* (*capability)(kp_provider* provider, const kp_graph* graph, kp_claims* claims);
  kp_status* (*compile)(kp_provider* provider, const kp_compile_args* args,
                        kp_compiled** out_compiled);
  void (*release)(kp_compiled* compiled);
  kp_status* (*specialise)(kp_compiled* compiled, const kp_specialise_args* args,
                           kp_special** out_special);
  kp_status* (*run)(kp_compiled* compiled, const kp_special* special, const kp_run_args* args);
  // (optional) Runs |node| at once on host values: for constant folding, and for the mock, which has no kernels. Outputs: NULL on
  // entry; on success new values, one reference each. Errors: UNSUPPORTED (no kernel), RUN_FAILED, OUT_OF_MEMORY.
  kp_status* (*evaluate)(const kp_graph* graph, const kp_node* node, kapell_value* const* inputs,
                         kapell_value** outputs);
  // (optional, with KP_PROVIDER_STREAMS) A stream belongs to one run. Before run returns it has read all that it needs of
  // kp_run_args, the special, and the values themselves (types, dims, addresses); the memory that values' data and scratch
  // lie in, and *cancel, stay valid until a ticket signalled after that run is reached or the stream is destroyed. Work of one
  // stream is done in order, so that memory may be used again by later work of the stream. kp_run_output may be called during
  // run only: a run with an output of unknown shape waits for its own work.
  // A failure of enqueued work is returned by the next stream_signal or stream_wait. Destroy abandons what has not begun and ends
  // what has; it may block for a few milliseconds, also when the device hangs. signal gives a ticket that is reached when all enqueued so
  // far is done; wait blocks until it is, |deadline_ns| (clock.h; 0 = none) passes, or *cancel is set: *out_done says which.
  kp_status* (*stream_create)(kp_provider* provider, kp_stream** out_stream);
  void (*stream_destroy)(kp_stream* stream);
  kp_status* (*stream_signal)(kp_stream* stream, uint64_t* out_ticket);
  kp_status* (*stream_wait)(kp_stream* stream, uint64_t ticket, uint64_t deadline_ns,
                            const volatile int* cancel, bool* out_done);
  // (optional; both or none) Called before the first work and after the last of each run of a session in which the provider has
  // nodes, on the run's thread. What begin leaves in *out_run end is handed, also after a failure. Between them the run counts for
  // max_concurrent_runs.
  kp_status* (*run_begin)(kp_provider* provider, const kp_run_info* info, void** out_run);
  kp_status* (*run_end)(kp_provider* provider, void* run);
  // (optional) Calls |node| for each node as it is run, with the rewrite and the origins that it has by then: the report traces
  // fused nodes back to the file with it. Default: nothing is known of the inside.
  void (*visit)(const kp_compiled* compiled,
                void (*node)(void* user, const kp_node* node, const char* kernel), void* user);
  // (optional) What was done inside, as JSON object text appended to |out|; default: nothing.
  void (*describe)(const kp_compiled* compiled, kp_strbuf* out);
  // (optional) Changes settings of a living provider, between and during runs; those that it does not know are for others. Default: has
  // none that could change.
  kp_status* (*configure)(kp_provider* provider, const kp_option* options, size_t count);
  // (optional; both or none) Counts users of a type that may go. Called with the registry's lock held. Default: it stays for ever.
  void (*retain)(const kp_provider_type* type);
  void (*unretain)(const kp_provider_type* type);  // without that lock
};

struct kp_provider {  // first member of the provider's own struct
  const kp_provider_type* type;
  uint32_t flags;  // KP_PROVIDER_*: type->flags and what the options added
  const kp_memory*
      memory;  // its device memory; NULL = host. It may outlive the provider while values lie in it
  uint32_t max_concurrent_runs;  // 0 = no limit
};

struct kp_compiled {  // first member of the provider's own struct
  kp_provider* provider;
  // Bit i: input i's contents are needed at specialising time (shapes depend on them); they become part of the signature.
  const bool* value_inputs;  // parallel to the partition's inputs; NULL = none
  // Input that output i may be written over (same shape and type), -1 = none. NULL = none at all.
  const int32_t* aliases;
};

// --- registry -----------------------------------------------------------------------------------------------------------------
// Canonical names are ONNX Runtime's ("CUDAExecutionProvider"); any form of a name in any case stands for it: the canonical one, the
// short one ("CUDA"), and further aliases ("trt", "nvidia"). All texts stay for ever, those of types that went too. Threads: any.

// Providers built in, in the order of builtin.inl (the CPU first); NULL past the end. Hidden ones are included.
const kp_provider_type* kp_provider_builtin(size_t index);
// Every provider known, built in or not, then those of registered libraries; hidden ones left out: canonical names; NULL past the end.
// The end may move meanwhile.
const char* kp_provider_known(size_t index);
// Canonical name for any form, or NULL if no provider of that name is known at all.
const char* kp_provider_canonical(kp_str name);
const char* kp_provider_short(const char* canonical);  // "CUDA"; NULL if unknown
// The type, to be ended with kp_provider_unfind; NULL: known, but neither built in here nor of a registered library.
const kp_provider_type* kp_provider_find(const char* canonical);
void kp_provider_unfind(const kp_provider_type* type);  // NULL is fine
// Why a known provider is not in this build, and what to do ("CoreML is part of macOS and iOS; this is Linux"). Both NULL for
// one that is built in or unknown.
void kp_provider_absence(const char* canonical, const char** out_reason, const char** out_fix);
// Options of provider |canonical|, built in or only known (known_options.inl); |*out_count| 0: none.
const kp_option_def* kp_provider_options(const char* canonical, size_t* out_count);
// Whose option |key| ("CUDA.device_id") is: the canonical name, and the part behind it; NULL: nobody's. Names may have dots.
const char* kp_provider_of_option(const char* key, const char** out_rest);
// The error for a name that nobody knows: BAD_PROVIDER_LIST, with the nearest known name and the list of short names.
KP_MUST_USE kp_status* kp_provider_unknown(kp_str name);
// Short names of all known providers, by ", ".
void kp_provider_list_names(kp_strbuf* buf);

// --- types that come and go (dynamic.c) -------------------------------------------------------------------------------------------
// A copy of |text| that stays for ever, the same for equal texts; NULL without memory.
const char* kp_provider_text(const char* text);
// Adds |type|, whose texts are of kp_provider_text. Errors: INVALID_ARGUMENT for a name that no list of providers could carry, or that
// is taken by another type or form of a built-in one; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_provider_add(const kp_provider_type* type);
void kp_provider_remove(const kp_provider_type* type);  // found no more; nothing if it is not there

#endif  // KP_PROVIDER_PROVIDER_H_
