// kapell.QLinearScaleShift, made by fuse/quantize_scale.c: bytes to bytes, a scale and a shift a channel.
//
//   inputs   X [..., C] int8 or uint8; scale [C], shift [C] f32; Y_zero_point
//   output   clip(round(X * scale + shift) + Y_zero_point, low, high) of the zero point's type; attributes low, high
#include "provider/cpu/kernel/quantize/quantize.h"
#include "provider/cpu/op/help.h"

#define CHUNK 16384  // elements of one task, about

typedef struct kp_qscale_job {
  const kp_op_run* run;
  const kp_quantize_ops* ops;
  size_t pixels, channels, share;  // |share|: pixels of one task
  kp_quant_bytes form;
} kp_qscale_job;

static kp_status* qscale_infer(kp_infer* infer) {
  infer->outputs[0] = *infer->inputs[0];
  infer->outputs[0].element = infer->inputs[3]->element;
  return NULL;
}

static kp_status* qscale_prepare(kp_op_prepare* prepare) {
  prepare->state = (void*)(uintptr_t)kp_quantize_select(prepare->features);
  prepare->kernel = "quantize_remap";
  return NULL;
}

static void qscale_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_qscale_job* job = arg;
  kapell_value* const* in = job->run->inputs;
  const size_t first = task * job->share, count = kp_min_size(job->share, job->pixels - first);
  job->ops->remap(count, job->channels, (const char*)in[0]->data + first * job->channels,
                  in[0]->type == KAPELL_INT8, in[1]->data, in[2]->data, &job->form,
                  (char*)job->run->outputs[0]->data + first * job->channels);
}

static kp_status* qscale_run(const kp_op_run* run) {
  const size_t count = kp_value_count(run->outputs[0]), channels = kp_value_count(run->inputs[1]);
  if (!count) return NULL;
  const kapell_value* x = run->inputs[0];
  if (x->rank < 1 || (size_t)x->dims[x->rank - 1] != channels)
    return KP_ERROR(RUN_FAILED, "%zu scales do not fit the channels", channels);
  kp_qscale_job job = {.run = run,
                       .ops = run->state,
                       .pixels = count / channels,
                       .channels = channels,
                       .share = kp_max_size(CHUNK / channels, 1),
                       .form = {.zero = (int32_t)kp_int_at(run->inputs[3], 0),
                                .type = {1, (int32_t)kp_node_attr_i(run->node, "low", 0),
                                         (int32_t)kp_node_attr_i(run->node, "high", 255)}}};
  kp_parallel_for(kp_op_width(run->width, count / 4), (job.pixels + job.share - 1) / job.share,
                  qscale_task, &job);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {
    {.domain = "kapell", .name = "QLinearScaleShift", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .prepare = qscale_prepare,
     .run = qscale_run, .infer = qscale_infer, .kernels = "8 bits: quantize"},
};
// clang-format on
KP_OP_TABLE(qscale);
