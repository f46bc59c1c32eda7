// kapell.QLinearAdd and kapell.QLinearMul, made by fuse/quantize.c: two tensors of bytes and one shape.
//
//   inputs   A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point; scales and zero points of one element
//   output   quantize(dequantize(A) + dequantize(B)), or their product; attributes low, high: bounds of it
#include "provider/cpu/kernel/quantize/quantize.h"
#include "provider/cpu/op/help.h"

#define CHUNK 16384  // elements of one task

typedef struct kp_qbinary_job {
  const kp_op_run* run;
  const kp_quantize_ops* ops;
  kp_quant_bytes a, b, y;
  size_t count;
  bool product;
} kp_qbinary_job;

static kp_status* qbinary_infer(kp_infer* infer) {
  infer->outputs[0] = *infer->inputs[0];
  infer->outputs[0].element = infer->inputs[7]->element;
  return NULL;
}

static kp_status* qbinary_prepare(kp_op_prepare* prepare) {
  prepare->state = (void*)(uintptr_t)kp_quantize_select(prepare->features);
  prepare->kernel = "quantize_binary";
  return NULL;
}

static kp_quant_bytes form_of(kapell_type type, const kapell_value* scale,
                              const kapell_value* zero) {
  const bool is_signed = type == KAPELL_INT8;
  return (kp_quant_bytes){(float)kp_double_at(scale, 0),
                          (int32_t)kp_int_at(zero, 0),
                          {1, is_signed ? -128 : 0, is_signed ? 127 : 255}};
}

static void qbinary_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_qbinary_job* job = arg;
  const size_t first = task * CHUNK, count = kp_min_size(CHUNK, job->count - first);
  job->ops->binary(count, job->product, (const char*)job->run->inputs[0]->data + first, &job->a,
                   (const char*)job->run->inputs[3]->data + first, &job->b,
                   (char*)job->run->outputs[0]->data + first, &job->y);
}

static kp_status* qbinary_run(const kp_op_run* run) {
  kapell_value *const *in = run->inputs, *y = run->outputs[0];
  kp_qbinary_job job = {.run = run,
                        .ops = run->state,
                        .a = form_of(in[0]->type, in[1], in[2]),
                        .b = form_of(in[3]->type, in[4], in[5]),
                        .y = form_of(y->type, in[6], in[7]),
                        .count = kp_value_count(y),
                        .product = strcmp(run->node->op, "QLinearMul") == 0};
  if (in[0]->byte_count != job.count || in[3]->byte_count != job.count)
    return KP_ERROR(RUN_FAILED, "tensors of %zu and %zu elements", in[0]->byte_count,
                    in[3]->byte_count);
  job.y.type.low = (int32_t)kp_node_attr_i(run->node, "low", job.y.type.low);
  job.y.type.high = (int32_t)kp_node_attr_i(run->node, "high", job.y.type.high);
  const size_t tasks = (job.count + CHUNK - 1) / CHUNK;
  if (tasks) kp_parallel_for(kp_op_width(run->width, job.count / 4), tasks, qbinary_task, &job);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {
    {.domain = "kapell", .name = "QLinearAdd", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .prepare = qbinary_prepare,
     .run = qbinary_run, .infer = qbinary_infer, .kernels = "8 bits: quantize"},
    {.domain = "kapell", .name = "QLinearMul", .since = 1, .types = KP_M(INT8) | KP_M(UINT8), .prepare = qbinary_prepare,
     .run = qbinary_run, .infer = qbinary_infer, .kernels = "8 bits: quantize"},
};
// clang-format on
KP_OP_TABLE(qbinary);
