// Operators by hand: what generated comparisons (test/py/test_ops.py) do not reach: indices out of range, division by zero, limits,
// empty tensors, and that errors say what was wrong.
#include "provider/cpu/op/op_test.h"

static void test_indices(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[3] in i int64[2] y = Gather(x, i) out y float[2]",
       {"float[3] 1 2 3", "int64[2] -3 2"},
       {"float[2] 1 3"},
       NULL},
      {"in x float[3] in i int64[2] y = Gather(x, i) out y float[2]",
       {"float[3] 1 2 3", "int64[2] 0 3"},
       {NULL},
       "index 3 is out of range for a dim of 3"},
      {"in x float[3] in i int64[2] y = Gather(x, i) out y float[2]",
       {"float[3] 1 2 3", "int64[2] 0 -4"},
       {NULL},
       "index -4"},
      {"in x float[2,2] in i int64[1,2] y = GatherElements(x, i) out y float[1,2]",
       {"float[2,2] 1 2 3 4", "int64[1,2] 0 2"},
       {NULL},
       "index 2"},
      {"in x float[2,2] in i int64[1,2] y = GatherND(x, i) out y float[1]",
       {"float[2,2] 1 2 3 4", "int64[1,2] 1 0"},
       {"float[1] 3"},
       NULL},
      {"in x float[2,2] in i int64[1,2] y = GatherND(x, i) out y float[1]",
       {"float[2,2] 1 2 3 4", "int64[1,2] 1 -3"},
       {NULL},
       "index -3"},
      {"in x float[2] in i int64[1] in u float[1] y = ScatterElements(x, i, u) out y float[2]",
       {"float[2] 1 2", "int64[1] 2", "float[1] 9"},
       {NULL},
       "index 2"},
      {"in x float[2] in i int64[1,1] in u float[1] y = ScatterND(x, i, u) out y float[2]",
       {"float[2] 1 2", "int64[1,1] -1", "float[1] 9"},
       {"float[2] 1 9"},
       NULL},
      {"in x float[2] in i int64[1,1] in u float[1] y = ScatterND(x, i, u) out y float[2]",
       {"float[2] 1 2", "int64[1,1] -3", "float[1] 9"},
       {NULL},
       "index -3"},
      {"in i int64[3] init d int64[] = 2 init v float[2] = 0 1 y = OneHot(i, d, v) out y "
       "float[3,2]",
       {"int64[3] 1 -2 7"},
       {"float[3,2] 0 1 1 0 0 0"},
       NULL},
      {"in x float[2,3] init l int64[3] = 2 1 0 y = ReverseSequence(x, l) out y float[2,3]",
       {"float[2,3] 1 2 3 4 5 6"},
       {"float[2,3] 4 2 3 1 5 6"},
       NULL},
      {"in x float[2,3] init l int64[3] = 3 1 0 y = ReverseSequence(x, l) out y float[2,3]",
       {"float[2,3] 1 2 3 4 5 6"},
       {NULL},
       "a length of 3 in 2 steps"},
      {"in x float[2] in p int64[] s = SequenceConstruct(x, x) y = SequenceAt(s, p) out y float[2]",
       {"float[2] 1 2", "int64[] 2"},
       {NULL},
       "position 2"},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_integer_arithmetic(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in a int32[4] in b int32[4] y = Div(a, b) out y int32[4]",
       {"int32[4] 7 -7 5 -2147483648", "int32[4] 2 2 0 -1"},
       {"int32[4] 3 -3 0 -2147483648"},
       NULL},
      {"in a int64[3] in b int64[3] y = Div(a, b) out y int64[3]",
       {"int64[3] 7 5 -9223372036854775808", "int64[3] -2 0 -1"},
       {"int64[3] -3 0 -9223372036854775808"},
       NULL},
      {"in a int32[4] in b int32[4] y = Mod(a, b) out y int32[4]",
       {"int32[4] 7 -7 5 -2147483648", "int32[4] -2 2 0 -1"},
       {"int32[4] -1 1 0 0"},
       NULL},
      {"in a int32[3] in b int32[3] y = Mod(a, b) fmod=1 out y int32[3]",
       {"int32[3] 7 -7 5", "int32[3] -2 2 0"},
       {"int32[3] 1 -1 0"},
       NULL},
      {"in a int8[2] in b int8[2] y = Add(a, b) out y int8[2]",
       {"int8[2] 127 -128", "int8[2] 1 -1"},
       {"int8[2] -128 127"},
       NULL},
      {"in a uint8[2] in b uint8[2] y = Sub(a, b) out y uint8[2]",
       {"uint8[2] 3 250", "uint8[2] 5 1"},
       {"uint8[2] 254 249"},
       NULL},
      {"in a int64[3] in b int64[3] y = Pow(a, b) out y int64[3]",
       {"int64[3] 3 2 2", "int64[3] 4 -1 0"},
       {"int64[3] 81 0 1"},
       NULL},
      {"in a int8[1] y = Abs(a) out y int8[1]", {"int8[1] -128"}, {"int8[1] -128"}, NULL},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_casts(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[4] y = Cast(x) to=6 out y int32[4]",
       {"float[4] 1.9 -1.9 nan 3e9"},
       {"int32[4] 1 -1 -2147483648 -2147483648"},
       NULL},
      {"in x float[3] y = Cast(x) to=2 out y uint8[3]",
       {"float[3] 255.5 3 -1"},
       {"uint8[3] 255 3 255"},
       NULL},
      {"in x float[3] y = Cast(x) to=9 out y bool[3]",
       {"float[3] 0 -0.5 nan"},
       {"bool[3] 0 1 1"},
       NULL},
      {"in x float[3] s = Cast(x) to=8 y = Cast(s) to=1 out y float[3]",
       {"float[3] 0.1 -inf 1e-20"},
       {"float[3] 0.1 -inf 1e-20"},
       NULL},
      {"in x int64[2] h = Cast(x) to=10 y = Cast(h) to=7 out y int64[2]",
       {"int64[2] 3 2049"},
       {"int64[2] 3 2048"},
       NULL},
      {"in x string[1] y = Cast(x) to=1 out y float[1]",
       {"string[1] \"four\""},
       {NULL},
       "'four' is no number"},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_empty(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[0,3] y = ReduceSum(x) keepdims=0 out y float[]",
       {"float[0,3]"},
       {"float[] 0"},
       NULL},
      {"in x float[0,3] y = ReduceMax(x) axes=[0] keepdims=0 out y float[3]",
       {"float[0,3]"},
       {"float[3] -inf -inf -inf"},
       NULL},
      {"in x float[0,3] y = ArgMax(x) out y int64[1,3]",
       {"float[0,3]"},
       {NULL},
       "among no elements"},
      {"in x float[2,0] in w float[0,3] y = MatMul(x, w) out y float[2,3]",
       {"float[2,0]", "float[0,3]"},
       {"float[2,3] 0 0 0 0 0 0"},
       NULL},
      {"in x float[0] y = Softmax(x) out y float[0]", {"float[0]"}, {"float[0]"}, NULL},
      {"in x float[0,2] init i int64[1] = 1 y = Gather(x, i) axis=1 out y float[0,1]",
       {"float[0,2]"},
       {"float[0,1]"},
       NULL},
      {"in x float[2] in z float[0] y = Concat(x, z) axis=0 out y float[2]",
       {"float[2] 1 2", "float[0]"},
       {"float[2] 1 2"},
       NULL},
      {"in x float[0] y = NonZero(x) out y int64[1,K]", {"float[0]"}, {"int64[1,0]"}, NULL},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_sequences(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[2] in p int64[] s = SequenceConstruct(x, x) n = Neg(x) t = SequenceInsert(s, n, "
       "p) l = SequenceLength(t) "
       "y = ConcatFromSequence(t) axis=0 out y float[K] out l int64[]",
       {"float[2] 1 2", "int64[] 1"},
       {"float[6] 1 2 -1 -2 1 2", "int64[] 3"},
       NULL},
      {"in x float[5] s = SplitToSequence(x) keepdims=1 e = SequenceErase(s) y = "
       "ConcatFromSequence(e) axis=0 out y float[K]",
       {"float[5] 1 2 3 4 5"},
       {"float[4] 1 2 3 4"},
       NULL},
      {"in x float[2] o = Optional(x) h = OptionalHasElement(o) y = OptionalGetElement(o) out y "
       "float[K] out h bool[]",
       {"float[2] 1 2"},
       {"float[2] 1 2", "bool[] 1"},
       NULL},
  };
  KP_OP_TEST_ALL(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_indices),   cmocka_unit_test(test_integer_arithmetic),
      cmocka_unit_test(test_casts),     cmocka_unit_test(test_empty),
      cmocka_unit_test(test_sequences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
