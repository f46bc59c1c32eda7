// What the factories of a library offer: what they are called, which of the machine's devices suit them, their allocators and data
// transfers; and how that becomes provider types. Neighbour: library.c, which loads.
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/size.h"
#include "ort/guard.h"
#include "provider/plugin/plugin.h"

// --- factories with members that nobody set ------------------------------------------------------------------------------------------
// CUDA's factory of ONNX Runtime 1.31 leaves its version and the members that it has no function for uninitialised. Where the version is
// none that could be, a member counts if it points into executable memory of the library, and the others are set aside.
#define OLDEST_API 22
#define NEWEST_API 64

typedef struct code_search {
  const void* base;  // of the library
  uintptr_t address;
  bool found;
} code_search;

static int look_at_object(struct dl_phdr_info* info, size_t size, void* user) {
  code_search* search = user;
  (void)size;
  if ((const void*)info->dlpi_addr != search->base) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* part = &info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_LOAD && (part->p_flags & PF_X) && search->address >= start &&
        search->address < start + part->p_memsz)
      search->found = true;
  }
  return 1;
}

static bool is_code_of(const kp_plugin_library* library, const void* address) {
  struct link_map* map = NULL;
  if (dlinfo(library->handle, RTLD_DI_LINKMAP, &map) || !map) return false;
  code_search search = {.base = (const void*)map->l_addr, .address = (uintptr_t)address};
  dl_iterate_phdr(look_at_object, &search);
  return search.found;
}

static void set_right(const kp_plugin_library* library, OrtEpFactory* factory) {
  if (factory->ort_version_supported >= OLDEST_API && factory->ort_version_supported <= NEWEST_API)
    return;
  char* const begin = (char*)factory;
  size_t kept = 0;
  for (size_t at = offsetof(OrtEpFactory, GetName); at < sizeof(*factory); at += sizeof(void*)) {
    void* member;
    memcpy(&member, begin + at, sizeof member);
    if (member && is_code_of(library, member)) {
      ++kept;
      continue;
    }
    memset(begin + at, 0, sizeof member);
  }
  KP_LOG(INFO,
         "a factory of '%s' states the version %u, which cannot be; %zu members that are functions "
         "of the library count",
         library->path, factory->ort_version_supported, kept);
  factory->ort_version_supported = ORT_API_VERSION;
}

// --- names -------------------------------------------------------------------------------------------------------------------------
// "OpenVINOExecutionProvider.AUTO" in short is "OpenVINO.AUTO".
static const char* shorten(const char* name) {
  static const char middle[] = "ExecutionProvider";
  const char* at = strstr(name, middle);
  char text[260];
  if (!at || at == name || strlen(name) >= sizeof text) return name;
  snprintf(text, sizeof text, "%.*s%s", (int)(at - name), name, at + strlen(middle));
  return kp_provider_text(text);
}

// A name that ONNX Runtime's providers have keeps its form, whatever case the library writes it in.
static kp_status* name_type(const kp_plugin_library* library, OrtEpFactory* factory,
                            kp_plugin_type* type) {
  if (!factory->GetName || !factory->GetVendor || !factory->GetSupportedDevices ||
      !factory->CreateEp || !factory->ReleaseEp)
    return KP_ERROR(
        PROVIDER_UNAVAILABLE,
        "a factory of the library '%s' lacks one of GetName, GetVendor, GetSupportedDevices, "
        "CreateEp and ReleaseEp",
        library->path);
  const char* name = factory->GetName(factory);
  if (!name)
    return KP_ERROR(PROVIDER_UNAVAILABLE, "a factory of the library '%s' has no name",
                    library->path);
  type->type = kp_plugin_base;
  type->type.name = kp_provider_text(name);
  type->type.short_name = type->type.name ? shorten(type->type.name) : NULL;
  if (!type->type.short_name) return KP_ERROR(OUT_OF_MEMORY, "the name of a provider");
  return NULL;
}

// --- devices -------------------------------------------------------------------------------------------------------------------------
typedef struct question {
  kp_plugin_library* library;
  kp_plugin_type* type;
  OrtEpDevice* out[KP_PLUGIN_MOST_DEVICES];
  size_t count;
} question;

static OrtStatus* call_devices(void* arg) {
  question* q = arg;
  const OrtEnv* env = q->library->env;
  return q->type->factory->GetSupportedDevices(
      q->type->factory, (const OrtHardwareDevice* const*)env->devices, env->device_count, q->out,
      KP_PLUGIN_MOST_DEVICES, &q->count);
}

static kp_status* ask_factory(kp_plugin_library* library, kp_plugin_type* type) {
  question q = {library, type, {NULL}, 0};
  KP_TRY(kp_ort_to_status(kp_ort_guard(call_devices, &q)), "asking '%s' for its devices",
         type->type.name);
  if (q.count > KP_PLUGIN_MOST_DEVICES)
    return KP_ERROR(PROVIDER_UNAVAILABLE, "%s says that it has %zu devices where %d have room",
                    type->type.name, q.count, KP_PLUGIN_MOST_DEVICES);
  type->devices = kp_alloc_zero(q.count, sizeof(*type->devices));
  if (!type->devices) return KP_ERROR(OUT_OF_MEMORY, "devices of %s", type->type.name);
  for (size_t i = 0; i < q.count; ++i) {
    if (!q.out[i] || !kp_ort_ep_device_take(q.out[i], type->factory))
      return KP_ERROR(PROVIDER_UNAVAILABLE, "device %zu of %s was not made by CreateEpDevice", i,
                      type->type.name);
    type->devices[type->device_count++] = q.out[i];
    KP_PASS(kp_ort_pairs_set(&q.out[i]->metadata, "library_path", library->path));
  }
  return NULL;
}

// --- allocators and data transfers ---------------------------------------------------------------------------------------------------
// Allocators for initializers (read_only_memory) are a session's own.
static kp_status* share_memory(kp_plugin_library* library, kp_plugin_type* type) {
  for (size_t i = 0; i < type->device_count; ++i) {
    const OrtEpDevice* device = type->devices[i];
    const OrtMemoryInfo* const infos[] = {device->memory, device->host_memory};
    for (size_t k = 0; k < KP_COUNT_OF(infos); ++k)
      if (infos[k])
        KP_TRY(
            kp_ort_to_status(kp_ort_env_share(library->env, type->factory, infos[k], NULL, NULL)),
            "making an allocator of %s for '%s'", type->type.name, infos[k]->name);
  }
  return NULL;
}

static kp_status* create_transfer(kp_plugin_library* library, kp_plugin_type* type) {
  if (!KP_PLUGIN_HAS(type->factory, CreateDataTransfer, 23)) return NULL;
  KP_TRY(kp_ort_to_status(type->factory->CreateDataTransfer(type->factory, &type->transfer)),
         "making a data transfer of %s", type->type.name);
  if (!type->transfer) return NULL;
  kp_status* status =
      kp_ort_to_status(kp_ort_env_add_transfer(library->env, type->factory, type->transfer));
  if (!status) return NULL;
  if (type->transfer->Release) type->transfer->Release(type->transfer);
  type->transfer = NULL;
  return status;
}

kp_status* kp_plugin_devices_ask(kp_plugin_library* library) {
  for (size_t i = 0; i < library->factory_count; ++i) {
    kp_plugin_type* type = &library->types[i];
    type->library = library;
    type->factory = library->factories[i];
    set_right(library, type->factory);
    KP_PASS(name_type(library, type->factory, type));
    KP_PASS(ask_factory(library, type));
  }
  for (size_t i = 0; i < library->factory_count; ++i) {
    KP_PASS(share_memory(library, &library->types[i]));
    KP_PASS(create_transfer(library, &library->types[i]));
  }
  return NULL;
}

// --- provider types ------------------------------------------------------------------------------------------------------------------
static void retain(const kp_provider_type* type) {
  kp_plugin_library_retain(kp_plugin_type_of(type)->library);
}

static void unretain(const kp_provider_type* type) {
  kp_plugin_library_release(kp_plugin_type_of(type)->library);
}

kp_status* kp_plugin_devices_show(kp_plugin_library* library) {
  for (size_t i = 0; i < library->factory_count; ++i) {
    kp_plugin_type* type = &library->types[i];
    type->type.flags |= KP_PROVIDER_HOSTED;
    type->type.options = kp_provider_options(type->type.name, &type->type.option_count);
    type->type.probe = kp_plugin_probe;
    type->type.retain = retain;
    type->type.unretain = unretain;
    KP_PASS(kp_provider_add(&type->type));
  }
  for (size_t i = 0; i < library->factory_count; ++i)
    KP_PASS(kp_ort_to_status(kp_ort_env_add_devices(library->env, library->types[i].devices,
                                                    library->types[i].device_count)));
  return NULL;
}

void kp_plugin_devices_hide(kp_plugin_library* library) {
  for (size_t i = 0; i < library->factory_count; ++i) {
    kp_provider_remove(&library->types[i].type);
    kp_ort_env_remove_devices(library->env, library->factories[i]);
    kp_ort_env_unshare(library->env, library->factories[i]);
    library->types[i].transfer = NULL;
  }
}

void kp_plugin_devices_free(kp_plugin_library* library) {
  for (size_t i = 0; i < library->factory_count; ++i) {
    kp_plugin_type* type = &library->types[i];
    kp_ort_ep_devices_drop(library->factories[i]);
    for (size_t k = 0; k < type->device_count; ++k) kp_ort_ep_device_free(type->devices[k]);
    kp_free(type->devices);
  }
}

// --- probe ---------------------------------------------------------------------------------------------------------------------------
static const char* const kinds[] = {"CPU", "GPU", "NPU"};

kp_status* kp_plugin_probe(const char* const* option_texts, kp_probe* probe) {
  const kp_plugin_type* type = kp_plugin_type_of(probe->type);
  kp_device_info* devices = kp_arena_new_array(probe->arena, kp_device_info, type->device_count);
  (void)option_texts;
  if (!devices) return KP_ERROR(OUT_OF_MEMORY, "devices of %s", type->type.short_name);
  probe->file = kp_arena_printf(probe->arena, "%s", type->library->path);
  probe->available = type->device_count > 0;
  for (size_t i = 0; i < type->device_count; ++i) {
    const OrtHardwareDevice* hardware = type->devices[i]->device;
    const char* version = kp_ort_pairs_get(&type->devices[i]->metadata, "version");
    if (version && !probe->version) probe->version = kp_arena_printf(probe->arena, "%s", version);
    devices[i].id = (int)i;
    devices[i].name = kp_arena_printf(
        probe->arena, "%s of %s (vendor 0x%04x)",
        (unsigned)hardware->type < KP_COUNT_OF(kinds) ? kinds[hardware->type] : "device",
        hardware->vendor, hardware->vendor_id);
  }
  probe->devices = devices;
  probe->device_count = type->device_count;
  if (probe->available) return NULL;
  probe->reason =
      kp_arena_printf(probe->arena, "its library '%s' finds nothing on this machine that suits it",
                      type->library->path);
  return NULL;
}
