// DeformConv on channels-first tensors of any rank: as Conv, but each tap of each window is read where an offset says, between pixels,
// and scaled by a mask. Windows are sampled side by side, a chunk of output pixels at a time, and multiplied by the filters: f32 on
// kernel/gemm, f64 by plain loops.
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/conv/window.h"
#include "provider/cpu/op/picture/sample.h"

#define CHUNK_ELEMENTS (64 * 1024)  // of sampled windows

typedef struct deform_state {
  const kp_gemm_ops* gemm;
} deform_state;

typedef struct deform_params {
  kp_window window;
  size_t batch, groups, in_channels, out_channels;  // channels of one group
  size_t offset_groups, channels_an_offset;
  size_t size;           // of an element
  size_t chunk, chunks;  // output pixels of one task; tasks of one picture's group
  kp_gemm_plan product;  // of a whole chunk
  size_t columns_bytes, worker_bytes;
} deform_params;

static kp_status* deform_prepare(kp_op_prepare* prepare) {
  deform_state* state = kp_arena_new(prepare->arena, deform_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  state->gemm = kp_gemm_select(prepare->features);
  prepare->state = state;
  return NULL;
}

static size_t up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

static kp_gemm_shape shape_of(const deform_params* p, size_t pixels) {
  return (kp_gemm_shape){1, p->out_channels, pixels, p->in_channels * p->window.kernel_count,
                         KP_GEMM_B_PLAIN};
}

static kp_status* cut(kp_op_plan* plan, deform_params* p) {
  const deform_state* state = plan->state;
  const size_t depth = p->in_channels * p->window.kernel_count;
  const size_t fit = kp_max_size(CHUNK_ELEMENTS / kp_max_size(depth, 1), 16);
  p->chunk = kp_min_size(p->window.out_count, fit);
  p->chunks = p->chunk ? (p->window.out_count + p->chunk - 1) / p->chunk : 0;
  size_t bytes;
  if (!kp_mul_size(depth, p->chunk * p->size, &bytes))
    return KP_ERROR(LIMIT, "windows of more elements than memory can hold");
  p->columns_bytes = up(bytes, KP_ALIGNMENT);
  if (p->size == sizeof(float)) {
    const kp_gemm_shape shape = shape_of(p, p->chunk);
    kp_gemm_plan_init(state->gemm, &shape, 1, &p->product);
  }
  // A smaller last chunk may be cut differently; see conv.c.
  p->worker_bytes =
      p->columns_bytes + up(p->product.scratch_bytes * 2 + 4096 * sizeof(float), KP_ALIGNMENT);
  plan->scratch_bytes = p->worker_bytes * (size_t)plan->width;
  return NULL;
}

// Inference has checked neither the channels of offset and mask nor the groups of offsets.
static kp_status* check(const kp_op_plan* plan, const deform_params* p, int64_t groups) {
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *offset = plan->inputs[2],
                     *y = plan->outputs[0], *mask = kp_plan_input(plan, 4);
  const int64_t taps = (int64_t)(p->offset_groups * p->window.kernel_count);
  if (groups < 1 || x->dims[1] != groups * w->dims[1] || w->dims[0] % groups)
    return KP_ERROR(RUN_FAILED, "%lld channels in %lld groups do not fit filters of %lld channels",
                    (long long)x->dims[1], (long long)groups, (long long)w->dims[1]);
  if (!p->offset_groups || x->dims[1] % (int64_t)p->offset_groups)
    return KP_ERROR(RUN_FAILED, "attribute 'offset_group' does not divide %lld channels",
                    (long long)x->dims[1]);
  for (int32_t d = 0; d < y->rank; ++d) {
    const int64_t wanted = d == 1 ? taps : d ? y->dims[d] : x->dims[0];
    if (offset->dims[d] != (d == 1 ? taps * p->window.rank : wanted) ||
        (mask && (mask->rank != y->rank || mask->dims[d] != wanted)))
      return KP_ERROR(RUN_FAILED, "dim %d of offset or mask does not fit the output and %zu taps",
                      (int)d, p->window.kernel_count);
  }
  return NULL;
}

static kp_status* deform_plan(kp_op_plan* plan) {
  deform_params* p = kp_arena_new(plan->arena, deform_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *y = plan->outputs[0];
  KP_PASS(kp_window_init(&p->window, plan->node, x, y, w->dims + 2));
  const int64_t groups = kp_node_attr_i(plan->node, "group", 1),
                offset_groups = kp_node_attr_i(plan->node, "offset_group", 1);
  p->offset_groups = offset_groups < 1 || offset_groups > x->dims[1] ? 0 : (size_t)offset_groups;
  KP_PASS(check(plan, p, groups));
  p->batch = (size_t)x->dims[0];
  p->groups = (size_t)groups;
  p->in_channels = (size_t)w->dims[1];
  p->out_channels = (size_t)(w->dims[0] / groups);
  p->channels_an_offset = (size_t)x->dims[1] / p->offset_groups;
  p->size = kp_type_bits(x->type) / 8;
  return cut(plan, p);
}

static double real_at(const kapell_value* value, size_t index) {
  return value->type == KAPELL_DOUBLE ? ((const double*)value->data)[index]
                                      : (double)((const float*)value->data)[index];
}

// Taps around the place that tap |k| of the window at output pixel |pixel| reads in group |group| of offsets; scaled by the mask.
static size_t place_taps(const deform_params* p, const kp_op_run* run, size_t picture, size_t group,
                         size_t k, size_t pixel, kp_tap* taps) {
  const kp_window* w = &p->window;
  const kapell_value *offset = run->inputs[2], *mask = kp_run_input(run, 4);
  int64_t position[KP_MAX_WINDOW], tap[KP_MAX_WINDOW];
  kp_sample_dim dims[KP_MAX_WINDOW];
  kp_unflatten(pixel, w->rank, w->out, position);
  kp_unflatten(k, w->rank, w->kernel, tap);
  const size_t row = (picture * p->offset_groups + group) * w->kernel_count + k;
  for (int32_t d = 0; d < w->rank; ++d) {
    const double start =
        (double)(position[d] * w->stride[d] - w->begin[d] + tap[d] * w->dilation[d]);
    const size_t at = (row * (size_t)w->rank + (size_t)d) * w->out_count + pixel;
    dims[d].size = w->in[d];
    kp_sample_linear(start + real_at(offset, at), &dims[d]);
  }
  const size_t count = kp_sample_join(w->rank, dims, 2, taps);
  const double scale = mask ? real_at(mask, row * w->out_count + pixel) : 1;
  for (size_t i = 0; i < count; ++i) taps[i].weight *= scale;
  return count;
}

// Fills [channels of the group][taps][count] from output pixel |first| on.
static void sample_windows(const deform_params* p, const kp_op_run* run, size_t picture,
                           size_t group, size_t first, size_t count, void* columns) {
  const kp_window* w = &p->window;
  const kapell_value* x = run->inputs[0];
  kp_tap taps[1 << KP_MAX_WINDOW];
  const size_t begin = group * p->in_channels, end = begin + p->in_channels,
               plane = picture * p->in_channels * p->groups;
  for (size_t at = begin; at < end;) {  // channels that share offsets
    const size_t offsets = at / p->channels_an_offset;
    const size_t stop = kp_min_size(end, (offsets + 1) * p->channels_an_offset);
    for (size_t k = 0; k < w->kernel_count; ++k) {
      for (size_t i = 0; i < count; ++i) {
        const size_t n = place_taps(p, run, picture, offsets, k, first + i, taps);
        for (size_t c = at; c < stop; ++c) {
          const size_t to = ((c - begin) * w->kernel_count + k) * count + i,
                       from = (plane + c) * w->in_count;
          if (x->type == KAPELL_DOUBLE)
            ((double*)columns)[to] = kp_sample_f64((const double*)x->data + from, taps, n);
          else
            ((float*)columns)[to] = kp_sample_f32((const float*)x->data + from, taps, n);
        }
      }
    }
    at = stop;
  }
}

static void multiply_double(const deform_params* p, const double* filters, const double* columns,
                            size_t count, const double* bias, double* y) {
  const size_t depth = p->in_channels * p->window.kernel_count;
  for (size_t m = 0; m < p->out_channels; ++m) {
    double* row = y + m * p->window.out_count;
    for (size_t i = 0; i < count; ++i) row[i] = bias ? bias[m] : 0;
    for (size_t k = 0; k < depth; ++k)
      for (size_t i = 0; i < count; ++i) row[i] += filters[m * depth + k] * columns[k * count + i];
  }
}

static void multiply_float(const kp_op_run* run, const float* filters, char* scratch, size_t count,
                           const float* bias, float* y) {
  const deform_params* p = run->params;
  const deform_state* state = run->state;
  kp_gemm_args args = {.a = filters,
                       .a_stride = p->in_channels * p->window.kernel_count,
                       .b = (const float*)(const void*)scratch,
                       .b_stride = count,
                       .c = y,
                       .c_stride = p->window.out_count,
                       .epilogue = KP_EPILOGUE_NONE};
  args.epilogue.bias_m = bias;
  kp_gemm_plan plan = p->product;
  const kp_gemm_shape shape = shape_of(p, count);
  if (count != p->chunk) kp_gemm_plan_init(state->gemm, &shape, 1, &plan);
  for (size_t i = 0; i < plan.task_count; ++i)
    kp_gemm_run_task(&plan, &args, i, scratch + p->columns_bytes);
}

static void deform_task(void* arg, size_t task, int worker) {
  const kp_op_run* run = arg;
  const deform_params* p = run->params;
  const kapell_value *w = run->inputs[1], *bias = kp_run_input(run, 3);
  if (kp_cancelled(run)) return;
  const size_t first = task % p->chunks * p->chunk, group = task / p->chunks % p->groups,
               picture = task / p->chunks / p->groups;
  const size_t count = kp_min_size(p->chunk, p->window.out_count - first);
  char* scratch = (char*)run->scratch + (size_t)worker * p->worker_bytes;
  sample_windows(p, run, picture, group, first, count, scratch);
  const size_t filter = group * p->out_channels, depth = p->in_channels * p->window.kernel_count,
               to = (picture * p->groups + group) * p->out_channels * p->window.out_count + first;
  if (w->type == KAPELL_DOUBLE)
    multiply_double(p, (const double*)w->data + filter * depth, (const double*)(const void*)scratch,
                    count, bias ? (const double*)bias->data + filter : NULL,
                    (double*)run->outputs[0]->data + to);
  else
    multiply_float(run, (const float*)w->data + filter * depth, scratch, count,
                   bias ? (const float*)bias->data + filter : NULL,
                   (float*)run->outputs[0]->data + to);
}

static kp_status* deform_run(const kp_op_run* run) {
  const deform_params* p = run->params;
  kp_op_run copy = *run;
  if (!kp_value_count(run->outputs[0])) return NULL;
  const size_t work = kp_value_count(run->inputs[2]) * p->in_channels;
  kp_parallel_for_dynamic(kp_op_width(run->width, work), p->batch * p->groups * p->chunks,
                          deform_task, &copy);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator DeformConv-19..22
    {.name = "DeformConv", .since = 19, .types = KP_M_REALS, .supports = kp_window_supports, .prepare = deform_prepare,
     .plan = deform_plan, .run = deform_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
};
// clang-format on
KP_OP_TABLE(deform_conv);
