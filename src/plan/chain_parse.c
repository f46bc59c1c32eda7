// Parses the list of providers (grammar in chain.h) into a kp_chain. Loading is chain_load.c's.
#include "plan/chain.h"

#include <ctype.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/size.h"

static const char kHint[] =
    "write for example \"CUDA?,CPU\" or \"TensorRT>=90%,CUDA?; partitions<=3; floor=all\"";

// A part of the list with the spaces around it cut off.
static kp_str trim(kp_str text) {
  while (text.length > 0 && isspace((unsigned char)text.data[0])) ++text.data, --text.length;
  while (text.length > 0 && isspace((unsigned char)text.data[text.length - 1])) --text.length;
  return text;
}

// Cuts |rest| at the first |separator|: gives the part before it, leaves what follows in |rest|. False when nothing is left.
static bool next_part(kp_str* rest, char separator, kp_str* out_part) {
  if (!rest->data) return false;
  const char* end = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
  const size_t length = end ? (size_t)(end - rest->data) : rest->length;
  *out_part = trim((kp_str){rest->data, length});
  *rest = end ? (kp_str){end + 1, rest->length - length - 1} : (kp_str){NULL, 0};
  return true;
}

static bool starts_with(kp_str text, const char* prefix) {
  const size_t n = strlen(prefix);
  return text.length >= n && strncasecmp(text.data, prefix, n) == 0;
}

static bool equals(kp_str text, const char* word) {
  return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

static kp_str skip(kp_str text, size_t n) { return trim((kp_str){text.data + n, text.length - n}); }

static kp_status* bad_list(kp_str part, const char* what) {
  kp_status* status =
      KP_ERROR(BAD_PROVIDER_LIST, "'%.*s' in the provider list: %s", KP_STR_ARG(part), what);
  return kp_status_hint(status, "%s", kHint);
}

// The ">=90%nodes" after a name; |text| starts after ">=".
static kp_status* parse_share(kp_str part, kp_str text, kp_chain_entry* entry) {
  const char* percent = text.length ? memchr(text.data, '%', text.length) : NULL;
  if (!percent) return bad_list(part, "a share needs a percent sign, as in CUDA>=90%");
  const kp_str number = trim((kp_str){text.data, (size_t)(percent - text.data)});
  const kp_str unit = trim((kp_str){percent + 1, text.length - (size_t)(percent + 1 - text.data)});
  double value;
  if (!kp_parse_f64(number, &value) || !(value >= 0 && value <= 100))
    return bad_list(part, "a share is a number from 0 to 100");
  if (unit.length == 0 || equals(unit, "flops")) {
    entry->share = KP_SHARE_FLOPS;
  } else if (equals(unit, "nodes")) {
    entry->share = KP_SHARE_NODES;
  } else {
    return bad_list(part, "a share counts flops or nodes, as in CUDA>=90%nodes");
  }
  entry->share_percent = value;
  return NULL;
}

static kp_status* parse_entry(kp_chain* chain, kp_str part, kp_chain_entry* entry) {
  if (part.length == 0) return bad_list(part, "an empty name (two commas, or a comma at an end)");
  size_t n = 0;
  while (n < part.length && part.data[n] != '?' && part.data[n] != ':' && part.data[n] != '>' &&
         part.data[n] != '<' && part.data[n] != '=')
    ++n;
  const kp_str name = trim((kp_str){part.data, n});
  const kp_str mark = skip(part, n);
  entry->written = kp_arena_strndup(&chain->arena, part.data, part.length);
  entry->canonical = kp_provider_canonical(name);
  if (!entry->written) return KP_ERROR(OUT_OF_MEMORY, "the provider list");
  if (!entry->canonical) return kp_provider_unknown(name);
  entry->short_name = kp_provider_short(entry->canonical);
  entry->consent = KP_CONSENT_REQUIRED;
  if (mark.length == 0) return NULL;
  if (equals(mark, "?") || equals(mark, ":optional")) {
    entry->consent = KP_CONSENT_OPTIONAL;
    return NULL;
  }
  if (starts_with(mark, ">=")) return parse_share(part, skip(mark, 2), entry);
  return bad_list(part, "after a name stands nothing, '?', ':optional' or '>=N%'");
}

// A count with an optional K, M or G (powers of 1024).
static bool parse_amount(kp_str text, bool suffix_allowed, int64_t* out) {
  int64_t scale = 1;
  if (suffix_allowed && text.length > 0) {
    const char last = (char)toupper((unsigned char)text.data[text.length - 1]);
    if (last == 'K') scale = INT64_C(1) << 10;
    if (last == 'M') scale = INT64_C(1) << 20;
    if (last == 'G') scale = INT64_C(1) << 30;
    if (scale > 1) text = trim((kp_str){text.data, text.length - 1});
  }
  int64_t value;
  return kp_parse_i64(text, &value) && value >= 0 && kp_mul_i64(value, scale, out);
}

static kp_status* parse_floor(kp_chain* chain, kp_str clause, kp_str value) {
  chain->floor_written = kp_arena_strndup(&chain->arena, clause.data, clause.length);
  if (!chain->floor_written) return KP_ERROR(OUT_OF_MEMORY, "the provider list");
  if (equals(value, "all")) return chain->floor = KP_FLOOR_ALL, NULL;
  if (equals(value, "none")) return chain->floor = KP_FLOOR_NONE, NULL;
  chain->floor = KP_FLOOR_LIST;
  size_t commas = 0;
  for (size_t i = 0; i < value.length; ++i) commas += value.data[i] == ',';
  chain->floor_ops = kp_arena_new_array(&chain->arena, const char*, commas + 1);
  if (!chain->floor_ops) return KP_ERROR(OUT_OF_MEMORY, "the provider list");
  kp_str op;
  for (kp_str rest = value; next_part(&rest, ',', &op);) {
    if (op.length == 0) return bad_list(clause, "floor= takes 'all', 'none' or operators by name");
    const char* text = kp_arena_strndup(&chain->arena, op.data, op.length);
    if (!text) return KP_ERROR(OUT_OF_MEMORY, "the provider list");
    chain->floor_ops[chain->floor_op_count++] = text;
  }
  return NULL;
}

static kp_status* parse_clause(kp_chain* chain, kp_str clause) {
  static const struct {
    const char* prefix;
    size_t field;
    bool bytes;
  } kLimits[] = {
      {"partitions", offsetof(kp_chain, max_partitions), false},
      {"copies", offsetof(kp_chain, max_copies), false},
      {"copy-bytes", offsetof(kp_chain, max_copy_bytes), true},
  };
  if (clause.length == 0) return NULL;  // a semicolon at the end
  if (equals(clause, "no-loop-copies")) return chain->no_loop_copies = true, NULL;
  if (starts_with(clause, "floor")) {
    const kp_str rest = skip(clause, 5);
    if (starts_with(rest, "=")) return parse_floor(chain, clause, skip(rest, 1));
  }
  for (size_t i = 0; i < KP_COUNT_OF(kLimits); ++i) {
    if (!starts_with(clause, kLimits[i].prefix)) continue;
    const kp_str rest = skip(clause, strlen(kLimits[i].prefix));
    if (!starts_with(rest, "<=")) continue;
    int64_t* field = (int64_t*)((char*)chain + kLimits[i].field);
    if (parse_amount(skip(rest, 2), kLimits[i].bytes, field)) return NULL;
    return bad_list(clause, kLimits[i].bytes ? "a limit is a number, with K, M or G if wanted"
                                             : "a limit is a number");
  }
  return bad_list(clause,
                  "clauses are floor=, partitions<=, copies<=, copy-bytes<= and no-loop-copies");
}

static kp_status* check_repeats(const kp_chain* chain) {
  for (uint32_t i = 0; i < chain->count; ++i)
    for (uint32_t k = 0; k < i; ++k)
      if (strcmp(chain->entries[i].canonical, chain->entries[k].canonical) == 0)
        return bad_list(kp_str_of(chain->entries[i].written), "the provider is named twice");
  return NULL;
}

// The CPU at the end of the list, or not named at all, is the floor.
static void add_floor(kp_chain* chain) {
  static const char kCpu[] = "CPUExecutionProvider";
  for (uint32_t i = 0; i + 1 < chain->count; ++i)
    if (strcmp(chain->entries[i].canonical, kCpu) == 0) return;
  kp_chain_entry* last = chain->count ? &chain->entries[chain->count - 1] : NULL;
  if (last && strcmp(last->canonical, kCpu) == 0) {
    if (last->share != KP_SHARE_NONE) return;  // a share makes it a player like the others
    if (chain->floor == KP_FLOOR_NONE) --chain->count;
    last->consent = KP_CONSENT_FLOOR;
    return;
  }
  if (chain->floor == KP_FLOOR_NONE) return;
  chain->entries[chain->count++] = (kp_chain_entry){
      .written = "CPU", .canonical = kCpu, .short_name = "CPU", .consent = KP_CONSENT_FLOOR};
}

static kp_status* parse_into(kp_chain* chain, kp_str text) {
  size_t commas = 0;
  for (size_t i = 0; i < text.length; ++i) commas += text.data[i] == ',';
  chain->entries = kp_arena_new_array(&chain->arena, kp_chain_entry, commas + 2);
  chain->text = kp_arena_strndup(&chain->arena, text.data, text.length);
  if (!chain->entries || !chain->text) return KP_ERROR(OUT_OF_MEMORY, "the provider list");
  kp_str part, rest = text, list;
  if (!next_part(&rest, ';', &list) || list.length == 0) list = kp_str_of("CPU");
  while (next_part(&rest, ';', &part)) KP_PASS(parse_clause(chain, part));
  while (next_part(&list, ',', &part))
    KP_PASS(parse_entry(chain, part, &chain->entries[chain->count++]));
  KP_PASS(check_repeats(chain));
  add_floor(chain);
  return NULL;
}

kp_status* kp_chain_parse(const char* text, kp_chain** out_chain) {
  *out_chain = NULL;
  kp_chain* chain = kp_alloc_zero(1, sizeof(*chain));
  if (!chain) return KP_ERROR(OUT_OF_MEMORY, "the provider list");
  chain->max_partitions = chain->max_copies = chain->max_copy_bytes = -1;
  kp_status* status = parse_into(chain, trim(kp_str_of(text && text[0] ? text : "CPU")));
  if (status) {
    kp_chain_free(chain);
    return status;
  }
  *out_chain = chain;
  return NULL;
}

bool kp_chain_floor_takes(const kp_chain* chain, const char* op) {
  if (chain->floor != KP_FLOOR_LIST) return chain->floor == KP_FLOOR_ALL;
  for (uint32_t i = 0; i < chain->floor_op_count; ++i)
    if (strcmp(chain->floor_ops[i], op) == 0) return true;
  return false;
}

uint32_t kp_chain_floor_index(const kp_chain* chain) {
  if (chain->count == 0 || chain->entries[chain->count - 1].consent != KP_CONSENT_FLOOR)
    return KP_NONE;
  return chain->count - 1;
}
