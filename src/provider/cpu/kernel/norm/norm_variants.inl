// Variants of normalizations; oldest first, the last line that the CPU supports wins.
KP_VARIANT(norm, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(norm, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(norm, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(norm, neon, KP_CPU_NEON)
#endif
