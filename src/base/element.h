// One element of a tensor as a double, for any numeric type: for printing, comparing and tests, not for kernels.
//
// Complex numbers: the real part. Integers beyond 2^53 lose their low bits. |index| is not checked.
#ifndef KP_BASE_ELEMENT_H_
#define KP_BASE_ELEMENT_H_

#include <stddef.h>

#include "kapell/types.h"

double kp_element_get(kapell_type type, const void* data, size_t index);
// Converts as ONNX's Cast does (saturating for the 8-bit floats); integers are clamped to their range, NaN becomes 0.
void kp_element_set(kapell_type type, void* data, size_t index, double number);

#endif  // KP_BASE_ELEMENT_H_
