// Reads the configuration file into options that the program left at their defaults.
#include "api/config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/size.h"
#include "plan/chain.h"

// What a key takes. Paths and folders of a model, and what only a program can mean (callbacks, borrow_bytes, allow_libraries) are not among the keys.
typedef enum setting_kind {
  SETTING_TEXT,
  SETTING_FLAG,
  SETTING_INT,     // int
  SETTING_UINT32,  // uint32_t
  SETTING_UINT64,  // uint64_t
  SETTING_REAL,
  SETTING_POLICY,  // on_failure
  SETTING_OPTIONS  // provider_options
} setting_kind;

typedef struct setting {
  const char* key;
  setting_kind kind;
  size_t offset;
} setting;

#define SETTING(field, kind) \
  { #field, kind, offsetof(kapell_options, field) }

static const setting kSettings[] = {
    SETTING(providers, SETTING_TEXT),
    SETTING(provider_options, SETTING_OPTIONS),
    SETTING(threads, SETTING_INT),
    SETTING(cpu_mask, SETTING_TEXT),
    SETTING(fold_bytes, SETTING_UINT64),
    SETTING(fold_ns, SETTING_UINT64),
    SETTING(no_optimize, SETTING_FLAG),
    SETTING(on_failure, SETTING_POLICY),
    SETTING(signature_cache, SETTING_UINT32),
    SETTING(run_timeout_ns, SETTING_UINT64),
    SETTING(profile_path, SETTING_TEXT),
    SETTING(untrusted, SETTING_FLAG),
    SETTING(max_memory, SETTING_UINT64),
    SETTING(max_nodes, SETTING_UINT64),
    SETTING(max_iterations, SETTING_UINT64),
    SETTING(open_timeout_ns, SETTING_UINT64),
    SETTING(shadow_every, SETTING_UINT32),
    SETTING(shadow_atol, SETTING_REAL),
    SETTING(shadow_rtol, SETTING_REAL),
    SETTING(provider_path, SETTING_TEXT),
    SETTING(flush_denormals, SETTING_FLAG),
    SETTING(no_spin, SETTING_FLAG),
};

typedef struct config {
  const char* path;
  kapell_options* options;
  kp_arena* arena;
} config;

// --- values ------------------------------------------------------------------------------------------------------------------
static kp_status* bad_value(const config* c, const kp_json_value* v, const char* wanted) {
  return KP_ERROR(INVALID_ARGUMENT,
                  "'%s' in line %zu of the configuration file '%s' is %s; %s is wanted", v->key,
                  v->line, c->path, kp_json_kind_name(v->kind), wanted);
}

// The text of a value that may stand for a provider's option; NULL: none.
static const char* option_text(const kp_json_value* v) {
  if (v->kind == KP_JSON_BOOL) return v->boolean ? "1" : "0";
  return v->kind == KP_JSON_STRING || v->kind == KP_JSON_NUMBER ? v->text.data : NULL;
}

static bool read_count(const kp_json_value* v, uint64_t most, uint64_t* out) {
  int64_t number;
  if (v->kind != KP_JSON_NUMBER || !kp_parse_i64(v->text, &number) || number < 0) return false;
  *out = (uint64_t)number;
  return *out <= most;
}

// Is the field at its default?
static bool is_unset(const void* field, size_t size) {
  static const char zeros[8] = {0};
  return memcmp(field, zeros, size) == 0;
}

static kp_status* set_text(config* c, const kp_json_value* v, const char** field) {
  if (v->kind != KP_JSON_STRING) return bad_value(c, v, "a string");
  if (*field) {
    if (field == &c->options->providers && strcmp(*field, v->text.data) != 0)
      KP_LOG(WARNING, "the program's provider list '%s' replaces '%s' of %s", *field, v->text.data,
             c->path);
    return NULL;
  }
  *field = v->text.data;
  return NULL;
}

static kp_status* set_number(config* c, const kp_json_value* v, const setting* s, void* field) {
  const size_t size = s->kind == SETTING_UINT64 ? sizeof(uint64_t) : sizeof(uint32_t);
  const uint64_t most = s->kind == SETTING_UINT64   ? INT64_MAX
                        : s->kind == SETTING_UINT32 ? UINT32_MAX
                                                    : INT32_MAX;
  uint64_t number;
  if (!read_count(v, most, &number)) return bad_value(c, v, "a whole number from 0 on");
  if (!is_unset(field, size)) return NULL;
  if (size == sizeof(uint64_t))
    *(uint64_t*)field = number;
  else
    *(uint32_t*)field = (uint32_t)number;
  return NULL;
}

static kp_status* set_policy(config* c, const kp_json_value* v) {
  const bool goes_on = v->kind == KP_JSON_STRING && kp_str_is(v->text, "continue");
  if (!goes_on && !(v->kind == KP_JSON_STRING && kp_str_is(v->text, "error")))
    return bad_value(c, v, "\"error\" or \"continue\"");
  if (goes_on) c->options->on_failure = KAPELL_ON_FAILURE_CONTINUE;
  return NULL;
}

// --- provider options ----------------------------------------------------------------------------------------------------------
// Does the list in use name the provider of "CUDA.device_id"? Machine-wide options of others are no mistake.
static kp_status* is_listed(const config* c, const kp_json_value* v, const kp_chain* chain,
                            bool* out_listed) {
  const char* key;
  const char* name = kp_provider_of_option(v->key, &key);
  *out_listed = false;
  if (!name)
    return KP_ERROR(INVALID_ARGUMENT,
                    "'%s' in line %zu of the configuration file '%s' is not of the form "
                    "PROVIDER.KEY, with a provider that is known",
                    v->key, v->line, c->path);
  for (uint32_t e = 0; e < chain->count; ++e)
    *out_listed = *out_listed || strcmp(chain->entries[e].canonical, name) == 0;
  return NULL;
}

// The file's options first: of equal keys the last one counts.
static kp_status* add_options(config* c, const kp_json_value* object, const kp_chain* chain) {
  kapell_options* o = c->options;
  size_t most = o->provider_option_count, count = 0;
  for (const kp_json_value* v = object->first; v; v = v->next) ++most;
  kapell_provider_option* all = kp_arena_new_array(c->arena, kapell_provider_option, most + 1);
  if (!all) return KP_ERROR(OUT_OF_MEMORY, "the configuration file");
  for (const kp_json_value* v = object->first; v; v = v->next) {
    bool listed;
    KP_PASS(is_listed(c, v, chain, &listed));
    const char* text = option_text(v);
    if (!text) return bad_value(c, v, "a string, a number, true or false");
    if (listed) all[count++] = (kapell_provider_option){v->key, text};
  }
  for (size_t i = 0; i < o->provider_option_count; ++i) all[count++] = o->provider_options[i];
  o->provider_options = all;
  o->provider_option_count = count;
  return NULL;
}

static kp_status* set_provider_options(config* c, const kp_json_value* object) {
  const char* forced = getenv("KAPELL_PROVIDERS");
  kp_chain* chain;
  if (object->kind != KP_JSON_OBJECT) return bad_value(c, object, "an object");
  KP_PASS(kp_chain_parse(forced && forced[0] ? forced : c->options->providers, &chain));
  kp_status* status = add_options(c, object, chain);
  kp_chain_free(chain);
  return status;
}

// --- the file ------------------------------------------------------------------------------------------------------------------
static kp_status* set_one(config* c, const kp_json_value* v, const setting* s) {
  void* field = (char*)c->options + s->offset;
  double number;
  switch (s->kind) {
    case SETTING_TEXT:
      return set_text(c, v, field);
    case SETTING_FLAG:
      if (v->kind != KP_JSON_BOOL) return bad_value(c, v, "true or false");
      *(bool*)field = *(bool*)field || v->boolean;
      return NULL;
    case SETTING_POLICY:
      return set_policy(c, v);
    case SETTING_OPTIONS:
      return NULL;  // once the list is known
    case SETTING_REAL:
      if (v->kind != KP_JSON_NUMBER || !kp_parse_f64(v->text, &number) || !(number >= 0))
        return bad_value(c, v, "a number from 0 on");
      if (is_unset(field, sizeof(double))) *(double*)field = number;
      return NULL;
    default:
      return set_number(c, v, s, field);
  }
}

static kp_status* unknown_key(const config* c, const kp_json_value* v) {
  kp_strbuf keys = {0};
  kp_nearest nearest = KP_NEAREST_INIT(kp_str_of(v->key));
  for (size_t i = 0; i < KP_COUNT_OF(kSettings); ++i) {
    kp_strbuf_printf(&keys, "%s%s", i ? ", " : "", kSettings[i].key);
    kp_nearest_offer(&nearest, kSettings[i].key);
  }
  kp_status* status =
      KP_ERROR(INVALID_ARGUMENT,
               "line %zu of the configuration file '%s' has the unknown key '%.80s'; keys "
               "are: %s",
               v->line, c->path, v->key, keys.data ? keys.data : "");
  kp_strbuf_free(&keys);
  return nearest.best ? kp_status_hint(status, "did you mean %s?", nearest.best) : status;
}

static kp_status* apply_object(config* c, const kp_json_value* object) {
  if (object->kind != KP_JSON_OBJECT)
    return KP_ERROR(INVALID_ARGUMENT, "the configuration file '%s' holds %s and no object", c->path,
                    kp_json_kind_name(object->kind));
  for (const kp_json_value* v = object->first; v; v = v->next) {
    size_t s = 0;
    while (s < KP_COUNT_OF(kSettings) && strcmp(kSettings[s].key, v->key) != 0) ++s;
    if (s == KP_COUNT_OF(kSettings)) return unknown_key(c, v);
    KP_PASS(set_one(c, v, &kSettings[s]));
  }
  const kp_json_value* options = kp_json_find(object, "provider_options");
  return options ? set_provider_options(c, options) : NULL;
}

// KAPELL_CONFIG, or the file in the home folder: *out_path in |arena|; NULL: there is none.
static kp_status* find_path(kp_arena* arena, const char** out_path, bool* out_named) {
  const char *named = getenv("KAPELL_CONFIG"), *home = getenv("HOME");
  *out_named = named != NULL;
  *out_path = NULL;
  if (named && !named[0]) return NULL;
  if (!named && (!home || !home[0])) return NULL;
  *out_path = named ? kp_arena_printf(arena, "%s", named)
                    : kp_arena_printf(arena, "%s/.config/kapell/kapell.json", home);
  return *out_path ? NULL : KP_ERROR(OUT_OF_MEMORY, "the configuration file");
}

kp_status* kp_config_apply(kapell_options* options, kp_arena* arena) {
  config c = {.options = options, .arena = arena};
  bool named;
  kp_file* file;
  kp_json_value* value;
  KP_PASS(find_path(arena, &c.path, &named));
  if (!c.path) return NULL;
  if (!named && access(c.path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return NULL;
  kp_status* status = kp_file_map(c.path, &file);
  if (status)
    return kp_status_frame(status, __FILE__, __LINE__, "reading the configuration file%s",
                           named ? " that KAPELL_CONFIG names" : "");
  status = kp_json_read((kp_str){(const char*)file->data, file->size}, arena, &value);
  kp_file_release(file);
  KP_TRY(status, "reading the configuration file '%s'", c.path);
  return apply_object(&c, value);
}
