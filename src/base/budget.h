// What the work of a session may use, heap memory and time, and in what manner its threads compute and wait.
//
// Bounds are what holds for a thread at this moment; api/ enters them around everything that it does for a session, and the thread
// pool carries them to its workers. Allocations (alloc.h) are charged to their budget and come back as NULL where they would go
// past it. Work that looks at its cancel flag (cancel.h) also sees their deadline, and the pool hands out no further tasks past it:
// whoever entered the bounds must take results for void when kp_deadline_passed says so afterwards.
// Threads: budgets any; bounds belong to their thread.
#ifndef KP_BASE_BUDGET_H_
#define KP_BASE_BUDGET_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kp_budget kp_budget;

// |limit| in bytes, 0 = none (bytes are counted all the same). What is charged to it is charged to |parent| too (retained; may be
// NULL). NULL: out of memory. Lives on after its release for as long as memory is charged to it.
kp_budget* kp_budget_create(kp_budget* parent, uint64_t limit);
void kp_budget_release(kp_budget* budget);  // NULL is fine
uint64_t kp_budget_limit(const kp_budget* budget);
uint64_t kp_budget_used(const kp_budget* budget);  // bytes allocated now
uint64_t kp_budget_peak(const kp_budget* budget);  // most at any time
// Bytes of the last allocation that this budget refused, and what was in use then; 0 = none so far.
uint64_t kp_budget_refused(const kp_budget* budget, uint64_t* out_used);

// For alloc.c. Charges |byte_count| and takes a reference, or false and nothing is changed; NULL takes everything.
bool kp_budget_charge(kp_budget* budget, size_t byte_count);
void kp_budget_return(kp_budget* budget, size_t byte_count);  // and lets the reference go

typedef struct kp_bounds {
  kp_budget* budget;     // borrowed; NULL = allocations are nobody's
  uint64_t deadline_ns;  // clock.h; 0 = none
  // Denormal numbers are 0, as operands and as results. Ends with the bounds: what the thread did before it does again.
  bool flush_denormals;
  bool no_spin;              // threads that wait for each other sleep at once (pool.h)
  struct kapell_pool* pool;  // whose threads help (pool.h); borrowed, NULL: the process's
} kp_bounds;

// Makes |bounds| the thread's own; gives back those before, which the caller enters again when it is done.
kp_bounds kp_bounds_enter(kp_bounds bounds);
kp_bounds kp_bounds_current(void);
// The deadline of the thread's bounds is over. Costs a look at the clock where there is one.
bool kp_deadline_passed(void);
// |span_ns| from now, never past |other| (0 = no such bound). 0 for |span_ns| 0 or UINT64_MAX: |other|.
uint64_t kp_deadline_in(uint64_t span_ns, uint64_t other);

#endif  // KP_BASE_BUDGET_H_
