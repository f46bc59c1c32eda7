// Recurrent layers by hand: packed weights beside weights of the run, threads, and what is refused. Numbers are compared with an oracle
// by generated draws (test/py/draws/recurrent.py), whose weights are never constants.
#include <stdio.h>

#include "base/size.h"
#include "provider/cpu/op/op_test.h"

// Runs |model| with |inputs|; results of the run.
static void run_model(const char* model, const char* const* inputs, int width,
                      kapell_value** results, size_t count) {
  kp_rig rig;
  kapell_value* values[8] = {NULL};
  for (size_t i = 0; inputs[i]; ++i) values[i] = kp_test_value(inputs[i]);
  assert_null(kp_rig_open(&rig, &kp_provider_cpu, "", model));
  assert_null(kp_rig_claim(&rig, NULL));
  assert_true(kp_rig_claimed_all(&rig));
  assert_null(kp_rig_compile(&rig, NULL));
  kp_rig_run run = {.inputs = values, .width = width};
  for (int again = 0; again < 2; ++again) assert_null(kp_rig_run_once(&rig, &run));
  for (size_t o = 0; o < count; ++o) assert_null(kp_value_clone(run.outputs[o], &results[o]));
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  for (size_t i = 0; i < 8; ++i) kp_value_release(values[i]);
}

static void compare(kapell_value* const* a, kapell_value* const* b, size_t count) {
  for (size_t o = 0; o < count; ++o) {
    assert_int_equal(kp_value_count(a[o]), kp_value_count(b[o]));
    for (size_t i = 0; i < kp_value_count(a[o]); ++i) {
      const double x = kp_op_test_number(a[o], i), y = kp_op_test_number(b[o], i);
      if (!(fabs(x - y) <= 1e-5)) fail_msg("output %zu, element %zu: %g, not %g", o, i, x, y);
    }
  }
}

#define X "float[12,9,20] random 1"
#define LENGTHS "int32[9] 12 3 0 7 12 1 5 11 12"
#define LAYER(op, outputs, more) \
  outputs " = " op "(x, w, r, b, l) hidden_size=64 direction=\"bidirectional\" " more

typedef struct layer {
  const char *node, *gates, *twice, *outs;
  size_t outputs;
} layer;

// Threads cut the batch, one direction's weights are packed once or in each run: the numbers are the same.
static void test_packed_weights(void** state) {
  (void)state;
  static const layer layers[] = {
      {LAYER("RNN", "y, h", ""), "64", "128", "out y float out h float", 2},
      {LAYER("GRU", "y, h", ""), "192", "384", "out y float out h float", 2},
      {LAYER("GRU", "y, h", "linear_before_reset=1"), "192", "384", "out y float out h float", 2},
      {LAYER("LSTM", "y, h, c", "clip=0.9"), "256", "512", "out y float out h float out c float",
       3},
  };
  for (size_t i = 0; i < KP_COUNT_OF(layers); ++i) {
    const layer* l = &layers[i];
    char packed[1024], given[1024], w[64], r[64], b[64];
    snprintf(w, sizeof w, "float[2,%s,20] random 2", l->gates);
    snprintf(r, sizeof r, "float[2,%s,64] random 3", l->gates);
    snprintf(b, sizeof b, "float[2,%s] random 4", l->twice);
    snprintf(packed, sizeof packed,
             "in x float[12,9,20] in l int32[9] init w float[2,%s,20] = random 2 "
             "init r float[2,%s,64] = random 3 init b float[2,%s] = random 4 %s %s",
             l->gates, l->gates, l->twice, l->node, l->outs);
    snprintf(given, sizeof given,
             "in x float[12,9,20] in l int32[9] in w float[2,%s,20] in r float[2,%s,64] "
             "in b float[2,%s] %s %s",
             l->gates, l->gates, l->twice, l->node, l->outs);
    const char* const few[] = {X, LENGTHS, NULL};
    const char* const all[] = {X, LENGTHS, w, r, b, NULL};
    kapell_value *one[3], *two[3], *three[3];
    run_model(packed, few, 1, one, l->outputs);
    run_model(packed, few, 2, two, l->outputs);
    run_model(given, all, 2, three, l->outputs);
    compare(one, two, l->outputs);
    compare(one, three, l->outputs);
    for (size_t o = 0; o < l->outputs; ++o) {
      kp_value_release(one[o]);
      kp_value_release(two[o]);
      kp_value_release(three[o]);
    }
  }
}

static void test_lengths(void** state) {
  (void)state;
#define RNN                                                                               \
  "in x float[3,2,1] in l int32[2] init w float[1,1,1] = 1 init r float[1,1,1] = 1 y, h " \
  "= RNN(x, w, r,, l) hidden_size=1 activations=[\"Affine\"] out y float out h float"
  static const kp_op_case cases[] = {
      {.model = RNN,
       .inputs = {"float[3,2,1] 1 10 2 20 3 30", "int32[2] 2 0"},
       .outputs = {"float[3,1,2,1] 1 0 3 0 0 0", "float[1,2,1] 3 0"}},
      {.model = RNN,
       .inputs = {"float[3,2,1] fill 1", "int32[2] 4 0"},
       .error = "sequence_lens: 4 at 0"},
      {.model = RNN,
       .inputs = {"float[3,2,1] fill 1", "int32[2] 0 -1"},
       .error = "sequence_lens: -1 at 1"},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_refusals(void** state) {
  (void)state;
  static const struct {
    const char *model, *words;
  } cases[] = {
      {"in x float[1,1,1] in w float[1,1,1] in r float[1,1,1] y = RNN(x, w, r) hidden_size=1 "
       "activations=[\"Gelu\"] out y float",
       "activation 'Gelu'; known are Affine"},
      {"in x float[1,1,1] in w float[1,4,1] in r float[1,4,1] y = LSTM(x, w, r) hidden_size=1 "
       "activations=[\"Tanh\"] out y float",
       "1 activations; 3 for each direction are needed"},
      {"in x float[1,1,1] in w float[1,4,1] in r float[1,4,1] in b float[1,7] y = LSTM(x, w, r, b) "
       "hidden_size=1 out y float",
       "gate"},
  };
  for (size_t i = 0; i < KP_COUNT_OF(cases); ++i) {
    kp_rig rig;
    kp_status* status = kp_rig_open(&rig, &kp_provider_cpu, "", cases[i].model);
    if (!status) status = kp_rig_claim(&rig, NULL);
    if (!status) status = kp_rig_compile(&rig, NULL);
    assert_non_null(status);
    if (!strstr(kp_status_text(status), cases[i].words))
      fail_msg("'%s' does not say '%s'", kp_status_text(status), cases[i].words);
    kp_status_free(status);
    kp_rig_close(&rig);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_packed_weights),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
