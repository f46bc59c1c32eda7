// Operators on pictures by hand: what generated comparisons (test/py/test_ops.py) do not reach: indices out of range, coordinates that
// are no numbers or far away, empty tensors, texts, and that errors say what was wrong.
#include "provider/cpu/op/op_test.h"

static void test_indices(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[1,1,2,2] in r float[1,4] in b int64[1] y = RoiAlign(x, r, b) output_height=1 "
       "output_width=1 out y float[1,1,1,1]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,4] 0 0 1 1", "int64[1] 1"},
       {NULL},
       "a region of picture 1; there are 1"},
      {"in x float[1,1,2,2] in r float[1,4] in b int64[1] y = RoiAlign(x, r, b) output_height=1 "
       "output_width=1 out y float[1,1,1,1]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,4] 0 0 1 1", "int64[1] -1"},
       {NULL},
       "a region of picture -1"},
      {"in x float[1,1,2,2] in r float[1,5] y = MaxRoiPool(x, r) pooled_shape=[1,1] out y "
       "float[1,1,1,1]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,5] 7 0 0 1 1"},
       {NULL},
       "a region of picture 7"},
      {"in x float[1,1,2] in i int64[1,1,2] y = MaxUnpool(x, i) kernel_shape=[2] strides=[2] out y "
       "float[1,1,4]",
       {"float[1,1,2] 1 2", "int64[1,1,2] 3 0"},
       {"float[1,1,4] 2 0 0 1"},
       NULL},
      {"in x float[1,1,2] in i int64[1,1,2] y = MaxUnpool(x, i) kernel_shape=[2] strides=[2] out y "
       "float[1,1,4]",
       {"float[1,1,2] 1 2", "int64[1,1,2] 4 0"},
       {NULL},
       "index 4; the picture has 4 elements"},
      {"in x float[1,1,2] in i int64[1,1,2] y = MaxUnpool(x, i) kernel_shape=[2] strides=[2] out y "
       "float[1,1,4]",
       {"float[1,1,2] 1 2", "int64[1,1,2] 0 -1"},
       {NULL},
       "index -1"},
      {"opset 20 in x float[1,2,4] init s int64[2] = 3 3 init b int64[2] = 2 1 y = Col2Im(x, s, b) "
       "out y "
       "float[1,1,3,3]",
       {"float[1,2,4] 1 2 3 4 5 6 7 8"},
       {NULL},
       "the input has 4 blocks; the picture has room for 6"},
  };
  KP_OP_TEST_ALL(cases);
}

// Points and regions far outside, infinite or NaN read nothing they must not.
static void test_far_points(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[1,1,2,2] in g float[1,1,4,2] y = GridSample(x, g) out y float[1,1,1,4]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,1,4,2] nan 0 1e30 0 -1e30 1e30 inf -inf"},
       {"float[1,1,1,4] 0 0 0 0"},
       NULL},
      {"in x float[1,1,2,2] in g float[1,1,2,2] y = GridSample(x, g) padding_mode=\"border\" "
       "mode=\"bicubic\" out y float[1,1,1,2]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,1,2,2] 1e30 1e30 -1e30 -1e30"},
       {"float[1,1,1,2] 4 1"},
       NULL},
      {"in x float[1,1,1,2] in g float[1,1,2,2] y = GridSample(x, g) padding_mode=\"reflection\" "
       "align_corners=1 out y float[1,1,1,2]",
       {"float[1,1,1,2] 1 2", "float[1,1,2,2] 1e30 1e30 nan nan"},
       {NULL},
       NULL},
      {"in x float[1,1,2,2] in r float[2,4] init b int64[2] = 0 0 y = RoiAlign(x, r, b) out y "
       "float[2,1,1,1]",
       {"float[1,1,2,2] 1 2 3 4", "float[2,4] -1e30 -1e30 1e30 1e30 nan 0 inf 1"},
       {NULL},
       NULL},
      {"in x float[1,1,2,2] in r float[1,5] y = MaxRoiPool(x, r) pooled_shape=[1,1] out y "
       "float[1,1,1,1]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,5] 0 -1e30 -1e30 1e30 1e30"},
       {"float[1,1,1,1] 4"},
       NULL},
      {"opset 20 in x float[1,1,2,2] in o float[1,2,2,2] init w float[1,1,1,1] = 1 y = "
       "DeformConv(x, w, o) "
       "out y float[1,1,2,2]",
       {"float[1,1,2,2] 1 2 3 4", "float[1,2,2,2] nan 1e30 0 0 0 0 -1e30 0"},
       {"float[1,1,2,2] 0 0 0 4"},
       NULL},
      {"in x float[1,1,2] in r float[6] init s float[3] = 1 1 2 y = Resize(x, r, s) "
       "mode=\"linear\" "
       "coordinate_transformation_mode=\"tf_crop_and_resize\" extrapolation_value=7.0 out y "
       "float[1,1,4]",
       {"float[1,1,2] 1 2", "float[6] 0 0 1e30 1 1 nan"},
       {"float[1,1,4] 7 7 7 7"},
       NULL},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_texts_and_empty_tensors(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x string[2] init s float[1] = 2 y = Resize(x,, s) "
       "coordinate_transformation_mode=\"asymmetric\" nearest_mode=\"floor\" out y string[4]",
       {"string[2] \"a\" \"b\""},
       {"string[4] \"a\" \"a\" \"b\" \"b\""},
       NULL},
      {"opset 20 in x string[3] init s int64[1] = 5 y = CenterCropPad(x, s) out y string[5]",
       {"string[3] \"a\" \"b\" \"c\""},
       {"string[5] \"\" \"a\" \"b\" \"c\" \"\""},
       NULL},
      {"in x float[0,2] init s float[2] = 2 2 y = Resize(x,, s) out y float[0,4]",
       {"float[0,2]"},
       {"float[0,4]"},
       NULL},
      {"in x float[0] init s int64[1] = 3 y = Resize(x,,, s) out y float[3]",
       {"float[0]"},
       {NULL},
       "an empty tensor cannot be resized"},
      {"in b float[1,0,4] in s float[1,1,0] init m int64[1] = 3 y = NonMaxSuppression(b, s, m) out "
       "y int64[?,3]",
       {"float[1,0,4]", "float[1,1,0]"},
       {"int64[0,3]"},
       NULL},
      {"in b float[1,2,4] in s float[1,1,2] y = NonMaxSuppression(b, s) out y int64[?,3]",
       {"float[1,2,4] 0 0 1 1 0 0 1 1", "float[1,1,2] 1 2"},
       {"int64[0,3]"},
       NULL},
      {"opset 20 in x uint8[3] y = ImageDecoder(x) out y uint8[?,?,3]",
       {"uint8[3] 1 2 3"},
       {"uint8[0,0,3]"},
       NULL},
      {"opset 20 in x uint8[?] y = ImageDecoder(x) pixel_format=\"Grayscale\" out y uint8[?,?,1]",
       {"uint8[12] 80 54 32 49 32 49 32 57 10 1 2 3"},  // P6 1 1 9
       {"uint8[1,1,1] 52"},
       NULL},
  };
  KP_OP_TEST_ALL(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_indices),
                                     cmocka_unit_test(test_far_points),
                                     cmocka_unit_test(test_texts_and_empty_tensors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
