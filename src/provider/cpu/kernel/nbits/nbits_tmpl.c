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
    .dequantise = nbits_dequantise,
};
