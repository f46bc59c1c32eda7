// Variants of the conversions; oldest first, the last line that the CPU supports wins.
KP_VARIANT(convert, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(convert, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(convert, avx512, KP_ISA_AVX512_FEATURES)
#elif KP_VARIANTS_ARM
KP_VARIANT(convert, neon, KP_CPU_NEON)
#endif
