// Tests of base/pool.h: every task once, worker numbers never shared, nested and concurrent jobs, busy workers hold nobody up,
// threads end, fork, and the width that control groups allow.
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "support/slowed.h"

#define TASKS 3000

typedef struct record {
  _Atomic int runs[TASKS];
  _Atomic int busy[KP_POOL_MAX_WIDTH];  // tasks running under this worker number
  _Atomic int clashes;
  int width;
  int work;  // loops per task
} record;

static void note_task(void* arg, size_t task, int worker) {
  record* const r = arg;
  if (worker < 0 || worker >= r->width || atomic_fetch_add(&r->busy[worker], 1) != 0) ++r->clashes;
  for (volatile int i = 0; i < r->work; ++i) {
  }
  atomic_fetch_add(&r->runs[task], 1);
  atomic_fetch_sub(&r->busy[worker], 1);
}

static void check_run(record* r, bool dynamic, int width, size_t count, int work) {
  memset(r, 0, sizeof *r);
  r->width = width;
  r->work = work;
  (dynamic ? kp_parallel_for_dynamic : kp_parallel_for)(width, count, note_task, r);
  for (size_t i = 0; i < TASKS; ++i) assert_int_equal(r->runs[i], i < count);
  assert_int_equal(r->clashes, 0);
}

static int acquire(int width) {
  int have = 0;
  assert_null(kp_pool_acquire(width, &have));
  return have;
}

static void test_each_task_once(void** state) {
  (void)state;
  record* r = malloc(sizeof *r);
  assert_int_equal(acquire(8), 8);
  const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 100, TASKS};
  for (int round = 0; round < 20; ++round)
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; ++c)
      for (int width = 1; width <= 12; width += width < 4 ? 1 : 4) {
        check_run(r, false, width, counts[c], round * 10);
        check_run(r, true, width, counts[c], round * 10);
      }
  kp_pool_release();
  free(r);
}

static void test_without_pool_runs_inline(void** state) {
  (void)state;
  record* r = malloc(sizeof *r);
  check_run(r, false, 4, 100, 0);
  check_run(r, true, 300, 100, 0);
  free(r);
}

static void count_inner(void* arg, size_t task, int worker) {
  (void)task;
  assert_int_equal(worker, 0);
  atomic_fetch_add((_Atomic int*)arg, 1);
}

static void run_nested(void* arg, size_t task, int worker) {
  (void)task, (void)worker;
  kp_parallel_for(4, 10, count_inner, arg);
  kp_parallel_for_dynamic(4, 10, count_inner, arg);
}

static void test_nested_runs_inline(void** state) {
  (void)state;
  _Atomic int count = 0;
  acquire(4);
  kp_parallel_for(4, 50, run_nested, &count);
  assert_int_equal(count, 1000);
  kp_pool_release();
}

static void* call_many(void* arg) {
  record* const r = malloc(sizeof *r);
  const int seed = *(const int*)arg;
  for (int i = 0; i < 200; ++i)
    check_run(r, i & 1, 2 + (seed + i) % 5, (size_t)(1 + (seed * 37 + i * 11) % 300), 50);
  free(r);
  return NULL;
}

static void test_concurrent_callers(void** state) {
  (void)state;
  enum { CALLERS = 8 };
  pthread_t threads[CALLERS];
  int seeds[CALLERS];
  acquire(4);
  for (int i = 0; i < CALLERS; ++i) {
    seeds[i] = i;
    assert_int_equal(pthread_create(&threads[i], NULL, call_many, &seeds[i]), 0);
  }
  for (int i = 0; i < CALLERS; ++i) pthread_join(threads[i], NULL);
  kp_pool_release();
}

typedef struct gate {
  _Atomic int waiting;
  _Atomic bool open;
} gate;

static void wait_at_gate(void* arg, size_t task, int worker) {
  gate* const g = arg;
  (void)task, (void)worker;
  atomic_fetch_add(&g->waiting, 1);
  while (!g->open) usleep(100);
}

static void* hold_workers(void* arg) {
  kp_parallel_for(3, 3, wait_at_gate, arg);
  return NULL;
}

static void test_busy_workers_hold_nobody_up(void** state) {
  (void)state;
  gate g = {0};
  pthread_t thread;
  acquire(3);
  assert_int_equal(pthread_create(&thread, NULL, hold_workers, &g), 0);
  while (g.waiting < 3) usleep(100);  // the caller and both workers are inside
  record* r = malloc(sizeof *r);
  check_run(r, false, 3, 100, 0);  // would never return if it waited for them
  check_run(r, true, 3, 100, 0);
  g.open = true;
  pthread_join(thread, NULL);
  check_run(r, false, 3, 100, 0);
  kp_pool_release();
  free(r);
}

static int count_threads(void) {
  DIR* folder = opendir("/proc/self/task");
  int count = 0;
  for (struct dirent* entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

static void test_workers_end_with_the_last_user(void** state) {
  (void)state;
  const int before = count_threads();
  record* r = malloc(sizeof *r);
  for (int i = 0; i < 20; ++i) {
    acquire(3);
    acquire(5);
    assert_int_equal(count_threads(), before + 4);
    check_run(r, i & 1, 5, 50, 0);
    kp_pool_release();
    check_run(r, i & 1, 5, 50, 0);
    assert_int_equal(count_threads(), before + 4);
    kp_pool_release();
    // A joined thread may be listed for a moment more.
    for (int wait = 0; wait < 1000 && count_threads() != before; ++wait) usleep(1000);
    assert_int_equal(count_threads(), before);
  }
  free(r);
}

static void test_acquire_arguments(void** state) {
  (void)state;
  int have = 7;
  kp_status* status = kp_pool_acquire(-1, &have);
  assert_int_equal(kp_status_code(status), KAPELL_INVALID_ARGUMENT);
  assert_int_equal(have, 0);
  kp_status_free(status);
  assert_null(kp_pool_acquire(0, &have));
  assert_int_equal(have, kp_pool_default_width());
  kp_pool_release();
}

static void test_no_allocation(void** state) {
  (void)state;
  record* r = malloc(sizeof *r);
  acquire(3);
  const uint64_t before = kp_alloc_total();
  for (int i = 0; i < 50; ++i) check_run(r, i & 1, 3, 200, 0);
  assert_int_equal(kp_alloc_total(), before);
  kp_pool_release();
  free(r);
}

static int child_runs(void) {
  record* r = calloc(1, sizeof *r);
  r->width = 4;
  kp_parallel_for(4, TASKS, note_task, r);
  for (int i = 0; i < TASKS; ++i)
    if (r->runs[i] != 1) return 1;
  free(r);
  if (!KP_EMULATED && count_threads() != 4) return 2;  // an emulator has threads of its own
  kp_pool_release();
  int have = 0;
  kp_status* status = kp_pool_acquire(2, &have);
  if (status || have != 2) return 3;
  kp_parallel_for(2, 0, note_task, NULL);
  kp_pool_release();
  return 0;
}

static void test_fork(void** state) {
  (void)state;
  if (KP_TSAN) {
    print_message(
        "skipped: ThreadSanitizer refuses threads in the child of a program with threads\n");
    skip();
  }
  record* r = malloc(sizeof *r);
  acquire(4);
  check_run(r, false, 4, 100, 0);
  const pid_t child = fork();
  if (child == 0) {
    // The grandchild is forked before the child used its pool.
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(child_runs());
    int result = 0;
    waitpid(grandchild, &result, 0);
    _exit(WIFEXITED(result) && WEXITSTATUS(result) == 0 ? child_runs() : 10 + WEXITSTATUS(result));
  }
  int result = 0;
  waitpid(child, &result, 0);
  assert_true(WIFEXITED(result));
  assert_int_equal(WEXITSTATUS(result), 0);
  check_run(r, false, 4, 100, 0);
  kp_pool_release();
  free(r);
}

// --- pools of a program's own ----------------------------------------------------------------------------------------

typedef struct maker {
  _Atomic int made, joined, enqueued, started, stopped, abandoned;
  int most;  // threads that it gives
} maker;

typedef struct made_thread {
  pthread_t thread;
  void (*work)(void* arg);
  void* arg;
} made_thread;

static _Thread_local const maker* my_maker;
static _Thread_local const made_thread* my_thread;

static void* made_main(void* arg) {
  my_thread = arg;
  my_thread->work(my_thread->arg);
  return NULL;
}

static void* make_one(void* user, void (*work)(void* arg), void* arg) {
  maker* m = user;
  if (atomic_load(&m->made) == m->most) return NULL;
  made_thread* t = malloc(sizeof *t);
  *t = (made_thread){.work = work, .arg = arg};
  atomic_fetch_add(&m->made, 1);
  assert_int_equal(pthread_create(&t->thread, NULL, made_main, t), 0);
  return t;
}

static void join_one(void* user, void* handle) {
  maker* m = user;
  made_thread* t = handle;
  pthread_join(t->thread, NULL);
  free(t);
  atomic_fetch_add(&m->joined, 1);
}

static void* note_enqueued(void* user) {
  atomic_fetch_add(&((maker*)user)->enqueued, 1);
  return user;
}
static void note_started(void* user, void* token) {
  assert_ptr_equal(token, user);
  my_maker = user;
  atomic_fetch_add(&((maker*)user)->started, 1);
}
static void note_stopped(void* user, void* token) {
  assert_ptr_equal(token, user);
  atomic_fetch_add(&((maker*)user)->stopped, 1);
}
static void note_abandoned(void* user, void* token) {
  assert_ptr_equal(token, user);
  atomic_fetch_add(&((maker*)user)->abandoned, 1);
}

static kp_pool_hooks hooks_of(maker* m) {
  return (kp_pool_hooks){.create = make_one,
                         .join = join_one,
                         .enqueued = note_enqueued,
                         .started = note_started,
                         .stopped = note_stopped,
                         .abandoned = note_abandoned,
                         .user = m};
}

// Tasks run on the caller, or on threads that |arg| made.
static void check_thread(void* arg, size_t task, int worker) {
  (void)task;
  if (worker) assert_true(my_thread && my_maker == arg);
}

static void use_pool(kp_pool* pool, maker* m, int rounds) {
  record* r = malloc(sizeof *r);
  const kp_bounds before = kp_bounds_enter((kp_bounds){.pool = pool});
  for (int i = 0; i < rounds; ++i) {
    check_run(r, i & 1, 3, 100, 100);
    kp_parallel_for(3, 50, check_thread, m);
  }
  (void)kp_bounds_enter(before);
  free(r);
}

static void test_own_pool(void** state) {
  (void)state;
  maker m = {.most = 2}, other = {.most = 2};
  const kp_pool_hooks hooks = hooks_of(&m), other_hooks = hooks_of(&other);
  kp_pool *pool, *second;
  acquire(4);  // the process's goes on beside it
  assert_null(kp_pool_create(3, &hooks, &pool));
  assert_null(kp_pool_create(3, &other_hooks, &second));
  assert_int_equal(m.made, 2);
  assert_int_equal(kp_pool_width(pool), 3);
  use_pool(pool, &m, 100);
  assert_true(m.enqueued > 0);
  assert_int_equal(m.started, m.stopped);
  assert_int_equal(m.enqueued, m.started + m.abandoned);
  assert_int_equal(other.enqueued, 0);
  use_pool(second, &other, 10);
  kp_pool_retain(pool);
  kp_pool_drop(pool);
  assert_int_equal(m.joined, 0);
  kp_pool_drop(pool);
  assert_int_equal(m.joined, 2);
  kp_pool_drop(second);
  assert_int_equal(other.joined, 2);
  kp_pool_release();
}

static void test_own_pool_without_threads(void** state) {
  (void)state;
  maker m = {.most = 1};
  kp_pool_hooks hooks = hooks_of(&m);
  kp_pool* pool;
  kp_status* status = kp_pool_create(3, &hooks, &pool);
  assert_int_equal(kp_status_code(status), KAPELL_LIMIT);
  assert_null(pool);
  kp_status_free(status);
  assert_int_equal(m.made, 1);
  assert_int_equal(m.joined, 1);
  hooks.join = NULL;
  status = kp_pool_create(3, &hooks, &pool);
  assert_int_equal(kp_status_code(status), KAPELL_INVALID_ARGUMENT);
  kp_status_free(status);
}

// Threads of the system, in a pool of its own; and again in the child of a fork.
static void test_own_pool_of_the_system(void** state) {
  (void)state;
  if (KP_TSAN) {
    print_message(
        "skipped: ThreadSanitizer refuses threads in the child of a program with threads\n");
    skip();
  }
  const kp_pool_hooks none = {0};
  kp_pool* pool;
  record* r = calloc(1, sizeof *r);
  assert_null(kp_pool_create(3, &none, &pool));
  if (!KP_EMULATED) assert_int_equal(count_threads(), 3);
  const kp_bounds before = kp_bounds_enter((kp_bounds){.pool = pool});
  check_run(r, true, 3, 100, 10);
  const pid_t child = fork();
  if (child == 0) {
    memset(r, 0, sizeof *r);
    r->width = 3;
    kp_parallel_for(3, TASKS, note_task, r);
    for (int i = 0; i < TASKS; ++i)
      if (r->runs[i] != 1) _exit(1);
    if (!KP_EMULATED && count_threads() != 3) _exit(2);
    kp_pool_drop(pool);
    _exit(0);
  }
  int result = 0;
  waitpid(child, &result, 0);
  assert_true(WIFEXITED(result));
  assert_int_equal(WEXITSTATUS(result), 0);
  check_run(r, true, 3, 100, 10);
  (void)kp_bounds_enter(before);
  kp_pool_drop(pool);
  free(r);
}

// --- width ---------------------------------------------------------------------------------------------------------

static void put_file(const char* root, const char* path, const char* text) {
  char whole[512];
  snprintf(whole, sizeof whole, "%s/%s", root, path);
  for (char* c = whole + 1; *c; ++c) {
    if (*c != '/') continue;
    *c = 0;
    mkdir(whole, 0700);
    *c = '/';
  }
  FILE* file = fopen(whole, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void remove_tree(const char* root) {
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  assert_int_equal(system(command), 0);
}

typedef struct width_case {
  int processors, expected;
  const char* files[8];  // path, text, path, text, ...
} width_case;

static void test_width(void** state) {
  (void)state;
  static const width_case cases[] = {
      {6, 6, {NULL}},
      {0, 1, {NULL}},
      {1000, KP_POOL_MAX_WIDTH, {NULL}},
      {8, 8, {"proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "max 100000\n"}},
      {8, 2, {"proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"}},
      {8, 3, {"proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/cpu.max", "300000 100000\n"}},
      {8, 1, {"proc/self/cgroup", "0::/docker/x\n", "sys/fs/cgroup/cpu.max", "50000 100000\n"}},
      {2, 2, {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "900000 100000\n"}},
      {8, 5, {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpuset.cpus.effective", "0-3,7\n"}},
      {8,
       2,
       {"proc/self/cgroup", "5:cpu,cpuacct:/g\n3:memory:/g\n",
        "sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_quota_us", "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_period_us", "100000\n"}},
      {8,
       8,
       {"proc/self/cgroup", "5:cpu:/g\n", "sys/fs/cgroup/cpu/g/cpu.cfs_quota_us", "-1\n",
        "sys/fs/cgroup/cpu/g/cpu.cfs_period_us", "100000\n"}},
      {8,
       4,
       {"proc/self/cgroup", "5:cpuset:/g\n", "sys/fs/cgroup/cpuset/cpuset.effective_cpus",
        "0,2,4,6\n"}},
      {8,
       1,
       {"proc/self/cgroup", "4:pids:/g\n0::/h\n", "sys/fs/cgroup/unified/h/cpu.max",
        "1000 100000\n"}},
      {8, 8, {"proc/self/cgroup", "nonsense\n0:\n::\n", "sys/fs/cgroup/cpu.max", "0 0\n"}},
      {8, 8, {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpuset.cpus.effective", "7-3\n"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    char root[] = "/tmp/kapell-width-XXXXXX";
    assert_non_null(mkdtemp(root));
    for (int f = 0; f < 8 && cases[i].files[f]; f += 2)
      put_file(root, cases[i].files[f], cases[i].files[f + 1]);
    const int width = kp_pool_width_under(root, cases[i].processors);
    remove_tree(root);
    if (width != cases[i].expected)
      fail_msg("case %zu: %d instead of %d", i, width, cases[i].expected);
  }
}

static void test_default_width(void** state) {
  (void)state;
  assert_in_range(kp_pool_default_width(), 1, KP_POOL_MAX_WIDTH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_without_pool_runs_inline),
      cmocka_unit_test(test_each_task_once),
      cmocka_unit_test(test_nested_runs_inline),
      cmocka_unit_test(test_concurrent_callers),
      cmocka_unit_test(test_busy_workers_hold_nobody_up),
      cmocka_unit_test(test_workers_end_with_the_last_user),
      cmocka_unit_test(test_acquire_arguments),
      cmocka_unit_test(test_no_allocation),
      cmocka_unit_test(test_fork),
      cmocka_unit_test(test_own_pool),
      cmocka_unit_test(test_own_pool_without_threads),
      cmocka_unit_test(test_own_pool_of_the_system),
      cmocka_unit_test(test_width),
      cmocka_unit_test(test_default_width),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
