// The library's one entry: the tables with everything that dropin/ implements, registered once.
#include <pthread.h>
#include <stdio.h>

#include "kapell/types.h"
#include "ort/slots.h"

#define KP_ORT_PICK_ORT_WORKS(name) KP_ORT_REAL(name)
#define KP_ORT_PICK_ORT_PARTLY(name) KP_ORT_REAL(name)
#define KP_ORT_PICK_ORT_NO(name) KP_ORT_NONE(name)
#define KP_ORT_PICK_DROPIN_WORKS(name) KP_ORT_REAL(name)
#define KP_ORT_PICK_DROPIN_PARTLY(name) KP_ORT_REAL(name)
#define KP_ORT_PICK_DROPIN_NO(name) KP_ORT_NONE(name)
#include "ort/tables.inl"

static const OrtApi* get_api(uint32_t version) {
  if (version >= 1 && version <= ORT_API_VERSION) return &api_table;
  fprintf(stderr,
          "The requested API version [%u] is not available, only API versions [1, %u] are "
          "supported in this build. "
          "Current ORT Version is: %s\n",
          version, ORT_API_VERSION, KP_ORT_VERSION);
  return NULL;
}

static const char* get_version(void) { return KP_ORT_VERSION; }

static void register_tables(void) { kp_ort_tables_set(&all_tables); }

KAPELL_API const OrtApiBase* OrtGetApiBase(void);

const OrtApiBase* OrtGetApiBase(void) {
  static const OrtApiBase base = {get_api, get_version};
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, register_tables);
  return &base;
}
