// BatchNormalization and LRN: by channel, over the channels.
#include <math.h>

#include "provider/cpu/kernel/norm/norm.h"
#include "provider/cpu/op/help.h"

// --- BatchNormalization ------------------------------------------------------------------------------------------------------
typedef struct kp_batch_job {
  const kp_op_run* run;
  size_t batch, channels, pixels;
  const double *scale, *shift;  // by channel: y = x * scale + shift
  bool training;
} kp_batch_job;

// Statistics are kept for each channel, or with spatial=0 (until opset 9) for each element of an item of the batch.
static void set_shape(const kp_node* node, const kapell_value* x, kp_batch_job* job) {
  const bool spatial = node->version >= 9 || kp_node_attr_i(node, "spatial", 1);
  job->batch = x->rank ? (size_t)x->dims[0] : 1;
  job->channels = !spatial ? kp_span(x, 1, x->rank) : x->rank > 1 ? (size_t)x->dims[1] : 1;
  job->pixels = spatial && x->rank > 2 ? kp_span(x, 2, x->rank) : 1;
}

static kp_status* batch_plan(kp_op_plan* plan) {
  kp_batch_job job;
  set_shape(plan->node, plan->inputs[0], &job);
  const size_t channels = job.channels;
  for (uint32_t i = 1; i < 5; ++i)
    if (kp_value_count(plan->inputs[i]) < channels)
      return KP_ERROR(RUN_FAILED, "input %u has %zu elements for %zu channels", i,
                      kp_value_count(plan->inputs[i]), channels);
  plan->scratch_bytes = channels * 2 * (sizeof(double) + sizeof(float));
  return NULL;
}

static kp_status* batch_prepare(kp_op_prepare* prepare) {
  union {
    const kp_norm_ops* ops;
    void* state;
  } kernel = {kp_norm_select(prepare->features)};
  prepare->state = kernel.state;
  return NULL;
}

static void scale_plane(const double* x, double* y, size_t count, double scale, double shift) {
  for (size_t i = 0; i < count; ++i) y[i] = scale * x[i] + shift;
}

// In double precision: a batch that varies little has a scale so large that float32 would lose what is left of x - mean.
static void scale_plane_f32(const float* x, float* y, size_t count, double scale, double shift) {
  for (size_t i = 0; i < count; ++i) y[i] = (float)(scale * (double)x[i] + shift);
}

static void batch_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_batch_job* job = arg;
  const size_t channel = task % job->channels, at = task * job->pixels;
  const void* x = job->run->inputs[0]->data;
  void* y = job->run->outputs[0]->data;
  if (job->run->inputs[0]->type == KAPELL_FLOAT && job->training) {
    scale_plane_f32((const float*)x + at, (float*)y + at, job->pixels, job->scale[channel],
                    job->shift[channel]);
  } else if (job->run->inputs[0]->type == KAPELL_FLOAT) {
    const float scale = (float)job->scale[channel], shift = (float)job->shift[channel];
    const kp_norm_ops* kernel = job->run->state;
    kernel->scale_shift_rows(1, job->pixels, (const float*)x + at, job->pixels, &scale, &shift,
                             (float*)y + at, job->pixels, NULL);
  } else {
    scale_plane((const double*)x + at, (double*)y + at, job->pixels, job->scale[channel],
                job->shift[channel]);
  }
}

// Mean and variance of one channel over the batch: what training_mode=1 normalizes by.
static void moments(const kp_batch_job* job, size_t channel, double* mean, double* variance) {
  const double count = (double)(job->batch * job->pixels);
  double sum = 0, square = 0;
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t n = 0; n < job->batch; ++n) {
      for (size_t i = 0; i < job->pixels; ++i) {
        const double u =
            kp_double_at(job->run->inputs[0], (n * job->channels + channel) * job->pixels + i);
        if (pass == 0)
          sum += u;
        else
          square += (u - sum / count) * (u - sum / count);
      }
    }
  }
  *mean = sum / count;
  *variance = square / count;
}

static void store(kapell_value* value, size_t index, double number) {
  if (!value) return;
  if (value->type == KAPELL_DOUBLE)
    ((double*)value->data)[index] = number;
  else
    ((float*)value->data)[index] = (float)number;
}

// Until opset 14 whoever wants the statistics trains, unless is_test (until opset 7) denies it.
static bool trains(const kp_op_run* run) {
  const kp_node* node = run->node;
  if (node->version >= 14) return kp_node_attr_i(node, "training_mode", 0) != 0;
  if (node->version < 7 && kp_node_attr_i(node, "is_test", 0)) return false;
  for (uint32_t i = 1; i < node->output_count; ++i)
    if (kp_run_result(run, i)) return true;
  return false;
}

// Running statistics, outputs 1 and 2; until opset 14 also those of this batch, outputs 3 and 4.
static void blend(const kp_op_run* run, size_t channel, double mean, double variance) {
  const double momentum = (double)kp_node_attr_f(run->node, "momentum", 0.9f);
  store(kp_run_result(run, 1), channel,
        kp_double_at(run->inputs[3], channel) * momentum + mean * (1 - momentum));
  store(kp_run_result(run, 2), channel,
        kp_double_at(run->inputs[4], channel) * momentum + variance * (1 - momentum));
  store(kp_run_result(run, 3), channel, mean);
  store(kp_run_result(run, 4), channel, variance);
}

// Rows of channels, without pixels: dense layers have them. |room|: two floats a channel.
static void rows_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_batch_job* job = arg;
  const kp_norm_ops* kernel = job->run->state;
  const float* scale = (const float*)(job->shift + job->channels);
  size_t first, last;
  kp_share(job->batch, (size_t)job->run->width, task, &first, &last);
  const size_t at = first * job->channels;
  kernel->scale_shift(last - first, job->channels, (const float*)job->run->inputs[0]->data + at,
                      job->channels, scale, scale + job->channels,
                      (float*)job->run->outputs[0]->data + at, job->channels, NULL);
}

static void scale_rows(const kp_batch_job* job, double* room) {
  float* scale = (float*)room;
  for (size_t c = 0; c < job->channels; ++c) {
    scale[c] = (float)job->scale[c];
    scale[job->channels + c] = (float)job->shift[c];
  }
  kp_batch_job copy = *job;
  kp_parallel_for(kp_op_width(job->run->width, job->batch * job->channels / 4),
                  (size_t)job->run->width, rows_task, &copy);
}

static kp_status* batch_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kp_batch_job job = {.run = run};
  set_shape(run->node, x, &job);
  const bool training = job.training = trains(run);
  const double epsilon = (double)kp_node_attr_f(run->node, "epsilon", 1e-5f);
  double *scale = run->scratch, *shift = scale + job.channels;
  for (size_t c = 0; c < job.channels; ++c) {
    double mean = kp_double_at(run->inputs[3], c), variance = kp_double_at(run->inputs[4], c);
    if (training) moments(&job, c, &mean, &variance);
    blend(run, c, mean, variance);
    scale[c] = kp_double_at(run->inputs[1], c) / sqrt(variance + epsilon);
    shift[c] = kp_double_at(run->inputs[2], c) - mean * scale[c];
  }
  job.scale = scale;
  job.shift = shift;
  if (job.pixels == 1 && !training && x->type == KAPELL_FLOAT) {
    scale_rows(&job, shift + job.channels);
    return NULL;
  }
  kp_parallel_for(kp_op_width(run->width, kp_value_count(x)), job.batch * job.channels, batch_task,
                  &job);
  return NULL;
}

// --- LRN ---------------------------------------------------------------------------------------------------------------------
// One channel of one picture is a task: squares of its neighbours are summed for a block of pixels, then each is divided by a power
// of its sum. An exponent of 3/4, which all published nets have, is two square roots.
#define LRN_PIXELS 256

#define LRN(type, root, power)                                                            \
  static void lrn_##type(const kp_op_run* run, size_t task) {                             \
    const kapell_value* value = run->inputs[0];                                           \
    const int64_t channels = value->dims[1], size = kp_node_attr_i(run->node, "size", 1); \
    const int64_t c = (int64_t)task % channels;                                           \
    const size_t pixels = kp_span(value, 2, value->rank);                                 \
    const type alpha = (type)kp_node_attr_f(run->node, "alpha", 1e-4f) / (type)size,      \
               beta = (type)kp_node_attr_f(run->node, "beta", 0.75f),                     \
               bias = (type)kp_node_attr_f(run->node, "bias", 1);                         \
    const type* x = (const type*)value->data + (task - (size_t)c) * pixels;               \
    type* y = (type*)run->outputs[0]->data + task * pixels;                               \
    const int64_t low = kp_max_i64(0, c - (size - 1) / 2),                                \
                  high = kp_min_i64(channels - 1, c + size / 2);                          \
    for (size_t first = 0; first < pixels; first += LRN_PIXELS) {                         \
      const size_t count = kp_min_size(LRN_PIXELS, pixels - first);                       \
      const type* own = x + (size_t)c * pixels + first;                                   \
      type sum[LRN_PIXELS] = {0};                                                         \
      for (int64_t k = low; k <= high; ++k) {                                             \
        const type* u = x + (size_t)k * pixels + first;                                   \
        for (size_t i = 0; i < count; ++i) sum[i] += u[i] * u[i];                         \
      }                                                                                   \
      for (size_t i = 0; i < count; ++i) sum[i] = bias + alpha * sum[i];                  \
      if (beta == (type)0.75) {                                                           \
        for (size_t i = 0; i < count; ++i) sum[i] = root(sum[i]) * root(root(sum[i]));    \
      } else {                                                                            \
        for (size_t i = 0; i < count; ++i) sum[i] = power(sum[i], beta);                  \
      }                                                                                   \
      for (size_t i = 0; i < count; ++i) y[first + i] = own[i] / sum[i];                  \
    }                                                                                     \
  }
LRN(float, sqrtf, powf)
LRN(double, sqrt, pow)

static void lrn_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_op_run* const* run = arg;
  if (kp_cancelled(*run)) return;
  if ((*run)->inputs[0]->type == KAPELL_FLOAT)
    lrn_float(*run, task);
  else
    lrn_double(*run, task);
}

static kp_status* lrn_run(const kp_op_run* run) {
  if (kp_node_attr_i(run->node, "size", 1) < 1) return KP_ERROR(RUN_FAILED, "size below 1");
  if (run->inputs[0]->rank < 2) return KP_ERROR(RUN_FAILED, "a tensor without channels");
  const kapell_value* x = run->inputs[0];
  kp_parallel_for(kp_op_width(run->width, kp_value_count(x) * 4),
                  (size_t)x->dims[0] * (size_t)x->dims[1], lrn_task, &run);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators BatchNormalization-1..15, LRN-1..13
    {.name = "BatchNormalization", .since = 1, .types = KP_M_REALS, .prepare = batch_prepare, .plan = batch_plan, .run = batch_run,
     .flags = KP_OP_INPLACE | KP_OP_WIDEN},
    {.name = "LRN", .since = 1, .types = KP_M_REALS, .run = lrn_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(batch_norm);
