// Pools of threads for sessions that do not want those of the process.
#ifndef KP_ORT_THREADS_H_
#define KP_ORT_THREADS_H_

#include "base/pool.h"
#include "ort/object.h"

// What a client wants of the threads of a session, or of an environment.
typedef struct kp_ort_thread_wishes {
  OrtCustomCreateThreadFn create;  // NULL: the system's way
  OrtCustomJoinThreadFn join;
  void* options;           // for |create|
  const char* affinities;  // "1;2,3": processors of each thread but the caller's; NULL: any
  OrtThreadPoolCallbacksConfig watch;  // version 0: nobody watches
  int intra_op;  // threads that |affinities| are for; 0: what the machine gives
  int count;     // of the pool, the caller's included; 0 likewise
} kp_ort_thread_wishes;

// A pool with the threads that were made for it. *out NULL: |wishes| are none, the process's do.
typedef struct kp_ort_threads kp_ort_threads;
OrtStatus* kp_ort_threads_create(const kp_ort_thread_wishes* wishes, kp_ort_threads** out);
kp_ort_threads* kp_ort_threads_retain(kp_ort_threads* threads);  // NULL is fine, also below
// The last one joins the threads, once no session uses the pool any more.
void kp_ort_threads_release(kp_ort_threads* threads);
kp_pool* kp_ort_threads_pool(const kp_ort_threads* threads);

// A number of threads as clients give it: 0 for the default.
static inline int kp_ort_thread_count(int wanted) {
  return wanted < 0 ? 0 : wanted > KP_POOL_MAX_WIDTH ? KP_POOL_MAX_WIDTH : wanted;
}

#endif  // KP_ORT_THREADS_H_
