// Heap memory: malloc with counters, a budget and one failure that tests can order. Neighbours: budget.c; arena.c, everything.
//
// The counters are relaxed: they are read by tests while nothing allocates, and cost one uncontended add each.
#include "base/alloc.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/pages.h"
#include "base/sanitize.h"
#include "base/size.h"
#include "base/spare.h"

static _Atomic uint64_t total_count;
static _Atomic int64_t live_count;
static _Atomic uint64_t fail_countdown;  // allocations until the one that fails; 0 = none ordered
static _Atomic bool fail_happened;

// Sanitizers abort on sizes that malloc merely refuses; a hostile model's size must come back as NULL in every build.
#if KP_ASAN || KP_TSAN || KP_MSAN
#define MAX_BYTES ((size_t)1 << 38)
#else
#define MAX_BYTES ((size_t)PTRDIFF_MAX)
#endif

// True if the present allocation is the one ordered to fail. Exact also when threads allocate at once.
static bool must_fail(void) {
  uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
  if (left == 0) return false;
  while (!atomic_compare_exchange_weak(&fail_countdown, &left, left - 1))
    if (left == 0) return false;
  if (left != 1) return false;
  atomic_store(&fail_happened, true);
  return true;
}

// Stands right before every piece that is handed out: whom it is charged to, and where it really begins.
typedef struct header {
  kp_budget* budget;  // NULL = nobody
  size_t whole;       // bytes charged
  size_t offset;      // from the beginning of the allocation to what was handed out
  size_t room;        // of a block that may be kept (spare.h): its bytes; else 0
} header;

#define HEADER_BYTES ((size_t)32)  // keeps what follows at max_align_t
_Static_assert(sizeof(header) <= HEADER_BYTES && _Alignof(max_align_t) <= HEADER_BYTES,
               "room for the header");

static header* header_of(void* memory) { return (header*)((char*)memory - HEADER_BYTES); }

static void* begin_of(header* h) {
  KP_UNPOISON(h, HEADER_BYTES);
  return (char*)h + HEADER_BYTES - h->offset;
}

// Writes the header of an allocation at |begin| and gives what follows it.
static void* hand_out(void* begin, kp_budget* budget, size_t whole, size_t offset) {
  char* const memory = (char*)begin + offset;
  *header_of(memory) = (header){budget, whole, offset, 0};
  KP_POISON(header_of(memory), HEADER_BYTES);
  return memory;
}

// Charges |byte_count| and the |offset| before them to the thread's bounds. False: must be refused.
static bool charge(size_t byte_count, size_t offset, kp_budget** out_budget, size_t* out_whole) {
  *out_budget = kp_bounds_current().budget;
  return !must_fail() && byte_count <= MAX_BYTES && kp_add_size(byte_count, offset, out_whole) &&
         (!*out_budget || kp_budget_charge(*out_budget, *out_whole));
}

static void* count_new(void* begin, kp_budget* budget, size_t whole, size_t offset) {
  if (!begin) {
    if (budget) kp_budget_return(budget, whole);
    return NULL;
  }
  atomic_fetch_add_explicit(&total_count, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&live_count, 1, memory_order_relaxed);
  return hand_out(begin, budget, whole, offset);
}

void* kp_alloc(size_t byte_count) {
  kp_budget* budget;
  size_t whole;
  if (!charge(byte_count, HEADER_BYTES, &budget, &whole)) return NULL;
  return count_new(malloc(whole), budget, whole, HEADER_BYTES);
}

void* kp_alloc_zero(size_t count, size_t element_size) {
  kp_budget* budget;
  size_t byte_count, whole;
  if (!kp_mul_size(count, element_size, &byte_count) ||
      !charge(byte_count, HEADER_BYTES, &budget, &whole))
    return NULL;
  return count_new(calloc(1, whole), budget, whole, HEADER_BYTES);
}

void* kp_alloc_array(size_t count, size_t element_size) {
  size_t byte_count;
  if (!kp_mul_size(count, element_size, &byte_count)) return NULL;
  return kp_alloc(byte_count);
}

// The piece stays its budget's, whatever the bounds are now.
static void* resize(void* old, size_t byte_count) {
  header h;
  char* const begin = begin_of(header_of(old));
  memcpy(&h, header_of(old), sizeof h);
  size_t whole;
  const bool fits =
      kp_add_size(byte_count, h.offset, &whole) && (!h.budget || kp_budget_charge(h.budget, whole));
  void* const moved = fits ? realloc(begin, whole) : NULL;
  if (!moved) {
    if (fits && h.budget) kp_budget_return(h.budget, whole);
    KP_POISON(header_of(old), HEADER_BYTES);
    return NULL;
  }
  if (h.budget) kp_budget_return(h.budget, h.whole);
  return hand_out(moved, h.budget, whole, h.offset);
}

void* kp_realloc_array(void* old, size_t count, size_t element_size) {
  size_t byte_count;
  if (!kp_mul_size(count, element_size, &byte_count)) return NULL;
  if (!old) return kp_alloc(byte_count);
  if (must_fail() || byte_count > MAX_BYTES) return NULL;
  void* memory = resize(old, byte_count);
  if (memory) atomic_fetch_add_explicit(&total_count, 1, memory_order_relaxed);
  return memory;
}

void* kp_alloc_aligned(size_t byte_count, size_t alignment) {
  kp_budget* budget;
  size_t whole;
  const size_t offset = kp_max_size(alignment, HEADER_BYTES);
  if (!charge(byte_count, offset, &budget, &whole)) return NULL;
  void* memory = NULL;
  const bool huge = whole >= KP_HUGE_PAGE;
  if (posix_memalign(&memory, huge ? kp_max_size(offset, KP_HUGE_PAGE) : offset, whole) != 0)
    memory = NULL;
  if (memory && huge) kp_pages_wish_huge(memory, whole);
  return count_new(memory, budget, whole, offset);
}

void* kp_alloc_block(size_t byte_count) {
  kp_budget* budget;
  size_t whole;
  if (byte_count >= KP_SPARE_BLOCK_BYTES) return kp_alloc_aligned(byte_count, KP_ALIGNMENT);
  if (!charge(byte_count, KP_ALIGNMENT, &budget, &whole)) return NULL;
  size_t room = whole;
  void* begin = kp_spare_take(whole, &room);
  if (!begin && posix_memalign(&begin, KP_ALIGNMENT, whole) != 0) begin = NULL;
  void* memory = count_new(begin, budget, whole, KP_ALIGNMENT);
  if (!memory) return NULL;
  header* const h = header_of(memory);
  KP_UNPOISON(h, HEADER_BYTES);
  h->room = room;
  KP_POISON(h, HEADER_BYTES);
  return memory;
}

void kp_free(void* memory) {
  if (!memory) return;
  atomic_fetch_sub_explicit(&live_count, 1, memory_order_relaxed);
  header* const h = header_of(memory);
  void* const begin = begin_of(h);
  if (h->budget) kp_budget_return(h->budget, h->whole);
  if (!h->room || !kp_spare_keep(begin, h->room)) free(begin);
}

char* kp_strdup(const char* text) { return kp_strndup(text, strlen(text)); }

char* kp_strndup(const char* text, size_t length) {
  size_t byte_count;
  if (!kp_add_size(length, 1, &byte_count)) return NULL;
  char* copy = kp_alloc(byte_count);
  if (!copy) return NULL;
  if (length) memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

uint64_t kp_alloc_total(void) { return atomic_load_explicit(&total_count, memory_order_relaxed); }

int64_t kp_alloc_live(void) { return atomic_load_explicit(&live_count, memory_order_relaxed); }

void kp_alloc_fail_at(uint64_t nth) {
  atomic_store(&fail_happened, false);
  atomic_store(&fail_countdown, nth);
}

bool kp_alloc_failed(void) { return atomic_load(&fail_happened); }
