// Threads that a client makes for the environment's pool, in a process of its own, since there is one environment in each.
#include <pthread.h>

#include "dropin/dropin.h"

static int created, joined;

typedef struct work {
  OrtThreadWorkerFn function;
  void* param;
} work;

static void* thread_main(void* arg) {
  const work w = *(work*)arg;
  free(arg);
  w.function(w.param);
  return NULL;
}

static OrtCustomThreadHandle create_thread(void* options, OrtThreadWorkerFn function, void* param) {
  pthread_t* thread = malloc(sizeof *thread);
  work* w = malloc(sizeof *w);
  assert_ptr_equal(options, &created);
  *w = (work){function, param};
  __atomic_add_fetch(&created, 1, __ATOMIC_SEQ_CST);
  pthread_create(thread, NULL, thread_main, w);
  return (OrtCustomThreadHandle)(void*)thread;
}

static void join_thread(OrtCustomThreadHandle handle) {
  pthread_t* thread = (pthread_t*)(uintptr_t)handle;
  pthread_join(*thread, NULL);
  free(thread);
  __atomic_add_fetch(&joined, 1, __ATOMIC_SEQ_CST);
}

static void threads_of_the_client(void** state) {
  (void)state;
  OrtThreadingOptions* threading;
  OrtSessionOptions* options;
  OrtSession* session;
  ok(api->CreateThreadingOptions(&threading));
  ok(api->SetGlobalIntraOpNumThreads(threading, 3));
  ok(api->SetGlobalInterOpNumThreads(threading, 1));
  ok(api->SetGlobalCustomCreateThreadFn(threading, create_thread));
  ok(api->SetGlobalCustomThreadCreationOptions(threading, &created));
  ok(api->SetGlobalCustomJoinThreadFn(threading, join_thread));
  ok(api->CreateEnvWithGlobalThreadPools(ORT_LOGGING_LEVEL_ERROR, "test", threading, &env));
  api->ReleaseThreadingOptions(threading);
  assert_int_equal(created, 2);  // the caller's thread is the third
  ok(api->CreateSessionOptions(&options));
  ok(api->DisablePerSessionThreads(options));
  ok(dropin_open("in x float[N]\n y = Neg(x)\n out y float[N]\n", options, &session));
  assert_int_equal(created, 2);
  const char *in = "x", *out = "y";
  OrtValue *x = dropin_floats((const float[]){1, 2}, 2), *y = NULL;
  ok(api->Run(session, NULL, &in, (const OrtValue* const*)&x, 1, &out, 1, &y));
  dropin_expect(y, (const float[]){-1, -2}, 2);
  api->ReleaseValue(x);
  api->ReleaseValue(y);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  assert_int_equal(joined, 0);
  api->ReleaseEnv(env);
  assert_int_equal(joined, created);
}

// What cannot be had is an error of the environment, and nothing of it stays.
static void threads_that_cannot_be_had(void** state) {
  (void)state;
  static const struct {
    const char *affinities, *word;
  } wrong[] = {{"1", "does not equal"}, {"1;x", "only digits"}, {NULL, "join thread function"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    OrtThreadingOptions* threading;
    ok(api->CreateThreadingOptions(&threading));
    ok(api->SetGlobalIntraOpNumThreads(threading, 3));
    ok(api->SetGlobalInterOpNumThreads(threading, 1));
    if (wrong[i].affinities)
      ok(api->SetGlobalIntraOpThreadAffinity(threading, wrong[i].affinities));
    else
      ok(api->SetGlobalCustomCreateThreadFn(threading, create_thread));
    refused(api->CreateEnvWithGlobalThreadPools(ORT_LOGGING_LEVEL_ERROR, "test", threading, &env),
            wrong[i].word);
    api->ReleaseThreadingOptions(threading);
  }
}

static int load(void** state) {
  if (dropin_load(state)) return 1;
  api->ReleaseEnv(env);  // the test makes its own
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads_that_cannot_be_had),
                                     cmocka_unit_test(threads_of_the_client)};
  return cmocka_run_group_tests(tests, load, NULL);
}
