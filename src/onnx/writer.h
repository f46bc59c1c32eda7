// Writes a kp_onnx_model (or parts of one) in the wire format; what it writes, the reader reads back equal.
#ifndef KP_ONNX_WRITER_H_
#define KP_ONNX_WRITER_H_

#include "onnx/model.h"

// The serialized model (kp_free *out_bytes). External tensors keep their references. Errors: OUT_OF_MEMORY, LIMIT
// (over 2 GiB, which protobuf readers refuse: give weights external locations).
KP_MUST_USE kp_status* kp_onnx_write_bytes(const kp_onnx_model* model, void** out_bytes, size_t* out_byte_count);
KP_MUST_USE kp_status* kp_onnx_write_file(const kp_onnx_model* model, const char* path);

// A single tensor as a .pb file (TensorProto), the form of ONNX's test data; sequences and optionals of tensors too.
KP_MUST_USE kp_status* kp_onnx_read_tensor(const void* bytes, size_t byte_count, kp_arena* arena, kp_onnx_tensor* out_tensor);
KP_MUST_USE kp_status* kp_onnx_write_tensor(const kp_onnx_tensor* tensor, void** out_bytes, size_t* out_byte_count);

#endif  // KP_ONNX_WRITER_H_
