// The variants of normalizations, and the merging of moments. norm.h has the contract, norm_tmpl.c the kernels.
#include "provider/cpu/kernel/norm/norm.h"

#define KP_FAMILY norm
#define KP_FAMILY_LIST "provider/cpu/kernel/norm/norm_variants.inl"
#include "provider/cpu/kernel/variant_family.inl"

void kp_norm_merge(size_t count, const float* means, const float* variances, float* out_mean,
                   float* out_variance) {
  double mean = 0, within = 0, between = 0;
  for (size_t i = 0; i < count; ++i) mean += means[i];
  mean /= (double)count;
  for (size_t i = 0; i < count; ++i) {
    within += variances[i];
    between += (means[i] - mean) * (means[i] - mean);
  }
  *out_mean = (float)mean;
  *out_variance = (float)((within + between) / (double)count);
}
