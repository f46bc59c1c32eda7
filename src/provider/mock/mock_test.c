// What the mock promises to tests that rely on it: each failure with its words, streams that really are asynchronous, groups that are
// convex, a clock, and nothing left behind. That it computes rightly is the conformance suite's to say (test/cts/).
#include "provider/mock/mock.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/clock.h"
#include "base/size.h"
#include "support/model_text.h"
#include "support/provider_rig.h"

extern const kp_provider_type kp_mock_type, kp_mock2_type;

#define CHAIN "in x float[N] a = Neg(x) b = Abs(a) y = Neg(b) out y float[N]"

static void must(kp_status* status) {
  if (status) fail_msg("%s", kp_status_text(status));
}

static void expect(kp_status* status, kapell_code code, const char* message, const char* hint) {
  if (!status) fail_msg("no error, where '%s' was expected", message);
  assert_string_equal(kp_code_name(kp_status_code(status)), kp_code_name(code));
  if (!strstr(kp_status_message(status), message))
    fail_msg("'%s' is not in: %s", message, kp_status_text(status));
  if (hint && (!kp_status_hint_text(status) || !strstr(kp_status_hint_text(status), hint)))
    fail_msg("'%s' is not the hint in: %s", hint, kp_status_text(status));
  kp_status_free(status);
}

// --- probe ------------------------------------------------------------------------------------------------------------------------
static kp_status* probe(const char* failure, kp_arena* arena, kp_probe* out) {
  const kp_option option = {"fail", failure};
  const char** texts;
  must(kp_options_check("Mock", kp_mock_type.options, kp_mock_type.option_count, &option, 1, arena,
                        &texts));
  *out = (kp_probe){.type = &kp_mock_type, .arena = arena};
  return kp_mock_type.probe(texts, out);
}

static void expect_absence(const char* failure, const char* reason, const char* fix) {
  kp_arena arena = {0};
  kp_probe found;
  must(probe(failure, &arena, &found));
  assert_false(found.available);
  assert_int_equal(found.device_count, 0);
  if (!strstr(found.reason, reason)) fail_msg("'%s' is not in '%s'", reason, found.reason);
  if (!strstr(found.fix, fix)) fail_msg("'%s' is not in '%s'", fix, found.fix);
  kp_arena_free(&arena);
}

static void test_probe(void** state) {
  (void)state;
  expect_absence("absent", "libmockrt.so.3 is nowhere on the library path",
                 "install the package mockrt 3");
  expect_absence("dlerror",
                 "libmockrt.so.3: cannot open shared object file: No such file or directory",
                 "LD_LIBRARY_PATH");
  expect_absence("no_device", "the driver reports no device", "/dev/mock0");
  expect_absence("version", "needs a host of interface version 9", "upgrade Kapell");
  kp_arena arena = {0};
  kp_probe found;
  must(probe("run:2", &arena, &found));
  assert_true(found.available);
  assert_int_equal(found.device_count, 2);
  expect(probe("rum", &arena, &found), KAPELL_BAD_PROVIDER_LIST,
         "Mock.fail is 'rum'; it takes one of: none, absent, dlerror", NULL);
  expect(probe("run:0", &arena, &found), KAPELL_BAD_PROVIDER_LIST,
         "after the colon it takes a number from 1", NULL);
  expect(probe("unused:1", &arena, &found), KAPELL_BAD_PROVIDER_LIST, "this kind takes no number",
         NULL);
  kp_arena_free(&arena);
}

// --- failures of an instance --------------------------------------------------------------------------------------------------------
static kp_status* open_and_compile(kp_rig* rig, const char* options, const char* text) {
  KP_PASS(kp_rig_open(rig, &kp_mock_type, options, text));
  KP_PASS(kp_rig_claim(rig, NULL));
  if (!kp_rig_claimed_all(rig)) return KP_ERROR(UNSUPPORTED, "%s", rig->claims.refusals[0].words);
  return kp_rig_compile(rig, NULL);
}

static void expect_open_error(const char* options, const char* text, kapell_code code,
                              const char* message, const char* hint) {
  kp_rig rig;
  expect(open_and_compile(&rig, options, text), code, message, hint);
  kp_rig_close(&rig);
}

static void test_failures_before_a_run(void** state) {
  (void)state;
  expect_open_error(
      "fail=create", CHAIN, KAPELL_PROVIDER_FAILED,
      "Mock: mockCreateContext failed: the device is held by another process (code 16)",
      "Mock.device_id");
  expect_open_error("fail=capability", CHAIN, KAPELL_PROVIDER_FAILED,
                    "Mock: mockQueryOps failed: the device was lost (code 35)", NULL);
  expect_open_error("fail=compile", CHAIN, KAPELL_PROVIDER_FAILED, "no tactic for layer 'a'", NULL);
  expect_open_error("fail=unused", CHAIN, KAPELL_UNSUPPORTED,
                    "its engine has no kernels for the device's generation 3", NULL);
  expect_open_error(
      "memory=4096", "in x float[2000] init w float[2000] = fill 1 y = Add(x, w) out y float[2000]",
      KAPELL_OUT_OF_MEMORY, "Mock:0 has no room for the 8000 bytes of constant 'w'", "Mock.memory");
}

typedef struct session {
  kp_rig rig;
  kp_rig_run run;
  kapell_value* x;
} session;

static void open_session(session* s, const char* options) {
  *s = (session){.x = kp_test_value("float[3] 1 2 3")};
  s->run.inputs = &s->x;
  must(open_and_compile(&s->rig, options, CHAIN));
}
static void close_session(session* s) {
  kp_value_release(s->x);
  kp_rig_run_free(&s->run);
  kp_rig_close(&s->rig);
}
static float first_output(const session* s) { return ((const float*)s->run.outputs[0]->data)[0]; }

static void test_fails_at_the_nth_run(void** state) {
  (void)state;
  session s;
  open_session(&s, "fail=run:2");
  must(kp_rig_run_once(&s.rig, &s.run));
  expect(kp_rig_run_once(&s.rig, &s.run), KAPELL_PROVIDER_FAILED,
         "Mock: launching partition 0 failed: an illegal memory access was encountered (code 700)",
         NULL);
  must(kp_rig_run_once(&s.rig, &s.run));
  close_session(&s);
}

static void test_wrong_numbers(void** state) {
  (void)state;
  session s;
  open_session(&s, "fail=wrong:2");
  must(kp_rig_run_once(&s.rig, &s.run));
  assert_true(first_output(&s) == -1);
  must(kp_rig_run_once(&s.rig, &s.run));
  assert_true(first_output(&s) != -1);
  close_session(&s);
}

static void test_failing_copy_and_shapes(void** state) {
  (void)state;
  session s;
  open_session(&s, "fail=copy");
  expect(kp_rig_run_once(&s.rig, &s.run), KAPELL_PROVIDER_FAILED,
         "Mock:0: a copy of 12 bytes failed", NULL);
  close_session(&s);
  open_session(&s, "fail=specialise:2");
  must(kp_rig_run_once(&s.rig, &s.run));
  expect(kp_rig_run_once(&s.rig, &s.run), KAPELL_PROVIDER_FAILED,
         "a dimension is outside the optimisation profile", NULL);
  close_session(&s);
}

// --- time ---------------------------------------------------------------------------------------------------------------------------
static int cancel_flag;

static void* cancel_later(void* user) {
  (void)user;
  const struct timespec nap = {0, 20000000};
  nanosleep(&nap, NULL);
  __atomic_store_n(&cancel_flag, 1, __ATOMIC_RELAXED);
  return NULL;
}

static void expect_hang_ends(const char* options) {
  session s;
  pthread_t thread;
  open_session(&s, options);
  cancel_flag = 0;
  s.run.cancel = &cancel_flag;
  uint64_t start = kp_clock_ns();
  assert_int_equal(pthread_create(&thread, NULL, cancel_later, NULL), 0);
  expect(kp_rig_run_once(&s.rig, &s.run), KAPELL_CANCELLED, "", NULL);
  pthread_join(thread, NULL);
  assert_true(kp_clock_ns() - start < UINT64_C(5000000000));
  s.run.cancel = NULL;
  start = kp_clock_ns();
  s.run.deadline_ns = start + 30000000;
  kp_status* status = kp_rig_run_once(&s.rig, &s.run);
  if (strstr(options, "hang:1"))
    must(status);
  else
    expect(status, KAPELL_TIMEOUT, "", NULL);
  assert_true(kp_clock_ns() - start < UINT64_C(5000000000));
  close_session(&s);
}

static void test_hangs(void** state) {
  (void)state;
  expect_hang_ends("fail=hang");
  expect_hang_ends("fail=hang streams=1");
  expect_hang_ends("fail=hang:1");
}

static void test_slow(void** state) {
  (void)state;
  session s;
  open_session(&s, "fail=slow:30");
  const uint64_t start = kp_clock_ns();
  must(kp_rig_run_once(&s.rig, &s.run));
  assert_true(kp_clock_ns() - start >= 30000000);
  close_session(&s);
}

static void test_streams_need_fences(void** state) {
  (void)state;
  session s;
  open_session(&s, "streams=1 delay_us=50000");
  s.run.skip_wait = true;
  must(kp_rig_run_once(&s.rig, &s.run));
  assert_true(isnan(first_output(&s)));
  s.run.skip_wait = false;
  must(kp_rig_run_once(&s.rig, &s.run));
  assert_true(first_output(&s) == -1);
  close_session(&s);
  open_session(&s, "streams=1 fail=run");  // an error of enqueued work comes with the wait
  expect(kp_rig_run_once(&s.rig, &s.run), KAPELL_PROVIDER_FAILED, "code 700", NULL);
  close_session(&s);
}

static void test_virtual_clock(void** state) {
  (void)state;
  session s;
  open_session(&s, "launch_ns=1000 ns_per_flop=10 copy_ns=100 ns_per_byte=1");
  const uint64_t before = kp_mock_get_totals().virtual_ns;
  must(kp_rig_run_once(&s.rig, &s.run));
  // 12 bytes in and out; three nodes of three elements each
  assert_int_equal(kp_mock_get_totals().virtual_ns - before, 2 * (100 + 12) + 1000 + 9 * 10);
  kp_strbuf text = {0};
  kp_mock_type.describe(s.rig.compiled, &text);
  assert_non_null(strstr(text.data,
                         "\"runs\":1,\"flops\":9,\"device\":\"Mock:0\",\"copies_in\":1,\"copies_"
                         "out\":1,\"bytes_in\":12"));
  kp_strbuf_free(&text);
  close_session(&s);
}

// --- claims ---------------------------------------------------------------------------------------------------------------------------
static void open_claims(kp_rig* rig, const char* options, const char* text) {
  must(kp_rig_open(rig, &kp_mock_type, options, text));
  must(kp_rig_claim(rig, NULL));
}
static bool claimed(const kp_rig* rig, kp_node_id id) {
  return rig->claims.claim_of[id] != KP_NONE;
}

static void test_lists_of_operators(void** state) {
  (void)state;
  kp_rig rig;
  open_claims(&rig, "ops=neg", CHAIN);
  assert_true(claimed(&rig, 0) && !claimed(&rig, 1) && claimed(&rig, 2));
  assert_int_equal(rig.claims.claim_count, 1);
  assert_false(rig.claims.claims[0].atomic);
  assert_string_equal(rig.claims.refusals[rig.claims.refusal_of[1]].words,
                      "Abs is not in its list of operators (ops=neg)");
  kp_rig_close(&rig);
  open_claims(&rig, "ops=all,-Abs", CHAIN);
  assert_true(claimed(&rig, 0) && !claimed(&rig, 1) && claimed(&rig, 2));
  kp_rig_close(&rig);
  open_claims(&rig, "ops=alternate", CHAIN);
  assert_true(claimed(&rig, 0) && !claimed(&rig, 1) && claimed(&rig, 2));
  kp_rig_close(&rig);
  open_claims(&rig, "ops=none", CHAIN);
  assert_int_equal(rig.claims.claim_count, 0);
  kp_rig_close(&rig);
}

static void test_types_that_cannot_leave_the_host(void** state) {
  (void)state;
  kp_rig rig;
  open_claims(&rig, "",
              "in x float[2] in s string[2] in i int64[1] q = SequenceConstruct(x, x) e = "
              "Gather(s, i) out q seq(float[2]) out e string[1]");
  assert_string_equal(rig.claims.refusals[rig.claims.refusal_of[0]].words,
                      "output 'q' is a sequence(float32[2]); Mock's memory holds dense tensors of "
                      "fixed width alone");
  assert_string_equal(
      rig.claims.refusals[rig.claims.refusal_of[1]].words,
      "input 's' is a string[2]; Mock's memory holds dense tensors of fixed width alone");
  kp_rig_close(&rig);
}

// a and c are connected, but the way through b (not claimed) makes one group of them impossible; a and d may go together.
static void test_atomic_groups_are_convex(void** state) {
  (void)state;
  kp_rig rig;
  open_claims(
      &rig, "atomic=1 ops=all,-Abs",
      "in x float[2] a = Neg(x) b = Abs(a) d = Neg(a) c = Add(a, b) out c float[2] out d float[2]");
  assert_int_equal(rig.claims.claim_count, 2);
  assert_true(rig.claims.claims[0].atomic && rig.claims.claims[1].atomic);
  assert_int_equal(rig.claims.claim_of[0], rig.claims.claim_of[2]);  // a, d
  assert_int_not_equal(rig.claims.claim_of[0], rig.claims.claim_of[3]);
  kp_rig_close(&rig);
}

static void test_control_flow(void** state) {
  (void)state;
  static const char text[] =
      "in c bool[] in x float[2] y = If(c) then_branch={ a = Neg(x) out a float[2] } else_branch={ "
      "b = Abs(x) out b float[2] } out y float[2]";
  kp_rig rig;
  open_claims(&rig, "", text);
  assert_false(rig.provider->flags & KP_PROVIDER_CONTROL);
  assert_int_equal(rig.claims.claim_count, 0);  // it was not asked
  kp_rig_close(&rig);
  open_claims(&rig, "control=1 ops=all,-Abs", text);
  assert_string_equal(
      rig.claims.refusals[0].words,
      "its body else_branch has Abs 'b': Abs is not in its list of operators (ops=all,-Abs)");
  kp_rig_close(&rig);
  open_claims(&rig, "control=1", text);
  assert_true(kp_rig_claimed_all(&rig));
  assert_true(rig.provider->flags & KP_PROVIDER_CONTROL);
  kp_rig_close(&rig);
}

static int nothing_left(void** state) {
  (void)state;
  const kp_mock_totals totals = kp_mock_get_totals();
  return totals.live_allocations || totals.live_bytes || totals.live_devices || totals.live_streams
             ? -1
             : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_probe),
      cmocka_unit_test(test_failures_before_a_run),
      cmocka_unit_test(test_fails_at_the_nth_run),
      cmocka_unit_test(test_wrong_numbers),
      cmocka_unit_test(test_failing_copy_and_shapes),
      cmocka_unit_test(test_hangs),
      cmocka_unit_test(test_slow),
      cmocka_unit_test(test_streams_need_fences),
      cmocka_unit_test(test_virtual_clock),
      cmocka_unit_test(test_lists_of_operators),
      cmocka_unit_test(test_types_that_cannot_leave_the_host),
      cmocka_unit_test(test_atomic_groups_are_convex),
      cmocka_unit_test(test_control_flow),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_left);
}
