// The interval planner: places buffers with known sizes and life times into one block of memory so that buffers alive
// at the same time do not overlap and the block is small (greedy by size, best fit; Pisarchyk & Lee 2020,
// "Efficient Memory Management for Deep Neural Net Inference", section 4).
#ifndef KP_BASE_PLANNER_H_
#define KP_BASE_PLANNER_H_

#include "base/arena.h"
#include "base/status.h"

typedef struct kp_interval {
  size_t size;     // bytes; 0 is allowed and takes no room
  uint32_t first;  // first step that uses the buffer
  uint32_t last;   // last step, inclusive; >= first
  size_t offset;   // out: multiple of KP_ALIGNMENT
} kp_interval;

// Sets every |offset|; *out_total is the size of the block. |scratch| is used for work and left grown (no allocation
// once it is large enough). O(n log n) typical; n = 40,000 in well under a second.
// Errors: OUT_OF_MEMORY; LIMIT when the total overflows size_t.
KP_MUST_USE kp_status* kp_plan_intervals(kp_interval* intervals, size_t count, kp_arena* scratch,
                                         size_t* out_total);

#endif  // KP_BASE_PLANNER_H_
