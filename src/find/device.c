// Drivers and devices as the system shows them in /proc, /sys and /dev. Nothing is opened or asked that could wake a device.
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/size.h"
#include "find/find.h"

typedef struct device_scan {
  const kp_places* places;
  const char *folder, *kind, *begins, *nodes;
  kp_driver* driver;
  kp_system_device* list;
  size_t capacity;
} device_scan;

static const struct {
  const char* id;
  kp_vendor vendor;
  const char* name;
} vendors[] = {{"0x10de", KP_VENDOR_NVIDIA, "NVIDIA"},
               {"0x8086", KP_VENDOR_INTEL, "Intel"},
               {"0x1002", KP_VENDOR_AMD, "AMD"},
               {"0x1022", KP_VENDOR_AMD, "AMD"}};

// The device's name in the system's list of PCI ids, where there is one: a line "vendor", below it lines "<tab>device  name".
static const char* pci_name(const kp_places* p, const char* vendor, const char* device) {
  static const char* const files[] = {"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"};
  kp_file* file = NULL;
  for (size_t i = 0; i < KP_COUNT_OF(files) && !file; ++i) {
    const char* path = kp_arena_printf(p->arena, "%s%s", p->root, files[i]);
    if (path) kp_status_free(kp_file_map(path, &file));
  }
  if (!file) return NULL;
  const char *name = NULL, *end = (const char*)file->data + file->size;
  bool inside = false;
  for (const char* line = (const char*)file->data; line < end && !name;) {
    const char* next = memchr(line, '\n', (size_t)(end - line));
    const size_t length = (size_t)((next ? next : end) - line);
    if (length > 5 && line[0] != '\t' && line[0] != '#') {
      if (inside) break;
      inside = strncasecmp(line, vendor + 2, 4) == 0;
    } else if (inside && length > 7 && line[0] == '\t' && line[1] != '\t' &&
               !strncasecmp(line + 1, device + 2, 4)) {
      name = kp_arena_strndup(p->arena, line + 7, length - 7);
    }
    line = next ? next + 1 : end;
  }
  kp_file_release(file);
  return name;
}

static const char* attribute(const device_scan* s, const char* entry, const char* file) {
  return kp_read_text(s->places->arena,
                      kp_arena_printf(s->places->arena, "%s/%s/device/%s", s->folder, entry, file));
}

static uint64_t memory_of(const device_scan* s, const char* entry) {
  static const char* const files[] = {"mem_info_vram_total", "lmem_total_bytes"};
  for (size_t i = 0; i < KP_COUNT_OF(files); ++i) {
    const char* text = attribute(s, entry, files[i]);
    if (text) return strtoull(text, NULL, 0);
  }
  return 0;
}

// Devices of these kinds belong to a group of users.
static void check_access(const device_scan* s, kp_system_device* d) {
  if (s->places->root[0] || !d->node) return;
  if (access(d->node, F_OK) != 0) {
    d->problem = "its device file is not here";
    d->fix = kp_arena_printf(s->places->arena,
                             "in a container: hand it in (docker run --device %s)", d->node);
  } else if (access(d->node, R_OK | W_OK) != 0) {
    d->problem = "this user may not open it";
    d->fix =
        "sudo usermod -aG render $USER, then log in again (in a container: --group-add with the "
        "number of the host's group render)";
  }
}

static const char* pci_place(const device_scan* s, const char* entry) {
  char real[PATH_MAX];
  const char* link = kp_arena_printf(s->places->arena, "%s/%s/device", s->folder, entry);
  if (!link || !realpath(link, real)) return NULL;
  const char* slash = strrchr(real, '/');
  return slash ? kp_arena_printf(s->places->arena, "%s", slash + 1) : NULL;
}

static bool visit_device(void* user, const char* name) {
  device_scan* s = user;
  kp_arena* arena = s->places->arena;
  if (strncmp(name, s->begins, strlen(s->begins)) != 0 || s->driver->count == s->capacity)
    return true;
  const char *vendor = attribute(s, name, "vendor"), *device = attribute(s, name, "device");
  if (!vendor || !device || strlen(vendor) != 6 || strlen(device) != 6) return true;
  kp_system_device d = {.kind = s->kind,
                        .node = kp_arena_printf(arena, "%s%s/%s", s->places->root, s->nodes, name)};
  const char* maker = "vendor";
  for (size_t i = 0; i < KP_COUNT_OF(vendors); ++i)
    if (!strcmp(vendors[i].id, vendor)) d.vendor = vendors[i].vendor, maker = vendors[i].name;
  const char* known = pci_name(s->places, vendor, device);
  d.name = known ? kp_arena_printf(arena, "%s %s", maker, known)
                 : kp_arena_printf(arena, "%s %s of PCI id %s:%s", maker, s->kind, vendor + 2,
                                   device + 2);
  d.memory_bytes = memory_of(s, name);
  d.place = pci_place(s, name);
  check_access(s, &d);
  s->list[s->driver->count++] = d;
  return true;
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  ...": the first word that is a number with dots.
static const char* nvidia_version(const kp_places* p) {
  const char* text =
      kp_read_text(p->arena, kp_arena_printf(p->arena, "%s/proc/driver/nvidia/version", p->root));
  for (const char* at = text; at && *at && *at != '\n';) {
    const size_t length = strcspn(at, " \n");
    if (length > 3 && strspn(at, "0123456789.") == length && memchr(at, '.', length))
      return kp_arena_strndup(p->arena, at, length);
    at += length;
    at += strspn(at, " ");
  }
  return NULL;
}

// Where the graphics subsystem does not show them (servers, containers): "Model: \t NVIDIA H200".
static bool visit_nvidia(void* user, const char* name) {
  device_scan* s = user;
  if (s->driver->count == s->capacity) return false;
  const char* text = kp_read_text(
      s->places->arena, kp_arena_printf(s->places->arena, "%s/%s/information", s->folder, name));
  const char* model = text ? strstr(text, "Model:") : NULL;
  if (!model) return true;
  model += strlen("Model:");
  model += strspn(model, " \t");
  for (size_t i = 0; i < s->driver->count; ++i)
    if (s->list[i].place && !strcasecmp(s->list[i].place, name)) return true;
  s->list[s->driver->count++] =
      (kp_system_device){.vendor = KP_VENDOR_NVIDIA,
                         .kind = "GPU",
                         .name = kp_arena_strndup(s->places->arena, model, strcspn(model, "\n")),
                         .place = kp_arena_printf(s->places->arena, "%s", name)};
  return true;
}

static int by_place(const void* a, const void* b) {
  const kp_system_device *x = a, *y = b;
  return strcmp(x->place ? x->place : "", y->place ? y->place : "");
}

kp_status* kp_find_driver(const kp_places* places, kp_driver* out_driver) {
  *out_driver = (kp_driver){.version = nvidia_version(places)};
  device_scan s = {.places = places, .driver = out_driver, .capacity = 64};
  s.list = kp_arena_new_array(places->arena, kp_system_device, s.capacity);
  if (!s.list) return KP_ERROR(OUT_OF_MEMORY, "the list of devices");
  static const struct {
    const char *folder, *kind, *begins, *nodes;
  } kinds[] = {{"/sys/class/drm", "GPU", "renderD", "/dev/dri"},
               {"/sys/class/accel", "NPU", "accel", "/dev/accel"}};
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i) {
    s.folder = kp_arena_printf(places->arena, "%s%s", places->root, kinds[i].folder);
    s.kind = kinds[i].kind;
    s.begins = kinds[i].begins;
    s.nodes = kinds[i].nodes;
    if (s.folder) kp_each_name(s.folder, visit_device, &s);
  }
  s.folder = kp_arena_printf(places->arena, "%s/proc/driver/nvidia/gpus", places->root);
  if (s.folder) kp_each_name(s.folder, visit_nvidia, &s);
  qsort(s.list, out_driver->count, sizeof(*s.list), by_place);
  out_driver->devices = s.list;
  return NULL;
}

kp_vendor kp_find_vendor(const char* canonical) {
  static const struct {
    const char* canonical;
    kp_vendor vendor;
  } rows[] = {{"CUDAExecutionProvider", KP_VENDOR_NVIDIA},
              {"TensorrtExecutionProvider", KP_VENDOR_NVIDIA},
              {"NvTensorRTRTXExecutionProvider", KP_VENDOR_NVIDIA},
              {"OpenVINOExecutionProvider", KP_VENDOR_INTEL},
              {"MIGraphXExecutionProvider", KP_VENDOR_AMD},
              {"ROCMExecutionProvider", KP_VENDOR_AMD},
              {"VitisAIExecutionProvider", KP_VENDOR_AMD},
              {"WebGpuExecutionProvider", KP_VENDOR_ANY}};
  for (size_t i = 0; i < KP_COUNT_OF(rows); ++i)
    if (!strcmp(rows[i].canonical, canonical)) return rows[i].vendor;
  return KP_VENDOR_NONE;
}
