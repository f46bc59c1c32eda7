// The variants of resampling. resize.h has the contract, resize_tmpl.c the kernels.
#include "provider/cpu/kernel/resize/resize.h"

#define KP_FAMILY resize
#define KP_FAMILY_LIST "provider/cpu/kernel/resize/resize_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
