// Allocators and data transfers that factories of registered libraries make for everybody.
//
// Locks: that of the environment guards its lists; factories are called without it.
#include "base/size.h"
#include "ort/env.h"
#include "ort/options.h"

// --- allocators ------------------------------------------------------------------------------------------------------------------
static size_t find_shared(const OrtEnv* env, const OrtMemoryInfo* info) {
  size_t i = 0;
  while (i < env->shared_count) {
    const OrtMemoryInfo* have = env->shared[i].allocator->Info(env->shared[i].allocator);
    if (have && kp_ort_info_is_alike(have, info)) break;
    ++i;
  }
  return i;
}

static void release_shared(kp_ort_shared_allocator shared) {
  if (shared.allocator && shared.factory->ReleaseAllocator)
    shared.factory->ReleaseAllocator(shared.factory, shared.allocator);
}

static kp_ort_shared_allocator take_shared(OrtEnv* env, size_t at) {
  const kp_ort_shared_allocator taken = env->shared[at];
  env->shared[at] = env->shared[--env->shared_count];
  return taken;
}

static OrtStatus* make_allocator(OrtEpFactory* factory, const OrtMemoryInfo* info,
                                 const OrtKeyValuePairs* options, OrtAllocator** out) {
  *out = NULL;
  if (factory->ort_version_supported < 23 || !factory->CreateAllocator) return NULL;
  KP_ORT_PASS(factory->CreateAllocator(factory, info, options, out));
  if (!*out) return NULL;
  if ((*out)->Alloc && (*out)->Free && (*out)->Info && (*out)->Info(*out)) return NULL;
  release_shared((kp_ort_shared_allocator){*out, factory});
  *out = NULL;
  return kp_ort_error(ORT_FAIL, "the provider's allocator for '%s' lacks Alloc, Free or Info",
                      info->name);
}

OrtStatus* kp_ort_env_share(OrtEnv* env, OrtEpFactory* factory, const OrtMemoryInfo* info,
                            const OrtKeyValuePairs* options, OrtAllocator** out) {
  kp_ort_shared_allocator made = {.factory = factory}, old = {0};
  if (out) *out = NULL;
  KP_ORT_PASS(make_allocator(factory, info, options, &made.allocator));
  if (!made.allocator) return NULL;
  kp_ort_env_lock();
  const size_t at = find_shared(env, info);
  if (at < env->shared_count) old = take_shared(env, at);
  kp_ort_shared_allocator* place =
      kp_ort_append((void**)&env->shared, &env->shared_count, sizeof(*place));
  if (place) *place = made;
  kp_ort_env_unlock();
  release_shared(old);
  if (!place) {
    release_shared(made);
    return kp_ort_no_memory();
  }
  if (out) *out = made.allocator;
  return NULL;
}

// --- data transfers ----------------------------------------------------------------------------------------------------------------
OrtStatus* kp_ort_env_add_transfer(OrtEnv* env, OrtEpFactory* factory,
                                   OrtDataTransferImpl* transfer) {
  kp_ort_env_lock();
  kp_ort_transfer* place =
      kp_ort_append((void**)&env->transfers, &env->transfer_count, sizeof(*place));
  if (place) *place = (kp_ort_transfer){transfer, factory};
  kp_ort_env_unlock();
  return place ? NULL : kp_ort_no_memory();
}

OrtDataTransferImpl* kp_ort_env_transfer(const OrtEnv* env, const OrtMemoryDevice* from,
                                         const OrtMemoryDevice* to) {
  OrtDataTransferImpl* found = NULL;
  for (size_t i = 0; !found; ++i) {
    kp_ort_env_lock();
    OrtDataTransferImpl* each = i < env->transfer_count ? env->transfers[i].transfer : NULL;
    kp_ort_env_unlock();
    if (!each) return NULL;
    if (each->CanCopy && each->CopyTensors && each->CanCopy(each, from, to)) found = each;
  }
  return found;
}

void kp_ort_env_unshare(OrtEnv* env, const OrtEpFactory* factory) {
  for (bool any = true; any;) {
    kp_ort_shared_allocator allocator = {0};
    OrtDataTransferImpl* transfer = NULL;
    kp_ort_env_lock();
    for (size_t i = 0; i < env->shared_count && !allocator.allocator; ++i)
      if (env->shared[i].factory == factory) allocator = take_shared(env, i);
    for (size_t i = 0; i < env->transfer_count && !transfer; ++i) {
      if (env->transfers[i].factory != factory) continue;
      transfer = env->transfers[i].transfer;
      env->transfers[i] = env->transfers[--env->transfer_count];
    }
    kp_ort_env_unlock();
    release_shared(allocator);
    if (transfer && transfer->Release) transfer->Release(transfer);
    any = allocator.allocator || transfer;
  }
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetSharedAllocator(OrtEnv* env, const OrtMemoryInfo* info,
                                  OrtAllocator** allocator) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(info);
  KP_ORT_NEED(allocator);
  *allocator = kp_ort_env_allocator(env, info);
  if (*allocator) return NULL;
  kp_ort_env_lock();
  const size_t at = find_shared(env, info);
  if (at < env->shared_count) *allocator = env->shared[at].allocator;
  kp_ort_env_unlock();
  if (!*allocator && kp_ort_info_is_host(info)) *allocator = &kp_ort_cpu_allocator;
  return NULL;
}

// The host's allocator, which is always there, is nobody's to make or to end.
static OrtStatus* no_such_memory(const OrtEpDevice* device) {
  return kp_ort_error(ORT_INVALID_ARGUMENT,
                      "Invalid memory type for OrtEpDevice: %s shares no memory of this kind",
                      device->name);
}

OrtStatus* ort_CreateSharedAllocator(OrtEnv* env, const OrtEpDevice* device,
                                     OrtDeviceMemoryType mem_type, OrtAllocatorType allocator_type,
                                     const OrtKeyValuePairs* options, OrtAllocator** allocator) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(device);
  const OrtMemoryInfo* info = allocator_type == OrtReadOnlyAllocator
                                  ? device->read_only_memory
                                  : ort_EpDevice_MemoryInfo(device, mem_type);
  if (!info || !device->factory) return no_such_memory(device);
  return kp_ort_env_share(env, device->factory, info, options, allocator);
}

OrtStatus* ort_ReleaseSharedAllocator(OrtEnv* env, const OrtEpDevice* device,
                                      OrtDeviceMemoryType mem_type) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(device);
  const OrtMemoryInfo* info = ort_EpDevice_MemoryInfo(device, mem_type);
  if (!info || !device->factory) return no_such_memory(device);
  kp_ort_shared_allocator gone = {0};
  kp_ort_env_lock();
  const size_t at = find_shared(env, info);
  if (at < env->shared_count) gone = take_shared(env, at);
  kp_ort_env_unlock();
  if (!gone.allocator)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "%s has no shared allocator for this memory",
                        device->name);
  release_shared(gone);
  return NULL;
}
