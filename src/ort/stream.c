#include "ort/stream.h"

#include <string.h>

#include "base/alloc.h"
#include "ort/guard.h"
#include "ort/kernel.h"
#include "ort/value.h"

// May |object|'s |member|, which came with API 23 as all here, be called?
#define HAS(object, member) ((object) && (object)->ort_version_supported >= 23 && (object)->member)

// --- life ------------------------------------------------------------------------------------------------------------------------
typedef struct making {
  OrtEpFactory* factory;
  OrtEp* ep;
  const OrtMemoryDevice* device;
  const OrtKeyValuePairs* options;
  OrtSyncStreamImpl* impl;
} making;

static OrtStatus* make(void* arg) {
  making* m = arg;
  if (!HAS(m->factory, IsStreamAware) || !m->factory->IsStreamAware(m->factory)) return NULL;
  if (HAS(m->ep, CreateSyncStreamForDevice))
    KP_ORT_PASS(m->ep->CreateSyncStreamForDevice(m->ep, m->device, &m->impl));
  if (m->impl || !HAS(m->factory, CreateSyncStreamForDevice)) return NULL;
  return m->factory->CreateSyncStreamForDevice(m->factory, m->device, m->options, &m->impl);
}

OrtStatus* kp_ort_stream_create(OrtEpFactory* factory, OrtEp* ep, const OrtMemoryInfo* info,
                                const OrtKeyValuePairs* options, OrtSyncStream** out) {
  making m = {.factory = factory,
              .ep = ep,
              .device = ort_ep_MemoryInfo_GetMemoryDevice(info),
              .options = options};
  *out = NULL;
  OrtSyncStream* stream = kp_alloc_zero(1, sizeof *stream);
  if (!stream) return kp_ort_no_memory();
  OrtStatus* status = kp_ort_guard(make, &m);
  if (status || !m.impl) {
    kp_free(stream);
    return status;
  }
  stream->impl = m.impl;
  stream->factory = factory;
  *out = stream;
  return NULL;
}

OrtStatus* ort_CreateSyncStreamForEpDevice(const OrtEpDevice* device,
                                           const OrtKeyValuePairs* options,
                                           OrtSyncStream** stream) {
  KP_ORT_NEED(stream);
  *stream = NULL;
  KP_ORT_NEED(device);
  if (device->factory && device->memory)
    KP_ORT_PASS(kp_ort_stream_create(device->factory, NULL, device->memory, options, stream));
  if (*stream) return NULL;
  return kp_ort_error(ORT_NOT_IMPLEMENTED,
                      "%s has no streams: its work is done when a call returns", device->name);
}

static OrtStatus* release(void* arg) {
  OrtSyncStreamImpl* impl = arg;
  if (HAS(impl, Release)) impl->Release(impl);
  return NULL;
}

void ort_ReleaseSyncStream(OrtSyncStream* object) {
  if (!object) return;
  ort_ReleaseStatus(kp_ort_guard(release, object->impl));
  kp_free(object);
}

// --- marks -----------------------------------------------------------------------------------------------------------------------
typedef struct marking {
  OrtSyncStreamImpl* impl;
  OrtSyncNotificationImpl* mark;
} marking;

static OrtStatus* make_mark(void* arg) {
  marking* m = arg;
  if (HAS(m->impl, Flush)) KP_ORT_PASS(m->impl->Flush(m->impl));
  if (!HAS(m->impl, CreateNotification)) return NULL;
  KP_ORT_PASS(m->impl->CreateNotification(m->impl, &m->mark));
  return HAS(m->mark, Activate) ? m->mark->Activate(m->mark) : NULL;
}

OrtStatus* kp_ort_stream_mark(const OrtSyncStream* stream, OrtSyncNotificationImpl** out) {
  marking m = {.impl = stream->impl};
  *out = NULL;
  OrtStatus* status = kp_ort_guard(make_mark, &m);
  if (status)
    kp_ort_stream_drop(m.mark);
  else
    *out = m.mark;
  return status;
}

static OrtStatus* reach(void* arg) {
  OrtSyncNotificationImpl* mark = arg;
  return HAS(mark, WaitOnHost) ? mark->WaitOnHost(mark) : NULL;
}

OrtStatus* kp_ort_stream_reach(OrtSyncNotificationImpl* mark) { return kp_ort_guard(reach, mark); }

static OrtStatus* drop(void* arg) {
  OrtSyncNotificationImpl* mark = arg;
  if (HAS(mark, Release)) mark->Release(mark);
  return NULL;
}

void kp_ort_stream_drop(OrtSyncNotificationImpl* mark) {
  if (mark) ort_ReleaseStatus(kp_ort_guard(drop, mark));
}

static OrtStatus* end_run(void* arg) {
  OrtSyncStreamImpl* impl = arg;
  return HAS(impl, OnSessionRunEnd) ? impl->OnSessionRunEnd(impl) : NULL;
}

OrtStatus* kp_ort_stream_idle(OrtSyncStream* stream) {
  __atomic_fetch_add(&stream->sync_id, 1, __ATOMIC_RELAXED);
  return kp_ort_guard(end_run, stream->impl);
}

OrtStatus* kp_ort_stream_wait(OrtSyncStream* stream) {
  OrtSyncNotificationImpl* mark;
  KP_ORT_PASS(kp_ort_stream_mark(stream, &mark));
  OrtStatus* status = kp_ort_stream_reach(mark);
  kp_ort_stream_drop(mark);
  if (!status) __atomic_fetch_add(&stream->sync_id, 1, __ATOMIC_RELAXED);
  return status;
}

// --- what a stream tells ---------------------------------------------------------------------------------------------------------
void* ort_SyncStream_GetHandle(OrtSyncStream* stream) {
  return stream && HAS(stream->impl, GetHandle) ? stream->impl->GetHandle(stream->impl) : NULL;
}

const OrtSyncStreamImpl* ort_ep_SyncStream_GetImpl(const OrtSyncStream* stream) {
  return stream ? stream->impl : NULL;
}

uint64_t ort_ep_SyncStream_GetSyncId(const OrtSyncStream* stream) {
  return stream ? __atomic_load_n(&stream->sync_id, __ATOMIC_RELAXED) : 0;
}

// Streams are waited for by the host alone, never by one another.
uint64_t ort_ep_GetSyncIdForLastWaitOnSyncStream(const OrtSyncStream* producer_stream,
                                                 const OrtSyncStream* consumer_stream) {
  (void)producer_stream;
  (void)consumer_stream;
  return 0;
}

// --- runs ------------------------------------------------------------------------------------------------------------------------
static _Thread_local OrtSyncStream* current;

OrtSyncStream* kp_ort_stream_enter(OrtSyncStream* stream) {
  OrtSyncStream* before = current;
  current = stream;
  return before;
}

OrtSyncStream* kp_ort_stream_current(const OrtEpFactory* factory) {
  return current && current->factory == factory ? current : NULL;
}

void ort_RunOptionsSetSyncStream(OrtRunOptions* options, OrtSyncStream* sync_stream) {
  if (options) options->stream = sync_stream;
}

OrtStatus* ort_KernelContext_GetSyncStream(const OrtKernelContext* context, OrtSyncStream** out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = context->stream;
  return NULL;
}

OrtStatus* ort_KernelContext_GetGPUComputeStream(const OrtKernelContext* context, void** out) {
  KP_ORT_NEED(context);
  KP_ORT_NEED(out);
  *out = ort_SyncStream_GetHandle(context->stream);
  return NULL;
}

// --- copies ----------------------------------------------------------------------------------------------------------------------
static OrtStatus* check_pair(const OrtValue* from, OrtValue* to) {
  OrtStatus* status;
  const kapell_value* source = kp_ort_value_tensor(from, &status);
  if (!source) return status;
  const kapell_value* target = kp_ort_value_tensor(to, &status);
  if (!target) return status;
  if (source->type != target->type || kp_value_count(source) != kp_value_count(target))
    return kp_ort_error(ORT_FAIL, "a tensor is copied into one of another type or size");
  return NULL;
}

static OrtStatus* copy_on_host(const kapell_value* source, kapell_value* target) {
  if (source->type != KAPELL_STRING) {
    if (source->byte_count) memmove(target->data, source->data, source->byte_count);
    return NULL;
  }
  for (size_t i = 0; i < kp_value_count(source); ++i)
    KP_ORT_TAKE(kp_value_set_string(target, i, kp_value_string(source, i)));
  return NULL;
}

typedef struct copying {
  OrtDataTransferImpl* transfer;
  const OrtValue* from;
  OrtValue* to;
  OrtSyncStream* stream;
} copying;

static OrtStatus* call_copy(void* arg) {
  copying* c = arg;
  return c->transfer->CopyTensors(c->transfer, &c->from, &c->to, c->stream ? &c->stream : NULL, 1);
}

static OrtStatus* copy_tensor(const OrtEnv* env, const OrtValue* from, OrtValue* to,
                              OrtSyncStream* stream) {
  KP_ORT_PASS(check_pair(from, to));
  if (kp_ort_info_is_host(from->info) && kp_ort_info_is_host(to->info))
    return copy_on_host(from->value, to->value);
  copying c = {.transfer = kp_ort_env_transfer(env, ort_ep_MemoryInfo_GetMemoryDevice(from->info),
                                               ort_ep_MemoryInfo_GetMemoryDevice(to->info)),
               .from = from,
               .to = to,
               .stream = stream};
  if (c.transfer) return kp_ort_guard(call_copy, &c);
  return kp_ort_error(ORT_NOT_IMPLEMENTED, "Data transfer is not registered to copy from %s to %s",
                      from->info->name, to->info->name);
}

// Between host tensors the copy is done when this returns; else when |stream| is there, or at once without one.
OrtStatus* ort_CopyTensors(const OrtEnv* env, const OrtValue* const* src_tensors,
                           OrtValue* const* dst_tensors, OrtSyncStream* stream, size_t count) {
  KP_ORT_NEED(env);
  if (count == 0 || !src_tensors || !dst_tensors)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid arguments provided to CopyTensors.");
  for (size_t i = 0; i < count; ++i)
    KP_ORT_PASS(copy_tensor(env, src_tensors[i], dst_tensors[i], stream));
  return NULL;
}
