// Models in ONNX Runtime's own format: FlatBuffers with the identifier "ORTM", as it writes them for small builds and phones.
#ifndef KP_ONNX_ORT_FORMAT_H_
#define KP_ONNX_ORT_FORMAT_H_

#include "onnx/decode.h"

// Whether the bytes say that they are such a model, at least so far as that they are to be read as one.
bool kp_onnx_is_ort_format(const void* bytes, size_t byte_count);

// Decodes such a model into |out_model|, as kp_onnx_decode does for kp_onnx_model_message: views point into |bytes|, arrays lie
// in |arena|, raw data of tensors stays where it is. Nodes come in the file's order, which need not be one to run them in.
// What has no place in an ONNX model is left out: which provider ran a node, edges (the names say them), optimizations that
// are still to be applied, kernels' hashes. So is a node's since_version: the imported opsets say the same.
// Errors: as kp_onnx_decode; UNSUPPORTED_MODEL also for a version of the format that this build does not know, compiled
// nodes, and tensors whose data lies in another file (checkpoints of training). |out_model| may be partly filled then.
KP_MUST_USE kp_status* kp_onnx_decode_ort_format(const void* bytes, size_t byte_count,
                                                 const kp_onnx_decode_options* options,
                                                 kp_arena* arena, kp_onnx_model* out_model);

#endif  // KP_ONNX_ORT_FORMAT_H_
