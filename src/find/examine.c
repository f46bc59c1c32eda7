// All that can be said of one provider: built in, found and whole, found and broken, missing, or not for this system.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/size.h"
#include "find/find.h"
#include "ort/env.h"

kp_status* kp_examiner_init(kp_places* places, bool load, uint64_t timeout_ns,
                            kp_examiner* out_examiner) {
  *out_examiner =
      (kp_examiner){.places = places, .load = load && !places->root[0], .timeout_ns = timeout_ns};
  return kp_find_driver(places, &out_examiner->driver);
}

// --- NVIDIA's driver -----------------------------------------------------------------------------------------------------------
static kp_status* ask_cuda(kp_examiner* e) {
  if (e->asked_cuda) return NULL;
  e->asked_cuda = true;
  e->cuda_library = kp_places_cached(e->places, "libcuda.so.1");
  const kp_place_list* const lists[] = {&e->places->library_path, &e->places->system};
  for (size_t l = 0; l < KP_COUNT_OF(lists); ++l)
    for (size_t i = 0; i < lists[l]->count && !e->cuda_library; ++i) {
      const char* path =
          kp_arena_printf(e->places->arena, "%s/libcuda.so.1", lists[l]->items[i].path);
      if (path && kp_is_file(path)) e->cuda_library = path;
    }
  if (!e->cuda_library || !e->load) return NULL;
  return kp_probe_devices(e->places, e->cuda_library, e->timeout_ns, &e->cuda);
}

// A CUDA needs a driver of its time: the oldest that runs each.
static const char* driver_too_old(const kp_examiner* e, const kp_inspection* inspection) {
  static const struct { int cuda, driver; } rows[] = {{13, 580}, {12, 525}, {11, 450}};
  const char* version =
      e->cuda.driver && strchr(e->cuda.driver, ' ') == NULL ? e->cuda.driver : e->driver.version;
  const int driver = version ? atoi(version) : 0;
  for (size_t i = 0; i < inspection->count && driver; ++i) {
    if (strncmp(inspection->dependencies[i].name, "libcudart.so.", 13) != 0) continue;
    const int cuda = atoi(inspection->dependencies[i].name + 13);
    for (size_t k = 0; k < KP_COUNT_OF(rows); ++k)
      if (rows[k].cuda == cuda && driver < rows[k].driver)
        return kp_arena_printf(
            e->places->arena,
            "it is for CUDA %d, which needs NVIDIA's driver %d or newer; the driver here is %s",
            cuda, rows[k].driver, version);
  }
  return NULL;
}

// --- the library -------------------------------------------------------------------------------------------------------------------
static void break_off(kp_examined* out, const char* reason, const char* fix) {
  out->finding = KP_FINDING_BROKEN;
  out->reason = reason;
  out->fix = fix;
}

static const char* reinstall(const kp_examiner* e, const kp_examined* x, const char* otherwise) {
  if (!x->found.package) return otherwise;
  return kp_advise_pip(e->places,
                       kp_arena_printf(e->places->arena, "--force-reinstall %s", x->found.package));
}

// One command for all missing libraries that pip has, then the first advice for the others.
static const char* fix_all(const kp_examiner* e, const kp_inspection* inspection) {
  kp_arena* arena = e->places->arena;
  const char *requirements = NULL, *other = NULL;
  for (size_t i = 0; i < inspection->count; ++i) {
    const kp_dependency* d = &inspection->dependencies[i];
    if (!d->problem || d->at_run_time) continue;
    if (!d->requirement && !other) other = d->fix;
    if (!d->requirement || (requirements && strstr(requirements, d->requirement))) continue;
    requirements = kp_arena_printf(arena, "%s%s%s", requirements ? requirements : "",
                                   requirements ? " " : "", d->requirement);
  }
  const char* command = requirements ? kp_advise_pip(e->places, requirements) : NULL;
  return command && other ? kp_arena_printf(arena, "%s; and %s", command, other)
         : command        ? command
                          : other;
}

static const char* list_missing(const kp_examiner* e, const kp_inspection* inspection) {
  kp_strbuf names = {0};
  for (size_t i = 0; i < inspection->count; ++i) {
    const kp_dependency* d = &inspection->dependencies[i];
    if (d->problem && !d->at_run_time)
      kp_strbuf_printf(&names, "%s%s (%s)", names.length ? ", " : "", d->name, d->problem);
  }
  const char* text = kp_arena_printf(
      e->places->arena, "%zu of the libraries that it needs %s not to be had: %s",
      inspection->missing, inspection->missing == 1 ? "is" : "are", names.data ? names.data : "");
  kp_strbuf_free(&names);
  return text;
}

// What the file alone tells; true: nothing against it.
static bool judge_file(const kp_examiner* e, kp_examined* x) {
  const kp_inspection* i = &x->inspection;
  if (i->status) {
    break_off(x, kp_arena_printf(e->places->arena, "%s", kp_status_message(i->status)), NULL);
    const char* hint = kp_status_hint_text(i->status);
    x->fix = reinstall(e, x, hint ? kp_arena_printf(e->places->arena, "%s", hint) : NULL);
  } else if (i->missing) {
    break_off(x, list_missing(e, i), fix_all(e, i));
  } else if (!(i->elf.exports & (KP_EXPORT_PLUGIN | KP_EXPORT_BRIDGE))) {
    break_off(
        x, "it exports neither CreateEpFactories nor GetProvider: it is no library of a provider",
        reinstall(e, x, "name the provider's own library"));
  } else {
    return true;
  }
  return false;
}

static bool suits(kp_vendor vendor, const OrtHardwareDevice* device) {
  switch (vendor) {
    case KP_VENDOR_NVIDIA:
      return device->vendor_id == 0x10de;
    case KP_VENDOR_INTEL:
      return device->vendor_id == 0x8086;
    case KP_VENDOR_AMD:
      return device->vendor_id == 0x1002 ||
             (device->vendor_id == 0x1022 && device->type != OrtHardwareDeviceType_CPU);
    case KP_VENDOR_ANY:
      return device->type == OrtHardwareDeviceType_GPU;
    case KP_VENDOR_NONE:
      break;
  }
  return true;  // any processor will do
}

// Is there a device that the provider could use, among those that its library would be shown?
static bool has_device(const kp_examiner* e, const char* canonical) {
  OrtHardwareDevice** devices;
  size_t count;
  bool found = false;
  ort_ReleaseStatus(
      kp_ort_hardware_find(e->places->root, getenv("KAPELL_PRETEND_DEVICES"), &devices, &count));
  for (size_t i = 0; i < count; ++i) {
    found = found || suits(kp_find_vendor(canonical), devices[i]);
    kp_ort_hardware_free(devices[i]);
  }
  kp_free(devices);
  return found;
}

// Whose libraries have been seen to run models here (test/py/test_hosting.py).
static bool was_tried(const char* canonical) {
  static const char* const names[] = {"GGMLExecutionProvider", "OpenVINOExecutionProvider",
                                      "QNNExecutionProvider", "WebGpuExecutionProvider"};
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i)
    if (strcmp(names[i], canonical) == 0) return true;
  return false;
}

// What a session can expect of a library that is whole.
static void expect(const kp_examiner* e, kp_examined* x) {
  if (!(x->inspection.elf.exports & KP_EXPORT_PLUGIN)) {
    x->reason =
        "found, but made for ONNX Runtime's own bridge (GetProvider), which no other host can use";
  } else if (!x->canonical) {
    x->usable = true;
    x->reason = "found: 'kapell run --provider-library NAME=PATH' and programs can register it";
  } else if (!has_device(e, x->canonical)) {
    x->reason = "found, and no device that it could use is to be seen here";
  } else if (!was_tried(x->canonical)) {
    x->reason = "found: sessions that list it load it, which nobody has tried yet with this one";
  } else {
    x->usable = true;
    x->reason = "found: sessions that list it load and run it";
  }
}

static kp_status* judge_library(kp_examiner* e, kp_examined* x) {
  KP_PASS(kp_inspect(e->places, x->found.path, x->found.run_time, &x->inspection));
  const bool nvidia = x->canonical && kp_find_vendor(x->canonical) == KP_VENDOR_NVIDIA;
  if (nvidia) KP_PASS(ask_cuda(e));
  if (!judge_file(e, x)) return NULL;
  const char* old = driver_too_old(e, &x->inspection);
  if (old) {
    break_off(x, old, "update NVIDIA's driver, or install the package for an older CUDA");
    return NULL;
  }
  if (e->load)
    KP_PASS(kp_probe_library(e->places, x->found.path, &x->inspection, e->timeout_ns, &x->loaded));
  if (x->loaded.ran && !x->loaded.loaded) {
    break_off(x,
              x->loaded.detail ? kp_arena_printf(e->places->arena, "%s (its last words: %s)",
                                                 x->loaded.reason, x->loaded.detail)
                               : x->loaded.reason,
              reinstall(e, x, "install it anew, or a version for this system"));
    return NULL;
  }
  x->finding = KP_FINDING_FOUND;
  expect(e, x);
  return NULL;
}

// --- what is built in, and what is not here ------------------------------------------------------------------------------------------
static kp_status* examine_built_in(kp_examiner* e, const kp_provider_type* type, kp_examined* x) {
  const char** texts;
  KP_PASS(kp_options_check(x->short_name, type->options, type->option_count, NULL, 0,
                           e->places->arena, &texts));
  x->built_in = (kp_probe){.type = type, .arena = e->places->arena};
  if (type->probe) KP_PASS(type->probe(texts, &x->built_in));
  x->usable = !type->probe || x->built_in.available;
  x->finding = x->usable ? KP_FINDING_BUILT_IN : KP_FINDING_BROKEN;
  x->reason = x->built_in.reason;
  x->fix = x->built_in.fix;
  return NULL;
}

static kp_status* examine_missing(kp_examiner* e, kp_examined* x) {
  const char* package = NULL;
  kp_provider_absence(x->canonical, &x->reason, &x->fix);
  const char* install = kp_find_install(e->places, x->canonical, &package);
  x->finding = install ? KP_FINDING_MISSING : KP_FINDING_NOT_HERE;
  if (!install) return NULL;
  x->reason =
      kp_arena_printf(e->places->arena, "its library is not installed (pip package %s)", package);
  x->fix = install;
  const bool nvidia = kp_find_vendor(x->canonical) == KP_VENDOR_NVIDIA;
  if (nvidia) KP_PASS(ask_cuda(e));
  if (nvidia && !e->driver.version && !e->cuda_library)
    x->reason = kp_arena_printf(
        e->places->arena, "%s, and no driver of NVIDIA's is to be seen here either", x->reason);
  return NULL;
}

kp_status* kp_examine(kp_examiner* examiner, const char* canonical, const char* path,
                      kp_examined* out_examined) {
  *out_examined = (kp_examined){.canonical = canonical,
                                .short_name = canonical ? kp_provider_short(canonical) : NULL};
  const kp_provider_type* type = canonical && !path ? kp_provider_find(canonical) : NULL;
  if (type) {
    kp_status* status = examine_built_in(examiner, type, out_examined);
    kp_provider_unfind(type);
    return status;
  }
  if (path) {
    out_examined->found = (kp_found){.path = path, .how = "as told"};
  } else if (!kp_find_provider(examiner->places, canonical, &out_examined->found)) {
    return examine_missing(examiner, out_examined);
  }
  return judge_library(examiner, out_examined);
}

void kp_examined_free(kp_examined* examined) { kp_inspection_free(&examined->inspection); }

static const char* in_short(const kp_examined* x, kp_arena* arena) {
  switch (x->finding) {
    case KP_FINDING_FOUND:
      return kp_arena_printf(arena, "its library %s is here; %s", x->found.path, x->reason);
    case KP_FINDING_BROKEN:
      return kp_arena_printf(arena, "its library %s is here, and broken: %s", x->found.path,
                             x->reason);
    case KP_FINDING_MISSING:
      return x->reason;
    default:
      return NULL;
  }
}

// A library for which nothing speaks against loading it here.
static bool can_be_hosted(const kp_examined* x) {
  return x->finding == KP_FINDING_FOUND && (x->inspection.elf.exports & KP_EXPORT_PLUGIN);
}

// The furthest first: what a library needs has to be there before it.
static kp_status* give_library(const kp_examined* x, kp_arena* arena, kp_found_library* out) {
  const kp_inspection* i = &x->inspection;
  const char** first = kp_arena_new_array(arena, const char*, i->count + 1);
  if (!first) return KP_ERROR(OUT_OF_MEMORY, "a provider library");
  for (size_t k = i->count; k-- > 0;)
    if (i->dependencies[k].preload && !i->dependencies[k].at_run_time)
      first[out->first_count++] = i->dependencies[k].path;
  out->first = first;
  out->path = x->found.path;
  out->usable = x->usable;
  return NULL;
}

kp_status* kp_find_check_device(const kp_driver* driver, const char* canonical, int64_t id) {
  const kp_vendor vendor = kp_find_vendor(canonical);
  kp_strbuf names = {0};
  int64_t count = 0;
  for (size_t i = 0; i < driver->count; ++i) {
    if (driver->devices[i].vendor != vendor || strcmp(driver->devices[i].kind, "GPU") != 0)
      continue;
    kp_strbuf_printf(&names, "%s%s", count++ ? ", " : "", driver->devices[i].name);
  }
  kp_status* status = NULL;
  if (count && id >= count)
    status = kp_status_hint(
        KP_ERROR(BAD_PROVIDER_LIST, "%s.device_id is %lld; this machine has %lld such device%s: %s",
                 kp_provider_short(canonical), (long long)id, (long long)count,
                 count == 1 ? "" : "s", names.data ? names.data : ""),
        "use a number from 0 to %lld; 'kapell doctor' lists which is which", (long long)count - 1);
  kp_strbuf_free(&names);
  return status;
}

static const char* option_text(const char* canonical, const char* const* texts, const char* key) {
  size_t count;
  const kp_option_def* defs = kp_provider_options(canonical, &count);
  for (size_t i = 0; texts && i < count; ++i)
    if (!strcmp(defs[i].key, key)) return texts[i];
  return NULL;
}

static kp_status* look(kp_places* places, const char* canonical, const char* const* texts,
                       kp_examined* x) {
  kp_examiner examiner;
  KP_PASS(kp_examiner_init(places, true, 0, &examiner));
  const char *device = option_text(canonical, texts, "device_id"),
             *library = option_text(canonical, texts, "library");
  int64_t id;
  if (device && kp_find_vendor(canonical) != KP_VENDOR_NONE && kp_parse_i64(kp_str_of(device), &id))
    KP_PASS(kp_find_check_device(&examiner.driver, canonical, id));
  if (library && library[0] != '/')
    return KP_ERROR(BAD_PROVIDER_LIST,
                    "option 'library' of %s is '%s'; it takes an absolute path, because libraries "
                    "are never looked up in the working folder",
                    kp_provider_short(canonical), library);
  return kp_examine(&examiner, canonical, library, x);
}

kp_status* kp_find_library(const char* canonical, const char* const* option_texts,
                           const kp_find_options* where, kp_arena* arena,
                           kp_found_library* out_library) {
  kp_found_library* out = out_library;
  *out = (kp_found_library){0};
  kp_provider_absence(canonical, &out->reason, &out->fix);
  if (!kp_find_is_findable(canonical)) return NULL;
  kp_places places = {0};
  kp_examined x = {0};
  kp_status* status = kp_places_find(where, arena, &places);
  if (!status) status = look(&places, canonical, option_texts, &x);
  const char* more = status ? NULL : in_short(&x, arena);
  if (!status && can_be_hosted(&x))
    status = give_library(&x, arena, out);
  else if (more && out->reason)
    out->reason = kp_arena_printf(arena, "%s (%s; 'kapell doctor' says more)", out->reason, more);
  kp_examined_free(&x);
  kp_places_free(&places);
  return status;
}

kp_status* kp_find_fault(const char* path, kp_arena* arena, kp_found_library* out_library) {
  kp_places places = {0};
  kp_examiner examiner;
  kp_examined x = {0};
  *out_library = (kp_found_library){0};
  kp_status* status = kp_places_find(&(kp_find_options){0}, arena, &places);
  if (!status) status = kp_examiner_init(&places, false, 0, &examiner);
  if (!status) status = kp_examine(&examiner, NULL, path, &x);
  if (!status && can_be_hosted(&x)) status = give_library(&x, arena, out_library);
  if (!status) {
    out_library->reason = x.reason;
    out_library->fix = x.fix;
  }
  kp_examined_free(&x);
  kp_places_free(&places);
  return status;
}
