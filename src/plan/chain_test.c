// The grammar of provider lists: what each form means, and what each mistake says.
#include "plan/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"

static kp_chain* parse(const char* text) {
  kp_chain* chain = NULL;
  kp_status* status = kp_chain_parse(text, &chain);
  if (status) fail_msg("'%s': %s", text ? text : "NULL", kp_status_text(status));
  return chain;
}

static void expect_error(const char* text, const char* words) {
  kp_chain* chain = NULL;
  kp_status* status = kp_chain_parse(text, &chain);
  assert_non_null(status);
  assert_null(chain);
  assert_int_equal(kp_status_code(status), KAPELL_BAD_PROVIDER_LIST);
  if (!strstr(kp_status_text(status), words))
    fail_msg("'%s' gives: %s", text, kp_status_text(status));
  kp_status_free(status);
}

static void test_default_is_the_cpu(void** state) {
  (void)state;
  const char* const lists[] = {NULL, "", "CPU", "cpu", " CPUExecutionProvider ", "CPU;"};
  for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
    kp_chain* chain = parse(lists[i]);
    assert_int_equal(chain->count, 1);
    assert_string_equal(chain->entries[0].canonical, "CPUExecutionProvider");
    assert_int_equal(chain->entries[0].consent, KP_CONSENT_FLOOR);
    assert_int_equal(kp_chain_floor_index(chain), 0);
    kp_chain_free(chain);
  }
}

static void test_consent(void** state) {
  (void)state;
  kp_chain* chain = parse("TensorRT?, CUDA:optional ,OpenVINO>=90%nodes,Mock>=12.5 %flops,qnn");
  assert_int_equal(chain->count, 6);
  assert_string_equal(chain->entries[0].canonical, "TensorrtExecutionProvider");
  assert_int_equal(chain->entries[0].consent, KP_CONSENT_OPTIONAL);
  assert_int_equal(chain->entries[1].consent, KP_CONSENT_OPTIONAL);
  assert_int_equal(chain->entries[2].share, KP_SHARE_NODES);
  assert_true(chain->entries[2].share_percent == 90);
  assert_int_equal(chain->entries[3].share, KP_SHARE_FLOPS);
  assert_true(chain->entries[3].share_percent == 12.5);
  assert_int_equal(chain->entries[4].consent, KP_CONSENT_REQUIRED);
  assert_int_equal(chain->entries[4].share, KP_SHARE_NONE);
  assert_int_equal(chain->entries[5].consent, KP_CONSENT_FLOOR);
  kp_chain_free(chain);
}

static void test_cpu_first_has_priority(void** state) {
  (void)state;
  kp_chain* chain = parse("CPU,CUDA?");
  assert_int_equal(chain->count, 2);
  assert_int_equal(chain->entries[0].consent, KP_CONSENT_REQUIRED);
  assert_int_equal(kp_chain_floor_index(chain), KP_NONE);
  kp_chain_free(chain);
}

static void test_clauses(void** state) {
  (void)state;
  kp_chain* chain =
      parse("CUDA ; floor = none; partitions<=3;copies <= 2 ; copy-bytes<=1M;no-loop-copies");
  assert_int_equal(chain->count, 1);
  assert_int_equal(chain->floor, KP_FLOOR_NONE);
  assert_int_equal(chain->max_partitions, 3);
  assert_int_equal(chain->max_copies, 2);
  assert_int_equal(chain->max_copy_bytes, 1 << 20);
  assert_true(chain->no_loop_copies);
  kp_chain_free(chain);
  chain = parse("CUDA,CPU;floor=none");  // naming the CPU at the end changes nothing
  assert_int_equal(chain->count, 1);
  kp_chain_free(chain);
  chain = parse("Mock; floor=Shape, Gather");
  assert_int_equal(chain->floor, KP_FLOOR_LIST);
  assert_true(kp_chain_floor_takes(chain, "Gather"));
  assert_false(kp_chain_floor_takes(chain, "Conv"));
  kp_chain_free(chain);
}

static void test_mistakes_say_where(void** state) {
  (void)state;
  expect_error("CUDA,,CPU", "empty name");
  expect_error("CUDA,", "empty name");
  expect_error("CUDQ", "CUDA");
  expect_error("CUDA,cuda", "named twice");
  expect_error("CUDA>=90", "percent");
  expect_error("CUDA>=101%", "0 to 100");
  expect_error("CUDA>=x%", "0 to 100");
  expect_error("CUDA>=nan%", "0 to 100");
  expect_error("CUDA>=5%tons", "flops or nodes");
  expect_error("CUDA!", "CUDA!");
  expect_error("CUDA<=5%", "after a name");
  expect_error("CUDA;partitions<=x", "a limit is a number");
  expect_error("CUDA;copies<=-1", "a limit is a number");
  expect_error("CUDA;copy-bytes<=9999999999999G", "a limit is a number");
  expect_error("CUDA;roof=all", "clauses are");
  expect_error("CUDA;floor=", "floor= takes");
  expect_error("CUDA;floor=Conv,,Relu", "floor= takes");
}

static void test_out_of_memory(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  for (uint64_t n = 1; n < 50; ++n) {
    kp_chain* chain = NULL;
    kp_alloc_fail_at(n);
    kp_status* status = kp_chain_parse("CUDA?,Mock>=5%; floor=Conv,Relu", &chain);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_chain_free(chain);
    assert_int_equal(kp_alloc_live(), live);
    if (!failed) return;
  }
  fail_msg("parsing a list takes 50 allocations");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_default_is_the_cpu),     cmocka_unit_test(test_consent),
      cmocka_unit_test(test_cpu_first_has_priority), cmocka_unit_test(test_clauses),
      cmocka_unit_test(test_mistakes_say_where),     cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
