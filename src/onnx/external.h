// Tensor data that lies beside the model: the external_data entries of a tensor, and the files they name.
#ifndef KP_ONNX_EXTERNAL_H_
#define KP_ONNX_EXTERNAL_H_

#include "onnx/model.h"

// Files mapped so far, by location and by identity; every tensor of one file shares one mapping.
// LOCK: |mutex| guards all members. Held while a file is opened and mapped, so that two threads do not map it twice.
typedef struct kp_onnx_externals kp_onnx_externals;

KP_MUST_USE kp_status* kp_onnx_externals_create(kp_onnx_externals** out_externals);
void kp_onnx_externals_free(kp_onnx_externals* externals);  // unmaps; NULL is fine
// Whether |data| lies in one of the files mapped so far; |externals| may be NULL.
bool kp_onnx_externals_hold(kp_onnx_externals* externals, const void* data);
uint64_t kp_onnx_externals_bytes(
    kp_onnx_externals* externals);  // of the files mapped so far; NULL is fine

// The |byte_count| bytes that |tensor| (external) has in its file: a view that lives as long as |model|.
// The entries: location (required; relative, below the model's folder), offset and length (decimal digits; an offset of 0 and
// |byte_count| unless given; a length must be |byte_count|), checksum (hexadecimal; not compared, which would read the whole
// file). Of several entries with one key the last counts; other keys are ignored.
// Errors: EXTERNAL_DATA with the location and the rule that was broken; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_onnx_external_bytes(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                              size_t byte_count, const uint8_t** out_data);

#endif  // KP_ONNX_EXTERNAL_H_
