// Reads CPU features, name and caches: CPUID and XGETBV on x86-64, the kernel's auxiliary vector on AArch64.
// Source: Intel SDM volume 2 (CPUID) and volume 1 chapter 13 (XCR0), AMD APM volume 3 appendix E; Linux arm64 elf_hwcaps.
#include "base/cpu_detect.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define XCR0_AVX UINT64_C(0x6)      // SSE and AVX registers
#define XCR0_AVX512 UINT64_C(0xE6)  // and mask, upper and high ZMM registers
#define XCR0_AMX UINT64_C(0x60000)  // tile configuration and data

typedef struct leaf {
  unsigned a, b, c, d;
} leaf;

static leaf cpuid(unsigned number, unsigned sub) {
  leaf l = {0};
  if (!__get_cpuid_count(number, sub, &l.a, &l.b, &l.c, &l.d)) return (leaf){0};
  return l;
}

static uint64_t xgetbv(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

// Linux gives tile registers only to a process that asked (Documentation/arch/x86/xstate.rst).
static bool may_use_tiles(void) {
  const long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

static uint64_t bit_if(unsigned word, int position, uint64_t feature) {
  return (word >> position & 1) ? feature : 0;
}

static uint64_t read_avx512(leaf seven, leaf seven_one) {
  return bit_if(seven.b, 16, KP_CPU_AVX512F) | bit_if(seven.b, 17, KP_CPU_AVX512DQ) |
         bit_if(seven.b, 30, KP_CPU_AVX512BW) | bit_if(seven.b, 31, KP_CPU_AVX512VL) |
         bit_if(seven.c, 1, KP_CPU_AVX512VBMI) | bit_if(seven.c, 11, KP_CPU_AVX512VNNI) |
         bit_if(seven.d, 23, KP_CPU_AVX512FP16) | bit_if(seven_one.a, 5, KP_CPU_AVX512BF16);
}

uint64_t kp_cpu_detect(void) {
  const leaf one = cpuid(1, 0), seven = cpuid(7, 0);
  const leaf seven_one = seven.a >= 1 ? cpuid(7, 1) : (leaf){0};
  uint64_t set = bit_if(one.c, 19, KP_CPU_SSE41) | bit_if(seven.b, 8, KP_CPU_BMI2);
  const bool has_osxsave = one.c >> 27 & 1;
  const uint64_t saved = has_osxsave ? xgetbv() : 0;
  if ((saved & XCR0_AVX) == XCR0_AVX)
    set |= bit_if(one.c, 12, KP_CPU_FMA) | bit_if(one.c, 29, KP_CPU_F16C) |
           bit_if(seven.b, 5, KP_CPU_AVX2) | bit_if(seven_one.a, 4, KP_CPU_AVXVNNI);
  if ((saved & XCR0_AVX512) == XCR0_AVX512) set |= read_avx512(seven, seven_one);
  const bool has_tiles = seven.d >> 24 & 1;
  if (has_tiles && (saved & XCR0_AMX) == XCR0_AMX && may_use_tiles())
    set |= KP_CPU_AMX_TILE | bit_if(seven.d, 25, KP_CPU_AMX_INT8) |
           bit_if(seven.d, 22, KP_CPU_AMX_BF16);
  return set;
}

static void read_name(char name[64]) {
  unsigned words[12] = {0};
  if (cpuid(0x80000000u, 0).a < 0x80000004u) return;
  for (unsigned i = 0; i < 3; ++i) {
    const leaf l = cpuid(0x80000002u + i, 0);
    memcpy(words + i * 4, &l, sizeof l);
  }
  memcpy(name, words, sizeof words);
  name[sizeof words] = 0;
}

#else

uint64_t kp_cpu_detect(void) {
#if defined(__aarch64__)
  const unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
  return (one >> 1 & 1 ? KP_CPU_NEON : 0) | (one >> 20 & 1 ? KP_CPU_DOTPROD : 0) |
         (one >> 10 & 1 ? KP_CPU_FP16 : 0) | (two >> 13 & 1 ? KP_CPU_I8MM : 0) |
         (two >> 14 & 1 ? KP_CPU_BF16 : 0);
#else
  return KP_CPU_ANY;
#endif
}

static void read_name(char name[64]) {
  FILE* file = fopen("/proc/cpuinfo", "re");
  if (!file) return;
  char line[256];
  while (!*name && fgets(line, sizeof line, file)) {
    const char* value = strchr(line, ':');
    if (value && strncasecmp(line, "model name", 10) == 0) snprintf(name, 64, "%.63s", value + 1);
  }
  fclose(file);
}
#endif

static pthread_once_t name_once = PTHREAD_ONCE_INIT;
static char cpu_name[64];

// Vendors pad the name with spaces at both ends, some in the middle.
static void make_name(void) {
  char raw[64] = "";
  read_name(raw);
  size_t length = 0;
  for (const char* c = raw; *c; ++c) {
    const bool space = (unsigned char)*c <= ' ';
    if (!space) cpu_name[length++] = *c;
    if (space && length && cpu_name[length - 1] != ' ') cpu_name[length++] = ' ';
  }
  while (length && cpu_name[length - 1] == ' ') --length;
  cpu_name[length] = 0;
  if (!length) memcpy(cpu_name, "unknown", sizeof "unknown");
}

const char* kp_cpu_name(void) {
  pthread_once(&name_once, make_name);
  return cpu_name;
}

size_t kp_cpu_cache_bytes(int level) {
  static const size_t defaults[] = {(size_t)32 << 10, (size_t)256 << 10, (size_t)2 << 20};
  static const int names[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
  if (level < 1 || level > 3) return 0;
  const long bytes = sysconf(names[level - 1]);
  return bytes > 0 ? (size_t)bytes : defaults[level - 1];
}
