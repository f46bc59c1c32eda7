// Order statistics, and what the bench says where figures cannot be trusted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "cli/bench/bench.h"

enum { ROUNDS = 200 };
static double first_times[ROUNDS], second_times[ROUNDS];

// Times around |base| that spread by |spread|, the same each time.
static void fill(double* times, double base, double spread, uint64_t seed) {
  for (int i = 0; i < ROUNDS; ++i) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    times[i] = base * (1 + spread * ((double)(seed >> 40) / (1 << 24) - 0.5));
  }
}

static bench_report report_of(bench_row rows[2]) {
  double* times[2] = {first_times, second_times};
  for (int i = 0; i < 2; ++i) {
    double copy[ROUNDS];
    memcpy(copy, times[i], sizeof copy);
    rows[i] = (bench_row){.times = times[i],
                          .rounds = ROUNDS,
                          .ready = {.ok = true},
                          .stats = bench_summarise(copy, ROUNDS)};
    snprintf(rows[i].config.label, sizeof rows[i].config.label, i ? "second" : "first");
  }
  return (bench_report){.rows = rows, .count = 2, .processors = 2};
}

static void test_summary(void** state) {
  (void)state;
  double times[101];
  for (int i = 0; i <= 100; ++i) times[(i * 37) % 101] = i;
  const bench_stats s = bench_summarise(times, 101);
  assert_true(s.best == 0 && s.p50 == 50 && s.p90 == 90 && s.p99 == 99 && s.mean > 49.999 &&
              s.mean < 50.001);
  assert_true(s.low >= 39 && s.low < 45 && s.high > 55 && s.high <= 61);
  double one = 3;
  assert_true(bench_summarise(&one, 1).p99 == 3);
  assert_int_equal(bench_summarise(NULL, 0).count, 0);
}

static void test_a_quiet_machine(void** state) {
  (void)state;
  bench_row rows[2];
  fill(first_times, 1, 0.02, 1);
  fill(second_times, 2, 0.02, 2);
  bench_report r = report_of(rows);
  bench_judge(&r);
  assert_string_equal(r.noise, "");
  assert_true(rows[1].ratio > 1.99 && rows[1].ratio < 2.01);
}

static void test_what_cannot_be_told_apart(void** state) {
  (void)state;
  bench_row rows[2];
  fill(first_times, 1, 0.2, 1);
  fill(second_times, 1, 0.2, 2);
  bench_report r = report_of(rows);
  r.load = 9;
  bench_judge(&r);
  assert_non_null(strstr(r.noise, "second and first cannot be told apart"));
  assert_non_null(strstr(r.noise, "load average was 9.0 on 2 processors"));
}

static void test_too_noisy_to_tell(void** state) {
  (void)state;
  bench_row rows[2];
  fill(first_times, 1, 0.02, 1);
  for (int i = 0; i < ROUNDS; ++i) second_times[i] = i % 2 ? 2 : 10 + i * 0.1;
  bench_report r = report_of(rows);
  bench_judge(&r);
  assert_non_null(strstr(r.noise, "too noisy to tell the time of second"));
}

static void test_a_machine_that_changes_its_speed(void** state) {
  (void)state;
  bench_row rows[2];
  fill(first_times, 1, 0.02, 1);
  fill(second_times, 2, 0.02, 2);
  for (int i = ROUNDS / 2; i < ROUNDS; ++i) first_times[i] *= 1.5, second_times[i] *= 1.5;
  bench_report r = report_of(rows);
  bench_judge(&r);
  assert_non_null(strstr(r.noise, "changed its speed"));
  assert_true(rows[1].ratio > 1.98 && rows[1].ratio < 2.02);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_summary),
      cmocka_unit_test(test_a_quiet_machine),
      cmocka_unit_test(test_what_cannot_be_told_apart),
      cmocka_unit_test(test_too_noisy_to_tell),
      cmocka_unit_test(test_a_machine_that_changes_its_speed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
