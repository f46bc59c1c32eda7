// Caches of keys and values in 8 or 4 bits, as GroupQueryAttention keeps them.
#ifndef KP_PROVIDER_CPU_OP_ATTENTION_CACHE_H_
#define KP_PROVIDER_CPU_OP_ATTENTION_CACHE_H_

#include "provider/cpu/op/attention/attend.h"

// One number stands for its scale times a whole one in [-128, 127] (INT8) or [-8, 7] (UINT8: two in a byte, the first in the low
// half, 8 added), or times a FLOAT8E4M3FN.
typedef struct kp_cache_code {
  kapell_type type;
  const float* scales;
  size_t period;  // 1: one scale for all; else heads * width
} kp_cache_code;

// Bytes of a row of |width| numbers.
size_t kp_cache_row(kapell_type type, size_t width);
// Rows of |fresh| (floats) to the positions from starts[b] on of |store| (rows of bytes), counts[b] of each batch entry.
void kp_cache_encode(const kp_cache_code* code, const kp_heads* fresh, const float* source,
                     const int64_t* starts, const int64_t* counts, const kp_heads* store,
                     void* target);
// The first spans[b].keys positions as floats of |wide|.
void kp_cache_decode(const kp_cache_code* code, const kp_heads* store, const void* source,
                     const kp_attention_span* spans, const kp_heads* wide, float* target,
                     int width);

#endif  // KP_PROVIDER_CPU_OP_ATTENTION_CACHE_H_
