// Tests of base/arena.h: alignment, zeroing, reuse after reset and rewind, out of memory, red zones.
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sanitize.h"

static void test_alignment_and_zero(void** state) {
  (void)state;
  kp_arena arena = {0};
  for (size_t i = 0; i < 3000; ++i) {
    const size_t alignment = (size_t)1 << (i % 8);
    unsigned char* piece = kp_arena_alloc_aligned(&arena, i % 97, alignment);
    assert_non_null(piece);
    assert_int_equal((uintptr_t)piece % alignment, 0);
    for (size_t j = 0; j < i % 97; ++j) assert_int_equal(piece[j], 0);
    memset(piece, 0xAB, i % 97);
    if (i % 1000 == 999) kp_arena_reset(&arena);
  }
  assert_int_equal((uintptr_t)kp_arena_alloc(&arena, 1) % 16, 0);
  kp_arena_free(&arena);
}

static void test_large_piece_gets_its_block(void** state) {
  (void)state;
  kp_arena arena = {0};
  char* small = kp_arena_strndup(&arena, "small", 5);
  unsigned char* large = kp_arena_alloc_aligned(&arena, (size_t)5 << 20, 4096);
  assert_non_null(large);
  assert_int_equal((uintptr_t)large % 4096, 0);
  memset(large, 1, (size_t)5 << 20);
  assert_string_equal(small, "small");
  kp_arena_free(&arena);
  assert_int_equal(arena.total, 0);
}

static void fill(kp_arena* arena) {
  for (size_t i = 0; i < 200; ++i) assert_non_null(kp_arena_array(arena, i * 7, 30));
}

static void test_reset_reuses_blocks(void** state) {
  (void)state;
  kp_arena arena = {0};
  fill(&arena);
  const uint64_t total = kp_alloc_total();
  for (int round = 0; round < 3; ++round) {
    kp_arena_reset(&arena);
    fill(&arena);
  }
  assert_int_equal(kp_alloc_total(), total);
  kp_arena_free(&arena);
}

static void test_rewind_keeps_earlier_pieces(void** state) {
  (void)state;
  kp_arena arena = {0};
  char* before = kp_arena_printf(&arena, "%s %d", "before", 7);
  const kp_arena_mark mark = kp_arena_get_mark(&arena);
  fill(&arena);
  kp_arena_rewind(&arena, mark);
  const uint64_t total = kp_alloc_total();
  fill(&arena);
  assert_int_equal(kp_alloc_total(), total);
  assert_string_equal(before, "before 7");
  kp_arena_free(&arena);
}

static void test_helpers(void** state) {
  (void)state;
  kp_arena arena = {0};
  assert_string_equal(kp_arena_strndup(&arena, "abcdef", 3), "abc");
  assert_string_equal(kp_arena_strndup(&arena, NULL, 0), "");
  const int numbers[] = {1, 2, 3};
  assert_memory_equal(kp_arena_memdup(&arena, numbers, sizeof numbers), numbers, sizeof numbers);
  assert_non_null(kp_arena_alloc(&arena, 0));
  double* doubles = kp_arena_new_array(&arena, double, 3);
  assert_true(doubles[2] == 0.0);
  kp_arena_free(&arena);
}

static void test_errors(void** state) {
  (void)state;
  kp_arena arena = {0};
  assert_null(kp_arena_array(&arena, SIZE_MAX / 2, 3));
  assert_null(kp_arena_alloc(&arena, SIZE_MAX));
  assert_null(kp_arena_alloc(&arena, SIZE_MAX - 100));
  kp_alloc_fail_at(1);
  assert_null(kp_arena_alloc(&arena, 8));
  assert_non_null(kp_arena_alloc(&arena, 8));
  kp_arena_free(&arena);
}

static void test_red_zones(void** state) {
  (void)state;
#if KP_ASAN
  kp_arena arena = {0};
  char* first = kp_arena_alloc(&arena, 13);
  char* second = kp_arena_alloc(&arena, 13);
  assert_int_equal(__asan_address_is_poisoned(first + 12), 0);
  assert_int_equal(__asan_address_is_poisoned(first + 13), 1);
  assert_int_equal(__asan_address_is_poisoned(second - 1), 1);
  assert_int_equal(__asan_address_is_poisoned(second + 13), 1);
  kp_arena_reset(&arena);
  assert_int_equal(__asan_address_is_poisoned(first), 1);
  kp_arena_free(&arena);
#else
  print_message("skipped: red zones exist under AddressSanitizer only\n");
  skip();
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_alignment_and_zero),
      cmocka_unit_test(test_large_piece_gets_its_block),
      cmocka_unit_test(test_reset_reuses_blocks),
      cmocka_unit_test(test_rewind_keeps_earlier_pieces),
      cmocka_unit_test(test_helpers),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_red_zones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
