// What is asked of a session or of the library beyond running: memory, devices, libraries, versions.
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "dropin/session.h"

// --- memory ----------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateAllocator(const OrtSession* session, const OrtMemoryInfo* info,
                               OrtAllocator** out) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  *out = NULL;
  if (info->device_type != OrtMemoryInfoDeviceType_CPU)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "No requested allocator available");
  return kp_ort_allocator_create(info, out);
}

static OrtStatus* give_infos(size_t have, const OrtMemoryInfo** out, size_t count) {
  if (count) KP_ORT_NEED(out);
  if (count != have)
    return kp_ort_error(
        ORT_FAIL, "Number of inputs or outputs doesn't match: room for %zu, the session has %zu",
        count, have);
  for (size_t i = 0; i < count; ++i) out[i] = &kp_ort_cpu_info;
  return NULL;
}

OrtStatus* ort_SessionGetMemoryInfoForInputs(const OrtSession* session, const OrtMemoryInfo** out,
                                             size_t count) {
  KP_ORT_NEED(session);
  return give_infos(kapell_session_input_count(session->session), out, count);
}

OrtStatus* ort_SessionGetMemoryInfoForOutputs(const OrtSession* session, const OrtMemoryInfo** out,
                                              size_t count) {
  KP_ORT_NEED(session);
  return give_infos(kapell_session_output_count(session->session), out, count);
}

static OrtStatus* give_devices(size_t have, const OrtEpDevice** out, size_t count) {
  const OrtEnv* env = kp_ort_env_current();
  if (count) KP_ORT_NEED(out);
  if (count != have)
    return kp_ort_error(
        ORT_FAIL, "Number of inputs or outputs doesn't match: room for %zu, the session has %zu",
        count, have);
  for (size_t i = 0; i < count; ++i)
    out[i] = env && env->ep_device_count ? env->ep_devices[0] : NULL;
  return NULL;
}

OrtStatus* ort_SessionGetEpDeviceForInputs(const OrtSession* session, const OrtEpDevice** out,
                                           size_t count) {
  KP_ORT_NEED(session);
  return give_devices(kapell_session_input_count(session->session), out, count);
}

OrtStatus* ort_SessionGetEpDeviceForOutputs(const OrtSession* session, const OrtEpDevice** out,
                                            size_t count) {
  KP_ORT_NEED(session);
  return give_devices(kapell_session_output_count(session->session), out, count);
}

// --- devices and providers -------------------------------------------------------------------------------------------------------
OrtStatus* ort_SetEpDynamicOptions(OrtSession* session, const char* const* keys,
                                   const char* const* values, size_t count) {
  KP_ORT_NEED(session);
  if (count == 0 || !keys || !values)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "no inputs were passed");
  for (size_t i = 0; i < count; ++i)
    KP_LOG(INFO, "dynamic provider option '%s' changes nothing: no provider of the session has one",
           keys[i] ? keys[i] : "");
  return NULL;
}

// Text about compiled models comes from providers that compile; the CPU provider is none.
OrtStatus* ort_GetModelCompatibilityForEpDevices(const OrtEpDevice* const* devices, size_t count,
                                                 const char* info,
                                                 OrtCompiledModelCompatibility* status) {
  if (!devices || count == 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "NULL or empty ep_devices");
  KP_ORT_NEED(info);
  KP_ORT_NEED(status);
  *status = OrtCompiledModelCompatibility_EP_NOT_APPLICABLE;
  return NULL;
}

struct OrtDeviceEpIncompatibilityDetails {
  uint32_t reasons;
  int32_t error_code;
  const char* notes;
};

OrtStatus* ort_GetHardwareDeviceEpIncompatibilityDetails(
    const OrtEnv* env, const char* ep_name, const OrtHardwareDevice* device,
    OrtDeviceEpIncompatibilityDetails** details) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(ep_name);
  KP_ORT_NEED(device);
  KP_ORT_NEED(details);
  *details = NULL;
  bool known = false;
  for (size_t i = 0; i < env->ep_device_count; ++i)
    known = known || strcmp(env->ep_devices[i]->name, ep_name) == 0;
  if (!known)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "No execution provider '%s' is registered", ep_name);
  *details = kp_alloc_zero(1, sizeof(**details));
  if (!*details) return kp_ort_no_memory();
  (*details)->reasons = device->type == OrtHardwareDeviceType_CPU
                            ? (uint32_t)OrtDeviceEpIncompatibility_NONE
                            : (uint32_t)OrtDeviceEpIncompatibility_DEVICE_INCOMPATIBLE;
  return NULL;
}

OrtStatus* ort_DeviceEpIncompatibilityDetails_GetReasonsBitmask(
    const OrtDeviceEpIncompatibilityDetails* details, uint32_t* reasons) {
  KP_ORT_NEED(details);
  KP_ORT_NEED(reasons);
  *reasons = details->reasons;
  return NULL;
}

OrtStatus* ort_DeviceEpIncompatibilityDetails_GetNotes(
    const OrtDeviceEpIncompatibilityDetails* details, const char** notes) {
  KP_ORT_NEED(details);
  KP_ORT_NEED(notes);
  *notes = details->notes;
  return NULL;
}

OrtStatus* ort_DeviceEpIncompatibilityDetails_GetErrorCode(
    const OrtDeviceEpIncompatibilityDetails* details, int32_t* error_code) {
  KP_ORT_NEED(details);
  KP_ORT_NEED(error_code);
  *error_code = details->error_code;
  return NULL;
}

void ort_ReleaseDeviceEpIncompatibilityDetails(OrtDeviceEpIncompatibilityDetails* details) {
  kp_free(details);
}

// --- the library -----------------------------------------------------------------------------------------------------------------
const char* ort_GetBuildInfoString(void) {
  return "ORT Build Info: Kapell " KAPELL_VERSION_STRING
         " in place of ONNX Runtime " KP_ORT_VERSION;
}

// ONNX Runtime has these operators only when built with them; onnxruntime-extensions is a library to be registered.
OrtStatus* ort_EnableOrtCustomOps(OrtSessionOptions* options) {
  KP_ORT_NEED(options);
  return kp_ort_error(
      ORT_FAIL, "EnableOrtCustomOps: Custom operators in onnxruntime-extensions are not enabled");
}
