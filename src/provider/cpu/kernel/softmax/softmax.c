// The variants of softmax. softmax.h has the contract, softmax_tmpl.c the kernels.
#include "provider/cpu/kernel/softmax/softmax.h"

#define KP_FAMILY softmax
#define KP_FAMILY_LIST "provider/cpu/kernel/softmax/softmax_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
