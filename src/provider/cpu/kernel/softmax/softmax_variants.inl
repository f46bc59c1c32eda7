// Variants of softmax; oldest first, the last line that the CPU supports wins.
KP_VARIANT(softmax, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(softmax, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(softmax, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(softmax, neon, KP_CPU_NEON)
#endif
