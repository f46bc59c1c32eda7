// The 8-bit matrix product on instructions that multiply and add four bytes at once.
#define KP_ISA avxvnni
#define KP_ISA_AVX2 1
#define KP_Q_VNNI 1
#include "provider/cpu/kernel/qgemm/qgemm_tmpl.c"
