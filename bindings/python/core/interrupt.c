// Ctrl-C ends the run or opening of the main thread.
//
// Python's handler of SIGINT only leaves a note, which the main thread reads between its own instructions: during a run of Kapell it
// reads none. So a handler of ours stands before Python's: it asks the run in progress to end and then calls Python's, and whoever waited
// for the run raises what Python's handler calls for. Whoever replaces the handler afterwards takes ours away, so it is looked at when a
// run begins: at a session's first, and when LOOK_NS have passed since the look before. Runs in quick succession, which are short ones, pay
// for a clock's reading and no system call.
//
// |active| is written by the main thread alone, and read in the signal handler.
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

#define LOOK_NS INT64_C(200000)

static kpy_interrupt* _Atomic active;
static kapell_cancel* main_cancel;
static struct sigaction original,
    previous;                      // the first handler that was there; the one that was there last
static _Thread_local int on_main;  // 0 not known, 1 yes, -1 no
static int64_t looked_ns;

static void call_handler(const struct sigaction* handler, int number, siginfo_t* info,
                         void* context) {
  if (handler->sa_flags & SA_SIGINFO)
    handler->sa_sigaction(number, info, context);
  else if (handler->sa_handler != SIG_DFL && handler->sa_handler != SIG_IGN)
    handler->sa_handler(number);
}

static void on_interrupt(int number, siginfo_t* info, void* context) {
  static _Thread_local int depth;  // a handler that was put before ours may call ours again
  kpy_interrupt* scope = atomic_load(&active);
  if (scope) {
    scope->caught = 1;
    if (scope->cancel) kapell_cancel_request(scope->cancel);
  }
  ++depth;
  call_handler(depth == 1 ? &previous : &original, number, info, context);
  --depth;
}

static int is_ours(const struct sigaction* handler) {
  return (handler->sa_flags & SA_SIGINFO) && handler->sa_sigaction == on_interrupt;
}

// Puts our handler before the one that is there, unless that leaves the signal to the system.
static void stand_first(void) {
  struct sigaction found;
  if (sigaction(SIGINT, NULL, &found) != 0 || is_ours(&found)) return;
  if (!(found.sa_flags & SA_SIGINFO) &&
      (found.sa_handler == SIG_DFL || found.sa_handler == SIG_IGN))
    return;
  previous = found;
  if (!original.sa_handler && !original.sa_sigaction) original = found;
  struct sigaction own = {.sa_flags = found.sa_flags | SA_SIGINFO, .sa_mask = found.sa_mask};
  own.sa_sigaction = on_interrupt;
  (void)sigaction(SIGINT, &own, NULL);  // without it a run just cannot be interrupted
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int is_main(void) {
  if (on_main == 0) on_main = gettid() == getpid() ? 1 : -1;
  return on_main > 0;
}

kapell_cancel* kpy_interrupt_enter(kpy_interrupt* scope, kapell_cancel* own, int is_first) {
  *scope = (kpy_interrupt){.cancel = own};
  if (!is_main()) return own;
  const int64_t now = now_ns();
  if (is_first || now - looked_ns > LOOK_NS) {
    stand_first();
    looked_ns = now;
  }
  if (!own) scope->cancel = main_cancel;
  scope->outer = atomic_load_explicit(&active, memory_order_relaxed);
  scope->is_active = 1;
  atomic_store(&active, scope);
  return scope->cancel;
}

void kpy_interrupt_leave(kpy_interrupt* scope) {
  if (!scope->is_active) return;
  atomic_store(&active, scope->outer);
  // The token is as it was before the signal; whoever owns it says anew whether its runs are to end.
  if (scope->caught && scope->cancel) kapell_cancel_reset(scope->cancel);
}

static void after_fork(void) { on_main = 0; }

int kpy_interrupt_init(void) {
  kapell_status* status = kapell_cancel_create(&main_cancel);
  if (status) {
    kpy_raise(status, KPY_ANY);
    return -1;
  }
  (void)pthread_atfork(NULL, NULL, after_fork);
  return 0;
}
