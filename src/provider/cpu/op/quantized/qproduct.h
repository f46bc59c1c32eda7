// Products of 8-bit matrices on kernel/qgemm for operators that store them as floats or scale them themselves.
#ifndef KP_PROVIDER_CPU_OP_QPRODUCT_H_
#define KP_PROVIDER_CPU_OP_QPRODUCT_H_

#include "provider/cpu/kernel/qgemm/qgemm.h"
#include "provider/cpu/op/help.h"

typedef struct kp_qproduct {
  kp_qgemm_plan plan;
  size_t worker_bytes;
} kp_qproduct;

// Packs constant input |index|, a matrix of bytes, and marks it consumed; *out_packed NULL where it is none.
KP_MUST_USE kp_status* kp_qproduct_pack(kp_op_prepare* prepare, const kp_qgemm_ops* ops,
                                        uint32_t index, bool transposed, const void** out_packed);
// One product (shape->batch is 1). Error LIMIT.
KP_MUST_USE kp_status* kp_qproduct_plan(kp_qproduct* product, const kp_qgemm_ops* ops,
                                        const kp_qgemm_shape* shape, int width,
                                        size_t* out_scratch_bytes);
void kp_qproduct_run(const kp_qproduct* product, const kp_qgemm_args* args, const kp_op_run* run,
                     void* scratch);

// Zero point(s) |value| (NULL: none), one or one a line, |skip| lines further.
kp_qgemm_zero kp_qproduct_zero(const kapell_value* value, size_t skip);

#endif  // KP_PROVIDER_CPU_OP_QPRODUCT_H_
