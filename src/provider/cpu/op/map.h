// The engine of elementwise operators: up to four inputs broadcast against each other as numpy does, one dense output.
//
// kp_map_init joins dims that lie next to each other in all tensors, so that most shapes become one or two loops. A row function
// then gets blocks of [rows][cols], each input either stepping through the columns (step 1) or standing still (step 0).
#ifndef KP_PROVIDER_CPU_OP_MAP_H_
#define KP_PROVIDER_CPU_OP_MAP_H_

#include "provider/cpu/op/help.h"

#define KP_MAP_INPUTS 4

typedef struct kp_map {
  int32_t rank;  // >= 2 after joining (filled up with ones)
  uint32_t inputs;
  size_t count;  // elements of the output
  const int64_t* dims;
  const int64_t* strides[KP_MAP_INPUTS];  // in elements; 0 where an input is repeated
} kp_map;

typedef struct kp_map_block {
  size_t rows, cols;
  const void* in[KP_MAP_INPUTS];
  size_t row[KP_MAP_INPUTS];   // elements from row to row
  size_t step[KP_MAP_INPUTS];  // 0 or 1
  void* out;                   // dense: cols elements from row to row
} kp_map_block;
typedef void (*kp_map_fn)(const void* context, const kp_map_block* block);

// The broadcast of |inputs| to the dims of |output| (which inference checked). Dims and strides lie in |arena|. Error OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_map_init(kp_map* map, kp_arena* arena, uint32_t count,
                                   const kapell_value* const* inputs, const kapell_value* output);
// Sizes in bytes of one element of each input and of the output. |cost|: nanoseconds an element, roughly.
void kp_map_run(const kp_map* map, kp_map_fn fn, const void* context, const void* const* in,
                const size_t* in_sizes, void* out, size_t out_size, int width, size_t cost);

#endif  // KP_PROVIDER_CPU_OP_MAP_H_
