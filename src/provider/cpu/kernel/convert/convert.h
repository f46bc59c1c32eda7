// 16-bit floats to f32 and back.
//
// To f32 is exact. From f32 rounds to nearest, ties to even; too large becomes infinity; denormals are kept. A NaN stays a NaN (its
//   payload may change). Aliasing: none. Alignment: none beyond the element's. Threads: split the range.
#ifndef KP_PROVIDER_CPU_KERNEL_CONVERT_CONVERT_H_
#define KP_PROVIDER_CPU_KERNEL_CONVERT_CONVERT_H_

#include <stddef.h>
#include <stdint.h>

#include "provider/cpu/kernel/variant.h"

typedef struct kp_convert_ops {
  const char* isa;
  void (*f16_to_f32)(size_t count, const uint16_t* x, float* y);
  void (*f32_to_f16)(size_t count, const float* x, uint16_t* y);
  void (*bf16_to_f32)(size_t count, const uint16_t* x, float* y);
  void (*f32_to_bf16)(size_t count, const float* x, uint16_t* y);
} kp_convert_ops;

KP_DECLARE_FAMILY(convert);

#endif  // KP_PROVIDER_CPU_KERNEL_CONVERT_CONVERT_H_
