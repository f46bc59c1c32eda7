// Tests of base/blocks.h: equal blocks are one, others are not, and all are freed; from several threads at once too.
#include "base/blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

enum { kBytes = 4096 };

static char* filled(int value, size_t odd) {
  char* memory = kp_alloc_block(kBytes);
  assert_non_null(memory);
  memset(memory, value, kBytes);
  memory[odd] = (char)(value + 1);
  return memory;
}

static void test_equal_blocks_are_one(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  kp_blocks* blocks = kp_blocks_create();
  char* first = kp_blocks_join(blocks, filled(1, 100), kBytes);
  assert_ptr_equal(kp_blocks_join(blocks, filled(1, 100), kBytes), first);
  // No sample of the bytes tells these from the first.
  char* other = filled(1, 101);
  assert_ptr_equal(kp_blocks_join(blocks, other, kBytes), other);
  assert_int_equal(kp_blocks_bytes(blocks), 2 * kBytes);
  assert_int_equal(kp_blocks_saved(blocks), kBytes);
  kp_blocks_leave(blocks, first, kBytes);
  assert_int_equal(first[100], 2);  // somebody uses it still
  assert_int_equal(kp_blocks_saved(blocks), 0);
  kp_blocks_retain(blocks);
  kp_blocks_release(blocks);
  kp_blocks_leave(blocks, first, kBytes);
  kp_blocks_leave(blocks, other, kBytes);
  assert_int_equal(kp_blocks_bytes(blocks), 0);
  kp_blocks_release(blocks);
  assert_int_equal(kp_alloc_live(), live);
}

static void test_what_is_not_taken_stays_the_callers(void** state) {
  (void)state;
  kp_blocks* blocks = kp_blocks_create();
  char* memory = filled(3, 0);
  assert_null(kp_blocks_join(blocks, memory, KP_BLOCKS_LEAST - 1));
  kp_alloc_fail_at(1);
  assert_null(kp_blocks_join(blocks, memory, kBytes));
  kp_alloc_fail_at(0);
  kp_free(memory);
  assert_int_equal(kp_blocks_bytes(blocks), 0);
  kp_blocks_release(blocks);
}

// More blocks than there are heads at first, and more of one sample than are compared.
static void test_many_blocks(void** state) {
  (void)state;
  enum { kMany = 300 };
  char* all[kMany];
  kp_blocks* blocks = kp_blocks_create();
  for (size_t i = 0; i < kMany; ++i) all[i] = kp_blocks_join(blocks, filled(5, 1 + i), kBytes);
  for (size_t i = 0; i < kMany; ++i) assert_int_equal(all[i][1 + i], 6);
  for (size_t i = 0; i < kMany; ++i) kp_blocks_leave(blocks, all[i], kBytes);
  assert_int_equal(kp_blocks_bytes(blocks), 0);
  kp_blocks_release(blocks);
}

static void* join_and_leave(void* arg) {
  kp_blocks* blocks = arg;
  for (int i = 0; i < 200; ++i) {
    char* mine[4];
    for (int k = 0; k < 4; ++k) mine[k] = kp_blocks_join(blocks, filled(k, 7), kBytes);
    for (int k = 0; k < 4; ++k) {
      if (mine[k][8] != k) return blocks;
      kp_blocks_leave(blocks, mine[k], kBytes);
    }
  }
  return NULL;
}

static void test_threads(void** state) {
  (void)state;
  kp_blocks* blocks = kp_blocks_create();
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, join_and_leave, blocks), 0);
  for (int i = 0; i < 4; ++i) {
    void* failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_int_equal(kp_blocks_bytes(blocks), 0);
  kp_blocks_release(blocks);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equal_blocks_are_one),
      cmocka_unit_test(test_what_is_not_taken_stays_the_callers),
      cmocka_unit_test(test_many_blocks),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
