// The chain: the caller's list of providers, parsed, loaded and asked for consent.
//
// Grammar (docs/providers.md):
//   list     = entry { "," entry } { ";" clause }
//   entry    = name [ "?" | ":optional" | ">=" number "%" [ "flops" | "nodes" ] ]
//   clause   = "floor=all" | "floor=none" | "floor=" op { "," op } | "partitions<=" n | "copies<=" n
//            | "copy-bytes<=" n [ K | M | G ] | "no-loop-copies"
// Names in any case, ONNX Runtime's or short. Spaces are free.
#ifndef KP_PLAN_CHAIN_H_
#define KP_PLAN_CHAIN_H_

#include "provider/provider.h"

typedef enum kp_consent {
  KP_CONSENT_REQUIRED,  // must load and run at least one node
  KP_CONSENT_OPTIONAL,  // "?": may be missing or run nothing
  KP_CONSENT_FLOOR      // the CPU at the end: takes what nobody claimed, requires nothing
} kp_consent;

typedef enum kp_share { KP_SHARE_NONE, KP_SHARE_FLOPS, KP_SHARE_NODES } kp_share;

typedef enum kp_floor { KP_FLOOR_ALL, KP_FLOOR_NONE, KP_FLOOR_LIST } kp_floor;

typedef struct kp_chain_entry {
  const char* written;     // "CUDA>=90%"
  const char* canonical;   // "CUDAExecutionProvider"
  const char* short_name;  // "CUDA"
  kp_consent consent;
  kp_share share;
  double share_percent;   // 0..100
  kp_provider* provider;  // NULL: unavailable
  const char* version;    // from the probe; NULL = not known
  const char* file;       // NULL = built in
  const char* reason;     // unavailable or dropped: why
  const char* fix;
  bool dropped;  // optional and failed at compile, or failed in a run: places nothing any more
} kp_chain_entry;

typedef struct kp_chain {
  kp_arena arena;
  const char* text;         // as given
  kp_chain_entry* entries;  // by priority, the floor (if any) last
  uint32_t count;
  kp_floor floor;
  const char** floor_ops;  // KP_FLOOR_LIST
  uint32_t floor_op_count;
  const char* floor_written;  // "floor=none"; NULL where the list has no such clause
  int64_t max_partitions;     // clauses; -1 = none
  int64_t max_copies;
  int64_t max_copy_bytes;
  bool no_loop_copies;
  // The list is not the one that options were given with: those of known providers that it does not name are passed over.
  bool replaced;
  const char*
      provider_path;  // where libraries are looked for first; of the caller's, for kp_chain_load. NULL = nowhere
} kp_chain;

// Parses |text|; NULL or "" is "CPU". Nothing is probed or loaded. Errors: BAD_PROVIDER_LIST with the place in the text and, for
// an unknown name, the names there are.
KP_MUST_USE kp_status* kp_chain_parse(const char* text, kp_chain** out_chain);

// A provider option as the user wrote it: "CUDA.device_id".
typedef struct kp_chain_option {
  const char* key;
  const char* value;
} kp_chain_option;

typedef struct kp_chain_load_args {
  kp_model* model;
  uint64_t cpu_features;
  const kp_chain_option* options;
  size_t option_count;
  const kp_option* config;  // for providers of libraries (kp_provider_args.config)
  size_t config_count;
  bool no_libraries;  // a provider that is not built in is not to be had
} kp_chain_load_args;

// Probes every entry and creates its provider. One that is not built in is looked for among the libraries that are registered, then
// among those that find/ knows on this machine: such a one is registered under the provider's name, and stays. A required one that is not to be had is an error (PROVIDER_UNAVAILABLE with reason and fix), an optional one a warning in the log. Options for a provider not in the list (unless it
// was replaced), unknown keys and bad values are errors; keys that the table lacks are handed on to libraries, with a warning.
KP_MUST_USE kp_status* kp_chain_load(kp_chain* chain, const kp_chain_load_args* args);

// Option of every provider that comes from a library, handled here: which of the devices that it offers it gets, "0,2" or "all".
#define KP_CHAIN_DEVICES "kapell_devices"

// May the floor take operator |op|?
bool kp_chain_floor_takes(const kp_chain* chain, const char* op);
// Entry index of the floor, or KP_NONE.
uint32_t kp_chain_floor_index(const kp_chain* chain);
void kp_chain_free(kp_chain* chain);  // destroys the providers; NULL is fine

#endif  // KP_PLAN_CHAIN_H_
