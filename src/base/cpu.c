// CPU features: read once, masked by name. Neighbours: cpu_detect.c reads the machine; provider/cpu selects kernels by it.
#include "base/cpu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "base/cpu_detect.h"
#include "base/log.h"
#include "base/size.h"

#define AVX512_CORE (KP_CPU_AVX512F | KP_CPU_AVX512BW | KP_CPU_AVX512DQ | KP_CPU_AVX512VL)
#define LEVEL_SSE KP_CPU_SSE41
#define LEVEL_AVX2 (LEVEL_SSE | KP_CPU_AVX2 | KP_CPU_FMA | KP_CPU_F16C | KP_CPU_BMI2)
#define LEVEL_AVX512                                                                   \
  (LEVEL_AVX2 | AVX512_CORE | KP_CPU_AVXVNNI | KP_CPU_AVX512VNNI | KP_CPU_AVX512BF16 | \
   KP_CPU_AVX512VBMI | KP_CPU_AVX512FP16)

// A feature, and those that kernels built for it use as well: without them it is of no use.
typedef struct feature {
  const char* name;
  uint64_t bit;
  uint64_t needs;
} feature;

// clang-format off
static const feature features[] = {
    {"sse41",      KP_CPU_SSE41,      0},
    {"avx2",       KP_CPU_AVX2,       KP_CPU_SSE41},
    {"fma",        KP_CPU_FMA,        KP_CPU_AVX2},
    {"f16c",       KP_CPU_F16C,       KP_CPU_SSE41},
    {"bmi2",       KP_CPU_BMI2,       0},
    {"avxvnni",    KP_CPU_AVXVNNI,    LEVEL_AVX2},
    {"avx512f",    KP_CPU_AVX512F,    LEVEL_AVX2 | AVX512_CORE},
    {"avx512bw",   KP_CPU_AVX512BW,   KP_CPU_AVX512F},
    {"avx512dq",   KP_CPU_AVX512DQ,   KP_CPU_AVX512F},
    {"avx512vl",   KP_CPU_AVX512VL,   KP_CPU_AVX512F},
    {"avx512vnni", KP_CPU_AVX512VNNI, KP_CPU_AVX512F},
    {"avx512bf16", KP_CPU_AVX512BF16, KP_CPU_AVX512F},
    {"avx512vbmi", KP_CPU_AVX512VBMI, KP_CPU_AVX512F},
    {"avx512fp16", KP_CPU_AVX512FP16, KP_CPU_AVX512F},
    {"amx_tile",   KP_CPU_AMX_TILE,   0},
    {"amx_int8",   KP_CPU_AMX_INT8,   KP_CPU_AMX_TILE},
    {"amx_bf16",   KP_CPU_AMX_BF16,   KP_CPU_AMX_TILE},
    {"neon",       KP_CPU_NEON,       0},
    {"dotprod",    KP_CPU_DOTPROD,    KP_CPU_NEON},
    {"fp16",       KP_CPU_FP16,       KP_CPU_NEON},
    {"i8mm",       KP_CPU_I8MM,       KP_CPU_NEON},
    {"bf16",       KP_CPU_BF16,       KP_CPU_NEON},
};

static const struct {
  const char* name;
  uint64_t allowed;
} levels[] = {
    {"native", UINT64_MAX},
    {"avx512", LEVEL_AVX512},
    {"avx2",   LEVEL_AVX2},
    {"sse",    LEVEL_SSE},
    {"scalar", 0},
    {"neon",   KP_CPU_NEON},
};
// clang-format on

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t detected;
static _Atomic uint64_t masked;

// Takes away what lacks something that it needs, until nothing changes.
static uint64_t close_features(uint64_t set) {
  for (uint64_t before = ~set; before != set;) {
    before = set;
    for (size_t i = 0; i < KP_COUNT_OF(features); ++i)
      if ((features[i].needs & ~set) != 0) set &= ~features[i].bit;
  }
  return set;
}

static bool same_name(kp_str text, const char* name) {
  return text.length == strlen(name) && strncasecmp(text.data, name, text.length) == 0;
}

static kp_status* apply_entry(kp_str entry, uint64_t* set) {
  if (entry.length && entry.data[0] == '-') {
    const kp_str name = {entry.data + 1, entry.length - 1};
    for (size_t i = 0; i < KP_COUNT_OF(features); ++i) {
      if (!same_name(name, features[i].name)) continue;
      *set &= ~features[i].bit;
      return NULL;
    }
  }
  for (size_t i = 0; i < KP_COUNT_OF(levels); ++i) {
    if (!same_name(entry, levels[i].name)) continue;
    *set &= levels[i].allowed;
    return NULL;
  }
  kp_status* status = KP_ERROR(INVALID_ARGUMENT, "'%.*s' is no CPU level or feature to take away",
                               KP_STR_ARG(entry));
  return kp_status_hint(status,
                        "levels: native, avx512, avx2, sse, scalar, neon; features are taken "
                        "away with a minus: -avx512f,-fma");
}

kp_status* kp_cpu_parse_mask(kp_str text, uint64_t from, uint64_t* out_features) {
  uint64_t set = from;
  for (size_t start = 0; start <= text.length;) {
    size_t end = start;
    while (end < text.length && text.data[end] != ',') ++end;
    KP_PASS(apply_entry((kp_str){text.data + start, end - start}, &set));
    start = end + 1;
  }
  *out_features = close_features(set);
  return NULL;
}

static void read_machine(void) {
  detected = close_features(kp_cpu_detect());
  uint64_t first = detected;
  const char* text = getenv("KAPELL_CPU_MASK");
  if (text && *text) {
    kp_status* status = kp_cpu_parse_mask(kp_str_of(text), detected, &first);
    if (status) KP_LOG(WARNING, "KAPELL_CPU_MASK is left out: %s", kp_status_message(status));
    kp_status_ignore(status);
  }
  atomic_store(&masked, first);
}

uint64_t kp_cpu_detected(void) {
  pthread_once(&once, read_machine);
  return detected;
}

uint64_t kp_cpu_features(void) {
  pthread_once(&once, read_machine);
  return atomic_load_explicit(&masked, memory_order_relaxed);
}

kp_status* kp_cpu_set_mask(kp_str text) {
  uint64_t set = 0;
  KP_PASS(kp_cpu_parse_mask(text, kp_cpu_detected(), &set));
  atomic_store(&masked, set);
  return NULL;
}

void kp_cpu_describe(uint64_t set, kp_strbuf* buf) {
  const char* gap = "";
  kp_strbuf_puts(buf, "");
  for (size_t i = 0; i < KP_COUNT_OF(features); ++i) {
    if (!(set & features[i].bit)) continue;
    kp_strbuf_printf(buf, "%s%s", gap, features[i].name);
    gap = ",";
  }
}
