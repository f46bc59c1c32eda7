// Variants of the 8-bit matrix product; oldest first, the last line that the CPU supports wins.
KP_VARIANT(qgemm, scalar, KP_CPU_ANY)
#if KP_VARIANTS_X86
KP_VARIANT(qgemm, avx2_narrow, KP_ISA_AVX2_FEATURES)  // kp_qgemm_select_for takes it for most constants
KP_VARIANT(qgemm, avx2, KP_ISA_AVX2_FEATURES)
KP_VARIANT(qgemm, avxvnni, KP_ISA_AVX2_FEATURES | KP_CPU_AVXVNNI)
KP_VARIANT(qgemm, avx512, KP_ISA_AVX512_FEATURES)
#ifndef KP_EMULATE_AVX512
KP_VARIANT(qgemm, avx512_vnni, KP_ISA_AVX512_FEATURES | KP_CPU_AVX512VNNI)
#endif
#elif KP_VARIANTS_ARM
KP_VARIANT(qgemm, neon, KP_CPU_NEON)
KP_VARIANT(qgemm, neon_dotprod, KP_CPU_NEON | KP_CPU_DOTPROD)
#endif
