// Streams of devices: order in which a library does work that calls only enqueue.
#ifndef KP_ORT_STREAM_H_
#define KP_ORT_STREAM_H_

#include "ort/env.h"

struct OrtSyncStream {
  OrtSyncStreamImpl* impl;  // the library's; ended with the stream
  const OrtEpFactory* factory;
  uint64_t sync_id;  // how often all work so far was waited for
};

// A stream for |info|'s device: the provider's own, where |ep| makes some, else the factory's. *out stays NULL where the factory says that it
// has none.
OrtStatus* kp_ort_stream_create(OrtEpFactory* factory, OrtEp* ep, const OrtMemoryInfo* info,
                                const OrtKeyValuePairs* options, OrtSyncStream** out);
// A mark behind all that was enqueued so far; *out is NULL where the stream makes none. For reach, then drop.
OrtStatus* kp_ort_stream_mark(const OrtSyncStream* stream, OrtSyncNotificationImpl** out);
OrtStatus* kp_ort_stream_reach(OrtSyncNotificationImpl* mark);  // waits until it is reached
void kp_ort_stream_drop(OrtSyncNotificationImpl* mark);         // NULL is fine
// Tells the library that nothing of a run is left in the stream.
OrtStatus* kp_ort_stream_idle(OrtSyncStream* stream);
// Waits until all that was enqueued is done.
OrtStatus* kp_ort_stream_wait(OrtSyncStream* stream);

// The stream that the client wants the runs of this thread to use (NULL: none); gives back the one before.
OrtSyncStream* kp_ort_stream_enter(OrtSyncStream* stream);
// That stream, if it is one of |factory|'s; else NULL.
OrtSyncStream* kp_ort_stream_current(const OrtEpFactory* factory);

#endif  // KP_ORT_STREAM_H_
