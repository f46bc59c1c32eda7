// Softmax, per instruction set: maximum, then exponentials and their sum, then one scaling pass. Rows of models fit the
// first-level cache, so that three passes over them cost less than the online form's extra exponentials.
#include "provider/cpu/kernel/softmax/softmax.h"

#include "provider/cpu/simd/f32.h"
#include "provider/cpu/simd/math.h"

#define LANES KP_VF_LANES

static float row_max(size_t cols, const float* x) {
  const kp_vf lowest = kp_vf_set1(-INFINITY);
  kp_vf m0 = lowest, m1 = lowest;
  size_t c = 0;
  for (; c + 2 * LANES <= cols; c += 2 * LANES) {
    m0 = kp_vf_max_nan(m0, kp_vf_load(x + c));
    m1 = kp_vf_max_nan(m1, kp_vf_load(x + c + LANES));
  }
  for (; c < cols; c += LANES) {
    const size_t n = cols - c < LANES ? cols - c : LANES;
    m0 = kp_vf_max_nan(m0, kp_vf_loadn_or(x + c, n, lowest));
  }
  return kp_vf_hmax(kp_vf_max_nan(m0, m1));
}

// Sum of exp(x - max); the exponentials go to |y| unless it is NULL.
static float row_exp_sum(size_t cols, const float* x, float max, float* y) {
  const kp_vf m = kp_vf_set1(max);
  kp_vf s0 = kp_vf_zero(), s1 = kp_vf_zero();
  size_t c = 0;
  for (; c + 2 * LANES <= cols; c += 2 * LANES) {
    const kp_vf e0 = kp_vf_exp(kp_vf_sub(kp_vf_load(x + c), m));
    const kp_vf e1 = kp_vf_exp(kp_vf_sub(kp_vf_load(x + c + LANES), m));
    s0 = kp_vf_add(s0, e0);
    s1 = kp_vf_add(s1, e1);
    if (y) {
      kp_vf_store(y + c, e0);
      kp_vf_store(y + c + LANES, e1);
    }
  }
  for (; c < cols; c += LANES) {
    const size_t n = cols - c < LANES ? cols - c : LANES;
    const kp_vf e = kp_vf_exp(kp_vf_sub(kp_vf_loadn_or(x + c, n, kp_vf_set1(-INFINITY)), m));
    s0 = kp_vf_add(s0, e);
    if (y) kp_vf_storen(y + c, e, n);
  }
  return kp_vf_hsum(kp_vf_add(s0, s1));
}

static void row_scale(size_t cols, float* y, float scale) {
  const kp_vf s = kp_vf_set1(scale);
  for (size_t c = 0; c < cols; c += LANES) {
    kp_vf_store_upto(y + c, kp_vf_mul(kp_vf_load_upto(y + c, cols - c), s), cols - c);
  }
}

static void row_shift(size_t cols, const float* x, float max, float log_sum, float* y) {
  const kp_vf m = kp_vf_set1(max), l = kp_vf_set1(log_sum);
  for (size_t c = 0; c < cols; c += LANES) {
    const kp_vf v = kp_vf_load_upto(x + c, cols - c);
    kp_vf_store_upto(y + c, kp_vf_sub(kp_vf_sub(v, m), l), cols - c);
  }
}

static void softmax_rows(size_t rows, size_t cols, const float* x, size_t x_stride, float* y,
                         size_t y_stride, bool log) {
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    const float max = row_max(cols, x);
    const float sum = row_exp_sum(cols, x, max, log ? NULL : y);
    if (log) {
      row_shift(cols, x, max, logf(sum), y);
    } else {
      row_scale(cols, y, 1.0f / sum);
    }
  }
}

// One vector of columns.
static void column_vector(size_t count, size_t n, const float* x, size_t x_stride, float* y,
                          size_t y_stride, bool log) {
  kp_vf max = kp_vf_set1(-INFINITY);
  for (size_t i = 0; i < count; ++i) max = kp_vf_max_nan(max, kp_vf_load_upto(x + i * x_stride, n));
  kp_vf sum = kp_vf_zero();
  for (size_t i = 0; i < count; ++i) {
    const kp_vf e = kp_vf_exp(kp_vf_sub(kp_vf_load_upto(x + i * x_stride, n), max));
    sum = kp_vf_add(sum, e);
    if (!log) kp_vf_store_upto(y + i * y_stride, e, n);
  }
  if (log) {
    const kp_vf l = kp_vf_log(sum);
    for (size_t i = 0; i < count; ++i) {
      const kp_vf v = kp_vf_load_upto(x + i * x_stride, n);
      kp_vf_store_upto(y + i * y_stride, kp_vf_sub(kp_vf_sub(v, max), l), n);
    }
    return;
  }
  const kp_vf scale = kp_vf_div(kp_vf_set1(1.0f), sum);
  for (size_t i = 0; i < count; ++i) {
    kp_vf_store_upto(y + i * y_stride, kp_vf_mul(kp_vf_load_upto(y + i * y_stride, n), scale), n);
  }
}

static void softmax_columns(size_t count, size_t cols, const float* x, size_t x_stride, float* y,
                            size_t y_stride, bool log) {
  for (size_t c = 0; c < cols; c += LANES) {
    const size_t n = cols - c < LANES ? cols - c : LANES;
    column_vector(count, n, x + c, x_stride, y + c, y_stride, log);
  }
}

const kp_softmax_ops KP_ISA_NAME(kp_softmax) = {
    .isa = KP_ISA_STRING,
    .rows = softmax_rows,
    .columns = softmax_columns,
};
