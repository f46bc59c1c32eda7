// Are two messages, read by onnx/decode.h, the same? For tests of the writer.
#ifndef KP_TEST_SUPPORT_ONNX_EQUAL_H_
#define KP_TEST_SUPPORT_ONNX_EQUAL_H_

#include <stdbool.h>

#include "onnx/fields.h"

// Compares every member that the table of |message| knows, floats by their bits, typed tensor fields by their encoded
// elements.
bool onnx_equal(const kp_onnx_message* message, const void* a, const void* b);

#endif  // KP_TEST_SUPPORT_ONNX_EQUAL_H_
