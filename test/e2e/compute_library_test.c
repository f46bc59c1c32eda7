// Providers of a library that compiles (test/plugins/compute.c): numbers, groups, memories, what it is told of runs, and every step at which
// such a library may fail.
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/alloc.h"
#include "support/chain_run.h"
#include "support/expect.h"
#include "support/model_text.h"

#define LIBRARY KAPELL_BINARY_DIR "/test/plugins/libcompute.so"

typedef struct compute_counters {
  atomic_int factories, providers, infos, states, allocators, transfers, blocks;
  atomic_int starts, ends, runs_now, most_runs;
  char last_tag[64];
  atomic_int streams, late;
} compute_counters;
static compute_counters* counters;

#define CHAIN                                                                                      \
  "in x float[N,3] init w float[3] = 1 2 3 a = Neg(x) b = Add(a, w) c = Abs(b) y = Mul(c, x) out " \
  "y float[N,3]"
#define MIXED                                                                                    \
  "in x float[N,3] init w float[3] = 1 2 3 a = Neg(x) b = Exp(a) c = Add(b, w) d = Relu(c) y = " \
  "Sub(d, x) out y float[N,3] out c float[N,3]"
// A path leaves its elementwise nodes and comes back.
#define CYCLIC "in x float[N,3] a = Neg(x) b = Exp(a) y = Sub(b, a) out y float[N,3]"
#define BRANCHES                                                                                   \
  "in x float[2,3] in p bool[] init w float[3] = 1 2 3 b = Neg(x) y = If(p) then_branch={ t = "    \
  "Add(b, w) u = Relu(t) out u float[2,3] } else_branch={ e = Sub(b, w) out e float[2,3] } out y " \
  "float[2,3]"
static const char* const inputs[] = {"float[2,3] 1 -2 3 -4 5 6", NULL};

static int set_up(void** state) {
  (void)state;
  kp_test_must(kapell_provider_library_register("comp", LIBRARY));
  void* handle = dlopen(LIBRARY, RTLD_NOW);
  counters = handle ? dlsym(handle, "compute_count") : NULL;
  assert_non_null(counters);
  assert_int_equal(counters->factories, 2);
  return 0;
}

static void check_empty(void) {
  assert_int_equal(counters->providers, 0);
  assert_int_equal(counters->infos, 0);
  assert_int_equal(counters->states, 0);
  assert_int_equal(counters->blocks, 0);
  assert_int_equal(counters->starts, counters->ends);
  assert_int_equal(counters->streams, 0);
}

static int tear_down(void** state) {
  (void)state;
  kp_test_must(kapell_provider_library_unregister("comp"));
  assert_int_equal(counters->factories, 0);
  assert_int_equal(counters->transfers, 0);
  assert_int_equal(counters->allocators, 0);
  return 0;
}

// --- numbers ------------------------------------------------------------------------------------------------------------------
// |model| gives on |providers| what it gives on the CPU, and nothing of it is left.
static void compare_on(const char* model, const char* providers, const char* settings,
                       const char* const* given) {
  kp_chain_run theirs, ours;
  kp_test_must(kp_chain_open(&theirs, model, providers, settings, given, NULL));
  kp_test_must(kp_chain_open(&ours, model, "CPU", NULL, given, NULL));
  kp_test_must(kp_chain_again(&ours, NULL));
  for (int run = 0; run < 2; ++run) {
    kp_test_must(kp_chain_again(&theirs, NULL));
    const char* words = kp_chain_compare(&theirs, &ours);
    if (words) fail_msg("%s with %s: %s", providers, settings ? settings : "nothing", words);
  }
  assert_int_equal(theirs.counters.failovers, 0);
  kp_chain_close(&theirs);
  kp_chain_close(&ours);
  check_empty();
}

static void test_numbers(void** state) {
  (void)state;
  static const char* const settings[] = {NULL, "group=each", "drop=1", "null_state=1", "alone=1"};
  for (size_t i = 0; i < sizeof settings / sizeof settings[0]; ++i) {
    char host[64] = "", device[64] = "";
    if (settings[i]) snprintf(host, sizeof host, "comp.%s", settings[i]);
    if (settings[i]) snprintf(device, sizeof device, "compDevice.%s", settings[i]);
    compare_on(CHAIN, "comp>=100%nodes,CPU", host, inputs);
    compare_on(CHAIN, "compDevice>=100%nodes,CPU", device, inputs);
    compare_on(MIXED, "comp,CPU", host, inputs);
    compare_on(MIXED, "compDevice,CPU", device, inputs);
  }
  compare_on(MIXED, "comp,compDevice,CPU", "comp.ops=Neg,Relu", inputs);
  compare_on(MIXED, "compDevice,comp,CPU", "compDevice.ops=Neg,Relu", inputs);
}

// Results that come by a stream: what reads them waits, on the host, in another partition, on another device.
static void test_streams(void** state) {
  (void)state;
  const int before = counters->late;
  compare_on(CHAIN, "compDevice>=100%nodes,CPU", "compDevice.stream=1", inputs);
  assert_true(counters->late > before);
  compare_on(CHAIN, "compDevice>=100%nodes,CPU", "compDevice.stream=1 compDevice.group=each",
             inputs);
  compare_on(MIXED, "compDevice,CPU", "compDevice.stream=1", inputs);
  compare_on(MIXED, "compDevice,comp,CPU", "compDevice.stream=1 compDevice.ops=Neg,Relu", inputs);
  const char* const yes[] = {inputs[0], "bool[] 1", NULL};
  compare_on(BRANCHES, "compDevice,CPU", "compDevice.stream=1", yes);
}

static void test_branches(void** state) {
  (void)state;
  for (int p = 0; p < 2; ++p) {
    const char* const given[] = {inputs[0], p ? "bool[] 1" : "bool[] 0", NULL};
    compare_on(BRANCHES, "comp,CPU", NULL, given);
    compare_on(BRANCHES, "compDevice,CPU", NULL, given);
  }
}

static void test_shapes(void** state) {
  (void)state;
  static const char* const shapes[] = {"float[0,3]", "float[1,3] 1 2 3", "float[4,3] fill 2"};
  for (size_t i = 0; i < 3; ++i) {
    const char* const given[] = {shapes[i], NULL};
    compare_on(CHAIN, "comp,CPU", NULL, given);
    compare_on(CHAIN, "compDevice,CPU", NULL, given);
  }
  // A shape that the model states is planned before the run.
  compare_on("in x float[2,3] y = Neg(x) out y float[2,3]", "comp,CPU", NULL, inputs);
}

// A library that prefers channels-last order compiles the partition in it.
static void test_channels_last(void** state) {
  (void)state;
  static const char* const images[] = {"float[2,3,2,2] random 7", NULL};
  static const char* const model =
      "in x float[N,3,H,W] init s float[] = 2 a = Neg(x) g = GlobalAveragePool(a) b = Mul(g, s) h "
      "= "
      "GlobalAveragePool(b) y = Abs(h) out y float[N,3,1,1] out b float[N,3,1,1]";
  compare_on(model, "comp>=100%nodes,CPU", "comp.nhwc=1", images);
  compare_on(model, "compDevice>=100%nodes,CPU", "compDevice.nhwc=1 compDevice.drop=1", images);
  compare_on(CHAIN, "comp>=100%nodes,CPU", "comp.nhwc=1", inputs);
  compare_on("in x float[N,3,H,W] a = Neg(x) e = Exp(a) y = Add(e, x) out y float[N,3,H,W]",
             "comp,CPU", "comp.nhwc=1", images);
}

// --- claims --------------------------------------------------------------------------------------------------------------------
static void expect_on_cpu(const char* model, const char* settings, const char* report) {
  kp_chain_run run, ours;
  kp_test_log_begin();
  kp_test_must(kp_chain_open(&run, model, "comp?,CPU", settings, inputs, NULL));
  kp_test_must(kp_chain_open(&ours, model, "CPU", NULL, inputs, NULL));
  kp_test_must(kp_chain_again(&run, NULL));
  kp_test_must(kp_chain_again(&ours, NULL));
  (void)kp_test_log_end();
  assert_null(kp_chain_compare(&run, &ours));
  char* text = NULL;
  kp_test_must(kapell_session_placement_text(run.session, &text));
  kp_test_words(text, report);
  kapell_free_text(text);
  kp_chain_close(&run);
  kp_chain_close(&ours);
  check_empty();
}

static void test_claims(void** state) {
  (void)state;
  // A group that a path leaves and comes back to cannot run in one go.
  expect_on_cpu(CYCLIC, NULL,
                "its group of 2 nodes cannot run in one go: 'y' needs what nodes outside make");
  expect_on_cpu(MIXED, "comp.group=all", "its group of 4 nodes cannot run in one go: ");
  expect_on_cpu(CHAIN, "comp.fail=foreign", "asked what it can run it says: |is not of the graph");
  expect_on_cpu(CHAIN, "comp.fail=capability", "it was told to fail when asked");
  expect_on_cpu(MIXED, "comp.fail=twice", "comp");
  expect_on_cpu(MIXED, "comp.talk=1", "has an operator that it lacks");
  expect_on_cpu(MIXED, NULL, "gives no reason");
}

// --- failures ------------------------------------------------------------------------------------------------------------------
static void expect_open(const char* step, kapell_code code, const char* words) {
  char settings[64];
  kp_chain_run run;
  snprintf(settings, sizeof settings, "comp.fail=%s", step);
  kp_test_expect(kp_chain_open(&run, CHAIN, "comp,CPU", settings, inputs, NULL), code, words);
  kp_chain_close(&run);
  check_empty();
  expect_on_cpu(CHAIN, settings, "comp?");
}

static void test_failures_at_opening(void** state) {
  (void)state;
  expect_open("create", KAPELL_PROVIDER_UNAVAILABLE, "it was told to fail when it is made|comp");
  expect_open("empty", KAPELL_PROVIDER_UNAVAILABLE, "CreateEp gave no provider");
  expect_open("name", KAPELL_PROVIDER_UNAVAILABLE, "a provider called 'Somebody'");
  expect_open("compile", KAPELL_PROVIDER_FAILED,
              "it was told to fail when it compiles|compiling partition 0 (4 nodes) for comp");
  expect_open("nothing", KAPELL_PROVIDER_FAILED, "Compile gave nothing that computes");
  expect_open("state", KAPELL_PROVIDER_FAILED, "it was told to fail when it makes its state");
}

static void expect_run(const char* step, kapell_code code, const char* words) {
  char settings[64];
  kp_chain_run run, ours;
  kapell_options options = KAPELL_OPTIONS_INIT;
  snprintf(settings, sizeof settings, "comp.fail=%s", step);
  kp_test_must(kp_chain_open(&run, CHAIN, "comp,CPU", settings, inputs, &options));
  kp_test_expect(kp_chain_again(&run, NULL), code, words);
  kp_chain_close(&run);
  check_empty();
  options.on_failure = KAPELL_ON_FAILURE_CONTINUE;
  kp_test_log_begin();
  kp_test_must(kp_chain_open(&run, CHAIN, "comp,CPU", settings, inputs, &options));
  kp_test_must(kp_chain_open(&ours, CHAIN, "CPU", NULL, inputs, NULL));
  kp_test_must(kp_chain_again(&run, NULL));
  kp_test_must(kp_chain_again(&ours, NULL));
  kp_test_words(kp_test_log_end(), "comp failed in a run and is left out from now on");
  assert_null(kp_chain_compare(&run, &ours));
  assert_int_equal(run.counters.failovers, 1);
  kp_chain_close(&run);
  kp_chain_close(&ours);
  check_empty();
}

static void test_failures_in_runs(void** state) {
  (void)state;
  expect_run(
      "compute", KAPELL_PROVIDER_FAILED,
      "comp, running: it was told to fail when it computes|running partition 0 (4 nodes) on comp");
  expect_run("silent", KAPELL_PROVIDER_FAILED, "comp did not make output 'y'");
  expect_run("start", KAPELL_PROVIDER_FAILED,
             "it was told to fail as a run starts|beginning a run on comp");
  expect_run("end", KAPELL_PROVIDER_FAILED,
             "it was told to fail as a run ends|ending a run on comp");
}

// --- runs ----------------------------------------------------------------------------------------------------------------------
static void test_tags(void** state) {
  (void)state;
  kp_chain_run run;
  kapell_run_options options = KAPELL_RUN_OPTIONS_INIT;
  static const kapell_config_entry entries[] = {{"a.key", "a value"}, {"no value", NULL}};
  const int before = counters->starts;
  kp_test_must(kp_chain_open(&run, MIXED, "comp,CPU", NULL, inputs, NULL));
  options.tag = "evening";
  options.config_entries = entries;
  options.config_entry_count = 1;
  kp_test_must(kp_chain_again(&run, &options));
  assert_string_equal(counters->last_tag, "evening");
  assert_int_equal(counters->starts, before + 1);  // once a run, of however many partitions
  options.config_entry_count = 2;
  kp_test_expect(kp_chain_again(&run, &options), KAPELL_INVALID_ARGUMENT,
                 "config_entries[1] has no key or no value");
  kp_chain_close(&run);
  check_empty();
}

static void test_cancel(void** state) {
  (void)state;
  kp_chain_run run;
  kapell_run_options options = KAPELL_RUN_OPTIONS_INIT;
  kp_test_must(kapell_cancel_create(&options.cancel));
  kp_test_must(kp_chain_open(&run, CHAIN, "comp,CPU", NULL, inputs, NULL));
  kapell_cancel_request(options.cancel);
  kp_test_expect(kp_chain_again(&run, &options), KAPELL_CANCELLED, "");
  kapell_cancel_reset(options.cancel);
  kp_test_must(kp_chain_again(&run, &options));
  kp_chain_close(&run);
  kapell_cancel_release(options.cancel);
  check_empty();
}

typedef struct worker {
  kapell_session* session;
  pthread_t thread;
  const char* words;
} worker;

static void* work(void* user) {
  worker* w = user;
  for (int i = 0; i < 20 && !w->words; ++i) {
    kapell_value *x = kp_test_value(inputs[0]), *y = NULL;
    kapell_status* status = kapell_session_run(w->session, NULL, NULL, &x, 1, NULL, &y, 1);
    if (status) w->words = "a run failed";
    if (!status && kapell_tensor_get_double(y, 3) != -4 * 5) w->words = "a wrong number";
    kapell_status_free(status);
    kapell_value_release(x);
    kapell_value_release(y);
  }
  return NULL;
}

static void run_together(const char* settings, const char* provider) {
  worker workers[4] = {{0}};
  kp_chain_run run;
  counters->most_runs = 0;
  kp_test_must(kp_chain_open(&run, CHAIN, provider, settings, NULL, NULL));
  for (int i = 0; i < 4; ++i) {
    workers[i].session = run.session;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < 4; ++i) {
    pthread_join(workers[i].thread, NULL);
    if (workers[i].words) fail_msg("%s", workers[i].words);
  }
  kp_chain_close(&run);
  check_empty();
}

static void test_threads(void** state) {
  (void)state;
  run_together("comp.sleep_ms=1", "comp,CPU");
  assert_true(counters->most_runs > 1);
  run_together("compDevice.sleep_ms=1", "compDevice,CPU");
  run_together("comp.sleep_ms=1 comp.alone=1", "comp,CPU");
  assert_int_equal(counters->most_runs, 1);
}

// The library goes when the last session of it does.
static void test_unregistered_while_in_use(void** state) {
  (void)state;
  kp_chain_run run;
  kp_test_must(kp_chain_open(&run, CHAIN, "comp,CPU", NULL, inputs, NULL));
  kp_test_must(kapell_provider_library_unregister("comp"));
  kp_test_must(kp_chain_again(&run, NULL));
  kp_chain_close(&run);
  assert_int_equal(counters->factories, 0);
  kp_test_must(kapell_provider_library_register("comp", LIBRARY));
}

static void test_failing_allocations(void** state) {
  (void)state;
  size_t byte_count;
  char* bytes = kp_test_model(MIXED, 17, &byte_count);
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.providers = "compDevice,CPU";
  bool failed = true;
  for (uint64_t nth = 1; failed && nth < 20000; nth += nth < 400 ? 3 : 17) {
    kapell_session* session = NULL;
    kp_alloc_fail_at(nth);
    kapell_status* status = kapell_session_open(bytes, byte_count, &options, &session);
    failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status) kp_test_expect(status, KAPELL_OUT_OF_MEMORY, "");
    kapell_session_close(session);
    check_empty();
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_streams),
      cmocka_unit_test(test_branches),
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_channels_last),
      cmocka_unit_test(test_claims),
      cmocka_unit_test(test_failures_at_opening),
      cmocka_unit_test(test_failures_in_runs),
      cmocka_unit_test(test_tags),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_unregistered_while_in_use),
      cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
