// Normalizations, per instruction set. A row is read for its mean, again for the variance about it, and once more to be
// written: rows fit the first-level cache, and the two-pass variance does not cancel.
#include "provider/cpu/kernel/norm/norm.h"

#include <stdbool.h>

#include "provider/cpu/kernel/activate.h"
#include "provider/cpu/simd/f32.h"

#define LANES KP_VF_LANES

static float row_sum(size_t cols, const float* x) {
  kp_vf s0 = kp_vf_zero(), s1 = kp_vf_zero(), s2 = kp_vf_zero(), s3 = kp_vf_zero();
  size_t c = 0;
  for (; c + 4 * LANES <= cols; c += 4 * LANES) {
    s0 = kp_vf_add(s0, kp_vf_load(x + c));
    s1 = kp_vf_add(s1, kp_vf_load(x + c + LANES));
    s2 = kp_vf_add(s2, kp_vf_load(x + c + 2 * LANES));
    s3 = kp_vf_add(s3, kp_vf_load(x + c + 3 * LANES));
  }
  for (; c < cols; c += LANES) s0 = kp_vf_add(s0, kp_vf_load_upto(x + c, cols - c));
  return kp_vf_hsum(kp_vf_add(kp_vf_add(s0, s1), kp_vf_add(s2, s3)));
}

// Sum of (x - mean)^2.
static float row_squares(size_t cols, const float* x, float mean) {
  const kp_vf m = kp_vf_set1(mean);
  kp_vf s0 = kp_vf_zero(), s1 = kp_vf_zero();
  size_t c = 0;
  for (; c + 2 * LANES <= cols; c += 2 * LANES) {
    const kp_vf d0 = kp_vf_sub(kp_vf_load(x + c), m);
    const kp_vf d1 = kp_vf_sub(kp_vf_load(x + c + LANES), m);
    s0 = kp_vf_fma(d0, d0, s0);
    s1 = kp_vf_fma(d1, d1, s1);
  }
  for (; c < cols; c += LANES) {
    const size_t n = cols - c < LANES ? cols - c : LANES;
    const kp_vf d = kp_vf_sub(kp_vf_loadn_or(x + c, n, m), m);
    s0 = kp_vf_fma(d, d, s0);
  }
  return kp_vf_hsum(kp_vf_add(s0, s1));
}

// y = (x - mean) * scale * gamma + beta. Centred first: for |mean| much larger than the deviation nothing cancels.
static void row_write(const kp_row_norm* n, const float* x, float mean, float scale, float* y) {
  const kp_vf m = kp_vf_set1(mean), s = kp_vf_set1(scale);
  for (size_t c = 0; c < n->cols; c += LANES) {
    const size_t left = n->cols - c;
    kp_vf v = kp_vf_mul(kp_vf_sub(kp_vf_load_upto(x + c, left), m), s);
    if (n->gamma) v = kp_vf_mul(v, kp_vf_load_upto(n->gamma + c, left));
    if (n->beta) v = kp_vf_add(v, kp_vf_load_upto(n->beta + c, left));
    kp_vf_store_upto(y + c, v, left);
  }
}

// The row to normalize: x itself, or its sum with |skip| and |bias|, which goes to |sum| or, for want of it, to y.
static const float* row_input(const kp_row_norm* n, size_t r) {
  const float* x = n->x + r * n->x_stride;
  if (!n->skip && !n->bias && !n->sum) return x;
  const float* skip = n->skip ? n->skip + r * n->skip_stride : NULL;
  float* sum = n->sum ? n->sum + r * n->sum_stride : n->y + r * n->y_stride;
  for (size_t c = 0; c < n->cols; c += LANES) {
    const size_t left = n->cols - c;
    kp_vf v = kp_vf_load_upto(x + c, left);
    if (skip) v = kp_vf_add(v, kp_vf_load_upto(skip + c, left));
    if (n->bias) v = kp_vf_add(v, kp_vf_load_upto(n->bias + c, left));
    kp_vf_store_upto(sum + c, v, left);
  }
  return sum;
}

static void norm_layer(const kp_row_norm* n) {
  for (size_t r = 0; r < n->rows; ++r) {
    const float* x = row_input(n, r);
    const float mean = row_sum(n->cols, x) / (float)n->cols;
    const float variance = row_squares(n->cols, x, mean) / (float)n->cols;
    const float scale = 1.0f / sqrtf(variance + n->epsilon);
    row_write(n, x, mean, scale, n->y + r * n->y_stride);
    if (n->mean) n->mean[r] = mean;
    if (n->inverse_deviation) n->inverse_deviation[r] = scale;
  }
}

static void norm_rms(const kp_row_norm* n) {
  for (size_t r = 0; r < n->rows; ++r) {
    const float* x = row_input(n, r);
    const float scale = 1.0f / sqrtf(row_squares(n->cols, x, 0.0f) / (float)n->cols + n->epsilon);
    row_write(n, x, 0.0f, scale, n->y + r * n->y_stride);
    if (n->inverse_deviation) n->inverse_deviation[r] = scale;
  }
}

static void norm_scale_shift(size_t rows, size_t cols, const float* x, size_t x_stride,
                             const float* scale, const float* shift, float* y, size_t y_stride,
                             const kp_act* act) {
  const bool clip = act && (act->kind == KP_ACT_RELU || act->kind == KP_ACT_CLIP);
  const kp_vf low = kp_vf_set1(clip && act->kind == KP_ACT_CLIP ? act->a : clip ? 0.0f : -INFINITY);
  const kp_vf high = kp_vf_set1(clip && act->kind == KP_ACT_CLIP ? act->b : INFINITY);
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    for (size_t c = 0; c < cols; c += LANES) {
      const size_t left = cols - c;
      kp_vf v = kp_vf_load_upto(x + c, left);
      if (scale) v = kp_vf_mul(v, kp_vf_load_upto(scale + c, left));
      if (shift) v = kp_vf_add(v, kp_vf_load_upto(shift + c, left));
      if (clip) v = kp_vf_min(high, kp_vf_max(low, v));
      kp_vf_store_upto(y + c, v, left);
    }
    if (act && !clip) kp_activate_rows(1, cols, y, y_stride, act);
  }
}

static void norm_scale_shift_rows(size_t rows, size_t cols, const float* x, size_t x_stride,
                                  const float* scale, const float* shift, float* y, size_t y_stride,
                                  const kp_act* act) {
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    const kp_vf s = kp_vf_set1(scale ? scale[r] : 1.0f), b = kp_vf_set1(shift ? shift[r] : 0.0f);
    for (size_t c = 0; c < cols; c += LANES) {
      kp_vf_store_upto(y + c, kp_vf_add(kp_vf_mul(kp_vf_load_upto(x + c, cols - c), s), b),
                       cols - c);
    }
    if (act) kp_activate_rows(1, cols, y, y_stride, act);
  }
}

static void norm_row_moments(size_t rows, size_t cols, const float* x, size_t x_stride, float* mean,
                             float* variance) {
  for (size_t r = 0; r < rows; ++r, x += x_stride) {
    mean[r] = row_sum(cols, x) / (float)cols;
    variance[r] = row_squares(cols, x, mean[r]) / (float)cols;
  }
}

// Sums down one vector of columns, in blocks of rows so that the error grows with their number only.
static void column_vector_moments(size_t rows, size_t n, const float* x, size_t x_stride,
                                  float* mean, float* variance) {
  enum { kBlock = 64 };
  const kp_vf count = kp_vf_set1((float)rows);
  kp_vf total = kp_vf_zero();
  for (size_t first = 0; first < rows; first += kBlock) {
    kp_vf sum = kp_vf_zero();
    for (size_t r = first; r < rows && r < first + kBlock; ++r)
      sum = kp_vf_add(sum, kp_vf_load_upto(x + r * x_stride, n));
    total = kp_vf_add(total, sum);
  }
  const kp_vf m = kp_vf_div(total, count);
  total = kp_vf_zero();
  for (size_t first = 0; first < rows; first += kBlock) {
    kp_vf sum = kp_vf_zero();
    for (size_t r = first; r < rows && r < first + kBlock; ++r) {
      const kp_vf d = kp_vf_sub(kp_vf_load_upto(x + r * x_stride, n), m);
      sum = kp_vf_fma(d, d, sum);
    }
    total = kp_vf_add(total, sum);
  }
  kp_vf_store_upto(mean, m, n);
  kp_vf_store_upto(variance, kp_vf_div(total, count), n);
}

static void norm_column_moments(size_t rows, size_t cols, const float* x, size_t x_stride,
                                float* mean, float* variance) {
  for (size_t c = 0; c < cols; c += LANES) {
    const size_t n = cols - c < LANES ? cols - c : LANES;
    column_vector_moments(rows, n, x + c, x_stride, mean + c, variance + c);
  }
}

const kp_norm_ops KP_ISA_NAME(kp_norm) = {
    .isa = KP_ISA_STRING,
    .layer = norm_layer,
    .rms = norm_rms,
    .scale_shift = norm_scale_shift,
    .scale_shift_rows = norm_scale_shift_rows,
    .row_moments = norm_row_moments,
    .column_moments = norm_column_moments,
};
