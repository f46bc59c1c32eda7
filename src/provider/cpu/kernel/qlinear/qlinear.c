// The variants of arithmetic on 8-bit numbers with scales. qlinear.h has the contract, qlinear_tmpl.c the kernels.
#include "provider/cpu/kernel/qlinear/qlinear.h"

#define KP_FAMILY qlinear
#define KP_FAMILY_LIST "provider/cpu/kernel/qlinear/qlinear_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
