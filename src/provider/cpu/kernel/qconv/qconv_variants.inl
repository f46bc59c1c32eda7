// Variants of what 8-bit convolutions need beside the matrix product; oldest first, the last line that the CPU supports wins.
KP_VARIANT(qconv, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(qconv, avx2, KP_ISA_AVX2_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(qconv, neon, KP_CPU_NEON)
#endif
