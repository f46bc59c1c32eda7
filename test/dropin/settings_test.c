// Settings of sessions and runs that a client can tell by what happens: threads, denormal numbers, logs, profiles, memory, names that come twice,
// versions that are too new; values that are taken apart.
#include "dropin/dropin.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static OrtSessionOptions* options_with(const char* key, const char* value) {
  OrtSessionOptions* options;
  ok(api->CreateSessionOptions(&options));
  if (key) ok(api->AddSessionConfigEntry(options, key, value));
  return options;
}

#define DOUBLE "in x float[N]\n y = Add(x, x)\n out y float[N]\n"

static OrtSession* open_double(OrtSessionOptions* options) {
  OrtSession* session;
  ok(dropin_open(DOUBLE, options, &session));
  api->ReleaseSessionOptions(options);
  return session;
}

static OrtStatus* run_double(OrtSession* session, const OrtRunOptions* options, const OrtValue* x,
                             OrtValue** y) {
  const char *in = "x", *out = "y";
  *y = NULL;
  return api->Run(session, options, &in, &x, 1, &out, 1, y);
}

// Runs on {1, 2} and looks at what comes.
static void expect_double(OrtSession* session, const OrtRunOptions* options) {
  OrtValue *x = dropin_floats((const float[]){1, 2}, 2), *y;
  ok(run_double(session, options, x, &y));
  dropin_expect(y, (const float[]){2, 4}, 2);
  api->ReleaseValue(x);
  api->ReleaseValue(y);
}

// --- denormal numbers --------------------------------------------------------------------------------------------------------------
enum { kMany = 1 << 20 };

// Doubles many denormal numbers, so that all threads take part; how many results are 0.
static size_t count_zeros(OrtSession* session) {
  const int64_t dims[] = {kMany};
  float* numbers = malloc(kMany * sizeof *numbers);
  for (size_t i = 0; i < kMany; ++i) numbers[i] = 1e-40f;
  OrtValue *x = dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 1, numbers,
                              kMany * sizeof *numbers),
           *y;
  void* data;
  size_t zeros = 0;
  ok(run_double(session, NULL, x, &y));
  ok(api->GetTensorMutableData(y, &data));
  for (size_t i = 0; i < kMany; ++i) zeros += ((const float*)data)[i] == 0;
  api->ReleaseValue(x);
  api->ReleaseValue(y);
  free(numbers);
  return zeros;
}

static void denormals_are_zero_where_asked(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;  // there the first session decides for all
  OrtSessionOptions* options = options_with("session.set_denormal_as_zero", "1");
  ok(api->SetIntraOpNumThreads(options, 3));
  OrtSession *flushing = open_double(options), *plain = open_double(options_with(NULL, NULL));
  assert_int_equal(count_zeros(plain), 0);
  assert_int_equal(count_zeros(flushing), kMany);
  volatile float tiny = 1e-40f;
  assert_true(tiny + tiny != 0);  // the caller's arithmetic is its own again
  assert_int_equal(count_zeros(plain), 0);
  api->ReleaseSession(flushing);
  api->ReleaseSession(plain);
}

// --- threads -----------------------------------------------------------------------------------------------------------------------
static int created, joined;

typedef struct start {
  void (*work)(void* arg);
  void* arg;
} start;

static void* run_start(void* arg) {
  const start s = *(start*)arg;
  free(arg);
  s.work(s.arg);
  return NULL;
}

static OrtCustomThreadHandle create_thread(void* user, OrtThreadWorkerFn work, void* arg) {
  (void)user;
  start* s = malloc(sizeof *s);
  pthread_t thread;
  *s = (start){work, arg};
  ++created;
  pthread_create(&thread, NULL, run_start, s);
  return (OrtCustomThreadHandle)(uintptr_t)thread;
}

static void join_thread(OrtCustomThreadHandle handle) {
  pthread_join((pthread_t)(uintptr_t)handle, NULL);
  ++joined;
}

static int threads_made(ExecutionMode mode, int intra, int inter) {
  OrtSessionOptions* options = options_with(NULL, NULL);
  created = joined = 0;
  ok(api->SetSessionExecutionMode(options, mode));
  ok(api->SetIntraOpNumThreads(options, intra));
  ok(api->SetInterOpNumThreads(options, inter));
  ok(api->SessionOptionsSetCustomCreateThreadFn(options, create_thread));
  ok(api->SessionOptionsSetCustomJoinThreadFn(options, join_thread));
  OrtSession* session = open_double(options);
  expect_double(session, NULL);
  assert_int_equal(joined, 0);
  api->ReleaseSession(session);
  assert_int_equal(joined, created);
  return created;
}

static OrtCustomThreadHandle create_nothing(void* user, OrtThreadWorkerFn work, void* arg) {
  (void)user, (void)work, (void)arg;
  return NULL;
}

// Threads that a client makes are its session's alone, and there when it is; two sessions have two sets of them.
static void threads_of_a_session(void** state) {
  (void)state;
  OrtSessionOptions* options = options_with(NULL, NULL);
  OrtSession *session, *second, *plain;
  ok(api->SetIntraOpNumThreads(options, 3));
  ok(dropin_open(DOUBLE, options, &plain));
  ok(api->SessionOptionsSetCustomCreateThreadFn(options, create_thread));
  refused(dropin_open(DOUBLE, options, &session), "custom join thread function not set");
  ok(api->SessionOptionsSetCustomJoinThreadFn(options, join_thread));
  created = joined = 0;
  ok(dropin_open(DOUBLE, options, &session));
  assert_int_equal(created, 2);
  ok(dropin_open(DOUBLE, options, &second));
  assert_int_equal(created, 4);
  expect_double(session, NULL);
  expect_double(second, NULL);
  expect_double(plain, NULL);
  api->ReleaseSession(session);
  assert_int_equal(joined, 2);
  expect_double(second, NULL);
  api->ReleaseSession(plain);
  assert_int_equal(joined, 2);
  api->ReleaseSession(second);
  assert_int_equal(joined, 4);
  ok(api->SessionOptionsSetCustomCreateThreadFn(options, create_nothing));
  refused(dropin_open(DOUBLE, options, &session), "returned invalid handle");
  assert_int_equal(created, 4);
  api->ReleaseSessionOptions(options);
}

// What is handed to the threads of a session that was made since is told: begun and ended, or withdrawn.
static struct { int enqueued, started, stopped, abandoned; } told;
#define TELL(what) __atomic_add_fetch(&told.what, 1, __ATOMIC_SEQ_CST)
static void* tell_enqueued(void* user) {
  TELL(enqueued);
  return user;
}
static void tell_started(void* user, void* token) {
  if (token == user) TELL(started);
}
static void tell_stopped(void* user, void* token) {
  if (token == user) TELL(stopped);
}
static void tell_abandoned(void* user, void* token) {
  if (token == user) TELL(abandoned);
}

static void threads_are_watched(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;  // releases of ONNX Runtime are built without
  OrtSessionOptions* options = options_with(NULL, NULL);
  OrtSession* session;
  OrtThreadPoolCallbacksConfig config = {.version = 7,
                                         .on_enqueue = tell_enqueued,
                                         .on_start_work = tell_started,
                                         .on_stop_work = tell_stopped,
                                         .on_abandon = tell_abandoned,
                                         .user_context = &told};
  ok(api->SetIntraOpNumThreads(options, 3));
  refused(api->SetPerSessionThreadPoolCallbacks(env, NULL), "config must not be null");
  refused(api->SetPerSessionThreadPoolCallbacks(env, &config), "version");
  config.version = ORT_API_VERSION;
  ok(api->SetPerSessionThreadPoolCallbacks(env, &config));
  ok(dropin_open(DOUBLE, options, &session));
  for (int i = 0; i < 5; ++i) (void)count_zeros(session);
  api->ReleaseSession(session);
  assert_true(told.enqueued > 0);
  assert_int_equal(told.started, told.stopped);
  assert_int_equal(told.enqueued, told.started + told.abandoned);
  config = (OrtThreadPoolCallbacksConfig){.version = ORT_API_VERSION};
  ok(api->SetPerSessionThreadPoolCallbacks(env, &config));  // nobody is told any more
  const int before = told.enqueued;
  ok(dropin_open(DOUBLE, options, &session));
  (void)count_zeros(session);
  api->ReleaseSession(session);
  assert_int_equal(told.enqueued, before);
  api->ReleaseSessionOptions(options);
}

static void threads_between_nodes_work_within_them(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;
  assert_int_equal(threads_made(ORT_SEQUENTIAL, 1, 4), 0);
  assert_int_equal(threads_made(ORT_SEQUENTIAL, 3, 1), 2);
  assert_int_equal(threads_made(ORT_PARALLEL, 1, 4), 3);
  assert_int_equal(threads_made(ORT_PARALLEL, 3, 2), 2);
}

// Threads of this process that may run on |processor| alone.
static int threads_bound_to(int processor) {
  int found = 0;
  DIR* folder = opendir("/proc/self/task");
  assert_non_null(folder);
  for (const struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    cpu_set_t set;
    if (entry->d_name[0] == '.' || sched_getaffinity(atoi(entry->d_name), sizeof set, &set) != 0)
      continue;
    found += CPU_COUNT(&set) == 1 && CPU_ISSET(processor, &set);
  }
  closedir(folder);
  return found;
}

static OrtStatus* open_bound(const char* affinities, OrtSession** out) {
  OrtSessionOptions* options = options_with("session.intra_op_thread_affinities", affinities);
  ok(api->SetIntraOpNumThreads(options, 2));
  OrtStatus* status = dropin_open(DOUBLE, options, out);
  api->ReleaseSessionOptions(options);
  return status;
}

static void threads_run_where_they_are_told(void** state) {
  (void)state;
  static const struct {
    const char *text, *word;
  } wrong[] = {{"", "must not be empty"}, {"x", "only digits"}, {"0", "start from 1"},
               {"1;1", "does not equal"}, {"2-1", "interval"},  {"1 ", "only digits"}};
  cpu_set_t all;
  OrtSession* session;
  char text[16];
  int processor = 0;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i)
    refused(open_bound(wrong[i].text, &session), wrong[i].word);
  sched_getaffinity(0, sizeof all, &all);
  if (CPU_COUNT(&all) < 2) return;  // a thread that is bound would look like all others
  while (!CPU_ISSET(processor, &all)) ++processor;
  snprintf(text, sizeof text, "%d", processor + 1);
  assert_int_equal(threads_bound_to(processor), 0);
  ok(open_bound(text, &session));
  assert_int_equal(threads_bound_to(processor), 1);
  expect_double(session, NULL);
  api->ReleaseSession(session);
}

static void spinning_changes_no_result(void** state) {
  (void)state;
  OrtSessionOptions* options = options_with("session.intra_op.allow_spinning", "0");
  ok(api->SetIntraOpNumThreads(options, 3));
  OrtSession* session = open_double(options);
  for (int i = 0; i < 20; ++i) expect_double(session, NULL);
  if (dropin_is_ours()) assert_int_equal(count_zeros(session), 0);
  api->ReleaseSession(session);
}

// --- a run's memory, log and profile ----------------------------------------------------------------------------------------------
static void memory_is_given_back(void** state) {
  (void)state;
  OrtSessionOptions* options = options_with(NULL, NULL);
  OrtRunOptions* run;
  ok(api->CreateRunOptions(&run));
  OrtSession* session = open_double(options);
  ok(api->AddRunConfigEntry(run, "memory.enable_memory_arena_shrinkage", "cpu:0"));
  for (int i = 0; i < 3; ++i) expect_double(session, i % 2 ? run : NULL);
  static const char* const wrong[] = {"gpu:0", "cpu:1", "tpu:0", "cpu:0;x"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    OrtValue *x = dropin_floats((const float[]){1, 2}, 2), *y;
    ok(api->AddRunConfigEntry(run, "memory.enable_memory_arena_shrinkage", wrong[i]));
    refused(run_double(session, run, x, &y), "memory arena shrink list");
    api->ReleaseValue(x);
  }
  api->ReleaseSession(session);
  api->ReleaseRunOptions(run);
  options = options_with(NULL, NULL);
  ok(api->DisableCpuMemArena(options));
  ok(api->DisableMemPattern(options));
  session = open_double(options);
  for (int i = 0; i < 3; ++i) expect_double(session, NULL);
  api->ReleaseSession(session);
}

typedef struct heard {
  int count;
  char id[64], message[256];
} heard;

static void listen(void* param, OrtLoggingLevel severity, const char* category, const char* id,
                   const char* location, const char* message) {
  heard* h = param;
  (void)severity, (void)category, (void)location;
  if (!strstr(message, "left out from now on")) return;
  ++h->count;
  snprintf(h->id, sizeof h->id, "%s", id);
  snprintf(h->message, sizeof h->message, "%s", message);
}

// One run in which a provider fails and is left out, which is a warning.
static heard run_and_listen(const char* tag, int severity) {
  heard h = {0};
  OrtRunOptions* run;
  OrtSessionOptions* options = options_with(NULL, NULL);
  ok(api->CreateRunOptions(&run));
  ok(api->RunOptionsSetRunTag(run, tag));
  ok(api->RunOptionsSetRunLogSeverityLevel(run, severity));
  ok(api->SetSessionLogId(options, "session"));
  ok(api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_WARNING));
  ok(api->SetUserLoggingFunction(options, listen, &h));
  OrtSession* session = open_double(options);
  expect_double(session, run);
  api->ReleaseSession(session);
  api->ReleaseRunOptions(run);
  return h;
}

static void a_run_has_its_own_words_in_the_log(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;  // the mock provider makes what is logged
  char path[] = "/tmp/kapell-settings-XXXXXX";
  const int file = mkstemp(path);
  static const char config[] =
      "{\"on_failure\": \"continue\", \"provider_options\": {\"Mock.fail\": \"run:1\"}}";
  assert_int_equal(write(file, config, strlen(config)), (int)strlen(config));
  close(file);
  setenv("KAPELL_CONFIG", path, 1);
  setenv("KAPELL_PROVIDERS", "Mock,CPU", 1);
  heard h = run_and_listen("", -1);
  assert_int_equal(h.count, 1);
  assert_string_equal(h.id, "session");
  h = run_and_listen("run 7", -1);
  assert_int_equal(h.count, 1);
  assert_string_equal(h.id, "session:run 7");
  assert_int_equal(run_and_listen("x", ORT_LOGGING_LEVEL_ERROR).count, 0);
  unsetenv("KAPELL_CONFIG");
  unsetenv("KAPELL_PROVIDERS");
  unlink(path);
}

static void severities_are_checked(void** state) {
  (void)state;
  OrtRunOptions* run;
  OrtSession *session = open_double(options_with(NULL, NULL)), *none;
  OrtValue *x = dropin_floats((const float[]){1, 2}, 2), *y;
  ok(api->CreateRunOptions(&run));
  ok(api->RunOptionsSetRunLogSeverityLevel(run, 5));
  refused(run_double(session, run, x, &y), "Invalid run log severity level");
  OrtSessionOptions* options = options_with(NULL, NULL);
  ok(api->SetSessionLogSeverityLevel(options, 9));
  refused(dropin_open(DOUBLE, options, &none), "Invalid session log severity level");
  api->ReleaseSessionOptions(options);
  api->ReleaseValue(x);
  api->ReleaseRunOptions(run);
  api->ReleaseSession(session);
}

// The text of the only file in |folder|, which goes; NULL if there is none.
static char* take_file(const char* folder) {
  char path[512] = "", *text = NULL;
  DIR* d = opendir(folder);
  for (const struct dirent* entry; (entry = readdir(d)) != NULL;)
    if (entry->d_name[0] != '.') snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
  closedir(d);
  FILE* file = path[0] ? fopen(path, "r") : NULL;
  if (!file) return NULL;
  text = calloc(1, 1 << 16);
  assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
  fclose(file);
  unlink(path);
  return text;
}

static void a_run_has_a_profile_of_its_own(void** state) {
  (void)state;
  char folder[] = "/tmp/kapell-settings-XXXXXX", prefix[64];
  assert_non_null(mkdtemp(folder));
  snprintf(prefix, sizeof prefix, "%s/run", folder);
  OrtRunOptions* run;
  OrtSession* session = open_double(options_with(NULL, NULL));
  ok(api->CreateRunOptions(&run));
  ok(api->RunOptionsEnableProfiling(run, prefix));
  expect_double(session, NULL);
  assert_null(take_file(folder));
  expect_double(session, run);
  char* text = take_file(folder);
  assert_non_null(text);
  assert_non_null(strstr(text, "\"Add\""));
  free(text);
  ok(api->RunOptionsDisableProfiling(run));
  expect_double(session, run);
  assert_null(take_file(folder));
  rmdir(folder);
  api->ReleaseRunOptions(run);
  api->ReleaseSession(session);
}

static void policies_select_devices(void** state) {
  (void)state;
  for (int policy = 0; policy <= OrtExecutionProviderDevicePolicy_MIN_OVERALL_POWER; ++policy) {
    OrtSessionOptions* options = options_with(NULL, NULL);
    ok(api->SessionOptionsSetEpSelectionPolicy(options, (OrtExecutionProviderDevicePolicy)policy));
    OrtSession* session = open_double(options);
    expect_double(session, NULL);
    api->ReleaseSession(session);
  }
}

static void an_arena_has_a_limit(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;  // there weights and small tensors go past it
  OrtSession* session;
  OrtMemoryInfo* info;
  OrtArenaCfg* arena;
  const char* key = "max_mem";
  const size_t limit = 64;
  ok(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &info));
  ok(api->CreateArenaCfgV2(&key, &limit, 1, &arena));
  ok(api->CreateAndRegisterAllocator(env, info, arena));
  session = open_double(options_with(NULL, NULL));
  expect_double(session, NULL);
  api->ReleaseSession(session);
  OrtSessionOptions* options = options_with("session.use_env_allocators", "1");
  refused(dropin_open(DOUBLE, options, &session), "memory limit of 64 bytes");
  api->ReleaseSessionOptions(options);
  ok(api->UnregisterAllocator(env, info));
  api->ReleaseArenaCfg(arena);
  api->ReleaseMemoryInfo(info);
}

// --- names that come twice ----------------------------------------------------------------------------------------------------------
static void names_may_come_twice(void** state) {
  (void)state;
  OrtSession* session = open_double(options_with(NULL, NULL));
  OrtValue *x = dropin_floats((const float[]){1, 2}, 2),
           *z = dropin_floats((const float[]){3, 4}, 2);
  const char *ins[] = {"x", "x"}, *outs[] = {"y", "y", "y"};
  const OrtValue* given[] = {x, z};
  OrtValue* made[3] = {NULL};
  ok(api->Run(session, NULL, ins, given, 1, outs, 3, made));
  for (int i = 0; i < 3; ++i) {
    dropin_expect(made[i], (const float[]){2, 4}, 2);
    api->ReleaseValue(made[i]);
    made[i] = NULL;
  }
  ok(api->Run(session, NULL, ins, given, 2, outs, 1, made));
  dropin_expect(made[0], (const float[]){6, 8}, 2);
  api->ReleaseValue(made[0]);
  const char* mixed[] = {"y", "q", "y"};
  made[0] = NULL;
  refused(api->Run(session, NULL, ins, given, 1, mixed, 3, made), "q");
  api->ReleaseValue(x);
  api->ReleaseValue(z);
  api->ReleaseSession(session);
}

// --- versions -------------------------------------------------------------------------------------------------------------------------
static OrtStatus* open_opset(int opset, OrtSessionOptions* options, OrtSession** out) {
  size_t size;
  char* bytes = kp_test_model(DOUBLE, opset, &size);
  OrtStatus* status = api->CreateSessionFromArray(env, bytes, size, options, out);
  free(bytes);
  api->ReleaseSessionOptions(options);
  return status;
}

static void versions_that_are_not_released(void** state) {
  (void)state;
  OrtSession* session;
  const OrtModelEditorApi* editor = api->GetModelEditorApi();
  int version = 0;
  refused(open_opset(99, options_with(NULL, NULL), &session), "till opset 28");
  ok(open_opset(14, options_with(NULL, NULL), &session));
  ok(editor->SessionGetOpsetForDomain(session, "", &version));
  assert_int_equal(version, 14);
  refused(editor->SessionGetOpsetForDomain(session, "no.such", &version), "not used");
  api->ReleaseSession(session);
  if (!dropin_is_ours()) return;
  ok(open_opset(99, options_with("session.allow_released_opsets_only", "0"), &session));
  api->ReleaseSession(session);
}

// --- values -----------------------------------------------------------------------------------------------------------------------------
static int allocated;

static void* count_alloc(OrtAllocator* self, size_t size) {
  (void)self;
  ++allocated;
  return malloc(size);
}
static void count_free(OrtAllocator* self, void* memory) {
  (void)self;
  --allocated;
  free(memory);
}
static OrtMemoryInfo* counted_info;
static const OrtMemoryInfo* count_info(const OrtAllocator* self) {
  (void)self;
  return counted_info;
}

static void elements_are_copied_by_the_allocator(void** state) {
  (void)state;
  OrtAllocator counting = {
      .version = 24, .Alloc = count_alloc, .Free = count_free, .Info = count_info};
  OrtValue *in[] = {dropin_floats((const float[]){1, 2}, 2), dropin_floats((const float[]){3}, 1)},
           *sequence, *element;
  void* data;
  ok(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &counted_info));
  ok(api->CreateValue((const OrtValue* const*)in, 2, ONNX_TYPE_SEQUENCE, &sequence));
  for (int turn = 0; turn < 2; ++turn) {
    ok(api->GetValue(sequence, 0, &counting, &element));
    assert_int_equal(allocated, 1);
    dropin_expect(element, (const float[]){1, 2}, 2);
    ok(api->GetTensorMutableData(element, &data));
    *(float*)data = 9;  // of the copy
    api->ReleaseValue(element);
    assert_int_equal(allocated, 0);
  }
  api->ReleaseValue(sequence);
  for (int i = 0; i < 2; ++i) api->ReleaseValue(in[i]);
  api->ReleaseMemoryInfo(counted_info);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_run_where_they_are_told),
      cmocka_unit_test(threads_of_a_session),
      cmocka_unit_test(threads_are_watched),
      cmocka_unit_test(threads_between_nodes_work_within_them),
      cmocka_unit_test(denormals_are_zero_where_asked),
      cmocka_unit_test(spinning_changes_no_result),
      cmocka_unit_test(memory_is_given_back),
      cmocka_unit_test(a_run_has_its_own_words_in_the_log),
      cmocka_unit_test(severities_are_checked),
      cmocka_unit_test(a_run_has_a_profile_of_its_own),
      cmocka_unit_test(policies_select_devices),
      cmocka_unit_test(an_arena_has_a_limit),
      cmocka_unit_test(names_may_come_twice),
      cmocka_unit_test(versions_that_are_not_released),
      cmocka_unit_test(elements_are_copied_by_the_allocator),
  };
  return cmocka_run_group_tests(tests, dropin_load, dropin_unload);
}
