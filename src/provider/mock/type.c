// The mock's types, options, probe and instances. Neighbours: claim.c, compile.c, run.c, stream.c do the rest; builtin.inl lists
// the three types.
#include <limits.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/nearest.h"
#include "base/size.h"
#include "provider/mock/mock_internal.h"

#define DEVICE_COUNT 2

enum {
  OPS,
  ATOMIC,
  CONTROL,
  STATIC,
  STREAMS,
  DEVICE_ID,
  MEMORY,
  MAX_RUNS,
  NS_PER_FLOP,
  NS_PER_BYTE,
  COPY_NS,
  LAUNCH_NS,
  DELAY_US,
  FAIL,
  OPTION_COUNT
};

static const kp_option_def options[OPTION_COUNT] = {
    [OPS] = {.key = "ops",
             .kind = KP_OPTION_LIST,
             .default_text = "all",
             .help = "operators that it has: all, half (every second operator name), alternate "
                     "(every second node), none, and names; "
                     "-Name takes one away: 'all,-Softmax'"},
    [ATOMIC] = {.key = "atomic",
                .kind = KP_OPTION_BOOL,
                .default_text = "0",
                .help = "claims are all-or-nothing groups instead of one splittable group"},
    [CONTROL] = {.key = "control",
                 .kind = KP_OPTION_BOOL,
                 .default_text = "0",
                 .help = "claims whole If and Loop nodes"},
    [STATIC] = {.key = "static",
                .kind = KP_OPTION_BOOL,
                .default_text = "0",
                .help = "needs every shape before a run"},
    [STREAMS] = {.key = "streams",
                 .kind = KP_OPTION_BOOL,
                 .default_text = "0",
                 .help = "runs are enqueued and done on another thread"},
    [DEVICE_ID] = {.key = "device_id",
                   .kind = KP_OPTION_INT,
                   .default_text = "0",
                   .min = 0,
                   .max = DEVICE_COUNT - 1,
                   .help = "which of its two devices"},
    [MEMORY] = {.key = "memory",
                .kind = KP_OPTION_INT,
                .default_text = "1073741824",
                .min = 4096,
                .max = 1099511627776.0,
                .help = "bytes of device memory"},
    [MAX_RUNS] = {.key = "max_runs",
                  .kind = KP_OPTION_INT,
                  .default_text = "0",
                  .min = 0,
                  .max = 1024,
                  .help = "runs at a time; 0 = any number"},
    [NS_PER_FLOP] = {.key = "ns_per_flop",
                     .kind = KP_OPTION_FLOAT,
                     .default_text = "0",
                     .min = 0,
                     .max = 1e9,
                     .help = "virtual clock: cost of computing"},
    [NS_PER_BYTE] = {.key = "ns_per_byte",
                     .kind = KP_OPTION_FLOAT,
                     .default_text = "0",
                     .min = 0,
                     .max = 1e9,
                     .help = "virtual clock: cost of a copied byte"},
    [COPY_NS] = {.key = "copy_ns",
                 .kind = KP_OPTION_FLOAT,
                 .default_text = "0",
                 .min = 0,
                 .max = 1e12,
                 .help = "virtual clock: cost of a copy"},
    [LAUNCH_NS] = {.key = "launch_ns",
                   .kind = KP_OPTION_FLOAT,
                   .default_text = "0",
                   .min = 0,
                   .max = 1e12,
                   .help = "virtual clock: cost of starting a partition"},
    [DELAY_US] = {.key = "delay_us",
                  .kind = KP_OPTION_INT,
                  .default_text = "0",
                  .min = 0,
                  .max = 60000000,
                  .help = "microseconds of real time before each run's work"},
    [FAIL] = {.key = "fail",
              .kind = KP_OPTION_STRING,
              .default_text = "none",
              .help =
                  "what goes wrong: none, absent, dlerror, no_device, version, create, capability, "
                  "compile, specialise, copy, run, wrong, "
                  "hang, slow, unused; 'run:3' is the third time alone, 'slow:20' is 20 ms a run"},
};

static const struct {
  const char* name;
  bool numbered;
} failures[] = {
    [KP_MOCK_FAIL_NONE] = {"none", false},
    [KP_MOCK_FAIL_ABSENT] = {"absent", false},
    [KP_MOCK_FAIL_DLERROR] = {"dlerror", false},
    [KP_MOCK_FAIL_NO_DEVICE] = {"no_device", false},
    [KP_MOCK_FAIL_VERSION] = {"version", false},
    [KP_MOCK_FAIL_CREATE] = {"create", true},
    [KP_MOCK_FAIL_CAPABILITY] = {"capability", true},
    [KP_MOCK_FAIL_COMPILE] = {"compile", true},
    [KP_MOCK_FAIL_SPECIALISE] = {"specialise", true},
    [KP_MOCK_FAIL_COPY] = {"copy", true},
    [KP_MOCK_FAIL_RUN] = {"run", true},
    [KP_MOCK_FAIL_WRONG] = {"wrong", true},
    [KP_MOCK_FAIL_HANG] = {"hang", true},
    [KP_MOCK_FAIL_SLOW] = {"slow", true},
    [KP_MOCK_FAIL_UNUSED] = {"unused", false},
};

static kp_status* read_failure(const char* provider, const char* text, kp_mock_failure* out_failure,
                               uint64_t* out_n) {
  const size_t length = strcspn(text, ":");
  *out_n = 0;
  for (size_t i = 0; i < KP_COUNT_OF(failures); ++i) {
    if (strlen(failures[i].name) != length || strncasecmp(failures[i].name, text, length) != 0)
      continue;
    *out_failure = (kp_mock_failure)i;
    int64_t n = 0;
    if (!text[length]) return NULL;
    if (!failures[i].numbered || !kp_parse_i64(kp_str_of(text + length + 1), &n) || n < 1)
      return KP_ERROR(BAD_PROVIDER_LIST, "%s.fail is '%s'; %s", provider, text,
                      failures[i].numbered ? "after the colon it takes a number from 1"
                                           : "this kind takes no number");
    *out_n = (uint64_t)n;
    return NULL;
  }
  kp_strbuf names = {0};
  for (size_t i = 0; i < KP_COUNT_OF(failures); ++i)
    kp_strbuf_printf(&names, "%s%s", i ? ", " : "", failures[i].name);
  kp_status* status = KP_ERROR(BAD_PROVIDER_LIST, "%s.fail is '%s'; it takes one of: %s", provider,
                               text, names.data ? names.data : "");
  kp_strbuf_free(&names);
  return status;
}

bool kp_mock_fails(kp_mock_provider* provider, kp_mock_failure failure) {
  if (provider->settings.failure != failure) return false;
  const uint64_t occasion = ++provider->occasions;
  return provider->settings.n == 0 || provider->settings.n == occasion;
}

// --- probe --------------------------------------------------------------------------------------------------------------------
static const char* setting(const char* const* texts, size_t index) {
  return texts ? texts[index] : options[index].default_text;
}

static void not_available(kp_probe* probe, const char* reason, const char* fix) {
  probe->available = false;
  probe->reason = reason;
  probe->fix = fix;
}

static kp_status* probe_type(const char* const* option_texts, kp_probe* probe) {
  static const kp_device_info devices[DEVICE_COUNT] = {{0, "Mock device 0", UINT64_C(4) << 30},
                                                       {1, "Mock device 1", UINT64_C(4) << 30}};
  const char* name = probe->type ? probe->type->short_name : "Mock";
  kp_mock_failure failure;
  uint64_t n;
  KP_PASS(read_failure(name, setting(option_texts, FAIL), &failure, &n));
  probe->available = true;
  probe->version = "3.1.4";
  probe->devices = devices;
  probe->device_count = DEVICE_COUNT;
  switch (failure) {
    case KP_MOCK_FAIL_ABSENT:
      probe->version = NULL;
      not_available(probe,
                    "its runtime is not installed: libmockrt.so.3 is nowhere on the library path",
                    "install the package mockrt 3");
      break;
    case KP_MOCK_FAIL_DLERROR:
      probe->file = "/opt/mock/lib/libmock_provider.so";
      not_available(probe,
                    "libmockrt.so.3: cannot open shared object file: No such file or directory",
                    "libmock_provider.so needs it: install the package mockrt 3, or add its folder "
                    "to LD_LIBRARY_PATH");
      break;
    case KP_MOCK_FAIL_NO_DEVICE:
      not_available(probe, "its runtime 3.1.4 loaded, but the driver reports no device",
                    "check that /dev/mock0 exists and that this user (or container) may open it");
      break;
    case KP_MOCK_FAIL_VERSION:
      not_available(
          probe,
          "libmock_provider.so 3.1.4 needs a host of interface version 9; this one has version 1",
          "upgrade Kapell, or install a provider of version 1 (mockrt 1.x)");
      break;
    default:
      return NULL;
  }
  probe->devices = NULL;
  probe->device_count = 0;
  return NULL;
}

// --- instances ----------------------------------------------------------------------------------------------------------------
static double number(const char* const* texts, size_t index) {
  double value = 0;
  return kp_parse_f64(kp_str_of(setting(texts, index)), &value) ? value : 0;
}
static bool flag(const char* const* texts, size_t index) { return setting(texts, index)[0] == '1'; }

static kp_status* read_settings(kp_mock_provider* provider, const char* const* texts) {
  kp_mock_settings* settings = &provider->settings;
  KP_PASS(read_failure(provider->name, setting(texts, FAIL), &settings->failure, &settings->n));
  settings->ops = kp_arena_printf(&provider->arena, "%s", setting(texts, OPS));
  if (!settings->ops) return KP_ERROR(OUT_OF_MEMORY, "settings of %s", provider->name);
  settings->atomic = flag(texts, ATOMIC);
  settings->ns_per_flop = number(texts, NS_PER_FLOP);
  settings->launch_ns = number(texts, LAUNCH_NS);
  settings->delay_ns = (uint64_t)number(texts, DELAY_US) * 1000;
  provider->base.max_concurrent_runs = (uint32_t)number(texts, MAX_RUNS);
  provider->base.flags |= (flag(texts, CONTROL) ? KP_PROVIDER_CONTROL : 0) |
                          (flag(texts, STATIC) ? KP_PROVIDER_STATIC : 0) |
                          (flag(texts, STREAMS) ? KP_PROVIDER_STREAMS : 0);
  return NULL;
}

static kp_status* open_device(kp_mock_provider* provider, const char* const* texts) {
  char name[32];
  const int id = (int)number(texts, DEVICE_ID);
  snprintf(name, sizeof name, "%s:%d", provider->name, id);
  const kp_mock_settings* settings = &provider->settings;
  const bool copies_fail = settings->failure == KP_MOCK_FAIL_COPY;
  const kp_mock_device_args args = {.name = name,
                                    .device_id = id,
                                    .byte_count = (size_t)number(texts, MEMORY),
                                    .copy_ns = number(texts, COPY_NS),
                                    .ns_per_byte = number(texts, NS_PER_BYTE),
                                    .fail_copy_at = !copies_fail  ? 0
                                                    : settings->n ? settings->n
                                                                  : UINT64_MAX};
  KP_PASS(kp_mock_device_create(&args, &provider->device));
  provider->base.memory = kp_mock_device_memory(provider->device);
  return NULL;
}

static void destroy(kp_provider* base) {
  if (!base) return;
  kp_mock_provider* provider = (kp_mock_provider*)base;
  kp_mock_device_release(provider->device);
  kp_arena_free(&provider->arena);
  kp_free(provider);
}

static kp_status* create(const kp_provider_args* args, kp_provider** out_provider) {
  *out_provider = NULL;
  kp_mock_provider* provider = kp_alloc_zero(1, sizeof *provider);
  if (!provider) return KP_ERROR(OUT_OF_MEMORY, "a mock provider");
  extern const kp_provider_type kp_mock_type;
  provider->base.type = args->type ? args->type : &kp_mock_type;
  provider->base.flags = provider->base.type->flags;
  provider->name = provider->base.type->short_name;
  kp_status* status = read_settings(provider, args->option_texts);
  if (!status && kp_mock_fails(provider, KP_MOCK_FAIL_CREATE))
    status = kp_status_hint(
        KP_ERROR(PROVIDER_FAILED,
                 "%s: mockCreateContext failed: the device is held by another process (code 16)",
                 provider->name),
        "end the process that holds the device, or choose another with %s.device_id",
        provider->name);
  if (!status) status = open_device(provider, args->option_texts);
  if (status) {
    destroy(&provider->base);
    return status;
  }
  *out_provider = &provider->base;
  return NULL;
}

#define MOCK_TYPE(symbol, long_name, short)                                  \
  const kp_provider_type symbol = {.name = long_name,                        \
                                   .short_name = short,                      \
                                   .flags = KP_PROVIDER_HIDDEN,              \
                                   .options = options,                       \
                                   .option_count = OPTION_COUNT,             \
                                   .probe = probe_type,                      \
                                   .create = create,                         \
                                   .destroy = destroy,                       \
                                   .capability = kp_mock_capability,         \
                                   .compile = kp_mock_compile,               \
                                   .release = kp_mock_compiled_release,      \
                                   .specialise = kp_mock_specialise,         \
                                   .run = kp_mock_run,                       \
                                   .stream_create = kp_mock_stream_create,   \
                                   .stream_destroy = kp_mock_stream_destroy, \
                                   .stream_signal = kp_mock_stream_signal,   \
                                   .stream_wait = kp_mock_stream_wait,       \
                                   .describe = kp_mock_describe};

extern const kp_provider_type kp_mock_type, kp_mock2_type, kp_mock3_type;
MOCK_TYPE(kp_mock_type, "MockExecutionProvider", "Mock")
MOCK_TYPE(kp_mock2_type, "Mock2ExecutionProvider", "Mock2")
MOCK_TYPE(kp_mock3_type, "Mock3ExecutionProvider", "Mock3")
