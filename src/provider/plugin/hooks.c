// The beginning and end of runs, as a library that wants to know of them is told: with run options like a client's.
#include "base/alloc.h"
#include "provider/plugin/internal.h"

typedef struct hook {
  kp_plugin_provider* provider;
  OrtRunOptions* options;
} hook;

static OrtStatus* call_start(void* arg) {
  const hook* h = arg;
  return h->provider->ep->OnRunStart(h->provider->ep, h->options);
}

static OrtStatus* call_end(void* arg) {
  const hook* h = arg;
  const char* no_sync =
      ort_GetRunConfigEntry(h->options, "disable_synchronize_execution_providers");
  return h->provider->ep->OnRunEnd(h->provider->ep, h->options,
                                   !no_sync || strcmp(no_sync, "1") != 0);
}

static OrtStatus* make_options(const kp_run_info* info, OrtRunOptions** out) {
  KP_ORT_PASS(ort_CreateRunOptions(out));
  if (info->tag) KP_ORT_PASS(ort_RunOptionsSetRunTag(*out, info->tag));
  for (size_t i = 0; i < info->config_count; ++i)
    KP_ORT_PASS(ort_AddRunConfigEntry(*out, info->config[i].key, info->config[i].value));
  return NULL;
}

kp_status* kp_plugin_run_begin(kp_provider* base, const kp_run_info* info, void** out_run) {
  hook h = {.provider = (kp_plugin_provider*)base};
  const OrtEp* ep = h.provider->ep;
  *out_run = NULL;
  if (!KP_PLUGIN_HAS(ep, OnRunStart, 23) && !KP_PLUGIN_HAS(ep, OnRunEnd, 23)) return NULL;
  OrtStatus* status = make_options(info, &h.options);
  if (!status && KP_PLUGIN_HAS(ep, OnRunStart, 23)) status = kp_ort_guard(call_start, &h);
  if (!status) {
    *out_run = h.options;
    return NULL;
  }
  ort_ReleaseRunOptions(h.options);
  return kp_plugin_failure(h.provider->type, "beginning a run", status);
}

kp_status* kp_plugin_run_end(kp_provider* base, void* run) {
  hook h = {(kp_plugin_provider*)base, run};
  OrtStatus* status = NULL;
  if (run && KP_PLUGIN_HAS(h.provider->ep, OnRunEnd, 23)) status = kp_ort_guard(call_end, &h);
  ort_ReleaseRunOptions(run);
  return kp_plugin_failure(h.provider->type, "ending a run", status);
}
