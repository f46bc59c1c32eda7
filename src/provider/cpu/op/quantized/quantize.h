// Quantization of f32 tensors by their own range: DynamicQuantizeLinear, and products that quantize their first factor so.
#ifndef KP_PROVIDER_CPU_OP_QUANTIZE_H_
#define KP_PROVIDER_CPU_OP_QUANTIZE_H_

#include "provider/cpu/kernel/quantize/quantize.h"
#include "provider/cpu/op/help.h"

// Bytes of scratch for |count| floats.
size_t kp_dynamic_scratch(size_t count);
// x = (y - zero) * scale, as DynamicQuantizeLinear-11 chooses them. |y| NULL: scale and zero point alone.
void kp_dynamic_quantize(const kp_quantize_ops* ops, const float* x, size_t count, int width,
                         void* scratch, uint8_t* y, float* out_scale, uint8_t* out_zero);

#endif  // KP_PROVIDER_CPU_OP_QUANTIZE_H_
