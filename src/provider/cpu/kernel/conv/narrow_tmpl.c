// Convolution with few output channels, per instruction set: dot products along the window (narrow.h).
//
// Some rows of the implicit matrix A, which are output pixels, are computed at a time, all channels of each: a vector of weights is
// loaded once for these rows, and there are as many independent sums as keep the multipliers busy and fit in registers.
#include "provider/cpu/kernel/conv/narrow.h"

#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/simd/f32.h"

#define ROWS_MAX 8

// Rows [first, first + |rows|) of |tile|, all |cols| columns; both counts are constants after inlining.
KP_INLINE void dot_rows(const kp_gemm_tile* tile, size_t first, const size_t rows,
                        const size_t cols) {
  const float* b = tile->b;
  const size_t whole = tile->depth / KP_VF_LANES * KP_VF_LANES, rest = tile->depth - whole;
  kp_vf sum[ROWS_MAX * KP_NARROW_OUT_MAX];
  KP_UNROLL for (size_t i = 0; i < rows * cols; ++i) sum[i] = kp_vf_zero();
  for (size_t t = 0; t < tile->taps; ++t) {
    const float* a[ROWS_MAX];
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      a[r] = tile->a_rows ? tile->a_rows[t * tile->a_tap_stride + first + r]
                          : tile->a + (first + r) * tile->a_stride;
    }
    for (size_t k = 0; k < whole; k += KP_VF_LANES, b += cols * KP_VF_LANES) {
      kp_vf weight[KP_NARROW_OUT_MAX];
      KP_UNROLL for (size_t c = 0; c < cols; ++c) weight[c] = kp_vf_load(b + c * KP_VF_LANES);
      KP_UNROLL for (size_t r = 0; r < rows; ++r) {
        const kp_vf value = kp_vf_load(a[r] + k);
        KP_UNROLL for (size_t c = 0; c < cols; ++c) sum[r * cols + c] =
            kp_vf_fma(value, weight[c], sum[r * cols + c]);
      }
    }
    if (!rest) continue;
    KP_UNROLL for (size_t r = 0; r < rows; ++r) {
      const kp_vf value = kp_vf_loadn(a[r] + whole, rest);
      KP_UNROLL for (size_t c = 0; c < cols; ++c) sum[r * cols + c] =
          kp_vf_fma(value, kp_vf_load(b + c * KP_VF_LANES), sum[r * cols + c]);
    }
    b += cols * KP_VF_LANES;
  }
  const kp_epilogue* e = &tile->epilogue;
  KP_UNROLL for (size_t r = 0; r < rows; ++r) {
    KP_UNROLL for (size_t c = 0; c < cols; ++c) {
      float y = kp_vf_hsum(sum[r * cols + c]);
      if (e->bias_n) y += e->bias_n[c];
      if (e->residual) y += e->beta * e->residual[(first + r) * e->residual_stride + c];
      tile->c[(first + r) * tile->c_stride + c] = y;
    }
  }
}

#define DOT_ROWS(rows, cols)                                                               \
  static __attribute__((noinline)) void dot_rows_##rows##x##cols(const kp_gemm_tile* tile, \
                                                                 size_t first) {           \
    dot_rows(tile, first, rows, cols);                                                     \
  }
#define ALL_DOTS(M) M(8, 1) M(1, 1) M(6, 2) M(1, 2) M(4, 3) M(1, 3) M(3, 4) M(1, 4)
ALL_DOTS(DOT_ROWS)

// By the number of columns: some rows at a time, and one.
static const struct narrow_kernel {
  size_t rows;
  void (*some)(const kp_gemm_tile* tile, size_t first);
  void (*one)(const kp_gemm_tile* tile, size_t first);
} narrow_kernels[KP_NARROW_OUT_MAX] = {{8, dot_rows_8x1, dot_rows_1x1},
                                       {6, dot_rows_6x2, dot_rows_1x2},
                                       {4, dot_rows_4x3, dot_rows_1x3},
                                       {3, dot_rows_3x4, dot_rows_1x4}};

void KP_ISA_NAME(kp_narrow)(const kp_gemm_tile* tile);
void KP_ISA_NAME(kp_narrow)(const kp_gemm_tile* tile) {
  const struct narrow_kernel* kernel = &narrow_kernels[tile->cols - 1];
  const kp_act* act = &tile->epilogue.act;
  size_t row = 0;
  for (; row + kernel->rows <= tile->rows; row += kernel->rows) kernel->some(tile, row);
  for (; row < tile->rows; ++row) kernel->one(tile, row);
  if (act->kind == KP_ACT_NONE) return;
  const bool dense = tile->c_stride == tile->cols;  // then the rows are one
  kp_activate_rows(dense ? 1 : tile->rows, dense ? tile->rows * tile->cols : tile->cols, tile->c,
                   tile->c_stride, act);
}
