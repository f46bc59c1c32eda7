// Blocked transposes of 32-bit elements, per instruction set.
//
// Two squares wide, then down: full cache lines of x are read at once, and the lines of y being filled stay in the first-level
// cache until they are whole.
#include "provider/cpu/kernel/transpose/transpose.h"

#include "provider/cpu/simd/transpose.h"

static void edge(size_t rows, size_t cols, const float* x, size_t x_stride, float* y,
                 size_t y_stride) {
  for (size_t r = 0; r < rows; ++r) {
    // Copied as bits: a signalling NaN or an integer must come through unchanged.
    for (size_t c = 0; c < cols; ++c)
      memcpy(y + c * y_stride + r, x + r * x_stride + c, sizeof(float));
  }
}

static void transpose_x32(size_t rows, size_t cols, const uint32_t* x_bits, size_t x_stride,
                          uint32_t* y_bits, size_t y_stride) {
  const float* x = (const float*)(const void*)x_bits;
  float* y = (float*)(void*)y_bits;
  const size_t square = KP_TRANSPOSE;
  const size_t whole_rows = rows / square * square, whole_cols = cols / square * square;
  size_t c = 0;
  for (; c + 2 * square <= whole_cols; c += 2 * square) {
    for (size_t r = 0; r < whole_rows; r += square) {
      kp_transpose_square(x + r * x_stride + c, x_stride, y + c * y_stride + r, y_stride);
      kp_transpose_square(x + r * x_stride + c + square, x_stride, y + (c + square) * y_stride + r,
                          y_stride);
    }
  }
  for (; c < whole_cols; c += square) {
    for (size_t r = 0; r < whole_rows; r += square) {
      kp_transpose_square(x + r * x_stride + c, x_stride, y + c * y_stride + r, y_stride);
    }
  }
  edge(whole_rows, cols - whole_cols, x + whole_cols, x_stride, y + whole_cols * y_stride,
       y_stride);
  edge(rows - whole_rows, cols, x + whole_rows * x_stride, x_stride, y + whole_rows, y_stride);
}

const kp_transpose_ops KP_ISA_NAME(kp_transpose) = {.isa = KP_ISA_STRING, .x32 = transpose_x32};
