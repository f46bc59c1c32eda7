// The geometry that convolutions and poolings share: kernel, strides, dilations, pads, auto_pad. Private to infer*.c.
#ifndef KP_GRAPH_INFER_WINDOW_H_
#define KP_GRAPH_INFER_WINDOW_H_

#include "graph/infer_rule.h"

typedef enum kp_auto_pad { KP_PAD_NOTSET, KP_PAD_VALID, KP_PAD_SAME } kp_auto_pad;

typedef struct kp_window {
  int32_t spatial;       // number of spatial axes
  kp_auto_pad auto_pad;  // SAME_UPPER and SAME_LOWER give the same sizes
  bool ceil_mode;
  kp_expr extent
      [KP_MAX_RANK];  // (kernel - 1) * dilation + 1; an expression where the weights' dims are
  kp_expr kernel[KP_MAX_RANK];
  int64_t stride[KP_MAX_RANK];
  int64_t begin[KP_MAX_RANK], end[KP_MAX_RANK];
} kp_window;

// Reads the attributes for |spatial| axes. |weight_dims|: the weights' spatial dims, or NULL where attribute kernel_shape is
// required. Lists of wrong length, strides, dilations and kernels below 1 and negative pads are errors.
KP_MUST_USE kp_status* kp_window_read(kp_infer* infer, int32_t spatial, const kp_expr* weight_dims,
                                      kp_window* out);
// Size of the output along axis |d| for an input of |size|. |i| is named in errors.
KP_MUST_USE kp_status* kp_window_size(kp_infer* infer, const kp_window* window, uint32_t i,
                                      int32_t d, kp_expr size, kp_expr* out);
// Sets output |o| of a convolution of X (input |x|: [N, C, spatial...]) with W (input |w|: [M, C/group, kernel...]).
KP_MUST_USE kp_status* kp_infer_convolution(kp_infer* infer, uint32_t x, uint32_t w,
                                            kapell_type element);

#endif  // KP_GRAPH_INFER_WINDOW_H_
