// Variants of products with matrices of few bits; oldest first, the last line that the CPU supports wins.
KP_VARIANT(nbits, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(nbits, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(nbits, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(nbits, neon, KP_CPU_NEON)
#endif
