// Sixteen threads run one session with shapes of their own while others open and close sessions on the same file: every result is
// the one that a lone thread gets.
#include <pthread.h>

#include "e2e/e2e.h"

enum { RUNNERS = 16, OPENERS = 2, SHAPES = 5 };

static const int kRuns = KP_SLOWED ? 12 : 100;

typedef struct shared {
  kapell_session* session;
  kapell_value* inputs[SHAPES];
  kapell_value* expected[SHAPES];
  volatile int stop;
  int failures;
} shared;

static const char kModel[] =
    "in x float[N,24]\n init w float[24,40] = random 1\n init b float[40] = random 2\n init two "
    "float[] = 0.5\n init n int64[] = 3\n"
    "init go bool[] = 1\n init shape int64[4] = 0 1 5 8\n init f float[4,1,3,3] = random 3\n"
    "h = MatMul(x, w)\n hb = Add(h, b)\n r = Relu(hb)\n im = Reshape(r, shape)\n c = Conv(im, f) "
    "pads=[1,1,1,1]\n g = GlobalAveragePool(c)\n"
    "m = Flatten(g)\n"
    "last = Loop(n, go, m) body={\n"
    "  in i int64[]\n in co0 bool[]\n in v float[N,4]\n co = Identity(co0)\n vo = Mul(v, two)\n "
    "out co bool[]\n out vo float[N,4]\n}\n"
    "y = Softmax(last) axis=-1\n out y float[N,4]\n";

static bool same(const kapell_value* a, const kapell_value* b) {
  const size_t size = kapell_tensor_byte_count(a);
  return size == kapell_tensor_byte_count(b) &&
         memcmp(kapell_tensor_const_data(a), kapell_tensor_const_data(b), size) == 0;
}

static void count_failure(shared* s, kapell_status* status) {
  if (status) fprintf(stderr, "%s\n", kapell_status_text(status));
  kapell_status_free(status);
  __atomic_fetch_add(&s->failures, 1, __ATOMIC_RELAXED);
}

static void* run_many(void* argument) {
  shared* s = argument;
  static int started;
  const int first = __atomic_fetch_add(&started, 1, __ATOMIC_RELAXED);
  kapell_value* kept[SHAPES] = {0};  // bound in every run but the first
  for (int i = 0; i < kRuns; ++i) {
    const int at = (first + i) % SHAPES;
    kapell_value* made = NULL;
    kapell_value** output = i % 2 ? &made : &kept[at];
    kapell_status* status = e2e_run(s->session, &s->inputs[at], output);
    if (status || !same(*output, s->expected[at])) count_failure(s, status);
    kapell_value_release(made);
  }
  for (int i = 0; i < SHAPES; ++i) kapell_value_release(kept[i]);
  return NULL;
}

static void* open_many(void* argument) {
  shared* s = argument;
  kapell_value* image = kp_test_value("float[2,1,8,8] random 1");
  do {
    kapell_session* session = NULL;
    kapell_value* output = NULL;
    kapell_status* status = kapell_session_open_file(E2E_DIGITS, NULL, &session);
    if (!status) status = e2e_run(session, &image, &output);
    if (status) count_failure(s, status);
    kapell_value_release(output);
    kapell_session_close(session);
  } while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED));
  kapell_value_release(image);
  return NULL;
}

static void one_session_many_threads(void** state) {
  (void)state;
  shared s = {0};
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.threads = 2;
  options.signature_cache = 3;  // fewer than shapes: entries are replaced while others run
  s.session = e2e_open(kModel, &options);
  for (int i = 0; i < SHAPES; ++i) {
    char text[64];
    snprintf(text, sizeof(text), "float[%d,24] random %d", i * i + 1, i);
    s.inputs[i] = kp_test_value(text);
    e2e_ok(e2e_run(s.session, &s.inputs[i], &s.expected[i]));
  }
  pthread_t runners[RUNNERS], openers[OPENERS];
  for (int i = 0; i < OPENERS; ++i)
    assert_int_equal(pthread_create(&openers[i], NULL, open_many, &s), 0);
  for (int i = 0; i < RUNNERS; ++i)
    assert_int_equal(pthread_create(&runners[i], NULL, run_many, &s), 0);
  for (int i = 0; i < RUNNERS; ++i) pthread_join(runners[i], NULL);
  __atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < OPENERS; ++i) pthread_join(openers[i], NULL);
  assert_int_equal(s.failures, 0);
  kapell_counters counters = {.struct_size = sizeof(counters)};
  kapell_session_counters(s.session, &counters);
  assert_int_equal(counters.runs, SHAPES + RUNNERS * kRuns);
  assert_int_equal(counters.failed_runs, 0);
  for (int i = 0; i < SHAPES; ++i) {
    kapell_value_release(s.inputs[i]);
    kapell_value_release(s.expected[i]);
  }
  kapell_session_close(s.session);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(one_session_many_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
