// The interval planner: tries two placements and keeps the smaller. Neighbours: planner_by_size.c and planner_by_time.c;
// exec/ plans its arena and the CPU provider its scratch here.
//
// By size is the better one nearly always; its cost is the number of pairs that are alive together, which a graph whose values
// all live long can make quadratic. Over a limit of such pairs only the placement by time, always O(n log n), is made.
#include "base/planner.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/planner_internal.h"
#include "base/size.h"

#define PAIR_LIMIT UINT64_C(4000000)  // about 0.1 s

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

static void store(const plan* p, kp_interval* intervals) {
  for (size_t k = 0; k < p->count; ++k)
    intervals[p->sources[k]].offset = (size_t)p->items[k].offset * KP_ALIGNMENT;
}

static kp_status* place(plan* p, kp_interval* intervals, kp_arena* scratch, size_t* out_total) {
  uint64_t total = 0, other = 0;
  if (!kp_plan_by_time(p->items, p->by_first, p->count, scratch, &total))
    return KP_ERROR(OUT_OF_MEMORY, "planning %zu buffers", p->count);
  store(p, intervals);
  if (count_pairs(p->items, p->by_first, p->by_last, p->count) <= PAIR_LIMIT) {
    if (!kp_plan_by_size(p->items, p->by_first, p->count, scratch, &other))
      return KP_ERROR(OUT_OF_MEMORY, "planning %zu buffers", p->count);
    if (other <= total) store(p, intervals);
    total = kp_min_size(total, other);
  }
  *out_total = (size_t)total * KP_ALIGNMENT;
  return NULL;
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
  if (!status) status = place(&p, intervals, scratch, out_total);
  kp_arena_rewind(scratch, mark);
  return status;
}
