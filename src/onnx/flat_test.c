// Tests of onnx/flat.h: well-formed and malformed buffers, by hand.
#include "onnx/flat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

// A reference to a table at 12 with its vtable at 4 (two slots: a byte at +4, a reference at +8 to a vector of 3 at 24).
static const uint8_t sample[] = {12,   0, 0, 0, 8, 0, 12, 0, 4, 0, 8, 0, 8,   0,   0,  0,
                                 0xfe, 0, 0, 0, 4, 0, 0,  0, 3, 0, 0, 0, 'a', 'b', 'c'};

static void test_well_formed(void** state) {
  (void)state;
  const kp_flat flat = {sample, sizeof sample};
  kp_flat_table table;
  kp_flat_vector vector;
  size_t at;
  assert_null(kp_flat_get_table(&flat, 0, &table));
  assert_int_equal(table.at, 12);
  assert_int_equal(table.slot_count, 2);
  assert_null(kp_flat_find(&flat, &table, 0, 1, &at));
  assert_int_equal(at, 16);
  assert_int_equal(kp_flat_number(sample + at, 1), -2);
  assert_int_equal(kp_flat_number(sample + at, 4), 0xfe);
  assert_null(kp_flat_find(&flat, &table, 2, 4, &at));  // beyond the vtable: left out
  assert_int_equal(at, 0);
  assert_null(kp_flat_find(&flat, &table, 1, 4, &at));
  assert_null(kp_flat_get_vector(&flat, at, 1, &vector));
  assert_int_equal(vector.at, 28);
  assert_int_equal(vector.count, 3);
}

// |sample| with |value| of |width| bytes at |at|, of which the first |size| bytes are there.
static kp_flat changed(uint8_t* copy, size_t size, size_t at, uint32_t value, size_t width) {
  memcpy(copy, sample, sizeof sample);
  memcpy(copy + at, &value, width);
  return (kp_flat){copy, size};
}

static void assert_table_fails(size_t size, size_t at, uint32_t value, size_t width,
                               const char* words) {
  uint8_t copy[sizeof sample];
  const kp_flat flat = changed(copy, size, at, value, width);
  kp_flat_table table;
  const char* const error = kp_flat_get_table(&flat, 0, &table);
  assert_non_null(error);
  assert_non_null(strstr(error, words));
}

static void test_malformed_tables(void** state) {
  (void)state;
  assert_table_fails(3, 0, 12, 4, "reference beyond the end");
  assert_table_fails(sizeof sample, 0, 0, 4, "reference to nothing");
  assert_table_fails(sizeof sample, 0, 28, 4, "leads beyond the end");
  assert_table_fails(sizeof sample, 0, UINT32_MAX, 4, "leads beyond the end");  // does not wrap
  assert_table_fails(15, 0, 12, 4, "leads beyond the end");
  assert_table_fails(sizeof sample, 12, 13, 4, "vtable lies outside");  // before the file
  assert_table_fails(sizeof sample, 12, (uint32_t)-16, 4, "vtable lies outside");  // 28 + 4 of 31
  assert_table_fails(sizeof sample, 12, 0x80000000u, 4, "vtable lies outside");
  assert_table_fails(sizeof sample, 4, 3, 2, "vtable is cut off");
  assert_table_fails(sizeof sample, 4, 9, 2, "vtable is cut off");
  assert_table_fails(sizeof sample, 4, 28, 2, "vtable is cut off");
  assert_table_fails(sizeof sample, 6, 3, 2, "table that is cut off");
  assert_table_fails(sizeof sample, 6, 20, 2, "table that is cut off");
}

static void assert_slot_fails(uint32_t offset, size_t width) {
  uint8_t copy[sizeof sample];
  const kp_flat flat = changed(copy, sizeof sample, 10, offset, 2);
  kp_flat_table table;
  size_t at;
  assert_null(kp_flat_get_table(&flat, 0, &table));
  const char* const error = kp_flat_find(&flat, &table, 1, width, &at);
  assert_non_null(error);
  assert_non_null(strstr(error, "outside of its table"));
}

static void test_malformed_fields(void** state) {
  (void)state;
  assert_slot_fails(3, 1);  // in the reference to the vtable
  assert_slot_fails(9, 4);
  assert_slot_fails(8, 8);
  assert_slot_fails(13, 1);
  assert_slot_fails(0xffff, 1);
}

static void test_malformed_vectors(void** state) {
  (void)state;
  uint8_t copy[sizeof sample];
  kp_flat_vector vector;
  kp_flat flat = changed(copy, sizeof sample, 24, 4, 4);
  assert_non_null(strstr(kp_flat_get_vector(&flat, 20, 1, &vector), "more elements"));
  flat = changed(copy, sizeof sample, 24, UINT32_MAX, 4);
  assert_non_null(strstr(kp_flat_get_vector(&flat, 20, 8, &vector), "more elements"));
  flat = changed(copy, sizeof sample, 24, 1, 4);
  assert_non_null(strstr(kp_flat_get_vector(&flat, 20, 4, &vector), "more elements"));
  flat = changed(copy, 27, 24, 0, 4);
  assert_non_null(strstr(kp_flat_get_vector(&flat, 20, 1, &vector), "leads beyond"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_well_formed),
      cmocka_unit_test(test_malformed_tables),
      cmocka_unit_test(test_malformed_fields),
      cmocka_unit_test(test_malformed_vectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
