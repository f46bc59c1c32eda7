// Conversions of the small floats. One rounding and one expansion serve all kinds with a sign; a kind is a row of numbers.
// Neighbours: onnx/ reads typed fields with them, the CPU provider's Cast and quantised kernels check their vector forms against them.
#include "base/small_float.h"

#include <string.h>

#define F32_EXPONENT_BIAS 127
#define F32_MANTISSA_BITS 23
#define F32_INFINITY UINT32_C(0x7F800000)
#define F32_NAN UINT32_C(0x7FC00000)

// A kind of float with a sign. Codes below are without it; they count up as their values do.
typedef struct format {
  int mantissa_bits;
  int bias;
  uint32_t max;        // code of the largest finite value
  uint32_t overflow;   // code that a larger value gets without saturation
  uint32_t nan;        // code of the NaN that conversion makes
  uint32_t sign;       // the sign's bit
  bool unsigned_zero;  // one zero, one NaN: the pattern of negative zero is the NaN
} format;

// clang-format off
static const format f16      = {10, 15, 0x7BFF, 0x7C00, 0x7E00, 0x8000, false};
static const format e4m3fn   = {3,   7, 0x7E,   0x7F,   0x7F,   0x80,   false};
static const format e4m3fnuz = {3,   8, 0x7F,   0x80,   0x80,   0x80,   true};
static const format e5m2     = {2,  15, 0x7B,   0x7C,   0x7E,   0x80,   false};
static const format e5m2fnuz = {2,  16, 0x7F,   0x80,   0x80,   0x80,   true};
static const format e2m3     = {3,   1, 0x1F,   0x1F,   0x00,   0x20,   false};
static const format e3m2     = {2,   3, 0x1F,   0x1F,   0x00,   0x20,   false};
static const format e2m1     = {1,   1, 0x07,   0x07,   0x00,   0x08,   false};
// clang-format on

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// |x| without its |shift| low bits, rounded to nearest, ties to even. |shift| >= 1.
static uint32_t round_shift(uint32_t x, int shift) {
  const uint32_t half = UINT32_C(1) << (shift - 1), odd = x >> shift & 1;
  return (x + half - 1 + odd) >> shift;
}

// Code of the finite |magnitude| (bits of an f32 without sign) rounded into |f|; may exceed f->max. The exponent field lies above
// the mantissa in both, so a mantissa that rounds up carries into the exponent by itself.
static uint32_t round_into(const format* f, uint32_t magnitude) {
  const int exponent = (int)(magnitude >> F32_MANTISSA_BITS) - F32_EXPONENT_BIAS + f->bias;
  const int shift = F32_MANTISSA_BITS - f->mantissa_bits;
  if (exponent >= 1) {
    const uint32_t rebased =
        magnitude - ((uint32_t)(F32_EXPONENT_BIAS - f->bias) << F32_MANTISSA_BITS);
    return round_shift(rebased, shift);
  }
  // Denormal there. f32's own denormals are far below half of any kind's smallest value.
  const uint32_t hidden = UINT32_C(1) << F32_MANTISSA_BITS;
  const int more = shift + 1 - exponent;
  if (more > F32_MANTISSA_BITS + 1) return 0;
  return round_shift((magnitude & (hidden - 1)) | hidden, more);
}

static uint32_t encode(const format* f, float value, bool saturate) {
  const uint32_t bits = bits_of(value), magnitude = bits & ~UINT32_C(0x80000000);
  const uint32_t sign = bits != magnitude ? f->sign : 0;
  if (magnitude > F32_INFINITY) return f->unsigned_zero ? f->nan : f->nan | sign;
  uint32_t code = magnitude == F32_INFINITY ? f->max + 1 : round_into(f, magnitude);
  if (code > f->max) code = saturate ? f->max : f->overflow;
  if (f->unsigned_zero && (code == 0 || code == f->nan)) return code;
  return code | sign;
}

// Value of a finite |code| (without sign).
static float expand(const format* f, uint32_t code, bool negative) {
  const uint32_t mantissa = code & ((UINT32_C(1) << f->mantissa_bits) - 1);
  const uint32_t exponent = code >> f->mantissa_bits;
  float value;
  if (exponent == 0) {
    const int unit = F32_EXPONENT_BIAS + 1 - f->bias - f->mantissa_bits;
    value = (float)mantissa * float_of((uint32_t)unit << F32_MANTISSA_BITS);
  } else {
    const uint32_t rebased = exponent + (uint32_t)(F32_EXPONENT_BIAS - f->bias);
    value =
        float_of(rebased << F32_MANTISSA_BITS | mantissa << (F32_MANTISSA_BITS - f->mantissa_bits));
  }
  return negative ? -value : value;
}

static float decode(const format* f, uint32_t bits) {
  const bool negative = (bits & f->sign) != 0;
  const uint32_t code = bits & (f->sign - 1);
  const uint32_t sign = negative ? UINT32_C(0x80000000) : 0;
  if (f->unsigned_zero && bits == f->nan) return float_of(F32_NAN);
  if (!f->unsigned_zero && code > f->max)
    return float_of(sign | (f == &e5m2 && code == f->overflow ? F32_INFINITY : F32_NAN));
  return expand(f, code, negative);
}

// --- 16 bits -------------------------------------------------------------------------------------------------------

float kp_f16_to_f32(uint16_t bits) {
  const uint32_t code = bits & 0x7FFFu;
  if (code <= f16.max) return expand(&f16, code, bits != code);
  const uint32_t payload = (code & 0x3FFu) << 13, quiet = payload ? F32_NAN : F32_INFINITY;
  return float_of((uint32_t)(bits & 0x8000u) << 16 | quiet | payload);
}

uint16_t kp_f16_from_f32(float value) {
  const uint32_t bits = bits_of(value), magnitude = bits & ~UINT32_C(0x80000000);
  const uint32_t code = encode(&f16, value, false);
  return (uint16_t)(magnitude > F32_INFINITY ? code | (magnitude >> 13 & 0x3FF) : code);
}

float kp_bf16_to_f32(uint16_t bits) { return float_of((uint32_t)bits << 16); }

uint16_t kp_bf16_from_f32(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & ~UINT32_C(0x80000000)) > F32_INFINITY) return (uint16_t)(bits >> 16 | 0x40);
  const uint32_t odd = bits >> 16 & 1;
  return (uint16_t)((bits + 0x7FFF + odd) >> 16);
}

// --- 8, 6 and 4 bits -----------------------------------------------------------------------------------------------

float kp_f8e4m3fn_to_f32(uint8_t bits) { return decode(&e4m3fn, bits); }
uint8_t kp_f8e4m3fn_from_f32(float value, bool saturate) {
  return (uint8_t)encode(&e4m3fn, value, saturate);
}
float kp_f8e4m3fnuz_to_f32(uint8_t bits) { return decode(&e4m3fnuz, bits); }
uint8_t kp_f8e4m3fnuz_from_f32(float value, bool saturate) {
  return (uint8_t)encode(&e4m3fnuz, value, saturate);
}
float kp_f8e5m2_to_f32(uint8_t bits) { return decode(&e5m2, bits); }
uint8_t kp_f8e5m2_from_f32(float value, bool saturate) {
  return (uint8_t)encode(&e5m2, value, saturate);
}
float kp_f8e5m2fnuz_to_f32(uint8_t bits) { return decode(&e5m2fnuz, bits); }
uint8_t kp_f8e5m2fnuz_from_f32(float value, bool saturate) {
  return (uint8_t)encode(&e5m2fnuz, value, saturate);
}

// A NaN becomes the zero of the other sign.
static uint8_t encode_finite(const format* f, float value) {
  const uint32_t code = encode(f, value, true);
  return (uint8_t)(value != value ? code ^ f->sign : code);
}

float kp_f6e2m3_to_f32(uint8_t bits) { return decode(&e2m3, bits & 0x3Fu); }
uint8_t kp_f6e2m3_from_f32(float value) { return encode_finite(&e2m3, value); }
float kp_f6e3m2_to_f32(uint8_t bits) { return decode(&e3m2, bits & 0x3Fu); }
uint8_t kp_f6e3m2_from_f32(float value) { return encode_finite(&e3m2, value); }
float kp_f4e2m1_to_f32(uint8_t bits) { return decode(&e2m1, bits & 0x0Fu); }
uint8_t kp_f4e2m1_from_f32(float value) { return encode_finite(&e2m1, value); }

// --- E8M0 ----------------------------------------------------------------------------------------------------------

#define E8M0_NAN 0xFF
#define E8M0_MAX 0xFE
#define E8M0_MIN_BITS UINT32_C(0x00400000)  // 2^-127, the value of code 0: a denormal f32

float kp_f8e8m0_to_f32(uint8_t bits) {
  if (bits == E8M0_NAN) return float_of(F32_NAN);
  return float_of(bits ? (uint32_t)bits << F32_MANTISSA_BITS : E8M0_MIN_BITS);
}

uint8_t kp_f8e8m0_from_f32(float value, bool saturate, kp_e8m0_round mode) {
  const uint32_t magnitude = bits_of(value) & ~UINT32_C(0x80000000);
  if (magnitude > F32_INFINITY) return E8M0_NAN;
  if (magnitude < E8M0_MIN_BITS) return saturate ? 0 : E8M0_NAN;
  // The power of two at or below, and what is left above it; f32's denormals start at code 0 with one bit less.
  const uint32_t power = magnitude >> F32_MANTISSA_BITS;
  const uint32_t unit = power ? UINT32_C(1) << F32_MANTISSA_BITS : E8M0_MIN_BITS;
  const uint32_t rest = magnitude & (unit - 1);
  const bool up = mode == KP_E8M0_UP ? rest > 0 : mode == KP_E8M0_NEAREST && rest >= unit / 2;
  const uint32_t code = power + up;
  if (code > E8M0_MAX) return saturate ? E8M0_MAX : E8M0_NAN;
  return (uint8_t)code;
}
