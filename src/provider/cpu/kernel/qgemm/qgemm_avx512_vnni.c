// The 8-bit matrix product on instructions that multiply and add four bytes at once.
#ifndef KP_EMULATE_AVX512  // no stand-in for this one
#define KP_ISA avx512_vnni
#define KP_ISA_AVX512 1
#define KP_Q_VNNI 1
#include "provider/cpu/kernel/qgemm/qgemm_tmpl.c"
#else
typedef int kp_no_avx512_vnni;
#endif
