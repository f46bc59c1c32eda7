// Random numbers: Philox's known answers, moments and frequencies under fixed seeds, and which runs and nodes share a stream.
#include "provider/cpu/op/random/random.h"

#include "provider/cpu/op/op_test.h"

static void test_known_answers(void** state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], wanted[4];
  } cases[] = {
      // Random123's kat_vectors, philox4x32 10
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    uint32_t out[4];
    kp_philox(cases[i].key, cases[i].counter, out);
    assert_memory_equal(out, cases[i].wanted, sizeof out);
  }
}

// Runs |model| |runs| times in a new session; its first output of the last run.
static kapell_value* draw(const char* model, const char* input, int runs, int width) {
  kp_rig rig;
  kapell_value* inputs[2] = {input ? kp_test_value(input) : NULL, NULL};
  assert_null(kp_rig_open(&rig, &kp_provider_cpu, "", model));
  assert_null(kp_rig_claim(&rig, NULL));
  assert_true(kp_rig_claimed_all(&rig));
  assert_null(kp_rig_compile(&rig, NULL));
  kp_rig_run run = {.inputs = inputs, .width = width};
  for (int i = 0; i < runs; ++i) assert_null(kp_rig_run_once(&rig, &run));
  kapell_value* result;
  assert_null(kp_value_clone(run.outputs[0], &result));
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  kp_value_release(inputs[0]);
  return result;
}

static bool same(const char* a, int a_runs, int a_width, const char* b, int b_runs, int b_width) {
  kapell_value *x = draw(a, NULL, a_runs, a_width), *y = draw(b, NULL, b_runs, b_width);
  const bool equal = kp_value_equal(x, y);
  kp_value_release(x);
  kp_value_release(y);
  return equal;
}

static void test_streams(void** state) {
  (void)state;
  static const char* const seeded = "y = RandomNormal() shape=[999] seed=5.0 out y float[999]";
  static const char* const other = "y = RandomNormal() shape=[999] seed=6.0 out y float[999]";
  static const char* const unseeded = "y = RandomUniform() shape=[99] out y float[99]";
  assert_true(same(seeded, 1, 1, seeded, 1, 2));
  assert_true(same(seeded, 3, 2, seeded, 3, 1));
  assert_false(same(seeded, 1, 1, seeded, 2, 1));
  assert_false(same(seeded, 1, 1, other, 1, 1));
  assert_false(same(unseeded, 1, 1, unseeded, 1, 1));
  kapell_value* two = draw(
      "a = RandomUniform() shape=[99] b = RandomUniform() shape=[99] y = Sub(a, b) out y float[99]",
      NULL, 1, 1);
  size_t zeros = 0;
  for (size_t i = 0; i < 99; ++i) zeros += ((const float*)two->data)[i] == 0;
  assert_true(zeros < 3);
  kp_value_release(two);
}

typedef struct moments {
  double mean, variance, skew, tails, least,
      most;  // tails: the fourth moment over the variance squared
} moments;

static moments moments_of(const kapell_value* y) {
  const size_t count = kp_value_count(y);
  moments m = {.least = INFINITY, .most = -INFINITY};
  for (size_t i = 0; i < count; ++i) {
    const double x = kp_op_test_number(y, i);
    m.mean += x / (double)count;
    m.least = fmin(m.least, x);
    m.most = fmax(m.most, x);
  }
  for (size_t i = 0; i < count; ++i) {
    const double d = kp_op_test_number(y, i) - m.mean;
    m.variance += d * d / (double)count;
    m.skew += d * d * d / (double)count;
    m.tails += d * d * d * d / (double)count;
  }
  m.skew /= pow(m.variance, 1.5);
  m.tails /= m.variance * m.variance;
  return m;
}

// Bounds are five standard errors at 200,000 draws.
static void test_moments(void** state) {
  (void)state;
  static const struct {
    const char* model;
    double mean, deviation, tails;
    bool uniform;
  } cases[] = {
      {"y = RandomNormal() shape=[200000] seed=1.0 mean=3.0 scale=2.0 out y float[200000]", 3, 2, 3,
       false},
      {"y = RandomNormal() shape=[200000] seed=2.0 dtype=11 out y double[200000]", 0, 1, 3, false},
      {"y = RandomUniform() shape=[200000] seed=3.0 low=-1.0 high=5.0 out y float[200000]", 2,
       1.7320508, 1.8, true},
      {"y = RandomUniform() shape=[200000] seed=4.0 dtype=11 out y double[200000]", 0.5, 0.28867513,
       1.8, true},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    kapell_value* y = draw(cases[i].model, NULL, 1, 2);
    const moments m = moments_of(y);
    const double d = cases[i].deviation, error = 5 / sqrt(200000);
    assert_true(fabs(m.mean - cases[i].mean) < error * d);
    assert_true(fabs(m.variance / (d * d) - 1) < error * 1.5);
    assert_true(fabs(m.skew) < error * 2.5);
    assert_true(fabs(m.tails - cases[i].tails) < error * 5);
    if (cases[i].uniform) {
      const double reach = d * sqrt(3);
      assert_true(m.least >= cases[i].mean - reach - 1e-6 && m.most < cases[i].mean + reach + 1e-6);
    }
    kp_value_release(y);
  }
}

// Chi-square of |counts| against |chances|; |limit| is the 99.99 % point.
static void check_frequencies(const size_t* counts, const double* chances, size_t classes,
                              double limit) {
  double total = 0, chi = 0;
  for (size_t c = 0; c < classes; ++c) total += (double)counts[c];
  for (size_t c = 0; c < classes; ++c) {
    const double wanted = chances[c] * total;
    if (wanted == 0)
      assert_int_equal(counts[c], 0);
    else
      chi += ((double)counts[c] - wanted) * ((double)counts[c] - wanted) / wanted;
  }
  assert_true(chi < limit);
}

static void test_frequencies(void** state) {
  (void)state;
  kapell_value* y =
      draw("y = RandomUniform() shape=[100000] seed=9.0 out y float[100000]", NULL, 1, 2);
  size_t cells[16] = {0};
  double even[16];
  for (size_t i = 0; i < 16; ++i) even[i] = 1.0 / 16;
  for (size_t i = 0; i < 100000; ++i) ++cells[(size_t)(((const float*)y->data)[i] * 16)];
  check_frequencies(cells, even, 16, 44.3);
  kp_value_release(y);

  y = draw("in x float[1,4] y = Multinomial(x) sample_size=100000 seed=1.0 out y int32[1,100000]",
           "float[1,4] 0.69314718 1.3862944 -1e30 0", 1, 2);
  size_t drawn[4] = {0};
  static const double chances[4] = {2.0 / 7, 4.0 / 7, 0, 1.0 / 7};
  for (size_t i = 0; i < 100000; ++i) ++drawn[((const int32_t*)y->data)[i]];
  check_frequencies(drawn, chances, 4, 18.5);
  kp_value_release(y);

  y = draw("in x float[100000] y = Bernoulli(x) seed=1.0 dtype=6 out y int32[100000]",
           "float[100000] fill 0.3", 1, 2);
  size_t tossed[2] = {0};
  static const double toss[2] = {0.7, 0.3};
  for (size_t i = 0; i < 100000; ++i) ++tossed[((const int32_t*)y->data)[i]];
  check_frequencies(tossed, toss, 2, 15.2);
  kp_value_release(y);
}

static void test_errors(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {.model = "in x float[1,2] y = Multinomial(x) out y int32[1,1]",
       .inputs = {"float[1,2] nan 1"},
       .error = "no finite log-probabilities"},
      {.model = "in x float[1,0] y = Multinomial(x) out y int32[1,1]",
       .inputs = {"float[1,0]"},
       .error = "no classes"},
  };
  KP_OP_TEST_ALL(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_answers), cmocka_unit_test(test_streams),
      cmocka_unit_test(test_moments),       cmocka_unit_test(test_frequencies),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
