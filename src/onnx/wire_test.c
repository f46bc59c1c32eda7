// Tests of onnx/wire.h: every wire type, groups, cut-off and overlong values, packed fields, spans.
#include "onnx/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/size.h"

#define OPEN(bytes)                                                                        \
  (kp_wire_cursor) {                                                                       \
    (const uint8_t*)(bytes), (const uint8_t*)(bytes) + sizeof(bytes) - 1, NULL, NULL, NULL \
  }

static void test_types(void** state) {
  (void)state;
  kp_wire_cursor c = OPEN("\x08\x96\x01\x11\1\2\3\4\5\6\7\x08\x1a\3abc\x25\1\0\0\x80");
  kp_wire_field f;
  assert_true(kp_wire_next(&c, &f));
  assert_int_equal(f.number, 1);
  assert_int_equal(f.type, KP_WIRE_VARINT);
  assert_int_equal(f.value, 150);
  assert_true(kp_wire_next(&c, &f));
  assert_int_equal(f.type, KP_WIRE_FIXED64);
  assert_true(f.value == UINT64_C(0x0807060504030201));
  assert_true(kp_wire_next(&c, &f));
  assert_int_equal(f.type, KP_WIRE_BYTES);
  assert_int_equal(f.size, 3);
  assert_memory_equal(f.data, "abc", 3);
  assert_true(kp_wire_next(&c, &f));
  assert_int_equal(f.type, KP_WIRE_FIXED32);
  assert_true(f.value == UINT64_C(0x80000001));
  assert_false(kp_wire_next(&c, &f));
  assert_null(c.error);
}

static void test_groups_are_skipped(void** state) {
  (void)state;
  // group 2 { varint 1, group 3 { bytes "x" }, fixed32 } then field 5
  kp_wire_cursor c = OPEN("\x13\x08\x01\x1b\x12\x01x\x1c\x25\0\0\0\0\x14\x28\x07");
  kp_wire_field f;
  assert_true(kp_wire_next(&c, &f));
  assert_int_equal(f.type, KP_WIRE_GROUP);
  assert_int_equal(f.number, 2);
  assert_true(kp_wire_next(&c, &f));
  assert_int_equal(f.number, 5);
  assert_int_equal(f.value, 7);
  assert_false(kp_wire_next(&c, &f));
}

// Walks to the end; what is malformed, or "".
static const char* error_of(const void* bytes, size_t size) {
  kp_wire_cursor c = {bytes, (const uint8_t*)bytes + size, NULL, NULL, NULL};
  kp_wire_field f;
  while (kp_wire_next(&c, &f)) {
  }
  return c.error ? c.error : "";
}
#define ERROR_OF(bytes) error_of(bytes, sizeof(bytes) - 1)

static void test_malformed(void** state) {
  (void)state;
  assert_non_null(strstr(ERROR_OF("\x80"), "tag"));
  assert_non_null(strstr(ERROR_OF("\xff\xff\xff\xff\x1f\x00"), "32 bits"));
  assert_non_null(strstr(ERROR_OF("\x88\x80\x80\x80\x80\x00\x01"), "32 bits"));
  assert_non_null(strstr(ERROR_OF("\x00\x01"), "field number 0"));
  assert_non_null(strstr(ERROR_OF("\x08"), "varint"));
  assert_non_null(strstr(ERROR_OF("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), "varint"));
  assert_string_equal(ERROR_OF("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "");
  assert_non_null(strstr(ERROR_OF("\x09\1\2\3\4\5\6\7"), "64-bit"));
  assert_non_null(strstr(ERROR_OF("\x0d\1\2\3"), "32-bit"));
  assert_non_null(strstr(ERROR_OF("\x0a\x03xy"), "past the end"));
  assert_non_null(strstr(ERROR_OF("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "past the end"));
  assert_non_null(strstr(ERROR_OF("\x0b\x08\x01"), "no end"));
  assert_non_null(strstr(ERROR_OF("\x0b\x14"), "another number"));
  assert_non_null(strstr(ERROR_OF("\x0c"), "wire type"));
  assert_non_null(strstr(ERROR_OF("\x0e\x00"), "wire type"));
  char deep[200];
  memset(deep, 0x0b, sizeof deep);
  assert_non_null(strstr(error_of(deep, sizeof deep), "too deep"));
}

static void test_packed(void** state) {
  (void)state;
  const uint8_t varints[] = {0x01, 0xff, 0xff, 0x03, 0x80, 0x00};
  size_t count;
  assert_null(kp_wire_count_packed(varints, sizeof varints, KP_WIRE_VARINT, &count));
  assert_int_equal(count, 3);
  const uint8_t* at = varints;
  assert_int_equal(kp_wire_packed_next(&at, varints + sizeof varints, KP_WIRE_VARINT), 1);
  assert_int_equal(kp_wire_packed_next(&at, varints + sizeof varints, KP_WIRE_VARINT), 65535);
  assert_int_equal(kp_wire_packed_next(&at, varints + sizeof varints, KP_WIRE_VARINT), 0);
  assert_ptr_equal(at, varints + sizeof varints);
  assert_non_null(kp_wire_count_packed(varints, 2, KP_WIRE_VARINT, &count));
  const uint8_t overlong[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
  assert_non_null(kp_wire_count_packed(overlong, sizeof overlong, KP_WIRE_VARINT, &count));
  assert_null(kp_wire_count_packed(varints, 4, KP_WIRE_FIXED32, &count));
  assert_int_equal(count, 1);
  assert_non_null(kp_wire_count_packed(varints, 6, KP_WIRE_FIXED32, &count));
  assert_non_null(kp_wire_count_packed(varints, 6, KP_WIRE_FIXED64, &count));
}

static void test_spans(void** state) {
  (void)state;
  const uint8_t a[] = {0x08, 1}, b[] = {0x08, 2};
  const kp_wire_span last = {b, b + 2, NULL}, empty = {a, a, &last}, first = {a, a + 2, &empty};
  kp_wire_cursor c = kp_wire_open(&first);
  kp_wire_field f;
  for (uint64_t i = 1; i <= 2; ++i) {
    assert_true(kp_wire_next(&c, &f));
    assert_int_equal(f.value, i);
  }
  assert_false(kp_wire_next(&c, &f));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_types),     cmocka_unit_test(test_groups_are_skipped),
      cmocka_unit_test(test_malformed), cmocka_unit_test(test_packed),
      cmocka_unit_test(test_spans),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
