// 8-bit convolution, channels last, any number of spatial dims: rows of windows packed for kernel/qgemm, or channel by channel
// (depthwise).
//
// Layout:  input [batch][spatial...][in_c], output [batch][spatial...][out_c]; weights as ONNX has them, [out_c][in_c / groups][taps].
// Padding: pixels outside the picture equal the input's zero point.
// Use:
//   kp_qconv_pack(ops, gemm, &shape, weights, w_signed, w_zero, packed, scratch)      once, if the weights are constant
//   kp_qconv_plan_init(ops, gemm, &shape, workers, &plan)                             numbers only
//   for each i < plan.task_count: kp_qconv_run_task(&plan, &args, i, scratch)
// Threads: pure functions; tasks write disjoint pixels and channels.
#ifndef KP_PROVIDER_CPU_KERNEL_QCONV_QCONV_H_
#define KP_PROVIDER_CPU_KERNEL_QCONV_QCONV_H_

#include "provider/cpu/kernel/qgemm/qgemm.h"

#define KP_QCONV_DIMS 8

typedef struct kp_qconv_shape {
  int32_t rank;  // spatial dims
  size_t batch, groups;
  size_t in_c, out_c;  // of one group
  int64_t in[KP_QCONV_DIMS], out[KP_QCONV_DIMS], kernel[KP_QCONV_DIMS];
  int64_t stride[KP_QCONV_DIMS], dilation[KP_QCONV_DIMS], begin[KP_QCONV_DIMS];
  size_t in_count, out_count, taps;  // pixels, pixels, products of the above
  bool x_signed, w_signed;
} kp_qconv_shape;

// Channels that kernels of depthwise convolutions take at a time: ops->nr of the gemm that stores for them.
typedef struct kp_qconv_ops {
  const char* isa;
  bool
      interleaved;  // depthwise wants channels of sixteen as interleaving two vectors of 16-bit numbers leaves them
  // acc[r][j] = sum over pairs of taps of x * w for j < nr, r < rows. |pixels|: [rows][2 * pairs] pointers, |offset| bytes are added to
  // each; |w|: [pairs][nr][2] by kp_qconv_pack.
  void (*depthwise)(size_t rows, size_t pairs, size_t nr, const uint8_t* const* pixels,
                    size_t offset, bool x_signed, const int16_t* w, int32_t* acc);
  // to[c * to_stride + r] = from[r * from_stride + c] for bytes.
  void (*transpose)(size_t rows, size_t cols, const uint8_t* from, size_t from_stride, uint8_t* to,
                    size_t to_stride);
} kp_qconv_ops;

KP_DECLARE_FAMILY(qconv);

typedef struct kp_qconv_plan {
  const kp_qconv_ops* ops;
  const kp_qgemm_ops* gemm;
  kp_qconv_shape shape;
  bool depthwise;
  bool plain;         // 1x1, stride 1, no padding
  size_t block_rows;  // pixels packed at a time
  size_t task_rows, task_cols;
  size_t row_tasks, col_tasks;  // col_tasks: per group
  size_t task_count;
  size_t scratch_bytes;  // per thread, aligned to 64 by the caller
} kp_qconv_plan;

typedef struct kp_qconv_args {
  const void* input;
  int32_t x_zero;
  const void* packed;
  kp_qgemm_zero w_zero;  // one, or one an output channel
  void* output;
  kp_qgemm_epilogue epilogue;  // arrays over all output channels; no row_scale
} kp_qconv_args;

// Whether every channel is a group of its own.
bool kp_qconv_is_depthwise(const kp_qconv_shape* shape);
// Bytes that kp_qconv_pack writes (SIZE_MAX: too many) and needs besides.
size_t kp_qconv_packed_size(const kp_qgemm_ops* gemm, const kp_qconv_shape* shape);
size_t kp_qconv_pack_scratch(const kp_qconv_shape* shape);
// |w_zero| is part of packed weights of depthwise convolutions only.
void kp_qconv_pack(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm, const kp_qconv_shape* shape,
                   const void* weights, const kp_qgemm_zero* w_zero, void* packed, void* scratch);
void kp_qconv_plan_init(const kp_qconv_ops* ops, const kp_qgemm_ops* gemm,
                        const kp_qconv_shape* shape, size_t workers, kp_qconv_plan* out_plan);
void kp_qconv_run_task(const kp_qconv_plan* plan, const kp_qconv_args* args, size_t index,
                       void* scratch);

#endif  // KP_PROVIDER_CPU_KERNEL_QCONV_QCONV_H_
