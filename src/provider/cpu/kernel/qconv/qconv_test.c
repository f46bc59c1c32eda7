// Convolutions of bytes on every variant against plain sums: layouts of windows, groups, depthwise, borders, signs.
#include "provider/cpu/kernel/qconv/qconv.h"

#include "provider/cpu/kernel/kernel_test.h"

static uint8_t* bytes(size_t n) {
  uint8_t* p = malloc(n ? n : 1);  // exactly so many: a read past the end is seen
  assert_non_null(p);
  for (size_t i = 0; i < n; ++i) p[i] = (uint8_t)kt_random();
  return p;
}

static int32_t at(const uint8_t* p, bool is_signed, size_t i) {
  return is_signed ? (int8_t)p[i] : p[i];
}

// One output: |o| pixels of two dims.
static int32_t reference(const kp_qconv_shape* s, const uint8_t* x, int32_t x_zero,
                         const uint8_t* w, const kp_qgemm_zero* w_zero, size_t picture,
                         const int64_t* o, size_t channel) {
  const size_t group = channel / s->out_c, all = s->groups * s->in_c;
  int64_t sum = 0;
  for (int64_t i = 0; i < s->kernel[0]; ++i)
    for (int64_t j = 0; j < s->kernel[1]; ++j) {
      const int64_t h = o[0] * s->stride[0] - s->begin[0] + i * s->dilation[0],
                    v = o[1] * s->stride[1] - s->begin[1] + j * s->dilation[1];
      if (h < 0 || h >= s->in[0] || v < 0 || v >= s->in[1]) continue;
      const size_t pixel = (picture * (size_t)s->in[0] + (size_t)h) * (size_t)s->in[1] + (size_t)v;
      for (size_t c = 0; c < s->in_c; ++c) {
        const size_t tap = (size_t)(i * s->kernel[1] + j);
        sum += (at(x, s->x_signed, pixel * all + group * s->in_c + c) - x_zero) *
               (at(w, s->w_signed, (channel * s->in_c + c) * s->taps + tap) -
                kp_qgemm_zero_at(w_zero, s->w_signed, channel));
      }
    }
  return (int32_t)sum;
}

static void check(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm, const kp_qconv_shape* s,
                  bool many, size_t workers) {
  const size_t channels = s->groups * s->out_c, pixels = s->batch * s->out_count;
  uint8_t *x = bytes(s->batch * s->in_count * s->groups * s->in_c),
          *w = bytes(channels * s->in_c * s->taps), *zeros = bytes(channels);
  const kp_qgemm_zero w_zero = {zeros, many};
  const uint8_t zero = (uint8_t)kt_random();
  const int32_t x_zero = s->x_signed ? (int8_t)zero : zero;
  void *packed = kt_scratch(kp_qconv_packed_size(gemm, s)),
       *room = kt_scratch(kp_qconv_pack_scratch(s));
  kp_qconv_pack(ops, gemm, s, w, &w_zero, packed, room);
  int32_t* y = malloc(pixels * channels * sizeof(int32_t));
  const kp_qconv_args args = {
      .input = x, .x_zero = x_zero, .packed = packed, .w_zero = w_zero, .output = y};
  kp_qconv_plan plan;
  kp_qconv_plan_init(ops, gemm, s, workers, &plan);
  void* scratch = kt_scratch(plan.scratch_bytes);
  for (size_t i = plan.task_count; i-- > 0;) kp_qconv_run_task(&plan, &args, i, scratch);
  for (size_t i = 0; i < pixels; ++i) {
    const size_t within = i % s->out_count;
    const int64_t o[2] = {(int64_t)within / s->out[1], (int64_t)within % s->out[1]};
    for (size_t c = 0; c < channels; ++c)
      assert_int_equal(y[i * channels + c],
                       reference(s, x, x_zero, w, &w_zero, i / s->out_count, o, c));
  }
  free(x), free(w), free(zeros), free(packed), free(room), free(y), free(scratch);
}

static kp_qconv_shape shape_of(size_t groups, size_t in_c, size_t out_c, int64_t kernel,
                               int64_t stride, int64_t dilation, int64_t pad) {
  kp_qconv_shape s = {.rank = 2,
                      .batch = 2,
                      .groups = groups,
                      .in_c = in_c,
                      .out_c = out_c,
                      .in = {9, 11},
                      .kernel = {kernel, kernel},
                      .stride = {stride, stride},
                      .dilation = {dilation, dilation},
                      .begin = {pad, pad},
                      .in_count = 99,
                      .taps = (size_t)(kernel * kernel)};
  for (int d = 0; d < 2; ++d)
    s.out[d] = (s.in[d] + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
  s.out_count = (size_t)(s.out[0] * s.out[1]);
  return s;
}

static void check_all(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm) {
  static const size_t groups[][3] = {{1, 3, 5},  {1, 16, 16}, {1, 7, 40}, {2, 8, 3},
                                     {37, 1, 1}, {64, 1, 1},  {5, 1, 2}};
  static const int64_t windows[][4] = {
      {1, 1, 1, 0}, {3, 1, 1, 1}, {3, 2, 1, 1}, {3, 1, 2, 2}, {2, 2, 1, 0}};
  for (size_t g = 0; g < 7; ++g)
    for (size_t w = 0; w < 5; ++w)
      for (int form = 0; form < 8; ++form) {
        kp_qconv_shape s = shape_of(groups[g][0], groups[g][1], groups[g][2], windows[w][0],
                                    windows[w][1], windows[w][2], windows[w][3]);
        s.x_signed = form & 1;
        s.w_signed = form & 2;
        check(ops, gemm, &s, form & 4, 1 + (size_t)form % 3);
      }
}

static void check_with(const kp_qgemm_ops* gemm) {
  KT_FOR_EACH_VARIANT(qconv, ops) {
    if (!ops->interleaved || gemm->nr % 16 == 0) check_all(ops, gemm);
  }
}

static void test_convolutions(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qgemm, gemm) { check_with(gemm); }
}

static void test_transpose(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qconv, ops) {
    for (size_t rows = 1; rows < 40; rows += 5)
      for (size_t cols = 1; cols < 40; cols += 3) {
        uint8_t *from = bytes(rows * cols), *to = bytes(rows * cols);
        ops->transpose(rows, cols, from, cols, to, rows);
        for (size_t r = 0; r < rows; ++r)
          for (size_t c = 0; c < cols; ++c) assert_int_equal(to[c * rows + r], from[r * cols + c]);
        free(from), free(to);
      }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_convolutions),
      cmocka_unit_test(test_transpose),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
