// Writes a kp_onnx_model (or a tensor) in the wire format; what it writes, the reader reads back equal.
#ifndef KP_ONNX_WRITER_H_
#define KP_ONNX_WRITER_H_

#include "onnx/model.h"

// The serialized model (kp_free *out_bytes). External tensors keep their references, typed fields their form. Errors:
// OUT_OF_MEMORY, LIMIT (over 2 GiB, which protobuf readers refuse: give weights external locations).
KP_MUST_USE kp_status* kp_onnx_write_bytes(const kp_onnx_model* model, void** out_bytes,
                                           size_t* out_byte_count);
// Whole or not at all: a failure leaves the old file. Errors: as above; IO.
KP_MUST_USE kp_status* kp_onnx_write_file(const kp_onnx_model* model, const char* path);

// A single tensor (TensorProto), the form of a .pb file of ONNX's test data; data.h has values of every kind.
// |out_tensor| is overwritten; its views point into |bytes|, its arrays lie in |arena|. Errors: as kp_onnx_read_bytes.
KP_MUST_USE kp_status* kp_onnx_read_tensor(const void* bytes, size_t byte_count, kp_arena* arena,
                                           kp_onnx_tensor* out_tensor);
KP_MUST_USE kp_status* kp_onnx_write_tensor(const kp_onnx_tensor* tensor, void** out_bytes,
                                            size_t* out_byte_count);

// Gives |out| its type and elements: |data| as values have them in memory (strings: kp_str), borrowed but for what the file packs
// otherwise. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_put_elements(kp_arena* arena, kapell_type type, void* data,
                                            size_t count, kp_onnx_tensor* out);

#endif  // KP_ONNX_WRITER_H_
