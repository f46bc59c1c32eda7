// f32 to small integers and back, per instruction set. quantize.h says what is computed.
#include "provider/cpu/kernel/quantize/quantize.h"

#include "provider/cpu/simd/i8.h"

// Clipping comes before rounding: what is far out of range would not fit an int32.
KP_INLINE kp_vi quantize_lanes(kp_vf x, kp_vf scale, kp_vi zero, kp_vi low, kp_vi high) {
  kp_vf v = kp_vf_div(x, scale);
  v = kp_vf_max(v, kp_vi_to_vf(kp_vi_sub(low, zero)));
  v = kp_vf_min(v, kp_vi_to_vf(kp_vi_sub(high, zero)));
  return kp_vi_add(kp_vf_to_vi(v), zero);
}

KP_INLINE void quantize_run(size_t n, const float* x, const float* scale, const int32_t* zero,
                            const size_t step, const size_t width, kp_quant_type type, char* y) {
  const kp_vi low = kp_vi_set1(type.low), high = kp_vi_set1(type.high);
  kp_vf by = kp_vf_set1(scale[0]);
  kp_vi shift = kp_vi_set1(zero[0]);
  size_t i = 0;
  for (; i + KP_VF_LANES <= n; i += KP_VF_LANES) {
    if (step) by = kp_vf_load(scale + i), shift = kp_vi_load(zero + i);
    const kp_vi q = quantize_lanes(kp_vf_load(x + i), by, shift, low, high);
    if (width == 1)
      kp_vi_store8(y + i, q);
    else
      kp_vi_store16(y + i * 2, q);
  }
  for (; i < n; ++i) {
    int32_t lanes[KP_VF_LANES];
    by = kp_vf_set1(scale[i * step]), shift = kp_vi_set1(zero[i * step]);
    kp_vi_store(lanes, quantize_lanes(kp_vf_set1(x[i]), by, shift, low, high));
    if (width == 1)
      y[i] = (char)lanes[0];
    else
      memcpy(y + i * 2, &(int16_t){(int16_t)lanes[0]}, 2);
  }
}

static void quantize_quantize(size_t n, const float* x, const float* scale, const int32_t* zero,
                              size_t step, kp_quant_type type, void* y) {
  if (!n) return;
  if (type.width == 1) {
    if (step)
      quantize_run(n, x, scale, zero, 1, 1, type, y);
    else
      quantize_run(n, x, scale, zero, 0, 1, type, y);
  } else {
    quantize_run(n, x, scale, zero, step, 2, type, y);
  }
}

KP_INLINE kp_vi load_lanes(const char* x, size_t i, const size_t width, const bool is_signed) {
  if (width == 1) return kp_vi_load8(x + i, is_signed);
  if (width == 2) return kp_vi_load16(x + i * 2, is_signed);
  return kp_vi_load((const int32_t*)(const void*)(x + i * 4));
}

KP_INLINE void dequantize_run(size_t n, const char* x, const size_t width, const bool is_signed,
                              const float* scale, const int32_t* zero, const size_t step,
                              float* y) {
  kp_vf by = kp_vf_set1(scale[0]);
  kp_vi shift = kp_vi_set1(zero[0]);
  size_t i = 0;
  for (; i + KP_VF_LANES <= n; i += KP_VF_LANES) {
    if (step) by = kp_vf_load(scale + i), shift = kp_vi_load(zero + i);
    const kp_vi v = kp_vi_sub(load_lanes(x, i, width, is_signed), shift);
    kp_vf_store(y + i, kp_vf_mul(kp_vi_to_vf(v), by));
  }
  if (i == n) return;
  char tail[KP_VF_LANES * 4] = {0};
  float lanes[KP_VF_LANES];
  memcpy(tail, x + i * width, (n - i) * width);
  const kp_vi last = load_lanes(tail, 0, width, is_signed);
  for (size_t t = 0; i < n; ++i, ++t) {
    const kp_vi v = kp_vi_sub(last, kp_vi_set1(zero[i * step]));
    kp_vf_store(lanes, kp_vf_mul(kp_vi_to_vf(v), kp_vf_set1(scale[i * step])));
    y[i] = lanes[t];
  }
}

static void quantize_dequantize(size_t n, const void* x, kp_quant_type type, const float* scale,
                                const int32_t* zero, size_t step, float* y) {
  if (!n) return;
  const bool is_signed = type.low < 0;
  if (type.width == 4)
    dequantize_run(n, x, 4, true, scale, zero, step, y);
  else if (type.width == 2)
    dequantize_run(n, x, 2, is_signed, scale, zero, step, y);
  else if (is_signed)
    dequantize_run(n, x, 1, true, scale, zero, step, y);
  else
    dequantize_run(n, x, 1, false, scale, zero, step, y);
}

KP_INLINE kp_vf real_lanes(const char* x, const kp_quant_bytes* form) {
  const kp_vi v = kp_vi_sub(kp_vi_load8(x, form->type.low < 0), kp_vi_set1(form->zero));
  return kp_vf_mul(kp_vi_to_vf(v), kp_vf_set1(form->scale));
}

KP_INLINE kp_vi binary_lanes(const bool product, const char* a, const kp_quant_bytes* a_form,
                             const char* b, const kp_quant_bytes* b_form,
                             const kp_quant_bytes* y_form) {
  const kp_vf x = real_lanes(a, a_form), z = real_lanes(b, b_form);
  return quantize_lanes(product ? kp_vf_mul(x, z) : kp_vf_add(x, z), kp_vf_set1(y_form->scale),
                        kp_vi_set1(y_form->zero), kp_vi_set1(y_form->type.low),
                        kp_vi_set1(y_form->type.high));
}

static void quantize_binary(size_t n, bool product, const void* a, const kp_quant_bytes* a_form,
                            const void* b, const kp_quant_bytes* b_form, void* y,
                            const kp_quant_bytes* y_form) {
  const char *left = a, *right = b;
  char* to = y;
  size_t i = 0;
  for (; i + KP_VF_LANES <= n; i += KP_VF_LANES)
    kp_vi_store8(to + i, product
                             ? binary_lanes(true, left + i, a_form, right + i, b_form, y_form)
                             : binary_lanes(false, left + i, a_form, right + i, b_form, y_form));
  if (i == n) return;
  char tail[3][KP_VF_LANES] = {{0}};
  memcpy(tail[0], left + i, n - i);
  memcpy(tail[1], right + i, n - i);
  kp_vi_store8(tail[2], binary_lanes(product, tail[0], a_form, tail[1], b_form, y_form));
  memcpy(to + i, tail[2], n - i);
}

KP_INLINE void remap_row(size_t n, const char* x, const bool is_signed, const float* scale,
                         const float* shift, const kp_quant_bytes* form, char* y) {
  const kp_vf low = kp_vf_set1((float)(form->type.low - form->zero)),
              high = kp_vf_set1((float)(form->type.high - form->zero));
  const kp_vi zero = kp_vi_set1(form->zero);
  for (size_t i = 0; i < n; i += KP_VF_LANES) {
    const size_t left = n - i;
    char tail[2][KP_VF_LANES] = {{0}};
    if (left < KP_VF_LANES) memcpy(tail[0], x + i, left);
    const kp_vi in = kp_vi_load8(left < KP_VF_LANES ? tail[0] : x + i, is_signed);
    kp_vf v = left < KP_VF_LANES
                  ? kp_vf_fma(kp_vi_to_vf(in), kp_vf_load_upto(scale + i, left),
                              kp_vf_load_upto(shift + i, left))
                  : kp_vf_fma(kp_vi_to_vf(in), kp_vf_load(scale + i), kp_vf_load(shift + i));
    v = kp_vf_min(kp_vf_max(v, low), high);
    kp_vi_store8(left < KP_VF_LANES ? tail[1] : y + i, kp_vi_add(kp_vf_to_vi(v), zero));
    if (left < KP_VF_LANES) memcpy(y + i, tail[1], left);
  }
}

static void quantize_remap(size_t rows, size_t n, const void* x, bool is_signed, const float* scale,
                           const float* shift, const kp_quant_bytes* form, void* y) {
  for (size_t r = 0; r < rows; ++r) {
    if (is_signed)
      remap_row(n, (const char*)x + r * n, true, scale, shift, form, (char*)y + r * n);
    else
      remap_row(n, (const char*)x + r * n, false, scale, shift, form, (char*)y + r * n);
  }
}

static void quantize_range(size_t n, const float* x, float* low, float* high) {
  kp_vf least = kp_vf_zero(), most = kp_vf_zero();
  size_t i = 0;
  for (; i + KP_VF_LANES <= n; i += KP_VF_LANES) {
    const kp_vf v = kp_vf_load(x + i);
    least = kp_vf_min(v, least);
    most = kp_vf_max(v, most);
  }
  *low = kp_vf_hmin(least);
  *high = kp_vf_hmax(most);
  for (; i < n; ++i) {
    if (x[i] < *low) *low = x[i];
    if (x[i] > *high) *high = x[i];
  }
}

const kp_quantize_ops KP_ISA_NAME(kp_quantize) = {
    .isa = KP_ISA_STRING,
    .quantize = quantize_quantize,
    .dequantize = quantize_dequantize,
    .binary = quantize_binary,
    .remap = quantize_remap,
    .range = quantize_range,
};
