// Col2Im, and the addition of windows that it shares with ConvTranspose; see col2im.h.
#include "provider/cpu/op/conv/col2im.h"

// Offset in the picture of the row that tap |tap| of the |row|-th row of places (all dims but the last) lies in; false: outside.
static bool row_of(const kp_window* w, size_t row, const int64_t* tap, size_t* out_offset) {
  const int32_t last = w->rank - 1;
  int64_t position[KP_MAX_WINDOW], base = 0;
  kp_unflatten(row, last, w->out, position);
  for (int32_t d = 0; d < last; ++d) {
    const int64_t at = position[d] * w->stride[d] - w->begin[d] + tap[d] * w->dilation[d];
    if (at < 0 || at >= w->in[d]) return false;
    base = base * w->in[d] + at;
  }
  *out_offset = (size_t)(base * w->in[last]);
  return true;
}

#define ADD_WINDOWS(name, type, parts)                                             \
  static void add_##name(const kp_window* w, const void* columns, void* picture) { \
    const int32_t last = w->rank - 1;                                              \
    const size_t row = (size_t)w->out[last], rows = row ? w->out_count / row : 0;  \
    const type* from = columns;                                                    \
    int64_t tap[KP_MAX_WINDOW], first, end;                                        \
    size_t offset;                                                                 \
    for (size_t k = 0; k < w->kernel_count; ++k) {                                 \
      kp_unflatten(k, w->rank, w->kernel, tap);                                    \
      kp_window_reach(w, last, tap[last], &first, &end);                           \
      const int64_t shift = tap[last] * w->dilation[last] - w->begin[last];        \
      for (size_t r = 0; r < rows; ++r, from += row * (parts)) {                   \
        if (!row_of(w, r, tap, &offset)) continue;                                 \
        type* to = (type*)picture + offset * (parts);                              \
        for (int64_t i = first; i < end; ++i) {                                    \
          for (int64_t p = 0; p < (parts); ++p) {                                  \
            type* at = to + (i * w->stride[last] + shift) * (parts) + p;           \
            *at = (type)(*at + from[i * (parts) + p]);                             \
          }                                                                        \
        }                                                                          \
      }                                                                            \
    }                                                                              \
  }
ADD_WINDOWS(FLOAT, float, 1)
ADD_WINDOWS(DOUBLE, double, 1)
ADD_WINDOWS(COMPLEX64, float, 2)
ADD_WINDOWS(COMPLEX128, double, 2)
// Whole numbers wrap around, which is the same for both signs.
ADD_WINDOWS(UINT8, uint8_t, 1)
ADD_WINDOWS(UINT16, uint16_t, 1)
ADD_WINDOWS(UINT32, uint32_t, 1)
ADD_WINDOWS(UINT64, uint64_t, 1)

kp_col2im_fn kp_col2im_of(kapell_type type) {
  switch (type) {
    case KAPELL_FLOAT:
      return add_FLOAT;
    case KAPELL_DOUBLE:
      return add_DOUBLE;
    case KAPELL_COMPLEX64:
      return add_COMPLEX64;
    case KAPELL_COMPLEX128:
      return add_COMPLEX128;
    default:
      break;
  }
  if (!kp_type_is_integer(type) && type != KAPELL_BOOL) return NULL;
  switch (kp_type_bits(type)) {
    case 8:
      return add_UINT8;
    case 16:
      return add_UINT16;
    case 32:
      return add_UINT32;
    case 64:
      return add_UINT64;
    default:
      return NULL;
  }
}

// --- Col2Im ------------------------------------------------------------------------------------------------------------------------
static kp_reason col2im_supports(const kp_op_query* query) {
  const kapell_type type = kp_query_type(query, 0);
  KP_REQUIRE(query, type != KAPELL_STRING, "texts: they cannot be added");
  return KP_SUPPORTED;
}

// The window, from the picture's dims (of y), the block's and the attributes; places along each dim follow from those.
static kp_status* read_window(const kp_op_run* run, kp_window* w) {
  const kapell_value *x = run->inputs[0], *block = run->inputs[2], *y = run->outputs[0];
  int64_t kernel[KP_MAX_WINDOW], dims[KP_MAX_WINDOW + 2] = {1, 1};
  const int32_t rank = y->rank - 2;
  if (rank < 1 || rank > KP_MAX_WINDOW || kp_value_count(block) != (size_t)rank)
    return KP_ERROR(RUN_FAILED, "blocks of %zu dims for a picture of %d", kp_value_count(block),
                    (int)rank);
  kapell_value places = {.kind = KAPELL_KIND_TENSOR, .rank = y->rank, .dims = dims};
  for (int32_t d = 0; d < rank; ++d) {
    kernel[d] = kp_int_at(block, (size_t)d);
    if (kernel[d] < 1) return KP_ERROR(RUN_FAILED, "a block of size %lld", (long long)kernel[d]);
    dims[d + 2] = 0;
  }
  KP_PASS(kp_window_init(w, run->node, y, &places, kernel));
  w->out_count = 1;
  for (int32_t d = 0; d < rank; ++d) {
    int64_t room = w->in[d], reach;
    if (!kp_mul_i64(kernel[d] - 1, w->dilation[d], &reach) ||
        !kp_add_i64(room, w->begin[d], &room) || !kp_add_i64(room, w->end[d], &room) ||
        w->stride[d] < 1 || w->dilation[d] < 1 || room <= reach)
      return KP_ERROR(RUN_FAILED, "blocks do not fit into dim %d of the picture", (int)d);
    w->out[d] = (room - reach - 1) / w->stride[d] + 1;
    if (!kp_mul_size(w->out_count, (size_t)w->out[d], &w->out_count))
      return KP_ERROR(RUN_FAILED, "more blocks than memory can hold");
  }
  if ((int64_t)w->out_count != x->dims[2])
    return KP_ERROR(RUN_FAILED, "the input has %lld blocks; the picture has room for %zu",
                    (long long)x->dims[2], w->out_count);
  return NULL;
}

typedef struct col2im_job {
  const kp_op_run* run;
  const kp_window* window;
  kp_col2im_fn add;
  size_t size;
} col2im_job;

static void col2im_task(void* arg, size_t plane, int worker) {
  (void)worker;
  const col2im_job* job = arg;
  const kp_window* w = job->window;
  if (kp_cancelled(job->run)) return;
  job->add(
      w,
      (const char*)job->run->inputs[0]->data + plane * w->kernel_count * w->out_count * job->size,
      (char*)job->run->outputs[0]->data + plane * w->in_count * job->size);
}

static kp_status* col2im_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  kp_window window;
  if (!kp_value_count(y)) return NULL;
  KP_PASS(read_window(run, &window));
  if ((uint64_t)y->dims[1] * window.kernel_count != (uint64_t)run->inputs[0]->dims[1])
    return KP_ERROR(RUN_FAILED, "%lld rows are not %lld channels of %zu",
                    (long long)run->inputs[0]->dims[1], (long long)y->dims[1], window.kernel_count);
  KP_PASS(kp_zero_tensor(y));
  col2im_job job = {run, &window, kp_col2im_of(y->type), kp_type_bits(y->type) / 8};
  kp_parallel_for(kp_op_width(run->width, kp_value_count(run->inputs[0])),
                  (size_t)(y->dims[0] * y->dims[1]), col2im_task, &job);
  for (size_t i = 0; y->type == KAPELL_BOOL && i < y->byte_count; ++i)
    ((uint8_t*)y->data)[i] = ((uint8_t*)y->data)[i] != 0;
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator Col2Im-18
    {.name = "Col2Im", .since = 18, .supports = col2im_supports, .run = col2im_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(col2im);
