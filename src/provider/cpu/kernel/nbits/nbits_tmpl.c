// Products with matrices of few bits, per instruction set; nbits.h says what they compute and how panels lie.
//
// A word is used in two halves of 16 bits, so that masked bits stay below 2^16 and are exact as f32 where they stand: value j of a
// half comes out as q * 2^(bits*j), and the row is scaled by 2^-(bits*j) once (|spread|) instead of shifting each weight.
#include "provider/cpu/kernel/nbits/nbits.h"

#include "provider/cpu/simd/f32.h"

#define LANES KP_VF_LANES
#define VECS 4
#define PANEL (VECS * LANES)

// 2^-bits
KP_INLINE float unit_of(unsigned bits) { return 1.0f / (float)(1u << bits); }

static void nbits_spread(unsigned bits, size_t blocks, size_t words, size_t k, const float* a,
                         float* out, float* sums) {
  const size_t half = 16 / bits, depth = words * 2 * half;
  const float step = unit_of(bits);
  for (size_t b = 0; b < blocks; ++b, sums++) {
    float sum = 0;
    for (size_t i = 0; i < depth; i += half) {
      float unit = 1;
      for (size_t j = 0; j < half; ++j, unit *= step) {
        const size_t at = b * depth + i + j;
        const float v = at < k ? a[at] : 0;
        out[at] = v * unit;
        sum += v;
      }
    }
    *sums = sum;
  }
}

// Adds one half of a vector of words (of each of the panel's VECS) times its values of the row.
KP_INLINE void add_half(unsigned bits, const kp_vi* x, const float* a, kp_vf* sum) {
  const unsigned half = 16 / bits;
  KP_UNROLL
  for (unsigned j = 0; j < half; ++j) {
    const kp_vi mask = kp_vi_set1((int32_t)(((1u << bits) - 1) << (bits * j)));
    const kp_vf value = kp_vf_set1(a[j]);
    KP_UNROLL
    for (int v = 0; v < VECS; ++v)
      sum[v] = kp_vf_fma(kp_vi_to_vf(kp_vi_and(x[v], mask)), value, sum[v]);
  }
}

KP_INLINE void multiply_panel(unsigned bits, const kp_nbits_panel* panel, const float* a,
                              const float* sums, float* y) {
  const uint32_t* data = panel->data;
  const size_t half = 16 / bits;
  kp_vf total[VECS];
  KP_UNROLL
  for (int v = 0; v < VECS; ++v) total[v] = kp_vf_zero();
  for (size_t b = 0; b < panel->blocks; ++b) {
    kp_vf low[VECS], high[VECS];
    KP_UNROLL
    for (int v = 0; v < VECS; ++v) low[v] = high[v] = kp_vf_zero();
    for (size_t w = 0; w < panel->words; ++w, data += PANEL, a += 2 * half) {
      kp_vi x[VECS];
      KP_UNROLL
      for (int v = 0; v < VECS; ++v) x[v] = kp_vi_load((const int32_t*)data + v * LANES);
      add_half(bits, x, a, low);
      KP_UNROLL
      for (int v = 0; v < VECS; ++v) x[v] = kp_vi_srl(x[v], 16);
      add_half(bits, x, a + half, high);
    }
    const kp_vf sum = kp_vf_set1(sums[b]);
    KP_UNROLL
    for (int v = 0; v < VECS; ++v) {
      const size_t at = b * PANEL + (size_t)v * LANES;
      const kp_vf zero =
          panel->zeros ? kp_vf_load(panel->zeros + at) : kp_vf_set1((float)(1u << (bits - 1)));
      const kp_vf dot = kp_vf_fnma(zero, sum, kp_vf_add(low[v], high[v]));
      total[v] = kp_vf_fma(dot, kp_vf_load(panel->scales + at), total[v]);
    }
  }
  KP_UNROLL
  for (int v = 0; v < VECS; ++v) kp_vf_store(y + v * LANES, total[v]);
}

static void nbits_multiply(const kp_nbits_panel* panel, const float* spread, const float* sums,
                           float* y) {
  if (panel->bits == 4)
    multiply_panel(4, panel, spread, sums, y);
  else if (panel->bits == 8)
    multiply_panel(8, panel, spread, sums, y);
  else
    multiply_panel(2, panel, spread, sums, y);
}

// Vectors of columns that four rows are multiplied with at a time: as many sums as rows times vectors stay in registers.
#define PAIR 2
#define ROWS 4

KP_INLINE void add_half4(unsigned bits, const kp_vi* x, const float* const* a, size_t at,
                         kp_vf (*sum)[PAIR]) {
  const unsigned half = 16 / bits;
  KP_UNROLL
  for (unsigned j = 0; j < half; ++j) {
    const kp_vi mask = kp_vi_set1((int32_t)(((1u << bits) - 1) << (bits * j)));
    kp_vf q[PAIR];
    KP_UNROLL
    for (int v = 0; v < PAIR; ++v) q[v] = kp_vi_to_vf(kp_vi_and(x[v], mask));
    KP_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const kp_vf value = kp_vf_set1(a[r][at + j]);
      KP_UNROLL
      for (int v = 0; v < PAIR; ++v) sum[r][v] = kp_vf_fma(q[v], value, sum[r][v]);
    }
  }
}

// Block |b| of PAIR vectors of columns, from |column| on, times four rows; added to |y|.
KP_INLINE void multiply_block4(unsigned bits, const kp_nbits_panel* panel, size_t b, size_t column,
                               const float* const* a, const float* const* sums, float* y) {
  const size_t half = 16 / bits;
  kp_vf sum[ROWS][PAIR];
  KP_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    KP_UNROLL
    for (int v = 0; v < PAIR; ++v) sum[r][v] = kp_vf_zero();
  }
  const uint32_t* data = panel->data + b * panel->words * PANEL + column;
  size_t at = b * panel->words * 2 * half;
  for (size_t w = 0; w < panel->words; ++w, data += PANEL, at += 2 * half) {
    kp_vi x[PAIR];
    KP_UNROLL
    for (int v = 0; v < PAIR; ++v) x[v] = kp_vi_load((const int32_t*)data + v * LANES);
    add_half4(bits, x, a, at, sum);
    KP_UNROLL
    for (int v = 0; v < PAIR; ++v) x[v] = kp_vi_srl(x[v], 16);
    add_half4(bits, x, a, at + half, sum);
  }
  KP_UNROLL
  for (int v = 0; v < PAIR; ++v) {
    const size_t c = column + (size_t)v * LANES;
    const kp_vf scale = kp_vf_load(panel->scales + b * PANEL + c);
    const kp_vf zero = panel->zeros ? kp_vf_load(panel->zeros + b * PANEL + c)
                                    : kp_vf_set1((float)(1u << (bits - 1)));
    KP_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      float* to = y + r * PANEL + c;
      const kp_vf dot = kp_vf_fnma(zero, kp_vf_set1(sums[r][b]), sum[r][v]);
      kp_vf_store(to, kp_vf_fma(dot, scale, kp_vf_load(to)));
    }
  }
}

KP_INLINE void multiply_panel4(unsigned bits, const kp_nbits_panel* panel, const float* const* a,
                               const float* const* sums, float* y) {
  memset(y, 0, ROWS * PANEL * sizeof *y);
  for (size_t column = 0; column < PANEL; column += PAIR * LANES) {
    for (size_t b = 0; b < panel->blocks; ++b) multiply_block4(bits, panel, b, column, a, sums, y);
  }
}

static void nbits_multiply4(const kp_nbits_panel* panel, const float* const* spread,
                            const float* const* sums, float* y) {
  if (panel->bits == 4)
    multiply_panel4(4, panel, spread, sums, y);
  else if (panel->bits == 8)
    multiply_panel4(8, panel, spread, sums, y);
  else
    multiply_panel4(2, panel, spread, sums, y);
}

// One half of a vector of words: 16 / bits rows of |out|, |nr| floats apart.
KP_INLINE void dequantise_half(unsigned bits, kp_vi x, kp_vf scale, kp_vf minus_zero, size_t nr,
                               float* out) {
  const unsigned half = 16 / bits;
  float unit = 1;
  KP_UNROLL
  for (unsigned j = 0; j < half; ++j) {
    const kp_vi mask = kp_vi_set1((int32_t)(((1u << bits) - 1) << (bits * j)));
    const kp_vf q = kp_vf_fma(kp_vi_to_vf(kp_vi_and(x, mask)), kp_vf_set1(unit), minus_zero);
    kp_vf_store(out + j * nr, kp_vf_mul(q, scale));
    unit *= unit_of(bits);
  }
}

KP_INLINE void dequantise_panel(unsigned bits, const kp_nbits_panel* panel, size_t first,
                                size_t count, size_t nr, size_t out_stride, float* out) {
  const size_t half = 16 / bits;
  for (size_t v = 0; v < VECS; ++v) {
    const size_t column = v * LANES;
    float* to = out + column / nr * out_stride + column % nr;
    for (size_t w = first; w < first + count; ++w, to += 2 * half * nr) {
      const size_t at = w / panel->words * PANEL + column;
      const kp_vf scale = kp_vf_load(panel->scales + at);
      const kp_vf minus_zero = panel->zeros ? kp_vf_neg(kp_vf_load(panel->zeros + at))
                                            : kp_vf_set1(-(float)(1u << (bits - 1)));
      const kp_vi x = kp_vi_load((const int32_t*)panel->data + w * PANEL + column);
      dequantise_half(bits, x, scale, minus_zero, nr, to);
      dequantise_half(bits, kp_vi_srl(x, 16), scale, minus_zero, nr, to + half * nr);
    }
  }
}

static void nbits_dequantise(const kp_nbits_panel* panel, size_t first, size_t count, size_t nr,
                             size_t out_stride, float* out) {
  if (panel->bits == 4)
    dequantise_panel(4, panel, first, count, nr, out_stride, out);
  else if (panel->bits == 8)
    dequantise_panel(8, panel, first, count, nr, out_stride, out);
  else
    dequantise_panel(2, panel, first, count, nr, out_stride, out);
}

const kp_nbits_ops KP_ISA_NAME(kp_nbits) = {
    .isa = KP_ISA_STRING,
    .panel = PANEL,
    .spread = nbits_spread,
    .multiply = nbits_multiply,
    .multiply4 = nbits_multiply4,
    .dequantise = nbits_dequantise,
};
