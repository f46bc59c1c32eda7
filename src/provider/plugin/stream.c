// Streams of libraries whose devices have them: a run's work is enqueued, and its marks are what exec waits for.
#include "ort/stream.h"

#include "base/alloc.h"
#include "provider/plugin/internal.h"

typedef struct mark {
  uint64_t ticket;
  OrtSyncNotificationImpl* notification;  // NULL: the stream makes none
} mark;

struct kp_stream {
  const kp_plugin_provider* provider;
  OrtSyncStream* stream;
  mark* marks;  // not reached yet, the oldest first
  size_t count, capacity;
  uint64_t tickets;  // given so far
};

static kp_status* create(const kp_plugin_provider* provider, OrtSyncStream** out) {
  return kp_plugin_failure(
      provider->type, "making a stream",
      kp_ort_stream_create(provider->type->factory, provider->ep,
                           kp_plugin_memory_info(provider->base.memory), NULL, out));
}

kp_status* kp_plugin_stream_probe(kp_plugin_provider* provider) {
  OrtSyncStream* stream = NULL;
  if (!provider->memory || provider->registry) return NULL;
  KP_PASS(create(provider, &stream));
  if (stream) provider->base.flags |= KP_PROVIDER_STREAMS;
  ort_ReleaseSyncStream(stream);
  return NULL;
}

kp_status* kp_plugin_stream_create(kp_provider* base, kp_stream** out_stream) {
  kp_stream* made = kp_alloc_zero(1, sizeof *made);
  *out_stream = NULL;
  if (!made) return KP_ERROR(OUT_OF_MEMORY, "a stream");
  made->provider = (const kp_plugin_provider*)base;
  kp_status* status = create(made->provider, &made->stream);
  if (!status && !made->stream)
    status = KP_ERROR(PROVIDER_FAILED, "%s makes no more streams", base->type->short_name);
  if (status) {
    kp_free(made);
    return status;
  }
  *out_stream = made;
  return NULL;
}

// Work that has begun ends before its memory goes.
void kp_plugin_stream_destroy(kp_stream* stream) {
  ort_ReleaseStatus(kp_ort_stream_wait(stream->stream));
  for (size_t i = 0; i < stream->count; ++i) kp_ort_stream_drop(stream->marks[i].notification);
  ort_ReleaseSyncStream(stream->stream);
  kp_free(stream->marks);
  kp_free(stream);
}

kp_status* kp_plugin_stream_signal(kp_stream* stream, uint64_t* out_ticket) {
  if (stream->count == stream->capacity) {
    const size_t capacity = stream->capacity ? 2 * stream->capacity : 8;
    mark* marks = kp_realloc_array(stream->marks, capacity, sizeof *marks);
    if (!marks) return KP_ERROR(OUT_OF_MEMORY, "marks of a stream");
    stream->marks = marks;
    stream->capacity = capacity;
  }
  mark* made = &stream->marks[stream->count];
  KP_PASS(kp_plugin_failure(stream->provider->type, "marking a stream",
                            kp_ort_stream_mark(stream->stream, &made->notification)));
  made->ticket = *out_ticket = ++stream->tickets;
  ++stream->count;
  return NULL;
}

// The library blocks until its work is done: neither a deadline nor a cancelled run ends that.
kp_status* kp_plugin_stream_wait(kp_stream* stream, uint64_t ticket, uint64_t deadline_ns,
                                 const volatile int* cancel, bool* out_done) {
  size_t reached = 0;
  OrtStatus* status = NULL;
  (void)deadline_ns;
  (void)cancel;
  *out_done = true;
  while (reached < stream->count && stream->marks[reached].ticket <= ticket) ++reached;
  if (reached == 0) return NULL;
  if (stream->marks[reached - 1].notification)
    status = kp_ort_stream_reach(stream->marks[reached - 1].notification);
  for (size_t i = 0; i < reached; ++i) kp_ort_stream_drop(stream->marks[i].notification);
  stream->count -= reached;
  memmove(stream->marks, stream->marks + reached, stream->count * sizeof *stream->marks);
  if (!status && ticket == stream->tickets) status = kp_ort_stream_idle(stream->stream);
  return kp_plugin_failure(stream->provider->type, "waiting for its work", status);
}

OrtSyncStream* kp_plugin_stream_of(const kp_plugin_call* call) {
  OrtSyncStream* wanted = kp_ort_stream_current(call->compiled->provider->type->factory);
  if (wanted) return wanted;
  return call->args->stream ? call->args->stream->stream : NULL;
}

kp_status* kp_plugin_stream_settle(const kp_plugin_call* call) {
  const kp_plugin_type* type = call->compiled->provider->type;
  OrtSyncStream* wanted = kp_ort_stream_current(type->factory);
  return wanted ? kp_plugin_failure(type, "waiting for its work", kp_ort_stream_wait(wanted))
                : NULL;
}
