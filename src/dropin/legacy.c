// The exports from before the function table: one a provider.
#include "dropin/providers.h"

KAPELL_API OrtStatus* OrtSessionOptionsAppendExecutionProvider_CPU(OrtSessionOptions* options,
                                                                   int use_arena);

OrtStatus* OrtSessionOptionsAppendExecutionProvider_CPU(OrtSessionOptions* options, int use_arena) {
  KP_ORT_NEED(options);
  options->cpu_arena = use_arena != 0;
  return dropin_append(options, "CPUExecutionProvider", NULL, NULL, 0);
}

// The number is the device's, or whether to use an arena.
#define LEGACY(Name, provider)                                                           \
  KAPELL_API OrtStatus* OrtSessionOptionsAppendExecutionProvider_##Name(                 \
      OrtSessionOptions* options, int number);                                           \
  OrtStatus* OrtSessionOptionsAppendExecutionProvider_##Name(OrtSessionOptions* options, \
                                                             int number) {               \
    (void)number;                                                                        \
    return dropin_append(options, provider, NULL, NULL, 0);                              \
  }
LEGACY(CUDA, "CUDAExecutionProvider")
LEGACY(Tensorrt, "TensorrtExecutionProvider")
