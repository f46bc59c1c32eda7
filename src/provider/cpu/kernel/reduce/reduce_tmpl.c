// Reductions, per instruction set. Each kind is a start value, what is done to an element, and how two results join.
#include "provider/cpu/kernel/reduce/reduce.h"

#include "provider/cpu/simd/f32.h"

#define LANES KP_VF_LANES

KP_INLINE float start_of(const kp_reduce_kind kind) {
  return kind == KP_REDUCE_MAX    ? -INFINITY
         : kind == KP_REDUCE_MIN  ? INFINITY
         : kind == KP_REDUCE_PROD ? 1.0f
                                  : 0.0f;
}

KP_INLINE kp_vf join(const kp_reduce_kind kind, kp_vf a, kp_vf b) {
  switch (kind) {
    case KP_REDUCE_MAX:
      return kp_vf_max_nan(a, b);
    case KP_REDUCE_MIN:
      return kp_vf_min_nan(a, b);
    case KP_REDUCE_PROD:
      return kp_vf_mul(a, b);
    default:
      return kp_vf_add(a, b);
  }
}

// |sum| joined with element |x|.
KP_INLINE kp_vf take(const kp_reduce_kind kind, kp_vf sum, kp_vf x) {
  switch (kind) {
    case KP_REDUCE_SUM_SQUARE:
      return kp_vf_fma(x, x, sum);
    case KP_REDUCE_SUM_ABS:
      return kp_vf_add(sum, kp_vf_abs(x));
    default:
      return join(kind, sum, x);
  }
}

KP_INLINE float join_lanes(const kp_reduce_kind kind, kp_vf v) {
  if (kind == KP_REDUCE_MAX) return kp_vf_hmax(v);
  if (kind == KP_REDUCE_MIN) return kp_vf_hmin(v);
  if (kind != KP_REDUCE_PROD) return kp_vf_hsum(v);
  float lanes[LANES], product = 1.0f;
  kp_vf_store(lanes, v);
  for (size_t i = 0; i < LANES; ++i) product *= lanes[i];
  return product;
}

KP_INLINE float reduce_row(const kp_reduce_kind kind, size_t cols, const float* x) {
  enum { kBlock = 4096 };
  const kp_vf start = kp_vf_set1(start_of(kind));
  kp_vf total = start;
  for (size_t first = 0; first < cols; first += kBlock) {
    const size_t last = cols - first < kBlock ? cols : first + kBlock;
    kp_vf sum[8];
    for (size_t i = 0; i < 8; ++i) sum[i] = start;
    size_t c = first;
    for (; c + 8 * LANES <= last; c += 8 * LANES) {
      for (size_t i = 0; i < 8; ++i) sum[i] = take(kind, sum[i], kp_vf_load(x + c + i * LANES));
    }
    for (; c < last; c += LANES) {
      const size_t n = last - c < LANES ? last - c : LANES;
      sum[0] = take(kind, sum[0], kp_vf_loadn_or(x + c, n, start));
    }
    for (size_t half = 4; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) sum[i] = join(kind, sum[i], sum[i + half]);
    }
    total = join(kind, total, sum[0]);
  }
  return join_lanes(kind, total);
}

// Eight rows are joined before the result in y is touched: x is read front to back in eight streams, y stays in cache.
KP_INLINE void reduce_columns_kind(const kp_reduce_kind kind, size_t rows, size_t cols,
                                   const float* x, size_t x_stride, float* y) {
  const kp_vf start = kp_vf_set1(start_of(kind));
  for (size_t c = 0; c < cols; c += LANES) kp_vf_store_upto(y + c, start, cols - c);
  for (size_t r = 0; r < rows; r += 8) {
    const size_t count = rows - r < 8 ? rows - r : 8;
    const float* row = x + r * x_stride;
    for (size_t c = 0; c < cols; c += LANES) {
      const size_t left = cols - c;
      kp_vf even = take(kind, start, kp_vf_load_upto(row + c, left)), odd = start;
      for (size_t i = 1; i < count; i += 2)
        odd = take(kind, odd, kp_vf_load_upto(row + i * x_stride + c, left));
      for (size_t i = 2; i < count; i += 2)
        even = take(kind, even, kp_vf_load_upto(row + i * x_stride + c, left));
      kp_vf_store_upto(y + c, join(kind, kp_vf_load_upto(y + c, left), join(kind, even, odd)),
                       left);
    }
  }
}

#define FOR_EACH_KIND(M)  \
  M(KP_REDUCE_SUM)        \
  M(KP_REDUCE_SUM_SQUARE) \
  M(KP_REDUCE_SUM_ABS)    \
  M(KP_REDUCE_MAX)        \
  M(KP_REDUCE_MIN)        \
  M(KP_REDUCE_PROD)

static void reduce_rows(kp_reduce_kind kind, size_t rows, size_t cols, const float* x,
                        size_t x_stride, float* y) {
  const kp_reduce_kind base = kind == KP_REDUCE_MEAN ? KP_REDUCE_SUM : kind;
  const float divisor = kind == KP_REDUCE_MEAN ? (float)cols : 1.0f;
#define CASE(k)                                                                               \
  case k:                                                                                     \
    for (size_t r = 0; r < rows; ++r) y[r] = reduce_row(k, cols, x + r * x_stride) / divisor; \
    break;
  switch (base) {
    FOR_EACH_KIND(CASE)
    default:
      break;
  }
#undef CASE
}

static void reduce_columns(kp_reduce_kind kind, size_t rows, size_t cols, const float* x,
                           size_t x_stride, float* y) {
  const kp_reduce_kind base = kind == KP_REDUCE_MEAN ? KP_REDUCE_SUM : kind;
#define CASE(k)                                         \
  case k:                                               \
    reduce_columns_kind(k, rows, cols, x, x_stride, y); \
    break;
  switch (base) {
    FOR_EACH_KIND(CASE)
    default:
      break;
  }
#undef CASE
  if (kind != KP_REDUCE_MEAN) return;
  for (size_t c = 0; c < cols; ++c) y[c] /= (float)rows;
}

const kp_reduce_ops KP_ISA_NAME(kp_reduce) = {
    .isa = KP_ISA_STRING, .rows = reduce_rows, .columns = reduce_columns};
