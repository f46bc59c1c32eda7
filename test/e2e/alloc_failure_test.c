// Each allocation of loading, running and closing a model fails once: an error that says so, or success where the failure can be
// borne; nothing leaks, and the next session is as good as new.
#include "e2e/e2e.h"

enum { LEAST = 100, MOST = 20000 };

static kapell_value* image;
static kapell_value* mixed_inputs[4];
static char* mixed_bytes;
static size_t mixed_byte_count;

// The file, mapped; one picture, and the same again.
static kapell_status* run_digits(void) {
  kapell_session* session = NULL;
  kapell_value* output = NULL;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = 1;
  kapell_status* status = kapell_session_open_file(E2E_DIGITS, &options, &session);
  if (status) assert_null(session);
  if (!status) status = e2e_run(session, &image, &output);
  if (status) assert_null(output);
  if (!status) status = e2e_run(session, &image, &output);
  kapell_value_release(output);
  kapell_session_close(session);
  return status;
}

// What the digits do not reach: bytes that are copied, control flow, sequences, strings, a profile, a report.
static const char kMixed[] =
    "in x float[N,4]\n in n int64[]\n in t string[2]\n in go bool[]\n"
    "init w float[4,4] = random 3\n init two float[] = 2\n"
    "m = MatMul(x, w)\n"
    "last, all = Loop(n, go, m) body={\n"
    "  in i int64[]\n in c bool[]\n in v float[N,4]\n"
    "  co = Identity(c)\n w0 = Mul(v, two)\n vo = Add(v, w0)\n"
    "  out co bool[]\n out vo float[N,4]\n out w0 float[N,4]\n}\n"
    "r = If(go) then_branch={ out a float[N,4]\n a = Relu(last) } else_branch={ out b float[N,4]\n "
    "b = Neg(last) }\n"
    "s = SequenceConstruct(r, m)\n y = ConcatFromSequence(s) axis=1\n u = Identity(t)\n"
    "out y float[N,8]\n out all float[T,N,4]\n out u string[2]\n";

static kapell_status* run_mixed(void) {
  kapell_session* session = NULL;
  kapell_value* outputs[3] = {0};
  char *report = NULL, *profile = NULL;
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = 1;
  options.profile_path = "/dev/null";
  kapell_status* status = kapell_session_open(mixed_bytes, mixed_byte_count, &options, &session);
  if (status) assert_null(session);
  if (!status) status = e2e_run(session, mixed_inputs, outputs);
  if (status)
    for (int i = 0; i < 3; ++i) assert_null(outputs[i]);
  if (!status) status = kapell_session_placement_json(session, &report);
  if (!status) status = kapell_session_profile_json(session, &profile);
  kapell_free_text(report);
  kapell_free_text(profile);
  for (int i = 0; i < 3; ++i) kapell_value_release(outputs[i]);
  kapell_session_close(session);
  return status;
}

// Fails the first, second, third... allocation of |attempt| until it needs no further one.
static void fail_each(const char* what, kapell_status* (*attempt)(void)) {
  e2e_ok(attempt());  // what the process makes once and keeps
  const int64_t live = kp_alloc_live();
  uint64_t nth = 1, borne = 0;
  for (; nth < MOST; ++nth) {
    kp_alloc_fail_at(nth);
    kapell_status* status = attempt();
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    borne += failed && !status;
    if (status && kapell_status_code(status) != KAPELL_OUT_OF_MEMORY) {
      fprintf(stderr, "%s, allocation %llu: %s\n", what, (unsigned long long)nth,
              kapell_status_text(status));
      assert_int_equal(kapell_status_code(status), KAPELL_OUT_OF_MEMORY);
    }
    if (status) assert_true(failed && kapell_status_message(status)[0]);
    kapell_status_free(status);
    if (kp_alloc_live() != live)
      fprintf(stderr, "%s, allocation %llu leaks\n", what, (unsigned long long)nth);
    assert_int_equal(kp_alloc_live(), live);
    if (!failed) break;
  }
  print_message("%s: %llu allocations failed one by one, %llu of them borne\n", what,
                (unsigned long long)(nth - 1), (unsigned long long)borne);
  assert_in_range(nth, LEAST, MOST - 1);
  e2e_ok(attempt());
}

static void digits(void** state) {
  (void)state;
  fail_each("digits", run_digits);
}

static void control_flow_and_reports(void** state) {
  (void)state;
  fail_each("mixed", run_mixed);
}

int main(void) {
  image = kp_test_value("float[1,1,8,8] random 1");
  mixed_inputs[0] = kp_test_value("float[3,4] random 5");
  mixed_inputs[1] = kp_test_value("int64[] 3");
  mixed_inputs[2] =
      kp_test_value("string[2] \"a\" \"much longer than any text that is kept in place\"");
  mixed_inputs[3] = kp_test_value("bool[] 1");
  mixed_bytes = kp_test_model(kMixed, 17, &mixed_byte_count);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(digits),
      cmocka_unit_test(control_flow_and_reports),
  };
  const int failures = cmocka_run_group_tests(tests, NULL, NULL);
  kapell_value_release(image);
  for (int i = 0; i < 4; ++i) kapell_value_release(mixed_inputs[i]);
  free(mixed_bytes);
  return failures;
}
