// The variants of boxes. boxes.h has the contract, boxes_tmpl.c the kernels.
#include "provider/cpu/kernel/boxes/boxes.h"

#define KP_FAMILY boxes
#define KP_FAMILY_LIST "provider/cpu/kernel/boxes/boxes_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"
