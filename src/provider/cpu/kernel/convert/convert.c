// The variants of the conversions. convert.h has the contract, convert_tmpl.c the kernels.
#include "provider/cpu/kernel/convert/convert.h"

#define KP_FAMILY convert
#define KP_FAMILY_LIST "provider/cpu/kernel/convert/convert_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
