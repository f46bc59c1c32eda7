// Providers from libraries: one OrtEp a session, made with what the user set; and the statuses of its functions.
// Neighbours: capability.c, compile.c, run.c, memory.c, heard.c.
#include <ctype.h>

#include "base/alloc.h"
#include "base/log.h"
#include "provider/plugin/internal.h"

kp_status* kp_plugin_failure(const kp_plugin_type* type, const char* what, OrtStatus* status) {
  if (!status) return NULL;
  kp_status* made =
      kp_ort_is_no_memory(status)
          ? KP_ERROR(OUT_OF_MEMORY, "%s, %s", type->type.short_name, what)
          : KP_ERROR(PROVIDER_FAILED, "%s, %s: %s", type->type.short_name, what, status->message);
  ort_ReleaseStatus(status);
  return made;
}

// --- settings ---------------------------------------------------------------------------------------------------------------
static kp_status* set_option(OrtSessionOptions* options, const char* provider,
                             const kp_option* option) {
  kp_strbuf key = {0};
  kp_strbuf_puts(&key, "ep.");
  for (const char* at = provider; *at; ++at) {
    const char lower = (char)tolower((unsigned char)*at);
    kp_strbuf_append(&key, &lower, 1);
  }
  kp_strbuf_printf(&key, ".%s", option->key);
  kp_status* status = key.failed ? KP_ERROR(OUT_OF_MEMORY, "options of %s", provider)
                                 : kp_ort_pairs_set(&options->config, key.data, option->value);
  kp_strbuf_free(&key);
  return status;
}

static kp_status* make_options(kp_plugin_provider* provider, const kp_provider_args* args) {
  const kp_plugin_type* type = provider->type;
  KP_PASS(kp_plugin_failure(type, "session options", ort_CreateSessionOptions(&provider->options)));
  for (size_t i = 0; i < args->config_count; ++i)
    KP_PASS(
        kp_ort_pairs_set(&provider->options->config, args->config[i].key, args->config[i].value));
  for (size_t i = 0; i < args->option_count; ++i)
    KP_PASS(set_option(provider->options, type->type.name, &args->options[i]));
  const char* context = kp_ort_pairs_get(&provider->options->config, "ep.context_enable");
  if (context && strcmp(context, "1") == 0)
    KP_LOG(WARNING,
           "ep.context_enable: what %s compiles is used and not written to a file of its own",
           type->type.short_name);
  return NULL;
}

// --- the library's part -----------------------------------------------------------------------------------------------------
typedef struct creating {
  kp_plugin_provider* provider;
  const OrtEpDevice** devices;  // those that were chosen
  size_t device_count;
  const OrtHardwareDevice** hardware;
  const OrtKeyValuePairs** metadata;
} creating;

static OrtStatus* call_create(void* arg) {
  const creating* c = arg;
  kp_plugin_provider* provider = c->provider;
  OrtEpFactory* factory = provider->type->factory;
  if (!factory->CreateEp) return kp_ort_error(ORT_NOT_IMPLEMENTED, "it has no function CreateEp");
  KP_ORT_PASS(factory->CreateEp(factory, c->hardware, c->metadata, c->device_count,
                                provider->options, &provider->logger, &provider->ep));
  OrtEp* ep = provider->ep;
  if (!ep || !ep->GetName || !ep->GetCapability)
    return kp_ort_error(ORT_EP_FAIL, "CreateEp gave no provider that says what it can run");
  const char* name = ep->GetName(ep);
  if (!name || strcmp(name, provider->type->type.name) != 0)
    return kp_ort_error(ORT_EP_FAIL, "CreateEp gave a provider called '%s'", name ? name : "");
  bool concurrent = true;
  if (KP_PLUGIN_HAS(ep, IsConcurrentRunSupported, 24))
    KP_ORT_PASS(ep->IsConcurrentRunSupported(ep, &concurrent));
  provider->base.max_concurrent_runs = concurrent ? 0 : 1;
  if (KP_PLUGIN_HAS(ep, GetKernelRegistry, 24))
    KP_ORT_PASS(ep->GetKernelRegistry(ep, &provider->registry));
  if (KP_PLUGIN_HAS(ep, GetPreferredDataLayout, 23))
    KP_ORT_PASS(ep->GetPreferredDataLayout(ep, &provider->layout));
  return NULL;
}

// The devices that were chosen; the first of the factory's where none was.
static kp_status* choose_devices(const kp_provider_args* args, const kp_plugin_type* type,
                                 kp_arena* arena, creating* c) {
  const size_t count = args->device_count ? args->device_count : 1;
  c->devices = kp_arena_new_array(arena, const OrtEpDevice*, count);
  c->hardware = kp_arena_new_array(arena, const OrtHardwareDevice*, count);
  c->metadata = kp_arena_new_array(arena, const OrtKeyValuePairs*, count);
  if (!c->devices || !c->hardware || !c->metadata)
    return KP_ERROR(OUT_OF_MEMORY, "devices of %s", type->type.short_name);
  c->device_count = count;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = args->device_count ? args->devices[i] : 0;
    if (at >= type->device_count)
      return KP_ERROR(PROVIDER_UNAVAILABLE, "%s offers %zu devices on this machine, not number %zu",
                      type->type.short_name, type->device_count, at);
    c->devices[i] = type->devices[at];
    c->hardware[i] = type->devices[at]->device;
    c->metadata[i] = &type->devices[at]->metadata;
  }
  return NULL;
}

// Memory that the processor cannot touch stands behind a kp_memory; all else is the host's, whatever the library calls it.
static kp_status* make_memory(kp_plugin_provider* provider, const creating* c) {
  for (size_t i = 0; i < c->device_count && !provider->memory; ++i)
    if (!kp_ort_info_is_host(c->devices[i]->memory))
      KP_PASS(kp_plugin_memory_create(provider->type, provider->ep, c->devices[i]->memory,
                                      &provider->memory));
  provider->base.memory = kp_plugin_memory_base(provider->memory);
  if (!provider->memory) provider->base.flags |= KP_PROVIDER_HOST;
  return NULL;
}

static kp_status* make_provider(kp_plugin_provider* provider, const kp_provider_args* args,
                                kp_arena* arena) {
  creating c = {.provider = provider};
  KP_PASS(make_options(provider, args));
  KP_PASS(choose_devices(args, provider->type, arena, &c));
  KP_PASS(kp_plugin_failure(provider->type, "making a provider", kp_ort_guard(call_create, &c)));
  KP_PASS(make_memory(provider, &c));
  return kp_plugin_stream_probe(provider);
}

static OrtStatus* release_ep(void* arg) {
  const kp_plugin_provider* provider = arg;
  OrtEpFactory* factory = provider->type->factory;
  if (factory->ReleaseEp) factory->ReleaseEp(factory, provider->ep);
  return NULL;
}

static void destroy(kp_provider* base) {
  kp_plugin_provider* provider = (kp_plugin_provider*)base;
  kp_plugin_library* library = provider->type->library;
  kp_plugin_memory_release(provider->memory);
  if (provider->ep) ort_ReleaseStatus(kp_ort_guard(release_ep, provider));
  ort_ReleaseSessionOptions(provider->options);
  kp_ptr_map_free(&provider->fused);
  kp_free(provider);
  kp_plugin_library_release(library);
}

static kp_status* create(const kp_provider_args* args, kp_provider** out_provider) {
  const kp_plugin_type* type = kp_plugin_type_of(args->type);
  *out_provider = NULL;
  kp_plugin_provider* provider = kp_alloc_zero(1, sizeof *provider);
  if (!provider) return KP_ERROR(OUT_OF_MEMORY, "%s", args->type->short_name);
  provider->base = (kp_provider){.type = args->type, .flags = args->type->flags};
  provider->type = type;
  kp_plugin_library_retain(type->library);
  kp_plugin_logger_init(provider);
  kp_arena arena = {0};
  kp_status* status = make_provider(provider, args, &arena);
  kp_arena_free(&arena);
  if (status) {
    destroy(&provider->base);
    return status;
  }
  *out_provider = &provider->base;
  return NULL;
}

// --- settings of a living provider -------------------------------------------------------------------------------------------
typedef struct configuring {
  OrtEp* ep;
  const char **keys, **values;
  size_t count;
} configuring;

static OrtStatus* call_configure(void* arg) {
  const configuring* c = arg;
  return c->ep->SetDynamicOptions(c->ep, c->keys, c->values, c->count);
}

static kp_status* configure(kp_provider* base, const kp_option* options, size_t count) {
  const kp_plugin_provider* provider = (const kp_plugin_provider*)base;
  if (!KP_PLUGIN_HAS(provider->ep, SetDynamicOptions, 23)) return NULL;
  kp_arena arena = {0};
  configuring c = {.ep = provider->ep, .count = count};
  c.keys = kp_arena_new_array(&arena, const char*, count);
  c.values = kp_arena_new_array(&arena, const char*, count);
  kp_status* status = NULL;
  if (!c.keys || !c.values)
    status = KP_ERROR(OUT_OF_MEMORY, "settings of %s", base->type->short_name);
  for (size_t i = 0; i < count && !status; ++i) {
    c.keys[i] = options[i].key;
    c.values[i] = options[i].value;
  }
  if (!status)
    status =
        kp_plugin_failure(provider->type, "changing settings", kp_ort_guard(call_configure, &c));
  kp_arena_free(&arena);
  return status;
}

const kp_provider_type kp_plugin_base = {
    .flags = KP_PROVIDER_HOSTED | KP_PROVIDER_CONTROL,
    .create = create,
    .destroy = destroy,
    .capability = kp_plugin_capability,
    .compile = kp_plugin_compile,
    .release = kp_plugin_release,
    .specialise = kp_plugin_specialise,
    .run = kp_plugin_run,
    .run_begin = kp_plugin_run_begin,
    .run_end = kp_plugin_run_end,
    .stream_create = kp_plugin_stream_create,
    .stream_destroy = kp_plugin_stream_destroy,
    .stream_signal = kp_plugin_stream_signal,
    .stream_wait = kp_plugin_stream_wait,
    .visit = kp_plugin_visit,
    .configure = configure,
};
