// f32 to small integers and back.
//
// Scales and zero points come as one for a run (step 0) or one an element (step 1). Zero points are within the integers' range.
//   quantize    y = clip(round(x / scale) + zero, low, high): ties to even, NaN becomes |low|
//   dequantize  y = (x - zero) * scale; int32 of 24 bits and more are rounded to f32 first
//   binary      y = quantize(dequantize(a) + dequantize(b)), or their product: bytes in and out
//   remap       y = clip(round(x * scale + shift) + zero, low, high), a scale and shift a column: bytes in and out
//   range       the smallest and largest of |n| floats and 0; NaN are passed over
// Aliasing:  none.   Alignment: of the element.   Threads: pure functions.
#ifndef KP_PROVIDER_CPU_KERNEL_QUANTIZE_QUANTIZE_H_
#define KP_PROVIDER_CPU_KERNEL_QUANTIZE_QUANTIZE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provider/cpu/kernel/variant.h"

// A kind of integer: bytes of one, and its range.
typedef struct kp_quant_type {
  size_t width;  // 1 or 2; dequantize: also 4
  int32_t low, high;
} kp_quant_type;

// One of binary's three tensors of bytes.
typedef struct kp_quant_bytes {
  float scale;
  int32_t zero;
  kp_quant_type type;  // for the result its bounds may be narrower
} kp_quant_bytes;

typedef struct kp_quantize_ops {
  const char* isa;
  void (*quantize)(size_t n, const float* x, const float* scale, const int32_t* zero, size_t step,
                   kp_quant_type type, void* y);
  void (*dequantize)(size_t n, const void* x, kp_quant_type type, const float* scale,
                     const int32_t* zero, size_t step, float* y);
  void (*binary)(size_t n, bool product, const void* a, const kp_quant_bytes* a_form, const void* b,
                 const kp_quant_bytes* b_form, void* y, const kp_quant_bytes* y_form);
  // |x|, |y|: [rows][n]; |scale|, |shift|: [n]; the scale of |form| is not looked at.
  void (*remap)(size_t rows, size_t n, const void* x, bool is_signed, const float* scale,
                const float* shift, const kp_quant_bytes* form, void* y);
  void (*range)(size_t n, const float* x, float* low, float* high);
} kp_quantize_ops;

KP_DECLARE_FAMILY(quantize);

#endif  // KP_PROVIDER_CPU_KERNEL_QUANTIZE_QUANTIZE_H_
