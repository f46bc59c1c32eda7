// Every variant of quantization against its formula, number by number.
#include "provider/cpu/kernel/quantize/quantize.h"

#include "provider/cpu/kernel/kernel_test.h"

static const kp_quant_type types[] = {
    {1, 0, 255}, {1, -128, 127}, {2, 0, 65535}, {2, -32768, 32767}, {4, INT32_MIN, INT32_MAX}};

static int32_t read_at(const void* p, kp_quant_type type, size_t i) {
  if (type.width == 4) return ((const int32_t*)p)[i];
  if (type.width == 2) return type.low ? ((const int16_t*)p)[i] : ((const uint16_t*)p)[i];
  return type.low ? ((const int8_t*)p)[i] : ((const uint8_t*)p)[i];
}

static int32_t* zeros(size_t n, kp_quant_type type) {
  int32_t* zero = malloc(n * sizeof(int32_t));
  for (size_t i = 0; i < n; ++i)
    zero[i] =
        type.width == 4 ? 0 : type.low + (int32_t)kt_below((size_t)(type.high - type.low) + 1);
  return zero;
}

static float* scales(size_t n) {
  float* scale = kt_input(n);
  for (size_t i = 0; i < n; ++i) scale[i] = fabsf(scale[i]) + 0.125f;
  return scale;
}

static int32_t quantized(float x, float scale, int32_t zero, kp_quant_type type) {
  const float v = x / scale;
  if (!(v > (float)(type.low - zero))) return type.low;
  if (!(v < (float)(type.high - zero))) return type.high;
  return (int32_t)nearbyintf(v) + zero;
}

static void test_quantize(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(quantize, ops) {
    for (size_t n = 1; n < 70; ++n)
      for (size_t t = 0; t < 4; ++t)
        for (size_t step = 0; step < 2; ++step) {
          float *x = kt_shaped(n), *scale = scales(n);
          int32_t* zero = zeros(n, types[t]);
          void* y = malloc(n * types[t].width);
          ops->quantize(n, x, scale, zero, step, types[t], y);
          for (size_t i = 0; i < n; ++i)
            assert_int_equal(read_at(y, types[t], i),
                             quantized(x[i], scale[i * step], zero[i * step], types[t]));
          free(x), free(scale), free(zero), free(y);
        }
  }
}

static void test_dequantize(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(quantize, ops) {
    for (size_t n = 1; n < 70; ++n)
      for (size_t t = 0; t < 5; ++t)
        for (size_t step = 0; step < 2; ++step) {
          float *scale = scales(n), *y = kt_input(n);
          int32_t* zero = zeros(n, types[t]);
          unsigned char* x = malloc(n * types[t].width);
          for (size_t i = 0; i < n * types[t].width; ++i) x[i] = (unsigned char)kt_random();
          ops->dequantize(n, x, types[t], scale, zero, step, y);
          for (size_t i = 0; i < n; ++i) {
            const float want = (float)(read_at(x, types[t], i) - zero[i * step]) * scale[i * step];
            assert_true(y[i] == want);
          }
          free(x), free(scale), free(zero), free(y);
        }
  }
}

static float real_of(const void* x, const kp_quant_bytes* form, size_t i) {
  return (float)(read_at(x, form->type, i) - form->zero) * form->scale;
}

static void test_binary(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(quantize, ops) {
    for (size_t n = 1; n < 40; ++n)
      for (unsigned form = 0; form < 16; ++form) {
        const kp_quant_bytes a = {0.25f, 7, types[form & 1]}, b = {0.75f, -3, types[form >> 1 & 1]};
        kp_quant_bytes c = {1.5f, 11, types[form >> 2 & 1]};
        if (n % 2) c.type.low = 11;
        unsigned char x[40], z[40], y[40];
        for (size_t i = 0; i < n; ++i)
          x[i] = (unsigned char)kt_random(), z[i] = (unsigned char)kt_random();
        ops->binary(n, form & 8, x, &a, z, &b, y, &c);
        for (size_t i = 0; i < n; ++i) {
          const float p = real_of(x, &a, i), q = real_of(z, &b, i);
          const int32_t want = quantized(form & 8 ? p * q : p + q, c.scale, c.zero, c.type);
          assert_int_equal(types[form >> 2 & 1].low ? (signed char)y[i] : y[i], want);
        }
      }
  }
}

static void test_remap(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(quantize, ops) {
    for (size_t n = 1; n < 40; ++n)
      for (unsigned form = 0; form < 4; ++form) {
        const kp_quant_type from = types[form & 1];
        kp_quant_bytes to = {0, 11, types[form >> 1]};
        if (n % 2) to.type.low = 11;
        unsigned char *x = malloc(3 * n), *y = malloc(3 * n);
        float *scale = kt_input(n), *shift = kt_input(n);
        for (size_t i = 0; i < 3 * n; ++i) x[i] = (unsigned char)kt_random();
        // Steps of a quarter and an eighth: sums are exact, and ties come up.
        for (size_t i = 0; i < n; ++i)
          scale[i] = (float)kt_below(9) * 0.25f - 1, shift[i] = (float)kt_below(64) * 0.125f - 4;
        ops->remap(3, n, x, from.low < 0, scale, shift, &to, y);
        for (size_t i = 0; i < 3 * n; ++i) {
          const float real = (float)read_at(x, from, i) * scale[i % n] + shift[i % n];
          assert_int_equal(to.type.low < 0 ? (signed char)y[i] : y[i],
                           quantized(real, 1, to.zero, to.type));
        }
        free(x), free(y), free(scale), free(shift);
      }
  }
}

static void test_range(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(quantize, ops) {
    for (size_t n = 0; n < 70; ++n) {
      float* x = kt_shaped(n);
      float low, high, least = 0, most = 0;
      for (size_t i = 0; i < n; ++i) {
        if (x[i] < least) least = x[i];
        if (x[i] > most) most = x[i];
      }
      ops->range(n, x, &low, &high);
      assert_true(low == least && high == most);
      free(x);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quantize), cmocka_unit_test(test_dequantize),
      cmocka_unit_test(test_binary),   cmocka_unit_test(test_remap),
      cmocka_unit_test(test_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
