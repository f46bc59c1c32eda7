// Every pass over a partition's graph, in the order in which they run: KP_GRAPH_PASS(function, what it does).
// A new pass is a file of its own here and a line below; say what it needs to come after.
KP_GRAPH_PASS(kp_pass_widen, "keep 16-bit floats in f32 between operators that compute in f32")
KP_GRAPH_PASS(kp_pass_nops, "drop nodes that change nothing")
KP_GRAPH_PASS(kp_pass_quantized_moves, "move quantized tensors as bytes")
KP_GRAPH_PASS(kp_pass_quantized_products, "multiply quantized tensors as bytes")  // after moves, which leave pairs next to products
KP_GRAPH_PASS(kp_pass_quantized_rest, "add quantized tensors as bytes, dequantize other weights")
KP_GRAPH_PASS(kp_pass_activations, "find activations written as several nodes")
KP_GRAPH_PASS(kp_pass_attention, "fuse attention")
KP_GRAPH_PASS(kp_pass_conv_norm, "fold batch normalization into convolutions")
KP_GRAPH_PASS(kp_pass_conv_pad, "take padding into convolutions")
KP_GRAPH_PASS(kp_pass_channels_last, "move convolution networks to channels-last layout")  // after folding
KP_GRAPH_PASS(kp_pass_quantized_scale, "normalize quantized tensors as bytes")  // after the layout, which makes ScaleShift
KP_GRAPH_PASS(kp_pass_conv_epilogue, "fuse additions and activations into convolutions")   // after the layout
KP_GRAPH_PASS(kp_pass_layer_norm, "fuse layer normalization and the addition before it")
KP_GRAPH_PASS(kp_pass_matmul, "fuse bias, residual and activation into products")  // after layer_norm, which takes additions
