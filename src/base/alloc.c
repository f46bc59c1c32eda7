// Heap memory: malloc with counters and one failure that tests can order. Neighbours: arena.c, everything.
//
// The counters are relaxed: they are read by tests while nothing allocates, and cost one uncontended add each.
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitize.h"
#include "base/size.h"

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

static void* count_new(void* memory) {
  if (!memory) return NULL;
  atomic_fetch_add_explicit(&total_count, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&live_count, 1, memory_order_relaxed);
  return memory;
}

static size_t at_least_one(size_t byte_count) { return byte_count ? byte_count : 1; }

void* kp_alloc(size_t byte_count) {
  if (must_fail() || byte_count > MAX_BYTES) return NULL;
  return count_new(malloc(at_least_one(byte_count)));
}

void* kp_alloc_zero(size_t count, size_t element_size) {
  size_t byte_count;
  if (must_fail() || !kp_mul_size(count, element_size, &byte_count) || byte_count > MAX_BYTES)
    return NULL;
  return count_new(calloc(1, at_least_one(byte_count)));
}

void* kp_alloc_array(size_t count, size_t element_size) {
  size_t byte_count;
  if (!kp_mul_size(count, element_size, &byte_count)) return NULL;
  return kp_alloc(byte_count);
}

void* kp_realloc_array(void* old, size_t count, size_t element_size) {
  size_t byte_count;
  if (!kp_mul_size(count, element_size, &byte_count)) return NULL;
  if (!old) return kp_alloc(byte_count);
  if (must_fail() || byte_count > MAX_BYTES) return NULL;
  void* memory = realloc(old, at_least_one(byte_count));
  if (memory) atomic_fetch_add_explicit(&total_count, 1, memory_order_relaxed);
  return memory;
}

void* kp_alloc_aligned(size_t byte_count, size_t alignment) {
  if (must_fail() || byte_count > MAX_BYTES) return NULL;
  void* memory = NULL;
  const size_t least = kp_max_size(alignment, sizeof(void*));
  if (posix_memalign(&memory, least, at_least_one(byte_count)) != 0) return NULL;
  return count_new(memory);
}

void kp_free(void* memory) {
  if (!memory) return;
  atomic_fetch_sub_explicit(&live_count, 1, memory_order_relaxed);
  free(memory);
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
