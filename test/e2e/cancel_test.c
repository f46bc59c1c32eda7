// A run that would go on for hours ends soon after it is cancelled from another thread or its time is up; the session is as good
// as before.
#include <pthread.h>
#include <unistd.h>

#include "e2e/e2e.h"

static const uint64_t kAllowed = (KP_SLOWED ? 1000 : 50) * (uint64_t)E2E_MS;
enum { ATTEMPTS = 4 };  // a busy machine may delay a thread; the library must not

// n rounds: about forever for the largest n.
static const char kLoop[] =
    "in n int64[]\n in x float[4]\n init go bool[] = 1\n init k float[] = 1\n"
    "y = Loop(n, go, x) body={\n"
    "  in i int64[]\n in c bool[]\n in v float[4]\n co = Identity(c)\n vo = Add(v, k)\n out co "
    "bool[]\n out vo float[4]\n}\n"
    "out y float[4]\n";

typedef struct canceller {
  kapell_cancel* cancel;
  uint64_t requested_ns;
} canceller;

static void* cancel_later(void* argument) {
  canceller* c = argument;
  usleep(30000);
  c->requested_ns = kp_clock_ns();
  kapell_cancel_request(c->cancel);
  return NULL;
}

static kapell_status* run_with(kapell_session* session, kapell_value* const* inputs,
                               kapell_cancel* cancel, uint64_t timeout_ns) {
  kapell_run_options options = KAPELL_RUN_OPTIONS_INIT;
  options.cancel = cancel;
  options.timeout_ns = timeout_ns;
  kapell_value* output = NULL;
  kapell_status* status = kapell_session_run(session, &options, NULL, inputs,
                                             kapell_session_input_count(session), NULL, &output, 1);
  if (status) assert_null(output);
  kapell_value_release(output);
  return status;
}

// Nanoseconds from the request to the return.
static uint64_t cancel_once(kapell_session* session, kapell_value* const* inputs) {
  canceller c = {0};
  pthread_t thread;
  e2e_ok(kapell_cancel_create(&c.cancel));
  assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
  kapell_status* status = run_with(session, inputs, c.cancel, 0);
  const uint64_t end = kp_clock_ns();
  pthread_join(thread, NULL);
  e2e_error(status, KAPELL_CANCELLED, NULL);
  e2e_error(run_with(session, inputs, c.cancel, 0), KAPELL_CANCELLED, NULL);  // stays requested
  kapell_cancel_release(c.cancel);
  return end - c.requested_ns;
}

static uint64_t time_out_once(kapell_session* session, kapell_value* const* inputs,
                              uint64_t timeout_ns) {
  const uint64_t start = kp_clock_ns();
  e2e_error(run_with(session, inputs, NULL, timeout_ns), KAPELL_TIMEOUT, NULL);
  const uint64_t took = kp_clock_ns() - start;
  const uint64_t limit = timeout_ns ? timeout_ns : 30 * E2E_MS;
  assert_true(took >= limit);
  return took - limit;
}

static void check_stops(kapell_session* session, kapell_value* const* inputs) {
  uint64_t cancelled = UINT64_MAX, timed_out = UINT64_MAX;
  for (int i = 0; i < ATTEMPTS && cancelled > kAllowed; ++i) {
    const uint64_t took = cancel_once(session, inputs);
    if (took < cancelled) cancelled = took;
  }
  for (int i = 0; i < ATTEMPTS && timed_out > kAllowed; ++i) {
    const uint64_t took = time_out_once(session, inputs, 30 * E2E_MS);
    if (took < timed_out) timed_out = took;
  }
  print_message("cancelled within %.2f ms, timed out within %.2f ms\n", (double)cancelled / E2E_MS,
                (double)timed_out / E2E_MS);
  assert_true(cancelled <= kAllowed);
  assert_true(timed_out <= kAllowed);
}

static void check_runs(kapell_session* session, kapell_value* x) {
  kapell_value* inputs[2] = {kp_test_value("int64[] 10"), x};
  kapell_value* output = NULL;
  e2e_ok(e2e_run(session, inputs, &output));
  for (size_t i = 0; i < 4; ++i)
    assert_true(kapell_tensor_get_double(output, i) == kapell_tensor_get_double(x, i) + 10);
  kapell_value_release(output);
  kapell_value_release(inputs[0]);
}

static void a_loop(void** state) {
  (void)state;
  kapell_session* session = e2e_open(kLoop, NULL);
  kapell_value* inputs[2] = {kp_test_value("int64[] 1000000000000"),
                             kp_test_value("float[4] 1 2 3 4")};
  check_runs(session, inputs[1]);
  check_stops(session, inputs);
  check_runs(session, inputs[1]);
  kapell_counters counters = {.struct_size = sizeof(counters)};
  kapell_session_counters(session, &counters);
  assert_int_equal(counters.runs, 2);
  assert_true(counters.cancelled_runs >= 2 && counters.failed_runs >= 1);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

static void the_sessions_time_limit(void** state) {
  (void)state;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.run_timeout_ns = 30 * E2E_MS;
  kapell_session* session = e2e_open(kLoop, &options);
  kapell_value* inputs[2] = {kp_test_value("int64[] 1000000000000"),
                             kp_test_value("float[4] 1 2 3 4")};
  uint64_t late = UINT64_MAX;
  for (int i = 0; i < ATTEMPTS && late > kAllowed; ++i) late = time_out_once(session, inputs, 0);
  assert_true(late <= kAllowed);
  check_runs(session, inputs[1]);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

// One partition of many products: looked at between them.
static void a_long_partition(void** state) {
  (void)state;
  enum { NODES = 600 };
  char* text = malloc(NODES * 64 + 256);
  size_t at = (size_t)sprintf(
      text, "in x float[N,256]\n init w float[256,256] = random 1\n y0 = MatMul(x, w)\n");
  for (int i = 1; i < NODES; ++i)
    at += (size_t)sprintf(text + at, "y%d = MatMul(y%d, w)\n", i, i - 1);
  sprintf(text + at, "out y%d float[N,256]\n", NODES - 1);
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = 2;
  kapell_session* session = e2e_open(text, &options);
  kapell_value* input = kp_test_value("float[512,256] fill 0");
  check_stops(session, &input);
  kapell_value_release(input);
  input = kp_test_value("float[1,256] fill 0");
  e2e_ok(run_with(session, &input, NULL, 0));
  kapell_value_release(input);
  kapell_session_close(session);
  free(text);
}

static void a_token_that_is_reset(void** state) {
  (void)state;
  kapell_session* session = e2e_open(kLoop, NULL);
  kapell_value* inputs[2] = {kp_test_value("int64[] 3"), kp_test_value("float[4] 1 2 3 4")};
  kapell_cancel* cancel = NULL;
  e2e_ok(kapell_cancel_create(&cancel));
  kapell_cancel_request(cancel);
  e2e_error(run_with(session, inputs, cancel, 0), KAPELL_CANCELLED, NULL);
  kapell_cancel_reset(cancel);
  e2e_ok(run_with(session, inputs, cancel, 0));
  kapell_cancel_release(cancel);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

// Progress goes from 0 to 1; an opening that is cancelled at any of its steps leaves nothing behind (LeakSanitizer looks).
typedef struct opening_steps {
  int steps, cancel_at;
  double last;
} opening_steps;

static bool count_step(void* user, double done, const char* what) {
  opening_steps* o = user;
  assert_non_null(what);
  assert_true(done >= o->last && done <= 1);
  o->last = done;
  return o->steps++ == o->cancel_at;
}

static void an_opening_that_is_cancelled(void** state) {
  (void)state;
  opening_steps all = {.cancel_at = -1};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.progress = count_step;
  options.progress_user = &all;
  kapell_session_close(e2e_open(kLoop, &options));
  assert_true(all.steps > 3 && all.last == 1);
  size_t size;
  char* bytes = kp_test_model(kLoop, 17, &size);
  for (int at = 0; at < all.steps; ++at) {
    opening_steps some = {.cancel_at = at};
    options.progress_user = &some;
    kapell_session* session;
    e2e_error(kapell_session_open(bytes, size, &options, &session), KAPELL_CANCELLED, NULL);
    assert_null(session);
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_loop),
      cmocka_unit_test(the_sessions_time_limit),
      cmocka_unit_test(a_long_partition),
      cmocka_unit_test(a_token_that_is_reset),
      cmocka_unit_test(an_opening_that_is_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
