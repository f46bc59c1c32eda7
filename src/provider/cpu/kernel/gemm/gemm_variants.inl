// Variants of the f32 matrix product; oldest first, the last line that the CPU supports wins.
KP_VARIANT(gemm, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(gemm, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(gemm, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(gemm, neon, KP_CPU_NEON)
#endif
