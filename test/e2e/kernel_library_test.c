// Providers that run by a library's kernels (test/plugins/kernels.c): numbers, places of values, packed filters, channels-last order, and
// every step at which such a library may fail.
#include <dlfcn.h>
#include <stdatomic.h>

#include "e2e/e2e.h"

#define LIBRARY KAPELL_BINARY_DIR "/test/plugins/libkernels.so"

typedef struct kernels_counters {
  atomic_int factories, providers, kernels, packed, allocators, transfers, blocks;
  atomic_int looks, shares, aliases, last_convs, first_convs, transposes, starts, ends;
} kernels_counters;
static kernels_counters* counters;

// Two convolutions with what lies between them, then a shape that the host computes with.
static const char* const net =
    "in x float[N,2,5,5]\n"
    "init w float[4,2,3,3] = random 3\n init b float[4] = random 4\n init v float[4,4,2,2] = "
    "random 5\n"
    "init one float[1] = 0.25\n init ends int64[2] = 0 -1\n"
    "c = Conv(x, w, b) pads=[1,1,1,1]\n r = Relu(c)\n a = Add(r, one)\n d = Conv(a, v)\n"
    "e = Add(d, d)\n s = Shape(e)\n f = Reshape(e, ends)\n g = Relu(f)\n"
    "out g float[N,M]\n out s int64[4]\n";

static int set_up(void** state) {
  (void)state;
  e2e_ok(kapell_provider_library_register("kern", LIBRARY));
  void* handle = dlopen(LIBRARY, RTLD_NOW);
  counters = handle ? dlsym(handle, "kernels_count") : NULL;
  assert_non_null(counters);
  assert_int_equal(counters->factories, 2);
  return 0;
}

static int tear_down(void** state) {
  (void)state;
  e2e_ok(kapell_provider_library_unregister("kern"));
  assert_int_equal(counters->factories, 0);
  assert_int_equal(counters->transfers, 0);
  return 0;
}

// --- sessions ---------------------------------------------------------------------------------------------------------------
typedef struct setting {
  const char *key, *value;
} setting;

static kapell_status* try_open(const char* text, const char* provider, const setting* settings,
                               kapell_session** out) {
  kapell_provider_option options[4];
  char keys[4][64];
  size_t count = 0, byte_count;
  for (; settings && settings[count].key; ++count) {
    snprintf(keys[count], sizeof keys[count], "%s.%s", provider, settings[count].key);
    options[count] = (kapell_provider_option){keys[count], settings[count].value};
  }
  kapell_options o = KAPELL_OPTIONS_INIT;
  o.providers = provider;
  o.provider_options = options;
  o.provider_option_count = count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  *out = NULL;
  kapell_status* status = kapell_session_open(bytes, byte_count, &o, out);
  free(bytes);
  return status;
}

// Runs |text| on |provider| and on the CPU: the same numbers. Everything that was made is gone after it.
static void compare(const char* text, const char* provider, const setting* settings) {
  kapell_session *theirs, *ours = e2e_open(text, NULL);
  kapell_value* input = kp_test_value("float[3,2,5,5] random 9");
  e2e_ok(try_open(text, provider, settings, &theirs));
  for (int run = 0; run < 3; ++run) {
    kapell_value *got[2] = {0}, *wanted[2] = {0};
    e2e_ok(e2e_run(theirs, &input, got));
    e2e_ok(e2e_run(ours, &input, wanted));
    for (size_t o = 0; o < kapell_session_output_count(ours); ++o) {
      e2e_close(got[o], wanted[o], 1e-5);
      kapell_value_release(got[o]);
      kapell_value_release(wanted[o]);
    }
  }
  kapell_value_release(input);
  kapell_session_close(theirs);
  kapell_session_close(ours);
  assert_int_equal(counters->providers, 0);
  assert_int_equal(counters->kernels, 0);
  assert_int_equal(counters->packed, 0);
  assert_int_equal(counters->blocks, 0);
  assert_int_equal(counters->starts, counters->ends);
}

static void reset(void) {
  counters->looks = counters->shares = counters->aliases = counters->last_convs = 0;
  counters->first_convs = counters->transposes = counters->starts = counters->ends = 0;
}

// --- tests ------------------------------------------------------------------------------------------------------------------
static void in_its_own_memory(void** state) {
  (void)state;
  reset();
  compare(net, "kernDevice", NULL);
  assert_int_equal(counters->first_convs, 6);
  assert_int_equal(counters->last_convs, 0);
  assert_int_equal(counters->transposes, 0);
  assert_int_equal(counters->aliases, 3);
  assert_int_equal(counters->shares, 0);
  assert_true(counters->starts >= 3);
}

static void in_host_memory(void** state) {
  (void)state;
  reset();
  compare(net, "kern", NULL);
  assert_int_equal(counters->first_convs, 6);
  assert_int_equal(counters->shares, 2);  // packed filters came back through the cache
}

static void channels_last(void** state) {
  static const setting nhwc[] = {{"layout", "nhwc"}, {0}};
  static const setting own_word[] = {{"layout", "nhwc"}, {"convert", "yes"}, {0}};
  static const setting none[] = {{"layout", "nhwc"}, {"convert", "no"}, {0}};
  (void)state;
  const setting* const kinds[] = {nhwc, own_word};
  for (int i = 0; i < 2; ++i) {
    reset();
    compare(net, "kernDevice", kinds[i]);
    assert_int_equal(counters->last_convs, 6);
    assert_int_equal(counters->first_convs, 0);
    // One as the image comes in, one behind the last Add: those between the convolutions have met.
    assert_int_equal(counters->transposes, 6);
    assert_int_equal(counters->looks, 2);
  }
  reset();
  compare(net, "kernDevice", none);
  assert_int_equal(counters->first_convs, 6);
  assert_int_equal(counters->looks, 1);
}

static void what_it_does_not_take_again_stays(void** state) {
  static const setting second[] = {{"layout", "nhwc"}, {"second", "no"}, {0}};
  (void)state;
  reset();
  compare(net, "kernDevice", second);
  assert_int_equal(counters->first_convs, 6);
  assert_int_equal(counters->last_convs, 0);
  assert_int_equal(counters->transposes, 0);
  // It has no kernel for Transpose-21, which the rewrite would need, and takes what it is shown as its own.
  static const setting greedy[] = {{"layout", "nhwc"}, {"greedy", "1"}, {0}};
  reset();
  compare(
      "opset 21\n in x float[N,2,5,5]\n init w float[4,2,3,3] = random 3\n c = Conv(x, w) "
      "pads=[1,1,1,1]\n"
      "r = Relu(c)\n out r float[N,4,A,B]\n",
      "kernDevice", greedy);
  assert_int_equal(counters->first_convs, 3);
  assert_int_equal(counters->looks, 2);
}

// Values cross between the library's memory and the host's in the middle of the graph, both ways.
static void with_gaps(void** state) {
  static const setting gaps[] = {{"without", "Relu"}, {0}};
  static const setting more[] = {{"without", "Add,Reshape"}, {"layout", "nhwc"}, {0}};
  (void)state;
  compare(net, "kernDevice", gaps);
  compare(net, "kernDevice", more);
  compare(net, "kern", gaps);
}

// A shape that a kernel of the library itself makes on the host; an input that is used in both places.
static void shapes_stay_on_the_host(void** state) {
  (void)state;
  reset();
  compare(
      "in x float[N,2,5,5]\n r = Relu(x)\n s = Shape(x)\n y = Reshape(r, s)\n out y "
      "float[A,B,C,D]\n",
      "kernDevice", NULL);
  assert_int_equal(counters->aliases, 0);  // the result is the run's own
  compare(
      "in x float[N,2,5,5]\n c = Concat(x, x) axis=1\n r = Relu(c)\n s = Shape(r)\n y = Reshape(r, "
      "s)\n"
      "z = Relu(y)\n out z float[A,B,C,D]\n out s int64[4]\n",
      "kernDevice", NULL);
}

static void empty_tensors(void** state) {
  (void)state;
  kapell_session* session;
  e2e_ok(
      try_open("in x float[N,3]\n y = Relu(x)\n out y float[N,3]\n", "kernDevice", NULL, &session));
  kapell_value *input = kp_test_value("float[0,3]"), *output = NULL;
  e2e_ok(e2e_run(session, &input, &output));
  assert_int_equal(kapell_tensor_count(output), 0);
  kapell_value_release(input);
  kapell_value_release(output);
  kapell_session_close(session);
}

// Failures while a session is made leave nothing behind.
static void failures_at_opening(void** state) {
  static const struct {
    const char *step, *words;
  } steps[] = {{"registry", "asked for kernels"},
               {"make", "makes a kernel"},
               {"pack", "when it packs"},
               {"nothing", "computes nothing"},
               {"add", "conflicts"}};
  (void)state;
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; ++i) {
    const setting failing[] = {{"fail", steps[i].step}, {0}};
    kapell_session* session;
    kapell_status* status = try_open(net, "kernDevice", failing, &session);
    assert_null(session);
    assert_non_null(status);
    if (!strstr(kapell_status_text(status), steps[i].words))
      fail_msg("no '%s' in: %s", steps[i].words, kapell_status_text(status));
    kapell_status_free(status);
    assert_int_equal(counters->providers, 0);
    assert_int_equal(counters->kernels, 0);
    assert_int_equal(counters->packed, 0);
    assert_int_equal(counters->blocks, 0);
  }
}

static void failures_in_runs(void** state) {
  static const struct {
    const char *step, *words;
  } steps[] = {{"compute", "when it computes"}, {"silent", "no kernel made"}};
  (void)state;
  for (size_t i = 0; i < 2; ++i) {
    const setting failing[] = {{"fail", steps[i].step}, {0}};
    kapell_session* session;
    kapell_value *input = kp_test_value("float[1,2,5,5] random 1"), *outputs[2] = {0};
    e2e_ok(try_open(net, "kernDevice", failing, &session));
    e2e_error(e2e_run(session, &input, outputs), KAPELL_PROVIDER_FAILED, steps[i].words, NULL);
    kapell_value_release(input);
    kapell_session_close(session);
    assert_int_equal(counters->blocks, 0);
  }
}

static void reasons_are_told(void** state) {
  (void)state;
  kapell_session* session;
  e2e_ok(
      try_open("in x float[N,3]\n in i int64[N]\n y = Relu(x)\n z = Abs(y)\n j = Add(i, i)\n out z "
               "float[N,3]\n"
               "out j int64[N]\n",
               "kernDevice", NULL, &session));
  char* report = NULL;
  e2e_ok(kapell_session_placement_text(session, &report));
  assert_non_null(report);
  assert_non_null(strstr(report, "the library registers no kernel for this operator"));
  assert_non_null(strstr(report, "takes no T 'i' of type int64"));
  kapell_free_text(report);
  kapell_session_close(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_its_own_memory), cmocka_unit_test(in_host_memory),
      cmocka_unit_test(channels_last),     cmocka_unit_test(what_it_does_not_take_again_stays),
      cmocka_unit_test(with_gaps),         cmocka_unit_test(shapes_stay_on_the_host),
      cmocka_unit_test(empty_tensors),     cmocka_unit_test(failures_at_opening),
      cmocka_unit_test(failures_in_runs),  cmocka_unit_test(reasons_are_told),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
