// Run options, and objects that carry settings which Kapell has no use for: arena configurations, prepacked-weights containers.
#include <string.h>

#include "base/alloc.h"
#include "ort/options.h"

// --- run options -----------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateRunOptions(OrtRunOptions** out) {
  KP_ORT_NEED(out);
  *out = kp_alloc_zero(1, sizeof(**out));
  if (!*out) return kp_ort_no_memory();
  (*out)->log_severity = -1;
  return NULL;
}

void ort_ReleaseRunOptions(OrtRunOptions* options) {
  if (!options) return;
  kp_free(options->tag);
  kp_free(options->profile_prefix);
  kp_ort_pairs_clear(&options->config);
  kp_free((void*)(uintptr_t)options->adapters);
  kp_free(options);
}

KP_ORT_SETTER(OrtRunOptions, RunOptionsSetRunLogVerbosityLevel, int, log_verbosity)
KP_ORT_SETTER(OrtRunOptions, RunOptionsSetRunLogSeverityLevel, int, log_severity)

OrtStatus* ort_RunOptionsSetRunTag(OrtRunOptions* options, const char* run_tag) {
  KP_ORT_NEED(options);
  return kp_ort_set_text(&options->tag, run_tag ? run_tag : "");
}

OrtStatus* ort_RunOptionsEnableProfiling(OrtRunOptions* options, const char* prefix) {
  KP_ORT_NEED(options);
  return kp_ort_set_text(&options->profile_prefix, prefix ? prefix : "");
}

OrtStatus* ort_RunOptionsDisableProfiling(OrtRunOptions* options) {
  KP_ORT_NEED(options);
  return kp_ort_set_text(&options->profile_prefix, NULL);
}

OrtStatus* ort_RunOptionsGetRunLogVerbosityLevel(const OrtRunOptions* options, int* level) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(level);
  *level = options->log_verbosity;
  return NULL;
}

OrtStatus* ort_RunOptionsGetRunLogSeverityLevel(const OrtRunOptions* options, int* severity) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(severity);
  *severity = options->log_severity;
  return NULL;
}

OrtStatus* ort_RunOptionsGetRunTag(const OrtRunOptions* options, const char** run_tag) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(run_tag);
  *run_tag = options->tag ? options->tag : "";
  return NULL;
}

OrtStatus* ort_RunOptionsSetTerminate(OrtRunOptions* options) {
  KP_ORT_NEED(options);
  __atomic_store_n(&options->terminate.requested, 1, __ATOMIC_RELAXED);
  return NULL;
}

OrtStatus* ort_RunOptionsUnsetTerminate(OrtRunOptions* options) {
  KP_ORT_NEED(options);
  __atomic_store_n(&options->terminate.requested, 0, __ATOMIC_RELAXED);
  return NULL;
}

OrtStatus* ort_AddRunConfigEntry(OrtRunOptions* options, const char* key, const char* value) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(key);
  KP_ORT_NEED(value);
  if (!key[0])
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Config key is empty or longer than maximum length 1024");
  KP_ORT_TAKE(kp_ort_pairs_set(&options->config, key, value));
  return NULL;
}

const char* ort_GetRunConfigEntry(const OrtRunOptions* options, const char* key) {
  return options && key ? kp_ort_pairs_get(&options->config, key) : NULL;
}

// --- arena configurations: a run plans its memory, what it may use at most is all that there is to shape ------------------------
static OrtStatus* make_arena(size_t max_memory, OrtArenaCfg** out) {
  *out = kp_alloc_zero(1, sizeof(**out));
  if (!*out) return kp_ort_no_memory();
  (*out)->max_memory = max_memory;
  return NULL;
}

static OrtStatus* bad_arena(void) {
  return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid configuration value was provided.");
}

// How chunks grow is a wish that nothing here can heed; -1 is the default. The last number is not looked at in ONNX Runtime either.
OrtStatus* ort_CreateArenaCfg(size_t max_mem, int arena_extend_strategy,
                              int initial_chunk_size_bytes, int max_dead_bytes_per_chunk,
                              OrtArenaCfg** out) {
  (void)max_dead_bytes_per_chunk;
  KP_ORT_NEED(out);
  *out = NULL;
  if (arena_extend_strategy < -1 || arena_extend_strategy > 1 || initial_chunk_size_bytes < -1)
    return bad_arena();
  return make_arena(max_mem, out);
}

typedef struct arena_key {
  const char* name;
  bool is_int;   // else 64 bits, as signed
  int64_t most;  // -1 is the default of all
} arena_key;

static const arena_key* find_arena_key(const char* name) {
  static const arena_key known[] = {{"arena_extend_strategy", true, 1},
                                    {"initial_chunk_size_bytes", true, INT32_MAX},
                                    {"max_dead_bytes_per_chunk", true, INT32_MAX},
                                    {"initial_growth_chunk_size_bytes", true, INT32_MAX},
                                    {"max_power_of_two_extend_bytes", false, INT64_MAX}};
  for (size_t i = 0; name && i < sizeof known / sizeof known[0]; ++i)
    if (strcmp(name, known[i].name) == 0) return &known[i];
  return NULL;
}

OrtStatus* ort_CreateArenaCfgV2(const char* const* keys, const size_t* values, size_t count,
                                OrtArenaCfg** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  if (count) KP_ORT_NEED(keys);
  if (count) KP_ORT_NEED(values);
  size_t max_memory = 0;
  for (size_t i = 0; i < count; ++i) {
    if (keys[i] && strcmp(keys[i], "max_mem") == 0) {
      max_memory = values[i];
      continue;
    }
    const arena_key* key = find_arena_key(keys[i]);
    if (!key)
      return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid key found: %s",
                          keys[i] ? keys[i] : "NULL");
    const int64_t number = key->is_int ? (int32_t)(uint32_t)values[i] : (int64_t)values[i];
    if (number < -1 || number > key->most) return bad_arena();
  }
  return make_arena(max_memory, out);
}

void ort_ReleaseArenaCfg(OrtArenaCfg* config) { kp_free(config); }

// --- prepacked-weights containers ------------------------------------------------------------------------------------------------
struct OrtPrepackedWeightsContainer {
  kp_blocks* blocks;
};

kp_blocks* kp_ort_prepacked_blocks(const OrtPrepackedWeightsContainer* container) {
  return container ? container->blocks : NULL;
}

OrtStatus* ort_CreatePrepackedWeightsContainer(OrtPrepackedWeightsContainer** out) {
  KP_ORT_NEED(out);
  *out = kp_alloc_zero(1, sizeof(**out));
  if (!*out) return kp_ort_no_memory();
  (*out)->blocks = kp_blocks_create();
  if ((*out)->blocks) return NULL;
  kp_free(*out);
  *out = NULL;
  return kp_ort_no_memory();
}

// Sessions that share weights through it keep them.
void ort_ReleasePrepackedWeightsContainer(OrtPrepackedWeightsContainer* container) {
  if (container) kp_blocks_release(container->blocks);
  kp_free(container);
}
