// Tests of base/cpu.h: masks by level and by feature, what depends on what, and plausible facts about this machine.
#include "base/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define EVERYTHING UINT64_MAX

static uint64_t parse(const char* text, uint64_t from) {
  uint64_t set = 0;
  kp_status* status = kp_cpu_parse_mask(kp_str_of(text), from, &set);
  assert_null(status);
  return set;
}

static void test_levels(void** state) {
  (void)state;
  assert_true(parse("native", KP_CPU_SSE41) == KP_CPU_SSE41);
  assert_true(parse("scalar", EVERYTHING) == 0);
  assert_true(parse("sse", EVERYTHING) == KP_CPU_SSE41);
  assert_true(parse("NEON", EVERYTHING) == KP_CPU_NEON);
  const uint64_t avx2 = parse("avx2", EVERYTHING);
  assert_true((avx2 & KP_CPU_AVX2) && (avx2 & KP_CPU_FMA) && !(avx2 & KP_CPU_AVX512F));
  const uint64_t avx512 = parse("avx512", EVERYTHING);
  assert_true((avx512 & KP_CPU_AVX512VNNI) && !(avx512 & KP_CPU_AMX_TILE));
}

static void test_taking_away_takes_dependants(void** state) {
  (void)state;
  const uint64_t no_fma = parse("-fma", EVERYTHING);
  assert_false(no_fma & (KP_CPU_FMA | KP_CPU_AVX512F | KP_CPU_AVX512VNNI));
  assert_true(no_fma & KP_CPU_AVX2);
  assert_false(parse("-avx512bw", EVERYTHING) & KP_CPU_AVX512F);
  assert_true(parse("-avx512vnni", EVERYTHING) & KP_CPU_AVX512F);
  assert_true(parse("avx512,-avx512f", EVERYTHING) == (parse("avx2", EVERYTHING) | KP_CPU_AVXVNNI));
  assert_false(parse("-neon", EVERYTHING) & KP_CPU_DOTPROD);
}

static void test_bad_masks(void** state) {
  (void)state;
  const char* const bad[] = {"", "avx3", "-avx3", "avx2,", "-", "- fma", "fma"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    uint64_t set = 0;
    kp_status* status = kp_cpu_parse_mask(kp_str_of(bad[i]), EVERYTHING, &set);
    assert_int_equal(kp_status_code(status), KAPELL_INVALID_ARGUMENT);
    assert_non_null(strstr(kp_status_text(status), "avx512, avx2, sse"));
    kp_status_free(status);
  }
}

static void test_set_mask(void** state) {
  (void)state;
  const uint64_t before = kp_cpu_features();
  assert_null(kp_cpu_set_mask(kp_str_of("scalar")));
  assert_true(kp_cpu_features() == 0);
  assert_null(kp_cpu_set_mask(kp_str_of("native")));
  assert_true(kp_cpu_features() == kp_cpu_detected());
  assert_true((before & ~kp_cpu_detected()) == 0);
}

static void test_describe(void** state) {
  (void)state;
  kp_strbuf buf = {0};
  kp_cpu_describe(KP_CPU_AVX2 | KP_CPU_FMA | KP_CPU_DOTPROD, &buf);
  assert_string_equal(buf.data, "avx2,fma,dotprod");
  kp_strbuf_free(&buf);
  kp_cpu_describe(0, &buf);
  assert_string_equal(buf.data, "");
  kp_strbuf_free(&buf);
}

static void test_machine(void** state) {
  (void)state;
  assert_true(strlen(kp_cpu_name()) > 0);
  assert_true(kp_cpu_cache_bytes(1) >= 4096);
  assert_true(kp_cpu_cache_bytes(2) >= kp_cpu_cache_bytes(1));
  assert_true(kp_cpu_cache_bytes(3) > 0);
  assert_int_equal(kp_cpu_cache_bytes(4), 0);
#if defined(__x86_64__)
  // The compiler's own reading of CPUID must agree.
  __builtin_cpu_init();
  assert_int_equal((kp_cpu_detected() & KP_CPU_SSE41) != 0, __builtin_cpu_supports("sse4.1") != 0);
  assert_int_equal((kp_cpu_detected() & KP_CPU_AVX2) != 0, __builtin_cpu_supports("avx2") != 0);
  assert_int_equal((kp_cpu_detected() & KP_CPU_FMA) != 0, __builtin_cpu_supports("fma") != 0);
#elif defined(__aarch64__)
  assert_true(kp_cpu_detected() & KP_CPU_NEON);
#endif
}

// Runs in a child before anything else asked for features.
static int child_with_mask(const char* mask) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("KAPELL_CPU_MASK", mask, 1);
    kp_log_set_level(KAPELL_LOG_OFF);
    const uint64_t set = kp_cpu_features();
    _exit(set == 0 ? 0 : set == kp_cpu_detected() ? 1 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

static void test_environment(void** state) {
  (void)state;
  assert_int_equal(child_with_mask("scalar"), 0);
  // A processor with none of the features is left as it is too.
  assert_int_equal(child_with_mask("nonsense"), kp_cpu_detected() ? 1 : 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_environment),  // first: the environment is read once
      cmocka_unit_test(test_levels),      cmocka_unit_test(test_taking_away_takes_dependants),
      cmocka_unit_test(test_bad_masks),   cmocka_unit_test(test_set_mask),
      cmocka_unit_test(test_describe),    cmocka_unit_test(test_machine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
