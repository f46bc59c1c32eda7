// Memory infos: where data lies, by name and by device.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "ort/object.h"

#define STATIC_REFS (INT32_MAX / 2)

OrtMemoryInfo kp_ort_cpu_info = {.refs = STATIC_REFS,
                                 .allocator_type = OrtDeviceAllocator,
                                 .mem_type = OrtMemTypeDefault,
                                 .device_type = OrtMemoryInfoDeviceType_CPU,
                                 .device_mem_type = OrtDeviceMemoryType_DEFAULT,
                                 .name = "Cpu",
                                 .name_length = 3};

// The names that CreateMemoryInfo takes, and the device behind each.
typedef struct known_name {
  const char* name;
  OrtMemoryInfoDeviceType device;
  OrtDeviceMemoryType memory;
  uint32_t vendor;
} known_name;

#define VENDOR_NVIDIA 0x10de
#define VENDOR_AMD 0x1002
#define VENDOR_INTEL 0x8086
#define VENDOR_QUALCOMM 0x5143
#define VENDOR_HUAWEI 0x19e5

static const known_name known_names[] = {
    {"Cpu", OrtMemoryInfoDeviceType_CPU, OrtDeviceMemoryType_DEFAULT, 0},
    {"Cuda", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, VENDOR_NVIDIA},
    {"CudaPinned", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_HOST_ACCESSIBLE, VENDOR_NVIDIA},
    {"Hip", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, VENDOR_AMD},
    {"HipPinned", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_HOST_ACCESSIBLE, VENDOR_AMD},
    {"MIGraphX", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, VENDOR_AMD},
    {"MIGraphXPinned", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_HOST_ACCESSIBLE,
     VENDOR_AMD},
    {"Cann", OrtMemoryInfoDeviceType_NPU, OrtDeviceMemoryType_DEFAULT, VENDOR_HUAWEI},
    {"CannPinned", OrtMemoryInfoDeviceType_NPU, OrtDeviceMemoryType_HOST_ACCESSIBLE, VENDOR_HUAWEI},
    {"DML", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, 0x1414},
    {"OpenVINO_CPU", OrtMemoryInfoDeviceType_CPU, OrtDeviceMemoryType_DEFAULT, VENDOR_INTEL},
    {"OpenVINO_GPU", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, VENDOR_INTEL},
    {"OpenVINO_RT_NPU", OrtMemoryInfoDeviceType_NPU, OrtDeviceMemoryType_HOST_ACCESSIBLE,
     VENDOR_INTEL},
    {"QnnHtpShared", OrtMemoryInfoDeviceType_NPU, OrtDeviceMemoryType_HOST_ACCESSIBLE,
     VENDOR_QUALCOMM},
    {"WebGPU_Buffer", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, 0},
    {"WebGPU_Buf", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, 0},
    {"WebNN_Tensor", OrtMemoryInfoDeviceType_GPU, OrtDeviceMemoryType_DEFAULT, 0},
};

const OrtMemoryInfo* kp_ort_info_retain(const OrtMemoryInfo* info) {
  OrtMemoryInfo* shared = (OrtMemoryInfo*)(uintptr_t)info;
  if (shared) __atomic_fetch_add(&shared->refs, 1, __ATOMIC_RELAXED);
  return info;
}

bool kp_ort_info_equal(const OrtMemoryInfo* a, const OrtMemoryInfo* b) {
  return a == b || (a->allocator_type == b->allocator_type && a->mem_type == b->mem_type &&
                    a->device_type == b->device_type && a->device_mem_type == b->device_mem_type &&
                    a->vendor_id == b->vendor_id && a->device_id == b->device_id &&
                    strcmp(a->name, b->name) == 0);
}

bool kp_ort_info_is_alike(const OrtMemoryInfo* a, const OrtMemoryInfo* b) {
  return a->device_type == b->device_type && a->device_id == b->device_id &&
         a->mem_type == b->mem_type && a->device_mem_type == b->device_mem_type;
}

bool kp_ort_info_is_host(const OrtMemoryInfo* info) {
  return !info || info->device_type == OrtMemoryInfoDeviceType_CPU ||
         info->mem_type < OrtMemTypeDefault ||
         info->device_mem_type == OrtDeviceMemoryType_HOST_ACCESSIBLE;
}

static OrtStatus* make_info(const OrtMemoryInfo* model, const char* name, OrtMemoryInfo** out) {
  const size_t length = strlen(name);
  OrtMemoryInfo* info = kp_alloc(sizeof(*info) + length + 1);
  if (!info) return kp_ort_no_memory();
  *info = *model;
  info->refs = 1;
  info->name = memcpy(info + 1, name, length + 1);
  info->name_length = length;
  info->device_number = (int16_t)info->device_id;
  *out = info;
  return NULL;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateMemoryInfo(const char* name, OrtAllocatorType type, int id,
                                OrtMemType mem_type, OrtMemoryInfo** out) {
  KP_ORT_NEED(out);
  KP_ORT_NEED(name);
  *out = NULL;
  for (size_t i = 0; i < KP_COUNT_OF(known_names); ++i) {
    const known_name* known = &known_names[i];
    if (strcmp(known->name, name) != 0) continue;
    const OrtMemoryInfo model = {.allocator_type = type,
                                 .mem_type = mem_type,
                                 .device_type = (int8_t)known->device,
                                 .device_mem_type = (int8_t)known->memory,
                                 .vendor_id = known->vendor,
                                 .device_id = id};
    return make_info(&model, name, out);
  }
  return kp_ort_error(
      ORT_INVALID_ARGUMENT,
      "Specified device is not supported. Try CreateMemoryInfo_V2. (The name is '%s'.)", name);
}

OrtStatus* ort_CreateCpuMemoryInfo(OrtAllocatorType type, OrtMemType mem_type,
                                   OrtMemoryInfo** out) {
  return ort_CreateMemoryInfo("Cpu", type, 0, mem_type, out);
}

OrtStatus* ort_CreateMemoryInfo_V2(const char* name, OrtMemoryInfoDeviceType device_type,
                                   uint32_t vendor_id, int32_t device_id,
                                   OrtDeviceMemoryType mem_type, size_t alignment,
                                   OrtAllocatorType allocator_type, OrtMemoryInfo** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  if (device_type < OrtMemoryInfoDeviceType_CPU || device_type > OrtMemoryInfoDeviceType_NPU)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Unsupported device type: %d", (int)device_type);
  const OrtMemoryInfo model = {.allocator_type = allocator_type,
                               .mem_type = OrtMemTypeDefault,
                               .device_type = (int8_t)device_type,
                               .device_mem_type = (int8_t)mem_type,
                               .vendor_id = vendor_id,
                               .device_id = device_id,
                               .alignment = alignment};
  return make_info(&model, name ? name : "", out);
}

void ort_ReleaseMemoryInfo(OrtMemoryInfo* info) {
  if (info && __atomic_sub_fetch(&info->refs, 1, __ATOMIC_ACQ_REL) == 0) kp_free(info);
}

OrtStatus* ort_CompareMemoryInfo(const OrtMemoryInfo* info1, const OrtMemoryInfo* info2, int* out) {
  KP_ORT_NEED(info1);
  KP_ORT_NEED(info2);
  KP_ORT_NEED(out);
  *out = kp_ort_info_equal(info1, info2) ? 0 : -1;
  return NULL;
}

OrtStatus* ort_MemoryInfoGetName(const OrtMemoryInfo* ptr, const char** out) {
  KP_ORT_NEED(ptr);
  KP_ORT_NEED(out);
  *out = ptr->name;
  return NULL;
}

OrtStatus* ort_MemoryInfoGetId(const OrtMemoryInfo* ptr, int* out) {
  KP_ORT_NEED(ptr);
  KP_ORT_NEED(out);
  *out = ptr->device_id;
  return NULL;
}

OrtStatus* ort_MemoryInfoGetMemType(const OrtMemoryInfo* ptr, OrtMemType* out) {
  KP_ORT_NEED(ptr);
  KP_ORT_NEED(out);
  *out = ptr->mem_type;
  return NULL;
}

OrtStatus* ort_MemoryInfoGetType(const OrtMemoryInfo* ptr, OrtAllocatorType* out) {
  KP_ORT_NEED(ptr);
  KP_ORT_NEED(out);
  *out = ptr->allocator_type;
  return NULL;
}

void ort_MemoryInfoGetDeviceType(const OrtMemoryInfo* ptr, OrtMemoryInfoDeviceType* out) {
  if (ptr && out) *out = (OrtMemoryInfoDeviceType)(unsigned char)ptr->device_type;
}

OrtDeviceMemoryType ort_MemoryInfoGetDeviceMemType(const OrtMemoryInfo* ptr) {
  return ptr ? ptr->device_mem_type : OrtDeviceMemoryType_DEFAULT;
}

uint32_t ort_MemoryInfoGetVendorId(const OrtMemoryInfo* ptr) { return ptr ? ptr->vendor_id : 0; }

// --- devices of memory: an info without its name ---------------------------------------------------------------------------------
static const OrtMemoryInfo* info_of(const OrtMemoryDevice* device) {
  return device ? (const OrtMemoryInfo*)(const void*)device : &kp_ort_cpu_info;
}

const OrtMemoryDevice* ort_ep_MemoryInfo_GetMemoryDevice(const OrtMemoryInfo* info) {
  return (const OrtMemoryDevice*)(const void*)info;
}

bool ort_ep_MemoryDevice_AreEqual(const OrtMemoryDevice* a, const OrtMemoryDevice* b) {
  const OrtMemoryInfo *x = info_of(a), *y = info_of(b);
  return x->device_type == y->device_type && x->device_mem_type == y->device_mem_type &&
         x->vendor_id == y->vendor_id && x->device_id == y->device_id &&
         x->alignment == y->alignment;
}

OrtMemoryInfoDeviceType ort_ep_MemoryDevice_GetDeviceType(const OrtMemoryDevice* device) {
  return info_of(device)->device_type;
}

OrtDeviceMemoryType ort_ep_MemoryDevice_GetMemoryType(const OrtMemoryDevice* device) {
  return info_of(device)->device_mem_type;
}

uint32_t ort_ep_MemoryDevice_GetVendorId(const OrtMemoryDevice* device) {
  return info_of(device)->vendor_id;
}

uint32_t ort_ep_MemoryDevice_GetDeviceId(const OrtMemoryDevice* device) {
  return (uint32_t)info_of(device)->device_id;
}
