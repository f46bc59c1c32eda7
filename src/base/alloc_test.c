// Tests of base/alloc.h: sizes, alignment, counters and the ordered failure.
#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void test_zero_size_is_freeable(void** state) {
  (void)state;
  void* const pieces[] = {kp_alloc(0), kp_alloc_zero(0, 8), kp_alloc_array(8, 0),
                          kp_alloc_aligned(0, 64)};
  for (size_t i = 0; i < 4; ++i) {
    assert_non_null(pieces[i]);
    kp_free(pieces[i]);
  }
  kp_free(NULL);
}

static void test_overflow_is_refused(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  assert_null(kp_alloc_array(SIZE_MAX / 4 + 1, 4));
  assert_null(kp_alloc_zero(SIZE_MAX, 2));
  assert_null(kp_alloc(SIZE_MAX));
  assert_null(kp_alloc_aligned(SIZE_MAX - 8, 64));
  assert_null(kp_strndup("x", SIZE_MAX));
  assert_int_equal(kp_alloc_live(), live);
}

static void test_alignment(void** state) {
  (void)state;
  for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    char* piece = kp_alloc_aligned(100, alignment);
    assert_non_null(piece);
    assert_int_equal((uintptr_t)piece % alignment, 0);
    memset(piece, 1, 100);
    kp_free(piece);
  }
}

static void test_zeroed(void** state) {
  (void)state;
  unsigned char* bytes = kp_alloc_zero(1000, 3);
  for (size_t i = 0; i < 3000; ++i) assert_int_equal(bytes[i], 0);
  kp_free(bytes);
}

static void test_realloc_keeps_old_on_failure(void** state) {
  (void)state;
  char* text = kp_strdup("kept");
  assert_null(kp_realloc_array(text, SIZE_MAX, 2));
  kp_alloc_fail_at(1);
  assert_null(kp_realloc_array(text, 100, 2));
  assert_true(kp_alloc_failed());
  assert_string_equal(text, "kept");
  text = kp_realloc_array(text, 100, 2);
  assert_string_equal(text, "kept");
  kp_free(text);
  void* fresh = kp_realloc_array(NULL, 4, 4);
  assert_non_null(fresh);
  kp_free(fresh);
}

static void test_counters(void** state) {
  (void)state;
  const uint64_t total = kp_alloc_total();
  const int64_t live = kp_alloc_live();
  void* a = kp_alloc(1);
  void* b = kp_alloc_aligned(1, 64);
  char* c = kp_strndup("abc", 2);
  assert_string_equal(c, "ab");
  assert_int_equal(kp_alloc_total() - total, 3);
  assert_int_equal(kp_alloc_live() - live, 3);
  kp_free(a);
  kp_free(b);
  kp_free(c);
  assert_int_equal(kp_alloc_live(), live);
  assert_int_equal(kp_alloc_total() - total, 3);
}

static void test_nth_fails_once(void** state) {
  (void)state;
  kp_alloc_fail_at(3);
  for (int i = 1; i <= 5; ++i) {
    void* piece = kp_alloc(8);
    assert_int_equal(piece == NULL, i == 3);
    assert_int_equal(kp_alloc_failed(), i >= 3);
    kp_free(piece);
  }
  kp_alloc_fail_at(1);
  kp_alloc_fail_at(0);
  void* piece = kp_alloc(8);
  assert_non_null(piece);
  assert_false(kp_alloc_failed());
  kp_free(piece);
}

// Blocks come back as they went: aligned, charged and counted anew.
static void test_blocks_are_kept(void** state) {
  (void)state;
  const size_t sizes[] = {0, 1, 4096, 5000, 100000, 300000};
  const int64_t live = kp_alloc_live();
  for (int round = 0; round < 3; ++round) {
    char* blocks[6];
    for (size_t i = 0; i < 6; ++i) {
      blocks[i] = kp_alloc_block(sizes[i]);
      assert_non_null(blocks[i]);
      assert_int_equal((uintptr_t)blocks[i] % KP_ALIGNMENT, 0);
      memset(blocks[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < 6; ++i)
      for (size_t k = 0; k < sizes[i]; ++k) assert_int_equal(blocks[i][k], (char)i);
    assert_int_equal(kp_alloc_live(), live + 6);
    for (size_t i = 0; i < 6; ++i) kp_free(blocks[i]);
  }
  kp_alloc_fail_at(1);
  assert_null(kp_alloc_block(4096));
  assert_null(kp_alloc_block(SIZE_MAX - 8));
  char* grown = kp_realloc_array(kp_alloc_block(4096), 8192, 1);
  assert_non_null(grown);
  kp_free(grown);
  assert_int_equal(kp_alloc_live(), live);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_zero_size_is_freeable),
      cmocka_unit_test(test_overflow_is_refused),
      cmocka_unit_test(test_alignment),
      cmocka_unit_test(test_zeroed),
      cmocka_unit_test(test_realloc_keeps_old_on_failure),
      cmocka_unit_test(test_counters),
      cmocka_unit_test(test_nth_fails_once),
      cmocka_unit_test(test_blocks_are_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
