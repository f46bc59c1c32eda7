// The variants of pooling. pool.h has the contract, pool_tmpl.c the kernels.
#include "provider/cpu/kernel/pool/pool.h"

#define KP_FAMILY pool
#define KP_FAMILY_LIST "provider/cpu/kernel/pool/pool_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
