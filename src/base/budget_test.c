// Tests of base/budget.h: what is charged and given back, limits, parents, the bounds of threads and of the pool's tasks.
#include "base/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/pool.h"
#include "base/status.h"

static kp_bounds within(kp_budget* budget, uint64_t deadline_ns) {
  return kp_bounds_enter((kp_bounds){.budget = budget, .deadline_ns = deadline_ns});
}

static void test_charges_and_returns(void** state) {
  (void)state;
  kp_budget* budget = kp_budget_create(NULL, 0);
  const kp_bounds before = within(budget, 0);
  char* small = kp_alloc(100);
  void* aligned = kp_alloc_aligned(1000, 4096);
  assert_true(kp_budget_used(budget) >= 1100);
  small = kp_realloc_array(small, 100000, 1);
  assert_non_null(small);
  const uint64_t used = kp_budget_used(budget);
  assert_true(used >= 101000);
  kp_bounds_enter(before);
  kp_free(small);  // whose it is was written down when it was made
  kp_free(aligned);
  assert_int_equal(kp_budget_used(budget), 0);
  assert_true(kp_budget_peak(budget) >= used);
  kp_budget_release(budget);
}

static void test_limit(void** state) {
  (void)state;
  kp_budget* budget = kp_budget_create(NULL, 10000);
  const kp_bounds before = within(budget, 0);
  uint64_t in_use;
  void* first = kp_alloc(6000);
  assert_non_null(first);
  assert_int_equal(kp_budget_refused(budget, &in_use), 0);
  assert_null(kp_alloc(6000));
  assert_null(kp_alloc_zero(6000, 1));
  assert_null(kp_alloc_aligned(6000, 64));
  assert_null(kp_alloc(SIZE_MAX - 100));
  assert_null(kp_realloc_array(first, 20000, 1));
  assert_true(kp_budget_refused(budget, &in_use) >= 20000);
  assert_true(in_use >= 6000);
  void* second = kp_alloc(3000);
  assert_non_null(second);
  kp_free(first);
  kp_free(second);
  kp_bounds_enter(before);
  assert_int_equal(kp_budget_used(budget), 0);
  kp_budget_release(budget);
}

static void test_parent_is_charged_too(void** state) {
  (void)state;
  kp_budget* parent = kp_budget_create(NULL, 5000);
  kp_budget* child = kp_budget_create(parent, 100000);
  const kp_bounds before = within(child, 0);
  void* kept = kp_alloc(3000);
  assert_non_null(kept);
  assert_null(kp_alloc(3000));
  kp_bounds_enter(before);
  uint64_t in_use;
  assert_true(kp_budget_refused(parent, &in_use) >= 3000);
  assert_int_equal(kp_budget_refused(child, &in_use), 0);
  assert_true(kp_budget_used(child) == kp_budget_used(parent));
  kp_budget_release(child);
  assert_true(kp_budget_used(parent) >= 3000);  // the child lives as long as what it was charged
  kp_free(kept);
  assert_int_equal(kp_budget_used(parent), 0);
  kp_budget_release(parent);
}

static void test_memory_outlives_its_budget(void** state) {
  (void)state;
  kp_budget* budget = kp_budget_create(NULL, 1000);
  const kp_bounds before = within(budget, 0);
  void* kept = kp_alloc(10);
  kp_bounds_enter(before);
  kp_budget_release(budget);
  kp_free(kept);
}

static void test_errors_are_told_when_nothing_is_left(void** state) {
  (void)state;
  kp_budget* budget = kp_budget_create(NULL, 1);
  const kp_bounds before = within(budget, 0);
  assert_null(kp_alloc(100));
  kp_status* status = KP_ERROR(LIMIT, "all %d bytes are used", 1);
  status = kp_status_frame(status, __FILE__, __LINE__, "in a frame");
  status = kp_status_at(status, "node", "Op", "value");
  kp_bounds_enter(before);
  assert_int_equal(kp_status_code(status), KAPELL_LIMIT);
  assert_string_equal(kp_status_message(status), "all 1 bytes are used");
  assert_string_equal(kp_status_node(status), "node");
  kp_status_free(status);
  kp_budget_release(budget);
}

static void test_deadline(void** state) {
  (void)state;
  assert_false(kp_deadline_passed());
  assert_int_equal(kp_deadline_in(0, 7), 7);
  assert_int_equal(kp_deadline_in(UINT64_MAX, 0), 0);
  assert_int_equal(kp_deadline_in(UINT64_C(1) << 62, 7), 7);
  assert_true(kp_deadline_in(UINT64_MAX - 1, 0) == UINT64_MAX);
  const kp_bounds before = within(NULL, kp_clock_ns() + UINT64_C(3600000000000));
  assert_false(kp_deadline_passed());
  within(NULL, 1);
  assert_true(kp_deadline_passed());
  kp_bounds_enter(before);
  assert_false(kp_deadline_passed());
}

typedef struct tally {
  kp_budget* budget;
  _Atomic int done, foreign;
} tally;

static void look(void* arg, size_t task, int worker) {
  (void)task, (void)worker;
  tally* t = arg;
  ++t->done;
  t->foreign += kp_bounds_current().budget != t->budget;
}

static void test_pool_carries_bounds(void** state) {
  (void)state;
  int width;
  kp_status_ignore(kp_pool_acquire(4, &width));
  tally t = {.budget = kp_budget_create(NULL, 0)};
  kp_bounds before = within(t.budget, 0);
  for (int i = 0; i < 200; ++i) kp_parallel_for(width, 64, look, &t);
  kp_bounds_enter(before);
  assert_int_equal(t.done, 200 * 64);
  assert_int_equal(t.foreign, 0);
  t.done = 0;
  before = within(t.budget, 1);  // long over: nothing is begun
  kp_parallel_for(width, 64, look, &t);
  kp_parallel_for_dynamic(1, 64, look, &t);
  kp_bounds_enter(before);
  assert_int_equal(t.done, 0);
  kp_budget_release(t.budget);
  kp_pool_release();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_charges_and_returns),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_parent_is_charged_too),
      cmocka_unit_test(test_memory_outlives_its_budget),
      cmocka_unit_test(test_errors_are_told_when_nothing_is_left),
      cmocka_unit_test(test_deadline),
      cmocka_unit_test(test_pool_carries_bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
