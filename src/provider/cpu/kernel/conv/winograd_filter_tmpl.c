// Winograd's transform of filters, per instruction set: done once at load, in double precision, straight into the panels that the
// products read. See winograd.h.
#include "provider/cpu/kernel/conv/winograd.h"
#include "provider/cpu/simd/transpose.h"

#define FILTERS 8  // of neighbouring output channels, transformed side by side
#define TAPS 9     // of a filter

typedef double filters_d __attribute__((vector_size(FILTERS * sizeof(double))));
typedef float filters_f __attribute__((vector_size(FILTERS * sizeof(float))));

// One dimension of G w for F(2): the points 0, 1, -1 and infinity.
KP_INLINE void filter_2(const filters_d* w, filters_d* r) {
  const filters_d even = 0.5 * (w[0] + w[2]), odd = 0.5 * w[1];
  r[0] = w[0];
  r[1] = even + odd;
  r[2] = even - odd;
  r[3] = w[2];
}

// For F(4): a point's row is its powers over the product of its differences to the other finite points, so that rows of a point
// and of its negative share their even and odd parts.
KP_INLINE void filter_4(const filters_d* w, filters_d* r) {
  const double p = KP_WINOGRAD_P, q = KP_WINOGRAD_Q, p2 = p * p, q2 = q * q;
  const double by_p = 1 / (2 * p2 * (p2 - q2)), by_q = 1 / (2 * q2 * (q2 - p2));
  const filters_d even_p = by_p * w[0] + (by_p * p2) * w[2], odd_p = (by_p * p) * w[1];
  const filters_d even_q = by_q * w[0] + (by_q * q2) * w[2], odd_q = (by_q * q) * w[1];
  r[0] = (1 / (p2 * q2)) * w[0];
  r[1] = even_p + odd_p;
  r[2] = even_p - odd_p;
  r[3] = even_q + odd_q;
  r[4] = even_q - odd_q;
  r[5] = w[2];
}

KP_INLINE void filter_one(const size_t m, const filters_d* w, filters_d* r) {
  if (m == 4) {
    filter_4(w, r);
  } else {
    filter_2(w, r);
  }
}

// Tap by tap: w[k] of |count| filters, |apart| floats from one to the next, zeros past them.
KP_INLINE void gather(const float* w, size_t apart, size_t count, filters_d taps[TAPS]) {
  float from[TAPS][FILTERS] = {{0}};
  size_t whole = 0;
  if (count == FILTERS) {
    whole = TAPS - 1;
    for (size_t l = 0; l < FILTERS; l += KP_TRANSPOSE) {
      for (size_t k = 0; k < TAPS - 1; k += KP_TRANSPOSE)
        kp_transpose_square(w + l * apart + k, apart, &from[k][l], FILTERS);
    }
  }
  for (size_t l = 0; l < count; ++l) {
    for (size_t k = whole; k < TAPS; ++k) from[k][l] = w[l * apart + k];
  }
  for (size_t k = 0; k < TAPS; ++k) {
    filters_f narrow;
    memcpy(&narrow, from[k], sizeof narrow);
    taps[k] = __builtin_convertvector(narrow, filters_d);
  }
}

// u = G w G^T of |count| filters; |room| floats of each point u go to out[point * stride].
KP_INLINE void transform(const size_t m, const float* w, size_t apart, size_t count, size_t room,
                         float* out, size_t stride) {
  const size_t side = m + 2;
  filters_d taps[TAPS], half[3][6];
  gather(w, apart, count, taps);
  KP_UNROLL for (size_t j = 0; j < 3; ++j) {
    const filters_d column[3] = {taps[j], taps[3 + j], taps[6 + j]};
    filter_one(m, column, half[j]);
  }
  KP_UNROLL for (size_t i = 0; i < side; ++i) {
    const filters_d row[3] = {half[0][i], half[1][i], half[2][i]};
    filters_d u[6];
    filter_one(m, row, u);
    KP_UNROLL for (size_t j = 0; j < side; ++j) {
      const filters_f narrow = __builtin_convertvector(u[j], filters_f);
      float* to = out + (i * side + j) * stride;
      if (room >= FILTERS)
        memcpy(to, &narrow, sizeof narrow);
      else
        memcpy(to, &narrow, room * sizeof(float));
    }
  }
}

extern const kp_gemm_ops KP_ISA_NAME(kp_gemm);

KP_INLINE void pack(const size_t m, size_t in_c, size_t out_c, const float* weights,
                    float* packed) {
  const kp_gemm_ops* gemm = &KP_ISA_NAME(kp_gemm);
  const size_t panel = gemm->nr, stride = kp_gemm_packed_b_size(gemm, in_c, out_c);
  for (size_t first = 0; first < out_c; first += panel) {
    for (size_t c = 0; c < in_c; ++c) {
      float* row = packed + first * in_c + c * panel;
      for (size_t j = 0; j < panel; j += FILTERS) {
        const size_t o = first + j, left = o < out_c ? out_c - o : 0;
        transform(m, weights + (left ? o * in_c + c : 0) * TAPS, in_c * TAPS,
                  left < FILTERS ? left : FILTERS, panel - j, row + j, stride);
      }
    }
  }
}

void KP_ISA_NAME(kp_winograd_pack)(kp_conv_algorithm algorithm, size_t in_c, size_t out_c,
                                   const float* weights, float* packed);

void KP_ISA_NAME(kp_winograd_pack)(kp_conv_algorithm algorithm, size_t in_c, size_t out_c,
                                   const float* weights, float* packed) {
  if (algorithm == KP_CONV_WINOGRAD4)
    pack(4, in_c, out_c, weights, packed);
  else
    pack(2, in_c, out_c, weights, packed);
}
