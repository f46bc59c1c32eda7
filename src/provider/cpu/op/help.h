// What operators of all families share: axes, strides, reading small integer tensors, widths, lists of element types.
#ifndef KP_PROVIDER_CPU_OP_HELP_H_
#define KP_PROVIDER_CPU_OP_HELP_H_

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/pool.h"
#include "provider/cpu/op.h"

// --- element types: X(kapell_type without prefix, C type) ---
#define KP_EACH_SIGNED(X) X(INT8, int8_t) X(INT16, int16_t) X(INT32, int32_t) X(INT64, int64_t)
#define KP_EACH_UNSIGNED(X) \
  X(UINT8, uint8_t) X(UINT16, uint16_t) X(UINT32, uint32_t) X(UINT64, uint64_t)
#define KP_EACH_INT(X) KP_EACH_SIGNED(X) KP_EACH_UNSIGNED(X)
#define KP_EACH_REAL(X) X(FLOAT, float) X(DOUBLE, double)
#define KP_EACH_NUMBER(X) KP_EACH_REAL(X) KP_EACH_INT(X)

#define KP_M_REALS (KP_M(FLOAT) | KP_M(DOUBLE) | KP_M(FLOAT16) | KP_M(BFLOAT16))
#define KP_M_NUMBERS (KP_M_REALS | KP_M_INTS)
#define KP_M_EIGHTS \
  (KP_M(FLOAT8E4M3FN) | KP_M(FLOAT8E4M3FNUZ) | KP_M(FLOAT8E5M2) | KP_M(FLOAT8E5M2FNUZ))

// --- shapes ---
// |axis| counted from the end where negative; false outside [-rank, rank).
static inline bool kp_axis(int64_t axis, int32_t rank, int32_t* out_axis) {
  if (axis < -(int64_t)rank || axis >= rank) return false;
  *out_axis = (int32_t)(axis < 0 ? axis + rank : axis);
  return true;
}
// Product of dims [first, last); sizes of values are checked, so it fits.
static inline size_t kp_span(const kapell_value* value, int32_t first, int32_t last) {
  size_t count = 1;
  for (int32_t i = first; i < last; ++i) count *= (size_t)value->dims[i];
  return count;
}
// Row-major strides in elements.
static inline void kp_strides(int32_t rank, const int64_t* dims, int64_t* strides) {
  int64_t stride = 1;
  for (int32_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
}
static inline bool kp_present(const kapell_value* value) {
  return value && value->kind != KAPELL_KIND_NONE;
}
// Input |index| of a run or plan, or NULL where the node has none or it is absent.
static inline kapell_value* kp_run_input(const kp_op_run* run, uint32_t index) {
  return index < run->node->input_count && kp_present(run->inputs[index]) ? run->inputs[index]
                                                                          : NULL;
}
static inline const kapell_value* kp_plan_input(const kp_op_plan* plan, uint32_t index) {
  return index < plan->node->input_count && kp_present(plan->inputs[index]) ? plan->inputs[index]
                                                                            : NULL;
}
static inline kapell_value* kp_run_result(const kp_op_run* run, uint32_t index) {
  return index < run->node->output_count ? run->outputs[index] : NULL;
}
// Constant input |index| of a node being prepared, or NULL.
static inline kapell_value* kp_prepare_constant(const kp_op_prepare* prepare, uint32_t index) {
  return index < prepare->node->input_count ? prepare->constants[index] : NULL;
}

// Which of |value|'s matrices (its last two dims) each of |batch| products takes: its other dims broadcast against the first
// |batch_rank| of |y|. In |arena|; NULL when out of memory.
size_t* kp_batch_matrices(kp_arena* arena, const kapell_value* value, const kapell_value* y,
                          int32_t batch_rank, size_t batch);

// --- contents of small tensors ---
// Element |index| of an integer or bool tensor (any width), or of a real one, cut to an integer.
int64_t kp_int_at(const kapell_value* value, size_t index);
// Element |index| of any numeric tensor.
double kp_double_at(const kapell_value* value, size_t index);
// |number| cut to an integer, of which narrower types take the low bits; 0 for what 64 bits, signed or not, do not hold.
static inline uint64_t kp_whole(double number) {
  if (number >= 0x1p63 && number < 0x1p64) return (uint64_t)number;
  return number >= -0x1p63 && number < 0x1p63 ? (uint64_t)(int64_t)number : 0;
}
// Axes of an operator: from input |input| where it has one (version that take axes so), else from attribute |name|. Normalised to
// a bit mask over |rank|. *out_given false: neither is there, or it is empty. Errors: RUN_FAILED for an axis out of range.
KP_MUST_USE kp_status* kp_axes_mask(const kp_node* node, const char* name,
                                    const kapell_value* input, int32_t rank, uint32_t* out_mask,
                                    bool* out_given);

// Zeros, or empty texts, in all of a tensor. Errors: OUT_OF_MEMORY (texts).
KP_MUST_USE kp_status* kp_zero_tensor(kapell_value* value);

// --- threads ---
// Threads worth using for |work| elementary operations (about a nanosecond each).
static inline int kp_op_width(int width, size_t work) {
  const size_t worth = work / 16384 + 1;
  return worth < (size_t)width ? (int)worth : width;
}
// Task |task| of |count| takes [*first, *last) of |total|.
static inline void kp_share(size_t total, size_t count, size_t task, size_t* first, size_t* last) {
  const size_t each = total / count, more = total % count;
  *first = task * each + (task < more ? task : more);
  *last = *first + each + (task < more ? 1 : 0);
}
static inline bool kp_cancelled(const kp_op_run* run) { return kp_is_cancelled(run->cancel); }

#endif  // KP_PROVIDER_CPU_OP_HELP_H_
