// Boxes that cover each other, f32: the inner loop of non-maximum suppression.
//
// Boxes lie in columns (all left sides, then all upper ones, ...), so that one box is held against a vector of others at once.
// Alignment: none. Reads past the last box: none. NaN: a box with a side that is none covers nothing.
// Accuracy: each quotient is rounded as plain f32 arithmetic does, so the answer does not depend on the variant.
#ifndef KP_PROVIDER_CPU_KERNEL_BOXES_BOXES_H_
#define KP_PROVIDER_CPU_KERNEL_BOXES_BOXES_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/variant.h"

typedef struct kp_box {
  float left, top, right, bottom, area;
} kp_box;
#define KP_BOX_COLUMNS 5

typedef struct kp_boxes_ops {
  const char* isa;
  // Whether one of |count| boxes shares more than |limit| of what it and |box| cover together. Column i of the boxes is at
  // columns + i * stride, in the order of kp_box.
  bool (*covered)(const float* columns, size_t stride, size_t count, const kp_box* box,
                  float limit);
} kp_boxes_ops;

KP_DECLARE_FAMILY(boxes);

#endif  // KP_PROVIDER_CPU_KERNEL_BOXES_BOXES_H_
