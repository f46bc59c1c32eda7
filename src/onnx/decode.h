// From the bytes of one message to the struct that fields.h describes.
#ifndef KP_ONNX_DECODE_H_
#define KP_ONNX_DECODE_H_

#include "onnx/fields.h"

typedef struct kp_onnx_decode_options {
  size_t max_depth;   // nesting of messages; 0 = 200, at most 1000 (half a KiB of stack each)
  size_t max_memory;  // bytes taken from the arena; 0 = any
  const char* root;   // what error messages call the outermost message; "" for a model
} kp_onnx_decode_options;

// Decodes |byte_count| bytes as |message| into |out|, which is zeroed and of message->size bytes. Views in |out| point into
// |bytes|; arrays lie in |arena|.
// Two walks over each message: the first checks the framing and counts, so that every array is made once with its exact size.
// Semantics are protobuf's: unknown fields and fields of another wire type are skipped, the last of several scalars counts,
// several occurrences of a singular message are merged, repeated scalars may be packed or not.
// Errors: INVALID_MODEL with byte offset and path of fields; UNSUPPORTED_MODEL, LIMIT, OUT_OF_MEMORY. |out| may be partly
// filled then.
KP_MUST_USE kp_status* kp_onnx_decode(const kp_onnx_message* message, const void* bytes,
                                      size_t byte_count, const kp_onnx_decode_options* options,
                                      kp_arena* arena, void* out);

#endif  // KP_ONNX_DECODE_H_
