// The machine's hardware as libraries of providers are shown it: the processor, and what /sys has on the PCI bus of graphics processors
// and accelerators.
//
// KAPELL_PRETEND_DEVICES, for trying out, changes that: "cpu:0x8086" gives the processor another vendor (OpenVINO takes Intel's alone),
// "gpu:0x1002" or "npu:0x8086:0x7d1d" adds a device (vendor, device), several by commas.
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/size.h"
#include "ort/env.h"
#include "ort/options.h"

#define PCI_CLASS_DISPLAY 0x03
#define PCI_CLASS_ACCELERATOR 0x12
#define MOST_DEVICES 64

typedef struct vendor {
  uint32_t id;
  const char* name;
  const char* processor;  // as /proc/cpuinfo says it
} vendor;

static const vendor vendors[] = {
    {0x8086, "Intel", "GenuineIntel"},
    {0x1022, "AMD", "AuthenticAMD"},
    {0x1002, "AMD", ""},
    {0x10de, "NVIDIA", ""},
    {0x5143, "Qualcomm", ""},
    {0x17cb, "Qualcomm", ""},
    {0x13b5, "ARM", ""},
    {0x1af4, "Red Hat", ""},
    {0x15ad, "VMware", ""},
};

static const char* vendor_name(uint32_t id) {
  for (size_t i = 0; i < KP_COUNT_OF(vendors); ++i)
    if (vendors[i].id == id) return vendors[i].name;
  return "unknown";
}

OrtStatus* kp_ort_hardware_create(OrtHardwareDeviceType type, uint32_t vendor_id,
                                  uint32_t device_id, const char* name,
                                  const OrtKeyValuePairs* metadata, OrtHardwareDevice** out) {
  OrtHardwareDevice* device = *out = kp_alloc_zero(1, sizeof(*device));
  if (!device) return kp_ort_no_memory();
  *device = (OrtHardwareDevice){
      .type = type, .vendor_id = vendor_id, .device_id = device_id, .vendor = kp_strdup(name)};
  kp_status* status = device->vendor ? NULL : KP_ERROR(OUT_OF_MEMORY, "a device");
  if (!status && metadata) status = kp_ort_pairs_copy(&device->metadata, metadata);
  if (!status) return NULL;
  kp_ort_hardware_free(device);
  *out = NULL;
  return kp_ort_status(status);
}

void kp_ort_hardware_free(OrtHardwareDevice* device) {
  if (!device) return;
  kp_free(device->vendor);
  kp_ort_pairs_clear(&device->metadata);
  kp_free(device);
}

// --- the list being made -----------------------------------------------------------------------------------------------------------
typedef struct hardware_list {
  OrtHardwareDevice** items;
  size_t count;
} hardware_list;

static OrtStatus* add(hardware_list* list, OrtHardwareDeviceType type, uint32_t vendor_id,
                      uint32_t device_id, const char* name, const char* place) {
  OrtHardwareDevice** item =
      kp_ort_append((void**)&list->items, &list->count, sizeof(*list->items));
  if (!item) return kp_ort_no_memory();
  OrtStatus* status = kp_ort_hardware_create(type, vendor_id, device_id, name, NULL, item);
  if (!status && place)
    status = kp_ort_status(kp_ort_pairs_set(&(*item)->metadata, "pci_bus_id", place));
  if (status && !*item) --list->count;
  return status;
}

static OrtStatus* add_processor(hardware_list* list) {
  FILE* file = fopen("/proc/cpuinfo", "re");
  char line[256], id[64] = "";
  uint32_t number = 0;
  while (file && fgets(line, sizeof line, file) && !id[0])
    (void)sscanf(line, "vendor_id : %63s", id);
  if (file) fclose(file);
  for (size_t i = 0; i < KP_COUNT_OF(vendors) && id[0]; ++i)
    if (strcmp(vendors[i].processor, id) == 0) number = vendors[i].id;
  return add(list, OrtHardwareDeviceType_CPU, number, 0, id[0] ? id : "unknown", NULL);
}

// --- the PCI bus -------------------------------------------------------------------------------------------------------------------
static bool read_number(const char* folder, const char* name, const char* file, uint32_t* out) {
  char path[512], text[32] = "";
  snprintf(path, sizeof path, "%s/%s/%s", folder, name, file);
  FILE* stream = fopen(path, "re");
  const bool good = stream && fgets(text, sizeof text, stream);
  if (stream) fclose(stream);
  char* end = text;
  *out = (uint32_t)strtoul(text, &end, 0);
  return good && end != text;
}

static int by_place(const void* a, const void* b) { return strcmp(a, b); }

typedef char pci_name[32];

static size_t list_names(const char* folder, pci_name* names, size_t most) {
  DIR* stream = opendir(folder);
  size_t count = 0;
  for (const struct dirent* entry; stream && count < most && (entry = readdir(stream)) != NULL;) {
    const size_t length = strlen(entry->d_name);
    if (entry->d_name[0] == '.' || length >= sizeof(pci_name)) continue;
    uint32_t class;
    if (!read_number(folder, entry->d_name, "class", &class)) continue;
    if (class >> 16 != PCI_CLASS_DISPLAY && class >> 16 != PCI_CLASS_ACCELERATOR) continue;
    memcpy(names[count++], entry->d_name, length + 1);
  }
  if (stream) closedir(stream);
  qsort(names, count, sizeof(*names), by_place);
  return count;
}

static OrtStatus* add_pci(hardware_list* list, const char* root) {
  char folder[256];
  pci_name names[MOST_DEVICES];
  snprintf(folder, sizeof folder, "%s/sys/bus/pci/devices", root);
  const size_t count = list_names(folder, names, MOST_DEVICES);
  for (size_t i = 0; i < count; ++i) {
    uint32_t class, vendor_id, device_id;
    if (!read_number(folder, names[i], "class", &class) ||
        !read_number(folder, names[i], "vendor", &vendor_id) ||
        !read_number(folder, names[i], "device", &device_id))
      continue;
    const OrtHardwareDeviceType type =
        class >> 16 == PCI_CLASS_DISPLAY ? OrtHardwareDeviceType_GPU : OrtHardwareDeviceType_NPU;
    KP_ORT_PASS(add(list, type, vendor_id, device_id, vendor_name(vendor_id), names[i]));
  }
  return NULL;
}

// --- for trying out ------------------------------------------------------------------------------------------------------------------
static bool parse_number(const char* text, uint32_t* out) {
  char* end;
  const unsigned long number = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 0) : ULONG_MAX;
  *out = (uint32_t)number;
  return number <= UINT32_MAX && *end == 0;
}

// "gpu:0x1002:0x73bf": kind, vendor, device; the last may be left out.
static bool parse_device(char* text, OrtHardwareDeviceType* out_type, uint32_t numbers[2]) {
  static const char* const kinds[] = {[OrtHardwareDeviceType_CPU] = "cpu",
                                      [OrtHardwareDeviceType_GPU] = "gpu",
                                      [OrtHardwareDeviceType_NPU] = "npu"};
  const char* kind = strsep(&text, ":");
  int found = 0;
  for (const char* word; found < 2 && (word = strsep(&text, ":")) != NULL; ++found)
    if (!parse_number(word, &numbers[found])) return false;
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i) {
    *out_type = (OrtHardwareDeviceType)i;
    if (strcasecmp(kinds[i], kind) == 0) return found && !text;
  }
  return false;
}

static OrtStatus* pretend_one(hardware_list* list, const char* text, size_t length) {
  char one[64] = "";
  uint32_t numbers[2] = {0};
  OrtHardwareDeviceType type;
  if (length < sizeof one) memcpy(one, text, length);
  if (!parse_device(one, &type, numbers))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "KAPELL_PRETEND_DEVICES: '%.*s' is not of the form cpu:VENDOR, gpu:VENDOR "
                        "or gpu:VENDOR:DEVICE (npu likewise)",
                        (int)length, text);
  if (type != OrtHardwareDeviceType_CPU)
    return add(list, type, numbers[0], numbers[1], vendor_name(numbers[0]), NULL);
  list->items[0]->vendor_id = numbers[0];
  return kp_ort_set_text(&list->items[0]->vendor, vendor_name(numbers[0]));
}

static OrtStatus* pretend_all(hardware_list* list, const char* text) {
  for (const char* at = text; at && *at;) {
    at += strspn(at, " ");
    const size_t length = strcspn(at, ", ");
    if (length && list->count < 2 * MOST_DEVICES) KP_ORT_PASS(pretend_one(list, at, length));
    at += length;
    at += strspn(at, ", ");
  }
  return NULL;
}

OrtStatus* kp_ort_hardware_find(const char* root, const char* pretend,
                                OrtHardwareDevice*** out_devices, size_t* out_count) {
  hardware_list list = {0};
  OrtStatus* status = add_processor(&list);
  if (!status) status = add_pci(&list, root);
  if (!status) status = pretend_all(&list, pretend);
  *out_devices = list.items;
  *out_count = list.count;
  return status;
}
