// Streams of devices, and copies between memories, with a library's side played here.
#include "ort/stream.h"

#include "base/alloc.h"
#include "ort/kernel.h"
#include "ort/options.h"
#include "support/expect.h"

static void must(OrtStatus* status) {
  if (status) fail_msg("%s", ort_GetErrorMessage(status));
}

static void refused(OrtStatus* status, OrtErrorCode code, const char* words) {
  if (!status) fail_msg("no error, where '%s' was expected", words);
  assert_int_equal(ort_GetErrorCode(status), code);
  kp_test_words(ort_GetErrorMessage(status), words);
  ort_ReleaseStatus(status);
}

// --- a library -------------------------------------------------------------------------------------------------------------------
static int made, released, flushed, activated, waited, copied;
static OrtSyncStream* copied_on;

static void release_stream(OrtSyncStreamImpl* self) {
  (void)self;
  ++released;
}
static void* handle(OrtSyncStreamImpl* self) { return self; }
static OrtStatus* flush(OrtSyncStreamImpl* self) {
  (void)self;
  ++flushed;
  return NULL;
}
static void release_notification(OrtSyncNotificationImpl* self) { kp_free(self); }
static OrtStatus* activate(OrtSyncNotificationImpl* self) {
  (void)self;
  ++activated;
  return NULL;
}
static OrtStatus* wait_on_host(OrtSyncNotificationImpl* self) {
  (void)self;
  return ++waited == 2 ? ort_CreateStatus(ORT_EP_FAIL, "the device hangs") : NULL;
}
static OrtStatus* notify(OrtSyncStreamImpl* self, OrtSyncNotificationImpl** out) {
  (void)self;
  *out = kp_alloc(sizeof **out);
  **out = (OrtSyncNotificationImpl){.ort_version_supported = 23,
                                    .Release = release_notification,
                                    .Activate = activate,
                                    .WaitOnHost = wait_on_host};
  return NULL;
}

static OrtSyncStreamImpl impl = {.ort_version_supported = 23,
                                 .Release = release_stream,
                                 .GetHandle = handle,
                                 .CreateNotification = notify,
                                 .Flush = flush};

static bool is_aware(const OrtEpFactory* self) {
  (void)self;
  return true;
}
static OrtStatus* make_stream(OrtEpFactory* self, const OrtMemoryDevice* device,
                              const OrtKeyValuePairs* options, OrtSyncStreamImpl** out) {
  (void)self;
  (void)options;
  assert_int_equal(ort_ep_MemoryDevice_GetDeviceType(device), OrtMemoryInfoDeviceType_GPU);
  ++made;
  *out = &impl;
  return NULL;
}
static OrtEpFactory factory = {.ort_version_supported = 23,
                               .IsStreamAware = is_aware,
                               .CreateSyncStreamForDevice = make_stream};

static bool can_copy(const OrtDataTransferImpl* self, const OrtMemoryDevice* from,
                     const OrtMemoryDevice* to) {
  (void)self;
  return ort_ep_MemoryDevice_GetDeviceType(from) == OrtMemoryInfoDeviceType_GPU ||
         ort_ep_MemoryDevice_GetDeviceType(to) == OrtMemoryInfoDeviceType_GPU;
}
static OrtStatus* copy(OrtDataTransferImpl* self, const OrtValue** from, OrtValue** to,
                       OrtSyncStream** streams, size_t count) {
  (void)self;
  assert_int_equal(count, 1);
  memcpy(to[0]->value->data, from[0]->value->data, from[0]->value->byte_count);
  copied_on = streams ? streams[0] : NULL;
  ++copied;
  return NULL;
}
static OrtDataTransferImpl transfer = {
    .ort_version_supported = 23, .CanCopy = can_copy, .CopyTensors = copy};

static OrtMemoryInfo* gpu(void) {
  OrtMemoryInfo* info;
  must(ort_CreateMemoryInfo_V2("Gpu", OrtMemoryInfoDeviceType_GPU, 0x10de, 0,
                               OrtDeviceMemoryType_DEFAULT, 0, OrtDeviceAllocator, &info));
  return info;
}

static char x_name[] = "X", cpu_name[] = "CPUExecutionProvider";

// --- streams ---------------------------------------------------------------------------------------------------------------------
static void a_stream_is_the_librarys(void** state) {
  (void)state;
  OrtMemoryInfo* info = gpu();
  OrtEpDevice device = {.name = x_name, .factory = &factory, .memory = info};
  OrtSyncStream* stream;
  must(ort_CreateSyncStreamForEpDevice(&device, NULL, &stream));
  assert_int_equal(made, 1);
  assert_ptr_equal(ort_SyncStream_GetHandle(stream), &impl);
  assert_ptr_equal(ort_ep_SyncStream_GetImpl(stream), &impl);
  assert_int_equal(ort_ep_SyncStream_GetSyncId(stream), 0);
  must(kp_ort_stream_wait(stream));
  assert_int_equal(ort_ep_SyncStream_GetSyncId(stream), 1);
  assert_true(flushed == 1 && activated == 1 && waited == 1);
  refused(kp_ort_stream_wait(stream), ORT_EP_FAIL, "the device hangs");
  assert_int_equal(ort_ep_GetSyncIdForLastWaitOnSyncStream(stream, stream), 0);
  ort_ReleaseSyncStream(stream);
  assert_int_equal(released, 1);
  ort_ReleaseSyncStream(NULL);
  ort_ReleaseMemoryInfo(info);
}

static void a_device_without_streams_says_so(void** state) {
  (void)state;
  OrtMemoryInfo* info = gpu();
  OrtEpFactory plain = {.ort_version_supported = 23}, old = {.ort_version_supported = 22};
  OrtEpDevice device = {.name = cpu_name};
  OrtSyncStream* stream;
  refused(ort_CreateSyncStreamForEpDevice(&device, NULL, &stream), ORT_NOT_IMPLEMENTED,
          "CPUExecutionProvider has no streams");
  device.memory = info;
  device.factory = &plain;
  refused(ort_CreateSyncStreamForEpDevice(&device, NULL, &stream), ORT_NOT_IMPLEMENTED,
          "no streams");
  old.IsStreamAware = is_aware;  // newer than it says: not to be looked at
  old.CreateSyncStreamForDevice = make_stream;
  device.factory = &old;
  refused(ort_CreateSyncStreamForEpDevice(&device, NULL, &stream), ORT_NOT_IMPLEMENTED,
          "no streams");
  refused(ort_CreateSyncStreamForEpDevice(NULL, NULL, &stream), ORT_INVALID_ARGUMENT, "NULL");
  assert_null(ort_SyncStream_GetHandle(NULL));
  ort_ReleaseMemoryInfo(info);
}

static void runs_use_the_stream_of_their_options(void** state) {
  (void)state;
  OrtSyncStream stream = {.impl = &impl, .factory = &factory}, *seen;
  OrtEpFactory other = factory;
  OrtRunOptions* options;
  void* handle_seen;
  must(ort_CreateRunOptions(&options));
  ort_RunOptionsSetSyncStream(options, &stream);
  assert_ptr_equal(options->stream, &stream);
  OrtSyncStream* before = kp_ort_stream_enter(options->stream);
  assert_null(before);
  assert_ptr_equal(kp_ort_stream_current(&factory), &stream);
  assert_null(kp_ort_stream_current(&other));
  kp_ort_stream_enter(before);
  assert_null(kp_ort_stream_current(&factory));
  OrtKernelContext context = {.stream = &stream};
  must(ort_KernelContext_GetSyncStream(&context, &seen));
  assert_ptr_equal(seen, &stream);
  must(ort_KernelContext_GetGPUComputeStream(&context, &handle_seen));
  assert_ptr_equal(handle_seen, &impl);
  context.stream = NULL;
  must(ort_KernelContext_GetGPUComputeStream(&context, &handle_seen));
  assert_null(handle_seen);
  ort_ReleaseRunOptions(options);
}

// --- copies ----------------------------------------------------------------------------------------------------------------------
static OrtValue* tensor(OrtMemoryInfo* info, float* data) {
  OrtValue* value;
  const int64_t dims[] = {2};
  must(ort_CreateTensorWithDataAsOrtValue(info, data, 8, dims, 1,
                                          ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  return value;
}

static void copies_go_through_the_librarys_transfer(void** state) {
  (void)state;
  OrtEnv* env;
  float a[] = {1, 2}, b[2] = {0}, c[2] = {0};
  OrtMemoryInfo *info = gpu(), *host;
  OrtSyncStream stream = {.impl = &impl, .factory = &factory};
  must(ort_CreateEnv(ORT_LOGGING_LEVEL_WARNING, "test", &env));
  must(ort_CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &host));
  OrtValue *on_host = tensor(host, a), *on_gpu = tensor(info, b), *back = tensor(host, c);
  const OrtValue *from[] = {on_host, on_gpu}, *none = NULL;
  OrtValue* to[] = {on_gpu, back};
  refused(ort_CopyTensors(env, from, to, NULL, 2), ORT_NOT_IMPLEMENTED, "Cpu to Gpu");
  must(kp_ort_env_add_transfer(env, &factory, &transfer));
  must(ort_CopyTensors(env, from, to, &stream, 2));
  assert_int_equal(copied, 2);
  assert_ptr_equal(copied_on, &stream);
  assert_float_equal(c[1], 2, 0);
  a[0] = 7;
  must(ort_CopyTensors(env, from, &back, NULL, 1));  // on the host: no library
  assert_int_equal(copied, 2);
  assert_float_equal(c[0], 7, 0);
  refused(ort_CopyTensors(env, &none, to, NULL, 1), ORT_INVALID_ARGUMENT, "");
  refused(ort_CopyTensors(env, from, to, NULL, 0), ORT_INVALID_ARGUMENT, "CopyTensors");
  kp_ort_env_unshare(env, &factory);
  ort_ReleaseValue(on_host);
  ort_ReleaseValue(on_gpu);
  ort_ReleaseValue(back);
  ort_ReleaseMemoryInfo(host);
  ort_ReleaseMemoryInfo(info);
  ort_ReleaseEnv(env);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stream_is_the_librarys),
      cmocka_unit_test(a_device_without_streams_says_so),
      cmocka_unit_test(runs_use_the_stream_of_their_options),
      cmocka_unit_test(copies_go_through_the_librarys_transfer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
