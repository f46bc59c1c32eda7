// The thread pool. Neighbours: pool_width.c knows how many processors there are; the CPU provider's kernels run here.
//
// How a job runs. The caller keeps the job on its stack: one share of tasks per thread wanted. It offers shares 1, 2, ... to
// workers that are idle at this moment, does share 0 itself, then whatever is left of the other shares. A worker that took
// an offer does its own share first and then helps with the rest as well. Offers that no worker has taken up by then are
// withdrawn, so a worker that is busy, asleep or not scheduled never holds anybody up; the caller waits only for workers that
// are in the middle of a task.
//
// THREAD SAFETY
// - worker.offer is the meeting point, and changes by compare-and-swap alone: IDLE or ASLEEP -> a share (by a caller),
//   a share -> TAKEN (by the worker) or -> IDLE (withdrawn by the same caller), TAKEN -> IDLE (by the worker, finished),
//   IDLE -> ASLEEP (by the worker), IDLE or ASLEEP -> STOP. The address of a share is unique while its job lives, so a
//   caller cannot withdraw another's offer.
// - A worker's last touch of a job is the increment of job.finished; the caller leaves after all of them. A wake-up may be
//   sent to that address after the caller has left: it is only an address to the kernel, and all sleepers here look again.
// - |pool_lock| guards users, the list of workers while it changes, and restarting after fork. It is never taken while a job
//   runs, except for the first job after a fork.
// - Fork: the child has none of the workers. They are forgotten in the child's fork handler and made anew by its first job.
#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"

#define LINE 64
#define WORKER_SPIN_NS 40000  // after work: the next layer of a model mostly comes within this time
#define CALLER_SPIN_NS 40000  // for the others' last tasks
#define PAUSES_PER_LOOK 16    // between two looks at the clock

typedef struct job job;

typedef struct share {
  _Alignas(LINE) _Atomic size_t next;  // first task that nobody has taken
  size_t end;
  size_t chunk;  // tasks taken at once
  job* owner;
  int index;  // also the |worker| number of the thread that it was offered to
} share;

struct job {
  kp_task_fn fn;
  void* arg;
  kp_bounds bounds;  // the caller's: workers work in it too
  int share_count;
  _Alignas(LINE) _Atomic uint32_t
      finished;  // workers that are done; SLEEPING while the caller waits in the kernel
  share shares[KP_POOL_MAX_WIDTH];  // the first |share_count| are set
};

#define SLEEPING UINT32_C(0x80000000)

// Values of worker.offer that are no address of a share.
#define IDLE ((uintptr_t)0)
#define ASLEEP ((uintptr_t)1)
#define TAKEN ((uintptr_t)2)
#define STOP ((uintptr_t)3)

typedef struct worker {
  _Alignas(LINE) _Atomic uintptr_t offer;
  _Atomic uint32_t wakeups;  // counts the wake-ups sent; the word slept on
  pthread_t thread;
  void* handle;                // of a thread that somebody else made, and
  void (*join)(void* handle);  // how to wait for it; NULL for our own
} worker;

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static worker workers[KP_POOL_MAX_WIDTH - 1];
static _Atomic int worker_count;   // running workers
static _Atomic bool lost_by_fork;  // workers are wanted, but this process has lost them
static int wanted_width;           // widest acquired; under |pool_lock|, as are the next two
static int user_count;
static bool handles_fork;
static _Thread_local bool inside;  // this thread runs tasks of a job
static _Thread_local kp_thread_maker
    maker;  // of this thread's wishes; |create| is NULL where there is none

// --- waiting -------------------------------------------------------------------------------------------------------

static void futex_wait(_Atomic uint32_t* word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");  // "yield" is nothing at all on most cores
#else
  __asm__ volatile("");
#endif
}

// --- tasks ---------------------------------------------------------------------------------------------------------

static void run_share(share* s, int number) {
  const job* j = s->owner;
  for (;;) {
    // The look before the increment keeps finished shares from being written by everybody who comes by.
    size_t task = atomic_load_explicit(&s->next, memory_order_relaxed);
    if (task >= s->end) return;
    if (kp_deadline_passed()) return;
    task = atomic_fetch_add_explicit(&s->next, s->chunk, memory_order_relaxed);
    const size_t end = kp_min_size(s->end, task + s->chunk);
    for (; task < end; ++task) j->fn(j->arg, task, number);
  }
}

// The thread's own share, then the others' in turn.
static void run_shares(job* j, int number) {
  for (int i = 0; i < j->share_count; ++i) {
    const int index = number + i;
    run_share(&j->shares[index < j->share_count ? index : index - j->share_count], number);
  }
}

static void run_inline(size_t task_count, kp_task_fn fn, void* arg) {
  for (size_t task = 0; task < task_count && !kp_deadline_passed(); ++task) fn(arg, task, 0);
}

// --- workers -------------------------------------------------------------------------------------------------------

// Spins for WORKER_SPIN_NS while there is no offer. Returns what it saw last.
static uintptr_t spin_for_offer(worker* w) {
  const uint64_t until = kp_clock_ns() + WORKER_SPIN_NS;
  do {
    for (int i = 0; i < PAUSES_PER_LOOK; ++i) {
      const uintptr_t offer = atomic_load_explicit(&w->offer, memory_order_relaxed);
      if (offer != IDLE) return offer;
      pause_briefly();
    }
  } while (kp_clock_ns() < until);
  return IDLE;
}

// Waits for the next offer: a share, or STOP.
static uintptr_t await_offer(worker* w, bool spin) {
  for (;;) {
    const uint32_t seen = atomic_load(&w->wakeups);
    uintptr_t offer = spin ? spin_for_offer(w) : atomic_load(&w->offer);
    if (offer == IDLE && atomic_compare_exchange_strong(&w->offer, &offer, ASLEEP)) offer = ASLEEP;
    // A wake-up sent since |seen| was read lets the wait return at once.
    while (offer == ASLEEP) {
      futex_wait(&w->wakeups, seen);
      offer = atomic_load(&w->offer);
      if (offer == ASLEEP && atomic_load(&w->wakeups) != seen) break;
    }
    if (offer != IDLE && offer != ASLEEP) return offer;
    spin = true;  // an offer was withdrawn: the next may follow soon
  }
}

// Returns whether the next job may follow at once, and is worth spinning for.
static bool serve(worker* w, share* s) {
  job* const j = s->owner;
  const bool spin = !j->bounds.no_spin;
  (void)kp_bounds_enter(j->bounds);
  run_shares(j, s->index);
  (void)kp_bounds_enter((kp_bounds){0});
  atomic_store(&w->offer, IDLE);
  const uint32_t before = atomic_fetch_add(&j->finished, 1);
  if (before & SLEEPING) futex_wake(&j->finished);
  return spin;
}

static void serve_until_stopped(void* arg) {
  worker* const w = arg;
  inside = true;
  for (bool spin = false;;) {
    uintptr_t offer = await_offer(w, spin);
    if (offer == STOP) return;
    // An offer that is gone by now was withdrawn: the next may follow soon.
    spin = !atomic_compare_exchange_strong(&w->offer, &offer, TAKEN) || serve(w, (share*)offer);
  }
}

static void* worker_main(void* arg) {
  serve_until_stopped(arg);
  return NULL;
}

static int make_thread(worker* w) {
  w->join = NULL;
  if (!maker.create) return pthread_create(&w->thread, NULL, worker_main, w);
  w->handle = maker.create(maker.user, serve_until_stopped, w);
  w->join = maker.join;
  return w->handle ? 0 : EAGAIN;
}

void kp_pool_set_maker(const kp_thread_maker* given) {
  maker = given ? *given : (kp_thread_maker){0};
}

// Starts worker |index|, with all signals blocked: they are the program's business. Threads inherit how their maker computes, which is that
// of one session.
static bool start_worker(int index) {
  worker* const w = &workers[index];
  atomic_store(&w->offer, IDLE);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const kp_bounds bounds = kp_bounds_enter((kp_bounds){0});
  const int error = make_thread(w);
  (void)kp_bounds_enter(bounds);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) {
    KP_LOG(WARNING, "thread %d of the pool was not to be had (%s); runs use fewer", index + 1,
           strerror(error));
    return false;
  }
  if (w->join) return true;
  char name[16];
  snprintf(name, sizeof name, "kapell-%u", (index + 1) & 0xFFFFu);
  pthread_setname_np(w->thread, name);
  return true;
}

// Under |pool_lock|.
static void grow(int width) {
  int count = atomic_load(&worker_count);
  while (count < width - 1 && start_worker(count)) atomic_store(&worker_count, ++count);
}

static void stop_all(void) {
  const int count = atomic_exchange(&worker_count, 0);
  for (int i = 0; i < count; ++i) {
    worker* const w = &workers[i];
    uintptr_t offer = IDLE;
    while (!atomic_compare_exchange_strong(&w->offer, &offer, STOP)) {
      if (offer != ASLEEP) offer = IDLE;  // the end of its last job
      sched_yield();
    }
    atomic_fetch_add(&w->wakeups, 1);
    futex_wake(&w->wakeups);
  }
  for (int i = 0; i < count; ++i) {
    if (workers[i].join)
      workers[i].join(workers[i].handle);
    else
      pthread_join(workers[i].thread, NULL);
  }
}

// --- fork ----------------------------------------------------------------------------------------------------------

static void before_fork(void) { pthread_mutex_lock(&pool_lock); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&pool_lock); }
static void after_fork_in_child(void) {
  if (atomic_exchange(&worker_count, 0) > 0) atomic_store(&lost_by_fork, true);
  inside = false;
  pthread_mutex_unlock(&pool_lock);
}

static void restart_after_fork(void) {
  pthread_mutex_lock(&pool_lock);
  if (atomic_exchange(&lost_by_fork, false)) grow(wanted_width);
  pthread_mutex_unlock(&pool_lock);
}

// --- users ---------------------------------------------------------------------------------------------------------

kp_status* kp_pool_acquire(int width, int* out_width) {
  *out_width = 0;
  if (width < 0) return KP_ERROR(INVALID_ARGUMENT, "a pool of %d threads", width);
  if (width == 0) width = kp_pool_default_width();
  if (width > KP_POOL_MAX_WIDTH) width = KP_POOL_MAX_WIDTH;
  pthread_mutex_lock(&pool_lock);
  if (!handles_fork)
    handles_fork = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
  ++user_count;
  if (width > wanted_width) wanted_width = width;
  if (atomic_exchange(&lost_by_fork, false)) grow(wanted_width);
  grow(width);
  const int have = atomic_load(&worker_count) + 1;
  pthread_mutex_unlock(&pool_lock);
  *out_width = have < width ? have : width;
  return NULL;
}

void kp_pool_release(void) {
  pthread_mutex_lock(&pool_lock);
  assert(user_count > 0);
  if (--user_count == 0) {
    stop_all();
    wanted_width = 0;
    atomic_store(&lost_by_fork, false);
  }
  pthread_mutex_unlock(&pool_lock);
}

// --- parallel for --------------------------------------------------------------------------------------------------

// The workers that the shares of a job were offered to.
typedef struct offers {
  uint8_t worker[KP_POOL_MAX_WIDTH];  // [i]: index of the worker that share i+1 was offered to
  int count;
} offers;

// Offers share |s| to |w| if it is idle.
static bool offer_share(worker* w, share* s) {
  uintptr_t state = atomic_load_explicit(&w->offer, memory_order_relaxed);
  if (state != IDLE && state != ASLEEP) return false;
  if (!atomic_compare_exchange_strong(&w->offer, &state, (uintptr_t)s)) return false;
  if (state == ASLEEP) {
    atomic_fetch_add(&w->wakeups, 1);
    futex_wake(&w->wakeups);
  }
  return true;
}

static void offer_shares(job* j, offers* made) {
  const int count = atomic_load_explicit(&worker_count, memory_order_acquire);
  made->count = 0;
  for (int i = 0; i < count && made->count + 1 < j->share_count; ++i) {
    if (!offer_share(&workers[i], &j->shares[made->count + 1])) continue;
    made->worker[made->count++] = (uint8_t)i;
  }
}

// Withdraws what no worker has taken up; returns how many have.
static uint32_t withdraw(job* j, const offers* made) {
  uint32_t taken = 0;
  for (int i = 0; i < made->count; ++i) {
    uintptr_t mine = (uintptr_t)&j->shares[i + 1];
    if (!atomic_compare_exchange_strong(&workers[made->worker[i]].offer, &mine, IDLE)) ++taken;
  }
  return taken;
}

static void await_workers(job* j, uint32_t taken) {
  if (atomic_load(&j->finished) == taken) return;
  const uint64_t until = j->bounds.no_spin ? 0 : kp_clock_ns() + CALLER_SPIN_NS;
  do {
    for (int i = 0; i < PAUSES_PER_LOOK; ++i) {
      if (atomic_load(&j->finished) == taken) return;
      pause_briefly();
    }
  } while (kp_clock_ns() < until);
  uint32_t seen = atomic_fetch_or(&j->finished, SLEEPING) | SLEEPING;
  while ((seen & ~SLEEPING) != taken) {
    futex_wait(&j->finished, seen);
    seen = atomic_load(&j->finished);
  }
}

static void run_job(job* j) {
  offers made;
  j->bounds = kp_bounds_current();
  inside = true;
  offer_shares(j, &made);
  run_shares(j, 0);
  await_workers(j, withdraw(j, &made));
  inside = false;
}

// Number of threads a job may use; 1 means inline.
static int usable_width(int width, size_t task_count) {
  if (width <= 1 || task_count <= 1 || inside) return 1;
  if (atomic_load_explicit(&lost_by_fork, memory_order_relaxed)) restart_after_fork();
  if (atomic_load_explicit(&worker_count, memory_order_relaxed) == 0) return 1;
  const int limit = width < KP_POOL_MAX_WIDTH ? width : KP_POOL_MAX_WIDTH;
  return (size_t)limit < task_count ? limit : (int)task_count;
}

static void start_job(job* j, int share_count, kp_task_fn fn, void* arg) {
  j->fn = fn;
  j->arg = arg;
  j->share_count = share_count;
  atomic_init(&j->finished, 0);
}

static void set_share(job* j, int index, size_t start, size_t end, size_t chunk) {
  share* s = &j->shares[index];
  s->chunk = chunk;
  atomic_init(&s->next, start);
  s->end = end;
  s->owner = j;
  s->index = index;
}

void kp_parallel_for(int width, size_t task_count, kp_task_fn fn, void* arg) {
  const int count = usable_width(width, task_count);
  if (count == 1) {
    run_inline(task_count, fn, arg);
    return;
  }
  job j;
  start_job(&j, count, fn, arg);
  const size_t each = task_count / (size_t)count, rest = task_count % (size_t)count;
  size_t start = 0;
  for (int i = 0; i < count; ++i) {
    const size_t length = each + ((size_t)i < rest);
    // Pieces of a share: small enough that others can help with it, large enough for the counter not to matter.
    set_share(&j, i, start, start + length, 1 + length / 16);
    start += length;
  }
  run_job(&j);
}

void kp_parallel_for_dynamic(int width, size_t task_count, kp_task_fn fn, void* arg) {
  const int count = usable_width(width, task_count);
  if (count == 1) {
    run_inline(task_count, fn, arg);
    return;
  }
  job j;
  start_job(&j, count, fn, arg);
  // Share 0 has all tasks; the others only carry their threads' numbers.
  for (int i = 0; i < count; ++i) set_share(&j, i, 0, i == 0 ? task_count : 0, 1);
  run_job(&j);
}
