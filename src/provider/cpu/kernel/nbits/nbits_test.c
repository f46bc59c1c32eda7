// Every variant of products with matrices of few bits against double precision.
#include "provider/cpu/kernel/nbits/nbits.h"

#include "provider/cpu/kernel/kernel_test.h"

enum { kColumns = 64, kDepth = 256 };

typedef struct rig {
  kp_nbits_panel panel;
  uint32_t data[kDepth * kColumns];
  float scales[kDepth / 16 * kColumns], zeros[kDepth / 16 * kColumns];
} rig;

// A panel of |blocks| blocks of |block| weights each.
static void fill(rig* r, const kp_nbits_ops* ops, unsigned bits, size_t blocks, size_t block,
                 bool zeros) {
  r->panel = (kp_nbits_panel){bits,    blocks,    block * bits / 32,
                              r->data, r->scales, zeros ? r->zeros : NULL};
  for (size_t i = 0; i < blocks * r->panel.words * ops->panel; ++i)
    r->data[i] = kt_random() ^ kt_random() << 16;
  for (size_t i = 0; i < blocks * ops->panel; ++i) {
    r->scales[i] = kt_uniform();
    r->zeros[i] = (float)kt_below((size_t)1 << bits);
  }
}

static double weight(const rig* r, const kp_nbits_ops* ops, size_t k, size_t column) {
  const unsigned bits = r->panel.bits, each = 32 / bits;
  const uint32_t word = r->data[k / each * ops->panel + column];
  const size_t at = k / each / r->panel.words * ops->panel + column;
  const double zero = r->panel.zeros ? r->zeros[at] : (double)(1u << (bits - 1));
  return ((double)(word >> (k % each * bits) & ((1u << bits) - 1)) - zero) * (double)r->scales[at];
}

static void check_multiply(const rig* r, const kp_nbits_ops* ops, size_t k) {
  const size_t depth = r->panel.blocks * r->panel.words * 32 / r->panel.bits;
  float *a = kt_input(k), *spread = kt_output(depth), *sums = kt_output(r->panel.blocks);
  float* y = kt_output(ops->panel);
  ops->spread(r->panel.bits, r->panel.blocks, r->panel.words, k, a, spread, sums);
  ops->multiply(&r->panel, spread, sums, y);
  for (size_t c = 0; c < ops->panel; ++c) {
    double want = 0, size = 0;
    for (size_t i = 0; i < k; ++i) {
      want += (double)a[i] * weight(r, ops, i, c);
      size += fabs((double)a[i]) * (double)(1u << r->panel.bits);
    }
    // A block's sum is up to twice what it would be with the zero taken off first; then the usual bound of a sum.
    KT_NEAR(y[c], want, 2 * size * (sqrt((double)k) + 8) * FLT_EPSILON);
  }
  kt_check_guards(spread, depth, 1, depth, depth);
  kt_check_guards(sums, r->panel.blocks, 1, r->panel.blocks, r->panel.blocks);
  kt_check_guards(y, ops->panel, 1, ops->panel, ops->panel);
  free(a);
}

// Four rows, the last one repeated, against one at a time.
static void check_four(const rig* r, const kp_nbits_ops* ops) {
  const size_t depth = r->panel.blocks * r->panel.words * 32 / r->panel.bits;
  float *a = kt_input(3 * depth), *y = kt_output(4 * ops->panel), one[kColumns];
  float *spread[4], *sums[4];
  for (size_t i = 0; i < 4; ++i) {
    const size_t row = i < 3 ? i : 2;
    spread[i] = kt_input(depth);
    sums[i] = kt_input(r->panel.blocks);
    ops->spread(r->panel.bits, r->panel.blocks, r->panel.words, depth, a + row * depth, spread[i],
                sums[i]);
  }
  ops->multiply4(&r->panel, (const float* const*)spread, (const float* const*)sums, y);
  for (size_t i = 0; i < 4; ++i) {
    ops->multiply(&r->panel, spread[i], sums[i], one);
    const double bound = 4e-6 * (double)depth * (double)(1u << r->panel.bits);
    for (size_t c = 0; c < ops->panel; ++c) KT_NEAR(y[i * ops->panel + c], one[c], bound);
    free(spread[i]);
    free(sums[i]);
  }
  kt_check_guards(y, 4 * ops->panel, 1, 4 * ops->panel, 4 * ops->panel);
  free(a);
}

static void check_dequantise(const rig* r, const kp_nbits_ops* ops, size_t nr, size_t first,
                             size_t count) {
  const size_t each = 32 / r->panel.bits, stride = count * each * nr,
               total = ops->panel / nr * stride;
  float* out = kt_output(total);
  ops->dequantise(&r->panel, first, count, nr, stride, out);
  for (size_t k = 0; k < count * each; ++k) {
    for (size_t c = 0; c < ops->panel; ++c) {
      const double want = weight(r, ops, first * each + k, c);
      KT_NEAR(out[c / nr * stride + k * nr + c % nr], want, fabs(want) * FLT_EPSILON);
    }
  }
  kt_check_guards(out, total, 1, total, total);
}

static void test_panels(void** state) {
  (void)state;
  static rig r;
  KT_FOR_EACH_VARIANT(nbits, ops) {
    assert_true(ops->panel <= kColumns);
    for (unsigned bits = 2; bits <= 8; bits *= 2) {
      for (size_t block = 16; block <= 128; block *= 2) {
        const size_t blocks = 1 + kt_below(kDepth / block);
        fill(&r, ops, bits, blocks, block, block != 32);
        check_multiply(&r, ops, blocks * block - kt_below(block));
        check_four(&r, ops);
        check_dequantise(&r, ops, ops->panel, 0, blocks * r.panel.words);
        if (ops->panel > 4)
          check_dequantise(&r, ops, ops->panel / 2, 1, blocks * r.panel.words - 1 ? 1 : 0);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_panels)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
