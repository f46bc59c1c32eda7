// Custom operators of a program's own: found by domain, version and types, asked for shapes, run, and ended; every way in which one may
// fail is an error that names it.
#include "kapell/custom_op.h"

#include "e2e/e2e.h"

static int created, destroyed;

// --- Scale: y = x * factor, an attribute; says its shape -------------------------------------------------------------------
static kapell_status* scale_create(void* user, const kapell_custom_node* node, void** out_kernel) {
  kapell_attribute factor;
  (void)user;
  if (!kapell_custom_node_find_attribute(node, "factor", &factor) ||
      factor.kind != KAPELL_ATTRIBUTE_FLOAT)
    return kapell_status_create(KAPELL_INVALID_MODEL, "Scale has no factor");
  float* kernel = malloc(sizeof *kernel);
  *kernel = factor.f;
  *out_kernel = kernel;
  ++created;
  return NULL;
}

static void scale_destroy(void* kernel) {
  free(kernel);
  ++destroyed;
}

static kapell_status* scale_infer(void* user, kapell_custom_infer* infer) {
  kapell_custom_value x;
  (void)user;
  assert_true(kapell_custom_node_input(kapell_custom_infer_node(infer), 0, &x));
  return kapell_custom_infer_output(infer, 0, KAPELL_UNDEFINED, x.dims, x.rank);
}

static kapell_status* scale_compute(void* kernel, kapell_custom_run* run) {
  const kapell_value* x = kapell_custom_run_input(run, 0);
  kapell_value* y;
  const float factor = *(const float*)kernel;
  kapell_status* status = kapell_custom_run_output(run, 0, KAPELL_FLOAT, kapell_tensor_dims(x),
                                                   kapell_tensor_rank(x), &y);
  if (status) return status;
  for (size_t i = 0; i < kapell_tensor_count(x); ++i)
    kapell_tensor_set_double(y, i, kapell_tensor_get_double(x, i) * (double)factor);
  return NULL;
}

static const kapell_custom_param one_float = {.type = KAPELL_FLOAT},
                                 one_int64 = {.type = KAPELL_INT64}, any_one = {0};
static const kapell_custom_op scale = {.struct_size = sizeof scale,
                                       .domain = "my",
                                       .name = "Scale",
                                       .inputs = &one_float,
                                       .input_count = 1,
                                       .outputs = &one_float,
                                       .output_count = 1,
                                       .create = scale_create,
                                       .infer = scale_infer,
                                       .compute = scale_compute,
                                       .destroy = scale_destroy};

// --- Scale of integers: says what it is by doubling; a second overload ----------------------------------------------------------
static kapell_status* twice_compute(void* kernel, kapell_custom_run* run) {
  const kapell_value* x = kapell_custom_run_input(run, 0);
  kapell_value* y;
  assert_string_equal(kernel, "twice");
  kapell_status* status = kapell_custom_run_output(run, 0, KAPELL_INT64, kapell_tensor_dims(x),
                                                   kapell_tensor_rank(x), &y);
  if (status) return status;
  for (size_t i = 0; i < kapell_tensor_count(x); ++i)
    ((int64_t*)kapell_tensor_data(y))[i] = 2 * ((const int64_t*)kapell_tensor_const_data(x))[i];
  return NULL;
}
static char twice_name[] = "twice";
static const kapell_custom_op twice = {.struct_size = sizeof twice,
                                       .domain = "my",
                                       .name = "Scale",
                                       .inputs = &one_int64,
                                       .input_count = 1,
                                       .outputs = &one_int64,
                                       .output_count = 1,
                                       .user = twice_name,
                                       .compute = twice_compute};

// --- Concat of any number of tensors of any one type, behind each other, in parallel; the run tells the shape -----------------
typedef struct gather {
  kapell_custom_run* run;
  kapell_value* y;
  size_t* offsets;
} gather;

static void copy_one(void* user, size_t index) {
  const gather* g = user;
  const kapell_value* x = kapell_custom_run_input(g->run, index);
  memcpy((char*)kapell_tensor_data(g->y) + g->offsets[index], kapell_tensor_const_data(x),
         kapell_tensor_byte_count(x));
}

static kapell_status* flat_compute(void* kernel, kapell_custom_run* run) {
  size_t offsets[16], bytes = 0;
  int64_t count = 0;
  gather g = {run, NULL, offsets};
  (void)kernel;
  for (size_t i = 0; i < kapell_custom_run_input_count(run); ++i) {
    const kapell_value* x = kapell_custom_run_input(run, i);
    offsets[i] = bytes;
    bytes += kapell_tensor_byte_count(x);
    count += (int64_t)kapell_tensor_count(x);
  }
  const kapell_type type = kapell_value_type(kapell_custom_run_input(run, 0));
  kapell_status* status = kapell_custom_run_output(run, 0, type, &count, 1, &g.y);
  if (!status)
    kapell_custom_run_parallel_for(run, kapell_custom_run_input_count(run), copy_one, &g);
  return status;
}
static const kapell_custom_param many = {.presence = KAPELL_CUSTOM_VARIADIC, .min_count = 1};
static const kapell_custom_op flat = {.struct_size = sizeof flat,
                                      .domain = "my",
                                      .name = "Flat",
                                      .inputs = &many,
                                      .input_count = 1,
                                      .outputs = &any_one,
                                      .output_count = 1,
                                      .compute = flat_compute};

// --- operators that err -----------------------------------------------------------------------------------------------------
static kapell_status* says_no(void* kernel, kapell_custom_run* run) {
  (void)kernel, (void)run;
  return kapell_status_create(KAPELL_RUN_FAILED, "the sensor is cold");
}
static kapell_status* does_nothing(void* kernel, kapell_custom_run* run) {
  (void)kernel, (void)run;
  return NULL;
}
static kapell_status* wrong_shape(void* kernel, kapell_custom_run* run) {
  const int64_t dims[] = {2, -1};
  kapell_value* y;
  (void)kernel;
  return kapell_custom_run_output(run, 0, KAPELL_FLOAT, dims, 2, &y);
}
static const kapell_custom_op refuses = {.struct_size = sizeof refuses,
                                         .domain = "my",
                                         .name = "Refuses",
                                         .inputs = &any_one,
                                         .input_count = 1,
                                         .outputs = &any_one,
                                         .output_count = 1,
                                         .compute = says_no};
static const kapell_custom_op silent = {.struct_size = sizeof silent,
                                        .domain = "my",
                                        .name = "Silent",
                                        .inputs = &any_one,
                                        .input_count = 1,
                                        .outputs = &any_one,
                                        .output_count = 1,
                                        .compute = does_nothing};
static const kapell_custom_op bent = {.struct_size = sizeof bent,
                                      .domain = "my",
                                      .name = "Bent",
                                      .inputs = &any_one,
                                      .input_count = 1,
                                      .outputs = &any_one,
                                      .output_count = 1,
                                      .compute = wrong_shape};

// --- Neg of ONNX's own domain, taken over: gives 7 -----------------------------------------------------------------------------
static kapell_status* seven_compute(void* kernel, kapell_custom_run* run) {
  const kapell_value* x = kapell_custom_run_input(run, 0);
  kapell_value* y;
  (void)kernel;
  kapell_status* status =
      kapell_tensor_create(KAPELL_FLOAT, kapell_tensor_dims(x), kapell_tensor_rank(x), &y);
  if (status) return status;
  for (size_t i = 0; i < kapell_tensor_count(y); ++i) kapell_tensor_set_double(y, i, 7);
  return kapell_custom_run_set_output(run, 0, y);
}
static const kapell_custom_op seven = {.struct_size = sizeof seven,
                                       .domain = "",
                                       .name = "Neg",
                                       .inputs = &any_one,
                                       .input_count = 1,
                                       .outputs = &any_one,
                                       .output_count = 1,
                                       .compute = seven_compute};

static const kapell_custom_op* const all[] = {&scale, &twice, &flat, &refuses, &silent, &bent};

static kapell_status* open_with(const char* text, const kapell_custom_op* const* ops, size_t count,
                                kapell_session** out) {
  kapell_options options = KAPELL_OPTIONS_INIT;
  size_t byte_count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  options.custom_ops = ops;
  options.custom_op_count = count;
  kapell_status* status = kapell_session_open(bytes, byte_count, &options, out);
  free(bytes);
  return status;
}

static void expect_numbers(const char* text, const char* input, const char* want) {
  kapell_session* session;
  e2e_ok(open_with(text, all, 6, &session));
  kapell_value *x = kp_test_value(input), *y = NULL, *expected = kp_test_value(want);
  for (int i = 0; i < 2; ++i) {
    e2e_ok(e2e_run(session, &x, &y));
    e2e_close(y, expected, 0);
    kapell_value_release(y);
    y = NULL;
  }
  kapell_value_release(x);
  kapell_value_release(expected);
  kapell_session_close(session);
}

static void between_other_nodes(void** state) {
  (void)state;
  created = destroyed = 0;
  expect_numbers(
      "import my 1\n in x float[N,2]\n a = Neg(x)\n b = my.Scale(a) factor=0.5\n y = Add(b, b)\n "
      "out y float[N,2]\n",
      "float[2,2] 1 2 3 4", "float[2,2] -1 -2 -3 -4");
  assert_true(created > 0);
  assert_int_equal(created, destroyed);
}

static void overloads_by_type(void** state) {
  (void)state;
  expect_numbers("import my 1\n in x int64[2]\n y = my.Scale(x)\n out y int64[2]\n", "int64[2] 3 4",
                 "int64[2] 6 8");
}

static void variadic_and_shapes_of_the_run(void** state) {
  (void)state;
  expect_numbers(
      "import my 1\n in x float[N]\n a = my.Flat(x, x, x)\n y = Neg(a)\n out y float[M]\n",
      "float[2] 1 2", "float[6] -1 -2 -1 -2 -1 -2");
}

static void in_a_body(void** state) {
  (void)state;
  expect_numbers(
      "import my 1\n in x float[2]\n  s = ReduceSum(x) keepdims=0\n z = Sub(s, "
      "s)\n b = Cast(z) to=9\n"
      " y = If(b) then_branch={ out p float[2] p = Neg(x) } else_branch={ out q float[2] q = "
      "my.Scale(x) factor=3.0 }\n"
      " out y float[2]\n",
      "float[2] 1 2", "float[2] 3 6");
}

static void before_our_own(void** state) {
  (void)state;
  const kapell_custom_op* const ops[] = {&seven};
  kapell_session* session;
  e2e_ok(open_with("in x float[2]\n y = Neg(x)\n out y float[2]\n", ops, 1, &session));
  kapell_value *x = kp_test_value("float[2] 1 2"), *y = NULL;
  e2e_ok(e2e_run(session, &x, &y));
  assert_true(kapell_tensor_get_double(y, 1) == 7);
  kapell_value_release(x);
  kapell_value_release(y);
  kapell_session_close(session);
}

static void open_fails(const char* text, kapell_code code, const char* word) {
  kapell_session* session;
  created = destroyed = 0;
  e2e_error(open_with(text, all, 6, &session), code, word, NULL);
  assert_null(session);
  assert_int_equal(created, destroyed);
}

static void failures_while_opening(void** state) {
  (void)state;
  open_fails("import my 1\n in x float[2]\n y = my.Scale(x)\n out y float[2]\n",
             KAPELL_INVALID_MODEL, "Scale has no factor");
  open_fails("import my 1\n in x double[2]\n y = my.Scale(x) factor=1.0\n out y double[2]\n",
             KAPELL_UNSUPPORTED, "float64");
  open_fails("import my 1\n in x float[2]\n y = my.Scale(x, x) factor=1.0\n out y float[2]\n",
             KAPELL_UNSUPPORTED, "2 inputs");
  open_fails("import my 1\n in x float[2]\n y = my.Unheard(x)\n out y float[2]\n",
             KAPELL_UNSUPPORTED, "Unheard");
  open_fails("in x float[2]\n y = yours.Scale(x) factor=1.0\n out y float[2]\n",
             KAPELL_INVALID_MODEL, "opset imports");
}

// ONNX Runtime takes the domain of registered operators for imported, and models rely on it.
static void a_domain_that_is_not_imported(void** state) {
  (void)state;
  expect_numbers("in x float[2]\n y = my.Scale(x) factor=2.0\n out y float[2]\n", "float[2] 3 4",
                 "float[2] 6 8");
}

static void untrusted_models_get_none(void** state) {
  const char text[] = "import my 1\n in x float[2]\n y = my.Scale(x) factor=2.0\n out y float[2]\n";
  const kapell_custom_op* const ops[] = {&scale};
  kapell_options options = KAPELL_OPTIONS_INIT;
  kapell_session* session = NULL;
  size_t byte_count;
  (void)state;
  char* bytes = kp_test_model(text, 17, &byte_count);
  options.custom_ops = ops;
  options.custom_op_count = 1;
  options.untrusted = true;
  e2e_error(kapell_session_open(bytes, byte_count, &options, &session), KAPELL_INVALID_ARGUMENT,
            "untrusted", "allow_libraries", NULL);
  assert_null(session);
  options.allow_libraries = true;
  e2e_ok(kapell_session_open(bytes, byte_count, &options, &session));
  kapell_session_close(session);
  free(bytes);
}

static void run_fails(const char* op, kapell_code code, const char* word) {
  char text[128];
  kapell_session* session;
  snprintf(text, sizeof text, "import my 1\n in x float[2]\n y = my.%s(x)\n out y float[?]\n", op);
  e2e_ok(open_with(text, all, 6, &session));
  kapell_value *x = kp_test_value("float[2] 1 2"), *y = NULL;
  for (int i = 0; i < 2; ++i) e2e_error(e2e_run(session, &x, &y), code, word, op, NULL);
  assert_null(y);
  kapell_value_release(x);
  kapell_session_close(session);
}

static void failures_of_runs(void** state) {
  (void)state;
  run_fails("Refuses", KAPELL_RUN_FAILED, "the sensor is cold");
  run_fails("Silent", KAPELL_RUN_FAILED, "did not make output 0");
  run_fails("Bent", KAPELL_INVALID_ARGUMENT, "-1");
}

static void lists_that_are_wrong(void** state) {
  (void)state;
  kapell_custom_op op = scale;
  const kapell_custom_op* const ops[] = {&op};
  const char text[] = "in x float[2]\n y = Neg(x)\n out y float[2]\n";
  kapell_session* session;
  op.compute = NULL;
  e2e_error(open_with(text, ops, 1, &session), KAPELL_INVALID_ARGUMENT, "compute", NULL);
  op = scale;
  op.name = NULL;
  e2e_error(open_with(text, ops, 1, &session), KAPELL_INVALID_ARGUMENT, "name", NULL);
  op = scale;
  op.inputs = NULL;
  e2e_error(open_with(text, ops, 1, &session), KAPELL_INVALID_ARGUMENT, "Scale", NULL);
  e2e_error(open_with(text, NULL, 1, &session), KAPELL_INVALID_ARGUMENT, "array is NULL", NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(between_other_nodes),
                                     cmocka_unit_test(overloads_by_type),
                                     cmocka_unit_test(variadic_and_shapes_of_the_run),
                                     cmocka_unit_test(in_a_body),
                                     cmocka_unit_test(before_our_own),
                                     cmocka_unit_test(failures_while_opening),
                                     cmocka_unit_test(a_domain_that_is_not_imported),
                                     cmocka_unit_test(untrusted_models_get_none),
                                     cmocka_unit_test(failures_of_runs),
                                     cmocka_unit_test(lists_that_are_wrong)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
