// DynamicQuantizeLSTM's products where its 8-bit weights are constants: integers on kernel/qgemm, the other factor rounded by its range.
#ifndef KP_PROVIDER_CPU_OP_RECURRENT_BYTES_H_
#define KP_PROVIDER_CPU_OP_RECURRENT_BYTES_H_

#include "provider/cpu/kernel/qgemm/qgemm.h"
#include "provider/cpu/kernel/quantize/quantize.h"
#include "provider/cpu/op/help.h"

// Weights [directions][depth][columns], packed.
typedef struct kp_recurrent_bytes {
  const kp_qgemm_ops* ops;
  const kp_quantize_ops* rounding;
  const char* packed;
  size_t each;  // bytes of one direction
  size_t depth, columns;
  bool is_signed;
} kp_recurrent_bytes;

// Packs constant input |index|. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_recurrent_bytes_pack(kp_op_prepare* prepare, uint32_t index,
                                               kp_recurrent_bytes* out_bytes);
// Scratch of one worker, whatever the number of rows.
size_t kp_recurrent_bytes_scratch(const kp_recurrent_bytes* weights);

// c = round(x) * weights + bias: x [rows][depth] and c [rows][columns], dense.
typedef struct kp_bytes_product {
  const kp_recurrent_bytes* weights;
  size_t direction;
  const kapell_value *scale, *zero;  // of the weights: [directions] or [directions][columns]
  size_t rows;
  const float* x;
  const float* spread;  // x is rounded by the range of these
  size_t spread_count;
  const float* bias;  // [columns]; NULL = none
  float* c;
  uint8_t* rounded;  // room for x
  float* scales;     // room for [columns]
  char* scratch;     // kp_recurrent_bytes_scratch() of each worker, aligned to 64
  size_t thread_bytes;
  int threads;
} kp_bytes_product;
void kp_bytes_product_run(const kp_bytes_product* product);

#endif  // KP_PROVIDER_CPU_OP_RECURRENT_BYTES_H_
