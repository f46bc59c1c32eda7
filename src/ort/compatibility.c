// What providers say of devices and of compiled models that they could not use.
#include <string.h>

#include "base/alloc.h"
#include "ort/env.h"
#include "ort/options.h"

struct OrtDeviceEpIncompatibilityDetails {
  uint32_t reasons;
  int32_t error_code;
  char* notes;  // NULL: none
};

// --- devices -----------------------------------------------------------------------------------------------------------------------
// A device of the provider called |name|, with its factory; NULL: there is none.
static const OrtEpDevice* find_provider(const OrtEnv* env, const char* name) {
  const OrtEpDevice* found = NULL;
  kp_ort_env_lock();
  for (size_t i = 0; i < env->ep_device_count && !found; ++i)
    if (strcmp(env->ep_devices[i]->name, name) == 0) found = env->ep_devices[i];
  kp_ort_env_unlock();
  return found;
}

OrtStatus* ort_GetHardwareDeviceEpIncompatibilityDetails(
    const OrtEnv* env, const char* ep_name, const OrtHardwareDevice* device,
    OrtDeviceEpIncompatibilityDetails** details) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(ep_name);
  KP_ORT_NEED(device);
  KP_ORT_NEED(details);
  *details = NULL;
  const OrtEpDevice* provider = find_provider(env, ep_name);
  if (!provider)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "No execution provider '%s' is registered", ep_name);
  OrtDeviceEpIncompatibilityDetails* made = kp_alloc_zero(1, sizeof(*made));
  if (!made) return kp_ort_no_memory();
  OrtEpFactory* factory = provider->factory;
  OrtStatus* status = NULL;
  if (!factory)  // Kapell's own: the processor alone
    made->reasons = device->type == OrtHardwareDeviceType_CPU
                        ? (uint32_t)OrtDeviceEpIncompatibility_NONE
                        : (uint32_t)OrtDeviceEpIncompatibility_DEVICE_INCOMPATIBLE;
  else if (factory->ort_version_supported >= 24 && factory->GetHardwareDeviceIncompatibilityDetails)
    status = factory->GetHardwareDeviceIncompatibilityDetails(factory, device, made);
  if (status)
    ort_ReleaseDeviceEpIncompatibilityDetails(made);
  else
    *details = made;
  return status;
}

OrtStatus* ort_ep_DeviceEpIncompatibilityDetails_SetDetails(
    OrtDeviceEpIncompatibilityDetails* details, uint32_t reasons, int32_t error_code,
    const char* notes) {
  KP_ORT_NEED(details);
  KP_ORT_PASS(kp_ort_set_text(&details->notes, notes));
  details->reasons = reasons;
  details->error_code = error_code;
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
  if (details) kp_free(details->notes);
  kp_free(details);
}

// --- compiled models -----------------------------------------------------------------------------------------------------------------
OrtStatus* ort_GetModelCompatibilityForEpDevices(const OrtEpDevice* const* devices, size_t count,
                                                 const char* info,
                                                 OrtCompiledModelCompatibility* status) {
  if (!devices || count == 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "NULL or empty ep_devices");
  KP_ORT_NEED(info);
  KP_ORT_NEED(status);
  *status = OrtCompiledModelCompatibility_EP_NOT_APPLICABLE;
  for (size_t i = 0; i < count; ++i)
    if (!devices[i] || devices[i]->factory != devices[0]->factory)
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "the devices are not all of one execution provider");
  OrtEpFactory* factory = devices[0]->factory;  // NULL: Kapell's own, which compiles nothing ahead
  if (!factory || factory->ort_version_supported < 23 ||
      !factory->ValidateCompiledModelCompatibilityInfo)
    return NULL;
  const OrtHardwareDevice** hardware = kp_alloc_zero(count, sizeof(*hardware));
  if (!hardware) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) hardware[i] = devices[i]->device;
  OrtStatus* failure =
      factory->ValidateCompiledModelCompatibilityInfo(factory, hardware, count, info, status);
  kp_free(hardware);
  return failure;
}
