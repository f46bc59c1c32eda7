// Tests of the table of operators: order, look-ups, and a few rows whose contents the specification states.
#include "graph/schema.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const kp_op_schema* find(const char* domain, const char* op, int64_t version) {
  return kp_schema_find(kp_str_of(domain), kp_str_of(op), version);
}

static void every_row_is_found_at_its_version(void** state) {
  (void)state;
  for (size_t i = 0; i < kp_schema_count(); ++i) {
    const kp_op_schema* row = kp_schema_at(i);
    const char *domain = kp_schema_domain(row), *name = kp_schema_name(row);
    assert_ptr_equal(find(domain, name, row->since), row);
    assert_non_null(kp_schema_any(kp_str_of(domain), kp_str_of(name)));
    assert_true(kp_schema_newest(kp_str_of(domain)) >= row->since);
    if (i == 0) continue;
    const kp_op_schema* before = kp_schema_at(i - 1);
    int order = strcmp(kp_schema_domain(before), domain);
    if (order == 0) order = strcmp(kp_schema_name(before), name);
    assert_true(order < 0 || (order == 0 && before->since < row->since));
  }
}

static void every_parameter_has_types(void** state) {
  (void)state;
  for (size_t i = 0; i < kp_schema_count(); ++i) {
    const kp_op_schema* row = kp_schema_at(i);
    assert_true(row->min_inputs <= row->max_inputs && row->min_outputs <= row->max_outputs);
    for (uint32_t k = 0; k < row->input_count; ++k) {
      const kp_type_constraint types = kp_schema_types(row, kp_schema_input(row, k).type);
      assert_true((types.tensors | types.sequences | types.optionals | types.optional_sequences) !=
                      0 ||
                  types.others[0]);
    }
  }
}

static void the_governing_version_is_the_newest_not_above(void** state) {
  (void)state;
  assert_int_equal(find("", "Softmax", 12)->since, 11);
  assert_int_equal(find("ai.onnx", "Softmax", 13)->since, 13);
  assert_int_equal(find("", "Softmax", INT64_MAX)->since, 13);
  assert_null(find("", "Gelu", 19));
  assert_null(find("", "Softmax", 0));
  assert_null(find("", "Softma", 13));
  assert_null(find("", "Softmaxx", 13));
  assert_null(find("nobody", "Softmax", 13));
  assert_int_equal(kp_schema_any(kp_str_of(""), kp_str_of("Gelu"))->since, 20);
  assert_true(find("", "Upsample", 10)->deprecated);
  assert_int_equal(kp_schema_newest(kp_str_of("com.microsoft")), 1);
  assert_int_equal(kp_schema_newest(kp_str_of("nobody")), 0);
}

static void lists_are_those_of_the_specification(void** state) {
  (void)state;
  const kp_op_schema* conv = find("", "Conv", 11);
  assert_int_equal(conv->min_inputs, 2);
  assert_int_equal(conv->max_inputs, 3);
  assert_string_equal(kp_schema_input(conv, 2).name, "B");
  assert_int_equal(kp_schema_input(conv, 2).option, KP_PARAM_OPTIONAL);
  kp_attr_schema attr;
  assert_true(kp_schema_find_attr(conv, kp_str_of("pads"), &attr));
  assert_int_equal(attr.type, KP_ONNX_ATTR_INTS);
  assert_false(kp_schema_find_attr(conv, kp_str_of("padding"), &attr));
  assert_int_equal(kp_schema_types(conv, "T").tensors, kp_type_mask(KAPELL_FLOAT16) |
                                                           kp_type_mask(KAPELL_FLOAT) |
                                                           kp_type_mask(KAPELL_DOUBLE));
  const kp_op_schema* concat = find("", "Concat", 13);
  assert_int_equal(concat->max_inputs, KP_SCHEMA_UNBOUNDED);
  kp_param_schema param;
  assert_true(kp_schema_input_of(concat, 1000, &param));
  assert_true(param.homogeneous && param.option == KP_PARAM_VARIADIC);
  assert_false(kp_schema_input_of(conv, 3, &param));
  assert_int_equal(kp_schema_types(find("", "Shape", 13), "tensor(int64)").tensors,
                   kp_type_mask(KAPELL_INT64));
  assert_true(kp_schema_find_attr(find("", "Concat", 13), kp_str_of("axis"), &attr) &&
              attr.required && !attr.has_default);
  assert_true(kp_schema_find_attr(find("", "Gather", 13), kp_str_of("axis"), &attr) &&
              attr.has_default && attr.i == 0);
  assert_true(kp_schema_find_attr(find("", "LeakyRelu", 16), kp_str_of("alpha"), &attr) &&
              attr.has_default && attr.f == 0.01f);
  assert_true(kp_schema_find_attr(find("", "Pad", 13), kp_str_of("mode"), &attr) &&
              attr.has_default && strcmp(attr.s, "constant") == 0);
  assert_string_equal(kp_schema_types(find("ai.onnx.ml", "ZipMap", 1), "T").others,
                      "seq(map(int64,float)) seq(map(string,float))");
}

static void contributed_operators_are_known(void** state) {
  (void)state;
  static const char* const ops[] = {"FusedConv",
                                    "FusedMatMul",
                                    "MatMulNBits",
                                    "QLinearAdd",
                                    "Attention",
                                    "GroupQueryAttention",
                                    "SkipLayerNormalization",
                                    "QAttention",
                                    "DynamicQuantizeLSTM",
                                    "QuantizeLinear",
                                    "MoE"};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; ++i)
    assert_non_null(find("com.microsoft", ops[i], 1));
  assert_int_equal(find("", "LayerNormalization", 16)->since, 1);
  assert_int_equal(find("", "SimplifiedLayerNormalization", 21)->since, 1);
  assert_int_equal(find("com.microsoft", "QLinearAdd", 1)->min_inputs, 7);
  assert_int_equal(find("com.microsoft", "EPContext", 1)->min_inputs, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_found_at_its_version),
      cmocka_unit_test(every_parameter_has_types),
      cmocka_unit_test(the_governing_version_is_the_newest_not_above),
      cmocka_unit_test(lists_are_those_of_the_specification),
      cmocka_unit_test(contributed_operators_are_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
