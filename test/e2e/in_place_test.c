// Outputs bound to the memory of inputs: written in place where the node that makes them reads the input last, apart elsewhere; the
// numbers are those of a run on memory of its own either way.
#include "e2e/e2e.h"

#define FEW 4

typedef struct bound_case {
  const char* what;
  const char* text;
  const char* inputs[FEW];
  bool in_place;
} bound_case;

// The first output is bound to the memory of the first input.
static const bound_case cases[] = {
    {"a cache",
     "opset 24\n in cache float[2,3,64,8]\n in fresh float[2,3,1,8]\n in at int64[2]\n"
     "next = TensorScatter(cache, fresh, at)\n y = ReduceSum(next)\n out next float[2,3,64,8]\n "
     "out y float\n",
     {"float[2,3,64,8] random 1", "float[2,3,1,8] random 2", "int64[2] 5 63"},
     true},
    {"an elementwise operator",
     "in x float[512]\n y = Tanh(x)\n out y float[512]\n",
     {"float[512] random 1"},
     true},
    {"views before and behind",
     "in x float[512]\n init s int64[2] = 16 32\n init t int64[1] = 512\n v = Reshape(x, s)\n y = "
     "Tanh(v)\n"
     "z = Reshape(y, t)\n out z float[512]\n",
     {"float[512] random 1"},
     true},
    {"read before it is written",
     "in x float[512]\n s = ReduceMax(x)\n y = Sub(x, s)\n out y float[512]\n",
     {"float[512] random 1"},
     true},
    {"read after it is written",
     "in x float[512]\n y = Tanh(x)\n s = ReduceMax(y)\n z = Mul(x, s)\n out y float[512]\n out z "
     "float[512]\n",
     {"float[512] random 1"},
     false},
    {"read after it is written, through a view",
     "in x float[512]\n init s int64[2] = 16 32\n v = Reshape(x, s)\n y = Tanh(x)\n m = "
     "ReduceMax(y)\n"
     "z = Mul(v, m)\n out y float[512]\n out z float[16,32]\n",
     {"float[512] random 1"},
     false},
    {"handed through too",
     "in x float[512]\n y = Tanh(x)\n z = Identity(x)\n out y float[512]\n out z float[512]\n",
     {"float[512] random 1"},
     false},
    {"read twice by its node",
     "in x float[16,16]\n y = Mul(x, x)\n out y float[16,16]\n",
     {"float[16,16] random 1"},
     false},
    {"an operator that needs its input whole",
     "in x float[16,16]\n y = MatMul(x, x)\n out y float[16,16]\n",
     {"float[16,16] random 1"},
     false},
    {"a body that reads it",
     "in x float[512]\n in go bool[]\n y = Tanh(x)\n"
     "z = If(go) then_branch={ out a float[512] a = Add(x, y) } else_branch={ out b float[512] b = "
     "Neg(x) }\n"
     "out y float[512]\n out z float[512]\n",
     {"float[512] random 1", "bool[] 1"},
     false},
};

static void make_inputs(const bound_case* c, kapell_value** inputs) {
  for (int i = 0; i < FEW && c->inputs[i]; ++i) inputs[i] = kp_test_value(c->inputs[i]);
}

static void drop(kapell_value** values) {
  for (int i = 0; i < FEW; ++i) {
    kapell_value_release(values[i]);
    values[i] = NULL;
  }
}

// Runs with the first output bound to the first input's memory; how often that allocated.
static uint64_t run_bound(kapell_session* session, kapell_value** inputs, kapell_value** outputs) {
  outputs[0] = inputs[0];
  const uint64_t before = kp_alloc_total();
  e2e_ok(e2e_run(session, inputs, outputs));
  const uint64_t allocated = kp_alloc_total() - before;
  assert_ptr_equal(outputs[0], inputs[0]);
  return allocated;
}

static void expect_case(const bound_case* c) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = 1;
  kapell_session* session = e2e_open(c->text, &options);
  kapell_value *inputs[FEW] = {0}, *want[FEW] = {0}, *got[FEW] = {0};
  make_inputs(c, inputs);
  e2e_ok(e2e_run(session, inputs, want));
  e2e_ok(e2e_run(session, inputs, got));  // the other outputs, and memory of the run
  kapell_value_release(got[0]);
  const uint64_t allocated = run_bound(session, inputs, got);
  for (int i = 0; i < FEW && want[i]; ++i) e2e_close(got[i], want[i], 1e-6);
  if ((allocated == 0) != c->in_place)
    fail_msg("%s: %llu allocations", c->what, (unsigned long long)allocated);
  got[0] = NULL;  // the input
  drop(inputs);
  drop(want);
  drop(got);
  kapell_session_close(session);
}

static void each_case(void** state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) expect_case(&cases[i]);
}

// Other shapes in the next run: what may be written in place is decided for each.
static void shapes_in_turn(void** state) {
  (void)state;
  kapell_session* session =
      e2e_open("in x float[N]\n in y float[M]\n z = Add(x, y)\n out z float[K]\n", NULL);
  for (int i = 0; i < 4; ++i) {
    kapell_value* inputs[FEW] = {kp_test_value("float[6] 1 2 3 4 5 6"),
                                 kp_test_value(i & 1 ? "float[1] 10" : "float[6] fill 10")};
    kapell_value* outputs[FEW] = {inputs[0]};
    e2e_ok(e2e_run(session, inputs, outputs));
    for (size_t k = 0; k < 6; ++k)
      assert_true(kapell_tensor_get_double(inputs[0], k) == (double)(11 + k));
    drop(inputs);
  }
  kapell_session_close(session);
}

static kapell_session* open_with_failing_mock(const char* text) {
  const kapell_provider_option list[] = {{"Mock.ops", "Neg"}, {"Mock.fail", "run:1"}};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.providers = "Mock,CPU";
  options.provider_options = list;
  options.provider_option_count = 2;
  options.on_failure = KAPELL_ON_FAILURE_CONTINUE;
  return e2e_open(text, &options);
}

// A run that may have overwritten an input is not started again; one that wrote apart is.
static void failover_is_refused(void** state) {
  (void)state;
  kapell_session* session = open_with_failing_mock(
      "in x float[4]\n y = Tanh(x)\n z = Neg(y)\n out y float[4]\n out z float[4]\n");
  kapell_value* inputs[FEW] = {kp_test_value("float[4] 1 2 3 4")};
  kapell_value* outputs[FEW] = {inputs[0], NULL};
  e2e_error(e2e_run(session, inputs, outputs), KAPELL_PROVIDER_FAILED,
            "not started again without Mock", "bound to the memory of inputs", NULL);
  assert_null(outputs[1]);
  drop(inputs);
  kapell_session_close(session);

  session = open_with_failing_mock("in x float[4]\n y = Neg(x)\n z = Mul(x, y)\n out z float[4]\n");
  inputs[0] = kp_test_value("float[4] 1 2 3 4");
  outputs[0] = inputs[0];
  e2e_ok(e2e_run(session, inputs, outputs));
  assert_true(kapell_tensor_get_double(inputs[0], 3) == -16);
  drop(inputs);
  kapell_session_close(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_case),
      cmocka_unit_test(shapes_in_turn),
      cmocka_unit_test(failover_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
