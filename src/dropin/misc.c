// What is asked of a session or of the library beyond running: memory, devices, libraries, versions.
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"

// --- memory ----------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateAllocator(const OrtSession* session, const OrtMemoryInfo* info,
                               OrtAllocator** out) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(info);
  KP_ORT_NEED(out);
  *out = NULL;
  if (info->device_type == OrtMemoryInfoDeviceType_CPU) return kp_ort_allocator_create(info, out);
  OrtEnv* env = kp_ort_env_current();
  if (env) KP_ORT_PASS(ort_GetSharedAllocator(env, info, out));  // that of a provider library
  return *out ? NULL : kp_ort_error(ORT_INVALID_ARGUMENT, "No requested allocator available");
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

// A device of |node|'s provider; the processor's where nobody runs it.
static const OrtEpDevice* device_of(const kapell_placed_node* node) {
  const OrtEnv* env = kp_ort_env_current();
  const OrtEpDevice* const* devices = NULL;
  size_t count = 0;
  if (!env || ort_GetEpDevices(env, &devices, &count)) return NULL;
  for (size_t i = 0; i < count && node && node->provider; ++i)
    if (strcmp(devices[i]->name, node->provider) == 0) return devices[i];
  return count ? devices[0] : NULL;
}

static OrtStatus* check_room(size_t have, const OrtEpDevice** out, size_t count) {
  if (count) KP_ORT_NEED(out);
  if (count == have) return NULL;
  return kp_ort_error(
      ORT_FAIL, "Number of inputs or outputs doesn't match: room for %zu, the session has %zu",
      count, have);
}

// That of the first node that reads an input, by the edges of the model.
OrtStatus* ort_SessionGetEpDeviceForInputs(const OrtSession* session, const OrtEpDevice** out,
                                           size_t count) {
  KP_ORT_NEED(session);
  KP_ORT_PASS(check_room(kapell_session_input_count(session->session), out, count));
  const kapell_placement* placement = kapell_session_placement(session->session);
  kapell_placed_edge* edges = NULL;
  size_t edge_count = 0;
  if (count) KP_ORT_TAKE(kapell_session_placement_edges(session->session, &edges, &edge_count));
  for (size_t i = 0; i < count; ++i) {
    const char* name = kapell_session_input(session->session, i)->name;
    const kapell_placed_node* reader = NULL;
    for (size_t e = 0; e < edge_count && !reader; ++e)
      if (edges[e].from == SIZE_MAX && edges[e].to < placement->node_count &&
          strcmp(edges[e].value, name) == 0)
        reader = &placement->nodes[edges[e].to];
    out[i] = device_of(reader);
  }
  kapell_edges_free(edges);
  return NULL;
}

OrtStatus* ort_SessionGetEpDeviceForOutputs(const OrtSession* session, const OrtEpDevice** out,
                                            size_t count) {
  KP_ORT_NEED(session);
  KP_ORT_PASS(check_room(kapell_session_output_count(session->session), out, count));
  for (size_t i = 0; i < count; ++i)
    out[i] = device_of(kapell_session_output_node(session->session, i));
  return NULL;
}

// --- devices and providers -------------------------------------------------------------------------------------------------------
OrtStatus* ort_SetEpDynamicOptions(OrtSession* session, const char* const* keys,
                                   const char* const* values, size_t count) {
  KP_ORT_NEED(session);
  if (count == 0 || !keys || !values)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "no inputs were passed");
  kapell_config_entry* entries = kp_alloc_zero(count, sizeof(*entries));
  if (!entries) return kp_ort_no_memory();
  for (size_t i = 0; i < count; ++i) entries[i] = (kapell_config_entry){keys[i], values[i]};
  kapell_status* status = kapell_session_configure(session->session, entries, count);
  kp_free(entries);
  return kp_ort_status(status);
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
