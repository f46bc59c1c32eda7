// Monotonic time in nanoseconds since an arbitrary start; never goes back, not affected by setting the date.
#ifndef KP_BASE_CLOCK_H_
#define KP_BASE_CLOCK_H_

#include <stdint.h>

uint64_t kp_clock_ns(void);

#endif  // KP_BASE_CLOCK_H_
