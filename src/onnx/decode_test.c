// Tests of onnx/decode.h through kp_onnx_read_bytes: protobuf's semantics, the checks, the words and places of errors.
#include "onnx/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/alloc.h"
#include "onnx/reader.h"
#include "support/wire_build.h"

static kp_onnx_model* read_ok(kp_strbuf* bytes) {
  kp_onnx_model* model;
  kp_status* const status = kp_onnx_read_bytes(bytes->data, bytes->length, NULL, &model);
  if (status) print_error("%s\n", kp_status_text(status));
  assert_null(status);
  kp_strbuf_free(bytes);
  return model;
}

static void read_fails_with(kp_strbuf* bytes, const kp_onnx_read_options* options, kapell_code code,
                            const char* words) {
  kp_onnx_model* model;
  kp_status* const status = kp_onnx_read_bytes(bytes->data, bytes->length, options, &model);
  assert_non_null(status);
  assert_null(model);
  if (kp_status_code(status) != code || !strstr(kp_status_text(status), words))
    print_error("%s\n", kp_status_text(status));
  assert_int_equal(kp_status_code(status), code);
  assert_non_null(strstr(kp_status_text(status), words));
  kp_status_free(status);
  kp_strbuf_free(bytes);
}

// A model whose one node has the one attribute |attr| (freed).
static void model_with_attr(kp_strbuf* out, kp_strbuf* attr) {
  kp_strbuf node = {0}, graph = {0};
  wb_text(&node, 4, "Relu");
  wb_part(&node, 5, attr);
  wb_part(&graph, 1, &node);
  wb_model(out, &graph);
}

// A model whose one input is named x and has the type |type| (freed).
static void model_with_type(kp_strbuf* out, kp_strbuf* type) {
  kp_strbuf info = {0}, graph = {0};
  wb_text(&info, 1, "x");
  wb_part(&info, 2, type);
  wb_part(&graph, 11, &info);
  wb_model(out, &graph);
}

// --- protobuf's semantics ------------------------------------------------------------------------------------------------
static void test_packed_and_single(void** state) {
  (void)state;
  kp_strbuf attr = {0}, model = {0};
  wb_text(&attr, 1, "pads");
  wb_varint(&attr, 8, 1);
  wb_bytes(&attr, 8, "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
  wb_varint(&attr, 8, 4);
  wb_bytes(&attr, 8, "", 0);
  wb_varint(&attr, 20, KP_ONNX_ATTR_INTS);
  model_with_attr(&model, &attr);
  kp_onnx_model* const m = read_ok(&model);
  const kp_onnx_attr* const a = &m->graph.nodes[0].attrs[0];
  assert_int_equal(a->count, 4);
  const int64_t want[] = {1, 2, -1, 4};
  assert_memory_equal(a->ints, want, sizeof want);
  kp_onnx_model_close(m);
}

static void test_occurrences_of_a_message_are_merged(void** state) {
  (void)state;
  kp_strbuf first = {0}, second = {0}, node = {0}, model = {0};
  wb_text(&first, 2, "old");
  wb_text(&node, 4, "Relu");
  wb_part(&first, 1, &node);
  wb_text(&second, 2, "new");
  wb_text(&node, 4, "Tanh");
  wb_part(&second, 1, &node);
  wb_varint(&model, 1, 3);
  wb_part(&model, 7, &first);
  wb_varint(&model, 1, 8);  // the last one counts
  wb_part(&model, 7, &second);
  kp_onnx_model* const m = read_ok(&model);
  assert_int_equal(m->ir_version, 8);
  assert_true(kp_str_is(m->graph.name, "new"));
  assert_int_equal(m->graph.node_count, 2);
  assert_true(kp_str_is(m->graph.nodes[0].op_type, "Relu"));
  assert_true(kp_str_is(m->graph.nodes[1].op_type, "Tanh"));
  kp_onnx_model_close(m);
}

static kp_strbuf tensor_type(int element, int dim) {
  kp_strbuf type = {0}, shape = {0}, d = {0};
  if (element) wb_varint(&type, 1, (uint64_t)element);
  if (dim >= 0) {
    wb_varint(&d, 1, (uint64_t)dim);
    wb_part(&shape, 1, &d);
    wb_part(&type, 2, &shape);
  }
  return type;
}

static void test_last_member_of_a_oneof(void** state) {
  (void)state;
  kp_strbuf type = {0}, model = {0};
  kp_strbuf a = tensor_type(KAPELL_FLOAT, 3), b = tensor_type(KAPELL_INT64, -1),
            c = tensor_type(0, 5);
  kp_strbuf map = {0};
  wb_part(&type, 1, &a);  // dropped by the map
  wb_varint(&map, 1, 7);
  wb_part(&type, 5, &map);  // dropped by what follows, and so not missed its value type
  wb_part(&type, 1, &b);
  wb_part(&type, 1, &c);  // merged with the one before
  model_with_type(&model, &type);
  kp_onnx_model* const m = read_ok(&model);
  const kp_onnx_type* const t = &m->graph.inputs[0].type;
  assert_int_equal(t->kind, KP_ONNX_TYPE_TENSOR);
  assert_int_equal(t->element, KAPELL_INT64);
  assert_true(t->has_shape);
  assert_int_equal(t->rank, 1);
  assert_int_equal(t->dims[0].value, 5);
  kp_onnx_model_close(m);
}

static void test_dims(void** state) {
  (void)state;
  kp_strbuf type = {0}, tensor = {0}, shape = {0}, dim = {0}, model = {0};
  wb_varint(&dim, 1, 0);
  wb_part(&shape, 1, &dim);
  wb_text(&dim, 2, "batch");
  wb_part(&shape, 1, &dim);
  wb_varint(&dim, 1, (uint64_t)-7);
  wb_part(&shape, 1, &dim);
  wb_part(&shape, 1, &dim);
  wb_varint(&dim, 1, 4);
  wb_text(&dim, 2, "n");  // a oneof: the number is gone
  wb_part(&shape, 1, &dim);
  wb_varint(&tensor, 1, KAPELL_FLOAT);
  wb_part(&tensor, 2, &shape);
  wb_part(&type, 1, &tensor);
  model_with_type(&model, &type);
  kp_onnx_model* const m = read_ok(&model);
  const kp_onnx_type* const t = &m->graph.inputs[0].type;
  const int64_t want[] = {0, -1, -1, -1, -1};
  assert_int_equal(t->rank, 5);
  for (size_t i = 0; i < 5; ++i) assert_int_equal(t->dims[i].value, want[i]);
  assert_true(kp_str_is(t->dims[1].param, "batch"));
  assert_true(kp_str_is(t->dims[4].param, "n"));
  kp_onnx_model_close(m);
}

static void test_unknown_fields(void** state) {
  (void)state;
  kp_strbuf graph = {0}, model = {0};
  wb_text(&graph, 2, "g");
  wb_varint(&graph, 99, 1);
  wb_text(&graph, 100000, "x");
  kp_strbuf_append(&graph, "\x1b\x08\x01\x1c", 4);  // group 3
  wb_varint(&graph, 1, 5);  // node with another wire type: skipped, as protobuf does
  wb_model(&model, &graph);
  kp_onnx_model* const m = read_ok(&model);
  assert_true(kp_str_is(m->graph.name, "g"));
  assert_int_equal(m->graph.node_count, 0);
  kp_onnx_model_close(m);
}

// --- attributes ------------------------------------------------------------------------------------------------------------
static void test_attribute_without_type(void** state) {
  (void)state;
  kp_strbuf attr = {0}, model = {0};
  wb_text(&attr, 1, "alpha");
  wb_f32(&attr, 2, 0.5f);
  model_with_attr(&model, &attr);
  kp_onnx_model* m = read_ok(&model);
  assert_int_equal(m->graph.nodes[0].attrs[0].type, KP_ONNX_ATTR_FLOAT);
  assert_true(m->graph.nodes[0].attrs[0].f == 0.5f);
  kp_onnx_model_close(m);

  wb_text(&attr, 1, "alpha");
  wb_f32(&attr, 2, 0.5f);
  wb_varint(&attr, 3, 2);
  model_with_attr(&model, &attr);
  read_fails_with(&model, NULL, KAPELL_INVALID_MODEL,
                  "graph.node[0].attribute[0].i: one of several values");

  wb_text(&attr, 1, "alpha");
  wb_f32(&attr, 2, 0.5f);
  wb_varint(&attr, 3, 2);
  wb_varint(&attr, 20, KP_ONNX_ATTR_INT);
  model_with_attr(&model, &attr);
  m = read_ok(&model);
  assert_int_equal(m->graph.nodes[0].attrs[0].i, 2);
  assert_true(m->graph.nodes[0].attrs[0].f == 0);
  kp_onnx_model_close(m);
}

static void test_attribute_kinds(void** state) {
  (void)state;
  kp_strbuf attr = {0}, model = {0};
  wb_text(&attr, 1, "body");
  wb_varint(&attr, 20, KP_ONNX_ATTR_GRAPH);
  model_with_attr(&model, &attr);
  read_fails_with(&model, NULL, KAPELL_INVALID_MODEL, "graph.node[0].attribute[0].g: is missing");

  wb_text(&attr, 1, "body");
  wb_varint(&attr, 20, KP_ONNX_ATTR_GRAPH);
  wb_text(&attr, 21, "of_the_caller");
  model_with_attr(&model, &attr);
  kp_onnx_model* const m = read_ok(&model);
  assert_null(m->graph.nodes[0].attrs[0].g);
  kp_onnx_model_close(m);

  wb_text(&attr, 1, "new");
  wb_varint(&attr, 20, 15);
  model_with_attr(&model, &attr);
  read_fails_with(&model, NULL, KAPELL_UNSUPPORTED_MODEL,
                  "graph.node[0].attribute[0]: a kind of attribute");

  kp_strbuf type = {0}, sequence = {0};
  wb_part(&type, 4, &sequence);
  model_with_type(&model, &type);
  read_fails_with(&model, NULL, KAPELL_INVALID_MODEL,
                  "graph.input[0].type.sequence_type.elem_type: is missing");
}

// --- limits and checks -------------------------------------------------------------------------------------------------------
static void nested_graphs(kp_strbuf* model, size_t levels) {
  kp_strbuf graph = {0}, node = {0}, attr = {0};
  wb_text(&graph, 2, "innermost");
  for (size_t i = 0; i < levels; ++i) {
    wb_text(&attr, 1, "body");
    wb_part(&attr, 6, &graph);
    wb_varint(&attr, 20, KP_ONNX_ATTR_GRAPH);
    wb_part(&node, 5, &attr);
    wb_part(&graph, 1, &node);
  }
  wb_model(model, &graph);
}

static void test_depth(void** state) {
  (void)state;
  kp_strbuf model = {0};
  nested_graphs(&model, 60);
  kp_onnx_model_close(read_ok(&model));
  nested_graphs(&model, 70);
  read_fails_with(&model, NULL, KAPELL_LIMIT, "nested too deep");
  nested_graphs(&model, 3000);
  const kp_onnx_read_options options = {.max_depth = SIZE_MAX};
  read_fails_with(&model, &options, KAPELL_LIMIT, "nested too deep");
  nested_graphs(&model, 2);
  const kp_onnx_read_options shallow = {.max_depth = 7};
  read_fails_with(&model, &shallow, KAPELL_LIMIT, "node[0].attribute[0].g.node[0].attribute[0].g");
}

static void test_attribute_limit(void** state) {
  (void)state;
  kp_strbuf node = {0}, graph = {0}, model = {0};
  for (int i = 0; i < 1000 * 1000; ++i) wb_bytes(&node, 5, "", 0);
  wb_part(&graph, 1, &node);
  wb_model(&model, &graph);
  const int64_t before = (int64_t)kp_alloc_total();
  read_fails_with(&model, NULL, KAPELL_LIMIT, "graph.node[0].attribute");
  assert_true((int64_t)kp_alloc_total() - before < 1000);
}

static void test_memory_limit(void** state) {
  (void)state;
  kp_strbuf graph = {0}, model = {0};
  for (int i = 0; i < 100 * 1000; ++i) wb_bytes(&graph, 5, "", 0);
  wb_model(&model, &graph);
  const kp_onnx_read_options options = {.max_memory = 1 << 20};
  read_fails_with(&model, &options, KAPELL_LIMIT, "1048576 bytes");
  for (int i = 0; i < 3 * 1000 * 1000; ++i) wb_bytes(&graph, 5, "", 0);
  wb_model(&model, &graph);
  read_fails_with(&model, NULL, KAPELL_LIMIT, "bytes of memory");  // without an option, too
}

static void test_names(void** state) {
  (void)state;
  kp_strbuf graph = {0}, model = {0};
  wb_bytes(&graph, 2, "a\0b", 3);
  wb_model(&model, &graph);
  read_fails_with(&model, NULL, KAPELL_INVALID_MODEL, "graph.name: a name with a NUL byte");
  wb_bytes(&graph, 10, "a\0b", 3);  // doc_string may hold anything
  wb_bytes(&graph, 2, "caf\xe9", 4);
  wb_model(&model, &graph);
  kp_onnx_model* const m = read_ok(&model);
  assert_int_equal(m->graph.doc.length, 3);
  kp_onnx_model_close(m);
}

static void test_place_and_offset(void** state) {
  (void)state;
  kp_strbuf tensor = {0}, attr = {0}, node = {0}, graph = {0}, model = {0};
  wb_bytes(&tensor, 1, "\x80", 1);
  wb_text(&attr, 1, "value");
  wb_part(&attr, 5, &tensor);
  wb_varint(&attr, 20, KP_ONNX_ATTR_TENSOR);
  wb_text(&node, 4, "Constant");
  wb_part(&graph, 1, &node);
  wb_text(&node, 4, "Constant");
  wb_part(&node, 5, &attr);
  wb_part(&graph, 1, &node);
  wb_model(&model, &graph);
  const char* const bad = memmem(model.data, model.length, "\x0a\x01\x80", 3);
  char words[128];
  snprintf(words, sizeof words, "byte %td, graph.node[1].attribute[0].t.dims: a varint is cut off",
           bad - model.data);
  read_fails_with(&model, NULL, KAPELL_INVALID_MODEL, words);
}

// A message cut at any byte is an error or a shorter message; what is read then must not reach beyond the cut (ASan sees).
static void test_every_truncation(void** state) {
  (void)state;
  kp_strbuf model = {0};
  nested_graphs(&model, 5);
  for (size_t size = 0; size < model.length; ++size) {
    char* const cut = kp_alloc(size);
    memcpy(cut, model.data, size);
    kp_onnx_model* m;
    const kp_onnx_read_options options = {.borrow_bytes = true};
    kp_status_free(kp_onnx_read_bytes(cut, size, &options, &m));
    kp_onnx_model_close(m);
    kp_free(cut);
  }
  kp_strbuf_free(&model);
}

static void test_allocation_failures(void** state) {
  (void)state;
  kp_strbuf model = {0};
  nested_graphs(&model, 4);
  const int64_t live = kp_alloc_live();
  for (uint64_t nth = 1;; ++nth) {
    kp_onnx_model* m;
    kp_alloc_fail_at(nth);
    kp_status* const status = kp_onnx_read_bytes(model.data, model.length, NULL, &m);
    const bool failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (failed) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_onnx_model_close(m);
    assert_int_equal(kp_alloc_live(), live);
    if (!failed) break;
  }
  kp_strbuf_free(&model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_packed_and_single),
      cmocka_unit_test(test_occurrences_of_a_message_are_merged),
      cmocka_unit_test(test_last_member_of_a_oneof),
      cmocka_unit_test(test_dims),
      cmocka_unit_test(test_unknown_fields),
      cmocka_unit_test(test_attribute_without_type),
      cmocka_unit_test(test_attribute_kinds),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_attribute_limit),
      cmocka_unit_test(test_memory_limit),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_place_and_offset),
      cmocka_unit_test(test_every_truncation),
      cmocka_unit_test(test_allocation_failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
