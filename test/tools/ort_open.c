// A client that finds ONNX Runtime's library by its name alone, as programs linked against it do: prints who made the library, opens a session
// on each model, asks for the providers named by --provider NAME, and ends with exit code 7.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "ort/abi.h"

static int complain(const OrtApi* api, OrtStatus* status) {
  if (!status) return 0;
  printf("error %d: %s\n", (int)api->GetErrorCode(status), api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  return 1;
}

int main(int argc, char** argv) {
  void* library = dlopen("libonnxruntime.so.1", RTLD_NOW);
  const OrtApiBase* (*get)(void) = NULL;
  if (library) *(void**)&get = dlsym(library, "OrtGetApiBase");
  if (!get) {
    printf("%s\n", dlerror());
    return 1;
  }
  const OrtApi* api = get()->GetApi(24);
  OrtEnv* env = NULL;
  OrtSessionOptions* options = NULL;
  if (complain(api, api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "client", &env))) return 1;
  if (complain(api, api->CreateSessionOptions(&options))) return 1;
  printf("%s\n", api->GetBuildInfoString());
  for (int i = 1; i < argc; ++i) {
    OrtSession* session = NULL;
    if (strcmp(argv[i], "--provider") == 0 && i + 1 < argc)
      complain(api, api->SessionOptionsAppendExecutionProvider(options, argv[++i], NULL, NULL, 0));
    else
      complain(api, api->CreateSession(env, argv[i], options, &session));
    api->ReleaseSession(session);
  }
  api->ReleaseSessionOptions(options);
  api->ReleaseEnv(env);
  return 7;
}
