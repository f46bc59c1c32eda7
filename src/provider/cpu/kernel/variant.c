// Selection among variants; see variant.h.
#include "provider/cpu/kernel/variant.h"

const kp_variant* kp_variant_select(const kp_variant* variants, size_t count, uint64_t features) {
  const kp_variant* best = &variants[0];
  for (size_t i = 1; i < count; ++i) {
    if ((variants[i].features & ~features) == 0) best = &variants[i];
  }
  return best;
}
