// The thread pool: one for the process, shared by all sessions, and those that a program makes for some of its own. The calling thread
// takes part in its own work.
//
// Model: kp_parallel_for cuts [0, task_count) among at most |width| threads, the caller among them, and returns when
// all are done. Workers are persistent, spin shortly after work (unless the caller's bounds say not to), then sleep. Nested calls from inside a task that runs among
// several threads run inline on the calling worker. Several callers at once share the workers: a caller never waits for
// workers that are busy elsewhere or asleep, it does the work itself. After fork the child gets a fresh pool at first use
// (not a child forked from inside a task, which may only exec).
// Threads: any; between kp_pool_acquire and kp_pool_release, or where the thread's bounds (budget.h) name a pool of their own (without
// either everything runs inline). Tasks must not block on one another.
#ifndef KP_BASE_POOL_H_
#define KP_BASE_POOL_H_

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define KP_POOL_MAX_WIDTH 256

// |task| in [0, task_count); |worker| in [0, width): no two tasks run at once with the same |worker| within one call, so
// it indexes per-thread scratch; the caller is worker 0.
typedef void (*kp_task_fn)(void* arg, size_t task, int worker);

// Default width: the processors this process may use (affinity, cpuset), cut to the cgroup's CPU quota (v1 and v2,
// rounded up), at least 1.
int kp_pool_default_width(void);
// The same for |processors| of affinity and the control files below |root| ("" = the system's own); for tests.
int kp_pool_width_under(const char* root, int processors);

// Makes sure that |width|-1 workers exist (0 = default); *out_width is the width to be had, less when the system gives no more
// threads (with a warning in the log). The pool counts its users: the last kp_pool_release ends the workers, once no
// parallel_for runs any more. Errors: INVALID_ARGUMENT for a negative width.
KP_MUST_USE kp_status* kp_pool_acquire(int width, int* out_width);
void kp_pool_release(void);

// What a program does in a pool's place; every member may be NULL, |create| and |join| together.
typedef struct kp_pool_hooks {
  // Starts a thread that calls work(arg), and gives a handle of it, NULL if it cannot; waits for the end of such a thread.
  void* (*create)(void* user, void (*work)(void* arg), void* arg);
  void (*join)(void* user, void* handle);
  // Work is offered to a thread: on the thread that offers. What it gives goes to the others: before and after the work, on the thread
  // that does it, or where the offer is withdrawn, on the thread that made it.
  void* (*enqueued)(void* user);
  void (*started)(void* user, void* token);
  void (*stopped)(void* user, void* token);
  void (*abandoned)(void* user, void* token);
  void* user;
} kp_pool_hooks;

// A pool of its own, with |width|-1 workers (0 = default) that are there at once and end with the last reference. Errors:
// INVALID_ARGUMENT, OUT_OF_MEMORY, LIMIT where hooks->create made no thread.
typedef struct kapell_pool kp_pool;
KP_MUST_USE kp_status* kp_pool_create(int width, const kp_pool_hooks* hooks, kp_pool** out_pool);
kp_pool* kp_pool_retain(kp_pool* pool);  // NULL is fine, also below
void kp_pool_drop(kp_pool* pool);        // not from one of its threads
int kp_pool_width(const kp_pool* pool);  // threads to be had, the caller's included

// Static: task i of n belongs to a fixed share, each share to one thread (best locality); a thread that is done helps with
// what is left of the others. Dynamic: threads take tasks one by one in order (uneven tasks). Tasks run in the caller's bounds
// (budget.h); those not yet begun when its deadline passes are left out.
// width 1, task_count 1, or a nested call: runs inline. Never allocates and never fails. Takes some 16 KB of stack.
void kp_parallel_for(int width, size_t task_count, kp_task_fn fn, void* arg);
void kp_parallel_for_dynamic(int width, size_t task_count, kp_task_fn fn, void* arg);

#endif  // KP_BASE_POOL_H_
