// Libraries of providers, and asking for providers by the devices that they offer.
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dropin/providers.h"

// --- libraries ---------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_RegisterExecutionProviderLibrary(OrtEnv* env, const char* name, const char* path) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(name);
  KP_ORT_NEED(path);
  if (access(path, R_OK) != 0)
    return kp_ort_error(ORT_FAIL,
                        "Failed to load library %s with error: %s: cannot open shared object file: "
                        "No such file or directory",
                        path, path);
  return kp_ort_status(kapell_provider_library_register(name, path));
}

OrtStatus* ort_UnregisterExecutionProviderLibrary(OrtEnv* env, const char* name) {
  KP_ORT_NEED(env);
  KP_ORT_NEED(name);
  kapell_status* status = kapell_provider_library_unregister(name);
  if (kapell_status_code(status) != KAPELL_NOT_FOUND) return kp_ort_status(status);
  kapell_status_free(status);
  return kp_ort_error(ORT_FAIL, "Execution provider library: %s was not registered.", name);
}

// --- asking by device --------------------------------------------------------------------------------------------------------------
// Providers of libraries find their options among the session's entries.
static OrtStatus* add_entry(OrtSessionOptions* options, const char* provider, const char* key,
                            const char* value) {
  kp_strbuf text = {0};
  kp_strbuf_printf(&text, "ep.%s.", provider);
  for (size_t i = 0; i < text.length; ++i)
    if (text.data[i] >= 'A' && text.data[i] <= 'Z') text.data[i] = (char)(text.data[i] - 'A' + 'a');
  kp_strbuf_puts(&text, key);
  OrtStatus* status =
      text.failed ? kp_ort_no_memory() : ort_AddSessionConfigEntry(options, text.data, value);
  kp_strbuf_free(&text);
  return status;
}

// The devices' numbers among all of their provider's, as the list of a session wants them.
static OrtStatus* add_numbers(OrtSessionOptions* options, const OrtEnv* env,
                              const OrtEpDevice* const* devices, size_t count) {
  const OrtEpDevice* const* all;
  size_t all_count;
  kp_strbuf numbers = {0};
  KP_ORT_PASS(ort_GetEpDevices(env, &all, &all_count));
  for (size_t i = 0; i < count; ++i) {
    size_t number = 0;
    bool found = false;
    for (size_t k = 0; k < all_count && !found; ++k) {
      found = all[k] == devices[i];
      number += !found && all[k]->factory == devices[i]->factory;
    }
    if (found) kp_strbuf_printf(&numbers, "%s%zu", i ? "," : "", number);
  }
  static const char* const keys[] = {"kapell_devices"};
  const char* const values[] = {numbers.data};
  OrtStatus* status = numbers.failed || !numbers.length
                          ? kp_ort_no_memory()
                          : kp_ort_options_add_provider(options, devices[0]->name, keys, values, 1);
  kp_strbuf_free(&numbers);
  if (!status) options->providers[options->provider_count - 1].by_device = true;
  return status;
}

// Operators that the library brings: clients of ONNX Runtime need not add them.
static OrtStatus* add_domains(OrtSessionOptions* options, OrtEpFactory* factory) {
  size_t count = 0;
  if (factory->ort_version_supported < 24 || !factory->GetNumCustomOpDomains ||
      !factory->GetCustomOpDomains)
    return NULL;
  KP_ORT_PASS(factory->GetNumCustomOpDomains(factory, &count));
  if (!count) return NULL;
  OrtCustomOpDomain** domains = kp_alloc_zero(count, sizeof(OrtCustomOpDomain*));
  if (!domains) return kp_ort_no_memory();
  OrtStatus* status = factory->GetCustomOpDomains(factory, domains, count);
  for (size_t i = 0; i < count && !status; ++i) {
    bool known = !domains[i];
    for (size_t k = 0; k < options->domain_count && !known; ++k)
      known = options->domains[k] == domains[i];
    if (!known) status = ort_AddCustomOpDomain(options, domains[i]);
  }
  kp_free(domains);
  return status;
}

OrtStatus* dropin_append_devices(OrtSessionOptions* options, const OrtEnv* env,
                                 const OrtEpDevice* const* devices, size_t count) {
  if (!devices[0]->factory) return dropin_append(options, devices[0]->name, NULL, NULL, 0);
  KP_ORT_PASS(add_numbers(options, env, devices, count));
  return add_domains(options, devices[0]->factory);
}

OrtStatus* dropin_append_options(OrtSessionOptions* options, const OrtEpDevice* device) {
  for (size_t i = 0; i < device->options.count; ++i)
    KP_ORT_PASS(
        add_entry(options, device->name, device->options.keys[i], device->options.values[i]));
  return NULL;
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider_V2(OrtSessionOptions* options, OrtEnv* env,
                                                        const OrtEpDevice* const* devices,
                                                        size_t count, const char* const* keys,
                                                        const char* const* values,
                                                        size_t option_count) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(env);
  if (count == 0 || !devices)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "ep_devices cannot be empty");
  if (option_count && (!keys || !values))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "keys or values are NULL");
  for (size_t i = 0; i < count; ++i)
    if (!devices[i] || strcmp(devices[i]->name, devices[0]->name) != 0)
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "All OrtEpDevice values must have the same execution provider.");
  for (size_t i = 0; i < option_count; ++i) {
    if (!keys[i] || !keys[i][0] || !values[i])
      return kp_ort_error(ORT_INVALID_ARGUMENT, "option %zu has no key or no value", i);
    KP_ORT_PASS(add_entry(options, devices[0]->name, keys[i], values[i]));
  }
  return dropin_append_devices(options, env, devices, count);
}
