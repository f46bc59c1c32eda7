// The CPU provider: built in, always there, on host memory. See cpu.h for the parts.
#include "provider/cpu/cpu.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "provider/host.h"

static const kp_option_def options[] = {
    {.key = "cpu_mask",
     .kind = KP_OPTION_STRING,
     .default_text = "native",
     .help = "Newest instruction set that kernels may use: native, avx512, avx2, sse, scalar, "
             "neon; or names to leave "
             "out: \"-avx512f,-fma\"."},
};

static kp_status* cpu_probe(const char* const* option_texts, kp_probe* probe) {
  (void)option_texts;
  kp_device_info* device = kp_arena_new(probe->arena, kp_device_info);
  if (!device) return KP_ERROR(OUT_OF_MEMORY, "describing the processor");
  device->name = kp_cpu_name();
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) device->memory_bytes = (uint64_t)pages * (uint64_t)page_bytes;
  probe->available = true;
  probe->devices = device;
  probe->device_count = 1;
  return NULL;
}

static kp_status* cpu_create(const kp_provider_args* args, kp_provider** out_provider) {
  *out_provider = NULL;
  uint64_t features = args->cpu_features;
  const char* mask = args->option_texts ? args->option_texts[0] : NULL;
  if (mask)
    KP_TRY(kp_cpu_parse_mask(kp_str_of(mask), features, &features),
           "option cpu_mask of the CPU provider");
  kp_cpu_provider* provider = kp_alloc_zero(1, sizeof *provider);
  if (!provider) return KP_ERROR(OUT_OF_MEMORY, "CPU provider");
  provider->base.type = args->type;
  provider->base.flags = args->type->flags;
  provider->features = features;
  *out_provider = &provider->base;
  return NULL;
}

static void cpu_destroy(kp_provider* provider) { kp_free(provider); }

const kp_provider_type kp_provider_cpu = {
    .name = "CPUExecutionProvider",
    .short_name = "CPU",
    .flags = KP_PROVIDER_HOST | KP_PROVIDER_STATIC,
    .options = options,
    .option_count = KP_COUNT_OF(options),
    .probe = cpu_probe,
    .create = cpu_create,
    .destroy = cpu_destroy,
    .capability = kp_cpu_capability,
    .compile = kp_cpu_compile,
    .release = kp_cpu_release,
    .specialise = kp_cpu_specialise,
    .run = kp_cpu_run,
    .evaluate = kp_cpu_evaluate,
    .visit = kp_cpu_visit,
    .describe = kp_cpu_describe_compiled,
};
