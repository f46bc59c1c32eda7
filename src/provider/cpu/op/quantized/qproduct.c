// Products of 8-bit matrices; see qproduct.h.
#include "provider/cpu/op/quantized/qproduct.h"

#include "provider/cpu/packed.h"

kp_status* kp_qproduct_pack(kp_op_prepare* prepare, const kp_qgemm_ops* ops, uint32_t index,
                            bool transposed, const void** out_packed) {
  *out_packed = NULL;
  const kapell_value* b = kp_prepare_constant(prepare, index);
  if (!b || b->rank != 2 || (b->type != KAPELL_INT8 && b->type != KAPELL_UINT8)) return NULL;
  const size_t columns = (size_t)b->dims[1];
  const size_t k = transposed ? columns : (size_t)b->dims[0],
               n = transposed ? (size_t)b->dims[0] : columns;
  const size_t bytes = kp_qgemm_packed_b_size(ops, k, n);
  const kp_packed_form form = {.ops = ops, .numbers = {transposed}};
  bool done = false;
  void* packed =
      bytes == SIZE_MAX ? NULL : kp_prepare_packed_once(prepare, index, &form, bytes + 1, &done);
  if (!packed) return KP_ERROR(OUT_OF_MEMORY, "packing a matrix of %zu x %zu", k, n);
  if (!done) {
    kp_qgemm_pack_b(ops, k, n, b->data, columns, transposed, b->type == KAPELL_INT8, packed);
    packed = kp_prepare_settle(prepare, packed);
  }
  *out_packed = packed;
  prepare->consumed[index] = true;
  prepare->kernel = "qgemm";
  return NULL;
}

kp_status* kp_qproduct_plan(kp_qproduct* product, const kp_qgemm_ops* ops,
                            const kp_qgemm_shape* shape, int width, size_t* out_scratch_bytes) {
  const size_t work = shape->m * shape->n * kp_max_size(shape->k, 1);
  kp_qgemm_plan_init(ops, shape, (size_t)kp_op_width(width, work / 32), &product->plan);
  if (kp_align_size(product->plan.scratch_bytes, KP_ALIGNMENT, &product->worker_bytes) &&
      kp_mul_size(product->worker_bytes, (size_t)width, out_scratch_bytes))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
}

typedef struct product_job {
  const kp_qproduct* product;
  const kp_qgemm_args* args;
  const kp_op_run* run;
  char* scratch;
} product_job;

static void product_task(void* arg, size_t task, int worker) {
  const product_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_qgemm_run_task(&job->product->plan, job->args, task,
                    job->scratch + (size_t)worker * job->product->worker_bytes);
}

void kp_qproduct_run(const kp_qproduct* product, const kp_qgemm_args* args, const kp_op_run* run,
                     void* scratch) {
  product_job job = {product, args, run, scratch};
  kp_parallel_for_dynamic(run->width, product->plan.task_count, product_task, &job);
}

kp_qgemm_zero kp_qproduct_zero(const kapell_value* value, size_t skip) {
  if (!value) return (kp_qgemm_zero){NULL, false};
  if (kp_value_count(value) == 1) return (kp_qgemm_zero){value->data, false};
  return (kp_qgemm_zero){(const char*)value->data + skip, true};
}
