// Pools of threads that clients make, bind to processors, or watch; for one session or for an environment.
#include "ort/threads.h"

#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ort/options.h"

#define MOST_PROCESSORS 1024

struct kp_ort_threads {
  int32_t refs;  // atomic
  kp_pool* pool;
  kp_ort_thread_wishes wishes;
  char* affinities;
  const char* next;  // affinities of the thread that is made next
};

// --- on which processors: "1,2;5-8", the first thread on 1 and 2, the next on 5 to 8 ---------------------------------------------
static OrtStatus* read_processor(const char** text, long* out) {
  char* end;
  if (!isdigit((unsigned char)**text))
    return kp_ort_error(ORT_FAIL, "Processor id must consist of only digits: %s", *text);
  *out = strtol(*text, &end, 10);
  *text = end;
  if (*out <= 0) return kp_ort_error(ORT_FAIL, "Processor id must start from 1: %ld", *out);
  if (*out > MOST_PROCESSORS)
    return kp_ort_error(ORT_FAIL, "Processor id %ld is past %d", *out, MOST_PROCESSORS);
  return NULL;
}

static OrtStatus* read_interval(const char** text, cpu_set_t* out) {
  long from, to;
  KP_ORT_PASS(read_processor(text, &from));
  to = from;
  if (**text == '-') {
    ++*text;
    KP_ORT_PASS(read_processor(text, &to));
  }
  if (to < from) return kp_ort_error(ORT_FAIL, "Invalid processor interval: %ld-%ld", from, to);
  for (; from <= to; ++from) CPU_SET((size_t)from - 1, out);
  return NULL;
}

// The processors of the next thread. What is empty between commas and semicolons counts for nothing.
static OrtStatus* read_set(const char** text, cpu_set_t* out) {
  CPU_ZERO(out);
  while (**text && **text != ';') {
    KP_ORT_PASS(read_interval(text, out));
    if (**text && **text != ',' && **text != ';')
      return kp_ort_error(ORT_FAIL, "Processor id must consist of only digits: %s", *text);
    *text += strspn(*text, ",");
  }
  *text += strspn(*text, ";");
  return NULL;
}

// |threads| of the pool; 0: what the machine gives.
static OrtStatus* check_affinities(const char* text, int threads) {
  int count = 0;
  cpu_set_t set;
  if (!text[0]) return kp_ort_error(ORT_FAIL, "Affinity string must not be empty");
  text += strspn(text, ";");
  for (; *text; ++count) KP_ORT_PASS(read_set(&text, &set));
  if (threads == 0) threads = kp_pool_default_width();
  if (threads > 1 && count != threads - 1)
    return kp_ort_error(ORT_FAIL,
                        "Number of affinities does not equal to thread_pool_size minus one, "
                        "affinities: %d, thread_pool_size: %d",
                        count, threads);
  return NULL;
}

// --- who makes them --------------------------------------------------------------------------------------------------------------
typedef struct start {
  void (*work)(void* arg);
  void* arg;
} start;

static void* run_work(void* arg) {
  const start s = *(start*)arg;
  free(arg);
  s.work(s.arg);
  return NULL;
}

// The processors of the next thread, if there are any left. They were checked before.
static bool next_set(const char** text, cpu_set_t* out) {
  *text += strspn(*text, ";");
  if (!(*text)[0]) return false;
  OrtStatus* status = read_set(text, out);
  ort_ReleaseStatus(status);
  return !status;
}

// A thread of the system's own, on the processors of the next set. Made one after another.
static void* create_bound(void* user, void (*work)(void* arg), void* arg) {
  kp_ort_threads* threads = user;
  pthread_t thread;
  pthread_attr_t attributes;
  cpu_set_t set;
  start* s = malloc(sizeof *s);
  if (!s) return NULL;
  *s = (start){work, arg};
  pthread_attr_init(&attributes);
  if (!threads->next[0])
    threads->next = threads->affinities;  // the child of a fork has them made anew
  const bool bound = next_set(&threads->next, &set) &&
                     pthread_attr_setaffinity_np(&attributes, sizeof set, &set) == 0;
  int error = pthread_create(&thread, &attributes, run_work, s);
  if (error && bound) {
    KP_LOG(ERROR, "a thread cannot run on the processors that it was given (%s): it runs on any",
           strerror(error));
    error = pthread_create(&thread, NULL, run_work, s);
  }
  pthread_attr_destroy(&attributes);
  if (!error) return (void*)(uintptr_t)thread;
  free(s);
  return NULL;
}

static void join_bound(void* user, void* handle) {
  (void)user;
  pthread_join((pthread_t)(uintptr_t)handle, NULL);
}

// A client's threads in the pool's terms: handles are pointers, and a client's functions take such.
static void* create_custom(void* user, void (*work)(void* arg), void* arg) {
  const kp_ort_thread_wishes* wishes = &((const kp_ort_threads*)user)->wishes;
  return (void*)(uintptr_t)wishes->create(wishes->options, work, arg);
}

static void join_custom(void* user, void* handle) {
  ((const kp_ort_threads*)user)->wishes.join((OrtCustomThreadHandle)handle);
}

// --- who watches -----------------------------------------------------------------------------------------------------------------
static const OrtThreadPoolCallbacksConfig* watch_of(void* user) {
  return &((const kp_ort_threads*)user)->wishes.watch;
}
static void* on_enqueue(void* user) {
  const OrtThreadPoolCallbacksConfig* watch = watch_of(user);
  return watch->on_enqueue ? watch->on_enqueue(watch->user_context) : NULL;
}
static void on_start(void* user, void* token) {
  const OrtThreadPoolCallbacksConfig* watch = watch_of(user);
  if (watch->on_start_work) watch->on_start_work(watch->user_context, token);
}
static void on_stop(void* user, void* token) {
  const OrtThreadPoolCallbacksConfig* watch = watch_of(user);
  if (watch->on_stop_work) watch->on_stop_work(watch->user_context, token);
}
static void on_abandon(void* user, void* token) {
  const OrtThreadPoolCallbacksConfig* watch = watch_of(user);
  if (watch->on_abandon) watch->on_abandon(watch->user_context, token);
}

// --- the pool --------------------------------------------------------------------------------------------------------------------
static OrtStatus* check_wishes(const kp_ort_thread_wishes* wishes) {
  if (wishes->create && !wishes->join)
    return kp_ort_error(ORT_FAIL, "custom join thread function not set for intra op thread pool");
  return wishes->affinities ? check_affinities(wishes->affinities, wishes->intra_op) : NULL;
}

static OrtStatus* make_pool(kp_ort_threads* threads) {
  const kp_ort_thread_wishes* wishes = &threads->wishes;
  kp_pool_hooks hooks = {.user = threads};
  if (wishes->create) {
    hooks.create = create_custom;
    hooks.join = join_custom;
  } else if (threads->affinities) {
    hooks.create = create_bound;
    hooks.join = join_bound;
  }
  if (wishes->watch.version) {
    hooks.enqueued = on_enqueue;
    hooks.started = on_start;
    hooks.stopped = on_stop;
    hooks.abandoned = on_abandon;
  }
  kp_status* status = kp_pool_create(wishes->count, &hooks, &threads->pool);
  if (!status || kp_status_code(status) != KAPELL_LIMIT) return kp_ort_status(status);
  kp_status_free(status);
  return kp_ort_error(ORT_FAIL, "custom_create_thread_fn returned invalid handle.");
}

OrtStatus* kp_ort_threads_create(const kp_ort_thread_wishes* wishes, kp_ort_threads** out) {
  *out = NULL;
  KP_ORT_PASS(check_wishes(wishes));
  if (!wishes->create && !wishes->affinities && !wishes->watch.version) return NULL;
  kp_ort_threads* threads = kp_alloc_zero(1, sizeof *threads);
  if (!threads) return kp_ort_no_memory();
  threads->refs = 1;
  threads->wishes = *wishes;
  OrtStatus* status = kp_ort_set_text(&threads->affinities, wishes->affinities);
  threads->next = threads->affinities;
  if (!status) status = make_pool(threads);
  if (status)
    kp_ort_threads_release(threads);
  else
    *out = threads;
  return status;
}

kp_ort_threads* kp_ort_threads_retain(kp_ort_threads* threads) {
  if (threads) __atomic_add_fetch(&threads->refs, 1, __ATOMIC_RELAXED);
  return threads;
}

void kp_ort_threads_release(kp_ort_threads* threads) {
  if (!threads || __atomic_sub_fetch(&threads->refs, 1, __ATOMIC_ACQ_REL)) return;
  kp_pool_drop(threads->pool);
  kp_free(threads->affinities);
  kp_free(threads);
}

kp_pool* kp_ort_threads_pool(const kp_ort_threads* threads) {
  return threads ? threads->pool : NULL;
}
