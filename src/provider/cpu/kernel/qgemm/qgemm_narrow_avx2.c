// The 8-bit matrix product for weights in [-64, 64]: multiplying bytes in pairs cannot overflow 16 bits then, and is a fifth faster than
// widening them first.
#define KP_ISA avx2_narrow
#define KP_ISA_AVX2 1
#define KP_Q_NARROW 1
#include "provider/cpu/kernel/qgemm/qgemm_tmpl.c"
