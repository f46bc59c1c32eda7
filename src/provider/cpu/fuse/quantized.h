// What passes over quantized models share: DequantizeLinear and QuantizeLinear with one constant scale, and products' weights.
#ifndef KP_PROVIDER_CPU_FUSE_QUANTIZED_H_
#define KP_PROVIDER_CPU_FUSE_QUANTIZED_H_

#include "provider/cpu/fuse/match.h"

// A DequantizeLinear to f32, or a QuantizeLinear from f32, with constant f32 scales and constant (or no) zero points.
typedef struct kp_quantized {
  kp_node_id node;
  kp_value_id bytes, real;  // both sides
  kp_value_id scale, zero;  // |zero| may be KP_NONE
  kapell_type type;         // of the bytes: int8, uint8; for constants also int32
  const float* scales;
  size_t count;  // of scales
  int64_t axis;  // as written; of interest where count > 1
} kp_quantized;

// What made |value|, if that is a DequantizeLinear as above (not in blocks).
bool kp_match_dequantize(const kp_graph* graph, kp_value_id value, kp_quantized* out);
// |node| itself, if it is a QuantizeLinear as above with one scale, to int8 or uint8.
bool kp_match_quantize(const kp_graph* graph, kp_node_id node, kp_quantized* out);
static inline bool kp_is_byte(kapell_type type) {
  return type == KAPELL_INT8 || type == KAPELL_UINT8;
}
// Zero point |index| (or the only one), 0 where there are none.
int32_t kp_quantized_zero(const kp_graph* graph, const kp_quantized* q, size_t index);
// One scale each, the same numbers and type on both.
bool kp_quantized_same(const kp_graph* graph, const kp_quantized* a, const kp_quantized* b);
// The zero point as an input: its own, or a fresh 0 of |q|'s type.
KP_MUST_USE kp_status* kp_quantized_zero_input(kp_graph* graph, const kp_quantized* q,
                                               kp_value_id* out_value);

// What follows a product: a Relu or Clip and a QuantizeLinear, both or none.
typedef struct kp_quantized_tail {
  kp_node_id old[3];
  uint32_t count;
  bool has_q;
  kp_quantized q;
  kp_value_id output;
  int32_t low, high;  // bounds of q's bytes
} kp_quantized_tail;
void kp_quantized_take_tail(const kp_graph* graph, kp_value_id output, kp_quantized_tail* out);

// Adds |id| to |old| if nothing but |reader| uses what it makes.
void kp_take_if_sole(const kp_graph* graph, kp_node_id id, kp_node_id* old, uint32_t* count);

#endif  // KP_PROVIDER_CPU_FUSE_QUANTIZED_H_
