// The machine's devices and what providers make of them: the processor always, under the CPU provider; the rest under those of
// registered libraries.
//
// Locks: |made_lock| guards the list of what CreateEpDevice made and nobody took over yet; that of the environment its lists.
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "ort/env.h"

#define CPU_PROVIDER "CPUExecutionProvider"

static pthread_mutex_t made_lock = PTHREAD_MUTEX_INITIALIZER;
static OrtEpDevice* made;
static _Thread_local bool virtual_devices;

void kp_ort_allow_virtual_devices(bool allow) { virtual_devices = allow; }

// --- Kapell's own ----------------------------------------------------------------------------------------------------------------
static OrtStatus* make_own(const OrtHardwareDevice* hardware, OrtEpDevice** out) {
  OrtEpDevice* device = *out = kp_alloc_zero(1, sizeof(*device));
  if (!device) return kp_ort_no_memory();
  device->name = kp_strdup(CPU_PROVIDER);
  device->vendor = kp_strdup("Kapell");
  device->device = hardware;
  device->memory = kp_ort_info_retain(&kp_ort_cpu_info);
  if (!device->name || !device->vendor) return kp_ort_no_memory();
  KP_ORT_TAKE(kp_ort_pairs_set(&device->metadata, "version", KP_ORT_VERSION));
  return NULL;
}

OrtStatus* kp_ort_devices_find(OrtEnv* env) {
  KP_ORT_PASS(kp_ort_hardware_find("", getenv("KAPELL_PRETEND_DEVICES"), &env->devices,
                                   &env->device_count));
  env->ep_devices = kp_alloc_zero(1, sizeof(*env->ep_devices));
  if (!env->ep_devices) return kp_ort_no_memory();
  OrtStatus* status = make_own(env->devices[0], env->ep_devices);  // the processor
  if (env->ep_devices[0]) env->ep_device_count = 1;
  return status;
}

void kp_ort_ep_device_free(OrtEpDevice* device) {
  if (!device) return;
  kp_free(device->name);
  kp_free(device->vendor);
  kp_ort_pairs_clear(&device->metadata);
  kp_ort_pairs_clear(&device->options);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)device->memory);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)device->host_memory);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)device->read_only_memory);
  kp_free(device);
}

void kp_ort_devices_free(OrtEnv* env) {
  for (size_t i = 0; i < env->ep_device_count; ++i)
    if (!env->ep_devices[i]->factory) kp_ort_ep_device_free(env->ep_devices[i]);
  for (size_t i = 0; i < env->device_count; ++i) kp_ort_hardware_free(env->devices[i]);
  kp_free(env->ep_devices);
  kp_free(env->devices);
}

// --- those of libraries ------------------------------------------------------------------------------------------------------------
bool kp_ort_ep_device_take(OrtEpDevice* device, const OrtEpFactory* factory) {
  pthread_mutex_lock(&made_lock);
  OrtEpDevice** at = &made;
  while (*at && *at != device) at = &(*at)->next;
  const bool found = *at && (!factory || device->factory == factory);
  if (found) *at = device->next;
  pthread_mutex_unlock(&made_lock);
  return found;
}

void kp_ort_ep_devices_drop(const OrtEpFactory* factory) {
  pthread_mutex_lock(&made_lock);
  for (OrtEpDevice** at = &made; *at;) {
    OrtEpDevice* device = *at;
    if (device->factory != factory) {
      at = &device->next;
      continue;
    }
    *at = device->next;
    kp_ort_ep_device_free(device);
  }
  pthread_mutex_unlock(&made_lock);
}

OrtStatus* kp_ort_env_add_devices(OrtEnv* env, OrtEpDevice* const* devices, size_t count) {
  OrtStatus* status = NULL;
  kp_ort_env_lock();
  OrtEpDevice** grown =
      kp_realloc_array(env->ep_devices, env->ep_device_count + count, sizeof(*grown));
  if (grown) {
    env->ep_devices = grown;
    for (size_t i = 0; i < count; ++i) grown[env->ep_device_count++] = devices[i];
  } else {
    status = kp_ort_no_memory();
  }
  kp_ort_env_unlock();
  return status;
}

void kp_ort_env_remove_devices(OrtEnv* env, const OrtEpFactory* factory) {
  kp_ort_env_lock();
  size_t kept = 0;
  for (size_t i = 0; i < env->ep_device_count; ++i)
    if (env->ep_devices[i]->factory != factory) env->ep_devices[kept++] = env->ep_devices[i];
  env->ep_device_count = kept;
  kp_ort_env_unlock();
}

OrtStatus* ort_ep_CreateEpDevice(OrtEpFactory* factory, const OrtHardwareDevice* device,
                                 const OrtKeyValuePairs* metadata,
                                 const OrtKeyValuePairs* ep_options, OrtEpDevice** out) {
  KP_ORT_NEED(factory);
  KP_ORT_NEED(device);
  KP_ORT_NEED(out);
  *out = NULL;
  if (!factory->GetName || !factory->GetVendor)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "CreateEpDevice: the factory has no GetName or GetVendor");
  const char *name = factory->GetName(factory), *vendor = factory->GetVendor(factory);
  const char* version = factory->ort_version_supported >= 23 && factory->GetVersion
                            ? factory->GetVersion(factory)
                            : NULL;
  OrtEpDevice* ep = kp_alloc_zero(1, sizeof(*ep));
  if (!ep) return kp_ort_no_memory();
  ep->name = kp_strdup(name ? name : "");
  ep->vendor = kp_strdup(vendor ? vendor : "");
  ep->device = device;
  ep->factory = factory;
  kp_status* status = ep->name && ep->vendor ? NULL : KP_ERROR(OUT_OF_MEMORY, "a device");
  if (!status && metadata) status = kp_ort_pairs_copy(&ep->metadata, metadata);
  if (!status && ep_options) status = kp_ort_pairs_copy(&ep->options, ep_options);
  if (!status && version) status = kp_ort_pairs_set(&ep->metadata, "version", version);
  if (status) {
    kp_ort_ep_device_free(ep);
    return kp_ort_status(status);
  }
  pthread_mutex_lock(&made_lock);
  ep->next = made;
  made = ep;
  pthread_mutex_unlock(&made_lock);
  *out = ep;
  return NULL;
}

// Those that the host took over are its own to end.
void ort_ep_ReleaseEpDevice(OrtEpDevice* object) {
  if (object && kp_ort_ep_device_take(object, NULL)) kp_ort_ep_device_free(object);
}

OrtStatus* ort_ep_EpDevice_AddAllocatorInfo(OrtEpDevice* device,
                                            const OrtMemoryInfo* allocator_memory_info) {
  KP_ORT_NEED(device);
  KP_ORT_NEED(allocator_memory_info);
  const OrtMemoryInfo** place = &device->memory;
  if (allocator_memory_info->device_mem_type == OrtDeviceMemoryType_HOST_ACCESSIBLE)
    place = &device->host_memory;
  else if (allocator_memory_info->allocator_type == OrtReadOnlyAllocator)
    place = &device->read_only_memory;
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)*place);
  *place = kp_ort_info_retain(allocator_memory_info);
  return NULL;
}

OrtStatus* ort_ep_CreateHardwareDevice(OrtHardwareDeviceType type, uint32_t vendor_id,
                                       uint32_t device_id, const char* vendor_name,
                                       const OrtKeyValuePairs* metadata,
                                       OrtHardwareDevice** device) {
  KP_ORT_NEED(device);
  *device = NULL;
  KP_ORT_NEED(vendor_name);
  return kp_ort_hardware_create(type, vendor_id, device_id, vendor_name, metadata, device);
}

void ort_ep_ReleaseHardwareDevice(OrtHardwareDevice* object) { kp_ort_hardware_free(object); }

OrtStatus* ort_ep_GetEnvConfigEntries(OrtKeyValuePairs** config_entries) {
  KP_ORT_NEED(config_entries);
  *config_entries = NULL;
  OrtKeyValuePairs* copy = kp_alloc_zero(1, sizeof(*copy));
  if (!copy) return kp_ort_no_memory();
  kp_ort_env_lock();
  const OrtEnv* env = kp_ort_env_peek();
  kp_status* status = env ? kp_ort_pairs_copy(copy, &env->config) : NULL;
  kp_ort_env_unlock();
  if (!status && virtual_devices) status = kp_ort_pairs_set(copy, "allow_virtual_devices", "1");
  if (status) {
    ort_ReleaseKeyValuePairs(copy);
    return kp_ort_status(status);
  }
  *config_entries = copy;
  return NULL;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetEpDevices(const OrtEnv* env, const OrtEpDevice* const** devices, size_t* count) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(devices);
  KP_ORT_NEED(count);
  kp_ort_env_lock();
  *devices = (const OrtEpDevice* const*)env->ep_devices;
  *count = env->ep_device_count;
  kp_ort_env_unlock();
  return NULL;
}

OrtStatus* ort_GetNumHardwareDevices(const OrtEnv* env, size_t* count) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(count);
  *count = env->device_count;
  return NULL;
}

OrtStatus* ort_GetHardwareDevices(const OrtEnv* env, const OrtHardwareDevice** devices,
                                  size_t count) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(devices);
  if (count < env->device_count)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "room for %zu devices; there are %zu", count,
                        env->device_count);
  for (size_t i = 0; i < env->device_count; ++i) devices[i] = env->devices[i];
  return NULL;
}

OrtHardwareDeviceType ort_HardwareDevice_Type(const OrtHardwareDevice* device) {
  return device->type;
}
uint32_t ort_HardwareDevice_VendorId(const OrtHardwareDevice* device) { return device->vendor_id; }
const char* ort_HardwareDevice_Vendor(const OrtHardwareDevice* device) { return device->vendor; }
uint32_t ort_HardwareDevice_DeviceId(const OrtHardwareDevice* device) { return device->device_id; }
const OrtKeyValuePairs* ort_HardwareDevice_Metadata(const OrtHardwareDevice* device) {
  return &device->metadata;
}
const char* ort_EpDevice_EpName(const OrtEpDevice* device) { return device->name; }
const char* ort_EpDevice_EpVendor(const OrtEpDevice* device) { return device->vendor; }
const OrtKeyValuePairs* ort_EpDevice_EpMetadata(const OrtEpDevice* device) {
  return &device->metadata;
}
const OrtKeyValuePairs* ort_EpDevice_EpOptions(const OrtEpDevice* device) {
  return &device->options;
}
const OrtHardwareDevice* ort_EpDevice_Device(const OrtEpDevice* device) { return device->device; }

const OrtMemoryInfo* ort_EpDevice_MemoryInfo(const OrtEpDevice* device,
                                             OrtDeviceMemoryType memory_type) {
  return memory_type == OrtDeviceMemoryType_HOST_ACCESSIBLE ? device->host_memory : device->memory;
}
