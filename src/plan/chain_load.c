// Probes and creates the providers of a chain, by the consent that the caller gave for each.
#include <strings.h>

#include "base/alloc.h"
#include "base/log.h"
#include "find/find.h"
#include "plan/chain.h"

// Does |key| ("CUDA.device_id") belong to |entry|? Gives the part after the dot.
static bool option_is_for(const kp_chain_entry* entry, const char* key, const char** out_rest) {
  const char* dot = strchr(key, '.');
  if (!dot) return false;
  const char* canonical = kp_provider_canonical((kp_str){key, (size_t)(dot - key)});
  *out_rest = dot + 1;
  return canonical && strcmp(canonical, entry->canonical) == 0;
}

static bool names_a_provider(const char* key) {
  const char* dot = strchr(key, '.');
  return dot && kp_provider_canonical((kp_str){key, (size_t)(dot - key)});
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

static kp_status* gather_options(kp_chain* chain, const kp_chain_entry* entry,
                                 const kp_chain_option* options, size_t count,
                                 const char*** out_texts) {
  size_t def_count;
  const kp_option_def* defs = kp_provider_options(entry->canonical, &def_count);
  kp_option* own = kp_arena_new_array(&chain->arena, kp_option, count + 1);
  if (!own) return KP_ERROR(OUT_OF_MEMORY, "options of %s", entry->short_name);
  size_t n = 0;
  for (size_t i = 0; i < count; ++i) {
    const char* key;
    if (option_is_for(entry, options[i].key, &key)) own[n++] = (kp_option){key, options[i].value};
  }
  return kp_options_check(entry->short_name, defs, def_count, own, n, &chain->arena, out_texts);
}

static kp_status* create_provider(kp_chain* chain, kp_chain_entry* entry,
                                  const kp_provider_type* type, const char** texts, kp_model* model,
                                  uint64_t features, bool no_libraries) {
  kp_probe probe = {.type = type, .arena = &chain->arena};
  if (type->probe) KP_TRY(type->probe(texts, &probe), "probing %s", entry->short_name);
  entry->version = probe.version;
  entry->file = probe.file;
  if (type->probe && !probe.available) {
    kp_status* status =
        KP_ERROR(PROVIDER_UNAVAILABLE, "%s", probe.reason ? probe.reason : "it gives no reason");
    return probe.fix ? kp_status_hint(status, "%s", probe.fix) : status;
  }
  const kp_provider_args args = {
      .type = type, .option_texts = texts, .cpu_features = features, .model = model};
  if (no_libraries && probe.file)
    return kp_status_hint(KP_ERROR(PROVIDER_UNAVAILABLE,
                                   "it comes from the library '%s', and untrusted models "
                                   "get built-in providers alone",
                                   probe.file),
                          "allow_libraries lets it in");
  return type->create(&args, &entry->provider);
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

static kp_status* load_entry(kp_chain* chain, kp_chain_entry* entry, kp_model* model,
                             uint64_t features, const kp_chain_option* options, size_t count,
                             bool no_libraries) {
  const kp_provider_type* type = kp_provider_find(entry->canonical);
  const char** texts = NULL;
  KP_PASS(gather_options(chain, entry, options, count, &texts));
  if (!type) {
    const char *reason = NULL, *fix = NULL;
    const kp_find_options where = {.provider_path = chain->provider_path};
    KP_PASS(kp_find_reason(entry->canonical, texts, &where, &chain->arena, &reason, &fix));
    kp_status* status =
        KP_ERROR(PROVIDER_UNAVAILABLE, "%s", reason ? reason : "this build does not have it");
    return settle_failure(chain, entry, fix ? kp_status_hint(status, "%s", fix) : status);
  }
  kp_status* status = create_provider(chain, entry, type, texts, model, features, no_libraries);
  return status ? settle_failure(chain, entry, status) : NULL;
}

kp_status* kp_chain_load(kp_chain* chain, kp_model* model, uint64_t cpu_features,
                         const kp_chain_option* options, size_t option_count, bool no_libraries) {
  KP_PASS(check_owners(chain, options, option_count));
  for (uint32_t i = 0; i < chain->count; ++i)
    KP_TRY(load_entry(chain, &chain->entries[i], model, cpu_features, options, option_count,
                      no_libraries),
           "loading provider '%s'", chain->entries[i].written);
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
