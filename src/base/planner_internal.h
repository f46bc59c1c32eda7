// The two placement methods of the planner. Only planner.c calls them; use base/planner.h.
// Sizes and offsets here count units of KP_ALIGNMENT bytes.
#ifndef KP_BASE_PLANNER_INTERNAL_H_
#define KP_BASE_PLANNER_INTERNAL_H_

#include <stdbool.h>

#include "base/arena.h"

typedef struct kp_plan_item {
  uint64_t size;         // units, > 0
  uint64_t offset;       // out, units
  uint32_t first, last;  // steps, inclusive
  bool goes_first;       // by size: before the larger ones
} kp_plan_item;

typedef struct kp_sort_pair {
  uint64_t key;
  uint32_t index;
} kp_sort_pair;

// Sorts by key, smallest first, stable. |work| has room for |count| pairs.
void kp_plan_sort(kp_sort_pair* pairs, kp_sort_pair* work, size_t count);

// Both set every offset and *out_total (units), which cannot overflow: the caller has checked the sum of sizes.
// False: out of memory. |by_first| lists the items in order of |first|.
bool kp_plan_by_size(kp_plan_item* items, const kp_sort_pair* by_first, size_t count,
                     kp_arena* scratch, uint64_t* out_total);
bool kp_plan_by_time(kp_plan_item* items, const kp_sort_pair* by_first, size_t count,
                     kp_arena* scratch, uint64_t* out_total);

#endif  // KP_BASE_PLANNER_INTERNAL_H_
