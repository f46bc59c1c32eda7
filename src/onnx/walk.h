// What the decoders of both file formats share: where in the message they are, how much memory they may take, what a name is.
#ifndef KP_ONNX_WALK_H_
#define KP_ONNX_WALK_H_

#include "onnx/decode.h"

// The way from the outermost message to the current one, linked on the C stack; only errors look at it.
typedef struct kp_onnx_place {
  const struct kp_onnx_place* parent;
  const char* name;
  size_t index;  // of a repeated field; SIZE_MAX for a singular one
} kp_onnx_place;

typedef struct kp_onnx_walk {
  const uint8_t* base;  // first byte of the input, for offsets
  kp_arena* arena;
  size_t depth, max_depth;
  size_t memory, max_memory;  // bytes taken so far, bytes allowed; 0 = any
  bool told_utf8;
} kp_onnx_walk;

// A walk over the bytes from |base| on, within |options| (NULL: the defaults).
kp_onnx_walk kp_onnx_walk_start(const void* base, const kp_onnx_decode_options* options,
                                kp_arena* arena);

// An error at |at|, in its field |name| (NULL: in the message itself), at byte |byte| of the input:
// "byte 17, graph.node[12].attribute[0].t: is missing".
KP_MUST_USE kp_status* kp_onnx_walk_fail(const kp_onnx_walk* walk, kapell_code code,
                                         const kp_onnx_place* at, const char* name,
                                         const uint8_t* byte, const char* what);

// Bytes that an element of a repeated field of |kind| takes when it is decoded; |message| is of KP_FIELD_MESSAGE alone.
size_t kp_onnx_element_size(uint8_t kind, size_t message_size);

// |count| elements in the arena, zeroed. Errors: LIMIT over max_memory, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_walk_take(kp_onnx_walk* walk, size_t count, size_t element_size,
                                         void** out_memory);

// Refuses a name with a NUL byte in it; of the first that is not UTF-8, warns.
KP_MUST_USE kp_status* kp_onnx_walk_check_name(kp_onnx_walk* walk, const kp_onnx_place* at,
                                               const char* field, const uint8_t* byte, kp_str name);

#endif  // KP_ONNX_WALK_H_
