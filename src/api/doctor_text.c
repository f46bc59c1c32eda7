// The doctor's report for people: where was looked, the devices, then each provider, what can be used first.
#include "api/doctor.h"
#include "base/cpu.h"
#include "base/size.h"

enum { MARGIN = 15 };

static void put_bytes(kp_strbuf* out, uint64_t bytes) {
  if (bytes) kp_strbuf_printf(out, ", %.1f GiB", (double)bytes / (1 << 30));
}

static void put_places(kp_strbuf* out, const char* what, const kp_place_list* list,
                       const char* none) {
  for (size_t i = 0; i < list->count; ++i)
    kp_strbuf_printf(out, "  %-22s %s (%s)\n", i ? "" : what, list->items[i].path,
                     list->items[i].how);
  if (!list->count) kp_strbuf_printf(out, "  %-22s %s\n", what, none);
}

static void put_head(const kapell_doctor* doctor, kp_strbuf* out) {
  const kp_places* p = &doctor->places;
  kp_strbuf features = {0};
  kp_cpu_describe(kp_cpu_features(), &features);
  kp_strbuf_printf(out, "Kapell %s on %s; %s (%s)\n", KAPELL_VERSION_STRING,
                   p->system_name ? p->system_name : "a system that does not say its name",
                   kp_cpu_name(), features.data ? features.data : "");
  kp_strbuf_free(&features);
  if (p->root[0])
    kp_strbuf_printf(out, "The system looked at is in %s; nothing of it is loaded.\n", p->root);
  kp_strbuf_puts(out, "\nLibraries of providers are looked for in\n");
  put_places(out, "named paths", &p->given, "none (KAPELL_PROVIDER_PATH names folders and files)");
  put_places(out, "Python packages", &p->packages, "no Python environment was found");
  kp_strbuf_printf(out, "  %-22s ", "system folders");
  for (size_t i = 0; i < p->system.count; ++i)
    kp_strbuf_printf(out, "%s%s", i ? ":" : "", p->system.items[i].path);
  kp_strbuf_puts(out, "\n");
  if (p->refused.count) put_places(out, "not looked at", &p->refused, "");
}

static void put_devices(const kapell_doctor* doctor, kp_strbuf* out) {
  const kp_driver* driver = &doctor->examiner.driver;
  kp_strbuf_puts(out, "\nDrivers and devices of this machine\n");
  const kp_probe_result* cuda = &doctor->examiner.cuda;
  if (driver->version || doctor->examiner.cuda_library)
    kp_strbuf_printf(
        out, "  NVIDIA driver          %s%s%s\n",
        cuda->driver      ? cuda->driver
        : driver->version ? driver->version
                          : "kernel module not loaded",
        doctor->examiner.cuda_library ? ", " : ", its library libcuda.so.1 is not here",
        doctor->examiner.cuda_library ? doctor->examiner.cuda_library : "");
  if (cuda->reason) kp_strbuf_printf(out, "  %-22s %s\n", "", cuda->reason);
  for (size_t i = 0; i < cuda->device_count; ++i) {
    kp_strbuf_printf(out, "  CUDA.device_id=%d       %s", cuda->devices[i].id,
                     cuda->devices[i].name);
    put_bytes(out, cuda->devices[i].memory_bytes);
    kp_strbuf_printf(out, " (%s; %s)\n", cuda->devices[i].place, cuda->devices[i].detail);
  }
  for (size_t i = 0; i < driver->count; ++i) {
    const kp_system_device* d = &driver->devices[i];
    if (d->vendor == KP_VENDOR_NVIDIA && cuda->device_count) continue;
    kp_strbuf_printf(out, "  %-22s %s", d->node ? d->node : d->kind, d->name);
    put_bytes(out, d->memory_bytes);
    kp_strbuf_printf(out, "%s%s%s\n", d->place ? " (" : "", d->place ? d->place : "",
                     d->place ? ")" : "");
    if (d->problem) kp_strbuf_printf(out, "  %-22s %s; to fix it: %s\n", "", d->problem, d->fix);
  }
  if (!driver->version && !doctor->examiner.cuda_library && !driver->count)
    kp_strbuf_puts(out,
                   "  no driver and no device of NVIDIA, AMD or Intel besides the processor "
                   "(/proc/driver/nvidia, /dev/dri, /dev/accel)\n");
}

// --- one provider --------------------------------------------------------------------------------------------------------------
static void put_line(kp_strbuf* out, const char* what, const char* text) {
  if (text) kp_strbuf_printf(out, "%*s%s%s\n", MARGIN, "", what, text);
}

// Libraries that every system has are counted, the others listed.
static bool is_plain(const kp_dependency* d) {
  static const char* const names[] = {"libc.so.6",      "libm.so.6",       "libdl.so.2",
                                      "librt.so.1",     "libpthread.so.0", "libgcc_s.so.1",
                                      "libstdc++.so.6", "ld-linux"};
  if (d->problem) return false;
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i)
    if (!strncmp(d->name, names[i], strlen(names[i]))) return true;
  return false;
}

static void put_dependency(kp_strbuf* out, const kp_dependency* d) {
  kp_strbuf_printf(out, "%*s  %s", MARGIN, "", d->name);
  if (d->path)
    kp_strbuf_printf(out, "%s%s: %s (%s%s)", d->version ? " " : "", d->version ? d->version : "",
                     d->path, d->how,
                     d->preload ? "; the linker does not look there, Kapell does" : "");
  if (d->wants)
    kp_strbuf_printf(out, "; wanted %s, found %s", d->wants, d->has ? d->has : "no versions");
  if (d->problem) kp_strbuf_printf(out, "%s%s", d->path ? ": " : " ", d->problem);
  kp_strbuf_printf(out, "; for %s%s\n", d->wanted_by,
                   d->at_run_time ? ", opened while running" : "");
  if (d->problem && d->fix) kp_strbuf_printf(out, "%*s    to fix it: %s\n", MARGIN, "", d->fix);
}

static void put_plain(kp_strbuf* out, const kp_inspection* inspection) {
  kp_strbuf wants = {0};
  size_t count = 0;
  for (size_t i = 0; i < inspection->count; ++i) {
    const kp_dependency* d = &inspection->dependencies[i];
    if (!is_plain(d)) continue;
    ++count;
    if (d->wants && d->has)
      kp_strbuf_printf(&wants, "%s%s: wanted %s, found %s", wants.length ? "; " : "", d->name,
                       d->wants, d->has);
  }
  if (count)
    kp_strbuf_printf(out, "%*s  and %zu libraries of the system%s%s%s\n", MARGIN, "", count,
                     wants.length ? " (" : "", wants.data ? wants.data : "",
                     wants.length ? ")" : "");
  kp_strbuf_free(&wants);
}

static void put_library(kp_strbuf* out, const kp_examined* x) {
  const kp_inspection* i = &x->inspection;
  kp_strbuf_printf(out, "%*sfile: %s (%s)\n", MARGIN, "", x->found.path, x->found.how);
  put_line(out, "version: ", x->found.version);
  if (i->status) return;
  kp_strbuf_printf(out, "%*sneeds %zu libraries, %zu of them %s not in order\n", MARGIN, "",
                   i->count, i->missing, i->missing == 1 ? "is" : "are");
  for (size_t k = 0; k < i->count; ++k)
    if (!is_plain(&i->dependencies[k])) put_dependency(out, &i->dependencies[k]);
  put_plain(out, i);
  if (x->loaded.loaded) put_line(out, "", "loads, in the helper process");
  if (!x->loaded.ran && x->loaded.reason) put_line(out, "", x->loaded.reason);
}

static void put_built_in(kp_strbuf* out, const kp_examined* x) {
  kp_strbuf_printf(out, "built in, version %s\n",
                   x->built_in.version ? x->built_in.version : KAPELL_VERSION_STRING);
  for (size_t d = 0; d < x->built_in.device_count; ++d) {
    kp_strbuf_printf(out, "%*sdevice %d: %s", MARGIN, "", x->built_in.devices[d].id,
                     x->built_in.devices[d].name);
    put_bytes(out, x->built_in.devices[d].memory_bytes);
    kp_strbuf_puts(out, "\n");
  }
}

static void put_provider(const kp_doctor_item* item, kp_strbuf* out) {
  const kp_examined* x = &item->examined;
  kp_strbuf_printf(out, "%-*s", MARGIN, x->short_name ? x->short_name : "library");
  switch (x->finding) {
    case KP_FINDING_BUILT_IN:
      put_built_in(out, x);
      return;
    case KP_FINDING_FOUND:
      kp_strbuf_printf(out, "%s\n", x->reason);
      put_library(out, x);
      return;
    case KP_FINDING_BROKEN:
      kp_strbuf_printf(out, "BROKEN: %s\n", x->reason ? x->reason : "it gives no reason");
      put_line(out, "to fix it: ", x->fix);
      if (x->found.path) put_library(out, x);
      return;
    case KP_FINDING_MISSING:
      kp_strbuf_printf(out, "missing: %s\n", x->reason);
      put_line(out, "to install it: ", x->fix);
      return;
    case KP_FINDING_NOT_HERE:
      kp_strbuf_printf(out, "not here: %s%s%s\n", x->reason ? x->reason : "no reason is known",
                       x->fix ? "; instead: " : "", x->fix ? x->fix : "");
      return;
  }
}

static void put_end(const kapell_doctor* doctor, kp_strbuf* out) {
  for (size_t i = 0; i < doctor->count; ++i) {
    const kp_examined* x = &doctor->items[i].examined;
    if (!doctor->items[i].required) continue;
    const bool usable = x->usable;
    kp_strbuf_printf(out, "\nrequired: %s: %s%s", x->short_name, usable ? "ready" : "NOT READY: ",
                     usable      ? ""
                     : x->reason ? x->reason
                                 : "no reason is known");
    if (!usable && x->fix)
      kp_strbuf_printf(out, "; %s: %s",
                       x->finding == KP_FINDING_MISSING ? "to install it" : "to fix it", x->fix);
  }
  for (size_t i = 0; i < doctor->count; ++i)
    if (doctor->items[i].required) {
      kp_strbuf_puts(out, "\n");
      break;
    }
}

void kp_doctor_write_text(const kapell_doctor* doctor, kp_strbuf* out) {
  put_head(doctor, out);
  put_devices(doctor, out);
  kp_strbuf_puts(out, "\n");
  for (kp_finding finding = KP_FINDING_BUILT_IN; finding <= KP_FINDING_NOT_HERE; ++finding)
    for (size_t i = 0; i < doctor->count; ++i)
      if (doctor->items[i].examined.finding == finding) put_provider(&doctor->items[i], out);
  put_end(doctor, out);
}
