// Calls that are wrong, or right but rare: each gets an error that names what is wrong, or the right numbers; never a crash, a leak or a
// half-written result.
#include "e2e/e2e.h"

static const char kAdd[] =
    "in x float[N,3]\n in y float[3]\n z = Add(x, y)\n w = Neg(z)\n out z float[N,3]\n out w "
    "float[N,3]\n";

typedef struct fixture {
  kapell_session* session;
  kapell_value *x, *y;
} fixture;

static int setup(void** state) {
  static fixture f;
  f.session = e2e_open(kAdd, NULL);
  f.x = kp_test_value("float[2,3] 1 2 3 4 5 6");
  f.y = kp_test_value("float[3] 10 20 30");
  *state = &f;
  return 0;
}

// The session still works after whatever was done to it, and nothing was left behind.
static int teardown(void** state) {
  fixture* f = *state;
  kapell_value *inputs[2] = {f->x, f->y}, *outputs[2] = {0};
  e2e_ok(e2e_run(f->session, inputs, outputs));
  const double want[6] = {11, 22, 33, 14, 25, 36};
  for (size_t i = 0; i < 6; ++i) {
    assert_true(kapell_tensor_get_double(outputs[0], i) == want[i]);
    assert_true(kapell_tensor_get_double(outputs[1], i) == -want[i]);
  }
  for (int i = 0; i < 2; ++i) kapell_value_release(outputs[i]);
  kapell_value_release(f->x);
  kapell_value_release(f->y);
  kapell_session_close(f->session);
  return 0;
}

static kapell_status* run_named(const fixture* f, const char* a, kapell_value* x, const char* b,
                                kapell_value* y, const char* out, kapell_value** output) {
  const char *names[2] = {a, b}, *output_names[1] = {out};
  kapell_value* inputs[2] = {x, y};
  return kapell_session_run(f->session, NULL, names, inputs, 2, output_names, output, 1);
}

// --- opening -----------------------------------------------------------------------------------------------------------------
static void nothing_to_open(void** state) {
  (void)state;
  kapell_session* session = (kapell_session*)(uintptr_t)8;
  e2e_error(kapell_session_open_file(NULL, NULL, &session), KAPELL_INVALID_ARGUMENT, "path", NULL);
  assert_null(session);
  e2e_error(kapell_session_open_file(E2E_DIGITS, NULL, NULL), KAPELL_INVALID_ARGUMENT,
            "out_session", NULL);
  e2e_error(kapell_session_open_file("/nowhere/at all.onnx", NULL, &session), KAPELL_NOT_FOUND,
            "/nowhere/at all.onnx", NULL);
  e2e_error(kapell_session_open_file(KAPELL_SOURCE_DIR, NULL, &session), KAPELL_IO,
            KAPELL_SOURCE_DIR, NULL);
  e2e_error(kapell_session_open(NULL, 5, NULL, &session), KAPELL_INVALID_ARGUMENT, "bytes", NULL);
  e2e_error(kapell_session_open(NULL, 0, NULL, &session), KAPELL_NOT_A_MODEL, NULL);
  e2e_error(kapell_session_open("not a model at all", 18, NULL, &session), KAPELL_NOT_A_MODEL,
            NULL);
  assert_null(session);
  kapell_session_close(NULL);
}

static void truncated_models(void** state) {
  (void)state;
  size_t byte_count;
  char* bytes = kp_test_model(kAdd, 17, &byte_count);
  const int64_t live = kp_alloc_live();
  for (size_t n = 0; n < byte_count; ++n) {
    kapell_session* session = NULL;
    char* part = malloc(n + 1);
    memcpy(part, bytes, n);
    kapell_status* status = kapell_session_open(part, n, NULL, &session);
    if (status) assert_true(!session && kapell_status_message(status)[0]);
    kapell_status_free(status);
    kapell_session_close(session);
    free(part);
    assert_int_equal(kp_alloc_live(), live);
  }
  free(bytes);
}

static void options_out_of_range(void** state) {
  (void)state;
  kapell_session* session = NULL;
  kapell_options o = {.struct_size = 3};
  e2e_error(kapell_session_open_file(E2E_DIGITS, &o, &session), KAPELL_INVALID_ARGUMENT,
            "struct_size", "KAPELL_OPTIONS_INIT", NULL);
  o = (kapell_options){.struct_size = sizeof(o), .threads = 257};
  e2e_error(kapell_session_open_file(E2E_DIGITS, &o, &session), KAPELL_INVALID_ARGUMENT, "threads",
            "257", "256", NULL);
  o = (kapell_options){.struct_size = sizeof(o), .signature_cache = 5000};
  e2e_error(kapell_session_open_file(E2E_DIGITS, &o, &session), KAPELL_INVALID_ARGUMENT,
            "signature_cache", "5000", "4096", NULL);
  o = (kapell_options){.struct_size = sizeof(o), .provider_option_count = 1};
  e2e_error(kapell_session_open_file(E2E_DIGITS, &o, &session), KAPELL_INVALID_ARGUMENT, "NULL",
            NULL);
  o = (kapell_options){.struct_size = sizeof(o), .providers = "NoSuchEngine,CPU"};
  e2e_error(kapell_session_open_file(E2E_DIGITS, &o, &session), KAPELL_BAD_PROVIDER_LIST,
            "NoSuchEngine", NULL);
  o = (kapell_options){.struct_size = sizeof(o), .cpu_mask = "mmx9"};
  e2e_error(kapell_session_open_file(E2E_DIGITS, &o, &session), KAPELL_INVALID_ARGUMENT, "mmx9",
            NULL);
  assert_null(session);
}

// A program built when kapell_options ended after |providers|: what lies behind in its memory is not looked at.
static void options_of_an_older_program(void** state) {
  (void)state;
  kapell_options o;
  memset(&o, 0xa5, sizeof(o));
  o.struct_size = offsetof(kapell_options, provider_options);
  o.providers = "CPU";
  kapell_session* session = NULL;
  e2e_ok(kapell_session_open_file(E2E_DIGITS, &o, &session));
  kapell_value *image = kp_test_value("float[1,1,8,8] fill 0"), *output = NULL;
  kapell_run_options r;
  memset(&r, 0xa5, sizeof(r));
  r.struct_size = offsetof(kapell_run_options, cancel);
  e2e_ok(kapell_session_run(session, &r, NULL, &image, 1, NULL, &output, 1));
  kapell_counters counters;
  memset(&counters, 0xa5, sizeof(counters));
  counters.struct_size = offsetof(kapell_counters, failed_runs);
  kapell_session_counters(session, &counters);
  assert_int_equal(counters.runs, 1);
  const uint64_t untouched = counters.failed_runs;
  assert_true(untouched == 0xa5a5a5a5a5a5a5a5u);
  r.struct_size = 2;
  kapell_value* none = NULL;
  e2e_error(kapell_session_run(session, &r, NULL, &image, 1, NULL, &none, 1),
            KAPELL_INVALID_ARGUMENT, "struct_size", NULL);
  kapell_value_release(image);
  kapell_value_release(output);
  kapell_session_close(session);
}

static void nulls_elsewhere(void** state) {
  const fixture* f = *state;
  e2e_error(kapell_cancel_create(NULL), KAPELL_INVALID_ARGUMENT, NULL);
  kapell_cancel_request(NULL);
  kapell_cancel_reset(NULL);
  kapell_cancel_release(NULL);
  kapell_value_release(NULL);
  kapell_status_free(NULL);
  kapell_free_text(NULL);
  kapell_providers_free(NULL);
  assert_null(kapell_value_retain(NULL));
  assert_int_equal(kapell_status_code(NULL), KAPELL_OK);
  assert_string_equal(kapell_status_message(NULL), "");
  e2e_error(kapell_session_placement_json(f->session, NULL), KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_session_placement_text(f->session, NULL), KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_session_profile_json(f->session, NULL), KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_providers(NULL, NULL), KAPELL_INVALID_ARGUMENT, NULL);
  assert_null(kapell_session_input(f->session, 2));
  assert_null(kapell_session_output(f->session, 2));
  kapell_session_counters(f->session, NULL);
}

// --- inputs ------------------------------------------------------------------------------------------------------------------
static void counts_and_nulls(void** state) {
  const fixture* f = *state;
  kapell_value *inputs[3] = {f->x, f->y, f->x}, *outputs[3] = {0};
  e2e_error(kapell_session_run(NULL, NULL, NULL, inputs, 2, NULL, outputs, 2),
            KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_session_run(f->session, NULL, NULL, NULL, 2, NULL, outputs, 2),
            KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_session_run(f->session, NULL, NULL, inputs, 2, NULL, NULL, 2),
            KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_session_run(f->session, NULL, NULL, inputs, 1, NULL, outputs, 2),
            KAPELL_INVALID_INPUT, "'y'", "missing", NULL);
  e2e_error(kapell_session_run(f->session, NULL, NULL, inputs, 3, NULL, outputs, 2),
            KAPELL_INVALID_INPUT, "3", "2", NULL);
  e2e_error(kapell_session_run(f->session, NULL, NULL, inputs, 2, NULL, outputs, 3),
            KAPELL_INVALID_ARGUMENT, "3", "2", NULL);
  inputs[1] = NULL;
  e2e_error(kapell_session_run(f->session, NULL, NULL, inputs, 2, NULL, outputs, 2),
            KAPELL_INVALID_ARGUMENT, "'y'", "NULL", NULL);
  for (int i = 0; i < 3; ++i) assert_null(outputs[i]);
}

static void names(void** state) {
  const fixture* f = *state;
  kapell_value* output = NULL;
  e2e_error(run_named(f, "x", f->x, "yy", f->y, "z", &output), KAPELL_INVALID_INPUT, "'yy'", "x, y",
            NULL);
  e2e_error(run_named(f, "x", f->x, "x", f->x, "z", &output), KAPELL_INVALID_INPUT, "'x'", "twice",
            NULL);
  e2e_error(run_named(f, "x", f->x, NULL, f->y, "z", &output), KAPELL_INVALID_ARGUMENT,
            "input_names[1]", NULL);
  e2e_error(run_named(f, "x", f->x, "y", f->y, "zz", &output), KAPELL_INVALID_INPUT, "'zz'", "z, w",
            NULL);
  e2e_error(run_named(f, "x", f->x, "y", f->y, NULL, &output), KAPELL_INVALID_ARGUMENT,
            "output_names[0]", NULL);
  assert_null(output);
  e2e_ok(run_named(f, "y", f->y, "x", f->x, "w", &output));  // in any order, one output alone
  assert_true(kapell_tensor_get_double(output, 5) == -36);
  kapell_value_release(output);
}

static void wrong_input(const fixture* f, const char* text, const char* expected, const char* got) {
  kapell_value *x = kp_test_value(text), *outputs[2] = {0};
  kapell_value* inputs[2] = {x, f->y};
  e2e_error(e2e_run(f->session, inputs, outputs), KAPELL_INVALID_INPUT, "'x'", expected, got, NULL);
  assert_null(outputs[0]);
  kapell_value_release(x);
}

static void types_and_shapes(void** state) {
  const fixture* f = *state;
  wrong_input(f, "int64[2,3] fill 1", "float32[N,3]", "int64[2,3]");
  wrong_input(f, "double[2,3] fill 1", "float32[N,3]", "float64[2,3]");
  wrong_input(f, "float[2,4] fill 1", "float32[N,3]", "float32[2,4]");
  wrong_input(f, "float[3] fill 1", "float32[N,3]", "float32[3]");
  wrong_input(f, "float[] 1", "float32[N,3]", "float32[]");
  wrong_input(f, "string[2,3] \"a\" \"b\" \"c\" \"d\" \"e\" \"f\"", "float32[N,3]", "string[2,3]");
  kapell_value *sequence = NULL, *outputs[2] = {0};
  e2e_ok(kapell_sequence_create(&f->x, 1, &sequence));
  kapell_value* inputs[2] = {sequence, f->y};
  e2e_error(e2e_run(f->session, inputs, outputs), KAPELL_INVALID_INPUT, "'x'", "float32[N,3]",
            NULL);
  kapell_value_release(sequence);
}

// One symbol, two numbers: the node that notices is named.
static void dims_that_disagree(void** state) {
  (void)state;
  kapell_session* session =
      e2e_open("in a float[N,2]\n in b float[N,2]\n c = Add(a, b)\n out c float[N,2]\n", NULL);
  kapell_value *inputs[2] = {kp_test_value("float[2,2] fill 1"),
                             kp_test_value("float[3,2] fill 1")},
               *output = NULL;
  kapell_status* status = e2e_run(session, inputs, &output);
  assert_non_null(status);
  assert_null(output);
  assert_true(kapell_status_code(status) == KAPELL_INVALID_INPUT ||
              kapell_status_code(status) == KAPELL_RUN_FAILED);
  kapell_status_free(status);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

static void tensors_that_cannot_be(void** state) {
  (void)state;
  kapell_value* value = NULL;
  float data[4];
  e2e_error(kapell_tensor_create(KAPELL_FLOAT, (const int64_t[]){-1}, 1, &value),
            KAPELL_INVALID_ARGUMENT, "-1", NULL);
  e2e_error(kapell_tensor_create(KAPELL_FLOAT, (const int64_t[]){INT64_MAX, 8}, 2, &value),
            KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_tensor_create(KAPELL_FLOAT, NULL, 1, &value), KAPELL_INVALID_ARGUMENT, "dims",
            NULL);
  e2e_error(kapell_tensor_create(KAPELL_FLOAT, (const int64_t[40]){0}, 40, &value),
            KAPELL_INVALID_ARGUMENT, "40", NULL);
  e2e_error(kapell_tensor_create(KAPELL_FLOAT, (const int64_t[]){1}, -1, &value),
            KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_tensor_create((kapell_type)999, (const int64_t[]){1}, 1, &value),
            KAPELL_INVALID_ARGUMENT, NULL);
  e2e_error(kapell_tensor_wrap(KAPELL_FLOAT, (const int64_t[]){4}, 1, data, 15, NULL, NULL, &value),
            KAPELL_INVALID_ARGUMENT, "15", "16", NULL);
  e2e_error(kapell_tensor_wrap(KAPELL_FLOAT, (const int64_t[]){4}, 1, NULL, 16, NULL, NULL, &value),
            KAPELL_INVALID_ARGUMENT, "data", NULL);
  e2e_error(
      kapell_tensor_wrap(KAPELL_STRING, (const int64_t[]){1}, 1, data, 16, NULL, NULL, &value),
      KAPELL_INVALID_ARGUMENT, NULL);
  assert_null(value);
}

// --- outputs -----------------------------------------------------------------------------------------------------------------
static void outputs_bound_wrongly(void** state) {
  const fixture* f = *state;
  static const char* const kWrong[] = {"float[3,3] fill 7", "float[2,4] fill 7",
                                       "float[6] fill 7",   "float[] 7",
                                       "int32[2,3] fill 7", "double[2,3] fill 7"};
  for (size_t i = 0; i < sizeof(kWrong) / sizeof(kWrong[0]); ++i) {
    kapell_value *inputs[2] = {f->x, f->y}, *outputs[2] = {kp_test_value(kWrong[i]), NULL};
    kapell_value* bound = outputs[0];
    e2e_error(e2e_run(f->session, inputs, outputs), KAPELL_INVALID_ARGUMENT, "'z'", "float32[2,3]",
              NULL);
    assert_ptr_equal(outputs[0], bound);
    assert_null(outputs[1]);
    assert_true(kapell_tensor_get_double(bound, 0) == 7);
    kapell_value_release(bound);
  }
}

static void outputs_over_inputs(void** state) {
  const fixture* f = *state;
  const int64_t dims[2] = {2, 3};
  for (size_t shift = 0; shift < 3; ++shift) {  // the same bytes, and overlapping ones
    float data[12] = {1, 2, 3, 4, 5, 6};
    kapell_value *x = NULL, *z = NULL;
    e2e_ok(kapell_tensor_wrap(KAPELL_FLOAT, dims, 2, data, 24, NULL, NULL, &x));
    e2e_ok(kapell_tensor_wrap(KAPELL_FLOAT, dims, 2, data + shift, 24, NULL, NULL, &z));
    kapell_value *inputs[2] = {x, f->y}, *outputs[2] = {z, NULL};
    e2e_ok(e2e_run(f->session, inputs, outputs));
    const float want[6] = {11, 22, 33, 14, 25, 36};
    for (size_t i = 0; i < 6; ++i) {
      assert_true(data[shift + i] == want[i]);
      assert_true(kapell_tensor_get_double(outputs[1], i) == -want[i]);
    }
    kapell_value_release(outputs[1]);
    kapell_value_release(x);
    kapell_value_release(z);
  }
}

// Memory that is aligned to one byte, between guards.
static void outputs_anywhere(void** state) {
  const fixture* f = *state;
  const int64_t dims[2] = {2, 3};
  for (size_t shift = 0; shift < 4; ++shift) {
    unsigned char room[24 + 16];
    memset(room, 0x77, sizeof(room));
    kapell_value* z = NULL;
    e2e_ok(kapell_tensor_wrap(KAPELL_FLOAT, dims, 2, room + 8 + shift, 24, NULL, NULL, &z));
    const char *input_names[2] = {"x", "y"}, *output_names[1] = {"z"};
    kapell_value* inputs[2] = {f->x, f->y};
    e2e_ok(kapell_session_run(f->session, NULL, input_names, inputs, 2, output_names, &z, 1));
    float got[6];
    memcpy(got, room + 8 + shift, sizeof(got));
    assert_true(got[0] == 11 && got[5] == 36);
    for (size_t i = 0; i < sizeof(room); ++i)
      if (i < 8 + shift || i >= 32 + shift) assert_int_equal(room[i], 0x77);
    kapell_value_release(z);
  }
}

static void no_outputs_asked(void** state) {
  const fixture* f = *state;
  kapell_value* inputs[2] = {f->x, f->y};
  e2e_ok(kapell_session_run(f->session, NULL, NULL, inputs, 2, NULL, NULL, 0));
}

static void the_same_output_twice(void** state) {
  const fixture* f = *state;
  const char *input_names[2] = {"x", "y"}, *output_names[2] = {"z", "z"};
  kapell_value *inputs[2] = {f->x, f->y}, *outputs[2] = {0};
  e2e_error(kapell_session_run(f->session, NULL, input_names, inputs, 2, output_names, outputs, 2),
            KAPELL_INVALID_ARGUMENT, "'z'", "twice", NULL);
}

// --- what is rare but right --------------------------------------------------------------------------------------------------
static void initializers_replaced_in_a_run(void** state) {
  (void)state;
  kapell_session* session = e2e_open(
      "in x float[N,2]\n in w float[2,2]\n init w float[2,2] = 1 0 0 1\n y = MatMul(x, w)\n out y "
      "float[N,2]\n",
      NULL);
  assert_int_equal(kapell_session_input_count(session), 1);
  assert_int_equal(kapell_session_overridable_count(session), 1);
  assert_true(kapell_session_input(session, 1)->optional);
  assert_string_equal(kapell_session_input(session, 1)->name, "w");
  kapell_value* inputs[2] = {kp_test_value("float[1,2] 3 4"), kp_test_value("float[2,2] 0 1 1 0")};
  const double plain[2] = {3, 4}, turned[2] = {4, 3};
  for (int round = 0; round < 3; ++round) {
    kapell_value* output = NULL;
    e2e_ok(kapell_session_run(session, NULL, NULL, inputs, round == 1 ? 2 : 1, NULL, &output, 1));
    for (size_t i = 0; i < 2; ++i)
      assert_true(kapell_tensor_get_double(output, i) == (round == 1 ? turned : plain)[i]);
    kapell_value_release(output);
  }
  kapell_value *wrong[2] = {inputs[0], kp_test_value("float[2,3] fill 1")}, *none = NULL;
  e2e_error(kapell_session_run(session, NULL, NULL, wrong, 2, NULL, &none, 1), KAPELL_INVALID_INPUT,
            "'w'", "float32[2,2]", "float32[2,3]", NULL);
  kapell_value_release(wrong[1]);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_session_close(session);
}

static void optional_outputs(void** state) {
  (void)state;
  kapell_session* session = e2e_open(
      "in x float[4]\n init k int64[1] = 2\n v, i = TopK(x, k)\n a, = Identity(v)\n d, m = "
      "Dropout(a)\n out d float[2]\n out m bool[2]\n",
      NULL);
  kapell_value *x = kp_test_value("float[4] 3 9 1 7"), *outputs[2] = {0};
  e2e_ok(e2e_run(session, &x, outputs));
  assert_true(kapell_tensor_get_double(outputs[0], 0) == 9 &&
              kapell_tensor_get_double(outputs[0], 1) == 7);
  assert_true(kapell_tensor_get_double(outputs[1], 0) == 1);
  for (int i = 0; i < 2; ++i) kapell_value_release(outputs[i]);
  kapell_value_release(x);
  kapell_session_close(session);
}

static void empty_tensors(void** state) {
  (void)state;
  kapell_session* session = e2e_open(
      "in x float[N,3]\n init w float[3,5] = random 1\n init b float[5] = random 2\n h = MatMul(x, "
      "w)\n a = Add(h, b)\n r = Relu(a)\n"
      "s = Softmax(r) axis=-1\n t = Transpose(s)\n c = Concat(t, t) axis=1\n out c float[5,M]\n "
      "out s float[N,5]\n",
      NULL);
  static const char* const kInputs[] = {"float[0,3]", "float[2,3] fill 1", "float[0,3]"};
  for (int i = 0; i < 3; ++i) {
    const int64_t rows = i == 1 ? 2 : 0;
    kapell_value *x = kp_test_value(kInputs[i]), *outputs[2] = {0};
    e2e_ok(e2e_run(session, &x, outputs));
    assert_int_equal(kapell_tensor_dims(outputs[0])[1], 2 * rows);
    assert_int_equal(kapell_tensor_dims(outputs[1])[0], rows);
    assert_int_equal(kapell_tensor_count(outputs[1]), 5 * rows);
    e2e_ok(e2e_run(session, &x, outputs));  // bound
    for (int o = 0; o < 2; ++o) kapell_value_release(outputs[o]);
    kapell_value_release(x);
  }
  kapell_session_close(session);
}

static void sums_over_nothing(void** state) {
  (void)state;
  kapell_session* session =
      e2e_open("in a float[2,K]\n in b float[K,3]\n c = MatMul(a, b)\n out c float[2,3]\n", NULL);
  kapell_value *inputs[2] = {kp_test_value("float[2,0]"), kp_test_value("float[0,3]")},
               *output = kp_test_value("float[2,3] fill 7");
  e2e_ok(e2e_run(session, inputs, &output));
  for (size_t i = 0; i < 6; ++i) assert_true(kapell_tensor_get_double(output, i) == 0);
  for (int i = 0; i < 2; ++i) kapell_value_release(inputs[i]);
  kapell_value_release(output);
  kapell_session_close(session);
}

static void scalars(void** state) {
  (void)state;
  kapell_session* session = e2e_open(
      "in x float[]\n in y float[]\n z = Mul(x, y)\n s = Shape(z)\n out z float[]\n out s "
      "int64[0]\n",
      NULL);
  kapell_value *inputs[2] = {kp_test_value("float[] 6"), kp_test_value("float[] 7")},
               *outputs[2] = {0};
  e2e_ok(e2e_run(session, inputs, outputs));
  assert_int_equal(kapell_tensor_rank(outputs[0]), 0);
  assert_int_equal(kapell_tensor_count(outputs[0]), 1);
  assert_true(kapell_tensor_get_double(outputs[0], 0) == 42);
  assert_int_equal(kapell_tensor_rank(outputs[1]), 1);
  assert_int_equal(kapell_tensor_count(outputs[1]), 0);
  for (int i = 0; i < 2; ++i) {
    kapell_value_release(inputs[i]);
    kapell_value_release(outputs[i]);
  }
  kapell_session_close(session);
}

// Inputs and constants that are outputs without a node between.
static void outputs_that_nobody_computes(void** state) {
  (void)state;
  kapell_session* session = e2e_open(
      "in x float[N]\n init c float[2] = 5 6\n y = Identity(x)\n z = Identity(x)\n d = "
      "Identity(c)\n"
      "out y float[N]\n out z float[N]\n out d float[2]\n",
      NULL);
  kapell_value *x = kp_test_value("float[3] 1 2 3"), *outputs[3] = {0};
  for (int round = 0; round < 2; ++round) {  // made, then bound
    e2e_ok(e2e_run(session, &x, outputs));
    for (size_t i = 0; i < 3; ++i) {
      assert_true(kapell_tensor_get_double(outputs[0], i) == (double)i + 1);
      assert_true(kapell_tensor_get_double(outputs[1], i) == (double)i + 1);
    }
    assert_true(kapell_tensor_get_double(outputs[2], 1) == 6);
    kapell_tensor_set_double(outputs[0], 0, -1);  // a value of its own
    kapell_tensor_set_double(outputs[2], 1, -1);
    assert_true(kapell_tensor_get_double(outputs[1], 0) == 1 &&
                kapell_tensor_get_double(x, 0) == 1);
  }
  for (int i = 0; i < 3; ++i) kapell_value_release(outputs[i]);
  kapell_value_release(x);
  kapell_session_close(session);
}

#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_to_open),
      cmocka_unit_test(truncated_models),
      cmocka_unit_test(options_out_of_range),
      cmocka_unit_test(options_of_an_older_program),
      SESSION_TEST(nulls_elsewhere),
      SESSION_TEST(counts_and_nulls),
      SESSION_TEST(names),
      SESSION_TEST(types_and_shapes),
      cmocka_unit_test(dims_that_disagree),
      cmocka_unit_test(tensors_that_cannot_be),
      SESSION_TEST(outputs_bound_wrongly),
      SESSION_TEST(outputs_over_inputs),
      SESSION_TEST(outputs_anywhere),
      SESSION_TEST(no_outputs_asked),
      SESSION_TEST(the_same_output_twice),
      cmocka_unit_test(initializers_replaced_in_a_run),
      cmocka_unit_test(optional_outputs),
      cmocka_unit_test(empty_tensors),
      cmocka_unit_test(sums_over_nothing),
      cmocka_unit_test(scalars),
      cmocka_unit_test(outputs_that_nobody_computes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
