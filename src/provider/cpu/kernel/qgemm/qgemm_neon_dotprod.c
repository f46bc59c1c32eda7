// The 8-bit matrix product on instructions that multiply and add four bytes at once.
#define KP_ISA neon_dotprod
#define KP_ISA_NEON 1
#define KP_Q_SDOT 1
#include "provider/cpu/kernel/qgemm/qgemm_tmpl.c"
