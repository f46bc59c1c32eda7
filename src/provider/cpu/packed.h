// Packed weights that several nodes or several sessions have: kept once.
#ifndef KP_PROVIDER_CPU_PACKED_H_
#define KP_PROVIDER_CPU_PACKED_H_

#include "provider/cpu/op.h"

// What decides how a constant lies once packed. Equal forms of one constant have equal bytes.
typedef struct kp_packed_form {
  const void* ops;  // the table of kernels that pack it
  size_t numbers
      [6];  // whatever else does; the rest 0. Other constants that go into it count by their value ids
} kp_packed_form;

// kp_prepare_packed for constant input |index| in |form|: nodes that read the same constant get the same memory. *out_done: it is
// filled; else the caller fills it at once and settles it.
void* kp_prepare_packed_once(kp_op_prepare* prepare, uint32_t index, const kp_packed_form* form,
                             size_t byte_count, bool* out_done);

// To be called with memory of these functions or kp_prepare_packed when it is filled and will not change any more: gives what to use in its
// place from now on, which is equal memory of another session where the session shares weights (kapell_options.shared_weights).
void* kp_prepare_settle(kp_op_prepare* prepare, void* memory);

// The value id of input |index| for a form, of constants alike the same; KP_NONE where it is absent.
static inline size_t kp_packed_input(const kp_op_prepare* prepare, uint32_t index) {
  return index < prepare->node->input_count ? prepare->node->inputs[index] : KP_NONE;
}

#endif  // KP_PROVIDER_CPU_PACKED_H_
