// Environments and threading options. As with ONNX Runtime there is one environment in a process: making another while it lives gives
// the same one, whose logger stays as it was.
//
// Locks: |env_lock| guards |the_env|, the counts, the lists and |watch| in it. Nothing that calls back runs under it but a client's
// functions that make the environment's threads.
#include "ort/env.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "ort/options.h"

static pthread_mutex_t env_lock = PTHREAD_MUTEX_INITIALIZER;
static OrtEnv* the_env;
static int env_refs;   // clients
static int env_holds;  // Kapell's own
static void (*on_release)(OrtEnv* env);

void kp_ort_env_lock(void) { pthread_mutex_lock(&env_lock); }
void kp_ort_env_unlock(void) { pthread_mutex_unlock(&env_lock); }

OrtEnv* kp_ort_env_peek(void) { return the_env; }

OrtEnv* kp_ort_env_current(void) {
  kp_ort_env_lock();
  OrtEnv* env = the_env;
  kp_ort_env_unlock();
  return env;
}

static void free_env(OrtEnv* env) {
  for (size_t i = 0; i < env->allocator_count; ++i) ort_ReleaseAllocator(env->allocators[i]);
  kp_free(env->allocators);
  kp_free(env->shared);
  kp_free(env->transfers);
  kp_ort_devices_free(env);
  kp_ort_pairs_clear(&env->config);
  kp_ort_threads_release(env->threads);
  kp_free(env->threading.affinities);
  kp_free(env->logger.id);
  kp_free(env);
}

// Threads of the environment are there from the beginning.
static OrtStatus* make_threads(OrtEnv* env) {
  const OrtThreadingOptions* options = &env->threading;
  const int intra = kp_ort_thread_count(options->intra_op);
  const kp_ort_thread_wishes wishes = {.create = options->create_thread,
                                       .join = options->join_thread,
                                       .options = options->thread_options,
                                       .affinities = options->affinities,
                                       .intra_op = intra,
                                       .count = intra};
  return kp_ort_threads_create(&wishes, &env->threads);
}

// What a client says of its environment; one that Kapell made before becomes the client's.
static OrtStatus* settle(OrtEnv* env, const OrtEnvCreationOptions* options) {
  char* id = kp_strdup(options->log_id ? options->log_id : "");
  if (!id) return kp_ort_no_memory();
  kp_free(env->logger.id);
  env->logger = (OrtLogger){.function = options->custom_logging_function,
                            .param = options->custom_logging_param,
                            .severity = (OrtLoggingLevel)options->logging_severity_level,
                            .id = id};
  kp_ort_pairs_clear(&env->config);
  if (options->config_entries)
    KP_ORT_TAKE(kp_ort_pairs_copy(&env->config, options->config_entries));
  env->global_threads = options->threading_options != NULL;
  kp_free(env->threading.affinities);
  env->threading = (OrtThreadingOptions){0};
  if (!options->threading_options) return NULL;
  env->threading = *options->threading_options;
  env->threading.affinities = NULL;
  KP_ORT_PASS(kp_ort_set_text(&env->threading.affinities, options->threading_options->affinities));
  return make_threads(env);
}

// With the lock. |options| NULL: a quiet one.
static OrtStatus* make_env(const OrtEnvCreationOptions* options) {
  OrtEnv* env = the_env ? the_env : kp_alloc_zero(1, sizeof(*env));
  if (!env) return kp_ort_no_memory();
  OrtStatus* status = the_env ? NULL : kp_ort_devices_find(env);
  if (!status && options) status = settle(env, options);
  if (!status) {
    the_env = env;
  } else if (env != the_env) {
    free_env(env);
  }
  return status;
}

OrtStatus* ort_CreateEnvWithOptions(const OrtEnvCreationOptions* options, OrtEnv** out) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(out);
  *out = NULL;
  if (options->logging_severity_level < ORT_LOGGING_LEVEL_VERBOSE ||
      options->logging_severity_level > ORT_LOGGING_LEVEL_FATAL)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid logging severity level %d",
                        (int)options->logging_severity_level);
  OrtStatus* status = NULL;
  kp_ort_env_lock();
  if (!env_refs) {
    status = make_env(options);
    if (!status) kp_ort_log_to(&the_env->logger);
  }
  if (!status) {
    *out = the_env;
    ++env_refs;
  }
  kp_ort_env_unlock();
  return status;
}

// With the lock, which it gives up.
static void unlock_and_free(OrtEnv* env) {
  OrtEnv* last = env == the_env && env_refs == 0 && env_holds == 0 ? the_env : NULL;
  if (last) the_env = NULL;
  kp_ort_env_unlock();
  if (last) free_env(last);
}

void ort_ReleaseEnv(OrtEnv* env) {
  if (!env) return;
  kp_ort_env_lock();
  const bool last = env == the_env && env_refs > 0 && --env_refs == 0;
  void (*const fn)(OrtEnv*) = on_release;
  kp_ort_threads* threads = NULL;
  if (last) {
    kp_ort_log_to(NULL);
    ++env_holds;  // while |fn| runs
    threads = env->threads;
    env->threads = NULL;
    env->watch = (OrtThreadPoolCallbacksConfig){0};
  }
  kp_ort_env_unlock();
  if (!last) return;
  kp_ort_threads_release(threads);
  if (fn) fn(env);
  kp_ort_env_unhold(env);
}

OrtStatus* kp_ort_env_hold(OrtEnv** out) {
  kp_ort_env_lock();
  OrtStatus* status = the_env ? NULL : make_env(NULL);
  *out = the_env;
  if (!status) ++env_holds;
  kp_ort_env_unlock();
  return status;
}

void kp_ort_env_unhold(OrtEnv* env) {
  if (!env) return;
  kp_ort_env_lock();
  --env_holds;
  unlock_and_free(env);
}

void kp_ort_env_on_release(void (*fn)(OrtEnv* env)) {
  kp_ort_env_lock();
  on_release = fn;
  kp_ort_env_unlock();
}

// --- the other ways of making one ------------------------------------------------------------------------------------------------
static OrtStatus* create(OrtLoggingFunction function, void* param, OrtLoggingLevel severity,
                         const char* id, const OrtThreadingOptions* threading, OrtEnv** out) {
  const OrtEnvCreationOptions options = {.version = ORT_API_VERSION,
                                         .logging_severity_level = (int32_t)severity,
                                         .log_id = id,
                                         .custom_logging_function = function,
                                         .custom_logging_param = param,
                                         .threading_options = threading};
  return ort_CreateEnvWithOptions(&options, out);
}

OrtStatus* ort_CreateEnv(OrtLoggingLevel severity, const char* id, OrtEnv** out) {
  return create(NULL, NULL, severity, id, NULL, out);
}

OrtStatus* ort_CreateEnvWithCustomLogger(OrtLoggingFunction log, void* log_param,
                                         OrtLoggingLevel severity, const char* id, OrtEnv** out) {
  return create(log, log_param, severity, id, NULL, out);
}

OrtStatus* ort_CreateEnvWithGlobalThreadPools(OrtLoggingLevel severity, const char* id,
                                              const OrtThreadingOptions* threading, OrtEnv** out) {
  KP_ORT_NEED(threading);
  return create(NULL, NULL, severity, id, threading, out);
}

OrtStatus* ort_CreateEnvWithCustomLoggerAndGlobalThreadPools(
    OrtLoggingFunction log, void* log_param, OrtLoggingLevel severity, const char* id,
    const OrtThreadingOptions* threading, OrtEnv** out) {
  KP_ORT_NEED(threading);
  return create(log, log_param, severity, id, threading, out);
}

OrtStatus* ort_UpdateEnvWithCustomLogLevel(OrtEnv* env, OrtLoggingLevel severity) {
  KP_ORT_NEED(env);
  env->logger.severity = severity;
  kp_ort_log_to(&env->logger);
  return NULL;
}

// Nothing is ever sent anywhere: there are no events to switch.
OrtStatus* ort_EnableTelemetryEvents(const OrtEnv* env) {
  (void)env;
  return NULL;
}
OrtStatus* ort_DisableTelemetryEvents(const OrtEnv* env) {
  (void)env;
  return NULL;
}
// Told for telemetry alone.
OrtStatus* ort_SetLanguageProjection(const OrtEnv* env, OrtLanguageProjection projection) {
  (void)env;
  (void)projection;
  return NULL;
}

// --- allocators in the environment -----------------------------------------------------------------------------------------------
static size_t find_allocator(const OrtEnv* env, const OrtMemoryInfo* info) {
  size_t i = 0;
  while (i < env->allocator_count) {
    const OrtMemoryInfo* have = env->allocators[i]->Info(env->allocators[i]);
    if (have && kp_ort_info_is_alike(have, info)) break;
    ++i;
  }
  return i;
}

OrtAllocator* kp_ort_env_allocator(const OrtEnv* env, const OrtMemoryInfo* info) {
  kp_ort_env_lock();
  const size_t at = find_allocator(env, info);
  OrtAllocator* found = at < env->allocator_count ? env->allocators[at] : NULL;
  kp_ort_env_unlock();
  return found;
}

static OrtStatus* add_allocator(OrtEnv* env, OrtAllocator* allocator, const OrtMemoryInfo* info) {
  OrtStatus* status = NULL;
  kp_ort_env_lock();
  OrtAllocator** grown = NULL;
  if (find_allocator(env, info) < env->allocator_count)
    status = kp_ort_error(ORT_INVALID_ARGUMENT,
                          "An allocator for this device has already been registered for sharing.");
  else if (!(grown = kp_realloc_array(env->allocators, env->allocator_count + 1, sizeof(*grown))))
    status = kp_ort_no_memory();
  if (grown) {
    env->allocators = grown;
    env->allocators[env->allocator_count++] = allocator;
  }
  kp_ort_env_unlock();
  return status;
}

OrtStatus* ort_RegisterAllocator(OrtEnv* env, OrtAllocator* allocator) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(allocator);
  const OrtMemoryInfo* info = allocator->Info ? allocator->Info(allocator) : NULL;
  if (!info) return kp_ort_error(ORT_INVALID_ARGUMENT, "the allocator gives no OrtMemoryInfo");
  if (info->allocator_type == OrtArenaAllocator && !kp_ort_info_is_host(info))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "arena allocators of devices cannot be registered");
  return add_allocator(env, allocator, info);
}

OrtStatus* ort_UnregisterAllocator(OrtEnv* env, const OrtMemoryInfo* info) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(info);
  OrtAllocator* gone = NULL;
  kp_ort_env_lock();
  const size_t at = find_allocator(env, info);
  if (at < env->allocator_count) {
    gone = env->allocators[at];
    env->max_memory = 0;
    memmove(env->allocators + at, env->allocators + at + 1,
            (--env->allocator_count - at) * sizeof(*env->allocators));
  }
  kp_ort_env_unlock();
  if (!gone)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "No allocator for this device has been registered for sharing.");
  ort_ReleaseAllocator(gone);
  return NULL;
}

OrtStatus* ort_CreateAndRegisterAllocator(OrtEnv* env, const OrtMemoryInfo* info,
                                          const OrtArenaCfg* arena) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(info);
  if (info->device_type != OrtMemoryInfoDeviceType_CPU)
    return kp_ort_error(
        ORT_INVALID_ARGUMENT,
        "Only CPU devices are supported. Please call CreateAndRegisterAllocatorV2() "
        "for other device.");
  if (arena) env->max_memory = arena->max_memory;
  if (kp_ort_env_allocator(env, info)) return NULL;  // one is as good as another
  OrtAllocator* made;
  KP_ORT_PASS(kp_ort_allocator_create(info, &made));
  OrtStatus* status = add_allocator(env, made, info);
  if (status) ort_ReleaseAllocator(made);
  return status;
}

OrtStatus* ort_CreateAndRegisterAllocatorV2(OrtEnv* env, const char* provider_type,
                                            const OrtMemoryInfo* info, const OrtArenaCfg* arena,
                                            const char* const* keys, const char* const* values,
                                            size_t count) {
  (void)keys;
  (void)values;
  (void)count;
  KP_ORT_NEED(provider_type);
  if (strcmp(provider_type, "CPUExecutionProvider") == 0)
    return ort_CreateAndRegisterAllocator(env, info, arena);
  return kp_ort_error(ORT_INVALID_ARGUMENT,
                      "%s is not implemented in CreateAndRegisterAllocatorV2()", provider_type);
}

// --- threading options -----------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateThreadingOptions(OrtThreadingOptions** out) {
  KP_ORT_NEED(out);
  *out = kp_alloc_zero(1, sizeof(**out));
  return *out ? NULL : kp_ort_no_memory();
}

void ort_ReleaseThreadingOptions(OrtThreadingOptions* options) {
  if (options) kp_free(options->affinities);
  kp_free(options);
}

#define SETTER(name, parameter_type, member) \
  KP_ORT_SETTER(OrtThreadingOptions, name, parameter_type, member)
SETTER(SetGlobalIntraOpNumThreads, int, intra_op)
SETTER(SetGlobalInterOpNumThreads, int, inter_op)
SETTER(SetGlobalCustomCreateThreadFn, OrtCustomCreateThreadFn, create_thread)
SETTER(SetGlobalCustomThreadCreationOptions, void*, thread_options)
SETTER(SetGlobalCustomJoinThreadFn, OrtCustomJoinThreadFn, join_thread)

OrtStatus* ort_SetGlobalSpinControl(OrtThreadingOptions* threading, int allow_spinning) {
  KP_ORT_NEED(threading);
  if (allow_spinning != 0 && allow_spinning != 1)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Received invalid value for allow_spinning. Valid values are 0 or 1");
  threading->no_spin = !allow_spinning;
  return NULL;
}

OrtStatus* ort_SetGlobalDenormalAsZero(OrtThreadingOptions* threading) {
  KP_ORT_NEED(threading);
  threading->denormal_as_zero = true;
  return NULL;
}

OrtStatus* ort_SetGlobalIntraOpThreadAffinity(OrtThreadingOptions* threading,
                                              const char* affinity_string) {
  KP_ORT_NEED(threading);
  if (!affinity_string || !affinity_string[0])
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Affinity string must not be empty");
  return kp_ort_set_text(&threading->affinities, affinity_string);
}

// --- threads of sessions, watched ------------------------------------------------------------------------------------------------
// ONNX Runtime does this where it was built so; its own releases answer NOT_IMPLEMENTED.
OrtStatus* ort_SetPerSessionThreadPoolCallbacks(OrtEnv* env,
                                                const OrtThreadPoolCallbacksConfig* config) {
  KP_ORT_NEED(env);
  if (!config) return kp_ort_error(ORT_INVALID_ARGUMENT, "config must not be null");
  if (config->version < 25 || config->version > ORT_API_VERSION)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "OrtThreadPoolCallbacksConfig requires version set to ORT_API_VERSION");
  kp_ort_env_lock();
  env->watch = *config;
  kp_ort_env_unlock();
  return NULL;
}

OrtThreadPoolCallbacksConfig kp_ort_env_watch(const OrtEnv* env) {
  kp_ort_env_lock();
  const OrtThreadPoolCallbacksConfig watch = env->watch;
  kp_ort_env_unlock();
  return watch;
}
