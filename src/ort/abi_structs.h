// ONNX Runtime's C ABI, part 2: the structs of functions that clients and plug-ins fill, and the option structs. Each begins with the API
// version its owner was built for; members that came later than that version must not be looked at, and any member may be NULL.
#ifndef KAPELL_ORT_ABI_STRUCTS_H_
#define KAPELL_ORT_ABI_STRUCTS_H_

#include "ort/abi_types.h"

/// A member whose parameters are not published where this project looks. It keeps its place and is never called.
typedef void (*KpOrtUnknownFn)(void);

/// Memory for values. Reserve: version 18 and later, GetStats and AllocOnStream 23, Shrink 25 to 30 (its exact version is unknown).
struct OrtAllocator {
  uint32_t version;
  void* (*Alloc)(OrtAllocator* self, size_t size);
  void (*Free)(OrtAllocator* self, void* p);
  const OrtMemoryInfo* (*Info)(const OrtAllocator* self);
  void* (*Reserve)(OrtAllocator* self, size_t size);
  OrtStatus* (*GetStats)(const OrtAllocator* self, OrtKeyValuePairs** out);
  void* (*AllocOnStream)(OrtAllocator* self, size_t size, OrtSyncStream* stream);
  OrtStatus* (*Shrink)(OrtAllocator* self);
};

/// One custom operator. `version` says which members exist (custom_op.h has the table).
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info);
  const char* (*GetName)(const OrtCustomOp* op);
  const char* (*GetExecutionProviderType)(const OrtCustomOp* op);
  ONNXTensorElementDataType (*GetInputType)(const OrtCustomOp* op, size_t index);
  size_t (*GetInputTypeCount)(const OrtCustomOp* op);
  ONNXTensorElementDataType (*GetOutputType)(const OrtCustomOp* op, size_t index);
  size_t (*GetOutputTypeCount)(const OrtCustomOp* op);
  void (*KernelCompute)(void* kernel, OrtKernelContext* context);
  void (*KernelDestroy)(void* kernel);
  OrtCustomOpInputOutputCharacteristic (*GetInputCharacteristic)(const OrtCustomOp* op,
                                                                 size_t index);
  OrtCustomOpInputOutputCharacteristic (*GetOutputCharacteristic)(const OrtCustomOp* op,
                                                                  size_t index);
  OrtMemType (*GetInputMemoryType)(const OrtCustomOp* op, size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp* op);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp* op);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp* op);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp* op);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext* context);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp* op, OrtShapeInferContext* context);
  int (*GetStartVersion)(const OrtCustomOp* op);
  int (*GetEndVersion)(const OrtCustomOp* op);
  size_t (*GetMayInplace)(int** input_index, int** output_index);
  void (*ReleaseMayInplace)(int* input_index, int* output_index);
  size_t (*GetAliasMap)(int** input_index, int** output_index);
  void (*ReleaseAliasMap)(int* input_index, int* output_index);
};

typedef struct OrtThreadPoolCallbacksConfig {
  uint32_t version;
  OrtThreadPoolWorkEnqueueFn on_enqueue;
  OrtThreadPoolWorkStartFn on_start_work;
  OrtThreadPoolWorkStopFn on_stop_work;
  OrtThreadPoolWorkAbandonFn on_abandon;
  void* user_context;
} OrtThreadPoolCallbacksConfig;

/// What CreateEnvWithOptions takes.
typedef struct OrtEnvCreationOptions {
  uint32_t version;
  int32_t logging_severity_level;
  const char* log_id;
  OrtLoggingFunction custom_logging_function;
  void* custom_logging_param;
  const OrtThreadingOptions* threading_options;
  const OrtKeyValuePairs* config_entries;
} OrtEnvCreationOptions;

typedef struct OrtCUDAProviderOptions {
  int device_id;
  OrtCudnnConvAlgoSearch cudnn_conv_algo_search;
  size_t gpu_mem_limit;
  int arena_extend_strategy;
  int do_copy_in_default_stream;
  int has_user_compute_stream;
  void* user_compute_stream;
  OrtArenaCfg* default_memory_arena_cfg;
  int tunable_op_enable;
  int tunable_op_tuning_enable;
  int tunable_op_max_tuning_duration_ms;
} OrtCUDAProviderOptions;

typedef struct OrtROCMProviderOptions {
  int device_id;
  int miopen_conv_exhaustive_search;
  size_t gpu_mem_limit;
  int arena_extend_strategy;
  int do_copy_in_default_stream;
  int has_user_compute_stream;
  void* user_compute_stream;
  OrtArenaCfg* default_memory_arena_cfg;
  int enable_hip_graph;
  int tunable_op_enable;
  int tunable_op_tuning_enable;
  int tunable_op_max_tuning_duration_ms;
} OrtROCMProviderOptions;

typedef struct OrtTensorRTProviderOptions {
  int device_id;
  int has_user_compute_stream;
  void* user_compute_stream;
  int trt_max_partition_iterations;
  int trt_min_subgraph_size;
  size_t trt_max_workspace_size;
  int trt_fp16_enable;
  int trt_int8_enable;
  const char* trt_int8_calibration_table_name;
  int trt_int8_use_native_calibration_table;
  int trt_dla_enable;
  int trt_dla_core;
  int trt_dump_subgraphs;
  int trt_engine_cache_enable;
  const char* trt_engine_cache_path;
  int trt_engine_decryption_enable;
  const char* trt_engine_decryption_lib_path;
  int trt_force_sequential_engine_build;
} OrtTensorRTProviderOptions;

typedef struct OrtMIGraphXProviderOptions {
  int device_id;
  int migraphx_fp16_enable;
  int migraphx_fp8_enable;
  int migraphx_int8_enable;
  int migraphx_use_native_calibration_table;
  const char* migraphx_int8_calibration_table_name;
  int migraphx_save_compiled_model;
  const char* migraphx_save_model_path;
  int migraphx_load_compiled_model;
  const char* migraphx_load_model_path;
  bool migraphx_exhaustive_tune;
  size_t migraphx_mem_limit;
  int migraphx_arena_extend_strategy;
} OrtMIGraphXProviderOptions;

typedef struct OrtOpenVINOProviderOptions {
  const char* device_type;
  unsigned char enable_npu_fast_compile;
  const char* device_id;
  size_t num_of_threads;
  const char* cache_dir;
  void* context;
  unsigned char enable_opencl_throttling;
  unsigned char enable_dynamic_shapes;
} OrtOpenVINOProviderOptions;

typedef struct OrtExternalMemoryDescriptor {
  uint32_t version;
  OrtExternalMemoryHandleType handle_type;
  void* native_handle;
  size_t size_bytes;
  size_t offset_bytes;
} OrtExternalMemoryDescriptor;

typedef struct OrtExternalSemaphoreDescriptor {
  uint32_t version;
  OrtExternalSemaphoreType type;
  void* native_handle;
} OrtExternalSemaphoreDescriptor;

typedef struct OrtExternalTensorDescriptor {
  uint32_t version;
  ONNXTensorElementDataType element_type;
  const int64_t* shape;
  size_t rank;
  size_t offset_bytes;
} OrtExternalTensorDescriptor;

struct OrtExternalMemoryHandle {
  uint32_t version;
  const OrtEpDevice* ep_device;
  OrtExternalMemoryDescriptor descriptor;
  void (*Release)(OrtExternalMemoryHandle* handle);
};

struct OrtExternalSemaphoreHandle {
  uint32_t version;
  const OrtEpDevice* ep_device;
  OrtExternalSemaphoreDescriptor descriptor;
  void (*Release)(OrtExternalSemaphoreHandle* handle);
};

/// How EpGraphSupportInfo_AddNodesToFuse treats the group.
struct OrtNodeFusionOptions {
  uint32_t ort_version_supported;
  bool drop_constant_initializers;
};

/// Copies between memories; a plug-in fills it.
struct OrtDataTransferImpl {
  uint32_t ort_version_supported;
  void (*Release)(OrtDataTransferImpl* self);
  bool (*CanCopy)(const OrtDataTransferImpl* self, const OrtMemoryDevice* src_memory_device,
                  const OrtMemoryDevice* dst_memory_device);
  OrtStatus* (*CopyTensors)(OrtDataTransferImpl* self, const OrtValue** src_tensors,
                            OrtValue** dst_tensors, OrtSyncStream** streams, size_t count);
};

struct OrtSyncNotificationImpl {
  uint32_t ort_version_supported;
  void (*Release)(OrtSyncNotificationImpl* self);
  OrtStatus* (*Activate)(OrtSyncNotificationImpl* self);
  OrtStatus* (*WaitOnDevice)(OrtSyncNotificationImpl* self, OrtSyncStream* consumer_stream);
  OrtStatus* (*WaitOnHost)(OrtSyncNotificationImpl* self);
};

struct OrtSyncStreamImpl {
  uint32_t ort_version_supported;
  void (*Release)(OrtSyncStreamImpl* self);
  void* (*GetHandle)(OrtSyncStreamImpl* self);
  OrtStatus* (*CreateNotification)(OrtSyncStreamImpl* self, OrtSyncNotificationImpl** notification);
  OrtStatus* (*Flush)(OrtSyncStreamImpl* self);
  OrtStatus* (*OnSessionRunEnd)(OrtSyncStreamImpl* self);
};

struct OrtExternalResourceImporterImpl {
  uint32_t ort_version_supported;
  bool (*CanImportMemory)(const OrtExternalResourceImporterImpl* self,
                          OrtExternalMemoryHandleType handle_type);
  OrtStatus* (*ImportMemory)(OrtExternalResourceImporterImpl* self,
                             const OrtExternalMemoryDescriptor* desc,
                             OrtExternalMemoryHandle** handle);
  void (*ReleaseMemory)(OrtExternalResourceImporterImpl* self, OrtExternalMemoryHandle* handle);
  OrtStatus* (*CreateTensorFromMemory)(OrtExternalResourceImporterImpl* self,
                                       const OrtExternalMemoryHandle* mem_handle,
                                       const OrtExternalTensorDescriptor* tensor_desc,
                                       OrtValue** tensor);
  bool (*CanImportSemaphore)(const OrtExternalResourceImporterImpl* self,
                             OrtExternalSemaphoreType type);
  OrtStatus* (*ImportSemaphore)(OrtExternalResourceImporterImpl* self,
                                const OrtExternalSemaphoreDescriptor* desc,
                                OrtExternalSemaphoreHandle** handle);
  void (*ReleaseSemaphore)(OrtExternalResourceImporterImpl* self,
                           OrtExternalSemaphoreHandle* handle);
  OrtStatus* (*WaitSemaphore)(OrtExternalResourceImporterImpl* self,
                              OrtExternalSemaphoreHandle* handle, OrtSyncStream* stream,
                              uint64_t value);
  OrtStatus* (*SignalSemaphore)(OrtExternalResourceImporterImpl* self,
                                OrtExternalSemaphoreHandle* handle, OrtSyncStream* stream,
                                uint64_t value);
  void (*Release)(OrtExternalResourceImporterImpl* self);
};

/// One compiled group of nodes.
struct OrtNodeComputeInfo {
  uint32_t ort_version_supported;
  OrtStatus* (*CreateState)(OrtNodeComputeInfo* self, OrtNodeComputeContext* compute_context,
                            void** compute_state);
  OrtStatus* (*Compute)(OrtNodeComputeInfo* self, void* compute_state, OrtKernelContext* context);
  void (*ReleaseState)(OrtNodeComputeInfo* self, void* compute_state);
};

/// One kernel of a kernel-based provider. PrePackWeight and SetSharedPrePackedWeight may be NULL.
struct OrtKernelImpl {
  uint32_t ort_version_supported;
  uint32_t flags;
  OrtStatus* (*Compute)(OrtKernelImpl* self, OrtKernelContext* context);
  void (*Release)(OrtKernelImpl* self);
  OrtStatus* (*PrePackWeight)(OrtKernelImpl* self, const OrtValue* tensor, int input_index,
                              OrtAllocator* allocator,
                              OrtSharedPrePackedWeightCache* prepacked_weight_cache,
                              bool* is_packed);
  OrtStatus* (*SetSharedPrePackedWeight)(OrtKernelImpl* self, const void* const* buffer_data_ptrs,
                                         const size_t* buffer_data_sizes, size_t count,
                                         int input_index);
};

struct OrtLoopKernelHelper {
  uint32_t ort_version_supported;
  void (*Release)(OrtLoopKernelHelper* self);
  OrtStatus* (*ConcatOutput)(OrtLoopKernelHelper* self, void* stream_handle,
                             const OrtValue* const* per_iteration_outputs, size_t count,
                             void* output, size_t output_size_in_bytes);
};

struct OrtScanKernelHelper {
  uint32_t ort_version_supported;
  void (*Release)(OrtScanKernelHelper* self);
  OrtStatus* (*Transpose)(OrtScanKernelHelper* self, const size_t* permutation, size_t count,
                          const OrtValue* input, OrtSyncStream* stream, OrtValue* output);
};

/// A provider in one session. Since: GetKernelRegistry and IsConcurrentRunSupported 24, CreateProfiler and Sync 25, the graph capture
/// functions 26, OnSessionInitializationEnd, GetDefaultMemoryDevice and ReleaseCapturedGraph 27, GetWeightlessSupport 29.
struct OrtEp {
  uint32_t ort_version_supported;
  const char* (*GetName)(const OrtEp* self);
  OrtStatus* (*GetCapability)(OrtEp* self, const OrtGraph* graph, OrtEpGraphSupportInfo* support);
  OrtStatus* (*Compile)(OrtEp* self, const OrtGraph** graphs, const OrtNode** fused_nodes,
                        size_t count, OrtNodeComputeInfo** node_compute_infos,
                        OrtNode** ep_context_nodes);
  void (*ReleaseNodeComputeInfos)(OrtEp* self, OrtNodeComputeInfo** node_compute_infos,
                                  size_t count);
  OrtStatus* (*GetPreferredDataLayout)(OrtEp* self, OrtEpDataLayout* preferred_data_layout);
  OrtStatus* (*ShouldConvertDataLayoutForOp)(OrtEp* self, const char* domain, const char* op,
                                             OrtEpDataLayout target_data_layout,
                                             int* should_convert);
  OrtStatus* (*SetDynamicOptions)(OrtEp* self, const char* const* option_keys,
                                  const char* const* option_values, size_t count);
  OrtStatus* (*OnRunStart)(OrtEp* self, const OrtRunOptions* run_options);
  OrtStatus* (*OnRunEnd)(OrtEp* self, const OrtRunOptions* run_options, bool sync_stream);
  OrtStatus* (*CreateAllocator)(OrtEp* self, const OrtMemoryInfo* info, OrtAllocator** allocator);
  OrtStatus* (*CreateSyncStreamForDevice)(OrtEp* self, const OrtMemoryDevice* device,
                                          OrtSyncStreamImpl** stream);
  const char* (*GetCompiledModelCompatibilityInfo)(OrtEp* self, const OrtGraph* graph);
  OrtStatus* (*GetKernelRegistry)(OrtEp* self, const OrtKernelRegistry** registry);
  OrtStatus* (*IsConcurrentRunSupported)(OrtEp* self, bool* is_supported);
  KpOrtUnknownFn Sync;
  KpOrtUnknownFn CreateProfiler;
  KpOrtUnknownFn IsGraphCaptureEnabled;
  KpOrtUnknownFn IsGraphCaptured;
  KpOrtUnknownFn ReplayGraph;
  KpOrtUnknownFn GetGraphCaptureNodeAssignmentPolicy;
  KpOrtUnknownFn GetAvailableResource;
  KpOrtUnknownFn OnSessionInitializationEnd;
  KpOrtUnknownFn GetDefaultMemoryDevice;
  KpOrtUnknownFn ReleaseCapturedGraph;
  KpOrtUnknownFn GetWeightlessSupport;
};

/// What a plug-in makes providers with. Since: ReleaseEp and before 22, to CreateSyncStreamForDevice 23, to GetCustomOpDomains 24,
/// the graphics functions 25, SelectBestModelCandidate 28.
struct OrtEpFactory {
  uint32_t ort_version_supported;
  const char* (*GetName)(const OrtEpFactory* self);
  const char* (*GetVendor)(const OrtEpFactory* self);
  OrtStatus* (*GetSupportedDevices)(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                                    size_t count, OrtEpDevice** out, size_t max_ep_devices,
                                    size_t* ep_device_count);
  OrtStatus* (*CreateEp)(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                         const OrtKeyValuePairs* const* ep_metadata_pairs, size_t count,
                         const OrtSessionOptions* options, const OrtLogger* logger, OrtEp** ep);
  void (*ReleaseEp)(OrtEpFactory* self, OrtEp* ep);
  uint32_t (*GetVendorId)(const OrtEpFactory* self);
  const char* (*GetVersion)(const OrtEpFactory* self);
  OrtStatus* (*ValidateCompiledModelCompatibilityInfo)(
      OrtEpFactory* self, const OrtHardwareDevice* const* devices, size_t count,
      const char* compatibility_info, OrtCompiledModelCompatibility* compatibility);
  OrtStatus* (*CreateAllocator)(OrtEpFactory* self, const OrtMemoryInfo* info,
                                const OrtKeyValuePairs* options, OrtAllocator** allocator);
  void (*ReleaseAllocator)(OrtEpFactory* self, OrtAllocator* allocator);
  OrtStatus* (*CreateDataTransfer)(OrtEpFactory* self, OrtDataTransferImpl** data_transfer);
  bool (*IsStreamAware)(const OrtEpFactory* self);
  OrtStatus* (*CreateSyncStreamForDevice)(OrtEpFactory* self, const OrtMemoryDevice* device,
                                          const OrtKeyValuePairs* options,
                                          OrtSyncStreamImpl** stream);
  OrtStatus* (*GetHardwareDeviceIncompatibilityDetails)(OrtEpFactory* self,
                                                        const OrtHardwareDevice* device,
                                                        OrtDeviceEpIncompatibilityDetails* details);
  OrtStatus* (*CreateExternalResourceImporterForDevice)(OrtEpFactory* self,
                                                        const OrtEpDevice* device,
                                                        OrtExternalResourceImporterImpl** importer);
  OrtStatus* (*GetNumCustomOpDomains)(OrtEpFactory* self, size_t* count);
  OrtStatus* (*GetCustomOpDomains)(OrtEpFactory* self, OrtCustomOpDomain** domains, size_t count);
  KpOrtUnknownFn InitGraphicsInterop;
  KpOrtUnknownFn DeinitGraphicsInterop;
  KpOrtUnknownFn SelectBestModelCandidate;
};

#endif  // KAPELL_ORT_ABI_STRUCTS_H_
