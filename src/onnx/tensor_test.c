// Tests of a tensor's data (onnx/reader.h): layouts of every storage form, ranges, sizes, alignment, sparse tensors. All element
// types against the onnx package: test/py/test_onnx_reader.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/size.h"
#include "onnx/reader.h"
#include "onnx/writer.h"
#include "support/wire_build.h"

static kp_arena arena;

// A tensor without data.
static kp_strbuf tensor_of(int type, size_t rank, const int64_t* dims) {
  kp_strbuf bytes = {0};
  for (size_t i = 0; i < rank; ++i) wb_varint(&bytes, 1, (uint64_t)dims[i]);
  wb_varint(&bytes, 2, (uint64_t)type);
  wb_text(&bytes, 8, "w");
  return bytes;
}
#define TENSOR(type, ...) \
  tensor_of(type, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static kp_onnx_tensor parse(const kp_strbuf* bytes) {
  kp_onnx_tensor tensor;
  kp_status* const status = kp_onnx_read_tensor(bytes->data, bytes->length, &arena, &tensor);
  assert_null(status);
  return tensor;
}

// Frees |bytes|.
static void assert_data(kp_strbuf* bytes, const void* want, size_t size) {
  const kp_onnx_tensor tensor = parse(bytes);
  const void* data;
  size_t byte_count;
  void* owned;
  kp_status* const status = kp_onnx_tensor_bytes(NULL, &tensor, &data, &byte_count, &owned);
  if (status) print_error("%s\n", kp_status_text(status));
  assert_null(status);
  assert_int_equal(byte_count, size);
  if (size) assert_memory_equal(data, want, size);
  kp_free(owned);
  kp_strbuf_free(bytes);
}

static void assert_fails(kp_strbuf* bytes, kapell_code code, const char* words) {
  const kp_onnx_tensor tensor = parse(bytes);
  const void* data;
  size_t byte_count;
  void* owned;
  kp_status* const status = kp_onnx_tensor_bytes(NULL, &tensor, &data, &byte_count, &owned);
  assert_non_null(status);
  if (kp_status_code(status) != code || !strstr(kp_status_text(status), words))
    print_error("%s\n", kp_status_text(status));
  assert_int_equal(kp_status_code(status), code);
  assert_non_null(strstr(kp_status_text(status), words));
  assert_non_null(strstr(kp_status_text(status), "tensor 'w'"));
  assert_null(owned);
  kp_status_free(status);
  kp_strbuf_free(bytes);
}

static void test_raw(void** state) {
  (void)state;
  kp_strbuf t = TENSOR(KAPELL_INT16, 2);
  wb_bytes(&t, 9, "\1\2\3\4", 4);
  assert_data(&t, "\1\2\3\4", 4);
  t = TENSOR(KAPELL_INT16, 2);
  wb_bytes(&t, 9, "\1\2\3", 3);
  assert_fails(&t, KAPELL_INVALID_MODEL, "raw_data has 3 bytes; type and shape need 4");
  t = TENSOR(KAPELL_INT4, 3);
  wb_bytes(&t, 9, "\x21\x03", 2);
  assert_data(&t, "\x21\x03", 2);
  t = TENSOR(KAPELL_UINT2, 5);
  wb_bytes(&t, 9, "\xe4\x01\x00", 3);
  assert_fails(&t, KAPELL_INVALID_MODEL, "need 2");
  t = TENSOR(KAPELL_FLOAT, 0, 1000000);
  wb_bytes(&t, 9, "", 0);
  assert_data(&t, "", 0);
  t = TENSOR(KAPELL_FLOAT, 2);
  wb_bytes(&t, 9, "12345678", 8);
  wb_f32(&t, 4, 1);  // raw_data goes first
  assert_data(&t, "12345678", 8);
}

static void test_six_bit(void** state) {
  (void)state;
  // Codes 1, 2, 3, 63, 32 in 24-bit groups, least significant bits first.
  kp_strbuf t = TENSOR(KAPELL_FLOAT6E2M3, 5);
  wb_bytes(&t, 9, "\x81\x30\xfc\x20", 4);
  assert_data(&t, "\1\2\3\x3f\x20", 5);
  t = TENSOR(KAPELL_FLOAT6E3M2, 5);
  wb_bytes(&t, 9, "\x81\x30\xfc\x20\x00", 5);
  assert_fails(&t, KAPELL_INVALID_MODEL, "need 4");
  t = TENSOR(KAPELL_FLOAT6E3M2, 2);
  wb_bytes(&t, 5, "\x3f\x01", 2);
  assert_data(&t, "\x3f\x01", 2);
  t = TENSOR(KAPELL_FLOAT6E3M2, 2);
  wb_bytes(&t, 5, "\x40\x01", 2);
  assert_fails(&t, KAPELL_INVALID_MODEL, "item 0 of its typed field is 64");
}

static void test_bool(void** state) {
  (void)state;
  kp_strbuf t = TENSOR(KAPELL_BOOL, 4);
  wb_bytes(&t, 9, "\0\1\2\xff", 4);
  assert_data(&t, "\0\1\1\1", 4);
  t = TENSOR(KAPELL_BOOL, 2);
  wb_bytes(&t, 5, "\1\0", 2);
  assert_data(&t, "\1\0", 2);
  t = TENSOR(KAPELL_BOOL, 1);
  wb_varint(&t, 5, 2);
  assert_fails(&t, KAPELL_INVALID_MODEL, "out of the type's range");
}

static void test_typed_integers(void** state) {
  (void)state;
  kp_strbuf t = TENSOR(KAPELL_INT8, 3);
  wb_varint(&t, 5, (uint64_t)-128);
  wb_bytes(&t, 5, "\x7f", 1);
  wb_varint(&t, 5, 0);
  assert_data(&t, "\x80\x7f\0", 3);
  const struct {
    int type;
    int64_t value;
  } bad[] = {{KAPELL_INT8, 128},      {KAPELL_INT8, -129},   {KAPELL_UINT8, -1},
             {KAPELL_UINT8, 256},     {KAPELL_INT16, 40000}, {KAPELL_UINT16, 65536},
             {KAPELL_FLOAT16, 65536}, {KAPELL_INT4, 256}};
  for (size_t i = 0; i < KP_COUNT_OF(bad); ++i) {
    t = TENSOR(bad[i].type, 1);
    wb_varint(&t, 5, (uint64_t)bad[i].value);
    assert_fails(&t, KAPELL_INVALID_MODEL, "out of the type's range");
  }
  t = TENSOR(KAPELL_UINT32, 2);
  wb_varint(&t, 11, UINT32_MAX);
  wb_varint(&t, 11, 7);
  assert_data(&t, "\xff\xff\xff\xff\7\0\0\0", 8);
  t = TENSOR(KAPELL_UINT32, 1);
  wb_varint(&t, 11, (uint64_t)UINT32_MAX + 1);
  assert_fails(&t, KAPELL_INVALID_MODEL, "out of the type's range");
  t = TENSOR(KAPELL_UINT64, 1);
  wb_varint(&t, 11, UINT64_MAX);
  assert_data(&t, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
  t = TENSOR(KAPELL_UINT4, 3);
  wb_bytes(&t, 5, "\x21\x03", 2);
  assert_data(&t, "\x21\x03", 2);
}

static void test_typed_floats(void** state) {
  (void)state;
  const float want[] = {1, 2, 3};
  kp_strbuf t = TENSOR(KAPELL_FLOAT, 3);
  wb_bytes(&t, 4, want, sizeof want);
  assert_data(&t, want, sizeof want);
  t = TENSOR(KAPELL_FLOAT, 3);
  for (int i = 0; i < 3; ++i) wb_f32(&t, 4, want[i]);
  assert_data(&t, want, sizeof want);
  t = TENSOR(KAPELL_COMPLEX64, 1);
  wb_bytes(&t, 4, want, 8);
  assert_data(&t, want, 8);
  const double wide[] = {1, -2};
  t = TENSOR(KAPELL_COMPLEX128, 1);
  wb_f64(&t, 10, wide[0]);
  wb_f64(&t, 10, wide[1]);
  assert_data(&t, wide, sizeof wide);
  t = TENSOR(KAPELL_FLOAT, 3);
  wb_bytes(&t, 4, want, 8);
  assert_fails(&t, KAPELL_INVALID_MODEL, "2 items in its typed field; type and shape need 3");
  t = TENSOR(KAPELL_FLOAT, 1);
  wb_varint(&t, 5, 1);
  assert_fails(&t, KAPELL_INVALID_MODEL, "in the field of another type");
  t = TENSOR(KAPELL_FLOAT, 1);
  assert_fails(&t, KAPELL_INVALID_MODEL, "0 items");
}

static void test_alignment(void** state) {
  (void)state;
  for (size_t shift = 0; shift < 8; ++shift) {
    const double want = 42.5;
    kp_strbuf t = {0};
    wb_bytes(&t, 12, "shiftshift", shift);
    wb_varint(&t, 2, KAPELL_DOUBLE);
    wb_bytes(&t, 9, &want, sizeof want);
    const kp_onnx_tensor tensor = parse(&t);
    const void* data;
    size_t size;
    void* owned;
    assert_null(kp_onnx_tensor_bytes(NULL, &tensor, &data, &size, &owned));
    assert_int_equal((uintptr_t)data % 8, 0);
    assert_true((owned == NULL) == ((uintptr_t)tensor.raw.data % 8 == 0));
    assert_memory_equal(data, &want, sizeof want);
    kp_free(owned);
    kp_strbuf_free(&t);
  }
}

static void test_shapes(void** state) {
  (void)state;
  kp_strbuf t = TENSOR(KAPELL_FLOAT, 3, -1);
  assert_fails(&t, KAPELL_INVALID_MODEL, "dimension 1 is -1");
  t = TENSOR(KAPELL_FLOAT, INT64_C(1) << 40, INT64_C(1) << 40);
  assert_fails(&t, KAPELL_INVALID_MODEL, "more elements than");
  t = TENSOR(KAPELL_DOUBLE, INT64_C(1) << 62);
  assert_fails(&t, KAPELL_INVALID_MODEL, "more bytes than");
  t = TENSOR(KAPELL_DOUBLE, INT64_C(1) << 50);
  assert_fails(&t, KAPELL_INVALID_MODEL, "0 items");
  t = TENSOR(KAPELL_DOUBLE, INT64_C(1) << 40, 0, INT64_C(1) << 40);
  assert_data(&t, "", 0);
  t = TENSOR(99, 1);
  assert_fails(&t, KAPELL_UNSUPPORTED_MODEL, "element type 99");
  t = TENSOR(0, 1);
  assert_fails(&t, KAPELL_INVALID_MODEL, "element type is missing");
  t = TENSOR(-5, 1);
  assert_fails(&t, KAPELL_UNSUPPORTED_MODEL, "element type -5");
  t = TENSOR(KAPELL_FLOAT, 1);
  wb_bytes(&t, 3, "\x08\x01", 2);
  assert_fails(&t, KAPELL_UNSUPPORTED_MODEL, "segments");
  t = TENSOR(KAPELL_FLOAT, 1);
  wb_varint(&t, 14, 1);
  assert_fails(&t, KAPELL_EXTERNAL_DATA, "without a location");
}

static void test_strings(void** state) {
  (void)state;
  kp_strbuf t = TENSOR(KAPELL_STRING, 2);
  wb_bytes(&t, 6, "a\0b", 3);
  wb_bytes(&t, 6, "", 0);
  kp_onnx_tensor tensor = parse(&t);
  const kp_str* strings;
  size_t count;
  assert_null(kp_onnx_tensor_strings(&tensor, &strings, &count));
  assert_int_equal(count, 2);
  assert_int_equal(strings[0].length, 3);
  assert_fails(&t, KAPELL_INVALID_MODEL, "has strings");
  t = TENSOR(KAPELL_STRING, 3);
  wb_text(&t, 6, "a");
  tensor = parse(&t);
  kp_status* const status = kp_onnx_tensor_strings(&tensor, &strings, &count);
  assert_non_null(strstr(kp_status_text(status), "string_data has 1 strings; the shape needs 3"));
  kp_status_free(status);
  kp_strbuf_free(&t);
}

// --- sparse tensors ------------------------------------------------------------------------------------------------------
static const int64_t dims_2x3[] = {2, 3};

static kp_onnx_sparse sparse_of(const int32_t* values, const int64_t* nnz, const int64_t* indices,
                                const int64_t* index_dims, size_t index_rank) {
  size_t index_count = 1;
  for (size_t i = 0; i < index_rank; ++i) index_count *= (size_t)index_dims[i];
  return (kp_onnx_sparse){.values = {.name = kp_str_of("w"),
                                     .type = KAPELL_INT32,
                                     .dims = nnz,
                                     .rank = 1,
                                     .has_raw = true,
                                     .raw = {(const char*)values, (size_t)*nnz * 4}},
                          .indices = {.type = KAPELL_INT64,
                                      .dims = index_dims,
                                      .rank = index_rank,
                                      .has_raw = true,
                                      .raw = {(const char*)indices, index_count * 8}},
                          .dims = dims_2x3,
                          .rank = 2};
}

static void assert_dense(const kp_onnx_sparse* sparse, const int32_t* want) {
  void* dense;
  size_t size;
  assert_null(kp_onnx_sparse_dense(NULL, sparse, 24, &dense, &size));
  assert_int_equal(size, 24);
  assert_memory_equal(dense, want, 24);
  kp_free(dense);
}

static void assert_sparse_fails(const kp_onnx_sparse* sparse, size_t limit, const char* words) {
  void* dense;
  size_t size;
  kp_status* const status = kp_onnx_sparse_dense(NULL, sparse, limit, &dense, &size);
  assert_non_null(status);
  assert_non_null(strstr(kp_status_text(status), words));
  assert_non_null(strstr(kp_status_text(status), "sparse tensor 'w'"));
  assert_null(dense);
  kp_status_free(status);
}

static void test_sparse(void** state) {
  (void)state;
  const int32_t values[] = {5, 7}, want[] = {0, 5, 0, 0, 0, 7};
  const int64_t nnz = 2, linear[] = {1, 5}, pairs[] = {0, 1, 1, 2}, pair_dims[] = {2, 2};
  kp_onnx_sparse s = sparse_of(values, &nnz, linear, &nnz, 1);
  assert_dense(&s, want);
  assert_sparse_fails(&s, 23, "takes 24 bytes; 23 are allowed");
  s = sparse_of(values, &nnz, pairs, pair_dims, 2);
  assert_dense(&s, want);
  const int8_t narrow[] = {1, 5};
  s = sparse_of(values, &nnz, linear, &nnz, 1);
  s.indices.type = KAPELL_INT8;
  s.indices.raw = (kp_str){(const char*)narrow, sizeof narrow};
  assert_dense(&s, want);
  const int16_t low[] = {1, -1};
  s.indices.type = KAPELL_INT16;
  s.indices.raw = (kp_str){(const char*)low, sizeof low};
  assert_sparse_fails(&s, 24, "index 1 is -1");
  s.indices.type = KAPELL_UINT8;
  s.indices.raw = (kp_str){(const char*)narrow, sizeof narrow};
  assert_sparse_fails(&s, 24, "not of type INT64");
  const int64_t outside[] = {1, 6}, negative[] = {-1, 5}, bad_pair[] = {0, 3, 1, 2},
                bad_dims[] = {1, 4};
  s = sparse_of(values, &nnz, outside, &nnz, 1);
  assert_sparse_fails(&s, 24, "index 1 is 6");
  s = sparse_of(values, &nnz, negative, &nnz, 1);
  assert_sparse_fails(&s, 24, "index 0 is -1");
  s = sparse_of(values, &nnz, bad_pair, pair_dims, 2);
  assert_sparse_fails(&s, 24, "index 0 is 3 on axis 1 of 3");
  s = sparse_of(values, &nnz, pairs, bad_dims, 2);
  assert_sparse_fails(&s, 24, "neither [2] nor [2, 2]");
}

static int free_arena(void** state) {
  (void)state;
  kp_arena_free(&arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_raw),          cmocka_unit_test(test_six_bit),
      cmocka_unit_test(test_bool),         cmocka_unit_test(test_typed_integers),
      cmocka_unit_test(test_typed_floats), cmocka_unit_test(test_alignment),
      cmocka_unit_test(test_shapes),       cmocka_unit_test(test_strings),
      cmocka_unit_test(test_sparse),
  };
  return cmocka_run_group_tests(tests, NULL, free_arena);
}
