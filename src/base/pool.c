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
// - |pool_lock| guards users, the list of pools, the process's workers while their number changes, and restarting after fork. It is
//   never taken while a job runs, except for the first job after a fork. A program's pool starts its workers before anybody else
//   knows it and stops them when nobody does any more, without the lock: a program's functions may be called for it.
// - Fork: the child has none of the workers. They are forgotten in the child's fork handler and made anew by the first job of each pool.
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

#include "base/alloc.h"
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
  int index;    // also the |worker| number of the thread that it was offered to
  void* token;  // what the program said of the offer
} share;

struct job {
  kp_pool* pool;
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
  void* handle;  // of a thread that the program made
} worker;

struct kapell_pool {
  worker workers[KP_POOL_MAX_WIDTH - 1];
  _Atomic int worker_count;   // running workers
  _Atomic bool lost_by_fork;  // workers are wanted, but this process has lost them
  int wanted_width;           // widest acquired; under |pool_lock|, as are the next two
  int user_count;             // those who acquired it, or references
  kp_pool* next;              // of the program's pools
  kp_pool_hooks hooks;        // of a program's pool
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static kp_pool process_pool;
static kp_pool* own_pools;  // the program's; under |pool_lock|, as is the next
static bool handles_fork;
static _Thread_local bool inside;  // this thread runs tasks of a job

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
  const kp_pool_hooks* h = &j->pool->hooks;
  (void)kp_bounds_enter(j->bounds);
  if (h->started) h->started(h->user, s->token);
  run_shares(j, s->index);
  if (h->stopped) h->stopped(h->user, s->token);
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

static int make_thread(const kp_pool* pool, worker* w) {
  const kp_pool_hooks* h = &pool->hooks;
  if (!h->create) return pthread_create(&w->thread, NULL, worker_main, w);
  w->handle = h->create(h->user, serve_until_stopped, w);
  return w->handle ? 0 : EAGAIN;
}

// Starts worker |index|, with all signals blocked: they are the program's business. Threads inherit how their maker computes, which is that
// of one session.
static bool start_worker(kp_pool* pool, int index) {
  worker* const w = &pool->workers[index];
  atomic_store(&w->offer, IDLE);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const kp_bounds bounds = kp_bounds_enter((kp_bounds){0});
  const int error = make_thread(pool, w);
  (void)kp_bounds_enter(bounds);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) {
    KP_LOG(WARNING, "thread %d of the pool was not to be had (%s); runs use fewer", index + 1,
           strerror(error));
    return false;
  }
  if (pool->hooks.create) return true;
  char name[16];
  snprintf(name, sizeof name, "kapell-%u", (index + 1) & 0xFFFFu);
  pthread_setname_np(w->thread, name);
  return true;
}

// Under |pool_lock|, or where nobody else knows |pool|.
static void grow(kp_pool* pool, int width) {
  int count = atomic_load(&pool->worker_count);
  while (count < width - 1 && start_worker(pool, count)) atomic_store(&pool->worker_count, ++count);
}

static void stop_all(kp_pool* pool) {
  const int count = atomic_exchange(&pool->worker_count, 0);
  for (int i = 0; i < count; ++i) {
    worker* const w = &pool->workers[i];
    uintptr_t offer = IDLE;
    while (!atomic_compare_exchange_strong(&w->offer, &offer, STOP)) {
      if (offer != ASLEEP) offer = IDLE;  // the end of its last job
      sched_yield();
    }
    atomic_fetch_add(&w->wakeups, 1);
    futex_wake(&w->wakeups);
  }
  const kp_pool_hooks* h = &pool->hooks;
  for (int i = 0; i < count; ++i) {
    if (h->create)
      h->join(h->user, pool->workers[i].handle);
    else
      pthread_join(pool->workers[i].thread, NULL);
  }
}

// --- fork ----------------------------------------------------------------------------------------------------------

static void before_fork(void) { pthread_mutex_lock(&pool_lock); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&pool_lock); }

static void forget_workers(kp_pool* pool) {
  if (atomic_exchange(&pool->worker_count, 0) > 0) atomic_store(&pool->lost_by_fork, true);
}

static void after_fork_in_child(void) {
  forget_workers(&process_pool);
  for (kp_pool* pool = own_pools; pool; pool = pool->next) forget_workers(pool);
  inside = false;
  pthread_mutex_unlock(&pool_lock);
}

// Under |pool_lock|.
static void handle_fork(void) {
  if (!handles_fork)
    handles_fork = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

static void restart_after_fork(kp_pool* pool) {
  pthread_mutex_lock(&pool_lock);
  if (atomic_exchange(&pool->lost_by_fork, false)) grow(pool, pool->wanted_width);
  pthread_mutex_unlock(&pool_lock);
}

// --- users ---------------------------------------------------------------------------------------------------------

// The number of threads that |width| means. Errors: INVALID_ARGUMENT.
static kp_status* read_width(int width, int* out_width) {
  *out_width = 0;
  if (width < 0) return KP_ERROR(INVALID_ARGUMENT, "a pool of %d threads", width);
  if (width == 0) width = kp_pool_default_width();
  *out_width = width > KP_POOL_MAX_WIDTH ? KP_POOL_MAX_WIDTH : width;
  return NULL;
}

kp_status* kp_pool_acquire(int width, int* out_width) {
  kp_pool* pool = &process_pool;
  *out_width = 0;
  KP_PASS(read_width(width, &width));
  pthread_mutex_lock(&pool_lock);
  handle_fork();
  ++pool->user_count;
  if (width > pool->wanted_width) pool->wanted_width = width;
  if (atomic_exchange(&pool->lost_by_fork, false)) grow(pool, pool->wanted_width);
  grow(pool, width);
  const int have = atomic_load(&pool->worker_count) + 1;
  pthread_mutex_unlock(&pool_lock);
  *out_width = have < width ? have : width;
  return NULL;
}

void kp_pool_release(void) {
  kp_pool* pool = &process_pool;
  pthread_mutex_lock(&pool_lock);
  assert(pool->user_count > 0);
  if (--pool->user_count == 0) {
    stop_all(pool);
    pool->wanted_width = 0;
    atomic_store(&pool->lost_by_fork, false);
  }
  pthread_mutex_unlock(&pool_lock);
}

// --- the program's own ---------------------------------------------------------------------------------------------

kp_status* kp_pool_create(int width, const kp_pool_hooks* hooks, kp_pool** out_pool) {
  *out_pool = NULL;
  KP_PASS(read_width(width, &width));
  if (!hooks->create != !hooks->join)
    return KP_ERROR(INVALID_ARGUMENT,
                    "threads are made by one function and joined by another: %s is missing",
                    hooks->create ? "join" : "create");
  kp_pool* pool = kp_alloc_aligned(sizeof *pool, LINE);
  if (!pool) return KP_ERROR(OUT_OF_MEMORY, "a pool of %d threads", width);
  memset(pool, 0, sizeof *pool);
  pool->hooks = *hooks;
  pool->user_count = 1;
  grow(pool, width);
  pool->wanted_width = atomic_load(&pool->worker_count) + 1;
  if (hooks->create && pool->wanted_width < width) {
    kp_status* status = KP_ERROR(LIMIT, "thread %d of %d: the function that makes them gave none",
                                 pool->wanted_width, width - 1);
    stop_all(pool);
    kp_free(pool);
    return status;
  }
  pthread_mutex_lock(&pool_lock);
  handle_fork();
  pool->next = own_pools;
  own_pools = pool;
  pthread_mutex_unlock(&pool_lock);
  *out_pool = pool;
  return NULL;
}

kp_pool* kp_pool_retain(kp_pool* pool) {
  if (!pool) return NULL;
  pthread_mutex_lock(&pool_lock);
  ++pool->user_count;
  pthread_mutex_unlock(&pool_lock);
  return pool;
}

void kp_pool_drop(kp_pool* pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool_lock);
  const bool last = --pool->user_count == 0;
  kp_pool** at = &own_pools;
  while (last && *at != pool) at = &(*at)->next;
  if (last) *at = pool->next;
  pthread_mutex_unlock(&pool_lock);
  if (!last) return;
  stop_all(pool);
  kp_free(pool);
}

int kp_pool_width(const kp_pool* pool) { return pool->wanted_width; }

// --- parallel for --------------------------------------------------------------------------------------------------

// The workers that the shares of a job were offered to.
typedef struct offers {
  uint8_t worker[KP_POOL_MAX_WIDTH];  // [i]: index of the worker that share i+1 was offered to
  int count;
} offers;

static void abandon(const kp_pool* pool, void* token) {
  if (pool->hooks.abandoned) pool->hooks.abandoned(pool->hooks.user, token);
}

// Offers share |s| to |w| if it is idle.
static bool offer_share(const kp_pool* pool, worker* w, share* s) {
  const kp_pool_hooks* h = &pool->hooks;
  uintptr_t state = atomic_load_explicit(&w->offer, memory_order_relaxed);
  if (state != IDLE && state != ASLEEP) return false;
  s->token = h->enqueued ? h->enqueued(h->user) : NULL;
  if (!atomic_compare_exchange_strong(&w->offer, &state, (uintptr_t)s)) {
    abandon(pool, s->token);
    return false;
  }
  if (state == ASLEEP) {
    atomic_fetch_add(&w->wakeups, 1);
    futex_wake(&w->wakeups);
  }
  return true;
}

static void offer_shares(job* j, offers* made) {
  kp_pool* pool = j->pool;
  const int count = atomic_load_explicit(&pool->worker_count, memory_order_acquire);
  made->count = 0;
  for (int i = 0; i < count && made->count + 1 < j->share_count; ++i) {
    if (!offer_share(pool, &pool->workers[i], &j->shares[made->count + 1])) continue;
    made->worker[made->count++] = (uint8_t)i;
  }
}

// Withdraws what no worker has taken up; returns how many have.
static uint32_t withdraw(job* j, const offers* made) {
  uint32_t taken = 0;
  for (int i = 0; i < made->count; ++i) {
    uintptr_t mine = (uintptr_t)&j->shares[i + 1];
    worker* w = &j->pool->workers[made->worker[i]];
    if (atomic_compare_exchange_strong(&w->offer, &mine, IDLE))
      abandon(j->pool, j->shares[i + 1].token);
    else
      ++taken;
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

// Number of threads a job may use, and the pool that has them; 1 means inline.
static int usable_width(int width, size_t task_count, kp_pool** out_pool) {
  if (width <= 1 || task_count <= 1 || inside) return 1;
  kp_pool* pool = kp_bounds_current().pool;
  if (!pool) pool = &process_pool;
  if (atomic_load_explicit(&pool->lost_by_fork, memory_order_relaxed)) restart_after_fork(pool);
  if (atomic_load_explicit(&pool->worker_count, memory_order_relaxed) == 0) return 1;
  *out_pool = pool;
  const int limit = width < KP_POOL_MAX_WIDTH ? width : KP_POOL_MAX_WIDTH;
  return (size_t)limit < task_count ? limit : (int)task_count;
}

static void start_job(job* j, kp_pool* pool, int share_count, kp_task_fn fn, void* arg) {
  j->pool = pool;
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
  kp_pool* pool = NULL;
  const int count = usable_width(width, task_count, &pool);
  if (count == 1) {
    run_inline(task_count, fn, arg);
    return;
  }
  job j;
  start_job(&j, pool, count, fn, arg);
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
  kp_pool* pool = NULL;
  const int count = usable_width(width, task_count, &pool);
  if (count == 1) {
    run_inline(task_count, fn, arg);
    return;
  }
  job j;
  start_job(&j, pool, count, fn, arg);
  // Share 0 has all tasks; the others only carry their threads' numbers.
  for (int i = 0; i < count; ++i) set_share(&j, i, 0, i == 0 ? task_count : 0, 1);
  run_job(&j);
}
