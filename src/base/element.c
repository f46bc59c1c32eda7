#include "base/element.h"

#include <math.h>
#include <string.h>

#include "base/small_float.h"

// Bits of sub-byte element |index|: elements lie from the low bits of a byte upwards.
static unsigned get_bits(const uint8_t* data, size_t index, unsigned width) {
  const size_t per_byte = 8 / width;
  return data[index / per_byte] >> (index % per_byte * width) & ((1u << width) - 1);
}

static void set_bits(uint8_t* data, size_t index, unsigned width, unsigned bits) {
  const size_t per_byte = 8 / width;
  const unsigned shift = (unsigned)(index % per_byte) * width, mask = ((1u << width) - 1) << shift;
  data[index / per_byte] = (uint8_t)((data[index / per_byte] & ~mask) | (bits << shift & mask));
}

#define LOAD(ctype)                                                           \
  do {                                                                        \
    ctype value;                                                              \
    memcpy(&value, (const char*)data + index * sizeof(value), sizeof(value)); \
    return (double)value;                                                     \
  } while (0)

static uint16_t load16(const void* data, size_t index) {
  uint16_t bits;
  memcpy(&bits, (const char*)data + index * 2, 2);
  return bits;
}

double kp_element_get(kapell_type type, const void* data, size_t index) {
  const uint8_t* bytes = data;
  switch (type) {
    case KAPELL_FLOAT:
      LOAD(float);
    case KAPELL_DOUBLE:
      LOAD(double);
    case KAPELL_INT8:
      LOAD(int8_t);
    case KAPELL_UINT8:
      LOAD(uint8_t);
    case KAPELL_INT16:
      LOAD(int16_t);
    case KAPELL_UINT16:
      LOAD(uint16_t);
    case KAPELL_INT32:
      LOAD(int32_t);
    case KAPELL_UINT32:
      LOAD(uint32_t);
    case KAPELL_INT64:
      LOAD(int64_t);
    case KAPELL_UINT64:
      LOAD(uint64_t);
    case KAPELL_BOOL:
      return bytes[index] != 0;
    case KAPELL_FLOAT16:
      return kp_f16_to_f32(load16(data, index));
    case KAPELL_BFLOAT16:
      return kp_bf16_to_f32(load16(data, index));
    case KAPELL_FLOAT8E4M3FN:
      return kp_f8e4m3fn_to_f32(bytes[index]);
    case KAPELL_FLOAT8E4M3FNUZ:
      return kp_f8e4m3fnuz_to_f32(bytes[index]);
    case KAPELL_FLOAT8E5M2:
      return kp_f8e5m2_to_f32(bytes[index]);
    case KAPELL_FLOAT8E5M2FNUZ:
      return kp_f8e5m2fnuz_to_f32(bytes[index]);
    case KAPELL_FLOAT8E8M0:
      return kp_f8e8m0_to_f32(bytes[index]);
    case KAPELL_FLOAT6E2M3:
      return kp_f6e2m3_to_f32(bytes[index]);
    case KAPELL_FLOAT6E3M2:
      return kp_f6e3m2_to_f32(bytes[index]);
    case KAPELL_FLOAT4E2M1:
      return kp_f4e2m1_to_f32((uint8_t)get_bits(bytes, index, 4));
    case KAPELL_UINT4:
      return get_bits(bytes, index, 4);
    case KAPELL_INT4:
      return (int)(get_bits(bytes, index, 4) ^ 8) - 8;
    case KAPELL_UINT2:
      return get_bits(bytes, index, 2);
    case KAPELL_INT2:
      return (int)(get_bits(bytes, index, 2) ^ 2) - 2;
    case KAPELL_COMPLEX64:
      index *= 2;
      LOAD(float);
    case KAPELL_COMPLEX128:
      index *= 2;
      LOAD(double);
    default:
      return 0;
  }
}

// |number| as an integer within [low, high].
static int64_t clamp(double number, double low, double high) {
  if (isnan(number)) return 0;
  if (number <= low) return (int64_t)low;
  if (number >= high) return high >= 9223372036854775807.0 ? INT64_MAX : (int64_t)high;
  return (int64_t)number;
}

static uint64_t clamp_u64(double number) {
  if (!(number > 0)) return 0;
  return number >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)number;
}

#define STORE(ctype, expression)                                        \
  do {                                                                  \
    const ctype value = (ctype)(expression);                            \
    memcpy((char*)data + index * sizeof(value), &value, sizeof(value)); \
    return;                                                             \
  } while (0)

void kp_element_set(kapell_type type, void* data, size_t index, double number) {
  uint8_t* bytes = data;
  const float f = (float)number;
  switch (type) {
    case KAPELL_FLOAT:
      STORE(float, number);
    case KAPELL_DOUBLE:
      STORE(double, number);
    case KAPELL_INT8:
      STORE(int8_t, clamp(number, INT8_MIN, INT8_MAX));
    case KAPELL_UINT8:
      STORE(uint8_t, clamp(number, 0, UINT8_MAX));
    case KAPELL_INT16:
      STORE(int16_t, clamp(number, INT16_MIN, INT16_MAX));
    case KAPELL_UINT16:
      STORE(uint16_t, clamp(number, 0, UINT16_MAX));
    case KAPELL_INT32:
      STORE(int32_t, clamp(number, INT32_MIN, INT32_MAX));
    case KAPELL_UINT32:
      STORE(uint32_t, clamp(number, 0, UINT32_MAX));
    case KAPELL_INT64:
      STORE(int64_t, clamp(number, -9223372036854775808.0, 9223372036854775807.0));
    case KAPELL_UINT64:
      STORE(uint64_t, clamp_u64(number));
    case KAPELL_BOOL:
      STORE(uint8_t, number != 0);
    case KAPELL_FLOAT16:
      STORE(uint16_t, kp_f16_from_f32(f));
    case KAPELL_BFLOAT16:
      STORE(uint16_t, kp_bf16_from_f32(f));
    case KAPELL_FLOAT8E4M3FN:
      bytes[index] = kp_f8e4m3fn_from_f32(f, true);
      return;
    case KAPELL_FLOAT8E4M3FNUZ:
      bytes[index] = kp_f8e4m3fnuz_from_f32(f, true);
      return;
    case KAPELL_FLOAT8E5M2:
      bytes[index] = kp_f8e5m2_from_f32(f, true);
      return;
    case KAPELL_FLOAT8E5M2FNUZ:
      bytes[index] = kp_f8e5m2fnuz_from_f32(f, true);
      return;
    case KAPELL_FLOAT8E8M0:
      bytes[index] = kp_f8e8m0_from_f32(f, true, KP_E8M0_UP);
      return;
    case KAPELL_FLOAT6E2M3:
      bytes[index] = kp_f6e2m3_from_f32(f);
      return;
    case KAPELL_FLOAT6E3M2:
      bytes[index] = kp_f6e3m2_from_f32(f);
      return;
    case KAPELL_FLOAT4E2M1:
      set_bits(bytes, index, 4, kp_f4e2m1_from_f32(f));
      return;
    case KAPELL_UINT4:
      set_bits(bytes, index, 4, (unsigned)clamp(number, 0, 15));
      return;
    case KAPELL_INT4:
      set_bits(bytes, index, 4, (unsigned)clamp(number, -8, 7));
      return;
    case KAPELL_UINT2:
      set_bits(bytes, index, 2, (unsigned)clamp(number, 0, 3));
      return;
    case KAPELL_INT2:
      set_bits(bytes, index, 2, (unsigned)clamp(number, -2, 1));
      return;
    case KAPELL_COMPLEX64:
      index *= 2;
      STORE(float, number);
    case KAPELL_COMPLEX128:
      index *= 2;
      STORE(double, number);
    default:
      return;
  }
}
