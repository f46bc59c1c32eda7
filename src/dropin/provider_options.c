// Options of single providers: the objects that clients make for them, and the functions that each has of its own.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "dropin/providers.h"

// --- objects of key-value pairs --------------------------------------------------------------------------------------------------
struct OrtCUDAProviderOptionsV2 {
  OrtKeyValuePairs pairs;
};
struct OrtTensorRTProviderOptionsV2 {
  OrtKeyValuePairs pairs;
};
struct OrtCANNProviderOptions {
  OrtKeyValuePairs pairs;
};
struct OrtDnnlProviderOptions {
  OrtKeyValuePairs pairs;
};

static OrtStatus* create(const char* provider, const char* name, OrtKeyValuePairs** out) {
  *out = NULL;
  if (!dropin_provider_is_available(provider))
    return kp_ort_error(ORT_FAIL, "%s execution provider is not enabled in this build.", name);
  *out = kp_alloc_zero(1, sizeof(**out));
  return *out ? NULL : kp_ort_no_memory();
}

static OrtStatus* update(OrtKeyValuePairs* pairs, const char* const* keys,
                         const char* const* values, size_t count) {
  if (count && (!keys || !values))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "keys or values are NULL");
  for (size_t i = 0; i < count; ++i) {
    if (!keys[i] || !keys[i][0] || !values[i] || !values[i][0])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "key/value cannot be empty");
    KP_ORT_TAKE(kp_ort_pairs_set(pairs, keys[i], values[i]));
  }
  return NULL;
}

// "device_id=0;gpu_mem_limit=1024"
static OrtStatus* give_pairs(const OrtKeyValuePairs* pairs, OrtAllocator* allocator, char** out) {
  kp_strbuf text = {0};
  for (size_t i = 0; i < pairs->count; ++i)
    kp_strbuf_printf(&text, "%s%s=%s", i ? ";" : "", pairs->keys[i], pairs->values[i]);
  OrtStatus* status = text.failed ? kp_ort_no_memory()
                                  : kp_ort_give_text(allocator, text.data ? text.data : "", out);
  kp_strbuf_free(&text);
  return status;
}

static OrtStatus* append_pairs(OrtSessionOptions* options, const char* provider,
                               const OrtKeyValuePairs* pairs) {
  return dropin_append(options, provider, (const char* const*)pairs->keys,
                       (const char* const*)pairs->values, pairs->count);
}

static void release(OrtKeyValuePairs* pairs) {
  if (!pairs) return;
  kp_ort_pairs_clear(pairs);
  kp_free(pairs);
}

// clang-format off
#define V2_OPTIONS(Name, Type, Append, provider, name)                                                                     \
  OrtStatus* ort_Create##Name##ProviderOptions(Type** out) {                                                               \
    KP_ORT_NEED(out);                                                                                                      \
    return create(provider, name, (OrtKeyValuePairs**)(void*)out);                                                         \
  }                                                                                                                        \
  OrtStatus* ort_Update##Name##ProviderOptions(Type* options, const char* const* keys, const char* const* values,          \
                                               size_t count) {                                                             \
    KP_ORT_NEED(options);                                                                                                  \
    return update(&options->pairs, keys, values, count);                                                                   \
  }                                                                                                                        \
  OrtStatus* ort_Get##Name##ProviderOptionsAsString(const Type* options, OrtAllocator* allocator, char** out) {            \
    KP_ORT_NEED(options);                                                                                                  \
    KP_ORT_NEED(allocator);                                                                                                \
    KP_ORT_NEED(out);                                                                                                      \
    return give_pairs(&options->pairs, allocator, out);                                                                    \
  }                                                                                                                        \
  void ort_Release##Name##ProviderOptions(Type* options) { release((OrtKeyValuePairs*)(void*)options); }                   \
  OrtStatus* ort_SessionOptionsAppendExecutionProvider_##Append(OrtSessionOptions* options, const Type* given) {           \
    KP_ORT_NEED(options);                                                                                                  \
    KP_ORT_NEED(given);                                                                                                    \
    return append_pairs(options, provider, &given->pairs);                                                                 \
  }
V2_OPTIONS(CUDA, OrtCUDAProviderOptionsV2, CUDA_V2, "CUDAExecutionProvider", "CUDA")
V2_OPTIONS(TensorRT, OrtTensorRTProviderOptionsV2, TensorRT_V2, "TensorrtExecutionProvider", "TensorRT")
V2_OPTIONS(CANN, OrtCANNProviderOptions, CANN, "CANNExecutionProvider", "CANN")
V2_OPTIONS(Dnnl, OrtDnnlProviderOptions, Dnnl, "DnnlExecutionProvider", "oneDNN")
// clang-format on

// Pointers that options carry (streams, allocators) have no meaning between libraries of different makers.
OrtStatus* ort_UpdateCUDAProviderOptionsWithValue(OrtCUDAProviderOptionsV2* options,
                                                  const char* key, void* value) {
  KP_ORT_NEED(options);
  (void)value;
  return kp_ort_error(ORT_NOT_IMPLEMENTED, "option '%s' of CUDA cannot be given as a pointer",
                      key ? key : "");
}
OrtStatus* ort_UpdateTensorRTProviderOptionsWithValue(OrtTensorRTProviderOptionsV2* options,
                                                      const char* key, void* value) {
  KP_ORT_NEED(options);
  (void)value;
  return kp_ort_error(ORT_NOT_IMPLEMENTED, "option '%s' of TensorRT cannot be given as a pointer",
                      key ? key : "");
}

// --- structs with public members -------------------------------------------------------------------------------------------------
static OrtStatus* append_device(OrtSessionOptions* options, const char* provider, int device_id) {
  char number[16];
  const char *keys[] = {"device_id"}, *values[] = {number};
  snprintf(number, sizeof number, "%d", device_id);
  return dropin_append(options, provider, keys, values, 1);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_CUDA(OrtSessionOptions* options,
                                                          const OrtCUDAProviderOptions* given) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(given);
  return append_device(options, "CUDAExecutionProvider", given->device_id);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_TensorRT(
    OrtSessionOptions* options, const OrtTensorRTProviderOptions* given) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(given);
  return append_device(options, "TensorrtExecutionProvider", given->device_id);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_ROCM(OrtSessionOptions* options,
                                                          const OrtROCMProviderOptions* given) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(given);
  return append_device(options, "ROCMExecutionProvider", given->device_id);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_MIGraphX(
    OrtSessionOptions* options, const OrtMIGraphXProviderOptions* given) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(given);
  return append_device(options, "MIGraphXExecutionProvider", given->device_id);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_OpenVINO(
    OrtSessionOptions* options, const OrtOpenVINOProviderOptions* given) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(given);
  const char *keys[] = {"device_type"}, *values[] = {given->device_type};
  return dropin_append(options, "OpenVINOExecutionProvider", keys, values,
                       given->device_type ? 1 : 0);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_OpenVINO_V2(OrtSessionOptions* options,
                                                                 const char* const* keys,
                                                                 const char* const* values,
                                                                 size_t count) {
  return dropin_append(options, "OpenVINOExecutionProvider", keys, values, count);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_VitisAI(OrtSessionOptions* options,
                                                             const char* const* keys,
                                                             const char* const* values,
                                                             size_t count) {
  return dropin_append(options, "VitisAIExecutionProvider", keys, values, count);
}

// ONNX Runtime left ROCm behind: no build makes these any more.
static OrtStatus* no_rocm(void) {
  return kp_ort_error(ORT_FAIL, "ROCM execution provider is not enabled in this build. ");
}

OrtStatus* ort_CreateROCMProviderOptions(OrtROCMProviderOptions** out) {
  if (out) *out = NULL;
  return no_rocm();
}
OrtStatus* ort_UpdateROCMProviderOptions(OrtROCMProviderOptions* options, const char* const* keys,
                                         const char* const* values, size_t count) {
  (void)options;
  (void)keys;
  (void)values;
  (void)count;
  return no_rocm();
}
OrtStatus* ort_GetROCMProviderOptionsAsString(const OrtROCMProviderOptions* options,
                                              OrtAllocator* allocator, char** out) {
  (void)options;
  (void)allocator;
  (void)out;
  return no_rocm();
}
void ort_ReleaseROCMProviderOptions(OrtROCMProviderOptions* options) { (void)options; }

// --- by device -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_SessionOptionsAppendExecutionProvider_V2(OrtSessionOptions* options, OrtEnv* env,
                                                        const OrtEpDevice* const* devices,
                                                        size_t count, const char* const* keys,
                                                        const char* const* values,
                                                        size_t option_count) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(env);
  if (count == 0 || !devices)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "ep_devices cannot be empty");
  if (option_count && (!keys || !values))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "keys or values are NULL");
  for (size_t i = 0; i < count; ++i)
    if (!devices[i] || strcmp(devices[i]->name, devices[0]->name) != 0)
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "All OrtEpDevice values must have the same execution provider.");
  for (size_t i = 0; i < option_count;
       ++i) {  // providers find their options among the session's entries
    kp_strbuf key = {0};
    kp_strbuf_printf(&key, "ep.%s.%s", devices[0]->name, keys[i]);
    for (char* c = key.data; c && c < key.data + key.length - strlen(keys[i]); ++c)
      *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    OrtStatus* status =
        key.failed ? kp_ort_no_memory() : ort_AddSessionConfigEntry(options, key.data, values[i]);
    kp_strbuf_free(&key);
    if (status) return status;
  }
  return dropin_append(options, devices[0]->name, NULL, NULL, 0);
}

// --- what only GPU builds answer -------------------------------------------------------------------------------------------------
static OrtStatus* no_cuda(void) {
  return kp_ort_error(ORT_FAIL, "CUDA execution provider is either not enabled or not available.");
}
OrtStatus* ort_SetCurrentGpuDeviceId(int device_id) {
  (void)device_id;
  return no_cuda();
}
OrtStatus* ort_GetCurrentGpuDeviceId(int* device_id) {
  (void)device_id;
  return no_cuda();
}

OrtStatus* ort_GetExecutionProviderApi(const char* provider_name, uint32_t version,
                                       const void** provider_api) {
  (void)version;
  if (provider_api) *provider_api = NULL;
  return kp_ort_error(ORT_INVALID_ARGUMENT, "Specified provider is not supported. (%s)",
                      provider_name ? provider_name : "NULL");
}
