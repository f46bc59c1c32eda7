// From the struct that fields.h describes to the bytes of a message; the inverse of decode.h.
#ifndef KP_ONNX_ENCODE_H_
#define KP_ONNX_ENCODE_H_

#include "onnx/fields.h"

// Serializes |in| as |message| into one allocation of exact size (kp_free *out_bytes). Members that have their default are
// left out; repeated numbers are packed. Recursion follows the nesting of |in|.
// Errors: OUT_OF_MEMORY; LIMIT over 2 GiB, which no protobuf reader takes.
KP_MUST_USE kp_status* kp_onnx_encode(const kp_onnx_message* message, const void* in,
                                      void** out_bytes, size_t* out_byte_count);

#endif  // KP_ONNX_ENCODE_H_
