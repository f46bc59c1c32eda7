// Clauses of the provider list and what the placement report says: each broken clause is an error that names it, the nodes and each
// provider's reason; copies are listed with their bytes; fused nodes lead back to the file.
#include "support/expect.h"

#include "support/chain_run.h"

#define MODEL                                                                                  \
  "in x float[2,3] init w float[3] = 1 2 3 a = Neg(x) b = Add(a, w) c = Abs(b) d = Mul(c, w) " \
  "e = Abs(d) y = Add(e, c) out y float[2,3]"
#define ABS "Mock.ops=all,-Abs"
static const char* const inputs[] = {"float[2,3] 1 2 3 4 5 6", NULL};

static void expect_broken(const char* providers, const char* settings, kapell_code code,
                          const char* words) {
  kp_chain_run run;
  kp_test_expect(kp_chain_open(&run, MODEL, providers, settings, inputs, NULL), code, words);
  assert_null(run.session);
  kp_chain_close(&run);
}

static void expect_kept(const char* providers, const char* settings) {
  kp_chain_run run;
  kp_test_must(kp_chain_open(&run, MODEL, providers, settings, inputs, NULL));
  kp_test_must(kp_chain_again(&run, NULL));
  kp_chain_close(&run);
}

static void test_shares(void** state) {
  (void)state;
  expect_broken(
      "Mock>=90%nodes,CPU", ABS, KAPELL_CLAUSE_VIOLATED,
      "KAPELL-E0405|'Mock>=90%nodes': Mock would run 66.7 % of the model's nodes|2 x Abs: "
      "Abs is not in its list of operators (ops=all,-Abs) (c, e)|hint: lower the share");
  expect_broken("Mock>=90%,CPU", ABS, KAPELL_CLAUSE_VIOLATED,
                "'Mock>=90%': Mock would run 66.7 % of the model's FLOPs|2 x Abs: ");
  expect_broken("Mock>=90%flops,CPU", ABS, KAPELL_CLAUSE_VIOLATED, "'Mock>=90%flops'");
  expect_kept("Mock>=66%nodes,CPU", ABS);
  expect_kept("Mock>=100%,CPU", NULL);
}

static void test_partitions(void** state) {
  (void)state;
  expect_broken("Mock,CPU; partitions<=2", ABS, KAPELL_CLAUSE_VIOLATED,
                "'partitions<=2': the placement has 5 partitions|0 on Mock (2 nodes from 'a')|1 on "
                "CPU (1 node from 'c')|not on Mock: 2 x Abs: Abs is not in its list|(c, e)|hint: ");
  expect_kept("Mock,CPU; partitions<=5", ABS);
}

static void test_copies(void** state) {
  (void)state;
  expect_broken("Mock,CPU; copies<=3", ABS, KAPELL_CLAUSE_VIOLATED,
                "'copies<=3': the placement has |'b' from Mock:0 to host (24 bytes, for Abs "
                "'c')|'x' from host to Mock:0 (24 bytes, for Neg 'a')|not on Mock: 2 x Abs");
  expect_broken("Mock,CPU; copy-bytes<=100", ABS, KAPELL_CLAUSE_VIOLATED,
                "'copy-bytes<=100': the placement has |bytes copied between devices a run|'b' from "
                "Mock:0 to host|not on Mock: 2 x Abs");
  expect_kept("Mock,CPU; copies<=2; copy-bytes<=48", NULL);
}

// A size that only the run tells is bounded by the run.
static void test_copies_of_unknown_size(void** state) {
  (void)state;
  static const char text[] = "in x float[N] a = Neg(x) y = Abs(a) out y float[N]";
  static const char* const small[] = {"float[4] 1 2 3 4", NULL};
  static const char* const large[] = {"float[8] 1 2 3 4 5 6 7 8", NULL};
  kp_chain_run run;
  kp_test_must(kp_chain_open(&run, text, "Mock,CPU; copy-bytes<=40", NULL, small, NULL));
  kp_test_must(kp_chain_again(&run, NULL));
  kp_chain_close(&run);
  kp_test_must(kp_chain_open(&run, text, "Mock,CPU; copy-bytes<=40", NULL, large, NULL));
  kp_test_expect(
      kp_chain_again(&run, NULL), KAPELL_CLAUSE_VIOLATED,
      "'copy-bytes<=40': with the 32 bytes of 'y' this run would have copied 2 times, 64 "
      "bytes|value 'y'|hint: raise the limit");
  kp_chain_close(&run);
}

#define LOOP                                                                                       \
  "in x float[2] init n int64[] = 3 init t bool[] = 1 y = Loop(n, t, x) body={ in i int64[] in k " \
  "bool[] in s float[2] c = Identity(k) r = Neg(s) q = Abs(r) out c bool[] out q float[2] } out "  \
  "y "                                                                                             \
  "float[2]"
static void test_no_copies_in_loops(void** state) {
  (void)state;
  static const char* const x[] = {"float[2] 1 2", NULL};
  kp_chain_run run;
  kp_test_expect(
      kp_chain_open(&run, LOOP, "Mock,CPU; no-loop-copies", "Mock.ops=all,-Abs", x, NULL),
      KAPELL_CLAUSE_VIOLATED,
      "'no-loop-copies': the placement has |copies inside bodies of control flow|'r' from Mock:0 "
      "to "
      "host (8 bytes, for Abs|not on Mock: 1 x Abs");
  kp_chain_close(&run);
  kp_test_must(kp_chain_open(&run, LOOP, "Mock?,CPU; no-loop-copies", "Mock.ops=none", x, NULL));
  kp_test_must(kp_chain_again(&run, NULL));
  kp_chain_close(&run);
}

static void test_floor(void** state) {
  (void)state;
  expect_broken(
      "Mock; floor=none", ABS, KAPELL_UNSUPPORTED,
      "KAPELL-E0301|no provider takes Abs 'c': Mock: Abs is not in its list of|'floor=none' "
      "keeps the CPU from it|and for 1 other node: Abs 'e'|at node 'c'|hint: floor=all");
  expect_broken(
      "Mock; floor=Relu,Neg", ABS, KAPELL_UNSUPPORTED,
      "no provider takes Abs 'c': Mock: Abs is not|CPU: the floor clause 'floor=Relu,Neg' "
      "does not let it take this operator|hint: floor=all");
  expect_kept("Mock; floor=Abs", ABS);
}

static void test_report(void** state) {
  (void)state;
  kp_chain_run run;
  kp_test_must(kp_chain_open(&run, MODEL, "Mock,CPU", ABS, inputs, NULL));
  const kapell_placement* p = kapell_session_placement(run.session);
  assert_int_equal(p->copies, p->copy_list_count);
  uint64_t bytes = 0;
  for (size_t i = 0; i < p->copy_list_count; ++i) bytes += (uint64_t)p->copy_list[i].bytes;
  assert_int_equal(p->copied_bytes, bytes);
  assert_string_equal(p->copy_list[1].value, "b");
  assert_string_equal(p->copy_list[1].from, "Mock:0");
  assert_string_equal(p->copy_list[1].to, "host");
  assert_string_equal(p->copy_list[1].producer, "b");
  assert_string_equal(p->copy_list[1].consumer, "c");
  assert_int_equal(p->providers[0].weight_bytes, 12);
  assert_int_equal(p->providers[1].weight_bytes, 0);
  char* text = NULL;
  kp_test_must(kapell_session_placement_text(run.session, &text));
  kp_test_words(text,
                "4 of 6 nodes in 3 partitions, 66.7 % of FLOPs (24 FLOPs), weights 12 "
                "bytes|Mock:0 -> host 'b', 24 bytes, made by 'b', read by 'c'|2 x Abs: ");
  kapell_free_text(text);
  kp_test_must(kp_chain_again(&run, NULL));
  assert_int_equal(run.counters.copies, p->copies);
  assert_int_equal(run.counters.copied_bytes, p->copied_bytes);
  kapell_placed_edge* edges;
  size_t count;
  kp_test_must(kapell_session_placement_edges(run.session, &edges, &count));
  assert_int_equal(count, 8);
  assert_true(edges[0].from == SIZE_MAX && edges[7].to == SIZE_MAX);
  assert_string_equal(edges[0].value, "x");
  assert_string_equal(edges[7].value, "y");
  assert_string_equal(p->nodes[edges[1].from].name, "a");
  assert_string_equal(p->nodes[edges[1].to].name, "b");
  assert_string_equal(edges[1].value, "a");
  kapell_edges_free(edges);
  kp_chain_close(&run);
}

static void test_fused_nodes_lead_back(void** state) {
  (void)state;
  kp_chain_run run;
  kp_test_must(
      kp_chain_open(&run,
                    "in x float[2,4] init w float[4,3] = fill 1 init b float[3] = 1 2 3 m = "
                    "MatMul(x, w) s = Add(m, b) y = Relu(s) out y float[2,3]",
                    "CPU", NULL, NULL, NULL));
  const kapell_placement* p = kapell_session_placement(run.session);
  for (size_t i = 0; i < 3; ++i) {
    assert_string_equal(p->nodes[i].run_as, "MatMul");
    assert_non_null(p->nodes[i].rewrite);
    assert_int_equal(p->nodes[i].fused_with, 0);
  }
  kp_chain_close(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shares),
      cmocka_unit_test(test_partitions),
      cmocka_unit_test(test_copies),
      cmocka_unit_test(test_copies_of_unknown_size),
      cmocka_unit_test(test_no_copies_in_loops),
      cmocka_unit_test(test_floor),
      cmocka_unit_test(test_report),
      cmocka_unit_test(test_fused_nodes_lead_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
