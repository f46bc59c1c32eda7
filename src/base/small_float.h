// Conversions of every small float of ONNX to and from f32: float16, bfloat16, the 8-, 6- and 4-bit kinds, E8M0.
//
// Rounding: to nearest, ties to even. Scalar forms, right for every input; vector forms live in the CPU provider.
// Overflow: float16 and bfloat16 give infinity. The 8-bit kinds, as ONNX's Cast: with |saturate| whatever exceeds the largest finite
// value, infinity included, becomes that value; without it infinity where the kind has one (E5M2), else NaN. The 6- and
// 4-bit kinds have neither infinity nor NaN: they always saturate, and a NaN becomes a zero of the opposite sign.
// NaN keeps its sign; float16 and bfloat16 keep the upper bits of its payload and make it quiet, as the processors do. The
// "uz" kinds have one NaN and no negative zero.
// E8M0 (a power of two, no sign): the sign is dropped; round ties up. With |saturate| what lies outside its range, infinity included,
// becomes the nearest end of it; without, NaN.
// Source: ONNX Cast-25 and "Float stored in 8 bits", OCP Microscaling Formats v1.0, IEEE 754-2019.
#ifndef KP_BASE_SMALL_FLOAT_H_
#define KP_BASE_SMALL_FLOAT_H_

#include <stdbool.h>
#include <stdint.h>

float kp_f16_to_f32(uint16_t bits);
uint16_t kp_f16_from_f32(float value);
float kp_bf16_to_f32(uint16_t bits);
uint16_t kp_bf16_from_f32(float value);
float kp_f8e4m3fn_to_f32(uint8_t bits);
uint8_t kp_f8e4m3fn_from_f32(float value, bool saturate);
float kp_f8e4m3fnuz_to_f32(uint8_t bits);
uint8_t kp_f8e4m3fnuz_from_f32(float value, bool saturate);
float kp_f8e5m2_to_f32(uint8_t bits);
uint8_t kp_f8e5m2_from_f32(float value, bool saturate);
float kp_f8e5m2fnuz_to_f32(uint8_t bits);
uint8_t kp_f8e5m2fnuz_from_f32(float value, bool saturate);
float kp_f6e2m3_to_f32(uint8_t bits);
uint8_t kp_f6e2m3_from_f32(float value);
float kp_f6e3m2_to_f32(uint8_t bits);
uint8_t kp_f6e3m2_from_f32(float value);
float kp_f4e2m1_to_f32(uint8_t bits);  // low four bits
uint8_t kp_f4e2m1_from_f32(float value);
float kp_f8e8m0_to_f32(uint8_t bits);
// Up: to the next larger power of two; down: to the next smaller one.
typedef enum kp_e8m0_round { KP_E8M0_UP, KP_E8M0_DOWN, KP_E8M0_NEAREST } kp_e8m0_round;
uint8_t kp_f8e8m0_from_f32(float value, bool saturate, kp_e8m0_round mode);

#endif  // KP_BASE_SMALL_FLOAT_H_
