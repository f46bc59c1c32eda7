// Elements of every type; see element.h.
#include "provider/cpu/op/element.h"

#include <math.h>

kp_element_class kp_element_class_of(kapell_type type) {
  if (type == KAPELL_STRING) return KP_ELEMENT_TEXT;
  if (type == KAPELL_BOOL || kp_type_is_integer(type)) return KP_ELEMENT_WHOLE;
  return kp_type_is_float(type) ? KP_ELEMENT_REAL : KP_ELEMENT_OTHER;
}

static unsigned packed_at(const uint8_t* data, unsigned bits, size_t index) {
  const unsigned each = 8 / bits;
  return data[index / each] >> (index % each * bits) & ((1u << bits) - 1);
}

// Sets bits that are zero or stale; neighbours stay.
static void set_packed(uint8_t* data, unsigned bits, size_t index, unsigned value) {
  const unsigned each = 8 / bits, shift = (unsigned)(index % each) * bits,
                 mask = ((1u << bits) - 1) << shift;
  data[index / each] = (uint8_t)((data[index / each] & ~mask) | (value << shift & mask));
}

void kp_load_whole(kapell_type type, const void* data, size_t first, size_t count, int64_t* out) {
  switch (type) {
#define CASE(type, c_type)                                                                 \
  case KAPELL_##type:                                                                      \
    for (size_t i = 0; i < count; ++i) out[i] = (int64_t)((const c_type*)data)[first + i]; \
    break;
    KP_EACH_INT(CASE)
#undef CASE
    case KAPELL_BOOL:
      for (size_t i = 0; i < count; ++i) out[i] = ((const uint8_t*)data)[first + i] != 0;
      break;
    default: {  // packed
      const unsigned bits = kp_type_bits(type),
                     sign = kp_type_is_signed(type) ? 1u << (bits - 1) : 0;
      for (size_t i = 0; i < count; ++i)
        out[i] = (int64_t)(packed_at(data, bits, first + i) ^ sign) - (int64_t)sign;
    }
  }
}

#define EACH(kind, expression)                                        \
  case KAPELL_##kind:                                                 \
    for (size_t i = 0; i < count; ++i) out[i] = (double)(expression); \
    break;
void kp_load_real(kapell_type type, const void* data, size_t first, size_t count, double* out) {
  const uint8_t* bytes = (const uint8_t*)data + first;
  const uint16_t* halves = (const uint16_t*)data + first;
  switch (type) {
    EACH(FLOAT, ((const float*)data)[first + i])
    EACH(DOUBLE, ((const double*)data)[first + i])
    EACH(FLOAT16, kp_f16_to_f32(halves[i]))
    EACH(BFLOAT16, kp_bf16_to_f32(halves[i]))
    EACH(FLOAT8E4M3FN, kp_f8e4m3fn_to_f32(bytes[i]))
    EACH(FLOAT8E4M3FNUZ, kp_f8e4m3fnuz_to_f32(bytes[i]))
    EACH(FLOAT8E5M2, kp_f8e5m2_to_f32(bytes[i]))
    EACH(FLOAT8E5M2FNUZ, kp_f8e5m2fnuz_to_f32(bytes[i]))
    EACH(FLOAT8E8M0, kp_f8e8m0_to_f32(bytes[i]))
    EACH(FLOAT6E2M3, kp_f6e2m3_to_f32(bytes[i]))
    EACH(FLOAT6E3M2, kp_f6e3m2_to_f32(bytes[i]))
    EACH(FLOAT4E2M1, kp_f4e2m1_to_f32((uint8_t)packed_at(data, 4, first + i)))
    default:
      break;
  }
}
#undef EACH

// --- storing -----------------------------------------------------------------------------------------------------------------
static int64_t cut64(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}
static int64_t cut32(double x) {
  return x > -2147483649.0 && x < 2147483648.0 ? (int64_t)x : INT32_MIN;
}
static int64_t cut_u64(double x) {
  return x >= 9223372036854775808.0 && x < 18446744073709551616.0 ? (int64_t)(uint64_t)x : cut64(x);
}

void kp_store_whole(kapell_type type, void* data, size_t first, size_t count, const int64_t* in,
                    bool unsigned64, const kp_rounding* rounding) {
  switch (type) {
#define CASE(type, c_type)                                                         \
  case KAPELL_##type:                                                              \
    for (size_t i = 0; i < count; ++i) ((c_type*)data)[first + i] = (c_type)in[i]; \
    return;
    KP_EACH_INT(CASE)
#undef CASE
    case KAPELL_BOOL:
      for (size_t i = 0; i < count; ++i) ((uint8_t*)data)[first + i] = in[i] != 0;
      return;
    case KAPELL_FLOAT:
      for (size_t i = 0; i < count; ++i)
        ((float*)data)[first + i] = unsigned64 ? (float)(uint64_t)in[i] : (float)in[i];
      return;
    default:
      break;
  }
  if (kp_type_is_integer(type)) {
    for (size_t i = 0; i < count; ++i)
      set_packed(data, kp_type_bits(type), first + i, (unsigned)in[i]);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const double real = unsigned64 ? (double)(uint64_t)in[i] : (double)in[i];
    kp_store_real(type, data, first + i, 1, &real, rounding);
  }
}

#define EACH(kind, array, expression)                                     \
  case KAPELL_##kind:                                                     \
    for (size_t i = 0; i < count; ++i) (array)[first + i] = (expression); \
    return;
void kp_store_real(kapell_type type, void* data, size_t first, size_t count, const double* in,
                   const kp_rounding* rounding) {
  uint8_t* bytes = data;
  uint16_t* halves = data;
  const bool saturate = rounding->saturate;
  switch (type) {
    EACH(FLOAT, (float*)data, (float)in[i])
    EACH(DOUBLE, (double*)data, in[i])
    EACH(FLOAT16, halves, kp_f16_from_f32((float)in[i]))
    EACH(BFLOAT16, halves, kp_bf16_from_f32((float)in[i]))
    EACH(FLOAT8E4M3FN, bytes, kp_f8e4m3fn_from_f32((float)in[i], saturate))
    EACH(FLOAT8E4M3FNUZ, bytes, kp_f8e4m3fnuz_from_f32((float)in[i], saturate))
    EACH(FLOAT8E5M2, bytes, kp_f8e5m2_from_f32((float)in[i], saturate))
    EACH(FLOAT8E5M2FNUZ, bytes, kp_f8e5m2fnuz_from_f32((float)in[i], saturate))
    EACH(FLOAT8E8M0, bytes, kp_f8e8m0_from_f32((float)in[i], saturate, rounding->e8m0))
    EACH(FLOAT6E2M3, bytes, kp_f6e2m3_from_f32((float)in[i]))
    EACH(FLOAT6E3M2, bytes, kp_f6e3m2_from_f32((float)in[i]))
    EACH(BOOL, bytes, in[i] != 0)
    EACH(INT64, (int64_t*)data, cut64(in[i]))
    EACH(UINT64, (uint64_t*)data, (uint64_t)cut_u64(in[i]))
    EACH(UINT32, (uint32_t*)data, (uint32_t)cut64(in[i]))
    EACH(INT32, (int32_t*)data, (int32_t)cut32(in[i]))
    EACH(INT16, (int16_t*)data, (int16_t)cut32(in[i]))
    EACH(UINT16, (uint16_t*)data, (uint16_t)cut32(in[i]))
    EACH(INT8, (int8_t*)data, (int8_t)cut32(in[i]))
    EACH(UINT8, (uint8_t*)data, (uint8_t)cut32(in[i]))
    default:
      break;
  }
  for (size_t i = 0; i < count; ++i) {
    const unsigned value =
        type == KAPELL_FLOAT4E2M1 ? kp_f4e2m1_from_f32((float)in[i]) : (unsigned)cut32(in[i]);
    set_packed(data, kp_type_bits(type), first + i, value);
  }
}
#undef EACH

void kp_load_numbers(const kapell_value* x, double* to) {
  const size_t count = kp_value_count(x);
  if (x->type == KAPELL_UINT64) {  // kp_load_whole gives its bits
    for (size_t i = 0; i < count; ++i) to[i] = (double)((const uint64_t*)x->data)[i];
    return;
  }
  enum { BLOCK = 256 };
  int64_t whole[BLOCK];
  for (size_t i = 0; i < count; i += BLOCK) {
    const size_t n = kp_min_size(BLOCK, count - i);
    kp_load_whole(x->type, x->data, i, n, whole);
    for (size_t k = 0; k < n; ++k) to[i + k] = (double)whole[k];
  }
}

void kp_store_rounded(const double* from, size_t count, kapell_value* y) {
  switch (y->type) {
#define STORE(type, c_type)                                                           \
  case KAPELL_##type: {                                                               \
    const bool is_signed = (c_type)-1 < (c_type)1;                                    \
    const double high = ldexp(1, (int)sizeof(c_type) * 8 - is_signed);                \
    const double low = is_signed ? -high : 0;                                         \
    const c_type top =                                                                \
        (c_type) ~(is_signed ? (uint64_t)INT64_MIN >> (64 - sizeof(c_type) * 8) : 0); \
    for (size_t i = 0; i < count; ++i) {                                              \
      const double v = rint(from[i]);                                                 \
      ((c_type*)y->data)[i] = !(v > low) ? (c_type)low : v >= high ? top : (c_type)v; \
    }                                                                                 \
    break;                                                                            \
  }
    KP_EACH_INT(STORE)
#undef STORE
    case KAPELL_BOOL:
      for (size_t i = 0; i < count; ++i) ((uint8_t*)y->data)[i] = rint(from[i]) != 0;
      break;
    default:
      break;
  }
}
