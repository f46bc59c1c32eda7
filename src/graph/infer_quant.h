// Quantization rules that two domains share. Private to infer*.c.
#ifndef KP_GRAPH_INFER_QUANT_H_
#define KP_GRAPH_INFER_QUANT_H_

#include "graph/infer_window.h"

// QuantizeLinear: type by zero point, attribute "output_dtype", else uint8.
KP_MUST_USE kp_status* kp_infer_quantize(kp_infer* infer);
// DequantizeLinear: type by attribute "output_dtype", else the scale's.
KP_MUST_USE kp_status* kp_infer_dequantize(kp_infer* infer);
// DynamicQuantizeLinear: quantized tensor, scale, zero point.
KP_MUST_USE kp_status* kp_infer_dynamic_quantize(kp_infer* infer);

#endif  // KP_GRAPH_INFER_QUANT_H_
