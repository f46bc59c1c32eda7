// Threads of a session: how many, who makes them, on which processors they run.
#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pool.h"
#include "dropin/session.h"

#define AFFINITY_KEY "session.intra_op_thread_affinities"
#define MOST_PROCESSORS 1024

// --- how many --------------------------------------------------------------------------------------------------------------------
static int in_range(int wanted) { return wanted < 0 ? 0 : wanted > 256 ? 256 : wanted; }

int dropin_intra_threads(const OrtEnv* env, const OrtSessionOptions* options) {
  return in_range(options->global_threads ? env->threading.intra_op : options->intra_op);
}

// Nodes run one after another: threads that were meant to run some side by side work within them instead.
int dropin_threads(const OrtEnv* env, const OrtSessionOptions* options) {
  const int intra = dropin_intra_threads(env, options);
  const int inter = in_range(options->global_threads ? env->threading.inter_op : options->inter_op);
  if (options->mode != ORT_PARALLEL) return intra;
  return intra == 0 || inter == 0 ? 0 : intra > inter ? intra : inter;
}

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

static const char* affinities_of(const OrtEnv* env, const OrtSessionOptions* options) {
  return options->global_threads ? env->threading.affinities
                                 : kp_ort_options_config(options, AFFINITY_KEY, NULL);
}

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

// A thread of the system's own, on the processors of |user|'s next set.
static void* create_bound(void* user, void (*work)(void* arg), void* arg) {
  dropin_thread_wishes* wishes = user;
  pthread_t thread;
  pthread_attr_t attributes;
  cpu_set_t set;
  start* s = malloc(sizeof *s);
  if (!s) return NULL;
  *s = (start){work, arg};
  pthread_attr_init(&attributes);
  const bool bound = next_set(&wishes->affinities, &set) &&
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

static void join_bound(void* handle) { pthread_join((pthread_t)(uintptr_t)handle, NULL); }

// --- who makes them --------------------------------------------------------------------------------------------------------------
// A client's threads in the pool's terms: handles are pointers, and a client's functions take such.
static void* create_custom(void* user, void (*work)(void* arg), void* arg) {
  const dropin_thread_wishes* wishes = user;
  return (void*)(uintptr_t)wishes->create(wishes->thread_options, work, arg);
}

OrtStatus* dropin_enter_threads(const OrtEnv* env, const OrtSessionOptions* options,
                                dropin_thread_wishes* wishes) {
  const bool global = options->global_threads;
  *wishes = (dropin_thread_wishes){
      .create = global ? env->threading.create_thread : options->create_thread,
      .join = global ? env->threading.join_thread : options->join_thread,
      .thread_options = global ? env->threading.thread_options : options->thread_options,
      .affinities = affinities_of(env, options)};
  if (wishes->affinities)
    KP_ORT_PASS(check_affinities(wishes->affinities, dropin_intra_threads(env, options)));
  if (wishes->create && wishes->join)
    kp_pool_set_maker(&(kp_thread_maker){create_custom, (void (*)(void*))wishes->join, wishes});
  else if (wishes->affinities)
    kp_pool_set_maker(&(kp_thread_maker){create_bound, join_bound, wishes});
  return NULL;
}

void dropin_leave_threads(void) { kp_pool_set_maker(NULL); }
