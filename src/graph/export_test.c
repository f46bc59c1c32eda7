// Tests of graph/export.h: what is written is built again and means the same; what a file cannot hold is an error.
#include "graph/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/build.h"
#include "onnx/reader.h"
#include "support/expect.h"
#include "support/model_text.h"

static kp_model* build(const void* bytes, size_t size) {
  kp_onnx_model* source;
  kp_model* model;
  kp_test_must(kp_onnx_read_bytes(bytes, size, NULL, &source));
  kp_test_must(kp_model_build(source, NULL, &model));
  return model;
}

static kp_model* build_text(const char* text) {
  size_t size;
  char* bytes = kp_test_model(text, 17, &size);
  kp_model* model = build(bytes, size);
  free(bytes);
  return model;
}

// Written and built again.
static kp_model* again(kp_model* model) {
  void* bytes;
  size_t size;
  kp_test_must(kp_graph_export(model, &bytes, &size));
  kp_model* made = build(bytes, size);
  kp_free(bytes);
  return made;
}

static void test_nodes_weights_and_attributes(void** state) {
  (void)state;
  kp_model* model = build_text(
      "in x float[N,3] init w float[3] = 1 2 3 a = Add(x, w) b = Concat(a, a) axis=1 c = Clip(b, , "
      "w) "
      "y = Transpose(c) perm=[1,0] out y float[6,N]");
  kp_model* made = again(model);
  const kp_graph *from = model->graph, *to = made->graph;
  assert_int_equal(to->node_count, 4);
  for (uint32_t i = 0; i < 4; ++i) {
    assert_string_equal(to->nodes[i].op, from->nodes[i].op);
    assert_int_equal(to->nodes[i].input_count, from->nodes[i].input_count);
  }
  assert_true(to->nodes[2].inputs[1] == KP_NONE);
  assert_int_equal(kp_node_attr_i(&to->nodes[1], "axis", 0), 1);
  assert_string_equal(to->values[to->inputs[0]].name, "x");
  assert_string_equal(to->values[to->outputs[0]].name, "y");
  const kapell_value* w = to->values[to->nodes[0].inputs[1]].constant;
  assert_non_null(w);
  assert_int_equal(w->byte_count, 12);
  assert_true(((const float*)w->data)[2] == 3);
  kp_model_free(model);
  kp_model_free(made);
}

static void test_operators_of_our_own(void** state) {
  (void)state;
  void* bytes;
  size_t size;
  kp_model* model = build_text("in x float[2] y = Neg(x) out y float[2]");
  model->graph->nodes[0].domain = "kapell";
  kp_test_expect(kp_graph_export(model, &bytes, &size), KAPELL_UNSUPPORTED, "our own");
  kp_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nodes_weights_and_attributes),
      cmocka_unit_test(test_operators_of_our_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
