// The variants of quantization. quantize.h has the contract, quantize_tmpl.c the kernels.
#include "provider/cpu/kernel/quantize/quantize.h"

#define KP_FAMILY quantize
#define KP_FAMILY_LIST "provider/cpu/kernel/quantize/quantize_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
