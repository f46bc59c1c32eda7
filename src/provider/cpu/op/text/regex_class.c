// Sets of characters of regular expressions; see regex_program.h.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/size.h"
#include "base/unicode.h"
#include "provider/cpu/op/text/regex_program.h"

// Room for one more of |size| bytes in an array of |count|; false when out of memory.
static bool grow(void** array, size_t count, size_t* capacity, size_t size) {
  if (count < *capacity) return true;
  const size_t more = *capacity ? *capacity * 2 : 16;
  void* room = kp_realloc_array(*array, more, size);
  if (!room) return false;
  *array = room;
  *capacity = more;
  return true;
}

void kp_regex_set_add(kp_regex_set* set, uint32_t first, uint32_t last) {
  void* ranges = set->ranges;
  if (set->failed || !grow(&ranges, set->count, &set->capacity, sizeof *set->ranges)) {
    set->failed = true;
    return;
  }
  set->ranges = ranges;
  set->ranges[set->count++] = (kp_regex_range){first, last};
}

static int by_first(const void* a, const void* b) {
  const kp_regex_range *x = a, *y = b;
  return x->first < y->first ? -1 : x->first > y->first;
}

void kp_regex_set_sort(kp_regex_set* set) {
  if (set->count) qsort(set->ranges, set->count, sizeof *set->ranges, by_first);
  size_t kept = 0;
  for (size_t i = 0; i < set->count; ++i) {
    const kp_regex_range range = set->ranges[i];
    kp_regex_range* last = kept ? &set->ranges[kept - 1] : NULL;
    if (last && range.first <= last->last + 1)
      last->last = range.last > last->last ? range.last : last->last;
    else
      set->ranges[kept++] = range;
  }
  set->count = kept;
}

void kp_regex_set_negate(kp_regex_set* set) {
  uint32_t next = 0;
  size_t kept = 0;
  for (size_t i = 0; i < set->count; ++i) {
    const kp_regex_range range = set->ranges[i];
    if (range.first > next) set->ranges[kept++] = (kp_regex_range){next, range.first - 1};
    next = range.last + 1;
  }
  set->count = kept;
  if (next <= KP_UNICODE_LAST) kp_regex_set_add(set, next, KP_UNICODE_LAST);
}

// --- case --------------------------------------------------------------------------------------------------------------------
static void add_fold(void* user, uint32_t code) {
  kp_regex_folds* folds = user;
  void* pairs = folds->pairs;
  if (folds->failed || !grow(&pairs, folds->count, &folds->capacity, sizeof *folds->pairs)) {
    folds->failed = true;
    return;
  }
  folds->pairs = pairs;
  folds->pairs[folds->count++] = (uint64_t)kp_unicode_fold(code) << 32 | code;
}

static int by_pair(const void* a, const void* b) {
  const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return x < y ? -1 : x > y;
}

static bool set_has(const kp_regex_set* set, size_t count, uint32_t code) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (set->ranges[middle].last < code)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && set->ranges[low].first <= code;
}

void kp_regex_set_fold(kp_regex_set* set, kp_regex_folds* folds) {
  if (!folds->count) {
    kp_unicode_each_cased(add_fold, folds);
    if (folds->count) qsort(folds->pairs, folds->count, sizeof *folds->pairs, by_pair);
  }
  if (folds->failed) set->failed = true;
  kp_regex_set_sort(set);
  const size_t own = set->count;
  for (size_t i = 0, end; i < folds->count && !set->failed; i = end) {
    // What they all fold to may have no mapping itself: a small sharp s.
    const uint32_t fold = (uint32_t)(folds->pairs[i] >> 32);
    bool any = set_has(set, own, fold);
    for (end = i; end < folds->count && folds->pairs[end] >> 32 == fold; ++end)
      any = any || set_has(set, own, (uint32_t)folds->pairs[end]);
    if (any) kp_regex_set_add(set, fold, fold);
    for (size_t k = i; any && k < end; ++k)
      kp_regex_set_add(set, (uint32_t)folds->pairs[k], (uint32_t)folds->pairs[k]);
  }
  kp_regex_set_sort(set);
}

// --- names -------------------------------------------------------------------------------------------------------------------
static void add_range(void* user, uint32_t first, uint32_t last) {
  kp_regex_set_add(user, first, last);
}

bool kp_regex_set_add_unicode(kp_regex_set* set, kp_str name) {
  return kp_unicode_each_range(name, add_range, set);
}

typedef struct named_class {
  const char* name;
  const char* ranges;  // pairs of first and last characters
  size_t bytes;
} named_class;
#define RANGES(text) text, sizeof(text) - 1
static const named_class posix_classes[] = {
    {"alnum", RANGES("09AZaz")},
    {"alpha", RANGES("AZaz")},
    {"ascii", RANGES("\0\x7f")},
    {"blank", RANGES("\t\t  ")},
    {"cntrl", RANGES("\0\x1f\x7f\x7f")},
    {"digit", RANGES("09")},
    {"graph", RANGES("!~")},
    {"lower", RANGES("az")},
    {"print", RANGES(" ~")},
    {"punct", RANGES("!/:@[`{~")},
    {"space", RANGES("\t\r  ")},
    {"upper", RANGES("AZ")},
    {"word", RANGES("09AZaz__")},
    {"xdigit", RANGES("09AFaf")},
};
static const named_class perl_classes[] = {
    {"d", RANGES("09")}, {"s", RANGES("\t\n\f\r  ")}, {"w", RANGES("09AZaz__")}};

static bool add_named(kp_regex_set* set, const named_class* classes, size_t count, kp_str name) {
  for (size_t i = 0; i < count; ++i) {
    if (!kp_str_is(name, classes[i].name)) continue;
    for (size_t k = 0; k < classes[i].bytes; k += 2)
      kp_regex_set_add(set, (unsigned char)classes[i].ranges[k],
                       (unsigned char)classes[i].ranges[k + 1]);
    return true;
  }
  return false;
}

bool kp_regex_set_add_posix(kp_regex_set* set, kp_str name) {
  return add_named(set, posix_classes, KP_COUNT_OF(posix_classes), name);
}

void kp_regex_set_add_perl(kp_regex_set* set, char letter) {
  add_named(set, perl_classes, KP_COUNT_OF(perl_classes), (kp_str){&letter, 1});
}
