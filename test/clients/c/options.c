// What is set before a session is made: environments, logging, threads, keys, weights from elsewhere, providers.
#include <pthread.h>
#include <unistd.h>

#include "client.h"

static bool adds(OrtSession* session) {
  float x[2] = {1, 2};
  const float want[2] = {12, 24};
  OrtValue *in = floats(x, 2), *out = NULL;
  const bool right =
      succeeded(run1(session, "x", in, "y", &out), "run", __LINE__) && holds(out, want, 2);
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  return right;
}

// --- environments and logging ----------------------------------------------------------------------------------------------------
typedef struct log_lines {
  pthread_mutex_t lock;
  int count;
  bool ours;  // a line came with our logid
} log_lines;

static void on_log(void* user, OrtLoggingLevel severity, const char* category, const char* logid,
                   const char* place, const char* text) {
  log_lines* lines = (log_lines*)user;
  pthread_mutex_lock(&lines->lock);
  ++lines->count;
  lines->ours |= logid && strstr(logid, "my session") && text && category && place &&
                 severity <= ORT_LOGGING_LEVEL_FATAL;
  pthread_mutex_unlock(&lines->lock);
}

static void environments(void) {
  OrtEnv* another;
  OK(api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "another", &another));
  CHECK(another == env);  // one for the process, counted
  api->ReleaseEnv(another);
  OK(api->DisableTelemetryEvents(env));
  OK(api->EnableTelemetryEvents(env));
  OK(api->SetLanguageProjection(env, ORT_PROJECTION_C));
  OK(api->UpdateEnvWithCustomLogLevel(env, ORT_LOGGING_LEVEL_ERROR));
}

static void session_logger(void) {
  log_lines lines;
  memset(&lines, 0, sizeof lines);
  pthread_mutex_init(&lines.lock, NULL);
  OrtSessionOptions* options;
  OK(api->CreateSessionOptions(&options));
  OK(api->SetSessionLogId(options, "my session"));
  OK(api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_VERBOSE));
  OK(api->SetSessionLogVerbosityLevel(options, 1));
  OK(api->SetUserLoggingFunction(options, on_log, &lines));
  OrtSession* session = open_model("defaults.onnx", options);
  CHECK(session && adds(session));
  CHECK(lines.count > 0 && lines.ours);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

// --- threads ---------------------------------------------------------------------------------------------------------------------
static int created, joined;

static void* thread_main(void* arguments) {
  void** pair = (void**)arguments;
  ((OrtThreadWorkerFn)pair[0])(pair[1]);
  free(pair);
  return NULL;
}

static OrtCustomThreadHandle create_thread(void* options, OrtThreadWorkerFn work, void* parameter) {
  pthread_t* thread = (pthread_t*)malloc(sizeof *thread);
  void** pair = (void**)malloc(2 * sizeof *pair);
  __atomic_add_fetch(options ? &created : &joined, 1, __ATOMIC_SEQ_CST);
  pair[0] = (void*)work;
  pair[1] = parameter;
  pthread_create(thread, NULL, thread_main, pair);
  return (OrtCustomThreadHandle)thread;
}

static void join_thread(OrtCustomThreadHandle handle) {
  pthread_join(*(const pthread_t*)handle, NULL);
  free((void*)handle);
  __atomic_add_fetch(&joined, 1, __ATOMIC_SEQ_CST);
}

static void own_threads(void) {
  OrtSessionOptions* options;
  int mark;
  created = joined = 0;
  OK(api->CreateSessionOptions(&options));
  OK(api->SetIntraOpNumThreads(options, 3));
  OK(api->SessionOptionsSetCustomCreateThreadFn(options, create_thread));
  OK(api->SessionOptionsSetCustomThreadCreationOptions(options, &mark));
  OK(api->SessionOptionsSetCustomJoinThreadFn(options, join_thread));
  OrtSession* session = open_model("defaults.onnx", options);
  CHECK(session && adds(session));
  CHECK(created == 2);  // the caller's thread is the third
  api->ReleaseSession(session);
  CHECK(joined == created);
  api->ReleaseSessionOptions(options);
}

static void thread_options(void) {
  OrtThreadingOptions* threads;
  OK(api->CreateThreadingOptions(&threads));
  OK(api->SetGlobalIntraOpNumThreads(threads, 2));
  OK(api->SetGlobalInterOpNumThreads(threads, 1));
  OK(api->SetGlobalSpinControl(threads, 0));
  OK(api->SetGlobalDenormalAsZero(threads));
  api->ReleaseThreadingOptions(threads);
  OrtSessionOptions* options;
  OK(api->CreateSessionOptions(&options));
  OK(api->SetInterOpNumThreads(options, 2));
  OK(api->SetIntraOpNumThreads(options, 1));
  OK(api->SetSessionExecutionMode(options, ORT_PARALLEL));
  OK(api->EnableCpuMemArena(options));
  OK(api->DisableCpuMemArena(options));
  OK(api->EnableMemPattern(options));
  OK(api->DisableMemPattern(options));
  OK(api->SetDeterministicCompute(options, true));
  static const GraphOptimizationLevel levels[] = {ORT_DISABLE_ALL, ORT_ENABLE_BASIC,
                                                  ORT_ENABLE_EXTENDED, ORT_ENABLE_ALL};
  for (size_t i = 0; i < COUNT(levels); ++i) {
    OK(api->SetSessionGraphOptimizationLevel(options, levels[i]));
    OrtSession* session = open_model("defaults.onnx", options);
    CHECK(session && adds(session));
    api->ReleaseSession(session);
  }
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->SetSessionGraphOptimizationLevel(options, (GraphOptimizationLevel)55));
  api->ReleaseSessionOptions(options);
}

// --- keys ------------------------------------------------------------------------------------------------------------------------
static void config_entries(void) {
  OrtSessionOptions *options, *copy;
  int has;
  char text[32];
  size_t size = 0;
  OK(api->CreateSessionOptions(&options));
  OK(api->HasSessionConfigEntry(options, "session.intra_op.allow_spinning", &has));
  CHECK(has == 0);
  OK(api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
  OK(api->AddSessionConfigEntry(options, "some.unknown.key", "some value"));
  OK(api->CloneSessionOptions(options, &copy));
  api->ReleaseSessionOptions(options);
  OK(api->HasSessionConfigEntry(copy, "some.unknown.key", &has));
  CHECK(has == 1);
  OK(api->GetSessionConfigEntry(copy, "some.unknown.key", NULL, &size));
  CHECK(size == 11);
  OK(api->GetSessionConfigEntry(copy, "some.unknown.key", text, &size));
  CHECK(strcmp(text, "some value") == 0);
  size = 3;
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->GetSessionConfigEntry(copy, "some.unknown.key", text, &size));
  CHECK(size == 11);
  FAILS(ORT_INVALID_ARGUMENT, "", api->GetSessionConfigEntry(copy, "another.key", text, &size));
  OrtKeyValuePairs* pairs;
  OK(api->GetSessionOptionsConfigEntries(copy, &pairs));
  CHECK(strcmp(api->GetKeyValue(pairs, "some.unknown.key"), "some value") == 0);
  api->ReleaseKeyValuePairs(pairs);
  FAILS(ORT_INVALID_ARGUMENT, "", api->AddSessionConfigEntry(copy, "", "value"));
  OrtSession* session = open_model("defaults.onnx", copy);
  CHECK(session && adds(session));
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(copy);
}

static void key_value_pairs(void) {
  OrtKeyValuePairs* pairs;
  api->CreateKeyValuePairs(&pairs);
  api->AddKeyValuePair(pairs, "one", "1");
  api->AddKeyValuePair(pairs, "two", "2");
  api->AddKeyValuePair(pairs, "one", "again");
  CHECK(strcmp(api->GetKeyValue(pairs, "one"), "again") == 0 &&
        api->GetKeyValue(pairs, "three") == NULL);
  const char *const *keys, *const *values;
  size_t count;
  api->GetKeyValuePairs(pairs, &keys, &values, &count);
  CHECK(count == 2);
  const size_t two = strcmp(keys[0], "two") == 0 ? 0 : 1;
  CHECK(strcmp(values[two], "2") == 0);
  api->RemoveKeyValuePair(pairs, "one");
  api->RemoveKeyValuePair(pairs, "nothing");
  api->GetKeyValuePairs(pairs, &keys, &values, &count);
  CHECK(count == 1);
  api->ReleaseKeyValuePairs(pairs);
  api->ReleaseKeyValuePairs(NULL);
}

static void free_dimension(void) {
  OrtSessionOptions* options;
  OrtTypeInfo* type;
  const OrtTensorTypeAndShapeInfo* info;
  int64_t dims[2];
  OK(api->CreateSessionOptions(&options));
  OK(api->AddFreeDimensionOverrideByName(options, "batch", 3));
  OrtSession* session = open_model("matmul.onnx", options);
  CHECK(session);
  OK(api->SessionGetInputTypeInfo(session, 0, &type));
  OK(api->CastTypeInfoToTensorInfo(type, &info));
  OK(api->GetDimensions(info, dims, 2));
  CHECK(dims[0] == 3 && dims[1] == 4);
  api->ReleaseTypeInfo(type);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

// --- weights -----------------------------------------------------------------------------------------------------------------------
// Runs external.onnx, whose weights are 0, 1, ... 299 times |factor|.
static void check_external(OrtSession* session, float factor) {
  float x[300], want[300];
  for (int i = 0; i < 300; ++i) x[i] = 1, want[i] = 1 + factor * (float)i;
  OrtValue *in = floats(x, 300), *out;
  OK(run1(session, "x", in, "y", &out));
  CHECK(holds(out, want, 300));
  api->ReleaseValue(in);
  api->ReleaseValue(out);
}

static void external_files(void) {
  OrtSessionOptions* options;
  OrtSession* session = open_model("external.onnx", NULL);
  CHECK(session);
  check_external(session, 1);
  api->ReleaseSession(session);
  size_t size, weights_size;
  void *bytes = read_file(model_path("external.onnx"), &size),
       *weights = read_file(model_path("external.bin"), &weights_size);
  CHECK(bytes && weights);
  OK(api->CreateSessionOptions(&options));
  OrtStatus* status = api->CreateSessionFromArray(env, bytes, size, options, &session);
  CHECK(status != NULL);  // the file is not in the working folder
  api->ReleaseStatus(status);
  const char* name = "external.bin";
  char* buffer = (char*)weights;
  OK(api->AddExternalInitializersFromFilesInMemory(options, &name, &buffer, &weights_size, 1));
  OK(api->CreateSessionFromArray(env, bytes, size, options, &session));
  check_external(session, 1);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  free(bytes);
  free(weights);
}

static void external_values(void) {
  static float weights[300];
  for (int i = 0; i < 300; ++i) weights[i] = 2 * (float)i;
  OrtSessionOptions* options;
  OrtSession* session;
  OrtValue* value = floats(weights, 300);
  const char* name = "w";
  size_t size;
  void* bytes = read_file(model_path("external.onnx"), &size);
  OK(api->CreateSessionOptions(&options));
  OK(api->AddExternalInitializers(options, &name, (const OrtValue* const*)&value, 1));
  OK(api->CreateSessionFromArray(env, bytes, size, options, &session));
  check_external(session, 2);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  OK(api->CreateSessionOptions(&options));
  OK(api->AddInitializer(options, "bias", value));
  FAILS(ORT_INVALID_ARGUMENT, "bias", api->AddInitializer(options, "bias", value));  // twice
  api->ReleaseSessionOptions(options);
  float bias[2] = {100, 200}, x[2] = {1, 2};
  const float want[2] = {102, 204};
  OrtValue *shared = floats(bias, 2), *in = floats(x, 2), *out;
  OK(api->CreateSessionOptions(&options));
  OK(api->AddInitializer(options, "bias", shared));
  session = open_model("defaults.onnx", options);
  CHECK(session);
  OK(run1(session, "x", in, "y", &out));
  CHECK(holds(out, want, 2));
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  api->ReleaseValue(shared);
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseValue(value);
  free(bytes);
}

static void prepacked(void) {
  OrtPrepackedWeightsContainer* container;
  OrtSessionOptions* options;
  OrtSession *first, *second;
  size_t size;
  void* bytes = read_file(model_path("defaults.onnx"), &size);
  OK(api->CreatePrepackedWeightsContainer(&container));
  OK(api->CreateSessionOptions(&options));
  OK(api->CreateSessionWithPrepackedWeightsContainer(env, model_path("defaults.onnx"), options,
                                                     container, &first));
  OK(api->CreateSessionFromArrayWithPrepackedWeightsContainer(env, bytes, size, options, container,
                                                              &second));
  CHECK(adds(first) && adds(second));
  api->ReleaseSession(first);
  CHECK(adds(second));
  api->ReleaseSession(second);
  api->ReleasePrepackedWeightsContainer(container);
  api->ReleaseSessionOptions(options);
  free(bytes);
}

// --- files that a session writes ---------------------------------------------------------------------------------------------------
static void profile(void) {
  OrtSessionOptions* options;
  char prefix[4200], *name;
  uint64_t start;
  OK(api->CreateSessionOptions(&options));
  snprintf(prefix, sizeof prefix, "%s", model_path("profile"));
  OK(api->EnableProfiling(options, prefix));
  OrtSession* session = open_model("defaults.onnx", options);
  CHECK(session && adds(session));
  OK(api->SessionGetProfilingStartTimeNs(session, &start));
  CHECK(start > 0);
  OK(api->SessionEndProfiling(session, heap, &name));
  CHECK(strncmp(name, prefix, strlen(prefix)) == 0 &&
        strcmp(name + strlen(name) - 5, ".json") == 0);
  size_t size;
  char* text = (char*)read_file(name, &size);
  CHECK(text && size > 2);
  text[size] = 0;
  CHECK(text[0] == '[' && strstr(text, "\"cat\"") && strstr(text, "\"dur\""));
  free(text);
  unlink(name);
  OK(api->AllocatorFree(heap, name));
  api->ReleaseSession(session);
  OK(api->DisableProfiling(options));
  session = open_model("defaults.onnx", options);
  OK(api->SessionEndProfiling(session, heap, &name));  // nothing was on
  CHECK(strcmp(name, "") == 0);
  OK(api->AllocatorFree(heap, name));
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

static void optimized_model(void) {
  OrtSessionOptions* options;
  char path[4200];
  snprintf(path, sizeof path, "%s", model_path("optimized.onnx"));
  unlink(path);
  OK(api->CreateSessionOptions(&options));
  OK(api->SetOptimizedModelFilePath(options, path));
  OrtSession* session = open_model("defaults.onnx", options);
  CHECK(session && adds(session));
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  session = open_model("optimized.onnx", NULL);
  CHECK(session && adds(session));
  api->ReleaseSession(session);
  unlink(path);
}

// --- providers -----------------------------------------------------------------------------------------------------------------------
static void provider_lists(void) {
  char** names;
  int count;
  bool has_cpu = false;
  OK(api->GetAvailableProviders(&names, &count));
  for (int i = 0; i < count; ++i) has_cpu |= strcmp(names[i], "CPUExecutionProvider") == 0;
  CHECK(has_cpu);
  OK(api->ReleaseAvailableProviders(names, count));
}

// What is not there in a library for the CPU alone fails where it is asked for.
static void absent_providers(void) {
  OrtSessionOptions* options;
  OK(api->CreateSessionOptions(&options));
  static OrtCUDAProviderOptions cuda;
  OrtStatus* status = api->SessionOptionsAppendExecutionProvider_CUDA(options, &cuda);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  OrtCUDAProviderOptionsV2* cuda2 = NULL;
  status = api->CreateCUDAProviderOptions(&cuda2);
  if (!status) {
    status = api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda2);
    api->ReleaseCUDAProviderOptions(cuda2);
  }
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  status = api->SessionOptionsAppendExecutionProvider(options, "NoSuchProvider", NULL, NULL, 0);
  CHECK(status != NULL && strstr(api->GetErrorMessage(status), "NoSuchProvider"));
  api->ReleaseStatus(status);
  status = api->SessionOptionsAppendExecutionProvider(options, "QNN", NULL, NULL, 0);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  OrtSession* session = open_model("defaults.onnx", options);  // the options are still good
  CHECK(session && adds(session));
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

static void devices(void) {
  const OrtEpDevice* const* found;
  const OrtEpDevice* cpu = NULL;
  size_t count;
  OK(api->GetEpDevices(env, &found, &count));
  for (size_t i = 0; i < count; ++i)
    if (strcmp(api->EpDevice_EpName(found[i]), "CPUExecutionProvider") == 0) cpu = found[i];
  CHECK(cpu && strlen(api->EpDevice_EpVendor(cpu)) > 0);
  CHECK(api->EpDevice_EpMetadata(cpu) && api->EpDevice_EpOptions(cpu));
  const OrtHardwareDevice* device = api->EpDevice_Device(cpu);
  CHECK(api->HardwareDevice_Type(device) == OrtHardwareDeviceType_CPU &&
        api->HardwareDevice_Vendor(device));
  CHECK(api->HardwareDevice_Metadata(device));
  OrtSessionOptions* options;
  OK(api->CreateSessionOptions(&options));
  OK(api->SessionOptionsAppendExecutionProvider_V2(options, env, &cpu, 1, NULL, NULL, 0));
  OrtSession* session = open_model("defaults.onnx", options);
  CHECK(session && adds(session));
  const OrtEpDevice* of_input = NULL;
  const OrtMemoryInfo* where = NULL;
  const char* name;
  OK(api->SessionGetEpDeviceForInputs(session, &of_input, 1));
  OK(api->SessionGetMemoryInfoForInputs(session, &where, 1));
  OK(api->MemoryInfoGetName(where, &name));
  CHECK(strcmp(name, "Cpu") == 0);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  OK(api->CreateSessionOptions(&options));
  OK(api->SessionOptionsSetEpSelectionPolicy(options, OrtExecutionProviderDevicePolicy_PREFER_CPU));
  session = open_model("defaults.onnx", options);
  CHECK(session && adds(session));
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
  OrtStatus* status =
      api->RegisterExecutionProviderLibrary(env, "none", model_path("no_such_library.so"));
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  status = api->UnregisterExecutionProviderLibrary(env, "none");
  CHECK(status != NULL);
  api->ReleaseStatus(status);
}

typedef struct chosen {
  int calls;
  size_t offered;
  bool fail;
} chosen;

static OrtStatus* choose(const OrtEpDevice** found, size_t count, const OrtKeyValuePairs* model,
                         const OrtKeyValuePairs* runtime, const OrtEpDevice** selected, size_t most,
                         size_t* selected_count, void* state) {
  chosen* mine = (chosen*)state;
  (void)model;
  (void)runtime;
  ++mine->calls;
  mine->offered = count;
  if (mine->fail) return api->CreateStatus(ORT_FAIL, "nothing suits me");
  *selected_count = 0;
  for (size_t i = 0; i < count && *selected_count < most; ++i)
    if (strcmp(api->EpDevice_EpName(found[i]), "CPUExecutionProvider") == 0)
      selected[(*selected_count)++] = found[i];
  return NULL;
}

static void chosen_devices(void) {
  chosen state;
  memset(&state, 0, sizeof state);
  OrtSessionOptions* options;
  OK(api->CreateSessionOptions(&options));
  OK(api->SessionOptionsSetEpSelectionPolicyDelegate(options, choose, &state));
  OrtSession* session = open_model("defaults.onnx", options);
  CHECK(session && adds(session) && state.calls == 1 && state.offered > 0);
  api->ReleaseSession(session);
  state.fail = true;
  session = NULL;
  FAILS(ORT_FAIL, "nothing suits me",
        api->CreateSession(env, model_path("defaults.onnx"), options, &session));
  CHECK(session == NULL);
  api->ReleaseSessionOptions(options);
}

static void assignment(void) {
  OrtSessionOptions* options;
  const OrtEpAssignedSubgraph* const* graphs;
  const OrtEpAssignedNode* const* nodes;
  size_t count, node_count, all = 0;
  const char* text;
  OK(api->CreateSessionOptions(&options));
  OK(api->AddSessionConfigEntry(options, "session.record_ep_graph_assignment_info", "1"));
  OrtSession* session = open_model("matmul.onnx", options);
  CHECK(session);
  OK(api->Session_GetEpGraphAssignmentInfo(session, &graphs, &count));
  for (size_t i = 0; i < count; ++i) {
    OK(api->EpAssignedSubgraph_GetEpName(graphs[i], &text));
    CHECK(strcmp(text, "CPUExecutionProvider") == 0);
    OK(api->EpAssignedSubgraph_GetNodes(graphs[i], &nodes, &node_count));
    all += node_count;
    for (size_t j = 0; j < node_count; ++j)
      OK(api->EpAssignedNode_GetOperatorType(nodes[j], &text));
  }
  CHECK(all == 1 && strcmp(text, "MatMul") == 0);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

const client_test option_tests[] = {
    {"environments", environments},
    {"session_logger", session_logger},
    {"own_threads", own_threads},
    {"thread_options", thread_options},
    {"config_entries", config_entries},
    {"key_value_pairs", key_value_pairs},
    {"free_dimension", free_dimension},
    {"external_files", external_files},
    {"external_values", external_values},
    {"prepacked", prepacked},
    {"profile", profile},
    {"optimized_model", optimized_model},
    {"provider_lists", provider_lists},
    {"absent_providers", absent_providers},
    {"devices", devices},
    {"chosen_devices", chosen_devices},
    {"assignment", assignment},
    {NULL, NULL},
};
