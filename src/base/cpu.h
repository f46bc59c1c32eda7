// CPU features, read once, including whether the operating system saves the registers. A mask forces older kernels.
#ifndef KP_BASE_CPU_H_
#define KP_BASE_CPU_H_

#include "base/status.h"
#include "base/str.h"

#define KP_CPU_ANY UINT64_C(0)
#define KP_CPU_SSE41 (UINT64_C(1) << 0)
#define KP_CPU_AVX2 (UINT64_C(1) << 1)
#define KP_CPU_FMA (UINT64_C(1) << 2)
#define KP_CPU_F16C (UINT64_C(1) << 3)
#define KP_CPU_BMI2 (UINT64_C(1) << 4)
#define KP_CPU_AVXVNNI (UINT64_C(1) << 5)
#define KP_CPU_AVX512F (UINT64_C(1) << 8)
#define KP_CPU_AVX512BW (UINT64_C(1) << 9)
#define KP_CPU_AVX512DQ (UINT64_C(1) << 10)
#define KP_CPU_AVX512VL (UINT64_C(1) << 11)
#define KP_CPU_AVX512VNNI (UINT64_C(1) << 12)
#define KP_CPU_AVX512BF16 (UINT64_C(1) << 13)
#define KP_CPU_AVX512VBMI (UINT64_C(1) << 14)
#define KP_CPU_AVX512FP16 (UINT64_C(1) << 15)
#define KP_CPU_AMX_TILE (UINT64_C(1) << 16)
#define KP_CPU_AMX_INT8 (UINT64_C(1) << 17)
#define KP_CPU_AMX_BF16 (UINT64_C(1) << 18)
#define KP_CPU_NEON (UINT64_C(1) << 32)
#define KP_CPU_DOTPROD (UINT64_C(1) << 33)
#define KP_CPU_FP16 (UINT64_C(1) << 34)
#define KP_CPU_I8MM (UINT64_C(1) << 35)
#define KP_CPU_BF16 (UINT64_C(1) << 36)

// Features of this machine and mask together. The environment's KAPELL_CPU_MASK sets the first mask.
uint64_t kp_cpu_features(void);
uint64_t kp_cpu_detected(void);  // without the mask
// Takes features away for everything that selects kernels from now on. Levels: "native", "avx512", "avx2", "sse",
// "scalar", "neon"; or a list of names to remove: "-avx512f,-fma".
KP_MUST_USE kp_status* kp_cpu_set_mask(kp_str text);
// Features of |from| that remain under the mask |text|; used by options that mask one session.
KP_MUST_USE kp_status* kp_cpu_parse_mask(kp_str text, uint64_t from, uint64_t* out_features);
// Comma-separated names of the features in |set|, appended to |buf|.
void kp_cpu_describe(uint64_t set, kp_strbuf* buf);
// The processor's model name as the system states it ("AMD EPYC ..."), or "unknown".
const char* kp_cpu_name(void);
// Bytes of the data cache of level 1..3 that one core sees; a conservative default where unknown.
size_t kp_cpu_cache_bytes(int level);

#endif  // KP_BASE_CPU_H_
