// Inference of convolutions and poolings: everything with a sliding window.
#include "graph/infer_window.h"

// --- geometry ---------------------------------------------------------------------------------------------------------
// An attribute of |count| integers >= |minimum|; absent: |fallback| for each.
static kp_status* read_list(kp_infer* infer, const char* name, size_t count, int64_t minimum,
                            int64_t fallback, int64_t* out) {
  size_t have;
  const int64_t* list = kp_node_attr_ints(infer->node, name, &have);
  for (size_t k = 0; k < count; ++k) out[k] = fallback;
  if (!list || have == 0) return NULL;
  if (have != count)
    return kp_node_error(infer, "attribute '%s' has %zu entries; expected %zu", name, have, count);
  for (size_t k = 0; k < count; ++k) {
    if (list[k] < minimum)
      return kp_node_error(infer, "attribute '%s' has %lld at %zu; expected %lld or more", name,
                           (long long)list[k], k, (long long)minimum);
    out[k] = list[k];
  }
  return NULL;
}

static kp_status* read_auto_pad(kp_infer* infer, kp_auto_pad* out) {
  const kp_str text = kp_node_attr_s(infer->node, "auto_pad", "NOTSET");
  if (kp_str_is(text, "NOTSET"))
    *out = KP_PAD_NOTSET;
  else if (kp_str_is(text, "VALID"))
    *out = KP_PAD_VALID;
  else if (kp_str_is(text, "SAME_UPPER") || kp_str_is(text, "SAME_LOWER"))
    *out = KP_PAD_SAME;
  else
    return kp_node_error(
        infer, "attribute 'auto_pad' is '%.*s'; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER",
        KP_STR_ARG(text));
  return NULL;
}

kp_status* kp_window_read(kp_infer* infer, int32_t spatial, const kp_expr* weight_dims,
                          kp_window* out) {
  const size_t n = (size_t)spatial;
  int64_t kernel[KP_MAX_RANK], dilation[KP_MAX_RANK], pads[2 * KP_MAX_RANK];
  out->spatial = spatial;
  out->ceil_mode = kp_node_attr_i(infer->node, "ceil_mode", 0) != 0;
  KP_PASS(read_auto_pad(infer, &out->auto_pad));
  KP_PASS(read_list(infer, "kernel_shape", n, 1, 0, kernel));
  KP_PASS(read_list(infer, "strides", n, 1, 1, out->stride));
  KP_PASS(read_list(infer, "dilations", n, 1, 1, dilation));
  KP_PASS(read_list(infer, "pads", 2 * n, 0, 0, pads));
  for (int32_t d = 0; d < spatial; ++d) {
    out->kernel[d] = kernel[d] > 0 ? kernel[d] : weight_dims ? weight_dims[d] : 0;
    if (weight_dims && kp_dim_differ(weight_dims[d], out->kernel[d]))
      return kp_node_error(infer, "attribute 'kernel_shape' has %lld at %d; the weights have %lld",
                           (long long)kernel[d], d, (long long)weight_dims[d]);
    if (kp_is_number(out->kernel[d]) && out->kernel[d] < 1)
      return kp_node_error(
          infer, weight_dims ? "a kernel of size 0" : "attribute 'kernel_shape' is missing");
    const bool explicit_pads = out->auto_pad == KP_PAD_NOTSET;
    out->begin[d] = explicit_pads ? pads[d] : 0;
    out->end[d] = explicit_pads ? pads[d + spatial] : 0;
    const kp_expr reach = kp_dim_mul(infer, kp_dim_sub(infer, out->kernel[d], 1), dilation[d]);
    out->extent[d] = kp_dim_add(infer, reach, 1);
  }
  return NULL;
}

kp_status* kp_window_size(kp_infer* infer, const kp_window* window, uint32_t i, int32_t d,
                          kp_expr size, kp_expr* out) {
  const int64_t stride = window->stride[d];
  if (window->auto_pad == KP_PAD_SAME) {
    *out = kp_dim_op(infer, KP_EXPR_CEILDIV, size, stride);
    return NULL;
  }
  const kp_expr padded =
      kp_dim_add(infer, kp_dim_add(infer, size, window->begin[d]), window->end[d]);
  const kp_expr room = kp_dim_sub(infer, padded, window->extent[d]);
  kp_expr count = kp_dim_add(
      infer, kp_dim_op(infer, window->ceil_mode ? KP_EXPR_CEILDIV : KP_EXPR_DIV, room, stride), 1);
  // Windows that would start in the padding at the end are ignored (as PyTorch does).
  if (window->ceil_mode && stride > 1) {
    const kp_expr last = kp_dim_mul(infer, kp_dim_sub(infer, count, 1), stride);
    const kp_expr data = kp_dim_add(infer, size, window->begin[d]);
    if (kp_is_number(last) && kp_is_number(data)) {
      if (last >= data) --count;
    } else if (kp_is_symbol(window->extent[d]) || window->end[d] > window->extent[d] - stride) {
      count = kp_dim_fresh(infer);
    }
  }
  if (kp_is_number(count) && count < 0)
    return kp_in_error(infer, i,
                       "spatial dim %d is %lld; too small for a window of %lld after padding", d,
                       (long long)size, (long long)window->extent[d]);
  *out = count;
  return NULL;
}

// --- convolutions -------------------------------------------------------------------------------------------------------
// The checks that all convolutions share. *out_ready false: a rank is not known.
static kp_status* check_convolution(kp_infer* infer, uint32_t x, uint32_t w, bool* out_ready) {
  *out_ready = false;
  KP_PASS(kp_in_check_rank(infer, x, 3, -1));
  KP_PASS(kp_in_check_rank(infer, w, 3, -1));
  const int32_t rank = kp_in_rank(infer, x);
  if (rank < 0 || kp_in_rank(infer, w) < 0) return NULL;
  KP_PASS(kp_in_check_rank(infer, w, rank, rank));
  if (kp_node_attr_i(infer->node, "group", 1) < 1)
    return kp_node_error(infer, "attribute 'group' is %lld; expected 1 or more",
                         (long long)kp_node_attr_i(infer->node, "group", 1));
  *out_ready = true;
  return NULL;
}

static kp_status* check_bias(kp_infer* infer, uint32_t bias, kp_expr channels) {
  KP_PASS(kp_in_check_rank(infer, bias, 1, 1));
  return kp_in_rank(infer, bias) == 1 ? kp_in_check_dim(infer, bias, 0, channels, "output channels")
                                      : NULL;
}

// Output of unknown size: the rank of X or W, where one is known.
static kp_status* convolution_unknown(kp_infer* infer, uint32_t x, uint32_t w,
                                      kapell_type element) {
  const int32_t rank = kp_in_rank(infer, x) >= 0 ? kp_in_rank(infer, x) : kp_in_rank(infer, w);
  if (rank >= 0) return kp_out_fresh(infer, 0, element, rank);
  kp_out_any_rank(infer, 0, element);
  return NULL;
}

kp_status* kp_infer_convolution(kp_infer* infer, uint32_t x, uint32_t w, kapell_type element) {
  bool ready;
  KP_PASS(check_convolution(infer, x, w, &ready));
  if (!ready) return convolution_unknown(infer, x, w, element);
  const int32_t rank = kp_in_rank(infer, x);
  const int64_t group = kp_node_attr_i(infer->node, "group", 1);
  const kp_expr filters = kp_in_dim(infer, w, 0), depth = kp_in_dim(infer, w, 1);
  KP_PASS(kp_in_check_dim(infer, x, 1, kp_dim_mul(infer, depth, group),
                          "the channels of the weights times group"));
  if (kp_is_number(filters) && filters % group != 0)
    return kp_in_error(infer, w, "dim 0 is %lld; expected a multiple of attribute 'group', %lld",
                       (long long)filters, (long long)group);
  kp_window window;
  KP_PASS(kp_window_read(infer, rank - 2, infer->inputs[w]->dims + 2, &window));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  dims[0] = kp_in_dim(infer, x, 0);
  dims[1] = filters;
  for (int32_t d = 0; d < rank - 2; ++d)
    KP_PASS(kp_window_size(infer, &window, x, d, kp_in_dim(infer, x, d + 2), &dims[d + 2]));
  return NULL;
}

static kp_status* conv(kp_infer* infer) {
  KP_PASS(kp_infer_convolution(infer, 0, 1, kp_in_element(infer, 0)));
  return kp_in_rank(infer, 1) > 0 ? check_bias(infer, 2, kp_in_dim(infer, 1, 0)) : NULL;
}

static kp_status* conv_integer(kp_infer* infer) {
  return kp_infer_convolution(infer, 0, 1, KAPELL_INT32);
}

static kp_status* deform_conv(kp_infer* infer) {
  KP_PASS(kp_infer_convolution(infer, 0, 1, kp_in_element(infer, 0)));
  const kp_type* out =
      kp_in_rank(infer, 0) >= 0 && kp_in_rank(infer, 1) >= 0 ? infer->outputs : NULL;
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 2, rank >= 0 ? rank : 3, rank));
  if (!out || infer->node->output_count == 0 || kp_in_rank(infer, 2) < 0) return NULL;
  for (int32_t d = 2; d < rank; ++d)
    KP_PASS(kp_in_check_dim(infer, 2, d, out->dims[d], "the dim of the output"));
  return check_bias(infer, 3, kp_in_dim(infer, 1, 0));
}

// Size along one axis of a transposed convolution: stride * (size - 1) + output_padding + extent - pads.
static kp_expr transposed_size(kp_infer* infer, const kp_window* window, int32_t d, kp_expr size,
                               int64_t extra) {
  const kp_expr last = kp_dim_mul(infer, kp_dim_sub(infer, size, 1), window->stride[d]);
  const kp_expr tail = kp_dim_add(infer, window->extent[d], extra);
  const kp_expr full = kp_dim_add(infer, last, tail);
  if (window->auto_pad != KP_PAD_SAME)
    return kp_dim_sub(infer, kp_dim_sub(infer, full, window->begin[d]), window->end[d]);
  // SAME cuts down to size * stride, and never pads.
  const kp_expr cut = kp_dim_op(infer, KP_EXPR_MAX, 0, kp_dim_sub(infer, tail, window->stride[d]));
  return kp_dim_sub(infer, full, cut);
}

static kp_status* conv_transpose(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  bool ready;
  KP_PASS(check_convolution(infer, 0, 1, &ready));
  if (!ready) return convolution_unknown(infer, 0, 1, element);
  const int32_t rank = kp_in_rank(infer, 0), spatial = rank - 2;
  const int64_t group = kp_node_attr_i(infer->node, "group", 1);
  KP_PASS(kp_in_check_dim(infer, 1, 0, kp_in_dim(infer, 0, 1), "the channels of X"));
  if (kp_is_number(kp_in_dim(infer, 0, 1)) && kp_in_dim(infer, 0, 1) % group != 0)
    return kp_in_error(infer, 0, "dim 1 is %lld; expected a multiple of attribute 'group', %lld",
                       (long long)kp_in_dim(infer, 0, 1), (long long)group);
  kp_window window;
  KP_PASS(kp_window_read(infer, spatial, infer->inputs[1]->dims + 2, &window));
  int64_t extra[KP_MAX_RANK];
  KP_PASS(read_list(infer, "output_padding", (size_t)spatial, 0, 0, extra));
  size_t wanted_count;
  const int64_t* wanted = kp_node_attr_ints(infer->node, "output_shape", &wanted_count);
  // Old files repeat batch and channels in front.
  if (wanted && wanted_count == (size_t)rank) wanted += 2, wanted_count -= 2;
  if (wanted && wanted_count != 0 && wanted_count != (size_t)spatial)
    return kp_node_error(infer, "attribute 'output_shape' has %zu entries; expected %d",
                         wanted_count, spatial);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[1] = kp_dim_mul(infer, kp_in_dim(infer, 1, 1), group);
  for (int32_t d = 0; d < spatial; ++d) {
    if (wanted && wanted_count)
      dims[d + 2] = wanted[d];
    else
      dims[d + 2] = transposed_size(infer, &window, d, kp_in_dim(infer, 0, d + 2), extra[d]);
    if (kp_is_number(dims[d + 2]) && dims[d + 2] < 0)
      return kp_node_error(infer, "spatial dim %d of the output would be %lld", d,
                           (long long)dims[d + 2]);
  }
  return check_bias(infer, 2, dims[1]);
}

// Depthwise, causal, stride 1: the sequence keeps its length; the state holds the last kernel - 1 positions.
static kp_status* causal_conv_with_state(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  KP_PASS(kp_in_check_rank(infer, 1, 3, 3));
  KP_PASS(kp_in_check_rank(infer, 3, 3, 3));
  kp_out_shape_of(infer, 0, element, 0);
  if (kp_in_rank(infer, 0) < 0 || kp_in_rank(infer, 1) < 0)
    return kp_out_fresh(infer, 1, element, 3);
  KP_PASS(kp_in_check_dim(infer, 1, 0, kp_in_dim(infer, 0, 1), "the channels of input"));
  KP_PASS(kp_in_check_dim(infer, 1, 1, 1, "depthwise"));
  KP_PASS(check_bias(infer, 2, kp_in_dim(infer, 0, 1)));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 1, element, 3, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[1] = kp_in_dim(infer, 0, 1);
  dims[2] = kp_dim_sub(infer, kp_in_dim(infer, 1, 2), 1);
  if (kp_is_symbol(dims[2]) && kp_in_rank(infer, 3) == 3) dims[2] = kp_in_dim(infer, 3, 2);
  for (int32_t d = 0; kp_in_rank(infer, 3) == 3 && d < 3; ++d)
    KP_PASS(kp_in_check_dim(infer, 3, d, dims[d], "batch, channels, kernel - 1"));
  return NULL;
}

// --- poolings -----------------------------------------------------------------------------------------------------------
static kp_status* pool(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    kp_out_any_rank(infer, 1, KAPELL_INT64);
    return NULL;
  }
  kp_window window;
  KP_PASS(kp_window_read(infer, rank - 2, NULL, &window));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[1] = kp_in_dim(infer, 0, 1);
  for (int32_t d = 0; d < rank - 2; ++d)
    KP_PASS(kp_window_size(infer, &window, 0, d, kp_in_dim(infer, 0, d + 2), &dims[d + 2]));
  kp_out_tensor(infer, 1, KAPELL_INT64, rank, dims);
  return NULL;
}

static kp_status* global_pool(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = d < 2 ? kp_in_dim(infer, 0, d) : 1;
  return NULL;
}

static kp_status* max_unpool(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, 1, rank, rank));
  for (int32_t d = 0; d < kp_in_rank(infer, 1); ++d)
    KP_PASS(kp_in_check_dim(infer, 1, d, kp_in_dim(infer, 0, d), "the dim of X"));
  kp_window window;
  KP_PASS(kp_window_read(infer, rank - 2, NULL, &window));
  if (kp_in_given(infer, 2)) {
    kp_ints shape;
    if (!kp_in_ints(infer, 2, &shape)) return kp_out_fresh(infer, 0, element, rank);
    if (shape.n != (uint32_t)rank)
      return kp_in_error(infer, 2, "%u entries; expected %d", shape.n, rank);
    kp_out_tensor(infer, 0, element, rank, shape.v);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[1] = kp_in_dim(infer, 0, 1);
  for (int32_t d = 0; d < rank - 2; ++d)
    dims[d + 2] = transposed_size(infer, &window, d, kp_in_dim(infer, 0, d + 2), 0);
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_nn[] = {
    {"", "Conv", 1, conv, 0, 0},
    {"", "ConvInteger", 10, conv_integer, 0, 0},
    {"", "ConvTranspose", 1, conv_transpose, 0, 0},
    {"", "DeformConv", 19, deform_conv, 0, 0},
    {"", "CausalConvWithState", 27, causal_conv_with_state, 0, 0},
    {"", "AveragePool", 1, pool, 0, 0},
    {"", "MaxPool", 1, pool, 0, 0},
    {"", "LpPool", 1, pool, 0, 0},
    {"", "GlobalAveragePool", 1, global_pool, 0, 0},
    {"", "GlobalMaxPool", 1, global_pool, 0, 0},
    {"", "GlobalLpPool", 1, global_pool, 0, 0},
    {"", "MaxUnpool", 9, max_unpool, 1u << 2, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
