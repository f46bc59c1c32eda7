// Groups reasons by operator and words in a hash table.
#include "plan/reasons.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "graph/graph.h"

kp_status* kp_reasons_init(kp_reasons* r, size_t most_groups) {
  *r = (kp_reasons){.capacity = 16};
  while (r->capacity < most_groups * 2) r->capacity *= 2;
  r->groups = kp_alloc_array(most_groups + 1, sizeof(*r->groups));
  r->slots = kp_alloc_array(r->capacity, sizeof(*r->slots));
  if (!r->groups || !r->slots) {
    kp_reasons_free(r);
    return KP_ERROR(OUT_OF_MEMORY, "the placement report");
  }
  memset(r->slots, 0xff, r->capacity * sizeof(*r->slots));
  return NULL;
}

void kp_reasons_free(kp_reasons* r) {
  kp_free(r->groups);
  kp_free(r->slots);
  *r = (kp_reasons){0};
}

void kp_reasons_add(kp_reasons* r, const char* op, const char* words, const char* node) {
  const uint64_t hash = kp_hash_bytes(words, strlen(words), kp_hash_bytes(op, strlen(op), 0));
  for (size_t i = hash & (r->capacity - 1);; i = (i + 1) & (r->capacity - 1)) {
    if (r->slots[i] == KP_NONE) {
      r->slots[i] = (uint32_t)r->count;
      r->groups[r->count++] = (kp_reason_group){op, words, {node}, 1};
      return;
    }
    kp_reason_group* group = &r->groups[r->slots[i]];
    if (strcmp(group->op, op) != 0 || strcmp(group->words, words) != 0) continue;
    if (group->count < KP_REASON_NAMES) group->names[group->count] = node;
    ++group->count;
    return;
  }
}

static int larger_first(const void* a, const void* b) {
  const kp_reason_group *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  const int by_op = strcmp(x->op, y->op);
  return by_op ? by_op : strcmp(x->words, y->words);
}

static void print_names(const kp_reason_group* g, kp_strbuf* out) {
  uint32_t named = 0;
  for (uint32_t i = 0; i < g->count && i < KP_REASON_NAMES; ++i) {
    if (!g->names[i] || !g->names[i][0]) continue;
    kp_strbuf_printf(out, "%s%.80s", named++ ? ", " : " (", g->names[i]);
  }
  if (!named) return;
  if (named < g->count) kp_strbuf_puts(out, ", ...");
  kp_strbuf_puts(out, ")");
}

void kp_reasons_print(kp_reasons* r, size_t most, const char* separator, kp_strbuf* out) {
  qsort(r->groups, r->count, sizeof(*r->groups), larger_first);
  for (size_t i = 0; i < r->count && i < most; ++i) {
    kp_strbuf_printf(out, "%s%u x %s: %s", i ? separator : "", r->groups[i].count, r->groups[i].op,
                     r->groups[i].words);
    print_names(&r->groups[i], out);
  }
  if (r->count > most) kp_strbuf_printf(out, "%sand %zu more reasons", separator, r->count - most);
}
