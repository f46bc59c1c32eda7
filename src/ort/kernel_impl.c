// Kernels of provider libraries: their end, and the packed weights that they share.
#include <string.h>

#include "base/alloc.h"
#include "ort/kernel.h"

void ort_ep_ReleaseKernelImpl(OrtKernelImpl* object) {
  if (object && object->Release) object->Release(object);
}

void kp_ort_weights_clear(OrtSharedPrePackedWeightCache* weights) {
  for (size_t i = 0; i < weights->count; ++i)
    if (weights->buffers[i]) weights->allocator->Free(weights->allocator, weights->buffers[i]);
  kp_free(weights->buffers);
  kp_free(weights->sizes);
  *weights = (OrtSharedPrePackedWeightCache){.allocator = weights->allocator};
}

// The buffers pass to the cache; those of an earlier call end.
OrtStatus* ort_ep_SharedPrePackedWeightCache_StoreWeightData(
    OrtSharedPrePackedWeightCache* prepacked_weight_cache, void** buffer_data_ptrs,
    size_t* buffer_data_sizes, size_t count) {
  KP_ORT_NEED(prepacked_weight_cache);
  KP_ORT_NEED(buffer_data_ptrs);
  KP_ORT_NEED(buffer_data_sizes);
  if (count == 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "packed weights of no buffers");
  void** buffers = kp_alloc_array(count, sizeof *buffers);
  size_t* sizes = kp_alloc_array(count, sizeof *sizes);
  if (!buffers || !sizes) {
    kp_free(buffers);
    kp_free(sizes);
    return kp_ort_no_memory();
  }
  memcpy(buffers, buffer_data_ptrs, count * sizeof *buffers);
  memcpy(sizes, buffer_data_sizes, count * sizeof *sizes);
  kp_ort_weights_clear(prepacked_weight_cache);
  prepacked_weight_cache->buffers = buffers;
  prepacked_weight_cache->sizes = sizes;
  prepacked_weight_cache->count = count;
  return NULL;
}
