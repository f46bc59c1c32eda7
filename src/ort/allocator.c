// Allocators: the default one of the host, handles on it, and the slots that call anybody's.
#include <string.h>

#include "base/alloc.h"
#include "base/value.h"
#include "ort/object.h"

// A handle: the table first, so that the ABI's pointer is ours.
typedef struct host_allocator {
  OrtAllocator table;
  const OrtMemoryInfo* info;
} host_allocator;

static void* host_alloc(OrtAllocator* self, size_t size) {
  (void)self;
  return size ? kp_alloc_aligned(size, KP_ALIGNMENT) : NULL;
}

static void host_free(OrtAllocator* self, void* memory) {
  (void)self;
  kp_free(memory);
}

static const OrtMemoryInfo* host_info(const OrtAllocator* self) {
  return self == &kp_ort_cpu_allocator ? &kp_ort_cpu_info
                                       : ((const host_allocator*)(const void*)self)->info;
}

#define HOST_TABLE                                                                         \
  {                                                                                        \
    .version = ORT_API_VERSION, .Alloc = host_alloc, .Free = host_free, .Info = host_info, \
    .Reserve = host_alloc                                                                  \
  }

OrtAllocator kp_ort_cpu_allocator = HOST_TABLE;

OrtStatus* kp_ort_allocator_create(const OrtMemoryInfo* info, OrtAllocator** out) {
  host_allocator* made = kp_alloc(sizeof(*made));
  if (!made) return kp_ort_no_memory();
  *made = (host_allocator){.table = HOST_TABLE, .info = kp_ort_info_retain(info)};
  *out = &made->table;
  return NULL;
}

OrtStatus* kp_ort_give_text(OrtAllocator* allocator, const char* text, char** out) {
  const size_t size = strlen(text) + 1;
  char* copy = allocator->Alloc(allocator, size);
  if (!copy)
    return kp_ort_error(ORT_FAIL, "the allocator gave no memory for %zu bytes of text", size);
  *out = memcpy(copy, text, size);
  return NULL;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetAllocatorWithDefaultOptions(OrtAllocator** out) {
  KP_ORT_NEED(out);
  *out = &kp_ort_cpu_allocator;
  return NULL;
}

OrtStatus* ort_AllocatorAlloc(OrtAllocator* ort_allocator, size_t size, void** out) {
  KP_ORT_NEED(ort_allocator);
  KP_ORT_NEED(out);
  *out = ort_allocator->Alloc(ort_allocator, size);
  if (*out || size == 0) return NULL;
  return kp_ort_error(ORT_FAIL, "Failed to allocate memory for requested buffer of size %zu", size);
}

OrtStatus* ort_AllocatorFree(OrtAllocator* ort_allocator, void* p) {
  KP_ORT_NEED(ort_allocator);
  ort_allocator->Free(ort_allocator, p);
  return NULL;
}

OrtStatus* ort_AllocatorGetInfo(const OrtAllocator* ort_allocator, const OrtMemoryInfo** out) {
  KP_ORT_NEED(ort_allocator);
  KP_ORT_NEED(out);
  *out = ort_allocator->Info(ort_allocator);
  return NULL;
}

// Members that came with API 23 are looked at only in tables that say they have them.
OrtStatus* ort_AllocatorGetStats(const OrtAllocator* ort_allocator, OrtKeyValuePairs** out) {
  KP_ORT_NEED(ort_allocator);
  KP_ORT_NEED(out);
  *out = NULL;
  if (ort_allocator->version >= 23 && ort_allocator->GetStats)
    return ort_allocator->GetStats(ort_allocator, out);
  *out = kp_alloc_zero(1, sizeof(**out));  // the host's allocator keeps no statistics
  return *out ? NULL : kp_ort_no_memory();
}

void ort_ReleaseAllocator(OrtAllocator* allocator) {
  if (!allocator || allocator == &kp_ort_cpu_allocator) return;
  if (allocator->Alloc != host_alloc) return;  // a client's own
  host_allocator* own = (host_allocator*)(void*)allocator;
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)own->info);
  kp_free(own);
}
