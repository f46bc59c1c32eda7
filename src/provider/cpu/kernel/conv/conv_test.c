// Every variant and algorithm of convolution against double precision.
#include "provider/cpu/kernel/conv/conv.h"

#include "provider/cpu/kernel/kernel_test.h"

// A shape from the numbers that matter; the rest follows.
static kp_conv_shape make_shape(size_t size, size_t in_c, size_t out_c, size_t groups,
                                size_t kernel, size_t stride, size_t pad) {
  kp_conv_shape s = {
      .batch = 2, .in_h = size, .in_w = size + 3, .in_c = in_c, .out_c = out_c, .groups = groups};
  s.kernel_h = s.kernel_w = kernel;
  s.stride_h = s.stride_w = stride;
  s.dilation_h = s.dilation_w = 1;
  s.pad_top = s.pad_left = pad;
  s.in_pixel = in_c;
  s.out_pixel = out_c;
  return s;
}

static void finish_shape(kp_conv_shape* s) {
  const size_t reach_h = (s->kernel_h - 1) * s->dilation_h + 1,
               reach_w = (s->kernel_w - 1) * s->dilation_w + 1;
  s->out_h = (s->in_h + 2 * s->pad_top - reach_h) / s->stride_h + 1;
  s->out_w = (s->in_w + 2 * s->pad_left - reach_w) / s->stride_w + 1;
}

static double input_at(const kp_conv_shape* s, const float* x, size_t n, ptrdiff_t h, ptrdiff_t w,
                       size_t c) {
  if (h < 0 || w < 0 || h >= (ptrdiff_t)s->in_h || w >= (ptrdiff_t)s->in_w) return 0;
  const size_t place = (size_t)h * s->in_w + (size_t)w;
  if (s->in_layout == KP_CONV_NCHW) return x[(n * s->in_c + c) * s->in_h * s->in_w + place];
  return x[(n * s->in_h * s->in_w + place) * s->in_pixel + c];
}

static double reference(const kp_conv_shape* s, const float* x, const float* weights, size_t pixel,
                        size_t o, double* out_magnitude) {
  const size_t in_c = s->in_c / s->groups, group = o / (s->out_c / s->groups);
  const size_t n = pixel / (s->out_h * s->out_w), y = pixel / s->out_w % s->out_h,
               column = pixel % s->out_w;
  double sum = 0, magnitude = 0;
  for (size_t c = 0; c < in_c; ++c) {
    for (size_t kh = 0; kh < s->kernel_h; ++kh) {
      for (size_t kw = 0; kw < s->kernel_w; ++kw) {
        const ptrdiff_t h =
            (ptrdiff_t)(y * s->stride_h + kh * s->dilation_h) - (ptrdiff_t)s->pad_top;
        const ptrdiff_t w =
            (ptrdiff_t)(column * s->stride_w + kw * s->dilation_w) - (ptrdiff_t)s->pad_left;
        const double product = input_at(s, x, n, h, w, group * in_c + c) *
                               weights[((o * in_c + c) * s->kernel_h + kh) * s->kernel_w + kw];
        sum += product;
        magnitude += fabs(product);
      }
    }
  }
  *out_magnitude = magnitude + 2;
  return sum;
}

// Runs one shape by one algorithm with bias, residual (unless |bare|) and |act| on |workers| threads' tasks, checks all outputs.
// |slack| multiplies the bound of a plain chain of multiply-adds.
static void check_one(const kp_conv_ops* ops, kp_conv_algorithm algorithm, kp_conv_shape s,
                      kp_act act, size_t workers, double slack, bool bare) {
  finish_shape(&s);
  const size_t pixels = s.batch * s.out_h * s.out_w,
               depth = s.in_c / s.groups * s.kernel_h * s.kernel_w;
  const size_t in_size = s.in_layout == KP_CONV_NCHW
                             ? s.batch * s.in_h * s.in_w * s.in_c
                             : (s.batch * s.in_h * s.in_w - 1) * s.in_pixel + s.in_c;
  float* x = kt_input(in_size);
  float* weights = kt_input(s.out_c * depth);
  float* bias = kt_input(s.out_c);
  float* residual = kt_input(pixels * s.out_c);
  float* packed = kt_output(kp_conv_packed_size(ops, algorithm, &s));
  float* scratch = kt_input(kp_conv_pack_scratch_size(ops, algorithm, &s));
  kp_conv_pack(ops, algorithm, &s, weights, packed, scratch);
  free(scratch);
  kp_conv_plan plan;
  kp_conv_plan_init(ops, algorithm, &s, workers, &plan);
  float* y = kt_output(pixels * s.out_pixel);
  kp_conv_args args = {.input = x, .packed = packed, .output = y, .epilogue = KP_EPILOGUE_NONE};
  args.epilogue.bias_n = bias;
  args.epilogue.residual = bare ? NULL : residual;
  args.epilogue.residual_stride = s.out_c;
  args.epilogue.act = act;
  void* work = kt_scratch(plan.scratch_bytes);
  for (size_t i = plan.task_count; i-- > 0;) kp_conv_run_task(&plan, &args, i, work);
  free(work);
  for (size_t p = 0; p < pixels; ++p) {
    for (size_t o = 0; o < s.out_c; ++o) {
      double magnitude;
      const double sum = reference(&s, x, weights, p, o, &magnitude);
      const double want = kt_act(&act, sum + bias[o] + (bare ? 0 : residual[p * s.out_c + o]));
      const double bound = slack * (2 * sqrt((double)depth) + 16) * (FLT_EPSILON / 2) * magnitude;
      KT_NEAR(y[p * s.out_pixel + o], want, bound);
    }
  }
  kt_check_guards(packed, kp_conv_packed_size(ops, algorithm, &s), 0, 0, 0);
  kt_check_guards(y, pixels * s.out_pixel, pixels, s.out_c, s.out_pixel);
  free(x);
  free(weights);
  free(bias);
  free(residual);
}

static void check(const kp_conv_ops* ops, kp_conv_algorithm algorithm, kp_conv_shape s, kp_act act,
                  size_t workers, double slack) {
  check_one(ops, algorithm, s, act, workers, slack, false);
  if (algorithm == KP_CONV_DEPTHWISE) check_one(ops, algorithm, s, act, workers, slack, true);
}

static const kp_act kNone = {KP_ACT_NONE, 0, 0};
static const kp_act kClip = {KP_ACT_CLIP, 0.0f, 2.0f};
static const kp_act kSilu = {KP_ACT_SILU, 1.0f, 0};

static void test_pointwise(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t c = 1; c < 80; c = c * 3 + 1) {
      kp_conv_shape s = make_shape(9, c, 2 * c + 1, 1, 1, 1, 0);
      assert_int_equal(kp_conv_choose(ops, &s), KP_CONV_GEMM);
      check(ops, KP_CONV_GEMM, s, kNone, 3, 1);
      check(ops, KP_CONV_IMPLICIT, s, kClip, 1, 1);
      s.in_pixel += 5;
      s.out_pixel += 7;
      check(ops, KP_CONV_GEMM, s, kSilu, 1, 1);
      s.stride_h = s.stride_w = 2;
      assert_int_equal(kp_conv_choose(ops, &s), KP_CONV_IMPLICIT);
      check(ops, KP_CONV_IMPLICIT, s, kNone, 2, 1);
    }
  }
}

// One to five output channels: dot products up to four of them, by each algorithm, with runs that do not fill their last vector.
static void test_few_outputs(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t out = 1; out <= 5; ++out) {
      for (size_t in = 1; in <= 40; in = in * 3 + 1) {
        kp_conv_shape s = make_shape(9, in, out, 1, 5, 1 + out % 2, 2);
        check(ops, KP_CONV_WINDOW, s, kNone, 1, 1);
        check(ops, KP_CONV_IMPLICIT, s, kSilu, 2, 1);
        s.in_layout = KP_CONV_NCHW;
        check(ops, KP_CONV_WINDOW, s, kClip, 3, 1);
        s.in_layout = KP_CONV_NHWC;
        s.dilation_h = s.dilation_w = 2;
        s.out_pixel += 3;
        check(ops, KP_CONV_IMPLICIT, s, kSilu, 1, 1);
        s = make_shape(9, in, out, 1, 1, 1, 0);
        s.in_pixel += 2;
        check(ops, KP_CONV_GEMM, s, kClip, 1, 1);
      }
    }
    kp_conv_shape sound = make_shape(1, 1, 1, 1, 1, 1, 0);  // a filter of 28 taps along a line
    sound.in_w = 400;
    sound.kernel_w = 28;
    sound.stride_w = 2;
    sound.pad_left = 13;
    sound.in_layout = KP_CONV_NCHW;
    check(ops, KP_CONV_WINDOW, sound, kNone, 1, 1);
  }
}

static void test_windows_by_pointers(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t kernel = 1; kernel <= 5; kernel += 2) {
      for (size_t stride = 1; stride <= 3; ++stride) {
        for (size_t groups = 1; groups <= 3; ++groups) {
          kp_conv_shape s =
              make_shape(10, 6 * groups, 5 * groups, groups, kernel, stride, kernel / 2);
          s.in_pixel += groups;
          s.dilation_h = stride;
          check(ops, KP_CONV_IMPLICIT, s, kernel == 3 ? kClip : kNone, groups, 1);
        }
      }
    }
    check(ops, KP_CONV_IMPLICIT, make_shape(12, 500, 40, 1, 3, 1, 1), kNone, 2, 1);
    check(ops, KP_CONV_IMPLICIT, make_shape(12, 70, 140 + ops->gemm->nr * 8, 1, 3, 1, 1), kSilu, 2,
          1);
  }
}

static void test_first_layers(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t kernel = 2; kernel <= 7; ++kernel) {
      for (int layout = KP_CONV_NHWC; layout <= KP_CONV_NCHW; ++layout) {
        kp_conv_shape s = make_shape(11, 3, 20, 1, kernel, 1 + kernel % 2, kernel / 2);
        s.in_layout = (kp_conv_layout)layout;
        assert_int_equal(kp_conv_choose(ops, &s), KP_CONV_WINDOW);
        check(ops, KP_CONV_WINDOW, s, kClip, 3, 1);
      }
    }
  }
}

static void test_window_wider_than_the_picture(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    kp_conv_shape s = make_shape(2, 2, 9, 1, 7, 1, 4);
    s.in_w = 1;
    check(ops, KP_CONV_WINDOW, s, kNone, 1, 1);
    check(ops, KP_CONV_IMPLICIT, s, kNone, 1, 1);
    s = make_shape(2, 9, 9, 9, 5, 1, 4);
    s.dilation_h = s.dilation_w = 2;
    check(ops, KP_CONV_DEPTHWISE, s, kNone, 1, 1);
  }
}

// Dilations as wide as the picture: most taps see padding only, and are left out.
static void test_mostly_padding(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t dilation = 4; dilation <= 12; dilation += 4) {
      for (size_t i = 0; i < 3; ++i) {
        const size_t channels = i == 1 ? 500 : 20;
        kp_conv_shape s =
            make_shape(7, channels, i == 2 ? 9 * ops->gemm->nr + 3 : 37, 1, 3, 1 + i % 2, dilation);
        s.dilation_h = s.dilation_w = dilation;
        kp_conv_plan plan;
        finish_shape(&s);
        kp_conv_plan_init(ops, KP_CONV_IMPLICIT, &s, 1, &plan);
        assert_true(plan.skips_padding);
        check(ops, KP_CONV_IMPLICIT, s, kNone, 1, 1);
        check(ops, KP_CONV_IMPLICIT, s, i == 1 ? kClip : kSilu, 3, 1);
      }
    }
    kp_conv_shape s = make_shape(9, 20, 20, 1, 3, 1, 1);
    kp_conv_plan plan;
    finish_shape(&s);
    kp_conv_plan_init(ops, KP_CONV_IMPLICIT, &s, 1, &plan);
    assert_false(plan.skips_padding);
  }
}

static void test_depthwise(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t kernel = 1; kernel <= 7; ++kernel) {
      for (size_t stride = 1; stride <= 2; ++stride) {
        for (size_t c = 1; c <= 3 * ops->gemm->lanes + 1; c += ops->gemm->lanes / 2 + 1) {
          kp_conv_shape s = make_shape(10, c, c, c, kernel, stride, kernel / 2);
          if (c > 1) assert_int_equal(kp_conv_choose(ops, &s), KP_CONV_DEPTHWISE);
          check(ops, KP_CONV_DEPTHWISE, s, kernel % 2 ? kClip : kSilu, kernel, 1);
          s.in_pixel += 3;
          s.out_pixel += 2;
          s.dilation_w = 2;
          s.pad_left = 2;
          check(ops, KP_CONV_DEPTHWISE, s, kNone, 1, 1);
        }
      }
    }
  }
}

static void test_grouped(void** state) {
  (void)state;
  static const size_t widths[][2] = {{1, 2}, {2, 1}, {3, 3},   {4, 4},
                                     {5, 7}, {8, 8}, {12, 10}, {20, 16}};
  KT_FOR_EACH_VARIANT(conv, ops) {
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; ++i) {
      for (size_t groups = 2; groups <= 19; groups += 1 + 8 * (groups == 3)) {
        const size_t kernel = 1 + 2 * (i % 3), stride = 1 + groups % 2;
        kp_conv_shape s = make_shape(9 + i, widths[i][0] * groups, widths[i][1] * groups, groups,
                                     kernel, stride, kernel / 2);
        assert_int_equal(kp_conv_choose(ops, &s), KP_CONV_GROUPED);
        check(ops, KP_CONV_GROUPED, s, i % 2 ? kClip : kSilu, groups, 1);
        s.in_pixel += 3;
        s.out_pixel += 2;
        s.dilation_w = s.dilation_h = 2;
        s.pad_left = 3;
        check_one(ops, KP_CONV_GROUPED, s, kNone, 1 + i % 3, 1, true);
      }
    }
    const kp_conv_shape none = make_shape(9, 8, 0, 2, 3, 1, 1);
    assert_int_equal(kp_conv_choose(ops, &none), KP_CONV_IMPLICIT);
    const kp_conv_shape wide = make_shape(9, 120, 120, 2, 3, 1, 1);
    assert_int_equal(kp_conv_choose(ops, &wide), KP_CONV_IMPLICIT);
  }
}

// Winograd's bound: products of transformed values are several times larger than the plain ones, so the error is too, at worst
// by about the norms of the transforms; on random data F(2) stays at the level of a plain sum, F(4) at two to three times it.
static void test_winograd(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    static const size_t channels[][2] = {{1, 1}, {5, 9}, {16, 64}, {33, 70}, {64, 130}};
    for (size_t i = 0; i < 5; ++i) {
      for (size_t size = 3; size < 16; size += 3) {
        for (int a = KP_CONV_WINOGRAD2; a <= KP_CONV_WINOGRAD4; ++a) {
          kp_conv_shape s = make_shape(size, channels[i][0], channels[i][1], 1, 3, 1, size % 2);
          s.pad_left = 1;
          check(ops, (kp_conv_algorithm)a, s, kNone, 1, a == KP_CONV_WINOGRAD2 ? 2 : 6);
          s.in_pixel += 4;
          s.out_pixel += 1;
          check(ops, (kp_conv_algorithm)a, s, size % 2 ? kClip : kSilu, 2,
                a == KP_CONV_WINOGRAD2 ? 2 : 6);
        }
      }
    }
  }
}

// What conv.h promises: the relative RMS error of F(4) on inputs after a ReLU.
static void test_winograd_error(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    kp_conv_shape s = make_shape(13, 64, 8, 1, 3, 1, 1);
    finish_shape(&s);
    const size_t pixels = s.batch * s.out_h * s.out_w;
    float *x = kt_input(s.batch * s.in_h * s.in_w * 64), *weights = kt_input(8 * 64 * 9),
          *y = kt_input(pixels * 8);
    for (size_t i = 0; i < s.batch * s.in_h * s.in_w * 64; ++i) x[i] = fmaxf(x[i], 0.0f);
    float* packed = kt_input(kp_conv_packed_size(ops, KP_CONV_WINOGRAD4, &s));
    float* scratch = kt_input(kp_conv_pack_scratch_size(ops, KP_CONV_WINOGRAD4, &s));
    kp_conv_pack(ops, KP_CONV_WINOGRAD4, &s, weights, packed, scratch);
    kp_conv_plan plan;
    kp_conv_plan_init(ops, KP_CONV_WINOGRAD4, &s, 1, &plan);
    const kp_conv_args args = {
        .input = x, .packed = packed, .output = y, .epilogue = KP_EPILOGUE_NONE};
    void* work = kt_scratch(plan.scratch_bytes);
    for (size_t i = 0; i < plan.task_count; ++i) kp_conv_run_task(&plan, &args, i, work);
    double error = 0, total = 0, magnitude;
    for (size_t i = 0; i < pixels * 8; ++i) {
      const double want = reference(&s, x, weights, i / 8, i % 8, &magnitude);
      error += (y[i] - want) * (y[i] - want);
      total += want * want;
    }
    assert_true(sqrt(error / total) < 1.5e-6);
    free(work);
    free(x);
    free(weights);
    free(y);
    free(packed);
    free(scratch);
  }
}

static void test_one_dimension(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(conv, ops) {
    kp_conv_shape s = make_shape(1, 10, 33, 1, 1, 1, 0);
    s.in_w = 50;
    s.kernel_w = 9;
    s.pad_left = 4;
    check(ops, KP_CONV_IMPLICIT, s, kNone, 2, 1);
    s.out_c = s.groups = s.in_c;
    s.out_pixel = s.in_c;
    check(ops, KP_CONV_DEPTHWISE, s, kNone, 2, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pointwise),
      cmocka_unit_test(test_few_outputs),
      cmocka_unit_test(test_windows_by_pointers),
      cmocka_unit_test(test_first_layers),
      cmocka_unit_test(test_window_wider_than_the_picture),
      cmocka_unit_test(test_depthwise),
      cmocka_unit_test(test_winograd),
      cmocka_unit_test(test_winograd_error),
      cmocka_unit_test(test_one_dimension),
      cmocka_unit_test(test_mostly_padding),
      cmocka_unit_test(test_grouped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
