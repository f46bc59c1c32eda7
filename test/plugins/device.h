// Device memory of test libraries, and what every one of them needs of the ABI. The includer defines DEVICE_COUNT, its struct of counters with
// |blocks|, |allocators| and |transfers|, before.
#ifndef KP_TEST_PLUGINS_DEVICE_H_
#define KP_TEST_PLUGINS_DEVICE_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ort/abi.h"

#ifndef DEVICE_COUNT  // the header alone
#define DEVICE_COUNT device_count
static struct { int blocks, allocators, transfers; } device_count;
#endif

#define EXPORT __attribute__((visibility("default")))
#define TRY(expr)                        \
  do {                                   \
    OrtStatus* status_ = (expr);         \
    if (status_ != NULL) return status_; \
  } while (0)

static const OrtApi* api;
static const OrtEpApi* ep_api;

static inline OrtStatus* fail(const char* words) { return api->CreateStatus(ORT_EP_FAIL, words); }

// --- device memory: addresses are mangled, so that using one as it stands faults ----------------------------------------------
#define MANGLE ((uintptr_t)0xffff000000000000u)
static inline void* mangle(void* p) { return p ? (void*)((uintptr_t)p ^ MANGLE) : NULL; }

typedef struct device_allocator {
  OrtAllocator table;
  const OrtMemoryInfo* info;
} device_allocator;

static inline void* device_alloc(OrtAllocator* self, size_t size) {
  (void)self;
  ++DEVICE_COUNT.blocks;
  return mangle(malloc(size ? size : 1));
}
static inline void device_free(OrtAllocator* self, void* p) {
  (void)self;
  if (!p) return;
  --DEVICE_COUNT.blocks;
  free(mangle(p));
}
static inline const OrtMemoryInfo* device_info(const OrtAllocator* self) {
  return ((const device_allocator*)(const void*)self)->info;
}

static inline bool is_device(const OrtMemoryDevice* device) {
  return ep_api->MemoryDevice_GetDeviceType(device) == OrtMemoryInfoDeviceType_GPU;
}
static inline bool can_copy(const OrtDataTransferImpl* self, const OrtMemoryDevice* from,
                            const OrtMemoryDevice* to) {
  (void)self;
  return is_device(from) || is_device(to);
}
static inline OrtStatus* reach(const OrtValue* value, void** out) {
  const OrtMemoryInfo* info;
  TRY(api->GetTensorMutableData((OrtValue*)(uintptr_t)value, out));
  TRY(api->GetTensorMemoryInfo(value, &info));
  if (is_device(ep_api->MemoryInfo_GetMemoryDevice(info))) *out = mangle(*out);
  return NULL;
}
static inline OrtStatus* copy_tensors(OrtDataTransferImpl* self, const OrtValue** from,
                                      OrtValue** to, OrtSyncStream** streams, size_t count) {
  (void)self, (void)streams;
  for (size_t i = 0; i < count; ++i) {
    void *source, *target;
    size_t size;
    TRY(reach(from[i], &source));
    TRY(reach(to[i], &target));
    TRY(api->GetTensorSizeInBytes(from[i], &size));
    memcpy(target, source, size);
  }
  return NULL;
}
static inline void release_transfer(OrtDataTransferImpl* self) {
  --DEVICE_COUNT.transfers;
  free(self);
}

static inline OrtStatus* create_allocator(OrtEpFactory* self, const OrtMemoryInfo* info,
                                          const OrtKeyValuePairs* options, OrtAllocator** out) {
  (void)self, (void)options;
  device_allocator* made = calloc(1, sizeof *made);
  if (!made) return fail("no memory");
  made->table = (OrtAllocator){
      .version = 24, .Alloc = device_alloc, .Free = device_free, .Info = device_info};
  made->info = info;
  ++DEVICE_COUNT.allocators;
  *out = &made->table;
  return NULL;
}
static inline void release_allocator(OrtEpFactory* self, OrtAllocator* allocator) {
  (void)self;
  --DEVICE_COUNT.allocators;
  free(allocator);
}

static inline OrtStatus* create_transfer(OrtEpFactory* self, OrtDataTransferImpl** out) {
  *out = NULL;
  (void)self;
  OrtDataTransferImpl* made = calloc(1, sizeof *made);
  if (!made) return fail("no memory");
  *made = (OrtDataTransferImpl){.ort_version_supported = 24,
                                .Release = release_transfer,
                                .CanCopy = can_copy,
                                .CopyTensors = copy_tensors};
  ++DEVICE_COUNT.transfers;
  *out = made;
  return NULL;
}

// The value of option |key|, if there is one.
static inline OrtStatus* read_option(const OrtSessionOptions* options, const char* name,
                                     const char* key, char* out, size_t size) {
  char full[128];
  int has = 0;
  snprintf(full, sizeof full, "ep.%s.%s", name, key);
  for (char* c = full; *c; ++c)
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
  TRY(api->HasSessionConfigEntry(options, full, &has));
  return has ? api->GetSessionConfigEntry(options, full, out, &size) : NULL;
}

#endif  // KP_TEST_PLUGINS_DEVICE_H_
