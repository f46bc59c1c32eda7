// Registering libraries of ONNX Runtime's plug-in ABI, for those above this folder; provider/plugin/ does it.
#ifndef KP_PROVIDER_HOSTED_H_
#define KP_PROVIDER_HOSTED_H_

#include "provider/provider.h"

// Loads the library at |path| (the real file, so that it finds its own), calls its CreateEpFactories under the registration name
// |name|, asks each factory for devices, and adds its provider types, and its devices to the environment (ort/env.h; one is made where
// there is none). The |first| libraries are loaded before it, by their paths: what it needs and the system's linker would not find. Errors, each with what to try: NOT_FOUND (no such file), PROVIDER_UNAVAILABLE (no library for this machine, a missing
// dependency, no CreateEpFactories, the library's own words), INVALID_ARGUMENT (a name that is taken or that no list can carry).
// Threads: any.
KP_MUST_USE kp_status* kp_plugin_register(const char* name, const char* path,
                                          const char* const* first, size_t first_count);
// The same for a library of provider |name| that several may find at once: nothing where the provider is there by then.
KP_MUST_USE kp_status* kp_plugin_register_once(const char* name, const char* path,
                                               const char* const* first, size_t first_count);
// Ends what kp_plugin_register began: the types are found no more; the library is closed when the last session of it is gone. Errors:
// NOT_FOUND for a name that is not registered.
KP_MUST_USE kp_status* kp_plugin_unregister(const char* name);
// Path of the library registered under |name|, copied into |arena|; NULL: none.
const char* kp_plugin_path(const char* name, kp_arena* arena);

#endif  // KP_PROVIDER_HOSTED_H_
