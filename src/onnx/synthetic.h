// A model without its weights: what somebody hands on with a bug report.
#ifndef KP_ONNX_SYNTHETIC_H_
#define KP_ONNX_SYNTHETIC_H_

#include "onnx/model.h"

typedef struct kp_onnx_synthesis {
  bool keep_metadata;
  uint64_t
      salt;  // of the letters that strings become: equal strings stay equal, and nobody can try words
  uint64_t replaced, kept, external, strings;  // counted, added to what is there
} kp_onnx_synthesis;

// Changes |model| in place: elements of tensors are drawn anew, external data is folded in, doc strings, metadata and training
// information go. The rule (docs/bug-reports.md tells it to users):
//   - zeros stay zeros, and NaN and infinity stay. Other elements are drawn about the mean of the tensor's finite non-zero elements
//     with their standard deviation, between the least and the largest of them, and are never zero;
//   - scalars, booleans, 64-bit integers, 32-bit integers without a negative one, and what Resize or Upsample take stay as they are;
//   - each string becomes letters of the same length, also in the lists of strings of attributes that are vocabularies or labels;
//   - lists of floats in attributes are drawn as tensors are in operators of ai.onnx.ml, and in value_floats and weights.
// Errors: those of reading a tensor's data (the name is in the message); OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_synthesise(kp_onnx_model* model, kp_onnx_synthesis* synthesis);

#endif  // KP_ONNX_SYNTHETIC_H_
