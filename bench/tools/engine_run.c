// Kapell and ONNX Runtime through their C interfaces, for bench/engines.py: what a binding for Python adds would hide a small model.
//
//   engine_run open kapell|LIBRARY MODEL FEEDS THREADS       opens the model and runs it once; prints JSON: milliseconds of opening
//                                                            and of the first run, peak memory of the process in KiB
//   engine_run latency LIBRARY MODEL FEEDS THREADS SECONDS   runs Kapell and the library in turn; prints JSON: median microseconds
//
// LIBRARY is a libonnxruntime.so. FEEDS: a line with the number of inputs; for each a line "type rank dims... name" and its bytes.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kapell/kapell.h"
#include "ort/abi.h"

#define MOST 32  // inputs or outputs
#define NAME 256

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char* what, const char* why) {
  fprintf(stderr, "engine_run: %s: %s\n", what, why);
  exit(1);
}

// --- feeds ----------------------------------------------------------------------------------------------------------------------
typedef struct feed {
  char name[NAME];
  int type, rank;
  int64_t dims[8];
  size_t bytes;
  void* data;
} feed;

typedef struct feeds {
  size_t count;
  feed of[MOST];
} feeds;

static void read_feed(FILE* file, feed* f) {
  if (fscanf(file, "%d %d", &f->type, &f->rank) != 2 || f->rank < 0 || f->rank > 8)
    fail("feeds", "no type and rank");
  size_t count = 1;
  for (int d = 0; d < f->rank; ++d) {
    long long dim;
    if (fscanf(file, "%lld", &dim) != 1 || dim < 0) fail("feeds", "no dimension");
    f->dims[d] = dim;
    count *= (size_t)dim;
  }
  if (fscanf(file, " %255[^\n]", f->name) != 1 || fgetc(file) != '\n') fail("feeds", "no name");
  f->bytes = kapell_type_bytes((kapell_type)f->type, count);
  f->data = malloc(f->bytes + 1);
  if (!f->data || fread(f->data, 1, f->bytes, file) != f->bytes) fail(f->name, "no data");
}

static void read_feeds(const char* path, feeds* all) {
  FILE* file = fopen(path, "rb");
  if (!file || fscanf(file, "%zu", &all->count) != 1 || all->count > MOST) fail(path, "no feeds");
  for (size_t i = 0; i < all->count; ++i) read_feed(file, &all->of[i]);
  fclose(file);
}

// --- Kapell ---------------------------------------------------------------------------------------------------------------------
typedef struct engine {
  void (*run)(struct engine* engine);
  const feeds* feeds;
  const char* input_names[MOST];
  const char* output_names[MOST];
  size_t output_count;
  kapell_session* session;
  kapell_value* values[MOST];
  const OrtApi* api;
  OrtSession* ort_session;
  OrtValue* ort_values[MOST];
} engine;

static void kapell_check(kapell_status* status) {
  if (status) fail("Kapell", kapell_status_text(status));
}

static void kapell_run(engine* e) {
  kapell_value* outputs[MOST] = {NULL};
  kapell_check(kapell_session_run(e->session, NULL, e->input_names, e->values, e->feeds->count,
                                  NULL, outputs, e->output_count));
  for (size_t i = 0; i < e->output_count; ++i) kapell_value_release(outputs[i]);
}

static void open_kapell(engine* e, const char* model, int threads) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = threads;
  kapell_check(kapell_session_open_file(model, &options, &e->session));
  e->run = kapell_run;
  e->output_count = kapell_session_output_count(e->session);
  if (e->output_count > MOST) fail(model, "too many outputs");
  for (size_t i = 0; i < e->feeds->count; ++i) {
    const feed* f = &e->feeds->of[i];
    e->input_names[i] = f->name;
    kapell_check(kapell_tensor_wrap((kapell_type)f->type, f->dims, f->rank, f->data, f->bytes, NULL,
                                    NULL, &e->values[i]));
  }
}

// --- ONNX Runtime -----------------------------------------------------------------------------------------------------------------
static void ort_check(const OrtApi* api, OrtStatus* status) {
  if (status) fail("ONNX Runtime", api->GetErrorMessage(status));
}

static void ort_run(engine* e) {
  OrtValue* outputs[MOST] = {NULL};
  ort_check(e->api,
            e->api->Run(e->ort_session, NULL, e->input_names, (const OrtValue* const*)e->ort_values,
                        e->feeds->count, e->output_names, e->output_count, outputs));
  for (size_t i = 0; i < e->output_count; ++i) e->api->ReleaseValue(outputs[i]);
}

static const OrtApi* load_ort(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail(library, dlerror());
  const OrtApiBase* (*base)(void);
  void* symbol = dlsym(handle, "OrtGetApiBase");
  if (!symbol) fail(library, "no OrtGetApiBase");
  memcpy(&base, &symbol, sizeof(base));
  const OrtApi* api = base()->GetApi(17);
  if (!api) fail(library, "no API of version 17");
  return api;
}

static void name_outputs(engine* e) {
  const OrtApi* api = e->api;
  OrtAllocator* allocator;
  ort_check(api, api->GetAllocatorWithDefaultOptions(&allocator));
  ort_check(api, api->SessionGetOutputCount(e->ort_session, &e->output_count));
  if (e->output_count > MOST) fail("model", "too many outputs");
  for (size_t i = 0; i < e->output_count; ++i) {
    char* name;
    ort_check(api, api->SessionGetOutputName(e->ort_session, i, allocator, &name));
    e->output_names[i] = name;
  }
}

// Opening ends where the session is there; inputs are made behind it.
static double open_ort(engine* e, const char* library, const char* model, int threads) {
  e->api = load_ort(library);
  const OrtApi* api = e->api;
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtMemoryInfo* memory;
  const double start = seconds();
  ort_check(api, api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "bench", &env));
  ort_check(api, api->CreateSessionOptions(&options));
  ort_check(api, api->SetIntraOpNumThreads(options, threads));
  ort_check(api, api->SetInterOpNumThreads(options, 1));
  ort_check(api, api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
  ort_check(api, api->CreateSession(env, model, options, &e->ort_session));
  const double opened = seconds() - start;
  e->run = ort_run;
  name_outputs(e);
  ort_check(api, api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  for (size_t i = 0; i < e->feeds->count; ++i) {
    const feed* f = &e->feeds->of[i];
    e->input_names[i] = f->name;
    ort_check(api, api->CreateTensorWithDataAsOrtValue(
                       memory, f->data, f->bytes, f->dims, (size_t)f->rank,
                       (ONNXTensorElementDataType)f->type, &e->ort_values[i]));
  }
  return opened;
}

// --- what is measured -----------------------------------------------------------------------------------------------------------
static long peak_kib(void) {
  FILE* file = fopen("/proc/self/status", "r");
  char line[256];
  long kib = 0;
  while (file && fgets(line, sizeof(line), file))
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  if (file) fclose(file);
  return kib;
}

static void measure_open(const char* which, const char* model, const feeds* all, int threads) {
  engine e = {.feeds = all};
  double start = seconds(), opened;
  if (strcmp(which, "kapell") == 0) {
    open_kapell(&e, model, threads);
    opened = seconds() - start;
  } else {
    opened = open_ort(&e, which, model, threads);
  }
  start = seconds();
  e.run(&e);
  printf("{\"open_ms\": %.3f, \"first_ms\": %.3f, \"peak_kib\": %ld}\n", opened * 1e3,
         (seconds() - start) * 1e3, peak_kib());
}

static int by_size(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

enum { kRounds = 20000, kTurns = 16 };  // runs of one engine before it is the other's turn

static void measure_latency(const char* library, const char* model, const feeds* all, int threads,
                            double limit) {
  static double times[2][kRounds];
  engine engines[2] = {{.feeds = all}, {.feeds = all}};
  open_kapell(&engines[0], model, threads);
  open_ort(&engines[1], library, model, threads);
  int rounds = 0;
  for (const double end = seconds() + limit; rounds < kRounds && seconds() < end; ++rounds) {
    for (int i = 0; i < 2; ++i) {
      engines[i].run(&engines[i]);  // warms what the other one drove out of the caches
      const double start = seconds();
      for (int turn = 0; turn < kTurns; ++turn) engines[i].run(&engines[i]);
      times[i][rounds] = (seconds() - start) / kTurns;
    }
  }
  for (int i = 0; i < 2; ++i) qsort(times[i], (size_t)rounds, sizeof(double), by_size);
  printf("{\"kapell_us\": %.3f, \"ort_us\": %.3f, \"rounds\": %d}\n", times[0][rounds / 2] * 1e6,
         times[1][rounds / 2] * 1e6, rounds);
}

int main(int argc, char** argv) {
  static feeds all;
  if (argc < 6)
    fail("usage", "open ENGINE MODEL FEEDS THREADS | latency LIBRARY MODEL FEEDS THREADS SECONDS");
  read_feeds(argv[4], &all);
  const int threads = atoi(argv[5]);
  if (strcmp(argv[1], "open") == 0)
    measure_open(argv[2], argv[3], &all, threads);
  else
    measure_latency(argv[2], argv[3], &all, threads, argc > 6 ? atof(argv[6]) : 1);
  return 0;
}
