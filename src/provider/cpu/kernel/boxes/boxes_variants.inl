// Variants of boxes; oldest first, the last line that the CPU supports wins.
KP_VARIANT(boxes, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(boxes, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(boxes, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(boxes, neon, KP_CPU_NEON)
#endif
