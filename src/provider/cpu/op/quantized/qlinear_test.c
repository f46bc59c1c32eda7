// Quantized operators of com.microsoft, by hand: ties, constants that are packed, sizes and indices that lie. Everything else is in
// test/py/draws/microsoft_quantized.py.
#include "provider/cpu/op/op_test.h"

static void test_rounding(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      // 0.5 * 1 and 0.5 * 3: ties go to the even step; then the ends of the range.
      {"in a uint8[4] init s float[] = 0.5 init z uint8[] = 0 init one float[] = 1 "
       "y = com.microsoft.QLinearAdd(a, s, z, a, s, z, one, z) out y uint8[4]",
       {"uint8[4] 1 3 200 255"},
       {"uint8[4] 1 3 200 255"},
       NULL},
      {"in a uint8[4] in b uint8[1] init s float[] = 0.5 init one float[] = 1 "
       "y = com.microsoft.QLinearAdd(a, s,, b, s,, one,) out y uint8[4]",
       {"uint8[4] 1 3 5 255", "uint8[1] 0"},
       {"uint8[4] 0 2 2 128"},
       NULL},
      {"in a int8[3] init s float[] = 1 init z int8[] = -128 "
       "y = com.microsoft.QLinearMul(a, s, z, a, s, z, s, z) out y int8[3]",
       {"int8[3] -128 -126 127"},
       {"int8[3] -128 -124 127"},
       NULL},
      {"in x int8[1,1,1,4] init s float[] = 1 init z int8[] = 0 y = "
       "com.microsoft.QLinearAveragePool(x, s, "
       "z, s, z) kernel_shape=[1,2] out y int8[1,1,1,3]",
       {"int8[1,1,1,4] 1 2 -3 -128"},
       {"int8[1,1,1,3] 2 0 -66"},
       NULL},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_blocks(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      // Weights 0..15 less 8: the row of ones adds them up.
      {"in a float[1,16] init b uint8[1,1,8] = 16 50 84 118 152 186 220 254 init s float[1] = 0.5 "
       "y = com.microsoft.MatMulNBits(a, b, s) K=16 N=1 bits=4 block_size=16 out y float[1,1]",
       {"float[1,16] fill 1"},
       {"float[1,1] -4"},
       NULL},
      {"in a float[1,16] in b uint8[1,1,8] init s float[1] = 0.5 "
       "y = com.microsoft.MatMulNBits(a, b, s) K=16 N=1 bits=4 block_size=16 out y float[1,1]",
       {"float[1,16] fill 1", "uint8[1,1,8] 16 50 84 118 152 186 220 254"},
       {"float[1,1] -4"},
       NULL},
      {"in a float[1,16] in b uint8[1,1,7] init s float[1] = 0.5 "
       "y = com.microsoft.MatMulNBits(a, b, s) K=16 N=1 bits=4 block_size=16 out y float[1,1]",
       {"float[1,16] fill 1", "uint8[1,1,7] fill 1"},
       {NULL},
       "B has 7 elements, not 8"},
      {"in a float[1,16] in b uint8[1,1,8] in g int32[16] init s float[1] = 0.5 "
       "y = com.microsoft.MatMulNBits(a, b, s,, g) K=16 N=1 bits=4 block_size=16 out y float[1,1]",
       {"float[1,16] fill 1", "uint8[1,1,8] fill 1", "int32[16] fill 1"},
       {NULL},
       "g_idx[0] is 1; there are 1 blocks"},
      {"in i int64[4] init d uint8[2,8] = 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 init s float[2,1] = 1 2 "
       "r = com.microsoft.GatherBlockQuantized(d, i, s) block_size=16 init t int64[1] = 1 "
       "y = ReduceSum(r, t) keepdims=0 out y float[4]",
       {"int64[4] 0 -1 2 -3"},
       {"float[4] -120 -224 0 0"},
       NULL},
      {"in a float[1,2] in b uint8[1] in m float[1] y = com.microsoft.MatMulBnb4(a, b, m) K=2 N=2 "
       "block_size=16 quant_type=1 out y float[1,2]",
       {"float[1,2] 1 1", "uint8[1] 0", "float[1] 1"},
       {NULL},
       "B has 1 bytes for 4 weights"},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_experts(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[1,2] in r float[1,2] init u float[2,1,2] = 1 1 2 2 init d float[2,2,1] = 1 1 1 "
       "-1 "
       "y = com.microsoft.MoE(x, r, u,, d) k=1 activation_type=\"identity\" "
       "normalize_routing_weights=1 "
       "out y float[1,2]",
       {"float[1,2] 3 4", "float[1,2] 0 5"},
       {"float[1,2] 14 -14"},
       NULL},
      {"in x float[1,2] in r float[1,2] in u float[2,1,2] init d float[2,2,1] = 1 1 1 -1 "
       "y = com.microsoft.MoE(x, r, u,, d) k=3 out y float[1,2]",
       {"float[1,2] 3 4", "float[1,2] 0 5", "float[2,1,2] fill 1"},
       {NULL},
       "k = 3 of 2 experts"},
  };
  KP_OP_TEST_ALL(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rounding),
      cmocka_unit_test(test_blocks),
      cmocka_unit_test(test_experts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
