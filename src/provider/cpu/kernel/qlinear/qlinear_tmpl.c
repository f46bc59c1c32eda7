// Arithmetic on 8-bit numbers with scales, per instruction set; qlinear.h says what it computes. Tails go through a buffer of one
// vector, so that every element sees the same instructions.
#include "provider/cpu/kernel/qlinear/qlinear.h"

#include "provider/cpu/simd/bytes.h"

#define LANES KP_VF_LANES

KP_INLINE kp_vi load_bytes(bool is_signed, const void* p) {
  return is_signed ? kp_vi_load_i8(p) : kp_vi_load_u8(p);
}

// What results are clipped to before the zero point is added.
typedef struct kp_clip {
  kp_vf low, high;
  kp_vi zero;
} kp_clip;
KP_INLINE kp_clip clip_of(bool is_signed, int32_t zero) {
  const int32_t low = is_signed ? -128 : 0;
  return (kp_clip){kp_vf_set1((float)(low - zero)), kp_vf_set1((float)(low + 255 - zero)),
                   kp_vi_set1(zero)};
}
KP_INLINE void store_clipped(uint8_t* y, kp_vf v, const kp_clip* clip) {
  const kp_vf bounded = kp_vf_min(kp_vf_max(v, clip->low), clip->high);
  kp_vi_store_bytes(y, kp_vi_add(kp_vf_to_vi(bounded), clip->zero));
}

KP_INLINE kp_vf without_zero(bool is_signed, const void* p, kp_vi zero) {
  return kp_vi_to_vf(kp_vi_sub(load_bytes(is_signed, p), zero));
}

KP_INLINE kp_vf combine(bool product, kp_vf a, kp_vf b, kp_vf a_scale, kp_vf b_scale) {
  return product ? kp_vf_mul(kp_vf_mul(a, b), a_scale)
                 : kp_vf_fma(b, b_scale, kp_vf_mul(a, a_scale));
}

KP_INLINE void pair_rows(bool product, bool is_signed, const kp_qlinear_pair* p, size_t n,
                         const uint8_t* a, size_t a_step, const uint8_t* b, size_t b_step,
                         uint8_t* y) {
  const kp_clip clip = clip_of(is_signed, p->y_zero);
  const kp_vi a_zero = kp_vi_set1(p->a_zero), b_zero = kp_vi_set1(p->b_zero);
  const kp_vf a_scale = kp_vf_set1(p->a_scale), b_scale = kp_vf_set1(p->b_scale);
  uint8_t part[3][LANES];
  memset(part, 0, sizeof part);
  if (!a_step) memset(part[0], *a, LANES);
  if (!b_step) memset(part[1], *b, LANES);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const kp_vf left = without_zero(is_signed, a_step ? a + i : part[0], a_zero),
                right = without_zero(is_signed, b_step ? b + i : part[1], b_zero);
    store_clipped(y + i, combine(product, left, right, a_scale, b_scale), &clip);
  }
  if (i == n) return;
  if (a_step) memcpy(part[0], a + i, n - i);
  if (b_step) memcpy(part[1], b + i, n - i);
  const kp_vf left = without_zero(is_signed, part[0], a_zero),
              right = without_zero(is_signed, part[1], b_zero);
  store_clipped(part[2], combine(product, left, right, a_scale, b_scale), &clip);
  memcpy(y + i, part[2], n - i);
}

static void qlinear_add(const kp_qlinear_pair* p, size_t n, const void* a, size_t a_step,
                        const void* b, size_t b_step, void* y) {
  if (p->is_signed)
    pair_rows(false, true, p, n, a, a_step, b, b_step, y);
  else
    pair_rows(false, false, p, n, a, a_step, b, b_step, y);
}

static void qlinear_multiply(const kp_qlinear_pair* p, size_t n, const void* a, size_t a_step,
                             const void* b, size_t b_step, void* y) {
  if (p->is_signed)
    pair_rows(true, true, p, n, a, a_step, b, b_step, y);
  else
    pair_rows(true, false, p, n, a, a_step, b, b_step, y);
}

static void qlinear_accumulate(bool is_signed, size_t n, const void* x, int32_t* sum) {
  const uint8_t* bytes = x;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    kp_vi_store(sum + i, kp_vi_add(kp_vi_load(sum + i), load_bytes(is_signed, bytes + i)));
  for (; i < n; ++i) sum[i] += is_signed ? ((const int8_t*)x)[i] : bytes[i];
}

static int32_t qlinear_total(bool is_signed, size_t n, const void* x) {
  const uint8_t* bytes = x;
  kp_vi sum = kp_vi_set1(0);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) sum = kp_vi_add(sum, load_bytes(is_signed, bytes + i));
  int32_t lanes[LANES];
  kp_vi_store(lanes, sum);
  uint32_t total = 0;
  for (size_t l = 0; l < LANES; ++l) total += (uint32_t)lanes[l];
  for (; i < n; ++i) total += (uint32_t)(is_signed ? ((const int8_t*)x)[i] : bytes[i]);
  return (int32_t)total;
}

static void qlinear_requantise(bool is_signed, size_t n, const int32_t* sum, int32_t less,
                               float scale, int32_t zero, void* y) {
  const kp_clip clip = clip_of(is_signed, zero);
  const kp_vi off = kp_vi_set1(less);
  const kp_vf by = kp_vf_set1(scale);
  uint8_t* bytes = y;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    store_clipped(bytes + i, kp_vf_mul(kp_vi_to_vf(kp_vi_sub(kp_vi_load(sum + i), off)), by),
                  &clip);
  if (i == n) return;
  int32_t rest[LANES] = {0};
  uint8_t part[LANES];
  memcpy(rest, sum + i, (n - i) * sizeof *sum);
  store_clipped(part, kp_vf_mul(kp_vi_to_vf(kp_vi_sub(kp_vi_load(rest), off)), by), &clip);
  memcpy(bytes + i, part, n - i);
}

const kp_qlinear_ops KP_ISA_NAME(kp_qlinear) = {
    .isa = KP_ISA_STRING,
    .add = qlinear_add,
    .multiply = qlinear_multiply,
    .accumulate = qlinear_accumulate,
    .total = qlinear_total,
    .requantise = qlinear_requantise,
};
