// Products with matrices of 2-, 4- or 8-bit weights that are scaled block by block (MatMulNBits and its like).
//
// Role:  y[n] = sum over k of a[k] * (q[k][n] - zero) * scale, where scale and zero belong to the block of k and to n.
// A packed matrix is cut into panels of |panel| columns, the last one filled up with zeros. Within a panel each 32-bit word has
// 32 / bits successive k of one column, lowest bits first, and the words of the panel's columns lie next to each other: one vector of
// words is unpacked with a mask and a conversion a weight, without any shuffle, and its lanes are columns.
// Two ways to use one:
//   directly:   |spread| each row once, then |multiply| or |multiply4| panel by panel: weights are unpacked in registers, once for
//               four rows.
//   by gemm/:   |dequantise| a piece of a panel as gemm/ wants its B, and multiply there.
// Accuracy: as an f32 product of the dequantised matrix; a block's sum is scaled as a whole: sum(a*q) - zero*sum(a). An infinite
//   element of a row therefore gives NaN where the unfactored product may give infinity.
// Threads:  pure functions.
#ifndef KP_PROVIDER_CPU_KERNEL_NBITS_NBITS_H_
#define KP_PROVIDER_CPU_KERNEL_NBITS_NBITS_H_

#include <stddef.h>
#include <stdint.h>

#include "provider/cpu/kernel/variant.h"

// One panel of a packed matrix.
typedef struct kp_nbits_panel {
  unsigned bits;         // 2, 4 or 8
  size_t blocks;         // along the inner dimension
  size_t words;          // of one column in one block
  const uint32_t* data;  // [blocks][words][panel]
  const float* scales;   // [blocks][panel]
  const float* zeros;    // [blocks][panel], or NULL: 2^(bits-1) everywhere
} kp_nbits_panel;

typedef struct kp_nbits_ops {
  const char* isa;
  size_t panel;  // columns of a panel
  // Prepares a row of |k| floats for |multiply|: |out| has blocks * words * 32 / bits floats (zeros past k), |sums| |blocks|.
  void (*spread)(unsigned bits, size_t blocks, size_t words, size_t k, const float* a, float* out,
                 float* sums);
  // One row times one panel: |panel| floats to |y|.
  void (*multiply)(const kp_nbits_panel* panel, const float* spread, const float* sums, float* y);
  // Four rows times one panel: |panel| floats of each row, one after the other, to |y|. Rows may repeat.
  void (*multiply4)(const kp_nbits_panel* panel, const float* const* spread,
                    const float* const* sums, float* y);
  // Words [first, first + count) of each column as f32: row k (from the first word on), column c goes to
  // out[c / nr * out_stride + k * nr + c % nr]. |nr| is a multiple of the lanes that divides |panel|.
  void (*dequantise)(const kp_nbits_panel* panel, size_t first, size_t count, size_t nr,
                     size_t out_stride, float* out);
} kp_nbits_ops;

KP_DECLARE_FAMILY(nbits);

#endif  // KP_PROVIDER_CPU_KERNEL_NBITS_NBITS_H_
