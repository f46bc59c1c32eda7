// The tables without the drop-in, and which tables are in force.
#include <stdatomic.h>

#include "ort/slots.h"

#define KP_ORT_PICK_ORT_WORKS(name) KP_ORT_REAL(name)
#define KP_ORT_PICK_ORT_PARTLY(name) KP_ORT_REAL(name)
#define KP_ORT_PICK_ORT_NO(name) KP_ORT_NONE(name)
#define KP_ORT_PICK_DROPIN_WORKS(name) KP_ORT_NONE(name)
#define KP_ORT_PICK_DROPIN_PARTLY(name) KP_ORT_NONE(name)
#define KP_ORT_PICK_DROPIN_NO(name) KP_ORT_NONE(name)
#include "ort/tables.inl"

static _Atomic(const kp_ort_tables*) tables_in_force = &all_tables;

const kp_ort_tables* kp_ort_tables_get(void) {
  return atomic_load_explicit(&tables_in_force, memory_order_acquire);
}

void kp_ort_tables_set(const kp_ort_tables* tables) {
  atomic_store_explicit(&tables_in_force, tables, memory_order_release);
}

static const OrtApi* get_api(uint32_t version) {
  return version >= 1 && version <= ORT_API_VERSION ? kp_ort_tables_get()->api : NULL;
}

static const char* get_version_string(void) { return KP_ORT_VERSION; }

const OrtApiBase* kp_ort_api_base(void) {
  static const OrtApiBase base = {get_api, get_version_string};
  return &base;
}

const OrtEpApi* ort_GetEpApi(void) { return kp_ort_tables_get()->ep; }
const OrtModelEditorApi* ort_GetModelEditorApi(void) { return kp_ort_tables_get()->model_editor; }
const OrtCompileApi* ort_GetCompileApi(void) { return kp_ort_tables_get()->compile; }
const OrtInteropApi* ort_GetInteropApi(void) { return kp_ort_tables_get()->interop; }
const OrtModelPackageApi* ort_GetModelPackageApi(void) {
  return kp_ort_tables_get()->model_package;
}

// NULL is what a build without training answers, and clients are ready for it.
const OrtTrainingApi* ort_GetTrainingApi(uint32_t version) {
  (void)version;
  return NULL;
}

// There are no functions outside the tables; NULL says that none has this name.
const void* ort_GetExperimentalFunction(const char* name) {
  (void)name;
  return NULL;
}
