// The compile API through ONNX Runtime's C API: on the CPU alone a model comes out as it went in, and refusals say why.
#include <sys/stat.h>
#include <unistd.h>

#include "dropin/dropin.h"

static const OrtCompileApi* compiler;
static char* model;
static size_t model_size;

static int load(void** state) {
  if (dropin_load(state)) return 1;
  compiler = api->GetCompileApi();
  model = kp_test_model("in x float[N]\n y = Neg(x)\n out y float[N]\n", 17, &model_size);
  return compiler == NULL;
}

static int unload(void** state) {
  free(model);
  return dropin_unload(state);
}

static OrtModelCompilationOptions* new_options(void) {
  OrtSessionOptions* session;
  OrtModelCompilationOptions* options;
  ok(api->CreateSessionOptions(&session));
  ok(compiler->CreateModelCompilationOptionsFromSessionOptions(env, session, &options));
  api->ReleaseSessionOptions(session);
  return options;
}

static void expect_runs(const void* data, size_t size) {
  OrtSessionOptions* options;
  OrtSession* session;
  const char *in = "x", *out = "y";
  OrtValue *x = dropin_floats((const float[]){1, 2}, 2), *y = NULL;
  ok(api->CreateSessionOptions(&options));
  ok(api->CreateSessionFromArray(env, data, size, options, &session));
  ok(api->Run(session, NULL, &in, (const OrtValue* const*)&x, 1, &out, 1, &y));
  dropin_expect(y, (const float[]){-1, -2}, 2);
  api->ReleaseValue(x);
  api->ReleaseValue(y);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

static void into_a_buffer(void** state) {
  (void)state;
  OrtModelCompilationOptions* options = new_options();
  OrtAllocator* allocator;
  void* data = NULL;
  size_t size = 0;
  ok(api->GetAllocatorWithDefaultOptions(&allocator));
  ok(compiler->ModelCompilationOptions_SetInputModelFromBuffer(options, model, model_size));
  ok(compiler->ModelCompilationOptions_SetOutputModelBuffer(options, allocator, &data, &size));
  ok(compiler->ModelCompilationOptions_SetEpContextEmbedMode(options, true));
  ok(compiler->CompileModel(env, options));
  expect_runs(data, size);
  ok(api->AllocatorFree(allocator, data));
  compiler->ReleaseModelCompilationOptions(options);
}

typedef struct sink {
  char data[4096];
  size_t size;
} sink;

static OrtStatus* take(void* state, const void* data, size_t size) {
  sink* s = state;
  assert_true(s->size + size <= sizeof s->data);
  memcpy(s->data + s->size, data, size);
  s->size += size;
  return NULL;
}

static OrtStatus* refuse(void* state, const void* data, size_t size) {
  (void)state, (void)data, (void)size;
  return api->CreateStatus(ORT_FAIL, "the disk is full");
}

static void through_a_function(void** state) {
  (void)state;
  OrtModelCompilationOptions* options = new_options();
  sink s = {.size = 0};
  ok(compiler->ModelCompilationOptions_SetInputModelFromBuffer(options, model, model_size));
  ok(compiler->ModelCompilationOptions_SetOutputModelWriteFunc(options, take, &s));
  ok(compiler->CompileModel(env, options));
  expect_runs(s.data, s.size);
  ok(compiler->ModelCompilationOptions_SetOutputModelWriteFunc(options, refuse, NULL));
  refused(compiler->CompileModel(env, options), "the disk is full");
  compiler->ReleaseModelCompilationOptions(options);
}

static void into_a_file(void** state) {
  (void)state;
  char folder[] = "/tmp/kapell-compile-XXXXXX", in[64], out[64];
  assert_non_null(mkdtemp(folder));
  snprintf(in, sizeof in, "%s/m.onnx", folder);
  snprintf(out, sizeof out, "%s/out.onnx", folder);
  FILE* file = fopen(in, "wb");
  fwrite(model, 1, model_size, file);
  fclose(file);
  OrtModelCompilationOptions* options = new_options();
  ok(compiler->ModelCompilationOptions_SetInputModelPath(options, in));
  ok(compiler->ModelCompilationOptions_SetOutputModelPath(options, out));
  ok(compiler->CompileModel(env, options));
  assert_int_equal(access(out, R_OK), 0);
  ok(compiler->ModelCompilationOptions_SetFlags(options,
                                                OrtCompileApiFlags_ERROR_IF_OUTPUT_FILE_EXISTS));
  refused(compiler->CompileModel(env, options), "exists");
  compiler->ReleaseModelCompilationOptions(options);
  unlink(in);
  unlink(out);
  rmdir(folder);
}

static void refusals(void** state) {
  (void)state;
  OrtModelCompilationOptions* options = new_options();
  refused(compiler->CompileModel(env, options), "");
  refused(compiler->ModelCompilationOptions_SetInputModelPath(options, ""), "empty");
  ok(compiler->ModelCompilationOptions_SetInputModelFromBuffer(options, model, model_size));
  sink s = {.size = 0};
  ok(compiler->ModelCompilationOptions_SetOutputModelWriteFunc(options, take, &s));
  ok(compiler->ModelCompilationOptions_SetFlags(options,
                                                OrtCompileApiFlags_ERROR_IF_NO_NODES_COMPILED));
  refused(compiler->CompileModel(env, options), "Unable to compile any nodes");
  assert_int_equal(s.size, 0);
  ok(compiler->ModelCompilationOptions_SetFlags(options, 0));
  ok(compiler->ModelCompilationOptions_SetInputModelFromBuffer(options, "no model", 8));
  refused(compiler->CompileModel(env, options), "");
  compiler->ReleaseModelCompilationOptions(options);
  compiler->ReleaseModelCompilationOptions(NULL);
}

static void where_initializers_lie(void** state) {
  (void)state;
  OrtExternalInitializerInfo* info;
  OrtAllocator* allocator;
  char* text;
  ok(api->CreateExternalInitializerInfo("weights.bin", 64, 128, &info));
  assert_string_equal(api->ExternalInitializerInfo_GetFilePath(info), "weights.bin");
  assert_int_equal(api->ExternalInitializerInfo_GetFileOffset(info), 64);
  assert_int_equal(api->ExternalInitializerInfo_GetByteSize(info), 128);
  api->ReleaseExternalInitializerInfo(info);
  api->ReleaseExternalInitializerInfo(NULL);
  ok(api->GetAllocatorWithDefaultOptions(&allocator));
  ok(api->GetCompatibilityInfoFromModelBytes(model, model_size, "SomeExecutionProvider", allocator,
                                             &text));
  assert_null(text);
}

// --- where weights are written ---------------------------------------------------------------------------------------------------
enum { kSide = 40 };
static const char kWeighty[] =
    "in x float[N,40]\n init w float[40,40] = random 1\n init b float[40] = random 2\n"
    "p = MatMul(x, w)\n s = Add(p, b)\n k = Constant() value=float[2,40]{fill 3}\n"
    "y = Mul(s, k)\n out y float[N,40]\n";

typedef struct place {
  char folder[32], in[64], out[64], weights[64];
} place;

static void write_file(const char* path, const void* data, size_t size) {
  FILE* file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static long size_of(const char* path) {
  struct stat info;
  return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static OrtModelCompilationOptions* weighty_options(place* p) {
  size_t size;
  char* bytes = kp_test_model(kWeighty, 17, &size);
  strcpy(p->folder, "/tmp/kapell-compile-XXXXXX");
  assert_non_null(mkdtemp(p->folder));
  snprintf(p->in, sizeof p->in, "%s/in.onnx", p->folder);
  snprintf(p->out, sizeof p->out, "%s/out.onnx", p->folder);
  snprintf(p->weights, sizeof p->weights, "%s/weights.bin", p->folder);
  write_file(p->in, bytes, size);
  free(bytes);
  OrtModelCompilationOptions* options = new_options();
  ok(compiler->ModelCompilationOptions_SetInputModelPath(options, p->in));
  ok(compiler->ModelCompilationOptions_SetOutputModelPath(options, p->out));
  return options;
}

static void run_weighty(const char* path, float* result) {
  static const int64_t dims[] = {2, kSide};
  const char *in = "x", *out = "y";
  OrtSessionOptions* options;
  OrtSession* session;
  float data[2 * kSide];
  void* got;
  for (int i = 0; i < 2 * kSide; ++i) data[i] = (float)(i % 7);
  OrtValue *x = dropin_tensor(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2, data, sizeof data),
           *y = NULL;
  ok(api->CreateSessionOptions(&options));
  ok(api->CreateSession(env, path, options, &session));
  ok(api->Run(session, NULL, &in, (const OrtValue* const*)&x, 1, &out, 1, &y));
  ok(api->GetTensorMutableData(y, &got));
  memcpy(result, got, sizeof data);
  api->ReleaseValue(x);
  api->ReleaseValue(y);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(options);
}

static void expect_same_results(const place* p) {
  float from_in[2 * kSide], from_out[2 * kSide];
  run_weighty(p->in, from_in);
  run_weighty(p->out, from_out);
  assert_memory_equal(from_in, from_out, sizeof from_in);
}

static void remove_all(const place* p, OrtModelCompilationOptions* options) {
  compiler->ReleaseModelCompilationOptions(options);
  unlink(p->in);
  unlink(p->out);
  unlink(p->weights);
  assert_int_equal(rmdir(p->folder), 0);
}

// The matrix and the constant of a node go; the vector is too small. What is compiled again from what came out has it all inside.
static void weights_in_a_file(void** state) {
  (void)state;
  place p;
  OrtModelCompilationOptions* options = weighty_options(&p);
  const size_t matrix = kSide * kSide * sizeof(float), constant = 2 * kSide * sizeof(float);
  refused(compiler->ModelCompilationOptions_SetOutputModelExternalInitializersFile(options, "", 0),
          "empty");
  ok(compiler->ModelCompilationOptions_SetOutputModelExternalInitializersFile(options, p.weights,
                                                                              0));
  refused(compiler->CompileModel(env, options), "is_relative() was false");
  ok(compiler->ModelCompilationOptions_SetOutputModelExternalInitializersFile(
      options, "weights.bin", constant));
  ok(compiler->CompileModel(env, options));
  assert_int_equal(size_of(p.weights), matrix + constant);
  assert_true(size_of(p.out) < size_of(p.in) / 2);
  expect_same_results(&p);
  compiler->ReleaseModelCompilationOptions(options);
  options = new_options();
  ok(compiler->ModelCompilationOptions_SetInputModelPath(options, p.out));
  ok(compiler->ModelCompilationOptions_SetOutputModelPath(options, p.in));
  ok(compiler->CompileModel(env, options));
  unlink(p.weights);
  run_weighty(p.in, (float[2 * kSide]){0});
  remove_all(&p, options);
}

typedef struct store {
  FILE* file;
  int asked;
  bool fails;
} store;

static OrtStatus* put_weight(void* state, const char* name, const OrtValue* value,
                             const OrtExternalInitializerInfo* external,
                             OrtExternalInitializerInfo** new_external) {
  store* s = state;
  OrtTensorTypeAndShapeInfo* shape;
  size_t count;
  void* data;
  ++s->asked;
  assert_null(external);
  if (s->fails) return api->CreateStatus(ORT_FAIL, "no room for weights");
  if (strcmp(name, "w") != 0) return NULL;
  ok(api->GetTensorTypeAndShape(value, &shape));
  ok(api->GetTensorShapeElementCount(shape, &count));
  api->ReleaseTensorTypeAndShapeInfo(shape);
  assert_int_equal(count, kSide * kSide);
  ok(api->GetTensorMutableData((OrtValue*)(uintptr_t)value, &data));
  fseek(s->file, 4096, SEEK_SET);
  assert_int_equal(fwrite(data, sizeof(float), count, s->file), count);
  return api->CreateExternalInitializerInfo("weights.bin", 4096, count * sizeof(float),
                                            new_external);
}

static void weights_where_a_function_says(void** state) {
  (void)state;
  place p;
  OrtModelCompilationOptions* options = weighty_options(&p);
  store s = {.file = fopen(p.weights, "wb"), .fails = true};
  refused(compiler->ModelCompilationOptions_SetOutputModelGetInitializerLocationFunc(options, NULL,
                                                                                     NULL),
          "is null");
  ok(compiler->ModelCompilationOptions_SetOutputModelExternalInitializersFile(options, "other.bin",
                                                                              0));
  ok(compiler->ModelCompilationOptions_SetOutputModelGetInitializerLocationFunc(options, put_weight,
                                                                                &s));
  refused(compiler->CompileModel(env, options), "no room for weights");
  assert_int_equal(s.asked, 1);
  s.fails = false;
  s.asked = 0;
  ok(compiler->CompileModel(env, options));
  fclose(s.file);
  assert_int_equal(s.asked, 3);
  assert_true(size_of(p.out) < size_of(p.in) / 2);
  expect_same_results(&p);
  remove_all(&p, options);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(into_a_buffer),
                                     cmocka_unit_test(through_a_function),
                                     cmocka_unit_test(into_a_file),
                                     cmocka_unit_test(refusals),
                                     cmocka_unit_test(where_initializers_lie),
                                     cmocka_unit_test(weights_in_a_file),
                                     cmocka_unit_test(weights_where_a_function_says)};
  return cmocka_run_group_tests(tests, load, unload);
}
