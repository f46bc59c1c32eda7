// The interval planner: tries several placements and keeps the smallest. Neighbours: planner_by_size.c and planner_by_time.c;
// exec/ plans its arena and the CPU provider its scratch here.
//
// By size is the best one nearly always. Where it misses the lower bound (the most bytes alive at one step), the items that ended up
// on top were placed too late: it is made again with these first, a few times. Its cost is the number of pairs of items that are
// alive together, which a graph whose values all live long can make quadratic. Over a limit of such pairs only the placement
// by time, always O(n log n), is made.
#include "base/planner.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/planner_internal.h"
#include "base/size.h"

#define PAIR_LIMIT UINT64_C(4000000)  // about 0.1 s
#define RETRY_PAIRS UINT64_C(100000)  // at most these for more than one attempt
#define ATTEMPTS 8

static void merge(const kp_sort_pair* from, kp_sort_pair* to, size_t start, size_t middle,
                  size_t end) {
  size_t a = start, b = middle;
  for (size_t i = start; i < end; ++i)
    to[i] = a < middle && (b >= end || from[a].key <= from[b].key) ? from[a++] : from[b++];
}

void kp_plan_sort(kp_sort_pair* pairs, kp_sort_pair* work, size_t count) {
  kp_sort_pair *from = pairs, *to = work;
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t start = 0; start < count; start += 2 * width)
      merge(from, to, start, kp_min_size(start + width, count),
            kp_min_size(start + 2 * width, count));
    kp_sort_pair* const swap = from;
    from = to;
    to = swap;
  }
  if (from != pairs) memcpy(pairs, from, count * sizeof *pairs);
}

// Number of items that start while an earlier one is alive, summed: the pairs that overlap in time.
static uint64_t count_pairs(const kp_plan_item* items, const kp_sort_pair* by_first,
                            const kp_sort_pair* by_last, size_t count) {
  uint64_t pairs = 0;
  size_t ended = 0;
  for (size_t i = 0; i < count; ++i) {
    while (ended < i && by_last[ended].key < items[by_first[i].index].first) ++ended;
    pairs += i - ended;
  }
  return pairs;
}

typedef struct plan {
  kp_plan_item* items;  // those with a size
  uint32_t* sources;    // which interval each is
  size_t count;
  kp_sort_pair* by_first;
  kp_sort_pair* by_last;
  kp_sort_pair* work;
} plan;

static kp_status* gather(plan* p, const kp_interval* intervals, size_t count, kp_arena* scratch) {
  p->items = kp_arena_new_array(scratch, kp_plan_item, count);
  p->sources = kp_arena_new_array(scratch, uint32_t, count);
  p->by_first = kp_arena_new_array(scratch, kp_sort_pair, count);
  p->by_last = kp_arena_new_array(scratch, kp_sort_pair, count);
  p->work = kp_arena_new_array(scratch, kp_sort_pair, count);
  if (!p->items || !p->sources || !p->by_first || !p->by_last || !p->work)
    return KP_ERROR(OUT_OF_MEMORY, "planning %zu buffers", count);
  size_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t rounded;
    if (!kp_align_size(intervals[i].size, KP_ALIGNMENT, &rounded) ||
        !kp_add_size(sum, rounded, &sum))
      return KP_ERROR(LIMIT, "the buffers of the plan together exceed the address space");
    if (rounded == 0) continue;
    assert(intervals[i].first <= intervals[i].last);
    const uint32_t k = (uint32_t)p->count++;
    p->items[k] = (kp_plan_item){
        .size = rounded / KP_ALIGNMENT, .first = intervals[i].first, .last = intervals[i].last};
    p->sources[k] = (uint32_t)i;
    p->by_first[k] = (kp_sort_pair){intervals[i].first, k};
    p->by_last[k] = (kp_sort_pair){intervals[i].last, k};
  }
  kp_plan_sort(p->by_first, p->work, p->count);
  kp_plan_sort(p->by_last, p->work, p->count);
  return NULL;
}

// The most units alive at one step: no placement can be smaller.
static uint64_t lower_bound(const plan* p) {
  uint64_t now = 0, most = 0;
  size_t ended = 0;
  for (size_t i = 0; i < p->count; ++i) {
    const kp_plan_item* item = &p->items[p->by_first[i].index];
    while (p->by_last[ended].key < item->first) now -= p->items[p->by_last[ended++].index].size;
    now += item->size;
    if (now > most) most = now;
  }
  return most;
}

// Keeps the offsets of the items if they make a smaller block than the best so far.
static void keep_if_smaller(const plan* p, uint64_t total, uint64_t* best, kp_interval* intervals) {
  if (total >= *best) return;
  *best = total;
  for (size_t k = 0; k < p->count; ++k)
    intervals[p->sources[k]].offset = (size_t)p->items[k].offset * KP_ALIGNMENT;
}

static bool place(plan* p, kp_interval* intervals, kp_arena* scratch, size_t* out_total) {
  const uint64_t bound = lower_bound(p), good = bound + bound / 64;
  const uint64_t pairs = count_pairs(p->items, p->by_first, p->by_last, p->count);
  const int attempts = pairs > PAIR_LIMIT ? 0 : pairs > RETRY_PAIRS ? 1 : ATTEMPTS;
  uint64_t best = UINT64_MAX, total = 0;
  for (int i = 0; i < attempts && best > good; ++i) {
    const kp_arena_mark mark = kp_arena_get_mark(scratch);
    if (!kp_plan_by_size(p->items, p->by_first, p->count, scratch, &total)) return false;
    kp_arena_rewind(scratch, mark);
    keep_if_smaller(p, total, &best, intervals);
    for (size_t k = 0; k < p->count; ++k)
      if (p->items[k].offset + p->items[k].size == total) p->items[k].goes_first = true;
  }
  if (best > good) {
    if (!kp_plan_by_time(p->items, p->by_first, p->count, scratch, &total)) return false;
    keep_if_smaller(p, total, &best, intervals);
  }
  *out_total = (size_t)best * KP_ALIGNMENT;
  return true;
}

kp_status* kp_plan_intervals(kp_interval* intervals, size_t count, kp_arena* scratch,
                             size_t* out_total) {
  *out_total = 0;
  for (size_t i = 0; i < count; ++i) intervals[i].offset = 0;
  if (count == 0) return NULL;
  if (count >= UINT32_MAX) return KP_ERROR(LIMIT, "%zu buffers in one plan", count);
  const kp_arena_mark mark = kp_arena_get_mark(scratch);
  plan p = {0};
  kp_status* status = gather(&p, intervals, count, scratch);
  if (!status && p.count && !place(&p, intervals, scratch, out_total))
    status = KP_ERROR(OUT_OF_MEMORY, "planning %zu buffers", count);
  kp_arena_rewind(scratch, mark);
  return status;
}
