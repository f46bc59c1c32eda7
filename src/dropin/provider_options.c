// Options of single providers: the objects that clients make for them, and the functions that each has of its own. (By device: devices.c.)
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
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

// A stream of the client's, the one option that is given as a pointer: kept as its number, as it is written among the others.
#define STREAM "user_compute_stream"

static OrtStatus* check_pointer(const char* key) {
  KP_ORT_NEED(key);
  if (strcmp(key, STREAM) == 0) return NULL;
  return kp_ort_error(ORT_INVALID_ARGUMENT, "option '%s' is not given as a pointer; %s is", key,
                      STREAM);
}

static OrtStatus* put_pointer(OrtKeyValuePairs* pairs, const char* key, const void* value) {
  char text[24];
  KP_ORT_PASS(check_pointer(key));
  snprintf(text, sizeof text, "%llu", (unsigned long long)(uintptr_t)value);
  KP_ORT_TAKE(kp_ort_pairs_set(pairs, "has_" STREAM, value ? "1" : "0"));
  KP_ORT_TAKE(kp_ort_pairs_set(pairs, STREAM, text));
  return NULL;
}

static OrtStatus* get_pointer(const OrtKeyValuePairs* pairs, const char* key, void** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_PASS(check_pointer(key));
  const char* text = kp_ort_pairs_get(pairs, STREAM);
  *out = text ? (void*)(uintptr_t)strtoull(text, NULL, 10) : NULL;
  return NULL;
}

OrtStatus* ort_UpdateCUDAProviderOptionsWithValue(OrtCUDAProviderOptionsV2* options,
                                                  const char* key, void* value) {
  KP_ORT_NEED(options);
  return put_pointer(&options->pairs, key, value);
}
OrtStatus* ort_UpdateTensorRTProviderOptionsWithValue(OrtTensorRTProviderOptionsV2* options,
                                                      const char* key, void* value) {
  KP_ORT_NEED(options);
  return put_pointer(&options->pairs, key, value);
}
OrtStatus* ort_GetCUDAProviderOptionsByName(const OrtCUDAProviderOptionsV2* options,
                                            const char* key, void** out) {
  KP_ORT_NEED(options);
  return get_pointer(&options->pairs, key, out);
}
OrtStatus* ort_GetTensorRTProviderOptionsByName(const OrtTensorRTProviderOptionsV2* options,
                                                const char* key, void** out) {
  KP_ORT_NEED(options);
  return get_pointer(&options->pairs, key, out);
}

// --- structs with public members -------------------------------------------------------------------------------------------------
// What a member of such a struct holds. Streams and arenas are left out: they have no meaning between libraries of different makers.
typedef enum member_kind {
  MEMBER_INT,
  MEMBER_SIZE,
  MEMBER_FLAG,  // unsigned char or bool
  MEMBER_TEXT,  // may be NULL
  MEMBER_NAME   // int: an index of |names|
} member_kind;

typedef struct member {
  const char* key;  // as among the key-value options
  member_kind kind;
  size_t offset;
  const char* const* names;
  int name_count;
} member;

static const char* const arena_names[] = {"kNextPowerOfTwo", "kSameAsRequested"};
static const char* const search_names[] = {"EXHAUSTIVE", "HEURISTIC", "DEFAULT"};

#define MOST_MEMBERS 16
#define MEMBER(Struct, name, kind) \
  { #name, MEMBER_##kind, offsetof(Struct, name), NULL, 0 }
#define MEMBER_OF(Struct, name, names) \
  { #name, MEMBER_NAME, offsetof(Struct, name), names, (int)(sizeof(names) / sizeof(names)[0]) }

static const member cuda_members[] = {
    MEMBER(OrtCUDAProviderOptions, device_id, INT),
    MEMBER_OF(OrtCUDAProviderOptions, cudnn_conv_algo_search, search_names),
    MEMBER(OrtCUDAProviderOptions, gpu_mem_limit, SIZE),
    MEMBER_OF(OrtCUDAProviderOptions, arena_extend_strategy, arena_names),
    MEMBER(OrtCUDAProviderOptions, do_copy_in_default_stream, INT),
    MEMBER(OrtCUDAProviderOptions, tunable_op_enable, INT),
    MEMBER(OrtCUDAProviderOptions, tunable_op_tuning_enable, INT),
    MEMBER(OrtCUDAProviderOptions, tunable_op_max_tuning_duration_ms, INT),
};
static const member rocm_members[] = {
    MEMBER(OrtROCMProviderOptions, device_id, INT),
    MEMBER(OrtROCMProviderOptions, miopen_conv_exhaustive_search, INT),
    MEMBER(OrtROCMProviderOptions, gpu_mem_limit, SIZE),
    MEMBER_OF(OrtROCMProviderOptions, arena_extend_strategy, arena_names),
    MEMBER(OrtROCMProviderOptions, do_copy_in_default_stream, INT),
    MEMBER(OrtROCMProviderOptions, enable_hip_graph, INT),
    MEMBER(OrtROCMProviderOptions, tunable_op_enable, INT),
    MEMBER(OrtROCMProviderOptions, tunable_op_tuning_enable, INT),
    MEMBER(OrtROCMProviderOptions, tunable_op_max_tuning_duration_ms, INT),
};
static const member tensorrt_members[] = {
    MEMBER(OrtTensorRTProviderOptions, device_id, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_max_partition_iterations, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_min_subgraph_size, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_max_workspace_size, SIZE),
    MEMBER(OrtTensorRTProviderOptions, trt_fp16_enable, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_int8_enable, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_int8_calibration_table_name, TEXT),
    MEMBER(OrtTensorRTProviderOptions, trt_int8_use_native_calibration_table, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_dla_enable, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_dla_core, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_dump_subgraphs, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_engine_cache_enable, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_engine_cache_path, TEXT),
    MEMBER(OrtTensorRTProviderOptions, trt_engine_decryption_enable, INT),
    MEMBER(OrtTensorRTProviderOptions, trt_engine_decryption_lib_path, TEXT),
    MEMBER(OrtTensorRTProviderOptions, trt_force_sequential_engine_build, INT),
};
static const member migraphx_members[] = {
    MEMBER(OrtMIGraphXProviderOptions, device_id, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_fp16_enable, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_fp8_enable, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_int8_enable, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_use_native_calibration_table, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_int8_calibration_table_name, TEXT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_save_compiled_model, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_save_model_path, TEXT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_load_compiled_model, INT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_load_model_path, TEXT),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_exhaustive_tune, FLAG),
    MEMBER(OrtMIGraphXProviderOptions, migraphx_mem_limit, SIZE),
    MEMBER_OF(OrtMIGraphXProviderOptions, migraphx_arena_extend_strategy, arena_names),
};
static const member openvino_members[] = {
    MEMBER(OrtOpenVINOProviderOptions, device_type, TEXT),
    MEMBER(OrtOpenVINOProviderOptions, enable_npu_fast_compile, FLAG),
    MEMBER(OrtOpenVINOProviderOptions, device_id, TEXT),
    MEMBER(OrtOpenVINOProviderOptions, num_of_threads, SIZE),
    MEMBER(OrtOpenVINOProviderOptions, cache_dir, TEXT),
    MEMBER(OrtOpenVINOProviderOptions, enable_opencl_throttling, FLAG),
    MEMBER(OrtOpenVINOProviderOptions, enable_dynamic_shapes, FLAG),
};

// The text of a member, in |room| where it is a number; NULL: there is nothing to say.
static const char* print_member(const member* m, const void* given, char room[24]) {
  const char* at = (const char*)given + m->offset;
  int number = 0;
  if (m->kind == MEMBER_TEXT) return *(const char* const*)(const void*)at;
  if (m->kind == MEMBER_SIZE) {
    snprintf(room, 24, "%zu", *(const size_t*)(const void*)at);
    return room;
  }
  if (m->kind == MEMBER_FLAG)
    number = *(const unsigned char*)at != 0;
  else
    memcpy(&number, at, sizeof number);
  if (m->kind == MEMBER_NAME)
    return number >= 0 && number < m->name_count ? m->names[number] : NULL;
  snprintf(room, 24, "%d", number);
  return room;
}

static OrtStatus* append_struct(OrtSessionOptions* options, const char* provider, const void* given,
                                const member* members, size_t count) {
  const char *keys[MOST_MEMBERS], *values[MOST_MEMBERS];
  char rooms[MOST_MEMBERS][24];
  size_t used = 0;
  for (size_t i = 0; i < count && used < MOST_MEMBERS; ++i) {
    keys[used] = members[i].key;
    values[used] = print_member(&members[i], given, rooms[used]);
    if (values[used]) ++used;
  }
  return dropin_append(options, provider, keys, values, used);
}

#define STRUCT_OPTIONS(name, provider, members)                                                    \
  OrtStatus* ort_SessionOptionsAppendExecutionProvider_##name(                                     \
      OrtSessionOptions* options, const Ort##name##ProviderOptions* given) {                       \
    KP_ORT_NEED(options);                                                                          \
    KP_ORT_NEED(given);                                                                            \
    return append_struct(options, provider, given, members, sizeof(members) / sizeof(members)[0]); \
  }
STRUCT_OPTIONS(CUDA, "CUDAExecutionProvider", cuda_members)
STRUCT_OPTIONS(TensorRT, "TensorrtExecutionProvider", tensorrt_members)
STRUCT_OPTIONS(ROCM, "ROCMExecutionProvider", rocm_members)
STRUCT_OPTIONS(MIGraphX, "MIGraphXExecutionProvider", migraphx_members)
STRUCT_OPTIONS(OpenVINO, "OpenVINOExecutionProvider", openvino_members)

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
