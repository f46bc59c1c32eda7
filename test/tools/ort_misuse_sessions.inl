// Wrong calls about sessions, their options and models, and objects released in any order (ort_misuse.c includes this).

CASE(session_null_options) {
  OrtSession* s;
  return api->CreateSession(env, path_of("add"), NULL, &s);
}

CASE(session_folder) {
  OrtSession* s;
  return api->CreateSession(env, models, options, &s);
}

CASE(session_empty_path) {
  OrtSession* s;
  return api->CreateSession(env, "", options, &s);
}

CASE(session_no_bytes) {
  OrtSession* s;
  return api->CreateSessionFromArray(env, room, 0, options, &s);
}

CASE(session_zero_bytes) {
  OrtSession* s;
  return api->CreateSessionFromArray(env, room, sizeof room, options, &s);
}

CASE(run_null_value) { return run_matmul("x", NULL, 1, "y", 1); }

CASE(run_null_name) { return run_matmul(NULL, floats(2, 1, 4), 1, "y", 1); }

CASE(run_empty_name) { return run_matmul("", floats(2, 1, 4), 1, "y", 1); }

CASE(run_null_output_name) { return run_matmul("x", floats(2, 1, 4), 1, NULL, 1); }

CASE(run_empty_output_name) { return run_matmul("x", floats(2, 1, 4), 1, "", 1); }

CASE(run_unknown_output) { return run_matmul("x", floats(2, 1, 4), 1, "z", 1); }

CASE(run_unknown_input) { return run_matmul("z", floats(2, 1, 4), 1, "y", 1); }

CASE(run_input_twice) { return run_matmul("x", floats(2, 1, 4), 2, "y", 1); }

CASE(run_output_twice) { return run_matmul("x", floats(2, 1, 4), 1, "y", 2); }

CASE(run_no_outputs) { return run_matmul("x", floats(2, 1, 4), 1, "y", 0); }

CASE(run_no_inputs) { return run_matmul("x", floats(2, 1, 4), 0, "y", 1); }

CASE(run_wrong_rank) { return run_matmul("x", floats(1, 4, 0), 1, "y", 1); }

CASE(run_wrong_dim) { return run_matmul("x", floats(2, 1, 5), 1, "y", 1); }

CASE(run_zero_dim) { return run_matmul("x", floats(2, 0, 4), 1, "y", 1); }

CASE(run_sequence_for_tensor) { return run_matmul("x", sequence_of(floats(2, 1, 4)), 1, "y", 1); }

CASE(run_strings_for_floats) { return run_matmul("x", text_tensor(), 1, "y", 1); }

CASE(run_async_no_callback) {
  const char *in = "x", *out = "y";
  OrtValue *value = floats(2, 1, 4), *result = NULL;
  return api->RunAsync(open_model("matmul"), NULL, &in, (const OrtValue* const*)&value, 1, &out, 1,
                       &result, NULL, NULL);
}

CASE(run_async_one_thread) {
  const char *in = "x", *out = "y";
  OrtValue *value = floats(2, 1, 4), *result = NULL;
  PASS(api->SetIntraOpNumThreads(options, 1));
  return api->RunAsync(open_model("matmul"), NULL, &in, (const OrtValue* const*)&value, 1, &out, 1,
                       &result, on_done, NULL);
}

CASE(input_name_past_end) {
  char* n;
  return api->SessionGetInputName(open_model("add"), 2, heap, &n);
}

CASE(output_name_past_end) {
  char* n;
  return api->SessionGetOutputName(open_model("add"), 1, heap, &n);
}

CASE(input_type_past_end) {
  OrtTypeInfo* t;
  return api->SessionGetInputTypeInfo(open_model("add"), 2, &t);
}

CASE(overridable_past_end) {
  char* n;
  return api->SessionGetOverridableInitializerName(open_model("add"), 0, heap, &n);
}

CASE(intra_negative) { return api->SetIntraOpNumThreads(options, -1); }

CASE(inter_negative) { return api->SetInterOpNumThreads(options, -1); }

CASE(severity_high) { return api->SetSessionLogSeverityLevel(options, 77); }

CASE(execution_mode_unknown) { return api->SetSessionExecutionMode(options, (ExecutionMode)9); }

CASE(optimization_unknown) {
  return api->SetSessionGraphOptimizationLevel(options, (GraphOptimizationLevel)9);
}

CASE(config_empty_key) { return api->AddSessionConfigEntry(options, "", "x"); }

CASE(config_empty_value) { return api->AddSessionConfigEntry(options, "x", ""); }

CASE(config_long_key) {
  char k[5000];
  memset(k, 'k', sizeof k);
  k[4999] = 0;
  return api->AddSessionConfigEntry(options, k, "x");
}

CASE(config_long_value) {
  char k[9000];
  memset(k, 'k', sizeof k);
  k[8999] = 0;
  return api->AddSessionConfigEntry(options, "x", k);
}

CASE(config_absent) {
  char v[8];
  size_t n = 8;
  return api->GetSessionConfigEntry(options, "x", v, &n);
}

CASE(config_small) {
  char v[2];
  size_t n = 2;
  PASS(api->AddSessionConfigEntry(options, "x", "long"));
  return api->GetSessionConfigEntry(options, "x", v, &n);
}

CASE(config_bad_number) {
  OrtSession* s;
  PASS(api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "maybe"));
  return api->CreateSession(env, path_of("add"), options, &s);
}

CASE(run_config_empty_key) {
  OrtRunOptions* r;
  PASS(api->CreateRunOptions(&r));
  return api->AddRunConfigEntry(r, "", "x");
}

CASE(free_dimension_negative) {
  OrtSession* s;
  PASS(api->AddFreeDimensionOverrideByName(options, "batch", -5));
  return api->CreateSession(env, path_of("matmul"), options, &s);
}

CASE(free_dimension_unknown) {
  OrtSession* s;
  PASS(api->AddFreeDimensionOverrideByName(options, "nothing", 5));
  return api->CreateSession(env, path_of("matmul"), options, &s);
}

CASE(initializer_twice) {
  PASS(api->AddInitializer(options, "bias", floats(1, 2, 0)));
  return api->AddInitializer(options, "bias", floats(1, 2, 0));
}

CASE(initializer_empty_name) { return api->AddInitializer(options, "", floats(1, 2, 0)); }

CASE(initializer_null) { return api->AddInitializer(options, "bias", NULL); }

CASE(initializer_unknown) {
  OrtSession* s;
  PASS(api->AddInitializer(options, "nothing", floats(1, 2, 0)));
  return api->CreateSession(env, path_of("defaults"), options, &s);
}

CASE(initializer_wrong_shape) {
  OrtSession* s;
  PASS(api->AddInitializer(options, "bias", floats(1, 3, 0)));
  return api->CreateSession(env, path_of("defaults"), options, &s);
}

CASE(external_twice) {
  const char* n[] = {"w", "w"};
  OrtValue* v[] = {floats(1, 2, 0), floats(1, 2, 0)};
  return api->AddExternalInitializers(options, n, (const OrtValue* const*)v, 2);
}

CASE(external_none) { return api->AddExternalInitializers(options, NULL, NULL, 0); }

CASE(domain_null) { return api->AddCustomOpDomain(options, NULL); }

CASE(domain_twice) {
  OrtCustomOpDomain* d = scale_domain(1);
  PASS(api->AddCustomOpDomain(options, d));
  return api->AddCustomOpDomain(options, d);
}

CASE(domain_of_two_names) {
  OrtSession* s;
  PASS(api->AddCustomOpDomain(options, scale_domain(1)));
  PASS(api->AddCustomOpDomain(options, scale_domain(1)));
  return api->CreateSession(env, path_of("scale"), options, &s);
}

CASE(operator_twice) {
  OrtSession* s;
  PASS(api->AddCustomOpDomain(options, scale_domain(2)));
  return api->CreateSession(env, path_of("scale"), options, &s);
}

CASE(operator_create_fails) {
  failing.create = true;
  return run_scale();
}

CASE(operator_compute_fails) {
  failing.compute = true;
  return run_scale();
}

CASE(operator_shape_fails) {
  failing.shape = true;
  return run_scale();
}

CASE(operator_reads_past_inputs) { return run_scale(); }

CASE(operator_library_missing) {
  return api->RegisterCustomOpsLibrary_V2(options, "no_such_library.so");
}

CASE(operator_library_old) {
  void* h;
  return api->RegisterCustomOpsLibrary(options, "no_such_library.so", &h);
}

CASE(operator_function_missing) {
  return api->RegisterCustomOpsUsingFunction(options, "no_such_function");
}

CASE(operators_of_extensions) { return api->EnableOrtCustomOps(options); }

CASE(provider_unknown) {
  return api->SessionOptionsAppendExecutionProvider(options, "Nothing", NULL, NULL, 0);
}

CASE(provider_absent) {
  return api->SessionOptionsAppendExecutionProvider(options, "QNN", NULL, NULL, 0);
}

CASE(provider_xnnpack) {
  return api->SessionOptionsAppendExecutionProvider(options, "XNNPACK", NULL, NULL, 0);
}

CASE(provider_no_devices) {
  return api->SessionOptionsAppendExecutionProvider_V2(options, env, NULL, 0, NULL, NULL, 0);
}

CASE(provider_library_missing) {
  return api->RegisterExecutionProviderLibrary(env, "nothing", "/no/such/library.so");
}

CASE(provider_library_no_plugin) {
  return api->RegisterExecutionProviderLibrary(env, "libm", "libm.so.6");
}

CASE(provider_library_unknown) { return api->UnregisterExecutionProviderLibrary(env, "nothing"); }

CASE(delegate_selects_too_many) {
  OrtSession* s;
  PASS(api->SessionOptionsSetEpSelectionPolicyDelegate(options, select_badly, NULL));
  return api->CreateSession(env, path_of("add"), options, &s);
}

CASE(provider_api_unknown) {
  const void* p;
  return api->GetExecutionProviderApi("Nothing", 1, &p);
}

CASE(bind_unknown_input) {
  OrtIoBinding* b;
  PASS(api->CreateIoBinding(open_model("matmul"), &b));
  return api->BindInput(b, "z", floats(2, 1, 4));
}

CASE(bind_unknown_output) {
  OrtIoBinding* b;
  PASS(api->CreateIoBinding(open_model("matmul"), &b));
  return api->BindOutput(b, "z", floats(2, 1, 4));
}

CASE(bind_wrong_shape) {
  OrtIoBinding* b;
  OrtSession* s = open_model("matmul");
  PASS(api->CreateIoBinding(s, &b));
  PASS(api->BindInput(b, "x", floats(2, 1, 5)));
  PASS(api->BindOutputToDevice(b, "y", memory));
  return api->RunWithBinding(s, NULL, b);
}

CASE(bind_nothing) {
  OrtIoBinding* b;
  OrtSession* s = open_model("matmul");
  PASS(api->CreateIoBinding(s, &b));
  return api->RunWithBinding(s, NULL, b);
}

CASE(bind_no_outputs) {
  OrtIoBinding* b;
  OrtSession* s = open_model("matmul");
  PASS(api->CreateIoBinding(s, &b));
  PASS(api->BindInput(b, "x", floats(2, 1, 4)));
  return api->RunWithBinding(s, NULL, b);
}

CASE(bind_twice) {
  OrtIoBinding* b;
  OrtSession* s = open_model("matmul");
  PASS(api->CreateIoBinding(s, &b));
  PASS(api->BindInput(b, "x", floats(2, 1, 5)));
  PASS(api->BindInput(b, "x", floats(2, 1, 4)));
  PASS(api->BindOutputToDevice(b, "y", memory));
  return api->RunWithBinding(s, NULL, b);
}

CASE(bind_output_small) {
  OrtIoBinding* b;
  OrtSession* s = open_model("matmul");
  PASS(api->CreateIoBinding(s, &b));
  PASS(api->BindInput(b, "x", floats(2, 1, 4)));
  PASS(api->BindOutput(b, "y", floats(2, 1, 3)));
  return api->RunWithBinding(s, NULL, b);
}

CASE(profile_never_on) {
  char* n;
  return api->SessionEndProfiling(open_model("add"), heap, &n);
}

CASE(profile_ended_twice) {
  char* n;
  char p[4200];
  snprintf(p, sizeof p, "%s/misuse", models);
  PASS(api->EnableProfiling(options, p));
  OrtSession* s = open_model("add");
  PASS(api->SessionEndProfiling(s, heap, &n));
  unlink(n);
  return api->SessionEndProfiling(s, heap, &n);
}

CASE(optimized_model_no_folder) {
  OrtSession* s;
  PASS(api->SetOptimizedModelFilePath(options, "/no/such/folder/m.onnx"));
  return api->CreateSession(env, path_of("add"), options, &s);
}

CASE(metadata_empty_key) {
  OrtModelMetadata* m;
  char* v;
  PASS(api->SessionGetModelMetadata(open_model("add"), &m));
  return api->ModelMetadataLookupCustomMetadataMap(m, heap, "", &v);
}

CASE(dynamic_options_none) { return api->SetEpDynamicOptions(open_model("add"), NULL, NULL, 0); }

CASE(dynamic_options_unknown) {
  const char *k = "nothing", *v = "1";
  return api->SetEpDynamicOptions(open_model("add"), &k, &v, 1);
}

CASE(adapter_missing) {
  OrtLoraAdapter* a;
  return api->CreateLoraAdapter("/no/such/adapter", NULL, &a);
}

CASE(adapter_garbage) {
  OrtLoraAdapter* a;
  return api->CreateLoraAdapterFromArray(room, sizeof room, NULL, &a);
}

CASE(editor_no_graph) {
  const OrtModelEditorApi* e = api->GetModelEditorApi();
  const char* d = "";
  const int v = 21;
  OrtModel* m;
  OrtSession* s;
  PASS(e->CreateModel(&d, &v, 1, &m));
  return e->CreateSessionFromModel(env, m, options, &s);
}

CASE(editor_empty_graph) {
  const OrtModelEditorApi* e = api->GetModelEditorApi();
  const char* d = "";
  const int v = 21;
  OrtModel* m;
  OrtGraph* g;
  OrtSession* s;
  PASS(e->CreateModel(&d, &v, 1, &m));
  PASS(e->CreateGraph(&g));
  PASS(e->AddGraphToModel(m, g));
  return e->CreateSessionFromModel(env, m, options, &s);
}

CASE(editor_unknown_operator) {
  const OrtModelEditorApi* e = api->GetModelEditorApi();
  const char *d = "", *o = "y";
  const int v = 21;
  OrtModel* m;
  OrtGraph* g;
  OrtNode* n;
  OrtSession* s;
  PASS(e->CreateModel(&d, &v, 1, &m));
  PASS(e->CreateGraph(&g));
  PASS(e->CreateNode("Nothing", "", "n", NULL, 0, &o, 1, NULL, 0, &n));
  PASS(e->AddNodeToGraph(g, n));
  PASS(e->AddGraphToModel(m, g));
  return e->CreateSessionFromModel(env, m, options, &s);
}

CASE(editor_initializer_of_caller) {
  const OrtModelEditorApi* e = api->GetModelEditorApi();
  OrtGraph* g;
  PASS(e->CreateGraph(&g));
  return e->AddInitializerToGraph(g, "w", floats(1, 2, 0), false);
}

CASE(release_env_first) {
  OrtSession* s = open_model("add");
  api->ReleaseEnv(env);
  api->ReleaseSession(s);
  return NULL;
}

CASE(release_options_first) {
  OrtSession* s = open_model("add");
  api->ReleaseSessionOptions(options);
  api->ReleaseSession(s);
  return NULL;
}

CASE(release_session_first) {
  OrtSession* s = open_model("add");
  OrtModelMetadata* m;
  OrtTypeInfo* t;
  char* n;
  PASS(api->SessionGetModelMetadata(s, &m));
  PASS(api->SessionGetInputTypeInfo(s, 0, &t));
  PASS(api->SessionGetInputName(s, 0, heap, &n));
  api->ReleaseSession(s);
  PASS(api->AllocatorFree(heap, n));
  api->ReleaseTypeInfo(t);
  api->ReleaseModelMetadata(m);
  return NULL;
}

CASE(release_session_before_result) {
  OrtSession* s = open_model("matmul");
  const char *i = "x", *o = "y";
  OrtValue *v = floats(2, 1, 4), *r = NULL;
  void* p;
  PASS(api->Run(s, NULL, &i, (const OrtValue* const*)&v, 1, &o, 1, &r));
  api->ReleaseSession(s);
  PASS(api->GetTensorMutableData(r, &p));
  memset(p, 1, 8);
  api->ReleaseValue(r);
  return NULL;
}

CASE(release_part_before_whole) {
  OrtValue *f = floats(1, 2, 0), *s = sequence_of(f), *i;
  api->ReleaseValue(f);
  PASS(api->GetValue(s, 0, heap, &i));
  api->ReleaseValue(s);
  api->ReleaseValue(i);
  return NULL;
}

CASE(release_binding_first) {
  OrtIoBinding* b;
  OrtSession* s = open_model("matmul");
  PASS(api->CreateIoBinding(s, &b));
  OrtValue* v = floats(2, 1, 4);
  PASS(api->BindInput(b, "x", v));
  api->ReleaseValue(v);
  PASS(api->BindOutputToDevice(b, "y", memory));
  PASS(api->RunWithBinding(s, NULL, b));
  api->ReleaseIoBinding(b);
  api->ReleaseSession(s);
  return NULL;
}

CASE(release_container_after) {
  OrtPrepackedWeightsContainer* c;
  OrtSession* s;
  PASS(api->CreatePrepackedWeightsContainer(&c));
  PASS(api->CreateSessionWithPrepackedWeightsContainer(env, path_of("matmul"), options, c, &s));
  api->ReleaseSession(s);
  api->ReleasePrepackedWeightsContainer(c);
  return NULL;
}

CASE(release_nothing) {
  api->ReleaseEnv(NULL);
  api->ReleaseStatus(NULL);
  api->ReleaseMemoryInfo(NULL);
  api->ReleaseSession(NULL);
  api->ReleaseValue(NULL);
  api->ReleaseRunOptions(NULL);
  api->ReleaseTypeInfo(NULL);
  api->ReleaseTensorTypeAndShapeInfo(NULL);
  api->ReleaseSessionOptions(NULL);
  api->ReleaseCustomOpDomain(NULL);
  api->ReleaseModelMetadata(NULL);
  api->ReleaseThreadingOptions(NULL);
  api->ReleaseAllocator(NULL);
  api->ReleaseIoBinding(NULL);
  api->ReleaseArenaCfg(NULL);
  api->ReleasePrepackedWeightsContainer(NULL);
  api->ReleaseOpAttr(NULL);
  api->ReleaseKeyValuePairs(NULL);
  api->ReleaseLoraAdapter(NULL);
  api->ReleaseValueInfo(NULL);
  api->ReleaseNode(NULL);
  api->ReleaseGraph(NULL);
  api->ReleaseModel(NULL);
  return NULL;
}

CASE(providers_release_none) { return api->ReleaseAvailableProviders(NULL, 0); }
