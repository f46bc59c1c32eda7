// Variants of arithmetic on 8-bit numbers with scales; oldest first, the last line that the CPU supports wins.
KP_VARIANT(qlinear, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(qlinear, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(qlinear, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(qlinear, neon, KP_CPU_NEON)
#endif
