// What every provider is asked to compute: model, inputs, and the outputs by hand or by numpy, in the notation of support/model_text.h.
// The operators are common ones; each case is about one thing that a provider's glue gets wrong. Tolerance: 1e-5 of the largest number.
//
// CTS_CASE(name, model, inputs (NULL-terminated), outputs)
#define IN(...) (const char*[]){__VA_ARGS__, NULL}
#define OUT(...) (const char*[]){__VA_ARGS__, NULL}

CTS_CASE(one_node, "in x float[3] y = Neg(x) out y float[3]", IN("float[3] 1 -2 0"), OUT("float[3] -1 2 0"))

CTS_CASE(chain, "in x float[N] a = Neg(x) b = Neg(a) y = Neg(b) out y float[N]", IN("float[4] 1 2 3 4"), OUT("float[4] -1 -2 -3 -4"))

CTS_CASE(inner_value_is_an_output, "in x float[2] a = Neg(x) y = Neg(a) out a float[2] out y float[2]", IN("float[2] 1 2"),
         OUT("float[2] -1 -2", "float[2] 1 2"))

CTS_CASE(scalar, "in x float[] y = Neg(x) out y float[]", IN("float[] 5"), OUT("float[] -5"))

CTS_CASE(no_elements, "in x float[N,3] y = Neg(x) out y float[N,3]", IN("float[0,3]"), OUT("float[0,3]"))

CTS_CASE(broadcast, "in x float[2,1] in z float[3] y = Add(x, z) out y float[2,3]", IN("float[2,1] 10 20", "float[3] 1 2 3"),
         OUT("float[2,3] 11 12 13 21 22 23"))

CTS_CASE(constant_operand, "in x float[N,2] init w float[2,3] = 1 2 3 4 5 6 y = MatMul(x, w) out y float[N,3]", IN("float[2,2] 1 0 0 1"),
         OUT("float[2,3] 1 2 3 4 5 6"))

CTS_CASE(shared_constant, "in x float[2] init w float[2] = 3 4 a = Mul(x, w) y = Add(a, w) out y float[2]", IN("float[2] 2 2"), OUT("float[2] 9 12"))

CTS_CASE(same_input_twice, "in x float[2] y = Mul(x, x) out y float[2]", IN("float[2] 3 -4"), OUT("float[2] 9 16"))

CTS_CASE(optional_input_absent, "in x float[3] init hi float[] = 1 y = Clip(x, , hi) out y float[3]", IN("float[3] -5 0.5 7"), OUT("float[3] -5 0.5 1"))

CTS_CASE(convolution, "in x float[1,1,3,3] init w float[1,1,2,2] = 1 0 0 1 c = Conv(x, w) y = Relu(c) out y float[1,1,2,2]",
         IN("float[1,1,3,3] 1 2 3 4 -5 6 7 8 9"), OUT("float[1,1,2,2] 0 8 12 4"))

CTS_CASE(gemm, "in a float[2,2] init b float[2,2] = 1 2 3 4 init c float[2] = 10 20 y = Gemm(a, b, c) transB=1 alpha=0.5 out y float[2,2]",
         IN("float[2,2] 1 1 2 0"), OUT("float[2,2] 11.5 23.5 11 23"))

CTS_CASE(softmax, "in x float[2,2] y = Softmax(x) axis=1 out y float[2,2]", IN("float[2,2] 0 0 1000 0"), OUT("float[2,2] 0.5 0.5 1 0"))

CTS_CASE(transpose, "in x float[2,3] y = Transpose(x) perm=[1,0] out y float[3,2]", IN("float[2,3] 1 2 3 4 5 6"), OUT("float[3,2] 1 4 2 5 3 6"))

CTS_CASE(integers, "in x int64[3] in z int64[3] y = Add(x, z) out y int64[3]", IN("int64[3] 1 2 -9", "int64[3] 5 5 5"), OUT("int64[3] 6 7 -4"))

CTS_CASE(several_outputs, "in x float[4] a, b = Split(x) axis=0 out a float[2] out b float[2]", IN("float[4] 1 2 3 4"), OUT("float[2] 1 2", "float[2] 3 4"))

CTS_CASE(reshape_by_constant, "in x float[2,3] init s int64[2] = 3 -1 y = Reshape(x, s) out y float[3,2]", IN("float[2,3] 1 2 3 4 5 6"),
         OUT("float[3,2] 1 2 3 4 5 6"))

CTS_CASE(reshape_by_input, "in x float[2,3] in s int64[1] y = Reshape(x, s) out y float[K]", IN("float[2,3] 1 2 3 4 5 6", "int64[1] 6"),
         OUT("float[6] 1 2 3 4 5 6"))

CTS_CASE(shape_arithmetic,
         "in x float[N,2,3] init zero int64[1] = 0 init minus int64[1] = -1 s = Shape(x) n = Gather(s, zero) t = Concat(n, minus) axis=0 "
         "y = Reshape(x, t) out y float[N,M]",
         IN("float[2,2,3] 1 2 3 4 5 6 7 8 9 10 11 12"), OUT("float[2,6] 1 2 3 4 5 6 7 8 9 10 11 12"))

CTS_CASE(reduce, "in x float[2,3] y = ReduceMean(x) axes=[1] keepdims=0 out y float[2]", IN("float[2,3] 1 2 3 4 5 6"), OUT("float[2] 2 5"))

CTS_CASE(type_changes, "in x float[3] init zero float[] = 0 b = Greater(x, zero) y = Cast(b) to=1 out b bool[3] out y float[3]", IN("float[3] -1 0 2"),
         OUT("bool[3] 0 0 1", "float[3] 0 0 1"))

CTS_CASE(shape_decided_by_data, "in x float[4] a = Neg(x) y = NonZero(a) out y int64[1,K]", IN("float[4] 0 7 0 8"), OUT("int64[1,2] 1 3"))

CTS_CASE(branch, "in c bool[] in x float[2] y = If(c) then_branch={ a = Neg(x) out a float[2] } else_branch={ b = Add(x, x) out b float[2] } out y float[2]",
         IN("bool[] 0", "float[2] 1 2"), OUT("float[2] 2 4"))

CTS_CASE(loop,
         "in x float[2] init n int64[] = 3 init t bool[] = 1 "
         "y, s = Loop(n, t, x) body={ in i int64[] in c bool[] in v float[2] d = Identity(c) w = Add(v, x) e = Neg(w) out d bool[] out w float[2] out e float[2] } "
         "out y float[2] out s float[3,2]",
         IN("float[2] 1 2"), OUT("float[2] 4 8", "float[3,2] -2 -4 -3 -6 -4 -8"))

CTS_CASE(strings, "in x string[2] in i int64[3] y = Gather(x, i) out y string[3]", IN("string[2] \"a\" \"b\"", "int64[3] 1 0 1"),
         OUT("string[3] \"b\" \"a\" \"b\""))

#undef IN
#undef OUT
#undef CTS_CASE
