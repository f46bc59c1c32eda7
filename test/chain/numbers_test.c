// The same numbers whoever runs the nodes: small models of every kind of structure over many chains of mock devices and the CPU, compared
// with the CPU alone. And copies are counted rightly: what a run reports is what the devices saw.
#include "support/expect.h"

#include <stdio.h>

#include "provider/mock/mock.h"
#include "support/chain_run.h"

typedef struct model {
  const char* name;
  const char* text;
  const char* const* inputs;
} model;
#define IN(...) \
  (const char* const[]) { __VA_ARGS__, NULL }

static const model models[] = {
    {"convolutions",
     "in x float[N,2,8,8] init w1 float[4,2,3,3] = random 1 init b1 float[4] = random 2 init w2 "
     "float[4,4,3,3] = random 3 init w3 float[4,5] = random 4 "
     "c1 = Conv(x, w1, b1) pads=[1,1,1,1] r1 = Relu(c1) p = MaxPool(r1) kernel_shape=[2,2] "
     "strides=[2,2] c2 = Conv(p, w2) pads=[1,1,1,1] "
     "s = Add(c2, p) r2 = Relu(s) g = GlobalAveragePool(r2) f = Flatten(g) m = Gemm(f, w3) y = "
     "Softmax(m) axis=1 out y float[N,5] out g float[N,4,1,1]",
     IN("float[3,2,8,8] random 7")},
    {"attention",
     "in x float[B,S,8] init wq float[8,8] = random 1 init wk float[8,8] = random 2 init wv "
     "float[8,8] = random 3 init g float[8] = fill 1 init b float[8] = fill 0 "
     "init scale float[] = 0.5 q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) kt = "
     "Transpose(k) perm=[0,2,1] s = MatMul(q, kt) d = Mul(s, scale) "
     "p = Softmax(d) axis=-1 a = MatMul(p, v) r = Add(a, x) y = LayerNormalization(r, g, b) "
     "axis=-1 out y float[B,S,8]",
     IN("float[2,5,8] random 9")},
    {"shape arithmetic",
     "in x float[N,4,3] init zero int64[] = 0 init one int64[1] = 1 init minus int64[1] = -1 init "
     "axes int64[1] = 0 s = Shape(x) n = Gather(s, zero) u = Unsqueeze(n, axes) "
     "t = Concat(u, minus) axis=0 r = Reshape(x, t) e = Expand(one, u) f = Cast(e) to=1 sum = "
     "ReduceSum(f) keepdims=0 y = Mul(r, sum) out y float[N,12]",
     IN("float[2,4,3] random 3")},
    {"shapes decided by data",
     "in x float[N] nz = NonZero(x) t = Transpose(nz) perm=[1,0] g = GatherND(x, t) a = Neg(g) y = "
     "Mul(a, g) sh = Shape(y) out y float[K] out sh int64[1]",
     IN("float[6] 0 3 0 -4 5 0")},
    {"reshape by an input",
     "in x float[N] in s int64[2] a = Neg(x) r = Reshape(a, s) y = Relu(r) out y float[P,Q]",
     IN("float[6] 1 -2 3 -4 5 -6", "int64[2] 3 -1")},
    {"many readers of one value",
     "in x float[4] a = Neg(x) b = Abs(a) c = Relu(a) d = Add(a, b) e = Mul(d, c) y = Add(e, x) "
     "out y float[4] out a float[4] out b float[4]",
     IN("float[4] 1 -2 3 -4")},
    {"outputs that nobody computes",
     "in x float[3] init w float[3] = 1 2 3 i = Identity(x) y = Add(x, w) out i float[3] out w "
     "float[3] out y float[3]",
     IN("float[3] 5 6 7")},
    {"branches that capture",
     "in c bool[] in x float[3] h = Exp(x) y = If(c) then_branch={ a = Neg(h) b = Add(a, x) out b "
     "float[3] } else_branch={ d = Abs(x) e = Mul(d, h) out e float[3] } "
     "z = Add(y, h) out z float[3]",
     IN("bool[] 1", "float[3] 1 2 3")},
    {"the other branch",
     "in c bool[] in x float[3] h = Exp(x) y = If(c) then_branch={ a = Neg(h) b = Add(a, x) out b "
     "float[3] } else_branch={ d = Abs(x) e = Mul(d, h) out e float[3] } "
     "z = Add(y, h) out z float[3]",
     IN("bool[] 0", "float[3] 1 2 3")},
    {"loop with carried values and results of each turn",
     "in x float[2] in n int64[] init t bool[] = 1 y, s = Loop(n, t, x) body={ in i int64[] in c "
     "bool[] in v float[2] d = Identity(c) w = Add(v, x) e = Neg(w) f = Abs(e) "
     "out d bool[] out w float[2] out f float[2] } z = Relu(y) out z float[2] out s float[T,2]",
     IN("float[2] 1 -2", "int64[] 4")},
    {"loop of no turns",
     "in x float[2] in n int64[] init t bool[] = 1 y, s = Loop(n, t, x) body={ in i int64[] in c "
     "bool[] in v float[2] d = Identity(c) w = Add(v, x) e = Neg(w) "
     "out d bool[] out w float[2] out e float[2] } out y float[2] out s float[T,2]",
     IN("float[2] 1 -2", "int64[] 0")},
    {"loop that ends itself",
     "in x float[2] init ten float[] = 10 init m int64[] = 100 init t bool[] = 1 y = Loop(m, t, x) "
     "body={ in i int64[] in c bool[] in v float[2] w = Add(v, v) "
     "r = ReduceSum(w) keepdims=0 d = Less(r, ten) out d bool[] out w float[2] } out y float[2]",
     IN("float[2] 0.5 0.25")},
    {"a cache that grows",
     "in x float[1,2] in n int64[] init t bool[] = 1 y = Loop(n, t, x) body={ in i int64[] in c "
     "bool[] in v float[L,2] d = Identity(c) k = Neg(x) w = Concat(v, k) axis=0 "
     "u = Abs(w) out d bool[] out u float[M,2] } s = ReduceSum(y) keepdims=0 out y float[P,2] out "
     "s float[]",
     IN("float[1,2] 1 -2", "int64[] 9")},
    {"a branch in a loop",
     "in x float[2] in n int64[] init t bool[] = 1 init two int64[] = 2 init zero int64[] = 0 y = "
     "Loop(n, t, x) body={ in i int64[] in c bool[] in v float[2] d = Identity(c) "
     "m = Mod(i, two) e = Equal(m, zero) w = If(e) then_branch={ a = Add(v, x) out a float[2] } "
     "else_branch={ b = Neg(v) out b float[2] } out d bool[] out w float[2] } "
     "out y float[2]",
     IN("float[2] 1 -2", "int64[] 5")},
    {"scan",
     "in s float[2] in x float[T,2] f, y = Scan(s, x) num_scan_inputs=1 body={ in v float[2] in e "
     "float[2] a = Add(v, e) b = Neg(a) out a float[2] out b float[2] } "
     "out f float[2] out y float[T,2]",
     IN("float[2] 0 0", "float[4,2] 1 2 3 4 5 6 7 8")},
    {"a sequence on an edge",
     "in x float[4,2] init one int64[] = 1 a = Neg(x) q = SplitToSequence(a) axis=0 e = "
     "SequenceAt(q, one) f = Abs(e) r = SequenceInsert(q, f) c = ConcatFromSequence(r) axis=0 "
     "y = Relu(c) out y float[P,2] out q seq(float[1,2])",
     IN("float[4,2] 1 2 -3 -4 5 6 7 8")},
    {"integers and bools",
     "in x int64[4] in z int64[4] a = Add(x, z) b = Greater(a, x) c = Cast(b) to=7 y = Mul(c, a) "
     "out y int64[4] out b bool[4]",
     IN("int64[4] 1 -2 3 -4", "int64[4] 9 -9 9 0")},
    {"no elements", "in x float[N,3] a = Neg(x) b = Abs(a) y = Relu(b) out y float[N,3]",
     IN("float[0,3]")},
};

typedef struct chain {
  const char* providers;
  const char* settings;
} chain;

static const chain chains[] = {
    {"Mock?,CPU", ""},
    {"Mock?,CPU", "Mock.atomic=1"},
    {"Mock?,CPU", "Mock.ops=half"},
    {"Mock?,CPU", "Mock.ops=all,-Add,-Neg"},
    {"Mock?,CPU", "Mock.ops=half Mock.atomic=1"},
    {"Mock?,CPU", "Mock.ops=alternate"},
    {"Mock?,CPU", "Mock.ops=alternate Mock.atomic=1"},
    {"Mock?,CPU", "Mock.control=1"},
    {"Mock?,CPU", "Mock.control=1 Mock.atomic=1 Mock.ops=all,-Identity"},
    {"Mock?,CPU", "Mock.static=1"},
    {"Mock?,CPU", "Mock.static=1 Mock.ops=half"},
    {"Mock?,CPU", "Mock.streams=1 Mock.delay_us=100"},
    {"Mock?,CPU", "Mock.streams=1 Mock.ops=alternate"},
    {"Mock?,CPU", "Mock.streams=1 Mock.ops=half Mock.control=1 Mock.atomic=1"},
    {"Mock?,CPU", "Mock.streams=1 Mock.static=1 Mock.delay_us=50"},
    {"Mock?,Mock2?,CPU", "Mock.ops=half"},
    {"Mock?,Mock2?,CPU", "Mock.ops=alternate Mock.atomic=1 Mock2.streams=1"},
    {"Mock?,Mock2?,Mock3?,CPU",
     "Mock.ops=alternate Mock2.ops=half Mock3.atomic=1 Mock.streams=1 Mock3.streams=1"},
    {"Mock?,CPU", "Mock.ops=half Mock.max_runs=1"},
};

static bool has_control_flow(const model* m) {
  return strstr(m->text, "If(") || strstr(m->text, "Loop(") || strstr(m->text, "Scan(");
}

// Runs twice (the second run finds everything ready), compares, and compares the count of copies with what the devices saw.
static const char* check(const model* m, const chain* c, const kp_chain_run* wanted) {
  static char words[256];
  kp_chain_run run;
  kp_test_must(kp_chain_open(&run, m->text, c->providers, c->settings, m->inputs, NULL));
  const char* wrong = NULL;
  for (int i = 0; i < 3 && !wrong; ++i) {
    const kp_mock_totals before = kp_mock_get_totals();
    kapell_status* status = kp_chain_again(&run, NULL);
    if (status) {
      snprintf(words, sizeof words, "%s", kapell_status_text(status));
      kapell_status_free(status);
      wrong = words;
      break;
    }
    const kp_mock_totals after = kp_mock_get_totals();
    const uint64_t copies =
        after.copies_in + after.copies_out - before.copies_in - before.copies_out;
    const uint64_t bytes = after.bytes_in + after.bytes_out - before.bytes_in - before.bytes_out;
    wrong = kp_chain_compare(&run, wanted);
    if (!wrong && (copies != run.counters.copies || bytes != run.counters.copied_bytes)) {
      snprintf(words, sizeof words,
               "run %d reports %llu copies of %llu bytes, the devices saw %llu of %llu", i,
               (unsigned long long)run.counters.copies,
               (unsigned long long)run.counters.copied_bytes, (unsigned long long)copies,
               (unsigned long long)bytes);
      wrong = words;
    }
    const size_t planned = kapell_session_placement(run.session)->copies;
    const bool as_planned = bytes ? run.counters.copies == planned
                                  : run.counters.copies == 0;  // an empty tensor takes no copy
    if (!wrong && !has_control_flow(m) && !as_planned) {
      snprintf(words, sizeof words, "the placement says %zu copies, the run made %llu", planned,
               (unsigned long long)run.counters.copies);
      wrong = words;
    }
  }
  kp_chain_close(&run);
  return wrong;
}

static void test_model(void** state) {
  const model* m = *state;
  kp_chain_run wanted;
  kp_test_must(kp_chain_open(&wanted, m->text, "CPU", NULL, m->inputs, NULL));
  kp_test_must(kp_chain_again(&wanted, NULL));
  int failed = 0;
  for (size_t i = 0; i < sizeof chains / sizeof *chains; ++i) {
    const char* wrong = check(m, &chains[i], &wanted);
    if (!wrong) continue;
    print_error("%s on %s with %s: %s\n", m->name, chains[i].providers, chains[i].settings, wrong);
    ++failed;
  }
  kp_chain_close(&wanted);
  assert_int_equal(failed, 0);
}

// What the mock took in these chains is not nothing: a chain that silently ran all on the CPU would prove nothing.
static void test_mocks_really_take_part(void** state) {
  (void)state;
  for (size_t i = 0; i < sizeof chains / sizeof *chains; ++i) {
    kp_chain_run run;
    const kp_mock_totals before = kp_mock_get_totals();
    kp_test_must(kp_chain_open(&run, models[0].text, chains[i].providers, chains[i].settings,
                               models[0].inputs, NULL));
    kp_test_must(kp_chain_again(&run, NULL));
    assert_true(kp_mock_get_totals().nodes > before.nodes);
    assert_true(run.counters.providers[0].nodes > 0);
    kp_chain_close(&run);
  }
}

static int nothing_left(void** state) {
  (void)state;
  const kp_mock_totals totals = kp_mock_get_totals();
  return totals.live_allocations || totals.live_bytes || totals.live_devices || totals.live_streams
             ? -1
             : 0;
}

int main(int argc, char** argv) {
  enum { COUNT = sizeof models / sizeof *models + 1 };
  struct CMUnitTest tests[COUNT];
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  kapell_log_set_level(
      KAPELL_LOG_ERROR);  // '?' warns where a mock runs nothing of a model, as it should
  for (size_t i = 0; i + 1 < COUNT; ++i) {
    const void* m = &models[i];
    tests[i] = (struct CMUnitTest){
        .name = models[i].name, .test_func = test_model, .initial_state = (void*)(uintptr_t)m};
  }
  tests[COUNT - 1] = (struct CMUnitTest)cmocka_unit_test(test_mocks_really_take_part);
  return _cmocka_run_group_tests("numbers", tests, COUNT, NULL, nothing_left);
}
