// Which providers there are: those built in (builtin.inl), and every name that a user may write (known.inl). Neighbours: plan/
// resolves the user's list through it, cli/ and api/ print it.
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/size.h"
#include "provider/dynamic.h"

#define KP_BUILTIN(type) extern const kp_provider_type type;
#include "provider/builtin.inl"

static const kp_provider_type* const builtins[] = {
#define KP_BUILTIN(type) &type,
#include "provider/builtin.inl"
    NULL,
};

typedef struct known {
  const char* canonical;
  const char* short_name;
  const char* aliases;  // by spaces
  const char* reason;   // why it is not built in, should it not be
  const char* fix;
} known;

static const known knowns[] = {
#define KP_KNOWN(canonical, short_name, aliases, reason, fix) \
  {canonical, short_name, aliases, reason, fix},
#include "provider/known.inl"
};

// The owner and the definition of each option of known_options.inl.
static const char* const option_owners[] = {
#define KP_KNOWN_OPTION(canonical, key, kind, default_text, min, max, values, help) canonical,
#include "provider/known_options.inl"
};
static const kp_option_def known_options[] = {
#define KP_KNOWN_OPTION(canonical, key, kind, default_text, min, max, values, help) \
  {key, KP_OPTION_##kind, default_text, min, max, values, help},
#include "provider/known_options.inl"
};

static const char suffix[] = "ExecutionProvider";

const kp_provider_type* kp_provider_builtin(size_t index) {
  return index < KP_COUNT_OF(builtins) ? builtins[index] : NULL;
}

const char* kp_provider_known(size_t index) {
  if (index < KP_COUNT_OF(knowns)) return knowns[index].canonical;
  return kp_dynamic_name(index - KP_COUNT_OF(knowns));
}

static const known* find_known(const char* canonical) {
  for (size_t i = 0; i < KP_COUNT_OF(knowns); ++i)
    if (strcmp(knowns[i].canonical, canonical) == 0) return &knowns[i];
  return NULL;
}

bool kp_provider_has_row(const char* canonical) { return find_known(canonical) != NULL; }

static bool same(kp_str name, const char* text, size_t length) {
  return name.length == length && strncasecmp(name.data, text, length) == 0;
}

static bool among(kp_str name, const char* words) {
  while (*words) {
    const size_t length = strcspn(words, " ");
    if (same(name, words, length)) return true;
    words += length;
    words += strspn(words, " ");
  }
  return false;
}

static const kp_provider_type* find_builtin(const char* canonical) {
  for (size_t i = 0; builtins[i]; ++i)
    if (strcmp(builtins[i]->name, canonical) == 0) return builtins[i];
  return NULL;
}

const char* kp_provider_own(kp_str name) {
  for (size_t i = 0; i < KP_COUNT_OF(knowns); ++i) {
    const known* row = &knowns[i];
    if (same(name, row->canonical, strlen(row->canonical)) ||
        same(name, row->short_name, strlen(row->short_name)) || among(name, row->aliases))
      return row->canonical;
  }
  for (size_t i = 0; builtins[i]; ++i) {  // those for tests have no row
    const char* canonical = builtins[i]->name;
    const size_t length = strlen(canonical);
    if (same(name, canonical, length) || same(name, canonical, length - strlen(suffix)))
      return canonical;
  }
  return NULL;
}

// A registered library's provider goes before one that is only known: QNN's and ggml's are called what their user likes.
const char* kp_provider_canonical(kp_str name) {
  if (!name.length) return NULL;
  const char* canonical = kp_dynamic_canonical(name);
  return canonical ? canonical : kp_provider_own(name);
}

const char* kp_provider_of_option(const char* key, const char** out_rest) {
  for (size_t length = strlen(key); length > 0; --length) {
    if (key[length - 1] != '.') continue;
    const char* canonical = kp_provider_canonical((kp_str){key, length - 1});
    if (!canonical) continue;
    *out_rest = key + length;
    return canonical;
  }
  return NULL;
}

bool kp_provider_is_builtin(const char* canonical) { return find_builtin(canonical) != NULL; }

const kp_provider_type* kp_provider_find(const char* canonical) {
  const kp_provider_type* type = find_builtin(canonical);
  return type ? type : kp_dynamic_find(canonical);
}

void kp_provider_unfind(const kp_provider_type* type) {
  if (type && type->unretain) type->unretain(type);
}

const char* kp_provider_short(const char* canonical) {
  const known* row = find_known(canonical);
  if (row) return row->short_name;
  const kp_provider_type* type = find_builtin(canonical);
  return type ? type->short_name : kp_dynamic_short(canonical);
}

void kp_provider_absence(const char* canonical, const char** out_reason, const char** out_fix) {
  const bool here = find_builtin(canonical) || kp_dynamic_short(canonical);
  const known* row = here ? NULL : find_known(canonical);
  *out_reason = row ? row->reason : NULL;
  *out_fix = row ? row->fix : NULL;
}

const kp_option_def* kp_provider_options(const char* canonical, size_t* out_count) {
  const kp_provider_type* type = find_builtin(canonical);
  *out_count = type ? type->option_count : 0;
  if (type) return type->options;
  const kp_option_def* first = NULL;
  for (size_t i = 0; i < KP_COUNT_OF(known_options); ++i) {
    if (strcmp(option_owners[i], canonical) != 0) continue;
    if (!first) first = &known_options[i];
    ++*out_count;
  }
  return first;
}

void kp_provider_list_names(kp_strbuf* buf) {
  for (size_t i = 0; i < KP_COUNT_OF(knowns); ++i)
    kp_strbuf_printf(buf, "%s%s", i ? ", " : "", knowns[i].short_name);
  const char* name;
  for (size_t i = 0; (name = kp_dynamic_name(i)) != NULL; ++i)
    kp_strbuf_printf(buf, ", %s", kp_provider_short(name));
}

kp_status* kp_provider_unknown(kp_str name) {
  // "CUDDAExecutionProvider" is near "CUDA", not near every name that ends the same way.
  const size_t tail = strlen(suffix);
  kp_str stem = name;
  if (name.length > tail && strncasecmp(name.data + name.length - tail, suffix, tail) == 0)
    stem.length -= tail;
  kp_nearest nearest = KP_NEAREST_INIT(stem);
  const char* canonical;
  for (size_t i = 0; (canonical = kp_provider_known(i)) != NULL; ++i)
    kp_nearest_offer(&nearest, kp_provider_short(canonical));
  kp_strbuf names = {0};
  kp_provider_list_names(&names);
  kp_status* status = KP_ERROR(BAD_PROVIDER_LIST, "no provider is called '%.*s'; known are: %s",
                               KP_STR_ARG(name), names.data ? names.data : "");
  if (nearest.best) kp_status_hint(status, "did you mean %s?", nearest.best);
  kp_strbuf_free(&names);
  return status;
}
