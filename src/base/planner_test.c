// Tests of base/planner.h: nothing alive together overlaps, the block is small, planning is quick and stops allocating.
#include "base/planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/planner_internal.h"
#include "support/slowed.h"

static uint64_t random_state = 1;
static uint32_t random_below(uint32_t limit) {
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)((random_state >> 33) % limit);
}

static size_t rounded(size_t size) {
  return (size + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
}

// The most bytes alive at one step: no plan can be smaller.
static size_t lower_bound(const kp_interval* intervals, size_t count, uint32_t steps) {
  int64_t* change = calloc((size_t)steps + 2, sizeof *change);
  for (size_t i = 0; i < count; ++i) {
    change[intervals[i].first] += (int64_t)rounded(intervals[i].size);
    change[intervals[i].last + 1] -= (int64_t)rounded(intervals[i].size);
  }
  int64_t now = 0, most = 0;
  for (uint32_t s = 0; s <= steps; ++s) {
    now += change[s];
    if (now > most) most = now;
  }
  free(change);
  return (size_t)most;
}

static void check_apart(const kp_interval* intervals, size_t count, size_t total) {
  for (size_t i = 0; i < count; ++i) {
    const kp_interval* a = &intervals[i];
    assert_int_equal(a->offset % KP_ALIGNMENT, 0);
    assert_true(a->size == 0 || a->offset + a->size <= total);
    for (size_t j = i + 1; j < count; ++j) {
      const kp_interval* b = &intervals[j];
      const bool together = a->first <= b->last && b->first <= a->last && a->size && b->size;
      const bool apart = a->offset + a->size <= b->offset || b->offset + b->size <= a->offset;
      if (together && !apart) fail_msg("intervals %zu and %zu overlap", i, j);
    }
  }
}

static void test_random_inputs(void** state) {
  (void)state;
  kp_arena scratch = {0};
  kp_interval intervals[400];
  for (int round = 0; round < 300; ++round) {
    const size_t count = 1 + random_below(400);
    const uint32_t steps = 1 + random_below(600), life = 1 + random_below(steps);
    const uint32_t largest = 1 + random_below(1u << (1 + random_below(20)));
    for (size_t i = 0; i < count; ++i) {
      intervals[i].size = random_below(largest + 1);
      intervals[i].first = random_below(steps);
      intervals[i].last = intervals[i].first + random_below(life);
    }
    size_t total = 0;
    assert_null(kp_plan_intervals(intervals, count, &scratch, &total));
    check_apart(intervals, count, total);
    const size_t bound = lower_bound(intervals, count, steps + life);
    assert_true(total >= bound);
    if (total > bound * 2) fail_msg("%zu bytes where %zu are alive at most", total, bound);
  }
  kp_arena_free(&scratch);
}

// Each method by itself: the planner keeps the better one, which could hide a fault of the other.
static void test_methods_alone(void** state) {
  (void)state;
  enum { COUNT = 300 };
  kp_arena scratch = {0};
  for (int round = 0; round < 200; ++round) {
    kp_plan_item items[COUNT];
    kp_interval check[COUNT];
    kp_sort_pair by_first[COUNT], work[COUNT];
    for (uint32_t i = 0; i < COUNT; ++i) {
      const uint32_t first = random_below(200);
      const uint32_t size = 1 + random_below(3000), life = random_below(60);
      items[i] = (kp_plan_item){.size = size, .first = first, .last = first + life};
      by_first[i] = (kp_sort_pair){first, i};
    }
    kp_plan_sort(by_first, work, COUNT);
    for (int method = 0; method < 2; ++method) {
      uint64_t total = 0;
      assert_true(
          (method ? kp_plan_by_time : kp_plan_by_size)(items, by_first, COUNT, &scratch, &total));
      for (size_t i = 0; i < COUNT; ++i)
        check[i] = (kp_interval){(size_t)items[i].size * KP_ALIGNMENT, items[i].first,
                                 items[i].last, (size_t)items[i].offset * KP_ALIGNMENT};
      check_apart(check, COUNT, (size_t)total * KP_ALIGNMENT);
    }
    kp_arena_reset(&scratch);
  }
  kp_arena_free(&scratch);
}

// Values of a network: each lives until the next step or two; every fourth is a skip connection; work memory lives one step.
static void make_chain(kp_interval* intervals, size_t count) {
  uint32_t step = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t shift = 4 + random_below(8), size = (64u + random_below(64)) << shift;
    const bool is_work = i % 3 == 2;
    const uint32_t life = is_work ? 0 : i % 4 == 0 ? 2 + random_below(6) : 1 + random_below(2);
    if (!is_work) ++step;
    intervals[i] = (kp_interval){.size = size, .first = step, .last = step + life};
  }
}

static void test_chains_are_tight(void** state) {
  (void)state;
  enum { COUNT = 400, ROUNDS = 200 };
  kp_arena scratch = {0};
  kp_interval intervals[COUNT];
  double sum = 0, worst = 0;
  for (int round = 0; round < ROUNDS; ++round) {
    make_chain(intervals, COUNT);
    size_t total = 0;
    assert_null(kp_plan_intervals(intervals, COUNT, &scratch, &total));
    const double ratio = (double)total / (double)lower_bound(intervals, COUNT, COUNT + 10);
    sum += ratio;
    if (ratio > worst) worst = ratio;
  }
  kp_arena_free(&scratch);
  print_message("chains: %.3f of the lower bound, worst %.3f\n", sum / ROUNDS, worst);
  assert_true(sum / ROUNDS < 1.02);
  assert_true(worst < 1.25);
}

static uint64_t best_time(kp_interval* intervals, size_t count, kp_arena* scratch,
                          size_t* out_total) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 3; ++i) {
    const uint64_t start = kp_clock_ns();
    assert_null(kp_plan_intervals(intervals, count, scratch, out_total));
    const uint64_t passed = kp_clock_ns() - start;
    if (passed < best) best = passed;
  }
  return best;
}

static void test_large_plans(void** state) {
  (void)state;
  enum { COUNT = 40000 };
  const uint64_t limit = UINT64_C(300000000) * (KP_SLOWED ? 20 : 1);
  kp_arena scratch = {0};
  kp_interval* intervals = calloc(COUNT, sizeof *intervals);
  size_t total = 0;

  make_chain(intervals, COUNT);
  uint64_t ns = best_time(intervals, COUNT, &scratch, &total);
  print_message("chain of %d: %.1f ms, %.3f of the lower bound\n", COUNT, (double)ns / 1e6,
                (double)total / (double)lower_bound(intervals, COUNT, COUNT + 10));
  assert_true(ns < limit);

  for (size_t i = 0; i < COUNT; ++i) {  // nearly everything is alive together
    const uint32_t a = random_below(COUNT), b = random_below(COUNT);
    intervals[i] = (kp_interval){
        .size = random_below(1u << 20), .first = a < b ? a : b, .last = a < b ? b : a};
  }
  ns = best_time(intervals, COUNT, &scratch, &total);
  const double ratio = (double)total / (double)lower_bound(intervals, COUNT, COUNT);
  print_message("random lives of %d: %.1f ms, %.3f of the lower bound\n", COUNT, (double)ns / 1e6,
                ratio);
  assert_true(ns < limit);
  assert_true(ratio < 1.5);
  free(intervals);
  kp_arena_free(&scratch);
}

static void test_second_call_allocates_nothing(void** state) {
  (void)state;
  enum { COUNT = 1000 };
  kp_arena scratch = {0};
  kp_interval intervals[COUNT];
  make_chain(intervals, COUNT);
  size_t first = 0, second = 0;
  char* kept = kp_arena_strndup(&scratch, "kept", 4);
  assert_null(kp_plan_intervals(intervals, COUNT, &scratch, &first));
  const uint64_t before = kp_alloc_total();
  assert_null(kp_plan_intervals(intervals, COUNT, &scratch, &second));
  assert_null(kp_plan_intervals(intervals, COUNT / 2, &scratch, &second));
  assert_int_equal(kp_alloc_total(), before);
  assert_string_equal(kept, "kept");
  kp_arena_free(&scratch);
}

static void test_edges(void** state) {
  (void)state;
  kp_arena scratch = {0};
  size_t total = 1;
  assert_null(kp_plan_intervals(NULL, 0, &scratch, &total));
  assert_int_equal(total, 0);
  kp_interval zero[2] = {{0, 0, 9, 5}, {0, 3, 3, 5}};
  assert_null(kp_plan_intervals(zero, 2, &scratch, &total));
  assert_int_equal(total, 0);
  assert_int_equal(zero[0].offset, 0);
  kp_interval reuse[2] = {{100, 0, 0, 0}, {100, 1, UINT32_MAX, 0}};
  assert_null(kp_plan_intervals(reuse, 2, &scratch, &total));
  assert_int_equal(total, 128);
  kp_interval huge[2] = {{SIZE_MAX / 2, 0, 1, 0}, {SIZE_MAX / 2 + 10, 0, 1, 0}};
  kp_status* status = kp_plan_intervals(huge, 2, &scratch, &total);
  assert_int_equal(kp_status_code(status), KAPELL_LIMIT);
  kp_status_free(status);
  kp_interval last = {SIZE_MAX, 0, 0, 0};
  status = kp_plan_intervals(&last, 1, &scratch, &total);
  assert_int_equal(kp_status_code(status), KAPELL_LIMIT);
  kp_status_free(status);
  kp_arena_free(&scratch);
}

static void test_out_of_memory(void** state) {
  (void)state;
  enum { COUNT = 5000 };
  kp_interval* intervals = calloc(COUNT, sizeof *intervals);
  make_chain(intervals, COUNT);
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    kp_arena scratch = {0};
    size_t total = 0;
    kp_alloc_fail_at(nth);
    kp_status* status = kp_plan_intervals(intervals, COUNT, &scratch, &total);
    failed = kp_alloc_failed();
    assert_int_equal(kp_status_code(status), failed ? KAPELL_OUT_OF_MEMORY : KAPELL_OK);
    kp_status_free(status);
    kp_alloc_fail_at(0);
    kp_arena_free(&scratch);
  }
  free(intervals);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_inputs),
      cmocka_unit_test(test_methods_alone),
      cmocka_unit_test(test_chains_are_tight),
      cmocka_unit_test(test_large_plans),
      cmocka_unit_test(test_edges),
      cmocka_unit_test(test_second_call_allocates_nothing),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
