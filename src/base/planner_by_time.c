// Placement by time: walks the steps, giving each item a free block when it starts and joining its block to free neighbours when it
// ends, as an allocator would. Any life times: O(n log n).
//
// Free blocks hang in lists by size, eight classes to a power of two (the idea of Masmano et al. 2004, TLSF); a search takes
// the first block of the next larger class that has one, so a block is never inspected in vain.
#include "base/planner_internal.h"
#include "base/size.h"

#define NONE UINT32_MAX
#define CLASS_COUNT 512

// A stretch of the memory, free or taken. All of them form a list by offset.
typedef struct block {
  uint64_t offset, size;
  uint32_t before, after;            // neighbours by offset
  uint32_t free_before, free_after;  // neighbours in the list of its class
  bool is_free;
} block;

typedef struct heap {
  block* blocks;
  uint32_t count;  // blocks made
  uint32_t spare;  // list of records that joining set free, through |after|
  uint32_t last;   // the block with the greatest offset
  uint64_t end;    // size of the memory so far
  uint32_t heads[CLASS_COUNT];
  uint64_t filled[CLASS_COUNT / 64];
} heap;

// Class of a block: all blocks of a class are at least as large as its lower bound.
static unsigned class_of(uint64_t size) {
  if (size < 8) return (unsigned)size;
  const unsigned top = 63u - (unsigned)__builtin_clzll(size);
  return (top - 2) * 8 + (unsigned)(size >> (top - 3) & 7);
}

// The smallest class whose blocks all hold |size|.
static unsigned class_for(uint64_t size) {
  const unsigned found = class_of(size);
  if (size < 8) return found;
  const unsigned top = 63u - (unsigned)__builtin_clzll(size);
  const uint64_t bound = (size >> (top - 3)) << (top - 3);
  return bound == size ? found : found + 1;
}

static void list_add(heap* h, uint32_t index) {
  block* const b = &h->blocks[index];
  const unsigned c = class_of(b->size);
  b->is_free = true;
  b->free_before = NONE;
  b->free_after = h->heads[c];
  if (b->free_after != NONE) h->blocks[b->free_after].free_before = index;
  h->heads[c] = index;
  h->filled[c / 64] |= UINT64_C(1) << (c % 64);
}

static void list_remove(heap* h, uint32_t index) {
  block* const b = &h->blocks[index];
  const unsigned c = class_of(b->size);
  b->is_free = false;
  if (b->free_after != NONE) h->blocks[b->free_after].free_before = b->free_before;
  if (b->free_before != NONE)
    h->blocks[b->free_before].free_after = b->free_after;
  else
    h->heads[c] = b->free_after;
  if (h->heads[c] == NONE) h->filled[c / 64] &= ~(UINT64_C(1) << (c % 64));
}

// A free block of at least |size|, or NONE.
static uint32_t list_find(const heap* h, uint64_t size) {
  const unsigned from = class_for(size);
  if (from >= CLASS_COUNT) return NONE;
  uint64_t word = h->filled[from / 64] & (UINT64_MAX << (from % 64));
  for (unsigned w = from / 64;;) {
    if (word) return h->heads[w * 64 + (unsigned)__builtin_ctzll(word)];
    if (++w == CLASS_COUNT / 64) return NONE;
    word = h->filled[w];
  }
}

static uint32_t new_block(heap* h) {
  if (h->spare == NONE) return h->count++;
  const uint32_t index = h->spare;
  h->spare = h->blocks[index].after;
  return index;
}

// Puts a new record behind |index| in the order of offsets.
static uint32_t insert_after(heap* h, uint32_t index, uint64_t offset, uint64_t size) {
  const uint32_t made = new_block(h);
  const uint32_t after = index == NONE ? NONE : h->blocks[index].after;
  h->blocks[made] = (block){.offset = offset, .size = size, .before = index, .after = after};
  if (index != NONE) h->blocks[index].after = made;
  if (after != NONE)
    h->blocks[after].before = made;
  else
    h->last = made;
  return made;
}

static uint32_t take(heap* h, uint64_t size) {
  uint32_t index = list_find(h, size);
  if (index == NONE) {  // grow at the end, over a free block that lies there
    const bool joins = h->last != NONE && h->blocks[h->last].is_free;
    if (joins) {
      index = h->last;
      list_remove(h, index);
      if (h->blocks[index].size < size) h->blocks[index].size = size;
    } else {
      index = insert_after(h, h->last, h->end, size);
    }
    const uint64_t end = h->blocks[index].offset + h->blocks[index].size;
    if (end > h->end) h->end = end;
  } else {
    list_remove(h, index);
  }
  const uint64_t rest = h->blocks[index].size - size;
  if (rest) {
    h->blocks[index].size = size;
    list_add(h, insert_after(h, index, h->blocks[index].offset + size, rest));
  }
  return index;
}

// Joins |index| to the block before it, which takes over its room.
static void join_to_previous(heap* h, uint32_t index) {
  const block gone = h->blocks[index];
  h->blocks[gone.before].size += gone.size;
  h->blocks[gone.before].after = gone.after;
  if (gone.after != NONE)
    h->blocks[gone.after].before = gone.before;
  else
    h->last = gone.before;
  h->blocks[index].after = h->spare;
  h->spare = index;
}

static void give_back(heap* h, uint32_t index) {
  const uint32_t after = h->blocks[index].after, before = h->blocks[index].before;
  if (after != NONE && h->blocks[after].is_free) {
    list_remove(h, after);
    join_to_previous(h, after);
  }
  if (before != NONE && h->blocks[before].is_free) {
    list_remove(h, before);
    join_to_previous(h, index);
    index = before;
  }
  list_add(h, index);
}

// Items in order of |last|.
static kp_sort_pair* order_by_last(const kp_plan_item* items, size_t count, kp_arena* scratch) {
  kp_sort_pair* order = kp_arena_new_array(scratch, kp_sort_pair, count);
  kp_sort_pair* work = kp_arena_new_array(scratch, kp_sort_pair, count);
  if (!order || !work) return NULL;
  for (size_t i = 0; i < count; ++i) order[i] = (kp_sort_pair){items[i].last, (uint32_t)i};
  kp_plan_sort(order, work, count);
  return order;
}

bool kp_plan_by_time(kp_plan_item* items, const kp_sort_pair* by_first, size_t count,
                     kp_arena* scratch, uint64_t* out_total) {
  heap* h = kp_arena_new(scratch, heap);
  uint32_t* taken = kp_arena_new_array(scratch, uint32_t, count);  // the block of each item
  const kp_sort_pair* by_last = order_by_last(items, count, scratch);
  if (!h || !taken || !by_last) return false;
  // A block is made for each item and for the rest that it leaves: never more than two an item.
  h->blocks = kp_arena_new_array(scratch, block, 2 * count);
  if (!h->blocks) return false;
  h->spare = h->last = NONE;
  for (unsigned c = 0; c < CLASS_COUNT; ++c) h->heads[c] = NONE;
  size_t ended = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t k = by_first[i].index;
    while (by_last[ended].key < items[k].first) give_back(h, taken[by_last[ended++].index]);
    taken[k] = take(h, items[k].size);
    items[k].offset = h->blocks[taken[k]].offset;
  }
  *out_total = h->end;
  return true;
}
