// Placement locks: the same placement passes; nodes that moved, partitions that split and copies that came are named with the reason.
#include "support/expect.h"

#include "support/chain_run.h"

#define MODEL                                                                                  \
  "in x float[2,3] init w float[3] = 1 2 3 a = Neg(x) b = Add(a, w) c = Abs(b) d = Mul(c, w) " \
  "y = Add(d, c) out y float[2,3]"

static kapell_session* open_on(const char* model, const char* providers, const char* settings) {
  kp_chain_run run;
  kp_test_must(kp_chain_open(&run, model, providers, settings, NULL, NULL));
  return run.session;
}

static char* lock_of(const char* model, const char* providers, const char* settings) {
  char* text = NULL;
  kapell_session* session = open_on(model, providers, settings);
  kp_test_must(kapell_session_placement_lock(session, &text));
  kapell_session_close(session);
  return text;
}

// |lock| beside the placement of |model| on |providers|: the error has |words|, the diff has |changes|.
static void expect_changed(const char* lock, const char* model, const char* providers,
                           const char* settings, const char* words, const char* changes) {
  kapell_session* session = open_on(model, providers, settings);
  char* diff = NULL;
  kp_test_expect(kapell_session_check_lock(session, lock, strlen(lock), &diff),
                 KAPELL_PLACEMENT_CHANGED, words);
  kp_test_words(diff, changes);
  kapell_free_text(diff);
  kp_test_expect(kapell_session_check_lock(session, lock, strlen(lock), NULL),
                 KAPELL_PLACEMENT_CHANGED, words);
  kapell_session_close(session);
}

static void test_the_same_passes(void** state) {
  (void)state;
  char* lock = lock_of(MODEL, "Mock,CPU", "Mock.ops=all,-Abs");
  kp_test_words(lock,
                "kapell-lock 1|list \"Mock,CPU\"|provider MockExecutionProvider nodes 4 "
                "partitions 2|copies 4|copy Mock:0 host \"b\" bytes 24 for \"c\"|node 1 "
                "CPUExecutionProvider \"Abs\" \"c\"");
  kapell_session* session = open_on(MODEL, "Mock,CPU", "Mock.ops=all,-Abs");
  kp_test_must(kapell_session_check_lock(session, lock, strlen(lock), NULL));
  kapell_session_close(session);
  kapell_free_text(lock);
}

static void test_nodes_that_moved(void** state) {
  (void)state;
  char* lock = lock_of(MODEL, "Mock,CPU", NULL);
  expect_changed(
      lock, MODEL, "Mock,CPU", "Mock.ops=all,-Abs",
      "KAPELL-E0406|the placement is not that of its lock: 1 node moved, 1 partition is "
      "split, 2 copies are new|hint: if the change is wanted, write the lock anew",
      "- \"Abs\" \"c\" on MockExecutionProvider\n|+ \"Abs\" \"c\" on "
      "CPUExecutionProvider: Abs is not in its list of operators (ops=all,-Abs)|! "
      "partition 0 of MockExecutionProvider is split: \"b\" is in 0 now, \"d\" in 2|+ copy "
      "Mock:0 host \"b\" bytes 24 for \"c\"");
  expect_changed(lock, MODEL, "Mock?,CPU", "Mock.fail=absent",
                 "5 nodes moved|the provider list was \"Mock,CPU\" and is \"Mock?,CPU\"",
                 "+ \"Neg\" \"a\" on CPUExecutionProvider: its runtime is not installed");
  expect_changed(lock, MODEL, "CPU", NULL, "5 nodes moved, 2 copies are gone",
                 "the list 'CPU' does not name MockExecutionProvider");
  kapell_free_text(lock);
  lock = lock_of(MODEL, "Mock,CPU", "Mock.ops=all,-Abs");
  expect_changed(lock, MODEL, "Mock,CPU", NULL, "1 node moved, 2 copies are gone",
                 "MockExecutionProvider comes before CPUExecutionProvider and takes it now");
  kapell_free_text(lock);
}

static void test_another_model(void** state) {
  (void)state;
  char* lock = lock_of(MODEL, "CPU", NULL);
  expect_changed(
      lock, "in x float[2,3] a = Neg(x) z = Exp(a) out z float[2,3]", "CPU", NULL,
      "1 node is new, 4 nodes are gone",
      "- \"Add\" \"b\" on CPUExecutionProvider: the model has no such node now|+ \"Exp\" "
      "\"z\" on CPUExecutionProvider: the lock has no such node");
  kapell_free_text(lock);
}

static void test_what_is_no_lock(void** state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } cases[] = {
      {"", "no placement lock"},
      {"hello", "its first line is not 'kapell-lock 1'"},
      {"kapell-lock 2\n", "no placement lock"},
      {"kapell-lock 1\nnonsense\n", "line 2 of the placement lock: 'nonsense'"},
      {"kapell-lock 1\n# a remark\n\nnode 0 CPU\n", "line 4"},
      {"kapell-lock 1\nnode x CPU \"Add\" \"a\"\n", "line 2"},
      {"kapell-lock 1\nnode -3 CPU \"Add\" \"a\"\n", "line 2"},
      {"kapell-lock 1\nnode 99999999999999999999 CPU \"Add\" \"a\"\n", "line 2"},
      {"kapell-lock 1\nnode 7 CPU \"Add\" \"a\"\n", "numbers a partition 7 of 1 nodes"},
      {"kapell-lock 1\nnode 0 CPU \"Add\" \"a\" in\n", "line 2"},
  };
  kapell_session* session = open_on(MODEL, "CPU", NULL);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
    kp_test_expect(kapell_session_check_lock(session, cases[i].text, strlen(cases[i].text), NULL),
                   KAPELL_INVALID_ARGUMENT, cases[i].words);
  kapell_session_close(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_same_passes),
      cmocka_unit_test(test_nodes_that_moved),
      cmocka_unit_test(test_another_model),
      cmocka_unit_test(test_what_is_no_lock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
