// Loading libraries, registering them under names, ending them.
//
// A library is counted by its registration and by those who need its code; what its factories made for everybody ends with the
// registration, its factories and the library itself with the last count.
//
// Locks: |loading| lets one library at a time make its factories or end them, as libraries expect of a host (they keep its tables in globals);
// a library may register another meanwhile. |list_lock| guards |registered|; nothing of a library is called with it.
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ort/bridge.h"
#include "ort/guard.h"
#include "provider/plugin/plugin.h"

static pthread_mutex_t loading = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static kp_plugin_library* registered;

// --- counting ----------------------------------------------------------------------------------------------------------------------
static void release_factories(kp_plugin_library* library) {
  for (size_t i = 0; i < library->factory_count; ++i) {
    OrtStatus* status = library->release_factory(library->factories[i]);
    if (!status) continue;
    KP_LOG(WARNING, "releasing a factory of '%s' failed: %s", library->path,
           ort_GetErrorMessage(status));
    ort_ReleaseStatus(status);
  }
}

static void dispose(kp_plugin_library* library) {
  pthread_mutex_lock(&loading);
  kp_plugin_devices_free(library);
  if (library->release_factory) release_factories(library);
  if (library->handle) dlclose(library->handle);
  pthread_mutex_unlock(&loading);
  kp_ort_env_unhold(library->env);
  kp_free(library->name);
  kp_free(library->path);
  kp_free(library);
}

void kp_plugin_library_retain(kp_plugin_library* library) {
  __atomic_fetch_add(&library->refs, 1, __ATOMIC_RELAXED);
}

void kp_plugin_library_release(kp_plugin_library* library) {
  if (library && __atomic_sub_fetch(&library->refs, 1, __ATOMIC_ACQ_REL) == 0) dispose(library);
}

const char* kp_plugin_library_path(const kp_plugin_library* library) { return library->path; }

// --- loading -----------------------------------------------------------------------------------------------------------------------
// Libraries that are found nowhere but where the caller knows stay for the process, as they would as the linker's own finds.
static kp_status* load_first(const char* const* first, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (!dlopen(first[i], RTLD_LAZY | RTLD_GLOBAL))
      return KP_ERROR(PROVIDER_UNAVAILABLE, "the library '%s' does not load: %s", first[i],
                      dlerror());
  return NULL;
}

// CUDA's library looks for a host of ONNX Runtime's bridge; the small library that hands it one lies beside.
#define BRIDGE "libonnxruntime_providers_shared.so"

static bool offer_bridge(const char* path) {
  char beside[PATH_MAX];
  const char* slash = strrchr(path, '/');
  const int length = slash ? (int)(slash - path) : 0;
  if (snprintf(beside, sizeof beside, "%.*s/" BRIDGE, length, path) >= (int)sizeof beside)
    return false;
  void* bridge = dlopen(beside, RTLD_LAZY | RTLD_GLOBAL);
  void* symbol = bridge ? dlsym(bridge, "Provider_SetHost") : NULL;
  void (*set_host)(void*);
  if (!symbol) return false;
  memcpy(&set_host, &symbol, sizeof symbol);
  set_host(kp_ort_bridge_host());
  return true;
}

static kp_status* open_library(kp_plugin_library* library) {
  const char* path = library->path;
  library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library->handle) return NULL;
  const char* why = dlerror();
  if (why && strstr(why, "Provider_GetHost") && offer_bridge(path)) {
    library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library->handle) return NULL;
    why = dlerror();
  }
  return kp_status_hint(KP_ERROR(PROVIDER_UNAVAILABLE, "the library '%s' does not load: %s", path,
                                 why ? why : "no reason is given"),
                        "'kapell doctor --library %s' tells what it needs and lacks, and what "
                        "installs that",
                        path);
}

static kp_status* find_entries(kp_plugin_library* library, CreateEpApiFactoriesFn* out_create) {
  void* create = dlsym(library->handle, "CreateEpFactories");
  void* release = dlsym(library->handle, "ReleaseEpFactory");
  if (!create || !release)
    return kp_status_hint(
        KP_ERROR(
            PROVIDER_UNAVAILABLE,
            "the library '%s' does not export %s: it is no provider for ONNX Runtime's plug-in ABI",
            library->path, create ? "ReleaseEpFactory" : "CreateEpFactories"),
        dlsym(library->handle, "GetProvider")
            ? "it is made for ONNX Runtime's own bridge (GetProvider), which no other host can use"
            : "name the provider's own library");
  memcpy(out_create, &create, sizeof create);
  memcpy(&library->release_factory, &release, sizeof release);
  return NULL;
}

typedef struct creation {
  CreateEpApiFactoriesFn create;
  kp_plugin_library* library;
} creation;

static OrtStatus* call_create(void* arg) {
  const creation* c = arg;
  return c->create(c->library->name, kp_ort_api_base(), &kp_ort_host_logger, c->library->factories,
                   KP_PLUGIN_MOST_FACTORIES, &c->library->factory_count);
}

static kp_status* create_factories(kp_plugin_library* library) {
  creation c = {NULL, library};
  KP_PASS(find_entries(library, &c.create));
  OrtStatus* failure = kp_ort_guard(call_create, &c);
  if (failure) library->factory_count = 0;
  KP_TRY(kp_ort_to_status(failure), "asking the library '%s' for its providers", library->path);
  if (library->factory_count > KP_PLUGIN_MOST_FACTORIES) {
    const size_t count = library->factory_count;
    library->factory_count = 0;
    return KP_ERROR(PROVIDER_UNAVAILABLE,
                    "the library '%s' says that it made %zu factories where %d have room",
                    library->path, count, KP_PLUGIN_MOST_FACTORIES);
  }
  for (size_t i = 0; i < library->factory_count; ++i)
    if (!library->factories[i]) {
      library->factory_count = i;
      return KP_ERROR(PROVIDER_UNAVAILABLE, "factory %zu of the library '%s' is NULL", i,
                      library->path);
    }
  if (!library->factory_count)
    KP_LOG(WARNING, "the library '%s' is loaded and offers no provider to this host (API %d)",
           library->path, ORT_API_VERSION);
  return NULL;
}

// --- registering -------------------------------------------------------------------------------------------------------------------
static void take_out(kp_plugin_library* library) {
  pthread_mutex_lock(&list_lock);
  kp_plugin_library** at = &registered;
  while (*at && *at != library) at = &(*at)->next;
  if (*at) *at = library->next;
  pthread_mutex_unlock(&list_lock);
}

// Two that register under one name at once: one is told.
static kp_status* put_in(kp_plugin_library* library) {
  const kp_plugin_library* other;
  pthread_mutex_lock(&list_lock);
  for (other = registered; other && strcmp(other->name, library->name) != 0;) other = other->next;
  if (!other) {
    library->next = registered;
    registered = library;
  }
  pthread_mutex_unlock(&list_lock);
  if (!other) return NULL;
  return kp_status_hint(
      KP_ERROR(INVALID_ARGUMENT, "a provider library is registered under '%s' already",
               library->name),
      "unregister that one first, or choose another name");
}

static bool ends_with(const char* text, const char* tail) {
  const size_t length = strlen(text), end = strlen(tail);
  return length >= end && strcmp(text + length - end, tail) == 0;
}

static kp_status* load(kp_plugin_library* library, const char* const* first, size_t first_count) {
  KP_PASS(load_first(first, first_count));
  KP_PASS(open_library(library));
  kp_ort_allow_virtual_devices(ends_with(library->name, ".virtual"));
  kp_status* status = create_factories(library);
  if (!status) status = kp_plugin_devices_ask(library);
  kp_ort_allow_virtual_devices(false);
  return status ? status : kp_plugin_devices_show(library);
}

// Of a library that is in the list no more.
static void end_registration(kp_plugin_library* library) {
  pthread_mutex_lock(&loading);
  kp_plugin_devices_hide(library);
  kp_plugin_library_release(library);
  pthread_mutex_unlock(&loading);
}

static void end_all(OrtEnv* env) {
  (void)env;
  for (kp_plugin_library* library;;) {
    pthread_mutex_lock(&list_lock);
    library = registered;
    if (library) registered = library->next;
    pthread_mutex_unlock(&list_lock);
    if (!library) return;
    end_registration(library);
  }
}

static kp_status* create_library(const char* name, const char* path, kp_plugin_library** out) {
  char real[PATH_MAX];
  *out = NULL;
  if (!realpath(path, real))  // links lead away from what lies beside it
    return kp_status_hint(
        KP_ERROR(NOT_FOUND, "there is no library '%s': %s", path, strerror(errno)),
        "give the path of the library's own file, absolute or from the working folder");
  kp_plugin_library* library = *out = kp_alloc_zero(1, sizeof(*library));
  if (!library) return KP_ERROR(OUT_OF_MEMORY, "a provider library");
  library->refs = 1;
  library->name = kp_strdup(name);
  library->path = kp_strdup(real);
  if (!library->name || !library->path) return KP_ERROR(OUT_OF_MEMORY, "a provider library");
  return kp_ort_to_status(kp_ort_env_hold(&library->env));
}

kp_status* kp_plugin_register(const char* name, const char* path, const char* const* first,
                              size_t first_count) {
  if (!name || !name[0] || !path || !path[0])
    return KP_ERROR(INVALID_ARGUMENT, "registering a provider library needs a name and a path");
  kp_plugin_library* library;
  pthread_mutex_lock(&loading);
  kp_status* status = create_library(name, path, &library);
  kp_ort_env_on_release(end_all);
  if (!status) status = put_in(library);
  if (!status) {
    status = load(library, first, first_count);
    if (status) take_out(library);
  }
  if (status && library) kp_plugin_devices_hide(library);
  if (status) kp_plugin_library_release(library);
  pthread_mutex_unlock(&loading);
  return status;
}

kp_status* kp_plugin_register_once(const char* name, const char* path, const char* const* first,
                                   size_t first_count) {
  pthread_mutex_lock(&loading);
  const kp_provider_type* type = kp_provider_find(name);
  kp_status* status = type ? NULL : kp_plugin_register(name, path, first, first_count);
  pthread_mutex_unlock(&loading);
  kp_provider_unfind(type);
  return status;
}

kp_status* kp_plugin_unregister(const char* name) {
  pthread_mutex_lock(&list_lock);
  kp_plugin_library** at = &registered;
  while (*at && strcmp((*at)->name, name) != 0) at = &(*at)->next;
  kp_plugin_library* library = *at;
  if (library) *at = library->next;
  pthread_mutex_unlock(&list_lock);
  if (!library) return KP_ERROR(NOT_FOUND, "no provider library is registered under '%s'", name);
  end_registration(library);
  return NULL;
}

const char* kp_plugin_path(const char* name, kp_arena* arena) {
  const char* path = NULL;
  pthread_mutex_lock(&list_lock);
  for (const kp_plugin_library* each = registered; each && !path; each = each->next)
    if (strcmp(each->name, name) == 0)
      path = kp_arena_strndup(arena, each->path, strlen(each->path));
  pthread_mutex_unlock(&list_lock);
  return path;
}
