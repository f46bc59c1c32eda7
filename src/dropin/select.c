// Which devices a session gets whose client leaves that to a policy, or to a function of its own.
#include <string.h>

#include "dropin/providers.h"

enum { MOST_SELECTED = 8 };

typedef struct selection {
  const OrtEpDevice* devices[MOST_SELECTED];
  size_t count;
} selection;

// The kind of device that each policy looks for first; the CPU comes behind it.
static const OrtHardwareDeviceType preferred[] = {
    [OrtExecutionProviderDevicePolicy_DEFAULT] = OrtHardwareDeviceType_CPU,
    [OrtExecutionProviderDevicePolicy_PREFER_CPU] = OrtHardwareDeviceType_CPU,
    [OrtExecutionProviderDevicePolicy_PREFER_NPU] = OrtHardwareDeviceType_NPU,
    [OrtExecutionProviderDevicePolicy_PREFER_GPU] = OrtHardwareDeviceType_GPU,
    [OrtExecutionProviderDevicePolicy_MAX_PERFORMANCE] = OrtHardwareDeviceType_GPU,
    [OrtExecutionProviderDevicePolicy_MAX_EFFICIENCY] = OrtHardwareDeviceType_NPU,
    [OrtExecutionProviderDevicePolicy_MIN_OVERALL_POWER] = OrtHardwareDeviceType_NPU,
};

// Devices of a kind under the provider of their own maker go before others. The processor is Kapell's own, as the default of ONNX Runtime is
// its own.
static void select_first(const OrtEnv* env, OrtHardwareDeviceType type, selection* out) {
  const OrtEpDevice* found = NULL;
  for (size_t i = 0; i < env->ep_device_count; ++i) {
    const OrtEpDevice* each = env->ep_devices[i];
    if (each->device->type != type) continue;
    const bool own = strstr(each->vendor, each->device->vendor) != NULL;
    if (!found ||
        (own && type != OrtHardwareDeviceType_CPU && !strstr(found->vendor, found->device->vendor)))
      found = each;
  }
  if (found) out->devices[out->count++] = found;
}

static OrtStatus* select_by_policy(const OrtEnv* env, const OrtSessionOptions* options,
                                   selection* out) {
  const int policy = (int)options->policy;
  if (policy < 0 || policy >= (int)(sizeof preferred / sizeof preferred[0]))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "%d is no policy of selecting devices", policy);
  if (preferred[policy] != OrtHardwareDeviceType_CPU) select_first(env, preferred[policy], out);
  select_first(env, OrtHardwareDeviceType_CPU, out);
  return NULL;
}

static OrtStatus* ask_delegate(const OrtEnv* env, const OrtSessionOptions* options,
                               selection* out) {
  OrtKeyValuePairs metadata = {0};
  KP_ORT_PASS(options->delegate((const OrtEpDevice**)(void*)env->ep_devices, env->ep_device_count,
                                &metadata, NULL, out->devices, MOST_SELECTED, &out->count,
                                options->delegate_state));
  if (out->count > MOST_SELECTED || out->count == 0)
    return kp_ort_error(ORT_FAIL, "the function that selects devices selected %zu", out->count);
  return NULL;
}

// Providers that the client listed itself keep their place; devices of one provider go together.
static OrtStatus* append(const OrtEnv* env, OrtSessionOptions* options, const selection* chosen) {
  for (size_t i = 0; i < chosen->count; ++i) {
    const OrtEpDevice* together[MOST_SELECTED];
    size_t count = 0;
    bool listed = false;
    if (!chosen->devices[i])
      return kp_ort_error(ORT_FAIL, "the function that selects devices selected NULL");
    for (size_t k = 0; k < options->provider_count; ++k)
      listed = listed || strcmp(options->providers[k].name, chosen->devices[i]->name) == 0;
    if (listed) continue;
    for (size_t k = i; k < chosen->count; ++k)
      if (chosen->devices[k] && strcmp(chosen->devices[k]->name, chosen->devices[i]->name) == 0)
        together[count++] = chosen->devices[k];
    KP_ORT_PASS(dropin_append_options(options, together[0]));
    KP_ORT_PASS(dropin_append_devices(options, env, together, count));
  }
  return NULL;
}

OrtStatus* dropin_select(const OrtEnv* env, const OrtSessionOptions* options,
                         OrtSessionOptions** out) {
  selection chosen = {0};
  *out = NULL;
  // A list of the client's own goes before a policy.
  if (!options->has_policy || (!options->delegate && options->provider_count)) return NULL;
  KP_ORT_PASS((options->delegate ? ask_delegate : select_by_policy)(env, options, &chosen));
  KP_ORT_PASS(ort_CloneSessionOptions(options, out));
  OrtStatus* status = append(env, *out, &chosen);
  if (!status) return NULL;
  ort_ReleaseSessionOptions(*out);
  *out = NULL;
  return status;
}
