// MaxUnpool, and CenterCropPad: elements moved to places in a tensor of zeros.
#include "provider/cpu/op/conv/window.h"
#include "provider/cpu/op/copy.h"

// --- MaxUnpool ---------------------------------------------------------------------------------------------------------------------
// Dims of the picture that the indices count in: what the window's attributes make of X. With an input output_shape the result may have
// others; the picture then lies in its first corner.
static kp_status* picture_dims(const kp_node* node, const kapell_value* x, int64_t* dims,
                               size_t* out_count) {
  kp_window window;
  kapell_value none = *x;  // only its dims are read
  KP_PASS(kp_window_init(&window, node, x, &none, NULL));
  *out_count = 1;
  for (int32_t d = 0; d < x->rank; ++d) {
    dims[d] = x->dims[d];
    const int32_t s = d - 2;
    int64_t last;
    if (d >= 2 &&
        (!kp_mul_i64(x->dims[d] - 1, window.stride[s], &last) ||
         !kp_add_i64(last, window.kernel[s], &last) || !kp_add_i64(last, -window.begin[s], &last) ||
         !kp_add_i64(last, -window.end[s], &last)))
      return KP_ERROR(RUN_FAILED, "strides or kernel_shape are out of range");
    if (d >= 2) dims[d] = kp_max_i64(last, 0);
    if (!kp_mul_size(*out_count, (size_t)dims[d], out_count))
      return KP_ERROR(RUN_FAILED, "a picture of more elements than memory can hold");
  }
  return NULL;
}

static kp_status* unpool_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1];
  kapell_value* y = run->outputs[0];
  int64_t dims[KP_MAX_RANK], position[KP_MAX_RANK];
  size_t total;
  KP_PASS(picture_dims(run->node, x, dims, &total));
  KP_PASS(kp_zero_tensor(y));
  const size_t count = kp_value_count(x), size = kp_type_bits(x->type) / 8;
  for (size_t i = 0; i < count; ++i) {
    const int64_t index = ((const int64_t*)indices->data)[i];
    if (index < 0 || (size_t)index >= total)
      return KP_ERROR(RUN_FAILED, "index %lld; the picture has %zu elements", (long long)index,
                      total);
    kp_unflatten((size_t)index, x->rank, dims, position);
    size_t to = 0;
    for (int32_t d = 0; d < x->rank; ++d) {
      if (position[d] >= y->dims[d])
        return KP_ERROR(RUN_FAILED, "index %lld lies outside of output_shape", (long long)index);
      to = to * (size_t)y->dims[d] + (size_t)position[d];
    }
    memcpy((char*)y->data + to * size, (const char*)x->data + i * size, size);
  }
  return NULL;
}

// --- CenterCropPad -----------------------------------------------------------------------------------------------------------------
static kp_status* center_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  int64_t dims[KP_MAX_RANK], from[KP_MAX_RANK], to[KP_MAX_RANK], from_at = 0, to_at = 0;
  kp_strides(x->rank, x->dims, from);
  kp_strides(y->rank, y->dims, to);
  for (int32_t d = 0; d < x->rank; ++d) {
    const int64_t more = y->dims[d] - x->dims[d];
    dims[d] = kp_min_i64(x->dims[d], y->dims[d]);
    if (more > 0) to_at += more / 2 * to[d];
    if (more < 0) from_at += -more / 2 * from[d];
  }
  KP_PASS(kp_zero_tensor(y));
  kp_copy copy;
  kp_copy_init(&copy, x->rank, dims, to, from);
  return kp_copy_run(&copy, y, to_at, x, from_at, run->width);
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators MaxUnpool-9..22, CenterCropPad-18
    {.name = "MaxUnpool", .since = 9, .types = KP_M_REALS, .supports = kp_window_supports, .run = unpool_run},
    {.name = "CenterCropPad", .since = 18, .run = center_run},
};
// clang-format on
KP_OP_TABLE(unpool);
