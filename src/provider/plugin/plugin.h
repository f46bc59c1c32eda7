// Providers from libraries of ONNX Runtime's plug-in ABI: what a library offers becomes provider types like those built in.
//
// A library is loaded once under each name it is registered under; each provider that its factories offer is a kp_plugin_type, found
// by its name as the built-in ones are (kp_provider_find). ONNX Runtime's objects, which speak to the library, come from ort/.
// docs/hosting.md has the order of the calls. library.c loads and registers; devices.c asks what the factories make of the machine's
// devices; the rest is the provider: provider.c (capability), compile.c, run.c, memory.c. hosted.h is what others call.
//
// Which members of a library's structs may be called: KP_PLUGIN_HAS (members newer than the struct's own version are not looked at,
// and any may be NULL). Factories that leave members uninitialised have been set right by then (library.c).
#ifndef KP_PROVIDER_PLUGIN_PLUGIN_H_
#define KP_PROVIDER_PLUGIN_PLUGIN_H_

#include "ort/env.h"
#include "ort/kernel.h"
#include "provider/hosted.h"

// May |object|'s |member|, which came with API |since|, be called?
#define KP_PLUGIN_HAS(object, member, since) \
  ((object)->ort_version_supported >= (since) && (object)->member != NULL)

// A registered library. Counted: by its registration, and by whoever still needs its code. The last one gone, factories and library are
// closed.
typedef struct kp_plugin_library kp_plugin_library;

// One provider of a library: what a factory offers. Lives as long as the library.
typedef struct kp_plugin_type {
  kp_provider_type type;  // first; name and short_name are those of the factory
  kp_plugin_library* library;
  OrtEpFactory* factory;
  OrtEpDevice**
      devices;  // what the factory offered, in its order; none: nothing on this machine suits it
  size_t device_count;
  OrtDataTransferImpl*
      transfer;  // of the factory, made at registration; NULL: it has none. In the environment too.
} kp_plugin_type;

static inline const kp_plugin_type* kp_plugin_type_of(const kp_provider_type* type) {
  return (const kp_plugin_type*)(const void*)type;
}

// The functions and flags of every kp_plugin_type (provider.c); library.c copies it and fills in names, options and probe.
extern const kp_provider_type kp_plugin_base;

// For whoever needs the library's code beyond the calls of a kp_provider_type: providers, and memory that outlives them.
void kp_plugin_library_retain(kp_plugin_library* library);
void kp_plugin_library_release(kp_plugin_library* library);
const char* kp_plugin_library_path(const kp_plugin_library* library);

// --- between library.c and devices.c
#define KP_PLUGIN_MOST_FACTORIES 4
#define KP_PLUGIN_MOST_DEVICES 8  // a factory may offer

struct kp_plugin_library {
  int32_t refs;  // atomic
  char *name, *path;
  void* handle;  // of dlopen
  OrtEnv* env;   // held
  ReleaseEpApiFactoryFn release_factory;
  OrtEpFactory* factories[KP_PLUGIN_MOST_FACTORIES];
  kp_plugin_type types[KP_PLUGIN_MOST_FACTORIES];  // parallel
  size_t factory_count;
  struct kp_plugin_library* next;  // registered
};

// Fills |library|'s types: what its factories are called, which devices they offer, and their allocators and data transfers.
KP_MUST_USE kp_status* kp_plugin_devices_ask(kp_plugin_library* library);
// Puts them into the environment, where clients see them; and takes them out again.
KP_MUST_USE kp_status* kp_plugin_devices_show(kp_plugin_library* library);
void kp_plugin_devices_hide(kp_plugin_library* library);
void kp_plugin_devices_free(kp_plugin_library* library);
kp_status* kp_plugin_probe(const char* const* option_texts, kp_probe* probe);

#endif  // KP_PROVIDER_PLUGIN_PLUGIN_H_
