// Tests of onnx/writer.h: a model made by hand and read back, what is too large, files, failing allocations. Models that were read:
// reader_fuzz.c and test/py/test_onnx_reader.py.
#include "onnx/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "onnx/fields.h"
#include "onnx/reader.h"
#include "support/onnx_equal.h"

static const int64_t shape[] = {2};
static const float weights[] = {1.5f, -2};

// Fills |model| with one of each: a node with attributes and a body, an initializer, an input, an opset, a function.
static void make_model(kp_onnx_model* model) {
  static const kp_str names[] = {{"x", 1}, {"", 0}, {"y", 1}};
  static const int64_t ints[] = {-1, 0, INT64_MAX};
  static const kp_onnx_node inner = {.op_type = {"Relu", 4}, .inputs = names, .input_count = 1};
  static const kp_onnx_graph body = {.name = {"body", 4}, .nodes = &inner, .node_count = 1};
  static const kp_onnx_attr attrs[] = {
      {.name = {"i", 1}, .type = KP_ONNX_ATTR_INT},
      {.name = {"ints", 4}, .type = KP_ONNX_ATTR_INTS, .ints = ints, .count = 3},
      {.name = {"body", 4}, .type = KP_ONNX_ATTR_GRAPH, .g = &body},
      {.name = {"ref", 3}, .ref_name = {"outer", 5}, .type = KP_ONNX_ATTR_TENSOR}};
  static const kp_onnx_node node = {
      .op_type = {"Op", 2}, .inputs = names, .input_count = 3, .attrs = attrs, .attr_count = 4};
  static const kp_onnx_dim dims[] = {{.value = 0}, {.value = -1, .param = {"n", 1}}, {.value = -1}};
  static const kp_onnx_value_info input = {.name = {"x", 1},
                                           .type = {.kind = KP_ONNX_TYPE_TENSOR,
                                                    .element = KAPELL_FLOAT,
                                                    .has_shape = true,
                                                    .dims = dims,
                                                    .rank = 3}};
  static kp_onnx_tensor tensor;
  tensor = (kp_onnx_tensor){.name = {"w", 1},
                            .type = KAPELL_FLOAT,
                            .dims = shape,
                            .rank = 1,
                            .has_raw = true,
                            .raw = {(const char*)weights, sizeof weights}};
  static const kp_onnx_opset opset = {.version = 17};
  static const kp_onnx_function function = {.name = {"f", 1}, .nodes = &inner, .node_count = 1};
  *model = (kp_onnx_model){.ir_version = 8,
                           .has_graph = true,
                           .opsets = &opset,
                           .opset_count = 1,
                           .functions = &function,
                           .function_count = 1,
                           .graph = {.nodes = &node,
                                     .node_count = 1,
                                     .initializers = &tensor,
                                     .initializer_count = 1,
                                     .inputs = &input,
                                     .input_count = 1}};
}

static void test_made_by_hand(void** state) {
  (void)state;
  kp_onnx_model made, *read;
  make_model(&made);
  void* bytes;
  size_t size;
  assert_null(kp_onnx_write_bytes(&made, &bytes, &size));
  assert_null(kp_onnx_read_bytes(bytes, size, NULL, &read));
  assert_true(onnx_equal(&kp_onnx_model_message, &made, read));
  assert_int_equal(read->graph.inputs[0].type.dims[0].value, 0);
  assert_int_equal(read->graph.inputs[0].type.dims[2].value, -1);
  kp_onnx_model_close(read);
  kp_free(bytes);
}

static void test_too_large(void** state) {
  (void)state;
  const kp_onnx_tensor tensor = {.type = KAPELL_FLOAT,
                                 .dims = shape,
                                 .rank = 1,
                                 .has_raw = true,
                                 .raw = {(const char*)weights, (size_t)3 << 30}};  // only measured
  void* bytes;
  size_t size;
  kp_status* const status = kp_onnx_write_tensor(&tensor, &bytes, &size);
  assert_int_equal(kp_status_code(status), KAPELL_LIMIT);
  assert_non_null(strstr(kp_status_text(status), "external data"));
  assert_null(bytes);
  kp_status_free(status);
}

static void test_files(void** state) {
  (void)state;
  kp_onnx_model made, *read;
  make_model(&made);
  char path[] = "/tmp/kapell-writer-XXXXXX";
  const int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  assert_null(kp_onnx_write_file(&made, path));
  assert_null(kp_onnx_read_file(path, NULL, &read));
  assert_true(onnx_equal(&kp_onnx_model_message, &made, read));
  kp_onnx_model_close(read);
  unlink(path);
  kp_status* const status = kp_onnx_write_file(&made, "/tmp/no-such-folder-of-kapell/model.onnx");
  assert_int_equal(kp_status_code(status), KAPELL_NOT_FOUND);
  kp_status_free(status);
}

static void test_allocation_failures(void** state) {
  (void)state;
  kp_onnx_model made;
  make_model(&made);
  const int64_t live = kp_alloc_live();
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    void* bytes;
    size_t size;
    kp_alloc_fail_at(nth);
    kp_status* const status = kp_onnx_write_bytes(&made, &bytes, &size);
    failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (failed) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_free(bytes);
    assert_int_equal(kp_alloc_live(), live);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_made_by_hand),
      cmocka_unit_test(test_too_large),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_allocation_failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
