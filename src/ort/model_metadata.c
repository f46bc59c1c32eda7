// What a model says of itself: OrtModelMetadata, made of a session (dropin/) or of a model that provider libraries look at.
#include "ort/model_metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static kp_status* add(OrtKeyValuePairs* to, kp_str key, kp_str value) {
  if (value.length == 0) return NULL;
  char *own_key = kp_strndup(key.data, key.length), *own = kp_strndup(value.data, value.length);
  kp_status* status = own_key && own ? kp_ort_pairs_set(to, own_key, own)
                                     : KP_ERROR(OUT_OF_MEMORY, "the metadata of the model");
  kp_free(own_key);
  kp_free(own);
  return status;
}

static kp_status* fill(const kp_onnx_model* source, OrtModelMetadata* metadata) {
  char version[24];
  snprintf(version, sizeof version, "%lld", (long long)source->model_version);
  const kp_onnx_entry own[] = {
      {kp_str_of("kapell:producer"), source->producer_name},
      {kp_str_of("kapell:graph"), source->graph.name},
      {kp_str_of("kapell:domain"), source->domain},
      {kp_str_of("kapell:doc"), source->doc},
      {kp_str_of("kapell:graph_doc"), source->graph.doc},
      {kp_str_of("kapell:model_version"), kp_str_of(version)},
  };
  for (size_t i = 0; i < sizeof own / sizeof own[0]; ++i)
    KP_PASS(add(&metadata->own, own[i].key, own[i].value));
  for (size_t i = 0; i < source->metadata_count; ++i)
    KP_PASS(add(&metadata->custom, source->metadata[i].key, source->metadata[i].value));
  return NULL;
}

OrtStatus* kp_ort_metadata_of(const kp_onnx_model* source, OrtModelMetadata** out) {
  OrtModelMetadata* metadata = kp_alloc_zero(1, sizeof(*metadata));
  if (!metadata) return kp_ort_no_memory();
  OrtStatus* status = source ? kp_ort_status(fill(source, metadata)) : NULL;
  if (status) {
    ort_ReleaseModelMetadata(metadata);
    return status;
  }
  *out = metadata;
  return NULL;
}

void ort_ReleaseModelMetadata(OrtModelMetadata* metadata) {
  if (!metadata) return;
  kp_ort_pairs_clear(&metadata->own);
  kp_ort_pairs_clear(&metadata->custom);
  kp_free(metadata);
}

#define METADATA_TEXT(Name, key)                                                                   \
  OrtStatus* ort_ModelMetadataGet##Name(const OrtModelMetadata* metadata, OrtAllocator* allocator, \
                                        char** value) {                                            \
    KP_ORT_NEED(metadata);                                                                         \
    KP_ORT_NEED(allocator);                                                                        \
    KP_ORT_NEED(value);                                                                            \
    const char* text = kp_ort_pairs_get(&metadata->own, key);                                      \
    return kp_ort_give_text(allocator, text ? text : "", value);                                   \
  }
METADATA_TEXT(ProducerName, "kapell:producer")
METADATA_TEXT(GraphName, "kapell:graph")
METADATA_TEXT(Domain, "kapell:domain")
METADATA_TEXT(Description, "kapell:doc")
METADATA_TEXT(GraphDescription, "kapell:graph_doc")

OrtStatus* ort_ModelMetadataGetVersion(const OrtModelMetadata* metadata, int64_t* value) {
  KP_ORT_NEED(metadata);
  KP_ORT_NEED(value);
  const char* text = kp_ort_pairs_get(&metadata->own, "kapell:model_version");
  *value = text ? strtoll(text, NULL, 10) : 0;
  return NULL;
}

OrtStatus* ort_ModelMetadataLookupCustomMetadataMap(const OrtModelMetadata* metadata,
                                                    OrtAllocator* allocator, const char* key,
                                                    char** value) {
  KP_ORT_NEED(metadata);
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(key);
  KP_ORT_NEED(value);
  const char* text = kp_ort_pairs_get(&metadata->custom, key);
  *value = NULL;
  return text ? kp_ort_give_text(allocator, text, value) : NULL;
}

// The array and each text in it are the client's, to be freed in |allocator|.
OrtStatus* ort_ModelMetadataGetCustomMetadataMapKeys(const OrtModelMetadata* metadata,
                                                     OrtAllocator* allocator, char*** keys,
                                                     int64_t* count) {
  KP_ORT_NEED(metadata);
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(keys);
  KP_ORT_NEED(count);
  const size_t all = metadata->custom.count;
  *keys = NULL;
  *count = 0;
  if (all == 0) return NULL;
  char** made = allocator->Alloc(allocator, all * sizeof(*made));
  if (!made) return kp_ort_error(ORT_FAIL, "the allocator gave no memory for %zu keys", all);
  OrtStatus* status = NULL;
  size_t done = 0;
  while (!status && done < all) {
    status = kp_ort_give_text(allocator, metadata->custom.keys[done], &made[done]);
    if (!status) ++done;
  }
  if (status) {
    while (done) allocator->Free(allocator, made[--done]);
    allocator->Free(allocator, made);
    return status;
  }
  *keys = made;
  *count = (int64_t)all;
  return NULL;
}
