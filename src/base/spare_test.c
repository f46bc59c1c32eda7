// Tests of base/spare.h: what is found, and that what is kept is bounded.
#include "base/spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sanitize.h"

static void keep(size_t size) {
  void* block = malloc(size);
  assert_non_null(block);
  if (!kp_spare_keep(block, size)) free(block);
}

static void test_the_smallest_fit_is_found(void** state) {
  (void)state;
  if (KP_ASAN || KP_MSAN) {
    print_message("skipped: sanitizers get new memory each time\n");
    skip();
  }
  size_t size = 0;
  assert_null(kp_spare_take(1000, &size));
  keep(1200);
  keep(1100);
  keep(3000);
  assert_null(kp_spare_take(2000, &size));  // a third of it would lie idle
  void* block = kp_spare_take(1000, &size);
  assert_int_equal(size, 1100);
  free(block);
  block = kp_spare_take(1000, &size);
  assert_int_equal(size, 1200);
  free(block);
  assert_null(kp_spare_take(1000, &size));
  block = kp_spare_take(3000, &size);
  assert_int_equal(size, 3000);
  free(block);
}

static void test_what_is_kept_is_bounded(void** state) {
  (void)state;
  size_t kept = 0, size = 0;
  void* large = malloc(KP_SPARE_BLOCK_BYTES + 1);
  assert_false(kp_spare_keep(large, KP_SPARE_BLOCK_BYTES + 1));
  free(large);
  for (int i = 0; i < 100; ++i) keep(KP_SPARE_BLOCK_BYTES);
  for (void* block; (block = kp_spare_take(KP_SPARE_BLOCK_BYTES, &size)) != NULL;) {
    kept += size;
    free(block);
  }
  assert_true(kept <= KP_SPARE_BYTES);
  for (int i = 0; i < 10000; ++i) keep(100);
  size_t count = 0;
  for (void* block; (block = kp_spare_take(100, &size)) != NULL; ++count) free(block);
  assert_true(count < 1000);
}

// Each thread marks what it holds: a block that two hold at once shows, here or to TSan.
static void* hold_blocks(void* mark) {
  static const size_t sizes[] = {100, 5000, 5500, 70000};
  size_t mixed = 0;
  for (int round = 0; round < 4000; ++round) {
    char* blocks[4];
    for (size_t i = 0; i < 4; ++i) {
      blocks[i] = kp_alloc_block(sizes[i]);
      if (blocks[i]) memset(blocks[i], *(char*)mark, 100);
    }
    for (size_t i = 0; i < 4; ++i) {
      for (size_t k = 0; blocks[i] && k < 100; ++k) mixed += blocks[i][k] != *(char*)mark;
      kp_free(blocks[i]);
    }
  }
  return mixed ? mark : NULL;
}

static void test_threads_hold_blocks_of_their_own(void** state) {
  (void)state;
  pthread_t threads[4];
  char marks[4] = {1, 2, 3, 4};
  for (int i = 0; i < 4; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, hold_blocks, &marks[i]), 0);
  for (int i = 0; i < 4; ++i) {
    void* mixed;
    assert_int_equal(pthread_join(threads[i], &mixed), 0);
    assert_null(mixed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_smallest_fit_is_found),
      cmocka_unit_test(test_what_is_kept_is_bounded),
      cmocka_unit_test(test_threads_hold_blocks_of_their_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
