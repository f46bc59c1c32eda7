// A library of providers as CUDA's is: while it is loaded it asks for a host of ONNX Runtime's bridge, and calls it as a C++ object. It offers
// no provider.
#include <stddef.h>

#include "ort/abi.h"

#define EXPORT __attribute__((visibility("default")))
void* Provider_GetHost(void);  // of libonnxruntime_providers_shared.so
EXPORT OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base,
                                    const OrtLogger* logger, OrtEpFactory** out, size_t most,
                                    size_t* out_count);
EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* factory);

static void* answer;

__attribute__((constructor)) static void ask(void) {
  void* (***host)(void) = Provider_GetHost();
  answer = (*host)[809]();
}

OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base, const OrtLogger* logger,
                             OrtEpFactory** out, size_t most, size_t* out_count) {
  (void)name, (void)base, (void)logger, (void)out, (void)most;
  *out_count = 0;
  return answer ? base->GetApi(1)->CreateStatus(ORT_FAIL, "an answer out of nowhere") : NULL;
}

OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  (void)factory;
  return NULL;
}
