// What sessions share through kapell.h: packed weights of every kind of layer, held once and with equal results; and threads of the
// program's own, made and joined by it alone.
#include <pthread.h>

#include "e2e/e2e.h"

// Products of floats and bytes, convolutions of both, recurrent layers: each family that packs its weights.
static const char kModel[] =
    "in x float[N,64]\n init w float[64,64] = random 1\n init b float[64] = random 2\n"
    "p = MatMul(x, w)\n pb = Add(p, b)\n r = Relu(pb)\n"
    "init s int64[4] = 0 4 4 4\n im = Reshape(r, s)\n init f float[8,4,3,3] = random 3\n"
    "c = Conv(im, f) pads=[1,1,1,1]\n init t float[8,4,2,2] = random 4\n"
    "d = ConvTranspose(c, t) strides=[2,2]\n g = GlobalAveragePool(d)\n fl = Flatten(g)\n"
    "init s3 int64[3] = 2 -1 2\n seq = Reshape(fl, s3)\n init lw float[1,32,2] = random 5\n"
    "init lr float[1,32,8] = random 6\n l = LSTM(seq, lw, lr) hidden_size=8\n"
    "xq, xs, xz = DynamicQuantizeLinear(r)\n init q int8[64,48] = random 7\n mi = "
    "MatMulInteger(xq, "
    "q, xz)\n"
    "imq = Reshape(xq, s)\n init qf int8[8,4,3,3] = random 8\n ci = ConvInteger(imq, qf, xz) "
    "pads=[1,1,1,1]\n"
    "out l float[2,1,M,8]\n out mi int32[N,48]\n out ci int32[N,8,4,4]\n";

enum { kRows = 4, kOutputs = 3, kOpeners = 4 };

static kapell_value* make_input(void) {
  const int64_t dims[2] = {kRows, 64};
  kapell_value* x;
  e2e_ok(kapell_tensor_create(KAPELL_FLOAT, dims, 2, &x));
  float* data = kapell_tensor_data(x);
  for (int i = 0; i < kRows * 64; ++i) data[i] = (float)(i % 23 - 11) / 8;
  return x;
}

static void run_all(kapell_session* session, kapell_value** outputs) {
  kapell_value* x = make_input();
  e2e_ok(e2e_run(session, &x, outputs));
  kapell_value_release(x);
}

static void expect_equal(kapell_value* const* a, kapell_value* const* b) {
  for (int i = 0; i < kOutputs; ++i) {
    assert_int_equal(kapell_tensor_byte_count(a[i]), kapell_tensor_byte_count(b[i]));
    assert_memory_equal(kapell_tensor_const_data(a[i]), kapell_tensor_const_data(b[i]),
                        kapell_tensor_byte_count(a[i]));
  }
}

static void release_all(kapell_value** outputs) {
  for (int i = 0; i < kOutputs; ++i) kapell_value_release(outputs[i]);
}

static void expect_as(kapell_session* session, kapell_value* const* want) {
  kapell_value* got[kOutputs] = {0};
  run_all(session, got);
  expect_equal(got, want);
  release_all(got);
}

static void test_weights_are_held_once(void** state) {
  (void)state;
  kapell_options options = KAPELL_OPTIONS_INIT;
  kapell_value* want[kOutputs] = {0};
  uint64_t held, saved, more;
  kapell_session* plain = e2e_open(kModel, &options);
  run_all(plain, want);
  e2e_ok(kapell_shared_weights_create(&options.shared_weights));
  kapell_session* first = e2e_open(kModel, &options);
  kapell_shared_weights_bytes(options.shared_weights, &held, &saved);
  // Eight weights, the least of them 8 KiB packed but for the filters.
  assert_true(held > 64 * 64 * 4 + 64 * 48 + 32 * 10 * 4);
  assert_int_equal(saved, 0);
  kapell_session* second = e2e_open(kModel, &options);
  kapell_shared_weights_bytes(options.shared_weights, &more, &saved);
  assert_int_equal(more, held);
  assert_int_equal(saved, held);
  expect_as(first, want);
  expect_as(second, want);
  kapell_session_close(first);
  expect_as(second, want);
  kapell_shared_weights_bytes(options.shared_weights, &more, &saved);
  assert_int_equal(more, held);
  assert_int_equal(saved, 0);
  kapell_session_close(second);
  kapell_shared_weights_bytes(options.shared_weights, &more, NULL);
  assert_int_equal(more, 0);
  second = e2e_open(kModel, &options);
  kapell_shared_weights_release(options.shared_weights);
  expect_as(second, want);
  kapell_session_close(second);
  kapell_session_close(plain);
  release_all(want);
}

static void* open_and_close(void* arg) {
  const kapell_options* options = arg;
  for (int i = 0; i < (KP_SLOWED ? 3 : 10); ++i) {
    kapell_session* session = e2e_open(kModel, options);
    kapell_value* got[kOutputs] = {0};
    run_all(session, got);
    release_all(got);
    kapell_session_close(session);
  }
  return NULL;
}

static void test_sessions_come_and_go_at_once(void** state) {
  (void)state;
  kapell_options options = KAPELL_OPTIONS_INIT;
  pthread_t threads[kOpeners];
  uint64_t held;
  options.threads = 2;
  e2e_ok(kapell_shared_weights_create(&options.shared_weights));
  for (int i = 0; i < kOpeners; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &options), 0);
  for (int i = 0; i < kOpeners; ++i) pthread_join(threads[i], NULL);
  kapell_shared_weights_bytes(options.shared_weights, &held, NULL);
  assert_int_equal(held, 0);
  kapell_shared_weights_release(options.shared_weights);
}

// --- threads -------------------------------------------------------------------------------------------------------------
static int made, joined;

typedef struct made_thread {
  pthread_t thread;
  void (*work)(void* arg);
  void* arg;
} made_thread;

static void* thread_main(void* arg) {
  const made_thread* t = arg;
  t->work(t->arg);
  return NULL;
}

static void* make_thread(void* user, void (*work)(void* arg), void* arg) {
  made_thread* t = malloc(sizeof *t);
  assert_ptr_equal(user, &made);
  *t = (made_thread){.work = work, .arg = arg};
  ++made;
  assert_int_equal(pthread_create(&t->thread, NULL, thread_main, t), 0);
  return t;
}

static void join_thread(void* user, void* handle) {
  made_thread* t = handle;
  assert_ptr_equal(user, &made);
  pthread_join(t->thread, NULL);
  free(t);
  ++joined;
}

static void test_threads_of_the_program(void** state) {
  (void)state;
  kapell_pool_options pool = KAPELL_POOL_OPTIONS_INIT;
  kapell_options options = KAPELL_OPTIONS_INIT;
  kapell_value* want[kOutputs] = {0};
  kapell_session* plain = e2e_open(kModel, &options);
  run_all(plain, want);
  pool.threads = 3;
  pool.create = make_thread;
  pool.join = join_thread;
  pool.user = &made;
  e2e_ok(kapell_pool_create(&pool, &options.pool));
  assert_int_equal(made, 2);
  assert_int_equal(kapell_pool_threads(options.pool), 3);
  kapell_session* first = e2e_open(kModel, &options);
  kapell_session* second = e2e_open(kModel, &options);
  kapell_pool_release(options.pool);
  for (int i = 0; i < 5; ++i) expect_as(first, want);
  kapell_session_close(first);
  expect_as(second, want);
  assert_int_equal(joined, 0);
  kapell_session_close(second);
  assert_int_equal(made, 2);
  assert_int_equal(joined, 2);
  kapell_session_close(plain);
  release_all(want);
}

static void test_wrong_calls(void** state) {
  (void)state;
  kapell_pool_options options = {0};
  kapell_pool* pool;
  e2e_error(kapell_pool_create(&options, &pool), KAPELL_INVALID_ARGUMENT, "struct_size", NULL);
  options = (kapell_pool_options)KAPELL_POOL_OPTIONS_INIT;
  e2e_error(kapell_pool_create(&options, NULL), KAPELL_INVALID_ARGUMENT, "out_pool", NULL);
  options.threads = -1;
  e2e_error(kapell_pool_create(&options, &pool), KAPELL_INVALID_ARGUMENT, "-1", NULL);
  e2e_error(kapell_shared_weights_create(NULL), KAPELL_INVALID_ARGUMENT, "out_weights", NULL);
  e2e_ok(kapell_pool_create(NULL, &pool));
  kapell_pool_release(pool);
  kapell_pool_release(NULL);
  kapell_shared_weights_release(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weights_are_held_once),
      cmocka_unit_test(test_sessions_come_and_go_at_once),
      cmocka_unit_test(test_threads_of_the_program),
      cmocka_unit_test(test_wrong_calls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
