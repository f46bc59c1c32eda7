// Values and the files of ONNX's test data (onnx-data.proto): TensorProto, SparseTensorProto, SequenceProto, MapProto,
// OptionalProto. A tensor of a model as a value, too.
#ifndef KP_ONNX_DATA_H_
#define KP_ONNX_DATA_H_

#include "base/value.h"
#include "onnx/reader.h"

// The value in a .pb file. Such a file does not say what it holds: |kind| comes from the model's type for that input or output
// (an optional is an OptionalProto, whatever it holds). Everything is copied. Values of a map are a vector where each is a
// scalar of one type, else a sequence. External data is refused.
// Errors: INVALID_MODEL (malformed, or parts that do not fit together), UNSUPPORTED_MODEL, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_read_value(kapell_kind kind, const void* bytes, size_t byte_count,
                                          kapell_value** out_value);

// The inverse: the message for |value| (on the host; not of kind NONE), with |name| (may be NULL). kp_free *out_bytes.
// Errors: INVALID_ARGUMENT (kind NONE, a device), LIMIT (2 GiB), OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_write_value(const kapell_value* value, const char* name,
                                           void** out_bytes, size_t* out_byte_count);

// A tensor of |model| as a value: a view of the mapped file where kp_onnx_tensor_bytes gives one (then |model| must outlive the
// value), else a copy. Strings are copied.
// Errors: as kp_onnx_tensor_bytes; also INVALID_MODEL where the shape is none that a value can have.
KP_MUST_USE kp_status* kp_onnx_tensor_value(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                            kapell_value** out_value);

#endif  // KP_ONNX_DATA_H_
