// Integer products of DynamicQuantizeLSTM; recurrent_run.c says when. See recurrent_bytes.h.
#include "provider/cpu/op/recurrent/recurrent_bytes.h"

#include <math.h>

#include "provider/cpu/packed.h"

#define RECURRENT_FORM 2  // among the forms that the same kernels pack

kp_status* kp_recurrent_bytes_pack(kp_op_prepare* prepare, uint32_t index,
                                   kp_recurrent_bytes* out_bytes) {
  const kapell_value* weights = prepare->constants[index];
  kp_recurrent_bytes bytes = {.is_signed = weights->type == KAPELL_INT8};
  const size_t directions = (size_t)weights->dims[0];
  bytes.depth = (size_t)weights->dims[1];
  bytes.columns = (size_t)weights->dims[2];
  bytes.ops = kp_qgemm_select_for(prepare->features, kp_value_count(weights), weights->data,
                                  bytes.is_signed);
  bytes.rounding = kp_quantize_select(prepare->features);
  bytes.each = kp_qgemm_packed_b_size(bytes.ops, bytes.depth, bytes.columns);
  size_t all;
  const kp_packed_form form = {.ops = bytes.ops, .numbers = {RECURRENT_FORM}};
  bool done = false;
  char* packed = kp_mul_size(bytes.each, directions, &all)
                     ? kp_prepare_packed_once(prepare, index, &form, all + 1, &done)
                     : NULL;
  if (!packed)
    return KP_ERROR(OUT_OF_MEMORY, "packing weights of %zu x %zu", bytes.depth, bytes.columns);
  for (size_t d = 0; !done && d < directions; ++d)
    kp_qgemm_pack_b(bytes.ops, bytes.depth, bytes.columns,
                    (const char*)weights->data + d * bytes.depth * bytes.columns, bytes.columns,
                    false, bytes.is_signed, packed + d * bytes.each);
  bytes.packed = done ? packed : kp_prepare_settle(prepare, packed);
  *out_bytes = bytes;
  return NULL;
}

static kp_qgemm_shape shape_of(const kp_recurrent_bytes* weights, size_t rows) {
  return (kp_qgemm_shape){.batch = 1,
                          .m = rows,
                          .n = weights->columns,
                          .k = weights->depth,
                          .b = KP_QGEMM_B_PACKED,
                          .b_signed = weights->is_signed};
}

size_t kp_recurrent_bytes_scratch(const kp_recurrent_bytes* weights) {
  enum { kMany = 1 << 20 };  // rows: blocks are as large as they get
  const kp_qgemm_shape shape = shape_of(weights, kMany);
  kp_qgemm_plan plan;
  kp_qgemm_plan_init(weights->ops, &shape, 1, &plan);
  return plan.scratch_bytes;
}

typedef struct bytes_job {
  const kp_bytes_product* product;
  kp_qgemm_plan plan;
  kp_qgemm_args args;
} bytes_job;

static void bytes_task(void* arg, size_t task, int worker) {
  const bytes_job* job = arg;
  kp_qgemm_run_task(&job->plan, &job->args, task,
                    job->product->scratch + (size_t)worker * job->product->thread_bytes);
}

// Rounds x into |rounded|; its scale and zero point.
static float round_rows(const kp_bytes_product* p, uint8_t* out_zero) {
  const kp_quantize_ops* ops = p->weights->rounding;
  float low = 0, high = 0;
  ops->range(p->spread_count, p->spread, &low, &high);
  const float scale = high == low ? 1 : (high - low) / 255;
  const int32_t zero = (int32_t)rintf(fminf(255, fmaxf(0, -low / scale)));
  const kp_quant_type type = {.width = 1, .low = 0, .high = 255};
  ops->quantize(p->rows * p->weights->depth, p->x, &scale, &zero, 0, type, p->rounded);
  *out_zero = (uint8_t)zero;
  return scale;
}

void kp_bytes_product_run(const kp_bytes_product* p) {
  const kp_recurrent_bytes* w = p->weights;
  const kp_qgemm_shape shape = shape_of(w, p->rows);
  const bool each = p->scale->rank == 2, zero_each = p->zero->rank == 2;
  const float* weight_scale = (const float*)p->scale->data + p->direction * (each ? w->columns : 1);
  const char* weight_zero =
      (const char*)p->zero->data + p->direction * (zero_each ? w->columns : 1);
  bytes_job job = {.product = p};
  uint8_t a_zero;
  const float scale = round_rows(p, &a_zero);
  for (size_t j = 0; j < (each ? w->columns : 1); ++j) p->scales[j] = scale * weight_scale[j];
  job.args = (kp_qgemm_args){
      .a = p->rounded,
      .a_stride = w->depth,
      .a_zero = {&a_zero, false},
      .b = w->packed + p->direction * w->each,
      .b_zero = {zero_each || *weight_zero ? weight_zero : NULL, zero_each},
      .c = p->c,
      .c_stride = w->columns,
      .epilogue = {.kind = KP_QGEMM_F32, .scale = p->scales, .scale_n = each, .bias_f = p->bias}};
  kp_qgemm_plan_init(w->ops, &shape, (size_t)p->threads, &job.plan);
  kp_parallel_for_dynamic(p->threads, job.plan.task_count, bytes_task, &job);
}
