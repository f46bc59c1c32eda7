// Expands one family's variant list. Use, in <family>.c, with the two names defined:
//     #define KP_FAMILY softmax
//     #define KP_FAMILY_LIST "provider/cpu/kernel/softmax/softmax_variants.inl"
//     #include "provider/cpu/kernel/variant_family.inl"
#include "base/cpu.h"
#include "provider/cpu/kernel/variant.h"

#define KP_FAMILY_JOIN_(a, b, c) a##b##c
#define KP_FAMILY_JOIN(a, b, c) KP_FAMILY_JOIN_(a, b, c)

#define KP_VARIANT(family, isa, features) extern const kp_##family##_ops kp_##family##_##isa;
#include KP_FAMILY_LIST
#undef KP_VARIANT

#define KP_VARIANT(family, isa, features) {#isa, (features), &kp_##family##_##isa},
static const kp_variant kFamilyVariants[] = {
#include KP_FAMILY_LIST
};
#undef KP_VARIANT

const kp_variant* KP_FAMILY_JOIN(kp_, KP_FAMILY, _variants)(size_t* out_count) {
  *out_count = sizeof(kFamilyVariants) / sizeof(kFamilyVariants[0]);
  return kFamilyVariants;
}

const KP_FAMILY_JOIN(kp_, KP_FAMILY, _ops) * KP_FAMILY_JOIN(kp_, KP_FAMILY, _select)(uint64_t features) {
  const size_t count = sizeof(kFamilyVariants) / sizeof(kFamilyVariants[0]);
  return kp_variant_select(kFamilyVariants, count, features)->ops;
}

#undef KP_FAMILY
#undef KP_FAMILY_LIST
