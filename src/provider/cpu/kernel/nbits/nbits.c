// The variants of products with matrices of few bits. nbits.h has the contract, nbits_tmpl.c the kernels.
#include "provider/cpu/kernel/nbits/nbits.h"

#define KP_FAMILY nbits
#define KP_FAMILY_LIST "provider/cpu/kernel/nbits/nbits_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
