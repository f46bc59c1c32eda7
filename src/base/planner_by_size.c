// Placement by size: the largest item first, each into the smallest gap between the items that are alive with it.
// Source: Pisarchyk & Lee 2020, "Efficient Memory Management for Deep Neural Net Inference", section 5 (greedy by size).
//
// Placed items are found by time through a tree over the items in order of |first|: each node keeps the latest |last| among the
// placed items below it, so that a search visits only branches in which something overlaps.
#include "base/planner_internal.h"
#include "base/size.h"

typedef struct tree {
  const kp_plan_item* items;
  const kp_sort_pair* by_first;
  size_t leaves;    // power of two
  uint64_t* until;  // 1 + latest |last| below the node; 0: nothing placed there. Node 1 is the root
} tree;

typedef struct span {
  uint64_t start, end;
} span;

typedef struct found {
  span* spans;
  size_t count;
} found;

static void tree_place(tree* t, size_t leaf, uint32_t last) {
  const uint64_t until = (uint64_t)last + 1;
  for (size_t node = t->leaves + leaf; node; node /= 2)
    if (t->until[node] < until) t->until[node] = until;
}

// Collects the placed items among the leaves [low, low + width) under |node| that are alive with |item|. Leaves at |limit| and
// after start later than |item| ends. Depth is log2 of the item count.
static void tree_collect(const tree* t, size_t node, size_t low, size_t width, size_t limit,
                         const kp_plan_item* item, found* out) {
  if (low >= limit || t->until[node] <= item->first) return;
  if (width > 1) {
    tree_collect(t, 2 * node, low, width / 2, limit, item, out);
    tree_collect(t, 2 * node + 1, low + width / 2, width / 2, limit, item, out);
    return;
  }
  const kp_plan_item* other = &t->items[t->by_first[low].index];
  out->spans[out->count++] = (span){other->offset, other->offset + other->size};
}

static size_t first_leaf_after(const tree* t, size_t count, uint32_t step) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (t->by_first[middle].key <= step)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void sift_down(span* spans, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && spans[child].start < spans[child + 1].start) ++child;
    if (spans[root].start >= spans[child].start) return;
    const span swap = spans[root];
    spans[root] = spans[child];
    spans[child] = swap;
  }
}

static void sort_spans(span* spans, size_t count) {  // heap sort: in place, no worst case
  for (size_t i = count / 2; i-- > 0;) sift_down(spans, i, count);
  for (size_t end = count; end-- > 1;) {
    const span swap = spans[0];
    spans[0] = spans[end];
    spans[end] = swap;
    sift_down(spans, 0, end);
  }
}

// Start of the smallest gap between |spans| (sorted) that holds |size|, or the end of them all.
static uint64_t best_gap(const span* spans, size_t count, uint64_t size) {
  uint64_t best = UINT64_MAX, best_room = UINT64_MAX, free_from = 0;
  for (size_t i = 0; i < count; ++i) {
    if (spans[i].start > free_from) {
      const uint64_t room = spans[i].start - free_from;
      if (room >= size && room < best_room) {
        best = free_from;
        best_room = room;
      }
    }
    if (spans[i].end > free_from) free_from = spans[i].end;
  }
  return best != UINT64_MAX ? best : free_from;
}

// Items in order of falling size, those that go first before all others; among equals the earlier one.
static bool order_by_size(const kp_plan_item* items, const kp_sort_pair* by_first, size_t count,
                          kp_arena* scratch, kp_sort_pair** out_order) {
  kp_sort_pair* order = kp_arena_new_array(scratch, kp_sort_pair, count);
  kp_sort_pair* work = kp_arena_new_array(scratch, kp_sort_pair, count);
  if (!order || !work) return false;
  for (size_t leaf = 0; leaf < count; ++leaf) {
    const kp_plan_item* item = &items[by_first[leaf].index];
    const uint64_t late = item->goes_first ? 0 : UINT64_MAX / 2;  // sizes count 64 bytes: far below
    order[leaf] = (kp_sort_pair){UINT64_MAX / 2 - item->size + late, (uint32_t)leaf};
  }
  kp_plan_sort(order, work, count);
  *out_order = order;
  return true;
}

bool kp_plan_by_size(kp_plan_item* items, const kp_sort_pair* by_first, size_t count,
                     kp_arena* scratch, uint64_t* out_total) {
  kp_sort_pair* order;
  tree t = {.items = items, .by_first = by_first, .leaves = 1};
  while (t.leaves < count) t.leaves *= 2;
  t.until = kp_arena_new_array(scratch, uint64_t, 2 * t.leaves);
  found out = {.spans = kp_arena_new_array(scratch, span, count)};
  if (!t.until || !out.spans || !order_by_size(items, by_first, count, scratch, &order))
    return false;
  uint64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t leaf = order[i].index;
    kp_plan_item* const item = &items[by_first[leaf].index];
    out.count = 0;
    tree_collect(&t, 1, 0, t.leaves, first_leaf_after(&t, count, item->last), item, &out);
    sort_spans(out.spans, out.count);
    item->offset = best_gap(out.spans, out.count, item->size);
    total = item->offset + item->size > total ? item->offset + item->size : total;
    tree_place(&t, leaf, item->last);
  }
  *out_total = total;
  return true;
}
