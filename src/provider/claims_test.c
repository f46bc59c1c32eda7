// Claims: what is checked, what plan/ reads afterwards.
#include "provider/claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/alloc.h"

enum { NODE_COUNT = 5 };

typedef struct fixture {
  kp_arena arena;
  kp_graph graph;
  kp_node nodes[NODE_COUNT];
  kp_claims claims;
} fixture;

static void make(fixture* f, const bool* offered) {
  *f = (fixture){0};
  f->graph.nodes = f->nodes;
  f->graph.node_count = NODE_COUNT;
  f->graph.value_count = 3;
  for (int i = 0; i < NODE_COUNT; ++i) f->nodes[i] = (kp_node){.name = "n", .op = "Add"};
  assert_null(kp_claims_init(&f->claims, &f->graph, offered, &f->arena));
}

static void expect_refused(kp_status* status, const char* words) {
  assert_int_equal(kp_status_code(status), KAPELL_INVALID_ARGUMENT);
  assert_non_null(strstr(kp_status_message(status), words));
  kp_status_free(status);
}

static kp_claim claim_of(const kp_node_id* nodes, uint32_t count) {
  return (kp_claim){.nodes = nodes, .count = count, .atomic = true};
}

static void test_claims_are_copied(void** state) {
  (void)state;
  fixture f;
  make(&f, NULL);
  kp_node_id nodes[] = {3, 1};
  const kp_claim_io io = {.value = 2, .memory = NULL};
  kp_claim claim = claim_of(nodes, 2);
  claim.exceptions = &io;
  claim.exception_count = 1;
  assert_null(kp_claims_add(&f.claims, &claim));
  nodes[0] = nodes[1] = 0;
  assert_int_equal(f.claims.claim_count, 1);
  assert_int_equal(f.claims.claims[0].nodes[0], 3);
  assert_int_equal(f.claims.claims[0].exceptions[0].value, 2);
  assert_int_equal(f.claims.claim_of[1], 0);
  assert_int_equal(f.claims.claim_of[0], KP_NONE);
  assert_int_equal(f.claims.claimed_node_count, 2);
  assert_false(kp_claims_is_free(&f.claims, 3));
  assert_true(kp_claims_is_free(&f.claims, 0));
  kp_arena_free(&f.arena);
}

static void test_bad_claims_change_nothing(void** state) {
  (void)state;
  const bool offered[NODE_COUNT] = {true, true, true, false, true};
  fixture f;
  make(&f, offered);
  f.nodes[4].removed = true;
  const kp_node_id taken[] = {0}, twice[] = {0, 1}, doubled[] = {1, 2, 1}, gone[] = {1, 4},
                   not_offered[] = {1, 3}, outside[] = {1, 99};
  kp_claim claim = claim_of(taken, 1);
  assert_null(kp_claims_add(&f.claims, &claim));
  claim = claim_of(twice, 2);
  expect_refused(kp_claims_add(&f.claims, &claim), "claimed twice");
  claim = claim_of(doubled, 3);
  expect_refused(kp_claims_add(&f.claims, &claim), "claimed twice");
  claim = claim_of(gone, 2);
  expect_refused(kp_claims_add(&f.claims, &claim), "not free");
  claim = claim_of(not_offered, 2);
  expect_refused(kp_claims_add(&f.claims, &claim), "not free");
  claim = claim_of(outside, 2);
  expect_refused(kp_claims_add(&f.claims, &claim), "node 99 of 5");
  claim = claim_of(NULL, 0);
  expect_refused(kp_claims_add(&f.claims, &claim), "no nodes");
  const kp_claim_io io = {.value = 3};
  claim = claim_of(twice + 1, 1);
  claim.exceptions = &io;
  claim.exception_count = 1;
  expect_refused(kp_claims_add(&f.claims, &claim), "value 3 of 3");
  assert_int_equal(f.claims.claim_count, 1);
  assert_int_equal(f.claims.claim_of[0], 0);
  assert_true(kp_claims_is_free(&f.claims, 1));
  assert_true(kp_claims_is_free(&f.claims, 2));
  kp_arena_free(&f.arena);
}

static void test_one_refusal_a_node(void** state) {
  (void)state;
  const bool offered[NODE_COUNT] = {true, true, true, true, false};
  fixture f;
  make(&f, offered);
  kp_claims_refuse(&f.claims, 0, KP_SOURCE_INFERRED, "guess");
  kp_claims_refuse(&f.claims, 0, KP_SOURCE_PROVIDER, "mode=%s has no kernel.\n", "cubic");
  kp_claims_refuse(&f.claims, 0, KP_SOURCE_PROVIDER, "second");
  kp_claims_refuse(&f.claims, 1, KP_SOURCE_LOG, "two\nlines\x01.");
  kp_claims_refuse(&f.claims, 2, KP_SOURCE_PROVIDER, "claimed after all");
  kp_claims_refuse(&f.claims, 4, KP_SOURCE_PROVIDER, "not asked");
  const kp_node_id nodes[] = {2};
  const kp_claim claim = claim_of(nodes, 1);
  assert_null(kp_claims_add(&f.claims, &claim));
  assert_null(kp_claims_close(&f.claims, "Mock"));
  const kp_refusal* refusals = f.claims.refusals;
  assert_string_equal(refusals[f.claims.refusal_of[0]].words, "mode=cubic has no kernel");
  assert_int_equal(refusals[f.claims.refusal_of[0]].source, KP_SOURCE_PROVIDER);
  assert_string_equal(refusals[f.claims.refusal_of[1]].words, "two lines");
  assert_int_equal(f.claims.refusal_of[2], KP_NONE);
  assert_int_equal(refusals[f.claims.refusal_of[3]].source, KP_SOURCE_NONE);
  assert_string_equal(refusals[f.claims.refusal_of[3]].words,
                      "Mock did not take it and gives no reason");
  assert_int_equal(f.claims.refusal_of[4], KP_NONE);
  kp_arena_free(&f.arena);
}

static void test_failing_allocations(void** state) {
  (void)state;
  for (uint64_t nth = 1; nth < 4; ++nth) {
    fixture f = {.graph = {.node_count = NODE_COUNT}};
    f.graph.nodes = f.nodes;
    for (int i = 0; i < NODE_COUNT; ++i) f.nodes[i] = (kp_node){.name = "n", .op = "Add"};
    f.arena.block_size = 64;
    kp_alloc_fail_at(nth);
    kp_status* status = kp_claims_init(&f.claims, &f.graph, NULL, &f.arena);
    const kp_node_id nodes[] = {1};
    const kp_claim claim = claim_of(nodes, 1);
    if (!status) status = kp_claims_add(&f.claims, &claim);
    if (!status) status = kp_claims_close(&f.claims, "Mock");
    kp_alloc_fail_at(0);
    if (status) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_arena_free(&f.arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_claims_are_copied),
      cmocka_unit_test(test_bad_claims_change_nothing),
      cmocka_unit_test(test_one_refusal_a_node),
      cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
