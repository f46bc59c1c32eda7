// Mixtures of experts, apart from how an expert's matrices are stored: which experts a token goes to, and what lies between products.
#ifndef KP_PROVIDER_CPU_OP_MOE_H_
#define KP_PROVIDER_CPU_OP_MOE_H_

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/help.h"

// The three products of an expert: up (gate and value together, where SwiGLU is fused), down, value.
typedef enum kp_moe_product { KP_MOE_FC1, KP_MOE_FC2, KP_MOE_FC3, KP_MOE_PRODUCTS } kp_moe_product;

typedef enum kp_moe_layout { KP_MOE_SPLIT, KP_MOE_INTERLEAVED, KP_MOE_HALVES } kp_moe_layout;

typedef struct kp_moe {
  const kp_gemm_ops* gemm;
  size_t tokens, hidden, inner, experts, k;  // k: experts a token
  size_t n[KP_MOE_PRODUCTS],
      depth[KP_MOE_PRODUCTS];  // of each product; n[KP_MOE_FC3] 0: there is none
  kp_act act;
  bool gated;  // result of the first product times that of the third, or of the other half
  kp_moe_layout layout;  // of the first product, where |gated|
  float beta, limit;     // SwiGLU; HUGE_VALF: no limit
  bool swiglu, limit_after;
  bool normalize, sparse_mixer;
  size_t scratch_bytes;  // of the driver alone
} kp_moe;

// From attributes and the shapes of input 0, the router (input 1) and the weights: |rows| of the three products (0: absent).
// Errors: RUN_FAILED for shapes that contradict each other, LIMIT.
KP_MUST_USE kp_status* kp_moe_init(kp_moe* moe, const kp_op_plan* plan, const kp_gemm_ops* gemm,
                                   size_t inner, const size_t* rows);
kp_reason kp_moe_supports(const kp_op_query* query);

// y[rows][n] = a[rows][depth] * (matrix |product| of expert |expert|) + its bias.
typedef void (*kp_moe_multiply)(void* arg, kp_moe_product product, size_t expert, size_t rows,
                                const float* a, float* y);
// Everything: |weights| is router_weights or NULL; |scratch| has moe->scratch_bytes.
void kp_moe_run(const kp_moe* moe, const kp_op_run* run, const float* weights,
                kp_moe_multiply multiply, void* arg, void* scratch);

#endif  // KP_PROVIDER_CPU_OP_MOE_H_
