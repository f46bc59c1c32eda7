// The engine of operators that move elements: one n-dimensional block, each dim with a stride in the source and in the target
// (negative and zero ones too). Transpose, Slice, Expand, Tile, Concat, Split and Pad are a few such blocks each.
#ifndef KP_PROVIDER_CPU_OP_COPY_H_
#define KP_PROVIDER_CPU_OP_COPY_H_

#include "provider/cpu/op/help.h"

typedef struct kp_copy {
  int32_t rank;  // after joining; 0: one element
  size_t count;  // elements
  int64_t dims[KP_MAX_RANK];
  int64_t to[KP_MAX_RANK];  // strides in elements
  int64_t from[KP_MAX_RANK];
} kp_copy;

// Joins what lies next to each other on both sides.
void kp_copy_init(kp_copy* copy, int32_t rank, const int64_t* dims, const int64_t* to,
                  const int64_t* from);
// Copies from element |from_offset| on to |to_offset| on. Any type of fixed width of a byte or more, and strings.
// Errors: OUT_OF_MEMORY (strings). The sides must not overlap.
KP_MUST_USE kp_status* kp_copy_run(const kp_copy* copy, kapell_value* to, int64_t to_offset,
                                   const kapell_value* from, int64_t from_offset, int width);
// |count| elements in a row; of 4- and 2-bit types from whole bytes on, to the end of both.
KP_MUST_USE kp_status* kp_copy_elements(kapell_value* to, size_t to_offset,
                                        const kapell_value* from, size_t from_offset, size_t count);

#endif  // KP_PROVIDER_CPU_OP_COPY_H_
