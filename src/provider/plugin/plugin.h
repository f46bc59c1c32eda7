// Providers from libraries of ONNX Runtime's plug-in ABI: what a library offers becomes provider types like those built in.
//
// A library is loaded once in a process and registered under a name; each provider that its factories offer is a kp_plugin_type, found
// by its name as the built-in ones are (kp_provider_find). ONNX Runtime's objects, which speak to the library, come from ort/.
// docs/hosting.md has the order of the calls. library.c loads and registers; devices.c asks what the factories make of the machine's
// devices; the rest is the provider: provider.c (capability), compile.c, run.c, memory.c.
//
// Which members of a library's structs may be called: KP_PLUGIN_HAS (members newer than the struct's own version are not looked at,
// and any may be NULL).
#ifndef KP_PROVIDER_PLUGIN_PLUGIN_H_
#define KP_PROVIDER_PLUGIN_PLUGIN_H_

#include "ort/env.h"
#include "provider/provider.h"

typedef struct kp_plugin_library kp_plugin_library;

// May |object|'s |member|, which came with API |since|, be called?
#define KP_PLUGIN_HAS(object, member, since) \
  ((object)->ort_version_supported >= (since) && (object)->member != NULL)

// One provider of a library. Lives until the library is unregistered and the last session of it is gone.
typedef struct kp_plugin_type {
  kp_provider_type type;  // first; name and short_name are those of the factory
  kp_plugin_library* library;
  OrtEpFactory* factory;
  OrtEpDevice** devices;  // what the factory offered, in its order; owned by the environment
  size_t device_count;
} kp_plugin_type;

// Loads the library at |path| (the real file, so that it finds its own), calls its CreateEpFactories under the registration name
// |name|, asks each factory for devices, and adds its provider types and devices to |env|. Errors, each with what to try: no such
// file, not a library, a missing dependency (named), no CreateEpFactories, the library's own words, a name that is taken.
// Threads: any.
KP_MUST_USE kp_status* kp_plugin_register(OrtEnv* env, const char* name, const char* path);
// Ends what kp_plugin_register began: the types are found no more; the library is closed when the last session of it is gone.
KP_MUST_USE kp_status* kp_plugin_unregister(OrtEnv* env, const char* name);
// For providers: keeps the library loaded.
void kp_plugin_library_retain(kp_plugin_library* library);
void kp_plugin_library_release(kp_plugin_library* library);

// The functions of every kp_plugin_type (provider.c and its neighbours).
kp_status* kp_plugin_create(const kp_provider_args* args, kp_provider** out_provider);
void kp_plugin_destroy(kp_provider* provider);
kp_status* kp_plugin_capability(kp_provider* provider, const kp_graph* graph, kp_claims* claims);
kp_status* kp_plugin_compile(kp_provider* provider, const kp_compile_args* args,
                             kp_compiled** out_compiled);
void kp_plugin_release(kp_compiled* compiled);
kp_status* kp_plugin_specialise(kp_compiled* compiled, const kp_specialise_args* args,
                                kp_special** out_special);
kp_status* kp_plugin_run(kp_compiled* compiled, const kp_special* special, const kp_run_args* args);

#endif  // KP_PROVIDER_PLUGIN_PLUGIN_H_
