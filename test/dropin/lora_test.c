// LoRA adapters: files as ONNX Runtime's Python package writes them, their parameters in runs, and bytes that are none.
#include "dropin/dropin.h"

// AdapterFormat of onnxruntime 1.32: "a" float[2] = 10 20, "b" float[1] = 0.5.
#include "dropin/adapter.inl"

static void parameters_are_inputs(void** state) {
  (void)state;
  OrtLoraAdapter* adapter;
  OrtRunOptions* options;
  OrtSession* session;
  OrtSessionOptions* session_options;
  const char *in = "x", *out = "y";
  ok(api->CreateLoraAdapterFromArray(adapter_bytes, sizeof adapter_bytes, NULL, &adapter));
  ok(api->CreateRunOptions(&options));
  ok(api->CreateSessionOptions(&session_options));
  // Parameters replace initializers that are inputs, which they are without an adapter. What they hold then may have another shape, where the
  // input's leaves it open.
  ok(
      dropin_open("in x float[2]\n in a float[R]\n in b float[1]\n init a float[1] = 0\n init b "
                  "float[1] = 1\n"
                  " s = Mul(x, b)\n y = Add(s, a)\n out y float[2]\n",
                  session_options, &session));
  OrtValue *x = dropin_floats((const float[]){2, 4}, 2), *y = NULL;
  ok(api->Run(session, options, &in, (const OrtValue* const*)&x, 1, &out, 1, &y));
  dropin_expect(y, (const float[]){2, 4}, 2);
  api->ReleaseValue(y);
  y = NULL;
  ok(api->RunOptionsAddActiveLoraAdapter(options, adapter));
  ok(api->Run(session, options, &in, (const OrtValue* const*)&x, 1, &out, 1, &y));
  dropin_expect(y, (const float[]){11, 22}, 2);
  api->ReleaseValue(x);
  api->ReleaseValue(y);
  api->ReleaseRunOptions(options);
  api->ReleaseLoraAdapter(adapter);
  api->ReleaseSession(session);
  api->ReleaseSessionOptions(session_options);
}

// Every byte changed and every length cut: an adapter, or a status.
static void bytes_that_are_none(void** state) {
  (void)state;
  if (!dropin_is_ours()) return;
  unsigned char* bytes = malloc(sizeof adapter_bytes);
  OrtLoraAdapter* adapter;
  for (size_t i = 0; i < sizeof adapter_bytes; ++i)
    for (int change = 0; change < 4; ++change) {
      memcpy(bytes, adapter_bytes, sizeof adapter_bytes);
      bytes[i] = (unsigned char[]){0, 0xff, 0x80, (unsigned char)(adapter_bytes[i] + 1)}[change];
      api->ReleaseStatus(
          api->CreateLoraAdapterFromArray(bytes, sizeof adapter_bytes, NULL, &adapter));
      api->ReleaseLoraAdapter(adapter);
    }
  free(bytes);
  for (size_t size = 1; size < sizeof adapter_bytes; ++size) {
    bytes = malloc(size);  // so that reading past it is seen
    memcpy(bytes, adapter_bytes, size);
    api->ReleaseStatus(api->CreateLoraAdapterFromArray(bytes, size, NULL, &adapter));
    api->ReleaseLoraAdapter(adapter);
    free(bytes);
  }
  refused(api->CreateLoraAdapterFromArray("no adapter at all", 17, NULL, &adapter),
          "no LoRA adapter");
  refused(api->CreateLoraAdapter("/nowhere/a.onnx_adapter", NULL, &adapter), "nowhere");
  api->ReleaseLoraAdapter(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(parameters_are_inputs),
                                     cmocka_unit_test(bytes_that_are_none)};
  return cmocka_run_group_tests(tests, dropin_load, dropin_unload);
}
