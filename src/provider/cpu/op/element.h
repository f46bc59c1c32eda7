// Elements of every type, one at a time and in blocks: what Cast and quantization share.
#ifndef KP_PROVIDER_CPU_OP_ELEMENT_H_
#define KP_PROVIDER_CPU_OP_ELEMENT_H_

#include "base/small_float.h"
#include "provider/cpu/op/help.h"

// How elements of a type are computed with: whole numbers as int64 (uint64 with its bits), real ones as f64 (every float kind of 32
// bits and less is exact in it), texts.
typedef enum kp_element_class {
  KP_ELEMENT_WHOLE,
  KP_ELEMENT_REAL,
  KP_ELEMENT_TEXT,
  KP_ELEMENT_OTHER
} kp_element_class;
kp_element_class kp_element_class_of(kapell_type type);

// How numbers become 8-bit floats.
typedef struct kp_rounding {
  bool saturate;
  kp_e8m0_round e8m0;
} kp_rounding;

// |count| elements from |first| on. Whole types only; real types only.
void kp_load_whole(kapell_type type, const void* data, size_t first, size_t count, int64_t* out);
void kp_load_real(kapell_type type, const void* data, size_t first, size_t count, double* out);
// The reverse. Whole numbers wrap around to the type's width (bool: != 0). Reals are cut towards zero first, and are, out of a type's
// range, what x86 makes of them: INT32_MIN's or INT64_MIN's low bits. |unsigned64|: the int64 are really uint64.
// For packed types |first| has to be even (4-bit) or a multiple of 4 (2-bit).
void kp_store_whole(kapell_type type, void* data, size_t first, size_t count, const int64_t* in,
                    bool unsigned64, const kp_rounding* rounding);
void kp_store_real(kapell_type type, void* data, size_t first, size_t count, const double* in,
                   const kp_rounding* rounding);

// All elements of a tensor of whole numbers or bool in f64, and back: rounded to the nearest (even where two are) and cut to the type's
// range. |count| elements are written from the tensor's first on.
void kp_load_numbers(const kapell_value* x, double* to);
void kp_store_rounded(const double* from, size_t count, kapell_value* y);

#endif  // KP_PROVIDER_CPU_OP_ELEMENT_H_
