// Tests of onnx/data.h: every kind of value through a file and back, and files whose parts do not fit together. Against the onnx
// package: test/py/test_onnx_data.py.
#include "onnx/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "onnx/data_messages.h"
#include "support/wire_build.h"

// --- making values -------------------------------------------------------------------------------------------------------
static kapell_value* vector_of(kapell_type type, int64_t count, const void* data) {
  kapell_value* value;
  assert_null(kp_value_create_tensor(type, &count, 1, &value));
  memcpy(value->data, data, value->byte_count);
  return value;
}

static kapell_value* scalar_of(float number) {
  kapell_value* value;
  assert_null(kp_value_create_tensor(KAPELL_FLOAT, NULL, 0, &value));
  memcpy(value->data, &number, sizeof number);
  return value;
}

static kapell_value* strings_of(int64_t count, const char* const* texts) {
  kapell_value* value;
  assert_null(kp_value_create_tensor(KAPELL_STRING, &count, 1, &value));
  for (int64_t i = 0; i < count; ++i)
    assert_null(kp_value_set_string(value, (size_t)i, kp_str_of(texts[i])));
  return value;
}

// Takes both items.
static kapell_value* sequence_of(kapell_value* a, kapell_value* b) {
  kapell_value* sequence;
  assert_null(kp_value_create_sequence(&sequence));
  assert_null(kp_value_sequence_append(sequence, a));
  assert_null(kp_value_sequence_append(sequence, b));
  kp_value_release(a);
  kp_value_release(b);
  return sequence;
}

static kapell_value* map_of(kapell_value* keys, kapell_value* values) {
  kapell_value* map;
  assert_null(kp_value_create_map(keys, values, &map));
  kp_value_release(keys);
  kp_value_release(values);
  return map;
}

static kapell_value* optional_of(kapell_value* item) {
  kapell_value* optional;
  assert_null(kp_value_create_optional(item, &optional));
  kp_value_release(item);
  return optional;
}

// Writes |value| (released), reads it, and compares.
static void assert_survives(kapell_value* value) {
  void* bytes;
  size_t size;
  kp_status* status = kp_onnx_write_value(value, "v", &bytes, &size);
  if (status) print_error("%s\n", kp_status_text(status));
  assert_null(status);
  kapell_value* again;
  status = kp_onnx_read_value(value->kind, bytes, size, &again);
  if (status) print_error("%s\n", kp_status_text(status));
  assert_null(status);
  assert_true(kp_value_equal(value, again));
  kp_free(bytes);
  kp_value_release(again);
  kp_value_release(value);
}

static void test_tensors(void** state) {
  (void)state;
  const char* const texts[] = {"", "a", "longer text"};
  const uint8_t codes[] = {1, 63, 0, 32, 17};
  assert_survives(scalar_of(2.5f));
  assert_survives(strings_of(3, texts));
  assert_survives(vector_of(KAPELL_FLOAT6E2M3, 5, codes));
  assert_survives(vector_of(KAPELL_FLOAT6E3M2, 2, codes));
  assert_survives(vector_of(KAPELL_INT4, 5, "\x21\x43\x05"));
  assert_survives(vector_of(KAPELL_INT64, 0, ""));
}

static void test_sparse(void** state) {
  (void)state;
  const int64_t indices[] = {1, 5}, dims[] = {2, 3};
  kapell_value *values = vector_of(KAPELL_INT16, 2, "\1\0\2\0"),
               *at = vector_of(KAPELL_INT64, 2, indices), *sparse;
  assert_null(kp_value_create_sparse(values, at, dims, 2, &sparse));
  kp_value_release(values);
  kp_value_release(at);
  assert_survives(sparse);
}

static void test_sequences_and_optionals(void** state) {
  (void)state;
  const char* const texts[] = {"a", "b"};
  kapell_value* empty;
  assert_null(kp_value_create_sequence(&empty));
  assert_survives(empty);
  assert_survives(sequence_of(scalar_of(1), vector_of(KAPELL_FLOAT, 2, "12345678")));
  assert_survives(sequence_of(sequence_of(scalar_of(1), scalar_of(2)),
                              sequence_of(scalar_of(1), scalar_of(2))));
  assert_survives(optional_of(NULL));
  assert_survives(optional_of(scalar_of(3)));
  assert_survives(optional_of(sequence_of(scalar_of(1), scalar_of(2))));
  assert_survives(sequence_of(optional_of(NULL), optional_of(strings_of(2, texts))));
  assert_survives(optional_of(optional_of(NULL)));
}

static void test_maps(void** state) {
  (void)state;
  const char* const texts[] = {"a", "b"};
  const int64_t keys[] = {-1, 7};
  const float values[] = {0.5f, 2};
  assert_survives(map_of(vector_of(KAPELL_INT64, 2, keys), vector_of(KAPELL_FLOAT, 2, values)));
  assert_survives(map_of(strings_of(2, texts), strings_of(2, texts)));
  assert_survives(map_of(vector_of(KAPELL_INT8, 2, "\xff\7"), vector_of(KAPELL_FLOAT, 2, values)));
  assert_survives(map_of(strings_of(2, texts), sequence_of(vector_of(KAPELL_UINT8, 1, "1"),
                                                           vector_of(KAPELL_UINT8, 2, "12"))));
  kapell_value* const map = map_of(strings_of(2, texts), vector_of(KAPELL_FLOAT, 2, values));
  assert_survives(sequence_of(kp_value_retain(map), map));
}

// --- files that do not fit together ---------------------------------------------------------------------------------------------
static void assert_refused(kapell_kind kind, kp_strbuf* bytes, kapell_code code,
                           const char* words) {
  kapell_value* value;
  kp_status* const status = kp_onnx_read_value(kind, bytes->data, bytes->length, &value);
  assert_non_null(status);
  assert_null(value);
  if (kp_status_code(status) != code || !strstr(kp_status_text(status), words))
    print_error("%s\n", kp_status_text(status));
  assert_int_equal(kp_status_code(status), code);
  assert_non_null(strstr(kp_status_text(status), words));
  kp_status_free(status);
  kp_strbuf_free(bytes);
}

static void test_refused(void** state) {
  (void)state;
  kp_strbuf bytes = {0}, part = {0};
  wb_varint(&bytes, 2, KP_ONNX_DATA_MAP);
  wb_part(&bytes, 3, &part);
  assert_refused(KAPELL_KIND_SEQUENCE, &bytes, KAPELL_INVALID_MODEL, "elem_type, 4, does not fit");
  wb_varint(&bytes, 2, KAPELL_FLOAT);
  assert_refused(KAPELL_KIND_MAP, &bytes, KAPELL_INVALID_MODEL, "without values");
  wb_varint(&bytes, 2, KAPELL_FLOAT);
  wb_part(&bytes, 5, &part);
  assert_refused(KAPELL_KIND_MAP, &bytes, KAPELL_INVALID_MODEL, "keys of a map are of type FLOAT");
  wb_varint(&bytes, 2, KAPELL_INT64);
  wb_varint(&bytes, 3, 1);
  wb_part(&bytes, 5, &part);
  assert_refused(KAPELL_KIND_MAP, &bytes, KAPELL_INVALID_MODEL, "a map of 1 keys and 0 values");
  for (int i = 0; i < 40; ++i) wb_varint(&bytes, 1, 1);
  wb_varint(&bytes, 2, KAPELL_INT8);
  wb_text(&bytes, 9, "x");
  assert_refused(KAPELL_KIND_TENSOR, &bytes, KAPELL_INVALID_MODEL, "rank 40");
  wb_varint(&bytes, 2, KP_ONNX_DATA_TENSOR);
  wb_varint(&part, 2, KAPELL_INT8);
  wb_part(&bytes, 3, &part);
  assert_refused(KAPELL_KIND_SEQUENCE, &bytes, KAPELL_INVALID_MODEL, "item 0 of a sequence");
  wb_varint(&bytes, 2, 9);
  assert_refused(KAPELL_KIND_OPTIONAL, &bytes, KAPELL_UNSUPPORTED_MODEL, "elem_type 9");
  wb_bytes(&bytes, 5, "\x80", 1);
  assert_refused(KAPELL_KIND_TENSOR, &bytes, KAPELL_INVALID_MODEL, "int32_data");
  wb_varint(&part, 1, 1);
  wb_varint(&part, 2, KAPELL_INT8);
  wb_text(&part, 9, "x");
  wb_part(&bytes, 1, &part);
  wb_varint(&bytes, 3, 4);  // values, but no indices
  assert_refused(KAPELL_KIND_SPARSE, &bytes, KAPELL_INVALID_MODEL, "the element type is missing");
  assert_refused(KAPELL_KIND_NONE, &bytes, KAPELL_INVALID_ARGUMENT, "kind 0");
}

static void test_deep_optionals(void** state) {
  (void)state;
  kp_strbuf bytes = {0};
  for (int i = 0; i < 10000; ++i) {
    kp_strbuf outer = {0};
    wb_varint(&outer, 2, KP_ONNX_DATA_OPTIONAL);
    wb_part(&outer, 7, &bytes);
    bytes = outer;
    if (bytes.length > 30000) break;
  }
  assert_refused(KAPELL_KIND_OPTIONAL, &bytes, KAPELL_LIMIT, "nested too deep");
}

static void test_allocation_failures(void** state) {
  (void)state;
  const char* const texts[] = {"a", "b"};
  kapell_value* const value = sequence_of(map_of(strings_of(2, texts), strings_of(2, texts)),
                                          map_of(strings_of(2, texts), strings_of(2, texts)));
  void* bytes;
  size_t size;
  assert_null(kp_onnx_write_value(value, NULL, &bytes, &size));
  const int64_t live = kp_alloc_live();
  bool failed = true;
  for (uint64_t nth = 1; failed; ++nth) {
    kapell_value* again;
    void* second = NULL;
    size_t second_size;
    kp_alloc_fail_at(nth);
    kp_status* status = kp_onnx_read_value(KAPELL_KIND_SEQUENCE, bytes, size, &again);
    if (!status) status = kp_onnx_write_value(again, NULL, &second, &second_size);
    failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (failed) assert_int_equal(kp_status_code(status), KAPELL_OUT_OF_MEMORY);
    kp_status_free(status);
    kp_value_release(again);
    kp_free(second);
    assert_int_equal(kp_alloc_live(), live);
  }
  kp_free(bytes);
  kp_value_release(value);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tensors),
      cmocka_unit_test(test_sparse),
      cmocka_unit_test(test_sequences_and_optionals),
      cmocka_unit_test(test_maps),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_deep_optionals),
      cmocka_unit_test(test_allocation_failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
