// Elementwise functions by their operator's name, for operators that apply one to what they have computed.
#ifndef KP_PROVIDER_CPU_OP_UNARY_H_
#define KP_PROVIDER_CPU_OP_UNARY_H_

#include "provider/cpu/kernel/epilogue.h"
#include "provider/cpu/op/help.h"

typedef struct kp_unary_row kp_unary_row;

// The function of operator |name| ("Relu", "HardSigmoid"), or NULL.
const kp_unary_row* kp_unary_named(kp_str name);
// Its two attributes where |a| or |b| is NULL, and the given numbers elsewhere, as an activation of the kernels. False: they have none.
bool kp_unary_act(const kp_unary_row* row, const float* a, const float* b, kp_act* out_act);
// y = f(x) over |count| f32 or f64 numbers; y may be x.
void kp_unary_apply(const kp_unary_row* row, const float* a, const float* b, kapell_type type,
                    size_t count, const void* x, void* y);

#endif  // KP_PROVIDER_CPU_OP_UNARY_H_
