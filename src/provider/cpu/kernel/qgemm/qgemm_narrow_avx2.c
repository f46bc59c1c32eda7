// The 8-bit matrix product for CPUs without byte dot products: bytes are multiplied in pairs that B is packed so as not to overflow, a
// fifth faster than widening them first. qgemm_narrow.inl says how.
#define KP_ISA avx2_narrow
#define KP_ISA_AVX2 1
#define KP_Q_NARROW 1
#include "provider/cpu/kernel/qgemm/qgemm_tmpl.c"
