// Normalizations, f32.
//
// Aliasing: y == x with equal strides is allowed where both are given.  Alignment: none.  Threads: split by rows.
// Accuracy: means and variances are summed in f32 over vector lanes, variance about the mean in a second pass; within 1e-6
//   of the f64 reference relative to the largest element of the row.
#ifndef KP_PROVIDER_CPU_KERNEL_NORM_NORM_H_
#define KP_PROVIDER_CPU_KERNEL_NORM_NORM_H_

#include <stddef.h>

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/kernel/variant.h"

// One row-wise normalization. Rows are |cols| floats; strides in floats.
typedef struct kp_row_norm {
  size_t rows, cols;
  const float* x;
  size_t x_stride;
  const float* skip;  // added to x before anything else (SkipLayerNormalization), or NULL
  size_t skip_stride;
  const float* bias;  // [cols], added with |skip|, or NULL
  float* sum;         // receives x + skip + bias, or NULL; may be x or skip itself
  size_t sum_stride;
  float* y;
  size_t y_stride;
  const float* gamma;  // [cols] scale, or NULL for 1
  const float* beta;   // [cols] shift, or NULL for 0
  float epsilon;
  float* mean;               // [rows], or NULL
  float* inverse_deviation;  // [rows], or NULL
} kp_row_norm;

typedef struct kp_norm_ops {
  const char* isa;
  // y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, each row by itself.
  void (*layer)(const kp_row_norm* n);
  // y = x / sqrt(mean of squares + epsilon) * gamma + beta; |mean| is not written.
  void (*rms)(const kp_row_norm* n);
  // y[r][c] = act(x[r][c] * scale[c] + shift[c]): batch normalization of channels-last data; scale or shift may be NULL.
  void (*scale_shift)(size_t rows, size_t cols, const float* x, size_t x_stride, const float* scale,
                      const float* shift, float* y, size_t y_stride, const kp_act* act);
  // y[r][c] = act(x[r][c] * scale[r] + shift[r]): the same for channels-first data, a row a channel.
  void (*scale_shift_rows)(size_t rows, size_t cols, const float* x, size_t x_stride,
                           const float* scale, const float* shift, float* y, size_t y_stride,
                           const kp_act* act);
  // Mean and variance (not yet with epsilon) of each row, of each column: instance and group normalization. Group
  // normalization of channels-last data merges its columns with kp_norm_merge.
  void (*row_moments)(size_t rows, size_t cols, const float* x, size_t x_stride, float* mean,
                      float* variance);
  void (*column_moments)(size_t rows, size_t cols, const float* x, size_t x_stride, float* mean,
                         float* variance);
} kp_norm_ops;

KP_DECLARE_FAMILY(norm);

// Mean and variance of |count| equally large parts taken together.
void kp_norm_merge(size_t count, const float* means, const float* variances, float* out_mean,
                   float* out_variance);

#endif  // KP_PROVIDER_CPU_KERNEL_NORM_NORM_H_
