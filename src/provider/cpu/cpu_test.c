// The runtime of the CPU provider: what specialising leaves of a graph, where values lie, steps whose shapes only the run knows.
#include "provider/cpu/op/op_test.h"

#include "base/alloc.h"
#include "base/size.h"
#include "graph/infer.h"
#include "graph/schema.h"
#include "provider/cpu/cpu.h"

// Opens, claims, compiles |model| and runs it once on |input| (text; NULL: none).
typedef struct fixture {
  kp_rig rig;
  kp_rig_run run;
  kapell_value* inputs[3];
} fixture;

static kp_status* start(fixture* f, const char* model, const char* first, const char* second) {
  *f = (fixture){
      .inputs = {first ? kp_test_value(first) : NULL, second ? kp_test_value(second) : NULL}};
  kp_status* status = kp_rig_open(&f->rig, &kp_provider_cpu, "", model);
  if (!status) status = kp_rig_claim(&f->rig, NULL);
  if (!status) assert_true(kp_rig_claimed_all(&f->rig));
  if (!status) status = kp_rig_compile(&f->rig, NULL);
  f->run = (kp_rig_run){.inputs = f->inputs, .keep_special = true};
  if (!status) status = kp_rig_run_once(&f->rig, &f->run);
  return status;
}

static void stop(fixture* f) {
  kp_rig_run_free(&f->run);
  kp_rig_close(&f->rig);
  for (size_t i = 0; i < KP_COUNT_OF(f->inputs); ++i) kp_value_release(f->inputs[i]);
}

static const kp_cpu_special* special_of(const fixture* f) {
  return (const kp_cpu_special*)f->run.special;
}

static void test_shape_arithmetic_is_gone(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f,
                    "in x float[N,2,3] init zero int64[1] = 0 init minus int64[1] = -1 s = "
                    "Shape(x) n = Gather(s, zero) "
                    "t = Concat(n, minus) axis=0 r = Reshape(x, t) y = Neg(r) out y float[N,M]",
                    "float[1,2,3] 1 2 3 4 5 6", NULL));
  assert_int_equal(special_of(&f)->step_count, 1);  // Neg; the reshape is a view of the input
  kp_op_test_compare(f.run.outputs[0], "float[1,6] -1 -2 -3 -4 -5 -6");
  stop(&f);
}

static void test_known_outputs_are_told(void** state) {
  (void)state;
  fixture f;
  assert_null(
      start(&f, "in x float[N,2] s = Shape(x) out s int64[2]", "float[3,2] 1 2 3 4 5 6", NULL));
  assert_int_equal(special_of(&f)->step_count, 0);
  assert_non_null(special_of(&f)->base.outputs[0].data);
  kp_op_test_compare(f.run.outputs[0], "int64[2] 3 2");
  stop(&f);
}

static void test_contents_that_decide_shapes(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f,
                    "in x float[6] in d int64[1] init two int64[1] = 2 s = Concat(two, d) axis=0 y "
                    "= Reshape(x, s) out y float[K,L]",
                    "float[6] 1 2 3 4 5 6", "int64[1] -1"));
  const bool* wanted = f.rig.compiled->value_inputs;
  assert_non_null(wanted);
  const kp_cpu_compiled* compiled = (const kp_cpu_compiled*)f.rig.compiled;
  for (uint32_t i = 0; i < compiled->graph->input_count; ++i)
    assert_int_equal(wanted[i],
                     strcmp(compiled->graph->values[compiled->graph->inputs[i]].name, "d") == 0);
  kp_op_test_compare(f.run.outputs[0], "float[2,3] 1 2 3 4 5 6");
  stop(&f);
}

// A chain of elementwise nodes needs no room of its own: all of it lies in the output.
static void test_in_place(void** state) {
  (void)state;
  fixture f;
  assert_null(
      start(&f, "in x float[1000] a = Sin(x) b = Exp(a) c = Cos(b) y = Sqrt(c) out y float[1000]",
            "float[1000] fill 0", NULL));
  const kp_cpu_special* special = special_of(&f);
  assert_int_equal(special->step_count, 4);
  assert_true(special->base.scratch_bytes - special->block_offset < 1000);
  stop(&f);
}

// A value that is still needed is not written over, nor is an input.
static void test_not_in_place(void** state) {
  (void)state;
  fixture f;
  assert_null(start(
      &f,
      "in x float[2] a = Neg(x) b = Exp(a) c = Neg(a) y = Add(b, c) out y float[2] out a float[2]",
      "float[2] 0 0", NULL));
  kp_op_test_compare(f.run.outputs[0], "float[2] 1 1");
  kp_op_test_compare(f.run.outputs[1], "float[2] 0 0");
  kp_op_test_compare(f.inputs[0], "float[2] 0 0");
  stop(&f);
}

static void test_outputs_that_lie_elsewhere(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f,
                    "in x float[2] init s int64[2] = 2 1 a = Neg(x) r = Reshape(a, s) q = "
                    "Identity(a) out a float[2] out r float[2,1] out q float[2]",
                    "float[2] 1 2", NULL));
  kp_op_test_compare(f.run.outputs[0], "float[2] -1 -2");
  kp_op_test_compare(f.run.outputs[1], "float[2,1] -1 -2");
  kp_op_test_compare(f.run.outputs[2], "float[2] -1 -2");
  stop(&f);
}

static void test_late_steps(void** state) {
  (void)state;
  fixture f;
  assert_null(start(
      &f,
      "in x float[4] n = NonZero(x) t = Transpose(n) g = GatherND(x, t) y = Neg(g) out y float[K]",
      "float[4] 0 5 0 7", NULL));
  assert_int_equal(special_of(&f)->base.outputs[0].rank, -1);
  kp_op_test_compare(f.run.outputs[0], "float[2] -5 -7");
  stop(&f);
}

static void test_sixteen_bit_floats(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f,
                    "in x float[2,2] init w float[2,2] = 1 2 3 4 h = Cast(x) to=10 v = Cast(w) "
                    "to=10 m = MatMul(h, v) y = Cast(m) to=1 out y float[2,2]",
                    "float[2,2] 1 0 0 1", NULL));
  kp_op_test_compare(f.run.outputs[0], "float[2,2] 1 2 3 4");
  stop(&f);
}

static void test_packed_constants_are_let_go(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f,
                    "in x float[2,2] init w float[2,2] = 1 2 3 4 init b float[2] = 1 1 m = "
                    "MatMul(x, w) y = Add(m, b) out y float[2,2]",
                    "float[2,2] 1 0 0 1", NULL));
  const kp_cpu_compiled* compiled = (const kp_cpu_compiled*)f.rig.compiled;
  uint32_t without_data = 0;
  for (uint32_t i = 0; i < compiled->slot_count; ++i)
    without_data += compiled->slots[i].constant && !compiled->slots[i].constant->data;
  assert_int_equal(without_data, 1);
  kp_op_test_compare(f.run.outputs[0], "float[2,2] 2 3 4 5");
  stop(&f);
}

static void test_errors_name_the_node(void** state) {
  (void)state;
  fixture f;
  kp_status* status =
      start(&f, "in x float[2] in i int64[1] picked = Gather(x, i) out picked float[1]",
            "float[2] 1 2", "int64[1] 2");
  assert_int_equal(kp_status_code(status), KAPELL_RUN_FAILED);
  assert_string_equal(kp_status_node(status), "picked");
  assert_string_equal(kp_status_op(status), "Gather");
  kp_status_free(status);
  stop(&f);
}

// Bytes at an odd address are copied; results go back to where they belong.
static void test_odd_addresses(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f, "in x float[3] y = Neg(x) out y float[3]", "float[3] 1 2 3", NULL));
  char bytes[2][16] = {{0}, {0}};
  const float numbers[3] = {1, 2, 3};
  const int64_t dims[1] = {3};
  kapell_value *x, *y;
  memcpy(bytes[0] + 1, numbers, sizeof numbers);
  assert_null(
      kp_value_wrap_tensor(KAPELL_FLOAT, dims, 1, bytes[0] + 1, sizeof numbers, NULL, NULL, &x));
  assert_null(
      kp_value_wrap_tensor(KAPELL_FLOAT, dims, 1, bytes[1] + 3, sizeof numbers, NULL, NULL, &y));
  void* scratch = kp_alloc_aligned(f.run.special->scratch_bytes + 1, KP_ALIGNMENT);
  const kp_run_args args = {.inputs = &x, .outputs = &y, .scratch = scratch, .width = 1};
  assert_null(kp_provider_cpu.run(f.rig.compiled, f.run.special, &args));
  float got[3];
  memcpy(got, bytes[1] + 3, sizeof got);
  for (int i = 0; i < 3; ++i) assert_true(got[i] == -numbers[i]);
  kp_free(scratch);
  kp_value_release(x);
  kp_value_release(y);
  stop(&f);
}

static void test_cancel(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f, "in x float[2] y = Neg(x) out y float[2]", "float[2] 1 2", NULL));
  const int cancel = 1;
  f.run.cancel = &cancel;
  kp_status* status = kp_rig_run_once(&f.rig, &f.run);
  assert_int_equal(kp_status_code(status), KAPELL_CANCELLED);
  kp_status_free(status);
  stop(&f);
}

// Each row stands for an operator of the schemas, and inference knows its shapes.
static void test_rows(void** state) {
  (void)state;
  assert_true(kp_op_count() > 150);
  for (size_t i = 0; i < kp_op_count(); ++i) {
    const kp_op_def* op = kp_op_at(i);
    const char* domain = op->domain ? op->domain : "";
    if (strcmp(domain, "kapell") == 0) {
      assert_non_null(op->infer);
      continue;
    }
    const kp_op_schema* schema = kp_schema_any(kp_str_of(domain), kp_str_of(op->name));
    if (!schema) continue;  // what exporters wrote before the operator had a schema
    const kp_node node = {.op = op->name, .domain = domain, .version = 1000};
    if (!op->infer && !kp_infer_find(&node)) fail_msg("no rule for %s %s", domain, op->name);
    assert_non_null(op->run);
  }
  assert_null(kp_op_at(kp_op_count()));
}

static void test_eval_node(void** state) {
  (void)state;
  fixture f;
  assert_null(start(&f, "in x float[2] in z float[2] y = Sub(x, z) out y float[2]", "float[2] 3 4",
                    "float[2] 1 1"));
  const kp_graph* graph = f.rig.model->graph;
  kapell_value* output;
  assert_null(kp_cpu_eval_node(NULL, graph, &graph->nodes[graph->order[0]], f.inputs, &output));
  kp_op_test_compare(output, "float[2] 2 3");
  kp_value_release(output);
  stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shape_arithmetic_is_gone),
      cmocka_unit_test(test_known_outputs_are_told),
      cmocka_unit_test(test_contents_that_decide_shapes),
      cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_not_in_place),
      cmocka_unit_test(test_outputs_that_lie_elsewhere),
      cmocka_unit_test(test_late_steps),
      cmocka_unit_test(test_sixteen_bit_floats),
      cmocka_unit_test(test_packed_constants_are_let_go),
      cmocka_unit_test(test_errors_name_the_node),
      cmocka_unit_test(test_odd_addresses),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_eval_node),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
