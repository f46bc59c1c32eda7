// Packed weights that several nodes read: packed once.
#ifndef KP_PROVIDER_CPU_PACKED_H_
#define KP_PROVIDER_CPU_PACKED_H_

#include "provider/cpu/op.h"

// What decides how a constant lies once packed. Equal forms of one constant have equal bytes.
typedef struct kp_packed_form {
  const void* ops;    // the table of kernels that pack it
  size_t numbers[4];  // whatever else does; the rest 0
} kp_packed_form;

// kp_prepare_packed for constant input |index| in |form|: nodes that read the same constant get the same memory. *out_done: it is
// filled; else the caller fills it at once.
void* kp_prepare_packed_once(kp_op_prepare* prepare, uint32_t index, const kp_packed_form* form,
                             size_t byte_count, bool* out_done);

#endif  // KP_PROVIDER_CPU_PACKED_H_
