// The compile API through ONNX Runtime's C API: on the CPU alone a model comes out as it went in, and refusals say why.
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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(into_a_buffer),
                                     cmocka_unit_test(through_a_function),
                                     cmocka_unit_test(into_a_file), cmocka_unit_test(refusals),
                                     cmocka_unit_test(where_initializers_lie)};
  return cmocka_run_group_tests(tests, load, unload);
}
