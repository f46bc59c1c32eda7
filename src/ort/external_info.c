// Where an initializer lies outside of its model: file, offset, size.
#include <string.h>

#include "base/alloc.h"
#include "ort/object.h"

struct OrtExternalInitializerInfo {
  int64_t offset;
  size_t size;
  char path[];
};

OrtStatus* ort_CreateExternalInitializerInfo(const char* path, int64_t offset, size_t size,
                                             OrtExternalInitializerInfo** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(path);
  const size_t length = strlen(path);
  OrtExternalInitializerInfo* made = kp_alloc(sizeof *made + length + 1);
  if (!made) return kp_ort_no_memory();
  made->offset = offset;
  made->size = size;
  memcpy(made->path, path, length + 1);
  *out = made;
  return NULL;
}

void ort_ReleaseExternalInitializerInfo(OrtExternalInitializerInfo* object) { kp_free(object); }

const char* ort_ExternalInitializerInfo_GetFilePath(const OrtExternalInitializerInfo* info) {
  return info ? info->path : NULL;
}

int64_t ort_ExternalInitializerInfo_GetFileOffset(const OrtExternalInitializerInfo* info) {
  return info ? info->offset : 0;
}

size_t ort_ExternalInitializerInfo_GetByteSize(const OrtExternalInitializerInfo* info) {
  return info ? info->size : 0;
}
