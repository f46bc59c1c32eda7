// The library as a whole: version, status and log for callers, the list of providers.
#include <stdio.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/log.h"
#include "base/pool.h"
#include "find/find.h"
#include "kapell/custom_op.h"
#include "provider/hosted.h"

const char* kapell_version(void) { return KAPELL_VERSION_STRING; }

kapell_code kapell_status_code(const kapell_status* status) { return kp_status_code(status); }

const char* kapell_status_message(const kapell_status* status) { return kp_status_message(status); }

kapell_status* kapell_status_create(kapell_code code, const char* message) {
  return kp_status_make(code == KAPELL_OK ? KAPELL_INTERNAL : code, "", 0, "%s",
                        message ? message : "");
}

const char* kapell_status_hint(const kapell_status* status) { return kp_status_hint_text(status); }

const char* kapell_status_node(const kapell_status* status) { return kp_status_node(status); }

const char* kapell_status_op(const kapell_status* status) { return kp_status_op(status); }

const char* kapell_status_value(const kapell_status* status) { return kp_status_value(status); }

const char* kapell_status_text(kapell_status* status) { return kp_status_text(status); }

void kapell_status_free(kapell_status* status) { kp_status_free(status); }

const char* kapell_code_name(kapell_code code) { return kp_code_name(code); }

void kapell_log_set_callback(kapell_log_callback callback, void* user) {
  kp_log_set(callback, user);
}

void kapell_log_set_level(kapell_log_level level) { kp_log_set_level(level); }

const char* kapell_cpu_features(void) {
  static _Thread_local char text[256];
  kp_strbuf buf = {0};
  kp_cpu_describe(kp_cpu_features(), &buf);
  snprintf(text, sizeof(text), "%s", buf.data ? buf.data : "");
  kp_strbuf_free(&buf);
  return text;
}

// The list and every text in it lie in one arena, kept behind the list.
typedef struct provider_list {
  kp_arena arena;
  kapell_provider_info infos[];
} provider_list;

static kp_status* probe_type(kp_arena* arena, const kp_provider_type* type,
                             kapell_provider_info* out) {
  const char** texts;
  KP_PASS(
      kp_options_check(out->short_name, type->options, type->option_count, NULL, 0, arena, &texts));
  kp_probe probe = {.type = type, .arena = arena};
  if (type->probe) KP_PASS(type->probe(texts, &probe));
  out->available = !type->probe || probe.available;
  out->version = probe.version;
  out->reason = probe.reason;
  out->fix = probe.fix;
  kp_strbuf devices = {0};
  for (size_t d = 0; d < probe.device_count; ++d)
    kp_strbuf_printf(&devices, "%s%d: %s", d ? ", " : "", probe.devices[d].id,
                     probe.devices[d].name);
  out->devices = kp_arena_strndup(arena, devices.data, devices.length);
  kp_strbuf_free(&devices);
  return NULL;
}

static kp_status* probe_provider(kp_arena* arena, const char* canonical,
                                 kapell_provider_info* out) {
  const kp_provider_type* type = kp_provider_find(canonical);
  *out = (kapell_provider_info){.name = canonical,
                                .short_name = kp_provider_short(canonical),
                                .built_in = type && !(type->flags & KP_PROVIDER_HOSTED)};
  kp_status* status = type ? probe_type(arena, type, out) : NULL;
  if (!type) kp_provider_absence(canonical, &out->reason, &out->fix);
  kp_provider_unfind(type);
  return status;
}

kapell_status* kapell_providers(kapell_provider_info** out_list, size_t* out_count) {
  if (!out_list || !out_count)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for out_list or out_count");
  *out_list = NULL;
  *out_count = 0;
  size_t count = 0;
  while (kp_provider_known(count)) ++count;
  provider_list* list = kp_alloc_zero(1, sizeof(*list) + count * sizeof(kapell_provider_info));
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "the list of providers");
  for (size_t i = 0; i < count; ++i) {
    const char* canonical = kp_provider_known(i);  // NULL: a library has gone meanwhile
    kp_status* status = canonical ? probe_provider(&list->arena, canonical, &list->infos[i]) : NULL;
    if (!canonical) count = i;
    if (!status) continue;
    kapell_providers_free(list->infos);
    return status;
  }
  *out_list = list->infos;
  *out_count = count;
  return NULL;
}

void kapell_providers_free(kapell_provider_info* list) {
  if (!list) return;
  provider_list* whole = (provider_list*)(void*)((char*)list - offsetof(provider_list, infos));
  kp_arena_free(&whole->arena);
  kp_free(whole);
}

bool kapell_provider_option_at(const char* provider, size_t index,
                               kapell_provider_option_info* out_info) {
  static const char* const kinds[] = {
      [KP_OPTION_BOOL] = "bool",   [KP_OPTION_INT] = "int",     [KP_OPTION_FLOAT] = "float",
      [KP_OPTION_STRING] = "text", [KP_OPTION_ENUM] = "one of", [KP_OPTION_LIST] = "list of"};
  const char* canonical = provider ? kp_provider_canonical(kp_str_of(provider)) : NULL;
  size_t count = 0;
  const kp_option_def* defs = canonical ? kp_provider_options(canonical, &count) : NULL;
  if (index >= count || !out_info) return false;
  const kp_option_def* def = &defs[index];
  *out_info = (kapell_provider_option_info){def->key, kinds[def->kind], def->default_text, def->min,
                                            def->max, def->values,      def->help};
  return true;
}

// A library that did not load may lack something, which its files tell better than the linker; or it lies where the linker does not look,
// and is loaded first.
static kp_status* help_to_load(const char* name, const char* path, kp_status* failure) {
  kp_arena arena = {0};
  kp_found_library found;
  kp_status* status = kp_find_fault(path, &arena, &found);
  if (!status && found.path && found.first_count) {
    kp_status_free(failure);
    failure = kp_plugin_register(name, path, found.first, found.first_count);
  } else if (!status && !found.path && found.reason) {
    kp_status_free(failure);
    failure = KP_ERROR(PROVIDER_UNAVAILABLE, "the library '%s': %s", path, found.reason);
    if (found.fix) failure = kp_status_hint(failure, "%s", found.fix);
  }
  kp_status_ignore(status);
  kp_arena_free(&arena);
  return failure;
}

kapell_status* kapell_provider_library_register(const char* name, const char* path) {
  kp_status* status = kp_plugin_register(name, path, NULL, 0);
  if (kp_status_code(status) != KAPELL_PROVIDER_UNAVAILABLE) return status;
  return help_to_load(name, path, status);
}

static kp_status* register_found(const char* canonical, kp_arena* arena) {
  kp_found_library found;
  const kp_find_options where = {0};
  KP_PASS(kp_find_library(canonical, NULL, &where, arena, &found));
  if (found.path && found.usable)
    return kp_plugin_register_once(canonical, found.path, found.first, found.first_count);
  kp_status* status = KP_ERROR(PROVIDER_UNAVAILABLE, "%s: %s", kp_provider_short(canonical),
                               found.reason ? found.reason : "this build does not have it");
  return found.fix ? kp_status_hint(status, "%s", found.fix) : status;
}

kapell_status* kapell_provider_library_find(const char* provider) {
  if (!provider) return KP_ERROR(INVALID_ARGUMENT, "provider is NULL");
  const char* canonical = kp_provider_canonical(kp_str_of(provider));
  if (!canonical) return kp_provider_unknown(kp_str_of(provider));
  kp_arena arena = {0};
  const kp_provider_type* type = kp_provider_find(canonical);
  kp_status* status = type ? NULL : register_found(canonical, &arena);
  kp_provider_unfind(type);
  kp_arena_free(&arena);
  return status;
}

kapell_status* kapell_provider_library_unregister(const char* name) {
  if (!name) return KP_ERROR(INVALID_ARGUMENT, "name is NULL");
  return kp_plugin_unregister(name);
}
