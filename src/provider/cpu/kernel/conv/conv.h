// f32 convolution, channels last: every algorithm behind one choice, one packing and one plan.
//
// Layout: activations are [batch][h][w][channels] with |in_pixel| floats from pixel to pixel (>= channels, so that a slice
//   of a wider buffer can be read and written: Concat without copies). A first layer may read [batch][c][h][w] instead.
//   Weights come as ONNX has them, [out_c][in_c / groups][kernel_h][kernel_w]. A 1-D convolution has height 1.
// Use:
//   algorithm = kp_conv_choose(ops, &shape);             at load; sizes not known yet are 0
//   kp_conv_pack(ops, algorithm, &shape, weights, packed) into kp_conv_packed_size(...) floats
//   kp_conv_plan_init(ops, algorithm, &shape, workers, &plan); numbers only, per concrete shape
//   kp_conv_run_task(&plan, &args, i, scratch) for i < plan.task_count, on any thread
// The packing depends on the algorithm, the channel counts, groups, kernel and in_layout, not on sizes or strides.
//
// Accuracy: GEMM, IMPLICIT, WINDOW, DEPTHWISE, GROUPED: as a chain of fused multiply-adds over kernel * channels. WINOGRAD2: that
//   error again. WINOGRAD4: relative RMS error 7e-7 at 64 channels, 1.3e-6 at 256 (a plain chain: 3e-7, 6e-7).
// Padding: pixels outside the picture are zeros; bottom and right padding follow from |out_h| and |out_w|.
// Source: Lavin & Gray 2016 (Winograd); Dukhan 2019 (implicit GEMM by pointers).
#ifndef KP_PROVIDER_CPU_KERNEL_CONV_CONV_H_
#define KP_PROVIDER_CPU_KERNEL_CONV_CONV_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/kernel/variant.h"

typedef enum kp_conv_algorithm {
  KP_CONV_GEMM = 0,  // 1x1, stride 1, no padding: one product over all pixels
  KP_CONV_IMPLICIT,  // any kernel, stride, dilation, groups: rows of A by pointers
  KP_CONV_WINDOW,  // few input channels: whole rows of the window at once, from either input layout; one group,
                   // dilation_w 1, and for NHWC in_pixel == in_c
  KP_CONV_DEPTHWISE,  // groups == in_c == out_c
  KP_CONV_GROUPED,    // few channels a group (grouped.h)
  KP_CONV_WINOGRAD2,  // 3x3, stride 1, dilation 1, one group: F(2x2, 3x3)
  KP_CONV_WINOGRAD4,  // the same with F(4x4, 3x3)
} kp_conv_algorithm;

typedef enum kp_conv_layout { KP_CONV_NHWC = 0, KP_CONV_NCHW } kp_conv_layout;

typedef struct kp_conv_shape {
  size_t batch;
  size_t in_h, in_w, in_c;     // in_c of all groups together
  size_t out_h, out_w, out_c;  // out_c of all groups together
  size_t groups;               // divides in_c and out_c
  size_t kernel_h, kernel_w;
  size_t stride_h, stride_w;
  size_t dilation_h, dilation_w;
  size_t pad_top, pad_left;
  size_t in_pixel, out_pixel;  // floats from pixel to pixel; in_pixel is unused for NCHW
  kp_conv_layout in_layout;    // NCHW: dense; only with KP_CONV_WINDOW
} kp_conv_shape;

struct kp_conv_plan;
struct kp_conv_args;

// One variant. Obtain with kp_conv_select.
typedef struct kp_conv_ops {
  const char* isa;
  const kp_gemm_ops* gemm;  // of the same instruction set
  // Depthwise: output rows [row, row + rows) of batch * out_h, all channels. |packed| is [kernel_h * kernel_w][channels
  // rounded up to lanes].
  void (*depthwise)(const kp_conv_shape* s, size_t row, size_t rows,
                    const struct kp_conv_args* args);
  // Grouped: the same rows, blocks [block, block + blocks) of output channels.
  void (*grouped)(const kp_conv_shape* s, const struct kp_conv_args* args, size_t row, size_t rows,
                  size_t block, size_t blocks, float* scratch);
  // Few output channels: what gemm->multiply does, with weights packed as narrow.h says.
  void (*narrow)(const kp_gemm_tile* tile);
  // Winograd: output tiles [tile, tile + tiles) of batch * tiles_h * tiles_w, output channels [col, col + cols), |col| a
  // multiple of 64.
  void (*winograd)(const struct kp_conv_plan* plan, const struct kp_conv_args* args, size_t tile,
                   size_t tiles, size_t col, size_t cols, float* scratch);
  // Weights [out_c][in_c][3][3], transformed in double precision and rounded once: [points] matrices [in_c][out_c], packed as
  // |gemm| reads them.
  void (*winograd_pack)(kp_conv_algorithm algorithm, size_t in_c, size_t out_c,
                        const float* weights, float* packed);
} kp_conv_ops;

KP_DECLARE_FAMILY(conv);

// One convolution cut into tasks. Plain numbers: copy freely.
typedef struct kp_conv_plan {
  const kp_conv_ops* ops;
  kp_conv_algorithm algorithm;
  kp_conv_shape shape;
  size_t
      task_rows;  // output pixels (or output rows of depthwise and grouped, or Winograd tiles) of one task
  size_t row_tasks;
  size_t task_cols;         // output channels of one task, within one group (grouped: blocks)
  size_t col_tasks;         // per group
  size_t task_count;        // in all
  size_t scratch_bytes;     // per thread, aligned to 64 by the caller
  size_t tiles_h, tiles_w;  // Winograd's output tiles in one picture
  bool skips_padding;       // much of the windows lies outside: taps there are left out
} kp_conv_plan;

// Pointers of one run.
typedef struct kp_conv_args {
  const float* input;
  const float* packed;  // weights by kp_conv_pack
  float* output;        // [batch][out_h][out_w] pixels |out_pixel| floats apart
  // bias_n is [out_c]; the residual is laid out as the output with |residual_stride| floats from pixel to pixel; bias_m
  // must be NULL and alpha 1.
  kp_epilogue epilogue;
} kp_conv_args;

// The algorithm expected to be fastest. Sizes that are not known yet (in_h, in_w, out_h, out_w, batch) may be 0.
kp_conv_algorithm kp_conv_choose(const kp_conv_ops* ops, const kp_conv_shape* shape);

// Floats that kp_conv_pack writes.
size_t kp_conv_packed_size(const kp_conv_ops* ops, kp_conv_algorithm algorithm,
                           const kp_conv_shape* shape);

// Packs constant weights. |scratch| has kp_conv_pack_scratch_size(...) floats, or is NULL when that is 0.
size_t kp_conv_pack_scratch_size(const kp_conv_ops* ops, kp_conv_algorithm algorithm,
                                 const kp_conv_shape* shape);
void kp_conv_pack(const kp_conv_ops* ops, kp_conv_algorithm algorithm, const kp_conv_shape* shape,
                  const float* weights, float* packed, float* scratch);

// Cuts |shape|, all sizes known, for |workers| threads (>= 1). Costs well under a microsecond.
void kp_conv_plan_init(const kp_conv_ops* ops, kp_conv_algorithm algorithm,
                       const kp_conv_shape* shape, size_t workers, kp_conv_plan* out_plan);

// Runs task |index| < plan->task_count. Tasks write disjoint pixels or channels.
void kp_conv_run_task(const kp_conv_plan* plan, const kp_conv_args* args, size_t index,
                      void* scratch);

#endif  // KP_PROVIDER_CPU_KERNEL_CONV_CONV_H_
