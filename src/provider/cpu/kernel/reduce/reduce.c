// The variants of reductions. reduce.h has the contract, reduce_tmpl.c the kernels.
#include "provider/cpu/kernel/reduce/reduce.h"

#define KP_FAMILY reduce
#define KP_FAMILY_LIST "provider/cpu/kernel/reduce/reduce_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
