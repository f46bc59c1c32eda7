// Budgets: counters that allocations are charged to, in a chain of parents; and the bounds that each thread works in.
//
// A budget is freed when nothing refers to it: its owner, its children and every allocation hold a reference each. It is made with
// plain malloc, for what counts allocations cannot be one of them.
#include "base/budget.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

struct kp_budget {
  kp_budget* parent;
  uint64_t limit;
  _Atomic uint64_t used, peak, refused, used_then, references;
};

static _Thread_local kp_bounds bounds_now;

// --- budgets -------------------------------------------------------------------------------------------------------
static kp_budget* retain(kp_budget* budget) {
  if (budget) atomic_fetch_add_explicit(&budget->references, 1, memory_order_relaxed);
  return budget;
}

kp_budget* kp_budget_create(kp_budget* parent, uint64_t limit) {
  kp_budget* budget = calloc(1, sizeof *budget);
  if (!budget) return NULL;
  budget->limit = limit;
  budget->parent = retain(parent);
  atomic_init(&budget->references, 1);
  return budget;
}

void kp_budget_release(kp_budget* budget) {
  while (budget && atomic_fetch_sub_explicit(&budget->references, 1, memory_order_acq_rel) == 1) {
    kp_budget* const parent = budget->parent;
    free(budget);
    budget = parent;
  }
}

uint64_t kp_budget_limit(const kp_budget* budget) { return budget->limit; }
uint64_t kp_budget_used(const kp_budget* budget) {
  return atomic_load_explicit(&budget->used, memory_order_relaxed);
}
uint64_t kp_budget_peak(const kp_budget* budget) {
  return atomic_load_explicit(&budget->peak, memory_order_relaxed);
}
uint64_t kp_budget_refused(const kp_budget* budget, uint64_t* out_used) {
  *out_used = atomic_load_explicit(&budget->used_then, memory_order_relaxed);
  return atomic_load_explicit(&budget->refused, memory_order_relaxed);
}

static void note_peak(kp_budget* budget, uint64_t used) {
  uint64_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
  while (used > peak && !atomic_compare_exchange_weak(&budget->peak, &peak, used)) continue;
}

// Takes |byte_count| off |budget| and the parents below |end|.
static void give_back(kp_budget* budget, const kp_budget* end, uint64_t byte_count) {
  for (; budget != end; budget = budget->parent)
    atomic_fetch_sub_explicit(&budget->used, byte_count, memory_order_relaxed);
}

bool kp_budget_charge(kp_budget* budget, size_t byte_count) {
  for (kp_budget* b = budget; b; b = b->parent) {
    const uint64_t before = atomic_fetch_add_explicit(&b->used, byte_count, memory_order_relaxed);
    if (b->limit && (byte_count > b->limit || before > b->limit - byte_count)) {
      give_back(budget, b->parent, byte_count);
      atomic_store_explicit(&b->used_then, before, memory_order_relaxed);
      atomic_store_explicit(&b->refused, byte_count, memory_order_relaxed);
      return false;
    }
    note_peak(b, before + byte_count);
  }
  (void)retain(budget);
  return true;
}

void kp_budget_return(kp_budget* budget, size_t byte_count) {
  give_back(budget, NULL, byte_count);
  kp_budget_release(budget);
}

// --- bounds --------------------------------------------------------------------------------------------------------
// The thread's floating-point control word, and the bits of it that turn denormal numbers into 0.
#if defined(__x86_64__)
#define FLUSH 0x8040u  // MXCSR: results (15), operands (6)
static uint64_t control(void) { return __builtin_ia32_stmxcsr(); }
static void set_control(uint64_t word) { __builtin_ia32_ldmxcsr((unsigned)word); }
#elif defined(__aarch64__)
#define FLUSH (UINT64_C(1) << 24)  // FPCR.FZ
static uint64_t control(void) {
  uint64_t word;
  __asm__ volatile("mrs %0, fpcr" : "=r"(word));
  return word;
}
static void set_control(uint64_t word) { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
#else
#define FLUSH 0
static uint64_t control(void) { return 0; }
static void set_control(uint64_t word) { (void)word; }
#endif

static void flush_denormals(bool on) {
  static _Thread_local uint64_t before;
  if (on) before = control();
  set_control(on ? before | FLUSH : before);
}

kp_bounds kp_bounds_enter(kp_bounds bounds) {
  const kp_bounds before = bounds_now;
  if (bounds.flush_denormals != before.flush_denormals) flush_denormals(bounds.flush_denormals);
  bounds_now = bounds;
  return before;
}

kp_bounds kp_bounds_current(void) { return bounds_now; }

bool kp_deadline_passed(void) {
  const uint64_t deadline = bounds_now.deadline_ns;
  return deadline != 0 && kp_clock_ns() > deadline;
}

uint64_t kp_deadline_in(uint64_t span_ns, uint64_t other) {
  if (span_ns == 0 || span_ns == UINT64_MAX) return other;
  const uint64_t now = kp_clock_ns();
  const uint64_t end = span_ns > UINT64_MAX - now ? UINT64_MAX : now + span_ns;
  return other && other < end ? other : end;
}
