// The geometry of sliding windows; see window.h.
#include "provider/cpu/op/conv/window.h"

static kp_status* read_ints(const kp_node* node, const char* name, int32_t count, int64_t fallback,
                            int64_t* out) {
  size_t given;
  const int64_t* ints = kp_node_attr_ints(node, name, &given);
  if (given && given != (size_t)count)
    return KP_ERROR(RUN_FAILED, "%s has %zu entries, not %d", name, given, (int)count);
  for (int32_t i = 0; i < count; ++i) out[i] = given ? ints[i] : fallback;
  return NULL;
}

// Padding with which |out| windows of |reach| pixels cover |in|.
static void pad_dim(int64_t in, int64_t out, int64_t stride, int64_t reach, bool lower,
                    int64_t* begin, int64_t* end) {
  const int64_t total = kp_max_i64(0, (out - 1) * stride + reach - in);
  *begin = lower ? total - total / 2 : total / 2;
  *end = total - *begin;
}

static void pad_same(kp_window* window, bool lower) {
  for (int32_t d = 0; d < window->rank; ++d)
    pad_dim(window->in[d], window->out[d], window->stride[d],
            (window->kernel[d] - 1) * window->dilation[d] + 1, lower, &window->begin[d],
            &window->end[d]);
}

static kp_status* read_pads(kp_window* window, const kp_node* node) {
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  if (kp_str_is(mode, "SAME_UPPER") || kp_str_is(mode, "SAME_LOWER")) {
    pad_same(window, kp_str_is(mode, "SAME_LOWER"));
    return NULL;
  }
  int64_t pads[KP_MAX_WINDOW * 2] = {0};
  if (!kp_str_is(mode, "VALID")) KP_PASS(read_ints(node, "pads", window->rank * 2, 0, pads));
  for (int32_t d = 0; d < window->rank; ++d) {
    window->begin[d] = pads[d];
    window->end[d] = pads[window->rank + d];
  }
  return NULL;
}

// All but the padding.
static kp_status* read_window(kp_window* window, const kp_node* node, const kapell_value* x,
                              const kapell_value* y, const int64_t* kernel) {
  window->rank = x->rank - 2;
  if (window->rank < 1 || window->rank > KP_MAX_WINDOW)
    return KP_ERROR(RUN_FAILED, "windows over a tensor of rank %d", (int)x->rank);
  if (kernel)
    memcpy(window->kernel, kernel, sizeof(int64_t) * (size_t)window->rank);
  else
    KP_PASS(read_ints(node, "kernel_shape", window->rank, 1, window->kernel));
  KP_PASS(read_ints(node, "strides", window->rank, 1, window->stride));
  KP_PASS(read_ints(node, "dilations", window->rank, 1, window->dilation));
  window->in_count = window->out_count = window->kernel_count = 1;
  for (int32_t d = 0; d < window->rank; ++d) {
    window->in[d] = x->dims[d + 2];
    window->out[d] = y->dims[d + 2];
    window->in_count *= (size_t)window->in[d];
    window->out_count *= (size_t)window->out[d];
    window->kernel_count *= (size_t)window->kernel[d];
  }
  return NULL;
}

kp_status* kp_window_init(kp_window* window, const kp_node* node, const kapell_value* x,
                          const kapell_value* y, const int64_t* kernel) {
  KP_PASS(read_window(window, node, x, y, kernel));
  return read_pads(window, node);
}

// Padding that makes the output as large as it is, where it is not given itself.
static void pad_transposed(kp_window* window, const int64_t* extra, bool upper) {
  for (int32_t d = 0; d < window->rank; ++d) {
    const int64_t whole = (window->out[d] - 1) * window->stride[d] + extra[d] +
                          (window->kernel[d] - 1) * window->dilation[d] + 1;
    const int64_t total = kp_max_i64(0, whole - window->in[d]);
    window->begin[d] = upper ? total / 2 : total - total / 2;
    window->end[d] = total - window->begin[d];
  }
}

kp_status* kp_window_init_transposed(kp_window* window, const kp_node* node, const kapell_value* x,
                                     const kapell_value* y, const int64_t* kernel) {
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  const bool upper = kp_str_is(mode, "SAME_UPPER"), lower = kp_str_is(mode, "SAME_LOWER");
  int64_t extra[KP_MAX_WINDOW];
  size_t sizes, pads;
  KP_PASS(read_window(window, node, y, x, kernel));
  KP_PASS(read_ints(node, "output_padding", window->rank, 0, extra));
  kp_node_attr_ints(node, "output_shape", &sizes);
  kp_node_attr_ints(node, "pads", &pads);
  if (upper || lower || (sizes && !pads)) {
    pad_transposed(window, extra, upper);
    return NULL;
  }
  return read_pads(window, node);
}

// --- one dim, its output's size not known yet -------------------------------------------------------------------------------------
static int64_t entry(const kp_node* node, const char* name, size_t index, int64_t fallback) {
  size_t count;
  const int64_t* ints = kp_node_attr_ints(node, name, &count);
  return index < count ? ints[index] : fallback;
}

kp_status* kp_window_along(const kp_node* node, size_t index, size_t spatial, int64_t in,
                           kp_window_dim* w) {
  const kp_str mode = kp_node_attr_s(node, "auto_pad", "NOTSET");
  const bool lower = kp_str_is(mode, "SAME_LOWER"), valid = kp_str_is(mode, "VALID");
  *w = (kp_window_dim){.kernel = entry(node, "kernel_shape", index, 1),
                       .stride = entry(node, "strides", index, 1),
                       .dilation = entry(node, "dilations", index, 1),
                       .begin = valid ? 0 : entry(node, "pads", index, 0),
                       .end = valid ? 0 : entry(node, "pads", index + spatial, 0)};
  if (w->kernel < 1 || w->stride < 1 || w->dilation < 1)
    return KP_ERROR(INVALID_MODEL, "kernel_shape, strides or dilations below 1");
  const int64_t reach = (w->kernel - 1) * w->dilation + 1;
  if (lower || kp_str_is(mode, "SAME_UPPER")) {
    w->out = (in + w->stride - 1) / w->stride;
    pad_dim(in, w->out, w->stride, reach, lower, &w->begin, &w->end);
    return NULL;
  }
  const int64_t room = in + w->begin + w->end - reach;
  if (room < 0)
    return KP_ERROR(INVALID_INPUT, "a picture of %lld is smaller than the window of %lld",
                    (long long)in, (long long)reach);
  const bool ceil_mode = kp_node_attr_i(node, "ceil_mode", 0) != 0;
  w->out = (ceil_mode ? room + w->stride - 1 : room) / w->stride + 1;
  if (ceil_mode && (w->out - 1) * w->stride >= in + w->begin)
    --w->out;  // a window that starts in the padding after the picture
  return NULL;
}

kp_reason kp_window_supports(const kp_op_query* query) {
  const int32_t rank = kp_query_rank(query, 0);
  KP_REQUIRE(query, rank < 0 || (rank >= 3 && rank <= KP_MAX_WINDOW + 2),
             "rank %d; windows slide over 1 to %d dims", (int)rank, KP_MAX_WINDOW);
  return KP_SUPPORTED;
}
