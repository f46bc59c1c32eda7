// Session options: life, copies and the slots that set them. What they come to is decided where a session is made (dropin/).
#include <dlfcn.h>
#include <string.h>

#include "base/alloc.h"
#include "ort/options.h"

#define CONFIG_KEY_LIMIT 1024
#define CONFIG_VALUE_LIMIT 4096

// --- parts -----------------------------------------------------------------------------------------------------------------------
void* kp_ort_append(void** array, size_t* count, size_t size) {
  char* grown = kp_realloc_array(*array, *count + 1, size);
  if (!grown) return NULL;
  *array = grown;
  return memset(grown + (*count)++ * size, 0, size);
}

#define APPEND(options, list, list_count) \
  kp_ort_append((void**)&(options)->list, &(options)->list_count, sizeof(*(options)->list))

OrtStatus* kp_ort_set_text(char** field, const char* text) {
  char* copy = text ? kp_strdup(text) : NULL;
  if (text && !copy) return kp_ort_no_memory();
  kp_free(*field);
  *field = copy;
  return NULL;
}

void kp_ort_flag_release(kp_ort_flag* flag) {
  if (flag && __atomic_sub_fetch(&flag->refs, 1, __ATOMIC_ACQ_REL) == 0) kp_free(flag);
}

kp_ort_library* kp_ort_library_retain(kp_ort_library* library) {
  __atomic_fetch_add(&library->refs, 1, __ATOMIC_RELAXED);
  return library;
}

void kp_ort_library_release(kp_ort_library* library) {
  if (!library || __atomic_sub_fetch(&library->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
  dlclose(library->handle);
  kp_free(library);
}

OrtStatus* kp_ort_options_keep_library(OrtSessionOptions* options, void* handle) {
  kp_ort_library* library = kp_alloc_zero(1, sizeof(*library));
  kp_ort_library** slot = library ? APPEND(options, libraries, library_count) : NULL;
  if (!slot) {
    kp_free(library);
    dlclose(handle);
    return kp_ort_no_memory();
  }
  *library = (kp_ort_library){.refs = 1, .handle = handle};
  *slot = library;
  return NULL;
}

OrtStatus* kp_ort_options_add_provider(OrtSessionOptions* options, const char* name,
                                       const char* const* keys, const char* const* values,
                                       size_t count) {
  kp_ort_provider* provider = APPEND(options, providers, provider_count);
  if (!provider) return kp_ort_no_memory();
  KP_ORT_PASS(kp_ort_set_text(&provider->name, name));
  for (size_t i = 0; i < count; ++i) {
    if (!keys[i] || !keys[i][0] || !values[i])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "option %zu of %s has no key or no value", i, name);
    KP_ORT_TAKE(kp_ort_pairs_set(&provider->options, keys[i], values[i]));
  }
  return NULL;
}

const char* kp_ort_options_config(const OrtSessionOptions* options, const char* key,
                                  const char* otherwise) {
  const char* value = kp_ort_pairs_get(&options->config, key);
  return value ? value : otherwise;
}

// --- life ------------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateSessionOptions(OrtSessionOptions** options) {
  KP_ORT_NEED(options);
  *options = NULL;
  OrtSessionOptions* made = kp_alloc_zero(1, sizeof(*made));
  kp_ort_flag* flag = kp_alloc_zero(1, sizeof(*flag));
  if (!made || !flag) {
    kp_free(made);
    kp_free(flag);
    return kp_ort_no_memory();
  }
  flag->refs = 1;
  *made = (OrtSessionOptions){.mem_pattern = true,
                              .cpu_arena = true,
                              .log_severity = -1,
                              .level = ORT_ENABLE_ALL,
                              .cancel_load = flag};
  *options = made;
  return NULL;
}

static void free_lists(OrtSessionOptions* o) {
  for (size_t i = 0; i < o->provider_count; ++i) {
    kp_free(o->providers[i].name);
    kp_ort_pairs_clear(&o->providers[i].options);
  }
  for (size_t i = 0; i < o->initializer_count; ++i) {
    kp_free(o->initializers[i].name);
    kp_value_release(o->initializers[i].value);
  }
  for (size_t i = 0; i < o->file_count; ++i) kp_free(o->files[i].name);
  for (size_t i = 0; i < o->dimension_count; ++i) kp_free(o->dimensions[i].name);
  for (size_t i = 0; i < o->library_count; ++i) kp_ort_library_release(o->libraries[i]);
  kp_free(o->providers);
  kp_free(o->initializers);
  kp_free(o->files);
  kp_free(o->dimensions);
  kp_free(o->domains);
  kp_free(o->libraries);
}

void ort_ReleaseSessionOptions(OrtSessionOptions* options) {
  if (!options) return;
  free_lists(options);
  kp_free(options->profile_prefix);
  kp_free(options->log_id);
  kp_free(options->optimized_path);
  kp_ort_pairs_clear(&options->config);
  kp_ort_flag_release(options->cancel_load);
  kp_free(options);
}

static OrtStatus* copy_lists(OrtSessionOptions* to, const OrtSessionOptions* from) {
  for (size_t i = 0; i < from->provider_count; ++i) {
    const kp_ort_provider* p = &from->providers[i];
    KP_ORT_PASS(kp_ort_options_add_provider(to, p->name, (const char* const*)p->options.keys,
                                            (const char* const*)p->options.values,
                                            p->options.count));
    to->providers[to->provider_count - 1].by_device = p->by_device;
  }
  for (size_t i = 0; i < from->initializer_count; ++i) {
    kp_ort_initializer* made = APPEND(to, initializers, initializer_count);
    if (!made) return kp_ort_no_memory();
    made->value = kp_value_retain(from->initializers[i].value);
    made->external = from->initializers[i].external;
    KP_ORT_PASS(kp_ort_set_text(&made->name, from->initializers[i].name));
  }
  for (size_t i = 0; i < from->file_count; ++i) {
    kp_ort_memory_file* made = APPEND(to, files, file_count);
    if (!made) return kp_ort_no_memory();
    made->data = from->files[i].data;
    made->size = from->files[i].size;
    KP_ORT_PASS(kp_ort_set_text(&made->name, from->files[i].name));
  }
  for (size_t i = 0; i < from->dimension_count; ++i) {
    kp_ort_dimension* made = APPEND(to, dimensions, dimension_count);
    if (!made) return kp_ort_no_memory();
    made->is_denotation = from->dimensions[i].is_denotation;
    made->value = from->dimensions[i].value;
    KP_ORT_PASS(kp_ort_set_text(&made->name, from->dimensions[i].name));
  }
  for (size_t i = 0; i < from->domain_count; ++i)
    KP_ORT_PASS(ort_AddCustomOpDomain(to, from->domains[i]));
  for (size_t i = 0; i < from->library_count; ++i) {
    kp_ort_library** slot = APPEND(to, libraries, library_count);
    if (!slot) return kp_ort_no_memory();
    *slot = kp_ort_library_retain(from->libraries[i]);
  }
  return NULL;
}

static OrtStatus* copy_options(OrtSessionOptions* to, const OrtSessionOptions* from) {
  const OrtSessionOptions fresh = *to;
  *to = *from;
  to->profile_prefix = to->log_id = to->optimized_path = NULL;
  to->config = fresh.config;
  to->providers = NULL, to->provider_count = 0;
  to->initializers = NULL, to->initializer_count = 0;
  to->files = NULL, to->file_count = 0;
  to->dimensions = NULL, to->dimension_count = 0;
  to->domains = NULL, to->domain_count = 0;
  to->libraries = NULL, to->library_count = 0;
  kp_ort_flag_release(fresh.cancel_load);
  __atomic_fetch_add(&to->cancel_load->refs, 1, __ATOMIC_RELAXED);
  KP_ORT_PASS(kp_ort_set_text(&to->profile_prefix, from->profile_prefix));
  KP_ORT_PASS(kp_ort_set_text(&to->log_id, from->log_id));
  KP_ORT_PASS(kp_ort_set_text(&to->optimized_path, from->optimized_path));
  KP_ORT_TAKE(kp_ort_pairs_copy(&to->config, &from->config));
  return copy_lists(to, from);
}

OrtStatus* ort_CloneSessionOptions(const OrtSessionOptions* from, OrtSessionOptions** out) {
  KP_ORT_NEED(from);
  KP_ORT_NEED(out);
  KP_ORT_PASS(ort_CreateSessionOptions(out));
  OrtStatus* status = copy_options(*out, from);
  if (!status) return NULL;
  ort_ReleaseSessionOptions(*out);
  *out = NULL;
  return status;
}

// --- single settings -------------------------------------------------------------------------------------------------------------
#define SETTER(name, parameter_type, member) \
  KP_ORT_SETTER(OrtSessionOptions, name, parameter_type, member)
#define SWITCH(name, field, value)                    \
  OrtStatus* ort_##name(OrtSessionOptions* options) { \
    KP_ORT_NEED(options);                             \
    options->field = value;                           \
    return NULL;                                      \
  }

SETTER(SetSessionLogVerbosityLevel, int, log_verbosity)
SETTER(SetIntraOpNumThreads, int, intra_op)
SETTER(SetInterOpNumThreads, int, inter_op)
SETTER(SetDeterministicCompute, bool, deterministic)
SETTER(SetSessionLogSeverityLevel, int, log_severity)
// The pool is shared by all sessions: threads that one session's functions made serve the others too.
SETTER(SessionOptionsSetCustomCreateThreadFn, OrtCustomCreateThreadFn, create_thread)
SETTER(SessionOptionsSetCustomThreadCreationOptions, void*, thread_options)
SETTER(SessionOptionsSetCustomJoinThreadFn, OrtCustomJoinThreadFn, join_thread)
SWITCH(DisableProfiling, profiling, false)
SWITCH(EnableMemPattern, mem_pattern, true)
SWITCH(DisableMemPattern, mem_pattern, false)
SWITCH(EnableCpuMemArena, cpu_arena, true)
SWITCH(DisableCpuMemArena, cpu_arena, false)
SWITCH(DisablePerSessionThreads, global_threads, true)

OrtStatus* ort_SetSessionExecutionMode(OrtSessionOptions* options, ExecutionMode mode) {
  KP_ORT_NEED(options);
  if (mode != ORT_SEQUENTIAL && mode != ORT_PARALLEL)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "execution_mode is not valid");
  options->mode = mode;
  return NULL;
}

OrtStatus* ort_SetSessionGraphOptimizationLevel(OrtSessionOptions* options,
                                                GraphOptimizationLevel level) {
  KP_ORT_NEED(options);
  if (level != ORT_DISABLE_ALL && level != ORT_ENABLE_BASIC && level != ORT_ENABLE_EXTENDED &&
      level != ORT_ENABLE_LAYOUT && level != ORT_ENABLE_ALL)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "graph_optimization_level is not valid");
  options->level = level;
  return NULL;
}

OrtStatus* ort_EnableProfiling(OrtSessionOptions* options, const char* prefix) {
  KP_ORT_NEED(options);
  options->profiling = true;
  return kp_ort_set_text(&options->profile_prefix, prefix ? prefix : "");
}

OrtStatus* ort_SetOptimizedModelFilePath(OrtSessionOptions* options, const char* path) {
  KP_ORT_NEED(options);
  return kp_ort_set_text(&options->optimized_path, path);
}

OrtStatus* ort_SetSessionLogId(OrtSessionOptions* options, const char* id) {
  KP_ORT_NEED(options);
  return kp_ort_set_text(&options->log_id, id);
}

OrtStatus* ort_SetUserLoggingFunction(OrtSessionOptions* options, OrtLoggingFunction function,
                                      void* param) {
  KP_ORT_NEED(options);
  options->log_function = function;
  options->log_param = param;
  return NULL;
}

OrtStatus* ort_SessionOptionsSetLoadCancellationFlag(OrtSessionOptions* options, bool cancel) {
  KP_ORT_NEED(options);
  __atomic_store_n(&options->cancel_load->set, cancel, __ATOMIC_RELAXED);
  return NULL;
}

OrtStatus* ort_SessionOptionsSetEpSelectionPolicy(OrtSessionOptions* options,
                                                  OrtExecutionProviderDevicePolicy policy) {
  KP_ORT_NEED(options);
  options->has_policy = true;
  options->policy = policy;
  options->delegate = NULL;
  return NULL;
}

OrtStatus* ort_SessionOptionsSetEpSelectionPolicyDelegate(OrtSessionOptions* options,
                                                          EpSelectionDelegate delegate,
                                                          void* state) {
  KP_ORT_NEED(options);
  options->has_policy = delegate != NULL;
  options->delegate = delegate;
  options->delegate_state = state;
  return NULL;
}

OrtStatus* ort_GetMemPatternEnabled(const OrtSessionOptions* options, int* out) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(out);
  *out = options->mem_pattern;
  return NULL;
}

OrtStatus* ort_GetSessionExecutionMode(const OrtSessionOptions* options, ExecutionMode* out) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(out);
  *out = options->mode;
  return NULL;
}

// --- config entries --------------------------------------------------------------------------------------------------------------
static OrtStatus* check_entry(const char* key, const char* value) {
  KP_ORT_NEED(key);
  KP_ORT_NEED(value);
  if (!key[0] || strlen(key) > CONFIG_KEY_LIMIT)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Config key is empty or longer than maximum length %d", CONFIG_KEY_LIMIT);
  if (strlen(value) > CONFIG_VALUE_LIMIT)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Config value is longer than maximum length: %d",
                        CONFIG_VALUE_LIMIT);
  return NULL;
}

OrtStatus* ort_AddSessionConfigEntry(OrtSessionOptions* options, const char* key,
                                     const char* value) {
  KP_ORT_NEED(options);
  KP_ORT_PASS(check_entry(key, value));
  KP_ORT_TAKE(kp_ort_pairs_set(&options->config, key, value));
  return NULL;
}

OrtStatus* ort_HasSessionConfigEntry(const OrtSessionOptions* options, const char* key, int* out) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(key);
  KP_ORT_NEED(out);
  *out = kp_ort_pairs_get(&options->config, key) != NULL;
  return NULL;
}

// In two calls: |value| NULL gives the size, which counts the NUL.
OrtStatus* ort_GetSessionConfigEntry(const OrtSessionOptions* options, const char* key, char* value,
                                     size_t* size) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(key);
  KP_ORT_NEED(size);
  const char* entry = kp_ort_pairs_get(&options->config, key);
  if (!entry)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Session config entry '%s' was not found.", key);
  const size_t needed = strlen(entry) + 1, room = *size;
  *size = needed;
  if (!value) return NULL;
  if (room < needed)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Output buffer is not large enough for session config entry");
  memcpy(value, entry, needed);
  return NULL;
}

OrtStatus* ort_GetSessionOptionsConfigEntries(const OrtSessionOptions* options,
                                              OrtKeyValuePairs** out) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(out);
  *out = kp_alloc_zero(1, sizeof(**out));
  if (!*out) return kp_ort_no_memory();
  KP_ORT_TAKE(kp_ort_pairs_copy(*out, &options->config));
  return NULL;
}

// --- lists -----------------------------------------------------------------------------------------------------------------------
static OrtStatus* add_dimension(OrtSessionOptions* options, const char* name, bool is_denotation,
                                int64_t value) {
  kp_ort_dimension* made = APPEND(options, dimensions, dimension_count);
  if (!made) return kp_ort_no_memory();
  made->is_denotation = is_denotation;
  made->value = value;
  return kp_ort_set_text(&made->name, name);
}

OrtStatus* ort_AddFreeDimensionOverride(OrtSessionOptions* options, const char* denotation,
                                        int64_t value) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(denotation);
  return add_dimension(options, denotation, true, value);
}

OrtStatus* ort_AddFreeDimensionOverrideByName(OrtSessionOptions* options, const char* name,
                                              int64_t value) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(name);
  return add_dimension(options, name, false, value);
}

static OrtStatus* add_initializer(OrtSessionOptions* options, const char* name,
                                  const OrtValue* value, bool external) {
  OrtStatus* status;
  kapell_value* tensor = kp_ort_value_tensor(value, &status);
  if (!tensor) return status;
  for (size_t i = 0; i < options->initializer_count; ++i)
    if (strcmp(options->initializers[i].name, name) == 0)
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "An OrtValue for this name has already been added: %s", name);
  kp_ort_initializer* made = APPEND(options, initializers, initializer_count);
  if (!made) return kp_ort_no_memory();
  made->value = kp_value_retain(tensor);
  made->external = external;
  return kp_ort_set_text(&made->name, name);
}

OrtStatus* ort_AddInitializer(OrtSessionOptions* options, const char* name, const OrtValue* val) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(name);
  if (!name[0]) return kp_ort_error(ORT_INVALID_ARGUMENT, "Received empty string for name.");
  return add_initializer(options, name, val, false);
}

OrtStatus* ort_AddExternalInitializers(OrtSessionOptions* options, const char* const* names,
                                       const OrtValue* const* initializers, size_t count) {
  KP_ORT_NEED(options);
  if (count) KP_ORT_NEED(names);
  if (count) KP_ORT_NEED(initializers);
  for (size_t i = 0; i < count; ++i) {
    if (!names[i] || !names[i][0])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "Received empty string for name.");
    KP_ORT_PASS(add_initializer(options, names[i], initializers[i], true));
  }
  return NULL;
}

OrtStatus* ort_AddExternalInitializersFromFilesInMemory(OrtSessionOptions* options,
                                                        const char* const* names,
                                                        char* const* buffers, const size_t* lengths,
                                                        size_t count) {
  KP_ORT_NEED(options);
  if (count) KP_ORT_NEED(names);
  if (count) KP_ORT_NEED(buffers);
  if (count) KP_ORT_NEED(lengths);
  for (size_t i = 0; i < count; ++i) {
    if (!names[i] || !names[i][0])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "Received empty file name.");
    if (!buffers[i] || !lengths[i])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "File '%s' has no bytes.", names[i]);
    kp_ort_memory_file* made = APPEND(options, files, file_count);
    if (!made) return kp_ort_no_memory();
    made->data = buffers[i];
    made->size = lengths[i];
    KP_ORT_PASS(kp_ort_set_text(&made->name, names[i]));
  }
  return NULL;
}

OrtStatus* ort_AddCustomOpDomain(OrtSessionOptions* options, OrtCustomOpDomain* domain) {
  KP_ORT_NEED(options);
  if (!domain) return NULL;
  OrtCustomOpDomain** slot = APPEND(options, domains, domain_count);
  if (!slot) return kp_ort_no_memory();
  *slot = domain;
  return NULL;
}

// What a compiled model without weights takes them from; sessions are given none.
OrtStatus* ort_ep_SessionOptionsGetWeightlessSourceModelBuffer(const OrtSessionOptions* options,
                                                               const void** data, size_t* size) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(data);
  KP_ORT_NEED(size);
  *data = NULL;
  *size = 0;
  return NULL;
}
