// Every way in which a provider of the chain goes wrong, played by the mock: what the user reads (what, where, why, what to try), as an error
// where the provider was required and as a warning and a line of the report where it was optional.
#include "support/expect.h"

#include "provider/mock/mock.h"
#include "support/chain_run.h"

#define MODEL                                                                                      \
  "in x float[N,3] init w float[3] = 1 2 3 a = Neg(x) b = Add(a, w) c = Abs(b) y = Mul(c, x) out " \
  "y float[N,3]"
static const char* const inputs[] = {"float[2,3] 1 2 3 4 5 6", NULL};
static const double wanted[] = {0, 0, 0, 12, 15, 18};

static void check_numbers(const kp_chain_run* run) {
  for (size_t i = 0; i < 6; ++i)
    assert_true(kapell_tensor_get_double(run->outputs[0], i) == wanted[i]);
}

static void expect_open_error(const char* providers, const char* settings, kapell_code code,
                              const char* words) {
  kp_chain_run run;
  kp_test_expect(kp_chain_open(&run, MODEL, providers, settings, inputs, NULL), code, words);
  assert_null(run.session);
  kp_chain_close(&run);
}

// With '?' the session opens, runs right on the CPU, and says why in one warning and in the report.
static void expect_optional(const char* settings, const char* warning, const char* report) {
  kp_chain_run run;
  kp_test_log_begin();
  kp_test_must(kp_chain_open(&run, MODEL, "Mock?,CPU", settings, inputs, NULL));
  const char* log = kp_test_log_end();
  kp_test_words(log, warning);
  assert_ptr_equal(strchr(log, '\n'), log + strlen(log) - 1);  // one line
  kp_test_must(kp_chain_again(&run, NULL));
  check_numbers(&run);
  const kapell_placement* placement = kapell_session_placement(run.session);
  assert_string_equal(placement->providers[0].name, "MockExecutionProvider");
  assert_false(placement->providers[0].in_use);
  char* text = NULL;
  kp_test_must(kapell_session_placement_text(run.session, &text));
  kp_test_words(text, report);
  kapell_free_text(text);
  kp_chain_close(&run);
}

// --- before the first run ------------------------------------------------------------------------------------------------------------
static void test_not_installed(void** state) {
  (void)state;
  expect_open_error("Mock,CPU", "Mock.fail=absent", KAPELL_PROVIDER_UNAVAILABLE,
                    "KAPELL-E0402|Mock is listed and not available: its runtime is not installed: "
                    "libmockrt.so.3|hint: install the package mockrt 3|"
                    "write 'Mock?' to go on without it");
  expect_optional(
      "Mock.fail=absent",
      "Mock? is not in use: its runtime is not installed|to fix it: install the package mockrt 3",
      "Mock?      not available: its runtime is not installed|to fix it: install the package "
      "mockrt 3");
}

static void test_broken_library(void** state) {
  (void)state;
  expect_open_error("Mock,CPU", "Mock.fail=dlerror", KAPELL_PROVIDER_UNAVAILABLE,
                    "libmockrt.so.3: cannot open shared object file: No such file or "
                    "directory|hint: libmock_provider.so needs it|LD_LIBRARY_PATH");
  expect_optional("Mock.fail=dlerror", "libmockrt.so.3: cannot open shared object file",
                  "not available: libmockrt.so.3: cannot open shared object file");
}

static void test_no_device(void** state) {
  (void)state;
  expect_open_error("Mock,CPU", "Mock.fail=no_device", KAPELL_PROVIDER_UNAVAILABLE,
                    "the driver reports no device|hint: check that /dev/mock0 exists");
  expect_optional("Mock.fail=no_device", "the driver reports no device",
                  "not available: its runtime 3.1.4 loaded, but the driver reports no device");
}

static void test_wrong_version(void** state) {
  (void)state;
  expect_open_error(
      "Mock,CPU", "Mock.fail=version", KAPELL_PROVIDER_UNAVAILABLE,
      "needs a host of interface version 9; this one has version 1|hint: upgrade Kapell");
  expect_optional("Mock.fail=version", "needs a host of interface version 9",
                  "not available: libmock_provider.so 3.1.4 needs a host");
}

static void test_cannot_be_created(void** state) {
  (void)state;
  expect_open_error(
      "Mock,CPU", "Mock.fail=create", KAPELL_PROVIDER_UNAVAILABLE,
      "the device is held by another process (code 16)|hint: end the process|Mock.device_id");
  expect_optional("Mock.fail=create", "held by another process",
                  "not available: Mock: mockCreateContext failed");
}

static void test_capability_fails(void** state) {
  (void)state;
  expect_open_error("Mock,CPU", "Mock.fail=capability", KAPELL_PROVIDER_FAILED,
                    "Mock: mockQueryOps failed: the device was lost (code 35)|asking Mock what it "
                    "can run|hint: write 'Mock?' to go on without it");
  expect_optional("Mock.fail=capability",
                  "Mock? is not in use: it failed when asked what it can run",
                  "runs nothing: it failed when asked what it can run");
}

static void test_compile_fails(void** state) {
  (void)state;
  expect_open_error("Mock,CPU", "Mock.fail=compile", KAPELL_PROVIDER_FAILED,
                    "no tactic for layer 'a' in 256 MiB of workspace (code 10)|at node 'a', "
                    "operator Neg|compiling partition 0 (4 nodes) for Mock|hint: write 'Mock?'");
  expect_optional("Mock.fail=compile",
                  "Mock? is not in use: it failed to compile: Mock: the engine was not built",
                  "runs nothing: it failed to compile");
}

static void test_claims_nothing(void** state) {
  (void)state;
  expect_open_error("Mock,CPU", "Mock.fail=unused", KAPELL_PROVIDER_UNUSED,
                    "KAPELL-E0403|Mock is listed and would run no node of this model|its engine "
                    "has no kernels for the device's generation 3|hint: write 'Mock?'");
  expect_optional("Mock.fail=unused", "Mock? runs no node of this model|generation 3",
                  "runs nothing: it claimed nothing|1 x Abs: its engine has no kernels");
}

static void test_unsupported_operator(void** state) {
  (void)state;
  expect_open_error("Mock; floor=none", "Mock.ops=all,-Abs", KAPELL_UNSUPPORTED,
                    "KAPELL-E0301|no provider takes Abs 'c'|Mock: Abs is not in its list of "
                    "operators (ops=all,-Abs)|at node 'c', operator Abs|hint: floor=all");
}

static void test_mistakes_of_the_user(void** state) {
  (void)state;
  expect_open_error("Moc,CPU", NULL, KAPELL_BAD_PROVIDER_LIST,
                    "'Moc'|known are: CPU, CUDA, TensorRT");
  expect_open_error("CUDDA?,CPU", NULL, KAPELL_BAD_PROVIDER_LIST, "'CUDDA'|did you mean CUDA?");
  expect_open_error("Mock?,CPU", "Mock.opps=half", KAPELL_BAD_PROVIDER_LIST,
                    "Mock has no option 'opps'; it has: ops, atomic|did you mean Mock.ops?");
  expect_open_error("Mock?,CPU", "Mock.device_id=7", KAPELL_BAD_PROVIDER_LIST,
                    "Mock.device_id is '7'; it takes a whole number from 0 to 1");
  expect_open_error("Mock?,CPU", "Mock.fail=rum", KAPELL_BAD_PROVIDER_LIST,
                    "Mock.fail is 'rum'; it takes one of: none, absent");
  expect_open_error(
      "CUDA,CPU", NULL, KAPELL_PROVIDER_UNAVAILABLE,
      "CUDA is listed and not available: Kapell has no provider for CUDA in this build");
}

static void test_no_room_on_the_device(void** state) {
  (void)state;
  kp_chain_run run;
  kp_test_expect(
      kp_chain_open(&run,
                    "in x float[2000] init w float[2000] = fill 1 y = Add(x, w) out y float[2000]",
                    "Mock,CPU", "Mock.memory=4096", NULL, NULL),
      KAPELL_OUT_OF_MEMORY,
      "Mock:0 has no room for the 8000 bytes of constant 'w'|copying constants of node 'y'|give it "
      "more with Mock.memory");
  kp_chain_close(&run);
}

// --- in a run ---------------------------------------------------------------------------------------------------------------------------
static void open_run(kp_chain_run* run, const char* providers, const char* settings,
                     kapell_on_failure policy, uint64_t timeout_ns) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.on_failure = policy;
  options.run_timeout_ns = timeout_ns;
  kp_test_must(kp_chain_open(run, MODEL, providers, settings, inputs, &options));
}

static void expect_nth_run_error(const char* settings, int nth, kapell_code code,
                                 const char* words) {
  kp_chain_run run;
  open_run(&run, "Mock,CPU", settings, KAPELL_ON_FAILURE_ERROR, 0);
  for (int i = 1; i <= nth + 1; ++i) {
    kapell_status* status = kp_chain_again(&run, NULL);
    if (i == nth) {
      kp_test_expect(status, code, words);
      continue;
    }
    kp_test_must(status);
    check_numbers(&run);
  }
  kapell_counters counters = {.struct_size = sizeof counters};
  kapell_session_counters(run.session, &counters);
  assert_int_equal(counters.runs, nth);
  assert_int_equal(counters.failed_runs, 1);
  assert_int_equal(counters.providers[0].failures, 1);
  kp_chain_close(&run);
}

static void test_fails_at_the_nth_run(void** state) {
  (void)state;
  static const char words[] =
      "KAPELL-E0404|Mock: launching partition 0 failed: an illegal memory access was encountered "
      "(code 700)|on_failure=continue starts such a run again without Mock";
  expect_nth_run_error("Mock.fail=run:3", 3, KAPELL_PROVIDER_FAILED, words);
  expect_nth_run_error("Mock.fail=run:3 Mock.streams=1", 3, KAPELL_PROVIDER_FAILED, words);
  expect_nth_run_error(
      "Mock.fail=copy:2", 1, KAPELL_PROVIDER_FAILED,
      "a copy of 24 bytes failed: bus error|copying 'y' between Mock:0 and the host");
  expect_nth_run_error(
      "Mock.fail=specialise:1", 1, KAPELL_PROVIDER_FAILED,
      "a dimension is outside the optimisation profile|computing shapes of partition 0 on Mock");
}

// The run starts again without the provider, with right numbers; it is counted and said once.
static void expect_failover(const char* settings) {
  kp_chain_run run;
  open_run(&run, "Mock,CPU", settings, KAPELL_ON_FAILURE_CONTINUE, 0);
  kp_test_log_begin();
  uint64_t failovers = 0;
  for (int i = 0; i < 4; ++i) {
    kp_test_must(kp_chain_again(&run, NULL));
    check_numbers(&run);
    failovers += run.counters.failovers;
  }
  kp_test_words(kp_test_log_end(), "Mock failed in a run and is left out from now on");
  assert_int_equal(failovers, 1);
  assert_int_equal(run.counters.copies, 0);
  kp_chain_close(&run);
}

static void test_failover(void** state) {
  (void)state;
  expect_failover("Mock.fail=run:2");
  expect_failover("Mock.fail=run:2 Mock.streams=1");
  expect_failover("Mock.fail=copy:3");
  expect_failover("Mock.fail=specialise");
}

static void test_hangs_until_the_time_limit(void** state) {
  (void)state;
  static const char* const settings[] = {"Mock.fail=hang:2", "Mock.fail=hang:2 Mock.streams=1"};
  for (size_t i = 0; i < 2; ++i) {
    kp_chain_run run;
    open_run(&run, "Mock,CPU", settings[i], KAPELL_ON_FAILURE_ERROR, 100000000);
    kp_test_must(kp_chain_again(&run, NULL));
    kp_test_expect(kp_chain_again(&run, NULL), KAPELL_TIMEOUT, "KAPELL-E0503");
    kp_test_must(kp_chain_again(&run, NULL));
    check_numbers(&run);
    kp_chain_close(&run);
  }
}

static void test_wrong_numbers(void** state) {
  (void)state;
  kp_chain_run run;
  open_run(&run, "Mock,CPU", "Mock.fail=wrong:2", KAPELL_ON_FAILURE_ERROR, 0);
  kp_test_must(kp_chain_again(&run, NULL));
  check_numbers(&run);
  kp_test_must(kp_chain_again(&run, NULL));
  assert_true(kapell_tensor_get_double(run.outputs[0], 0) != wanted[0]);
  kp_chain_close(&run);
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
      cmocka_unit_test(test_not_installed),
      cmocka_unit_test(test_broken_library),
      cmocka_unit_test(test_no_device),
      cmocka_unit_test(test_wrong_version),
      cmocka_unit_test(test_cannot_be_created),
      cmocka_unit_test(test_capability_fails),
      cmocka_unit_test(test_compile_fails),
      cmocka_unit_test(test_claims_nothing),
      cmocka_unit_test(test_unsupported_operator),
      cmocka_unit_test(test_mistakes_of_the_user),
      cmocka_unit_test(test_no_room_on_the_device),
      cmocka_unit_test(test_fails_at_the_nth_run),
      cmocka_unit_test(test_failover),
      cmocka_unit_test(test_hangs_until_the_time_limit),
      cmocka_unit_test(test_wrong_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_left);
}
