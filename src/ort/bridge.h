// The host that libraries for ONNX Runtime's own bridge look for while they are loaded (Provider_GetHost), and call as a C++ object: one whose
// functions all do nothing satisfies them. CUDA's library is a plug-in that still asks for it. All here, as the helper kapell-probe has
// nothing of the library.
#ifndef KP_ORT_BRIDGE_H_
#define KP_ORT_BRIDGE_H_

#include <stddef.h>

static void* kp_ort_bridge_nothing(void) { return NULL; }

// Threads: any; every call writes the same.
static inline void* kp_ort_bridge_host(void) {
  static void* (*functions[4096])(void);
  static void* (**host)(void) = functions;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; ++i)
    __atomic_store_n(&functions[i], kp_ort_bridge_nothing, __ATOMIC_RELAXED);
  return &host;
}

#endif  // KP_ORT_BRIDGE_H_
