// The geometry of operators that slide a window over a picture of any rank: Conv, pools. Attributes read once a signature.
#ifndef KP_PROVIDER_CPU_OP_WINDOW_H_
#define KP_PROVIDER_CPU_OP_WINDOW_H_

#include "provider/cpu/op/help.h"

#define KP_MAX_WINDOW 8  // spatial dims

typedef struct kp_window {
  int32_t rank;  // spatial dims
  int64_t in[KP_MAX_WINDOW], out[KP_MAX_WINDOW], kernel[KP_MAX_WINDOW];
  int64_t stride[KP_MAX_WINDOW], dilation[KP_MAX_WINDOW];
  int64_t begin[KP_MAX_WINDOW], end[KP_MAX_WINDOW];  // padding; |end| counts for averages only
  size_t in_count, out_count, kernel_count;          // pixels, pixels, taps
} kp_window;

// Fills |window| from the node's attributes kernel_shape, strides, dilations, pads, auto_pad. |x| and |y| are [batch, channels,
// spatial...]. |kernel| stands for kernel_shape where that is absent (Conv: the dims of W behind the second).
// Errors: RUN_FAILED for attributes of the wrong length.
KP_MUST_USE kp_status* kp_window_init(kp_window* window, const kp_node* node, const kapell_value* x,
                                      const kapell_value* y, const int64_t* kernel);
// The same for an operator that spreads each element of |x| over a window of |y| (ConvTranspose): |in| is then the picture |y| and |out|
// the places |x|. Reads output_shape and output_padding too; what the output has more than the padding explains is cut behind.
KP_MUST_USE kp_status* kp_window_init_transposed(kp_window* window, const kp_node* node,
                                                 const kapell_value* x, const kapell_value* y,
                                                 const int64_t* kernel);

// One dim of a window over |in| pixels, by entry |index| of the attributes for |spatial| dims; with its output's size, ceil_mode
// included. Errors: INVALID_MODEL (attributes out of range), INVALID_INPUT (the window does not fit).
typedef struct kp_window_dim {
  int64_t kernel, stride, dilation, begin, end, out;
} kp_window_dim;
KP_MUST_USE kp_status* kp_window_along(const kp_node* node, size_t index, size_t spatial,
                                       int64_t in, kp_window_dim* out_dim);

kp_reason kp_window_supports(const kp_op_query* query);  // rank within KP_MAX_WINDOW

// The positions [*first, *last) along dim |d| whose tap |tap| lies inside the picture.
static inline void kp_window_reach(const kp_window* w, int32_t d, int64_t tap, int64_t* first,
                                   int64_t* last) {
  const int64_t shift = tap * w->dilation[d] - w->begin[d], stride = w->stride[d];
  const int64_t room = w->in[d] - 1 - shift;
  *first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  *last = room < 0 ? 0 : kp_min_i64(w->out[d], room / stride + 1);
}

// Position of flat index |index| in |dims|.
static inline void kp_unflatten(size_t index, int32_t rank, const int64_t* dims,
                                int64_t* position) {
  for (int32_t d = rank; d-- > 0;) {
    position[d] = (int64_t)(index % (size_t)dims[d]);
    index /= (size_t)dims[d];
  }
}

#endif  // KP_PROVIDER_CPU_OP_WINDOW_H_
