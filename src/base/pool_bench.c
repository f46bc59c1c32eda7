// Cost of a parallel_for: empty tasks at several widths, hot (back to back) and after a pause in which workers fell asleep.
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { ROUNDS = 2000, PAUSED_ROUNDS = 200 };

static void nothing(void* arg, size_t task, int worker) { (void)arg, (void)task, (void)worker; }

// About |*arg| nanoseconds of work.
static void spin_work(void* arg, size_t task, int worker) {
  (void)task, (void)worker;
  const uint64_t until = kp_clock_ns() + *(const uint64_t*)arg;
  while (kp_clock_ns() < until) {
  }
}

static int compare(const void* a, const void* b) {
  const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return (x > y) - (x < y);
}

static void report(const char* what, int width, uint64_t* times, int count) {
  qsort(times, (size_t)count, sizeof *times, compare);
  const uint64_t best = times[0], median = times[count / 2];
  printf("%-28s width %d  best %7.2f us  median %7.2f us\n", what, width, (double)best / 1e3,
         (double)median / 1e3);
}

static void measure(const char* what, int width, int count, unsigned pause_us, kp_task_fn fn,
                    uint64_t work) {
  static uint64_t times[ROUNDS];
  for (int i = 0; i < count; ++i) {
    if (pause_us) usleep(pause_us);
    const uint64_t start = kp_clock_ns();
    kp_parallel_for(width, (size_t)width, fn, &work);
    times[i] = kp_clock_ns() - start;
  }
  report(what, width, times, count);
}

int main(void) {
  int have = 0;
  kp_status* status = kp_pool_acquire(0, &have);
  if (status) return 1;
  printf("%d threads\n", have);
  for (int width = 2; width <= have; width *= 2) {
    measure("empty tasks, hot", width, ROUNDS, 0, nothing, 0);
    measure("empty tasks, after 1 ms", width, PAUSED_ROUNDS, 1000, nothing, 0);
    measure("10 us tasks, hot", width, ROUNDS, 0, spin_work, 10000);
    measure("100 us tasks, hot", width, ROUNDS / 4, 0, spin_work, 100000);
    measure("100 us tasks, after 1 ms", width, PAUSED_ROUNDS, 1000, spin_work, 100000);
  }
  kp_pool_release();
  return 0;
}
