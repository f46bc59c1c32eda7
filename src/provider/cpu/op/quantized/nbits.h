// Matrices of 2-, 4- or 8-bit weights, packed for kernel/nbits, and their products: what MatMulNBits and QMoE share.
#ifndef KP_PROVIDER_CPU_OP_NBITS_H_
#define KP_PROVIDER_CPU_OP_NBITS_H_

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/kernel/nbits/nbits.h"
#include "provider/cpu/op/help.h"

// Shape of a packed matrix [k][n]; numbers only.
typedef struct kp_nbits_layout {
  const kp_nbits_ops* ops;
  const kp_gemm_ops* gemm;
  unsigned bits;
  size_t k, n;
  size_t blocks, words;  // along k; 32-bit words of a column in one block
  size_t panels;
  bool zeros;                                  // zero points of its own; else 2^(bits-1) everywhere
  size_t data_bytes, scale_bytes, byte_count;  // byte_count: of all
} kp_nbits_layout;

// Where the weights come from.
typedef struct kp_nbits_source {
  const uint8_t* data;  // [n] rows of |row_bytes|: k weights, lowest bits first
  size_t row_bytes;
  const float* scales;         // [n][blocks]
  const uint8_t* zero_points;  // a column's next to each other, packed like the weights; or NULL
  size_t zero_column_bits;     // from one column's zero points to the next
  const float* zero_floats;    // [n][blocks], or NULL
} kp_nbits_source;

// |block| is the number of successive k that share a scale: a multiple of 32 / bits, or anything >= k. Error LIMIT.
KP_MUST_USE kp_status* kp_nbits_layout_init(kp_nbits_layout* layout, const kp_nbits_ops* ops,
                                            const kp_gemm_ops* gemm, unsigned bits, size_t k,
                                            size_t n, size_t block, bool zeros);
// Packs into |memory| of layout->byte_count bytes, aligned to KP_ALIGNMENT.
void kp_nbits_pack(const kp_nbits_layout* layout, const kp_nbits_source* source, int width,
                   void* memory);

// Bytes of scratch for products with up to |rows| rows. Error LIMIT.
KP_MUST_USE kp_status* kp_nbits_scratch(const kp_nbits_layout* layout, size_t rows, int width,
                                        size_t* out_byte_count);
// y[rows][n] = a[rows][k] * matrix + bias. |bias| may be NULL.
typedef struct kp_nbits_args {
  const void* memory;
  size_t rows;
  const float* a;
  float* y;
  const float* bias;
  int width;
  void* scratch;
  const volatile int* cancel;
} kp_nbits_args;
void kp_nbits_multiply(const kp_nbits_layout* layout, const kp_nbits_args* args);

#endif  // KP_PROVIDER_CPU_OP_NBITS_H_
