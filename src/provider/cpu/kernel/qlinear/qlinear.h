// Elementwise arithmetic and sums on 8-bit numbers that stand for (q - zero) * scale: the engine under QLinearAdd and its like.
//
// Rounding: to nearest, ties to even, after one f32 computation; then the zero point is added and the result clipped.
// Aliasing: a result may be an operand itself where that steps; partial overlap is not allowed. Alignment: none.
// Threads:  pure functions.
#ifndef KP_PROVIDER_CPU_KERNEL_QLINEAR_QLINEAR_H_
#define KP_PROVIDER_CPU_KERNEL_QLINEAR_QLINEAR_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provider/cpu/kernel/variant.h"

// Two operands and a result, all int8 or all uint8.
typedef struct kp_qlinear_pair {
  // Sum: what one step of each operand is in steps of the result. Product: |a_scale| is what the product of two steps is.
  float a_scale, b_scale;
  int32_t a_zero, b_zero, y_zero;
  bool is_signed;
} kp_qlinear_pair;

typedef struct kp_qlinear_ops {
  const char* isa;
  // y[i] = sum or product of a[i * a_step] and b[i * b_step], i < n; steps are 0 or 1.
  void (*add)(const kp_qlinear_pair* p, size_t n, const void* a, size_t a_step, const void* b,
              size_t b_step, void* y);
  void (*multiply)(const kp_qlinear_pair* p, size_t n, const void* a, size_t a_step, const void* b,
                   size_t b_step, void* y);
  // sum[i] += x[i]
  void (*accumulate)(bool is_signed, size_t n, const void* x, int32_t* sum);
  // Sum of n numbers; wraps around beyond 2^23 of them.
  int32_t (*total)(bool is_signed, size_t n, const void* x);
  // y[i] = clip(round((sum[i] - less) * scale) + zero)
  void (*requantise)(bool is_signed, size_t n, const int32_t* sum, int32_t less, float scale,
                     int32_t zero, void* y);
} kp_qlinear_ops;

KP_DECLARE_FAMILY(qlinear);

#endif  // KP_PROVIDER_CPU_KERNEL_QLINEAR_QLINEAR_H_
