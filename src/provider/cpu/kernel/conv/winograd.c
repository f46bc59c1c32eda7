// Winograd's transform of filters, done once at load; and the scratch that the templates need. See winograd.h.
#include <string.h>

#include "provider/cpu/kernel/conv/winograd.h"

// G for the points of F(4) and of F(2), one row a point.
static size_t filter_matrix(kp_conv_algorithm algorithm, double g[6][3]) {
  if (algorithm == KP_CONV_WINOGRAD2) {
    static const double two[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    for (size_t i = 0; i < 4; ++i) {
      for (size_t j = 0; j < 3; ++j) g[i][j] = two[i][j];
    }
    return 4;
  }
  const double p = KP_WINOGRAD_P, q = KP_WINOGRAD_Q;
  const double points[5] = {0, p, -p, q, -q};
  for (size_t i = 0; i < 5; ++i) {
    // The Lagrange denominator: the product of differences to all other finite points.
    double denominator = 1;
    for (size_t j = 0; j < 5; ++j) {
      if (j != i) denominator *= points[i] - points[j];
    }
    g[i][0] = 1 / denominator;
    g[i][1] = points[i] / denominator;
    g[i][2] = points[i] * points[i] / denominator;
  }
  g[5][0] = g[5][1] = 0;
  g[5][2] = 1;
  return 6;
}

#define LANES 8  // filters of neighbouring output channels, transformed side by side

// u = G w G^T for |lanes| 3x3 filters, |apart| floats from one to the next; u[point] of all goes to out[point * stride].
static void transform_lanes(size_t n, double g[6][3], const float* w, size_t apart, size_t lanes,
                            float* out, size_t stride) {
  double from[9][LANES] = {{0}}, half[6][3][LANES];
  for (size_t l = 0; l < lanes; ++l) {
    for (size_t k = 0; k < 9; ++k) from[k][l] = w[l * apart + k];
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      for (size_t l = 0; l < LANES; ++l)
        half[i][j][l] = g[i][0] * from[j][l] + g[i][1] * from[3 + j][l] + g[i][2] * from[6 + j][l];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      float u[LANES];
      for (size_t l = 0; l < LANES; ++l)
        u[l] = (float)(g[j][0] * half[i][0][l] + g[j][1] * half[i][1][l] + g[j][2] * half[i][2][l]);
      memcpy(out + (i * n + j) * stride, u, lanes * sizeof(float));
    }
  }
}

void kp_winograd_transform_filter(kp_conv_algorithm algorithm, size_t in_c, size_t out_c,
                                  const float* weights, float* transformed) {
  double g[6][3];
  const size_t n = filter_matrix(algorithm, g);
  for (size_t c = 0; c < in_c; ++c) {
    for (size_t o = 0; o < out_c; o += LANES) {
      const size_t lanes = out_c - o < LANES ? out_c - o : LANES;
      transform_lanes(n, g, weights + (o * in_c + c) * 9, in_c * 9, lanes,
                      transformed + c * out_c + o, in_c * out_c);
    }
  }
}

size_t kp_winograd_scratch(kp_conv_algorithm algorithm, const kp_conv_shape* s, size_t tiles) {
  const size_t points = kp_winograd_points(algorithm);
  const size_t zeros = (s->in_c + 15) / 16 * 16;
  return zeros + points * (kp_winograd_point_stride(tiles, s->in_c) +
                           kp_winograd_point_stride(tiles, KP_WINOGRAD_COLS));
}
