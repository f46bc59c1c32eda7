// Small models for tests, written as text:
//
//     in x float[N,3]                         an input; dims are numbers, symbols, or ?
//     init w float[3] = 1 2 3                 an initializer; also "= fill 0.5" and "= random 7" (seed; in [-1, 1))
//     y = Add(x, w)                           a node; ",," leaves an input out; its name is that of its first output
//     z, i = TopK(y, k) axis=1 largest=0      attributes: 1, 0.5, "text", [1,2], [0.5], {body}, float[2]{1 2} (a tensor)
//     v = com.microsoft.Gelu(z)               an operator of another domain
//     r = If(c) then_branch={ out a float[N] a = Neg(y) } else_branch={ ... }
//     out y float[N,3]                        an output
//     function my.F(a, b) => (c, d) alpha, beta=0.5 { c = Elu(a) alpha=@alpha ... }
//                                             a function; its attributes, those with a default last; @ refers to one
//     import my 1                             a further opset
//     ir 3                                    the IR version, if it is not 8
//     opset 20                                of ai.onnx, first of all, if it is not the one that the test gives
//
// Types: float[..], int64[..], bool, string, ..., seq(float[..]), optional(float[..]); float without brackets has no known rank, float[] is
// a scalar. '#' starts a comment. A mistake in the text ends the program with a message.
#ifndef KP_TEST_SUPPORT_MODEL_TEXT_H_
#define KP_TEST_SUPPORT_MODEL_TEXT_H_

#include <stddef.h>

#include "base/value.h"

// Bytes of an ONNX model with |text| as its graph; IR version 8, the given opset of ai.onnx (0: no imports), 1 of
// com.microsoft and 3 of ai.onnx.ml. Free with free().
char* kp_test_model(const char* text, int opset, size_t* out_byte_count);

// A value in the same notation: "float[2,3] 1 2 3 4 5 6", "int64[3] fill 1", "float[4,4] random 7", "string[1] \"a\"".
kapell_value* kp_test_value(const char* text);

// The numbers that "random SEED" stands for.
double kp_test_random(unsigned seed, size_t index);

#endif  // KP_TEST_SUPPORT_MODEL_TEXT_H_
