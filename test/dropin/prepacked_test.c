// Containers of packed weights: sessions that are made with one give the same results, in any order of releases, and hold their packed
// weights once. Passes on ONNX Runtime too, whose containers hold those of initializers that are added.
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include "base/sanitize.h"
#include "dropin/dropin.h"

enum { kSide = 700, kOpeners = 4 };

// One product whose matrix is added to the session.
static const char kModel[] =
    "in x float[N,700]\n init w float[700,700] = random 1\n y = MatMul(x, w)\n out y "
    "float[N,700]\n";

static float weight_data[kSide * kSide];  // ONNX Runtime wants it to be the client's

static OrtSessionOptions* options_with_weights(OrtValue** out_weights) {
  const int64_t dims[2] = {kSide, kSide};
  OrtSessionOptions* options;
  OrtMemoryInfo* host;
  for (int i = 0; i < kSide * kSide; ++i) weight_data[i] = (float)(i % 17 - 8) / 64;
  ok(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &host));
  ok(api->CreateTensorWithDataAsOrtValue(host, weight_data, sizeof weight_data, dims, 2,
                                         ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, out_weights));
  api->ReleaseMemoryInfo(host);
  ok(api->CreateSessionOptions(&options));
  ok(api->SetIntraOpNumThreads(options, 1));
  ok(api->AddInitializer(options, "w", *out_weights));
  return options;
}

static OrtSession* open_shared(const OrtSessionOptions* options,
                               OrtPrepackedWeightsContainer* container) {
  size_t size;
  OrtSession* session;
  char* bytes = kp_test_model(kModel, 17, &size);
  ok(api->CreateSessionFromArrayWithPrepackedWeightsContainer(env, bytes, size, options, container,
                                                              &session));
  free(bytes);
  return session;
}

// The same from a file, whose bytes are not in the heap.
static OrtSession* open_file_shared(const OrtSessionOptions* options,
                                    OrtPrepackedWeightsContainer* container) {
  char path[] = "/tmp/kapell-prepacked-XXXXXX";
  size_t size;
  OrtSession* session;
  char* bytes = kp_test_model(kModel, 17, &size);
  const int file = mkstemp(path);
  assert_true(file >= 0);
  assert_int_equal(write(file, bytes, size), size);
  close(file);
  free(bytes);
  ok(api->CreateSessionWithPrepackedWeightsContainer(env, path, options, container, &session));
  unlink(path);
  return session;
}

static void run(OrtSession* session, float* out) {
  static const int64_t dims[2] = {3, kSide};
  static const char *const in = "x", *const result = "y";
  float data[3 * kSide];
  for (int i = 0; i < 3 * kSide; ++i) data[i] = (float)(i % 11) - 5;
  OrtValue* x = dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2, data, sizeof data);
  OrtValue* y = NULL;
  void* got;
  ok(api->Run(session, NULL, &in, (const OrtValue* const*)&x, 1, &result, 1, &y));
  ok(api->GetTensorMutableData(y, &got));
  memcpy(out, got, sizeof data);
  api->ReleaseValue(x);
  api->ReleaseValue(y);
}

static void expect_same(OrtSession* a, OrtSession* b) {
  float from_a[3 * kSide], from_b[3 * kSide];
  run(a, from_a);
  run(b, from_b);
  assert_memory_equal(from_a, from_b, sizeof from_a);
}

static size_t bytes_in_use(void) { return mallinfo2().uordblks + mallinfo2().hblkhd; }

static void weights_are_held_once(void** state) {
  (void)state;
  OrtValue* weights;
  OrtPrepackedWeightsContainer* container;
  OrtSessionOptions* options = options_with_weights(&weights);
  OrtSession* plain = open_shared(options, NULL);
  ok(api->CreatePrepackedWeightsContainer(&container));
  const size_t before = bytes_in_use();
  OrtSession* first = open_file_shared(options, container);
  const size_t between = bytes_in_use();
  OrtSession* second = open_file_shared(options, container);
  const size_t after = bytes_in_use();
  if (!KP_ASAN && !KP_TSAN && !KP_MSAN) {  // which have allocators of their own
    print_message("%zu bytes, then %zu\n", between - before, after - between);
    assert_true(between - before >= sizeof(float) * kSide * kSide);
    assert_true(after - between < sizeof(float) * kSide * kSide / 10);
  }
  expect_same(plain, first);
  expect_same(plain, second);
  api->ReleaseSession(first);
  expect_same(plain, second);
  // ONNX Runtime wants it to live longer than its sessions; ours does not mind.
  if (dropin_is_ours()) api->ReleasePrepackedWeightsContainer(container);
  expect_same(plain, second);
  api->ReleaseSession(second);
  if (!dropin_is_ours()) api->ReleasePrepackedWeightsContainer(container);
  api->ReleaseSession(plain);
  api->ReleaseSessionOptions(options);
  api->ReleaseValue(weights);
}

typedef struct opener {
  const OrtSessionOptions* options;
  OrtPrepackedWeightsContainer* container;
  OrtSession* session;
} opener;

static void* open_one(void* arg) {
  opener* o = arg;
  o->session = open_shared(o->options, o->container);
  float out[3 * kSide];
  run(o->session, out);
  return NULL;
}

static void sessions_are_made_at_once(void** state) {
  (void)state;
  OrtValue* weights;
  OrtPrepackedWeightsContainer* container;
  OrtSessionOptions* options = options_with_weights(&weights);
  OrtSession* plain = open_shared(options, NULL);
  ok(api->CreatePrepackedWeightsContainer(&container));
  pthread_t threads[kOpeners];
  opener openers[kOpeners];
  for (int i = 0; i < kOpeners; ++i) {
    openers[i] = (opener){options, container, NULL};
    assert_int_equal(pthread_create(&threads[i], NULL, open_one, &openers[i]), 0);
  }
  for (int i = 0; i < kOpeners; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < kOpeners; ++i) {
    expect_same(plain, openers[i].session);
    api->ReleaseSession(openers[i].session);
  }
  api->ReleasePrepackedWeightsContainer(container);
  api->ReleaseSession(plain);
  api->ReleaseSessionOptions(options);
  api->ReleaseValue(weights);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(weights_are_held_once),
                                     cmocka_unit_test(sessions_are_made_at_once)};
  return cmocka_run_group_tests(tests, dropin_load, dropin_unload);
}
