// Chains of mock devices under many threads: sessions shared, made and closed at once; runs cancelled from another thread; a provider that
// allows few runs at a time; failover while others run; and every allocation failing in turn.
#include "support/expect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "provider/mock/mock.h"
#include "support/chain_run.h"
#include "support/model_text.h"

#define MODEL                                                                                      \
  "in x float[N,3] init w float[3] = 1 2 3 a = Neg(x) b = Add(a, w) c = Abs(b) d = Mul(c, x) s = " \
  "ReduceSum(d) keepdims=0 y = Sub(d, s) out y float[N,3] out s float[]"
static const char* const inputs[] = {"float[2,3] 1 2 3 4 5 6", NULL};

// --- many runs of one session ---------------------------------------------------------------------------------------------------------
typedef struct worker {
  kapell_session* session;
  const char* settings;  // to open sessions of its own, or NULL
  unsigned number;
  int runs;
  atomic_int* mistakes;
} worker;

// x of |rows| rows, and what the model makes of it.
static void run_once(worker* w, int turn) {
  const int64_t rows = 1 + (w->number + (unsigned)turn) % 4;
  kapell_value *x = NULL, *outputs[2] = {NULL, NULL};
  kapell_status* status = kapell_tensor_create(KAPELL_FLOAT, (const int64_t[]){rows, 3}, 2, &x);
  double sum = 0;
  for (int64_t i = 0; !status && i < rows * 3; ++i) {
    const double v = (double)((w->number * 7 + (unsigned)turn + (unsigned)i) % 11) - 5;
    kapell_tensor_set_double(x, (size_t)i, v);
    sum += v * (v < (double)(i % 3 + 1) ? (double)(i % 3 + 1) - v : v - (double)(i % 3 + 1));
  }
  if (!status) status = kapell_session_run(w->session, NULL, NULL, &x, 1, NULL, outputs, 2);
  if (!status &&
      (kapell_tensor_get_double(outputs[1], 0) != sum || kapell_tensor_dims(outputs[0])[0] != rows))
    ++*w->mistakes;
  if (status) {
    print_error("%s\n", kapell_status_text(status));
    ++*w->mistakes;
  }
  kapell_status_free(status);
  kapell_value_release(x);
  kapell_value_release(outputs[0]);
  kapell_value_release(outputs[1]);
}

static void* run_many(void* user) {
  worker* w = user;
  for (int i = 0; i < w->runs; ++i) run_once(w, i);
  return NULL;
}

static void* open_many(void* user) {
  worker* w = user;
  for (int i = 0; i < 3; ++i) {
    kp_chain_run own;
    kapell_status* status =
        kp_chain_open(&own, MODEL, "Mock?,Mock2?,CPU", w->settings, inputs, NULL);
    if (!status) status = kp_chain_again(&own, NULL);
    *w->mistakes += status != NULL;
    kapell_status_free(status);
    kp_chain_close(&own);
  }
  return NULL;
}

static void test_sixteen_threads(void** state) {
  (void)state;
  static const char* const settings[] = {"Mock.ops=alternate",
                                         "Mock.ops=alternate Mock.streams=1 Mock2.ops=half",
                                         "Mock.ops=half Mock.atomic=1 Mock.max_runs=2"};
  for (size_t k = 0; k < 3; ++k) {
    enum { RUNNERS = 16, OPENERS = 2 };
    kp_chain_run shared;
    kp_test_must(kp_chain_open(&shared, MODEL, "Mock?,Mock2?,CPU", settings[k], inputs, NULL));
    pthread_t threads[RUNNERS + OPENERS];
    worker workers[RUNNERS + OPENERS];
    atomic_int mistakes = 0;
    for (unsigned i = 0; i < RUNNERS + OPENERS; ++i) {
      workers[i] = (worker){.session = shared.session,
                            .settings = settings[k],
                            .number = i,
                            .runs = 10,
                            .mistakes = &mistakes};
      assert_int_equal(
          pthread_create(&threads[i], NULL, i < RUNNERS ? run_many : open_many, &workers[i]), 0);
    }
    for (unsigned i = 0; i < RUNNERS + OPENERS; ++i) pthread_join(threads[i], NULL);
    kapell_counters counters = {.struct_size = sizeof counters};
    kapell_session_counters(shared.session, &counters);
    kp_chain_close(&shared);
    assert_int_equal(mistakes, 0);
    assert_int_equal(counters.runs, RUNNERS * 10);
  }
}

static void test_limit_of_runs_at_once(void** state) {
  (void)state;
  enum { RUNNERS = 4 };
  const uint64_t before = kp_mock_get_totals().most_at_once;
  assert_int_equal(before, 0);  // the first test of this program, so that "most" means this one
  kp_chain_run shared;
  kp_test_must(
      kp_chain_open(&shared, MODEL, "Mock,CPU", "Mock.max_runs=1 Mock.fail=slow:2", inputs, NULL));
  pthread_t threads[RUNNERS];
  worker workers[RUNNERS];
  atomic_int mistakes = 0;
  for (unsigned i = 0; i < RUNNERS; ++i) {
    workers[i] = (worker){.session = shared.session, .number = i, .runs = 5, .mistakes = &mistakes};
    assert_int_equal(pthread_create(&threads[i], NULL, run_many, &workers[i]), 0);
  }
  for (unsigned i = 0; i < RUNNERS; ++i) pthread_join(threads[i], NULL);
  kp_chain_close(&shared);
  assert_int_equal(mistakes, 0);
  assert_int_equal(kp_mock_get_totals().most_at_once, 1);
}

static void test_failover_among_others(void** state) {
  (void)state;
  enum { RUNNERS = 8 };
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.on_failure = KAPELL_ON_FAILURE_CONTINUE;
  kp_chain_run shared;
  kapell_log_set_level(KAPELL_LOG_ERROR);
  kp_test_must(kp_chain_open(&shared, MODEL, "Mock,CPU", "Mock.fail=run:9 Mock.ops=alternate",
                             inputs, &options));
  pthread_t threads[RUNNERS];
  worker workers[RUNNERS];
  atomic_int mistakes = 0;
  for (unsigned i = 0; i < RUNNERS; ++i) {
    workers[i] =
        (worker){.session = shared.session, .number = i, .runs = 10, .mistakes = &mistakes};
    assert_int_equal(pthread_create(&threads[i], NULL, run_many, &workers[i]), 0);
  }
  for (unsigned i = 0; i < RUNNERS; ++i) pthread_join(threads[i], NULL);
  kapell_counters counters = {.struct_size = sizeof counters};
  kapell_session_counters(shared.session, &counters);
  kp_chain_close(&shared);
  kapell_log_set_level(KAPELL_LOG_WARNING);
  assert_int_equal(mistakes, 0);
  assert_int_equal(counters.failovers, 1);
}

// --- cancel ---------------------------------------------------------------------------------------------------------------------------
static uint64_t requested_ns;

static void* cancel_soon(void* user) {
  const struct timespec nap = {0, 30000000};
  nanosleep(&nap, NULL);
  requested_ns = kp_clock_ns();
  kapell_cancel_request(user);
  return NULL;
}

static void test_cancel(void** state) {
  (void)state;
  static const char* const settings[] = {"Mock.fail=hang", "Mock.fail=hang Mock.streams=1",
                                         "Mock.fail=slow:20000",
                                         "Mock.ops=alternate Mock.fail=hang:2 Mock.streams=1"};
  for (size_t i = 0; i < 4; ++i) {
    kp_chain_run run;
    kapell_cancel* cancel = NULL;
    pthread_t thread;
    kp_test_must(kapell_cancel_create(&cancel));
    kp_test_must(kp_chain_open(&run, MODEL, "Mock,CPU", settings[i], inputs, NULL));
    kapell_run_options options = KAPELL_RUN_OPTIONS_INIT;
    options.cancel = cancel;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, cancel), 0);
    kp_test_expect(kp_chain_again(&run, &options), KAPELL_CANCELLED, "KAPELL-E0006");
    const uint64_t ended_ns = kp_clock_ns();
    pthread_join(thread, NULL);
    // 50 ms is the promise on an idle machine; a loaded one under a sanitizer gets ten times that.
    if (ended_ns > requested_ns + 500000000)
      fail_msg("%s: the run ended %llu ms after the request", settings[i],
               (unsigned long long)(ended_ns - requested_ns) / 1000000);
    kapell_counters counters = {.struct_size = sizeof counters};
    kapell_session_counters(run.session, &counters);
    assert_int_equal(counters.cancelled_runs, 1);
    kp_chain_close(&run);
    kapell_cancel_release(cancel);
  }
}

// --- no memory --------------------------------------------------------------------------------------------------------------------------
static bool open_and_run_with_failure(uint64_t nth, const char* settings, const void* bytes,
                                      size_t byte_count, kapell_value* x) {
  const kapell_provider_option list[] = {{"Mock.ops", "alternate"}, {"Mock.streams", settings}};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.providers = "Mock,CPU";
  options.provider_options = list;
  options.provider_option_count = 2;
  kapell_session* session = NULL;
  kapell_value* outputs[2] = {NULL, NULL};
  kp_alloc_fail_at(nth);
  kapell_status* status = kapell_session_open(bytes, byte_count, &options, &session);
  if (!status) status = kapell_session_run(session, NULL, NULL, &x, 1, NULL, outputs, 2);
  const bool failed = kp_alloc_failed();
  kp_alloc_fail_at(0);
  if (status && kapell_status_code(status) != KAPELL_OUT_OF_MEMORY)
    fail_msg("allocation %llu: %s", (unsigned long long)nth, kapell_status_text(status));
  kapell_status_free(status);
  kapell_value_release(outputs[0]);
  kapell_value_release(outputs[1]);
  kapell_session_close(session);
  return failed;
}

static void test_failing_allocations(void** state) {
  (void)state;
  size_t byte_count;
  char* bytes = kp_test_model(MODEL, 17, &byte_count);
  kapell_value* x = kp_test_value(inputs[0]);
  for (int streams = 0; streams < 2; ++streams) {
    open_and_run_with_failure(0, streams ? "1" : "0", bytes, byte_count,
                              x);  // what is made once for the process
    bool failed = true;
    for (uint64_t nth = 1; failed && nth < 20000; ++nth) {
      const int64_t live = kp_alloc_live();
      failed = open_and_run_with_failure(nth, streams ? "1" : "0", bytes, byte_count, x);
      if (kp_alloc_live() != live)
        fail_msg("allocation %llu failed and %lld pieces of memory were lost",
                 (unsigned long long)nth, (long long)(kp_alloc_live() - live));
    }
  }
  kapell_value_release(x);
  free(bytes);
}

static int nothing_left(void** state) {
  (void)state;
  const kp_mock_totals totals = kp_mock_get_totals();
  return totals.live_allocations || totals.live_bytes || totals.live_devices || totals.live_streams
             ? -1
             : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_limit_of_runs_at_once), cmocka_unit_test(test_sixteen_threads),
      cmocka_unit_test(test_failover_among_others), cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_left);
}
