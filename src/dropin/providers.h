// Asking for providers, between the files of dropin/.
#ifndef KP_DROPIN_PROVIDERS_H_
#define KP_DROPIN_PROVIDERS_H_

#include "dropin/session.h"

// Can |name| ("CUDAExecutionProvider") be used on this machine?
bool dropin_provider_is_available(const char* name);
// Adds |provider| to the list, or says that this build lacks it.
OrtStatus* dropin_append(OrtSessionOptions* options, const char* provider, const char* const* keys,
                         const char* const* values, size_t count);
// Adds the provider of |devices|, which have one in common, with just these; and the options that a device has of its own.
OrtStatus* dropin_append_devices(OrtSessionOptions* options, const OrtEnv* env,
                                 const OrtEpDevice* const* devices, size_t count);
OrtStatus* dropin_append_options(OrtSessionOptions* options, const OrtEpDevice* device);

#endif  // KP_DROPIN_PROVIDERS_H_
