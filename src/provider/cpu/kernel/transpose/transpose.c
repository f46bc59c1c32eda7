// The variants of transposes, and elements of other sizes than 4 bytes. transpose.h has the contract.
#include "provider/cpu/kernel/transpose/transpose.h"

#include <assert.h>
#include <string.h>

#define KP_FAMILY transpose
#define KP_FAMILY_LIST "provider/cpu/kernel/transpose/transpose_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

// Blocks of 16 x 16: the lines of both sides stay in the first-level cache. |bytes| is a constant after inlining.
static inline __attribute__((always_inline)) void blocks(const size_t bytes, size_t rows,
                                                         size_t cols, const char* x,
                                                         size_t x_stride, char* y,
                                                         size_t y_stride) {
  enum { kBlock = 16 };
  for (size_t r0 = 0; r0 < rows; r0 += kBlock) {
    const size_t r1 = rows - r0 < kBlock ? rows : r0 + kBlock;
    for (size_t c0 = 0; c0 < cols; c0 += kBlock) {
      const size_t c1 = cols - c0 < kBlock ? cols : c0 + kBlock;
      for (size_t c = c0; c < c1; ++c) {
        for (size_t r = r0; r < r1; ++r)
          memcpy(y + (c * y_stride + r) * bytes, x + (r * x_stride + c) * bytes, bytes);
      }
    }
  }
}

void kp_transpose_run(const kp_transpose_ops* ops, size_t element_bytes, size_t batch, size_t rows,
                      size_t cols, const void* x, size_t x_stride, size_t x_batch, void* y,
                      size_t y_stride, size_t y_batch) {
  for (size_t i = 0; i < batch; ++i) {
    const char* from = (const char*)x + i * x_batch * element_bytes;
    char* to = (char*)y + i * y_batch * element_bytes;
    switch (element_bytes) {
      case 1:
        blocks(1, rows, cols, from, x_stride, to, y_stride);
        break;
      case 2:
        blocks(2, rows, cols, from, x_stride, to, y_stride);
        break;
      case 4:
        ops->x32(rows, cols, (const uint32_t*)(const void*)from, x_stride, (uint32_t*)(void*)to,
                 y_stride);
        break;
      case 8:
        blocks(8, rows, cols, from, x_stride, to, y_stride);
        break;
      case 16:
        blocks(16, rows, cols, from, x_stride, to, y_stride);
        break;
      default:
        assert(!"element size");
        break;
    }
  }
}
