// What bytes are that are no ONNX model.
#ifndef KP_ONNX_SNIFF_H_
#define KP_ONNX_SNIFF_H_

#include <stdbool.h>
#include <stddef.h>

typedef struct kp_onnx_guess {
  const char* what;  // "a Git-LFS pointer, not the file it stands for"; NULL: nothing that is known
  const char* hint;  // what to do; NULL where there is no advice
} kp_onnx_guess;

// Guesses from the first bytes (and, for protobuf files of other kinds, the first fields). Static strings.
kp_onnx_guess kp_onnx_sniff(const void* bytes, size_t byte_count);

// True if the first field could be one of an ONNX model: then what fails later is a broken model rather than something else.
bool kp_onnx_begins_like_model(const void* bytes, size_t byte_count);

#endif  // KP_ONNX_SNIFF_H_
