// A library's device memory: allocations count, copies go through its data transfer with handles made for the copy.
#include "provider/plugin/memory.h"

#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/size.h"
#include "provider/plugin/internal.h"

struct kp_plugin_memory {
  kp_memory base;  // first
  int32_t refs;    // atomic: the provider's, and one for each allocation
  const kp_plugin_type* type;
  const OrtMemoryInfo* info;
  OrtAllocator* allocator;
  OrtDataTransferImpl* transfer;
  pthread_mutex_t lock;  // one copy at a time
  char name[96];
};

static kp_plugin_memory* memory_of(const kp_memory* self) { return self->owner; }

// --- life -------------------------------------------------------------------------------------------------------------------
void kp_plugin_memory_release(kp_plugin_memory* memory) {
  if (!memory || __atomic_sub_fetch(&memory->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
  OrtEpFactory* factory = memory->type->factory;
  kp_plugin_library* library = memory->type->library;
  if (memory->transfer && memory->transfer->Release) memory->transfer->Release(memory->transfer);
  if (memory->allocator && KP_PLUGIN_HAS(factory, ReleaseAllocator, 23))
    factory->ReleaseAllocator(factory, memory->allocator);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)memory->info);
  pthread_mutex_destroy(&memory->lock);
  kp_free(memory);
  kp_plugin_library_release(library);
}

static void* memory_alloc(const kp_memory* self, size_t byte_count, size_t alignment) {
  kp_plugin_memory* memory = memory_of(self);
  (void)alignment;  // the library knows what its device needs
  size_t size;
  if (!kp_align_size(byte_count ? byte_count : 1, 16, &size)) return NULL;
  void* data = memory->allocator->Alloc(memory->allocator, size);
  if (data) __atomic_fetch_add(&memory->refs, 1, __ATOMIC_RELAXED);
  return data;
}

static void memory_free(const kp_memory* self, void* data) {
  kp_plugin_memory* memory = memory_of(self);
  if (!data) return;
  memory->allocator->Free(memory->allocator, data);
  kp_plugin_memory_release(memory);
}

// --- copies -----------------------------------------------------------------------------------------------------------------
typedef struct one_copy {
  kp_plugin_memory* memory;
  const OrtValue* from;
  OrtValue* to;
} one_copy;

static OrtStatus* call_copy(void* arg) {
  const one_copy* copy = arg;
  OrtDataTransferImpl* transfer = copy->memory->transfer;
  const OrtValue* from[] = {copy->from};
  OrtValue* to[] = {copy->to};
  const OrtMemoryDevice* source = ort_ep_Value_GetMemoryDevice(copy->from);
  const OrtMemoryDevice* target = ort_ep_Value_GetMemoryDevice(copy->to);
  if (transfer->CanCopy && !transfer->CanCopy(transfer, source, target))
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "its data transfer does not copy from %s to %s",
                        copy->from->info->name, copy->to->info->name);
  return transfer->CopyTensors(transfer, from, to, NULL, 1);
}

static kp_status* copy(const kp_memory* self, void* device_data, void* host_data, size_t byte_count,
                       bool in) {
  kp_plugin_memory* memory = memory_of(self);
  if (byte_count == 0) return NULL;
  const int64_t dims[] = {(int64_t)byte_count};
  kapell_value host = {0}, device = {0};
  KP_PASS(kp_value_reset_tensor(&host, KAPELL_UINT8, dims, 1, host_data));
  KP_PASS(kp_value_reset_on(&device, self, KAPELL_UINT8, dims, 1, device_data));
  OrtValue host_handle = {.value = &host, .info = &kp_ort_cpu_info};
  OrtValue device_handle = {.value = &device, .info = memory->info};
  one_copy job = {memory, in ? &host_handle : &device_handle, in ? &device_handle : &host_handle};
  pthread_mutex_lock(&memory->lock);
  OrtStatus* status = kp_ort_guard(call_copy, &job);
  pthread_mutex_unlock(&memory->lock);
  return kp_plugin_failure(memory->type, "copying", status);
}

static kp_status* memory_copy_in(const kp_memory* self, void* device_data, const void* host_data,
                                 size_t byte_count) {
  return copy(self, device_data, (void*)(uintptr_t)host_data, byte_count, true);
}

static kp_status* memory_copy_out(const kp_memory* self, void* host_data, const void* device_data,
                                  size_t byte_count) {
  return copy(self, (void*)(uintptr_t)device_data, host_data, byte_count, false);
}

// --- making one -------------------------------------------------------------------------------------------------------------
typedef struct making {
  kp_plugin_memory* memory;
  OrtEp* ep;
} making;

static OrtStatus* make_parts(void* arg) {
  const making* m = arg;
  kp_plugin_memory* memory = m->memory;
  OrtEpFactory* factory = memory->type->factory;
  if (KP_PLUGIN_HAS(m->ep, CreateAllocator, 23))
    KP_ORT_PASS(m->ep->CreateAllocator(m->ep, memory->info, &memory->allocator));
  else if (KP_PLUGIN_HAS(factory, CreateAllocator, 23))
    KP_ORT_PASS(factory->CreateAllocator(factory, memory->info, NULL, &memory->allocator));
  if (KP_PLUGIN_HAS(factory, CreateDataTransfer, 23))
    KP_ORT_PASS(factory->CreateDataTransfer(factory, &memory->transfer));
  if (!memory->allocator || !memory->transfer || !memory->transfer->CopyTensors)
    return kp_ort_error(ORT_NOT_IMPLEMENTED, "it has no %s for its memory '%s'",
                        memory->allocator ? "data transfer" : "allocator", memory->info->name);
  return NULL;
}

kp_status* kp_plugin_memory_create(const kp_plugin_type* type, OrtEp* ep, const OrtMemoryInfo* info,
                                   kp_plugin_memory** out_memory) {
  *out_memory = NULL;
  kp_plugin_memory* memory = kp_alloc_zero(1, sizeof *memory);
  if (!memory) return KP_ERROR(OUT_OF_MEMORY, "the memory of %s", type->type.short_name);
  *memory = (kp_plugin_memory){.refs = 1, .type = type, .info = kp_ort_info_retain(info)};
  kp_plugin_library_retain(type->library);
  pthread_mutex_init(&memory->lock, NULL);
  snprintf(memory->name, sizeof memory->name, "%s:%d", info->name, info->device_id);
  memory->base = (kp_memory){.name = memory->name,
                             .device_id = info->device_id,
                             .owner = memory,
                             .is_opaque = true,
                             .alloc = memory_alloc,
                             .free = memory_free,
                             .copy_in = memory_copy_in,
                             .copy_out = memory_copy_out};
  kp_status* status =
      kp_plugin_failure(type, "making its memory", kp_ort_guard(make_parts, &(making){memory, ep}));
  if (status) {
    kp_plugin_memory_release(memory);
    return status;
  }
  *out_memory = memory;
  return NULL;
}

const kp_memory* kp_plugin_memory_base(const kp_plugin_memory* memory) {
  return memory ? &memory->base : NULL;
}

OrtAllocator* kp_plugin_memory_allocator(const kp_plugin_memory* memory) {
  return memory ? memory->allocator : NULL;
}

const OrtMemoryInfo* kp_plugin_memory_info(const kp_memory* memory) {
  return memory && memory->alloc == memory_alloc ? memory_of(memory)->info : &kp_ort_cpu_info;
}
