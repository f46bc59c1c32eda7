// The variants of elementwise arithmetic. eltwise.h has the contract, eltwise_tmpl.c the kernels.
#include "provider/cpu/kernel/eltwise/eltwise.h"

#define KP_FAMILY eltwise
#define KP_FAMILY_LIST "provider/cpu/kernel/eltwise/eltwise_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
