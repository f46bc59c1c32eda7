// A provider's options: the user's settings against the provider's definitions. Neighbours: provider.h declares; mock/ and cpu/
// have definitions; api/ collects the settings.
#include <strings.h>

#include "base/nearest.h"
#include "base/size.h"
#include "provider/provider.h"

static bool same(const char* a, const char* b) { return strcasecmp(a, b) == 0; }

static kp_status* unknown_key(const char* provider, const kp_option_def* defs, size_t def_count,
                              const char* key) {
  kp_nearest nearest = KP_NEAREST_INIT(kp_str_of(key));
  kp_strbuf known = {0};
  for (size_t i = 0; i < def_count; ++i) {
    kp_nearest_offer(&nearest, defs[i].key);
    kp_strbuf_printf(&known, "%s%s", i ? ", " : "", defs[i].key);
  }
  kp_status* status =
      def_count ? KP_ERROR(BAD_PROVIDER_LIST, "%s has no option '%s'; it has: %s", provider, key,
                           known.data ? known.data : "")
                : KP_ERROR(BAD_PROVIDER_LIST, "%s has no option '%s'; it has none", provider, key);
  if (nearest.best) kp_status_hint(status, "did you mean %s.%s?", provider, nearest.best);
  kp_strbuf_free(&known);
  return status;
}

static kp_status* read_bool(const char* provider, const kp_option* option, const char** out_text) {
  static const char* const yes[] = {"1", "true", "on", "yes"};
  static const char* const no[] = {"0", "false", "off", "no"};
  for (size_t i = 0; i < KP_COUNT_OF(yes); ++i) {
    if (same(option->value, yes[i])) return *out_text = "1", NULL;
    if (same(option->value, no[i])) return *out_text = "0", NULL;
  }
  return KP_ERROR(BAD_PROVIDER_LIST,
                  "%s.%s is '%s'; it takes 0 or 1 (false, true, off, on, no, yes)", provider,
                  option->key, option->value);
}

static kp_status* read_number(const char* provider, const kp_option_def* def,
                              const kp_option* option, const char** out_text) {
  double number = 0;
  int64_t whole = 0;
  const bool good = def->kind == KP_OPTION_INT ? kp_parse_i64(kp_str_of(option->value), &whole)
                                               : kp_parse_f64(kp_str_of(option->value), &number);
  if (def->kind == KP_OPTION_INT) number = (double)whole;
  if (good && number >= def->min && number <= def->max) return *out_text = option->value, NULL;
  return KP_ERROR(BAD_PROVIDER_LIST, "%s.%s is '%s'; it takes %s from %.15g to %.15g", provider,
                  def->key, option->value,
                  def->kind == KP_OPTION_INT ? "a whole number" : "a number", def->min, def->max);
}

static kp_status* read_enum(const char* provider, const kp_option_def* def, const kp_option* option,
                            const char** out_text) {
  kp_nearest nearest = KP_NEAREST_INIT(kp_str_of(option->value));
  kp_strbuf known = {0};
  for (size_t i = 0; def->values[i]; ++i) {
    if (same(option->value, def->values[i])) {
      kp_strbuf_free(&known);
      return *out_text = def->values[i], NULL;
    }
    kp_nearest_offer(&nearest, def->values[i]);
    kp_strbuf_printf(&known, "%s%s", i ? ", " : "", def->values[i]);
  }
  kp_status* status = KP_ERROR(BAD_PROVIDER_LIST, "%s.%s is '%s'; it takes one of: %s", provider,
                               def->key, option->value, known.data ? known.data : "");
  if (nearest.best) kp_status_hint(status, "did you mean '%s'?", nearest.best);
  kp_strbuf_free(&known);
  return status;
}

// Words between ',' and ':', each one of |def->values|; behind a '.' a word may say which device ("AUTO:GPU.1,CPU").
static kp_status* read_list(const char* provider, const kp_option_def* def, const kp_option* option,
                            const char** out_text) {
  for (const char* at = option->value;;) {
    const size_t length = strcspn(at, ",:");
    char word[64] = "";
    if (length < sizeof word) memcpy(word, at, length);
    word[strcspn(word, ".")] = 0;
    const kp_option one = {option->key, word};
    const char* text;
    kp_status* status = read_enum(provider, def, &one, &text);
    if (status) return status;
    if (!at[length]) return *out_text = option->value, NULL;
    at += length + 1;
  }
}

static kp_status* read_value(const char* provider, const kp_option_def* def,
                             const kp_option* option, const char** out_text) {
  switch (def->kind) {
    case KP_OPTION_BOOL:
      return read_bool(provider, option, out_text);
    case KP_OPTION_INT:
    case KP_OPTION_FLOAT:
      return read_number(provider, def, option, out_text);
    case KP_OPTION_ENUM:
      return read_enum(provider, def, option, out_text);
    case KP_OPTION_LIST:
      if (def->values) return read_list(provider, def, option, out_text);
      break;
    case KP_OPTION_STRING:
      break;
  }
  *out_text = option->value;
  return NULL;
}

kp_status* kp_options_check(const char* provider, const kp_option_def* defs, size_t def_count,
                            const kp_option* options, size_t option_count, kp_arena* arena,
                            const char*** out_texts) {
  *out_texts = NULL;
  const char** texts = kp_arena_new_array(arena, const char*, def_count);
  if (!texts) return KP_ERROR(OUT_OF_MEMORY, "options of %s", provider);
  for (size_t i = 0; i < def_count; ++i) texts[i] = defs[i].default_text;
  for (size_t i = 0; i < option_count; ++i) {
    const kp_option option = {options[i].key, options[i].value ? options[i].value : ""};
    size_t index = 0;
    while (index < def_count && !same(defs[index].key, option.key)) ++index;
    if (index == def_count) return unknown_key(provider, defs, def_count, option.key);
    const char* text = NULL;
    KP_PASS(read_value(provider, &defs[index], &option, &text));
    texts[index] = kp_arena_strndup(arena, text, strlen(text));
    if (!texts[index]) return KP_ERROR(OUT_OF_MEMORY, "option %s.%s", provider, option.key);
  }
  *out_texts = texts;
  return NULL;
}
