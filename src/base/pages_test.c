// Tests of base/pages.h: what the kernel notes of a wish, and that memory stays usable.
#include "base/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "support/slowed.h"

// Whether the kernel has noted the wish for the page at |address|; -1: it does not tell.
static int is_wished(const void* address) {
  FILE* file = fopen("/proc/self/smaps", "r");
  if (!file) return -1;
  char line[4096];
  int found = -1;
  bool inside = false;
  while (found < 0 && fgets(line, sizeof(line), file)) {
    uintptr_t first, last;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &last) == 2)
      inside = (uintptr_t)address >= first && (uintptr_t)address < last;
    else if (inside && !strncmp(line, "VmFlags:", 8))
      found = strstr(line, " hg") != NULL;
  }
  fclose(file);
  return found;
}

static void large_memory_is_wished(void** state) {
  (void)state;
  const size_t size = 3 * KP_HUGE_PAGE + 12345;
  char* memory = kp_alloc_aligned(size, 64);
  assert_non_null(memory);
  assert_int_equal((uintptr_t)memory % 64, 0);
  memset(memory, 7, size);
  const int wished = KP_EMULATED ? -1 : is_wished(memory + KP_HUGE_PAGE);
  if (wished < 0)
    print_message(
        "this system does not tell of pages; only that the memory is usable was tested\n");
  if (wished >= 0) assert_int_equal(wished, 1);
  assert_int_equal(memory[size - 1], 7);
  kp_free(memory);
}

static void ranges_without_a_whole_page_are_left(void** state) {
  (void)state;
  static char small[4096];
  kp_pages_wish_huge(small, sizeof(small));
  kp_pages_wish_huge(NULL, 0);
  assert_int_not_equal(is_wished(small), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(large_memory_is_wished),
      cmocka_unit_test(ranges_without_a_whole_page_are_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
