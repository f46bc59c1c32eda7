// Every variant of the transposes, bit for bit.
#include "provider/cpu/kernel/transpose/transpose.h"

#include "provider/cpu/kernel/kernel_test.h"

static void check(const kp_transpose_ops* ops, size_t bytes, size_t rows, size_t cols) {
  enum { kBatch = 2 };
  const size_t x_stride = cols + 1, y_stride = rows + 2, x_batch = rows * x_stride,
               y_batch = cols * y_stride + 3;
  unsigned char* x = malloc(kBatch * x_batch * bytes);
  unsigned char* y = malloc(kBatch * y_batch * bytes);
  for (size_t i = 0; i < kBatch * x_batch * bytes; ++i) x[i] = (unsigned char)kt_random();
  memset(y, 0xA5, kBatch * y_batch * bytes);
  kp_transpose_run(ops, bytes, kBatch, rows, cols, x, x_stride, x_batch, y, y_stride, y_batch);
  for (size_t b = 0; b < kBatch; ++b) {
    for (size_t c = 0; c < cols; ++c) {
      for (size_t r = 0; r < y_stride; ++r) {
        const unsigned char* got = y + (b * y_batch + c * y_stride + r) * bytes;
        if (r < rows) {
          assert_memory_equal(got, x + (b * x_batch + r * x_stride + c) * bytes, bytes);
        } else {
          for (size_t i = 0; i < bytes; ++i) assert_int_equal(got[i], 0xA5);
        }
      }
    }
  }
  free(x);
  free(y);
}

static void test_all_sizes(void** state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 33, 49};
  KT_FOR_EACH_VARIANT(transpose, ops) {
    for (size_t i = 0; i < 14; ++i) {
      for (size_t j = 0; j < 14; ++j) {
        for (size_t bytes = 1; bytes <= 16; bytes *= 2) check(ops, bytes, sizes[i], sizes[j]);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_sizes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
