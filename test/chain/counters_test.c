// What ran, for every run: counters of failures and of runs started again, Prometheus' text form, shadow checks and their alarms.
#include "support/expect.h"

#include <pthread.h>
#include <stdio.h>

#include "support/chain_run.h"

#define MODEL                                                                                      \
  "in x float[N,3] init w float[3] = 1 2 3 a = Neg(x) b = Add(a, w) c = Abs(b) y = Mul(c, w) out " \
  "y float[N,3]"
static const char* const inputs[] = {"float[2,3] 1 2 3 4 5 6", NULL};

static void open_run(kp_chain_run* run, const char* settings, const kapell_options* base) {
  kp_test_must(kp_chain_open(run, MODEL, "Mock,CPU", settings, inputs, base));
}

static void expect_metrics(const kp_chain_run* run, const char* name, const char* words) {
  char* text = NULL;
  kp_test_must(kapell_session_metrics(run->session, name, &text));
  kp_test_words(text, words);
  kapell_free_text(text);
}

static void test_a_failed_run_says_what_ran(void** state) {
  (void)state;
  kp_chain_run run;
  kapell_counters counters = {.struct_size = sizeof counters};
  kapell_run_options options = KAPELL_RUN_OPTIONS_INIT;
  kapell_value* output = NULL;
  options.counters = &counters;
  open_run(&run, "Mock.fail=run:2 Mock.ops=all,-Abs", NULL);
  kp_test_expect(kapell_session_run(run.session, &options, NULL, run.inputs, 1, NULL, &output, 1),
                 KAPELL_PROVIDER_FAILED, "Mock: launching partition 2 failed");
  assert_int_equal(counters.runs, 0);
  assert_int_equal(counters.failed_runs, 1);
  assert_int_equal(counters.providers[0].failures, 1);
  assert_int_equal(counters.providers[0].nodes, 2);  // the first partition
  assert_int_equal(counters.providers[1].nodes, 1);  // Abs
  expect_metrics(&run, NULL,
                 "kapell_failed_runs_total 1\n|kapell_provider_failures_total{provider="
                 "\"MockExecutionProvider\"} 1\n|kapell_provider_failures_total{provider="
                 "\"CPUExecutionProvider\"} 0\n");
  kp_chain_close(&run);
}

static void test_a_run_started_again_is_counted(void** state) {
  (void)state;
  kp_chain_run run;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.on_failure = KAPELL_ON_FAILURE_CONTINUE;
  open_run(&run, "Mock.fail=run:2", &options);
  kp_test_log_begin();
  kp_test_must(kp_chain_again(&run, NULL));
  assert_int_equal(run.counters.failovers, 0);
  assert_int_equal(run.counters.providers[0].nodes, 4);
  kp_test_must(kp_chain_again(&run, NULL));
  assert_int_equal(run.counters.runs, 1);
  assert_int_equal(run.counters.failovers, 1);
  assert_int_equal(run.counters.providers[0].failures, 1);
  assert_int_equal(run.counters.providers[0].nodes, 0);
  assert_int_equal(run.counters.providers[1].nodes, 4);
  kp_test_words(kp_test_log_end(), "Mock failed in a run and is left out from now on");
  expect_metrics(
      &run, "m \"1\"\n",
      "# HELP kapell_runs_total |# TYPE kapell_runs_total counter\n|"
      "kapell_runs_total{session=\"m \\\"1\\\"\\n\"} 2\n|kapell_failovers_total{session=|"
      "kapell_provider_failures_total{session=\"m \\\"1\\\"\\n\",provider="
      "\"MockExecutionProvider\"} 1\n|kapell_placed_nodes{session=\"m "
      "\\\"1\\\"\\n\",provider=\"MockExecutionProvider\"} 4\n|# TYPE "
      "kapell_run_peak_bytes gauge");
  kp_chain_close(&run);
}

// --- shadow --------------------------------------------------------------------------------------------------------------------------
typedef struct heard {
  size_t reports, alarms;
  uint64_t last_run;
  double most;
  char output[16], failure[200];
} heard;

static void listen(void* user, const kapell_shadow_report* report) {
  heard* h = user;
  ++h->reports;
  h->alarms += report->alarm;
  h->last_run = report->run;
  if (report->failure) snprintf(h->failure, sizeof h->failure, "%s", report->failure);
  if (!report->output_count) return;
  assert_int_equal(report->output_count, 1);
  assert_true(report->alarm == report->outputs[0].alarm);
  h->most = report->outputs[0].difference.most;
  snprintf(h->output, sizeof h->output, "%s", report->outputs[0].name);
}

static void test_one_in_n_runs_is_checked(void** state) {
  (void)state;
  kp_chain_run run;
  heard h = {0};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.shadow_every = 3;
  options.shadow = listen;
  options.shadow_user = &h;
  open_run(&run, "Mock.fail=wrong:4", &options);
  static const size_t reports[] = {1, 1, 1, 2, 2, 2, 3}, alarms[] = {0, 0, 0, 1, 1, 1, 1};
  for (size_t i = 0; i < 7; ++i) {
    kp_test_must(kp_chain_again(&run, NULL));
    assert_int_equal(h.reports, reports[i]);
    assert_int_equal(h.alarms, alarms[i]);
    assert_int_equal(run.counters.shadow_runs, i % 3 == 0);
    assert_int_equal(run.counters.shadow_alarms, i == 3);
    if (i != 3) continue;
    assert_int_equal(h.last_run, 4);
    assert_string_equal(h.output, "y");
    assert_true(h.most == 1);
  }
  expect_metrics(&run, NULL, "kapell_shadow_runs_total 3\n|kapell_shadow_alarms_total 1\n");
  kp_chain_close(&run);
}

static void test_without_a_callback_it_is_logged(void** state) {
  (void)state;
  kp_chain_run run;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.shadow_every = 1;
  open_run(&run, "Mock.fail=wrong:2", &options);
  kp_test_log_begin();
  kp_test_must(kp_chain_again(&run, NULL));
  assert_string_equal(kp_test_log_end(), "");
  kp_test_log_begin();
  kp_test_must(kp_chain_again(&run, NULL));
  kp_test_words(kp_test_log_end(),
                "shadow check of run 2: output 'y' departs from the CPU's by 1 at the most, 6 of 6 "
                "elements are out of tolerance; 'kapell check --accuracy'");
  options.shadow_atol = 2;
  kp_chain_close(&run);
  open_run(&run, "Mock.fail=wrong", &options);
  kp_test_log_begin();
  kp_test_must(kp_chain_again(&run, NULL));
  assert_string_equal(kp_test_log_end(), "");
  kp_chain_close(&run);
}

// The CPU goes first: inputs that outputs are written over are intact then. Outputs that are not asked for are not compared.
static void test_bound_and_unasked_outputs(void** state) {
  (void)state;
  kp_chain_run run;
  heard h = {0};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.shadow_every = 1;
  options.shadow = listen;
  options.shadow_user = &h;
  open_run(&run, NULL, &options);
  kapell_value* same = run.inputs[0];
  kp_test_must(kapell_session_run(run.session, NULL, NULL, run.inputs, 1, NULL, &same, 1));
  assert_true(h.reports == 1 && h.alarms == 0);
  assert_true(kapell_tensor_get_double(run.inputs[0], 3) == 3);
  kp_test_must(kapell_session_run(run.session, NULL, NULL, run.inputs, 1, NULL, NULL, 0));
  assert_true(h.reports == 2 && h.alarms == 0);
  kp_chain_close(&run);
}

enum { THREADS = 4, RUNS = 20 };

static void* run_many(void* user) {
  kp_chain_run* run = user;
  for (int i = 0; i < RUNS; ++i) {
    kapell_value* output = NULL;
    kapell_status* status =
        kapell_session_run(run->session, NULL, NULL, run->inputs, 1, NULL, &output, 1);
    kapell_value_release(output);
    if (status) return status;
  }
  return NULL;
}

static void count_alarm(void* user, const kapell_shadow_report* report) {
  if (report->alarm) __atomic_fetch_add((int*)user, 1, __ATOMIC_RELAXED);
}

static void test_runs_of_many_threads_are_counted_once(void** state) {
  (void)state;
  kp_chain_run run;
  int alarms = 0;
  pthread_t threads[THREADS];
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.shadow_every = 3;
  options.shadow = count_alarm;
  options.shadow_user = &alarms;
  open_run(&run, NULL, &options);
  for (size_t i = 0; i < THREADS; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, run_many, &run), 0);
  for (size_t i = 0; i < THREADS; ++i) {
    void* status;
    assert_int_equal(pthread_join(threads[i], &status), 0);
    kp_test_must(status);
  }
  kapell_counters counters = {.struct_size = sizeof counters};
  kapell_session_counters(run.session, &counters);
  assert_int_equal(counters.runs, THREADS * RUNS);
  assert_int_equal(counters.shadow_runs, (THREADS * RUNS + 2) / 3);
  assert_int_equal(counters.shadow_alarms, 0);
  assert_int_equal(alarms, 0);
  kp_chain_close(&run);
}

static void test_the_environment_does_not_move_the_reference(void** state) {
  (void)state;
  kp_chain_run run;
  heard h = {0};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.shadow_every = 1;
  options.shadow = listen;
  options.shadow_user = &h;
  setenv("KAPELL_PROVIDERS", "Mock,CPU", 1);
  kp_test_log_begin();
  open_run(&run, "Mock.fail=wrong", &options);
  unsetenv("KAPELL_PROVIDERS");
  kp_test_must(kp_chain_again(&run, NULL));
  (void)kp_test_log_end();
  assert_int_equal(h.alarms, 1);
  kp_chain_close(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_failed_run_says_what_ran),
      cmocka_unit_test(test_a_run_started_again_is_counted),
      cmocka_unit_test(test_one_in_n_runs_is_checked),
      cmocka_unit_test(test_without_a_callback_it_is_logged),
      cmocka_unit_test(test_bound_and_unasked_outputs),
      cmocka_unit_test(test_runs_of_many_threads_are_counted_once),
      cmocka_unit_test(test_the_environment_does_not_move_the_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
