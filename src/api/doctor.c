// kapell_doctor: what is known of every provider, as text and as JSON. Neighbours: find/ finds it out, cli/doctor.c prints it.
#include "api/doctor.h"

#include "api/config.h"
#include "base/alloc.h"
#include "base/cpu.h"

static kp_status* copy_options(kapell_doctor* doctor, const kapell_doctor_options* options) {
  if (!options) return NULL;
  if (options->struct_size < offsetof(kapell_doctor_options, timeout_ns) ||
      options->struct_size > 65536)
    return KP_ERROR(
        INVALID_ARGUMENT,
        "kapell_doctor_options.struct_size is %zu; set it to sizeof(kapell_doctor_options)",
        options->struct_size);
  memcpy(&doctor->options, options,
         options->struct_size < sizeof doctor->options ? options->struct_size
                                                       : sizeof doctor->options);
  const kapell_doctor_options* taken = &doctor->options;
  if (taken->library && taken->library[0] != '/')
    return kp_status_hint(
        KP_ERROR(INVALID_ARGUMENT, "the library '%s' is not an absolute path", taken->library),
        "libraries are never looked up in the working folder: give its whole path");
  if (doctor->options.root && doctor->options.root[0] && doctor->options.root[0] != '/')
    return KP_ERROR(INVALID_ARGUMENT, "the root '%s' is not an absolute path",
                    doctor->options.root);
  return NULL;
}

// Marks the providers of the list as required.
static kp_status* read_required(kapell_doctor* doctor) {
  for (const char* at = doctor->options.require; at && *at;) {
    at += strspn(at, " ,");
    size_t length = strcspn(at, ",");
    const char* next = at + length;
    while (length && at[length - 1] == ' ') --length;
    if (!length) break;
    const char* canonical = kp_provider_canonical((kp_str){at, length});
    if (!canonical) return kp_provider_unknown((kp_str){at, length});
    bool listed = false;
    for (size_t i = 0; i < doctor->count; ++i)
      if (!strcmp(doctor->items[i].canonical, canonical)) doctor->items[i].required = listed = true;
    if (!listed)
      return KP_ERROR(BAD_PROVIDER_LIST, "'%.*s' is a provider for tests", (int)length, at);
    at = next;
  }
  return NULL;
}

static kp_status* list_providers(kapell_doctor* doctor) {
  size_t count = 0;
  while (kp_provider_known(count)) ++count;
  doctor->items = kp_arena_new_array(&doctor->arena, kp_doctor_item, count + 1);
  if (!doctor->items) return KP_ERROR(OUT_OF_MEMORY, "the doctor's report");
  const kapell_doctor_options* options = &doctor->options;
  if (options->library) return doctor->count = 1, NULL;
  while (doctor->count < count) {
    const char* canonical = kp_provider_known(doctor->count);
    if (!canonical) break;  // a library has gone meanwhile
    doctor->items[doctor->count++].canonical = canonical;
  }
  return read_required(doctor);
}

static kp_status* examine_all(kapell_doctor* doctor) {
  const kapell_doctor_options* options = &doctor->options;
  const char* one = options->library;  // NULL: all providers
  doctor->ready = doctor->healthy = true;
  for (size_t i = 0; i < doctor->count; ++i) {
    kp_doctor_item* item = &doctor->items[i];
    KP_TRY(kp_examine(&doctor->examiner, item->canonical, one, &item->examined), "examining %s",
           item->canonical ? item->canonical : one);
    const kp_finding finding = item->examined.finding;
    if (finding == KP_FINDING_BROKEN) doctor->healthy = false;
    if (item->required && !item->examined.usable) doctor->ready = false;
  }
  return NULL;
}

// Where the caller names no path, that of the configuration file counts.
static kp_status* read_config(kapell_doctor* doctor) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.provider_path = doctor->options.provider_path;
  KP_PASS(kp_config_apply(&options, &doctor->arena));
  doctor->options.provider_path = options.provider_path;
  return NULL;
}

static kp_status* examine(kapell_doctor* doctor) {
  KP_PASS(read_config(doctor));
  const kp_find_options where = {.root = doctor->options.root,
                                 .provider_path = doctor->options.provider_path};
  KP_PASS(list_providers(doctor));
  KP_PASS(kp_places_find(&where, &doctor->arena, &doctor->places));
  KP_PASS(kp_examiner_init(&doctor->places, !doctor->options.files_only, doctor->options.timeout_ns,
                           &doctor->examiner));
  KP_PASS(examine_all(doctor));
  kp_strbuf text = {0}, json = {0};
  kp_doctor_write_text(doctor, &text);
  kp_doctor_write_json(doctor, &json);
  doctor->text = kp_strbuf_take(&text);
  doctor->json = kp_strbuf_take(&json);
  return doctor->text && doctor->json ? NULL : KP_ERROR(OUT_OF_MEMORY, "the doctor's report");
}

kapell_status* kapell_doctor_open(const kapell_doctor_options* options,
                                  kapell_doctor** out_doctor) {
  if (!out_doctor) return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for out_doctor");
  *out_doctor = NULL;
  kapell_doctor* doctor = kp_alloc_zero(1, sizeof *doctor);
  if (!doctor) return KP_ERROR(OUT_OF_MEMORY, "the doctor's report");
  kp_status* status = copy_options(doctor, options);
  if (!status) status = examine(doctor);
  if (status) {
    kapell_doctor_close(doctor);
    return status;
  }
  *out_doctor = doctor;
  return NULL;
}

void kapell_doctor_close(kapell_doctor* doctor) {
  if (!doctor) return;
  for (size_t i = 0; i < doctor->count && doctor->items; ++i)
    kp_examined_free(&doctor->items[i].examined);
  kp_places_free(&doctor->places);
  kp_free(doctor->text);
  kp_free(doctor->json);
  kp_arena_free(&doctor->arena);
  kp_free(doctor);
}

const char* kapell_doctor_text(const kapell_doctor* doctor) { return doctor->text; }
const char* kapell_doctor_json(const kapell_doctor* doctor) { return doctor->json; }
bool kapell_doctor_ready(const kapell_doctor* doctor) { return doctor->ready; }
bool kapell_doctor_healthy(const kapell_doctor* doctor) { return doctor->healthy; }
