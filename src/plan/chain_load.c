// Probes and creates the providers of a chain, by the consent that the caller gave for each.
#include <strings.h>

#include "base/alloc.h"
#include "base/log.h"
#include "find/find.h"
#include "plan/chain.h"
#include "provider/hosted.h"

// Does |key| ("CUDA.device_id") belong to |entry|? Gives the part after the dot.
static bool option_is_for(const kp_chain_entry* entry, const char* key, const char** out_rest) {
  const char* canonical = kp_provider_of_option(key, out_rest);
  return canonical && strcmp(canonical, entry->canonical) == 0;
}

static bool names_a_provider(const char* key) {
  const char* rest;
  return kp_provider_of_option(key, &rest) != NULL;
}

// Every option must name a provider of the list, or, where that was replaced, a provider at all.
static kp_status* check_owners(const kp_chain* chain, const kp_chain_option* options,
                               size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!options[i].key || !options[i].value)
      return KP_ERROR(BAD_PROVIDER_LIST, "provider option %zu has no key or no value", i);
    bool found = false;
    const char* rest;
    for (uint32_t e = 0; e < chain->count && !found; ++e)
      found = option_is_for(&chain->entries[e], options[i].key, &rest);
    if (found || (chain->replaced && names_a_provider(options[i].key))) continue;
    kp_status* status =
        KP_ERROR(BAD_PROVIDER_LIST, "option '%s' is for no provider of the list '%s'",
                 options[i].key, chain->text);
    return kp_status_hint(status, "write PROVIDER.KEY=VALUE, with a provider that the list names");
  }
  return NULL;
}

// What the user set of one provider: keys without its name.
static kp_status* gather_options(kp_chain* chain, const kp_chain_entry* entry,
                                 const kp_chain_load_args* args, kp_option** out_own,
                                 size_t* out_count) {
  kp_option* own = kp_arena_new_array(&chain->arena, kp_option, args->option_count + 1);
  if (!own) return KP_ERROR(OUT_OF_MEMORY, "options of %s", entry->short_name);
  *out_own = own;
  *out_count = 0;
  for (size_t i = 0; i < args->option_count; ++i) {
    const char* key;
    if (option_is_for(entry, args->options[i].key, &key))
      own[(*out_count)++] = (kp_option){key, args->options[i].value};
  }
  return NULL;
}

static bool is_known(const kp_option_def* defs, size_t count, const char* key) {
  for (size_t i = 0; i < count; ++i)
    if (strcasecmp(defs[i].key, key) == 0) return true;
  return false;
}

// Those in the table are checked. A library may know more: with |lenient| they only raise a warning, where there is a table.
static kp_status* check_options(kp_chain* chain, const kp_chain_entry* entry, const kp_option* own,
                                size_t count, bool lenient, const char*** out_texts) {
  size_t def_count, known_count = 0;
  const kp_option_def* defs = kp_provider_options(entry->canonical, &def_count);
  kp_option* known = kp_arena_new_array(&chain->arena, kp_option, count + 1);
  if (!known) return KP_ERROR(OUT_OF_MEMORY, "options of %s", entry->short_name);
  for (size_t i = 0; i < count; ++i) {
    if (!lenient || is_known(defs, def_count, own[i].key)) {
      known[known_count++] = own[i];
    } else if (def_count) {
      KP_LOG(WARNING, "%s.%s is no option that Kapell knows; its library gets it as it is",
             entry->short_name, own[i].key);
    }
  }
  return kp_options_check(entry->short_name, defs, def_count, known, known_count, &chain->arena,
                          out_texts);
}

static kp_status* refuse_library(const char* path) {
  return kp_status_hint(KP_ERROR(PROVIDER_UNAVAILABLE,
                                 "it comes from the library '%s', and untrusted models "
                                 "get built-in providers alone",
                                 path),
                        "allow_libraries lets it in");
}

// --- providers of libraries --------------------------------------------------------------------------------------------------------
static kp_status* bad_devices(const kp_chain_entry* entry, const char* text, size_t count) {
  return KP_ERROR(BAD_PROVIDER_LIST,
                  "%s." KP_CHAIN_DEVICES
                  " is '%s'; it takes 'all', or numbers from 0 by commas: %s has %zu "
                  "device%s here",
                  entry->short_name, text, entry->short_name, count, count == 1 ? "" : "s");
}

static kp_status* read_devices(kp_chain* chain, const kp_chain_entry* entry, const char* text,
                               size_t count, kp_provider_args* args) {
  uint32_t* list = kp_arena_new_array(&chain->arena, uint32_t, count + 1);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "devices of %s", entry->short_name);
  args->devices = list;
  if (strcasecmp(text, "all") == 0) {
    for (uint32_t i = 0; i < count; ++i) list[args->device_count++] = i;
    return NULL;
  }
  for (const char* at = text;;) {
    const size_t length = strcspn(at, ",");
    int64_t number;
    bool good =
        kp_parse_i64((kp_str){at, length}, &number) && number >= 0 && (uint64_t)number < count;
    for (size_t i = 0; i < args->device_count && good; ++i) good = list[i] != (uint32_t)number;
    if (!good) return bad_devices(entry, text, count);
    list[args->device_count++] = (uint32_t)number;
    if (!at[length]) return NULL;
    at += length + 1;
  }
}

// Takes the options that are Kapell's own out of |own|: which devices, and which file.
static kp_status* choose_devices(kp_chain* chain, const kp_chain_entry* entry, size_t device_count,
                                 kp_option* own, size_t* count, kp_provider_args* args) {
  size_t kept = 0;
  const char* text = NULL;
  for (size_t i = 0; i < *count; ++i) {
    if (strcasecmp(own[i].key, KP_CHAIN_DEVICES) == 0)
      text = own[i].value;
    else if (strcasecmp(own[i].key, "library") != 0)
      own[kept++] = own[i];
  }
  *count = kept;
  return text ? read_devices(chain, entry, text, device_count, args) : NULL;
}

static kp_status* unavailable(const kp_found_library* found) {
  kp_status* status = KP_ERROR(PROVIDER_UNAVAILABLE, "%s",
                               found->reason ? found->reason : "this build does not have it");
  return found->fix ? kp_status_hint(status, "%s", found->fix) : status;
}

// The type, built in or of a registered library; else of the library that this machine has of it, which is registered under its name.
static kp_status* find_type(kp_chain* chain, kp_chain_entry* entry, const kp_option* own,
                            size_t count, const kp_chain_load_args* args,
                            const kp_provider_type** out_type) {
  *out_type = kp_provider_find(entry->canonical);
  if (*out_type) return NULL;
  const char** texts;
  kp_found_library found;
  const kp_find_options where = {.provider_path = chain->provider_path};
  KP_PASS(check_options(chain, entry, own, count, kp_find_is_findable(entry->canonical), &texts));
  KP_PASS(kp_find_library(entry->canonical, texts, &where, &chain->arena, &found));
  if (found.path && args->no_libraries) return refuse_library(found.path);
  if (!found.path) {  // nobody who could know more keys than the table
    KP_PASS(check_options(chain, entry, own, count, false, &texts));
    return unavailable(&found);
  }
  KP_PASS(kp_plugin_register_once(entry->canonical, found.path, found.first, found.first_count));
  *out_type = kp_provider_find(entry->canonical);
  if (*out_type) return NULL;
  return KP_ERROR(PROVIDER_UNAVAILABLE, "its library '%s' offers other providers, or none",
                  found.path);
}

static kp_status* create_provider(kp_chain* chain, kp_chain_entry* entry,
                                  const kp_provider_type* type, kp_option* own, size_t count,
                                  const kp_chain_load_args* args) {
  const bool hosted = (type->flags & KP_PROVIDER_HOSTED) != 0;
  kp_provider_args create = {.type = type,
                             .cpu_features = args->cpu_features,
                             .model = args->model,
                             .options = own,
                             .config = args->config,
                             .config_count = args->config_count};
  kp_probe probe = {.type = type, .arena = &chain->arena};
  const char** texts;
  if (hosted && type->probe) KP_TRY(type->probe(NULL, &probe), "probing %s", entry->short_name);
  if (hosted) KP_PASS(choose_devices(chain, entry, probe.device_count, own, &count, &create));
  KP_PASS(check_options(chain, entry, own, count, hosted, &texts));
  create.option_texts = texts;
  create.option_count = count;
  if (!hosted && type->probe) KP_TRY(type->probe(texts, &probe), "probing %s", entry->short_name);
  entry->version = probe.version;
  entry->file = probe.file;
  if (type->probe && !probe.available) {
    kp_status* status =
        KP_ERROR(PROVIDER_UNAVAILABLE, "%s", probe.reason ? probe.reason : "it gives no reason");
    return probe.fix ? kp_status_hint(status, "%s", probe.fix) : status;
  }
  if (args->no_libraries && probe.file) return refuse_library(probe.file);
  return type->create(&create, &entry->provider);
}

// A listed provider that is not to be had: an error, or for optional ones a warning and a line in the report.
static kp_status* settle_failure(kp_chain* chain, kp_chain_entry* entry, kp_status* failure) {
  const char* hint = kp_status_hint_text(failure);
  const kapell_code code = kp_status_code(failure);
  if (entry->consent != KP_CONSENT_OPTIONAL || code == KAPELL_BAD_PROVIDER_LIST ||
      code == KAPELL_OUT_OF_MEMORY) {
    if (code == KAPELL_BAD_PROVIDER_LIST || code == KAPELL_OUT_OF_MEMORY) return failure;
    kp_status* status = KP_ERROR(PROVIDER_UNAVAILABLE, "%s is listed and not available: %s",
                                 entry->short_name, kp_status_message(failure));
    if (hint) {
      kp_status_hint(status, "%s; or write '%s?' to go on without it", hint, entry->short_name);
    } else {
      kp_status_hint(status, "write '%s?' to go on without it", entry->short_name);
    }
    kp_status_free(failure);
    return status;
  }
  entry->reason = kp_arena_printf(&chain->arena, "%s", kp_status_message(failure));
  if (hint) entry->fix = kp_arena_printf(&chain->arena, "%s", hint);
  KP_LOG(WARNING, "%s? is not in use: %s%s%s", entry->short_name, kp_status_message(failure),
         hint ? "; to fix it: " : "", hint ? hint : "");
  kp_status_free(failure);
  return NULL;
}

static kp_status* load_entry(kp_chain* chain, kp_chain_entry* entry,
                             const kp_chain_load_args* args) {
  const kp_provider_type* type = NULL;
  kp_option* own;
  size_t count;
  KP_PASS(gather_options(chain, entry, args, &own, &count));
  kp_status* status = find_type(chain, entry, own, count, args, &type);
  if (!status) status = create_provider(chain, entry, type, own, count, args);
  kp_provider_unfind(type);
  return status ? settle_failure(chain, entry, status) : NULL;
}

kp_status* kp_chain_load(kp_chain* chain, const kp_chain_load_args* args) {
  KP_PASS(check_owners(chain, args->options, args->option_count));
  for (uint32_t i = 0; i < chain->count; ++i)
    KP_TRY(load_entry(chain, &chain->entries[i], args), "loading provider '%s'",
           chain->entries[i].written);
  return NULL;
}

void kp_chain_free(kp_chain* chain) {
  if (!chain) return;
  for (uint32_t i = 0; i < chain->count; ++i)
    if (chain->entries[i].provider)
      chain->entries[i].provider->type->destroy(chain->entries[i].provider);
  kp_arena_free(&chain->arena);
  kp_free(chain);
}
