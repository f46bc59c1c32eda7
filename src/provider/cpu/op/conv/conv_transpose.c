// ConvTranspose on channels-first tensors of any rank: the filters, transposed, times the picture, then windows added (col2im). A
// task is some output channels of one picture's group, so that tasks add to planes of their own. f32 multiplies on kernel/gemm, f64 by
// plain loops. Partitions of pictures seldom come here: a pass of fuse/ moves them to conv_transpose_last.c.
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/conv/col2im.h"
#include "provider/cpu/packed.h"

#define CHUNK_ELEMENTS (256 * 1024)  // of products waiting to be added

typedef struct transpose_state {
  const kp_gemm_ops* gemm;
  const float* filters;  // f32 constant, [group][M * taps][C]; NULL: turned around in each run
} transpose_state;

typedef struct transpose_params {
  kp_window window;
  size_t batch, groups, in_channels, out_channels;  // channels of one group
  size_t channels, channel_tasks;  // output channels of one task, and how many such
  size_t size;                     // of an element
  size_t columns_bytes, worker_bytes, filters_place;
  kp_gemm_plan product;  // of a whole task
} transpose_params;

static size_t up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// [C][columns] of each group to [columns][C].
#define TURN(type)                                                                      \
  static void turn_##type(size_t groups, size_t rows, size_t columns, const type* from, \
                          type* to) {                                                   \
    for (size_t g = 0; g < groups; ++g, from += rows * columns, to += rows * columns)   \
      for (size_t r = 0; r < rows; ++r)                                                 \
        for (size_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];  \
  }
TURN(float)
TURN(double)

static kp_status* transpose_prepare(kp_op_prepare* prepare) {
  transpose_state* state = kp_arena_new(prepare->arena, transpose_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->gemm = kp_gemm_select(prepare->features);
  const kapell_value* w = kp_prepare_constant(prepare, 1);
  const int64_t groups = kp_node_attr_i(prepare->node, "group", 1);
  if (!w || w->type != KAPELL_FLOAT || w->rank < 3 || groups < 1 || w->dims[0] % groups)
    return NULL;
  float* filters = kp_prepare_packed(prepare, w->byte_count);
  if (!filters) return KP_ERROR(OUT_OF_MEMORY, "packing %zu bytes", w->byte_count);
  turn_float((size_t)groups, (size_t)(w->dims[0] / groups), kp_span(w, 1, w->rank), w->data,
             filters);
  state->filters = kp_prepare_settle(prepare, filters);
  prepare->consumed[1] = true;
  return NULL;
}

static kp_gemm_shape shape_of(const transpose_params* p, size_t channels) {
  return (kp_gemm_shape){1, channels * p->window.kernel_count, p->window.out_count, p->in_channels,
                         KP_GEMM_B_PLAIN};
}

// Cuts the output channels into tasks and lays the scratch out.
static kp_status* cut(kp_op_plan* plan, transpose_params* p, bool turned) {
  const transpose_state* state = plan->state;
  size_t each, bytes;
  if (!kp_mul_size(p->window.kernel_count, p->window.out_count, &each))
    return KP_ERROR(LIMIT, "windows of more elements than memory can hold");
  const size_t groups = p->batch * p->groups, wanted = (size_t)plan->width * 2;
  p->channels = kp_max_size(CHUNK_ELEMENTS / kp_max_size(each, 1), 1);
  if (groups && groups < wanted)
    p->channels = kp_min_size(p->channels, up(p->out_channels * groups, wanted) / wanted);
  p->channels = kp_min_size(kp_max_size(p->channels, 1), kp_max_size(p->out_channels, 1));
  p->channel_tasks = (p->out_channels + p->channels - 1) / p->channels;
  if (!kp_mul_size(each, p->channels * p->size, &bytes))
    return KP_ERROR(LIMIT, "windows of more elements than memory can hold");
  p->columns_bytes = up(bytes, KP_ALIGNMENT);
  if (p->size == sizeof(float)) {
    const kp_gemm_shape shape = shape_of(p, p->channels);
    kp_gemm_plan_init(state->gemm, &shape, 1, &p->product);
  }
  // A smaller last task may be cut differently; see conv.c.
  const size_t product = up(p->product.scratch_bytes * 2 + 4096 * sizeof(float), KP_ALIGNMENT);
  p->worker_bytes = p->columns_bytes + product;
  p->filters_place = p->worker_bytes * (size_t)plan->width;
  plan->scratch_bytes = p->filters_place + (turned ? 0 : plan->inputs[1]->byte_count);
  return NULL;
}

static kp_status* transpose_plan(kp_op_plan* plan) {
  const transpose_state* state = plan->state;
  transpose_params* p = kp_arena_new(plan->arena, transpose_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *x = plan->inputs[0], *w = plan->inputs[1], *y = plan->outputs[0];
  KP_PASS(kp_window_init_transposed(&p->window, plan->node, x, y, w->dims + 2));
  const int64_t groups = kp_node_attr_i(plan->node, "group", 1);
  if (groups < 1 || x->dims[1] != w->dims[0] || x->dims[1] % groups ||
      y->dims[1] != w->dims[1] * groups)
    return KP_ERROR(RUN_FAILED, "%lld channels in %lld groups do not fit filters of %lld",
                    (long long)x->dims[1], (long long)groups, (long long)w->dims[0]);
  p->batch = (size_t)x->dims[0];
  p->groups = (size_t)groups;
  p->in_channels = (size_t)(x->dims[1] / groups);
  p->out_channels = (size_t)w->dims[1];
  p->size = kp_type_bits(x->type) / 8;
  return cut(plan, p, state->filters != NULL);
}

typedef struct transpose_job {
  const kp_op_run* run;
  const transpose_params* params;
  const void* filters;  // [group][M * taps][C]
} transpose_job;

static void multiply_float(const transpose_job* job, const float* filters, const float* x,
                           size_t channels, char* scratch) {
  const transpose_params* p = job->params;
  const transpose_state* state = job->run->state;
  kp_gemm_args args = {.a = filters,
                       .a_stride = p->in_channels,
                       .b = x,
                       .b_stride = p->window.out_count,
                       .c = (float*)(void*)scratch,
                       .c_stride = p->window.out_count,
                       .epilogue = KP_EPILOGUE_NONE};
  kp_gemm_plan plan = p->product;
  const kp_gemm_shape shape = shape_of(p, channels);
  if (channels != p->channels) kp_gemm_plan_init(state->gemm, &shape, 1, &plan);
  for (size_t i = 0; i < plan.task_count; ++i)
    kp_gemm_run_task(&plan, &args, i, scratch + p->columns_bytes);
}

static void multiply_double(const transpose_params* p, const double* filters, const double* x,
                            size_t channels, double* columns) {
  const size_t count = p->window.out_count;
  for (size_t r = 0; r < channels * p->window.kernel_count; ++r, columns += count) {
    memset(columns, 0, count * sizeof(*columns));
    for (size_t c = 0; c < p->in_channels; ++c) {
      const double weight = filters[r * p->in_channels + c];
      for (size_t i = 0; i < count; ++i) columns[i] += weight * x[c * count + i];
    }
  }
}

static void fill_plane(const kapell_value* bias, size_t channel, kapell_type type, size_t count,
                       void* plane) {
  if (type == KAPELL_DOUBLE) {
    const double value = bias ? ((const double*)bias->data)[channel] : 0;
    for (size_t i = 0; i < count; ++i) ((double*)plane)[i] = value;
  } else {
    const float value = bias ? ((const float*)bias->data)[channel] : 0;
    for (size_t i = 0; i < count; ++i) ((float*)plane)[i] = value;
  }
}

static void transpose_task(void* arg, size_t task, int worker) {
  const transpose_job* job = arg;
  const transpose_params* p = job->params;
  const kapell_value *x = job->run->inputs[0], *bias = kp_run_input(job->run, 2);
  if (kp_cancelled(job->run)) return;
  const size_t group = task / p->channel_tasks;  // of all pictures
  const size_t first = task % p->channel_tasks * p->channels,
               channels = kp_min_size(p->channels, p->out_channels - first);
  const size_t filter =
      (group % p->groups * p->out_channels + first) * p->window.kernel_count * p->in_channels;
  char* scratch = (char*)job->run->scratch + (size_t)worker * p->worker_bytes;
  const char *from = (const char*)x->data + group * p->in_channels * p->window.out_count * p->size,
             *filters = (const char*)job->filters + filter * p->size;
  if (x->type == KAPELL_DOUBLE)
    multiply_double(p, (const double*)(const void*)filters, (const double*)(const void*)from,
                    channels, (double*)(void*)scratch);
  else
    multiply_float(job, (const float*)(const void*)filters, (const float*)(const void*)from,
                   channels, scratch);
  const size_t columns = p->window.kernel_count * p->window.out_count * p->size;
  for (size_t c = 0; c < channels; ++c) {
    char* plane = (char*)job->run->outputs[0]->data +
                  (group * p->out_channels + first + c) * p->window.in_count * p->size;
    fill_plane(bias, group % p->groups * p->out_channels + first + c, x->type, p->window.in_count,
               plane);
    kp_col2im_of(x->type)(&p->window, scratch + c * columns, plane);
  }
}

static kp_status* transpose_run(const kp_op_run* run) {
  const transpose_state* state = run->state;
  const transpose_params* p = run->params;
  const kapell_value* w = run->inputs[1];
  transpose_job job = {run, p, state->filters};
  if (!kp_value_count(run->outputs[0])) return NULL;
  if (!state->filters) {
    void* turned = (char*)run->scratch + p->filters_place;
    const size_t columns = p->out_channels * p->window.kernel_count;
    if (w->type == KAPELL_DOUBLE)
      turn_double(p->groups, p->in_channels, columns, w->data, turned);
    else
      turn_float(p->groups, p->in_channels, columns, w->data, turned);
    job.filters = turned;
  }
  const size_t work = kp_value_count(run->inputs[0]) * p->out_channels * p->window.kernel_count;
  kp_parallel_for_dynamic(kp_op_width(run->width, work / 8),
                          p->batch * p->groups * p->channel_tasks, transpose_task, &job);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator ConvTranspose-1..22
    {.name = "ConvTranspose", .since = 1, .types = KP_M_REALS, .supports = kp_window_supports, .prepare = transpose_prepare,
     .plan = transpose_plan, .run = transpose_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
};
// clang-format on
KP_OP_TABLE(conv_transpose);
