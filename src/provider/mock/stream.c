// A mock stream: a queue of jobs and one thread that does them in order. Neighbours: run.c enqueues and does the work.
//
// THREAD SAFETY: |lock| guards the queue, the tickets and |failure|. |stop| is read without it by the job that runs. The worker holds
// no lock while a job runs. After a failure the jobs behind it are dropped undone: their tickets count as reached, and the failure
// is what the next signal or wait returns.
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/size.h"
#include "provider/mock/mock_internal.h"

#define POLL_NS 1000000  // how late a cancel may be noticed

struct kp_stream {
  kp_mock_provider* provider;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  kp_mock_job *first, *last;
  uint64_t enqueued, done;  // tickets
  kp_status* failure;       // of the first job that failed; taken by who asks
  bool failed;              // since when nothing more is done
  atomic_bool stop;
};

static void job_free(kp_mock_job* job) {
  if (!job) return;
  kp_arena_free(&job->arena);
  kp_free(job);
}

static kp_mock_job* pop(kp_stream* stream) {
  kp_mock_job* job = stream->first;
  if (job) stream->first = job->next;
  if (!stream->first) stream->last = NULL;
  return job;
}

static void* work(void* user) {
  kp_stream* stream = user;
  pthread_mutex_lock(&stream->lock);
  while (!atomic_load(&stream->stop)) {
    kp_mock_job* job = pop(stream);
    if (!job) {
      pthread_cond_wait(&stream->changed, &stream->lock);
      continue;
    }
    const bool skip = stream->failed;
    pthread_mutex_unlock(&stream->lock);
    kp_status* status = skip ? NULL : kp_mock_job_run(job, &stream->stop);
    const uint64_t ticket = job->ticket;
    job_free(job);
    pthread_mutex_lock(&stream->lock);
    stream->done = ticket;
    if (status) {
      stream->failed = true;
      stream->failure = kp_status_join(stream->failure, status);
    }
    pthread_cond_broadcast(&stream->changed);
  }
  pthread_mutex_unlock(&stream->lock);
  return NULL;
}

kp_status* kp_mock_stream_create(kp_provider* provider, kp_stream** out_stream) {
  *out_stream = NULL;
  kp_stream* stream = kp_alloc_zero(1, sizeof *stream);
  if (!stream) return KP_ERROR(OUT_OF_MEMORY, "a stream");
  stream->provider = (kp_mock_provider*)provider;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&stream->lock, NULL);
  pthread_cond_init(&stream->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  if (pthread_create(&stream->thread, NULL, work, stream) != 0) {
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    kp_free(stream);
    return KP_ERROR(PROVIDER_FAILED, "%s: no thread for a stream",
                    ((kp_mock_provider*)provider)->name);
  }
  kp_mock_count_stream(1);
  *out_stream = stream;
  return NULL;
}

void kp_mock_stream_destroy(kp_stream* stream) {
  if (!stream) return;
  pthread_mutex_lock(&stream->lock);
  atomic_store(&stream->stop, true);
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->lock);
  pthread_join(stream->thread, NULL);
  for (kp_mock_job* job; (job = pop(stream));) job_free(job);
  kp_status_ignore(stream->failure);
  pthread_cond_destroy(&stream->changed);
  pthread_mutex_destroy(&stream->lock);
  kp_free(stream);
  kp_mock_count_stream(-1);
}

// Copies of values as they are now: addresses, types, dims; the memory is the caller's. NULL: out of memory.
static kapell_value** copy_values(kp_arena* arena, kapell_value* const* values, uint32_t count) {
  kapell_value** copies = kp_arena_new_array(arena, kapell_value*, count);
  for (uint32_t i = 0; copies && i < count; ++i) {
    if (!values[i]) continue;
    copies[i] = kp_arena_memdup(arena, values[i], sizeof *copies[i]);
    if (!copies[i]) return NULL;
    copies[i]->dims =
        kp_arena_memdup(arena, values[i]->dims, sizeof *values[i]->dims * (size_t)values[i]->rank);
    if (!copies[i]->dims) return NULL;
  }
  return copies;
}

static const kp_special* copy_special(kp_arena* arena, const kp_special* special) {
  kp_special* copy = kp_arena_memdup(arena, special, sizeof *copy);
  kp_shape_info* outputs =
      kp_arena_memdup(arena, special->outputs, sizeof *outputs * special->output_count);
  if (!copy || !outputs) return NULL;
  for (uint32_t o = 0; o < special->output_count; ++o) {
    outputs[o].data = NULL;
    outputs[o].dims =
        kp_arena_memdup(arena, special->outputs[o].dims,
                        sizeof *outputs[o].dims * (size_t)kp_max_i64(outputs[o].rank, 0));
    if (!outputs[o].dims) return NULL;
  }
  copy->outputs = outputs;
  return copy;
}

kp_status* kp_mock_stream_enqueue(kp_stream* stream, const kp_mock_job* given) {
  kp_mock_job* job = kp_alloc(sizeof *job);
  if (!job) return KP_ERROR(OUT_OF_MEMORY, "a job");
  *job = *given;
  job->next = NULL;
  job->arena = (kp_arena){0};
  job->special = copy_special(&job->arena, given->special);
  job->args.inputs =
      copy_values(&job->arena, given->args.inputs, given->compiled->part->input_count);
  job->args.outputs =
      copy_values(&job->arena, given->args.outputs, given->compiled->part->output_count);
  if (!job->special || !job->args.inputs || !job->args.outputs) {
    job_free(job);
    return KP_ERROR(OUT_OF_MEMORY, "a job");
  }
  pthread_mutex_lock(&stream->lock);
  job->ticket = ++stream->enqueued;
  if (stream->last)
    stream->last->next = job;
  else
    stream->first = job;
  stream->last = job;
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->lock);
  return NULL;
}

// The failure, once; afterwards that the stream is dead. With |lock| held.
static kp_status* take_failure(kp_stream* stream) {
  if (!stream->failed) return NULL;
  kp_status* failure = stream->failure;
  stream->failure = NULL;
  return failure
             ? failure
             : KP_ERROR(PROVIDER_FAILED, "%s: the stream failed before", stream->provider->name);
}

bool kp_mock_stream_idle(kp_stream* stream) {
  pthread_mutex_lock(&stream->lock);
  const bool idle = stream->done == stream->enqueued;
  pthread_mutex_unlock(&stream->lock);
  return idle;
}

kp_status* kp_mock_stream_signal(kp_stream* stream, uint64_t* out_ticket) {
  pthread_mutex_lock(&stream->lock);
  *out_ticket = stream->enqueued;
  kp_status* status = take_failure(stream);
  pthread_mutex_unlock(&stream->lock);
  return status;
}

static struct timespec to_timespec(uint64_t ns) {
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

kp_status* kp_mock_stream_wait(kp_stream* stream, uint64_t ticket, uint64_t deadline_ns,
                               const volatile int* cancel, bool* out_done) {
  pthread_mutex_lock(&stream->lock);
  while (stream->done < ticket && !kp_is_cancelled(cancel)) {
    const uint64_t now = kp_clock_ns();
    if (deadline_ns && now >= deadline_ns) break;
    const uint64_t poll = now + POLL_NS;
    const struct timespec until =
        to_timespec(deadline_ns && deadline_ns < poll ? deadline_ns : poll);
    pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
  }
  *out_done = stream->done >= ticket;
  kp_status* status = take_failure(stream);
  pthread_mutex_unlock(&stream->lock);
  return status;
}

kp_status* kp_mock_stream_drain(kp_stream* stream, const volatile int* cancel) {
  uint64_t ticket;
  bool done;
  KP_PASS(kp_mock_stream_signal(stream, &ticket));
  KP_PASS(kp_mock_stream_wait(stream, ticket, 0, cancel, &done));
  return done ? NULL : KP_ERROR(CANCELLED, "waiting for a stream of %s", stream->provider->name);
}
