// The doctor's report for programs; docs/doctor.md lists the keys.
#include "api/doctor.h"
#include "base/cpu.h"
#include "base/json.h"

const char* kp_finding_name(kp_finding finding) {
  static const char* const names[] = {"built-in", "found", "broken", "missing", "not-here"};
  return names[finding];
}

static void put_places(kp_json* json, const char* key, const kp_place_list* list) {
  kp_json_key(json, key);
  kp_json_begin_array(json);
  for (size_t i = 0; i < list->count; ++i) {
    kp_json_begin_object(json);
    kp_json_member_string(json, "path", list->items[i].path);
    kp_json_member_string(json, "how", list->items[i].how);
    kp_json_end_object(json);
  }
  kp_json_end_array(json);
}

static void put_device(kp_json* json, int id, const char* name, uint64_t memory,
                       const char* place) {
  kp_json_begin_object(json);
  if (id >= 0) kp_json_member_int(json, "id", id);
  kp_json_member_string(json, "name", name);
  if (memory) kp_json_member_int(json, "memory_bytes", (int64_t)memory);
  if (place) kp_json_member_string(json, "place", place);
}

static void put_system(const kapell_doctor* doctor, kp_json* json) {
  const kp_driver* driver = &doctor->examiner.driver;
  const kp_probe_result* cuda = &doctor->examiner.cuda;
  static const char* const vendors[] = {[KP_VENDOR_NONE] = "other",
                                        [KP_VENDOR_NVIDIA] = "nvidia",
                                        [KP_VENDOR_INTEL] = "intel",
                                        [KP_VENDOR_AMD] = "amd",
                                        [KP_VENDOR_ANY] = "any"};
  kp_json_key(json, "nvidia");
  kp_json_begin_object(json);
  kp_json_member_string(json, "driver", cuda->driver ? cuda->driver : driver->version);
  kp_json_member_string(json, "library", doctor->examiner.cuda_library);
  kp_json_member_string(json, "reason", cuda->reason);
  kp_json_key(json, "devices");
  kp_json_begin_array(json);
  for (size_t i = 0; i < cuda->device_count; ++i) {
    put_device(json, cuda->devices[i].id, cuda->devices[i].name, cuda->devices[i].memory_bytes,
               cuda->devices[i].place);
    kp_json_member_string(json, "detail", cuda->devices[i].detail);
    kp_json_end_object(json);
  }
  kp_json_end_array(json);
  kp_json_end_object(json);
  kp_json_key(json, "devices");
  kp_json_begin_array(json);
  for (size_t i = 0; i < driver->count; ++i) {
    const kp_system_device* d = &driver->devices[i];
    put_device(json, -1, d->name, d->memory_bytes, d->place);
    kp_json_member_string(
        json, "device",
        kp_arena_printf(doctor->places.arena, "%s %s", vendors[d->vendor], d->kind));
    kp_json_member_string(json, "node", d->node);
    kp_json_member_string(json, "problem", d->problem);
    kp_json_member_string(json, "fix", d->fix);
    kp_json_end_object(json);
  }
  kp_json_end_array(json);
}

static void put_dependencies(kp_json* json, const kp_inspection* inspection) {
  kp_json_key(json, "dependencies");
  kp_json_begin_array(json);
  for (size_t i = 0; i < inspection->count; ++i) {
    const kp_dependency* d = &inspection->dependencies[i];
    kp_json_begin_object(json);
    kp_json_member_string(json, "name", d->name);
    kp_json_member_string(json, "wanted_by", d->wanted_by);
    kp_json_member_string(json, "path", d->path);
    kp_json_member_string(json, "how", d->how);
    kp_json_member_string(json, "version", d->version);
    kp_json_member_string(json, "wants", d->wants);
    kp_json_member_string(json, "has", d->has);
    kp_json_member_bool(json, "at_run_time", d->at_run_time);
    kp_json_member_string(json, "problem", d->problem);
    kp_json_member_string(json, "fix", d->fix);
    kp_json_end_object(json);
  }
  kp_json_end_array(json);
}

static void put_provider(kp_json* json, const kp_doctor_item* item) {
  const kp_examined* x = &item->examined;
  const bool built_in = x->finding == KP_FINDING_BUILT_IN;
  kp_json_begin_object(json);
  kp_json_member_string(json, "name", x->canonical);
  kp_json_member_string(json, "short_name", x->short_name);
  kp_json_member_string(json, "state", kp_finding_name(x->finding));
  kp_json_member_bool(json, "usable", x->usable);
  kp_json_member_bool(json, "required", item->required);
  kp_json_member_string(json, "version",
                        built_in && !x->built_in.version ? KAPELL_VERSION_STRING
                        : built_in                       ? x->built_in.version
                                                         : x->found.version);
  kp_json_member_string(json, "file", x->found.path);
  kp_json_member_string(json, "how", x->found.how);
  kp_json_member_string(json, "reason", x->reason);
  kp_json_member_string(json, "fix", x->fix);
  if (x->found.path) {
    kp_json_member_bool(json, "loads", x->loaded.loaded);
    put_dependencies(json, &x->inspection);
  }
  kp_json_key(json, "devices");
  kp_json_begin_array(json);
  for (size_t d = 0; d < x->built_in.device_count; ++d) {
    put_device(json, x->built_in.devices[d].id, x->built_in.devices[d].name,
               x->built_in.devices[d].memory_bytes, NULL);
    kp_json_end_object(json);
  }
  kp_json_end_array(json);
  kp_json_end_object(json);
}

void kp_doctor_write_json(const kapell_doctor* doctor, kp_strbuf* out) {
  kp_json writer = {.buf = out, .pretty = true};
  kp_json* json = &writer;
  kp_json_begin_object(json);
  kp_json_member_string(json, "kapell", KAPELL_VERSION_STRING);
  kp_json_member_string(json, "system", doctor->places.system_name);
  kp_json_member_string(json, "processor", kp_cpu_name());
  kp_json_member_string(json, "root", doctor->places.root);
  kp_json_member_bool(json, "ready", doctor->ready);
  kp_json_member_bool(json, "healthy", doctor->healthy);
  kp_json_key(json, "places");
  kp_json_begin_object(json);
  const kp_places* places = &doctor->places;
  put_places(json, "named", &places->given);
  put_places(json, "packages", &places->packages);
  put_places(json, "library_path", &places->library_path);
  put_places(json, "system", &places->system);
  put_places(json, "vendor", &places->vendor);
  put_places(json, "refused", &doctor->places.refused);
  kp_json_end_object(json);
  put_system(doctor, json);
  kp_json_key(json, "providers");
  kp_json_begin_array(json);
  for (size_t i = 0; i < doctor->count; ++i) put_provider(json, &doctor->items[i]);
  kp_json_end_array(json);
  kp_json_end_object(json);
  kp_strbuf_puts(out, "\n");
}
