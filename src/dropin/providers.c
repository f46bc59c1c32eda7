// Providers: which there are, asking for them by name, and what the list of a session's options comes to.
//
// The rule of the stand-ins: what ONNX Runtime's CPU-only build refuses is refused here with the same kind of error, unless Kapell has
// that provider on this machine. What was accepted is optional, with a warning where it is not in use; KAPELL_STRICT=1 makes it required.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/log.h"
#include "dropin/providers.h"

#define CPU_PROVIDER "CPUExecutionProvider"

// --- the list of a session -------------------------------------------------------------------------------------------------------
static bool is_strict(void) {
  const char* text = getenv("KAPELL_STRICT");
  return text && text[0] && strcmp(text, "0") != 0;
}

static OrtStatus* list_options(const OrtSessionOptions* options, kp_arena* arena,
                               kapell_options* out) {
  size_t count = 0;
  for (size_t i = 0; i < options->provider_count; ++i) count += options->providers[i].options.count;
  kapell_provider_option* list = kp_arena_new_array(arena, kapell_provider_option, count + 1);
  if (!list) return kp_ort_no_memory();
  for (size_t i = 0, at = 0; i < options->provider_count; ++i) {
    const kp_ort_provider* p = &options->providers[i];
    for (size_t k = 0; k < p->options.count; ++k, ++at) {
      list[at].key = kp_arena_printf(arena, "%s.%s", p->name, p->options.keys[k]);
      list[at].value = p->options.values[k];
      if (!list[at].key) return kp_ort_no_memory();
    }
  }
  out->provider_options = list;
  out->provider_option_count = count;
  return NULL;
}

bool dropin_has_no_floor(const OrtSessionOptions* options) {
  return strcmp(kp_ort_options_config(options, "session.disable_cpu_ep_fallback", "0"), "1") == 0;
}

OrtStatus* dropin_providers(const OrtSessionOptions* options, kp_arena* arena,
                            kapell_options* out) {
  const bool no_floor = dropin_has_no_floor(options);
  kp_strbuf list = {0};
  for (size_t i = 0; i < options->provider_count; ++i) {
    const char* name = options->providers[i].name;
    const bool is_cpu = strcmp(name, CPU_PROVIDER) == 0;
    if (is_cpu && no_floor) {
      kp_strbuf_free(&list);
      return kp_ort_error(ORT_INVALID_ARGUMENT,
                          "Conflicting session configuration: explicitly added the CPU EP to the "
                          "session, but also disabled "
                          "fallback to the CPU EP via session configuration options.");
    }
    const char* consent = is_cpu || is_strict()             ? ""
                          : options->providers[i].by_device ? ">=0%"
                                                            : "?";
    kp_strbuf_printf(&list, "%s%s%s", list.length ? "," : "", name, consent);
  }
  if (no_floor) kp_strbuf_printf(&list, "%s; floor=none", list.length ? "" : "CPU");
  if (list.length) out->providers = kp_arena_strndup(arena, list.data, list.length);
  const bool failed = list.failed || (list.length && !out->providers);
  kp_strbuf_free(&list);
  return failed ? kp_ort_no_memory() : list_options(options, arena, out);
}

// --- which there are -------------------------------------------------------------------------------------------------------------
static bool is_here(const char* name) {
  kapell_provider_info* list = NULL;
  size_t count = 0;
  bool available = false;
  kapell_status* status = kapell_providers(&list, &count);
  for (size_t i = 0; !status && i < count; ++i)
    available = available || (list[i].available && strcmp(list[i].name, name) == 0);
  kapell_status_free(status);
  kapell_providers_free(list);
  return available;
}

// A library that this machine has is loaded when its provider is asked for by name.
bool dropin_provider_is_available(const char* name) {
  if (is_here(name)) return true;
  kapell_status* status = kapell_provider_library_find(name);
  const bool found = !status;
  kapell_status_free(status);
  return found && is_here(name);
}

OrtStatus* ort_GetAvailableProviders(char*** out_ptr, int* provider_length) {
  KP_ORT_NEED(out_ptr);
  KP_ORT_NEED(provider_length);
  kapell_provider_info* list = NULL;
  size_t count = 0;
  *out_ptr = NULL;
  *provider_length = 0;
  KP_ORT_TAKE(kapell_providers(&list, &count));
  char** names = kp_alloc_zero(count + 1, sizeof(*names));
  int made = 0;
  bool failed = !names;
  for (size_t pass = 0; pass < 2 && !failed; ++pass)  // the CPU last, as programs expect
    for (size_t i = 0; i < count && !failed; ++i) {
      if (!list[i].available || (strcmp(list[i].name, CPU_PROVIDER) == 0) != (pass == 1)) continue;
      names[made] = kp_strdup(list[i].name);
      failed = !names[made++];
    }
  kapell_providers_free(list);
  if (failed) {
    OrtStatus* ignored = ort_ReleaseAvailableProviders(names, made);
    (void)ignored;
    return kp_ort_no_memory();
  }
  *out_ptr = names;
  *provider_length = made;
  return NULL;
}

OrtStatus* ort_ReleaseAvailableProviders(char** ptr, int providers_length) {
  for (int i = 0; ptr && i < providers_length; ++i) kp_free(ptr[i]);
  kp_free(ptr);
  return NULL;
}

// --- asking by name --------------------------------------------------------------------------------------------------------------
// Names that the general function of ONNX Runtime's takes, and the providers behind them.
typedef struct short_name {
  const char *name, *provider;
} short_name;

static const short_name short_names[] = {
    {"CPU", CPU_PROVIDER},
    {"QNN", "QNNExecutionProvider"},
    {"SNPE", "SNPEExecutionProvider"},
    {"XNNPACK", "XnnpackExecutionProvider"},
    {"WEBNN", "WebNNExecutionProvider"},
    {"WebGPU", "WebGpuExecutionProvider"},
    {"AZURE", "AzureExecutionProvider"},
    {"JS", "JsExecutionProvider"},
    {"VitisAI", "VitisAIExecutionProvider"},
    {"CoreML", "CoreMLExecutionProvider"},
    {"OpenVINO", "OpenVINOExecutionProvider"},
    {"NvTensorRtRtx", "NvTensorRTRTXExecutionProvider"},
    {"MIGraphX", "MIGraphXExecutionProvider"},
    {"CUDA", "CUDAExecutionProvider"},
    {"TensorRT", "TensorrtExecutionProvider"},
    {"ROCM", "ROCMExecutionProvider"},
    {"CANN", "CANNExecutionProvider"},
    {"DNNL", "DnnlExecutionProvider"},
    {"ACL", "ACLExecutionProvider"},
    {"ArmNN", "ArmNNExecutionProvider"},
    {"RKNPU", "RknpuExecutionProvider"},
    {"NNAPI", "NnapiExecutionProvider"},
    {"VSINPU", "VSINPUExecutionProvider"},
    {"DML", "DmlExecutionProvider"},
};

static const short_name* find_name(const char* name) {
  for (size_t i = 0; i < sizeof short_names / sizeof short_names[0]; ++i)
    if (strcasecmp(short_names[i].name, name) == 0 ||
        strcasecmp(short_names[i].provider, name) == 0)
      return &short_names[i];
  return NULL;
}

OrtStatus* dropin_append(OrtSessionOptions* options, const char* provider, const char* const* keys,
                         const char* const* values, size_t count) {
  KP_ORT_NEED(options);
  if (count && (!keys || !values))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "%s: keys or values are NULL", provider);
  if (!dropin_provider_is_available(provider)) {
    const size_t length = strlen(provider), tail = strlen("ExecutionProvider");
    return kp_ort_error(ORT_FAIL, "%.*s execution provider is not enabled in this build.",
                        (int)(length - tail), provider);
  }
  return kp_ort_options_add_provider(options, provider, keys, values, count);
}

OrtStatus* ort_SessionOptionsAppendExecutionProvider(OrtSessionOptions* options,
                                                     const char* provider_name,
                                                     const char* const* keys,
                                                     const char* const* values, size_t count) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(provider_name);
  const short_name* known = find_name(provider_name);
  kapell_provider_option_info own;
  if (!known &&
      kapell_provider_option_at(provider_name, 0, &own))  // Kapell's own: the mock of tests
    return kp_ort_options_add_provider(options, provider_name, keys, values, count);
  if (!known)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Unknown provider name. Currently supported values are 'OpenVINO', 'SNPE', "
                        "'XNNPACK', 'QNN', "
                        "'WEBNN', 'CoreML', 'WebGPU' and 'AZURE' (the name is '%s')",
                        provider_name);
  if (!dropin_provider_is_available(known->provider))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "%s execution provider is not supported in this build. ", known->name);
  return dropin_append(options, known->provider, keys, values, count);
}
