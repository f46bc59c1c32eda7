// What is done to a result while it is still in registers or in the first-level cache: activations and the fused
// epilogue of matrix products and convolutions.
#ifndef KP_PROVIDER_CPU_KERNEL_EPILOGUE_H_
#define KP_PROVIDER_CPU_KERNEL_EPILOGUE_H_

#include <stddef.h>

// Elementwise activations that kernels know. |a| and |b| are kp_act.a and kp_act.b. A NaN stays a NaN in all of them.
typedef enum kp_act_kind {
  KP_ACT_NONE = 0,
  KP_ACT_RELU,          // max(0, x)
  KP_ACT_CLIP,          // min(b, max(a, x))
  KP_ACT_LEAKY_RELU,    // x < 0 ? a*x : x
  KP_ACT_SIGMOID,       // 1 / (1 + exp(-x))
  KP_ACT_HARD_SIGMOID,  // max(0, min(1, a*x + b))
  KP_ACT_HARD_SWISH,    // x * max(0, min(1, x/6 + 1/2))
  KP_ACT_SILU,          // x / (1 + exp(-a*x)); a = 1 for SiLU, 1.702 for the quick GELU
  KP_ACT_GELU,          // x/2 * (1 + erf(x / sqrt 2))
  KP_ACT_GELU_TANH,     // x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
  KP_ACT_TANH,          // tanh(x)
  KP_ACT_ELU,           // x < 0 ? a * (exp(x) - 1) : x
  KP_ACT_MISH,          // x * tanh(log(1 + exp(x)))
  KP_ACT_SOFTPLUS,      // log(1 + exp(x))
} kp_act_kind;

typedef struct kp_act {
  kp_act_kind kind;
  float a;  // see kp_act_kind; unused ones are ignored
  float b;
} kp_act;

// C = act(alpha * A*B + bias_n[column] + bias_m[row] + beta * residual).
//
// Everything is optional; KP_EPILOGUE_NONE is the plain product. The residual may be C itself (same address and
// stride), else it must not overlap C.
typedef struct kp_epilogue {
  float alpha;             // scale of the product; 1 for none
  float beta;              // scale of the residual; 1 for a plain addition
  const float* bias_n;     // [n], one per column (output channel), or NULL
  const float* bias_m;     // [m], one per row, or NULL
  const float* residual;   // [m][n] with |residual_stride| floats from row to row, or NULL
  size_t residual_stride;  // in floats; 0 repeats one row
  kp_act act;
} kp_epilogue;

#define KP_EPILOGUE_NONE \
  { .alpha = 1.0f, .beta = 1.0f }

#endif  // KP_PROVIDER_CPU_KERNEL_EPILOGUE_H_
