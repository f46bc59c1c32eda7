// The flag by which one thread stops work on others: an int that becomes non-zero, written atomically (kapell_cancel_request).
// Work that looks at it sees the deadline of its bounds (budget.h) as well.
#ifndef KP_BASE_CANCEL_H_
#define KP_BASE_CANCEL_H_

#include <stdbool.h>
#include <stddef.h>

#include "base/budget.h"

// kapell.h's token, and what ONNX Runtime's run options hold.
struct kapell_cancel {
  volatile int requested;
};

// True once |flag| (NULL = never) is set. Relaxed: it orders nothing else.
static inline bool kp_flag_is_set(const volatile int* flag) {
  return flag && __builtin_expect(__atomic_load_n(flag, __ATOMIC_RELAXED) != 0, 0);
}

// True once |flag| is set or the deadline of the thread's bounds has passed: the work is to end with CANCELLED. Costs a few nanoseconds; look at
// it every millisecond of work.
static inline bool kp_is_cancelled(const volatile int* flag) {
  return kp_flag_is_set(flag) || kp_deadline_passed();
}

#endif  // KP_BASE_CANCEL_H_
