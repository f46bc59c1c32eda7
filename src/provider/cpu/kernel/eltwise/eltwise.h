// Elementwise arithmetic, f32.
//
// Shapes: [rows][cols] with strides in floats; a dense buffer is one row. Aliasing: an output may be one of the inputs
//   itself (same address, same strides); partial overlap is not allowed. Alignment: none. Threads: split rows or columns.
// Accuracy: exp, log, tanh, ... as simd/math.h states; add, sub, mul, div, sqrt, min, max, floor ... are exact.
// NaN: in gives NaN out, for min and max too, as ONNX's reference has it.
#ifndef KP_PROVIDER_CPU_KERNEL_ELTWISE_ELTWISE_H_
#define KP_PROVIDER_CPU_KERNEL_ELTWISE_ELTWISE_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/kernel/variant.h"

typedef enum kp_unary_kind {
  KP_UNARY_ABS = 0,
  KP_UNARY_NEG,
  KP_UNARY_SQRT,
  KP_UNARY_RECIPROCAL,
  KP_UNARY_RSQRT,  // 1 / sqrt(x)
  KP_UNARY_SQUARE,
  KP_UNARY_EXP,
  KP_UNARY_LOG,
  KP_UNARY_ERF,
  KP_UNARY_FLOOR,
  KP_UNARY_CEIL,
  KP_UNARY_ROUND,     // ties to even
  KP_UNARY_SIGN,      // -1, 0, 1
  KP_UNARY_SOFTSIGN,  // x / (1 + |x|)
  KP_UNARY_COUNT,
} kp_unary_kind;

typedef enum kp_binary_kind {
  KP_BINARY_ADD = 0,
  KP_BINARY_SUB,
  KP_BINARY_MUL,
  KP_BINARY_DIV,
  KP_BINARY_MIN,
  KP_BINARY_MAX,
  KP_BINARY_POW,  // powf, except that a scalar exponent of 0.5, 1, 2, 3 or -1 is done by arithmetic
  KP_BINARY_SQDIFF,  // (a - b)^2
  KP_BINARY_COUNT,
} kp_binary_kind;

// One operand of a binary operation: element (r, c) is at data[r * row + c * step].
typedef struct kp_operand {
  const float* data;
  size_t row;   // in floats; 0 repeats one row
  size_t step;  // 1, or 0 for one value per row
} kp_operand;

typedef struct kp_eltwise_ops {
  const char* isa;
  void (*activate)(size_t rows, size_t cols, const float* x, size_t x_stride, float* y,
                   size_t y_stride, const kp_act* act);
  void (*unary)(kp_unary_kind kind, size_t rows, size_t cols, const float* x, size_t x_stride,
                float* y, size_t y_stride);
  // y = act(a op b); |act| may be NULL.
  void (*binary)(kp_binary_kind kind, size_t rows, size_t cols, const kp_operand* a,
                 const kp_operand* b, float* y, size_t y_stride, const kp_act* act);
} kp_eltwise_ops;

KP_DECLARE_FAMILY(eltwise);

#endif  // KP_PROVIDER_CPU_KERNEL_ELTWISE_ELTWISE_H_
