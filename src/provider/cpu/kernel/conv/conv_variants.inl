// Variants of convolution; oldest first, the last line that the CPU supports wins.
KP_VARIANT(conv, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(conv, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(conv, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(conv, neon, KP_CPU_NEON)
#endif
