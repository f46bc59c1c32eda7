// The machine's devices and what providers make of them: the processor always, under the CPU provider.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ort/env.h"

#define VENDOR_INTEL 0x8086
#define VENDOR_AMD 0x1022
#define CPU_PROVIDER "CPUExecutionProvider"

// The processor's maker as /proc/cpuinfo says it, into |name|; the number that goes with it on the PCI bus, 0 where not known.
static uint32_t find_vendor(char* name, size_t size) {
  snprintf(name, size, "%s", "unknown");
  FILE* file = fopen("/proc/cpuinfo", "re");
  char line[256], id[64] = "";
  while (file && fgets(line, sizeof line, file) && !id[0])
    (void)sscanf(line, "vendor_id : %63s", id);
  if (file) fclose(file);
  if (id[0]) snprintf(name, size, "%s", id);
  if (strcmp(id, "GenuineIntel") == 0) return VENDOR_INTEL;
  return strcmp(id, "AuthenticAMD") == 0 ? VENDOR_AMD : 0;
}

static OrtStatus* fill_device(OrtHardwareDevice* device) {
  char vendor[64];
  device->type = OrtHardwareDeviceType_CPU;
  device->vendor_id = find_vendor(vendor, sizeof vendor);
  device->vendor = kp_strdup(vendor);
  return device->vendor ? NULL : kp_ort_no_memory();
}

static OrtStatus* fill_ep_device(OrtEpDevice* device, const OrtHardwareDevice* hardware) {
  device->name = kp_strdup(CPU_PROVIDER);
  device->vendor = kp_strdup("Kapell");
  device->device = hardware;
  device->memory = kp_ort_info_retain(&kp_ort_cpu_info);
  if (!device->name || !device->vendor) return kp_ort_no_memory();
  KP_ORT_TAKE(kp_ort_pairs_set(&device->metadata, "version", KP_ORT_VERSION));
  return NULL;
}

OrtStatus* kp_ort_devices_find(OrtEnv* env) {
  env->devices = kp_alloc_zero(1, sizeof(*env->devices));
  env->ep_devices = kp_alloc_zero(1, sizeof(*env->ep_devices));
  if (!env->devices || !env->ep_devices) return kp_ort_no_memory();
  env->devices[0] = kp_alloc_zero(1, sizeof(**env->devices));
  env->ep_devices[0] = kp_alloc_zero(1, sizeof(**env->ep_devices));
  if (!env->devices[0] || !env->ep_devices[0]) return kp_ort_no_memory();
  env->device_count = env->ep_device_count = 1;
  KP_ORT_PASS(fill_device(env->devices[0]));
  return fill_ep_device(env->ep_devices[0], env->devices[0]);
}

static void free_ep_device(OrtEpDevice* device) {
  kp_free(device->name);
  kp_free(device->vendor);
  kp_ort_pairs_clear(&device->metadata);
  kp_ort_pairs_clear(&device->options);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)device->memory);
  ort_ReleaseMemoryInfo((OrtMemoryInfo*)(uintptr_t)device->host_memory);
  kp_free(device);
}

void kp_ort_devices_free(OrtEnv* env) {
  for (size_t i = 0; i < env->ep_device_count; ++i) free_ep_device(env->ep_devices[i]);
  for (size_t i = 0; i < env->device_count; ++i) {
    kp_free(env->devices[i]->vendor);
    kp_ort_pairs_clear(&env->devices[i]->metadata);
    kp_free(env->devices[i]);
  }
  kp_free(env->ep_devices);
  kp_free(env->devices);
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetEpDevices(const OrtEnv* env, const OrtEpDevice* const** devices, size_t* count) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(devices);
  KP_ORT_NEED(count);
  *devices = (const OrtEpDevice* const*)env->ep_devices;
  *count = env->ep_device_count;
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
