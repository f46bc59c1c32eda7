// The flag by which one thread stops work on others: an int that becomes non-zero, written atomically (kapell_cancel_request).
#ifndef KP_BASE_CANCEL_H_
#define KP_BASE_CANCEL_H_

#include <stdbool.h>
#include <stddef.h>

// True once |flag| (NULL = never) is set. Relaxed: it orders nothing else. Costs a load; look at it every few milliseconds of work.
static inline bool kp_is_cancelled(const volatile int* flag) {
  return flag && __builtin_expect(__atomic_load_n(flag, __ATOMIC_RELAXED) != 0, 0);
}

#endif  // KP_BASE_CANCEL_H_
