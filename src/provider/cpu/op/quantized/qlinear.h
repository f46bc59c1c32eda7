// 8-bit tensors with one scale and one zero point: what the QLinear operators of com.microsoft share.
#ifndef KP_PROVIDER_CPU_OP_QLINEAR_H_
#define KP_PROVIDER_CPU_OP_QLINEAR_H_

#include <math.h>

#include "provider/cpu/op/help.h"

// q stands for (q - zero) * scale.
typedef struct kp_quant8 {
  float scale;
  int32_t zero;
  bool is_signed;
} kp_quant8;

// From a scalar scale, input |scale|, and a zero point, input |zero| (absent: 0) of the type |type|. Error RUN_FAILED.
KP_MUST_USE kp_status* kp_quant8_read(const kp_op_run* run, uint32_t scale, uint32_t zero,
                                      kapell_type type, kp_quant8* out);

// |real| in steps of |to|: rounded to nearest, ties to even, clipped. NaN becomes the lowest number.
static inline uint8_t kp_quant8_of(const kp_quant8* to, float real) {
  const float low = to->is_signed ? -128.0f : 0.0f, high = low + 255.0f;
  float q = real / to->scale;
  q = q > low - (float)to->zero ? q : low - (float)to->zero;
  q = q < high - (float)to->zero ? q : high - (float)to->zero;
  return (uint8_t)((int32_t)nearbyintf(q) + to->zero);
}
static inline float kp_quant8_real(const kp_quant8* from, uint8_t byte) {
  const int32_t q = from->is_signed ? (int8_t)byte : byte;
  return (float)(q - from->zero) * from->scale;
}
// table[byte] = the byte of |to| for |fn| (NULL: the same number) of what |byte| stands for in |from|.
void kp_quant8_table(const kp_quant8* from, const kp_quant8* to, float (*fn)(float x, float a),
                     float a, uint8_t* table);

#endif  // KP_PROVIDER_CPU_OP_QLINEAR_H_
