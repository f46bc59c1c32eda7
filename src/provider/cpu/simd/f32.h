// The thin SIMD vocabulary: one vector of floats, one of int32, one mask, and what kernels do with them.
//
// Role:  a kernel template (kernel/<family>/x_tmpl.c) is compiled once per instruction set with exactly one of
//        KP_ISA_SCALAR, KP_ISA_AVX2, KP_ISA_AVX512 or KP_ISA_NEON defined; this header maps the same names to each.
//        Everything is static inline, so that no code of a newer instruction set leaks into shared symbols.
// Neighbours: math.h has exp, tanh, erf and the like over this vocabulary; narrow.h has float16, bfloat16 and int8.
//
// Types:   kp_vf   KP_VF_LANES floats            kp_vi   as many int32            kp_vm   a mask, one truth a lane
// Loads:   kp_vf_load and kp_vf_store need no alignment. kp_vf_loadn / kp_vf_storen touch exactly |n| elements,
//          0 <= n <= KP_VF_LANES; lanes past |n| read as zero, or for kp_vf_loadn_or as the lanes of its last argument.
// Arithmetic: kp_vf_fma(a, b, c) = a*b + c, fused wherever the hardware has it (the scalar variant rounds twice, so
//          results of variants differ by rounding). kp_vf_fnma(a, b, c) = c - a*b.
// NaN:     kp_vf_min(a, b) and kp_vf_max(a, b) are (a < b ? a : b) and (a > b ? a : b): when either is NaN the answer
//          is |b|. So max(zero, x) keeps a NaN in x. kp_vf_max_nan / kp_vf_min_nan return NaN if either is NaN.
//          Comparisons are ordered (false on NaN); kp_vf_isnan tests for it.
// Select:  kp_vf_select(m, a, b) is |a| where |m| is true, else |b|. kp_vm_any(m): is one lane true?
// Rounding: kp_vf_round is to nearest, ties to even. kp_vf_to_vi rounds the same way; out of range is undefined.
// Horizontal: kp_vf_hsum adds in a fixed tree order, so results do not depend on anything but the lane count.
#ifndef KP_PROVIDER_CPU_SIMD_F32_H_
#define KP_PROVIDER_CPU_SIMD_F32_H_

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KP_CONCAT_(a, b) a##_##b
#define KP_CONCAT(a, b) KP_CONCAT_(a, b)
// The name of a symbol in the instruction set being compiled: KP_ISA_NAME(kp_softmax) is kp_softmax_avx2.
#define KP_ISA_NAME(name) KP_CONCAT(name, KP_ISA)

#define KP_STRING_(text) #text
#define KP_STRING(text) KP_STRING_(text)
#define KP_ISA_STRING KP_STRING(KP_ISA)  // "avx2" and so on

#define KP_INLINE static inline __attribute__((always_inline))

// Before a loop whose bounds are constants after inlining: arrays indexed by it become registers. Where the optimizer is told
// not to (a debug build) the loop stays a loop.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"
#define KP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KP_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(KP_ISA_AVX512)
#include "provider/cpu/simd/f32_avx512.h"
#elif defined(KP_ISA_AVX2)
#include "provider/cpu/simd/f32_avx2.h"
#elif defined(KP_ISA_NEON)
#include "provider/cpu/simd/f32_neon.h"
#elif defined(KP_ISA_SCALAR)
#include "provider/cpu/simd/f32_scalar.h"
#else
#error "compile kernel sources with one of KP_ISA_SCALAR, KP_ISA_AVX2, KP_ISA_AVX512, KP_ISA_NEON"
#endif

// A whole vector when |n| allows, else a tail: what the last step of a loop wants.
KP_INLINE kp_vf kp_vf_load_upto(const float* p, size_t n) {
  return n >= KP_VF_LANES ? kp_vf_load(p) : kp_vf_loadn(p, n);
}
KP_INLINE void kp_vf_store_upto(float* p, kp_vf v, size_t n) {
  if (n >= KP_VF_LANES) {
    kp_vf_store(p, v);
  } else {
    kp_vf_storen(p, v, n);
  }
}

#endif  // KP_PROVIDER_CPU_SIMD_F32_H_
