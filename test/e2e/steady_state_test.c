// A signature that was run before allocates nothing, and a cache that grows with each step costs no allocation per step.
#include "e2e/e2e.h"

static kapell_session* open_width(const char* text, int threads, uint32_t signatures) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = threads;
  options.signature_cache = signatures;
  return e2e_open(text, &options);
}

// Runs twice to make outputs and warm up, then counts what further runs into the same outputs allocate.
static void second_run_is_free(kapell_session* session, kapell_value* const* inputs) {
  kapell_value* outputs[4] = {0};
  e2e_ok(e2e_run(session, inputs, outputs));
  e2e_ok(e2e_run(session, inputs, outputs));
  const uint64_t before = kp_alloc_total();
  for (int i = 0; i < 3; ++i) e2e_ok(e2e_run(session, inputs, outputs));
  assert_int_equal(kp_alloc_total() - before, 0);
  for (int i = 0; i < 4; ++i) kapell_value_release(outputs[i]);
}

static void digits(void** state) {
  (void)state;
  for (int threads = 1; threads <= 2; ++threads) {
    kapell_options options = KAPELL_OPTIONS_INIT;
    options.threads = threads;
    kapell_session* session = NULL;
    e2e_ok(kapell_session_open_file(E2E_DIGITS, &options, &session));
    kapell_value* image = kp_test_value("float[5,1,8,8] random 1");
    second_run_is_free(session, &image);
    kapell_value_release(image);
    kapell_session_close(session);
  }
}

static void two_signatures_in_turn(void** state) {
  (void)state;
  kapell_session* session = open_width(
      "in x float[N,6]\n init w float[6,7] = random 1\n y = MatMul(x, w)\n z = Softmax(y)\n out z "
      "float[N,7]\n",
      1, 0);
  kapell_value* inputs[2] = {kp_test_value("float[3,6] random 2"),
                             kp_test_value("float[11,6] random 3")};
  kapell_value* outputs[2] = {0};
  for (int i = 0; i < 2; ++i) e2e_ok(e2e_run(session, &inputs[i], &outputs[i]));
  for (int i = 0; i < 2; ++i) e2e_ok(e2e_run(session, &inputs[i], &outputs[i]));
  const uint64_t before = kp_alloc_total();
  for (int i = 0; i < 6; ++i) e2e_ok(e2e_run(session, &inputs[i & 1], &outputs[i & 1]));
  assert_int_equal(kp_alloc_total() - before, 0);
  for (int i = 0; i < 2; ++i) {
    kapell_value_release(inputs[i]);
    kapell_value_release(outputs[i]);
  }
  kapell_session_close(session);
}

static void control_flow(void** state) {
  (void)state;
  kapell_session* session = open_width(
      "in x float[N,4]\n in n int64[]\n in go bool[]\n init two float[] = 2\n"
      "last = Loop(n, go, x) body={\n"
      "  in i int64[]\n in c bool[]\n in v float[N,4]\n co = Identity(c)\n vo = Mul(v, two)\n out "
      "co bool[]\n out vo float[N,4]\n}\n"
      "r = If(go) then_branch={ out a float[N,4]\n a = Relu(last) } else_branch={ out b "
      "float[N,4]\n b = Neg(last) }\n"
      "out r float[N,4]\n",
      1, 0);
  kapell_value* inputs[3] = {kp_test_value("float[3,4] random 5"), kp_test_value("int64[] 5"),
                             kp_test_value("bool[] 1")};
  second_run_is_free(session, inputs);
  for (int i = 0; i < 3; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

static void scans(void** state) {
  (void)state;
  kapell_session* session = open_width(
      "in x float[4,N]\n in s float[4]\n"
      "last, all = Scan(s, x) num_scan_inputs=1 scan_input_axes=[1] scan_output_axes=[1] "
      "scan_output_directions=[1] body={\n"
      "  in v float[4]\n in e float[4]\n vo = Add(v, e)\n eo = Mul(vo, e)\n out vo float[4]\n out "
      "eo float[4]\n}\n"
      "out last float[4]\n out all float[4,N]\n",
      1, 0);
  kapell_value* inputs[2] = {kp_test_value("float[4,7] random 5"),
                             kp_test_value("float[4] random 6")};
  second_run_is_free(session, inputs);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

// --- decoding ----------------------------------------------------------------------------------------------------------------
enum { HEADS = 2, HEAD = 8, STEPS = 320, WARM = 40, SIGNATURES = 8 };

static const char kDecoder[] =
    "in q float[1,2,1,8]\n in k float[1,2,1,8]\n in v float[1,2,1,8]\n in past_k float[1,2,P,8]\n "
    "in past_v float[1,2,P,8]\n"
    "init scale float[] = 0.353553\n"
    "present_k = Concat(past_k, k) axis=2\n present_v = Concat(past_v, v) axis=2\n"
    "kt = Transpose(present_k) perm=[0,1,3,2]\n raw = MatMul(q, kt)\n s = Mul(raw, scale)\n p = "
    "Softmax(s) axis=-1\n"
    "o = MatMul(p, present_v)\n t = Transpose(o) perm=[0,2,1,3]\n sh = Shape(t)\n b = Gather(sh, "
    "zero)\n bu = Unsqueeze(b, ax)\n"
    "init zero int64[] = 0\n init ax int64[1] = 0\n init rest int64[2] = 1 16\n c = Concat(bu, "
    "rest) axis=0\n y = Reshape(t, c)\n"
    "out y float[1,1,16]\n out present_k float[1,2,Q,8]\n out present_v float[1,2,Q,8]\n";

static kapell_value* wrapped(float* data, int64_t length) {
  kapell_value* value = NULL;
  const int64_t dims[4] = {1, HEADS, length, HEAD};
  e2e_ok(kapell_tensor_wrap(KAPELL_FLOAT, dims, 4, data,
                            (size_t)(HEADS * length * HEAD) * sizeof(float), NULL, NULL, &value));
  return value;
}

typedef struct decoder {
  kapell_session* session;
  float* cache[2][2];  // keys, values: read from one, written to the other, in turn
  kapell_value* views[2][2][STEPS + 1];
  kapell_value* fresh[3];  // q, k, v
  kapell_value* y;
} decoder;

static void decoder_open(decoder* d) {
  memset(d, 0, sizeof(*d));
  d->session = open_width(kDecoder, 1, SIGNATURES);
  for (int which = 0; which < 2; ++which)
    for (int turn = 0; turn < 2; ++turn) {
      d->cache[which][turn] = calloc((STEPS + 1) * HEADS * HEAD, sizeof(float));
      for (int64_t n = 0; n <= STEPS; ++n)
        d->views[which][turn][n] = wrapped(d->cache[which][turn], n);
    }
  for (int i = 0; i < 3; ++i)
    d->fresh[i] = kp_test_value(i ? "float[1,2,1,8] random 4" : "float[1,2,1,8] random 9");
  d->y = kp_test_value("float[1,1,16] fill 0");
}

static void decoder_close(decoder* d) {
  for (int which = 0; which < 2; ++which)
    for (int turn = 0; turn < 2; ++turn) {
      for (int n = 0; n <= STEPS; ++n) kapell_value_release(d->views[which][turn][n]);
      free(d->cache[which][turn]);
    }
  for (int i = 0; i < 3; ++i) kapell_value_release(d->fresh[i]);
  kapell_value_release(d->y);
  kapell_session_close(d->session);
}

// One token: the cache of |length| becomes one of |length| + 1.
static void decode(decoder* d, int length) {
  const int from = length & 1, to = 1 - from;
  kapell_value* inputs[5] = {d->fresh[0], d->fresh[1], d->fresh[2], d->views[0][from][length],
                             d->views[1][from][length]};
  kapell_value* outputs[3] = {d->y, d->views[0][to][length + 1], d->views[1][to][length + 1]};
  e2e_ok(e2e_run(d->session, inputs, outputs));
}

static void growing_cache(void** state) {
  (void)state;
  decoder d;
  decoder_open(&d);
  for (int i = 0; i < WARM; ++i) decode(&d, i);
  int steps_that_allocate = 0;
  const uint64_t before = kp_alloc_total();
  for (int i = WARM; i < STEPS; ++i) {
    const uint64_t step = kp_alloc_total();
    decode(&d, i);
    steps_that_allocate += kp_alloc_total() != step;
  }
  const uint64_t grown = kp_alloc_total() - before;
  print_message("%d steps: %llu allocations in %d of them\n", STEPS - WARM,
                (unsigned long long)grown, steps_that_allocate);
  // From 40 to 320 whatever grows doubles three times: the run's block, the partition's scratch, buffers of late values.
  assert_in_range(steps_that_allocate, 0, 12);
  // All values are equal, so attention gives them back, up to the rounding of a sum of 320 terms.
  for (size_t i = 0; i < 16; ++i)
    assert_true(fabs(kapell_tensor_get_double(d.y, i) - kapell_tensor_get_double(d.fresh[2], i)) <
                1e-5);
  const uint64_t again = kp_alloc_total();
  for (int i = 0; i < STEPS; ++i)
    decode(&d, i);  // other signatures than those in the cache, in memory that is large enough
  assert_int_equal(kp_alloc_total() - again, 0);
  kapell_counters counters = {.struct_size = sizeof(counters)};
  kapell_session_counters(d.session, &counters);
  assert_int_equal(counters.runs, 2 * STEPS);
  assert_int_equal(counters.signature_misses, 2 * STEPS);
  decoder_close(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(digits),        cmocka_unit_test(two_signatures_in_turn),
      cmocka_unit_test(control_flow),  cmocka_unit_test(scans),
      cmocka_unit_test(growing_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
