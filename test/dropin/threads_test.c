// One session run from sixteen threads, with outputs made and given, bindings and asynchronous runs among them; and sessions made and
// released in numbers. KAPELL_TEST_SECONDS and KAPELL_TEST_SESSIONS set how long and how many (the full tier: 60 and 10000).
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "dropin/rig.h"

#define THREADS 16

static long wanted(const char* variable, long otherwise) {
  const char* text = getenv(variable);
  return text && atol(text) > 0 ? atol(text) : otherwise;
}

typedef struct worker {
  OrtSession* session;
  uint64_t until_ns;
  int index;
  size_t runs;
  bool failed;
} worker;

static const char* const input_names[] = {"x"};
static const char* const output_names[] = {"y"};

static atomic_int pending;

static void on_done(void* user, OrtValue** outputs, size_t count, OrtStatus* status) {
  worker* w = user;
  if (status || count != 1) w->failed = true;
  if (count == 1) api->ReleaseValue(outputs[0]);
  api->ReleaseStatus(status);
  outputs[0] = NULL;
  atomic_fetch_sub(&pending, 1);
}

static bool run_once(worker* w, OrtValue* input, OrtValue* bound, float expected) {
  const OrtValue* inputs[] = {input};
  OrtValue* output = w->runs % 2 ? bound : NULL;
  if (api->Run(w->session, NULL, input_names, inputs, 1, output_names, 1, &output)) return false;
  void* data;
  if (api->GetTensorMutableData(output, &data) || ((float*)data)[5] != expected) return false;
  if (output != bound) api->ReleaseValue(output);
  return true;
}

static bool run_bound(worker* w, OrtValue* input, float expected) {
  OrtIoBinding* binding;
  OrtValue** outputs;
  size_t count;
  void* data;
  if (api->CreateIoBinding(w->session, &binding) || api->BindInput(binding, "x", input) ||
      api->BindOutputToDevice(binding, "y", rig_host) ||
      api->RunWithBinding(w->session, NULL, binding) ||
      api->GetBoundOutputValues(binding, rig_allocator, &outputs, &count) || count != 1 ||
      api->GetTensorMutableData(outputs[0], &data))
    return false;
  const bool good = ((float*)data)[5] == expected;
  api->ReleaseValue(outputs[0]);
  (void)api->AllocatorFree(rig_allocator, outputs);
  api->ReleaseIoBinding(binding);
  return good;
}

static bool run_async(worker* w, OrtValue* input) {
  const OrtValue* inputs[] = {input};
  OrtValue* outputs[1] = {NULL};
  atomic_fetch_add(&pending, 1);
  if (api->RunAsync(w->session, NULL, input_names, inputs, 1, output_names, 1, outputs, on_done, w))
    return false;
  while (atomic_load(&pending)) usleep(100);
  return true;
}

static void* work(void* arg) {
  worker* w = arg;
  float in[6], out[6];
  for (int i = 0; i < 6; ++i) in[i] = (float)(w->index - 8);
  const float expected = in[5] > 0 ? in[5] * 2 : 0;
  OrtValue* input = rig_tensor(RIG_FLOAT, in, sizeof in, 2, 3);
  OrtValue* bound = rig_tensor(RIG_FLOAT, out, sizeof out, 2, 3);
  while (!w->failed && kp_clock_ns() < w->until_ns) {
    w->failed = !run_once(w, input, bound, expected) ||
                (w->runs % 50 == 0 && !run_bound(w, input, expected)) ||
                (w->index == 0 && w->runs % 100 == 0 && !run_async(w, input));
    ++w->runs;
  }
  api->ReleaseValue(input);
  api->ReleaseValue(bound);
  return NULL;
}

static void test_sixteen_threads(void** state) {
  (void)state;
  OrtSessionOptions* options = rig_options();
  rig_ok(api->SetIntraOpNumThreads(options, 2));
  OrtSession* session =
      rig_open("in x float[N,3]\na = Relu(x)\ny = Add(a, a)\nout y float[N,3]\n", options);
  const uint64_t until = kp_clock_ns() + (uint64_t)wanted("KAPELL_TEST_SECONDS", 1) * 1000000000u;
  pthread_t threads[THREADS];
  worker workers[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    workers[i] = (worker){.session = session, .until_ns = until, .index = i};
    assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) {
    pthread_join(threads[i], NULL);
    assert_false(workers[i].failed);
    assert_true(workers[i].runs > 0);
  }
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

// What malloc has given out. Sanitizers have allocators of their own, and find leaks by themselves.
static size_t bytes_in_use(void) {
  return KP_ASAN || KP_TSAN || KP_MSAN ? 0 : mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void make_sessions(long count) {
  for (long i = 0; i < count; ++i) {
    OrtSession* session;
    rig_ok(api->CreateSession(rig_env, RIG_DIGITS, NULL, &session));
    api->ReleaseSession(session);
  }
}

static void test_sessions_do_not_grow(void** state) {
  (void)state;
  make_sessions(20);
  const size_t before = bytes_in_use();
  make_sessions(wanted("KAPELL_TEST_SESSIONS", 100));
  const size_t after = bytes_in_use();
  if (after > before + 65536)
    fprintf(stderr, "%zu bytes in use before, %zu after\n", before, after);
  assert_true(after <= before + 65536);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sixteen_threads),
      cmocka_unit_test(test_sessions_do_not_grow),
  };
  return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
