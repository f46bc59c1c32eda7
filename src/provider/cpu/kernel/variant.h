// Variants: one family of kernels, built for several instruction sets, one of them picked by CPU features.
//
// Each family has a table type kp_<family>_ops (function pointers and block sizes), a template that defines
// `const kp_<family>_ops kp_<family>_<isa>` per instruction set, and a list <family>_variants.inl with lines
//     KP_VARIANT(family, isa, features)      // oldest first: the last line whose features are all there wins
// variant_family.inl expands that one list to the declarations, the selection and the list that tests and the bench walk.
//
// Threads: everything here is constant data and pure functions. A kernel never allocates, locks, logs or fails.
#ifndef KP_PROVIDER_CPU_KERNEL_VARIANT_H_
#define KP_PROVIDER_CPU_KERNEL_VARIANT_H_

#include <stddef.h>
#include <stdint.h>

// Which instruction sets this build has kernels for: a list puts the lines of each inside #if KP_VARIANTS_X86 and so on.
#if defined(__x86_64__) && !defined(KP_SCALAR_ONLY)
#define KP_VARIANTS_X86 1
#else
#define KP_VARIANTS_X86 0
#endif
#if defined(__aarch64__) && !defined(KP_SCALAR_ONLY)
#define KP_VARIANTS_ARM 1
#else
#define KP_VARIANTS_ARM 0
#endif
// Feature words of the two x86 levels that templates are compiled for.
#define KP_ISA_AVX2_FEATURES (KP_CPU_AVX2 | KP_CPU_FMA | KP_CPU_F16C | KP_CPU_BMI2)
#ifdef KP_EMULATE_AVX512  // the intrinsics are plain C: see simd/avx512_emulated.h
#define KP_ISA_AVX512_FEATURES KP_ISA_AVX2_FEATURES
#else
#define KP_ISA_AVX512_FEATURES \
  (KP_ISA_AVX2_FEATURES | KP_CPU_AVX512F | KP_CPU_AVX512BW | KP_CPU_AVX512DQ | KP_CPU_AVX512VL)
#endif

// One line of a variant list.
typedef struct kp_variant {
  const char* isa;    // "scalar", "avx2", "avx512", "neon"; a string constant
  uint64_t features;  // KP_CPU_* bits of base/cpu.h that it needs, all of them
  const void* ops;    // the family's table; cast by the family's own functions
} kp_variant;

// The last of |count| variants whose features are a subset of |features|. The first line of every list needs nothing,
// so there is always one.
const kp_variant* kp_variant_select(const kp_variant* variants, size_t count, uint64_t features);

// Declares what variant_family.inl defines for |family|:
//   kp_<family>_select(features)  the table to use on a CPU with |features| (kp_cpu_features(), or fewer to force one)
//   kp_<family>_variants(&count)  all lines of the list, for tests and the bench
#define KP_DECLARE_FAMILY(family)                                   \
  const kp_##family##_ops* kp_##family##_select(uint64_t features); \
  const kp_variant* kp_##family##_variants(size_t* out_count)

#endif  // KP_PROVIDER_CPU_KERNEL_VARIANT_H_
