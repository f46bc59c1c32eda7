// Libraries of custom operators that were made for ONNX Runtime: their registration runs on the tables of src/ort/, and what comes
// of it is a list for kapell_options.custom_ops. Neighbours: src/ort/custom_op.c makes a kapell_custom_op of each OrtCustomOp.
#include <dlfcn.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/status.h"
#include "kapell/custom_op.h"
#include "ort/kernel.h"
#include "ort/options.h"

struct kapell_custom_op_library {
  OrtSessionOptions* options;  // where the library registered its operators
  kp_ort_custom_ops* ops;      // NULL: it has none
};

static void write_log(void* param, OrtLoggingLevel severity, const char* category, const char* id,
                      const char* where, const char* message) {
  (void)param, (void)category, (void)id, (void)where;
  if (severity >= ORT_LOGGING_LEVEL_ERROR)
    KP_LOG(ERROR, "custom operator: %s", message);
  else if (severity == ORT_LOGGING_LEVEL_WARNING)
    KP_LOG(WARNING, "custom operator: %s", message);
  else
    KP_LOG(INFO, "custom operator: %s", message);
}

// What kernels write to: there is no environment of ONNX Runtime's here that would have a logger.
static const OrtLogger own_logger = {.function = write_log, .severity = ORT_LOGGING_LEVEL_WARNING};

// Takes |theirs|.
static kp_status* restate(OrtStatus* theirs, const char* path) {
  if (!theirs) return NULL;
  kp_status* status = KP_ERROR(INVALID_ARGUMENT, "the custom operators of '%s': %s", path,
                               ort_GetErrorMessage(theirs));
  ort_ReleaseStatus(theirs);
  return status;
}

static kp_status* register_ops(kapell_custom_op_library* library, const char* path) {
  // Libraries start threads and keep tables of their own: they stay loaded.
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return KP_ERROR(NOT_FOUND, "'%s' was not loaded: %s", path, dlerror());
  void* symbol = dlsym(handle, "RegisterCustomOps");
  if (!symbol)
    return KP_ERROR(INVALID_ARGUMENT, "'%s' is no library of custom operators: %s", path,
                    dlerror());
  KP_PASS(restate(ort_CreateSessionOptions(&library->options), path));
  KP_PASS(restate(kp_ort_register_custom_ops(symbol, library->options), path));
  return restate(kp_ort_custom_ops_create(library->options, &own_logger, &library->ops), path);
}

kapell_status* kapell_custom_op_library_open(const char* path,
                                             kapell_custom_op_library** out_library) {
  if (!out_library) return KP_ERROR(INVALID_ARGUMENT, "out_library is NULL");
  *out_library = NULL;
  if (!path || !path[0]) return KP_ERROR(INVALID_ARGUMENT, "no path is given");
  kapell_custom_op_library* library = kp_alloc_zero(1, sizeof(*library));
  if (!library) return KP_ERROR(OUT_OF_MEMORY, "a library of custom operators");
  kp_status* status = register_ops(library, path);
  if (status) {
    kapell_custom_op_library_close(library);
    return status;
  }
  *out_library = library;
  return NULL;
}

void kapell_custom_op_library_close(kapell_custom_op_library* library) {
  if (!library) return;
  kp_ort_custom_ops_free(library->ops);
  ort_ReleaseSessionOptions(library->options);
  kp_free(library);
}

const kapell_custom_op* const* kapell_custom_op_library_ops(const kapell_custom_op_library* library,
                                                            size_t* out_count) {
  *out_count = library->ops ? library->ops->count : 0;
  return library->ops ? library->ops->list : NULL;
}
